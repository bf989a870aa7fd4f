/* Losses: the loss of every sample, and gradients from the gradient dl [N] of those.
 *
 * Element by element, l[n] = mean over d of f(y[n,d], t[n,d]):
 *   NAME_loss_fwd   OUT l [N]; IN y [N,D], t [N,D]
 *   NAME_loss_bwd   OUT dy [N,D] or NULL, dt [N,D] or NULL; IN y, t, dl [N].   dy may be y.
 *   dim: N, D; par[0] as noted at each row. Parallel over rows. Sums run in LANES lanes (lanes.h) over pieces of
 *   LOSS_PIECE elements, the pieces in double, in order.
 *
 * weighted_mean_fwd   y = par[0] sum(l w) in double, in order   OUT y [1]; IN l [N], w [N] or NULL (ones). dim: N
 * weighted_mean_bwd   dl = par[0] w dy                          OUT dl [N]; IN dy [1], w [N] or NULL
 *
 * Cross-entropy is further down.
 */
#ifndef PN_LOSS_H
#define PN_LOSS_H

#include "kernels/softmax.h"
#include "par.h"
#include "simd.h"

enum { LOSS_PIECE = 1024, LOSS_CHUNK = 4096, LOSS_ROWS = 64 };
#define LOSS_EPS ((real)1e-7) /* the least probability whose logarithm is taken */

static inline i64 loss_rows(i64 D) { return D >= LOSS_CHUNK ? 1 : LOSS_CHUNK / (D > 0 ? D : 1); }

#define PN_LOSS_VALUE(NAME, expr) \
    static inline vec NAME##_loss(vec y, vec t, vec p) { \
        (void)p; \
        return expr; \
    }
#define PN_LOSS_SLOPE(NAME, WHICH, expr) \
    static inline vec NAME##_##WHICH(vec y, vec t, vec p) { \
        (void)y; \
        (void)t; \
        (void)p; \
        return expr; \
    }

