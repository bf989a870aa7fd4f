/* float32 kernels in plain C for x86 processors that fuse multiply-adds: the bits of the vector tables. */
#include "target.h"
#ifdef PN_X86
#define PN_REAL_F32
#define PN_FUSED
PN_TARGET_PUSH_FMA
#include "all_kernels.h"
PN_DEFINE_TABLE(pn_table_GENERIC_FUSED, PN_REAL_KERNELS(PN_ROW) PN_SINGLE_KERNELS(PN_ROW));
const pn_ops pn_ops_GENERIC_FUSED = PN_OPS_INIT;
PN_TARGET_POP
#endif
