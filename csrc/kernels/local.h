/* Convolution of images (NHWC) whose weights are not shared: every pixel of the output has a kernel of its own.
 *
 *   y[n,p,f] = sum over r,s,c of x[n, i sh + r - pt, j sw + s - pl, c] w[p,(r,s,c),f] + b[p,f],  p = (i, j)   local_fwd
 *     OUT y [N,OH,OW,F]; IN x [N,H,W,C], w [OH*OW, KH*KW*C, F], b [OH,OW,F] or NULL. Outside the image x is 0.
 *   dx, dw, db by the chain rule                                                                             local_bwd
 *     OUT dx, dw, db, each may be NULL; IN dy, x, w.
 *   the transpose: every pixel of y spreads over its window, as dx does from dy                    local_transpose_fwd
 *     OUT x [N,H,W,C]; IN y [N,OH,OW,F], w.
 * dim: N H W C KH KW F SH SW PT PL OH OW. Outputs alias nothing.
 *
 * At every pixel a product over the samples; the tiles of conv_micro.h read their patches in the images, one image's
 * length apart. Parallel over pixels, dx over blocks of LOCAL_SAMPLES samples, pixel after pixel: the order of
 * its sums is fixed. Scratch: a packed panel per thread. 2 N OH OW KH KW C F flops each.
 */
#include "local_window.h"

/* Runs a tile's panel over `rows` rows of C, a and c stepping from row to row. */
static void local_rows(conv_tile *t, i64 rows, i64 width, i64 astep, int by_term) {
    const i64 tallest = conv_tallest(width);
    const real *a = t->a;
    real *c = t->c;
    for (i64 i = 0, mr; i < rows; i += mr) {
        mr = pn_conv_min(tallest, rows - i);
        t->a = a + i * astep;
        t->c = c + i * t->ldc;
        conv_tile_even(t, mr, width, by_term);
    }
    t->a = a, t->c = c;
}

static void local_fwd_pixels(void *ctx, i64 lo, i64 hi, int ith) {
    const local_job *j = (const local_job *)ctx;
    real *panel = j->scratch + ith * j->room;
    for (i64 p = lo; p < hi; p++) {
        const local_window w = local_clip(j, p);
        const real *weights = j->weights + p * j->terms * j->f;
        conv_tile t;
        memset(&t, 0, sizeof t);
        t.step = j->image, t.ldc = j->out;
        t.n1 = w.r1 - w.r0, t.n2 = 1, t.len = (w.s1 - w.s0) * j->c;
        t.ast1 = j->w * j->c;
        t.a = j->x + w.x;
        for (i64 f = 0, width; f < j->f; f += width) {
            width = conv_width(j->f - f, j->n);
            t.cols = pn_conv_min(width, j->f - f);
            if (width == j->f) t.b = weights; /* the panel lies there as it is */
            else {
                conv_pack(panel, 0, width, weights + f, j->f, 1, t.cols, j->terms);
                t.b = panel;
            }
            t.b += (w.r0 * j->kw + w.s0) * j->c * width;
            t.bst1 = j->kw * j->c * width;
            t.bias = j->bias ? j->bias + p * j->f + f : NULL;
            t.c = j->y + p * j->f + f;
            local_rows(&t, j->n, width, j->image, 0);
        }
    }
}

static void local_dw_pixels(void *ctx, i64 lo, i64 hi, int ith) {
    const local_job *j = (const local_job *)ctx;
    real *panel = j->scratch + ith * j->room;
    for (i64 p = lo; p < hi; p++) {
        const local_window w = local_clip(j, p);
        const i64 side = (w.s1 - w.s0) * j->c;
        const real *dy = j->dy + p * j->f;
        if (j->db)
            for (i64 f = 0; f < j->f; f += VW) {
                const i64 lanes = pn_conv_min(VW, j->f - f);
                vec s = vset(0);
                for (i64 n = 0; n < j->n; n++) s = vadd(s, vloadn(dy + n * j->out + f, lanes));
                vstoren(j->db + p * j->f + f, s, lanes);
            }
        if (!j->dw) continue;
        real *dw = j->dw + p * j->terms * j->f;
        if (w.r1 - w.r0 < j->kh || w.s1 - w.s0 < j->kw) memset(dw, 0, (size_t)(j->terms * j->f) * sizeof(real));
        conv_tile t;
        memset(&t, 0, sizeof t);
        t.step = j->image, t.ldc = j->f;
        t.n1 = t.n2 = 1, t.len = j->n;
        t.b = panel;
        for (i64 f = 0, width; f < j->f && side > 0; f += width) {
            width = conv_width(j->f - f, side);
            t.cols = pn_conv_min(width, j->f - f);
            conv_pack(panel, 0, width, dy + f, j->out, 1, t.cols, j->n);
            for (i64 r = w.r0; r < w.r1; r++) {
                t.a = j->x + w.x + (r - w.r0) * j->w * j->c;
                t.c = dw + (r * j->kw + w.s0) * j->c * j->f + f;
                local_rows(&t, side, width, 1, 1);
            }
        }
    }
}

