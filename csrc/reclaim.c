/* Reclaiming: the living nodes slide down, in order. */
#include "tape_private.h"

static int any_handle(fg_handle *const *handle, uint32_t first, uint32_t end)
{
    uintptr_t any = 0;
    for (uint32_t i = first; i < end; i++)
        any |= (uintptr_t)handle[i];
    return any != 0;
}

void fg_tape_mark(fg_tape *t)
{
    marks m = {t->reached, t->block};
    fg_handle *const *handle = t->handle;
    const fg_args *args = t->args;
    const uint8_t *op = t->op;
    reach(m, FG_VOID);
    for (uint32_t end = t->size; end > 0;) {
        uint32_t first = (end - 1) / FG_BLOCK * FG_BLOCK, i = end;
        end = first;
        if (!m.block[first / FG_BLOCK] && !any_handle(handle, first, i))
            continue;
        while (i-- > first) {
            if (m.reached[i] || (handle[i] && !(handle[i]->flags & FG_WEAK))) {
                reach(m, i);
                reach_operands(t, m, op[i], args[i]);
            }
        }
    }
}

static inline uint32_t moved_operand(const uint32_t *moved, uint32_t operand)
{
    return moved[FG_INDEX(operand)] | (operand & FG_NO_ADJOINT);
}

/* Moves the pool entries of n-ary node i to p and renumbers its operands; returns how many entries it has. */
static uint32_t move_entries(fg_tape *t, uint32_t i, uint32_t p)
{
    fg_args at = t->args[i];
    uint32_t entries = pool_entries(t, i);
    memmove(t->pool + p, t->pool + at.a, entries * sizeof *t->pool);
    for (uint32_t k = 0; k < at.b; k++)
        t->pool[p + k] = moved_operand(t->moved, t->pool[p + k]);
    return entries;
}

/* Moves the marked nodes from `first` to `end` down to n and behind; their operands have moved already. */
static uint32_t slide_block(fg_tape *t, uint32_t first, uint32_t end, uint32_t n, uint32_t *pool_end)
{
    double *value = t->value, *grad = t->grad;
    fg_args *args = t->args;
    fg_handle **handle = t->handle;
    uint32_t *moved = t->moved;
    uint8_t *op = t->op;
    const uint8_t *reached = t->reached;
    for (uint32_t i = first; i < end; i++) {
        if (!reached[i])
            continue;
        fg_args at = args[i];
        int operands = fg_arity[op[i] & ~FG_CLOSURE];
        if (operands == NARY) {
            uint32_t entries = move_entries(t, i, *pool_end);
            at.a = *pool_end;
            *pool_end += entries;
        } else {
            if (operands == 2)
                at.b = moved_operand(moved, at.b);
            if (operands >= 1)
                at.a = moved_operand(moved, at.a);
        }
        moved[i] = n;
        value[n] = value[i];
        grad[n] = grad[i];
        args[n] = at;
        op[n] = op[i];
        handle[n] = handle[i];
        if (handle[n])
            handle[n]->node = n;
        n++;
    }
    return n;
}

void fg_tape_unmark(fg_tape *t)
{
    ZERO(t->reached, 0, t->size);
    ZERO(t->block, 0, block_count(t->size));
}

void fg_tape_slide(fg_tape *t)
{
    uint32_t n = 0, pool_end = 0;
    for (uint32_t first = 0; first < t->size; first += FG_BLOCK) {
        uint32_t end = t->size - first < FG_BLOCK ? t->size : first + FG_BLOCK;
        if (t->block[first / FG_BLOCK])
            n = slide_block(t, first, end, n, &pool_end);
    }
    fg_tape_unmark(t);
    t->size = n;
    t->pool_size = pool_end;
    t->reclaims++;
}
