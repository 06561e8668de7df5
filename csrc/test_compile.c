/* Tests of the compiler without Python, for sanitizers: code made from programs, read instruction by instruction by an
 * interpreter that is as simple as can be, gives what the programs give node by node, to the bit. */
#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "tape.h"

enum { MOST_OPERANDS = 4096 };

static uint32_t seed = 1;

static uint32_t below(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

static int same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

/* --------------------------------------------------------------------------------------------- programs */

static uint32_t node(fg_program *p, int op, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t number;
    assert(fg_program_append(p, (fg_node){.op = (uint16_t)op, .a = a, .b = b, .c = c}, &number) == FG_OK);
    return number;
}

static uint32_t input(fg_program *p)
{
    uint32_t number = node(p, FG_LEAF, p->inputs, 0, 0);
    p->inputs++;
    return number;
}

static uint32_t constant(fg_program *p, double x)
{
    uint32_t number;
    assert(fg_program_append_constant(p, x, 0, &number) == FG_OK);
    return number;
}

static uint32_t nary(fg_program *p, int op, const uint32_t *x, uint32_t count)
{
    uint32_t number;
    assert(fg_program_append_nary(p, op, x, count, 0, &number) == FG_OK);
    return number;
}

static void output(fg_program *p, uint32_t x)
{
    assert(fg_program_append_output(p, x) == FG_OK);
}

#define ADD(x, y) node(p, FG_OP_add, x, y, 0)
#define SUB(x, y) node(p, FG_OP_sub, x, y, 0)
#define MUL(x, y) node(p, FG_OP_mul, x, y, 0)

/* Any operations on any values, and so that products, sums and differences have a single user more often than not. */
static void random_program(fg_program *p, uint32_t inputs, uint32_t operations, uint32_t outputs)
{
    static const int ops[] = {FG_OP_add, FG_OP_sub, FG_OP_mul, FG_OP_add, FG_OP_sub, FG_OP_mul, FG_OP_zmul, FG_OP_neg,
                              FG_OP_div, FG_OP_maximum, FG_OP_where, FG_OP_sqrt, FG_OP_less, FG_OP_sum, FG_OP_dot, FG_OP_mean,
                              FG_OP_logsumexp, FG_TAKE};
    for (uint32_t k = 0; k < inputs; k++)
        input(p);
    constant(p, 0.0);
    constant(p, 1.5);
    for (uint32_t k = 0; k < operations; k++) {
        uint32_t reach = below(3) ? 6 : p->size, x[24], count = 1 + below(below(4) ? 4 : 12);
        if (reach > p->size)
            reach = p->size;
        for (uint32_t j = 0; j < 24; j++)
            x[j] = p->size - 1 - below(reach);
        int op = ops[below(sizeof ops / sizeof *ops)];
        if (op == FG_OP_sum || op == FG_OP_mean || op == FG_OP_logsumexp)
            nary(p, op, x, count);
        else if (op == FG_OP_dot)
            nary(p, op, x, 2 * count);
        else if (op == FG_TAKE)
            nary(p, op, x, 1 + count);
        else
            node(p, op, x[0], x[1], x[2]);
    }
    for (uint32_t k = 0; k < outputs; k++)
        output(p, below(4) ? p->size - 1 - below(p->size / 2) : below(p->size));
    assert(fg_program_verify(p) == FG_OK);
}

/* Rosenbrock's function of n inputs and its gradient, the sum made by additions or as one node. */
static void rosenbrock(fg_program *result, uint32_t n, int one_sum)
{
    fg_program program = {0}, *p = &program;
    uint32_t x[200], t[200], wrt[200], zero = 0, sum = constant(p, 0.0);
    for (uint32_t i = 0; i < n; i++) {
        x[i] = input(p);
        wrt[i] = i;
    }
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t u = SUB(x[i + 1], MUL(x[i], x[i])), w = SUB(constant(p, 1.0), x[i]);
        t[i] = ADD(MUL(constant(p, 100.0), MUL(u, u)), MUL(w, w));
        sum = one_sum ? sum : ADD(sum, t[i]);
    }
    output(p, one_sum ? nary(p, FG_OP_sum, t, n - 1) : sum);
    fg_program gradient = {0};
    assert(fg_reverse(p, (fg_selection){&zero, 1, wrt, n}, 0, &gradient) == FG_OK);
    output(&gradient, p->output[0]);
    uint32_t removed[4];
    assert(fg_rewrite(&gradient, FG_FOLD | FG_IDENTITIES | FG_CSE | FG_DEAD, 0, result, removed) == FG_OK);
    fg_program_free(&gradient);
    fg_program_free(p);
}

