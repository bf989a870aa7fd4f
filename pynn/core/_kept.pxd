# What prepared predictions need of weights that are kept: to ask for them, without Python in between.
cimport cython
from libc.stdint cimport uint64_t

from pynn.core._core cimport Buffer, Instr


@cython.final
cdef class Kept:
    cdef object __weakref__
    cdef Instr instr  # whose kernel lays them out
    cdef tuple weights  # the memory that they lie in
    cdef object room
    cdef readonly Py_ssize_t nbytes
    cdef Buffer memory
    cdef uint64_t made, seen  # the weights' counts when they were laid out, and at the last look
    cdef int users
    cdef void *take(self) noexcept
    cdef bint fill(self, uint64_t now) noexcept
    cdef inline void give(self) noexcept:
        self.users -= 1
