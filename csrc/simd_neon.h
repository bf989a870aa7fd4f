/* The branch of simd.h for 64-bit ARM: four lanes of float32. Every lane rounds as on x86; of NaN, sign and payload differ. */
#ifndef PN_SIMD_NEON_H
#define PN_SIMD_NEON_H

#include <arm_neon.h>

#define real float
#define VW 4
typedef float32x4_t vec;
typedef int32x4_t veci;
typedef uint32x4_t mask;
static inline vec vload(const float *p) { return vld1q_f32(p); }
static inline void vstore(float *p, vec v) { vst1q_f32(p, v); }
static inline vec vset(float x) { return vdupq_n_f32(x); }
static inline vec vloadn(const float *p, i64 n) {
    if (n >= 4) return vld1q_f32(p);
    if (n < 1) return vdupq_n_f32(0);
    if (n == 1) return vld1q_lane_f32(p, vdupq_n_f32(0), 0);
    const vec low = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    return n == 2 ? low : vld1q_lane_f32(p + 2, low, 2);
}
static inline void vstoren(float *p, vec v, i64 n) {
    if (n >= 4) vst1q_f32(p, v);
    else {
        if (n > 1) vst1_f32(p, vget_low_f32(v));
        if (n == 1) vst1q_lane_f32(p, v, 0);
        if (n == 3) vst1q_lane_f32(p + 2, v, 2);
    }
}
static inline vec vfirstn(vec v, i64 n) {
    const int32_t lane[4] = {0, 1, 2, 3};
    const uint32x4_t first = vcltq_s32(vld1q_s32(lane), vdupq_n_s32((int32_t)n));
    return vreinterpretq_f32_u32(vandq_u32(first, vreinterpretq_u32_f32(v)));
}
static inline vec vadd(vec a, vec b) { return vaddq_f32(a, b); }
static inline vec vsub(vec a, vec b) { return vsubq_f32(a, b); }
static inline vec vmul(vec a, vec b) { return vmulq_f32(a, b); }
static inline vec vdiv(vec a, vec b) { return vdivq_f32(a, b); }
static inline vec vfma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
static inline vec vfnma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }
/* FMAX would answer NaN wherever there is one, and order the zeros. */
static inline vec vmax(vec a, vec b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vec vmin(vec a, vec b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline vec vsqrt(vec a) { return vsqrtq_f32(a); }
static inline vec vabs(vec a) { return vabsq_f32(a); }
static inline vec vneg(vec a) { return vnegq_f32(a); }
static inline mask vlt(vec a, vec b) { return vcltq_f32(a, b); }
static inline mask vle(vec a, vec b) { return vcleq_f32(a, b); }
static inline mask veq(vec a, vec b) { return vceqq_f32(a, b); }
static inline mask visnan(vec a) { return vmvnq_u32(vceqq_f32(a, a)); }
static inline vec vsel(mask m, vec a, vec b) { return vbslq_f32(m, a, b); }
static inline vec vround(vec a) { return vrndnq_f32(a); }
static inline veci vtoint(vec a) { return vcvtnq_s32_f32(a); }
static inline vec vfromint(veci a) { return vcvtq_f32_s32(a); }
static inline veci vbits(vec a) { return vreinterpretq_s32_f32(a); }
static inline vec vfrombits(veci a) { return vreinterpretq_f32_s32(a); }
static inline veci viset(int x) { return vdupq_n_s32(x); }
static inline veci viadd(veci a, veci b) { return vaddq_s32(a, b); }
static inline veci visub(veci a, veci b) { return vsubq_s32(a, b); }
static inline veci viand(veci a, veci b) { return vandq_s32(a, b); }
static inline veci vior(veci a, veci b) { return vorrq_s32(a, b); }
static inline veci vishl23(veci a) { return vshlq_n_s32(a, 23); }
static inline veci visar23(veci a) { return vshrq_n_s32(a, 23); }
static inline veci vishr8(veci a) { return vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), 8)); }
static inline vec vscalb(vec a, vec n) { /* in two steps of which only the second can round */
    const veci k = vtoint(n), h = vshrq_n_s32(k, 1), bias = viset(127);
    const vec s1 = vfrombits(vishl23(viadd(h, bias))), s2 = vfrombits(vishl23(viadd(visub(k, h), bias)));
    return vmul(vmul(a, s1), s2);
}
static inline mask vugeu(veci a, veci b) { return vcgeq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)); }
static inline vec vkeep(mask m, vec a) { return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(a))); }
static inline mask vloadmask(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, sizeof four);
    const uint32x4_t b = vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four))));
    return vtstq_u32(b, b);
}
static inline void vstoremask(uint8_t *p, mask m) {
    const uint16x4_t half = vmovn_u32(m);
    const uint8x8_t b = vand_u8(vmovn_u16(vcombine_u16(half, half)), vdup_n_u8(1));
    const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(b), 0);
    memcpy(p, &four, sizeof four);
}
typedef uint64x2_t vecu;
static inline vecu vuset(uint64_t x) { return vdupq_n_u64(x); }
static inline vecu vueven(void) { return vcombine_u64(vcreate_u64(0), vcreate_u64(2)); }
static inline vecu vuadd(vecu a, vecu b) { return vaddq_u64(a, b); }
static inline vecu vumul(vecu a, vecu b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
static inline vecu vuhigh(vecu a) { return vshrq_n_u64(a, 32); }
static inline vecu vuxor(vecu a, vecu b) { return veorq_u64(a, b); }
static inline vecu vuxor3(vecu a, vecu b, vecu c) { return veorq_u64(veorq_u64(a, b), c); }
static inline veci vuzip(vecu a, vecu b) { return vtrn1q_s32(vreinterpretq_s32_u64(a), vreinterpretq_s32_u64(b)); }
static inline float vhsum(vec a) {
    const float32x2_t s = vadd_f32(vget_low_f32(a), vget_high_f32(a));
    return vget_lane_f32(s, 0) + vget_lane_f32(s, 1);
}
static inline float vhmax(vec a) {
    const float32x2_t l = vget_low_f32(a), h = vget_high_f32(a), s = vbsl_f32(vcgt_f32(l, h), l, h);
    const float x = vget_lane_f32(s, 0), y = vget_lane_f32(s, 1);
    return x > y ? x : y;
}

/* Transposes four vectors. */
static inline void vtranspose(vec r[4]) {
    const vec a = vtrn1q_f32(r[0], r[1]), b = vtrn2q_f32(r[0], r[1]);
    const vec c = vtrn1q_f32(r[2], r[3]), d = vtrn2q_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a), vget_low_f32(c));
    r[1] = vcombine_f32(vget_low_f32(b), vget_low_f32(d));
    r[2] = vcombine_f32(vget_high_f32(a), vget_high_f32(c));
    r[3] = vcombine_f32(vget_high_f32(b), vget_high_f32(d));
}

#endif
