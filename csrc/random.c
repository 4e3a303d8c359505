/* Random numbers from a counter: Philox4x32-10 of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3"
 * (SC11). Block c of the stream is a mixing of the counter c with the key, so that any part of it can be computed by itself. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { RANDOM_GRAIN = 16384, WORDS = 4, AT_ONCE = MW_VECTOR_BYTES / 8 };

/* Each 64-bit lane holds a 32-bit word of one block. */
typedef uint64_t words __attribute__((vector_size(MW_VECTOR_BYTES)));

/* AT_ONCE blocks from counter `first` on: out[4 * b + w] is word w of block first + b. */
static void philox(uint64_t key, uint64_t first, uint32_t *out) {
    const uint64_t low = 0xFFFFFFFFu;
    words c[WORDS] = {{0}}, counter = {0};
    for (int b = 0; b < AT_ONCE; b++) counter[b] = first + (uint64_t)b;
    c[0] = counter & low;
    c[1] = counter >> 32;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        words a = c[0] * 0xD2511F53u, b = c[2] * 0xCD9E8D57u;
        c[0] = (b >> 32) ^ c[1] ^ k0;
        c[1] = b & low;
        c[2] = (a >> 32) ^ c[3] ^ k1;
        c[3] = a & low;
    }
    for (int b = 0; b < AT_ONCE; b++)
        for (int w = 0; w < WORDS; w++) out[WORDS * b + w] = (uint32_t)c[w][b];
}

/* low and high, mean and deviation, or threshold and value */
typedef struct {
    double a, b;
} parameters;

/* What a kernel makes of the four words of a block: up to four numbers. */
typedef void draw_function(const uint32_t *word, real *out, parameters r);

typedef struct {
    uint64_t key, first;
    real *z;
    int64_t n;
    parameters r;
} draw_job;

/* Groups [begin, end) of AT_ONCE blocks, each block giving `each` numbers. */
INLINE void draw_groups(const void *job, int64_t begin, int64_t end, int64_t each, draw_function *f) {
    const draw_job *j = job;
    for (int64_t group = begin; group < end; group++) {
        uint32_t word[WORDS * AT_ONCE];
        philox(j->key, j->first + (uint64_t)(group * AT_ONCE), word);
        for (int64_t b = 0; b < AT_ONCE; b++) {
            int64_t i = (group * AT_ONCE + b) * each, left = j->n - i;
            real number[WORDS];
            if (left >= each) f(word + WORDS * b, j->z + i, j->r);
            else if (left > 0) {
                f(word + WORDS * b, number, j->r);
                memcpy(j->z + i, number, (size_t)left * sizeof(real));
            }
        }
    }
}

static void draw(uint64_t *state, real *z, int64_t n, int64_t each, mw_range_function *groups_of, parameters r) {
    int64_t blocks = (n + each - 1) / each;
    draw_job job = {state[0], state[1], z, n, r};
    mw_parallel(mw_threads_for(n, RANDOM_GRAIN), (blocks + AT_ONCE - 1) / AT_ONCE, groups_of, &job);
    state[1] += (uint64_t)blocks;
}

/* Uniform in [0, 1), with as many random bits as the type has: one word for a float, two for a double. */
enum { UNIFORMS = MW_DOUBLE ? 2 : 4 };

INLINE real unit(const uint32_t *word, int i) {
#if MW_DOUBLE
    return (real)((word[2 * i] >> 5) * 67108864.0 + (word[2 * i + 1] >> 6)) * 0x1p-53;
#else
    return (real)(word[i] >> 8) * 0x1p-24f;
#endif
}

/* Rounding may carry low + u (high - low) up to high itself; that number is put back to low. */
INLINE void uniform_block(const uint32_t *word, real *out, parameters r) {
    for (int i = 0; i < UNIFORMS; i++) {
        real x = (real)(r.a + unit(word, i) * (r.b - r.a));
        out[i] = x < (real)r.b ? x : (real)r.a;
    }
}

/* Two uniforms give two normals: √(-2 ln u) cos 2πv and √(-2 ln u) sin 2πv, u in (0, 1]  (Box & Muller 1958). */
INLINE void normal_block(const uint32_t *word, real *out, parameters r) {
    for (int i = 0; i < UNIFORMS; i += 2) {
        double u = 1 - (double)unit(word, i), v = (double)unit(word, i + 1);
        double radius = sqrt(-2 * log(u)), angle = 2 * 3.14159265358979323846 * v;
        out[i] = (real)(r.a + r.b * radius * cos(angle));
        out[i + 1] = (real)(r.a + r.b * radius * sin(angle));
    }
}

/* a is p in units of 2⁻³², b the value. */
INLINE void bernoulli_block(const uint32_t *word, real *out, parameters r) {
    for (int i = 0; i < WORDS; i++) out[i] = word[i] < r.a ? (real)r.b : 0;
}

static void uniform_groups(const void *job, int64_t begin, int64_t end) { draw_groups(job, begin, end, UNIFORMS, uniform_block); }
static void normal_groups(const void *job, int64_t begin, int64_t end) { draw_groups(job, begin, end, UNIFORMS, normal_block); }
static void bernoulli_groups(const void *job, int64_t begin, int64_t end) { draw_groups(job, begin, end, WORDS, bernoulli_block); }

void mw_uniform_real(uint64_t *state, real *z, int64_t n, double low, double high) {
    draw(state, z, n, UNIFORMS, uniform_groups, (parameters){low, high});
}

void mw_normal_real(uint64_t *state, real *z, int64_t n, double mean, double deviation) {
    draw(state, z, n, UNIFORMS, normal_groups, (parameters){mean, deviation});
}

void mw_bernoulli_real(uint64_t *state, real *z, int64_t n, double p, double value) {
    draw(state, z, n, WORDS, bernoulli_groups, (parameters){p * 0x1p32, value});
}
