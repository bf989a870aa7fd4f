/* Matrix product C[m,n] (+)= op(A)[m,k] op(B)[k,n] + bias[n], with a hook on every finished block of C.
 *
 * C[i,j] = sum over blocks of k of (fma chain over the terms of the block) + bias[j]; blocks in order, their size is a
 * function of k alone (pn_gemm_kc). Masked vectors, never scalar code, do the edges. So the bits depend neither on the
 * number of threads nor on the tiling, and all ISAs with FMA agree. Matrix times vector sums in lanes instead (dots.h).
 *
 * Loops: thread's region of C > NC columns > KC terms > strip of MR rows > panel of NR columns > micro-kernel. A strip
 * of A (MR x KC) stays in L1, the block of B (KC x NC) streams from L2. Both are read as they lie, but B is packed into
 * panels when it is transposed, or its rows lie far apart and are read again and again, or it is larger than caches; a
 * strip of A when its rows, or the terms of a transposed one, would collide in L1.
 * Where AVX2's caches are small beside a large product whose A collides or is transposed, the strips of A are packed
 * and stream instead, over a panel of B that stays (gemm_large.h).
 * A B that was packed as a whole is read panel by panel instead, each once for up to GEMM_ROWS rows, with A as it lies.
 * Parallel over a grid of regions of C, each computed by one thread with its own part of the scratch memory.
 * Cost: 2 m n k flops; packing B adds about 10 / m of that.
 */
#include "../gemm_scratch.h"
#include "dots.h"
#include "gemm_args.h"

enum { GEMM_PIECES = 64, GEMM_DEPTH = 8 }; /* most pieces, and most sums of them that wait for a neighbour */

#if VW > 1
#include "gemm_micro.h"

enum {
    GEMM_NC = PN_GEMM_NC * 4 / (int)sizeof(real), /* the bytes of a block are those of float32 */
    GEMM_ROWS = 128,                              /* of A that stay in a second-level cache for a block of k */
};

#ifdef PN_AVX512
#define GEMM_FAR PN_GEMM_PAST /* second-level caches of 1 MB and more hold a smaller B as it lies */
#else
#define GEMM_FAR PN_GEMM_LARGE
#endif

#if GEMM_SUMMED
/* Whether every piece of the terms is one block of k. */
static int gemm_brief(const pn_gemm_args *g) {
    for (i64 s = 0; s < g->pieces; s++)
        if (g->cuts[2 * s + 1] - g->cuts[2 * s] > PN_GEMM_KC) return 0;
    return 1;
}
#endif

/* A tile of C whose terms are cut into pieces: their sums wait in the first-level cache. `apart`: of terms of A. */
static void gemm_pieces(gemm_kernel kernel, const gemm_tile *t, const pn_gemm_args *g, i64 apart, i64 mr, i64 nv) {
    real room[GEMM_DEPTH][32 * VW]; /* no tile has more vectors */
    const i64 size = mr * nv * VW;
    gemm_tile p = *t;
    int depth = 0;
    p.ldc = nv * VW;
    if (t->tail < VW) memset(room, 0, sizeof room); /* lanes that nobody writes are added too */
    for (i64 s = 0; s < g->pieces; s++) {
        const i64 end = g->cuts[2 * s + 1], kc = pn_gemm_kc(end - g->cuts[2 * s]);
        i64 p0 = g->cuts[2 * s];
        p.c = room[depth++];
        p.add = 0;
        do { /* once even when a piece is empty */
            p.k = end - p0 < kc ? end - p0 : kc;
            p.a = t->a + p0 * apart;
            p.b = t->b + p0 * t->ldb;
            kernel(&p);
            p.add = 1;
            p0 += kc;
        } while (p0 < end);
        for (i64 bits = s; (bits & 1 || s + 1 == g->pieces) && depth > 1; bits >>= 1, depth--)
            for (i64 i = 0; i < size; i += VW)
                vstore(room[depth - 2] + i, vadd(vload(room[depth - 2] + i), vload(room[depth - 1] + i)));
    }
    for (i64 i = 0; i < mr; i++)
        for (i64 v = 0; v < nv; v++) {
            const vec sum = vload(room[0] + (i * nv + v) * VW);
            if (v + 1 < nv || t->tail == VW) vstore(t->c + i * t->ldc + v * VW, sum);
            else vstoren(t->c + i * t->ldc + v * VW, sum, t->tail);
        }
}

