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

/* C (i, j) is at c[i * c_row + j * c_col]: c_col is 1, or the roles are swapped, Cᵀ = Bᵀ @ Aᵀ, and c_row is 1. */
typedef struct {
    int64_t m, n, k;
    matrix a, b;
    const real *bias;
    real *c;
    int64_t c_row, c_col, depth;
    int accumulate, activation, swapped;
    enum { TILES, SHORT_DOTS, LONG_DOTS, NARROW, WIDE } path;
} product;

static void finish_row(real *row, int64_t n, const real *bias, int64_t bias_step, int activation) {
    for (int64_t j = 0; j < n; j += LANES) {
        real few[LANES] = {0}, few_bias[LANES] = {0}, *at = row + j;
        const real *bias_at = bias + j * bias_step;
        const int64_t count = smaller(LANES, n - j);
        if (count < LANES) {
            copy_few(few, row + j, count);
            at = few;
            if (bias && bias_step) {
                copy_few(few_bias, bias + j, count);
                bias_at = few_bias;
            }
        }
        vec x = load(at);
        if (bias) x += bias_step ? load(bias_at) : splat(*bias);
        if (activation == MW_RELU) x = vrelu(x);
        if (activation == MW_SIGMOID) x = vsigmoid(x);
        if (activation == MW_TANH) x = vtanh(x);
        store(at, x);
        if (count < LANES) copy_few(row + j, few, count);
    }
}

/* Bias and activation on a finished part of C, while it is in the cache. */
static void finish(const product *g, int64_t i, int64_t rows, int64_t j, int64_t columns) {
    if (!g->bias && g->activation == MW_LINEAR) return;
    int64_t stride = g->c_row;
    if (g->swapped) {
        int64_t t = i; i = j; j = t;
        t = rows; rows = columns; columns = t;
        stride = g->c_col;
    }
    const real *bias = g->bias ? g->bias + j : NULL;
    if (columns == 1 && stride == 1) finish_row(g->c + i, rows, bias, 0, g->activation);
    else for (int64_t r = i; r < i + rows; r++) finish_row(g->c + r * stride + j, columns, bias, 1, g->activation);
}

/* A tile that sticks out of C, or of a C that is stored by columns, is computed in full beside C and its inner part copied. */
static void edge_tile(int64_t height, int64_t width, int64_t columns, int64_t c_col, const tile_job *job) {
    real whole[STRIP * WIDEST * LANES], old[LANES] = {0};
    tile_job t = *job;
    t.c = whole;
    t.c_row = width * LANES;
    t.mode = START;
    full_tile(height, width, &t);
    if (c_col == 1) {
        for (int64_t i = 0; i < height; i++)
            for (int64_t j = 0; j < columns; j += LANES) {
                real *from = whole + i * t.c_row + j, *to = job->c + i * job->c_row + j;
                if (job->mode == ADD) {
                    copy_few(old, to, columns - j);
                    store(from, load(from) + load(old));
                }
                copy_few(to, from, columns - j);
            }
        return;
    }
    for (int64_t j0 = 0; j0 < columns; j0 += LANES)
        for (int64_t i0 = 0; i0 < height; i0 += LANES) {
            vec block[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) block[i] = load(whole + smaller(i0 + i, height - 1) * t.c_row + j0);
            transpose_block(block);
            for (int64_t j = 0; j < smaller(LANES, columns - j0); j++) {
                real *to = job->c + i0 + (j0 + j) * c_col;
                if (job->mode == ADD) {
                    copy_few(old, to, height - i0);
                    block[j] += load(old);
                }
                store(old, block[j]);
                copy_few(to, old, height - i0);
            }
        }
}

static int crowded(int64_t stride) {
    return (stride * (int64_t)sizeof(real) + 64) % 4096 <= 128;
}

