/* int32 arithmetic, comparisons and reductions. */
#define PN_INT int32_t
#include "par.h"
#include "simd_int.h"
#include "lanes.h"
#include "table.h"

#include "kernels/eltwise.h"
#include "kernels/reduce.h"
PN_DEFINE_TABLE(pn_table_i32, PN_INT_KERNELS(PN_ROW));
