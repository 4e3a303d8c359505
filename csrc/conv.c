/* Convolution as sums of products, in which no window is ever copied:
 *
 *   1. windows          those along a line of an image are a matrix whose rows overlap in memory
 *   2. both ways        what a transposed convolution computes is a few convolutions of its own
 *   3. lines            with zeros around them, where windows stick out
 *   4. the sweep        for a block of weights (packed), for each line of the result: tiles
 *   5. weights' gradient   the same windows, lying across
 *   6. channels by themselves   where each is a group of its own
 *   7. plain products   where a kernel has one tap, or sees all of an image
 *
 * Images have three axes here, depth, height and width, with channels last; a line is a row of pixels along the width. Where all channels
 * are seen, the taps of a kernel along a line lie side by side in memory: a window is a stretch of taps × channels numbers, and the next
 * window begins stride × channels numbers later. So the windows along a line are a matrix A with that for its rows' stride; for each
 * line of the kernel there is one such matrix, and a B of weights: the sum over these pairs is what the register tile (tile.h) does.
 * Compare the indirect convolution (Dukhan 2019) and the direct one of Zhang et al. (2018).
 *
 * The terms of an element are added in the order of the kernel's taps and channels, in blocks that depend on the kernel alone.
 */
#include "tile.h"
#include "kernels.h"
#include "runtime.h"
#include "epilogue.h"

/* ---- 1. windows -------------------------------------------------------------------------------------------------
 * Along an axis, window i sees inputs first + i step + t gap for t in 0 .. taps - 1, with the weights of tap weight + t weight_step of
 * the kernel, and gives output to + i to_step.
 */
typedef struct {
    int64_t windows, to, to_step, outputs;
    int64_t inputs, first, step, gap, taps;
    int64_t weight, weight_step;
} axis;

enum { DEPTH_AXIS, HEIGHT_AXIS, WIDTH_AXIS, AXES };

static axis axis_of(const mw_conv *p, int i) {
    return (axis){.windows = p->output[i], .to_step = 1, .outputs = p->output[i], .inputs = p->input[i], .first = -p->before[i],
                  .step = p->stride[i], .gap = p->dilation[i], .taps = p->kernel[i], .weight_step = 1};
}

/* ---- 2. both ways -----------------------------------------------------------------------------------------------
 * Input y of a convolution was seen by output o with tap t if o stride = y + before - t dilation. Of the y with one remainder by the
 * stride, all see the same taps: a convolution with step 1, in which the last of these taps comes first.
 */
static axis transposed_axis(const mw_conv *p, int i, int64_t phase) {
    const int64_t stride = p->stride[i], dilation = p->dilation[i], at = phase + p->before[i];
    axis x = {.windows = phase < p->input[i] ? ceil_div(p->input[i] - phase, stride) : 0, .to = phase, .to_step = stride,
              .outputs = p->input[i], .inputs = p->output[i], .step = 1};
    for (int64_t t = 0; t < p->kernel[i]; t++)
        if ((at - t * dilation) % stride == 0) {
            if (x.taps++) x.weight_step = x.weight - t;
            x.weight = t;
        }
    x.gap = -x.weight_step * dilation / stride;
    x.first = (at - x.weight * dilation) / stride;
    return x;
}

/* A convolution as both ways see it: `in` channels of a group give `out` channels of the result's. */
typedef struct {
    int64_t images, groups, in, out;
    axis axis[AXES];
    const real *x, *w, *bias;
    real *z;
    const ending *more;                                     /* follows instead of bias and activation, if it is not NULL */
    int64_t kernel[AXES], w_tap, w_in, w_out, w_group;      /* steps in W from tap to tap, and from channel to channel */
    int64_t activation;
    int64_t per_line, segments, k;                          /* segments of a window: its lines, or single taps, of k numbers */
    int64_t left, line;                                     /* zeros, in pixels, before a line; numbers in a line with its zeros */
} sweep;

static int has_border(const sweep *s) { return s->line != s->axis[WIDTH_AXIS].inputs * s->in * s->groups; }

/* Without the taps at both ends that lie outside of the image for every window: what is left needs no more zeros than the image is long. */
static void trim(axis *x) {
    while (x->taps > 0 && x->first + (x->windows - 1) * x->step < 0) x->first += x->gap, x->weight += x->weight_step, x->taps--;
    while (x->taps > 0 && x->first + (x->taps - 1) * x->gap >= x->inputs) x->taps--;
}

/* What follows from the axes. */
static void complete(sweep *s) {
    trim(&s->axis[WIDTH_AXIS]);
    const axis *width = &s->axis[WIDTH_AXIS];
    const int joined = s->groups == 1 && (width->gap == 1 || width->taps <= 1);
    const int64_t last = width->first + (width->windows - 1) * width->step + (width->taps - 1) * width->gap;
    s->per_line = joined ? smaller(1, width->taps) : width->taps;
    s->k = joined ? width->taps * s->in : s->in;
    s->segments = s->axis[DEPTH_AXIS].taps * s->axis[HEIGHT_AXIS].taps * s->per_line;
    s->left = larger(0, -width->first);
    s->line = (s->left + larger(width->inputs, last + 1)) * s->in * s->groups;
}

