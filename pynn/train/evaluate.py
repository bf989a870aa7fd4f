"""Running a trained model: predict and evaluate."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.checks import integer
from pynn.core._predict import LIMIT
from pynn.core.state import no_grad, state
from pynn.core.tensor import Tensor
from pynn.train.callbacks import CallbackList
from pynn.train.data import Data
from pynn.train.predictor import ROWS, Preparing, runner
from pynn.train.trainer import Trainer

__all__ = ["evaluate", "measure", "predict", "predict_fn"]

FEW = 32  # up to so many rows are predicted by prepared programs, which have memory of their own


def _rows(place: str, batch_size: int | None) -> int:
    return ROWS if batch_size is None else integer(place, "batch_size", batch_size, 1)


def measure(trainer: Trainer, data: Data, eagerly: bool = False, batch_size: int = ROWS) -> dict[str, float]:
    """Return loss and metrics of a model on data."""
    out = trainer.run_forward(data.xs, batch_size, activate=False, eagerly=eagerly)
    with no_grad():
        z = Tensor.state(out)
        w = None if data.w is None else Tensor.state(data.w)
        loss = trainer.penalties(trainer.loss(z, Tensor.state(data.y), w))
        predictions = trainer.activate(z).view()
    logs = {"loss": float(loss.item())}
    for metric in trainer.metrics:
        metric.reset()
        metric.update(data.y, predictions, data.w)
        logs[metric.name] = metric.result()
    return logs


def evaluate(
    model: Any, x: Any, y: Any, batch_size: int | None, sample_weight: Any, verbose: Any, callbacks: Any = None
) -> dict[str, float]:
    """Return loss and metrics; see Module.evaluate."""
    trainer = model._need_trainer("evaluate")
    rows = _rows("evaluate", batch_size)
    if y is None and isinstance(x, (tuple, list)) and len(x) in (2, 3):
        x, y, sample_weight = x[0], x[1], x[2] if len(x) == 3 else sample_weight
    data = trainer.data(x, y, sample_weight, place="evaluate")
    hooks = CallbackList(callbacks, model=model, verbose=0)
    hooks.on_test_begin()
    logs = measure(trainer, data, trainer.run_eagerly, rows)
    hooks.on_test_end(logs)
    if verbose:
        print("  ".join(f"{key}: {value:.4f}" for key, value in logs.items() if isinstance(value, float)))
    return logs


def predict(model: Any, x: Any, batch_size: int | None, verbose: Any, callbacks: Any = None) -> np.ndarray:
    """Return outputs; see Module.predict."""
    prepared = model._prepared
    if prepared is not None and batch_size is None and callbacks is None and state.recorder is None:
        y = prepared.quick(x)
        if y is not None:
            return y
    rows = _rows("predict", batch_size)
    model._require_built("predict")
    trainer = runner(model)
    hooks = None if callbacks is None else CallbackList(callbacks, model=model, verbose=0)
    if hooks is not None:
        hooks.on_predict_begin()
    xs = trainer.inputs(x, "predict")
    if prepared is None:
        prepared = model._prepared = Preparing(model, FEW, "predict")
    if len(xs[0]) <= min(rows, FEW) and len(xs) <= LIMIT and not trainer.run_eagerly and not prepared.keeps_state:
        out = prepared(xs)
    else:
        out = trainer.run_forward(xs, rows, activate=True, eagerly=trainer.run_eagerly)
    if hooks is not None:
        hooks.on_predict_end()
    return out


def predict_fn(model: Any, batch_size: int | None) -> Any:
    """Return a prepared callable; see Module.predict_fn."""
    rows = _rows("predict_fn", batch_size)
    model._require_built("predict_fn")
    prepared = Preparing(model, rows, "predict_fn")
    prepared.refuse_state()
    return prepared
