/* exp, log, tanh, erf and their kin, for all lanes at once: without tables, branches or library calls.
 *
 * Each function first reduces its argument to a small interval, where a short polynomial is exact to the last bit, and
 * then undoes the reduction. They hold for every argument: signed zeros, denormals (nothing is flushed to zero),
 * infinities; a NaN gives a NaN. They are right whether or not the compiler fuses a*b + c into one rounding.
 *
 * Largest errors in units in the last place, over every float (measured; double is alike): exp 1.1, expm1 1.6, log 1.0,
 * sigmoid 2.0, tanh 1.8, erf 1.6, softplus 2.1, sqrt 0.5.
 */
#ifndef MW_VMATH_H
#define MW_VMATH_H

#include "simd.h"

#if MW_DOUBLE
typedef uint64_t ubits;
#else
typedef uint32_t ubits;
#endif
typedef ubits uvec __attribute__((vector_size(MW_VECTOR_BYTES)));   /* unsigned: shifts bring in zeros, sums wrap around */

#define SIGN_BIT ((ubits)1 << (8 * sizeof(real) - 1))
#define ONE_BITS ((ubits)EXPONENT_BIAS << MANTISSA_BITS)            /* the bits of 1.0 */
#define EXPONENT_MASK (SIGN_BIT - ((ubits)1 << MANTISSA_BITS))

/* Reals near MAGIC lie 1 apart: x + MAGIC is x rounded to an integer n, and the low bits of that sum are those of n. */
#define MAGIC ((real)((ubits)3 << (MANTISSA_BITS - 1)))

/* ln 2 in two parts (Cody & Waite 1980; split as in fdlibm): the first ends in so many zeros that n times it is exact for
 * every exponent n, the second makes up for the digits the first lacks. */
#define LN2_HIGH (MW_DOUBLE ? (real)0x1.62e42feep-1 : (real)0x1.62e3p-1)
#define LN2_LOW (MW_DOUBLE ? (real)0x1.a39ef35793c76p-33 : (real)0x1.2fefa2p-17)

INLINE vec with_sign_of(vec magnitude, vec x) { return (vec)((uvec)magnitude | ((uvec)x & SIGN_BIT)); }

/* c[0] + c[1] x + c[2] x² + ..., by Horner's rule; a long one by a rule in x² for the even terms and one for the odd, as
 * neither waits for the other. The loops unroll and the coefficients become constants. */
INLINE vec polynomial(vec x, const real *c, int terms) {
    vec even = splat(c[terms - 1]), odd = {0};
    if (terms <= 5) {
        for (int i = terms - 2; i >= 0; i--) even = even * x + c[i];
        return even;
    }
    vec x2 = x * x;
    for (int i = (terms - 1) / 2 * 2; i >= 0; i -= 2) {
        even = i + 2 < terms ? even * x2 + c[i] : splat(c[i]);
        if (i + 1 < terms) odd = i + 3 < terms ? odd * x2 + c[i + 1] : splat(c[i + 1]);
    }
    return even + x * odd;
}
#define POLYNOMIAL(x, c) polynomial(x, c, (int)(sizeof(c) / sizeof *(c)))

/* ---- exponential ----------------------------------------------------------------------------------------------- */

/* exp(x) = 2ⁿ exp(r), where n = round(x / ln 2) and so |r| <= ln(2) / 2. */
typedef struct {
    vec expm1_r;               /* exp(r) - 1 */
    vec expm1_r_sharp;         /* the same without the rounding error of r, for two operations more (if it is read) */
    uvec n;                    /* the bits of MAGIC + 2 EXPONENT_BIAS + n: the low ones are those of that integer */
} exp_parts;

/* (exp(r) - 1 - r) / r²: 1/2!, 1/3!, ..., all but the last few digits. Fitted like LOG_ERFC below to the relative error of
 * exp(r) - 1, 1.3e-8 (double: 1.8e-17); Taylor's own coefficients would take one or two terms more, and a tenth of the time. */
static const real EXP_SERIES[] = {
#if MW_DOUBLE
    0.5000000000000006, 0.16666666666666588, 0.04166666666657646, 0.008333333333389818, 0.0013888888931668597,
    0.00019841269718524484, 2.4801505141777686e-05, 2.75574078492201e-06, 2.7626092962474296e-07, 2.5053726459960635e-08,
#else
    0.49999997f, 0.166665435f, 0.0416671969f, 0.00836654473f, 0.00138826773f,
#endif
};

/* exp(x + low), where low holds digits that x has no room for */
INLINE exp_parts exp_reduce(vec x, vec low) {
    const real magic = MAGIC + 2 * EXPONENT_BIAS;
    vec rounded = x * REAL(1.44269504088896340736) + magic;
    vec n = rounded - magic;
    vec head = x - n * LN2_HIGH, tail = n * LN2_LOW - low;         /* head is exact */
    vec r = head - tail, higher_terms = r * r * POLYNOMIAL(r, EXP_SERIES);
    return (exp_parts){r + higher_terms, head + (higher_terms - tail), (uvec)rounded};
}

