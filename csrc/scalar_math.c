#include "scalar_math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t bits_of(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static inline double from_bits(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

#define LN2_HI 0x1.62e42fee00000p-1 /* 32 bits, so that e LN2_HI is exact */
#define LN2_LO 0x1.a39ef35793c76p-33
#define ROUND 0x1.8p52 /* adding and subtracting it rounds to a whole number */

/* x = 2^e m with m in [0.707, 1.415), f = m - 1, s = f / (2 + f): log(1 + f) = 2 s + 2 s^3 / 3 + 2 s^5 / 5 + ... */
PN_DEVICE double pn_log(double x) {
    static const double L[] = {2.0 / 23, 2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9, 2.0 / 7, 2.0 / 5, 2.0 / 3};
    const int64_t k = (int64_t)(bits_of(x) - 0x3fe6a09e667f3bcdull) >> 52;
    const double f = from_bits(bits_of(x) - ((uint64_t)k << 52)) - 1.0, e = (double)k;
    const double s = f / (2.0 + f), z = s * s, half = 0.5 * f * f;
    double p = L[0];
    for (int i = 1; i < 11; i++) p = p * z + L[i];
    /* 2 s = f - half + s half */
    return e * LN2_HI - ((half - (s * (half + z * p) + e * LN2_LO)) - f);
}

/* x = n ln 2 + r with |r| <= ln 2 / 2, and Taylor's series of exp(r). */
PN_DEVICE double pn_exp(double x) {
    static const double E[] = {1.0 / 6227020800.0, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
                               1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1.0};
    x = x > -700.0 ? x : -700.0;
    x = x < 700.0 ? x : 700.0;
    const double n = (x * 0x1.71547652b82fep+0 + ROUND) - ROUND;
    const double r = (x - n * LN2_HI) - n * LN2_LO;
    double p = E[0];
    for (int i = 1; i < 13; i++) p = p * r + E[i];
    return (1.0 + r * p) * from_bits((uint64_t)(1023 + (int64_t)n) << 52);
}

PN_DEVICE double pn_power(double x, long long n) {
    double y = 1.0;
    for (; n > 0; n >>= 1, x *= x)
        if (n & 1) y *= x;
    return y;
}

/* Sine and cosine of q quarter turns and r more, |r| <= pi / 4, by Taylor's series. */
static void quarter(int q, double r, double *sine, double *cosine) {
    static const double S[] = {-1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120,
                               -1.0 / 6};
    static const double C[] = {1.0 / 20922789888000.0, -1.0 / 87178291200.0, 1.0 / 479001600, -1.0 / 3628800, 1.0 / 40320,
                               -1.0 / 720, 1.0 / 24};
    const double z = r * r;
    double s = S[0], c = C[0];
    for (int i = 1; i < 7; i++) {
        s = s * z + S[i];
        c = c * z + C[i];
    }
    s = r + r * z * s;
    c = 1.0 - (0.5 * z - z * z * c);
    *sine = q & 1 ? (q & 2 ? -c : c) : (q & 2 ? -s : s);
    *cosine = q & 1 ? (q & 2 ? s : -s) : (q & 2 ? -c : c);
}

PN_DEVICE void pn_turn(double x, double *sine, double *cosine) {
    const double n = (x * 0x1.45f306dc9c883p-1 + ROUND) - ROUND; /* times 2 / pi */
    const double r = (x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a626331p-34;
    quarter((int)((int64_t)n & 3), r, sine, cosine);
}

/* 2 / pi in binary, behind 32 zeros. */
static const uint32_t TWO_OVER_PI[] = {0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab};

static inline uint64_t window(int from, int count) { /* `count` <= 32 bits of it, the first of weight 2^(31 - from) */
    const uint64_t pair = (uint64_t)TWO_OVER_PI[from / 32] << 32 | TWO_OVER_PI[from / 32 + 1];
    return (pair << from % 32) >> (64 - count);
}

/* Large x = m 2^e: of m times 2 / pi what is below four turns matters, which 96 bits of 2 / pi give to 2^-62 quarter turns.
 * (Payne and Hanek 1983) */
PN_DEVICE void pn_sin_cos(float x, double *sine, double *cosine) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    const int exponent = (int)(u >> 23 & 255);
    if (exponent == 255) {
        *sine = *cosine = u << 9 ? (double)x : (double)NAN; /* no processor's own */
    } else if (exponent < 127 + 20) {
        pn_turn((double)x, sine, cosine);
        if (exponent == 0) *sine = (double)x; /* the sign of zero */
    } else {
        const int from = exponent - 150 + 30;
        const uint64_t m = (u & 0x7fffff) | 0x800000;
        const uint64_t high = window(from, 32) << 32 | window(from + 32, 32), low = window(from + 64, 32);
        const uint64_t turns = m * high + (m * low >> 32); /* in units of 2^-62 quarter turns, below four */
        const uint64_t q = (turns + (1ull << 61)) >> 62;
        const double r = (double)(int64_t)(turns - (q << 62)) * (0x1.921fb54442d18p+0 * 0x1p-62);
        quarter((int)(q & 3), r, sine, cosine);
        if (u >> 31) *sine = -*sine;
    }
}

PN_DEVICE float pn_powf(float x, float y) {
    const double a = fabs((double)x);
    if (y == 0 || x == 1) return 1.0f;
    if (x != x || y != y) return x + y;
    /* Above 2^24 every float is an even number. */
    const int whole = fabsf(y) >= 0x1p24f || y == (float)(int32_t)y;
    const int odd = fabsf(y) < 0x1p24f && whole && ((int32_t)y & 1);
    const float sign = odd && signbit(x) ? -1.0f : 1.0f;
    if (isinf(y)) return a == 1 ? 1.0f : (a > 1) == (y > 0) ? INFINITY : 0.0f;
    if (a == 0) return y > 0 ? sign * 0.0f : sign * INFINITY;
    if (isinf(x)) return y > 0 ? sign * INFINITY : sign * 0.0f;
    if (x < 0 && !whole) return NAN;
    return sign * (float)pn_exp((double)y * pn_log(a));
}
