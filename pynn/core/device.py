"""Which device runs recorded programs."""

from __future__ import annotations

from typing import Any

from pynn._version import __version__
from pynn.core import config, program
from pynn.errors import DeviceError, unknown_name

__all__ = ["described", "set_device"]

DEVICES = ("cpu", "cuda")
HELP = "help: pynn goes on with the CPU."


def set_device(name: str) -> None:
    """Choose where recorded programs run: the steps of ``fit`` and ``train_on_batch``, and forward passes.

    ``"cuda"`` is the first NVIDIA GPU that the driver shows; it needs the driver and the package ``pynn-dl-cuda``.
    Parameters and data are NumPy's and pynn's as before: what a program needs is copied to the device, and what it
    wrote is copied back before the call returns. Ops that are called one by one, and the first step of each kind, from
    which the others are recorded, run on the CPU, with the same bits. Products at the precisions "high" and "medium"
    are made on tensor cores, where the GPU has them; convolutions with ``algorithm="auto"`` are direct ones.

    Parameters
    ----------
    name : {"cpu", "cuda"}

    Raises
    ------
    ValueError
        If there is no device of the name.
    pynn.errors.DeviceError
        If there is no GPU, no driver or an old one, or no code for it. Nothing has changed then.

    Examples
    --------
    >>> import pynn
    >>> pynn.set_device("cpu")
    >>> pynn.get_device()
    'cpu'
    """
    if name not in DEVICES:
        raise ValueError("[set_device] " + unknown_name("device", name, DEVICES))
    if name == config.get_device():
        return
    if name == "cuda":
        program.set_kind(_package().start())
    else:
        program.set_kind()
        _package().stop()
    config.note_device(name)


def _package() -> Any:
    """Return the package of a GPU's programs (csrc/cuda), which knows instructions as this version lays them out."""
    try:
        import pynn_dl_cuda
    except ImportError as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == "pynn_dl_cuda"
        received = "none" if absent else f"one that does not load: {error}"
        raise DeviceError(f"[set_device] expected the package pynn-dl-cuda. Received: {received}. {HELP}") from None
    if __version__ != pynn_dl_cuda.VERSION:
        raise DeviceError(
            f"[set_device] expected pynn-dl-cuda {__version__}, as pynn is. Received: {pynn_dl_cuda.VERSION}. {HELP}"
        )
    return pynn_dl_cuda


def described() -> str:
    """Return in a line which GPU there is, its memory and its driver, or why set_device would refuse it."""
    try:
        return str(_package().described())
    except DeviceError as error:
        return "none: " + str(error).partition("] ")[2].partition(" help:")[0]
