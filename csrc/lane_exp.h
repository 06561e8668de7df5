/* The exponential, and functions made from it. The argument is reduced to |r| <= ln(2) / 2 in two parts (W. J. Cody and
 * W. Waite, Software Manual for the Elementary Functions, 1980): x = k ln 2 + r, exp(x) = 2**k exp(r). */
#ifndef FG_LANE_EXP_H
#define FG_LANE_EXP_H

#include "lane_base.h"

#define FG_INV_LN2 1.4426950408889634
#define FG_LN2_HIGH 0.6931471805598903 /* 42 bits: its products with whole numbers of 11 bits are exact */
#define FG_LN2_LOW 5.497923018708371e-14
#define FG_EXP_OVERFLOW 710.0      /* beyond these exp(x) is infinite, or less than half of the least double */
#define FG_EXP_UNDERFLOW (-746.0)
#define FG_EXPM1_SMALL 1e-300
#define FG_EXPM1_MINUS_ONE (-40.0) /* below it expm1 rounds to -1 */
#define FG_TANH_NEAR_ONE 10.0      /* beyond it tanh is 1 - 2 / (n + 2) to a double's precision */
#define FG_TANH_ONE 22.0           /* beyond it tanh rounds to 1 */

/* r = high + low: high is exact, low so small that its rounding is nothing. The bits of `shifted` end in k + bias. */
struct fg_reduced {
    double high, low, shifted;
};

/* x + rest, where rest is small beside ln 2. */
static FG_INLINE struct fg_reduced fg_reduce(double x, double rest, double bias)
{
    double shifted = fma(x, FG_INV_LN2, FG_ROUND + bias), k = shifted - (FG_ROUND + bias);
    struct fg_reduced r = {fma(-k, FG_LN2_HIGH, x), fma(-k, FG_LN2_LOW, rest), shifted};
    return r;
}

/* exp(r) - 1 - high */
static FG_INLINE double fg_exp_tail(struct fg_reduced r)
{
    double x = r.high + r.low, x2 = x * x;
    return fma(x2, FG_POLY10(FG_EXP_TAIL, 0, x, x2), r.low);
}

/* The same to a smaller error, for where no 1 is added. Its first coefficient is 0.5; exp(x + lost) is about
 * exp(x) + lost + x lost. */
static FG_INLINE double fg_expm1_tail(struct fg_reduced r)
{
    double x = r.high + r.low, lost = r.high - x + r.low, x2 = x * x;
    return fma(0.5, x2, fma(x * x2, FG_POLY10(FG_EXPM1_TAIL, 1, x, x2), fma(x, lost, r.low)));
}

/* 2**n, where the bits of `shifted` end in n + FG_BIAS. */
static FG_INLINE double fg_power_of_two(double shifted)
{
    return fg_from_bits(fg_bits(shifted) << 52);
}

/* (1 + p) 2**k, where the bits of `shifted` end in k + 2046: by two powers of 2, either of which is a double, so that a
 * subnormal result is rounded once more but not by much. */
static FG_INLINE double fg_scale(double p, double shifted)
{
    uint64_t both = fg_bits(shifted) << 52;
    uint64_t half = both >> 1 & FG_EXPONENT_BITS;
    double first = fg_from_bits(half);
    return fma(p, first, first) * fg_from_bits(both - half);
}

static FG_INLINE double fg_exp(double x)
{
    struct fg_reduced r = fg_reduce(x, 0.0, 2.0 * FG_BIAS);
    double y = fg_scale(r.high + fg_exp_tail(r), r.shifted);
    y = x < FG_EXP_UNDERFLOW ? 0.0 : y;
    return x > FG_EXP_OVERFLOW ? INFINITY : y;
}

/* 2**k (1 + p) - 1, all in halves, for 2**1024 is no double. Where x is so small that its half might not be a double,
 * expm1(x) is x. */
static FG_INLINE double fg_expm1(double x)
{
    struct fg_reduced r = fg_reduce(x, 0.0, FG_BIAS - 1.0);
    double power = fg_power_of_two(r.shifted), less = power - 0.5, n = fma(power, r.high, less);
    double lost = power - less - 0.5; /* where the power is large */
    double y = 2.0 * (n + fma(power, fg_expm1_tail(r), fma(power, r.high, less - n) + lost));
    y = fg_magnitude(x) < FG_EXPM1_SMALL ? x : y;
    y = x < FG_EXPM1_MINUS_ONE ? -1.0 : y;
    return x > FG_EXP_OVERFLOW ? INFINITY : y;
}

/* tanh(x) = n / (n + 2), where n = exp(2 x) - 1 = 2**k (exp(r) - 1) + (2**k - 1), for x >= 0; its sign apart. */
static FG_INLINE double fg_tanh(double x)
{
    double a = fg_magnitude(x);
    struct fg_reduced r = fg_reduce(2.0 * a, 0.0, FG_BIAS);
    double power = fg_power_of_two(r.shifted), tail = fg_expm1_tail(r), less = power - 1.0, more = power + 1.0;
    struct fg_pair n = {fma(power, r.high, less), 0.0}, d = {fma(power, r.high, more), 0.0};
    n.low = fma(power, tail, fma(power, r.high, less - n.high));
    d.low = fma(power, tail, fma(power, r.high, more - d.high));
    double inverse = 1.0 / (d.high + d.low), q = (n.high + n.low) * inverse;
    q = fma(fg_remainder(q, n, d), inverse, q);
    q = a > FG_TANH_NEAR_ONE ? fma(-2.0, inverse, 1.0) : q;
    return fg_with_sign(a > FG_TANH_ONE ? 1.0 : q, x);
}

#endif