static sweep sweep_of(const mw_conv *p) {
    sweep s = {.images = p->images, .groups = p->groups, .in = p->channels / p->groups, .out = p->filters / p->groups,
               .w_in = p->filters, .w_out = 1, .activation = p->activation};
    s.w_tap = s.in * p->filters;
    s.w_group = s.out;
    for (int i = 0; i < AXES; i++) s.axis[i] = axis_of(p, i), s.kernel[i] = p->kernel[i];
    complete(&s);
    return s;
}

/* Input d or h of a window's tap, or -1 if it is outside of the image, where all is 0. */
static int64_t seen(const axis *x, int64_t window, int64_t tap) {
    const int64_t i = x->first + window * x->step + tap * x->gap;
    return 0 <= i && i < x->inputs ? i : -1;
}

/* What is left to do where there is no scratch memory: the sums as they are defined, one number at a time. */
static real plain_sum(const sweep *s, int64_t image, int64_t d, int64_t h, int64_t v, int64_t group, int64_t f) {
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    real sum = 0;
    for (int64_t td = 0; td < depth->taps; td++)
        for (int64_t th = 0; th < height->taps; th++)
            for (int64_t tv = 0; tv < width->taps; tv++) {
                const int64_t x = seen(depth, d, td), y = seen(height, h, th), u = seen(width, v, tv);
                if (x < 0 || y < 0 || u < 0) continue;
                const int64_t kd = depth->weight + td * depth->weight_step, kh = height->weight + th * height->weight_step;
                const int64_t kv = width->weight + tv * width->weight_step;
                const int64_t tap = (kd * s->kernel[HEIGHT_AXIS] + kh) * s->kernel[WIDTH_AXIS] + kv;
                const real *w = s->w + tap * s->w_tap + group * s->w_group + f * s->w_out;
                const real *in = s->x + (((image * depth->inputs + x) * height->inputs + y) * width->inputs + u) * s->in * s->groups + group * s->in;
                for (int64_t c = 0; c < s->in; c++) sum += in[c] * w[c * s->w_in];
            }
    return sum;
}

static void plain_lines(const sweep *s, int64_t begin, int64_t end) {
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    const int64_t channels = s->out * s->groups;
    for (int64_t n = begin; n < end; n++)
        for (int64_t v = 0; v < width->windows; v++) {
            const int64_t h = n % height->windows, d = n / height->windows % depth->windows, image = n / height->windows / depth->windows;
            const int64_t to_h = height->to + h * height->to_step, to_d = depth->to + d * depth->to_step;
            const int64_t line = (image * depth->outputs + to_d) * height->outputs + to_h;
            real *z = s->z + (line * width->outputs + width->to + v * width->to_step) * channels;
            for (int64_t j = 0; j < channels; j++) z[j] = plain_sum(s, image, d, h, v, j / s->out, j % s->out);
            if (s->more) finish_sums(z, 1, channels, channels, s->more);
            else finish_rows(z, 1, channels, channels, s->bias, s->activation);
        }
}

/* ---- 3. lines ---------------------------------------------------------------------------------------------------
 * Lines whose windows stick out are copied, with zeros around them, when they are first seen. Of one plane of an image only those are
 * kept that are seen together.
 */
typedef struct {
    const sweep *s;
    real *copies;                                           /* NULL: none are needed */
    int64_t *held;                                          /* which line each copy is of */
    int64_t images, ring;                                   /* images that are seen together, and lines of a plane */
} border;

/* How much memory it takes, for the lines that so many lines of a result see, of so many images. */
static border border_of(const sweep *s, int64_t images, int64_t lines) {
    const axis *height = &s->axis[HEIGHT_AXIS];
    const int64_t span = (lines - 1) * height->step + larger(0, height->taps - 1) * height->gap + 1;
    return (border){.s = s, .images = images, .ring = s->axis[DEPTH_AXIS].inputs == 1 ? smaller(span, height->inputs) : height->inputs};
}

static int64_t copies_in(const border *b) { return has_border(b->s) ? b->images * b->s->axis[DEPTH_AXIS].inputs * b->ring : 0; }
static int64_t border_bytes(const border *b) {
    return copies_in(b) * (round_up(b->s->line * (int64_t)sizeof(real), 64) + (int64_t)sizeof *b->held);
}

static void place_border(border *b, void *memory) {
    const int64_t copies = copies_in(b);
    if (!copies) return;
    b->copies = memory;
    b->held = (int64_t *)((char *)memory + copies * round_up(b->s->line * (int64_t)sizeof(real), 64));
    for (int64_t i = 0; i < copies; i++) b->held[i] = -1;
}

static const real *lines_base(const border *b) { return b->copies ? b->copies : b->s->x; }

