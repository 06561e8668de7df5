/* The rules of ops.def as inline C functions: fg_NAME_forward, fg_NAME_dx, fg_NAME_dy, fg_NAME_dw, and for the
 * reductions fg_NAME_term and fg_NAME_finish. Compile with -ffp-contract=off: a rule means the same in Python. */
#ifndef FG_KERNELS_H
#define FG_KERNELS_H

#include <iso646.h>
#include <math.h>

#include "own.h"
#if !FG_OWN_CALLED
#include "lane_math.h"
#endif
#include "special.h"

/* In loops over lanes the rules have to be inlined, however long they are. */
#ifndef FG_RULE
#define FG_RULE static inline
#endif

/* The words of the rule language that C lacks or that we have ourselves, for the rules alone. */
#define True 1
#define sel(condition, a, b) ((condition) ? (a) : (b))
#define abs(x) fabs(x)
#define mod(x, y) fg_mod(x, y)
#define floordiv(x, y) fg_floordiv(x, y)
#define erfcx(x) fg_erfcx(x)
#define digamma(x) fg_digamma(x)
#define polygamma(x, y) fg_polygamma(x, y)
#define cos(x) fg_cos(x)
#define erf(x) fg_erf(x)
#define erfc(x) fg_erfc(x)
#define exp(x) fg_exp(x)
#define expm1(x) fg_expm1(x)
#define log(x) fg_log(x)
#define log1p(x) fg_log1p(x)
#define ndtr(x) fg_ndtr(x)
#define sin(x) fg_sin(x)
#define tanh(x) fg_tanh(x)
#define pow(x, y) fg_pow(x, y)

#define FG_RULE1(suffix, x, z, text) \
    FG_RULE double fg_##suffix(double x, double z) { (void)x; (void)z; return text; }
#define FG_RULE2(suffix, x, y, z, text) \
    FG_RULE double fg_##suffix(double x, double y, double z) { (void)x; (void)y; (void)z; return text; }
#define FG_RULE3(suffix, text) \
    FG_RULE double fg_##suffix(double x, double y, double w, double z) \
    { (void)x; (void)y; (void)w; (void)z; return text; }

#define OP1(kind, name, method, label, forward, dx, domain, doc) \
    FG_RULE double fg_##name##_forward(double x) { return forward; } \
    FG_RULE int fg_##name##_domain(double x) { (void)x; return domain; } \
    FG_RULE1(name##_dx, x, z, dx)
#define OP2(kind, name, method, label, forward, dx, dy, domain, doc) \
    FG_RULE double fg_##name##_forward(double x, double y) { return forward; } \
    FG_RULE int fg_##name##_domain(double x, double y) { (void)x; (void)y; return domain; } \
    FG_RULE2(name##_dx, x, y, z, dx) \
    FG_RULE2(name##_dy, x, y, z, dy)
#define OP3(kind, name, method, label, forward, dx, dy, dw, domain, doc) \
    FG_RULE double fg_##name##_forward(double x, double y, double w) { return forward; } \
    FG_RULE int fg_##name##_domain(double x, double y, double w) { (void)x; (void)y; (void)w; return domain; } \
    FG_RULE3(name##_dx, dx) \
    FG_RULE3(name##_dy, dy) \
    FG_RULE3(name##_dw, dw)
#define REDUCE1(name, method, label, term, finish, dx, doc) \
    FG_RULE1(name##_term, x, m, term) \
    FG_RULE2(name##_finish, s, m, n, finish) \
    FG_RULE2(name##_dx, x, z, n, dx)
#define REDUCE2(name, method, label, term, finish, dx, dy, doc) \
    FG_RULE double fg_##name##_term(double x, double y) { return term; } \
    FG_RULE2(name##_finish, s, m, n, finish) \
    FG_RULE3_N(name##_dx, dx) \
    FG_RULE3_N(name##_dy, dy)
#define FG_RULE3_N(suffix, text) \
    FG_RULE double fg_##suffix(double x, double y, double z, double n) \
    { (void)x; (void)y; (void)z; (void)n; return text; }

#include "ops.def"

#undef FG_RULE1
#undef FG_RULE2
#undef FG_RULE3
#undef FG_RULE3_N
#undef True
#undef sel
#undef abs
#undef mod
#undef floordiv
#undef erfcx
#undef digamma
#undef polygamma
#undef cos
#undef erf
#undef erfc
#undef exp
#undef expm1
#undef log
#undef log1p
#undef ndtr
#undef sin
#undef tanh
#undef pow

#endif
