/* Softmax and its logarithm over the last axis of x[N, C].
 *
 *   softmax_fwd       y = exp(x - max x) / sum exp(x - max x)     OUT y [N,C]; IN x [N,C]
 *   softmax_bwd       dx = y (dy - sum(dy y))                     OUT dx; IN dy, y
 *   log_softmax_fwd   y = x - max x - log sum exp(x - max x)      OUT y; IN x
 *   log_softmax_bwd   dx = dy - exp(y) sum(dy)                    OUT dx; IN dy, y
 *
 * dim: N, C. Parallel over rows; each row is computed alone, in an order that C alone decides.
 * Cost: about 25 flops and 8 (forward) or 12 (backward) bytes per element. Aliasing: y may be x; dx may be dy.
 * A row that holds NaN or +inf, or nothing but -inf, gives NaN; a single -inf is a probability of zero.
 *
 * Rows of at most SMX_SMALL elements go VW at a time, one row per lane, so that nothing is summed across lanes.
 */
#ifndef PN_SOFTMAX_H
#define PN_SOFTMAX_H

#include "par.h"
#include "simd.h"

enum { SMX_SMALL = 16, SMX_CHUNK = 4096 };

static const real smx_ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* The first n < VW lanes. */
static inline mask smx_first(i64 n) { return vlt(vset(0), vloadn(smx_ones, n)); }

static inline real smx_log(real x) {
    real y;
    vstoren(&y, vlog(vset(x)), 1);
    return y;
}

/* Rows of a chunk: enough of them to be worth a thread's while. */
static inline i64 smx_rows(i64 C) { return C >= SMX_CHUNK ? 1 : SMX_CHUNK / (C > 0 ? C : 1); }

/* buf[c, lane] = x[lane, c] for n rows; the other lanes are zero. */
static inline void smx_turn(real *buf, const real *x, i64 n, i64 C) {
    if (n < VW) memset(buf, 0, (size_t)(C * VW) * sizeof(real));
    for (i64 c = 0; c < C; c++)
        for (i64 l = 0; l < n; l++) buf[c * VW + l] = x[l * C + c];
}
static inline void smx_turn_back(real *y, const real *buf, i64 n, i64 C) {
    for (i64 c = 0; c < C; c++)
        for (i64 l = 0; l < n; l++) y[l * C + c] = buf[c * VW + l];
}

/* buf = exp(buf - max) for VW rows at once; returns the sums, with the maxima in *top. */
static inline vec smx_exp_turned(real *buf, i64 C, vec *top) {
    vec m = vload(buf), s = vset(0);
    for (i64 c = 1; c < C; c++) m = vmax(m, vload(buf + c * VW));
    for (i64 c = 0; c < C; c++) {
        const vec e = vexp(vsub(vload(buf + c * VW), m));
        vstore(buf + c * VW, e);
        s = vadd(s, e);
    }
    *top = m;
    return s;
}

/* A NaN may be lost here, but it returns with exp(x - max). */
static inline real smx_max(const real *x, i64 C) {
    vec m = vset(-INFINITY);
    i64 c = 0;
    for (; c + VW <= C; c += VW) m = vmax(m, vload(x + c));
    if (c < C) m = vmax(m, vsel(smx_first(C - c), vloadn(x + c, C - c), m));
    return vhmax(m) + 0; /* of zeros of either sign, +0 */
}

/* e = exp(x - m) unless e is NULL; returns the sum. */
static inline real smx_exp(real *e, const real *x, i64 C, real m) {
    const vec top = vset(m);
    lanes s = lanes_zero();
    LANES_WALK_LONG(C, v, c, w, {
        const vec t = lanes_only(vexp(vsub(lanes_load(x + c, w), top)), w);
        if (e) lanes_store(e + c, t, w);
        s.v[v] = vadd(s.v[v], t);
    });
    return lanes_sum(s);
}

static inline void smx_scale(real *y, i64 C, real k) {
    const vec f = vset(k);
    i64 c = 0;
    for (; c + VW <= C; c += VW) vstore(y + c, vmul(vload(y + c), f));
    if (c < C) vstoren(y + c, vmul(vloadn(y + c, C - c), f), C - c);
}

/* y = softmax(x) of one row; returns the sum of exponentials, the maximum in *top. */
static inline real smx_row(real *y, const real *x, i64 C, real *top) {
    const real m = smx_max(x, C), s = smx_exp(y, x, C, m);
    smx_scale(y, C, 1 / s);
    *top = m;
    return s;
}

