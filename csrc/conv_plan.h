/* Convolution: its sizes, how the work is cut into units, and the scratch memory that takes.
 *
 * Everything here follows from the sizes alone, never from the number of threads, so results do not depend on it.
 */
#ifndef PN_CONV_PLAN_H
#define PN_CONV_PLAN_H

#include "pn.h"

enum {
    PN_CONV_BAND = 65536,  /* elements of a padded band of images: stays in a second-level cache */
    PN_CONV_PIXELS = 160,  /* terms of one block of dw: a panel of dz and a block of x stay in a first-level cache */
    PN_CONV_GROUPS = 16,   /* most partial dw, ... */
    PN_CONV_PARTS = 1 << 21, /* ... and the elements that all of them may take together (two are always allowed) */
};

typedef struct pn_conv {
    i64 n, h, w, c;       /* x */
    i64 kh, kw, o;        /* w [kh,kw,c/groups,o] */
    i64 sh, sw, dh, dw, groups;
    i64 pt, pl;           /* padding above and left */
    i64 oh, ow;           /* y [n,oh,ow,o] */
    int act;
    int winograd;         /* F(4x4, 3x3): 0 never, 1 where that is faster, 2 and nearly as exact (winograd_plan.h) */
    i64 whole;            /* images of the batch, of which n may be a segment: dw is then one share of a sum over all */
    i64 cg, og;           /* channels of one group */
    i64 eh, ew;           /* extent of the dilated kernel */
    i64 xw, xc;           /* columns and channels of a band of x */
    int copied;           /* such a band is a copy: padded, or with every channel as often as it has outputs */
    i64 fq, dq;           /* neighbouring pixels of y, of dx that one row of a product computes (of y also for dw) */
} pn_conv;

/* Few channels leave most lanes of a vector idle. Then q neighbouring pixels are computed as one with q times the
 * channels, by a kernel that is (q - 1) steps wider and zero where a pixel does not look: more work, in more lanes. */
static inline i64 pn_conv_wide(i64 channels, i64 pixels, i64 kw, i64 step) {
    i64 best = 1;
    double use = 0;
    for (i64 q = 1; q <= 16 && q * channels <= 32; q++) {
        const double lanes = (double)(q * channels) / (double)((q * channels + 15) / 16 * 16);
        const double now = lanes * (double)kw / (double)(kw + (q - 1) * step);
        if (pixels % q || now < 1.2 * use) continue;
        best = q;
        use = now;
    }
    return best;
}

/* Depthwise: one input channel per group, so that channels are lanes. */
static inline int pn_conv_depthwise(const pn_conv *v) { return v->cg == 1 && v->c > 1; }

/* dim: n h w c kh kw o sh sw dh dw groups pt pl oh ow act winograd, to which 4 times the images of the whole batch may be
 * added */
static inline void pn_conv_read(pn_conv *v, const i64 *dim) {
    v->n = dim[0], v->h = dim[1], v->w = dim[2], v->c = dim[3];
    v->kh = dim[4], v->kw = dim[5], v->o = dim[6];
    v->sh = dim[7], v->sw = dim[8], v->dh = dim[9], v->dw = dim[10], v->groups = dim[11];
    v->pt = dim[12], v->pl = dim[13], v->oh = dim[14], v->ow = dim[15];
    v->act = (int)dim[16];
    v->winograd = (int)(dim[17] & 3);
    v->whole = dim[17] >> 2 > v->n ? dim[17] >> 2 : v->n;
    v->cg = v->c / v->groups, v->og = v->o / v->groups;
    v->eh = (v->kh - 1) * v->dh + 1, v->ew = (v->kw - 1) * v->dw + 1;
    v->xc = pn_conv_depthwise(v) ? v->o : v->c;
    v->copied = v->pt || v->pl || v->xc > v->c;
    if ((v->oh - 1) * v->sh + v->eh > v->h || (v->ow - 1) * v->sw + v->ew > v->w) v->copied = 1;
    v->xw = v->copied ? (v->ow - 1) * v->sw + v->ew : v->w;
    v->fq = v->groups == 1 && v->dw == 1 ? pn_conv_wide(v->o, v->ow, v->kw, v->sw) : 1;
    v->dq = v->groups == 1 && v->dw == 1 && v->sw == 1 ? pn_conv_wide(v->c, v->w, v->kw, 1) : 1;
}

