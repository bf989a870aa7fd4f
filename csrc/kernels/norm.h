/* Normalization of channels.
 *
 * Of channels: x [A, P, C] with C = G * K, statistics of the P * K values of each (a, g):
 *   y = (x - mean[a,g]) / sqrt(var[a,g] + eps) * gamma[c] + beta[c]                              norm_fwd
 *     batch norm: A = 1, G = C; group norm: A = N, G groups. OUT y, mean, var [A,G]; IN x, gamma, beta [C] or NULL.
 *   dx = gamma rstd dy - rstd mean(gamma dy) - xhat rstd mean(gamma dy xhat); dgamma = sum dy xhat; dbeta = sum dy
 *     OUT dx, dgamma, dbeta (each may be NULL); IN dy, x, mean, var, gamma                       norm_bwd
 *   y = (x - mean[c]) / sqrt(var[c] + eps) * gamma[c] + beta[c] with given mean, var             norm_apply
 *   mean = m mean + (1 - m) batch mean, var likewise                                             norm_track
 *     MUTATES mean, var [C]; IN batch mean, batch var. dim: C, par[0] = m.
 *   dim A P C G, par eps. Statistics are taken chunk by chunk, twice over a chunk in the cache, and joined in order in
 *   double precision (Chan's formula): one pass over memory, no cancellation. Parallel over chunks of rows.
 *   Scratch: two numbers per chunk and channel, and four per sample and channel (norm_scratch in pynn/ops/norm.py).
 * Outputs alias nothing, but dx may be dy in norm_bwd.
 */
enum { NORM_CHUNK = 8192, NORM_PARTS = 16 };

static i64 norm_lanes(i64 n) { return n < VW ? n : VW; }
static i64 norm_chunk_rows(i64 P, i64 C) {
    const i64 rows = NORM_CHUNK / (C > 0 ? C : 1);
    return rows < 8 ? 8 : rows > P && P > 0 ? P : rows;
}

typedef struct norm_job {
    i64 A, P, C, G, rows, chunks; /* rows of one chunk, chunks of one sample */
    real eps;
    real *y, *mean, *var, *dgamma, *dbeta;
    const real *x, *gamma, *beta, *dy;
    real *parts; /* [A * chunks][2][C] */
    real *lines; /* [A][4][C] */
    double *sums; /* [2][C] */
} norm_job;

enum { NORM_A, NORM_P, NORM_C, NORM_G };
static norm_job norm_read(const pn_instr *I) {
    norm_job j;
    memset(&j, 0, sizeof j);
    j.A = I->dim[NORM_A], j.P = I->dim[NORM_P], j.C = I->dim[NORM_C], j.G = I->dim[NORM_G];
    j.rows = norm_chunk_rows(j.P, j.C);
    j.chunks = (j.P + j.rows - 1) / j.rows;
    j.eps = (real)I->par[0];
    j.sums = (double *)I->scratch;
    j.lines = (real *)(void *)(j.sums + 2 * j.C);
    j.parts = j.lines + 4 * j.A * j.C;
    return j;
}

/* The sum over rows of f for one vector of columns, in four chains. */
#define NORM_COLUMN(sum, rows, expr)                              \
    vec sum;                                                      \
    {                                                             \
        vec t0 = vset(0), t1 = t0, t2 = t0, t3 = t0;              \
        i64 r = 0;                                                \
        for (; r + 4 <= (rows); r += 4) {                         \
            t0 = expr(t0, r);                                     \
            t1 = expr(t1, r + 1);                                 \
            t2 = expr(t2, r + 2);                                 \
            t3 = expr(t3, r + 3);                                 \
        }                                                         \
        for (; r < (rows); r++) t0 = expr(t0, r);                 \
        sum = vadd(vadd(t0, t1), vadd(t2, t3));                   \
    }

/* The same for four neighbouring vectors of columns, row by row in one chain each: long reads. Columns that fill LANES
 * are summed so, the rest in four chains. */
#define NORM_COLUMNS(s0, s1, s2, s3, rows, expr)                                                  \
    vec s0 = vset(0), s1 = s0, s2 = s0, s3 = s0;                                                  \
    for (i64 r = 0; r < (rows); r++) {                                                            \
        s0 = expr(s0, r, 0);                                                                      \
        s1 = expr(s1, r, 1);                                                                      \
        s2 = expr(s2, r, 2);                                                                      \
        s3 = expr(s3, r, 3);                                                                      \
    }

