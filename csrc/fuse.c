/* Fusing: from nodes in order to instructions. Additions, subtractions and products become chains, which keep their
 * intermediate results to themselves; each operation is rounded all the same.
 *
 * A node joins the instruction of its only user, and is computed there and not where it stood. Its operands have to be kept
 * until then, and it no longer has: it is done where that is not much of a loss.
 */
#include "graph.h"
#include "tape.h"

enum { MAX_NODES = 48 }; /* of a chain: bounds the time for looking at its operands again */

typedef struct fusing {
    fg_graph *g;
    fg_list *list;
    int fuse;
    uint32_t *at;     /* of a node: its place in the order                                          */
    uint32_t *last;   /* of a node: the place of its last user                                      */
    uint32_t *before; /* of a node: the operand whose chain it goes on with, or FG_NO_PLACE         */
    uint32_t *nodes;  /* of a node: how many its instruction computes                               */
    uint8_t *product; /* of a node: its other operand is a product and joins as well                */
    uint8_t *joined;  /* of a node: it is computed by the instruction of its user                   */
    uint8_t *summed;  /* of a node: a product that nobody needs but sums over rows, which compute it */
    uint32_t *seen;   /* of a node: the last user that looked at it                                 */
    uint64_t loss;    /* by how much operands may be kept longer, in values times instructions      */
    uint32_t *first_guard, *first_sum, *next_sink; /* of a node the outputs that are guards, sums, in lists */
    uint32_t guards_left;             /* guards not emitted; sums wait for all of them, as rows leave */
    uint32_t *waiting, waiting_count; /* nodes whose sums wait                                      */
    int leaf_sums;    /* whether an input itself is summed                                          */
} fusing;

static int is_value(const fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    return g->stream[node] == f->list->stream && (f->list->stream == FG_LANE_STREAM || !fg_is_leaf(g, node));
}

static uint32_t operand(const fg_graph *g, uint32_t node, uint32_t k)
{
    return g->operand[g->first[node] + k];
}

static int is_product(int op)
{
    return op == FG_OP_mul || op == FG_OP_zmul;
}

/* Whether a node is of the kind that chains are made of; a negative can begin one. What has uniform operands alone is
 * not, as instructions of the lane stream need another one. */
static int is_link(const fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    int op = g->op[node], uniform = f->list->stream == FG_UNIFORM_STREAM;
    if (op == FG_OP_neg)
        return uniform || is_value(f, operand(g, node, 0));
    return (op == FG_OP_add || op == FG_OP_sub || is_product(op))
           && (uniform || is_value(f, operand(g, node, 0)) || is_value(f, operand(g, node, 1)));
}

/* ---------------------------------------------------------------------------------------------- joining */

static uint32_t other_operand(const fusing *f, uint32_t node)
{
    uint32_t x = operand(f->g, node, 0);
    return x == f->before[node] ? operand(f->g, node, 1) : x;
}

/* The operands of the instruction that computes a node. */
static uint32_t leaves_of(const fusing *f, uint32_t node, uint32_t leaf[2 * MAX_NODES + 2])
{
    const fg_graph *g = f->g;
    uint32_t count = 0;
    for (; f->before[node] != FG_NO_PLACE; node = f->before[node]) {
        uint32_t x = other_operand(f, node);
        if (f->product[node]) {
            leaf[count++] = operand(g, x, 0);
            x = operand(g, x, 1);
        }
        leaf[count++] = x;
    }
    for (uint32_t k = g->first[node]; k < g->first[node + 1]; k++)
        leaf[count++] = g->operand[k];
    return count;
}

/* Joins node x to its user, unless its operands would have to be kept for much longer than x is. The uniform stream keeps
 * all of them anyway. */
static int join(fusing *f, uint32_t x, uint32_t user)
{
    if (f->list->stream == FG_UNIFORM_STREAM) {
        f->joined[x] = 1;
        return 1;
    }
    uint32_t leaf[2 * MAX_NODES + 2], count = leaves_of(f, x, leaf), at = f->at[user];
    uint64_t longer = 0;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t v = leaf[k];
        if (f->last[v] < at && f->seen[v] != x && is_value(f, v))
            longer += at - f->last[v];
        f->seen[v] = x;
    }
    if (longer > at - f->at[x] + f->loss)
        return 0;
    for (uint32_t k = 0; k < count; k++)
        f->last[leaf[k]] = f->last[leaf[k]] < at ? at : f->last[leaf[k]];
    f->joined[x] = 1;
    return 1;
}

static int can_join(const fusing *f, uint32_t x)
{
    const fg_graph *g = f->g;
    return g->uses[x] == 1 && g->sinks[x] == 0 && fg_runs_in(g, x, f->list->stream) && is_link(f, x);
}

