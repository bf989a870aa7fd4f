"""Annealed importance sampling: the partition function of a Boltzmann machine, with its error bar."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from pynn import ops
from pynn import random as draws
from pynn.checks import integer, number
from pynn.core.tensor import Tensor
from pynn.errors import warn
from pynn.ops import steps
from pynn.ops.math import product
from pynn.train.loop import STEPS, Loop

__all__ = ["LogPartition", "annealed"]

FEW = 0.1  # of the chains; if fewer count, the estimate is not to be trusted
WIDE = 0.5  # nats of the standard error
RARE = 0.05  # added to the counts of features of the data, so that none is certain


class LogPartition(NamedTuple):
    """An estimate of log Z.

    Attributes
    ----------
    value : float
        log Z, in nats.
    low, high : float
        Three standard errors of mean(w) below and above, as logarithms; low is -inf where that is below 0.
    error : float
        The standard error of mean(w) as a share of it, which is about that of `value` in nats.
    effective : float
        How many of the chains count: (sum of w)**2 / sum of w**2.
    chains : int
    """

    value: float
    low: float
    high: float
    error: float
    effective: float
    chains: int


def annealed(
    place: str,
    w: list[np.ndarray],
    b: list[np.ndarray],
    rates: np.ndarray | None,
    chains: Any,
    temperatures: Any,
    seed: Any,
    begun: list[np.ndarray] | None = None,
) -> LogPartition:
    """Return log Z of the machine with weights w and biases b, float64; see Machine.ais.

    `begun` are states of the odd layers, drawn from the machine: chains go from them to beta = 0.

    The chains hold the odd layers; the even ones are summed out. With x_l the input of an even layer from the odd ones,
    a_l the biases of the machine at the beginning, and beta the inverse temperature,

        log p_beta = beta * sum over odd l of b_l . s_l
                   + sum over even l of softplus((1 - beta) a_l + beta (x_l + b_l))
    """
    chains = integer(place, "chains", chains, 2)
    betas = _betas(place, temperatures)[:: 1 if begun is None else -1]
    pairs = np.stack([betas[:-1], betas[1:]], axis=1)
    loop = Loop(integer(place, "seed", seed))
    weights, biases = [Tensor.state(x) for x in w], [Tensor.state(x) for x in b]
    even, odd = range(0, len(b), 2), range(1, len(b), 2)
    start = {layer: np.zeros_like(b[layer]) for layer in even}
    if rates is not None:
        rates = (rates + RARE) / (1 + 2 * RARE)
        start[0] = np.log(rates / (1 - rates))
    begin = {layer: Tensor.state(x) for layer, x in start.items()}
    rng = np.random.Generator(np.random.Philox(key=[seed, 1]))
    if begun is None:
        begun = [(rng.random((chains, b[layer].size)) < 0.5).astype(float) for layer in odd]
    chain = {layer: Tensor.state(x) for layer, x in zip(odd, begun, strict=True)}
    log_w = Tensor.state(np.zeros(chains))

    def given(layer: int, states: dict[int, Tensor]) -> Tensor:
        """Return the input of a layer from its neighbours, bias included, at beta = 1."""
        total = biases[layer]
        if layer:
            total = product(states[layer - 1], weights[layer - 1]) + total
        if layer < len(weights):
            total = product(states[layer + 1], weights[layer], tb=True) + total
        return total

    def step(rows: list[Tensor], order: Tensor, n: int) -> None:
        pair = steps.batch(rows[0], order, loop.slots, 1, np.float64)
        now, then = pair[0, 0], pair[0, 1]
        gain = log_w
        states = {}
        for layer in even:
            x = given(layer, chain)
            z = begin[layer] * (1.0 - then) + x * then
            before = begin[layer] * (1.0 - now) + x * now
            gain = gain + (ops.softplus(z) - ops.softplus(before)).sum(1)
            states[layer] = draws.bernoulli(z.shape, ops.sigmoid(z), np.float64)
        for layer in odd:
            gain = gain + (then - now) * (chain[layer] * biases[layer]).sum(1)
        for layer in odd:
            p = ops.sigmoid(given(layer, states) * then)
            steps.assign(draws.bernoulli(p.shape, p, np.float64), chain[layer])
        steps.assign(gain, log_w)

    order = np.arange(len(pairs))
    for at in range(0, len(pairs), STEPS):
        loop.run(step, "ais", [pairs, order], 1, min(STEPS, len(pairs) - at))
    first = sum(b[layer].size for layer in odd) * math.log(2.0)
    first += sum(float(np.logaddexp(0.0, a).sum()) for a in start.values())
    return _estimate(place, first, log_w.numpy(), betas[0] > 0)


def _betas(place: str, temperatures: Any) -> np.ndarray:
    if np.ndim(temperatures) == 0:
        return np.linspace(0.0, 1.0, integer(place, "temperatures", temperatures, 2))
    betas = np.array([number(place, "temperatures", t, 0, 1) for t in temperatures])
    if len(betas) < 2 or betas[0] != 0 or betas[-1] != 1 or (np.diff(betas) < 0).any():
        raise ValueError(f"[{place}] expected temperatures that rise from 0 to 1. Received: {len(betas)} others.")
    return betas


def _estimate(place: str, first: float, log_w: np.ndarray, backwards: bool) -> LogPartition:
    """Return log Z = first + log mean(w) with its error, of the logarithms of w; backwards, first - log mean(w)."""
    n, top = len(log_w), log_w.max()
    w = np.exp(log_w - top)
    mean = w.mean()
    share = float(w.std(ddof=1) / math.sqrt(n) / mean)
    sign = -1.0 if backwards else 1.0
    value = float(first + sign * (top + math.log(mean)))
    ends = [value + sign * (math.log1p(z * share) if z * share > -1 else -math.inf) for z in (-3, 3)]
    found = LogPartition(value, min(ends), max(ends), share, float(w.sum() ** 2 / (w**2).sum()), n)
    if found.effective < max(2.0, FEW * n) or share > WIDE:
        warn(
            f"[{place}] annealed importance sampling has not converged: log Z = {value:.2f}, but between "
            f"{found.low:.2f} and {found.high:.2f} (three standard errors), and {found.effective:.1f} of {n} chains "
            "count. help: more temperatures, more chains, or data= for a nearer beginning.",
            RuntimeWarning,
        )
    return found
