"""Single ops as programs that can be timed without Python in between."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from pynn import ops
from pynn.core import _core, program
from pynn.core.card import CARDS, Card, Sample
from pynn.core.gradients import gradients
from pynn.core.graph import execute
from pynn.core.tensor import Tensor, tensor
from pynn.ops.common import Rng

from .workloads import WORKLOADS, Conv, Layer, Pool, Shape, Workload

ops.load_all()


# N, T, I, H of the recurrent layers of bench.peers
SEQUENCES = [(32, 80, 128, 128), (32, 64, 64, 256), (32, 64, 256, 256), (20, 35, 650, 650), (16, 16, 8, 32)]


def recurrent(kind: str, shape: tuple[int, int, int, int] = SEQUENCES[0]) -> Sample:
    """Sequences [N, T, I] and the weights of H units ("lstm" or "gru") for them and for their state."""
    n, t, i, h = shape
    rng = np.random.default_rng(0)
    gates = {"lstm": 4, "gru": 3}[kind]
    x, w, u = (rng.standard_normal(sizes) for sizes in ((n, t, i), (i, gates * h), (h, gates * h)))
    biases, absent = {"lstm": (np.zeros(4 * h), 5), "gru": (np.zeros((2, 3 * h)), 3)}[kind]
    return Sample((x, w / 16, u / 16, biases, *(None,) * absent), {})


ELEMENTS = 1 << 20  # about what the largest operand of a scaled sample holds
SHAPED = {  # ops whose attributes fix the shape of what they take, or whose work grows much faster than their operands
    "expand": Sample((np.ones((1, 1024)),), {"shape": (1024, 1024)}),
    "slice": Sample((np.ones((1024, 1024)),), {"starts": (1, 0), "steps": (1, 1), "sizes": (1022, 1024)}),
    "lstm": recurrent("lstm"),
    "gru": recurrent("gru"),
}


class Timed:
    """The instructions that a function executed, to be run again and again on the same memory."""

    def __init__(self, function: Callable[[], Any]):
        with program.record() as recorder:
            self.result = function()
        places, total = [], 0
        for i, instr in enumerate(recorder.instrs):
            if instr.scratch_bytes:
                places.append((i, -1, total))
                total += -(-instr.scratch_bytes // 64) * 64
        self.program = _core.Program(recorder.instrs, places, [], total).start()
        infos = [instr.info for instr in recorder.instrs]
        self.flops = sum(info.flops for info in infos)
        self.bytes = sum(
            math.prod(shape) * dtype.itemsize
            for info in infos
            for shape, dtype in filter(None, (*info.outs, *info.inputs))
        )

    def __len__(self) -> int:
        return len(self.program)

    def run(self, times: int = 1) -> None:
        done, status = self.program.run(times)
        assert (done, status) == (times, 0)

    def rates(self, seconds: float) -> dict[str, float]:
        """What to report of a run that took so long."""
        rates = {"GB/s": self.bytes / seconds / 1e9}
        if self.flops:
            rates["GFLOP/s"] = self.flops / seconds / 1e9
        return rates


def forward_and_backward(card: Card, sample: Sample) -> Iterator[tuple[str, Timed]]:
    """The op on the sample in float32, then its gradient if it has one."""
    inputs = tuple(as_input(x, card.has_gradient) for x in sample.inputs)
    forward = Timed(lambda: execute(card, inputs, sample.attrs))
    if len(forward):
        yield "forward", forward
    y = next(y for y in forward.result if y is not None)
    if y.requires_grad:
        cotangent = tensor(np.ones(y.shape, y.dtype))
        backward = Timed(lambda: gradients(y, cotangent))
        if len(backward):
            yield "backward", backward


def as_input(x: Any, differentiate: bool) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    floating = x.dtype.kind == "f"
    return tensor(x.astype(np.float32) if floating else x, requires_grad=floating and differentiate)


def scaled_samples() -> Iterator[tuple[Card, Sample]]:
    """Of every card with samples, one that is as large as the card accepts, up to about ELEMENTS."""
    for card in CARDS.values():
        if card.name in SHAPED:
            yield card, SHAPED[card.name]
            continue
        if card.samples is None or not card.kernel:
            continue
        for sample in card.samples(Rng()):
            arrays = [x for x in sample.inputs if isinstance(x, np.ndarray)]
            if arrays and all(x.size > 1 for x in arrays):
                yield card, largest(card, sample, max(arrays, key=np.size))
                break


def largest(card: Card, sample: Sample, operand: np.ndarray) -> Sample:
    factor = round((ELEMENTS / operand.size) ** (1 / operand.ndim))
    scaled = sample._replace(inputs=tuple(grown(x, factor) for x in sample.inputs))
    with suppress(ValueError, TypeError):  # an attribute fixes the shape, or operands must fit each other
        list(forward_and_backward(card, scaled))
        return scaled
    return sample


def grown(x: Any, factor: int) -> Any:
    """The same values repeated, so that indices stay in range; axes of length 1 stay what they broadcast."""
    if not isinstance(x, np.ndarray):
        return x
    return np.resize(x, tuple(n if n == 1 else n * factor for n in x.shape))


def image_layers() -> dict[str, tuple[Workload, Layer, Shape, bool]]:
    """The convolutions and poolings of the workloads by name: with what they take, and whether they are the first."""
    found = {}
    for workload in WORKLOADS:
        for i, (layer, shape, _) in enumerate(workload.shaped_layers()):
            taken = "x".join(map(str, (workload.batch, *shape)))
            match layer:
                case Conv(filters, size, padding):
                    name = f"conv {taken}, {filters} of {size}x{size} {padding}"
                case Pool(size, stride):
                    name = f"max-pool {taken}, {size}x{size} stride {stride}"
                case _:
                    continue
            found[name] = workload, layer, shape, i == 0
    return found


def timed_image_layer(workload: Workload, layer: Layer, shape: Shape, first: bool, direction: str) -> Timed:
    """The forward or backward kernel of the layer as in training: a first layer has no gradient to its input."""
    rng = np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    x = as_input(noise(workload.batch, *shape), not first)
    match layer:
        case Conv(filters, size, padding):
            w, b = as_input(noise(size, size, shape[-1], filters), True), as_input(noise(filters), True)
            forward = Timed(lambda: ops.conv2d(x, w, b, padding=padding, activation=workload.activation))
        case Pool(size, stride):
            forward = Timed(lambda: ops.max_pool2d(x, size, stride))
    if direction == "forward":
        return forward
    return Timed(lambda: gradients(forward.result, as_input(noise(*forward.result.shape), False)))


def product(m: int, n: int, k: int) -> tuple[Tensor, Tensor]:
    """Two random float32 matrices [m, k] and [k, n]."""
    rng = np.random.default_rng(0)
    return tensor(rng.standard_normal((m, k), np.float32)), tensor(rng.standard_normal((k, n), np.float32))
