/* Tests of programs without Python, for sanitizers and valgrind: garbage, derivatives, rewriting. */
#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identities.h"
#include "partials.h"
#include "program_private.h"
#include "tape.h"

static uint64_t state = 1;

static uint32_t draw(uint32_t below)
{
    state = state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)(state >> 33) % below;
}

static const double SPECIAL[] = {
    0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -3.25, 0.1, 7e300, -7e300, 5e-324, -5e-324, 1e-310, INFINITY, -INFINITY, NAN,
};
enum { SPECIALS = sizeof SPECIAL / sizeof *SPECIAL };

static int same_bits(double x, double y)
{
    return (x != x && y != y) || memcmp(&x, &y, sizeof x) == 0;
}

/* ------------------------------------------------------------------------------- programs and their values */

static uint32_t row(fg_program *p, int op, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t node;
    assert(fg_program_append(p, (fg_node){.op = (uint16_t)op, .a = a, .b = b, .c = c}, &node) == FG_OK);
    return node;
}

static uint32_t input(fg_program *p)
{
    return row(p, FG_LEAF, p->inputs++, 0, 0);
}

static uint32_t number(fg_program *p, double value)
{
    uint32_t node;
    assert(fg_program_append_constant(p, value, 0, &node) == FG_OK);
    return node;
}

static uint32_t nary(fg_program *p, int op, const uint32_t *operand, uint32_t count)
{
    uint32_t node;
    assert(fg_program_append_nary(p, op, operand, count, 0, &node) == FG_OK);
    return node;
}

static void output(fg_program *p, uint32_t node)
{
    assert(fg_program_append_output(p, node) == FG_OK);
}

/* The outputs at these inputs. */
static void run(const fg_program *p, const double *in, double *out)
{
    double *value = malloc((p->size + 1) * sizeof *value), *x = malloc((p->pool_size + 4) * sizeof *x);
    assert(value && x);
    for (uint32_t i = 0; i < p->size; i++) {
        const fg_node *node = &p->node[i];
        const uint32_t *operand;
        uint32_t own[3], count = fg_node_operands(p, node, &operand, own);
        for (uint32_t k = 0; k < count; k++)
            x[k] = value[operand[k]];
        value[i] = node->op == FG_LEAF ? in[node->a] : node->op == FG_CONST ? p->constant[node->a]
                                                                            : fg_apply(node->op, x, count);
    }
    for (uint32_t i = 0; i < p->outputs; i++)
        out[i] = value[p->output[i]];
    free(value);
    free(x);
}

static uint32_t operations(const fg_program *p)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->size; i++)
        count += (uint32_t)is_operation(p->node[i].op);
    return count;
}

/* A program of random rows on `inputs` inputs; everything in it has some chance to be simplified or shared. */
static fg_program random_program(uint32_t inputs, uint32_t size)
{
    fg_program p = {0};
    for (uint32_t i = 0; i < inputs; i++)
        input(&p);
    while (p.size < size) {
        int op = (int)draw(FG_OP_COUNT);
        uint32_t n = p.size, pool[8], count = 2 * (1 + draw(4));
        if (fg_operands[op] == FG_NOT_IN_PROGRAMS || op == FG_LEAF)
            continue;
        for (uint32_t k = 0; k < count; k++)
            pool[k] = draw(n);
        if (op == FG_CONST || draw(8) == 0)
            number(&p, SPECIAL[draw(SPECIALS)]);
        else if (is_nary(op))
            nary(&p, op, pool, count);
        else
            row(&p, op, pool[0], pool[1], draw(n));
    }
    output(&p, p.size - 1);
    output(&p, p.size / 2);
    assert(fg_program_verify(&p) == FG_OK);
    return p;
}

/* ----------------------------------------------------------------------------------------------- verifying */

