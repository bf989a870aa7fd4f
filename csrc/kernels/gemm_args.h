/* The operands of a matrix product (gemm.h), and how it is shared out. */
#ifndef PN_GEMM_ARGS_H
#define PN_GEMM_ARGS_H

#include "../simd.h"

typedef struct pn_gemm_args {
    i64 m, n, k;
    const real *a; /* element (i,p) of op(A) at a[i*ars + p*acs]; one of the strides is 1 */
    i64 ars, acs;
    const real *b; /* element (p,j) of op(B) at b[p*brs + j*bcs]; one of the strides is 1 */
    i64 brs, bcs;
    real *c; /* row-major */
    i64 ldc;
    int accumulate;            /* 0: C = AB and C is never read; 1: C += AB */
    const real *bias;          /* NULL or [n] */
    pn_gemm_done epilogue;     /* NULL or called once for every element, in blocks, while they are in cache */
    void *epilogue_ctx;
    const real *packed; /* NULL, or B from gemm_pack_all */
    int pieces;         /* of the terms, see pn_gemm_call */
    const i64 *cuts;
    char *room; /* see pn_gemm_call */
} pn_gemm_args;

typedef struct gemm_job {
    const pn_gemm_args *g;
    char *scratch;
    i64 part;       /* bytes of scratch of one thread */
    int at, bt;     /* A, B are read against their memory order */
    i64 rows, cols; /* the grid of regions */
} gemm_job;

#endif
