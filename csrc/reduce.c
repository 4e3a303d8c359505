/* Reductions over one axis of (outer, count, inner): sums, maxima, minima and where these stand.
 *
 * One body serves all: `f` joins two vectors of partial results. The order of joining is fixed by the shape alone. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { RUN = 1024, LEAVES = 64, ROWS_AT_ONCE = 128, STRIP = 4, REDUCE_GRAIN = 65536 };

typedef vec join_function(vec, vec);

INLINE real join(real x, real y, join_function *f) { return f(splat(x), splat(y))[0]; }

/* ---- contiguous runs: inner = 1 ------------------------------------------------------------------------------------ */

/* A run of 1 <= n <= RUN elements, in four interleaved chains so that no join waits for the one before. */
INLINE real reduce_run(const real *x, int64_t n, join_function *f) {
    if (n < LANES) {
        real all = x[0];
        for (int64_t i = 1; i < n; i++) all = join(all, x[i], f);
        return all;
    }
    int64_t i = LANES;
    vec all = load(x);
    if (n >= 4 * LANES) {
        vec b = load(x + LANES), c = load(x + 2 * LANES), d = load(x + 3 * LANES);
        for (i = 4 * LANES; i + 4 * LANES <= n; i += 4 * LANES) {
            all = f(all, load(x + i));
            b = f(b, load(x + i + LANES));
            c = f(c, load(x + i + 2 * LANES));
            d = f(d, load(x + i + 3 * LANES));
        }
        all = f(f(all, b), f(c, d));
    }
    for (; i + LANES <= n; i += LANES) all = f(all, load(x + i));
    real result = join_lanes(all, f);
    for (; i < n; i++) result = join(result, x[i], f);
    return result;
}

/* Halves until a run is short: rounding errors grow with log n, not with n (pairwise summation, Higham 1993). */
INLINE int64_t first_half(int64_t n) { return (n / 2 + RUN - 1) / RUN * RUN; }

#define PAIRWISE(name, f) static real name##_pairwise(const real *x, int64_t n) { if (n <= RUN) return reduce_run(x, n, f); int64_t half = first_half(n); return join(name##_pairwise(x, half), name##_pairwise(x + half, n - half), f); }

/* The part of a run that a leaf of the tree of halves covers; the tree has LEAVES leaves, numbered from the left. */
static void leaf_range(int64_t n, int64_t leaf, int64_t *start, int64_t *length) {
    *start = 0;
    for (int64_t bit = LEAVES / 2; bit > 0; bit /= 2) {
        int64_t half = first_half(n);
        if (leaf & bit) { *start += half; n -= half; } else { n = half; }
    }
    *length = n;
}

typedef real pairwise_function(const real *x, int64_t n);

typedef struct {
    const real *x;
    int64_t n;
    pairwise_function *pairwise;
    real *partial;
} leaves_job;

static void reduce_leaves(const void *job, int64_t begin, int64_t end) {
    const leaves_job *j = job;
    for (int64_t leaf = begin; leaf < end; leaf++) {
        int64_t start, length;
        leaf_range(j->n, leaf, &start, &length);
        j->partial[leaf] = j->pairwise(j->x + start, length);
    }
}

/* One long run on several threads: the top of the same tree of halves, its leaves computed side by side. */
INLINE real reduce_long(const real *x, int64_t n, int64_t threads, pairwise_function *pairwise, join_function *f) {
    if (threads == 1 || n < 2 * LEAVES * RUN) return pairwise(x, n);
    real partial[LEAVES];
    leaves_job job = {x, n, pairwise, partial};
    mw_parallel(threads, LEAVES, reduce_leaves, &job);
    for (int64_t step = 1; step < LEAVES; step *= 2)
        for (int64_t i = 0; i < LEAVES; i += 2 * step) partial[i] = join(partial[i], partial[i + step], f);
    return partial[0];
}

/* ---- columns: inner > 1 ---------------------------------------------------------------------------------------------- */

/* `strips` vectors of columns, kept in registers on the way down the rows. A row has `left` elements from x on: a vector may
 * read on into the next row, whose lanes nobody looks at, but not past the last. */
INLINE void reduce_strip(const real *x, int64_t count, int64_t inner, int64_t left, vec *total, int64_t strips, join_function *f) {
    vec part[STRIP] = {{0}};
    for (int64_t row = 0; row < count; row++)
        for (int64_t s = 0; s < strips; s++) {
            const real *here = x + row * inner + s * LANES;
            int64_t readable = (count - 1 - row) * inner + left - s * LANES;
            vec v = readable >= LANES ? load(here) : load_first(here, readable);
            part[s] = row == 0 ? v : f(part[s], v);
        }
    for (int64_t s = 0; s < strips; s++) total[s] = part[s];
}

/* Many rows by halves, as a long run. */
#define PAIRWISE_ROWS(name, f) static void name##_rows(const real *x, int64_t count, int64_t inner, int64_t left, vec *total, int64_t strips) { if (count > ROWS_AT_ONCE) { vec other[STRIP]; name##_rows(x, count / 2, inner, left, total, strips); name##_rows(x + count / 2 * inner, count - count / 2, inner, left, other, strips); for (int64_t s = 0; s < strips; s++) total[s] = f(total[s], other[s]); } else if (strips == 1) reduce_strip(x, count, inner, left, total, 1, f); else reduce_strip(x, count, inner, left, total, STRIP, f); }

