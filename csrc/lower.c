/* Lowering: the graph of what the outputs of a program need, with some reductions as the operations that they stand for. */
#include "graph.h"
#include "partials.h"
#include "program_private.h"
#include "reduce.h"
#include "tape.h"

typedef struct lowering {
    const fg_program *p;
    fg_graph *g;
    uint8_t *needed; /* of each node of the program */
    uint32_t *uses;
    uint32_t *node; /* where it is in the graph */
    uint32_t edges;
    uint32_t zero; /* the node of 0.0, or FG_NO_PLACE */
} lowering;

/* ------------------------------------------------------------------------------------- what is needed */

/* What an output is a sum of over rows: x + 0.0 may be x, as such sums start from 0.0. */
static uint32_t summand(const fg_program *p, uint32_t node)
{
    for (;;) {
        const fg_node *n = &p->node[node];
        if (n->op != FG_OP_add)
            return node;
        if (is_constant(p, n->b) && constant_of(p, n->b) == 0.0)
            node = n->a;
        else if (is_constant(p, n->a) && constant_of(p, n->a) == 0.0)
            node = n->b;
        else
            return node;
    }
}

static void find_outputs(lowering *l, const fg_code_options *options)
{
    const fg_program *p = l->p;
    fg_graph *g = l->g;
    for (uint32_t k = 0; k < p->inputs; k++)
        g->lanes |= options->batched[k] != 0;
    g->outputs = p->outputs;
    g->guards = options->guards;
    g->sums = options->sum && g->lanes ? g->outputs - g->guards : 0;
    g->inputs = p->inputs;
    g->batched = options->batched;
    for (uint32_t k = 0; k < p->outputs; k++)
        g->output[k] = k < g->sums ? summand(p, p->output[k]) : p->output[k];
}

static void find_needed(lowering *l)
{
    const fg_program *p = l->p;
    for (uint32_t k = 0; k < p->outputs; k++)
        l->needed[l->g->output[k]] = 1;
    for (uint32_t i = p->size; i-- > 0;) {
        if (!l->needed[i])
            continue;
        const uint32_t *x;
        uint32_t own[3], count = fg_node_operands(p, &p->node[i], &x, own);
        for (uint32_t k = 0; k < count; k++) {
            l->needed[x[k]] = 1;
            l->uses[x[k]]++;
        }
    }
}

/* ------------------------------------------------------------------------------------------ reductions */

/* A sum of so many terms that nothing else keeps alive is lowered: each term can then go as soon as it is there, where a
 * single instruction would have to wait for all. So is one of a few terms, which is a chain. */
enum { FEW_TERMS = 3, KEEP_TERMS = 16 };

static uint32_t terms_of(const fg_node *n)
{
    return fg_operands[n->op] == FG_PAIRS ? n->b / 2 : n->b;
}

static int speaks_of_largest(int op)
{
    for (int k = 0; k < 2; k++)
        for (const uint8_t *rule = fg_postfix + fg_reduction[op][k]; *rule != FG_P_END; rule++)
            if (*rule == FG_P_M)
                return 1;
    return 0;
}

static int is_lowered(const lowering *l, const fg_node *n)
{
    if (fg_operands[n->op] < FG_NARY || n->op == FG_TAKE || speaks_of_largest(n->op))
        return 0;
    if (terms_of(n) <= FEW_TERMS)
        return 1;
    uint32_t only = 0;
    for (uint32_t k = 0; k < n->b; k++) {
        uint32_t x = l->p->pool[n->a + k];
        only += l->uses[x] == 1 && !is_constant(l->p, x);
    }
    return only > KEEP_TERMS;
}

static int make_room(lowering *l)
{
    const fg_program *p = l->p;
    fg_graph *g = l->g;
    size_t nodes = 1, edges = 0;
    for (uint32_t i = 0; i < p->size; i++) {
        const fg_node *n = &p->node[i];
        if (!l->needed[i])
            continue;
        /* A rule has at most FG_POSTFIX_DEPTH operations, by far. */
        int lowered = is_lowered(l, n);
        nodes += lowered ? (FG_POSTFIX_DEPTH + 1) * ((size_t)terms_of(n) + 1) + FG_PARTS : 1;
        edges += lowered ? 2 * ((FG_POSTFIX_DEPTH + 1) * ((size_t)terms_of(n) + 1) + FG_PARTS) : is_nary(n->op) ? n->b : 3;
    }
    if (nodes >= FG_UNIFORM / 4 || edges >= FG_UNIFORM / 8)
        return FG_TOO_LARGE;
    g->op = fg_arena_take(&g->arena, nodes, sizeof *g->op);
    g->stream = fg_arena_take(&g->arena, nodes, sizeof *g->stream);
    g->first = fg_arena_take(&g->arena, nodes + 1, sizeof *g->first);
    g->operand = fg_arena_take(&g->arena, edges + 1, sizeof *g->operand);
    g->origin = fg_arena_take(&g->arena, nodes, sizeof *g->origin);
    g->leaf = fg_arena_take(&g->arena, nodes, sizeof *g->leaf);
    g->uses = fg_arena_zeros(&g->arena, nodes, sizeof *g->uses);
    g->sinks = fg_arena_zeros(&g->arena, nodes, sizeof *g->sinks);
    g->constant = fg_arena_take(&g->arena, nodes, sizeof *g->constant);
    if (g->arena.status == FG_OK)
        g->first[0] = 0;
    return g->arena.status;
}

