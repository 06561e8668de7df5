/* The partials of a row as nodes, made from the rules of ops.def. */
#ifndef FG_PARTIAL_H
#define FG_PARTIAL_H

#include "build.h"
#include "partials.h"

/* What a rule may speak of, as nodes; z is the result, n how many terms a reduction has. */
typedef struct fg_terms {
    uint32_t x, y, w, z, n;
} fg_terms;

typedef struct fg_symbolic {
    uint32_t node;
    /* It is inf or nan at some finite operands: near a pole, outside the domain, or where exponentials overflow. Then an
     * adjoint of 0 must not be multiplied by it. */
    int singular;
    /* It is 0 because a choice was made elsewhere: then what lies behind the operand may be inf or nan, and hidden. */
    int selects;
} fg_symbolic;

/* What is known about the partial to operand k of an operation, at the numbers that its constant operands had. */
typedef struct fg_known {
    double constant[3];
    uint8_t is_known, is_constant, singular;
} fg_known;

typedef struct fg_partials {
    fg_builder *b;
    fg_known known[FG_OP_COUNT][3];
    uint32_t constant[FG_RULE_CONSTANTS]; /* 1 + the node of each constant of the rules, once it has one */
} fg_partials;

/* Whether the partial to operand k is more than literally 0.0. For a reduction k is 0 for the x, and 1 for the y. */
int fg_has_partial(int op, uint32_t k);

fg_symbolic fg_partial_emit(fg_partials *partials, int op, uint32_t k, fg_terms terms);

#endif
