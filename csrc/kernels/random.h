/* Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). Element i depends on (seed, step, salt, i) only: not on threads, chunks or the ISA.
 *
 * Key = seed (low, high word). Counter = (block low, block high ^ step high, step low, salt). A block gives four words.
 * Blocks are taken sixteen at a time, and word w of block 16 g + l belongs to element 64 g + 16 w + l: consecutive
 * lanes are consecutive elements without any transposition.
 */
#ifndef PN_RANDOM_H
#define PN_RANDOM_H

#include "par.h"
#include "simd.h"
#include "unroll.h"

#define PN_GROUP 64          /* elements of sixteen blocks */
#define PN_RANDOM_CHUNK 4096 /* a multiple of PN_GROUP */
#define PN_PHILOX_M0 0xD2511F53u
#define PN_PHILOX_M1 0xCD9E8D57u
#define PN_PHILOX_W0 0x9E3779B9u
#define PN_PHILOX_W1 0xBB67AE85u

typedef struct pn_philox {
    uint32_t key0, key1, step_low, step_high, salt;
} pn_philox;

static inline pn_philox pn_philox_of(const i64 *seed, const i64 *step, uint32_t salt) {
    const uint64_t k = (uint64_t)*seed, t = (uint64_t)*step;
    const pn_philox s = {(uint32_t)k, (uint32_t)(k >> 32), (uint32_t)t, (uint32_t)(t >> 32), salt};
    return s;
}

#if VW > 1 && defined(PN_REAL_F32)

/* VW consecutive blocks from `block` on: word w of block + l in lane l of out[w]. Even and odd blocks are computed in
 * 64-bit lanes whose upper halves hold rubbish between the rounds, which the 32-bit multiplication ignores. */
PN_APART void pn_philox_blocks(const pn_philox *s, uint64_t block, veci out[4]) {
    const vecu m0 = vuset(PN_PHILOX_M0), m1 = vuset(PN_PHILOX_M1), high = vuset(s->step_high);
    vecu a[2][4];
    uint32_t k0 = s->key0, k1 = s->key1;
    int round, h, w;
    for (h = 0; h < 2; h++) {
        a[h][0] = vuadd(vuset(block + (uint64_t)h), vueven());
        a[h][1] = vuxor(vuhigh(a[h][0]), high);
        a[h][2] = vuset(s->step_low);
        a[h][3] = vuset(s->salt);
    }
    for (round = 0; round < 10; round++) {
        const vecu key0 = vuset(k0), key1 = vuset(k1);
        for (h = 0; h < 2; h++) {
            const vecu p = vumul(a[h][0], m0), r = vumul(a[h][2], m1);
            a[h][0] = vuxor3(vuhigh(r), a[h][1], key0);
            a[h][1] = r;
            a[h][2] = vuxor3(vuhigh(p), a[h][3], key1);
            a[h][3] = p;
        }
        k0 += PN_PHILOX_W0;
        k1 += PN_PHILOX_W1;
    }
    for (w = 0; w < 4; w++) out[w] = vuzip(a[0][w], a[1][w]);
}

/* The words of the 64 elements of group g. */
static inline void pn_philox_group(const pn_philox *s, i64 g, uint32_t word[PN_GROUP]) {
    for (int l = 0; l < 16; l += VW) {
        veci r[4];
        pn_philox_blocks(s, (uint64_t)g * 16 + (uint64_t)l, r);
        for (int w = 0; w < 4; w++) memcpy(word + 16 * w + l, &r[w], sizeof(r[w]));
    }
}

#else

static inline void pn_philox_group(const pn_philox *s, i64 g, uint32_t word[PN_GROUP]) {
    uint32_t *c0 = word, *c1 = word + 16, *c2 = word + 32, *c3 = word + 48;
    uint32_t k0 = s->key0, k1 = s->key1;
    for (int l = 0; l < 16; l++) {
        const uint64_t block = (uint64_t)g * 16 + (uint64_t)l;
        c0[l] = (uint32_t)block;
        c1[l] = (uint32_t)(block >> 32) ^ s->step_high;
        c2[l] = s->step_low;
        c3[l] = s->salt;
    }
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < 16; l++) {
            const uint64_t p = (uint64_t)PN_PHILOX_M0 * c0[l], r = (uint64_t)PN_PHILOX_M1 * c2[l];
            c0[l] = (uint32_t)(r >> 32) ^ c1[l] ^ k0;
            c1[l] = (uint32_t)r;
            c2[l] = (uint32_t)(p >> 32) ^ c3[l] ^ k1;
            c3[l] = (uint32_t)p;
        }
        k0 += PN_PHILOX_W0;
        k1 += PN_PHILOX_W1;
    }
}

#endif

