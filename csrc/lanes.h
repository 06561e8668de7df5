/* The lane stream over one block of rows: every kernel as a plain loop over lanes, for the compiler to vectorise.
 *
 * A template. The file that includes it, one for each instruction set, has told the compiler the instruction set and set
 * FG_LANES and FG_LANES_NAME, the name of what is defined here, and what vector.h asks for.
 *
 * Every kernel computes what the inline functions of kernels.h compute, lane by lane: so all instruction sets, and
 * scalar.c, agree to the last bit. A target may be the slot of an operand: no lane depends on another one, which is all
 * that FG_INDEPENDENT promises. */
#if defined(__clang__) /* loops that call the C library stay loops; to be said before ops.def is included for the first time */
#pragma clang diagnostic ignored "-Wpass-failed"
#endif
#include "lane_base.h"
#define FG_RULE static FG_INLINE
#include "kernels.h"
#include "linked.h"
#include "reduce.h"
#include "transpose.h"

_Static_assert(FG_PARTS == 8, "lanes come in groups of eight; a lane adds to the part that is its place in the group");

#define FG_EACH8(_, ...) \
    _(0, __VA_ARGS__) _(1, __VA_ARGS__) _(2, __VA_ARGS__) _(3, __VA_ARGS__) \
    _(4, __VA_ARGS__) _(5, __VA_ARGS__) _(6, __VA_ARGS__) _(7, __VA_ARGS__)

/* Places below first_slot are uniform. */
static inline fg_vector operand(const fg_block *b, uint32_t place, size_t lane)
{
    return place < b->first_slot ? fg_splat(b->base[place]) : fg_load(b->base + place + lane);
}

#include "lane_sums.h"

static FG_NOINLINE int guard_rows(const fg_block *b, const uint32_t *p)
{
    const double *x = b->base + p[1];
    size_t step = p[1] >= b->first_slot;
    uint8_t expected = p[2] != 0, any = 0;
    FG_INDEPENDENT
    for (size_t i = 0; i < b->lanes; i++) {
        uint8_t left = (x[i * step] != 0.0) ^ expected;
        b->left[i] |= left;
        any |= left;
    }
    return any;
}

/* ------------------------------------------------------------------------------------- instructions of many operands */

/* Whether the first operands of all pairs are uniform and the second are not, as in a layer of a network. */
static FG_INLINE int weights_and_lanes(const fg_block *b, const uint32_t *place, uint32_t count)
{
    int others = 0;
    for (uint32_t k = 0; k < count; k++)
        others |= (place[k] >= b->first_slot) | (place[count + k] < b->first_slot);
    return !others;
}

/* A reduction, whose terms are arithmetic and become vectors as they stand: p is the instruction, `second` says whether
 * its terms have two operands. The parts of the sums of one or two vectors of lanes stay in registers. */
#define FG_CLEAR(j, s) s[j] = fg_splat(0.0);
#define FG_ADD_AT(s, lane, second, term) { \
        const fg_vector x = usual ? fg_splat(b->base[place[0]]) : operand(b, place[0], lane), \
                        y = !second ? x : usual ? fg_load(b->base + place[count] + lane) : operand(b, place[count], lane); \
        (void)y; \
        s += term; \
    }
#define FG_ADD_TERM(j, both, ...) \
    FG_ADD_AT(part[j], lane, __VA_ARGS__) \
    if (both) \
        FG_ADD_AT(next[j], lane + FG_VECTOR, __VA_ARGS__) \
    place++;
