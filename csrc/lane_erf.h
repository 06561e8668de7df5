/* The error function, its complement and the normal distribution function. */
#ifndef FG_LANE_ERF_H
#define FG_LANE_ERF_H

#include "lane_base.h"
#include "lane_exp.h"

#define FG_NDTR_A 4.25 /* what A, C and FIRST are, tools/minimax.py says */
#define FG_NDTR_C 1.8125
#define FG_NDTR_FIRST 0.390625
#define FG_ERFC_A 3.0
#define FG_ERFC_C 1.28125
#define FG_ERFC_FIRST 0.5523
#define FG_ERF_SWITCH 0.75
#define FG_ERF_ONE 6.0    /* beyond it erf rounds to 1 */
#define FG_NDTR_ZERO 38.6 /* below minus this ndtr rounds to 0 */
#define FG_ERFC_ZERO 27.3
#define FG_LIFT 128.0     /* keeps 2**-1075 a normal double */
#define FG_LOWER 2.938735877055719e-39 /* 2**-128 */

/* The functions are exp(-square) f(t) for t >= 0, where f(t) is (t + a) / (t + c)**2 times a polynomial in
 * q = t / (t + a) - 1/2 (M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36, 1981, choose it). That is
 * within about 1 % of a constant, `first`, so that the errors of q and of what is added to it count little. One division
 * serves both quotients. */
struct fg_ratio {
    struct fg_pair n, d;
    double inverse, q; /* 1 / d */
};

static FG_INLINE struct fg_ratio fg_ratio(double t, double a, double c)
{
    double root = t + c, root_low = t - (root - c), far = t + a; /* a and c have few bits: this is all that is lost */
    struct fg_pair d = fg_product(root, root);
    double w = 1.0 / (d.high * far);
    struct fg_ratio r = {{far, t - (far - a)}, {d.high, fma(root + root, root_low, d.low)}, far * w, 0.0};
    r.q = fma(t, d.high * w, -0.5);
    return r;
}

/* first * exp(r) in two parts, and exp(r) */
struct fg_gaussian {
    double high, low, whole;
};

static FG_INLINE struct fg_gaussian fg_gaussian(double first, struct fg_reduced r)
{
    double tail = fg_exp_tail(r), high = fma(first, r.high, first);
    double low = fma(first, tail, fma(first, r.high, first - high));
    struct fg_gaussian g = {high, low, 1.0 + (r.high + tail)};
    return g;
}

/* The function over 2**k, the polynomial being first + more. */
static FG_INLINE double fg_complement(struct fg_gaussian g, struct fg_ratio r, double more)
{
    struct fg_pair n = fg_product(g.high, r.n.high);
    n = fg_sum(n.high, fma(g.high, r.n.low, fma(fma(more, g.whole, g.low), r.n.high, n.low)));
    double y = n.high * r.inverse;
    return fma(fg_remainder(y, n, r.d), r.inverse, y);
}

/* The exponent, which is up to 745 and would multiply its rounding error, has two parts. */
static FG_INLINE double fg_ndtr(double x)
{
    double t = fg_magnitude(x);
    struct fg_ratio r = fg_ratio(t, FG_NDTR_A, FG_NDTR_C);
    struct fg_pair square = fg_product(0.5 * t, t);
    struct fg_reduced power = fg_reduce(-square.high, -square.low, FG_BIAS + FG_LIFT);
    struct fg_gaussian g = fg_gaussian(FG_NDTR_FIRST, power);
    double q2 = r.q * r.q, q4 = q2 * q2, more = FG_QUADS24(FG_NDTR_SCALED, 0, r.q, q2, q4);
    double y = fg_complement(g, r, more) * fg_power_of_two(power.shifted) * FG_LOWER;
    y = t > FG_NDTR_ZERO ? 0.0 : y;
    return x > 0.0 ? 1.0 - y : y;
}

static FG_INLINE double fg_erfc(double x)
{
    double t = fg_magnitude(x);
    struct fg_ratio r = fg_ratio(t, FG_ERFC_A, FG_ERFC_C);
    struct fg_pair square = fg_product(t, t);
    struct fg_reduced power = fg_reduce(-square.high, -square.low, FG_BIAS + FG_LIFT);
    struct fg_gaussian g = fg_gaussian(FG_ERFC_FIRST, power);
    double q2 = r.q * r.q, q4 = q2 * q2, more = FG_QUADS24(FG_ERFC_SCALED, 0, r.q, q2, q4);
    double y = fg_complement(g, r, more) * fg_power_of_two(power.shifted) * FG_LOWER;
    y = t > FG_ERFC_ZERO ? 0.0 : y;
    return x < 0.0 ? 2.0 - y : y;
}

/* x + x * p(x * x) where that is less than about 0.7, else 1 - erfc(x), of which errors count less. */
static FG_INLINE double fg_erf(double x)
{
    double t = fg_magnitude(x);
    double z = t * t, z2 = z * z, z4 = z2 * z2;
    double near = fma(t, FG_QUADS11(FG_ERF_RATIO, 0, z, z2, z4), t);
    struct fg_ratio r = fg_ratio(t, FG_ERFC_A, FG_ERFC_C);
    struct fg_reduced power = fg_reduce(-z, 0.0, FG_BIAS);
    struct fg_gaussian g = fg_gaussian(FG_ERFC_FIRST, power);
    double q2 = r.q * r.q, q4 = q2 * q2, more = FG_QUADS13(FG_ERF_SCALED, 0, r.q, q2, q4);
    double far = fma(-fg_complement(g, r, more), fg_power_of_two(power.shifted), 1.0);
    near = t > FG_ERF_SWITCH ? far : near;
    return fg_with_sign(t > FG_ERF_ONE ? 1.0 : near, x);
}

#endif
