/* Numbers of eight bits (../kernels/bytes.h, bytes_lstm.h): floats made bytes, and exact products, a thread per element of
 * the result. The LSTM is one block: the state of all sequences is made bytes by one scale at every step. */
#ifndef PN_CUDA_BYTES_H
#define PN_CUDA_BYTES_H

#include "elementwise.h"
#include "warp.h"

/* Least and largest of n numbers and 0, of a warp. */
static __device__ __forceinline__ void byte_warp_range(const float *x, i64 n, float *low, float *high) {
    const auto seen = [&](i64 i) { return x[i] == x[i] ? x[i] : 0; };
    *low = warp_best(n, 0.0f, seen, [](float m, float v) { return v < m ? v : m; });
    *high = warp_best(n, 0.0f, seen, [](float m, float v) { return v > m ? v : m; });
}

/* Phases: least and largest number of each piece; of all, and the steps between bytes; the bytes. */
PN_KERNEL(dynamic_bytes) {
    const i64 n = I.dim[f32::DYN_N], pieces = (n + f32::BYTE_BLOCK - 1) / f32::BYTE_BLOCK;
    const float *x = (const float *)I.arg[f32::DYN_X];
    float *ends = (float *)I.scratch, *scale = (float *)I.arg[f32::DYN_SCALE];
    uint8_t *zero = (uint8_t *)I.arg[f32::DYN_ZERO];
    if (PN_STOPPED) return;
    if (phase == 0) {
        PN_WARPS(k, pieces) {
            const i64 first = k * f32::BYTE_BLOCK, left = n - first < f32::BYTE_BLOCK ? n - first : f32::BYTE_BLOCK;
            float low, high;
            byte_warp_range(x + first, left, &low, &high);
            if (warp_lane() == 0) ends[2 * k] = low, ends[2 * k + 1] = high;
        }
    } else if (phase == 1) {
        float low = 0, high = 0;
        if (blockIdx.x || threadIdx.x) return;
        for (i64 k = 0; k < pieces; k++) {
            low = ends[2 * k] < low ? ends[2 * k] : low;
            high = ends[2 * k + 1] > high ? ends[2 * k + 1] : high;
        }
        const f32::byte_steps steps = f32::byte_steps_of(low, high);
        *scale = steps.scale;
        *zero = (uint8_t)steps.zero;
    } else {
        f32::byte_steps steps;
        steps.scale = *scale, steps.zero = (float)*zero;
        PN_EACH(i, n) f32::byte_make((uint8_t *)I.arg[f32::DYN_Y] + i, x + i, 1, steps);
    }
}

PN_KERNEL(static_bytes) {
    (void)phase;
    if (PN_STOPPED) return;
    f32::byte_steps steps;
    steps.scale = *(const float *)I.arg[f32::STB_SCALE], steps.zero = (float)f32::byte_zero(I.arg[f32::STB_ZERO]);
    PN_EACH(i, I.dim[f32::STB_N])
        f32::byte_make((uint8_t *)I.arg[f32::STB_Y] + i, (const float *)I.arg[f32::STB_X] + i, 1, steps);
}

/* Column j of n of packed weights: term p lies at [p / 4 * 64 + p % 4]. */
static __device__ __forceinline__ const int8_t *byte_column(const void *w, i64 k, i64 j) {
    return (const int8_t *)w + (j / PN_BYTE_COLS * pn_byte_groups(k) * PN_BYTE_COLS + j % PN_BYTE_COLS) * 4;
}
static __device__ __forceinline__ uint32_t byte_weight(const int8_t *column, i64 p) {
    return (uint32_t)(int32_t)column[p / 4 * 4 * PN_BYTE_COLS + p % 4];
}
/* The sum over k terms, of products and of bytes, to what they stand for; numbers wrap. */
static __device__ __forceinline__ int32_t byte_ended(uint32_t dot, uint32_t row, const void *sums, i64 k, i64 n, i64 j,
                                                     uint32_t zero) {
    const int32_t *of = (const int32_t *)sums;
    return (int32_t)(dot - zero * (uint32_t)of[j] + (uint32_t)of[n + j] * (row - (uint32_t)k * zero));
}
static __device__ __forceinline__ int32_t byte_dot(const uint8_t *a, const void *w, const void *sums, i64 k, i64 n, i64 j,
                                                   uint32_t zero) {
    const int8_t *column = byte_column(w, k, j);
    uint32_t dot = 0, row = 0;
    for (i64 p = 0; p < k; p++) {
        dot += (uint32_t)a[p] * byte_weight(column, p);
        row += a[p];
    }
    return byte_ended(dot, row, sums, k, n, j, zero);
}

