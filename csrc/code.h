/* Code: a program made ready to run: scheduled, fused, with slots in place of nodes. One evaluator runs it over lanes of
 * rows, another one on single numbers.
 *
 * Code has two streams of instructions. The uniform stream computes, once a call, what depends on no batched input; it
 * works on doubles, in `uniforms`. The lane stream works on slots of `lanes` doubles, one a row. Where every input is
 * uniform the lane stream is empty: that is a call with a single row.
 *
 * An operand is a slot; or with FG_UNIFORM set, in the lane stream, the place of a double in `uniforms`, whose first
 * places hold the constants and then the uniform inputs. Which kernels take uniform operands is said at each opcode.
 */
#ifndef FG_CODE_H
#define FG_CODE_H

#include "program.h"

#define FG_UNIFORM (1u << 31)
#define FG_CHUNK 1024   /* rows; sums over rows are made chunk by chunk: see fg_batch.sum */
#define FG_MAX_LANES 256 /* divides FG_CHUNK */

/* Instructions besides the rows of ops.def, which have their own opcodes. z = target, a b c = operands. */
enum fg_code_op {
    FG_I_LOAD = FG_OP_COUNT, /* z.. = batched inputs: b of them, numbers in pool from a on, into the slots that
                                stand in pool behind them                                                     */
    FG_I_STORE,     /* batched outputs: b of them, numbers in pool from a on; then their slots (or uniforms)  */
    FG_I_SUM,       /* sum number z (over rows) += a                                                          */
    FG_I_SUM_MUL,   /* sum number z (over rows) += a * b; a, b may be uniform, not both                       */
    FG_I_SUM_ZMUL,  /* sum number z (over rows) += zmul(a, b); the same                                       */
    FG_I_SPLAT,     /* z = a, a uniform: for instructions that take no uniform operands                       */
    FG_I_GUARD,     /* rows where (a != 0) != c leave the path: guard number b                                */
    FG_I_MUL_ADD,   /* z = a * b + c                                                                          */
    FG_I_MUL_SUB,   /* z = a * b - c                                                                          */
    FG_I_SUB_MUL,   /* z = c - a * b                                                                          */
    FG_I_CHAIN,     /* z = a running sum over b terms of pool from a on, c: see fg_term                       */
    FG_I_COUNT
};

#define FG_I_ZMUL FG_OP_zmul /* a row like others: an adjoint a of 0 passes on 0, whatever the partial b */

/* A term of a chain: three pool entries: kind, x, y (y as x where the kind has none). The first term starts the sum: it is
 * one of the first four, or FG_T_ZMUL_ADD, and stands for x, -x, x * y, -(x * y), zmul(x, y). Terms are done in order, each
 * operation rounded (but under fastmath). x and y may be uniform, of a product not both. */
enum fg_term {
    FG_T_ADD,      /* s + x     */
    FG_T_SUB,      /* s - x     */
    FG_T_MUL_ADD,  /* s + x * y */
    FG_T_MUL_SUB,  /* s - x * y */
    FG_T_RSUB,     /* x - s     */
    FG_T_MUL,      /* s * x     */
    FG_T_MUL_RSUB, /* x * y - s */
    FG_T_ZMUL,     /* zmul(s, x) */
    FG_T_ZMUL_ADD, /* s + zmul(x, y) */
    FG_T_RZMUL,    /* zmul(x, s) */
    FG_T_COUNT
};

typedef struct fg_instr {
    uint16_t op;
    uint16_t form; /* bit 0, 1, 2: a, b, c is uniform */
    uint32_t z, a, b, c;
    uint32_t node; /* the program's node, for listings and errors */
} fg_instr;

typedef struct fg_code {
    fg_instr *uniform, *lane;
    uint32_t uniform_size, lane_size;
    uint32_t *pool;
    uint32_t pool_size;
    double *constant; /* the head of uniforms */
    uint32_t constants;
    uint32_t uniform_inputs; /* they follow the constants, in the order of the program's uniform inputs */
    uint32_t *uniform_input; /* their input numbers */
    uint32_t uniforms;       /* how many places in all */
    uint32_t *uniform_output; /* for each output, its place in uniforms, or FG_NO_PLACE where it is batched */
    uint32_t inputs, outputs, sums, guards;
    uint8_t *expected; /* for each guard, what it was when recorded */
    uint32_t slots, lanes;
    int fastmath;
    struct fg_linked *linked; /* by fg_link */
} fg_code;

#define FG_NO_PLACE UINT32_MAX

typedef struct fg_code_options {
    int passes;            /* FG_HOIST, FG_SCHEDULE, FG_FUSE */
    int fastmath;
    const uint8_t *batched; /* for each input: whether it varies from row to row */
    uint32_t guards;        /* the last so many outputs are guards ...            */
    const uint8_t *expected; /* ... and this is what each was when recorded         */
    int sum;               /* outputs (but guards) are summed over rows instead of stored */
    uint32_t lanes;        /* 0: chosen by the working set                          */
} fg_code_options;

int fg_compile(const fg_program *p, const fg_code_options *options, fg_code *code);
void fg_code_free(fg_code *code);
int fg_code_verify(const fg_code *code);

/* The streams once more in the form in which they run (linked.h): the last step of fg_compile, undone by fg_code_free. */
int fg_link(fg_code *code);
void fg_unlink(fg_code *code);

/* One call. Inputs and outputs are by number, as in the program; a batched one is a pointer to row 0 and the distance in
 * bytes from row to row (any sign; 8-byte values, aligned). Neighbours that lie 8 bytes apart are transposed together. */
typedef struct fg_column {
    char *data;
    ptrdiff_t stride;
} fg_column;

typedef struct fg_batch {
    size_t rows;
    const fg_column *input;
    const fg_column *output; /* uniform outputs are written to every row */
    const double *uniform_input;
    uint8_t *left;  /* for each row, whether a guard failed; NULL where there are no guards. Sums pass over such rows */
    double *sum;    /* results of FG_I_SUM: a chunk's total is by reduce.h; chunks are added as a binary tree, see run.c */
    int (*poll)(void *); /* called from the calling thread now and then; not 0: stop, FG_STOPPED */
    void *poll_argument;
    unsigned isa; /* 0: the best instruction set of this machine; 1, 2 ...: those after it, for tests */
} fg_batch;

/* Runs the uniform stream once and the lane stream over all rows. The pool brings threads, and scratch memory that is
 * kept between calls; a call that finds it in use runs alone, and NULL is one thread without anything kept. */
struct fg_pool;
int fg_run(const fg_code *code, const fg_batch *batch, struct fg_pool *threads);

/* The single-row path: uniforms is scratch of code->uniforms doubles that fg_uniforms_init has filled once. */
void fg_uniforms_init(const fg_code *code, double *uniforms);
void fg_run_uniform(const fg_code *code, double *uniforms);

/* Where all guards are uniform, whether they came out as expected. */
int fg_takes_path(const fg_code *code, const double *uniforms);

/* Threads, the caller's counted. They start when they are first needed. */
int fg_pool_new(unsigned threads, struct fg_pool **pool);
void fg_pool_free(struct fg_pool *pool);

/* The instruction sets of this machine, best first: "avx512", "avx2", "baseline", "neon"; NULL behind the last. */
const char *fg_isa(unsigned number);

#endif
