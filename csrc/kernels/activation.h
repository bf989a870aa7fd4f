/* Functions of one element and their gradients, from the rows of elementwise.def.
 *
 * NAME_fwd: y = f(x).        OUT y [n]; IN x [n].
 * NAME_bwd: dx = dy f'(x).   OUT dx [n]; IN dy [n], s [n]. s is the output y of the forward pass where the row says OF_Y,
 * its input x where it says OF_X; NULL where the gradient reads neither.
 * dim: n; par[0], par[1] are p and q. Parallel over chunks of elements; every element is computed alone, so bits do
 * not depend on chunks or threads. Cost: 1 to 40 flops and 8 (forward) or 12 (backward) bytes per element.
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
enum { UNARY_Y, UNARY_X, UNARY_S };
enum { UNARY_N };
#define ZERO vset(0)
#define ONE vset(1)
#define REAL(c) vset((real)(c))

/* Helpers of the rows. */

/* selu is scale elu(x) with alpha = 1.67326... (Klambauer et al., 2017). */
#define PN_SELU_SCALE 1.0507009873554804934193349852946
#define PN_SELU_SCALE_ALPHA 1.7580993408473768599402175208123

/* x sigmoid(x) has the slope sigmoid(x) (1 + x (1 - sigmoid(x))). */
static inline vec pn_silu_slope(vec x) {
    const vec g = vsigmoid(x);
    return vmul(g, vfma(x, vsub(ONE, g), ONE));
}

/* gelu(x) = x Phi(x), Phi the normal distribution function (Hendrycks & Gimpel, 2016); slope Phi(x) + x phi(x).
 * gelu_tanh takes x/2 (1 + tanh u) = x sigmoid(2u), u = sqrt(2 / pi) (x + 0.044715 x^3), instead. */
#define PN_TWO_SQRT_2_OVER_PI 1.59576912160573071176
#define PN_GELU_CUBE ((real)0.044715)
static inline vec pn_phi(vec x) { return vfma(REAL(0.5), verf(vmul(x, REAL(0.70710678118654752440))), REAL(0.5)); }
static inline vec pn_gelu_slope(vec x) {
    const vec density = vmul(REAL(0.39894228040143267794), vexp(vmul(REAL(-0.5), vmul(x, x))));
    return vfma(x, density, pn_phi(x));
}
static inline vec pn_gelu_tanh_gate(vec x) {
    return vsigmoid(vmul(vmul(REAL(PN_TWO_SQRT_2_OVER_PI), x), vfma(vset(PN_GELU_CUBE), vmul(x, x), ONE)));
}
static inline vec pn_gelu_tanh_slope(vec s) {
    const vec limit = vset(16), x = vmin(limit, vmax(vneg(limit), s)); /* the slope is 0 or 1 beyond */
    const vec g = pn_gelu_tanh_gate(x);
    const vec du = vmul(REAL(PN_TWO_SQRT_2_OVER_PI), vfma(vset(3 * PN_GELU_CUBE), vmul(x, x), ONE));
    return vfma(vmul(vmul(x, g), vsub(ONE, g)), du, g);
}

/* NAME_y(x, p, q): the value. p, q are par[0], par[1] in all lanes. */
#define PN_VALUE(NAME, expr) \
    static inline vec NAME##_y(vec x, vec p, vec q) { \
        (void)p; \
        (void)q; \
        return expr; \
    }
/* NAME_dx(dy, s, p, q): the gradient; s is what the row calls y or x. */
#define PN_GRADIENT(NAME, expr) \
    static inline vec NAME##_dx(vec dy, vec s, vec p, vec q) { \
        const vec x = s, y = s; \
        (void)x; \
        (void)y; \
        (void)p; \
        (void)q; \
        return expr; \
    }

