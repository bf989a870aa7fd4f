"""The restricted Boltzmann machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.checks import flag, integer, number, positive
from pynn.core.tensor import Tensor
from pynn.nn.boltzmann import Machine, Rule, sparsities

if TYPE_CHECKING:
    from pynn.schedules import Schedule
    from pynn.train.history import History
    from pynn.train.hooks import Callback

__all__ = ["RBM"]


class RBM(Machine):
    """A restricted Boltzmann machine of units that are on or off: P(v, h) = exp(v . c + h . b + v W h) / Z.

    Given the visible units v, the hidden ones are independent, P(h_j = 1 | v) = sigmoid(v W + b)_j, and the other way
    round, P(v_i = 1 | h) = sigmoid(h W^T + c)_i. As a layer it gives the hidden probabilities of its input, so that it
    stands in a network like ``Dense(units, "sigmoid")``, with `c` unused. By itself it learns from data without
    labels: :meth:`fit` needs no ``compile()``.

    Parameters
    ----------
    units : int
        Hidden units.
    bottom_up : float, default 1.0
        What the visible units count towards the hidden ones: 2 for the first machine of a stack that becomes a
        :class:`DBM`, whose hidden units will have another layer above them.
    top_down : float, default 1.0
        What the hidden units count towards the visible ones: 2 for the last machine of such a stack.
    kernel_initializer : str or initializer, optional
        First values of ``w``; by default normal with deviation 0.01. Biases begin at 0.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `units` is not a positive integer, `bottom_up` or `top_down` not a positive number, or the name of an
        initializer is not known.
    ShapeError
        If the input is not a batch of vectors, [N, features].

    Notes
    -----
    Input [N, features], output [N, units]; weights ``w`` [features, units], ``b`` [units] and ``c`` [features].
    A step of training is recorded once and replayed, without Python; the numbers drawn are the same for any number of
    threads.

    References
    ----------
    P. Smolensky, "Information processing in dynamical systems: foundations of harmony theory", 1986. G. E. Hinton,
    "Training products of experts by minimizing contrastive divergence", 2002. T. Tieleman, "Training restricted
    Boltzmann machines using approximations to the likelihood gradient", ICML 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> x = np.repeat([[0, 0, 1, 1], [1, 1, 0, 0]], 50, axis=0)
    >>> rbm = nn.RBM(2, seed=1)
    >>> history = rbm.fit(x, epochs=100, batch_size=10, learning_rate=0.5, verbose=0)
    >>> rbm.reconstruct([[1, 1, 0, 0], [0, 0, 1, 1]]).round().tolist()
    [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    >>> rbm.transform(x).shape, rbm.free_energy(x).shape
    ((100, 2), (100,))
    """

    w: Tensor
    b: Tensor
    c: Tensor

    def __init__(
        self,
        units: int,
        *,
        bottom_up: float = 1.0,
        top_down: float = 1.0,
        kernel_initializer: str | Callable[..., Any] | None = None,
        name: str | None = None,
        seed: int | None = None,
    ):
        from pynn import init

        super().__init__(name, seed)
        self.units = positive("rbm", "units", units)
        self.bottom_up = number("rbm", "bottom_up", bottom_up, 0, open_low=True)
        self.top_down = number("rbm", "top_down", top_down, 0, open_low=True)
        self._initializers = init.get(init.Normal(std=0.01) if kernel_initializer is None else kernel_initializer)

    @property
    def _up(self) -> float:  # type: ignore[override]
        return self.bottom_up

    @property
    def _down(self) -> float:  # type: ignore[override]
        return self.top_down

    @property
    def _sizes(self) -> list[int]:
        return [self.units]

    @property
    def _w(self) -> list[Tensor]:
        return [self.w]

    @property
    def _b(self) -> list[Tensor]:
        return [self.c, self.b]

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._need_rows(input_shape)
        self.add_weight("w", (input_shape[1], self.units), self._initializers)
        self.add_weight("b", (self.units,), "zeros")
        self.add_weight("c", (input_shape[1],), "zeros")

    def forward(self, x: Tensor) -> Tensor:
        self._need_rows(x.shape)
        return self._probability(1, x, None)

    def extra_repr(self) -> str:
        shown = f"units={self.units}"
        for name in ("bottom_up", "top_down"):
            if getattr(self, name) != 1:
                shown += f", {name}={getattr(self, name):g}"
        return shown

    def fit(  # type: ignore[override]
        self,
        x: Any,
        *,
        epochs: int = 10,
        batch_size: int = 100,
        k: int = 1,
        persistent: int = 0,
        learning_rate: float | Schedule = 0.05,
        momentum: float = 0.5,
        weight_decay: float = 0.0,
        sparsity: float | None = None,
        sparsity_cost: float = 1e-3,
        binarize: bool = False,
        centered: bool = False,
        shuffle: bool = True,
        seed: int | None = None,
        verbose: Any = "auto",
        callbacks: Callback | Iterable[Callback] | None = None,
    ) -> History:
        """Learn by contrastive divergence: W += rate * (<v h> of data - <v h> after k rounds of Gibbs sampling).

        Further calls go on: with the same velocity and the same persistent chains.

        Parameters
        ----------
        x : array_like [N, features]
            In 0..1: units that are off or on, or the probabilities that they are on.
        epochs : int, default 10
        batch_size : int, default 100
        k : int, default 1
            Rounds of Gibbs sampling in a step.
        persistent : int, default 0
            How many chains go on from step to step (persistent contrastive divergence), begun at some of the data; 0
            begins them at the data in every step.
        learning_rate : float or Schedule, default 0.05
        momentum : float, default 0.5
            In [0, 1). Hinton's guide advises 0.5 at first and 0.9 later: two calls.
        weight_decay : float, default 0.0
            Of the weights, not of biases: their gradient is increased by weight_decay * W.
        sparsity : float, optional
            The share of the data for which a hidden unit should be on.
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
            For every epoch ``error``, the mean squared error of reconstructions (of an eighth of each batch, with
            persistent chains), which falls while the machine learns but is not what it minimizes. Ctrl-C ends training
            with ``interrupted`` set.

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
            integer("RBM", "k", k, 1), 0, integer("RBM", "persistent", persistent),
            number("RBM", "weight_decay", weight_decay, 0), sparsities("RBM", sparsity, sparsity_cost, 1),
            flag("RBM", "binarize", binarize),
            flag("RBM", "centered", centered),
        )  # fmt: skip
        return self._fit(
            x, rule, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, momentum=momentum,
            shuffle=shuffle, seed=seed, verbose=verbose, callbacks=callbacks,
        )  # fmt: skip

    def transform(self, x: Any) -> np.ndarray:
        """Return the probabilities of the hidden units given data, [N, units]."""
        return self._passes(x, lambda v: self._probability(1, v, None))

    def free_energy(self, x: Any) -> np.ndarray:
        """Return F(v) = -v . c - sum of softplus(v W + b), float64 [N]: P(v) = exp(-F(v)) / Z.

        Raises
        ------
        ValueError
            If `bottom_up` or `top_down` is not 1: such a machine is a part of a larger one and has no energy.
        """
        self._need_energy()
        (w,), (c, b) = self._parameters64()
        v = self._data(x, "x").astype(float)
        return np.asarray(-(v @ c) - np.logaddexp(0.0, v @ w + b).sum(1))

    def log_likelihood(self, x: Any, log_z: float) -> np.ndarray:
        """Return log P(v) = -F(v) - log Z, float64 [N], with the log Z of :meth:`ais`."""
        return -self.free_energy(x) - number("RBM", "log_z", getattr(log_z, "value", log_z))

    def _need_energy(self) -> None:
        if self._up != 1 or self._down != 1:
            raise ValueError(
                f"[RBM] expected bottom_up and top_down of 1. Received: {self.bottom_up:g} and {self.top_down:g}. "
                "help: such a machine is a part of a DBM; ask that for energies."
            )

    def _parameters64(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        self._need_energy()
        return super()._parameters64()
