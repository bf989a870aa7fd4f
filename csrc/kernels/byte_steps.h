/* How floats are made bytes, and the operands of the kernels of bytes (bytes.h, bytes_lstm.h). */
#ifndef PN_BYTE_STEPS_H
#define PN_BYTE_STEPS_H

#include "byte_dots.h"
#include "simd.h"

enum { BYTE_BLOCK = 4096, BYTE_ROWS = 64, BYTE_LEAST = 16 };
enum { DYN_Y, DYN_SCALE, DYN_ZERO, DYN_X };
enum { DYN_N };
enum { STB_Y, STB_X, STB_SCALE, STB_ZERO };
enum { STB_N };
enum { BMM_Y, BMM_A, BMM_ZERO, BMM_W, BMM_SUMS, BMM_SCALE, BMM_BIAS };
enum { BMM_M, BMM_N, BMM_K, BMM_RELU };
enum { BCV_Y, BCV_X, BCV_ZERO, BCV_W, BCV_SUMS, BCV_SCALE, BCV_BIAS };
enum { BCV_N, BCV_H, BCV_WIDTH, BCV_C, BCV_OH, BCV_OW, BCV_O, BCV_KH, BCV_KW, BCV_SY, BCV_SX, BCV_TOP, BCV_LEFT, BCV_DY,
       BCV_DX, BCV_RELU, BCV_BAND, BCV_ROOM };
enum { BLS_Y, BLS_H, BLS_C, BLS_X, BLS_W, BLS_WSUMS, BLS_WSCALE, BLS_U, BLS_USUMS, BLS_USCALE, BLS_B, BLS_H0, BLS_C0,
       BLS_PEEP };
enum { BLS_N, BLS_T, BLS_D, BLS_UNITS, BLS_REVERSED };

/* A sum as a float, scaled; for one element, as on devices. */
static inline real byte_scaled(int32_t sum, real scale, const real *bias, i64 relu) {
    real z = (real)sum * scale;
    if (bias) z += *bias;
    return relu && z < 0 ? 0 : z;
}

static inline int32_t byte_zero(const void *zero) { return zero ? *(const uint8_t *)zero : 0; }

/* Least and largest value of x and 0. NaN is left out, as bytes have none. */
static void byte_range(const real *x, i64 n, real *low, real *high) {
    vec lo = vset(0), hi = vset(0);
    real tl[VW], th[VW];
    i64 i = 0;
    for (; i + VW <= n; i += VW) {
        const vec v = vload(x + i), seen = vsel(visnan(v), vset(0), v);
        lo = vmin(lo, seen);
        hi = vmax(hi, seen);
    }
    vstore(tl, lo);
    vstore(th, hi);
    for (int l = 0; l < VW; l++) {
        *low = tl[l] < *low ? tl[l] : *low;
        *high = th[l] > *high ? th[l] : *high;
    }
    for (; i < n; i++) {
        *low = x[i] < *low ? x[i] : *low;
        *high = x[i] > *high ? x[i] : *high;
    }
}

typedef struct byte_steps {
    real scale, zero;
} byte_steps;

static byte_steps byte_steps_of(real low, real high) {
    byte_steps s;
    real t[2];
    s.scale = (high - low) / 255;
    if (!(s.scale > 0)) s.scale = 1;
    t[0] = -low / s.scale;
    vstoren(t, vround(vloadn(t, 1)), 1);
    s.zero = !(t[0] > 0) ? 0 : t[0] < 255 ? t[0] : 255;
    return s;
}

static void byte_make(uint8_t *restrict y, const real *x, i64 n, byte_steps s) {
    const vec scale = vset(s.scale), zero = vset(s.zero);
    real t[64];
    for (i64 i = 0; i < n; i += 64) {
        const i64 m = n - i < 64 ? n - i : 64;
        for (i64 j = 0; j < m; j += VW) {
            const vec v = m - j < VW ? vloadn(x + i + j, m - j) : vload(x + i + j);
            const vec q = vadd(vround(vdiv(v, scale)), zero);
            vstore(t + j, vmin(vmax(vsel(visnan(q), zero, q), vset(0)), vset(255)));
        }
        if (m == 64)
            for (int j = 0; j < 64; j++) y[i + j] = (uint8_t)(int32_t)t[j];
        else
            for (i64 j = 0; j < m; j++) y[i + j] = (uint8_t)(int32_t)t[j];
    }
}

#endif
