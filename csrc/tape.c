/* The tape: its memory, and what its nodes are. */
#if defined(__linux__)
#define _DEFAULT_SOURCE
#include <sys/mman.h>
#endif

#include <stdlib.h>

#include "kernels.h"
#include "reduce.h"
#include "tape_private.h"

int fg_is_nary(int op)
{
    return fg_arity[op & ~FG_CLOSURE] == NARY;
}

/* ------------------------------------------------------------------------------------------------ memory */

int fg_tape_init(fg_tape *t, uint32_t capacity)
{
    memset(t, 0, sizeof *t);
    int status = fg_tape_grow(t, capacity, capacity / 2);
    if (status == FG_OK)
        fg_append(t, FG_LEAF, 0, 0, NAN, NULL);
    return status;
}

void fg_tape_free(fg_tape *t)
{
    free(t->value);
    free(t->grad);
    free(t->adjoint);
    free(t->args);
    free(t->handle);
    free(t->moved);
    free(t->op);
    free(t->reached);
    free(t->block);
    free(t->pool);
    memset(t, 0, sizeof *t);
}

size_t fg_tape_bytes(const fg_tape *t)
{
    size_t node = sizeof *t->value + sizeof *t->grad + sizeof *t->adjoint + sizeof *t->args + sizeof *t->handle
                  + sizeof *t->moved + sizeof *t->op + sizeof *t->reached;
    return node * t->capacity + block_count(t->capacity) + sizeof *t->pool * t->pool_capacity;
}

/* The capacity for `more` on top of `size`: at least twice what there is, so that growing costs a constant per node, and
 * no more, so that memory stays within twice of what lives. 0: too large. */
static uint32_t grown(uint32_t size, uint32_t more)
{
    if (more > FG_MAX_NODES - size)
        return 0;
    uint32_t need = size + more, twice = size > FG_MAX_NODES / 2 ? FG_MAX_NODES : 2 * size;
    return need > twice ? need : twice;
}

/* Large arrays in large pages: faults on small ones double the first sweep of 10 million nodes, 15 to 8 ns a node. */
static void use_large_pages(void *array, size_t bytes)
{
#if defined(MADV_HUGEPAGE)
    const uintptr_t page = 1 << 16, enough = 1 << 22;
    uintptr_t from = ((uintptr_t)array + page - 1) / page * page, end = ((uintptr_t)array + bytes) / page * page;
    if (bytes >= enough)
        (void)madvise((void *)from, end - from, MADV_HUGEPAGE); /* a hint: that it is refused changes nothing */
#else
    (void)array;
    (void)bytes;
#endif
}

/* On failure the arrays that did grow stay grown and capacity stays as it was: the tape is valid. */
#define RESIZE(array, count) \
    do { \
        size_t elements = (count); \
        if (elements > SIZE_MAX / sizeof *(array)) \
            return FG_TOO_LARGE; \
        void *resized = realloc((array), elements * sizeof *(array)); \
        if (!resized) \
            return FG_NO_MEMORY; \
        (array) = resized; \
        use_large_pages((array), elements * sizeof *(array)); \
    } while (0)

/* The same for an array that is zero but while a sweep is under way: nothing to copy, and pages of zeros that nobody has
 * touched cost nothing. `count` elements of `kept` are copied. */
#define RENEW(array, count, kept) \
    do { \
        void *fresh = calloc((count), sizeof *(array)); \
        if (!fresh) \
            return FG_NO_MEMORY; \
        use_large_pages(fresh, (count) * sizeof *(array)); \
        if ((kept) > 0) \
            memcpy(fresh, (array), (size_t)(kept) * sizeof *(array)); \
        free(array); \
        (array) = fresh; \
    } while (0)

static int grow_nodes(fg_tape *t, uint32_t more)
{
    if (more <= t->capacity - t->size)
        return FG_OK;
    uint32_t capacity = grown(t->size, more), swept = t->sweeping ? t->size : 0;
    if (!capacity)
        return FG_TOO_LARGE;
    RESIZE(t->value, capacity);
    RESIZE(t->grad, capacity);
    RESIZE(t->args, capacity);
    RESIZE(t->handle, capacity);
    RESIZE(t->op, capacity);
    RENEW(t->adjoint, capacity, swept);
    RENEW(t->block, block_count(capacity), swept ? block_count(swept) : 0);
    RENEW(t->reached, capacity, 0);
    RENEW(t->moved, capacity, 0);
    t->capacity = capacity;
    return FG_OK;
}

int fg_tape_grow(fg_tape *t, uint32_t nodes, uint32_t entries)
{
    int status = grow_nodes(t, nodes);
    if (status != FG_OK || entries <= t->pool_capacity - t->pool_size)
        return status;
    uint32_t capacity = grown(t->pool_size, entries);
    if (!capacity)
        return FG_TOO_LARGE;
    RESIZE(t->pool, capacity);
    t->pool_capacity = capacity;
    return FG_OK;
}

/* realloc to less may refuse too; then the larger array serves as well. */
#define HALVE(array, count) \
    do { \
        void *resized = realloc((array), (count) * sizeof *(array)); \
        if (resized) \
            (array) = resized; \
    } while (0)

