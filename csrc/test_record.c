/* Tests of recordings without Python, for sanitizers and valgrind. */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "record.h"

enum { SITE = 7 };

typedef struct fixture {
    fg_tape t;
    fg_recorder r;
    fg_extract e;
    uint32_t output[8];
} fixture;

static uint32_t append(fixture *f, int op, uint32_t a, uint32_t b, double value)
{
    assert(fg_tape_grow(&f->t, 1, 8) == FG_OK);
    return fg_append(&f->t, op, a, b, value, NULL);
}

/* A node that the recording makes, at a site of its own. */
static uint32_t own(fixture *f, int op, uint32_t a, uint32_t b, double value)
{
    uint32_t node = append(f, op, a, b, value);
    assert(fg_recorder_own(&f->r, node, SITE + node) == FG_OK);
    return node;
}

static uint32_t pool(fixture *f, uint32_t count, const uint32_t *operands)
{
    assert(fg_tape_grow(&f->t, 0, count) == FG_OK);
    uint32_t at = f->t.pool_size;
    for (uint32_t i = 0; i < count; i++)
        f->t.pool[at + i] = operands[i];
    f->t.pool_size += count;
    return at;
}

/* Starts a recording of so many inputs; returns the first. */
static uint32_t begin(fixture *f, uint32_t inputs)
{
    fg_recorder_begin(&f->r, &f->t, inputs);
    for (uint32_t i = 0; i < inputs; i++)
        own(f, FG_LEAF, 0, 0, 1.0 + i);
    return f->r.base;
}

static void start(fixture *f)
{
    *f = (fixture){.e = {.nodes = 0}};
    assert(fg_tape_init(&f->t, 4) == FG_OK);
}

static int extract(fixture *f, uint32_t outputs)
{
    f->e.output = f->output;
    f->e.outputs = outputs;
    return fg_extract_make(&f->r, &f->t, &f->e);
}

static void end(fixture *f)
{
    fg_extract_free(&f->e);
    fg_recorder_free(&f->r);
    fg_tape_free(&f->t);
}

static void test_only_what_outputs_need_is_extracted(void)
{
    fixture f;
    start(&f);
    uint32_t x = begin(&f, 3);
    own(&f, FG_OP_exp, x, 0, 2.7);
    uint32_t sum = own(&f, FG_OP_add, x, x + 2, 4.0);
    for (int i = 0; i < 1000; i++)
        own(&f, FG_OP_mul, x + 1, x + 1, 4.0);
    f.output[0] = own(&f, FG_OP_neg, sum, 0, -4.0);
    own(&f, FG_OP_exp, x, 0, 2.7);
    assert(extract(&f, 1) == FG_OK);
    assert(f.e.nodes == 4 && f.e.output[0] == 3 && f.e.parameters == 0 && f.e.constants == 0 && f.e.pool_size == 0);
    assert(f.e.node[0].op == FG_LEAF && f.e.node[0].a == 0 && f.e.node[0].line == 0);
    assert(f.e.node[1].op == FG_LEAF && f.e.node[1].a == 2);
    assert(f.e.node[2].op == FG_OP_add && f.e.node[2].a == 0 && f.e.node[2].b == 1 && f.e.node[2].line == SITE + sum);
    assert(f.e.node[3].op == FG_OP_neg && f.e.node[3].a == 2);
    end(&f);
}

static void test_captured_leaves_are_parameters_in_the_order_of_use(void)
{
    fixture f;
    start(&f);
    uint32_t p = append(&f, FG_LEAF, 0, 0, 5.0), q = append(&f, FG_LEAF, 0, 0, 6.0);
    uint32_t two = append(&f, FG_CONST, 0, 0, 2.0);
    uint32_t history = append(&f, FG_OP_mul, q, two | FG_NO_ADJOINT, 12.0);
    uint32_t x = begin(&f, 1);
    uint32_t alien = append(&f, FG_LEAF, 0, 0, 9.0); /* another thread's */
    uint32_t inner = own(&f, FG_LEAF, 0, 0, 4.0);     /* a constant of the function */
    uint32_t a = own(&f, FG_OP_add, x, history, 13.0);
    uint32_t b = own(&f, FG_OP_mul, a, alien, 117.0);
    f.output[0] = own(&f, FG_OP_add, b, inner, 121.0);
    f.output[1] = p;
    assert(extract(&f, 2) == FG_OK);
    assert(f.e.parameters == 3 && f.e.parameter[0] == q && f.e.parameter[1] == alien && f.e.parameter[2] == p);
    assert(f.e.constants == 2 && f.e.constant[0] == 2.0 && f.e.constant[1] == 4.0);
    assert(f.e.node[f.e.output[1]].op == FG_LEAF && f.e.node[f.e.output[1]].a == 3);
    end(&f);
}

