/* Blocking of the matrix product that does not depend on the ISA, and the scratch memory it needs. */
#ifndef PN_GEMM_SCRATCH_H
#define PN_GEMM_SCRATCH_H

#include "pn.h"

enum {
    PN_GEMM_KC = 320,     /* most terms of one block of k: fixes the rounding, so it is the same for every ISA */
    PN_GEMM_NC = 512,     /* columns of one block of B; KC * NC floats stay in a second-level cache of 1 MB */
    PN_GEMM_MR = 16,      /* no tile is taller */
    PN_GEMM_WIDE = 256,   /* columns of C from which a strip of A, or B although it is row-major, may be packed, ... */
    PN_GEMM_BIG = 524288, /* elements of a B of fewer columns that may be packed, ... */
    PN_GEMM_TALL = 48,    /* ... and rows of C that either takes at least */
    /* A panel of B as it lies is a line from each of many pages: no prefetching follows it, and it is read again for
     * every strip of A. Packed by long rows first, B is read once, at the speed of memory. */
    PN_GEMM_LARGE = 1 << 18, /* elements of a B that is worth it for four strips, twice as many for two whose rows fall into few sets, */
    PN_GEMM_PAST = 7 << 16,   /* ... (or so many, where there is AVX-512), */
    PN_GEMM_LARGER = 3 << 19, /* ... for any two strips, */
    PN_GEMM_HUGE = 3 << 20,   /* ... and for this many rows of C, if their panels are narrow: */
    PN_GEMM_FEW = 3,
    PN_GEMM_APART = 512, /* elements between terms of a transposed A from which a strip of it is packed */
    PN_GEMM_MANY = 192,  /* rows of A that are packed together, KC terms of each, in a second-level cache of 512 KB, ... */
    PN_GEMM_LONG = 1024, /* ... beside a block of B of so many columns, which streams */
    PN_GEMM_ROOM = 32 * 1024 * 4, /* bytes of the tallest strip of C */
};

/* Terms per block of k: equal blocks, a multiple of 8. */
static inline i64 pn_gemm_kc(i64 k) {
    if (k <= PN_GEMM_KC) return k;
    i64 blocks = (k + PN_GEMM_KC - 1) / PN_GEMM_KC;
    return ((k + blocks - 1) / blocks + 7) & ~(i64)7;
}

/* Threads worth waking: one per 2.5 million floating-point operations. */
static inline int pn_gemm_parts(i64 m, i64 n, i64 k, int nth) {
    double parts = 8e-7 * (double)m * (double)n * (double)k;
    return parts >= nth ? nth : parts < 1 ? 1 : (int)parts;
}

/* Elements of a packed block of B when C has n columns. */
static inline i64 pn_gemm_block(i64 n, i64 k) {
    return pn_gemm_kc(k) * (n < PN_GEMM_NC ? (n + 63) & ~(i64)63 : PN_GEMM_NC);
}

/* Whether a product is large in all respects, and elements of its packed strips of A: see gemm_region_large. */
static inline int pn_gemm_large(i64 m, i64 n, i64 k) { return m >= 2 * PN_GEMM_MANY && n >= PN_GEMM_LONG / 2 && k >= 64; }
static inline i64 pn_gemm_strips(i64 kc) { return (PN_GEMM_MANY + PN_GEMM_MR) * kc + PN_GEMM_MANY * PN_GEMM_MR; }

/* Elements for one thread: a block of B and a strip of A, where they may be packed. */
static inline i64 pn_gemm_scratch_part(i64 m, i64 n, i64 k, int tb) {
    i64 size = 0;
    if (!tb && pn_gemm_large(m, n, k))
        return pn_gemm_strips(pn_gemm_kc(k)) + pn_gemm_kc(k) * (n < PN_GEMM_LONG ? (n + 63) & ~(i64)63 : PN_GEMM_LONG);
    if (tb || (m > PN_GEMM_TALL && (n >= PN_GEMM_WIDE || n * k > PN_GEMM_BIG)) || (m >= PN_GEMM_FEW && n * k >= PN_GEMM_LARGE)) size += pn_gemm_block(n, k);
    if (n >= PN_GEMM_WIDE) size += pn_gemm_kc(k) * PN_GEMM_MR;
    return size;
}

