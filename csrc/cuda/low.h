/* Products at the precisions "high" and "medium": tiles on tensor cores, of operands that are one bfloat16, or the sum of
 * two, as on a CPU (../kernels/pairs.h); of the products of two pairs the smallest, of both second parts, is left out.
 *
 * A block of threads computes a tile of 64 x 64, a warp 16 x 32 of it, 32 terms at a time. The units add in an order of
 * their own and cut off what does not fit, which would show in long sums: every LOW_CHAIN terms what they have is added to
 * a float32. GPUs older than sm_80 have no such units; nobody launches these kernels there. */
#ifndef PN_CUDA_LOW_H
#define PN_CUDA_LOW_H

#include "warp.h"

enum { LOW_TERMS = 32, LOW_ROW = LOW_TERMS + 8, LOW_CHAIN = 128 };

/* The bfloat16 next to x, ties to even. */
static __device__ __forceinline__ uint16_t low_part(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if (x != x) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
/* What is left of x, which is exact. */
static __device__ __forceinline__ float low_rest(float x, uint16_t part) {
    const uint32_t u = (uint32_t)part << 16;
    float y;
    memcpy(&y, &u, sizeof y);
    return x - y;
}
/* Two terms that lie side by side, the first of them at an even place. */
static __device__ __forceinline__ uint32_t low_pair(const uint16_t *at) {
    uint32_t both;
    memcpy(&both, __builtin_assume_aligned(at, 4), sizeof both);
    return both;
}

/* c += a b of a warp: 16 x 16 times 16 x 8, pairs of bfloat16 in the order of PTX's mma.m16n8k16. */
static __device__ __forceinline__ void low_mma(float *c, const uint32_t *a, const uint32_t *b) {
#ifndef __CUDACC__
    shim_mma(c, a, b);
#elif __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    (void)c, (void)a, (void)b;
#endif
}

/* As tile_product in matmul.h, whose arguments it takes, of operands in so many parts. */
template <int PARTS, typename A, typename B, typename Put>
static __device__ __forceinline__ void low_product(i64 m, i64 n, i64 k, i64 row0, i64 col0, int a_by_term, int b_by_term,
                                                   A a, B b, Put put, const float *to, i64 ldc) {
    __shared__ __align__(16) uint16_t as[PARTS][PN_CUDA_TILE][LOW_ROW];
    __shared__ __align__(16) uint16_t bs[PARTS][PN_CUDA_TILE][LOW_ROW];
    const int self = (int)threadIdx.x, lane = warp_lane(), group = lane / 4, pair = lane % 4 * 2;
    const int i0 = self / WARP / 2 * 16, j0 = self / WARP % 2 * 32; /* of the warp */
    float total[4][4], sum[4][4] = {{0}};
    const auto row = [&](int e) { return row0 + i0 + group + e / 2 * 8; };
    const auto column = [&](int j, int e) { return col0 + j0 + 8 * j + pair + e % 2; };
    for (int j = 0; j < 4; j++)
        for (int e = 0; e < 4; e++)
            total[j][e] = to && row(e) < m && column(j, e) < n ? to[row(e) * ldc + column(j, e)] : 0;
    for (i64 p0 = 0; p0 < k; p0 += LOW_TERMS) {
        __syncthreads();
        for (int e = self; e < LOW_TERMS * PN_CUDA_TILE; e += PN_CUDA_BLOCK) {
            const int ap = a_by_term ? e % LOW_TERMS : e / PN_CUDA_TILE, ai = a_by_term ? e / LOW_TERMS : e % PN_CUDA_TILE;
            const int bp = b_by_term ? e % LOW_TERMS : e / PN_CUDA_TILE, bj = b_by_term ? e / LOW_TERMS : e % PN_CUDA_TILE;
            const float x = p0 + ap < k && row0 + ai < m ? a(row0 + ai, p0 + ap) : 0;
            const float y = p0 + bp < k && col0 + bj < n ? b(p0 + bp, col0 + bj) : 0;
            as[0][ai][ap] = low_part(x), bs[0][bj][bp] = low_part(y);
            if (PARTS > 1) {
                as[PARTS - 1][ai][ap] = low_part(low_rest(x, as[0][ai][ap]));
                bs[PARTS - 1][bj][bp] = low_part(low_rest(y, bs[0][bj][bp]));
            }
        }
        __syncthreads();
        for (int p = 0; p < LOW_TERMS; p += 16) {
            uint32_t x[PARTS][4], y[PARTS][2];
            for (int part = 0; part < PARTS; part++)
                for (int r = 0; r < 4; r++)
                    x[part][r] = low_pair(&as[part][i0 + group + r % 2 * 8][p + pair + r / 2 * 8]);
            for (int j = 0; j < 4; j++) {
                for (int part = 0; part < PARTS; part++)
                    for (int r = 0; r < 2; r++)
                        y[part][r] = low_pair(&bs[part][j0 + 8 * j + group][p + pair + r * 8]);
                if (PARTS > 1) {
                    low_mma(sum[j], x[0], y[PARTS - 1]);
                    low_mma(sum[j], x[PARTS - 1], y[0]);
                }
                low_mma(sum[j], x[0], y[0]);
            }
        }
        if ((p0 + LOW_TERMS) % LOW_CHAIN && p0 + LOW_TERMS < k) continue;
        for (int j = 0; j < 4; j++)
            for (int e = 0; e < 4; e++) total[j][e] = total[j][e] + sum[j][e], sum[j][e] = 0;
    }
    for (int j = 0; j < 4; j++)
        for (int e = 0; e < 4; e++)
            if (row(e) < m && column(j, e) < n) put(row(e), column(j, e), total[j][e]);
}

#endif
