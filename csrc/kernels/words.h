/* Word vectors: the gradients of a few neighbouring words, and sums into scattered rows (struct pn_words, pn.h).
 *
 * A word at a center predicts, for every target row t with label y in {0, 1}, s = x . t with the loss
 * softplus(s) - y s. The input x is the mean or the sum of the words in the window (CBOW), or each of them in turn
 * (skip-gram). With g = rate (y - sigmoid(s)) the steps are
 *   CBOW        t += g x,             every word of the window += sum over t of g t
 *   skip-gram   t += sum over i of g_i x_i,                x_i += sum over t of g_i t
 * word_grads leaves them in src and coef and touches no weight, so any number of threads may work on different centers;
 * add_rows then adds them. The targets of a center serve its whole window: rows are fetched once and meet in registers.
 * Rows are whole vectors: their stride is a multiple of 16 and the gap at the end of a row is and stays 0.
 * Cost of a center with n inputs (CBOW: 1) and m targets: about 6 n m stride flops.
 */
#ifndef PN_WORDS_H
#define PN_WORDS_H

#include "lanes.h"
#include "simd.h"

/* Sums here run in WORDS_LANES lanes, joined by halves as in lanes.h: rows are whole sixteens, and four of them meet. */
enum { WORDS_LANES = 16, WORDS_VECS = WORDS_LANES / VW };
typedef struct words_sum {
    vec v[WORDS_VECS];
} words_sum;

GEMM_INLINE vec words_fold(words_sum s) {
    GEMM_UNROLL for (int half = WORDS_VECS / 2; half > 0; half /= 2)
        GEMM_UNROLL for (int v = 0; v < half; v++) s.v[v] = vadd(s.v[v], s.v[v + half]);
    return s.v[0];
}