typedef void rows_function(const real *x, int64_t count, int64_t inner, int64_t left, vec *total, int64_t strips);

/* Columns [begin, end) of one matrix of count rows. */
static void reduce_columns(const real *x, real *z, const mw_reduction *plan, int64_t begin, int64_t end, rows_function *rows) {
    vec total[STRIP], scale = splat((real)plan->scale);
    int64_t j = begin, count = plan->count, inner = plan->inner;
    for (; j + STRIP * LANES <= end; j += STRIP * LANES) {
        rows(x + j, count, inner, inner - j, total, STRIP);
        for (int64_t s = 0; s < STRIP; s++) store(z + j + s * LANES, total[s] * scale);
    }
    for (; j < end; j += LANES) {
        rows(x + j, count, inner, inner - j, total, 1);
        if (end - j >= LANES) store(z + j, total[0] * scale);
        else store_first(z + j, total[0] * scale, end - j);
    }
}

/* ---- both together --------------------------------------------------------------------------------------------------- */

typedef struct {
    const real *x;
    void *z;
    const mw_reduction *plan;
} reduce_job;

/* Runs [begin, end) of inner = 1 */
INLINE void reduce_runs(const void *job, int64_t begin, int64_t end, pairwise_function *pairwise) {
    const reduce_job *j = job;
    int64_t count = j->plan->count;
    for (int64_t i = begin; i < end; i++) ((real *)j->z)[i] = pairwise(j->x + i * count, count) * (real)j->plan->scale;
}

/* Columns [begin, end), counted through all matrices */
static void reduce_column_range(const void *job, int64_t begin, int64_t end, rows_function *rows) {
    const reduce_job *j = job;
    int64_t count = j->plan->count, inner = j->plan->inner;
    for (int64_t i = begin / inner; i * inner < end; i++) {
        int64_t from = begin > i * inner ? begin - i * inner : 0, to = end - i * inner < inner ? end - i * inner : inner;
        reduce_columns(j->x + i * count * inner, (real *)j->z + i * inner, j->plan, from, to, rows);
    }
}

#define RANGES(name) static void name##_runs(const void *job, int64_t begin, int64_t end) { reduce_runs(job, begin, end, name##_pairwise); } static void name##_columns(const void *job, int64_t begin, int64_t end) { reduce_column_range(job, begin, end, name##_rows); }

INLINE void reduce(const real *x, real *z, const mw_reduction *plan, pairwise_function *pairwise, join_function *f,
                   mw_range_function *runs, mw_range_function *columns) {
    reduce_job job = {x, z, plan};
    int64_t threads = mw_threads_for(plan->outer * plan->count * plan->inner, REDUCE_GRAIN);
    int64_t results = plan->outer * plan->inner;
    if (results == 0) return;
    if (plan->count == 0) for (int64_t i = 0; i < results; i++) z[i] = 0 * (real)plan->scale;     /* only a sum may be empty */
    else if (plan->inner > 1) mw_parallel(threads, results, columns, &job);
    else if (plan->outer > 1) mw_parallel(threads, plan->outer, runs, &job);
    else z[0] = reduce_long(x, plan->count, threads, pairwise, f) * (real)plan->scale;
}

#define REDUCTION(name, f) PAIRWISE(name, f) PAIRWISE_ROWS(name, f) RANGES(name) void mw_##name##_real(const real *x, real *z, const mw_reduction *plan) { reduce(x, z, plan, name##_pairwise, f, name##_runs, name##_columns); }

REDUCTION(sum, vadd)
REDUCTION(max, vmax)
REDUCTION(min, vmin)

/* ---- where the extreme stands ------------------------------------------------------------------------------------------ */

/* The first i with x[i] == value, or for a NaN the first NaN. There is one. */
static int64_t first_index(const real *x, real value) {
    int64_t i = 0;
    if (value == value) while (x[i] != value) i++;
    else while (x[i] == x[i]) i++;
    return i;
}

INLINE void reduce_index(const void *job, int64_t begin, int64_t end, pairwise_function *pairwise) {
    const reduce_job *j = job;
    int64_t count = j->plan->count;
    for (int64_t i = begin; i < end; i++) ((int64_t *)j->z)[i] = first_index(j->x + i * count, pairwise(j->x + i * count, count));
}

#define INDEX_RANGE(name, pairwise) static void name##_range(const void *job, int64_t begin, int64_t end) { reduce_index(job, begin, end, pairwise); }
#define INDEX(name, pairwise) INDEX_RANGE(name, pairwise) void mw_##name##_real(const real *x, int64_t *z, const mw_reduction *plan) { reduce_job job = {x, z, plan}; mw_parallel(mw_threads_for(plan->outer * plan->count, REDUCE_GRAIN), plan->outer, name##_range, &job); }

INDEX(argmax, max_pairwise)
INDEX(argmin, min_pairwise)

/* x - x is 0 for every finite x, and NaN otherwise. */
int64_t mw_first_nonfinite_real(const real *x, int64_t n) {
    for (int64_t i = 0; i < n;) {
        int64_t end = i + RUN < n ? i + RUN : n;
        int bad = 0;
        for (int64_t j = i; j < end; j++) bad |= x[j] - x[j] != 0;
        for (; bad && i < end; i++) if (x[i] - x[i] != 0) return i;
        i = end;
    }
    return -1;
}
