/* Winograd's minimal filtering F(4x4, 3x3) for 3 x 3 kernels with stride 1: forward, and dx, which is one with the
 * kernel turned round. (Lavin & Gray, Fast algorithms for convolutional neural networks, CVPR 2016.)
 *
 *   Y = A' [sum over channels of (G g G') * (B' d B)] A      for each tile Y of 4 x 4 outputs, from the 6 x 6 patch d
 *
 * That multiplies 36 times where the direct convolution does 144 times. It is the product of polynomials by their
 * values at 0, a, -a, b, -b and infinity. With a = 2/3, b = 3/2 instead of the usual 1 and 2 the error is half as
 * large, since the values stay nearer to 1; and as a b = 1, the transform B takes as many operations.
 *
 * The tiles of all images are one list, cut into units (winograd_plan.h). A unit transforms its patches, whose channels
 * are lanes, then for each panel of outputs multiplies 36 matrices [tiles, channels] [channels, panel] with the tiles
 * of gemm_micro.h, and transforms the panel back while it lies in a second-level cache. An output depends on its own
 * tile alone, and its sum is one chain over the channels (per block of PN_GEMM_KC), so the bits depend neither on units
 * nor on threads. 2 N OH OW KH KW C O / 4 flops; 144 C + 120 O more for each tile.
 */
#ifndef PN_WINOGRAD_H
#define PN_WINOGRAD_H

#include "../winograd_plan.h"
#include "conv_job.h"
#include "conv_micro.h"

#if !defined(PN_PAIRS) && defined(PN_REAL_F32)
#define CONV_WINOGRAD

#define WINO_A ((real)(2.0 / 3.0))
#define WINO_A2 ((real)(4.0 / 9.0))
#define WINO_A3 ((real)(8.0 / 27.0))
#define WINO_B ((real)1.5)
#define WINO_B2 ((real)2.25)
#define WINO_B3 ((real)3.375)
/* What G multiplies the values at a and -a by, 1 / (2 a^2 (a^2 - b^2)), and those at b and -b; the others by 1. */
#define WINO_KA ((real)(-81.0 / 130.0))
#define WINO_KB ((real)(8.0 / 65.0))

/* The first `lanes` lanes: masked stores are slow on some processors. */
static inline void wino_put(real *to, vec x, i64 lanes) {
    if (lanes == VW) vstore(to, x);
    else vstoren(to, x, lanes);
}

#define WINO_EACH(i, n) GEMM_UNROLL for (int i = 0; i < (n); i++)

/* B' d: images, 6 to 6. */
GEMM_INLINE void wino_image(vec t[6], const vec d[6]) {
    const vec sum = vset(WINO_A2 + WINO_B2);
    const vec even_a = vfnma(vset(WINO_B2), d[2], d[4]), odd_a = vfnma(vset(WINO_B), d[1], vmul(vset(WINO_A), d[3]));
    const vec even_b = vfnma(vset(WINO_A2), d[2], d[4]), odd_b = vfnma(vset(WINO_A), d[1], vmul(vset(WINO_B), d[3]));
    t[0] = vfnma(sum, d[2], vadd(d[0], d[4]));
    t[1] = vadd(even_a, odd_a);
    t[2] = vsub(even_a, odd_a);
    t[3] = vadd(even_b, odd_b);
    t[4] = vsub(even_b, odd_b);
    t[5] = vfnma(sum, d[3], vadd(d[1], d[5]));
}

/* G g: kernels, 3 to 6. */
GEMM_INLINE void wino_kernel(vec t[6], const vec g[3]) {
    const vec even_a = vfma(vset(WINO_A2), g[2], g[0]), odd_a = vmul(vset(WINO_A), g[1]);
    const vec even_b = vfma(vset(WINO_B2), g[2], g[0]), odd_b = vmul(vset(WINO_B), g[1]);
    t[0] = g[0];
    t[1] = vmul(vset(WINO_KA), vadd(even_a, odd_a));
    t[2] = vmul(vset(WINO_KA), vsub(even_a, odd_a));
    t[3] = vmul(vset(WINO_KB), vadd(even_b, odd_b));
    t[4] = vmul(vset(WINO_KB), vsub(even_b, odd_b));
    t[5] = g[2];
}

