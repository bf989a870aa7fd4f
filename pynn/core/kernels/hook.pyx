"""A Python function as an instruction: what a step waits for, such as the exchange with other processes."""

from libc.stdint cimport uintptr_t

from pynn.core._core cimport pn_instr

from pynn.core import _core

cdef enum:
    PN_HOOK_FAILED = 3

cdef enum:  # dims
    FUNCTION

cdef dict hooks = {}
cdef object failed = None
cdef object numbers = iter(range(1 << 62))


def add_hook(object function):
    """Keep a function; returns its number, by which an instruction calls it."""
    cdef object number = next(numbers)
    hooks[number] = function
    return number


def drop_hook(object number):
    """Let go of a function."""
    hooks.pop(number, None)


def hook_failure():
    """Return, once, the exception that a function ended with."""
    global failed
    error, failed = failed, None
    return error


cdef int call_hook(const pn_instr *I) noexcept with gil:
    """hooks[dim]()   dim: the number of the function. MUTATES what the function writes to."""
    global failed
    try:
        hooks[I.dim[FUNCTION]]()
    except BaseException as error:
        failed = error
        return PN_HOOK_FAILED
    return 0


_core.register_kernel("call_hook", -1, <uintptr_t><void *>call_hook)
