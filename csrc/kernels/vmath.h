/* Elementary functions on vectors: vexp vlog vexpm1 vlog1p vtanh vsigmoid vsoftplus verf vpow vsin vcos.
 *
 * float32 lanes, whole range: results may be denormal, infinities and NaN are handled, no lane looks at another. All
 * ISAs with fused multiply-adds give the same bits. Largest error in ULP over float32: exp 1.1, log 1.0, expm1 1.6, log1p 1.6, tanh 2.6,
 * sigmoid 2.5, softplus 1.9, erf 1.2, sin, cos and pow 0.6. Polynomials are minimax fits of the relative error. The float64 unit
 * in plain C calls libm.
 */
#ifndef PN_VMATH_H
#define PN_VMATH_H

#ifdef PN_REAL_F32

#define PN_LN2_HI 0.693147182f
#define PN_LN2_LO -1.90465421e-09f
#define PN_LOG2E 1.44269502f
#define PN_SHIFT 12582912.0f /* 1.5 2^23: adding it leaves round(x) in the low bits of the float */

static inline vec vcopysign(vec a, vec sign) { /* a >= 0 */
    const veci top = viset((int)0x80000000u);
    return vfrombits(vior(vbits(a), viand(vbits(sign), top)));
}

/* x = n ln 2 + r with |r| <= ln 2 / 2; returns expm1(r) and n + PN_SHIFT. |x| < 2^20. */
static inline vec pn_expm1_reduced(vec x, vec *shifted) {
    const vec t = vfma(x, vset(PN_LOG2E), vset(PN_SHIFT));
    const vec n = vsub(t, vset(PN_SHIFT));
    const vec r = vfnma(n, vset(PN_LN2_LO), vfnma(n, vset(PN_LN2_HI), x));
    vec q = vfma(vset(0.00138825213f), r, vset(0.00836652052f));
    q = vfma(q, r, vset(0.0416672006f));
    q = vfma(q, r, vset(0.166665435f));
    q = vfma(q, r, vset(0.49999997f));
    *shifted = t;
    return vfma(vmul(r, r), q, r);
}

/* 2^(n + bias) from n + PN_SHIFT, while that is a normal number. */
static inline vec pn_pow2(vec shifted, int bias) {
    return vfrombits(viadd(vishl23(vbits(shifted)), viset((127 + bias) << 23)));
}

static inline vec vexp(vec x) {
    vec t;
    const vec p = pn_expm1_reduced(vmin(vset(89.0f), vmax(vset(-104.0f), x)), &t);
    return vscalb(vadd(p, vset(1.0f)), vsub(t, vset(PN_SHIFT)));
}

/* exp(x) for -87 <= x <= 88. */
static inline vec pn_exp_normal(vec x) {
    vec t;
    const vec p = pn_expm1_reduced(x, &t), s = pn_pow2(t, 0);
    return vfma(p, s, s);
}

static inline vec vexpm1(vec x) {
    vec t;
    const vec p = pn_expm1_reduced(vmin(vset(89.0f), vmax(vset(-20.0f), x)), &t);
    const vec h = pn_pow2(t, -1); /* half of 2^n, for n may be 128 */
    const vec y = vfma(h, p, vsub(h, vset(0.5f)));
    return vsel(vlt(vabs(x), vset(1e-9f)), x, vadd(y, y)); /* halving loses bits of a denormal */
}

/* log(1 + f) + e ln 2 for f in [-1/3, 1/3]. */
static inline vec pn_log_reduced(vec f, vec e) {
    vec p = vfma(vset(-0.128916651f), f, vset(0.139844447f));
    p = vfma(p, f, vset(-0.121842653f));
    p = vfma(p, f, vset(0.140058666f));
    p = vfma(p, f, vset(-0.166804865f));
    p = vfma(p, f, vset(0.200104058f));
    p = vfma(p, f, vset(-0.249997973f));
    p = vfma(p, f, vset(0.333332151f));
    p = vfma(p, f, vset(-0.5f));
    p = vfma(vmul(f, f), p, vfma(e, vset(PN_LN2_LO), f));
    return vfma(e, vset(PN_LN2_HI), p);
}

/* The exponent e with 2/3 <= x 2^-e < 4/3, shifted to its place in a float. */
static inline veci pn_log_exponent(vec x) {
    const veci d = visub(vbits(x), viset(0x3f2aaaab));
    return viand(d, viset((int)0xff800000u));
}

/* What log answers outside (0, inf): a = 0 gives -inf, a < 0 NaN, inf and NaN themselves. */
static inline vec pn_log_limits(vec a, vec y) {
    const vec inf = vset(INFINITY), zero = vset(0.0f);
    const vec odd = vsel(veq(a, zero), vneg(inf), vsel(vlt(a, zero), vset(NAN), a));
    return vsel(vlt(zero, a), vsel(vlt(a, inf), y, odd), odd);
}

