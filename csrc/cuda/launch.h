/* How many threads a kernel of this folder is launched with: a function of the instruction alone, in plain C, for
 * whoever launches it. A kernel has one phase or several, launched one after the other; what one phase writes the next
 * one reads.
 *
 *   EACH(n)    a thread per item, the last ones more than one if there are very many (PN_EACH in device.h)
 *   WARP(n)    a warp per item; its threads exchange values
 *   TILES(n)   a block of threads per item; they share memory and meet at barriers
 *   BLOCKS(n)  a block of threads per item, each with its share
 *   NOWHERE    this instruction has no device version (in its first phase) */
#ifndef PN_CUDA_LAUNCH_H
#define PN_CUDA_LAUNCH_H

#include <stddef.h>
#include <stdint.h>

#include "../act.h"
#include "../conv_plan.h"
#include "../gemm_scratch.h"
#include "../pn.h"
#include "../winograd_plan.h"

enum { PN_CUDA_BLOCK = 256, PN_CUDA_GRID = 1 << 16 };

typedef struct pn_launch {
    unsigned grid, block; /* grid 0: no device version */
    int cooperates;       /* has barriers or shuffles */
} pn_launch;

static inline pn_launch pn_launch_of(i64 items, i64 per_block, int cooperates) {
    const i64 blocks = (items + per_block - 1) / per_block;
    const pn_launch l = {blocks < 1 ? 1u : blocks > PN_CUDA_GRID ? (unsigned)PN_CUDA_GRID : (unsigned)blocks,
                         PN_CUDA_BLOCK, cooperates};
    return l;
}
static inline pn_launch pn_launch_none(void) {
    const pn_launch l = {0, 0, 0};
    return l;
}
#define EACH(n) pn_launch_of(n, PN_CUDA_BLOCK, 0)
#define WARP(n) pn_launch_of(n, PN_CUDA_BLOCK / 32, 1)
#define TILES(n) pn_launch_of(n, 1, 1)
#define BLOCKS(n) pn_launch_of(n, 1, 0)
#define NOWHERE pn_launch_none()
#define D(k) (I->dim[k])

/* Matrix times vector with contiguous rows sums in lanes (kernels/dots.h); other products are one chain per element and
 * block of k. As in pn_gemm of kernels/gemm.h, for C[m,n] of terms k, with the strides of op(A) and op(B). */
static inline int pn_cuda_lanes(i64 m, i64 n, i64 k, i64 acs, i64 brs, i64 bcs) {
    const int at = !(acs == 1 || k == 1), bt = !(bcs == 1 || n == 1);
    return (n == 1 && brs == 1 && !at) || (m == 1 && bt && acs == 1);
}
enum { PN_CUDA_TILE = 64 }; /* rows and columns of C of one block */
static inline i64 pn_cuda_tiles(i64 m, i64 n) {
    return ((m + PN_CUDA_TILE - 1) / PN_CUDA_TILE) * ((n + PN_CUDA_TILE - 1) / PN_CUDA_TILE);
}

/* Z products. */
static inline pn_launch pn_cuda_gemm(i64 Z, i64 m, i64 n, i64 k, i64 acs, i64 brs, i64 bcs) {
    return pn_cuda_lanes(m, n, k, acs, brs, bcs) ? WARP(Z * m * n) : TILES(Z * pn_cuda_tiles(m, n));
}
/* dim: Z m n k, whether A and B are transposed. */
static inline pn_launch pn_cuda_matmul(const pn_instr *I) {
    return pn_cuda_gemm(D(0), D(1), D(2), D(3), D(4) ? D(1) : 1, D(5) ? 1 : D(2), D(5) ? D(3) : 1);
}
/* dim: M N K. Phases: dz, dw, db, dx. */
static inline pn_launch pn_cuda_dense_bwd(const pn_instr *I, int phase) {
    return phase == 0   ? EACH(D(0) * D(1))
           : phase == 1 ? pn_cuda_gemm(1, D(2), D(1), D(0), D(2), D(1), 1)
           : phase == 2 ? EACH(D(1))
                        : pn_cuda_gemm(1, D(0), D(2), D(1), 1, 1, D(1));
}

