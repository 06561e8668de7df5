/* Sine and cosine: x = n pi / 2 + r with |r| <= pi / 4, in two parts, so that also where r is small its relative error is
 * (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980). */
#ifndef FG_LANE_TRIG_H
#define FG_LANE_TRIG_H

#include "lane_base.h"

#define FG_TRIG_LIMIT 1e5 /* up to it n has 16 bits, and its products with FG_HALF_PI_1 and _2 are exact */
#define FG_TWO_OVER_PI 0.6366197723675814
#define FG_HALF_PI_1 1.5707963267923333     /* 37 bits */
#define FG_HALF_PI_2 2.5633441515839558e-12 /* 36 bits */
#define FG_HALF_PI_3 1.0562999066987428e-23

/* high + low is r; the last bits of `turns` are those of n. */
struct fg_angle {
    double high, low;
    uint64_t turns;
};

/* For 0 <= x <= FG_TRIG_LIMIT. The low part is exact but for the rounding of the third product: the first difference is
 * exact, and where the second is of two numbers the first of which is smaller, it is exact too. */
static inline struct fg_angle fg_reduce_angle(double x)
{
    double shifted = x * FG_TWO_OVER_PI + FG_ROUND, n = shifted - FG_ROUND;
    double first = x - n * FG_HALF_PI_1, second = n * FG_HALF_PI_2, high = first - second;
    struct fg_angle a = {high, (first - high - second) - n * FG_HALF_PI_3, fg_bits(shifted)};
    return a;
}

/* The sine of high + low */
static inline double fg_sin_angle(double high, double low, double z, double z2)
{
    return high + (high * z * FG_POLY6(FG_SIN_TAIL, 0, z, z2) + low * (1.0 - 0.5 * z));
}

/* Its cosine: 1 - z / 2 in two parts, and what follows */
static inline double fg_cos_angle(double high, double low, double z, double z2)
{
    struct fg_pair s = fg_sum(1.0, -0.5 * z);
    return s.high + (s.low + (z2 * FG_POLY6(FG_COS_TAIL, 0, z, z2) - high * low));
}

/* The sine of r + turns pi / 2 */
static inline double fg_turn(double high, double low, uint64_t turns)
{
    double z = high * high, z2 = z * z;
    uint64_t odd = 0 - (turns & 1);
    uint64_t sine = fg_bits(fg_sin_angle(high, low, z, z2)), cosine = fg_bits(fg_cos_angle(high, low, z, z2));
    return fg_from_bits(((sine & ~odd) | (cosine & odd)) ^ (turns & 2) << 62);
}

static inline int fg_sin_rare(double x)
{
    return !(fg_magnitude(x) <= FG_TRIG_LIMIT);
}

static inline int fg_cos_rare(double x)
{
    return fg_sin_rare(x);
}

static inline double fg_sin_quick(double x)
{
    struct fg_angle a = fg_reduce_angle(fg_magnitude(x));
    return fg_from_bits(fg_bits(fg_turn(a.high, a.low, a.turns)) ^ (fg_bits(x) & FG_SIGN_BIT));
}

static inline double fg_cos_quick(double x)
{
    struct fg_angle a = fg_reduce_angle(fg_magnitude(x));
    return fg_turn(a.high, a.low, a.turns + 1);
}

static inline double fg_sin(double x)
{
    return fg_sin_rare(x) ? sin(x) : fg_sin_quick(x);
}

static inline double fg_cos(double x)
{
    return fg_cos_rare(x) ? cos(x) : fg_cos_quick(x);
}

#endif
