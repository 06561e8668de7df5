/* Derivatives of programs: adjoints and tangents, emitted as nodes. */
#include <stdlib.h>
#include <string.h>

#include "partial.h"
#include "program_private.h"
#include "tape.h"

enum { PASSES = FG_FOLD | FG_IDENTITIES | FG_CSE };

typedef struct derivation {
    const fg_program *p; /* what is derived; its nodes have the same numbers in `made` */
    fg_program made;
    fg_builder b;
    fg_partials partials;
    uint8_t *depends;  /* for each node of p, whether it depends on one of the wrt inputs */
    uint32_t *leaf;    /* for each input its node, or FG_NO_NODE */
    uint32_t *carried; /* for each node its adjoint or tangent as a node, or FG_NO_NODE: exactly zero */
    uint8_t *tainted;  /* whether an adjoint may be 0 because of a choice: see fg_symbolic.selects; and whether a tangent
                          may be inf or nan, since it came through a singular partial */
    uint8_t *block;    /* whether any of FG_BLOCK neighbours has an adjoint */
} derivation;

/* ------------------------------------------------------------------------------------------ begin and end */

static void end(derivation *d)
{
    fg_builder_end(&d->b);
    free(d->depends);
    free(d->leaf);
    free(d->carried);
    free(d->tainted);
    free(d->block);
    fg_program_free(&d->made);
}

static void *filled(size_t count, size_t size, int byte)
{
    if (count > SIZE_MAX / size - 1)
        return NULL;
    void *array = malloc((count + 1) * size);
    if (array)
        memset(array, byte, (count + 1) * size);
    return array;
}

static int is_selection(const fg_program *p, fg_selection s)
{
    for (uint32_t i = 0; i < s.outputs; i++)
        if (s.output[i] >= p->outputs)
            return 0;
    for (uint32_t i = 0; i < s.wrts; i++)
        if (s.wrt[i] >= p->inputs)
            return 0;
    return 1;
}

/* How many operands a node has, where they are, and what a rule calls each of them. */
typedef struct operands {
    const uint32_t *at;
    uint32_t own[3], count;
} operands;

static operands *look(const fg_program *p, uint32_t node, operands *o)
{
    o->count = fg_node_operands(p, &p->node[node], &o->at, o->own);
    return o;
}

/* Which partial of the row belongs to operand k; reductions have one for all x, and one for all y. */
static uint32_t which_partial(int op, uint32_t k, uint32_t count)
{
    return !is_nary(op) ? k : fg_operands[op] == FG_PAIRS && k >= count / 2;
}

static int passes_on(int op, uint32_t k, uint32_t count)
{
    return op == FG_TAKE ? k > 0 : fg_has_partial(op, which_partial(op, k, count));
}

static void find_what_depends(derivation *d, fg_selection s)
{
    const fg_program *p = d->p;
    for (uint32_t i = 0; i < p->size; i++)
        if (p->node[i].op == FG_LEAF)
            d->leaf[p->node[i].a] = i;
    for (uint32_t i = 0; i < s.wrts; i++)
        if (d->leaf[s.wrt[i]] != FG_NO_NODE)
            d->depends[d->leaf[s.wrt[i]]] = 1;
    for (uint32_t i = 0; i < p->size; i++) {
        operands o;
        if (!is_operation(p->node[i].op))
            continue;
        look(p, i, &o);
        for (uint32_t k = 0; k < o.count && !d->depends[i]; k++)
            d->depends[i] = d->depends[o.at[k]] && passes_on(p->node[i].op, k, o.count);
    }
}

/* `inputs`: how many new ones there will be. */
static int begin(derivation *d, const fg_program *p, fg_selection s, uint32_t inputs)
{
    memset(d, 0, sizeof *d);
    d->p = p;
    if (!is_selection(p, s))
        return FG_BAD_PROGRAM;
    if (inputs > FG_MAX_NODES - p->inputs)
        return FG_TOO_LARGE;
    d->depends = filled(p->size, 1, 0);
    d->leaf = filled(p->inputs, sizeof *d->leaf, 0xFF);
    d->carried = filled(p->size, sizeof *d->carried, 0xFF);
    d->tainted = filled(p->size, 1, 0);
    d->block = filled(p->size / FG_BLOCK + 1, 1, 0);
    if (!d->depends || !d->leaf || !d->carried || !d->tainted || !d->block)
        return FG_NO_MEMORY;
    int status = fg_program_copy(p, p->size / 2, &d->made);
    if (status != FG_OK)
        return status;
    d->made.outputs = 0;
    d->partials.b = &d->b;
    find_what_depends(d, s);
    return fg_builder_begin(&d->b, &d->made, PASSES, 0);
}

