/* What the lane kernels are made of. They are plain C without branches, so that a loop over them becomes SIMD code
 * for any instruction set: no 64-bit integer is compared, multiplied, shifted right with its sign or converted to a
 * double, for SSE2 and AVX2 cannot. */
#ifndef FG_LANE_BASE_H
#define FG_LANE_BASE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lane_tables.h"

#define FG_SIGN_BIT (UINT64_C(1) << 63)
#define FG_ONE_BITS UINT64_C(0x3FF0000000000000)
#define FG_EXPONENT_BITS UINT64_C(0x7FF0000000000000)
#define FG_FRACTION_BITS UINT64_C(0x000FFFFFFFFFFFFF)
#define FG_TRAILING_BITS UINT64_C(0x0000000007FFFFFF)

#define FG_BIAS 1023.0
#define FG_ROUND 6755399441055744.0 /* 2**52 + 2**51: adding it rounds to a whole number, kept in the lowest bits */

static inline uint64_t fg_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double fg_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The leading 26 bits: the product of two such is exact. */
static inline double fg_leading(double x)
{
    return fg_from_bits(fg_bits(x) & ~FG_TRAILING_BITS);
}

static inline double fg_magnitude(double x)
{
    return fg_from_bits(fg_bits(x) & ~FG_SIGN_BIT);
}

/* x, which has no sign, with the sign of y. */
static inline double fg_with_sign(double x, double y)
{
    return fg_from_bits(fg_bits(x) | (fg_bits(y) & FG_SIGN_BIT));
}

/* A sum or a quotient to about twice the precision of a double; |low| is at most half an ulp of high. */
struct fg_pair {
    double high, low;
};

/* a + b for |a| >= |b| or a == 0 (T. J. Dekker 1971). */
static inline struct fg_pair fg_sum(double a, double b)
{
    struct fg_pair s = {a + b, 0.0};
    s.low = b - (s.high - a);
    return s;
}

/* The same sum with no more than 26 bits in its first part. */
static inline struct fg_pair fg_halves(struct fg_pair s)
{
    struct fg_pair h = {fg_leading(s.high), 0.0};
    h.low = s.high - h.high + s.low;
    return h;
}

/* The quotient of two sums, rounded once but for about 2**-75 of it, y.high being one of 27 bits at most: the leading
 * bits of the quotient, plus what they leave of x, exact but for its small parts, over y. `inverse` is 1 / y rounded. */
static inline struct fg_pair fg_quotient(struct fg_pair x, struct fg_pair y, double inverse)
{
    struct fg_pair q = {fg_leading(x.high * inverse), 0.0};
    q.low = (x.high - q.high * y.high - q.high * y.low + x.low) * inverse;
    return q;
}

/* Polynomials with n coefficients from c[i] on, by Horner's rule in x2 = x * x on pairs of terms: this makes two chains
 * of operations that do not wait for each other. */
#define FG_POLY1(c, i, x, x2) ((c)[i])
#define FG_POLY2(c, i, x, x2) ((c)[i] + (c)[(i) + 1] * (x))
#define FG_POLY3(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY1(c, (i) + 2, x, x2) * (x2))
#define FG_POLY4(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY2(c, (i) + 2, x, x2) * (x2))
#define FG_POLY5(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY3(c, (i) + 2, x, x2) * (x2))
#define FG_POLY6(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY4(c, (i) + 2, x, x2) * (x2))
#define FG_POLY7(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY5(c, (i) + 2, x, x2) * (x2))
#define FG_POLY8(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY6(c, (i) + 2, x, x2) * (x2))
#define FG_POLY9(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY7(c, (i) + 2, x, x2) * (x2))
#define FG_POLY10(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY8(c, (i) + 2, x, x2) * (x2))
#define FG_POLY11(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY9(c, (i) + 2, x, x2) * (x2))
#define FG_POLY12(c, i, x, x2) (FG_POLY2(c, i, x, x2) + FG_POLY10(c, (i) + 2, x, x2) * (x2))


/* The same for long polynomials in four chains (G. Estrin 1960), x4 = x2 * x2. */
#define FG_QUADS9(c, i, x, x2, x4) (FG_POLY4(c, i, x, x2) + FG_POLY5(c, (i) + 4, x, x2) * (x4))
#define FG_QUADS11(c, i, x, x2, x4) (FG_POLY4(c, i, x, x2) + FG_POLY7(c, (i) + 4, x, x2) * (x4))
#define FG_QUADS12(c, i, x, x2, x4) (FG_POLY4(c, i, x, x2) + FG_POLY8(c, (i) + 4, x, x2) * (x4))
#define FG_QUADS13(c, i, x, x2, x4) (FG_POLY4(c, i, x, x2) + FG_QUADS9(c, (i) + 4, x, x2, x4) * (x4))
#define FG_QUADS16(c, i, x, x2, x4) (FG_POLY4(c, i, x, x2) + FG_QUADS12(c, (i) + 4, x, x2, x4) * (x4))
#define FG_QUADS20(c, i, x, x2, x4) (FG_POLY4(c, i, x, x2) + FG_QUADS16(c, (i) + 4, x, x2, x4) * (x4))
#define FG_QUADS24(c, i, x, x2, x4) (FG_POLY4(c, i, x, x2) + FG_QUADS20(c, (i) + 4, x, x2, x4) * (x4))

#endif
