"""Ctrl-C at safe places: between steps, never halfway through one or through the writing of the history.

Compiled, so that no Ctrl-C comes between the handler and what knows of it.
"""

import signal
from _signal import default_int_handler, getsignal
from _signal import signal as set_handler  # that of the module signal is written in Python, and can be stopped

cdef int SIGINT = signal.SIGINT


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
