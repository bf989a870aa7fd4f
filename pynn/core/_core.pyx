"""Buffers, instructions and programs: the one extension that Python imports."""

import numpy as np

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

cdef extern from "poison.h":
    void PN_POISON(void *begin, void *end) nogil

cdef extern from "huge.h":
    void pn_huge(void *p, size_t nbytes) nogil

cdef enum:
    ALIGN = 64
    GUARD_BYTE = 0xA5

TEMP, STATE, EXTERNAL = 0, 1, 2
ISA_COUNT = PN_ISA_COUNT  # the first of the targets
DTYPES = ("float32", "float64", "int32", "int64", "uint8", "bool")
LIMITS = {"args": PN_MAX_ARG, "dims": PN_MAX_DIM, "pars": PN_MAX_PAR}

cdef bint guards = False
cdef dict added = {}  # (name, dtype, target): address
cdef dict found = {}


def set_guards(bint on):
    """Put guard bytes round every buffer that is allocated from now on (for debugging)."""
    global guards
    guards = on


cdef class Buffer:
    """Aligned memory, or a window on another buffer or on a NumPy array.

    kind is TEMP (a program may place it in its arena), STATE (never moved) or EXTERNAL (somebody else's memory).
    Memory of one's own counts who may be writing to it (arrays on it, kernels and programs under way) and how often
    that ended: what was made of its contents holds while nobody may and the count stays.
    """

    def __cinit__(self, Py_ssize_t nbytes, int kind=0):
        self.nbytes = nbytes
        self.kind = kind
        self.guard = ALIGN if guards else 0

    @staticmethod
    def new(Py_ssize_t nbytes, int kind=0, bint zero=False):
        """Allocate nbytes (at least one cache line), on a 64-byte border."""
        cdef Buffer b = Buffer(nbytes, kind)
        cdef Py_ssize_t room = nbytes + 2 * b.guard + 2 * ALIGN
        b.owned = PyMem_RawCalloc(1, room) if zero else PyMem_RawMalloc(room)
        if b.owned == NULL:
            raise MemoryError(f"could not allocate {nbytes} bytes")
        pn_huge(b.owned, room)
        b.ptr = <char *>((<uintptr_t>b.owned + b.guard + ALIGN - 1) & ~<uintptr_t>(ALIGN - 1))
        if b.guard:
            memset(b.ptr - b.guard, GUARD_BYTE, b.guard)
            memset(b.ptr + nbytes, GUARD_BYTE, b.guard)
        PN_POISON(b.owned, b.ptr - b.guard)
        PN_POISON(b.ptr + nbytes + b.guard, <char *>b.owned + room)
        return b

    @staticmethod
    def of(object array):
        """Share the memory of a C-contiguous NumPy array."""
        if not array.flags.c_contiguous:
            raise ValueError("a buffer needs a contiguous array")
        cdef Py_buffer view
        PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)
        cdef Buffer b = Buffer(view.len, 2)
        b.guard = 0
        b.ptr = <char *>view.buf
        b.base = array
        PyBuffer_Release(&view)  # NumPy does not move an array that somebody holds
        return b

    def view(self, Py_ssize_t offset, Py_ssize_t nbytes):
        """Return a window on this buffer."""
        if offset < 0 or nbytes < 0 or offset + nbytes > self.nbytes:
            raise ValueError(f"window [{offset}, {offset + nbytes}) lies outside a buffer of {self.nbytes} bytes")
        cdef Buffer b = Buffer(nbytes, self.kind)
        b.guard = 0
        b.ptr = self.ptr + offset
        b.base = self.root()
        b.offset = offset + self.offset
        return b

    cpdef Buffer root(self):
        return <Buffer>self.base if isinstance(self.base, Buffer) else self

    cdef Buffer stand_in(self, object recording):
        # The base of what stands for a root is the recording that it does so in.
        return self if self.stand is None or self.stand.base is not recording else self.stand

    def recorded(self, object recording):
        """Return what stands for the root in the instructions of a recording: the root, or one without memory."""
        return self.root().stand_in(recording)

    def guards_intact(self):
        """Tell whether nobody wrote outside the buffer (always True without guards)."""
        cdef Buffer r = self.root()
        cdef Py_ssize_t i
        for i in range(r.guard):
            if <uint8_t>(r.ptr - r.guard)[i] != GUARD_BYTE or <uint8_t>(r.ptr + r.nbytes)[i] != GUARD_BYTE:
                return False
        return True

    cdef i64 writes_(self) noexcept:
        return -1 if self.writers else <i64>self.version

    @property
    def writes(self):
        """How often somebody has written to memory of one's own; -1 while somebody may be doing it."""
        return self.root().writes_()

    @property
    def address(self):
        return <uintptr_t>self.ptr

    def array(self, object dtype, tuple shape):
        """Return a NumPy array on this memory; it keeps the buffer alive."""
        return np.frombuffer(self, dtype=dtype).reshape(shape)

    def __getbuffer__(self, Py_buffer *view, int flags):
        view.buf = self.ptr
        view.obj = self
        view.len = self.nbytes
        view.itemsize = 1
        view.readonly = 0
        view.ndim = 1
        view.format = b"B"
        view.shape = &self.nbytes
        view.strides = NULL
        view.suboffsets = NULL
        view.internal = NULL
        self.root().turn(False)

    def __releasebuffer__(self, Py_buffer *view):
        self.root().turn(True)

    def __dealloc__(self):
        if self.owned != NULL:
            PyMem_RawFree(self.owned)


