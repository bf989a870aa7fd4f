"""Threads, instruction set, precision and debugging: what holds for the whole process."""

from __future__ import annotations

import itertools
import os
import platform
import re
from collections.abc import Iterator

from pynn._blocks import Leaving, context
from pynn._version import __version__
from pynn.checks import is_integer, written
from pynn.core import _core
from pynn.errors import refuse, unknown_name

__all__ = [
    "convolution", "debug", "get_convolution", "get_device", "get_num_threads", "get_precision", "info", "isa",
    "matrix_unit", "note_device", "set_convolution", "set_debug", "set_num_threads", "set_precision", "target",
    "use_isa", "use_matrix_unit", "version",
]  # fmt: skip

TARGETS = tuple(_core.targets())  # tables of kernels: the instruction sets, then the matrix units
ISA_NAMES = TARGETS[: _core.ISA_COUNT]
MOST_THREADS = 1024  # each has a stack of its own
PRECISIONS = {"highest": 0, "high": 2, "medium": 1}  # planes of bfloat16; 0 is float32
CONVOLUTIONS = {"auto": 2, "direct": 0, "winograd": 1}  # pn_conv.winograd of csrc/conv_plan.h
# By precision, the units worth using: three products on AVX-512's dot products would be slower than float32.
WORTHWHILE = {"highest": (), "high": ("amx",), "medium": ("amx", "avx512_bf16")}

