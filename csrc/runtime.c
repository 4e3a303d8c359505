/* What exists once, whatever the element type and the instruction set: threads, scratch, the choice of the instruction set,
 * and the kernels that only move bytes or work on the scalar engine's doubles. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef double real;               /* for the prototypes; no kernel of element type real is defined here */
#include "kernels.h"
#include "runtime.h"

/* ---- threads ------------------------------------------------------------------------------------------------------------ */

static int threads_allowed = 1, forks = 0, fork_is_watched = 0;

/* The threads of the OpenMP pool are not copied by fork, and waiting for them would never end. */
static void forget_threads(void) {
    threads_allowed = 1;
    forks++;
}

int mw_forks(void) { return forks; }

void mw_set_threads(int threads) {
    if (!fork_is_watched) fork_is_watched = pthread_atfork(NULL, NULL, forget_threads) == 0;
#ifdef _OPENMP
    threads_allowed = fork_is_watched && !forks && threads > 1 ? threads : 1;
#else
    (void)threads;
#endif
}

int mw_threads(void) { return threads_allowed; }

int64_t mw_threads_for(int64_t operations, int64_t grain) {
    int64_t deserved = operations / grain;
    return deserved <= 1 ? 1 : deserved < threads_allowed ? deserved : threads_allowed;
}

/* With one thread the function is called as it is: entering an OpenMP region costs more than many a kernel. */
void mw_parallel(int64_t threads, int64_t n, mw_range_function *f, const void *job) {
    if (threads <= 1) {
        f(job, 0, n);
        return;
    }
#pragma omp parallel for num_threads((int)threads) schedule(static)
    for (int64_t t = 0; t < threads; t++) f(job, n * t / threads, n * (t + 1) / threads);
}

/* ---- scratch ------------------------------------------------------------------------------------------------------------ */

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;
static __thread void *scratch = NULL;
static __thread size_t scratch_size = 0;

static void make_scratch_key(void) { pthread_key_create(&scratch_key, free); }

void *mw_scratch(size_t bytes) {
    if (bytes <= scratch_size) return scratch;
    pthread_once(&scratch_once, make_scratch_key);
    bytes = (bytes + 4095) / 4096 * 4096;
    void *larger = NULL;
    if (posix_memalign(&larger, 64, bytes) != 0) return NULL;
    free(scratch);
    scratch = larger;
    scratch_size = bytes;
    pthread_setspecific(scratch_key, scratch);               /* frees it when the thread ends */
    return scratch;
}

/* ---- the machine -------------------------------------------------------------------------------------------------------- */

int mw_best_isa(void) {
#if MW_BUILT_ISAS > 1 && (defined(__x86_64__) || defined(__i386__))
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    int avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    int machine = avx512 ? 2 : avx2 ? 1 : 0;
    return machine < MW_BUILT_ISAS ? machine : MW_BUILT_ISAS - 1;
#else
    return 0;
#endif
}

int mw_active_isa = 0;             /* read by the generated dispatcher */

void mw_set_isa(int isa) { mw_active_isa = isa; }
int mw_isa(void) { return mw_active_isa; }

const char *mw_compiler(void) { return __VERSION__; }

int mw_has_openmp(void) {
#ifdef _OPENMP
    return 1;
#else
    return 0;
#endif
}

/* ---- kernels without an element type ------------------------------------------------------------------------------------ */

enum { GATHER_GRAIN = 1 << 18 };

typedef struct {
    const uint8_t *source;
    const int64_t *index;
    uint8_t *out;
    size_t size;
} gather_job;

static void gather_rows(const void *job, int64_t begin, int64_t end) {
    const gather_job *j = job;
    for (int64_t i = begin; i < end; i++) memcpy(j->out + (size_t)i * j->size, j->source + (size_t)j->index[i] * j->size, j->size);
}

void mw_gather(const uint8_t *source, const int64_t *index, uint8_t *out, const mw_indexing *plan) {
    gather_job job = {source, index, out, (size_t)plan->row_size};
    mw_parallel(mw_threads_for(plan->rows * plan->row_size, GATHER_GRAIN), plan->rows, gather_rows, &job);
}

void mw_flat_index(const int64_t *before, const int64_t *index, int64_t *flat, int64_t n, int64_t size) {
    for (int64_t i = 0; i < n; i++) flat[i] = (before ? before[i] * size : 0) + index[i] + (index[i] < 0 ? size : 0);
}

int64_t mw_first_bad_label(const int64_t *label, int64_t n, int64_t classes) {
    for (int64_t i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= classes) return i;
    return -1;
}

double mw_weighted_sum(const double *weights, const double *inputs, int64_t n, double bias) {
    for (int64_t i = 0; i < n; i++) bias += weights[i] * inputs[i];
    return bias;
}
