/* float32 kernels in plain C: runs everywhere. On WebAssembly, whose vectors are known when it is compiled, in those. */
#include "target.h"
#define PN_REAL_F32
#ifdef PN_BASELINE_FUSED
#define PN_FUSED
#endif
#ifdef __wasm_simd128__
#define PN_SIMD128
#endif
#include "all_kernels.h"
PN_DEFINE_TABLE(pn_table_GENERIC, PN_REAL_KERNELS(PN_ROW) PN_SINGLE_KERNELS(PN_ROW));
const pn_ops pn_ops_GENERIC = PN_OPS_INIT;
