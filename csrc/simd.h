/* The vector type that every kernel is written in.
 *
 * Each kernel is written once, for an element type `real` (float or double) and a vector `vec` of LANES of them, in the
 * vector extension of GCC and Clang: `x + y`, `x * y` and `x < y` act on all lanes. The build compiles every kernel for
 * each element type and instruction set, with these three names given on the command line:
 *
 *   MW_DOUBLE        0: real is float, 1: real is double
 *   MW_VECTOR_BYTES  16 (SSE2, NEON), 32 (AVX2) or 64 (AVX-512)
 *   MW_REGISTERS     vector registers of the instruction set: 16 or 32
 */
#ifndef MW_SIMD_H
#define MW_SIMD_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#if MW_DOUBLE
typedef double real;
typedef int64_t bits;             /* an integer as wide as real */
#define REAL(literal) literal
#define MANTISSA_BITS 52
#define EXPONENT_BIAS 1023
#else
typedef float real;
typedef int32_t bits;
#define REAL(literal) literal##f
#define MANTISSA_BITS 23
#define EXPONENT_BIAS 127
#endif

#define LANES ((int64_t)(MW_VECTOR_BYTES / sizeof(real)))

typedef real vec __attribute__((vector_size(MW_VECTOR_BYTES)));
typedef bits ivec __attribute__((vector_size(MW_VECTOR_BYTES)));    /* also the mask that a comparison of vecs yields: 0 or -1 */

#define INLINE static inline __attribute__((always_inline))

/* memcpy is how C spells an unaligned load; it compiles to one instruction. */
INLINE vec load(const real *p) { vec v; memcpy(&v, p, sizeof v); return v; }
INLINE void store(real *p, vec v) { memcpy(p, &v, sizeof v); }
INLINE vec splat(real x) { return x - (vec){0}; }                   /* x - 0 keeps the sign of -0, x + 0 would not */

/* The first half of a vector, and zeros, which an instruction for half a vector leaves in the rest of its register. */
INLINE vec load_half(const real *p) {
#if MW_VECTOR_BYTES == 64 && !defined(__clang__)
    typedef double half __attribute__((vector_size(32), aligned(sizeof(real)), may_alias));
    typedef double whole __attribute__((vector_size(64)));
    return (vec)__builtin_ia32_insertf64x4_mask((whole){0}, *(const half *)p, 0, (whole){0}, -1);
#else
    vec v = {0};
    memcpy(&v, p, sizeof v / 2);
    return v;
#endif
}

/* x, in a register: for each use of a number that comes from memory GCC reads it again, and loads are few in a cycle. */
INLINE vec held(vec x) {
#if defined(__x86_64__)
    __asm__("" : "+v"(x));
#elif defined(__aarch64__)
    __asm__("" : "+w"(x));
#endif
    return x;
}

INLINE const real *same_pointer(const real *p) { __asm__("" : "+r"(p)); return p; }

/* The first n lanes, n <= LANES: what lies beyond them in memory is neither read nor written. AVX-512 has instructions for it, and
 * MASKS says that they cost no more than others; elsewhere n lanes are copied in pieces of fixed size, as a memcpy of variable
 * size would be a call. */
#define MASKS (MW_VECTOR_BYTES == 64)
#if MW_VECTOR_BYTES == 64 && MW_DOUBLE
INLINE vec load_first(const real *p, int64_t n) { return __builtin_ia32_loadupd512_mask((const void *)p, (vec){0}, (uint8_t)((1u << n) - 1)); }
INLINE void store_first(real *p, vec v, int64_t n) { __builtin_ia32_storeupd512_mask((void *)p, v, (uint8_t)((1u << n) - 1)); }
#elif MW_VECTOR_BYTES == 64
INLINE vec load_first(const real *p, int64_t n) { return __builtin_ia32_loadups512_mask((const void *)p, (vec){0}, (uint16_t)((1u << n) - 1)); }
INLINE void store_first(real *p, vec v, int64_t n) { __builtin_ia32_storeups512_mask((void *)p, v, (uint16_t)((1u << n) - 1)); }
#else
INLINE void copy_first(real *to, const real *from, int64_t n) {
    if (n >= LANES) {
        store(to, load(from));
        return;
    }
    for (int64_t piece = LANES / 2; piece > 0; piece /= 2)
        if (n & piece) {
            memcpy(to, from, (size_t)piece * sizeof *to);
            to += piece;
            from += piece;
        }
}
INLINE vec load_first(const real *p, int64_t n) { real few[LANES] = {0}; copy_first(few, p, n); return load(few); }
INLINE void store_first(real *p, vec v, int64_t n) { real few[LANES]; store(few, v); copy_first(p, few, n); }
#endif

