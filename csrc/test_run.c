/* Tests of fg_run, for the sanitizers: columns of every layout, sums, guards, threads, interrupts. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "linked.h"
#include "pool.h"
#include "reduce.h"
#include "test_code.h"

/* ------------------------------------------------------------------------------------------------------------- columns */

enum { COLUMNS = 19 };

/* Every column plus one, and the last output a uniform. */
static void add_one_to_columns(trial *t, uint32_t lanes)
{
    uint32_t stored[COLUMNS];
    begin(t, COLUMNS, COLUMNS);
    add_columns(t, FG_I_LOAD, COLUMNS, NULL);
    for (uint32_t k = 0; k < COLUMNS; k++) {
        add(t, (fg_instr){.op = FG_OP_add, .form = 2, .z = COLUMNS + k, .a = k, .b = U(0)});
        stored[k] = k == 11 ? U(1) : COLUMNS + k;
    }
    add_columns(t, FG_I_STORE, COLUMNS, stored);
    t->code.lanes = lanes;
    end(t);
}

/* How COLUMNS columns of n rows may lie in memory. */
typedef struct layout {
    const char *name;
    ptrdiff_t row, column; /* distances, in doubles */
    size_t first;
} layout;

static fg_column column_of(double *memory, layout l, uint32_t k)
{
    return (fg_column){(char *)(memory + l.first + l.column * (ptrdiff_t)k), l.row * (ptrdiff_t)sizeof(double)};
}

static double *element(double *memory, layout l, size_t i, uint32_t k)
{
    return memory + l.first + l.row * (ptrdiff_t)i + l.column * (ptrdiff_t)k;
}

/* From one layout to another; what lies between the outputs stays as it was. */
static void check_layouts(const fg_code *code, unsigned isa, layout from, layout to, size_t n, size_t size, struct fg_pool *threads)
{
    double *in = malloc(size * sizeof *in), *out = malloc(size * sizeof *out), *expected = malloc(size * sizeof *out);
    fg_column inputs[COLUMNS + UNIFORMS] = {{0}}, outputs[COLUMNS];
    assert(in && out && expected);
    for (size_t i = 0; i < size; i++) {
        in[i] = random_number();
        out[i] = expected[i] = -7.0;
    }
    for (uint32_t k = 0; k < COLUMNS; k++) {
        inputs[k] = column_of(in, from, k);
        outputs[k] = column_of(out, to, k);
        for (size_t i = 0; i < n; i++)
            *element(expected, to, i, k) = k == 11 ? uniform[1] : *element(in, from, i, k) + uniform[0];
    }
    fg_batch batch = {.rows = n, .input = inputs, .output = outputs, .uniform_input = uniform, .isa = isa};
    assert(fg_run(code, &batch, threads) == FG_OK);
    for (size_t i = 0; i < size; i++)
        assert(same(out[i], expected[i]));
    free(in);
    free(out);
    free(expected);
}

static void check_all_layouts(const fg_code *code, unsigned isa, size_t n, struct fg_pool *threads)
{
    const ptrdiff_t rows = (ptrdiff_t)n;
    const layout layouts[] = {
        {"columns", 1, rows, 0}, {"columns, odd", 1, rows + 3, 1}, {"rows", COLUMNS, 1, 0}, {"rows, odd", COLUMNS, 1, 5},
        {"rows with gaps", COLUMNS + 2, 1, 1}, {"rows backwards", -COLUMNS, 1, COLUMNS * (n - 1)},
        {"columns backwards", COLUMNS, -1, COLUMNS - 1}, {"every other one", 2 * COLUMNS, 2, 0},
        {"one row, as an input", 0, 1, 0},
    };
    const size_t size = 2 * COLUMNS * n + 4 * COLUMNS + 8, count = sizeof layouts / sizeof *layouts;
    for (size_t from = 0; from < count; from++)
        for (size_t to = 0; to + 1 < count; to++)
            check_layouts(code, isa, layouts[from], layouts[to], n, size, threads);
}

static void test_columns(void)
{
    static const uint32_t lanes[] = {8, 24, 64};
    for (size_t l = 0; l < 3; l++) {
        trial t;
        add_one_to_columns(&t, lanes[l]);
        fill_uniforms();
        for (unsigned isa = 0; fg_isa(isa); isa++)
            for (size_t n = 1; n <= 40; n += n < 20 ? 1 : 19)
                check_all_layouts(&t.code, isa, n, NULL);
        fg_unlink(&t.code);
    }
}

