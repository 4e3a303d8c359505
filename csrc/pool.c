/* Pooling: one number for what a window of an image holds, for each channel by itself. Channels lie side by side, so a vector holds
 * LANES of them. There is one walk over all windows; the kernels differ in what becomes of a place of a window.
 */
#include "simd.h"
#include "kernels.h"
#include "runtime.h"

enum { GRAIN = 1 << 16 };                       /* numbers in windows that are worth a thread */

/* A gradient is put where no windows share a place, and added where they do. */
enum kind { MAX, MAX_GRAD, MAX_GRAD_ADD, MAX_PICK, AVERAGE, AVERAGE_GRAD, AVERAGE_GRAD_ADD };

typedef struct {
    const mw_pool *plan;
    const real *x, *z;                          /* images, and what came of them; of a gradient, only to find the largest */
    const real *given;                          /* dz, or what is picked from */
    real *out;
} pool_job;

/* What of a window is inside of its image: where it begins, in numbers, and its size and steps along each axis. */
typedef struct {
    int64_t at, count[3], step[3];
} window;

INLINE window window_of(const mw_pool *p, const int64_t *o) {
    window w;
    w.at = 0;
    for (int64_t i = 2, step = p->channels; i >= 0; step *= p->input[i--]) {
        const int64_t from = o[i] * p->stride[i] - p->before[i], end = from + p->window[i];
        const int64_t first = from > 0 ? from : 0, last = end < p->input[i] ? end : p->input[i];
        w.count[i] = last > first ? last - first : 0;
        w.step[i] = step;
        w.at += first * step;
    }
    return w;
}

INLINE vec get(const int whole, const real *p, int64_t count) { return whole ? load(p) : load_first(p, count); }
INLINE void put(const int whole, real *p, vec x, int64_t count) {
    if (whole) store(p, x);
    else store_first(p, x, count);
}

/* One vector of channels of one window: `image` is where they are in the image's first place, `o` in the result. */
INLINE void pool_vector(const enum kind kind, const int whole, const pool_job *j, const window *w, int64_t image, int64_t o, int64_t count) {
    const int of_max = kind == MAX_GRAD || kind == MAX_GRAD_ADD, of_average = kind == AVERAGE_GRAD || kind == AVERAGE_GRAD_ADD;
    const int is_gradient = of_max || of_average, finds = of_max || kind == MAX_PICK, adds = kind == MAX_GRAD_ADD || kind == AVERAGE_GRAD_ADD;
    const int64_t places = w->count[0] * w->count[1] * w->count[2];
    const vec z = finds ? get(whole, j->z + o, count) : (vec){0};
    vec dz = is_gradient ? get(whole, j->given + o, count) : (vec){0}, sum = kind == MAX ? splat(-INFINITY) : (vec){0};
    if (of_average && places > 0 && !j->plan->sums) dz /= splat((real)places);
    ivec open = (ivec){0} - 1;                  /* lanes whose largest is still to be found */
    for (int64_t d = 0; d < w->count[0]; d++)
        for (int64_t h = 0; h < w->count[1]; h++) {
            int64_t at = image + w->at + d * w->step[0] + h * w->step[1];
            for (int64_t v = 0; v < w->count[2]; v++, at += w->step[2]) {
                const vec x = is_gradient && !finds ? (vec){0} : get(whole, j->x + at, count);
                const ivec hit = open & ((x == z) | ((x != x) & (z != z)));
                if (kind == MAX) sum = vmax(x, sum);
                if (kind == AVERAGE) sum += x;
                if (kind == MAX_PICK) sum = choose(hit, get(whole, j->given + at, count), sum);
                const vec dx = finds ? choose(hit, dz, (vec){0}) : dz;
                if (is_gradient) put(whole, j->out + at, adds ? get(whole, j->out + at, count) + dx : dx, count);
                open &= ~hit;
            }
        }
    if (kind == AVERAGE && places > 0 && !j->plan->sums) sum /= splat((real)places);
    if (!is_gradient) put(whole, j->out + o, sum, count);
}

