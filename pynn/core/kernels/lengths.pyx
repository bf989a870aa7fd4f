"""How long padded sequences are: found in token ids, or checked where they come as data."""

from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.string cimport memcpy

from pynn.core._core cimport PN_BAD_INDEX, pn_instr

from pynn.core import _core

cdef enum:
    ARG_LENGTHS, ARG_BAD, ARG_IDS

cdef enum:
    ARG_GIVEN = ARG_IDS

cdef enum:
    DIM_N, DIM_T, DIM_NARROW

cdef enum:
    WALK_Y, WALK_LENGTHS

cdef enum:
    WALK_N, WALK_MUL, WALK_ADD, WALK_STEP, WALK_MOST

cdef enum:  # of what works step by step
    STEPS_Y, STEPS_X, STEPS_LENGTHS

cdef enum:
    STEPS_N, STEPS_T, STEPS_INNER, STEPS_SCALE

ctypedef fused ids_t:
    int32_t
    int64_t

ctypedef fused real:
    float
    double


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


cdef int walked_lengths(const pn_instr *I) noexcept nogil:
    """y[n] = floor((lengths[n] * mul + add) / step) + 1, not below 0 or above `most`.   OUT y int32 [N]; IN lengths.

    dim: N, mul, add, step, most. The steps that a walk over sequences of those lengths makes.
    """
    cdef int32_t *to = <int32_t *>I.arg[WALK_Y]
    cdef const int32_t *lengths = <const int32_t *>I.arg[WALK_LENGTHS]
    cdef int64_t n, a, q
    for n in range(I.dim[WALK_N]):
        a = lengths[n] * I.dim[WALK_MUL] + I.dim[WALK_ADD]
        q = a // I.dim[WALK_STEP] if a >= 0 else -((-a + I.dim[WALK_STEP] - 1) // I.dim[WALK_STEP])
        q += 1
        to[n] = <int32_t>(0 if q < 0 else I.dim[WALK_MOST] if q > I.dim[WALK_MOST] else q)
    return 0


_core.register_kernel("walked_lengths", -1, <uintptr_t><void *>walked_lengths)


cdef void fill_steps(real *y, const real *x, int64_t real_steps, int64_t steps, int64_t inner, double scale,
                     double value) noexcept nogil:
    cdef int64_t i, stop = real_steps * inner
    cdef real s = <real>scale, v = <real>value
    for i in range(stop):
        y[i] = x[i] * s
    for i in range(stop, steps * inner):
        y[i] = v


cdef int mask_steps(const pn_instr *I) noexcept nogil:
    """y[n,t] = x[n,t] * scale where t < lengths[n], else `value`.   OUT y [N,T,inner]; IN x, lengths int32 [N].

    dim: N, T, inner, scale (0: 1; 1: T / lengths[n]; 2: N T / sum of lengths).  par: value.  y may be x.
    """
    cdef const int32_t *lengths = <const int32_t *>I.arg[STEPS_LENGTHS]
    cdef int64_t n, at, steps = I.dim[STEPS_T], row = I.dim[STEPS_T] * I.dim[STEPS_INNER], total = 0
    cdef double scale = 1.0
    for n in range(I.dim[STEPS_N]):
        if lengths[n] < 0 or lengths[n] > steps:
            return PN_BAD_INDEX
        total += lengths[n]
    if I.dim[STEPS_SCALE] == 2:
        scale = <double>(I.dim[STEPS_N] * steps) / <double>(total if total else 1)
    for n in range(I.dim[STEPS_N]):
        at = n * row
        if I.dim[STEPS_SCALE] == 1:
            scale = <double>steps / <double>(lengths[n] if lengths[n] else 1)
        if I.ops.itemsize == 4:
            fill_steps[float](<float *>I.arg[STEPS_Y] + at, <float *>I.arg[STEPS_X] + at, lengths[n], steps,
                              I.dim[STEPS_INNER], scale, I.par[0])
        else:
            fill_steps[double](<double *>I.arg[STEPS_Y] + at, <double *>I.arg[STEPS_X] + at, lengths[n], steps,
                               I.dim[STEPS_INNER], scale, I.par[0])
    return 0


