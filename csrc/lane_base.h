/* What the lane kernels are made of. They are plain C without branches, so that a loop over them becomes SIMD code
 * for any instruction set: no 64-bit integer is compared, multiplied, shifted right with its sign or converted to a
 * double, for SSE2 and AVX2 cannot. */
#ifndef FG_LANE_BASE_H
#define FG_LANE_BASE_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lane_tables.h"

#if defined(__GNUC__)
#define FG_INLINE inline __attribute__((always_inline))
#elif defined(_MSC_VER)
#define FG_INLINE __forceinline
#else
#define FG_INLINE inline
#endif

#define FG_SIGN_BIT (UINT64_C(1) << 63)
#define FG_ONE_BITS UINT64_C(0x3FF0000000000000)
#define FG_EXPONENT_BITS UINT64_C(0x7FF0000000000000)
#define FG_FRACTION_BITS UINT64_C(0x000FFFFFFFFFFFFF)

#define FG_BIAS 1023.0
#define FG_ROUND 6755399441055744.0 /* 2**52 + 2**51: adding it rounds to a whole number, kept in the lowest bits */

static FG_INLINE uint64_t fg_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static FG_INLINE double fg_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static FG_INLINE double fg_magnitude(double x)
{
    return fg_from_bits(fg_bits(x) & ~FG_SIGN_BIT);
}

/* x, which has no sign, with the sign of y. */
static FG_INLINE double fg_with_sign(double x, double y)
{
    return fg_from_bits(fg_bits(x) | (fg_bits(y) & FG_SIGN_BIT));
}

/* A sum or a quotient to about twice the precision of a double; |low| is at most half an ulp of high. */
struct fg_pair {
    double high, low;
};

/* a + b for |a| >= |b| or a == 0 (T. J. Dekker 1971). */
static FG_INLINE struct fg_pair fg_sum(double a, double b)
{
    struct fg_pair s = {a + b, 0.0};
    s.low = b - (s.high - a);
    return s;
}

/* x * y */
static FG_INLINE struct fg_pair fg_product(double x, double y)
{
    struct fg_pair p = {x * y, 0.0};
    p.low = fma(x, y, -p.high);
    return p;
}

/* What a quotient leaves of x / y, times y: q + fg_remainder(q, x, y) / y is that to more than a double's precision. */
static FG_INLINE double fg_remainder(double q, struct fg_pair x, struct fg_pair y)
{
    return fma(-q, y.high, x.high) + fma(-q, y.low, x.low);
}

/* Polynomials with n coefficients from c[i] on, by Horner's rule in x2 = x * x on pairs of terms: this makes two chains
 * of operations that do not wait for each other. */
#define FG_POLY1(c, i, x, x2) ((c)[i])
#define FG_POLY2(c, i, x, x2) fma((c)[(i) + 1], x, (c)[i])
#define FG_POLY3(c, i, x, x2) fma(FG_POLY1(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY4(c, i, x, x2) fma(FG_POLY2(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY5(c, i, x, x2) fma(FG_POLY3(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY6(c, i, x, x2) fma(FG_POLY4(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY7(c, i, x, x2) fma(FG_POLY5(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY8(c, i, x, x2) fma(FG_POLY6(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY9(c, i, x, x2) fma(FG_POLY7(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY10(c, i, x, x2) fma(FG_POLY8(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY11(c, i, x, x2) fma(FG_POLY9(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))
#define FG_POLY12(c, i, x, x2) fma(FG_POLY10(c, (i) + 2, x, x2), x2, FG_POLY2(c, i, x, x2))

/* The same for long polynomials in four chains (G. Estrin 1960), x4 = x2 * x2. */
#define FG_QUADS8(c, i, x, x2, x4) fma(FG_POLY4(c, (i) + 4, x, x2), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS9(c, i, x, x2, x4) fma(FG_POLY5(c, (i) + 4, x, x2), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS10(c, i, x, x2, x4) fma(FG_POLY6(c, (i) + 4, x, x2), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS11(c, i, x, x2, x4) fma(FG_POLY7(c, (i) + 4, x, x2), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS12(c, i, x, x2, x4) fma(FG_QUADS8(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS13(c, i, x, x2, x4) fma(FG_QUADS9(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS14(c, i, x, x2, x4) fma(FG_QUADS10(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS15(c, i, x, x2, x4) fma(FG_QUADS11(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS16(c, i, x, x2, x4) fma(FG_QUADS12(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS17(c, i, x, x2, x4) fma(FG_QUADS13(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS18(c, i, x, x2, x4) fma(FG_QUADS14(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS19(c, i, x, x2, x4) fma(FG_QUADS15(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS20(c, i, x, x2, x4) fma(FG_QUADS16(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS21(c, i, x, x2, x4) fma(FG_QUADS17(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS22(c, i, x, x2, x4) fma(FG_QUADS18(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS23(c, i, x, x2, x4) fma(FG_QUADS19(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))
#define FG_QUADS24(c, i, x, x2, x4) fma(FG_QUADS20(c, (i) + 4, x, x2, x4), x4, FG_POLY4(c, i, x, x2))

#endif
