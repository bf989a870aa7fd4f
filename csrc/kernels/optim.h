/* Optimizers: one pass over the flat parameters. Names and rules are those of the papers, eps where PyTorch has it.
 *
 * Every update kernel:  MUTATES p [n], up to three slots s0 s1 s2 [n] (NULL if unused), the average a of p [n] (NULL if
 * unused), counts i64 [k], number f64 [k] (NULL if unused); IN g [n], rate f64, cursor i64. The learning rate is
 * lr = rate[*cursor]. The elements are those of k parameters that have had the same counts[0] updates: t = counts[0] + 1,
 * which all of counts become. dim: OPT_N = n, OPT_K = k; par[0] is the decoupled weight decay wd: p is multiplied by
 * 1 - lr wd first (Loshchilov and Hutter 2019). par[1] is the momentum mu of the average, a = mu a + (1 - mu) p with the
 * new p, and a = p after the first update (Polyak and Juditsky 1992); after every OPT_EVERY updates, if that is not 0, p
 * becomes a. The settings of a rule begin at par[2].
 * Parallel over chunks of elements, each computed alone. Cost: 3 to 20 flops, 12 to 40 bytes per element. No aliasing.
 * Where g and all slots are zero, p stays zero if it was zero (the gaps of the flat buffer).
 *
 * OPT_DONE ranges of elements, from dim[OPT_DONE + 1 + 2 i] to dim[OPT_DONE + 2 + 2 i] and in order, are left out: the
 * kernels that make their gradients update them block by block (opt_updating). V is 0 then, and number NULL.
 */
#ifndef PN_OPTIM_H
#define PN_OPTIM_H

#include "par.h"
#include "rows.h"
#include "simd.h"
#include "unroll.h"

#ifdef PN_REAL_F64
#define OPT_LEAST 0x1p-1022
#else
#define OPT_LEAST 0x1p-126f
#endif
enum { OPT_CHUNK = 8192, OPT_SUM = 16384, OPT_BLOCK = 2048 }; /* a block is in the cache still when it is averaged */
enum { /* operands */
    OPT_P, OPT_S0, OPT_S1, OPT_S2, OPT_MEAN, OPT_COUNTS, OPT_NUMBER, OPT_G, OPT_RATE, OPT_CURSOR, OPT_MARKED, OPT_ROWS,
    OPT_LISTED
};
enum { OPT_N, OPT_KIND, OPT_V, OPT_B, OPT_LAZY, OPT_K, OPT_EVERY, OPT_DONE }; /* sizes and integer attributes */

typedef struct opt_ctx {
    real *p, *s0, *s1, *s2;
    const real *g;
    real keep, lr, a, b, c, d, eps, share; /* keep = 1 - lr wd */
    real *mean, fresh;                     /* the average of p, and the share that p has in it: 1 - mu, or 1 at first */
    int over;                              /* whether p becomes its average */
    int still;                             /* whether nothing changes where g is 0 */
    pn_range_fn rule;                      /* the update, where an average follows it */
} opt_ctx;

static inline double opt_rate(const pn_instr *I) {
    return ((const double *)I->arg[OPT_RATE])[*(const i64 *)I->arg[OPT_CURSOR]];
}
static inline i64 opt_time(const pn_instr *I) { return *(const i64 *)I->arg[OPT_COUNTS] + 1; }

PN_APART opt_ctx opt_begin(const pn_instr *I) {
    opt_ctx c;
    memset(&c, 0, sizeof c);
    c.p = (real *)I->arg[OPT_P];
    c.s0 = (real *)I->arg[OPT_S0];
    c.s1 = (real *)I->arg[OPT_S1];
    c.s2 = (real *)I->arg[OPT_S2];
    c.g = (const real *)I->arg[OPT_G];
    c.lr = (real)opt_rate(I);
    c.keep = (real)(1.0 - opt_rate(I) * I->par[0]);
    c.mean = (real *)I->arg[OPT_MEAN];
    c.fresh = (real)(opt_time(I) == 1 ? 1.0 : 1.0 - I->par[1]);
    c.over = I->dim[OPT_EVERY] && opt_time(I) % I->dim[OPT_EVERY] == 0;
    return c;
}

