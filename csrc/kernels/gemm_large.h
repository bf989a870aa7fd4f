/* Products of many rows, columns and terms: a panel of B stays in the first-level cache, and strips of A, packed too,
 * stream from the second. Included by gemm.h, after gemm_micro.h.
 *
 * Loops: LONG columns > KC terms > MANY rows > panel of B > strip of A > micro-kernel; the order of every sum is that of
 * gemm_region. A strip is read at a third of the rate of a panel, so this order suits second-level caches of 512 KB; the
 * packing of A, once per LONG columns, is worth it where rows or terms of A as it lies would miss anyway.
 */
#include "../gemm_scratch.h"
#include "gemm_args.h"

/* Strips of op(A)[., terms], one after the other with a vector's room between: `low` rows each, the first `extra` one more. */
static void gemm_pack_a(real *dst, const gemm_job *job, i64 i0, i64 p0, i64 terms, i64 strips, i64 low, i64 extra) {
    const pn_gemm_args *g = job->g;
    const real *a = g->a + i0 * g->ars + p0 * g->acs;
    const i64 together = job->at ? GEMM_TOGETHER : terms; /* rows of memory are read to their end, some at a time */
    for (i64 q = 0; q < terms; q += together) {
        const i64 count = terms - q < together ? terms - q : together;
        const real *from = a + q * g->acs;
        real *to = dst;
        for (i64 s = 0; s < strips; s++) {
            const i64 mr = low + (s < extra);
            if (!job->at) gemm_flip(to, mr, from, g->ars, mr, VW, terms);
            for (i64 u = 0; job->at && u < count; u++) vstore(to + (q + u) * mr, vloadn(from + u * g->acs, mr));
            from += mr * g->ars;
            to += mr * terms + VW;
        }
    }
}

/* C[r0:r1, c0:c1], start to finish, on this thread. */
static void gemm_region_large(const gemm_job *job, i64 r0, i64 r1, i64 c0, i64 c1, real *buf) {
    const pn_gemm_args *g = job->g;
    const i64 kc = pn_gemm_kc(g->k), chunks = (r1 - r0 + PN_GEMM_MANY - 1) / PN_GEMM_MANY;
    real *bbuf = buf + pn_gemm_strips(kc);
    gemm_tile t;
    t.ldc = g->ldc;
    t.far = 0;
    for (i64 jc = c0; jc < c1; jc += PN_GEMM_LONG) {
        const i64 nc = c1 - jc < PN_GEMM_LONG ? c1 - jc : PN_GEMM_LONG;
        for (i64 p0 = 0; p0 < g->k; p0 += kc) {
            const int last = p0 + kc >= g->k;
            t.k = last ? g->k - p0 : kc;
            t.add = g->accumulate || p0 > 0;
            gemm_pack_b(bbuf, g->b + p0 * g->brs + jc, g->brs, 1, nc, t.k, 2);
            for (i64 chunk = 0; chunk < chunks; chunk++) {
                const i64 i0 = r0 + (r1 - r0) * chunk / chunks, m = r0 + (r1 - r0) * (chunk + 1) / chunks - i0;
                const i64 strips = (m + GEMM_MR2 - 1) / GEMM_MR2, low = m / strips, extra = m % strips;
                gemm_pack_a(buf, job, i0, p0, t.k, strips, low, extra);
                for (i64 j = 0, nv; j < nc; j += nv * VW) {
                    nv = gemm_panel(nc - j, 2);
                    t.tail = gemm_lanes(nc - j - (nv - 1) * VW);
                    t.b = bbuf + j * t.k;
                    t.ldb = nv * VW;
                    t.bias = last && g->bias ? g->bias + jc + j : NULL;
                    t.a = buf;
                    for (i64 s = 0, i = i0; s < strips; s++) {
                        t.step = low + (s < extra);
                        t.c = g->c + i * g->ldc + jc + j;
                        GEMM_KERNEL(t.step, nv, 1, t.tail)(&t);
                        t.a += t.step * t.k + VW;
                        i += t.step;
                    }
                }
                if (last && g->epilogue) g->epilogue(g->epilogue_ctx, g->c + i0 * g->ldc + jc, g->ldc, m, nc, i0, jc);
            }
        }
    }
}