/* Where line (image, d, h) is, from that base. */
static int64_t line_at(const border *b, int64_t image, int64_t d, int64_t h) {
    const sweep *s = b->s;
    const int64_t channels = s->in * s->groups, length = s->axis[WIDTH_AXIS].inputs * channels, depth = s->axis[DEPTH_AXIS].inputs;
    const int64_t number = (image * depth + d) * s->axis[HEIGHT_AXIS].inputs + h;
    if (!b->copies) return number * length;
    const int64_t place = (image % b->images * depth + d) * b->ring + h % b->ring;
    const int64_t at = place * (round_up(s->line * (int64_t)sizeof(real), 64) / (int64_t)sizeof(real)), before = s->left * channels;
    if (b->held[place] != number) {
        real *to = b->copies + at;
        memset(to, 0, (size_t)before * sizeof(real));
        memcpy(to + before, s->x + number * length, (size_t)length * sizeof(real));
        memset(to + before + length, 0, (size_t)(s->line - before - length) * sizeof(real));
        b->held[place] = number;
    }
    return at;
}

/* ---- 4. the sweep -----------------------------------------------------------------------------------------------
 *     for a block of weights (pack it):  for lines of the result:  for panels of the weights:  for strips of the line, a tile high
 *
 * A block is at most BLOCK_ROWS of a panel (or one segment), and as many panels as fill half of the L2 cache.
 */
enum { BLOCK_ROWS = 2048, BLOCK_BYTES = 384 << 10 };
#ifndef CONV_GRAIN
enum { CONV_GRAIN = 1 << 20, DEPTHWISE_GRAIN = 1 << 18 };   /* multiply-adds that are worth a thread */
#endif

typedef struct {
    int64_t height, panel;                                  /* of a tile: windows, and channels of the result */
    int64_t segments, columns;                              /* of a block of weights */
} blocking;

/* How wide a panel is, in vectors, that tiles of a height go over: as wide as fits, but with none left over if that can be. */
static int64_t panel_width(int64_t height, int64_t columns) {
    const int64_t vectors = ceil_div(columns, LANES);
    int64_t width = WIDEST;
    while (!fits(height, width) || (width > 1 && width / 2 >= vectors)) width /= 2;
    return width < 4 && vectors % 3 == 0 && fits(height, 3) ? 3 : width;
}

/* The widest tile for so many vectors of a panel. */
static int64_t tile_width(int64_t panel, int64_t vectors) {
    for (int64_t width = panel == 3 ? 3 : WIDEST;; width = width == 3 ? 2 : width / 2)
        if (width <= smaller(panel, vectors)) return width;
}

static blocking blocking_of(const sweep *s) {
    const int64_t windows = s->axis[WIDTH_AXIS].windows, height = ceil_div(windows, ceil_div(windows, TALLEST));
    const int64_t panel = panel_width(height, s->out) * LANES;
    const int64_t segments = smaller(larger(1, s->segments), larger(1, BLOCK_ROWS / larger(1, s->k)));
    const int64_t bytes = larger(1, segments * s->k * panel * (int64_t)sizeof(real));
    return (blocking){height, panel, segments, larger(1, smaller(BLOCK_BYTES / bytes, ceil_div(s->out, panel))) * panel};
}

/* Segments [first, end) of the weights from column j0 on, panel by panel. */
static void pack_weights(const sweep *s, const blocking *b, int64_t group, int64_t first, int64_t end, int64_t j0, int64_t columns, real *to) {
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    const int64_t rows = (end - first) * s->k, taps = s->in ? s->k / s->in : 0;
    for (int64_t segment = first; segment < end; segment++)
        for (int64_t t = 0; t < taps; t++) {
            const int64_t line = segment / s->per_line;
            const int64_t kd = depth->weight + line / height->taps * depth->weight_step;
            const int64_t kh = height->weight + line % height->taps * height->weight_step;
            const int64_t kw = width->weight + (segment % s->per_line + t) * width->weight_step;
            const int64_t tap = (kd * s->kernel[HEIGHT_AXIS] + kh) * s->kernel[WIDTH_AXIS] + kw;
            const matrix w = matrix_of(s->w + tap * s->w_tap + group * s->w_group, s->in, s->out, s->w_in, s->w_out);
            real *row = to + ((segment - first) * s->k + t * s->in) * b->panel;
            for (int64_t j = 0; j < columns; j += b->panel, row += rows * b->panel)
                mw_pack_real(row, part(w, 0, j0 + j), s->in, smaller(b->panel, columns - j), b->panel, b->panel);
        }
}

