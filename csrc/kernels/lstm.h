/* Recurrent cells: what happens in one time step besides the matrix products, and the product with packed weights.
 * pynn/core/kernels/rnn.pyx holds the loops over time and over blocks of batch rows.
 *
 *   rnn        h' = act(z)
 *   lstm       i f g o = z;  c' = sig(f) c + sig(i) tanh(g);  h' = sig(o) tanh(c')
 *              with peepholes p: i += p0 c, f += p1 c, o += p2 c'   (Gers, Schraudolph, Schmidhuber 2002)
 *   gru        z r = ...;  then g += (r h) U_g in between;  h' = z h + (1 - z) tanh(g)   (Cho et al. 2014)
 *   gru_after  z r g q = ..., q = h U_g + b;  h' = z h + (1 - z) tanh(g + r q)
 *
 * Rows of a block at one time; gates are overwritten by their activated values, which is what the gradient needs. A row
 * whose sequence has ended (t >= length) keeps its state, puts out 0 and has no gradient.
 * Masked vectors do the edges; every element is computed alone, so bits do not depend on blocks. What an
 * LSTM's unit needs of others has a loop of its own: of short chains a processor has many under way. 5 exp, 5 divisions
 * and 17 reads or writes per unit of an LSTM.
 */

#define RNN_LOAD(p) (w == VW ? vload(p) : vloadn(p, w))
#define RNN_STORE(p, v)                  \
    do {                                 \
        if (w == VW) vstore(p, v);       \
        else vstoren(p, v, w);           \
    } while (0)
#ifndef PN_ONE_UNIT
#define RNN_ROWS for (i64 r = 0; r < s->rows; r++)
#define RNN_UNITS for (i64 j = 0, w; w = H - j < VW ? H - j : VW, j < H; j += VW)
#define RNN_FROM 0
#define RNN_COUNT (s->units)
#else /* a thread has one unit of one row */
#define RNN_ROWS for (i64 r = s->row, rows = 1; rows; rows = 0)
#define RNN_UNITS for (i64 j = s->unit, w = VW, units = 1; units; units = 0)
#define RNN_FROM (s->unit)
#define RNN_COUNT 1
#endif
#define RNN_COPY(to, from) memcpy((to) + RNN_FROM, (from) + RNN_FROM, (size_t)RNN_COUNT * sizeof(real))
#define RNN_CLEAR(to) memset((to) + RNN_FROM, 0, (size_t)RNN_COUNT * sizeof(real))
#define RNN_ROW(field, ld) (s->field ? (real *)s->field + r * (ld) : NULL)
#define RNN_ONE vset(1)

static inline int rnn_ended(const pn_rnn_step *s, i64 r) { return s->lengths && s->t >= s->lengths[r]; }

static inline void rnn_no_slopes(const pn_rnn_step *s, i64 r, i64 gates) {
    const i64 H = s->units;
    for (i64 k = 0; k < gates; k++) RNN_CLEAR((real *)s->dz + (r * gates + k) * H);
}
/* What an ended row leaves for the gradients of earlier steps. */
static inline void rnn_skip_bwd(const pn_rnn_step *s, i64 r, i64 gates) {
    real *next = RNN_ROW(next, s->ldh);
    const real *h0 = RNN_ROW(h0, s->units);
    rnn_no_slopes(s, r, gates);
    if (next && h0) RNN_COPY(next, h0);
    else if (next) RNN_CLEAR(next);
}

static void rnn_plain_fwd(const pn_rnn_step *s) {
    const i64 H = s->units;
    RNN_ROWS {
        real *z = RNN_ROW(gates, H), *h = RNN_ROW(state, H), *hm = RNN_ROW(masked, H), *y = RNN_ROW(y, s->ldy);
        const real *mask = RNN_ROW(mask, H);
        if (rnn_ended(s, r)) {
            RNN_COPY(z, h);
            if (y) RNN_CLEAR(y);
            continue;
        }
        pn_act_apply(s->act, (real)s->act_par, z + RNN_FROM, RNN_COUNT);
        RNN_COPY(h, z);
        if (y) RNN_COPY(y, z);
        if (hm)
            for (i64 j = RNN_FROM; j < RNN_FROM + RNN_COUNT; j++) hm[j] = z[j] * mask[j];
    }
}

