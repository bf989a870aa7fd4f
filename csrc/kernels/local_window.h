/* Sizes and operands of local.h, and the part of a pixel's window that lies in the image. */
#ifndef PN_LOCAL_WINDOW_H
#define PN_LOCAL_WINDOW_H

#include "conv_plan.h"
#include "simd.h"

enum { LOCAL_SAMPLES = 32, LOCAL_WIDEST = 64 }; /* columns of the widest panel, as in pynn/ops/local.py */
enum { LOCAL_Y, LOCAL_X, LOCAL_W, LOCAL_BIAS };
enum { LOCALB_DX, LOCALB_DW, LOCALB_DB, LOCALB_DY, LOCALB_X, LOCALB_W };
enum { LOCALT_X, LOCALT_Y, LOCALT_W };

typedef struct local_job {
    i64 n, h, w, c, kh, kw, f, sh, sw, pt, pl, oh, ow;
    i64 image, out, terms, room; /* elements of x and y per sample, of a patch; of scratch per thread */
    real *y, *dx, *dw, *db;
    const real *dy, *x, *weights, *bias;
    real *scratch;
} local_job;

static local_job local_read(const pn_instr *I) {
    const i64 *d = I->dim;
    local_job j;
    memset(&j, 0, sizeof j);
    j.n = d[0], j.h = d[1], j.w = d[2], j.c = d[3], j.kh = d[4], j.kw = d[5], j.f = d[6];
    j.sh = d[7], j.sw = d[8], j.pt = d[9], j.pl = d[10], j.oh = d[11], j.ow = d[12];
    j.image = j.h * j.w * j.c, j.out = j.oh * j.ow * j.f, j.terms = j.kh * j.kw * j.c;
    j.room = LOCAL_WIDEST * (j.terms > j.n ? (j.terms > j.f ? j.terms : j.f) : (j.n > j.f ? j.n : j.f));
    j.scratch = (real *)I->scratch;
    return j;
}

/* The part of pixel p's window that lies in the image: rows [r0, r1), columns [s0, s1) of the kernel. */
typedef struct local_window {
    i64 r0, r1, s0, s1;
    i64 x; /* of the first element in an image */
} local_window;

static local_window local_clip(const local_job *j, i64 p) {
    const i64 top = p / j->ow * j->sh - j->pt, left = p % j->ow * j->sw - j->pl;
    local_window w;
    w.r0 = top < 0 ? -top : 0, w.r1 = pn_conv_max(w.r0, pn_conv_min(j->kh, j->h - top));
    w.s0 = left < 0 ? -left : 0, w.s1 = pn_conv_max(w.s0, pn_conv_min(j->kw, j->w - left));
    w.x = ((top + w.r0) * j->w + left + w.s0) * j->c;
    if (w.r0 == w.r1 || w.s0 == w.s1) w.r0 = w.r1 = w.s0 = w.s1 = w.x = 0;
    return w;
}

#endif
