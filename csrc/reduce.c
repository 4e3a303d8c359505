/* Reductions over one axis of (outer, count, inner): sums, maxima, minima and where these stand.
 *
 * One body serves all: `f` joins two vectors of partial results, first the newer one. The order of joining is fixed by the
 * shape alone. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { RUN = 1024, INDEX_RUN = 1 << 20, LEAVES = 64, ROWS_AT_ONCE = 128, REDUCE_GRAIN = 1 << 17 };

#define PANEL (4096 / (int64_t)sizeof(real))     /* columns whose partial results leave room in the first-level cache */
#define AHEAD (8192 / (int64_t)sizeof(real))     /* elements to prefetch, as the processor by itself stops at every page */

typedef vec join_function(vec, vec);

INLINE real join(real x, real y, join_function *f) { return f(splat(x), splat(y))[0]; }

/* ---- contiguous runs: inner = 1 ------------------------------------------------------------------------------------ */

/* A run of 1 <= n <= RUN elements, in eight interleaved chains so that no join waits for the one before. */
INLINE real reduce_run(const real *x, int64_t n, join_function *f) {
    if (n < LANES) {
        real all = x[0];
        for (int64_t i = 1; i < n; i++) all = join(x[i], all, f);
        return all;
    }
    int64_t i = LANES;
    vec all = load(x);
    if (n >= 8 * LANES) {
        vec chain[8];
        for (int64_t c = 0; c < 8; c++) chain[c] = load(x + c * LANES);
        for (i = 8 * LANES; i + 8 * LANES <= n; i += 8 * LANES)
            for (int64_t c = 0; c < 8; c++) {
                __builtin_prefetch(x + i + c * LANES + AHEAD);
                chain[c] = f(load(x + i + c * LANES), chain[c]);
            }
        for (int64_t c = 0; c < 4; c++) chain[c] = f(chain[c + 4], chain[c]);
        all = f(f(chain[3], chain[2]), f(chain[1], chain[0]));
    }
    for (; i + LANES <= n; i += LANES) all = f(load(x + i), all);
    if (i < n) all = choose(first_lanes(i + LANES - n), all, f(load(x + n - LANES), all));     /* the lanes beyond i alone */
    return join_lanes(all, f);
}

/* Halves until a run is short: rounding errors grow with log n, not with n (pairwise summation, Higham 1993). */
INLINE int64_t first_half(int64_t n) { return (n / 2 + RUN - 1) / RUN * RUN; }

typedef real run_function(const real *x, int64_t n);

static real reduce_pairwise(const real *x, int64_t n, run_function *run) {
    if (n <= RUN) return run(x, n);
    int64_t half = first_half(n);
    real both[2] = {reduce_pairwise(x, half, run), reduce_pairwise(x + half, n - half, run)};
    return run(both, 2);
}

/* The part of a run that a leaf of the tree of halves covers; the tree has LEAVES leaves, numbered from the left. */
static void leaf_range(int64_t n, int64_t leaf, int64_t *start, int64_t *length) {
    *start = 0;
    for (int64_t bit = LEAVES / 2; bit > 0; bit /= 2) {
        int64_t half = first_half(n);
        if (leaf & bit) { *start += half; n -= half; } else { n = half; }
    }
    *length = n;
}

typedef struct {
    const real *x;
    int64_t n;
    run_function *run;
    real *partial;
} leaves_job;

static void reduce_leaves(const void *job, int64_t begin, int64_t end) {
    const leaves_job *j = job;
    for (int64_t leaf = begin; leaf < end; leaf++) {
        int64_t start, length;
        leaf_range(j->n, leaf, &start, &length);
        j->partial[leaf] = reduce_pairwise(j->x + start, length, j->run);
    }
}

/* One long run on several threads: the top of the same tree of halves, its leaves computed side by side. */
static real reduce_long(const real *x, int64_t n, int64_t threads, run_function *run) {
    if (threads == 1 || n < 2 * LEAVES * RUN) return reduce_pairwise(x, n, run);
    real partial[LEAVES];
    leaves_job job = {x, n, run, partial};
    mw_parallel(threads, LEAVES, reduce_leaves, &job);
    for (int64_t left = LEAVES / 2; left > 0; left /= 2)
        for (int64_t i = 0; i < left; i++) partial[i] = run(partial + 2 * i, 2);
    return partial[0];
}

/* ---- columns: inner > 1 ---------------------------------------------------------------------------------------------- */

/* A vector of a row with `readable` elements up to the end of the matrix: it may read on into the next row, whose lanes nobody
 * looks at, but not past the last. */
INLINE vec load_within(const real *x, int64_t readable) { return readable >= LANES ? load(x) : load_first(x, readable); }

