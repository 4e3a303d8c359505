/* The matrix product C = activation(A @ B + bias), as a ladder of ideas:
 *
 *   1. the register tile     a piece of C is summed in registers, from rows of B and single numbers of A (tile.c)
 *   2. packing               operands that the tile cannot read well are copied into an order that it can (tile.c)
 *   3. finishing C           bias and activation
 *   4. cache blocks          the tiles are visited in an order in which what is read again is still near
 *   5. thin products         a vector times a matrix has nothing to reuse: all that counts is to stream the matrix
 *   6. threads, batches      whole pieces of C, each computed as if it were a product of its own
 *
 * From 1 to 4, an element of C is a sum over blocks of DEPTH terms, each block one chain of multiply-adds in the order of k.
 * In 5 other orders are faster. Which path a product takes depends on its sizes and strides, and on whether there is scratch
 * memory to pack into; in none does the order of a sum depend on where in C its element lies, so neither tiles nor threads show
 * in the bits.
 */
#include "tile.h"
#include "kernels.h"
#include "runtime.h"
#include "epilogue.h"

#define NOINLINE __attribute__((noinline))

/* ---- 3. finishing C ---------------------------------------------------------------------------------------------
 * The product as the kernels see it. Element (i, j) of C is c[i * c_row + j * c_col]. Either c_col is 1; or the roles of A and
 * B are swapped, to compute Cᵀ = Bᵀ @ Aᵀ, and c_row is 1.
 */
typedef struct {
    int64_t m, n, k;
    matrix a, b;
    const real *bias;
    real *c;
    int64_t c_row, c_col;
    int swapped;
    int64_t activation;
    const ending *more;                         /* follows instead of bias and activation, if it is not NULL */
    enum { TILES, NARROW_DOTS, NARROW, FLAT, WIDE, SHORT_DOTS, LONG_DOTS } path;
} product;

/* Bias and activation on a part of C, right after it was summed, while it is in the cache; but a tile inside of C has added the
 * bias, and relu, as it stored its sums, and `dots` the bias. */
static void finish(const product *g, int64_t i, int64_t rows, int64_t j, int64_t columns, int with_bias) {
    const real *bias = with_bias ? g->bias : NULL;
    if (g->more) {
        finish_sums(g->c + i * g->c_row + j, rows, columns, g->c_row, g->more);
        return;
    }
    if (!bias && g->activation == MW_LINEAR) return;
    if (!g->swapped) finish_rows(g->c + i * g->c_row + j, rows, columns, g->c_row, bias ? bias + j : NULL, g->activation);
    else if (g->c_col == 1) finish_row(g->c + j, columns, bias, 0, g->activation);     /* a column of numbers with one bias, and contiguous */
    else finish_rows(g->c + i + j * g->c_col, columns, rows, g->c_col, bias ? bias + i : NULL, g->activation);
}

/* ---- 4. cache blocks --------------------------------------------------------------------------------------------
 *     for DEPTH rows of B:  for ROWS_OF_A rows of A (pack them):  for GROUP panels of B (pack them):  for strips of A, a tile high
 *
 * A strip of DEPTH columns fits the L1 cache (14 × 512 floats: 28 KB; of doubles it is twice as much, and comes from the L2 cache).
 * It is swept over a group of panels (8 × 32 × 512 floats: 512 KB), which wait in the L2 cache for the next strip.
 *
 * Packing costs as much as two or three multiplications with each number, so it must pay. Small operands are read where they
 * are: a core that looks ahead far enough hides the L2 cache. B is packed when it outgrows that, or its rows are not
 * contiguous; A when it is far apart in memory.
 */
enum { DEPTH = 512, GROUP = 8, ROWS_OF_A = 1024, SMALL_BYTES = 512 << 10, REUSE = 128 };

/* If the stride of A is near a multiple of 4096 bytes, its rows (or its columns, if these are contiguous) fall into the same few
 * places of the L1 cache and drive each other out. If its columns are contiguous but long, there is one or two of them to a page,
 * and the core remembers the addresses of fewer pages than DEPTH: that costs less, so it takes more columns of B to pay. */
