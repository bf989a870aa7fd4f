"""pynn: compiled training steps, k of them in one native call."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import pynn
from pynn import nn

from .side import Side
from .workloads import EPSILON, LSTM, Conv, Dense, Embedding, Flatten, LayerNorm, Pool, Workload


def build(workload: Workload) -> nn.Sequential:
    """The workload's model, compiled and ready to train."""
    layers: list[nn.Module] = []
    for layer in workload.layers:
        activation = None if len(layers) == len(workload.layers) - 1 else workload.activation
        match layer:
            case Embedding(words, size, sparse):
                layers.append(nn.Embedding(words, size, sparse=sparse))
            case LSTM(units, every_step):
                layers.append(nn.LSTM(units, return_sequences=every_step))
            case Conv(filters, size, padding, stride, groups) if len(workload.shape) == 2:
                options = {"strides": stride, "padding": padding, "groups": groups, "activation": activation}
                layers.append(nn.Conv1D(filters, size, **options))
            case Conv(filters, size, padding, stride, groups):
                options = {"strides": stride, "padding": padding, "groups": groups, "activation": activation}
                layers.append(nn.Conv2D(filters, size, algorithm=workload.algorithm, **options))
            case LayerNorm():
                layers.append(nn.LayerNormalization(epsilon=1e-5))
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
    stepper.gradients = False  # as in calls of fit() but the last of an epoch
    stepper.perm = np.arange(len(x))  # the order of the other sides; rows are fetched one by one all the same
    first = x[: workload.batch], y[: workload.batch]
    optimizer, slots = model.optimizer, stepper.trainer.slots

    def reset() -> None:
        model.set_weights([w for layer in workload.weights() for w in layer])
        optimizer.load_state({name: np.zeros_like(value) for name, value in optimizer.state().items()})
        slots.set(step=0)
        stepper.at = 0

    def run_calls(steps: int) -> None:
        for _ in range(steps):
            step(*batches[stepper.at % len(batches)])
            stepper.at += 1

    run = stepper.run
    if workload.a_call:
        batches, step, run = workload.batches(), model.train_fn(), run_calls
    reset()
    yield Side("pynn", run, lambda: float(model.evaluate(*first, verbose=0)["loss"]), reset)