def register_kernel(str name, int dtype, uintptr_t address, int target=PN_TARGET_GENERIC):
    """Add a kernel to a target's table; dtype is its index in DTYPES, or -1 for any dtype.

    What is added to "generic", as kernels written in Cython are, serves every target that has none of its own.
    """
    added[name, dtype, target] = address
    found.clear()


def find_kernel(str name, int dtype, int target):
    """Return the address of a kernel for a dtype and a target, along the chain of its fallbacks; 0 if there is none."""
    key = (name, dtype, target)
    cdef object address = found.get(key)
    cdef int at = target
    while address is None:
        address = added.get((name, dtype, at)) or added.get((name, -1, at))
        if address is None:
            address = <uintptr_t><void *>pn_own_kernel(name.encode(), dtype, at) or None
        if address is None and at == PN_TARGET_GENERIC:
            address = 0
        at = pn_target_fallback(at)
    found[key] = address
    return address


def kernel_names():
    """Return the names of all kernels, those in C and those in Cython."""
    cdef list names = [pn_kernel_name(i).decode() for i in range(pn_kernel_count())]
    return sorted(set(names) | {name for name, _, _ in added})


cdef class Instr:
    """One kernel with its operands: what eager runs, and what a program is a list of."""

    def __init__(self, uintptr_t kernel, tuple buffers, int n_out, tuple dims, tuple pars,
                 Py_ssize_t scratch_bytes, uint32_t salt, int dtype, int target, object card, object info,
                 object laid=None):
        cdef Py_ssize_t i
        if len(buffers) > PN_MAX_ARG or len(dims) > PN_MAX_DIM or len(pars) > PN_MAX_PAR:
            raise ValueError(f"instruction {card}: too many operands, dimensions or parameters")
        self.buffers = buffers
        self.n_out = n_out
        self.card = card
        self.info = info
        self.scratch_bytes = scratch_bytes
        self.dtype = dtype
        self.laid = laid
        self.c.fn = <pn_kernel><void *>kernel
        for i in range(len(buffers)):
            self.c.arg[i] = NULL if buffers[i] is None else (<Buffer>buffers[i]).ptr
        for i in range(len(dims)):
            self.c.dim[i] = dims[i]
        for i in range(len(pars)):
            self.c.par[i] = pars[i]
        self.c.nth = pn_get_threads()
        self.c.salt = salt
        self.c.ops = pn_find_ops(dtype, target, pn_planes)
        if scratch_bytes:
            self.scratch = Buffer.new(scratch_bytes)
            self.c.scratch = self.scratch.ptr
            self.c.scratch_bytes = scratch_bytes

    def plain(self):
        """Return what the kernel reads beside its operands: (dims, pars, salt); zeros at the end are left out."""
        cdef Py_ssize_t n = PN_MAX_DIM, p = PN_MAX_PAR, i
        while n and self.c.dim[n - 1] == 0:
            n -= 1
        while p and self.c.par[p - 1] == 0:
            p -= 1
        return tuple([self.c.dim[i] for i in range(n)]), tuple([self.c.par[i] for i in range(p)]), self.c.salt

    def run(self):
        """Run the kernel; returns its status (0 is well)."""
        cdef int status, i
        for i in range(self.n_out):
            if self.buffers[i] is not None:
                (<Buffer>self.buffers[i]).root().turn(False)
        with nogil:
            status = self.c.fn(&self.c)
        for i in range(self.n_out):
            if self.buffers[i] is not None:
                (<Buffer>self.buffers[i]).root().turn(True)
        return status

    def drop_scratch(self):
        """Free the scratch memory: a program books its own. Tells whether nobody wrote outside it."""
        intact = self.scratch is None or self.scratch.guards_intact()
        self.scratch = None
        self.c.scratch = NULL
        return intact

    def leave(self, object recording):
        """Keep of temporaries that instructions of this recording made their sizes alone, not their memory.

        It goes when nobody else needs it, so that recording takes no more memory than running.
        """
        cdef Buffer b, root, stand
        cdef list buffers = list(self.buffers)
        cdef Py_ssize_t i
        for i in range(len(buffers)):
            if buffers[i] is None:
                continue
            b = buffers[i]
            root = b.root()
            if root.kind != TEMP or root.owned == NULL:
                continue
            stand = root.stand_in(recording)
            if stand is root:
                if i >= self.n_out:
                    continue  # made before: it is read where it lies
                stand = root.stand = Buffer(root.nbytes, root.kind)
                stand.base = recording
            if b is not root:
                root, stand = stand, Buffer(b.nbytes, b.kind)
                stand.base, stand.offset = root, b.offset
            buffers[i] = stand
        self.buffers = tuple(buffers)

    def launches(self):
        """Return what a device runs: (symbol, blocks and threads of each phase, a copy of pn_instr), or None."""
        cdef int kernel = pn_cuda_kernel(self.card.kernel.encode(), self.dtype), phase
        cdef unsigned int grid, block
        cdef list phases = []
        for phase in range(0 if kernel < 0 else pn_cuda_phases(kernel)):
            pn_cuda_grid(kernel, &self.c, phase, &grid, &block)
            if grid:
                phases.append((grid, block))
        return (pn_cuda_symbol(kernel), phases, (<char *>&self.c)[:sizeof(pn_instr)]) if phases else None

    def set_dim(self, int i, i64 value):
        """Set a size or integer attribute."""
        self.c.dim[i] = value

    def stores(self):
        """Return the dim that says whether a gradient is stored whose weights are updated here; 0 if none are."""
        cdef int at = 0 if getattr(self.card, "carries", None) is None else self.card.carries[2]
        return at + 1 if at and self.c.dim[at] else 0

    def forget(self, set operands):
        """Let go of these operands' buffers, which a program has placed elsewhere."""
        self.buffers = tuple(None if i in operands else b for i, b in enumerate(self.buffers))


