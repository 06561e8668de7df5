/* Recordings. */
#include "record.h"

#include <stdlib.h>

#include "program_private.h"
#include "tape_private.h"

#define UNUSED UINT32_MAX /* a parameter's input number before its first use */

/* ---------------------------------------------------------------------------------------------- recording */

void fg_recorder_begin(fg_recorder *r, const fg_tape *t, uint32_t inputs)
{
    memset(r, 0, sizeof *r);
    r->base = t->size;
    r->inputs = inputs;
}

void fg_recorder_free(fg_recorder *r)
{
    free(r->site);
    free(r->guard);
    memset(r, 0, sizeof *r);
}

/* Room for `need` elements, at least twice what there was. */
static int enlarge(void **array, uint32_t *capacity, uint32_t need, size_t element)
{
    if (need <= *capacity)
        return FG_OK;
    uint32_t twice = *capacity > FG_MAX_NODES / 2 ? FG_MAX_NODES : 2 * *capacity, least = 64;
    uint32_t count = need > twice ? need : twice > least ? twice : least;
    if (count > SIZE_MAX / element)
        return FG_TOO_LARGE;
    void *larger = realloc(*array, count * element);
    if (!larger)
        return FG_NO_MEMORY;
    *array = larger;
    *capacity = count;
    return FG_OK;
}

int fg_recorder_own(fg_recorder *r, uint32_t node, uint32_t site)
{
    uint32_t at = node - r->base;
    if (at >= r->site_capacity) {
        int status = enlarge((void **)&r->site, &r->site_capacity, at + 1, sizeof *r->site);
        if (status != FG_OK)
            return status;
    }
    while (r->sites < at) /* constants, and nodes of other threads */
        r->site[r->sites++] = 0;
    r->site[at] = site;
    if (r->sites == at)
        r->sites++;
    return FG_OK;
}

int fg_recorder_guard(fg_recorder *r, uint32_t node, int outcome, uint32_t site)
{
    int status = enlarge((void **)&r->guard, &r->guard_capacity, r->guards + 1, sizeof *r->guard);
    if (status == FG_OK)
        r->guard[r->guards++] = (fg_guard){node, site, (uint8_t)outcome};
    return status;
}

static inline uint32_t site_of(const fg_recorder *r, uint32_t node)
{
    return node >= r->base && node - r->base < r->sites ? r->site[node - r->base] : 0;
}

void fg_recorder_retire(const fg_recorder *r, fg_tape *t)
{
    for (uint32_t i = 0; i < r->sites; i++)
        if (r->site[i] && t->handle[r->base + i])
            t->op[r->base + i] = FG_STALE;
}

/* ---------------------------------------------------------------------------------------------- extraction */

enum kind { INPUT, PARAMETER, CONSTANT, OPERATION, BAD };

/* One extraction under way. `mark` holds for each node 0 where nothing needs it; on the way down 1 + the site through
 * which it is needed, on the way up 1 + its new number. `block` says which blocks of nodes have a mark. */
typedef struct extraction {
    const fg_recorder *r;
    const fg_tape *t;
    fg_extract *e;
    uint32_t *mark;
    uint8_t *block;
    uint32_t end;                       /* behind the last node that is needed */
    uint32_t nodes, entries, constants, parameters; /* room that is needed */
} extraction;

static enum kind kind_of(const fg_recorder *r, const fg_tape *t, uint32_t node)
{
    switch (t->op[node]) {
    case FG_LEAF:
        if (node >= r->base && node - r->base < r->inputs)
            return INPUT;
        return site_of(r, node) ? CONSTANT : PARAMETER;
    case FG_CONST:
    case FG_CONST_INT:
        return CONSTANT;
    case FG_CUSTOM:
    case FG_GIVEN:
    case FG_STALE:
        return BAD;
    }
    return t->op[node] & FG_CLOSURE ? BAD : OPERATION;
}

static inline void need(extraction *x, uint32_t node, uint32_t site)
{
    if (!x->mark[node])
        x->mark[node] = 1 + site;
    x->block[node / FG_BLOCK] = 1;
}

/* Marks what an operation needs, and counts what it takes to write it. */
static void need_operands(extraction *x, uint32_t node, uint32_t site)
{
    const fg_tape *t = x->t;
    fg_args at = t->args[node];
    int operands = fg_arity[t->op[node]];
    if (operands == NARY) {
        for (uint32_t k = 0; k < at.b; k++)
            need(x, FG_INDEX(t->pool[at.a + k]), site);
        x->entries += at.b;
        return;
    }
    need(x, FG_INDEX(at.a), site);
    if (operands == 2)
        need(x, FG_INDEX(at.b), site);
}

static int need_node(extraction *x, uint32_t node)
{
    uint32_t own = site_of(x->r, node), site = own ? own : x->mark[node] - 1;
    x->nodes++;
    switch (kind_of(x->r, x->t, node)) {
    case INPUT:
        return FG_OK;
    case PARAMETER:
        x->parameters++;
        return FG_OK;
    case CONSTANT:
        x->constants++;
        return FG_OK;
    case OPERATION:
        need_operands(x, node, site);
        return FG_OK;
    case BAD:
        break;
    }
    x->e->culprit_site = site;
    return x->t->op[node] == FG_STALE ? FG_OF_ANOTHER : FG_HAND_MADE;
}

