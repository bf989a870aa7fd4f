/* Augmentation of images [N, H, W, C]. Each kernel is a pure function of the images and of numbers drawn before (u in
 * [0, 1), one row per image), so what happens to image i does not depend on the others, on threads or on the ISA:
 * positions are computed in double and no multiplication is fused with an addition.
 *
 *   affine_draw   m [N,2,3] from u [N,5]: M = R K / z about the middle, then a shift (see below)
 *   warp_fwd      y(p) = x(M p + d(p)), bilinear                  IN x, m [N,2,3] or NULL, d [N,H,W,2] or NULL
 *   blur_fwd      y = scale G_sigma * x, zero outside             IN x
 *   flip_fwd      y = x mirrored left to right where u < p        IN x, u [N]
 *   crop_fwd      a window of the padded image                    IN x, u [N,2]
 *   erase_fwd     a rectangle becomes one value                   IN x, u [N,5]
 * Rows of m, d: (y, x). Outside the image there are zeros (mode 0) or the nearest pixel (mode 1).
 * Parallel over images. No aliasing, but y may be x in erase_fwd.
 */
#ifndef PN_AUGMENT_H
#define PN_AUGMENT_H

#include "par.h"
#include "simd.h"

/* dim: N, H, W; par = shift of y and x as shares of H and W, angle, zoom, angle of shear (radians).
 * With s = 2 u - 1 in [-1, 1): theta = s2 par[2], z = 1 + s3 par[3], t = tan(s4 par[4]),
 * M = [cos, sin; -sin, cos] [1, 0; t, 1] / z; a source point is M (p - middle - shift) + middle. */
enum { AUG_N, AUG_H, AUG_W, AUG_C }; /* of every kernel here; more dims follow */
enum { DRAW_M, DRAW_U };
static void affine_draw_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const double H = (double)I->dim[AUG_H], W = (double)I->dim[AUG_W], cy = 0.5 * (H - 1), cx = 0.5 * (W - 1);
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const real *u = (const real *)I->arg[DRAW_U] + 5 * i;
        real *m = (real *)I->arg[DRAW_M] + 6 * i;
        double s[5];
        for (int k = 0; k < 5; k++) s[k] = (2 * (double)u[k] - 1) * I->par[k];
        double n, c, rise, run;
        pn_turn(s[2], &n, &c);
        pn_turn(s[4], &rise, &run);
        const double z = 1 / (1 + s[3]), t = rise / run;
        const double yy = (c + n * t) * z, yx = n * z, xy = (c * t - n) * z, xx = c * z;
        const double ty = cy + s[0] * H, tx = cx + s[1] * W;
        m[0] = (real)yy, m[1] = (real)yx, m[2] = (real)(cy - yy * ty - yx * tx);
        m[3] = (real)xy, m[4] = (real)xx, m[5] = (real)(cx - xy * ty - xx * tx);
    }
}
static int affine_draw(const pn_instr *I) {
    pn_for(I->dim[AUG_N], 16, 150.0 * (double)I->dim[AUG_N], I->nth, affine_draw_range, (void *)I);
    return PN_OK;
}

#define PN_WARP_COLS 64

static const real pn_no_displacement[2 * PN_WARP_COLS] = {0};

/* v clamped to [lo, hi]; lo where v is NaN. */
static inline double pn_within(double v, double lo, double hi) {
    const double t = v > lo ? v : lo;
    return t < hi ? t : hi;
}

/* Where `n` output pixels of row y from column x0 on lie in the padded image: the offset of the upper left of the four
 * pixels around (in pixels), and the distances from it. */
enum { WARP_Y, WARP_X, WARP_M, WARP_D };
enum { WARP_MODE = 4 };
static inline void pn_warp_places(const pn_instr *I, const double m[6], const real *restrict d, i64 y, i64 x0, i64 n,
                                  int32_t *restrict at, real *restrict fy, real *restrict fx) {
    const i64 H = I->dim[AUG_H], W = I->dim[AUG_W];
    const int nearest = I->dim[WARP_MODE] != 0, last_y = (int)H, last_x = (int)W, pitch = (int)W + 2;
    const double low = nearest ? 0 : -1, high_y = (double)(nearest ? H - 1 : H), high_x = (double)(nearest ? W - 1 : W);
    const double by = m[0] * (double)y + m[2], bx = m[3] * (double)y + m[5];
    for (int j = 0; j < (int)n; j++) {
        const double x = (double)((int)x0 + j);
        const double sy = 1 + pn_within(by + m[1] * x + (double)d[2 * j], low, high_y);
        const double sx = 1 + pn_within(bx + m[4] * x + (double)d[2 * j + 1], low, high_x);
        const int ky = (int)sy, kx = (int)sx;
        const int iy = ky < last_y ? ky : last_y, ix = kx < last_x ? kx : last_x;
        at[j] = iy * pitch + ix;
        fy[j] = (real)(sy - (double)iy);
        fx[j] = (real)(sx - (double)ix);
    }
}

