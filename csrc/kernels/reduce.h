/* Reductions over the middle axis of x[A, R, B].
 *
 *   y[a,b] = sum over r of x[a,r,b]       sum_fwd
 *   y[a,b] = max over r of x[a,r,b]       max_fwd, min_fwd (NaN comes through)
 *   y[a,b] = argmax over r of x[a,r,b]    argmax_fwd: OUT int64, the first of equal values; NaN counts as largest
 *
 * dim[0..2] = A, R, B; par[0] scales the result of sum (1/R makes it a mean). OUT y [A,B]; IN x [A,R,B].
 * Parallel over A, over blocks of columns when A is 1. One flop per element; reads x once. No aliasing.
 * Order of a sum: B > 1, r increasing; B == 1, the row is cut in pieces of RED_PIECE, each piece is summed in VW * 4
 * lanes, and the pieces are added in order. It depends on the sizes and the ISA only.
 */

enum { RED_PIECE = 4096, RED_COLS = 64 };

static real red_sum_piece(const real *x, i64 n) {
    i64 i = 0;
    vec s0 = vset(0), s1 = vset(0), s2 = vset(0), s3 = vset(0);
    for (; i + 4 * VW <= n; i += 4 * VW) {
        s0 = vadd(s0, vload(x + i));
        s1 = vadd(s1, vload(x + i + VW));
        s2 = vadd(s2, vload(x + i + 2 * VW));
        s3 = vadd(s3, vload(x + i + 3 * VW));
    }
    for (; i + VW <= n; i += VW) s0 = vadd(s0, vload(x + i));
    if (i < n) s1 = vadd(s1, vloadn(x + i, n - i));
    return vhsum(vadd(vadd(s0, s1), vadd(s2, s3)));
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

static void sum_rows_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    i64 R = I->dim[1], B = I->dim[2];
    real scale = (real)I->par[0];
    (void)ith;
    for (i64 a = lo; a < hi; a++) {
        const real *x = (const real *)I->arg[1] + a * R * B;
        real *y = (real *)I->arg[0] + a * B;
        if (B == 1)
            *y = red_sum_row(x, R) * scale;
        else
            red_sum_cols(y, x, R, B, 0, B, scale);
    }
}
static void sum_cols_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    (void)ith;
    red_sum_cols((real *)I->arg[0], (const real *)I->arg[1], I->dim[1], I->dim[2], lo, hi, (real)I->par[0]);
}
static int sum_fwd(const pn_instr *I) {
    i64 A = I->dim[0], R = I->dim[1], B = I->dim[2];
    double cost = 0.3 * (double)(A * R * B);
    if (A == 1 && B > 1)
        pn_for(B, RED_COLS, cost, I->nth, sum_cols_range, (void *)I);
    else
        pn_for(A, R * B > RED_PIECE ? 1 : RED_PIECE / (R * B + 1) + 1, cost, I->nth, sum_rows_range, (void *)I);
    return PN_OK;
}

#define RED_EXTREME(NAME, BETTER)                                                                            \
    static void NAME##_range(void *ctx, i64 lo, i64 hi, int ith) {                                           \
        const pn_instr *I = (const pn_instr *)ctx;                                                           \
        i64 R = I->dim[1], B = I->dim[2];                                                                    \
        (void)ith;                                                                                           \
        for (i64 a = lo; a < hi; a++) {                                                                      \
            const real *x = (const real *)I->arg[1] + a * R * B;                                             \
            real *y = (real *)I->arg[0] + a * B;                                                             \
            memcpy(y, x, (size_t)B * sizeof(real));                                                          \
            for (i64 r = 1; r < R; r++)                                                                      \
                for (i64 b = 0; b < B; b++) {                                                                \
                    real v = x[r * B + b], w = y[b];                                                         \
                    y[b] = (v BETTER w || v != v) && w == w ? v : w;                                         \
                }                                                                                            \
        }                                                                                                    \
    }                                                                                                        \
    static int NAME(const pn_instr *I) {                                                                     \
        i64 A = I->dim[0], per = I->dim[1] * I->dim[2];                                                      \
        pn_for(A, per > RED_PIECE ? 1 : RED_PIECE / (per + 1) + 1, (double)(A * per), I->nth, NAME##_range, (void *)I); \
        return PN_OK;                                                                                        \
    }

RED_EXTREME(max_fwd, >)
RED_EXTREME(min_fwd, <)

static void argmax_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    i64 R = I->dim[1], B = I->dim[2];
    (void)ith;
    for (i64 a = lo; a < hi; a++)
        for (i64 b = 0; b < B; b++) {
            const real *x = (const real *)I->arg[1] + a * R * B + b;
            i64 best = 0;
            for (i64 r = 1; r < R && x[best * B] == x[best * B]; r++)
                if (x[r * B] > x[best * B] || x[r * B] != x[r * B]) best = r;
            ((i64 *)I->arg[0])[a * B + b] = best;
        }
}
static int argmax_fwd(const pn_instr *I) {
    i64 A = I->dim[0], per = I->dim[1] * I->dim[2];
    pn_for(A, per > RED_PIECE ? 1 : RED_PIECE / (per + 1) + 1, (double)(A * per), I->nth, argmax_range, (void *)I);
    return PN_OK;
}
