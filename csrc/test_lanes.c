/* Tests of the kernels, for the sanitizers: each in every form, for every instruction set of the machine, against the scalar
 * functions of kernels.h, bit for bit; and those of scalar.c. */
#include "kernels.h"
#include "linked.h"
#include "reduce.h"
#include "test_code.h"

typedef double formula(const double *x, const double *u, const void *argument);

/* The only output against its formula. */
static void check(trial *t, formula *f, const void *argument)
{
    static const uint32_t lanes[] = {8, 24, 64, 256};
    static double out[1][ROWS];
    for (size_t l = 0; l < sizeof lanes / sizeof *lanes; l++) {
        relink(t, lanes[l]);
        for (unsigned isa = 0; fg_isa(isa); isa++) {
            size_t rows = l % 2 ? ROWS : 21;
            memset(out, 0x55, sizeof out);
            double untouched = out[0][0];
            run(t, isa, rows, out, NULL);
            for (size_t i = 0; i < rows; i++) {
                double x[INPUTS];
                for (uint32_t k = 0; k < t->code.inputs - UNIFORMS; k++)
                    x[k] = input[k][i];
                if (!same(out[0][i], f(x, uniform, argument))) {
                    fprintf(stderr, "%s, %u lanes, row %zu, op %d form %d: %a and not %a at x %a %a %a, u %a %a %a\n",
                            fg_isa(isa), lanes[l], i, t->lane[1].op, t->lane[1].form, out[0][i], f(x, uniform, argument),
                            x[0], x[1], x[2], uniform[0], uniform[1], uniform[2]);
                    exit(1);
                }
            }
            assert(rows == ROWS || same(out[0][rows], untouched));
        }
    }
    fg_unlink(&t->code);
}

#if FG_OWN_CALLED
/* A double of any sign and exponent, or, where that is odd, with one from -6 to 9: G. Marsaglia's xorshift, 2003. */
static double double_of(uint64_t *state)
{
    double x;
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    uint64_t bits = *state, few = (1017 + (bits >> 60)) << 52;
    bits = bits & 1 ? (bits & ~(UINT64_C(0x7FF) << 52)) | few : bits;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Our own functions are there twice, for machines with and without fused multiply-add. */
static void test_own_functions_give_the_same_bits_without_the_instruction(void)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < 20000 && FG_HAS_INSTRUCTION; i++) {
        double x = double_of(&state), y = double_of(&state);
#define FG_SAME1(name) assert(same(fg_fused_##name(x), fg_plain_##name(x)));
#define FG_SAME2(name) assert(same(fg_fused_##name(x, y), fg_plain_##name(x, y)));
        FG_OWN_FUNCTIONS(FG_SAME1, FG_SAME2)
    }
}
#endif

/* ------------------------------------------------------------------------------------------------ rows of one to three */

typedef struct row {
    int op, operands;
    double (*value)(const double *x);
} row;

#define OP1(kind, name, ...) static double name##_of(const double *x) { return fg_##name##_forward(x[0]); }
#define OP2(kind, name, ...) static double name##_of(const double *x) { return fg_##name##_forward(x[0], x[1]); }
#define OP3(kind, name, ...) static double name##_of(const double *x) { return fg_##name##_forward(x[0], x[1], x[2]); }
#include "ops.def"

static double mul_add_of(const double *x) { return x[0] * x[1] + x[2]; }
static double mul_sub_of(const double *x) { return x[0] * x[1] - x[2]; }
static double sub_mul_of(const double *x) { return x[2] - x[0] * x[1]; }

static const row rows_of_table[] = {
#define OP1(kind, name, ...) {FG_OP_##name, 1, name##_of},
#define OP2(kind, name, ...) {FG_OP_##name, 2, name##_of},
#define OP3(kind, name, ...) {FG_OP_##name, 3, name##_of},
#include "ops.def"
    {FG_I_MUL_ADD, 3, mul_add_of}, {FG_I_MUL_SUB, 3, mul_sub_of}, {FG_I_SUB_MUL, 3, sub_mul_of},
};

typedef struct form {
    const row *row;
    int form;
} form;

