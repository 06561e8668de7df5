/* The algebra that rewriting knows, as data: a pattern and what takes its place, both in prefix order, as one would write
 * calls without their brackets. An operation that is symmetric is tried both ways round.
 *
 * Letters of a pattern stand for any operand, the same letter for the same node:
 *     X Y W  any;  B  one that is 1 or 0;  K L  a constant;  T  a constant that is true (not 0);
 *     P  a constant whose reciprocal is exact (a power of two)
 * Operations on constants in a result are done at once. */
#ifndef FG_IDENTITIES_H
#define FG_IDENTITIES_H

#include <stdint.h>

#include "ops.h"

enum fg_letter {
    FG_X = 0x80, FG_Y, FG_W, FG_B, FG_K, FG_L, FG_T, FG_P,
    FG_LETTERS_END,
    FG_0 = FG_LETTERS_END, FG_MINUS_0, FG_1, FG_MINUS_1, FG_2, FG_HALF,
    FG_LITERALS_END
};

/* The numbers that FG_0 ... stand for; a pattern means these bits and no others. */
static const double fg_literal[FG_LITERALS_END - FG_LETTERS_END] = {0.0, -0.0, 1.0, -1.0, 2.0, 0.5};

enum { FG_TOKENS = 6 };

typedef struct fg_identity {
    uint8_t pattern[FG_TOKENS], result[FG_TOKENS];
} fg_identity;

#define R(name) FG_OP_##name
#define X FG_X
#define Y FG_Y
#define W FG_W
#define B FG_B
#define K FG_K
#define L FG_L
#define T FG_T
#define P FG_P

/* These hold to the last bit for every double: signed zeros, subnormals, infinities, nan. */
static const fg_identity fg_safe_identities[] = {
    {{R(neg), R(neg), X}, {X}},                                  /* -(-x) = x                   */
    {{R(neg), R(mul), X, K}, {R(mul), X, R(neg), K}},            /* -(x k) = x (-k)             */
    {{R(add), X, FG_MINUS_0}, {X}},                              /* x + -0 = x, but 0 + 0 = 0   */
    {{R(add), X, R(neg), Y}, {R(sub), X, Y}},                    /* x + -y = x - y              */
    {{R(sub), X, FG_0}, {X}},                                    /* x - 0 = x                   */
    {{R(sub), FG_MINUS_0, X}, {R(neg), X}},                      /* -0 - x = -x, also at 0      */
    {{R(sub), X, R(neg), Y}, {R(add), X, Y}},                    /* x - -y = x + y              */
    {{R(mul), X, FG_1}, {X}},                                    /* x 1 = x                     */
    {{R(mul), X, FG_MINUS_1}, {R(neg), X}},                      /* x (-1) = -x                 */
    {{R(mul), R(neg), X, K}, {R(mul), X, R(neg), K}},            /* (-x) k = x (-k)             */
    {{R(mul), R(neg), X, R(neg), Y}, {R(mul), X, Y}},            /* (-x) (-y) = x y             */
    {{R(div), X, FG_1}, {X}},                                    /* x / 1 = x                   */
    {{R(div), X, FG_MINUS_1}, {R(neg), X}},                      /* x / -1 = -x                 */
    {{R(div), X, P}, {R(mul), X, R(div), FG_1, P}},              /* x / 2**n = x 2**-n          */
    {{R(div), R(neg), X, K}, {R(div), X, R(neg), K}},            /* (-x) / k = x / (-k)         */
    {{R(div), R(neg), X, R(neg), Y}, {R(div), X, Y}},            /* (-x) / (-y) = x / y         */
    {{R(pow), X, FG_1}, {X}},                                    /* x ** 1 = x                  */
    {{R(pow), X, FG_2}, {R(mul), X, X}},                         /* x ** 2 = x x                */
    {{R(abs), R(neg), X}, {R(abs), X}},                          /* |-x| = |x|                  */
    {{R(abs), R(abs), X}, {R(abs), X}},                          /* ||x|| = |x|                 */
    {{R(fmin), X, X}, {X}},                                      /* the smaller of x and x is x */
    {{R(fmax), X, X}, {X}},                                      /*                             */
    {{R(minimum), X, X}, {X}},                                   /*                             */
    {{R(maximum), X, X}, {X}},                                   /*                             */
    {{R(where), T, X, Y}, {X}},                                  /* a choice that is made       */
    {{R(where), FG_0, X, Y}, {Y}},                               /*                             */
    {{R(where), FG_MINUS_0, X, Y}, {Y}},                         /*                             */
    {{R(where), X, Y, Y}, {Y}},                                  /* a choice that is none       */
    {{R(where), B, FG_1, FG_0}, {B}},                            /* a condition as a number     */
    {{R(where), X, FG_1, FG_0}, {R(not_equal), X, FG_0}},        /*                             */
    {{R(where), X, FG_0, FG_1}, {R(logical_not), X}},            /*                             */
    {{R(where), R(logical_not), X, Y, W}, {R(where), X, W, Y}},  /* not c: the other one        */
    {{R(where), R(equal), X, FG_0, Y, W}, {R(where), X, W, Y}},  /*                             */
    {{R(where), R(not_equal), X, FG_0, Y, W}, {R(where), X, Y, W}}, /* c != 0 is what where asks */
    {{R(zmul), T, X}, {R(mul), T, X}},                           /* zmul asks whether T is 0    */
    {{R(zmul), FG_0, X}, {FG_0}},                                /*                             */
    {{R(zmul), FG_MINUS_0, X}, {FG_0}},                          /*                             */
    {{R(not_equal), B, FG_0}, {B}},                              /* b is true: b                */
    {{R(equal), B, FG_0}, {R(logical_not), B}},                  /* b is false: not b           */
    {{R(logical_not), R(logical_not), B}, {B}},                  /* not not b = b               */
    {{R(logical_and), X, FG_0}, {FG_0}},                         /* x and false = false         */
    {{R(logical_and), B, T}, {B}},                               /* b and true = b              */
    {{R(logical_and), B, B}, {B}},                               /* b and b = b                 */
    {{R(logical_or), X, T}, {FG_1}},                             /* x or true = true            */
    {{R(logical_or), B, FG_0}, {B}},                             /* b or false = b              */
    {{R(logical_or), B, B}, {B}},                                /* b or b = b                  */
    {{R(stop_gradient), X}, {X}},                                /* all derivatives are taken   */
};

