/* Linking: from the instructions of code.h to the words of linked.h. */
#include "linked.h"

#include <stdlib.h>

#include "graph.h"
#include "tape.h"

/* What makes the way through the lanes worth it; and so many go together where operands have to be gathered, so that these
 * stay in the cache. */
enum { MIN_GROUP = 8, GATHERED = 64, MOST_OPERANDS = 128 };

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
    [FG_I_SUM_ZMUL] = {FG_K_SUM_ZMUL_0, 2},
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
    int groups;                /* whether there is one: it may write up to seven places behind the last uniform one */
    uint32_t room, most_room;  /* where gathered operands go, and how many places they take                         */
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
    int sum = in->op == FG_I_SUM || in->op == FG_I_SUM_MUL || in->op == FG_I_SUM_ZMUL;
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

/* ------------------------------------------------------------------------------------------------------------ groups */

static uint32_t operand_of(const writer *w, const fg_instr *in, uint32_t k)
{
    return *fg_operand_at((fg_instr *)in, w->code->pool, k);
}

static uint32_t kind_of_term(const writer *w, const fg_instr *in, uint32_t term)
{
    return w->code->pool[in->a + 3 * term];
}

static int can_group(const fg_instr *in)
{
    return in->op == FG_I_CHAIN ? 2 * in->b <= MOST_OPERANDS : !fg_uses_pool(in->op);
}

static int is_alike(const writer *w, const fg_instr *x, const fg_instr *y)
{
    if (x->op != y->op || (fg_uses_pool(x->op) && x->b != y->b))
        return 0;
    for (uint32_t t = 0; x->op == FG_I_CHAIN && t < x->b; t++)
        if (kind_of_term(w, x, t) != kind_of_term(w, y, t))
            return 0;
    return 1;
}

/* How many from the first on are alike, with results side by side, and need no result of each other. */
static uint32_t alike(const writer *w, const fg_instr *in, uint32_t size)
{
    uint32_t n = 1, count = fg_operand_count(in);
    for (; n < size && n < FG_MAX_GROUP && in[n].z == in->z + n && is_alike(w, in, in + n); n++)
        for (uint32_t k = 0; k < count; k++)
            if (operand_of(w, in + n, k) - in->z < n)
                return n;
    return n;
}

/* For how many of n operand k stays where it is, or goes on by one place. */
static uint32_t regular(const writer *w, const fg_instr *in, uint32_t n, uint32_t k)
{
    uint32_t first = operand_of(w, in, k), step = n > 1 ? operand_of(w, in + 1, k) - first : 1, m = 1;
    while (step <= 1 && m < n && operand_of(w, in + m, k) == first + m * step)
        m++;
    return m;
}

/* An operand of a group: the first of n lanes, or uniform, one for all. */
typedef struct column {
    uint32_t place, uniform;
} column;

/* The gathers of a group that is being written: so many, and so many places they take. */
typedef struct gathers {
    uint32_t count, places;
} gathers;

/* Finds an operand, after writing what gathers it where it is not regular, or uniform where there is no such kernel. */
static column put_column(writer *w, const fg_instr *in, uint32_t n, uint32_t k, int can_be_uniform, gathers *g)
{
    uint32_t first = operand_of(w, in, k), uniform = n > 1 && operand_of(w, in + 1, k) == first;
    if (regular(w, in, n, k) == n && (!uniform || can_be_uniform))
        return (column){first, uniform};
    uint32_t to = w->room + g->places;
    put(w, to);
    for (uint32_t i = 0; i < n; i++)
        put(w, operand_of(w, in + i, k));
    g->count++;
    g->places += (n + 7) & ~7u;
    return (column){to, 0};
}

static void put_chain_of_columns(writer *w, const fg_instr *in, const column *x)
{
    put(w, w->code->fastmath ? FG_K_CHAIN_FAST : FG_K_CHAIN);
    put(w, in->z);
    put(w, in->b);
    for (uint32_t t = 0; t < in->b; t++, x += 2) {
        int two = fg_term_operands(kind_of_term(w, in, t)) == 2;
        put(w, FG_TERM(kind_of_term(w, in, t), x[0].uniform ? 1 : two && x[1].uniform ? 2 : 0));
        put(w, x[0].place);
        put(w, two ? x[1].place : 0);
    }
}

static void put_row_of_columns(writer *w, const fg_instr *in, const column *x, uint32_t count)
{
    fg_instr as_lanes = *in;
    uint32_t *operand[3] = {&as_lanes.a, &as_lanes.b, &as_lanes.c};
    for (uint32_t k = 0; k < count; k++) {
        *operand[k] = x[k].place;
        as_lanes.form |= (uint16_t)(x[k].uniform << k);
    }
    put_plain(w, &as_lanes, shape_of[in->op]);
}

