"""What Boltzmann machines in layers share: conditionals, Gibbs sampling, learning from data and from chains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pynn import ops
from pynn import random as draws
from pynn.checks import flag, integer, number
from pynn.core.context import training
from pynn.core.flat import Flat
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor, to_array
from pynn.errors import DataError, NonFiniteError, ShapeError
from pynn.nn.module import Module
from pynn.ops import steps
from pynn.ops.math import product
from pynn.ops.reduce import sum_to

if TYPE_CHECKING:
    from pynn.nn.annealing import LogPartition
    from pynn.schedules import Schedule
    from pynn.train.history import History
    from pynn.train.hooks import Callback
    from pynn.train.loop import Loop

__all__ = ["Machine", "Rule", "sparsities"]

ROWS = 1000  # of one pass of what is asked of many
SAMPLED = 8  # of so many rows the error of one is found, where it is not known anyway
DAMPING = 0.9  # of the running mean of a unit's activity


class Rule(NamedTuple):
    """How a machine learns; a part of the key of its programs."""

    gibbs: int
    updates: int
    chains: int  # 0: they start at the data
    weight_decay: float
    sparsity: tuple[tuple[float, float] | None, ...]  # of each hidden layer: (share of units that are on, cost)
    binarize: bool
    centered: bool


class Machine(Module, base=True):
    """A Boltzmann machine of layers 0 ... L, layer 0 visible, in which neighbours alone are connected.

    -E(s_0 ... s_L) = sum of b_l . s_l + sum of s_(l-1) W_l s_l. A layer is on with probability
    sigmoid(up s_(l-1) W_l + down s_(l+1) W_(l+1)^T + b_l), with up = down = 1 but in pre-training.
    """

    _unwatched = Module._unwatched | {"_loop", "_chains", "_activity", "_sgd", "_flat", "_bounded"}
    _of_layers = True
    _up = _down = 1.0
    _loop: Loop | None = None
    _sgd: Any = None
    _flat: Flat | None = None
    _chains: list[Tensor]  # what the odd layers of the persistent chains are
    _activity: list[Tensor]  # running means of the hidden layers
    _bounded = True  # whether data outside 0..1 are refused

    @property
    def _sizes(self) -> list[int]:
        """The units of the hidden layers."""
        raise NotImplementedError

    @property
    def _w(self) -> list[Tensor]:
        raise NotImplementedError

    @property
    def _b(self) -> list[Tensor]:
        """The biases of all layers, the visible one's first."""
        raise NotImplementedError

    def _need_rows(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2:
            raise ShapeError(
                f"[{self.name}] expected a batch of vectors, [N, features]. Received: x.shape={shape}. "
                "help: x.reshape(len(x), -1)."
            )

    # Units

    def _probability(self, layer: int, below: Tensor | None, above: Tensor | None) -> Tensor:
        """Return P(unit on | its neighbours) of a layer."""
        w, bias = self._w, self._b[layer]
        up = None if below is None else below if self._up == 1 else below * self._up
        if above is None:
            return ops.dense(up, w[layer - 1], bias, "sigmoid")
        total = product(above, w[layer], tb=True)
        if self._down != 1:
            total = total * self._down
        if up is not None:
            total = total + ops.dense(up, w[layer - 1])
        return ops.sigmoid(total + bias)

    def _given(self, layer: int, states: list[Any]) -> Tensor:
        below = states[layer - 1] if layer else None
        above = states[layer + 1] if layer < len(self._sizes) else None
        return self._probability(layer, below, above)

    def _infer(self, v: Tensor, updates: int) -> list[Tensor]:
        """Return the hidden layers' probabilities given data: exact for one layer, else by `updates` of mean field.

        They begin with a pass upwards in which each layer but the last counts what is below twice, for what is above.
        """
        last = len(self._sizes)
        w, b = self._w, self._b
        if last == 1:
            return [self._probability(1, v, None)]
        from_data = ops.dense(v, w[0], b[1])
        states: list[Any] = [v]
        for layer in range(1, last + 1):
            z = from_data if layer == 1 else ops.dense(states[-1], w[layer - 1], b[layer])
            if layer < last:
                z = z * 2.0 - b[layer]
            states.append(ops.sigmoid(z))
        for _ in range(updates):
            states[1] = ops.sigmoid(product(states[2], w[1], tb=True) + from_data)
            for layer in range(2, last + 1):
                states[layer] = self._given(layer, states)
        return states[1:]

    def _gibbs(self, states: list[Any], rounds: int) -> tuple[list[Any], Tensor]:
        """Sample the even layers given the odd ones and these given the even ones, `rounds` times.

        Returns the states, in which odd layers are probabilities of the last round, and the first probabilities of the
        visible layer. `states` holds samples at the end.
        """
        layers = range(len(self._sizes) + 1)
        first: Any = None
        told: list[Any] = [None for _ in layers]
        for _ in range(rounds):
            for parity in (0, 1):
                for layer in layers[parity::2]:
                    told[layer] = self._given(layer, states)
                    first = told[0] if first is None else first
                for layer in layers[parity::2]:
                    states[layer] = drawn(told[layer])
        return [states[layer] if layer % 2 == 0 else told[layer] for layer in layers], first

    # Learning

    def _learn(self, rule: Rule, loop: Loop, rows: list[Tensor], order: Tensor, n: int) -> None:
        """One step: probabilities given data, chains, and what data and chains differ in as the gradient."""
        flat, last = self._flat, len(self._sizes)
        assert flat is not None
        v = steps.batch(rows[0], order, loop.slots, n, self.dtype)
        if rule.binarize:
            v = drawn(v)
        told = self._infer(v, rule.updates)
        states: list[Any] = [None] * (last + 1)
        if rule.chains:
            states[1::2] = self._chains
        else:
            states[1] = drawn(told[0])
        free, first = self._gibbs(states, rule.gibbs)
        if rule.chains:
            for chain, state in zip(self._chains, states[1::2], strict=True):
                steps.assign(state, chain)
            first = self._probability(0, None, told[0][: -(-n // SAMPLED)])  # all of them take a sixth of the step
        loop.log((v[: first.shape[0]] - first).square().mean(), n)
        for i, wanted in enumerate(rule.sparsity):
            if wanted is not None:
                target, cost = wanted
                activity = self._activity[i] * DAMPING + told[i].mean(0) * (1 - DAMPING)
                steps.assign(activity, self._activity[i])
                told[i] = told[i] - (activity - target) * cost
        share = -1.0 / n, 1.0 / (rule.chains or n)
        both = [ops.concat([x, y]) for x, y in zip([v, *told], free, strict=True)]
        scaled = [ops.concat([x * share[0], y * share[1]]) for x, y in zip([v, *told], free, strict=True)]
        for bias, s in zip(self._b, scaled, strict=True):
            sum_to(s, bias.shape, flat.into[id(bias)])
        means = [x.mean(0, keepdims=True) for x in both] if rule.centered else []
        slopes = [flat.into[id(bias)].reshape(1, -1) for bias in self._b] if rule.centered else []
        for i, w in enumerate(self._w):
            small = i if self._b[i].size < self._b[i + 1].size else i + 1  # the smaller side carries the shares
            left, right = (scaled[i], both[i + 1]) if small == i else (both[i], scaled[i + 1])
            into = flat.into[id(w)]
            if rule.centered:  # the sum of shares times (x - mean x)(y - mean y), by two rows more
                left, right = (
                    ops.concat([left, slopes[i], means[i]]),
                    ops.concat([right, -means[i + 1], -slopes[i + 1]]),
                )
            if rule.weight_decay and not rule.centered:
                ops.add(product(left, right, ta=True), w * rule.weight_decay, out=into)
            else:
                product(left, right, ta=True, out=into)
        if rule.centered:
            self._recenter(rule, means)
        self._sgd.apply(flat, loop.slots)

    def _recenter(self, rule: Rule, means: list[Tensor]) -> None:
        """Take from the gradient of biases what the centered weights have taken over, then decay the weights."""
        assert self._flat is not None
        into = self._flat.into
        for i, w in enumerate(self._w):
            slope = into[id(w)]
            for bias, change in (
                (self._b[i], product(means[i + 1], slope, tb=True)),
                (self._b[i + 1], product(means[i], slope)),
            ):
                ops.add(into[id(bias)], -change.reshape(bias.shape), out=into[id(bias)])
            if rule.weight_decay:
                ops.add(slope, w * rule.weight_decay, out=slope)

    def _fit(
        self,
        x: Any,
        rule: Rule,
        *,
        epochs: int,
        batch_size: int,
        learning_rate: float | Schedule,
        momentum: float,
        shuffle: bool,
        seed: int | None,
        verbose: Any,
        callbacks: Callback | Iterable[Callback] | None,
    ) -> History:
        from pynn.optim import SGD
        from pynn.train.loop import Loop, fit_loop  # here, as whoever makes a layer need not train it

        place = type(self).__name__
        data = self._data(x, "x")
        epochs = integer(place, "epochs", epochs, 1)
        batch_size = integer(place, "batch_size", batch_size, 1)
        if not self.built:
            self._build_now((Tensor.state(data[:0]),))
        if data.shape[1] != self._b[0].size:
            raise ShapeError(f"[{place}] expected {self._b[0].size} features. Received: x.shape={data.shape}.")
        if self._loop is None or (seed is not None and seed != self._loop.seed):
            self._loop = Loop(integer(place, "seed", self._seed[0] if seed is None else seed))
        fresh = SGD(learning_rate, momentum=momentum)
        if self._sgd is None or bool(self._sgd.momentum) != bool(fresh.momentum):
            self._sgd = fresh
            self._flat = Flat([*self._w, *self._b])
        self._sgd._rate, self._sgd.momentum = fresh._rate, fresh.momentum
        loop, flat = self._loop, self._flat
        assert flat is not None
        if len(getattr(self, "_activity", ())) != len(self._sizes):
            targets = [0.0 if s is None else s[0] for s in rule.sparsity]
            self._activity = [
                Tensor.state(np.full(n, t, self.dtype)) for n, t in zip(self._sizes, targets, strict=True)
            ]
        if rule.chains and (not hasattr(self, "_chains") or self._chains[0].shape[0] != rule.chains):
            begin = Tensor.state(data[np.arange(rule.chains) % len(data)])  # far from data they would mislead at first
            with training(True, loop.slots), no_grad():
                self._chains = [Tensor.state(drawn(p).numpy()) for p in self._infer(begin, rule.updates)[::2]]
        key = rule, self._sgd.momentum, id(self._sgd)

        def step(rows: list[Tensor], order: Tensor, n: int) -> None:
            self._learn(rule, loop, rows, order, n)

        try:
            return fit_loop(
                self, loop, step, key, data, optimizer=self._sgd, flat=flat, epochs=epochs,
                batch_size=batch_size, shuffle=flag(place, "shuffle", shuffle),
                verbose=1 if verbose == "auto" else integer(place, "verbose", verbose, 0, 2), callbacks=callbacks,
                logged="error",
            )  # fmt: skip
        except NonFiniteError:
            raise NonFiniteError(
                f"[{place}] the reconstruction error is not finite: the weights have grown too large. "
                "help: a smaller learning_rate; weights are those of the step before."
            ) from None

    def _data(self, x: Any, what: str) -> np.ndarray:
        """Return rows of numbers from 0 to 1.

        Raises
        ------
        DataError
            If there are none, or some are NaN or outside.
        ShapeError
            If they are no rows.
        """
        from pynn.train.data import check_finite

        place = type(self).__name__
        given = to_array(x, place)
        self._need_rows(given.shape)
        if not given.size:
            raise DataError(f"[{place}] expected at least one sample. Received: {what}.shape={given.shape}.")
        if given.dtype.kind not in "fiub":
            raise DataError(f"[{place}] expected numbers. Received: {what} of {given.dtype}.")
        check_finite(given, what, place)
        low, high = given.min(), given.max()
        if self._bounded and (low < 0 or high > 1):
            raise DataError(
                f"[{place}] expected {what} in 0..1: probabilities, or units that are off or on. "
                f"Received: values from {low:g} to {high:g}. "
                "help: divide pixels by 255, or use sklearn.preprocessing.MinMaxScaler."
            )
        return np.ascontiguousarray(given, self.dtype)

    # What is asked of a machine

    def _parameters64(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        self._require_built(type(self).__name__)
        with self._still():
            return [w.numpy().astype(float) for w in self._w], [b.numpy().astype(float) for b in self._b]

    def sample(self, count: int = 16, rounds: int = 1000, start: Any = None) -> np.ndarray:
        """Return what the visible units say in chains of Gibbs sampling: probabilities in the last round.

        Parameters
        ----------
        count : int, default 16
            How many chains.
        rounds : int, default 1000
            Of each chain.
        start : array_like [count, features], optional
            Where the chains begin; by default in states by chance. Numbers come from :mod:`pynn.random`.

        Returns
        -------
        ndarray [count, features]
        """
        place = type(self).__name__
        self._require_built(place)
        rounds = integer(place, "rounds", rounds, 1)
        sizes = [self._b[0].size, *self._sizes]
        with no_grad():
            if start is None:
                count = integer(place, "count", count, 1)
                states: list[Any] = [None] * len(sizes)
                states[1::2] = [draws.bernoulli((count, n), 0.5, self.dtype) for n in sizes[1::2]]
            else:
                told = self._infer(Tensor.state(self._data(start, "start")), 10)
                states = [None, *(drawn(p) for p in told)]
            if rounds > 1:
                self._gibbs(states, rounds - 1)
            return self._given(0, states).numpy()

    def reconstruct(self, x: Any) -> np.ndarray:
        """Return the visible probabilities given the hidden ones of data.

        Parameters
        ----------
        x : array_like [N, features]
            In 0..1.
        """
        return self._passes(x, lambda v: self._probability(0, None, self._infer(v, 10)[0]))

    def _passes(self, x: Any, compute: Any) -> np.ndarray:
        """Compute with rows, a thousand at a time."""
        self._require_built(type(self).__name__)
        data = self._data(x, "x")
        with no_grad():
            parts = (Tensor.state(data[i : i + ROWS]) for i in range(0, len(data), ROWS))
            return np.concatenate([compute(part).numpy() for part in parts])

    def ais(
        self,
        chains: int = 100,
        temperatures: Any = 10_000,
        *,
        data: Any = None,
        backwards: int = 0,
        seed: int = 0,
    ) -> LogPartition:
        """Estimate log Z, the logarithm of the partition function, by annealed importance sampling in float64.

        Z = sum of exp(-E) over all states. Chains go from a machine without connections, of which Z is known, to this
        one; with the ratios of the unnormalised probabilities on the way, w, log Z = log Z_0 + log mean(w).

        Parameters
        ----------
        chains : int, default 100
        temperatures : int or array_like, default 10000
            How many inverse temperatures from 0 to 1, or which.
        data : array_like [N, features], optional
            In 0..1: the machine at the beginning has visible units as active as these, which is nearer to the trained
            one than units that are on half the time.
        backwards : int, default 0
            Go the other way, from states that so many rounds of Gibbs sampling make of some of the data. Too few
            temperatures, or a machine whose states fall apart into regions, make the usual way tell too little and this
            one too much: log Z is certain where both agree.
        seed : int, default 0

        Returns
        -------
        LogPartition
            ``value`` with an interval ``low`` ... ``high`` of three standard errors, the standard error ``error``, and
            the effective sample size ``effective``: of weights that differ much, few chains count.

        Warns
        -----
        RuntimeWarning
            If fewer than a tenth of the chains (or 2) count, or the error is above 0.5 nats; it says the error bar.

        References
        ----------
        R. M. Neal, "Annealed importance sampling", Statistics and Computing, 2001. R. Salakhutdinov and I. Murray, "On
        the quantitative analysis of deep belief networks", ICML 2008.
        """
        from pynn.nn.annealing import annealed

        place = type(self).__name__
        w, b = self._parameters64()
        seen = None if data is None else self._data(data, "data")
        rates = None if seen is None else seen.mean(0, dtype=float)
        begun = None
        if rounds := integer(place, "backwards", backwards):
            if seen is None:
                raise ValueError(f"[{place}] expected data with backwards. Received: data=None, backwards={rounds}.")
            begun = self._wandered(seen, integer(place, "chains", chains, 2), rounds, integer(place, "seed", seed))
        return annealed(place, w, b, rates, chains, temperatures, seed, begun)

    def _wandered(self, data: np.ndarray, chains: int, rounds: int, seed: int) -> list[np.ndarray]:
        """Return the odd layers of chains that began at some of the data, after rounds of Gibbs sampling."""
        from pynn.train.loop import Loop

        rows = data[np.random.default_rng(seed).permutation(len(data))[np.arange(chains) % len(data)]]
        with no_grad(), training(True, Loop(seed).slots):
            states: list[Any] = [None, *(drawn(p) for p in self._infer(Tensor.state(rows), 10))]
            self._gibbs(states, rounds)
        return [s.numpy().astype(float) for s in states[1::2]]


def drawn(p: Tensor) -> Tensor:
    """Return units that are on with probability p."""
    return draws.bernoulli(p.shape, p, p.dtype)


def sparsities(place: str, target: Any, cost: Any, layers: int) -> tuple[tuple[float, float] | None, ...]:
    """Return (share of units that are on, cost) of each hidden layer, or None where there is no target."""
    targets = list(target) if isinstance(target, (list, tuple, np.ndarray)) else [target] * layers
    if len(targets) != layers:
        raise ValueError(
            f"[{place}] expected sparsity as one share or one for each of {layers} hidden layers. Received: {target!r}."
        )
    cost = number(place, "sparsity_cost", cost, 0)
    shares = (None if t is None else number(place, "sparsity", t, 0, 1) for t in targets)
    return tuple(None if t is None else (t, cost) for t in shares)
