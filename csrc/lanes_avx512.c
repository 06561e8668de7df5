/* The lane stream for AVX-512. */
#if defined(__x86_64__) && defined(__GNUC__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")
#endif
#define FG_LANES fg_lanes_avx512
#define FG_LANES_NAME "avx512"
#define FG_VECTOR 8
#define FG_HAS_FMA 1
#include "lanes.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include "block.h" /* a file is not empty */
#endif
