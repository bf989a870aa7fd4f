/* Normalization across channels (Krizhevsky et al. 2012): x [R, C]
 *
 *   y[c] = x[c] d[c]^-b,  d[c] = k + a sum over |j - c| <= radius of x[j]^2                      lrn_fwd, lrn_bwd
 *     OUT y; IN x. OUT dx; IN dy, x. dim R C radius, par k a b. Scratch: blocks of rows per thread. Parallel over rows.
 * Outputs alias nothing.
 */
/* Rows are worked on in blocks, so that what is stored has left the store buffer before windows of it are loaded. */
enum { LRN_ROWS = 16 };

/* `line` has `radius` zeros on both sides of C values; returns the sum over a window at c. */
static inline vec lrn_window(const real *line, i64 c, i64 radius) {
    vec s = vset(0);
    for (i64 k = 0; k <= 2 * radius; k++) s = vadd(s, vload(line + c + k));
    return s;
}
static i64 lrn_room(i64 C, i64 radius) { return (C + 2 * radius + 2 * VW + 15) & ~(i64)15; }

/* d^-b; the exponents in use are roots. */
static inline vec lrn_power(vec d, double b) {
    if (b == 0.75) {
        const vec root = vsqrt(d);
        return vdiv(vset(1), vmul(root, vsqrt(root)));
    }
    if (b == 0.5) return vdiv(vset(1), vsqrt(d));
    if (b == 1) return vdiv(vset(1), d);
    return vpow(d, vset((real)-b));
}

static void lrn_square(real *squares, const real *x, i64 rows, i64 C, i64 radius, i64 room) {
    for (i64 r = 0; r < rows; r++)
        for (i64 c = 0; c < C; c += VW) {
            const i64 n = norm_lanes(C - c);
            const vec v = vloadn(x + r * C + c, n);
            vstoren(squares + r * room + radius + c, vmul(v, v), n);
        }
}

enum { LRN_Y, LRN_X };
enum { LRN_R, LRN_C, LRN_RADIUS };
static void lrn_fwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[LRN_C], radius = I->dim[LRN_RADIUS], room = lrn_room(C, radius);
    const vec k = vset((real)I->par[0]), a = vset((real)I->par[1]);
    real *squares = (real *)I->scratch + ith * 2 * LRN_ROWS * room;
    memset(squares, 0, (size_t)(LRN_ROWS * room) * sizeof(real));
    for (i64 first = lo; first < hi; first += LRN_ROWS) {
        const i64 rows = hi - first < LRN_ROWS ? hi - first : LRN_ROWS;
        const real *x = (const real *)I->arg[LRN_X] + first * C;
        real *y = (real *)I->arg[LRN_Y] + first * C;
        lrn_square(squares, x, rows, C, radius, room);
        for (i64 r = 0; r < rows; r++)
            for (i64 c = 0; c < C; c += VW) {
                const i64 n = norm_lanes(C - c), at = r * C + c;
                const vec d = vfma(a, lrn_window(squares + r * room, c, radius), k);
                vstoren(y + at, vmul(vloadn(x + at, n), lrn_power(d, I->par[2])), n);
            }
    }
}

/* dx = dy d^-b - 2 a b x sum over the window of dy x d^(-b-1). */
enum { LRNB_DX, LRNB_DY, LRNB_X };
static void lrn_bwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[LRN_C], radius = I->dim[LRN_RADIUS], room = lrn_room(C, radius);
    const vec k = vset((real)I->par[0]), a = vset((real)I->par[1]);
    const vec twice = vset((real)(-2 * I->par[1] * I->par[2]));
    real *squares = (real *)I->scratch + ith * 2 * LRN_ROWS * room, *terms = squares + LRN_ROWS * room;
    memset(squares, 0, (size_t)(2 * LRN_ROWS * room) * sizeof(real));
    for (i64 first = lo; first < hi; first += LRN_ROWS) {
        const i64 rows = hi - first < LRN_ROWS ? hi - first : LRN_ROWS;
        const real *dy = (const real *)I->arg[LRNB_DY] + first * C, *x = (const real *)I->arg[LRNB_X] + first * C;
        real *dx = (real *)I->arg[LRNB_DX] + first * C;
        lrn_square(squares, x, rows, C, radius, room);
        for (i64 r = 0; r < rows; r++)
            for (i64 c = 0; c < C; c += VW) {
                const i64 n = norm_lanes(C - c), at = r * C + c;
                const vec d = vfma(a, lrn_window(squares + r * room, c, radius), k);
                const vec p = vmul(vloadn(dy + at, n), lrn_power(d, I->par[2]));
                vstoren(terms + r * room + radius + c, vdiv(vmul(p, vloadn(x + at, n)), d), n);
                vstoren(dx + at, p, n);
            }
        for (i64 r = 0; r < rows; r++)
            for (i64 c = 0; c < C; c += VW) {
                const i64 n = norm_lanes(C - c), at = r * C + c;
                const vec s = vmul(vmul(twice, vloadn(x + at, n)), lrn_window(terms + r * room, c, radius));
                vstoren(dx + at, vadd(vloadn(dx + at, n), s), n);
            }
    }
}
static int lrn_fwd(const pn_instr *I) {
    const i64 C = I->dim[LRN_C];
    pn_for(I->dim[LRN_R], NORM_CHUNK / (C + 1) + 1, 2.0 * (double)(I->dim[LRN_R] * C), I->nth, lrn_fwd_rows, (void *)I);
    return PN_OK;
}
static int lrn_bwd(const pn_instr *I) {
    const i64 C = I->dim[LRN_C];
    pn_for(I->dim[LRN_R], NORM_CHUNK / (C + 1) + 1, 3.0 * (double)(I->dim[LRN_R] * C), I->nth, lrn_bwd_rows, (void *)I);
    return PN_OK;
}
