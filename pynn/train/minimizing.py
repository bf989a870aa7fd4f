"""Whole-batch training by conjugate gradients and by L-BFGS: SciPy's methods, on the gradient of a recorded step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from pynn import optim
from pynn.checks import choice, integer, of_kind
from pynn.errors import NonFiniteError
from pynn.train.batches import permutation
from pynn.train.data import Data
from pynn.train.trainer import Trainer

__all__ = ["METHODS", "Minimum", "Objective", "minimize"]

METHODS = {"cg": "CG", "l-bfgs": "L-BFGS-B"}  # SciPy's names
BEST_EFFORT = 1e-5  # both methods' own tolerance of the largest slope


class Minimum(NamedTuple):
    """What :func:`minimize` came to.

    Attributes
    ----------
    value : float
        The loss, of the last batch if there are several, at the weights that the model has now.
    iterations, evaluations : int
        In all: a line search evaluates loss and gradient once or more.
    complaint : str
        Why the method stopped, if it did not converge; else empty.
    interrupted : bool
        Whether Ctrl-C ended it.
    """

    value: float
    iterations: int
    evaluations: int
    complaint: str
    interrupted: bool


class Objective:
    """The mean loss over rows of data as a function of all trained weights, one float64 vector.

    An evaluation is one training step on these rows with learning rate 0, which leaves value and gradient behind. What
    layers draw, such as dropout's mask, is the same in every evaluation.

    Parameters
    ----------
    trainer : Trainer
    data : Data
    rows : ndarray of int64
    """

    def __init__(self, trainer: Trainer, data: Data, rows: np.ndarray):
        trainer.flatten()
        flat = trainer.flat
        assert flat is not None
        self.trainer, self.data, self.rows = trainer, data, rows
        self.weights = [t.view().reshape(-1) for t in flat.tensors]
        self.slopes = [flat.into[id(t)].view().reshape(-1) for t in flat.tensors]
        self.ends = np.cumsum([0, *(len(w) for w in self.weights)])
        self.evaluations = 0
        self.best = math.inf
        self.best_at = self.read()

    def read(self) -> np.ndarray:
        """Return the weights."""
        return np.concatenate(self.weights).astype(np.float64)

    def write(self, theta: np.ndarray) -> None:
        """Set the weights."""
        for w, start, stop in zip(self.weights, self.ends, self.ends[1:], strict=False):
            w[:] = theta[start:stop]

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Return value and gradient; the best weights so far are kept."""
        self.write(theta)
        trainer = self.trainer
        trainer.sums.view()[:] = 0
        trainer.slots.set(offset=0, step=0, rate=0.0)
        trainer.run_steps(self.data, self.rows, len(self.rows), 1, False, False)
        total, count = trainer.sums.view()
        value, slope = float(total / count), np.concatenate(self.slopes).astype(np.float64)
        self.evaluations += 1
        if value < self.best:
            self.best, self.best_at = value, np.array(theta, np.float64)
        return value, slope

    def descend(self, method: str, report: Callable[[], None] | None = None, **options: Any) -> Any:
        """Run a method of SciPy from the present weights; however it ends, the best weights found are the model's.

        `report` is called after each iteration; StopIteration from it ends the method.
        """
        import scipy.optimize

        def told(intermediate_result: Any) -> None:
            if report is not None:
                report()

        start = self.read()
        self.best_at = start
        try:
            return scipy.optimize.minimize(self, start, jac=True, method=method, callback=told, options=options)
        finally:
            self.write(self.best_at)


