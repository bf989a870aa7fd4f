"""Row-major gemm over scipy.linalg.cython_blas. Loaded on first use: importing scipy.linalg is slow."""

from libc.stdint cimport int64_t, uintptr_t
from scipy.linalg.cython_blas cimport dgemm, sgemm

from pynn.core import _core

ctypedef fused real:
    float
    double


cdef inline void gemm(int ta, int tb, int64_t m, int64_t n, int64_t k, const real *a, int64_t lda, const real *b,
                      int64_t ldb, real beta, real *c, int64_t ldc) noexcept nogil:
    # Row-major C = op(A) op(B) is column-major C^T = op(B)^T op(A)^T: the operands swap, the flags stay.
    cdef char trans_a = b"T" if ta else b"N"
    cdef char trans_b = b"T" if tb else b"N"
    cdef int im = <int>m, in_ = <int>n, ik = <int>k, ilda = <int>lda, ildb = <int>ldb, ildc = <int>ldc
    cdef real alpha = 1
    if real is float:
        sgemm(&trans_b, &trans_a, &in_, &im, &ik, &alpha, <float *>b, &ildb, <float *>a, &ilda, &beta, c, &ildc)
    else:
        dgemm(&trans_b, &trans_a, &in_, &im, &ik, &alpha, <double *>b, &ildb, <double *>a, &ilda, &beta, c, &ildc)


cdef void gemm_f32(int ta, int tb, int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                   int64_t ldb, float beta, float *c, int64_t ldc) noexcept nogil:
    gemm[float](ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc)


cdef void gemm_f64(int ta, int tb, int64_t m, int64_t n, int64_t k, const double *a, int64_t lda, const double *b,
                   int64_t ldb, double beta, double *c, int64_t ldc) noexcept nogil:
    gemm[double](ta, tb, m, n, k, a, lda, b, ldb, beta, c, ldc)


_core.set_blas(<uintptr_t><void *>gemm_f32, <uintptr_t><void *>gemm_f64)