for _dtype in (0, 1):
    _core.register_kernel("mask_steps", _dtype, <uintptr_t><void *>mask_steps)


cdef int reverse_steps(const pn_instr *I) noexcept nogil:
    """y[n,t] = x[n, lengths[n] - 1 - t] for t < lengths[n], else x[n,t].   OUT y [N,T,inner]; IN x, lengths int32 [N].

    dim: N, T, bytes of a step.
    """
    cdef const int32_t *lengths = <const int32_t *>I.arg[STEPS_LENGTHS]
    cdef char *y = <char *>I.arg[STEPS_Y]
    cdef const char *x = <const char *>I.arg[STEPS_X]
    cdef int64_t n, t, steps = I.dim[STEPS_T], inner = I.dim[STEPS_INNER]
    for n in range(I.dim[STEPS_N]):
        if lengths[n] < 0 or lengths[n] > steps:
            return PN_BAD_INDEX
        for t in range(steps):
            memcpy(y + (n * steps + t) * inner,
                   x + (n * steps + (lengths[n] - 1 - t if t < lengths[n] else t)) * inner, inner)
    return 0


_core.register_kernel("reverse_steps", -1, <uintptr_t><void *>reverse_steps)


cdef enum:  # of what puts steps into another order
    ORDER_TO, ORDER_BACK, ORDER_LENGTHS, ORDER_MASK

cdef enum:
    PERMUTE_Y, PERMUTE_X, PERMUTE_ORDER


cdef int step_order(const pn_instr *I) noexcept nogil:
    """order[n] = the steps of mask[n] that are not 0, then the others; back[n, order[n, k]] = k; lengths[n] = how many.

    OUT order, back int32 [N,T], lengths int32 [N]; IN mask int32 [N,T].   dim: N, T.
    """
    cdef int32_t *order = <int32_t *>I.arg[ORDER_TO]
    cdef int32_t *back = <int32_t *>I.arg[ORDER_BACK]
    cdef int32_t *lengths = <int32_t *>I.arg[ORDER_LENGTHS]
    cdef const int32_t *mask = <const int32_t *>I.arg[ORDER_MASK]
    cdef int64_t n, t, steps = I.dim[STEPS_T], at
    cdef int32_t k
    for n in range(I.dim[STEPS_N]):
        at, k = n * steps, 0
        for t in range(steps):
            if mask[at + t] != 0:
                order[at + k], back[at + t] = <int32_t>t, k
                k += 1
        lengths[n] = k
        for t in range(steps):
            if mask[at + t] == 0:
                order[at + k], back[at + t] = <int32_t>t, k
                k += 1
    return 0


_core.register_kernel("step_order", -1, <uintptr_t><void *>step_order)


cdef int permute_steps(const pn_instr *I) noexcept nogil:
    """y[n,k] = x[n, order[n,k]].   OUT y [N,T,inner]; IN x, order int32 [N,T].   dim: N, T, bytes of a step."""
    cdef const int32_t *order = <const int32_t *>I.arg[PERMUTE_ORDER]
    cdef char *y = <char *>I.arg[PERMUTE_Y]
    cdef const char *x = <const char *>I.arg[PERMUTE_X]
    cdef int64_t n, k, steps = I.dim[STEPS_T], inner = I.dim[STEPS_INNER]
    for n in range(I.dim[STEPS_N]):
        for k in range(steps):
            if order[n * steps + k] < 0 or order[n * steps + k] >= steps:
                return PN_BAD_INDEX
            memcpy(y + (n * steps + k) * inner, x + (n * steps + order[n * steps + k]) * inner, inner)
    return 0


_core.register_kernel("permute_steps", -1, <uintptr_t><void *>permute_steps)
