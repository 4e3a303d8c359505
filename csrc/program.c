/* Running what was recorded: a list of calls, with no Python between one and the next, and no allocation after the first run. */
#include <sched.h>
#include <stdint.h>
#include <stddef.h>

typedef double real;               /* for the prototypes; no kernel of element type real is defined here */
#include "kernels.h"
#include "program.h"
#include "runtime.h"

/* The number of the call that found a fault, counted through all runs, or -1 */
static int64_t run(const mw_program *program, void *const *base, const int64_t *stride, int64_t times, double *seconds) {
    const int64_t calls = program->calls;
    for (int64_t time = 0; time < times; time++) {
        for (int64_t i = 0; i < program->uses; i++) {
            const mw_use *u = &program->use[i];
            program->words[u->word].pointer = (char *)base[u->binding] + time * stride[u->binding] + u->offset;
        }
        for (int64_t i = 0; i < calls; i++) {
            const mw_call *c = &program->call[i];
            double start = seconds ? mw_now() : 0;
            if (c->run(c->arguments) >= 0) return time * calls + i;
            if (seconds) seconds[i] += mw_now() - start;
        }
    }
    return -1;
}

/* Threads take turns. One that held a program when its process was forked is not there in the child, where its mark is an old
 * one, and nobody's. */
static void take(mw_program *program) {
    const int mine = mw_forks() + 1;
    int seen = 0;
    while (!__atomic_compare_exchange_n(&program->running, &seen, mine, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        if (seen == mine) {
            sched_yield();
            seen = 0;
        }
}

int64_t mw_replay(mw_program *program, void *const *base, const int64_t *stride, int64_t times, double *seconds) {
    take(program);
    const int64_t stopped = run(program, base, stride, times, seconds);
    __atomic_store_n(&program->running, 0, __ATOMIC_RELEASE);
    return stopped;
}

/* ---- chains ------------------------------------------------------------------------------------------------------------- */

/* Blocks [first, last), all links over each. A thread knows its own memory by the number of its part. */
static void run_blocks(const mw_chain *plan, int64_t thread, int64_t first, int64_t last) {
    for (int64_t begin = first * plan->block; begin < last * plan->block && begin < plan->size; begin += plan->block) {
        int64_t n = plan->size - begin < plan->block ? plan->size - begin : plan->block;
        for (int64_t i = 0; i < plan->links; i++) {
            const mw_link *l = &plan->link[i];
            mw_walk walk = *(const mw_walk *)l->arguments[l->pointers].pointer;
            walk.size = walk.shape[0] = n;
            mw_word words[5];
            for (int64_t k = 0; k < l->pointers; k++)
                words[k].pointer = (char *)l->arguments[k].pointer + begin * l->step[k] + thread * l->apart[k];
            words[l->pointers].pointer = &walk;
            l->run(words);
        }
    }
}

/* One part for each thread: parts, not blocks, are what mw_parallel shares out. */
typedef struct {
    const mw_chain *plan;
    int64_t threads, blocks;
} chain_job;

static void run_parts(const void *job, int64_t begin, int64_t end) {
    const chain_job *j = job;
    for (int64_t t = begin; t < end; t++) run_blocks(j->plan, t, j->blocks * t / j->threads, j->blocks * (t + 1) / j->threads);
}

enum { CHAIN_GRAIN = 16384 };

int64_t mw_run_chain(const mw_word *arguments) {
    const mw_chain *plan = arguments[0].pointer;
    int64_t threads = mw_threads_for(plan->size * plan->links, CHAIN_GRAIN), blocks = (plan->size + plan->block - 1) / plan->block;
    if (threads > plan->threads) threads = plan->threads;
    chain_job job = {plan, threads, blocks};
    mw_parallel(threads, threads, run_parts, &job);
    return -1;
}
