/* Convolution of images (NHWC), its gradients, and its transpose.
 *
 *   y[n,i,j,o] = act(sum over r,s,c of x[n, i sh + r dh - pt, j sw + s dw - pl, c] w[r,s,c,o] + b[o])   conv2d_fwd
 *     OUT y [N,OH,OW,O]; IN x [N,H,W,C], w [KH,KW,C/G,O], b [O] or NULL. Outside the image x is 0. With G groups,
 *     outputs o of group g see the channels of group g only.
 *   dz = dy act'(y); dx, dw, db by the chain rule                                                       conv2d_bwd
 *     OUT dx, dw, db, each may be NULL; IN dy, y, x, w.
 * dim: see conv_plan.h; par[0]: act's parameter. Outputs alias nothing.
 *
 * The matrix of patches (im2col) is never made: along a row of pixels it lies in the image already, with one step from
 * patch to patch and long contiguous runs in a patch, and the tiles of conv_micro.h read it there. dx is such a
 * convolution of dz with the kernel turned round, one for each residue of the stride; dw is a product over pixels.
 * Memory: padded images are copied band by band. Scratch: the packed weights, at most PN_CONV_GROUPS partial dw (they
 * and their order follow from the sizes), and per thread a band of x, of dz and a block of packed dz (conv_plan.h).
 * Parallel over units (bands or blocks of images), gradients over groups of units. 2 N OH OW KH KW C/G O flops each.
 */
#include "../conv_plan.h"
#include "conv_micro.h"

/* Rows of pixels that share one packed matrix: C[row][pixel][:] = patches[row][pixel][:] B + bias. */
typedef struct conv_rows {
    const real *a;
    i64 rows, pixels;
    i64 arow, astep;            /* from row to row, from pixel to pixel */
    i64 n1, n2, len, ast1, ast2; /* terms of a patch */
    i64 y0, yrow, ystep, ylimit; /* segment s1 of a row lies at y0 + row yrow + s1 ystep; outside [0, ylimit) it is 0 */
    const real *b;
    i64 n;                      /* columns */
    real *c;
    i64 crow, cstep;
    const real *bias;
    int act;
    real p;
} conv_rows;

