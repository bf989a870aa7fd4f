/* Tiles of a convolution: products with a matrix of patches that is never made (see conv.h).
 *
 * A tile is MR rows x one panel of C, held in registers over all terms. The terms come in n1 x n2 segments of `len`
 * terms; within a segment A is read as it lies in the image, and the next segment begins a fixed step further (the next
 * row of the kernel, of the image, ...). Low tiles' rows may lie anywhere, so that a tile goes on in the next row of
 * pixels. B is packed in panels of `width` columns, zero beyond the matrix.
 * Sum: one chain of fused multiply-adds in the order of the terms, then + C, then + bias, then relu. So the bits do not depend on
 * how C is cut into tiles.
 */
#ifndef PN_CONV_MICRO_H
#define PN_CONV_MICRO_H

#include "conv_tile.h"

#ifdef PN_PAIRS
#include "pairs.h"
#define CONV_FMA(a, b, c) \
    ((vec)_mm512_dpbf16_ps(c, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b)))
#define CONV_LANES(terms) (((terms) + 1) / 2) /* 32-bit lanes that hold so many terms */
#else
#define CONV_FMA(a, b, c) vfma(a, b, c)
#define CONV_LANES(terms) (terms)
#endif

#if defined(PN_AMX)
#include "amx.h"
static inline i64 conv_width(i64 n, i64 rows) {
    (void)rows;
    return n > VW ? 2 * VW : VW;
}
static inline i64 conv_tallest(i64 width) {
    (void)width;
    return AMX_ROWS;
}
static inline i64 conv_low(i64 rows, i64 strips) {
    (void)rows, (void)strips;
    return AMX_ROWS;
}
static inline void conv_tile_call(conv_tile *t, i64 mr, i64 width, int by_term) { amx_tile(t, mr, width, by_term); }

#elif VW > 1
typedef void (*conv_kernel)(const conv_tile *t);

#define CONV_LAST (v + 1 == NV && tail < VW)

GEMM_INLINE void conv_tile_run(const conv_tile *t, const int MR, const int NV, const int by_term) {
    const i64 step = t->step, ldc = t->ldc, tail = t->cols - (NV - 1) * VW;
    vec acc[16][4], bv[4];
    GEMM_UNROLL for (int i = 0; i < MR; i++)
        GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = vset(0);
#ifdef CONV_APART
    i64 at[CONV_APART];
    GEMM_UNROLL for (int i = 1; i < MR && i < CONV_APART; i++) at[i] = t->at[i];
#endif
    for (i64 s1 = 0; s1 < t->n1; s1++)
        for (i64 s2 = 0; s2 < t->n2; s2++) {
            const real *a = t->a + s1 * t->ast1 + s2 * t->ast2, *b = t->b + s1 * t->bst1 + s2 * t->bst2;
#ifdef PN_NEON
            neon_terms(acc, a, step, b, NV * VW, t->len, VW, MR, NV, by_term, 1);
#else
#ifdef CONV_APART
            if (!by_term && MR <= CONV_APART) {
                for (i64 p = t->len; p > 0; p--) {
                    GEMM_UNROLL for (int v = 0; v < NV; v++) bv[v] = vload(b + v * VW);
                    GEMM_UNROLL for (int i = 0; i < MR; i++) {
                        vec av = vset(i ? a[at[i]] : *a);
                        GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = CONV_FMA(av, bv[v], acc[i][v]);
                    }
                    a++;
                    b += NV * VW;
                }
                continue;
            }
#endif
            const real *rows[6];
            GEMM_UNROLL for (int g = 0; g < (MR + 2) / 3; g++) rows[g] = by_term ? a : a + 3 * g * step;
            for (i64 p = t->len; p > 0; p--) {
                GEMM_UNROLL for (int v = 0; v < NV; v++) bv[v] = vload(b + v * VW);
                GEMM_UNROLL for (int i = 0; i < MR; i++) {
                    vec av = vset(by_term ? rows[0][i] : rows[i / 3][(i % 3) * step]);
                    GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = CONV_FMA(av, bv[v], acc[i][v]);
                }
                b += NV * VW;
                GEMM_UNROLL for (int g = 0; g < (MR + 2) / 3; g++) rows[g] += by_term ? step : 1;
            }
#endif
        }
    if (t->add) {
        GEMM_UNROLL for (int i = 0; i < MR; i++)
            GEMM_UNROLL for (int v = 0; v < NV; v++) {
                const real *c = t->c + i * ldc + v * VW;
                acc[i][v] = vadd(CONV_LAST ? vloadn(c, tail) : vload(c), acc[i][v]);
            }
    }
    if (t->bias) {
        GEMM_UNROLL for (int v = 0; v < NV; v++) {
            bv[v] = CONV_LAST ? vloadn(t->bias + v * VW, tail) : vload(t->bias + v * VW);
            GEMM_UNROLL for (int i = 0; i < MR; i++) acc[i][v] = vadd(acc[i][v], bv[v]);
        }
    }
    if (t->relu) {
        GEMM_UNROLL for (int i = 0; i < MR; i++)
            GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = relu_y(acc[i][v], bv[0], bv[0]);
    }
#ifdef vstoren_rows
    if (tail < VW) {
        GEMM_UNROLL for (int i = 0; i < MR; i++)
            GEMM_UNROLL for (int v = 0; v + 1 < NV; v++) vstore(t->c + i * ldc + v * VW, acc[i][v]);
        vstoren_rows(t->c + (NV - 1) * VW, ldc, acc, NV - 1, MR, tail);
        return;
    }
#endif
    GEMM_UNROLL for (int i = 0; i < MR; i++)
        GEMM_UNROLL for (int v = 0; v < NV; v++) {
            real *c = t->c + i * ldc + v * VW;
            if (CONV_LAST) vstoren(c, acc[i][v], tail);
            else vstore(c, acc[i][v]);
        }
}