/* `width` columns of one row or of eight, joined to partial results; `inside` where every vector can be read as it is. */
INLINE void join_rows(const real *x, int64_t rows, int64_t inner, int64_t width, int64_t readable, int inside, int first, vec *part,
                      join_function *f) {
    for (int64_t i = 0; i < width; i += LANES, part++) {
        vec v[8];
        for (int64_t r = 0; r < rows; r++) {
            const real *here = x + r * inner + i;
            v[r] = inside ? load(here) : load_within(here, readable - r * inner - i);
        }
        for (int64_t half = rows / 2; half > 0; half /= 2)
            for (int64_t r = 0; r < half; r++) v[r] = f(v[r + half], v[r]);
        *part = first ? v[0] : f(v[0], *part);
    }
}

/* `width` columns of a few rows, read along the rows, eight rows at a time, while the partial results stay in the first-level
 * cache. */
INLINE void reduce_panel(const real *x, int64_t count, int64_t inner, int64_t width, int64_t readable, vec *part, join_function *f) {
    for (int64_t row = 0, rows; row < count; row += rows, x += rows * inner, readable -= rows * inner) {
        rows = count - row >= 8 ? 8 : 1;
        int inside = readable >= (rows - 1) * inner + width + LANES;
        if (rows == 8 && inside) join_rows(x, 8, inner, width, readable, 1, row == 0, part, f);
        else if (rows == 8) join_rows(x, 8, inner, width, readable, 0, row == 0, part, f);
        else join_rows(x, 1, inner, width, readable, 0, row == 0, part, f);
    }
}

typedef void panel_function(const real *x, int64_t count, int64_t inner, int64_t width, int64_t readable, vec *part);

/* Many rows by halves, as a long run. The results of the halves stand one after the other, and then are two rows themselves. */
static void reduce_rows(const real *x, int64_t count, int64_t inner, int64_t width, int64_t readable, vec *part,
                        panel_function *panel) {
    if (count <= ROWS_AT_ONCE) {
        panel(x, count, inner, width, readable, part);
        return;
    }
    int64_t half = count / 2, vectors = (width + LANES - 1) / LANES;
    reduce_rows(x, half, inner, width, readable, part, panel);
    reduce_rows(x + half * inner, count - half, inner, width, readable - half * inner, part + vectors, panel);
    panel((real *)part, 2, vectors * LANES, width, 2 * vectors * LANES, part);
}

/* Columns [begin, end) of one matrix of count rows. */
static void reduce_columns(const real *x, real *z, const mw_reduction *plan, int64_t begin, int64_t end, panel_function *panel) {
    int64_t count = plan->count, inner = plan->inner, levels = 1, panel_width = end - begin < PANEL ? end - begin : PANEL;
    for (int64_t rows = count; rows > ROWS_AT_ONCE; rows -= rows / 2) levels++;
    vec part[levels * ((panel_width + LANES - 1) / LANES)], scale = splat((real)plan->scale);
    for (int64_t width; begin < end; begin += width) {
        width = end - begin < panel_width ? end - begin : panel_width;
        reduce_rows(x + begin, count, inner, width, count * inner - begin, part, panel);
        int64_t i = 0;
        for (; i + LANES <= width; i += LANES) store(z + begin + i, part[i / LANES] * scale);
        if (i < width) store_first(z + begin + i, part[i / LANES] * scale, width - i);
    }
}

/* ---- both together --------------------------------------------------------------------------------------------------- */

typedef struct {
    const real *x;
    void *z;
    const mw_reduction *plan;
    run_function *run;
    panel_function *panel;
} reduce_job;

/* Runs [begin, end) of inner = 1 */
static void reduce_run_range(const void *job, int64_t begin, int64_t end) {
    const reduce_job *j = job;
    int64_t count = j->plan->count;
    for (int64_t i = begin; i < end; i++) ((real *)j->z)[i] = reduce_pairwise(j->x + i * count, count, j->run) * (real)j->plan->scale;
}

/* Columns [begin, end), counted through all matrices */
static void reduce_column_range(const void *job, int64_t begin, int64_t end) {
    const reduce_job *j = job;
    int64_t count = j->plan->count, inner = j->plan->inner;
    for (int64_t i = begin / inner; i * inner < end; i++) {
        int64_t from = begin > i * inner ? begin - i * inner : 0, to = end - i * inner < inner ? end - i * inner : inner;
        reduce_columns(j->x + i * count * inner, (real *)j->z + i * inner, j->plan, from, to, j->panel);
    }
}

static void reduce(const real *x, real *z, const mw_reduction *plan, run_function *run, panel_function *panel) {
    reduce_job job = {x, z, plan, run, panel};
    int64_t threads = mw_threads_for(plan->outer * plan->count * plan->inner, REDUCE_GRAIN);
    int64_t results = plan->outer * plan->inner;
    if (results == 0) return;
    if (plan->count == 0) for (int64_t i = 0; i < results; i++) z[i] = 0 * (real)plan->scale;     /* only a sum may be empty */
    else if (plan->inner > 1) mw_parallel(threads, results, reduce_column_range, &job);
    else if (plan->outer > 1) mw_parallel(threads, plan->outer, reduce_run_range, &job);
    else z[0] = reduce_long(x, plan->count, threads, run) * (real)plan->scale;
}

/* The three reductions: for each the body with its own join. */