/* Loads and stores of n <= VW lanes; n is a constant in the main loop. */
static inline vec opt_load(const real *x, i64 n) { return n == VW ? vload(x) : vloadn(x, n); }
static inline void opt_store(real *x, vec v, i64 n) {
    if (n == VW)
        vstore(x, v);
    else
        vstoren(x, v, n);
}
/* Stores a slot and returns it; what is too small for a normal number is 0. Slots decay where no gradient comes, and would
 * stay among such numbers, with which processors compute many times slower. */
static inline vec opt_slot(real *x, vec v, i64 n) {
    v = vsel(vlt(vabs(v), vset(OPT_LEAST)), vset(0), v);
    opt_store(x, v, n);
    return v;
}
/* p = keep p - k u */
static inline void opt_move(const opt_ctx *c, i64 i, i64 n, real k, vec u) {
    opt_store(c->p + i, vfnma(vset(k), u, vmul(vset(c->keep), opt_load(c->p + i, n))), n);
}
/* The square root; the bits are the same either way. */
#ifdef VROOT_APART
#define OPT_APART pn_roots_apart
static inline vec opt_root(vec x, int apart) { return apart ? vroot_apart(x) : vsqrt(x); }
#else
#define OPT_APART 0
static inline vec opt_root(vec x, int apart) {
    (void)apart;
    return vsqrt(x);
}
#endif
static inline vec opt_toward(vec s, vec x, real share) { return vfma(vset(share), vsub(x, s), s); }
static inline vec opt_mix(vec s, vec g, real old, real fresh) { return vfma(vmul(vset(fresh), g), g, vmul(vset(old), s)); }

/* NAME_range from NAME_at(c, i, n, ...), which updates the n lanes from i on. */
#define OPT_RANGE(RANGE, AT, ...) \
    static void RANGE(void *ctx, i64 i, i64 hi, int ith) { \
        const opt_ctx c = *(const opt_ctx *)ctx; \
        (void)ith; \
        for (; i + VW <= hi; i += VW) AT(&c, i, VW, __VA_ARGS__); \
        if (i < hi) AT(&c, i, hi - i, __VA_ARGS__); \
    }

/* The update, then the average of what it wrote. */
static void opt_averaged_range(void *ctx, i64 lo, i64 hi, int ith) {
    const opt_ctx *c = (const opt_ctx *)ctx;
    for (i64 i = lo, end; i < hi; i = end) {
        end = hi - i < OPT_BLOCK ? hi : i + OPT_BLOCK;
        c->rule(ctx, i, end, ith);
        if (c->fresh == 1) {
            memcpy(c->mean + i, c->p + i, (size_t)(end - i) * sizeof(real));
            continue;
        }
        for (i64 j = i; j < end; j += VW) {
            const i64 n = end - j < VW ? end - j : VW;
            const vec mean = opt_toward(opt_load(c->mean + j, n), opt_load(c->p + j, n), c->fresh);
            opt_store(c->mean + j, mean, n);
            if (c->over) opt_store(c->p + j, mean, n);
        }
    }
}

/* A table of embeddings, of which few rows have a gradient: that of the others is 0 and is not read. With OPT_LAZY only the
 * touched rows are updated and averaged. IN marked int32 [V], rows int32 [V], how many are listed i64 [1]; sizes OPT_V,
 * OPT_B. */
static const real opt_zeros[1024] = {0};

typedef struct opt_table {
    const opt_ctx *c;
    pn_range_fn range;
    const int32_t *marked, *rows;
    i64 B;
    i64 at; /* where a range of them begins */
} opt_table;

PN_APART void opt_part(const opt_table *t, i64 at, i64 n, const real *g) {
    opt_ctx c = *t->c;
    c.p += at;
    c.g = g;
    if (c.s0) c.s0 += at;
    if (c.s1) c.s1 += at;
    if (c.s2) c.s2 += at;
    if (c.mean) c.mean += at;
    t->range(&c, 0, n, 0);
}

