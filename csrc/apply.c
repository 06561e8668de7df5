/* Operations on numbers, by the kernels that the eager operations use. */
#include <math.h>

#include "kernels.h"
#include "program.h"
#include "reduce.h"

static double largest(const double *x, uint32_t count)
{
    double m = -INFINITY;
    for (uint32_t i = 0; i < count; i++)
        m = x[i] > m || x[i] != x[i] ? x[i] : m;
    return m;
}

/* The entry behind the index that this is; nan where there is none. */
static double taken(double index, const double *entry, uint32_t count)
{
    return index >= 0.0 && index < (double)count ? entry[(uint32_t)index] : NAN;
}

double fg_apply(int op, const double *x, uint32_t count)
{
    fg_parts parts = {{0.0}};
    uint32_t n = count;
    switch (op) {
    case FG_TAKE:
        return taken(x[0], x + 1, count - 1);
#define OP1(kind, name, ...) \
    case FG_OP_##name: return fg_##name##_forward(x[0]);
#define OP2(kind, name, ...) \
    case FG_OP_##name: return fg_##name##_forward(x[0], x[1]);
#define OP3(kind, name, ...) \
    case FG_OP_##name: return fg_##name##_forward(x[0], x[1], x[2]);
#define REDUCE1(name, ...) \
    case FG_OP_##name: { \
        double m = largest(x, n); \
        for (uint32_t i = 0; i < n; i++) \
            fg_parts_add(&parts, i, fg_##name##_term(x[i], m)); \
        return fg_##name##_finish(fg_parts_total(&parts), m, (double)n); \
    }
#define REDUCE2(name, ...) \
    case FG_OP_##name: { \
        n = count / 2; \
        for (uint32_t i = 0; i < n; i++) \
            fg_parts_add(&parts, i, fg_##name##_term(x[i], x[n + i])); \
        return fg_##name##_finish(fg_parts_total(&parts), largest(x, n), (double)n); \
    }
#include "ops.def"
    }
    return NAN;
}
