/* Logarithms: x = 2**k m with 11 / 16 <= m < 11 / 8, and log(m) = 2 atanh(s) with s = (m - 1) / (m + 1). */
#ifndef FG_LANE_LOG_H
#define FG_LANE_LOG_H

#include "lane_base.h"
#include "lane_exp.h"

#define FG_LOG_LEAST UINT64_C(0x3FE6000000000000) /* 11 / 16 */
#define FG_TWO52_BITS UINT64_C(0x4330000000000000)
#define FG_LEAST_NORMAL 2.2250738585072014e-308
#define FG_TWO52 4503599627370496.0
#define FG_TWO54 18014398509481984.0

/* x = 2**k m for a normal x > 0 */
struct fg_split {
    double k, m;
};

/* `least` has the bits of the least m, `bias` is that of the exponent plus 2**52. */
static FG_INLINE struct fg_split fg_split(double x, uint64_t least, double bias)
{
    uint64_t bits = fg_bits(x) + (FG_ONE_BITS - least);
    struct fg_split s = {fg_from_bits(bits >> 52 | FG_TWO52_BITS) - bias, 0.0};
    s.m = fg_from_bits((bits & FG_FRACTION_BITS) + least);
    return s;
}

/* y for a finite x > 0, and what a logarithm gives elsewhere. */
static FG_INLINE double fg_log_special(double x, double y)
{
    y = x < INFINITY ? y : x;
    return x <= 0.0 ? (x == 0.0 ? -INFINITY : NAN) : y;
}

/* k ln 2 + log(1 + f) + small: log(1 + f) = 2 s + s * tail = f - s * (f - tail), so that the greatest term is exact. */
static FG_INLINE double fg_log_sum(double k, double f, double small)
{
    double s = f / (2.0 + f), z = s * s, z2 = z * z;
    double tail = z * FG_POLY7(FG_LOG_TAIL, 0, z, z2);
    double y = fma(k, FG_LN2_HIGH, f), lost = f - fma(-k, FG_LN2_HIGH, y);
    return y + fma(-s, f - tail, lost + fma(k, FG_LN2_LOW, small));
}

static FG_INLINE double fg_log(double x)
{
    double bias = x < FG_LEAST_NORMAL ? FG_TWO52 + FG_BIAS + 54.0 : FG_TWO52 + FG_BIAS;
    struct fg_split p = fg_split(x < FG_LEAST_NORMAL ? x * FG_TWO54 : x, FG_LOG_LEAST, bias);
    return fg_log_special(x, fg_log_sum(p.k, p.m - 1.0, 0.0));
}

/* log(u) + (1 + x - u) / u for u = 1 + x rounded. Where k = 0, f = x is exact and nothing is missing; elsewhere what is
 * missing is at most two ulp, so that 1.0625 - f is near enough to 1 / m = 2**k / u. */
static FG_INLINE double fg_log1p(double x)
{
    double u = 1.0 + x, part = u - 1.0, missing = (1.0 - (u - part)) + (x - part); /* D. E. Knuth's sum */
    struct fg_split p = fg_split(u, FG_LOG_LEAST, FG_TWO52 + FG_BIAS);
    double f = p.k == 0.0 ? x : p.m - 1.0;
    double twice = fg_from_bits(fg_bits(FG_TWO52 + FG_BIAS + 1.0 - p.k) << 52); /* 2**(1 - k) */
    missing = p.k == 0.0 ? 0.0 : missing * twice * fma(-0.5, f, 0.53125);
    return u == 1.0 ? x : fg_log_special(u, fg_log_sum(p.k, f, missing));
}

#endif
