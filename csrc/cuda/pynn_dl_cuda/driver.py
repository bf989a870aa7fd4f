"""NVIDIA's driver: its library, which is opened when a device is first asked for, one GPU, and memory on it.

Nothing of NVIDIA's is needed to install or import this: the functions of the driver that are called have their
prototypes here.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import weakref
from ctypes import POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p
from pathlib import Path
from typing import Any

from pynn.core import _core
from pynn.errors import DeviceError

__all__ = ["Device", "Instr", "Memory", "Mirror", "Node", "device", "loaded"]

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
OUT_OF_MEMORY, NO_DEVICE = 2, 100  # what functions return
WRONG_CODE = {200, 209, 218, 222}  # of a module: for no such GPU, or newer than the driver
MAJOR, MINOR = 75, 76  # attributes: the architecture
HELP = "help: pynn goes on with the CPU."


class Node(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS: one launch of a kernel, in a graph."""

    _fields_ = (
        ("function", c_void_p), ("grid", c_uint * 3), ("block", c_uint * 3), ("shared", c_uint),
        ("arguments", POINTER(c_void_p)), ("extra", c_void_p),
    )  # fmt: skip


class Instr(ctypes.Structure):
    """The fields of pn_instr (csrc/pn.h)."""

    _fields_ = (
        ("fn", c_void_p), ("arg", c_void_p * _core.LIMITS["args"]), ("dim", ctypes.c_int64 * _core.LIMITS["dims"]),
        ("par", ctypes.c_double * _core.LIMITS["pars"]), ("scratch", c_void_p), ("scratch_bytes", ctypes.c_int64),
        ("nth", c_int), ("salt", ctypes.c_uint32), ("ops", c_void_p), ("kept", c_void_p), ("keeping", c_int),
    )  # fmt: skip


_out, _in = POINTER(c_void_p), c_void_p
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_uint,),
    "cuDriverGetVersion": (POINTER(c_int),),
    "cuGetErrorString": (c_int, POINTER(c_char_p)),
    "cuDeviceGetCount": (POINTER(c_int),),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDeviceTotalMem_v2": (POINTER(c_size_t), c_int),
    "cuDevicePrimaryCtxRetain": (_out, c_int),
    "cuCtxSetCurrent": (_in,),
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuModuleLoadData": (_out, c_char_p),
    "cuModuleGetFunction": (_out, _in, c_char_p),
    "cuMemAlloc_v2": (POINTER(c_uint64), c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemcpyHtoD_v2": (c_uint64, c_void_p, c_size_t),
    "cuMemcpyDtoH_v2": (c_void_p, c_uint64, c_size_t),
    "cuMemsetD8_v2": (c_uint64, ctypes.c_ubyte, c_size_t),
    "cuGraphCreate": (_out, c_uint),
    "cuGraphAddKernelNode": (_out, _in, _out, c_size_t, POINTER(Node)),
    "cuGraphInstantiateWithFlags": (_out, _in, c_uint64),
    "cuGraphLaunch": (_in, _in),
    "cuGraphDestroy": (_in,),
    "cuGraphExecDestroy": (_in,),
}