static void rnn_plain_bwd(const pn_rnn_step *s) {
    const i64 H = s->units;
    RNN_ROWS {
        const real *h = RNN_ROW(gates, H), *dy = RNN_ROW(dy, s->ldy);
        real *dz = RNN_ROW(dz, H), *dh = RNN_ROW(dh, H), *next = RNN_ROW(next, s->ldh);
        if (rnn_ended(s, r)) {
            rnn_skip_bwd(s, r, 1);
            continue;
        }
        if (next) RNN_COPY(next, h);
        if (dy)
            RNN_UNITS RNN_STORE(dh + j, vadd(RNN_LOAD(dh + j), RNN_LOAD(dy + j)));
        pn_act_grad(s->act, (real)s->act_par, dh + RNN_FROM, dh + RNN_FROM, h + RNN_FROM, RNN_COUNT);
        RNN_COPY(dz, dh);
        RNN_CLEAR(dh);
    }
}

static void rnn_lstm_fwd(const pn_rnn_step *s) {
    const i64 H = s->units;
    const real *p = (const real *)s->peep;
    RNN_ROWS {
        real *z = RNN_ROW(gates, 4 * H), *c = RNN_ROW(cell, H), *h = RNN_ROW(state, H), *y = RNN_ROW(y, s->ldy);
        real *hm = RNN_ROW(masked, H);
        const real *before = RNN_ROW(cell_prev, H), *mask = RNN_ROW(mask, H);
        if (rnn_ended(s, r)) {
            if (before) RNN_COPY(c, before);
            else RNN_CLEAR(c);
            if (y) RNN_CLEAR(y);
            continue;
        }
        RNN_UNITS {
            vec i = RNN_LOAD(z + j), f = RNN_LOAD(z + H + j);
            if (p) {
                const vec cp = before ? RNN_LOAD(before + j) : vset(0);
                i = vfma(RNN_LOAD(p + j), cp, i);
                f = vfma(RNN_LOAD(p + H + j), cp, f);
            }
            RNN_STORE(z + j, vsigmoid(i));
            RNN_STORE(z + H + j, vsigmoid(f));
        }
        RNN_UNITS RNN_STORE(z + 2 * H + j, vtanh(RNN_LOAD(z + 2 * H + j)));
        RNN_UNITS {
            const vec cp = before ? RNN_LOAD(before + j) : vset(0);
            const vec cn = vfma(RNN_LOAD(z + H + j), cp, vmul(RNN_LOAD(z + j), RNN_LOAD(z + 2 * H + j)));
            vec o = RNN_LOAD(z + 3 * H + j);
            if (p) o = vfma(RNN_LOAD(p + 2 * H + j), cn, o);
            RNN_STORE(z + 3 * H + j, vsigmoid(o));
            RNN_STORE(c + j, cn);
        }
        RNN_UNITS {
            const vec hn = vmul(RNN_LOAD(z + 3 * H + j), vtanh(RNN_LOAD(c + j)));
            RNN_STORE(h + j, hn);
            if (y) RNN_STORE(y + j, hn);
            if (hm) RNN_STORE(hm + j, vmul(hn, RNN_LOAD(mask + j)));
        }
    }
}