static void test_programs_of_garbage_are_told_or_work(void)
{
    uint32_t valid = 0;
    for (int round = 0; round < 20000; round++) {
        fg_node node[6];
        uint32_t pool[6], outputs[2], removed[4];
        double constant[2] = {1.5, -0.0};
        fg_program p = {.node = node, .size = draw(7), .pool = pool, .pool_size = draw(7), .constant = constant,
                        .constants = draw(3), .inputs = draw(3), .output = outputs, .outputs = draw(3)};
        for (uint32_t i = 0; i < 6; i++) {
            uint32_t near = 1 + i, far = draw(9) ? near : UINT32_MAX;
            node[i] = (fg_node){(uint16_t)(draw(9) ? draw(FG_OP_COUNT + 1) : draw(65536)), 0, draw(far), draw(far), draw(far), 0};
            pool[i] = draw(far);
        }
        for (uint32_t i = 0; i < 2; i++)
            outputs[i] = draw(p.size + 1);
        uint32_t at, zero = 0;
        const char *fault = fg_program_fault(&p, &at);
        assert((fault != NULL) == (fg_program_verify(&p) == FG_BAD_PROGRAM));
        if (fault)
            continue;
        valid++;
        fg_program made = {0};
        fg_selection s = {&zero, p.outputs > 0, &zero, p.inputs > 0};
        assert(fg_rewrite(&p, FG_ALL_PASSES, 1, &made, removed) == FG_OK && fg_program_verify(&made) == FG_OK);
        fg_program_free(&made);
        assert(fg_reverse(&p, s, draw(2), &made) == FG_OK && fg_program_verify(&made) == FG_OK);
        fg_program_free(&made);
        assert(fg_forward(&p, s, NULL, 0, &made) == FG_OK && fg_program_verify(&made) == FG_OK);
        fg_program_free(&made);
    }
    assert(valid > 500);
}

static void test_each_fault_is_named(void)
{
    double one = 1.0;
    uint32_t pool[] = {0, 0, 0}, at;
    fg_node leaf = {.op = FG_LEAF}, constant = {.op = FG_CONST, .a = 1}, sum = {.op = FG_OP_sum, .a = 0, .b = 2};
    fg_node nodes[][2] = {
        {leaf, {.op = FG_GIVEN}}, {leaf, constant}, {leaf, leaf}, {leaf, {.op = FG_LEAF, .a = 1}},
        {leaf, {.op = FG_OP_neg, .a = 1}}, {leaf, {.op = FG_OP_sum, .a = 2, .b = 2}}, {leaf, {.op = FG_OP_sum, .b = 0}},
        {leaf, {.op = FG_OP_dot, .b = 3}}, {leaf, {.op = FG_TAKE, .b = 1}}, {leaf, {.op = FG_OP_COUNT}},
    };
    fg_program p = {.pool = pool, .pool_size = 3, .constant = &one, .constants = 1, .inputs = 1, .size = 2};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        p.node = nodes[i];
        assert(fg_program_fault(&p, &at) && at == 1);
    }
    fg_node twice[] = {leaf, sum, sum};
    p.node = twice;
    p.size = 3;
    assert(fg_program_fault(&p, &at) && at == 2); /* 4 entries, where the pool has 3 */
    p.size = 2;
    assert(!fg_program_fault(&p, &at));
    uint32_t none = 2;
    p.output = &none;
    p.outputs = 1;
    assert(fg_program_fault(&p, &at) && at == FG_NO_NODE);
}

static void test_selections_out_of_range_are_refused(void)
{
    fg_program p = random_program(2, 10), made = {0};
    uint32_t zero = 0, two = 2;
    assert(fg_reverse(&p, (fg_selection){&two, 1, &zero, 1}, 0, &made) == FG_BAD_PROGRAM);
    assert(fg_forward(&p, (fg_selection){&zero, 1, &two, 1}, NULL, 0, &made) == FG_BAD_PROGRAM);
    fg_program_free(&p);
}

/* --------------------------------------------------------------------------------------------- derivatives */

