/* Convolutions (NHWC), their gradients and their transpose: direct, as implicit matrix products; no matrix of patches
 * is made.
 *
 * The sum of an element of y, and of dx, is one chain of fused multiply-adds over rows, columns and channels of its
 * window, in the order of ../kernels/conv.h; that of an element of dw is a chain over the pixels of each block, and
 * blocks, units and groups of units are those of ../conv_plan.h. With one group of channels, y and the dx of stride 1
 * are tiles of matmul.h, whose operands are read where they lie in the images; what is left has a thread per element.
 * What a CPU computes by Winograd's algorithm has no device version (launch.h). */
#ifndef PN_CUDA_CONV_H
#define PN_CUDA_CONV_H

#include "matmul.h"

enum { CONV_Y, CONV_X, CONV_W, CONV_BIAS };
enum { CONVT_Y, CONVT_X, CONVT_W };
enum { CONVB_DX, CONVB_DW, CONVB_DB, CONVB_DY, CONVB_Y, CONVB_X, CONVB_W };

/* Quotients and remainders of sizes: 32 bits are enough, as launch.h sees to. */
static __device__ __forceinline__ i64 conv_part(i64 a, i64 b) { return (unsigned)a / (unsigned)b; }
static __device__ __forceinline__ i64 conv_rest(i64 a, i64 b) { return (unsigned)a % (unsigned)b; }

/* Pixel i of [N, H, W]. */
struct conv_pixel {
    int n, row, column;
    __device__ __forceinline__ conv_pixel(unsigned i, unsigned h, unsigned w)
        : n((int)(i / w / h)), row((int)(i / w % h)), column((int)(i % w)) {}
};

/* A value of images [N, H, W, C], 0 outside. */
struct conv_image {
    const float *at;
    i64 h, w, c;
    __device__ __forceinline__ int inside(i64 row, i64 column) const {
        return row >= 0 && row < h && column >= 0 && column < w;
    }
    __device__ __forceinline__ i64 place(int n, i64 row, i64 column, i64 channel) const {
        return ((n * h + row) * w + column) * c + channel;
    }
    __device__ __forceinline__ float get(int n, i64 row, i64 column, i64 channel) const {
        return inside(row, column) ? at[place(n, row, column, channel)] : 0;
    }
};

/* dz = dy act'(y). */
struct conv_slope {
    conv_image dy;
    const float *y;
    int act;
    float p;
    __device__ __forceinline__ float get(int n, i64 row, i64 column, i64 channel) const {
        if (!dy.inside(row, column)) return 0;
        const i64 i = dy.place(n, row, column, channel);
        if (act == PN_ACT_NONE) return dy.at[i];
        float dz;
        f32::pn_act_grad(act, p, &dz, dy.at + i, y + i, 1);
        return dz;
    }
};

PN_PRODUCTS(conv2d_fwd) {
    (void)phase;
    pn_conv v;
    pn_conv_read(&v, I.dim);
    const float *w = (const float *)I.arg[CONV_W], *bias = (const float *)I.arg[CONV_BIAS];
    const conv_image x = {(const float *)I.arg[CONV_X], v.h, v.w, v.c};
    float *y = (float *)I.arg[CONV_Y];
    const float p = (float)I.par[0];
    const i64 pixels = v.n * v.oh * v.ow;
    const auto finish = [&](i64 at, i64 o, float sum) {
        float z = bias ? sum + bias[o] : sum;
        f32::pn_act_apply(v.act, p, &z, 1);
        y[at] = z;
    };
    if (PN_STOPPED || pixels == 0) return;
    if (v.groups == 1) {
        const i64 terms = v.kh * v.kw * v.c, across = (v.o + PN_CUDA_TILE - 1) / PN_CUDA_TILE;
        for (i64 t = blockIdx.x; t < pn_cuda_tiles(pixels, v.o); t += gridDim.x)
            tile_product<PARTS>(
                pixels, v.o, terms, terms, conv_part(t, across) * PN_CUDA_TILE, conv_rest(t, across) * PN_CUDA_TILE, 1,
                0,
                [&](i64 i, i64 k) {
                    const conv_pixel at((unsigned)i, (unsigned)v.oh, (unsigned)v.ow);
                    const unsigned c = (unsigned)k % (unsigned)v.c, tap = (unsigned)k / (unsigned)v.c;
                    const unsigned r = tap / (unsigned)v.kw, s = tap % (unsigned)v.kw;
                    return x.get(at.n, at.row * v.sh + r * v.dh - v.pt, at.column * v.sw + s * v.dw - v.pl, c);
                },
                [&](i64 k, i64 o) { return w[k * v.o + o]; },
                [&](i64 i, i64 o, float sum) { finish(i * v.o + o, o, sum); });
        return;
    }
    PN_EACH(i, pixels * v.o) {
        const i64 o = conv_rest(i, v.o), first = conv_part(o, v.og) * v.cg;
        const conv_pixel at((unsigned)conv_part(i, v.o), (unsigned)v.oh, (unsigned)v.ow);
        float sum = 0;
        for (i64 r = 0; r < v.kh; r++)
            for (i64 s = 0; s < v.kw; s++)
                for (i64 c = 0; c < v.cg; c++)
                    sum = fmaf(
                        x.get(at.n, at.row * v.sh + r * v.dh - v.pt, at.column * v.sw + s * v.dw - v.pl, first + c),
                        w[((r * v.kw + s) * v.cg + c) * v.o + o], sum);
        finish(i, o, sum);
    }
}