static void rnn_lstm_bwd(const pn_rnn_step *s) {
    const i64 H = s->units;
    const real *p = (const real *)s->peep;
    RNN_ROWS {
        const real *gates = RNN_ROW(gates, 4 * H), *c = RNN_ROW(cell, H), *before = RNN_ROW(cell_prev, H);
        const real *dy = RNN_ROW(dy, s->ldy);
        real *dz = RNN_ROW(dz, 4 * H), *dh = RNN_ROW(dh, H), *dc = RNN_ROW(dc, H), *next = RNN_ROW(next, s->ldh);
        if (rnn_ended(s, r)) {
            rnn_skip_bwd(s, r, 4);
            continue;
        }
        RNN_UNITS {
            const vec i = RNN_LOAD(gates + j), f = RNN_LOAD(gates + H + j), g = RNN_LOAD(gates + 2 * H + j);
            const vec o = RNN_LOAD(gates + 3 * H + j), tc = vtanh(RNN_LOAD(c + j));
            const vec cp = before ? RNN_LOAD(before + j) : vset(0);
            vec dhn = RNN_LOAD(dh + j), dcn = RNN_LOAD(dc + j), di, df, dg, dox;
            if (dy) dhn = vadd(dhn, RNN_LOAD(dy + j));
            if (next) RNN_STORE(next + j, vmul(o, tc));
            dox = vmul(vmul(dhn, tc), vfnma(o, o, o));
            dcn = vfma(vmul(dhn, o), vfnma(tc, tc, RNN_ONE), dcn);
            if (p) dcn = vfma(dox, RNN_LOAD(p + 2 * H + j), dcn);
            di = vmul(vmul(dcn, g), vfnma(i, i, i));
            df = vmul(vmul(dcn, cp), vfnma(f, f, f));
            dg = vmul(vmul(dcn, i), vfnma(g, g, RNN_ONE));
            dcn = vmul(dcn, f);
            if (p) dcn = vfma(di, RNN_LOAD(p + j), vfma(df, RNN_LOAD(p + H + j), dcn));
            RNN_STORE(dz + j, di);
            RNN_STORE(dz + H + j, df);
            RNN_STORE(dz + 2 * H + j, dg);
            RNN_STORE(dz + 3 * H + j, dox);
            RNN_STORE(dc + j, dcn);
            RNN_STORE(dh + j, vset(0));
        }
    }
}

/* The first half of `gru`: z and r, and r h (h masked) for the product with U_g. */
static void rnn_gru_gates(const pn_rnn_step *s) {
    const i64 H = s->units;
    RNN_ROWS {
        real *z = RNN_ROW(gates, 3 * H), *rh = RNN_ROW(reset, H);
        const real *h = s->masked ? RNN_ROW(masked, H) : RNN_ROW(state, H);
        RNN_UNITS {
            const vec rv = vsigmoid(RNN_LOAD(z + H + j));
            RNN_STORE(z + j, vsigmoid(RNN_LOAD(z + j)));
            RNN_STORE(z + H + j, rv);
            RNN_STORE(rh + j, vmul(rv, RNN_LOAD(h + j)));
        }
    }
}

/* The second half of `gru`, or all of `gru_after`. */
static void rnn_gru_step(const pn_rnn_step *s, const int after) {
    const i64 H = s->units, cols = (3 + after) * H;
    const real *b = (const real *)s->bias;
    RNN_ROWS {
        real *z = RNN_ROW(gates, cols), *h = RNN_ROW(state, H), *hm = RNN_ROW(masked, H), *y = RNN_ROW(y, s->ldy);
        const real *mask = RNN_ROW(mask, H);
        if (rnn_ended(s, r)) {
            if (y) RNN_CLEAR(y);
            continue;
        }
        RNN_UNITS {
            vec zv = RNN_LOAD(z + j), g = RNN_LOAD(z + 2 * H + j), hn;
            const vec hp = RNN_LOAD(h + j);
            if (after) {
                const vec rv = vsigmoid(RNN_LOAD(z + H + j));
                vec q = RNN_LOAD(z + 3 * H + j);
                if (b) q = vadd(q, RNN_LOAD(b + j));
                zv = vsigmoid(zv);
                g = vfma(rv, q, g);
                RNN_STORE(z + j, zv);
                RNN_STORE(z + H + j, rv);
                RNN_STORE(z + 3 * H + j, q);
            }
            g = vtanh(g);
            hn = vfma(zv, vsub(hp, g), g);
            RNN_STORE(z + 2 * H + j, g);
            RNN_STORE(h + j, hn);
            if (y) RNN_STORE(y + j, hn);
            if (hm) RNN_STORE(hm + j, vmul(hn, RNN_LOAD(mask + j)));
        }
    }
}
static void rnn_gru_fwd(const pn_rnn_step *s) { rnn_gru_step(s, 0); }
static void rnn_gru_after_fwd(const pn_rnn_step *s) { rnn_gru_step(s, 1); }

