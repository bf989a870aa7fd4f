/* Winograd's convolution F(4x4, 3x3): where it applies, how its tiles are cut into units, and the scratch it takes.
 *
 * As in conv_plan.h, everything follows from the sizes alone, never from the number of threads.
 */
#ifndef PN_WINOGRAD_PLAN_H
#define PN_WINOGRAD_PLAN_H

#include "conv_plan.h"

enum {
    PN_WINO_MATRICES = 36,    /* of the 6 x 6 transformed elements, each has a product of its own */
    PN_WINO_STRIP = 14,       /* tiles of a unit: a multiple of this, the rows of a tile of gemm_micro.h, ... */
    PN_WINO_BLOCK = 42,       /* ... at most this, ... */
    PN_WINO_ROOM = 200000,    /* ... while the transformed images have no more elements: most of a second-level cache */
    PN_WINO_TERMS = 32,       /* tiles of a unit of dw: terms of its products, ... */
    PN_WINO_DW_ROOM = 360000, /* ... while they have no more elements */
    PN_WINO_SUMS = 1 << 20,   /* elements of the 36 sums of dw that a thread adds up at a time */
    PN_WINO_WIDEST = 32,      /* columns of a panel of the products */
    PN_WINO_UNITS = 16,       /* of a small image at least, for many threads */
    PN_WINO_LEAST = 16,       /* channels of input and output, */
    PN_WINO_PER_TILE = 4096,  /* and elements of the weights for each tile, from and to which it is faster */
    PN_WINO_AUTO = 2,         /* the mode of pn_conv.winograd that also asks for ... */
    PN_WINO_EXACT = 512,      /* ... as many tiles, from which dw's error is at most 4 times the direct one's, ... */
    PN_WINO_EXACT_SMALL = 2048, /* ... these for images of at most 4 tiles, of which much is padding, ... */
    PN_WINO_SEGMENT = 64,     /* ... at least as many of a segment of the batch, whose error is that of all, ... */
    PN_WINO_IMAGES = 4,       /* ... and takes a batch for as many images: a row's outputs do not depend on others */
};

/* One product of tiles: 36 times [tiles, terms] by [terms, columns]. */
typedef struct pn_wino {
    i64 rows, cols, tiles;   /* tiles of 4 x 4 outputs: down and across an image, and of all images */
    i64 terms, columns;      /* channels that are summed over, and of the outputs, the latter whole vectors */
    i64 block, count;        /* tiles of a unit of work; units */
    i64 line, u_plane, m_plane; /* from a tile to the next; from a matrix to the next, of the inputs, of the products */
    i64 weights, patch;      /* elements: the packed weights (shared); a patch of the image (per thread) */
} pn_wino;

/* Odd multiples of a cache line, so that neighbours do not fall into the same set of a cache. */
static inline i64 pn_wino_odd(i64 n) { return pn_conv_round(n) | 16; }

/* Whether the option is on and a convolution has the form for it. */
static inline int pn_wino_fits(const pn_conv *v) {
    return v->winograd && v->kh == 3 && v->kw == 3 && v->sh == 1 && v->sw == 1 && v->dh == 1 && v->dw == 1 &&
           v->groups == 1;
}

static inline i64 pn_wino_tiles(i64 n, i64 h, i64 w) { return n * ((h + 3) / 4) * ((w + 3) / 4); }

/* Whether tiles are mostly outputs rather than what lies beyond the edge, and channels fill vectors and pay for the
 * transforms. Measured: with 64 channels 7 x 7 pixels are 2 times faster, 6 x 6 1.4 times, and 5 x 5 no more. */
static inline int pn_wino_dense(i64 n, i64 h, i64 w, i64 c, i64 o) {
    return c >= PN_WINO_LEAST && o >= PN_WINO_LEAST && n * h * w >= 7 * pn_wino_tiles(n, h, w);
}

