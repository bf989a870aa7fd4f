/* Operands as bfloat16: two terms in each 32-bit lane.
 *
 * A lane of a packed operand holds bf16(a term) in its low and bf16(the next term) in its high half, so the loops of
 * conv_micro.h run as they are, over pairs of terms. With three products ("high") a float is the sum of two bfloat16,
 * x = hi + lo to 2^-17 |x|, the second plane lies a fixed step behind the first, and hi hi + hi lo + lo hi is added up.
 * The sums are float32 in any case. A pair beyond the terms is zero in both operands.
 */
#ifndef PN_PAIRS_H
#define PN_PAIRS_H

#include "simd.h"
#include "unroll.h"

typedef __m512i pairs;

/* Of lanes lo[i], hi[i]. */
static inline pairs pairs_of(vec lo, vec hi) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(hi, lo));
}
/* Of 32 floats in a row. */
static inline pairs pairs_in(vec first, vec second) { return (pairs)_mm512_cvtne2ps_pbh(second, first); }
/* x - bf16(x), which is exact. */
static inline vec pairs_rest(vec x) {
    const __m256i hi = (__m256i)_mm512_cvtneps_pbh(x);
    return vsub(x, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(hi), 16)));
}
static inline vec pairs_some(const real *p, i64 n) { return n >= VW ? vload(p) : vloadn(p, n < 0 ? 0 : n); }
static inline void pairs_store(real *to, pairs p, i64 n) {
    if (n >= VW) vstore(to, _mm512_castsi512_ps(p));
    else vstoren(to, _mm512_castsi512_ps(p), n < 0 ? 0 : n);
}

/* to[p] = the pair of x[2 p], x[2 p + 1] for n floats in a row; the second plane at to + lo, unless lo is 0. */
static void pairs_run(real *to, i64 lo, const real *x, i64 n) {
    for (i64 p = 0; p < n; p += 2 * VW, to += VW) {
        const vec a = pairs_some(x + p, n - p), b = pairs_some(x + p + VW, n - p - VW);
        pairs_store(to, pairs_in(a, b), (n - p + 1) / 2);
        if (lo) pairs_store(to + lo, pairs_in(pairs_rest(a), pairs_rest(b)), (n - p + 1) / 2);
    }
}

/* to[i] = the pair of x[i], x[i + step] for n floats; those from n on count as 0. */
static void pairs_apart(real *to, i64 lo, const real *x, i64 step, i64 n) {
    for (i64 i = 0; i < n; i += VW) {
        const vec a = pairs_some(x + i, n - i), b = pairs_some(x + i + step, n - i - step);
        pairs_store(to + i, pairs_of(a, b), n - i);
        if (lo) pairs_store(to + lo + i, pairs_of(pairs_rest(a), pairs_rest(b)), n - i);
    }
}

/* 16 terms beyond `p` of 16 vectors, as 16 pairs: r[i] = pairs p ... of vector i, whose floats lie side by side. */
static inline void pairs_rows(vec r[VW], const real *x, i64 ld, i64 vectors, i64 terms, int rest) {
    for (i64 i = 0; i < VW; i++) {
        vec a = i < vectors ? pairs_some(x + i * ld, terms) : vset(0);
        vec b = i < vectors ? pairs_some(x + i * ld + VW, terms - VW) : vset(0);
        if (rest) a = pairs_rest(a), b = pairs_rest(b);
        r[i] = _mm512_castsi512_ps(pairs_in(a, b));
    }
}

/* to[p * width + j] = the pair of src[2 p * ps + j * js], src[(2 p + 1) * ps + j * js] for j < n, and 0 for the other
 * j < width; k terms. ps or js is 1. */
static void pairs_pack(real *to, i64 lo, i64 width, const real *src, i64 ps, i64 js, i64 n, i64 k) {
    for (i64 v = 0; v < width; v += VW) {
        const i64 left = n - v;
        if (js == 1) {
            for (i64 p = 0; p < k; p += 2) {
                const vec a = pairs_some(src + p * ps + v, left);
                const vec b = p + 1 < k ? pairs_some(src + (p + 1) * ps + v, left) : vset(0);
                real *at = to + p / 2 * width + v;
                pairs_store(at, pairs_of(a, b), VW);
                if (lo) pairs_store(at + lo, pairs_of(pairs_rest(a), pairs_rest(b)), VW);
            }
            continue;
        }
        for (int plane = 0; plane < (lo ? 2 : 1); plane++)
            for (i64 p = 0; p < k; p += 2 * VW) {
                vec r[VW];
                const i64 count = (k - p + 1) / 2;
                pairs_rows(r, src + v * js + p, js, left, k - p, plane);
                gemm_transpose(r);
                for (i64 u = 0; u < VW && u < count; u++) vstore(to + plane * lo + (p / 2 + u) * width + v, r[u]);
            }
    }
}

/* The strip of a product: to[i * ld + p] = the pair of a[i, 2 p], a[i, 2 p + 1] for i < m; k terms. */
static void pairs_strip(real *to, i64 lo, i64 ld, const real *a, i64 ars, i64 acs, i64 m, i64 k) {
    if (acs == 1) {
        for (i64 i = 0; i < m; i++) pairs_run(to + i * ld, lo, a + i * ars, k);
        return;
    }
    for (int plane = 0; plane < (lo ? 2 : 1); plane++)
        for (i64 i = 0; i < m; i += VW)
            for (i64 p = 0; p < k; p += 2 * VW) {
                vec r[VW];
                const i64 count = (k - p + 1) / 2;
                for (i64 u = 0; u < VW; u++) {
                    const i64 t = p + 2 * u;
                    PN_FETCH(a + (t + 64) * acs + i); /* rows far apart: the processor does not foresee them */
                    PN_FETCH(a + (t + 65) * acs + i);
                    vec x = t < k ? pairs_some(a + t * acs + i, m - i) : vset(0);
                    vec y = t + 1 < k ? pairs_some(a + (t + 1) * acs + i, m - i) : vset(0);
                    if (plane) x = pairs_rest(x), y = pairs_rest(y);
                    r[u] = _mm512_castsi512_ps(pairs_of(x, y));
                }
                gemm_transpose(r);
                for (i64 u = 0; u < VW && i + u < m; u++)
                    vstoren(to + plane * lo + (i + u) * ld + p / 2, r[u], count < VW ? count : VW);
            }
}
#endif
