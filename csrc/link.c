/* Linking: from the instructions of code.h to the words of linked.h. */
#include "linked.h"

#include <stdlib.h>

#include "tape.h"

enum { MIN_RUN = 8 }; /* what makes the way through the lanes worth it: 16 tanh take a third of the time, 4 the same */

enum { NARY = 4, CHAIN, COLUMNS, GUARD }; /* what an instruction is, where it is not one of one to three operands */

/* The first kernel of each opcode, and how many operands it has or else what it is. */
static const struct shape {
    uint16_t kernel, operands;
} shape_of[FG_I_COUNT] = {
#define OP1(kind, name, ...) [FG_OP_##name] = {FG_K_##name##_0, 1},
#define OP2(kind, name, ...) [FG_OP_##name] = {FG_K_##name##_0, 2},
#define OP3(kind, name, ...) [FG_OP_##name] = {FG_K_##name##_0, 3},
#define REDUCE1(name, ...) [FG_OP_##name] = {FG_K_##name, NARY},
#define REDUCE2(name, ...) [FG_OP_##name] = {FG_K_##name, NARY},
#include "ops.def"
    [FG_TAKE] = {FG_K_TAKE, NARY},
    [FG_I_LOAD] = {FG_K_LOAD, COLUMNS},
    [FG_I_STORE] = {FG_K_STORE, COLUMNS},
    [FG_I_SUM] = {FG_K_SUM_0, 1},
    [FG_I_SUM_MUL] = {FG_K_SUM_MUL_0, 2},
    [FG_I_SPLAT] = {FG_K_SPLAT, 1},
    [FG_I_GUARD] = {FG_K_GUARD, GUARD},
    [FG_I_MUL_ADD] = {FG_K_MUL_ADD_0, 3},
    [FG_I_MUL_SUB] = {FG_K_MUL_SUB_0, 3},
    [FG_I_SUB_MUL] = {FG_K_SUB_MUL_0, 3},
    [FG_I_CHAIN] = {FG_K_CHAIN, CHAIN},
};

/* Writes words, or with `words` NULL counts them. */
typedef struct writer {
    const fg_code *code;
    uint32_t *words;
    size_t size;
    uint32_t first_slot, slot; /* where slots begin, and the distance from one to the next; slot 0: a uniform stream */
} writer;

static void put(writer *w, uint32_t word)
{
    if (w->words)
        w->words[w->size] = word;
    w->size++;
}

static uint32_t place(const writer *w, uint32_t operand)
{
    if (w->slot == 0 || operand & FG_UNIFORM)
        return operand & ~FG_UNIFORM;
    return w->first_slot + operand * w->slot;
}

static void put_chain(writer *w, const fg_instr *in)
{
    put(w, w->code->fastmath ? FG_K_CHAIN_FAST : FG_K_CHAIN);
    put(w, place(w, in->z));
    put(w, in->b);
    for (const uint32_t *term = w->code->pool + in->a, *end = term + 3 * (size_t)in->b; term < end; term += 3) {
        uint32_t x = term[1], y = fg_term_operands(term[0]) == 2 ? term[2] : 0;
        put(w, FG_TERM(term[0], x & FG_UNIFORM ? 1 : y & FG_UNIFORM ? 2 : 0));
        put(w, place(w, x));
        put(w, place(w, y));
    }
}

/* Columns in the order given, one instruction for each run of consecutive ones. */
static void put_columns(writer *w, const fg_instr *in)
{
    const uint32_t *column = w->code->pool + in->a, *slot = column + in->b;
    for (uint32_t i = 0, n; i < in->b; i += n) {
        for (n = 1; i + n < in->b && column[i + n] == column[i] + n;)
            n++;
        put(w, shape_of[in->op].kernel);
        put(w, column[i]);
        put(w, n);
        for (uint32_t k = i; k < i + n; k++)
            put(w, place(w, slot[k]));
    }
}

static void put_reduction(writer *w, const fg_instr *in)
{
    put(w, shape_of[in->op].kernel);
    put(w, place(w, in->z));
    put(w, in->b);
    for (uint32_t k = 0; k < in->b; k++)
        put(w, place(w, w->code->pool[in->a + k]));
}

static int is_fused(int op)
{
    return op == FG_I_MUL_ADD || op == FG_I_MUL_SUB || op == FG_I_SUB_MUL;
}