/* The sums of four vectors, each as vhsum would add it. */
#if defined(PN_REAL_F32) && defined(PN_AVX512)
static inline void words_sum4(float *out, vec a, vec b, vec c, vec d) {
    const vec ab = vadd(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const vec cd = vadd(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    const vec s = vadd(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    const vec t = vadd(s, _mm512_permute_ps(s, 0x4e)), u = vadd(t, _mm512_permute_ps(t, 0xb1));
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_maskz_compress_ps(0x1111, u)));
}
#elif defined(PN_REAL_F32) && defined(PN_AVX2)
static inline void words_sum4(float *out, vec a, vec b, vec c, vec d) {
    const vec ab = vadd(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    const vec cd = vadd(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
    const vec s = vadd(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    const vec t = vadd(_mm256_shuffle_ps(s, s, 0x88), _mm256_shuffle_ps(s, s, 0xdd)); /* a c a c, b d b d */
    const __m128 ac = _mm256_castps256_ps128(t), bd = _mm256_extractf128_ps(t, 1);
    _mm_storeu_ps(out, _mm_unpacklo_ps(ac, bd));
}
#else
static inline void words_sum4(real *out, vec a, vec b, vec c, vec d) {
    out[0] = vhsum(a);
    out[1] = vhsum(b);
    out[2] = vhsum(c);
    out[3] = vhsum(d);
}
#endif

/* s[j] = x . t[j] for j < m, a multiple of 4. */
static inline void words_dots(real *s, const real *x, const real *const *t, i64 m, i64 D) {
    for (i64 j = 0; j < m; j += 4) {
        words_sum a, b, c, d;
        GEMM_UNROLL for (int v = 0; v < WORDS_VECS; v++) a.v[v] = b.v[v] = c.v[v] = d.v[v] = vset(0);
        for (i64 k = 0; k < D; k += WORDS_LANES)
            GEMM_UNROLL for (int v = 0; v < WORDS_VECS; v++) {
                const i64 at = k + v * VW;
                const vec xv = vload(x + at);
                a.v[v] = vfma(xv, vload(t[j] + at), a.v[v]);
                b.v[v] = vfma(xv, vload(t[j + 1] + at), b.v[v]);
                c.v[v] = vfma(xv, vload(t[j + 2] + at), c.v[v]);
                d.v[v] = vfma(xv, vload(t[j + 3] + at), d.v[v]);
            }
        words_sum4(s + j, words_fold(a), words_fold(b), words_fold(c), words_fold(d));
    }
}

/* y = c x0[0] + ..., or y += ...: the combination of n rows with the factors g[0], g[step], ... */
static inline void words_mix(real *y, const real *const *x, const real *g, i64 step, i64 n, i64 D, int add) {
    i64 k = 0;
    for (; k + 4 * VW <= D; k += 4 * VW) {
        vec a = vset(0), b = a, c = a, d = a;
        if (add) {
            a = vload(y + k);
            b = vload(y + k + VW);
            c = vload(y + k + 2 * VW);
            d = vload(y + k + 3 * VW);
        }
        for (i64 i = 0; i < n; i++) {
            const vec f = vset(g[i * step]);
            a = vfma(f, vload(x[i] + k), a);
            b = vfma(f, vload(x[i] + k + VW), b);
            c = vfma(f, vload(x[i] + k + 2 * VW), c);
            d = vfma(f, vload(x[i] + k + 3 * VW), d);
        }
        vstore(y + k, a);
        vstore(y + k + VW, b);
        vstore(y + k + 2 * VW, c);
        vstore(y + k + 3 * VW, d);
    }
    for (; k < D; k += VW) {
        vec a = add ? vload(y + k) : vset(0);
        for (i64 i = 0; i < n; i++) a = vfma(vset(g[i * step]), vload(x[i] + k), a);
        vstore(y + k, a);
    }
}

/* From the scores s [n, m4] of n inputs against m targets: s becomes rate (label - sigmoid(s)); returns the loss. */
static inline double words_losses(real *s, const real *label, i64 n, i64 m, i64 m4, real rate) {
    words_sum total;
    GEMM_UNROLL for (int v = 0; v < WORDS_VECS; v++) total.v[v] = vset(0);
    for (i64 i = 0; i < n; i++) {
        real *z = s + i * m4;
        for (i64 at = 0; at < m; at += WORDS_LANES)
            GEMM_UNROLL for (int v = 0; v < WORDS_VECS; v++) {
                const i64 j = at + v * VW, w = m - j < VW ? m - j : VW;
                if (w <= 0) break;
                const vec x = lanes_load(z + j, w), y = lanes_load(label + j, w);
                const vec a = vexp(vneg(vabs(x))), one = vset(1);
                const vec p = vdiv(vsel(vlt(x, vset(0)), a, one), vadd(one, a));
                /* softplus(x) - y x = max(x, 0) - y x + log1p(exp(-|x|)) */
                const vec l = vadd(vfnma(y, x, vmax(vset(0), x)), vlog1p(a));
                lanes_store(z + j, vmul(vset(rate), vsub(y, p)), w);
                total.v[v] = vadd(total.v[v], lanes_only(l, w));
            }
    }
    return (double)vhsum(words_fold(total));
}

enum { WORDS_AHEAD = 2 };

static void block_word_grads(pn_words *w) {
    const i64 D = w->stride;
    const real *rows = (const real *)w->rows;
    real *changes = (real *)w->src, *h = changes + w->span * D, *coef = (real *)w->coef;
    const real **t = (const real **)w->pointers, **x = t + w->most_targets;
    real *label = (real *)w->tmp, *s = label + w->most_targets;
    const real rate = (real)w->rate;
    memset(changes, 0, (size_t)(w->span * D) * sizeof(real));
    w->loss = 0;
    for (i64 c = 0; c < w->centers; c++) {
        const int32_t begin = w->start[c], m = w->start[c + 1] - begin, m4 = (m + 3) / 4 * 4;
        i64 n = 0;
        if (c + WORDS_AHEAD < w->centers)
            for (i64 j = w->start[c + WORDS_AHEAD]; j < w->start[c + WORDS_AHEAD + 1]; j++)
                for (i64 k = 0; k < D; k += 64 / (i64)sizeof(real)) PN_FETCH(rows + w->target[j] * D + k);
        for (i64 j = 0; j < m4; j++) {
            const i64 k = begin + (j < m ? j : 0);
            t[j] = rows + w->target[k] * D;
            label[j] = w->label[k];
        }
        for (i64 p = w->left[c]; p <= w->right[c]; p++)
            if (p != w->at[c]) x[n++] = rows + w->ids[p] * D;
        if (w->skipgram) {
            real *u = h + begin * D;
            for (i64 i = 0; i < n; i++) words_dots(s + i * m4, x[i], t, m4, D);
            w->loss += words_losses(s, label, n, m, m4, rate);
            for (i64 j = 0; j < m; j++) words_mix(u + j * D, x, s + j, m4, n, D, 0);
            for (i64 p = w->left[c], i = 0; p <= w->right[c]; p++)
                if (p != w->at[c]) words_mix(changes + (p - w->first) * D, t, s + m4 * i++, 1, m, D, 1);
        } else {
            real *mean = h + c * D;
            const real scale = w->mean ? (real)1 / (real)n : 1;
            for (i64 k = 0; k < D; k += VW) {
                vec a = vset(0);
                for (i64 i = 0; i < n; i++) a = vadd(a, vload(x[i] + k));
                vstore(mean + k, vmul(a, vset(scale)));
            }
            words_dots(s, mean, t, m4, D);
            w->loss += words_losses(s, label, 1, m, m4, rate);
            for (i64 j = 0; j < m; j++) coef[1 + begin + j] = s[j];
            for (i64 k = 0; k < D; k += VW) {
                vec e = vset(0);
                for (i64 j = 0; j < m; j++) e = vfma(vset(s[j]), vload(t[j] + k), e);
                for (i64 p = w->left[c]; p <= w->right[c]; p++) {
                    real *to = changes + (p - w->first) * D + k;
                    if (p != w->at[c]) vstore(to, vadd(vload(to), e));
                }
            }
        }
    }
    coef[0] = 1;
}

/* rows[entry[0]] += coef[entry[2]] src[entry[1]] for n triples, in order. */
static void block_add_rows(void *rows, i64 stride, const void *src, const void *coef, const int32_t *entry, i64 n) {
    for (i64 e = 0; e < n; e++) {
        real *to = (real *)rows + entry[3 * e] * stride;
        const real *from = (const real *)src + entry[3 * e + 1] * stride;
        const vec f = vset(((const real *)coef)[entry[3 * e + 2]]);
        if (e + WORDS_AHEAD < n) {
            const real *next = (const real *)rows + entry[3 * (e + WORDS_AHEAD)] * stride;
            for (i64 k = 0; k < stride; k += 64 / (i64)sizeof(real)) PN_FETCH(next + k);
        }
        for (i64 k = 0; k < stride; k += VW) vstore(to + k, vfma(f, vload(from + k), vload(to + k)));
    }
}

#endif