static int hand_over(derivation *d, int status, fg_program *result)
{
    if (status == FG_OK)
        status = d->b.status;
    if (status == FG_OK) {
        *result = d->made;
        memset(&d->made, 0, sizeof d->made);
    }
    end(d);
    return status;
}

/* ------------------------------------------------------------------------------------------------- common */

static int is_number(const derivation *d, uint32_t node, double *value)
{
    if (d->b.status != FG_OK || !is_constant(&d->made, node))
        return 0;
    *value = constant_of(&d->made, node);
    return 1;
}

static int is_zero(const derivation *d, uint32_t node)
{
    double number;
    return is_number(d, node, &number) && number == 0.0;
}

static fg_terms terms_of(derivation *d, uint32_t node, const operands *o, uint32_t k)
{
    int op = d->p->node[node].op;
    fg_terms t = {.z = node};
    if (!is_nary(op)) {
        t.x = o->own[0];
        t.y = o->own[1];
        t.w = o->own[2];
        return t;
    }
    uint32_t n = fg_operands[op] == FG_PAIRS ? o->count / 2 : o->count;
    t.x = o->at[k % n];
    t.y = o->at[n == o->count ? k : k % n + n];
    t.n = fg_emit_constant(&d->b, (double)n);
    return t;
}

static fg_symbolic partial_to(derivation *d, uint32_t node, const operands *o, uint32_t k)
{
    int op = d->p->node[node].op;
    return fg_partial_emit(&d->partials, op, which_partial(op, k, o->count), terms_of(d, node, o, k));
}

static void add_output(derivation *d, uint32_t node)
{
    if (d->b.status == FG_OK)
        d->b.status = fg_program_append_output(&d->made, node);
}

/* ----------------------------------------------------------------------------------------------- adjoints */

static void contribute(derivation *d, uint32_t operand, uint32_t node, int tainted)
{
    uint32_t *sum = &d->carried[operand];
    if (is_zero(d, node))
        return;
    *sum = *sum == FG_NO_NODE ? node : fg_emit(&d->b, FG_OP_add, *sum, node, 0);
    d->tainted[operand] |= (uint8_t)tainted;
    d->block[operand / FG_BLOCK] = 1;
}

/* Adjoint times partial. Where the adjoint is 0 this must be 0, for the eager sweep passes nothing on then; a plain product
 * does where the partial is finite, which it is unless something says that it need not be. */
static uint32_t product(derivation *d, uint32_t g, int tainted, fg_symbolic partial)
{
    double number;
    if (is_number(d, partial.node, &number) && number == 1.0)
        return g;
    int plain = is_number(d, g, &number) || (is_number(d, partial.node, &number) && !partial.singular)
             || !(tainted || partial.singular);
    return fg_emit(&d->b, plain ? FG_OP_mul : FG_OP_zmul, g, partial.node, 0);
}

/* The entry that the index takes gets the adjoint, the others 0. */
static void pass_on_to_entries(derivation *d, uint32_t g, const operands *o)
{
    for (uint32_t k = 1; k < o->count; k++) {
        if (!d->depends[o->at[k]])
            continue;
        uint32_t place = fg_emit_constant(&d->b, (double)(k - 1)), zero = fg_emit_constant(&d->b, 0.0);
        uint32_t taken = fg_emit(&d->b, FG_OP_equal, o->at[0], place, 0);
        contribute(d, o->at[k], fg_emit(&d->b, FG_OP_where, taken, g, zero), 1);
    }
}

