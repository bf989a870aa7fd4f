/* Convolution of images (NHWC), its gradients, and its transpose.
 *
 *   y[n,i,j,o] = act(sum over r,s,c of x[n, i sh + r dh - pt, j sw + s dw - pl, c] w[r,s,c,o] + b[o])   conv2d_fwd
 *     OUT y [N,OH,OW,O]; IN x [N,H,W,C], w [KH,KW,C/G,O], b [O] or NULL. Outside the image x is 0. With G groups,
 *     outputs o of group g see the channels of group g only.
 *   dz = dy act'(y); dx, dw, db by the chain rule                                                       conv2d_bwd
 *     OUT dx, dw, db, each may be NULL; IN dy, y, x, w.
 * dim: see conv_plan.h; par[0]: act's parameter. Outputs alias nothing. Some may be computed otherwise: winograd.h.
 *
 * The matrix of patches (im2col) is never made: along a row of pixels it lies in the image already, with one step from
 * patch to patch and long contiguous runs in a patch, and the tiles of conv_micro.h read it there. dx is such a
 * convolution of dz with the kernel turned round, one for each residue of the stride; dw is a product over pixels.
 * Few outputs leave lanes idle: then q neighbouring pixels are columns of one product (pn_conv_wide), for dw too, whose
 * q parts are added up at the end. Where no dx needs more, dz is made and used block by block, in a first-level cache.
 * Memory: padded images are copied band by band. Scratch: the packed weights, at most PN_CONV_GROUPS partial dw (they
 * and their order follow from the sizes), and per thread a band of x, of dz and a block of packed dz (conv_plan.h).
 * Parallel over units (bands or blocks of images), gradients over groups of units. 2 N OH OW KH KW C/G O flops each.
 */
#ifndef PN_CONV_H
#define PN_CONV_H

#include "conv_depthwise.h"
#include "conv_job.h"
#include "conv_micro.h"
#include "conv_rows.h"
#include "winograd.h"

#ifdef PN_PAIRS /* neither of them is one of pairs (pn_conv_pairs) */
#define CONV_DEPTHWISE(v) 0
#define CONV_FQ(v) ((i64)1)
#define CONV_DQ(v) ((i64)1)
#else
#define CONV_DEPTHWISE(v) pn_conv_depthwise(v)
#define CONV_FQ(v) ((v)->fq)
#define CONV_DQ(v) ((v)->dq)
#endif

#ifdef PN_AMX
#include "conv_amx.h"
#else
#ifdef CONV_APART /* rows of pixels that have the same segments are one: their ends need no lower tiles */
#define CONV_TOGETHER(tallest) ((tallest) <= CONV_APART)
static inline void conv_place(conv_tile *t, conv_walk *w, const conv_rows *g, i64 mr) {
    const i64 first = w->at, next = w->pixel + mr, turn = g->arow - g->pixels * g->astep;
    t->a = w->a + first;
    if (next < g->pixels) { /* all of them in one row */
        for (i64 k = 0; k < mr; k++) t->at[k] = k * g->astep;
        w->at += mr * g->astep;
        w->pixel = next;
        return;
    }
    for (i64 k = 0; k < mr; k++) {
        t->at[k] = w->at - first;
        w->at += g->astep;
        if (++w->pixel == g->pixels) {
            w->pixel = 0;
            w->at += turn;
        }
    }
}
#else
#define CONV_TOGETHER(tallest) 0
static inline void conv_place(conv_tile *t, conv_walk *w, const conv_rows *g, i64 mr) {
    t->a = w->a + w->pixel * g->astep;
    w->pixel += mr;
}
#endif

static void conv_rows_run(const conv_rows *g) {
    conv_tile t;
    const i64 terms = g->n1 * g->n2 * g->len;
    const real *b = g->b;
    t.step = g->astep;
    t.n2 = g->n2, t.len = g->len;
    t.ast1 = g->ast1, t.ast2 = g->ast2;
    t.ldc = g->cstep;
    t.add = 0;
    t.relu = g->act == PN_ACT_relu;
    t.alo = g->alo, t.blo = g->blo;
    for (i64 j = 0, width; j < g->n; j += width) {
        width = conv_width(g->n - j, g->packed_for);
        const i64 tallest = conv_tallest(width);
        const int together = CONV_TOGETHER(tallest) && g->crow == g->pixels * g->cstep;
        t.cols = pn_conv_min(width, g->n - j);
        t.bst2 = g->len * width, t.bst1 = g->n2 * t.bst2;
        t.bias = g->bias ? g->bias + j : NULL;
        for (i64 row = 0, count; row < g->rows; row += count) {
            i64 first, last;
            conv_inside(g, row, &first, &last);
            for (count = 1; together && row + count < g->rows; count++) {
                i64 from, to;
                conv_inside(g, row + count, &from, &to);
                if (from != first || to != last) break;
            }
            const i64 pixels = count * g->pixels, strips = (pixels + tallest - 1) / tallest;
            const i64 low = pixels / strips, extra = pixels % strips;
            t.n1 = last - first;
            t.b = b + first * t.bst1;
            t.c = g->c + row * g->crow + j;
            conv_walk at = {g->a + row * g->arow + first * g->ast1, 0, 0};
            for (i64 s = 0, mr; s < strips; s++, t.c += mr * g->cstep) {
                mr = low + (s < extra);
                conv_place(&t, &at, g, mr);
                conv_tile_call(&t, mr, width, 0);
                if (t.relu || g->act == PN_ACT_NONE) continue;
                if (t.cols == t.ldc) pn_act_apply(g->act, g->p, t.c, mr * t.cols);
                else
                    for (i64 k = 0; k < mr; k++) pn_act_apply(g->act, g->p, t.c + k * t.ldc, t.cols);
            }
        }
        b += terms * width;
    }
}
#endif