static inline void pn_warp_blend(real *restrict out, const real *restrict p, i64 pitch, i64 C, i64 n,
                                 const int32_t *restrict at, const real *restrict fy, const real *restrict fx) {
    for (i64 j = 0; j < n; j++) {
        for (i64 c = 0; c < C; c++) {
            const real *q = p + (i64)at[j] * C + c, *r = q + pitch * C;
            const real upper = q[0] + fx[j] * (q[C] - q[0]), lower = r[0] + fx[j] * (r[C] - r[0]);
            out[j * C + c] = upper + fy[j] * (lower - upper);
        }
    }
}

/* dim = N, H, W, C, mode. Cost: about 20 operations and 4 reads per pixel and channel. Scratch per thread: the image
 * with a border one pixel wide, zero, so that no pixel needs a test. */
static void warp_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 H = I->dim[AUG_H], W = I->dim[AUG_W], C = I->dim[AUG_C], pitch = W + 2, size = H * W * C;
    const real *m = (const real *)I->arg[WARP_M], *d = (const real *)I->arg[WARP_D];
    real *p = (real *)(void *)((char *)I->scratch + ith * (I->scratch_bytes / I->nth));
    int32_t at[PN_WARP_COLS];
    real fy[PN_WARP_COLS], fx[PN_WARP_COLS];
    memset(p, 0, (size_t)((H + 2) * pitch * C) * sizeof(real));
    for (i64 i = lo; i < hi; i++) {
        const real *x = (const real *)I->arg[WARP_X] + i * size;
        real *y = (real *)I->arg[WARP_Y] + i * size;
        double M[6] = {1, 0, 0, 0, 1, 0};
        for (int k = 0; m && k < 6; k++) M[k] = (double)m[6 * i + k];
        for (i64 r = 0; r < H; r++) memcpy(p + ((r + 1) * pitch + 1) * C, x + r * W * C, (size_t)(W * C) * sizeof(real));
        for (i64 r = 0; r < H; r++) {
            for (i64 c = 0; c < W; c += PN_WARP_COLS) {
                const i64 n = W - c < PN_WARP_COLS ? W - c : PN_WARP_COLS, first = r * W + c;
                const real *move = d ? d + 2 * (i * H * W + first) : pn_no_displacement;
                pn_warp_places(I, M, move, r, c, n, at, fy, fx);
                if (C == 1) pn_warp_blend(y + first, p, pitch, 1, n, at, fy, fx);
                else if (C == 3) pn_warp_blend(y + first * 3, p, pitch, 3, n, at, fy, fx);
                else pn_warp_blend(y + first * C, p, pitch, C, n, at, fy, fx);
            }
        }
    }
}
static int warp_fwd(const pn_instr *I) {
    const double cost = (2.0 + (double)I->dim[AUG_C]) * (double)(I->dim[AUG_N] * I->dim[AUG_H] * I->dim[AUG_W]);
    if (I->dim[AUG_H] * I->dim[AUG_W] * I->dim[AUG_C] == 0) return PN_OK;
    pn_for(I->dim[AUG_N], 8, cost, I->nth, warp_range, (void *)I);
    return PN_OK;
}

/* out[j] = w0 a[j] + sum over k of wk (a[j - k step] + a[j + k step]), j < n. */
static inline void pn_blur_line(real *restrict out, const real *restrict a, i64 step, i64 n, const real *w, i64 radius) {
    i64 j = 0;
    for (; j < n; j += VW) {
        const i64 count = n - j;
        if (count >= VW) {
            vec sum = vmul(vset(w[0]), vload(a + j));
            for (i64 k = 1; k <= radius; k++)
                sum = vadd(sum, vmul(vset(w[k]), vadd(vload(a + j - k * step), vload(a + j + k * step))));
            vstore(out + j, sum);
        } else {
            vec sum = vmul(vset(w[0]), vloadn(a + j, count));
            for (i64 k = 1; k <= radius; k++)
                sum = vadd(sum, vmul(vset(w[k]), vadd(vloadn(a + j - k * step, count), vloadn(a + j + k * step, count))));
            vstoren(out + j, sum, count);
        }
    }
}

