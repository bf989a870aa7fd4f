"""JAX with optax: one jitted step at a time, and a whole pass over the batches in one jitted scan."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from .side import Side
from .workloads import Conv, Dense, Flatten, Layer, Pool, Shape, Workload


def weights(rng: np.random.Generator, layer: Layer, shape: Shape) -> tuple[jax.Array, ...]:
    """The initial weights and bias of a layer that takes the shape; empty where it has none."""
    match layer:
        case Conv(filters, size, _):
            form: Shape = (size, size, shape[2], filters)
        case Dense(units):
            form = (shape[0], units)
        case _:
            return ()
    limit = np.sqrt(6 / (np.prod(form[:-2]) * (form[-2] + form[-1])))
    return jnp.asarray(rng.uniform(-limit, limit, form), jnp.float32), jnp.zeros(form[-1])


def apply(layer: Layer, params: tuple[jax.Array, ...], x: jax.Array) -> jax.Array:
    """What the layer gives, before the activation."""
    match layer:
        case Conv(_, _, padding):
            w, b = params
            return (
                lax.conv_general_dilated(x, w, (1, 1), padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC")) + b
            )
        case Pool(size, stride):
            return lax.reduce_window(x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), "VALID")
        case Flatten():
            return x.reshape(len(x), -1)
        case Dense():
            w, b = params
            return x @ w + b


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[workload.activation]
    optimizer = {"sgd": optax.sgd, "adam": optax.adam}[workload.optimizer](workload.learning_rate)
    batches = [(jax.device_put(x), jax.device_put(y.astype(np.int32))) for x, y in workload.batches()]

    def start() -> tuple:
        rng = np.random.default_rng(0)
        params = [weights(rng, layer, shape) for layer, shape, _ in workload.shaped_layers()]
        return params, optimizer.init(params)

    def loss_of(params, x, y):
        for layer, own in zip(workload.layers[:-1], params, strict=False):
            x = apply(layer, own, x)
            if own:
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

    yield Side("jax jit", run, lambda: float(evaluate(state[0], *batches[0])))

    scanned = start()
    stacked = tuple(jnp.stack(parts) for parts in zip(*batches, strict=True))

    def run_scan(steps: int) -> None:
        nonlocal scanned
        for _ in range(steps // len(batches)):
            scanned, _ = whole(scanned, stacked)
        jax.block_until_ready(scanned)

    yield Side("jax scan", run_scan, lambda: float(evaluate(scanned[0], *batches[0])), len(batches), whole_pass=True)
