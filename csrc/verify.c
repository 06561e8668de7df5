/* The verifier of code: whether the evaluator can run it without reading or writing what is not there. */
#include <stdlib.h>

#include "graph.h"
#include "tape.h"

typedef struct verifier {
    const fg_code *code;
    uint8_t *slot;   /* whether it has been written */
    uint8_t *place;  /* the same for uniforms        */
    uint8_t *output; /* how often each was stored, or summed; guards behind them */
    int lane;
    int summed;
} verifier;

#define REQUIRE(condition) \
    do { \
        if (!(condition)) \
            return 0; \
    } while (0)

static int is_known(int op, int lane)
{
    if (op < FG_OP_COUNT)
        return fg_operand_count(&(fg_instr){.op = (uint16_t)op, .b = 1}) > 0;
    if (op == FG_I_MUL_ADD || op == FG_I_MUL_SUB || op == FG_I_SUB_MUL || op == FG_I_CHAIN)
        return 1;
    return lane && op < FG_I_COUNT;
}

/* Whether what an instruction has in the pool lies there. */
static int has_entries(const fg_code *code, const fg_instr *i)
{
    uint64_t width = i->op == FG_I_CHAIN ? 3 : i->op == FG_I_LOAD || i->op == FG_I_STORE ? 2 : 1;
    return i->b > 0 && i->a + width * i->b <= code->pool_size;
}

static int can_read(const verifier *v, uint32_t x)
{
    if (!v->lane)
        return x < v->code->uniforms && v->place[x];
    if (x & FG_UNIFORM)
        return (x & ~FG_UNIFORM) < v->code->uniforms && v->place[x & ~FG_UNIFORM];
    return x < v->code->slots && v->slot[x];
}

static int check_operands(const verifier *v, const fg_instr *i)
{
    fg_instr copy = *i;
    uint32_t count = fg_operand_count(i), uniform = 0, form = 0;
    for (uint32_t k = 0; k < count; k++) {
        uint32_t x = *fg_operand_at(&copy, v->code->pool, k);
        REQUIRE(can_read(v, x));
        uniform += x >> 31;
        form |= fg_uses_pool(i->op) ? 0 : (x >> 31) << k;
    }
    REQUIRE(i->form == form);
    if (i->op == FG_I_SPLAT)
        return uniform == 1;
    return i->op == FG_I_STORE || i->op == FG_I_SUM || i->op == FG_I_GUARD || uniform < count || count == 0;
}

static int check_chain(const fg_code *code, const fg_instr *i)
{
    const uint32_t *term = code->pool + i->a;
    for (uint32_t k = 0; k < i->b; k++, term += 3) {
        int product = term[0] == FG_T_MUL_ADD || term[0] == FG_T_MUL_SUB || term[0] == FG_T_MUL_RSUB
                      || term[0] == FG_T_ZMUL_ADD;
        REQUIRE(term[0] < (k == 0 ? FG_T_RSUB : FG_T_COUNT) || term[0] == FG_T_ZMUL_ADD);
        REQUIRE(!product || !(term[1] & term[2] & FG_UNIFORM));
    }
    return 1;
}

static int check_load(verifier *v, const fg_instr *i)
{
    const fg_code *code = v->code;
    for (uint32_t k = 0; k < i->b; k++) {
        uint32_t input = code->pool[i->a + k], slot = code->pool[i->a + i->b + k];
        REQUIRE(input < code->inputs && slot < code->slots);
        for (uint32_t j = 0; j < k; j++)
            REQUIRE(code->pool[i->a + i->b + j] != slot);
        v->slot[slot] = 1;
    }
    return 1;
}

static int count_output(verifier *v, uint32_t output, uint32_t end)
{
    REQUIRE(output < end && v->output[output] == 0);
    v->output[output] = 1;
    return 1;
}

