/* Rows of pixels of a convolution (see conv.h), whichever kind of tile computes them. */
#ifndef PN_CONV_ROWS_H
#define PN_CONV_ROWS_H

#include "../conv_plan.h"
#include "simd.h"

/* Rows of pixels that share one packed matrix: C[row][pixel][:] = patches[row][pixel][:] B + bias. */
typedef struct conv_rows {
    const real *a;
    i64 rows, pixels;
    i64 packed_for;             /* pixels that the widths of B's panels were chosen for */
    i64 arow, astep;            /* from row to row, from pixel to pixel */
    i64 n1, n2, len, ast1, ast2; /* terms of a patch */
    i64 y0, yrow, ystep, ylimit; /* segment s1 of a row lies at y0 + row yrow + s1 ystep; outside [0, ylimit) it is 0 */
    const real *b;
    i64 n;                      /* columns */
    real *c;
    i64 crow, cstep;
    const real *bias;
    int act;
    real p;
    i64 alo, blo; /* of pairs: from a plane to the next */
} conv_rows;

#ifdef PN_PAIRS
/* The same rows over pairs of channels, which lie at a. */
static void conv_rows_pair(conv_rows *g, const real *a, i64 alo, i64 blo) {
    g->a = a;
    g->arow /= 2, g->astep /= 2, g->ast1 /= 2, g->ast2 /= 2, g->len /= 2;
    g->alo = alo;
    g->blo = blo;
}
#endif

/* The segments of a row that are inside the image. */
static inline void conv_inside(const conv_rows *g, i64 row, i64 *first, i64 *last) {
    const i64 y = g->y0 + row * g->yrow, step = g->ystep > 0 ? g->ystep : 1;
    *first = pn_conv_max(0, pn_conv_min(g->n1, pn_conv_ceil(-y, step)));
    *last = pn_conv_max(*first, pn_conv_min(g->n1, pn_conv_ceil(g->ylimit - y, step)));
}

/* Where the next tile begins: a pixel of a row, and how far it lies from the first at a. */
typedef struct conv_walk {
    const real *a;
    i64 pixel, at;
} conv_walk;
#endif
