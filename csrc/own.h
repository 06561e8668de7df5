/* Our own functions for code that is compiled for all machines of an architecture, also for those that do not multiply
 * and add in one instruction. There the compiler makes a call of each fma(). So these functions are not inlined there
 * but called as a whole: fg_fused_NAME, from own_fused.c, has the instruction, and fg_plain_NAME, from own_plain.c, gives
 * the same bits on the machines that lack it. */
#ifndef FG_OWN_H
#define FG_OWN_H

#if defined(__GNUC__) && defined(__x86_64__) && !defined(__FMA__) && !FG_HAS_FMA
#define FG_OWN_CALLED 1

#define FG_OWN_FUNCTIONS(ONE, TWO) \
    ONE(cos) ONE(erf) ONE(erfc) ONE(exp) ONE(expm1) ONE(log) ONE(log1p) ONE(ndtr) ONE(sin) ONE(tanh) TWO(pow)

#define FG_HAS_INSTRUCTION __builtin_cpu_supports("fma")
#define FG_DECLARE1(name) double fg_fused_##name(double x); double fg_plain_##name(double x);
#define FG_DECLARE2(name) double fg_fused_##name(double x, double y); double fg_plain_##name(double x, double y);
FG_OWN_FUNCTIONS(FG_DECLARE1, FG_DECLARE2)

#ifdef FG_OWN /* one of the files that define them */
#define FG_DEFINE1(name) double FG_OWN(name)(double x) { return fg_##name(x); }
#define FG_DEFINE2(name) double FG_OWN(name)(double x, double y) { return fg_##name(x, y); }
#else
#define FG_DEFINE1(name) \
    static inline double fg_##name(double x) { return FG_HAS_INSTRUCTION ? fg_fused_##name(x) : fg_plain_##name(x); }
#define FG_DEFINE2(name) \
    static inline double fg_##name(double x, double y) \
    { return FG_HAS_INSTRUCTION ? fg_fused_##name(x, y) : fg_plain_##name(x, y); }
FG_OWN_FUNCTIONS(FG_DEFINE1, FG_DEFINE2)
#define FG_RARE_FUNCTIONS(X) /* lane_math.h: what is called has no quick path of its own */
#endif
#endif

#endif
