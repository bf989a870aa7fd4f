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
#if defined(PN_AVX512) && defined(PN_REAL_F32)
#define POOL_LANES /* any lane of two vectors in one instruction */
#endif

enum { POOL_N, POOL_H, POOL_W, POOL_C, POOL_KH, POOL_KW, POOL_SH, POOL_SW, POOL_PT, POOL_PL, POOL_OH, POOL_OW, POOL_BYTES };
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
#ifdef POOL_LANES
    if (bytes == 1)
        return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(vfirst(n), (const uint8_t *)index + at)));
    return _mm512_cvtepi32_ps(_mm512_maskz_loadu_epi32(vfirst(n), (const int32_t *)index + at));
#else
#if defined(PN_NEON) && defined(PN_REAL_F32)
    if (n == VW) {
        if (bytes != 1) return vfromint(vld1q_s32((const int32_t *)index + at));
        uint32_t four;
        memcpy(&four, (const uint8_t *)index + at, sizeof four);
        return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(four)))));
    }
#endif
#if defined(PN_AVX2) && defined(PN_REAL_F32)
    if (n == VW && bytes == 1)
        return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)((const uint8_t *)index + at))));
#endif
    real t[VW] = {0};
    for (i64 i = 0; i < n; i++)
        t[i] = bytes == 1 ? (real)((const uint8_t *)index)[at + i] : (real)((const int32_t *)index)[at + i];
    return vload(t);
#endif
}
static inline void pool_store(void *index, i64 at, i64 bytes, vec v, i64 n) {
#ifdef POOL_LANES
    if (bytes == 1) _mm_mask_storeu_epi8((uint8_t *)index + at, vfirst(n), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
    else _mm512_mask_storeu_epi32((int32_t *)index + at, vfirst(n), _mm512_cvtps_epi32(v));
#else
#if defined(PN_NEON) && defined(PN_REAL_F32)
    if (n == VW) {
        const uint16x4_t half = vmovn_u32(vcvtq_u32_f32(v));
        const uint32_t four = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(half, half))), 0);
        if (bytes == 1) memcpy((uint8_t *)index + at, &four, sizeof four);
        else vst1q_s32((int32_t *)index + at, vtoint(v));
        return;
    }
#endif
#if defined(PN_AVX2) && defined(PN_REAL_F32)
    if (n == VW) {
        const __m256i wide = _mm256_cvtps_epi32(v);
        const __m128i half = _mm_packus_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
        if (bytes == 1) _mm_storel_epi64((__m128i *)((uint8_t *)index + at), _mm_packus_epi16(half, half));
        else _mm256_storeu_si256((__m256i *)((int32_t *)index + at), wide);
        return;
    }
#endif
    real t[VW];
    vstore(t, v);
    for (i64 i = 0; i < n; i++)
        if (bytes == 1) ((uint8_t *)index)[at + i] = (uint8_t)t[i];
        else ((int32_t *)index)[at + i] = (int32_t)t[i];
#endif
}

/* Lanes to work on where `lanes` count and `room` elements lie ahead in the row: all, if what is too much is written
 * over by the pixels that follow. Masked stores take AVX2 a dozen cycles. */
#define POOL_OVER(lanes, room) ((room) >= VW ? VW : (lanes))
static inline vec pool_get(const real *x, i64 n) { return n == VW ? vload(x) : vloadn(x, n); }
static inline void pool_put(real *y, vec v, i64 n) {
    if (n == VW) vstore(y, v);
    else vstoren(y, v, n);
}

/* Takes in the value v of a tap; of equal values the first stays, and a NaN stays. */
static inline void pool_max(vec *best, vec *where, vec v, i64 tap) {
    const mask keep = vle(v, *best), stuck = visnan(*best);
    *where = vsel(stuck, *where, vsel(keep, *where, vset((real)tap)));
    *best = vsel(stuck, *best, vsel(keep, *best, v));
}

#ifdef POOL_LANES
/* Few channels leave lanes idle. Then the lanes are the channels of several neighbouring windows, which are picked out
 * of two vectors of an image's row: lane (p, c) of tap s is element (p sw + s) C + c. */
typedef struct pool_lanes {
    i64 windows; /* 0: there are lanes enough, or the windows reach too far */
    i64 reach;   /* elements of a row that they see */
    __m512i from; /* of tap 0 */
} pool_lanes;

