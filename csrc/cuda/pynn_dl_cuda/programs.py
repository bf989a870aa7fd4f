"""Recorded programs on a device: one graph of kernels, launched once a step.

The host's memory is true between runs. A run sends what the device does not have, launches the graph as often as there
are steps, and fetches what the program wrote; so whatever reads parameters, sums or outputs needs to know of no device.
"""

from __future__ import annotations

import ctypes
from ctypes import c_int, c_void_p
from typing import Any

import numpy as np

from pynn.core import _core, config
from pynn.core.program import Placed, Recorder, Recording
from pynn.core.status import failure
from pynn.errors import DeviceError
from pynn_dl_cuda import driver

__all__ = ["DeviceRecorder", "DeviceRecording", "Passes"]

#: Kernels of products, which are there for lower precisions too (PN_CUDA_PRODUCTS in csrc/cuda/kernels.def), and the
#: oldest architecture that has units for them.
PRODUCTS = {b"matmul", b"dense_fwd", b"dense_bwd", b"conv2d_fwd", b"conv2d_bwd", b"conv2d_transpose_fwd", b"rnn_gemm",
            b"rnn_product"}  # fmt: skip
UNITS = 80
CODE = 255  # the part of a status that is one of pn.h's; the rest is the number of the instruction


def unsupported(instr: Any) -> DeviceError:
    """Return the error of an instruction that no kernel of the device computes."""
    where = f"{instr.info.scope}: " if instr.info.scope else ""
    kinds = sorted({str(of[1]) for of in (*instr.info.outs, *instr.info.inputs) if of is not None})
    hint = "algorithm='direct', or " if "conv" in instr.card.name and "float64" not in kinds else ""
    received = ", ".join(kinds)
    if instr.card.kernel == "call_hook":
        received = "a function of Python's, such as the exchange between processes"
    return DeviceError(
        f"{where}[{instr.card.name}] has no version for a CUDA device. Received: {received}. "
        f"help: {hint}pynn.set_device('cpu')."
    )


def in_precision(symbol: bytes, architecture: int) -> bytes:
    """Return the kernel that computes in the precision in use what this one computes in the highest."""
    precision = config.get_precision()
    if precision == "highest" or symbol not in PRODUCTS or architecture < UNITS:
        return symbol
    return symbol + b"_" + precision.encode()


def in_parts(instr: Any) -> list[Any]:
    """Return a recurrent layer as products and cells, step by step."""
    if instr.card.kernel not in ("rnn_fwd", "rnn_bwd") or instr.dtype:
        return [instr]
    from pynn.export import composed, recurrent

    if instr.card.kernel == "rnn_fwd":
        parts = recurrent.forward(instr, composed.instruction, True)
    else:
        parts = recurrent.backward(instr, composed.instruction, composed.row_sums, True)
    return [part if isinstance(part, _core.Instr) else _instruction(part) for part in parts]


def _instruction(part: Any) -> Any:
    """Return a part that the CPU has no kernel for as an instruction."""
    dims, pars, salt = part.plain()
    made = _core.Instr(
        0, part.buffers, part.n_out, dims, pars, part.scratch_bytes, salt, part.dtype, 0, part.card, part.info
    )
    made.drop_scratch()
    return made


class DeviceRecorder(Recorder):
    """A recorder that refuses what the device cannot compute, before a step has changed a weight."""

    def append(self, instr: Any) -> None:
        """Take in an instruction that was just run, or what it is made of."""
        for part in in_parts(instr):
            if part.launches() is None:
                raise unsupported(instr)
            super().append(part)


