/* Rows of logits: softmax, its logarithm, the cross-entropy, and their gradients.
 *
 * Each formula is written once, on lines of vectors, and runs in two ways. A long row is a line by itself: its lanes hold
 * neighbouring columns, and every sum or maximum ends by joining them. Short rows are taken LANES at a time, one in each
 * lane, copied column after column into a line: then there is nothing to join, and one logarithm serves all of them.
 */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"
#include "vmath.h"

/* Up to how many columns a row is short. Measured: a row by itself becomes faster beyond 100 in 16 lanes, 30 in 2. */
enum { SOFTMAX_GRAIN = 16384, SHORT = 64 };

/* ---- lines ------------------------------------------------------------------------------------------------------------- */

/* `length` reals, worked on in whole vectors: those that do not fill one are in `rest`, padded. */
typedef struct {
    real *at, *rest;
    int64_t length;
} line;

INLINE real *line_at(line l, int64_t j) { return j + LANES <= l.length ? l.at + j : l.rest; }
INLINE vec line_load(line l, int64_t j) { return load(line_at(l, j)); }
INLINE void line_store(line l, int64_t j, vec v) { store(line_at(l, j), v); }

/* The lanes hold a row each (APART), or one row that is to be joined. */
typedef enum { APART, TOGETHER } lanes;
INLINE vec max_of(vec v, lanes l) { return l == APART ? v : splat(join_lanes(v, greater)); }
INLINE vec sum_of(vec v, lanes l) { return l == APART ? v : splat(join_lanes(v, vadd)); }

/* Of a NaN the maximum may lose sight: exp(NaN - max) still brings it into the sum. */
INLINE vec line_max(line x, lanes l) {
    vec max = splat(-INFINITY);
    for (int64_t j = 0; j < x.length; j += LANES) max = greater(max, line_load(x, j));
    return max_of(max, l);
}

INLINE vec line_sum(line x, lanes l) {
    vec sum = {0};
    for (int64_t j = 0; j < x.length; j += LANES) sum += line_load(x, j);
    return sum_of(sum, l);
}

/* ---- the formulas ------------------------------------------------------------------------------------------------------ */

/* What a formula works on: one long row or LANES short ones. */
typedef struct {
    line x, y, out;            /* out may be x */
    vec weight;                /* of the row; NaN where its label is none */
    vec chosen;                /* x[label] */
} rows;

/* Fills `out`, or gives the losses. */
typedef vec formula(rows r, lanes l);

/* out = weight softmax(x) */
INLINE vec softmax(rows r, lanes l) {
    vec max = line_max(r.x, l), sum = {0};
    for (int64_t j = 0; j < r.x.length; j += LANES) {
        vec e = exp_of_negative(line_load(r.x, j) - max);
        sum += e;
        line_store(r.out, j, e);
    }
    vec factor = r.weight / sum_of(sum, l);
    for (int64_t j = 0; j < r.x.length; j += LANES) line_store(r.out, j, line_load(r.out, j) * factor);
    return sum;
}

/* ln Σ exp(x - max x) */
INLINE vec log_sum_exp(line x, vec max, lanes l) {
    vec sum = {0};
    for (int64_t j = 0; j < x.length; j += LANES) sum += exp_of_negative(line_load(x, j) - max);
    return vlog(sum_of(sum, l));
}

/* out = x - max x - ln Σ exp(x - max x) */
INLINE vec log_softmax(rows r, lanes l) {
    vec max = line_max(r.x, l), rest = log_sum_exp(r.x, max, l);
    for (int64_t j = 0; j < r.x.length; j += LANES) line_store(r.out, j, line_load(r.x, j) - max - rest);
    return rest;
}

/* out = x (y - Σ x y) */
INLINE vec softmax_grad(rows r, lanes l) {
    vec sum = {0};
    for (int64_t j = 0; j < r.x.length; j += LANES) sum += line_load(r.x, j) * line_load(r.y, j);
    vec mean = sum_of(sum, l);
    for (int64_t j = 0; j < r.x.length; j += LANES) line_store(r.out, j, line_load(r.x, j) * (line_load(r.y, j) - mean));
    return mean;
}

/* out = y - exp(x) Σ y */
INLINE vec log_softmax_grad(rows r, lanes l) {
    vec sum = line_sum(r.y, l);
    for (int64_t j = 0; j < r.x.length; j += LANES) line_store(r.out, j, line_load(r.y, j) - vexp(line_load(r.x, j)) * sum);
    return sum;
}

/* ln Σ exp(x) - x[label], in an order that does not cancel */
INLINE vec sparse_cross_entropy(rows r, lanes l) {
    vec max = line_max(r.x, l);
    return r.weight * (max - r.chosen + log_sum_exp(r.x, max, l));
}

