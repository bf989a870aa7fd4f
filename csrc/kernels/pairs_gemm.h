/* The matrix product of gemm.h with operands as pairs of bfloat16 (pairs.h), and what recurrent layers use of it.
 *
 * Every operand is packed: a block of B (KC x NC) into panels, for each chunk of rows; strips of A row by row, once for all
 * blocks of B. C[i,j] is a sum over blocks of k, in order, so the bits do not depend on the tiling or on the threads.
 * Products too small to be worth the packing (pn_pairs_worth) are taken in float32.
 */
typedef struct pairs_job {
    const pn_gemm_call *g;
    real *scratch;
    i64 part, rows, cols; /* elements of scratch of one thread; the grid of regions */
    int planes;
} pairs_job;

#ifdef PN_AMX
enum { PAIRS_MOST = PN_AMX_KC };
#define PAIRS_LANES(terms) (((terms) + 31) / 32 * 16) /* whole tile registers */
#else
enum { PAIRS_MOST = PN_PAIRS_KC };
#define PAIRS_LANES(terms) CONV_LANES(terms)
#endif

/* A block of B in panels, k terms of n columns, and zeros up to so many lanes. */
static void pairs_panels(real *to, i64 lo, const real *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows, i64 lanes) {
    if (bcs == 1) { /* two rows at a time, to their end: rows may lie in a page each, where nothing else looks ahead */
        for (i64 p = 0; p < 2 * lanes; p += 2) {
            real *at = to + p / 2 * conv_width(n, rows);
            for (i64 j = 0, width; j < n; j += width) {
                width = conv_width(n - j, rows);
                PN_FETCH(b + (p + GEMM_ROWS_AHEAD) * brs + j, 0, 3);
                PN_FETCH(b + (p + GEMM_ROWS_AHEAD + 1) * brs + j, 0, 3);
                for (i64 v = 0; v < width; v += VW) {
                    const vec x = p < k ? pairs_some(b + p * brs + j + v, n - j - v) : vset(0);
                    const vec y = p + 1 < k ? pairs_some(b + (p + 1) * brs + j + v, n - j - v) : vset(0);
                    pairs_store(at + v, pairs_of(x, y), VW);
                    if (lo) pairs_store(at + lo + v, pairs_of(pairs_rest(x), pairs_rest(y)), VW);
                }
                /* The same pair of rows of the next panel, which may be narrower. */
                at += lanes * width - p / 2 * (width - conv_width(n - j - width > 0 ? n - j - width : 1, rows));
            }
        }
        return;
    }
    for (i64 j = 0, width; j < n; j += width, to += lanes * width) {
        width = conv_width(n - j, rows);
        pairs_pack(to, lo, width, b + j * bcs, brs, bcs, pn_conv_min(width, n - j), k);
        for (i64 p = CONV_LANES(k); p < lanes; p++)
            for (i64 v = 0; v < width; v += VW) {
                vstore(to + p * width + v, vset(0));
                if (lo) vstore(to + lo + p * width + v, vset(0));
            }
    }
}

/* A strip of A, and zeros up to whole registers. */
static void pairs_rows_of(real *to, i64 lo, i64 ld, const real *a, i64 ars, i64 acs, i64 m, i64 k) {
    pairs_strip(to, lo, ld, a, ars, acs, m, k);
    for (i64 p = CONV_LANES(k); p < PAIRS_LANES(k); p++)
        for (i64 i = 0; i < m; i++) {
            to[i * ld + p] = 0;
            if (lo) to[lo + i * ld + p] = 0;
        }
}

