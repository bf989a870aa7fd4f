/* float64 kernels in plain C: gradient checks, and the oracle of the vector variants. */
#define PN_REAL_F64
#include "all_kernels.h"
PN_DEFINE_TABLE(pn_table_f64_GENERIC, PN_REAL_KERNELS(PN_ROW));
const pn_ops pn_ops_f64_GENERIC = PN_OPS_INIT;