#define CONV_DEFINE(mr, nv, at, full) \
    GEMM_TUNED static void conv_kernel_##mr##_##nv##_##at(const conv_tile *t) { conv_tile_run(t, mr, nv, at); }
#define CONV_NAME(mr, nv, at, full) conv_kernel_##mr##_##nv##_##at,
#ifdef PN_PAIRS /* whose products are rarely of so few rows that wide panels pay */
#define CONV_SIZES(M, at) GEMM_ROWS1(M, 1, at, 0) GEMM_ROWS2(M, 2, at, 0)
#define CONV_TABLE(M, at) {{GEMM_ROWS1(M, 1, at, 0)}, {GEMM_ROWS2(M, 2, at, 0)}}
enum { CONV_WIDTHS = 2, CONV_WIDEST = 2 };
#else
#define CONV_SIZES(M, at) GEMM_SIZES(M, at, 0)
#define CONV_TABLE(M, at) GEMM_TABLE(M, at, 0)
enum { CONV_WIDTHS = GEMM_WIDTHS, CONV_WIDEST = 4 };
#endif
CONV_SIZES(CONV_DEFINE, 0)
CONV_SIZES(CONV_DEFINE, 1)
static const conv_kernel conv_kernels[2][CONV_WIDTHS][16] = {CONV_TABLE(CONV_NAME, 0), CONV_TABLE(CONV_NAME, 1)};

