/* Micro-kernels and packing of the matrix product (see gemm.h). Vector ISAs only.
 *
 * A tile is MR rows x NV vectors of C held in registers over a whole block of k. B is read by vectors, A by
 * broadcasts, so A may lie in either order: row-major (`step` between rows) or transposed / packed (`step` between
 * terms). The last vector of a row is masked. MR and NV are constants of the instances below.
 */
#include "../lanes.h"
#include "../unroll.h"

typedef struct gemm_tile {
    i64 k;
    const real *a;
    i64 step; /* of A: between rows (row-major) or between terms (transposed, packed) */
    const real *b;
    i64 ldb;
    i64 far; /* of a tile of four vectors: how much further the last two lie than beside the others */
    real *c;
    i64 ldc;
    i64 tail; /* lanes of the last vector, 1..VW */
    int add;  /* C += instead of C = */
    const real *bias;
    const real *ahead; /* of gemm_kernel_ahead: the next panel, of which each term fetches two lines; */
    i64 stride, back;  /* elements from term to term, and more after 32 of them */
} gemm_tile;

typedef void (*gemm_kernel)(const gemm_tile *t);

#ifdef PN_NEON
#include "gemm_neon.h"
#define GEMM_WHOLE (full || NV > 1)
#else
/* All vectors of a row but the last are whole; the last has `tail` lanes, or is whole in the `full` kernels. */
#define GEMM_WHOLE (full || v + 1 < NV)
#define GEMM_AT(v) ((v) * VW)
#define GEMM_TUNED
#endif
#if defined(PN_AVX512) && defined(PN_REAL_F32) && !defined(PN_PAIRS)
#define GEMM_TALL 13 /* rows of the lowest tile of two vectors that has a kernel without masks, two terms a turn */
#endif

#if defined(PN_AVX2) && defined(PN_REAL_F32)
/* The first n < 8 lanes of the last vector of every row, in parts: a masked store takes AMD's processors a dozen cycles. */
#define vstoren_rows(p, ldp, acc, v, rows, n) \
    do { \
        float *to = (p); \
        if ((n) & 4) { \
            GEMM_UNROLL for (int i = 0; i < (rows); i++) { \
                _mm_storeu_ps(to + i * (ldp), _mm256_castps256_ps128((acc)[i][v])); \
                (acc)[i][v] = _mm256_permute2f128_ps((acc)[i][v], (acc)[i][v], 1); \
            } \
            to += 4; \
        } \
        if ((n) & 2) { \
            GEMM_UNROLL for (int i = 0; i < (rows); i++) { \
                _mm_storel_pi((__m64 *)(void *)(to + i * (ldp)), _mm256_castps256_ps128((acc)[i][v])); \
                (acc)[i][v] = _mm256_permute_ps((acc)[i][v], 0xEE); \
            } \
            to += 2; \
        } \
        if ((n) & 1) \
            GEMM_UNROLL for (int i = 0; i < (rows); i++) _mm_store_ss(to + i * (ldp), _mm256_castps256_ps128((acc)[i][v])); \
    } while (0)
#endif

#ifndef PN_NEON
/* One term of every sum; on to the next of A. */
GEMM_INLINE void gemm_term(vec acc[16][4], const real *b, i64 far, i64 tail, const real *rows[6], i64 step, const int MR,
                           const int NV, const int at, const int full) {
    vec bv[4];
    GEMM_UNROLL for (int v = 0; v < NV; v++) {
        const real *bp = b + v * VW + (v > 1 ? far : 0);
        bv[v] = GEMM_WHOLE ? vload(bp) : vloadn(bp, tail);
    }
    GEMM_UNROLL for (int i = 0; i < MR; i++) {
        vec av = vset(at ? rows[0][i] : rows[i / 3][(i % 3) * step]);
        GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = vfma(av, bv[v], acc[i][v]);
    }
    GEMM_UNROLL for (int g = 0; g < (MR + 2) / 3; g++) rows[g] += at ? step : 1;
}
#endif