static void conv_rows_run(const conv_rows *g) {
    conv_tile t;
    const i64 terms = g->n1 * g->n2 * g->len;
    const real *b = g->b;
    t.step = g->astep;
    t.n2 = g->n2, t.len = g->len;
    t.ast1 = g->ast1, t.ast2 = g->ast2;
    t.ldc = g->cstep;
    t.add = 0;
    t.relu = g->act == PN_ACT_RELU;
    for (i64 j = 0, width; j < g->n; j += width) {
        width = conv_width(g->n - j, g->pixels);
        const i64 tallest = conv_tallest(width), strips = (g->pixels + tallest - 1) / tallest;
        const i64 low = g->pixels / strips, extra = g->pixels % strips;
        t.cols = pn_conv_min(width, g->n - j);
        t.bst2 = g->len * width, t.bst1 = g->n2 * t.bst2;
        t.bias = g->bias ? g->bias + j : NULL;
        for (i64 row = 0; row < g->rows; row++) {
            const i64 y = g->y0 + row * g->yrow, step = g->ystep > 0 ? g->ystep : 1;
            const i64 first = pn_conv_max(0, pn_conv_min(g->n1, pn_conv_ceil(-y, step)));
            const i64 last = pn_conv_max(first, pn_conv_min(g->n1, pn_conv_ceil(g->ylimit - y, step)));
            t.n1 = last - first;
            t.b = b + first * t.bst1;
            for (i64 s = 0, i = 0, mr; s < strips; s++, i += mr) {
                mr = low + (s < extra);
                t.a = g->a + row * g->arow + first * g->ast1 + i * g->astep;
                t.c = g->c + row * g->crow + i * g->cstep + j;
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

/* Copies rows [r0, r0 + rows) and columns [-pl, -pl + width) of an image, zero outside. */
static void conv_pad(real *to, const real *x, i64 h, i64 w, i64 c, i64 r0, i64 rows, i64 pl, i64 width) {
    const i64 left = pn_conv_min(pl, width), right = pn_conv_max(0, width - pl - w), mid = width - left - right;
    for (i64 r = r0; r < r0 + rows; r++, to += width * c) {
        if (r < 0 || r >= h) {
            memset(to, 0, (size_t)(width * c) * sizeof(real));
            continue;
        }
        memset(to, 0, (size_t)(left * c) * sizeof(real));
        memcpy(to + left * c, x + r * w * c, (size_t)(mid * c) * sizeof(real));
        memset(to + (left + mid) * c, 0, (size_t)(right * c) * sizeof(real));
    }
}

/* The terms of one residue class of a strided kernel's axis: taps k = first, first - q, ..., `count` of them. */
typedef struct conv_taps {
    i64 first, q, count, next; /* next: pixels of dz from one tap to the next */
} conv_taps;

static conv_taps conv_class(i64 k, i64 dilation, i64 stride, i64 residue) {
    conv_taps t = {0, 1, 0, 0};
    for (i64 r = k - 1; r >= 0; r--)
        if (r * dilation % stride == residue) {
            if (t.count == 0) t.first = r;
            if (t.count == 1) t.q = t.first - r;
            t.count++;
        }
    t.next = t.q * dilation / stride;
    return t;
}

typedef struct conv_job {
    pn_conv v;
    pn_conv_units u;
    i64 groups;          /* of units, for dw and db */
    real *dx, *dw, *db;
    const real *dy, *y, *x, *w;
    real p;
    real *weights, *biases, *parts, *threads;
    pn_conv_fwd_scratch fs;
    pn_conv_bwd_scratch bs;
    const real *bias;
    real *out;
} conv_job;

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
    const i64 terms = v->kh * v->kw * v->cg, q = v->fq;
    if (q > 1) {
        conv_wide_pack(j->weights, j->w, 1, v->kw * v->c * v->o, v->c * v->o, v->o, 1, v->kh, v->kw, v->c, v->o, q, v->sw,
                       v->ow / q);
        for (i64 i = 0; j->bias && i < q * v->o; i++) j->biases[i] = j->bias[i % v->o];
        return;
    }
    for (i64 g = 0; g < v->groups; g++) {
        real *to = j->weights + g * terms * pn_conv_round(v->og);
        for (i64 k = 0, width; k < v->og; k += width) {
            width = conv_width(v->og - k, v->ow);
            conv_pack(to, width, j->w + g * v->og + k, v->o, 1, pn_conv_min(width, v->og - k), terms);
            to += terms * width;
        }
    }
}

/* y[pixel][c] = sum over taps of a[pixel + tap][c] w[tap][c] for one row of pixels, channels as lanes. */
static void conv_depthwise(real *y, i64 ystep, const real *a, i64 astep, i64 pixels, i64 n1, i64 ast1, i64 n2, i64 ast2,
                           const real *w, i64 wst1, i64 wst2, i64 channels, const real *bias) {
    for (i64 c = 0; c < channels; c += VW) {
        const i64 lanes = pn_conv_min(VW, channels - c);
        const vec b = bias ? vloadn(bias + c, lanes) : vset(0);
        for (i64 i = 0; i < pixels; i += 4) {
            const i64 some = pn_conv_min(4, pixels - i);
            vec s0 = vset(0), s1 = s0, s2 = s0, s3 = s0;
            for (i64 r = 0; r < n1; r++)
                for (i64 s = 0; s < n2; s++) {
                    const real *p = a + i * astep + r * ast1 + s * ast2 + c;
                    const vec k = vloadn(w + r * wst1 + s * wst2 + c, lanes);
                    s0 = vfma(vloadn(p, lanes), k, s0);
                    if (some > 1) s1 = vfma(vloadn(p + astep, lanes), k, s1);
                    if (some > 2) s2 = vfma(vloadn(p + 2 * astep, lanes), k, s2);
                    if (some > 3) s3 = vfma(vloadn(p + 3 * astep, lanes), k, s3);
                }
            vstoren(y + i * ystep + c, vadd(s0, b), lanes);
            if (some > 1) vstoren(y + (i + 1) * ystep + c, vadd(s1, b), lanes);
            if (some > 2) vstoren(y + (i + 2) * ystep + c, vadd(s2, b), lanes);
            if (some > 3) vstoren(y + (i + 3) * ystep + c, vadd(s3, b), lanes);
        }
    }
}

static void conv_fwd_units(void *ctx, i64 lo, i64 hi, int ith) {
    const conv_job *j = (const conv_job *)ctx;
    const pn_conv *v = &j->v;
    real *band = j->threads + ith * j->fs.band;
    for (i64 u = lo; u < hi; u++) {
        const i64 n = u / j->u.bands, o0 = u % j->u.bands * j->u.rows, o1 = pn_conv_min(v->oh, o0 + j->u.rows);
        const real *x = j->x + (n * v->h + o0 * v->sh) * v->w * v->c;
        real *y = j->out + (n * v->oh + o0) * v->ow * v->o;
        if (v->padded) {
            conv_pad(band, j->x + n * v->h * v->w * v->c, v->h, v->w, v->c, o0 * v->sh - v->pt,
                     pn_conv_xrows(v, o1 - o0), v->pl, v->xw);
            x = band;
        }
        if (pn_conv_depthwise(v)) {
            for (i64 i = o0; i < o1; i++, x += v->sh * v->xw * v->c, y += v->ow * v->o) {
                conv_depthwise(y, v->o, x, v->sw * v->c, v->ow, v->kh, v->dh * v->xw * v->c, v->kw, v->dw * v->c, j->w,
                               v->kw * v->o, v->o, v->o, j->bias);
                if (v->act) pn_act_apply(v->act, j->p, y, v->ow * v->o);
            }
            continue;
        }
        for (i64 g = 0; g < v->groups; g++) {
            const int run = v->dw == 1 && v->groups == 1; /* a row of a patch is contiguous */
            conv_rows r;
            r.a = x + g * v->cg;
            r.rows = o1 - o0, r.pixels = v->ow / v->fq;
            r.arow = v->sh * v->xw * v->c, r.astep = v->fq * v->sw * v->c;
            r.y0 = o0 * v->sh - v->pt, r.yrow = v->sh, r.ystep = v->dh, r.ylimit = v->h;
            r.n1 = v->kh, r.ast1 = v->dh * v->xw * v->c;
            r.n2 = run ? 1 : v->kw, r.ast2 = v->dw * v->c;
            r.len = run ? (v->kw + (v->fq - 1) * v->sw) * v->c : v->cg;
            r.b = j->weights + g * v->kh * v->kw * v->cg * pn_conv_round(v->og);
            r.n = v->fq * v->og;
            r.c = y + g * v->og;
            r.crow = v->ow * v->o, r.cstep = v->fq * v->o;
            r.bias = !j->bias ? NULL : v->fq > 1 ? j->biases : j->bias + g * v->og;
            r.act = v->act, r.p = j->p;
            conv_rows_run(&r);
        }
    }
}

static double conv_cost(const pn_conv *v) {
    return 2.0 * (double)(v->n * v->oh * v->ow * v->o) * (double)(v->kh * v->kw * v->cg) / (12 * VW);
}

static int conv2d_fwd(const pn_instr *I) {
    conv_job j;
    memset(&j, 0, sizeof j);
    pn_conv_read(&j.v, I->dim);
    pn_conv_fwd_units(&j.u, &j.v);
    pn_conv_fwd_room(&j.fs, &j.v, &j.u);
    j.out = (real *)I->arg[0];
    j.x = (const real *)I->arg[1];
    j.w = (const real *)I->arg[2];
    j.bias = (const real *)I->arg[3];
    j.p = (real)I->par[0];
    j.weights = (real *)I->scratch;
    j.biases = j.weights + j.fs.weights;
    j.threads = j.biases + j.fs.bias;
    if (j.u.count == 0) return PN_OK;
    if (j.fs.weights) conv_fwd_pack(&j);
    pn_for(j.u.count, 1, conv_cost(&j.v), I->nth, conv_fwd_units, &j);
    return PN_OK;
}

/* Gradients */

/* Columns of a packed matrix. */
static i64 conv_columns(i64 n, i64 pixels) {
    i64 sum = 0;
    for (i64 k = 0, width; k < n; k += width, sum += width) width = conv_width(n - k, pixels);
    return sum;
}

/* Packs w for dx: for each residue class of rows and columns its taps in turn, [taps, og] x [cg]. */
static void conv_bwd_pack(const conv_job *j) {
    const pn_conv *v = &j->v;
    const i64 pixels = (v->w + v->sw - 1) / v->sw;
    real *to = j->weights;
    if (v->dq > 1) {
        for (i64 cy = 0; cy < v->sh; cy++) {
            const conv_taps ty = conv_class(v->kh, v->dh, v->sh, cy);
            const real *w = j->w + (ty.first * v->kw + v->kw - 1) * v->c * v->o;
            conv_wide_pack(to, w, -1, ty.q * v->kw * v->c * v->o, v->c * v->o, 1, v->o, ty.count, v->kw, v->o, v->c,
                           v->dq, 1, v->w / v->dq);
            to += ty.count * (v->kw + v->dq - 1) * v->o * conv_columns(v->dq * v->c, v->w / v->dq);
        }
        return;
    }
    for (i64 g = 0; g < v->groups; g++)
        for (i64 cy = 0; cy < v->sh; cy++)
            for (i64 cx = 0; cx < v->sw; cx++) {
                const conv_taps ty = conv_class(v->kh, v->dh, v->sh, cy), tx = conv_class(v->kw, v->dw, v->sw, cx);
                for (i64 k = 0, width; k < v->cg; k += width) {
                    width = conv_width(v->cg - k, pixels);
                    for (i64 a = 0; a < ty.count; a++)
                        for (i64 b = 0; b < tx.count; b++) {
                            const i64 tap = (ty.first - a * ty.q) * v->kw + tx.first - b * tx.q;
                            const real *w = j->w + (tap * v->cg + k) * v->o + g * v->og;
                            conv_pack(to, width, w, 1, v->o, pn_conv_min(width, v->cg - k), v->og);
                            to += v->og * width;
                        }
                }
            }
}

/* dx of one image, rows [z->i0, z->i1), from its band of dz. */
static void conv_dx(const conv_job *j, const pn_conv_zone *z, const real *band, real *dx) {
    const pn_conv *v = &j->v;
    const i64 zw = z->c1 - z->c0, pixels = (v->w + v->sw - 1) / v->sw;
    const real *b = j->weights;
    const i64 groups = pn_conv_depthwise(v) ? 1 : v->groups, q = v->dq;
    const i64 npad = conv_columns(q * v->cg, q > 1 ? v->w / q : pixels);
    for (i64 g = 0; g < groups; g++)
        for (i64 cy = 0; cy < v->sh; cy++)
            for (i64 cx = 0; cx < v->sw; cx++) {
                const conv_taps ty = conv_class(v->kh, v->dh, v->sh, cy), tx = conv_class(v->kw, v->dw, v->sw, cx);
                const i64 iy = z->i0 + ((cy - z->i0 - v->pt) % v->sh + v->sh) % v->sh;
                const i64 ix = ((cx - v->pl) % v->sw + v->sw) % v->sw;
                const int run = (tx.next == 1 || q > 1) && v->groups == 1;
                conv_rows r;
                r.rows = iy < z->i1 ? (z->i1 - iy + v->sh - 1) / v->sh : 0;
                r.pixels = ix < v->w ? (v->w - ix + v->sw - 1) / v->sw : 0;
                r.n1 = ty.count, r.n2 = tx.count, r.len = v->og;
                r.b = b;
                b += ty.count * (tx.count + q - 1) * v->og * npad;
                if (r.rows == 0 || r.pixels == 0) continue;
                r.a = band + g * v->og;
                r.y0 = 0, r.yrow = 1, r.ystep = ty.next, r.ylimit = v->oh;
                if (ty.count && tx.count) {
                    const i64 zy = (iy + v->pt - ty.first * v->dh) / v->sh - z->z0;
                    const i64 zx = (ix + v->pl - tx.first * v->dw) / v->sw - z->c0;
                    r.a += (zy * zw + zx) * v->o;
                    r.y0 = zy + z->z0;
                }
                r.arow = zw * v->o, r.astep = v->o;
                r.ast1 = ty.next * zw * v->o, r.ast2 = tx.next * v->o;
                r.c = dx + (iy * v->w + ix) * v->c + g * v->cg;
                r.crow = v->sh * v->w * v->c, r.cstep = v->sw * v->c;
                if (pn_conv_depthwise(v)) {
                    const real *w = j->w + (ty.first * v->kw + tx.first) * v->o;
                    for (i64 i = 0; i < r.rows; i++)
                        conv_depthwise(r.c + i * r.crow, r.cstep, r.a + i * r.arow, r.astep, r.pixels, r.n1, r.ast1,
                                       r.n2, r.ast2, w, -ty.q * v->kw * v->o, -tx.q * v->o, v->c, NULL);
                    continue;
                }
                if (run) {
                    r.len *= r.n2 + q - 1;
                    r.n2 = r.n2 > 0;
                }
                r.pixels /= q, r.astep *= q, r.cstep *= q;
                r.n = q * v->cg;
                r.bias = NULL;
                r.act = 0;
                r.p = 0;
                conv_rows_run(&r);
            }
}

/* Pixels of one block of dw: `images` times `rows` rows of ow pixels. */
typedef struct conv_block {
    const real *x, *z;
    i64 images, rows, first;     /* first: number of the first row of y */
    i64 x_image, z_image, z_row; /* elements from one image, one row to the next */
} conv_block;

static void conv_dw(const conv_job *j, const conv_block *k, real *panels, real *dw, int add) {
    const pn_conv *v = &j->v;
    const int run = v->dw == 1 && v->groups == 1;
    const i64 tall = run ? v->kw * v->c : v->cg; /* rows of dw that lie side by side in x */
    conv_tile t;
    t.step = v->sw * v->c;
    const real *b = NULL;
    t.n1 = k->images, t.len = v->ow;
    t.ast1 = k->x_image, t.ast2 = v->sh * v->xw * v->c;
    t.ldc = v->o;
    t.add = add;
    t.relu = 0;
    t.bias = NULL;
    for (i64 g = 0; g < v->groups; g++)
        for (i64 o = 0, width; o < v->og; o += width) {
            width = conv_width(v->og - o, tall);
            const i64 tallest = conv_tallest(width), strips = (tall + tallest - 1) / tallest;
            const i64 low = tall / strips, extra = tall % strips;
            t.cols = pn_conv_min(width, v->og - o);
            if (width == v->o && v->groups == 1) { /* a panel lies in dz as it is */
                b = k->z;
                t.bst1 = k->z_image, t.bst2 = k->z_row;
            } else {
                b = panels;
                t.bst2 = v->ow * width, t.bst1 = k->rows * t.bst2;
                for (i64 n = 0; n < k->images; n++)
                    for (i64 r = 0; r < k->rows; r++)
                        conv_pack(panels + n * t.bst1 + r * t.bst2, width,
                                  k->z + n * k->z_image + r * k->z_row + g * v->og + o, v->o, 1, t.cols, v->ow);
            }
            for (i64 r = 0; r < v->kh; r++) {
                /* Rows of y whose pixels see padding alone add nothing. */
                const i64 y = k->first * v->sh + r * v->dh - v->pt;
                const i64 lo = pn_conv_max(0, pn_conv_min(k->rows, pn_conv_ceil(-y, v->sh)));
                const i64 hi = pn_conv_max(lo, pn_conv_min(k->rows, pn_conv_ceil(v->h - y, v->sh)));
                t.n2 = hi - lo;
                t.b = b + lo * t.bst2;
                for (i64 s = 0; s < (run ? 1 : v->kw); s++) {
                    const real *x = k->x + lo * t.ast2 + (r * v->dh * v->xw + s * v->dw) * v->c + g * v->cg;
                    real *c = dw + (r * v->kw + s) * v->cg * v->o + g * v->og + o;
                    for (i64 strip = 0, i = 0, mr; strip < strips; strip++, i += mr) {
                        mr = low + (strip < extra);
                        t.a = x + i;
                        t.c = c + i * v->o;
                        conv_tile_call(&t, mr, width, 1);
                    }
                }
            }
        }
}

/* The same for a depthwise kernel: channels are lanes, four taps share the reads of dz. */
static void conv_depthwise_dw(const pn_conv *v, const conv_block *k, real *dw, int add) {
    const i64 next = v->dw * v->c;
    for (i64 c = 0; c < v->c; c += VW) {
        const i64 lanes = pn_conv_min(VW, v->c - c);
        for (i64 r = 0; r < v->kh; r++)
            for (i64 s = 0; s < v->kw; s += 4) {
                const i64 some = pn_conv_min(4, v->kw - s);
                vec acc[4] = {vset(0), vset(0), vset(0), vset(0)};
                for (i64 n = 0; n < k->images; n++)
                    for (i64 i = 0; i < k->rows; i++) {
                        const real *z = k->z + n * k->z_image + i * k->z_row + c;
                        const real *x = k->x + n * k->x_image + (i * v->sh + r * v->dh) * v->xw * v->c + s * next + c;
                        for (i64 p = 0; p < v->ow; p++, z += v->o, x += v->sw * v->c) {
                            const vec zv = vloadn(z, lanes);
                            acc[0] = vfma(vloadn(x, lanes), zv, acc[0]);
                            if (some > 1) acc[1] = vfma(vloadn(x + next, lanes), zv, acc[1]);
                            if (some > 2) acc[2] = vfma(vloadn(x + 2 * next, lanes), zv, acc[2]);
                            if (some > 3) acc[3] = vfma(vloadn(x + 3 * next, lanes), zv, acc[3]);
                        }
                    }
                for (i64 q = 0; q < some; q++) {
                    real *to = dw + (r * v->kw + s + q) * v->o + c;
                    vstoren(to, add ? vadd(vloadn(to, lanes), acc[q]) : acc[q], lanes);
                }
            }
    }
}

/* db[o] (+)= sum over a block's pixels, in order. */
static void conv_db(const pn_conv *v, const conv_block *k, real *db, int add) {
    for (i64 o = 0; o < v->o; o += VW) {
        const i64 lanes = pn_conv_min(VW, v->o - o);
        vec s0 = vset(0), s1 = s0, s2 = s0, s3 = s0;
        for (i64 n = 0; n < k->images; n++)
            for (i64 r = 0; r < k->rows; r++) {
                const real *z = k->z + n * k->z_image + r * k->z_row + o;
                i64 p = 0;
                for (; p + 4 <= v->ow; p += 4, z += 4 * v->o) {
                    s0 = vadd(s0, vloadn(z, lanes));
                    s1 = vadd(s1, vloadn(z + v->o, lanes));
                    s2 = vadd(s2, vloadn(z + 2 * v->o, lanes));
                    s3 = vadd(s3, vloadn(z + 3 * v->o, lanes));
                }
                for (; p < v->ow; p++, z += v->o) s0 = vadd(s0, vloadn(z, lanes));
            }
        s0 = vadd(vadd(s0, s1), vadd(s2, s3));
        vstoren(db + o, add ? vadd(vloadn(db + o, lanes), s0) : s0, lanes);
    }
}

/* The band of dz of one image: rows [z0, z1), columns [c0, c1), zero outside y. */
static void conv_fill_dz(const conv_job *j, const pn_conv_zone *z, const real *dy, const real *y, real *to) {
    const pn_conv *v = &j->v;
    const i64 left = -z->c0, right = z->c1 - v->ow, width = (z->c1 - z->c0) * v->o;
    for (i64 r = z->z0; r < z->z1; r++, to += width) {
        const i64 at = r * v->ow * v->o;
        if (r < 0 || r >= v->oh) {
            memset(to, 0, (size_t)width * sizeof(real));
            continue;
        }
        memset(to, 0, (size_t)(left * v->o) * sizeof(real));
        pn_act_grad(v->act, j->p, to + left * v->o, dy + at, y ? y + at : NULL, v->ow * v->o);
        memset(to + (left + v->ow) * v->o, 0, (size_t)(right * v->o) * sizeof(real));
    }
}

static void conv_bwd_unit(const conv_job *j, i64 unit, real *thread, real *dw, real *db, int add) {
    const pn_conv *v = &j->v;
    const i64 n0 = unit / j->u.bands * j->u.images, n1 = pn_conv_min(v->n, n0 + j->u.images);
    const i64 y_image = v->oh * v->ow * v->o, x_image = v->h * v->w * v->c;
    real *x_band = thread, *z_band = thread + j->bs.x_band, *panels = z_band + j->bs.z_band;
    pn_conv_zone z;
    conv_block k;
    i64 rows;
    pn_conv_zone_of(&z, v, &j->u, unit % j->u.bands, j->dx != NULL);
    k.images = n1 - n0;
    k.z_row = (z.c1 - z.c0) * v->o;
    k.z_image = (z.z1 - z.z0) * k.z_row;
    k.z = z_band;
    if (v->act == PN_ACT_NONE && z.c0 == 0 && z.c1 == v->ow && z.z0 >= 0 && z.z1 <= v->oh) {
        k.z = j->dy + n0 * y_image + z.z0 * k.z_row; /* dz is dy as it lies */
        k.z_image = y_image;
    } else
        for (i64 n = n0; n < n1; n++)
            conv_fill_dz(j, &z, j->dy + n * y_image, j->y + n * y_image, z_band + (n - n0) * k.z_image);
    if (j->dx)
        for (i64 n = n0; n < n1; n++) conv_dx(j, &z, k.z + (n - n0) * k.z_image, j->dx + n * x_image);
    k.z += (z.o0 - z.z0) * k.z_row - z.c0 * v->o;
    k.rows = z.o1 - z.o0;
    k.first = z.o0;
    if (db) conv_db(v, &k, db, add);
    if (!dw) return;
    k.x = j->x + n0 * x_image + z.o0 * v->sh * v->w * v->c;
    k.x_image = x_image;
    if (v->padded) {
        const i64 xrows = pn_conv_xrows(v, k.rows);
        k.x = x_band;
        k.x_image = xrows * v->xw * v->c;
        for (i64 n = n0; n < n1; n++)
            conv_pad(x_band + (n - n0) * k.x_image, j->x + n * x_image, v->h, v->w, v->c, z.o0 * v->sh - v->pt, xrows,
                     v->pl, v->xw);
    }
    rows = pn_conv_block_rows(v, &j->u);
    for (i64 r = 0, all = k.rows; r < all; r += rows) {
        k.rows = pn_conv_min(rows, all - r);
        if (pn_conv_depthwise(v)) conv_depthwise_dw(v, &k, dw, add || r > 0);
        else conv_dw(j, &k, panels, dw, add || r > 0);
        k.first += rows;
        k.x += rows * v->sh * v->xw * v->c;
        k.z += rows * k.z_row;
    }
}

static void conv_bwd_groups(void *ctx, i64 lo, i64 hi, int ith) {
    const conv_job *j = (const conv_job *)ctx;
    real *thread = j->threads + ith * (j->bs.x_band + j->bs.z_band + j->bs.z_panels);
    for (i64 g = lo; g < hi; g++) {
        real *part = j->parts + g * j->bs.part;
        const i64 first = j->u.count * g / j->groups, last = j->u.count * (g + 1) / j->groups;
        for (i64 u = first; u < last; u++)
            conv_bwd_unit(j, u, thread, j->dw ? part : NULL, j->db ? part + j->bs.part - pn_conv_round(j->v.o) : NULL,
                          u > first);
    }
}

typedef struct conv_total {
    real *to;
    const real *parts;
    i64 count, stride;
} conv_total;

/* to = the sum of the parts, in order. */
static void conv_add_parts(void *ctx, i64 lo, i64 hi, int ith) {
    const conv_total *t = (const conv_total *)ctx;
    (void)ith;
    for (i64 i = lo; i < hi; i += VW) {
        const i64 lanes = pn_conv_min(VW, hi - i);
        vec s = vloadn(t->parts + i, lanes);
        for (i64 g = 1; g < t->count; g++) s = vadd(s, vloadn(t->parts + g * t->stride + i, lanes));
        vstoren(t->to + i, s, lanes);
    }
}

static int conv2d_bwd(const pn_instr *I) {
    conv_job j;
    conv_total t;
    memset(&j, 0, sizeof j);
    pn_conv_read(&j.v, I->dim);
    pn_conv_bwd_units(&j.u, &j.v);
    j.dx = (real *)I->arg[0];
    j.dw = (real *)I->arg[1];
    j.db = (real *)I->arg[2];
    j.dy = (const real *)I->arg[3];
    j.y = (const real *)I->arg[4];
    j.x = (const real *)I->arg[5];
    j.w = (const real *)I->arg[6];
    j.p = (real)I->par[0];
    pn_conv_bwd_room(&j.bs, &j.v, &j.u, j.dx != NULL, j.dw != NULL, j.db != NULL);
    j.groups = pn_conv_groups(&j.v, &j.u);
    j.weights = (real *)I->scratch;
    j.parts = j.weights + j.bs.weights;
    j.threads = j.parts + j.bs.parts;
    t.count = j.groups;
    t.stride = j.bs.part;
    if (j.bs.weights) conv_bwd_pack(&j);
    if (j.u.count == 0) {
        if (j.dw) memset(j.dw, 0, (size_t)(j.v.kh * j.v.kw * j.v.cg * j.v.o) * sizeof(real));
        if (j.db) memset(j.db, 0, (size_t)j.v.o * sizeof(real));
        return PN_OK;
    }
    pn_for(j.groups, 1, conv_cost(&j.v) * ((j.dx != NULL) + (j.dw != NULL)), I->nth, conv_bwd_groups, &j);
    if (j.dw) {
        const i64 n = j.v.kh * j.v.kw * j.v.cg * j.v.o;
        t.to = j.dw;
        t.parts = j.parts;
        pn_for(n, 4096, 0.1 * (double)(n * t.count), I->nth, conv_add_parts, &t);
    }
    if (j.db) {
        t.to = j.db;
        t.parts = j.parts + j.bs.part - pn_conv_round(j.v.o);
        conv_add_parts(&t, 0, j.v.o, 0);
    }
    return PN_OK;
}

/* The transpose: y = sum over taps, what dx is to dz.   OUT y [N,H,W,C]; IN x [N,OH,OW,O], w [KH,KW,C/G,O].
 * dim as for the convolution whose gradient it is; scratch likewise. */
static int conv2d_transpose_fwd(const pn_instr *I) {
    pn_instr as = *I;
    as.arg[1] = as.arg[2] = NULL;
    as.arg[3] = I->arg[1];
    as.arg[4] = I->arg[1]; /* no activation: y is not read */
    as.arg[5] = NULL;
    as.arg[6] = I->arg[2];
    return conv2d_bwd(&as);
}
