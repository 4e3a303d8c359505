/* Images turned, enlarged, mirrored and moved: each position of the result is looked up in the image, between pixels if need be. */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { GRAIN = 1 << 14 };                       /* positions that are worth a thread */

typedef struct {
    const real *x, *motion;
    real *z;
    const mw_warp *plan;
} warp_job;

/* Which index stands for i on an axis of n; -1: the fill value does. */
static int64_t found(int64_t i, int64_t n, int64_t fill) {
    if (i >= 0 && i < n) return i;
    const int64_t around = fill == MW_FILL_REFLECT ? 2 * n : n, j = (i % around + around) % around;
    switch (fill) {
    case MW_FILL_NEAREST: return i < 0 ? 0 : n - 1;
    case MW_FILL_WRAP: return j;
    case MW_FILL_REFLECT: return j < n ? j : 2 * n - 1 - j;
    default: return -1;
    }
}

/* A coordinate that an index can be made of, whatever it is. */
static double within(double x) { return x > -1e6 && x < 1e6 ? x : -1e6; }

/* The pixel (Y, X) of the result is at (y, x) of the image:  turned by an angle about the middle, stretched, and moved. */
static void place(const mw_warp *p, const real *motion, int64_t Y, int64_t X, double *y, double *x) {
    const double middle_y = 0.5 * (double)(p->input[0] - 1), middle_x = 0.5 * (double)(p->input[1] - 1);
    const double v = (double)Y - middle_y, u = (double)X - middle_x, c = cos((double)motion[0]), s = sin((double)motion[0]);
    *y = within((double)motion[1] * (s * u + c * v) + middle_y - (double)motion[3]);
    *x = within((double)motion[2] * (c * u - s * v) + middle_x - (double)motion[4]);
}

/* What a pixel of the result takes of the image, or, going backward, gives to it: up to four pixels with their shares. */
typedef struct {
    int64_t at[4];                              /* -1: the fill value */
    real share[4];
    int count;
} sources;

static sources sources_of(const mw_warp *p, const real *motion, int64_t Y, int64_t X) {
    double y, x;
    place(p, motion, Y, X, &y, &x);
    const int between = p->interpolation == MW_BILINEAR;
    const double top = between ? floor(y) : rint(y), left = between ? floor(x) : rint(x);
    sources s = {.count = between ? 4 : 1};
    for (int i = 0; i < s.count; i++) {
        const int64_t row = found((int64_t)top + i / 2, p->input[0], p->fill), column = found((int64_t)left + i % 2, p->input[1], p->fill);
        s.at[i] = row < 0 || column < 0 ? -1 : (row * p->input[1] + column) * p->channels;
        s.share[i] = between ? (real)((i / 2 ? y - top : 1 - (y - top)) * (i % 2 ? x - left : 1 - (x - left))) : 1;
    }
    return s;
}

static void warp_images(const void *job, int64_t begin, int64_t end) {
    const warp_job *j = job;
    const mw_warp *p = j->plan;
    const int64_t in = p->input[0] * p->input[1] * p->channels;
    for (int64_t n = begin; n < end; n++)
        for (int64_t o = 0; o < p->output[0] * p->output[1]; o++) {
            const sources s = sources_of(p, j->motion + n * MW_MOTION, o / p->output[1], o % p->output[1]);
            real *z = j->z + (n * p->output[0] * p->output[1] + o) * p->channels;
            for (int64_t c = 0; c < p->channels; c++) {
                real sum = 0;
                for (int i = 0; i < s.count; i++) sum += s.share[i] * (s.at[i] < 0 ? (real)p->fill_value : j->x[n * in + s.at[i] + c]);
                z[c] = sum;
            }
        }
}

static void warp_grad_images(const void *job, int64_t begin, int64_t end) {
    const warp_job *j = job;
    const mw_warp *p = j->plan;
    const int64_t in = p->input[0] * p->input[1] * p->channels;
    for (int64_t n = begin; n < end; n++) {
        real *dx = j->z + n * in;
        memset(dx, 0, (size_t)in * sizeof(real));
        for (int64_t o = 0; o < p->output[0] * p->output[1]; o++) {
            const sources s = sources_of(p, j->motion + n * MW_MOTION, o / p->output[1], o % p->output[1]);
            const real *dz = j->x + (n * p->output[0] * p->output[1] + o) * p->channels;
            for (int i = 0; i < s.count; i++)
                for (int64_t c = 0; s.at[i] >= 0 && c < p->channels; c++) dx[s.at[i] + c] += s.share[i] * dz[c];
        }
    }
}

static void run(mw_range_function *f, const warp_job *j) {
    const mw_warp *p = j->plan;
    const int64_t threads = mw_threads_for(p->images * p->output[0] * p->output[1], GRAIN);
    mw_parallel(threads < p->images ? threads : p->images, p->images, f, j);
}

void mw_warp_real(const real *x, const real *motion, real *z, const mw_warp *plan) {
    run(warp_images, &(warp_job){.x = x, .motion = motion, .z = z, .plan = plan});
}

void mw_warp_grad_real(const real *dz, const real *motion, real *dx, const mw_warp *plan) {
    run(warp_grad_images, &(warp_job){.x = dz, .motion = motion, .z = dx, .plan = plan});
}
