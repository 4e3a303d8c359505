/* The update rules: one pass over the memory of every parameter of a model, in one call.
 *
 * A rule is a function of one vector of weights w, their gradient g and the states s[0], s[1], s[2]. */
#include <float.h>

#include "simd.h"
#include "kernels.h"
#include "runtime.h"
#include "vmath.h"

enum { UPDATE_GRAIN = 16384, ALIGN_FROM = 1024 };

/* The hyper-parameters as vectors, made once per call. */
typedef struct {
    vec learning_rate, momentum, l1, l2, decay, rho, one_minus_rho, epsilon, one_minus_beta_1, one_minus_beta_2, adam_rate,
        beta_1, beta_2, adamax_rate, nadam_rate_of_m, nadam_rate_of_g, one_over_correction_2;
} rates;

typedef vec rule_function(vec w, vec g, vec *s, const rates *r);

/* u goes from 0 to 1, and this from 0 to 1 along half a wave. */
static double half_wave(double u) { return 0.5 - 0.5 * cos(3.14159265358979323846 * u); }

/* A rate that grows stays a number. */
static double power_of(double base, double exponent) { return fmin(pow(base, exponent), DBL_MAX); }

/* Warm restarts (Loshchilov & Hutter 2017): half waves, each t_mul times as long and m_mul times as high as the one before. */
static double restarted_rate(const mw_hyper *h, double u) {
    double height = 1;
    if (h->t_mul == 1) {
        height = power_of(h->m_mul, floor(u));
        u -= floor(u);
    } else {
        double length = 1;
        for (; u >= length; length *= h->t_mul, height *= h->m_mul) u -= length;
        u /= length;
    }
    return h->final_rate + (h->peak_rate - h->final_rate) * fmin(height, DBL_MAX) * (1 - half_wave(u));
}

static double rate_of_pieces(const mw_hyper *h) {
    int i = 0;
    while (i < h->pieces && h->step > h->boundary[i]) i++;
    return h->value[i];
}

static double scheduled_rate(const mw_hyper *h) {
    if (h->schedule == MW_PIECES) return rate_of_pieces(h);
    if (h->step < h->warmup_steps) {
        double u = h->step / h->warmup_steps;
        return h->first_rate + (h->peak_rate - h->first_rate) * (h->schedule == MW_CYCLE ? half_wave(u) : u);
    }
    double u = (h->step - h->warmup_steps) / h->decay_steps;
    if (h->staircase != 0) u = floor(u);
    if (h->schedule == MW_POWER) return h->peak_rate * power_of(h->final_rate, u);
    if (h->schedule == MW_INVERSE) return h->peak_rate / (1 + h->final_rate * u);
    if (h->schedule == MW_RESTARTS) return restarted_rate(h, u);
    if (h->cycle != 0 && u > 1) u /= ceil(u);
    u = u < 1 ? u : 1;
    return h->peak_rate + (h->final_rate - h->peak_rate) * (h->schedule == MW_LINE ? 1 - pow(1 - u, h->power) : half_wave(u));
}

/* Nadam's momentum of update t */
static double nadam_momentum(const mw_hyper *h, double t) { return h->beta_1 * (1 - 0.5 * pow(0.96, t)); }

static rates rates_of(const mw_hyper *h) {
    double t = h->step + 1, next = nadam_momentum(h, t + 1);
    return (rates){
        .learning_rate = splat((real)h->learning_rate), .momentum = splat((real)h->momentum),
        .l1 = splat((real)h->l1), .l2 = splat((real)h->l2), .decay = splat((real)(1 - h->learning_rate * h->weight_decay)),
        .rho = splat((real)h->rho), .one_minus_rho = splat((real)(1 - h->rho)), .epsilon = splat((real)h->epsilon),
        .one_minus_beta_1 = splat((real)(1 - h->beta_1)), .one_minus_beta_2 = splat((real)(1 - h->beta_2)),
        .adam_rate = splat((real)(h->learning_rate * sqrt(1 - pow(h->beta_2, t)) / (1 - pow(h->beta_1, t)))),
        .beta_1 = splat((real)h->beta_1), .beta_2 = splat((real)h->beta_2),
        .adamax_rate = splat((real)(h->learning_rate / (1 - pow(h->beta_1, t)))),
        .nadam_rate_of_m = splat((real)(h->learning_rate * next / (1 - h->momentum_product * next))),
        .nadam_rate_of_g = splat((real)(h->learning_rate * (1 - nadam_momentum(h, t)) / (1 - h->momentum_product))),
        .one_over_correction_2 = splat((real)(1 / (1 - pow(h->beta_2, t)))),
    };
}

/* ---- the rules --------------------------------------------------------------------------------------------------------- */

/* A running sum of gradients, where these have become 0 for good, as behind a dead relu, shrinks by a factor at each update. It would
 * end as a denormal that rounds to itself, and some processors take a hundred times as long to multiply such. Sums of squares are
 * left alone, as they are divided by. */
