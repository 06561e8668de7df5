/* A block of rows: what one run through the lane stream works on. Between run.c, which cuts the batch into blocks, and
 * the lanes_*.c, which run one, each for its instruction set. */
#ifndef FG_BLOCK_H
#define FG_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#define FG_DIRECT SIZE_MAX

/* A batched input or output. `run`: how many columns from this one on lie next to each other in memory, row by row: they
 * are transposed together. `stage`: an output that is assembled in fg_block.stage first: where there its column begins,
 * in bytes; else FG_DIRECT. */
typedef struct fg_array {
    char *data;
    ptrdiff_t stride;
    uint32_t run;
    size_t stage;
} fg_array;

/* So many lines of a stage have yet to go past the cache. */
typedef struct fg_drain {
    double *to;
    const double *from;
    size_t lines;
} fg_drain;

typedef struct fg_block {
    const uint32_t *words; /* linked.h */
    double *base;
    uint32_t first_slot;
    size_t row, rows; /* the first, and how many */
    size_t lanes;     /* rows, rounded up to a multiple of eight; the lanes behind the rows repeat the last row */
    const fg_array *input, *output;
    char *stage;
    fg_drain **drain; /* the one at work of those of the block before; the last has no lines */
    int past_cache; /* outputs are so large that they had better not go through the cache */
    double *parts;  /* eight for each sum, reduce.h; the block's first row belongs to part 0 */
    double *totals; /* one for each sum, where the block is a whole chunk: it needs no parts; else NULL */
    uint8_t *left;  /* for each lane, whether a guard failed; NULL where there are no guards */
} fg_block;

typedef struct fg_lanes {
    const char *name;
    void (*run)(const fg_block *block);
    void (*copy_past_cache)(void *to, const void *from, size_t bytes); /* whole doubles */
    void (*end_stream)(void); /* after stores past the cache, before another thread may read them */
} fg_lanes;

/* The instruction sets that this build has; fg_isa says which of them the machine has. */
extern const fg_lanes fg_lanes_baseline;
#if defined(__GNUC__) && defined(__x86_64__)
#define FG_X86_LANES 1
extern const fg_lanes fg_lanes_avx2, fg_lanes_avx512;
#endif

/* Those that the machine has, best first; NULL behind the last. */
const fg_lanes *fg_lanes_of(unsigned number);

#endif