static int far_apart(matrix a, int64_t columns) {
    const int64_t bytes = (a.row == 1 ? a.col : a.row) * (int64_t)sizeof(real);
    if (a.row == 1 && bytes >= 2048 && columns >= 4 * REUSE) return 1;
    return bytes > 64 && (bytes + 64) % 4096 <= 128 && columns >= REUSE;
}

/* What is packed of a block: A (NULL: it is not) from row i0 on, and B from column j0 on; columns before that are read from B
 * itself. Rows p0 to p0 + k of B, in panels of `panel` columns; A in strips of `height` rows. */
typedef struct {
    real *a, *b;
    int64_t i0, j0, p0, k, height, panel;
} packed_block;

/* Rows [i, i + rows) of C, at most a tile high, columns [j, j_end). */
static void multiply_strip(const product *g, const packed_block *x, int64_t i, int64_t rows, int64_t j, int64_t j_end) {
    const int last = x->p0 + x->k == g->k, may_finish = last && !g->swapped && !g->more;
    tile_job t = {.pairs = 1, .pair = &at_once, .k = x->k, .a = element(g->a, i, x->p0), .a_row = g->a.row, .a_col = g->a.col, .c_row = g->c_row,
                  .add = x->p0 > 0, .relu = may_finish && g->activation == MW_RELU};
    if (x->a) t.a = x->a + (i - x->i0) / x->height * x->k * STRIP_SPACE, t.a_row = 1, t.a_col = STRIP_SPACE;
    for (int64_t width; j < j_end; j += width * LANES) {
        const int64_t left = j_end - j, vectors = MASKS && g->c_col == 1 && left >= LANES ? left / LANES : ceil_div(left, LANES);
        for (width = x->panel / LANES; width > vectors; width /= 2) continue;
        const int64_t columns = smaller(width * LANES, left), packed = j - x->j0;
        t.c = g->c + i * g->c_row + j * g->c_col;
        t.columns = columns;
        t.bias = may_finish && g->bias ? g->bias + j : NULL;
        if (packed < 0) t.b = element(g->b, x->p0, j), t.b_row = g->b.row;
        else t.b = x->b + packed / x->panel * x->panel * x->k + packed % x->panel, t.b_row = x->panel;
        const int is_whole = g->c_col == 1 && (MASKS || columns == width * LANES);
        if (is_whole) mw_tile_real(rows, columns < LANES ? 0 : width, &t);
        else mw_edge_tile_real(rows, width, columns, g->c_col, &t);
        const int is_finished = is_whole && may_finish;    /* with bias, and with relu */
        const int wants_more = g->activation != MW_LINEAR && g->activation != MW_RELU;
        if (last && (!is_finished || wants_more)) finish(g, i, rows, j, columns, !is_finished);
    }
}

static void multiply_blocks(const product *g) {
    const int64_t strips = ceil_div(g->m, TALLEST), height = ceil_div(g->m, strips);
    const int64_t block_rows = smaller(strips, ROWS_OF_A / height) * height;
    int64_t width = WIDEST;
    while (!fits(height, width)) width /= 2;
    const int pack_a = g->m * 2 > TALLEST && far_apart(g->a, g->n);
    const int pack_b = g->b.col != 1 || (g->m >= REUSE && g->k * g->n * (int64_t)sizeof(real) > SMALL_BYTES);

    /* Of a B that is not packed, the last panel is, if it is a partial one and there are no masks to load it by, or C lies across. */
    const int pack_last = g->n % LANES && !(MASKS && g->c_col == 1);
    real spare[DEPTH * LANES];                  /* for one vector at a time, if there is no scratch memory */
    packed_block x = {.b = spare, .height = height, .panel = width * LANES};
    int64_t group = GROUP * x.panel;
    if (pack_a || pack_b || pack_last) {
        const int64_t k = smaller(DEPTH, g->k), panels = pack_b ? smaller(GROUP, ceil_div(g->n, x.panel)) : 1;
        const int64_t a_size = pack_a ? block_rows / height * STRIP_SPACE * k : 0;
        real *scratch = mw_scratch((size_t)(a_size + panels * x.panel * k) * sizeof(real));
        if (scratch) x.b = scratch + a_size, x.a = pack_a ? scratch : NULL;
        else x.panel = group = LANES;
    }
    const int64_t packed_from = pack_b ? 0 : pack_last ? g->n / x.panel * x.panel : g->n;

    for (x.p0 = 0; x.p0 == 0 || x.p0 < g->k; x.p0 += DEPTH) {
        x.k = smaller(DEPTH, g->k - x.p0);
        for (x.i0 = 0; x.i0 < g->m; x.i0 += block_rows) {
            const int64_t i_end = smaller(x.i0 + block_rows, g->m);
            if (x.a) mw_pack_real(x.a, transposed(part(g->a, x.i0, x.p0)), x.k, i_end - x.i0, height, STRIP_SPACE);
            for (int64_t j = 0; j < g->n; j += group) {
                const int64_t j_end = smaller(j + group, g->n);
                x.j0 = larger(j, packed_from);
                if (x.j0 < j_end) mw_pack_real(x.b, part(g->b, x.p0, x.j0), x.k, j_end - x.j0, x.panel, x.panel);
                for (int64_t i = x.i0; i < i_end; i += height) multiply_strip(g, &x, i, smaller(height, i_end - i), j, j_end);
            }
        }
    }
}