cdef class Program:
    """A list of instructions with a plan for their temporaries. It is immutable and has no memory: a `Run` has.

    Parameters
    ----------
    instrs : list of Instr
    places : list of (instruction, operand, arena offset); operand -1 is the scratch memory
    inputs : list of (instruction, operand, slot, byte offset, bytes, dim)
        What is bound to the slot must have so many bytes beyond the offset; or, where dim is not negative, the kernel
        finds how many there are in that dimension, and keeps within them.
    arena_bytes : int
    """

    def __cinit__(self, list instrs, list places, list inputs, Py_ssize_t arena_bytes):
        cdef i64 i
        self.instrs = instrs
        self.arena_bytes = arena_bytes
        self.n = len(instrs)
        self.n_places, self.n_inputs = len(places), len(inputs)
        self.slots = 1 + max([slot for _, _, slot, _, _, _ in inputs], default=-1)
        written = [b.root() for one in instrs for b in one.buffers[:one.n_out] if b is not None]
        self.state = list({id(b): b for b in written}.values())
        self.written = tuple({slot for i, k, slot, _, _, _ in inputs if k < instrs[i].n_out})
        left = [(one.buffers, one.card.left) for one in instrs if getattr(one.card, "left", None) is not None]
        self.left = [(buffers[k].root(), buffers[flag]) for buffers, (k, flag) in left]
        self.stores = [(i, at) for i, one in enumerate(instrs) if (at := one.stores())]
        self.code = <pn_instr *>PyMem_RawCalloc(max(self.n, 1), sizeof(pn_instr))
        self.places = <place_entry *>PyMem_RawCalloc(max(self.n_places, 1), sizeof(place_entry))
        self.inputs = <input_entry *>PyMem_RawCalloc(max(self.n_inputs, 1), sizeof(input_entry))
        if self.code == NULL or self.places == NULL or self.inputs == NULL:
            raise MemoryError(f"could not allocate a program of {self.n} instructions")
        for i in range(self.n):
            memcpy(&self.code[i], &(<Instr>instrs[i]).c, sizeof(pn_instr))
        for i in range(self.n_places):
            self.places[i].instr, self.places[i].operand, self.places[i].offset = places[i]
        for i in range(self.n_inputs):
            (self.inputs[i].instr, self.inputs[i].operand, self.inputs[i].slot, self.inputs[i].offset,
             self.inputs[i].nbytes, self.inputs[i].dim) = inputs[i]

    def __dealloc__(self):
        PyMem_RawFree(self.code)
        PyMem_RawFree(self.places)
        PyMem_RawFree(self.inputs)

    def __len__(self):
        return self.n

    @property
    def nbytes(self):
        """The bytes that the program itself takes, and each run of it beside its arena; without Python's objects."""
        return self.n * sizeof(pn_instr) + self.n_places * sizeof(place_entry) + self.n_inputs * sizeof(input_entry)

    def start(self, Buffer arena=None):
        """Return a run with its temporaries in an arena, by default one of its own."""
        cdef Run run = Run(self)
        run.place(Buffer.new(max(self.arena_bytes, 1), 1) if arena is None else arena)
        return run


