/* float32 kernels for AVX2 + FMA. */
#include "target.h"
#ifdef PN_X86
#define PN_REAL_F32
#define PN_AVX2
PN_TARGET_PUSH_AVX2
#include "all_kernels.h"
PN_DEFINE_TABLE(pn_table_AVX2, PN_REAL_KERNELS(PN_ROW) PN_SINGLE_KERNELS(PN_ROW));
const pn_ops pn_ops_AVX2 = PN_OPS_INIT;
PN_TARGET_POP
#else
#include "table.h"
PN_NO_TABLE(AVX2);
#endif
