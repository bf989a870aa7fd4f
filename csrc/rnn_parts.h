/* What recurrent layers are made of where no Python is: pynn.export.recurrent writes the loops over time of
 * pynn/core/kernels/rnn.pyx as products and cells.
 *
 *   rnn_gemm      C[m,n] = op(A)[m,k] op(B)[k,n] (+ bias)    OUT C; IN A, B, bias or NULL, on a device the number
 *                 of terms, int32 [1], at least 1, or NULL
 *                 dim: m, n, k, then the steps of rows and columns of A and of B, and of rows of C
 *   rnn_pack      B[k,n] laid out for rnn_product    OUT k times n rounded up to 16; IN B
 *                 dim: n, k, the steps of rows and columns of B
 *   rnn_product   C[m,n] (+)= A[m,k] B    OUT C; IN A, B from rnn_pack;  dim: m, n, k, steps of rows of A and of C, adds
 *   rnn_mask      kept ? scale : 0    OUT n numbers; IN n bytes;  dim: n; par: scale
 *   rnn_peep      gradients of peepholes (block_peep_grad)    OUT dp [3,H], added to; IN dz, c;  dim: rows, H, whether i and f
 *   rnn_step      one time step of a cell (kernels/lstm.h); operands as below, those of pn_rnn_step
 *                 dim: which step, rows, units, act, steps of rows of y or dy, and of prev and next, the
 *                 time, for lengths (which pages leave out); par: act's
 */
#ifndef PN_RNN_PARTS_H
#define PN_RNN_PARTS_H

enum { RG_C, RG_A, RG_B, RG_BIAS, RG_MOST };
enum { RG_M, RG_N, RG_K, RG_ARS, RG_ACS, RG_BRS, RG_BCS, RG_LDC };
enum { PACK_TO, PACK_B };
enum { PACK_N, PACK_K, PACK_BRS, PACK_BCS };
enum { RP_C, RP_A, RP_B };
enum { RP_M, RP_N, RP_K, RP_LDA, RP_LDC, RP_ADD };
enum { MASK_TO, MASK_KEPT };
enum { MASK_N };
enum { PEEP_DP, PEEP_DZ, PEEP_C };
enum { PEEP_ROWS, PEEP_UNITS, PEEP_IF };
/* The first are written to, some of them read before. */
enum { RS_GATES, RS_CELL, RS_STATE, RS_RESET, RS_Y, RS_DZ, RS_DH, RS_DC, RS_NEXT, RS_MASKED,
       RS_BEFORE, RS_BIAS, RS_DY, RS_PREV, RS_H0, RS_MASK, RS_PEEP, RS_LENGTHS };
enum { RS_WHAT, RS_ROWS, RS_UNITS, RS_ACT, RS_LDY, RS_LDH, RS_T };

#endif