def minimize(
    model: Any,
    x: Any,
    y: Any,
    *,
    method: str = "l-bfgs",
    loss: Any = None,
    iterations: int = 100,
    epochs: int = 1,
    batch_size: int | None = None,
    sample_weight: Any = None,
    seed: int = 0,
    callback: Callable[[int, float], Any] | None = None,
) -> Minimum:
    """Minimize a model's loss over all of its data by conjugate gradients or L-BFGS, from its weights as they are.

    With `batch_size` the data are gone through `epochs` times in parts of so many rows, in an order by chance, with
    `iterations` of the method on each: what fine-tunes a network of many samples in few passes.

    Parameters
    ----------
    model : Module
        Any, built or not; compiled, unless `loss` is given. Its optimizer is not used and stays as it is.
    x : array_like [N, ...]
        As for ``fit``.
    y : array_like [N, ...]
        As for ``fit``.
    method : {"l-bfgs", "cg"}, default "l-bfgs"
        SciPy's "L-BFGS-B" or "CG" (Polak and Ribiere's).
    loss : str or pynn.losses.Loss, optional
        By default that of ``compile()``.
    iterations : int, default 100
        The most on all data, or on each part.
    epochs : int, default 1
        Passes over the parts; 1 without `batch_size`.
    batch_size : int, optional
        Rows of a part; rows that do not fill one are left out of that pass. By default all data are one.
    sample_weight : array_like [N], optional
    seed : int, default 0
        Of the order of the rows, and of what layers draw.
    callback : callable (iteration, value), optional
        Called after each iteration, counted from 1 in all, with the best loss so far; returning True ends the search.

    Returns
    -------
    Minimum
        Ctrl-C ends the search with ``interrupted`` set.

    Raises
    ------
    RuntimeError
        If the model is not compiled and no loss is given.
    ValueError
        If a setting is out of range.
    NonFiniteError
        If the loss is not finite where the search begins.
    DataError, ShapeError
        As for ``fit``.

    Notes
    -----
    The model's weights are those of the lowest loss found, whole, however the search ends: also after an error or
    Ctrl-C. While it goes on they are those that are tried.

    References
    ----------
    Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989. Hinton and Salakhutdinov,
    "Reducing the dimensionality of data with neural networks", Science, 2006 (conjugate gradients in parts).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn, train
    >>> x = np.linspace(-1, 1, 50, dtype="float32").reshape(-1, 1)
    >>> model = nn.Sequential([nn.Input((1,)), nn.Dense(20, "tanh", seed=0), nn.Dense(1, seed=1)])
    >>> found = train.minimize(model, x, np.sin(3 * x), loss="mse", method="cg")
    >>> found.value < 1e-3, found.iterations <= 100
    (True, True)
    """
    place = "minimize"
    of_kind(place, "model", model, "a model", "_need_trainer")
    name = METHODS[choice(place, "method", method, METHODS)]
    iterations, epochs = integer(place, "iterations", iterations, 1), integer(place, "epochs", epochs, 1)
    seed = integer(place, "seed", seed)
    if loss is None:
        loss = model._need_trainer(place).loss
    trainer = Trainer(model, optim.SGD(0.0), loss, (), seed, False)
    data = trainer.data(x, y, sample_weight, place=place)
    size = len(data) if batch_size is None else min(integer(place, "batch_size", batch_size, 1), len(data))
    if batch_size is None and epochs != 1:
        raise ValueError(f"[{place}] expected batch_size with epochs. Received: epochs={epochs} over all data.")
    made = tried = 0
    stopped = interrupted = False
    value, complaint = math.nan, ""
    objective: Objective | None = None

    def report() -> None:
        nonlocal made, stopped
        made += 1
        if callback is not None and callback(made, objective.best if objective else math.nan) is True:
            stopped = True
            raise StopIteration

    try:
        for epoch in range(epochs):
            order = permutation(seed, epoch, len(data), batch_size is not None)
            for start in range(0, len(data) - size + 1, size):
                objective = Objective(trainer, data, np.ascontiguousarray(order[start : start + size]))
                result = objective.descend(name, report, maxiter=iterations, gtol=BEST_EFFORT)
                tried += objective.evaluations
                if not math.isfinite(objective.best):
                    raise NonFiniteError(
                        f"[{place}] the loss is not finite at the weights that the search begins with."
                    )
                value, complaint = objective.best, "" if result.success or stopped else str(result.message)
                if stopped:
                    break
            if stopped:
                break
    except KeyboardInterrupt:
        interrupted = True
        assert objective is not None
        value, tried = objective.best, tried + objective.evaluations
    return Minimum(value, made, tried, complaint, interrupted)
