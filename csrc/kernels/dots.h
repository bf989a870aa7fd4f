/* Matrix times vector where the rows of the matrix are contiguous: each element of the result sums a row in LANES lanes
 * (lanes.h), on every machine alike.
 */
#ifndef PN_DOTS_H
#define PN_DOTS_H

#include "lanes.h"
#include "unroll.h"

enum { DOTS_ROWS = LANE_VECS <= 4 ? 4 : 1 }; /* at once: their sums stay in registers */

/* y[i * ys] = (add ? y : 0) + a[i * lda + :k] . x[:k] + (bias ? bias[i * bs] : 0) for R rows. */
GEMM_INLINE void dots_rows(real *y, i64 ys, const real *a, i64 lda, const real *x, i64 k, int add, const real *bias,
                           i64 bs, const int R) {
    lanes acc[DOTS_ROWS];
    GEMM_UNROLL for (int i = 0; i < R; i++) acc[i] = lanes_zero();
    LANES_WALK(k, v, p, w, {
        const vec xv = lanes_load(x + p, w);
        GEMM_UNROLL for (int i = 0; i < R; i++) acc[i].v[v] = vfma(lanes_load(a + i * lda + p, w), xv, acc[i].v[v]);
    });
    GEMM_UNROLL for (int i = 0; i < R; i++) {
        real sum = lanes_sum(acc[i]);
        if (add) sum = y[i * ys] + sum;
        if (bias) sum += bias[i * bs];
        y[i * ys] = sum;
    }
}

/* The same for m rows. */
static void dots(real *y, i64 ys, const real *a, i64 lda, const real *x, i64 m, i64 k, int add, const real *bias, i64 bs) {
    i64 i = 0;
    for (; i + DOTS_ROWS <= m; i += DOTS_ROWS)
        dots_rows(y + i * ys, ys, a + i * lda, lda, x, k, add, bias ? bias + i * bs : NULL, bs, DOTS_ROWS);
    for (; i < m; i++) dots_rows(y + i * ys, ys, a + i * lda, lda, x, k, add, bias ? bias + i * bs : NULL, bs, 1);
}

#endif
