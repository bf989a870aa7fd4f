/* The parts of recurrent layers (../rnn_parts.h). A layer is a chain of them: the device has no kernel that loops over
 * time. Weights are packed as they are, only with their rows side by side. */
#ifndef PN_CUDA_RECURRENT_H
#define PN_CUDA_RECURRENT_H

#include "../rnn_parts.h"
#include "matmul.h"

PN_PRODUCTS(rnn_gemm) {
    (void)phase;
    const i64 most = I.arg[RG_MOST] ? *(const int32_t *)I.arg[RG_MOST] : I.dim[RG_K];
    const i64 k = most >= I.dim[RG_K] ? I.dim[RG_K] : most < 1 ? 1 : most;
    const gemm_call g = {I.dim[RG_M], I.dim[RG_N], k, (const float *)I.arg[RG_A], I.dim[RG_ARS], I.dim[RG_ACS],
                         (const float *)I.arg[RG_B], I.dim[RG_BRS], I.dim[RG_BCS], (float *)I.arg[RG_C],
                         (const float *)I.arg[RG_BIAS], PN_ACT_NONE, 0, I.dim[RG_LDC]};
    if (!PN_STOPPED) gemm_run<PARTS>(g, 1, 0, 0);
}

PN_KERNEL(rnn_pack) {
    (void)phase;
    const i64 n = I.dim[PACK_N], rows = I.dim[PACK_BRS], columns = I.dim[PACK_BCS];
    const float *b = (const float *)I.arg[PACK_B];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[PACK_K] * n)((float *)I.arg[PACK_TO])[i] = b[i / n * rows + i % n * columns];
}

/* Chains as in block_product of ../kernels/lstm.h, whatever the sizes. */
PN_PRODUCTS(rnn_product) {
    (void)phase;
    const i64 m = I.dim[RP_M], n = I.dim[RP_N], k = I.dim[RP_K], lda = I.dim[RP_LDA], ldc = I.dim[RP_LDC];
    const i64 across = (n + PN_CUDA_TILE - 1) / PN_CUDA_TILE;
    const float *a = (const float *)I.arg[RP_A], *b = (const float *)I.arg[RP_B];
    float *c = (float *)I.arg[RP_C];
    if (PN_STOPPED) return;
    for (i64 t = blockIdx.x; t < pn_cuda_tiles(m, n); t += gridDim.x)
        tile_product<PARTS>(
            m, n, k, pn_gemm_kc(k), t / across * PN_CUDA_TILE, t % across * PN_CUDA_TILE, 1, 0,
            [&](i64 i, i64 p) { return a[i * lda + p]; }, [&](i64 p, i64 j) { return b[p * n + j]; },
            [&](i64 i, i64 j, float s) { c[i * ldc + j] = s; }, I.dim[RP_ADD] ? c : NULL, ldc);
}

PN_KERNEL(rnn_mask) {
    (void)phase;
    const float scale = (float)I.par[0];
    if (PN_STOPPED) return;
    PN_EACH(i, I.dim[MASK_N])((float *)I.arg[MASK_TO])[i] = ((const uint8_t *)I.arg[MASK_KEPT])[i] ? scale : 0;
}

/* A thread per number of dp, over the rows in order: gates i and f, or gate o. */
PN_KERNEL(rnn_peep) {
    (void)phase;
    const i64 H = I.dim[PEEP_UNITS], first = I.dim[PEEP_IF] ? 0 : 2;
    const float *dz = (const float *)I.arg[PEEP_DZ], *c = (const float *)I.arg[PEEP_C];
    float *dp = (float *)I.arg[PEEP_DP] + first * H;
    if (PN_STOPPED) return;
    PN_EACH(i, first ? H : 2 * H) {
        const i64 gate = first ? 3 : i / H, j = i % H;
        float s = dp[i];
        for (i64 r = 0; r < I.dim[PEEP_ROWS]; r++) s += dz[(4 * r + gate) * H + j] * c[r * H + j];
        dp[i] = s;
    }
}

PN_KERNEL(rnn_step) {
    (void)phase;
    pn_rnn_step s;
    memset(&s, 0, sizeof s);
    s.rows = I.dim[RS_ROWS], s.units = I.dim[RS_UNITS], s.act = (int)I.dim[RS_ACT], s.act_par = I.par[0];
    s.ldy = I.dim[RS_LDY], s.ldh = I.dim[RS_LDH];
    s.gates = I.arg[RS_GATES], s.cell = I.arg[RS_CELL], s.state = I.arg[RS_STATE], s.reset = I.arg[RS_RESET];
    s.y = I.arg[RS_Y], s.dz = I.arg[RS_DZ], s.dh = I.arg[RS_DH], s.dc = I.arg[RS_DC], s.next = I.arg[RS_NEXT];
    s.cell_prev = I.arg[RS_BEFORE], s.bias = I.arg[RS_BIAS], s.dy = I.arg[RS_DY], s.prev = I.arg[RS_PREV];
    s.h0 = I.arg[RS_H0], s.masked = I.arg[RS_MASKED], s.mask = I.arg[RS_MASK], s.peep = I.arg[RS_PEEP];
    s.lengths = (const int32_t *)I.arg[RS_LENGTHS], s.t = I.dim[RS_T];
    if (PN_STOPPED) return;
    PN_EACH(i, s.rows * s.units) {
        s.row = i / s.units, s.unit = i % s.units;
        switch (I.dim[RS_WHAT]) {
            case PN_RNN: f32::rnn_plain_fwd(&s); break;
            case PN_LSTM: f32::rnn_lstm_fwd(&s); break;
            case PN_GRU: f32::rnn_gru_fwd(&s); break;
            case PN_GRU_AFTER: f32::rnn_gru_after_fwd(&s); break;
            case PN_RNN_BWD + PN_RNN: f32::rnn_plain_bwd(&s); break;
            case PN_RNN_BWD + PN_LSTM: f32::rnn_lstm_bwd(&s); break;
            case PN_RNN_BWD + PN_GRU: f32::rnn_gru_bwd(&s); break;
            case PN_RNN_BWD + PN_GRU_AFTER: f32::rnn_gru_after_bwd(&s); break;
            case PN_GRU_GATES: f32::rnn_gru_gates(&s); break;
            case PN_GRU_STATES: f32::rnn_gru_before_states(&s); break;
            case PN_GRU_AFTER_STATES: f32::rnn_gru_after_states(&s); break;
            default: f32::rnn_gru_reset_bwd(&s);
        }
    }
}

#endif
