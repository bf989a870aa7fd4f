/* Softmax and its kin: rows of up to SMX_SMALL elements a thread each, by the CPU's function; longer ones a warp each.
 */
#ifndef PN_CUDA_SOFTMAX_H
#define PN_CUDA_SOFTMAX_H

#include "elementwise.h"
#include "warp.h"

static __device__ __forceinline__ float softmax_top(const float *x, i64 C) {
    return warp_best(C, -INFINITY, [&](i64 i) { return x[i]; }, [](float m, float v) { return f32::vmax(m, v); }) + 0;
}

/* y = softmax(x) of one row, or nothing where y is NULL; returns the sum of exponentials, the maximum in *top. y may
 * be x. */
static __device__ __forceinline__ float softmax_row(float *y, const float *x, i64 C, float *top) {
    const float m = *top = softmax_top(x, C);
    const float sum = warp_sum<float>(C, [&](i64 i, float s) {
        const float e = f32::vexp(x[i] - m);
        if (y) y[i] = e;
        return s + e;
    });
    const float k = 1 / sum;
    if (y) PN_LANES(i, C) y[i] = y[i] * k;
    return sum;
}

#define SOFTMAX_ROWS(r, N, C, function)       \
    (void)phase;                              \
    if (PN_STOPPED) return;                   \
    const i64 N = I.dim[f32::SMX_N], C = I.dim[f32::SMX_C];     \
    if (C <= f32::SMX_SMALL) {                \
        function(&I);                         \
        return;                               \
    }                                         \
    PN_WARPS(r, N)

PN_KERNEL(softmax_fwd) {
    SOFTMAX_ROWS(r, N, C, f32::softmax_fwd) {
        float top;
        softmax_row((float *)I.arg[f32::SMX_Y] + r * C, (const float *)I.arg[f32::SMX_X] + r * C, C, &top);
    }
}
PN_KERNEL(softmax_bwd) {
    SOFTMAX_ROWS(r, N, C, f32::softmax_bwd) {
        float *dx = (float *)I.arg[f32::SMXB_DX] + r * C;
        const float *dy = (const float *)I.arg[f32::SMXB_DY] + r * C, *y = (const float *)I.arg[f32::SMXB_Y] + r * C;
        const float s = warp_sum<float>(C, [&](i64 i, float t) { return fmaf(dy[i], y[i], t); });
        PN_LANES(i, C) dx[i] = y[i] * (dy[i] - s);
    }
}
PN_KERNEL(log_softmax_fwd) {
    SOFTMAX_ROWS(r, N, C, f32::log_softmax_fwd) {
        float *y = (float *)I.arg[f32::SMX_Y] + r * C, top;
        const float *x = (const float *)I.arg[f32::SMX_X] + r * C;
        const float s = f32::vlog(softmax_row(NULL, x, C, &top));
        PN_LANES(i, C) y[i] = (x[i] - top) - s;
    }
}
PN_KERNEL(log_softmax_bwd) {
    SOFTMAX_ROWS(r, N, C, f32::log_softmax_bwd) {
        float *dx = (float *)I.arg[f32::SMXB_DX] + r * C;
        const float *dy = (const float *)I.arg[f32::SMXB_DY] + r * C, *y = (const float *)I.arg[f32::SMXB_Y] + r * C;
        const float s = warp_sum<float>(C, [&](i64 i, float t) { return t + dy[i]; });
        PN_LANES(i, C) dx[i] = f32::vfnma(f32::vexp(y[i]), s, dy[i]);
    }
}

/* Labels outside [0, C) stop the program in a phase of their own, before anything is written. */
static __device__ __forceinline__ void check_labels(const pn_instr &I, const void *labels, int *status) {
    PN_EACH(i, I.dim[f32::CE_N]) {
        const i64 t = f32::loss_label(labels, I.dim[f32::CE_KIND], i);
        if (t < 0 || t >= I.dim[f32::CE_C]) PN_FAIL(PN_BAD_INDEX);
    }
}

/* A short row of probabilities on one thread: the sum of exponentials, the maximum in *top. */
static __device__ __forceinline__ float softmax_short(float *p, const float *z, i64 C, float *top) {
    float buf[f32::SMX_SMALL];
    for (i64 c = 0; c < C; c++) buf[c] = z[c];
    const float sum = f32::smx_exp_turned(buf, C, top), k = 1 / sum;
    for (i64 c = 0; c < C; c++) p[c] = buf[c] * k;
    return sum;
}

PN_KERNEL(cross_entropy_fwd) {
    const i64 N = I.dim[f32::CE_N], C = I.dim[f32::CE_C];
    if (PN_STOPPED) return;
    if (phase == 0) {
        check_labels(I, I.arg[f32::CE_T], status);
        return;
    }
    if (C <= f32::SMX_SMALL) {
        PN_EACH(r, N) {
            const float *z = (const float *)I.arg[f32::CE_Z] + r * C;
            const float at = z[f32::loss_label(I.arg[f32::CE_T], I.dim[f32::CE_KIND], r)];
            float top;
            const float s = softmax_short((float *)I.arg[f32::CE_P] + r * C, z, C, &top);
            ((float *)I.arg[f32::CE_L])[r] = f32::vlog(s) - (at - top);
        }
        return;
    }
    PN_WARPS(r, N) {
        const float *z = (const float *)I.arg[f32::CE_Z] + r * C;
        const float at = z[f32::loss_label(I.arg[f32::CE_T], I.dim[f32::CE_KIND], r)];
        float top;
        const float s = softmax_row((float *)I.arg[f32::CE_P] + r * C, z, C, &top);
        if (warp_lane() == 0) ((float *)I.arg[f32::CE_L])[r] = f32::vlog(s) - (at - top);
    }
}
PN_KERNEL(cross_entropy_bwd) {
    (void)phase;
    const i64 C = I.dim[f32::CE_C];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::CE_N] * C) {
        const i64 r = i / C, c = i % C;
        ((float *)I.arg[f32::CEB_DZ])[i] = f32::loss_off((const float *)I.arg[f32::CEB_P] + r * C, c, 1,
                                                          f32::loss_label(I.arg[f32::CEB_T], I.dim[f32::CE_KIND], r),
                                                          ((const float *)I.arg[f32::CEB_DL])[r]);
    }
}

