/* Element-wise kernels: a formula on vectors, a loop over a contiguous block, and one walk that brings every broadcast and
 * strided operand into that form. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"
#include "vmath.h"

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

enum { BLOCK = 1024, MAX_OPERANDS = 4, ELEMENTWISE_GRAIN = 65536 };

/* Works on n contiguous elements of every operand: p[0] is the output, p[1] .. p[3] the inputs. */
typedef void block_function(uint8_t *const *p, int64_t n);

/* An operand: where it starts, and the size of its elements in bytes. */
typedef struct {
    uint8_t *start;
    int size;
} operand;

/* Copies n elements of `size` bytes; a source stride of 0 repeats one element. */
INLINE void copy_run(uint8_t *to, int64_t to_stride, const uint8_t *from, int64_t from_stride, int64_t n, int size) {
    if (to_stride == 1 && from_stride == 1) {
        memcpy(to, from, (size_t)(n * size));
    } else if (size == sizeof(uint64_t)) {
        for (int64_t i = 0; i < n; i++) memcpy(to + 8 * i * to_stride, from + 8 * i * from_stride, 8);
    } else if (size == sizeof(uint32_t)) {
        for (int64_t i = 0; i < n; i++) memcpy(to + 4 * i * to_stride, from + 4 * i * from_stride, 4);
    } else if (size == sizeof(uint16_t)) {
        for (int64_t i = 0; i < n; i++) memcpy(to + 2 * i * to_stride, from + 2 * i * from_stride, 2);
    } else {
        for (int64_t i = 0; i < n; i++) to[i * to_stride] = from[i * from_stride];
    }
}

/* Copies elements [first, first + n), in the order of the walk, of a strided operand to `block`, or from it. */
static void stage(const mw_walk *walk, const int64_t *stride, operand o, int64_t first, int64_t n, uint8_t *block, int to_block) {
    int64_t last = walk->ndim - 1, index[8], offset = 0;
    for (int64_t d = last, rest = first; d >= 0; rest /= walk->shape[d], d--) {
        index[d] = rest % walk->shape[d];
        offset += index[d] * stride[d];
    }
    for (int64_t done = 0; done < n;) {
        int64_t run = walk->shape[last] - index[last];
        if (run > n - done) run = n - done;
        uint8_t *here = o.start + offset * o.size, *there = block + done * o.size;
        if (to_block) copy_run(there, 1, here, stride[last], run, o.size);
        else copy_run(here, stride[last], there, 1, run, o.size);
        done += run;

        offset += run * stride[last];                        /* the next index, as an odometer counts */
        index[last] += run;
        for (int64_t d = last; d > 0 && index[d] == walk->shape[d]; d--) {
            offset += stride[d - 1] - index[d] * stride[d];
            index[d] = 0;
            index[d - 1]++;
        }
    }
}

/* How an operand lies in memory: in the order of the walk, as one repeated element, or otherwise. */
typedef enum { FLAT, REPEATED, STRIDED } layout;

static layout layout_of(const mw_walk *walk, const int64_t *stride) {
    int64_t expected = 1;
    int flat = 1, repeated = 1;
    for (int64_t d = walk->ndim - 1; d >= 0; expected *= walk->shape[d], d--) {
        flat &= stride[d] == expected || walk->shape[d] == 1;
        repeated &= stride[d] == 0 || walk->shape[d] == 1;
    }
    return flat ? FLAT : repeated ? REPEATED : STRIDED;
}

typedef struct {
    const mw_walk *walk;
    int operands;
    const operand *o;
    const layout *lies;
    block_function *f;
} walk_job;

