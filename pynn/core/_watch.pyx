"""What a recorded program was made from besides its inputs, and whether all of it is still as it was."""

from cpython.dict cimport PyDict_GetItem, PyDict_Next, PyDict_Size
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from cpython.object cimport PyObject

import array
import collections
import dis
import functools
import random
import sys
import types
import zlib

import numpy as np

from pynn.core import config
from pynn.core.tensor import Tensor

cdef extern from *:
    """
    /* A number that every change of a dict changes, where this Python has one; 0 elsewhere. */
    #if PY_VERSION_HEX < 0x030C0000
    #define PN_DICT_VERSION(table) (((PyDictObject *)(table))->ma_version_tag)
    #else
    #define PN_DICT_VERSION(table) 0
    #endif
    """
    unsigned long long PN_DICT_VERSION(object table)

PLAIN = frozenset({bool, int, float, complex, str, bytes})
LEAVES = PLAIN | {type(None), types.ModuleType, types.BuiltinFunctionType, frozenset, range, slice, type(...)}
COPIED = 1 << 24  # bytes: of larger arrays a checksum is kept
SKIPPED = object()
GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)


cdef bint same(object then, object now) except -1:
    """Tell whether a value is the one of before, or an equal number, text or tuple of such."""
    if then is now:
        return True
    if type(then) is not type(now):
        return False
    if type(now) in PLAIN or isinstance(now, np.generic):
        return bool(then == now)
    if type(now) is tuple and len(<tuple>now) == len(<tuple>then):
        for a, b in zip(<tuple>then, <tuple>now):
            if not same(a, b):
                return False
        return True
    return False


cdef object contents(object values):
    """Return what tells the values of an array from others: a copy, or of a large one its checksum."""
    flat = values if values.flags.c_contiguous else np.ascontiguousarray(values)
    if values.dtype.hasobject:
        return values.tolist()
    return flat.tobytes() if values.nbytes <= COPIED else zlib.crc32(flat.reshape(-1).view(np.uint8))


@functools.lru_cache(maxsize=4096)
def _globals_read(code):
    """Return what a function's code reads of global variables, and the functions inside it: (name, attribute, ...)."""
    paths, path = [], []
    for i in dis.get_instructions(code):
        if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            path = [i.argval]
            paths.append(path)
        elif i.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            path.append(i.argval)
        elif i.opname not in ("CACHE", "EXTENDED_ARG", "PRECALL"):
            path = []
    found = {tuple(path) for path in paths}
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            found |= _globals_read(inner)
    return frozenset(found)


@functools.lru_cache(maxsize=2048)
def _named(cls, attribute):
    """Return the names that a class and those that it is derived from have in an attribute of the class."""
    return frozenset().union(*(owner.__dict__.get(attribute, ()) for owner in cls.__mro__))


def _is_ours(object owner):
    return (getattr(owner, "__module__", None) or "").partition(".")[0] == "pynn"


def _is_looked_into(object cls):
    """Tell whether a class's objects are looked into: those of Python itself and of NumPy are not."""
    top = (cls.__module__ or "").partition(".")[0]
    return top in ("__main__", "collections") or (
        top != "numpy" and top != "builtins" and top not in sys.stdlib_module_names
    )


@functools.lru_cache(maxsize=2048)
def _is_local(str module):
    """Tell whether a module is of the caller's own files: what is installed has settings that nobody changes."""
    top = module.partition(".")[0]
    if top == "__main__":
        return True
    if top == "pynn" or top in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


