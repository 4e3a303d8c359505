/* Every kernel of microweights: its prototype and its contract.
 *
 * The build reads this file as it stands, twice: with `real` = float and `_real` = `_f32`, with `real` = double and
 * `_real` = `_f64`. So `mw_exp_real` below is `mw_exp_f32` and `mw_exp_f64` to a caller; each of them picks, at run time,
 * the build for the best instruction set of the machine. Prototypes without `real` exist once.
 *
 * Python asks it, too (kernels/header.py): for the numbers of the enums, and for what a call reads and writes. An argument that is `const`
 * is only read, any other only written, but for those marked `inout`, which are read first.
 *
 * What holds for all of them:
 *   - Buffers come from the caller and hold as many elements as the formula says; an output may be the very same buffer
 *     as an input where the comment says "in place", and otherwise overlaps none.
 *   - Arrays are C-contiguous unless a struct gives strides. Strides count elements, not bytes.
 *   - No kernel keeps state between calls, takes a Python lock, or fails: whatever could be wrong is checked before.
 *   - The result does not depend on the number of threads, bit for bit.
 */

#ifndef MW_KERNELS_H
#define MW_KERNELS_H

#define inout

/* ---- geometry -------------------------------------------------------------------------------------------------- */

/* How an element-wise kernel walks its operands: ndim nested loops over shape[0..ndim), the last one innermost.
 * stride[0] belongs to the output, stride[1], [2], [3] to the inputs in order; stride 0 repeats an operand (broadcasting). */
typedef struct {
    int64_t size;              /* product of shape */
    int64_t ndim;              /* 1 to 8 */
    int64_t shape[8];
    int64_t stride[4][8];
} mw_walk;

/* A reduction of an array of shape (outer, count, inner) over its middle axis; the result has shape (outer, inner). */
typedef struct {
    int64_t outer, count, inner;
    double scale;              /* a sum is multiplied by it: 1 / count makes it a mean */
} mw_reduction;

/* A matrix worked on row by row. */
typedef struct {
    int64_t rows, columns;
    int64_t dz_stride;         /* from one row's dz to the next; 0: all rows share one */
    double scale;              /* dz is multiplied by it: 1 / rows makes it the gradient of a mean */
} mw_rows;

/* Rows taken by index: row i of the result is row index[i] of a source of source_rows rows. */
typedef struct {
    int64_t rows, row_size;    /* row_size in bytes for mw_gather, in elements for mw_scatter_add */
    int64_t source_rows;
} mw_indexing;

/* One parameter of a model as the update rules see it: n weights and up to three arrays of state. */
typedef struct {
    void *weights;
    void *slot[3];
    int64_t n;
} mw_parameter;

enum mw_limits { MW_MOST_PIECES = 16 };

/* The numbers of an update rule. They live in a buffer, so that a recorded step sees them change. */
typedef struct {
    double learning_rate;
    double momentum, nesterov;             /* nesterov: 0 or 1 */
    double beta_1, beta_2, rho, epsilon;
    double centered, amsgrad;              /* 0 or 1 */
    double l1, l2;                         /* coupled: added to the gradient, l1 * sign(w) + l2 * w */
    double weight_decay;                   /* decoupled: w is first scaled by 1 - learning_rate * weight_decay */
    double step;                           /* updates done so far; every rule adds 1 */
    double momentum_product;               /* of nadam: of all its momenta so far, 1 at first */
    double schedule;                       /* an mw_schedule; unless it is MW_NO_SCHEDULE, every rule sets the learning rate first: */
    double first_rate, warmup_steps;       /* it rises from first_rate to peak_rate during warmup_steps updates, */
    double peak_rate, decay_steps;         /* and then falls: in decay_steps to final_rate, or by that factor every decay_steps */
    double final_rate;
    double staircase;                      /* 1: whole numbers of decay_steps */
    double power, cycle;                   /* of a line: the falling part is raised to it; 1: it falls again and again, each time slower */
    double t_mul, m_mul;                   /* of restarts: how much longer and higher each wave is than the one before */
    double pieces;                         /* of pieces: how many boundaries there are; value[i] holds up to boundary[i] */
    double boundary[MW_MOST_PIECES], value[MW_MOST_PIECES + 1];
} mw_hyper;