/* The forward product and dx transform the weights too, for which there must be enough tiles; dw does not. */
static inline int pn_wino_many(const pn_conv *v, i64 h, i64 w) {
    const i64 n = v->winograd == PN_WINO_AUTO ? PN_WINO_IMAGES : v->n, tiles = pn_wino_tiles(n, h, w);
    return tiles >= 4 && v->c * v->o <= PN_WINO_PER_TILE * tiles && pn_wino_dense(n, h, w, v->c, v->o);
}
static inline int pn_wino_fwd(const pn_conv *v) { return pn_wino_fits(v) && pn_wino_many(v, v->oh, v->ow); }
static inline int pn_wino_dx(const pn_conv *v) { return pn_wino_fits(v) && pn_wino_many(v, v->h, v->w); }
static inline int pn_wino_dw(const pn_conv *v) {
    const i64 exact = pn_wino_tiles(1, v->oh, v->ow) > 4 ? PN_WINO_EXACT : PN_WINO_EXACT_SMALL;
    const int automatic = v->winograd == PN_WINO_AUTO;
    if (automatic && pn_wino_tiles(v->whole, v->oh, v->ow) < exact) return 0;
    return pn_wino_fits(v) && pn_wino_tiles(v->n, v->oh, v->ow) >= (automatic ? PN_WINO_SEGMENT : 8) &&
           pn_wino_dense(v->n, v->oh, v->ow, v->c, v->o);
}

/* The forward product of n images with h x w outputs, and that of dx. */
static inline void pn_wino_cut(pn_wino *t, i64 n, i64 h, i64 w, i64 terms, i64 columns) {
    t->rows = (h + 3) / 4, t->cols = (w + 3) / 4;
    t->tiles = n * t->rows * t->cols;
    t->terms = terms, t->columns = pn_conv_round(columns);
    t->line = pn_conv_round(terms);
    if (t->line % 512 == 0) t->line += 16;
    t->block = PN_WINO_ROOM / (PN_WINO_MATRICES * (t->line + 32));
    t->block = pn_conv_min(t->block, pn_conv_min(PN_WINO_BLOCK, t->tiles / PN_WINO_UNITS));
    t->block = pn_conv_max(1, t->block / PN_WINO_STRIP) * PN_WINO_STRIP;
    t->count = (t->tiles + t->block - 1) / t->block;
    t->u_plane = pn_wino_odd(t->block * t->line);
    t->m_plane = pn_wino_odd(t->block * pn_conv_min(PN_WINO_WIDEST, t->columns));
    t->weights = PN_WINO_MATRICES * (terms + 2) * t->columns; /* panels of at least 16 columns, each pn_wino_odd */
    t->patch = PN_WINO_MATRICES * t->line;
}
static inline i64 pn_wino_thread(const pn_wino *t) {
    return PN_WINO_MATRICES * (t->u_plane + t->m_plane) + t->patch;
}

/* dw: 36 products [channels, tiles] by [tiles, outputs], for `channels` channels at a time. */
typedef struct pn_wino_sums {
    i64 rows, cols, tiles;
    i64 block, count;           /* tiles of a unit; units */
    i64 groups;                 /* of units, each a partial dw and db */
    i64 channels;
    i64 line, u_plane, z_plane; /* from a tile of x to the next; from a matrix to the next, of x, of dz */
    i64 columns, patch, sums;   /* outputs, whole vectors; elements: a patch, the sums */
    i64 dz;                     /* elements: a unit's tiles of dz, where they differ from dy */
    i64 part;                   /* elements of a partial dw and db */
} pn_wino_sums;

