/* Rewriting: every node needed is emitted anew through the builder, which folds, simplifies and shares. */
#include <stdlib.h>
#include <string.h>

#include "build.h"
#include "program_private.h"
#include "tape.h"

/* Which nodes the outputs need; NULL if there is no memory. */
static uint8_t *needed_nodes(const fg_program *p)
{
    uint8_t *needed = calloc(p->size ? p->size : 1, 1);
    if (!needed)
        return NULL;
    for (uint32_t i = 0; i < p->outputs; i++)
        needed[p->output[i]] = 1;
    for (uint32_t i = p->size; i-- > 0;) {
        const uint32_t *operand;
        uint32_t own[3], count = needed[i] ? fg_node_operands(p, &p->node[i], &operand, own) : 0;
        for (uint32_t k = 0; k < count; k++)
            needed[operand[k]] = 1;
    }
    return needed;
}

/* Slides the node down to number n, its operands to where `moved` says. Works because in a program that a builder made
 * constants and pool entries lie in the order of their nodes. */
static void slide(fg_program *p, uint32_t i, uint32_t n, const uint32_t *moved)
{
    fg_node node = p->node[i];
    if (is_nary(node.op)) {
        for (uint32_t k = 0; k < node.b; k++)
            p->pool[p->pool_size + k] = moved[p->pool[node.a + k]];
        node.a = p->pool_size;
        p->pool_size += node.b;
    } else if (node.op == FG_CONST) {
        p->constant[p->constants] = p->constant[node.a];
        node.a = p->constants++;
    } else if (is_operation(node.op)) {
        uint32_t count = fg_operands[node.op];
        node.a = moved[node.a];
        node.b = count > 1 ? moved[node.b] : 0;
        node.c = count > 2 ? moved[node.c] : 0;
    }
    p->node[n] = node;
}

/* Takes away what no output needs; *removed: how many operations went. */
static int compact(fg_program *p, uint32_t *removed)
{
    uint8_t *needed = needed_nodes(p);
    uint32_t *moved = malloc((p->size ? p->size : 1) * sizeof *moved), n = 0;
    if (!needed || !moved) {
        free(needed);
        free(moved);
        return FG_NO_MEMORY;
    }
    p->constants = p->pool_size = 0;
    for (uint32_t i = 0; i < p->size; i++) {
        if (needed[i]) {
            slide(p, i, n, moved);
            moved[i] = n++;
        } else
            *removed += (uint32_t)is_operation(p->node[i].op);
    }
    p->size = n;
    for (uint32_t i = 0; i < p->outputs; i++)
        p->output[i] = moved[p->output[i]];
    free(needed);
    free(moved);
    return FG_OK;
}

typedef struct rewriting {
    const fg_program *p;
    fg_builder b;
    uint8_t *needed; /* NULL: all nodes */
    uint32_t *moved; /* what each node has become */
    uint32_t *operand; /* room for those of one n-ary node */
    uint32_t *removed;
} rewriting;

static uint32_t emit_again(rewriting *r, const fg_node *node)
{
    const uint32_t *moved = r->moved;
    if (node->op == FG_LEAF)
        return fg_emit_input(&r->b, node->a);
    if (node->op == FG_CONST)
        return fg_emit_constant(&r->b, r->p->constant[node->a]);
    if (is_nary(node->op)) {
        for (uint32_t k = 0; k < node->b; k++)
            r->operand[k] = moved[r->p->pool[node->a + k]];
        return fg_emit_nary(&r->b, node->op, r->operand, node->b);
    }
    uint32_t count = fg_operands[node->op];
    return fg_emit(&r->b, node->op, moved[node->a], count > 1 ? moved[node->b] : 0, count > 2 ? moved[node->c] : 0);
}

static int number_of_pass(int pass)
{
    int number = 0;
    while (pass >> (number + 1))
        number++;
    return number;
}

static int emit_all(rewriting *r)
{
    const fg_program *p = r->p;
    for (uint32_t i = 0; i < p->size && r->b.status == FG_OK; i++) {
        const fg_node *node = &p->node[i];
        uint32_t operations = (uint32_t)is_operation(node->op);
        if (r->needed && !r->needed[i]) {
            r->removed[number_of_pass(FG_DEAD)] += operations;
            continue;
        }
        r->b.line = node->line;
        r->moved[i] = emit_again(r, node);
        if (operations && r->b.taken_by)
            r->removed[number_of_pass(r->b.taken_by)]++;
    }
    for (uint32_t i = 0; i < p->outputs && r->b.status == FG_OK; i++)
        r->b.status = fg_program_append_output(r->b.p, r->moved[p->output[i]]);
    return r->b.status;
}

static uint32_t most_operands(const fg_program *p)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < p->size; i++)
        if (is_nary(p->node[i].op) && p->node[i].b > most)
            most = p->node[i].b;
    return most;
}

int fg_rewrite(const fg_program *p, int passes, int fastmath, fg_program *result, uint32_t removed[4])
{
    fg_program made = {.inputs = p->inputs};
    rewriting r = {.p = p, .removed = removed};
    memset(removed, 0, 4 * sizeof *removed);
    int status = fg_program_grow(&made, p->size, p->pool_size);
    if (status == FG_OK)
        status = fg_builder_begin(&r.b, &made, passes, fastmath);
    r.moved = malloc((p->size ? p->size : 1) * sizeof *r.moved);
    r.operand = malloc(most_operands(p) * sizeof *r.operand);
    if (passes & FG_DEAD)
        r.needed = needed_nodes(p);
    if (status == FG_OK && (!r.moved || !r.operand || (passes & FG_DEAD && !r.needed)))
        status = FG_NO_MEMORY;
    if (status == FG_OK)
        status = emit_all(&r);
    if (status == FG_OK && passes & FG_DEAD)
        status = compact(&made, &removed[number_of_pass(FG_DEAD)]);
    fg_builder_end(&r.b);
    free(r.moved);
    free(r.operand);
    free(r.needed);
    if (status == FG_OK)
        *result = made;
    else
        fg_program_free(&made);
    return status;
}