INLINE vec faded(vec sum) { return zero_where((ivec)((uvec)sum & EXPONENT_MASK) == 0, sum); }

INLINE vec plain_sgd(vec w, vec g, vec *s, const rates *r) {
    (void)s;
    return w - r->learning_rate * g;
}

INLINE vec momentum_sgd(vec w, vec g, vec *s, const rates *r) {
    s[0] = faded(r->momentum * s[0] - r->learning_rate * g);
    return w + s[0];
}

INLINE vec nesterov_sgd(vec w, vec g, vec *s, const rates *r) {
    s[0] = faded(r->momentum * s[0] - r->learning_rate * g);
    return w + (r->momentum * s[0] - r->learning_rate * g);
}

INLINE vec adam(vec w, vec g, vec *s, const rates *r) {
    s[0] = faded(s[0] + r->one_minus_beta_1 * (g - s[0]));
    s[1] += r->one_minus_beta_2 * (g * g - s[1]);
    return w - r->adam_rate * s[0] / (vsqrt(s[1]) + r->epsilon);
}

INLINE vec amsgrad(vec w, vec g, vec *s, const rates *r) {
    s[0] = faded(s[0] + r->one_minus_beta_1 * (g - s[0]));
    s[1] += r->one_minus_beta_2 * (g * g - s[1]);
    s[2] = vmax(s[2], s[1]);
    return w - r->adam_rate * s[0] / (vsqrt(s[2]) + r->epsilon);
}

INLINE vec adamax(vec w, vec g, vec *s, const rates *r) {
    s[0] = faded(s[0] + r->one_minus_beta_1 * (g - s[0]));
    s[1] = vmax(r->beta_2 * s[1], vabs(g));
    return w - r->adamax_rate * s[0] / (s[1] + r->epsilon);
}

INLINE vec nadam(vec w, vec g, vec *s, const rates *r) {
    s[0] = faded(s[0] + r->one_minus_beta_1 * (g - s[0]));
    s[1] += r->one_minus_beta_2 * (g * g - s[1]);
    return w - (r->nadam_rate_of_m * s[0] + r->nadam_rate_of_g * g) / (vsqrt(s[1] * r->one_over_correction_2) + r->epsilon);
}

INLINE vec adadelta(vec w, vec g, vec *s, const rates *r) {
    s[0] = r->rho * s[0] + r->one_minus_rho * (g * g);
    vec d = vsqrt(s[1] + r->epsilon) / vsqrt(s[0] + r->epsilon) * g;
    s[1] = r->rho * s[1] + r->one_minus_rho * (d * d);
    return w - r->learning_rate * d;
}

INLINE vec lion(vec w, vec g, vec *s, const rates *r) {
    vec d = vsign(r->beta_1 * s[0] + r->one_minus_beta_1 * g);
    s[0] = faded(r->beta_2 * s[0] + r->one_minus_beta_2 * g);
    return w - r->learning_rate * d;
}

INLINE vec rmsprop(vec w, vec g, vec *s, const rates *r) {
    s[0] = r->rho * s[0] + r->one_minus_rho * (g * g);
    return w - r->learning_rate * g / vsqrt(s[0] + r->epsilon);
}

INLINE vec momentum_rmsprop(vec w, vec g, vec *s, const rates *r) {
    s[0] = r->rho * s[0] + r->one_minus_rho * (g * g);
    s[1] = faded(r->momentum * s[1] + r->learning_rate * g / vsqrt(s[0] + r->epsilon));
    return w - s[1];
}

INLINE vec centered_rmsprop(vec w, vec g, vec *s, const rates *r) {
    s[0] = r->rho * s[0] + r->one_minus_rho * (g * g);
    s[2] = faded(r->rho * s[2] + r->one_minus_rho * g);
    s[1] = faded(r->momentum * s[1] + r->learning_rate * g / vsqrt(vmax(s[0] - s[2] * s[2], splat(0)) + r->epsilon));
    return w - s[1];
}

INLINE vec adagrad(vec w, vec g, vec *s, const rates *r) {
    s[0] += g * g;
    return w - r->learning_rate * g / vsqrt(s[0] + r->epsilon);
}

/* ---- one pass ------------------------------------------------------------------------------------------------------------ */

typedef vec step_function(vec w, vec g, vec *s, const rates *r, rule_function *rule);

INLINE vec step(vec w, vec g, vec *s, const rates *r, rule_function *rule) { return rule(w, g, s, r); }

/* Penalties and decay come before the rule, for every rule. Computing them takes as long again as plain SGD. */
INLINE vec penalised_step(vec w, vec g, vec *s, const rates *r, rule_function *rule) {
    g += r->l2 * w + r->l1 * vsign(w);
    return rule(w * r->decay, g, s, r);
}

