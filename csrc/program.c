/* The program as a container: memory, appending, verifying. */
#include "program_private.h"

#include <stdlib.h>
#include <string.h>

#include "tape.h"

#define MAX_SIZE (UINT32_MAX / 2) /* of each array, in elements */

const char *const fg_pass_name[7] = {"fold", "identities", "cse", "dead", "hoist", "schedule", "fuse"};

const char *fg_op_name(int op)
{
    switch (op) {
    case FG_LEAF: return "input";
    case FG_CONST: return "constant";
    case FG_TAKE: return "take";
#define OP1(kind, name, ...) case FG_OP_##name: return #name;
#define OP2(kind, name, ...) case FG_OP_##name: return #name;
#define OP3(kind, name, ...) case FG_OP_##name: return #name;
#define REDUCE1(name, ...) case FG_OP_##name: return #name;
#define REDUCE2(name, ...) case FG_OP_##name: return #name;
#include "ops.def"
    }
    return "unknown";
}

/* ------------------------------------------------------------------------------------------------ memory */

/* Makes room for `more` elements behind the `size` there are. The array is at least doubled, so that appending one by one
 * takes linear time. */
static int grow(void **array, uint32_t size, uint32_t *capacity, uint32_t more, size_t element)
{
    if (more <= *capacity - size)
        return FG_OK;
    uint64_t wanted = (uint64_t)size + more, doubled = 2 * (uint64_t)*capacity;
    if (wanted > MAX_SIZE)
        return FG_TOO_LARGE;
    if (wanted < doubled)
        wanted = doubled < MAX_SIZE ? doubled : MAX_SIZE;
    if (wanted < 16)
        wanted = 16;
    if (wanted > SIZE_MAX / element)
        return FG_TOO_LARGE;
    void *resized = realloc(*array, (size_t)wanted * element);
    if (!resized)
        return FG_NO_MEMORY;
    *array = resized;
    *capacity = (uint32_t)wanted;
    return FG_OK;
}

/* The pointer is passed on as what realloc returned, not through a void ** that points to another type. */
#define GROW(status, array, size, capacity, more) \
    do { \
        void *grown = (array); \
        (status) = grow(&grown, (size), &(capacity), (more), sizeof *(array)); \
        (array) = grown; \
    } while (0)

int fg_program_grow(fg_program *p, uint32_t nodes, uint32_t entries)
{
    int status;
    GROW(status, p->node, p->size, p->capacity, nodes);
    if (status == FG_OK)
        GROW(status, p->pool, p->pool_size, p->pool_capacity, entries);
    return status;
}

void fg_program_free(fg_program *p)
{
    free(p->node);
    free(p->pool);
    free(p->constant);
    free(p->output);
    memset(p, 0, sizeof *p);
}

#define COPY(to, from, count) \
    do { \
        if ((count) > 0) \
            memcpy((to), (from), (size_t)(count) * sizeof *(to)); \
    } while (0)

int fg_program_copy(const fg_program *p, uint32_t more, fg_program *result)
{
    fg_program made = {.inputs = p->inputs};
    int status = more > MAX_SIZE - p->size ? FG_TOO_LARGE : fg_program_grow(&made, p->size + more, p->pool_size);
    if (status == FG_OK)
        GROW(status, made.constant, 0, made.constant_capacity, p->constants);
    if (status == FG_OK)
        GROW(status, made.output, 0, made.output_capacity, p->outputs);
    if (status != FG_OK) {
        fg_program_free(&made);
        return status;
    }
    COPY(made.node, p->node, p->size);
    COPY(made.pool, p->pool, p->pool_size);
    COPY(made.constant, p->constant, p->constants);
    COPY(made.output, p->output, p->outputs);
    made.size = p->size;
    made.pool_size = p->pool_size;
    made.constants = p->constants;
    made.outputs = p->outputs;
    *result = made;
    return FG_OK;
}

/* --------------------------------------------------------------------------------------------- appending */

int fg_program_append(fg_program *p, fg_node node, uint32_t *number)
{
    int status;
    GROW(status, p->node, p->size, p->capacity, 1);
    if (status != FG_OK)
        return status;
    *number = p->size;
    p->node[p->size++] = node;
    return FG_OK;
}

