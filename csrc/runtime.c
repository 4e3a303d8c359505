/* What every kernel may ask for, whatever its element type and instruction set: threads, scratch memory, the choice of the
 * instruction set. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef double real;               /* for the prototypes; no kernel of element type real is defined here */
#include "kernels.h"
#include "runtime.h"

/* ---- threads ------------------------------------------------------------------------------------------------------------ */

static int threads_allowed = 1, forks = 0, fork_is_watched = 0;

/* The threads of the pool are not copied by fork: the child computes alone. */
static void forget_threads(void) {
    threads_allowed = 1;
    forks++;
}

int mw_forks(void) { return forks; }

void mw_set_threads(int threads) {
    if (!fork_is_watched) fork_is_watched = pthread_atfork(NULL, NULL, forget_threads) == 0;
    threads_allowed = fork_is_watched && !forks && threads > 1 ? threads : 1;
}

int mw_threads(void) { return threads_allowed; }

int64_t mw_threads_for(int64_t operations, int64_t grain) {
    int64_t deserved = operations / grain;
    return deserved <= 1 ? 1 : deserved < threads_allowed ? deserved : threads_allowed;
}

/* ---- the pool -------------------------------------------------------------------------------------------------------------
 * Whoever has time takes the next part of the work, the caller among them. So nobody waits for a thread that is asleep, or whose
 * core has been given to another process: what it does not take, the others do.
 *
 * An idle thread first spins, as it takes another 5 to 50 µs to wake one that sleeps, and then sleeps, as its core may be
 * wanted elsewhere. OpenMP's threads spin for milliseconds, or, with OMP_WAIT_POLICY=passive, not at all. */

enum { MOST_PARTS = 0xFFFF };
static const double SPIN = 50e-6;  /* seconds */

static struct {
    mw_range_function *f;
    const void *job;
    int64_t n;
    uint64_t ticket;               /* the number of the job << 32 | its parts << 16 | parts taken so far */
    int64_t unfinished;            /* parts */
    int busy;                      /* whether the pool has a job */
    int workers, asleep, caller_sleeps;
    pthread_mutex_t mutex;         /* of those who go to sleep and those who wake them */
    pthread_cond_t work, done;
} pool = {.mutex = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

/* All of these are sequentially consistent: one who goes to sleep first says so and then looks for work once more, and one who
 * brings work first says so and then looks for sleepers. */
#define READ(x) __atomic_load_n(&(x), __ATOMIC_SEQ_CST)
#define WRITE(x, value) __atomic_store_n(&(x), value, __ATOMIC_SEQ_CST)

double mw_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int has_parts(uint64_t ticket) { return (ticket & MOST_PARTS) < (ticket >> 16 & MOST_PARTS); }
static int work_is_there(void) { return has_parts(READ(pool.ticket)); }
static int work_is_done(void) { return READ(pool.unfinished) == 0; }

/* Whether it came true while spinning. What it waits for may be a thread that was put on this very core: it yields. */
static int spin_until(int (*condition)(void)) {
    for (double end = mw_now() + SPIN; mw_now() < end; sched_yield())
        for (int i = 0; i < 16; i++) {
            if (condition()) return 1;
            pause_briefly();
        }
    return 0;
}

static void take_parts(void) {
    for (uint64_t ticket = READ(pool.ticket); has_parts(ticket);) {
        if (!__atomic_compare_exchange_n(&pool.ticket, &ticket, ticket + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) continue;
        int64_t parts = ticket >> 16 & MOST_PARTS, part = ticket & MOST_PARTS;
        pool.f(pool.job, pool.n * part / parts, pool.n * (part + 1) / parts);
        if (__atomic_sub_fetch(&pool.unfinished, 1, __ATOMIC_SEQ_CST) == 0 && READ(pool.caller_sleeps)) {
            pthread_mutex_lock(&pool.mutex);
            pthread_cond_signal(&pool.done);
            pthread_mutex_unlock(&pool.mutex);
        }
        ticket = READ(pool.ticket);
    }
}

static void *work(void *nothing) {
    for (;;) {
        take_parts();
        if (spin_until(work_is_there)) continue;
        pthread_mutex_lock(&pool.mutex);
        WRITE(pool.asleep, pool.asleep + 1);
        while (!work_is_there()) pthread_cond_wait(&pool.work, &pool.mutex);
        WRITE(pool.asleep, pool.asleep - 1);
        pthread_mutex_unlock(&pool.mutex);
    }
    return nothing;
}

/* Signals are left to the threads that Python knows. With fewer workers than wanted the others have more to do. */
static void hire(int64_t workers) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pthread_t thread; pool.workers < workers && pthread_create(&thread, NULL, work, NULL) == 0; pool.workers++) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void wake(int64_t wanted) {
    if (READ(pool.asleep) == 0) return;
    pthread_mutex_lock(&pool.mutex);
    for (int64_t i = 0; i < wanted && i < pool.asleep; i++) pthread_cond_signal(&pool.work);
    pthread_mutex_unlock(&pool.mutex);
}

static void wait_until_done(void) {
    if (work_is_done() || spin_until(work_is_done)) return;
    pthread_mutex_lock(&pool.mutex);
    WRITE(pool.caller_sleeps, 1);
    while (!work_is_done()) pthread_cond_wait(&pool.done, &pool.mutex);
    WRITE(pool.caller_sleeps, 0);
    pthread_mutex_unlock(&pool.mutex);
}

/* The calling thread alone does it where the work is small, and where the pool is at another thread's service. */
void mw_parallel(int64_t threads, int64_t n, mw_range_function *f, const void *job) {
    threads = threads < MOST_PARTS ? threads : MOST_PARTS;
    if (threads <= 1 || __atomic_exchange_n(&pool.busy, 1, __ATOMIC_SEQ_CST)) {
        f(job, 0, n);
        return;
    }
    if (pool.workers < threads - 1) hire(threads - 1);
    pool.f = f;
    pool.job = job;
    pool.n = n;
    WRITE(pool.unfinished, threads);
    WRITE(pool.ticket, ((READ(pool.ticket) >> 32) + 1) << 32 | (uint64_t)threads << 16);
    wake(threads - 1);
    take_parts();
    wait_until_done();
    WRITE(pool.busy, 0);
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