static void put_plain(writer *w, const fg_instr *in, struct shape shape)
{
    const uint32_t operand[3] = {in->a, in->b, in->c};
    uint32_t fast = w->code->fastmath && is_fused(in->op) ? FG_K_MUL_ADD_FAST_0 - FG_K_MUL_ADD_0 : 0;
    int sum = in->op == FG_I_SUM || in->op == FG_I_SUM_MUL;
    put(w, shape.kernel + fast + (in->op == FG_I_SPLAT ? 0 : in->form));
    put(w, sum ? in->z : place(w, in->z));
    for (uint32_t k = 0; k < shape.operands; k++)
        put(w, place(w, operand[k]));
}

static void put_instruction(writer *w, const fg_instr *in)
{
    struct shape shape = shape_of[in->op];
    switch (shape.operands) {
    case NARY:
        put_reduction(w, in);
        break;
    case CHAIN:
        put_chain(w, in);
        break;
    case COLUMNS:
        put_columns(w, in);
        break;
    case GUARD:
        put(w, shape.kernel);
        put(w, place(w, in->a));
        put(w, in->c);
        break;
    default:
        put_plain(w, in, shape);
    }
}

/* Functions of one operand that cost more than fetching and storing it. */
static int is_costly(int op)
{
    enum { ARITH, POWER, MATH };
    static const uint8_t costly[FG_OP_COUNT] = {
#define OP1(kind, name, ...) [FG_OP_##name] = kind == MATH,
#include "ops.def"
    };
    return op < FG_OP_COUNT && costly[op];
}

/* How many instructions from the first on are the same function and need no result of each other. */
static uint32_t run_of(const fg_instr *in, uint32_t size)
{
    uint32_t n = 1;
    for (; n < size && n < FG_MAX_RUN && in[n].op == in->op; n++)
        for (uint32_t k = 0; k < n; k++)
            if (in[k].z == in[n].a)
                return n;
    return n;
}

static void put_run(writer *w, const fg_instr *in, uint32_t n)
{
    put(w, FG_K_RUN);
    put(w, shape_of[in->op].kernel);
    put(w, n);
    for (uint32_t k = 0; k < n; k++) {
        put(w, in[k].z);
        put(w, in[k].a);
    }
}

static void put_stream(writer *w, const fg_instr *in, uint32_t size)
{
    w->size = 0;
    for (uint32_t i = 0, n; i < size; i += n) {
        n = w->slot == 0 && is_costly(in[i].op) ? run_of(in + i, size - i) : 1;
        if (n >= MIN_RUN)
            put_run(w, in + i, n);
        else
            for (uint32_t k = 0; k < n; k++)
                put_instruction(w, in + i + k);
    }
    put(w, FG_K_END);
}

static uint32_t *link_stream(writer *w, const fg_instr *in, uint32_t size)
{
    w->words = NULL;
    put_stream(w, in, size);
    w->words = malloc(w->size * sizeof *w->words);
    if (w->words)
        put_stream(w, in, size);
    return w->words;
}

/* From one slot to the next. Powers of two are avoided: a load that agrees with an earlier store in the last twelve bits
 * of the address waits for it. (Measured: up to a fifth.) */
static uint32_t slot_distance(uint32_t lanes)
{
    return lanes >= 64 && lanes % 64 == 0 ? lanes + 8 : lanes;
}

int fg_link(fg_code *code)
{
    uint32_t first_slot = (code->uniforms + 7u) & ~7u, slot = slot_distance(code->lanes);
    if (first_slot + (uint64_t)code->slots * slot >= FG_UNIFORM)
        return FG_TOO_LARGE;
    fg_linked *l = calloc(1, sizeof *l);
    if (!l)
        return FG_NO_MEMORY;
    code->linked = l;
    l->first_slot = first_slot;
    l->places = first_slot + code->slots * slot;
    l->uniform = link_stream(&(writer){.code = code}, code->uniform, code->uniform_size);
    l->lane = link_stream(&(writer){.code = code, .first_slot = first_slot, .slot = slot}, code->lane, code->lane_size);
    if (l->uniform && l->lane)
        return FG_OK;
    fg_unlink(code);
    return FG_NO_MEMORY;
}

void fg_unlink(fg_code *code)
{
    if (code->linked) {
        free(code->linked->uniform);
        free(code->linked->lane);
        free(code->linked);
        code->linked = NULL;
    }
}
