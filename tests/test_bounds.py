"""No kernel reads or writes beside its operands: each lies between pages that nobody may touch."""

import ctypes
import faulthandler
import mmap
import os
import signal
import sys
import traceback
from types import SimpleNamespace

import numpy as np
import pytest

from pynn import testing
from pynn.core import _core
from pynn.core import tensor as tensors

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pages are protected as Linux does it")

PAGE, NOTHING = mmap.PAGESIZE, 0


def fenced(nbytes: int, at_end: bool) -> np.ndarray:
    """Return bytes that begin or end where a page begins that the process may not touch."""
    size = -(-nbytes // PAGE) * PAGE
    room = mmap.mmap(-1, size + 2 * PAGE)
    place = ctypes.addressof(ctypes.c_char.from_buffer(room))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    for page in (place, place + PAGE + size):
        assert protect(page, PAGE, NOTHING) == 0, os.strerror(ctypes.get_errno())
    start = PAGE + (size - nbytes if at_end else 0)
    return np.frombuffer(room, np.uint8, nbytes, start)


def results(card, at_end=None):
    """Return what a card gives on its samples, forwards and backwards; with fenced operands if `at_end` is given."""
    with pytest.MonkeyPatch.context() as patch:
        if at_end is not None:
            buffer = SimpleNamespace(
                new=lambda nbytes, kind=0: _core.Buffer.of(fenced(nbytes, at_end)), of=_core.Buffer.of
            )
            patch.setattr(tensors, "_core", SimpleNamespace(**vars(_core) | {"Buffer": buffer}))
        return [testing._Case(card, sample, testing.F32).arrays() for sample in testing.samples(card)]


def ended(work) -> int:
    """Run something in a process of its own; return how that ended."""
    child = os.fork()
    if not child:
        code = 1
        faulthandler.disable()  # a fault is what some wait for
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("at_end", [True, False], ids=["end", "begin"])
def test_a_fence_stops_what_goes_beyond(at_end):
    """The check itself: one byte further, and the process ends."""

    def beyond():
        within = fenced(40, at_end)
        within[:] = 1
        ctypes.string_at(within.ctypes.data + (40 if at_end else -1), 1)

    assert ended(beyond) == -signal.SIGSEGV
    assert ended(lambda: fenced(40, at_end).sum()) == 0


@pytest.mark.filterwarnings("ignore")  # a process that has threads is forked
@pytest.mark.parametrize("name", sorted(testing.all_ops()))
def test_kernels_stay_within_their_operands(name):
    card = testing.all_ops()[name]

    def compare():
        expected = results(card)
        for at_end in (True, False):
            for one, other in zip(results(card, at_end), expected, strict=True):
                testing._assert_same_bits(one, other, f"{name}, fenced")

    code = ended(compare)
    assert code == 0, f"{name}: {signal.Signals(-code).name if code < 0 else 'other values'}"
