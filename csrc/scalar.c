/* The uniform stream on single doubles: calls with one row, and what a batch needs once a call. It is run from its words,
 * with the formulas of the lanes in lanes.h, and the same results. */
#include <string.h>

#include "block.h"
#include "kernels.h"
#include "linked.h"
#include "reduce.h"

#define FG_EXACT_ZMUL(x, y) masked_product(x, y)
#define FG_FMA(x, y, w) ((x) * (y) + (w)) /* not every machine rounds once, and without an instruction it is slow */

void fg_uniforms_init(const fg_code *code, double *uniforms)
{
    memcpy(uniforms, code->constant, code->constants * sizeof *uniforms);
}

/* ------------------------------------------------------------------------------------- instructions of many operands */

/* The row zmul without a branch: which adjoints are zero nobody can foresee. */
static inline double masked_product(double x, double y)
{
    double z = x * y;
    uint64_t bits;
    memcpy(&bits, &z, sizeof bits);
    bits &= -(uint64_t)(x != 0.0);
    memcpy(&z, &bits, sizeof z);
    return z;
}

static double chain(const double *base, const uint32_t *p)
{
    double s = -0.0; /* to which any x adds as x */
    for (const uint32_t *t = p + 3, *end = t + 3 * (size_t)p[2]; t < end;)
        switch (t[0]) { /* terms of a kind usually come together */
#define FG_FORMULA(kind, formula) \
            case FG_TERM(FG_T_##kind, 0): \
                do { \
                    const double x = base[t[1]], y = base[t[2]]; \
                    (void)y; \
                    s = formula; \
                } while ((t += 3) < end && t[0] == FG_TERM(FG_T_##kind, 0)); \
                break;
            FG_TERMS(FG_FORMULA, FG_FORMULA, FG_EXACT)
#undef FG_FORMULA
        }
    return s;
}

static double take(const double *base, const uint32_t *p)
{
    const uint32_t *entry = p + 4, entries = p[2] - 1;
    double at = base[p[3]];
    return at >= 0.0 && at < entries ? base[entry[(uint32_t)at]] : NAN;
}

static inline double largest(const double *base, const uint32_t *place, uint32_t count)
{
    double m = -INFINITY;
    for (uint32_t k = 0; k < count; k++) {
        double x = base[place[k]];
        m = x > m || x != x ? x : m;
    }
    return m;
}

#define FG_LARGEST(j) m
#define FG_SECOND(j) base[place[count + k + j]]
#define FG_ADD(name, second, j) part[j] += fg_##name##_term(base[place[k + j]], second(j));
#define FG_REDUCTION(name, terms, second) \
    static double reduce_##name(const double *base, const uint32_t *p) \
    { \
        const uint32_t *place = p + 3, count = terms; \
        double m = largest(base, place, count), part[FG_PARTS] = {0.0}; \
        uint32_t k = 0; \
        for (; k + 8 <= count; k += 8) { \
            FG_ADD(name, second, 0) FG_ADD(name, second, 1) FG_ADD(name, second, 2) FG_ADD(name, second, 3) \
            FG_ADD(name, second, 4) FG_ADD(name, second, 5) FG_ADD(name, second, 6) FG_ADD(name, second, 7) \
        } \
        switch (count - k) { \
            case 7: FG_ADD(name, second, 6) /* fall through */ \
            case 6: FG_ADD(name, second, 5) /* fall through */ \
            case 5: FG_ADD(name, second, 4) /* fall through */ \
            case 4: FG_ADD(name, second, 3) /* fall through */ \
            case 3: FG_ADD(name, second, 2) /* fall through */ \
            case 2: FG_ADD(name, second, 1) /* fall through */ \
            case 1: FG_ADD(name, second, 0) \
        } \
        return fg_##name##_finish(FG_PARTS_TOTAL(part), m, (double)count); \
    }
#define REDUCE1(name, ...) FG_REDUCTION(name, p[2], FG_LARGEST)
#define REDUCE2(name, ...) FG_REDUCTION(name, p[2] / 2, FG_SECOND)
#include "ops.def"
#undef FG_REDUCTION

static void run_group(double *base, const uint32_t *p, const fg_lanes *lanes)
{
    const uint32_t n = p[2], *q = p + 4;
    for (uint32_t gathers = p[3]; gathers > 0; gathers--, q += 1 + n)
        for (uint32_t k = 0; k < n; k++)
            base[q[0] + k] = base[q[1 + k]];
    lanes->run(&(fg_block){.words = q, .base = base, .rows = n, .lanes = (n + 7) & ~7u});
}

/* ------------------------------------------------------------------------------------------------------- the dispatch */

#define FG_FUSED_FUNCTION(name, formula) \
    static inline double fused_##name(double x, double y, double w) { return formula; }
FG_FUSED(FG_FUSED_FUNCTION)

/* With labels as values every kernel has a jump of its own to the next one, which the processor learns by itself. */
#if defined(__GNUC__)
#define FG_CASE(name) at_##name:
#define FG_NEXT goto *kernel[*p];
#define FG_LABEL(name) [FG_K_##name] = &&at_##name,
#pragma GCC diagnostic ignored "-Wpedantic"
#else
#define FG_CASE(name) case FG_K_##name:
#define FG_NEXT break;
#endif

#define FG_KERNEL(name, words, value) FG_CASE(name) { base[p[1]] = value; p += words; FG_NEXT }

static void run(const uint32_t *p, double *base)
{
    const fg_lanes *lanes = NULL; /* to find out takes as long as some instructions */
#if defined(__GNUC__)
    static const void *const kernel[FG_K_COUNT] = {
        FG_LABEL(END) FG_LABEL(GROUP) FG_LABEL(CHAIN) FG_LABEL(TAKE)
        [FG_K_CHAIN_FAST] = &&at_CHAIN,
#define FG_LABEL_FUSED(name, formula) FG_LABEL(name##_0)
        FG_FUSED(FG_LABEL_FUSED)
#define OP1(kind, name, ...) FG_LABEL(name##_0)
#define OP2(kind, name, ...) FG_LABEL(name##_0)
#define OP3(kind, name, ...) FG_LABEL(name##_0)
#define REDUCE1(name, ...) FG_LABEL(name)
#define REDUCE2(name, ...) FG_LABEL(name)
#include "ops.def"
    };
    FG_NEXT
#else
    for (;;)
        switch (*p)
#endif
    {
#if !defined(__GNUC__)
        FG_CASE(CHAIN_FAST)
#endif
        FG_CASE(GROUP)
        {
            lanes = lanes ? lanes : fg_lanes_of(0);
            run_group(base, p, lanes);
            p += p[1];
            FG_NEXT
        }
        FG_KERNEL(CHAIN, 3 + 3 * (size_t)p[2], chain(base, p))
        FG_KERNEL(TAKE, 3 + (size_t)p[2], take(base, p))
#define FG_KERNEL_FUSED(name, formula) FG_KERNEL(name##_0, 5, fused_##name(base[p[2]], base[p[3]], base[p[4]]))
        FG_FUSED(FG_KERNEL_FUSED)
#define OP1(kind, name, ...) FG_KERNEL(name##_0, 3, fg_##name##_forward(base[p[2]]))
#define OP2(kind, name, ...) FG_KERNEL(name##_0, 4, fg_##name##_forward(base[p[2]], base[p[3]]))
#define OP3(kind, name, ...) FG_KERNEL(name##_0, 5, fg_##name##_forward(base[p[2]], base[p[3]], base[p[4]]))
#define REDUCE1(name, ...) FG_KERNEL(name, 3 + (size_t)p[2], reduce_##name(base, p))
#define REDUCE2(name, ...) FG_KERNEL(name, 3 + (size_t)p[2], reduce_##name(base, p))
#include "ops.def"
        FG_CASE(END) return;
    }
}

void fg_run_uniform(const fg_code *code, double *uniforms)
{
    run(code->linked->uniform, uniforms);
}

int fg_takes_path(const fg_code *code, const double *uniforms)
{
    const uint32_t *place = code->uniform_output + (code->outputs - code->guards);
    for (uint32_t k = 0; k < code->guards; k++)
        if ((uniforms[place[k]] != 0.0) != (code->expected[k] != 0))
            return 0;
    return 1;
}