/* A' m: outputs, 6 to 4. */
GEMM_INLINE void wino_output(vec y[4], const vec m[6]) {
    const vec even_a = vadd(m[1], m[2]), odd_a = vsub(m[1], m[2]), even_b = vadd(m[3], m[4]), odd_b = vsub(m[3], m[4]);
    y[0] = vadd(m[0], vadd(even_a, even_b));
    y[1] = vfma(vset(WINO_B), odd_b, vmul(vset(WINO_A), odd_a));
    y[2] = vfma(vset(WINO_B2), even_b, vmul(vset(WINO_A2), even_a));
    y[3] = vfma(vset(WINO_B3), odd_b, vfma(vset(WINO_A3), odd_a, m[5]));
}

/* Images that tiles are cut from: x, or where act is one, x act'(y). */
typedef struct wino_images {
    const real *x, *y;
    i64 h, w, c;
    int act;
    real p;
} wino_images;

/* The pixels [r0, r0 + size) x [c0, c0 + size) of image n, channels [first, first + count): as they lie if they are
 * inside the image, else a copy with zeros. Sets the steps from row to row and from pixel to pixel. */
static const real *wino_patch(const wino_images *m, i64 n, i64 r0, i64 c0, i64 size, i64 first, i64 count, real *copy,
                              i64 *row, i64 *col) {
    const i64 at = ((n * m->h + r0) * m->w + c0) * m->c + first;
    const i64 left = pn_conv_min(size, pn_conv_max(0, -c0)), right = pn_conv_max(left, pn_conv_min(size, m->w - c0));
    if (m->act == PN_ACT_NONE && r0 >= 0 && c0 >= 0 && r0 + size <= m->h && c0 + size <= m->w) {
        *row = m->w * m->c;
        *col = m->c;
        return m->x + at;
    }
    *row = size * count;
    *col = count;
    for (i64 r = r0, i = at; r < r0 + size; r++, i += m->w * m->c) {
        real *to = copy + (r - r0) * size * count;
        const int inside = r >= 0 && r < m->h;
        const i64 runs = !inside ? 0 : count == m->c ? left < right : right - left;
        const i64 run = count == m->c ? (right - left) * count : count;
        memset(to, 0, (size_t)((inside ? left : size) * count) * sizeof(real));
        for (i64 s = 0; s < runs; s++) {
            const i64 from = i + (left + s) * m->c;
            pn_act_grad(m->act, m->p, to + (left + s) * count, m->x + from, m->y ? m->y + from : NULL, run);
        }
        if (inside) memset(to + right * count, 0, (size_t)((size - right) * count) * sizeof(real));
    }
    return copy;
}

/* u[6 i + j][:] = B' d B of a patch with n channels. */
static void wino_transform(real *u, i64 plane, const real *d, i64 row, i64 col, i64 n) {
    for (i64 c = 0; c < n; c += VW) {
        const i64 lanes = gemm_lanes(n - c);
        vec t[6][6], in[6], out[6];
        WINO_EACH(j, 6) {
            WINO_EACH(i, 6) in[i] = vloadn(d + i * row + j * col + c, lanes);
            wino_image(out, in);
            WINO_EACH(i, 6) t[i][j] = out[i];
        }
        WINO_EACH(i, 6) {
            wino_image(out, t[i]);
            WINO_EACH(j, 6) vstore(u + (6 * i + j) * plane + c, out[j]);
        }
    }
}

typedef struct wino_job {
    pn_wino t;
    wino_images in;
    i64 pt, pl;         /* how far the first patch begins above and left of the image */
    const real *w;      /* tap (r, s) at w + (3 r + s) tap, of term p at p ldw, `outs` columns */
    i64 tap, ldw, outs;
    int flip;           /* taps in reverse */
    real *out;          /* [n, oh, ow, outs] */
    i64 oh, ow;
    const real *bias;
    int act;
    real p;
    real *weights, *threads;
} wino_job;

/* Packs the transformed kernels: panel after panel, in each the 36 matrices [terms, width]. */
static void wino_weights(void *ctx, i64 lo, i64 hi, int ith) {
    const wino_job *k = (const wino_job *)ctx;
    real *panel = k->weights;
    (void)ith;
    for (i64 j = 0, width, plane; j < k->t.columns; j += width, panel += PN_WINO_MATRICES * plane) {
        width = conv_width(k->t.columns - j, k->t.block);
        plane = pn_wino_odd(k->t.terms * width);
        for (i64 p = lo; p < hi; p++)
            for (i64 v = 0; v < width; v += VW) {
                const i64 lanes = pn_conv_max(0, gemm_lanes(k->outs - j - v));
                real *to = panel + p * width + v;
                vec t[6][3], in[3], out[6];
                WINO_EACH(s, 3) {
                    WINO_EACH(r, 3) {
                        const i64 tap = k->flip ? 8 - (3 * r + s) : 3 * r + s;
                        in[r] = lanes ? vloadn(k->w + tap * k->tap + p * k->ldw + j + v, lanes) : vset(0);
                    }
                    wino_kernel(out, in);
                    WINO_EACH(i, 6) t[i][s] = out[i];
                }
                WINO_EACH(i, 6) {
                    wino_kernel(out, t[i]);
                    WINO_EACH(s, 6) vstore(to + (6 * i + s) * plane, out[s]);
                }
            }
    }
}