/* The states again, from the gates: next = z h + (1 - z) g, with the bits of the forward pass. */
static void rnn_gru_states(const pn_rnn_step *s, const i64 cols) {
    const i64 H = s->units;
    RNN_ROWS {
        const real *z = RNN_ROW(gates, cols), *h = RNN_ROW(prev, s->ldh);
        real *next = RNN_ROW(next, s->ldh);
        if (rnn_ended(s, r)) {
            RNN_COPY(next, h);
            continue;
        }
        RNN_UNITS {
            const vec g = RNN_LOAD(z + 2 * H + j);
            RNN_STORE(next + j, vfma(RNN_LOAD(z + j), vsub(RNN_LOAD(h + j), g), g));
        }
    }
}
static void rnn_gru_before_states(const pn_rnn_step *s) { rnn_gru_states(s, 3 * s->units); }
static void rnn_gru_after_states(const pn_rnn_step *s) { rnn_gru_states(s, 4 * s->units); }

/* dz of z and g, and what reaches h directly; `gru_after` finishes r and q too. dz may be the gates. */
static void rnn_gru_step_bwd(const pn_rnn_step *s, const int after) {
    const i64 H = s->units, cols = (3 + after) * H;
    RNN_ROWS {
        const real *gates = RNN_ROW(gates, cols), *h = RNN_ROW(prev, s->ldh), *dy = RNN_ROW(dy, s->ldy);
        real *dz = RNN_ROW(dz, cols), *dh = RNN_ROW(dh, H);
        if (rnn_ended(s, r)) {
            rnn_no_slopes(s, r, 3 + after);
            continue;
        }
        RNN_UNITS {
            const vec z = RNN_LOAD(gates + j), rv = RNN_LOAD(gates + H + j), g = RNN_LOAD(gates + 2 * H + j);
            vec dhn = RNN_LOAD(dh + j), dg;
            if (dy) dhn = vadd(dhn, RNN_LOAD(dy + j));
            dg = vmul(vmul(dhn, vsub(RNN_ONE, z)), vfnma(g, g, RNN_ONE));
            RNN_STORE(dz + j, vmul(vmul(dhn, vsub(RNN_LOAD(h + j), g)), vfnma(z, z, z)));
            RNN_STORE(dz + 2 * H + j, dg);
            if (after) {
                RNN_STORE(dz + H + j, vmul(vmul(dg, RNN_LOAD(gates + 3 * H + j)), vfnma(rv, rv, rv)));
                RNN_STORE(dz + 3 * H + j, vmul(dg, rv));
            } else {
                RNN_STORE(dz + H + j, rv); /* for rnn_gru_reset_bwd, after the product with U_g^T */
            }
            RNN_STORE(dh + j, vmul(dhn, z));
        }
    }
}
static void rnn_gru_bwd(const pn_rnn_step *s) { rnn_gru_step_bwd(s, 0); }
static void rnn_gru_after_bwd(const pn_rnn_step *s) { rnn_gru_step_bwd(s, 1); }

/* From `reset` = d(r h) to dz of r and to dh; leaves r h in `next`. */
static void rnn_gru_reset_bwd(const pn_rnn_step *s) {
    const i64 H = s->units;
    RNN_ROWS {
        const real *h = RNN_ROW(prev, s->ldh), *drh = RNN_ROW(reset, H), *mask = RNN_ROW(mask, H);
        real *dr = RNN_ROW(dz, 3 * H) + H, *dh = RNN_ROW(dh, H), *rh = RNN_ROW(next, s->ldh);
        if (rnn_ended(s, r)) {
            RNN_CLEAR(rh);
            continue;
        }
        RNN_UNITS {
            const vec m = mask ? RNN_LOAD(mask + j) : RNN_ONE, hm = vmul(RNN_LOAD(h + j), m);
            const vec rv = RNN_LOAD(dr + j), d = RNN_LOAD(drh + j);
            RNN_STORE(rh + j, vmul(rv, hm));
            RNN_STORE(dr + j, vmul(vmul(d, hm), vfnma(rv, rv, rv)));
            RNN_STORE(dh + j, vfma(vmul(d, rv), m, RNN_LOAD(dh + j)));
        }
    }
}

#ifndef PN_ONE_UNIT
static void block_rnn_step(int what, const pn_rnn_step *s) {
    static void (*const table[PN_RNN_STEPS])(const pn_rnn_step *s) = {
        rnn_plain_fwd, rnn_lstm_fwd,          rnn_gru_fwd,          rnn_gru_after_fwd,
        rnn_plain_bwd, rnn_lstm_bwd,          rnn_gru_bwd,          rnn_gru_after_bwd,
        rnn_gru_gates, rnn_gru_before_states, rnn_gru_after_states, rnn_gru_reset_bwd,
    };
    table[what](s);
}

