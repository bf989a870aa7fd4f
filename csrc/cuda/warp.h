/* Sums, maxima and places over a row that the threads of a warp share. */
#ifndef PN_CUDA_WARP_H
#define PN_CUDA_WARP_H

#include "device.h"

enum { WARP = 32 };
static __device__ __forceinline__ int warp_lane() { return (int)(threadIdx.x % WARP); }

/* The warp's items of [0, n). */
#define PN_WARPS(r, n)                                                                               \
    for (i64 r = ((i64)blockIdx.x * blockDim.x + threadIdx.x) / WARP, r##_step = (i64)gridDim.x * blockDim.x / WARP; \
         r < (n); r += r##_step)
/* The thread's elements of a row of n. */
#define PN_LANES(i, n) for (i64 i = warp_lane(); i < (n); i += WARP)

/* The sum of a row in the 64 lanes of ../lanes.h: s = step(i, s) in order in each lane, then by halves. A thread has
 * two lanes, its own and the one 32 further on. All threads of the warp get the sum. */
template <typename T, typename Step> static __device__ __forceinline__ T warp_sum(i64 n, Step step) {
    static_assert(256 / sizeof(T) == 2 * WARP || sizeof(T) == 8, "");
    T low = 0, high = 0;
    for (i64 i = warp_lane(); i < n; i += 2 * WARP) {
        low = step(i, low);
        if (i + WARP < n) high = step(i + WARP, high);
    }
    low = low + high;
    for (int half = WARP / 2; half > 0; half /= 2) low = low + __shfl_down_sync(0xffffffffu, low, (unsigned)half);
    return __shfl_sync(0xffffffffu, low, 0);
}

/* Whole numbers of 64 bits have 32 lanes, but their sums wrap, so any order serves. */

/* The best of a row by pick(best, value), in any order; all threads get it. */
template <typename T, typename Value, typename Pick>
static __device__ __forceinline__ T warp_best(i64 n, T best, Value value, Pick pick) {
    PN_LANES(i, n) best = pick(best, value(i));
    for (int half = WARP / 2; half > 0; half /= 2) best = pick(best, __shfl_xor_sync(0xffffffffu, best, half));
    return best;
}

/* A sum in double of 8 lanes, element i in lane i % 8, as in weighted_mean_fwd and opt_sums: the sum in thread 0. */
template <typename Value> static __device__ __forceinline__ double warp_eight(i64 n, Value value) {
    const unsigned all = 0xffffffffu;
    double s = 0;
    if (warp_lane() < 8)
        for (i64 i = warp_lane(); i < n; i += 8) s += value(i);
    s = s + __shfl_down_sync(all, s, 4); /* s0 + s4, s1 + s5, s2 + s6, s3 + s7 */
    s = s + __shfl_down_sync(all, s, 1);
    return s + __shfl_down_sync(all, s, 2);
}

#endif
