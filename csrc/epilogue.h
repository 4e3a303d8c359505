/* What follows the sums of a kernel: a bias for each column, and an activation.
 *
 * A kernel has an epilogue if its prototype has a `bias`, which may be NULL, and its plan an `activation`. It calls finish_rows
 * on what it has summed, while that is in the cache; its backward begins with activation_grad and ends with bias_grad. The
 * addition of a bias, or an activation, after such a kernel in a captured function becomes its epilogue (capture/passes.py).
 */
#ifndef MW_EPILOGUE_H
#define MW_EPILOGUE_H

#include "simd.h"
#include "kernels.h"
#include "vmath.h"

/* row[j] = f(row[j] + bias[j * bias_step]). A last partial vector is computed in a padded copy, as a whole one. */
static inline void finish_row(real *row, int64_t n, const real *bias, int64_t bias_step, int64_t activation) {
    for (int64_t j = 0; j < n; j += LANES) {
        const int64_t count = n - j < LANES ? n - j : LANES;
        const int whole = count == LANES;
        vec x = whole ? load(row + j) : load_first(row + j, count);
        if (bias) x += !bias_step ? splat(*bias) : whole ? load(bias + j) : load_first(bias + j, count);
        if (activation == MW_RELU) x = vrelu(x);
        if (activation == MW_SIGMOID) x = vsigmoid(x);
        if (activation == MW_TANH) x = vtanh(x);
        if (whole) store(row + j, x);
        else store_first(row + j, x, count);
    }
}

/* C = f(C + bias) for rows×columns elements, those of a row contiguous, a row c_row elements after the one before. Without a bias, rows
 * that are contiguous are as good as one. */
static inline void finish_rows(real *c, int64_t rows, int64_t columns, int64_t c_row, const real *bias, int64_t activation) {
    if (!bias && activation == MW_LINEAR) return;
    if (!bias && columns == c_row) finish_row(c, rows * columns, NULL, 1, activation);
    else
        for (int64_t i = 0; i < rows; i++) finish_row(c + i * c_row, columns, bias, 1, activation);
}

/* What may follow the sums of a convolution besides: they are normalised, with numbers for each column, and others are added, which lie
 * as they do. */
typedef struct {
    const real *mean, *variance, *gamma, *bias, *added;     /* a NULL is left out; with the mean, the variance is */
    double epsilon;
    int64_t activation;
    const real *c;                                          /* where the sums begin, in rows of `columns` */
    int64_t columns;
} ending;

/* C = f((C - mean) gamma / √(variance + ε) + bias + added) for a part of the sums, with the very roundings of the kernels that do this one
 * by one. */
static inline void finish_sums(real *c, int64_t rows, int64_t columns, int64_t c_row, const ending *e) {
    const int64_t first = (c - e->c) % e->columns;
    for (int64_t j = 0; j < columns; j += LANES) {
        const int64_t count = columns - j < LANES ? columns - j : LANES, at = first + j;
        const vec mean = e->mean ? load_first(e->mean + at, count) : (vec){0}, one = splat(1);
        const vec gamma = e->gamma ? load_first(e->gamma + at, count) : one;
        const vec scale = e->mean ? gamma / vsqrt(load_first(e->variance + at, count) + splat((real)e->epsilon)) : one;
        const vec bias = e->bias ? load_first(e->bias + at, count) : (vec){0};
        for (int64_t i = 0; i < rows; i++) {
            real *to = c + i * c_row + j;
            vec x = load_first(to, count);
            if (e->mean) x = held((x - mean) * scale);      /* held: not to become one instruction with what is added */
            if (e->bias) x += bias;
            if (e->added) x += load_first(e->added + (to - e->c), count);
            if (e->activation == MW_RELU) x = vrelu(x);
            if (e->activation == MW_SIGMOID) x = vsigmoid(x);
            if (e->activation == MW_TANH) x = vtanh(x);
            store_first(to, x, count);
        }
    }
}

/* mw_gemm_real for contiguous rows of C, and all that follows. */
void mw_gemm_ending_real(const real *a, const real *b, const ending *more, real *c, const mw_gemm_plan *plan);

/* The backward of z = f(c + bias):  da = dz f'(z) for n elements. Returns da, or dz, which is the same, with f linear: z and da
 * may then be NULL. */
static inline const real *activation_grad(const real *dz, const real *z, real *da, int64_t n, int64_t activation) {
    const mw_walk walk = {.size = n, .ndim = 1, .shape = {n}, .stride = {{1}, {1}, {1}}};
    if (activation == MW_RELU) mw_relu_grad_real(dz, z, da, &walk);
    if (activation == MW_SIGMOID) mw_sigmoid_grad_real(dz, z, da, &walk);
    if (activation == MW_TANH) mw_tanh_grad_real(dz, z, da, &walk);
    return activation == MW_LINEAR ? dz : da;
}

/* db = Σ da over contiguous rows, unless it is NULL. */
static inline void bias_grad(const real *da, real *db, int64_t rows, int64_t columns) {
    const mw_reduction sum = {.outer = 1, .count = rows, .inner = columns, .scale = 1};
    if (db) mw_sum_real(da, db, &sum);
}

#endif