static void norm_stats(void *ctx, i64 lo, i64 hi, int ith) {
    const norm_job *j = (const norm_job *)ctx;
    (void)ith;
    for (i64 k = lo; k < hi; k++) {
        const i64 a = k / j->chunks, r0 = k % j->chunks * j->rows;
        const i64 rows = j->P - r0 < j->rows ? j->P - r0 : j->rows;
        const real *x = j->x + (a * j->P + r0) * j->C;
        real *mean = j->parts + k * 2 * j->C, *m2 = mean + j->C;
        i64 c = 0;
        for (; c < j->C / LANES * LANES; c += 4 * VW) {
            const vec count = vset((real)rows);
#define NORM_X4(r, v) vload(x + (r) * j->C + c + (v) * VW)
#define NORM_SUM4(t, r, v) vadd(t, NORM_X4(r, v))
            NORM_COLUMNS(t0, t1, t2, t3, rows, NORM_SUM4)
            const vec m[4] = {vdiv(t0, count), vdiv(t1, count), vdiv(t2, count), vdiv(t3, count)};
#define NORM_SQUARE4(t, r, v) vfma(vsub(NORM_X4(r, v), m[v]), vsub(NORM_X4(r, v), m[v]), t)
            NORM_COLUMNS(q0, q1, q2, q3, rows, NORM_SQUARE4)
            for (int v = 0; v < 4; v++) vstore(mean + c + v * VW, m[v]);
            vstore(m2 + c, q0);
            vstore(m2 + c + VW, q1);
            vstore(m2 + c + 2 * VW, q2);
            vstore(m2 + c + 3 * VW, q3);
        }
        for (; c < j->C; c += VW) {
            const i64 n = norm_lanes(j->C - c);
#define NORM_X(r) vloadn(x + (r) * j->C + c, n)
#define NORM_SUM(t, r) vadd(t, NORM_X(r))
            NORM_COLUMN(sum, rows, NORM_SUM)
            const vec m = vdiv(sum, vset((real)rows));
#define NORM_SQUARE(t, r) vfma(vsub(NORM_X(r), m), vsub(NORM_X(r), m), t)
            NORM_COLUMN(square, rows, NORM_SQUARE)
            vstoren(mean + c, m, n);
            vstoren(m2 + c, square, n);
        }
    }
}

/* Joins the chunks of sample a, then the channels of each group. */
static void norm_join(const norm_job *j, i64 a) {
    double *mean = j->sums, *m2 = mean + j->C, seen = 0;
    const i64 K = j->C / j->G;
    for (i64 c = 0; c < 2 * j->C; c++) mean[c] = 0;
    for (i64 k = 0; k < j->chunks; k++) {
        const real *pm = j->parts + (a * j->chunks + k) * 2 * j->C, *p2 = pm + j->C;
        const i64 left = j->P - k * j->rows;
        const double rows = (double)(left < j->rows ? left : j->rows), share = rows / (seen + rows);
        for (i64 c = 0; c < j->C; c++) {
            const double delta = (double)pm[c] - mean[c];
            mean[c] += delta * share;
            m2[c] += (double)p2[c] + delta * delta * seen * share;
        }
        seen += rows;
    }
    for (i64 g = 0; g < j->G; g++) {
        double m = 0, s = 0;
        for (i64 c = g * K; c < (g + 1) * K; c++) m += mean[c];
        m /= (double)K;
        for (i64 c = g * K; c < (g + 1) * K; c++) s += m2[c] + (double)j->P * (mean[c] - m) * (mean[c] - m);
        j->mean[a * j->G + g] = (real)m;
        j->var[a * j->G + g] = (real)(s / (double)(j->P * K));
    }
}

/* lines[a] = mean, scale, shift of each channel: y = (x - mean) scale + shift. */
static void norm_lines(const norm_job *j, i64 a) {
    real *line = j->lines + a * 4 * j->C;
    const i64 K = j->C / j->G;
    for (i64 c = 0; c < j->C; c++) {
        const real rstd = 1 / (real)sqrt((double)j->var[a * j->G + c / K] + (double)j->eps);
        line[c] = j->mean[a * j->G + c / K];
        line[j->C + c] = j->gamma ? j->gamma[c] * rstd : rstd;
        line[2 * j->C + c] = j->beta ? j->beta[c] : 0;
    }
}

static void norm_scale(void *ctx, i64 lo, i64 hi, int ith) {
    const norm_job *j = (const norm_job *)ctx;
    (void)ith;
    for (i64 k = lo; k < hi; k++) {
        const i64 a = k / j->chunks, r0 = k % j->chunks * j->rows;
        const i64 rows = j->P - r0 < j->rows ? j->P - r0 : j->rows, at = (a * j->P + r0) * j->C;
        const real *line = j->lines + a * 4 * j->C;
        for (i64 r = 0; r < rows; r++) {
            const real *x = j->x + at + r * j->C, *scale = line + j->C, *shift = scale + j->C;
            real *y = j->y + at + r * j->C;
            const i64 n = j->C % VW;
            i64 c = 0;
            for (; c + VW <= j->C; c += VW) /* masked stores are slow on some processors */
                vstore(y + c, vfma(vsub(vload(x + c), vload(line + c)), vload(scale + c), vload(shift + c)));
            if (n) {
                const vec d = vsub(vloadn(x + c, n), vloadn(line + c, n));
                vstoren(y + c, vfma(d, vloadn(scale + c, n), vloadn(shift + c, n)), n);
            }
        }
    }
}