enum { LOSS_L, LOSS_Y, LOSS_T };
enum { LOSS_N, LOSS_D };
#define PN_LOSS_FWD(NAME, ns) \
    static void NAME##_loss_fwd_range(void *ctx, i64 r, i64 hi, int ith) { \
        const pn_instr *I = (const pn_instr *)ctx; \
        const i64 D = I->dim[LOSS_D]; \
        real *l = (real *)I->arg[LOSS_L]; \
        const real *y = (const real *)I->arg[LOSS_Y], *t = (const real *)I->arg[LOSS_T]; \
        const vec p = vset((real)I->par[0]); \
        (void)ith; \
        if (D == 1) { \
            for (; r + VW <= hi; r += VW) vstore(l + r, NAME##_loss(vload(y + r), vload(t + r), p)); \
            if (r < hi) vstoren(l + r, NAME##_loss(vloadn(y + r, hi - r), vloadn(t + r, hi - r), p), hi - r); \
            return; \
        } \
        for (; r < hi; r++) { \
            double sum = 0; \
            for (i64 at = 0; at < D; at += LOSS_PIECE) { \
                const i64 stop = D - at < LOSS_PIECE ? D : at + LOSS_PIECE; \
                const real *yp = y + r * D + at, *tp = t + r * D + at; \
                lanes s = lanes_zero(); \
                LANES_WALK_LONG(stop - at, v, i, w, { \
                    const vec loss = NAME##_loss(lanes_load(yp + i, w), lanes_load(tp + i, w), p); \
                    s.v[v] = vadd(s.v[v], lanes_only(loss, w)); \
                }); \
                sum += (double)lanes_sum(s); \
            } \
            l[r] = (real)(sum / (double)D); \
        } \
    } \
    static int NAME##_loss_fwd(const pn_instr *I) { \
        const i64 N = I->dim[LOSS_N], D = I->dim[LOSS_D]; \
        pn_for(N, loss_rows(D), (ns) * (double)(N * D), I->nth, NAME##_loss_fwd_range, (void *)I); \
        return PN_OK; \
    }

#define PN_LOSS_GRADIENT(dx, slope) \
    for (i64 q = r; (dx) && q < hi; q++) { \
        const vec k = vset(dl[q] / (real)D); \
        i64 i = q * D; \
        const i64 last = i + D; \
        for (; i + VW <= last; i += VW) vstore((dx) + i, vmul(k, slope(vload(y + i), vload(t + i), p))); \
        if (i < last) \
            vstoren((dx) + i, vmul(k, slope(vloadn(y + i, last - i), vloadn(t + i, last - i), p)), last - i); \
    }
#define PN_LOSS_GRADIENT_1(dx, slope) \
    if (dx) { \
        i64 i = r; \
        for (; i + VW <= hi; i += VW) vstore((dx) + i, vmul(vload(dl + i), slope(vload(y + i), vload(t + i), p))); \
        if (i < hi) \
            vstoren((dx) + i, vmul(vloadn(dl + i, hi - i), slope(vloadn(y + i, hi - i), vloadn(t + i, hi - i), p)), \
                    hi - i); \
    }
/* dt first: dy may lie where y is. */
enum { LOSSB_DY, LOSSB_DT, LOSSB_Y, LOSSB_T, LOSSB_DL };
#define PN_LOSS_BWD(NAME, ns) \
    static void NAME##_loss_bwd_range(void *ctx, i64 r, i64 hi, int ith) { \
        const pn_instr *I = (const pn_instr *)ctx; \
        const i64 D = I->dim[LOSS_D]; \
        real *dy = (real *)I->arg[LOSSB_DY], *dt = (real *)I->arg[LOSSB_DT]; \
        const real *y = (const real *)I->arg[LOSSB_Y], *t = (const real *)I->arg[LOSSB_T], *dl = (const real *)I->arg[LOSSB_DL]; \
        const vec p = vset((real)I->par[0]); \
        (void)ith; \
        if (D == 1) { \
            PN_LOSS_GRADIENT_1(dt, NAME##_dt) \
            PN_LOSS_GRADIENT_1(dy, NAME##_dy) \
            return; \
        } \
        PN_LOSS_GRADIENT(dt, NAME##_dt) \
        PN_LOSS_GRADIENT(dy, NAME##_dy) \
    } \
    static int NAME##_loss_bwd(const pn_instr *I) { \
        const i64 N = I->dim[LOSS_N], D = I->dim[LOSS_D]; \
        pn_for(N, loss_rows(D), (ns) * (double)(N * D), I->nth, NAME##_loss_bwd_range, (void *)I); \
        return PN_OK; \
    }

#define PN_LOSS(NAME, ns, value, slope_y, slope_t) \
    PN_LOSS_VALUE(NAME, value) \
    PN_LOSS_SLOPE(NAME, dy, slope_y) \
    PN_LOSS_SLOPE(NAME, dt, slope_t) \
    PN_LOSS_FWD(NAME, ns) \
    PN_LOSS_BWD(NAME, ns)

#define LOSS_1 vset(1)
#define LOSS_0 vset(0)

/* p (y - t)^2. par[0] = 1, or 1/2. */
static inline vec loss_square(vec y, vec t, vec p) {
    const vec r = vsub(y, t);
    return vmul(p, vmul(r, r));
}
static inline vec loss_square_slope(vec y, vec t, vec p) { return vmul(vadd(p, p), vsub(y, t)); }
PN_LOSS(square, 0.12, loss_square(y, t, p), loss_square_slope(y, t, p), loss_square_slope(t, y, p))

/* |y - t|; the slope at 0 is 0. */
static inline vec loss_sign(vec r) { return vsel(vlt(LOSS_0, r), LOSS_1, vsel(vlt(r, LOSS_0), vset(-1), r)); }
PN_LOSS(absolute, 0.12, vabs(vsub(y, t)), loss_sign(vsub(y, t)), loss_sign(vsub(t, y)))

/* r^2 / 2 for |r| <= p, p |r| - p^2 / 2 beyond (Huber 1964), with m = min(|r|, p): m (|r| - m/2). par[0] = delta. */
static inline vec loss_huber(vec y, vec t, vec p) {
    const vec a = vabs(vsub(y, t)), m = vmin(p, a);
    return vmul(m, vfnma(vset((real)0.5), m, a));
}
static inline vec loss_huber_slope(vec r, vec p) { return vmin(p, vmax(vneg(p), r)); }
PN_LOSS(huber, 0.12, loss_huber(y, t, p), loss_huber_slope(vsub(y, t), p), loss_huber_slope(vsub(t, y), p))

/* y - t log(y + eps): the negative log-likelihood of counts t at the rate y, less terms of t alone. */
static inline vec loss_log_rate(vec y) { return vlog(vadd(y, vset(LOSS_EPS))); }
PN_LOSS(poisson, 0.3, vfnma(t, loss_log_rate(y), y), vsub(LOSS_1, vdiv(t, vadd(y, vset(LOSS_EPS)))),
        vneg(loss_log_rate(y)))

/* max(0, 1 - t y), labels t of -1 and 1. */
static inline vec loss_margin(vec y, vec t) { return vmax(LOSS_0, vfnma(t, y, LOSS_1)); }
static inline vec loss_hinge_slope(vec y, vec t) { return vsel(vlt(LOSS_0, loss_margin(y, t)), vneg(t), LOSS_0); }
PN_LOSS(hinge, 0.12, loss_margin(y, t), loss_hinge_slope(y, t), loss_hinge_slope(t, y))

/* max(0, 1 - t y)^2. */
static inline vec loss_squared_margin(vec y, vec t) {
    const vec m = loss_margin(y, t);
    return vmul(m, m);
}
static inline vec loss_squared_hinge_slope(vec y, vec t) { return vmul(vset(-2), vmul(t, loss_margin(y, t))); }
PN_LOSS(squared_hinge, 0.12, loss_squared_margin(y, t), loss_squared_hinge_slope(y, t), loss_squared_hinge_slope(t, y))

/* Binary cross-entropy of logits: -t log s(y) - (1 - t) log(1 - s(y)) = max(y, 0) - y t + log(1 + exp(-|y|)). */
static inline vec loss_bce(vec y, vec t) {
    return vadd(vfnma(y, t, vmax(LOSS_0, y)), vlog1p(vexp(vneg(vabs(y)))));
}
PN_LOSS(bce, 0.4, loss_bce(y, t), vsub(vsigmoid(y), t), vneg(y))

/* Binary cross-entropy of probabilities limited to [eps, 1 - eps], where the slope is taken too: an output that is
 * saturated at the wrong end still learns. */
static inline vec loss_limit(vec y) { return vmin(vset(1 - LOSS_EPS), vmax(vset(LOSS_EPS), y)); }
static inline vec loss_bce_probs(vec y, vec t) {
    const vec q = loss_limit(y);
    return vneg(vfma(t, vlog(q), vmul(vsub(LOSS_1, t), vlog(vsub(LOSS_1, q)))));
}
static inline vec loss_bce_probs_dy(vec y, vec t) {
    const vec q = loss_limit(y);
    return vdiv(vsub(q, t), vmul(q, vsub(LOSS_1, q)));
}
static inline vec loss_bce_probs_dt(vec y) {
    const vec q = loss_limit(y);
    return vsub(vlog(vsub(LOSS_1, q)), vlog(q));
}
PN_LOSS(bce_probs, 0.5, loss_bce_probs(y, t), loss_bce_probs_dy(y, t), loss_bce_probs_dt(y))

enum { MEAN_Y, MEAN_L, MEAN_W };
static int weighted_mean_fwd(const pn_instr *I) {
    const i64 N = I->dim[LOSS_N], end = N - N % 8;
    const real *l = (const real *)I->arg[MEAN_L], *w = (const real *)I->arg[MEAN_W];
    double s[8] = {0};
    if (w) {
        for (i64 i = 0; i < end; i += 8)
            for (int j = 0; j < 8; j++) s[j] += (double)l[i + j] * (double)w[i + j];
        for (i64 i = end; i < N; i++) s[i - end] += (double)l[i] * (double)w[i];
    } else {
        for (i64 i = 0; i < end; i += 8)
            for (int j = 0; j < 8; j++) s[j] += (double)l[i + j];
        for (i64 i = end; i < N; i++) s[i - end] += (double)l[i];
    }
    *(real *)I->arg[MEAN_Y] = (real)((((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]))) * I->par[0]);
    return PN_OK;
}
enum { MEANB_DL, MEANB_DY, MEANB_W };
static int weighted_mean_bwd(const pn_instr *I) {
    const i64 N = I->dim[LOSS_N];
    const real k = (real)(I->par[0] * (double)*(const real *)I->arg[MEANB_DY]);
    real *dl = (real *)I->arg[MEANB_DL];
    const real *w = (const real *)I->arg[MEANB_W];
    for (i64 i = 0; i < N; i++) dl[i] = w ? k * w[i] : k;
    return PN_OK;
}

/* Cross-entropy over classes C, for each of N rows. t is a label, int32 (kind 4) or int64 (kind 8), or a
 * distribution [N,C]; then kind 1 adds sum(t log t), which makes it the Kullback-Leibler divergence of t from p.
 *
 *   cross_entropy_fwd        l = -log softmax(z)[t]                 OUT l [N], p [N,C] = softmax(z); IN z [N,C], t [N]
 *   cross_entropy_bwd        dz = dl (p - onehot(t))                OUT dz; IN p, t, dl [N].       dz may be p
 *   soft_entropy_fwd         l = -sum t log softmax(z)              OUT l, p; IN z, t [N,C]
 *   soft_entropy_bwd         dz = dl (p sum(t) - t)                 OUT dz; IN p, t, dl.           dz may be p
 *   cross_entropy_probs_fwd  l = -log max(q[t], eps)                OUT l; IN q [N,C], t [N]
 *   cross_entropy_probs_bwd  dq[t] = -dl / max(q[t], eps), else 0   OUT dq; IN q, t, dl
 *   soft_entropy_probs_fwd   l = -sum t log max(q, eps)             OUT l; IN q, t [N,C]
 *   soft_entropy_probs_bwd   dq = -dl t / max(q, eps)               OUT dq; IN q, t, dl.           dq may be q
 *
 * dim: N, C, kind. A label outside [0, C) gives PN_BAD_INDEX before anything is written. Parallel over rows, each
 * computed alone. Where t is zero, z may be -inf. */
static inline i64 loss_label(const void *t, i64 bytes, i64 i) {
    return bytes == 4 ? ((const int32_t *)t)[i] : ((const i64 *)t)[i];
}
static int loss_labels_fit(const void *t, i64 bytes, i64 N, i64 C) {
    int bad = 0;
    if (bytes == 4)
        for (i64 i = 0; i < N; i++) bad |= (uint32_t)((const int32_t *)t)[i] >= (uint64_t)C;
    else
        for (i64 i = 0; i < N; i++) bad |= (uint64_t)((const i64 *)t)[i] >= (uint64_t)C;
    return !bad;
}

/* From place VW - t on, a one in lane t. */
#if VW == 1 /* C++ cannot designate elements */
static const real loss_one[2] = {0, 1};
#else
static const real loss_one[2 * VW] = {[VW] = 1};
#endif

/* l = log(s) weight - d for n rows; weight NULL means 1. */
static inline void loss_logs(real *l, const real *s, const real *weight, const real *d, i64 n) {
    i64 i = 0;
    for (; i + VW <= n; i += VW) {
        const vec v = vlog(vload(s + i));
        vstore(l + i, vsub(weight ? vmul(vload(weight + i), v) : v, vload(d + i)));
    }
    if (i < n) {
        const vec v = vlog(vloadn(s + i, n - i));
        vstoren(l + i, vsub(weight ? vmul(vloadn(weight + i, n - i), v) : v, vloadn(d + i, n - i)), n - i);
    }
}

/* Probabilities, sums of exponentials and maxima of n <= LOSS_ROWS rows. */
static inline void loss_softmax(real *p, real *s, real *m, const real *z, i64 n, i64 C) {
    real buf[SMX_SMALL * VW];
    if (C > SMX_SMALL) {
        for (i64 i = 0; i < n; i++) s[i] = smx_row(p + i * C, z + i * C, C, m + i);
        return;
    }
    for (i64 i = 0; i < n; i += VW) {
        const i64 lanes = n - i < VW ? n - i : VW;
        vec top, k, sum;
        smx_turn(buf, z + i * C, lanes, C);
        sum = smx_exp_turned(buf, C, &top);
        k = vdiv(LOSS_1, sum);
        for (i64 c = 0; c < C; c++) vstore(buf + c * VW, vmul(vload(buf + c * VW), k));
        smx_turn_back(p + i * C, buf, lanes, C);
        vstore(s + i, sum); /* s and m have room for whole vectors */
        vstore(m + i, top);
    }
}

enum { CE_L, CE_P, CE_Z, CE_T };
enum { CE_N, CE_C, CE_KIND };
static void cross_entropy_fwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[CE_C];
    real *l = (real *)I->arg[CE_L], *p = (real *)I->arg[CE_P], s[LOSS_ROWS], m[LOSS_ROWS];
    const real *z = (const real *)I->arg[CE_Z];
    (void)ith;
    for (; r < hi; r += LOSS_ROWS) {
        const i64 n = hi - r < LOSS_ROWS ? hi - r : LOSS_ROWS;
        loss_softmax(p + r * C, s, m, z + r * C, n, C);
        for (i64 i = 0; i < n; i++) m[i] = z[(r + i) * C + loss_label(I->arg[CE_T], I->dim[CE_KIND], r + i)] - m[i];
        loss_logs(l + r, s, NULL, m, n);
    }
}
static int cross_entropy_fwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    if (!loss_labels_fit(I->arg[CE_T], I->dim[CE_KIND], N, C)) return PN_BAD_INDEX;
    pn_for(N, smx_rows(C), 0.5 * (double)(N * C), I->nth, cross_entropy_fwd_range, (void *)I);
    return PN_OK;
}

/* dl (p - onehot(t)) for the `lanes` columns of p from c on. */
static inline vec loss_off(const real *p, i64 c, i64 lanes, i64 t, vec k) {
    const vec v = lanes == VW ? vload(p + c) : vloadn(p + c, lanes);
    return vmul(k, t >= c && t < c + VW ? vsub(v, vload(loss_one + VW - (t - c))) : v);
}

enum { CEB_DZ, CEB_P, CEB_T, CEB_DL };
static void cross_entropy_bwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[CE_C];
    const real *dl = (const real *)I->arg[CEB_DL], *p = (const real *)I->arg[CEB_P];
    real *dz = (real *)I->arg[CEB_DZ];
    (void)ith;
    /* Short rows in fours: all are read before any is written, for what was just written is slow to read. */
    for (; C <= VW && r + 4 <= hi; r += 4) {
        vec v[4];
        for (int i = 0; i < 4; i++)
            v[i] = loss_off(p + (r + i) * C, 0, C, loss_label(I->arg[CEB_T], I->dim[CE_KIND], r + i), vset(dl[r + i]));
        for (int i = 0; i < 4; i++) vstoren(dz + (r + i) * C, v[i], C);
    }
    for (; r < hi; r++) {
        const i64 t = loss_label(I->arg[CEB_T], I->dim[CE_KIND], r);
        const vec k = vset(dl[r]);
        i64 c = 0;
        for (; c + VW <= C; c += VW) vstore(dz + r * C + c, loss_off(p + r * C, c, VW, t, k));
        if (c < C) vstoren(dz + r * C + c, loss_off(p + r * C, c, C - c, t, k), C - c);
    }
}
static int cross_entropy_bwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    pn_for(N, smx_rows(C), 0.15 * (double)(N * C), I->nth, cross_entropy_bwd_range, (void *)I);
    return PN_OK;
}

