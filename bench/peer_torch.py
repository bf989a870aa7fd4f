"""PyTorch: eager, and with the forward and backward pass compiled.

Both use what is fastest there: the fused optimizers and, of the two layouts of images in memory, that of the shorter
eager step.
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
from .workloads import Conv, Dense, Flatten, Pool, Workload


def build(workload: Workload, layout: torch.memory_format) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[workload.activation]
    layers: list[torch.nn.Module] = []
    for layer, shape, _ in workload.shaped_layers():
        match layer:
            case Conv(filters, size, padding):
                layers += [torch.nn.Conv2d(shape[2], filters, size, padding=padding), activation()]
            case Pool(size, stride):
                layers.append(torch.nn.MaxPool2d(size, stride))
            case Flatten():
                layers.append(torch.nn.Flatten())
            case Dense(units):
                layers += [torch.nn.Linear(shape[0], units), activation()]
    model = torch.nn.Sequential(*layers[:-1]).to(memory_format=layout)
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    return model, optimizers[workload.optimizer](model.parameters(), lr=workload.learning_rate, fused=True)


def arranged(x: np.ndarray, layout: torch.memory_format) -> torch.Tensor:
    """The batch as torch takes it: images as [N, C, H, W] in one of the two layouts in memory."""
    batch = torch.from_numpy(x)
    return batch.permute(0, 3, 1, 2).contiguous(memory_format=layout) if x.ndim == 4 else batch


def side(name: str, workload: Workload, layout: torch.memory_format, wrap: Callable) -> Side:
    model, optimizer = build(workload, layout)
    batches = [(arranged(x, layout), torch.from_numpy(y)) for x, y in workload.batches()]
    loss_of = wrap(lambda x, y: functional.cross_entropy(model(x), y))
    taken = 0

    def run(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            x, y = batches[taken % len(batches)]
            optimizer.zero_grad(set_to_none=True)
            loss_of(x, y).backward()
            optimizer.step()
            taken += 1

    def loss() -> float:
        with torch.no_grad():
            return float(functional.cross_entropy(model(batches[0][0]), batches[0][1]))

    return Side(name, run, loss)


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
    yield eager[layout]
    os.environ.setdefault("TORCH_LOGS", "-all")
    compiled = side("torch.compile", workload, layout, torch.compile)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled.run(1)
    except Exception as error:  # inductor raises whatever its C++ compiler or code generator raised
        raise Unavailable(f"torch.compile: {str(error).splitlines()[0]}") from error
    yield compiled
