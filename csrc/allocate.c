/* Allocation: slots for the lane stream by liveness: what has been read for the last time makes room for what is computed
 * next. The stream gets its loads and stores here. */
#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <unistd.h>
#endif

#include <string.h>

#include "graph.h"
#include "tape.h"

/* Values and where they are; `last` is the time when a value is read for the last time: 2 i when instruction i runs, 2 i + 1
 * for the stores behind it. `free` is a stack, so that what was used last, and is in the cache, is used again. */
typedef struct allocation {
    fg_graph *g;
    fg_list *list;
    uint32_t *slot;
    uint32_t *last;
    uint32_t *free;
    uint32_t free_count, slots;
} allocation;

static int begin(allocation *s, fg_graph *g, fg_list *list)
{
    size_t values = (size_t)list->values + 1;
    s->g = g;
    s->list = list;
    s->slot = fg_arena_take(&g->arena, values, sizeof *s->slot);
    s->last = fg_arena_zeros(&g->arena, values, sizeof *s->last);
    s->free = fg_arena_take(&g->arena, values, sizeof *s->free);
    return g->arena.status;
}

static uint32_t take_slot(allocation *s, uint32_t value)
{
    return s->slot[value] = s->free_count > 0 ? s->free[--s->free_count] : s->slots++;
}

/* Gives the slot back if nobody needs the value after this time. */
static void release(allocation *s, uint32_t value, uint32_t time)
{
    if (s->last[value] > time)
        return;
    s->last[value] = UINT32_MAX; /* once only, where an instruction reads it twice */
    s->free[s->free_count++] = s->slot[value];
}

static void find_last(allocation *s)
{
    fg_list *list = s->list;
    for (uint32_t i = 0; i < list->instrs; i++) {
        fg_instr *instr = &list->instr[i];
        for (uint32_t k = 0, count = fg_operand_count(instr); k < count; k++) {
            uint32_t x = *fg_operand_at(instr, list->pool, k);
            if (!(x & FG_UNIFORM))
                s->last[x] = 2 * i;
        }
    }
}

/* Puts slots (and places, where operands are uniform) into an instruction. The result may take the slot of an operand. */
static void place_instruction(allocation *s, fg_instr *instr, uint32_t time)
{
    uint32_t *pool = s->list->pool, count = fg_operand_count(instr);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t *x = fg_operand_at(instr, pool, k), value = *x;
        if (value & FG_UNIFORM) {
            *x = FG_UNIFORM | s->g->place[value & ~FG_UNIFORM];
            continue;
        }
        *x = s->slot[value];
        release(s, value, time);
    }
    if (!fg_has_result(instr->op))
        return;
    uint32_t value = instr->z;
    instr->z = take_slot(s, value);
    release(s, value, time);
}

/* ------------------------------------------------------------------------------------- loads and stores */

/* Neighbours are loaded and stored together, up to GROUP of them, where that keeps none waiting for more than WINDOW
 * instructions. */
enum { GROUP = 8, WINDOW = 256 };

typedef struct transfers {
    uint32_t *at;            /* of a value: the instruction that uses it first, or computes it */
    uint32_t *input;         /* of an input its node, or FG_NO_PLACE                           */
    uint32_t *load, *store;  /* of an instruction: the first group before it, behind it        */
    uint32_t *first, *count; /* of a group: its first member and how many they are             */
    uint32_t *next;
    uint32_t groups;
} transfers;

