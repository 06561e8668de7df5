/* Tests of the tape without Python, for sanitizers and valgrind:
 *     cc -std=c11 -ffp-contract=off -fsanitize=address,undefined tape.c reclaim.c sweep.c special.c test_tape.c -lm && ./a.out */
#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reduce.h"
#include "tape.h"

static uint32_t leaf(fg_tape *t, double x, fg_handle *h)
{
    assert(fg_tape_grow(t, 1, 0) == FG_OK);
    uint32_t node = fg_append(t, FG_LEAF, 0, 0, x, h);
    if (h)
        h->node = node;
    return node;
}

static uint32_t op2(fg_tape *t, int op, uint32_t a, uint32_t b, double z, fg_handle *h)
{
    assert(fg_tape_grow(t, 1, 0) == FG_OK);
    uint32_t node = fg_append(t, op, a, b, z, h);
    if (h)
        h->node = node;
    return node;
}

static void sweep(fg_tape *t, uint32_t root)
{
    uint32_t node;
    double adjoint;
    fg_tape_sweep_begin(t, root);
    assert(fg_tape_sweep_run(t, &node, &adjoint) == FG_OK);
}

static void reclaim(fg_tape *t)
{
    fg_tape_mark(t);
    fg_tape_slide(t);
}

static void clean(const fg_tape *t)
{
    for (uint32_t i = 0; i < t->size; i++)
        assert(!t->reached[i] && t->adjoint[i] == 0.0);
    for (uint32_t i = 0; i <= t->size / FG_BLOCK; i++)
        assert(!t->block[i]);
}

static void test_gradients_of_a_shared_node(void)
{
    fg_tape t;
    assert(fg_tape_init(&t, 1) == FG_OK);
    uint32_t a = leaf(&t, 3.0, NULL);
    uint32_t square = op2(&t, FG_OP_mul, a, a, 9.0, NULL);
    uint32_t c = op2(&t, FG_OP_mul, square, a, 27.0, NULL);
    sweep(&t, c);
    assert(t.grad[a] == 27.0 && t.grad[square] == 3.0 && t.grad[c] == 1.0);
    sweep(&t, c);
    assert(t.grad[a] == 54.0);
    clean(&t);
    fg_tape_zero_grad(&t, c);
    assert(t.grad[a] == 0.0 && t.grad[square] == 0.0 && t.grad[c] == 0.0);
    clean(&t);
    fg_tape_free(&t);
}

static void test_constants_get_no_adjoint(void)
{
    fg_tape t;
    assert(fg_tape_init(&t, 8) == FG_OK);
    uint32_t a = leaf(&t, 3.0, NULL), k = leaf(&t, 5.0, NULL);
    uint32_t z = op2(&t, FG_OP_mul, a, k | FG_NO_ADJOINT, 15.0, NULL);
    sweep(&t, z);
    assert(t.grad[a] == 5.0 && t.grad[k] == 0.0);
    fg_tape_free(&t);
}

static void test_a_zero_adjoint_contributes_nothing(void)
{
    fg_tape t;
    assert(fg_tape_init(&t, 8) == FG_OK);
    uint32_t x = leaf(&t, 0.0, NULL);
    uint32_t root = fg_append(&t, FG_OP_sqrt, x, 0, 0.0, NULL); /* its partial at 0 is inf */
    uint32_t zero = leaf(&t, 0.0, NULL);
    uint32_t z = op2(&t, FG_OP_mul, root, zero, 0.0, NULL);
    sweep(&t, z);
    assert(t.grad[x] == 0.0 && t.grad[zero] == 0.0);
    fg_tape_free(&t);
}

static void test_a_partial_that_is_literally_zero_passes_nothing_on(void)
{
    fg_tape t;
    assert(fg_tape_init(&t, 16) == FG_OK);
    uint32_t x = leaf(&t, 0.25, NULL), y = leaf(&t, 2.0, NULL);
    for (int k = 0; k < 3; k++) {
        uint32_t zero = k == 0 ? op2(&t, FG_OP_floor, x, 0, 0.0, NULL) : 0;
        if (k == 1)
            zero = op2(&t, FG_OP_floordiv, x, y, 0.0, NULL);
        if (k == 2) {
            assert(fg_tape_grow(&t, 1, 3) == FG_OK);
            t.pool[0] = x;
            t.pool[1] = t.pool[2] = y;
            zero = fg_append(&t, FG_OP_where, 0, 3, 0.0, NULL);
        }
        sweep(&t, op2(&t, FG_OP_sqrt, zero, 0, 0.0, NULL)); /* adjoint of zero: inf */
        assert(t.grad[x] == 0.0 && t.grad[zero] == INFINITY);
    }
    fg_tape_free(&t);
}

