/* Rows of logits: softmax, its logarithm, and the cross-entropy with their gradients. A row is read once for its maximum and
 * once for its exponentials; subtracting the maximum keeps every exponential at most 1. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"
#include "vmath.h"

enum { SOFTMAX_GRAIN = 16384 };

/* One row of a matrix: `readable` elements from its start on belong to the matrix. */
typedef struct {
    const real *at;
    int64_t columns, readable;
} row;

INLINE row row_of(const real *x, int64_t i, const mw_rows *plan) {
    return (row){x + i * plan->columns, plan->columns, (plan->rows - i) * plan->columns};
}

/* The vector at column j, with `fill` in the lanes beyond the end of the row. */
INLINE vec row_load(row r, int64_t j, real fill) {
    int64_t n = r.columns - j;
    if (n >= LANES) return load(r.at + j);
    vec v = r.readable - j >= LANES ? load(r.at + j) : load_first(r.at + j, n);
    return select(first_lanes(n), v, splat(fill));
}

INLINE void row_store(real *out, int64_t j, int64_t columns, vec v) {
    if (j + LANES <= columns) store(out + j, v);
    else store_first(out + j, v, columns - j);
}

INLINE real row_max(row x) {
    vec most = splat(-INFINITY);
    for (int64_t j = 0; j < x.columns; j += LANES) most = vmax(most, row_load(x, j, -INFINITY));
    return join_lanes(most, vmax);
}

/* Σ exp(x - max), stored as well where `out` is given */
INLINE real row_exp(row x, real *out, real max) {
    vec sum = {0}, m = splat(max);
    for (int64_t j = 0; j < x.columns; j += LANES) {
        vec e = vexp(row_load(x, j, -INFINITY) - m);
        sum += e;
        if (out) row_store(out, j, x.columns, e);
    }
    return join_lanes(sum, vadd);
}

INLINE real row_dot(row x, row y) {
    vec sum = {0};
    for (int64_t j = 0; j < x.columns; j += LANES) sum += row_load(x, j, 0) * row_load(y, j, 0);
    return join_lanes(sum, vadd);
}

INLINE real row_sum(row x) {
    vec sum = {0};
    for (int64_t j = 0; j < x.columns; j += LANES) sum += row_load(x, j, 0);
    return join_lanes(sum, vadd);
}

/* ln Σ exp(x) in two parts: the maximum, and the rest */
typedef struct {
    real max, rest;
} log_sum_exp;

INLINE log_sum_exp row_log_sum_exp(row x) {
    real max = row_max(x);
    return (log_sum_exp){max, vlog(splat(row_exp(x, NULL, max)))[0]};
}

/* ---- one row of each kernel ------------------------------------------------------------------------------------------ */

/* out = scale softmax(x) */
INLINE void softmax_row(row x, real *out, real scale) {
    vec factor = splat(scale / row_exp(x, out, row_max(x)));
    row e = {out, x.columns, x.columns};
    for (int64_t j = 0; j < x.columns; j += LANES) row_store(out, j, x.columns, row_load(e, j, 0) * factor);
}

INLINE void log_softmax_row(row x, real *out) {
    log_sum_exp l = row_log_sum_exp(x);
    for (int64_t j = 0; j < x.columns; j += LANES) row_store(out, j, x.columns, row_load(x, j, 0) - splat(l.max) - splat(l.rest));
}

INLINE void softmax_grad_row(row dz, row z, real *dx) {
    vec mean = splat(row_dot(dz, z));
    for (int64_t j = 0; j < z.columns; j += LANES) row_store(dx, j, z.columns, row_load(z, j, 0) * (row_load(dz, j, 0) - mean));
}

INLINE void log_softmax_grad_row(row dz, row z, real *dx) {
    vec sum = splat(row_sum(dz));
    for (int64_t j = 0; j < z.columns; j += LANES) row_store(dx, j, z.columns, row_load(dz, j, 0) - vexp(row_load(z, j, 0)) * sum);
}

INLINE real cross_entropy_row(row x, row target) {
    log_sum_exp l = row_log_sum_exp(x);
    vec sum = {0};
    for (int64_t j = 0; j < x.columns; j += LANES) {
        vec t = row_load(target, j, 0);
        sum += select(t == 0, splat(0), t * (splat(l.max) - row_load(x, j, 0) + splat(l.rest)));     /* 0 * inf is no loss */
    }
    return join_lanes(sum, vadd);
}