/* dim: N, H, W, C, radius; par = sigma, scale. The Gaussian has 2 radius + 1 samples of sum 1, down and then across.
 * Cost: 2 (radius + 1) multiplications and 4 radius additions per value. Scratch per thread: radius + 1 weights, one
 * image with zeros above and below, one row with zeros on both sides (no more of them than the image is long). */
enum { BLUR_Y, BLUR_X };
enum { BLUR_RADIUS = 4 };
static void pn_blur_weights(real *w, i64 radius, double sigma) {
    double total = 1;
    for (i64 k = 1; k <= radius; k++) total += 2 * pn_exp(-0.5 * (double)(k * k) / (sigma * sigma));
    for (i64 k = 0; k <= radius; k++) w[k] = (real)(pn_exp(-0.5 * (double)(k * k) / (sigma * sigma)) / total);
}
static void blur_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 H = I->dim[AUG_H], W = I->dim[AUG_W], C = I->dim[AUG_C], R = I->dim[BLUR_RADIUS], line = W * C;
    const i64 down = R < H ? R : H, across = R < W ? R : W;
    real *w = (real *)(void *)((char *)I->scratch + ith * (I->scratch_bytes / I->nth));
    real *image = w + R + 1, *row = image + (H + 2 * down) * line;
    pn_blur_weights(w, R, I->par[0]);
    memset(image, 0, (size_t)((H + 2 * down) * line + (W + 2 * across) * C) * sizeof(real));
    for (i64 i = lo; i < hi; i++) {
        const real *x = (const real *)I->arg[BLUR_X] + i * H * line;
        real *y = (real *)I->arg[BLUR_Y] + i * H * line;
        memcpy(image + down * line, x, (size_t)(H * line) * sizeof(real));
        for (i64 r = 0; r < H; r++) {
            pn_blur_line(row + across * C, image + (down + r) * line, line, line, w, down);
            pn_blur_line(y + r * line, row + across * C, C, line, w, across);
        }
        for (i64 j = 0; j < H * line; j++) y[j] *= (real)I->par[1];
    }
}
static int blur_fwd(const pn_instr *I) {
    const double values = (double)(I->dim[AUG_N] * I->dim[AUG_H] * I->dim[AUG_W] * I->dim[AUG_C]);
    if (values == 0) return PN_OK;
    pn_for(I->dim[AUG_N], 4, 0.2 * (double)(I->dim[BLUR_RADIUS] + 2) * values, I->nth, blur_range, (void *)I);
    return PN_OK;
}

/* dim: N, H, W, C; par[0] = p. Cost: 8 bytes per value. */
enum { FLIP_Y, FLIP_X, FLIP_U };
static void flip_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 H = I->dim[AUG_H], W = I->dim[AUG_W], C = I->dim[AUG_C];
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const real *x = (const real *)I->arg[FLIP_X] + i * H * W * C;
        real *y = (real *)I->arg[FLIP_Y] + i * H * W * C;
        if (!((double)((const real *)I->arg[FLIP_U])[i] < I->par[0])) {
            memcpy(y, x, (size_t)(H * W * C) * sizeof(real));
            continue;
        }
        for (i64 r = 0; r < H; r++, x += W * C, y += W * C)
            for (i64 j = 0; j < W; j++)
                for (i64 c = 0; c < C; c++) y[j * C + c] = x[(W - 1 - j) * C + c];
    }
}
static int flip_fwd(const pn_instr *I) {
    const i64 size = I->dim[AUG_H] * I->dim[AUG_W] * I->dim[AUG_C];
    pn_for(I->dim[AUG_N], 8, 0.6 * (double)(I->dim[AUG_N] * size), I->nth, flip_range, (void *)I);
    return PN_OK;
}

/* dim: N, H, W, C, height and width of the window, padding, mode. The window begins at floor(u (rows to choose from))
 * and likewise for columns. Cost: 8 bytes per value. */
