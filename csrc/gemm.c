/* The matrix product C = activation(A @ B + bias), as a ladder of ideas:
 *
 *   1. the register tile     a piece of C is summed in registers, from rows of B and single numbers of A
 *   2. packing               operands that the tile cannot read well are copied into an order that it can
 *   3. cache blocks          the tile walks so that what it reads again is still near
 *   4. thin products         a vector times a matrix
 *   5. threads, batches      whole pieces of C, each as if it were a product of its own
 *
 * Outside 4, an element of C is a sum over blocks of DEPTH terms, each block one chain of multiply-adds in the order of k.
 * So neither its place in a tile nor the number of threads shows in its bits.
 */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"
#include "vmath.h"

INLINE int64_t smaller(int64_t x, int64_t y) { return x < y ? x : y; }
INLINE int64_t larger(int64_t x, int64_t y) { return x > y ? x : y; }
INLINE int64_t ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

/* Element (i, j) is at[i * row + j * col]; nothing from `end` on may be read. */
typedef struct {
    const real *at, *end;
    int64_t row, col;
} matrix;

INLINE matrix transposed(matrix x) { return (matrix){x.at, x.end, x.col, x.row}; }
INLINE const real *element(matrix x, int64_t i, int64_t j) { return x.at + i * x.row + j * x.col; }
INLINE matrix part(matrix x, int64_t i, int64_t j) { return (matrix){element(x, i, j), x.end, x.row, x.col}; }

static matrix matrix_of(const real *at, int64_t rows, int64_t cols, int64_t row, int64_t col) {
    return (matrix){at, at + larger(0, (rows - 1) * row) + larger(0, (cols - 1) * col) + 1, row, col};
}

/* `count` numbers, at most one vector, in pieces of fixed size: a memcpy of variable size would be a call. */
INLINE void copy_few(real *to, const real *from, int64_t count) {
    if (count >= LANES) { store(to, load(from)); return; }
    for (int64_t piece = LANES / 2; piece > 0; piece /= 2)
        if (count & piece) {
            memcpy(to, from, (size_t)piece * sizeof *to);
            to += piece;
            from += piece;
        }
}

/* A vector whose first `count` lanes count. The others may hold whatever memory does, unless memory ends before them. */
INLINE vec load_loosely(const real *p, int64_t count, const real *end) {
    if (p + LANES <= end) return load(p);
    real few[LANES] = {0};
    copy_few(few, p, count);
    return load(few);
}

/* ---- 1. the register tile ---------------------------------------------------------------------------------------
 * For each p, `width` vectors of a row of B are loaded, and each of `height` numbers of a column of A multiplies all of
 * them. 14×2 vectors take 28 registers for the sums, 2 for B and 1 for A, of 32; 6×2 take 15 of 16. For 14×2, one p is 28
 * multiply-adds and 16 loads, which a core that does two of each per cycle hides. Short tiles are made wider, for enough
 * independent sums to fill the pipeline (about 8).
 */
enum { TALLEST = MW_REGISTERS == 32 ? 14 : 6, WIDEST = 8 };

/* The most vectors that fit beside a tile of this height: a power of two. */
INLINE int64_t width_for(int64_t height) {
    int64_t width = WIDEST;
    while (width > 2 && (height + 1) * width >= MW_REGISTERS) width /= 2;
    return width;
}

typedef struct {
    int64_t k;
    const real *a, *b;
    real *c;
    int64_t a_row, a_col, b_row, c_row;
    enum { START, RESUME, ADD } mode;           /* C = A @ B; C = the chains in C, continued; C += A @ B */
} tile_job;

