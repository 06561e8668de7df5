/* The program: a recorded function as data, its derivatives as more nodes of it, and the rewriting of both.
 *
 * A program is a list of nodes in topological order: the operands of a node lie before it. It only ever runs forward;
 * a derivative is emitted as nodes behind those it derives, from the symbolic form of the partials in ops.def.
 *
 *  1. Opcodes are those of ops.h. FG_LEAF: an input, its number in a; at most one node for each. FG_CONST: a number, its
 *     place in `constant` in a. A row with one to three operands: a, b, c. A reduction, and FG_TAKE: b operands, in
 *     `pool` from a on, which are this node's alone; those of a REDUCE2 are all x and then all y, those of FG_TAKE the
 *     index and then the entries. FG_CONST_INT, FG_CUSTOM and FG_GIVEN stand in no program.
 *  2. A program is not changed once it is made: each function here makes a new one.
 *  3. Functions return a status of tape.h, or FG_BAD_PROGRAM; whatever they return, nothing leaks.
 *  4. Nothing here depends on what an operation does, but for what ops.def says and the rewrites in identities.h.
 */
#ifndef FG_PROGRAM_H
#define FG_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "ops.h"

enum { FG_BAD_PROGRAM = 16, FG_STOPPED }; /* statuses beyond those of tape.h */

typedef struct fg_node {
    uint16_t op;
    uint16_t flags;
    uint32_t a, b, c;
    uint32_t line; /* which source line it was recorded at, in the recorder's list; 0: none */
} fg_node;

typedef struct fg_program {
    fg_node *node;
    uint32_t size, capacity;
    uint32_t *pool;
    uint32_t pool_size, pool_capacity;
    double *constant;
    uint32_t constants, constant_capacity;
    uint32_t inputs;
    uint32_t *output; /* nodes */
    uint32_t outputs, output_capacity;
} fg_program;

/* The passes, as bits of a mask, in the order in which they run; the names are in fg_pass_name. */
enum fg_pass {
    FG_FOLD = 1,        /* operations on constants alone become constants           */
    FG_IDENTITIES = 2,  /* safe algebra: identities.h                               */
    FG_CSE = 4,         /* equal operations on equal operands become one            */
    FG_DEAD = 8,        /* what no output needs goes                                */
    FG_HOIST = 16,      /* what depends on no batched input is computed once a call */
    FG_SCHEDULE = 32,   /* order for short lifetimes; else the order of the nodes   */
    FG_FUSE = 64,       /* superinstructions                                        */
    FG_ALL_PASSES = 127
};

#define FG_NO_NODE UINT32_MAX

/* A program of zeros is an empty one, and what fg_program_free leaves. */
void fg_program_free(fg_program *p);

/* Whether a program is one: opcodes, counts and places in range, operands before their users. It never crashes. Returns
 * FG_OK or FG_BAD_PROGRAM; fg_program_fault says what is wrong and at which node (FG_NO_NODE: at none), or NULL. */
int fg_program_verify(const fg_program *p);
const char *fg_program_fault(const fg_program *p, uint32_t *node);

/* Copies a program into an empty one, with room for so many more nodes. */
int fg_program_copy(const fg_program *p, uint32_t more, fg_program *result);

/* Append to a program; operands must exist. *node becomes the number of the new node. An n-ary node's operands are copied
 * into the pool, and may lie in it already. */
int fg_program_append(fg_program *p, fg_node node, uint32_t *number);
int fg_program_append_nary(fg_program *p, int op, const uint32_t *operand, uint32_t count, uint32_t line, uint32_t *number);
int fg_program_append_constant(fg_program *p, double value, uint32_t line, uint32_t *number);
int fg_program_append_output(fg_program *p, uint32_t node);

/* The operands of a node: how many, and where they are (`own` serves those that do not lie in the pool). */
uint32_t fg_node_operands(const fg_program *p, const fg_node *node, const uint32_t **operand, uint32_t own[3]);

/* The result of an operation on numbers: of a row, a reduction or FG_TAKE, in the order of rule 1. */
double fg_apply(int op, const double *operand, uint32_t count);

/* Derivatives. Each copies p's nodes and appends; the outputs of the result are what is said here. `seed_inputs` more
 * inputs follow p's own, where they are asked for.
 *
 * fg_reverse: for each listed output (a position in p->output), the adjoints of the `wrt` inputs: outputs are, for each
 * listed output in turn, one for each wrt. The order in which contributions are added is that of the eager sweep, so
 * run it on a program as recorded, before any rewriting. An output that is the constant zero stands for no dependence.
 * With `seeded` the adjoints of the listed outputs are new inputs (one for each listed output) and one joint sweep gives
 * one output for each wrt: a vector-Jacobian product.
 * fg_forward: tangents. One new input for each wrt (its tangent); outputs: the tangent of each listed output.
 * With `directions` not NULL, directions x wrt constants instead of new inputs: outputs direction by direction. */
typedef struct fg_selection {
    const uint32_t *output; /* positions in p->output */
    uint32_t outputs;
    const uint32_t *wrt; /* inputs */
    uint32_t wrts;
} fg_selection;

int fg_reverse(const fg_program *p, fg_selection s, int seeded, fg_program *result);
int fg_forward(const fg_program *p, fg_selection s, const double *directions, uint32_t count, fg_program *result);

/* Rewrites a program under the FOLD, IDENTITIES, CSE and DEAD bits of `passes`; `fastmath` allows rewrites that change
 * the last bits. Inputs and outputs stay. removed[k]: how many operations pass number k (bit k) took
 * away, operations being nodes that are neither inputs nor constants; those left are those before less the sum. */
int fg_rewrite(const fg_program *p, int passes, int fastmath, fg_program *result, uint32_t removed[4]);

const char *fg_op_name(int op); /* the row's name; "input", "constant", "take" */

extern const char *const fg_pass_name[7]; /* "fold" ...; number k is that of bit k */

#endif