static inline vec vlog(vec x) {
    const mask small = vlt(x, vset(1.17549435e-38f)); /* denormals are scaled up to normal numbers */
    const vec u = vsel(small, vmul(x, vset(8388608.0f)), x);
    const veci k = pn_log_exponent(u);
    const vec e = vadd(vfromint(visar23(k)), vkeep(small, vset(-23.0f)));
    const vec m = vfrombits(visub(vbits(u), k));
    return pn_log_limits(x, pn_log_reduced(vsub(m, vset(1.0f)), e));
}

/* log(1 + x) + e ln 2 for -1 < x <= 2^96. */
static inline vec pn_log1p_reduced(vec x, vec e) {
    const veci k = pn_log_exponent(vadd(x, vset(1.0f)));
    const vec s = vfrombits(visub(viset(127 << 23), k)); /* 2^-k */
    const vec f = vfma(x, s, vsub(s, vset(1.0f)));       /* (1 + x) 2^-k - 1, rounded once */
    return pn_log_reduced(f, vadd(vfromint(visar23(k)), e));
}

static inline vec vlog1p(vec x) {
    const mask big = vlt(vset(0x1p96f), x); /* there 1 + x = x, and 2^-k might not be a normal number */
    const vec v = vsel(big, vmul(x, vset(0x1p-32f)), x);
    const vec y = pn_log_limits(vadd(x, vset(1.0f)), pn_log1p_reduced(v, vkeep(big, vset(32.0f))));
    return vsel(veq(x, vset(0.0f)), x, y);
}

/* With E = expm1(2|x|), tanh|x| = E / (E + 2). */
static inline vec vtanh(vec x) {
    vec t;
    const vec a = vabs(x);
    const vec p = pn_expm1_reduced(vmin(vset(20.0f), vadd(a, a)), &t), s = pn_pow2(t, 0);
    const vec E = vfma(s, p, vsub(s, vset(1.0f)));
    return vcopysign(vdiv(E, vadd(E, vset(2.0f))), x);
}

/* With e = exp(-|x|), (x < 0 ? e : 1) / (1 + e): nothing overflows, and the left tail reaches the denormals. */
static inline vec vsigmoid(vec x) {
    const vec one = vset(1.0f), e = vexp(vneg(vabs(x)));
    return vdiv(vsel(vlt(x, vset(0.0f)), e, one), vadd(one, e));
}

static inline vec vsoftplus(vec x) {
    return vadd(vmax(vset(0.0f), x), pn_log1p_reduced(vexp(vneg(vabs(x))), vset(0.0f)));
}

/* |x| < 0.927734375: x + x P(x^2); above: 1 - exp(-|x| + |x| Q(|x|)), which is 1 from 4 on. */
static inline vec verf(vec x) {
    const vec s = vmul(x, x), a = vmin(vset(4.0f), vabs(x));
    vec p = vfma(vset(-0.000595373916f), s, vset(0.00498594018f)), q, y;
    p = vfma(p, s, vset(-0.02676172f));
    p = vfma(p, s, vset(0.112816826f));
    p = vfma(p, s, vset(-0.376124799f));
    p = vfma(p, s, vset(0.128379151f));
    p = vfma(p, x, x);
    q = vfma(vset(0.00021398539f), a, vset(-0.00321495906f));
    q = vfma(q, a, vset(0.0228899736f));
    q = vfma(q, a, vset(-0.105261855f));
    q = vfma(q, a, vset(-0.635718286f));
    q = vfma(q, a, vset(-0.128514364f));
    q = vfma(q, a, vneg(a));
    y = vcopysign(vsub(vset(1.0f), pn_exp_normal(q)), x);
    return vsel(vlt(vabs(x), vset(0.927734375f)), p, y);
}

static inline vec vpow(vec a, vec b) {
    float x[VW], y[VW];
    vstore(x, a);
    vstore(y, b);
    for (int i = 0; i < VW; i++) x[i] = pn_powf(x[i], y[i]);
    return vload(x);
}

/* Lane by lane: no layer needs them fast. */
static inline vec vsin(vec a) {
    float x[VW];
    vstore(x, a);
    for (int i = 0; i < VW; i++) x[i] = pn_sinf(x[i]);
    return vload(x);
}
static inline vec vcos(vec a) {
    float x[VW];
    vstore(x, a);
    for (int i = 0; i < VW; i++) x[i] = pn_cosf(x[i]);
    return vload(x);
}

#elif VW > 1
#include "vmath_f64.h"
#else

static inline vec vsin(vec x) { return PN_M(sin)(x); }
static inline vec vcos(vec x) { return PN_M(cos)(x); }
static inline vec vexp(vec x) { return PN_M(exp)(x); }
static inline vec vlog(vec x) { return PN_M(log)(x); }
static inline vec vexpm1(vec x) { return PN_M(expm1)(x); }
static inline vec vlog1p(vec x) { return PN_M(log1p)(x); }
static inline vec vtanh(vec x) { return PN_M(tanh)(x); }
static inline vec verf(vec x) { return PN_M(erf)(x); }
static inline vec vpow(vec a, vec b) { return PN_M(pow)(a, b); }
static inline vec vsigmoid(vec x) {
    const vec e = vexp(-vabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}
static inline vec vsoftplus(vec x) { return vmax(0, x) + vlog1p(vexp(-vabs(x))); }

#endif
#endif
