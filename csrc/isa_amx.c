/* Products of bfloat16: the tile registers of AMX. */
#define PN_AMX
#include "target.h"
#ifdef PN_PAIRS_BUILT
PN_TARGET_PUSH_AMX
#include "isa_pairs.h"
PN_DEFINE_TABLE(pn_table_AMX, PN_PAIRS_KERNELS(PN_ROW));
const pn_products pn_products_AMX[2] = PN_PRODUCTS_INIT;
PN_TARGET_POP
#endif
