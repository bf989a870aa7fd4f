/* Matrix products: C[z] = op(A[z]) op(B[z]).
 *
 * The sum of an element is that of ../kernels/gemm.h: k is cut in blocks of pn_gemm_kc(k) terms, each block is one
 * chain of fused multiply-adds in the order of k, begun at 0, and the blocks are added in order. One thread computes
 * an element from its first term to its last: k is never split. A block of threads computes a tile of 64 x 64
 * elements, 4 x 4 each, and reads A and B through shared memory, 16 terms at a time. Matrix times vector whose rows
 * are contiguous: a warp per element, in the lanes of ../lanes.h. */
#ifndef PN_CUDA_MATMUL_H
#define PN_CUDA_MATMUL_H

#include "elementwise.h"
#include "warp.h"

enum { TILE_TERMS = 16, TILE_EACH = 4, TILE_SIDE = PN_CUDA_TILE / TILE_EACH, TILE_ROW = PN_CUDA_TILE + 4 };

/* A tile: a(i, p) and b(p, j) are the operands' elements, of which i < m, j < n and p < k are asked for; put(i, j, sum)
 * takes the results. kc: terms of one chain. a_by_term, b_by_term: whether neighbouring terms lie together, so that
 * neighbouring threads read them. All threads of the block take part. */
template <typename A, typename B, typename Put>
static __device__ __forceinline__ void tile_product(i64 m, i64 n, i64 k, i64 kc, i64 row0, i64 col0, int a_by_term,
                                                    int b_by_term, A a, B b, Put put) {
    __shared__ float as[TILE_TERMS][TILE_ROW], bs[TILE_TERMS][TILE_ROW];
    const int self = (int)threadIdx.x, i0 = self / TILE_SIDE * TILE_EACH, j0 = self % TILE_SIDE * TILE_EACH;
    float total[TILE_EACH][TILE_EACH] = {{0}}, sum[TILE_EACH][TILE_EACH];
    for (i64 first = 0; first < k; first += kc) {
        const i64 stop = k - first < kc ? k : first + kc;
        for (int i = 0; i < TILE_EACH; i++)
            for (int j = 0; j < TILE_EACH; j++) sum[i][j] = 0;
        for (i64 p0 = first; p0 < stop; p0 += TILE_TERMS) {
            const int terms = stop - p0 < TILE_TERMS ? (int)(stop - p0) : (int)TILE_TERMS;
            __syncthreads();
            for (int e = self; e < TILE_TERMS * PN_CUDA_TILE; e += PN_CUDA_BLOCK) {
                const int ap = a_by_term ? e % TILE_TERMS : e / PN_CUDA_TILE,
                          ai = a_by_term ? e / TILE_TERMS : e % PN_CUDA_TILE;
                const int bp = b_by_term ? e % TILE_TERMS : e / PN_CUDA_TILE,
                          bj = b_by_term ? e / TILE_TERMS : e % PN_CUDA_TILE;
                as[ap][ai] = ap < terms && row0 + ai < m ? a(row0 + ai, p0 + ap) : 0;
                bs[bp][bj] = bp < terms && col0 + bj < n ? b(p0 + bp, col0 + bj) : 0;
            }
            __syncthreads();
            for (int p = 0; p < terms; p++)
                for (int i = 0; i < TILE_EACH; i++)
                    for (int j = 0; j < TILE_EACH; j++) sum[i][j] = fmaf(as[p][i0 + i], bs[p][j0 + j], sum[i][j]);
        }
        for (int i = 0; i < TILE_EACH; i++)
            for (int j = 0; j < TILE_EACH; j++) total[i][j] = first ? total[i][j] + sum[i][j] : sum[i][j];
    }
    for (int i = 0; i < TILE_EACH; i++)
        for (int j = 0; j < TILE_EACH; j++)
            if (row0 + i0 + i < m && col0 + j0 + j < n) put(row0 + i0 + i, col0 + j0 + j, total[i][j]);
}

enum { MM_C, MM_A, MM_B };
enum { MM_Z, MM_M, MM_N, MM_K, MM_AT, MM_BT, MM_STEP_A, MM_STEP_B };
PN_KERNEL(matmul) {
    (void)phase;
    const i64 Z = I.dim[MM_Z], m = I.dim[MM_M], n = I.dim[MM_N], k = I.dim[MM_K];
    const i64 ars = I.dim[MM_AT] ? 1 : k, acs = I.dim[MM_AT] ? m : 1, brs = I.dim[MM_BT] ? 1 : n,
              bcs = I.dim[MM_BT] ? k : 1;
    if (PN_STOPPED || m == 0 || n == 0) return;
    if (pn_cuda_matmul_lanes(I.dim)) {
        PN_WARPS(w, Z * m * n) {
            const i64 z = w / (m * n), at = w % (m * n);
            const float *a = (const float *)I.arg[MM_A] + z * I.dim[MM_STEP_A],
                        *b = (const float *)I.arg[MM_B] + z * I.dim[MM_STEP_B];
            const float *row = n == 1 ? a + at * ars : b + at * bcs, *x = n == 1 ? b : a;
            const float y = warp_sum<float>(k, [&](i64 p, float s) { return fmaf(row[p], x[p], s); });
            if (warp_lane() == 0) ((float *)I.arg[MM_C])[w] = y;
        }
        return;
    }
    const i64 across = (n + PN_CUDA_TILE - 1) / PN_CUDA_TILE, tiles = pn_cuda_tiles(m, n);
    for (i64 t = blockIdx.x; t < Z * tiles; t += gridDim.x) {
        const i64 z = t / tiles, row0 = t % tiles / across * PN_CUDA_TILE, col0 = t % across * PN_CUDA_TILE;
        const float *a = (const float *)I.arg[MM_A] + z * I.dim[MM_STEP_A],
                    *b = (const float *)I.arg[MM_B] + z * I.dim[MM_STEP_B];
        float *c = (float *)I.arg[MM_C] + z * m * n;
        tile_product(
            m, n, k, pn_gemm_kc(k), row0, col0, acs == 1, brs == 1, [&](i64 i, i64 p) { return a[i * ars + p * acs]; },
            [&](i64 p, i64 j) { return b[p * brs + j * bcs]; }, [&](i64 i, i64 j, float s) { c[i * n + j] = s; });
    }
}

#endif