static pool_lanes pool_pack(const pool_dims *d) {
    pool_lanes l = {d->c < VW ? VW / d->c : 0, 0, _mm512_setzero_si512()};
    int32_t at[VW];
    while (l.windows > 1 && ((l.windows - 1) * d->sw + d->kw) * d->c > 2 * VW) l.windows--;
    if (l.windows < 2) l.windows = 0;
    l.reach = l.windows ? ((l.windows - 1) * d->sw + d->kw) * d->c : 0;
    for (i64 i = 0; i < VW; i++)
        at[i] = i < l.windows * d->c ? (int32_t)(i / d->c * d->sw * d->c + i % d->c) : 0;
    l.from = _mm512_loadu_si512(at);
    return l;
}

/* The windows that begin at x, rows [r0, r1): all their columns lie in the image. */
static inline void pool_max_lanes(const pool_lanes *l, const pool_dims *d, const real *x, i64 r0, i64 r1, real *y,
                                  void *index, i64 at) {
    vec best = vset(0), where = best;
    const i64 lanes = l->windows * d->c;
    for (i64 r = r0; r < r1; r++) {
        const real *row = x + r * d->w * d->c;
        const vec low = vloadn(row, l->reach < VW ? l->reach : VW);
        const vec high = l->reach > VW ? vloadn(row + VW, l->reach - VW) : low;
        for (i64 s = 0; s < d->kw; s++) {
            const vec v = _mm512_permutex2var_ps(low, _mm512_add_epi32(l->from, viset((int)(s * d->c))), high);
            if (r == r0 && s == 0) best = v, where = vset((real)(r0 * d->kw));
            else pool_max(&best, &where, v, r * d->kw + s);
        }
    }
    vstoren(y + at, best, lanes);
    pool_store(index, at, d->bytes, where, lanes);
}

/* The way back for windows of two columns side by side: what goes where in two vectors of a row of dx. */
typedef struct pool_pairs {
    i64 windows; /* 0: not such windows, or lanes enough */
    __m512i low, high;
} pool_pairs;

static pool_pairs pool_pair(const pool_dims *d) {
    const int fits = d->c <= VW / 2 && d->kw == 2 && d->sw == 2 && d->kh <= d->sh && d->pt == 0 && d->pl == 0 &&
                     2 * d->ow <= d->w; /* none reaches beyond the image */
    int32_t pick[2 * VW] = {0}; /* a lane of the first tap's vector, or of the second's behind it */
    for (i64 i = 0; i < 2 * VW; i++) {
        const i64 column = i / d->c, lane = column / 2 * d->c + i % d->c;
        if (lane < VW) pick[i] = (int32_t)(lane + column % 2 * VW);
    }
    const pool_pairs p = {fits ? VW / d->c : 0, _mm512_loadu_si512(pick), _mm512_loadu_si512(pick + VW)};
    return p;
}

/* A row of dx from a row of `count` windows, of which it is row tap / 2. */
static void pool_spread(const pool_dims *d, const pool_pairs *p, real *dx, const real *dy, const void *index, i64 at,
                        i64 count, i64 tap) {
    const i64 windows = p->windows;
    const vec first = vset((real)tap), second = vset((real)(tap + 1));
    for (i64 j = 0; j < count; j += windows) {
        const i64 lanes = (count - j < windows ? count - j : windows) * d->c, to = 2 * j * d->c;
        const vec where = pool_load(index, at + j * d->c, d->bytes, lanes), v = vloadn(dy + at + j * d->c, lanes);
        /* + 0: a sum of one term is not -0 either */
        const vec a = vadd(vkeep(veq(where, first), v), vset(0)), b = vadd(vkeep(veq(where, second), v), vset(0));
        const vec l = _mm512_permutex2var_ps(a, p->low, b), h = _mm512_permutex2var_ps(a, p->high, b);
        vstoren(dx + to, l, 2 * lanes < VW ? 2 * lanes : VW);
        if (2 * lanes > VW) vstoren(dx + to + VW, h, 2 * lanes - VW);
    }
}
#endif

enum { MAXP_Y, MAXP_INDEX, MAXP_X };
static void max_pool_fwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const pool_dims d = pool_read(I->dim);
    (void)ith;
#ifdef POOL_LANES
    const pool_lanes packed = pool_pack(&d);
