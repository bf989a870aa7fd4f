"""Prepared predictions: from arrays to an array in one native call, from any number of threads at once."""

# Before NumPy's headers, which define I by way of complex.h.
from pynn.core._core cimport Buffer, Program, i64

cimport cython
cimport numpy as cnp
from cpython.dict cimport PyDict_GetItem
from cpython.object cimport PyObject
from libc.string cimport memcpy

from pynn.core import _core, config
from pynn.core.graph import failure
from pynn.core.state import state

cnp.import_array()

cdef enum:
    MAX_INPUTS = 8
    MAX_RANK = 7
    ALIGN = 64

LIMIT = MAX_INPUTS
# Of a module's attributes, those that hold no modules, beside Module's own tables.
PRIVATE = frozenset({"_given_seed", "_input", "_kept"})


cdef inline Py_ssize_t aligned(Py_ssize_t nbytes) noexcept:
    return (nbytes + ALIGN - 1) & ~<Py_ssize_t>(ALIGN - 1)


cdef struct array_spec:
    int rank
    int type
    cnp.npy_intp dim[MAX_RANK]
    Py_ssize_t nbytes


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


cdef inline bint matches(const array_spec *spec, object x) noexcept:
    # An exact ndarray of the shape and type, contiguous, aligned and of the machine's byte order.
    cdef int i
    if not cnp.PyArray_CheckExact(x):
        return False
    if cnp.PyArray_TYPE(<cnp.ndarray>x) != spec.type or cnp.PyArray_NDIM(<cnp.ndarray>x) != spec.rank:
        return False
    for i in range(spec.rank):
        if cnp.PyArray_DIM(<cnp.ndarray>x, i) != spec.dim[i]:
            return False
    return cnp.PyArray_ISCARRAY_RO(<cnp.ndarray>x)


@cython.final
cdef class Watch:
    """What a recorded forward pass depends on besides its inputs: settings, layers, and where the weights lie.

    The same as the key of a program says, told in a fraction of a microsecond: attributes of modules and the elements
    of their lists are compared by identity.

    Parameters
    ----------
    model : Module
    """

    cdef object module
    cdef list tables
    cdef list keys
    cdef list values
    cdef list lists
    cdef list elements
    cdef list weights
    cdef list buffers

    def __init__(self, object model):
        from pynn.nn.module import _OWN, Module

        self.module = Module
        private = PRIVATE | _OWN
        self.tables, self.keys = [config.__dict__], ["_changes"]
        self.lists, self.elements = [], []
        modules = list(model.modules())
        for module in modules:
            table = module.__dict__
            self.tables.append(table)
            self.keys.append("_version")
            for key, value in table.items():
                # Where modules are, or may be put: setting a private name does not change the version.
                if key not in private and (value is None or isinstance(value, (Module, list, tuple, dict))):
                    self.tables.append(table)
                    self.keys.append(key)
                    self.enter(value)
        self.values = [table.get(key) for table, key in zip(self.tables, self.keys, strict=True)]
        self.weights = [weight for module in modules for weight in module._weights.values()]
        self.buffers = [weight.buffer for weight in self.weights]

    cdef enter(self, object value):
        if not isinstance(value, (list, tuple, dict)):
            return
        inside = list(value.values() if isinstance(value, dict) else value)
        if inside and not any(x is None or isinstance(x, (self.module, list, tuple, dict)) for x in inside):
            return  # numbers or names
        if not isinstance(value, tuple):
            self.lists.append(value)
            self.elements.append(inside)
        for element in inside:
            self.enter(element)

    cpdef bint unchanged(self):
        """Tell whether all is as it was when the watch began."""
        cdef Py_ssize_t i, k
        cdef PyObject *now
        cdef list held, then
        for i in range(len(self.tables)):
            now = PyDict_GetItem(<dict>self.tables[i], <object>self.keys[i])
            if now != <PyObject *>self.values[i] and not (now == NULL and self.values[i] is None):
                return False
        for i in range(len(self.weights)):
            if self.weights[i].buffer is not self.buffers[i]:
                return False
        for i in range(len(self.lists)):
            held = self.lists[i] if isinstance(self.lists[i], list) else list(self.lists[i].values())
            then = self.elements[i]
            if len(held) != len(then):
                return False
            for k in range(len(then)):
                if held[k] is not then[k]:
                    return False
        return True


@cython.final
cdef class Workspace:
    """One caller's memory: temporaries, inputs and output, with the program's instructions pointing there."""

    cdef Program program
    cdef Buffer memory
    cdef char *inputs[MAX_INPUTS]
    cdef char *output