PN_KERNEL(soft_entropy_fwd) {
    (void)phase;
    const i64 N = I.dim[f32::CE_N], C = I.dim[f32::CE_C], divergence = I.dim[f32::CE_KIND];
    if (PN_STOPPED) return;
    if (C <= f32::SMX_SMALL) {
        PN_EACH(r, N) {
            const float *z = (const float *)I.arg[f32::CE_Z] + r * C, *t = (const float *)I.arg[f32::CE_T] + r * C;
            float top;
            const float s = softmax_short((float *)I.arg[f32::CE_P] + r * C, z, C, &top);
            f32::lanes all = f32::lanes_zero(), d = all; /* a row of 16 has one element in each of 16 lanes */
            for (i64 i = 0; i < C; i++) {
                all.v[i] += t[i];
                d.v[i] += f32::loss_term(t[i], z[i], top);
                if (divergence) d.v[i] -= f32::loss_entropy(t[i]);
            }
            ((float *)I.arg[f32::CE_L])[r] = f32::lanes_sum(all) * f32::vlog(s) - f32::lanes_sum(d);
        }
        return;
    }
    PN_WARPS(r, N) {
        const float *z = (const float *)I.arg[f32::CE_Z] + r * C, *t = (const float *)I.arg[f32::CE_T] + r * C;
        float top;
        const float s = softmax_row((float *)I.arg[f32::CE_P] + r * C, z, C, &top);
        const float whole = warp_sum<float>(C, [&](i64 i, float a) { return a + t[i]; });
        const float d = warp_sum<float>(C, [&](i64 i, float a) {
            a = a + f32::loss_term(t[i], z[i], top);
            return divergence ? a - f32::loss_entropy(t[i]) : a;
        });
        if (warp_lane() == 0) ((float *)I.arg[f32::CE_L])[r] = whole * f32::vlog(s) - d;
    }
}
PN_KERNEL(soft_entropy_bwd) {
    SOFTMAX_ROWS(r, N, C, f32::soft_entropy_bwd) {
        float *dz = (float *)I.arg[f32::CEB_DZ] + r * C;
        const float *p = (const float *)I.arg[f32::CEB_P] + r * C, *t = (const float *)I.arg[f32::CEB_T] + r * C;
        const float k = ((const float *)I.arg[f32::CEB_DL])[r];
        const float w = warp_sum<float>(C, [&](i64 i, float a) { return a + t[i]; });
        PN_LANES(i, C) dz[i] = k * (p[i] * w - t[i]);
    }
}

PN_KERNEL(cross_entropy_probs_fwd) {
    const i64 C = I.dim[f32::CE_C];
    if (PN_STOPPED) return;
    if (phase == 0) {
        check_labels(I, I.arg[f32::CEQ_T], status);
        return;
    }
    PN_EACH(i, I.dim[f32::CE_N]) {
        const float v =
            ((const float *)I.arg[f32::CEQ_Q])[i * C + f32::loss_label(I.arg[f32::CEQ_T], I.dim[f32::CE_KIND], i)];
        ((float *)I.arg[f32::CEQ_L])[i] = -(f32::vlog(v < LOSS_EPS ? LOSS_EPS : v) - 0.0f);
    }
}
PN_KERNEL(cross_entropy_probs_bwd) {
    const i64 C = I.dim[f32::CE_C];
    if (PN_STOPPED) return;
    if (phase == 0) {
        check_labels(I, I.arg[f32::CEQB_T], status);
        return;
    }
    PN_EACH(i, I.dim[f32::CE_N] * C) {
        const i64 r = i / C;
        const float q = ((const float *)I.arg[f32::CEQB_Q])[i];
        const int here = i % C == f32::loss_label(I.arg[f32::CEQB_T], I.dim[f32::CE_KIND], r);
        ((float *)I.arg[f32::CEQB_DQ])[i] =
            here ? -((const float *)I.arg[f32::CEQB_DL])[r] / (q < LOSS_EPS ? LOSS_EPS : q) : 0;
    }
}
PN_KERNEL(soft_entropy_probs_fwd) {
    SOFTMAX_ROWS(r, N, C, f32::soft_entropy_probs_fwd) {
        const float *q = (const float *)I.arg[f32::CEQ_Q] + r * C, *t = (const float *)I.arg[f32::CEQ_T] + r * C;
        const float l = warp_sum<float>(
            C, [&](i64 i, float s) { return s + f32::loss_soft_term(q[i], t[i], I.dim[f32::CE_KIND]); });
        if (warp_lane() == 0) ((float *)I.arg[f32::CEQ_L])[r] = l;
    }
}
PN_KERNEL(soft_entropy_probs_bwd) {
    (void)phase;
    const i64 C = I.dim[f32::CE_C];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[f32::CE_N] * C) {
        const float k = -((const float *)I.arg[f32::CEQB_DL])[i / C], q = ((const float *)I.arg[f32::CEQB_Q])[i];
        ((float *)I.arg[f32::CEQB_DQ])[i] = k * ((const float *)I.arg[f32::CEQB_T])[i] / f32::loss_at_least_eps(q);
    }
}

#endif