/* ---- 5. thin products -------------------------------------------------------------------------------------------
 * A row vector times a matrix: narrow (its whole result in registers), flat (whole vectors of uneven rows), wide (its result in
 * C), or by dot products where B is contiguous in the direction of k. A matrix times a column vector is the same with the roles
 * swapped. And many rows times a few columns.
 */

/* Up to WIDEST vectors: `chains` rows of B at a time, each with sums of its own, as one sum alone would wait for itself. */
INLINE void narrow_row(const int width, const int chains, const product *g, int64_t p0) {
    const real *x = element(g->a, 0, p0), *b = element(g->b, p0, 0), *end = g->b.end;
    const int64_t n = g->n, k = smaller(DEPTH, g->k - p0), x_step = g->a.col, b_step = g->b.row;
    vec sum[8][WIDEST];
#pragma GCC unroll 8
    for (int i = 0; i < chains; i++)
#pragma GCC unroll 8
        for (int j = 0; j < width; j++) sum[i][j] = (vec){0};
    /* Rows that may be read past their end, into the next one; if they go backward, the first is the last in memory. */
    int64_t p = 0, readable = b_step < 0 && b + width * LANES > end ? 0 : k;
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
                sum[i][j] += splat(x[i * x_step]) * load_loosely(b + i * b_step + j * LANES, larger(0, n - j * LANES), end);
#pragma GCC unroll 8
    for (int j = 0; j < width; j++) {
#pragma GCC unroll 4
        for (int half = chains / 2; half > 0; half /= 2)
#pragma GCC unroll 8
            for (int i = 0; i < half; i++) sum[i][j] += sum[i + half][j];
        const int64_t count = smaller(LANES, n - j * LANES);
        real *to = g->c + j * LANES;
        if (count > 0) store_first(to, p0 > 0 ? load_first(to, count) + sum[0][j] : sum[0][j], count);
    }
}

static NOINLINE void narrow_row_1(const product *g, int64_t p0) { narrow_row(1, 8, g, p0); }
static NOINLINE void narrow_row_2(const product *g, int64_t p0) { narrow_row(2, 4, g, p0); }
static NOINLINE void narrow_row_4(const product *g, int64_t p0) { narrow_row(4, 2, g, p0); }
static NOINLINE void narrow_row_8(const product *g, int64_t p0) { narrow_row(8, 1, g, p0); }

static void any_narrow_row(const product *g) {
    for (int64_t p = 0; p < g->k; p += DEPTH)
        if (g->n <= LANES) narrow_row_1(g, p);
        else if (g->n <= 2 * LANES) narrow_row_2(g, p);
        else if (g->n <= 4 * LANES) narrow_row_4(g, p);
        else narrow_row_8(g, p);
}

/* Many contiguous rows that do not fill their vectors: read as they lie in memory, LANES of them are n vectors, each lane of which
 * belongs to one row and one column. Products gather in n vectors that way, where a column is still spread over LANES places. */
enum { FLAT_DEPTH = 4 * DEPTH, FLAT_BLOCKS = 4 };

