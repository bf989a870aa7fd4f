/* Augmentation of images (../kernels/augment.h): a thread per pixel or element; what is drawn is worked out by each. */
#ifndef PN_CUDA_IMAGES_H
#define PN_CUDA_IMAGES_H

#include "elementwise.h"

PN_SPLIT(affine_draw)

PN_KERNEL(flip_fwd) {
    (void)phase;
    const i64 W = I.dim[f32::AUG_W], C = I.dim[f32::AUG_C], size = I.dim[f32::AUG_H] * W * C;
    const float *x = (const float *)I.arg[f32::FLIP_X], *u = (const float *)I.arg[f32::FLIP_U];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::AUG_N] * size) {
        const i64 column = i / C % W, from = (double)u[i / size] < I.par[0] ? W - 1 - column : column;
        ((float *)I.arg[f32::FLIP_Y])[i] = x[i + (from - column) * C];
    }
}

PN_KERNEL(crop_fwd) {
    (void)phase;
    const i64 H = I.dim[f32::AUG_H], W = I.dim[f32::AUG_W], C = I.dim[f32::AUG_C];
    const i64 h = I.dim[f32::CROP_H], w = I.dim[f32::CROP_W], pad = I.dim[f32::CROP_PAD];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::AUG_N] * h * w * C) {
        const i64 n = i / (h * w * C), c = i % C;
        const float *x = (const float *)I.arg[f32::CROP_X] + n * H * W * C + c;
        const float *u = (const float *)I.arg[f32::CROP_U] + 2 * n;
        i64 row = f32::pn_pick((double)u[0], H + 2 * pad - h + 1) - pad + i / (w * C) % h;
        i64 column = f32::pn_pick((double)u[1], W + 2 * pad - w + 1) - pad + i / C % w;
        const int outside = row < 0 || row >= H || column < 0 || column >= W;
        if (outside && I.dim[f32::CROP_MODE]) { /* the nearest pixel */
            row = row < 0 ? 0 : row >= H ? H - 1 : row;
            column = column < 0 ? 0 : column >= W ? W - 1 : column;
        }
        ((float *)I.arg[f32::CROP_Y])[i] = outside && !I.dim[f32::CROP_MODE] ? 0 : x[(row * W + column) * C];
    }
}

/* A block per image: the rectangle takes longer to work out than to fill. y may be x. */
PN_KERNEL(erase_fwd) {
    (void)phase;
    const i64 H = I.dim[f32::AUG_H], W = I.dim[f32::AUG_W], C = I.dim[f32::AUG_C], size = H * W * C;
    if (PN_STOPPED) return;
    for (i64 n = blockIdx.x; n < I.dim[f32::AUG_N]; n += gridDim.x) {
        const float *x = (const float *)I.arg[f32::ERASE_X] + n * size, *u = (const float *)I.arg[f32::ERASE_U] + 5 * n;
        float *y = (float *)I.arg[f32::ERASE_Y] + n * size;
        i64 top = 0, left = 0, h = 0, w = 0;
        if ((double)u[0] < I.par[0]) {
            const double area = (double)(H * W) * (I.par[1] + (double)u[1] * (I.par[2] - I.par[1]));
            const double low = pn_log(I.par[3]);
            const double aspect = pn_exp(low + (double)u[2] * (pn_log(I.par[4]) - low));
            const i64 tall = (i64)(sqrt(area * aspect) + 0.5), wide = (i64)(sqrt(area / aspect) + 0.5);
            h = tall < H ? tall : H, w = wide < W ? wide : W;
            top = f32::pn_pick((double)u[3], H - h + 1), left = f32::pn_pick((double)u[4], W - w + 1);
        }
        for (i64 i = threadIdx.x; i < size; i += blockDim.x) {
            const i64 row = i / (W * C) - top, column = i / C % W - left;
            y[i] = row >= 0 && row < h && column >= 0 && column < w ? (float)I.par[5] : x[i];
        }
    }
}

/* Pixels of the image with a border of zeros, one wide, that no memory holds. */
PN_KERNEL(warp_fwd) {
    (void)phase;
    const i64 H = I.dim[f32::AUG_H], W = I.dim[f32::AUG_W], C = I.dim[f32::AUG_C], pixels = H * W, pitch = W + 2;
    const float *m = (const float *)I.arg[f32::WARP_M], *d = (const float *)I.arg[f32::WARP_D];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::AUG_N] * pixels) {
        const i64 n = i / pixels;
        const float still[2] = {0, 0};
        double M[6] = {1, 0, 0, 0, 1, 0};
        int32_t at;
        float fy, fx;
        for (int k = 0; m && k < 6; k++) M[k] = (double)m[6 * n + k];
        f32::pn_warp_places(&I, M, d ? d + 2 * i : still, i % pixels / W, i % W, 1, &at, &fy, &fx);
        for (i64 c = 0; c < C; c++) {
            const float *x = (const float *)I.arg[f32::WARP_X] + n * pixels * C + c;
            const auto pixel = [&](i64 row, i64 column) {
                return row < 0 || row >= H || column < 0 || column >= W ? 0.0f : x[(row * W + column) * C];
            };
            const i64 row = at / pitch - 1, column = at % pitch - 1;
            const float q = pixel(row, column), r = pixel(row + 1, column);
            const float upper = q + fx * (pixel(row, column + 1) - q);
            const float lower = r + fx * (pixel(row + 1, column + 1) - r);
            ((float *)I.arg[f32::WARP_Y])[i * C + c] = upper + fy * (lower - upper);
        }
    }
}

#endif