static void test_derivatives_of_a_small_function(void)
{
    fg_program p = {0}, first = {0}, second = {0}, tangent = {0};
    uint32_t x = input(&p), y = input(&p), wrt[] = {0, 1}, outputs[] = {0, 1};
    output(&p, row(&p, FG_OP_mul, row(&p, FG_OP_mul, x, x, 0), row(&p, FG_OP_sin, y, 0, 0), 0)); /* x x sin(y) */
    double in[4] = {3.0, 0.5, 2.0, -1.0}, g[2], h[4], t[1];
    assert(fg_reverse(&p, (fg_selection){outputs, 1, wrt, 2}, 0, &first) == FG_OK);
    run(&first, in, g);
    assert(fabs(g[0] - 6.0 * sin(0.5)) < 1e-15 && fabs(g[1] - 9.0 * cos(0.5)) < 1e-14);
    assert(fg_reverse(&first, (fg_selection){outputs, 2, wrt, 2}, 0, &second) == FG_OK && second.outputs == 4);
    run(&second, in, h);
    assert(fabs(h[0] - 2.0 * sin(0.5)) < 1e-15 && fabs(h[1] - 6.0 * cos(0.5)) < 1e-14);
    assert(fabs(h[2] - h[1]) < 1e-14 && fabs(h[3] + 9.0 * sin(0.5)) < 1e-14);
    assert(fg_forward(&p, (fg_selection){outputs, 1, wrt, 2}, NULL, 0, &tangent) == FG_OK && tangent.inputs == 4);
    run(&tangent, in, t);
    assert(fabs(t[0] - (2.0 * g[0] - g[1])) < 1e-14);
    fg_program_free(&p);
    fg_program_free(&first);
    fg_program_free(&second);
    fg_program_free(&tangent);
}

static void test_what_does_not_depend_costs_nothing(void)
{
    fg_program p = {0}, made = {0};
    uint32_t x = input(&p), y = input(&p), wrt[] = {1}, outputs[] = {0, 1};
    output(&p, row(&p, FG_OP_exp, x, 0, 0));
    output(&p, row(&p, FG_OP_less, x, y, 0));
    assert(fg_reverse(&p, (fg_selection){outputs, 2, wrt, 1}, 0, &made) == FG_OK);
    assert(operations(&made) == operations(&p) && made.outputs == 2);
    assert(is_constant(&made, made.output[0]) && constant_of(&made, made.output[1]) == 0.0);
    fg_program_free(&made);
    double direction[] = {0.0};
    wrt[0] = 0;
    assert(fg_forward(&p, (fg_selection){outputs, 2, wrt, 1}, direction, 1, &made) == FG_OK);
    assert(operations(&made) == operations(&p) && made.outputs == 2);
    fg_program_free(&made);
    fg_program_free(&p);
}

static void test_a_branch_not_taken_hides_its_nan(void)
{
    fg_program p = {0}, made = {0}, second = {0};
    uint32_t x = input(&p), zero = number(&p, 0.0), wrt[] = {0}, outputs[] = {0};
    uint32_t positive = row(&p, FG_OP_greater, x, zero, 0);
    output(&p, row(&p, FG_OP_where, positive, row(&p, FG_OP_mul, x, row(&p, FG_OP_sqrt, x, 0, 0), 0), zero));
    fg_selection s = {outputs, 1, wrt, 1};
    double in[2] = {-4.0, 1.0}, out;
    assert(fg_reverse(&p, s, 0, &made) == FG_OK);
    run(&made, in, &out);
    assert(same_bits(out, 0.0));
    assert(fg_reverse(&made, s, 0, &second) == FG_OK);
    run(&second, in, &out);
    assert(same_bits(out, 0.0));
    fg_program_free(&second);
    assert(fg_forward(&made, s, NULL, 0, &second) == FG_OK);
    run(&second, in, &out);
    assert(out == 0.0);
    fg_program_free(&second);
    fg_program_free(&made);
    assert(fg_forward(&p, s, NULL, 0, &made) == FG_OK);
    run(&made, in, &out);
    assert(out == 0.0);
    fg_program_free(&made);
    fg_program_free(&p);
}