GEMM_INLINE void gemm_tile_run(const gemm_tile *t, const int MR, const int NV, const int at, const int full,
                               const int fetch) {
    const i64 step = t->step, ldb = t->ldb, ldc = t->ldc, tail = t->tail;
    vec acc[16][4], bv[4];
    GEMM_UNROLL for (int i = 0; i < MR; i++)
        GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = vset(0);
#ifdef PN_NEON
    neon_terms(acc, t->a, step, t->b, ldb, t->k, tail, MR, NV, at, full);
#else
    const real *b = t->b, *rows[6];
    const i64 far = NV == 4 ? t->far : 0;
    /* Row-major A is addressed in groups of three rows, which x86 does with one index register. */
    GEMM_UNROLL for (int g = 0; g < (MR + 2) / 3; g++) rows[g] = at ? t->a : t->a + 3 * g * step;
    const real *ahead = t->ahead;
    i64 p = t->k;
#ifdef GEMM_TALL
    for (; full && !fetch && p > 1; p -= 2) {
        gemm_term(acc, b, far, tail, rows, step, MR, NV, at, full);
        gemm_term(acc, b + ldb, far, tail, rows, step, MR, NV, at, full);
        b += 2 * ldb;
    }
#endif
    for (; p > 0; p--) {
        if (fetch) {
            PN_FETCH(ahead, 0, 2); /* not into the first level, where such lines would fall into few sets */
            PN_FETCH(ahead + 16, 0, 2);
            ahead += t->stride;
            if (!(p & 31)) ahead += t->back;
        }
        gemm_term(acc, b, far, tail, rows, step, MR, NV, at, full);
        b += ldb;
    }
#endif
    if (t->add) {
        GEMM_UNROLL for (int i = 0; i < MR; i++)
            GEMM_UNROLL for (int v = 0; v < NV; v++) {
                const real *c = t->c + i * ldc + GEMM_AT(v);
                acc[i][v] = vadd(GEMM_WHOLE ? vload(c) : vloadn(c, tail), acc[i][v]);
            }
    }
    if (t->bias) {
        GEMM_UNROLL for (int v = 0; v < NV; v++) {
            bv[v] = GEMM_WHOLE ? vload(t->bias + GEMM_AT(v)) : vloadn(t->bias + GEMM_AT(v), tail);
            GEMM_UNROLL for (int i = 0; i < MR; i++) acc[i][v] = vadd(acc[i][v], bv[v]);
        }
    }
#ifdef vstoren_rows
    if (!full) {
        GEMM_UNROLL for (int i = 0; i < MR; i++)
            GEMM_UNROLL for (int v = 0; v + 1 < NV; v++) vstore(t->c + i * ldc + v * VW, acc[i][v]);
        vstoren_rows(t->c + (NV - 1) * VW, ldc, acc, NV - 1, MR, tail);
        return;
    }
#endif
    GEMM_UNROLL for (int i = 0; i < MR; i++)
        GEMM_UNROLL for (int v = 0; v < NV; v++) {
            real *c = t->c + i * ldc + GEMM_AT(v);
            if (GEMM_WHOLE) vstore(c, acc[i][v]);
            else vstoren(c, acc[i][v], tail);
        }
}

/* Rows of the tallest tile with one, two and four vectors; up to GEMM_FEW rows take panels of four. */
#define GEMM_UPTO2(M, nv, at, full) M(1, nv, at, full) M(2, nv, at, full)
#define GEMM_UPTO4(M, nv, at, full) GEMM_UPTO2(M, nv, at, full) M(3, nv, at, full) M(4, nv, at, full)
#define GEMM_UPTO6(M, nv, at, full) GEMM_UPTO4(M, nv, at, full) M(5, nv, at, full) M(6, nv, at, full)
#define GEMM_UPTO8(M, nv, at, full) GEMM_UPTO6(M, nv, at, full) M(7, nv, at, full) M(8, nv, at, full)
#define GEMM_UPTO12(M, nv, at, full) \
    GEMM_UPTO8(M, nv, at, full) M(9, nv, at, full) M(10, nv, at, full) M(11, nv, at, full) M(12, nv, at, full)
