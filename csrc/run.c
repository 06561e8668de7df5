/* fg_run: cuts a batch into blocks of rows, shares them out to threads, and adds up the sums.
 *
 * The unit that threads take is a chunk: with sums FG_CHUNK rows, since a sum is made of the totals of such chunks, and
 * else as many blocks as keep the threads evenly busy. Chunks are run in whatever order; their totals are added as a
 * binary tree over their numbers, which is the same in whatever pieces the rows come: parts of a batch of 2^k chunks can
 * be summed elsewhere. So many chunks go into one round that their totals fit into memory set aside for them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "block.h"
#include "linked.h"
#include "pool.h"
#include "reduce.h"
#include "tape.h"

enum {
    LINE = 8,                  /* doubles in a cache line                                              */
    TOTALS = 1 << 20,          /* about so many chunk totals in a round                                */
    THREAD_WORK = 200 * 1000,  /* so many lane instructions are worth waking a thread for              */
    POLL_WORK = 1 << 22,       /* so many lie between two looks at the clock, about a millisecond      */
};
static const size_t PAST_CACHE = (size_t)8 << 20; /* bytes of outputs that had better not go through the cache */
static const double POLL_SECONDS = 0.05;

typedef struct job {
    const fg_code *code;
    const fg_batch *batch;
    const fg_lanes *lanes;
    struct fg_pool *pool;
    size_t chunk_rows, chunks, first_chunk; /* the first of this round */
    fg_array *input, *output;
    double *totals;      /* of each chunk of this round, each sum */
    double *tree;        /* of each level, the totals that wait for their right neighbour */
    double *uniforms;
    int past_cache;
    size_t stage, staged; /* bytes of a stage; arrays in it       */
    clock_t polled;
    int status;
} job;

static size_t round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* ------------------------------------------------------------------------------------------------- columns, and the stage */

static int neighbours(const fg_column *c)
{
    return (uintptr_t)c[1].data == (uintptr_t)c[0].data + sizeof(double) && c[1].stride == c[0].stride;
}

/* The columns but those whose numbers are in `others`, rising: nothing is said about these. */
static void describe(fg_array *array, const fg_column *column, size_t n, const uint32_t *others, size_t count)
{
    uint32_t run = 0;
    for (size_t i = n; i-- > 0;) {
        if (count && others[count - 1] == i) {
            count--;
            run = 0;
            continue;
        }
        run = run && neighbours(column + i) ? run + 1 : 1;
        array[i] = (fg_array){column[i].data, column[i].stride, run, FG_DIRECT};
    }
}

/* Rows of outputs that fill an array without gaps are assembled a block at a time, because what goes past the cache has
 * to go there in whole lines; it goes while the next block is run. Returns the bytes that this takes. */
static size_t stage_rows(fg_array *output, size_t n, size_t lanes, size_t *arrays)
{
    size_t stage = 0;
    for (size_t i = 0, run; i < n; i += run) {
        run = output[i].run;
        if (run == 1 || output[i].stride != (ptrdiff_t)(run * sizeof(double)))
            continue;
        for (size_t k = 0; k < run; k++)
            output[i + k].stage = stage + k * sizeof(double);
        stage += round_up(lanes * run, LINE) * sizeof(double);
        ++*arrays;
    }
    return stage;
}

/* All but what is no whole line of the destination: that is copied at once. */
static fg_drain whole_lines(double *to, const double *from, size_t n)
{
    size_t head = (size_t)-(ptrdiff_t)((uintptr_t)to / sizeof *to) % LINE, lines, tail;
    head = head < n ? head : n;
    lines = (n - head) / LINE;
    tail = head + lines * LINE;
    memcpy(to, from, head * sizeof *to);
    memcpy(to + tail, from + tail, (n - tail) * sizeof *to);
    return (fg_drain){to + head, from + head, lines};
}

static void finish_drain(const job *j, fg_drain *d)
{
    for (; d->lines; d++)
        j->lanes->copy_past_cache(d->to, d->from, d->lines * LINE * sizeof *d->to);
}

/* What the block has assembled, a drain for each array. */
static void begin_drain(const job *j, const fg_block *b, fg_drain *d)
{
    for (size_t i = 0, n = j->code->outputs - j->code->guards; i < n; i += j->output[i].run) {
        const fg_array *to = j->output + i;
        if (to->stage == FG_DIRECT)
            continue;
        *d = whole_lines((double *)(to->data + to->stride * (ptrdiff_t)b->row), (double *)(b->stage + to->stage),
                         b->rows * to->run);
        d += d->lines != 0;
    }
    d->lines = 0;
}

/* -------------------------------------------------------------------------------------------------------------- workers */

typedef struct worker {
    unsigned number;
    fg_block block;
    fg_drain *drains, *drain; /* of the block before; at work */
    char *stage;              /* of the block before          */
    size_t work;              /* since the last look whether to go on */
} worker;

/* A worker's scratch: uniforms and slots, the parts of the sums, the flags of the lanes, two stages: of the block that is
 * run and of the one before, and the drains of the latter. */