static void test_a_million_nodes_deep(void)
{
    enum { DEPTH = 1000000 };
    fg_program p = {0}, made = {0}, rewritten = {0};
    uint32_t node = input(&p), half = number(&p, 0.5), zero = 0, removed[4];
    for (int i = 0; i < DEPTH / 2; i++)
        node = row(&p, FG_OP_sin, row(&p, FG_OP_mul, node, half, 0), 0, 0);
    output(&p, node);
    assert(fg_reverse(&p, (fg_selection){&zero, 1, &zero, 1}, 0, &made) == FG_OK);
    assert(fg_rewrite(&made, FG_ALL_PASSES, 0, &rewritten, removed) == FG_OK);
    assert(operations(&rewritten) == operations(&made) - removed[0] - removed[1] - removed[2] - removed[3]);
    fg_program_free(&p);
    fg_program_free(&made);
    fg_program_free(&rewritten);
}

/* ----------------------------------------------------------------------------------------------- rewriting */

/* The value of one side of an identity, its letters standing for these numbers. */
static double side_at(const uint8_t *side, const double of_letter[])
{
    double waiting[FG_TOKENS + 3];
    int depth = 0;
    for (int k = FG_TOKENS; k-- > 0;) {
        int token = side[k];
        if (!token)
            continue;
        double x[3] = {0.0, 0.0, 0.0}, value;
        if (token >= FG_LETTERS_END)
            value = fg_literal[token - FG_LETTERS_END];
        else if (token >= FG_X)
            value = of_letter[token - FG_X];
        else {
            for (int i = 0; i < fg_operands[token]; i++)
                x[i] = waiting[--depth];
            value = fg_apply(token, x, fg_operands[token]);
        }
        waiting[depth++] = value;
    }
    assert(depth == 1);
    return waiting[0];
}

static int may_stand_for(int letter, double value)
{
    int exponent;
    switch (letter) {
    case FG_B: return value == 0.0 ? !signbit(value) : value == 1.0;
    case FG_T: return value != 0.0;
    case FG_P: return fabs(frexp(value, &exponent)) == 0.5 && isfinite(1.0 / value);
    }
    return 1;
}

static void test_safe_identities_keep_every_bit(void)
{
    for (uint32_t i = 0; i < FG_SAFE_IDENTITIES; i++) {
        const fg_identity *it = &fg_safe_identities[i];
        uint32_t tried = 0;
        for (uint32_t x = 0; x < SPECIALS; x++)
            for (uint32_t y = 0; y < SPECIALS; y++)
                for (uint32_t w = 0; w < SPECIALS; w++) {
                    double letter[FG_LETTERS_END - FG_X];
                    int fits = 1;
                    for (int k = 0; k < FG_LETTERS_END - FG_X; k++)
                        letter[k] = SPECIAL[k == 0 ? x : k == 1 ? y : w];
                    for (int k = 0; k < FG_TOKENS; k++)
                        if (it->pattern[k] >= FG_X && it->pattern[k] < FG_LETTERS_END)
                            fits &= may_stand_for(it->pattern[k], letter[it->pattern[k] - FG_X]);
                    if (!fits)
                        continue;
                    tried++;
                    assert(same_bits(side_at(it->pattern, letter), side_at(it->result, letter)));
                }
        assert(tried);
    }
}

static void test_identities_are_written_right(void)
{
    for (uint32_t i = 0; i < FG_SAFE_IDENTITIES + FG_FAST_IDENTITIES; i++) {
        const fg_identity *it = i < FG_SAFE_IDENTITIES ? &fg_safe_identities[i] : &fg_fast_identities[i - FG_SAFE_IDENTITIES];
        uint32_t in_pattern = 0, in_result = 0, operations_made = 0;
        double any[FG_LETTERS_END - FG_X] = {0.0};
        side_at(it->pattern, any);
        side_at(it->result, any);
        for (int k = 0; k < FG_TOKENS; k++) {
            if (it->pattern[k] >= FG_X && it->pattern[k] < FG_LETTERS_END)
                in_pattern |= 1u << (it->pattern[k] - FG_X);
            if (it->result[k] >= FG_X && it->result[k] < FG_LETTERS_END)
                in_result |= 1u << (it->result[k] - FG_X);
            operations_made += it->result[k] && it->result[k] < FG_X;
        }
        assert((in_result & ~in_pattern) == 0); /* nothing comes from nowhere */
        assert(operations_made <= 1 || in_result >> (FG_K - FG_X)); /* one, or one on constants besides */
    }
}

