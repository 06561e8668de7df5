/* Sums over the rows of a block: of values and of products, into eight parts each, or where the block is a whole chunk
 * into totals. Included by lanes.h. */
static inline double lane_of(const fg_block *b, uint32_t place, size_t i)
{
    return b->base[place + (place < b->first_slot ? 0 : i)];
}

/* What is summed: x, x * y or zmul(x, y). */
enum summed { ITSELF, MUL, ZMUL };

static FG_INLINE fg_vector product(fg_vector x, fg_vector y, enum summed of)
{
    return of == MUL ? x * y : fg_vector_zmul(x, y);
}

static FG_INLINE double term(const fg_block *b, const uint32_t *x, enum summed of, size_t i)
{
    double z = lane_of(b, x[0], i);
    return of == ITSELF ? z : of == MUL ? z * lane_of(b, x[1], i) : fg_zmul_forward(z, lane_of(b, x[1], i));
}

/* SUM, SUM_MUL and SUM_ZMUL: p is the instruction, `any_left` whether a guard failed in this block. */
static FG_INLINE void add_rows(const fg_block *b, const uint32_t *p, enum summed of, int any_left)
{
    _Alignas(64) double fresh[FG_PARTS] = {0.0};
    double *part = b->totals ? fresh : b->parts + FG_PARTS * (size_t)p[1];
    const uint32_t *x = p + 2;
    size_t whole = any_left ? 0 : b->rows & ~(size_t)7;
    for (size_t k = 0; k < FG_PARTS; k += FG_VECTOR) {
        fg_vector s = fg_load(part + k);
        for (size_t i = k; i < whole; i += FG_PARTS)
            s += of == ITSELF ? operand(b, x[0], i) : product(operand(b, x[0], i), operand(b, x[1], i), of);
        fg_store(part + k, s);
    }
    for (size_t i = whole; i < b->rows; i++)
        part[i % FG_PARTS] += b->left && b->left[i] ? 0.0 : term(b, x, of, i);
    if (b->totals)
        b->totals[p[1]] = FG_PARTS_TOTAL(part);
}

static FG_NOINLINE void sum_rows(const fg_block *b, const uint32_t *p, int any_left)
{
    add_rows(b, p, ITSELF, any_left);
}

static FG_NOINLINE void sum_mul_rows(const fg_block *b, const uint32_t *p, int any_left)
{
    add_rows(b, p, MUL, any_left);
}

static FG_NOINLINE void sum_zmul_rows(const fg_block *b, const uint32_t *p, int any_left)
{
    add_rows(b, p, ZMUL, any_left);
}

/* The eight vectors of the parts of as many sums as those hold: vector m is of sum m / FG_SPAN. */
#define FG_SPAN (FG_PARTS / FG_VECTOR)
#define FG_SUMS FG_VECTOR
#define FG_PART_AT(m) (parts_of(b, fresh, pair, m / FG_SPAN) + m % FG_SPAN * FG_VECTOR)
#define FG_BEGIN_SUM(m, ...) \
    s[m] = b->totals ? fg_splat(0.0) : fg_load(FG_PART_AT(m)); \
    y[m] = b->base + pair[2 * (m / FG_SPAN) + 1] + m % FG_SPAN * FG_VECTOR;
#define FG_ADD_PRODUCT(m, of) s[m] += product(fg_load(x + i + m % FG_SPAN * FG_VECTOR), fg_load(y[m] + i), of);
#define FG_END_SUM(m, ...) fg_store(FG_PART_AT(m), s[m]);

static FG_INLINE double *parts_of(const fg_block *b, fg_parts *fresh, const uint32_t *pair, size_t j)
{
    return b->totals ? fresh[j].part : b->parts + FG_PARTS * (size_t)pair[2 * j];
}

/* Sums of products with x: `pair` holds the number of the first and the place of its y, and so on. */
static FG_INLINE void add_products(const fg_block *b, const double *x, const uint32_t *pair, enum summed of)
{
    fg_parts fresh[FG_SUMS];
    fg_vector s[FG_PARTS];
    const double *y[FG_PARTS];
    const size_t whole = b->rows & ~(size_t)7;
    FG_EACH8(FG_BEGIN_SUM, )
    for (size_t i = 0; i < whole; i += FG_PARTS) {
        FG_EACH8(FG_ADD_PRODUCT, of)
    }
    FG_EACH8(FG_END_SUM, )
    for (size_t j = 0; j < FG_SUMS; j++) {
        double *part = parts_of(b, fresh, pair, j);
        const double *z = b->base + pair[2 * j + 1];
        for (size_t i = whole; i < b->rows; i++)
            part[i % FG_PARTS] += of == MUL ? x[i] * z[i] : fg_zmul_forward(x[i], z[i]);
        if (b->totals)
            b->totals[pair[2 * j]] = FG_PARTS_TOTAL(part);
    }
}

/* SUMS_MUL and SUMS_ZMUL. */
static FG_INLINE void sum_all_products(const fg_block *b, const uint32_t *p, enum summed of, int any_left)
{
    const uint32_t n = p[2], *pair = p + 3;
    uint32_t k = 0;
    for (; !any_left && k + FG_SUMS <= n; k += FG_SUMS)
        add_products(b, b->base + p[1], pair + 2 * k, of);
    for (; k < n; k++)
        add_rows(b, (const uint32_t[]){0, pair[2 * k], p[1], pair[2 * k + 1]}, of, any_left);
}

static FG_NOINLINE void sums_mul(const fg_block *b, const uint32_t *p, int any_left)
{
    sum_all_products(b, p, MUL, any_left);
}

static FG_NOINLINE void sums_zmul(const fg_block *b, const uint32_t *p, int any_left)
{
    sum_all_products(b, p, ZMUL, any_left);
}
