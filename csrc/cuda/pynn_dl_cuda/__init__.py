"""pynn's programs on an NVIDIA GPU: what ``pynn.set_device("cuda")`` uses.

The module ``built`` and the file ``kernels.fatbin`` are made by csrc/cuda/build.py, of the sources of one version.
"""

from __future__ import annotations

from pynn_dl_cuda import built
from pynn_dl_cuda.built import VERSION
from pynn_dl_cuda.driver import device, loaded
from pynn_dl_cuda.programs import DeviceRecording

__all__ = ["VERSION", "described", "start", "stop"]


def start() -> type[DeviceRecording]:
    """Make a GPU ready; returns the class of recordings that run there."""
    loaded(built)
    return DeviceRecording


def stop() -> None:
    """Give back all memory of the GPU."""
    device().forget()


def described() -> str:
    """Return GPU, memory and driver in a line; raise what start() would."""
    return str(loaded(built))
