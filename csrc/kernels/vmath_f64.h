/* The functions of vmath.h for vectors of float64, in the same steps: within 2 ULP (tanh, sigmoid, softplus: 4), results may be
 * denormal, infinities and NaN are handled, and all widths give the same bits. exp is Taylor's series after reduction
 * to |r| <= ln 2 / 2, log that of the inverse hyperbolic tangent. erf, pow, sin and cos call libm lane by lane.
 */
#ifndef PN_VMATH_F64_H
#define PN_VMATH_F64_H

#define PN_LN2_HI 0x1.62e42fefa39efp-1
#define PN_LN2_LO 0x1.abc9e3b39803fp-56
#define PN_LOG2E 0x1.71547652b82fep+0
#define PN_SHIFT 0x1.8p52 /* adding it leaves round(x) in the low bits */

static inline vec vcopysign(vec a, vec sign) { /* a >= 0 */
    const veci top = viset((i64)0x8000000000000000u);
    return vfrombits(vior(vbits(a), viand(vbits(sign), top)));
}

/* x = n ln 2 + r with |r| <= ln 2 / 2; returns expm1(r) and n + PN_SHIFT. |x| < 2^50. */
static inline vec pn_expm1_reduced(vec x, vec *shifted) {
    const vec t = vfma(x, vset(PN_LOG2E), vset(PN_SHIFT));
    const vec n = vsub(t, vset(PN_SHIFT));
    const vec r = vfnma(n, vset(PN_LN2_LO), vfnma(n, vset(PN_LN2_HI), x)), s = vmul(r, r);
    /* the sum of r^k / (k + 2)!, even and odd powers apart */
    vec even = vfma(vset(1.0 / 479001600), s, vset(1.0 / 3628800));
    vec odd = vfma(vset(1.0 / 6227020800), s, vset(1.0 / 39916800));
    even = vfma(even, s, vset(1.0 / 40320));
    odd = vfma(odd, s, vset(1.0 / 362880));
    even = vfma(even, s, vset(1.0 / 720));
    odd = vfma(odd, s, vset(1.0 / 5040));
    even = vfma(even, s, vset(1.0 / 24));
    odd = vfma(odd, s, vset(1.0 / 120));
    even = vfma(even, s, vset(0.5));
    odd = vfma(odd, s, vset(1.0 / 6));
    *shifted = t;
    return vfma(s, vfma(odd, r, even), r);
}

/* 2^(n + bias) from n + PN_SHIFT, while that is a normal number. */
static inline vec pn_pow2(vec shifted, int bias) {
    return vfrombits(viadd(vishl52(vbits(shifted)), viset((i64)(1023 + bias) << 52)));
}

static inline vec vexp(vec x) {
    vec t;
    const vec p = pn_expm1_reduced(vmin(vset(710.0), vmax(vset(-746.0), x)), &t);
    return vscalb(vadd(p, vset(1.0)), vsub(t, vset(PN_SHIFT)));
}

static inline vec vexpm1(vec x) {
    vec t;
    const vec p = pn_expm1_reduced(vmin(vset(710.0), vmax(vset(-40.0), x)), &t);
    const vec h = pn_pow2(t, -1); /* half of 2^n, for n may be 1024 */
    const vec y = vfma(h, p, vsub(h, vset(0.5)));
    return vsel(vlt(vabs(x), vset(1e-19)), x, vadd(y, y)); /* halving loses bits of a denormal */
}

/* log(1 + f) + e ln 2 for f in [-0.293, 0.415]: with s = f / (2 + f), log(1 + f) = 2 s + 2 s^3 / 3 + 2 s^5 / 5 + ... and
 * 2 s = f - s f. */
static inline vec pn_log_reduced(vec f, vec e) {
    const vec s = vdiv(f, vadd(vset(2.0), f)), z = vmul(s, s), half = vmul(vset(0.5), vmul(f, f));
    vec p = vfma(vset(2.0 / 23), z, vset(2.0 / 21));
    p = vfma(p, z, vset(2.0 / 19));
    p = vfma(p, z, vset(2.0 / 17));
    p = vfma(p, z, vset(2.0 / 15));
    p = vfma(p, z, vset(2.0 / 13));
    p = vfma(p, z, vset(2.0 / 11));
    p = vfma(p, z, vset(2.0 / 9));
    p = vfma(p, z, vset(2.0 / 7));
    p = vfma(p, z, vset(2.0 / 5));
    p = vfma(p, z, vset(2.0 / 3));
    /* 2 s = f - half + s half, so log(1 + f) = f - (half - s (half + z p)) */
    p = vfma(s, vfma(z, p, half), vmul(e, vset(PN_LN2_LO)));
    return vfma(e, vset(PN_LN2_HI), vsub(f, vsub(half, p)));
}