class Device:
    """The first GPU that the driver shows (CUDA_VISIBLE_DEVICES says which that is).

    Everything is done on the default stream, by one thread at a time.

    Attributes
    ----------
    name : str
    architecture : int
        75 is sm_75.
    total : int
        Bytes of its memory.
    driver : int
        The newest CUDA that the driver knows: 13000 is 13.0.
    """

    def __init__(self) -> None:
        path = os.environ.get("PYNN_CUDA_DRIVER") or LIBRARY
        try:
            library = ctypes.CDLL(path)
        except OSError as error:
            absent = isinstance(error, FileNotFoundError) or "No such file" in str(error)
            why = f"no {path}" if absent else f"{path}, which does not open"
            raise DeviceError(f"[cuda] expected NVIDIA's driver. Received: {why}. {HELP}") from None
        self._functions = {}
        for name, kinds in PROTOTYPES.items():
            function = getattr(library, name, None)
            if function is None:
                raise DeviceError(f"[cuda] expected a newer driver. Received: one without {name}. {HELP}")
            function.argtypes, function.restype = kinds, c_int
            self._functions[name] = function
        self.lock = threading.RLock()
        self._context: Any = None
        self._module: Any = None
        self._kernels: dict[bytes, Any] = {}
        self._rooms: dict[int, Memory] = {}
        self.mirrors: weakref.WeakValueDictionary[int, Mirror] = weakref.WeakValueDictionary()
        self.recordings: weakref.WeakSet[Any] = weakref.WeakSet()  # that may have memory here
        number, count = c_int(), c_int()
        try:
            self.call("cuInit", 0)
            self.call("cuDeviceGetCount", count)
        except DeviceError as error:
            if error.status != NO_DEVICE:
                raise
        if not count.value:
            raise DeviceError(f"[cuda] expected a GPU. Received: none that the driver knows. {HELP}")
        self.call("cuDriverGetVersion", number)
        self.driver = number.value
        self.call("cuDeviceGet", number, 0)
        self._number = number.value
        text, total = ctypes.create_string_buffer(256), c_size_t()
        self.call("cuDeviceGetName", text, 256, self._number)
        self.call("cuDeviceTotalMem_v2", total, self._number)
        self.name, self.total = text.value.decode("utf-8", "replace"), total.value
        self.architecture = 10 * self._attribute(MAJOR) + self._attribute(MINOR)

    def __str__(self) -> str:
        driver = f"{self.driver // 1000}.{self.driver % 1000 // 10}"
        return f"{self.name}, sm_{self.architecture}, {self.total / 1e9:.1f} GB, driver for CUDA {driver}"

    def _attribute(self, which: int) -> int:
        value = c_int()
        self.call("cuDeviceGetAttribute", value, which, self._number)
        return value.value

    def call(self, name: str, *arguments: Any) -> None:
        """Call a function of the driver; what it returns but 0 is an error."""
        status = self._functions[name](*arguments)
        if status:
            words = c_char_p()
            self._functions["cuGetErrorString"](status, words)
            said = words.value.decode("utf-8", "replace") if words.value else "unknown error"
            raise DeviceError(f"[cuda] expected {name} to succeed. Received: {said} ({status}). {HELP}", status)

    def load(self, code: Any) -> None:
        """Load the kernels, once.

        Parameters
        ----------
        code : module
            Its CUDA is the version that they were built with, its ARCHITECTURES say for which GPUs.

        Raises
        ------
        DeviceError
            If they are for newer drivers, or for other GPUs.
        """
        with self.lock:
            if self._module:
                return
            if self.driver < code.CUDA // 1000 * 1000:
                raise DeviceError(f"[cuda] expected a driver for CUDA {code.CUDA // 1000}. Received: {self}. {HELP}")
            try:
                image = Path(__file__).with_name("kernels.fatbin").read_bytes()
            except OSError as error:
                raise DeviceError(f"[cuda] expected the file of kernels. Received: {error}. {HELP}") from None
            context = c_void_p()
            self.call("cuDevicePrimaryCtxRetain", context, self._number)
            self._context = context
            self.enter()
            module = c_void_p()
            try:
                self.call("cuModuleLoadData", module, image)
            except DeviceError as error:
                if error.status not in WRONG_CODE:
                    raise
                raise DeviceError(
                    f"[cuda] expected a GPU that the code is for, {code.ARCHITECTURES}. Received: {self}. {HELP}"
                ) from None
            self._module = module

    def enter(self) -> None:
        """Let the calling thread use the device."""
        self.call("cuCtxSetCurrent", self._context)

    def kernel(self, symbol: bytes) -> Any:
        """Return the function of a kernel."""
        if symbol not in self._kernels:
            found = c_void_p()
            self.call("cuModuleGetFunction", found, self._module, symbol)
            self._kernels[symbol] = found.value
        return self._kernels[symbol]

    def room(self, number: int, nbytes: int) -> Memory:
        """Return a place that all programs share, whose contents last for one run: a slot's, the arena, the status."""
        room = self._rooms.get(number)
        if room is None or room.nbytes < nbytes:
            self._rooms.pop(number, None)
            room = None  # its memory is free before there is more
            room = self._rooms[number] = Memory(self, nbytes)
        return room

    def mirror(self, root: Any) -> Mirror:
        """Return the device's copy of a buffer."""
        found = self.mirrors.get(id(root))
        if found is None:
            found = self.mirrors[id(root)] = Mirror(self, root)
        return found

    def quietly(self, name: str, argument: Any) -> None:
        """Give something back; a driver that has ended has done so itself."""
        with self.lock:
            self._functions["cuCtxSetCurrent"](self._context)
            self._functions[name](argument)

    def forget(self) -> None:
        """Give back all memory."""
        with self.lock:
            for recording in self.recordings:
                recording.drop()
            self._rooms.clear()


