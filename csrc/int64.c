/* int64 arithmetic, comparisons and reductions. */
#define PN_INT int64_t
#include "par.h"
#include "simd_int.h"
#include "lanes.h"
#include "table.h"

#include "kernels/eltwise.h"
#include "kernels/reduce.h"
PN_DEFINE_TABLE(pn_table_i64, PN_INT_KERNELS(PN_ROW));
