/* Vector macros: one spelling for AVX-512, AVX2+FMA, NEON, WebAssembly and plain C.
 *
 * A translation unit is for one ISA and one dtype: it defines PN_REAL_F32 or PN_REAL_F64, and PN_AVX512, PN_AVX2,
 * PN_NEON, PN_SIMD128 or none, before it includes this. Plain C f64 is the oracle. `vec` is VW lanes of `real`, `mask`
 * a lane mask. vloadn/vstoren touch the first n < VW lanes only (the other lanes load as zero).
 * PN_FUSED says that the target has fused multiply-adds; then plain C float32 gives the bits of the vector ISAs.
 */
#ifndef PN_SIMD_H
#define PN_SIMD_H

#include <math.h>
#include <string.h>

#include "pn.h"

#if defined(PN_REAL_F64) && (defined(PN_AVX512) || defined(PN_AVX2))
#include "simd_f64.h"

#elif defined(PN_REAL_F64) && defined(PN_NEON)
#include "simd_neon_f64.h"

#elif defined(PN_REAL_F32) && defined(PN_AVX512)
#include <immintrin.h>
#define real float
#define VW 16
typedef __m512 vec;
typedef __m512i veci;
typedef __mmask16 mask;
static inline mask vfirst(i64 n) { return (mask)((1u << n) - 1u); }
static inline vec vload(const float *p) { return _mm512_loadu_ps(p); }
static inline void vstore(float *p, vec v) { _mm512_storeu_ps(p, v); }
static inline vec vloadn(const float *p, i64 n) { return _mm512_maskz_loadu_ps(vfirst(n), p); }
static inline void vstoren(float *p, vec v, i64 n) { _mm512_mask_storeu_ps(p, vfirst(n), v); }
static inline vec vfirstn(vec v, i64 n) { return _mm512_maskz_mov_ps(vfirst(n), v); } /* the first n lanes, else 0 */
static inline vec vset(float x) { return _mm512_set1_ps(x); }
static inline vec vadd(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vsub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vmul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec vdiv(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vfma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }   /* a*b + c */
static inline vec vfnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a*b */
static inline vec vmax(vec a, vec b) { return _mm512_max_ps(a, b); } /* b where either is NaN: max(lo, x) keeps NaN */
static inline vec vmin(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec vsqrt(vec a) { return _mm512_sqrt_ps(a); }
/* The same bits by multiply-adds, which leaves the unit of roots and divisions to divisions: an estimate, a step of
 * Newton's, and one with what is left of a exactly, which rounds correctly whatever the estimate was. Tiny numbers,
 * whose remainders are not exact, and what is no positive number go the other way. */
#define VROOT_APART
static inline vec vroot_apart(vec a) {
    const __m512i bits = _mm512_castps_si512(a), least = _mm512_set1_epi32(0x0f800000); /* 2^-96 */
    const mask fine = _mm512_cmplt_epu32_mask(_mm512_sub_epi32(bits, least), _mm512_set1_epi32(0x6f000000));
    if ((mask)(fine | _mm512_cmpeq_epi32_mask(bits, _mm512_setzero_si512())) != 0xffff) return vsqrt(a);
    const vec half = _mm512_set1_ps(0.5f), y = _mm512_maskz_rsqrt14_ps(fine, a);
    vec g = _mm512_mul_ps(a, y), h = _mm512_mul_ps(y, half);
    const vec e = _mm512_fnmadd_ps(g, h, half);
    g = _mm512_fmadd_ps(g, e, g);
    h = _mm512_fmadd_ps(h, e, h);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(g, g, a), h, g);
}
static inline vec vabs(vec a) { return _mm512_abs_ps(a); }
static inline vec vneg(vec a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
static inline mask vlt(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline mask vle(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static inline mask veq(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static inline mask visnan(vec a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
static inline vec vsel(mask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); } /* m ? a : b */
static inline vec vround(vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline veci vtoint(vec a) { return _mm512_cvtps_epi32(a); }
static inline vec vfromint(veci a) { return _mm512_cvtepi32_ps(a); }
static inline veci vbits(vec a) { return _mm512_castps_si512(a); }
static inline vec vfrombits(veci a) { return _mm512_castsi512_ps(a); }
static inline veci viset(int x) { return _mm512_set1_epi32(x); }
static inline veci viadd(veci a, veci b) { return _mm512_add_epi32(a, b); }
static inline veci visub(veci a, veci b) { return _mm512_sub_epi32(a, b); }
static inline veci viand(veci a, veci b) { return _mm512_and_si512(a, b); }
static inline veci vior(veci a, veci b) { return _mm512_or_si512(a, b); }
static inline veci vishl23(veci a) { return _mm512_slli_epi32(a, 23); }
static inline veci visar23(veci a) { return _mm512_srai_epi32(a, 23); }
static inline veci vishr8(veci a) { return _mm512_srli_epi32(a, 8); } /* unsigned */
static inline vec vscalb(vec a, vec n) { return _mm512_scalef_ps(a, n); } /* a 2^n rounded once; n whole */
static inline mask vugeu(veci a, veci b) { return _mm512_cmpge_epu32_mask(a, b); } /* unsigned a >= b */
static inline vec vkeep(mask m, vec a) { return _mm512_maskz_mov_ps(m, a); }       /* m ? a : 0 */
/* Masks as bytes 0 and 1. */
static inline mask vloadmask(const uint8_t *p) {
    const __m128i b = _mm_loadu_si128((const __m128i *)p);
    return _mm_test_epi8_mask(b, b);
}
static inline void vstoremask(uint8_t *p, mask m) { _mm_storeu_si128((__m128i *)p, _mm_maskz_set1_epi8(m, 1)); }
/* VW/2 unsigned 64-bit lanes. */
typedef __m512i vecu;
static inline vecu vuset(uint64_t x) { return _mm512_set1_epi64((i64)x); }
static inline vecu vueven(void) { return _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14); }
static inline vecu vuadd(vecu a, vecu b) { return _mm512_add_epi64(a, b); }
static inline vecu vumul(vecu a, vecu b) { return _mm512_mul_epu32(a, b); } /* product of the low halves */
static inline vecu vuhigh(vecu a) { return _mm512_srli_epi64(a, 32); }
static inline vecu vuxor(vecu a, vecu b) { return _mm512_xor_si512(a, b); }
static inline vecu vuxor3(vecu a, vecu b, vecu c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
/* The low halves of a in the even 32-bit lanes, those of b in the odd ones. */
static inline veci vuzip(vecu a, vecu b) { return _mm512_mask_shuffle_epi32(a, 0xAAAA, b, _MM_PERM_CCAA); }
static inline float vhsum(vec a) { return _mm512_reduce_add_ps(a); }
static inline float vhmax(vec a) { return _mm512_reduce_max_ps(a); }

#elif defined(PN_REAL_F32) && defined(PN_AVX2)
#include <immintrin.h>
#define real float
#define VW 8
typedef __m256 vec;
typedef __m256i veci;
typedef __m256 mask;
static inline __m256i vfirst(i64 n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline vec vload(const float *p) { return _mm256_loadu_ps(p); }
static inline void vstore(float *p, vec v) { _mm256_storeu_ps(p, v); }
static inline vec vloadn(const float *p, i64 n) { return _mm256_maskload_ps(p, vfirst(n)); }
static inline void vstoren(float *p, vec v, i64 n) { _mm256_maskstore_ps(p, vfirst(n), v); }
static inline vec vfirstn(vec v, i64 n) { return _mm256_and_ps(_mm256_castsi256_ps(vfirst(n)), v); }
static inline vec vset(float x) { return _mm256_set1_ps(x); }
static inline vec vadd(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vsub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vmul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vdiv(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vfma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec vfnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
static inline vec vmax(vec a, vec b) { return _mm256_max_ps(a, b); }
static inline vec vmin(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec vsqrt(vec a) { return _mm256_sqrt_ps(a); }
static inline vec vabs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vec vneg(vec a) { return _mm256_xor_ps(_mm256_set1_ps(-0.0f), a); }
static inline mask vlt(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline mask vle(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
static inline mask veq(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline mask visnan(vec a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
static inline vec vsel(mask m, vec a, vec b) { return _mm256_blendv_ps(b, a, m); }
static inline vec vround(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline veci vtoint(vec a) { return _mm256_cvtps_epi32(a); }
static inline vec vfromint(veci a) { return _mm256_cvtepi32_ps(a); }
static inline veci vbits(vec a) { return _mm256_castps_si256(a); }
static inline vec vfrombits(veci a) { return _mm256_castsi256_ps(a); }
static inline veci viset(int x) { return _mm256_set1_epi32(x); }
static inline veci viadd(veci a, veci b) { return _mm256_add_epi32(a, b); }
static inline veci visub(veci a, veci b) { return _mm256_sub_epi32(a, b); }
static inline veci viand(veci a, veci b) { return _mm256_and_si256(a, b); }
static inline veci vior(veci a, veci b) { return _mm256_or_si256(a, b); }
static inline veci vishl23(veci a) { return _mm256_slli_epi32(a, 23); }
static inline veci visar23(veci a) { return _mm256_srai_epi32(a, 23); }
static inline veci vishr8(veci a) { return _mm256_srli_epi32(a, 8); }
static inline vec vscalb(vec a, vec n) { /* in two steps of which only the second can round */
    veci k = _mm256_cvtps_epi32(n), h = _mm256_srai_epi32(k, 1), bias = _mm256_set1_epi32(127);
    veci s1 = vishl23(_mm256_add_epi32(h, bias)), s2 = vishl23(_mm256_add_epi32(_mm256_sub_epi32(k, h), bias));
    return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(s1)), _mm256_castsi256_ps(s2));
}
static inline mask vugeu(veci a, veci b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_max_epu32(a, b), a)); }
static inline vec vkeep(mask m, vec a) { return _mm256_and_ps(m, a); }
static inline mask vloadmask(const uint8_t *p) {
    __m256i b = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(b, _mm256_setzero_si256()));
}
static inline void vstoremask(uint8_t *p, mask m) {
    __m256i k = _mm256_castps_si256(m);
    __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(k), _mm256_extracti128_si256(k, 1));
    _mm_storel_epi64((__m128i *)p, _mm_and_si128(_mm_packs_epi16(w, w), _mm_set1_epi8(1)));
}
typedef __m256i vecu;
static inline vecu vuset(uint64_t x) { return _mm256_set1_epi64x((i64)x); }
static inline vecu vueven(void) { return _mm256_setr_epi64x(0, 2, 4, 6); }
static inline vecu vuadd(vecu a, vecu b) { return _mm256_add_epi64(a, b); }
static inline vecu vumul(vecu a, vecu b) { return _mm256_mul_epu32(a, b); }
static inline vecu vuhigh(vecu a) { return _mm256_srli_epi64(a, 32); }
static inline vecu vuxor(vecu a, vecu b) { return _mm256_xor_si256(a, b); }
static inline vecu vuxor3(vecu a, vecu b, vecu c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
static inline veci vuzip(vecu a, vecu b) { return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xAA); }
static inline float vhsum(vec a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float vhmax(vec a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

#elif defined(PN_REAL_F32) && defined(PN_NEON)
#include "simd_neon.h"

#elif defined(PN_REAL_F32) && defined(PN_SIMD128)
#include "simd_wasm.h"

#else /* plain C, one lane: float or double */
#ifdef PN_REAL_F64
#define real double
#define PN_M(name) name
#else
#define real float
#define PN_M(name) name##f
#endif
#define VW 1
typedef real vec;
typedef int mask;
static inline vec vload(const real *p) { return *p; }
static inline void vstore(real *p, vec v) { *p = v; }
static inline vec vloadn(const real *p, i64 n) { return n > 0 ? *p : 0; }
static inline void vstoren(real *p, vec v, i64 n) { if (n > 0) *p = v; }
static inline vec vfirstn(vec v, i64 n) { return n > 0 ? v : 0; }
static inline vec vset(real x) { return x; }
static inline vec vadd(vec a, vec b) { return a + b; }
static inline vec vsub(vec a, vec b) { return a - b; }
static inline vec vmul(vec a, vec b) { return a * b; }
static inline vec vdiv(vec a, vec b) { return a / b; }
#if defined(PN_FUSED) && defined(PN_REAL_F32)
static inline vec vfma(vec a, vec b, vec c) { return fmaf(a, b, c); }
static inline vec vfnma(vec a, vec b, vec c) { return fmaf(-a, b, c); }
#else
static inline vec vfma(vec a, vec b, vec c) { return a * b + c; }
static inline vec vfnma(vec a, vec b, vec c) { return c - a * b; }
#endif
static inline vec vmax(vec a, vec b) { return a > b ? a : b; }
static inline vec vmin(vec a, vec b) { return a < b ? a : b; }
static inline vec vsqrt(vec a) { return PN_M(sqrt)(a); }
static inline vec vabs(vec a) { return PN_M(fabs)(a); }
static inline vec vneg(vec a) { return -a; }
static inline mask vlt(vec a, vec b) { return a < b; }
static inline mask vle(vec a, vec b) { return a <= b; }
static inline mask veq(vec a, vec b) { return a == b; }
static inline mask visnan(vec a) { return a != a; }
static inline vec vsel(mask m, vec a, vec b) { return m ? a : b; }
static inline vec vkeep(mask m, vec a) { return m ? a : 0; }
static inline vec vround(vec a) { return PN_M(rint)(a); }
static inline real vhsum(vec a) { return a; }
static inline real vhmax(vec a) { return a; }
#ifdef PN_REAL_F32 /* what vmath.h needs */
typedef int32_t veci;
static inline veci vtoint(vec a) { return (veci)a; } /* whole */
static inline vec vfromint(veci a) { return (vec)a; }
static inline veci vbits(vec a) {
    veci b;
    memcpy(&b, &a, sizeof b);
    return b;
}
static inline vec vfrombits(veci a) {
    vec b;
    memcpy(&b, &a, sizeof b);
    return b;
}
static inline veci viset(int x) { return x; }
static inline veci viadd(veci a, veci b) { return (veci)((uint32_t)a + (uint32_t)b); }
static inline veci visub(veci a, veci b) { return (veci)((uint32_t)a - (uint32_t)b); }
static inline veci viand(veci a, veci b) { return a & b; }
static inline veci vior(veci a, veci b) { return a | b; }
static inline veci vishl23(veci a) { return (veci)((uint32_t)a << 23); }
static inline veci visar23(veci a) { return a >> 23; } /* arithmetic with every compiler in use */
static inline vec vscalb(vec a, vec n) { /* in two steps of which only the second can round; n is no NaN */
    const veci k = vtoint(n), h = k >> 1;
    return a * vfrombits(vishl23(h + 127)) * vfrombits(vishl23(k - h + 127));
}
#endif
#endif

#endif
