"""Compiled ``with`` blocks: they are entered and left in one step of Python, so that Ctrl-C never finds one half open.

What is written in Python, contextlib included, can be stopped between any two calls: after a lock was taken and before
the ``try`` that releases it, or in the first line of leaving.
"""

import functools
import os


cdef class Leaving:
    """Make calls when a ``with`` block ends, all of them, whatever one of them raises.

    Parameters
    ----------
    calls : tuple (function, *arguments)
        Of functions that are compiled themselves: ``object.__setattr__``, ``os.unlink``, ``operator.setitem``.
    failed : bool, default False
        Only if the block ends with an error.
    ignore : exception class, optional
        What a call may raise and nobody hears of.
    """

    cdef tuple calls
    cdef bint failed
    cdef object ignore

    def __init__(self, *calls, bint failed=False, ignore=()):
        self.calls, self.failed, self.ignore = calls, failed, ignore

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if self.failed and kind is None:
            return
        first = None
        for call in self.calls:
            try:
                call[0](*call[1:])
            except self.ignore:
                pass
            except BaseException as found:
                first = found if first is None else first
        if first is not None:
            raise first


cdef class Opened:
    """Open a file or folder by number, for a ``with`` block, which is given that number."""

    cdef object path
    cdef int flags, descriptor

    def __init__(self, path, int flags):
        self.path, self.flags, self.descriptor = path, flags, -1

    def __enter__(self):
        self.descriptor = os.open(self.path, self.flags)
        return self.descriptor

    def __exit__(self, kind, error, traceback):
        os.close(self.descriptor)


cdef class _Context:
    cdef object generator

    def __init__(self, generator):
        self.generator = generator

    def __enter__(self):
        for given in self.generator:
            return given
        raise RuntimeError("the generator of a with block did not yield")

    def __exit__(self, kind, error, traceback):
        if kind is None:
            for _ in self.generator:
                raise RuntimeError("the generator of a with block yielded twice")
            return False
        try:
            self.generator.throw(kind() if error is None else error)
        except StopIteration as stopped:
            return stopped is not error
        except BaseException as raised:
            if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                error.__traceback__ = traceback
                return False
            raise
        raise RuntimeError("the generator of a with block yielded twice")


def context(function):
    """Make a function with one yield a ``with`` block, as contextlib.contextmanager does.

    What it holds while it yields must begin and end in one call of what is compiled, as a ``with`` statement of a lock,
    of :class:`Leaving` or of a file does.
    """

    @functools.wraps(function)
    def made(*args, **kwargs):
        return _Context(function(*args, **kwargs))

    return made
