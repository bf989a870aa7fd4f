# What other compiled parts need of a watch: to look, without Python in between.
cimport cython


@cython.final
cdef class Watch:
    cdef readonly str changed
    cdef list dicts, dict_keys, dict_values, dict_skips, dict_paths
    cdef list lists, list_values, list_paths
    cdef list arrays, array_values, array_paths
    cdef list others, other_values, other_paths  # sets and the like, compared as a whole
    cdef list entries, entry_keys, entry_values  # single entries of dicts
    cdef list asked, asked_names, asked_values  # attributes that are no entries of a dict
    cdef list tensors, buffers, flags
    cdef unsigned long long *versions  # of the dicts, when they were last found the same
    cdef readonly list generators  # (path, generator) that were met
    cdef readonly bint foreign  # whether code was met that is not pynn's
    cdef list renewed  # (number of a dict, key) that a recorded pass may replace
    cdef enter(self, object value, str path, list todo, dict seen)
    cdef note(self, dict table, object skips, str path, list todo)
    cdef attributes(self, object value, str path, list todo, dict seen)
    cdef members(self, object cls, str path, list todo)
    cdef ask(self, object owner, str name, str path, list todo)
    cdef function(self, object function, str path, list todo)
    cdef bint same_items(self, Py_ssize_t i) except -1
    cdef bint same_dict(self, Py_ssize_t i) except -1
    cdef bint same_entries(self, Py_ssize_t i) except -1
    cdef bint same_list(self, Py_ssize_t i) except -1
    cpdef bint unchanged(self) except -1
