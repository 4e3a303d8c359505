/* Normalisation: x less a mean, over a deviation, times gamma, plus a bias. Batch norm takes these of each column over all rows, from the
 * batch or, in inference, from weights; layer norm takes them of each row over its columns. X is rows×columns.
 *
 * Columns are summed in blocks of rows, which are joined in their order: so sums do not depend on threads, and a mean and a variance are
 * those of a block that stays in the cache while it is read twice, and come together by the formula of Chan, Golub & LeVeque (1983).
 * That is as exact as two passes, also where a mean is large beside its deviation.
 */
#include "epilogue.h"
#include "runtime.h"

enum { BLOCK = 256, CHAINS = 4, GRAIN = 1 << 17 };         /* rows; sums side by side; numbers that are worth a thread */

INLINE int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }
INLINE vec get(const real *p, int64_t count) { return count >= LANES ? load(p) : load_first(p, count); }
INLINE void put(real *p, vec x, int64_t count) {
    if (count >= LANES) store(p, x);
    else store_first(p, x, count);
}

/* ---- sums of columns ---------------------------------------------------------------------------------------------- */

enum kind { MOMENTS, GRADIENTS, ROW_GRADIENTS };

typedef struct {
    const mw_norm *plan;
    const real *x, *dz, *mean, *variance, *gamma;
    real *first, *second, *dx;                              /* two sums of each column, and what a row norm's gradient gives */
    int64_t block, blocks;                                  /* rows of one, and how many there are */
} columns_job;

/* Where block number `block` puts its two sums. With one block alone, these are the results. */
INLINE real *sums_of(const columns_job *j, int64_t block, int second) {
    const int64_t columns = j->plan->columns;
    if (j->blocks == 1) return second ? j->second : j->first;
    return (second ? j->second : j->first) + block * columns;
}

/* Of LANES columns in rows [r, end):  Σ x, Σ (x - mean)², Σ dz or Σ dz (x - mean), in CHAINS that do not wait for each other. */
enum term { X, SQUARE, DZ, DZ_X };
INLINE vec sum_rows(const enum term term, const columns_job *j, int64_t r, int64_t end, int64_t c, vec mean, int64_t count) {
    const int64_t columns = j->plan->columns;
    vec chain[CHAINS] = {{0}};
    for (; r < end; r += CHAINS)
        for (int i = 0; i < CHAINS && r + i < end; i++) {
            const int64_t at = (r + i) * columns + c;
            const vec x = term == DZ ? (vec){0} : get(j->x + at, count), dz = term >= DZ ? get(j->dz + at, count) : (vec){0};
            const vec apart = x - mean;
            chain[i] += term == X ? x : term == SQUARE ? apart * apart : term == DZ ? dz : dz * apart;
        }
    return (chain[0] + chain[1]) + (chain[2] + chain[3]);
}

INLINE void sum_block(const enum kind kind, const int whole, const columns_job *j, int64_t block, int64_t c, int64_t lanes) {
    const int64_t from = block * j->block, end = smaller(from + j->block, j->plan->rows), count = whole ? LANES : lanes;
    vec first, second;
    if (kind == MOMENTS) {
        first = sum_rows(X, j, from, end, c, (vec){0}, count) / splat((real)(end - from));
        second = sum_rows(SQUARE, j, from, end, c, first, count);
    } else {
        first = sum_rows(DZ, j, from, end, c, (vec){0}, count);
        second = sum_rows(DZ_X, j, from, end, c, get(j->mean + c, count), count);
    }
    put(sums_of(j, block, 0) + c, first, count);
    put(sums_of(j, block, 1) + c, second, count);
}

INLINE void sum_blocks(const enum kind kind, const columns_job *j, int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
        int64_t c = 0;
        for (; c + LANES <= j->plan->columns; c += LANES) sum_block(kind, 1, j, block, c, LANES);
        if (c < j->plan->columns) sum_block(kind, 0, j, block, c, j->plan->columns - c);
    }
}

static void moments_of_blocks(const void *job, int64_t begin, int64_t end) { sum_blocks(MOMENTS, job, begin, end); }
static void gradients_of_blocks(const void *job, int64_t begin, int64_t end) { sum_blocks(GRADIENTS, job, begin, end); }

/* The blocks' sums joined, in their order, to the results at `first` and `second`. */
static void join_blocks(const enum kind kind, const columns_job *j, real *first, real *second) {
    const mw_norm *p = j->plan;
    for (int64_t c = 0; c < p->columns; c += LANES) {
        const int64_t count = p->columns - c;
        vec a = {0}, b = {0};
        for (int64_t block = 0, rows = 0; block < j->blocks; block++) {
            const int64_t more = smaller(j->block, p->rows - rows);
            const vec x = get(sums_of(j, block, 0) + c, count), y = get(sums_of(j, block, 1) + c, count);
            if (kind == MOMENTS) {
                const real share = (real)more / (real)(rows + more);
                const vec apart = x - a;
                a += apart * splat(share);
                b += y + apart * apart * splat((real)rows * share);
            } else a += x, b += y;
            rows += more;
        }
        if (kind == MOMENTS && p->rows > 0) b /= splat((real)p->rows);
        if (kind == GRADIENTS) b /= vsqrt(get(j->variance + c, count) + splat((real)p->epsilon));
        if (first) put(first + c, a, count);
        if (second) put(second + c, b, count);
    }
}