static inline i64 pn_conv_min(i64 a, i64 b) { return a < b ? a : b; }
static inline i64 pn_conv_max(i64 a, i64 b) { return a > b ? a : b; }
static inline i64 pn_conv_floor(i64 a, i64 b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }
static inline i64 pn_conv_ceil(i64 a, i64 b) { return -pn_conv_floor(-a, b); }
static inline i64 pn_conv_round(i64 n) { return (n + 15) & ~(i64)15; }
/* Rows of a band of x that hold `rows` output rows. */
static inline i64 pn_conv_xrows(const pn_conv *v, i64 rows) { return (rows - 1) * v->sh + v->eh; }

/* A unit of work is a block of images, or a band of output rows of one image. */
typedef struct pn_conv_units {
    i64 images, rows; /* of one unit */
    i64 bands;        /* per image */
    i64 count;
} pn_conv_units;

static inline void pn_conv_cut(pn_conv_units *u, const pn_conv *v, i64 rows, i64 images) {
    u->rows = pn_conv_max(1, pn_conv_min(rows, v->oh));
    u->bands = (v->oh + u->rows - 1) / u->rows;
    u->rows = (v->oh + u->bands - 1) / u->bands;
    u->bands = (v->oh + u->rows - 1) / u->rows;
    u->images = u->bands > 1 ? 1 : pn_conv_max(1, images);
    u->count = (v->n + u->images - 1) / u->images * u->bands;
}

/* Forward: bands small enough for the cache, and enough of them for many threads when there are few images. */
static inline void pn_conv_fwd_units(pn_conv_units *u, const pn_conv *v) {
    i64 rows = v->oh;
    const i64 line = v->xw * v->xc;
    if (v->n < PN_CONV_GROUPS) rows = v->oh * pn_conv_max(v->n, 1) / PN_CONV_GROUPS + 1;
    if (pn_conv_xrows(v, rows) * line > PN_CONV_BAND)
        rows = pn_conv_min(rows, (PN_CONV_BAND / pn_conv_max(line, 1) - v->eh) / v->sh + 1);
    pn_conv_cut(u, v, rows, 1);
}

/* Gradients: the rows and columns of dz that one unit reads, which reach past the image where dx needs it. */
typedef struct pn_conv_zone {
    i64 o0, o1;         /* rows of y whose terms of dw the unit adds */
    i64 i0, i1;         /* rows of dx it computes */
    i64 z0, z1, c0, c1; /* rows and columns of dz in its band */
} pn_conv_zone;

static inline void pn_conv_zone_of(pn_conv_zone *z, const pn_conv *v, const pn_conv_units *u, i64 band, int dx) {
    z->z0 = z->o0 = band * u->rows;
    z->z1 = z->o1 = pn_conv_min(v->oh, z->o0 + u->rows);
    z->c0 = 0, z->c1 = v->ow;
    z->i0 = z->i1 = 0;
    if (!dx) return;
    z->i0 = pn_conv_min(v->h, z->o0 * v->sh);
    z->i1 = band + 1 == u->bands ? v->h : pn_conv_min(v->h, z->o1 * v->sh);
    if (z->i1 > z->i0) {
        z->z0 = pn_conv_min(z->z0, pn_conv_ceil(z->i0 + v->pt - (v->eh - 1), v->sh));
        z->z1 = pn_conv_max(z->z1, pn_conv_floor(z->i1 - 1 + v->pt, v->sh) + 1);
    }
    z->c0 = pn_conv_min(0, pn_conv_ceil(v->pl - (v->ew - 1), v->sw));
    z->c1 = pn_conv_max(v->ow, pn_conv_floor(v->w - 1 + v->pl, v->sw) + 1);
}

