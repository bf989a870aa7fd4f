"""pynn: compiled training steps, k of them in one native call."""

from __future__ import annotations

from collections.abc import Iterator

import pynn
from pynn import nn

from .side import Side
from .workloads import Workload


def build(workload: Workload) -> nn.Sequential:
    """The workload's model, compiled and ready to train."""
    inputs, *hidden, classes = workload.sizes
    layers = [nn.Dense(units, activation=workload.activation) for units in hidden]
    model = nn.Sequential([nn.Input((inputs,)), *layers, nn.Dense(classes)])
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