/* f over blocks [begin, end) of the walk; a block stays in the first-level cache. */
static void walk_range(const void *job, int64_t begin, int64_t end) {
    const walk_job *j = job;
    const operand *o = j->o;
    uint8_t staged[MAX_OPERANDS][BLOCK * sizeof(double)] __attribute__((aligned(64)));
    uint8_t *p[MAX_OPERANDS];
    int64_t size = j->walk->size, longest = size < BLOCK ? size : BLOCK;
    for (int i = 1; i < j->operands; i++)                    /* one repeated element fills its block once */
        if (j->lies[i] == REPEATED) copy_run(p[i] = staged[i], 1, o[i].start, 0, longest, o[i].size);

    for (int64_t block = begin; block < end; block++) {
        int64_t first = block * BLOCK, n = size - first < BLOCK ? size - first : BLOCK;
        for (int i = 0; i < j->operands; i++) {
            if (j->lies[i] == FLAT) p[i] = o[i].start + first * o[i].size;
            else if (j->lies[i] == STRIDED) p[i] = staged[i];
            if (j->lies[i] == STRIDED && i > 0) stage(j->walk, j->walk->stride[i], o[i], first, n, p[i], 1);
        }
        j->f(p, n);
        if (j->lies[0] == STRIDED) stage(j->walk, j->walk->stride[0], o[0], first, n, p[0], 0);
    }
}

/* Where every operand is flat there is nothing to stage: f at once over all of blocks [begin, end). */
static void walk_flat(const void *job, int64_t begin, int64_t end) {
    const walk_job *j = job;
    int64_t first = begin * BLOCK, last = end * BLOCK < j->walk->size ? end * BLOCK : j->walk->size;
    uint8_t *p[MAX_OPERANDS];
    for (int i = 0; i < j->operands; i++) p[i] = j->o[i].start + first * j->o[i].size;
    j->f(p, last - first);
}

static void walk_blocks(const mw_walk *walk, int operands, const operand *o, block_function *f) {
    layout lies[MAX_OPERANDS];
    int all_flat = 1;
    for (int i = 0; i < operands; i++) {
        lies[i] = layout_of(walk, walk->stride[i]);
        if (i == 0 && lies[i] == REPEATED) lies[i] = STRIDED;
        all_flat &= lies[i] == FLAT;
    }
    if (all_flat && walk->size <= BLOCK) {                   /* a small one: spare the set-up */
        uint8_t *p[MAX_OPERANDS];
        for (int i = 0; i < operands; i++) p[i] = o[i].start;
        f(p, walk->size);
        return;
    }
    walk_job job = {walk, operands, o, lies, f};
    int64_t threads = mw_threads_for(walk->size, ELEMENTWISE_GRAIN), blocks = (walk->size + BLOCK - 1) / BLOCK;
    mw_parallel(threads, blocks, all_flat ? walk_flat : walk_range, &job);
}

/* ---- the loops: one per kind of signature -------------------------------------------------------------------------- */

/* The last, partial vector goes through the same formula as the others, so that an element's bits do not depend on
 * where it stands. */
INLINE void map1(uint8_t *const *p, int64_t n, vec (*f)(vec)) {
    real *z = (real *)p[0];
    const real *x = (const real *)p[1];
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) store(z + i, f(load(x + i)));
    if (i < n) store_first(z + i, f(load_first(x + i, n - i)), n - i);
}

INLINE void map2(uint8_t *const *p, int64_t n, vec (*f)(vec, vec)) {
    real *z = (real *)p[0];
    const real *x = (const real *)p[1], *y = (const real *)p[2];
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) store(z + i, f(load(x + i), load(y + i)));
    if (i < n) store_first(z + i, f(load_first(x + i, n - i), load_first(y + i, n - i)), n - i);
}

INLINE void map3(uint8_t *const *p, int64_t n, vec (*f)(vec, vec, vec)) {
    real *z = (real *)p[0];
    const real *w = (const real *)p[1], *x = (const real *)p[2], *y = (const real *)p[3];
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) store(z + i, f(load(w + i), load(x + i), load(y + i)));
    if (i < n) store_first(z + i, f(load_first(w + i, n - i), load_first(x + i, n - i), load_first(y + i, n - i)), n - i);
}