/* These change roundings, or the sign of a zero, or what becomes of infinities and nan: for fastmath alone. */
static const fg_identity fg_fast_identities[] = {
    {{R(add), X, FG_0}, {X}},                                    /* x + 0 = x                   */
    {{R(add), R(add), X, K, L}, {R(add), X, R(add), K, L}},      /* (x + k) + l = x + (k + l)   */
    {{R(add), R(sub), X, Y, Y}, {X}},                            /* (x - y) + y = x             */
    {{R(sub), FG_0, X}, {R(neg), X}},                            /* 0 - x = -x                  */
    {{R(sub), X, X}, {FG_0}},                                    /* x - x = 0                   */
    {{R(sub), R(add), X, Y, Y}, {X}},                            /* (x + y) - y = x             */
    {{R(sub), R(add), X, Y, X}, {Y}},                            /* (x + y) - x = y             */
    {{R(neg), R(sub), X, Y}, {R(sub), Y, X}},                    /* -(x - y) = y - x            */
    {{R(mul), X, FG_0}, {FG_0}},                                 /* x 0 = 0                     */
    {{R(mul), R(mul), X, K, L}, {R(mul), X, R(mul), K, L}},      /* (x k) l = x (k l)           */
    {{R(mul), R(sqrt), X, R(sqrt), X}, {X}},                     /* sqrt(x) sqrt(x) = x         */
    {{R(div), X, K}, {R(mul), X, R(div), FG_1, K}},              /* x / k = x (1 / k)           */
    {{R(div), X, X}, {FG_1}},                                    /* x / x = 1                   */
    {{R(div), R(mul), X, Y, Y}, {X}},                            /* x y / y = x                 */
    {{R(pow), X, FG_MINUS_1}, {R(div), FG_1, X}},                /* x ** -1 = 1 / x             */
    {{R(pow), X, FG_HALF}, {R(sqrt), X}},                        /* x ** (1 / 2) = sqrt(x)      */
    {{R(log), R(exp), X}, {X}},                                  /* log(exp(x)) = x             */
    {{R(exp), R(log), X}, {X}},                                  /* exp(log(x)) = x             */
};

enum {
    FG_SAFE_IDENTITIES = sizeof fg_safe_identities / sizeof *fg_safe_identities,
    FG_FAST_IDENTITIES = sizeof fg_fast_identities / sizeof *fg_fast_identities
};

#undef R
#undef X
#undef Y
#undef W
#undef B
#undef K
#undef L
#undef T
#undef P

#endif