INLINE void tile(const int height, const int width, const tile_job *job) {
    const tile_job t = *job;
    const real *a = t.a, *b = t.b;
    vec sum[TALLEST][WIDEST];
#pragma GCC unroll 16
    for (int i = 0; i < height; i++)
#pragma GCC unroll 16
        for (int j = 0; j < width; j++) sum[i][j] = t.mode == RESUME ? load(t.c + i * t.c_row + j * LANES) : (vec){0};
    for (int64_t p = 0; p < t.k; p++, a += t.a_col, b += t.b_row) {
        vec right[WIDEST];
#pragma GCC unroll 16
        for (int j = 0; j < width; j++) right[j] = load(b + j * LANES);
#pragma GCC unroll 16
        for (int i = 0; i < height; i++) {
            const vec left = splat(a[i * t.a_row]);
#pragma GCC unroll 16
            for (int j = 0; j < width; j++) sum[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < height; i++)
#pragma GCC unroll 16
        for (int j = 0; j < width; j++) {
            real *to = t.c + i * t.c_row + j * LANES;
            store(to, t.mode == ADD ? load(to) + sum[i][j] : sum[i][j]);
        }
}

INLINE void tile_of_width(const int width, int64_t height, const tile_job *job) {
    if ((height + 1) * width >= MW_REGISTERS && width > 2) return;
    switch (height) {
    case 1: tile(1, width, job); break;
    case 2: tile(2, width, job); break;
    case 3: if (width <= 4) tile(3, width, job); break;
    case 4: if (width <= 4) tile(4, width, job); break;
    case 5: if (width <= 4) tile(5, width, job); break;
    case 6: if (width <= 4) tile(6, width, job); break;
#if MW_REGISTERS == 32
    case 7: if (width <= 2) tile(7, width, job); break;
    case 8: if (width <= 2) tile(8, width, job); break;
    case 9: if (width <= 2) tile(9, width, job); break;
    case 10: if (width <= 2) tile(10, width, job); break;
    case 11: if (width <= 2) tile(11, width, job); break;
    case 12: if (width <= 2) tile(12, width, job); break;
    case 13: if (width <= 2) tile(13, width, job); break;
    case 14: if (width <= 2) tile(14, width, job); break;
#endif
    }
}

static void full_tile(int64_t height, int64_t width, const tile_job *job) {
    switch (width) {
    case 1: tile_of_width(1, height, job); break;
    case 2: tile_of_width(2, height, job); break;
    case 4: tile_of_width(4, height, job); break;
    case 8: tile_of_width(8, height, job); break;
    }
}

/* The last tile of a row may stick out of C: it is computed in full, beside C, and its inner part copied. A row of B may be
 * read past its end, into the next one, as lanes do not mix; only the last few rows, where memory ends, go through a copy. */
static void edge_tile(int64_t height, int64_t width, int64_t columns, const real *b_end, const tile_job *job) {
    real whole[TALLEST * WIDEST * LANES], last_rows[LANES * WIDEST * LANES];
    tile_job t = *job;
    t.c = whole;
    t.c_row = width * LANES;
    t.mode = START;
    int64_t readable = t.k;
    while (readable > 0 && t.b + (readable - 1) * t.b_row + t.c_row > b_end) readable--;
    t.k = readable;
    full_tile(height, width, &t);
    for (t.a += readable * t.a_col; readable < job->k; readable += t.k, t.a += t.k * t.a_col) {
        t.k = smaller(LANES, job->k - readable);
        for (int64_t p = 0; p < t.k; p++)
            for (int64_t j = 0; j < t.c_row; j += LANES)
                store(last_rows + p * t.c_row + j, load_loosely(job->b + (readable + p) * job->b_row + j, columns - j, b_end));
        t.b = last_rows;
        t.b_row = t.c_row;
        t.mode = RESUME;
        full_tile(height, width, &t);
    }

    for (int64_t i = 0; i < height; i++)
        for (int64_t j = 0; j < columns; j += LANES) {
            real *from = whole + i * t.c_row + j, *to = job->c + i * job->c_row + j, old[LANES] = {0};
            if (job->mode == ADD) {
                copy_few(old, to, columns - j);
                store(from, load(from) + load(old));
            }
            copy_few(to, from, columns - j);
        }
}

/* ---- 2. packing -------------------------------------------------------------------------------------------------
 * to[p * width + j] = from(p, j) for p < k, j < columns, with anything in the lanes up to `width`.
 */
#if MW_VECTOR_BYTES == 16 && MW_DOUBLE
INLINE vec zip_low(vec x, vec y) { return __builtin_shufflevector(x, y, 0, 2); }
INLINE vec zip_high(vec x, vec y) { return __builtin_shufflevector(x, y, 1, 3); }
#elif MW_VECTOR_BYTES / (4 + 4 * MW_DOUBLE) == 4
INLINE vec zip_low(vec x, vec y) { return __builtin_shufflevector(x, y, 0, 4, 1, 5); }
INLINE vec zip_high(vec x, vec y) { return __builtin_shufflevector(x, y, 2, 6, 3, 7); }
#elif MW_VECTOR_BYTES / (4 + 4 * MW_DOUBLE) == 8
INLINE vec zip_low(vec x, vec y) { return __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11); }
INLINE vec zip_high(vec x, vec y) { return __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15); }
#else
INLINE vec zip_low(vec x, vec y) {
    return __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
INLINE vec zip_high(vec x, vec y) {
    return __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#endif

/* Zipping row i with row i + LANES/2, log2(LANES) times over, transposes. */
INLINE void transpose_block(vec *rows) {
#pragma GCC unroll 4
    for (int round = 1; round < LANES; round *= 2) {
        vec zipped[LANES];
#pragma GCC unroll 16
        for (int i = 0; i < LANES / 2; i++) {
            zipped[2 * i] = zip_low(rows[i], rows[i + LANES / 2]);
            zipped[2 * i + 1] = zip_high(rows[i], rows[i + LANES / 2]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++) rows[i] = zipped[i];
    }
}

static void pack(real *to, matrix from, int64_t k, int64_t columns, int64_t panel, int64_t spacing) {
    if (from.row == 1 && from.col != 1) {
        for (int64_t j0 = 0; j0 < columns; j0 += panel, to += k * spacing)
            for (int64_t j = 0; j < smaller(panel, columns - j0); j += LANES)
                for (int64_t p = 0; p < k; p += LANES) {
                    vec block[LANES];
#pragma GCC unroll 16
                    for (int i = 0; i < LANES; i++)
                        block[i] = j0 + j + i < columns ? load_loosely(element(from, p, j0 + j + i), k - p, from.end) : (vec){0};
                    transpose_block(block);
                    if (p + LANES <= k) {
#pragma GCC unroll 16
                        for (int i = 0; i < LANES; i++) store(to + (p + i) * spacing + j, block[i]);
                    } else
                        for (int i = 0; i < k - p; i++) store(to + (p + i) * spacing + j, block[i]);
                }
    } else if (from.col == 1) {
        for (int64_t p0 = 0; p0 < k; p0 += 8) {
            real *out = to + p0 * spacing;
            for (int64_t j0 = 0; j0 < columns; j0 += panel, out += k * spacing)
                for (int64_t p = 0; p < smaller(8, k - p0); p++)
                    for (int64_t j = 0; j < smaller(panel, columns - j0); j += LANES)
                        store(out + p * spacing + j, load_loosely(element(from, p0 + p, j0 + j), columns - j0 - j, from.end));
        }
    } else {
        for (int64_t j0 = 0; j0 < columns; j0 += panel, to += k * spacing)
            for (int64_t p = 0; p < k; p++)
                for (int64_t j = 0; j < spacing; j++) to[p * spacing + j] = j0 + j < columns ? *element(from, p, j0 + j) : 0;
    }
}

/* ---- 3. cache blocks --------------------------------------------------------------------------------------------
 */
enum {
    DEPTH = 256,                                                /* rows of B in a block */
    STRIPS = 8,
    BLOCK_BYTES = 512 * 1024,                                   /* of B, for half of the L2 cache */
    STRIP = (TALLEST + (int)LANES - 1) / (int)LANES * (int)LANES,    /* a packed column of A */
};

typedef struct {
    int64_t m, n, k;
    matrix a, b;
    const real *bias;
    real *c;
    int64_t c_row;
    int accumulate, activation;
} product;

static void finish_row(real *row, const real *bias, int64_t n, int activation) {
    for (int64_t j = 0; j < n; j += LANES) {
        const int64_t count = smaller(LANES, n - j);
        real few[LANES] = {0}, few_bias[LANES] = {0};
        vec x;
        if (count < LANES) { copy_few(few, row + j, count); x = load(few); } else x = load(row + j);
        if (bias && count < LANES) { copy_few(few_bias, bias + j, count); x += load(few_bias); } else if (bias) x += load(bias + j);
        if (activation == MW_RELU) x = vrelu(x);
        if (activation == MW_SIGMOID) x = vsigmoid(x);
        if (activation == MW_TANH) x = vtanh(x);
        if (count < LANES) { store(few, x); copy_few(row + j, few, count); } else store(row + j, x);
    }
}

static int crowded(int64_t stride) {
    return (stride * (int64_t)sizeof(real) + 64) % 4096 <= 128;
}

static void multiply(const product *x) {
    const product g = *x;
    const int64_t strips = ceil_div(g.m, TALLEST), height = ceil_div(g.m, larger(1, strips)), width = width_for(height);
    const int pack_b = g.b.col != 1 || (g.m >= 128 && g.k * g.n * (int64_t)sizeof(real) > BLOCK_BYTES);
    const int pack_a = g.n >= 128 && crowded(g.a.row == 1 ? g.a.col : g.a.row);

    int64_t across = BLOCK_BYTES / (int64_t)sizeof(real) / DEPTH, down = STRIPS * height;
    real small_block[DEPTH * LANES], *packed_b = small_block, *packed_a = NULL;
    if (pack_b || pack_a) {
        real *scratch = mw_scratch(BLOCK_BYTES + STRIPS * DEPTH * STRIP * sizeof(real));
        if (scratch) packed_b = scratch, packed_a = scratch + BLOCK_BYTES / sizeof(real);
        else across = LANES;
    }

    for (int64_t j0 = 0; j0 < g.n; j0 += across) {
        const int64_t columns = smaller(across, g.n - j0);
        for (int64_t p0 = 0; p0 == 0 || p0 < g.k; p0 += DEPTH) {
            const int64_t kc = smaller(DEPTH, g.k - p0);
            if (pack_b) pack(packed_b, part(g.b, p0, j0), kc, columns, smaller(width * LANES, across), smaller(width * LANES, across));
            for (int64_t i0 = 0; i0 < g.m; i0 += down) {
                if (packed_a && pack_a) pack(packed_a, transposed(part(g.a, i0, p0)), kc, smaller(down, g.m - i0), height, STRIP);
                for (int64_t i = i0; i < smaller(i0 + down, g.m); i += height) {
                    matrix a = part(g.a, i, p0);
                    if (packed_a && pack_a) a.at = packed_a + (i - i0) / height * kc * STRIP, a.row = 1, a.col = STRIP;
                    for (int64_t j = 0, w; j < columns; j += w * LANES) {
                        const int64_t left = columns - j;
                        for (w = width; w > ceil_div(left, LANES); w /= 2) continue;
                        const int64_t inside = smaller(left, w * LANES);
                        matrix b = part(g.b, p0, j0 + j);
                        if (pack_b) {
                            const int64_t panel = width * LANES;
                            b.at = packed_b + j / panel * kc * panel + j % panel;
                            b.row = smaller(panel, across);
                            b.end = b.at + kc * b.row;
                        }
                        const tile_job t = {kc, a.at, b.at, g.c + i * g.c_row + j0 + j, a.row, a.col, b.row, g.c_row, g.accumulate || p0 > 0 ? ADD : START};
                        if (inside == w * LANES) full_tile(smaller(height, g.m - i), w, &t);
                        else edge_tile(smaller(height, g.m - i), w, inside, b.end, &t);
                    }
                    if (p0 + DEPTH >= g.k && (g.bias || g.activation))
                        for (int64_t r = i; r < smaller(i + height, g.m); r++)
                            finish_row(g.c + r * g.c_row + j0, g.bias ? g.bias + j0 : NULL, columns, g.activation);
                }
            }
        }
    }
}

/* ---- 5. threads, batches ----------------------------------------------------------------------------------------
 */
void mw_gemm_real(const real *a, const real *b, const real *bias, real *c, const mw_gemm_plan *plan) {
    const mw_gemm_plan *g = plan;
    for (int64_t item = 0; item < g->batch; item++) {
        const product x = {
            .m = g->m, .n = g->n, .k = g->k, .c = c + item * g->c_batch, .c_row = g->c_row,
            .a = matrix_of(a + item * g->a_batch, g->m, g->k, g->a_row, g->a_col),
            .b = matrix_of(b + item * g->b_batch, g->k, g->n, g->b_row, g->b_col),
            .bias = g->accumulate ? NULL : bias, .accumulate = g->accumulate, .activation = g->accumulate ? MW_LINEAR : g->activation,
        };
        multiply(&x);
    }
}
