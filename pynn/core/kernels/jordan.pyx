"""Output-to-hidden recurrence: the loops over time of a layer whose output feeds its next step.

Everything is time-major: row t N + n of a matrix belongs to sequence n at time t. Every block of batch rows runs
through time on one thread, with both weights packed once per call; blocks share no sums, so bits do not depend on them.
Weight gradients are single products over all steps.

H is the size of h, P that of the output.
"""

from libc.math cimport exp
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.string cimport memcpy, memset

from pynn.core._core cimport PN_BAD_INDEX, PN_RNN, PN_RNN_BWD, pn_gemm_call, pn_instr, pn_ops, pn_rnn_step

from pynn.core import _core

cdef enum:
    BLOCK = 64
    PLAIN_BLOCK = 16  # without vectors blocks are fixed, as BLAS may round by the number of rows
    SOFTMAX = -1  # a code beside those of act.h

cdef enum:
    FWD_Y, FWD_H, FWD_Z, FWD_V, FWD_W_OUT, FWD_B_OUT, FWD_LENGTHS

cdef enum:
    BWD_DZ, BWD_DV, BWD_DW_OUT, BWD_DB_OUT, BWD_DY, BWD_Y, BWD_H, BWD_V, BWD_W_OUT, BWD_LENGTHS

cdef enum:  # from INTO_HIDDEN on byte offsets into the scratch memory
    DIM_N, DIM_T, DIM_H, DIM_P, DIM_ACT, DIM_ACT_OUT, DIM_INTO_HIDDEN, DIM_INTO_OUTPUT, DIM_STATE_H
    DIM_STATE_O, DIM_DOUT, DIM_GEMM


cdef struct Job:
    const pn_ops *ops
    int64_t N, T, H, P, rows
    int act, act_out
    double act_par, act_out_par
    char *h  # [T,N,H]; going back, dz
    char *kept  # [T,N,H], the activated h
    char *y  # [T,N,P]
    char *dy
    char *dout
    char *into_hidden  # v, or v^T
    char *into_output  # w_out, or w_out^T
    char *state_h
    char *state_o
    const char *b_out
    int32_t *lengths


ctypedef fused real:
    float
    double


cdef inline int ended(const Job *j, int64_t row, int64_t t) noexcept nogil:
    return j.lengths != NULL and t >= j.lengths[row]


cdef void softmax_fwd(const Job *j, real *z, int64_t lo, int64_t n, int64_t t) noexcept nogil:
    """z = exp(z - max z) / sum, row by row; of float32 by pynn's own exp, which is that of every C library."""
    cdef int64_t r, k, P = j.P
    cdef real top, total, less
    cdef real *row
    for r in range(n):
        row = z + r * P
        if ended(j, lo + r, t):
            continue
        top = row[0]
        for k in range(1, P):
            if row[k] > top:
                top = row[k]
        total = 0
        for k in range(P):
            less = row[k] - top
            if real is float:
                row[k] = <float>j.ops.exp(less) if less == less else less
            else:
                row[k] = exp(less)
            total += row[k]
        for k in range(P):
            row[k] /= total


cdef void softmax_bwd(const Job *j, real *dz, real *carried, const real *dy, const real *y, int64_t lo, int64_t n,
                      int64_t t) noexcept nogil:
    """dz = y (d - sum d y) with d = dy + carried."""
    cdef int64_t r, k, at, P = j.P
    cdef real inner
    for r in range(n):
        inner = 0
        for k in range(P):
            at = r * P + k
            carried[at] += dy[at]
            inner += carried[at] * y[at]
        for k in range(P):
            at = r * P + k
            dz[at] = 0 if ended(j, lo + r, t) else y[at] * (carried[at] - inner)


