/* Between arrays and slots, eight rows at a time. A column of which the rows lie next to each other is copied; eight
 * columns that lie next to each other are transposed in registers; others are picked up one by one. */
#ifndef FG_TRANSPOSE_H
#define FG_TRANSPOSE_H

#include "block.h"
#include "vector.h"

/* FG_TRANSPOSE(v): the square of vectors v[0] ... v[FG_VECTOR - 1], in place. A swap at distance d exchanges, between two
 * vectors that are d apart, the elements of the first of which the number has bit d with those of the second without.
 * FG_VECTORS(_): _(0) _(1) ..., written out because only arrays that are indexed by constants live in registers. */
#if defined(__clang__)
#define FG_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#elif FG_VECTOR > 1
typedef long long fg_places __attribute__((vector_size(FG_VECTOR * 8)));
#define FG_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (fg_places){__VA_ARGS__})
#endif

#define FG_SWAP(d, a, b) { const fg_vector t = FG_LOW##d(a, b); b = FG_HIGH##d(a, b); a = t; }

#if FG_VECTOR == 8
#define FG_LOW1(a, b) FG_SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define FG_HIGH1(a, b) FG_SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define FG_LOW2(a, b) FG_SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define FG_HIGH2(a, b) FG_SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define FG_LOW4(a, b) FG_SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define FG_HIGH4(a, b) FG_SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
#define FG_TRANSPOSE(v) \
    FG_SWAP(1, v[0], v[1]) FG_SWAP(1, v[2], v[3]) FG_SWAP(1, v[4], v[5]) FG_SWAP(1, v[6], v[7]) \
    FG_SWAP(2, v[0], v[2]) FG_SWAP(2, v[1], v[3]) FG_SWAP(2, v[4], v[6]) FG_SWAP(2, v[5], v[7]) \
    FG_SWAP(4, v[0], v[4]) FG_SWAP(4, v[1], v[5]) FG_SWAP(4, v[2], v[6]) FG_SWAP(4, v[3], v[7])
#define FG_VECTORS(_) _(0) _(1) _(2) _(3) _(4) _(5) _(6) _(7)
#elif FG_VECTOR == 4
#define FG_LOW1(a, b) FG_SHUFFLE(a, b, 0, 4, 2, 6)
#define FG_HIGH1(a, b) FG_SHUFFLE(a, b, 1, 5, 3, 7)
#define FG_LOW2(a, b) FG_SHUFFLE(a, b, 0, 1, 4, 5)
#define FG_HIGH2(a, b) FG_SHUFFLE(a, b, 2, 3, 6, 7)
#define FG_TRANSPOSE(v) FG_SWAP(1, v[0], v[1]) FG_SWAP(1, v[2], v[3]) FG_SWAP(2, v[0], v[2]) FG_SWAP(2, v[1], v[3])
#define FG_VECTORS(_) _(0) _(1) _(2) _(3)
#elif FG_VECTOR == 2
#define FG_LOW1(a, b) FG_SHUFFLE(a, b, 0, 2)
#define FG_HIGH1(a, b) FG_SHUFFLE(a, b, 1, 3)
#define FG_TRANSPOSE(v) FG_SWAP(1, v[0], v[1])
#define FG_VECTORS(_) _(0) _(1)
#else
#define FG_TRANSPOSE(v)
#define FG_VECTORS(_) _(0)
#endif

/* Eight rows of eight doubles, `stride` bytes apart, into eight slots, from `lane` on. */
static inline void fg_rows_to_slots(const char *row, ptrdiff_t stride, double *base, const uint32_t *slot, size_t lane)
{
    for (int i = 0; i < 8; i += FG_VECTOR)
        for (int j = 0; j < 8; j += FG_VECTOR) {
            fg_vector v[FG_VECTOR];
#define FG_FROM(k) v[k] = fg_load((const double *)(row + (i + (k)) * stride) + j);
#define FG_TO(k) fg_store(base + slot[j + (k)] + lane + i, v[k]);
            FG_VECTORS(FG_FROM)
            FG_TRANSPOSE(v)
            FG_VECTORS(FG_TO)
#undef FG_FROM
#undef FG_TO
        }
}

/* Eight slots, or single doubles that stand for all lanes (step 0), to eight rows. */
static inline void fg_slots_to_rows(char *row, ptrdiff_t stride, const double *const *slot, const size_t *step, size_t lane)
{
    for (int i = 0; i < 8; i += FG_VECTOR)
        for (int j = 0; j < 8; j += FG_VECTOR) {
            fg_vector v[FG_VECTOR];
#define FG_FROM(k) v[k] = fg_load(slot[j + (k)] + (lane + i) * step[j + (k)]);
#define FG_TO(k) fg_store((double *)(row + (i + (k)) * stride) + j, v[k]);
            FG_VECTORS(FG_FROM)
            FG_TRANSPOSE(v)
            FG_VECTORS(FG_TO)
#undef FG_FROM
#undef FG_TO
        }
}

static inline void load_column(const fg_block *b, const fg_array *from, double *z)
{
    const char *data = from->data + from->stride * (ptrdiff_t)b->row;
    if (from->stride == sizeof(double)) {
        memcpy(z, data, b->rows * sizeof *z);
        return;
    }
    for (size_t i = 0; i < b->rows; i++)
        z[i] = *(const double *)(data + from->stride * (ptrdiff_t)i);
}

