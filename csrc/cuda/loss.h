/* Losses element by element, and bookkeeping: values a thread or a warp per sample, gradients a thread per element. */
#ifndef PN_CUDA_LOSS_H
#define PN_CUDA_LOSS_H

#include "elementwise.h"
#include "warp.h"

template <typename Loss> static __device__ __forceinline__ void loss_values(const pn_instr &I, Loss loss) {
    const i64 N = I.dim[f32::LOSS_N], D = I.dim[f32::LOSS_D];
    float *l = (float *)I.arg[f32::LOSS_L];
    const float *y = (const float *)I.arg[f32::LOSS_Y], *t = (const float *)I.arg[f32::LOSS_T], p = (float)I.par[0];
    if (D == 1) {
        PN_EACH(i, N) l[i] = loss(y[i], t[i], p);
        return;
    }
    PN_WARPS(r, N) {
        double sum = 0;
        for (i64 at = 0; at < D; at += f32::LOSS_PIECE) {
            const i64 n = D - at < f32::LOSS_PIECE ? D - at : f32::LOSS_PIECE, from = r * D + at;
            sum += (double)warp_sum<float>(n, [&](i64 i, float s) { return s + loss(y[from + i], t[from + i], p); });
        }
        if (warp_lane() == 0) l[r] = (float)(sum / (double)D);
    }
}

template <typename Slope, typename SlopeT>
static __device__ __forceinline__ void loss_gradients(const pn_instr &I, Slope slope, SlopeT slope_t) {
    const i64 D = I.dim[f32::LOSS_D];
    float *dy = (float *)I.arg[f32::LOSSB_DY], *dt = (float *)I.arg[f32::LOSSB_DT];
    const float *y = (const float *)I.arg[f32::LOSSB_Y], *t = (const float *)I.arg[f32::LOSSB_T];
    const float *dl = (const float *)I.arg[f32::LOSSB_DL], p = (float)I.par[0];
    PN_EACH(i, I.dim[f32::LOSS_N] * D) { /* dy may be y: both are read first */
        const float k = dl[i / D] / (float)D, yi = y[i], ti = t[i];
        if (dt) dt[i] = k * slope_t(yi, ti, p);
        if (dy) dy[i] = k * slope(yi, ti, p);
    }
}

#define PN_CUDA_LOSS_KERNELS(name) \
    PN_KERNEL(name##_loss_fwd) { \
        (void)phase; \
        if (!PN_STOPPED) loss_values(I, [](float y, float t, float p) { return f32::name##_loss(y, t, p); }); \
    } \
    PN_KERNEL(name##_loss_bwd) { \
        (void)phase; \
        if (!PN_STOPPED) \
            loss_gradients(I, [](float y, float t, float p) { return f32::name##_dy(y, t, p); }, \
                           [](float y, float t, float p) { return f32::name##_dt(y, t, p); }); \
    }
PN_CUDA_LOSS_KERNELS(square)
PN_CUDA_LOSS_KERNELS(absolute)
PN_CUDA_LOSS_KERNELS(huber)
PN_CUDA_LOSS_KERNELS(poisson)
PN_CUDA_LOSS_KERNELS(hinge)
PN_CUDA_LOSS_KERNELS(squared_hinge)
PN_CUDA_LOSS_KERNELS(bce)
PN_CUDA_LOSS_KERNELS(bce_probs)

PN_KERNEL(weighted_mean_fwd) {
    (void)phase;
    const float *l = (const float *)I.arg[f32::MEAN_L], *w = (const float *)I.arg[f32::MEAN_W];
    if (PN_STOPPED || blockIdx.x * blockDim.x + threadIdx.x >= WARP) return;
    const double sum =
        warp_eight(I.dim[f32::LOSS_N], [&](i64 i) { return w ? (double)l[i] * (double)w[i] : (double)l[i]; });
    if (threadIdx.x == 0) *(float *)I.arg[f32::MEAN_Y] = (float)(sum * I.par[0]);
}
PN_KERNEL(weighted_mean_bwd) {
    (void)phase;
    const float k = (float)(I.par[0] * (double)*(const float *)I.arg[f32::MEANB_DY]);
    const float *w = (const float *)I.arg[f32::MEANB_W];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::LOSS_N])((float *)I.arg[f32::MEANB_DL])[i] = w ? k * w[i] : k;
}

/* Of one thread. */
PN_KERNEL(log_loss) {
    (void)phase;
    if (PN_STOPPED || blockIdx.x || threadIdx.x) return;
    const int found = f32::log_loss(&I);
    if (found) PN_FAIL(found);
}

/* A row per thread; the first adds them up in order. */
PN_KERNEL(count_correct) {
    (void)phase;
    const i64 N = I.dim[f32::COUNT_N], C = I.dim[f32::COUNT_C];
    const float *z = (const float *)I.arg[f32::COUNT_Z], *w = (const float *)I.arg[f32::COUNT_W];
    double right = 0, all = 0;
    if (PN_STOPPED || blockIdx.x * blockDim.x + threadIdx.x >= WARP) return;
    for (i64 first = 0; first < N; first += WARP) {
        const i64 i = first + warp_lane(), last = N - first < WARP ? N - first : WARP;
        double share = 0, weight = 0;
        if (i < N) {
            weight = w ? (double)w[i] : 1.0;
            if (I.dim[f32::COUNT_KIND] == 0) {
                share = f32::row_argmax(z + i * C, C) == ((const int32_t *)I.arg[f32::COUNT_T])[i];
            } else if (I.dim[f32::COUNT_KIND] == 1) {
                share = f32::row_argmax(z + i * C, C) == f32::row_argmax((const float *)I.arg[f32::COUNT_T] + i * C, C);
            } else {
                const float *t = (const float *)I.arg[f32::COUNT_T] + i * C;
                for (i64 j = 0; j < C; j++) share += (z[i * C + j] > (float)I.par[0]) == (t[j] > 0.5f);
                share /= (double)C;
            }
        }
        for (int k = 0; k < (int)last; k++) {
            const double s = __shfl_sync(0xffffffffu, share, k), v = __shfl_sync(0xffffffffu, weight, k);
            right += v * s;
            all += v;
        }
    }
    if (threadIdx.x == 0) {
        double *sums = (double *)I.arg[f32::COUNT_SUMS];
        sums[0] += right;
        sums[1] += all;
    }
}

#endif