/* Added to one of the n vectors: its terms from LANES rows, `count` times over. The numbers of A come LANES at a time, too. */
INLINE vec flat_terms(vec sum, const int count, const vec *x, ivec row, const real *b, int64_t n) {
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) sum += rearranged(x[i], row) * load(b + i * n * LANES);
    return sum;
}

static void flat(const product *g) {
    const int64_t n = g->n;
    vec *sum = mw_scratch((size_t)(2 * n) * sizeof(vec));
    if (!sum) {
        any_narrow_row(g);
        return;
    }
    ivec *row_of_lane = (ivec *)(sum + n);      /* of the LANES, the one that each lane of vector j belongs to */
    for (int64_t j = 0; j < n; j++)
        row_of_lane[j] = __builtin_convertvector(__builtin_convertvector(lane_numbers() + (bits)(j * LANES), vec) / splat((real)n), ivec);
    for (int64_t p0 = 0; p0 < g->k; p0 += FLAT_DEPTH) {
        const real *a = element(g->a, 0, p0), *b = element(g->b, p0, 0);
        int64_t k = smaller(FLAT_DEPTH, g->k - p0);
        for (int64_t j = 0; j < n; j++) sum[j] = (vec){0};
        for (; k >= FLAT_BLOCKS * LANES; k -= FLAT_BLOCKS * LANES, a += FLAT_BLOCKS * LANES, b += FLAT_BLOCKS * LANES * n) {
            vec x[FLAT_BLOCKS];
#pragma GCC unroll 4
            for (int i = 0; i < FLAT_BLOCKS; i++) x[i] = load(a + i * LANES);
            for (int64_t j = 0; j < n; j++) sum[j] = flat_terms(sum[j], FLAT_BLOCKS, x, row_of_lane[j], b + j * LANES, n);
        }
        for (; k >= LANES; k -= LANES, a += LANES, b += LANES * n) {
            const vec x = load(a);
            for (int64_t j = 0; j < n; j++) sum[j] = flat_terms(sum[j], 1, &x, row_of_lane[j], b + j * LANES, n);
        }
        const vec last = load_first(a, k);
        for (int64_t j = 0; j * LANES < k * n; j++)
            sum[j] += rearranged(last, row_of_lane[j]) * load_first(b + j * LANES, smaller(LANES, k * n - j * LANES));
        for (int64_t j = 0; j < n; j += LANES) {
            const int64_t count = smaller(LANES, n - j);
            vec all = p0 > 0 ? load_first(g->c + j, count) : (vec){0};
            for (int64_t i = 0; i < LANES; i++) all += load_first((const real *)sum + i * n + j, count);
            store_first(g->c + j, all, count);
        }
    }
}

/* More: C stays in the L1 cache, and `rows` rows of B stream by, from beginning to end. */
INLINE void add_rows(const int rows, const product *g, int64_t p) {
    enum { WIDTH = 4 };
    const real *x = element(g->a, 0, p), *b = element(g->b, p, 0), *end = g->b.end;
    const int64_t n = g->n, x_step = g->a.col, b_step = g->b.row;
    const int add = p > 0;
    real *c = g->c;
    int64_t j = 0;
    for (; j + WIDTH * LANES <= n; j += WIDTH * LANES) {
        vec sum[WIDTH];
#pragma GCC unroll 4
        for (int w = 0; w < WIDTH; w++) sum[w] = add ? load(c + j + w * LANES) : (vec){0};
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int w = 0; w < WIDTH; w++) sum[w] += splat(x[i * x_step]) * load(b + i * b_step + j + w * LANES);
#pragma GCC unroll 4
        for (int w = 0; w < WIDTH; w++) store(c + j + w * LANES, sum[w]);
    }
    for (; j < n; j += LANES) {
        const int64_t count = smaller(LANES, n - j);
        vec sum = add ? load_first(c + j, count) : (vec){0};
        for (int i = 0; i < rows; i++) sum += splat(x[i * x_step]) * load_loosely(b + i * b_step + j, count, end);
        store_first(c + j, sum, count);
    }
}

static NOINLINE void wide_row(const product *g) {
    int64_t p = 0;
    for (; p + 8 <= g->k; p += 8) add_rows(8, g, p);
    for (; p < g->k; p++) add_rows(1, g, p);
}