/* Element i of y in column j: the sum as it is, or scaled. */
static __device__ __forceinline__ void byte_end(void *y, i64 i, i64 j, int32_t sum, const void *scale, const void *bias,
                                                i64 relu) {
    if (scale)
        ((float *)y)[i] = f32::byte_scaled(sum, ((const float *)scale)[j], bias ? (const float *)bias + j : NULL, relu);
    else
        ((int32_t *)y)[i] = sum;
}

PN_KERNEL(byte_matmul) {
    (void)phase;
    const i64 n = I.dim[f32::BMM_N], k = I.dim[f32::BMM_K];
    if (PN_STOPPED) return;
    const uint32_t zero = (uint32_t)f32::byte_zero(I.arg[f32::BMM_ZERO]);
    PN_EACH(i, I.dim[f32::BMM_M] * n)
        byte_end(I.arg[f32::BMM_Y], i, i % n,
                 byte_dot((const uint8_t *)I.arg[f32::BMM_A] + i / n * k, I.arg[f32::BMM_W], I.arg[f32::BMM_SUMS], k, n, i % n,
                          zero),
                 I.arg[f32::BMM_SCALE], I.arg[f32::BMM_BIAS], I.dim[f32::BMM_RELU]);
}

PN_KERNEL(byte_conv) {
    (void)phase;
    const i64 *d = I.dim, C = d[f32::BCV_C], H = d[f32::BCV_H], W = d[f32::BCV_WIDTH], O = d[f32::BCV_O];
    const i64 oh = d[f32::BCV_OH], ow = d[f32::BCV_OW], k = d[f32::BCV_KH] * d[f32::BCV_KW] * C;
    if (PN_STOPPED) return;
    const uint32_t zero = (uint32_t)f32::byte_zero(I.arg[f32::BCV_ZERO]);
    PN_EACH(i, d[f32::BCV_N] * oh * ow * O) {
        const i64 pixel = i / O, top = pixel / ow % oh * d[f32::BCV_SY] - d[f32::BCV_TOP];
        const i64 left = pixel % ow * d[f32::BCV_SX] - d[f32::BCV_LEFT];
        const uint8_t *x = (const uint8_t *)I.arg[f32::BCV_X] + pixel / (ow * oh) * H * W * C;
        const int8_t *column = byte_column(I.arg[f32::BCV_W], k, i % O);
        uint32_t dot = 0, row = 0;
        i64 p = 0;
        for (i64 ky = 0; ky < d[f32::BCV_KH]; ky++)
            for (i64 kx = 0; kx < d[f32::BCV_KW]; kx++) {
                const i64 r = top + ky * d[f32::BCV_DY], s = left + kx * d[f32::BCV_DX];
                const int outside = r < 0 || r >= H || s < 0 || s >= W;
                for (i64 c = 0; c < C; c++, p++) {
                    const uint32_t a = outside ? zero : x[(r * W + s) * C + c];
                    dot += a * byte_weight(column, p);
                    row += a;
                }
            }
        byte_end(I.arg[f32::BCV_Y], i, i % O, byte_ended(dot, row, I.arg[f32::BCV_SUMS], k, O, i % O, zero),
                 I.arg[f32::BCV_SCALE], I.arg[f32::BCV_BIAS], d[f32::BCV_RELU]);
    }
}

