/* Random numbers from a counter: Philox4x32-10 of Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3"
 * (SC11). Block c of the stream is a mixing of the counter c with the key, so that any part of it can be computed by itself.
 * flags: -ffp-contract=off, so that the numbers are the same with and without fused multiply-add. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { RANDOM_GRAIN = 16384, ROUNDS = 10, WORDS = 4, AT_ONCE = MW_VECTOR_BYTES / 8, GROUP = WORDS * AT_ONCE };

/* Each 64-bit lane holds a 32-bit word of one block. */
typedef uint64_t words __attribute__((vector_size(MW_VECTOR_BYTES)));

/* k times the lower halves of the lanes: one instruction of x86, which GCC only finds by its name. */
INLINE words times_low(words x, uint32_t k) {
    const words y = (words){0} + k;
#if defined(__clang__) || !defined(__x86_64__)
    return (x & 0xFFFFFFFFu) * y;
#else
    typedef int32_t halves __attribute__((vector_size(MW_VECTOR_BYTES)));
#if MW_VECTOR_BYTES == 64
    return (words)__builtin_ia32_pmuludq512_mask((halves)x, (halves)y, (long long __attribute__((vector_size(64)))){0}, -1);
#elif MW_VECTOR_BYTES == 32
    return (words)__builtin_ia32_pmuludq256((halves)x, (halves)y);
#else
    return (words)__builtin_ia32_pmuludq128((halves)x, (halves)y);
#endif
#endif
}

/* AT_ONCE blocks from counter `first` on, by the key of each round: out[4 * b + w] is word w of block first + b. What the upper
 * halves of lanes hold on the way does not matter. The upper half of the counter tells streams apart. */
INLINE void philox(const uint64_t (*key)[2], uint64_t first, uint32_t stream, uint32_t *out) {
    words c[WORDS] = {{0}}, counter;
    for (int b = 0; b < AT_ONCE; b++) counter[b] = (uint64_t)b;
    counter += first;
    c[0] = counter;
    c[1] = counter >> 32;
    c[2] += stream;
#pragma GCC unroll 10
    for (int round = 0; round < ROUNDS; round++) {
        const words a = times_low(c[0], 0xD2511F53u), b = times_low(c[2], 0xCD9E8D57u);
        c[0] = (b >> 32) ^ c[1] ^ key[round][0];
        c[1] = b;
        c[2] = (a >> 32) ^ c[3] ^ key[round][1];
        c[3] = a;
    }
    /* Two words of a block side by side fill a lane, and two such lanes are the block. */
    const words low = (words){0} + 0xFFFFFFFFu, pair[2] = {(c[0] & low) | c[1] << 32, (c[2] & low) | c[3] << 32};
    for (int b = 0; b < AT_ONCE; b++)
        for (int half = 0; half < 2; half++) memcpy(out + WORDS * b + 2 * half, (const char *)&pair[half] + 8 * b, 8);
}

/* low and high, mean and deviation, or threshold and value */
typedef struct {
    double a, b;
} parameters;

/* What a kernel makes of the words of a group of AT_ONCE blocks: a number for each. `more` holds as many of the second stream. */
typedef void draw_function(const uint32_t *word, const uint32_t *more, real *out, parameters r);

typedef struct {
    uint64_t key, first;
    real *z;
    int64_t n;
    parameters r;
} draw_job;

/* Groups [begin, end). A word has the bits of a float; the others of a double come from the second stream, so that both types get
 * the same numbers up to rounding, and the counter moves on alike. */
INLINE void draw_groups(const void *job, int64_t begin, int64_t end, int needs_more, draw_function *f) {
    const draw_job *j = job;
    /* The keys of all rounds, side by side: added up on the way, each takes a move from a plain register to all lanes. */
    uint64_t key[ROUNDS][2] = {{(uint32_t)j->key, j->key >> 32}};
    for (int round = 1; round < ROUNDS; round++) {
        key[round][0] = (uint32_t)(key[round - 1][0] + 0x9E3779B9u);
        key[round][1] = (uint32_t)(key[round - 1][1] + 0xBB67AE85u);
    }
    for (int64_t group = begin; group < end; group++) {
        const int64_t left = j->n - group * GROUP;
        uint32_t word[GROUP], more[GROUP];
        real number[GROUP];
        philox(key, j->first + (uint64_t)(group * AT_ONCE), 0, word);
        if (MW_DOUBLE && needs_more) philox(key, j->first + (uint64_t)(group * AT_ONCE), 1, more);
        f(word, more, left >= GROUP ? j->z + group * GROUP : number, j->r);
        if (left < GROUP) memcpy(j->z + group * GROUP, number, (size_t)left * sizeof(real));
    }
}