static void opt_table_range(void *ctx, i64 lo, i64 hi, int ith) {
    const opt_table *t = (const opt_table *)ctx;
    (void)ith;
    for (i64 r = lo, end; r < hi; r = end) {
        const int touched = t->marked[r];
        for (end = r + 1; end < hi && t->marked[end] == touched;) end++;
        if (touched) {
            opt_part(t, r * t->B, (end - r) * t->B, t->c->g + r * t->B);
        } else {
            for (i64 at = r * t->B; at < end * t->B; at += 1024)
                opt_part(t, at, end * t->B - at < 1024 ? end * t->B - at : 1024, opt_zeros);
        }
    }
}

static void opt_listed_range(void *ctx, i64 lo, i64 hi, int ith) {
    const opt_table *t = (const opt_table *)ctx;
    (void)ith;
    for (i64 i = lo; i < hi; i++) opt_part(t, t->rows[i] * t->B, t->B, t->c->g + t->rows[i] * t->B);
}

static void opt_part_range(void *ctx, i64 lo, i64 hi, int ith) {
    const opt_table *t = (const opt_table *)ctx;
    t->range((void *)(uintptr_t)t->c, t->at + lo, t->at + hi, ith);
}

/* What of an update a kernel needs that makes gradients. */
typedef struct opt_begun {
    opt_ctx c;
    pn_range_fn range;
} opt_begun;
typedef char opt_begun_fits[sizeof(opt_begun) <= sizeof(((pn_update *)0)->rule) ? 1 : -1];

static void opt_block(void *ctx, void *g, i64 ldg, i64 m, i64 n, i64 row0, i64 col0) {
    const pn_update *u = (const pn_update *)ctx;
    opt_begun *b = (opt_begun *)(void *)(uintptr_t)u->rule;
    opt_table t = {&b->c, b->range, NULL, NULL, 0, 0};
    if (n == u->columns && n == ldg) /* whole rows lie together */
        opt_part(&t, u->at + row0 * n, m * n, (const real *)g);
    else
        for (i64 i = 0; i < m; i++) opt_part(&t, u->at + (row0 + i) * u->columns + col0, n, (const real *)g + i * ldg);
}

static pn_gemm_done opt_updating(pn_update *u, const pn_instr *update, const void *dw, i64 columns) {
    pn_instr I = *update;
    I.keeping = 1;
    I.kept = u->rule;
    I.fn(&I);
    u->at = (const real *)dw - (const real *)update->arg[OPT_G];
    u->columns = columns;
    return opt_block;
}

PN_APART int opt_run(const pn_instr *I, opt_ctx *c, double ns, pn_range_fn range) {
    const i64 n = I->dim[OPT_N], V = I->dim[OPT_V], B = I->dim[OPT_B];
    i64 *counts = (i64 *)I->arg[OPT_COUNTS];
    opt_table t = {c, range, (const int32_t *)I->arg[OPT_MARKED], (const int32_t *)I->arg[OPT_ROWS], B, 0};
    if (c->mean) {
        if (I->dim[OPT_LAZY] && c->fresh == 1) memcpy(c->mean, c->p, (size_t)n * sizeof(real)); /* of rows left alone */
        c->rule = range;
        t.range = range = opt_averaged_range;
        ns += 0.3;
    }
    if (I->keeping) {
        opt_begun *b = (opt_begun *)I->kept;
        b->c = *c;
        b->range = range;
        return PN_OK;
    }
    if (!V) {
        const i64 *done = I->dim + OPT_DONE;
        for (i64 i = 0; i <= done[0]; i++) {
            const i64 end = i < done[0] ? done[2 * i + 1] : n;
            if (i) t.at = done[2 * i];
            pn_for(end - t.at, OPT_CHUNK, ns * (double)(end - t.at), I->nth, opt_part_range, &t);
        }
    } else if (I->dim[OPT_LAZY] || c->still) {
        const i64 listed = *(const i64 *)I->arg[OPT_LISTED];
        if (!pn_rows_listed(t.rows, listed, V)) return PN_BAD_INDEX;
        pn_for(listed, 16, ns * (double)(listed * B), I->nth, opt_listed_range, &t);
    } else {
        pn_for(V, B < OPT_CHUNK ? OPT_CHUNK / B : 1, ns * (double)(V * B), I->nth, opt_table_range, &t);
    }
    for (i64 i = I->dim[OPT_K] - 1; i >= 0; i--) counts[i] = counts[0] + 1;
    return PN_OK;
}