/* dp[k,j] += sum over rows of dz[., k-th gate, j] c[., j]; `first`: c of the step before, for i and f. */
static void block_peep_grad(void *dp, const void *dz, const void *c, i64 rows, i64 H, int gates_if) {
    real *p = (real *)dp;
    for (i64 r = 0; r < rows; r++) {
        const real *d = (const real *)dz + r * 4 * H, *cr = (const real *)c + r * H;
        if (gates_if) {
            for (i64 j = 0; j < H; j++) p[j] += d[j] * cr[j];
            for (i64 j = 0; j < H; j++) p[H + j] += d[H + j] * cr[j];
        } else {
            for (i64 j = 0; j < H; j++) p[2 * H + j] += d[3 * H + j] * cr[j];
        }
    }
}

/* out = a b, or out += a b. out may be a. */
static void block_mul(void *out, const void *a, const void *b, i64 n, int add) {
    real *y = (real *)out;
    const real *p = (const real *)a, *q = (const real *)b;
    for (i64 j = 0, w; w = n - j < VW ? n - j : VW, j < n; j += VW) {
        const vec ab = vmul(RNN_LOAD(p + j), RNN_LOAD(q + j));
        RNN_STORE(y + j, add ? vadd(RNN_LOAD(y + j), ab) : ab);
    }
}

/* out = kept ? scale : 0. */
static void block_expand_mask(void *out, const uint8_t *kept, double scale, i64 n) {
    for (i64 i = 0; i < n; i++) ((real *)out)[i] = kept[i] ? (real)scale : 0;
}

/* Bytes for pack: whole vectors of columns. */
#if VW > 1
static void block_pack(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows) {
    (void)rows;
    gemm_pack_all((real *)dst, (const real *)b, brs, bcs, n, k);
}

/* Panel by panel, so that a panel of B stays in L1 for all rows. The sums are taken in the order of gemm.h. */
static void block_product(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, i64 ldc, int add,
                          i64 rows) {
    const i64 kc = pn_gemm_kc(k), widest = gemm_widest(rows);
    const i64 tallest = gemm_tallest(gemm_panel(n, widest));
    const i64 strips = (m + tallest - 1) / tallest, low = m / strips, extra = m % strips;
    gemm_tile t;
    t.ldc = ldc;
    t.step = lda;
    t.bias = NULL;
    for (i64 p = 0; p < k; p += kc) {
        t.k = k - p < kc ? k - p : kc;
        t.add = add || p > 0;
        for (i64 j = 0, nv; j < n; j += nv * VW) {
            nv = gemm_panel(n - j, widest);
            t.tail = gemm_lanes(n - j - (nv - 1) * VW);
            gemm_panel_at(&t, (const real *)packed, n, p, j, nv);
            for (i64 s = 0, i = 0, mr; s < strips; s++, i += mr) {
                mr = low + (s < extra);
                t.a = (const real *)a + i * lda + p;
                t.c = (real *)c + i * ldc + j;
                GEMM_KERNEL(mr, nv, 0, t.tail)(&t);
            }
        }
    }
}
#else
static void block_pack(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows) {
    (void)rows;
    for (i64 p = 0; p < k; p++)
        for (i64 j = 0; j < n; j++) ((real *)dst)[p * n + j] = ((const real *)b)[p * brs + j * bcs];
}

static void block_product(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, i64 ldc, int add,
                          i64 rows) {
#ifdef BLOCK_BLAS
    const pn_gemm_call call = {m, n, k, a, lda, 1, packed, n, 1, c, ldc, add, NULL, PN_ACT_NONE, 0, NULL};
    if (blas_gemm(&call)) return;
#endif
    const pn_gemm_args g = {m, n, k, a, lda, 1, packed, n, 1, c, ldc, add, NULL, NULL, NULL, NULL};
    (void)rows;
    gemm_blocks((void *)&g, 0, m, 0);
}
#endif
#endif
#undef RNN_LOAD
#undef RNN_STORE
#undef RNN_ROWS
#undef RNN_UNITS
#undef RNN_FROM
#undef RNN_COUNT
#undef RNN_COPY
#undef RNN_CLEAR
#undef RNN_ROW
#undef RNN_ONE