/* ---- formulas ------------------------------------------------------------------------------------------------------ */

INLINE vec identity(vec x) { return x; }
INLINE vec negative(vec x) { return -x; }
INLINE vec square(vec x) { return x * x; }

INLINE vec subtract(vec x, vec y) { return x - y; }
INLINE vec multiply(vec x, vec y) { return x * y; }
INLINE vec divide(vec x, vec y) { return x / y; }
INLINE vec squared_error(vec x, vec y) { return (x - y) * (x - y); }
INLINE vec soft_threshold(vec x, vec y) { return x - vmin(vmax(x, -y), y); }

/* Of ln(1 + eˣ) - x y, what is linear in x counts apart: no weight is no loss, even of an infinite logit. */
INLINE vec binary_cross_entropy(vec x, vec y) {
    vec weight = choose(x < 0, -y, 1 - y);
    return zero_where(weight == 0, x * weight) + vsoftplus(-vabs(x));
}
INLINE vec power(vec x, vec y) {
    for (int64_t i = 0; i < LANES; i++) x[i] = MW_DOUBLE ? pow(x[i], y[i]) : powf(x[i], y[i]);
    return x;
}

INLINE vec relu_grad(vec dz, vec z) { return choose(z <= 0, splat(0), dz); }
INLINE vec sigmoid_grad(vec dz, vec z) { return dz * (z * (1 - z)); }
INLINE vec tanh_grad(vec dz, vec z) { return dz * (1 - z * z); }
INLINE vec gelu_grad(vec dz, vec x) { return dz * vgelu_gradient(x); }
INLINE vec squared_error_grad(vec dz, vec x, vec y) { return 2 * dz * (x - y); }
INLINE vec binary_cross_entropy_grad(vec dz, vec x, vec y) { return dz * (vsigmoid(x) - y); }

/* ---- kernels: a formula in a loop in a walk -------------------------------------------------------------------------- */

#define IN(x) {(uint8_t *)(uintptr_t)(x), sizeof *(x)}
#define LOOP(name, map, f) static void name##_block(uint8_t *const *p, int64_t n) { map(p, n, f); }
#define WALK(name, ...) { operand o[] = {__VA_ARGS__}; walk_blocks(walk, sizeof o / sizeof *o, o, name##_block); }

#define UNARY_DOOR(name) void mw_##name##_real(const real *x, real *z, const mw_walk *walk) WALK(name, IN(z), IN(x))
#define UNARY(name, f) LOOP(name, map1, f) UNARY_DOOR(name)

UNARY(copy, identity)
UNARY(negative, negative)
UNARY(absolute, vabs)
UNARY(sign, vsign)
UNARY(square, square)
UNARY(sqrt, vsqrt)
UNARY(exp, vexp)
UNARY(expm1, vexpm1)
UNARY(log, vlog)
UNARY(relu, vrelu)
UNARY(sigmoid, vsigmoid)
UNARY(tanh, vtanh)
UNARY(erf, verf)
UNARY(gelu, vgelu)
UNARY(softplus, vsoftplus)

#define BINARY_DOOR(name) void mw_##name##_real(const real *x, const real *y, real *z, const mw_walk *walk) WALK(name, IN(z), IN(x), IN(y))
#define BINARY(name) LOOP(name, map2, name) BINARY_DOOR(name)

LOOP(add, map2, vadd)
BINARY_DOOR(add)
BINARY(subtract)
BINARY(multiply)
BINARY(divide)
BINARY(squared_error)
BINARY(soft_threshold)
BINARY(binary_cross_entropy)
BINARY(power)
BINARY(relu_grad)
BINARY(sigmoid_grad)
BINARY(tanh_grad)
BINARY(gelu_grad)
LOOP(maximum, map2, vmax)
BINARY_DOOR(maximum)
LOOP(minimum, map2, vmin)
BINARY_DOOR(minimum)