/* Dropout: keep_i = [word_i >= rate 2^32]; y = x keep / (1 - rate); dx = dy keep / (1 - rate).
 *
 * dropout_fwd: OUT y [n], mask u8 [n] (1 kept, 0 dropped); IN x [n], seed i64, step i64. dim: n, par[0] = rate in
 * [0, 1), I->salt. dropout_bwd: OUT dx [n]; IN dy [n], mask u8 [n].
 * Parallel over groups of elements. Cost: 1 flop, 20 integer operations and 9 bytes per element.
 * Aliasing: y may be x; dx may be dy. */
static inline uint32_t pn_dropout_threshold(double rate) {
    const double t = rate * 4294967296.0 + 0.5;
    return t >= 4294967295.0 ? 4294967295u : (uint32_t)t;
}

enum { RANDOM_N }; /* of every kernel here */
enum { DROP_Y, DROP_KEEP, DROP_X, DROP_SEED, DROP_STEP };
static void dropout_fwd_range(void *ctx, i64 i, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    real *y = (real *)I->arg[DROP_Y];
    uint8_t *keep = (uint8_t *)I->arg[DROP_KEEP];
    const real *x = (const real *)I->arg[DROP_X];
    const pn_philox s = pn_philox_of((const i64 *)I->arg[DROP_SEED], (const i64 *)I->arg[DROP_STEP], I->salt);
    const uint32_t threshold = pn_dropout_threshold(I->par[0]);
    const real scale = (real)(1.0 / (1.0 - I->par[0]));
    uint32_t word[PN_GROUP];
    (void)ith;
#if VW > 1 && defined(PN_REAL_F32)
    for (; i + PN_GROUP <= hi; i += PN_GROUP) {
        const veci limit = viset((int)threshold);
        for (i64 l = i; l < i + 16; l += VW) {
            veci r[4];
            pn_philox_blocks(&s, (uint64_t)(i / 4 + (l - i)), r);
            for (int w = 0; w < 4; w++) {
                const mask m = vugeu(r[w], limit);
                vstore(y + l + 16 * w, vkeep(m, vmul(vload(x + l + 16 * w), vset(scale))));
                vstoremask(keep + l + 16 * w, m);
            }
        }
    }
#endif
    for (; i < hi; i += PN_GROUP) {
        const i64 n = hi - i < PN_GROUP ? hi - i : PN_GROUP;
        pn_philox_group(&s, i / PN_GROUP, word);
        for (i64 j = 0; j < n; j++) {
            const int k = word[j] >= threshold;
            y[i + j] = k ? x[i + j] * scale : 0;
            keep[i + j] = (uint8_t)k;
        }
    }
}
static int dropout_fwd(const pn_instr *I) {
    pn_for(I->dim[RANDOM_N], PN_RANDOM_CHUNK, 0.4 * (double)I->dim[RANDOM_N], I->nth, dropout_fwd_range, (void *)I);
    return PN_OK;
}

enum { DROPB_DX, DROPB_DY, DROPB_KEEP };
static void dropout_bwd_range(void *ctx, i64 i, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    real *dx = (real *)I->arg[DROPB_DX];
    const real *dy = (const real *)I->arg[DROPB_DY];
    const uint8_t *keep = (const uint8_t *)I->arg[DROPB_KEEP];
    const real scale = (real)(1.0 / (1.0 - I->par[0]));
    (void)ith;
#if VW > 1
    for (; i + VW <= hi; i += VW) vstore(dx + i, vkeep(vloadmask(keep + i), vmul(vload(dy + i), vset(scale))));
#endif
    for (; i < hi; i++) dx[i] = keep[i] ? dy[i] * scale : 0;
}
static int dropout_bwd(const pn_instr *I) {
    pn_for(I->dim[RANDOM_N], PN_RANDOM_CHUNK, 0.12 * (double)I->dim[RANDOM_N], I->nth, dropout_bwd_range, (void *)I);
    return PN_OK;
}

/* Uniform: y = low + (high - low) u with u = floor(word / 2^8) / 2^24, so low <= y < high.
 *
 * OUT y [n]; IN seed i64, step i64. dim: n, par = low, high; I->salt. Parallel over groups of elements.
 * Cost: 2 flops, 20 integer operations and 4 bytes per element. No aliasing. The step of y is rounded to float, so the
 * product is exact in double and the bits are the same in every ISA, with or without fused multiply-add. */