static int begin_work(const job *j, unsigned number, worker *w)
{
    const fg_code *code = j->code;
    size_t parts = round_up(code->linked->places, LINE), left = parts + (size_t)FG_PARTS * code->sums,
           stage = left + FG_MAX_LANES / sizeof(double), drains = stage + 2 * j->stage / sizeof(double),
           size = drains + ((j->staged + 1) * sizeof(fg_drain) + sizeof(double) - 1) / sizeof(double);
    double *base = fg_pool_scratch(j->pool, number, size * sizeof *base);
    if (!base)
        return FG_NO_MEMORY;
    w->drains = w->drain = (fg_drain *)(base + drains);
    w->drain->lines = 0;
    w->stage = (char *)(base + stage) + j->stage;
    w->block = (fg_block){.words = code->linked->lane, .base = base, .first_slot = code->linked->first_slot,
                          .input = j->input, .output = j->output, .past_cache = j->past_cache,
                          .drain = j->stage ? &w->drain : NULL, .stage = (char *)(base + stage), .parts = base + parts,
                          .left = code->guards ? (uint8_t *)(base + left) : NULL};
    memcpy(base, j->uniforms, code->uniforms * sizeof *base);
    return FG_OK;
}

static void run_block(const job *j, worker *w)
{
    fg_block *b = &w->block;
    b->lanes = round_up(b->rows, 8);
    if (b->left)
        memset(b->left, 0, b->lanes);
    j->lanes->run(b);
    if (b->left && j->batch->left)
        memcpy(j->batch->left + b->row, b->left, b->rows);
    if (j->stage) {
        char *stage = b->stage;
        finish_drain(j, w->drain);
        begin_drain(j, b, w->drain = w->drains);
        b->stage = w->stage;
        w->stage = stage;
    }
}

/* Only the calling thread asks: in a Python program it is the one that may run Python code. */
static int interrupted(job *j)
{
    clock_t now = clock();
    if (!j->batch->poll || (double)(now - j->polled) < POLL_SECONDS * CLOCKS_PER_SEC)
        return 0;
    j->polled = now;
    return j->batch->poll(j->batch->poll_argument) != 0;
}

static void stop(job *j, int status)
{
    j->status = status;
    fg_pool_stop(j->pool);
}

static int must_stop(job *j, unsigned number)
{
    if (number == 0 && interrupted(j))
        stop(j, FG_STOPPED);
    return fg_pool_stopped(j->pool);
}

static void run_chunk(job *j, worker *w, size_t task)
{
    const fg_code *code = j->code;
    fg_block *b = &w->block;
    size_t first = (j->first_chunk + task) * j->chunk_rows, left = j->batch->rows - first,
           end = first + (left < j->chunk_rows ? left : j->chunk_rows);
    double *totals = j->totals + task * code->sums;
    b->totals = end - first <= code->lanes ? totals : NULL;
    if (!b->totals)
        memset(b->parts, 0, (size_t)FG_PARTS * code->sums * sizeof *b->parts);
    for (b->row = first; b->row < end; b->row += b->rows) {
        b->rows = end - b->row < code->lanes ? end - b->row : code->lanes;
        run_block(j, w);
        w->work += (size_t)code->lane_size * code->lanes;
        if (w->work > POLL_WORK && must_stop(j, w->number))
            return;
        w->work %= POLL_WORK;
    }
    for (size_t s = 0; s < code->sums && !b->totals; s++)
        totals[s] = fg_parts_total((const fg_parts *)b->parts + s);
}

static void run_chunks(void *argument, unsigned number)
{
    job *j = argument;
    worker w = {.number = number};
    size_t task;
    if (begin_work(j, number, &w) != FG_OK) {
        if (number == 0) /* else the others do it */
            stop(j, FG_NO_MEMORY);
        return;
    }
    while (fg_pool_next(j->pool, &task))
        run_chunk(j, &w, task);
    finish_drain(j, w.drain);
    j->lanes->end_stream();
}

/* ----------------------------------------------------------------------------------------------------------- the batch */

/* A chunk whose number ends in k ones is the last of a subtree of 2^k, 2^(k - 1) .. chunks. */
static void add_totals(const job *j, size_t chunks)
{
    size_t sums = j->code->sums;
    for (size_t c = 0; c < chunks; c++) {
        double *total = j->totals + c * sums, *left = j->tree;
        for (size_t number = j->first_chunk + c; number & 1; number >>= 1, left += sums)
            for (size_t s = 0; s < sums; s++)
                total[s] = left[s] + total[s];
        memcpy(left, total, sums * sizeof *total);
    }
}

static void finish_sums(const job *j)
{
    size_t sums = j->code->sums;
    const double *left = j->tree;
    double *sum = j->batch->sum;
    for (size_t s = 0; s < sums; s++)
        sum[s] = 0.0;
    for (size_t chunks = j->chunks; chunks; chunks >>= 1, left += sums)
        for (size_t s = 0; s < sums && chunks & 1; s++)
            sum[s] = left[s] + sum[s];
}