#define GEMM_UPTO14(M, nv, at, full) GEMM_UPTO12(M, nv, at, full) M(13, nv, at, full) M(14, nv, at, full)
#define GEMM_UPTO16(M, nv, at, full) GEMM_UPTO14(M, nv, at, full) M(15, nv, at, full) M(16, nv, at, full)
#ifdef PN_AVX512
#define GEMM_MR1 16
#define GEMM_MR2 14
#define GEMM_MR4 6
#define GEMM_FEW GEMM_MR4
#define GEMM_ROWS1 GEMM_UPTO16
#define GEMM_ROWS2 GEMM_UPTO14
#define GEMM_ROWS4 GEMM_UPTO6
#elif defined(PN_NEON)
#define GEMM_MR1 12
#define GEMM_MR2 8
#define GEMM_MR3 6
#define GEMM_MR4 6
#define GEMM_FEW INT64_MAX
#define GEMM_ROWS1 GEMM_UPTO12
#define GEMM_ROWS2 GEMM_UPTO8
#define GEMM_ROWS3 GEMM_UPTO6
#define GEMM_ROWS4 GEMM_UPTO6
#elif defined(PN_SIMD128) /* low tiles: a page loads them all */
#define GEMM_MR1 4
#define GEMM_MR2 4
#define GEMM_MR4 2
#define GEMM_FEW GEMM_MR4
#define GEMM_ROWS1 GEMM_UPTO4
#define GEMM_ROWS2 GEMM_UPTO4
#define GEMM_ROWS4 GEMM_UPTO2
#else
#define GEMM_MR1 12
#define GEMM_MR2 6
#define GEMM_MR4 2
#define GEMM_FEW GEMM_MR4
#define GEMM_ROWS1 GEMM_UPTO12
#define GEMM_ROWS2 GEMM_UPTO6
#define GEMM_ROWS4 GEMM_UPTO2
#endif

#define GEMM_DEFINE(mr, nv, at, full) \
    GEMM_TUNED static void gemm_kernel_##mr##_##nv##_##at##_##full(const gemm_tile *t) { gemm_tile_run(t, mr, nv, at, full, 0); }
#define GEMM_NAME(mr, nv, at, full) gemm_kernel_##mr##_##nv##_##at##_##full,
/* M for every height and width of a tile, and the same as a table [width][height]. */
#ifdef PN_NEON
#define GEMM_SIZES(M, at, full) \
    GEMM_ROWS1(M, 1, at, full) GEMM_ROWS2(M, 2, at, full) GEMM_ROWS3(M, 3, at, full) GEMM_ROWS4(M, 4, at, full)
#define GEMM_TABLE(M, at, full) \
    {{GEMM_ROWS1(M, 1, at, full)}, {GEMM_ROWS2(M, 2, at, full)}, {GEMM_ROWS3(M, 3, at, full)}, \
     {GEMM_ROWS4(M, 4, at, full)}}
#define GEMM_WIDTHS 4
#define GEMM_WIDTH(nv) ((nv) - 1)
#else
#define GEMM_SIZES(M, at, full) GEMM_ROWS1(M, 1, at, full) GEMM_ROWS2(M, 2, at, full) GEMM_ROWS4(M, 4, at, full)
#define GEMM_TABLE(M, at, full) \
    {{GEMM_ROWS1(M, 1, at, full)}, {GEMM_ROWS2(M, 2, at, full)}, {GEMM_ROWS4(M, 4, at, full)}}
