"""The deep Boltzmann machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn import ops
from pynn.checks import flag, integer, is_integer, number, written
from pynn.core.card import Fan
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.boltzmann import Machine, Rule, sparsities
from pynn.nn.layers import Dense, Dropout, Input
from pynn.nn.rbm import RBM
from pynn.nn.sequential import Sequential

if TYPE_CHECKING:
    from pynn.schedules import Schedule
    from pynn.train.history import History
    from pynn.train.hooks import Callback

__all__ = ["DBM"]


class DBM(Machine):
    """A deep Boltzmann machine: -E(v, h1, h2 ...) = v . b0 + sum of h_l . b_l + v W1 h1 + h1 W2 h2 + ...

    Units of a layer are independent given those of the layers next to it: P(h1_j = 1 | v, h2) = sigmoid(v W1 + h2 W2^T
    + b1)_j. Given data alone they are not; mean field finds the nearest distribution q of independent units, by
    updating layer after layer with probabilities in the place of states. As a layer it gives the probabilities of its
    last hidden layer by mean field.

    Learning: a stack of restricted Boltzmann machines (:meth:`stack`, :meth:`from_stack`, or :meth:`pretrain` for
    both), then all layers together (:meth:`fit`), then with labels, as the network :meth:`classifier`.

    Parameters
    ----------
    hidden_units : sequence of int
        Of two or more hidden layers.
    updates : int, default 10
        Rounds of mean field.
    kernel_initializer : str or initializer, optional
        First values of the weights; by default normal with deviation 0.01. Biases begin at 0.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `hidden_units` are not two or more positive integers, `updates` is not an integer of at least 0, or the name
        of an initializer is not known.
    ShapeError
        If the input is not a batch of vectors, [N, features].

    Notes
    -----
    Input [N, features], output [N, hidden_units[-1]]; weights ``w1`` [features, hidden_units[0]], ``w2``
    [hidden_units[0], hidden_units[1]] ..., biases ``b0`` [features], ``b1`` [hidden_units[0]] ...

    References
    ----------
    R. Salakhutdinov and G. E. Hinton, "Deep Boltzmann machines", AISTATS 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> x = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0]], 50, axis=0)
    >>> dbm = nn.DBM([3, 2], seed=0)
    >>> machines = dbm.pretrain(x, epochs=50, batch_size=10, learning_rate=0.3, verbose=0)
    >>> history = dbm.fit(x, epochs=20, batch_size=10, learning_rate=0.05, verbose=0)
    >>> bound = dbm.bound(x, dbm.ais(temperatures=500))
    >>> bound.shape, bool(bound.mean() > -4 * np.log(2))
    ((100,), True)
    """

    def __init__(
        self,
        hidden_units: Sequence[int],
        *,
        updates: int = 10,
        kernel_initializer: str | Callable[..., Any] | None = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        from pynn import init

        super().__init__(name, seed)
        given: list[Any] = list(hidden_units) if isinstance(hidden_units, (list, tuple, np.ndarray)) else [hidden_units]
        if len(given) < 2 or not all(is_integer(n, 1) for n in given):
            raise ValueError(
                f"[dbm] expected hidden_units of two or more layers. Received: hidden_units={written(hidden_units)}. "
                "help: nn.DBM([500, 1000]); a machine with one hidden layer is an nn.RBM."
            )
        self.hidden_units = [int(n) for n in given]
        self.updates = integer("dbm", "updates", updates)
        self._initializers = init.get(init.Normal(std=0.01) if kernel_initializer is None else kernel_initializer)

    @property
    def _sizes(self) -> list[int]:
        return self.hidden_units

    @property
    def _w(self) -> list[Tensor]:
        return [self._weights[f"w{i}"] for i in range(1, len(self.hidden_units) + 1)]

    @property
    def _b(self) -> list[Tensor]:
        return [self._weights[f"b{i}"] for i in range(len(self.hidden_units) + 1)]

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._need_rows(input_shape)
        sizes = [input_shape[1], *self.hidden_units]
        for i in range(1, len(sizes)):
            self.add_weight(f"w{i}", (sizes[i - 1], sizes[i]), self._initializers)
        for i, size in enumerate(sizes):
            self.add_weight(f"b{i}", (size,), "zeros")

    def forward(self, x: Tensor) -> Tensor:
        self._need_rows(x.shape)
        return self._infer(x, self.updates)[-1]

    def fan(self) -> Fan:
        """Return the units and their connections, which the updates of the mean field use again and again."""
        return Fan(sum(b.size for b in self._b[1:]), sum(w.size for w in self._w))

    def extra_repr(self) -> str:
        return f"hidden_units={self.hidden_units}" + (f", updates={self.updates}" if self.updates != 10 else "")

    # Pre-training

    def stack(self) -> list[RBM]:
        """Return untrained machines, one for each hidden layer, that :meth:`from_stack` makes this one of.

        The first counts its input twice on the way up, the last its hidden units twice on the way down, as each hidden
        layer but the last will have neighbours on both sides. Machines between them are usual ones, whose weights will
        be halved.
        """
        last = len(self.hidden_units) - 1
        seeds = [None if self._given_seed is None else self._given_seed + i for i in range(last + 1)]
        return [
            RBM(n, bottom_up=1.0 + (i == 0), top_down=1.0 + (i == last), seed=seeds[i])
            for i, n in enumerate(self.hidden_units)
        ]

    def from_stack(self, machines: Sequence[RBM]) -> None:
        """Take the weights of trained machines, each of which learned from the hidden units of the one below.

        A hidden layer that stands between two machines gets the mean of their inputs to it: W1 as it is, the weights of
        inner machines halved, and of biases the mean.

        Parameters
        ----------
        machines : sequence of RBM
            As :meth:`stack` makes them, trained.

        Raises
        ------
        ShapeError
            If the machines do not fit this one.
        """
        last = len(self.hidden_units) - 1
        sizes = [tuple(m.w.shape) for m in machines if m.built]
        wanted = list(zip([sizes[0][0] if sizes else 0, *self.hidden_units], self.hidden_units, strict=False))
        if sizes != wanted:
            raise ShapeError(f"[DBM] expected machines of {wanted}, trained. Received: {sizes}.")
        if not self.built:
            self._build_now((Tensor.state(np.zeros((0, sizes[0][0]), self.dtype)),))
        arrays = {"b0": machines[0].c.numpy()}
        for i, machine in enumerate(machines):
            arrays[f"w{i + 1}"] = machine.w.numpy() * (1.0 if i in (0, last) else 0.5)
            bias = machine.b.numpy()
            arrays[f"b{i + 1}"] = bias if i == last else (bias + machines[i + 1].c.numpy()) / 2
        self.set_weights([arrays[name] for name, _ in self.named_parameters()])

    def pretrain(self, x: Any, *, binarize: bool = False, **fit: Any) -> list[RBM]:
        """Train the machines of :meth:`stack`, each on the hidden probabilities of the one below, and take them over.

        Parameters
        ----------
        x : array_like [N, features]
            In 0..1.
        binarize : bool, default False
            Of the first machine; see :meth:`RBM.fit`.
        **fit : object
            More for :meth:`RBM.fit`, for all machines alike. Other settings for each: train those of :meth:`stack` one
            by one and call :meth:`from_stack`.

        Returns
        -------
        list of RBM
        """
        machines = self.stack()
        for i, machine in enumerate(machines):
            machine.fit(x, binarize=flag("DBM", "binarize", binarize) and i == 0, **fit)
            if i < len(machines) - 1:
                x = machine.transform(x)
        self.from_stack(machines)
        return machines

    # All layers together

    def fit(  # type: ignore[override]
        self,
        x: Any,
        *,
        epochs: int = 10,
        batch_size: int = 100,
        chains: int = 100,
        k: int = 5,
        updates: int | None = None,
        learning_rate: float | Schedule = 0.001,
        momentum: float = 0.5,
        weight_decay: float = 0.0,
        sparsity: float | Sequence[float] | None = None,
        sparsity_cost: float = 1e-3,
        binarize: bool = False,
        centered: bool = False,
        shuffle: bool = True,
        seed: int | None = None,
        verbose: Any = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
    ) -> History:
        """Learn all layers together: W_l += rate * (<h_(l-1) h_l> by mean field on data - <h_(l-1) h_l> of chains).

        The chains begin at some of the data and go on from step to step. From random weights this seldom works: call
        :meth:`pretrain` before. Further calls go on, with the same velocity and chains.

        Parameters
        ----------
        x : array_like [N, features]
            In 0..1.
        epochs : int, default 10
        batch_size : int, default 100
        chains : int, default 100
        k : int, default 5
            Rounds of Gibbs sampling of the chains in a step.
        updates : int, optional
            Rounds of mean field in a step; by default those of the machine.
        learning_rate : float or Schedule, default 0.001
        momentum : float, default 0.5
            In [0, 1).
        weight_decay : float, default 0.0
            Of the weights, not of biases.
        sparsity : float or sequence of float, optional
            The share of the data for which a hidden unit should be on, for all hidden layers or one for each.
        sparsity_cost : float, default 1e-3
            What a hidden unit's input is pushed by, times how far its running mean is from `sparsity`.
        binarize : bool, default False
            Draw units that are off or on from x anew in every step.
        centered : bool, default False
            Follow the gradient of a machine that counts every unit from its mean over data and chains: it learns as
            well from dark images as from light ones, and faster (Cho, Raiko and Ilin 2011).
        shuffle : bool, default True
        seed : int, optional
            Of shuffling and sampling; by default the machine's own.
        verbose : {"auto", 0, 1, 2}, default "auto"
            As for :class:`pynn.train.ProgressBar`.
        callbacks : Callback or iterable of Callback, optional
            Their hooks of training, epochs and progress are called.

        Returns
        -------
        pynn.train.History
            For every epoch ``error``, the mean squared error of reconstructions from the first hidden layer, of an
            eighth of each batch. Ctrl-C ends training with ``interrupted`` set.

        Raises
        ------
        DataError
            If x holds NaN, or numbers below 0 or above 1.
        ShapeError
            If x is not [N, features].
        ValueError
            If a setting is out of range.
        NonFiniteError
            If the weights overflow.
        """
        rule = Rule(
            integer("DBM", "k", k, 1), integer("DBM", "updates", self.updates if updates is None else updates),
            integer("DBM", "chains", chains, 1), number("DBM", "weight_decay", weight_decay, 0),
            sparsities("DBM", sparsity, sparsity_cost, len(self.hidden_units)), flag("DBM", "binarize", binarize),
            flag("DBM", "centered", centered),
        )  # fmt: skip
        return self._fit(
            x, rule, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, momentum=momentum,
            shuffle=shuffle, seed=seed, verbose=verbose, callbacks=callbacks,
        )  # fmt: skip

    # What is asked of it

    def mean_field(self, x: Any, updates: int | None = None) -> list[np.ndarray]:
        """Return the probabilities of every hidden layer given data, by mean field.

        Parameters
        ----------
        x : array_like [N, features]
        updates : int, optional
            Rounds; by default those of the machine.

        Returns
        -------
        list of ndarray [N, units of the layer]
        """
        rounds = integer("DBM", "updates", self.updates if updates is None else updates)
        ends = np.cumsum(self.hidden_units)[:-1]
        whole = self._passes(x, lambda v: ops.concat(self._infer(v, rounds), axis=1))
        return [np.ascontiguousarray(part) for part in np.split(whole, ends, axis=1)]

    def transform(self, x: Any) -> np.ndarray:
        """Return the probabilities of the last hidden layer given data, by mean field, [N, hidden_units[-1]]."""
        return self.mean_field(x)[-1]

    def bound(self, x: Any, log_z: Any, updates: int = 50) -> np.ndarray:
        """Return a lower bound of log P(v): E_q[-E(v, h)] + entropy of q - log Z, with q of mean field.

        Parameters
        ----------
        x : array_like [N, features]
        log_z : float or LogPartition
            Of :meth:`ais`.
        updates : int, default 50
            Rounds of mean field: any number gives a bound, more of them a closer one.

        Returns
        -------
        ndarray of float64 [N]
        """
        log_z = number("DBM", "log_z", getattr(log_z, "value", log_z))
        w, b = self._parameters64()
        told = [self._data(x, "x").astype(float), *(q.astype(float) for q in self.mean_field(x, updates))]
        total: Any = -log_z
        for states, bias in zip(told, b, strict=True):
            total = total + states @ bias
        for lower, upper, weights in zip(told, told[1:], w, strict=False):
            total = total + ((lower @ weights) * upper).sum(1)
        for q in told[1:]:
            total = total - (_x_log_x(q) + _x_log_x(1 - q)).sum(1)
        return np.asarray(total)

    # With labels

    def augmented(self, x: Any) -> np.ndarray:
        """Return [x, Q(h2 | x)], [N, features + hidden_units[1]]: the input of :meth:`classifier`."""
        return np.concatenate([self._data(x, "x"), self.mean_field(x)[1]], axis=1)

    def classifier(
        self, classes: int, *, dropout: float | Sequence[float] = 0.0, seed: int | None = None
    ) -> Sequential:  # fmt: skip
        """Return the network of a machine with two hidden layers for labels: [x, Q(h2 | x)] -> h1 -> h2 -> softmax.

        Its first layer has the weights [W1; W2^T], so that it begins as a step of mean field; the last one is random.
        All of them are the network's own.

        Parameters
        ----------
        classes : int
        dropout : float or three of them, default 0.0
            The share of numbers that is left out before every layer, or before each, while training.
        seed : int, optional
            Of the weights of the last layer.

        Raises
        ------
        ValueError
            If there are more than two hidden layers, or shares are not one or three, from 0 to below 1.
        """
        if len(self.hidden_units) != 2:
            raise ValueError(f"[DBM] expected two hidden layers. Received: hidden_units={self.hidden_units}.")
        (w1, w2), (_, b1, b2) = self._parameters64()
        layers: list[Any] = [Dense(n, activation="sigmoid") for n in self.hidden_units]
        layers.append(Dense(integer("DBM", "classes", classes, 2), "softmax"))
        given = list(dropout) if isinstance(dropout, (list, tuple, np.ndarray)) else [dropout] * len(layers)
        if len(given) != len(layers):
            raise ValueError(f"[DBM] expected dropout as one share or as three. Received: dropout={dropout!r}.")
        for at in reversed(range(len(layers))):
            if share := number("DBM", "dropout", given[at], 0, 1, open_high=True):
                layers.insert(at, Dropout(share))
        width = w1.shape[0] + w2.shape[1]
        model = Sequential([Input((width,)), *layers])
        if seed is not None:
            model.assign_seeds(integer("DBM", "seed", seed))
        model.build((1, width))
        model.set_weights([np.concatenate([w1, w2.T]), b1, w2, b2, *model.get_weights()[4:]])
        return model


def _x_log_x(q: np.ndarray) -> np.ndarray:
    return np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0)
