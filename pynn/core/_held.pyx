"""Attributes that are other ones inside a ``with`` block, and come back whenever it ends.

Compiled, since Ctrl-C arrives between two steps of Python code: a generator or a class in Python could be entered and
never left, or be stopped at the first line of leaving.
"""

import functools


cdef class Held:
    """Set attributes of an object inside a ``with`` block, which is given `gives`; as a decorator, in every call."""

    cdef object target, gives
    cdef dict values
    cdef list before

    def __init__(self, target, gives=None, /, **values):
        self.target, self.gives = target, gives
        self.values = values
        self.before = []

    def __enter__(self):
        cdef dict kept = {}
        for name in self.values:
            kept[name] = getattr(self.target, name)
        self.before.append(kept)  # a block may stand inside one of the same object
        for name, value in self.values.items():
            setattr(self.target, name, value)
        return self.gives

    def __exit__(self, kind, error, traceback):
        for name, value in (<dict>self.before.pop()).items():
            setattr(self.target, name, value)

    def __call__(self, function):
        @functools.wraps(function)
        def held(*args, **kwargs):
            with Held(self.target, self.gives, **self.values):
                return function(*args, **kwargs)

        return held


cdef class Shared:
    """An attribute that is another one while any ``with`` block of this object is under way, in whatever thread.

    Attributes
    ----------
    before
        What it was; None if it was not there, and nothing is changed then.
    """

    cdef object target, name, value
    cdef readonly object before
    cdef Py_ssize_t blocks

    def __init__(self, target, name, value):
        self.target, self.name, self.value = target, name, value

    def __enter__(self):
        if not self.blocks:
            self.before = getattr(self.target, self.name, None)
            if self.before is not None:
                setattr(self.target, self.name, self.value)
        self.blocks += 1

    def __exit__(self, kind, error, traceback):
        self.blocks -= 1
        if not self.blocks and self.before is not None:
            setattr(self.target, self.name, self.before)
