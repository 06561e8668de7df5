/* Trees: the operations of a stream in parts that are computed in one go. */
#include <string.h>

#include "plan.h"
#include "tape.h"

/* ---------------------------------------------------------------------------------------------- values */

/* Inputs that are loaded together: up to eight neighbours, from the beginning of each run of used ones. */
static void find_rings(values *v, const fg_graph *g, uint32_t *input)
{
    uint32_t first = 0, count = 0;
    for (uint32_t k = 0; k < g->inputs; k++)
        input[k] = NONE;
    for (uint32_t i = v->operations; i < v->count; i++)
        input[g->leaf[v->node[i]]] = i;
    for (uint32_t k = 0; k < g->inputs; k++) {
        uint32_t i = input[k];
        if (i == NONE) {
            count = 0;
            continue;
        }
        if (count++ % 8 == 0)
            first = i;
        else
            v->ring[input[k - 1]] = i;
        v->ring[i] = first;
    }
}

static void find_operands(values *v, const fg_graph *g, const uint32_t *number)
{
    uint32_t edges = 0;
    for (uint32_t i = 0; i < v->operations; i++) {
        uint32_t node = v->node[i];
        v->first[i] = edges;
        for (uint32_t k = g->first[node]; k < g->first[node + 1]; k++) {
            uint32_t x = number[g->operand[k]], e = v->first[i];
            if (x == NONE)
                continue;
            while (e < edges && v->operand[e] != x && edges - v->first[i] <= 8)
                e++;
            if (e < edges && v->operand[e] == x)
                continue;
            v->operand[edges++] = x;
            v->users[x]++;
        }
    }
    v->first[v->operations] = edges;
}

static void find_urgent(values *v, const fg_graph *g, const uint32_t *number)
{
    for (uint32_t k = g->outputs - g->guards; g->sums && k < g->outputs; k++)
        if (number[g->output[k]] != NONE)
            v->urgent[number[g->output[k]]] = 1;
    for (uint32_t i = v->operations; i-- > 0;)
        for (uint32_t k = v->first[i]; v->urgent[i] && k < v->first[i + 1]; k++)
            v->urgent[v->operand[k]] = 1;
}

int fg_find_values(values *v, fg_graph *g, const fg_list *list)
{
    fg_arena *a = &g->arena;
    size_t size = (size_t)g->size + 1;
    uint32_t *number = fg_arena_take(a, size, sizeof *number), *input = fg_arena_take(a, g->inputs, sizeof *input);
    v->node = fg_arena_take(a, size, sizeof *v->node);
    v->first = fg_arena_take(a, size, sizeof *v->first);
    v->operand = fg_arena_take(a, (size_t)g->first[g->size] + 1, sizeof *v->operand);
    v->users = fg_arena_zeros(a, size, sizeof *v->users);
    v->sinks = fg_arena_take(a, size, sizeof *v->sinks);
    v->ring = fg_arena_take(a, size, sizeof *v->ring);
    v->urgent = fg_arena_zeros(a, size, sizeof *v->urgent);
    if (a->status != FG_OK)
        return a->status;
    for (uint32_t node = 0; node < g->size; node++)
        number[node] = NONE;
    v->operations = v->count = list->size;
    memcpy(v->node, list->order, list->size * sizeof *v->node);
    for (uint32_t i = 0; i < v->operations; i++)
        number[v->node[i]] = i;
    for (uint32_t node = 0; node < g->size && list->stream == FG_LANE_STREAM; node++)
        if (g->op[node] == FG_LEAF && g->stream[node] == FG_LANE_STREAM) {
            v->node[v->count] = node;
            number[node] = v->count++;
        }
    for (uint32_t i = 0; i < v->count; i++)
        v->sinks[i] = g->sinks[v->node[i]] > 0;
    find_rings(v, g, input);
    find_operands(v, g, number);
    find_urgent(v, g, number);
    return FG_OK;
}

/* ------------------------------------------------------------------------------------------------- trees */

/* How many leaves a tree may have. Above that the widest operand becomes a tree of its own: the terms of a long sum shall
 * not wait for each other. */
enum { WIDTH = 2 };

