"""The locks of one model: one thread trains it at a time, and no step is inside a step.

Compiled, since Ctrl-C arrives between two steps of Python code: a lock that was taken in Python, and not yet in a
``try``, would be held for good.
"""

import threading
import time


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
