"""Sums of columns over pieces of the rows, joined as csrc/kernels/segments.h does."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from pynn.core._core cimport pn_ops

cdef enum:
    PIECES = 64  # most of them (csrc/kernels/gemm.h)


cdef inline void column_sums(const pn_ops *ops, void *out, char *rows, const char *x, const int64_t *cuts,
                             int64_t pieces, int64_t n, int nth) noexcept nogil:
    """out [n] = sums over rows cuts[2 i] to cuts[2 i + 1] of x [., n], joined; `rows` is room for 8 that may wait."""
    cdef int64_t s, bits, j
    cdef int depth = 0
    cdef char *left
    for s in range(pieces):
        ops.col_sum(rows + depth * n * ops.itemsize, x + cuts[2 * s] * n * ops.itemsize, cuts[2 * s + 1] - cuts[2 * s],
                    n, nth)
        depth += 1
        bits = s
        while (bits & 1 or s + 1 == pieces) and depth > 1:
            bits >>= 1
            depth -= 1
            left = rows + (depth - 1) * n * ops.itemsize
            for j in range(n):
                if ops.itemsize == 4:
                    (<float *>left)[j] += (<float *>left)[n + j]
                else:
                    (<double *>left)[j] += (<double *>left)[n + j]
    memcpy(out, rows, n * ops.itemsize)
