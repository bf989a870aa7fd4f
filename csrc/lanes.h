/* Sums in an order that no machine decides.
 *
 * A sum over a row runs in LANES lanes, the elements of 256 bytes: element i is added to lane i % LANES, in order. In the
 * end the upper half of the lanes is added to the lower half until one is left. A vector of VW lanes holds a part of
 * them, so 4 registers of 16 floats, 8 of 8, 16 of 4 and an array in plain C give the same bits.
 *
 * A lane begins with +0 and rounding to nearest never makes it -0, so a lane that takes no element changes nothing: rows
 * shorter than LANES need not touch the upper ones.
 */
#ifndef PN_LANES_H
#define PN_LANES_H

#include "unroll.h"

enum { LANES = 256 / sizeof(real), LANE_VECS = LANES / VW };

typedef struct lanes {
    vec v[LANE_VECS];
} lanes;

/* Lanes of a vector when n elements are left. */
GEMM_INLINE i64 gemm_lanes(i64 n) { return n > VW ? VW : n; }

/* w lanes of the vector at p; no mask where w is the constant VW. */
static inline vec lanes_load(const real *p, i64 w) { return w == VW ? vload(p) : vloadn(p, w); }
static inline void lanes_store(real *p, vec v, i64 w) {
    if (w == VW) vstore(p, v);
    else vstoren(p, v, w);
}

/* The first w lanes; 0 in the others. */
static inline vec lanes_only(vec v, i64 w) { return w == VW ? v : vfirstn(v, w); }

static inline lanes lanes_zero(void) {
    lanes s;
    GEMM_UNROLL for (int v = 0; v < LANE_VECS; v++) s.v[v] = vset(0);
    return s;
}

/* The sum of the lanes, by halves. */
static inline real lanes_sum(lanes s) {
    GEMM_UNROLL for (int half = LANE_VECS / 2; half > 0; half /= 2)
        GEMM_UNROLL for (int v = 0; v < half; v++) s.v[v] = vadd(s.v[v], s.v[v + half]);
    return vhsum(s.v[0]);
}

/* The body for elements [0, n), vector by vector: elements i to i + w - 1 are those of vector v; w is VW but at the end.
 * LANES_WALK keeps the sums in registers; LANES_WALK_LONG is for bodies too long to be repeated. */
#define LANES_WALK(n, v, i, w, ...) LANES_STEPS(GEMM_UNROLL, n, v, i, w, __VA_ARGS__)
#define LANES_WALK_LONG(n, v, i, w, ...) LANES_STEPS(, n, v, i, w, __VA_ARGS__)
#define LANES_STEPS(UNROLL, n, v, i, w, ...)                                                     \
    do {                                                                                         \
        const i64 n_ = (n);                                                                      \
        i64 i_ = 0;                                                                              \
        for (; i_ + LANES <= n_; i_ += LANES)                                                    \
            UNROLL for (int v = 0; v < LANE_VECS; v++) {                                         \
                const i64 i = i_ + v * VW, w = VW;                                               \
                __VA_ARGS__                                                                      \
            }                                                                                    \
        if (i_ < n_)                                                                             \
            UNROLL for (int v = 0; v < LANE_VECS; v++) {                                         \
                const i64 i = i_ + v * VW, w = n_ - i < VW ? n_ - i : VW;                        \
                if (w <= 0) break;                                                               \
                __VA_ARGS__                                                                      \
            }                                                                                    \
    } while (0)

#endif