static void test_taking_from_a_table(void)
{
    fg_tape t;
    assert(fg_tape_init(&t, 16) == FG_OK && fg_tape_grow(&t, 8, 8) == FG_OK);
    uint32_t index = leaf(&t, 1.0, NULL), a = leaf(&t, 5.0, NULL), b = leaf(&t, 6.0, NULL);
    uint32_t operands[] = {index, a, b};
    for (int k = 0; k < 3; k++)
        t.pool[k] = operands[k];
    t.pool_size = 3;
    uint32_t z = fg_append(&t, FG_TAKE, 0, 3, fg_tape_reduce(&t, FG_TAKE, operands, 3), NULL);
    sweep(&t, z);
    assert(t.value[z] == 6.0 && t.grad[index] == 0.0 && t.grad[a] == 0.0 && t.grad[b] == 1.0);
    assert(fg_tape_partial(&t, z, 0) == 0.0 && fg_tape_partial(&t, z, 1) == 0.0 && fg_tape_partial(&t, z, 2) == 1.0);
    const double none[] = {2.0, -1.0, NAN, INFINITY};
    for (int k = 0; k < 4; k++) {
        t.value[index] = none[k];
        assert(isnan(fg_tape_reduce(&t, FG_TAKE, operands, 3)));
        sweep(&t, z);
    }
    assert(t.grad[a] == 0.0 && t.grad[b] == 1.0);
    clean(&t);
    fg_tape_free(&t);
}

static void test_reclaiming_keeps_order_values_and_what_living_nodes_need(void)
{
    fg_tape t;
    fg_handle ha = {0, 0}, hz = {0, 0};
    assert(fg_tape_init(&t, 4) == FG_OK);
    for (int i = 0; i < 100; i++)
        leaf(&t, (double)i, NULL);
    uint32_t a = leaf(&t, 2.0, &ha);
    for (int i = 0; i < 100; i++)
        op2(&t, FG_OP_add, a, a, 4.0, NULL);
    uint32_t inner = op2(&t, FG_OP_mul, a, a, 4.0, NULL);
    leaf(&t, 1.0, NULL);
    op2(&t, FG_OP_sub, inner, a, 2.0, &hz);
    reclaim(&t);
    assert(t.size == 4 && ha.node == 1 && hz.node == 3 && t.reclaims == 1);
    assert(t.value[1] == 2.0 && t.value[2] == 4.0 && t.value[3] == 2.0 && t.op[2] == FG_OP_mul);
    clean(&t);
    sweep(&t, hz.node);
    assert(t.grad[ha.node] == 3.0);
    hz.flags = FG_WEAK;
    fg_tape_mark(&t);
    assert(!t.reached[hz.node] && t.reached[ha.node]);
    t.handle[hz.node] = NULL;
    fg_tape_slide(&t);
    assert(t.size == 2 && ha.node == 1);
    fg_tape_free(&t);
}

static void test_nary_nodes_slide_with_their_operands(void)
{
    fg_tape t;
    fg_handle hx[3], hd, hg;
    double local[] = {10.0, 20.0, 30.0};
    assert(fg_tape_init(&t, 2) == FG_OK);
    for (uint32_t k = 0; k < 3; k++) {
        hx[k].flags = 0;
        leaf(&t, 0.0, NULL);
        leaf(&t, k + 1.0, &hx[k]);
    }
    hd.flags = hg.flags = 0;
    for (int copy = 0; copy < 2; copy++) {
        assert(fg_tape_grow(&t, 2, 13) == FG_OK);
        for (uint32_t k = 0; k < 4; k++)
            t.pool[t.pool_size + k] = hx[k % 3].node;
        double z = fg_tape_reduce(&t, FG_OP_dot, t.pool + t.pool_size, 4);
        assert(z == 1.0 * 3.0 + 2.0 * 1.0);
        hd.node = fg_append(&t, FG_OP_dot, t.pool_size, 4, z, copy ? &hd : NULL);
        t.pool_size += 4;
        for (uint32_t k = 0; k < 3; k++)
            t.pool[t.pool_size + k] = hx[k].node;
        hg.node = fg_tape_append_custom(&t, 3, local, 7.0);
        t.handle[hg.node] = copy ? &hg : NULL;
    }
    reclaim(&t);
    assert(t.size == 6 && t.pool_size == 13 && hd.node == 4 && hg.node == 5);
    sweep(&t, hd.node);
    assert(t.grad[hx[0].node] == 3.0 + 2.0 && t.grad[hx[1].node] == 1.0 && t.grad[hx[2].node] == 1.0);
    fg_tape_zero_grad(&t, hd.node);
    sweep(&t, hg.node);
    for (uint32_t k = 0; k < 3; k++)
        assert(t.grad[hx[k].node] == local[k] && fg_tape_partial(&t, hg.node, k) == local[k]);
    fg_tape_push_grad(&t, hg.node);
    assert(t.grad[hx[2].node] == 60.0);
    clean(&t);
    fg_tape_free(&t);
}

