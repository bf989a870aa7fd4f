"""JAX with optax: one jitted step at a time, and a whole pass over the batches in one jitted scan."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .side import Side
from .workloads import Workload


def sides(workload: Workload, threads: int) -> Iterator[Side]:
    activation = jnp.tanh if workload.activation == "tanh" else jax.nn.relu
    optimizer = {"sgd": optax.sgd, "adam": optax.adam}[workload.optimizer](workload.learning_rate)
    batches = [(jax.device_put(x), jax.device_put(y.astype(np.int32))) for x, y in workload.batches()]

    def start() -> tuple:
        rng = np.random.default_rng(0)
        params = []
        for inputs, outputs in zip(workload.sizes, workload.sizes[1:], strict=False):
            limit = np.sqrt(6 / (inputs + outputs))
            params.append((jnp.asarray(rng.uniform(-limit, limit, (inputs, outputs)), jnp.float32), jnp.zeros(outputs)))
        return params, optimizer.init(params)

    def loss_of(params, x, y):
        for w, b in params[:-1]:
            x = activation(x @ w + b)
        w, b = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(x @ w + b, y).mean()

    def step(state, batch):
        params, slots = state
        loss, gradients = jax.value_and_grad(loss_of)(params, *batch)
        updates, slots = optimizer.update(gradients, slots, params)
        return (optax.apply_updates(params, updates), slots), loss

    one = jax.jit(step, donate_argnums=0)
    whole = jax.jit(lambda state, stacked: jax.lax.scan(step, state, stacked), donate_argnums=0)
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