class DeviceRecording(Recording):
    """A recording whose runs are on the device."""

    recorder = DeviceRecorder
    joins = False
    first = 0  # of the places for its slots

    def __init__(self, key: Any, found: Placed, watch: Any, arenas: Any):
        self.device = driver.device()
        self.graph = c_void_p()
        self.built: tuple[Any, ...] = ()  # the addresses that the graph was built for
        self.places, self.inputs = found.places, found.inputs
        super().__init__(key, found, watch, arenas)
        self.code, self.launches = [], []
        for i, instr in enumerate(self.program.instrs):
            launches = instr.launches()
            if launches is None:
                raise unsupported(instr)
            self.launches.append((in_precision(launches[0], self.device.architecture), launches[1]))
            one = driver.Instr.from_buffer_copy(launches[2])
            one.fn = one.scratch = one.ops = one.kept = None
            one.keeping = i
            self.code.append(one)
        instrs = self.program.instrs
        self.slots = {slot for _, _, slot, *_ in self.inputs}
        self.written = sorted({slot for i, k, slot, *_ in self.inputs if k < instrs[i].n_out})
        self.state = [b.root() for one in instrs for b in one.buffers[: one.n_out] if b is not None]
        self.left = [(one.buffers[one.card.left[0]].root(), one.buffers[one.card.left[1]])
                     for one in instrs if one.card.left is not None]  # fmt: skip
        self.mirrors: dict[int, driver.Mirror] = {}
        self.device.recordings.add(self)

    def __del__(self) -> None:
        self.drop()

    def drop(self) -> None:
        """Let go of what is on the device."""
        if getattr(self, "graph", None):
            self.device.quietly("cuGraphExecDestroy", self.graph)
            self.graph = c_void_p()
        self.built, self.mirrors = (), {}

    def run(self, bound: list[Any], times: int = 1, token: Any = None, store: bool = True) -> None:
        """Replay the program; arrays that are only read are sent if they, or the token, are not those of the last run.

        Raises
        ------
        Exception
            What the kernel's card says of a failure.
        """
        device, status = self.device, c_int()
        with device.lock:
            device.enter()
            held = {slot: a if isinstance(a, _core.Buffer) else _core.Buffer.of(a) for slot, a in enumerate(bound)
                    if slot in self.slots}  # fmt: skip
            rooms = self._placed(held)
            self._turn_flags()
            for mirror in self.mirrors.values():
                mirror.send()
            for slot, b in held.items():
                array = bound[slot] if b is not bound[slot] and slot not in self.written else None
                rooms[slot].hold(b, array, token)
            stop = device.room(STATUS, 4)
            device.call("cuMemsetD8_v2", stop.address, 0, 4)
            changed = [self.mirrors[id(root)] for root in {id(b): b for b in self.state}.values()]
            for mirror in changed:
                mirror.seen = -1
            for _ in range(times):
                device.call("cuGraphLaunch", self.graph, None)
            stop.read(ctypes.byref(status), 4)
            for mirror in changed:
                mirror.fetch()
            for slot in self.written:
                with memoryview(held[slot]):
                    rooms[slot].read(held[slot].address, held[slot].nbytes)
            for root, flag in self.left:
                flag.array(np.dtype(np.int64), (flag.nbytes // 8,))[1] = root.writes if root.writes >= 0 else UNKNOWN
        if status.value:
            raise failure(status.value & CODE, self.program.instrs[status.value >> 8])

    def passes(self, outputs: list[tuple[Any, Any]]) -> Passes:
        """Return what predicts with this program, whose outputs have these shapes and dtypes."""
        self.first = PASSES
        return Passes(self, outputs)

    def _turn_flags(self) -> None:
        """Say of memory that holds what the last run left there whether somebody else has written to it."""
        for root, flag in self.left:
            known = flag.array(np.dtype(np.int64), (flag.nbytes // 8,))
            if root.writes != known[1]:
                known[0] = 0

    def _placed(self, held: dict[int, Any]) -> dict[int, driver.Memory]:
        """Find places for all operands, and build the graph if they are not those of the last one."""
        device = self.device
        if not self.mirrors:
            roots = [b.root() for one in self.program.instrs for b in one.buffers if b is not None]
            self.mirrors = {id(root): device.mirror(root) for root in roots}
        rooms = {slot: device.room(self.first + slot, b.nbytes) for slot, b in held.items()}
        arena = device.room(ARENA, self.program.arena_bytes)
        places = [(rooms[slot].address, b.nbytes) for slot, b in held.items()]
        built = arena.address, device.room(STATUS, 4).address, places
        if built == self.built and self.graph:
            return rooms
        for one, instr in zip(self.code, self.program.instrs, strict=True):
            for k, b in enumerate(instr.buffers):
                if b is not None:
                    one.arg[k] = self.mirrors[id(b.root())].memory.address + b.offset
        for i, k, offset in self.places:
            if k < 0:
                self.code[i].scratch = arena.address + offset
            else:
                self.code[i].arg[k] = arena.address + offset
        for i, k, slot, offset, nbytes, dim in self.inputs:
            left = (held[slot].nbytes if slot in held else 0) - offset
            if left < (0 if dim >= 0 else nbytes):
                raise ValueError(f"slot {slot} was recorded with {offset + nbytes} bytes. Received: {left + offset}")
            self.code[i].arg[k] = rooms[slot].address + offset
            if dim >= 0:
                self.code[i].dim[dim] = left
        self._build()
        self.built = built
        return rooms

    def _build(self) -> None:
        """Make the graph: a chain of launches."""
        device, graph, before = self.device, c_void_p(), c_void_p()
        if self.graph:
            device.call("cuGraphExecDestroy", self.graph)
            self.graph = c_void_p()
        device.call("cuGraphCreate", graph, 0)
        try:
            stop = ctypes.c_uint64(device.room(STATUS, 4).address)
            for one, (symbol, phases) in zip(self.code, self.launches, strict=True):
                for phase, (grid, block) in enumerate(phases):
                    number = c_int(phase)
                    arguments = (c_void_p * 3)(*map(ctypes.addressof, (one, number, stop)))
                    node = driver.Node(device.kernel(symbol), (grid, 1, 1), (block, 1, 1), 0, arguments, None)
                    added = c_void_p()
                    device.call("cuGraphAddKernelNode", added, graph, before, 1 if before else 0, node)
                    before = added
            device.call("cuGraphInstantiateWithFlags", self.graph, graph, 0)
        finally:
            device.call("cuGraphDestroy", graph)


ARENA, STATUS = -1, -2  # places beside the slots'
PASSES = 1 << 20  # from here on predictions have theirs: an evaluation between epochs leaves the data where they are
UNKNOWN = -2  # writes of memory that somebody may be writing to: no number of writes is this


class Passes:
    """Predictions of one shape of inputs: what _predict.Prepared is on a CPU."""

    def __init__(self, recording: DeviceRecording, outputs: list[tuple[Any, Any]]):
        self.recording, self.outputs = recording, outputs
        self.output_shapes = [shape for shape, _ in outputs]

    def run(self, xs: list[np.ndarray]) -> list[np.ndarray]:
        """Return the outputs for these inputs."""
        ys = [np.empty(shape, dtype) for shape, dtype in self.outputs]
        self.recording.run([*xs, *ys])
        return ys