static inline void pn_conv_bwd_units(pn_conv_units *u, const pn_conv *v) {
    const i64 area = pn_conv_max(v->oh * v->ow, 1), line = v->xw * v->xc * v->sh + (v->ow + v->ew) * v->o;
    i64 rows = v->oh, images = pn_conv_max(1, PN_CONV_PIXELS / area);
    if (line * v->oh > 4 * PN_CONV_BAND) rows = 4 * PN_CONV_BAND / line;
    if (v->n * v->oh < 4 * rows) rows = v->n * v->oh / 4;
    images = pn_conv_min(images, pn_conv_max(1, v->n / 8));
    pn_conv_cut(u, v, rows, images);
}

/* Rows of dw that lie side by side, for fq pixels of y at once; elements of dw that way. */
static inline i64 pn_conv_dw_columns(const pn_conv *v) { return v->kw + (v->fq - 1) * v->sw; }
static inline i64 pn_conv_dw_size(const pn_conv *v) { return v->kh * pn_conv_dw_columns(v) * v->cg * v->fq * v->o; }

/* Partial sums of dw and db, each over consecutive units. */
static inline i64 pn_conv_groups(const pn_conv *v, const pn_conv_units *u) {
    const i64 size = pn_conv_dw_size(v) + v->o;
    i64 most = PN_CONV_GROUPS; /* a power of two, which two or four threads share evenly */
    while (most > 2 && most * size > PN_CONV_PARTS) most /= 2;
    return pn_conv_max(1, pn_conv_min(most, u->count));
}

/* Output rows of one block of dw. */
static inline i64 pn_conv_block_rows(const pn_conv *v, const pn_conv_units *u) {
    return u->images > 1 ? u->rows : pn_conv_min(u->rows, pn_conv_max(1, PN_CONV_PIXELS / pn_conv_max(v->ow, 1)));
}

/* Elements of scratch, each piece on a 64-byte border. */
typedef struct pn_conv_fwd_scratch {
    i64 weights, bias, band; /* packed weights, bias of q pixels (shared); a band of x (per thread) */
    i64 pairs;               /* the band as pairs of bfloat16 (pairs.h), two planes, and what a tile register reads past it */
} pn_conv_fwd_scratch;

/* Whether the terms of a convolution, and of its gradients, come in pairs that do not reach over a border. */
static inline int pn_conv_pairs(const pn_conv *v, int bwd) {
    if (pn_conv_depthwise(v) || v->fq > 1 || v->cg % 2 || v->kh * v->kw * v->cg < 32) return 0;
    return !bwd || (v->dq == 1 && v->og % 2 == 0);
}

static inline void pn_conv_fwd_room(pn_conv_fwd_scratch *s, const pn_conv *v, const pn_conv_units *u, int planes) {
    const i64 terms = v->kh * (v->kw + (v->fq - 1) * v->sw) * v->cg;
    s->weights = pn_conv_depthwise(v) ? 0 : v->groups * terms * pn_conv_round(v->fq * v->og);
    s->bias = pn_conv_round(v->fq * v->o);
    s->band = v->copied && !planes ? pn_conv_round(u->images * pn_conv_xrows(v, u->rows) * v->xw * v->xc) : 0;
    s->pairs = planes ? pn_conv_round(u->images * pn_conv_xrows(v, u->rows) * v->xw * v->xc + 32 * v->sw * v->xc) : 0;
}

/* Gradients on tile registers (kernels/conv_amx_bwd.h): whose pixels are terms as they lie; pairs of rows of pixels, whole
 * registers of them; and the pixels of x that these read. */
static inline int pn_conv_flat(const pn_conv *v) { return v->sh == 1 && v->sw == 1 && v->groups == 1; }
static inline i64 pn_conv_flat_lanes(const pn_conv *v, i64 rows) {
    return pn_conv_round(((rows - 1) * v->xw + v->ow + 1) / 2);
}
static inline i64 pn_conv_flat_room(i64 pixels) { return pixels + 32; }

