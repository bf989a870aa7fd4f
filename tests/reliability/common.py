"""What the programs of this folder share: limits, processes of their own, and what a call must leave as it was.

A program finds this file beside itself: ``sys.path.insert(0, os.path.dirname(__file__))``, as ``python -P`` does not.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import pynn
from pynn.core.state import state

# Under a sanitizer there is no limit of addresses: its shadows take them all.
SANITIZED = any(name.endswith("SAN_OPTIONS") for name in os.environ)
MEMORY, SECONDS = 2 << 30, 60 if SANITIZED else 10

# The errors that a user of the library may have to catch. Subclasses are among them where they are pynn's, NumPy's or
# scikit-learn's, or say more of the same; but not OverflowError and the like, which tell of a check that is missing.
KINDS = (
    ValueError,
    TypeError,
    IndexError,
    RuntimeError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
    RecursionError,
)


def documented(error: BaseException) -> bool:
    """Tell whether an error is of a kind that docs/guide/reliability.md lists, and says something."""
    kind = type(error)
    foreign = kind.__module__.partition(".")[0] in ("pynn", "numpy", "sklearn", "safetensors")
    known = kind in KINDS or isinstance(error, (OSError, MemoryError, ImportError, UnicodeError))
    return (known or foreign) and bool(str(error).strip() or isinstance(error, MemoryError))


def settings() -> dict[str, Any]:
    """Return all that holds for this thread and this process; a call that is no setter leaves it as it was."""
    kept = ("recorder", "grad_enabled", "training", "carries", "module", "scope", "tape", "trial", "observer")
    return {
        **{name: getattr(state, name) for name in kept},
        "threads": pynn.get_num_threads(), "precision": pynn.get_precision(), "isa": pynn.config.isa(),
        "target": pynn.config.target(), "debug": pynn.config.debug(), "errstate": np.geterr(),
        "filters": list(warnings.filters), "directory": os.getcwd(), "handler": signal.getsignal(signal.SIGINT),
        "numpy": np.random.get_state()[1].tobytes(),  # type: ignore[index, union-attr]
    }  # fmt: skip


def changed(before: dict[str, Any]) -> list[str]:
    """Return the names of the settings that are not as they were."""
    now = settings()
    return [name for name, value in before.items() if now[name] is not value and now[name] != value]


def addresses() -> int:
    """Return the bytes of addresses that this process has taken."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def allow(memory: int) -> None:
    """Allow this process so many more bytes of addresses than it has now, for good."""
    if not SANITIZED:
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (addresses() + memory, most))


@contextlib.contextmanager
def limits(seconds: int = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Allow so much more memory and time inside a ``with`` block; beyond is a MemoryError or a TimeoutError.

    Time is that of the processor for what works, and of the clock for what waits.
    """
    begun = seen = time.process_time()

    def late(number: int, frame: Any) -> None:
        nonlocal seen
        now = time.process_time()
        if not seen < now < begun + seconds:
            raise TimeoutError(f"more than {seconds} seconds")
        seen = now
        signal.alarm(seconds)

    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, late)
    allow(memory)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


class Outcome(NamedTuple):
    """What became of a process: its lines, and how it ended ("" is well)."""

    lines: list[Any]
    ended: str
    errors: str  # the end of what it wrote to stderr


def apart(work: Callable[[Callable[[Any], None]], None], seconds: float = 60, memory: int = MEMORY) -> Outcome:
    """Run work(tell) in a process of its own, forked from this one, which must have started no thread.

    Parameters
    ----------
    work : callable
        Gets a function that sends a line of JSON to this process.
    seconds : float, default 60
        The longest time between two lines: of the processor for one that works, of the clock for one that waits. A
        process that is silent for longer is killed, its stacks shown first.
    memory : int, default 2 GiB
        Addresses beyond those that it has at its start.
    """
    reading, writing = os.pipe()
    noise = os.memfd_create("stderr")
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork, where there are threads: they are idle
        child = os.fork()
    if child == 0:
        _child(work, writing, noise, memory)
    os.close(writing)
    lines, ended = _collect(reading, child, seconds)
    os.close(reading)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not ended and status:
        ended = f"exit {status}" if status > 0 else signal.Signals(-status).name
    said = os.pread(noise, 20_000, max(0, os.fstat(noise).st_size - 20_000)).decode(errors="replace")
    os.close(noise)
    return Outcome(lines, ended, said.partition("\nExtension modules:")[0])


def _child(work: Callable[[Callable[[Any], None]], None], writing: int, noise: int, memory: int) -> None:
    """Do the work and end the process."""
    status = 1
    try:
        os.dup2(noise, 2)
        os.dup2(noise, 1)
        sys.stdout, sys.stderr = (open(fd, "w", closefd=False) for fd in (1, 2))  # noqa: SIM115
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        allow(memory)
        work(lambda line: _send(writing, line))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _send(writing: int, line: Any) -> None:
    data = json.dumps(line).encode() + b"\n"
    while data:
        data = data[os.write(writing, data) :]


def _worked(child: int) -> float:
    """Return the seconds of the processor that a process has had, with all its threads and ended children."""
    try:
        with open(f"/proc/{child}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return sum(int(n) for n in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _collect(reading: int, child: int, seconds: float) -> tuple[list[Any], str]:
    """Return the lines of a process, and "no end ..." if it was silent for too long and had to be killed."""
    data, ended = b"", ""
    begun = seen = _worked(child)
    while True:
        if not select.select([reading], [], [], seconds)[0]:
            now = _worked(child)
            if now > seen and now - begun < seconds:  # it works, on a machine that has little time for it
                seen = now
                continue
            ended = f"no end within {seconds:g} seconds"
            os.kill(child, signal.SIGUSR1)  # faulthandler shows where it is
            time.sleep(0.5)
            os.kill(child, signal.SIGKILL)
            break
        got = os.read(reading, 1 << 16)
        if not got:
            break
        data += got
        begun = seen = _worked(child)
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], ended