#if defined(PN_AVX2) && defined(PN_REAL_F32)
#define GEMM_LARGE
#include "gemm_large.h"
#endif

/* C[r0:r1, c0:c1], start to finish, on this thread. A strip of C lies in `room`, if that is given and terms are few. */
static void gemm_region(const gemm_job *job, i64 r0, i64 r1, i64 c0, i64 c1, real *buf, real *room) {
    const pn_gemm_args *g = job->g;
    const i64 m = r1 - r0, kc = g->pieces ? g->k : pn_gemm_kc(g->k);
    const i64 most = g->pieces ? pn_gemm_pieces_nc(g->k) * 4 / (i64)sizeof(real) : GEMM_NC;
    const i64 widest = gemm_widest(m), tallest = gemm_tallest(gemm_panel(c1 - c0, widest));
    const i64 strips = (m + tallest - 1) / tallest;
    /* Rows of B, and of C, a multiple of 2 KB apart fall into few sets of the first-level cache. */
    const int few_sets = g->brs % (i64)(2048 / sizeof(real)) == 0;
    const i64 size = g->n * g->k;
    const int whole = !job->bt && buf && size >= GEMM_FAR &&
                      (strips >= 4 || (strips >= 2 && size >= (few_sets ? 2 * PN_GEMM_LARGE : PN_GEMM_LARGER)) ||
                       (size >= PN_GEMM_HUGE && m >= PN_GEMM_FEW && widest < 4));
    const int far = (g->n >= PN_GEMM_WIDE && g->brs >= PN_GEMM_WIDE) || size > PN_GEMM_BIG;
    const int again = m > PN_GEMM_TALL && m > (few_sets ? 8 : 14) * tallest;
    const int pack_b = whole || job->bt || (buf && far && again);
    /* Rows, a dozen, a multiple of 4 KB apart fall into one set of the first-level cache and would evict each other; so
     * would terms, hundreds, that are a multiple of 2 KB apart. */
    const i64 apart = job->at ? g->acs % (i64)(2048 / sizeof(real)) : g->ars % (i64)(4096 / sizeof(real));
    const int terms_far = g->k >= 32 && g->acs >= PN_GEMM_APART; /* a page each, or half */
    const int pack_a = buf && (apart == 0 || (job->at && terms_far) || (g->pieces && g->k > PN_GEMM_KC)) && c1 - c0 >= PN_GEMM_WIDE && m > GEMM_MR4;
    /* The first strip packs B, panel by panel, and has the height of the kernel that fetches the next panel meanwhile. */
    const i64 lead = pack_b && !whole && !g->pieces && tallest == GEMM_AHEAD && m > tallest ? tallest : 0;
    const i64 rest = lead ? strips - 1 : strips, low = (m - lead) / rest, extra = (m - lead) % rest - !lead;
#if GEMM_SUMMED
    const int brief = g->pieces && (job->at || pack_a) && gemm_brief(g);
#endif
#ifdef GEMM_LARGE
    if (buf && !job->bt && !g->pieces && (job->at || apart == 0) && pn_gemm_large(m, c1 - c0, g->k)) {
        gemm_region_large(job, r0, r1, c0, c1, buf);
        return;
    }
#endif
    real *abuf = !pack_b ? buf : buf + (g->pieces ? pn_gemm_pieces_part(c1 - c0, g->k) - g->k * PN_GEMM_MR : pn_gemm_block(c1 - c0, g->k));
    const int passing = room && g->k <= kc; /* C is needed by `done` alone */
    gemm_tile t;
    t.ldc = g->ldc;
    t.far = 0;
    for (i64 jc = c0; jc < c1; jc += most) {
        const i64 nc = c1 - jc < most ? c1 - jc : most;
        if (passing) t.ldc = nc;
        i64 p0 = 0;
        do { /* once even when k is 0 */
            const i64 terms = g->k - p0 < kc ? g->k - p0 : kc;
            const int last = p0 + terms == g->k;
            t.k = terms;
            t.add = g->accumulate || p0 > 0;
            if (whole) gemm_pack_b(buf, g->b + p0 * g->brs + jc, g->brs, 1, nc, terms, widest);
            for (i64 s = 0, i = r0, mr; s < strips; s++, i += mr) {
                mr = lead && s == 0 ? lead : low + (s <= extra);
                t.a = g->a + i * g->ars + p0 * g->acs;
                t.step = job->at ? g->acs : g->ars;
                if (pack_a) {
                    for (i64 q = 0; q < mr; q += VW) { /* a strip may be taller than a vector is long */
                        const i64 rows = gemm_lanes(mr - q), lanes = mr <= VW ? VW : rows; /* of whole vectors, the next covers the rest */
                        if (!job->at) gemm_flip(abuf + q, mr, t.a + q * g->ars, g->ars, rows, lanes, terms);
                        for (i64 p = 0; job->at && p < terms; p++)
                            lanes_store(abuf + p * mr + q, vloadn(t.a + p * g->acs + q, rows), lanes);
                    }
                    t.a = abuf;
                    t.step = mr;
                }
                for (i64 j = 0, nv; j < nc; j += nv * VW) {
                    nv = gemm_panel(nc - j, widest);
                    t.tail = gemm_lanes(nc - j - (nv - 1) * VW);
                    if (pack_b && !whole && s == 0) {
                        const i64 now = nc - j < nv * VW ? nc - j : nv * VW;
                        const real *from = g->b + p0 * g->brs + (jc + j) * g->bcs;
                        gemm_pack_b(buf + j * terms, from, g->brs, g->bcs, now, terms, widest);
                        if (j + now < nc) t.ahead = from + now * g->bcs;
                        else if (!last) t.ahead = g->b + (p0 + kc) * g->brs + jc * g->bcs;
                        else t.ahead = jc + nc < c1 ? g->b + (jc + nc) * g->bcs : from;
                        t.stride = job->bt ? g->bcs : g->brs;
                        t.back = job->bt ? 32 - 32 * t.stride : 0;
                    }
                    t.b = pack_b ? buf + j * terms : g->b + p0 * g->brs + jc + j;
                    t.ldb = pack_b ? nv * VW : g->brs;
                    t.c = passing ? room + j : g->c + i * g->ldc + jc + j;
                    t.bias = last && g->bias ? g->bias + jc + j : NULL;
#if GEMM_SUMMED
                    if (brief && nv == 2 && t.tail == VW && mr >= GEMM_AHEAD - 1 && mr <= GEMM_AHEAD)
                        (mr == GEMM_AHEAD ? gemm_pieces_tall : gemm_pieces_less)(&t, g->cuts, g->pieces);
                    else
#endif
                    if (g->pieces)
                        gemm_pieces(GEMM_KERNEL(mr, nv, job->at | pack_a, t.tail), &t, g, pack_a ? mr : job->at ? g->acs : 1, mr, nv);
#if GEMM_AHEAD
                    else if (lead && s == 0 && nv == 2 && t.tail == VW)
                        (job->at | pack_a ? gemm_kernel_ahead_1 : gemm_kernel_ahead_0)(&t);
#endif
                    else
                        GEMM_KERNEL(mr, nv, job->at | pack_a, t.tail)(&t);
                }
                if (last && g->epilogue) g->epilogue(g->epilogue_ctx, passing ? room : g->c + i * g->ldc + jc, t.ldc, mr, nc, i, jc);
            }
            p0 += kc;
        } while (p0 < g->k);
    }
}

