/* Pooling of images (NHWC) over windows of any size and step; what lies outside the image does not count.
 *
 *   y[n,i,j,c] = max over the window of x                 max_pool_fwd   OUT y, index; IN x
 *   dx[n,i,j,c] = sum of dy over the windows whose maximum lies there   max_pool_bwd   OUT dx; IN dy, index
 *   y[n,i,j,c] = mean over the window of x                avg_pool_fwd   OUT y; IN x
 *   dx[n,i,j,c] = sum over windows of dy / their size     avg_pool_bwd   OUT dx; IN dy
 *
 * index: the place of the maximum in its window (row * kw + column), one byte, or an int32 where kh kw > 256; the first
 * of equal values, NaN comes through and counts as largest.
 * dim: N H W C KH KW SH SW PT PL OH OW, then bytes per index (1 or 4).
 * x, dx [N,H,W,C]; y, dy, index [N,OH,OW,C]. Parallel over rows of the output (of dx for gradients, which gather, so
 * every element is written once, in a fixed order). One pass: reads x once (overlaps from the cache), no scratch.
 * Outputs alias nothing.
 */
typedef struct pool_dims {
    i64 n, h, w, c, kh, kw, sh, sw, pt, pl, oh, ow, bytes;
} pool_dims;

static pool_dims pool_read(const i64 *d) {
    pool_dims p = {d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12]};
    return p;
}

/* The part [lo, hi) of a window of k that begins at `start` and lies in [0, size). */
#define POOL_CLIP(lo, hi, start, k, size) \
    const i64 lo = (start) < 0 ? -(start) : 0, hi = (start) + (k) > (size) ? (size) - (start) : (k)
/* The windows [lo, hi) that see pixel i of the axis. */
#define POOL_SEEN(lo, hi, i, k, stride, pad, outs)                            \
    const i64 lo = (i) + (pad) < (k) ? 0 : ((i) + (pad) - (k)) / (stride) + 1; \
    const i64 hi = ((i) + (pad)) / (stride) + 1 > (outs) ? (outs) : ((i) + (pad)) / (stride) + 1

/* Up to VW indices, as numbers. */
static inline vec pool_load(const void *index, i64 at, i64 bytes, i64 n) {
#if VW == 16
    if (bytes == 1)
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vfirst(n), (const uint8_t *)index + at)));
    return _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(vfirst(n), (const int32_t *)index + at));
#else
    real t[VW] = {0};
    for (i64 i = 0; i < n; i++)
        t[i] = bytes == 1 ? (real)((const uint8_t *)index)[at + i] : (real)((const int32_t *)index)[at + i];
    return vload(t);
#endif
}
static inline void pool_store(void *index, i64 at, i64 bytes, vec v, i64 n) {
#if VW == 16
    if (bytes == 1) _mm512_mask_cvtepi32_storeu_epi8((uint8_t *)index + at, vfirst(n), _mm512_cvtps_epi32(v));
    else _mm512_mask_storeu_epi32((int32_t *)index + at, vfirst(n), _mm512_cvtps_epi32(v));
#else
    real t[VW];
    vstore(t, v);
    for (i64 i = 0; i < n; i++)
        if (bytes == 1) ((uint8_t *)index)[at + i] = (uint8_t)t[i];
        else ((int32_t *)index)[at + i] = (int32_t)t[i];
#endif
}

static void max_pool_fwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const pool_dims d = pool_read(I->dim);
    (void)ith;
    for (i64 row = lo; row < hi; row++) {
        const i64 n = row / d.oh, top = row % d.oh * d.sh - d.pt;
        POOL_CLIP(r0, r1, top, d.kh, d.h);
        for (i64 j = 0; j < d.ow; j++) {
            const i64 left = j * d.sw - d.pl, at = (row * d.ow + j) * d.c;
            POOL_CLIP(s0, s1, left, d.kw, d.w);
            const real *x = (const real *)I->arg[2] + ((n * d.h + top) * d.w + left) * d.c;
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 lanes = d.c - c < VW ? d.c - c : VW;
                vec best = vloadn(x + (r0 * d.w + s0) * d.c + c, lanes), where = vset((real)(r0 * d.kw + s0));
                for (i64 r = r0; r < r1; r++)
                    for (i64 s = s0; s < s1; s++) {
                        const vec v = vloadn(x + (r * d.w + s) * d.c + c, lanes);
                        const mask keep = vle(v, best), stuck = visnan(best);
                        where = vsel(stuck, where, vsel(keep, where, vset((real)(r * d.kw + s))));
                        best = vsel(stuck, best, vsel(keep, best, v));
                    }
                vstoren((real *)I->arg[0] + at + c, best, lanes);
                pool_store(I->arg[1], at + c, d.bytes, where, lanes);
            }
        }
    }
}

