/* The branches of simd.h for float64: 8 lanes of AVX-512, 4 of AVX2. A veci is as many 64-bit integers. */
#ifndef PN_SIMD_F64_H
#define PN_SIMD_F64_H

#include <immintrin.h>

#define real double
#if defined(PN_AVX512)
#define VW 8
typedef __m512d vec;
typedef __m512i veci;
typedef __mmask8 mask;
static inline mask vfirst(i64 n) { return (mask)((1u << n) - 1u); }
static inline vec vload(const double *p) { return _mm512_loadu_pd(p); }
static inline void vstore(double *p, vec v) { _mm512_storeu_pd(p, v); }
static inline vec vloadn(const double *p, i64 n) { return _mm512_maskz_loadu_pd(vfirst(n), p); }
static inline void vstoren(double *p, vec v, i64 n) { _mm512_mask_storeu_pd(p, vfirst(n), v); }
static inline vec vfirstn(vec v, i64 n) { return _mm512_maskz_mov_pd(vfirst(n), v); }
static inline vec vset(double x) { return _mm512_set1_pd(x); }
static inline vec vadd(vec a, vec b) { return _mm512_add_pd(a, b); }
static inline vec vsub(vec a, vec b) { return _mm512_sub_pd(a, b); }
static inline vec vmul(vec a, vec b) { return _mm512_mul_pd(a, b); }
static inline vec vdiv(vec a, vec b) { return _mm512_div_pd(a, b); }
static inline vec vfma(vec a, vec b, vec c) { return _mm512_fmadd_pd(a, b, c); }
static inline vec vfnma(vec a, vec b, vec c) { return _mm512_fnmadd_pd(a, b, c); }
static inline vec vmax(vec a, vec b) { return _mm512_max_pd(a, b); }
static inline vec vmin(vec a, vec b) { return _mm512_min_pd(a, b); }
static inline vec vsqrt(vec a) { return _mm512_sqrt_pd(a); }
static inline vec vabs(vec a) { return _mm512_abs_pd(a); }
static inline vec vneg(vec a) { return _mm512_xor_pd(a, _mm512_set1_pd(-0.0)); }
static inline mask vlt(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ); }
static inline mask vle(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ); }
static inline mask veq(vec a, vec b) { return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ); }
static inline mask visnan(vec a) { return _mm512_cmp_pd_mask(a, a, _CMP_UNORD_Q); }
static inline vec vsel(mask m, vec a, vec b) { return _mm512_mask_blend_pd(m, b, a); }
static inline vec vkeep(mask m, vec a) { return _mm512_maskz_mov_pd(m, a); }
static inline vec vround(vec a) { return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline veci vbits(vec a) { return _mm512_castpd_si512(a); }
static inline vec vfrombits(veci a) { return _mm512_castsi512_pd(a); }
static inline veci viset(i64 x) { return _mm512_set1_epi64(x); }
static inline veci viadd(veci a, veci b) { return _mm512_add_epi64(a, b); }
static inline veci visub(veci a, veci b) { return _mm512_sub_epi64(a, b); }
static inline veci viand(veci a, veci b) { return _mm512_and_si512(a, b); }
static inline veci vior(veci a, veci b) { return _mm512_or_si512(a, b); }
static inline veci vishl52(veci a) { return _mm512_slli_epi64(a, 52); }
static inline veci vishr52(veci a) { return _mm512_srli_epi64(a, 52); }
static inline vec vscalb(vec a, vec n) { return _mm512_scalef_pd(a, n); }
static inline mask vloadmask(const uint8_t *p) {
    const __m128i b = _mm_loadl_epi64((const __m128i *)p);
    return (mask)_mm_test_epi8_mask(b, b);
}
static inline double vhsum(vec a) {
    const __m256d s = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}
static inline double vhmax(vec a) {
    const __m256d s = _mm256_max_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
    const __m128d t = _mm_max_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
    return _mm_cvtsd_f64(_mm_max_sd(t, _mm_unpackhi_pd(t, t)));
}
/* Transposes eight vectors. */
static inline void vtranspose(vec r[8]) {
    vec t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_pd(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_pd(r[i], r[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        const vec lo = _mm512_shuffle_f64x2(t[i], t[i + 2], 0x88), hi = _mm512_shuffle_f64x2(t[i], t[i + 2], 0xdd);
        const vec lo2 = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0x88);
        const vec hi2 = _mm512_shuffle_f64x2(t[i + 4], t[i + 6], 0xdd);
        r[i] = _mm512_shuffle_f64x2(lo, lo2, 0x88);
        r[i + 2] = _mm512_shuffle_f64x2(hi, hi2, 0x88);
        r[i + 4] = _mm512_shuffle_f64x2(lo, lo2, 0xdd);
        r[i + 6] = _mm512_shuffle_f64x2(hi, hi2, 0xdd);
    }
}
#else
#define VW 4
typedef __m256d vec;
typedef __m256i veci;
typedef __m256d mask;
static inline __m256i vfirst(i64 n) { return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)); }
static inline vec vload(const double *p) { return _mm256_loadu_pd(p); }
static inline void vstore(double *p, vec v) { _mm256_storeu_pd(p, v); }
static inline vec vloadn(const double *p, i64 n) { return _mm256_maskload_pd(p, vfirst(n)); }
static inline void vstoren(double *p, vec v, i64 n) { _mm256_maskstore_pd(p, vfirst(n), v); }
static inline vec vfirstn(vec v, i64 n) { return _mm256_and_pd(_mm256_castsi256_pd(vfirst(n)), v); }
static inline vec vset(double x) { return _mm256_set1_pd(x); }
static inline vec vadd(vec a, vec b) { return _mm256_add_pd(a, b); }
static inline vec vsub(vec a, vec b) { return _mm256_sub_pd(a, b); }
static inline vec vmul(vec a, vec b) { return _mm256_mul_pd(a, b); }
static inline vec vdiv(vec a, vec b) { return _mm256_div_pd(a, b); }
static inline vec vfma(vec a, vec b, vec c) { return _mm256_fmadd_pd(a, b, c); }
static inline vec vfnma(vec a, vec b, vec c) { return _mm256_fnmadd_pd(a, b, c); }
static inline vec vmax(vec a, vec b) { return _mm256_max_pd(a, b); }
static inline vec vmin(vec a, vec b) { return _mm256_min_pd(a, b); }
static inline vec vsqrt(vec a) { return _mm256_sqrt_pd(a); }
static inline vec vabs(vec a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
static inline vec vneg(vec a) { return _mm256_xor_pd(_mm256_set1_pd(-0.0), a); }
static inline mask vlt(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
static inline mask vle(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_LE_OQ); }
static inline mask veq(vec a, vec b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
static inline mask visnan(vec a) { return _mm256_cmp_pd(a, a, _CMP_UNORD_Q); }
static inline vec vsel(mask m, vec a, vec b) { return _mm256_blendv_pd(b, a, m); }
static inline vec vkeep(mask m, vec a) { return _mm256_and_pd(m, a); }
static inline vec vround(vec a) { return _mm256_round_pd(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline veci vbits(vec a) { return _mm256_castpd_si256(a); }
static inline vec vfrombits(veci a) { return _mm256_castsi256_pd(a); }
static inline veci viset(i64 x) { return _mm256_set1_epi64x(x); }
static inline veci viadd(veci a, veci b) { return _mm256_add_epi64(a, b); }
static inline veci visub(veci a, veci b) { return _mm256_sub_epi64(a, b); }
static inline veci viand(veci a, veci b) { return _mm256_and_si256(a, b); }
static inline veci vior(veci a, veci b) { return _mm256_or_si256(a, b); }
static inline veci vishl52(veci a) { return _mm256_slli_epi64(a, 52); }
static inline veci vishr52(veci a) { return _mm256_srli_epi64(a, 52); }
/* 2^n of a whole number in -1022 ... 1023. */
static inline vec vpow2(vec n) { return vfrombits(vishl52(vbits(vadd(n, vset(0x1.8p52 + 1023))))); }
static inline vec vscalb(vec a, vec n) { /* in two steps of which only the second can round */
    const vec h = vround(vmul(n, vset(0.5)));
    return vmul(vmul(a, vpow2(h)), vpow2(vsub(n, h)));
}
static inline mask vloadmask(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm256_castsi256_pd(_mm256_cmpgt_epi64(_mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four)), _mm256_setzero_si256()));
}
static inline double vhsum(vec a) {
    const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}
static inline double vhmax(vec a) {
    const __m128d t = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_max_sd(t, _mm_unpackhi_pd(t, t)));
}
/* Transposes four vectors. */
static inline void vtranspose(vec r[4]) {
    const vec a = _mm256_unpacklo_pd(r[0], r[1]), b = _mm256_unpackhi_pd(r[0], r[1]);
    const vec c = _mm256_unpacklo_pd(r[2], r[3]), d = _mm256_unpackhi_pd(r[2], r[3]);
    r[0] = _mm256_permute2f128_pd(a, c, 0x20);
    r[1] = _mm256_permute2f128_pd(b, d, 0x20);
    r[2] = _mm256_permute2f128_pd(a, c, 0x31);
    r[3] = _mm256_permute2f128_pd(b, d, 0x31);
}
#endif

#endif