/* What is multiplied with x to add to the dot products: whole vectors, which come first or later, or the part in which k ends. */
typedef enum { FIRST, MORE, LAST } stretch;

/* A vector of x times those in `rows` rows of memory, from `at` on, a step apart. Of the last part, `count` elements are wanted, and
 * `readable` may be read, if not 0. There is a pointer to every third row, as in a tile, but one after the other: GCC would keep
 * all of them, in vector registers for want of others. */
INLINE void add_products(const int rows, const stretch which, const int64_t readable, vec *sum, vec x, const real *at,
                         int64_t step, int64_t count) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
        const real *row = at + i % 3 * step;
        if (which == FIRST) sum[i] = x * load(row);
        if (which == MORE) sum[i] += x * load(row);
        if (which == LAST)
            sum[i] = add_first(sum[i], x, readable == LANES ? load(row) : readable ? load_half(row) : load_first(row, count), count);
        if (i % 3 == 2) at = same_pointer(at + 3 * step);
    }
}

/* `rows` dot products of x with columns of B, which lie in rows of memory, at[0], at[step], ..., side by side, each with so many
 * sums; they are still spread over lanes. Where k ends within a vector, of x it is `last`, and there `readable` lanes may be read. */
INLINE void add_dots(const int rows, const int sums, const int64_t readable, vec *sum, const real *x, vec last, const real *at,
                     int64_t step, int64_t k) {
    vec part[4][LANES];
    int64_t p = k < sums * LANES ? 0 : sums * LANES;
#pragma GCC unroll 4
    for (int s = 0; s < sums; s++)
        if (p) add_products(rows, FIRST, 0, part[s], load(x + s * LANES), at + s * LANES, step, LANES);
        else
#pragma GCC unroll 16
            for (int i = 0; i < rows; i++) part[s][i] = (vec){0};
    for (; p + sums * LANES <= k; p += sums * LANES)
#pragma GCC unroll 4
        for (int s = 0; s < sums; s++)
            add_products(rows, MORE, 0, part[s], load(x + p + s * LANES), at + p + s * LANES, step, LANES);
    for (; sums > 1 && p + LANES <= k; p += LANES) add_products(rows, MORE, 0, part[0], load(x + p), at + p, step, LANES);
    if (p < k) add_products(rows, LAST, readable, part[sums - 1], last, at + p, step, k - p);
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) sum[i] = sums == 1 ? part[0][i] : part[0][i] + part[1][i] + (part[2][i] + part[3][i]);
}

/* LANES rows of B at a time if these are short, else a few: memory is read fastest from a few places at once. */
enum { FEW = MW_REGISTERS == 32 ? 4 : 2 };

INLINE void dots(const int together, const int sums, const int64_t readable, const product *g) {
    const int64_t k = g->k, step = g->b.col, tail = k % LANES;
    const int64_t reach = larger(0, (LANES - 1) * step) + k - tail + (tail ? readable : 0);
    const real *x = g->a.at;
    const vec last = load_first(x + k - tail, tail);
    for (int64_t j = 0; j < g->n; j += LANES) {
        const int64_t count = smaller(LANES, g->n - j);
        const real *at = element(g->b, 0, j);
        vec sum[LANES];
        if (count == LANES && at + reach <= g->b.end)
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i += together) add_dots(together, sums, readable, sum + i, x, last, at + i * step, step, k);
        else if (count == LANES && MASKS)
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i += together) add_dots(together, sums, 0, sum + i, x, last, at + i * step, step, k);
        else
            for (int i = 0; i < LANES; i++)
                if (i < count) add_dots(1, sums, 0, sum + i, x, last, at + i * step, step, k);
                else sum[i] = (vec){0};
        vec each = sum_each(sum);
        if (g->bias) each += g->swapped ? splat(*g->bias) : load_first(g->bias + j, count);
        store_first(g->c + j, each, count);
    }
}

/* Half a vector is less often spread over two lines of the cache. */
static NOINLINE void short_dots_half(const product *g) { dots(LANES, 1, LANES / 2, g); }
static NOINLINE void short_dots_whole(const product *g) { dots(LANES, 1, LANES, g); }
static NOINLINE void long_dots(const product *g) { dots(LANES < FEW ? LANES : FEW, 4, LANES, g); }