/* 2ⁿ, for 2ⁿ neither denormal nor infinite: n goes into the exponent field. */
INLINE vec power_of_two(uvec n) { return (vec)((n << MANTISSA_BITS) - ONE_BITS); }

/* Below and above these, eˣ rounds to 0 and to infinity. */
#define EXP_LOWEST (MW_DOUBLE ? -746 : -104)
#define EXP_HIGHEST (MW_DOUBLE ? 710 : 89)

/* 2ⁿ x for x near 1 and n of exp_parts, rounded once, where 2ⁿ itself may lie outside the range of `real`. AVX-512 has an
 * instruction for it. Others take two factors, 2^⌊n/2⌋ and 2^⌈n/2⌉: only the last product rounds (to a denormal) or overflows. */
#if MW_VECTOR_BYTES == 64
INLINE vec scaled(vec x, uvec n) {
    vec power = (vec)n - (MAGIC + 2 * EXPONENT_BIAS);
    return AVX512(scalef, x, power, x);
}
#else
INLINE vec scaled(vec x, uvec n) {
    uvec half = n << (MANTISSA_BITS - 1) & EXPONENT_MASK;
    return x * (vec)half * (vec)((n << MANTISSA_BITS) - half);
}
#endif

INLINE vec zero_where(ivec mask, vec x) { return (vec)((ivec)x & ~mask); }

/* eˣ = 2ⁿ (1 + (exp(r) - 1)). Far outside the range exp_reduce yields rubbish, so x comes to where the result is 0 or infinite
 * all the same. */
INLINE vec vexp(vec x) {
    exp_parts e = exp_reduce(greater(splat(EXP_LOWEST), lesser(splat(EXP_HIGHEST), x)), (vec){0});
    return scaled(1 + e.expm1_r, e.n);
}

/* eˣ - 1 = (2ⁿ - 1) + 2ⁿ (exp(r) - 1), which near 0, where n = 0, is exp(r) - 1 itself. Below -40 it rounds to -1, and above 40 the 1
 * is less than a digit of eˣ. */
INLINE vec vexpm1(vec x) {
    exp_parts e = exp_reduce(greater(splat(-40), lesser(splat(EXP_HIGHEST), x)), (vec){0});
    vec power = power_of_two(e.n), near = (power - 1) + power * e.expm1_r_sharp;
    return with_sign_of(choose(x > 40, scaled(1 + e.expm1_r, e.n), near), x);
}

/* Where 2ⁿ may be denormal but not infinite, a constant will do for the second factor: 2ⁿ = power_up(n) DOWN. */
#define DOWN REAL(0x1p-64)
INLINE vec power_up(uvec n) { return (vec)((uvec)power_of_two(n) + ((ubits)64 << MANTISSA_BITS)); }

/* eˣ for x <= 0 */
INLINE vec exp_of_negative(vec x) {
    exp_parts e = exp_reduce(x, (vec){0});
    vec power = power_up(e.n);
    return zero_where(x < EXP_LOWEST, (power + power * e.expm1_r) * DOWN);
}

/* 1 / (1 + e⁻ˣ). With e⁻ˣ = 2⁻ⁿ exp(r) that is 2ⁿ / (1 + (2ⁿ + (exp(r) - 1))), right down to the denormals. From x = 40
 * on it rounds to 1. */
INLINE vec vsigmoid(vec x) {
    x = lesser(splat(40), x);
    exp_parts e = exp_reduce(-x, (vec){0});
    vec power = power_up(4 * EXPONENT_BIAS - e.n);
    return zero_where(x < EXP_LOWEST, power / (1 + (power * DOWN + e.expm1_r)) * DOWN);
}

/* (r coth r - 1) / r² = 1/3 - r²/45 + ..., fitted as above to the relative error of r coth r for |r| <= 0.55: 1.4e-8 (double:
 * 4.3e-17). */
static const real COTH_SERIES[] = {
#if MW_DOUBLE
    0.33333333333332166, -0.022222222221223442, 0.002116402087583239, -0.00021163981745741254, 2.1374911931299764e-05,
    -2.152736041496534e-06, 1.9454139341610355e-07,
#else
    0.33333236f, -0.0222021136f, 0.00199909927f,
#endif
};

/* With c = r coth r, tanh(r) = r / c and exp(2r) = (c + r) / (c - r). The first serves small arguments, as they are. The others are
 * |x| = n ln(2) / 2 + r and give 1 - 2 / (2ⁿ exp(2r) + 1), where the error of the fraction counts for less the larger they are.
 * From 10 (double: 20) on that rounds to 1. Both are one fraction, as a division costs more than the choice of what to divide. */