/* So large that outputs are written past the cache. */
static void test_large_outputs(void)
{
    struct fg_pool *threads;
    const size_t n = 56789;
    const layout columns = {"columns", 1, (ptrdiff_t)n + 1, 0}, rows = {"rows", COLUMNS, 1, 3},
                 gaps = {"rows with gaps", COLUMNS + 1, 1, 0};
    trial t;
    add_one_to_columns(&t, 64);
    assert(fg_pool_new(2, &threads) == FG_OK);
    for (unsigned isa = 0; fg_isa(isa); isa++) {
        check_layouts(&t.code, isa, columns, rows, n, (COLUMNS + 1) * (n + 1), isa ? NULL : threads);
        check_layouts(&t.code, isa, rows, columns, n, (COLUMNS + 1) * (n + 1), isa ? NULL : threads);
        check_layouts(&t.code, isa, gaps, gaps, n, (COLUMNS + 1) * (n + 1), isa ? NULL : threads);
    }
    fg_pool_free(threads);
    fg_unlink(&t.code);
}

/* ----------------------------------------------------------------------------------------------------- sums and guards */

/* Sums of products with one value, in groups and what is left over from them. */
enum { PRODUCTS = 11, SUMS = 4 + 2 * PRODUCTS };

/* Sums of input 0, of 0 * 1, of u0 and of 1 * u0, of 1 * k % 3 and of zmul(2, k % 3); a guard that 2 is not 0. */
static void sums_and_guards(trial *t, uint32_t lanes, int guards)
{
    begin(t, 3, SUMS);
    t->code.sums = SUMS;
    t->code.lanes = lanes;
    t->code.guards = (uint32_t)guards;
    t->code.outputs += t->code.guards;
    add_columns(t, FG_I_LOAD, 3, NULL);
    if (guards)
        add(t, (fg_instr){.op = FG_I_GUARD, .a = 2, .c = 1});
    add(t, (fg_instr){.op = FG_I_SUM, .z = 0, .a = 0});
    add(t, (fg_instr){.op = FG_I_SUM_MUL, .z = 1, .a = 0, .b = 1});
    add(t, (fg_instr){.op = FG_I_SUM, .form = 1, .z = 2, .a = U(0)});
    add(t, (fg_instr){.op = FG_I_SUM_MUL, .form = 2, .z = 3, .a = 1, .b = U(0)});
    for (uint32_t k = 0; k < PRODUCTS; k++)
        add(t, (fg_instr){.op = FG_I_SUM_MUL, .z = 4 + k, .a = 1, .b = k % 3});
    for (uint32_t k = 0; k < PRODUCTS; k++)
        add(t, (fg_instr){.op = FG_I_SUM_ZMUL, .z = 4 + PRODUCTS + k, .a = 2, .b = k % 3});
    end(t);
}

/* The rows are split at the largest power of two of chunks, down to a single one. */
static void expected_sums(double *const *x, size_t first, size_t n, int guards, double *sum)
{
    size_t half = FG_CHUNK;
    double right[SUMS];
    fg_parts chunk[SUMS] = {{{0.0}}};
    if (n > FG_CHUNK) {
        while (2 * half < n)
            half *= 2;
        expected_sums(x, first, half, guards, sum);
        expected_sums(x, first + half, n - half, guards, right);
        for (int s = 0; s < SUMS; s++)
            sum[s] += right[s];
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const double one = x[0][first + i], other = x[1][first + i], third = x[2][first + i];
        double terms[SUMS] = {one, one * other, uniform[0], other * uniform[0]};
        for (int k = 0; k < PRODUCTS; k++) {
            terms[4 + k] = other * x[k % 3][first + i];
            terms[4 + PRODUCTS + k] = third == 0.0 ? 0.0 : third * x[k % 3][first + i];
        }
        for (int s = 0; s < SUMS; s++)
            fg_parts_add(&chunk[s], (uint32_t)i, guards && x[2][first + i] == 0.0 ? 0.0 : terms[s]);
    }
    for (int s = 0; s < SUMS; s++)
        sum[s] = fg_parts_total(&chunk[s]);
}

