/* Optimizers: an element per thread, by the rules of ../kernels/optim.h.
 *
 * Phases of a step: the list of touched rows is checked; an average of which only touched rows are kept begins as a
 * copy of p; the elements are updated; the counts advance. */
#ifndef PN_CUDA_OPTIM_H
#define PN_CUDA_OPTIM_H

#include "elementwise.h"
#include "warp.h"

enum { OPTIM_CHECK, OPTIM_COPY, OPTIM_UPDATE, OPTIM_COUNT };

/* The update of element i with the gradient *g, then its average, as in opt_averaged_range. */
template <typename At>
static __device__ __forceinline__ void optim_element(const f32::opt_ctx &c, i64 i, const float *g, At at) {
    f32::opt_ctx one = c;
    one.p = c.p + i;
    one.g = g;
    if (c.s0) one.s0 = c.s0 + i;
    if (c.s1) one.s1 = c.s1 + i;
    if (c.s2) one.s2 = c.s2 + i;
    at(&one);
    if (!c.mean) return;
    if (c.fresh == 1) {
        c.mean[i] = *one.p;
        return;
    }
    c.mean[i] = f32::opt_toward(c.mean[i], *one.p, c.fresh);
    if (c.over) *one.p = c.mean[i];
}

/* All phases but the last. at(&c) updates the element that c points at. */
template <typename At>
static __device__ __forceinline__ void optim_phase(const pn_instr &I, int phase, int *status, const f32::opt_ctx &c,
                                                   At at) {
    const i64 n = I.dim[f32::OPT_N], V = I.dim[f32::OPT_V], B = I.dim[f32::OPT_B];
    const int32_t *rows = (const int32_t *)I.arg[f32::OPT_ROWS], *marked = (const int32_t *)I.arg[f32::OPT_MARKED];
    const int listed = V && (I.dim[f32::OPT_LAZY] || c.still);
    const i64 count = listed ? *(const i64 *)I.arg[f32::OPT_LISTED] : 0;
    if (phase == OPTIM_CHECK) {
        if (count < 0 || count > V) PN_FAIL(PN_BAD_INDEX);
        PN_EACH(i, count <= V ? count : 0)
            if ((uint64_t)(uint32_t)rows[i] >= (uint64_t)V) PN_FAIL(PN_BAD_INDEX);
    } else if (phase == OPTIM_COPY) {
        if (I.dim[f32::OPT_LAZY] && c.mean && c.fresh == 1) PN_EACH(i, n) c.mean[i] = c.p[i];
    } else if (listed) {
        PN_EACH(k, count * B) {
            const i64 i = rows[k / B] * B + k % B;
            optim_element(c, i, c.g + i, at);
        }
    } else if (V) { /* the gradient of rows that were not touched is 0 and is not read */
        PN_EACH(i, V * B) {
            const float zero = 0;
            optim_element(c, i, marked[i / B] ? c.g + i : &zero, at);
        }
    } else {
        PN_EACH(i, n) optim_element(c, i, c.g + i, at);
    }
}

/* The last phase, of one thread. */
static __device__ __forceinline__ void optim_count(const pn_instr &I) {
    i64 *counts = (i64 *)I.arg[f32::OPT_COUNTS];
    if (blockIdx.x || threadIdx.x) return;
    for (i64 i = I.dim[f32::OPT_K] - 1; i >= 0; i--) counts[i] = counts[0] + 1;
}

/* `...` sets c; `at` is the update of one element, whose constants may be of I. */
#define OPTIM_KERNEL(name, update, ...) \
    PN_KERNEL(name) { \
        if (PN_STOPPED) return; \
        if (phase == OPTIM_COUNT) { \
            optim_count(I); \
            return; \
        } \
        f32::opt_ctx c = f32::opt_begin(&I); \
        const double *par = I.par; \
        (void)par; \
        __VA_ARGS__ \
        optim_phase(I, phase, status, c, [&](const f32::opt_ctx *one) { update; }); \
    }

OPTIM_KERNEL(sgd_step, f32::sgd_at(one, 0, 1, !c.s0 ? 0 : I.dim[f32::OPT_KIND] ? 2 : 1), {
    c.a = (float)par[2];
    c.still = !c.s0 && !c.mean && c.keep == 1 && c.lr <= 1e30f;
})
OPTIM_KERNEL(adagrad_step, f32::adagrad_at(one, 0, 1, 0), { c.eps = (float)par[2]; })
OPTIM_KERNEL(adadelta_step, f32::adadelta_at(one, 0, 1, 0), {
    c.a = (float)par[2];
    c.b = (float)(1.0 - par[2]);
    c.eps = (float)par[3];
})
OPTIM_KERNEL(rmsprop_step, f32::rmsprop_at(one, 0, 1, c.s1 != NULL, c.s2 != NULL), {
    c.a = (float)par[2];
    c.b = (float)(1.0 - par[2]);
    *(I.dim[f32::OPT_KIND] ? &c.d : &c.eps) = (float)par[3];
    c.c = (float)par[4];
})
/* What Adam and Nadam share. */
static __device__ __forceinline__ void optim_moments(const pn_instr &I, f32::opt_ctx *c) {
    c->a = (float)(1.0 - I.par[2]);
    c->b = (float)I.par[3];
    c->c = (float)(1.0 - I.par[3]);
    c->d = (float)(1.0 / sqrt(1.0 - pn_power(I.par[3], f32::opt_time(&I))));
    c->eps = (float)I.par[4];
}
OPTIM_KERNEL(adam_step, f32::adam_at(one, 0, 1, c.s2 != NULL, 0), {
    optim_moments(I, &c);
    c.lr = (float)(f32::opt_rate(&I) / (1.0 - pn_power(par[2], f32::opt_time(&I))));
})
OPTIM_KERNEL(adamax_step, f32::adamax_at(one, 0, 1, 0), {
    c.lr = (float)(f32::opt_rate(&I) / (1.0 - pn_power(par[2], f32::opt_time(&I))));
    c.a = (float)(1.0 - par[2]);
    c.b = (float)par[3];
    c.eps = (float)par[4];
})

