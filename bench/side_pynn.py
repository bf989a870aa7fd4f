"""pynn: compiled training steps, k of them in one native call."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import pynn
from pynn import nn

from .side import Side
from .workloads import EPSILON, LSTM, Conv, Dense, Embedding, Flatten, Pool, Workload


def build(workload: Workload) -> nn.Sequential:
    """The workload's model, compiled and ready to train."""
    layers: list[nn.Module] = []
    for layer in workload.layers:
        activation = None if len(layers) == len(workload.layers) - 1 else workload.activation
        match layer:
            case Embedding(words, size):
                layers.append(nn.Embedding(words, size))
            case LSTM(units, every_step):
                layers.append(nn.LSTM(units, return_sequences=every_step))
            case Conv(filters, size, padding):
                layers.append(
                    nn.Conv2D(filters, size, padding=padding, activation=activation, algorithm=workload.algorithm)
                )
            case Pool(size, stride):
                layers.append(nn.MaxPool2D(size, stride))
            case Flatten():
                layers.append(nn.Flatten())
            case Dense(units):
                layers.append(nn.Dense(units, activation=activation))
    model = nn.Sequential([*([] if workload.words else [nn.Input(workload.shape)]), *layers])
    rate = workload.learning_rate
    optimizer = pynn.optim.SGD(rate) if workload.optimizer == "sgd" else pynn.optim.Adam(rate, eps=EPSILON)
    model.compile(optimizer=optimizer, loss="cross_entropy", seed=0)
    model.build((1, *workload.shape))
    return model


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    pynn.set_num_threads(threads)
    pynn.set_precision(workload.precision)
    x, y = workload.data()
    model = build(workload)
    stepper = pynn.train.steps(model, x, y, batch_size=workload.batch)
    stepper.perm = np.arange(len(x))  # the order of the other sides; rows are fetched one by one all the same
    first = x[: workload.batch], y[: workload.batch]
    optimizer, slots = model.optimizer, stepper.trainer.slots

    def reset() -> None:
        model.set_weights([w for layer in workload.weights() for w in layer])
        optimizer.load_state({name: np.zeros_like(value) for name, value in optimizer.state().items()})
        slots.set(step=0)
        stepper.at = 0

    reset()
    yield Side("pynn", stepper.run, lambda: float(model.evaluate(*first, verbose=0)["loss"]), reset)