static void check_sums(const fg_code *code, unsigned isa, size_t n, struct fg_pool *threads)
{
    double *x[3], sum[SUMS], expected[SUMS];
    uint8_t *left = malloc(n + 2);
    fg_column in[3 + UNIFORMS] = {{0}};
    for (int k = 0; k < 3; k++) {
        x[k] = malloc((n + 1) * sizeof **x);
        assert(x[k] && left);
        for (size_t i = 0; i < n; i++)
            x[k][i] = k == 2 ? (double)(i % 7 != 3) : (double)(i * 2654435761u % 1000) / 7.0 - 50.0;
        in[k] = (fg_column){(char *)x[k], sizeof(double)};
    }
    memset(left, 9, n + 2);
    fg_batch batch = {.rows = n, .input = in, .uniform_input = uniform, .isa = isa, .sum = sum, .left = left};
    assert(fg_run(code, &batch, threads) == FG_OK);
    expected_sums(x, 0, n, code->guards > 0, expected);
    for (int s = 0; s < SUMS; s++)
        assert(same(sum[s], expected[s]));
    for (size_t i = 0; i < n; i++)
        assert(code->guards ? left[i] == (x[2][i] == 0.0) : left[i] == 9);
    assert(left[n] == 9);
    for (int k = 0; k < 3; k++)
        free(x[k]);
    free(left);
}

static void test_sums_and_guards(void)
{
    static const uint32_t lanes[] = {8, 40, 256};
    static const size_t rows[] = {0, 1, 7, 8, 13, 300, 1024, 1025, 20000};
    uniform[0] = 0.3;
    for (int guards = 0; guards < 2; guards++)
        for (size_t l = 0; l < 3; l++) {
            trial t;
            sums_and_guards(&t, lanes[l], guards);
            for (unsigned isa = 0; fg_isa(isa); isa++)
                for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                    check_sums(&t.code, isa, rows[r], NULL);
            fg_unlink(&t.code);
        }
}

/* ------------------------------------------------------------------------------------------------------------- threads */

static void test_threads_give_the_same_bits(void)
{
    const size_t n = 40000;
    const layout rows = {"rows", COLUMNS, 1, 0};
    for (unsigned threads = 1; threads <= 4; threads++) {
        struct fg_pool *pool;
        trial sums, columns;
        assert(fg_pool_new(threads, &pool) == FG_OK && fg_pool_threads(pool) == threads);
        sums_and_guards(&sums, 32, 1);
        add_one_to_columns(&columns, 16);
        uniform[0] = 0.3;
        for (int repeat = 0; repeat < 2; repeat++) {
            check_sums(&sums.code, 0, 100 * 1000, pool);
            check_layouts(&columns.code, 0, rows, rows, n, (n + 1) * COLUMNS, pool);
        }
        fg_unlink(&sums.code);
        fg_unlink(&columns.code);
        fg_pool_free(pool);
    }
}

static void test_a_pool_in_use_is_no_obstacle(void)
{
    struct fg_pool *pool;
    trial t;
    assert(fg_pool_new(2, &pool) == FG_OK);
    assert(fg_pool_enter(pool) && !fg_pool_enter(pool));
    sums_and_guards(&t, 32, 0);
    check_sums(&t.code, 0, 5000, pool);
    fg_pool_leave(pool);
    check_sums(&t.code, 0, 5000, pool);
    fg_unlink(&t.code);
    fg_pool_free(pool);
}

#if !defined(_WIN32)
static void *use_pool(void *pool)
{
    trial t;
    sums_and_guards(&t, 32, 1);
    for (int repeat = 0; repeat < 20; repeat++)
        check_sums(&t.code, 0, 20000, pool);
    fg_unlink(&t.code);
    return NULL;
}

static void test_calls_from_several_threads(void)
{
    struct fg_pool *pool;
    pthread_t caller[3];
    assert(fg_pool_new(2, &pool) == FG_OK);
    for (int i = 0; i < 3; i++)
        assert(pthread_create(caller + i, NULL, use_pool, pool) == 0);
    for (int i = 0; i < 3; i++)
        assert(pthread_join(caller[i], NULL) == 0);
    fg_pool_free(pool);
}

static void test_pool_survives_a_fork(void)
{
    struct fg_pool *pool;
    int status = -1;
    trial t;
    assert(fg_pool_new(2, &pool) == FG_OK);
    sums_and_guards(&t, 32, 0);
    check_sums(&t.code, 0, 300 * 1000, pool);
    pid_t child = fork();
    assert(child >= 0);
    check_sums(&t.code, 0, 300 * 1000, pool);
    fg_pool_free(pool);
    fg_unlink(&t.code);
    if (child == 0)
        _exit(0);
    assert(waitpid(child, &status, 0) == child && status == 0);
}
#endif

/* -------------------------------------------------------------------------------------------------------------- the rest */

static int refuse(void *calls)
{
    ++*(int *)calls;
    return 1;
}

