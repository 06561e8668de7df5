/* The lane stream for AVX2. */
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define FG_LANES fg_lanes_avx2
#define FG_LANES_NAME "avx2"
#define FG_VECTOR 4
#define FG_HAS_FMA 1
#include "lanes.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "block.h" /* a file is not empty */
#endif
