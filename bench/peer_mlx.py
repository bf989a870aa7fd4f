"""MLX on the processor: forward, backward and update as one compiled function."""

from __future__ import annotations

from collections.abc import Iterator

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers
import numpy as np

from .side import Side, Unavailable
from .workloads import EPSILON, LSTM, Conv, Dense, Embedding, Flatten, Layer, LayerNorm, Pool, Workload

mx.set_default_device(mx.cpu)


def lstm(params: list[mx.array], x: mx.array, every_step: bool) -> mx.array:
    """Step by step; what the inputs add to the gates is one product for all steps."""
    w, u, b = params
    z = x @ w + b
    h = c = mx.zeros((x.shape[0], u.shape[0]))
    states = []
    for t in range(x.shape[1]):
        i, f, g, o = mx.split(z[:, t] + h @ u, 4, axis=-1)
        c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
        h = mx.sigmoid(o) * mx.tanh(c)
        states.append(h)
    return mx.stack(states, axis=1) if every_step else h


def apply(layer: Layer, params: list[mx.array], x: mx.array) -> mx.array:
    """What the layer gives, before the activation."""
    match layer:
        case Embedding():
            return params[0][x]
        case LSTM(_, every_step):
            return lstm(params, x, every_step)
        case Conv(_, size, padding, stride, groups):
            convolve = mx.conv2d if x.ndim == 4 else mx.conv1d
            around = size // 2 if padding == "same" else 0
            return convolve(x, params[0], stride, around, groups=groups) + params[1]
        case LayerNorm():
            return mx.fast.layer_norm(x, *params, 1e-5)
        case Pool(size, stride):
            return nn.MaxPool2d(size, stride)(x)
        case Flatten():
            return x.reshape(x.shape[0], -1)
        case Dense():
            return mx.addmm(params[1], x, params[0])


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    if workload.precision == "medium":
        raise Unavailable("MLX has no mixed precision of its own")
    if threads > 1:
        raise Unavailable("MLX has no number of threads to set")
    activation = {"tanh": mx.tanh, "relu": nn.relu, "linear": lambda x: x, "gelu": nn.gelu}[workload.activation]
    rate = workload.learning_rate
    batches = [(mx.array(x), mx.array(y.astype(np.int32))) for x, y in workload.batches()]
    arrays = [(x, y.astype(np.int32)) for x, y in workload.batches()] if workload.a_call else []

    def start() -> tuple[dict[str, list[mx.array]], mlx.optimizers.Optimizer]:
        params = {}
        for i, (layer, weights) in enumerate(zip(workload.layers, workload.weights(), strict=True)):
            if isinstance(layer, Conv):  # outputs first
                weights = (np.ascontiguousarray(np.moveaxis(weights[0], -1, 0)), weights[1])
            if weights:
                params[str(i)] = [mx.array(w) for w in weights]
        if workload.optimizer == "sgd":
            optimizer: mlx.optimizers.Optimizer = mlx.optimizers.SGD(rate)
        else:
            optimizer = mlx.optimizers.Adam(rate, eps=EPSILON, bias_correction=True)
        optimizer.init(params)
        return params, optimizer

    last = len(workload.layers) - 1

    def loss_of(params: dict[str, list[mx.array]], x: mx.array, y: mx.array) -> mx.array:
        for i, layer in enumerate(workload.layers):
            x = apply(layer, params.get(str(i), []), x)
            if i < last and isinstance(layer, Conv | Dense):
                x = activation(x)
        return nn.losses.cross_entropy(x, y, reduction="mean")

    def compiled() -> None:
        nonlocal params, state, step
        params, optimizer = start()
        state = [params, optimizer.state]

        def update(x: mx.array, y: mx.array) -> mx.array:
            loss, gradients = mx.value_and_grad(loss_of)(params, x, y)
            params.update(optimizer.apply_gradients(gradients, params))
            return loss

        step = mx.compile(update, inputs=state, outputs=state)
        mx.eval(state)

    params = state = step = None
    taken = 0

    def reset() -> None:
        nonlocal taken
        taken = 0
        compiled()

    def run(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            step(*batches[taken % len(batches)])
            mx.eval(state)
            taken += 1

    def run_calls(steps: int) -> None:
        nonlocal taken
        for _ in range(steps):
            loss = step(*map(mx.array, arrays[taken % len(arrays)]))
            mx.eval(state, loss)
            loss.item()
            taken += 1

    reset()
    yield Side("mlx", run_calls if workload.a_call else run, lambda: loss_of(params, *batches[0]).item(), reset)