/* The rise is a line, in a cycle half a wave of a cosine; the fall is half a wave, a line, a power, 1 / (1 + factor u), many
 * half waves, or in pieces. */
enum mw_schedule { MW_NO_SCHEDULE, MW_COSINE, MW_CYCLE, MW_LINE, MW_POWER, MW_INVERSE, MW_RESTARTS, MW_PIECES };

/* C = activation(A @ B + bias), once per item of a batch: A is m×k, B is k×n, C is m×n and bias has n elements.
 * A and B have any strides (so a transpose costs nothing; 0 repeats); a row of C is contiguous. */
typedef struct {
    int64_t m, n, k;
    int64_t a_row, a_col;      /* from A[i, p] to A[i+1, p] and to A[i, p+1] */
    int64_t b_row, b_col;
    int64_t c_row;             /* from C[i, j] to C[i+1, j] */
    int64_t batch, a_batch, b_batch, c_batch;
    int64_t activation;        /* an mw_activation */
} mw_gemm_plan;

enum mw_activation { MW_LINEAR, MW_RELU, MW_SIGMOID, MW_TANH };

/* A layer Z = f(X @ W + b): X is rows×inputs, W inputs×units, Z rows×units. */
typedef struct {
    int64_t rows, inputs, units;
    int64_t activation;        /* f, an mw_activation */
} mw_dense;

/* A convolution of images of three axes (depth, height, width), channels last; images of fewer have axes of size 1 in front. Output o of
 * an axis sees the inputs o stride - before + t dilation, for each tap t of the kernel; what lies outside of the image is 0.
 * Images X are images×input×channels, weights W kernel×(channels / groups)×filters, results Z images×output×filters. Channels and
 * filters are cut into groups of neighbours, and a group of filters sees a group of channels. */
typedef struct {
    int64_t images, channels, filters, groups;
    int64_t input[3], kernel[3], output[3];
    int64_t stride[3], dilation[3], before[3];
    double epsilon;            /* ε of a normalisation that follows */
    int64_t activation;        /* an mw_activation */
} mw_conv;

/* Windows over images of three axes, as those of a convolution, but each channel by itself, and nothing where a window sticks out.
 * X is images×input×channels, Z images×output×channels. */
typedef struct {
    int64_t images, channels;
    int64_t input[3], window[3], output[3];
    int64_t stride[3], before[3];
    int64_t sums;              /* 1: a mean is not divided by how many places there are */
} mw_pool;

/* A matrix whose columns, or rows, are normalised. */
typedef struct {
    int64_t rows, columns;
    double epsilon;            /* ε */
    int64_t centered;          /* rows: whether their mean is taken off */
    int64_t activation;        /* an mw_activation */
} mw_norm;

/* Images looked up between their pixels: X is images×input×channels, Z images×output×channels. Each image has MW_MOTION numbers: an angle
 * in radians, a stretch along the height and one along the width, about the middle of the image, and how far it moves down and right.
 * The pixel (Y, X) of Z, (v, u) from the middle, is at v' = stretch (u sin + v cos) - down, u' = stretch (u cos - v sin) - right. */
typedef struct {
    int64_t images, channels, input[2], output[2];
    int64_t interpolation;     /* an mw_interpolation */
    int64_t fill;              /* an mw_fill: what is beyond the image */
    double fill_value;
} mw_warp;

enum mw_motion { MW_MOTION = 5 };
enum mw_interpolation { MW_NEAREST, MW_BILINEAR };
/* a value; the nearest pixel; the image again; the image mirrored, its border twice */
enum mw_fill { MW_FILL_CONSTANT, MW_FILL_NEAREST, MW_FILL_WRAP, MW_FILL_REFLECT };