/* dx, or the result of the transpose. */
template <int PARTS>
static __device__ __forceinline__ void conv_dx(const pn_conv &v, const conv_slope &dz, const float *w, float *dx) {
    const i64 pixels = v.n * v.h * v.w;
    if (pixels == 0) return;
    if (pn_cuda_conv_tiles(&v)) {
        const i64 terms = v.kh * v.kw * v.o, across = (v.c + PN_CUDA_TILE - 1) / PN_CUDA_TILE;
        for (i64 t = blockIdx.x; t < pn_cuda_tiles(pixels, v.c); t += gridDim.x)
            tile_product<PARTS>(
                pixels, v.c, terms, terms, conv_part(t, across) * PN_CUDA_TILE, conv_rest(t, across) * PN_CUDA_TILE, 1,
                1,
                [&](i64 i, i64 k) {
                    const conv_pixel at((unsigned)i, (unsigned)v.h, (unsigned)v.w);
                    const unsigned o = (unsigned)k % (unsigned)v.o, tap = (unsigned)k / (unsigned)v.o;
                    const i64 r = v.kh - 1 - tap / (unsigned)v.kw, s = v.kw - 1 - tap % (unsigned)v.kw;
                    return dz.get(at.n, at.row + v.pt - r * v.dh, at.column + v.pl - s * v.dw, o);
                },
                [&](i64 k, i64 c) {
                    const unsigned o = (unsigned)k % (unsigned)v.o,
                                   tap = (unsigned)(v.kh * v.kw) - 1 - (unsigned)k / (unsigned)v.o;
                    return w[(tap * v.c + c) * v.o + o];
                },
                [&](i64 i, i64 c, float sum) { dx[i * v.c + c] = sum; });
        return;
    }
    const int depthwise = pn_conv_depthwise(&v);
    PN_EACH(i, pixels * v.c) {
        const i64 c = conv_rest(i, v.c), g = conv_part(c, v.cg), channel = conv_rest(c, v.cg);
        const conv_pixel at((unsigned)conv_part(i, v.c), (unsigned)v.h, (unsigned)v.w);
        float total = 0;
        for (i64 o0 = 0; o0 < v.og; o0 += depthwise ? 1 : v.og) { /* depthwise: a chain per output, which are added */
            const i64 o1 = depthwise ? o0 + 1 : v.og;
            float sum = 0;
            for (i64 r = v.kh - 1; r >= 0; r--) {
                const i64 zr = at.row + v.pt - r * v.dh;
                if (zr < 0 || conv_rest(zr, v.sh)) continue;
                for (i64 s = v.kw - 1; s >= 0; s--) {
                    const i64 zs = at.column + v.pl - s * v.dw;
                    if (zs < 0 || conv_rest(zs, v.sw)) continue;
                    for (i64 o = o0; o < o1; o++)
                        sum = fmaf(dz.get(at.n, conv_part(zr, v.sh), conv_part(zs, v.sw), g * v.og + o),
                                   w[((r * v.kw + s) * v.cg + channel) * v.o + g * v.og + o], sum);
                }
            }
            total = o0 ? total + sum : sum;
        }
        dx[i] = total;
    }
}

/* The sum of step(sum, n, row of y) over the units of a group, block by block: begin(), then every row, then
 * join(first). */
template <typename Begin, typename Row, typename Join>
static __device__ __forceinline__ void conv_blocks(const pn_conv &v, const pn_conv_units &u, i64 group, i64 groups,
                                                   Begin begin, Row row, Join join) {
    const i64 first = conv_part(u.count * group, groups), last = conv_part(u.count * (group + 1), groups),
              step = pn_conv_block_rows(&v, &u);
    for (i64 unit = first; unit < last; unit++) {
        const i64 n0 = conv_part(unit, u.bands) * u.images, n1 = pn_conv_min(v.n, n0 + u.images);
        const i64 o0 = conv_rest(unit, u.bands) * u.rows, o1 = pn_conv_min(v.oh, o0 + u.rows);
        for (i64 r0 = o0; r0 < o1; r0 += step) {
            begin();
            for (i64 n = n0; n < n1; n++)
                for (i64 r = r0; r < pn_conv_min(o1, r0 + step); r++) row((int)n, r);
            join(unit == first && r0 == o0);
        }
    }
}

