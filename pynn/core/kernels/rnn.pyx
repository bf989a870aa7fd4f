"""Recurrent layers: the loops over time, forwards and backwards.

Inside, everything is time-major: row t N + n of a matrix belongs to sequence n at time t. The input projection of all
steps is one product (of a few steps at a time, while their gates are in the cache, on one thread with small weights);
every block of batch rows runs through time on one thread, with the recurrent weights packed once per call, or once
for all (`kept`: w, u, U_g of the gru cells). Weight
gradients are single products over all steps: with small weights all of them are one, of [x, h, 1] and dz. Blocks share
no sums, so bits do not depend on them.

Operands of both kernels (absent ones are NULL):
  x [N,T,D], w [D,K H], u [H,K H], b [K H] (gru_after: [2,K H]), h0 c0 [N,H], peep [3,H], lengths int32 [N],
  mask uint8 [N,H] (recurrent dropout: h is multiplied by mask * par[1] where it meets u)
K is 1 (rnn), 4 (lstm: i f g o), 3 (gru, gru_after: z r g). Kept for the gradient: the activated gates [T,N,G H], with
G = K but 4 for gru_after (z r g and h U_g + b), and the cells [T,N,H] of an lstm.
dim: N, T, D, H, cell, reversed, act, then the byte offsets of the parts of the scratch memory; par: act's, mask scale.
Cost: 2 N T K H (D + H) flops forwards, twice that backwards.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memcpy, memset

from pynn.core._core cimport (
    PN_BAD_INDEX,
    PN_GRU,
    PN_GRU_AFTER,
    PN_GRU_AFTER_STATES,
    PN_GRU_GATES,
    PN_GRU_RESET_BWD,
    PN_GRU_STATES,
    PN_LSTM,
    PN_RNN_BWD,
    pn_gemm_call,
    pn_instr,
    pn_ops,
    pn_rnn_step,
)

from pynn.core.kernels.pieces cimport PIECES, column_sums

from pynn.core import _core

cdef enum:
    BLOCK = 64  # most rows of a block: more would push the weights out of the cache
    CACHE = 768 * 1024  # bytes of both weights up to which they stay in a second-level cache of 1 MB, ...
    CHUNK = 192 * 1024  # ... beside the gates of as many steps
    PLAIN_BLOCK = 16  # without vectors blocks are fixed, as BLAS may round by the number of rows

cdef enum:
    FWD_Y, FWD_H, FWD_C, FWD_GATES, FWD_CELLS, FWD_X, FWD_W, FWD_U, FWD_B, FWD_H0, FWD_C0, FWD_PEEP
    FWD_LENGTHS, FWD_MASK

cdef enum:
    BWD_DZ, BWD_DX, BWD_DW, BWD_DU, BWD_DB, BWD_DH0, BWD_DC0, BWD_DPEEP, BWD_GATES, BWD_DY, BWD_DH, BWD_DC
    BWD_X, BWD_W, BWD_U, BWD_H0, BWD_C0, BWD_PEEP, BWD_LENGTHS, BWD_MASK, BWD_CELLS, BWD_CUTS

cdef enum:  # from X on byte offsets into the scratch memory; GEMM is a size
    DIM_N, DIM_T, DIM_D, DIM_H, DIM_CELL, DIM_REVERSED, DIM_ACT, DIM_GEMM, DIM_X, DIM_PACKED, DIM_PACKED2
    DIM_MASK, DIM_BIAS, DIM_SPARE

cdef enum:  # backwards, in place of SPARE
    DIM_DH = DIM_SPARE, DIM_STATES, DIM_RESETS, DIM_SUMS, DIM_WIDE, DIM_PIECES, DIM_APART, DIM_ROWS  # WIDE: or -1


cdef struct Job:
    const pn_instr *I
    const pn_ops *ops
    int64_t N, T, D, H, G, K, W, size, rows, steps
    int cell, reverse
    char *x  # time-major
    char *given  # x as it is given
    char *bias
    char *gates
    char *cells
    char *packed
    char *packed2  # of U_g for the gru cells
    char *h
    char *masked
    char *mask
    char *spare
    char *states  # [T,N] rows W apart: what meets u at each step
    char *resets  # [T,N,H]: r h of a gru
    char *dz
    char *dh
    char *dc
    char *y
    char *h0
    char *c0
    int32_t *lengths
    int64_t pieces  # or 0
    const int64_t *cuts


cdef int gates_of(int cell) noexcept nogil:
    return 1 if cell == 0 else 3 if cell == PN_GRU else 4


cdef void prepare(Job *j, const pn_instr *I) noexcept nogil:
    cdef int64_t parts
    cdef double work
    memset(j, 0, sizeof(Job))
    j.I, j.ops = I, I.ops
    j.N, j.T, j.D, j.H = I.dim[DIM_N], I.dim[DIM_T], I.dim[DIM_D], I.dim[DIM_H]
    j.cell, j.reverse = <int>I.dim[DIM_CELL], <int>I.dim[DIM_REVERSED]
    j.G = gates_of(j.cell) * j.H
    j.K = 3 * j.H if j.cell == PN_GRU_AFTER else j.G
    j.size = I.ops.itemsize
    work = <double>(j.N * j.T * j.K) * (j.H / (6.0 * j.ops.lanes) + 1)
    parts = min(I.nth, max(1, <int64_t>(work / 24000)))
    j.rows = min(max(1, (j.N + parts - 1) // parts), <int64_t>BLOCK) if j.ops.lanes > 1 else <int64_t>PLAIN_BLOCK


cdef int bad_lengths(const Job *j) noexcept nogil:
    cdef int64_t n
    if j.lengths != NULL:
        for n in range(j.N):
            if j.lengths[n] < 0 or j.lengths[n] > j.T:
                return PN_BAD_INDEX
    return 0


cdef int bad_cuts(const Job *j) noexcept nogil:
    cdef int64_t s
    for s in range(j.pieces):
        if j.cuts[s] < 0 or j.cuts[s] > j.cuts[s + 1] or j.cuts[s + 1] > j.N:
            return PN_BAD_INDEX
    return 0


cdef struct Swap:
    char *to
    const char *source
    int64_t rows, cols, bytes, ldto, step, ldfrom


cdef void swap_range(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Swap *s = <const Swap *>ctx
    cdef int64_t r, c
    for r in range(lo, hi):
        for c in range(s.cols):
            memcpy(s.to + (r * s.cols + c) * s.ldto, s.source + c * s.step + r * s.ldfrom, s.bytes)


cdef void swap_axes(const Job *j, char *to, int64_t ldto, const char *source, int64_t step, int64_t ldfrom,
                    int64_t rows, int64_t cols, int64_t width) noexcept nogil:
    """Copy to[r, c, :width] = source[c, r, :width], rows of `to` being ldto apart, the steps of source as given."""
    cdef Swap s
    s.to, s.source, s.rows, s.cols, s.bytes = to, source, rows, cols, width * j.size
    s.ldto, s.step, s.ldfrom = ldto * j.size, step * j.size, ldfrom * j.size
    j.ops.parallel(rows, 16, 0.1 * <double>(rows * cols * s.bytes), j.I.nth, swap_range, &s)


cdef void pack_weights(Job *j, const char *u, int transposed) noexcept nogil:
    """Pack u for h u, or u^T for dz u^T."""
    cdef int64_t first = j.K if j.cell < PN_GRU else 2 * j.H, rest = j.K - first
    if transposed:
        j.ops.pack(j.packed, u, 1, j.K, j.H, first, j.rows)
        if rest:
            j.ops.pack(j.packed2, u + first * j.size, 1, j.K, j.H, rest, j.rows)
    else:
        j.ops.pack(j.packed, u, j.K, 1, first, j.H, j.rows)
        if rest:
            j.ops.pack(j.packed2, u + first * j.size, j.K, 1, rest, j.H, j.rows)


cdef void find_kept(Job *j) noexcept nogil:
    """Point to the packed recurrent weights among those that are kept."""
    cdef int64_t first = j.K if j.cell < PN_GRU else 2 * j.H
    j.packed = <char *>j.I.kept + j.D * ((j.K + 15) // 16 * 16) * j.size
    j.packed2 = j.packed + j.H * ((first + 15) // 16 * 16) * j.size


cdef void at_step(const Job *j, pn_rnn_step *s, int64_t lo, int64_t n, int64_t t) noexcept nogil:
    """Point to the rows [lo, lo + n) at time t."""
    cdef int64_t N = j.N, H = j.H, size = j.size, before = t + 1 if j.reverse else t - 1
    cdef int first = before < 0 or before == j.T
    s.rows, s.units, s.t, s.ldh = n, H, t, j.W
    s.lengths = NULL if j.lengths == NULL else j.lengths + lo
    s.act, s.act_par = <int>j.I.dim[DIM_ACT], j.I.par[0]
    s.gates = j.gates + (t * N + lo) * j.G * size
    if j.cells != NULL:
        s.cell = j.cells + (t * N + lo) * H * size
        if not first:
            s.cell_prev = j.cells + (before * N + lo) * H * size
        else:
            s.cell_prev = NULL if j.c0 == NULL else j.c0 + lo * H * size
    if j.y != NULL:
        s.y = j.y + (lo * j.T + t) * H * size
    s.ldy = j.T * H


cdef void project(const Job *j, int64_t t, int64_t steps, int nth) noexcept nogil:
    """gates = x w + b for the times t ... t + steps - 1."""
    cdef pn_gemm_call g
    cdef const char *x = j.given
    if j.N > 1 and j.T > 1:
        x = j.x
        swap_axes(j, j.x, j.D, j.given + t * j.D * j.size, j.T * j.D, j.D, steps, j.N, j.D)
    else:
        x += t * j.N * j.D * j.size
    memset(&g, 0, sizeof(g))
    g.m, g.n, g.k = steps * j.N, j.K, j.D
    g.a, g.ars, g.acs = x, j.D, 1
    g.b, g.brs, g.bcs = j.I.arg[FWD_W], j.K, 1
    g.c, g.ldc = j.gates + t * j.N * j.G * j.size, j.G
    g.bias = j.bias
    g.packed = j.I.kept
    j.ops.gemm(&g, j.I.scratch, j.I.dim[DIM_GEMM], nth)


cdef void forward_block(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Job *j = <const Job *>ctx
    cdef const pn_ops *ops = j.ops
    cdef const pn_instr *instr = j.I
    cdef int64_t n = hi - lo, H = j.H, G = j.G, size = j.size, first = G if j.cell < PN_GRU else 2 * H, step, i
    cdef char *h = j.h + lo * H * size
    cdef char *meets = h
    cdef char *z
    cdef pn_rnn_step s
    memset(&s, 0, sizeof(s))
    if j.h0 != NULL:
        memcpy(h, j.h0 + lo * H * size, n * H * size)
    else:
        memset(h, 0, n * H * size)
    s.state, s.peep = h, instr.arg[FWD_PEEP]
    if j.mask != NULL:
        s.mask = j.mask + lo * H * size
        s.masked = meets = j.masked + lo * H * size
        ops.mul(meets, h, s.mask, n * H, 0)
    if j.spare != NULL:
        s.reset = j.spare + lo * H * size
    if j.cell == PN_GRU_AFTER and instr.arg[FWD_B] != NULL:
        s.bias = <char *>instr.arg[FWD_B] + 5 * H * size
    for step in range(j.T):
        if j.steps and step % j.steps == 0:
            i = min(j.steps, j.T - step)
            project(j, j.T - step - i if j.reverse else step, i, 1)
        at_step(j, &s, lo, n, j.T - 1 - step if j.reverse else step)
        z = <char *>s.gates
        if step or j.h0 != NULL:
            ops.product(n, first, H, meets, H, j.packed, z, G, 1, j.rows)
            if j.cell == PN_GRU_AFTER:
                ops.product(n, H, H, meets, H, j.packed2, z + 3 * H * size, G, 0, j.rows)
        elif j.cell == PN_GRU_AFTER:
            for i in range(n):
                memset(z + (i * G + 3 * H) * size, 0, H * size)
        if j.cell == PN_GRU:
            ops.rnn_step(PN_GRU_GATES, &s)
            if step or j.h0 != NULL:
                ops.product(n, H, H, s.reset, H, j.packed2, z + 2 * H * size, G, 1, j.rows)
        ops.rnn_step(j.cell, &s)
    if instr.arg[FWD_C] != NULL:
        memcpy(<char *>instr.arg[FWD_C] + lo * H * size, s.cell, n * H * size)


cdef int rnn_fwd(const pn_instr *I) noexcept nogil:
    """OUT y [N,T,H] or NULL, h [N,H], c [N,H] (lstm), gates, cells (lstm);  IN x, w, u, b, h0, c0, peep, lengths, mask.

    y[n,t] = h at time t, 0 beyond the length; h and c are the last states. Parallel over batch rows; no aliasing.
    """
    cdef Job j
    cdef char *scratch = <char *>I.scratch
    cdef char *bias = <char *>I.arg[FWD_B]
    cdef int64_t tail, both
    prepare(&j, I)
    if I.kept != NULL:
        find_kept(&j)
    if I.keeping:
        j.ops.pack(I.kept, I.arg[FWD_W], j.K, 1, j.K, j.D, j.rows)
        pack_weights(&j, <char *>I.arg[FWD_U], 0)
        return 0
    j.lengths = <int32_t *>I.arg[FWD_LENGTHS]
    if bad_lengths(&j):
        return PN_BAD_INDEX
    if j.N == 0:
        return 0
    j.y, j.h = <char *>I.arg[FWD_Y], <char *>I.arg[FWD_H]
    j.gates, j.cells = <char *>I.arg[FWD_GATES], <char *>I.arg[FWD_CELLS]
    j.h0, j.c0 = <char *>I.arg[FWD_H0], <char *>I.arg[FWD_C0]
    j.given, j.x = <char *>I.arg[FWD_X], scratch + I.dim[DIM_X]
    if j.cell == PN_GRU_AFTER and bias != NULL:  # both biases of z and r, that of the input alone for g
        bias = scratch + I.dim[DIM_BIAS]
        tail = 2 * j.H * j.size
        j.ops.col_sum(bias, I.arg[FWD_B], 2, j.K, 1)
        memcpy(bias + tail, <char *>I.arg[FWD_B] + tail, j.H * j.size)
    j.bias = bias
    # One thread with small weights projects a few steps at a time, so that their gates are still in the cache.
    both = (j.D + j.H) * j.K * j.size
    j.steps = max(<int64_t>1, CHUNK // (j.N * j.G * j.size)) if j.rows >= j.N and both <= CACHE else j.T + 1
    if j.steps > j.T:
        project(&j, 0, j.T, I.nth)
        j.steps = 0
    if I.kept == NULL:
        j.packed, j.packed2 = scratch + I.dim[DIM_PACKED], scratch + I.dim[DIM_PACKED2]
        pack_weights(&j, <char *>I.arg[FWD_U], 0)
    if I.arg[FWD_MASK] != NULL:
        j.mask, j.masked = scratch + I.dim[DIM_MASK], scratch + I.dim[DIM_MASK] + j.N * j.H * j.size
        j.ops.expand_mask(j.mask, <const uint8_t *>I.arg[FWD_MASK], I.par[1], j.N * j.H)
    if j.cell == PN_GRU:
        j.spare = scratch + I.dim[DIM_SPARE]
    j.ops.parallel(j.N, j.rows, <double>(j.N * j.T * j.K) * (j.H / (6.0 * j.ops.lanes) + 1), I.nth, forward_block, &j)
    return 0


cdef void backward_block(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Job *j = <const Job *>ctx
    cdef const pn_ops *ops = j.ops
    cdef int64_t n = hi - lo, N = j.N, H = j.H, G = j.G, T = j.T, W = j.W, size = j.size, step, t, after, r
    cdef int64_t first = G if j.cell < PN_GRU else 2 * H, last_column = (2 if j.cell == PN_GRU else 3) * H
    cdef int64_t bytes = n * H * size
    cdef int gru = j.cell >= PN_GRU
    cdef char *dh = j.dh + lo * H * size
    cdef char *to = dh
    cdef char *dz
    cdef pn_rnn_step s
    memset(&s, 0, sizeof(s))
    s.dh, s.peep = dh, j.I.arg[BWD_PEEP]
    if j.dc != NULL:
        s.dc = j.dc + lo * H * size
    if j.h0 != NULL:
        s.h0 = j.h0 + lo * H * size
    if j.mask != NULL:
        s.mask = j.mask + lo * H * size
        to = j.masked + lo * H * size
    if j.spare != NULL:
        s.reset = j.spare + lo * H * size
    # What meets u at the first step; a gru needs all states again, an lstm and a plain cell meet them on the way back.
    t = T - 1 if j.reverse else 0
    if j.h0 != NULL:
        for r in range(n):
            memcpy(j.states + (t * N + lo + r) * W * size, <char *>s.h0 + r * H * size, H * size)
    else:
        for r in range(n):
            memset(j.states + (t * N + lo + r) * W * size, 0, H * size)
    if gru:
        for step in range(T - 1):
            t = T - 1 - step if j.reverse else step
            at_step(j, &s, lo, n, t)
            s.prev = j.states + (t * N + lo) * W * size
            s.next = j.states + ((t - 1 if j.reverse else t + 1) * N + lo) * W * size
            ops.rnn_step(PN_GRU_STATES if j.cell == PN_GRU else PN_GRU_AFTER_STATES, &s)
    for step in range(T - 1, -1, -1):
        t = T - 1 - step if j.reverse else step
        after = t - 1 if j.reverse else t + 1
        at_step(j, &s, lo, n, t)
        s.dy = s.y
        dz = j.dz + (t * N + lo) * G * size
        s.dz = dz
        s.prev = j.states + (t * N + lo) * W * size
        s.next = NULL
        if not gru and step < T - 1:
            s.next = j.states + (after * N + lo) * W * size
        ops.rnn_step(j.cell + PN_RNN_BWD, &s)
        if j.cell == PN_GRU:
            ops.product(n, H, H, dz + last_column * size, G, j.packed2, s.reset, H, 0, j.rows)
            s.next = j.resets + (t * N + lo) * H * size
            ops.rnn_step(PN_GRU_RESET_BWD, &s)
        if step or j.I.arg[BWD_DH0] != NULL:
            ops.product(n, H, first, dz, G, j.packed, to, H, j.mask == NULL, j.rows)
            if j.cell == PN_GRU_AFTER:
                ops.product(n, H, H, dz + last_column * size, G, j.packed2, to, H, 1, j.rows)
            if j.mask != NULL:
                ops.mul(dh, to, s.mask, n * H, 1)
    if j.mask != NULL:  # u met the masked states
        for t in range(T):
            for r in range(n):
                dz = j.states + (t * N + lo + r) * W * size
                ops.mul(dz, dz, <char *>s.mask + r * H * size, H, 0)
    if j.I.arg[BWD_DH0] != NULL:
        memcpy(<char *>j.I.arg[BWD_DH0] + lo * H * size, dh, bytes)
    if j.I.arg[BWD_DC0] != NULL:
        memcpy(<char *>j.I.arg[BWD_DC0] + lo * H * size, s.dc, bytes)


include "rnn_weights.pxi"


cdef int rnn_bwd(const pn_instr *I) noexcept nogil:
    """OUT dz, dx, dw, du, db, dh0, dc0, dpeep (all but dz may be NULL);
    IN gates, dy, dh, dc, x, w, u, h0, c0, peep, lengths, mask, cells and, of pieces, cuts int64 [pieces + 1].

    dz [T,N,G H] is the gradient before the activations; it may be the memory of the gates. Of pieces of the batch's
    rows, dw, du and db are the pieces' sums, each as if it were alone, joined; then peep, lengths and mask are NULL.
    Parallel over batch rows, then over tiles of the weight gradients.
    """
    cdef Job j
    cdef pn_gemm_call g
    cdef char *scratch = <char *>I.scratch
    cdef char *sums = scratch + I.dim[DIM_SUMS]
    cdef int64_t NH, skip, tail, move = 0
    cdef int wide
    cdef const char *z
    cdef char *steps
    cdef char *rows
    prepare(&j, I)
    j.lengths = <int32_t *>I.arg[BWD_LENGTHS]
    if bad_lengths(&j):
        return PN_BAD_INDEX
    j.pieces = I.dim[DIM_PIECES]
    if j.pieces:
        j.cuts = <const int64_t *>I.arg[BWD_CUTS]
        if bad_cuts(&j):
            return PN_BAD_INDEX
    NH = j.N * j.H * j.size
    j.gates, j.y = <char *>I.arg[BWD_GATES], <char *>I.arg[BWD_DY]
    j.cells, j.dz = <char *>I.arg[BWD_CELLS], <char *>I.arg[BWD_DZ]
    j.h0, j.c0 = <char *>I.arg[BWD_H0], <char *>I.arg[BWD_C0]
    j.dh = scratch + I.dim[DIM_DH]
    if I.arg[BWD_DH] != NULL:
        memcpy(j.dh, I.arg[BWD_DH], NH)
    else:
        memset(j.dh, 0, NH)
    if j.cell == PN_LSTM:
        j.dc = j.dh + NH
        if I.arg[BWD_DC] != NULL:
            memcpy(j.dc, I.arg[BWD_DC], NH)
        else:
            memset(j.dc, 0, NH)
    if j.cell == PN_GRU:
        j.spare, j.resets = j.dh + NH, scratch + I.dim[DIM_RESETS]
    wide = I.dim[DIM_WIDE] >= 0 and (I.arg[BWD_DW] != NULL or I.arg[BWD_DU] != NULL or I.arg[BWD_DB] != NULL)
    j.states, j.W = scratch + I.dim[DIM_STATES], j.H
    if wide:  # rows x_t, what met u, 1: one product gives all three gradients
        j.W = j.D + j.H + 1
        j.ops.parallel(j.T * j.N, 256, 0.3 * <double>(j.T * j.N), I.nth, fill_ones, &j)
        swap_axes(&j, j.states, j.W, <char *>I.arg[BWD_X], j.T * j.D, j.D, j.T, j.N, j.D)
        clear_padding(&j, j.states, j.W)
        j.states += j.D * j.size
    j.packed, j.packed2 = scratch + I.dim[DIM_PACKED], scratch + I.dim[DIM_PACKED2]
    pack_weights(&j, <char *>I.arg[BWD_U], 1)
    if I.arg[BWD_MASK] != NULL:
        j.mask, j.masked = scratch + I.dim[DIM_MASK], scratch + I.dim[DIM_MASK] + NH
        j.ops.expand_mask(j.mask, <const uint8_t *>I.arg[BWD_MASK], I.par[1], j.N * j.H)
    j.ops.parallel(j.N, j.rows, <double>(j.N * j.T * j.K) * (j.H / (6.0 * j.ops.lanes) + 1), I.nth, backward_block, &j)
    skip = j.h0 == NULL
    steps = j.dz
    rows = scratch + I.dim[DIM_ROWS]
    if j.pieces:
        j.dz = gathered(&j, scratch + I.dim[DIM_APART], steps, j.G, j.G)
    if wide:
        z = scratch + I.dim[DIM_WIDE]
        j.states -= j.D * j.size
        if j.pieces:
            j.states = gathered(&j, rows, j.states, j.W, j.W)
        weight_gradient(&j, <void *>z, j.K, j.states, j.W, j.W, j.dz, j.K, 0)
        tail = j.K * j.size
        if I.arg[BWD_DW] != NULL:
            memcpy(I.arg[BWD_DW], z, j.D * tail)
        if I.arg[BWD_DU] != NULL:
            memcpy(I.arg[BWD_DU], z + j.D * tail, j.H * tail)
        if I.arg[BWD_DB] != NULL:
            memcpy(I.arg[BWD_DB], z + (j.D + j.H) * tail, tail)
    elif I.arg[BWD_DU] != NULL:
        if j.pieces:
            j.states = gathered(&j, rows, j.states, j.H, j.H)
        if j.cell < PN_GRU:
            weight_gradient(&j, I.arg[BWD_DU], j.K, j.states, j.H, j.H, j.dz, j.K, skip)
        else:
            tail = 2 * j.H * j.size
            weight_gradient(&j, I.arg[BWD_DU], j.K, j.states, j.H, j.H, j.dz, 2 * j.H, skip)
            if j.pieces and j.cell == PN_GRU:
                j.resets = gathered(&j, rows, j.resets, j.H, j.H)
            weight_gradient(&j, <char *>I.arg[BWD_DU] + tail, j.K, j.resets if j.cell == PN_GRU else j.states, j.H,
                            j.H, j.dz + (tail if j.cell == PN_GRU else 3 * j.H * j.size), j.H, skip)
    if I.arg[BWD_DB] != NULL and not wide:
        if j.cell == PN_GRU_AFTER:
            tail = 2 * j.H * j.size
            bias_gradient(&j, sums, rows, j.dz)
            memcpy(I.arg[BWD_DB], sums, j.K * j.size)
            memcpy(<char *>I.arg[BWD_DB] + j.K * j.size, sums, tail)
            memcpy(<char *>I.arg[BWD_DB] + j.K * j.size + tail, sums + j.K * j.size, j.H * j.size)
        else:
            bias_gradient(&j, I.arg[BWD_DB], rows, j.dz)
    if I.arg[BWD_DPEEP] != NULL:
        memset(I.arg[BWD_DPEEP], 0, 3 * j.H * j.size)
        move = (j.T - 1) * j.N
        z = j.dz
        if j.reverse:
            j.ops.peep_grad(I.arg[BWD_DPEEP], z, j.cells + NH, move, j.H, 1)
            z = j.dz + move * j.G * j.size
        else:
            j.ops.peep_grad(I.arg[BWD_DPEEP], j.dz + j.N * j.G * j.size, j.cells, move, j.H, 1)
        if j.c0 != NULL:
            j.ops.peep_grad(I.arg[BWD_DPEEP], z, j.c0, j.N, j.H, 1)
        j.ops.peep_grad(I.arg[BWD_DPEEP], j.dz, j.cells, j.T * j.N, j.H, 0)
    j.x = <char *>I.arg[BWD_X]
    if I.arg[BWD_DW] != NULL and not wide:
        if j.pieces:
            j.x = rows
            steps_of_pieces(&j, j.x, <char *>I.arg[BWD_X])
        elif j.N > 1 and j.T > 1:
            j.x = scratch + I.dim[DIM_X]
            swap_axes(&j, j.x, j.D, <char *>I.arg[BWD_X], j.T * j.D, j.D, j.T, j.N, j.D)
            clear_padding(&j, j.x, j.D)
        elif j.N == 1 and j.lengths != NULL:
            move, j.T = j.T, max(<int64_t>1, <int64_t>j.lengths[0])  # the padding is not part of the product
        weight_gradient(&j, I.arg[BWD_DW], j.K, j.x, j.D, j.D, j.dz, j.K, 0)
        if j.N == 1 and j.lengths != NULL:
            j.T = move
    if I.arg[BWD_DX] != NULL:
        memset(&g, 0, sizeof(g))
        j.x = scratch + I.dim[DIM_X] if j.N > 1 and j.T > 1 else <char *>I.arg[BWD_DX]
        g.m, g.n, g.k = j.T * j.N, j.D, j.K
        g.a, g.ars, g.acs = steps, j.G, 1
        g.b, g.brs, g.bcs = I.arg[BWD_W], 1, j.K
        g.c, g.ldc = j.x, j.D
        j.ops.gemm(&g, scratch, I.dim[DIM_GEMM], I.nth)
        if j.N > 1 and j.T > 1:
            swap_axes(&j, <char *>I.arg[BWD_DX], j.D, j.x, j.N * j.D, j.D, j.N, j.T, j.D)
    return 0


for _dtype in (0, 1):
    _core.register_kernel("rnn_fwd", _dtype, <uintptr_t><void *>rnn_fwd)
    _core.register_kernel("rnn_bwd", _dtype, <uintptr_t><void *>rnn_bwd)