static inline i64 pn_pick(double u, i64 n) {
    const i64 k = (i64)(u * (double)n);
    return k < n ? k : n - 1;
}
enum { CROP_Y, CROP_X, CROP_U };
enum { CROP_H = 4, CROP_W, CROP_PAD, CROP_MODE };
static void crop_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 H = I->dim[AUG_H], W = I->dim[AUG_W], C = I->dim[AUG_C], h = I->dim[CROP_H], w = I->dim[CROP_W], pad = I->dim[CROP_PAD];
    const int nearest = I->dim[CROP_MODE] != 0;
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const real *x = (const real *)I->arg[CROP_X] + i * H * W * C, *u = (const real *)I->arg[CROP_U] + 2 * i;
        real *y = (real *)I->arg[CROP_Y] + i * h * w * C;
        const i64 top = pn_pick((double)u[0], H + 2 * pad - h + 1) - pad;
        const i64 left = pn_pick((double)u[1], W + 2 * pad - w + 1) - pad;
        const i64 from = left < 0 ? -left : 0, to = W - left < w ? W - left : w; /* columns [from, to) are inside */
        for (i64 r = 0; r < h; r++, y += w * C) {
            i64 at = top + r;
            if (at < 0 || at >= H) {
                if (!nearest) {
                    memset(y, 0, (size_t)(w * C) * sizeof(real));
                    continue;
                }
                at = at < 0 ? 0 : H - 1;
            }
            const real *line = x + at * W * C;
            if (to > from) memcpy(y + from * C, line + (left + from) * C, (size_t)((to - from) * C) * sizeof(real));
            for (i64 j = 0; j < w; j++) {
                if (j == from && to > from) j = to;
                if (j >= w) break;
                for (i64 c = 0; c < C; c++) y[j * C + c] = nearest ? line[(left + j < 0 ? 0 : W - 1) * C + c] : 0;
            }
        }
    }
}
static int crop_fwd(const pn_instr *I) {
    const i64 size = I->dim[CROP_H] * I->dim[CROP_W] * I->dim[AUG_C];
    pn_for(I->dim[AUG_N], 8, 0.3 * (double)(I->dim[AUG_N] * size), I->nth, crop_range, (void *)I);
    return PN_OK;
}

/* dim: N, H, W, C; par = p, least and largest share of the area, least and largest height / width, value. Where u0 < p:
 * area and (on a logarithmic scale) height / width are uniform, by u1 and u2, the place by u3 and u4 (Zhong et al. 2020).
 * Cost: 8 bytes per value, 0 where y is x and nothing is erased. */
enum { ERASE_Y, ERASE_X, ERASE_U };
static void erase_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 H = I->dim[AUG_H], W = I->dim[AUG_W], C = I->dim[AUG_C], size = H * W * C;
    const double *par = I->par;
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const real *x = (const real *)I->arg[ERASE_X] + i * size, *u = (const real *)I->arg[ERASE_U] + 5 * i;
        real *y = (real *)I->arg[ERASE_Y] + i * size;
        if (y != x) memcpy(y, x, (size_t)size * sizeof(real));
        if (!((double)u[0] < par[0])) continue;
        const double area = (double)(H * W) * (par[1] + (double)u[1] * (par[2] - par[1]));
        const double aspect = pn_exp(pn_log(par[3]) + (double)u[2] * (pn_log(par[4]) - pn_log(par[3])));
        const i64 tall = (i64)(sqrt(area * aspect) + 0.5), wide = (i64)(sqrt(area / aspect) + 0.5);
        const i64 h = tall < H ? tall : H, w = wide < W ? wide : W;
        const i64 top = pn_pick((double)u[3], H - h + 1), left = pn_pick((double)u[4], W - w + 1);
        for (i64 r = top; r < top + h; r++)
            for (i64 j = (r * W + left) * C; j < (r * W + left + w) * C; j++) y[j] = (real)par[5];
    }
}
static int erase_fwd(const pn_instr *I) {
    const i64 size = I->dim[AUG_H] * I->dim[AUG_W] * I->dim[AUG_C];
    pn_for(I->dim[AUG_N], 8, 0.3 * (double)(I->dim[AUG_N] * size), I->nth, erase_range, (void *)I);
    return PN_OK;
}

#endif
