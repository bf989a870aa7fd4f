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