static void run_rounds(job *j, unsigned threads, size_t chunks_a_round)
{
    for (; j->first_chunk < j->chunks && j->status == FG_OK; j->first_chunk += chunks_a_round) {
        size_t left = j->chunks - j->first_chunk, chunks = left < chunks_a_round ? left : chunks_a_round;
        fg_pool_run(j->pool, threads, chunks, run_chunks, j);
        if (j->status == FG_OK && j->code->sums)
            add_totals(j, chunks);
    }
    if (j->status == FG_OK)
        finish_sums(j);
}

/* How many threads have enough to do. */
static unsigned threads_for(const job *j)
{
    double wanted = (double)j->batch->rows * j->code->lane_size / THREAD_WORK + 1.0;
    unsigned threads = fg_pool_threads(j->pool);
    return wanted < threads ? (unsigned)wanted : threads;
}

/* Chunks of whole blocks, eight or so for each thread, so that those that are done early take over from the others. */
static size_t chunk_rows(const job *j, unsigned threads)
{
    return j->code->sums ? FG_CHUNK : round_up(j->batch->rows / (8 * threads) + 1, j->code->lanes);
}

static size_t levels(size_t chunks)
{
    size_t n = 1;
    while (chunks >>= 1)
        n++;
    return n;
}

/* All memory of the call but the workers' scratch. */
static void *workspace(job *j, size_t chunks_a_round, size_t outputs)
{
    const fg_code *code = j->code;
    size_t uniforms = code->uniforms, totals = chunks_a_round * code->sums, tree = levels(j->chunks) * code->sums,
           arrays = (code->inputs + outputs) * sizeof(fg_array);
    char *memory = malloc((uniforms + totals + tree) * sizeof(double) + arrays + 1);
    if (memory) {
        j->uniforms = (double *)memory;
        j->totals = j->uniforms + uniforms;
        j->tree = j->totals + totals;
        j->input = (fg_array *)(j->tree + tree);
        j->output = j->input + code->inputs;
        describe(j->input, j->batch->input, code->inputs, code->uniform_input, code->uniform_inputs);
        describe(j->output, j->batch->output, outputs, NULL, 0);
    }
    return memory;
}

static void run_uniform(const job *j)
{
    const fg_code *code = j->code;
    fg_uniforms_init(code, j->uniforms);
    if (code->uniform_inputs)
        memcpy(j->uniforms + code->constants, j->batch->uniform_input, code->uniform_inputs * sizeof *j->uniforms);
    fg_run_uniform(code, j->uniforms);
}

/* Without a lane stream all rows are alike. */
static void fill_rows(const job *j)
{
    const fg_code *code = j->code;
    const fg_batch *batch = j->batch;
    for (size_t k = 0; k < code->outputs - code->guards; k++) {
        const double value = j->uniforms[code->uniform_output[k]];
        for (size_t i = 0; i < batch->rows; i++)
            *(double *)(batch->output[k].data + batch->output[k].stride * (ptrdiff_t)i) = value;
    }
    if (batch->left)
        memset(batch->left, !fg_takes_path(code, j->uniforms), batch->rows);
}

/* All that is needed is memory for the uniforms: no description of columns, which may be thousands for a single row. */
static int run_without_lanes(job *j)
{
    j->uniforms = fg_pool_scratch(j->pool, 0, j->code->uniforms * sizeof *j->uniforms + 1);
    if (!j->uniforms)
        return FG_NO_MEMORY;
    run_uniform(j);
    fill_rows(j);
    return FG_OK;
}

static int run(job *j)
{
    const fg_code *code = j->code;
    unsigned threads = threads_for(j);
    size_t rows = j->batch->rows, outputs = code->sums ? 0 : code->outputs - code->guards;
    j->chunk_rows = chunk_rows(j, threads);
    j->chunks = rows / j->chunk_rows + (rows % j->chunk_rows != 0);
    size_t a_round = code->sums ? TOTALS / code->sums + 4 * threads : j->chunks;
    a_round = a_round < j->chunks ? a_round : j->chunks;
    void *memory = workspace(j, a_round, outputs);
    if (!memory)
        return FG_NO_MEMORY;
    j->past_cache = outputs * sizeof(double) > PAST_CACHE / (rows + 1);
    if (j->past_cache)
        j->stage = stage_rows(j->output, outputs, code->lanes, &j->staged);
    run_uniform(j);
    run_rounds(j, threads, a_round);
    free(memory);
    return j->status;
}

int fg_run(const fg_code *code, const fg_batch *batch, struct fg_pool *pool)
{
    const fg_lanes *lanes = fg_lanes_of(batch->isa);
    struct fg_pool *own = NULL;
    if (!lanes)
        return FG_BAD_PROGRAM;
    if (!pool || !fg_pool_enter(pool)) {
        int status = fg_pool_new(1, &own);
        if (status != FG_OK)
            return status;
        fg_pool_enter(pool = own);
    }
    job j = {.code = code, .batch = batch, .lanes = lanes, .pool = pool, .polled = clock()};
    int status = code->lane_size ? run(&j) : run_without_lanes(&j);
    fg_pool_leave(pool);
    fg_pool_free(own);
    return status;
}
