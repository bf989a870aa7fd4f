/* Depthwise convolution: every output sees one channel, so channels are lanes (see conv.h). With several outputs for a
 * channel, bands of images hold each channel so many times, and the gradients of these copies are added up.
 */
#include "../conv_plan.h"
#include "simd.h"

/* to[i * times + q] = from[i] */
static void conv_repeat(real *to, const real *from, i64 n, i64 times) {
    for (i64 i = 0; i < n; i++)
        for (i64 q = 0; q < times; q++) *to++ = from[i];
}

/* to[i] = the sum over q of from[i * times + q] */
static void conv_unrepeat(real *to, const real *from, i64 n, i64 times) {
    for (i64 i = 0; i < n; i++, from += times) {
        real sum = from[0];
        for (i64 q = 1; q < times; q++) sum += from[q];
        to[i] = sum;
    }
}

/* y[pixel][c] = sum over taps of a[pixel + tap][c] w[tap][c] for one row of pixels and one vector of channels. */
static inline void conv_depthwise_lanes(real *y, i64 ystep, const real *a, i64 astep, i64 pixels, i64 n1, i64 ast1,
                                        i64 n2, i64 ast2, const real *w, i64 wst1, i64 wst2, vec b, i64 lanes) {
#define DW_LOAD(p) (lanes == VW ? vload(p) : vloadn(p, lanes))
    for (i64 i = 0; i < pixels; i += 4, a += 4 * astep) {
        const i64 some = pn_conv_min(4, pixels - i);
        const i64 at1 = some > 1 ? astep : 0, at2 = some > 2 ? 2 * astep : 0, at3 = some > 3 ? 3 * astep : 0;
        vec s[4] = {vset(0), vset(0), vset(0), vset(0)};
        for (i64 r = 0; r < n1; r++)
            for (i64 t = 0; t < n2; t++) { /* pixels that there are not are the first one again */
                const real *p = a + r * ast1 + t * ast2;
                const vec k = DW_LOAD(w + r * wst1 + t * wst2);
                s[0] = vfma(DW_LOAD(p), k, s[0]);
                s[1] = vfma(DW_LOAD(p + at1), k, s[1]);
                s[2] = vfma(DW_LOAD(p + at2), k, s[2]);
                s[3] = vfma(DW_LOAD(p + at3), k, s[3]);
            }
        for (i64 q = 0; q < some; q++, y += ystep) {
            if (lanes == VW) vstore(y, vadd(s[q], b)); /* masked stores are slow on some processors */
            else vstoren(y, vadd(s[q], b), lanes);
        }
    }
#undef DW_LOAD
}

/* The same for all channels. */
static void conv_depthwise(real *y, i64 ystep, const real *a, i64 astep, i64 pixels, i64 n1, i64 ast1, i64 n2, i64 ast2,
                           const real *w, i64 wst1, i64 wst2, i64 channels, const real *bias) {
    i64 c = 0;
    for (; c + VW <= channels; c += VW)
        conv_depthwise_lanes(y + c, ystep, a + c, astep, pixels, n1, ast1, n2, ast2, w + c, wst1, wst2,
                             bias ? vload(bias + c) : vset(0), VW);
    if (c < channels)
        conv_depthwise_lanes(y + c, ystep, a + c, astep, pixels, n1, ast1, n2, ast2, w + c, wst1, wst2,
                             bias ? vloadn(bias + c, channels - c) : vset(0), channels - c);
}

/* Pixels of one block of dw: `images` times `rows` rows of ow pixels. */
typedef struct conv_block {
    const real *x, *z;
    i64 images, rows, first;     /* first: number of the first row of y */
    i64 x_image, z_image, z_row; /* elements from one image, one row to the next */
} conv_block;

/* The same for a depthwise kernel: channels are lanes, four taps share the reads of dz. */
static void conv_depthwise_dw(const pn_conv *v, const conv_block *k, real *dw, int add) {
    const i64 next = v->dw * v->xc;
    for (i64 c = 0; c < v->o; c += VW) {
        const i64 lanes = pn_conv_min(VW, v->o - c);
        for (i64 r = 0; r < v->kh; r++)
            for (i64 s = 0; s < v->kw; s += 4) {
                const i64 some = pn_conv_min(4, v->kw - s);
                vec acc[4] = {vset(0), vset(0), vset(0), vset(0)};
                for (i64 n = 0; n < k->images; n++)
                    for (i64 i = 0; i < k->rows; i++) {
                        const real *z = k->z + n * k->z_image + i * k->z_row + c;
                        const real *x = k->x + n * k->x_image + (i * v->sh + r * v->dh) * v->xw * v->xc + s * next + c;
                        for (i64 p = 0; p < v->ow; p++, z += v->o, x += v->sw * v->xc) {
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
