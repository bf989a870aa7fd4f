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

/* The Gaussian down and then across: a block per piece of a row, whose rows above and below are summed once, with as much
 * on both sides as the sums across reach, or where that is too long for shared memory, again for each term. */
enum { BLUR_PIECE = PN_CUDA_BLOCK, BLUR_MOST = 4096 };

/* Column j of a row, blurred downwards; 0 outside of the image. */
static __device__ __forceinline__ float blur_down(const float *x, i64 row, i64 j, i64 H, i64 line, const float *w, i64 down) {
    if (j < 0 || j >= line) return 0;
    float sum = w[0] * x[row * line + j];
    for (i64 k = 1; k <= down; k++) {
        const float above = row >= k ? x[(row - k) * line + j] : 0, below = row + k < H ? x[(row + k) * line + j] : 0;
        sum = sum + w[k] * (above + below);
    }
    return sum;
}

/* Phases: the weights, of one thread; the rows. */
PN_KERNEL(blur_fwd) {
    __shared__ float near[BLUR_MOST];
    const i64 H = I.dim[f32::AUG_H], C = I.dim[f32::AUG_C], line = I.dim[f32::AUG_W] * C, R = I.dim[f32::BLUR_RADIUS];
    const i64 down = R < H ? R : H, across = R < I.dim[f32::AUG_W] ? R : I.dim[f32::AUG_W];
    const i64 pieces = pn_cuda_blur_pieces(&I), count = BLUR_PIECE + 2 * across * C;
    float *w = (float *)I.scratch;
    if (PN_STOPPED) return;
    if (phase == 0) {
        if (!blockIdx.x && !threadIdx.x && pieces) f32::pn_blur_weights(w, R, I.par[0]);
        return;
    }
    for (i64 t = blockIdx.x; t < pieces; t += gridDim.x) {
        const i64 of_line = (line + BLUR_PIECE - 1) / BLUR_PIECE, j0 = t % of_line * BLUR_PIECE, j = j0 + threadIdx.x;
        const i64 row = t / of_line % H, first = t / (of_line * H) * H * line;
        const float *x = (const float *)I.arg[f32::BLUR_X] + first;
        const int shared = count <= BLUR_MOST;
        __syncthreads();
        for (i64 i = threadIdx.x; i < (shared ? count : 0); i += blockDim.x)
            near[i] = blur_down(x, row, j0 - across * C + i, H, line, w, down);
        __syncthreads();
        if (j >= line) continue;
        const auto at = [&](i64 i) {
            return shared ? near[i - j0 + across * C] : blur_down(x, row, i, H, line, w, down);
        };
        float sum = w[0] * at(j);
        for (i64 k = 1; k <= across; k++) sum = sum + w[k] * (at(j - k * C) + at(j + k * C));
        ((float *)I.arg[f32::BLUR_Y])[first + row * line + j] = sum * (float)I.par[1];
    }
}

#endif
