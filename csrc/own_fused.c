/* Our own functions for machines with fused multiply-add: own.h. */
#define FG_OWN(name) fg_fused_##name
#include "own.h"

#if FG_OWN_CALLED
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("fma"))), apply_to = function)
#else
#pragma GCC target("fma")
#endif
#include "lane_math.h"
FG_OWN_FUNCTIONS(FG_DEFINE1, FG_DEFINE2)
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
#include <math.h> /* a file is not empty */
#endif