/* What comes out of the lane stream: each output once. Guards come before sums, which pass over the rows that left. */
static int check_sink(verifier *v, const fg_instr *i)
{
    const fg_code *code = v->code;
    uint32_t results = code->outputs - code->guards;
    switch (i->op) {
    case FG_I_STORE:
        for (uint32_t k = 0; k < i->b; k++)
            REQUIRE(code->sums == 0 && count_output(v, code->pool[i->a + k], results));
        return 1;
    case FG_I_SUM:
    case FG_I_SUM_MUL:
    case FG_I_SUM_ZMUL:
        v->summed = 1;
        return count_output(v, i->z, code->sums);
    case FG_I_GUARD:
        return !v->summed && i->c <= 1 && i->b < code->guards && count_output(v, results + i->b, code->outputs);
    default:
        return 1;
    }
}

static int check_instruction(verifier *v, const fg_instr *i)
{
    const fg_code *code = v->code;
    REQUIRE(is_known(i->op, v->lane));
    REQUIRE(!fg_uses_pool(i->op) || has_entries(code, i));
    REQUIRE(i->op != FG_I_CHAIN || check_chain(code, i));
    if (i->op == FG_I_LOAD)
        return check_load(v, i);
    REQUIRE(check_operands(v, i) && check_sink(v, i));
    if (!fg_has_result(i->op))
        return 1;
    if (v->lane) {
        REQUIRE(i->z < code->slots);
        v->slot[i->z] = 1;
    } else {
        REQUIRE(i->z >= code->constants + code->uniform_inputs && i->z < code->uniforms);
        v->place[i->z] = 1;
    }
    return 1;
}

static int check_numbers(const fg_code *code)
{
    REQUIRE(code->uniforms < FG_UNIFORM && code->slots < FG_UNIFORM && code->inputs < FG_UNIFORM);
    REQUIRE(code->uniform_inputs <= code->inputs && code->constants <= code->uniforms);
    REQUIRE(code->uniform_inputs <= code->uniforms - code->constants);
    REQUIRE(code->guards <= code->outputs && (code->sums == 0 || code->sums == code->outputs - code->guards));
    for (uint32_t k = 0; k < code->uniform_inputs; k++)
        REQUIRE(code->uniform_input[k] < code->inputs && (k == 0 || code->uniform_input[k - 1] < code->uniform_input[k]));
    return code->lane_size == 0 || (code->lanes % 8 == 0 && code->lanes > 0 && code->lanes <= FG_MAX_LANES);
}

static int check_outputs(const verifier *v)
{
    const fg_code *code = v->code;
    for (uint32_t k = 0; k < code->outputs; k++) {
        uint32_t place = code->uniform_output[k];
        REQUIRE(place == FG_NO_PLACE || (place < code->uniforms && v->place[place]));
        REQUIRE(code->lane_size == 0 ? place != FG_NO_PLACE : v->output[k]);
    }
    return 1;
}

static int check(verifier *v)
{
    const fg_code *code = v->code;
    for (uint32_t k = 0; k < code->constants + code->uniform_inputs; k++)
        v->place[k] = 1;
    for (uint32_t i = 0; i < code->uniform_size; i++)
        REQUIRE(check_instruction(v, &code->uniform[i]));
    v->lane = 1;
    for (uint32_t i = 0; i < code->lane_size; i++)
        REQUIRE(check_instruction(v, &code->lane[i]));
    return check_outputs(v);
}

int fg_code_verify(const fg_code *code)
{
    if (!check_numbers(code))
        return FG_BAD_PROGRAM;
    verifier v = {.code = code};
    v.slot = calloc((size_t)code->slots + 1, 1);
    v.place = calloc((size_t)code->uniforms + 1, 1);
    v.output = calloc((size_t)code->outputs + 1, 1);
    int status = !v.slot || !v.place || !v.output ? FG_NO_MEMORY : check(&v) ? FG_OK : FG_BAD_PROGRAM;
    free(v.slot);
    free(v.place);
    free(v.output);
    return status;
}
