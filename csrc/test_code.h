/* Code made by hand, for the tests of the evaluator. */
#ifndef FG_TEST_CODE_H
#define FG_TEST_CODE_H

#undef NDEBUG
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "code.h"
#include "tape.h"

enum { ROWS = 300, INPUTS = 24, UNIFORMS = 8, OUTPUTS = 24 };

/* One piece of code: inputs are loaded into the slots of their numbers, then come the instructions. Uniform inputs lie
 * behind one constant. */
typedef struct trial {
    fg_code code;
    fg_instr lane[64];
    uint32_t pool[512];
    uint32_t uniform_input[UNIFORMS], uniform_output[OUTPUTS];
    double constant[1];
} trial;

#define U(k) (FG_UNIFORM | (1u + (k))) /* uniform input k as an operand */

static double input[INPUTS][ROWS], uniform[UNIFORMS];

static inline int same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

static inline double random_number(void)
{
    static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1.0, -1.0, 2.0, 0.5, 1e-310, -1e-310, 1e308, 710.0,
                                     -750.0, 1e10};
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint32_t r = (uint32_t)(state >> 33);
    if (r % 8 == 0)
        return special[r / 8 % (sizeof special / sizeof *special)];
    double x = (r >> 8) / 8388608.0 - 1.0;
    return r % 8 < 3 ? 30.0 * x : r % 8 < 5 ? floor(6.0 * x) : 2.0 * x;
}

static inline void fill_inputs(void)
{
    for (int k = 0; k < INPUTS; k++)
        for (int i = 0; i < ROWS; i++)
            input[k][i] = random_number();
}

static inline void fill_uniforms(void)
{
    for (int k = 0; k < UNIFORMS; k++)
        uniform[k] = random_number();
}

/* --------------------------------------------------------------------------------------------------------- making code */

static inline void begin(trial *t, uint32_t inputs, uint32_t outputs)
{
    memset(t, 0, sizeof *t);
    t->constant[0] = 3.0;
    t->code = (fg_code){.lane = t->lane, .pool = t->pool, .constant = t->constant, .constants = 1,
                        .uniform_inputs = UNIFORMS, .uniform_input = t->uniform_input, .uniforms = 1 + UNIFORMS,
                        .uniform_output = t->uniform_output, .inputs = inputs + UNIFORMS, .outputs = outputs,
                        .slots = inputs + outputs, .lanes = 8};
    for (uint32_t k = 0; k < UNIFORMS; k++)
        t->uniform_input[k] = inputs + k;
}

static inline uint32_t pool(trial *t, uint32_t n, const uint32_t *entries)
{
    uint32_t at = t->code.pool_size;
    assert(at + n <= sizeof t->pool / sizeof *t->pool);
    memcpy(t->pool + at, entries, n * sizeof *entries);
    t->code.pool_size += n;
    return at;
}

static inline void add(trial *t, fg_instr in)
{
    assert(t->code.lane_size < sizeof t->lane / sizeof *t->lane);
    t->lane[t->code.lane_size++] = in;
}

/* LOAD or STORE of n columns, column k being that of slot[k], or of slot k. */
static inline void add_columns(trial *t, int op, uint32_t n, const uint32_t *slot)
{
    uint32_t entries[2 * INPUTS];
    for (uint32_t k = 0; k < n; k++) {
        entries[k] = k;
        entries[n + k] = slot ? slot[k] : k;
    }
    add(t, (fg_instr){.op = (uint16_t)op, .a = pool(t, 2 * n, entries), .b = n});
}

static inline void end(trial *t)
{
    assert(fg_link(&t->code) == FG_OK);
}

static inline void relink(trial *t, uint32_t lanes)
{
    fg_unlink(&t->code);
    t->code.lanes = lanes;
    end(t);
}

/* ------------------------------------------------------------------------------------------------------- running code */

/* Inputs and outputs as columns of their own. */
static inline void run(const trial *t, unsigned isa, size_t rows, double out[][ROWS], struct fg_pool *threads)
{
    fg_column in[INPUTS + UNIFORMS] = {{0}}, to[OUTPUTS] = {{0}};
    for (uint32_t k = 0; k < t->code.inputs - UNIFORMS; k++)
        in[k] = (fg_column){(char *)input[k], sizeof(double)};
    for (uint32_t k = 0; k < t->code.outputs; k++)
        to[k] = (fg_column){(char *)out[k], sizeof(double)};
    fg_batch batch = {.rows = rows, .input = in, .output = to, .uniform_input = uniform, .isa = isa};
    assert(fg_run(&t->code, &batch, threads) == FG_OK);
}


#endif
