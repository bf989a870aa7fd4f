/* The gradients of a convolution, and its transpose (see conv.h). */
#include "conv.h"
#include "winograd_bwd.h"

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
    if (CONV_DQ(v) > 1) {
        for (i64 cy = 0; cy < v->sh; cy++) {
            const conv_taps ty = conv_class(v->kh, v->dh, v->sh, cy);
            const real *w = j->w + (ty.first * v->kw + v->kw - 1) * v->c * v->o;
            conv_wide_pack(to, w, -1, ty.q * v->kw * v->c * v->o, v->c * v->o, 1, v->o, ty.count, v->kw, v->o, v->c,
                           CONV_DQ(v), 1, v->w / CONV_DQ(v));
            to += ty.count * (v->kw + CONV_DQ(v) - 1) * v->o * conv_columns(CONV_DQ(v) * v->c, v->w / CONV_DQ(v));
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
                            conv_pack(to, conv_plane(j, j->bs.weights), width, w, 1, v->o,
                                      pn_conv_min(width, v->cg - k), v->og);
                            to += CONV_LANES(v->og) * width;
                        }
                }
            }
}

/* dx of one image, rows [z->i0, z->i1), from its band of dz (as pairs at `paired`); `line` holds a row of a depthwise dx. */
static void conv_dx(const conv_job *j, const pn_conv_zone *z, const real *band, const real *paired, real *dx, real *line) {
    const pn_conv *v = &j->v;
    const i64 zw = z->c1 - z->c0, pixels = (v->w + v->sw - 1) / v->sw;
    const real *b = j->weights;
    const i64 groups = CONV_DEPTHWISE(v) ? 1 : v->groups, q = CONV_DQ(v);
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
                r.pixels = ix < v->w ? (v->w - ix + v->sw - 1) / v->sw : 0; /* of this class: one fewer in some */
                r.packed_for = q > 1 ? v->w / q : pixels;
                r.n1 = ty.count, r.n2 = tx.count, r.len = v->og;
                r.b = b;
                b += ty.count * (tx.count + q - 1) * CONV_LANES(v->og) * npad;
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
                if (CONV_DEPTHWISE(v)) {
                    const real *w = j->w + (ty.first * v->kw + tx.first) * v->o;
                    const int direct = v->xc == v->c;
                    for (i64 i = 0; i < r.rows; i++) {
                        real *to = r.c + i * r.crow;
                        conv_depthwise(direct ? to : line, direct ? r.cstep : v->o, r.a + i * r.arow, r.astep, r.pixels,
                                       r.n1, r.ast1, r.n2, r.ast2, w, -ty.q * v->kw * v->o, -tx.q * v->o, v->o, NULL);
                        for (i64 p = 0; !direct && p < r.pixels; p++)
                            conv_unrepeat(to + p * r.cstep, line + p * v->o, v->c, v->og);
                    }
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
                r.alo = r.blo = 0;
#ifdef PN_PAIRS
                conv_rows_pair(&r, paired + (r.a - band) / 2, conv_plane(j, j->bs.z_pairs), conv_plane(j, j->bs.weights));
#endif
                conv_rows_run(&r);
            }
}

