/* The branch of simd.h for WebAssembly: four lanes of float32 (SIMD128). With relaxed SIMD a multiply-add is one instruction,
 * which fuses where the processor does; then every lane rounds as on x86. Without, it rounds twice. */
#ifndef PN_SIMD_WASM_H
#define PN_SIMD_WASM_H

#include <wasm_simd128.h>

#define real float
#define VW 4
typedef v128_t vec;
typedef v128_t veci;
typedef v128_t mask;
static inline vec vload(const float *p) { return wasm_v128_load(p); }
static inline void vstore(float *p, vec v) { wasm_v128_store(p, v); }
static inline vec vset(float x) { return wasm_f32x4_splat(x); }
static inline vec vloadn(const float *p, i64 n) {
    if (n >= 4) return wasm_v128_load(p);
    if (n < 1) return wasm_f32x4_splat(0);
    if (n == 1) return wasm_v128_load32_zero(p);
    const vec low = wasm_v128_load64_zero(p);
    return n == 2 ? low : wasm_v128_load32_lane(p + 2, low, 2);
}
static inline void vstoren(float *p, vec v, i64 n) {
    if (n >= 4) wasm_v128_store(p, v);
    else {
        if (n > 1) wasm_v128_store64_lane(p, v, 0);
        if (n == 1) wasm_v128_store32_lane(p, v, 0);
        if (n == 3) wasm_v128_store32_lane(p + 2, v, 2);
    }
}
static inline vec vfirstn(vec v, i64 n) {
    return wasm_v128_and(wasm_i32x4_lt(wasm_i32x4_const(0, 1, 2, 3), wasm_i32x4_splat((int32_t)n)), v);
}
static inline vec vadd(vec a, vec b) { return wasm_f32x4_add(a, b); }
static inline vec vsub(vec a, vec b) { return wasm_f32x4_sub(a, b); }
static inline vec vmul(vec a, vec b) { return wasm_f32x4_mul(a, b); }
static inline vec vdiv(vec a, vec b) { return wasm_f32x4_div(a, b); }
#ifdef __wasm_relaxed_simd__
static inline vec vfma(vec a, vec b, vec c) { return wasm_f32x4_relaxed_madd(a, b, c); }
static inline vec vfnma(vec a, vec b, vec c) { return wasm_f32x4_relaxed_nmadd(a, b, c); }
#else
static inline vec vfma(vec a, vec b, vec c) { return wasm_f32x4_add(wasm_f32x4_mul(a, b), c); }
static inline vec vfnma(vec a, vec b, vec c) { return wasm_f32x4_sub(c, wasm_f32x4_mul(a, b)); }
#endif
/* b where either is NaN, as on x86: pmax(b, a) is b < a ? a : b */
static inline vec vmax(vec a, vec b) { return wasm_f32x4_pmax(b, a); }
static inline vec vmin(vec a, vec b) { return wasm_f32x4_pmin(b, a); }
static inline vec vsqrt(vec a) { return wasm_f32x4_sqrt(a); }
static inline vec vabs(vec a) { return wasm_f32x4_abs(a); }
static inline vec vneg(vec a) { return wasm_f32x4_neg(a); }
static inline mask vlt(vec a, vec b) { return wasm_f32x4_lt(a, b); }
static inline mask vle(vec a, vec b) { return wasm_f32x4_le(a, b); }
static inline mask veq(vec a, vec b) { return wasm_f32x4_eq(a, b); }
static inline mask visnan(vec a) { return wasm_f32x4_ne(a, a); }
static inline vec vsel(mask m, vec a, vec b) { return wasm_v128_bitselect(a, b, m); }
static inline vec vround(vec a) { return wasm_f32x4_nearest(a); }
static inline veci vtoint(vec a) { return wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(a)); }
static inline vec vfromint(veci a) { return wasm_f32x4_convert_i32x4(a); }
static inline veci vbits(vec a) { return a; }
static inline vec vfrombits(veci a) { return a; }
static inline veci viset(int x) { return wasm_i32x4_splat(x); }
static inline veci viadd(veci a, veci b) { return wasm_i32x4_add(a, b); }
static inline veci visub(veci a, veci b) { return wasm_i32x4_sub(a, b); }
static inline veci viand(veci a, veci b) { return wasm_v128_and(a, b); }
static inline veci vior(veci a, veci b) { return wasm_v128_or(a, b); }
static inline veci vishl23(veci a) { return wasm_i32x4_shl(a, 23); }
static inline veci visar23(veci a) { return wasm_i32x4_shr(a, 23); }
static inline veci vishr8(veci a) { return wasm_u32x4_shr(a, 8); }
static inline vec vscalb(vec a, vec n) { /* in two steps of which only the second can round */
    const veci k = vtoint(n), h = wasm_i32x4_shr(k, 1), bias = viset(127);
    const vec s1 = vishl23(viadd(h, bias)), s2 = vishl23(viadd(visub(k, h), bias));
    return vmul(vmul(a, s1), s2);
}
static inline mask vugeu(veci a, veci b) { return wasm_u32x4_ge(a, b); }
static inline vec vkeep(mask m, vec a) { return wasm_v128_and(m, a); }
static inline mask vloadmask(const uint8_t *p) {
    const v128_t b = wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_v128_load32_zero(p)));
    return wasm_i32x4_ne(b, wasm_i32x4_splat(0));
}
static inline void vstoremask(uint8_t *p, mask m) {
    const v128_t half = wasm_i16x8_narrow_i32x4(m, m);
    wasm_v128_store32_lane(p, wasm_v128_and(wasm_i8x16_narrow_i16x8(half, half), wasm_i8x16_splat(1)), 0);
}
typedef v128_t vecu;
static inline vecu vuset(uint64_t x) { return wasm_i64x2_splat((int64_t)x); }
static inline vecu vueven(void) { return wasm_i64x2_const(0, 2); }
static inline vecu vuadd(vecu a, vecu b) { return wasm_i64x2_add(a, b); }
static inline vecu vumul(vecu a, vecu b) {
    return wasm_u64x2_extmul_low_u32x4(wasm_i32x4_shuffle(a, a, 0, 2, 0, 2), wasm_i32x4_shuffle(b, b, 0, 2, 0, 2));
}
static inline vecu vuhigh(vecu a) { return wasm_u64x2_shr(a, 32); }
static inline vecu vuxor(vecu a, vecu b) { return wasm_v128_xor(a, b); }
static inline vecu vuxor3(vecu a, vecu b, vecu c) { return wasm_v128_xor(wasm_v128_xor(a, b), c); }
static inline veci vuzip(vecu a, vecu b) { return wasm_i32x4_shuffle(a, b, 0, 4, 2, 6); }
static inline float vhsum(vec a) {
    const vec s = vadd(a, wasm_i32x4_shuffle(a, a, 2, 3, 2, 3));
    return wasm_f32x4_extract_lane(s, 0) + wasm_f32x4_extract_lane(s, 1);
}
static inline float vhmax(vec a) {
    const vec s = wasm_f32x4_pmax(wasm_i32x4_shuffle(a, a, 2, 3, 2, 3), a);
    const float x = wasm_f32x4_extract_lane(s, 0), y = wasm_f32x4_extract_lane(s, 1);
    return x > y ? x : y;
}

/* Transposes four vectors. */
static inline void vtranspose(vec r[4]) {
    const vec a = wasm_i32x4_shuffle(r[0], r[1], 0, 4, 2, 6), b = wasm_i32x4_shuffle(r[0], r[1], 1, 5, 3, 7);
    const vec c = wasm_i32x4_shuffle(r[2], r[3], 0, 4, 2, 6), d = wasm_i32x4_shuffle(r[2], r[3], 1, 5, 3, 7);
    r[0] = wasm_i32x4_shuffle(a, c, 0, 1, 4, 5);
    r[1] = wasm_i32x4_shuffle(b, d, 0, 1, 4, 5);
    r[2] = wasm_i32x4_shuffle(a, c, 2, 3, 6, 7);
    r[3] = wasm_i32x4_shuffle(b, d, 2, 3, 6, 7);
}

#endif
