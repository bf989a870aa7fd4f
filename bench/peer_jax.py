"""JAX with optax: one jitted step at a time, and a whole pass over the batches in one jitted scan."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from .side import Side, Unavailable
from .workloads import EPSILON, LSTM, Conv, Dense, Embedding, Flatten, Layer, LayerNorm, Pool, Workload


def lstm(params: tuple[jax.Array, ...], x: jax.Array, every_step: bool) -> jax.Array:
    """A scan over time; what the inputs add to the gates is one product for all steps."""
    w, u, b = params
    state = jnp.zeros((x.shape[0], u.shape[0]))

    def step(carry, z):
        h, c = carry
        i, f, g, o = jnp.split(z + h @ u, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h if every_step else None

    (h, _), y = lax.scan(step, (state, state), jnp.swapaxes(x, 0, 1) @ w + b)
    return jnp.swapaxes(y, 0, 1) if every_step else h


def apply(layer: Layer, params: tuple[jax.Array, ...], x: jax.Array) -> jax.Array:
    """What the layer gives, before the activation."""
    match layer:
        case Embedding():
            return params[0][x]
        case LSTM(_, every_step):
            return lstm(params, x, every_step)
        case Conv(_, _, padding, stride, groups):
            w, b = params
            names = ("NHWC", "HWIO", "NHWC") if x.ndim == 4 else ("NWC", "WIO", "NWC")
            strides = (stride,) * (x.ndim - 2)
            y = lax.conv_general_dilated(
                x, w, strides, padding.upper(), dimension_numbers=names, feature_group_count=groups
            )
            return y + b
        case LayerNorm():
            gain, shift = params
            return jax.nn.standardize(x, epsilon=1e-5) * gain + shift
        case Pool(size, stride):
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), "VALID")
        case Flatten():
            return x.reshape(len(x), -1)
        case Dense():
            w, b = params
            return x @ w + b


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    if workload.precision == "medium":
        raise Unavailable("JAX has no mixed precision of its own")
    activation = {
        "tanh": jnp.tanh, "relu": jax.nn.relu, "linear": lambda x: x, "gelu": partial(jax.nn.gelu, approximate=False)
    }[workload.activation]  # fmt: skip
    rate = workload.learning_rate
    optimizer = optax.sgd(rate) if workload.optimizer == "sgd" else optax.adam(rate, eps=EPSILON)
    batches = [(jax.device_put(x), jax.device_put(y.astype(np.int32))) for x, y in workload.batches()]

    def start() -> tuple:
        params = [tuple(map(jnp.array, layer)) for layer in workload.weights()]
        return params, optimizer.init(params)

    def loss_of(params, x, y):
        for layer, own in zip(workload.layers[:-1], params, strict=False):
            x = apply(layer, own, x)
            if isinstance(layer, Conv | Dense):
                x = activation(x)
        x = apply(workload.layers[-1], params[-1], x)
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()

    def step(state, batch):
        params, slots = state
        loss, gradients = jax.value_and_grad(loss_of)(params, *batch)
        updates, slots = optimizer.update(gradients, slots, params)
        return (optax.apply_updates(params, updates), slots), loss

    one = jax.jit(step, donate_argnums=0)
    # XLA's fast convolutions for CPUs do not work inside loops: those steps are written out one after the other.
    written_out = any(isinstance(layer, Conv) for layer in workload.layers)
    whole = jax.jit(lambda state, stacked: lax.scan(step, state, stacked, unroll=written_out), donate_argnums=0)
    evaluate = jax.jit(loss_of)

    state, taken = start(), 0

    def run(steps: int) -> None:
        nonlocal state, taken
        for _ in range(steps):
            state, _ = one(state, batches[taken % len(batches)])
            taken += 1
        jax.block_until_ready(state)

    def reset() -> None:
        nonlocal state, taken
        state, taken = start(), 0

    arrays = [(x, y.astype(np.int32)) for x, y in workload.batches()] if workload.a_call else []

    def run_calls(steps: int) -> None:
        nonlocal state, taken
        for _ in range(steps):
            state, loss = one(state, arrays[taken % len(arrays)])
            float(loss)
            taken += 1

    if workload.a_call:
        yield Side("jax jit", run_calls, lambda: float(evaluate(state[0], *batches[0])), reset)
        return
    yield Side("jax jit", run, lambda: float(evaluate(state[0], *batches[0])), reset)

    scanned = start()
    stacked = tuple(jnp.stack(parts) for parts in zip(*batches, strict=True))

    def run_scan(steps: int) -> None:
        nonlocal scanned
        for _ in range(steps // len(batches)):
            scanned, _ = whole(scanned, stacked)
        jax.block_until_ready(scanned)

    def reset_scan() -> None:
        nonlocal scanned
        scanned = start()

    def scanned_loss() -> float:
        return float(evaluate(scanned[0], *batches[0]))

    yield Side("jax scan", run_scan, scanned_loss, reset_scan, len(batches), whole_pass=True)
