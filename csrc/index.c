/* dz added to the rows that an index names: the backward of taking rows. A thread owns a range of columns, or with short rows
 * all of them, so that every sum is added in the order of the index. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { SCATTER_GRAIN = 65536 };

void mw_scatter_add_real(const real *dz, const int64_t *index, real *out, const mw_indexing *plan) {
    int64_t size = plan->row_size, threads = mw_threads_for(plan->rows * size, SCATTER_GRAIN);
    if (size < 64 * threads) threads = 1;
#pragma omp parallel for num_threads((int)threads) if (threads > 1) schedule(static)
    for (int64_t t = 0; t < threads; t++)
        for (int64_t i = 0; i < plan->rows; i++)
            for (int64_t j = size * t / threads; j < size * (t + 1) / threads; j++) out[index[i] * size + j] += dz[i * size + j];
}
