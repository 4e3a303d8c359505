/* The backward of a whole layer in one call, made of the kernels that it consists of. */
#include "epilogue.h"

/* C = A @ B for contiguous C (m×n); A and B with their strides from row to row and from column to column */
static void product(const real *a, int64_t a_row, int64_t a_col, const real *b, int64_t b_row, int64_t b_col, real *c,
                    int64_t m, int64_t n, int64_t k) {
    mw_gemm_plan plan = {.m = m, .n = n, .k = k, .a_row = a_row, .a_col = a_col, .b_row = b_row, .b_col = b_col,
                         .c_row = n, .batch = 1};
    mw_gemm_real(a, b, NULL, c, &plan);
}

void mw_dense_grad_real(const real *dz, const real *z, const real *x, const real *w, real *da, real *dx, real *dw, real *db,
                        const mw_dense *plan) {
    const int64_t rows = plan->rows, inputs = plan->inputs, units = plan->units;
    const real *a = activation_grad(dz, z, da, rows * units, plan->activation);
    if (dx) product(a, units, 1, w, 1, units, dx, rows, inputs, units);
    if (dw) product(x, 1, inputs, a, units, 1, dw, inputs, units, rows);
    bias_grad(a, db, rows, units);
}
