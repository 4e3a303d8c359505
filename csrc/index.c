/* Rows taken by an index, and dz added to the rows that an index names. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

/* ---- of any element type: what moves bytes, and what works on the index itself ------------------------------------------- */

#ifdef MW_ONCE

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

void mw_widen(const uint8_t *x, int64_t *z, int64_t n, int64_t size, int64_t is_signed) {
    const void *at = x;
    switch (is_signed ? -size : size) {
    case 1: for (int64_t i = 0; i < n; i++) z[i] = x[i]; break;
    case 2: for (int64_t i = 0; i < n; i++) z[i] = ((const uint16_t *)at)[i]; break;
    case 4: for (int64_t i = 0; i < n; i++) z[i] = ((const uint32_t *)at)[i]; break;
    case -1: for (int64_t i = 0; i < n; i++) z[i] = ((const int8_t *)at)[i]; break;
    case -2: for (int64_t i = 0; i < n; i++) z[i] = ((const int16_t *)at)[i]; break;
    default: for (int64_t i = 0; i < n; i++) z[i] = ((const int32_t *)at)[i]; break;
    }
}

void mw_flat_index(const int64_t *before, const int64_t *index, int64_t *flat, int64_t n, int64_t size) {
    for (int64_t i = 0; i < n; i++) flat[i] = (before ? before[i] * size : 0) + index[i] + (index[i] < 0 ? size : 0);
}

int64_t mw_first_bad_label(const int64_t *label, int64_t n, int64_t classes) {
    for (int64_t i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= classes) return i;
    return -1;
}

#endif

/* ---- sums --------------------------------------------------------------------------------------------------------------
 * A thread owns a range of columns, so that every sum is added in the order of the index. */

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
