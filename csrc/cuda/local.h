/* Convolution with weights of their own for every pixel (../kernels/local.h): a block per pixel and tile of 64 samples
 * x 64 filters, whose terms are those of the window within the image; dw by tiles of terms x filters; db and dx one
 * thread per element, dx over the pixels that saw it, in order. */
#ifndef PN_CUDA_LOCAL_H
#define PN_CUDA_LOCAL_H

#include "matmul.h"

/* Tile t of those of all pixels, each of m x n. */
struct local_tile {
    i64 p, row0, col0;
    f32::local_window w;
    i64 line, rows; /* of the window within the image: elements of a row, rows */
    __device__ local_tile(const f32::local_job &j, i64 t, i64 m, i64 n) {
        const i64 across = (n + PN_CUDA_TILE - 1) / PN_CUDA_TILE, tiles = pn_cuda_tiles(m, n);
        p = t / tiles, row0 = t % tiles / across * PN_CUDA_TILE, col0 = t % tiles % across * PN_CUDA_TILE;
        w = f32::local_clip(&j, p);
        line = (w.s1 - w.s0) * j.c, rows = w.r1 - w.r0;
    }
};

PN_KERNEL(local_fwd) {
    (void)phase;
    const f32::local_job j = f32::local_read(&I);
    const float *bias = (const float *)I.arg[f32::LOCAL_BIAS];
    if (PN_STOPPED) return;
    for (i64 t = blockIdx.x; t < j.oh * j.ow * pn_cuda_tiles(j.n, j.f); t += gridDim.x) {
        const local_tile at(j, t, j.n, j.f);
        const f32::local_window w = at.w;
        const i64 line = at.line, terms = at.rows * line, p = at.p;
        const float *x = (const float *)I.arg[f32::LOCAL_X] + w.x;
        const float *weights = (const float *)I.arg[f32::LOCAL_W] + (p * j.terms + (w.r0 * j.kw + w.s0) * j.c) * j.f;
        float *y = (float *)I.arg[f32::LOCAL_Y] + p * j.f;
        tile_product(
            j.n, j.f, terms, terms, at.row0, at.col0, 1, 0,
            [&](i64 n, i64 q) { return x[n * j.image + q / line * j.w * j.c + q % line]; },
            [&](i64 q, i64 f) { return weights[(q / line * j.kw * j.c + q % line) * j.f + f]; },
            [&](i64 n, i64 f, float s) { y[n * j.out + f] = bias ? s + bias[p * j.f + f] : s; });
    }
}

/* dx: over the pixels whose windows hold the element, in order, each a sum over the filters. */
static __device__ __forceinline__ void local_dx(const f32::local_job &j, float *dx, const float *dy, const float *weights) {
    PN_EACH(i, j.n * j.image) {
        const i64 c = i % j.c, x = i / j.c % j.w + j.pl, y = i / (j.c * j.w) % j.h + j.pt;
        const float *from = dy + i / j.image * j.out;
        float total = 0;
        for (i64 oy = y < j.kh ? 0 : (y - j.kh) / j.sh + 1; oy < j.oh && oy * j.sh <= y; oy++)
            for (i64 ox = x < j.kw ? 0 : (x - j.kw) / j.sw + 1; ox < j.ow && ox * j.sw <= x; ox++) {
                const i64 p = oy * j.ow + ox, term = ((y - oy * j.sh) * j.kw + x - ox * j.sw) * j.c + c;
                const float *slopes = from + p * j.f, *w = weights + (p * j.terms + term) * j.f;
                float s = 0;
                for (i64 f = 0; f < j.f; f++) s = fmaf(slopes[f], w[f], s);
                total = total + s;
            }
        dx[i] = total;
    }
}

/* Phases: dw, db, dx. */
PN_KERNEL(local_bwd) {
    const f32::local_job j = f32::local_read(&I);
    const float *dy = (const float *)I.arg[f32::LOCALB_DY];
    float *dw = (float *)I.arg[f32::LOCALB_DW], *db = (float *)I.arg[f32::LOCALB_DB];
    if (PN_STOPPED) return;
    if (phase == 0) {
        for (i64 t = blockIdx.x; t < (dw ? j.oh * j.ow * pn_cuda_tiles(j.terms, j.f) : 0); t += gridDim.x) {
            const local_tile at(j, t, j.terms, j.f);
            const f32::local_window w = at.w;
            const float *x = (const float *)I.arg[f32::LOCALB_X] + w.x, *slopes = dy + at.p * j.f;
            float *to = dw + at.p * j.terms * j.f;
            const auto row = [&](i64 q) { return q / (j.kw * j.c) - w.r0; };
            const auto column = [&](i64 q) { return q % (j.kw * j.c) - w.s0 * j.c; };
            const auto inside = [&](i64 q) {
                return row(q) >= 0 && row(q) < at.rows && column(q) >= 0 && column(q) < at.line;
            };
            tile_product(
                j.terms, j.f, j.n, j.n, at.row0, at.col0, 0, 0,
                [&](i64 q, i64 n) { return inside(q) ? x[n * j.image + row(q) * j.w * j.c + column(q)] : 0; },
                [&](i64 n, i64 f) { return slopes[n * j.out + f]; },
                [&](i64 q, i64 f, float s) { to[q * j.f + f] = inside(q) ? s : 0; });
        }
    } else if (phase == 1) {
        PN_EACH(i, db ? j.out : 0) {
            float s = 0;
            for (i64 n = 0; n < j.n; n++) s = s + dy[n * j.out + i];
            db[i] = s;
        }
    } else if (I.arg[f32::LOCALB_DX]) {
        local_dx(j, (float *)I.arg[f32::LOCALB_DX], dy, (const float *)I.arg[f32::LOCALB_W]);
    }
}

PN_KERNEL(local_transpose_fwd) {
    (void)phase;
    const f32::local_job j = f32::local_read(&I);
    if (PN_STOPPED) return;
    local_dx(j, (float *)I.arg[f32::LOCALT_X], (const float *)I.arg[f32::LOCALT_Y], (const float *)I.arg[f32::LOCALT_W]);
}

#endif