static void sum_columns(const enum kind kind, mw_range_function *f, columns_job *j, real *first, real *second) {
    const mw_norm *p = j->plan;
    j->block = BLOCK, j->blocks = (p->rows + BLOCK - 1) / BLOCK;
    real *sums = mw_scratch((size_t)(2 * j->blocks * p->columns) * sizeof(real));
    if (sums) j->first = sums, j->second = sums + j->blocks * p->columns;
    else j->block = p->rows, j->blocks = p->rows > 0, j->first = first, j->second = second;
    mw_parallel(smaller(j->blocks, mw_threads_for(p->rows * p->columns, GRAIN)), j->blocks, f, j);
    join_blocks(kind, j, first, second);
}

void mw_moments_real(const real *x, real *mean, real *variance, const mw_norm *plan) {
    columns_job job = {.plan = plan, .x = x};
    sum_columns(MOMENTS, moments_of_blocks, &job, mean, variance);
}

void mw_normalize_sums_real(const real *dz, const real *x, const real *mean, const real *variance, real *dgamma, real *dbias, const mw_norm *plan) {
    columns_job job = {.plan = plan, .x = x, .dz = dz, .mean = mean, .variance = variance};
    sum_columns(GRADIENTS, gradients_of_blocks, &job, dbias, dgamma);
}

/* ---- by columns ------------------------------------------------------------------------------------------------------- */

typedef struct {
    const mw_norm *plan;
    const real *x, *dz, *mean, *variance, *gamma, *bias, *dgamma, *dbias;
    real *out;
} rows_job;

/* Of LANES columns: gamma / √(variance + ε) */
INLINE vec scale_of(const rows_job *j, int64_t c, int64_t count) {
    const vec gamma = j->gamma ? get(j->gamma + c, count) : splat(1);
    return gamma / vsqrt(get(j->variance + c, count) + splat((real)j->plan->epsilon));
}

/* Rows are taken a few at a time, so that what belongs to a column is worked out once for them. */
enum { TOGETHER = 16 };

static void normalize_rows(const void *job, int64_t begin, int64_t end) {
    const rows_job *j = job;
    const int64_t columns = j->plan->columns;
    for (int64_t r = begin; r < end; r += TOGETHER) {
        const int64_t stop = smaller(r + TOGETHER, end);
        for (int64_t c = 0; c < columns; c += LANES) {
            const int64_t count = columns - c;
            const vec mean = get(j->mean + c, count), scale = scale_of(j, c, count);
            for (int64_t i = r; i < stop; i++) put(j->out + i * columns + c, (get(j->x + i * columns + c, count) - mean) * scale, count);
        }
        finish_rows(j->out + r * columns, stop - r, columns, columns, j->bias, j->plan->activation);
    }
}

void mw_normalize_real(const real *x, const real *mean, const real *variance, const real *gamma, const real *bias, real *z, const mw_norm *plan) {
    const rows_job job = {.plan = plan, .x = x, .mean = mean, .variance = variance, .gamma = gamma, .bias = bias, .out = z};
    mw_parallel(smaller(plan->rows, mw_threads_for(plan->rows * plan->columns, GRAIN)), plan->rows, normalize_rows, &job);
}

static void normalize_grad_rows(const void *job, int64_t begin, int64_t end) {
    const rows_job *j = job;
    const int64_t columns = j->plan->columns;
    const vec share = splat((real)1 / (real)j->plan->rows);
    for (int64_t r = begin; r < end; r += TOGETHER)
        for (int64_t c = 0; c < columns; c += LANES) {
            const int64_t count = columns - c;
            const vec mean = get(j->mean + c, count), scale = scale_of(j, c, count);
            const vec deviation = vsqrt(get(j->variance + c, count) + splat((real)j->plan->epsilon));
            const vec shift = get(j->dbias + c, count) * share, slope = get(j->dgamma + c, count) * share / deviation;
            for (int64_t i = r; i < smaller(r + TOGETHER, end); i++) {
                const int64_t at = i * columns + c;
                put(j->out + at, (get(j->dz + at, count) - shift - (get(j->x + at, count) - mean) * slope) * scale, count);
            }
        }
}

void mw_normalize_grad_real(const real *dz, const real *x, const real *mean, const real *variance, const real *gamma, const real *dgamma,
                            const real *dbias, real *dx, const mw_norm *plan) {
    const rows_job job = {.plan = plan, .x = x, .dz = dz, .mean = mean, .variance = variance, .gamma = gamma, .dgamma = dgamma,
                          .dbias = dbias, .out = dx};
    mw_parallel(smaller(plan->rows, mw_threads_for(plan->rows * plan->columns, GRAIN)), plan->rows, normalize_grad_rows, &job);
}

/* ---- by rows ---------------------------------------------------------------------------------------------------------- */

