/* Bookkeeping of a training step, so that many steps are one native call.
 *
 *   log_loss       sums[0] += n * loss, sums[1] += n; losses[*cursor] = loss    MUTATES sums f64 [2], losses f64;
 *                  IN loss [1], cursor. dim: n; 1: a loss that is not finite stops the program (PN_NONFINITE)
 *   count_correct  sums[0] += w * (prediction is right), sums[1] += w           MUTATES sums f64 [2];
 *                  IN z [N,C], t, w [N] or NULL. dim: N, C, targets: 0 labels int32 [N], 1 real [N,C]
 *                  compared by arg-max, 2 real [N,1] against z >= par[0], element by element when C > 1
 * store_rows and advance, which do not care for the dtype, are in move.h.
 */

enum { LOG_SUMS, LOG_LOSSES, LOG_LOSS, LOG_CURSOR };
enum { LOG_N, LOG_CHECK };
static int log_loss(const pn_instr *I) {
    double *sums = (double *)I->arg[LOG_SUMS], *losses = (double *)I->arg[LOG_LOSSES];
    double loss = (double)*(const real *)I->arg[LOG_LOSS], n = (double)I->dim[LOG_N];
    losses[*(const i64 *)I->arg[LOG_CURSOR]] = loss;
    if (I->dim[LOG_CHECK] && !(fabs(loss) <= 1.7976931348623157e308)) return PN_NONFINITE;
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

enum { COUNT_SUMS, COUNT_Z, COUNT_T, COUNT_W };
enum { COUNT_N, COUNT_C, COUNT_KIND };
static int count_correct(const pn_instr *I) {
    i64 N = I->dim[COUNT_N], C = I->dim[COUNT_C];
    double *sums = (double *)I->arg[COUNT_SUMS], right = 0, all = 0;
    const real *z = (const real *)I->arg[COUNT_Z], *w = (const real *)I->arg[COUNT_W];
    for (i64 i = 0; i < N; i++) {
        double share = 0, weight = w ? (double)w[i] : 1.0;
        if (I->dim[COUNT_KIND] == 0) {
            share = row_argmax(z + i * C, C) == ((const int32_t *)I->arg[COUNT_T])[i];
        } else if (I->dim[COUNT_KIND] == 1) {
            share = row_argmax(z + i * C, C) == row_argmax((const real *)I->arg[COUNT_T] + i * C, C);
        } else {
            for (i64 j = 0; j < C; j++)
                share += (z[i * C + j] > (real)I->par[0]) == (((const real *)I->arg[COUNT_T])[i * C + j] > (real)0.5);
            share /= (double)C;
        }
        right += weight * share;
        all += weight;
    }
    sums[0] += right;
    sums[1] += all;
    return PN_OK;
}
