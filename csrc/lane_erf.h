/* The error function, its complement and the normal distribution function. */
#ifndef FG_LANE_ERF_H
#define FG_LANE_ERF_H

#include "lane_base.h"
#include "lane_exp.h"

#define FG_ROUND_19 12884901888.0 /* 2**33 + 2**32: adding it rounds to a multiple of 2**-19 */
#define FG_NDTR_A 4.25             /* what A, C and SHIFT are, tools/minimax.py says */
#define FG_NDTR_C 1.8125
#define FG_NDTR_SHIFT (-254.0 / 1024.0)
#define FG_ERFC_A 3.0
#define FG_ERFC_C 1.28125
#define FG_ERFC_SHIFT (-608.0 / 1024.0)
#define FG_ERF_SWITCH 0.75
#define FG_ERF_ONE 6.0    /* beyond it erf rounds to 1 */
#define FG_NDTR_ZERO 38.6 /* below minus this ndtr rounds to 0 */
#define FG_ERFC_ZERO 27.3

/* t >= 0 in two parts: so few bits in the first that its square and other products are exact. */
static inline struct fg_pair fg_split_square(double t)
{
    struct fg_pair s = {t + FG_ROUND_19 - FG_ROUND_19, 0.0};
    s.low = t - s.high;
    return s;
}

/* exp(shift - c * t * t) is (high + low) * 2**k, where the bits of `shifted` end in k + bias. */
struct fg_gaussian {
    double high, low, shifted;
};

/* For c = 1 or 1/2. The exponent, which is up to 745 and would multiply its rounding error, is exact but for small parts. */
static inline struct fg_gaussian fg_gaussian(double c, struct fg_pair t, double shift, double bias)
{
    double square = shift - c * t.high * t.high, rest = c * t.low * (t.low + 2.0 * t.high);
    double shifted = square * FG_INV_LN2 + (FG_ROUND + bias);
    double k = shifted - (FG_ROUND + bias);
    double high = square - k * FG_LN2_HIGH, low = k * FG_LN2_LOW + rest;
    struct fg_pair p = fg_sum(high, fg_exp_tail(high - low) - low), e = fg_sum(1.0, p.high);
    struct fg_gaussian g = {e.high, e.low + p.low, shifted};
    return g;
}

/* (t + a) / (t + c)**2, which times a Gaussian is right to about 1 %, and the argument q = t / (t + a) - 1/2 of the
 * polynomial that corrects it (M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36, 1981, choose it):
 * that is so small that its errors count little. One division serves both quotients. */
struct fg_rational {
    struct fg_pair numerator, denominator;
    double inverse, q; /* of the denominator */
};

static inline struct fg_rational fg_rational(struct fg_pair t, double a, double c)
{
    double root = t.high + c;
    struct fg_pair n = {t.high + a, t.low}, d = {root * root, t.low * (root + root + t.low)};
    double near = d.high + d.low, far = n.high + n.low, w = 1.0 / (near * far);
    struct fg_rational r = {n, fg_halves(d), far * w, (t.high + t.low) * (near * w) - 0.5};
    return r;
}

/* g r (1 + f) */
static inline struct fg_pair fg_corrected(struct fg_gaussian g, struct fg_rational r, double f)
{
    double leading = fg_leading(g.high);
    struct fg_pair n = {leading * r.numerator.high, 0.0};
    n.low = (g.high - leading + g.low) * r.numerator.high + g.high * r.numerator.low;
    n.low += (n.high + n.low) * f;
    return fg_quotient(n, r.denominator, r.inverse);
}

/* ndtr(-t) for t >= 0 */
static inline double fg_ndtr_tail(double t)
{
    struct fg_pair s = fg_split_square(t);
    struct fg_gaussian g = fg_gaussian(0.5, s, FG_NDTR_SHIFT, 2.0 * FG_BIAS - 1.0);
    struct fg_rational r = fg_rational(s, FG_NDTR_A, FG_NDTR_C);
    double q2 = r.q * r.q, q4 = q2 * q2;
    struct fg_pair y = fg_corrected(g, r, FG_QUADS24(FG_NDTR_SCALED, 0, r.q, q2, q4));
    return fg_scale(y.high + y.low, g.shifted);
}

/* erfc(t) for t >= 0 */
static inline double fg_erfc_tail(double t)
{
    struct fg_pair s = fg_split_square(t);
    struct fg_gaussian g = fg_gaussian(1.0, s, FG_ERFC_SHIFT, 2.0 * FG_BIAS);
    struct fg_rational r = fg_rational(s, FG_ERFC_A, FG_ERFC_C);
    double q2 = r.q * r.q, q4 = q2 * q2;
    struct fg_pair y = fg_corrected(g, r, FG_QUADS24(FG_ERFC_SCALED, 0, r.q, q2, q4));
    return fg_scale(y.high + y.low, g.shifted);
}

static inline double fg_ndtr(double x)
{
    double t = fg_magnitude(x);
    double y = fg_ndtr_tail(t > FG_NDTR_ZERO ? FG_NDTR_ZERO : t);
    return x > 0.0 ? 1.0 - y : y;
}

static inline double fg_erfc(double x)
{
    double t = fg_magnitude(x);
    double y = fg_erfc_tail(t > FG_ERFC_ZERO ? FG_ERFC_ZERO : t);
    return x < 0.0 ? 2.0 - y : y;
}

/* x + x * p(x * x) where that is less than about 0.7, else 1 - erfc(x). */
static inline double fg_erf(double x)
{
    double t = fg_magnitude(x);
    t = t > FG_ERF_ONE ? FG_ERF_ONE : t;
    double z = t * t, z2 = z * z, z4 = z2 * z2;
    double near = t + t * FG_QUADS11(FG_ERF_RATIO, 0, z, z2, z4);
    struct fg_pair s = fg_split_square(t);
    struct fg_gaussian g = fg_gaussian(1.0, s, FG_ERFC_SHIFT, FG_BIAS);
    struct fg_rational r = fg_rational(s, FG_ERFC_A, FG_ERFC_C);
    double q2 = r.q * r.q, q4 = q2 * q2;
    struct fg_pair y = fg_corrected(g, r, FG_QUADS13(FG_ERF_SCALED, 0, r.q, q2, q4));
    double far = 1.0 - (y.high + y.low) * fg_from_bits(fg_bits(g.shifted) << 52);
    return fg_with_sign(t > FG_ERF_SWITCH ? far : near, x);
}

#endif
