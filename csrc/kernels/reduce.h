/* Reductions over the middle axis of x[A, R, B].
 *
 *   y[a,b] = sum over r of x[a,r,b]       sum_fwd
 *   y[a,b] = max over r of x[a,r,b]       max_fwd, min_fwd (NaN comes through)
 *   y[a,b] = argmax over r of x[a,r,b]    argmax_fwd: OUT int64, the first of equal values; NaN counts as largest
 *
 * dim: A, R, B; par[0] scales the result of sum (1/R makes it a mean). OUT y [A,B]; IN x [A,R,B].
 * Parallel over A, over blocks of columns when A is 1. One flop per element; reads x once. No aliasing.
 * Order of a sum: B > 1, r increasing; B == 1, the row is cut in pieces of RED_PIECE, each piece is summed in LANES
 * lanes (lanes.h), and the pieces are added in order. Of zeros of either sign the extreme of a row is +0.
 */

enum { RED_PIECE = 4096, RED_COLS = 64 };

static real red_sum_piece(const real *x, i64 n) {
    lanes s = lanes_zero();
    LANES_WALK(n, v, i, w, s.v[v] = vadd(s.v[v], lanes_load(x + i, w)););
    return lanes_sum(s);
}

static real red_sum_row(const real *x, i64 n) {
    real s = 0;
    for (i64 i = 0; i < n; i += RED_PIECE) s += red_sum_piece(x + i, n - i < RED_PIECE ? n - i : RED_PIECE);
    return s;
}

/* Column sums of x[R, ld] for columns [lo, hi): y[j] = scale * sum over r, r increasing. */
static void red_sum_cols(real *y, const real *x, i64 R, i64 ld, i64 lo, i64 hi, real scale) {
    for (i64 j = lo; j < hi; j += 4 * VW) {
        if (j + 4 * VW <= hi) {
            vec s0 = vset(0), s1 = vset(0), s2 = vset(0), s3 = vset(0);
            for (i64 r = 0; r < R; r++) {
                const real *p = x + r * ld + j;
                s0 = vadd(s0, vload(p));
                s1 = vadd(s1, vload(p + VW));
                s2 = vadd(s2, vload(p + 2 * VW));
                s3 = vadd(s3, vload(p + 3 * VW));
            }
            vstore(y + j, vmul(s0, vset(scale)));
            vstore(y + j + VW, vmul(s1, vset(scale)));
            vstore(y + j + 2 * VW, vmul(s2, vset(scale)));
            vstore(y + j + 3 * VW, vmul(s3, vset(scale)));
        } else {
            for (i64 c = j; c < hi; c += VW) {
                i64 n = hi - c < VW ? hi - c : VW;
                vec s = vset(0);
                for (i64 r = 0; r < R; r++) s = vadd(s, vloadn(x + r * ld + c, n));
                vstoren(y + c, vmul(s, vset(scale)), n);
            }
        }
    }
}

enum { RED_Y, RED_X };
enum { RED_A, RED_R, RED_B };
static void sum_rows_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    i64 R = I->dim[RED_R], B = I->dim[RED_B];
    real scale = (real)I->par[0];
    (void)ith;
    for (i64 a = lo; a < hi; a++) {
        const real *x = (const real *)I->arg[RED_X] + a * R * B;
        real *y = (real *)I->arg[RED_Y] + a * B;
        if (B == 1)
            *y = red_sum_row(x, R) * scale;
        else
            red_sum_cols(y, x, R, B, 0, B, scale);
    }
}
static void sum_cols_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    (void)ith;
    red_sum_cols((real *)I->arg[RED_Y], (const real *)I->arg[RED_X], I->dim[RED_R], I->dim[RED_B], lo, hi, (real)I->par[0]);
}
static int sum_fwd(const pn_instr *I) {
    i64 A = I->dim[RED_A], R = I->dim[RED_R], B = I->dim[RED_B];
    double cost = 0.3 * (double)(A * R * B);
    if (A == 1 && B > 1)
        pn_for(B, RED_COLS, cost, I->nth, sum_cols_range, (void *)I);
    else
        pn_for(A, R * B > RED_PIECE ? 1 : RED_PIECE / (R * B + 1) + 1, cost, I->nth, sum_rows_range, (void *)I);
    return PN_OK;
}

#ifdef PN_INT
static inline int red_isnan(real x) { (void)x; return 0; }
#else
static inline int red_isnan(real x) { return x != x; }
#endif

/* m, or v where v is better or NaN: of equal values m stays, and a NaN stays. */
static inline vec red_max(vec m, vec v) { return vsel(visnan(v), v, vmax(v, m)); }
static inline vec red_min(vec m, vec v) { return vsel(visnan(v), v, vmin(v, m)); }