/* A mask of the first n lanes. */
INLINE ivec first_lanes(int64_t n) {
    ivec lane;
    for (int64_t i = 0; i < LANES; i++) lane[i] = (bits)i;
    return lane < ((ivec){0} + (bits)n);
}

INLINE ivec as_bits(vec v) { ivec i; memcpy(&i, &v, sizeof i); return i; }
INLINE vec as_real(ivec i) { vec v; memcpy(&v, &i, sizeof v); return v; }

/* z + x * y in the first n lanes, where x has zeros in the others; these hold z, whatever they are in y. */
INLINE vec add_first(vec z, vec x, vec y, int64_t n) {
#if MASKS && MW_DOUBLE
    return __builtin_ia32_vfmaddpd512_mask3(x, y, z, (uint8_t)((1u << n) - 1), 4);
#elif MASKS
    return __builtin_ia32_vfmaddps512_mask3(x, y, z, (uint16_t)((1u << n) - 1), 4);
#else
    return z + x * as_real(first_lanes(n) & as_bits(y));
#endif
}

/* mask ? x : y, lane by lane. From `+`, GCC makes the one instruction that AVX-512 has for it; from `|`, two. */
INLINE vec choose(ivec mask, vec x, vec y) { return as_real((mask & as_bits(x)) + (~mask & as_bits(y))); }

/* An instruction of AVX-512 by its name, on all lanes, rounded as ever. */
#if MW_DOUBLE
#define AVX512(op, ...) (vec)__builtin_ia32_##op##pd512_mask(__VA_ARGS__, -1, 4)
#else
#define AVX512(op, ...) (vec)__builtin_ia32_##op##ps512_mask(__VA_ARGS__, -1, 4)
#endif

/* The greater, the lesser of two lanes, and y where either is a NaN: one instruction, which GCC only finds by its name. */
#if defined(__clang__) || !defined(__x86_64__)
INLINE vec greater(vec x, vec y) { return choose(x > y, x, y); }
INLINE vec lesser(vec x, vec y) { return choose(x < y, x, y); }
#else
#if MW_VECTOR_BYTES == 64
#define X86(op, type) AVX512(op, x, y, x)
#elif MW_VECTOR_BYTES == 32
#define X86(op, type) (vec)__builtin_ia32_##op##type##256(x, y)
#else
#define X86(op, type) (vec)__builtin_ia32_##op##type(x, y)
#endif
#if MW_DOUBLE
INLINE vec greater(vec x, vec y) { return X86(max, pd); }
INLINE vec lesser(vec x, vec y) { return X86(min, pd); }
#else
INLINE vec greater(vec x, vec y) { return X86(max, ps); }
INLINE vec lesser(vec x, vec y) { return X86(min, ps); }
#endif
#endif

/* As NumPy's maximum and minimum: a NaN on either side comes through (all bits set are one). In a chain y = vmax(x, y) only the
 * first instruction waits for y. */
INLINE vec vmax(vec x, vec y) { return as_real(as_bits(greater(x, y)) | (x != x)); }
INLINE vec vmin(vec x, vec y) { return as_real(as_bits(lesser(x, y)) | (x != x)); }

INLINE vec vabs(vec x) { return as_real(as_bits(x) & ~as_bits(splat(REAL(-0.0)))); }

INLINE vec vsign(vec x) { return choose(x > 0, splat(1), choose(x < 0, splat(-1), x)); }

INLINE vec vadd(vec x, vec y) { return x + y; }