static void draw(uint64_t *state, real *z, int64_t n, mw_range_function *groups_of, parameters r) {
    int64_t blocks = (n + WORDS - 1) / WORDS;
    const draw_job job = {state[0], state[1], z, n, r};
    mw_parallel(mw_threads_for(n, RANDOM_GRAIN), (blocks + AT_ONCE - 1) / AT_ONCE, groups_of, &job);
    state[1] += (uint64_t)blocks;
}

/* Uniform in [0, 1), with as many random bits as the type has. */
INLINE real unit(const uint32_t *word, const uint32_t *more, int i) {
#if MW_DOUBLE
    return (real)((word[i] >> 5) * 67108864.0 + (more[i] >> 6)) * 0x1p-53;
#else
    (void)more;
    return (real)(word[i] >> 8) * 0x1p-24f;
#endif
}

/* Rounding may carry low + u (high - low) up to high itself; that number is put back to low. */
INLINE void uniform(const uint32_t *word, const uint32_t *more, real *out, parameters r) {
    for (int i = 0; i < GROUP; i++) {
        const real x = (real)(r.a + unit(word, more, i) * (r.b - r.a));
        out[i] = x < (real)r.b ? x : (real)r.a;
    }
}

/* Two uniforms give two normals: √(-2 ln u) cos 2πv and √(-2 ln u) sin 2πv, u in (0, 1]  (Box & Muller 1958). u has
 * the bits of a float in both types: near 0 its logarithm would tell more of them apart than rounding does. */
INLINE void normal(const uint32_t *word, const uint32_t *more, real *out, parameters r) {
    for (int i = 0; i < GROUP; i += 2) {
        const double u = 1 - (word[i] >> 8) * 0x1p-24, v = (double)unit(word, more, i + 1);
        const double radius = sqrt(-2 * log(u)), angle = 2 * 3.14159265358979323846 * v;
        out[i] = (real)(r.a + r.b * radius * cos(angle));
        out[i + 1] = (real)(r.a + r.b * radius * sin(angle));
    }
}

/* a is the greatest word that gives the value b. Words are compared as signed numbers, which all instruction sets can. */
INLINE void bernoulli(const uint32_t *word, const uint32_t *more, real *out, parameters r) {
    (void)more;
    typedef int32_t lanes_of_words __attribute__((vector_size(4 * sizeof(vec) / sizeof(real))));
    const bits most = (int32_t)((uint32_t)r.a ^ 0x80000000u);
    for (int i = 0; i < GROUP; i += LANES) {
        lanes_of_words w;
        memcpy(&w, word + i, sizeof w);
        const ivec hit = __builtin_convertvector(w ^ INT32_MIN, ivec) <= most;
        store(out + i, as_real(hit & as_bits(splat((real)r.b))));
    }
}

static void uniforms(const void *job, int64_t begin, int64_t end) { draw_groups(job, begin, end, 1, uniform); }
static void normals(const void *job, int64_t begin, int64_t end) { draw_groups(job, begin, end, 1, normal); }
static void bernoullis(const void *job, int64_t begin, int64_t end) { draw_groups(job, begin, end, 0, bernoulli); }

void mw_uniform_real(uint64_t *state, real *z, int64_t n, double low, double high) {
    draw(state, z, n, uniforms, (parameters){low, high});
}

void mw_normal_real(uint64_t *state, real *z, int64_t n, double mean, double deviation) {
    draw(state, z, n, normals, (parameters){mean, deviation});
}

void mw_bernoulli_real(uint64_t *state, real *z, int64_t n, double p, double value) {
    const double words_below = ceil(p * 0x1p32);
    draw(state, z, n, bernoullis, words_below < 1 ? (parameters){0, 0} : (parameters){words_below - 1, value});
}
