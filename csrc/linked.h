/* Linked code: the streams of code.h in the form in which they run.
 *
 * A stream is a sequence of 32-bit words. An instruction is the number of its kernel, which stands for opcode and form,
 * and then its operands. An operand is a place in one array of doubles, `base`: the uniforms come first, then, from
 * `first_slot` on, the slots. A place of the lane stream that is below `first_slot` is one double, any other one the
 * first of many lanes. The words of each kind of kernel:
 *
 *     rows of one to three operands, fused    kernel  z  x  y  w
 *     reductions, TAKE, of n operands         kernel  z  n  x...
 *     CHAIN                                   kernel  z  terms  (code of the term, x, y)...
 *     SPLAT                                   kernel  z  x
 *     LOAD, STORE, of consecutive columns     kernel  first column  columns  slot...
 *     SUM, SUM_MUL, SUM_ZMUL                  kernel  number of the sum  x  y
 *     SUMS_MUL, SUMS_ZMUL, of n with one x    kernel  x  n  (number of the sum, y)...
 *     GUARD                                   kernel  x  expected
 *     END                                     kernel
 *     GROUP, of n instructions                kernel  words  n  gathers  (to  x...)...  instruction  END
 *
 * GROUP is for the uniform stream alone: n instructions that are alike and need no result of each other are the lanes of one.
 * An operand that they do not find side by side, or all in the same place, is gathered first. Results are side by side;
 * behind them, up to a multiple of eight, lie places that are not yet written.
 */
#ifndef FG_LINKED_H
#define FG_LINKED_H

#include "code.h"

/* Formulas that end in an addition to a product: exactly as in the rules, rounding the product and the sum, and as
 * fastmath has them, rounding once where the instruction set can. */
#define FG_EXACT_ADD(x, y, w) ((x) * (y) + (w))
#define FG_EXACT_SUB(x, y, w) ((x) * (y) - (w))
#define FG_EXACT_RSUB(x, y, w) ((w) - (x) * (y))
#define FG_FAST_ADD(x, y, w) FG_FMA(x, y, w)
#define FG_FAST_SUB(x, y, w) FG_FMA(x, y, -(w))
#define FG_FAST_RSUB(x, y, w) FG_FMA(-(x), y, w)

/* Instructions that are not rows of ops.def but have operands and a formula as they have. */
#define FG_FUSED(_) \
    _(MUL_ADD, FG_EXACT_ADD(x, y, w)) \
    _(MUL_SUB, FG_EXACT_SUB(x, y, w)) \
    _(SUB_MUL, FG_EXACT_RSUB(x, y, w)) \
    _(MUL_ADD_FAST, FG_FAST_ADD(x, y, w)) \
    _(MUL_SUB_FAST, FG_FAST_SUB(x, y, w)) \
    _(SUB_MUL_FAST, FG_FAST_RSUB(x, y, w))

/* The terms of a chain, of ONE or TWO operands, s being what the terms before gave. MODE_ADD(x, y, w) ... as above and
 * MODE_ZMUL(x, y) are what its products are. */
#define FG_TERMS(ONE, TWO, MODE) FG_TERMS_(ONE, TWO, MODE)
#define FG_TERMS_(ONE, TWO, MODE) \
    ONE(ADD, s + x) \
    ONE(SUB, s - x) \
    TWO(MUL_ADD, MODE##_ADD(x, y, s)) \
    TWO(MUL_SUB, MODE##_RSUB(x, y, s)) \
    ONE(RSUB, x - s) \
    ONE(MUL, s * x) \
    TWO(MUL_RSUB, MODE##_SUB(x, y, s)) \
    ONE(ZMUL, MODE##_ZMUL(s, x)) \
    TWO(ZMUL_ADD, s + MODE##_ZMUL(x, y)) \
    ONE(RZMUL, MODE##_ZMUL(x, s))

/* A term's code: its kind, and its form as below. */
#define FG_TERM(kind, form) (4 * (kind) + (form))

/* The forms of a kernel: V for an operand in lanes, U for a uniform one. A form's number has bit k set where operand k is
 * uniform; they are consecutive, and the one where all are uniform does not exist. */
#define FG_FORMS1(_, name, ...) _(name, 0, V, __VA_ARGS__)
#define FG_FORMS2(_, name, ...) _(name, 0, V, V, __VA_ARGS__) _(name, 1, U, V, __VA_ARGS__) _(name, 2, V, U, __VA_ARGS__)
#define FG_FORMS3(_, name, ...) \
    _(name, 0, V, V, V, __VA_ARGS__) _(name, 1, U, V, V, __VA_ARGS__) _(name, 2, V, U, V, __VA_ARGS__) \
    _(name, 3, U, U, V, __VA_ARGS__) _(name, 4, V, V, U, __VA_ARGS__) _(name, 5, U, V, U, __VA_ARGS__) \
    _(name, 6, V, U, U, __VA_ARGS__)

/* Every kernel: ONE, TWO and THREE say how a form of so many operands is expanded, NARY how a reduction is. */
#define FG_K_NAME(name, form, ...) FG_K_##name##_##form,

enum fg_kernel {
    FG_K_END,
    FG_K_GROUP,
    FG_K_LOAD,
    FG_K_STORE,
    FG_K_SPLAT,
    FG_K_GUARD,
    FG_K_CHAIN,
    FG_K_CHAIN_FAST,
    FG_K_TAKE,
    FG_FORMS2(FG_K_NAME, SUM_MUL, )
    FG_FORMS2(FG_K_NAME, SUM_ZMUL, )
    FG_K_SUMS_MUL, FG_K_SUMS_ZMUL,
    FG_K_SUM_0, FG_K_SUM_1,
#define FG_K_FUSED(name, formula) FG_FORMS3(FG_K_NAME, name, )
    FG_FUSED(FG_K_FUSED)
#undef FG_K_FUSED
#define OP1(kind, name, ...) FG_FORMS1(FG_K_NAME, name, )
#define OP2(kind, name, ...) FG_FORMS2(FG_K_NAME, name, )
#define OP3(kind, name, ...) FG_FORMS3(FG_K_NAME, name, )
#define REDUCE1(name, ...) FG_K_##name,
#define REDUCE2(name, ...) FG_K_##name,
#include "ops.def"
    FG_K_COUNT
};

/* How many operands a term of a chain has: FG_T_ADD ... */
static inline int fg_term_operands(uint32_t kind)
{
#define FG_ONE(kind, formula) [FG_T_##kind] = 1,
#define FG_TWO(kind, formula) [FG_T_##kind] = 2,
    static const uint8_t operands[] = {FG_TERMS(FG_ONE, FG_TWO, )};
#undef FG_ONE
#undef FG_TWO
    return operands[kind];
}

#define FG_MAX_GROUP FG_MAX_LANES /* instructions in a GROUP */

typedef struct fg_linked {
    uint32_t *uniform, *lane;
    uint32_t first_slot;  /* the uniforms, rounded up to whole cache lines */
    uint32_t places;      /* of uniforms and slots together                 */
} fg_linked;

#endif