static void short_dots(const product *g) {
    if (MASKS && g->k % LANES <= LANES / 2) short_dots_half(g);
    else short_dots_whole(g);
}

/* Many rows, but so few columns that a tile would leave lanes empty, and a long k: dot products of a few rows of A with a few columns
 * of B, which is packed transposed. The lanes are added up when there are LANES rows of sums, which lie as their elements of C. */
enum { ROWS = 4, COLUMNS = MW_REGISTERS == 32 ? 5 : 3, MOST_COLUMNS = 3 * (int)LANES / 4 };

/* The next terms: a vector of them or, where k ends, `count`. */
INLINE void add_terms(const int columns, const int whole, vec sum[ROWS][COLUMNS], const real *const *a, const real *b, int64_t length,
                      int64_t count) {
    vec right[COLUMNS];
#pragma GCC unroll 8
    for (int c = 0; c < columns; c++) right[c] = held(whole ? load(b + c * length) : load_first(b + c * length, count));
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
        const vec left = held(whole ? load(a[r]) : load_first(a[r], count));
#pragma GCC unroll 8
        for (int c = 0; c < columns; c++) sum[r][c] += left * right[c];
    }
}

/* ROWS × columns sums from row i on, still spread over lanes; sums of one row lie beside each other. */
INLINE void narrow_dots(const int columns, const product *g, int64_t i, const real *b, int64_t length, vec *sums) {
    const real *a[ROWS];
    vec sum[ROWS][COLUMNS];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) {
        a[r] = element(g->a, smaller(i + r, g->m - 1), 0);
#pragma GCC unroll 8
        for (int c = 0; c < columns; c++) sum[r][c] = (vec){0};
    }
    int64_t rest = g->k;
    for (; rest >= LANES; rest -= LANES, b += LANES) {
        add_terms(columns, 1, sum, a, b, length, LANES);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) a[r] += LANES;
    }
    if (rest) add_terms(columns, 0, sum, a, b, length, rest);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 8
        for (int c = 0; c < columns; c++) sums[r * g->n + c] = sum[r][c];
}

static void any_narrow_dots(int64_t columns, const product *g, int64_t i, const real *b, int64_t length, vec *sums) {
    switch (columns) {
    case 2: narrow_dots(2, g, i, b, length, sums); break;
    case 3: narrow_dots(3, g, i, b, length, sums); break;
#if MW_REGISTERS == 32
    case 4: narrow_dots(4, g, i, b, length, sums); break;
    case 5: narrow_dots(5, g, i, b, length, sums); break;
#endif
    }
}

static void multiply_narrow(const product *g) {
    const int64_t n = g->n, length = round_up(g->k, LANES), groups = ceil_div(n, COLUMNS);
    real *b = mw_scratch((size_t)(n * length) * sizeof(real));
    if (!b) {
        multiply_blocks(g);
        return;
    }
    mw_pack_real(b, transposed(g->b), n, g->k, length, length);
    for (int64_t i = 0; i < g->m; i += LANES) {
        const int64_t rows = smaller(LANES, g->m - i), elements = rows * n;
        vec sum[LANES * MOST_COLUMNS];
        for (int64_t e = round_up(rows, ROWS) * n; e < round_up(elements, LANES); e++) sum[e] = (vec){0};
        for (int64_t r = 0; r < rows; r += ROWS)
            for (int64_t j = 0; j < groups; j++) {
                const int64_t j0 = n * j / groups, j1 = n * (j + 1) / groups;
                any_narrow_dots(j1 - j0, g, i + r, b + j0 * length, length, sum + r * n + j0);
            }
        for (int64_t e = 0; e < elements; e += LANES) {
            store_first(g->c + i * n + e, sum_each(sum + e), smaller(LANES, elements - e));
        }
        finish(g, i, rows, 0, n, 1);
    }
}

