/* Blocking of the matrix product that does not depend on the ISA, and the scratch memory it needs. */
#ifndef PN_GEMM_SCRATCH_H
#define PN_GEMM_SCRATCH_H

#include "pn.h"

enum {
    PN_GEMM_KC = 320,   /* most terms of one block of k: fixes the rounding, so it is the same for every ISA */
    PN_GEMM_NC = 512,   /* columns of one packed block of B; KC * NC floats stay in the 1 MB second-level cache */
    PN_GEMM_MR = 16,    /* no ISA has taller tiles */
    PN_GEMM_CACHED = 524288, /* elements of a B that is worth packing when enough rows of A use it */
    PN_GEMM_DIRECT = 8192, /* a B of at most so many elements is never packed, unless it is transposed */
};

/* Terms per block of k: equal blocks, a multiple of 8, depends on k only. */
static inline i64 pn_gemm_kc(i64 k) {
    if (k <= PN_GEMM_KC) return k;
    i64 blocks = (k + PN_GEMM_KC - 1) / PN_GEMM_KC;
    return ((k + blocks - 1) / blocks + 7) & ~(i64)7;
}

/* Threads worth waking: one per two million floating-point operations. */
static inline int pn_gemm_parts(i64 m, i64 n, i64 k, int nth) {
    double parts = 1e-6 * (double)m * (double)n * (double)k;
    return parts >= nth ? nth : parts < 1 ? 1 : (int)parts;
}

/* Bytes of 64-byte aligned scratch that pn_gemm needs for C[m,n] = op(A)[m,k] op(B)[k,n], an upper bound for all ISAs.
 * ta, tb: whether A, B are read transposed (column stride other than 1). nth: the most threads. */
i64 pn_gemm_scratch_bytes(i64 m, i64 n, i64 k, int ta, int tb, int nth);

/* The part of one thread. */
static inline i64 pn_gemm_scratch_part(i64 n, i64 k, int tb) {
    if (!tb && n * k <= PN_GEMM_DIRECT) return 0;
    i64 cols = n < PN_GEMM_NC ? (n + 63) & ~(i64)63 : PN_GEMM_NC;
    return (i64)sizeof(float) * ((pn_gemm_kc(k) * (cols + PN_GEMM_MR) + 15) & ~(i64)15);
}

#endif