static inline void pn_wino_dw_cut(pn_wino_sums *t, const pn_conv *v) {
    const i64 size = 9 * v->c * v->o + v->o;
    t->rows = (v->oh + 3) / 4, t->cols = (v->ow + 3) / 4;
    t->tiles = v->n * t->rows * t->cols;
    t->columns = pn_conv_round(v->o);
    t->channels = pn_conv_max(16, PN_WINO_SUMS / (PN_WINO_MATRICES * t->columns) / 16 * 16);
    t->channels = pn_conv_min(t->channels, pn_conv_round(v->c));
    t->line = pn_wino_odd(t->channels);
    t->block = pn_conv_max(16, PN_WINO_DW_ROOM / (PN_WINO_MATRICES * (t->line + 32)) / 16 * 16);
    t->block = pn_conv_min(t->block, PN_WINO_TERMS);
    t->count = (t->tiles + t->block - 1) / t->block;
    t->block = (t->tiles + t->count - 1) / t->count;
    t->groups = PN_CONV_GROUPS;
    while (t->groups > 2 && t->groups * size > PN_CONV_PARTS) t->groups /= 2;
    t->groups = pn_conv_min(t->groups, t->count);
    t->u_plane = pn_wino_odd(t->block * t->line);
    t->z_plane = pn_wino_odd(t->block * pn_conv_min(PN_WINO_WIDEST, t->columns));
    t->patch = PN_WINO_MATRICES * t->line;
    t->sums = PN_WINO_MATRICES * t->channels * t->columns;
    t->dz = v->act ? pn_conv_round(t->block * 16 * v->o) : 0;
    t->part = pn_conv_round(9 * v->c * v->o) + pn_conv_round(v->o);
}
static inline i64 pn_wino_dw_thread(const pn_wino_sums *t) {
    return PN_WINO_MATRICES * (t->u_plane + t->z_plane) + t->patch + t->sums + t->dz;
}

/* Elements of scratch of the forward pass, of dx (with the transposed weights) and of dw for at most nth threads. */
static inline i64 pn_wino_fwd_room(const pn_conv *v, int nth) {
    pn_wino t;
    pn_wino_cut(&t, v->n, v->oh, v->ow, v->c, v->o);
    return t.weights + nth * pn_wino_thread(&t);
}
static inline i64 pn_wino_dx_room(const pn_conv *v, int nth) {
    pn_wino t;
    pn_wino_cut(&t, v->n, v->h, v->w, v->o, v->c);
    return t.weights + 9 * v->o * t.columns + nth * pn_wino_thread(&t);
}
static inline i64 pn_wino_dw_room(const pn_conv *v, int nth) {
    pn_wino_sums t;
    pn_wino_dw_cut(&t, v);
    return t.groups * t.part + nth * pn_wino_dw_thread(&t);
}

/* Bytes of scratch of conv2d_fwd for at most nth threads. */
static inline i64 pn_conv_fwd_bytes(const i64 *dim, i64 itemsize, int nth, int planes) {
    pn_conv v;
    pn_conv_read(&v, dim);
    return (pn_wino_fwd(&v) ? pn_wino_fwd_room(&v, nth) : pn_conv_fwd_elements(&v, nth, planes)) * itemsize;
}

/* Elements that conv2d_fwd packs its weights into; *units is what the panels follow from beside the other sizes. */
static inline i64 pn_conv_fwd_kept(const i64 *dim, i64 *units) {
    pn_conv v;
    pn_conv_units u;
    pn_conv_fwd_scratch s;
    pn_wino t;
    pn_conv_read(&v, dim);
    if (pn_wino_fwd(&v)) {
        pn_wino_cut(&t, v.n, v.oh, v.ow, v.c, v.o);
        *units = t.block;
        return t.weights;
    }
    pn_conv_fwd_units(&u, &v);
    pn_conv_fwd_room(&s, &v, &u, 0);
    *units = 0;
    return s.weights;
}

/* Bytes of scratch of conv2d_bwd: its parts are computed one after the other. */
static inline i64 pn_conv_bwd_bytes(const i64 *dim, i64 itemsize, int nth, int dx, int dw, int db, int planes) {
    pn_conv v;
    i64 most = 0;
    pn_conv_read(&v, dim);
    if (dx && pn_wino_dx(&v)) {
        most = pn_conv_max(most, pn_wino_dx_room(&v, nth));
        dx = 0;
    }
    if (dw && pn_wino_dw(&v)) {
        most = pn_conv_max(most, pn_wino_dw_room(&v, nth));
        dw = db = 0;
    }
    if (dx || dw || db) most = pn_conv_max(most, pn_conv_bwd_elements(&v, nth, dx, dw, db, planes));
    return most * itemsize;
}

#endif
