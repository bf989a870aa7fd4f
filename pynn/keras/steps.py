"""Training of a model whose class has a train_step() of its own: step by step, as its author wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.core.tensor import Tensor, tensor
from pynn.keras.tree import flat, mapped
from pynn.train.batches import permutation
from pynn.train.callbacks import CallbackList
from pynn.train.feed import gives_batches

__all__ = ["batches_of", "run"]


def _tensor(model: Any, value: Any) -> Any:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
        return value
    return tensor(value.astype(model.dtype)) if value.dtype.kind == "f" else tensor(value)


def batches_of(model: Any, data: Any, size: int, order: Any, steps: Any) -> Iterator[Any]:
    """Yield batches of arrays (x, y, weights), of which None are left out, or those that something gives."""
    if gives_batches(data[0]):
        for i, batch in enumerate(data[0]):
            if steps is not None and i == steps:
                return
            yield mapped(lambda v: _tensor(model, np.asarray(v)), batch)
        return
    parts = [mapped(np.asarray, part) for part in data if part is not None]
    n = len(next(flat(parts)))
    order = np.arange(n) if order is None else order
    for i in range(0, n, size):
        rows = order[i : i + size]
        batch = [mapped(lambda v, rows=rows: _tensor(model, v[rows]), part) for part in parts]
        yield tuple(batch) if len(batch) > 1 else batch[0]


def run(model: Any, data: Any, size: int, epochs: int, callbacks: Any, validation: Any, shuffle: bool, first: int,
        steps: Any) -> Any:  # fmt: skip
    """Train by model.train_step(batch), which returns what is logged; returns the History.

    A step computes with tensors: ``loss.backward()`` writes gradients, ``optimizer.apply_gradients`` makes the update.
    """
    names: list[str] = []
    hooks = CallbackList(callbacks, model=model, params={"epochs": epochs, "steps": steps, "verbose": 0}, verbose=0)
    model.stop_training = False
    hooks.on_train_begin()
    try:
        for epoch in range(first, epochs):
            hooks.on_epoch_begin(epoch)
            for metric in model.metrics:
                metric.reset()
            order = permutation(model._seed[-1], epoch, _rows(data), True) if shuffle and _rows(data) else None
            logs: dict[str, float] = {}
            for i, batch in enumerate(batches_of(model, data, size, order, steps)):
                if hooks.needs_batches:
                    hooks.on_train_batch_begin(i)
                logs = {key: _number(value) for key, value in dict(model.train_step(batch)).items()}
                if hooks.needs_batches:
                    hooks.on_train_batch_end(i, logs)
                if hooks.takes_progress:
                    hooks.on_progress(i + 1, steps, logs)
            if validation is not None:
                logs |= {f"val_{key}": value for key, value in _validated(model, validation, size).items()}
            names = list(logs)
            hooks.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    finally:
        hooks.on_train_end(dict.fromkeys(names, 0.0))
    return hooks.history


def _rows(data: Any) -> int:
    return 0 if gives_batches(data[0]) else len(next(flat(data[0])))


def _number(value: Any) -> float:
    return float(np.asarray(value.numpy() if isinstance(value, Tensor) else value).mean())


def _validated(model: Any, data: Any, size: int) -> dict[str, float]:
    step = getattr(type(model), "test_step", None)
    if step is None:
        return model.evaluate(*data, verbose=0, return_dict=True)
    logs: dict[str, float] = {}
    for batch in batches_of(model, data, size, None, None):
        logs = {key: _number(value) for key, value in dict(model.test_step(batch)).items()}
    return logs