INLINE void cross_entropy_grad_row(real dz, row x, row target, real *dx) {
    softmax_row(x, dx, dz * row_sum(target));
    row p = {dx, x.columns, x.columns};
    for (int64_t j = 0; j < x.columns; j += LANES) row_store(dx, j, x.columns, row_load(p, j, 0) - splat(dz) * row_load(target, j, 0));
}

INLINE real sparse_cross_entropy_row(row x, int64_t label) {
    if (label < 0 || label >= x.columns) return NAN;
    log_sum_exp l = row_log_sum_exp(x);
    return l.max - x.at[label] + l.rest;
}

INLINE void sparse_cross_entropy_grad_row(real dz, row x, int64_t label, real *dx) {
    softmax_row(x, dx, label < 0 || label >= x.columns ? NAN : dz);
    if (label >= 0 && label < x.columns) dx[label] -= dz;
}

/* In double, from first to last. */
static void mean_of(const real *loss, real *mean, int64_t rows) {
    double sum = 0;
    for (int64_t i = 0; i < rows; i++) sum += loss[i];
    if (mean) *mean = (real)(sum / (double)rows);
}

/* ---- the kernels: a loop over the rows --------------------------------------------------------------------------------- */

typedef struct {
    const mw_rows *plan;
    const real *dz, *x, *target;
    const int64_t *label;
    real *out;
} rows_job;

#define FOR_ROWS(name, expression) static void name##_rows(const void *job, int64_t begin, int64_t end) { const rows_job *j = job; for (int64_t i = begin; i < end; i++) expression; }
#define RUN_ROWS(name, ...) rows_job job = {plan, __VA_ARGS__}; mw_parallel(mw_threads_for(plan->rows * plan->columns, SOFTMAX_GRAIN), plan->rows, name##_rows, &job)
#define ROW(member) row_of(j->member, i, j->plan)
#define OUT (j->out + i * j->plan->columns)
#define DZ (j->dz[i * j->plan->dz_stride] * (real)j->plan->scale)

FOR_ROWS(softmax, softmax_row(ROW(x), OUT, 1))
FOR_ROWS(log_softmax, log_softmax_row(ROW(x), OUT))
FOR_ROWS(softmax_grad, softmax_grad_row(ROW(dz), ROW(x), OUT))
FOR_ROWS(log_softmax_grad, log_softmax_grad_row(ROW(dz), ROW(x), OUT))
FOR_ROWS(sparse_cross_entropy, j->out[i] = sparse_cross_entropy_row(ROW(x), j->label[i]))
FOR_ROWS(sparse_cross_entropy_grad, sparse_cross_entropy_grad_row(DZ, ROW(x), j->label[i], OUT))
FOR_ROWS(cross_entropy, j->out[i] = cross_entropy_row(ROW(x), ROW(target)))
FOR_ROWS(cross_entropy_grad, cross_entropy_grad_row(DZ, ROW(x), ROW(target), OUT))

void mw_softmax_real(const real *x, real *z, const mw_rows *plan) {
    RUN_ROWS(softmax, .x = x, .out = z);
}

void mw_log_softmax_real(const real *x, real *z, const mw_rows *plan) {
    RUN_ROWS(log_softmax, .x = x, .out = z);
}

void mw_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan) {
    RUN_ROWS(softmax_grad, .dz = dz, .x = z, .out = dx);
}

void mw_log_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan) {
    RUN_ROWS(log_softmax_grad, .dz = dz, .x = z, .out = dx);
}

void mw_sparse_cross_entropy_real(const real *x, const int64_t *label, real *loss, real *mean, const mw_rows *plan) {
    RUN_ROWS(sparse_cross_entropy, .x = x, .label = label, .out = loss);
    mean_of(loss, mean, plan->rows);
}

void mw_sparse_cross_entropy_grad_real(const real *dz, const real *x, const int64_t *label, real *dx, const mw_rows *plan) {
    RUN_ROWS(sparse_cross_entropy_grad, .dz = dz, .x = x, .label = label, .out = dx);
}

void mw_cross_entropy_real(const real *x, const real *target, real *loss, real *mean, const mw_rows *plan) {
    RUN_ROWS(cross_entropy, .x = x, .target = target, .out = loss);
    mean_of(loss, mean, plan->rows);
}

void mw_cross_entropy_grad_real(const real *dz, const real *x, const real *target, real *dx, const mw_rows *plan) {
    RUN_ROWS(cross_entropy_grad, .dz = dz, .x = x, .target = target, .out = dx);
}