/* Copies rows [r0, r0 + rows) and columns [-pl, ...) of an image into a band, zero outside. */
static void conv_band(const pn_conv *v, real *to, const real *x, i64 r0, i64 rows) {
    const i64 h = v->h, w = v->w, c = v->c, pl = v->pl, width = v->xw, times = v->xc / c;
    const i64 left = pn_conv_min(pl, width), right = pn_conv_max(0, width - pl - w), mid = width - left - right;
    for (i64 r = r0; r < r0 + rows; r++, to += width * v->xc) {
        if (r < 0 || r >= h) {
            memset(to, 0, (size_t)(width * v->xc) * sizeof(real));
            continue;
        }
        memset(to, 0, (size_t)(left * v->xc) * sizeof(real));
        if (times == 1) memcpy(to + left * c, x + r * w * c, (size_t)(mid * c) * sizeof(real));
        else conv_repeat(to + left * v->xc, x + r * w * c, mid * c, times);
        memset(to + (left + mid) * v->xc, 0, (size_t)(right * v->xc) * sizeof(real));
    }
}

#ifdef PN_PAIRS
/* The band of conv_band as pairs of channels, the second plane at to + lo. */
static void conv_band_pairs(const pn_conv *v, real *to, i64 lo, const real *x, i64 r0, i64 rows) {
    const i64 w = v->w, half = v->c / 2, left = pn_conv_min(v->pl, v->xw), right = pn_conv_max(0, v->xw - v->pl - w);
    const i64 mid = v->xw - left - right;
    for (i64 r = r0; r < r0 + rows; r++, to += v->xw * half) {
        const int there = r >= 0 && r < v->h;
        for (int plane = 0; plane < (lo ? 2 : 1); plane++) {
            real *at = to + plane * lo;
            memset(at, 0, (size_t)((there ? left : v->xw) * half) * sizeof(real));
            if (there) memset(at + (left + mid) * half, 0, (size_t)(right * half) * sizeof(real));
        }
        if (there) pairs_run(to + left * half, lo, x + r * w * v->c, mid * v->c);
    }
}
#endif

/* Packs a kernel for q neighbouring pixels: to[r][s][i][p outs + o] = tap(r, s - p step)[i][o], 0 where there is none.
 * Tap (r, s) is at w + sign (r row + s tap), its element (i, o) at i is + o os. */
static void conv_wide_pack(real *to, const real *w, int sign, i64 row, i64 tap, i64 is, i64 os, i64 kh, i64 kw, i64 ins,
                           i64 outs, i64 q, i64 step, i64 pixels) {
    const i64 wide = kw + (q - 1) * step;
    for (i64 k = 0, width; k < q * outs; k += width) {
        width = conv_width(q * outs - k, pixels);
        for (i64 r = 0; r < kh; r++)
            for (i64 s = 0; s < wide; s++)
                for (i64 i = 0; i < ins; i++, to += width)
                    for (i64 c = 0; c < width; c++) {
                        const i64 p = (k + c) / outs, o = (k + c) % outs, at = s - p * step;
                        to[c] = p < q && at >= 0 && at < kw ? w[sign * (r * row + at * tap) + i * is + o * os] : 0;
                    }
    }
}

/* Forward */

static void conv_fwd_pack(const conv_job *j) {
    const pn_conv *v = &j->v;
    const i64 terms = v->kh * v->kw * v->cg, q = CONV_FQ(v);
    if (q > 1) {
        conv_wide_pack(j->weights, j->w, 1, v->kw * v->c * v->o, v->c * v->o, v->o, 1, v->kh, v->kw, v->c, v->o, q,
                       v->sw, v->ow / q);
        return;
    }
    for (i64 g = 0; g < v->groups; g++) {
        real *to = j->weights + g * CONV_LANES(terms) * pn_conv_round(v->og);
        for (i64 k = 0, width; k < v->og; k += width) {
            width = conv_width(v->og - k, v->ow);
            conv_pack(to, conv_plane(j, j->fs.weights), width, j->w + g * v->og + k, v->o, 1,
                      pn_conv_min(width, v->og - k), terms);
            to += CONV_LANES(terms) * width;
        }
    }
}

