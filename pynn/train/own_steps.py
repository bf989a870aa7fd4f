"""Training by a step of the model's own: ``train_step(batch)`` in the place of forward pass, loss and update."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pynn.checks import integer
from pynn.core.tensor import tensor
from pynn.errors import DataError, NonFiniteError
from pynn.train.batches import permutation
from pynn.train.callbacks import CallbackList
from pynn.train.data import split_last
from pynn.train.feed import gives_batches, unpack

__all__ = ["batches_of", "fit_by_steps", "flat", "mapped", "measured_by_steps", "run"]


def mapped(function: Callable[[Any], Any], nested: Any) -> Any:
    """Return the same structure of lists, tuples and dicts with function(item) in the place of every item."""
    if isinstance(nested, dict):
        return {key: mapped(function, value) for key, value in nested.items()}
    if isinstance(nested, tuple) and hasattr(nested, "_fields"):
        return type(nested)(*(mapped(function, value) for value in nested))
    if isinstance(nested, (list, tuple)):
        return type(nested)(mapped(function, value) for value in nested)
    return function(nested)


def flat(nested: Any) -> Iterator[Any]:
    """Yield the items of a structure."""
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, (list, tuple)):
        for value in nested:
            yield from flat(value)
    else:
        yield nested


def _tensor(model: Any, value: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        return value
    return tensor(value.astype(model.dtype)) if value.dtype.kind == "f" else tensor(value)


def batches_of(model: Any, data: Any, size: int | None, order: Any = None, steps: int | None = None) -> Iterator[Any]:
    """Yield batches of tensors (x, y, weights), of which None are left out, or those that something gives."""
    if gives_batches(data[0]):
        for i, batch in enumerate(data[0]):
            if i == steps:
                return
            yield mapped(lambda v: _tensor(model, np.asarray(v)), batch)
        return
    parts = [mapped(np.asarray, part) for part in data if part is not None]
    n = len(next(flat(parts)))
    order = np.arange(n) if order is None else order
    for i in range(0, n, size or max(n, 1)):
        rows = order[i : i + (size or n)]
        batch = [mapped(lambda v: _tensor(model, v[rows]), part) for part in parts]  # noqa: B023  (called at once)
        yield tuple(batch) if len(batch) > 1 else batch[0]


def told(step: str, found: Any) -> dict[str, float]:
    """Return what a step returned as numbers by name."""
    if not hasattr(found, "items"):
        raise TypeError(
            f"[{step}] expected a dict of what is logged, such as {{'loss': loss}}. Received: {type(found).__name__}. "
            f"help: end {step}() with a return statement."
        )
    return {key: float(np.asarray(v.numpy() if hasattr(v, "numpy") else v).mean()) for key, v in found.items()}


class _Means:
    """Means of numbers by name, each batch with the weight of its rows."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.rows: dict[str, int] = {}

    def add(self, logs: dict[str, float], batch: Any) -> dict[str, float]:
        """Take in a batch; returns the means so far."""
        n = next((len(v) for v in flat(batch) if np.ndim(v)), 1)
        for key, value in logs.items():
            self.sums[key] = self.sums.get(key, 0.0) + n * value
            self.rows[key] = self.rows.get(key, 0) + n
        return {key: total / self.rows[key] for key, total in self.sums.items()}


def measured_by_steps(model: Any, data: Any, size: int | None, mean: bool = True) -> dict[str, float]:
    """Return what test_step(batch) returns: the mean over all rows, or the last."""
    logs: dict[str, float] = {}
    means = _Means()
    for batch in batches_of(model, data, size):
        found = told("test_step", model.test_step(batch))
        logs = means.add(found, batch) if mean else found
    return logs