/* A strip of windows, panel by panel; the job is at the first of its columns, which are c_col apart in C. */
static void sum_strip(const sweep *s, tile_job t, int64_t windows, int64_t columns, int64_t panel, int64_t panel_step, int64_t c_col, int last) {
    const real *b = t.b;
    for (int64_t j = 0, width; j < columns; j += width * LANES) {
        const int64_t left = columns - j, vectors = MASKS && c_col == 1 && left >= LANES ? left / LANES : ceil_div(left, LANES);
        width = tile_width(panel / LANES, vectors);
        t.columns = smaller(width * LANES, left);
        t.b = b + j / panel * panel_step + j % panel;
        const int whole = c_col == 1 && (MASKS || t.columns == width * LANES);
        if (whole) mw_tile_real(windows, t.columns < LANES ? 0 : width, &t);
        else mw_edge_tile_real(windows, width, t.columns, c_col, &t);
        if (last && s->more) finish_sums(t.c, windows, t.columns, t.c_row, s->more);
        else if (last && (!whole || s->activation > MW_RELU))
            finish_rows(t.c, windows, t.columns, t.c_row, whole ? NULL : t.bias, s->activation);
        t.c += t.columns * c_col;
        if (t.bias) t.bias += t.columns;
    }
}

/* Lines [begin, end) of the result, counted through all images. */
static void sweep_lines(const void *job, int64_t begin, int64_t end) {
    const sweep *s = job;
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    const blocking b = blocking_of(s);
    border edges = border_of(s, 1, 1);
    const int64_t weights = round_up(b.segments * s->k * b.columns * (int64_t)sizeof(real), 64), channels = s->in * s->groups;
    char *scratch = mw_scratch((size_t)(weights + border_bytes(&edges) + b.segments * (int64_t)sizeof(pair)));
    if (!scratch) {
        plain_lines(s, begin, end);
        return;
    }
    place_border(&edges, scratch + weights);
    real *packed = (real *)scratch;
    pair *pairs = (pair *)(scratch + weights + border_bytes(&edges));

    for (int64_t group = 0; group < s->groups; group++)
        for (int64_t j0 = 0; j0 < s->out; j0 += b.columns)
            for (int64_t first = 0; first == 0 || first < s->segments; first += b.segments) {
                const int64_t stop = smaller(first + b.segments, s->segments), columns = smaller(b.columns, s->out - j0);
                const int last = stop == s->segments;
                pack_weights(s, &b, group, first, stop, j0, columns, packed);
                for (int64_t n = begin; n < end; n++) {
                    const int64_t h = n % height->windows, d = n / height->windows % depth->windows;
                    const int64_t image = n / height->windows / depth->windows;
                    int64_t count = 0;
                    for (int64_t segment = first; segment < stop; segment++) {
                        const int64_t line = segment / s->per_line;
                        const int64_t from_d = seen(depth, d, line / height->taps), from_h = seen(height, h, line % height->taps);
                        if (from_d < 0 || from_h < 0) continue;
                        const int64_t pixel = width->first + s->left + segment % s->per_line * width->gap;
                        pairs[count].a = line_at(&edges, image, from_d, from_h) + pixel * channels + group * s->in;
                        pairs[count++].b = (segment - first) * s->k * b.panel;
                    }
                    const int64_t to_h = height->to + h * height->to_step, to_d = depth->to + d * depth->to_step;
                    const int64_t to = ((image * depth->outputs + to_d) * height->outputs + to_h) * width->outputs + width->to;
                    const int64_t all = s->out * s->groups, j = group * s->out + j0;
                    tile_job t = {.pairs = count, .pair = pairs, .k = s->k, .a_row = width->step * channels, .a_col = 1, .b = packed,
                                  .b_row = b.panel, .c_row = width->to_step * all, .bias = last && s->bias ? s->bias + j : NULL,
                                  .add = first > 0, .relu = last && !s->more && s->activation == MW_RELU};
                    for (int64_t i = 0; i < width->windows; i += b.height) {
                        t.a = lines_base(&edges) + i * t.a_row;
                        t.c = s->z + to * all + i * t.c_row + j;
                        sum_strip(s, t, smaller(b.height, width->windows - i), columns, b.panel, (stop - first) * s->k * b.panel, 1, last);
                    }
                }
            }
}

/* ---- 5. the weights' gradient -----------------------------------------------------------------------------------
 * For each segment of the kernel, dW is the sum over all lines of the result of what it sees there, transposed, times dZ: pairs of a line
 * of windows with a line of dZ, whose pixels are what is summed over. A tile stays in registers for a chunk of lines, which stay in the
 * cache for all tiles. Where filters would not fill two vectors, but a segment does, roles are swapped: each number that is read then
 * takes part in two sums or more.
 */
enum { CHUNK = 256 };                                       /* pixels, but at least a line */

typedef struct {
    sweep s;
    const real *dz;
    real *dw;
    int64_t height, strips;                                 /* of a tile, and how many there are in a segment */
    int swapped;                                            /* dWᵀ is summed: filters are rows, and a segment the columns */
} gradient;

/* Lines of the result in one chunk: whole images if they are small, else a part of one. */
static int64_t chunk_lines(const sweep *s) {
    const int64_t lines = s->axis[DEPTH_AXIS].windows * s->axis[HEIGHT_AXIS].windows, width = s->axis[WIDTH_AXIS].windows;
    return lines * width <= CHUNK ? CHUNK / (lines * width) * lines : larger(1, smaller(lines, CHUNK / width));
}