static void pass_on(derivation *d, uint32_t node, uint32_t g, int tainted)
{
    operands o;
    int op = d->p->node[node].op;
    look(d->p, node, &o);
    d->b.line = d->p->node[node].line;
    if (op == FG_TAKE) {
        pass_on_to_entries(d, g, &o);
        return;
    }
    for (uint32_t k = 0; k < o.count && d->b.status == FG_OK; k++) {
        if (!d->depends[o.at[k]] || !passes_on(op, k, o.count))
            continue;
        fg_symbolic partial = partial_to(d, node, &o, k);
        contribute(d, o.at[k], product(d, g, tainted, partial), tainted || partial.selects);
    }
}

static void sweep_block(derivation *d, uint32_t first, uint32_t last)
{
    for (uint32_t i = last + 1; i-- > first && d->b.status == FG_OK;) {
        uint32_t g = d->carried[i];
        if (g == FG_NO_NODE || !is_operation(d->p->node[i].op))
            continue;
        int tainted = d->tainted[i];
        d->carried[i] = FG_NO_NODE;
        d->tainted[i] = 0;
        if (!is_zero(d, g))
            pass_on(d, i, g, tainted);
    }
}

/* From the last node to the first, as the eager sweep goes. Adjoints stay at inputs alone. */
static void sweep(derivation *d)
{
    for (uint32_t block = d->p->size / FG_BLOCK + 1; block-- > 0 && d->b.status == FG_OK;) {
        if (!d->block[block])
            continue;
        uint32_t first = block * FG_BLOCK, end = d->p->size - first;
        sweep_block(d, first, first + (end < FG_BLOCK ? end : FG_BLOCK) - 1);
        d->block[block] = 0;
    }
}

/* The adjoints of the wrt inputs become outputs, with 0.0 added, since a gradient is never -0.0. */
static void collect(derivation *d, fg_selection s)
{
    d->b.line = 0;
    uint32_t zero = fg_emit_constant(&d->b, 0.0);
    for (uint32_t i = 0; i < s.wrts; i++) {
        uint32_t leaf = d->leaf[s.wrt[i]], g = leaf == FG_NO_NODE ? FG_NO_NODE : d->carried[leaf];
        add_output(d, g == FG_NO_NODE ? zero : fg_emit(&d->b, FG_OP_add, g, zero, 0));
    }
    for (uint32_t i = 0; i < s.wrts; i++) {
        uint32_t leaf = d->leaf[s.wrt[i]];
        if (leaf != FG_NO_NODE) {
            d->carried[leaf] = FG_NO_NODE;
            d->tainted[leaf] = 0;
        }
    }
}

static void seed(derivation *d, uint32_t output, uint32_t adjoint)
{
    uint32_t node = d->p->output[output];
    if (d->depends[node] && d->b.status == FG_OK)
        contribute(d, node, adjoint, 0);
}

int fg_reverse(const fg_program *p, fg_selection s, int seeded, fg_program *result)
{
    derivation d;
    int status = begin(&d, p, s, seeded ? s.outputs : 0);
    for (uint32_t i = 0; i < s.outputs && status == FG_OK && d.b.status == FG_OK; i++) {
        d.b.line = 0;
        seed(&d, s.output[i], seeded ? fg_emit_input(&d.b, d.made.inputs++) : fg_emit_constant(&d.b, 1.0));
        if (!seeded) {
            sweep(&d);
            collect(&d, s);
        }
    }
    if (seeded && status == FG_OK && d.b.status == FG_OK) {
        sweep(&d);
        collect(&d, s);
    }
    return hand_over(&d, status, result);
}

/* ----------------------------------------------------------------------------------------------- tangents */

/* Partial times tangent. 0 wins where the other side may be inf or nan: a partial of 0 passes nothing on of what lies behind
 * the operand, as in the reverse sweep; a tangent of 0 does not move in a direction in which the partial is singular. */
static uint32_t tangent_term(derivation *d, fg_symbolic partial, uint32_t t, int tainted)
{
    double number;
    fg_builder *b = &d->b;
    if (is_number(d, t, &number) || (is_number(d, partial.node, &number) && !partial.singular && number != 0.0))
        return fg_emit(b, FG_OP_mul, partial.node, t, 0);
    if (!partial.selects && !tainted)
        return fg_emit(b, partial.singular ? FG_OP_zmul : FG_OP_mul, t, partial.node, 0);
    uint32_t term = fg_emit(b, FG_OP_zmul, partial.node, t, 0), zero = fg_emit_constant(b, 0.0);
    return partial.singular ? fg_emit(b, FG_OP_where, t, term, zero) : term;
}