static int choose_path(const product *g) {
    if (g->c_col != 1 || g->k == 0) return TILES;
    /* A quarter of a tile's lanes would be empty, k outweighs the adding up of lanes at the end, and there are enough of these. */
    const int few = 4 * g->n <= 3 * LANES && g->k >= 8 * LANES;
    if (LANES >= 8 && few && g->m >= LANES && g->a.col == 1 && g->c_row == g->n) return NARROW_DOTS;
    if (g->m > 1) return TILES;
    /* Dot products of rows. If they are short, adding up the lanes of each takes longest, and is done for LANES rows at once. */
    if (g->b.row == 1 && g->a.col == 1 && (g->b.col != 1 || g->n == 1)) return g->k < 8 * LANES ? SHORT_DOTS : LONG_DOTS;
    if (g->b.col != 1) return TILES;
    if (g->n > WIDEST * LANES) return WIDE;
    const int uneven = g->n % LANES && g->b.row == g->n && g->a.col == 1;
    return LANES >= 8 && uneven && g->k >= 32 * LANES ? FLAT : NARROW;
}

static void compute_whole(const product *g) {
    switch (g->path) {
    case TILES: multiply_blocks(g); return;
    case NARROW_DOTS: multiply_narrow(g); return;
    case NARROW: any_narrow_row(g); break;
    case FLAT: flat(g); break;
    case WIDE: wide_row(g); break;
    case SHORT_DOTS: short_dots(g); break;
    case LONG_DOTS: long_dots(g); break;
    }
    finish(g, 0, 1, 0, g->n, g->path != SHORT_DOTS && g->path != LONG_DOTS);
}

/* A row of few elements over a long k, such as a dot product, has nothing to share out among threads but k: it is cut into stretches,
 * whose sums are added in pairs. Where it is cut depends on k alone. */
enum { MOST_STRETCHES = 64, SHORTEST_STRETCH = 8192, SHORTEST_CUT = 8 * SHORTEST_STRETCH, FEW_ELEMENTS = 4 * (int)LANES };

static int is_cut(const product *g) {
    return g->m == 1 && g->n <= FEW_ELEMENTS && g->k >= SHORTEST_CUT && g->path != TILES && g->path != NARROW_DOTS;
}

typedef struct {
    const product *g;
    int64_t stretches;
    real (*sums)[FEW_ELEMENTS];
} stretches_job;

static void sum_stretches(const void *job, int64_t begin, int64_t end) {
    const stretches_job *j = job;
    const int64_t vectors = ceil_div(j->g->k, LANES);
    for (int64_t s = begin; s < end; s++) {
        const int64_t first = vectors * s / j->stretches * LANES, last = smaller(j->g->k, vectors * (s + 1) / j->stretches * LANES);
        product g = *j->g;
        g.a = part(g.a, 0, first), g.b = part(g.b, first, 0);
        g.k = last - first;
        g.c = j->sums[s];
        g.bias = NULL, g.activation = MW_LINEAR;
        compute_whole(&g);
    }
}

static void compute_cut(const product *g, int64_t threads) {
    real sums[MOST_STRETCHES][FEW_ELEMENTS];
    const stretches_job job = {g, smaller(MOST_STRETCHES, g->k / SHORTEST_STRETCH), sums};
    mw_parallel(threads, job.stretches, sum_stretches, &job);
    for (int64_t count = job.stretches; count > 1; count = ceil_div(count, 2))
        for (int64_t s = 0; s < count / 2; s++)
            for (int64_t i = 0; i < g->n; i++) sums[s][i] += sums[s + ceil_div(count, 2)][i];
    for (int64_t i = 0; i < g->n; i++) g->c[i] = sums[0][i];
    finish(g, 0, 1, 0, g->n, 1);
}

static void compute(const product *g) {
    if (is_cut(g)) compute_cut(g, 1);
    else compute_whole(g);
}

/* ---- 6. threads, batches ----------------------------------------------------------------------------------------
 * C is cut into a grid of pieces, as square as can be; or the batch is dealt out, if it is large enough.
 */
#ifndef GRAIN
enum { GRAIN = 1 << 20 };                       /* multiply-adds that are worth a thread: about 8 µs */
#endif
enum { ROW_GRAIN = 1 << 17 };                   /* likewise in a row of C, for each of which an element of B comes from memory */

/* One item of the batch. Roles are swapped for a column vector, and for a narrow C if that makes the rows of B contiguous:
 * vectors are then filled from the long side. */
