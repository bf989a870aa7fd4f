"""Slices of one tensor: their gradients are formed together, in one pass over the whole."""

import numpy as np
import pytest

import pynn
from pynn import nn, ops

KEYS = {
    "steps of a sequence": [np.s_[:, t] for t in range(5)],
    "backwards, with a gap": [np.s_[:, 4], np.s_[:, 2:4], np.s_[:, 0]],
    "gates": [np.s_[..., 2 * k : 2 * k + 2] for k in range(3)],
    "windows that overlap": [np.s_[:, t : t + 3] for t in range(3)],
    "the same part twice": [np.s_[:, 1], np.s_[:, 1]],
    "every second": [np.s_[:, ::2], np.s_[:, 1::2], np.s_[:, ::-1], np.s_[:, 4:0:-2]],
    "a grid": [np.s_[i : i + 2, j : j + 2] for i in (0, 2) for j in (0, 1, 2, 3)],
    "part of every step": [np.s_[:, t, 1:4] for t in range(5)],
    "one, none, all": [np.s_[1:2], np.s_[3:3], np.s_[:]],
    "new axes": [np.s_[:, None, 2], np.s_[0, ..., None]],
}


def taken_apart(rng, keys, dtype):
    """Return a tensor, a function of its parts, and the derivative of that."""
    x = rng.normal(size=(4, 5, 6)).astype(dtype)
    weights = [rng.normal(size=x[key].shape).astype(dtype) for key in keys]
    dx = np.zeros_like(x)
    for key, w in zip(keys, weights, strict=True):
        dx[key] += w
    return x, lambda t: sum(((t[k] * w).sum() for k, w in zip(keys, weights, strict=True)), ops.zeros((), dtype)), dx


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_gradients_of_parts_are_put_in_their_places(rng, keys, dtype):
    x, f, dx = taken_apart(rng, keys, dtype)
    np.testing.assert_allclose(pynn.grad(f)(pynn.tensor(x)).numpy(), dx, rtol=1e-5, atol=1e-6)
    t = pynn.tensor(x, requires_grad=True)  # beside a use of the whole, before and after
    ((t * 3.0).sum() + f(t) + (t * t).sum()).backward()
    np.testing.assert_allclose(t.grad.numpy(), dx + 3 + 2 * x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_second_derivatives_of_parts(rng, keys):
    x, _, _ = taken_apart(rng, keys, "float64")
    count = np.zeros_like(x)
    for key in keys:
        count[key] += 1

    def f(t):
        return sum(((t[key] ** 3.0).sum() for key in keys), ops.zeros((), "float64"))

    twice = pynn.grad(lambda t: pynn.grad(f)(t).sum())(pynn.tensor(x))
    np.testing.assert_allclose(twice.numpy(), 6 * x * count, rtol=1e-10, atol=1e-12)


class Walk(nn.Module):
    """A recurrence as people write it: a loop over the steps, gates cut out of one product."""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.now, self.before = nn.Dense(2 * units), nn.Dense(2 * units, use_bias=False)

    def forward(self, x):
        z, h = self.now(x), ops.zeros((len(x), self.units))
        for t in range(x.shape[1]):
            both = z[:, t] + self.before(h)
            gate = ops.sigmoid(both[:, : self.units])
            h = gate * h + (1.0 - gate) * ops.tanh(both[:, self.units :])
        return h


def walker(steps, **how):
    model = nn.Sequential([nn.Input((steps, 3)), Walk(4), nn.Dense(1)])
    model.compile(optimizer="sgd", loss="mse", seed=0, **how)
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(16, steps, 3)).astype("f"), rng.normal(size=(16, 1)).astype("f")


def test_a_loop_is_replayed_to_the_bits_of_eager():
    found = []
    for eagerly in (False, True):
        model, x, y = walker(6, run_eagerly=eagerly)
        model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        found.append(model.get_weights())
    for recorded, eager in zip(*found, strict=True):
        np.testing.assert_array_equal(recorded, eager)


def test_a_loop_over_steps_costs_in_proportion_to_them():
    written, memory = [], []
    for steps in (20, 80):
        model, x, y = walker(steps)
        profile = model.profile(x, y, batch_size=16, steps=1)
        written.append(profile.written)
        memory.append(profile.arena_bytes)
    assert written[1] < 5 * written[0]  # four times the steps; it was 12.6 when each wrote all of dx
    assert memory[1] < 5 * memory[0]
