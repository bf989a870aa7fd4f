/* Products of bfloat16: AMX in plain C, to test its loops where there is none. */
#define PN_AMX
#define PN_AMX_EMULATED
#include "target.h"
#ifdef PN_PAIRS_BUILT
PN_TARGET_PUSH_BF16
#include "isa_pairs.h"
PN_DEFINE_TABLE(pn_table_AMX_EMULATED, PN_PAIRS_KERNELS(PN_ROW));
const pn_products pn_products_AMX_EMULATED[2] = PN_PRODUCTS_INIT;
PN_TARGET_POP
#endif
