/* Output-to-hidden recurrence (pynn/core/kernels/jordan.pyx): a block per sequence, which goes through time on its own;
 * its threads share the units of a step and meet at barriers. Then the products that give the gradients of weights. */
#ifndef PN_CUDA_JORDAN_H
#define PN_CUDA_JORDAN_H

#include "matmul.h"

enum { JORDAN_Y, JORDAN_H, JORDAN_Z, JORDAN_V, JORDAN_W_OUT, JORDAN_B_OUT, JORDAN_LENGTHS };
enum { JORDANB_DZ, JORDANB_DV, JORDANB_DW_OUT, JORDANB_DB_OUT, JORDANB_DY, JORDANB_Y, JORDANB_KEPT, JORDANB_V,
       JORDANB_W_OUT, JORDANB_LENGTHS };
enum { JORDAN_N, JORDAN_T, JORDAN_UNITS, JORDAN_P, JORDAN_ACT, JORDAN_ACT_OUT, JORDAN_INTO_HIDDEN, JORDAN_INTO_OUTPUT,
       JORDAN_STATE_H, JORDAN_STATE_O, JORDAN_DOUT };
enum { JORDAN_SOFTMAX = -1 };

/* What a step of a unit needs of the sequence: t and its length. The cell is that of ../kernels/lstm.h, of one row. */
static __device__ __forceinline__ pn_rnn_step jordan_step(i64 t, const int32_t *length, i64 units, i64 act, double par) {
    pn_rnn_step s;
    memset(&s, 0, sizeof s);
    s.rows = 1, s.t = t, s.lengths = length, s.units = units, s.act = (int)act, s.act_par = par;
    return s;
}

/* total + the sum of a[p] b[p * step] for p < k: chains as in block_product of ../kernels/lstm.h. */
static __device__ __forceinline__ float jordan_chain(const float *a, const float *b, i64 step, i64 k, int adds, float total) {
    const i64 kc = pn_gemm_kc(k);
    for (i64 first = 0; first < k; first += kc) {
        const i64 stop = k - first < kc ? k : first + kc;
        float sum = 0;
        for (i64 p = first; p < stop; p++) sum = fmaf(a[p], b[p * step], sum);
        total = adds || first ? total + sum : sum;
    }
    return total;
}
#define JORDAN_UNITS_OF(j, n) for (i64 j = threadIdx.x; j < (n); j += blockDim.x)

static __device__ __forceinline__ void jordan_check(const pn_instr &I, const int32_t *lengths, int *status) {
    PN_EACH(n, lengths ? I.dim[JORDAN_N] : 0)
        if (lengths[n] < 0 || lengths[n] > I.dim[JORDAN_T]) PN_FAIL(PN_BAD_INDEX);
}

/* Phases: the lengths are checked; the sequences. */
PN_KERNEL(jordan_fwd) {
    const i64 N = I.dim[JORDAN_N], T = I.dim[JORDAN_T], H = I.dim[JORDAN_UNITS], P = I.dim[JORDAN_P];
    const int32_t *lengths = (const int32_t *)I.arg[JORDAN_LENGTHS];
    const float *v = (const float *)I.arg[JORDAN_V], *w_out = (const float *)I.arg[JORDAN_W_OUT];
    const float *z = (const float *)I.arg[JORDAN_Z], *b_out = (const float *)I.arg[JORDAN_B_OUT];
    if (PN_STOPPED) return;
    if (phase == 0) {
        jordan_check(I, lengths, status);
        return;
    }
    for (i64 n = blockIdx.x; n < N; n += gridDim.x) {
        float *state_h = (float *)((char *)I.scratch + I.dim[JORDAN_STATE_H]) + n * H;
        float *state_o = (float *)((char *)I.scratch + I.dim[JORDAN_STATE_O]) + n * P;
        const int32_t *length = lengths ? lengths + n : NULL;
        JORDAN_UNITS_OF(j, H) state_h[j] = 0;
        JORDAN_UNITS_OF(k, P) state_o[k] = 0;
        for (i64 t = 0; t < T; t++) {
            float *h = (float *)I.arg[JORDAN_H] + (t * N + n) * H, *o = (float *)I.arg[JORDAN_Y] + (t * N + n) * P;
            const int ended = length && t >= *length, soft = I.dim[JORDAN_ACT_OUT] == JORDAN_SOFTMAX;
            pn_rnn_step s = jordan_step(t, length, H, I.dim[JORDAN_ACT], I.par[0]);
            s.gates = h, s.state = state_h;
            JORDAN_UNITS_OF(j, H) {
                const float from = z[(t * N + n) * H + j];
                h[j] = t ? jordan_chain(o - N * P, v + j, H, P, 1, from) : from;
                s.unit = j;
                f32::rnn_plain_fwd(&s);
            }
            __syncthreads();
            s = jordan_step(t, length, P, I.dim[JORDAN_ACT_OUT], I.par[1]);
            s.gates = o, s.state = state_o;
            JORDAN_UNITS_OF(k, P) {
                o[k] = jordan_chain(h, w_out + k, P, H, 1, b_out[k]);
                s.unit = k;
                if (!soft) f32::rnn_plain_fwd(&s);
                if (ended) o[k] = 0;
            }
            __syncthreads();
            if (soft && !ended && threadIdx.x == 0) {
                float top = o[0], total = 0;
                for (i64 k = 1; k < P; k++)
                    if (o[k] > top) top = o[k];
                for (i64 k = 0; k < P; k++) {
                    const float less = o[k] - top;
                    o[k] = less == less ? (float)pn_exp((double)less) : less;
                    total += o[k];
                }
                for (i64 k = 0; k < P; k++) o[k] /= total;
            }
            __syncthreads();
        }
    }
}

