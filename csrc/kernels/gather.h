/* Moving rows with arithmetic.
 *
 *   take_bwd       dx[a, idx[i], :] += dy[a, i, :]; dx starts at 0     OUT dx; IN dy, idx. dims as `take`, dim[3] = B
 *   batch_scaled   y[i, :] = scale * x[perm[offset + i], :]            OUT y [N,B]; IN x uint8 [rows,B], perm, offset
 *     dim[0] N, dim[1] B; par[0] scale (1/255 for images). batch_rows in move.h is the same without arithmetic
 * take_bwd is parallel over A only, so every sum is taken in the order of i. No aliasing.
 */

static void take_bwd_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    i64 rows = I->dim[1], count = I->dim[2], B = I->dim[3];
    (void)ith;
    for (i64 a = lo; a < hi; a++) {
        real *dx = (real *)I->arg[0] + a * rows * B;
        const real *dy = (const real *)I->arg[1] + a * count * B;
        memset(dx, 0, (size_t)(rows * B) * sizeof(real));
        for (i64 i = 0; i < count; i++) {
            i64 at = I->dim[4] ? ((const int32_t *)I->arg[2])[i] : ((const i64 *)I->arg[2])[i];
            real *to = dx + (at < 0 ? at + rows : at) * B;
            const real *from = dy + i * B;
            i64 j = 0;
            for (; j + VW <= B; j += VW) vstore(to + j, vadd(vload(to + j), vload(from + j)));
            if (j < B) vstoren(to + j, vadd(vloadn(to + j, B - j), vloadn(from + j, B - j)), B - j);
        }
    }
}
static int take_bwd(const pn_instr *I) {
    i64 A = I->dim[0];
    pn_for(A, 1, (double)(A * (I->dim[1] + I->dim[2]) * I->dim[3]), I->nth, take_bwd_range, (void *)I);
    return PN_OK;
}

static void batch_scaled_range(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    i64 B = I->dim[1];
    const i64 *perm = (const i64 *)I->arg[2] + *(const i64 *)I->arg[3];
    real scale = (real)I->par[0];
    (void)ith;
    for (i64 i = lo; i < hi; i++) {
        const uint8_t *x = (const uint8_t *)I->arg[1] + perm[i] * B;
        real *y = (real *)I->arg[0] + i * B;
        for (i64 j = 0; j < B; j++) y[j] = scale * (real)x[j];
    }
}
static int batch_scaled(const pn_instr *I) {
    pn_for(I->dim[0], 16, 0.15 * (double)(I->dim[0] * I->dim[1]), I->nth, batch_scaled_range, (void *)I);
    return PN_OK;
}