#define FG_ADD_LEFT(j, ...) if (j < left) { FG_ADD_TERM(j, __VA_ARGS__) }
#define FG_REDUCTION(name, second, term, finish) \
    static FG_INLINE void reduce_##name##_at(const fg_block *b, const uint32_t *p, size_t lane, int both, int usual) \
    { \
        const uint32_t *place = p + 3, count = second ? p[2] / 2 : p[2], left = count % FG_PARTS; \
        const double n = (double)count; \
        double *z = b->base + p[1] + lane; \
        fg_vector part[FG_PARTS], next[FG_PARTS], s; \
        FG_EACH8(FG_CLEAR, part) \
        FG_EACH8(FG_CLEAR, next) \
        for (const uint32_t *end = place + (count - left); place < end;) { \
            FG_EACH8(FG_ADD_TERM, both, second, term) \
        } \
        FG_EACH8(FG_ADD_LEFT, both, second, term) \
        (void)n; \
        s = FG_PARTS_TOTAL(part); \
        fg_store(z, finish); \
        if (both) { \
            s = FG_PARTS_TOTAL(next); \
            fg_store(z + FG_VECTOR, finish); \
        } \
    } \
    static FG_INLINE void reduce_##name##_lanes(const fg_block *b, const uint32_t *p, int usual) \
    { \
        size_t lane = 0; \
        for (; lane + 2 * FG_VECTOR <= b->lanes; lane += 2 * FG_VECTOR) \
            reduce_##name##_at(b, p, lane, 1, usual); \
        for (; lane < b->lanes; lane += FG_VECTOR) \
            reduce_##name##_at(b, p, lane, 0, usual); \
    } \
    static FG_NOINLINE void reduce_##name(const fg_block *b, const uint32_t *p) \
    { \
        if (second && weights_and_lanes(b, p + 3, p[2] / 2)) \
            reduce_##name##_lanes(b, p, 1); \
        else \
            reduce_##name##_lanes(b, p, 0); \
    }

/* One whose terms need the largest first, and functions: over groups of lanes. */
#define FG_GROUP 32

/* The lanes of an operand; those of a uniform one are made in `splat`. */
static FG_INLINE const double *lanes_of(const fg_block *b, uint32_t place, size_t lane, size_t n, double *splat)
{
    if (place >= b->first_slot)
        return FG_ALIGNED(b->base + place + lane);
    for (size_t i = 0; i < n; i++)
        splat[i] = b->base[place];
    return splat;
}

static FG_INLINE void largest(const fg_block *b, const uint32_t *place, uint32_t count, size_t lane, size_t n, double *m)
{
    _Alignas(64) double splat[FG_GROUP];
    for (size_t i = 0; i < n; i++)
        m[i] = -INFINITY;
    for (uint32_t k = 0; k < count; k++) {
        const double *x = lanes_of(b, place[k], lane, n, splat);
        FG_INDEPENDENT
        for (size_t i = 0; i < n; i++)
            m[i] = x[i] > m[i] || x[i] != x[i] ? x[i] : m[i];
    }
}

#define FG_SHIFTED_REDUCTION(name) \
    static FG_INLINE void reduce_##name##_group(const fg_block *b, const uint32_t *p, size_t lane, size_t n) \
    { \
        _Alignas(64) double part[FG_PARTS][FG_GROUP] = {{0.0}}, m[FG_GROUP], splat[FG_GROUP]; \
        const uint32_t *place = p + 3, count = p[2]; \
        double *z = b->base + p[1] + lane; \
        largest(b, place, count, lane, n, m); \
        for (uint32_t k = 0; k < count; k++) { \
            double *sum = part[k % FG_PARTS]; \
            const double *x = lanes_of(b, place[k], lane, n, splat); \
            FG_INDEPENDENT \
            for (size_t i = 0; i < n; i++) \
                sum[i] += fg_##name##_term(x[i], m[i]); \
        } \
        FG_INDEPENDENT \
        for (size_t i = 0; i < n; i++) { \
            const double p[] = {part[0][i], part[1][i], part[2][i], part[3][i], \
                                part[4][i], part[5][i], part[6][i], part[7][i]}; \
            z[i] = fg_##name##_finish(FG_PARTS_TOTAL(p), m[i], (double)count); \
        } \
    } \
    static FG_NOINLINE void reduce_##name(const fg_block *b, const uint32_t *p) \
    { \
        size_t lane = 0; \
        for (; lane + FG_GROUP <= b->lanes; lane += FG_GROUP) \
            reduce_##name##_group(b, p, lane, FG_GROUP); \
        for (; lane < b->lanes; lane += 8) \
            reduce_##name##_group(b, p, lane, 8); \
    }
#define REDUCE1(name, method, label, term, finish, ...) FG_REDUCTION(name, 0, term, finish)
#define REDUCE2(name, method, label, term, finish, ...) FG_REDUCTION(name, 1, term, finish)
#define SHIFTED1(name, ...) FG_SHIFTED_REDUCTION(name)
#include "ops.def"
#undef FG_REDUCTION
#undef FG_SHIFTED_REDUCTION

