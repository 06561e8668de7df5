/* A chain over some vectors of lanes: its running sums stay in registers. A template that lanes.h includes several times,
 * with FG_CHAIN the name of the function, FG_CHAIN_EACH(_, ...) what repeats _(k, ...) for each of its vectors, and
 * FG_CHAIN_MODE how products are added (linked.h). */

#define FG_AT_V(place, k) fg_load(lane + (place) + (k) * FG_VECTOR)
#define FG_AT_U(place, k) fg_splat(base[place])
#define FG_DECLARE(k, ...) fg_vector s##k = fg_splat(-0.0); /* to which any x adds as x */
#define FG_STEP1(k, A, formula) { const fg_vector x = FG_AT_##A(t[1], k), s = s##k; s##k = formula; }
#define FG_STEP2(k, A, B, formula) \
    { const fg_vector x = FG_AT_##A(t[1], k), y = FG_AT_##B(t[2], k), s = s##k; s##k = formula; }
#define FG_PUT(k, ...) fg_store(lane + p[1] + (k) * FG_VECTOR, s##k);
#define FG_ONE(kind, formula) \
    case FG_TERM(FG_T_##kind, 0): FG_CHAIN_EACH(FG_STEP1, V, formula) break; \
    case FG_TERM(FG_T_##kind, 1): FG_CHAIN_EACH(FG_STEP1, U, formula) break;
#define FG_TWO(kind, formula) \
    case FG_TERM(FG_T_##kind, 0): FG_CHAIN_EACH(FG_STEP2, V, V, formula) break; \
    case FG_TERM(FG_T_##kind, 1): FG_CHAIN_EACH(FG_STEP2, U, V, formula) break; \
    case FG_TERM(FG_T_##kind, 2): FG_CHAIN_EACH(FG_STEP2, V, U, formula) break;

static inline void FG_CHAIN(const uint32_t *p, double *base, size_t i)
{
    double *lane = base + i;
    FG_CHAIN_EACH(FG_DECLARE, )
    for (const uint32_t *t = p + 3, *end = t + 3 * (size_t)p[2]; t < end; t += 3)
        switch (t[0]) {
            FG_TERMS(FG_ONE, FG_TWO, FG_CHAIN_MODE)
        }
    FG_CHAIN_EACH(FG_PUT, )
}

#undef FG_AT_V
#undef FG_AT_U
#undef FG_DECLARE
#undef FG_STEP1
#undef FG_STEP2
#undef FG_PUT
#undef FG_ONE
#undef FG_TWO
#undef FG_CHAIN
#undef FG_CHAIN_EACH
#undef FG_CHAIN_MODE