/* Phases: partial dw and db of each group of units; their sums; dx. */
PN_PRODUCTS(conv2d_bwd) {
    pn_conv v;
    pn_conv_units u;
    pn_conv_read(&v, I.dim);
    pn_conv_bwd_units(&u, &v);
    float *dx = (float *)I.arg[CONVB_DX], *dw = (float *)I.arg[CONVB_DW], *db = (float *)I.arg[CONVB_DB];
    const conv_image x = {(const float *)I.arg[CONVB_X], v.h, v.w, v.c};
    const conv_slope dz = {
        {(const float *)I.arg[CONVB_DY], v.oh, v.ow, v.o}, (const float *)I.arg[CONVB_Y], v.act, (float)I.par[0]};
    const i64 size = v.kh * v.kw * v.cg * v.o, groups = pn_conv_groups(&v, &u), part = v.fq * size + v.o;
    float *parts = (float *)I.scratch;
    if (PN_STOPPED) return;
    if (phase == 0) {
        PN_EACH(i, dw ? groups * v.fq * size : 0) { /* pixels q t + p of a row are a chain for each p < q */
            const i64 e = conv_rest(i, size), p = conv_rest(conv_part(i, size), v.fq),
                      group = conv_part(i, size * v.fq);
            const i64 o = conv_rest(e, v.o), row = conv_part(e, v.o), c = conv_rest(row, v.cg),
                      tap = conv_part(row, v.cg);
            const i64 r = conv_part(tap, v.kw), s = conv_rest(tap, v.kw), channel = conv_part(o, v.og) * v.cg + c;
            float total = 0, sum;
            conv_blocks(
                v, u, group, groups, [&] { sum = 0; },
                [&](int n, i64 zr) {
                    const i64 xr = zr * v.sh + r * v.dh - v.pt;
                    if (xr < 0 || xr >= v.h) return;
                    for (i64 t = p; t < v.ow; t += v.fq)
                        sum = fmaf(x.get(n, xr, t * v.sw + s * v.dw - v.pl, channel), dz.get(n, zr, t, o), sum);
                },
                [&](int first) { total = first ? sum : total + sum; });
            parts[group * part + p * size + e] = total;
        }
        PN_EACH(i, db ? groups * v.o : 0) {
            const i64 o = conv_rest(i, v.o), group = conv_part(i, v.o);
            float total = 0, sum[4];
            conv_blocks(
                v, u, group, groups, [&] { sum[0] = sum[1] = sum[2] = sum[3] = 0; },
                [&](int n, i64 row) {
                    i64 t = 0;
                    for (; t + 4 <= v.ow; t += 4)
                        for (int k = 0; k < 4; k++) sum[k] = sum[k] + dz.get(n, row, t + k, o);
                    for (; t < v.ow; t++) sum[0] = sum[0] + dz.get(n, row, t, o);
                },
                [&](int first) {
                    const float s = (sum[0] + sum[1]) + (sum[2] + sum[3]);
                    total = first ? s : total + s;
                });
            parts[group * part + v.fq * size + o] = total;
        }
    } else if (phase == 1) {
        PN_EACH(e, dw ? size : 0) {
            float sum = 0;
            for (i64 p = 0; p < v.fq; p++) {
                float s = parts[p * size + e];
                for (i64 g = 1; g < groups; g++) s = s + parts[g * part + p * size + e];
                sum = v.fq > 1 ? sum + s : s;
            }
            dw[e] = sum;
        }
        PN_EACH(o, db ? v.o : 0) {
            float s = parts[v.fq * size + o];
            for (i64 g = 1; g < groups; g++) s = s + parts[g * part + v.fq * size + o];
            db[o] = s;
        }
    } else if (dx) conv_dx<PARTS>(v, dz, (const float *)I.arg[CONVB_W], dx);
}

/* Operands: y, which stands where dx does; x, which stands where dy does; w. */
PN_PRODUCTS(conv2d_transpose_fwd) {
    (void)phase;
    pn_conv v;
    pn_conv_read(&v, I.dim);
    const conv_slope dz = {{(const float *)I.arg[CONVT_X], v.oh, v.ow, v.o}, NULL, PN_ACT_NONE, 0};
    if (!PN_STOPPED) conv_dx<PARTS>(v, dz, (const float *)I.arg[CONVT_W], (float *)I.arg[CONVT_Y]);
}

#endif