/* Whether a node can take what another one of its operands gives as a product into a term of its own. */
static int takes_product(const fg_graph *g, uint32_t node, uint32_t product)
{
    int op = g->op[node], of = g->op[product];
    return of == FG_OP_mul ? op == FG_OP_add || op == FG_OP_sub : of == FG_OP_zmul && op == FG_OP_add;
}

/* Makes a node go on with the chain of one of its operands, the longer one; of the other, a product may join too. */
static void fuse_node(fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    uint32_t x = operand(g, node, 0), y = operand(g, node, 1);
    int can_x = can_join(f, x) && f->nodes[x] < MAX_NODES, can_y = can_join(f, y) && f->nodes[y] < MAX_NODES;
    if (can_y && (!can_x || f->nodes[y] > f->nodes[x])) {
        uint32_t swap = x;
        x = y;
        y = swap;
        can_y = can_x;
        can_x = 1;
    }
    if (!can_x || !join(f, x, node))
        return;
    f->before[node] = x;
    f->nodes[node] = f->nodes[x] + 1;
    if (!can_y || f->nodes[y] > 1 || !takes_product(g, node, y) || !join(f, y, node))
        return;
    f->product[node] = 1;
    f->nodes[node]++;
}

static int is_summed_product(const fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    return is_product(g->op[node]) && g->uses[node] == 0 && f->first_sum[node] != FG_NO_PLACE
           && f->first_guard[node] == FG_NO_PLACE && is_link(f, node);
}

/* In proportion to how many values are alive on average: if each instruction loses as much, so many more are. */
static uint64_t allowed_loss(const fusing *f)
{
    const fg_list *list = f->list;
    uint64_t alive = 0;
    for (uint32_t i = 0; i < list->size; i++) {
        uint32_t node = list->order[i];
        alive += f->last[node] > f->at[node] ? f->last[node] - f->at[node] : 0;
    }
    return 24 + alive / ((uint64_t)list->size + 1) / 4;
}

static void fuse_nodes(fusing *f)
{
    const fg_graph *g = f->g;
    const fg_list *list = f->list;
    for (uint32_t i = 0; i < list->size; i++) {
        uint32_t node = list->order[i];
        f->at[node] = i + 1;
        f->before[node] = FG_NO_PLACE;
        f->nodes[node] = 1;
        for (uint32_t k = g->first[node]; k < g->first[node + 1]; k++)
            f->last[g->operand[k]] = i + 1;
    }
    f->loss = allowed_loss(f);
    for (uint32_t i = 0; f->fuse && i < list->size; i++) {
        uint32_t node = list->order[i];
        f->summed[node] = (uint8_t)is_summed_product(f, node);
        if (is_link(f, node) && !f->summed[node] && g->op[node] != FG_OP_neg)
            fuse_node(f, node);
    }
}

/* ------------------------------------------------------------------------------------------- instructions */

static uint32_t as_operand(const fusing *f, uint32_t node)
{
    return f->list->stream == FG_LANE_STREAM && f->g->stream[node] == FG_UNIFORM_STREAM ? node | FG_UNIFORM : node;
}

static fg_instr *emit(fusing *f, int op, uint32_t node)
{
    fg_instr *i = &f->list->instr[f->list->instrs++];
    *i = (fg_instr){.op = (uint16_t)op, .z = node, .node = f->g->origin[node]};
    return i;
}

static void set_form(fg_instr *i, uint32_t count)
{
    const uint32_t x[3] = {i->a, i->b, i->c};
    for (uint32_t k = 0; k < count; k++)
        i->form |= (uint16_t)((x[k] & FG_UNIFORM ? 1u : 0u) << k);
}

static void term(fusing *f, int kind, uint32_t x, uint32_t y)
{
    fg_list *list = f->list;
    list->pool[list->pool_size++] = (uint32_t)kind;
    list->pool[list->pool_size++] = as_operand(f, x);
    list->pool[list->pool_size++] = as_operand(f, y);
}

/* The term with which a node goes on after the operand before it. */
static void link_term(fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    uint32_t x = other_operand(f, node), y = x;
    int reversed = f->before[node] == operand(g, node, 1), product = f->product[node];
    int kind = g->op[node] == FG_OP_mul ? FG_T_MUL : reversed ? FG_T_RZMUL : FG_T_ZMUL;
    if (g->op[node] == FG_OP_add)
        kind = !product ? FG_T_ADD : g->op[x] == FG_OP_mul ? FG_T_MUL_ADD : FG_T_ZMUL_ADD;
    else if (g->op[node] == FG_OP_sub && reversed)
        kind = product ? FG_T_MUL_RSUB : FG_T_RSUB;
    else if (g->op[node] == FG_OP_sub)
        kind = product ? FG_T_MUL_SUB : FG_T_SUB;
    if (product) {
        y = operand(g, x, 1);
        x = operand(g, x, 0);
    }
    term(f, kind, x, y);
}