static double value_of_form(const double *x, const double *u, const void *argument)
{
    const form *f = argument;
    double operand[3];
    for (int k = 0; k < f->row->operands; k++)
        operand[k] = f->form >> k & 1 ? u[k] : x[k];
    return f->row->value(operand);
}

static void check_row(const row *r)
{
    for (int form_number = 0; form_number < (1 << r->operands) - 1; form_number++)
        for (uint32_t target = 0; target <= 3; target++) { /* in place, and elsewhere */
            trial t;
            uint32_t operand[3];
            for (uint32_t k = 0; k < 3; k++)
                operand[k] = form_number >> k & 1 ? U(k) : k;
            begin(&t, 3, 1);
            add_columns(&t, FG_I_LOAD, 3, NULL);
            add(&t, (fg_instr){.op = (uint16_t)r->op, .form = (uint16_t)form_number, .z = target, .a = operand[0],
                               .b = operand[1], .c = operand[2]});
            add_columns(&t, FG_I_STORE, 1, &target);
            end(&t);
            fill_uniforms();
            check(&t, value_of_form, &(form){r, form_number});
        }
}

static void test_rows(void)
{
    for (size_t i = 0; i < sizeof rows_of_table / sizeof *rows_of_table; i++)
        check_row(rows_of_table + i);
}

/* -------------------------------------------------------------------------------------------------------------- chains */

enum { MAX_TERMS = 1 + 3 * FG_T_COUNT };

typedef struct chain_term {
    uint32_t kind;
    int x, y; /* an input, or where negative uniform input -1 - x */
} chain_term;

typedef struct chain {
    uint32_t terms;
    chain_term term[MAX_TERMS];
} chain;

static double value_of_chain(const double *x, const double *u, const void *argument)
{
    const chain *c = argument;
    double s = 0.0;
    for (uint32_t k = 0; k < c->terms; k++) {
        chain_term t = c->term[k];
        double a = t.x < 0 ? u[-1 - t.x] : x[t.x], b = t.y < 0 ? u[-1 - t.y] : x[t.y];
        switch (t.kind) {
        case FG_T_ADD: s = k ? s + a : a; break;
        case FG_T_SUB: s = k ? s - a : -a; break;
        case FG_T_MUL_ADD: s = k ? s + a * b : a * b; break;
        case FG_T_MUL_SUB: s = k ? s - a * b : -(a * b); break;
        case FG_T_RSUB: s = a - s; break;
        case FG_T_MUL: s = s * a; break;
        case FG_T_MUL_RSUB: s = a * b - s; break;
        case FG_T_ZMUL: s = fg_zmul_forward(s, a); break;
        case FG_T_RZMUL: s = fg_zmul_forward(a, s); break;
        case FG_T_ZMUL_ADD: s = k ? s + fg_zmul_forward(a, b) : fg_zmul_forward(a, b); break;
        }
    }
    return s;
}

static uint32_t operand_of(int x)
{
    return x < 0 ? U((uint32_t)(-1 - x)) : (uint32_t)x;
}

static void check_chain(const chain *c, uint32_t target)
{
    trial t;
    uint32_t entries[3 * MAX_TERMS];
    begin(&t, INPUTS, 1);
    for (uint32_t k = 0; k < c->terms; k++) {
        entries[3 * k] = c->term[k].kind;
        entries[3 * k + 1] = operand_of(c->term[k].x);
        entries[3 * k + 2] = operand_of(c->term[k].y);
    }
    add_columns(&t, FG_I_LOAD, INPUTS, NULL);
    add(&t, (fg_instr){.op = FG_I_CHAIN, .z = target, .a = pool(&t, 3 * c->terms, entries), .b = c->terms});
    add_columns(&t, FG_I_STORE, 1, &target);
    end(&t);
    check(&t, value_of_chain, c);
}