/* p -= lr g; with momentum mu: v = mu v + g, p -= lr v; Nesterov's: p -= lr (g + mu v).
 * s0 = v, or NULL without momentum. par[2] = mu; OPT_KIND is 1 for Nesterov's. */
static inline void sgd_at(const opt_ctx *c, i64 i, i64 n, int kind) {
    vec g = opt_load(c->g + i, n);
    if (kind) {
        const vec v = opt_slot(c->s0 + i, vfma(vset(c->a), opt_load(c->s0 + i, n), g), n);
        g = kind == 2 ? vfma(vset(c->a), v, g) : v;
    }
    opt_move(c, i, n, c->lr, g);
}
OPT_RANGE(sgd_range, sgd_at, 0)
OPT_RANGE(momentum_range, sgd_at, 1)
OPT_RANGE(nesterov_range, sgd_at, 2)
static int sgd_step(const pn_instr *I) {
    opt_ctx c = opt_begin(I);
    c.a = (real)I->par[2];
    c.still = !c.s0 && !c.mean && c.keep == 1 && c.lr <= 1e30f; /* an infinite rate would make NaN of 0 */
    return opt_run(I, &c, c.s0 ? 0.5 : 0.35, !c.s0 ? sgd_range : I->dim[OPT_KIND] ? nesterov_range : momentum_range);
}

/* s += g^2; p -= lr g / (sqrt(s) + eps). s0 = s; par[2] = eps. (Duchi, Hazan and Singer 2011) */
static inline void adagrad_at(const opt_ctx *c, i64 i, i64 n, int unused) {
    const vec g = opt_load(c->g + i, n), s = vfma(g, g, opt_load(c->s0 + i, n));
    (void)unused;
    opt_store(c->s0 + i, s, n);
    opt_move(c, i, n, c->lr, vdiv(g, vadd(vsqrt(s), vset(c->eps))));
}
OPT_RANGE(adagrad_range, adagrad_at, 0)
static int adagrad_step(const pn_instr *I) {
    opt_ctx c = opt_begin(I);
    c.eps = (real)I->par[2];
    return opt_run(I, &c, 0.6, adagrad_range);
}

/* s = rho s + (1 - rho) g^2; d = g sqrt(u + eps) / sqrt(s + eps); u = rho u + (1 - rho) d^2; p -= lr d.
 * s0 = s, s1 = u; par[2] = rho, par[3] = eps. (Zeiler 2012) */
static inline void adadelta_at(const opt_ctx *c, i64 i, i64 n, int unused) {
    const vec g = opt_load(c->g + i, n), eps = vset(c->eps), u = opt_load(c->s1 + i, n);
    const vec s = opt_mix(opt_load(c->s0 + i, n), g, c->a, c->b);
    const vec d = vmul(vdiv(vsqrt(vadd(u, eps)), vsqrt(vadd(s, eps))), g);
    (void)unused;
    opt_slot(c->s0 + i, s, n);
    opt_slot(c->s1 + i, opt_mix(u, d, c->a, c->b), n);
    opt_move(c, i, n, c->lr, d);
}
OPT_RANGE(adadelta_range, adadelta_at, 0)
static int adadelta_step(const pn_instr *I) {
    opt_ctx c = opt_begin(I);
    c.a = (real)I->par[2];
    c.b = (real)(1.0 - I->par[2]);
    c.eps = (real)I->par[3];
    return opt_run(I, &c, 1.0, adadelta_range);
}