cdef class Run:
    """One run of a program: its own copy of the code, which points at its own arena and at what is bound.

    Any number of runs of one program may be under way at once, in threads or one inside another.
    """

    def __cinit__(self, Program program):
        cdef i64 i
        self.program = program
        self.failed_at = -1
        self.bound = [None] * program.slots
        self.needed = PyMem_RawCalloc(max(program.slots, 1), 1)
        self.code = <pn_instr *>PyMem_RawMalloc(max(program.n, 1) * sizeof(pn_instr))
        if self.code == NULL or self.needed == NULL:
            raise MemoryError(f"could not allocate a run of {program.n} instructions")
        memcpy(self.code, program.code, program.n * sizeof(pn_instr))
        for i in range(program.n_inputs):
            (<char *>self.needed)[program.inputs[i].slot] = 1
        self.missing = self.slots_needed = sum([(<char *>self.needed)[i] for i in range(program.slots)])

    def __dealloc__(self):
        PyMem_RawFree(self.code)
        PyMem_RawFree(self.needed)

    def __len__(self):
        return self.program.n

    cpdef place(self, Buffer arena):
        """Put the temporaries in this arena."""
        cdef i64 i
        cdef place_entry *p
        if arena is self.arena:
            return
        if arena.nbytes < self.program.arena_bytes:
            raise ValueError(f"an arena of {arena.nbytes} bytes is too small for {self.program.arena_bytes}")
        self.check_idle()
        for i in range(self.program.n_places):
            p = &self.program.places[i]
            if p.operand < 0:
                self.code[p.instr].scratch = arena.ptr + p.offset
            else:
                self.code[p.instr].arg[p.operand] = arena.ptr + p.offset
        self.arena = arena

    cpdef bind(self, int slot, object array):
        """Point an input slot at a contiguous NumPy array, which is kept alive."""
        if slot < 0 or slot >= self.program.slots or self.bound[slot] is array:
            return  # no instruction reads it, or it is there
        cdef Buffer b = array if isinstance(array, Buffer) else Buffer.of(array)
        cdef i64 i
        cdef input_entry *e
        self.check_idle()
        for i in range(self.program.n_inputs):
            e = &self.program.inputs[i]
            if e.slot == slot and b.nbytes - e.offset < (0 if e.dim >= 0 else e.nbytes):
                raise ValueError(f"slot {slot} was recorded with {e.offset + e.nbytes} bytes. Received: {b.nbytes}")
        for i in range(self.program.n_inputs):
            e = &self.program.inputs[i]
            if e.slot == slot:
                self.code[e.instr].arg[e.operand] = b.ptr + e.offset
                if e.dim >= 0:
                    self.code[e.instr].dim[e.dim] = b.nbytes - e.offset
        if self.bound[slot] is None and (<char *>self.needed)[slot]:
            self.missing -= 1
        # By the array itself, so that binding it again is seen; a Buffer keeps what it was made of.
        self.bound[slot] = array

    cpdef bind_all(self, list arrays):
        """Point the input slots 0, 1, ... at these arrays."""
        cdef list held = [a if isinstance(a, Buffer) else Buffer.of(a) for a in arrays[:self.program.slots]]
        cdef i64 i
        cdef input_entry *e
        cdef Buffer b
        self.check_idle()
        if len(held) < self.program.slots:
            raise ValueError(f"{self.program.slots} input slots. Received: {len(held)} arrays")
        for i in range(self.program.n_inputs):
            e = &self.program.inputs[i]
            b = <Buffer>held[e.slot]
            if b.nbytes - e.offset < (0 if e.dim >= 0 else e.nbytes):
                self.release()  # those before point where nothing holds the memory
                raise ValueError(f"slot {e.slot} was recorded with {e.offset + e.nbytes} bytes. Received: {b.nbytes}")
            self.code[e.instr].arg[e.operand] = b.ptr + e.offset
            if e.dim >= 0:
                self.code[e.instr].dim[e.dim] = b.nbytes - e.offset
        self.bound = held
        self.missing = 0

    def release(self):
        """Let go of what is bound; it must be bound again before the next run."""
        self.bound = [None] * self.program.slots
        self.missing = self.slots_needed

    cdef int check_idle(self) except -1:
        if self.busy:
            raise RuntimeError("this run is under way: another one must be started")
        return 0

    cdef int check_ready(self) except -1:
        self.check_idle()
        if self.missing or self.arena is None:
            raise RuntimeError(f"a run needs an arena and all its inputs. Received: {self.missing} not bound")
        return 0

    cdef void turn(self, bint ends) noexcept:
        """Tell memory that the program writes to that it does, or that it has."""
        cdef Buffer b, flag
        cdef object held
        if not ends:
            for b, flag in self.program.left:
                if b.writes_() != (<i64 *>flag.ptr)[1]:
                    (<i64 *>flag.ptr)[0] = 0
        for b in self.program.state:
            b.turn(ends)
        if ends:
            for b, flag in self.program.left:
                (<i64 *>flag.ptr)[1] = b.version
        for slot in self.program.written:
            held = self.bound[slot]
            if isinstance(held, Buffer):
                (<Buffer>held).root().turn(ends)

    cdef int replay(self, i64 *where) noexcept:
        """Run all instructions without the GIL; returns their status."""
        cdef int status
        if self.program.state:
            self.turn(False)
        with nogil:
            status = pn_run(self.code, self.program.n, where)
        if self.program.state:
            self.turn(True)
        return status

    cdef void store(self, bint on) noexcept:
        """Say whether gradients are stored that nobody needs before the last of several runs has ended."""
        for i, at in self.program.stores:
            self.code[<i64>i].dim[<i64>at] = on

    def run(self, i64 times=1, bint store=True):
        """Run all instructions, `times` times over. Returns (whole runs done, status); failed_at is the culprit.

        Without `store` not even the last run stores gradients that nobody in the program needs.
        """
        cdef i64 done = 0, last
        cdef i64 where = -1
        cdef int status = 0
        self.check_ready()
        self.busy = True
        self.turn(False)
        for last in (times - 1, times):
            self.store(store and last == times)
            with nogil:
                while done < last and status == 0:
                    status = pn_run(self.code, self.program.n, &where)
                    done += status == 0
        self.store(True)
        self.turn(True)
        self.busy = False
        self.failed_at = where if status else -1
        return done, status

    def run_timed(self, i64 times=1):
        """Run like run() and return the mean nanoseconds of each instruction as a float64 array."""
        self.check_ready()
        ns = np.zeros(max(self.program.n, 1))
        cdef Buffer each = Buffer.of(ns)
        cdef i64 done = 0, where = -1
        cdef int status = 0
        self.busy = True
        self.turn(False)
        with nogil:
            while done < times and status == 0:
                status = pn_run_timed(self.code, self.program.n, &where, <double *>each.ptr)
                done += 1
        self.turn(True)
        self.busy = False
        self.failed_at = where if status else -1
        return ns[:self.program.n] / max(done, 1), status