static void test_chains(void)
{
    static const uint32_t firsts[] = {FG_T_ADD, FG_T_SUB, FG_T_MUL_ADD, FG_T_MUL_SUB, FG_T_ZMUL_ADD};
    for (size_t k = 0; k < sizeof firsts / sizeof *firsts; k++)
        for (int form = 0; form < 3; form++) {
            chain c = {1, {{firsts[k], form == 1 ? -1 : 0, form == 2 ? -2 : 1}}};
            for (uint32_t kind = 0; kind < FG_T_COUNT; kind++) /* every kind in every form behind every kind of first term */
                for (int f = 0; f < 3; f++) {
                    int x = (int)(c.terms % INPUTS);
                    c.term[c.terms++] = (chain_term){kind, f == 1 ? -1 - x % UNIFORMS : x, f == 2 ? -3 : x / 2};
                }
            for (uint32_t terms = 1; terms <= c.terms; terms += 1 + c.terms / 5) {
                chain head = c;
                head.terms = terms;
                fill_uniforms();
                check_chain(&head, terms % 2 ? INPUTS : 1);
            }
        }
}

/* ---------------------------------------------------------------------------------------------------------- reductions */

typedef struct many {
    int op;
    uint32_t operands;
} many;

static double value_of_many(const double *x, const double *u, const void *argument)
{
    const many *m = argument;
    double operand[INPUTS], largest = -INFINITY;
    uint32_t n = m->operands, half = n / 2;
    fg_parts parts = {{0.0}};
    for (uint32_t k = 0; k < n; k++)
        operand[k] = k % 5 == 1 ? u[k % UNIFORMS] : x[k];
    (void)half;
    switch (m->op) {
#define FG_LARGEST(count) \
    for (uint32_t k = 0; k < (count); k++) \
        largest = operand[k] > largest || operand[k] != operand[k] ? operand[k] : largest;
#define REDUCE1(name, ...) \
    case FG_OP_##name: \
        FG_LARGEST(n) \
        for (uint32_t k = 0; k < n; k++) \
            fg_parts_add(&parts, k, fg_##name##_term(operand[k], largest)); \
        return fg_##name##_finish(fg_parts_total(&parts), largest, n);
#define REDUCE2(name, ...) \
    case FG_OP_##name: \
        FG_LARGEST(half) \
        for (uint32_t k = 0; k < half; k++) \
            fg_parts_add(&parts, k, fg_##name##_term(operand[k], operand[half + k])); \
        return fg_##name##_finish(fg_parts_total(&parts), largest, half);
#include "ops.def"
    }
    return operand[0] >= 0.0 && operand[0] < n - 1 ? operand[1 + (uint32_t)operand[0]] : NAN; /* FG_TAKE */
}

static void check_many(int op, uint32_t operands, uint32_t target)
{
    trial t;
    uint32_t entries[INPUTS];
    begin(&t, INPUTS, 1);
    for (uint32_t k = 0; k < operands; k++)
        entries[k] = k % 5 == 1 ? U(k % UNIFORMS) : k;
    add_columns(&t, FG_I_LOAD, INPUTS, NULL);
    add(&t, (fg_instr){.op = (uint16_t)op, .z = target, .a = pool(&t, operands, entries), .b = operands});
    add_columns(&t, FG_I_STORE, 1, &target);
    end(&t);
    fill_uniforms();
    check(&t, value_of_many, &(many){op, operands});
}

static void test_instructions_of_many_operands(void)
{
    static const int ops[] = {
        FG_TAKE,
#define REDUCE1(name, ...) FG_OP_##name,
#define REDUCE2(name, ...) FG_OP_##name,
#include "ops.def"
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        for (uint32_t operands = 2; operands <= INPUTS; operands += 2)
            check_many(ops[i], operands, operands % 4 ? INPUTS : 0);
}

/* ------------------------------------------------------------------------------------------------- the uniform stream */

/* All rows again, on uniforms alone. */
static void test_uniform_stream(void)
{
    for (size_t i = 0; i < sizeof rows_of_table / sizeof *rows_of_table; i++)
        for (int repeat = 0; repeat < 20; repeat++) {
            const row *r = rows_of_table + i;
            trial t;
            double place[1 + UNIFORMS + 1];
            begin(&t, 0, 1);
            t.code.uniforms++;
            t.code.uniform = (fg_instr[]){{.op = (uint16_t)r->op, .z = 1 + UNIFORMS, .a = 1, .b = 2, .c = 3}};
            t.code.uniform_size = 1;
            end(&t);
            fill_uniforms();
            fg_uniforms_init(&t.code, place);
            memcpy(place + 1, uniform, sizeof uniform);
            fg_run_uniform(&t.code, place);
            assert(place[0] == 3.0 && same(place[1 + UNIFORMS], r->value(uniform)));
            fg_unlink(&t.code);
        }
}

/* Many of a function, one behind the other: they go through the lanes, but for those that wait for one of them. */
static void test_uniform_groups(void)
{
    enum { MOST = 90 };
    static double place[1 + UNIFORMS + 2 * MOST + 32];
    for (size_t i = 0; i < sizeof rows_of_table / sizeof *rows_of_table; i++)
        for (uint32_t n = 1; n <= MOST && rows_of_table[i].operands == 1; n += n < 20 ? 1 : 7) {
            const row *r = rows_of_table + i;
            fg_instr instr[MOST];
            trial t;
            begin(&t, 0, 1);
            for (uint32_t k = 0; k < n; k++) /* the eleventh takes the result of the third */
                instr[k] = (fg_instr){.op = (uint16_t)r->op, .z = 1 + UNIFORMS + k,
                                      .a = k == 10 ? 1 + UNIFORMS + 2 : 1 + k % UNIFORMS};
            t.code.uniforms += n;
            t.code.uniform = instr;
            t.code.uniform_size = n;
            end(&t);
            fill_uniforms();
            assert(t.code.uniforms <= sizeof place / sizeof *place);
            fg_uniforms_init(&t.code, place);
            memcpy(place + 1, uniform, sizeof uniform);
            fg_run_uniform(&t.code, place);
            for (uint32_t k = 0; k < n; k++)
                assert(same(place[instr[k].z], r->value(place + instr[k].a)));
            fg_unlink(&t.code);
        }
}

/* A program on uniforms and the same on lanes give the same bits: the instructions of many operands. */
static void test_uniform_stream_agrees_with_lanes(void)
{
    static const uint32_t kinds[] = {FG_T_MUL_ADD, FG_T_ADD, FG_T_SUB, FG_T_MUL_SUB, FG_T_RSUB, FG_T_ZMUL, FG_T_ZMUL_ADD};
    chain c = {7, {{0, 0, 0}}};
    uint32_t entries[21], index[] = {8, 1, 2, 3};
    for (uint32_t k = 0; k < 7; k++) {
        c.term[k] = (chain_term){kinds[k], -1 - (int)k, -2 - (int)(k % 6)};
        entries[3 * k] = kinds[k];
        entries[3 * k + 1] = 1 + k;
        entries[3 * k + 2] = 2 + k % 6;
    }
    for (int repeat = 0; repeat < 100; repeat++) {
        trial t;
        double place[1 + UNIFORMS + 2];
        begin(&t, 0, 1);
        t.code.uniforms += 2;
        uint32_t terms = pool(&t, 21, entries), take = pool(&t, 4, index);
        t.code.uniform = (fg_instr[]){{.op = FG_I_CHAIN, .z = 1 + UNIFORMS, .a = terms, .b = 7},
                                      {.op = FG_TAKE, .z = 2 + UNIFORMS, .a = take, .b = 4}};
        t.code.uniform_size = 2;
        end(&t);
        fill_uniforms();
        fg_uniforms_init(&t.code, place);
        memcpy(place + 1, uniform, sizeof uniform);
        fg_run_uniform(&t.code, place);
        assert(same(place[1 + UNIFORMS], value_of_chain(NULL, uniform, &c)));
        double at = uniform[7];
        assert(same(place[2 + UNIFORMS], at >= 0.0 && at < 3.0 ? uniform[(int)at] : NAN));
        fg_unlink(&t.code);
    }
}

int main(void)
{
    fill_inputs();
#if FG_OWN_CALLED
    test_own_functions_give_the_same_bits_without_the_instruction();
#endif
    test_rows();
    test_chains();
    test_instructions_of_many_operands();
    test_uniform_stream();
    test_uniform_groups();
    test_uniform_stream_agrees_with_lanes();
    return 0;
}
