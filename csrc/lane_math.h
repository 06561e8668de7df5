/* Our own transcendental functions: one C text for the scalar operations and, in a loop that the compiler vectorises,
 * for every instruction set, so that all give the same bits. None is further from the exact value than 1 ulp
 * (docs/accuracy.md).
 *
 * They ask for fused multiply-adds with fma(), which C defines to the last bit: where the instruction set has it, as all
 * but the oldest do, it is one instruction, elsewhere a call of the C library that is slow and gives the same.
 *
 * A loop `for (...) z[i] = fg_exp(x[i]);` becomes SIMD code at -O3 with -fno-math-errno and -fno-trapping-math (which
 * change no result) and -ffp-contract=off. These functions are long chains of dependent operations: with two vectors
 * side by side, as in `{ double a = fg_exp(x[i]), b = fg_exp(x[i + half]); z[i] = a; z[i + half] = b; }`, compiled with
 * -fschedule-insns -fsched-pressure, loops over the longest ones run faster by a tenth or two. */
#ifndef FG_LANE_MATH_H
#define FG_LANE_MATH_H

#include "lane_erf.h"
#include "lane_exp.h"
#include "lane_log.h"
#include "lane_pow.h"
#include "lane_trig.h"

/* Some functions have no branch only in their usual range. These are: fg_NAME_quick, without a branch, right wherever
 * fg_NAME_rare, a comparison without a branch, is 0; and fg_NAME, which is right everywhere. So a loop over lanes runs
 * quick on all of them, ors what rare says, and, if that is ever 1, takes the rare lanes from fg_NAME. X(name, operands) */
#define FG_RARE_FUNCTIONS(X) X(cos, 1) X(pow, 2) X(sin, 1)

#endif
