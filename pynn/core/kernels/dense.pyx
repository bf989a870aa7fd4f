"""The dense layer: y = act(x w + b), and its gradients.

OpenMP and the choice between pynn's own gemm and BLAS sit behind `ops.gemm`; what is decided here is the order of the
work and what is skipped.
"""

from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memset

from pynn.core._core cimport pn_gemm_call, pn_instr

from pynn.core import _core


cdef int dense_fwd(const pn_instr *I) noexcept nogil:
    """y = act(x w + b).   OUT y [M,N]; IN x [M,K], w [K,N], b [N] or NULL.

    dim: M, N, K, act; par: act's parameter. Parallel over tiles of y. 2MNK flops. y aliases nothing.
    """
    cdef pn_gemm_call g
    memset(&g, 0, sizeof(g))
    g.m, g.n, g.k = I.dim[0], I.dim[1], I.dim[2]
    g.a, g.ars, g.acs = I.arg[1], g.k, 1
    g.b, g.brs, g.bcs = I.arg[2], g.n, 1
    g.c, g.ldc = I.arg[0], g.n
    g.bias = I.arg[3]
    g.act = <int>I.dim[3]
    g.act_par = I.par[0]
    I.ops.gemm(&g, I.scratch, I.scratch_bytes, I.nth)
    return 0


cdef int dense_bwd(const pn_instr *I) noexcept nogil:
    """dz = dy act'(y);  dx = dz w^T;  dw = x^T dz;  db = sum over rows of dz.

    OUT dx [M,K] or NULL, dw [K,N] or NULL, db [N] or NULL, dz [M,N] or NULL (without activation dz is dy);
    IN dy [M,N], y [M,N], x [M,K], w [K,N].   dim: M, N, K, act; par: act's parameter.
    Parallel over tiles. 4MNK flops. dz may be dy's memory, and dx, which is written last, that of x or y.
    """
    cdef int64_t m = I.dim[0], n = I.dim[1], k = I.dim[2]
    cdef const void *dz = I.arg[4]
    cdef pn_gemm_call g
    if I.dim[3] != 0:
        dz = I.arg[3]
        I.ops.act_grad(<int>I.dim[3], I.par[0], I.arg[3], I.arg[4], I.arg[5], m * n, I.nth)
    memset(&g, 0, sizeof(g))
    if I.arg[1] != NULL:
        g.m, g.n, g.k = k, n, m
        g.a, g.ars, g.acs = I.arg[6], 1, k
        g.b, g.brs, g.bcs = dz, n, 1
        g.c, g.ldc = I.arg[1], n
        I.ops.gemm(&g, I.scratch, I.scratch_bytes, I.nth)
    if I.arg[2] != NULL:
        I.ops.col_sum(I.arg[2], dz, m, n, I.nth)
    if I.arg[0] != NULL:
        g.m, g.n, g.k = m, k, n
        g.a, g.ars, g.acs = dz, n, 1
        g.b, g.brs, g.bcs = I.arg[7], 1, n
        g.c, g.ldc = I.arg[0], k
        I.ops.gemm(&g, I.scratch, I.scratch_bytes, I.nth)
    return 0


for _dtype in (0, 1):
    _core.register_kernel("dense_fwd", _dtype, <uintptr_t><void *>dense_fwd)
    _core.register_kernel("dense_bwd", _dtype, <uintptr_t><void *>dense_bwd)
