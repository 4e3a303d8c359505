/* Rows of logits: softmax, its logarithm, and the cross-entropy with their gradients. A row is read once for its maximum and
 * once for its exponentials; subtracting the maximum keeps every exponential at most 1. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"
#include "vmath.h"

enum { SOFTMAX_GRAIN = 16384 };

/* The vector at column j of a row, with `fill` in the lanes beyond its end. */
INLINE vec row_load(const real *row, int64_t j, int64_t columns, real fill) {
    if (j + LANES <= columns) return load(row + j);
    real padded[LANES];
    for (int64_t i = 0; i < LANES; i++) padded[i] = j + i < columns ? row[j + i] : fill;
    return load(padded);
}

INLINE void row_store(real *row, int64_t j, int64_t columns, vec v) {
    if (j + LANES <= columns) store(row + j, v);
    else store_first(row + j, v, columns - j);
}

INLINE real row_max(const real *row, int64_t columns) {
    vec most = splat(-INFINITY);
    for (int64_t j = 0; j < columns; j += LANES) most = vmax(most, row_load(row, j, columns, -INFINITY));
    return join_lanes(most, vmax);
}

/* Σ exp(x - max), stored as well where `out` is given */
INLINE real row_exp(const real *row, real *out, int64_t columns, real max) {
    vec sum = {0}, m = splat(max);
    for (int64_t j = 0; j < columns; j += LANES) {
        vec e = vexp(row_load(row, j, columns, -INFINITY) - m);
        sum += e;
        if (out) row_store(out, j, columns, e);
    }
    return join_lanes(sum, vadd);
}

INLINE real row_log_sum_exp(const real *row, int64_t columns) {
    real max = row_max(row, columns);
    return max + vlog(splat(row_exp(row, NULL, columns, max)))[0];
}

INLINE real row_dot(const real *x, const real *y, int64_t columns) {
    vec sum = {0};
    for (int64_t j = 0; j < columns; j += LANES) sum += row_load(x, j, columns, 0) * row_load(y, j, columns, 0);
    return join_lanes(sum, vadd);
}

INLINE real row_sum(const real *x, int64_t columns) {
    vec sum = {0};
    for (int64_t j = 0; j < columns; j += LANES) sum += row_load(x, j, columns, 0);
    return join_lanes(sum, vadd);
}

/* out = x * a + b */
INLINE void row_affine(const real *x, real *out, int64_t columns, real a, real b) {
    for (int64_t j = 0; j < columns; j += LANES) row_store(out, j, columns, row_load(x, j, columns, 0) * splat(a) + splat(b));
}

/* ---- one row of each kernel ------------------------------------------------------------------------------------------ */

INLINE void softmax_row(const real *x, real *z, int64_t columns, real scale) {
    real sum = row_exp(x, z, columns, row_max(x, columns));
    row_affine(z, z, columns, scale / sum, 0);
}

INLINE void softmax_grad_row(const real *dz, const real *z, real *dx, int64_t columns) {
    vec mean = splat(row_dot(dz, z, columns));
    for (int64_t j = 0; j < columns; j += LANES)
        row_store(dx, j, columns, row_load(z, j, columns, 0) * (row_load(dz, j, columns, 0) - mean));
}

INLINE void log_softmax_grad_row(const real *dz, const real *z, real *dx, int64_t columns) {
    vec sum = splat(row_sum(dz, columns));
    for (int64_t j = 0; j < columns; j += LANES)
        row_store(dx, j, columns, row_load(dz, j, columns, 0) - vexp(row_load(z, j, columns, 0)) * sum);
}

INLINE real cross_entropy_row(const real *x, const real *target, int64_t columns) {
    vec sum = {0}, lse = splat(row_log_sum_exp(x, columns));
    for (int64_t j = 0; j < columns; j += LANES) {
        vec t = row_load(target, j, columns, 0);
        sum += select(t == 0, splat(0), t * (lse - row_load(x, j, columns, 0)));     /* 0 * inf is no loss */
    }
    return join_lanes(sum, vadd);
}

INLINE void cross_entropy_grad_row(real dz, const real *x, const real *target, real *dx, int64_t columns) {
    softmax_row(x, dx, columns, dz * row_sum(target, columns));
    for (int64_t j = 0; j < columns; j += LANES)
        row_store(dx, j, columns, row_load(dx, j, columns, 0) - splat(dz) * row_load(target, j, columns, 0));
}

/* ---- the kernels ----------------------------------------------------------------------------------------------------- */

#define ROW_THREADS int64_t columns = plan->columns, threads = mw_threads_for(plan->rows * columns, SOFTMAX_GRAIN)
#define FOR_ROWS _Pragma("omp parallel for num_threads((int)threads) if (threads > 1) schedule(static)") for (int64_t i = 0; i < plan->rows; i++)

void mw_softmax_real(const real *x, real *z, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS softmax_row(x + i * columns, z + i * columns, columns, 1);
}

void mw_log_softmax_real(const real *x, real *z, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS {
        const real *row = x + i * columns;
        real max = row_max(row, columns), log_sum = vlog(splat(row_exp(row, NULL, columns, max)))[0];
        vec m = splat(max), l = splat(log_sum);
        for (int64_t j = 0; j < columns; j += LANES)
            row_store(z + i * columns, j, columns, row_load(row, j, columns, 0) - m - l);
    }
}

void mw_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS softmax_grad_row(dz + i * columns, z + i * columns, dx + i * columns, columns);
}

void mw_log_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS log_softmax_grad_row(dz + i * columns, z + i * columns, dx + i * columns, columns);
}

static void mean_of(const real *loss, real *mean, int64_t rows) {
    double sum = 0;
    for (int64_t i = 0; i < rows; i++) sum += loss[i];
    if (mean) *mean = (real)(sum / (double)rows);
}

void mw_sparse_cross_entropy_real(const real *x, const int64_t *label, real *loss, real *mean, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS {
        const real *row = x + i * columns;
        loss[i] = label[i] < 0 || label[i] >= columns ? NAN : row_log_sum_exp(row, columns) - row[label[i]];
    }
    mean_of(loss, mean, plan->rows);
}

void mw_sparse_cross_entropy_grad_real(const real *dz, const real *x, const int64_t *label, real *dx, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS {
        real *out = dx + i * columns, scale = dz[i * plan->dz_stride] * (real)plan->scale;
        softmax_row(x + i * columns, out, columns, scale);
        if (label[i] >= 0 && label[i] < columns) out[label[i]] -= scale;
        else row_affine(out, out, columns, 0, NAN);
    }
}

void mw_cross_entropy_real(const real *x, const real *target, real *loss, real *mean, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS loss[i] = cross_entropy_row(x + i * columns, target + i * columns, columns);
    mean_of(loss, mean, plan->rows);
}

void mw_cross_entropy_grad_real(const real *dz, const real *x, const real *target, real *dx, const mw_rows *plan) {
    ROW_THREADS;
    FOR_ROWS cross_entropy_grad_row(dz[i * plan->dz_stride] * (real)plan->scale, x + i * columns, target + i * columns, dx + i * columns, columns);
}