/* The operand behind the first that the first says; nan where it says none. */
static FG_NOINLINE void take_rows(const fg_block *b, const uint32_t *p)
{
    const uint32_t *entry = p + 4, entries = p[2] - 1;
    const double *index = b->base + p[3];
    size_t step = p[3] >= b->first_slot;
    for (size_t i = 0; i < b->lanes; i++) {
        double at = index[i * step], taken = NAN;
        if (at >= 0.0 && at < entries) {
            uint32_t place = entry[(uint32_t)at];
            taken = b->base[place + (place < b->first_slot ? 0 : i)];
        }
        b->base[p[1] + i] = taken;
    }
}

/* -------------------------------------------------------------------------------------------------------------- chains */

#define FG_EACH4(_, ...) _(0, __VA_ARGS__) _(1, __VA_ARGS__) _(2, __VA_ARGS__) _(3, __VA_ARGS__)
#define FG_EACH2(_, ...) _(0, __VA_ARGS__) _(1, __VA_ARGS__)
#define FG_EACH1(_, ...) _(0, __VA_ARGS__)
#define FG_EXACT_ZMUL(x, y) fg_vector_zmul(x, y)
#define FG_ONCE_ZMUL(x, y) fg_vector_zmul(x, y)
#define FG_ONCE_ADD(x, y, w) fg_vector_fma(x, y, w)
#define FG_ONCE_SUB(x, y, w) fg_vector_fma(x, y, -(w))
#define FG_ONCE_RSUB(x, y, w) fg_vector_fma(-(x), y, w)

#define FG_CHAIN chain4
#define FG_CHAIN_EACH FG_EACH4
#define FG_CHAIN_MODE FG_EXACT
#include "chain.h"
#define FG_CHAIN chain2
#define FG_CHAIN_EACH FG_EACH2
#define FG_CHAIN_MODE FG_EXACT
#include "chain.h"
#define FG_CHAIN chain1
#define FG_CHAIN_EACH FG_EACH1
#define FG_CHAIN_MODE FG_EXACT
#include "chain.h"
#define FG_CHAIN fast_chain4
#define FG_CHAIN_EACH FG_EACH4
#define FG_CHAIN_MODE FG_ONCE
#include "chain.h"
#define FG_CHAIN fast_chain2
#define FG_CHAIN_EACH FG_EACH2
#define FG_CHAIN_MODE FG_ONCE
#include "chain.h"
#define FG_CHAIN fast_chain1
#define FG_CHAIN_EACH FG_EACH1
#define FG_CHAIN_MODE FG_ONCE
#include "chain.h"

/* As many vectors at a time as there are: an addition takes as long as four of them to begin. */
#define FG_CHAIN_ROWS(name, chain) \
    static FG_NOINLINE void name(const fg_block *b, const uint32_t *p) \
    { \
        const size_t n = b->lanes / FG_VECTOR; \
        double *base = b->base; \
        size_t k = 0; \
        for (; k + 4 <= n; k += 4) \
            chain##4(p, base, k * FG_VECTOR); \
        if (k + 2 <= n) { \
            chain##2(p, base, k * FG_VECTOR); \
            k += 2; \
        } \
        if (k < n) \
            chain##1(p, base, k * FG_VECTOR); \
    }
FG_CHAIN_ROWS(chain_rows, chain)
FG_CHAIN_ROWS(fast_chain_rows, fast_chain)

/* ------------------------------------------------------------------------------------------------------- the dispatch */

/* An operand's declaration and its use in lane i, for V, in lanes, and U, uniform. */
#define FG_V(x, k) const double *x = FG_ALIGNED(base + p[k])
#define FG_U(x, k) const double x = base[p[k]]
#define FG_V_AT(x) x[i]
#define FG_U_AT(x) x

#define FG_TARGET double *z = FG_ALIGNED(base + p[1])
#define FG_EACH_LANE(value) { FG_INDEPENDENT for (size_t i = 0; i < n; i++) z[i] = value; }

