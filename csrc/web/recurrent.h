/* The parts of recurrent layers (rnn_parts.h) for pages. */
#include "../rnn_parts.h"

static int rnn_gemm(const pn_instr *I) {
    pn_gemm_call g;
    memset(&g, 0, sizeof g);
    g.m = I->dim[RG_M], g.n = I->dim[RG_N], g.k = I->dim[RG_K];
    g.a = I->arg[RG_A], g.ars = I->dim[RG_ARS], g.acs = I->dim[RG_ACS];
    g.b = I->arg[RG_B], g.brs = I->dim[RG_BRS], g.bcs = I->dim[RG_BCS];
    g.c = I->arg[RG_C], g.ldc = I->dim[RG_LDC];
    g.bias = I->arg[RG_BIAS];
    I->ops->gemm(&g, I->scratch, I->scratch_bytes, I->nth);
    return PN_OK;
}

static int rnn_pack(const pn_instr *I) {
    const i64 *d = I->dim;
    I->ops->pack(I->arg[PACK_TO], I->arg[PACK_B], d[PACK_BRS], d[PACK_BCS], d[PACK_N], d[PACK_K], 1);
    return PN_OK;
}

static int rnn_product(const pn_instr *I) {
    const i64 m = I->dim[RP_M];
    I->ops->product(m, I->dim[RP_N], I->dim[RP_K], I->arg[RP_A], I->dim[RP_LDA], I->arg[RP_B], I->arg[RP_C],
                    I->dim[RP_LDC], (int)I->dim[RP_ADD], m);
    return PN_OK;
}

static int rnn_mask(const pn_instr *I) {
    block_expand_mask(I->arg[MASK_TO], (const uint8_t *)I->arg[MASK_KEPT], I->par[0], I->dim[MASK_N]);
    return PN_OK;
}

static int rnn_peep(const pn_instr *I) {
    block_peep_grad(I->arg[PEEP_DP], I->arg[PEEP_DZ], I->arg[PEEP_C], I->dim[PEEP_ROWS], I->dim[PEEP_UNITS],
                    (int)I->dim[PEEP_IF]);
    return PN_OK;
}

static int rnn_step(const pn_instr *I) {
    void *const *arg = I->arg;
    pn_rnn_step s;
    memset(&s, 0, sizeof s);
    s.rows = I->dim[RS_ROWS], s.units = I->dim[RS_UNITS], s.act = (int)I->dim[RS_ACT], s.act_par = I->par[0];
    s.ldy = I->dim[RS_LDY], s.ldh = I->dim[RS_LDH];
    s.gates = arg[RS_GATES], s.cell = arg[RS_CELL], s.state = arg[RS_STATE], s.reset = arg[RS_RESET], s.y = arg[RS_Y];
    s.dz = arg[RS_DZ], s.dh = arg[RS_DH], s.dc = arg[RS_DC], s.next = arg[RS_NEXT];
    s.cell_prev = arg[RS_BEFORE], s.bias = arg[RS_BIAS], s.dy = arg[RS_DY], s.prev = arg[RS_PREV], s.h0 = arg[RS_H0];
    s.masked = arg[RS_MASKED], s.mask = arg[RS_MASK], s.peep = arg[RS_PEEP];
    block_rnn_step((int)I->dim[RS_WHAT], &s);
    return PN_OK;
}

#define PN_RECURRENT_KERNELS(X) X(rnn_gemm) X(rnn_pack) X(rnn_product) X(rnn_mask) X(rnn_peep) X(rnn_step)