/* A product of a chain has one operand in lanes at least, and so has a row. */
static void put_group(writer *w, const fg_instr *in, uint32_t n)
{
    column x[MOST_OPERANDS];
    gathers g = {0, 0};
    size_t begin = w->size;
    uint32_t count = fg_operand_count(in), all = 1;
    put(w, FG_K_GROUP);
    put(w, 0);
    put(w, n);
    put(w, 0);
    for (uint32_t k = 0; k < count; k++) {
        int chain = in->op == FG_I_CHAIN, second = chain && k % 2 == 1;
        if (second && fg_term_operands(kind_of_term(w, in, k / 2)) == 1)
            continue;
        x[k] = put_column(w, in, n, k, chain ? !second || !x[k - 1].uniform : !all || k + 1 < count, &g);
        all &= x[k].uniform;
    }
    if (in->op == FG_I_CHAIN)
        put_chain_of_columns(w, in, x);
    else
        put_row_of_columns(w, in, x, count);
    put(w, FG_K_END);
    if (w->words) {
        w->words[begin + 1] = (uint32_t)(w->size - begin);
        w->words[begin + 3] = g.count;
    }
    w->groups = 1;
    w->most_room = w->most_room < g.places ? g.places : w->most_room;
}

/* So many of n as have regular operands; or where these are few, some that have not. */
static uint32_t part_of(const writer *w, const fg_instr *in, uint32_t n)
{
    uint32_t part = n;
    for (uint32_t k = 0, count = fg_operand_count(in); k < count && part >= MIN_GROUP; k++)
        part = regular(w, in, part, k);
    return part >= MIN_GROUP ? part : n < GATHERED ? n : GATHERED;
}

/* How many from the first on are sums of products of one value with others, as those of a layer's weights are. */
static uint32_t products(const writer *w, const fg_instr *in, uint32_t size)
{
    uint32_t n = 0;
    if (w->slot == 0 || (in->op != FG_I_SUM_MUL && in->op != FG_I_SUM_ZMUL))
        return 0;
    while (n < size && in[n].op == in->op && in[n].form == 0 && in[n].a == in->a)
        n++;
    return n;
}

static void put_products(writer *w, const fg_instr *in, uint32_t n)
{
    put(w, in->op == FG_I_SUM_MUL ? FG_K_SUMS_MUL : FG_K_SUMS_ZMUL);
    put(w, place(w, in->a));
    put(w, n);
    for (uint32_t k = 0; k < n; k++) {
        put(w, in[k].z);
        put(w, place(w, in[k].b));
    }
}

/* Places that an instruction writes behind its results must not be in use: see places.c. */
static int ascends(const fg_instr *in, uint32_t size)
{
    for (uint32_t i = 1; i < size; i++)
        if (in[i].z <= in[i - 1].z)
            return 0;
    return 1;
}

static void put_stream(writer *w, const fg_instr *in, uint32_t size)
{
    int groups = w->slot == 0 && ascends(in, size);
    w->size = 0;
    for (uint32_t i = 0, n; i < size; i += n) {
        uint32_t left = groups && can_group(in + i) ? alike(w, in + i, size - i) : 1;
        if ((n = products(w, in + i, size - i)) > 1) {
            put_products(w, in + i, n);
            continue;
        }
        for (n = 0; left - n >= MIN_GROUP;) {
            uint32_t part = part_of(w, in + i + n, left - n);
            put_group(w, in + i + n, part);
            n += part;
        }
        for (; n < left; n++)
            put_instruction(w, in + i + n);
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
    uint32_t slot = slot_distance(code->lanes);
    writer uniform = {.code = code, .room = (code->uniforms + 14u) & ~7u};
    fg_linked *l = calloc(1, sizeof *l);
    if (!l)
        return FG_NO_MEMORY;
    code->linked = l;
    l->uniform = link_stream(&uniform, code->uniform, code->uniform_size);
    if (uniform.groups)
        code->uniforms = uniform.room + uniform.most_room;
    uint32_t first_slot = (code->uniforms + 7u) & ~7u;
    if (first_slot + (uint64_t)code->slots * slot >= FG_UNIFORM) {
        fg_unlink(code);
        return FG_TOO_LARGE;
    }
    l->first_slot = first_slot;
    l->places = first_slot + code->slots * slot;
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
