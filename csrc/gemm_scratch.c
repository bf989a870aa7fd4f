/* Scratch memory of the matrix product. */
#include "gemm_scratch.h"

i64 pn_gemm_scratch_bytes(i64 m, i64 n, i64 k, int ta, int tb, int nth) {
    (void)ta; /* a transposed A is read as it lies */
    if (m <= 0 || n <= 0 || k <= 0) return 0;
    return pn_gemm_parts(m, n, k, nth) * pn_gemm_scratch_part(m, n, k, tb);
}