/* s = rho s + (1 - rho) g^2; u = g / (sqrt(s) + eps), or g / sqrt(s + eps) if OPT_KIND; p -= lr u. (Tieleman and
 * Hinton 2012)
 * Centered: a = rho a + (1 - rho) g, and s - a^2 takes the place of s. With momentum mu: v = mu v + u, p -= lr v.
 * s0 = s, s1 = v or NULL, s2 = a or NULL; par[2] = rho, par[3] = eps, par[4] = mu. */
static inline void rmsprop_at(const opt_ctx *c, i64 i, i64 n, int momentum, int centered) {
    const vec g = opt_load(c->g + i, n), s = opt_slot(c->s0 + i, opt_mix(opt_load(c->s0 + i, n), g, c->a, c->b), n);
    vec spread = s, u;
    if (centered) {
        const vec a = opt_slot(c->s2 + i, opt_toward(opt_load(c->s2 + i, n), g, c->b), n);
        spread = vmax(vset(0), vfnma(a, a, s)); /* rounding may make it negative */
    }
    u = vdiv(g, vadd(vsqrt(vadd(spread, vset(c->d))), vset(c->eps))); /* one of the two is 0 */
    if (momentum) {
        u = opt_slot(c->s1 + i, vfma(vset(c->c), opt_load(c->s1 + i, n), u), n);
    }
    opt_move(c, i, n, c->lr, u);
}
OPT_RANGE(rmsprop_range, rmsprop_at, 0, 0)
OPT_RANGE(rmsprop_momentum_range, rmsprop_at, 1, 0)
OPT_RANGE(rmsprop_centered_range, rmsprop_at, 0, 1)
OPT_RANGE(rmsprop_both_range, rmsprop_at, 1, 1)
static int rmsprop_step(const pn_instr *I) {
    opt_ctx c = opt_begin(I);
    c.a = (real)I->par[2];
    c.b = (real)(1.0 - I->par[2]);
    *(I->dim[OPT_KIND] ? &c.d : &c.eps) = (real)I->par[3];
    c.c = (real)I->par[4];
    return opt_run(I, &c, 0.8,
                   c.s1 ? (c.s2 ? rmsprop_both_range : rmsprop_momentum_range)
                        : (c.s2 ? rmsprop_centered_range : rmsprop_range));
}

/* m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; p -= lr m' / (sqrt(v') + eps), m' = m / (1 - b1^t),
 * v' = v / (1 - b2^t). (Kingma and Ba 2015) AMSGrad takes the largest v so far (Reddi, Kale and Kumar 2018).
 * s0 = m, s1 = v, s2 = the largest v or NULL; par[2] = b1, par[3] = b2, par[4] = eps. */
static inline void adam_at(const opt_ctx *c, i64 i, i64 n, int amsgrad, int apart) {
    const vec g = opt_load(c->g + i, n);
    const vec m = opt_slot(c->s0 + i, opt_toward(opt_load(c->s0 + i, n), g, c->a), n);
    vec v = opt_slot(c->s1 + i, opt_mix(opt_load(c->s1 + i, n), g, c->b, c->c), n);
    if (amsgrad) {
        v = vmax(opt_load(c->s2 + i, n), v);
        opt_store(c->s2 + i, v, n);
    }
    opt_move(c, i, n, c->lr, vdiv(m, vfma(opt_root(v, apart), vset(c->d), vset(c->eps))));
}
OPT_RANGE(adam_range, adam_at, 0, 0)
OPT_RANGE(adam_apart_range, adam_at, 0, 1)
OPT_RANGE(amsgrad_range, adam_at, 1, 0)
static int adam_step(const pn_instr *I) {
    const i64 t = opt_time(I);
    const double b1 = I->par[2], b2 = I->par[3];
    opt_ctx c = opt_begin(I);
    c.lr = (real)(opt_rate(I) / (1.0 - pn_power(b1, t)));
    c.a = (real)(1.0 - b1);
    c.b = (real)b2;
    c.c = (real)(1.0 - b2);
    c.d = (real)(1.0 / sqrt(1.0 - pn_power(b2, t)));
    c.eps = (real)I->par[4];
    return opt_run(I, &c, 1.0, c.s2 ? amsgrad_range : OPT_APART ? adam_apart_range : adam_range);
}

