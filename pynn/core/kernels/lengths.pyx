"""How long padded sequences are: found in token ids, or checked where they come as data."""

from libc.stdint cimport int32_t, int64_t, uintptr_t

from pynn.core._core cimport PN_BAD_INDEX, pn_instr

from pynn.core import _core

cdef enum:
    ARG_LENGTHS, ARG_BAD, ARG_IDS

cdef enum:
    ARG_GIVEN = ARG_IDS

cdef enum:
    DIM_N, DIM_T, DIM_NARROW

ctypedef fused ids_t:
    int32_t
    int64_t


cdef int lengths_of(int32_t *lengths, int64_t *bad, const ids_t *ids, int64_t rows, int64_t cols) noexcept nogil:
    cdef int64_t r, c, n
    for r in range(rows):
        n = cols
        while n > 0 and ids[r * cols + n - 1] == 0:
            n -= 1
        for c in range(n):
            if ids[r * cols + c] == 0:
                bad[0], bad[1] = r * cols + c, 0
                return PN_BAD_INDEX
        lengths[r] = <int32_t>n
    return 0


cdef int sequence_lengths(const pn_instr *I) noexcept nogil:
    """lengths[n] = T less the zeros at the end of row n.   OUT lengths int32 [N], bad [2]; IN ids [N,T].

    dim: N, T, 1 if ids are int32 else int64. A zero elsewhere is PN_BAD_INDEX, with its place in `bad`.
    """
    cdef int32_t *to = <int32_t *>I.arg[ARG_LENGTHS]
    cdef int64_t *bad = <int64_t *>I.arg[ARG_BAD]
    bad[0] = bad[1] = 0
    if I.dim[DIM_NARROW]:
        return lengths_of[int32_t](to, bad, <const int32_t *>I.arg[ARG_IDS], I.dim[DIM_N], I.dim[DIM_T])
    return lengths_of[int64_t](to, bad, <const int64_t *>I.arg[ARG_IDS], I.dim[DIM_N], I.dim[DIM_T])


_core.register_kernel("sequence_lengths", -1, <uintptr_t><void *>sequence_lengths)


cdef int check_lengths(const pn_instr *I) noexcept nogil:
    """y = lengths.   OUT y int32 [N], bad [2]; IN lengths int32 [N].

    dim: N, T. A length outside 1 ... T is PN_BAD_INDEX, with its place and value in `bad`.
    """
    cdef int32_t *to = <int32_t *>I.arg[ARG_LENGTHS]
    cdef int64_t *bad = <int64_t *>I.arg[ARG_BAD]
    cdef const int32_t *lengths = <const int32_t *>I.arg[ARG_GIVEN]
    cdef int64_t n
    bad[0] = bad[1] = 0
    for n in range(I.dim[DIM_N]):
        if lengths[n] < 1 or lengths[n] > I.dim[DIM_T]:
            bad[0], bad[1] = n, lengths[n]
            return PN_BAD_INDEX
        to[n] = lengths[n]
    return 0


_core.register_kernel("check_lengths", -1, <uintptr_t><void *>check_lengths)