#define GEMM_WIDTHS 3
#define GEMM_WIDTH(nv) ((nv) >> 1)
#endif
GEMM_SIZES(GEMM_DEFINE, 0, 0)
GEMM_SIZES(GEMM_DEFINE, 1, 0)
#ifdef PN_AVX512
static const gemm_kernel gemm_kernels[2][GEMM_WIDTHS][16] = {GEMM_TABLE(GEMM_NAME, 0, 0), GEMM_TABLE(GEMM_NAME, 1, 0)};
#ifdef GEMM_TALL /* a masked load takes one of the two ports that multiply: the tall tiles of most products do without */
#define GEMM_TALLEST(M, at) M(13, 2, at, 1) M(14, 2, at, 1)
GEMM_TALLEST(GEMM_DEFINE, 0)
GEMM_TALLEST(GEMM_DEFINE, 1)
static const gemm_kernel gemm_tall[2][GEMM_MR2 - GEMM_TALL + 1] = {{GEMM_TALLEST(GEMM_NAME, 0)}, {GEMM_TALLEST(GEMM_NAME, 1)}};
#define GEMM_KERNEL(mr, nv, at, tail) \
    ((nv) == 2 && (mr) >= GEMM_TALL && (tail) == VW ? gemm_tall[at][(mr) - GEMM_TALL] : gemm_kernels[at][GEMM_WIDTH(nv)][(mr) - 1])
#else
#define GEMM_KERNEL(mr, nv, at, tail) gemm_kernels[at][GEMM_WIDTH(nv)][(mr) - 1]
#endif
#else
GEMM_SIZES(GEMM_DEFINE, 0, 1)
GEMM_SIZES(GEMM_DEFINE, 1, 1)
static const gemm_kernel gemm_kernels[4][GEMM_WIDTHS][16] = {GEMM_TABLE(GEMM_NAME, 0, 0), GEMM_TABLE(GEMM_NAME, 1, 0),
                                                             GEMM_TABLE(GEMM_NAME, 0, 1), GEMM_TABLE(GEMM_NAME, 1, 1)};
#define GEMM_KERNEL(mr, nv, at, tail) gemm_kernels[(at) + ((tail) == VW ? 2 : 0)][GEMM_WIDTH(nv)][(mr) - 1]
#endif

/* While the first strip of A is multiplied by a panel of B, the next panel is fetched, which is packed then. */
#if defined(PN_REAL_F32) && (defined(PN_AVX512) || defined(PN_AVX2))
#define GEMM_AHEAD GEMM_MR2
GEMM_TUNED static void gemm_kernel_ahead_0(const gemm_tile *t) { gemm_tile_run(t, GEMM_AHEAD, 2, 0, 1, 1); }
GEMM_TUNED static void gemm_kernel_ahead_1(const gemm_tile *t) { gemm_tile_run(t, GEMM_AHEAD, 2, 1, 1, 1); }
#else
#define GEMM_AHEAD 0
#endif

/* A tile whose terms are cut into pieces, none longer than a block of k: a piece's sums stay in registers until they have
 * met those of its neighbours, which wait in the first-level cache. Of the heights of most strips of a tall C. */
