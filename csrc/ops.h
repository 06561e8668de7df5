/* Opcodes: one for each row of ops.def, behind the few that are not operations but ways for a node to exist. */
#ifndef FG_OPS_H
#define FG_OPS_H

enum fg_op {
    FG_LEAF,      /* a value that was put in                                                          */
    FG_CONST,     /* a number that met a Value in an operation; gets no adjoint                       */
    FG_CONST_INT, /* the same, written as an int: an exponent's label is **2 or **2.0 accordingly     */
    FG_CUSTOM,    /* made by hand from operands, without a rule: passes nothing on                     */
    FG_GIVEN,     /* made by hand from operands and the local gradient for each                       */
    FG_TAKE,      /* of its operands behind the first, the index, the one that the index says         */
    FG_STALE,     /* of a recording that is over: its value is that of one row of many                */
#define OP1(kind, name, ...) FG_OP_##name,
#define OP2(kind, name, ...) FG_OP_##name,
#define OP3(kind, name, ...) FG_OP_##name,
#define REDUCE1(name, ...) FG_OP_##name,
#define REDUCE2(name, ...) FG_OP_##name,
#include "ops.def"
    FG_OP_COUNT
};

/* This bit of a node's opcode byte says that its rule is a closure of the user's. */
#define FG_CLOSURE 0x80

_Static_assert(FG_OP_COUNT <= FG_CLOSURE, "an opcode and its closure bit share one byte");

#endif
