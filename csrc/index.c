/* dz added to the rows that an index names: the backward of taking rows. A thread owns a range of columns, so that every sum is
 * added in the order of the index. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { SCATTER_GRAIN = 65536, SHORTEST_PART = 64 };

typedef struct {
    const real *dz;
    const int64_t *index;
    real *out;
    const mw_indexing *plan;
} scatter_job;

static void scatter_columns(const void *job, int64_t begin, int64_t end) {
    const scatter_job *s = job;
    int64_t size = s->plan->row_size;
    for (int64_t i = 0; i < s->plan->rows; i++)
        for (int64_t j = begin; j < end; j++) s->out[s->index[i] * size + j] += s->dz[i * size + j];
}

void mw_scatter_add_real(const real *dz, const int64_t *index, real *out, const mw_indexing *plan) {
    scatter_job job = {dz, index, out, plan};
    int64_t threads = mw_threads_for(plan->rows * plan->row_size, SCATTER_GRAIN);
    mw_parallel(plan->row_size < threads * SHORTEST_PART ? 1 : threads, plan->row_size, scatter_columns, &job);
}
