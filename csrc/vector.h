/* The vectors of one instruction set, for what a plain loop does not say: running sums that stay in registers,
 * transposition, stores past the cache. The file that includes this has set
 *
 *     FG_VECTOR   doubles in a vector; 1 where there is no more than plain C
 *     FG_HAS_FMA  1 if the instruction set has it
 */
#ifndef FG_VECTOR_H
#define FG_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "lane_base.h"

#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#include <immintrin.h>
#endif

#if defined(__clang__)
#define FG_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define FG_INDEPENDENT _Pragma("GCC ivdep")
#elif defined(_MSC_VER)
#define FG_INDEPENDENT __pragma(loop(ivdep))
#else
#define FG_INDEPENDENT
#endif

#if defined(__GNUC__)
#define FG_NOINLINE __attribute__((noinline))
#define FG_ALIGNED(p) (p) /* lanes of the uniform stream begin anywhere: see GROUP in linked.h */
#define FG_ASSUME(condition) do { if (!(condition)) __builtin_unreachable(); } while (0)
#elif defined(_MSC_VER)
#define FG_NOINLINE __declspec(noinline)
#define FG_ALIGNED(p) (p)
#define FG_ASSUME(condition) __assume(condition)
#else
#define FG_NOINLINE
#define FG_ALIGNED(p) (p)
#define FG_ASSUME(condition) ((void)0)
#endif

/* x * y + w: rounded once where the instruction set can. */
#if FG_HAS_FMA
#define FG_FMA(x, y, w) fma(x, y, w)
#else
#define FG_FMA(x, y, w) ((x) * (y) + (w))
#endif

#if FG_VECTOR > 1
typedef double fg_vector __attribute__((vector_size(FG_VECTOR * 8)));
#else
typedef double fg_vector;
#endif

static inline fg_vector fg_load(const double *p)
{
    fg_vector v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void fg_store(double *p, fg_vector v)
{
    memcpy(p, &v, sizeof v);
}

static inline fg_vector fg_splat(double x)
{
#if FG_VECTOR > 1
    return x - (fg_vector){0.0};
#else
    return x;
#endif
}

/* x * y + w as FG_FMA. */
static inline fg_vector fg_vector_fma(fg_vector x, fg_vector y, fg_vector w)
{
#if FG_HAS_FMA && FG_VECTOR == 8
    return (fg_vector)_mm512_fmadd_pd((__m512d)x, (__m512d)y, (__m512d)w);
#elif FG_HAS_FMA && FG_VECTOR == 4
    return (fg_vector)_mm256_fmadd_pd((__m256d)x, (__m256d)y, (__m256d)w);
#elif FG_HAS_FMA && defined(__aarch64__)
    return (fg_vector)vfmaq_f64((float64x2_t)w, (float64x2_t)x, (float64x2_t)y);
#else
    return x * y + w;
#endif
}

/* The row zmul, for chains: 0 where x is 0, whatever y. */
static inline fg_vector fg_vector_zmul(fg_vector x, fg_vector y)
{
#if FG_VECTOR == 8
    return (fg_vector)_mm512_maskz_mul_pd(_mm512_cmp_pd_mask((__m512d)x, _mm512_setzero_pd(), _CMP_NEQ_UQ), (__m512d)x, (__m512d)y);
#elif FG_VECTOR > 1
    typedef long long bits __attribute__((vector_size(FG_VECTOR * 8)));
    return (fg_vector)((bits)(x * y) & (bits)(x != fg_splat(0.0)));
#else
    return x == 0.0 ? 0.0 : x * y;
#endif
}

/* Stores a vector past the cache, where the instruction set can; p is aligned to a vector. fg_stream_end: before another
 * thread may read it. */
static inline void fg_stream(double *p, fg_vector v)
{
#if defined(__SSE2__) && FG_VECTOR == 8
    _mm512_stream_pd(p, (__m512d)v);
#elif defined(__SSE2__) && FG_VECTOR == 4
    _mm256_stream_pd(p, (__m256d)v);
#elif defined(__SSE2__) && FG_VECTOR == 2
    _mm_stream_pd(p, (__m128d)v);
#else
    fg_store(p, v);
#endif
}

static inline void fg_stream_end(void)
{
#if defined(__SSE2__) && FG_VECTOR > 1
    _mm_sfence();
#endif
}

#endif