static int make_transfers(allocation *s, transfers *t)
{
    fg_arena *a = &s->g->arena;
    size_t instrs = (size_t)s->list->instrs + 1, ends = (size_t)s->g->inputs + s->g->outputs + 1;
    t->at = fg_arena_take(a, (size_t)s->list->values + 1, sizeof *t->at);
    t->input = fg_arena_take(a, ends, sizeof *t->input);
    t->load = fg_arena_take(a, instrs, sizeof *t->load);
    t->store = fg_arena_take(a, instrs, sizeof *t->store);
    t->first = fg_arena_take(a, ends, sizeof *t->first);
    t->count = fg_arena_take(a, ends, sizeof *t->count);
    t->next = fg_arena_take(a, ends, sizeof *t->next);
    if (a->status != FG_OK)
        return a->status;
    memset(t->at, 0xff, (size_t)s->list->values * sizeof *t->at);
    memset(t->input, 0xff, ends * sizeof *t->input);
    memset(t->load, 0xff, instrs * sizeof *t->load);
    memset(t->store, 0xff, instrs * sizeof *t->store);
    return FG_OK;
}

static void find_times(allocation *s, transfers *t)
{
    const fg_graph *g = s->g;
    fg_list *list = s->list;
    for (uint32_t v = 0; v < g->size; v++)
        if (g->op[v] == FG_LEAF && g->stream[v] == FG_LANE_STREAM)
            t->input[g->leaf[v]] = v;
    for (uint32_t i = 0; i < list->instrs; i++) {
        fg_instr *instr = &list->instr[i];
        for (uint32_t k = 0, count = fg_operand_count(instr); k < count; k++) {
            uint32_t x = *fg_operand_at(instr, list->pool, k);
            if (!(x & FG_UNIFORM) && t->at[x] == FG_NO_PLACE)
                t->at[x] = i;
        }
        if (fg_has_result(instr->op))
            t->at[instr->z] = i;
    }
}

static void add_group(transfers *t, uint32_t *list, uint32_t first, uint32_t count)
{
    uint32_t group = t->groups++;
    t->first[group] = first;
    t->count[group] = count;
    t->next[group] = *list;
    *list = group;
}

/* Outputs, each as soon as it and the neighbours that come at about the same time are there. */
static void group_stores(allocation *s, transfers *t)
{
    const fg_graph *g = s->g;
    uint32_t end = s->list->instrs, stored = g->outputs - g->guards;
    for (uint32_t k = 0, count; k < stored; k += count) {
        uint32_t from = UINT32_MAX, to = 0;
        for (count = 0; count < GROUP && k + count < stored; count++) {
            uint32_t v = g->output[k + count], at = t->at[v] == FG_NO_PLACE ? end : t->at[v];
            uint32_t low = at < from ? at : from, high = at > to ? at : to;
            if (g->stream[v] == FG_UNIFORM_STREAM)
                continue;
            if (high - low > WINDOW)
                break;
            from = low;
            to = high;
        }
        add_group(t, &t->store[to], k, count);
        for (uint32_t m = 0; m < count; m++) {
            uint32_t v = g->output[k + m];
            s->last[v] = s->last[v] > 2 * to + 1 ? s->last[v] : 2 * to + 1;
            t->at[v] = t->at[v] == FG_NO_PLACE ? end : t->at[v];
        }
    }
}

/* Inputs, right before the first use of one of them. */
static void group_loads(allocation *s, transfers *t)
{
    for (uint32_t k = 0, count; k < s->g->inputs; k += count) {
        uint32_t from = UINT32_MAX, to = 0;
        for (count = 0; count < GROUP && k + count < s->g->inputs; count++) {
            uint32_t v = t->input[k + count];
            if (v == FG_NO_PLACE || t->at[v] == FG_NO_PLACE)
                break;
            uint32_t low = t->at[v] < from ? t->at[v] : from, high = t->at[v] > to ? t->at[v] : to;
            if (high - low > WINDOW)
                break;
            from = low;
            to = high;
        }
        if (count > 0)
            add_group(t, &t->load[from], k, count);
        else
            count = 1;
    }
}

static fg_instr *begin_transfer(fg_list *list, fg_instr *to, int op, uint32_t first, uint32_t count)
{
    *to = (fg_instr){.op = (uint16_t)op, .a = list->pool_size, .b = count, .node = FG_NO_PLACE};
    for (uint32_t k = 0; k < count; k++)
        list->pool[list->pool_size++] = first + k;
    return to;
}

