/* Normalization of rows: x [R, C]
 *
 *   y = (x - mean[r]) / sqrt(var[r] + eps) * gamma[c] + beta[c]                                  layer_norm_fwd
 *     OUT y, mean, rstd [R]; IN x, gamma, beta [C] or NULL. dim R C, par eps. Parallel over rows.
 *   dx, dgamma, dbeta as above                                                                   layer_norm_bwd
 *     OUT dx, dgamma, dbeta; IN dy, x, mean, rstd, gamma. Scratch: NORM_PARTS partial dgamma and dbeta.
 * Outputs alias nothing, but dx may be dy in layer_norm_bwd.
 */
enum { LNORM_Y, LNORM_MEAN, LNORM_RSTD, LNORM_X, LNORM_GAMMA, LNORM_BETA };
enum { LNORM_R, LNORM_C };
static void layer_norm_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 C = I->dim[LNORM_C];
    const real *gamma = (const real *)I->arg[LNORM_GAMMA], *beta = (const real *)I->arg[LNORM_BETA];
    (void)ith;
    for (i64 r = lo; r < hi; r++) {
        const real *x = (const real *)I->arg[LNORM_X] + r * C;
        real *y = (real *)I->arg[LNORM_Y] + r * C;
        lanes s = lanes_zero();
        LANES_WALK(C, v, c, n, s.v[v] = vadd(s.v[v], lanes_load(x + c, n)););
        const real mean = lanes_sum(s) / (real)C;
        const vec m = vset(mean);
        s = lanes_zero();
        LANES_WALK(C, v, c, n, {
            const vec d = lanes_only(vsub(lanes_load(x + c, n), m), n);
            s.v[v] = vfma(d, d, s.v[v]);
        });
        const real rstd = 1 / (real)sqrt((double)(lanes_sum(s) / (real)C) + I->par[0]);
        const vec k = vset(rstd);
        for (i64 c = 0; c < C; c += VW) {
            const i64 n = norm_lanes(C - c);
            vec v = vmul(vsub(vloadn(x + c, n), m), k);
            if (gamma) v = vmul(v, vloadn(gamma + c, n));
            if (beta) v = vadd(v, vloadn(beta + c, n));
            vstoren(y + c, v, n);
        }
        ((real *)I->arg[LNORM_MEAN])[r] = mean;
        ((real *)I->arg[LNORM_RSTD])[r] = rstd;
    }
}
static int layer_norm_fwd(const pn_instr *I) {
    const i64 C = I->dim[LNORM_C];
    pn_for(I->dim[LNORM_R], NORM_CHUNK / (C + 1) + 1, 0.4 * (double)(I->dim[LNORM_R] * C), I->nth, layer_norm_rows, (void *)I);
    return PN_OK;
}

enum { LNORMB_DX, LNORMB_DGAMMA, LNORMB_DBETA, LNORMB_DY, LNORMB_X, LNORMB_MEAN, LNORMB_RSTD, LNORMB_GAMMA };
static void layer_norm_bwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const i64 R = I->dim[LNORM_R], C = I->dim[LNORM_C], parts = R < NORM_PARTS ? R : NORM_PARTS;
    const real *gamma = (const real *)I->arg[LNORMB_GAMMA];
    (void)ith;
    for (i64 g = lo; g < hi; g++) {
        real *dgamma = (real *)I->scratch + g * 2 * C, *dbeta = dgamma + C;
        memset(dgamma, 0, (size_t)(2 * C) * sizeof(real));
        for (i64 r = R * g / parts; r < R * (g + 1) / parts; r++) {
            const real *dy = (const real *)I->arg[LNORMB_DY] + r * C, *x = (const real *)I->arg[LNORMB_X] + r * C;
            const vec m = vset(((const real *)I->arg[LNORMB_MEAN])[r]), k = vset(((const real *)I->arg[LNORMB_RSTD])[r]);
            lanes s1 = lanes_zero(), s2 = s1;
            LANES_WALK(C, v, c, n, {
                const vec d = lanes_load(dy + c, n), hat = vmul(vsub(lanes_load(x + c, n), m), k);
                const vec dg = gamma ? vmul(d, lanes_load(gamma + c, n)) : d;
                s1.v[v] = vadd(s1.v[v], dg);
                s2.v[v] = vfma(dg, hat, s2.v[v]);
                lanes_store(dgamma + c, vfma(d, hat, lanes_load(dgamma + c, n)), n);
                lanes_store(dbeta + c, vadd(d, lanes_load(dbeta + c, n)), n);
            });
            if (!I->arg[LNORMB_DX]) continue;
            const vec m1 = vset(lanes_sum(s1) / (real)C), m2 = vset(lanes_sum(s2) / (real)C);
            for (i64 c = 0; c < C; c += VW) {
                const i64 n = norm_lanes(C - c);
                const vec d = vloadn(dy + c, n), hat = vmul(vsub(vloadn(x + c, n), m), k);
                const vec dg = gamma ? vmul(d, vloadn(gamma + c, n)) : d;
                vstoren((real *)I->arg[LNORMB_DX] + r * C + c, vmul(k, vsub(vsub(dg, m1), vmul(hat, m2))), n);
            }
        }
    }
}
static int layer_norm_bwd(const pn_instr *I) {
    const i64 R = I->dim[LNORM_R], C = I->dim[LNORM_C], parts = R < NORM_PARTS ? R : NORM_PARTS;
    pn_for(parts, 1, 0.6 * (double)(R * C), I->nth, layer_norm_bwd_rows, (void *)I);
    for (int k = 0; k < 2; k++) {
        real *to = (real *)I->arg[LNORMB_DGAMMA + k];
        if (!to) continue;
        for (i64 c = 0; c < C; c++) {
            real s = 0;
            for (i64 g = 0; g < parts; g++) s += ((const real *)I->scratch)[(2 * g + k) * C + c];
            to[c] = s;
        }
    }
    return PN_OK;
}