enum { DRAWN_Y, DRAWN_SEED, DRAWN_STEP };
static void uniform_fwd_range(void *ctx, i64 i, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    real *y = (real *)I->arg[DRAWN_Y];
    const pn_philox s = pn_philox_of((const i64 *)I->arg[DRAWN_SEED], (const i64 *)I->arg[DRAWN_STEP], I->salt);
    const real low = (real)I->par[0], high = (real)I->par[1];
    const double width = (float)((I->par[1] - I->par[0]) / 16777216.0);
    uint32_t word[PN_GROUP];
    (void)ith;
    for (; i < hi; i += PN_GROUP) {
        const i64 n = hi - i < PN_GROUP ? hi - i : PN_GROUP;
        pn_philox_group(&s, i / PN_GROUP, word);
        for (i64 j = 0; j < n; j++) {
            const real v = (real)(I->par[0] + (double)(word[j] >> 8) * width);
            y[i + j] = v < high ? v : low; /* rounding may reach high */
        }
    }
}
static int uniform_fwd(const pn_instr *I) {
    pn_for(I->dim[RANDOM_N], PN_RANDOM_CHUNK, 0.8 * (double)I->dim[RANDOM_N], I->nth, uniform_fwd_range, (void *)I);
    return PN_OK;
}

/* Bernoulli: y = [u < p] with u = floor(word / 2^8) / 2^24, so p = 0 is never and p = 1 always drawn, and NaN never.
 *
 * OUT y [n], 1 or 0; IN p [n], seed i64, step i64. dim: n; I->salt. Parallel over groups of elements.
 * Cost: 1 flop, 20 integer operations and 8 bytes per element. Aliasing: y may be p. u is exact in float, so the bits
 * are those of uniform_fwd compared with p, in every ISA. */
enum { COIN_Y, COIN_P, COIN_SEED, COIN_STEP };
static void bernoulli_fwd_range(void *ctx, i64 i, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    real *y = (real *)I->arg[COIN_Y];
    const real *p = (const real *)I->arg[COIN_P];
    const pn_philox s = pn_philox_of((const i64 *)I->arg[COIN_SEED], (const i64 *)I->arg[COIN_STEP], I->salt);
    uint32_t word[PN_GROUP];
    (void)ith;
#if VW > 1 && defined(PN_REAL_F32)
    for (; i + PN_GROUP <= hi; i += PN_GROUP)
        for (i64 l = i; l < i + 16; l += VW) {
            veci r[4];
            pn_philox_blocks(&s, (uint64_t)(i / 4 + (l - i)), r);
            for (int w = 0; w < 4; w++) {
                const vec u = vmul(vfromint(vishr8(r[w])), vset(1.0f / 16777216.0f));
                vstore(y + l + 16 * w, vkeep(vlt(u, vload(p + l + 16 * w)), vset(1.0f)));
            }
        }
#endif
    for (; i < hi; i += PN_GROUP) {
        const i64 n = hi - i < PN_GROUP ? hi - i : PN_GROUP;
        pn_philox_group(&s, i / PN_GROUP, word);
        for (i64 j = 0; j < n; j++) y[i + j] = (real)(int32_t)(word[j] >> 8) * (real)(1.0 / 16777216.0) < p[i + j];
    }
}
static int bernoulli_fwd(const pn_instr *I) {
    pn_for(I->dim[RANDOM_N], PN_RANDOM_CHUNK, 0.6 * (double)I->dim[RANDOM_N], I->nth, bernoulli_fwd_range, (void *)I);
    return PN_OK;
}

/* Normal: Box-Muller on the words j and j + 32 of a group: r = sqrt(-2 log u), y = mean + std r (cos, sin)(2 pi v).
 *
 * OUT y [n]; IN seed i64, step i64. dim: n, par = mean, std; I->salt. Parallel over groups of elements.
 * Cost: half a log and sqrt, a sin or cos in double and 4 bytes per element. No aliasing. u = (word + 1/2) / 2^32, so
 * |y - mean| < 6.7 std. */
static void normal_fwd_range(void *ctx, i64 i, i64 hi, int ith) {
    const pn_instr *I = (const pn_instr *)ctx;
    real *y = (real *)I->arg[DRAWN_Y];
    const pn_philox s = pn_philox_of((const i64 *)I->arg[DRAWN_SEED], (const i64 *)I->arg[DRAWN_STEP], I->salt);
    const double mean = I->par[0], std = I->par[1], unit = 1.0 / 4294967296.0, turn = 6.283185307179586476925 * unit;
    uint32_t word[PN_GROUP];
    (void)ith;
    for (; i < hi; i += PN_GROUP) {
        const i64 n = hi - i < PN_GROUP ? hi - i : PN_GROUP;
        pn_philox_group(&s, i / PN_GROUP, word);
        for (i64 j = 0; j < 32 && j < n; j++) {
            const double r = std * sqrt(-2.0 * pn_log(((double)word[j] + 0.5) * unit));
            double sine, cosine;
            pn_turn(turn * (double)word[j + 32], &sine, &cosine);
            y[i + j] = (real)(mean + r * cosine);
            if (j + 32 < n) y[i + j + 32] = (real)(mean + r * sine);
        }
    }
}
static int normal_fwd(const pn_instr *I) {
    pn_for(I->dim[RANDOM_N], PN_RANDOM_CHUNK, 30.0 * (double)I->dim[RANDOM_N], I->nth, normal_fwd_range, (void *)I);
    return PN_OK;
}

#endif
