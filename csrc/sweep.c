/* The reverse sweep. */
#include <math.h>

#include "kernels.h"
#include "tape_private.h"

/* What a sweep writes to; see `marks`. It needs no mark for a node: what it has not reached has adjoint zero. */
typedef struct sink {
    double *adjoint;
    uint8_t *block;
} sink;

static inline sink sink_of(const fg_tape *t)
{
    return (sink){t->adjoint, t->block};
}

static inline void contribute(sink s, uint32_t operand, double adjoint)
{
    if (operand & FG_NO_ADJOINT)
        return;
    s.adjoint[operand] += adjoint;
    s.block[operand / FG_BLOCK] = 1;
}

/* Whether the text of a partial is literally 0.0: it passes nothing on. A compiler knows at compile time. */
static inline int is_zero(const char *text)
{
    return text[0] == '0' && text[1] == '.' && text[2] == '0' && text[3] == 0;
}

#define CONTRIBUTE(operand, text, adjoint) \
    do { \
        if (!is_zero(text)) \
            contribute(s, (operand), (adjoint)); \
    } while (0)

void fg_tape_contribute(fg_tape *t, uint32_t node, double adjoint)
{
    contribute(sink_of(t), node, adjoint);
}

static void pass_on_nary(const fg_tape *t, sink s, uint32_t node, int op, double g)
{
    fg_args at = t->args[node];
    const uint32_t *operand = t->pool + at.a;
    uint32_t half = at.b / 2;
    double z = t->value[node];
#define OPERAND(i) t->value[FG_INDEX(operand[i])]
    switch (op) {
    case FG_GIVEN:
        for (uint32_t k = 0; k < at.b; k++)
            contribute(s, operand[k], g * given(t, node, k));
        break;
    case FG_TAKE:
        half = taken(t->value, operand, at.b);
        if (half)
            contribute(s, operand[half], g);
        break;
#define OP3(kind, name, method, label, forward, dx, dy, dw, ...) \
    case FG_OP_##name: { \
        double x = OPERAND(0), y = OPERAND(1), w = OPERAND(2); \
        CONTRIBUTE(operand[0], #dx, g * fg_##name##_dx(x, y, w, z)); \
        CONTRIBUTE(operand[1], #dy, g * fg_##name##_dy(x, y, w, z)); \
        CONTRIBUTE(operand[2], #dw, g * fg_##name##_dw(x, y, w, z)); \
        break; \
    }
#define REDUCE1(name, ...) \
    case FG_OP_##name: \
        for (uint32_t k = 0; k < at.b; k++) \
            contribute(s, operand[k], g * fg_##name##_dx(OPERAND(k), z, (double)at.b)); \
        break;
#define REDUCE2(name, ...) \
    case FG_OP_##name: \
        for (uint32_t k = 0; k < half; k++) \
            contribute(s, operand[k], g * fg_##name##_dx(OPERAND(k), OPERAND(half + k), z, (double)half)); \
        for (uint32_t k = 0; k < half; k++) \
            contribute(s, operand[half + k], g * fg_##name##_dy(OPERAND(k), OPERAND(half + k), z, (double)half)); \
        break;
#include "ops.def"
    }
#undef OPERAND
}

/* Passes a node's adjoint g on to its operands, by its rule. Returns whether it had one. */
static inline int pass_on(const fg_tape *t, sink s, const double *value, uint32_t node, int op, fg_args at, double g)
{
    switch (op) {
    case FG_LEAF:
    case FG_CONST:
    case FG_CONST_INT:
    case FG_CUSTOM:
    case FG_STALE:
        return 1;
#define OP1(kind, name, method, label, forward, dx, ...) \
    case FG_OP_##name: \
        CONTRIBUTE(at.a, #dx, g * fg_##name##_dx(value[at.a], value[node])); \
        return 1;
#define OP2(kind, name, method, label, forward, dx, dy, ...) \
    case FG_OP_##name: { \
        double x = value[FG_INDEX(at.a)], y = value[FG_INDEX(at.b)], z = value[node]; \
        if (!(at.a & FG_NO_ADJOINT)) \
            CONTRIBUTE(at.a, #dx, g * fg_##name##_dx(x, y, z)); \
        if (!(at.b & FG_NO_ADJOINT)) \
            CONTRIBUTE(at.b, #dy, g * fg_##name##_dy(x, y, z)); \
        return 1; \
    }
#include "ops.def"
    default:
        if (op & FG_CLOSURE)
            return 0;
        pass_on_nary(t, s, node, op, g);
        return 1;
    }
}

void fg_tape_sweep_begin(fg_tape *t, uint32_t root)
{
    t->sweeping = 1;
    t->sweep_end = root + 1;
    fg_tape_contribute(t, root, 1.0);
}

/* Sweeps the nodes below `end` down to `first`, all of one block. Returns first, or the node whose closure is due. */
static uint32_t sweep_block(fg_tape *t, uint32_t first, uint32_t end, double *closure_adjoint, int *stopped)
{
    sink s = sink_of(t);
    const double *value = t->value;
    double *grad = t->grad;
    const fg_args *args = t->args;
    const uint8_t *op = t->op;
    /* A branch on each adjoint, rather than a search for the next one set, lets the processor run ahead. */
    for (uint32_t i = end; i-- > first;) {
        double g = s.adjoint[i];
        if (g == 0.0)
            continue;
        s.adjoint[i] = 0.0;
        grad[i] += g;
        if (!pass_on(t, s, value, i, op[i], args[i], g)) {
            *closure_adjoint = g;
            *stopped = 1;
            return i;
        }
    }
    return first;
}

int fg_tape_sweep_run(fg_tape *t, uint32_t *node, double *adjoint)
{
    uint32_t end = t->sweep_end;
    int stopped = 0;
    while (end > 0) {
        uint32_t first = (end - 1) / FG_BLOCK * FG_BLOCK;
        if (t->block[first / FG_BLOCK])
            end = sweep_block(t, first, end, adjoint, &stopped);
        else
            end = first;
        if (stopped) {
            t->sweep_end = *node = end;
            return FG_CALL_CLOSURE;
        }
        t->block[first / FG_BLOCK] = 0;
    }
    t->sweeping = 0;
    return FG_OK;
}

void fg_tape_sweep_abandon(fg_tape *t)
{
    ZERO(t->adjoint, 0, t->size);
    ZERO(t->block, 0, block_count(t->size));
    t->sweeping = 0;
}

void fg_tape_zero_grad(fg_tape *t, uint32_t root)
{
    marks m = {t->reached, t->block};
    reach(m, root);
    for (uint32_t end = root + 1; end > 0;) {
        uint32_t first = (end - 1) / FG_BLOCK * FG_BLOCK, i = end;
        end = first;
        if (!m.block[first / FG_BLOCK])
            continue;
        while (i-- > first) {
            if (!m.reached[i])
                continue;
            m.reached[i] = 0;
            t->grad[i] = 0.0;
            reach_operands(t, m, t->op[i], t->args[i]);
        }
        m.block[first / FG_BLOCK] = 0;
    }
}