static void pairs_region(const pairs_job *job, i64 r0, i64 r1, i64 c0, i64 c1, real *buf, real *room) {
    const pn_gemm_call *g = job->g;
    const i64 kc = pn_pairs_kc(g->k, PAIRS_MOST), most = pn_pairs_nc(kc, job->planes), lanes = kc / 2;
    const i64 blocks = (c1 - c0 + most - 1) / most, columns = ((c1 - c0 + blocks - 1) / blocks + 31) & ~(i64)31;
    const i64 tallest = conv_tallest(conv_width(c1 - c0, r1 - r0)), rows = pn_pairs_mc(kc, job->planes);
    const i64 chunks = (r1 - r0 + rows - 1) / rows, plane = tallest * lanes;
    real *const strips_at = buf + job->planes * lanes * most;
    const int passing = room && g->k <= kc; /* C is needed by `done` alone */
    conv_tile t;
    memset(&t, 0, sizeof t);
    t.n1 = t.n2 = 1;
    t.step = lanes;
    t.ldc = g->ldc;
    t.alo = job->planes > 1 ? plane : 0;
    t.blo = job->planes > 1 ? lanes * most : 0;
    for (i64 p0 = 0; p0 < g->k; p0 += kc) {
        const i64 terms = g->k - p0 < kc ? g->k - p0 : kc;
        const int last = p0 + terms == g->k;
        t.len = PAIRS_LANES(terms);
        t.add = g->accumulate || p0 > 0;
        t.relu = last && g->act == PN_ACT_relu;
        for (i64 chunk = 0; chunk < chunks; chunk++) {
            const i64 i0 = r0 + (r1 - r0) * chunk / chunks, m = r0 + (r1 - r0) * (chunk + 1) / chunks - i0;
            const i64 strips = (m + tallest - 1) / tallest, low = conv_low(m, strips), extra = m - low * strips;
            for (i64 jc = c0; jc < c1; jc += columns) {
                const i64 nc = c1 - jc < columns ? c1 - jc : columns;
                if (passing) t.ldc = nc;
                if (chunk == 0 || blocks > 1)
                    pairs_panels(buf, t.blo, (const real *)g->b + p0 * g->brs + jc * g->bcs, g->brs, g->bcs, nc, terms, r1 - r0, t.len);
                for (i64 s = 0, i = i0, mr; s < strips; s++, i += mr) {
                    real *const strip = strips_at + s * job->planes * plane;
                    mr = pn_conv_min(low + (s < extra), i0 + m - i);
                    if (jc == c0)
                        pairs_rows_of(strip, t.alo, lanes, (const real *)g->a + i * g->ars + p0 * g->acs, g->ars, g->acs, mr, terms);
                    t.a = strip;
                    t.b = buf;
                    for (i64 j = 0, width; j < nc; j += width, t.b += width * t.len) {
                        width = conv_width(nc - j, r1 - r0);
                        t.cols = pn_conv_min(width, nc - j);
                        t.c = passing ? room + j : (real *)g->c + i * g->ldc + jc + j;
                        t.bias = last && g->bias ? (const real *)g->bias + jc + j : NULL;
                        conv_tile_call(&t, mr, width, 0);
                    }
                    for (i64 k = 0; last && !t.relu && g->act != PN_ACT_NONE && k < mr; k++)
                        pn_act_apply(g->act, (real)g->act_par, (real *)g->c + (i + k) * g->ldc + jc, nc);
                    if (last && g->done) g->done(g->done_ctx, passing ? room : (real *)g->c + i * g->ldc + jc, t.ldc, mr, nc, i, jc);
                }
            }
        }
    }
}

static void pairs_regions(void *ctx, i64 lo, i64 hi, int ith) {
    const pairs_job *job = ctx;
    const pn_gemm_call *g = job->g;
    const i64 blocks = (g->n + 31) / 32;
    pairs_begin();
    for (i64 t = lo; t < hi; t++) {
        const i64 i = t / job->cols, j = t % job->cols;
        const i64 c0 = blocks * j / job->cols * 32, c1 = blocks * (j + 1) / job->cols * 32;
        pairs_region(job, g->m * i / job->rows, g->m * (i + 1) / job->rows, c0, c1 < g->n ? c1 : g->n,
                     job->scratch + ith * job->part, g->room ? (real *)(void *)((char *)g->room + ith * PN_GEMM_ROOM) : NULL);
    }
    pairs_end();
}