enum { NORM_Y, NORM_MEAN, NORM_VAR, NORM_X, NORM_GAMMA, NORM_BETA };
static int norm_fwd(const pn_instr *I) {
    norm_job j = norm_read(I);
    const double cost = 0.2 * (double)(j.A * j.P * j.C);
    j.y = (real *)I->arg[NORM_Y], j.mean = (real *)I->arg[NORM_MEAN], j.var = (real *)I->arg[NORM_VAR];
    j.x = (const real *)I->arg[NORM_X], j.gamma = (const real *)I->arg[NORM_GAMMA], j.beta = (const real *)I->arg[NORM_BETA];
    pn_for(j.A * j.chunks, 1, cost, I->nth, norm_stats, &j);
    for (i64 a = 0; a < j.A; a++) {
        norm_join(&j, a);
        norm_lines(&j, a);
    }
    pn_for(j.A * j.chunks, 1, cost, I->nth, norm_scale, &j);
    return PN_OK;
}

/* Given statistics: OUT y; IN x, mean, var, gamma, beta. */
enum { NAPPLY_Y, NAPPLY_X, NAPPLY_MEAN, NAPPLY_VAR, NAPPLY_GAMMA, NAPPLY_BETA };
static int norm_apply(const pn_instr *I) {
    norm_job j = norm_read(I);
    j.y = (real *)I->arg[NAPPLY_Y];
    j.x = (const real *)I->arg[NAPPLY_X], j.mean = (real *)I->arg[NAPPLY_MEAN], j.var = (real *)I->arg[NAPPLY_VAR];
    j.gamma = (const real *)I->arg[NAPPLY_GAMMA], j.beta = (const real *)I->arg[NAPPLY_BETA];
    for (i64 a = 0; a < j.A; a++) norm_lines(&j, a);
    pn_for(j.A * j.chunks, 1, 0.2 * (double)(j.A * j.P * j.C), I->nth, norm_scale, &j);
    return PN_OK;
}

enum { NTRACK_MEAN, NTRACK_VAR, NTRACK_BATCH }; /* of both: mean, then variance */
enum { NTRACK_C };
static int norm_track(const pn_instr *I) {
    const real m = (real)I->par[0];
    for (int k = 0; k < 2; k++) {
        real *state = (real *)I->arg[NTRACK_MEAN + k];
        const real *batch = (const real *)I->arg[NTRACK_BATCH + k];
        for (i64 c = 0; c < I->dim[NTRACK_C]; c++) state[c] += (1 - m) * (batch[c] - state[c]);
    }
    return PN_OK;
}

/* parts = sums over a chunk's rows of dy and of dy (x - mean). */
static void norm_bwd_sums(void *ctx, i64 lo, i64 hi, int ith) {
    const norm_job *j = (const norm_job *)ctx;
    (void)ith;
    for (i64 k = lo; k < hi; k++) {
        const i64 a = k / j->chunks, r0 = k % j->chunks * j->rows, at = (a * j->P + r0) * j->C;
        const i64 rows = j->P - r0 < j->rows ? j->P - r0 : j->rows;
        const real *x = j->x + at, *dy = j->dy + at, *line = j->lines + a * 4 * j->C;
        real *part = j->parts + k * 2 * j->C;
        i64 c = 0;
        for (; c < j->C / LANES * LANES; c += 4 * VW) {
            const real *at4 = line + c;
            const vec m[4] = {vload(at4), vload(at4 + VW), vload(at4 + 2 * VW), vload(at4 + 3 * VW)};
#define NORM_DY4(r, v) vload(dy + (r) * j->C + c + (v) * VW)
            vec s[4] = {vset(0), vset(0), vset(0), vset(0)}, p[4] = {vset(0), vset(0), vset(0), vset(0)};
            for (i64 r = 0; r < rows; r++)
                for (int v = 0; v < 4; v++) {
                    s[v] = vadd(s[v], NORM_DY4(r, v));
                    p[v] = vfma(NORM_DY4(r, v), vsub(NORM_X4(r, v), m[v]), p[v]);
                }
            for (int v = 0; v < 4; v++) {
                vstore(part + c + v * VW, s[v]);
                vstore(part + j->C + c + v * VW, p[v]);
            }
        }
        for (; c < j->C; c += VW) {
            const i64 n = norm_lanes(j->C - c);
            const vec m = vloadn(line + c, n);
#define NORM_DY(r) vloadn(dy + (r) * j->C + c, n)
#define NORM_ADD(t, r) vadd(t, NORM_DY(r))
#define NORM_PRODUCT(t, r) vfma(NORM_DY(r), vsub(NORM_X(r), m), t)
            NORM_COLUMN(sum, rows, NORM_ADD)
            NORM_COLUMN(product, rows, NORM_PRODUCT)
            vstoren(part + c, sum, n);
            vstoren(part + j->C + c, product, n);
        }
    }
}

