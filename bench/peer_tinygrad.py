"""tinygrad on the processor: forward, backward and update captured by TinyJit. Needs clang."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np

from .side import Side, Unavailable
from .workloads import EPSILON, LSTM, Conv, Dense, Embedding, Flatten, Layer, LayerNorm, Pool, Workload

os.environ.setdefault("DEV", "CPU")

from tinygrad import Context, Tensor, TinyJit, nn

MOST_STEPS = 16  # of a recurrent layer


def lstm(params: list[Tensor], x: Tensor, every_step: bool) -> Tensor:
    """Step by step; what the inputs add to the gates is one product for all steps."""
    w, u, b = params
    z = x @ w + b
    h = c = Tensor.zeros(x.shape[0], u.shape[0])
    states = []
    for t in range(x.shape[1]):
        i, f, g, o = (z[:, t] + h @ u).chunk(4, dim=-1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return Tensor.stack(*states, dim=1) if every_step else h


def apply(layer: Layer, params: list[Tensor], x: Tensor) -> Tensor:
    """What the layer gives, before the activation; images are [N, C, H, W]."""
    match layer:
        case Embedding():
            return params[0][x]
        case LSTM(_, every_step):
            return lstm(params, x, every_step)
        case Conv(_, size, padding, stride, groups):
            around = size // 2 if padding == "same" else 0
            return x.conv2d(params[0], params[1], groups, stride, 1, around)
        case LayerNorm():
            return x.layernorm(eps=1e-5) * params[0] + params[1]
        case Pool(size, stride):
            return x.max_pool2d(size, stride)
        case Flatten():
            return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1) if x.ndim == 4 else x.reshape(x.shape[0], -1)
        case Dense():
            return x @ params[0] + params[1]


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    if workload.precision == "medium":
        raise Unavailable("tinygrad has no mixed precision of its own")
    if threads > 1:
        raise Unavailable("tinygrad has no number of threads to set")
    if any(isinstance(layer, LSTM) for layer in workload.layers) and workload.shape[0] > MOST_STEPS:
        raise Unavailable(f"tinygrad writes out every step, and takes minutes to compile {MOST_STEPS} of them")
    if any(isinstance(layer, Conv) for layer in workload.layers) and len(workload.shape) == 2:
        raise Unavailable("convolutions of sequences are not written out for tinygrad")
    activation = {"tanh": Tensor.tanh, "relu": Tensor.relu, "linear": lambda x: x, "gelu": Tensor.gelu}[
        workload.activation
    ]

    def taken_in(x: np.ndarray, y: np.ndarray) -> tuple[Tensor, Tensor]:
        x = np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x
        return Tensor(x).realize(), Tensor(y.astype(np.int32)).realize()

    batches = [taken_in(x, y) for x, y in workload.batches()]

    def loss_of(params: list[list[Tensor]], x: Tensor, y: Tensor) -> Tensor:
        for layer, own in zip(workload.layers[:-1], params, strict=False):
            x = apply(layer, own, x)
            if isinstance(layer, Conv | Dense):
                x = activation(x)
        x = apply(workload.layers[-1], params[-1], x)
        return x.reshape(-1, workload.classes).sparse_categorical_crossentropy(y.reshape(-1))

    params: list[list[Tensor]] = []
    step = None
    taken = 0

    def reset() -> None:
        nonlocal params, step, taken
        params, taken = [], 0
        for layer, weights in zip(workload.layers, workload.weights(), strict=True):
            if isinstance(layer, Conv):
                weights = (np.ascontiguousarray(weights[0].transpose(3, 2, 0, 1)), weights[1])
            params.append([Tensor(w).realize() for w in weights])
        flat = [p for own in params for p in own]
        rate = workload.learning_rate
        optimizer = nn.optim.SGD(flat, rate) if workload.optimizer == "sgd" else nn.optim.Adam(flat, rate, eps=EPSILON)

        def update(x: Tensor, y: Tensor) -> Tensor:
            with Context(TRAINING=1):
                optimizer.zero_grad()
                loss = loss_of(params, x, y).backward()
                return loss.realize(*optimizer.schedule_step())

        step = TinyJit(update)

    def run(steps: int) -> None:
        nonlocal taken
        loss = None
        for _ in range(steps):
            loss = step(*batches[taken % len(batches)])
            taken += 1
        if loss is not None:
            loss.item()

    def run_calls(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            step(*taken_in(*arrays[taken % len(arrays)])).item()
            taken += 1

    arrays = workload.batches() if workload.a_call else []
    reset()
    yield Side("tinygrad", run_calls if workload.a_call else run, lambda: loss_of(params, *batches[0]).item(), reset)
