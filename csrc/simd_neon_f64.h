/* The branch of simd.h for float64 on 64-bit ARM: two lanes. A veci is as many 64-bit integers. */
#ifndef PN_SIMD_NEON_F64_H
#define PN_SIMD_NEON_F64_H

#include <arm_neon.h>

#define real double
#define VW 2
typedef float64x2_t vec;
typedef int64x2_t veci;
typedef uint64x2_t mask;
static inline vec vload(const double *p) { return vld1q_f64(p); }
static inline void vstore(double *p, vec v) { vst1q_f64(p, v); }
static inline vec vset(double x) { return vdupq_n_f64(x); }
static inline vec vloadn(const double *p, i64 n) {
    if (n >= 2) return vld1q_f64(p);
    return n < 1 ? vdupq_n_f64(0) : vld1q_lane_f64(p, vdupq_n_f64(0), 0);
}
static inline void vstoren(double *p, vec v, i64 n) {
    if (n >= 2) vst1q_f64(p, v);
    else if (n == 1) vst1q_lane_f64(p, v, 0);
}
static inline vec vfirstn(vec v, i64 n) {
    if (n >= 2) return v;
    return n < 1 ? vdupq_n_f64(0) : vcombine_f64(vget_low_f64(v), vdup_n_f64(0));
}
static inline vec vadd(vec a, vec b) { return vaddq_f64(a, b); }
static inline vec vsub(vec a, vec b) { return vsubq_f64(a, b); }
static inline vec vmul(vec a, vec b) { return vmulq_f64(a, b); }
static inline vec vdiv(vec a, vec b) { return vdivq_f64(a, b); }
static inline vec vfma(vec a, vec b, vec c) { return vfmaq_f64(c, a, b); }
static inline vec vfnma(vec a, vec b, vec c) { return vfmsq_f64(c, a, b); }
static inline vec vmax(vec a, vec b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
static inline vec vmin(vec a, vec b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
static inline vec vsqrt(vec a) { return vsqrtq_f64(a); }
static inline vec vabs(vec a) { return vabsq_f64(a); }
static inline vec vneg(vec a) { return vnegq_f64(a); }
static inline mask vlt(vec a, vec b) { return vcltq_f64(a, b); }
static inline mask vle(vec a, vec b) { return vcleq_f64(a, b); }
static inline mask veq(vec a, vec b) { return vceqq_f64(a, b); }
static inline vec vsel(mask m, vec a, vec b) { return vbslq_f64(m, a, b); }
static inline vec vkeep(mask m, vec a) { return vreinterpretq_f64_u64(vandq_u64(m, vreinterpretq_u64_f64(a))); }
static inline mask visnan(vec a) { return veorq_u64(vceqq_f64(a, a), vdupq_n_u64(~(uint64_t)0)); }
static inline vec vround(vec a) { return vrndnq_f64(a); }
static inline veci vbits(vec a) { return vreinterpretq_s64_f64(a); }
static inline vec vfrombits(veci a) { return vreinterpretq_f64_s64(a); }
static inline veci viset(i64 x) { return vdupq_n_s64(x); }
static inline veci viadd(veci a, veci b) { return vaddq_s64(a, b); }
static inline veci visub(veci a, veci b) { return vsubq_s64(a, b); }
static inline veci viand(veci a, veci b) { return vandq_s64(a, b); }
static inline veci vior(veci a, veci b) { return vorrq_s64(a, b); }
static inline veci vishl52(veci a) { return vshlq_n_s64(a, 52); }
static inline veci vishr52(veci a) { return vreinterpretq_s64_u64(vshrq_n_u64(vreinterpretq_u64_s64(a), 52)); }
/* 2^n of a whole number in -1022 ... 1023. */
static inline vec vpow2(vec n) { return vfrombits(vishl52(vbits(vadd(n, vset(0x1.8p52 + 1023))))); }
static inline vec vscalb(vec a, vec n) { /* in two steps of which only the second can round */
    const vec h = vround(vmul(n, vset(0.5)));
    return vmul(vmul(a, vpow2(h)), vpow2(vsub(n, h)));
}
static inline mask vloadmask(const uint8_t *p) {
    const uint64x2_t b = vcombine_u64(vcreate_u64(p[0]), vcreate_u64(p[1]));
    return vtstq_u64(b, b);
}
static inline double vhsum(vec a) { return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1); }
static inline double vhmax(vec a) {
    const double x = vgetq_lane_f64(a, 0), y = vgetq_lane_f64(a, 1);
    return x > y ? x : y;
}
/* Transposes two vectors. */
static inline void vtranspose(vec r[2]) {
    const vec a = vtrn1q_f64(r[0], r[1]);
    r[1] = vtrn2q_f64(r[0], r[1]);
    r[0] = a;
}

#endif