static void test_rewriting_keeps_every_bit(void)
{
    for (int round = 0; round < 3000; round++) {
        fg_program p = random_program(3, 5 + draw(60)), made = {0};
        uint32_t removed[4];
        int passes = round % 5 == 0 ? FG_ALL_PASSES : (int)draw(16);
        assert(fg_rewrite(&p, passes, 0, &made, removed) == FG_OK);
        assert(fg_program_verify(&made) == FG_OK && made.inputs == p.inputs && made.outputs == p.outputs);
        assert(operations(&made) == operations(&p) - removed[0] - removed[1] - removed[2] - removed[3]);
        for (int k = 0; k < 4; k++)
            assert(passes >> k & 1 || !removed[k]);
        for (int trial = 0; trial < 10; trial++) {
            double in[3], expected[2], got[2];
            for (int k = 0; k < 3; k++)
                in[k] = draw(3) ? SPECIAL[draw(SPECIALS)] : ldexp((double)draw(1000) - 500.0, (int)draw(20) - 12);
            run(&p, in, expected);
            run(&made, in, got);
            assert(same_bits(expected[0], got[0]) && same_bits(expected[1], got[1]));
        }
        fg_program_free(&p);
        fg_program_free(&made);
    }
}

static void test_rewriting_twice_finds_nothing_more(void)
{
    for (int round = 0; round < 300; round++) {
        fg_program p = random_program(3, 50), once = {0}, twice = {0};
        uint32_t removed[4];
        assert(fg_rewrite(&p, FG_ALL_PASSES, round % 2, &once, removed) == FG_OK);
        assert(fg_rewrite(&once, FG_ALL_PASSES, round % 2, &twice, removed) == FG_OK);
        assert(operations(&twice) <= operations(&once));
        assert(round % 2 || (once.size == twice.size && !removed[0] && !removed[2] && !removed[3]));
        fg_program_free(&p);
        fg_program_free(&once);
        fg_program_free(&twice);
    }
}

static void test_derived_programs_are_programs_and_keep_their_values(void)
{
    for (int round = 0; round < 500; round++) {
        fg_program p = random_program(3, 5 + draw(40)), made = {0}, rewritten = {0};
        uint32_t outputs[] = {0, 1}, wrt[] = {0, 1, 2}, removed[4];
        fg_selection s = {outputs, 2, wrt, 3};
        double directions[] = {1.0, 0.0, 0.0, 0.5, -2.0, 0.0}, in[6], expected[6], got[6];
        int status = round % 3 == 0 ? fg_reverse(&p, s, 0, &made) : round % 3 == 1 ? fg_reverse(&p, s, 1, &made)
                                                                                  : fg_forward(&p, s, directions, 2, &made);
        assert(status == FG_OK && fg_program_verify(&made) == FG_OK);
        assert(memcmp(p.node, made.node, p.size * sizeof *p.node) == 0);
        assert(fg_rewrite(&made, FG_ALL_PASSES, 0, &rewritten, removed) == FG_OK);
        for (int k = 0; k < 6; k++)
            in[k] = SPECIAL[draw(SPECIALS)];
        run(&made, in, expected);
        run(&rewritten, in, got);
        for (uint32_t k = 0; k < made.outputs; k++)
            assert(same_bits(expected[k], got[k]));
        fg_program_free(&p);
        fg_program_free(&made);
        fg_program_free(&rewritten);
    }
}

int main(void)
{
    test_programs_of_garbage_are_told_or_work();
    test_each_fault_is_named();
    test_selections_out_of_range_are_refused();
    test_derivatives_of_a_small_function();
    test_what_does_not_depend_costs_nothing();
    test_a_branch_not_taken_hides_its_nan();
    test_a_million_nodes_deep();
    test_safe_identities_keep_every_bit();
    test_identities_are_written_right();
    test_rewriting_keeps_every_bit();
    test_rewriting_twice_finds_nothing_more();
    test_derived_programs_are_programs_and_keep_their_values();
    puts("programs: ok");
    return 0;
}
