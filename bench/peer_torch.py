"""PyTorch: eager, and with the forward and backward pass compiled.

With the precision "medium" both run under bfloat16 autocast. They use what is fastest there: the fused optimizers and,
of the two layouts of images in memory, that of the shorter eager step.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.nn import functional

from .side import Side, Unavailable
from .workloads import EPSILON, LSTM, Conv, Dense, Embedding, Flatten, LayerNorm, Pool, Workload


class Recurrent(torch.nn.Module):
    """An LSTM that gives its outputs at every step, or at the last one."""

    def __init__(self, inputs: int, units: int, every_step: bool):
        super().__init__()
        self.lstm = torch.nn.LSTM(inputs, units, batch_first=True)
        self.every_step = every_step

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, (h, _) = self.lstm(x)
        return y if self.every_step else h[0]


class Conv1d(torch.nn.Conv1d):
    """One of sequences [N, T, C], as the other sides have them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def build(workload: Workload, layout: torch.memory_format) -> torch.nn.Module:
    activation = {
        "tanh": torch.nn.Tanh, "relu": torch.nn.ReLU, "linear": torch.nn.Identity, "gelu": torch.nn.GELU
    }[workload.activation]  # fmt: skip
    layers: list[torch.nn.Module] = []
    for i, (layer, shape, _) in enumerate(workload.shaped_layers()):
        match layer:
            case Embedding(words, size, sparse):
                layers.append(torch.nn.Embedding(words, size, sparse=sparse))
            case LSTM(units, every_step):
                layers.append(Recurrent(shape[-1], units, every_step))
            case Conv(filters, size, padding, stride, groups):
                kind = Conv1d if len(shape) == 2 else torch.nn.Conv2d
                pad = size // 2 if padding == "same" else 0
                layers += [kind(shape[-1], filters, size, stride, pad, groups=groups), activation()]
            case LayerNorm():
                layers.append(torch.nn.LayerNorm(shape[-1]))
            case Pool(size, stride):
                layers.append(torch.nn.MaxPool2d(size, stride))
            case Flatten():
                layers.append(torch.nn.Flatten())
            case Dense(units):
                layers.append(torch.nn.Linear(shape[-1], units))
                if i + 1 < len(workload.layers):
                    layers.append(activation())
    return torch.nn.Sequential(*layers).to(memory_format=layout)


def load(model: torch.nn.Sequential, workload: Workload) -> None:
    """Write the weights that all sides start from; here images are flattened channel by channel."""
    modules = iter([m for m in model if isinstance(m, Recurrent) or any(True for _ in m.parameters(recurse=False))])
    before: tuple[int, ...] | None = None  # the shape of what was flattened last
    with torch.no_grad():
        for (layer, shape, _), weights in zip(workload.shaped_layers(), workload.weights(), strict=True):
            if isinstance(layer, Flatten) and len(shape) == 3:
                before = shape
            if not weights:
                continue
            module, values = next(modules), [torch.from_numpy(w) for w in weights]
            match layer:
                case Embedding():
                    module.weight.copy_(values[0])
                case LSTM():
                    inner = module.lstm
                    inner.weight_ih_l0.copy_(values[0].T)
                    inner.weight_hh_l0.copy_(values[1].T)
                    inner.bias_ih_l0.copy_(values[2])
                    inner.bias_hh_l0.zero_().requires_grad_(False)  # the other sides have one bias
                case Conv():
                    module.weight.copy_(values[0].movedim((-1, -2), (0, 1)))
                    module.bias.copy_(values[1])
                case LayerNorm():
                    module.weight.copy_(values[0])
                    module.bias.copy_(values[1])
                case Dense(units):
                    w = values[0]
                    if before is not None:
                        w = w.reshape(*before, units).permute(2, 0, 1, 3).reshape(-1, units)
                        before = None
                    module.weight.copy_(w.T)
                    module.bias.copy_(values[1])


def arranged(x: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    """The batch as torch takes it: images as [N, C, H, W] in one of the two layouts in memory."""
    batch = torch.from_numpy(x)
    return batch.permute(0, 3, 1, 2).contiguous(memory_format=layout) if x.ndim == 4 else batch


def side(name: str, workload: Workload, layout: torch.memory_format, wrap: Callable) -> Side:
    model = build(workload, layout)
    load(model, workload)
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    options = {"eps": EPSILON} if workload.optimizer == "adam" else {}
    trained = [p for p in model.parameters() if p.requires_grad]
    sparse = any(isinstance(layer, Embedding) and layer.sparse for layer in workload.layers)
    optimizer = optimizers[workload.optimizer](trained, lr=workload.learning_rate, fused=not sparse, **options)
    batches = [(arranged(x, layout), torch.from_numpy(y)) for x, y in workload.batches()]

    mixed = workload.precision == "medium"

    def cross_entropy(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            return functional.cross_entropy(model(x).reshape(-1, workload.classes), y.reshape(-1))

    loss_of = wrap(cross_entropy)
    taken = 0

    def run(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            x, y = batches[taken % len(batches)]
            optimizer.zero_grad(set_to_none=True)
            loss_of(x, y).backward()
            optimizer.step()
            taken += 1

    def run_calls(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            x, y = (torch.from_numpy(a) for a in arrays[taken % len(arrays)])
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(x, y)
            loss.backward()
            optimizer.step()
            loss.item()
            taken += 1

    arrays = workload.batches() if workload.a_call else []

    def loss() -> float:
        with torch.no_grad():
            return float(cross_entropy(*batches[0]))

    def reset() -> None:
        nonlocal taken
        taken = 0
        load(model, workload)
        optimizer.state.clear()

    return Side(name, run_calls if workload.a_call else run, loss, reset)


def faster(sides: dict[torch.memory_format, Side]) -> torch.memory_format:
    """The layout whose side takes the shorter step, the best of a few in turn."""
    best = dict.fromkeys(sides, math.inf)
    for _ in range(5 if len(sides) > 1 else 0):
        for layout, one in sides.items():
            started = time.perf_counter()
            one.run(1)
            best[layout] = min(best[layout], time.perf_counter() - started)
    return min(best, key=best.__getitem__)


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    torch.set_num_threads(threads)
    layouts = [torch.contiguous_format, torch.channels_last] if len(workload.shape) == 3 else [torch.contiguous_format]
    eager = {layout: side("torch eager", workload, layout, lambda function: function) for layout in layouts}
    layout = faster(eager)
    chosen = eager.pop(layout)
    eager.clear()
    yield chosen
    os.environ.setdefault("TORCH_LOGS", "-all")
    torch._dynamo.reset()  # else the rows before count as recompilations, and after eight of them it gives up
    compiled = side("torch.compile", workload, layout, torch.compile)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled.run(1)
    except Exception as error:  # inductor raises whatever its C++ compiler or code generator raised
        raise Unavailable(f"torch.compile: {str(error).splitlines()[0]}") from error
    yield compiled