static void emit_head(fusing *f, uint32_t head)
{
    const fg_graph *g = f->g;
    uint32_t x = operand(g, head, 0), y = g->op[head] == FG_OP_neg ? x : operand(g, head, 1);
    switch (g->op[head]) {
    case FG_OP_neg:
        term(f, FG_T_SUB, x, x);
        break;
    case FG_OP_mul:
        term(f, FG_T_MUL_ADD, x, y);
        break;
    case FG_OP_zmul:
        term(f, FG_T_ZMUL_ADD, x, y);
        break;
    default:
        term(f, FG_T_ADD, x, x);
        term(f, g->op[head] == FG_OP_add ? FG_T_ADD : FG_T_SUB, y, y);
    }
}

static void emit_chain(fusing *f, uint32_t node)
{
    fg_list *list = f->list;
    uint32_t links[MAX_NODES + 2], count = 0, begin = list->pool_size, head = node;
    for (; f->before[head] != FG_NO_PLACE; head = f->before[head])
        links[count++] = head;
    emit_head(f, head);
    while (count > 0)
        link_term(f, links[--count]);
    fg_instr *i = emit(f, FG_I_CHAIN, node);
    i->a = begin;
    i->b = (list->pool_size - begin) / 3;
}

/* A product and one addition or subtraction have instructions of their own. */
static void emit_pair(fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    uint32_t product = f->before[node];
    int op = g->op[node] == FG_OP_add            ? FG_I_MUL_ADD
             : product == operand(g, node, 0) ? FG_I_MUL_SUB
                                              : FG_I_SUB_MUL;
    fg_instr *i = emit(f, op, node);
    i->a = as_operand(f, operand(g, product, 0));
    i->b = as_operand(f, operand(g, product, 1));
    i->c = as_operand(f, other_operand(f, node));
    set_form(i, 3);
}

/* The lane stream takes uniform operands, but not uniform operands alone. */
static uint32_t splat(fusing *f, uint32_t x, uint32_t node)
{
    fg_instr *i = emit(f, FG_I_SPLAT, node);
    i->z = f->list->values++;
    i->a = x;
    i->form = 1;
    return i->z;
}

static void emit_row(fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    fg_list *list = f->list;
    uint32_t count = g->first[node + 1] - g->first[node], all_uniform = count > 0, first = 0;
    for (uint32_t k = 0; k < count; k++)
        all_uniform &= as_operand(f, operand(g, node, k)) >> 31;
    if (count > 0)
        first = as_operand(f, operand(g, node, 0));
    if (all_uniform)
        first = splat(f, first, node);
    fg_instr *i = emit(f, g->op[node], node);
    if (!fg_uses_pool(g->op[node])) {
        i->a = first;
        i->b = count > 1 ? as_operand(f, operand(g, node, 1)) : 0;
        i->c = count > 2 ? as_operand(f, operand(g, node, 2)) : 0;
        set_form(i, count);
        return;
    }
    i->a = list->pool_size;
    i->b = count;
    for (uint32_t k = 0; k < count; k++)
        list->pool[list->pool_size++] = k == 0 ? first : as_operand(f, operand(g, node, k));
}

/* -------------------------------------------------------------------------------------- guards and sums */

static void emit_guards(fusing *f, uint32_t node, const fg_code_options *options)
{
    const fg_graph *g = f->g;
    uint32_t stored = g->outputs - g->guards;
    for (uint32_t k = f->first_guard[node]; k != FG_NO_PLACE; k = f->next_sink[k], f->guards_left--) {
        fg_instr *i = emit(f, FG_I_GUARD, node);
        i->z = 0;
        i->a = as_operand(f, node);
        i->b = k - stored;
        i->c = options->expected[k - stored] != 0;
        set_form(i, 1);
    }
    f->first_guard[node] = FG_NO_PLACE;
}

static void emit_sums(fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    int product = f->summed[node], op = !product ? FG_I_SUM : g->op[node] == FG_OP_mul ? FG_I_SUM_MUL : FG_I_SUM_ZMUL;
    for (uint32_t k = f->first_sum[node]; k != FG_NO_PLACE; k = f->next_sink[k]) {
        fg_instr *i = emit(f, op, node);
        i->z = k;
        i->a = as_operand(f, product ? operand(g, node, 0) : node);
        i->b = product ? as_operand(f, operand(g, node, 1)) : 0;
        set_form(i, product ? 2 : 1);
    }
    f->first_sum[node] = FG_NO_PLACE;
}

static void emit_sinks(fusing *f, uint32_t node, const fg_code_options *options)
{
    emit_guards(f, node, options);
    if (f->first_sum[node] != FG_NO_PLACE)
        f->waiting[f->waiting_count++] = node;
    while (f->guards_left == 0 && f->waiting_count > 0)
        emit_sums(f, f->waiting[--f->waiting_count]);
}

