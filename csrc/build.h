/* Emits nodes into a program, each in its simplest form: constants folded, identities applied, equal nodes shared.
 *
 * A failure is kept in `status`, and every later call does nothing and returns node 0, so that only the end of a long
 * emission has to look. */
#ifndef FG_BUILD_H
#define FG_BUILD_H

#include "program.h"

typedef struct fg_builder {
    fg_program *p;
    int passes; /* of FG_FOLD, FG_IDENTITIES, FG_CSE */
    int status;
    uint32_t line;    /* that nodes get */
    int taken_by;     /* the pass that spared the operation last asked for; 0: it was made */
    uint32_t *table;  /* nodes by their hash; room for mask + 1 */
    uint32_t mask, used;
    int computing;    /* inside the result of an identity, where constants are folded in any case */
    uint8_t first_rule[FG_OP_COUNT]; /* 1 + the identity to try first on an operation; and then on from each */
    uint8_t next_rule[128];
    uint64_t hint[FG_OP_COUNT][2]; /* for each operation: opcodes, as bits, one of which some operand must have for any of
                                      its identities to fit */
} fg_builder;

/* Emits into p behind what is there, which is left as it is, but for constants that are used again. */
int fg_builder_begin(fg_builder *b, fg_program *p, int passes, int fastmath);
void fg_builder_end(fg_builder *b);

uint32_t fg_emit_constant(fg_builder *b, double value);
uint32_t fg_emit_input(fg_builder *b, uint32_t input);

/* A row of up to three operands (those it lacks are ignored), and what has its operands in the pool. */
uint32_t fg_emit(fg_builder *b, int op, uint32_t x, uint32_t y, uint32_t w);
uint32_t fg_emit_nary(fg_builder *b, int op, const uint32_t *operand, uint32_t count);

#endif