/* Without scratch memory: rows [i, i + rows) of dW, counted from tap `first` of a line of the kernel on, one number at a time. */
static void plain_weights(const gradient *g, int64_t group, int64_t line, int64_t first, int64_t i, int64_t rows) {
    const sweep *s = &g->s;
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    const int64_t filters = s->out * s->groups, positions = depth->windows * height->windows * width->windows;
    for (int64_t row = i; row < i + rows; row++)
        for (int64_t j = group * s->out; j < (group + 1) * s->out; j++) {
            const int64_t seen_tap = first + row / s->in, tap = width->weight + seen_tap;
            real sum = 0;
            for (int64_t n = 0; n < s->images * positions; n++) {
                const int64_t d = seen(depth, n % positions / width->windows / height->windows, line / height->taps);
                const int64_t h = seen(height, n / width->windows % height->windows, line % height->taps);
                const int64_t v = seen(width, n % width->windows, seen_tap);
                if (d < 0 || h < 0 || v < 0) continue;
                const int64_t at = ((n / positions * depth->inputs + d) * height->inputs + h) * width->inputs + v;
                sum += s->x[(at * s->groups + group) * s->in + row % s->in] * g->dz[n * filters + j];
            }
            g->dw[((line * s->kernel[WIDTH_AXIS] + tap) * s->in + row % s->in) * filters + j] = sum;
        }
}

/* Lines [first, stop) of the result, each with the line that a line of the kernel sees there, if it sees any. */
static int64_t pair_lines(const gradient *g, border *edges, int64_t first, int64_t stop, int64_t kernel_line, pair *pairs) {
    const axis *depth = &g->s.axis[DEPTH_AXIS], *height = &g->s.axis[HEIGHT_AXIS], *width = &g->s.axis[WIDTH_AXIS];
    int64_t count = 0;
    for (int64_t l = first; l < stop; l++) {
        const int64_t d = seen(depth, l / height->windows % depth->windows, kernel_line / height->taps);
        const int64_t h = seen(height, l % height->windows, kernel_line % height->taps);
        if (d < 0 || h < 0) continue;
        const int64_t in = line_at(edges, l / height->windows / depth->windows, d, h);
        const int64_t out = (l - first) * width->windows * g->s.out * g->s.groups;
        pairs[count++] = g->swapped ? (pair){out, in} : (pair){in, out};
    }
    return count;
}

/* Strips [begin, end) of dW, counted through all groups and segments. */
static void sum_weights(const void *job, int64_t begin, int64_t end) {
    const gradient *g = job;
    const sweep *s = &g->s;
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    const int64_t channels = s->in * s->groups, filters = s->out * s->groups, per_image = depth->windows * height->windows;
    const int64_t lines = s->images * per_image, chunk = chunk_lines(s);
    border edges = border_of(s, ceil_div(chunk, per_image), smaller(chunk, height->windows));
    const int64_t partial = !MASKS && s->out % LANES, spare = partial ? (chunk * width->windows * filters + WIDEST * LANES) * (int64_t)sizeof(real) : 0;
    char *scratch = mw_scratch((size_t)(border_bytes(&edges) + chunk * (int64_t)sizeof(pair) + spare));
    if (!scratch) {
        for (int64_t n = begin; n < end; n++) {
            const int64_t i = n % g->strips * s->k / g->strips, end = (n % g->strips + 1) * s->k / g->strips;
            const int64_t segment = n / g->strips % s->segments, group = n / g->strips / s->segments;
            plain_weights(g, group, segment / s->per_line, segment % s->per_line, i, end - i);
        }
        return;
    }
    place_border(&edges, scratch);
    pair *pairs = (pair *)(scratch + border_bytes(&edges));
    const int64_t columns = g->swapped ? s->k : s->out, all_rows = g->swapped ? s->out : s->k;
    const int64_t panel = panel_width(g->height, columns) * LANES;

    for (int64_t first = 0; first < lines;) {
        /* a chunk is a part of an image, or whole images */
        const int64_t stop = smaller(first + chunk, chunk < per_image ? (first / per_image + 1) * per_image : lines);
        const real *dz = g->dz + first * width->windows * filters;
        if (partial && stop == lines) {                     /* vectors may reach beyond the end of the last */
            real *copy = (real *)(pairs + chunk);
            memcpy(copy, dz, (size_t)((stop - first) * width->windows * filters) * sizeof(real));
            dz = copy;
        }
        int64_t count = 0, before = -1;
        for (int64_t n = begin; n < end; n++) {
            const int64_t strip = n % g->strips, segment = n / g->strips % s->segments, group = n / g->strips / s->segments;
            const int64_t line = segment / s->per_line, kw = segment % s->per_line;
            if (line != before) count = pair_lines(g, &edges, first, stop, line, pairs);
            before = line;
            const int64_t i = strip * g->height, rows = smaller(g->height, all_rows - i);
            const int64_t pixel = width->first + s->left + kw * width->gap;
            const int64_t tap = line * s->kernel[WIDTH_AXIS] + width->weight + kw;
            const real *x = lines_base(&edges) + pixel * channels + group * s->in;
            real *dw = g->dw + tap * s->in * filters + group * s->out;
            tile_job t = {.pairs = count, .pair = pairs, .k = width->windows, .a = x + i, .a_row = 1, .a_col = width->step * channels,
                          .b = dz + group * s->out, .b_row = filters, .c = dw + i * filters, .c_row = filters, .add = first > 0};
            if (g->swapped) {
                t.a = dz + group * s->out + i, t.a_col = filters;
                t.b = x, t.b_row = width->step * channels;
                t.c = dw + i, t.c_row = 1;
            }
            sum_strip(s, t, rows, columns, panel, panel, g->swapped ? filters : 1, 0);
        }
        first = stop;
    }
}