typedef struct pn_conv_bwd_scratch {
    i64 weights, parts;   /* packed weights; partial dw and db */
    i64 part;             /* of one group */
    i64 x_band, z_band, z_panels, dx_row; /* per thread */
    i64 x_pairs, z_pairs;                 /* the bands as pairs of bfloat16, two planes: of pixels, of channels */
} pn_conv_bwd_scratch;

static inline i64 pn_conv_bwd_thread(const pn_conv_bwd_scratch *s) {
    return s->x_band + s->z_band + s->z_panels + s->dx_row + s->x_pairs + s->z_pairs;
}

static inline void pn_conv_bwd_room(pn_conv_bwd_scratch *s, const pn_conv *v, const pn_conv_units *u, int dx, int dw,
                                    int db, int planes) {
    const i64 terms = v->kh * (v->kw + v->dq - 1) * v->og, xrows = pn_conv_xrows(v, u->rows);
    const int flat = planes && dw && pn_conv_flat(v);
    s->weights = dx && !pn_conv_depthwise(v) ? v->groups * terms * pn_conv_round(v->dq * v->cg) : 0;
    s->part = dw || db ? pn_conv_round(pn_conv_dw_size(v)) + pn_conv_round(v->o) : 0;
    if (flat) s->part = pn_conv_max(s->part, (v->kh * v->kw * pn_conv_round(v->c) + 1) * pn_conv_round(v->o));
    s->parts = pn_conv_groups(v, u) * s->part;
    s->x_band = dw && v->copied ? pn_conv_round(u->images * xrows * v->xw * v->xc) : 0;
    s->z_band = dx ? 0 : pn_conv_round(u->images * (flat ? u->rows : pn_conv_block_rows(v, u)) * v->ow * v->o);
    for (i64 b = 0; dx && b < u->bands; b++) {
        pn_conv_zone z;
        pn_conv_zone_of(&z, v, u, b, dx);
        s->z_band = pn_conv_max(s->z_band, pn_conv_round(u->images * (z.z1 - z.z0) * (z.c1 - z.c0) * v->o));
    }
    s->z_panels = 0;
    if (dw && !pn_conv_depthwise(v))
        s->z_panels = u->images * pn_conv_block_rows(v, u) * ((v->ow / v->fq + 1) & ~(i64)1) * pn_conv_round(v->fq * v->og);
    if (flat)
        s->z_panels = pn_conv_max(s->z_panels, 2 * pn_conv_round(v->o) * pn_conv_flat_lanes(v, u->rows) + pn_conv_round(u->rows * v->xw * v->o));
    s->dx_row = dx && v->xc > v->c ? pn_conv_round(v->w * v->o) : 0;
    s->x_pairs = planes && dw ? 2 * pn_conv_round(u->images * xrows * v->xw * v->xc) : 0;
    if (flat) s->x_pairs = pn_conv_max(s->x_pairs, 2 * pn_conv_flat_room(xrows * v->xw) * pn_conv_round(v->c));
    s->z_pairs = planes && dx ? s->z_band + pn_conv_round(32 * v->o) : 0;
}

/* Elements of scratch of a direct conv2d_fwd for at most nth threads. */
static inline i64 pn_conv_fwd_elements(const pn_conv *v, int nth, int planes) {
    pn_conv_units u;
    pn_conv_fwd_scratch s;
    pn_conv_fwd_units(&u, v);
    pn_conv_fwd_room(&s, v, &u, planes);
    return s.weights + s.bias + nth * (s.band + s.pairs);
}

/* Elements of scratch of a direct conv2d_bwd. */
static inline i64 pn_conv_bwd_elements(const pn_conv *v, int nth, int dx, int dw, int db, int planes) {
    pn_conv_units u;
    pn_conv_bwd_scratch s;
    pn_conv_bwd_units(&u, v);
    pn_conv_bwd_room(&s, v, &u, dx, dw, db, planes);
    return s.weights + s.parts + nth * pn_conv_bwd_thread(&s);
}

#endif