/* C[m, width] = A B (+ C), B a panel; at: A is read by terms, which lie lda apart. */
static void wino_product(i64 m, i64 width, i64 terms, const real *a, i64 lda, int at, const real *b, real *c, int add) {
    const i64 kc = pn_gemm_kc(terms);
#if VW == 1 /* the compiler vectorizes along the panel */
    for (i64 p0 = 0; p0 < terms; p0 += kc)
        for (i64 i = 0; i < m; i++)
            for (i64 j = 0; j < width; j += CONV_NR) {
                real sum[CONV_NR] = {0}, *to = c + i * width + j;
                for (i64 p = p0; p < terms && p < p0 + kc; p++) {
                    const real ap = at ? a[i + p * lda] : a[i * lda + p];
                    for (i64 q = 0; q < CONV_NR; q++) sum[q] = vfma(ap, b[p * width + j + q], sum[q]);
                }
                for (i64 q = 0; q < CONV_NR; q++) to[q] = add || p0 > 0 ? to[q] + sum[q] : sum[q];
            }
#else
    const i64 tallest = conv_tallest(width), strips = (m + tallest - 1) / tallest, low = m / strips, extra = m % strips;
    gemm_tile t;
    t.ldc = t.ldb = width;
    t.far = 0;
    t.step = lda;
    t.tail = VW;
    t.bias = NULL;
    for (i64 p = 0; p < terms; p += kc) {
        t.k = pn_conv_min(kc, terms - p);
        t.add = add || p > 0;
        t.b = b + p * width;
        for (i64 s = 0, i = 0, mr; s < strips; s++, i += mr) {
            mr = low + (s < extra);
            t.a = at ? a + i + p * lda : a + i * lda + p;
            t.c = c + i * width;
            GEMM_KERNEL(mr, width / VW, at, VW)(&t);
        }
    }
#endif
}

/* The outputs of a tile from its 36 sums: columns [j, j + width) of rows x cols pixels at y. */
static void wino_store(const wino_job *k, real *y, const real *m, i64 j, i64 width, i64 rows, i64 cols) {
    const vec zero = vset(0);
    for (i64 v = 0; v < width && j + v < k->outs; v += VW) {
        const i64 lanes = gemm_lanes(k->outs - j - v);
        const vec bias = k->bias ? vloadn(k->bias + j + v, lanes) : zero;
        vec t[4][6], in[6], out[4];
        WINO_EACH(s, 6) {
            WINO_EACH(r, 6) in[r] = vload(m + (6 * r + s) * k->t.m_plane + v);
            wino_output(out, in);
            WINO_EACH(r, 4) t[r][s] = out[r];
        }
        WINO_EACH(r, 4) {
            if (r >= rows) break;
            wino_output(out, t[r]);
            WINO_EACH(s, 4) {
                real *to = y + (r * k->ow + s) * k->outs + j + v;
                out[s] = vadd(out[s], bias);
                if (k->act == PN_ACT_relu) out[s] = relu_y(out[s], zero, zero);
                if (s < cols) wino_put(to, out[s], lanes);
            }
        }
    }
}

/* Where tile t lies: its image, its first row and column. */
typedef struct wino_place {
    i64 n, r, c;
} wino_place;
static inline wino_place wino_at(i64 tile, i64 rows, i64 cols) {
    const wino_place at = {tile / (rows * cols), tile / cols % rows * 4, tile % cols * 4};
    return at;
}