class Memory:
    """Memory on a device, as long as this lives."""

    address = 0

    def __init__(self, owner: Device, nbytes: int):
        self.owner, self.nbytes = owner, max(nbytes, 1)
        self._held: Any = None, None  # an array that was written here, and its token
        found = c_uint64()
        try:
            owner.call("cuMemAlloc_v2", found, self.nbytes)
        except DeviceError as error:
            if error.status != OUT_OF_MEMORY:
                raise
            free, total = c_size_t(), c_size_t()
            owner.call("cuMemGetInfo_v2", free, total)
            raise MemoryError(
                f"[cuda] expected {self.nbytes} bytes of memory on {owner.name}. Received: {free.value} free of "
                f"{total.value}. help: smaller batches, or pynn.set_device('cpu')."
            ) from None
        self.address = found.value

    def __del__(self) -> None:
        if self.address:
            self.owner.quietly("cuMemFree_v2", self.address)

    def write(self, source: int, nbytes: int) -> None:
        """Copy from the host."""
        if nbytes:
            self.owner.call("cuMemcpyHtoD_v2", self.address, source, nbytes)

    def hold(self, buffer: Any, array: Any, token: Any) -> None:
        """Copy a buffer of the host's, if it is not that of an array which came last, with the same token."""
        known, before = self._held
        if token is None or array is None or before is not token or known() is not array:
            self._held = None, None
            self.write(buffer.address, buffer.nbytes)
            if token is not None and array is not None:
                self._held = weakref.ref(array), token

    def read(self, target: Any, nbytes: int) -> None:
        """Copy to the host."""
        if nbytes:
            self.owner.call("cuMemcpyDtoH_v2", target, self.address, nbytes)


class Mirror:
    """The copy of a buffer that outlives runs: parameters, an optimizer's state, constants.

    The host's memory is what holds between runs: it is copied when somebody has written to it, and written when a
    program has changed the copy.
    """

    def __init__(self, owner: Device, root: Any):
        self.root = root
        self.memory = Memory(owner, root.nbytes)
        self.seen = -1  # the buffer's writes when both were equal

    def send(self) -> None:
        """Copy to the device what it does not have yet."""
        writes = -1 if self.root.kind == _core.EXTERNAL else self.root.writes
        if writes < 0 or writes != self.seen:
            self.memory.write(self.root.address, self.root.nbytes)
            self.seen = writes

    def fetch(self) -> None:
        """Copy to the host what a program wrote."""
        with memoryview(self.root):  # counts as a write
            self.memory.read(self.root.address, self.root.nbytes)
        self.seen = self.root.writes


_device: Device | None = None


def device() -> Device:
    """Return the device; raise DeviceError, in one line, if there is none."""
    global _device
    if _device is None:
        _device = Device()
    return _device


def loaded(code: Any) -> Device:
    """Return the device with its kernels; after an error the next call begins anew."""
    global _device
    found = device()
    try:
        found.load(code)
    except DeviceError:
        _device = None
        raise
    return found