static void multiply(const product *x) {
    const product g = *x;
    const int64_t strips = ceil_div(g.m, TALLEST), height = ceil_div(g.m, larger(1, strips)), width = width_for(height);
    const int pack_b = g.b.col != 1 || (g.m >= 128 && g.k * g.n * (int64_t)sizeof(real) > BLOCK_BYTES);
    const int pack_a = g.m >= 8 && g.n >= 128 && crowded(g.a.row == 1 ? g.a.col : g.a.row);

    int64_t across = BLOCK_BYTES / (int64_t)sizeof(real) / DEPTH, down = STRIPS * height, panel = width * LANES;
    real small_block[DEPTH * LANES], *packed_b = small_block, *packed_a = NULL;
    if (pack_b || pack_a || g.n % LANES) {
        real *scratch = mw_scratch(BLOCK_BYTES + STRIPS * DEPTH * STRIP * sizeof(real));
        if (scratch) packed_b = scratch, packed_a = scratch + BLOCK_BYTES / sizeof(real);
        else across = panel = LANES;
    }

    for (int64_t j0 = 0; j0 < g.n; j0 += across) {
        const int64_t columns = smaller(across, g.n - j0);
        for (int64_t p0 = 0; p0 == 0 || p0 < g.k; p0 += g.depth) {
            const int64_t kc = smaller(g.depth, g.k - p0);
            const int64_t packed_from = pack_b ? 0 : columns % LANES ? columns / panel * panel : columns;
            pack(packed_b, part(g.b, p0, j0 + packed_from), kc, columns - packed_from, panel, panel);
            for (int64_t i0 = 0; i0 < g.m; i0 += down) {
                if (packed_a && pack_a) pack(packed_a, transposed(part(g.a, i0, p0)), kc, smaller(down, g.m - i0), height, STRIP);
                for (int64_t i = i0; i < smaller(i0 + down, g.m); i += height) {
                    const int64_t rows = smaller(height, g.m - i);
                    matrix a = part(g.a, i, p0);
                    if (packed_a && pack_a) a.at = packed_a + (i - i0) / height * kc * STRIP, a.row = 1, a.col = STRIP;
                    for (int64_t j = 0, w; j < columns; j += w * LANES) {
                        const int64_t left = columns - j;
                        for (w = panel / LANES; w > ceil_div(left, LANES); w /= 2) continue;
                        const int64_t inside = smaller(left, w * LANES);
                        matrix b = part(g.b, p0, j0 + j);
                        if (j >= packed_from) {
                            b.at = packed_b + (j - packed_from) / panel * kc * panel + (j - packed_from) % panel;
                            b.row = panel;
                        }
                        const tile_job t = {kc, a.at, b.at, g.c + i * g.c_row + (j0 + j) * g.c_col, a.row, a.col, b.row, g.c_row, g.accumulate || p0 > 0 ? ADD : START};
                        if (inside == w * LANES && g.c_col == 1) full_tile(rows, w, &t);
                        else edge_tile(rows, w, inside, g.c_col, &t);
                    }
                    if (p0 + g.depth >= g.k) finish(&g, i, rows, j0, columns);
                }
            }
        }
    }
}

/* ---- 4. thin products -------------------------------------------------------------------------------------------
 */

/* `width` vectors of a row vector times `k` rows of B: `chains` rows at a time, each with sums of its own. */
INLINE void vector_times_rows(const int width, const int chains, const product *g, int64_t p0, int64_t k, int64_t j0) {
    vec sum[8][WIDEST];
#pragma GCC unroll 8
    for (int i = 0; i < chains; i++)
#pragma GCC unroll 8
        for (int j = 0; j < width; j++) sum[i][j] = (vec){0};
    const real *x = element(g->a, 0, p0), *b = element(g->b, p0, j0), *end = g->b.end;
    const int64_t columns = g->n - j0, x_step = g->a.col, b_step = g->b.row;
    int64_t p = 0, readable = k;                                /* rows that may be read past their end, into the next */
    while (readable > 0 && b + (readable - 1) * b_step + width * LANES > end) readable--;
    for (; p + chains <= readable; p += chains, x += chains * x_step, b += chains * b_step)
#pragma GCC unroll 8
        for (int i = 0; i < chains; i++)
#pragma GCC unroll 8
            for (int j = 0; j < width; j++) sum[i][j] += splat(x[i * x_step]) * load(b + i * b_step + j * LANES);
    for (; p < k; p += chains, x += chains * x_step, b += chains * b_step)
#pragma GCC unroll 8
        for (int i = 0; i < smaller(chains, k - p); i++)
#pragma GCC unroll 8
            for (int j = 0; j < width; j++)
                sum[i][j] += splat(x[i * x_step]) * load_loosely(b + i * b_step + j * LANES, larger(0, columns - j * LANES), end);
#pragma GCC unroll 8
    for (int j = 0; j < width; j++) {
#pragma GCC unroll 4
        for (int half = chains / 2; half > 0; half /= 2)
#pragma GCC unroll 8
            for (int i = 0; i < half; i++) sum[i][j] += sum[i + half][j];
        real *to = g->c + j0 + j * LANES, few[LANES] = {0};
        const int64_t count = columns - j * LANES;
        if (count >= LANES) {
            store(to, g->accumulate || p0 > 0 ? load(to) + sum[0][j] : sum[0][j]);
        } else if (count > 0) {
            if (g->accumulate || p0 > 0) copy_few(few, to, count);
            store(few, load(few) + sum[0][j]);
            copy_few(to, few, count);
        }
    }
}

