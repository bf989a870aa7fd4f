# The gradients of a recurrent layer's weights: products over all steps, of all rows or of pieces of them, joined.


cdef void ranges(const Job *j, int64_t *at, int64_t skip) noexcept nogil:
    """Write where the terms of the pieces begin and end, which lie one after the other."""
    cdef int64_t s, n
    for s in range(j.pieces):
        n = j.cuts[s + 1] - j.cuts[s]
        at[2 * s] = j.cuts[s] * j.T + (0 if j.reverse else skip * n)
        at[2 * s + 1] = j.cuts[s + 1] * j.T - (skip * n if j.reverse else 0)


cdef struct Gather:
    const Job *j
    char *to
    const char *rows
    int64_t width, ld


cdef void gather_range(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    cdef const Gather *g = <const Gather *>ctx
    cdef const Job *j = g.j
    cdef int64_t s, t, n, r
    cdef char *to
    cdef const char *source
    for t in range(lo, hi):
        for s in range(j.pieces):
            n = j.cuts[s + 1] - j.cuts[s]
            to = g.to + (j.cuts[s] * j.T + t * n) * g.width
            source = g.rows + (t * j.N + j.cuts[s]) * g.ld
            if g.ld == g.width:
                memcpy(to, source, n * g.width)
            else:
                for r in range(n):
                    memcpy(to + r * g.width, source + r * g.ld, g.width)


cdef char *gathered(const Job *j, char *to, const char *rows, int64_t width, int64_t ld) noexcept nogil:
    """Copy rows [T,N,width], ld apart: each piece's steps together, as they would lie if it were alone."""
    cdef Gather g
    g.j, g.to, g.rows, g.width, g.ld = j, to, rows, width * j.size, ld * j.size
    j.ops.parallel(j.T, 1, 0.1 * <double>(j.T * j.N * g.width), j.I.nth, gather_range, &g)
    return to


cdef void steps_of_pieces(const Job *j, char *to, const char *x) noexcept nogil:
    """Copy x [N,T,D] so that each piece is time-major."""
    cdef int64_t s, first
    for s in range(j.pieces):
        first = j.cuts[s] * j.T * j.D * j.size
        swap_axes(j, to + first, j.D, x + first, j.T * j.D, j.D, j.T, j.cuts[s + 1] - j.cuts[s], j.D)


cdef void bias_gradient(const Job *j, void *to, char *rows, const char *dz) noexcept nogil:
    """to [G] = the sums of columns of dz; `rows` is room for those of pieces."""
    cdef int64_t at[2 * PIECES]
    if j.pieces:
        ranges(j, at, 0)
        column_sums(j.ops, to, rows, dz, at, j.pieces, j.G, j.I.nth)
    else:
        j.ops.col_sum(to, dz, j.T * j.N, j.G, j.I.nth)


cdef void weight_gradient(const Job *j, void *to, int64_t ldc, const char *a, int64_t rows, int64_t lda,
                          const char *dz, int64_t cols, int64_t skip) noexcept nogil:
    """to [rows, cols] = a^T dz over all steps but, if `skip`, the first: a is zero there."""
    cdef pn_gemm_call g
    cdef int64_t from_row = skip * j.N if not j.reverse else 0
    cdef int64_t at[2 * PIECES]
    memset(&g, 0, sizeof(g))
    if j.pieces:
        ranges(j, at, skip)
        g.pieces, g.cuts = <int>j.pieces, at
        from_row = skip = 0
    g.m, g.n, g.k = rows, cols, (j.T - skip) * j.N
    g.a, g.ars, g.acs = a + from_row * lda * j.size, 1, lda
    g.b, g.brs, g.bcs = dz + from_row * j.G * j.size, j.G, 1
    g.c, g.ldc = to, ldc
    j.ops.gemm(&g, j.I.scratch, j.I.dim[DIM_GEMM], j.I.nth)


cdef void clear_padding(const Job *j, char *x, int64_t ldx) noexcept nogil:
    """Put 0 into the rows of time-major x that are padding: what stands there may be NaN, and 0 NaN is not 0."""
    cdef int64_t n, t
    if j.lengths != NULL:
        for n in range(j.N):
            for t in range(j.lengths[n], j.T):
                memset(x + (t * j.N + n) * ldx * j.size, 0, j.D * j.size)


cdef void fill_ones(void *ctx, int64_t lo, int64_t hi, int ith) noexcept nogil:
    """Put 1 at the end of each row of x, h, 1."""
    cdef const Job *j = <const Job *>ctx
    cdef int64_t i
    for i in range(lo, hi):
        if j.size == 4:
            (<float *>j.states)[(i + 1) * j.W - 1] = 1
        else:
            (<double *>j.states)[(i + 1) * j.W - 1] = 1