/* Lane i gets lane from[i] of v. */
INLINE vec rearranged(vec v, ivec from) {
#ifdef __clang__
    vec to;
    for (int64_t i = 0; i < LANES; i++) to[i] = v[from[i]];
    return to;
#else
    return __builtin_shuffle(v, from);
#endif
}

/* Lane i gets what lane i ^ distance has. */
INLINE vec exchange(vec v, int64_t distance) {
    ivec from;
    for (int64_t i = 0; i < LANES; i++) from[i] = (bits)(i ^ distance);
    return rearranged(v, from);
}

/* f over all lanes (f: vadd, vmax, vmin), by halves: always in the same order. The distances stand one by one because GCC, given
 * them in a loop, puts together the order of each exchange lane by lane at run time: a hundred instructions. */
INLINE real join_lanes(vec v, vec (*f)(vec, vec)) {
    if (LANES > 8) v = f(v, exchange(v, 8 % LANES));
    if (LANES > 4) v = f(v, exchange(v, 4 % LANES));
    if (LANES > 2) v = f(v, exchange(v, 2 % LANES));
    return f(v, exchange(v, 1))[0];
}

/* Lanes of x and y, numbered from 0 to 2 LANES - 1 through both. */
INLINE vec pick(vec x, vec y, ivec from) {
#ifdef __clang__
    vec picked;
    for (int64_t i = 0; i < LANES; i++) picked[i] = from[i] < LANES ? x[from[i]] : y[from[i] - LANES];
    return picked;
#else
    return __builtin_shuffle(x, y, from);
#endif
}

INLINE ivec lane_numbers(void) {
    static const bits numbers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    ivec lane;
    memcpy(&lane, numbers, sizeof lane);
    return lane;
}

/* x[from], y[from], x[from + 1], y[from + 1], ... */
INLINE vec zip(vec x, vec y, int64_t from) {
    const ivec lane = lane_numbers();
    return pick(x, y, lane / 2 + lane % 2 * (bits)LANES + (bits)from);
}

/* Rows become columns: zipping row i with row i + LANES/2, log2(LANES) times over, leads there. */
INLINE void transpose(vec *rows) {
#pragma GCC unroll 4
    for (int64_t round = 1; round < LANES; round *= 2) {
        vec zipped[LANES];
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++) zipped[i] = zip(rows[i / 2], rows[i / 2 + LANES / 2], i % 2 * (LANES / 2));
#pragma GCC unroll 16
        for (int64_t i = 0; i < LANES; i++) rows[i] = zipped[i];
    }
}

/* Half of the way to the sums of all lanes of x and of y: size 1 gives (of 4 lanes) x0 + x2, y0 + y2, x1 + x3, y1 + y3, and of two
 * such vectors size 2 x0 + x2, x1 + x3, y0 + y2, y1 + y3. Larger blocks, of 16 bytes each, are added even to odd: X0 + X1, ..., then
 * those of y. All are cheap on x86, where no lane leaves its 16 bytes but in the last. */
INLINE vec add_blocks(vec x, vec y, bits size) {
    const bits quarter = 16 / sizeof(real), apart = size < quarter ? quarter / 2 : quarter;
    ivec first;
    for (bits i = 0; i < LANES; i++)
        first[i] = size < quarter ? i / quarter * quarter + i % quarter / (2 * size) * size + i % size + i / size % 2 * (bits)LANES
                                  : i / quarter * 2 * quarter + i % quarter;
    return pick(x, y, first) + pick(x, y, first + apart);
}

/* So for each two neighbours of `count` vectors. */
INLINE void add_neighbours(vec *v, const int count, const bits size) {
#pragma GCC unroll 8
    for (int i = 0; i < count / 2; i++) v[i] = add_blocks(v[2 * i], v[2 * i + 1], size);
}

/* The sums of the lanes of LANES vectors: as transposing them, but adding what meets. */
INLINE vec sum_each(vec *v) {
    if (LANES >= 2) add_neighbours(v, LANES, 1);
    if (LANES >= 4) add_neighbours(v, LANES / 2, 2);
    if (LANES >= 8) add_neighbours(v, LANES / 4, 4);
    if (LANES >= 16) add_neighbours(v, LANES / 8, 8);
    return v[0];
}

#endif
