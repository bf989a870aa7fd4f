"""The device kernels of csrc/cuda as a library for this machine, through csrc/cuda/shim.h."""

import ctypes
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np

from pynn.core.tensor import DTYPE_INDEX

CSRC = Path(__file__).resolve().parents[1] / "csrc"
FLAGS = ("-std=c++17", "-O1", "-fno-math-errno", "-ffp-contract=off", "-w", "-shared", "-fPIC")
NOWHERE = -1  # the status of an instruction that has no device version


def compiler():
    """Return the command of the C++ compiler, or None."""
    command = shlex.split(os.environ.get("CXX", "c++"))
    return command if shutil.which(command[0]) else None


class Instr(ctypes.Structure):
    """The fields of pn_instr (csrc/pn.h)."""

    _fields_ = (
        ("fn", ctypes.c_void_p),
        ("arg", ctypes.c_void_p * 24),
        ("dim", ctypes.c_int64 * 48),
        ("par", ctypes.c_double * 12),
        ("scratch", ctypes.c_void_p),
        ("scratch_bytes", ctypes.c_int64),
        ("nth", ctypes.c_int),
        ("salt", ctypes.c_uint32),
        ("ops", ctypes.c_void_p),
        ("kept", ctypes.c_void_p),
        ("keeping", ctypes.c_int),
    )


class Device:
    """The kernels, run with their threads in a given order."""

    def __init__(self, folder, source=None):
        made = Path(folder, "cuda_shim.so")
        command = [
            *compiler(),
            *FLAGS,
            f"-I{CSRC}",
            f"-I{CSRC / 'cuda'}",
            os.fspath(source or CSRC / "cuda/shim_table.cpp"),
        ]
        subprocess.run([*command, "-o", os.fspath(made)], check=True)
        self.library = ctypes.CDLL(os.fspath(made))
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
