#include "build.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "identities.h"
#include "partials.h"
#include "program_private.h"
#include "tape.h"

/* ----------------------------------------------------------------------------------------------- hashing */

static inline uint64_t mix(uint64_t h)
{
    h *= 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static uint64_t hash_of_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return mix(mix(bits));
}

static uint64_t hash_of_node(const fg_program *p, const fg_node *node)
{
    if (node->op == FG_CONST)
        return hash_of_bits(p->constant[node->a]);
    if (!is_nary(node->op))
        return mix(mix((uint64_t)node->a << 32 | node->b) + ((uint64_t)node->op << 32 | node->c));
    uint64_t h = node->op;
    for (uint32_t k = 0; k < node->b; k++)
        h = mix(h + p->pool[node->a + k] + 1);
    return h;
}

static int same_node(const fg_program *p, const fg_node *x, const fg_node *y)
{
    if (x->op != y->op)
        return 0;
    if (x->op == FG_CONST)
        return memcmp(&p->constant[x->a], &p->constant[y->a], sizeof *p->constant) == 0;
    if (is_nary(x->op))
        return x->b == y->b && memcmp(p->pool + x->a, p->pool + y->a, x->b * sizeof *p->pool) == 0;
    return x->a == y->a && x->b == y->b && x->c == y->c;
}

/* The place in the table of a node equal to this one, or the empty place for it. */
static uint32_t *place_of(const fg_builder *b, const fg_node *node)
{
    uint32_t at = (uint32_t)hash_of_node(b->p, node) & b->mask;
    while (b->table[at] != FG_NO_NODE && !same_node(b->p, node, &b->p->node[b->table[at]]))
        at = (at + 1) & b->mask;
    return &b->table[at];
}

static int make_table(fg_builder *b, uint32_t places)
{
    uint32_t *table = malloc(places * sizeof *table);
    if (!table)
        return FG_NO_MEMORY;
    memset(table, 0xFF, places * sizeof *table);
    free(b->table);
    b->table = table;
    b->mask = places - 1;
    return FG_OK;
}

static void double_table(fg_builder *b)
{
    uint32_t *old = b->table, places = b->mask + 1;
    b->table = NULL;
    b->status = places < UINT32_MAX / 2 ? make_table(b, 2 * places) : FG_TOO_LARGE;
    for (uint32_t i = 0; i < places && b->status == FG_OK; i++)
        if (old[i] != FG_NO_NODE)
            *place_of(b, &b->p->node[old[i]]) = old[i];
    free(old);
}

/* Puts a node into its place; at least half of the places stay empty. */
static void enter(fg_builder *b, uint32_t *place, uint32_t number)
{
    *place = number;
    if (++b->used > b->mask / 2)
        double_table(b);
}

/* ---------------------------------------------------------------------------------------------- emitting */

static uint32_t failed(fg_builder *b, int status)
{
    b->status = status;
    return 0;
}

uint32_t fg_emit_constant(fg_builder *b, double value)
{
    if (b->status != FG_OK)
        return 0;
    /* The new node is made first, so that it can be looked for by what stands in the program. */
    uint32_t number;
    int status = fg_program_append_constant(b->p, value, b->line, &number);
    if (status != FG_OK)
        return failed(b, status);
    b->taken_by = 0;
    uint32_t *place = place_of(b, &b->p->node[number]);
    if (*place != FG_NO_NODE) {
        b->p->size--;
        b->p->constants--;
        return *place;
    }
    enter(b, place, number);
    return number;
}

uint32_t fg_emit_input(fg_builder *b, uint32_t input)
{
    uint32_t number = 0;
    if (b->status != FG_OK)
        return 0;
    int status = fg_program_append(b->p, (fg_node){.op = FG_LEAF, .a = input, .line = b->line}, &number);
    return status == FG_OK ? number : failed(b, status);
}

/* -------------------------------------------------------------------------------------------- identities */

enum { LETTERS = FG_LETTERS_END - FG_X };

static const fg_identity *identity(uint32_t i)
{
    return i < FG_SAFE_IDENTITIES ? &fg_safe_identities[i] : &fg_fast_identities[i - FG_SAFE_IDENTITIES];
}

static void add_hint(fg_builder *b, const uint8_t *pattern)
{
    uint64_t *hint = b->hint[pattern[0]];
    int hints = 0;
    for (int k = 1, inside = 0; k < FG_TOKENS && pattern[k]; k++) {
        int token = pattern[k], is_operation = token < FG_X;
        int op = is_operation ? token : token >= FG_K ? FG_CONST : FG_LEAF;
        if (inside)
            inside--;
        else if (op != FG_LEAF) {
            hint[op / 64] |= (uint64_t)1 << op % 64;
            hints++;
        }
        if (is_operation)
            inside += fg_operands[token];
    }
    if (!hints) /* nothing but letters for any operand */
        hint[0] = hint[1] = UINT64_MAX;
}