cdef class Arenas:
    """Memory for the temporaries of a model's runs: one arena for each that is under way, which grows to the largest.

    Attributes
    ----------
    idle : list of Buffer
    """

    def __cinit__(self):
        self.idle = []

    cpdef Buffer take(self, Py_ssize_t nbytes):
        """Return an arena of at least so many bytes, for one run; give it back afterwards."""
        cdef Buffer b = self.idle.pop() if self.idle else None
        return b if b is not None and b.nbytes >= nbytes else Buffer.new(max(nbytes, ALIGN), 1)

    cpdef give(self, Buffer arena):
        """Take back an arena."""
        self.idle.append(arena)


def gemm_scratch(i64 m, i64 n, i64 k, bint ta, bint tb, i64 itemsize):
    """Return the bytes of scratch memory that a matrix product may use."""
    return pn_gemm_scratch_bytes(m, n, k, ta, tb, itemsize, pn_get_threads())


def gemm_room():
    """Return the bytes in which a matrix product passes on what it computes, strip by strip."""
    return PN_GEMM_ROOM * pn_get_threads()


def gemm_pieces_scratch(i64 m, i64 n, i64 k, i64 itemsize):
    """Return the same of a product whose terms are cut into pieces."""
    return pn_gemm_pieces_bytes(m, n, k, itemsize, pn_get_threads())