void fg_tape_shrink(fg_tape *t)
{
    size_t nodes = t->capacity / 2, entries = t->pool_capacity / 2;
    if (t->size < nodes) {
        HALVE(t->value, nodes);
        HALVE(t->grad, nodes);
        HALVE(t->adjoint, nodes);
        HALVE(t->args, nodes);
        HALVE(t->handle, nodes);
        HALVE(t->moved, nodes);
        HALVE(t->op, nodes);
        HALVE(t->reached, nodes);
        HALVE(t->block, block_count((uint32_t)nodes));
        t->capacity = (uint32_t)nodes;
    }
    if (t->pool_size < entries) {
        HALVE(t->pool, entries);
        t->pool_capacity = (uint32_t)entries;
    }
}

/* ---------------------------------------------------------------------------------------------- operands */

uint32_t fg_tape_operand_count(const fg_tape *t, uint32_t node)
{
    int n = fg_arity[opcode(t, node)];
    return n == NARY ? t->args[node].b : (uint32_t)n;
}

uint32_t fg_tape_operand(const fg_tape *t, uint32_t node, uint32_t k)
{
    if (fg_is_nary(t->op[node]))
        return t->pool[t->args[node].a + k];
    return k == 0 ? t->args[node].a : t->args[node].b;
}

static inline double largest(const double *value, const uint32_t *operands, uint32_t count)
{
    double m = -INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        double x = value[FG_INDEX(operands[i])];
        m = x > m || x != x ? x : m;
    }
    return m;
}

double fg_tape_reduce(const fg_tape *t, int op, const uint32_t *operands, uint32_t count)
{
    const double *value = t->value;
    fg_parts parts = {{0.0}};
    uint32_t half = count / 2;
    switch (op) {
    case FG_TAKE:
        half = taken(value, operands, count);
        return half ? value[FG_INDEX(operands[half])] : NAN;
#define REDUCE1(name, method, label, term, finish, dx, doc) \
    case FG_OP_##name: { \
        double m = largest(value, operands, count); \
        for (uint32_t i = 0; i < count; i++) \
            fg_parts_add(&parts, i, fg_##name##_term(value[FG_INDEX(operands[i])], m)); \
        return fg_##name##_finish(fg_parts_total(&parts), m, (double)count); \
    }
#define REDUCE2(name, method, label, term, finish, dx, dy, doc) \
    case FG_OP_##name: { \
        double m = largest(value, operands, half); \
        for (uint32_t i = 0; i < half; i++) \
            fg_parts_add(&parts, i, \
                         fg_##name##_term(value[FG_INDEX(operands[i])], value[FG_INDEX(operands[half + i])])); \
        return fg_##name##_finish(fg_parts_total(&parts), m, (double)half); \
    }
#include "ops.def"
    }
    return NAN;
}

double fg_tape_partial(const fg_tape *t, uint32_t node, uint32_t k)
{
    int op = opcode(t, node);
    if (fg_arity[op] == 0 || op == FG_CUSTOM)
        return 0.0;
    if (op == FG_GIVEN)
        return given(t, node, k);
    if (op == FG_TAKE)
        return k && k == taken(t->value, t->pool + t->args[node].a, t->args[node].b) ? 1.0 : 0.0;
    uint32_t count = fg_tape_operand_count(t, node), half = count / 2;
    double z = t->value[node];
#define OPERAND(i) t->value[FG_INDEX(fg_tape_operand(t, node, (i)))]
    switch (op) {
#define OP1(kind, name, ...) \
    case FG_OP_##name: return fg_##name##_dx(OPERAND(0), z);
#define OP2(kind, name, ...) \
    case FG_OP_##name: return (k ? fg_##name##_dy : fg_##name##_dx)(OPERAND(0), OPERAND(1), z);
#define OP3(kind, name, ...) \
    case FG_OP_##name: \
        return (k == 0 ? fg_##name##_dx : k == 1 ? fg_##name##_dy : fg_##name##_dw)(OPERAND(0), OPERAND(1), OPERAND(2), z);
#define REDUCE1(name, ...) \
    case FG_OP_##name: return fg_##name##_dx(OPERAND(k), z, (double)count);
#define REDUCE2(name, ...) \
    case FG_OP_##name: \
        return k < half ? fg_##name##_dx(OPERAND(k), OPERAND(half + k), z, (double)half) \
                        : fg_##name##_dy(OPERAND(k - half), OPERAND(k), z, (double)half);
#include "ops.def"
    }
#undef OPERAND
    return NAN;
}

uint32_t fg_tape_append_custom(fg_tape *t, uint32_t n, const double *local, double value)
{
    uint32_t at = t->pool_size;
    if (local)
        memcpy(t->pool + at + n, local, n * sizeof *local);
    t->pool_size += local ? 3 * n : n;
    return fg_append(t, local ? FG_GIVEN : FG_CUSTOM, at, n, value, NULL);
}

void fg_tape_push_grad(fg_tape *t, uint32_t node)
{
    uint32_t count = fg_tape_operand_count(t, node);
    for (uint32_t k = 0; k < count; k++) {
        uint32_t operand = fg_tape_operand(t, node, k);
        if (!(operand & FG_NO_ADJOINT) && opcode(t, node) != FG_CUSTOM)
            t->grad[operand] += t->grad[node] * fg_tape_partial(t, node, k);
    }
}
