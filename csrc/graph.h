/* What the files of the compiler share: a program as they work on it, and their memory.
 *
 * lower.c makes a graph of what the outputs need (long sums as additions), hoist.c says which node belongs to which
 * stream, schedule.c puts the nodes of a stream in order, fuse.c makes instructions of them, allocate.c gives them loads,
 * stores, and slots. Each takes time and memory in proportion to the program.
 */
#ifndef FG_GRAPH_H
#define FG_GRAPH_H

#include "code.h"

/* Memory for one compilation, freed at once. When the allocator refuses, `status` says so and every later call fails as
 * well: a function that takes several arrays looks once. What was taken since a mark can be given back, to be taken again:
 * memory that the system has just mapped costs more than the work on it. */
typedef struct fg_arena {
    struct fg_arena_block *first, *current;
    size_t used; /* of the current block */
    int status;
} fg_arena;

typedef struct fg_arena_mark {
    struct fg_arena_block *current;
    size_t used;
} fg_arena_mark;

void *fg_arena_take(fg_arena *arena, size_t count, size_t size);
void *fg_arena_zeros(fg_arena *arena, size_t count, size_t size);
fg_arena_mark fg_arena_set(const fg_arena *arena);
void fg_arena_back(fg_arena *arena, fg_arena_mark mark);
void fg_arena_free(fg_arena *arena);

/* A copy that outlives the arena, or room for one; of nothing one that is there all the same. */
void *fg_keep(const void *data, size_t count, size_t size);

enum fg_stream { FG_UNIFORM_STREAM, FG_LANE_STREAM };

/* A node is a constant (FG_CONST), an input (FG_LEAF), or an operation; operands lie before their users. */
typedef struct fg_graph {
    fg_arena arena;
    uint32_t size;
    uint16_t *op;
    uint8_t *stream;   /* of each node, once hoist.c has been there */
    uint32_t *first;   /* the operands of node i are operand[first[i]] ... operand[first[i + 1]], the last one excluded */
    uint32_t *operand;
    uint32_t *origin;  /* the node of the program; FG_NO_PLACE for a number that the compiler needs */
    uint32_t *leaf;    /* of a constant its number in `constant`, of an input the number of the input */
    uint32_t *uses;    /* by operations of its stream, each reference counted */
    uint32_t *sinks;   /* by outputs, guards, and (of a uniform node) the lane stream */
    double *constant;
    uint32_t constants;
    uint32_t *output;  /* nodes; guards are the last ones */
    uint32_t outputs, guards, sums;
    uint32_t inputs;
    const uint8_t *batched; /* of each input */
    uint32_t *place;   /* of each uniform node, once they have places */
    int lanes;         /* whether there is a lane stream */
} fg_graph;

static inline int fg_is_leaf(const fg_graph *g, uint32_t node)
{
    return g->op[node] == FG_CONST || g->op[node] == FG_LEAF;
}

/* Whether a node is computed by an instruction of a stream. */
static inline int fg_runs_in(const fg_graph *g, uint32_t node, int stream)
{
    return g->stream[node] == stream && !fg_is_leaf(g, node);
}

/* A stream on its way to code. The operands of its instructions are nodes (in the lane stream with FG_UNIFORM where they
 * are uniform), or numbers from graph.size on for what is no node; allocate.c puts slots and places there instead. */
typedef struct fg_list {
    int stream;
    uint32_t *order; /* nodes */
    uint32_t size;
    fg_instr *instr;
    uint32_t instrs;
    uint32_t *pool;
    uint32_t pool_size;
    uint32_t values; /* nodes and what is no node */
} fg_list;

int fg_lower(const fg_program *p, const fg_code_options *options, fg_graph *g);
int fg_hoist(fg_graph *g, const fg_code_options *options);
int fg_schedule(fg_graph *g, fg_list *list, int search);
int fg_fuse(fg_graph *g, fg_list *list, int fuse, const fg_code_options *options);
int fg_allocate_places(fg_graph *g, fg_list *list, int sort, fg_code *code);
int fg_allocate_slots(fg_graph *g, fg_list *list, fg_code *code, uint32_t lanes);

/* Whether an instruction has a result, whether it uses the pool from a on, and its operands: how many, and where each is
 * kept. */
int fg_has_result(int op);
int fg_uses_pool(int op);
uint32_t fg_operand_count(const fg_instr *i);
uint32_t *fg_operand_at(fg_instr *i, uint32_t *pool, uint32_t k);

#endif