/* The lanes behind the rows. */
static inline void pad(const fg_block *b, double *z)
{
    for (size_t i = b->rows; i < b->lanes; i++)
        z[i] = z[b->rows - 1];
}

/* Eight or more neighbours; where their number is no multiple of eight, the last eight overlap those before. */
static inline void load_neighbours(const fg_block *b, const fg_array *from, const uint32_t *slot, uint32_t n)
{
    const char *data = from->data + from->stride * (ptrdiff_t)b->row;
    for (uint32_t j = 0; j < n; j += 8) {
        uint32_t first = j + 8 <= n ? j : n - 8;
        size_t i = 0;
        for (; i + 8 <= b->rows; i += 8)
            fg_rows_to_slots(data + from->stride * (ptrdiff_t)i + 8 * first, from->stride, b->base, slot + first, i);
        for (; i < b->rows; i++)
            for (uint32_t k = first; k < first + 8; k++)
                b->base[slot[k] + i] = ((const double *)(data + from->stride * (ptrdiff_t)i))[k];
    }
}

/* LOAD: p is the instruction. */
static FG_NOINLINE void load_columns(const fg_block *b, const uint32_t *p)
{
    const fg_array *from = b->input + p[1];
    uint32_t n = p[2], done;
    const uint32_t *slot = p + 3;
    for (uint32_t j = 0; j < n; j += done) {
        done = from[j].run < n - j ? from[j].run : n - j;
        if (done >= 8)
            load_neighbours(b, from + j, slot + j, done);
        else
            load_column(b, from + j, b->base + slot[j]), done = 1;
    }
    if (b->rows < b->lanes)
        for (uint32_t j = 0; j < n; j++)
            pad(b, b->base + slot[j]);
}

/* A copy past the cache, but for what does not fill a vector at either end. */
static inline void copy_past_cache(double *z, const double *x, size_t n)
{
    size_t i = 0, head = ((size_t)-(ptrdiff_t)((uintptr_t)z / sizeof *z)) % FG_VECTOR;
    for (; i < head && i < n; i++)
        z[i] = x[i];
    for (; i + FG_VECTOR <= n; i += FG_VECTOR)
        fg_stream(z + i, fg_load(x + i));
    for (; i < n; i++)
        z[i] = x[i];
}

/* Sends lines of the stage before past the cache, as many as there are in a square. Such stores wait for the memory and
 * transposing waits for the shuffles: taking turns, they wait at the same time. */
static inline void drain(const fg_block *b)
{
    fg_drain *d = *b->drain;
    size_t lines = d->lines < 8 ? d->lines : 8;
    for (size_t i = 0; i < 8 * lines; i += FG_VECTOR)
        fg_stream(d->to + i, fg_load(d->from + i));
    d->to += 8 * lines;
    d->from += 8 * lines;
    d->lines -= lines;
    if (lines && !d->lines)
        ++*b->drain;
}

static inline char *first_row(const fg_block *b, const fg_array *to)
{
    return to->stage == FG_DIRECT ? to->data + to->stride * (ptrdiff_t)b->row : b->stage + to->stage;
}

static inline void store_column(const fg_block *b, const fg_array *to, uint32_t place)
{
    const double *x = b->base + place;
    size_t step = place >= b->first_slot;
    char *data = first_row(b, to);
    if (step == 0 || to->stride != sizeof(double))
        for (size_t i = 0; i < b->rows; i++)
            *(double *)(data + to->stride * (ptrdiff_t)i) = x[i * step];
    else if (b->past_cache)
        copy_past_cache((double *)data, x, b->rows);
    else
        memcpy(data, x, b->rows * sizeof *x);
}

static inline void store_eight(const fg_block *b, const fg_array *to, const uint32_t *place)
{
    char *data = first_row(b, to);
    const double *x[8];
    double repeated[8][FG_VECTOR];
    size_t step[8], i = 0;
    for (int k = 0; k < 8; k++) {
        x[k] = b->base + place[k];
        step[k] = place[k] >= b->first_slot;
        if (step[k] == 0) {
            fg_store(repeated[k], fg_splat(*x[k]));
            x[k] = repeated[k];
        }
    }
    for (; i + 8 <= b->rows; i += 8) {
        fg_slots_to_rows(data + to->stride * (ptrdiff_t)i, to->stride, x, step, i);
        if (b->drain)
            drain(b);
    }
    for (; i < b->rows; i++)
        for (int k = 0; k < 8; k++)
            ((double *)(data + to->stride * (ptrdiff_t)i))[k] = x[k][i * step[k]];
}

/* STORE: p is the instruction. */
static FG_NOINLINE void store_columns(const fg_block *b, const uint32_t *p)
{
    const fg_array *to = b->output + p[1];
    const uint32_t *place = p + 3;
    for (uint32_t j = 0, n = p[2], done; j < n; j += done) {
        done = to[j].run < n - j ? to[j].run : n - j;
        if (done >= 8)
            for (uint32_t k = 0; k < done; k += 8) {
                uint32_t first = k + 8 <= done ? j + k : j + done - 8;
                store_eight(b, to + first, place + first);
            }
        else
            store_column(b, to + j, place[j]), done = 1;
    }
}

#endif