#define FG_KERNEL1(name, form, A, f) \
    FG_CASE(name##_##form) { FG_TARGET; FG_##A(x, 2); FG_EACH_LANE(f(FG_##A##_AT(x))) p += 3; FG_NEXT }
#define FG_KERNEL2(name, form, A, B, f) \
    FG_CASE(name##_##form) { \
        FG_TARGET; FG_##A(x, 2); FG_##B(y, 3); FG_EACH_LANE(f(FG_##A##_AT(x), FG_##B##_AT(y))) p += 4; FG_NEXT \
    }
#define FG_KERNEL3(name, form, A, B, C, f) \
    FG_CASE(name##_##form) { \
        FG_TARGET; FG_##A(x, 2); FG_##B(y, 3); FG_##C(w, 4); \
        FG_EACH_LANE(f(FG_##A##_AT(x), FG_##B##_AT(y), FG_##C##_AT(w))) p += 5; FG_NEXT \
    }
#define FG_FUSED_FUNCTION(name, formula) \
    static inline double fused_##name(double x, double y, double w) { return formula; }
FG_FUSED(FG_FUSED_FUNCTION)

/* With labels as values every kernel has a jump of its own to the next one, which the processor learns by itself. */
#if defined(__GNUC__)
#define FG_CASE(kernel) at_##kernel:
#define FG_NEXT goto *kernel[*p];
#define FG_LABEL(name, form, ...) [FG_K_##name##_##form] = &&at_##name##_##form,
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#else
#define FG_CASE(kernel) case FG_K_##kernel:
#define FG_NEXT break;
#endif

/* Functions with a rare path (lane_math.h): all lanes by the quick one, then the rare lanes again. With labels as values
 * their kernels take the place of the plain loops in the table, which a compiler without them runs. */
#define FG_RARE_LANES(name, operands) { \
        _Alignas(64) double quick[FG_MAX_LANES]; \
        int64_t any = 0; \
        FG_INDEPENDENT \
        for (size_t i = 0; i < n; i++) \
            quick[i] = fg_##name##_quick operands; \
        for (size_t i = 0; i < n; i++) \
            any |= fg_##name##_rare operands ? 1 : 0; \
        for (size_t i = 0; any && i < n; i++) \
            quick[i] = fg_##name##_rare operands ? fg_##name operands : quick[i]; \
        memcpy(z, quick, n * sizeof *z); \
    }
#define FG_RARE_KERNEL1(name, form, A, ...) \
    rare_##name##_##form: { FG_TARGET; FG_##A(x, 2); FG_RARE_LANES(name, (FG_##A##_AT(x))) p += 3; FG_NEXT }
#define FG_RARE_KERNEL2(name, form, A, B, ...) \
    rare_##name##_##form: { \
        FG_TARGET; FG_##A(x, 2); FG_##B(y, 3); FG_RARE_LANES(name, (FG_##A##_AT(x), FG_##B##_AT(y))) p += 4; FG_NEXT \
    }
#define FG_RARE_LABEL(name, form, ...) [FG_K_##name##_##form] = &&rare_##name##_##form,
#define FG_RARE_LABELS(name, operands) FG_FORMS##operands(FG_RARE_LABEL, name, )
#define FG_RARE_KERNELS(name, operands) FG_FORMS##operands(FG_RARE_KERNEL##operands, name, )

static void run_lanes(const fg_block *b)
{
    const uint32_t *p = b->words;
    double *const base = b->base;
    const size_t n = b->lanes & ~(size_t)7;
    int any_left = 0;
    FG_ASSUME(n > 0);
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Woverride-init"
    static const void *const kernel[FG_K_COUNT] = {
        [FG_K_END] = &&at_END, [FG_K_LOAD] = &&at_LOAD, [FG_K_STORE] = &&at_STORE, [FG_K_SPLAT] = &&at_SPLAT,
        [FG_K_GUARD] = &&at_GUARD, [FG_K_CHAIN] = &&at_CHAIN, [FG_K_CHAIN_FAST] = &&at_CHAIN_FAST,
        [FG_K_TAKE] = &&at_TAKE, [FG_K_SUM_0] = &&at_SUM_0, [FG_K_SUM_1] = &&at_SUM_1,
        FG_FORMS2(FG_LABEL, SUM_MUL, ) FG_FORMS2(FG_LABEL, SUM_ZMUL, )
        [FG_K_SUMS_MUL] = &&at_SUMS_MUL, [FG_K_SUMS_ZMUL] = &&at_SUMS_ZMUL,
#define FG_LABEL_FUSED(name, formula) FG_FORMS3(FG_LABEL, name, )
        FG_FUSED(FG_LABEL_FUSED)
#undef FG_LABEL_FUSED
#define OP1(kind, name, ...) FG_FORMS1(FG_LABEL, name, )
#define OP2(kind, name, ...) FG_FORMS2(FG_LABEL, name, )
#define OP3(kind, name, ...) FG_FORMS3(FG_LABEL, name, )
#define REDUCE1(name, ...) [FG_K_##name] = &&at_##name,
#define REDUCE2(name, ...) [FG_K_##name] = &&at_##name,
#include "ops.def"
        FG_RARE_FUNCTIONS(FG_RARE_LABELS)
    };
    FG_NEXT
#else
    for (;;)
        switch (*p)
#endif
    {
#if defined(__GNUC__)
        FG_RARE_FUNCTIONS(FG_RARE_KERNELS)
#endif
        FG_CASE(LOAD) { load_columns(b, p); p += 3 + p[2]; FG_NEXT }
        FG_CASE(STORE) { store_columns(b, p); p += 3 + p[2]; FG_NEXT }
        FG_CASE(SPLAT) { FG_TARGET; FG_U(x, 2); FG_EACH_LANE(x) p += 3; FG_NEXT }
        FG_CASE(GUARD) { any_left |= guard_rows(b, p); p += 3; FG_NEXT }
        FG_CASE(CHAIN) { chain_rows(b, p); p += 3 + 3 * (size_t)p[2]; FG_NEXT }
        FG_CASE(CHAIN_FAST) { fast_chain_rows(b, p); p += 3 + 3 * (size_t)p[2]; FG_NEXT }
        FG_CASE(TAKE) { take_rows(b, p); p += 3 + p[2]; FG_NEXT }
        FG_CASE(SUM_0)
        FG_CASE(SUM_1) { sum_rows(b, p, any_left); p += 3; FG_NEXT }
        FG_CASE(SUM_MUL_0)
        FG_CASE(SUM_MUL_1)
        FG_CASE(SUM_MUL_2) { sum_mul_rows(b, p, any_left); p += 4; FG_NEXT }
        FG_CASE(SUM_ZMUL_0)
        FG_CASE(SUM_ZMUL_1)
        FG_CASE(SUM_ZMUL_2) { sum_zmul_rows(b, p, any_left); p += 4; FG_NEXT }
        FG_CASE(SUMS_MUL) { sums_mul(b, p, any_left); p += 3 + 2 * (size_t)p[2]; FG_NEXT }
        FG_CASE(SUMS_ZMUL) { sums_zmul(b, p, any_left); p += 3 + 2 * (size_t)p[2]; FG_NEXT }
#define FG_KERNEL_FUSED(name, formula) FG_FORMS3(FG_KERNEL3, name, fused_##name)
        FG_FUSED(FG_KERNEL_FUSED)
#undef FG_KERNEL_FUSED
#define OP1(kind, name, ...) FG_FORMS1(FG_KERNEL1, name, fg_##name##_forward)
#define OP2(kind, name, ...) FG_FORMS2(FG_KERNEL2, name, fg_##name##_forward)
#define OP3(kind, name, ...) FG_FORMS3(FG_KERNEL3, name, fg_##name##_forward)
#define REDUCE1(name, ...) FG_CASE(name) { reduce_##name(b, p); p += 3 + p[2]; FG_NEXT }
#define REDUCE2(name, ...) FG_CASE(name) { reduce_##name(b, p); p += 3 + p[2]; FG_NEXT }
#include "ops.def"
        FG_CASE(END) return;
    }
}

#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

static void copy(void *to, const void *from, size_t bytes)
{
    copy_past_cache(to, from, bytes / sizeof(double));
}

static void end_stream(void)
{
    fg_stream_end();
}

const fg_lanes FG_LANES = {FG_LANES_NAME, run_lanes, copy, end_stream};