#define TERNARY_DOOR(name) void mw_##name##_real(const real *dz, const real *x, const real *y, real *dx, const mw_walk *walk) WALK(name, IN(dx), IN(dz), IN(x), IN(y))
#define TERNARY(name) LOOP(name, map3, name) TERNARY_DOOR(name)

TERNARY(squared_error_grad)
TERNARY(binary_cross_entropy_grad)

/* What remains mixes element types: plain loops, which the compiler turns into vectors by itself. */

INLINE int less(real x, real y) { return x < y; }
INLINE int less_equal(real x, real y) { return x <= y; }
INLINE int equal(real x, real y) { return x == y; }
INLINE int not_equal(real x, real y) { return x != y; }

INLINE void compare_map(uint8_t *const *p, int64_t n, int (*f)(real, real)) {
    const real *x = (const real *)p[1], *y = (const real *)p[2];
    for (int64_t i = 0; i < n; i++) p[0][i] = (uint8_t)f(x[i], y[i]);
}

#define COMPARE_DOOR(name) void mw_##name##_real(const real *x, const real *y, uint8_t *z, const mw_walk *walk) WALK(name, IN(z), IN(x), IN(y))
#define COMPARE(name) LOOP(name, compare_map, name) COMPARE_DOOR(name)

COMPARE(less)
COMPARE(less_equal)
COMPARE(equal)
COMPARE(not_equal)

static void where_block(uint8_t *const *p, int64_t n) {
    real *z = (real *)p[0];
    const real *x = (const real *)p[2], *y = (const real *)p[3];
    for (int64_t i = 0; i < n; i++) {
        real chosen = x[i], other = y[i];
        z[i] = p[1][i] ? chosen : other;
    }
}

void mw_where_real(const uint8_t *condition, const real *x, const real *y, real *z, const mw_walk *walk)
    WALK(where, IN(z), IN(condition), IN(x), IN(y))

INLINE real int8_at(const void *x, int64_t i) { return ((const int8_t *)x)[i]; }
INLINE real int16_at(const void *x, int64_t i) { return ((const int16_t *)x)[i]; }
INLINE real int32_at(const void *x, int64_t i) { return (real)((const int32_t *)x)[i]; }
INLINE real int64_at(const void *x, int64_t i) { return (real)((const int64_t *)x)[i]; }
INLINE real uint8_at(const void *x, int64_t i) { return ((const uint8_t *)x)[i]; }
INLINE real uint16_at(const void *x, int64_t i) { return ((const uint16_t *)x)[i]; }
INLINE real uint32_at(const void *x, int64_t i) { return (real)((const uint32_t *)x)[i]; }
INLINE real float32_at(const void *x, int64_t i) { return (real)((const float *)x)[i]; }
INLINE real float64_at(const void *x, int64_t i) { return (real)((const double *)x)[i]; }

INLINE void cast_map(uint8_t *const *p, int64_t n, real (*at)(const void *, int64_t)) {
    real *z = (real *)p[0];
    for (int64_t i = 0; i < n; i++) z[i] = at(p[1], i);
}

#define CAST_DOOR(name, type) void mw_##name##_real(const type *x, real *z, const mw_walk *walk) WALK(name, IN(z), IN(x))
#define CAST(name, type, at) LOOP(name, cast_map, at) CAST_DOOR(name, type)

CAST(cast_bool, uint8_t, uint8_at)
CAST(cast_int8, int8_t, int8_at)
CAST(cast_int16, int16_t, int16_at)
CAST(cast_int32, int32_t, int32_at)
CAST(cast_int64, int64_t, int64_at)
CAST(cast_uint8, uint8_t, uint8_at)
CAST(cast_uint16, uint16_t, uint16_at)
CAST(cast_uint32, uint32_t, uint32_at)
CAST(cast_float32, float, float32_at)
CAST(cast_float64, double, float64_at)
