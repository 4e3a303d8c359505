/* The register tile and the packing of its operands (tile.h). */
#include "tile.h"
#include "vmath.h"

/* ---- 1. the register tile ---------------------------------------------------------------------------------------
 * For each p, `width` vectors of a row of B are loaded, and each of `height` numbers of a column of A multiplies all of them.
 * 14×2 vectors take 28 registers for the sums, 2 for B and 1 for A, of 32; 6×2 take 15 of 16. One p of 14×2 is 28
 * multiply-adds on 16 loads: a core that does two of each per cycle has time to spare for loading. Short tiles are made wide,
 * as it takes about 8 independent sums to keep the multipliers busy.
 */
/* `vectors` whole ones, or, for 0, a single partial one. No code is made for what does not fit, and never called for. */
INLINE void tile(const int height, const int vectors, const tile_job *job) {
    const int width = vectors ? vectors : 1;
    if (!fits(height, width)) return;
    const tile_job t = *job;
    /* A pointer to every third row of A: its neighbours are 1 and 2 strides away, which an address can say (base + index * 1, 2, 4 or
     * 8); a pointer for each row would take more registers than there are for addresses. */
    const real *a[(TALLEST + 2) / 3];
    const int64_t row = t.a_row;
    vec sum[TALLEST][WIDEST];
#pragma GCC unroll 16
    for (int i = 0; i < height; i++)
#pragma GCC unroll 16
        for (int j = 0; j < width; j++) sum[i][j] = (vec){0};
    for (int64_t s = 0; s < t.pairs; s++) {
        const real *b = t.b + t.pair[s].b;
#pragma GCC unroll 16
        for (int i = 0; i < height; i += 3) a[i / 3] = t.a + t.pair[s].a + i * row;
        for (int64_t p = 0; p < t.k; p++, b += t.b_row) {
            vec right[WIDEST];
#pragma GCC unroll 16
            for (int j = 0; j < width; j++) right[j] = held(vectors ? load(b + j * LANES) : load_first(b, t.columns));
#pragma GCC unroll 16
            for (int i = 0; i < height; i++) {
                const vec left = splat(a[i / 3][i % 3 * row]);
#pragma GCC unroll 16
                for (int j = 0; j < width; j++) sum[i][j] += left * right[j];
            }
#pragma GCC unroll 16
            for (int i = 0; i < height; i += 3) a[i / 3] += t.a_col;
        }
    }
    /* Each option is asked for once a tile, not once a vector: the multipliers wait meanwhile. */
    if (t.add)
#pragma GCC unroll 16
        for (int i = 0; i < height; i++)
#pragma GCC unroll 16
            for (int j = 0; j < width; j++) {
                const real *c = t.c + i * t.c_row + j * LANES;
                sum[i][j] += vectors ? load(c) : load_first(c, t.columns);
            }
    if (t.bias)
#pragma GCC unroll 16
        for (int j = 0; j < width; j++) {
            const vec shift = held(vectors ? load(t.bias + j * LANES) : load_first(t.bias, t.columns));
#pragma GCC unroll 16
            for (int i = 0; i < height; i++) sum[i][j] += shift;
        }
    if (t.relu)
#pragma GCC unroll 16
        for (int i = 0; i < height; i++)
#pragma GCC unroll 16
            for (int j = 0; j < width; j++) sum[i][j] = vrelu(sum[i][j]);
#pragma GCC unroll 16
    for (int i = 0; i < height; i++)
#pragma GCC unroll 16
        for (int j = 0; j < width; j++) {
            real *c = t.c + i * t.c_row + j * LANES;
            if (vectors) store(c, sum[i][j]);
            else store_first(c, sum[i][j], t.columns);
        }
}

/* One body of code for each shape of tile. */
INLINE void tile_of_width(const int width, int64_t height, const tile_job *job) {
    switch (height) {
    case 1: tile(1, width, job); break;
    case 2: tile(2, width, job); break;
    case 3: tile(3, width, job); break;
    case 4: tile(4, width, job); break;
    case 5: tile(5, width, job); break;
    case 6: tile(6, width, job); break;
#if MW_REGISTERS == 32
    case 7: tile(7, width, job); break;
    case 8: tile(8, width, job); break;
    case 9: tile(9, width, job); break;
    case 10: tile(10, width, job); break;
    case 11: tile(11, width, job); break;
    case 12: tile(12, width, job); break;
    case 13: tile(13, width, job); break;
    case 14: tile(14, width, job); break;
#endif
    }
}

void mw_tile_real(int64_t height, int64_t width, const tile_job *job) {
    switch (width) {
    case 0: if (MASKS) tile_of_width(0, height, job); break;
    case 1: tile_of_width(1, height, job); break;
    case 2: tile_of_width(2, height, job); break;
    case 3: tile_of_width(3, height, job); break;
    case 4: tile_of_width(4, height, job); break;
    case 8: tile_of_width(8, height, job); break;
    }
}

