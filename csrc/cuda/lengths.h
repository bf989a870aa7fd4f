/* How long padded sequences are, and their steps in another order (pynn/core/kernels/lengths.pyx). */
#ifndef PN_CUDA_LENGTHS_H
#define PN_CUDA_LENGTHS_H

#include "elementwise.h"

enum { LEN_TO, LEN_BAD, LEN_IDS };
enum { LEN_N, LEN_T, LEN_NARROW };

/* Phases: the place of what is wrong is none; it is the smallest that any thread meets; one thread reports it. A row's
 * length is find(row), or -1 - the place of what is wrong; value(place) is what stands there. */
template <typename Find, typename Value>
static __device__ __forceinline__ void lengths_phase(const pn_instr &I, int phase, int *status, Find find, Value value) {
    i64 *bad = (i64 *)I.arg[LEN_BAD];
    const int first = !blockIdx.x && !threadIdx.x;
    if (phase == 0) {
        if (first) bad[0] = 0, bad[1] = -1; /* as an unsigned number the largest */
    } else if (phase == 1) {
        PN_EACH(n, I.dim[LEN_N]) {
            const i64 length = find(n);
            if (length < 0) atomicMin((unsigned long long *)bad + 1, (unsigned long long)(-1 - length));
            else ((int32_t *)I.arg[LEN_TO])[n] = (int32_t)length;
        }
    } else if (first) {
        if (bad[1] < 0) {
            bad[1] = 0;
            return;
        }
        bad[0] = bad[1];
        bad[1] = value(bad[0]);
        PN_FAIL(PN_BAD_INDEX);
    }
}

PN_KERNEL(sequence_lengths) {
    const i64 T = I.dim[LEN_T];
    const void *ids = I.arg[LEN_IDS];
    if (PN_STOPPED) return;
    const auto zero = [&](i64 at) {
        return I.dim[LEN_NARROW] ? ((const int32_t *)ids)[at] == 0 : ((const int64_t *)ids)[at] == 0;
    };
    lengths_phase(
        I, phase, status,
        [&](i64 n) {
            i64 length = T;
            while (length > 0 && zero(n * T + length - 1)) length--;
            for (i64 t = 0; t < length; t++)
                if (zero(n * T + t)) return -1 - (n * T + t);
            return length;
        },
        [](i64) { return (i64)0; });
}
PN_KERNEL(check_lengths) {
    const int32_t *given = (const int32_t *)I.arg[LEN_IDS];
    if (PN_STOPPED) return;
    lengths_phase(
        I, phase, status, [&](i64 n) { return given[n] < 1 || given[n] > I.dim[LEN_T] ? -1 - n : (i64)given[n]; },
        [&](i64 n) { return (i64)given[n]; });
}

enum { WALK_Y, WALK_LENGTHS };
enum { WALK_N, WALK_MUL, WALK_ADD, WALK_STEP, WALK_MOST };
PN_KERNEL(walked_lengths) {
    (void)phase;
    const i64 mul = I.dim[WALK_MUL], add = I.dim[WALK_ADD], step = I.dim[WALK_STEP], most = I.dim[WALK_MOST];
    if (PN_STOPPED) return;
    PN_EACH(n, I.dim[WALK_N]) {
        const i64 a = ((const int32_t *)I.arg[WALK_LENGTHS])[n] * mul + add;
        const i64 q = (a >= 0 ? a / step : -((-a + step - 1) / step)) + 1;
        ((int32_t *)I.arg[WALK_Y])[n] = (int32_t)(q < 0 ? 0 : q > most ? most : q);
    }
}

/* Of what works step by step: a thread per step. */
enum { STEPS_Y, STEPS_X, STEPS_LENGTHS };
enum { STEPS_N, STEPS_T, STEPS_INNER, STEPS_SCALE };
static __device__ __forceinline__ void steps_check(const pn_instr &I, int *status) {
    PN_EACH(n, I.dim[STEPS_N]) {
        const int32_t length = ((const int32_t *)I.arg[STEPS_LENGTHS])[n];
        if (length < 0 || length > I.dim[STEPS_T]) PN_FAIL(PN_BAD_INDEX);
    }
}

PN_KERNEL(mask_steps) {
    const i64 N = I.dim[STEPS_N], T = I.dim[STEPS_T], inner = I.dim[STEPS_INNER], how = I.dim[STEPS_SCALE];
    const int32_t *lengths = (const int32_t *)I.arg[STEPS_LENGTHS];
    float *y = (float *)I.arg[STEPS_Y];
    const float *x = (const float *)I.arg[STEPS_X], value = (float)I.par[0];
    if (PN_STOPPED) return;
    if (phase == 0) {
        steps_check(I, status);
        return;
    }
    PN_EACH(at, N * T) {
        const i64 n = at / T, length = lengths[n];
        i64 total = 0;
        for (i64 i = 0; i < (how == 2 ? N : 0); i++) total += lengths[i];
        const double scale = how == 2   ? (double)(N * T) / (double)(total ? total : 1)
                             : how == 1 ? (double)T / (double)(length ? length : 1)
                                        : 1.0;
        for (i64 i = at * inner; i < (at + 1) * inner; i++) y[i] = at % T < length ? x[i] * (float)scale : value;
    }
}

/* Steps of `inner` bytes. */
static __device__ __forceinline__ void steps_move(const pn_instr &I, i64 to, i64 from) {
    const i64 inner = I.dim[STEPS_INNER];
    uint8_t *y = (uint8_t *)I.arg[STEPS_Y] + to * inner;
    const uint8_t *x = (const uint8_t *)I.arg[STEPS_X] + from * inner;
    for (i64 i = 0; i < inner; i++) y[i] = x[i];
}
PN_KERNEL(reverse_steps) {
    const i64 T = I.dim[STEPS_T];
    if (PN_STOPPED) return;
    if (phase == 0) {
        steps_check(I, status);
        return;
    }
    PN_EACH(at, I.dim[STEPS_N] * T) {
        const i64 t = at % T, length = ((const int32_t *)I.arg[STEPS_LENGTHS])[at / T];
        steps_move(I, at, t < length ? at - t + length - 1 - t : at);
    }
}
PN_KERNEL(permute_steps) {
    const i64 T = I.dim[STEPS_T];
    const int32_t *order = (const int32_t *)I.arg[STEPS_LENGTHS];
    if (PN_STOPPED) return;
    PN_EACH(at, I.dim[STEPS_N] * T) {
        if (phase == 1) steps_move(I, at, at / T * T + order[at]);
        else if (order[at] < 0 || order[at] >= T) PN_FAIL(PN_BAD_INDEX);
    }
}

enum { ORDER_TO, ORDER_BACK, ORDER_LENGTHS, ORDER_MASK };
PN_KERNEL(step_order) {
    (void)phase;
    const i64 T = I.dim[STEPS_T];
    if (PN_STOPPED) return;
    PN_EACH(n, I.dim[STEPS_N]) {
        int32_t *order = (int32_t *)I.arg[ORDER_TO] + n * T, *back = (int32_t *)I.arg[ORDER_BACK] + n * T, k = 0;
        const int32_t *mask = (const int32_t *)I.arg[ORDER_MASK] + n * T;
        for (int others = 0; others < 2; others++) {
            for (i64 t = 0; t < T; t++)
                if ((mask[t] == 0) == others) order[k] = (int32_t)t, back[t] = k++;
            if (!others) ((int32_t *)I.arg[ORDER_LENGTHS])[n] = k;
        }
    }
}

#endif
