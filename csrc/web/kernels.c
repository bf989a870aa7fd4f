/* float32 kernels of a page: those of kernels.def in vectors of SIMD128, but for a few that no page needs. */
#include "../target.h"
#define PN_REAL_F32
#define PN_SIMD128
#include "../all_kernels.h"
#include "recurrent.h"
PN_DEFINE_TABLE(pn_table_GENERIC, PN_PAGE_KERNELS(PN_ROW) PN_RECURRENT_KERNELS(PN_ROW));
/* Without the blocks that kernels in Cython alone call. */
const pn_ops pn_ops_GENERIC = {sizeof(real), 0, block_gemm, block_act_grad, block_col_sum, VW, pn_for, block_pack, block_product};
