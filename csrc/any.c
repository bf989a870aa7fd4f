/* Kernels that move bytes and do not care for the dtype: strided copies, concatenation, casts, row gathers. */
#include <string.h>

#include "par.h"
#include "table.h"
#include "kernels/move.h"
PN_DEFINE_TABLE(pn_table_any, PN_ANY_KERNELS(PN_ROW));