#if GEMM_AHEAD
#define GEMM_SUMMED 1
GEMM_INLINE void gemm_tile_pieces(const gemm_tile *t, const i64 *cuts, i64 pieces, const int MR) {
    real room[8][2 * GEMM_AHEAD * VW];
    vec acc[16][2];
    int waiting = 0;
    for (i64 s = 0; s < pieces; s++) {
        const real *a = t->a + cuts[2 * s] * t->step, *b = t->b + cuts[2 * s] * t->ldb;
        GEMM_UNROLL for (int i = 0; i < MR; i++) acc[i][0] = acc[i][1] = vset(0);
        for (i64 p = cuts[2 * s + 1] - cuts[2 * s]; p > 0; p--) {
            const vec first = vload(b), second = vload(b + VW);
            GEMM_UNROLL for (int i = 0; i < MR; i++) {
                const vec av = vset(a[i]);
                acc[i][0] = vfma(av, first, acc[i][0]);
                acc[i][1] = vfma(av, second, acc[i][1]);
            }
            a += t->step;
            b += t->ldb;
        }
        for (i64 bits = s; (bits & 1 || s + 1 == pieces) && waiting; bits >>= 1) {
            const real *left = room[--waiting];
            GEMM_UNROLL for (int i = 0; i < MR; i++) {
                acc[i][0] = vadd(vload(left + 2 * i * VW), acc[i][0]);
                acc[i][1] = vadd(vload(left + (2 * i + 1) * VW), acc[i][1]);
            }
        }
        real *to = s + 1 < pieces ? room[waiting++] : t->c;
        const i64 ldto = s + 1 < pieces ? 2 * VW : t->ldc;
        GEMM_UNROLL for (int i = 0; i < MR; i++) {
            vstore(to + i * ldto, acc[i][0]);
            vstore(to + i * ldto + VW, acc[i][1]);
        }
    }
}
GEMM_TUNED static void gemm_pieces_tall(const gemm_tile *t, const i64 *cuts, i64 pieces) { gemm_tile_pieces(t, cuts, pieces, GEMM_AHEAD); }
GEMM_TUNED static void gemm_pieces_less(const gemm_tile *t, const i64 *cuts, i64 pieces) { gemm_tile_pieces(t, cuts, pieces, GEMM_AHEAD - 1); }
#else
#define GEMM_SUMMED 0
#endif

/* Transposes VW vectors in registers. */
#if defined(PN_REAL_F64) || defined(PN_NEON) || defined(PN_SIMD128)
#define gemm_transpose vtranspose
#elif defined(PN_AVX512)
GEMM_INLINE void gemm_transpose(vec r[16]) {
    vec t[16];
    GEMM_UNROLL for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    GEMM_UNROLL for (int i = 0; i < 16; i += 4) {
        __m512d a = _mm512_castps_pd(t[i]), b = _mm512_castps_pd(t[i + 1]);
        __m512d c = _mm512_castps_pd(t[i + 2]), d = _mm512_castps_pd(t[i + 3]);
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
    }
    GEMM_UNROLL for (int i = 0; i < 4; i++) {
        vec lo = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88), hi = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        vec lo2 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        vec hi2 = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
        t[i] = _mm512_shuffle_f32x4(lo, lo2, 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(hi, hi2, 0x88);
        t[i + 8] = _mm512_shuffle_f32x4(lo, lo2, 0xdd);
        t[i + 12] = _mm512_shuffle_f32x4(hi, hi2, 0xdd);
    }
    GEMM_UNROLL for (int i = 0; i < 16; i++) r[i] = t[i];
}
#else
GEMM_INLINE void gemm_transpose(vec r[8]) {
    vec t[8];
    GEMM_UNROLL for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    GEMM_UNROLL for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    GEMM_UNROLL for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    GEMM_UNROLL for (int i = 0; i < 8; i++) r[i] = t[i];
}
#endif

/* Vectors of the widest panel for products of so many rows, of the next panel when n columns are left, and the rows of
 * the tallest tile over a panel. */
GEMM_INLINE i64 gemm_widest(i64 rows) { return rows <= GEMM_FEW ? 4 : 2; }
#ifdef PN_NEON
GEMM_INLINE i64 gemm_panel(i64 n, i64 widest) { return n > 3 * VW ? widest : (n + VW - 1) / VW; }
#else
GEMM_INLINE i64 gemm_panel(i64 n, i64 widest) { return n <= VW ? 1 : n > 3 * VW ? widest : 2; }
#endif
GEMM_INLINE i64 gemm_tallest(i64 nv) { return nv == 1 ? GEMM_MR1 : nv == 2 ? GEMM_MR2 : GEMM_MR4; }

