#include "partial.h"

#include <math.h>
#include <string.h>

#include "program_private.h"
#include "tape.h"

int fg_has_partial(int op, uint32_t k)
{
    return fg_partial[op][k] != 0;
}

/* How many operands a rule of the row speaks of. */
static uint32_t letters_of(int op)
{
    return fg_operands[op] == FG_NARY ? 1 : fg_operands[op] == FG_PAIRS ? 2 : fg_operands[op];
}

/* ------------------------------------------------------------------------------------- rules on numbers */

static double rule_at(const uint8_t *rule, const double of_letter[5])
{
    double waiting[FG_POSTFIX_DEPTH] = {0.0};
    int depth = 0;
    for (; *rule != FG_P_END; rule++) {
        double value;
        if (*rule >= FG_P_K)
            value = fg_postfix_constant[*rule - FG_P_K];
        else if (*rule >= FG_P_X)
            value = of_letter[*rule - FG_P_X];
        else {
            depth -= fg_operands[*rule];
            value = fg_apply(*rule, waiting + depth, fg_operands[*rule]);
        }
        waiting[depth++] = value;
    }
    return waiting[0];
}

/* Poles and the ends of domains lie at 0 and 1, or are felt far out; what grows like exp overflows there. */
static const double PROBES[] = {-2000.0, -1.0, 0.0, 1.0, 2000.0};
enum { PROBE_COUNT = sizeof PROBES / sizeof *PROBES };

/* Whether the rule is inf or nan somewhere on the grid of probes, constant operands staying what they are. */
static int is_singular(const uint8_t *rule, int op, double n, const fg_known *known)
{
    uint32_t count = letters_of(op);
    int points = 1;
    for (uint32_t k = 0; k < count; k++)
        points *= known->is_constant >> k & 1 ? 1 : PROBE_COUNT;
    for (int point = 0; point < points; point++) {
        double letter[5] = {0.0, 0.0, 0.0, 0.0, n};
        for (uint32_t k = 0, rest = (uint32_t)point; k < count; k++) {
            if (known->is_constant >> k & 1) {
                letter[k] = known->constant[k];
            } else {
                letter[k] = PROBES[rest % PROBE_COUNT];
                rest /= PROBE_COUNT;
            }
        }
        letter[FG_P_Z - FG_P_X] = fg_apply(op, letter, count);
        if (!isfinite(rule_at(rule, letter)))
            return 1;
    }
    return 0;
}

static int known_singular(fg_partials *partials, const uint8_t *rule, int op, uint32_t k, fg_terms terms)
{
    const fg_program *p = partials->b->p;
    const uint32_t operand[3] = {terms.x, terms.y, terms.w};
    fg_known now = {.is_known = 1}, *known = &partials->known[op][k];
    for (uint32_t i = 0; i < letters_of(op); i++) {
        if (is_constant(p, operand[i])) {
            now.is_constant |= (uint8_t)(1u << i);
            now.constant[i] = constant_of(p, operand[i]);
        }
    }
    if (!known->is_known || known->is_constant != now.is_constant
        || memcmp(known->constant, now.constant, sizeof now.constant) != 0) {
        double n = is_nary(op) ? constant_of(p, terms.n) : 0.0;
        now.singular = (uint8_t)is_singular(rule, op, n, &now);
        *known = now;
    }
    return known->singular;
}

/* --------------------------------------------------------------------------------------- rules on nodes */

static int is_zero(const fg_program *p, uint32_t node)
{
    return is_constant(p, node) && constant_of(p, node) == 0.0;
}

static uint32_t constant_of_rule(fg_partials *partials, uint32_t number)
{
    uint32_t *constant = &partials->constant[number];
    if (!*constant)
        *constant = 1 + fg_emit_constant(partials->b, fg_postfix_constant[number]);
    return *constant - 1;
}

/* Emits one operation of a rule; *selects is set if it chooses between 0 and something else. */
static uint32_t emit_step(fg_builder *b, int op, const uint32_t *operand, int *selects)
{
    uint32_t count = fg_operands[op];
    uint32_t node = fg_emit(b, op, operand[0], count > 1 ? operand[1] : 0, count > 2 ? operand[2] : 0);
    int is_choice = op == FG_OP_where && node != operand[1] && node != operand[2];
    if (is_choice && b->status == FG_OK && !is_constant(b->p, node))
        *selects |= is_zero(b->p, operand[1]) || is_zero(b->p, operand[2]);
    return node;
}

fg_symbolic fg_partial_emit(fg_partials *partials, int op, uint32_t k, fg_terms terms)
{
    fg_builder *b = partials->b;
    const uint8_t *rule = &fg_postfix[fg_partial[op][k]];
    const uint32_t of_letter[5] = {terms.x, terms.y, terms.w, terms.z, terms.n};
    uint32_t waiting[FG_POSTFIX_DEPTH] = {0};
    int depth = 0;
    fg_symbolic result = {0};
    for (const uint8_t *token = rule; *token != FG_P_END && b->status == FG_OK; token++) {
        uint32_t node;
        if (*token >= FG_P_K)
            node = constant_of_rule(partials, *token - FG_P_K);
        else if (*token >= FG_P_X)
            node = of_letter[*token - FG_P_X];
        else {
            depth -= fg_operands[*token];
            node = emit_step(b, *token, waiting + depth, &result.selects);
        }
        waiting[depth++] = node;
    }
    result.node = waiting[0];
    if (b->status != FG_OK)
        return result;
    if (is_constant(b->p, result.node)) {
        result.singular = !isfinite(constant_of(b->p, result.node));
        result.selects = is_zero(b->p, result.node); /* of a choice that is made */
        return result;
    }
    result.singular = known_singular(partials, rule, op, k, terms);
    result.selects |= op == FG_OP_zmul; /* its own choice, which the partial to y does not show */
    return result;
}
