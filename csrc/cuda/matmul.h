/* Matrix products: C[z] = op(A[z]) op(B[z]), and the dense layer.
 *
 * The sum of an element is that of ../kernels/gemm.h: k is cut in blocks of pn_gemm_kc(k) terms, each block is one
 * chain of fused multiply-adds in the order of k, begun at 0, and the blocks are added in order. One thread computes
 * an element from its first term to its last: k is never split. A block of threads computes a tile of 64 x 64
 * elements, 4 x 4 each, and reads A and B through shared memory, 16 terms at a time. Matrix times vector whose rows
 * are contiguous: a warp per element, in the lanes of ../lanes.h. */
#ifndef PN_CUDA_MATMUL_H
#define PN_CUDA_MATMUL_H

#include "elementwise.h"
#include "low.h"
#include "warp.h"

enum { TILE_TERMS = 16, TILE_EACH = 4, TILE_SIDE = PN_CUDA_TILE / TILE_EACH, TILE_ROW = PN_CUDA_TILE + 4 };

/* A kernel of products, PN_PRODUCTS(name) { ... } with PARTS in it: the parts that operands are multiplied in at the
 * precisions "high" and "medium", 0 at "highest". kernels.def lists them. */
#define PN_PRODUCTS(name)                                                                                \
    template <int PARTS>                                                                                 \
    static __device__ __forceinline__ void name##_in(const pn_instr &I, int phase, const int *status);   \
    PN_KERNEL(name) { name##_in<0>(I, phase, status); }                                                  \
    PN_KERNEL(name##_high) { name##_in<2>(I, phase, status); }                                           \
    PN_KERNEL(name##_medium) { name##_in<1>(I, phase, status); }                                         \
    template <int PARTS>                                                                                 \
    static __device__ __forceinline__ void name##_in(const pn_instr &I, int phase, const int *status)

/* A tile: a(i, p) and b(p, j) are the operands' elements, of which i < m, j < n and p < k are asked for; put(i, j, sum)
 * takes the results. kc: terms of one chain. a_by_term, b_by_term: whether neighbouring terms lie together, so that
 * neighbouring threads read them. `to`, whose rows are ldc apart, is what the sum is added to, or NULL. All threads of
 * the block take part. */
template <int PARTS = 0, typename A, typename B, typename Put>
static __device__ __forceinline__ void tile_product(i64 m, i64 n, i64 k, i64 kc, i64 row0, i64 col0, int a_by_term,
                                                    int b_by_term, A a, B b, Put put, const float *to = NULL,
                                                    i64 ldc = 0) {
    if constexpr (PARTS > 0) {
        low_product<PARTS>(m, n, k, row0, col0, a_by_term, b_by_term, a, b, put, to, ldc);
        return;
    }
    __shared__ __align__(16) float as[TILE_TERMS][TILE_ROW]; /* so that four are read at once */
    __shared__ __align__(16) float bs[TILE_TERMS][TILE_ROW];
    const int self = (int)threadIdx.x, i0 = self / TILE_SIDE * TILE_EACH, j0 = self % TILE_SIDE * TILE_EACH;
    float total[TILE_EACH][TILE_EACH] = {{0}}, sum[TILE_EACH][TILE_EACH];
    if (to)
        for (int i = 0; i < TILE_EACH; i++)
            for (int j = 0; j < TILE_EACH; j++)
                if (row0 + i0 + i < m && col0 + j0 + j < n) total[i][j] = to[(row0 + i0 + i) * ldc + col0 + j0 + j];
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
            for (int j = 0; j < TILE_EACH; j++) total[i][j] = first || to ? total[i][j] + sum[i][j] : sum[i][j];
    }
    for (int i = 0; i < TILE_EACH; i++)
        for (int j = 0; j < TILE_EACH; j++)
            if (row0 + i0 + i < m && col0 + j0 + j < n) put(row0 + i0 + i, col0 + j0 + j, total[i][j]);
}

/* C[m,n] of terms k: where the operands lie, and what becomes of a sum. */
struct gemm_call {
    i64 m, n, k;
    const float *a;
    i64 ars, acs;
    const float *b;
    i64 brs, bcs;
    float *c;
    const float *bias;
    int act;
    float p;
    i64 ldc; /* 0: n */
};

/* The block's share of product z of Z, whose operands lie step_a and step_b apart. */
template <int PARTS> static __device__ __forceinline__ void gemm_run(const gemm_call &g, i64 Z, i64 step_a, i64 step_b) {
    const i64 m = g.m, n = g.n, size = m * n, ldc = g.ldc ? g.ldc : n;
    const auto finish = [&](i64 at, i64 j, float sum) {
        float y = g.bias ? sum + g.bias[j] : sum;
        if (g.act != PN_ACT_NONE) f32::pn_act_apply(g.act, g.p, &y, 1);
        g.c[at] = y;
    };
    if (size == 0) return;
    if (pn_cuda_lanes(m, n, g.k, g.acs, g.brs, g.bcs)) {
        PN_WARPS(w, Z * size) {
            const i64 z = w / size, at = w % size;
            const float *a = g.a + z * step_a, *b = g.b + z * step_b;
            const float *row = n == 1 ? a + at * g.ars : b + at * g.bcs, *x = n == 1 ? b : a;
            const float y = warp_sum<float>(g.k, [&](i64 p, float s) { return fmaf(row[p], x[p], s); });
            if (warp_lane() == 0) finish(n == 1 ? w * ldc : w, n == 1 ? 0 : at, y);
        }
        return;
    }
    const i64 across = (n + PN_CUDA_TILE - 1) / PN_CUDA_TILE, tiles = pn_cuda_tiles(m, n);
    for (i64 t = blockIdx.x; t < Z * tiles; t += gridDim.x) {
        const i64 z = t / tiles, row0 = t % tiles / across * PN_CUDA_TILE, col0 = t % tiles % across * PN_CUDA_TILE;
        const float *a = g.a + z * step_a, *b = g.b + z * step_b;
        tile_product<PARTS>(
            m, n, g.k, pn_gemm_kc(g.k), row0, col0, g.acs == 1, g.brs == 1,
            [&](i64 i, i64 p) { return a[i * g.ars + p * g.acs]; },
            [&](i64 p, i64 j) { return b[p * g.brs + j * g.bcs]; },
            [&](i64 i, i64 j, float s) { finish(z * size + i * ldc + j, j, s); });
    }
}

enum { MM_C, MM_A, MM_B };
enum { MM_Z, MM_M, MM_N, MM_K, MM_AT, MM_BT, MM_STEP_A, MM_STEP_B };
PN_PRODUCTS(matmul) {
    (void)phase;
    const i64 m = I.dim[MM_M], n = I.dim[MM_N], k = I.dim[MM_K], at = I.dim[MM_AT], bt = I.dim[MM_BT];
    const gemm_call g = {m, n, k, (const float *)I.arg[MM_A], at ? 1 : k, at ? m : 1, (const float *)I.arg[MM_B],
                         bt ? 1 : n, bt ? k : 1, (float *)I.arg[MM_C], NULL, PN_ACT_NONE, 0};
    if (!PN_STOPPED) gemm_run<PARTS>(g, I.dim[MM_Z], I.dim[MM_STEP_A], I.dim[MM_STEP_B]);
}

/* The dense layer (pynn/core/kernels/dense.pyx): y = act(x w + b). */
enum { DENSE_Y, DENSE_X, DENSE_W, DENSE_B };
enum { DENSE_M, DENSE_N, DENSE_K, DENSE_ACT };
PN_PRODUCTS(dense_fwd) {
    (void)phase;
    const i64 m = I.dim[DENSE_M], n = I.dim[DENSE_N], k = I.dim[DENSE_K];
    const float *x = (const float *)I.arg[DENSE_X], *w = (const float *)I.arg[DENSE_W];
    const float *b = (const float *)I.arg[DENSE_B];
    const gemm_call g = {m, n, k, x, k, 1, w, n, 1, (float *)I.arg[DENSE_Y], b, (int)I.dim[DENSE_ACT], (float)I.par[0]};
    if (!PN_STOPPED) gemm_run<PARTS>(g, 1, 0, 0);
}

/* dz = dy act'(y); dw = x^T dz; db = sum over rows of dz; dx = dz w^T, last, as it may lie where x or y does. */
enum { DENSEB_DX, DENSEB_DW, DENSEB_DB, DENSEB_DZ, DENSEB_DY, DENSEB_Y, DENSEB_X, DENSEB_W };
PN_PRODUCTS(dense_bwd) {
    const i64 m = I.dim[DENSE_M], n = I.dim[DENSE_N], k = I.dim[DENSE_K];
    const int act = (int)I.dim[DENSE_ACT];
    const float *dy = (const float *)I.arg[DENSEB_DY], *y = (const float *)I.arg[DENSEB_Y];
    float *own = (float *)I.arg[DENSEB_DZ], *dx = (float *)I.arg[DENSEB_DX], *dw = (float *)I.arg[DENSEB_DW];
    float *db = (float *)I.arg[DENSEB_DB];
    const float *dz = act == PN_ACT_NONE ? dy : own;
    if (PN_STOPPED) return;
    if (phase == 0) {
        if (act != PN_ACT_NONE) PN_EACH(i, m * n) f32::pn_act_grad(act, (float)I.par[0], own + i, dy + i, y + i, 1);
    } else if (phase == 1) {
        const gemm_call g = {k, n, m, (const float *)I.arg[DENSEB_X], 1, k, dz, n, 1, dw, NULL, PN_ACT_NONE, 0};
        if (dw) gemm_run<PARTS>(g, 1, 0, 0);
    } else if (phase == 2) {
        PN_EACH(j, db ? n : 0) {
            float s = 0;
            for (i64 i = 0; i < m; i++) s = s + dz[i * n + j];
            db[j] = s;
        }
    } else {
        const gemm_call g = {m, k, n, dz, n, 1, (const float *)I.arg[DENSEB_W], 1, n, dx, NULL, PN_ACT_NONE, 0};
        if (dx) gemm_run<PARTS>(g, 1, 0, 0);
    }
}

#endif
