/* The compiler: from a program to code. This file calls the others and puts their results together. */
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "program_private.h"
#include "tape.h"

/* ------------------------------------------------------------------------------------------------ memory */

struct fg_arena_block {
    struct fg_arena_block *next;
    size_t size;
};

enum { ALIGN = 16, FIRST_BLOCK = 1 << 16 };

_Static_assert(sizeof(struct fg_arena_block) % ALIGN == 0, "what follows the head of a block is aligned");

/* Goes on to a block with room, one that has been given back or a new one, twice as large as the last. */
static int next_block(fg_arena *arena, size_t bytes)
{
    struct fg_arena_block *now = arena->current, *next = now ? now->next : arena->first;
    size_t size = now ? 2 * now->size : FIRST_BLOCK;
    if (!next || next->size < bytes) {
        struct fg_arena_block *block = malloc(sizeof *block + (size < bytes ? bytes : size));
        if (!block)
            return FG_NO_MEMORY;
        *block = (struct fg_arena_block){next, size < bytes ? bytes : size};
        *(now ? &now->next : &arena->first) = block;
        next = block;
    }
    arena->current = next;
    arena->used = 0;
    return FG_OK;
}

void *fg_arena_take(fg_arena *arena, size_t count, size_t size)
{
    if (count > SIZE_MAX / 4 / size)
        arena->status = FG_TOO_LARGE;
    if (arena->status != FG_OK)
        return NULL;
    size_t bytes = (count * size + ALIGN) / ALIGN * ALIGN;
    if (!arena->current || bytes > arena->current->size - arena->used)
        arena->status = next_block(arena, bytes);
    if (arena->status != FG_OK)
        return NULL;
    void *memory = (char *)(arena->current + 1) + arena->used;
    arena->used += bytes;
    return memory;
}

void *fg_arena_zeros(fg_arena *arena, size_t count, size_t size)
{
    void *memory = fg_arena_take(arena, count, size);
    return memory ? memset(memory, 0, count * size) : NULL;
}

fg_arena_mark fg_arena_set(const fg_arena *arena)
{
    return (fg_arena_mark){arena->current, arena->used};
}

void fg_arena_back(fg_arena *arena, fg_arena_mark mark)
{
    arena->current = mark.current;
    arena->used = mark.used;
}

void fg_arena_free(fg_arena *arena)
{
    while (arena->first) {
        struct fg_arena_block *next = arena->first->next;
        free(arena->first);
        arena->first = next;
    }
}

/* ---------------------------------------------------------------------------------------------- operands */

int fg_uses_pool(int op)
{
    if (op < FG_OP_COUNT)
        return is_nary(op);
    return op == FG_I_CHAIN || op == FG_I_LOAD || op == FG_I_STORE;
}

int fg_has_result(int op)
{
    switch (op) {
    case FG_I_LOAD:
    case FG_I_STORE:
    case FG_I_SUM:
    case FG_I_SUM_MUL:
    case FG_I_SUM_ZMUL:
    case FG_I_GUARD:
        return 0;
    default:
        return 1;
    }
}

uint32_t fg_operand_count(const fg_instr *i)
{
    if (i->op < FG_OP_COUNT)
        return is_nary(i->op) ? i->b : fg_operands[i->op];
    switch (i->op) {
    case FG_I_CHAIN:
        return 2 * i->b;
    case FG_I_STORE:
        return i->b;
    case FG_I_MUL_ADD:
    case FG_I_MUL_SUB:
    case FG_I_SUB_MUL:
        return 3;
    case FG_I_SUM_MUL:
    case FG_I_SUM_ZMUL:
        return 2;
    case FG_I_SUM:
    case FG_I_SPLAT:
    case FG_I_GUARD:
        return 1;
    default:
        return 0;
    }
}

uint32_t *fg_operand_at(fg_instr *i, uint32_t *pool, uint32_t k)
{
    if (i->op == FG_I_CHAIN)
        return pool + i->a + 3 * (k / 2) + 1 + k % 2;
    if (i->op == FG_I_STORE)
        return pool + i->a + i->b + k;
    if (i->op < FG_OP_COUNT && is_nary(i->op))
        return pool + i->a + k;
    return k == 0 ? &i->a : k == 1 ? &i->b : &i->c;
}