static real sum_run(const real *x, int64_t n) { return reduce_run(x, n, vadd); }
static void sum_panel(const real *x, int64_t count, int64_t inner, int64_t width, int64_t readable, vec *part) {
    reduce_panel(x, count, inner, width, readable, part, vadd);
}
void mw_sum_real(const real *x, real *z, const mw_reduction *plan) { reduce(x, z, plan, sum_run, sum_panel); }

static real max_run(const real *x, int64_t n) { return reduce_run(x, n, vmax); }
static void max_panel(const real *x, int64_t count, int64_t inner, int64_t width, int64_t readable, vec *part) {
    reduce_panel(x, count, inner, width, readable, part, vmax);
}
void mw_max_real(const real *x, real *z, const mw_reduction *plan) { reduce(x, z, plan, max_run, max_panel); }

static real min_run(const real *x, int64_t n) { return reduce_run(x, n, vmin); }
static void min_panel(const real *x, int64_t count, int64_t inner, int64_t width, int64_t readable, vec *part) {
    reduce_panel(x, count, inner, width, readable, part, vmin);
}
void mw_min_real(const real *x, real *z, const mw_reduction *plan) { reduce(x, z, plan, min_run, min_panel); }

/* ---- where the extreme stands ------------------------------------------------------------------------------------------ */

/* Elements v, which stand at `places`, against the best of each lane so far and where they stand. */
INLINE void contend(vec v, ivec places, vec *best, ivec *where, join_function *f) {
    vec winner = f(v, *best);
    ivec is_new = winner != *best;
    *where = (is_new & places) | (~is_new & *where);
    *best = winner;
}

/* The place of the first best of n elements, or of the first NaN: f lets a NaN through, g is the same in one instruction and
 * need not. 1 <= n <= INDEX_RUN, so that a real can tell all places. */
INLINE int64_t index_of_run(const real *x, int64_t n, join_function *f, join_function *g) {
    int64_t at = 0, i = 0;
    if (n < LANES) {
        for (i = 1; i < n && x[at] == x[at]; i++) if (join(x[i], x[at], f) != x[at]) at = i;
        return at;
    }
    vec best[4], place = splat((real)n);
    ivec where[4], lane, step = (ivec){0} + (bits)LANES;
    for (int64_t l = 0; l < LANES; l++) lane[l] = (bits)l;
    for (int64_t c = 0; c < 4; c++) { best[c] = load(x); where[c] = lane; }
    for (ivec here = lane; i + 4 * LANES <= n; i += 4 * LANES, here += 4 * step)
        for (int64_t c = 0; c < 4; c++) {
            __builtin_prefetch(x + i + c * LANES + AHEAD);
            contend(load(x + i + c * LANES), here + (bits)c * step, &best[c], &where[c], f);
        }
    for (; i + LANES <= n; i += LANES) contend(load(x + i), lane + (bits)i, &best[0], &where[0], f);
    if (i < n) contend(load(x + n - LANES), lane + (bits)(n - LANES), &best[0], &where[0], f);      /* some once more */

    vec top = splat(join_lanes(g(g(best[3], best[2]), g(best[1], best[0])), g));
    for (int64_t c = 0; c < 4; c++) {
        vec stands = choose(best[c] == top, __builtin_convertvector(where[c], vec), splat((real)n));
        place = lesser(choose(best[c] == best[c], stands, splat(-1)), place);             /* a NaN stands before all */
    }
    at = (int64_t)join_lanes(place, lesser);
    if (at < 0) for (at = 0; x[at] == x[at];) at++;
    return at;
}

INLINE void reduce_index(const void *job, int64_t begin, int64_t end, join_function *f, join_function *g) {
    const reduce_job *j = job;
    int64_t count = j->plan->count, *z = j->z;
    for (int64_t i = begin; i < end; i++) {
        const real *x = j->x + i * count;
        z[i] = index_of_run(x, count < INDEX_RUN ? count : INDEX_RUN, f, g);
        for (int64_t start = INDEX_RUN; start < count && x[z[i]] == x[z[i]]; start += INDEX_RUN) {
            int64_t here = start + index_of_run(x + start, count - start < INDEX_RUN ? count - start : INDEX_RUN, f, g);
            if (join(x[here], x[z[i]], f) != x[z[i]]) z[i] = here;
        }
    }
}

static void argmax_range(const void *job, int64_t begin, int64_t end) { reduce_index(job, begin, end, vmax, greater); }
static void argmin_range(const void *job, int64_t begin, int64_t end) { reduce_index(job, begin, end, vmin, lesser); }

static void index_rows(const real *x, int64_t *z, const mw_reduction *plan, mw_range_function *range) {
    reduce_job job = {x, z, plan, NULL, NULL};
    mw_parallel(mw_threads_for(plan->outer * plan->count, REDUCE_GRAIN), plan->outer, range, &job);
}

void mw_argmax_real(const real *x, int64_t *z, const mw_reduction *plan) { index_rows(x, z, plan, argmax_range); }
void mw_argmin_real(const real *x, int64_t *z, const mw_reduction *plan) { index_rows(x, z, plan, argmin_range); }

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