enum { SMX_Y, SMX_X };
enum { SMX_N, SMX_C };
static void softmax_fwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[SMX_C];
    real *y = (real *)I->arg[SMX_Y], buf[SMX_SMALL * VW], top;
    const real *x = (const real *)I->arg[SMX_X];
    (void)ith;
    if (C > SMX_SMALL) {
        for (; r < hi; r++) smx_row(y + r * C, x + r * C, C, &top);
        return;
    }
    for (; r < hi; r += VW) {
        const i64 n = hi - r < VW ? hi - r : VW;
        vec m, k;
        smx_turn(buf, x + r * C, n, C);
        k = vdiv(vset(1), smx_exp_turned(buf, C, &m));
        for (i64 c = 0; c < C; c++) vstore(buf + c * VW, vmul(vload(buf + c * VW), k));
        smx_turn_back(y + r * C, buf, n, C);
    }
}
static int softmax_fwd(const pn_instr *I) {
    pn_for(I->dim[SMX_N], smx_rows(I->dim[SMX_C]), 0.5 * (double)(I->dim[SMX_N] * I->dim[SMX_C]), I->nth, softmax_fwd_range, (void *)I);
    return PN_OK;
}

enum { SMXB_DX, SMXB_DY, SMXB_Y };
static void softmax_bwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[SMX_C], end = C - C % VW, rest = C - end;
    (void)ith;
    for (; r < hi; r++) {
        real *dx = (real *)I->arg[SMXB_DX] + r * C;
        const real *dy = (const real *)I->arg[SMXB_DY] + r * C, *y = (const real *)I->arg[SMXB_Y] + r * C;
        lanes sum = lanes_zero();
        LANES_WALK(C, v, c, w, sum.v[v] = vfma(lanes_load(dy + c, w), lanes_load(y + c, w), sum.v[v]););
        const vec s = vset(lanes_sum(sum));
        for (i64 c = 0; c < end; c += VW) vstore(dx + c, vmul(vload(y + c), vsub(vload(dy + c), s)));
        if (rest) vstoren(dx + end, vmul(vloadn(y + end, rest), vsub(vloadn(dy + end, rest), s)), rest);
    }
}
static int softmax_bwd(const pn_instr *I) {
    pn_for(I->dim[SMX_N], smx_rows(I->dim[SMX_C]), 0.3 * (double)(I->dim[SMX_N] * I->dim[SMX_C]), I->nth, softmax_bwd_range, (void *)I);
    return PN_OK;
}

static void log_softmax_fwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[SMX_C], end = C - C % VW, rest = C - end;
    (void)ith;
    for (; r < hi; r++) {
        real *y = (real *)I->arg[SMX_Y] + r * C;
        const real *x = (const real *)I->arg[SMX_X] + r * C;
        const real m = smx_max(x, C);
        const vec top = vset(m), s = vset(smx_log(smx_exp(NULL, x, C, m)));
        for (i64 c = 0; c < end; c += VW) vstore(y + c, vsub(vsub(vload(x + c), top), s));
        if (rest) vstoren(y + end, vsub(vsub(vloadn(x + end, rest), top), s), rest);
    }
}
static int log_softmax_fwd(const pn_instr *I) {
    pn_for(I->dim[SMX_N], smx_rows(I->dim[SMX_C]), 0.5 * (double)(I->dim[SMX_N] * I->dim[SMX_C]), I->nth, log_softmax_fwd_range,
           (void *)I);
    return PN_OK;
}

static void log_softmax_bwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[SMX_C], end = C - C % VW, rest = C - end;
    (void)ith;
    for (; r < hi; r++) {
        real *dx = (real *)I->arg[SMXB_DX] + r * C;
        const real *dy = (const real *)I->arg[SMXB_DY] + r * C, *y = (const real *)I->arg[SMXB_Y] + r * C;
        lanes sum = lanes_zero();
        LANES_WALK(C, v, c, w, sum.v[v] = vadd(sum.v[v], lanes_load(dy + c, w)););
        const vec s = vset(lanes_sum(sum));
        for (i64 c = 0; c < end; c += VW) vstore(dx + c, vfnma(vexp(vload(y + c)), s, vload(dy + c)));
        if (rest) vstoren(dx + end, vfnma(vexp(vloadn(y + end, rest)), s, vloadn(dy + end, rest)), rest);
    }
}
static int log_softmax_bwd(const pn_instr *I) {
    pn_for(I->dim[SMX_N], smx_rows(I->dim[SMX_C]), 0.4 * (double)(I->dim[SMX_N] * I->dim[SMX_C]), I->nth, log_softmax_bwd_range,
           (void *)I);
    return PN_OK;
}

#endif