static void evaluate(const fg_program *p, const double *in, double *out)
{
    static double x[MOST_OPERANDS];
    double *value = malloc(p->size * sizeof *value);
    for (uint32_t i = 0; i < p->size; i++) {
        const uint32_t *operand;
        uint32_t own[3], count = fg_node_operands(p, &p->node[i], &operand, own);
        assert(count <= MOST_OPERANDS);
        for (uint32_t k = 0; k < count; k++)
            x[k] = value[operand[k]];
        value[i] = p->node[i].op == FG_LEAF    ? in[p->node[i].a]
                   : p->node[i].op == FG_CONST ? p->constant[p->node[i].a]
                                               : fg_apply(p->node[i].op, x, count);
    }
    for (uint32_t k = 0; k < p->outputs; k++)
        out[k] = value[p->output[k]];
    free(value);
}

/* --------------------------------------------------------------------------------------- the interpreter */

/* One row. Uniforms and slots, which are nan before they are written. */
typedef struct machine {
    const fg_code *code;
    double *uniform, *slot;
    int lane;
} machine;

static double read_operand(const machine *m, uint32_t x)
{
    return m->lane && !(x & FG_UNIFORM) ? m->slot[x] : m->uniform[x & ~FG_UNIFORM];
}

static double chain(const machine *m, const fg_instr *i)
{
    double s = 0.0;
    for (const uint32_t *t = m->code->pool + i->a, *end = t + 3 * (size_t)i->b, *first = t; t < end; t += 3) {
        double x = read_operand(m, t[1]), y = read_operand(m, t[2]);
        const double zmul_xy[] = {x, y}, zmul_sx[] = {s, x}, zmul_xs[] = {x, s};
        switch (t[0]) {
        case FG_T_ADD: s = t == first ? x : s + x; break;
        case FG_T_SUB: s = t == first ? -x : s - x; break;
        case FG_T_MUL_ADD: s = t == first ? x * y : s + x * y; break;
        case FG_T_MUL_SUB: s = t == first ? -(x * y) : s - x * y; break;
        case FG_T_RSUB: s = x - s; break;
        case FG_T_MUL: s = s * x; break;
        case FG_T_MUL_RSUB: s = x * y - s; break;
        case FG_T_ZMUL: s = fg_apply(FG_OP_zmul, zmul_sx, 2); break;
        case FG_T_ZMUL_ADD: s = t == first ? fg_apply(FG_OP_zmul, zmul_xy, 2) : s + fg_apply(FG_OP_zmul, zmul_xy, 2); break;
        case FG_T_RZMUL: s = fg_apply(FG_OP_zmul, zmul_xs, 2); break;
        default: assert(0);
        }
    }
    return s;
}

static double compute(const machine *m, const fg_instr *i)
{
    static double x[MOST_OPERANDS];
    fg_instr copy = *i;
    uint32_t count = fg_operand_count(i);
    assert(count <= MOST_OPERANDS);
    for (uint32_t k = 0; k < count; k++)
        x[k] = read_operand(m, *fg_operand_at(&copy, m->code->pool, k));
    switch (i->op) {
    case FG_I_SPLAT: return x[0];
    case FG_I_MUL_ADD: return x[0] * x[1] + x[2];
    case FG_I_MUL_SUB: return x[0] * x[1] - x[2];
    case FG_I_SUB_MUL: return x[2] - x[0] * x[1];
    case FG_I_CHAIN: return chain(m, i);
    default: return fg_apply(i->op, x, count);
    }
}

