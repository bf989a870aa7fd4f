"""The scratch memory of convolutions, from the same header that lays it out in C."""

from pynn.core._core cimport i64

from pynn.core import _core

cdef extern from "winograd_plan.h" nogil:
    i64 pn_conv_fwd_bytes(const i64 *dim, i64 itemsize, int nth, int planes)
    i64 pn_conv_fwd_kept(const i64 *dim, i64 *units)
    i64 pn_conv_bwd_bytes(const i64 *dim, i64 itemsize, int nth, int dx, int dw, int db, int planes)


cdef void read_dims(tuple dims, i64 *to):
    cdef int i
    for i in range(18):
        to[i] = dims[i]


def fwd_scratch(tuple dims, int itemsize):
    """Return the bytes of scratch memory of conv2d_fwd."""
    cdef i64 d[18]
    read_dims(dims, d)
    return pn_conv_fwd_bytes(d, itemsize, _core.get_threads(), _core.get_planes())


def fwd_kept(tuple dims, int itemsize):
    """Return the bytes of the weights as conv2d_fwd packs them, and what that depends on beside dims[3:]."""
    cdef i64 d[18]
    cdef i64 units = 0
    read_dims(dims, d)
    return pn_conv_fwd_kept(d, &units) * itemsize, units


def bwd_scratch(tuple dims, int itemsize, bint dx, bint dw, bint db):
    """Return the bytes of scratch memory of conv2d_bwd and, with dx alone, of conv2d_transpose_fwd."""
    cdef i64 d[18]
    read_dims(dims, d)
    return pn_conv_bwd_bytes(d, itemsize, _core.get_threads(), dx, dw, db, _core.get_planes())
