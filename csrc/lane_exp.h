/* The exponential, and functions made from it. The argument is reduced to |r| <= ln(2) / 2 in two parts (W. J. Cody and
 * W. Waite, Software Manual for the Elementary Functions, 1980): x = k ln 2 + r, exp(x) = 2**k exp(r). */
#ifndef FG_LANE_EXP_H
#define FG_LANE_EXP_H

#include "lane_base.h"

#define FG_INV_LN2 1.4426950408889634
#define FG_LN2_HIGH 0.6931471805598903 /* 42 bits: its products with whole numbers of 11 bits are exact */
#define FG_LN2_LOW 5.497923018708371e-14
#define FG_EXP_OVERFLOW 709.782712893384
#define FG_EXP_UNDERFLOW (-745.1332191019412) /* beyond it less than half of the least double */
#define FG_EXPM1_SMALL 1e-300
#define FG_EXPM1_MINUS_ONE (-40.0) /* below it expm1 rounds to -1 */
#define FG_TANH_NEAR_ONE 10.0                 /* beyond it tanh is 1 - 2 / (n + 2) to a double's precision */
#define FG_TANH_ONE 22.0                      /* beyond it tanh rounds to 1 */

/* exp(r) - 1 - r */
static inline double fg_exp_tail(double r)
{
    double r2 = r * r;
    return r2 * FG_POLY10(FG_EXP_TAIL, 0, r, r2);
}

/* The same to a smaller error, for where no 1 is added; its first coefficient is 0.5. */
static inline double fg_expm1_tail(double r)
{
    double r2 = r * r;
    return 0.5 * r2 + r * r2 * FG_POLY10(FG_EXPM1_TAIL, 1, r, r2);
}

/* y * 2**k for 0.5 < y < 2, where the bits of `shifted` end in k + 2046: by two powers of 2, either of which is a
 * double, so that a subnormal result is rounded once. */
static inline double fg_scale(double y, double shifted)
{
    uint64_t both = fg_bits(shifted) << 52;
    uint64_t half = both >> 1 & FG_EXPONENT_BITS;
    return y * fg_from_bits(half) * fg_from_bits(both - half);
}

static inline double fg_exp(double x)
{
    double shifted = x * FG_INV_LN2 + (FG_ROUND + 2.0 * FG_BIAS);
    double k = shifted - (FG_ROUND + 2.0 * FG_BIAS);
    double high = x - k * FG_LN2_HIGH, low = k * FG_LN2_LOW;
    struct fg_pair s = fg_sum(1.0, high);
    double y = fg_scale(s.high + (s.low + (fg_exp_tail(high - low) - low)), shifted);
    y = x < FG_EXP_UNDERFLOW ? 0.0 : y;
    return x > FG_EXP_OVERFLOW ? INFINITY : y;
}

/* 2**k (1 + p) - 1, all in halves, for 2**1024 is no double. Where x is so small that its half might not be a double,
 * expm1(x) is x. */
static inline double fg_expm1(double x)
{
    double shifted = x * FG_INV_LN2 + (FG_ROUND + (FG_BIAS - 1.0));
    double k = shifted - (FG_ROUND + (FG_BIAS - 1.0)), power = fg_from_bits(fg_bits(shifted) << 52);
    double high = x - k * FG_LN2_HIGH, low = k * FG_LN2_LOW;
    struct fg_pair p = fg_sum(high, fg_expm1_tail(high - low) - low);
    struct fg_pair n = fg_sum(power - 0.5, power * p.high);
    n.low += (power - (power - 0.5) - 0.5) + power * p.low; /* 0.5 is lost where the power is large */
    double y = 2.0 * (n.high + n.low);
    y = fg_magnitude(x) < FG_EXPM1_SMALL ? x : y;
    y = x < FG_EXPM1_MINUS_ONE ? -1.0 : y;
    return x > FG_EXP_OVERFLOW ? INFINITY : y;
}

/* tanh(x) = n / (n + 2), where n = exp(2 x) - 1 = 2**k (exp(r) - 1) + (2**k - 1), for x >= 0; its sign apart. */
static inline double fg_tanh(double x)
{
    double a = fg_magnitude(x);
    a = a > FG_TANH_ONE ? FG_TANH_ONE : a;
    double shifted = a * (2.0 * FG_INV_LN2) + (FG_ROUND + FG_BIAS);
    double k = shifted - (FG_ROUND + FG_BIAS), power = fg_from_bits(fg_bits(shifted) << 52);
    double high = 2.0 * a - k * FG_LN2_HIGH, low = k * FG_LN2_LOW;
    struct fg_pair p = fg_sum(high, fg_expm1_tail(high - low) - low);
    struct fg_pair n = fg_sum(power - 1.0, power * p.high), d = fg_sum(power + 1.0, power * p.high);
    n.low += power * p.low;
    d.low += power * p.low;
    double inverse = 1.0 / d.high;
    struct fg_pair q = fg_quotient(n, fg_halves(d), inverse);
    return fg_with_sign(a > FG_TANH_NEAR_ONE ? 1.0 - 2.0 * inverse : q.high + q.low, x);
}

#endif