/* dx = dy scale + (x - mean) slope + shift. */
static void norm_bwd_dx(void *ctx, i64 lo, i64 hi, int ith) {
    const norm_job *j = (const norm_job *)ctx;
    (void)ith;
    for (i64 k = lo; k < hi; k++) {
        const i64 a = k / j->chunks, r0 = k % j->chunks * j->rows;
        const i64 rows = j->P - r0 < j->rows ? j->P - r0 : j->rows, at = (a * j->P + r0) * j->C;
        const real *line = j->lines + a * 4 * j->C;
        for (i64 r = 0; r < rows; r++)
            for (i64 c = 0; c < j->C; c += VW) {
                const i64 n = norm_lanes(j->C - c), i = at + r * j->C + c;
                const vec d = vsub(vloadn(j->x + i, n), vloadn(line + c, n));
                const vec s = vfma(d, vloadn(line + 2 * j->C + c, n), vloadn(line + 3 * j->C + c, n));
                vstoren(j->y + i, vfma(vloadn(j->dy + i, n), vloadn(line + j->C + c, n), s), n);
            }
    }
}

enum { NORMB_DX, NORMB_DGAMMA, NORMB_DBETA, NORMB_DY, NORMB_X, NORMB_MEAN, NORMB_VAR, NORMB_GAMMA };
static int norm_bwd(const pn_instr *I) {
    norm_job j = norm_read(I);
    const i64 K = j.C / j.G;
    const double cost = 0.3 * (double)(j.A * j.P * j.C), count = (double)(j.P * K);
    j.y = (real *)I->arg[NORMB_DX], j.dgamma = (real *)I->arg[NORMB_DGAMMA], j.dbeta = (real *)I->arg[NORMB_DBETA];
    j.dy = (const real *)I->arg[NORMB_DY], j.x = (const real *)I->arg[NORMB_X];
    j.mean = (real *)I->arg[NORMB_MEAN], j.var = (real *)I->arg[NORMB_VAR], j.gamma = (const real *)I->arg[NORMB_GAMMA];
    if (j.dgamma) memset(j.dgamma, 0, (size_t)j.C * sizeof(real));
    if (j.dbeta) memset(j.dbeta, 0, (size_t)j.C * sizeof(real));
    for (i64 a = 0; a < j.A; a++) norm_lines(&j, a);
    pn_for(j.A * j.chunks, 1, cost, I->nth, norm_bwd_sums, &j);
    for (i64 a = 0; a < j.A; a++) {
        real *line = j.lines + a * 4 * j.C;
        double *s1 = j.sums, *s2 = s1 + j.C;
        for (i64 c = 0; c < 2 * j.C; c++) s1[c] = 0;
        for (i64 k = 0; k < j.chunks; k++) {
            const real *part = j.parts + (a * j.chunks + k) * 2 * j.C;
            for (i64 c = 0; c < 2 * j.C; c++) s1[c] += (double)part[c];
        }
        for (i64 g = 0; g < j.G; g++) {
            const double rstd = 1 / sqrt((double)j.var[a * j.G + g] + (double)j.eps);
            double m1 = 0, m2 = 0;
            for (i64 c = g * K; c < (g + 1) * K; c++) {
                const double gamma = j.gamma ? (double)j.gamma[c] : 1;
                m1 += gamma * s1[c];
                m2 += gamma * s2[c];
                if (j.dbeta) j.dbeta[c] += (real)s1[c];
                if (j.dgamma) j.dgamma[c] += (real)(s2[c] * rstd);
            }
            for (i64 c = g * K; c < (g + 1) * K; c++) {
                line[2 * j.C + c] = (real)(-rstd * rstd * rstd * m2 / count);
                line[3 * j.C + c] = (real)(-rstd * m1 / count);
            }
        }
    }
    if (j.y) pn_for(j.A * j.chunks, 1, cost, I->nth, norm_bwd_dx, &j);
    return PN_OK;
}