/* -------------------------------------------------------------------------------------------- the code */

void fg_code_free(fg_code *code)
{
    fg_unlink(code);
    free(code->uniform);
    free(code->lane);
    free(code->pool);
    free(code->constant);
    free(code->uniform_input);
    free(code->uniform_output);
    free(code->expected);
    memset(code, 0, sizeof *code);
}

void *fg_keep(const void *data, size_t count, size_t size)
{
    void *copy = malloc(count ? count * size : 1);
    if (copy && count && data)
        memcpy(copy, data, count * size);
    return copy;
}

/* The uniform stream is not scheduled: its values have places of their own, so that there is nothing to save. Where they are
 * given their places, its instructions are sorted. */
static int make_stream(fg_graph *g, fg_list *list, const fg_code_options *options, fg_code *code)
{
    int status = fg_schedule(g, list, list->stream == FG_LANE_STREAM && options->passes & FG_SCHEDULE);
    if (status == FG_OK)
        status = fg_fuse(g, list, options->passes & FG_FUSE, options);
    if (status != FG_OK)
        return status;
    return list->stream == FG_LANE_STREAM ? fg_allocate_slots(g, list, code, options->lanes)
                                          : fg_allocate_places(g, list, options->passes & FG_SCHEDULE, code);
}

static int join(fg_graph *g, const fg_code_options *options, const fg_list *uniform, const fg_list *lane, fg_code *code)
{
    code->constants = g->constants;
    code->inputs = g->inputs;
    code->outputs = g->outputs;
    code->guards = g->guards;
    code->uniform_size = uniform->instrs;
    code->lane_size = lane->instrs;
    code->pool_size = uniform->pool_size + lane->pool_size;
    code->constant = fg_keep(g->constant, g->constants, sizeof *g->constant);
    code->uniform = fg_keep(uniform->instr, uniform->instrs, sizeof *uniform->instr);
    code->lane = fg_keep(lane->instr, lane->instrs, sizeof *lane->instr);
    code->pool = malloc(sizeof *code->pool * ((size_t)code->pool_size + 1));
    code->expected = fg_keep(options->expected, g->guards, 1);
    if (!code->constant || !code->uniform || !code->lane || !code->pool || !code->expected)
        return FG_NO_MEMORY;
    if (uniform->pool_size)
        memcpy(code->pool, uniform->pool, sizeof *code->pool * uniform->pool_size);
    if (lane->pool_size)
        memcpy(code->pool + uniform->pool_size, lane->pool, sizeof *code->pool * lane->pool_size);
    for (uint32_t i = 0; i < code->lane_size; i++)
        if (fg_uses_pool(code->lane[i].op))
            code->lane[i].a += uniform->pool_size;
    return FG_OK;
}

static int make_code(fg_graph *g, const fg_code_options *options, fg_code *code)
{
    fg_list uniform = {.stream = FG_UNIFORM_STREAM}, lane = {.stream = FG_LANE_STREAM};
    int status = fg_hoist(g, options);
    if (status == FG_OK)
        status = make_stream(g, &uniform, options, code);
    code->sums = g->sums;
    if (status == FG_OK && g->lanes)
        status = make_stream(g, &lane, options, code);
    code->fastmath = options->fastmath;
    return status == FG_OK ? join(g, options, &uniform, &lane, code) : status;
}

int fg_compile(const fg_program *p, const fg_code_options *options, fg_code *code)
{
    fg_graph g = {.size = 0};
    memset(code, 0, sizeof *code);
    if (options->guards > p->outputs || options->lanes > FG_MAX_LANES || options->lanes % 8 != 0)
        return FG_BAD_PROGRAM;
    int status = fg_lower(p, options, &g);
    if (status == FG_OK)
        status = make_code(&g, options, code);
    fg_arena_free(&g.arena);
#ifndef NDEBUG
    if (status == FG_OK)
        status = fg_code_verify(code);
#endif
    if (status == FG_OK)
        status = fg_link(code);
    if (status != FG_OK)
        fg_code_free(code);
    return status;
}
