/* Random numbers: a block of Philox per thread, which gives elements 64 g + 16 w + l for w = 0 to 3
 * (../kernels/random.h). */
#ifndef PN_CUDA_RANDOM_H
#define PN_CUDA_RANDOM_H

#include "elementwise.h"

/* The four words of block 16 g + l. */
static __device__ __forceinline__ void random_block(const f32::pn_philox &s, uint64_t block, uint32_t word[4]) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32) ^ s.step_high, c2 = s.step_low, c3 = s.salt;
    uint32_t k0 = s.key0, k1 = s.key1;
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)PN_PHILOX_M0 * c0, r = (uint64_t)PN_PHILOX_M1 * c2;
        c0 = (uint32_t)(r >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)r;
        c2 = (uint32_t)(p >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p;
        k0 += PN_PHILOX_W0;
        k1 += PN_PHILOX_W1;
    }
    word[0] = c0, word[1] = c1, word[2] = c2, word[3] = c3;
}

/* write(i, word) for each element; seed and step are arg[at], arg[at + 1]. */
template <typename Write>
static __device__ __forceinline__ void random_each(const pn_instr &I, int at, Write write) {
    const i64 n = I.dim[f32::RANDOM_N];
    const f32::pn_philox s = f32::pn_philox_of((const i64 *)I.arg[at], (const i64 *)I.arg[at + 1], I.salt);
    PN_EACH(block, (n + 63) / 64 * 16) {
        const i64 first = block / 16 * 64 + block % 16;
        uint32_t word[4];
        random_block(s, (uint64_t)block, word);
        for (int w = 0; w < 4; w++)
            if (first + 16 * w < n) write(first + 16 * w, word[w]);
    }
}

PN_KERNEL(dropout_fwd) {
    (void)phase;
    float *y = (float *)I.arg[f32::DROP_Y];
    uint8_t *keep = (uint8_t *)I.arg[f32::DROP_KEEP];
    const float *x = (const float *)I.arg[f32::DROP_X], scale = (float)(1.0 / (1.0 - I.par[0]));
    const uint32_t threshold = f32::pn_dropout_threshold(I.par[0]);
    if (PN_STOPPED) return;
    random_each(I, f32::DROP_SEED, [&](i64 i, uint32_t word) {
        y[i] = word >= threshold ? x[i] * scale : 0;
        keep[i] = word >= threshold;
    });
}
PN_KERNEL(uniform_fwd) {
    (void)phase;
    float *y = (float *)I.arg[f32::DRAWN_Y];
    const float low = (float)I.par[0], high = (float)I.par[1];
    const double from = I.par[0], width = (float)((I.par[1] - I.par[0]) / 16777216.0);
    if (PN_STOPPED) return;
    random_each(I, f32::DRAWN_SEED, [&](i64 i, uint32_t word) {
        const float v = (float)(from + (double)(word >> 8) * width);
        y[i] = v < high ? v : low; /* rounding may reach high */
    });
}
PN_KERNEL(bernoulli_fwd) {
    (void)phase;
    float *y = (float *)I.arg[f32::COIN_Y];
    const float *p = (const float *)I.arg[f32::COIN_P];
    if (PN_STOPPED) return;
    random_each(I, f32::COIN_SEED, [&](i64 i, uint32_t word) {
        y[i] = (float)(int32_t)(word >> 8) * (float)(1.0 / 16777216.0) < p[i];
    });
}
/* Words 0 and 2, and 1 and 3, of a block make two numbers each. */
PN_KERNEL(normal_fwd) {
    (void)phase;
    const i64 n = I.dim[f32::RANDOM_N];
    float *y = (float *)I.arg[f32::DRAWN_Y];
    const double mean = I.par[0], std = I.par[1], unit = 1.0 / 4294967296.0, turn = 6.283185307179586476925 * unit;
    const f32::pn_philox s =
        f32::pn_philox_of((const i64 *)I.arg[f32::DRAWN_SEED], (const i64 *)I.arg[f32::DRAWN_STEP], I.salt);
    if (PN_STOPPED) return;
    PN_EACH(block, (n + 63) / 64 * 16) {
        uint32_t word[4];
        random_block(s, (uint64_t)block, word);
        for (int w = 0; w < 2; w++) {
            const i64 i = block / 16 * 64 + block % 16 + 16 * w;
            if (i >= n) break;
            const double r = std * sqrt(-2.0 * pn_log(((double)word[w] + 0.5) * unit));
            double sine, cosine;
            pn_turn(turn * (double)word[w + 2], &sine, &cosine);
            y[i] = (float)(mean + r * cosine);
            if (i + 32 < n) y[i + 32] = (float)(mean + r * sine);
        }
    }
}

#endif
