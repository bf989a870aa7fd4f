/* float64 kernels for 64-bit ARM. */
#include "target.h"
#ifdef PN_ARM64
#define PN_REAL_F64
#define PN_NEON
#include "all_kernels.h"
PN_DEFINE_TABLE(pn_table_f64_NEON, PN_REAL_KERNELS(PN_ROW));
const pn_ops pn_ops_f64_NEON = PN_OPS_INIT;
#else
#include "table.h"
PN_NO_TABLE(f64_NEON);
#endif
