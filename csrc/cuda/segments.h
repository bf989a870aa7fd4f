/* Sums of what the segments of a batch give (../kernels/segments.h, and dense_joined of pynn/core/kernels/dense.pyx):
 * rows of tables, a thread per element, and one that lists them; products over pieces of the rows, a thread per element,
 * which joins the pieces' sums as they come. */
#ifndef PN_CUDA_SEGMENTS_H
#define PN_CUDA_SEGMENTS_H

#include "elementwise.h"

/* Phases: both lists are checked; rows of a, then those of b alone; one thread lists the latter. */
PN_KERNEL(join_rows) {
    const i64 V = I.dim[f32::JROWS_V], B = I.dim[f32::JROWS_WIDTH];
    int32_t *marked = (int32_t *)I.arg[f32::JROWS_MARKED], *rows = (int32_t *)I.arg[f32::JROWS_ROWS];
    i64 *count = (i64 *)I.arg[f32::JROWS_COUNT];
    const int32_t *theirs = (const int32_t *)I.arg[f32::JROWS_B_ROWS], *other = (const int32_t *)I.arg[f32::JROWS_B_MARKED];
    const i64 many = *(const i64 *)I.arg[f32::JROWS_B_COUNT];
    float *a = (float *)I.arg[f32::JROWS_A];
    const float *b = (const float *)I.arg[f32::JROWS_B];
    if (PN_STOPPED) return;
    if (phase == 0) {
        if (*count < 0 || *count > V || many < 0 || many > V) {
            PN_FAIL(PN_BAD_INDEX);
            return;
        }
        PN_EACH(i, *count)
            if ((uint64_t)(uint32_t)rows[i] >= (uint64_t)V) PN_FAIL(PN_BAD_INDEX);
        PN_EACH(i, many)
            if ((uint64_t)(uint32_t)theirs[i] >= (uint64_t)V) PN_FAIL(PN_BAD_INDEX);
    } else if (phase == 1) {
        PN_EACH(i, *count * B) {
            const i64 r = rows[i / B], at = r * B + i % B;
            a[at] = a[at] + (other[r] ? b[at] : 0);
        }
    } else if (phase == 2) {
        PN_EACH(i, many * B) {
            const i64 r = theirs[i / B], at = r * B + i % B;
            if (!marked[r]) a[at] = 0 + b[at];
        }
    } else if (!blockIdx.x && !threadIdx.x) {
        for (i64 i = 0; i < many; i++)
            if (!marked[theirs[i]] && *count < V) {
                marked[theirs[i]] = 1;
                rows[(*count)++] = theirs[i];
            }
    }
}

/* The sum of f(sum, row) over each piece, joined as neighbours meet: (s0 + s1) + (s2 + s3) ... Of products in blocks, as
 * gemm.h sums them. */
template <typename Step>
static __device__ __forceinline__ float segments_joined(const i64 *cuts, i64 pieces, bool blocks, Step step) {
    float held[8]; /* at most 64 pieces */
    int depth = 0;
    for (i64 s = 0; s < pieces; s++) {
        const i64 terms = cuts[s + 1] - cuts[s], block = blocks ? pn_gemm_kc(terms) : terms;
        float all = 0;
        for (i64 first = cuts[s]; first < cuts[s + 1]; first += block) {
            float sum = 0;
            for (i64 i = first; i < cuts[s + 1] && i < first + block; i++) sum = step(sum, i);
            all = first == cuts[s] ? sum : all + sum;
        }
        held[depth++] = all;
        for (i64 bits = s; (bits & 1 || s + 1 == pieces) && depth > 1; bits >>= 1, depth--)
            held[depth - 2] = held[depth - 2] + held[depth - 1];
    }
    return held[0];
}

enum { JOINED_DW, JOINED_DB, JOINED_DZ, JOINED_X, JOINED_CUTS };
enum { JOINED_M, JOINED_N, JOINED_K, JOINED_PIECES };
/* Phases: the cuts are checked; dw; db. */
PN_KERNEL(dense_joined) {
    const i64 m = I.dim[JOINED_M], n = I.dim[JOINED_N], k = I.dim[JOINED_K], pieces = I.dim[JOINED_PIECES];
    const i64 *cuts = (const i64 *)I.arg[JOINED_CUTS];
    const float *dz = (const float *)I.arg[JOINED_DZ], *x = (const float *)I.arg[JOINED_X];
    float *db = (float *)I.arg[JOINED_DB];
    if (PN_STOPPED) return;
    if (phase == 0) {
        PN_EACH(s, pieces)
            if (cuts[s] < 0 || cuts[s] > cuts[s + 1] || cuts[s + 1] > m) PN_FAIL(PN_BAD_INDEX);
    } else if (phase == 1) {
        PN_EACH(at, k * n)
            ((float *)I.arg[JOINED_DW])[at] = segments_joined(
                cuts, pieces, true, [&](float s, i64 i) { return fmaf(x[i * k + at / n], dz[i * n + at % n], s); });
    } else {
        PN_EACH(j, db ? n : 0) db[j] = segments_joined(cuts, pieces, false, [&](float s, i64 i) { return s + dz[i * n + j]; });
    }
}

#endif