#endif
    for (i64 row = lo; row < hi; row++) {
        const i64 n = row / d.oh, top = row % d.oh * d.sh - d.pt;
        POOL_CLIP(r0, r1, top, d.kh, d.h);
        for (i64 j = 0; j < d.ow; j++) {
            const i64 left = j * d.sw - d.pl, at = (row * d.ow + j) * d.c;
            POOL_CLIP(s0, s1, left, d.kw, d.w);
            const real *x = (const real *)I->arg[MAXP_X] + ((n * d.h + top) * d.w + left) * d.c;
#ifdef POOL_LANES
            if (packed.windows && left >= 0 && j + packed.windows <= d.ow &&
                left + (packed.windows - 1) * d.sw + d.kw <= d.w) {
                pool_max_lanes(&packed, &d, x, r0, r1, (real *)I->arg[MAXP_Y], I->arg[MAXP_INDEX], at);
                j += packed.windows - 1;
                continue;
            }
#endif
            const i64 pixels = d.w - left - s1 < d.ow - j - 1 ? d.w - left - s1 : d.ow - j - 1; /* that follow in both rows */
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 lanes = POOL_OVER(d.c - c, (pixels + 1) * d.c - c);
                vec best = pool_get(x + (r0 * d.w + s0) * d.c + c, lanes), where = vset((real)(r0 * d.kw + s0));
                for (i64 r = r0; r < r1; r++)
                    for (i64 s = s0; s < s1; s++)
                        pool_max(&best, &where, pool_get(x + (r * d.w + s) * d.c + c, lanes), r * d.kw + s);
                pool_put((real *)I->arg[MAXP_Y] + at + c, best, lanes);
                pool_store(I->arg[MAXP_INDEX], at + c, d.bytes, where, lanes);
            }
        }
    }
}

/* A row of dx from the one row of windows that sees it, if no two share a column: `tap` is its first tap there. */
static void pool_give(const pool_dims *d, real *dx, const real *dy, const void *index, i64 at, i64 tap) {
    const i64 size = d->w * d->c;
    i64 done = 0;
    for (i64 j = 0; j < d->ow; j++) {
        const i64 left = j * d->sw - d->pl;
        POOL_CLIP(s0, s1, left, d->kw, d->w);
        for (; done < (left + s0) * d->c && done < size; done++) dx[done] = 0; /* between windows */
        for (i64 s = s0; s < s1; s++, done += d->c) {
            const vec here = vset((real)(tap + s));
            for (i64 c = 0; c < d->c; c += VW) {
                const i64 from = j * d->c + c, ahead = size - done - c < d->ow * d->c - from ? size - done - c : d->ow * d->c - from;
                const i64 lanes = POOL_OVER(d->c - c, ahead);
                const mask mine = veq(pool_load(index, at + from, d->bytes, lanes), here);
                /* + 0: a sum of one term is not -0 either */
                pool_put(dx + done + c, vadd(vkeep(mine, pool_get(dy + at + from, lanes)), vset(0)), lanes);
            }
        }
    }
    for (; done < size; done++) dx[done] = 0;
}

enum { MAXPB_DX, MAXPB_DY, MAXPB_INDEX };
static void max_pool_bwd_rows(void *ctx, i64 lo, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    const pool_dims d = pool_read(I->dim);
    (void)ith;
#ifdef POOL_LANES
    const pool_pairs pairs = pool_pair(&d);
#endif
    for (i64 row = lo; row < hi; row++) {
        const i64 n = row / d.h, i = row % d.h;
        POOL_SEEN(r0, r1, i, d.kh, d.sh, d.pt, d.oh);
        real *out = (real *)I->arg[MAXPB_DX] + row * d.w * d.c;
        if (d.kw <= d.sw && r1 == r0 + 1) { /* one window or none sees a pixel */
            const i64 at = (n * d.oh + r0) * d.ow * d.c, tap = (i + d.pt - r0 * d.sh) * d.kw;
#ifdef POOL_LANES
            if (pairs.windows) {
                pool_spread(&d, &pairs, out, (const real *)I->arg[MAXPB_DY], I->arg[MAXPB_INDEX], at, d.ow, tap);
                for (i64 k = 2 * d.ow * d.c; k < d.w * d.c; k++) out[k] = 0;
                continue;
            }
#endif
            pool_give(&d, out, (const real *)I->arg[MAXPB_DY], I->arg[MAXPB_INDEX], at, tap);
            continue;
        }
        for (i64 j = 0, s0 = 0, s1 = 0; j < d.w; j++) { /* the windows [s0, s1) see column j */
            while (s1 < d.ow && s1 * d.sw - d.pl <= j) s1++;
            while (s0 < s1 && s0 * d.sw - d.pl + d.kw <= j) s0++;
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 ahead = d.w - j < d.ow - s1 + 1 ? d.w - j : d.ow - s1 + 1; /* pixels, this one with them */
                const i64 lanes = POOL_OVER(d.c - c, ahead * d.c - c);
                vec sum = vset(0);
                for (i64 r = r0; r < r1; r++)
                    for (i64 s = s0; s < s1; s++) {
                        const i64 at = ((n * d.oh + r) * d.ow + s) * d.c + c;
                        const i64 tap = (i + d.pt - r * d.sh) * d.kw + j + d.pl - s * d.sw;
                        const mask here = veq(pool_load(I->arg[MAXPB_INDEX], at, d.bytes, lanes), vset((real)tap));
                        sum = vadd(sum, vkeep(here, pool_get((const real *)I->arg[MAXPB_DY] + at, lanes)));
                    }
                pool_put(out + j * d.c + c, sum, lanes);
            }
        }
    }
}