/* ---- matrix product -------------------------------------------------------------------------------------------- */

/* C = activation(A @ B + bias); bias may be NULL. With k = 0 the product is zero. C overlaps neither A nor B. */
void mw_gemm_real(const real *a, const real *b, const real *bias, real *c, const mw_gemm_plan *plan);

/* The backward of a layer, from dz:  da = dz f'(z),  dx = da @ Wᵀ,  dw = Xᵀ @ da,  db = Σ da over the rows. What is NULL of dx,
 * dw and db is not computed. With f linear, da is dz, and z and da may be NULL. */
void mw_dense_grad_real(const real *dz, const real *z, const real *x, const real *w, real *da, real *dx, real *dw, real *db, const mw_dense *plan);

/* ---- convolution ------------------------------------------------------------------------------------------------- */

/* Z = activation(N + bias + added),  N = (X * W - mean) gamma / √(variance + ε), or X * W where mean is NULL. gamma (1), bias (0), which has
 * `filters` elements as they have, and added (0), which is as large as Z, may be NULL */
void mw_conv_real(const real *x, const real *w, const real *mean, const real *variance, const real *gamma, const real *bias, const real *added, real *z, const mw_conv *plan);
/* The other way: x = activation(Σ of what each z gives to the inputs that it sees, + bias); bias may be NULL, and has `channels` elements.
 * Without a bias and an activation it is dx of a convolution, from dz. */
void mw_conv_transpose_real(const real *z, const real *w, const real *bias, real *x, const mw_conv *plan);
/* dw of a convolution, from dz */
void mw_conv_weight_grad_real(const real *x, const real *dz, real *dw, const mw_conv *plan);

/* ---- pooling ----------------------------------------------------------------------------------------------------- */

/* z = the largest of what a window holds, NaN if any is; -inf of nothing */
void mw_max_pool_real(const real *x, real *z, const mw_pool *plan);
/* dx of it: dz goes to the first place of a window where x is z; with several windows there, their sum */
void mw_max_pool_grad_real(const real *dz, const real *x, const real *z, real *dx, const mw_pool *plan);
/* The other way: out = y at the first place of a window where x is z */
void mw_max_pool_pick_real(const real *y, const real *x, const real *z, real *out, const mw_pool *plan);
/* z = the mean of what a window holds; 0 of nothing */
void mw_average_pool_real(const real *x, real *z, const mw_pool *plan);
/* dx of it: dz goes to all places of a window, divided by how many these are */
void mw_average_pool_grad_real(const real *dz, real *dx, const mw_pool *plan);

/* ---- normalisation ------------------------------------------------------------------------------------------------- */

/* mean = Σ x / rows and variance = Σ (x - mean)² / rows of each column */
void mw_moments_real(const real *x, real *mean, real *variance, const mw_norm *plan);
/* z = activation((x - mean) / √(variance + ε) gamma + bias), with numbers for each column; gamma (1) and bias (0) may be NULL */
void mw_normalize_real(const real *x, const real *mean, const real *variance, const real *gamma, const real *bias, real *z, const mw_norm *plan);
/* Of that:  dgamma = Σ dz (x - mean) / √(variance + ε) and dbias = Σ dz over the rows */
void mw_normalize_sums_real(const real *dz, const real *x, const real *mean, const real *variance, real *dgamma, real *dbias, const mw_norm *plan);
/* Of that where mean and variance are x's own:  dx = (dz - dbias / rows - (x - mean) / √(variance + ε) dgamma / rows) gamma / √(variance + ε) */
void mw_normalize_grad_real(const real *dz, const real *x, const real *mean, const real *variance, const real *gamma, const real *dgamma, const real *dbias, real *dx, const mw_norm *plan);
/* z = activation((x - mean) / √(variance + ε) gamma + bias) with mean and variance of each row; not centered, the mean counts as 0 */
void mw_row_norm_real(const real *x, const real *gamma, const real *bias, real *z, const mw_norm *plan);
/* dx, dgamma and dbias of it from dz; those that are NULL are not computed, gamma may be NULL for 1 */
void mw_row_norm_grad_real(const real *dz, const real *x, const real *gamma, real *dx, real *dgamma, real *dbias, const mw_norm *plan);
/* average = average momentum + x (1 - momentum), for n numbers */
void mw_blend_real(const real *x, inout real *average, int64_t n, double momentum);