static void test_a_closure_stops_the_sweep_and_it_goes_on(void)
{
    fg_tape t;
    uint32_t node;
    double adjoint;
    assert(fg_tape_init(&t, 8) == FG_OK);
    uint32_t a = leaf(&t, 2.0, NULL);
    uint32_t b = op2(&t, FG_OP_mul, a, a, 4.0, NULL);
    uint32_t c = op2(&t, FG_OP_add, b, b, 8.0, NULL);
    t.op[b] |= FG_CLOSURE;
    fg_tape_sweep_begin(&t, c);
    assert(fg_tape_sweep_run(&t, &node, &adjoint) == FG_CALL_CLOSURE && node == b && adjoint == 2.0);
    assert(t.sweeping && fg_tape_grow(&t, 1000, 0) == FG_OK);
    fg_tape_contribute(&t, a, 100.0);
    assert(fg_tape_sweep_run(&t, &node, &adjoint) == FG_OK && !t.sweeping);
    assert(t.grad[a] == 100.0);
    fg_tape_sweep_begin(&t, c);
    assert(fg_tape_sweep_run(&t, &node, &adjoint) == FG_CALL_CLOSURE);
    fg_tape_sweep_abandon(&t);
    clean(&t);
    assert(!t.sweeping);
    fg_tape_free(&t);
}

static void test_a_deep_chain_and_giving_memory_back(void)
{
    fg_tape t;
    fg_handle h = {0, 0};
    enum { DEPTH = 300000 };
    assert(fg_tape_init(&t, 16) == FG_OK);
    uint32_t x = leaf(&t, 1.0, NULL), node = x;
    for (int i = 0; i < DEPTH; i++)
        node = op2(&t, FG_OP_add, node, x, i + 2.0, NULL);
    sweep(&t, node);
    assert(t.grad[x] == DEPTH + 1.0);
    t.handle[x] = &h;
    h.node = x;
    reclaim(&t);
    assert(t.size == 2);
    uint32_t capacity = t.capacity;
    fg_tape_shrink(&t);
    assert(t.capacity == capacity / 2 && t.value[h.node] == 1.0);
    while (t.capacity > 4)
        fg_tape_shrink(&t);
    clean(&t);
    fg_tape_free(&t);
}

static void test_too_many_nodes_are_refused_and_nothing_is_lost(void)
{
    fg_tape t;
    assert(fg_tape_init(&t, 4) == FG_OK);
    uint32_t x = leaf(&t, 1.5, NULL);
    assert(fg_tape_grow(&t, FG_MAX_NODES, 0) == FG_TOO_LARGE);
    assert(fg_tape_grow(&t, UINT32_MAX, 0) == FG_TOO_LARGE);
    assert(fg_tape_grow(&t, 0, UINT32_MAX) == FG_TOO_LARGE);
    assert(t.value[x] == 1.5 && t.size == 2);
    fg_tape_free(&t);
}

static void test_every_row_has_finite_partials_inside_its_domain(void)
{
    fg_tape t;
    assert(fg_tape_init(&t, 16) == FG_OK);
    for (int op = FG_GIVEN + 1; op < FG_OP_COUNT; op++) {
        if (fg_is_nary(op))
            continue;
        uint32_t x = leaf(&t, 0.5, NULL), y = leaf(&t, 0.75, NULL);
        uint32_t z = op2(&t, op, x, y, 0.5, NULL);
        for (uint32_t k = 0; k < fg_tape_operand_count(&t, z); k++) {
            assert(fg_tape_operand(&t, z, k) == (k ? y : x));
            if (op != FG_OP_polygamma && op != FG_OP_acosh)
                assert(isfinite(fg_tape_partial(&t, z, k)));
        }
    }
    fg_tape_free(&t);
}

int main(void)
{
    test_gradients_of_a_shared_node();
    test_constants_get_no_adjoint();
    test_a_zero_adjoint_contributes_nothing();
    test_a_partial_that_is_literally_zero_passes_nothing_on();
    test_taking_from_a_table();
    test_reclaiming_keeps_order_values_and_what_living_nodes_need();
    test_nary_nodes_slide_with_their_operands();
    test_a_closure_stops_the_sweep_and_it_goes_on();
    test_a_deep_chain_and_giving_memory_back();
    test_too_many_nodes_are_refused_and_nothing_is_lost();
    test_every_row_has_finite_partials_inside_its_domain();
    puts("11 tests passed");
    return 0;
}