/* Inputs that are summed, as soon as nothing else needs them. */
static void emit_leaf_sums(fusing *f, uint32_t node, uint32_t from, const fg_code_options *options)
{
    fg_list *list = f->list;
    for (uint32_t end = list->instrs; from < end; from++) {
        uint32_t count = fg_operand_count(&list->instr[from]);
        for (uint32_t k = 0; k < count; k++) {
            uint32_t x = *fg_operand_at(&list->instr[from], list->pool, k);
            if (x < f->g->size && fg_is_leaf(f->g, x) && f->last[x] <= f->at[node])
                emit_sinks(f, x, options);
        }
    }
}

static void find_sinks(fusing *f)
{
    const fg_graph *g = f->g;
    for (uint32_t v = 0; v < g->size; v++)
        f->first_guard[v] = f->first_sum[v] = FG_NO_PLACE;
    if (f->list->stream == FG_UNIFORM_STREAM)
        return;
    f->guards_left = g->guards;
    for (uint32_t k = g->outputs; k-- > (g->sums ? 0 : g->outputs - g->guards);) {
        uint32_t node = g->output[k], *first = k < g->sums ? &f->first_sum[node] : &f->first_guard[node];
        f->next_sink[k] = *first;
        *first = k;
        f->leaf_sums |= k < g->sums && fg_is_leaf(g, node);
    }
}

static void emit_node(fusing *f, uint32_t node)
{
    const fg_graph *g = f->g;
    if (f->before[node] == FG_NO_PLACE)
        emit_row(f, node);
    else if (f->nodes[node] == 2 && !is_product(g->op[node]) && g->op[f->before[node]] == FG_OP_mul)
        emit_pair(f, node);
    else
        emit_chain(f, node);
}

static void emit_all(fusing *f, const fg_code_options *options)
{
    const fg_graph *g = f->g;
    fg_list *list = f->list;
    int lane = list->stream == FG_LANE_STREAM;
    for (uint32_t k = g->outputs - g->guards; lane && k < g->outputs; k++)
        if (!fg_runs_in(g, g->output[k], FG_LANE_STREAM))
            emit_guards(f, g->output[k], options);
    for (uint32_t i = 0; i < list->size; i++) {
        uint32_t node = list->order[i], from = list->instrs;
        if (f->joined[node])
            continue;
        if (!f->summed[node])
            emit_node(f, node);
        emit_sinks(f, node, options);
        if (f->leaf_sums)
            emit_leaf_sums(f, node, from, options);
    }
    for (uint32_t k = 0; lane && k < g->outputs; k++)
        emit_sinks(f, g->output[k], options);
}

static int make_fusing(fusing *f, fg_arena *a)
{
    size_t size = (size_t)f->g->size + 1;
    f->at = fg_arena_take(a, size, sizeof *f->at);
    f->last = fg_arena_zeros(a, size, sizeof *f->last);
    f->before = fg_arena_take(a, size, sizeof *f->before);
    f->nodes = fg_arena_take(a, size, sizeof *f->nodes);
    f->product = fg_arena_zeros(a, size, sizeof *f->product);
    f->joined = fg_arena_zeros(a, size, sizeof *f->joined);
    f->summed = fg_arena_zeros(a, size, sizeof *f->summed);
    f->seen = fg_arena_zeros(a, size, sizeof *f->seen);
    f->first_guard = fg_arena_take(a, size, sizeof *f->first_guard);
    f->first_sum = fg_arena_take(a, size, sizeof *f->first_sum);
    f->waiting = fg_arena_take(a, (size_t)f->g->outputs + 1, sizeof *f->waiting);
    f->next_sink = fg_arena_take(a, (size_t)f->g->outputs + 1, sizeof *f->next_sink);
    return a->status;
}

int fg_fuse(fg_graph *g, fg_list *list, int fuse, const fg_code_options *options)
{
    fg_arena *a = &g->arena;
    size_t edges = g->first[g->size], ends = (size_t)g->inputs + g->outputs;
    fusing f = {.g = g, .list = list, .fuse = fuse};
    /* A chain has at most twice as many terms as nodes, and each node a splat before it; each input is loaded once and
     * each output stored once. */
    list->instr = fg_arena_take(a, 2 * (size_t)list->size + 2 * ends + 1, sizeof *list->instr);
    list->pool = fg_arena_take(a, 6 * (size_t)list->size + edges + 2 * ends + 1, sizeof *list->pool);
    list->values = g->size;
    fg_arena_mark mark = fg_arena_set(a);
    int status = make_fusing(&f, a);
    if (status != FG_OK)
        return status;
    find_sinks(&f);
    fuse_nodes(&f);
    emit_all(&f, options);
    fg_arena_back(a, mark);
    return FG_OK;
}