cdef inline uint64_t next_word(uint64_t *state) noexcept nogil:
    # splitmix64 (Steele, Lea, Flood 2014)
    cdef uint64_t z
    state[0] += 0x9E3779B97F4A7C15ULL
    z = state[0]
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL
    return z ^ (z >> 31)


cdef inline uint32_t hashed(uint32_t value, uint32_t *constant, uint32_t factor) noexcept nogil:
    value ^= constant[0]
    constant[0] *= factor
    value *= constant[0]
    return value ^ (value >> 16)


def order_key(uint64_t seed, uint64_t epoch, bint negative):
    """Return NumPy's SeedSequence([seed, epoch, negative]).generate_state(1, uint64), in less than its time.

    Entropy in words of 32 bits is mixed into a pool of four, from which the state is drawn (O'Neill 2015).
    """
    cdef uint32_t words[5]
    cdef uint32_t pool[4]
    cdef uint32_t constant = 0x43B0D7E5U, mixed
    cdef int n = 0, i, j
    for number in (seed, epoch, <uint64_t>negative):
        words[n] = <uint32_t>(<uint64_t>number)
        n += 1
        if <uint64_t>number >> 32:
            words[n] = <uint32_t>(<uint64_t>number >> 32)
            n += 1
    for i in range(4):
        pool[i] = hashed(words[i] if i < n else 0, &constant, 0x931E8875U)
    for i in range(max(4, n)):  # every word of the pool into the others, and those that are left into all
        for j in range(4):
            if i != j:
                mixed = hashed(pool[i] if i < 4 else words[i], &constant, 0x931E8875U)
                pool[j] = 0xCA01F9DDU * pool[j] - 0x4973F715U * mixed
                pool[j] ^= pool[j] >> 16
    constant = 0x8B51F9DDU
    mixed = hashed(pool[0], &constant, 0x58F38DEDU)
    return (<uint64_t>hashed(pool[1], &constant, 0x58F38DEDU) << 32) | mixed