/* From the last node down: marks everything that is needed. */
static int mark_needed(extraction *x)
{
    const fg_recorder *r = x->r;
    for (uint32_t i = 0; i < x->e->outputs; i++)
        need(x, x->e->output[i], 0);
    for (uint32_t i = 0; i < r->guards; i++)
        need(x, r->guard[i].node, r->guard[i].site);
    for (uint32_t end = x->end; end > 0;) {
        uint32_t first = (end - 1) / FG_BLOCK * FG_BLOCK, i = end;
        end = first;
        if (!x->block[first / FG_BLOCK])
            continue;
        while (i-- > first) {
            int status = x->mark[i] ? need_node(x, i) : FG_OK;
            if (status != FG_OK)
                return status;
        }
    }
    return FG_OK;
}

/* The new number of an operand; a parameter gets its input number when it is used first. */
static inline uint32_t renumbered(extraction *x, uint32_t operand)
{
    fg_extract *e = x->e;
    uint32_t node = FG_INDEX(operand), number = x->mark[node] - 1;
    if (e->node[number].op == FG_LEAF && e->node[number].a == UNUSED) {
        e->node[number].a = x->r->inputs + e->parameters;
        e->parameter[e->parameters++] = node;
    }
    return number;
}

static void write_operation(extraction *x, uint32_t node, fg_node *to)
{
    const fg_tape *t = x->t;
    fg_extract *e = x->e;
    fg_args at = t->args[node];
    switch (fg_operands[to->op]) {
    case 3:
        to->a = renumbered(x, t->pool[at.a]);
        to->b = renumbered(x, t->pool[at.a + 1]);
        to->c = renumbered(x, t->pool[at.a + 2]);
        return;
    case 2:
        to->a = renumbered(x, at.a);
        to->b = renumbered(x, at.b);
        return;
    case 1:
        to->a = renumbered(x, at.a);
        return;
    }
    to->a = e->pool_size;
    to->b = at.b;
    for (uint32_t k = 0; k < at.b; k++)
        e->pool[e->pool_size++] = renumbered(x, t->pool[at.a + k]);
}

static void write_node(extraction *x, uint32_t node)
{
    fg_extract *e = x->e;
    fg_node *to = &e->node[e->nodes];
    *to = (fg_node){.op = x->t->op[node], .line = site_of(x->r, node)};
    switch (kind_of(x->r, x->t, node)) {
    case INPUT:
        to->line = 0;
        to->a = node - x->r->base;
        break;
    case PARAMETER:
        to->a = UNUSED;
        break;
    case CONSTANT:
        to->op = FG_CONST;
        to->a = e->constants;
        e->constant[e->constants++] = x->t->value[node];
        break;
    case OPERATION:
    case BAD:
        write_operation(x, node, to);
        break;
    }
    x->mark[node] = ++e->nodes;
}

/* From the first node up: writes everything that is marked. */
static void write_needed(extraction *x)
{
    fg_extract *e = x->e;
    for (uint32_t first = 0; first < x->end; first += FG_BLOCK) {
        uint32_t end = x->end - first < FG_BLOCK ? x->end : first + FG_BLOCK;
        if (!x->block[first / FG_BLOCK])
            continue;
        for (uint32_t i = first; i < end; i++)
            if (x->mark[i])
                write_node(x, i);
    }
    for (uint32_t i = 0; i < x->r->guards; i++)
        e->guard[i] = renumbered(x, x->r->guard[i].node);
    for (uint32_t i = 0; i < e->outputs; i++)
        e->output[i] = renumbered(x, e->output[i]);
}

/* malloc(0) may answer NULL, which is no failure. */
static void *array_of(size_t count, size_t element)
{
    return count > SIZE_MAX / element ? NULL : malloc(count ? count * element : 1);
}

static int make_room(extraction *x)
{
    fg_extract *e = x->e;
    e->node = array_of(x->nodes, sizeof *e->node);
    e->pool = array_of(x->entries, sizeof *e->pool);
    e->constant = array_of(x->constants, sizeof *e->constant);
    e->parameter = array_of(x->parameters, sizeof *e->parameter);
    e->guard = array_of(x->r->guards, sizeof *e->guard);
    return e->node && e->pool && e->constant && e->parameter && e->guard ? FG_OK : FG_NO_MEMORY;
}

int fg_extract_make(const fg_recorder *r, const fg_tape *t, fg_extract *e)
{
    *e = (fg_extract){.output = e->output, .outputs = e->outputs};
    extraction x = {.r = r, .t = t, .e = e, .end = t->size};
    int status = FG_NO_MEMORY;
    x.mark = calloc(t->size, sizeof *x.mark);
    x.block = calloc(block_count(t->size), 1);
    if (x.mark && x.block)
        status = mark_needed(&x);
    if (status == FG_OK)
        status = make_room(&x);
    if (status == FG_OK)
        write_needed(&x);
    free(x.mark);
    free(x.block);
    return status;
}

void fg_extract_free(fg_extract *e)
{
    free(e->node);
    free(e->pool);
    free(e->constant);
    free(e->parameter);
    free(e->guard);
    *e = (fg_extract){.output = e->output, .outputs = e->outputs};
}