static void run_lane(machine *m, const fg_instr *i, const double *in, double *out, uint8_t *left)
{
    const uint32_t *pool = m->code->pool + i->a;
    switch (i->op) {
    case FG_I_LOAD:
        for (uint32_t k = 0; k < i->b; k++)
            m->slot[pool[i->b + k]] = in[pool[k]];
        break;
    case FG_I_STORE:
        for (uint32_t k = 0; k < i->b; k++)
            out[pool[k]] = read_operand(m, pool[i->b + k]);
        break;
    case FG_I_SUM: out[i->z] = read_operand(m, i->a); break;
    case FG_I_SUM_MUL: out[i->z] = read_operand(m, i->a) * read_operand(m, i->b); break;
    case FG_I_SUM_ZMUL: out[i->z] = read_operand(m, i->a) == 0.0 ? 0.0 : read_operand(m, i->a) * read_operand(m, i->b); break;
    case FG_I_GUARD: left[i->b] = (read_operand(m, i->a) != 0.0) != i->c; break;
    default: m->slot[i->z] = compute(m, i);
    }
}

/* Results and, of each guard, whether the row leaves. */
static void interpret(const fg_code *code, const double *in, double *out, uint8_t *left)
{
    machine m = {.code = code};
    m.uniform = malloc((code->uniforms + 1) * sizeof *m.uniform);
    m.slot = malloc((code->slots + 1) * sizeof *m.slot);
    memcpy(m.uniform, code->constant, code->constants * sizeof *m.uniform);
    for (uint32_t k = 0; k < code->uniform_inputs; k++)
        m.uniform[code->constants + k] = in[code->uniform_input[k]];
    for (uint32_t k = 0; k < code->uniform_size; k++)
        m.uniform[code->uniform[k].z] = compute(&m, &code->uniform[k]);
    for (uint32_t k = 0; k < code->slots; k++)
        m.slot[k] = NAN;
    for (uint32_t k = 0; k < code->outputs; k++)
        out[k] = code->lane_size == 0 ? m.uniform[code->uniform_output[k]] : NAN;
    m.lane = 1;
    for (uint32_t k = 0; k < code->lane_size; k++)
        run_lane(&m, &code->lane[k], in, out, left);
    free(m.uniform);
    free(m.slot);
}

/* Compiles, verifies, and compares with the program on some rows. With sums, only what one row adds to them. */
static fg_code compiled(const fg_program *p, const fg_code_options *options)
{
    fg_code code;
    assert(fg_compile(p, options, &code) == FG_OK);
    assert(fg_code_verify(&code) == FG_OK);
    uint32_t results = p->outputs - options->guards;
    double *in = malloc((p->inputs + 1) * sizeof *in), *wanted = malloc((p->outputs + 1) * sizeof *wanted);
    double *out = malloc((p->outputs + 1) * sizeof *out);
    uint8_t *left = calloc(options->guards + 1, 1);
    for (int row = 0; row < 3; row++) {
        for (uint32_t k = 0; k < p->inputs; k++)
            in[k] = below(5) ? (int)below(4000) / 1000.0 - 2.0 : (double)below(3) - 1.0;
        evaluate(p, in, wanted);
        interpret(&code, in, out, left);
        for (uint32_t k = 0; k < results; k++)
            assert(same(out[k], wanted[k]) || (code.sums && out[k] + 0.0 == wanted[k] + 0.0));
        for (uint32_t k = 0; k < options->guards; k++)
            assert(code.lane_size == 0 ? same(out[results + k], wanted[results + k])
                                       : left[k] == ((wanted[results + k] != 0.0) != options->expected[k]));
    }
    free(in);
    free(wanted);
    free(out);
    free(left);
    return code;
}

static uint32_t count_of(const fg_code *code, int op)
{
    uint32_t count = 0;
    for (uint32_t k = 0; k < code->lane_size; k++)
        count += code->lane[k].op == op;
    return count;
}

/* ------------------------------------------------------------------------------------------------- tests */

static const uint8_t expected[] = {1, 0, 1, 1, 0};

