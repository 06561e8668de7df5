/* Sine and cosine: x = n pi / 2 + r with |r| <= pi / 4, in two parts, so that also where r is small its relative error is
 * (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980). */
#ifndef FG_LANE_TRIG_H
#define FG_LANE_TRIG_H

#include "lane_base.h"

#define FG_TRIG_LIMIT 1e5 /* up to it n has 16 bits, and its product with FG_HALF_PI_2 is exact */
#define FG_TWO_OVER_PI 0.6366197723675814
#define FG_HALF_PI_1 1.5707963267948966
#define FG_HALF_PI_2 6.123233995707727e-17 /* 36 bits */
#define FG_HALF_PI_3 2.9038559739793605e-28

/* high + low is r; the last bits of `turns` are those of n. */
struct fg_angle {
    double high, low;
    uint64_t turns;
};

/* For 0 <= x <= FG_TRIG_LIMIT. The low part is exact but for the last rounding: the first difference is exact, and where
 * the second is of two numbers the first of which is smaller, it is exact too. */
static FG_INLINE struct fg_angle fg_reduce_angle(double x)
{
    double shifted = fma(x, FG_TWO_OVER_PI, FG_ROUND), n = shifted - FG_ROUND;
    double first = fma(-n, FG_HALF_PI_1, x), second = n * FG_HALF_PI_2, high = first - second;
    struct fg_angle a = {high, fma(-n, FG_HALF_PI_3, first - high - second), fg_bits(shifted)};
    return a;
}

/* The sine of high + low */
static FG_INLINE double fg_sin_angle(double high, double low, double z, double z2)
{
    return high + fma(high * z, FG_POLY6(FG_SIN_TAIL, 0, z, z2), low * fma(-0.5, z, 1.0));
}

/* Its cosine: 1 - z / 2 in two parts, and what follows */
static FG_INLINE double fg_cos_angle(double high, double low, double z, double z2)
{
    double y = fma(-0.5, z, 1.0), lost = fma(-0.5, z, 1.0 - y);
    return y + fma(z2, FG_POLY6(FG_COS_TAIL, 0, z, z2), fma(-high, low, lost));
}

/* The sine of r + turns pi / 2 */
static FG_INLINE double fg_turn(double high, double low, uint64_t turns)
{
    double z = high * high, z2 = z * z;
    uint64_t odd = 0 - (turns & 1);
    uint64_t sine = fg_bits(fg_sin_angle(high, low, z, z2)), cosine = fg_bits(fg_cos_angle(high, low, z, z2));
    return fg_from_bits(((sine & ~odd) | (cosine & odd)) ^ (turns & 2) << 62);
}

static FG_INLINE int fg_sin_rare(double x)
{
    return !(fg_magnitude(x) <= FG_TRIG_LIMIT);
}

static FG_INLINE int fg_cos_rare(double x)
{
    return fg_sin_rare(x);
}

static FG_INLINE double fg_sin_quick(double x)
{
    struct fg_angle a = fg_reduce_angle(fg_magnitude(x));
    return fg_from_bits(fg_bits(fg_turn(a.high, a.low, a.turns)) ^ (fg_bits(x) & FG_SIGN_BIT));
}

static FG_INLINE double fg_cos_quick(double x)
{
    struct fg_angle a = fg_reduce_angle(fg_magnitude(x));
    return fg_turn(a.high, a.low, a.turns + 1);
}

static FG_INLINE double fg_sin(double x)
{
    return fg_sin_rare(x) ? sin(x) : fg_sin_quick(x);
}

static FG_INLINE double fg_cos(double x)
{
    return fg_cos_rare(x) ? cos(x) : fg_cos_quick(x);
}

#endif