static void test_operands_in_the_pool(void)
{
    fixture f;
    start(&f);
    uint32_t x = begin(&f, 3);
    uint32_t where[] = {x, x + 1, x + 2}, terms[] = {x + 2, x, x, x + 1}, entries[] = {x, x + 2, x + 1};
    uint32_t chosen = own(&f, FG_OP_where, pool(&f, 3, where), 3, 2.0);
    uint32_t dot = own(&f, FG_OP_dot, pool(&f, 4, terms), 4, 5.0);
    uint32_t taken = own(&f, FG_TAKE, pool(&f, 3, entries), 3, 2.0);
    f.output[0] = chosen;
    f.output[1] = dot;
    f.output[2] = taken;
    assert(extract(&f, 3) == FG_OK);
    assert(f.e.nodes == 6 && f.e.pool_size == 7);
    assert(f.e.node[3].op == FG_OP_where && f.e.node[3].a == 0 && f.e.node[3].b == 1 && f.e.node[3].c == 2);
    assert(f.e.node[4].op == FG_OP_dot && f.e.node[4].a == 0 && f.e.node[4].b == 4);
    assert(f.e.pool[0] == 2 && f.e.pool[1] == 0 && f.e.pool[2] == 0 && f.e.pool[3] == 1);
    assert(f.e.node[5].op == FG_TAKE && f.e.node[5].a == 4 && f.e.node[5].b == 3 && f.e.pool[5] == 2);
    end(&f);
}

static void test_guards_are_needed(void)
{
    fixture f;
    start(&f);
    uint32_t x = begin(&f, 2);
    uint32_t less = own(&f, FG_OP_less, x, x + 1, 1.0);
    assert(fg_recorder_guard(&f.r, less, 1, SITE) == FG_OK);
    for (int i = 0; i < 100; i++)
        assert(fg_recorder_guard(&f.r, x, i % 2, SITE + 1) == FG_OK);
    f.output[0] = x;
    assert(extract(&f, 1) == FG_OK);
    assert(f.r.guards == 101 && f.r.guard[1].outcome == 0 && f.r.guard[2].outcome == 1);
    assert(f.e.nodes == 3 && f.e.guard[0] == 2 && f.e.guard[100] == 0 && f.e.output[0] == 0);
    end(&f);
}

static void test_what_cannot_be_recorded_is_named_with_its_user(void)
{
    const double local[] = {2.0};
    for (int k = 0; k < 4; k++) {
        fixture f;
        start(&f);
        uint32_t p = append(&f, FG_LEAF, 0, 0, 5.0), bad;
        if (k < 2) {
            assert(fg_tape_grow(&f.t, 1, 3) == FG_OK);
            f.t.pool[f.t.pool_size] = p;
            bad = fg_tape_append_custom(&f.t, 1, k ? local : NULL, 1.0);
        } else {
            bad = append(&f, k == 2 ? FG_OP_exp | FG_CLOSURE : FG_STALE, p, 0, 1.0);
        }
        uint32_t history = append(&f, FG_OP_neg, bad, 0, -1.0);
        uint32_t x = begin(&f, 1);
        uint32_t user = own(&f, FG_OP_mul, x, history, -1.0);
        f.output[0] = own(&f, FG_OP_exp, user, 0, 0.4);
        assert(extract(&f, 1) == (k == 3 ? FG_OF_ANOTHER : FG_HAND_MADE));
        assert(f.e.culprit_site == SITE + user);
        fg_extract_free(&f.e);
        f.output[0] = own(&f, FG_OP_exp, x, 0, 0.4);
        assert(extract(&f, 1) == FG_OK && f.e.nodes == 2);
        end(&f);
    }
}

static void test_what_is_kept_becomes_leaves(void)
{
    fixture f;
    fg_handle mine = {0, 0}, other = {0, 0};
    start(&f);
    uint32_t x = begin(&f, 1);
    uint32_t kept = own(&f, FG_OP_exp, x, 0, 2.7), dropped = own(&f, FG_OP_exp, x, 0, 2.7);
    uint32_t alien = append(&f, FG_OP_exp, x, 0, 2.7);
    f.t.handle[kept] = &mine;
    f.t.handle[alien] = &other;
    fg_recorder_retire(&f.r, &f.t);
    assert(f.t.op[kept] == FG_STALE && f.t.op[dropped] == FG_OP_exp && f.t.op[alien] == FG_OP_exp);
    assert(f.t.value[kept] == 2.7 && fg_tape_operand_count(&f.t, kept) == 0);
    f.t.handle[kept] = f.t.handle[alien] = NULL;
    end(&f);
}

static void test_a_million_nodes(void)
{
    fixture f;
    start(&f);
    uint32_t node = begin(&f, 1);
    for (int i = 0; i < 500000; i++) {
        uint32_t half = append(&f, FG_CONST, 0, 0, 0.5) | FG_NO_ADJOINT;
        node = own(&f, i % 2 ? FG_OP_mul : FG_OP_add, node, half, 1.0);
    }
    f.output[0] = node;
    assert(extract(&f, 1) == FG_OK);
    assert(f.e.nodes == 1000001 && f.e.constants == 500000 && f.e.output[0] == 1000000);
    end(&f);
}

int main(void)
{
    test_only_what_outputs_need_is_extracted();
    test_captured_leaves_are_parameters_in_the_order_of_use();
    test_operands_in_the_pool();
    test_guards_are_needed();
    test_what_cannot_be_recorded_is_named_with_its_user();
    test_what_is_kept_becomes_leaves();
    test_a_million_nodes();
    puts("ok");
    return 0;
}