/* ---- images in motion ------------------------------------------------------------------------------------------------ */

/* z = what x holds at each place, or, between pixels, their mean by distance */
void mw_warp_real(const real *x, const real *motion, real *z, const mw_warp *plan);
/* dx of it */
void mw_warp_grad_real(const real *dz, const real *motion, real *dx, const mw_warp *plan);

/* ---- element-wise: z = f(x), z = f(x, y), in place if the strides are the same ----------------------------------- */

/* z = x */
void mw_copy_real(const real *x, real *z, const mw_walk *walk);
/* z = -x */
void mw_negative_real(const real *x, real *z, const mw_walk *walk);
/* z = |x| */
void mw_absolute_real(const real *x, real *z, const mw_walk *walk);
/* z = -1, 0 or 1, the sign of x; NaN stays NaN */
void mw_sign_real(const real *x, real *z, const mw_walk *walk);
/* z = x² */
void mw_square_real(const real *x, real *z, const mw_walk *walk);
/* z = √x; NaN below 0 */
void mw_sqrt_real(const real *x, real *z, const mw_walk *walk);
/* z = eˣ */
void mw_exp_real(const real *x, real *z, const mw_walk *walk);
/* z = eˣ - 1, exact near 0 */
void mw_expm1_real(const real *x, real *z, const mw_walk *walk);
/* z = ln x; -inf at 0, NaN below */
void mw_log_real(const real *x, real *z, const mw_walk *walk);
/* z = max(x, 0) */
void mw_relu_real(const real *x, real *z, const mw_walk *walk);
/* z = 1 / (1 + e⁻ˣ) */
void mw_sigmoid_real(const real *x, real *z, const mw_walk *walk);
/* z = (eˣ - e⁻ˣ) / (eˣ + e⁻ˣ) */
void mw_tanh_real(const real *x, real *z, const mw_walk *walk);
/* z = 2/√π ∫₀ˣ exp(-t²) dt */
void mw_erf_real(const real *x, real *z, const mw_walk *walk);
/* z = x Φ(x) = x (1 + erf(x / √2)) / 2    (Hendrycks & Gimpel 2016, not its tanh approximation) */
void mw_gelu_real(const real *x, real *z, const mw_walk *walk);
/* z = ln(1 + eˣ) */
void mw_softplus_real(const real *x, real *z, const mw_walk *walk);

/* z = x + y */
void mw_add_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = x - y */
void mw_subtract_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = x y */
void mw_multiply_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = x / y */
void mw_divide_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = xʸ, as C's pow */
void mw_power_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = max(x, y); NaN if either is */
void mw_maximum_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = min(x, y); NaN if either is */
void mw_minimum_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = (x - y)² */
void mw_squared_error_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = x - min(max(x, -y), y): for y >= 0 nearer to 0 by y, and exactly 0 where |x| <= y (soft thresholding) */
void mw_soft_threshold_real(const real *x, const real *y, real *z, const mw_walk *walk);
/* z = ln(1 + eˣ) - x y: the cross-entropy of the target y in [0, 1] and the probability sigmoid(x); 0 for x = inf, y = 1 and x = -inf, y = 0 */
void mw_binary_cross_entropy_real(const real *x, const real *y, real *z, const mw_walk *walk);