/* m = b1 m + (1 - b1) g; u = max(b2 u, |g| + eps); p -= lr m / (u (1 - b1^t)). (Kingma and Ba 2015, section 7.1)
 * s0 = m, s1 = u; par as Adam. */
static inline void adamax_at(const opt_ctx *c, i64 i, i64 n, int unused) {
    const vec g = opt_load(c->g + i, n);
    const vec m = opt_slot(c->s0 + i, opt_toward(opt_load(c->s0 + i, n), g, c->a), n);
    const vec u = vmax(vmul(vset(c->b), opt_load(c->s1 + i, n)), vadd(vabs(g), vset(c->eps)));
    (void)unused;
    opt_store(c->s1 + i, u, n);
    opt_move(c, i, n, c->lr, vdiv(m, u));
}
OPT_RANGE(adamax_range, adamax_at, 0)
static int adamax_step(const pn_instr *I) {
    opt_ctx c = opt_begin(I);
    c.lr = (real)(opt_rate(I) / (1.0 - pn_power(I->par[2], opt_time(I))));
    c.a = (real)(1.0 - I->par[2]);
    c.b = (real)I->par[3];
    c.eps = (real)I->par[4];
    return opt_run(I, &c, 0.8, adamax_range);
}

/* Adam with Nesterov's momentum (Dozat 2016): mu_t = b1 (1 - 0.96^(t psi) / 2), P_t = mu_1 ... mu_t,
 * p -= lr ((1 - mu_t) g / (1 - P_t) + mu_(t+1) m / (1 - P_(t+1))) / (sqrt(v') + eps).
 * s0 = m, s1 = v, number = P_(t-1); par as Adam, par[5] = psi. */
static inline void nadam_at(const opt_ctx *c, i64 i, i64 n, int unused) {
    const vec g = opt_load(c->g + i, n);
    const vec m = opt_slot(c->s0 + i, opt_toward(opt_load(c->s0 + i, n), g, c->a), n);
    const vec v = opt_slot(c->s1 + i, opt_mix(opt_load(c->s1 + i, n), g, c->b, c->c), n);
    const vec u = vfma(vset((real)1), vmul(vset(c->lr), g), vmul(vset(c->share), m));
    (void)unused;
    opt_move(c, i, n, 1, vdiv(u, vfma(vsqrt(v), vset(c->d), vset(c->eps))));
}
OPT_RANGE(nadam_range, nadam_at, 0)
static int nadam_step(const pn_instr *I) {
    const i64 t = opt_time(I);
    const double b1 = I->par[2], b2 = I->par[3], lr = opt_rate(I), decay = I->par[5] * pn_log(0.96);
    const double mu = b1 * (1.0 - 0.5 * pn_exp((double)t * decay)), next = b1 * (1.0 - 0.5 * pn_exp((double)(t + 1) * decay));
    double *products = (double *)I->arg[OPT_NUMBER];
    const double product = products[0] * mu;
    opt_ctx c = opt_begin(I);
    for (i64 i = 0; i < I->dim[OPT_K]; i++) products[i] = product;
    c.lr = (real)(lr * (1.0 - mu) / (1.0 - product));
    c.share = (real)(lr * next / (1.0 - product * next));
    c.a = (real)(1.0 - b1);
    c.b = (real)b2;
    c.c = (real)(1.0 - b2);
    c.d = (real)(1.0 / sqrt(1.0 - pn_power(b2, t)));
    c.eps = (real)I->par[4];
    return opt_run(I, &c, 1.0, nadam_range);
}

