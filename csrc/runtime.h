/* What every kernel may ask of the machine: threads and scratch memory. Compiled once, for the baseline. */
#ifndef MW_RUNTIME_H
#define MW_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

/* How many threads a piece of work deserves: 1 below `grain` operations per thread, at most what mw_set_threads allows,
 * and 1 in a child after fork. Results never depend on it. */
int64_t mw_threads_for(int64_t operations, int64_t grain);

/* Runs f(job, begin, end) over equal parts of 0 .. n, as many as threads, by those threads of the pool that have time; on one thread,
 * and while the pool works for another caller, over the whole at once. */
typedef void mw_range_function(const void *job, int64_t begin, int64_t end);
void mw_parallel(int64_t threads, int64_t n, mw_range_function *f, const void *job);

/* Seconds, from some moment on. */
double mw_now(void);

/* How many forks lie between this process and the one that loaded the library. */
int mw_forks(void);

/* Scratch memory of the calling thread, at least `bytes` long, aligned to 64, kept until the thread ends or asks for more.
 * One piece per thread: a second call may move the first. NULL when memory is out: the caller then takes a path without it. */
void *mw_scratch(size_t bytes);

#endif