/* The same with all of B packed: panel by panel, so that a panel, which may come from far, is read once for all rows. */
static void gemm_region_packed(const gemm_job *job, i64 r0, i64 r1, i64 c0, i64 c1) {
    const pn_gemm_args *g = job->g;
    const i64 kc = pn_gemm_kc(g->k), widest = gemm_widest(r1 - r0), tallest = gemm_tallest(gemm_panel(c1 - c0, widest));
    const i64 chunks = (r1 - r0 + GEMM_ROWS - 1) / GEMM_ROWS;
    gemm_tile t;
    t.ldc = g->ldc;
    t.step = job->at ? g->acs : g->ars;
    for (i64 chunk = 0; chunk < chunks; chunk++) {
        const i64 i0 = r0 + (r1 - r0) * chunk / chunks, i1 = r0 + (r1 - r0) * (chunk + 1) / chunks;
        const i64 m = i1 - i0, strips = (m + tallest - 1) / tallest;
        for (i64 jc = c0; jc < c1; jc += GEMM_NC) {
            const i64 nc = c1 - jc < GEMM_NC ? c1 - jc : GEMM_NC;
            i64 p0 = 0;
            do { /* once even when k is 0 */
                t.k = g->k - p0 < kc ? g->k - p0 : kc;
                t.add = g->accumulate || p0 > 0;
                for (i64 j = jc, nv; j < jc + nc; j += nv * VW) {
                    nv = gemm_panel(jc + nc - j, widest);
                    t.tail = gemm_lanes(jc + nc - j - (nv - 1) * VW);
                    gemm_panel_at(&t, g->packed, g->n, p0, j, nv);
                    t.bias = g->bias && p0 + t.k == g->k ? g->bias + j : NULL;
                    for (i64 s = 0, i = i0, mr; s < strips; s++, i += mr) {
                        mr = m / strips + (s < m % strips);
                        t.a = g->a + i * g->ars + p0 * g->acs;
                        t.c = g->c + i * g->ldc + j;
                        GEMM_KERNEL(mr, nv, job->at, t.tail)(&t);
                    }
                }
                p0 += kc;
            } while (p0 < g->k);
            if (g->epilogue) g->epilogue(g->epilogue_ctx, g->c + i0 * g->ldc + jc, g->ldc, m, nc, i0, jc);
        }
    }
}

