/* What a tile of a convolution is told (see conv_micro.h). */
#ifndef PN_CONV_TILE_H
#define PN_CONV_TILE_H

#include "simd.h"

#if defined(PN_AVX2)
#define CONV_APART 6 /* rows of a tile that lie anywhere: as many as there are registers for their addresses */
#define CONV_MOST 12
#endif

typedef struct conv_tile {
    const real *a;
    i64 step;              /* of A: between rows of the tile (by_term 0) or between terms (by_term 1) */
    i64 n1, n2, len;       /* segments */
    i64 ast1, ast2;        /* steps of A between segments */
    const real *b;
    i64 bst1, bst2;
    real *c;
    i64 ldc;
    i64 cols;              /* columns of C in this panel */
    int add;               /* C += instead of C = */
    const real *bias;
    int relu;
    i64 alo, blo;          /* of pairs: from a plane to the next; 0: one product */
    i64 ldb;               /* of pairs: between terms of B, for tile registers */
#ifdef CONV_APART
    i64 at[CONV_MOST];     /* of A: from the first row to the others, in place of `step` for up to CONV_APART rows */
#endif
} conv_tile;
#endif
