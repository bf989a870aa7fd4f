/* Products of bfloat16: bfloat16 dot products of AVX-512. */
#include "target.h"
#ifdef PN_PAIRS_BUILT
PN_TARGET_PUSH_BF16
#include "isa_pairs.h"
PN_DEFINE_TABLE(pn_table_BF16, PN_PAIRS_KERNELS(PN_ROW));
const pn_products pn_products_BF16[2] = PN_PRODUCTS_INIT;
PN_TARGET_POP
#endif