int fg_program_append_nary(fg_program *p, int op, const uint32_t *operand, uint32_t count, uint32_t line,
                           uint32_t *number)
{
    ptrdiff_t within = p->pool && operand >= p->pool && operand < p->pool + p->pool_size ? operand - p->pool : -1;
    int status = fg_program_grow(p, 1, count);
    if (status != FG_OK)
        return status;
    if (within >= 0)
        operand = p->pool + within; /* the pool may have moved */
    COPY(p->pool + p->pool_size, operand, count);
    *number = p->size;
    p->node[p->size++] = (fg_node){.op = (uint16_t)op, .a = p->pool_size, .b = count, .line = line};
    p->pool_size += count;
    return FG_OK;
}

int fg_program_append_constant(fg_program *p, double value, uint32_t line, uint32_t *number)
{
    int status;
    GROW(status, p->constant, p->constants, p->constant_capacity, 1);
    if (status == FG_OK)
        status = fg_program_append(p, (fg_node){.op = FG_CONST, .a = p->constants, .line = line}, number);
    if (status == FG_OK)
        p->constant[p->constants++] = value;
    return status;
}

int fg_program_append_output(fg_program *p, uint32_t node)
{
    int status;
    GROW(status, p->output, p->outputs, p->output_capacity, 1);
    if (status == FG_OK)
        p->output[p->outputs++] = node;
    return status;
}

uint32_t fg_node_operands(const fg_program *p, const fg_node *node, const uint32_t **operand, uint32_t own[3])
{
    uint32_t count = fg_operands[node->op];
    if (count >= FG_NARY) {
        *operand = p->pool + node->a;
        return node->b;
    }
    own[0] = node->a;
    own[1] = node->b;
    own[2] = node->c;
    *operand = own;
    return count;
}

/* --------------------------------------------------------------------------------------------- verifying */

/* What is wrong with an n-ary node, before its operands are looked at; *entries: what earlier ones leave of the pool. */
static const char *nary_fault(const fg_program *p, const fg_node *node, uint32_t *entries)
{
    if (node->a > p->pool_size || node->b > p->pool_size - node->a)
        return "operands beyond the end of the pool";
    if (node->b > *entries)
        return "operands that are another node's as well";
    *entries -= node->b;
    if (node->b < (node->op == FG_TAKE ? 2 : 1))
        return "too few operands";
    if (fg_operands[node->op] == FG_PAIRS && node->b % 2 != 0)
        return "an odd number of operands, which should be pairs";
    return NULL;
}

static const char *node_fault(const fg_program *p, uint32_t i, uint32_t *entries, uint8_t *seen)
{
    const fg_node *node = &p->node[i];
    if (node->op >= FG_OP_COUNT || fg_operands[node->op] == FG_NOT_IN_PROGRAMS)
        return "an unknown opcode";
    if (node->op == FG_CONST)
        return node->a < p->constants ? NULL : "a constant beyond the end of the constants";
    if (node->op == FG_LEAF) {
        if (node->a >= p->inputs)
            return "an input beyond the number of inputs";
        if (seen[node->a]++)
            return "an input that has a node already";
        return NULL;
    }
    if (is_nary(node->op)) {
        const char *fault = nary_fault(p, node, entries);
        if (fault)
            return fault;
    }
    const uint32_t *operand;
    uint32_t own[3], count = fg_node_operands(p, node, &operand, own);
    for (uint32_t k = 0; k < count; k++)
        if (operand[k] >= i)
            return "an operand that does not lie before it";
    return NULL;
}

const char *fg_program_fault(const fg_program *p, uint32_t *node)
{
    *node = FG_NO_NODE;
    if ((p->size && !p->node) || (p->pool_size && !p->pool) || (p->constants && !p->constant) || (p->outputs && !p->output))
        return "a missing array";
    if (p->size > MAX_SIZE || p->pool_size > MAX_SIZE || p->inputs > MAX_SIZE)
        return "more than 2**31 nodes, operands or inputs";
    for (uint32_t i = 0; i < p->outputs; i++)
        if (p->output[i] >= p->size)
            return "an output that is no node";
    uint8_t *seen = calloc(p->inputs ? p->inputs : 1, 1);
    if (!seen)
        return "too many inputs for this machine's memory";
    const char *fault = NULL;
    uint32_t entries = p->pool_size;
    for (uint32_t i = 0; i < p->size && !fault; i++) {
        fault = node_fault(p, i, &entries, seen);
        if (fault)
            *node = i;
    }
    free(seen);
    return fault;
}

int fg_program_verify(const fg_program *p)
{
    uint32_t node;
    return fg_program_fault(p, &node) ? FG_BAD_PROGRAM : FG_OK;
}