def run(
    model: Any,
    step: Callable[[Any, Any], Any],
    data: Any,
    size: int | None,
    epochs: int,
    callbacks: Any,
    measure: Callable[[], dict[str, float]] | None,
    shuffle: bool = True,
    first: int = 0,
    steps: int | None = None,
    verbose: int = 0,
    mean: bool = True,
    check_finite: bool = False,
) -> Any:
    """Train by step(model, batch), which returns what is logged; returns the History.

    Parameters
    ----------
    model : Module
    step : callable
    data : tuple (x, y, sample_weight)
    size : int or None
        Rows of a batch.
    epochs, first : int
        Up to which epoch, and from which.
    callbacks : sequence of Callback
    measure : callable, optional
        Returns what is logged of the validation data, after each epoch.
    shuffle : bool, default True
    steps : int, optional
        Batches of an epoch, where something gives them.
    verbose : int, default 0
    mean : bool, default True
        Log the mean over the rows of an epoch; else what the last step returned.
    check_finite : bool, default False
        Raise if what is logged is NaN or infinite.
    """
    n = 0 if gives_batches(data[0]) else len(next(flat(data[0])))
    count = steps if n == 0 else math.ceil(n / (size or n))
    params = {"epochs": epochs, "steps": count, "batch_size": size, "verbose": verbose, "initial_epoch": first}
    hooks = CallbackList(callbacks, model=model, params=params, verbose=verbose)
    check_finite = check_finite and not hooks.takes_nonfinite
    logs: dict[str, float] = {}
    model.stop_training = hooks.history.interrupted = False
    hooks.on_train_begin()
    try:
        for epoch in range(first, epochs):
            hooks.on_epoch_begin(epoch)
            for metric in getattr(model, "metrics", ()):
                metric.reset()
            order = permutation(model._seed[-1], epoch, n, True) if shuffle and n else None
            means, i = _Means(), -1
            for i, batch in enumerate(batches_of(model, data, size, order, steps)):
                if hooks.needs_batches:
                    hooks.on_train_batch_begin(i)
                found = told("train_step", step(model, batch))
                bad = [key for key, value in found.items() if not math.isfinite(value)] if check_finite else []
                if bad:
                    raise NonFiniteError(
                        f"[fit] {bad[0]!r} became {found[bad[0]]} in epoch {epoch + 1}, batch {i + 1}."
                    )
                logs = means.add(found, batch) if mean else found
                if hooks.needs_batches:
                    hooks.on_train_batch_end(i, logs)
                if hooks.takes_progress:
                    hooks.on_progress(i + 1, count, logs)
                if model.stop_training:
                    break
            if i < 0:
                raise DataError("[fit] expected at least one batch. Received: none.")
            if measure is not None:
                logs = logs | {f"val_{key}": value for key, value in measure().items()}
            hooks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    except KeyboardInterrupt:
        model.stop_training = hooks.history.interrupted = True
    finally:
        hooks.on_train_end(logs)
    return hooks.history


def fit_by_steps(model: Any, x: Any, y: Any, given: dict[str, Any]) -> Any:
    """Train a model whose class writes ``train_step(self, batch)``; see Module.fit."""
    for name in ("class_weight", "accumulate", "resume", "validation_steps"):
        if given[name] is not None:
            raise ValueError(
                f"[fit] {type(model).__name__} has a train_step() of its own, which takes no {name}. "
                f"Received: {name}={given[name]!r}. help: leave it out, or do it in train_step()."
            )
    size = given["batch_size"]
    size = None if size is None else integer("fit", "batch_size", size, 1)
    epochs, first = (
        integer("fit", "epochs", given["epochs"], 1),
        integer("fit", "initial_epoch", given["initial_epoch"]),
    )
    validation = given["validation_data"]
    data = (x, None, None)
    if y is not None or not gives_batches(x):
        data = unpack(x, y, given["sample_weight"])
        if given["validation_split"] and validation is None:
            data, validation = split_last(data, given["validation_split"])

    def measure() -> dict[str, float]:
        if hasattr(model, "test_step"):
            return measured_by_steps(model, validation if isinstance(validation, tuple) else (validation,), size)
        return dict(model.evaluate(validation).items())

    verbose = given["verbose"]
    return run(
        model, type(model).train_step, data, size, epochs, given["callbacks"], None if validation is None else measure,
        given["shuffle"], first, given["steps_per_epoch"], 1 if verbose == "auto" else int(verbose),
        check_finite=given["check_finite"],
    )  # fmt: skip