/* Sums in double, in an order that n alone decides: 8 lanes, then in order of chunks. */
static inline void opt_sums(const real *x, i64 n, double *squares, double *absolute) {
    const i64 end = n - n % 8;
    double s[8] = {0}, a[8] = {0};
    for (i64 i = 0; i < end; i += 8)
        for (int j = 0; j < 8; j++) {
            const double v = (double)x[i + j];
            s[j] += v * v;
            if (absolute) a[j] += fabs(v);
        }
    for (i64 i = end; i < n; i++) {
        s[i - end] += (double)x[i] * (double)x[i];
        a[i - end] += fabs((double)x[i]);
    }
    *squares = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
    if (absolute) *absolute = ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7]));
}

/* Clipping by global norm: y = x min(1, par[0] / |x|), |x| = sqrt(sum x^2) in double. A norm that is not finite leaves x
 * as it is. OUT y [n]; IN x [n]. dim: n; scratch: a double per OPT_SUM elements. y may be x. (Pascanu, Mikolov and
 * Bengio 2013) In two steps, for what others know a part of: norm_sums (OUT sums f64; IN x [n]) and clip_by_sums, which
 * is given them as IN sums. */
typedef struct opt_scale_ctx {
    const pn_instr *I;
    double *sums;
    real k;
} opt_scale_ctx;

enum { CLIPN_Y, CLIPN_X, CLIPN_SUMS };
enum { CLIPN_N };
static void clip_norm_sum_range(void *ctx, i64 lo, i64 hi, int ith) {
    const opt_scale_ctx *c = (const opt_scale_ctx *)ctx;
    (void)ith;
    opt_sums((const real *)c->I->arg[CLIPN_X] + lo, hi - lo, c->sums + lo / OPT_SUM, NULL);
}
static void clip_norm_scale_range(void *ctx, i64 i, i64 hi, int ith) {
    const opt_scale_ctx *c = (const opt_scale_ctx *)ctx;
    real *y = (real *)c->I->arg[CLIPN_Y];
    const real *x = (const real *)c->I->arg[CLIPN_X];
    const vec k = vset(c->k);
    (void)ith;
    for (; i + VW <= hi; i += VW) vstore(y + i, vmul(vload(x + i), k));
    if (i < hi) vstoren(y + i, vmul(vloadn(x + i, hi - i), k), hi - i);
}
static int norm_sums(const pn_instr *I) {
    opt_scale_ctx c = {I, (double *)I->arg[CLIPN_Y], 1};
    pn_for(I->dim[CLIPN_N], OPT_SUM, 0.15 * (double)I->dim[CLIPN_N], I->nth, clip_norm_sum_range, &c);
    return PN_OK;
}
static int clip_by(const pn_instr *I, const double *sums) {
    const i64 n = I->dim[CLIPN_N];
    opt_scale_ctx c = {I, NULL, 1};
    double norm = 0;
    for (i64 i = 0; i * OPT_SUM < n; i++) norm += sums[i];
    norm = sqrt(norm);
    if (norm > I->par[0] && norm <= 1.7976931348623157e308) c.k = (real)(I->par[0] / norm);
    if (c.k != 1 || I->arg[CLIPN_Y] != I->arg[CLIPN_X]) pn_for(n, OPT_CHUNK, 0.2 * (double)n, I->nth, clip_norm_scale_range, &c);
    return PN_OK;
}
static int clip_norm(const pn_instr *I) {
    opt_scale_ctx c = {I, (double *)I->scratch, 1};
    pn_for(I->dim[CLIPN_N], OPT_SUM, 0.15 * (double)I->dim[CLIPN_N], I->nth, clip_norm_sum_range, &c);
    return clip_by(I, c.sums);
}
static int clip_by_sums(const pn_instr *I) { return clip_by(I, (const double *)I->arg[CLIPN_SUMS]); }

/* Max-norm: each column of w[K, N] whose norm exceeds par[0] is scaled down to it. OUT y [K,N]; IN w [K,N].
 * dim: K, N. Parallel over blocks of columns; rows in increasing order. y may be w. (Srebro and others 2005) */
