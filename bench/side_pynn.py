"""pynn: compiled training steps, k of them in one native call."""

from __future__ import annotations

from collections.abc import Iterator

import pynn
from pynn import nn

from .side import Side
from .workloads import Conv, Dense, Flatten, Pool, Workload


def build(workload: Workload) -> nn.Sequential:
    """The workload's model, compiled and ready to train."""
    layers: list[nn.Module] = []
    for layer in workload.layers:
        activation = None if len(layers) == len(workload.layers) - 1 else workload.activation
        match layer:
            case Conv(filters, size, padding):
                layers.append(nn.Conv2D(filters, size, padding=padding, activation=activation))
            case Pool(size, stride):
                layers.append(nn.MaxPool2D(size, stride))
            case Flatten():
                layers.append(nn.Flatten())
            case Dense(units):
                layers.append(nn.Dense(units, activation=activation))
    model = nn.Sequential([nn.Input(workload.shape), *layers])
    optimizers = {"sgd": pynn.optim.SGD, "adam": pynn.optim.Adam}
    model.compile(optimizer=optimizers[workload.optimizer](workload.learning_rate), loss="cross_entropy", seed=0)
    return model


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    pynn.set_num_threads(threads)
    x, y = workload.data()
    model = build(workload)
    stepper = pynn.train.steps(model, x, y, batch_size=workload.batch)
    first = x[: workload.batch], y[: workload.batch]
    yield Side("pynn", stepper.run, lambda: float(model.evaluate(*first, verbose=0)["loss"]))