/* Σ y (ln Σ exp(x) - x) */
INLINE vec cross_entropy(rows r, lanes l) {
    vec max = line_max(r.x, l), rest = log_sum_exp(r.x, max, l), sum = {0};
    for (int64_t j = 0; j < r.x.length; j += LANES) {
        vec t = line_load(r.y, j);
        sum += choose(t == 0, splat(0), t * (max - line_load(r.x, j) + rest));        /* 0 * inf is no loss */
    }
    return sum_of(sum, l);
}

/* out = weight (softmax(x) Σ y - y) */
INLINE vec cross_entropy_grad(rows r, lanes l) {
    vec dz = r.weight;
    r.weight = dz * line_sum(r.y, l);
    softmax(r, l);
    for (int64_t j = 0; j < r.x.length; j += LANES) line_store(r.out, j, line_load(r.out, j) - dz * line_load(r.y, j));
    return dz;
}

/* ---- a formula over the rows of a matrix --------------------------------------------------------------------------------- */

typedef struct {
    const mw_rows *plan;
    const real *x, *y, *dz;
    const int64_t *label;
    real *out, *loss;
    real fill;                 /* pads x where a line ends within a vector; y is padded with 0 */
} rows_job;

INLINE int has_label(const rows_job *j, int64_t i) { return j->label[i] >= 0 && j->label[i] < j->plan->columns; }
INLINE real dz_of(const rows_job *j, int64_t i) { return j->dz ? j->dz[i * j->plan->dz_stride] * (real)j->plan->scale : 1; }

/* Weights and chosen logits of n rows from row i on. */
INLINE void look_up(const rows_job *j, int64_t i, int64_t n, real *weight, real *chosen) {
    for (int64_t k = 0; k < n; k++) {
        weight[k] = dz_of(j, i + k);
        if (!j->label) continue;
        if (has_label(j, i + k)) chosen[k] = j->x[(i + k) * j->plan->columns + j->label[i + k]];
        else weight[k] = NAN;
    }
}

/* softmax - onehot: the second half of the gradient for labels */
INLINE void subtract_labels(const rows_job *j, int64_t i, int64_t n) {
    for (int64_t k = i; k < i + n; k++)
        if (has_label(j, k)) j->out[k * j->plan->columns + j->label[k]] -= dz_of(j, k);
}

/* Of n rows, how many may be read or written by a whole vector at column j? What it holds beyond its row belongs to the next. */
INLINE int64_t whole_rows(int64_t n, int64_t columns, int64_t j) { return (n * columns - j - LANES + columns) / columns; }

/* LANES rows or less of a matrix to a line: row i to lane i. Lanes without a row get zeros. */
INLINE void stage(const real *x, int64_t columns, int64_t n, real *line) {
    for (int64_t j = 0; j < columns; j += LANES) {
        vec tile[LANES];
        int64_t whole = whole_rows(n, columns, j);
        for (int64_t i = 0; i < LANES; i++) {
            const real *p = x + i * columns + j;
            tile[i] = i < whole ? load(p) : i < n ? load_first(p, columns - j) : splat(0);
        }
        transpose(tile);
        for (int64_t i = 0; i < LANES; i++) store(line + (j + i) * LANES, tile[i]);
    }
}

/* And back, from right to left: what is written beyond a row, the next row or the next tile writes anew. */
INLINE void unstage(const real *line, int64_t columns, int64_t n, real *out) {
    for (int64_t j = (columns + LANES - 1) / LANES * LANES - LANES; j >= 0; j -= LANES) {
        vec tile[LANES];
        int64_t whole = whole_rows(n, columns, j);
        for (int64_t i = 0; i < LANES; i++) tile[i] = load(line + (j + i) * LANES);
        transpose(tile);
        for (int64_t i = 0; i < LANES; i++) {
            real *p = out + i * columns + j;
            if (i < whole) store(p, tile[i]);
            else if (i < n) store_first(p, tile[i], columns - j);
        }
    }
}

INLINE void short_rows(const rows_job *j, int64_t begin, int64_t end, formula *f) {
    real x[SHORT * LANES] __attribute__((aligned(64))), y[SHORT * LANES] __attribute__((aligned(64)));
    real weight[LANES] = {0}, chosen[LANES] = {0};
    int64_t columns = j->plan->columns, length = columns * LANES;
    for (int64_t i = begin; i < end; i += LANES) {
        int64_t n = end - i < LANES ? end - i : LANES;
        stage(j->x + i * columns, columns, n, x);
        if (j->y) stage(j->y + i * columns, columns, n, y);
        look_up(j, i, n, weight, chosen);
        rows r = {.x = {x, NULL, length}, .y = {y, NULL, length}, .out = {x, NULL, length},
                  .weight = load(weight), .chosen = load(chosen)};
        vec loss = f(r, APART);
        if (j->loss && n == LANES) store(j->loss + i, loss);
        else if (j->loss) store_first(j->loss + i, loss, n);
        if (j->out) unstage(x, columns, n, j->out + i * columns);
        if (j->out && j->label) subtract_labels(j, i, n);
    }
}

