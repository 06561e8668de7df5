/* What the files of the program share. */
#ifndef FG_PROGRAM_PRIVATE_H
#define FG_PROGRAM_PRIVATE_H

#include "program.h"

/* How many operands a node of each opcode has; or that they lie in the pool, for a REDUCE2 in pairs. */
enum { FG_NARY = 4, FG_PAIRS, FG_NOT_IN_PROGRAMS };

static const uint8_t fg_operands[FG_OP_COUNT] = {
    [FG_CONST_INT] = FG_NOT_IN_PROGRAMS,
    [FG_CUSTOM] = FG_NOT_IN_PROGRAMS,
    [FG_GIVEN] = FG_NOT_IN_PROGRAMS,
    [FG_STALE] = FG_NOT_IN_PROGRAMS,
    [FG_TAKE] = FG_NARY,
#define OP1(kind, name, ...) [FG_OP_##name] = 1,
#define OP2(kind, name, ...) [FG_OP_##name] = 2,
#define OP3(kind, name, ...) [FG_OP_##name] = 3,
#define REDUCE1(name, ...) [FG_OP_##name] = FG_NARY,
#define REDUCE2(name, ...) [FG_OP_##name] = FG_PAIRS,
#include "ops.def"
};

/* What an operation does: not what an input or a constant does. */
static inline int is_operation(int op)
{
    return fg_operands[op] != 0;
}

static inline int is_nary(int op)
{
    return fg_operands[op] >= FG_NARY;
}

static inline int is_constant(const fg_program *p, uint32_t node)
{
    return p->node[node].op == FG_CONST;
}

static inline double constant_of(const fg_program *p, uint32_t node)
{
    return p->constant[p->node[node].a];
}

/* Room for so many more nodes, and for so many more pool entries. */
int fg_program_grow(fg_program *p, uint32_t nodes, uint32_t entries);

#endif