@cython.final
cdef class Prepared:
    """A program for inputs of certain shapes and dtypes: slots 0, 1, ... are the inputs, the last one the output.

    Parameters
    ----------
    program : Program
    inputs : list of (shape, dtype)
    output : (shape, dtype)
    """

    cdef readonly Program program
    cdef int n
    cdef array_spec inputs[MAX_INPUTS]
    cdef array_spec output
    cdef list idle

    def __init__(self, Program program, list inputs, tuple output):
        if len(inputs) > MAX_INPUTS:
            raise ValueError(f"{len(inputs)} inputs: at most {MAX_INPUTS}")
        self.program = program
        self.n = len(inputs)
        for i, (shape, dtype) in enumerate(inputs):
            describe(&self.inputs[<int>i], shape, dtype)
        describe(&self.output, output[0], output[1])
        self.idle = []

    @property
    def workspaces(self):
        """How many callers at a time there have been."""
        return len(self.idle)

    cdef Workspace workspace(self):
        cdef Workspace w = Workspace()
        cdef Py_ssize_t at = aligned(self.program.arena_bytes), total = at
        cdef int i
        for i in range(self.n):
            total += aligned(self.inputs[i].nbytes)
        w.memory = Buffer.new(total + aligned(self.output.nbytes), _core.STATE)
        w.program = self.program.copy()
        w.program.place(w.memory)
        for i in range(self.n):
            w.program.bind(i, w.memory.view(at, self.inputs[i].nbytes))
            w.inputs[i] = w.memory.ptr + at
            at += aligned(self.inputs[i].nbytes)
        w.program.bind(self.n, w.memory.view(at, self.output.nbytes))
        w.output = w.memory.ptr + at
        return w

    cdef bint fits(self, object x) noexcept:
        cdef int i
        if self.n == 1 and not isinstance(x, (tuple, list)):
            return matches(&self.inputs[0], x)
        if not isinstance(x, (tuple, list)) or len(x) != self.n:
            return False
        for i in range(self.n):
            if not matches(&self.inputs[i], x[i]):
                return False
        return True

    cdef object compute(self, object x, int *status, i64 *where):
        # The idle list changes hands under the GIL, so a workspace has one caller at a time.
        cdef Workspace w = self.idle.pop() if self.idle else self.workspace()
        cdef int i
        cdef object y, given
        for i in range(self.n):
            given = x[i] if isinstance(x, (tuple, list)) else x
            memcpy(w.inputs[i], cnp.PyArray_DATA(<cnp.ndarray>given), self.inputs[i].nbytes)
        with nogil:
            status[0] = w.program.replay(where)
        if status[0]:
            self.idle.append(w)
            return None
        y = cnp.PyArray_SimpleNew(self.output.rank, self.output.dim, self.output.type)
        memcpy(cnp.PyArray_DATA(<cnp.ndarray>y), w.output, self.output.nbytes)
        self.idle.append(w)
        return y

    def run(self, object x):
        """Return the output for arrays of exactly these shapes and dtypes."""
        cdef int status = 0
        cdef i64 where = -1
        if not self.fits(x):
            raise ValueError("inputs of other shapes or dtypes than what was prepared")
        y = self.compute(x, &status, &where)
        if status:
            raise failure(status, self.program.instrs[where])
        return y


cdef class Predictor:
    """A callable that runs prepared programs, and hands over to `otherwise` what it has none for.

    A subclass defines ``otherwise(x)``, which checks and converts its input, and calls :meth:`add`.
    """

    cdef dict prepared
    cdef Watch watch

    def __init__(self):
        self.prepared = {}

    def begin(self, Watch watch):
        """Forget what was prepared; from now on it holds as long as nothing watched changes."""
        self.prepared = {}
        self.watch = watch

    def fresh(self):
        """Tell whether what was prepared still holds."""
        return self.watch is not None and self.watch.unchanged()

    def add(self, Prepared made, i64 rows):
        """Keep a program for so many rows, the last one for each number."""
        self.prepared[rows] = made

    def quick(self, object x):
        """Return the output, or None if nothing is prepared for such input."""
        return self.attempt(x)

    cdef object attempt(self, object x):
        cdef int status = 0
        cdef i64 where = -1
        cdef object first = x
        cdef PyObject *found
        cdef Prepared prepared  # held: another thread may forget it meanwhile
        if isinstance(x, (tuple, list)):
            if len(x) == 0:
                return None
            first = x[0]
        if not cnp.PyArray_CheckExact(first) or cnp.PyArray_NDIM(<cnp.ndarray>first) == 0:
            return None
        found = PyDict_GetItem(self.prepared, <object>cnp.PyArray_DIM(<cnp.ndarray>first, 0))
        if found == NULL:
            return None
        prepared = <Prepared>found
        if not prepared.fits(x):
            return None
        if not self.watch.unchanged() or state.recorder is not None:
            return None
        # After a failure (an id out of range) the other way finds the words for it.
        return prepared.compute(x, &status, &where)

    def __call__(self, object x):
        """Return the model's output for every row of x."""
        y = self.attempt(x)
        return self.otherwise(x) if y is None else y
