"""Running a trained model: predict and evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import integer, is_integer
from pynn.core.foreign import is_array
from pynn.core.state import state
from pynn.errors import DataError
from pynn.train.callbacks import CallbackList
from pynn.train.data import Data, input_count
from pynn.train.feed import Feed, gives_batches, inputs_of, is_batch, is_packed, joined, parts_of, unpack
from pynn.train.measuring import measure
from pynn.train.network import Network
from pynn.train.own_steps import measured_by_steps
from pynn.train.predictor import ROWS, Preparing, runner
from pynn.train.results import Results
from pynn.train.short import evaluated, prepare_evaluation
from pynn.train.trainer import Trainer

__all__ = ["Held", "evaluate", "predict", "predict_fn"]


def _rows(place: str, batch_size: int | None) -> int | None:
    return None if batch_size is None else integer(place, "batch_size", batch_size, 1)


class Held:
    """Data that a model is measured on: arrays, checked once, or what gives batches, read anew each time.

    Parameters
    ----------
    trainer : Trainer
    given : tuple (x, y) or (x, y, sample_weight), or what gives batches of these
    place : str
        For messages.
    steps : int, optional
        Batches to take of what gives batches.
    steps_name : str
        What the caller's argument is called.
    """

    def __init__(self, trainer: Trainer, given: Any, place: str, steps: int | None, steps_name: str):
        validates = place == "fit"
        self.trainer, self.place = trainer, "fit: validation_data" if validates else place
        self.feed: Feed | None = None
        if steps is not None:
            steps = integer(place, steps_name, steps, 1)
        if gives_batches(given):
            self.feed = Feed(given, place, steps, steps_name)
            return
        refuse_steps(place, steps_name, steps)
        if not is_packed(given):
            raise DataError(
                f"[{place}] expected validation_data to be (x, y), (x, y, sample_weight), or batches of these. "
                f"Received: {type(given).__name__}."
            )
        self.data = trainer.data(*unpack(given, None, None), place=self.place)

    def pieces(self) -> Iterator[Data]:
        """Yield the data, or batch by batch; with a feed of steps every pass begins anew if it can."""
        if self.feed is None:
            yield self.data
            return
        for batch in self.feed.again().read():
            yield self.trainer.data(*parts_of(batch, self.place), place=self.place)


def refuse_steps(place: str, name: str, steps: Any) -> None:
    """Raise if steps were asked for of arrays."""
    if steps is not None:
        raise ValueError(
            f"[{place}] expected {name} with an iterable of batches. Received: {name}={steps!r} and arrays. "
            "help: leave it out; batch_size sets the rows of a batch."
        )


def refuse_targets(place: str, x: Any, y: Any, weight: Any = None) -> None:
    """Raise if targets or weights come beside what gives batches, which holds its own."""
    if (y is not None or weight is not None) and not isinstance(x, list) and gives_batches(x):
        name = "y" if y is not None else "sample_weight"
        raise ValueError(
            f"[{place}] expected batches of (x, y) alone. Received: a {type(x).__name__}, and {name}. "
            f"help: let it give batches of (x, y) or (x, y, sample_weight), and leave {name} out."
        )


def evaluate(
    model: Network,
    x: Any,
    y: Any,
    batch_size: int | None,
    sample_weight: Any,
    verbose: Any,
    callbacks: Any = None,
    steps: int | None = None,
) -> Results:
    """Return loss and metrics; see Module.evaluate."""
    if hasattr(type(model), "test_step"):
        return Results(measured_by_steps(model, unpack(x, y, sample_weight), batch_size or 256))
    trainer = model._need_trainer("evaluate")
    plain = sample_weight is None and not verbose and callbacks is None and steps is None
    plain = plain and (batch_size is None or (type(y) is np.ndarray and is_integer(batch_size, max(len(y), 1))))
    found = evaluated(trainer, x, y) if plain else None
    if found is not None:
        return Results(found)
    rows = _rows("evaluate", batch_size)
    refuse_targets("evaluate", x, y, sample_weight)
    if y is None and (is_packed(x) or gives_batches(x)):
        given = (*x, sample_weight) if is_packed(x) and len(x) == 2 and sample_weight is not None else x
    else:
        given = (x, y, sample_weight)
    held = Held(trainer, given, "evaluate", steps, "steps")
    hooks = CallbackList(callbacks, model=model, verbose=0)
    hooks.on_test_begin()
    logs = measure(trainer, held.pieces(), trainer.run_eagerly, rows, hooks)
    hooks.on_test_end(logs)
    if verbose:
        print("  ".join(f"{key}: {value:.4f}" for key, value in logs.items() if isinstance(value, float)))
    if plain:
        prepare_evaluation(trainer, x, y)
    return Results(logs)


def predict(
    model: Network, x: Any, batch_size: int | None, verbose: Any, callbacks: Any = None, steps: int | None = None
) -> np.ndarray:
    """Return outputs; see Module.predict."""
    prepared = model._prepared
    if prepared is not None and batch_size is None and callbacks is None and state.recorder is None:
        y = prepared.quick(x)
        if y is not None and steps is None:
            return y
    rows = _rows("predict", batch_size) or ROWS
    model._require_built("predict")
    hooks = None if callbacks is None else CallbackList(callbacks, model=model, verbose=0)
    batches = _batches(model, x, steps)
    if hooks is not None:
        hooks.on_predict_begin()
    if batches is None and (hooks is None or not hooks.needs_predict_batches):
        out = _predicted(model, x, rows)
    else:
        outs = []
        for i, batch in enumerate(_passes(model, x, rows) if batches is None else batches):
            if hooks is not None:
                hooks.on_predict_batch_begin(i)
            outs.append(_predicted(model, batch, rows))
            if hooks is not None:
                hooks.on_predict_batch_end(i)
        out = joined(outs, "predict")
    if hooks is not None:
        hooks.on_predict_end()
    return out


def _predicted(model: Network, x: Any, rows: int) -> np.ndarray:
    """Return the outputs for arrays."""
    trainer, prepared = runner(model), model._prepared
    xs = trainer.inputs(x, "predict")
    if prepared is None:
        prepared = model._prepared = Preparing(model, ROWS, "predict")
    return prepared.outputs(xs, rows, trainer.run_eagerly)


def _passes(model: Network, x: Any, rows: int) -> Iterator[Any]:
    xs = runner(model).inputs(x, "predict")
    for i in range(0, len(xs[0]), rows):
        yield tuple(a[i : i + rows] for a in xs)


def _batches(model: Network, x: Any, steps: int | None) -> Iterator[Any] | None:
    """Return the batches of inputs that x gives, None if it is an array or a tuple of them."""
    if type(x) is np.ndarray and steps is None:
        return None
    if steps is not None:
        steps = integer("predict", "steps", steps, 1)
    count = input_count(model)
    if isinstance(x, list):  # of arrays: several inputs, rows or batches; of tuples: batches
        rank = len(model._built_for)
        of_tuples = len(x) > 0 and all(is_batch(item) for item in x)
        of_arrays = len(x) > 1 and count == 1 and all(is_array(item) and len(item.shape) == rank for item in x)
        given = of_tuples or of_arrays
    else:
        given = gives_batches(x)
    if not given:
        refuse_steps("predict", "steps", steps)
        return None
    return (inputs_of(batch, count) for batch in Feed(x, "predict", steps).read())


def predict_fn(model: Network, batch_size: int | None) -> Any:
    """Return a prepared callable; see Module.predict_fn."""
    rows = _rows("predict_fn", batch_size) or ROWS
    model._require_built("predict_fn")
    prepared = Preparing(model, rows, "predict_fn")
    prepared.refuse_state()
    return prepared