/* n <= LANES weights from w + i on */
INLINE void update_vector(real *w, const real *g, real *const *slot, int64_t i, int64_t n, const rates *r, rule_function *rule, int slots,
                          step_function *step) {
    vec s[3];
    if (n == LANES) {
        for (int k = 0; k < slots; k++) s[k] = load(slot[k] + i);
        store(w + i, step(load(w + i), load(g + i), s, r, rule));
        for (int k = 0; k < slots; k++) store(slot[k] + i, s[k]);
    } else {
        for (int k = 0; k < slots; k++) s[k] = load_first(slot[k] + i, n);
        store_first(w + i, step(load_first(w + i, n), load_first(g + i, n), s, r, rule), n);
        for (int k = 0; k < slots; k++) store_first(slot[k] + i, s[k], n);
    }
}

/* Pointers and rates are copied, as the compiler must take them to change with every store to the weights otherwise. A few
 * weights go first, so that no other vector of them lies in two cache lines. */
INLINE void update_range(const mw_parameter *p, const real *g, int64_t begin, int64_t end, const rates *shared, rule_function *rule, int slots,
                         step_function *step) {
    real *w = p->weights, *slot[3] = {p->slot[0], p->slot[1], p->slot[2]};
    const rates r = *shared;
    int64_t i = begin, lead = -(int64_t)((uintptr_t)(w + begin) / sizeof(real)) & (LANES - 1);
    if (end - begin > ALIGN_FROM && lead > 0) {
        update_vector(w, g, slot, i, lead, &r, rule, slots, step);
        i += lead;
    }
    for (; i + LANES <= end; i += LANES) update_vector(w, g, slot, i, LANES, &r, rule, slots, step);
    if (i < end) update_vector(w, g, slot, i, end - i, &r, rule, slots, step);
}

typedef struct {
    const mw_parameter *parameters;
    const real *const *gradients;
    int64_t count;
    const rates *r;
    int penalised;
} update_job;

/* Weights [begin, end), with those of all parameters counted through as one long row. */
INLINE void update_part(const void *job, int64_t begin, int64_t end, rule_function *rule, int slots) {
    const update_job *j = job;
    for (int64_t i = 0, first = 0; i < j->count; first += j->parameters[i].n, i++) {
        const mw_parameter *p = &j->parameters[i];
        int64_t from = begin > first ? begin - first : 0, to = end - first < p->n ? end - first : p->n;
        if (from >= to) continue;
        if (j->penalised) update_range(p, j->gradients[i], from, to, j->r, rule, slots, penalised_step);
        else update_range(p, j->gradients[i], from, to, j->r, rule, slots, step);
    }
}

static void update(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper, mw_range_function *part) {
    if (hyper->schedule != MW_NO_SCHEDULE) hyper->learning_rate = scheduled_rate(hyper);
    rates r = rates_of(hyper);
    update_job job = {parameters, gradients, count, &r, hyper->l1 != 0 || hyper->l2 != 0 || hyper->weight_decay != 0};
    int64_t total = 0;
    for (int64_t i = 0; i < count; i++) total += parameters[i].n;
    mw_parallel(mw_threads_for(total, UPDATE_GRAIN), total, part, &job);
    hyper->step += 1;
}

#define RULE(name, slots) static void name##_part(const void *job, int64_t begin, int64_t end) { update_part(job, begin, end, name, slots); }

RULE(plain_sgd, 0)
RULE(momentum_sgd, 1)
RULE(nesterov_sgd, 1)
RULE(adam, 2)
RULE(amsgrad, 3)
RULE(adamax, 2)
RULE(nadam, 2)
RULE(adadelta, 2)
RULE(lion, 1)
RULE(rmsprop, 1)
RULE(momentum_rmsprop, 2)
RULE(centered_rmsprop, 3)
RULE(adagrad, 1)

void mw_sgd_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    if (hyper->momentum == 0) update(parameters, gradients, count, hyper, plain_sgd_part);
    else if (hyper->nesterov == 0) update(parameters, gradients, count, hyper, momentum_sgd_part);
    else update(parameters, gradients, count, hyper, nesterov_sgd_part);
}

void mw_adam_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    update(parameters, gradients, count, hyper, hyper->amsgrad != 0 ? amsgrad_part : adam_part);
}

void mw_adamax_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    update(parameters, gradients, count, hyper, adamax_part);
}

void mw_nadam_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    hyper->momentum_product *= nadam_momentum(hyper, hyper->step + 1);
    update(parameters, gradients, count, hyper, nadam_part);
}

void mw_adadelta_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    update(parameters, gradients, count, hyper, adadelta_part);
}

void mw_lion_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    update(parameters, gradients, count, hyper, lion_part);
}

void mw_rmsprop_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    if (hyper->centered != 0) update(parameters, gradients, count, hyper, centered_rmsprop_part);
    else if (hyper->momentum != 0) update(parameters, gradients, count, hyper, momentum_rmsprop_part);
    else update(parameters, gradients, count, hyper, rmsprop_part);
}

void mw_adagrad_real(const mw_parameter *parameters, const real *const *gradients, int64_t count, mw_hyper *hyper) {
    update(parameters, gradients, count, hyper, adagrad_part);
}
