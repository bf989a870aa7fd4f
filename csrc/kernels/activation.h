/* Elementwise functions of one argument and their gradients: activations, neg, abs, exp, log, sqrt, square, sin,
 * cos, clip.
 *
 * NAME_fwd: y = f(x).       OUT y [n]; IN x [n].
 * NAME_bwd: dx = dy f'(x).   OUT dx [n]; IN dy [n], s [n]. s is the OUTPUT y of the forward pass for relu, leaky_relu,
 * elu, selu, sigmoid, tanh, exp, sqrt; its INPUT x for softplus, gelu, silu, log, square, sin, cos, abs, clip; neg
 * reads none (it may be NULL).
 * dim[0] = n; par[0], par[1] as noted at each row. Parallel over chunks of elements; every element is computed alone,
 * so bits do not depend on chunks or threads. Cost: 1 to 40 flops and 8 (forward) or 12 (backward) bytes per element.
 * Aliasing: y may be x; dx may be dy, and may be s.
 *
 * pn_act_apply and pn_act_grad are the same expressions for kernels that fuse an activation.
 */
#ifndef PN_ACTIVATION_H
#define PN_ACTIVATION_H

#include "act.h"
#include "par.h"
#include "simd.h"

#define PN_UNARY_CHUNK 4096

/* NAME_y(x, p, q): the value. p, q are par[0], par[1] in all lanes. */
#define PN_VALUE(NAME, expr) \
    static inline vec NAME##_y(vec x, vec p, vec q) { \
        (void)p; \
        (void)q; \
        return expr; \
    }
/* NAME_dx(dy, s, p, q): the gradient. */
#define PN_GRADIENT(NAME, expr) \
    static inline vec NAME##_dx(vec dy, vec s, vec p, vec q) { \
        (void)s; \
        (void)p; \
        (void)q; \
        return expr; \
    }

