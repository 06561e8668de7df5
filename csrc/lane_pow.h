/* Power: exp(y log(x)), the logarithm and the product in two parts, for the exponential multiplies their errors by up to
 * 745. */
#ifndef FG_LANE_POW_H
#define FG_LANE_POW_H

#include "lane_base.h"
#include "lane_exp.h"
#include "lane_log.h"

#define FG_POW_LEAST UINT64_C(0x3FE6A00000000000) /* 181 / 256: logarithms are reduced to it <= m < twice it */
#define FG_POW_BELOW 0.89                          /* m below it are reduced further by LEFT, */
#define FG_POW_ABOVE 1.125                         /* and above it by RIGHT */
#define FG_POW_LEFT 0.796875
#define FG_POW_RIGHT 1.2578125
#define FG_LOG_LEFT_HIGH (-0.22705745063535687) /* 42 binary places, as FG_LN2_HIGH, so that their sum is exact */
#define FG_LOG_LEFT_LOW 1.078736749871691e-14
#define FG_LOG_RIGHT_HIGH 0.22937410106464995
#define FG_LOG_RIGHT_LOW 1.9588102479131722e-13
#define FG_TWO_THIRDS_HIGH 0.6666666666666666
#define FG_TWO_THIRDS_LOW 3.700743415417188e-17
#define FG_POW_LIMIT 800.0 /* more than the exponential of it, or less than that of minus it, is no double */

/* log(x) for a normal x > 0 to about 2**-68 of it: k ln 2 + log(a) + 2 atanh(s) for s = (m - a) / (m + a), where m / a is
 * near 1. What 2 atanh(s) has before s**5 is kept in two parts. `bias` as in fg_split. */
static FG_INLINE struct fg_pair fg_log_pair(double x, double bias)
{
    struct fg_split p = fg_split(x, FG_POW_LEAST, bias);
    int below = p.m < FG_POW_BELOW, above = p.m > FG_POW_ABOVE;
    double a = below ? FG_POW_LEFT : above ? FG_POW_RIGHT : 1.0;
    double log_high = below ? FG_LOG_LEFT_HIGH : above ? FG_LOG_RIGHT_HIGH : 0.0;
    double log_low = below ? FG_LOG_LEFT_LOW : above ? FG_LOG_RIGHT_LOW : 0.0;
    struct fg_pair f = {p.m - a, 0.0}, d = fg_sum(a + a, f.high);
    double inverse = 1.0 / d.high;
    struct fg_pair s = {f.high * inverse, 0.0};
    s.low = fg_remainder(s.high, f, d) * inverse;
    struct fg_pair square = fg_product(s.high, s.high), cube = fg_product(square.high, s.high);
    cube.low += fma(3.0 * square.high, s.low, square.low * s.high);
    struct fg_pair third = fg_product(FG_TWO_THIRDS_HIGH, cube.high);
    third.low += fma(FG_TWO_THIRDS_HIGH, cube.low, FG_TWO_THIRDS_LOW * cube.high);
    double z2 = square.high * square.high;
    double tail = fma(z2 * s.high, FG_POLY6(FG_POW_TAIL, 0, square.high, z2), third.low);
    struct fg_pair sum = fg_sum(fma(p.k, FG_LN2_HIGH, log_high), s.high + s.high);
    struct fg_pair more = fg_sum(sum.high, third.high);
    more.low += sum.low + (fma(p.k, FG_LN2_LOW, log_low) + fma(2.0, s.low, tail));
    return more;
}

/* x to the power y for a normal x > 0 and a finite y. */
static FG_INLINE double fg_pow_normal(double x, double bias, double y)
{
    struct fg_pair l = fg_log_pair(x, bias), p = fg_product(y, l.high);
    struct fg_reduced r = fg_reduce(p.high, fma(y, l.low, p.low), 2.0 * FG_BIAS);
    double z = fg_scale(r.high + fg_exp_tail(r), r.shifted);
    z = p.high < -FG_POW_LIMIT ? 0.0 : z;
    return p.high > FG_POW_LIMIT ? INFINITY : z;
}

/* Where fg_pow_quick is not meant for: outside its range, and where the result is a square or an inverse, exact or
 * correctly rounded. */
static FG_INLINE int fg_pow_rare(double x, double y)
{
    return !(x >= FG_LEAST_NORMAL) | !(x < INFINITY) | !(fg_magnitude(y) < INFINITY) | (y == 2.0) | (y == -1.0);
}

static FG_INLINE double fg_pow_quick(double x, double y)
{
    return fg_pow_normal(x, FG_TWO52 + FG_BIAS, y);
}

/* The special cases of C's annex F.10.4.4, negative and subnormal x. */
static FG_INLINE double fg_pow_slow(double x, double y)
{
    if (y == 2.0)
        return x * x;
    if (y == -1.0)
        return 1.0 / x;
    if (y == 0.0 || x == 1.0)
        return 1.0;
    if (x != x || y != y)
        return x + y;
    double a = fg_magnitude(x);
    if (fg_magnitude(y) == INFINITY)
        return a == 1.0 ? 1.0 : (a > 1.0) == (y > 0.0) ? INFINITY : 0.0;
    int is_whole = floor(y) == y, is_odd = is_whole && 2.0 * floor(0.5 * y) != y;
    double z;
    if (a == 0.0 || a == INFINITY)
        z = (a == 0.0) == (y < 0.0) ? INFINITY : 0.0;
    else if (x < 0.0 && !is_whole)
        return NAN;
    else if (a < FG_LEAST_NORMAL)
        z = fg_pow_normal(a * FG_TWO54, FG_TWO52 + FG_BIAS + 54.0, y);
    else
        z = fg_pow_normal(a, FG_TWO52 + FG_BIAS, y);
    return is_odd && copysign(1.0, x) < 0.0 ? -z : z;
}

static FG_INLINE double fg_pow(double x, double y)
{
    return fg_pow_rare(x, y) ? fg_pow_slow(x, y) : fg_pow_quick(x, y);
}

#endif
