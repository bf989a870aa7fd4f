"""Weights as kernels read them best, laid out once for many predictions and anew when they have changed."""

from pynn.core._core cimport Buffer, Instr, pn_instr

from libc.stdint cimport UINT64_MAX, uint64_t, uintptr_t


def key_of(Instr instr):
    """Return what instructions that can share kept weights have in common; None where there is nothing to keep.

    That is so without vectors, with products of bfloat16, and where weights are made by the program itself, are an
    input of it, or lie in somebody else's memory.
    """
    if instr.laid is None or instr.c.ops.lanes == 1 or instr.c.ops.planes:
        return None
    key = [<uintptr_t>instr.c.fn, <uintptr_t>instr.c.ops, instr.laid.layout]
    for k in instr.laid.weights:
        b = instr.buffers[k]
        if b is None or (<Buffer>b).root().owned == NULL:
            return None
        key.append((<Buffer>b).address)
    return tuple(key)


cdef class Kept:
    """The weights of an instruction, laid out.

    Weights count who may be writing to them, and how often that has happened (:class:`pynn.core._core.Buffer`). While
    somebody may write, nothing is kept: kernels read the weights themselves, to the same bits. Otherwise they are laid
    out at the second prediction that finds them unchanged: where each finds other weights, that would pay for nothing.

    Parameters
    ----------
    instr : Instr
    room : Room
        What says whether there is memory for it.
    """

    def __init__(self, Instr instr, object room):
        self.instr, self.room, self.nbytes = instr, room, instr.laid.nbytes
        self.weights = tuple([(<Buffer>instr.buffers[k]).root() for k in instr.laid.weights])
        self.made = self.seen = UINT64_MAX

    @property
    def held(self):
        """The bytes that are taken now."""
        return 0 if self.memory is None else self.nbytes

    cdef void *take(self) noexcept:
        """Return the laid out weights for one run, which gives them back, or NULL. Under the GIL, as all of this."""
        cdef uint64_t now = 0
        cdef object b
        for b in self.weights:
            if (<Buffer>b).writers:
                return NULL
            now += (<Buffer>b).version
        if now != self.made:
            if now != self.seen:
                self.seen = now
                return NULL
            if self.users or not self.fill(now):  # those under way read what was made of the weights before
                return NULL
        self.users += 1
        return self.memory.ptr

    cdef bint fill(self, uint64_t now) noexcept:
        cdef pn_instr c = self.instr.c
        if self.memory is None:
            self.users += 1  # another thread, which may come in between, does without
            try:
                if not self.room.has(self.nbytes):
                    return False
                self.memory = Buffer.new(self.nbytes)
            except MemoryError:
                return False
            finally:
                self.users -= 1
        c.kept, c.keeping, c.scratch = self.memory.ptr, 1, NULL
        c.fn(&c)
        self.made = now
        return True