_numbers = itertools.count(1)
_changes = 0  # another number after every change: what was recorded holds for one
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
    """Return min(affinity, quota, physical cores: those for heavy work), or PYNN_NUM_THREADS."""
    asked = os.environ.get("PYNN_NUM_THREADS", "")
    if asked:
        if not re.fullmatch(r"[0-9]{1,4}", asked) or not 1 <= int(asked) <= MOST_THREADS:
            most = f" help: at most {MOST_THREADS}." if asked.isdigit() else ""
            raise ValueError(f"PYNN_NUM_THREADS must be a positive integer. Received: {asked[:40]!r}.{most}")
        return int(asked)
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    siblings = {_first_line(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or cpu for cpu in cpus}
    cores = min(len(siblings), _core.performance_cores() or len(siblings))
    return max(1, min(cores, _cgroup_quota(), _openmp_limit()))


def _openmp_limit() -> int:
    """Return OMP_NUM_THREADS where there is no OpenMP that obeys it, or a large number."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if not _core.has_openmp() and re.fullmatch(r"[0-9]{1,4}", first) and int(first) else 1 << 20


def _chosen_isa() -> int:
    asked = os.environ.get("PYNN_ISA", "")
    if not asked:
        return int(_core.isa_best())
    return _isa_named(asked, "PYNN_ISA: ")


def _isa_named(name: str, where: str) -> int:
    if name not in ISA_NAMES:
        raise ValueError(where + unknown_name("instruction set", name, ISA_NAMES))
    available = _core.isa_available()
    if name not in available:
        help_line = f"help: available are {', '.join(available)}."
        raise ValueError(
            f"{where}expected an instruction set that this machine and this build have. Received: {name!r}. {help_line}"
        )
    return ISA_NAMES.index(name)


def _chosen(variable: str, kind: str, names: dict[str, int], default: str) -> str:
    asked = os.environ.get(variable, "") or default
    if asked not in names:
        raise ValueError(f"{variable}: " + unknown_name(kind, asked, names))
    return asked


try:
    _core.threads_init(_default_threads(), bool(os.environ.get("PYNN_NUM_THREADS")))
    _isa = _chosen_isa()
    _precision = _chosen("PYNN_PRECISION", "precision", PRECISIONS, "highest")
    _convolution = _chosen("PYNN_CONVOLUTION", "algorithm", CONVOLUTIONS, "auto")
except ValueError as error:
    refuse(error)
    raise
_core.set_guards(_debug)
_forced_unit: str | None = None
_device = "cpu"
_target = _isa  # the matrix unit in use, or the instruction set


def version() -> int:
    """Return a number that changes whenever a setting changes that recorded programs depend on."""
    return _changes


def isa() -> int:
    """Return the index of the instruction set in use, in ISA_NAMES."""
    return _isa


def target() -> int:
    """Return the index of the table of kernels in use, in TARGETS: the instruction set's, or a matrix unit's."""
    return _target


@context
def use_isa(name: str) -> Iterator[None]:
    """Use another instruction set inside a ``with`` block.

    Examples
    --------
    >>> import pynn
    >>> with pynn.config.use_isa("generic"):
    ...     y = pynn.tensor([1.0, 2.0]).exp()
    """
    global _isa
    index = _isa_named(name, "[use_isa] ")
    with _kept():
        _isa = index
        _choose_unit()
        yield


def _kept() -> Leaving:
    """Give the choice of kernels back at the end of a ``with`` block, and have everything recorded anew."""
    here = globals()
    before = {"_isa": _isa, "_target": _target, "_forced_unit": _forced_unit, "_changes": next(_numbers)}
    return Leaving((here.update, before), (_core.set_planes, _planes()))


def _choose_unit() -> None:
    """Find the unit for the precision, and have everything recorded anew."""
    global _target, _changes
    unit = matrix_unit()
    _target = TARGETS.index(unit) if unit else _isa
    _core.set_planes(_planes())
    _changes = next(_numbers)


def _planes() -> int:
    return PRECISIONS[_precision] if matrix_unit() else 0


def matrix_unit() -> str | None:
    """Return what multiplies bfloat16 at the precision in use: "amx", "avx512_bf16", or None for float32.

    Examples
    --------
    >>> import pynn
    >>> pynn.config.matrix_unit() is None  # float32 is the default
    True
    """
    if _precision == "highest" or ISA_NAMES[_isa] != "avx512" or _device != "cpu":
        return None
    if _forced_unit is not None:
        return _forced_unit
    available = _core.units_available()
    found = next((unit for unit in WORTHWHILE[_precision] if unit in available), None)
    return found if found != "avx512_bf16" or _core.dots_quick() else None


def set_precision(precision: str) -> None:
    r"""Set how matrix products, convolutions and recurrent layers take their float32 operands.

    ``"highest"``, the default, is float32. ``"medium"`` rounds each operand to bfloat16, 8 bits of mantissa, and
    ``"high"`` splits it into two, :math:`x = x_1 + x_2`, and adds up three products,
    :math:`x_1 y_1 + x_1 y_2 + x_2 y_1`, with a relative error of about 4e-6. Sums, weights, and the optimizer's state
    stay float32. float64 is not affected.

    Both need a processor whose matrix unit makes them faster: AMX, or for "medium" the bfloat16 products of AVX-512.
    Elsewhere they are float32 too; :func:`matrix_unit` tells. The environment variable ``PYNN_PRECISION`` sets the
    precision at import. Results are the same bits for any number of threads, but differ between units.

    Parameters
    ----------
    precision : {"highest", "high", "medium"}

    Raises
    ------
    ValueError
        If the precision is unknown; nothing has changed then.

    References
    ----------
    Henry, Tang, Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
    computations", ARITH 2019.

    Examples
    --------
    >>> import pynn
    >>> pynn.set_precision("medium")
    >>> pynn.get_precision()
    'medium'
    >>> pynn.set_precision("highest")
    """
    global _precision
    if precision not in PRECISIONS:
        raise ValueError("[set_precision] " + unknown_name("precision", precision, PRECISIONS))
    _precision = precision
    _choose_unit()


def get_precision() -> str:
    """Return the precision that was set: "highest", "high" or "medium"."""
    return _precision


def set_convolution(algorithm: str) -> None:
    """Set the algorithm of all convolutions that leave it open, those with ``algorithm="auto"``.

    "direct" sums the products of the definition. "winograd" is Winograd's minimal filtering F(4x4, 3x3), 4 times fewer
    products, wherever that is faster. "auto", the default, is "winograd" where its error is also at most 4 times that
    of "direct" (Frobenius norms, against float64): everywhere forwards and for the images' gradients, and for the
    weights' gradients from 512 tiles of 4 x 4 outputs on (2048 with images of at most 4 tiles), of all segments where
    a batch is computed in segments. The environment variable ``PYNN_CONVOLUTION`` sets the algorithm at import.

    Parameters
    ----------
    algorithm : {"auto", "direct", "winograd"}

    Raises
    ------
    ValueError
        If the algorithm is unknown; nothing has changed then.

    References
    ----------
    A. Lavin and S. Gray, Fast algorithms for convolutional neural networks, CVPR 2016.

    Examples
    --------
    >>> import pynn
    >>> pynn.config.set_convolution("direct")
    >>> pynn.config.get_convolution()
    'direct'
    >>> pynn.config.set_convolution("auto")
    """
    global _convolution, _changes
    if algorithm not in CONVOLUTIONS:
        raise ValueError("[set_convolution] " + unknown_name("algorithm", algorithm, CONVOLUTIONS))
    _convolution = algorithm
    _changes = next(_numbers)


def convolution() -> str:
    """Return the algorithm of convolutions that leave it open: devices have the direct one alone."""
    return "direct" if _convolution == "auto" and _device != "cpu" else _convolution


def get_device() -> str:
    """Return where recorded programs run: "cpu" or "cuda"; see :func:`pynn.set_device`."""
    return _device


def note_device(name: str) -> None:
    """Take note of another device, and have everything recorded anew; for :func:`pynn.set_device`."""
    global _device
    _device = name
    _choose_unit()


def get_convolution() -> str:
    """Return the algorithm of convolutions that was set: "auto", "direct" or "winograd"."""
    return _convolution


@context
def use_matrix_unit(name: str) -> Iterator[None]:
    """Use one matrix unit inside a ``with`` block, for "high" and "medium", even where it is not worthwhile.

    Parameters
    ----------
    name : {"amx", "avx512_bf16", "amx_emulated"}
        The last is AMX in plain C: slow, to see its numbers on another machine with AVX-512 and bfloat16.

    Raises
    ------
    ValueError
        If this machine lacks it.
    """
    global _forced_unit
    if name not in _core.units_available():
        raise ValueError("[use_matrix_unit] " + unknown_name("matrix unit", name, _core.units_available()))
    with _kept():
        _forced_unit = name
        _choose_unit()
        yield


def set_num_threads(n: int | None) -> None:
    """Set the number of threads that kernels may use; None returns to the default.

    The default is the smallest of the process's CPU affinity, the container's CPU quota and the physical cores, or
    ``PYNN_NUM_THREADS``. Results are the same bits for any number of threads.

    Raises
    ------
    ValueError
        If n is not a positive integer, or above 1024.
    """
    global _changes
    if n is not None and not is_integer(n, 1, MOST_THREADS):
        raise ValueError(
            f"[set_num_threads] expected a positive integer up to {MOST_THREADS}, or None. Received: {written(n)}."
        )
    _core.set_threads(0 if n is None else int(n))
    _changes = next(_numbers)


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
    _changes = next(_numbers)


def info() -> dict[str, object]:
    """Return versions, instruction sets, threads and BLAS, as ``pynn info`` prints them."""
    return {
        "version": __version__,
        "python": platform.python_version(),
        "isa": ISA_NAMES[_isa],
        "isa_available": list(_core.isa_available()),
        "device": _device,
        "precision": _precision,
        "convolution": _convolution,
        "matrix_unit": matrix_unit(),
        "matrix_units_available": list(_core.units_available()),
        "threads": get_num_threads(),
        "openmp": _core.has_openmp(),
        "blas": "scipy.linalg.cython_blas" + ("" if _core.blas_ready() else " (loaded on first use)"),
    }


if _precision != "highest":
    _choose_unit()