static __attribute__((noinline)) void vector_times_1(const product *g, int64_t p, int64_t k) { vector_times_rows(1, 8, g, p, k, 0); }
static __attribute__((noinline)) void vector_times_2(const product *g, int64_t p, int64_t k) { vector_times_rows(2, 4, g, p, k, 0); }
static __attribute__((noinline)) void vector_times_4(const product *g, int64_t p, int64_t k) { vector_times_rows(4, 2, g, p, k, 0); }
static __attribute__((noinline)) void vector_times_8(const product *g, int64_t p, int64_t k) { vector_times_rows(8, 1, g, p, k, 0); }

/* A wide row vector stays in C, and `rows` rows of B stream by, from beginning to end. */
INLINE void add_rows(const int rows, const product *g, int64_t p) {
    const real *x = element(g->a, 0, p), *b = element(g->b, p, 0), *end = g->b.end;
    const int64_t n = g->n, x_step = g->a.col, b_step = g->b.row;
    const int add = g->accumulate || p > 0;
    real *c = g->c;
    int64_t j = 0;
    for (; j + 4 * LANES <= n; j += 4 * LANES) {
        vec sum[4];
#pragma GCC unroll 4
        for (int w = 0; w < 4; w++) sum[w] = add ? load(c + j + w * LANES) : (vec){0};
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int w = 0; w < 4; w++) sum[w] += splat(x[i * x_step]) * load(b + i * b_step + j + w * LANES);
#pragma GCC unroll 4
        for (int w = 0; w < 4; w++) store(c + j + w * LANES, sum[w]);
    }
    for (; j < n; j += LANES) {
        vec sum = {0};
        real few[LANES] = {0};
        for (int i = 0; i < rows; i++) sum += splat(x[i * x_step]) * load_loosely(b + i * b_step + j, n - j, end);
        if (add) copy_few(few, c + j, n - j);
        store(few, load(few) + sum);
        copy_few(c + j, few, n - j);
    }
}

static void vector_times_wide(const product *g) {
    int64_t p = 0;
    for (; p + 8 <= g->k; p += 8) add_rows(8, g, p);
    for (; p < g->k; p++) add_rows(1, g, p);
}

static void vector_times_matrix(const product *g) {
    const int64_t vectors = ceil_div(g->n, LANES);
    for (int64_t p = 0; p == 0 || p < g->k; p += g->depth) {
        const int64_t k = smaller(g->depth, g->k - p);
        if (vectors <= 1) vector_times_1(g, p, k);
        else if (vectors <= 2) vector_times_2(g, p, k);
        else if (vectors <= 4) vector_times_4(g, p, k);
        else if (vectors <= 8) vector_times_8(g, p, k);
    }
}

/* Sums of the lanes of LANES vectors at once: as transposing, but adding what is zipped. */
INLINE vec sum_each(vec *v) {
#pragma GCC unroll 4
    for (int half = LANES / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int i = 0; i < half; i++) v[i] = zip_low(v[i], v[i + half]) + zip_high(v[i], v[i + half]);
    return v[0];
}

/* Where both operands run along k: dot products, `rows` of them at a time with `sums` sums each. */
INLINE void dot_products(const int rows, const int sums, const product *g) {
    const real *x = g->a.at;
    const int64_t whole = g->k / LANES * LANES, rest = g->k - whole;
    vec x_rest = {0};
    ivec mask = {0};
    if (rest) x_rest = load_first(x + whole, rest);
    for (int i = 0; i < LANES; i++) mask[i] = i < rest ? -1 : 0;
    for (int64_t j0 = 0; j0 < g->n; j0 += LANES) {
        const int64_t count = smaller(LANES, g->n - j0);
        vec total[LANES] = {0};
        for (int64_t j = 0; j < count; j += rows) {
            vec sum[LANES][4];
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
                for (int s = 0; s < sums; s++) sum[i][s] = (vec){0};
            const real *column[LANES];                                  /* too few left: the last one again */
            for (int i = 0; i < rows; i++) column[i] = element(g->b, 0, smaller(j0 + j + i, g->n - 1));
            int64_t p = 0;
            for (; p + sums * LANES <= whole; p += sums * LANES)
#pragma GCC unroll 16
                for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
                    for (int s = 0; s < sums; s++) sum[i][s] += load(x + p + s * LANES) * load(column[i] + p + s * LANES);
            for (; sums > 1 && p < whole; p += LANES)
#pragma GCC unroll 16
                for (int i = 0; i < rows; i++) sum[i][0] += load(x + p) * load(column[i] + p);
            if (rest)
#pragma GCC unroll 16
                for (int i = 0; i < rows; i++)
                    sum[i][0] += x_rest * as_real(mask & as_bits(load_loosely(column[i] + whole, rest, g->b.end)));
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) {
#pragma GCC unroll 2
                for (int half = sums / 2; half > 0; half /= 2)
#pragma GCC unroll 2
                    for (int s = 0; s < half; s++) sum[i][s] += sum[i][s + half];
                if (j + i < LANES) total[j + i] = sum[i][0];
            }
        }
        real few[LANES] = {0};
        if (g->accumulate) copy_few(few, g->c + j0, count);
        store(few, load(few) + sum_each(total));
        copy_few(g->c + j0, few, count);
    }
}