/* The steps between bytes of n numbers, for all threads of the block; what they wrote before is seen. */
static __device__ __forceinline__ f32::byte_steps byte_block_steps(const float *x, i64 n) {
    __shared__ float ends[2][PN_CUDA_BLOCK / WARP];
    const i64 each = (n + PN_CUDA_BLOCK / WARP - 1) / (PN_CUDA_BLOCK / WARP);
    const i64 first = (i64)(threadIdx.x / WARP) * each, left = n - first < each ? n - first : each;
    float low, high;
    __syncthreads();
    byte_warp_range(x + first, left, &low, &high);
    if (warp_lane() == 0) ends[0][threadIdx.x / WARP] = low, ends[1][threadIdx.x / WARP] = high;
    __syncthreads();
    low = high = 0;
    for (int k = 0; k < PN_CUDA_BLOCK / WARP; k++) {
        low = ends[0][k] < low ? ends[0][k] : low;
        high = ends[1][k] > high ? ends[1][k] : high;
    }
    return f32::byte_steps_of(low, high);
}
#define BYTE_THREADS(i, n) for (i64 i = threadIdx.x; i < (n); i += blockDim.x)

PN_KERNEL(byte_lstm) {
    (void)phase;
    const i64 N = I.dim[f32::BLS_N], T = I.dim[f32::BLS_T], D = I.dim[f32::BLS_D], H = I.dim[f32::BLS_UNITS];
    const float *x = (const float *)I.arg[f32::BLS_X], *b = (const float *)I.arg[f32::BLS_B];
    const float *h0 = (const float *)I.arg[f32::BLS_H0], *c0 = (const float *)I.arg[f32::BLS_C0];
    const float *wscale = (const float *)I.arg[f32::BLS_WSCALE], *uscale = (const float *)I.arg[f32::BLS_USCALE];
    float *h = (float *)I.arg[f32::BLS_H], *c = (float *)I.arg[f32::BLS_C], *gates = (float *)I.scratch;
    uint8_t *bytes = (uint8_t *)(gates + N * 4 * H), *state = bytes + N * T * D;
    if (PN_STOPPED || blockIdx.x) return;
    const f32::byte_steps in = byte_block_steps(x, N * T * D);
    BYTE_THREADS(i, N * T * D) f32::byte_make(bytes + i, x + i, 1, in);
    BYTE_THREADS(i, N * H) {
        h[i] = h0 ? h0[i] : 0;
        c[i] = c0 ? c0[i] : 0;
    }
    for (i64 step = 0; step < T; step++) {
        const i64 t = I.dim[f32::BLS_REVERSED] ? T - 1 - step : step;
        const f32::byte_steps steps = byte_block_steps(h, N * H);
        BYTE_THREADS(i, N * H) f32::byte_make(state + i, h + i, 1, steps);
        __syncthreads();
        BYTE_THREADS(i, N * 4 * H) {
            const i64 n = i / (4 * H), j = i % (4 * H);
            const int32_t of_x = byte_dot(bytes + (n * T + t) * D, I.arg[f32::BLS_W], I.arg[f32::BLS_WSUMS], D, 4 * H, j,
                                          (uint32_t)(int32_t)in.zero);
            const int32_t of_h = byte_dot(state + n * H, I.arg[f32::BLS_U], I.arg[f32::BLS_USUMS], H, 4 * H, j,
                                          (uint32_t)(int32_t)steps.zero);
            float z = (float)of_x * (in.scale * wscale[j]);
            if (b) z = z + b[j];
            gates[i] = z + (float)of_h * (steps.scale * uscale[j]);
        }
        __syncthreads();
        pn_rnn_step s;
        memset(&s, 0, sizeof s);
        s.rows = N, s.units = H, s.t = t, s.peep = I.arg[f32::BLS_PEEP], s.gates = gates, s.state = h;
        s.cell = c, s.cell_prev = c, s.y = (float *)I.arg[f32::BLS_Y] + t * H, s.ldy = T * H;
        BYTE_THREADS(i, N * H) {
            s.row = i / H, s.unit = i % H;
            f32::rnn_lstm_fwd(&s);
        }
    }
}

#endif