INLINE vec vtanh(vec x) {
    const real magic = MAGIC + EXPONENT_BIAS;
    vec a = lesser(splat(MW_DOUBLE ? 20 : 10), vabs(x));
    ivec small = a < REAL(0.55);
    vec rounded = a * REAL(2.88539008177792681472) + magic, n = zero_where(small, rounded - magic);
    vec r = a - n * REAL(0.34657359027997265471), r2 = r * r, c = 1 + r2 * POLYNOMIAL(r2, COTH_SERIES);
    vec power = (vec)((uvec)rounded << MANTISSA_BITS), top = r - c;
    vec fraction = choose(small, r, top) / choose(small, c, power * (c + r) - top);
    return with_sign_of(choose(small, fraction, 1 + 2 * fraction), x);
}

/* ---- logarithm ------------------------------------------------------------------------------------------------- */

/* log(1 + f) = 2 atanh(s) = 2s + s R(s²) with s = f / (2 + f), and R(s²) = 2/3 s² + 2/5 s⁴ + ... Since 2s = f - s f, that
 * equals f - s (f - R): the leading term is exact, which keeps the error near half a unit (the idea of fdlibm's log). */
static const real ATANH_SERIES[] = {
    REAL(2.0) / 3, REAL(2.0) / 5, REAL(2.0) / 7, REAL(2.0) / 9, REAL(2.0) / 11, REAL(2.0) / 13, REAL(2.0) / 15,
#if MW_DOUBLE
    2.0 / 17, 2.0 / 19, 2.0 / 21, 2.0 / 23, 2.0 / 25, 2.0 / 27, 2.0 / 29, 2.0 / 31, 2.0 / 33,
#endif
};
#define TERMS_TO_FIFTH (MW_DOUBLE ? 10 : 4)                         /* as many as |s| <= 1/5 takes: f in [√½ - 1, √2 - 1] or [-1/4, 1/2] */
#define TERMS_TO_THIRD (MW_DOUBLE ? 16 : 7)                         /* and s in [0, 1/3]: f in [0, 1] */

/* x = 2ᵏ m with m in [√½, √2), or [3/4, 3/2) where there are instructions for it: returns m, and k in *exponent. Where log has no
 * series, k takes its value: x itself for infinity and NaN, -infinity at 0, and NaN below. */
#if MW_VECTOR_BYTES == 64
INLINE vec split_exponent(vec x, vec *exponent) {
    enum { THREE_QUARTERS_TO_THREE_HALVES = 3, NAN_BELOW_0 = 2 << 2 };
    vec m = AVX512(getmant, x, THREE_QUARTERS_TO_THREE_HALVES | NAN_BELOW_0, x);
    *exponent = AVX512(getexp, x, x) - AVX512(getexp, m, m);
    return m;
}
#else
INLINE vec split_exponent(vec x, vec *exponent) {
    const real scale_bits = MANTISSA_BITS + 1, scale = (real)((ubits)1 << (MANTISSA_BITS + 1));
    const ubits sqrt_half = MW_DOUBLE ? (ubits)0x3fe6a09e667f3bcd : (ubits)0x3f3504f3;
    ivec tiny = x < (MW_DOUBLE ? (real)DBL_MIN : (real)FLT_MIN);    /* denormals are first scaled into the normal range */
    uvec shifted = (uvec)choose(tiny, x * scale, x) + (ONE_BITS - sqrt_half);    /* the exponent field steps at √½, not at 1 */
    vec k = (vec)((shifted >> MANTISSA_BITS) + (uvec)splat(MAGIC));
    k = k - (MAGIC + EXPONENT_BIAS) - (vec)(tiny & (ivec)splat(scale_bits));
    k = choose(x < INFINITY, k, x);
    k = choose(x == 0, splat(-INFINITY), k);
    *exponent = (vec)((ivec)k | (x < 0));                           /* every bit set, as in a mask, is a NaN */
    return (vec)((shifted & (((ubits)1 << MANTISSA_BITS) - 1)) + sqrt_half);
}
#endif

/* k ln 2 + log(1 + f); an infinite or NaN k comes through. */
INLINE vec log_series(vec k, vec f) {
    vec s = f / (2 + f), s2 = s * s;
    vec series = s2 * polynomial(s2, ATANH_SERIES, TERMS_TO_FIFTH);
    return k * LN2_HIGH + (f - (s * (f - series) - k * LN2_LOW));
}

INLINE vec vlog(vec x) {
    vec k, m = split_exponent(x, &k);
    return log_series(k, m - 1);
}