/* The kernel NAME_fwd from NAME_y; ns is the cost of one element. */
#define PN_UNARY_FWD(NAME, ns) \
    static void NAME##_fwd_range(void *ctx, i64 i, i64 hi, int ith) { \
        const pn_instr *I = (const pn_instr *)ctx; \
        real *y = (real *)I->arg[0]; \
        const real *x = (const real *)I->arg[1]; \
        const vec p = vset((real)I->par[0]), q = vset((real)I->par[1]); \
        (void)ith; \
        for (; i + VW <= hi; i += VW) vstore(y + i, NAME##_y(vload(x + i), p, q)); \
        if (i < hi) vstoren(y + i, NAME##_y(vloadn(x + i, hi - i), p, q), hi - i); \
    } \
    static int NAME##_fwd(const pn_instr *I) { \
        pn_for(I->dim[0], PN_UNARY_CHUNK, (ns) * (double)I->dim[0], I->nth, NAME##_fwd_range, (void *)I); \
        return PN_OK; \
    }
/* The kernel NAME_bwd from NAME_dx. */
#define PN_UNARY_BWD(NAME, ns) \
    static void NAME##_bwd_range(void *ctx, i64 i, i64 hi, int ith) { \
        const pn_instr *I = (const pn_instr *)ctx; \
        real *dx = (real *)I->arg[0]; \
        const real *dy = (const real *)I->arg[1]; \
        const real *s = I->arg[2] ? (const real *)I->arg[2] : dy; \
        const vec p = vset((real)I->par[0]), q = vset((real)I->par[1]); \
        (void)ith; \
        for (; i + VW <= hi; i += VW) vstore(dx + i, NAME##_dx(vload(dy + i), vload(s + i), p, q)); \
        if (i < hi) vstoren(dx + i, NAME##_dx(vloadn(dy + i, hi - i), vloadn(s + i, hi - i), p, q), hi - i); \
    } \
    static int NAME##_bwd(const pn_instr *I) { \
        pn_for(I->dim[0], PN_UNARY_CHUNK, (ns) * (double)I->dim[0], I->nth, NAME##_bwd_range, (void *)I); \
        return PN_OK; \
    }
#define PN_UNARY(NAME, ns_fwd, value, ns_bwd, gradient) \
    PN_VALUE(NAME, value) \
    PN_UNARY_FWD(NAME, ns_fwd) \
    PN_GRADIENT(NAME, gradient) \
    PN_UNARY_BWD(NAME, ns_bwd)

#define PN_ZERO vset(0)
#define PN_ONE vset(1)

/* max(0, x) and max(lo, x) keep NaN because vmax answers its second operand then. */
PN_UNARY(relu, 0.08, vmax(PN_ZERO, x), 0.12, vsel(vle(s, PN_ZERO), PN_ZERO, dy))

/* x > 0 ? x : slope x. par[0] = slope >= 0, so that y has the sign of x. */
PN_UNARY(leaky_relu, 0.08, vsel(vlt(PN_ZERO, x), x, vmul(p, x)), 0.12, vsel(vlt(PN_ZERO, s), dy, vmul(p, dy)))

/* x > 0 ? x : alpha (exp(x) - 1); for x <= 0 the slope is alpha exp(x) = y + alpha. par[0] = alpha >= 0. */
PN_UNARY(elu, 0.2, vsel(vlt(PN_ZERO, x), x, vmul(p, vexpm1(x))), 0.12, vsel(vlt(PN_ZERO, s), dy, vmul(dy, vadd(s, p))))

/* scale elu(x) with alpha = 1.67326... (Klambauer et al., 2017). */
#define PN_SELU_SCALE ((real)1.0507009873554804934193349852946)
#define PN_SELU_SCALE_ALPHA ((real)1.7580993408473768599402175208123)
PN_UNARY(selu,
         0.2, vsel(vlt(PN_ZERO, x), vmul(vset(PN_SELU_SCALE), x), vmul(vset(PN_SELU_SCALE_ALPHA), vexpm1(x))),
         0.12, vmul(dy, vsel(vlt(PN_ZERO, s), vset(PN_SELU_SCALE), vadd(s, vset(PN_SELU_SCALE_ALPHA)))))

/* 1 / (1 + exp(-x)); slope y - y^2. */
PN_UNARY(sigmoid, 0.2, vsigmoid(x), 0.12, vmul(dy, vfnma(s, s, s)))

/* Slope 1 - y^2. */
PN_UNARY(tanh, 0.2, vtanh(x), 0.12, vmul(dy, vfnma(s, s, PN_ONE)))

/* log(1 + exp(x)); slope sigmoid(x). */
PN_UNARY(softplus, 0.4, vsoftplus(x), 0.2, vmul(dy, vsigmoid(s)))

/* x sigmoid(x); slope sigmoid(x) (1 + x (1 - sigmoid(x))). */
static inline vec pn_silu_slope(vec x) {
    const vec g = vsigmoid(x);
    return vmul(g, vfma(x, vsub(PN_ONE, g), PN_ONE));
}
PN_UNARY(silu, 0.2, vmul(x, vsigmoid(x)), 0.2, vmul(dy, pn_silu_slope(s)))

/* gelu(x) = x Phi(x), Phi the normal distribution function (Hendrycks & Gimpel, 2016); slope Phi(x) + x phi(x).
 * par[0] = 1 takes x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3), instead. */
#define PN_SQRT_HALF ((real)0.70710678118654752440)
#define PN_INV_SQRT_2PI ((real)0.39894228040143267794)
#define PN_TWO_SQRT_2_OVER_PI ((real)1.59576912160573071176)
#define PN_GELU_CUBE ((real)0.044715)
static inline vec pn_phi(vec x) { return vfma(vset((real)0.5), verf(vmul(x, vset(PN_SQRT_HALF))), vset((real)0.5)); }
static inline vec pn_gelu_erf_slope(vec x) {
    const vec density = vmul(vset(PN_INV_SQRT_2PI), vexp(vmul(vset((real)-0.5), vmul(x, x))));
    return vfma(x, density, pn_phi(x));
}
static inline vec pn_gelu_tanh_gate(vec x) {
    return vsigmoid(vmul(vmul(vset(PN_TWO_SQRT_2_OVER_PI), x), vfma(vset(PN_GELU_CUBE), vmul(x, x), PN_ONE)));
}
static inline vec pn_gelu_tanh_slope(vec s) {
    const vec limit = vset(16), x = vmin(limit, vmax(vneg(limit), s)); /* the slope is 0 or 1 beyond */
    const vec g = pn_gelu_tanh_gate(x);
    const vec du = vmul(vset(PN_TWO_SQRT_2_OVER_PI), vfma(vset(3 * PN_GELU_CUBE), vmul(x, x), PN_ONE));
    return vfma(vmul(vmul(x, g), vsub(PN_ONE, g)), du, g);
}
PN_UNARY(gelu_erf, 0.35, vmul(x, pn_phi(x)), 0.5, vmul(dy, pn_gelu_erf_slope(s)))
PN_UNARY(gelu_tanh, 0.2, vmul(x, pn_gelu_tanh_gate(x)), 0.25, vmul(dy, pn_gelu_tanh_slope(s)))
static int gelu_fwd(const pn_instr *I) { return I->par[0] != 0 ? gelu_tanh_fwd(I) : gelu_erf_fwd(I); }
static int gelu_bwd(const pn_instr *I) { return I->par[0] != 0 ? gelu_tanh_bwd(I) : gelu_erf_bwd(I); }

/* x >= 0 ? 1 : 0. No gradient. */
PN_VALUE(step, vsel(vle(PN_ZERO, x), PN_ONE, PN_ZERO))
PN_UNARY_FWD(step, 0.08)

PN_UNARY(neg, 0.08, vneg(x), 0.08, vneg(dy))
PN_UNARY(abs, 0.08, vabs(x), 0.12, vsel(vlt(PN_ZERO, s), dy, vsel(vlt(s, PN_ZERO), vneg(dy), PN_ZERO)))
PN_UNARY(exp, 0.12, vexp(x), 0.12, vmul(dy, s))
PN_UNARY(log, 0.15, vlog(x), 0.15, vdiv(dy, s))
PN_UNARY(sqrt, 0.12, vsqrt(x), 0.15, vdiv(vmul(vset((real)0.5), dy), s))
PN_UNARY(sin, 8, vsin(x), 8, vmul(dy, vcos(s)))
PN_UNARY(cos, 8, vcos(x), 8, vneg(vmul(dy, vsin(s))))
PN_UNARY(square, 0.08, vmul(x, x), 0.12, vmul(vadd(s, s), dy))

/* min(hi, max(lo, x)); the gradient passes where lo <= x <= hi. par = lo, hi. */
PN_UNARY(clip, 0.08, vmin(q, vmax(p, x)), 0.12, vsel(vle(p, s), vsel(vle(s, q), dy, PN_ZERO), PN_ZERO))

#define PN_APPLY(NAME) \
    for (; i + VW <= n; i += VW) vstore(c + i, NAME##_y(vload(c + i), p, p)); \
    if (i < n) vstoren(c + i, NAME##_y(vloadn(c + i, n - i), p, p), n - i); \
    break
#define PN_APPLY_GRAD(NAME) \
    for (; i + VW <= n; i += VW) vstore(dz + i, NAME##_dx(vload(dy + i), vload(y + i), p, p)); \
    if (i < n) vstoren(dz + i, NAME##_dx(vloadn(dy + i, n - i), vloadn(y + i, n - i), p, p), n - i); \
    break

/* c = act(c), in place on n contiguous values. */
static inline void pn_act_apply(int act, real par, real *c, i64 n) {
    const vec p = vset(par);
    i64 i = 0;
    switch (act) {
    case PN_ACT_RELU: PN_APPLY(relu);
    case PN_ACT_LEAKY_RELU: PN_APPLY(leaky_relu);
    case PN_ACT_TANH: PN_APPLY(tanh);
    case PN_ACT_SIGMOID: PN_APPLY(sigmoid);
    case PN_ACT_ELU: PN_APPLY(elu);
    case PN_ACT_SELU: PN_APPLY(selu);
    default: break;
    }
}

/* dz = dy act'(z) from the output y = act(z). dz may be dy or y. */
static inline void pn_act_grad(int act, real par, real *dz, const real *dy, const real *y, i64 n) {
    const vec p = vset(par);
    i64 i = 0;
    switch (act) {
    case PN_ACT_RELU: PN_APPLY_GRAD(relu);
    case PN_ACT_LEAKY_RELU: PN_APPLY_GRAD(leaky_relu);
    case PN_ACT_TANH: PN_APPLY_GRAD(tanh);
    case PN_ACT_SIGMOID: PN_APPLY_GRAD(sigmoid);
    case PN_ACT_ELU: PN_APPLY_GRAD(elu);
    case PN_ACT_SELU: PN_APPLY_GRAD(selu);
    default:
        if (dz != dy) memmove(dz, dy, (size_t)n * sizeof(real));
    }
}
#undef PN_APPLY
#undef PN_APPLY_GRAD

#endif
