/* One matrix unit: the products of the AVX-512 table with operands as bfloat16. The including file names the unit. */
#include "target.h"
#ifdef PN_PAIRS_BUILT
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wunused-function" /* most of what the headers define is the AVX-512 table's */
#endif
#define PN_REAL_F32
#define PN_AVX512
#define PN_PAIRS
#include "all_kernels.h"
#include "kernels/pairs_gemm.h"

#define PN_PAIRS_KERNELS(X) X(conv2d_fwd) X(conv2d_bwd) X(conv2d_transpose_fwd)
#endif