/* mu_t of Nadam. */
static __device__ __forceinline__ double optim_schedule(const pn_instr &I, i64 t) {
    return I.par[2] * (1.0 - 0.5 * pn_exp((double)t * (I.par[5] * pn_log(0.96))));
}
PN_KERNEL(nadam_step) {
    if (PN_STOPPED) return;
    const i64 t = f32::opt_time(&I);
    double *products = (double *)I.arg[f32::OPT_NUMBER];
    const double lr = f32::opt_rate(&I), mu = optim_schedule(I, t), next = optim_schedule(I, t + 1);
    const double product = products[0] * mu;
    if (phase == OPTIM_COUNT) {
        for (i64 i = 0; i < I.dim[f32::OPT_K] && !blockIdx.x && !threadIdx.x; i++) products[i] = product;
        optim_count(I);
        return;
    }
    f32::opt_ctx c = f32::opt_begin(&I);
    optim_moments(I, &c);
    c.lr = (float)(lr * (1.0 - mu) / (1.0 - product));
    c.share = (float)(lr * next / (1.0 - product * next));
    optim_phase(I, phase, status, c, [&](const f32::opt_ctx *one) { f32::nadam_at(one, 0, 1, 0); });
}

/* Clipping: a warp sums the squares of OPT_SUM elements, one thread adds the sums up and leaves the factor in their
 * place, then every element is scaled. */
PN_KERNEL(clip_norm) {
    const i64 n = I.dim[f32::CLIPN_N];
    const float *x = (const float *)I.arg[f32::CLIPN_X];
    double *part = (double *)I.scratch;
    if (PN_STOPPED || n == 0) return;
    if (phase == 0) {
        PN_WARPS(k, (n + f32::OPT_SUM - 1) / f32::OPT_SUM) {
            const i64 from = k * f32::OPT_SUM, left = n - from;
            const double sum = warp_eight(left < f32::OPT_SUM ? left : f32::OPT_SUM,
                                          [&](i64 i) { return (double)x[from + i] * (double)x[from + i]; });
            if (warp_lane() == 0) part[k] = sum;
        }
    } else if (phase == 1) {
        double norm = 0;
        if (blockIdx.x || threadIdx.x) return;
        for (i64 i = 0; i * f32::OPT_SUM < n; i++) norm += part[i];
        norm = sqrt(norm);
        part[0] = norm > I.par[0] && norm <= 1.7976931348623157e308 ? (double)(float)(I.par[0] / norm) : 1.0;
    } else {
        const float k = (float)part[0];
        float *y = (float *)I.arg[f32::CLIPN_Y];
        if (k != 1 || y != x) PN_EACH(i, n) y[i] = x[i] * k;
    }
}

PN_KERNEL(penalty_fwd) {
    const i64 n = I.dim[f32::PENALTY_N];
    const float *w = (const float *)I.arg[f32::PENALTY_W];
    double *part = (double *)I.scratch;
    if (PN_STOPPED) return;
    if (phase == 0) {
        PN_WARPS(k, (n + f32::OPT_SUM - 1) / f32::OPT_SUM) {
            const i64 from = k * f32::OPT_SUM, left = n - from, here = left < f32::OPT_SUM ? left : f32::OPT_SUM;
            const double squares = warp_eight(here, [&](i64 i) { return (double)w[from + i] * (double)w[from + i]; });
            const double sizes = warp_eight(I.par[0] != 0 ? here : 0, [&](i64 i) { return fabs((double)w[from + i]); });
            if (warp_lane() == 0) part[2 * k] = squares, part[2 * k + 1] = sizes;
        }
        return;
    }
    double squares = 0, absolute = 0;
    if (blockIdx.x || threadIdx.x) return;
    for (i64 i = 0; i * f32::OPT_SUM < n; i++) {
        squares += part[2 * i];
        absolute += part[2 * i + 1];
    }
    *(float *)I.arg[f32::PENALTY_Y] = (float)(I.par[0] * absolute + I.par[1] * squares);
}

#endif