/* Columns of a block of B whose terms are cut into pieces, as all of them are in it: as many as leave its size. */
static inline i64 pn_gemm_pieces_nc(i64 k) {
    const i64 columns = k < PN_GEMM_KC ? PN_GEMM_NC : PN_GEMM_KC * PN_GEMM_NC / k & ~(i64)63;
    return columns < 64 ? 64 : columns;
}

/* Elements for one thread of such a product. */
static inline i64 pn_gemm_pieces_part(i64 n, i64 k) {
    const i64 most = pn_gemm_pieces_nc(k), wide = (n + 63) & ~(i64)63;
    return k * ((wide < most ? wide : most) + PN_GEMM_MR);
}

/* Operands as pairs of bfloat16 (kernels/pairs_gemm.h): a block of B is KC x NC, the strips of A beside it KC x MC. */
enum {
    PN_PAIRS_KC = 768,  /* most terms of a block for dot products of vectors, whose strip stays in a first-level cache, ... */
    PN_AMX_KC = 1024,   /* ... and for tile registers, which read the second level fast enough */
    PN_PAIRS_MR = 32,   /* no tile is taller */
    PN_PAIRS_STEP = 512,
    PN_PAIRS_BLOCK = 1 << 17, /* lanes of B, half a second-level cache of 1 MB, ... */
    PN_PAIRS_CHUNK = 1 << 18, /* ... and of A */
};

/* Terms per block of k, at most `most`: equal blocks, a multiple of 32. */
static inline i64 pn_pairs_kc(i64 k, i64 most) {
    const i64 blocks = (k + most - 1) / most;
    return ((k + blocks - 1) / blocks + 31) & ~(i64)31;
}

/* Columns of one block of B, rows of A that are packed once for all blocks: as many as fit, with all their planes. */
static inline i64 pn_pairs_nc(i64 kc, int planes) {
    const i64 columns = PN_PAIRS_BLOCK / (kc / 2 * planes) & ~(i64)63;
    return columns < 256 ? 256 : columns > 1024 ? 1024 : columns;
}
static inline i64 pn_pairs_mc(i64 kc, int planes) {
    const i64 rows = PN_PAIRS_CHUNK / (kc / 2 * planes) & ~(i64)63;
    return rows > 2048 ? 2048 : rows;
}

/* Smaller products are not worth the packing. */
static inline int pn_pairs_worth(i64 m, i64 n, i64 k) { return m >= 16 && n >= 16 && k >= 32; }

/* Elements for one thread: a block of B, and strips of A, none taller than they are spaced apart. */
static inline i64 pn_pairs_strips(i64 m, i64 kc, int planes) {
    const i64 rows = pn_pairs_mc(kc, planes);
    return kc / 2 * planes * ((m < rows ? m : rows) + PN_PAIRS_MR);
}
static inline i64 pn_pairs_scratch_part(i64 m, i64 k, int planes) {
    i64 most = 0;
    for (int amx = 0; amx < 2; amx++) {
        const i64 kc = pn_pairs_kc(k, amx ? PN_AMX_KC : PN_PAIRS_KC);
        const i64 size = kc / 2 * planes * pn_pairs_nc(kc, planes) + pn_pairs_strips(m, kc, planes);
        most = most > size ? most : size;
    }
    return most;
}

/* Bytes of 64-byte aligned scratch that pn_gemm needs for C[m,n] = op(A)[m,k] op(B)[k,n], an upper bound for all ISAs.
 * ta, tb: whether A, B are read transposed (column stride other than 1). itemsize: bytes of an element. nth: the most threads. */
i64 pn_gemm_scratch_bytes(i64 m, i64 n, i64 k, int ta, int tb, i64 itemsize, int nth);

/* The same of terms that are cut into pieces. */
i64 pn_gemm_pieces_bytes(i64 m, i64 n, i64 k, i64 itemsize, int nth);

#endif