/* dx of z = relu(x):     dx = 0 where z <= 0, else dz */
void mw_relu_grad_real(const real *dz, const real *z, real *dx, const mw_walk *walk);
/* dx of z = sigmoid(x):  dx = dz z (1 - z) */
void mw_sigmoid_grad_real(const real *dz, const real *z, real *dx, const mw_walk *walk);
/* dx of z = tanh(x):     dx = dz (1 - z²) */
void mw_tanh_grad_real(const real *dz, const real *z, real *dx, const mw_walk *walk);
/* dx of z = gelu(x):     dx = dz (Φ(x) + x φ(x)),  φ(x) = exp(-x²/2) / √(2π) */
void mw_gelu_grad_real(const real *dz, const real *x, real *dx, const mw_walk *walk);
/* dx of z = squared_error(x, y):         dx = 2 dz (x - y) */
void mw_squared_error_grad_real(const real *dz, const real *x, const real *y, real *dx, const mw_walk *walk);
/* dx of z = binary_cross_entropy(x, y):  dx = dz (sigmoid(x) - y) */
void mw_binary_cross_entropy_grad_real(const real *dz, const real *x, const real *y, real *dx, const mw_walk *walk);

/* z = x < y, as 0 or 1; false where either is NaN */
void mw_less_real(const real *x, const real *y, uint8_t *z, const mw_walk *walk);
/* z = x <= y */
void mw_less_equal_real(const real *x, const real *y, uint8_t *z, const mw_walk *walk);
/* z = x == y */
void mw_equal_real(const real *x, const real *y, uint8_t *z, const mw_walk *walk);
/* z = x != y; true where either is NaN */
void mw_not_equal_real(const real *x, const real *y, uint8_t *z, const mw_walk *walk);
/* z = x where the condition is not 0, else y */
void mw_where_real(const uint8_t *condition, const real *x, const real *y, real *z, const mw_walk *walk);

/* z = x converted to real, x being of the named type */
void mw_cast_bool_real(const uint8_t *x, real *z, const mw_walk *walk);
void mw_cast_int8_real(const int8_t *x, real *z, const mw_walk *walk);
void mw_cast_int16_real(const int16_t *x, real *z, const mw_walk *walk);
void mw_cast_int32_real(const int32_t *x, real *z, const mw_walk *walk);
void mw_cast_int64_real(const int64_t *x, real *z, const mw_walk *walk);
void mw_cast_uint8_real(const uint8_t *x, real *z, const mw_walk *walk);
void mw_cast_uint16_real(const uint16_t *x, real *z, const mw_walk *walk);
void mw_cast_uint32_real(const uint32_t *x, real *z, const mw_walk *walk);
void mw_cast_float32_real(const float *x, real *z, const mw_walk *walk);
void mw_cast_float64_real(const double *x, real *z, const mw_walk *walk);

/* ---- reductions -------------------------------------------------------------------------------------------------- */

/* z = scale * Σ x, pairwise over blocks of 1,024 elements (Higham 1993) along contiguous runs */
void mw_sum_real(const real *x, real *z, const mw_reduction *plan);
/* z = max x; NaN if any is. count > 0 */
void mw_max_real(const real *x, real *z, const mw_reduction *plan);
/* z = min x; NaN if any is. count > 0 */
void mw_min_real(const real *x, real *z, const mw_reduction *plan);
/* z = the first index of the maximum along contiguous rows; of the first NaN if there is one. inner = 1, count > 0 */
void mw_argmax_real(const real *x, int64_t *z, const mw_reduction *plan);
/* z = the first index of the minimum, likewise */
void mw_argmin_real(const real *x, int64_t *z, const mw_reduction *plan);

/* ---- rows of probabilities --------------------------------------------------------------------------------------- */