static int may_fit(const fg_builder *b, int op, const uint32_t operand[3])
{
    const uint64_t *hint = b->hint[op];
    int fits = 0;
    for (uint32_t k = 0; k < fg_operands[op]; k++) {
        int inner = b->p->node[operand[k]].op;
        fits |= (int)(hint[inner / 64] >> inner % 64 & 1);
    }
    return fits;
}

/* Chains the identities on each operation, in the order in which they are written. */
static void index_identities(fg_builder *b, int fastmath)
{
    _Static_assert(FG_SAFE_IDENTITIES + FG_FAST_IDENTITIES < 128, "identities are numbered in bytes from 1 on");
    uint32_t count = FG_SAFE_IDENTITIES + (fastmath ? FG_FAST_IDENTITIES : 0);
    for (uint32_t i = count; i-- > 0;) {
        uint8_t *first = &b->first_rule[identity(i)->pattern[0]];
        b->next_rule[i] = *first;
        *first = (uint8_t)(i + 1);
        add_hint(b, identity(i)->pattern);
    }
}

static int has_exact_reciprocal(double k)
{
    int exponent;
    double reciprocal = 1.0 / k;
    return fabs(frexp(k, &exponent)) == 0.5 && isfinite(reciprocal) && reciprocal != 0.0;
}

static int stands_for(const fg_program *p, int letter, uint32_t node)
{
    switch (letter) {
    case FG_B:
        return fg_properties[p->node[node].op] & FG_BOOLEAN;
    case FG_K:
    case FG_L:
        return is_constant(p, node);
    case FG_T:
        return is_constant(p, node) && constant_of(p, node) != 0.0;
    case FG_P:
        return is_constant(p, node) && has_exact_reciprocal(constant_of(p, node));
    }
    return 1;
}

static int matches_token(const fg_program *p, int token, uint32_t node, uint32_t bound[LETTERS])
{
    if (token >= FG_LETTERS_END)
        return is_constant(p, node)
            && memcmp(&fg_literal[token - FG_LETTERS_END], &p->constant[p->node[node].a], sizeof(double)) == 0;
    uint32_t *letter = &bound[token - FG_X];
    if (*letter == FG_NO_NODE)
        *letter = node;
    return *letter == node && stands_for(p, token, node);
}

/* Whether operands are as the pattern says behind its first token; then `bound` holds what its letters stand for. */
static int matches(const fg_program *p, const uint8_t *pattern, const uint32_t operand[3], uint32_t bound[LETTERS])
{
    uint32_t waiting[FG_TOKENS + 3];
    int depth = 0;
    memset(bound, 0xFF, LETTERS * sizeof *bound);
    for (int k = fg_operands[pattern[0]]; k-- > 0;)
        waiting[depth++] = operand[k];
    for (const uint8_t *token = pattern + 1; depth > 0; token++) {
        uint32_t node = waiting[--depth];
        if (*token >= FG_X) {
            if (!matches_token(p, *token, node, bound))
                return 0;
            continue;
        }
        const fg_node *inner = &p->node[node];
        if (inner->op != *token)
            return 0;
        const uint32_t inside[3] = {inner->a, inner->b, inner->c};
        for (int k = fg_operands[*token]; k-- > 0;)
            waiting[depth++] = inside[k];
    }
    return 1;
}

/* Emits the result of an identity. From the end of a prefix order on, operands come before what takes them. */
static uint32_t emit_result(fg_builder *b, const uint8_t *result, const uint32_t bound[LETTERS])
{
    uint32_t waiting[FG_TOKENS + 3] = {0};
    int depth = 0, tokens = 0;
    while (tokens < FG_TOKENS && result[tokens])
        tokens++;
    b->computing++;
    while (tokens-- > 0) {
        int token = result[tokens];
        uint32_t node;
        if (token >= FG_LETTERS_END)
            node = fg_emit_constant(b, fg_literal[token - FG_LETTERS_END]);
        else if (token >= FG_X)
            node = bound[token - FG_X];
        else {
            int count = fg_operands[token];
            node = fg_emit(b, token, waiting[depth - 1], count > 1 ? waiting[depth - 2] : 0,
                           count > 2 ? waiting[depth - 3] : 0);
            depth -= count;
        }
        waiting[depth++] = node;
    }
    b->computing--;
    if (result[0] >= FG_X)
        b->taken_by = FG_IDENTITIES;
    return waiting[0];
}

/* What the first identity that fits makes of an operation, or FG_NO_NODE. The results are simpler than the patterns, so
 * that it ends when fg_emit tries the identities on them. */
static uint32_t simplified(fg_builder *b, int op, const uint32_t operand[3])
{
    uint32_t bound[LETTERS], swapped[3] = {operand[1], operand[0], 0};
    int symmetric = fg_properties[op] & FG_COMMUTATIVE;
    for (int rule = b->first_rule[op]; rule; rule = b->next_rule[rule - 1]) {
        const fg_identity *it = identity((uint32_t)rule - 1);
        if (matches(b->p, it->pattern, operand, bound) || (symmetric && matches(b->p, it->pattern, swapped, bound)))
            return emit_result(b, it->result, bound);
    }
    return FG_NO_NODE;
}

