"""Prepared predictions and training steps: from arrays to an answer in one native call."""

# Before NumPy's headers, which define I by way of complex.h.
from pynn.core._core cimport Arenas, Buffer, Program, Run, i64
from pynn.core._kept cimport Kept
from pynn.core._watch cimport Watch

cimport cython
cimport numpy as cnp
from cpython.dict cimport PyDict_GetItem
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from pynn.core.status import failure
from pynn.core.state import state

cnp.import_array()

cdef enum:
    MAX_RANK = 7
    ALIGN = 64


cdef inline Py_ssize_t aligned(Py_ssize_t nbytes) noexcept:
    return (nbytes + ALIGN - 1) & ~<Py_ssize_t>(ALIGN - 1)


cdef struct array_spec:
    int rank
    int type
    cnp.npy_intp dim[MAX_RANK]
    Py_ssize_t nbytes
    Py_ssize_t at  # its place in the arena


cdef int describe(array_spec *spec, tuple shape, object dtype) except -1:
    cdef Py_ssize_t nbytes = dtype.itemsize
    cdef int i
    if len(shape) > MAX_RANK:
        raise ValueError(f"an array of {len(shape)} dimensions: at most {MAX_RANK}")
    spec.rank = len(shape)
    spec.type = dtype.num
    for i in range(spec.rank):
        spec.dim[i] = shape[i]
        nbytes *= spec.dim[i]
    spec.nbytes = nbytes
    return 0


cdef inline bint matches(const array_spec *spec, object x, Py_ssize_t rows=-1) noexcept:
    # An exact ndarray of the shape and type, contiguous, aligned and of the machine's byte order; with another number
    # of rows than was prepared, if it is given.
    cdef int i, first = rows >= 0
    if not cnp.PyArray_CheckExact(x):
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray>x) != spec.type or cnp.PyArray_NDIM(<cnp.ndarray>x) != spec.rank:
        return False
    for i in range(first, spec.rank):
        if cnp.PyArray_DIM(<cnp.ndarray>x, i) != spec.dim[i]:
            return False
    if first and (spec.rank == 0 or cnp.PyArray_DIM(<cnp.ndarray>x, 0) != rows):
        return False
    return cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x)