/* z = exp(x - max x) / Σ exp(x - max x), row by row; in place */
void mw_softmax_real(const real *x, real *z, const mw_rows *plan);
/* z = x - max x - ln Σ exp(x - max x), row by row; in place */
void mw_log_softmax_real(const real *x, real *z, const mw_rows *plan);
/* dx of z = softmax(x):      dx = z (dz - Σ dz z) */
void mw_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan);
/* dx of z = log_softmax(x):  dx = dz - exp(z) Σ dz */
void mw_log_softmax_grad_real(const real *dz, const real *z, real *dx, const mw_rows *plan);
/* loss[i] = ln Σ exp(x[i]) - x[i, label[i]]; NaN where the label is none of the columns. Unless it is NULL, mean = Σ loss / rows */
void mw_sparse_cross_entropy_real(const real *x, const int64_t *label, real *loss, real *mean, const mw_rows *plan);
/* dx = scale dz[i] (softmax(x[i]) - onehot(label[i])) */
void mw_sparse_cross_entropy_grad_real(const real *dz, const real *x, const int64_t *label, real *dx, const mw_rows *plan);
/* loss[i] = Σ target[i, j] (ln Σ exp(x[i]) - x[i, j]); unless it is NULL, mean = Σ loss / rows */
void mw_cross_entropy_real(const real *x, const real *target, real *loss, real *mean, const mw_rows *plan);
/* dx = scale dz[i] (softmax(x[i]) Σ target[i] - target[i]) */
void mw_cross_entropy_grad_real(const real *dz, const real *x, const real *target, real *dx, const mw_rows *plan);

/* ---- rows by index ----------------------------------------------------------------------------------------------- */

/* z[i] = the integer of `size` bytes (1, 2 or 4) at x[i size] as int64 */
void mw_widen(const uint8_t *x, int64_t *z, int64_t n, int64_t size, int64_t is_signed);
/* flat[i] = before[i] size + index[i], where a negative index counts from the end: size is added to it. Without `before`, which may be
 * NULL or `flat`, that is the index itself. */
void mw_flat_index(const int64_t *before, const int64_t *index, int64_t *flat, int64_t n, int64_t size);
/* out[i] = source[index[i]]; every index lies in 0 .. source_rows - 1 */
void mw_gather(const uint8_t *source, const int64_t *index, uint8_t *out, const mw_indexing *plan);
/* out[index[i]] += dz[i], in the order of i; out has source_rows rows */
void mw_scatter_add_real(const real *dz, const int64_t *index, inout real *out, const mw_indexing *plan);

/* ---- updates: one pass over all parameters ----------------------------------------------------------------------- */

/* gradients[i] belongs to parameters[i]. For every rule, g is the gradient + l1 sign(w) + l2 w, and w has been scaled by
 * 1 - learning_rate * weight_decay, if one of these is not 0.
 * A running sum of gradients (v of sgd, m of adam, adamax, nadam and lion, m and a of rmsprop) is 0 where it would be denormal. */

/* w -= lr g;  with momentum (slot 0):  v = momentum v - lr g,  w += v,  or with Nesterov's:  w += momentum v - lr g */
void mw_sgd_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);
/* m += (1-β₁)(g - m),  v += (1-β₂)(g² - v),  w -= lr √(1-β₂ᵗ)/(1-β₁ᵗ) m / (√v + ε)    (Kingma & Ba 2015); slots m, v; with amsgrad
 * (slot 2: a = max(a, v)): / (√a + ε)    (Reddi et al. 2018) */
void mw_adam_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);
/* v = ρ v + (1-ρ) g²,  d = lr g / √(v + ε), centered (slot 2: a = ρ a + (1-ρ) g): / √(v - a² + ε);  with momentum (slot 1):
 * m = momentum m + d, d = m;  w -= d    (Hinton 2012; Graves 2013) */
void mw_rmsprop_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);
/* a += g²,  w -= lr g / √(a + ε)    (Duchi et al. 2011); slot a */
void mw_adagrad_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);
/* m += (1-β₁)(g - m),  u = max(β₂ u, |g|),  w -= lr/(1-β₁ᵗ) m / (u + ε)    (Kingma & Ba 2015, section 7.1); slots m, u */
void mw_adamax_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);
/* As adam, with μₜ = β₁ (1 - 0.96ᵗ/2) and Πₜ = μ₁ ⋯ μₜ:  w -= lr (μₜ₊₁ m / (1-Πₜ₊₁) + (1-μₜ) g / (1-Πₜ)) / (√(v / (1-β₂ᵗ)) + ε)
 * (Dozat 2016); slots m, v */
