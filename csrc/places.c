/* Places: where the uniform stream keeps its values, and with it the order of its instructions.
 *
 * What a function does in a loop is recorded turn by turn. Here instructions that are alike and do not wait for each other
 * come together again: in the order of their depth, then of their shape, then of the places of their operands. Their
 * results lie side by side, so that the operands of their users often do. link.c makes groups of such neighbours, which run
 * as the lanes of one instruction. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "tape.h"

enum { SIDE_BY_SIDE = 8 }; /* so many neighbours begin at a multiple of it */
enum { COMPARED = 4 };     /* operands: what has these in common is in the order of the recording */

typedef struct item {
    uint64_t shape;
    uint32_t depth, at; /* `at`: in the order of the recording */
    uint32_t operands, operand[COMPARED];
} item;

static int list_uniform_inputs(fg_graph *g, fg_code *code)
{
    code->uniform_input = fg_keep(NULL, g->inputs, sizeof *code->uniform_input);
    code->uniform_output = fg_keep(NULL, g->outputs, sizeof *code->uniform_output);
    if (!code->uniform_input || !code->uniform_output)
        return FG_NO_MEMORY;
    for (uint32_t k = 0; k < g->inputs; k++)
        if (!g->batched[k])
            code->uniform_input[code->uniform_inputs++] = k;
    return FG_OK;
}

/* A hash: two shapes that have the same one only lie together, and are told from each other later on. */
static uint64_t shape_of(const fg_instr *i, const uint32_t *pool)
{
    const uint64_t prime = 0x100000001B3u;
    uint64_t shape = ((uint64_t)i->op + 1) * prime;
    if (fg_uses_pool(i->op))
        shape = (shape ^ i->b) * prime;
    for (uint32_t t = 0; i->op == FG_I_CHAIN && t < i->b; t++)
        shape = (shape ^ pool[i->a + 3 * t]) * prime;
    return shape;
}

static int compare(uint64_t x, uint64_t y)
{
    return (x > y) - (x < y);
}

static int by_depth_and_shape(const void *a, const void *b)
{
    const item *x = a, *y = b;
    int order = compare(x->depth, y->depth);
    order = order ? order : compare(x->shape, y->shape);
    return order ? order : compare(x->at, y->at);
}

static int by_operands(const void *a, const void *b)
{
    const item *x = a, *y = b;
    int order = 0;
    for (uint32_t k = 0; order == 0 && k < x->operands && k < y->operands; k++)
        order = compare(x->operand[k], y->operand[k]);
    return order ? order : compare(x->at, y->at);
}

/* One deeper than what it waits for. */
static void sort_by_depth(const fg_list *list, item *items, uint32_t *depth)
{
    for (uint32_t i = 0; i < list->instrs; i++) {
        fg_instr *instr = &list->instr[i];
        uint32_t deepest = 0;
        for (uint32_t k = 0, count = fg_operand_count(instr); k < count; k++) {
            uint32_t d = depth[*fg_operand_at(instr, list->pool, k)];
            deepest = d > deepest ? d : deepest;
        }
        depth[instr->z] = deepest + 1;
        items[i] = (item){.shape = shape_of(instr, list->pool), .depth = deepest + 1, .at = i};
    }
    qsort(items, list->instrs, sizeof *items, by_depth_and_shape);
}

static uint32_t like_the_first(const item *items, uint32_t count)
{
    uint32_t n = 1;
    while (n < count && items[n].depth == items->depth && items[n].shape == items->shape)
        n++;
    return n;
}

/* Whether most have enough neighbours for a group. Where they have not, the order of the recording is better: a processor
 * foresees the next operation best where code repeats itself as its loops did. */
static int is_worth_it(const item *items, uint32_t count)
{
    uint32_t grouped = 0;
    for (uint32_t i = 0, n; i < count; i += n) {
        n = like_the_first(items + i, count - i);
        grouped += n >= SIDE_BY_SIDE ? n : 0;
    }
    return 2 * grouped >= count;
}

static void place_operands(const fg_list *list, item *i, const uint32_t *place)
{
    fg_instr *instr = &list->instr[i->at];
    for (uint32_t k = 0, count = fg_operand_count(instr); k < count; k++) {
        uint32_t *x = fg_operand_at(instr, list->pool, k);
        *x = place[*x];
        if (k < COMPARED)
            i->operand[i->operands++] = *x;
    }
}

/* All of one depth and shape. */
static void place_alike(const fg_list *list, item *items, uint32_t n, int sort, uint32_t *place, fg_code *code)
{
    for (uint32_t i = 0; i < n; i++)
        place_operands(list, &items[i], place);
    if (sort)
        qsort(items, n, sizeof *items, by_operands);
    if (n >= SIDE_BY_SIDE)
        code->uniforms = (code->uniforms + SIDE_BY_SIDE - 1) / SIDE_BY_SIDE * SIDE_BY_SIDE;
    for (uint32_t i = 0; i < n; i++) {
        fg_instr *instr = &list->instr[items[i].at];
        place[instr->z] = code->uniforms;
        instr->z = code->uniforms++;
    }
}

static void place_instructions(fg_list *list, item *items, fg_instr *sorted, int sort, uint32_t *place, fg_code *code)
{
    for (uint32_t i = 0, n; i < list->instrs; i += n) {
        n = sort ? like_the_first(items + i, list->instrs - i) : 1;
        place_alike(list, items + i, n, sort, place, code);
    }
    for (uint32_t i = 0; i < list->instrs; i++)
        sorted[i] = list->instr[items[i].at];
    list->instr = sorted;
}

/* Constants and inputs come first. Each place is written once, and they are written in ascending order: what an instruction
 * leaves behind its own results, others still overwrite. */
int fg_allocate_places(fg_graph *g, fg_list *list, int sort, fg_code *code)
{
    uint32_t *input = fg_arena_take(&g->arena, (size_t)g->inputs + 1, sizeof *input);
    uint32_t *place = fg_arena_take(&g->arena, (size_t)g->size + 1, sizeof *place);
    uint32_t *depth = fg_arena_zeros(&g->arena, (size_t)g->size + 1, sizeof *depth);
    item *items = fg_arena_zeros(&g->arena, (size_t)list->instrs + 1, sizeof *items);
    fg_instr *sorted = fg_arena_take(&g->arena, (size_t)list->instrs + 1, sizeof *sorted);
    int status = g->arena.status == FG_OK ? list_uniform_inputs(g, code) : g->arena.status;
    if (status != FG_OK)
        return status;
    for (uint32_t k = 0; k < code->uniform_inputs; k++)
        input[code->uniform_input[k]] = g->constants + k;
    for (uint32_t v = 0; v < g->size; v++)
        if (fg_is_leaf(g, v) && g->stream[v] == FG_UNIFORM_STREAM)
            place[v] = g->op[v] == FG_CONST ? g->leaf[v] : input[g->leaf[v]];
    code->uniforms = g->constants + code->uniform_inputs;
    if (sort)
        sort_by_depth(list, items, depth);
    if (!sort || !is_worth_it(items, list->instrs))
        for (uint32_t i = sort = 0; i < list->instrs; i++)
            items[i] = (item){.at = i};
    place_instructions(list, items, sorted, sort, place, code);
    for (uint32_t k = 0; k < g->outputs; k++) {
        uint32_t v = g->output[k];
        code->uniform_output[k] = g->stream[v] == FG_UNIFORM_STREAM ? place[v] : FG_NO_PLACE;
    }
    g->place = place;
    return FG_OK;
}