/* t (x - shift), and 0 where t is 0 whatever x is. */
static inline vec loss_term(vec t, vec x, vec shift) { return vsel(veq(t, LOSS_0), LOSS_0, vmul(t, vsub(x, shift))); }
static inline vec loss_entropy(vec t) { return vsel(veq(t, LOSS_0), LOSS_0, vmul(t, vlog(t))); }

static void soft_entropy_fwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[CE_C], divergence = I->dim[CE_KIND];
    real *l = (real *)I->arg[CE_L], *p = (real *)I->arg[CE_P], s[LOSS_ROWS], m[LOSS_ROWS], whole[LOSS_ROWS];
    (void)ith;
    for (; r < hi; r += LOSS_ROWS) {
        const i64 n = hi - r < LOSS_ROWS ? hi - r : LOSS_ROWS;
        const real *z = (const real *)I->arg[CE_Z] + r * C, *t = (const real *)I->arg[CE_T] + r * C;
        loss_softmax(p + r * C, s, m, z, n, C);
        for (i64 i = 0; i < n; i++, z += C, t += C) {
            const vec top = vset(m[i]);
            lanes d = lanes_zero(), all = d;
            LANES_WALK_LONG(C, v, c, w, {
                const vec share = lanes_load(t + c, w);
                all.v[v] = vadd(all.v[v], share);
                d.v[v] = vadd(d.v[v], loss_term(share, lanes_load(z + c, w), top));
                if (divergence) d.v[v] = vsub(d.v[v], loss_entropy(share));
            });
            whole[i] = lanes_sum(all);
            m[i] = lanes_sum(d);
        }
        loss_logs(l + r, s, whole, m, n);
    }
}
static int soft_entropy_fwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    pn_for(N, smx_rows(C), 0.6 * (double)(N * C), I->nth, soft_entropy_fwd_range, (void *)I);
    return PN_OK;
}

