/* Batch normalization of a batch in segments, whose statistics are those of all of them.
 *
 *   mean, var = those of a segment, per channel. OUT mean, var [C]; IN x. dim: as norm_fwd                    norm_part
 *   mean, var = those of all segments, joined as segments.h joins sums (Chan's formula, in double); of sums: their sums
 *     OUT mean, var [C]; IN parts [S][2][C], counts, float64 [S]; those of 0 are left out. dim: C S sums      norm_join_parts
 *   dx = gamma rstd (dy - dbeta / n - xhat dgamma / n) with the sums of all segments, par[1] = n
 *     OUT dx; IN dy, x, mean, var, gamma or NULL, dgamma, dbeta. dim: as norm_fwd, par eps n                    norm_shared_bwd
 */
enum { NPART_MEAN, NPART_VAR, NPART_X };
static int norm_part(const pn_instr *I) {
    norm_job j = norm_read(I);
    j.mean = (real *)I->arg[NPART_MEAN], j.var = (real *)I->arg[NPART_VAR], j.x = (const real *)I->arg[NPART_X];
    pn_for(j.A * j.chunks, 1, 0.2 * (double)(j.A * j.P * j.C), I->nth, norm_stats, &j);
    for (i64 a = 0; a < j.A; a++) norm_join(&j, a);
    return PN_OK;
}

typedef struct norm_share {
    double n, a, b; /* how many values; their mean and squares round it, or two sums */
} norm_share;
static norm_share norm_both(norm_share l, norm_share r, int sums) {
    if (l.n == 0 || r.n == 0) return l.n == 0 ? r : l;
    const double n = l.n + r.n, delta = r.a - l.a;
    l.b = l.b + r.b;
    if (!sums) l.b = l.b + delta * delta * l.n * (r.n / n);
    l.a += sums ? r.a : delta * (r.n / n);
    l.n = n;
    return l;
}

enum { NJOIN_MEAN, NJOIN_VAR, NJOIN_PARTS, NJOIN_COUNTS };
enum { NJOIN_C, NJOIN_S, NJOIN_SUMS };
static void norm_join_channel(const pn_instr *I, i64 c) {
    const i64 C = I->dim[NJOIN_C];
    const int sums = (int)I->dim[NJOIN_SUMS];
    norm_share held[64];
    int depth = 0;
    for (i64 s = 0; s < I->dim[NJOIN_S]; s++) {
        const real *part = (const real *)I->arg[NJOIN_PARTS] + 2 * C * s;
        norm_share *one = &held[depth++];
        one->n = ((const double *)I->arg[NJOIN_COUNTS])[s];
        one->a = (double)part[c];
        one->b = sums ? (double)part[C + c] : one->n * (double)part[C + c];
        for (i64 bits = s; bits & 1; bits >>= 1, depth--) held[depth - 2] = norm_both(held[depth - 2], held[depth - 1], sums);
    }
    for (; depth > 1; depth--) held[depth - 2] = norm_both(held[depth - 2], held[depth - 1], sums);
    ((real *)I->arg[NJOIN_MEAN])[c] = (real)held[0].a;
    ((real *)I->arg[NJOIN_VAR])[c] = (real)(sums ? held[0].b : held[0].b / held[0].n);
}
static int norm_join_parts(const pn_instr *I) {
    for (i64 c = 0; c < I->dim[NJOIN_C]; c++) norm_join_channel(I, c);
    return PN_OK;
}

enum { NSHARED_DX, NSHARED_DY, NSHARED_X, NSHARED_MEAN, NSHARED_VAR, NSHARED_GAMMA, NSHARED_DGAMMA, NSHARED_DBETA };
static void norm_shared_line(const pn_instr *I, const norm_job *j, i64 c) { /* what dx is made with, of a channel */
    const double rstd = 1 / sqrt((double)j->var[c] + (double)j->eps), scale = (j->gamma ? (double)j->gamma[c] : 1) * rstd;
    const real dgamma = ((const real *)I->arg[NSHARED_DGAMMA])[c], dbeta = ((const real *)I->arg[NSHARED_DBETA])[c];
    j->lines[2 * j->C + c] = (real)(-scale * rstd * (double)dgamma / I->par[1]);
    j->lines[3 * j->C + c] = (real)(-scale * (double)dbeta / I->par[1]);
}
static int norm_shared_bwd(const pn_instr *I) {
    norm_job j = norm_read(I);
    j.y = (real *)I->arg[NSHARED_DX], j.dy = (const real *)I->arg[NSHARED_DY], j.x = (const real *)I->arg[NSHARED_X];
    j.mean = (real *)I->arg[NSHARED_MEAN], j.var = (real *)I->arg[NSHARED_VAR];
    j.gamma = (const real *)I->arg[NSHARED_GAMMA];
    norm_lines(&j, 0);
    for (i64 c = 0; c < j.C; c++) norm_shared_line(I, &j, c);
    pn_for(j.chunks, 1, 0.3 * (double)(j.P * j.C), I->nth, norm_bwd_dx, &j);
    return PN_OK;
}