static void test_every_choice_of_passes_computes_the_same(void)
{
    for (int round = 0; round < 60; round++) {
        fg_program p = {0};
        uint8_t batched[10];
        random_program(&p, 1 + below(10), 1 + below(150), 1 + below(12));
        for (int choice = 0; choice < 16; choice++) {
            for (uint32_t k = 0; k < p.inputs; k++)
                batched[k] = below(3) > 0;
            fg_code_options options = {.passes = (choice & 1 ? FG_HOIST : 0) | (choice & 2 ? FG_SCHEDULE : 0)
                                                 | (choice & 4 ? FG_FUSE : 0),
                                       .batched = batched,
                                       .guards = below(3) && p.outputs > 5 ? below(5) : 0,
                                       .expected = expected,
                                       .sum = choice >> 3,
                                       .lanes = 8 * below(5)};
            fg_code code = compiled(&p, &options);
            fg_code_free(&code);
        }
        fg_program_free(&p);
    }
}

static void test_code_of_uniform_inputs_has_no_lane_stream(void)
{
    fg_program p = {0};
    uint8_t batched[4] = {0};
    random_program(&p, 4, 60, 3);
    for (int sum = 0; sum < 2; sum++) {
        fg_code_options options = {.passes = FG_FUSE, .batched = batched, .sum = sum};
        fg_code code = compiled(&p, &options);
        assert(code.lane_size == 0 && code.sums == 0 && code.uniform_inputs == 4);
        fg_code_free(&code);
    }
    fg_program_free(&p);
}

static void test_what_depends_on_no_batched_input_is_computed_once(void)
{
    fg_program program = {0}, *p = &program;
    uint32_t x = input(p), a = input(p);
    uint32_t once = node(p, FG_OP_sqrt, MUL(a, constant(p, 2.0)), 0, 0);
    output(p, ADD(MUL(x, once), once));
    uint8_t batched[] = {1, 0};
    fg_code_options options = {.passes = FG_ALL_PASSES, .batched = batched};
    fg_code code = compiled(p, &options);
    assert(code.uniform_size == 2 && code.lane_size == 3 && count_of(&code, FG_I_MUL_ADD) == 1);
    fg_code_free(&code);
    options.passes = 0;
    code = compiled(p, &options);
    assert(code.uniform_size == 0 && count_of(&code, FG_I_SPLAT) == 1 && count_of(&code, FG_OP_sqrt) == 1);
    fg_code_free(&code);
    fg_program_free(p);
}

static void test_products_and_sums_of_a_single_user_are_fused(void)
{
    fg_program program = {0}, *p = &program;
    uint32_t x = input(p), y = input(p), z = input(p);
    output(p, ADD(MUL(x, y), z));
    output(p, SUB(MUL(x, z), y));
    output(p, SUB(x, MUL(y, z)));
    output(p, MUL(SUB(z, ADD(ADD(x, y), MUL(x, x))), y));
    uint8_t batched[] = {1, 1, 1};
    fg_code_options options = {.passes = FG_ALL_PASSES, .batched = batched};
    fg_code code = compiled(p, &options);
    assert(count_of(&code, FG_I_MUL_ADD) == 1 && count_of(&code, FG_I_MUL_SUB) == 1 && count_of(&code, FG_I_SUB_MUL) == 1);
    assert(count_of(&code, FG_I_CHAIN) == 1 && code.lane_size == 6);
    fg_code_free(&code);
    fg_program_free(p);
}

static void test_a_product_that_is_only_summed_over_rows_is_added_at_once(void)
{
    fg_program program = {0}, *p = &program;
    uint32_t x = input(p), y = input(p), zero = constant(p, 0.0), product = MUL(x, y), twice = MUL(x, x);
    output(p, ADD(product, zero)); /* sums start from 0.0 */
    output(p, twice);
    output(p, ADD(twice, y));
    output(p, x);
    uint8_t batched[] = {1, 1};
    fg_code_options options = {.passes = FG_ALL_PASSES, .batched = batched, .sum = 1};
    fg_code code = compiled(p, &options);
    assert(count_of(&code, FG_I_SUM_MUL) == 1 && count_of(&code, FG_I_SUM) == 3 && count_of(&code, FG_OP_add) == 1);
    fg_code_free(&code);
    fg_program_free(p);
}