/* log(1 + eˣ) = max(x, 0) + log(1 + e) with e = exp(-|x|) <= 1, where the series needs no reduction. */
INLINE vec vsoftplus(vec x) {
    vec e = exp_of_negative(-vabs(x));
    vec s = e / (2 + e), s2 = s * s;
    vec series = s2 * polynomial(s2, ATANH_SERIES, TERMS_TO_THIRD);
    return zero_where(x < 0, x) + (e - s * (e - series));
}

/* ---- error function -------------------------------------------------------------------------------------------- */

/* T(a) = -log(erfc(a)) / a - 1, as a polynomial on 0 <= a <= ERF_SATURATED, from where on erf rounds to 1. One formula
 * serves small and large a: the error of erf(a) = 1 - exp(-a - a T) is that of T times a erfc(a) / erf(a). The fit makes
 * the largest such error smallest, 2e-9 (double: 4e-17): least squares in 50 digits at Chebyshev nodes, so weighted and
 * reweighted by Lawson's rule. The weight has erfc + 1e-4 (1e-10) for erfc, lest the tail that GELU needs be neglected. */
#if MW_DOUBLE
#define ERF_SATURATED 6.0
static const real LOG_ERFC[] = {
    0.12837916709551253, 0.6366197723676, 0.1027726033007725, -0.019128446980357414, -0.00020919501020107592,
    0.0016962088295695654, -0.0005901381081395333, 2.5923917537867786e-05, 6.437222640570037e-05, -2.9486115333109316e-05,
    3.0430171724932556e-06, 3.2712896647154626e-06, -2.1547841903512575e-06, 6.486506904939578e-07, -5.19549634596044e-08,
    -4.979331877797428e-08, 2.9877373551946554e-08, -9.80781275331886e-09, 2.2534669682243646e-09, -3.8210769394235814e-10,
    4.8010857289654334e-11, -4.3669420130031854e-12, 2.725183966579582e-13, -1.0449463624693403e-14, 1.8567578805315044e-16,
};
#else
#define ERF_SATURATED 4.0f
static const real LOG_ERFC[] = {
    0.128379166f, 0.636619568f, 0.102774441f, -0.0191327836f, -0.00021824718f,
    0.00175588496f, -0.000710052438f, 0.000155421498f, -1.89071325e-05f, 9.95987307e-07f,
};
#endif

/* erfc(a) = exp(-(a + a T)). The sum comes in two parts: rounded, and what the rounding dropped (Dekker's fast two-sum). */
INLINE exp_parts erfc_parts(vec a) {
    vec at = a * POLYNOMIAL(a, LOG_ERFC);
    vec sum = a + at, low = (a - sum) + at;
    return exp_reduce(-sum, -low);
}

/* erf(x) = 2/√π ∫₀ˣ exp(-t²) dt (Abramowitz & Stegun 7.1.1), as sign(x) (1 - erfc|x|) */
INLINE vec verf(vec x) {
    vec a = vabs(x);
    exp_parts e = erfc_parts(a);
    vec power = power_of_two(e.n);
    vec y = (1 - power) - power * e.expm1_r_sharp;
    return with_sign_of(choose(a > ERF_SATURATED, splat(1), y), x);
}

/* Φ(x) = (1 + erf(x/√2)) / 2, the normal distribution; as erfc(|x|/√2) / 2 for x < 0, where 1 + erf would cancel. */
INLINE vec normal_cdf(vec x) {
    vec a = REAL(0.70710678118654752440) * vabs(x);
    exp_parts e = erfc_parts(a);
    vec half = REAL(0.5) * power_of_two(e.n);
    vec tail = zero_where(a > ERF_SATURATED, half + half * e.expm1_r);
    return choose(x < 0, tail, 1 - tail);
}

/* GELU: x Φ(x). Its error stays below |x| times the spacing of reals at 1; the result is zero from x = -5.7 down
 * (double: -8.5), and for -infinity, where the product would be a NaN. */
INLINE vec vgelu(vec x) { return zero_where(x == -INFINITY, x * normal_cdf(x)); }

/* its derivative: Φ(x) + x φ(x), with the density φ(x) = exp(-x²/2) / √(2π) */
INLINE vec vgelu_gradient(vec x) {
    vec density = REAL(0.39894228040143267794) * exp_of_negative(REAL(-0.5) * x * x);
    return normal_cdf(x) + zero_where(vabs(x) == INFINITY, x * density);
}

/* ---- and the simple ones --------------------------------------------------------------------------------------- */

/* max(x, 0); a NaN comes through, as in NumPy's maximum, and so does -0. */
INLINE vec vrelu(vec x) { return zero_where(x < 0, x); }

/* √x, correctly rounded by the processor's own instruction: this is how GCC and Clang are made to emit it. */
INLINE vec vsqrt(vec x) {
    for (int i = 0; i < LANES; i++) x[i] = MW_DOUBLE ? (real)sqrt(x[i]) : (real)sqrtf((float)x[i]);
    return x;
}

#endif