cdef inline char *row(const array_spec *spec, object x, Py_ssize_t start) noexcept:
    # Where a row of an array begins, whose rows are those of the spec.
    return <char *>cnp.PyArray_DATA(<cnp.ndarray>x) + (start * (spec.nbytes // spec.dim[0]) if start else 0)


@cython.final
cdef class Prepared:
    """A recording for inputs of certain shapes and dtypes: slots 0, 1, ... are the inputs, then come the outputs.

    Each caller has a run of its own, with inputs and outputs beside the temporaries in one arena.

    Parameters
    ----------
    recording : Recording
    inputs : list of (shape, dtype)
    outputs : list of (shape, dtype)
    build : callable, optional
        Makes of the list of outputs what is returned; without it there is one output, which is.
    kept : sequence of (number of an instruction, Kept)
        Weights that are laid out once.
    """

    cdef readonly object build
    cdef readonly list output_shapes
    cdef public object apart  # a watch: while it sees no change, rows of such inputs can be computed apart
    cdef Program program
    cdef Watch watch
    cdef Arenas arenas
    cdef int n, n_out
    cdef array_spec *specs  # inputs, then outputs
    cdef Py_ssize_t nbytes
    cdef list idle
    cdef tuple kept

    def __cinit__(self, object recording, list inputs, list outputs, object build=None, object kept=()):
        cdef Py_ssize_t at
        self.build = build
        self.output_shapes = [shape for shape, _ in outputs]
        self.program, self.watch, self.arenas = recording.program, recording.watch, recording.arenas
        self.n, self.n_out = len(inputs), len(outputs)
        self.specs = <array_spec *>PyMem_Calloc(self.n + self.n_out + 1, sizeof(array_spec))
        if self.specs == NULL:
            raise MemoryError()
        at = aligned(self.program.arena_bytes)
        for i, (shape, dtype) in enumerate(inputs + outputs):
            describe(&self.specs[<int>i], shape, dtype)
            self.specs[<int>i].at = at
            at += aligned(self.specs[<int>i].nbytes)
        self.nbytes = at
        self.idle = []
        self.kept = tuple(kept)

    def __dealloc__(self):
        PyMem_Free(self.specs)

    @property
    def workspaces(self):
        """How many callers at a time there have been."""
        return len(self.idle)

    cdef Run take(self):
        """Return a run in an arena; the lists change hands under the GIL, so each has one caller at a time."""
        cdef Buffer arena = self.arenas.take(self.nbytes)
        cdef Run run = self.idle.pop() if self.idle else Run(self.program)
        cdef int i
        if run.arena is not arena:
            run.place(arena)
            for i in range(self.n + self.n_out):
                run.bind(i, arena.view(self.specs[i].at, self.specs[i].nbytes))
        return run

    cdef give(self, Run run):
        self.arenas.give(run.arena)
        self.idle.append(run)

    cdef bint fits(self, object x, Py_ssize_t rows=-1) noexcept:
        cdef int i
        if self.n == 1 and not isinstance(x, (tuple, list)):
            return matches(&self.specs[0], x, rows)
        if not isinstance(x, (tuple, list)) or len(x) != self.n:
            return False
        for i in range(self.n):
            if not matches(&self.specs[i], x[i], rows):
                return False
        return True

    cdef list empty(self, Py_ssize_t rows=-1):
        """Return arrays for the outputs, with so many rows or as many as were prepared."""
        cdef list ys = []
        cdef int i
        cdef cnp.npy_intp dim[MAX_RANK]
        for i in range(self.n, self.n + self.n_out):
            memcpy(dim, self.specs[i].dim, sizeof(dim))
            if rows >= 0:
                dim[0] = rows
            ys.append(cnp.PyArray_SimpleNew(self.specs[i].rank, dim, self.specs[i].type))
        return ys

    cdef bint by_rows(self, Prepared like, Py_ssize_t rows) noexcept:
        """Tell whether each output has so many rows, which are like those of another number of inputs."""
        cdef int i, k
        cdef array_spec *mine
        cdef array_spec *theirs
        if self.n_out != like.n_out:
            return False
        for i in range(self.n_out):
            mine, theirs = &self.specs[self.n + i], &like.specs[like.n + i]
            if mine.rank == 0 or mine.rank != theirs.rank or mine.type != theirs.type or mine.dim[0] != rows:
                return False
            for k in range(1, mine.rank):
                if mine.dim[k] != theirs.dim[k]:
                    return False
        return True

    cdef int compute(self, object x, list ys, Py_ssize_t start, i64 *where) except -1:
        """Compute the outputs of the rows from `start` on into ys; returns the status."""
        cdef Run run = self.take()
        cdef int i, status
        cdef array_spec *spec
        cdef object given
        try:
            for i in range(self.n):
                given = x[i] if isinstance(x, (tuple, list)) else x
                spec = &self.specs[i]
                memcpy(run.arena.ptr + spec.at, row(spec, given, start), spec.nbytes)
            for at, kept in self.kept:
                run.code[<i64>at].kept = (<Kept>kept).take()
            status = run.replay(where)
            for at, kept in self.kept:
                if run.code[<i64>at].kept != NULL:
                    (<Kept>kept).give()
            for i in range(self.n_out if status == 0 else 0):
                spec = &self.specs[self.n + i]
                memcpy(row(spec, ys[i], start), run.arena.ptr + spec.at, spec.nbytes)
            return status
        finally:
            self.give(run)

    def run(self, object x):
        """Return the list of outputs for arrays of exactly these shapes and dtypes."""
        cdef int status
        cdef i64 where = -1
        cdef list ys
        if not self.fits(x):
            raise ValueError("inputs of other shapes or dtypes than what was prepared")
        ys = self.empty()
        status = self.compute(x, ys, 0, &where)
        if status:
            raise failure(status, self.program.instrs[where])
        return ys


cdef class Predictor:
    """A callable that runs prepared programs, and hands over to `otherwise` what it has none for.

    A subclass defines ``otherwise(x)``, which checks and converts its input, and calls :meth:`add`.
    """

    cdef dict prepared  # by the length of the first input, the last one for each
    cdef public Py_ssize_t most  # rows per pass

    def __init__(self, Py_ssize_t most=0):
        self.prepared = {}
        self.most = most

    def add(self, Prepared made, i64 rows):
        """Keep what was prepared for so many rows."""
        self.prepared[rows] = made

    def join(self, object x, Py_ssize_t rows, object apart):
        """Let passes that are at hand be joined for more rows, as x has, while a watch sees no change."""
        cdef object full = self.prepared.get(self.most)
        if full is not None and (<Prepared>full).fits(x, rows):
            (<Prepared>full).apart = apart

    def forget(self):
        """Let go of all that was prepared."""
        self.prepared = {}

    def quick(self, object x):
        """Return the output, or None if nothing is prepared for such input."""
        return self.attempt(x)

    cdef object attempt(self, object x):
        cdef i64 where = -1
        cdef object first = x
        cdef PyObject *found
        cdef Py_ssize_t rows
        cdef list ys
        cdef Prepared prepared  # held: another thread may forget it meanwhile
        if isinstance(x, (tuple, list)):
            if len(x) == 0:
                return None
            first = x[0]
        if not cnp.PyArray_CheckExact(first) or cnp.PyArray_NDIM(<cnp.ndarray>first) == 0:
            return None
        rows = cnp.PyArray_DIM(<cnp.ndarray>first, 0)
        found = PyDict_GetItem(self.prepared, <object>rows)
        if found == NULL:
            return self.in_passes(x, rows) if 0 < self.most < rows else None
        prepared = <Prepared>found
        if not prepared.fits(x):
            return None
        if not prepared.watch.unchanged() or state.recorder is not None:
            return None
        # After a failure (an id out of range) the other way finds the words for it.
        ys = prepared.empty()
        if prepared.compute(x, ys, 0, &where):
            return None
        return ys[0] if prepared.build is None else prepared.build(ys)

    cdef object in_passes(self, object x, Py_ssize_t rows):
        """Return the outputs of more rows than a pass takes, if its passes are prepared."""
        cdef Py_ssize_t start = 0
        cdef Py_ssize_t left = rows % self.most
        cdef i64 where = -1
        cdef Prepared full, rest
        cdef object found = self.prepared.get(self.most), last = self.prepared.get(left) if left else None
        cdef list ys
        if found is None or (left and last is None) or state.recorder is not None:
            return None
        full = <Prepared>found
        rest = <Prepared>last if left else full
        if full.apart is None or not full.fits(x, rows) or not full.by_rows(full, self.most):
            return None
        if left and not (rest.fits(x, rows) and rest.by_rows(full, left) and rest.watch.unchanged()):
            return None
        if not full.watch.unchanged() or not (<Watch>full.apart).unchanged():
            return None
        ys = full.empty(rows)
        while start < rows:
            if (full if rows - start >= self.most else rest).compute(x, ys, start, &where):
                return None
            start += self.most
        return ys[0] if full.build is None else full.build(ys)

    def __call__(self, object x):
        """Return the model's output for every row of x."""
        y = self.attempt(x)
        return self.otherwise(x) if y is None else y


cdef bint all_finite(cnp.ndarray a) noexcept:
    # By the exponents alone, which compilers turn into vectors.
    cdef Py_ssize_t i, n = cnp.PyArray_SIZE(a)
    cdef const uint32_t *single = <const uint32_t *>cnp.PyArray_DATA(a)
    cdef const uint64_t *double_ = <const uint64_t *>cnp.PyArray_DATA(a)
    cdef int bad = 0
    if cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT32:
        for i in range(n):
            bad |= (single[i] & 0x7F800000) == 0x7F800000
    elif cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT64:
        for i in range(n):
            bad |= (double_[i] & 0x7FF0000000000000) == 0x7FF0000000000000
    return not bad


cdef class Batch:
    """A recording for batches of one shape: inputs in its slots 0, 1, ..., then targets, then what a subclass adds.

    Parameters
    ----------
    recording : Recording
    inputs : list of (shape, dtype)
        Taken as they are.
    given, kept : (shape, dtype)
        Of the targets: as callers pass them, and as the program takes them.
    low, high : float
        Targets between these were found valid before.
    outputs : list of (shape, dtype)
    """

    cdef Program program
    cdef Watch watch
    cdef Arenas arenas
    cdef int n, n_out
    cdef array_spec *specs  # inputs, the targets given and kept, outputs
    cdef Py_ssize_t nbytes
    cdef double low, high

    def __init__(self, object recording, list inputs, tuple given, tuple kept, double low, double high,
                 object outputs=()):
        cdef Py_ssize_t at
        cdef int i
        self.program, self.watch, self.arenas = recording.program, recording.watch, recording.arenas
        self.n, self.n_out = len(inputs), len(outputs)
        if self.specs != NULL:
            raise RuntimeError("this batch is prepared")
        self.specs = <array_spec *>PyMem_Calloc(self.n + 2 + self.n_out, sizeof(array_spec))
        if self.specs == NULL:
            raise MemoryError()
        at = aligned(self.program.arena_bytes)
        for i, (shape, dtype) in enumerate([*inputs, given, kept, *outputs]):
            describe(&self.specs[i], shape, dtype)
            self.specs[i].at = at
            if i != self.n:
                at += aligned(self.specs[i].nbytes)
        self.nbytes = at
        self.low, self.high = low, high

    def __dealloc__(self):
        PyMem_Free(self.specs)

    def fits(self, object x, object y):
        """Tell whether a batch is one that this takes, with values that need no second look."""
        cdef int i
        if not matches(&self.specs[self.n], y):
            return False
        if self.n == 1 and not isinstance(x, (tuple, list)):
            return matches(&self.specs[0], x) and all_finite(<cnp.ndarray>x) and self.known(<cnp.ndarray>y)
        if not isinstance(x, (tuple, list)) or len(x) != self.n:
            return False
        for i in range(self.n):
            if not matches(&self.specs[i], x[i]) or not all_finite(<cnp.ndarray>x[i]):
                return False
        return self.known(<cnp.ndarray>y)

    def holds(self):
        """Tell whether the recording stands for what a step would do now."""
        return self.watch.unchanged()

    cdef bint known(self, cnp.ndarray y) noexcept:
        cdef Py_ssize_t i, n = cnp.PyArray_SIZE(y)
        cdef int kind = cnp.PyArray_TYPE(y)
        cdef double low = self.low, high = self.high
        cdef int inside = 1
        cdef void *p = cnp.PyArray_DATA(y)
        if kind == cnp.NPY_INT64:
            for i in range(n):
                inside &= (<i64 *>p)[i] >= <i64>low and (<i64 *>p)[i] <= <i64>high
        elif kind == cnp.NPY_INT32:
            for i in range(n):
                inside &= (<int32_t *>p)[i] >= <int32_t>low and (<int32_t *>p)[i] <= <int32_t>high
        elif kind == cnp.NPY_FLOAT32:
            for i in range(n):
                inside &= (<float *>p)[i] >= low and (<float *>p)[i] <= high
        elif kind == cnp.NPY_FLOAT64:
            for i in range(n):
                inside &= (<double *>p)[i] >= low and (<double *>p)[i] <= high
        else:
            return False
        return inside

    cdef int bind(self, Run run, Buffer arena) except -1:
        """Point a run at a place for the inputs and the targets."""
        cdef int i
        run.place(arena)
        for i in range(self.n):
            run.bind(i, arena.view(self.specs[i].at, self.specs[i].nbytes))
        run.bind(self.n, arena.view(self.specs[self.n + 1].at, self.specs[self.n + 1].nbytes))
        return 0

    cdef int fill(self, object x, object y, Buffer arena) except -1:
        """Put a batch where a run looks for it."""
        cdef int i
        cdef object one
        for i in range(self.n):
            one = x[i] if isinstance(x, (tuple, list)) else x
            memcpy(arena.ptr + self.specs[i].at, cnp.PyArray_DATA(<cnp.ndarray>one), self.specs[i].nbytes)
        self.keep(<cnp.ndarray>y, arena.ptr + self.specs[self.n + 1].at)
        return 0

    cdef void keep(self, cnp.ndarray y, char *to) noexcept:
        cdef array_spec *given = &self.specs[self.n]
        cdef array_spec *kept = &self.specs[self.n + 1]
        cdef Py_ssize_t i
        cdef const i64 *labels = <const i64 *>cnp.PyArray_DATA(y)
        if given.type == kept.type:
            memcpy(to, labels, kept.nbytes)
        else:  # int64 to int32
            for i in range(cnp.PyArray_SIZE(y)):
                (<int32_t *>to)[i] = <int32_t>labels[i]


@cython.final
cdef class PreparedStep(Batch):
    """A recorded training step: after the targets come the order of the rows and the ledger.

    Parameters
    ----------
    rows : int
    ledger : list of Buffer
        cursor, offset, rate, sums, losses, hits, ...
    """

    cdef object perm
    cdef list ledger
    cdef Run run

    def __init__(self, object recording, list inputs, tuple given, tuple kept, double low, double high, i64 rows,
                 list ledger):
        Batch.__init__(self, recording, inputs, given, kept, low, high)
        self.perm = np.arange(rows)
        self.ledger = ledger

    def step(self, object x, object y, double rate, object order=None):
        """Make the step of a batch that fits, at a learning rate.

        Parameters
        ----------
        order : ndarray of int64 [rows], optional
            In which the rows are taken; otherwise as they come.

        Returns
        -------
        tuple of float, or None
            (loss * n, n) and (weight of right answers, weight of all); None if a kernel failed: no update was made.
        """
        cdef Buffer arena = self.arenas.take(self.nbytes)
        cdef Run run = self.run
        cdef char *sums = (<Buffer>self.ledger[3]).ptr
        cdef char *hits = (<Buffer>self.ledger[5]).ptr
        cdef object one
        cdef Py_ssize_t i
        cdef int status
        cdef i64 where = -1
        try:
            if run is None:
                run = self.run = Run(self.program)
            if run.arena is not arena:
                self.bind(run, arena)
                for i, one in enumerate(self.ledger):
                    run.bind(self.n + 2 + i, one)
            run.bind(self.n + 1, self.perm if order is None else order)
            self.fill(x, y, arena)
            (<i64 *>(<Buffer>self.ledger[0]).ptr)[0] = 0
            (<i64 *>(<Buffer>self.ledger[1]).ptr)[0] = 0
            (<double *>(<Buffer>self.ledger[2]).ptr)[0] = rate
            memset(sums, 0, 2 * sizeof(double))
            memset(hits, 0, 2 * sizeof(double))
            status = run.replay(&where)
            if status:
                return None
            return (<double *>sums)[0], (<double *>sums)[1], (<double *>hits)[0], (<double *>hits)[1]
        finally:
            self.arenas.give(arena)


@cython.final
cdef class PreparedLoss(Batch):
    """A recorded evaluation: after the targets come the outputs. Any number of threads may call it at once."""

    cdef list idle

    def __init__(self, object recording, list inputs, tuple given, tuple kept, double low, double high, list outputs):
        Batch.__init__(self, recording, inputs, given, kept, low, high, outputs)
        self.idle = []

    def run(self, object x, object y):
        """Return the targets as the program takes them, and the list of outputs for a batch that fits; or None."""
        cdef Buffer arena = self.arenas.take(self.nbytes)
        cdef Run run = self.idle.pop() if self.idle else Run(self.program)
        cdef array_spec *spec
        cdef int i
        cdef i64 where = -1
        cdef list found = []
        cdef object one
        try:
            if run.arena is not arena:
                self.bind(run, arena)
                for i in range(self.n_out):
                    spec = &self.specs[self.n + 2 + i]
                    run.bind(self.n + 1 + i, arena.view(spec.at, spec.nbytes))
            self.fill(x, y, arena)
            if run.replay(&where):
                return None
            for i in range(-1, self.n_out):
                spec = &self.specs[self.n + 2 + i]
                one = cnp.PyArray_SimpleNew(spec.rank, spec.dim, spec.type)
                memcpy(cnp.PyArray_DATA(<cnp.ndarray>one), arena.ptr + spec.at, spec.nbytes)
                found.append(one)
            return found
        finally:
            self.arenas.give(arena)
            self.idle.append(run)