/* Appends a node; its operands have been written behind the last ones. */
static uint32_t append(lowering *l, int op, uint32_t origin)
{
    fg_graph *g = l->g;
    uint32_t i = g->size++;
    g->op[i] = (uint16_t)op;
    g->origin[i] = origin;
    g->first[i + 1] = l->edges;
    return i;
}

static void operand(lowering *l, uint32_t x)
{
    l->g->operand[l->edges++] = x;
}

static uint32_t append_constant(lowering *l, double x, uint32_t origin)
{
    uint32_t i = append(l, FG_CONST, origin);
    l->g->leaf[i] = l->g->constants;
    l->g->constant[l->g->constants++] = x;
    return i;
}

static uint32_t append_sum(lowering *l, uint32_t x, uint32_t y, uint32_t origin)
{
    operand(l, x);
    operand(l, y);
    return append(l, FG_OP_add, origin);
}

/* The term or the finish of a reduction, the operands of the rule being x and y. */
static uint32_t append_rule(lowering *l, const uint8_t *rule, uint32_t x, uint32_t y, uint32_t terms, uint32_t origin)
{
    uint32_t stack[FG_POSTFIX_DEPTH], height = 0;
    for (; *rule != FG_P_END; rule++) {
        if (*rule == FG_P_X || *rule == FG_P_S)
            stack[height++] = x;
        else if (*rule == FG_P_Y)
            stack[height++] = y;
        else if (*rule == FG_P_N)
            stack[height++] = append_constant(l, (double)terms, FG_NO_PLACE);
        else if (*rule >= FG_P_K)
            stack[height++] = append_constant(l, fg_postfix_constant[*rule - FG_P_K], FG_NO_PLACE);
        else {
            height -= fg_operands[*rule];
            for (uint32_t k = 0; k < fg_operands[*rule]; k++)
                operand(l, stack[height + k]);
            stack[height] = append(l, *rule, origin);
            height++;
        }
    }
    return stack[0];
}

/* The additions of reduce.h. Its parts start from 0.0, which only shows in the sign of a zero: adding 0.0 to one part is
 * enough, as no sum with a part that is not -0.0 is -0.0. */
static uint32_t lower_reduction(lowering *l, uint32_t origin)
{
    const fg_program *p = l->p;
    const fg_node *n = &p->node[origin];
    const uint32_t *x = p->pool + n->a;
    uint32_t terms = terms_of(n), parts = terms < FG_PARTS ? terms : FG_PARTS, part[FG_PARTS];
    if (l->zero == FG_NO_PLACE)
        l->zero = append_constant(l, 0.0, FG_NO_PLACE);
    part[0] = l->zero;
    for (uint32_t i = 0; i < terms; i++) {
        uint32_t y = n->b > terms ? l->node[x[terms + i]] : 0, *s = &part[i % FG_PARTS];
        uint32_t term = append_rule(l, fg_postfix + fg_reduction[n->op][0], l->node[x[i]], y, terms, origin);
        *s = i == 0 || i >= FG_PARTS ? append_sum(l, *s, term, origin) : term;
    }
    for (uint32_t half = FG_PARTS / 2; half > 0; half /= 2)
        for (uint32_t i = 0; i < half && half + i < parts; i++)
            part[i] = append_sum(l, part[i], part[half + i], origin);
    return append_rule(l, fg_postfix + fg_reduction[n->op][1], part[0], 0, terms, origin);
}

static uint32_t lower_node(lowering *l, uint32_t i)
{
    const fg_program *p = l->p;
    const fg_node *n = &p->node[i];
    if (n->op == FG_CONST)
        return append_constant(l, p->constant[n->a], i);
    if (n->op == FG_LEAF) {
        uint32_t input = append(l, FG_LEAF, i);
        l->g->leaf[input] = n->a;
        return input;
    }
    if (is_lowered(l, n))
        return lower_reduction(l, i);
    const uint32_t *x;
    uint32_t own[3], count = fg_node_operands(p, n, &x, own);
    for (uint32_t k = 0; k < count; k++)
        operand(l, l->node[x[k]]);
    return append(l, n->op, i);
}

int fg_lower(const fg_program *p, const fg_code_options *options, fg_graph *g)
{
    lowering l = {.p = p, .g = g, .zero = FG_NO_PLACE};
    g->output = fg_arena_take(&g->arena, (size_t)p->outputs + 1, sizeof *g->output);
    l.needed = fg_arena_zeros(&g->arena, (size_t)p->size + 1, sizeof *l.needed);
    l.uses = fg_arena_zeros(&g->arena, (size_t)p->size + 1, sizeof *l.uses);
    l.node = fg_arena_take(&g->arena, (size_t)p->size + 1, sizeof *l.node);
    if (g->arena.status != FG_OK)
        return g->arena.status;
    find_outputs(&l, options);
    find_needed(&l);
    int status = make_room(&l);
    if (status != FG_OK)
        return status;
    for (uint32_t i = 0; i < p->size; i++)
        if (l.needed[i])
            l.node[i] = lower_node(&l, i);
    for (uint32_t k = 0; k < p->outputs; k++)
        g->output[k] = l.node[g->output[k]];
    return FG_OK;
}