static void conv_fwd_units(void *ctx, i64 lo, i64 hi, int ith) {
    const conv_job *j = (const conv_job *)ctx;
    const pn_conv *v = &j->v;
    real *band = j->threads + ith * (j->fs.band + j->fs.pairs);
#ifdef PN_PAIRS
    real *paired = band; /* in place of the band */
    pairs_begin();
#endif
    for (i64 u = lo; u < hi; u++) {
        const i64 n = u / j->u.bands, o0 = u % j->u.bands * j->u.rows, o1 = pn_conv_min(v->oh, o0 + j->u.rows);
        const real *x = j->x + (n * v->h + o0 * v->sh) * v->w * v->c;
        real *y = j->out + (n * v->oh + o0) * v->ow * v->o;
#ifdef PN_PAIRS
        conv_band_pairs(v, paired, conv_plane(j, j->fs.pairs), j->x + n * v->h * v->w * v->c, o0 * v->sh - v->pt,
                        pn_conv_xrows(v, o1 - o0));
#else
        if (v->copied) {
            conv_band(v, band, j->x + n * v->h * v->w * v->c, o0 * v->sh - v->pt, pn_conv_xrows(v, o1 - o0));
            x = band;
        }
#endif
        if (CONV_DEPTHWISE(v)) {
            for (i64 i = o0; i < o1; i++, x += v->sh * v->xw * v->xc, y += v->ow * v->o) {
                conv_depthwise(y, v->o, x, v->sw * v->xc, v->ow, v->kh, v->dh * v->xw * v->xc, v->kw, v->dw * v->xc,
                               j->w, v->kw * v->o, v->o, v->o, j->bias);
                if (v->act) pn_act_apply(v->act, j->p, y, v->ow * v->o);
            }
            continue;
        }
        for (i64 g = 0; g < v->groups; g++) {
            const int run = v->dw == 1 && v->groups == 1; /* a row of a patch is contiguous */
            conv_rows r;
            r.a = x + g * v->cg;
            r.rows = o1 - o0, r.pixels = r.packed_for = v->ow / CONV_FQ(v);
            r.arow = v->sh * v->xw * v->c, r.astep = CONV_FQ(v) * v->sw * v->c;
            r.y0 = o0 * v->sh - v->pt, r.yrow = v->sh, r.ystep = v->dh, r.ylimit = v->h;
            r.n1 = v->kh, r.ast1 = v->dh * v->xw * v->c;
            r.n2 = run ? 1 : v->kw, r.ast2 = v->dw * v->c;
            r.len = run ? (v->kw + (CONV_FQ(v) - 1) * v->sw) * v->c : v->cg;
            r.b = j->weights + g * CONV_LANES(v->kh * v->kw * v->cg) * pn_conv_round(v->og);
            r.n = CONV_FQ(v) * v->og;
            r.c = y + g * v->og;
            r.crow = v->ow * v->o, r.cstep = CONV_FQ(v) * v->o;
            r.bias = !j->bias ? NULL : CONV_FQ(v) > 1 ? j->biases : j->bias + g * v->og;
            r.act = v->act, r.p = j->p;
            r.alo = r.blo = 0;
#ifdef PN_PAIRS
            conv_rows_pair(&r, paired + g * v->cg / 2, conv_plane(j, j->fs.pairs), conv_plane(j, j->fs.weights));
#endif
            conv_rows_run(&r);
        }
    }
#ifdef PN_PAIRS
    pairs_end();
#endif
}

enum { CONV_Y, CONV_X, CONV_W, CONV_BIAS };
static int conv2d_fwd(const pn_instr *I) {
    conv_job j;
    memset(&j, 0, sizeof j);
    pn_conv_read(&j.v, I->dim);
#ifdef PN_PAIRS
    if (!pn_conv_pairs(&j.v, 0)) return pn_find_kernel("conv2d_fwd", PN_F32, PN_TARGET_AVX512)(I);
    j.planes = I->ops->planes;
#endif
    pn_conv_fwd_units(&j.u, &j.v);
    pn_conv_fwd_room(&j.fs, &j.v, &j.u, j.planes);
    j.out = (real *)I->arg[CONV_Y];
    j.x = (const real *)I->arg[CONV_X];
    j.w = (const real *)I->arg[CONV_W];
    j.bias = (const real *)I->arg[CONV_BIAS];
    j.p = (real)I->par[0];
    if (wino_fwd(&j, I)) return PN_OK;
    j.weights = (real *)(I->kept ? I->kept : I->scratch);
    j.biases = (real *)I->scratch + j.fs.weights;
    j.threads = j.biases + j.fs.bias;
    if (j.fs.weights && (I->keeping || (!I->kept && j.u.count > 0))) conv_fwd_pack(&j);
    if (I->keeping || j.u.count == 0) return PN_OK;
    for (i64 i = 0; CONV_FQ(&j.v) > 1 && j.bias && i < CONV_FQ(&j.v) * j.v.o; i++) j.biases[i] = j.bias[i % j.v.o];
    pn_for(j.u.count, 1, conv_cost(&j.v), I->nth, conv_fwd_units, &j);
    return PN_OK;
}
#endif