/* The four running vectors of a row hide the latency of one; the lanes are compared at the end. */
#define RED_EXTREME(NAME, PICK, BETTER)                                                                      \
    static real NAME##_few(real m, const real *x, i64 n) {                                                   \
        for (i64 i = 0; i < n; i++) m = (x[i] BETTER m || red_isnan(x[i])) && !red_isnan(m) ? x[i] : m;      \
        return m;                                                                                            \
    }                                                                                                        \
    static real NAME##_row(const real *x, i64 n) {                                                           \
        real t[VW];                                                                                          \
        vec m0, m1, m2, m3;                                                                                  \
        i64 i = 0;                                                                                           \
        if (n < 2 * VW) return NAME##_few(x[0], x, n) + 0;                                                   \
        m0 = m1 = m2 = m3 = vload(x);                                                                        \
        for (; i + 4 * VW <= n; i += 4 * VW) {                                                               \
            m0 = PICK(m0, vload(x + i));                                                                     \
            m1 = PICK(m1, vload(x + i + VW));                                                                \
            m2 = PICK(m2, vload(x + i + 2 * VW));                                                            \
            m3 = PICK(m3, vload(x + i + 3 * VW));                                                            \
        }                                                                                                    \
        for (; i + VW <= n; i += VW) m0 = PICK(m0, vload(x + i));                                            \
        if (i < n) m1 = PICK(m1, vload(x + n - VW));                                                         \
        vstore(t, PICK(PICK(m0, m1), PICK(m2, m3)));                                                         \
        return NAME##_few(t[0], t, VW) + 0;                                                                  \
    }                                                                                                        \
    static void NAME##_range(void *ctx, i64 lo, i64 hi, int ith) {                                           \
        const pn_instr *I = (const pn_instr *)ctx;                                                           \
        i64 R = I->dim[RED_R], B = I->dim[RED_B];                                                                    \
        (void)ith;                                                                                           \
        for (i64 a = lo; a < hi; a++) {                                                                      \
            const real *x = (const real *)I->arg[RED_X] + a * R * B;                                             \
            real *y = (real *)I->arg[RED_Y] + a * B;                                                             \
            if (B == 1) {                                                                                    \
                *y = NAME##_row(x, R);                                                                       \
                continue;                                                                                    \
            }                                                                                                \
            memcpy(y, x, (size_t)B * sizeof(real));                                                          \
            for (i64 r = 1; r < R; r++) {                                                                    \
                const real *row = x + r * B;                                                                 \
                i64 b = 0;                                                                                   \
                for (; b + VW <= B; b += VW) vstore(y + b, PICK(vload(y + b), vload(row + b)));              \
                if (b < B) vstoren(y + b, PICK(vloadn(y + b, B - b), vloadn(row + b, B - b)), B - b);        \
            }                                                                                                \
        }                                                                                                    \
    }                                                                                                        \
    static int NAME(const pn_instr *I) {                                                                     \
        i64 A = I->dim[RED_A], per = I->dim[RED_R] * I->dim[RED_B];                                                      \
        pn_for(A, per > RED_PIECE ? 1 : RED_PIECE / (per + 1) + 1, 0.2 * (double)(A * per), I->nth, NAME##_range, \
               (void *)I);                                                                                   \
        return PN_OK;                                                                                        \
    }

RED_EXTREME(max_fwd, red_max, >)
RED_EXTREME(min_fwd, red_min, <)

/* Rows that lie in one piece: their largest value, then the first place that has it. */
static i64 red_argmax_row(const real *x, i64 n) {
    const real m = max_fwd_row(x, n);
    i64 i = 0;
    if (red_isnan(m))
        while (!red_isnan(x[i])) i++;
    else
        while (x[i] != m) i++;
    return i;
}

static void argmax_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    i64 R = I->dim[RED_R], B = I->dim[RED_B];
    (void)ith;
    for (i64 a = lo; a < hi; a++) {
        const real *x = (const real *)I->arg[RED_X] + a * R * B;
        i64 *y = (i64 *)I->arg[RED_Y] + a * B;
        if (B == 1) {
            *y = red_argmax_row(x, R);
            continue;
        }
        for (i64 b0 = 0; b0 < B; b0 += RED_COLS) { /* the compiler's own vectors; rows one after the other */
            const i64 n = B - b0 < RED_COLS ? B - b0 : RED_COLS;
            real best[RED_COLS];
            i64 at[RED_COLS];
            for (i64 b = 0; b < n; b++) best[b] = x[b0 + b], at[b] = 0;
            for (i64 r = 1; r < R; r++) {
                const real *row = x + r * B + b0;
                for (i64 b = 0; b < n; b++) {
                    const int better = (row[b] > best[b]) | (red_isnan(row[b]) & !red_isnan(best[b]));
                    at[b] = better ? r : at[b];
                    best[b] = better ? row[b] : best[b];
                }
            }
            memcpy(y + b0, at, (size_t)n * sizeof *at);
        }
    }
}
static int argmax_fwd(const pn_instr *I) {
    i64 A = I->dim[RED_A], per = I->dim[RED_R] * I->dim[RED_B];
    pn_for(A, per > RED_PIECE ? 1 : RED_PIECE / (per + 1) + 1, (double)(A * per), I->nth, argmax_range, (void *)I);
    return PN_OK;
}