static void wino_units(void *ctx, i64 lo, i64 hi, int ith) {
    const wino_job *k = (const wino_job *)ctx;
    const pn_wino *t = &k->t;
    real *u = k->threads + ith * pn_wino_thread(t), *m = u + PN_WINO_MATRICES * t->u_plane;
    real *copy = m + PN_WINO_MATRICES * t->m_plane;
    for (i64 unit = lo; unit < hi; unit++) {
        const i64 first = unit * t->block, tiles = pn_conv_min(t->block, t->tiles - first);
        for (i64 i = 0, row, col; i < tiles; i++) {
            const wino_place at = wino_at(first + i, t->rows, t->cols);
            const real *d = wino_patch(&k->in, at.n, at.r - k->pt, at.c - k->pl, 6, 0, t->terms, copy, &row, &col);
            wino_transform(u + i * t->line, t->u_plane, d, row, col, t->terms);
        }
        const real *b = k->weights;
        for (i64 j = 0, width, plane; j < t->columns; j += width) {
            width = conv_width(t->columns - j, t->block);
            plane = pn_wino_odd(t->terms * width);
            for (i64 f = 0; f < PN_WINO_MATRICES; f++, b += plane)
                wino_product(tiles, width, t->terms, u + f * t->u_plane, t->line, 0, b, m + f * t->m_plane, 0);
            for (i64 i = 0; i < tiles; i++) {
                const wino_place at = wino_at(first + i, t->rows, t->cols);
                wino_store(k, k->out + ((at.n * k->oh + at.r) * k->ow + at.c) * k->outs, m + i * width, j, width,
                           k->oh - at.r, k->ow - at.c);
            }
        }
        for (i64 i = 0; i < tiles && k->act != PN_ACT_NONE && k->act != PN_ACT_relu; i++) {
            const wino_place at = wino_at(first + i, t->rows, t->cols);
            for (i64 r = at.r; r < pn_conv_min(k->oh, at.r + 4); r++)
                pn_act_apply(k->act, k->p, k->out + ((at.n * k->oh + r) * k->ow + at.c) * k->outs,
                             pn_conv_min(4, k->ow - at.c) * k->outs);
        }
    }
}

/* Transforms and packs the weights. */
static void wino_pack(wino_job *k, int nth) { pn_for(k->t.terms, 8, 0.2 * (double)k->t.weights, nth, wino_weights, k); }
/* Runs a job; `cost` is the direct convolution's. */
static void wino_run(wino_job *k, double cost, int nth) { pn_for(k->t.count, 1, cost / 3, nth, wino_units, k); }

/* The forward pass, if it is faster this way; returns whether. */
static int wino_fwd(const conv_job *j, const pn_instr *I) {
    const pn_conv *v = &j->v;
    wino_job k;
    if (!pn_wino_fwd(v)) return 0;
    memset(&k, 0, sizeof k);
    pn_wino_cut(&k.t, v->n, v->oh, v->ow, v->c, v->o);
    k.in.x = j->x;
    k.in.h = v->h, k.in.w = v->w, k.in.c = v->c;
    k.pt = v->pt, k.pl = v->pl;
    k.w = j->w;
    k.tap = v->c * v->o, k.ldw = k.outs = v->o;
    k.out = j->out;
    k.oh = v->oh, k.ow = v->ow;
    k.bias = j->bias;
    k.act = v->act, k.p = j->p;
    k.weights = (real *)(I->kept ? I->kept : I->scratch);
    k.threads = (real *)I->scratch + k.t.weights;
    if (I->keeping || !I->kept) wino_pack(&k, I->nth);
    if (!I->keeping) wino_run(&k, conv_cost(v), I->nth);
    return 1;
}

/* dx: the patches of dz begin 2 - pt rows above it, and the kernel is turned round and transposed. */
static void wino_dx(const conv_job *j, const pn_instr *I) {
    const pn_conv *v = &j->v;
    wino_job k;
    real *turned = (real *)I->scratch;
    memset(&k, 0, sizeof k);
    pn_wino_cut(&k.t, v->n, v->h, v->w, v->o, v->c);
    for (i64 tap = 0; tap < 9; tap++)
        conv_pack(turned + tap * v->o * k.t.columns, 0, k.t.columns, j->w + tap * v->c * v->o, 1, v->o, v->c, v->o);
    k.in.x = j->dy, k.in.y = j->y;
    k.in.h = v->oh, k.in.w = v->ow, k.in.c = v->o;
    k.in.act = v->act, k.in.p = j->p;
    k.pt = 2 - v->pt, k.pl = 2 - v->pl;
    k.w = turned;
    k.tap = v->o * k.t.columns, k.ldw = k.t.columns, k.outs = v->c;
    k.flip = 1;
    k.out = j->dx;
    k.oh = v->h, k.ow = v->w;
    k.weights = turned + 9 * v->o * k.t.columns;
    k.threads = k.weights + k.t.weights;
    wino_pack(&k, I->nth);
    wino_run(&k, conv_cost(v), I->nth);
}
#else
static int wino_fwd(const conv_job *j, const pn_instr *I) {
    (void)j;
    (void)I;
    return 0;
}
#endif
#endif