enum { AVGP_Y, AVGP_X };
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
            const real *x = (const real *)I->arg[AVGP_X] + ((n * d.h + top) * d.w + left) * d.c;
            const vec share = vset(1 / (real)((r1 - r0) * (s1 - s0)));
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 lanes = d.c - c < VW ? d.c - c : VW;
                vec sum = vset(0);
                for (i64 r = r0; r < r1; r++)
                    for (i64 s = s0; s < s1; s++) sum = vadd(sum, vloadn(x + (r * d.w + s) * d.c + c, lanes));
                vstoren((real *)I->arg[AVGP_Y] + (row * d.ow + j) * d.c + c, vmul(sum, share), lanes);
            }
        }
    }
}

enum { AVGPB_DX, AVGPB_DY };
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
            real *dx = (real *)I->arg[AVGPB_DX] + (row * d.w + j) * d.c;
            for (i64 c = 0; c < d.c; c += VW) {
                const i64 lanes = d.c - c < VW ? d.c - c : VW;
                vec sum = vset(0);
                for (i64 r = r0; r < r1; r++) {
                    POOL_CLIP(y0, y1, r * d.sh - d.pt, d.kh, d.h);
                    for (i64 s = s0; s < s1; s++) {
                        POOL_CLIP(x0, x1, s * d.sw - d.pl, d.kw, d.w);
                        const real *dy = (const real *)I->arg[AVGPB_DY] + ((n * d.oh + r) * d.ow + s) * d.c + c;
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

/* ns: of one output and one tap of its window. Without channels there is nothing to write, or to divide by. */
static int pool_run(const pn_instr *I, i64 rows, i64 row, double ns, pn_range_fn fn) {
    if (row == 0) return PN_OK;
    pn_for(rows, row > 8192 ? 1 : 8192 / (row + 1) + 1, ns * (double)rows * (double)row, I->nth, fn, (void *)I);
    return PN_OK;
}
static double pool_taps(const pn_instr *I) { return (double)(I->dim[POOL_KH] * I->dim[POOL_KW]); }
static double pool_overlap(const pn_instr *I) { return 1 + pool_taps(I) / (double)(I->dim[POOL_SH] * I->dim[POOL_SW]); }
static int max_pool_fwd(const pn_instr *I) {
    return pool_run(I, I->dim[POOL_N] * I->dim[POOL_OH], I->dim[POOL_OW] * I->dim[POOL_C], 0.15 * pool_taps(I), max_pool_fwd_rows);
}
static int max_pool_bwd(const pn_instr *I) {
    return pool_run(I, I->dim[POOL_N] * I->dim[POOL_H], I->dim[POOL_W] * I->dim[POOL_C], 0.15 * pool_overlap(I), max_pool_bwd_rows);
}
static int avg_pool_fwd(const pn_instr *I) {
    return pool_run(I, I->dim[POOL_N] * I->dim[POOL_OH], I->dim[POOL_OW] * I->dim[POOL_C], 0.1 * pool_taps(I), avg_pool_fwd_rows);
}
static int avg_pool_bwd(const pn_instr *I) {
    return pool_run(I, I->dim[POOL_N] * I->dim[POOL_H], I->dim[POOL_W] * I->dim[POOL_C], 0.1 * pool_overlap(I), avg_pool_bwd_rows);
}