static void gemm_regions(void *ctx, i64 lo, i64 hi, int ith) {
    const gemm_job *job = ctx;
    const pn_gemm_args *g = job->g;
    real *buf = job->part ? (real *)(void *)(job->scratch + ith * job->part) : NULL;
    const i64 blocks = (g->n + 31) / 32;
    for (i64 t = lo; t < hi; t++) {
        const i64 i = t / job->cols, j = t % job->cols;
        const i64 c0 = blocks * j / job->cols * 32, c1 = blocks * (j + 1) / job->cols * 32;
        const i64 r0 = g->m * i / job->rows, r1 = g->m * (i + 1) / job->rows, end = c1 < g->n ? c1 : g->n;
        if (g->packed) gemm_region_packed(job, r0, r1, c0, end);
        else gemm_region(job, r0, r1, c0, end, buf, g->room ? (real *)(void *)(g->room + ith * PN_GEMM_ROOM) : NULL);
    }
}

/* The grid of at most `parts` regions whose largest takes least time: m n for the product, the rest for packing. */
static void gemm_grid(gemm_job *job, int parts) {
    const pn_gemm_args *g = job->g;
    const i64 blocks = (g->n + 31) / 32;
    double best = INFINITY;
    for (i64 cols = 1; cols <= parts && cols <= blocks; cols++) {
        const i64 rows = parts / cols < g->m ? parts / cols : g->m;
        const double m = (double)((g->m + rows - 1) / rows), n = 32.0 * (double)((blocks + cols - 1) / cols);
        const double cost = m * n + 10 * (m + n);
        if (cost < best) {
            best = cost;
            job->rows = rows;
            job->cols = cols;
        }
    }
}

