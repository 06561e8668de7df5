/* The eager tape: every operation appends one node; nothing is ever sorted and nothing recurses.
 *
 * A node is a row across contiguous arrays. Its operands always lie before it, so the array order is a topological
 * order. A node lives while a handle outside the tape, or a later living node, needs it.
 *
 *  1. Between calls `reached` and `block` are all zero, and so is `adjoint`, unless a sweep is under way.
 *  2. `reached[i]` implies `block[i / FG_BLOCK]`: whoever sets the first sets the second.
 *  3. The operands of an n-ary node lie in `pool`, in the order of the nodes.
 *  4. Functions return a status; the tape stays valid and keeps every node whatever they return.
 *  5. A call that reclaims renumbers nodes: read node numbers from handles after it, never before.
 */
#ifndef FG_TAPE_H
#define FG_TAPE_H

#include <stddef.h>
#include <stdint.h>

#include "ops.h"

enum fg_status {
    FG_OK = 0,
    FG_NO_MEMORY,   /* the allocator refused                                   */
    FG_TOO_LARGE,   /* more nodes or operands than 31 bits can number          */
    FG_CALL_CLOSURE /* the sweep stands at a node whose rule the caller has to run */
};

#define FG_VOID 0                /* the first node, nan, always there: what a handle without a node points to */
#define FG_NO_ADJOINT (1u << 31) /* this bit of an operand: it is a constant, skip its adjoint */
#define FG_INDEX(operand) ((operand) & ~FG_NO_ADJOINT)
#define FG_MAX_NODES (FG_NO_ADJOINT - 1)
#define FG_BLOCK 64

/* The part of a handle that the tape writes: the number of its node, which reclaiming changes. */
typedef struct fg_handle {
    uint32_t node;
    uint32_t flags;
} fg_handle;

#define FG_WEAK 1u /* flag: this handle alone does not keep its node */

/* Operands of a node: two nodes, or for an n-ary node where in the pool they begin and how many they are. */
typedef struct fg_args {
    uint32_t a, b;
} fg_args;

typedef struct fg_tape {
    uint32_t size, capacity;
    double *value;
    double *grad;
    double *adjoint;
    fg_args *args;
    fg_handle **handle;
    uint32_t *moved;
    uint8_t *op;
    uint8_t *reached;
    uint8_t *block;
    uint32_t *pool;
    uint32_t pool_size, pool_capacity;
    uint32_t sweep_end; /* while sweeping: the nodes from here on are done */
    int sweeping;
    uint64_t reclaims;
} fg_tape;

int fg_tape_init(fg_tape *t, uint32_t capacity);
void fg_tape_free(fg_tape *t);

/* Bytes of all arrays. */
size_t fg_tape_bytes(const fg_tape *t);

/* Room for so many more nodes and pool entries; grows the arrays, never reclaims. */
int fg_tape_grow(fg_tape *t, uint32_t nodes, uint32_t entries);

/* Reclaiming in two steps, so that the owner of the handles can look at what is marked, root more, and mark again.
 * fg_tape_mark sets reached[i] for each node that a strong handle or a marked later node needs.
 * fg_tape_slide moves the marked nodes down, in order, renumbers operands and handles, and clears the marks. The caller
 * has pointed each weak handle whose node is not marked to FG_VOID. */
void fg_tape_mark(fg_tape *t);
void fg_tape_slide(fg_tape *t);

/* Clears the marks without moving anything, after a mark that was given up. */
void fg_tape_unmark(fg_tape *t);

/* A reverse sweep: begin seeds the root with adjoint 1; run goes on until FG_OK, or FG_CALL_CLOSURE with *node
 * set: the caller runs that node's rule, adds to the operands with fg_tape_contribute, and calls run again. The node's
 * own adjoint is *adjoint and has been added to its grad already. */
void fg_tape_sweep_begin(fg_tape *t, uint32_t root);
int fg_tape_sweep_run(fg_tape *t, uint32_t *node, double *adjoint);
void fg_tape_sweep_abandon(fg_tape *t);
void fg_tape_contribute(fg_tape *t, uint32_t node, double adjoint);

/* Sets grad to 0 on the root and on everything it depends on. */
void fg_tape_zero_grad(fg_tape *t, uint32_t root);

/* The operands of a node, with FG_NO_ADJOINT bits as they are: how many, and each. */
uint32_t fg_tape_operand_count(const fg_tape *t, uint32_t node);
uint32_t fg_tape_operand(const fg_tape *t, uint32_t node, uint32_t k);

/* The local gradient of a node with respect to its operand k, at the present values. */
double fg_tape_partial(const fg_tape *t, uint32_t node, uint32_t k);

/* The result of a reduction over pool entries; see reduce.h for the order of its sum. */
double fg_tape_reduce(const fg_tape *t, int op, const uint32_t *operands, uint32_t count);

/* Whether nodes of this opcode keep their operands in the pool. */
int fg_is_nary(int op);

/* Adds grad times local gradient to the grads of one node's operands: one step of a sweep, by hand. */
void fg_tape_push_grad(fg_tape *t, uint32_t node);

/* Appends a FG_GIVEN node, or with local == NULL a FG_CUSTOM one, whose n operands the caller has written behind the
 * pool's end; room must have been made, for 3 * n entries where there are local gradients. */
uint32_t fg_tape_append_custom(fg_tape *t, uint32_t n, const double *local, double value);

/* Gives memory back: halves the capacity. What lives must fit; a refusal of the allocator changes nothing. */
void fg_tape_shrink(fg_tape *t);

/* Appends a node; room must have been made. */
static inline uint32_t fg_append(fg_tape *t, int op, uint32_t a, uint32_t b, double value, fg_handle *handle)
{
    uint32_t i = t->size++;
    t->value[i] = value;
    t->grad[i] = 0.0;
    t->args[i].a = a;
    t->args[i].b = b;
    t->op[i] = (uint8_t)op;
    t->handle[i] = handle;
    return i;
}

#endif
