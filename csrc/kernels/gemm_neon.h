/* The inner loop of products on NEON, for gemm_micro.h and conv_micro.h.
 *
 * Fused multiply-adds take one factor as a lane of a register, so A is read by vectors too: VW terms of each row at a
 * time, or, where A lies by terms, up to VW rows at a time. 6 rows of 4 vectors need 24 registers for sums, 6 for A and
 * 2 for B: of float32 22 loads for 96 multiply-adds. Nothing is masked but a panel of fewer columns than a vector has: a
 * wider one ends with a vector that overlaps the one before it, so that some sums are computed and written twice, with
 * the same bits.
 */
#include "../unroll.h"

/* GCC's first scheduling would load all of B early, which takes more registers than there are. */
#if defined(__GNUC__) && !defined(__clang__)
#define GEMM_TUNED __attribute__((optimize("no-schedule-insns")))
#else
#define GEMM_TUNED
#endif

/* Where vector v of a row begins. */
#define GEMM_AT(v) ((v) * VW - (full || NV == 1 || v + 1 < NV ? 0 : VW - tail))

/* c + b a[lane] */
#ifdef PN_REAL_F64
GEMM_INLINE vec neon_fma(vec c, vec b, vec a, const int lane) {
    return lane ? vfmaq_laneq_f64(c, b, a, 1) : vfmaq_laneq_f64(c, b, a, 0);
}
#else
GEMM_INLINE vec neon_fma(vec c, vec b, vec a, const int lane) {
    switch (lane) {
    case 0: return vfmaq_laneq_f32(c, b, a, 0);
    case 1: return vfmaq_laneq_f32(c, b, a, 1);
    case 2: return vfmaq_laneq_f32(c, b, a, 2);
    default: return vfmaq_laneq_f32(c, b, a, 3);
    }
}
#endif

/* acc += A B over k terms; `step` and `at` as in gemm_tile. */
GEMM_INLINE void neon_terms(vec acc[16][4], const real *a, const i64 step, const real *b, const i64 ldb, i64 k,
                            const i64 tail, const int MR, const int NV, const int at, const int full) {
    vec av[16], bv[4];
#define NEON_B(v) (full || NV > 1 ? vload(b + GEMM_AT(v)) : vloadn(b, tail))
    if (at) {
        for (; k > 0; k--, a += step, b += ldb) {
            GEMM_UNROLL for (int g = 0; g < (MR + VW - 1) / VW; g++) av[g] = vloadn(a + VW * g, MR - VW * g);
            GEMM_UNROLL for (int v = 0; v < NV; v++) bv[v] = NEON_B(v);
            GEMM_UNROLL for (int i = 0; i < MR; i++)
                GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = neon_fma(acc[i][v], bv[v], av[i / VW], i % VW);
        }
        return;
    }
    for (; k >= VW; k -= VW, a += VW) {
        GEMM_UNROLL for (int i = 0; i < MR; i++) av[i] = vload(a + i * step);
        GEMM_UNROLL for (int p = 0; p < VW; p++, b += ldb)
            GEMM_UNROLL for (int v = 0; v < NV; v++) {
                bv[v] = NEON_B(v);
                GEMM_UNROLL for (int i = 0; i < MR; i++) acc[i][v] = neon_fma(acc[i][v], bv[v], av[i], p);
            }
    }
    for (; k > 0; k--, a++, b += ldb) {
        GEMM_UNROLL for (int v = 0; v < NV; v++) bv[v] = NEON_B(v);
        GEMM_UNROLL for (int i = 0; i < MR; i++) {
            const vec x = vset(a[i * step]);
            GEMM_UNROLL for (int v = 0; v < NV; v++) acc[i][v] = vfma(x, bv[v], acc[i][v]);
        }
    }
#undef NEON_B
}