INLINE void long_rows(const rows_job *j, int64_t begin, int64_t end, formula *f) {
    int64_t columns = j->plan->columns, whole = columns / LANES * LANES;
    real rest[3][LANES] __attribute__((aligned(64))) = {{0}}, weight = 1, chosen = 0;
    for (int64_t i = begin; i < end; i++) {
        const real *x = j->x + i * columns, *y = j->y ? j->y + i * columns : NULL;
        real *out = j->out ? j->out + i * columns : NULL;
        store(rest[0], choose(first_lanes(columns - whole), load_first(x + whole, columns - whole), splat(j->fill)));
        if (y) store(rest[1], load_first(y + whole, columns - whole));
        look_up(j, i, 1, &weight, &chosen);
        rows r = {
            .x = {(real *)x, rest[0], columns}, .y = {(real *)y, rest[1], columns}, .out = {out, rest[2], columns},
            .weight = splat(weight), .chosen = splat(chosen),
        };
        vec loss = f(r, TOGETHER);
        if (j->loss) j->loss[i] = loss[0];
        if (out) store_first(out + whole, load(rest[2]), columns - whole);
        if (out && j->label) subtract_labels(j, i, 1);
    }
}

INLINE void for_rows(const rows_job *j, int64_t begin, int64_t end, formula *f) {
    if (j->plan->columns <= SHORT) short_rows(j, begin, end, f);
    else long_rows(j, begin, end, f);
}

#define FOR_ROWS(name) static void name##_rows(const void *job, int64_t begin, int64_t end) { for_rows(job, begin, end, name); }
FOR_ROWS(softmax)
FOR_ROWS(log_softmax)
FOR_ROWS(softmax_grad)
FOR_ROWS(log_softmax_grad)
FOR_ROWS(sparse_cross_entropy)
FOR_ROWS(cross_entropy)
FOR_ROWS(cross_entropy_grad)

/* In double, as eight sums side by side. */
static void mean_of(const real *loss, real *mean, int64_t rows) {
    if (!mean) return;
    double sum[8] = {0};
    for (int64_t i = 0; i < rows; i++) sum[i % 8] += loss[i];
    double total = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    *mean = (real)(total / (double)rows);
}

#define RUN_ROWS(name, ...) rows_job job = {plan, __VA_ARGS__}; mw_parallel(mw_threads_for(plan->rows * plan->columns, SOFTMAX_GRAIN), plan->rows, name##_rows, &job)

void mw_softmax_real(const real *x, real *z, const mw_rows *plan) {
    RUN_ROWS(softmax, .x = x, .out = z, .fill = -INFINITY);
}

void mw_log_softmax_real(const real *x, real *z, const mw_rows *plan) {
    RUN_ROWS(log_softmax, .x = x, .out = z, .fill = -INFINITY);
}

void mw_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan) {
    RUN_ROWS(softmax_grad, .x = z, .y = dz, .out = dx);
}

void mw_log_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan) {
    RUN_ROWS(log_softmax_grad, .x = z, .y = dz, .out = dx);
}

void mw_sparse_cross_entropy_real(const real *x, const int64_t *label, real *loss, real *mean, const mw_rows *plan) {
    RUN_ROWS(sparse_cross_entropy, .x = x, .label = label, .loss = loss, .fill = -INFINITY);
    mean_of(loss, mean, plan->rows);
}

void mw_sparse_cross_entropy_grad_real(const real *dz, const real *x, const int64_t *label, real *dx, const mw_rows *plan) {
    RUN_ROWS(softmax, .x = x, .dz = dz, .label = label, .out = dx, .fill = -INFINITY);
}

void mw_cross_entropy_real(const real *x, const real *target, real *loss, real *mean, const mw_rows *plan) {
    RUN_ROWS(cross_entropy, .x = x, .y = target, .loss = loss, .fill = -INFINITY);
    mean_of(loss, mean, plan->rows);
}

void mw_cross_entropy_grad_real(const real *dz, const real *x, const real *target, real *dx, const mw_rows *plan) {
    RUN_ROWS(cross_entropy_grad, .x = x, .y = target, .dz = dz, .out = dx, .fill = -INFINITY);
}