/* ---- 6. channels by themselves ------------------------------------------------------------------------------------
 * Where each channel is a group, there is no product to make: a vector holds LANES channels, and is multiplied with their weights.
 */
enum { PIXELS = 6 };                                        /* sums side by side */

/* LANES channels from c on, or `count` of them, of `pixels` results from number `i` of a line on. */
INLINE void depthwise_pixels(const int pixels, const sweep *s, const pair *pairs, int64_t lines, const real *base, real *to, int64_t c,
                             int64_t count) {
    const axis *width = &s->axis[WIDTH_AXIS];
    const int64_t channels = s->groups, step = width->step * channels;
    vec sum[PIXELS];
    for (int i = 0; i < pixels; i++) sum[i] = (vec){0};
    for (int64_t l = 0; l < lines; l++)
        for (int64_t t = 0; t < width->taps; t++) {
            const real *x = base + pairs[l].a + t * width->gap * channels + c;
            const real *w = s->w + pairs[l].b + (width->weight + t * width->weight_step) * channels + c;
            const vec weight = count == LANES ? load(w) : load_first(w, count);
            for (int i = 0; i < pixels; i++) sum[i] += (count == LANES ? load(x + i * step) : load_first(x + i * step, count)) * weight;
        }
    for (int i = 0; i < pixels; i++) {
        real *at = to + i * width->to_step * channels + c;
        if (count == LANES) store(at, sum[i]);
        else store_first(at, sum[i], count);
    }
}

static void depthwise_lines(const void *job, int64_t begin, int64_t end) {
    const sweep *s = job;
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    const int64_t channels = s->groups, kernel_lines = depth->taps * height->taps;
    border edges = border_of(s, 1, 1);
    char *scratch = mw_scratch((size_t)(border_bytes(&edges) + kernel_lines * (int64_t)sizeof(pair)));
    if (!scratch) {
        plain_lines(s, begin, end);
        return;
    }
    place_border(&edges, scratch);
    pair *pairs = (pair *)(scratch + border_bytes(&edges));
    for (int64_t n = begin; n < end; n++) {
        const int64_t h = n % height->windows, d = n / height->windows % depth->windows, image = n / height->windows / depth->windows;
        int64_t count = 0;
        for (int64_t line = 0; line < kernel_lines; line++) {
            const int64_t td = line / height->taps, th = line % height->taps;
            const int64_t from_d = seen(depth, d, td), from_h = seen(height, h, th);
            if (from_d < 0 || from_h < 0) continue;
            const int64_t kd = depth->weight + td * depth->weight_step, kh = height->weight + th * height->weight_step;
            pairs[count].a = line_at(&edges, image, from_d, from_h) + (width->first + s->left) * channels;
            pairs[count++].b = (kd * s->kernel[HEIGHT_AXIS] + kh) * s->kernel[WIDTH_AXIS] * channels;
        }
        const int64_t to_h = height->to + h * height->to_step, to_d = depth->to + d * depth->to_step;
        real *to = s->z + (((image * depth->outputs + to_d) * height->outputs + to_h) * width->outputs + width->to) * channels;
        for (int64_t i = 0; i < width->windows; i += PIXELS) {
            const real *base = lines_base(&edges) + i * width->step * channels;
            real *at = to + i * width->to_step * channels;
            const int64_t pixels = smaller(PIXELS, width->windows - i);
            for (int64_t c = 0; c < channels; c += LANES) {
                const int64_t lanes = smaller(LANES, channels - c);
                if (pixels == PIXELS && lanes == LANES) depthwise_pixels(PIXELS, s, pairs, count, base, at, c, LANES);
                else
                    for (int64_t p = 0; p < pixels; p++)
                        depthwise_pixels(1, s, pairs, count, base + p * width->step * channels, at + p * width->to_step * channels, c, lanes);
            }
            if (s->more) finish_sums(at, pixels, channels, width->to_step * channels, s->more);
            else finish_rows(at, pixels, channels, width->to_step * channels, s->bias, s->activation);
        }
    }
}