/* Columns of the next panel when n are left; `rows`: rows of C that share a step. Few rows take wide panels. */
static inline i64 conv_width(i64 n, i64 rows) {
    const i64 widest = gemm_widest(rows);
    return gemm_panel(n, widest < CONV_WIDEST ? widest : CONV_WIDEST) * VW;
}
static inline i64 conv_tallest(i64 width) { return gemm_tallest(width / VW); }
/* Rows of each strip, one more in the first few: equal heights, or as many as tile registers have. */
static inline i64 conv_low(i64 rows, i64 strips) { return rows / strips; }
#ifdef PN_PAIRS
static void pairs_begin(void) {}
static void pairs_end(void) {}
static void conv_tile_call(const conv_tile *t, i64 mr, i64 width, int by_term) {
    const conv_kernel kernel = conv_kernels[by_term][GEMM_WIDTH(width / VW)][mr - 1];
    conv_tile u = *t;
    if (t->blo) { /* hi hi + hi lo, then lo hi with what ends the sum */
        u.bias = NULL;
        u.relu = 0;
        kernel(&u);
        u.add = 1;
        u.b += t->blo;
        kernel(&u);
        u.b = t->b;
        u.a += t->alo;
        u.bias = t->bias;
        u.relu = t->relu;
    }
    kernel(&u);
}
#else
static inline void conv_tile_call(const conv_tile *t, i64 mr, i64 width, int by_term) {
    conv_kernels[by_term][GEMM_WIDTH(width / VW)][mr - 1](t);
}
#endif

#else /* plain C: the compiler vectorizes along the panel */
enum { CONV_NR = 16, CONV_MR = 64 };
static inline i64 conv_width(i64 n, i64 rows) {
    (void)n;
    (void)rows;
    return CONV_NR;
}
static inline i64 conv_tallest(i64 width) {
    (void)width;
    return CONV_MR;
}
static void conv_tile_call(const conv_tile *t, i64 mr, i64 width, int by_term) {
    (void)width;
    for (i64 i = 0; i < mr; i++) {
        const real *row = t->a + i * (by_term ? 1 : t->step);
        const i64 next = by_term ? t->step : 1;
        real sum[CONV_NR], *c = t->c + i * t->ldc;
        for (i64 j = 0; j < CONV_NR; j++) sum[j] = 0;
        for (i64 s1 = 0; s1 < t->n1; s1++)
            for (i64 s2 = 0; s2 < t->n2; s2++) {
                const real *a = row + s1 * t->ast1 + s2 * t->ast2, *b = t->b + s1 * t->bst1 + s2 * t->bst2;
                for (i64 p = 0; p < t->len; p++) {
                    const real ap = a[p * next];
                    for (i64 j = 0; j < CONV_NR; j++) sum[j] = vfma(ap, b[p * CONV_NR + j], sum[j]);
                }
            }
        for (i64 j = 0; j < t->cols; j++) {
            real y = t->add ? c[j] + sum[j] : sum[j];
            if (t->bias) y += t->bias[j];
            c[j] = t->relu ? relu_y(y, 0, 0) : y;
        }
    }
}
#endif

/* Runs a tile whose rows lie `step` apart. */
static inline void conv_tile_even(conv_tile *t, i64 mr, i64 width, int by_term) {
#ifdef CONV_APART
    for (i64 i = 0; i < mr; i++) t->at[i] = i * t->step;
#endif
    conv_tile_call(t, mr, width, by_term);
}

/* dst[p * width + j] = src[p * ps + j * js] for p < k, j < n, and 0 for the other j < width; or pairs, with a second
 * plane at dst + lo. */
static void conv_pack(real *dst, i64 lo, i64 width, const real *src, i64 ps, i64 js, i64 n, i64 k) {
#ifdef PN_PAIRS
    pairs_pack(dst, lo, width, src, ps, js, n, k);
#elif VW > 1
    (void)lo;
    for (i64 v = 0; v < width; v += VW) {
        const i64 left = n - v < VW ? (n - v < 0 ? 0 : n - v) : VW;
        if (js == 1)
            for (i64 p = 0; p < k; p++) vstore(dst + p * width + v, vloadn(src + p * ps + v, left));
        else if (ps == 1 && left > 0) gemm_flip(dst + v, width, src + v * js, js, left, VW, k);
        else
            for (i64 p = 0; p < k; p++)
                for (i64 j = 0; j < VW; j++) dst[p * width + v + j] = j < left ? src[p * ps + (v + j) * js] : 0;
    }
#else
    (void)lo;
    for (i64 p = 0; p < k; p++)
        for (i64 j = 0; j < width; j++) dst[p * width + j] = j < n ? src[p * ps + j * js] : 0;
#endif
}
#endif