static product product_of(const real *a, const real *b, const real *bias, const ending *more, real *c, const mw_gemm_plan *plan, int64_t item) {
    product g = {
        .m = plan->m, .n = plan->n, .k = plan->k, .c = c + item * plan->c_batch, .c_row = plan->c_row, .c_col = 1,
        .a = matrix_of(a + item * plan->a_batch, plan->m, plan->k, plan->a_row, plan->a_col),
        .b = matrix_of(b + item * plan->b_batch, plan->k, plan->n, plan->b_row, plan->b_col),
        .bias = bias, .activation = plan->activation, .more = more,
    };
    if (more) return g;                         /* by tiles, which are the first of the paths */
    const int column = g.n == 1 && g.c_row == 1, narrow = g.n <= TALLEST && g.a.row == 1 && g.a.col != 1;
    if (g.n < g.m && (column || narrow)) {
        const matrix left = g.a;
        g.a = transposed(g.b), g.b = transposed(left);
        g.m = plan->n, g.n = plan->m;
        g.c_col = g.c_row, g.c_row = 1;
        g.swapped = 1;
    }
    g.path = choose_path(&g);
    return g;
}

/* Piece number `piece` of a grid of down × across. Columns are cut between vectors. */
static void compute_piece(product g, int64_t piece, int64_t down, int64_t across) {
    const int64_t i = piece / across, j = piece % across, vectors = ceil_div(g.n, LANES);
    const int64_t i0 = g.m * i / down, i1 = g.m * (i + 1) / down;
    const int64_t j0 = vectors * j / across * LANES, j1 = smaller(g.n, vectors * (j + 1) / across * LANES);
    if (i0 == i1 || j0 >= j1) return;
    g.a = part(g.a, i0, 0), g.b = part(g.b, 0, j0);
    g.m = i1 - i0, g.n = j1 - j0;
    g.c += i0 * g.c_row + j0 * g.c_col;
    if (g.bias) g.bias += g.swapped ? i0 : j0;
    compute(&g);
}

/* All that a thread needs: the products of the batch in `shares`, and each in down × across pieces. */
typedef struct {
    const real *a, *b, *bias;
    const ending *more;
    real *c;
    const mw_gemm_plan *plan;
    int64_t shares, down, across;
} gemm_job;

/* Parts [begin, end) of shares × down × across. */
static void compute_parts(const void *job, int64_t begin, int64_t end) {
    const gemm_job *j = job;
    const int64_t pieces = j->down * j->across, batch = j->plan->batch;
    for (int64_t t = begin; t < end; t++) {
        const int64_t share = t / pieces;
        for (int64_t item = batch * share / j->shares; item < batch * (share + 1) / j->shares; item++)
            compute_piece(product_of(j->a, j->b, j->bias, j->more, j->c, j->plan, item), t % pieces, j->down, j->across);
    }
}

static void multiply(const real *a, const real *b, const real *bias, const ending *more, real *c, const mw_gemm_plan *plan) {
    if (plan->m <= 0 || plan->n <= 0 || plan->batch <= 0) return;
    const product first = product_of(a, b, bias, more, c, plan, 0);
    const int64_t batch = plan->batch, threads = mw_threads_for(batch * plan->m * plan->n * plan->k, first.m == 1 ? ROW_GRAIN : GRAIN);
    if (batch == 1 && is_cut(&first)) {
        compute_cut(&first, threads);
        return;
    }
    if (batch == 1 && threads == 1) {
        compute(&first);
        return;
    }
    const int64_t shares = smaller(threads, batch), pieces = first.path == NARROW || first.path == FLAT ? 1 : threads / shares;
    int64_t across = 1;
    for (int64_t d = 2; d <= pieces; d++)
        if (pieces % d == 0 && first.n / d >= first.m / (pieces / d)) across = d;
    const gemm_job job = {a, b, bias, more, c, plan, shares, pieces / across, across};
    mw_parallel(smaller(threads, shares * pieces), shares * pieces, compute_parts, &job);
}

void mw_gemm_real(const real *a, const real *b, const real *bias, real *c, const mw_gemm_plan *plan) {
    multiply(a, b, bias, NULL, c, plan);
}

void mw_gemm_ending_real(const real *a, const real *b, const ending *more, real *c, const mw_gemm_plan *plan) {
    multiply(a, b, NULL, more, c, plan);
}
