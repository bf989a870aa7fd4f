"""PyTorch: eager, and with the forward and backward pass compiled. Both use the fused optimizers, the fastest there."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator

import torch
from torch.nn import functional

from .side import Side, Unavailable
from .workloads import Workload


def build(workload: Workload) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[workload.activation]
    layers: list[torch.nn.Module] = []
    for inputs, outputs in zip(workload.sizes, workload.sizes[1:], strict=False):
        layers += [torch.nn.Linear(inputs, outputs), activation()]
    model = torch.nn.Sequential(*layers[:-1])
    optimizers = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
    return model, optimizers[workload.optimizer](model.parameters(), lr=workload.learning_rate, fused=True)


def side(name: str, workload: Workload, wrap: Callable) -> Side:
    model, optimizer = build(workload)
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in workload.batches()]
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


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    torch.set_num_threads(threads)
    yield side("torch eager", workload, lambda function: function)
    os.environ.setdefault("TORCH_LOGS", "-all")
    compiled = side("torch.compile", workload, torch.compile)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled.run(1)
    except Exception as error:  # inductor raises whatever its C++ compiler or code generator raised
        raise Unavailable(f"torch.compile: {str(error).splitlines()[0]}") from error
    yield compiled