static uint32_t tangent_of_entry(derivation *d, const operands *o)
{
    uint32_t *tangent = malloc(o->count * sizeof *tangent);
    uint32_t zero = fg_emit_constant(&d->b, 0.0);
    if (!tangent) {
        d->b.status = FG_NO_MEMORY;
        return FG_NO_NODE;
    }
    tangent[0] = o->at[0];
    for (uint32_t k = 1; k < o->count; k++)
        tangent[k] = d->carried[o->at[k]] == FG_NO_NODE ? zero : d->carried[o->at[k]];
    uint32_t node = fg_emit_nary(&d->b, FG_TAKE, tangent, o->count);
    free(tangent);
    return node;
}

static void add_tangent(derivation *d, uint32_t node, uint32_t term, int tainted)
{
    uint32_t *sum = &d->carried[node];
    if (is_zero(d, term))
        return;
    *sum = *sum == FG_NO_NODE ? term : fg_emit(&d->b, FG_OP_add, *sum, term, 0);
    d->tainted[node] |= (uint8_t)tainted;
}

static void push_to(derivation *d, uint32_t node)
{
    operands o;
    int op = d->p->node[node].op;
    look(d->p, node, &o);
    d->b.line = d->p->node[node].line;
    for (uint32_t k = 0; k < o.count && d->b.status == FG_OK; k++) {
        uint32_t t = d->carried[o.at[k]];
        int tainted = d->tainted[o.at[k]];
        if (t == FG_NO_NODE || is_zero(d, t) || !passes_on(op, k, o.count))
            continue;
        if (op == FG_TAKE) {
            add_tangent(d, node, tangent_of_entry(d, &o), 1);
            return;
        }
        fg_symbolic partial = partial_to(d, node, &o, k);
        add_tangent(d, node, tangent_term(d, partial, t, tainted), tainted || partial.singular);
    }
}

/* From the first node to the last. The tangents of the inputs have been set. */
static void push_forward(derivation *d, fg_selection s)
{
    for (uint32_t i = 0; i < d->p->size && d->b.status == FG_OK; i++) {
        if (is_operation(d->p->node[i].op) && d->depends[i]) {
            d->carried[i] = FG_NO_NODE;
            d->tainted[i] = 0;
            push_to(d, i);
        }
    }
    d->b.line = 0;
    for (uint32_t i = 0; i < s.outputs && d->b.status == FG_OK; i++) {
        uint32_t t = d->carried[d->p->output[s.output[i]]];
        add_output(d, t == FG_NO_NODE ? fg_emit_constant(&d->b, 0.0) : t);
    }
}

/* The tangent of an input: direction i, or a new input if there are none; a constant 0 stands for no tangent. An input that
 * is listed twice has the sum of both. */
static void set_tangent(derivation *d, uint32_t input, const double *direction)
{
    uint32_t leaf = d->leaf[input];
    uint32_t t = !direction ? fg_emit_input(&d->b, d->made.inputs++)
               : *direction == 0.0 ? FG_NO_NODE : fg_emit_constant(&d->b, *direction);
    if (leaf == FG_NO_NODE || t == FG_NO_NODE)
        return;
    d->carried[leaf] = d->carried[leaf] == FG_NO_NODE ? t : fg_emit(&d->b, FG_OP_add, d->carried[leaf], t, 0);
}

int fg_forward(const fg_program *p, fg_selection s, const double *directions, uint32_t count, fg_program *result)
{
    derivation d;
    int status = begin(&d, p, s, directions ? 0 : s.wrts);
    for (uint32_t i = 0; i < (directions ? count : 1) && status == FG_OK && d.b.status == FG_OK; i++) {
        for (uint32_t k = 0; k < s.wrts; k++)
            if (d.leaf[s.wrt[k]] != FG_NO_NODE)
                d.carried[d.leaf[s.wrt[k]]] = FG_NO_NODE;
        for (uint32_t k = 0; k < s.wrts && d.b.status == FG_OK; k++)
            set_tangent(&d, s.wrt[k], directions ? directions + (size_t)i * s.wrts + k : NULL);
        push_forward(&d, s);
    }
    return hand_over(&d, status, result);
}
