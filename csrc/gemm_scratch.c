/* Scratch memory of the matrix product. */
#include "gemm_scratch.h"

int pn_planes = 0;

i64 pn_gemm_scratch_bytes(i64 m, i64 n, i64 k, int ta, int tb, i64 itemsize, int nth) {
    (void)ta; /* a transposed A is read as it lies */
    i64 part;
    if (m <= 0 || n <= 0 || k <= 0) return 0;
    part = pn_gemm_scratch_part(m, n, k, tb) * itemsize;
    if (pn_planes && itemsize == 4 && pn_pairs_worth(m, n, k)) {
        const i64 pairs = pn_pairs_scratch_part(m, k, pn_planes) * (i64)sizeof(float);
        part = part > pairs ? part : pairs;
    }
    return pn_gemm_parts(m, n, k, nth) * part;
}

i64 pn_gemm_pieces_bytes(i64 m, i64 n, i64 k, i64 itemsize, int nth) {
    if (m <= 0 || n <= 0 || k <= 0) return 0;
    return pn_gemm_parts(m, n, k, nth) * pn_gemm_pieces_part(n, k) * itemsize;
}