cdef void forward_block(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Job *j = <const Job *>ctx
    cdef int64_t n = hi - lo, N = j.N, H = j.H, P = j.P, size = j.ops.itemsize, t, r
    cdef char *h
    cdef char *o
    cdef pn_rnn_step s
    memset(&s, 0, sizeof(s))
    s.rows, s.lengths = n, NULL if j.lengths == NULL else j.lengths + lo
    memset(j.state_h + lo * H * size, 0, n * H * size)
    memset(j.state_o + lo * P * size, 0, n * P * size)
    for t in range(j.T):
        h, o = j.h + (t * N + lo) * H * size, j.y + (t * N + lo) * P * size
        if t:
            j.ops.product(n, H, P, o - N * P * size, P, j.into_hidden, h, H, 1, j.rows)
        s.t, s.units, s.act, s.act_par = t, H, j.act, j.act_par
        s.gates, s.state = h, j.state_h + lo * H * size
        j.ops.rnn_step(PN_RNN, &s)
        for r in range(n):
            memcpy(o + r * P * size, j.b_out, P * size)
        j.ops.product(n, P, H, h, H, j.into_output, o, P, 1, j.rows)
        if j.act_out == SOFTMAX and size == 4:
            softmax_fwd[float](j, <float *>o, lo, n, t)
        elif j.act_out == SOFTMAX:
            softmax_fwd[double](j, <double *>o, lo, n, t)
        else:
            s.units, s.act, s.act_par = P, j.act_out, j.act_out_par
            s.gates, s.state = o, j.state_o + lo * P * size
            j.ops.rnn_step(PN_RNN, &s)
        for r in range(n):
            if ended(j, lo + r, t):
                memset(o + r * P * size, 0, P * size)


cdef void prepare(Job *j, const pn_instr *I) noexcept nogil:
    cdef double work
    cdef int64_t parts
    memset(j, 0, sizeof(Job))
    j.ops = I.ops
    j.N, j.T, j.H, j.P = I.dim[DIM_N], I.dim[DIM_T], I.dim[DIM_H], I.dim[DIM_P]
    j.act, j.act_out = <int>I.dim[DIM_ACT], <int>I.dim[DIM_ACT_OUT]
    j.act_par, j.act_out_par = I.par[0], I.par[1]
    work = <double>(j.N * j.T * (j.H + j.P)) * (j.H / (6.0 * j.ops.lanes) + 1)
    parts = min(I.nth, max(1, <int64_t>(work / 24000)))
    j.rows = min(max(1, (j.N + parts - 1) // parts), <int64_t>BLOCK) if j.ops.lanes > 1 else <int64_t>PLAIN_BLOCK


cdef int bad_lengths(const Job *j) noexcept nogil:
    cdef int64_t n
    if j.lengths != NULL:
        for n in range(j.N):
            if j.lengths[n] < 0 or j.lengths[n] > j.T:
                return 1
    return 0


cdef double work_of(const Job *j) noexcept nogil:
    return <double>(j.N * j.T * (j.H + j.P)) * (j.H / (6.0 * j.ops.lanes) + 1)


cdef int jordan_fwd(const pn_instr *I) noexcept nogil:
    """h = act(z + o v), o = act_out(h w_out + b_out), o of the step before (0 at first).

    OUT y [T,N,P], h [T,N,H]; IN z [T,N,H], v [P,H], w_out [H,P], b_out [P], lengths int32 [N] or NULL.
    dim: N, T, H, P, act, act_out, then byte offsets into the scratch memory: two packed weights, two states.
    y is 0 beyond a length. Parallel over batch rows. 4 N T H P flops. h may be z.
    """
    cdef Job j
    cdef char *scratch = <char *>I.scratch
    prepare(&j, I)
    j.lengths = <int32_t *>I.arg[FWD_LENGTHS]
    if bad_lengths(&j):
        return PN_BAD_INDEX
    j.y, j.h, j.b_out = <char *>I.arg[FWD_Y], <char *>I.arg[FWD_H], <char *>I.arg[FWD_B_OUT]
    if I.arg[FWD_H] != I.arg[FWD_Z]:
        memcpy(j.h, I.arg[FWD_Z], j.T * j.N * j.H * j.ops.itemsize)
    j.into_hidden, j.into_output = scratch + I.dim[DIM_INTO_HIDDEN], scratch + I.dim[DIM_INTO_OUTPUT]
    j.state_h, j.state_o = scratch + I.dim[DIM_STATE_H], scratch + I.dim[DIM_STATE_O]
    j.ops.pack(j.into_hidden, I.arg[FWD_V], j.H, 1, j.H, j.P, j.rows)
    j.ops.pack(j.into_output, I.arg[FWD_W_OUT], j.P, 1, j.P, j.H, j.rows)
    j.ops.parallel(j.N, j.rows, work_of(&j), I.nth, forward_block, &j)
    return 0


cdef void backward_block(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Job *j = <const Job *>ctx
    cdef int64_t n = hi - lo, N = j.N, H = j.H, P = j.P, size = j.ops.itemsize, t, at
    cdef char *dh = j.state_h + lo * H * size
    cdef char *do = j.state_o + lo * P * size
    cdef char *dz
    cdef char *dout
    cdef pn_rnn_step s
    memset(&s, 0, sizeof(s))
    s.rows, s.lengths = n, NULL if j.lengths == NULL else j.lengths + lo
    memset(do, 0, n * P * size)
    for t in range(j.T - 1, -1, -1):
        at = t * N + lo
        dz, dout = j.h + at * H * size, j.dout + at * P * size
        s.t = t
        if j.act_out == SOFTMAX and size == 4:
            softmax_bwd[float](j, <float *>dout, <float *>do, <float *>(j.dy + at * P * size),
                               <float *>(j.y + at * P * size), lo, n, t)
        elif j.act_out == SOFTMAX:
            softmax_bwd[double](j, <double *>dout, <double *>do, <double *>(j.dy + at * P * size),
                                <double *>(j.y + at * P * size), lo, n, t)
        else:
            s.units, s.act, s.act_par = P, j.act_out, j.act_out_par
            s.gates, s.dy, s.ldy = j.y + at * P * size, j.dy + at * P * size, P
            s.dz, s.dh = dout, do
            j.ops.rnn_step(PN_RNN + PN_RNN_BWD, &s)
        j.ops.product(n, H, P, dout, P, j.into_output, dh, H, 0, j.rows)
        s.units, s.act, s.act_par = H, j.act, j.act_par
        s.gates, s.dy, s.dz, s.dh = j.kept + at * H * size, NULL, dz, dh
        j.ops.rnn_step(PN_RNN + PN_RNN_BWD, &s)
        if t:
            j.ops.product(n, P, H, dz, H, j.into_hidden, do, P, 0, j.rows)


cdef void weight_gradient(const Job *j, const pn_instr *I, void *to, const char *a, int64_t m, const char *b, int64_t n,
                          int64_t k) noexcept nogil:
    """to [m,n] = a[k,m]^T b[k,n]."""
    cdef pn_gemm_call g
    memset(&g, 0, sizeof(g))
    g.m, g.n, g.k = m, n, k
    g.a, g.ars, g.acs = a, 1, m
    g.b, g.brs, g.bcs = b, n, 1
    g.c, g.ldc = to, n
    j.ops.gemm(&g, I.scratch, I.dim[DIM_GEMM], I.nth)


cdef int jordan_bwd(const pn_instr *I) noexcept nogil:
    """OUT dz [T,N,H], dv, dw_out, db_out; IN dy [T,N,P], y, h, v, w_out, lengths.

    dim: as jordan_fwd with the carried gradients as states, then the place of the gradient before act_out and the bytes
    for products, which lie first. Parallel over batch rows, then over tiles of the weight gradients.
    8 N T H P flops.
    """
    cdef Job j
    cdef char *scratch = <char *>I.scratch
    cdef int64_t step_h
    prepare(&j, I)
    j.lengths = <int32_t *>I.arg[BWD_LENGTHS]
    if bad_lengths(&j):
        return PN_BAD_INDEX
    j.h, j.dy, j.y, j.kept = <char *>I.arg[BWD_DZ], <char *>I.arg[BWD_DY], <char *>I.arg[BWD_Y], <char *>I.arg[BWD_H]
    j.into_hidden, j.into_output = scratch + I.dim[DIM_INTO_HIDDEN], scratch + I.dim[DIM_INTO_OUTPUT]
    j.state_h, j.state_o, j.dout = scratch + I.dim[DIM_STATE_H], scratch + I.dim[DIM_STATE_O], scratch + I.dim[DIM_DOUT]
    j.ops.pack(j.into_hidden, I.arg[BWD_V], 1, j.H, j.P, j.H, j.rows)
    j.ops.pack(j.into_output, I.arg[BWD_W_OUT], 1, j.P, j.H, j.P, j.rows)
    j.ops.parallel(j.N, j.rows, 2 * work_of(&j), I.nth, backward_block, &j)
    step_h = j.N * j.H * j.ops.itemsize
    if I.arg[BWD_DV] != NULL:
        weight_gradient(&j, I, I.arg[BWD_DV], j.y, j.P, j.h + step_h, j.H, (j.T - 1) * j.N)
    if I.arg[BWD_DW_OUT] != NULL:
        weight_gradient(&j, I, I.arg[BWD_DW_OUT], j.kept, j.H, j.dout, j.P, j.T * j.N)
    if I.arg[BWD_DB_OUT] != NULL:
        j.ops.col_sum(I.arg[BWD_DB_OUT], j.dout, j.T * j.N, j.P, I.nth)
    return 0


for _dtype in (0, 1):
    _core.register_kernel("jordan_fwd", _dtype, <uintptr_t><void *>jordan_fwd)
    _core.register_kernel("jordan_bwd", _dtype, <uintptr_t><void *>jordan_bwd)