/* Lines [begin, end) of the result, counted through all images. */
INLINE void pool_lines(const enum kind kind, const pool_job *j, int64_t begin, int64_t end) {
    const mw_pool *p = j->plan;
    const int64_t channels = p->channels, size = p->input[0] * p->input[1] * p->input[2] * channels;
    for (int64_t n = begin; n < end; n++) {
        const int64_t line = n / p->output[1], image = line / p->output[0] * size;
        int64_t o[3] = {line % p->output[0], n % p->output[1], 0};
        for (; o[2] < p->output[2]; o[2]++) {
            const window w = window_of(p, o);
            const int64_t at = (n * p->output[2] + o[2]) * channels, whole = channels / LANES * LANES;
            for (int64_t c = 0; c < whole; c += LANES) pool_vector(kind, 1, j, &w, image + c, at + c, LANES);
            if (whole < channels) pool_vector(kind, 0, j, &w, image + whole, at + whole, channels - whole);
        }
    }
}

static void max_lines(const void *job, int64_t begin, int64_t end) { pool_lines(MAX, job, begin, end); }
static void pick_lines(const void *job, int64_t begin, int64_t end) { pool_lines(MAX_PICK, job, begin, end); }
static void average_lines(const void *job, int64_t begin, int64_t end) { pool_lines(AVERAGE, job, begin, end); }

/* Images [begin, end): windows may share places, so an image belongs to one thread. Places in no window are 0. */
INLINE void gradient_images(const enum kind kind, const enum kind adding, const pool_job *j, int64_t begin, int64_t end) {
    const mw_pool *p = j->plan;
    const int64_t size = p->input[0] * p->input[1] * p->input[2] * p->channels, lines = p->output[0] * p->output[1];
    int share = 0, cover = 1;
    for (int i = 0; i < 3; i++) {
        share |= p->stride[i] < p->window[i];
        cover &= p->stride[i] <= p->window[i] && p->output[i] * p->stride[i] - p->before[i] >= p->input[i];
    }
    for (int64_t i = begin; i < end; i++) {
        if (share || !cover) memset(j->out + i * size, 0, (size_t)size * sizeof(real));
        if (share) pool_lines(adding, j, i * lines, (i + 1) * lines);
        else pool_lines(kind, j, i * lines, (i + 1) * lines);
    }
}

static void max_grad_images(const void *job, int64_t begin, int64_t end) { gradient_images(MAX_GRAD, MAX_GRAD_ADD, job, begin, end); }
static void average_grad_images(const void *job, int64_t begin, int64_t end) {
    gradient_images(AVERAGE_GRAD, AVERAGE_GRAD_ADD, job, begin, end);
}

static void run(mw_range_function *f, const pool_job *job, int64_t parts) {
    const mw_pool *p = job->plan;
    const int64_t windows = p->images * p->output[0] * p->output[1] * p->output[2];
    const int64_t numbers = windows * p->window[0] * p->window[1] * p->window[2] * p->channels, threads = mw_threads_for(numbers, GRAIN);
    mw_parallel(threads < parts ? threads : parts, parts, f, job);
}

static int64_t lines_of(const mw_pool *p) { return p->images * p->output[0] * p->output[1]; }

void mw_max_pool_real(const real *x, real *z, const mw_pool *plan) {
    run(max_lines, &(pool_job){.plan = plan, .x = x, .out = z}, lines_of(plan));
}

void mw_max_pool_grad_real(const real *dz, const real *x, const real *z, real *dx, const mw_pool *plan) {
    run(max_grad_images, &(pool_job){.plan = plan, .x = x, .z = z, .given = dz, .out = dx}, plan->images);
}

void mw_max_pool_pick_real(const real *y, const real *x, const real *z, real *out, const mw_pool *plan) {
    run(pick_lines, &(pool_job){.plan = plan, .x = x, .z = z, .given = y, .out = out}, lines_of(plan));
}

void mw_average_pool_real(const real *x, real *z, const mw_pool *plan) {
    run(average_lines, &(pool_job){.plan = plan, .x = x, .out = z}, lines_of(plan));
}

void mw_average_pool_grad_real(const real *dz, real *dx, const mw_pool *plan) {
    run(average_grad_images, &(pool_job){.plan = plan, .given = dz, .out = dx}, plan->images);
}