static void test_interrupt(void)
{
    const size_t n = (size_t)1 << 28; /* minutes, if it were to finish; the columns are all one number */
    trial t;
    double number = 1.0, result = 0.0;
    int calls = 0;
    fg_column in[1 + UNIFORMS] = {{0}}, out[1] = {{(char *)&result, 0}};
    begin(&t, 1, 1);
    in[0] = (fg_column){(char *)&number, 0};
    add_columns(&t, FG_I_LOAD, 1, NULL);
    for (int i = 0; i < 50; i++)
        add(&t, (fg_instr){.op = FG_OP_sqrt, .z = 0, .a = 0});
    add_columns(&t, FG_I_STORE, 1, NULL);
    end(&t);
    fg_batch batch = {.rows = n, .input = in, .output = out, .uniform_input = uniform, .poll = refuse, .poll_argument = &calls};
    assert(fg_run(&t.code, &batch, NULL) == FG_STOPPED && calls == 1);
    fg_unlink(&t.code);
}

static void all_rows_alike(uint8_t guard, uint8_t leaves)
{
    trial t;
    double out[5] = {0.0}, expected = uniform[0] + uniform[1];
    uint8_t left[5] = {9, 9, 9, 9, 9};
    uniform[2] = guard ? 0.5 : -0.0;
    fg_column in[UNIFORMS] = {{0}}, to[2] = {{(char *)out, sizeof *out}, {(char *)left, 1}};
    begin(&t, 0, 2);
    t.code.lanes = 0;
    t.code.guards = 1;
    t.code.uniforms++;
    t.code.uniform = (fg_instr[]){{.op = FG_OP_add, .z = 1 + UNIFORMS, .a = 1, .b = 2}};
    t.code.uniform_size = 1;
    t.code.expected = (uint8_t[]){guard != leaves};
    t.uniform_output[0] = 1 + UNIFORMS;
    t.uniform_output[1] = 1 + 2;
    end(&t);
    fg_batch batch = {.rows = 5, .input = in, .output = to, .uniform_input = uniform, .left = left};
    assert(fg_run(&t.code, &batch, NULL) == FG_OK);
    for (int i = 0; i < 5; i++)
        assert(same(out[i], expected) && left[i] == leaves);
    fg_unlink(&t.code);
}

static void test_all_rows_alike(void)
{
    for (uint8_t trial = 0; trial < 4; trial++)
        all_rows_alike(trial % 2, trial / 2);
}

static void test_fastmath_rounds_once(void)
{
    double out[1][ROWS];
    const uint32_t terms[] = {FG_T_ADD, 2, 0, FG_T_MUL_SUB, 0, 1}, stored[] = {3, 4};
    trial t;
    begin(&t, 3, 1);
    t.code.fastmath = 1;
    t.code.slots = 5;
    add_columns(&t, FG_I_LOAD, 3, NULL);
    add(&t, (fg_instr){.op = FG_I_MUL_SUB, .z = 3, .a = 0, .b = 1, .c = 2});
    add(&t, (fg_instr){.op = FG_I_CHAIN, .z = 4, .a = pool(&t, 6, terms), .b = 2});
    add(&t, (fg_instr){.op = FG_OP_add, .z = 3, .a = 3, .b = 4});
    add_columns(&t, FG_I_STORE, 1, stored);
    end(&t);
    for (int i = 0; i < ROWS; i++) {
        input[0][i] = 1.0 + 0x1p-30 * i;
        input[1][i] = 1.0 - 0x1p-30 * i;
        input[2][i] = 1.0;
    }
    for (unsigned isa = 0; fg_isa(isa); isa++) {
        run(&t, isa, ROWS, out, NULL);
        for (int i = 0; i < ROWS; i++)
            assert(out[0][i] == 0.0); /* x - x, both rounded once or both twice */
    }
    fg_unlink(&t.code);
}

static void test_instruction_sets_are_named(void)
{
    unsigned n = 0;
    while (fg_isa(n))
        n++;
    assert(n >= 1 && n <= 3 && fg_isa(n + 1) == NULL);
    trial t;
    begin(&t, 0, 0);
    end(&t);
    assert(fg_run(&t.code, &(fg_batch){.isa = n}, NULL) == FG_BAD_PROGRAM);
    fg_unlink(&t.code);
}

int main(void)
{
    fill_inputs();
    fill_uniforms();
    test_columns();
    test_large_outputs();
    test_sums_and_guards();
    test_threads_give_the_same_bits();
    test_a_pool_in_use_is_no_obstacle();
#if !defined(_WIN32)
    test_calls_from_several_threads();
    test_pool_survives_a_fork();
#endif
    test_interrupt();
    test_all_rows_alike();
    test_fastmath_rounds_once();
    test_instruction_sets_are_named();
    return 0;
}