/* The exponent e with 0.707 <= x 2^-e < 1.415, shifted to its place in a float64 and offset by that of 1. */
static inline veci pn_log_exponent(vec x) {
    const veci d = viadd(vbits(x), viset(0x3ff0000000000000 - 0x3fe6a09e667f3bcd));
    return viand(d, viset(0x7ff0000000000000));
}
/* e as a number. */
static inline vec pn_log_number(veci k) {
    const vec magic = vset(0x1p52);
    return vsub(vfrombits(vior(vishr52(k), vbits(magic))), vset(0x1p52 + 1023));
}

/* What log answers outside (0, inf): a = 0 gives -inf, a < 0 NaN, inf and NaN themselves. */
static inline vec pn_log_limits(vec a, vec y) {
    const vec inf = vset(INFINITY), zero = vset(0.0);
    const vec odd = vsel(veq(a, zero), vneg(inf), vsel(vlt(a, zero), vset(NAN), a));
    return vsel(vlt(zero, a), vsel(vlt(a, inf), y, odd), odd);
}

static inline vec vlog(vec x) {
    const mask small = vlt(x, vset(0x1p-1022)); /* denormals are scaled up to normal numbers */
    const vec u = vsel(small, vmul(x, vset(0x1p54)), x);
    const veci k = pn_log_exponent(u);
    const vec e = vadd(pn_log_number(k), vkeep(small, vset(-54.0)));
    const vec m = vfrombits(visub(vbits(u), visub(k, viset(0x3ff0000000000000))));
    return pn_log_limits(x, pn_log_reduced(vsub(m, vset(1.0)), e));
}

/* log(1 + x) + e ln 2 for -1 < x <= 2^1000. */
static inline vec pn_log1p_reduced(vec x, vec e) {
    const veci k = pn_log_exponent(vadd(x, vset(1.0)));
    const vec s = vfrombits(visub(viset(2046ll << 52), k)); /* 2^-e */
    const vec f = vfma(x, s, vsub(s, vset(1.0)));           /* (1 + x) 2^-e - 1, rounded once */
    return pn_log_reduced(f, vadd(pn_log_number(k), e));
}

static inline vec vlog1p(vec x) {
    const mask big = vlt(vset(0x1p1000), x); /* there 1 + x = x, and 2^-e might not be a normal number */
    const vec v = vsel(big, vmul(x, vset(0x1p-64)), x);
    const vec y = pn_log_limits(vadd(x, vset(1.0)), pn_log1p_reduced(v, vkeep(big, vset(64.0))));
    return vsel(veq(x, vset(0.0)), x, y);
}

/* With E = expm1(2|x|), tanh|x| = E / (E + 2). */
static inline vec vtanh(vec x) {
    vec t;
    const vec a = vabs(x);
    const vec p = pn_expm1_reduced(vmin(vset(44.0), vadd(a, a)), &t), s = pn_pow2(t, 0);
    const vec E = vfma(s, p, vsub(s, vset(1.0)));
    return vcopysign(vdiv(E, vadd(E, vset(2.0))), x);
}

/* With e = exp(-|x|), (x < 0 ? e : 1) / (1 + e): nothing overflows, and the left tail reaches the denormals. */
static inline vec vsigmoid(vec x) {
    const vec one = vset(1.0), e = vexp(vneg(vabs(x)));
    return vdiv(vsel(vlt(x, vset(0.0)), e, one), vadd(one, e));
}

static inline vec vsoftplus(vec x) {
    return vadd(vmax(vset(0.0), x), pn_log1p_reduced(vexp(vneg(vabs(x))), vset(0.0)));
}

static inline vec pn_each_lane(vec a, double (*function)(double)) {
    double x[VW];
    vstore(x, a);
    for (int i = 0; i < VW; i++) x[i] = function(x[i]);
    return vload(x);
}
static inline vec verf(vec a) { return pn_each_lane(a, erf); }
static inline vec vsin(vec a) { return pn_each_lane(a, sin); }
static inline vec vcos(vec a) { return pn_each_lane(a, cos); }
static inline vec vpow(vec a, vec b) {
    double x[VW], y[VW];
    vstore(x, a);
    vstore(y, b);
    for (int i = 0; i < VW; i++) x[i] = pow(x[i], y[i]);
    return vload(x);
}

#endif