cdef class Watch:
    """What a recorded function read besides its inputs: settings, and all that hangs on the objects it is made of.

    Looked at are the attributes of these objects and of what they hold, down to lists, dicts, sets, arrays, closures
    and the global variables of functions: numbers and texts by value, arrays by their contents, other objects by
    identity. Weights are read by pointer, so only where they lie, and whether they are trained, is looked at.

    Looked over are attributes that a class names in ``_unwatched``, read-only arrays that own their memory, and what
    belongs to Python or NumPy; of modules and classes that are read by name, those of installed packages. Attributes in
    ``_renewed`` may be replaced by a recorded pass itself.

    A look costs a fraction of a microsecond for each layer, and for an array the time to read it.

    Parameters
    ----------
    roots : object
        A model, a loss, an optimizer ...

    Attributes
    ----------
    changed : str
        The path of what was found changed.
    generators : list of (str, object)
        NumPy's and Python's generators of random numbers that were met, each with its path. Nothing else looks at them.
    foreign : bool
        Whether functions were met that are not pynn's own.
    """

    def __init__(self, *roots):
        self.changed = ""
        self.dicts, self.dict_keys, self.dict_values, self.dict_skips, self.dict_paths = [], [], [], [], []
        self.lists, self.list_values, self.list_paths = [], [], []
        self.arrays, self.array_values, self.array_paths = [], [], []
        self.others, self.other_values, self.other_paths = [], [], []
        self.entries, self.entry_keys, self.entry_values = [config.__dict__], ["_changes"], [config._changes]
        self.asked, self.asked_names, self.asked_values = [], [], []
        self.tensors, self.buffers, self.flags = [], [], []
        self.renewed, self.generators, self.foreign = [], [], False
        cdef list todo = [(root, getattr(root, "name", None) or type(root).__name__) for root in roots]
        cdef dict seen = {}  # by identity; it keeps what is made on the way alive, so that no identity comes twice
        while todo:
            value, path = todo.pop()
            if type(value) is types.BuiltinFunctionType:
                self.foreign = True
            if type(value) in LEAVES or isinstance(value, np.generic) or id(value) in seen:
                continue
            seen[id(value)] = value
            if isinstance(value, type):
                if _is_local(value.__module__ or ""):
                    self.members(value, path, todo)
            else:
                self.enter(value, path, todo, seen)
        self.versions = <unsigned long long *>PyMem_Calloc(len(self.dicts) + 1, sizeof(unsigned long long))
        if self.versions == NULL:
            raise MemoryError()

    def __dealloc__(self):
        PyMem_Free(self.versions)

    cdef enter(self, object value, str path, list todo, dict seen):
        if isinstance(value, Tensor):
            self.tensors.append(value)
            self.buffers.append(value.buffer)
            self.flags.append(value.requires_grad)
        elif isinstance(value, np.ndarray):
            if value.flags.writeable or not value.flags.owndata:
                self.arrays.append(value)
                self.array_values.append(contents(value))
                self.array_paths.append(path)
        elif isinstance(value, tuple):
            todo.extend([(item, f"{path}[{i}]") for i, item in enumerate(value)])
        elif isinstance(value, list):
            self.lists.append(value)
            self.list_values.append(list(value))
            self.list_paths.append(path)
            todo.extend([(item, f"{path}[{i}]") for i, item in enumerate(value) if type(item) not in PLAIN])
        elif isinstance(value, dict):
            self.note(<dict>value, None, path, todo)
        elif isinstance(value, (set, bytearray, collections.deque, array.array)):
            self.others.append(value)
            self.other_values.append(value[:] if isinstance(value, (bytearray, array.array)) else value.copy())
            self.other_paths.append(path)
        elif isinstance(value, GENERATORS):
            self.generators.append((path, value))
        elif isinstance(value, types.FunctionType):
            self.function(value, path, todo)
        elif isinstance(value, types.MethodType):
            todo += [(value.__self__, path), (value.__func__, path)]
        elif isinstance(value, functools.partial):
            todo += [(value.func, path), (value.args, path), (value.keywords, path)]
        if not isinstance(value, Tensor) and (
            _is_looked_into(type(value)) or isinstance(value, types.SimpleNamespace)
        ):
            self.attributes(value, path, todo, seen)

    cdef note(self, dict table, object skips, str path, list todo):
        self.dicts.append(table)
        self.dict_skips.append(skips)
        self.dict_paths.append(path)
        self.dict_keys.append(list(table))
        self.dict_values.append([SKIPPED if skips and key in skips else item for key, item in table.items()])
        for key, item in table.items():
            if type(item) not in PLAIN and not (skips and key in skips):
                todo.append((item, f"{path}.{key}"))

    cdef attributes(self, object value, str path, list todo, dict seen):
        cls = type(value)
        skips = _named(cls, "_unwatched")
        table = getattr(value, "__dict__", None)
        if isinstance(table, dict):
            self.note(table, skips, path, todo)
            self.renewed += [(len(self.dicts) - 1, name) for name in _named(cls, "_renewed")]
        for owner in cls.__mro__:
            if owner is object:
                continue
            names = owner.__dict__.get("__slots__", ())
            for name in (names,) if isinstance(names, str) else names:
                if not (skips and name in skips) and hasattr(value, name) and name not in ("__dict__", "__weakref__"):
                    self.ask(value, name, path, todo)
        if id(cls) not in seen:
            seen[id(cls)] = cls
            self.members(cls, path, todo)

    cdef members(self, object cls, str path, list todo):
        # What a class of the caller's own, and those that it is derived from, define.
        for owner in cls.__mro__:
            if owner is object or _is_ours(owner) or not _is_looked_into(owner):
                continue
            for name, item in owner.__dict__.items():
                if name.startswith("__") and name != "__call__":
                    continue
                if isinstance(item, property):
                    todo += [(f, f"{path}.{name}") for f in (item.fget,) if f is not None]
                elif isinstance(item, (staticmethod, classmethod)):
                    todo.append((item.__func__, f"{path}.{name}"))
                elif isinstance(item, (types.FunctionType, list, tuple, dict, set, np.ndarray, np.generic, *PLAIN)):
                    self.ask(owner, name, path, todo)

    cdef ask(self, object owner, str name, str path, list todo):
        item = getattr(owner, name)
        self.asked.append(owner)
        self.asked_names.append(name)
        self.asked_values.append(item)
        todo.append((item, f"{path}.{name}"))

    cdef function(self, object function, str path, list todo):
        if _is_ours(function):
            return
        self.foreign = True
        todo += [(function.__defaults__, path), (function.__kwdefaults__, path)]
        for cell, name in zip(function.__closure__ or (), function.__code__.co_freevars):
            try:
                self.ask(cell, "cell_contents", f"{path}({name})", todo)
            except ValueError:
                pass  # it is still empty
        table = function.__globals__
        for name, *attributes in _globals_read(function.__code__):
            item = table.get(name, SKIPPED)
            if item is SKIPPED:
                continue
            if not isinstance(item, (type, types.ModuleType)):
                self.entries.append(table)
                self.entry_keys.append(name)
                self.entry_values.append(item)
            for attribute in attributes:  # settings.rate, of another file
                if not isinstance(item, types.ModuleType) or not _is_local(item.__name__):
                    break
                if not hasattr(item, attribute):
                    break
                name = f"{name}.{attribute}"
                self.ask(item, attribute, name.rpartition(".")[0], todo)
                item = getattr(item, attribute)
            todo.append((item, name))

    cdef bint same_dict(self, Py_ssize_t i) except -1:
        cdef dict table = <dict>self.dicts[i]  # or of a class derived from it
        cdef unsigned long long version = PN_DICT_VERSION(table)
        if version and version == self.versions[i]:
            return True
        if not self.same_items(i):
            return False
        self.versions[i] = version
        return True

    cdef bint same_items(self, Py_ssize_t i) except -1:
        cdef dict table = <dict>self.dicts[i]  # or of a class derived from it
        cdef list keys = self.dict_keys[i], values = self.dict_values[i]
        cdef Py_ssize_t at = 0, k = 0
        cdef PyObject *key
        cdef PyObject *now
        cdef bint in_order = PyDict_Size(table) == len(keys)
        while in_order and PyDict_Next(table, &at, &key, &now):
            if key != <PyObject *>keys[k]:
                in_order = False
            elif now != <PyObject *>values[k] and values[k] is not SKIPPED:
                if not same(values[k], <object>now):
                    self.changed = f"{self.dict_paths[i]}.{keys[k]}"
                    return False
                values[k] = <object>now
            k += 1
        return in_order or self.same_entries(i)

    cdef bint same_entries(self, Py_ssize_t i) except -1:
        # Other keys, or another order of them: attributes that are looked over may have come or gone.
        cdef dict table = <dict>self.dicts[i]  # or of a class derived from it
        skips = self.dict_skips[i] or ()
        then = {k: v for k, v in zip(self.dict_keys[i], self.dict_values[i]) if v is not SKIPPED}
        now = {k: v for k, v in table.items() if k not in skips}
        for key in (*then, *now):
            if key not in then or key not in now or not same(then[key], now[key]):
                self.changed = f"{self.dict_paths[i]}.{key}"
                return False
        self.dict_keys[i] = list(table)
        self.dict_values[i] = [SKIPPED if k in skips else v for k, v in table.items()]
        return True

    cdef bint same_list(self, Py_ssize_t i) except -1:
        cdef list now = <list>self.lists[i], then = self.list_values[i]
        cdef Py_ssize_t k
        if len(now) == len(then):
            for k in range(len(then)):
                if now[k] is not then[k]:
                    if not same(then[k], now[k]):
                        break
                    then[k] = now[k]
            else:
                return True
        self.changed = self.list_paths[i]
        return False

    cpdef bint unchanged(self) except -1:
        """Tell whether all is as it was when the watch began."""
        cdef Py_ssize_t i
        cdef PyObject *now
        for i in range(len(self.entries)):
            now = PyDict_GetItem(<dict>self.entries[i], <object>self.entry_keys[i])
            if now != <PyObject *>self.entry_values[i]:
                if now == NULL or not same(self.entry_values[i], <object>now):
                    self.changed = self.entry_keys[i]
                    return False
                self.entry_values[i] = <object>now
        for i in range(len(self.tensors)):
            if self.tensors[i].buffer is not self.buffers[i] or self.tensors[i].requires_grad is not self.flags[i]:
                self.changed = self.tensors[i].name or "a weight's memory"
                return False
        for i in range(len(self.dicts)):
            if not self.same_dict(i):
                return False
        for i in range(len(self.lists)):
            if not self.same_list(i):
                return False
        for i in range(len(self.asked)):
            held = getattr(self.asked[i], self.asked_names[i], SKIPPED)
            if held is not self.asked_values[i] and not same(self.asked_values[i], held):
                self.changed = self.asked_names[i]
                return False
        for i in range(len(self.arrays)):
            if contents(self.arrays[i]) != self.array_values[i]:
                self.changed = self.array_paths[i]
                return False
        for i in range(len(self.others)):
            if len(self.others[i]) != len(self.other_values[i]) or (
                len(self.others[i]) and self.others[i] != self.other_values[i]
            ):
                self.changed = self.other_paths[i]
                return False
        return True

    def settled(self):
        """Tell whether what was just recorded changed nothing that it may read; notes that it made do not count.

        Notes are what was appended to lists, or added to dicts and sets.
        """
        cdef Py_ssize_t i
        for i in range(len(self.dicts)):
            self.versions[i] = 0
        for i, name in self.renewed:
            if name in self.dict_keys[i]:
                self.dict_values[i][self.dict_keys[i].index(name)] = self.dicts[i].get(name)
        for i in range(len(self.lists)):
            if len(self.lists[i]) > len(self.list_values[i]):
                self.list_values[i] += self.lists[i][len(self.list_values[i]):]
        for i in range(len(self.dicts)):
            if self.dict_skips[i] is None and len(self.dicts[i]) > len(self.dict_keys[i]):
                then = dict(zip(self.dict_keys[i], self.dict_values[i]))
                self.dict_keys[i] = list(self.dicts[i])
                self.dict_values[i] = [then.get(key, value) for key, value in self.dicts[i].items()]
        for i in range(len(self.others)):
            if isinstance(self.others[i], set) and self.other_values[i] <= self.others[i]:
                self.other_values[i] = set(self.others[i])
        return self.unchanged()