/* The kernel NAME_fwd from NAME_y; ns is the cost of one element. */
#define PN_UNARY_FWD(NAME, ns) \
    static void NAME##_fwd_range(void *ctx, i64 i, i64 hi, int ith) { \
        const pn_instr *I = (const pn_instr *)ctx; \
        real *y = (real *)I->arg[UNARY_Y]; \
        const real *x = (const real *)I->arg[UNARY_X]; \
        const vec p = vset((real)I->par[0]), q = vset((real)I->par[1]); \
        (void)ith; \
        for (; i + VW <= hi; i += VW) vstore(y + i, NAME##_y(vload(x + i), p, q)); \
        if (i < hi) vstoren(y + i, NAME##_y(vloadn(x + i, hi - i), p, q), hi - i); \
    } \
    static int NAME##_fwd(const pn_instr *I) { \
        pn_for(I->dim[UNARY_N], PN_UNARY_CHUNK, (ns) * (double)I->dim[UNARY_N], I->nth, NAME##_fwd_range, (void *)I); \
        return PN_OK; \
    }
/* The kernel NAME_bwd from NAME_dx. */
#define PN_UNARY_BWD(NAME, ns) \
    static void NAME##_bwd_range(void *ctx, i64 i, i64 hi, int ith) { \
        const pn_instr *I = (const pn_instr *)ctx; \
        real *dx = (real *)I->arg[UNARY_Y]; \
        const real *dy = (const real *)I->arg[UNARY_X]; \
        const real *s = I->arg[UNARY_S] ? (const real *)I->arg[UNARY_S] : dy; \
        const vec p = vset((real)I->par[0]), q = vset((real)I->par[1]); \
        (void)ith; \
        for (; i + VW <= hi; i += VW) vstore(dx + i, NAME##_dx(vload(dy + i), vload(s + i), p, q)); \
        if (i < hi) vstoren(dx + i, NAME##_dx(vloadn(dy + i, hi - i), vloadn(s + i, hi - i), p, q), hi - i); \
    } \
    static int NAME##_bwd(const pn_instr *I) { \
        pn_for(I->dim[UNARY_N], PN_UNARY_CHUNK, (ns) * (double)I->dim[UNARY_N], I->nth, NAME##_bwd_range, (void *)I); \
        return PN_OK; \
    }
#define PN_UNARY(A, NAME, fuses, of, ns_fwd, value, ns_bwd, gradient) \
    PN_VALUE(NAME, value) \
    PN_UNARY_FWD(NAME, ns_fwd) \
    PN_GRADIENT(NAME, gradient) \
    PN_UNARY_BWD(NAME, ns_bwd)
#define PN_UNARY_VALUE(A, NAME, ns_fwd, value) \
    PN_VALUE(NAME, value) \
    PN_UNARY_FWD(NAME, ns_fwd)

PN_ELEMENTWISE(PN_UNARY, PN_UNARY_VALUE, )

/* The cases of the fused functions. */
#define PN_APPLY_ALONE(NAME)
#define PN_APPLY_FUSED(NAME) \
    case PN_ACT_##NAME: \
        for (; i + VW <= n; i += VW) vstore(c + i, NAME##_y(vload(c + i), p, p)); \
        if (i < n) vstoren(c + i, NAME##_y(vloadn(c + i, n - i), p, p), n - i); \
        break;
#define PN_APPLY(A, NAME, fuses, ...) PN_APPLY_##fuses(NAME)
#define PN_GRAD_ALONE_OF_X(NAME)
#define PN_GRAD_ALONE_OF_Y(NAME)
#define PN_GRAD_FUSED_OF_X(NAME)
#define PN_GRAD_FUSED_OF_Y(NAME) \
    case PN_ACT_##NAME: \
        for (; i + VW <= n; i += VW) vstore(dz + i, NAME##_dx(vload(dy + i), vload(y + i), p, p)); \
        if (i < n) vstoren(dz + i, NAME##_dx(vloadn(dy + i, n - i), vloadn(y + i, n - i), p, p), n - i); \
        break;
#define PN_GRAD(A, NAME, fuses, of, ...) PN_GRAD_##fuses##_##of(NAME)
#define PN_NO_CASE(A, NAME, ...)

/* c = act(c), in place on n contiguous values. */
static inline void pn_act_apply(int act, real par, real *c, i64 n) {
    const vec p = vset(par);
    i64 i = 0;
    switch (act) {
        PN_ELEMENTWISE(PN_APPLY, PN_NO_CASE, )
    default: break;
    }
}

/* dz = dy act'(z) from the output y = act(z), for what is OF_Y. dz may be dy or y. */
static inline void pn_act_grad(int act, real par, real *dz, const real *dy, const real *y, i64 n) {
    const vec p = vset(par);
    i64 i = 0;
    switch (act) {
        PN_ELEMENTWISE(PN_GRAD, PN_NO_CASE, )
    default:
        if (dz != dy) memmove(dz, dy, (size_t)n * sizeof(real));
    }
}

#undef ZERO
#undef ONE
#undef REAL

#endif