static void conv_dw(const conv_job *j, const conv_block *k, real *panels, real *dw, int add) {
    const pn_conv *v = &j->v;
    const int run = v->dw == 1 && v->groups == 1;
    const i64 q = CONV_FQ(v), columns = q * v->og, len = v->ow / q;
    const i64 tall = run ? pn_conv_dw_columns(v) * v->c : v->cg; /* rows of dw that lie side by side in x */
    conv_tile t;
    t.step = q * v->sw * v->c;
    t.alo = conv_plane(j, j->bs.x_pairs), t.blo = conv_plane(j, j->bs.z_panels);
#ifdef PN_PAIRS
    t.step *= 2;
#endif
    const real *b = NULL;
    t.n1 = k->images, t.len = CONV_LANES(len);
    t.ast1 = k->x_image, t.ast2 = v->sh * v->xw * v->c;
    t.ldc = q * v->o;
    t.add = add;
    t.relu = 0;
    t.bias = NULL;
    for (i64 g = 0; g < v->groups; g++)
        for (i64 o = 0, width; o < columns; o += width) {
            width = conv_width(columns - o, tall);
            const i64 tallest = conv_tallest(width), strips = (tall + tallest - 1) / tallest;
            const i64 low = tall / strips, extra = tall % strips;
            t.cols = pn_conv_min(width, columns - o);
            if (width == q * v->o && v->groups == 1 && !j->planes) { /* a panel lies in dz as it is */
                b = k->z;
                t.bst1 = k->z_image, t.bst2 = k->z_row;
            } else {
                b = panels;
                t.bst2 = CONV_LANES(len) * width, t.bst1 = k->rows * t.bst2;
                for (i64 n = 0; n < k->images; n++)
                    for (i64 r = 0; r < k->rows; r++)
                        conv_pack(panels + n * t.bst1 + r * t.bst2, t.blo, width,
                                  k->z + n * k->z_image + r * k->z_row + g * v->og + o, t.ldc, 1, t.cols, len);
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
                    real *c = dw + (run ? r * tall : (r * v->kw + s) * tall) * t.ldc + g * v->og + o;
                    for (i64 strip = 0, i = 0, mr; strip < strips; strip++, i += mr) {
                        mr = low + (strip < extra);
                        t.a = x + i;
                        t.c = c + i * t.ldc;
                        conv_tile_call(&t, mr, width, 1);
                    }
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

#ifdef PN_AMX
#include "conv_amx_bwd.h"
#define CONV_FLAT(v) pn_conv_flat(v)
#else
#define CONV_FLAT(v) 0
#endif

static void conv_bwd_unit(const conv_job *j, i64 unit, real *thread, real *dw, real *db, int add) {
    const pn_conv *v = &j->v;
    const i64 n0 = unit / j->u.bands * j->u.images, n1 = pn_conv_min(v->n, n0 + j->u.images);
    const i64 y_image = v->oh * v->ow * v->o, x_image = v->h * v->w * v->c;
    real *x_band = thread, *z_band = thread + j->bs.x_band, *panels = z_band + j->bs.z_band;
    real *line = panels + j->bs.z_panels, *x_pairs = line + j->bs.dx_row, *z_pairs = x_pairs + j->bs.x_pairs;
    int late = 0; /* dz is made block by block: no dx needs more of it */
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
    } else if (!j->dx) late = 1;
    else
        for (i64 n = n0; n < n1; n++)
            conv_fill_dz(j, &z, j->dy + n * y_image, j->y + n * y_image, z_band + (n - n0) * k.z_image);
    if (j->dx)
        for (i64 n = n0; n < n1; n++) {
#ifdef PN_PAIRS
            pairs_run(z_pairs, conv_plane(j, j->bs.z_pairs), k.z + (n - n0) * k.z_image, (z.z1 - z.z0) * k.z_row);
#endif
            conv_dx(j, &z, k.z + (n - n0) * k.z_image, z_pairs, j->dx + n * x_image, line);
        }
    k.z += (z.o0 - z.z0) * k.z_row - z.c0 * v->o;
    k.rows = z.o1 - z.o0;
    k.first = z.o0;
    k.x = j->x + n0 * x_image + z.o0 * v->sh * v->w * v->c;
    k.x_image = x_image;
    if (dw && v->copied && !CONV_FLAT(v)) {
        const i64 xrows = pn_conv_xrows(v, k.rows);
        k.x = x_band;
        k.x_image = xrows * v->xw * v->xc;
        for (i64 n = n0; n < n1; n++)
            conv_band(v, x_band + (n - n0) * k.x_image, j->x + n * x_image, z.o0 * v->sh - v->pt, xrows);
    }
#ifdef PN_PAIRS
    if (dw && !CONV_FLAT(v)) { /* neighbouring pixels in a lane, from every pixel on */
        const i64 size = pn_conv_xrows(v, k.rows) * v->xw * v->c;
        for (i64 n = 0; n < k.images; n++)
            pairs_apart(x_pairs + n * size, conv_plane(j, j->bs.x_pairs), k.x + n * k.x_image, v->sw * v->c, size);
        k.x = x_pairs;
        k.x_image = size;
    }
#endif
    rows = dw && CONV_FLAT(v) ? k.rows : pn_conv_block_rows(v, &j->u);
    for (i64 r = 0, all = k.rows; r < all && (dw || db); r += rows) {
        k.rows = pn_conv_min(rows, all - r);
        if (late) {
            z.z0 = k.first, z.z1 = k.first + k.rows;
            k.z = z_band;
            k.z_image = k.rows * k.z_row;
            for (i64 n = n0; n < n1; n++)
                conv_fill_dz(j, &z, j->dy + n * y_image, j->y + n * y_image, z_band + (n - n0) * k.z_image);
        }
        if (db) conv_db(v, &k, db, add || r > 0);
        if (dw && CONV_DEPTHWISE(v)) conv_depthwise_dw(v, &k, dw, add || r > 0);
#ifdef PN_AMX
        else if (dw && CONV_FLAT(v)) conv_flat_dw(j, &k, j->x + n0 * x_image, x_pairs, panels, dw, add);
#endif
        else if (dw) conv_dw(j, &k, panels, dw, add || r > 0);
        k.first += rows;
        k.x += rows * v->sh * v->xw * v->xc;
        k.z += rows * k.z_row;
    }
}

static void conv_bwd_groups(void *ctx, i64 lo, i64 hi, int ith) {
    const conv_job *j = (const conv_job *)ctx;
    real *thread = j->threads + ith * pn_conv_bwd_thread(&j->bs);
#ifdef PN_PAIRS
    pairs_begin();
#endif
    for (i64 g = lo; g < hi; g++) {
        real *part = j->parts + g * j->bs.part;
        const i64 first = j->u.count * g / j->groups, last = j->u.count * (g + 1) / j->groups;
        for (i64 u = first; u < last; u++)
            conv_bwd_unit(j, u, thread, j->dw ? part : NULL, j->db ? part + j->bs.part - pn_conv_round(j->v.o) : NULL,
                          u > first);
    }
#ifdef PN_PAIRS
    pairs_end();
#endif
}

/* dw[r][s][c][o] = the sum over fq pixels p of wide[r][s + p sw][c][p][o]. */
static void conv_fold(const pn_conv *v, real *dw, const real *wide) {
    const i64 columns = pn_conv_dw_columns(v), line = CONV_FQ(v) * v->o;
    for (i64 r = 0; r < v->kh; r++)
        for (i64 s = 0; s < v->kw; s++)
            for (i64 c = 0; c < v->c; c++, dw += v->o)
                for (i64 o = 0; o < v->o; o++) {
                    real sum = 0;
                    for (i64 p = 0; p < CONV_FQ(v); p++)
                        sum += wide[((r * columns + s + p * v->sw) * v->c + c) * line + p * v->o + o];
                    dw[o] = sum;
                }
}

enum { CONVB_DX, CONVB_DW, CONVB_DB, CONVB_DY, CONVB_Y, CONVB_X, CONVB_W };
static int conv2d_bwd(const pn_instr *I) {
    conv_job j;
    conv_total t;
    memset(&j, 0, sizeof j);
    pn_conv_read(&j.v, I->dim);
#ifdef PN_PAIRS
    if (!pn_conv_pairs(&j.v, I->arg[CONVB_DX] != NULL)) return pn_find_kernel("conv2d_bwd", PN_F32, PN_TARGET_AVX512)(I);
    j.planes = I->ops->planes;
#endif
    pn_conv_bwd_units(&j.u, &j.v);
    j.dx = (real *)I->arg[CONVB_DX];
    j.dw = (real *)I->arg[CONVB_DW];
    j.db = (real *)I->arg[CONVB_DB];
    j.dy = (const real *)I->arg[CONVB_DY];
    j.y = (const real *)I->arg[CONVB_Y];
    j.x = (const real *)I->arg[CONVB_X];
    j.w = (const real *)I->arg[CONVB_W];
    j.p = (real)I->par[0];
    if (wino_bwd(&j, I)) return PN_OK;
    pn_conv_bwd_room(&j.bs, &j.v, &j.u, j.dx != NULL, j.dw != NULL, j.db != NULL, j.planes);
    j.groups = pn_conv_groups(&j.v, &j.u);
    j.weights = (real *)I->scratch;
    j.parts = j.weights + j.bs.weights;
    j.threads = j.parts + j.bs.parts;
    t.count = j.groups;
    t.stride = j.bs.part;
    if (j.u.count == 0) { /* before w is packed, which takes as long as strides say */
        if (j.dw) memset(j.dw, 0, (size_t)(j.v.kh * j.v.kw * j.v.cg * j.v.o) * sizeof(real));
        if (j.db) memset(j.db, 0, (size_t)j.v.o * sizeof(real));
        return PN_OK;
    }
    if (j.bs.weights) conv_bwd_pack(&j);
    pn_for(j.groups, 1, conv_cost(&j.v) * ((j.dx != NULL) + (j.dw != NULL)), I->nth, conv_bwd_groups, &j);
    if (j.dw) {
        i64 n = pn_conv_dw_size(&j.v);
        t.to = CONV_FQ(&j.v) > 1 || CONV_FLAT(&j.v) ? j.parts : j.dw;
        t.parts = j.parts;
#ifdef PN_AMX
        if (CONV_FLAT(&j.v)) n = conv_flat_size(&j.v);
#endif
        pn_for(n, 4096, 0.1 * (double)(n * t.count), I->nth, conv_add_parts, &t);
        if (CONV_FQ(&j.v) > 1) conv_fold(&j.v, j.dw, j.parts);
#ifdef PN_AMX
        else if (CONV_FLAT(&j.v)) conv_flat_turn(&j.v, j.dw, j.parts);
#endif
    }
    if (j.db) {
        t.to = j.db;
        t.parts = j.parts + j.bs.part - pn_conv_round(j.v.o);
        conv_add_parts(&t, 0, j.v.o, 0);
    }
    return PN_OK;
}

enum { CONVT_Y, CONVT_X, CONVT_W }; /* y stands where dx does */
/* The transpose: y = sum over taps, what dx is to dz.   OUT y [N,H,W,C]; IN x [N,OH,OW,O], w [KH,KW,C/G,O].
 * dim as for the convolution whose gradient it is; scratch likewise. */
static int conv2d_transpose_fwd(const pn_instr *I) {
    pn_instr as = *I;
    as.arg[CONVB_DW] = as.arg[CONVB_DB] = NULL;
    as.arg[CONVB_DY] = I->arg[CONVT_X];
    as.arg[CONVB_Y] = I->arg[CONVT_X]; /* no activation: y is not read */
    as.arg[CONVB_X] = NULL;
    as.arg[CONVB_W] = I->arg[CONVT_W];
    return conv2d_bwd(&as);
}