/* LANES channels, or `count`, of the gradients of `taps` weights of a line of the kernel, added up over lines of an image. */
INLINE void depthwise_sums(const int taps, const sweep *s, const pair *pairs, int64_t lines, const real *x, const real *dz, real *dw,
                           int64_t count, int add) {
    const axis *width = &s->axis[WIDTH_AXIS];
    const int64_t channels = s->groups, step = width->step * channels, gap = width->gap * channels;
    vec sum[PIXELS];
    for (int t = 0; t < taps; t++) sum[t] = (vec){0};
    for (int64_t l = 0; l < lines; l++) {
        const real *in = x + pairs[l].a, *out = dz + pairs[l].b;
        for (int64_t i = 0; i < width->windows; i++, in += step, out += channels) {
            const vec given = count == LANES ? load(out) : load_first(out, count);
            for (int t = 0; t < taps; t++) sum[t] += (count == LANES ? load(in + t * gap) : load_first(in + t * gap, count)) * given;
        }
    }
    for (int t = 0; t < taps; t++) {
        real *to = dw + t * channels;
        const vec before = add ? load_first(to, count) : (vec){0};
        store_first(to, before + sum[t], count);
    }
}

/* Lines of the kernel × vectors of channels, [begin, end) of them, image after image. */
static void depthwise_weights(const void *job, int64_t begin, int64_t end) {
    const gradient *g = job;
    const sweep *s = &g->s;
    const axis *depth = &s->axis[DEPTH_AXIS], *height = &s->axis[HEIGHT_AXIS], *width = &s->axis[WIDTH_AXIS];
    const int64_t channels = s->groups, per_image = depth->windows * height->windows, vectors = ceil_div(channels, LANES);
    border edges = border_of(s, 1, height->windows);
    char *scratch = mw_scratch((size_t)(border_bytes(&edges) + per_image * (int64_t)sizeof(pair)));
    if (!scratch) {
        for (int64_t n = begin; n < end; n++)
            for (int64_t c = n % vectors * LANES; c < smaller(channels, (n % vectors + 1) * LANES); c++)
                plain_weights(g, c, n / vectors, 0, 0, width->taps);
        return;
    }
    place_border(&edges, scratch);
    pair *pairs = (pair *)(scratch + border_bytes(&edges));
    for (int64_t image = 0; image < s->images; image++)
        for (int64_t n = begin, count = 0, before = -1; n < end; n++) {
            const int64_t line = n / vectors, c = n % vectors * LANES, lanes = smaller(LANES, channels - c);
            if (line != before) count = pair_lines(g, &edges, image * per_image, (image + 1) * per_image, line, pairs);
            before = line;
            for (int64_t t = 0, taps; t < width->taps; t += taps) {
                const real *x = lines_base(&edges) + (width->first + s->left + t * width->gap) * channels + c;
                const real *dz = g->dz + image * per_image * width->windows * channels + c;
                real *dw = g->dw + (line * s->kernel[WIDTH_AXIS] + width->weight + t) * channels + c;
                taps = width->taps - t >= 5 ? 5 : width->taps - t >= 3 ? 3 : 1;
                if (lanes < LANES || taps == 1) depthwise_sums(taps = 1, s, pairs, count, x, dz, dw, lanes, image > 0);
                else if (taps == 3) depthwise_sums(3, s, pairs, count, x, dz, dw, LANES, image > 0);
                else depthwise_sums(5, s, pairs, count, x, dz, dw, LANES, image > 0);
            }
        }
}

static int is_depthwise(const sweep *s) { return s->in == 1 && s->out == 1; }

static void run(const sweep *s) {
    const int64_t lines = s->images * s->axis[DEPTH_AXIS].windows * s->axis[HEIGHT_AXIS].windows;
    if (lines <= 0 || s->axis[WIDTH_AXIS].windows <= 0 || s->out <= 0) return;
    const int64_t sums = lines * s->axis[WIDTH_AXIS].windows * s->segments * s->k * s->out * s->groups;
    if (is_depthwise(s)) mw_parallel(smaller(lines, mw_threads_for(sums, DEPTHWISE_GRAIN)), lines, depthwise_lines, s);
    else mw_parallel(smaller(lines, mw_threads_for(sums, CONV_GRAIN)), lines, sweep_lines, s);
}

/* ---- 7. plain products ------------------------------------------------------------------------------------------
 * Where each position of the image is seen by one window alone, with one tap for each, or one window sees all of the image, a convolution
 * is the product of rows: positions with their channels, or whole images.
 */
static int is_plain(const mw_conv *p, int64_t *rows, int64_t *inputs) {
    int pointwise = p->groups == 1, whole = p->groups == 1;
    *rows = p->images, *inputs = p->channels;
    for (int i = 0; i < AXES; i++) {
        pointwise &= p->kernel[i] == 1 && p->stride[i] == 1 && p->before[i] == 0 && p->output[i] == p->input[i];
        whole &= p->kernel[i] == p->input[i] && p->before[i] == 0 && p->output[i] == 1 && (p->dilation[i] == 1 || p->kernel[i] == 1);
    }
    for (int i = 0; i < AXES; i++)
        if (pointwise) *rows *= p->output[i];
        else *inputs *= p->kernel[i];
    return pointwise || whole;
}

