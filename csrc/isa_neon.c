/* float32 kernels for 64-bit ARM (NEON, which all of them have). */
#include "target.h"
#ifdef PN_ARM64
#define PN_REAL_F32
#define PN_NEON
#include "all_kernels.h"
PN_DEFINE_TABLE(pn_table_NEON, PN_REAL_KERNELS(PN_ROW) PN_SINGLE_KERNELS(PN_ROW));
const pn_ops pn_ops_NEON = PN_OPS_INIT;
#else
#include "table.h"
PN_NO_TABLE(NEON);
#endif