/* A sequence backwards in time. */
static __device__ __forceinline__ void jordan_back(const pn_instr &I, i64 n, const int32_t *length) {
    const i64 N = I.dim[JORDAN_N], H = I.dim[JORDAN_UNITS], P = I.dim[JORDAN_P];
    const float *v = (const float *)I.arg[JORDANB_V], *w_out = (const float *)I.arg[JORDANB_W_OUT];
    float *dh = (float *)((char *)I.scratch + I.dim[JORDAN_STATE_H]) + n * H;
    float *carried = (float *)((char *)I.scratch + I.dim[JORDAN_STATE_O]) + n * P;
    JORDAN_UNITS_OF(k, P) carried[k] = 0;
    __syncthreads();
    for (i64 t = I.dim[JORDAN_T] - 1; t >= 0; t--) {
        const i64 at = t * N + n;
        float *dz = (float *)I.arg[JORDANB_DZ] + at * H, *dout = (float *)((char *)I.scratch + I.dim[JORDAN_DOUT]) + at * P;
        float *y = (float *)I.arg[JORDANB_Y] + at * P;
        const float *dy = (const float *)I.arg[JORDANB_DY] + at * P;
        pn_rnn_step s = jordan_step(t, length, P, I.dim[JORDAN_ACT_OUT], I.par[1]);
        if (I.dim[JORDAN_ACT_OUT] != JORDAN_SOFTMAX) {
            s.gates = y, s.dy = dy, s.ldy = P, s.dz = dout, s.dh = carried;
            JORDAN_UNITS_OF(k, P) {
                s.unit = k;
                f32::rnn_plain_bwd(&s);
            }
        } else if (threadIdx.x == 0) {
            float inner = 0;
            for (i64 k = 0; k < P; k++) {
                carried[k] += dy[k];
                inner += carried[k] * y[k];
            }
            for (i64 k = 0; k < P; k++) dout[k] = length && t >= *length ? 0 : y[k] * (carried[k] - inner);
        }
        __syncthreads();
        s = jordan_step(t, length, H, I.dim[JORDAN_ACT], I.par[0]);
        s.gates = (float *)I.arg[JORDANB_KEPT] + at * H, s.dz = dz, s.dh = dh;
        JORDAN_UNITS_OF(j, H) {
            dh[j] = jordan_chain(dout, w_out + j * P, 1, P, 0, 0);
            s.unit = j;
            f32::rnn_plain_bwd(&s);
        }
        __syncthreads();
        if (t)
            JORDAN_UNITS_OF(k, P) carried[k] = jordan_chain(dz, v + k * H, 1, H, 0, 0);
        __syncthreads();
    }
}

/* Phases: the lengths are checked; the sequences; dv, dw_out, db_out. */
PN_KERNEL(jordan_bwd) {
    const i64 N = I.dim[JORDAN_N], T = I.dim[JORDAN_T], H = I.dim[JORDAN_UNITS], P = I.dim[JORDAN_P];
    const int32_t *lengths = (const int32_t *)I.arg[JORDANB_LENGTHS];
    const float *dout = (const float *)((char *)I.scratch + I.dim[JORDAN_DOUT]);
    float *dv = (float *)I.arg[JORDANB_DV], *dw_out = (float *)I.arg[JORDANB_DW_OUT], *db = (float *)I.arg[JORDANB_DB_OUT];
    if (PN_STOPPED) return;
    if (phase == 0) {
        jordan_check(I, lengths, status);
    } else if (phase == 1) {
        for (i64 n = blockIdx.x; n < N; n += gridDim.x) jordan_back(I, n, lengths ? lengths + n : NULL);
    } else if (phase == 2) {
        const float *y = (const float *)I.arg[JORDANB_Y], *dz = (const float *)I.arg[JORDANB_DZ];
        const gemm_call g = {P, H, (T - 1) * N, y, 1, P, dz + N * H, H, 1, dv, NULL, PN_ACT_NONE, 0};
        if (dv) gemm_run<0>(g, 1, 0, 0);
    } else if (phase == 3) {
        const float *h = (const float *)I.arg[JORDANB_KEPT];
        const gemm_call g = {H, P, T * N, h, 1, H, dout, P, 1, dw_out, NULL, PN_ACT_NONE, 0};
        if (dw_out) gemm_run<0>(g, 1, 0, 0);
    } else {
        PN_EACH(k, db ? P : 0) {
            float s = 0;
            for (i64 r = 0; r < T * N; r++) s = s + dout[r * P + k];
            db[k] = s;
        }
    }
}

#endif
