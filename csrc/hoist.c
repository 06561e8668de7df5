/* Hoisting: which node is computed once a call and which for every row. */
#include "graph.h"
#include "tape.h"

static int depends_on_rows(const fg_graph *g, uint32_t node)
{
    for (uint32_t k = g->first[node]; k < g->first[node + 1]; k++)
        if (g->stream[g->operand[k]] == FG_LANE_STREAM)
            return 1;
    return 0;
}

/* Who uses a node: operations of its stream; and for how long it has to last beyond them. */
static void count_uses(fg_graph *g)
{
    for (uint32_t i = 0; i < g->size; i++)
        for (uint32_t k = g->first[i]; k < g->first[i + 1]; k++)
            (g->stream[g->operand[k]] == g->stream[i] ? g->uses : g->sinks)[g->operand[k]]++;
    for (uint32_t k = 0; k < g->outputs; k++)
        g->sinks[g->output[k]]++;
}

int fg_hoist(fg_graph *g, const fg_code_options *options)
{
    int all = g->lanes && !(options->passes & FG_HOIST);
    for (uint32_t i = 0; i < g->size; i++) {
        int rows = g->op[i] == FG_LEAF ? g->batched[g->leaf[i]] : depends_on_rows(g, i);
        g->stream[i] = rows || (all && !fg_is_leaf(g, i)) ? FG_LANE_STREAM : FG_UNIFORM_STREAM;
    }
    count_uses(g);
    return FG_OK;
}
