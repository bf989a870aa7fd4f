# cython: binding=True
"""Compiled ``with`` blocks: they are entered and left in one step of Python, so that Ctrl-C never finds one half open.

What is written in Python, contextlib included, can be stopped between any two calls: after a lock was taken and before
the ``try`` that releases it, or in the first line of leaving.
"""

import functools
import os
import signal
import threading
import time
from _signal import default_int_handler, getsignal
from _signal import signal as set_handler  # that of the module signal is written in Python, and can be stopped

cdef int SIGINT = signal.SIGINT


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


cdef class Interrupts:
    """A ``with`` block in which Ctrl-C is noted and raised at the next :meth:`check`; a second one is raised at once.

    Only the main thread receives signals, and a handler that the program has set itself is left alone.
    """

    cdef readonly bint noted
    cdef bint mine

    def __enter__(self):
        if getsignal(SIGINT) is default_int_handler:
            try:
                set_handler(SIGINT, self.note)
                self.mine = True
            except ValueError:  # another thread than the main one
                pass
        return self

    def __exit__(self, kind, error, traceback):
        interrupt = None
        while self.mine:
            try:
                set_handler(SIGINT, default_int_handler)
                self.mine = False
            except KeyboardInterrupt as found:  # one more came meanwhile
                interrupt = found
        if interrupt is not None:
            raise interrupt

    def note(self, number, frame):
        """Note Ctrl-C; raise KeyboardInterrupt if it is the second."""
        if self.noted:
            raise KeyboardInterrupt
        self.noted = True

    def check(self):
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.noted:
            raise KeyboardInterrupt


cdef class Turns:
    """Locks of one model. As a context manager it is one native call, or one eager step, of a training."""

    cdef object lock, step, owner  # owner: the thread that trains
    cdef int depth, waiting
    cdef bint stepping

    def __init__(self):
        self.lock = threading.Lock()
        self.step = threading.RLock()

    def training(self, place):
        """Be the one that trains, inside a ``with`` block; gives whether it is inside another training.

        Raises
        ------
        RuntimeError
            If another thread trains the model, or the call comes from the middle of a step.
        """
        return _Training(self, place)

    def still(self):
        """Hold up training between two updates, inside a ``with`` block: weights and slots belong together."""
        return _Still(self)

    @property
    def elsewhere(self):
        """Whether another thread trains."""
        return self.owner is not None and self.owner != threading.get_ident()

    def __enter__(self):
        while self.waiting and not self.stepping:  # a lock is not fair: who has just released it has it again
            time.sleep(0.0002)
        self.step.acquire()
        if self.stepping:
            self.step.release()
            raise RuntimeError(
                "[fit] expected no step of this model to be under way. Received: one inside another. "
                "help: do not train a model in its own forward(), loss or metric."
            )
        self.stepping = True

    def __exit__(self, kind, error, traceback):
        self.stepping = False
        self.step.release()


cdef class _Training:
    cdef Turns turns
    cdef object place

    def __init__(self, Turns turns, place):
        self.turns, self.place = turns, place

    def __enter__(self):
        me = threading.get_ident()
        taken = self.turns.lock.acquire(False)
        if not taken and self.turns.owner != me:
            raise RuntimeError(
                f"[{self.place}] expected a model that no other thread trains. Received: one that another thread is "
                "training. help: train one after the other, or a copy, saved and loaded."
            )
        if self.turns.stepping:
            if taken:
                self.turns.lock.release()
            raise RuntimeError(
                f"[{self.place}] expected a call between two steps. Received: one in the middle of a step, from a "
                "signal handler or from a model's forward(). help: let the handler set a flag, and train in a callback."
            )
        self.turns.owner = me
        self.turns.depth += 1
        return self.turns.depth > 1

    def __exit__(self, kind, error, traceback):
        self.turns.depth -= 1
        if not self.turns.depth:
            self.turns.owner = None
            self.turns.lock.release()


cdef class _Still:
    cdef Turns turns

    def __init__(self, Turns turns):
        self.turns = turns

    def __enter__(self):
        self.turns.waiting += 1
        try:
            self.turns.step.acquire()
        finally:
            self.turns.waiting -= 1

    def __exit__(self, kind, error, traceback):
        self.turns.step.release()