static void pairs_gemm(const pn_gemm_call *g, void *scratch, i64 scratch_bytes, int nth, int planes) {
    const double flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    pairs_job job = {g, scratch, 0, 1, 1, planes};
    if (!pn_pairs_worth(g->m, g->n, g->k)) {
        pn_ops_AVX512.gemm(g, scratch, scratch_bytes, nth);
        return;
    }
    const int parts = pn_gemm_parts(g->m, g->n, g->k, nth);
    job.part = pn_pairs_scratch_part(g->m, g->k, planes);
    if (parts > 1) {
        gemm_job grid = {NULL, NULL, 0, 0, 0, 1, 1};
        pn_gemm_args sizes = {g->m, g->n, g->k, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        grid.g = &sizes;
        gemm_grid(&grid, parts);
        job.rows = grid.rows;
        job.cols = grid.cols;
    }
    pn_for(job.rows * job.cols, 1, flops / (24 * VW), parts, pairs_regions, &job);
}
static void pairs_gemm_medium(const pn_gemm_call *g, void *scratch, i64 bytes, int nth) {
    pairs_gemm(g, scratch, bytes, nth, 1);
}
static void pairs_gemm_high(const pn_gemm_call *g, void *scratch, i64 bytes, int nth) {
    pairs_gemm(g, scratch, bytes, nth, 2);
}

/* The weights of a recurrent layer: block by block of k, each with its planes one after the other. */
static i64 pairs_columns(i64 n, i64 rows) {
    i64 sum = 0;
    for (i64 j = 0, width; j < n; j += width, sum += width) width = conv_width(n - j, rows);
    return sum;
}

static void pairs_pack_all(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows, int planes) {
    const i64 wide = pairs_columns(n, rows);
    real *to = dst;
    for (i64 p = 0; p < k; p += PN_PAIRS_STEP) {
        const i64 terms = k - p < PN_PAIRS_STEP ? k - p : PN_PAIRS_STEP, plane = CONV_LANES(terms) * wide;
        pairs_panels(to, planes > 1 ? plane : 0, (const real *)b + p * brs, brs, bcs, n, terms, rows, CONV_LANES(terms));
        to += planes * plane;
    }
}

static void pairs_product(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, i64 ldc, int add,
                          i64 rows, int planes) {
    const i64 wide = pairs_columns(n, rows), tallest = conv_tallest(conv_width(n, rows));
    const i64 strips = (m + tallest - 1) / tallest, low = conv_low(m, strips), extra = m - low * strips;
    real strip[2 * PN_PAIRS_MR * PN_PAIRS_STEP / 2];
    const real *b = packed;
    conv_tile t;
    memset(&t, 0, sizeof t);
    t.n1 = t.n2 = 1;
    t.step = PN_PAIRS_STEP / 2;
    t.ldc = ldc;
    t.a = strip;
    pairs_begin();
    for (i64 p = 0; p < k; p += PN_PAIRS_STEP) {
        const i64 terms = k - p < PN_PAIRS_STEP ? k - p : PN_PAIRS_STEP, plane = CONV_LANES(terms) * wide;
        t.len = CONV_LANES(terms);
        t.add = add || p > 0;
        t.alo = planes > 1 ? PN_PAIRS_MR * PN_PAIRS_STEP / 2 : 0;
        t.blo = planes > 1 ? plane : 0;
        for (i64 s = 0, i = 0, mr; s < strips; s++, i += mr) {
            mr = pn_conv_min(low + (s < extra), m - i);
            pairs_strip(strip, t.alo, t.step, (const real *)a + i * lda + p, lda, 1, mr, terms);
            t.b = b;
            for (i64 j = 0, width; j < n; j += width, t.b += width * t.len) {
                width = conv_width(n - j, rows);
                t.cols = pn_conv_min(width, n - j);
                t.c = (real *)c + i * ldc + j;
                conv_tile_call(&t, mr, width, 0);
            }
        }
        b += planes * plane;
    }
    pairs_end();
}
#define PAIRS_DEFINE(name, planes) \
    static void pairs_pack_##name(void *dst, const void *b, i64 brs, i64 bcs, i64 n, i64 k, i64 rows) { \
        pairs_pack_all(dst, b, brs, bcs, n, k, rows, planes); \
    } \
    static void pairs_product_##name(i64 m, i64 n, i64 k, const void *a, i64 lda, const void *packed, void *c, \
                                     i64 ldc, int add, i64 rows) { \
        pairs_product(m, n, k, a, lda, packed, c, ldc, add, rows, planes); \
    }
PAIRS_DEFINE(medium, 1)
PAIRS_DEFINE(high, 2)

#define PN_PRODUCTS_INIT \
    {{pairs_gemm_medium, pairs_pack_medium, pairs_product_medium}, {pairs_gemm_high, pairs_pack_high, pairs_product_high}}