static void local_dx_samples(void *ctx, i64 lo, i64 hi, int ith) {
    const local_job *j = (const local_job *)ctx;
    real *panel = j->scratch + ith * j->room;
    for (i64 block = lo; block < hi; block++) {
        const i64 n0 = block * LOCAL_SAMPLES, rows = pn_conv_min(LOCAL_SAMPLES, j->n - n0);
        memset(j->dx + n0 * j->image, 0, (size_t)(rows * j->image) * sizeof(real));
        for (i64 p = 0; p < j->oh * j->ow; p++) {
            const local_window w = local_clip(j, p);
            const i64 side = (w.s1 - w.s0) * j->c;
            conv_tile t;
            memset(&t, 0, sizeof t);
            t.step = j->out, t.ldc = j->image;
            t.n1 = t.n2 = 1, t.len = j->f;
            t.add = 1;
            t.a = j->dy + n0 * j->out + p * j->f;
            t.b = panel;
            for (i64 r = w.r0; r < w.r1; r++)
                for (i64 k = 0, width; k < side; k += width) {
                    width = conv_width(side - k, rows);
                    t.cols = pn_conv_min(width, side - k);
                    const i64 term = (r * j->kw + w.s0) * j->c + k;
                    conv_pack(panel, 0, width, j->weights + (p * j->terms + term) * j->f, 1, j->f, t.cols, j->f);
                    t.c = j->dx + n0 * j->image + w.x + (r - w.r0) * j->w * j->c + k;
                    local_rows(&t, rows, width, j->out, 0);
                }
        }
    }
}

static double local_cost(const local_job *j) { return 2.0 * (double)(j->n * j->out) * (double)j->terms / (8 * VW); }

static int local_fwd(const pn_instr *I) {
    local_job j = local_read(I);
    j.y = (real *)I->arg[LOCAL_Y];
    j.x = (const real *)I->arg[LOCAL_X], j.weights = (const real *)I->arg[LOCAL_W], j.bias = (const real *)I->arg[LOCAL_BIAS];
    if (j.n) pn_for(j.oh * j.ow, 1, local_cost(&j), I->nth, local_fwd_pixels, &j);
    return PN_OK;
}

static int local_bwd(const pn_instr *I) {
    local_job j = local_read(I);
    j.dx = (real *)I->arg[LOCALB_DX], j.dw = (real *)I->arg[LOCALB_DW], j.db = (real *)I->arg[LOCALB_DB];
    j.dy = (const real *)I->arg[LOCALB_DY], j.x = (const real *)I->arg[LOCALB_X], j.weights = (const real *)I->arg[LOCALB_W];
    if (j.dw || j.db) pn_for(j.oh * j.ow, 1, local_cost(&j), I->nth, local_dw_pixels, &j);
    if (j.dx) pn_for((j.n + LOCAL_SAMPLES - 1) / LOCAL_SAMPLES, 1, local_cost(&j), I->nth, local_dx_samples, &j);
    return PN_OK;
}

static int local_transpose_fwd(const pn_instr *I) {
    local_job j = local_read(I);
    j.dx = (real *)I->arg[LOCALT_X];
    j.dy = (const real *)I->arg[LOCALT_Y], j.weights = (const real *)I->arg[LOCALT_W];
    pn_for((j.n + LOCAL_SAMPLES - 1) / LOCAL_SAMPLES, 1, local_cost(&j), I->nth, local_dx_samples, &j);
    return PN_OK;
}