static fg_instr *emit_loads(allocation *s, const transfers *t, fg_instr *to, uint32_t at)
{
    fg_list *list = s->list;
    for (uint32_t group = t->load[at]; group != FG_NO_PLACE; group = t->next[group], to++) {
        begin_transfer(list, to, FG_I_LOAD, t->first[group], t->count[group]);
        for (uint32_t k = 0; k < t->count[group]; k++)
            list->pool[list->pool_size++] = take_slot(s, t->input[t->first[group] + k]);
    }
    return to;
}

static fg_instr *emit_stores(allocation *s, const transfers *t, fg_instr *to, uint32_t at)
{
    const fg_graph *g = s->g;
    fg_list *list = s->list;
    for (uint32_t group = t->store[at]; group != FG_NO_PLACE; group = t->next[group], to++) {
        begin_transfer(list, to, FG_I_STORE, t->first[group], t->count[group]);
        for (uint32_t k = 0; k < t->count[group]; k++) {
            uint32_t v = g->output[t->first[group] + k];
            list->pool[list->pool_size++] = v | (g->stream[v] == FG_UNIFORM_STREAM ? FG_UNIFORM : 0);
        }
        place_instruction(s, to, 2 * at + 1);
    }
    return to;
}

/* ------------------------------------------------------------------------------------------------ slots */

/* Bytes of the caches near the processor, where the system tells. */
static size_t first_cache(void)
{
#ifdef _SC_LEVEL1_DCACHE_SIZE
    long size = sysconf(_SC_LEVEL1_DCACHE_SIZE);
    if (size > 0)
        return (size_t)size;
#endif
    return 32 * 1024;
}

static size_t second_cache(void)
{
#ifdef _SC_LEVEL2_CACHE_SIZE
    long size = sysconf(_SC_LEVEL2_CACHE_SIZE);
    if (size > 0)
        return (size_t)size;
#endif
    return 512 * 1024;
}

/* Most lanes where all slots then fit the first cache, and fewer where they overflow the second. But not few: with each
 * halving more of the time goes into finding out what to do next. (10,000 operations, 3,352 slots: 23.8 us a row with 8
 * lanes, 10.7 with 32, 10.0 with 64; 253 steps of an option, 758 slots: 2.0, 1.2, 1.2.) */
static uint32_t choose_lanes(uint32_t slots)
{
    size_t lane = sizeof(double) * ((size_t)slots + 1), second = second_cache();
    if (FG_MAX_LANES * lane <= first_cache() / 3 * 2)
        return FG_MAX_LANES;
    return 128 * lane <= second ? 128 : 64 * lane <= 8 * second ? 64 : 32;
}

int fg_allocate_slots(fg_graph *g, fg_list *list, fg_code *code, uint32_t lanes)
{
    allocation s = {.g = g};
    transfers t = {.groups = 0};
    int status = begin(&s, g, list);
    if (status == FG_OK)
        status = make_transfers(&s, &t);
    size_t most = (size_t)list->instrs + g->inputs + g->outputs + 1;
    fg_instr *instr = fg_arena_take(&g->arena, most, sizeof *instr), *to = instr;
    if (status != FG_OK || !instr)
        return g->arena.status;
    find_last(&s);
    find_times(&s, &t);
    if (!code->sums)
        group_stores(&s, &t);
    group_loads(&s, &t);
    for (uint32_t i = 0; i <= list->instrs; i++) {
        to = emit_loads(&s, &t, to, i);
        if (i < list->instrs) {
            *to = list->instr[i];
            place_instruction(&s, to++, 2 * i);
        }
        to = emit_stores(&s, &t, to, i);
    }
    list->instrs = (uint32_t)(to - instr);
    list->instr = instr;
    code->slots = s.slots;
    code->lanes = lanes ? lanes : choose_lanes(s.slots);
    return FG_OK;
}