/* Σ f over a row, in CHAINS; lanes beyond its end count as 0. */
enum row_term { ROW_X, ROW_SQUARE, ROW_DZ, ROW_DZ_X };
INLINE real sum_row(const enum row_term term, const real *x, const real *dz, const real *gamma, int64_t n, real mean) {
    vec chain[CHAINS] = {{0}};
    for (int64_t c = 0; c < n; c += CHAINS * LANES)
        for (int i = 0; i < CHAINS && c + i * LANES < n; i++) {
            const int64_t at = c + i * LANES, count = n - at;
            const vec apart = get(x + at, count) - splat(mean);
            vec t = apart;
            if (term == ROW_SQUARE) t = apart * apart;
            if (term >= ROW_DZ) t = get(dz + at, count);
            if (term >= ROW_DZ && gamma) t *= get(gamma + at, count);
            if (term == ROW_DZ_X) t *= apart;
            chain[i] += count < LANES ? as_real(first_lanes(count) & as_bits(t)) : t;
        }
    return join_lanes((chain[0] + chain[1]) + (chain[2] + chain[3]), vadd);
}

/* The mean of a row, or 0 where none is taken off, and its deviation from that. */
INLINE real deviation_of(const mw_norm *p, const real *x, real *mean) {
    const real n = (real)p->columns;
    *mean = p->centered ? sum_row(ROW_X, x, NULL, NULL, p->columns, 0) / n : 0;
    return vsqrt(splat(sum_row(ROW_SQUARE, x, NULL, NULL, p->columns, *mean) / n + (real)p->epsilon))[0];
}

static void row_norm_rows(const void *job, int64_t begin, int64_t end) {
    const rows_job *j = job;
    const int64_t n = j->plan->columns;
    for (int64_t r = begin; r < end; r++) {
        const real *x = j->x + r * n;
        real mean, *z = j->out + r * n;
        const vec scale = splat(1 / deviation_of(j->plan, x, &mean));
        for (int64_t c = 0; c < n; c += LANES) {
            const vec normal = (get(x + c, n - c) - splat(mean)) * scale;
            put(z + c, j->gamma ? normal * get(j->gamma + c, n - c) : normal, n - c);
        }
        finish_rows(z, 1, n, n, j->bias, j->plan->activation);
    }
}

void mw_row_norm_real(const real *x, const real *gamma, const real *bias, real *z, const mw_norm *plan) {
    const rows_job job = {.plan = plan, .x = x, .gamma = gamma, .bias = bias, .out = z};
    mw_parallel(smaller(plan->rows, mw_threads_for(plan->rows * plan->columns, GRAIN)), plan->rows, row_norm_rows, &job);
}

static void row_norm_grad_blocks(const void *job, int64_t begin, int64_t end) {
    const columns_job *j = job;
    const mw_norm *p = j->plan;
    const int64_t n = p->columns;
    for (int64_t block = begin; block < end; block++) {
        real *dbias = sums_of(j, block, 0), *dgamma = sums_of(j, block, 1);
        for (int64_t c = 0; c < n; c++) {
            if (dbias) dbias[c] = 0;
            if (dgamma) dgamma[c] = 0;
        }
        for (int64_t r = block * j->block; r < smaller((block + 1) * j->block, p->rows); r++) {
            const real *x = j->x + r * n, *dz = j->dz + r * n;
            real mean;
            const real scale = 1 / deviation_of(p, x, &mean);
            const real shift = p->centered ? sum_row(ROW_DZ, x, dz, j->gamma, n, mean) / (real)n : 0;
            const real slope = sum_row(ROW_DZ_X, x, dz, j->gamma, n, mean) / (real)n * scale;
            for (int64_t c = 0; c < n; c += LANES) {
                const int64_t count = n - c;
                const vec normal = (get(x + c, count) - splat(mean)) * splat(scale), d = get(dz + c, count);
                const vec given = j->gamma ? d * get(j->gamma + c, count) : d;
                if (j->dx) put(j->dx + r * n + c, (given - splat(shift) - normal * splat(slope)) * splat(scale), count);
                if (dbias) put(dbias + c, get(dbias + c, count) + d, count);
                if (dgamma) put(dgamma + c, get(dgamma + c, count) + d * normal, count);
            }
        }
    }
}

void mw_row_norm_grad_real(const real *dz, const real *x, const real *gamma, real *dx, real *dgamma, real *dbias, const mw_norm *plan) {
    columns_job job = {.plan = plan, .x = x, .dz = dz, .gamma = gamma, .dx = dx};
    sum_columns(ROW_GRADIENTS, row_norm_grad_blocks, &job, dbias, dgamma);
}

/* ---- moving averages -------------------------------------------------------------------------------------------------- */

void mw_blend_real(const real *x, inout real *average, int64_t n, double momentum) {
    const vec kept = splat((real)momentum), added = splat((real)(1 - momentum));
    for (int64_t i = 0; i < n; i += LANES) put(average + i, get(average + i, n - i) * kept + get(x + i, n - i) * added, n - i);
}