static __attribute__((noinline)) void short_dots(const product *g) { dot_products(LANES, 1, g); }
static __attribute__((noinline)) void long_dots(const product *g) { dot_products(1, 4, g); }

static void compute(const product *g) {
    switch (g->path) {
    case TILES: multiply(g); return;
    case SHORT_DOTS: short_dots(g); break;
    case LONG_DOTS: long_dots(g); break;
    case NARROW: vector_times_matrix(g); break;
    case WIDE: vector_times_wide(g); break;
    }
    finish(g, 0, 1, 0, g->n);
}

/* A path is chosen for the whole product, before threads cut it, as paths differ in their rounding. */
static int choose_path(const product *g) {
    if (g->m > 1 || g->c_col != 1 || g->k == 0) return TILES;
    if (g->b.row == 1 && g->a.col == 1 && (g->b.col != 1 || g->n == 1)) return g->k < 8 * LANES ? SHORT_DOTS : LONG_DOTS;
    if (g->b.col == 1) return g->n <= WIDEST * LANES ? NARROW : WIDE;
    return TILES;
}

/* ---- 5. threads, batches ----------------------------------------------------------------------------------------
 * C is cut into a grid of pieces, as square as can be, and each is computed as a product of its own.
 */
#ifndef GRAIN
#define GRAIN (1<<19)
#endif


static void compute_piece(const product *whole, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    product g = *whole;
    g.a = part(g.a, i0, 0), g.b = part(g.b, 0, j0);
    g.m = i1 - i0, g.n = j1 - j0;
    g.c += i0 * g.c_row + j0 * g.c_col;
    if (g.bias) g.bias += g.swapped ? i0 : j0;
    if (g.m > 0 && g.n > 0) compute(&g);
}

/* Across how many columns of pieces `threads` cut m×n: the divisor that makes them most nearly square. */
static int64_t columns_of_grid(int64_t threads, int64_t m, int64_t n) {
    int64_t best = 1;
    for (int64_t across = 2; across <= threads; across++)
        if (threads % across == 0 && n / across >= m / (threads / across)) best = across;
    return best;
}

static void set_up(product *g, const real *a, const real *b, const real *bias, real *c, const mw_gemm_plan *plan, int64_t item) {
    *g = (product){
        .m = plan->m, .n = plan->n, .k = plan->k, .c = c + item * plan->c_batch, .c_row = plan->c_row, .c_col = 1, .depth = DEPTH,
        .a = matrix_of(a + item * plan->a_batch, plan->m, plan->k, plan->a_row, plan->a_col),
        .b = matrix_of(b + item * plan->b_batch, plan->k, plan->n, plan->b_row, plan->b_col),
        .accumulate = plan->accumulate, .bias = plan->accumulate ? NULL : bias,
        .activation = plan->accumulate ? MW_LINEAR : plan->activation,
    };
    if (g->n < g->m && (g->n == 1 ? g->c_row == 1 : g->n <= TALLEST && g->a.row == 1 && g->a.col != 1)) {
        const matrix before = g->a;
        g->a = transposed(g->b), g->b = transposed(before);
        g->m = plan->n, g->n = plan->m;
        g->c_col = g->c_row, g->c_row = 1;
        g->swapped = 1;
    }
    g->path = choose_path(g);
}

void mw_gemm_real(const real *a, const real *b, const real *bias, real *c, const mw_gemm_plan *plan) {
    if (plan->m <= 0 || plan->n <= 0) return;
    const int64_t threads = mw_threads_for(plan->batch * plan->m * plan->n * (plan->k + 1), GRAIN);
    if (threads == 1) {
        for (int64_t item = 0; item < plan->batch; item++) {
            product g;
            set_up(&g, a, b, bias, c, plan, item);
            compute_piece(&g, 0, g.m, 0, g.n);
        }
        return;
    }
    product first;
    set_up(&first, a, b, bias, c, plan, 0);
    const int64_t batch_parts = smaller(threads, plan->batch), cut = threads / batch_parts;
    const int64_t across = columns_of_grid(cut, first.m, first.n), down = cut / across;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t t = 0; t < batch_parts * cut; t++) {
        const int64_t u = t / cut, row = t % cut / across, col = t % cut % across, wide = ceil_div(first.n, LANES);
        for (int64_t item = plan->batch * u / batch_parts; item < plan->batch * (u + 1) / batch_parts; item++) {
            product g;
            set_up(&g, a, b, bias, c, plan, item);
            compute_piece(&g, g.m * row / down, g.m * (row + 1) / down, wide * col / across * LANES, smaller(g.n, wide * (col + 1) / across * LANES));
        }
    }
}