/* All of C in tiles. */
static void gemm_run(const pn_gemm_args *g, int at, int bt, void *scratch, i64 scratch_bytes, int nth) {
    gemm_job job = {g, scratch, 0, at, bt, 1, 1};
    const int parts = pn_gemm_parts(g->m, g->n, g->k, nth);
    job.part = (g->pieces ? pn_gemm_pieces_part(g->n, g->k) : pn_gemm_scratch_part(g->m, g->n, g->k, bt)) * (i64)sizeof(real);
    if (parts * job.part > scratch_bytes) job.part = 0;
    if (parts == 1) {
        if (g->packed) gemm_region_packed(&job, 0, g->m, 0, g->n);
        else gemm_region(&job, 0, g->m, 0, g->n, job.part ? scratch : NULL, (real *)(void *)g->room);
        return;
    }
    gemm_grid(&job, parts);
    pn_for(job.rows * job.cols, 1, 2.0 * (double)g->m * (double)g->n * (double)g->k / (12 * VW), parts, gemm_regions, &job);
}
#else /* plain C */
enum { GEMM_NB = 128 / sizeof(real) };

/* Rows lo..hi of C: a block of B is laid out for the compiler's own vectors, then every row takes NB sums over it. */
static void gemm_blocks(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_gemm_args *g = ctx;
    const i64 kc = pn_gemm_kc(g->k);
    real block[PN_GEMM_KC * GEMM_NB], sum[GEMM_NB];
    (void)ith;
    for (i64 j0 = 0; j0 < g->n; j0 += GEMM_NB) {
        const i64 nb = g->n - j0 < GEMM_NB ? g->n - j0 : GEMM_NB;
        i64 p0 = 0;
        do { /* once even when k is 0 */
            const i64 kb = g->k - p0 < kc ? g->k - p0 : kc;
            const int add = g->accumulate || p0 > 0;
            for (i64 p = 0; p < kb; p++)
                for (i64 j = 0; j < GEMM_NB; j++)
                    block[p * GEMM_NB + j] = j < nb ? g->b[(p0 + p) * g->brs + (j0 + j) * g->bcs] : 0;
            for (i64 i = lo; i < hi; i++) {
                const real *a = g->a + i * g->ars + p0 * g->acs;
                real *c = g->c + i * g->ldc + j0;
                for (i64 j = 0; j < GEMM_NB; j++) sum[j] = 0;
                for (i64 p = 0; p < kb; p++) {
                    const real ap = a[p * g->acs];
                    for (i64 j = 0; j < GEMM_NB; j++) sum[j] = vfma(ap, block[p * GEMM_NB + j], sum[j]);
                }
                for (i64 j = 0; j < nb; j++) c[j] = add ? c[j] + sum[j] : sum[j];
                if (g->bias && p0 + kb == g->k)
                    for (i64 j = 0; j < nb; j++) c[j] += g->bias[j0 + j];
            }
            p0 += kc;
        } while (p0 < g->k);
    }
    if (g->epilogue) g->epilogue(g->epilogue_ctx, g->c + lo * g->ldc, g->ldc, hi - lo, g->n, lo, 0);
}