static uint32_t narrow(plan *s, uint32_t i)
{
    const values *v = &s->v;
    for (;;) {
        uint32_t width = 0, widest = 1, cut = NONE;
        for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
            uint32_t x = v->operand[k];
            width += s->width[x];
            if (s->width[x] > widest) {
                widest = s->width[x];
                cut = x;
            }
        }
        if (width <= WIDTH || cut == NONE)
            return width;
        s->inner[cut] = 0;
        s->width[cut] = s->room[cut] = 1;
    }
}

/* About how many values are alive while the tree of an operation is computed, what needs most room first. */
static uint32_t room_of(const plan *s, uint32_t i)
{
    const values *v = &s->v;
    uint32_t most = 1, as_much = 0, count = v->first[i + 1] - v->first[i];
    for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
        uint32_t room = s->room[v->operand[k]];
        as_much = room > most ? 1 : as_much + (room == most);
        most = room > most ? room : most;
    }
    most += as_much > 1 ? as_much - 1 : 0;
    return most > count ? most : count;
}

static void find_trees(plan *s)
{
    const values *v = &s->v;
    for (uint32_t x = 0; x < v->count; x++)
        s->width[x] = s->room[x] = 1;
    for (uint32_t i = 0; i < v->operations; i++) {
        s->inner[i] = v->users[i] == 1 && !v->sinks[i];
        uint32_t width = narrow(s, i), room = room_of(s, i);
        if (s->inner[i]) {
            s->width[i] = width > 1 ? width : 1;
            s->room[i] = room;
        }
    }
    s->trees = 0;
    for (uint32_t i = 0; i < v->operations; i++)
        if (!s->inner[i])
            s->tree[s->trees++].root = i;
}

/* Puts the inner operands of an operation on the stack, what needs most room lowest, so that it is computed first: the
 * operations of a tree come off in reverse order. */
static uint32_t push_inner(plan *s, uint32_t i, uint32_t height)
{
    const values *v = &s->v;
    uint32_t base = height;
    for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
        uint32_t x = v->operand[k], at = height;
        if (x >= v->operations || !s->inner[x])
            continue;
        for (height++; at > base && height - base <= 8 && s->room[s->stack[at - 1]] < s->room[x]; at--)
            s->stack[at] = s->stack[at - 1];
        s->stack[at] = x;
    }
    return height;
}

/* The operations of a tree in order, and the values that it needs, each once. */
static void walk_tree(plan *s, uint32_t t, uint32_t *parts, uint32_t *needs)
{
    const values *v = &s->v;
    uint32_t low = *parts, height = 1;
    s->tree[t].part = *parts;
    s->tree[t].need = *needs;
    s->stack[0] = s->tree[t].root;
    while (height > 0) {
        uint32_t i = s->stack[--height];
        s->part[(*parts)++] = i;
        for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
            uint32_t x = v->operand[k];
            if ((x < v->operations && s->inner[x]) || s->seen[x] == t)
                continue;
            s->seen[x] = t;
            s->need[(*needs)++] = x;
        }
        height = push_inner(s, i, height);
    }
    for (uint32_t high = *parts - 1; low < high; low++, high--) {
        uint32_t i = s->part[high];
        s->part[high] = s->part[low];
        s->part[low] = i;
    }
}

static void connect_trees(plan *s)
{
    uint32_t parts = 0, needs = 0;
    for (uint32_t x = 0; x < s->v.count; x++) {
        s->seen[x] = NONE;
        s->supply[x] = (supply){0, 0, NONE};
    }
    for (uint32_t t = 0; t < s->trees; t++)
        walk_tree(s, t, &parts, &needs);
    s->tree[s->trees] = (tree){.part = parts, .need = needs};
    for (uint32_t t = s->trees; t-- > 0;) {
        s->tree[t].waits = 0;
        for (uint32_t k = s->tree[t].need; k < s->tree[t + 1].need; k++) {
            supply *x = &s->supply[s->need[k]];
            s->owner[k] = t;
            s->next[k] = x->user;
            x->user = k;
            x->left++;
            x->last ^= t;
            s->tree[t].waits += s->need[k] < s->v.operations;
        }
    }
}

void fg_find_trees(plan *s)
{
    find_trees(s);
    connect_trees(s);
}
