/* What the files of the tape share. */
#ifndef FG_TAPE_PRIVATE_H
#define FG_TAPE_PRIVATE_H

#include <string.h>

#include "tape.h"

/* How many operands a node of each opcode has; NARY for those that keep them in the pool. */
enum { NARY = 3 };

static const uint8_t fg_arity[FG_CLOSURE] = {
    [FG_CUSTOM] = NARY,
    [FG_GIVEN] = NARY,
    [FG_TAKE] = NARY,
#define OP1(kind, name, ...) [FG_OP_##name] = 1,
#define OP2(kind, name, ...) [FG_OP_##name] = 2,
#define OP3(kind, name, ...) [FG_OP_##name] = NARY,
#define REDUCE1(name, ...) [FG_OP_##name] = NARY,
#define REDUCE2(name, ...) [FG_OP_##name] = NARY,
#include "ops.def"
};

static inline int opcode(const fg_tape *t, uint32_t node)
{
    return t->op[node] & ~FG_CLOSURE;
}

#define ZERO(array, from, to) memset((array) + (from), 0, ((to) - (from)) * sizeof *(array))

static inline size_t block_count(uint32_t capacity)
{
    return capacity / FG_BLOCK + 1;
}

/* The arrays as values of this function, which stores to byte arrays would otherwise make the compiler load again. */
typedef struct marks {
    uint8_t *reached, *block;
} marks;

static inline void reach(marks m, uint32_t node)
{
    m.reached[node] = 1;
    m.block[node / FG_BLOCK] = 1;
}

static inline void reach_operands(const fg_tape *t, marks m, int op, fg_args at)
{
    switch (fg_arity[op & ~FG_CLOSURE]) {
    case NARY:
        for (uint32_t k = 0; k < at.b; k++)
            reach(m, FG_INDEX(t->pool[at.a + k]));
        break;
    case 2:
        reach(m, FG_INDEX(at.b));
        /* fall through */
    case 1:
        reach(m, FG_INDEX(at.a));
    }
}

/* A FG_GIVEN node's pool entries are its operands and behind them, each in two entries, its local gradients. */
static inline double given(const fg_tape *t, uint32_t node, uint32_t k)
{
    double local;
    fg_args at = t->args[node];
    memcpy(&local, &t->pool[(size_t)at.a + at.b + 2 * (size_t)k], sizeof local);
    return local;
}

/* Which of the operands of a FG_TAKE node is its value: the first is the index. 0 where the index is none. */
static inline uint32_t taken(const double *value, const uint32_t *operand, uint32_t count)
{
    double index = value[FG_INDEX(operand[0])];
    return index >= 0.0 && index < (double)(count - 1) ? 1 + (uint32_t)index : 0;
}

static inline uint32_t pool_entries(const fg_tape *t, uint32_t node)
{
    return opcode(t, node) == FG_GIVEN ? 3 * t->args[node].b : t->args[node].b;
}

#endif