static void test_an_input_can_be_an_output_and_a_guard(void)
{
    fg_program program = {0}, *p = &program;
    uint32_t x = input(p), y = input(p), u = input(p);
    for (int k = 0; k < 2; k++) {
        output(p, x);
        output(p, u);
    }
    output(p, y);
    output(p, node(p, FG_OP_greater, x, constant(p, 0.0), 0));
    output(p, x);
    output(p, u);
    uint8_t batched[] = {1, 1, 0};
    for (int sum = 0; sum < 2; sum++) {
        fg_code_options options = {.passes = FG_ALL_PASSES, .batched = batched, .guards = 3, .expected = expected, .sum = sum};
        fg_code code = compiled(p, &options);
        assert(count_of(&code, FG_I_GUARD) == 3);
        fg_code_free(&code);
    }
    fg_program_free(p);
}

static void test_derivatives_come_right_behind_what_they_derive(void)
{
    for (int one_sum = 0; one_sum < 2; one_sum++) {
        fg_program p = {0};
        uint8_t batched[100];
        memset(batched, 1, sizeof batched);
        rosenbrock(&p, 100, one_sum);
        fg_code_options options = {.passes = FG_ALL_PASSES, .batched = batched};
        fg_code code = compiled(&p, &options);
        assert(code.slots <= (one_sum ? 32 : 24) && code.lanes >= 64);
        assert(count_of(&code, FG_I_LOAD) == 13 && count_of(&code, FG_I_STORE) <= 14);
        fg_code_free(&code);
        options.passes = FG_HOIST;
        code = compiled(&p, &options);
        assert(code.slots > 200);
        fg_code_free(&code);
        fg_program_free(&p);
    }
}

static void test_terms_of_long_sums_do_not_wait_for_each_other(void)
{
    static const int ops[] = {FG_OP_sum, FG_OP_mean, FG_OP_dot};
    enum { TERMS = 500 };
    for (int k = 0; k < 3; k++) {
        fg_program program = {0}, *p = &program;
        uint32_t x[2 * TERMS], y = input(p);
        uint8_t batched = 1;
        for (uint32_t i = 0; i < 2 * TERMS; i++)
            x[i] = node(p, FG_OP_pow, y, constant(p, i * 0.01), 0);
        output(p, nary(p, ops[k], x, 2 * TERMS));
        fg_code_options options = {.passes = FG_ALL_PASSES, .batched = &batched};
        fg_code code = compiled(p, &options);
        assert(code.slots <= 20);
        fg_code_free(&code);
        fg_program_free(p);
    }
}

static void test_few_slots_have_many_lanes(void)
{
    fg_program program = {0}, *p = &program;
    uint32_t x = input(p), all[3000];
    uint8_t batched = 1;
    for (uint32_t i = 0; i < 3000; i++)
        all[i] = node(p, FG_OP_sqrt, i ? all[i - 1] : x, 0, 0);
    output(p, all[2]);
    fg_code_options options = {.passes = FG_ALL_PASSES, .batched = &batched};
    fg_code few = compiled(p, &options);
    output(p, nary(p, FG_OP_logsumexp, all, 3000));
    fg_code many = compiled(p, &options);
    assert(few.slots <= 2 && few.lanes == FG_MAX_LANES && many.slots >= 3000 && many.lanes < few.lanes && many.lanes >= 8);
    assert(FG_CHUNK % few.lanes == 0 && FG_CHUNK % many.lanes == 0);
    fg_code_free(&few);
    fg_code_free(&many);
    fg_program_free(p);
}

