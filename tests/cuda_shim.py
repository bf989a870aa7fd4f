"""The device kernels of csrc/cuda as a library for this machine, through csrc/cuda/shim.h."""

import ctypes
import os
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np

from pynn.core.tensor import DTYPE_INDEX

CSRC = Path(__file__).resolve().parents[1] / "csrc"
# Symbolic: glibc has a function `advance`, too.
FLAGS = ("-std=c++17", "-O1", "-fno-math-errno", "-ffp-contract=off", "-w", "-shared", "-fPIC", "-Wl,-Bsymbolic")
PACKAGE = CSRC / "cuda" / "pynn_dl_cuda"
Instr = runpy.run_path(os.fspath(PACKAGE / "driver.py"))["Instr"]
BUILT = 'VERSION, CUDA, ARCHITECTURES = {!r}, 13000, "sm_75 and newer"\n'
NOWHERE = -1  # the status of an instruction that has no device version


def compiler():
    """Return the command of the C++ compiler, or None."""
    command = shlex.split(os.environ.get("CXX", "c++"))
    return command if shutil.which(command[0]) else None


def build(source, made, *flags):
    """Compile a file that includes the kernels; returns the path of the library."""
    command = [*compiler(), *FLAGS, *flags, f"-I{CSRC}", f"-I{CSRC / 'cuda'}", os.fspath(source), "-o", os.fspath(made)]
    subprocess.run(command, check=True)
    return os.fspath(made)


def packaged(folder, version):
    """Make the package pynn_dl_cuda in a folder as it is built, but for its kernels; returns its path."""
    made = Path(folder, "pynn_dl_cuda")
    shutil.copytree(PACKAGE, made, ignore=shutil.ignore_patterns("__pycache__", "built.py", "*.fatbin"))
    (made / "built.py").write_text(BUILT.format(version))
    (made / "kernels.fatbin").write_bytes(b"fake kernels")
    return made


class Device:
    """The kernels, run with their threads in a given order."""

    def __init__(self, folder, source=None):
        self.library = ctypes.CDLL(build(source or CSRC / "cuda/shim_table.cpp", Path(folder, "cuda_shim.so")))
        self.library.pn_shim_kernel.restype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Instr))
        self.library.pn_shim_kernel.argtypes = (ctypes.c_char_p, ctypes.c_int)

    def has(self, kernel, dtype):
        """Tell whether the kernel has a device version for the dtype."""
        return bool(self.library.pn_shim_kernel(kernel.encode(), DTYPE_INDEX[np.dtype(dtype)]))

    def run(self, kernel, dtype, operands, dims, pars=(), scratch=0, salt=0, order=0):
        """Run a kernel on arrays, or None; returns its status."""
        room = np.full(scratch // 8 + 9, np.nan)
        instr = Instr(nth=4, salt=salt, scratch_bytes=scratch)
        instr.scratch = (room.ctypes.data + 63) // 64 * 64 if scratch else None
        for i, x in enumerate(operands):
            instr.arg[i] = None if x is None else x.ctypes.data
        instr.dim[: len(dims)] = dims
        instr.par[: len(pars)] = pars
        ctypes.c_int.in_dll(self.library, "pn_shim_order").value = order
        return self.library.pn_shim_kernel(kernel.encode(), DTYPE_INDEX[np.dtype(dtype)])(ctypes.byref(instr))