/* Rows lo..hi of C whose terms are cut into pieces; B as it lies. */
static void gemm_pieces(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_gemm_args *g = ctx;
    real sum[GEMM_NB], waiting[GEMM_DEPTH][GEMM_NB];
    (void)ith;
    for (i64 i = lo; i < hi; i++)
        for (i64 j0 = 0; j0 < g->n; j0 += GEMM_NB) {
            const i64 nb = g->n - j0 < GEMM_NB ? g->n - j0 : GEMM_NB;
            int depth = 0;
            for (i64 s = 0; s < g->pieces; s++) {
                const i64 first = g->cuts[2 * s], end = g->cuts[2 * s + 1], kc = pn_gemm_kc(end - first);
                real *to = waiting[depth++];
                for (i64 p0 = first; p0 == first || p0 < end; p0 += kc + !kc) {
                    for (i64 j = 0; j < nb; j++) sum[j] = 0;
                    for (i64 p = p0; p < end && p < p0 + kc; p++) {
                        const real ap = g->a[i * g->ars + p * g->acs];
                        for (i64 j = 0; j < nb; j++) sum[j] = vfma(ap, g->b[p * g->brs + (j0 + j) * g->bcs], sum[j]);
                    }
                    for (i64 j = 0; j < nb; j++) to[j] = p0 > first ? to[j] + sum[j] : sum[j];
                }
                for (i64 bits = s; (bits & 1 || s + 1 == g->pieces) && depth > 1; bits >>= 1, depth--)
                    for (i64 j = 0; j < nb; j++) waiting[depth - 2][j] += waiting[depth - 1][j];
            }
            for (i64 j = 0; j < nb; j++) g->c[i * g->ldc + j0 + j] = waiting[0][j];
        }
}

static void gemm_run(const pn_gemm_args *g, int at, int bt, void *scratch, i64 scratch_bytes, int nth) {
    (void)at, (void)bt, (void)scratch, (void)scratch_bytes;
    pn_for(g->m, 64, (double)g->m * (double)g->n * (double)g->k * 0.3, nth, g->pieces ? gemm_pieces : gemm_blocks, (void *)g);
}
#endif

/* The product of a matrix and a vector whose rows are contiguous: C is one column (n = 1) or one row (m = 1). */
static void gemm_vector(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_gemm_args *g = ctx;
    const int col = g->n == 1;
    const real *a = col ? g->a : g->b, *x = col ? g->b : g->a;
    const i64 lda = col ? g->ars : g->bcs, ldy = col ? g->ldc : 1, ldbias = col ? 0 : 1;
    (void)ith;
    dots(g->c + lo * ldy, ldy, a + lo * lda, lda, x, hi - lo, g->k, g->accumulate, g->bias ? g->bias + lo * ldbias : NULL,
         ldbias);
    if (!g->epilogue) return;
    if (col) g->epilogue(g->epilogue_ctx, g->c + lo * ldy, g->ldc, hi - lo, 1, lo, 0);
    else g->epilogue(g->epilogue_ctx, g->c + lo, g->ldc, 1, hi - lo, 0, lo);
}

static void pn_gemm(const pn_gemm_args *g, void *scratch, i64 scratch_bytes, int nth) {
    const int at = !(g->acs == 1 || g->k == 1), bt = !(g->bcs == 1 || g->n == 1); /* read against their memory order */
    if (g->m <= 0 || g->n <= 0) return;
    if ((g->n == 1 && g->brs == 1 && !at) || (g->m == 1 && bt && g->acs == 1)) { /* bound by reading the matrix */
        pn_for(g->m * g->n, 64, 0.2 * (double)g->m * (double)g->n * (double)g->k, nth, gemm_vector, (void *)g);
        return;
    }
    if (g->n == 1 && at && g->ldc == 1) { /* the column A^T b is the row b^T A, with A as it lies */
        pn_gemm_args row = {1, g->m, g->k, g->b, 1, g->brs, g->a, g->acs, 1, g->c, g->m, g->accumulate, 0, 0, 0, 0, 0, 0};
        pn_gemm(&row, NULL, 0, nth);
        if (g->bias)
            for (i64 i = 0; i < g->m; i++) g->c[i] += g->bias[0];
        if (g->epilogue) g->epilogue(g->epilogue_ctx, g->c, g->ldc, g->m, 1, 0, 0);
        return;
    }
    gemm_run(g, at, bt, scratch, scratch_bytes, nth);
}