static void max_pool_bwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const pool_dims d = pool_read(I->dim);
    (void)ith;
    for (i64 row = lo; row < hi; row++) {
        const i64 n = row / d.h, i = row % d.h;
        POOL_SEEN(r0, r1, i, d.kh, d.sh, d.pt, d.oh);
        for (i64 j = 0, s0 = 0, s1 = 0; j < d.w; j++) { /* the windows [s0, s1) see column j */
            while (s1 < d.ow && s1 * d.sw - d.pl <= j) s1++;
            while (s0 < s1 && s0 * d.sw - d.pl + d.kw <= j) s0++;
            real *dx = (real *)I->arg[0] + (row * d.w + j) * d.c;
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 lanes = d.c - c < VW ? d.c - c : VW;
                vec sum = vset(0);
                for (i64 r = r0; r < r1; r++)
                    for (i64 s = s0; s < s1; s++) {
                        const i64 at = ((n * d.oh + r) * d.ow + s) * d.c + c;
                        const i64 tap = (i + d.pt - r * d.sh) * d.kw + j + d.pl - s * d.sw;
                        const mask here = veq(pool_load(I->arg[2], at, d.bytes, lanes), vset((real)tap));
                        sum = vadd(sum, vsel(here, vloadn((const real *)I->arg[1] + at, lanes), vset(0)));
                    }
                vstoren(dx + c, sum, lanes);
            }
        }
    }
}

static void avg_pool_fwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const pool_dims d = pool_read(I->dim);
    (void)ith;
    for (i64 row = lo; row < hi; row++) {
        const i64 n = row / d.oh, top = row % d.oh * d.sh - d.pt;
        POOL_CLIP(r0, r1, top, d.kh, d.h);
        for (i64 j = 0; j < d.ow; j++) {
            const i64 left = j * d.sw - d.pl;
            POOL_CLIP(s0, s1, left, d.kw, d.w);
            const real *x = (const real *)I->arg[1] + ((n * d.h + top) * d.w + left) * d.c;
            const vec share = vset(1 / (real)((r1 - r0) * (s1 - s0)));
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 lanes = d.c - c < VW ? d.c - c : VW;
                vec sum = vset(0);
                for (i64 r = r0; r < r1; r++)
                    for (i64 s = s0; s < s1; s++) sum = vadd(sum, vloadn(x + (r * d.w + s) * d.c + c, lanes));
                vstoren((real *)I->arg[0] + (row * d.ow + j) * d.c + c, vmul(sum, share), lanes);
            }
        }
    }
}

static void avg_pool_bwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const pool_dims d = pool_read(I->dim);
    const real whole = 1 / (real)(d.kh * d.kw);
    (void)ith;
    for (i64 row = lo; row < hi; row++) {
        const i64 n = row / d.h, i = row % d.h;
        POOL_SEEN(r0, r1, i, d.kh, d.sh, d.pt, d.oh);
        for (i64 j = 0, s0 = 0, s1 = 0; j < d.w; j++) { /* the windows [s0, s1) see column j */
            while (s1 < d.ow && s1 * d.sw - d.pl <= j) s1++;
            while (s0 < s1 && s0 * d.sw - d.pl + d.kw <= j) s0++;
            real *dx = (real *)I->arg[0] + (row * d.w + j) * d.c;
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 lanes = d.c - c < VW ? d.c - c : VW;
                vec sum = vset(0);
                for (i64 r = r0; r < r1; r++) {
                    POOL_CLIP(y0, y1, r * d.sh - d.pt, d.kh, d.h);
                    for (i64 s = s0; s < s1; s++) {
                        POOL_CLIP(x0, x1, s * d.sw - d.pl, d.kw, d.w);
                        const real *dy = (const real *)I->arg[1] + ((n * d.oh + r) * d.ow + s) * d.c + c;
                        const i64 count = (y1 - y0) * (x1 - x0);
                        const real share = count == d.kh * d.kw ? whole : 1 / (real)count;
                        sum = vadd(sum, vmul(vloadn(dy, lanes), vset(share)));
                    }
                }
                vstoren(dx + c, sum, lanes);
            }
        }
    }
}

/* ns: of one output and one tap of its window. */
static int pool_run(const pn_instr *I, i64 rows, i64 row, double ns, pn_range_fn fn) {
    pn_for(rows, row > 8192 ? 1 : 8192 / (row + 1) + 1, ns * (double)rows * (double)row, I->nth, fn, (void *)I);
    return PN_OK;
}
static double pool_taps(const pn_instr *I) { return (double)(I->dim[4] * I->dim[5]); }
static double pool_overlap(const pn_instr *I) { return 1 + pool_taps(I) / (double)(I->dim[6] * I->dim[7]); }
static int max_pool_fwd(const pn_instr *I) {
    return pool_run(I, I->dim[0] * I->dim[10], I->dim[11] * I->dim[3], 0.15 * pool_taps(I), max_pool_fwd_rows);
}
static int max_pool_bwd(const pn_instr *I) {
    return pool_run(I, I->dim[0] * I->dim[1], I->dim[2] * I->dim[3], 0.15 * pool_overlap(I), max_pool_bwd_rows);
}
static int avg_pool_fwd(const pn_instr *I) {
    return pool_run(I, I->dim[0] * I->dim[10], I->dim[11] * I->dim[3], 0.1 * pool_taps(I), avg_pool_fwd_rows);
}
static int avg_pool_bwd(const pn_instr *I) {
    return pool_run(I, I->dim[0] * I->dim[1], I->dim[2] * I->dim[3], 0.1 * pool_overlap(I), avg_pool_bwd_rows);
}
