/* The one order in which fastgrad adds many terms: FG_PARTS interleaved partial sums, then a fixed tree. Term i goes to
 * part i % FG_PARTS, so that SIMD lanes and a plain loop give the same bits. */
#ifndef FG_REDUCE_H
#define FG_REDUCE_H

#include <stdint.h>

#define FG_PARTS 8

typedef struct fg_parts {
    double part[FG_PARTS];
} fg_parts;

static inline void fg_parts_add(fg_parts *s, uint32_t i, double term)
{
    s->part[i % FG_PARTS] += term;
}

/* Of eight doubles, or of eight vectors of them. */
#define FG_PARTS_TOTAL(p) ((((p)[0] + (p)[4]) + ((p)[2] + (p)[6])) + (((p)[1] + (p)[5]) + ((p)[3] + (p)[7])))

static inline double fg_parts_total(const fg_parts *s)
{
    return FG_PARTS_TOTAL(s->part);
}

#endif