static void soft_entropy_bwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[CE_C], end = C - C % VW, rest = C - end;
    const real *dl = (const real *)I->arg[CEB_DL];
    (void)ith;
    for (; r < hi; r++) {
        real *dz = (real *)I->arg[CEB_DZ] + r * C;
        const real *p = (const real *)I->arg[CEB_P] + r * C, *t = (const real *)I->arg[CEB_T] + r * C;
        const vec k = vset(dl[r]);
        lanes all = lanes_zero();
        LANES_WALK(C, v, c, n, all.v[v] = vadd(all.v[v], lanes_load(t + c, n)););
        const vec w = vset(lanes_sum(all));
        for (i64 c = 0; c < end; c += VW) vstore(dz + c, vmul(k, vsub(vmul(vload(p + c), w), vload(t + c))));
        if (rest) vstoren(dz + end, vmul(k, vsub(vmul(vloadn(p + end, rest), w), vloadn(t + end, rest))), rest);
    }
}
static int soft_entropy_bwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    pn_for(N, smx_rows(C), 0.2 * (double)(N * C), I->nth, soft_entropy_bwd_range, (void *)I);
    return PN_OK;
}

enum { CEQ_L, CEQ_Q, CEQ_T };
static int cross_entropy_probs_fwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    real *l = (real *)I->arg[CEQ_L], q[LOSS_ROWS], zero[LOSS_ROWS] = {0};
    if (!loss_labels_fit(I->arg[CEQ_T], I->dim[CE_KIND], N, C)) return PN_BAD_INDEX;
    for (i64 r = 0; r < N; r += LOSS_ROWS) {
        const i64 n = N - r < LOSS_ROWS ? N - r : LOSS_ROWS;
        for (i64 i = 0; i < n; i++) {
            const real v = ((const real *)I->arg[CEQ_Q])[(r + i) * C + loss_label(I->arg[CEQ_T], I->dim[CE_KIND], r + i)];
            q[i] = v < LOSS_EPS ? LOSS_EPS : v;
        }
        loss_logs(l + r, q, NULL, zero, n);
        for (i64 i = 0; i < n; i++) l[r + i] = -l[r + i];
    }
    return PN_OK;
}
enum { CEQB_DQ, CEQB_Q, CEQB_T, CEQB_DL };
static int cross_entropy_probs_bwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    real *dq = (real *)I->arg[CEQB_DQ];
    const real *q = (const real *)I->arg[CEQB_Q], *dl = (const real *)I->arg[CEQB_DL];
    if (!loss_labels_fit(I->arg[CEQB_T], I->dim[CE_KIND], N, C)) return PN_BAD_INDEX;
    memset(dq, 0, (size_t)(N * C) * sizeof(real));
    for (i64 i = 0; i < N; i++) {
        const i64 at = i * C + loss_label(I->arg[CEQB_T], I->dim[CE_KIND], i);
        dq[at] = -dl[i] / (q[at] < LOSS_EPS ? LOSS_EPS : q[at]);
    }
    return PN_OK;
}