/* dst[p * w + i] = src[i * ld + p] for i < n, p < k; rows n..lanes of a vector become 0. lanes <= VW. */
static void gemm_flip(real *dst, i64 w, const real *src, i64 ld, i64 n, i64 lanes, i64 k) {
    vec r[VW];
    for (i64 p = 0; p < k; p += VW, src += VW, dst += VW * w) {
        const i64 terms = gemm_lanes(k - p);
        if (lanes == VW && terms == VW) {
            GEMM_UNROLL for (int i = 0; i < VW; i++) r[i] = i < n ? vload(src + i * ld) : vset(0);
            gemm_transpose(r);
            GEMM_UNROLL for (int u = 0; u < VW; u++) vstore(dst + u * w, r[u]);
        } else {
            GEMM_UNROLL for (int i = 0; i < VW; i++) r[i] = i < n ? vloadn(src + i * ld, terms) : vset(0);
            gemm_transpose(r);
            GEMM_UNROLL for (int u = 0; u < VW; u++)
                if (u < terms) lanes_store(dst + u * w, r[u], lanes);
        }
    }
}

enum { GEMM_TOGETHER = 4, GEMM_ROWS_AHEAD = 8 }; /* rows of B */
/* Packs B[k,n] into panels of `widest` vectors (the last ones narrower); panel j starts at dst + j * k. */
static void gemm_pack_b(real *dst, const real *b, i64 brs, i64 bcs, i64 n, i64 k, i64 widest) {
    if (bcs == 1) { /* some rows at a time: long reads, and lines side by side in each panel */
        for (i64 p0 = 0; p0 < k; p0 += GEMM_TOGETHER) {
            const i64 p1 = k - p0 < GEMM_TOGETHER ? k : p0 + GEMM_TOGETHER;
            for (i64 j = 0, nv; j < n; j += nv * VW) {
                nv = gemm_panel(n - j, widest);
                for (i64 p = p0; p < p1; p++) {
                    real *d = dst + j * k + p * nv * VW;
                    const real *s = b + p * brs + j;
                    PN_FETCH(s + GEMM_ROWS_AHEAD * brs, 0, 3); /* rows may lie in a page each, where nothing else looks ahead */
                    for (i64 v = 0; v < nv; v++) {
                        const i64 left = n - j - v * VW;
                        if (left >= VW) vstore(d + v * VW, vload(s + v * VW));
                        else vstore(d + v * VW, vloadn(s + v * VW, left < 0 ? 0 : left));
                    }
                }
            }
        }
        return;
    }
    for (i64 j = 0, nv; j < n; j += nv * VW) {
        nv = gemm_panel(n - j, widest);
        for (i64 v = 0; v < nv; v++) {
            const i64 left = n - j - v * VW;
            if (left > 0)
                gemm_flip(dst + j * k + v * VW, nv * VW, b + (j + v * VW) * bcs, bcs, gemm_lanes(left), VW, k);
        }
    }
}

/* Vectors of a panel of a B that is packed as a whole: those of most tiles. */
#ifdef PN_NEON
#define GEMM_STORED 4
#else
#define GEMM_STORED 2
#endif

/* All of B[k,n] in panels, block of k after block: k times n rounded up to whole vectors. */
static void gemm_pack_all(real *dst, const real *b, i64 brs, i64 bcs, i64 n, i64 k) {
    const i64 kc = pn_gemm_kc(k), wide = (n + VW - 1) / VW * VW;
    for (i64 p = 0; p < k; p += kc)
        gemm_pack_b(dst + p * wide, b + p * brs, brs, bcs, n, k - p < kc ? k - p : kc, GEMM_STORED);
}

/* Points a tile over t->k terms from p on at `nv` vectors from column j on: a panel of them, or two. */
GEMM_INLINE void gemm_panel_at(gemm_tile *t, const real *packed, i64 n, i64 p, i64 j, i64 nv) {
    const i64 width = (nv < GEMM_STORED ? nv : GEMM_STORED) * VW;
    t->b = packed + p * ((n + VW - 1) / VW * VW) + j * t->k;
    t->ldb = width;
    t->far = width * (t->k - 1);
}