void mw_nadam_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);
/* a = ρ a + (1-ρ) g²,  d = √(b + ε) / √(a + ε) g,  b = ρ b + (1-ρ) d²,  w -= lr d    (Zeiler 2012); slots a, b */
void mw_adadelta_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);
/* w -= lr sign(β₁ m + (1-β₁) g),  m = β₂ m + (1-β₂) g    (Chen et al. 2023); slot m */
void mw_lion_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, inout mw_hyper *hyper);

/* ---- random numbers: Philox4x32-10 (Salmon et al. 2011) ------------------------------------------------------------ */

/* state[0] is the key, state[1] the counter, which is moved on by the blocks of four 32-bit words that were used. Number i
 * comes from its own counter, so that the stream is the same for any number of threads, and up to rounding in both types. */

/* z uniform in [low, high) */
void mw_uniform_real(inout uint64_t *state, real *z, int64_t n, double low, double high);
/* z normal (Box & Muller 1958) */
void mw_normal_real(inout uint64_t *state, real *z, int64_t n, double mean, double deviation);
/* z = value with probability p, else 0 */
void mw_bernoulli_real(inout uint64_t *state, real *z, int64_t n, double p, double value);

/* ---- questions with an answer --------------------------------------------------------------------------------------- */

/* The first i with x[i] infinite or NaN, or -1 */
int64_t mw_first_nonfinite_real(const real *x, int64_t n);
/* The first i with label[i] outside 0 .. classes - 1, or -1 */
int64_t mw_first_bad_label(const int64_t *label, int64_t n, int64_t classes);
/* bias + Σ weights[i] inputs[i], added from left to right: the neuron of the scalar engine */
double mw_weighted_sum(const double *weights, const double *inputs, int64_t n, double bias);

/* ---- the scalar engine: a graph of numbers as a tape ---------------------------------------------------------------- */

enum mw_tape_op {
    MW_TAPE_LEAF, MW_TAPE_ADD, MW_TAPE_MULTIPLY, MW_TAPE_DIVIDE, MW_TAPE_POWER, MW_TAPE_EXP, MW_TAPE_LOG, MW_TAPE_TANH,
    MW_TAPE_SIGMOID, MW_TAPE_RELU, MW_TAPE_WEIGHTED_SUM
};

/* Node i is op[i] of the nodes operand[first[i]], ..., operand[first[i + 1] - 1], which all come before it; a power has its exponent
 * in constant[i]; the operands of a weighted sum are its weights, as many inputs, and its bias. */

/* value[i], for every node that is no leaf. Returns the first one that is infinite or NaN, or -1 */
int64_t mw_tape_forward(const int32_t *op, const int64_t *first, const int32_t *operand, const double *constant, inout double *value, int64_t nodes);
/* grad[i] = d value[nodes - 1] / d value[i], for every node, from the last to the first */
void mw_tape_backward(const int32_t *op, const int64_t *first, const int32_t *operand, const double *constant, const double *value, double *grad, int64_t nodes);
/* value[weight[i]] -= learning_rate * (grad[weight[i]] + l2 * value[weight[i]]), for n weights */
void mw_tape_update(const int32_t *weight, inout double *value, const double *grad, int64_t n, double learning_rate, double l2);

/* ---- the machine --------------------------------------------------------------------------------------------------- */

/* Instruction sets of this library: 0 baseline, 1 AVX2 with FMA, 2 AVX-512. */
/* The best one that both the machine and this build have */
int mw_best_isa(void);
/* Switches all kernels to it; it is at most mw_best_isa() */
void mw_set_isa(int isa);
/* The one in use */
int mw_isa(void);
/* How many threads a kernel may use, at least 1 */
void mw_set_threads(int threads);
/* The same; 1 in a child after fork */
int mw_threads(void);
/* The compiler that built this library */
const char *mw_compiler(void);

#endif
