"""The dense layer: y = act(x w + b), and its gradients.

OpenMP and the choice between pynn's own gemm and BLAS sit behind `ops.gemm`; what is decided here is the order of the
work and what is skipped.
"""

from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memset

from pynn.core._core cimport PN_BAD_INDEX, pn_gemm_call, pn_instr, pn_update, PN_GEMM_ROOM
from pynn.core.kernels.pieces cimport PIECES, column_sums

from pynn.core import _core


cdef enum:
    FWD_Y, FWD_X, FWD_W, FWD_B

cdef enum:
    BWD_DX, BWD_DW, BWD_DB, BWD_DZ, BWD_DY, BWD_Y, BWD_X, BWD_W

cdef enum:
    M, N, K, ACT, UPDATE, STORE


cdef int dense_fwd(const pn_instr *I) noexcept nogil:
    """y = act(x w + b).   OUT y [M,N]; IN x [M,K], w [K,N], b [N] or NULL.

    dim: M, N, K, act; par: act's parameter. Parallel over tiles of y. 2MNK flops. y aliases nothing.
    """
    cdef pn_gemm_call g
    if I.keeping:
        I.ops.pack(I.kept, I.arg[FWD_W], I.dim[N], 1, I.dim[N], I.dim[K], I.dim[M])
        return 0
    memset(&g, 0, sizeof(g))
    g.packed = I.kept
    g.m, g.n, g.k = I.dim[M], I.dim[N], I.dim[K]
    g.a, g.ars, g.acs = I.arg[FWD_X], g.k, 1
    g.b, g.brs, g.bcs = I.arg[FWD_W], g.n, 1
    g.c, g.ldc = I.arg[FWD_Y], g.n
    g.bias = I.arg[FWD_B]
    g.act = <int>I.dim[ACT]
    g.act_par = I.par[0]
    I.ops.gemm(&g, I.scratch, I.scratch_bytes, I.nth)
    return 0


cdef int dense_bwd(const pn_instr *I) noexcept nogil:
    """dz = dy act'(y);  dx = dz w^T;  dw = x^T dz;  db = sum over rows of dz.

    OUT dx [M,K] or NULL, dw [K,N] or NULL, db [N] or NULL, dz [M,N] or NULL (without activation dz is dy);
    IN dy [M,N], y [M,N], x [M,K], w [K,N].   dim: M, N, K, act, update, store; par: act's parameter.
    Parallel over tiles. 4MNK flops. dz may be dy's memory, and dx, which is written last, that of x or y.

    With update u > 0 the instruction I[u] of the program, an optimizer's, leaves w to this one, which does to each
    block of w what it says as soon as that of dw is made; dw itself is left undefined without `store`. dx is written
    before then, and not over x. The scratch memory begins with nth times PN_GEMM_ROOM bytes for that.
    """
    cdef int64_t m = I.dim[M], n = I.dim[N], k = I.dim[K]
    cdef const void *dz = I.arg[BWD_DY]
    cdef int64_t rooms = I.nth * PN_GEMM_ROOM if I.dim[UPDATE] != 0 else 0
    cdef int part
    cdef pn_gemm_call g
    cdef pn_update update
    if I.dim[ACT] != 0:
        dz = I.arg[BWD_DZ]
        I.ops.act_grad(<int>I.dim[ACT], I.par[0], I.arg[BWD_DZ], I.arg[BWD_DY], I.arg[BWD_Y], m * n, I.nth)
    for part in range(2):
        memset(&g, 0, sizeof(g))
        if (part == 1) == (I.dim[UPDATE] != 0):
            if I.arg[BWD_DW] == NULL:
                continue
            g.m, g.n, g.k = k, n, m
            g.a, g.ars, g.acs = I.arg[BWD_X], 1, k
            g.b, g.brs, g.bcs = dz, n, 1
            g.c, g.ldc = I.arg[BWD_DW], n
            if I.dim[UPDATE] != 0:
                g.done, g.done_ctx = I.ops.updating(&update, I + I.dim[UPDATE], g.c, n), &update
                g.room = NULL if I.dim[STORE] else I.scratch
        else:
            if I.arg[BWD_DB] != NULL:
                I.ops.col_sum(I.arg[BWD_DB], dz, m, n, I.nth)
            if I.arg[BWD_DX] == NULL:
                continue
            g.m, g.n, g.k = m, k, n
            g.a, g.ars, g.acs = dz, n, 1
            g.b, g.brs, g.bcs = I.arg[BWD_W], 1, n
            g.c, g.ldc = I.arg[BWD_DX], k
        I.ops.gemm(&g, <char *>I.scratch + rooms, I.scratch_bytes - rooms, I.nth)
    return 0


cdef enum:
    JOINED_DW, JOINED_DB, JOINED_DZ, JOINED_X, JOINED_CUTS

cdef enum:
    JOINED_M, JOINED_N, JOINED_K, JOINED_PIECES


cdef int dense_joined(const pn_instr *I) noexcept nogil:
    """dw = x^T dz, db = sum over rows of dz: of pieces of the rows, joined as csrc/kernels/segments.h does.

    OUT dw [K,N], db [N] or NULL; IN dz [M,N], x [M,K], cuts int64 [pieces + 1], where they begin.
    dim: M, N, K > 1, 1 < pieces <= 64. Parallel over tiles. 2MNK flops. Scratch: the product's, or 8 rows of N.
    """
    cdef int64_t m = I.dim[JOINED_M], n = I.dim[JOINED_N], k = I.dim[JOINED_K], pieces = I.dim[JOINED_PIECES]
    cdef int64_t s
    cdef int64_t at[2 * PIECES]
    cdef const int64_t *cuts = <const int64_t *>I.arg[JOINED_CUTS]
    cdef pn_gemm_call g
    for s in range(pieces):
        if cuts[s] < 0 or cuts[s] > cuts[s + 1] or cuts[s + 1] > m:
            return PN_BAD_INDEX
        at[2 * s], at[2 * s + 1] = cuts[s], cuts[s + 1]
    if I.arg[JOINED_DB] != NULL:
        column_sums(I.ops, I.arg[JOINED_DB], <char *>I.scratch, <const char *>I.arg[JOINED_DZ], at, pieces, n, I.nth)
    memset(&g, 0, sizeof(g))
    g.m, g.n, g.k = k, n, m
    g.a, g.ars, g.acs = I.arg[JOINED_X], 1, k
    g.b, g.brs, g.bcs = I.arg[JOINED_DZ], n, 1
    g.c, g.ldc = I.arg[JOINED_DW], n
    g.pieces, g.cuts = <int>pieces, at
    I.ops.gemm(&g, I.scratch, I.scratch_bytes, I.nth)
    return 0


for _dtype in (0, 1):
    _core.register_kernel("dense_joined", _dtype, <uintptr_t><void *>dense_joined)
    _core.register_kernel("dense_fwd", _dtype, <uintptr_t><void *>dense_fwd)
    _core.register_kernel("dense_bwd", _dtype, <uintptr_t><void *>dense_bwd)
