/* The building block of all products: a register tile, which sums A @ B over a list of pairs (a batch-reduce product: Georganas et al.
 * 2020). A matrix product is one pair, a convolution one for each line of its kernel. What a kernel adds to this is which pairs.
 * The tile's code is in tile.c, once for each build, and shared by gemm.c and conv.c. */
#ifndef MW_TILE_H
#define MW_TILE_H

#include "simd.h"

INLINE int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }
INLINE int64_t larger(int64_t x, int64_t y) { return x > y ? x : y; }
INLINE int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }
INLINE int64_t round_up(int64_t x, int64_t to) { return ceil_div(x, to) * to; }

/* Element (i, j) is at[i * row + j * col]; nothing from `end` on may be read. */
typedef struct {
    const real *at, *end;
    int64_t row, col;
} matrix;

INLINE const real *element(matrix x, int64_t i, int64_t j) { return x.at + i * x.row + j * x.col; }
INLINE matrix part(matrix x, int64_t i, int64_t j) { return (matrix){element(x, i, j), x.end, x.row, x.col}; }
INLINE matrix transposed(matrix x) { return (matrix){x.at, x.end, x.col, x.row}; }

INLINE matrix matrix_of(const real *at, int64_t rows, int64_t cols, int64_t row, int64_t col) {
    return (matrix){at, at + larger(0, (rows - 1) * row) + larger(0, (cols - 1) * col) + 1, row, col};
}

/* A vector of which `count` lanes are wanted. The others hold what memory does there (lanes never mix, so it does no harm),
 * or zero where memory ends. */
INLINE vec load_loosely(const real *p, int64_t count, const real *end) {
    return p + LANES <= end ? load(p) : load_first(p, smaller(LANES, count));
}

enum { TALLEST = MW_REGISTERS == 32 ? 14 : 6, WIDEST = 8 };

INLINE int fits(int64_t height, int64_t width) { return width <= 2 || (height + 1) * width < MW_REGISTERS; }

enum { STRIP_SPACE = (TALLEST + (int)LANES - 1) / (int)LANES * (int)LANES };      /* TALLEST in whole vectors */

/* Where an A and a B of the sum begin, from the `a` and the `b` of the job. */
typedef struct {
    int64_t a, b;
} pair;

static const pair at_once = {0, 0};             /* the one pair of a single product */

/* C = Σ over pairs of A @ B, a piece of C as large as a tile: its elements are summed in registers. */
typedef struct {
    int64_t pairs;
    const pair *pair;
    int64_t k;                                  /* columns of each A, rows of each B */
    const real *a, *b;
    real *c;
    int64_t a_row, a_col, b_row, c_row;
    int64_t columns;                            /* of a tile of a partial vector: its lanes */
    const real *bias;                           /* one for each column, or NULL */
    int add, relu;                              /* C += instead of C =; and relu in the end */
} tile_job;

/* `width` whole vectors wide, or, for 0, a single partial one, of job->columns, where there are MASKS. `height` is at most TALLEST, and
 * height and width fit. */
void mw_tile_real(int64_t height, int64_t width, const tile_job *job);

/* A tile that sticks out of C, of which it has `columns`, or lies across it, c_col not being 1: computed in full beside C, and without
 * bias and relu. */
void mw_edge_tile_real(int64_t height, int64_t width, int64_t columns, int64_t c_col, const tile_job *job);

/* For B a panel is as wide as a tile; A is packed transposed, and a panel of it is as wide as a tile is high.
 * A matrix of k rows is cut into panels of so many columns, and each panel is stored row after row, `spacing` apart. */
void mw_pack_real(real *to, matrix from, int64_t k, int64_t columns, int64_t panel, int64_t spacing);

#endif