void mw_conv_real(const real *x, const real *w, const real *mean, const real *variance, const real *gamma, const real *bias, const real *added,
                  real *z, const mw_conv *plan) {
    const ending all = {.mean = mean, .variance = variance, .gamma = gamma, .bias = bias, .added = added, .epsilon = plan->epsilon,
                        .activation = plan->activation, .c = z, .columns = plan->filters};
    const ending *more = mean || added ? &all : NULL;
    int64_t rows, inputs;
    if (is_plain(plan, &rows, &inputs)) {
        const mw_gemm_plan product = {.m = rows, .n = plan->filters, .k = inputs, .a_row = inputs, .a_col = 1, .b_row = plan->filters,
                                      .b_col = 1, .c_row = plan->filters, .batch = 1, .activation = plan->activation};
        if (more) mw_gemm_ending_real(x, w, more, z, &product);
        else mw_gemm_real(x, w, bias, z, &product);
        return;
    }
    sweep s = sweep_of(plan);
    s.x = x, s.w = w, s.bias = more ? NULL : bias, s.z = z, s.more = more;
    run(&s);
}

void mw_conv_transpose_real(const real *z, const real *w, const real *bias, real *x, const mw_conv *plan) {
    int64_t rows, inputs;
    if (is_plain(plan, &rows, &inputs) && (inputs == plan->channels || !bias)) {
        const mw_gemm_plan product = {.m = rows, .n = inputs, .k = plan->filters, .a_row = plan->filters, .a_col = 1, .b_row = 1,
                                      .b_col = plan->filters, .c_row = inputs, .batch = 1, .activation = plan->activation};
        mw_gemm_real(z, w, bias, x, &product);
        return;
    }
    sweep s = sweep_of(plan);
    s.x = z, s.w = w, s.bias = bias, s.z = x;
    const int64_t in = s.in;
    s.in = s.out, s.out = in, s.w_in = 1, s.w_out = plan->filters;
    int64_t phases[AXES];                                   /* those that have an input */
    for (int i = 0; i < AXES; i++) phases[i] = smaller(plan->stride[i], plan->input[i]);
    for (int64_t d = 0; d < phases[0]; d++)
        for (int64_t h = 0; h < phases[1]; h++)
            for (int64_t v = 0; v < phases[2]; v++) {
                const int64_t phase[AXES] = {d, h, v};
                for (int i = 0; i < AXES; i++) s.axis[i] = transposed_axis(plan, i, phase[i]);
                complete(&s);
                run(&s);
            }
}

void mw_conv_weight_grad_real(const real *x, const real *dz, real *dw, const mw_conv *plan) {
    int64_t rows, inputs;
    if (is_plain(plan, &rows, &inputs)) {
        const mw_gemm_plan product = {.m = inputs, .n = plan->filters, .k = rows, .a_row = 1, .a_col = inputs, .b_row = plan->filters,
                                      .b_col = 1, .c_row = plan->filters, .batch = 1};
        mw_gemm_real(x, dz, NULL, dw, &product);
        return;
    }
    gradient g = {.s = sweep_of(plan), .dz = dz, .dw = dw};
    g.s.x = x, g.s.activation = MW_LINEAR;
    const int64_t lines = plan->images * plan->output[0] * plan->output[1], width = plan->output[2];
    const int64_t weights = plan->kernel[0] * plan->kernel[1] * plan->kernel[2] * g.s.in * plan->filters;
    if (weights <= 0) return;
    const int64_t taps = g.s.axis[WIDTH_AXIS].taps;
    if (lines * width <= 0 || taps < plan->kernel[2]) memset(dw, 0, (size_t)weights * sizeof(real));     /* no window sees the others */
    if (lines * width <= 0 || taps == 0) return;
    if (is_depthwise(&g.s)) {
        const int64_t parts = plan->kernel[0] * plan->kernel[1] * ceil_div(plan->channels, LANES);
        mw_parallel(smaller(parts, mw_threads_for(lines * width * weights, DEPTHWISE_GRAIN)), parts, depthwise_weights, &g);
        return;
    }
    g.swapped = g.s.out <= LANES && g.s.k >= 2 * LANES && g.s.k % LANES == 0;
    const int64_t rows_of_all = g.swapped ? g.s.out : g.s.k;
    g.strips = ceil_div(rows_of_all, TALLEST);
    g.height = ceil_div(rows_of_all, g.strips);
    const int64_t tiles = g.strips * g.s.segments * g.s.groups;
    mw_parallel(smaller(tiles, mw_threads_for(lines * width * weights, CONV_GRAIN)), tiles, sum_weights, &g);
}
