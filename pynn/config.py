"""Threads, instruction set and debugging: what holds for the whole process."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator

from pynn import _core
from pynn._version import __version__
from pynn.errors import unknown_name

__all__ = ["debug", "get_num_threads", "info", "isa", "set_debug", "set_num_threads", "use_isa", "version"]

ISA_NAMES = ("generic", "avx2", "avx512")

_changes = 0
_debug = os.environ.get("PYNN_DEBUG", "") not in ("", "0")


def _first_line(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.readline().strip()
    except OSError:
        return ""


def _cgroup_quota() -> int:
    """Return the whole processors that the container's quota allows (at least 1), or a large number."""
    quota, _, period = _first_line("/sys/fs/cgroup/cpu.max").partition(" ")
    if not period:
        quota = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = _first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period):
        return max(1, int(quota) // int(period))
    return 1 << 20


def _default_threads() -> int:
    """Return min(affinity, quota, physical cores), or PYNN_NUM_THREADS."""
    asked = os.environ.get("PYNN_NUM_THREADS", "")
    if asked:
        if not asked.isdigit() or int(asked) < 1:
            raise ValueError(f"PYNN_NUM_THREADS must be a positive integer. Received: {asked!r}.")
        return int(asked)
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = {_first_line(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or cpu for cpu in cpus}
    return max(1, min(len(siblings), _cgroup_quota()))


def _chosen_isa() -> int:
    asked = os.environ.get("PYNN_ISA", "")
    if not asked:
        return int(_core.isa_best())
    if asked not in ISA_NAMES:
        raise ValueError("PYNN_ISA: " + unknown_name("instruction set", asked, ISA_NAMES))
    if asked not in _core.isa_available():
        raise ValueError(
            f"PYNN_ISA={asked} is not available on this machine. "
            f"help: available are {', '.join(_core.isa_available())}."
        )
    return ISA_NAMES.index(asked)


_core.threads_init(_default_threads(), bool(os.environ.get("PYNN_NUM_THREADS")))
_core.set_guards(_debug)
_isa = _chosen_isa()


def version() -> int:
    """Return a number that changes whenever a setting changes that recorded programs depend on."""
    return _changes


def isa() -> int:
    """Return the index in ISA_NAMES of the instruction set in use."""
    return _isa


@contextlib.contextmanager
def use_isa(name: str) -> Iterator[None]:
    """Use another instruction set inside a ``with`` block.

    Examples
    --------
    >>> import pynn
    >>> with pynn.config.use_isa("generic"):
    ...     y = pynn.tensor([1.0, 2.0]).exp()
    """
    global _isa, _changes
    if name not in _core.isa_available():
        raise ValueError(unknown_name("instruction set", name, _core.isa_available()))
    before, _isa = _isa, ISA_NAMES.index(name)
    _changes += 1
    try:
        yield
    finally:
        _isa = before
        _changes += 1


def set_num_threads(n: int | None) -> None:
    """Set the number of threads that kernels may use; None returns to the default.

    The default is the smallest of the process's CPU affinity, the container's CPU quota and the physical cores, or
    ``PYNN_NUM_THREADS``. Results are the same bits for any number of threads.

    Raises
    ------
    ValueError
        If n is not a positive integer.
    """
    global _changes
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise ValueError(f"[set_num_threads] expected a positive integer or None. Received: {n!r}.")
    _core.set_threads(n or 0)
    _changes += 1


def get_num_threads() -> int:
    """Return the number of threads that a kernel may use now."""
    return int(_core.get_threads())


def debug() -> bool:
    """Tell whether every instruction is followed by a check of guard bytes and of NaN."""
    return _debug


def set_debug(on: bool) -> None:
    """Switch debugging (also ``PYNN_DEBUG=1``): guard bytes round buffers, a NaN scan after each instruction."""
    global _debug, _changes
    _debug = bool(on)
    _core.set_guards(_debug)
    _changes += 1


def info() -> dict[str, object]:
    """Return versions, instruction sets, threads and BLAS, as ``pynn info`` prints them."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "isa": ISA_NAMES[_isa],
        "isa_available": list(_core.isa_available()),
        "threads": get_num_threads(),
        "openmp": _core.has_openmp(),
        "blas": "scipy.linalg.cython_blas" + ("" if _core.blas_ready() else " (loaded on first use)"),
    }
