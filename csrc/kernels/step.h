/* Bookkeeping of a training step, so that many steps are one native call.
 *
 *   log_loss       sums[0] += n * loss, sums[1] += n; losses[*cursor] = loss    MUTATES sums f64 [2], losses f64;
 *                  IN loss [1], cursor. dim[0] n, dim[1] 1: a loss that is not finite stops the program (PN_NONFINITE)
 *   count_correct  sums[0] += w * (prediction is right), sums[1] += w           MUTATES sums f64 [2];
 *                  IN z [N,C], t, w [N] or NULL. dim[0] N, dim[1] C, dim[2] targets: 0 labels int32 [N], 1 real [N,C]
 *                  compared by arg-max, 2 real [N,1] against z >= par[0], element by element when C > 1
 * store_rows and advance, which do not care for the dtype, are in move.h.
 */

static int log_loss(const pn_instr *I) {
    double *sums = (double *)I->arg[0], *losses = (double *)I->arg[1];
    double loss = (double)*(const real *)I->arg[2], n = (double)I->dim[0];
    losses[*(const i64 *)I->arg[3]] = loss;
    if (I->dim[1] && !(fabs(loss) <= 1.7976931348623157e308)) return PN_NONFINITE;
    sums[0] += n * loss;
    sums[1] += n;
    return PN_OK;
}

static i64 row_argmax(const real *x, i64 n) {
    i64 best = 0;
    for (i64 j = 1; j < n; j++)
        if (x[j] > x[best]) best = j;
    return best;
}

static int count_correct(const pn_instr *I) {
    i64 N = I->dim[0], C = I->dim[1];
    double *sums = (double *)I->arg[0], right = 0, all = 0;
    const real *z = (const real *)I->arg[1], *w = (const real *)I->arg[3];
    for (i64 i = 0; i < N; i++) {
        double share = 0, weight = w ? (double)w[i] : 1.0;
        if (I->dim[2] == 0) {
            share = row_argmax(z + i * C, C) == ((const int32_t *)I->arg[2])[i];
        } else if (I->dim[2] == 1) {
            share = row_argmax(z + i * C, C) == row_argmax((const real *)I->arg[2] + i * C, C);
        } else {
            for (i64 j = 0; j < C; j++)
                share += (z[i * C + j] > (real)I->par[0]) == (((const real *)I->arg[2])[i * C + j] > (real)0.5);
            share /= (double)C;
        }
        right += weight * share;
        all += weight;
    }
    sums[0] += right;
    sums[1] += all;
    return PN_OK;
}