static inline vec loss_at_least_eps(vec q) { return vmax(vset(LOSS_EPS), q); }
static inline vec loss_soft_term(vec q, vec t, i64 divergence) {
    const vec a = vmul(t, vlog(loss_at_least_eps(q)));
    return divergence ? vsub(loss_entropy(t), a) : vneg(a);
}
static void soft_entropy_probs_fwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[CE_C], divergence = I->dim[CE_KIND];
    (void)ith;
    for (; r < hi; r++) {
        const real *q = (const real *)I->arg[CEQ_Q] + r * C, *t = (const real *)I->arg[CEQ_T] + r * C;
        lanes s = lanes_zero();
        LANES_WALK_LONG(C, v, c, w, { /* lanes beyond the row load t = 0, which adds 0 */
            const vec term = loss_soft_term(lanes_load(q + c, w), lanes_load(t + c, w), divergence);
            s.v[v] = vadd(s.v[v], term);
        });
        ((real *)I->arg[CEQ_L])[r] = lanes_sum(s);
    }
}
static int soft_entropy_probs_fwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    pn_for(N, smx_rows(C), 0.5 * (double)(N * C), I->nth, soft_entropy_probs_fwd_range, (void *)I);
    return PN_OK;
}
static void soft_entropy_probs_bwd_range(void *ctx, i64 r, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[CE_C], end = C - C % VW, rest = C - end;
    const real *dl = (const real *)I->arg[CEQB_DL];
    (void)ith;
    for (; r < hi; r++) {
        real *dq = (real *)I->arg[CEQB_DQ] + r * C;
        const real *q = (const real *)I->arg[CEQB_Q] + r * C, *t = (const real *)I->arg[CEQB_T] + r * C;
        const vec k = vset(-dl[r]);
        for (i64 c = 0; c < end; c += VW)
            vstore(dq + c, vdiv(vmul(k, vload(t + c)), loss_at_least_eps(vload(q + c))));
        if (rest)
            vstoren(dq + end, vdiv(vmul(k, vloadn(t + end, rest)), loss_at_least_eps(vloadn(q + end, rest))), rest);
    }
}
static int soft_entropy_probs_bwd(const pn_instr *I) {
    const i64 N = I->dim[CE_N], C = I->dim[CE_C];
    pn_for(N, smx_rows(C), 0.3 * (double)(N * C), I->nth, soft_entropy_probs_bwd_range, (void *)I);
    return PN_OK;
}

#endif
