/* Pooling: a thread per element of the result, over its window in the order of ../kernels/pooling.h. */
#ifndef PN_CUDA_POOLING_H
#define PN_CUDA_POOLING_H

#include "elementwise.h"

static __device__ __forceinline__ i64 pool_index(const void *index, i64 at, i64 bytes) {
    return bytes == 1 ? (i64)((const uint8_t *)index)[at] : (i64)((const int32_t *)index)[at];
}

/* Item `at` of y [N,OH,OW,C] and the window that it sees: rows [r0, r1), columns [s0, s1) of the window, which lies at
 * x. */
#define POOL_WINDOWS(d, at)                                                                                   \
    const f32::pool_dims d = f32::pool_read(I.dim);                                                           \
    PN_EACH(at, d.n * d.oh * d.ow * d.c)
#define POOL_WINDOW(d, at, operand)                                                                                    \
    const i64 c = at % d.c, j = at / d.c % d.ow, i = at / d.c / d.ow % d.oh, n = at / d.c / d.ow / d.oh;      \
    const i64 top = i * d.sh - d.pt, left = j * d.sw - d.pl;                                                  \
    POOL_CLIP(r0, r1, top, d.kh, d.h);                                                                        \
    POOL_CLIP(s0, s1, left, d.kw, d.w);                                                                       \
    const float *x = (const float *)I.arg[operand] + ((n * d.h + top) * d.w + left) * d.c + c
/* Item `at` of dx [N,H,W,C] and the windows that see it: rows [r0, r1), columns [s0, s1) of y. */
#define POOL_PIXELS(d, at)                                                                                    \
    const f32::pool_dims d = f32::pool_read(I.dim);                                                           \
    PN_EACH(at, d.n * d.h * d.w * d.c)
#define POOL_PIXEL(d, at)                                                                                     \
    const i64 c = at % d.c, j = at / d.c % d.w, i = at / d.c / d.w % d.h, n = at / d.c / d.w / d.h;           \
    POOL_SEEN(r0, r1, i, d.kh, d.sh, d.pt, d.oh);                                                             \
    POOL_SEEN(s0, s1, j, d.kw, d.sw, d.pl, d.ow)

PN_KERNEL(max_pool_fwd) {
    (void)phase;
    if (PN_STOPPED) return;
    POOL_WINDOWS(d, at) {
        POOL_WINDOW(d, at, f32::MAXP_X);
        float best = x[(r0 * d.w + s0) * d.c], where = (float)(r0 * d.kw + s0);
        for (i64 r = r0; r < r1; r++)
            for (i64 s = s0; s < s1; s++) f32::pool_max(&best, &where, x[(r * d.w + s) * d.c], r * d.kw + s);
        ((float *)I.arg[f32::MAXP_Y])[at] = best;
        if (d.bytes == 1) ((uint8_t *)I.arg[f32::MAXP_INDEX])[at] = (uint8_t)where;
        else ((int32_t *)I.arg[f32::MAXP_INDEX])[at] = (int32_t)where;
    }
}
PN_KERNEL(max_pool_bwd) {
    (void)phase;
    if (PN_STOPPED) return;
    POOL_PIXELS(d, at) {
        POOL_PIXEL(d, at);
        float sum = 0;
        for (i64 r = r0; r < r1; r++)
            for (i64 s = s0; s < s1; s++) {
                const i64 from = ((n * d.oh + r) * d.ow + s) * d.c + c;
                const i64 tap = (i + d.pt - r * d.sh) * d.kw + j + d.pl - s * d.sw;
                const int here = pool_index(I.arg[f32::MAXPB_INDEX], from, d.bytes) == tap;
                sum = sum + (here ? ((const float *)I.arg[f32::MAXPB_DY])[from] : 0);
            }
        ((float *)I.arg[f32::MAXPB_DX])[at] = sum;
    }
}
PN_KERNEL(avg_pool_fwd) {
    (void)phase;
    if (PN_STOPPED) return;
    POOL_WINDOWS(d, at) {
        POOL_WINDOW(d, at, f32::AVGP_X);
        float sum = 0;
        for (i64 r = r0; r < r1; r++)
            for (i64 s = s0; s < s1; s++) sum = sum + x[(r * d.w + s) * d.c];
        ((float *)I.arg[f32::AVGP_Y])[at] = sum * (1 / (float)((r1 - r0) * (s1 - s0)));
    }
}
PN_KERNEL(avg_pool_bwd) {
    (void)phase;
    if (PN_STOPPED) return;
    POOL_PIXELS(d, at) {
        POOL_PIXEL(d, at);
        float sum = 0;
        for (i64 r = r0; r < r1; r++) {
            POOL_CLIP(y0, y1, r * d.sh - d.pt, d.kh, d.h);
            for (i64 s = s0; s < s1; s++) {
                POOL_CLIP(x0, x1, s * d.sw - d.pl, d.kw, d.w);
                const float dy = ((const float *)I.arg[f32::AVGPB_DY])[((n * d.oh + r) * d.ow + s) * d.c + c];
                sum = sum + dy * (1 / (float)((y1 - y0) * (x1 - x0)));
            }
        }
        ((float *)I.arg[f32::AVGPB_DX])[at] = sum;
    }
}

#endif