/* ------------------------------------------------------------------------------------------- operations */

enum { FEW = 64 };

static int all_constant(const fg_program *p, const uint32_t *operand, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        if (!is_constant(p, operand[k]))
            return 0;
    return 1;
}

/* The constant that an operation on constants gives. */
static uint32_t folded(fg_builder *b, int op, const uint32_t *operand, uint32_t count)
{
    double few[FEW] = {0.0}, *value = few;
    if (count > FEW && !(value = malloc(count * sizeof *value)))
        return failed(b, FG_NO_MEMORY);
    for (uint32_t k = 0; k < count; k++)
        value[k] = constant_of(b->p, operand[k]);
    uint32_t number = fg_emit_constant(b, fg_apply(op, value, count));
    if (value != few)
        free(value);
    b->taken_by = b->passes & FG_FOLD ? FG_FOLD : FG_IDENTITIES;
    return number;
}

/* Constants come second, and otherwise the earlier node first. */
static void order(const fg_program *p, uint32_t operand[3])
{
    uint32_t x = operand[0], y = operand[1];
    int constants = is_constant(p, x) - is_constant(p, y);
    if (constants > 0 || (constants == 0 && x > y)) {
        operand[0] = y;
        operand[1] = x;
    }
}

/* Makes the node that has been appended last permanent, or finds one that is equal to it. */
static uint32_t shared(fg_builder *b, uint32_t number)
{
    fg_program *p = b->p;
    b->taken_by = 0;
    if (!(b->passes & FG_CSE))
        return number;
    uint32_t *place = place_of(b, &p->node[number]);
    if (*place == FG_NO_NODE) {
        enter(b, place, number);
        return number;
    }
    if (is_nary(p->node[number].op))
        p->pool_size -= p->node[number].b;
    p->size--;
    b->taken_by = FG_CSE;
    return *place;
}

uint32_t fg_emit(fg_builder *b, int op, uint32_t x, uint32_t y, uint32_t w)
{
    if (b->status != FG_OK)
        return 0;
    uint32_t count = fg_operands[op], number = FG_NO_NODE;
    uint32_t operand[3] = {x, count > 1 ? y : 0, count > 2 ? w : 0};
    if (fg_properties[op] & FG_COMMUTATIVE)
        order(b->p, operand);
    if ((b->passes & FG_FOLD || b->computing) && all_constant(b->p, operand, count))
        return folded(b, op, operand, count);
    if (b->passes & FG_IDENTITIES && may_fit(b, op, operand))
        number = simplified(b, op, operand);
    if (number != FG_NO_NODE)
        return number;
    fg_node node = {.op = (uint16_t)op, .a = operand[0], .b = operand[1], .c = operand[2], .line = b->line};
    int status = fg_program_append(b->p, node, &number);
    return status == FG_OK ? shared(b, number) : failed(b, status);
}

/* The entry that a constant index takes, or FG_NO_NODE. */
static uint32_t taken(fg_builder *b, int op, const uint32_t *operand, uint32_t count)
{
    if (op != FG_TAKE || !is_constant(b->p, operand[0]))
        return FG_NO_NODE;
    double index = constant_of(b->p, operand[0]);
    if (!(index >= 0.0 && index < (double)(count - 1)))
        return FG_NO_NODE;
    b->taken_by = FG_IDENTITIES;
    return operand[1 + (uint32_t)index];
}

uint32_t fg_emit_nary(fg_builder *b, int op, const uint32_t *operand, uint32_t count)
{
    if (b->status != FG_OK)
        return 0;
    uint32_t number = FG_NO_NODE;
    if (b->passes & FG_FOLD && all_constant(b->p, operand, count))
        return folded(b, op, operand, count);
    if (b->passes & FG_IDENTITIES)
        number = taken(b, op, operand, count);
    if (number != FG_NO_NODE)
        return number;
    int status = fg_program_append_nary(b->p, op, operand, count, b->line, &number);
    return status == FG_OK ? shared(b, number) : failed(b, status);
}

/* -------------------------------------------------------------------------------------- begin and end */

int fg_builder_begin(fg_builder *b, fg_program *p, int passes, int fastmath)
{
    uint32_t places = 64;
    while (places / 2 < p->capacity && places < UINT32_MAX / 4)
        places *= 2;
    memset(b, 0, sizeof *b);
    b->p = p;
    b->passes = passes;
    b->status = make_table(b, places);
    index_identities(b, fastmath);
    for (uint32_t i = 0; i < p->size && b->status == FG_OK; i++) {
        uint32_t *place = is_constant(p, i) ? place_of(b, &p->node[i]) : NULL;
        if (place && *place == FG_NO_NODE)
            enter(b, place, i);
    }
    return b->status;
}

void fg_builder_end(fg_builder *b)
{
    free(b->table);
    b->table = NULL;
}