/* Elements of y [A, R, B] -> [A, B] that a thread or a warp each reduces. */
static inline pn_launch pn_cuda_reduce(const pn_instr *I) { return D(2) == 1 ? WARP(D(0)) : EACH(D(0) * D(2)); }

static inline i64 pn_cuda_concat_bytes(const pn_instr *I) { /* dim: A, bytes of B, count, sizes */
    i64 sum = 0;
    for (i64 k = 0; k < D(2); k++) sum += D(3 + k);
    return D(0) * D(1) * sum;
}

/* Pixels and elements of a convolution are counted in 32 bits. */
static inline int pn_cuda_conv_small(const pn_conv *v) {
    const i64 most = INT32_MAX / PN_CONV_GROUPS; /* partial gradients lie side by side */
    return v->n * v->h * v->w * v->c <= most && v->n * v->oh * v->ow * v->o <= most &&
           16 * v->kh * v->kw * v->c * v->o <= most;
}
/* Whether dx is made of tiles. */
static inline int pn_cuda_conv_tiles(const pn_conv *v) { return v->groups == 1 && v->sh == 1 && v->sw == 1; }

static inline pn_launch pn_cuda_conv_fwd(const pn_instr *I) {
    pn_conv v;
    pn_conv_read(&v, I->dim);
    if (!pn_cuda_conv_small(&v) || pn_wino_fwd(&v)) return NOWHERE;
    return v.groups == 1 ? TILES(pn_cuda_tiles(v.n * v.oh * v.ow, v.o)) : EACH(v.n * v.oh * v.ow * v.o);
}
static inline pn_launch pn_cuda_conv_dx(const pn_conv *v) {
    return pn_cuda_conv_tiles(v) ? TILES(pn_cuda_tiles(v->n * v->h * v->w, v->c)) : EACH(v->n * v->h * v->w * v->c);
}
enum { CONVL_DX, CONVL_DW }; /* outputs, each of which may be NULL */
static inline pn_launch pn_cuda_conv_bwd(const pn_instr *I, int phase) {
    pn_conv v;
    pn_conv_units u;
    pn_conv_read(&v, I->dim);
    pn_conv_bwd_units(&u, &v);
    const i64 size = v.kh * v.kw * v.cg * v.o;
    if (!pn_cuda_conv_small(&v) || (I->arg[CONVL_DX] && pn_wino_dx(&v)) || (I->arg[CONVL_DW] && pn_wino_dw(&v)))
        return NOWHERE;
    return phase == 0 ? EACH(pn_conv_groups(&v, &u) * v.fq * size) : phase == 1 ? EACH(size) : pn_cuda_conv_dx(&v);
}
static inline pn_launch pn_cuda_conv_transpose(const pn_instr *I) {
    pn_conv v;
    pn_conv_read(&v, I->dim);
    return !pn_cuda_conv_small(&v) || pn_wino_dx(&v) ? NOWHERE : pn_cuda_conv_dx(&v);
}

/* Chunks of rows that the statistics of a norm are taken over, as in norm_read of kernels/norm.h; dim: A P C G. */
static inline i64 pn_cuda_norm_chunks(const pn_instr *I) {
    const i64 P = D(1), C = D(2), most = 8192 / (C > 0 ? C : 1), rows = most < 8 ? 8 : most > P && P > 0 ? P : most;
    return (P + rows - 1) / rows;
}

/* Pieces of the rows of images that a block each blurs; dim: N H W C. */
static inline i64 pn_cuda_blur_pieces(const pn_instr *I) {
    return D(0) * D(1) * ((D(2) * D(3) + PN_CUDA_BLOCK - 1) / PN_CUDA_BLOCK);
}

#include "kernels.def"

#define PN_LAUNCH(name, symbol, phases, expression)                          \
    static inline pn_launch pn_launch_##symbol(const pn_instr *I, int phase) { \
        (void)I, (void)phase;                                                \
        return expression;                                                   \
    }
PN_CUDA_KERNELS(PN_LAUNCH)
#undef PN_LAUNCH

#endif