/* ---- 2. packing -------------------------------------------------------------------------------------------------
 * A matrix of k rows is cut into panels of so many columns, and each panel is stored row after row, `spacing` apart. For B a
 * panel is as wide as a tile; A is packed transposed, and a panel of it is as wide as a tile is high.
 */
/* Rows are contiguous: they are copied, a few at a time across all panels, for long runs of memory. */
static void pack_rows(real *to, matrix from, int64_t k, int64_t columns, int64_t panel, int64_t spacing) {
    enum { TOGETHER = 8 };
    for (int64_t p0 = 0; p0 < k; p0 += TOGETHER) {
        real *out = to + p0 * spacing;
        for (int64_t j0 = 0; j0 < columns; j0 += panel, out += k * spacing)
            for (int64_t p = 0; p < smaller(TOGETHER, k - p0); p++)
                for (int64_t j = j0; j < smaller(j0 + panel, columns); j += LANES) {
                    const real *at = element(from, p0 + p, j);
                    __builtin_prefetch(at + TOGETHER * from.row);
                    store(out + p * spacing + j - j0, load_loosely(at, columns - j, from.end));
                }
    }
}

/* Columns are contiguous: they are transposed in registers, LANES×LANES at a time. */
static void pack_columns(real *to, matrix from, int64_t k, int64_t columns, int64_t panel, int64_t spacing) {
    for (int64_t j0 = 0; j0 < columns; j0 += panel, to += k * spacing)
        for (int64_t j = j0; j < smaller(j0 + panel, columns); j += LANES)
            for (int64_t p = 0; p < k; p += LANES) {
                const real *at = element(from, p, j);
                const int inside = j + LANES <= columns && at + larger(0, (LANES - 1) * from.col) + LANES <= from.end;
                vec block[LANES];
#pragma GCC unroll 16
                for (int i = 0; i < LANES; i++, at += from.col) {
                    if (j0 + panel < columns) __builtin_prefetch(at + panel * from.col);
                    block[i] = inside ? load(at) : j + i < columns ? load_loosely(at, k - p, from.end) : (vec){0};
                }
                transpose(block);
                real *out = to + p * spacing + j - j0;
#pragma GCC unroll 16
                for (int i = 0; i < LANES; i++)
                    if (p + i < k) store(out + i * spacing, block[i]);
            }
}

void mw_pack_real(real *to, matrix from, int64_t k, int64_t columns, int64_t panel, int64_t spacing) {
    if (from.col == 1) pack_rows(to, from, k, columns, panel, spacing);
    else if (from.row == 1) pack_columns(to, from, k, columns, panel, spacing);
    else
        for (int64_t j0 = 0; j0 < columns; j0 += panel, to += k * spacing)
            for (int64_t p = 0; p < k; p++)
                for (int64_t j = 0; j < spacing; j++) to[p * spacing + j] = j0 + j < columns ? *element(from, p, j0 + j) : 0;
}

/* ---- 3. the edge of C ------------------------------------------------------------------------------------------- */

/* A tile that sticks out of C, or lies across it, is computed in full beside C, and then its inside is copied. */
void mw_edge_tile_real(int64_t height, int64_t width, int64_t columns, int64_t c_col, const tile_job *job) {
    real whole[STRIP_SPACE * WIDEST * LANES];
    tile_job t = *job;
    t.c = whole;
    t.c_row = width * LANES;
    t.add = 0;
    t.bias = NULL;
    t.relu = 0;
    mw_tile_real(height, width, &t);
    for (int64_t j0 = 0; c_col != 1 && j0 < columns; j0 += LANES)
        for (int64_t i0 = 0; i0 < height; i0 += LANES) {
            vec block[LANES];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) block[i] = load(whole + smaller(i0 + i, height - 1) * t.c_row + j0);
            transpose(block);
            const int64_t count = smaller(LANES, height - i0);
            real *to = job->c + i0 + j0 * c_col;
#pragma GCC unroll 16
            for (int j = 0; j < LANES; j++, to += c_col)
                if (j0 + j < columns) store_first(to, job->add ? load_first(to, count) + block[j] : block[j], count);
        }
    for (int64_t i = 0; c_col == 1 && i < height; i++)
        for (int64_t j0 = 0; j0 < columns; j0 += LANES) {
            real *to = job->c + i * job->c_row + j0;
            const int64_t count = smaller(LANES, columns - j0);
            const vec x = load(whole + i * t.c_row + j0);
            store_first(to, job->add ? load_first(to, count) + x : x, count);
        }
}