def permutation(uint32_t n, uint64_t seed):
    """Return a random order of 0 ... n - 1 as int64: Fisher and Yates' shuffle, with Lemire's bounded numbers."""
    order = np.arange(n, dtype=np.int64)
    cdef Buffer memory = Buffer.of(order)
    cdef int64_t *at = <int64_t *>memory.ptr
    cdef uint64_t state = seed, product
    cdef uint32_t i, j
    with nogil:
        for i in range(n - 1 if n else 0):
            # A number below n - i; the bias of not rejecting is below n / 2**32.
            product = (next_word(&state) >> 32) * <uint64_t>(n - i)
            j = i + <uint32_t>(product >> 32)
            at[i], at[j] = at[j], at[i]
    return order


def targets():
    """Return the names of all targets, those that this machine cannot run among them, in the order of their indices."""
    return [pn_target_name(i).decode() for i in range(PN_TARGET_COUNT)]


def functions():
    """Return what C says of each function of one element: name -> (code if it is fused, what its gradient reads)."""
    found = {}
    cdef int i = 0
    while pn_functions[i].name != NULL:
        f = pn_functions[i]
        found[f.name.decode()] = f.act or None, {0: "out", 1: "in"}.get(f.of_x)
        i += 1
    return found


def isa_available():
    """Return the names of the instruction sets this machine can run."""
    return [pn_target_name(i).decode() for i in range(PN_ISA_COUNT) if pn_target_available(i)]


def units_available():
    """Return the names of the matrix units that products of bfloat16 can run on here."""
    return [pn_target_name(i).decode() for i in range(PN_ISA_COUNT, PN_TARGET_COUNT) if pn_target_available(i)]


def dots_quick():
    """Return whether this processor's dot products of bfloat16 outrun float32."""
    return bool(pn_dots_quick())


def set_planes(int planes):
    """Set for how many planes of bfloat16 new instructions book scratch memory; 0 is float32."""
    global pn_planes
    pn_planes = planes


def get_planes():
    """Return the planes that scratch memory is booked for."""
    return pn_planes


def isa_best():
    """Return the index of the best instruction set."""
    return pn_isa_best()


def threads_init(int n, bint asked):
    """Set the default number of threads, once; unless the user asked for it, OpenMP's own limit holds."""
    pn_threads_init(n, asked)


def set_threads(int n):
    """Set the number of threads; 0 returns to the default."""
    pn_set_threads(n)


def get_threads():
    """Return the number of threads a kernel may use now."""
    return pn_get_threads()


def has_openmp():
    """Tell whether the extension was built with OpenMP."""
    return bool(pn_has_openmp())


def has_threads():
    """Tell whether kernels can use more than one thread."""
    return bool(pn_has_threads())


def performance_cores():
    """Return the number of cores made for heavy work, where the system tells it in a call; 0 where not."""
    return pn_performance_cores()


def blas_ready():
    """Tell whether BLAS has been loaded."""
    return pn_blas_table.dgemm != NULL


def set_blas(uintptr_t sgemm, uintptr_t dgemm):
    """Hand the row-major gemm functions of pynn.core._blas to the kernels."""
    pn_blas_table.sgemm = <pn_gemm_f32_fn><void *>sgemm
    pn_blas_table.dgemm = <pn_gemm_f64_fn><void *>dgemm


def byte_units():
    """Return what the processor has for products of bytes, of 256 bits (1), of 512 (2) and tiles (4)."""
    return pn_byte_units


def set_byte_units(int units):
    """Let products of bytes use fewer units than the processor has; for tests."""
    global pn_byte_units
    pn_cpu_init()
    pn_byte_units &= units


def set_roots_apart(bint apart):
    """Say whether optimizers make square roots of multiply-adds, and return whether they did; for tests."""
    global pn_roots_apart
    before = bool(pn_roots_apart)
    pn_roots_apart = apart
    return before


pn_cpu_init()