static void test_a_deep_program_compiles(void)
{
    fg_program program = {0}, *p = &program;
    enum { DEPTH = 100000 };
    uint32_t x = input(p), y = x;
    uint8_t batched = 1;
    for (uint32_t i = 0; i < DEPTH; i++)
        y = i % 3 == 0 ? ADD(y, x) : i % 3 == 1 ? MUL(x, y) : node(p, FG_OP_sqrt, y, 0, 0);
    output(p, y);
    fg_code_options options = {.passes = FG_ALL_PASSES, .batched = &batched};
    fg_code code = compiled(p, &options);
    assert(code.slots <= 3);
    fg_code_free(&code);
    fg_program_free(p);
}

static void test_options_that_make_no_sense_are_refused(void)
{
    fg_program program = {0}, *p = &program;
    uint8_t batched = 1;
    output(p, input(p));
    fg_code code;
    fg_code_options options = {.passes = FG_ALL_PASSES, .batched = &batched, .guards = 2, .expected = expected};
    assert(fg_compile(p, &options, &code) == FG_BAD_PROGRAM);
    options.guards = 0;
    options.lanes = 12;
    assert(fg_compile(p, &options, &code) == FG_BAD_PROGRAM);
    options.lanes = 2 * FG_MAX_LANES;
    assert(fg_compile(p, &options, &code) == FG_BAD_PROGRAM);
    options.lanes = 16;
    code = compiled(p, &options);
    assert(code.lanes == 16);
    fg_code_free(&code);
    fg_program_free(p);
}

/* Damages code at random: what the verifier lets pass, the interpreter can read without stepping outside. */
static void test_the_verifier_lets_no_garbage_pass(void)
{
    uint32_t refused = 0, trials = 3000;
    for (uint32_t trial = 0; trial < trials; trial++) {
        fg_program p = {0};
        uint8_t batched[4] = {1, 0, 1, 0}, left[8] = {0};
        double in[4] = {1.0, 2.0, 3.0, 4.0}, out[8];
        random_program(&p, 4, 20, 6);
        fg_code_options options = {.passes = FG_ALL_PASSES, .batched = batched, .guards = 2, .expected = expected,
                                   .sum = trial % 2};
        fg_code code;
        assert(fg_compile(&p, &options, &code) == FG_OK);
        uint32_t bits = below(2) ? 1u << below(32) : below(30), n = code.lane_size ? below(code.lane_size) : 0;
        fg_instr *i = below(4) && code.lane_size ? &code.lane[n] : code.uniform_size ? &code.uniform[below(code.uniform_size)] : NULL;
        uint32_t *field[] = {i ? &i->a : &code.slots, i ? &i->b : &code.slots, i ? &i->c : &code.slots, i ? &i->z : &code.slots,
                             code.pool_size ? &code.pool[below(code.pool_size)] : &code.guards, &code.slots, &code.guards,
                             &code.sums, &code.uniform_inputs};
        uint32_t which = below(10), saved[] = {code.guards, code.uniform_inputs};
        if (which == 9 && i)
            i->op = (uint16_t)(i->op ^ (bits & 0xff));
        else
            *field[which % 9] ^= bits;
        int status = code.slots < 1000 ? fg_code_verify(&code) : FG_BAD_PROGRAM;
        refused += status == FG_BAD_PROGRAM;
        if (status == FG_OK && code.inputs == 4 && code.guards <= 8)
            interpret(&code, in, out, left);
        code.guards = saved[0];
        code.uniform_inputs = saved[1];
        fg_code_free(&code);
        fg_program_free(&p);
    }
    assert(refused > trials / 3 && refused < trials);
}

int main(void)
{
    test_every_choice_of_passes_computes_the_same();
    test_code_of_uniform_inputs_has_no_lane_stream();
    test_what_depends_on_no_batched_input_is_computed_once();
    test_products_and_sums_of_a_single_user_are_fused();
    test_a_product_that_is_only_summed_over_rows_is_added_at_once();
    test_an_input_can_be_an_output_and_a_guard();
    test_derivatives_come_right_behind_what_they_derive();
    test_terms_of_long_sums_do_not_wait_for_each_other();
    test_few_slots_have_many_lanes();
    test_a_deep_program_compiles();
    test_options_that_make_no_sense_are_refused();
    test_the_verifier_lets_no_garbage_pass();
    puts("12 tests passed");
    return 0;
}
