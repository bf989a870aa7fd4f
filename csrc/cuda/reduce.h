/* Reductions over the middle axis of x [A, R, B]: a thread per column, or a warp per row where B is 1
 * (../kernels/reduce.h). */
#ifndef PN_CUDA_REDUCE_H
#define PN_CUDA_REDUCE_H

#include "elementwise.h"
#include "warp.h"

/* Column `at` of all, whose elements lie B apart. */
template <typename T> static __device__ __forceinline__ const T *reduce_column(const pn_instr &I, i64 at) {
    const i64 R = I.dim[f32::RED_R], B = I.dim[f32::RED_B];
    return (const T *)I.arg[f32::RED_X] + at / B * R * B + at % B;
}
#define REDUCE_COLUMNS(T, column)                        \
    PN_EACH(at, I.dim[f32::RED_A] * I.dim[f32::RED_B]) \
        if (const T *column = reduce_column<T>(I, at))

template <typename T, typename Add>
static __device__ __forceinline__ void reduce_sum(const pn_instr &I, T scale, Add add) {
    const i64 A = I.dim[f32::RED_A], R = I.dim[f32::RED_R], B = I.dim[f32::RED_B];
    T *y = (T *)I.arg[f32::RED_Y];
    if (B != 1) {
        REDUCE_COLUMNS(T, x) {
            T s = 0;
            for (i64 r = 0; r < R; r++) s = add(s, x[r * B]);
            y[at] = s * scale;
        }
        return;
    }
    PN_WARPS(a, A) {
        const T *x = (const T *)I.arg[f32::RED_X] + a * R;
        T s = 0;
        for (i64 at = 0; at < R; at += f32::RED_PIECE) {
            const i64 n = R - at < f32::RED_PIECE ? R - at : f32::RED_PIECE;
            s = add(s, warp_sum<T>(n, [&](i64 i, T t) { return add(t, x[at + i]); }));
        }
        if (warp_lane() == 0) y[a] = s * scale;
    }
}

/* pick(best, value) keeps the best of equal values, and NaN. */
template <typename T, typename Pick>
static __device__ __forceinline__ void reduce_extreme(const pn_instr &I, Pick pick) {
    const i64 A = I.dim[f32::RED_A], R = I.dim[f32::RED_R], B = I.dim[f32::RED_B];
    T *y = (T *)I.arg[f32::RED_Y];
    if (B != 1) {
        REDUCE_COLUMNS(T, x) {
            T best = x[0];
            for (i64 r = 1; r < R; r++) best = pick(best, x[r * B]);
            y[at] = best;
        }
        return;
    }
    PN_WARPS(a, A) {
        const T *x = (const T *)I.arg[f32::RED_X] + a * R;
        const T best = warp_best(R, x[0], [&](i64 i) { return x[i]; }, pick);
        if (warp_lane() == 0) y[a] = best + 0; /* of zeros of either sign, +0 */
    }
}

template <typename T> static __device__ __forceinline__ void reduce_argmax(const pn_instr &I) {
    const i64 A = I.dim[f32::RED_A], R = I.dim[f32::RED_R], B = I.dim[f32::RED_B];
    i64 *y = (i64 *)I.arg[f32::RED_Y];
    const auto better = [](T v, T best) { return v > best || (v != v && best == best); };
    if (B != 1) {
        REDUCE_COLUMNS(T, x) {
            T best = x[0];
            i64 place = 0;
            for (i64 r = 1; r < R; r++)
                if (better(x[r * B], best)) best = x[r * B], place = r;
            y[at] = place;
        }
        return;
    }
    PN_WARPS(a, A) {
        const T *x = (const T *)I.arg[f32::RED_X] + a * R;
        const T best = warp_best(R, x[0], [&](i64 i) { return x[i]; }, [=](T m, T v) { return better(v, m) ? v : m; });
        const i64 place = warp_best(
            R, R, [&](i64 i) { return x[i] == best || (x[i] != x[i] && best != best) ? i : R; },
            [](i64 p, i64 q) { return q < p ? q : p; });
        if (warp_lane() == 0) y[a] = place;
    }
}

PN_KERNEL(sum_fwd) {
    (void)phase;
    if (!PN_STOPPED) reduce_sum<float>(I, (float)I.par[0], [](float a, float b) { return a + b; });
}
PN_KERNEL(sum_fwd_i32) {
    (void)phase;
    if (!PN_STOPPED) reduce_sum<uint32_t>(I, (uint32_t)(int32_t)I.par[0], [](uint32_t a, uint32_t b) { return a + b; });
}
PN_KERNEL(sum_fwd_i64) {
    (void)phase;
    if (!PN_STOPPED) reduce_sum<uint64_t>(I, (uint64_t)(i64)I.par[0], [](uint64_t a, uint64_t b) { return a + b; });
}
#define REDUCE_KERNELS(suffix, T, space) \
    PN_KERNEL(max_fwd##suffix) { \
        (void)phase; \
        if (!PN_STOPPED) reduce_extreme<T>(I, [](T m, T v) { return space::red_max(m, v); }); \
    } \
    PN_KERNEL(min_fwd##suffix) { \
        (void)phase; \
        if (!PN_STOPPED) reduce_extreme<T>(I, [](T m, T v) { return space::red_min(m, v); }); \
    } \
    PN_KERNEL(argmax_fwd##suffix) { \
        (void)phase; \
        if (!PN_STOPPED) reduce_argmax<T>(I); \
    }
REDUCE_KERNELS(, float, f32)
REDUCE_KERNELS(_i32, int32_t, i32)
REDUCE_KERNELS(_i64, i64, i64s)

#endif