enum { MAXN_Y, MAXN_W };
enum { MAXN_K, MAXN_N };
static void max_norm_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 K = I->dim[MAXN_K], N = I->dim[MAXN_N];
    real *y = (real *)I->arg[MAXN_Y];
    const real *w = (const real *)I->arg[MAXN_W];
    const vec limit = vset((real)I->par[0]);
    (void)ith;
    for (i64 j = lo; j < hi; j += VW) {
        const i64 n = hi - j < VW ? hi - j : VW;
        vec s = vset(0), k;
        for (i64 r = 0; r < K; r++) {
            const vec v = opt_load(w + r * N + j, n);
            s = vfma(v, v, s);
        }
        s = vsqrt(s);
        k = vsel(vlt(limit, s), vdiv(limit, s), vset(1));
        for (i64 r = 0; r < K; r++) opt_store(y + r * N + j, vmul(k, opt_load(w + r * N + j, n)), n);
    }
}
static int max_norm(const pn_instr *I) {
    pn_for(I->dim[MAXN_N], 64, 0.3 * (double)(I->dim[MAXN_K] * I->dim[MAXN_N]), I->nth, max_norm_range, (void *)I);
    return PN_OK;
}

/* Penalties on weights: y = par[0] sum |w| + par[1] sum w^2, in double. OUT y [1]; IN w [n]. dim: n; scratch: two
 * doubles per OPT_SUM elements. penalty_bwd: dw = g + dy (par[0] sign(w) + 2 par[1] w). OUT dw [n]; IN dy [1], w,
 * g [n] or NULL (0). */
enum { PENALTY_Y, PENALTY_W };
enum { PENALTY_N };
static void penalty_fwd_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    double *part = (double *)I->scratch + 2 * (lo / OPT_SUM);
    (void)ith;
    part[1] = 0;
    opt_sums((const real *)I->arg[PENALTY_W] + lo, hi - lo, part, I->par[0] != 0 ? part + 1 : NULL);
}
static int penalty_fwd(const pn_instr *I) {
    const i64 n = I->dim[PENALTY_N];
    const double *part = (const double *)I->scratch;
    double squares = 0, absolute = 0;
    pn_for(n, OPT_SUM, 0.2 * (double)n, I->nth, penalty_fwd_range, (void *)I);
    for (i64 i = 0; i * OPT_SUM < n; i++) {
        squares += part[2 * i];
        absolute += part[2 * i + 1];
    }
    *(real *)I->arg[PENALTY_Y] = (real)(I->par[0] * absolute + I->par[1] * squares);
    return PN_OK;
}
enum { PENALTYB_DW, PENALTYB_DY, PENALTYB_W, PENALTYB_SOFAR };
static void penalty_bwd_range(void *ctx, i64 i, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const double dy = (double)*(const real *)I->arg[PENALTYB_DY];
    real *dw = (real *)I->arg[PENALTYB_DW];
    const real *w = (const real *)I->arg[PENALTYB_W], *g = (const real *)I->arg[PENALTYB_SOFAR];
    const vec l1 = vset((real)(dy * I->par[0])), l2 = vset((real)(2.0 * dy * I->par[1])), zero = vset(0);
    (void)ith;
    for (; i < hi; i += VW) {
        const i64 n = hi - i < VW ? hi - i : VW;
        const vec v = opt_load(w + i, n);
        const vec sign = vsel(vlt(zero, v), l1, vsel(vlt(v, zero), vneg(l1), zero));
        const vec u = vfma(l2, v, sign);
        opt_store(dw + i, g ? vadd(opt_load(g + i, n), u) : u, n);
    }
}
static int penalty_bwd(const pn_instr *I) {
    pn_for(I->dim[PENALTY_N], OPT_CHUNK, 0.2 * (double)I->dim[PENALTY_N], I->nth, penalty_bwd_range, (void *)I);
    return PN_OK;
}

#endif
