"""The training loop: epochs of native calls, with callbacks in between."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import numpy as np

from pynn import _core
from pynn.errors import DataError
from pynn.flat import STEPS_PER_CALL
from pynn.tensor import Tensor
from pynn.train.callbacks import CallbackList
from pynn.train.data import Data, split_last
from pynn.train.evaluate import measure
from pynn.train.interrupt import Interrupts
from pynn.train.trainer import Trainer

__all__ = ["fit", "train_on_batch"]

SECONDS_PER_CALL = 0.05  # how long a native call may take, so that Ctrl-C and the progress bar answer promptly


def _positive(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"[fit] expected {name} to be an integer of at least {least}. Received: {name}={value!r}.")
    return int(value)


def permutation(seed: int, epoch: int, n: int, shuffle: bool) -> np.ndarray:
    """Return the order of samples of an epoch; it depends on seed and epoch alone, so a resumed run repeats it."""
    if not shuffle:
        return np.arange(n)
    (key,) = np.random.SeedSequence([abs(seed), epoch, int(seed < 0)]).generate_state(1, np.uint64)
    return _core.permutation(n, int(key))


def fit(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    batch_size: int | None = 32,
    epochs: int = 1,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    shuffle: bool = True,
    class_weight: dict[int, float] | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    run_eagerly: bool | None = None,
    check_finite: bool = True,
) -> Any:
    """Train a model; see Module.fit."""
    trainer = model._need_trainer("fit")
    _positive("epochs", epochs)
    _positive("initial_epoch", initial_epoch, 0)
    if batch_size is not None:
        _positive("batch_size", batch_size)
    if verbose not in ("auto", 0, 1, 2, True, False):
        raise ValueError(f"[fit] expected verbose to be 'auto', 0, 1 or 2. Received: verbose={verbose!r}.")
    eagerly = trainer.run_eagerly if run_eagerly is None else bool(run_eagerly)
    validation = None
    source: _Source
    if y is None and _is_batches(x):
        if validation_split or sample_weight is not None:
            raise ValueError("[fit] validation_split and sample_weight need arrays. Received: an iterable of batches.")
        source = _Batches(trainer, x, class_weight)
    else:
        x, y, sample_weight = _unpack(x, y, sample_weight)
        if validation_split and validation_data is None:
            (x, y, sample_weight), held = split_last((x, y, sample_weight), validation_split)
            validation_data = held
        data = trainer.data(x, y, sample_weight, class_weight)
        source = _Arrays(trainer, data, len(data) if batch_size is None else batch_size, shuffle)
    if validation_data is not None:
        validation = trainer.data(*_unpack(validation_data, None, None))
    names = ["loss", *(m.name for m in trainer.metrics)]
    hooks = CallbackList(
        callbacks,
        model=model,
        params={
            "epochs": epochs,
            "initial_epoch": initial_epoch,
            "steps": source.batches,
            "batch_size": batch_size,
            "verbose": verbose,
            "metrics": names + ([f"val_{name}" for name in names] if validation is not None else []),
        },
        verbose=1 if verbose == "auto" else int(verbose),
    )
    check = check_finite and not hooks.takes_nonfinite
    model.stop_training = False
    hooks.history.interrupted = False
    with Interrupts() as interrupts:
        try:
            hooks.on_train_begin()
            for epoch in range(initial_epoch, epochs):
                hooks.on_epoch_begin(epoch)
                if model.stop_training:
                    break
                logs = _epoch(model, trainer, source, epoch, hooks, eagerly, check, interrupts)
                if validation is not None:
                    hooks.on_test_begin()
                    logs.update({f"val_{key}": value for key, value in measure(trainer, validation, eagerly).items()})
                    hooks.on_test_end()
                hooks.on_epoch_end(epoch, logs)
                interrupts.check()
                if model.stop_training:
                    break
        except KeyboardInterrupt:
            model.stop_training = True
            hooks.history.interrupted = True
        finally:
            hooks.on_train_end()
    hooks.history.interrupted |= interrupts.noted  # also if it came when all was done
    return hooks.history


def _epoch(
    model: Any,
    trainer: Trainer,
    source: _Source,
    epoch: int,
    hooks: CallbackList,
    eagerly: bool,
    check: bool,
    interrupts: Interrupts | None = None,
) -> dict[str, float]:
    """Run one epoch; returns its mean loss and metrics."""
    trainer.sums.view()[:] = 0
    trainer.hits.view()[:] = 0
    for metric in trainer.logged:
        metric.reset()
    done = 0
    for data, perm, n, available in source.pieces(epoch):
        trainer.slots.set(offset=0)
        trainer.batches_before = done
        whole = available
        while available and not model.stop_training:
            count = 1 if hooks.needs_batches else min(source.steps_per_call, available, STEPS_PER_CALL)
            if hooks.needs_batches:
                hooks.on_train_batch_begin(done)
            start = time.perf_counter()
            step = int(trainer.slots.step.view()[0])
            trainer.slots.set(rate=trainer.optimizer.rates(step, count))
            trainer.run_steps(data, perm, n, count, eagerly, check)
            seconds = time.perf_counter() - start
            if count == source.steps_per_call:  # aim at SECONDS_PER_CALL, in steps of at most 8 times as many
                source.steps_per_call = max(1, min(8 * count, int(count * SECONDS_PER_CALL / max(seconds, 1e-6))))
            done += count
            available -= count
            if hooks.needs_batches:
                hooks.on_train_batch_end(done - 1, _running(trainer))
            hooks.on_progress(done, source.batches, _running(trainer))
            if interrupts is not None:
                interrupts.check()
        source.finish(data, perm[: (whole - available) * n])
        if model.stop_training:
            break
    if not done:
        raise DataError("[fit] the iterable of batches is empty. help: pass one that can be read once per epoch.")
    logs = _running(trainer)
    for metric in trainer.logged:
        logs[metric.name] = metric.result()
    return logs


def _running(trainer: Trainer) -> dict[str, float]:
    """Return the mean loss and accuracy of the epoch so far."""
    total, n = trainer.sums.view()
    logs = {"loss": float(total / n) if n else float("nan")}
    if trainer.counted is not None:
        right, count = trainer.hits.view()
        logs[trainer.counted.name] = float(right / count) if count else float("nan")
    return logs


class _Source:
    """Where batches come from: pieces of data, with the number of equal batches in each."""

    batches: int | None
    steps_per_call = 1

    def pieces(self, epoch: int) -> Iterator[tuple[Data, np.ndarray, int, int]]:
        """Yield (data, permutation, rows per batch, batches) parts of an epoch."""
        raise NotImplementedError

    def finish(self, data: Data, rows: np.ndarray) -> None:
        """Take in what a piece left for the metrics: predictions of these rows, in this order."""


class _Arrays(_Source):
    def __init__(self, trainer: Trainer, data: Data, batch_size: int, shuffle: bool):
        self.trainer, self.data, self.shuffle = trainer, data, shuffle
        self.n = min(batch_size, len(data))
        self.batches = -(-len(data) // self.n)
        if trainer.logged:
            shape = trainer.output_shape(data.xs)
            data.predictions = np.zeros((len(data), *shape[1:]), trainer.model.dtype)

    def pieces(self, epoch: int) -> Iterator[tuple[Data, np.ndarray, int, int]]:
        perm = permutation(self.trainer.seed, epoch, len(self.data), self.shuffle)
        whole, rest = divmod(len(perm), self.n)
        yield self.data, perm, self.n, whole
        if rest:  # the partial last batch is a second, small program on the rows that remain
            yield self._tail(perm, whole * self.n), perm[whole * self.n :].copy(), rest, 1

    def _tail(self, perm: np.ndarray, start: int) -> Data:
        data = self.data
        if data.predictions is None:
            return data
        return Data(data.xs, data.y, data.w, data.predictions[start:])

    def finish(self, data: Data, rows: np.ndarray) -> None:
        if data.predictions is None:
            return
        if not len(rows):
            return
        for metric in self.trainer.logged:
            metric.update(data.y[rows], data.predictions[: len(rows)], None if data.w is None else data.w[rows])


class _Batches(_Source):
    """Batches from an iterable of (x, y) or (x, y, sample_weight)."""

    def __init__(self, trainer: Trainer, batches: Iterable[Any], class_weight: Any):
        self.trainer, self.iterable, self.class_weight = trainer, batches, class_weight
        self.batches = len(batches) if isinstance(batches, Sized) else None

    def pieces(self, epoch: int) -> Iterator[tuple[Data, np.ndarray, int, int]]:
        for batch in self.iterable:
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise DataError(
                    "[fit] expected batches of (x, y) or (x, y, sample_weight). "
                    f"Received: {type(batch).__name__}{f' of {len(batch)}' if hasattr(batch, '__len__') else ''}."
                )
            data = self.trainer.data(*_unpack(tuple(batch), None, None), self.class_weight)
            if self.trainer.logged:
                shape = self.trainer.output_shape(data.xs)
                data.predictions = np.zeros((len(data), *shape[1:]), self.trainer.model.dtype)
            yield data, np.arange(len(data)), len(data), 1

    def finish(self, data: Data, rows: np.ndarray) -> None:
        for metric in self.trainer.logged:
            metric.update(data.y, data.predictions, data.w)


def _is_batches(x: Any) -> bool:
    return (
        not isinstance(x, (np.ndarray, Tensor, tuple, str)) and isinstance(x, Iterable) and not hasattr(x, "__array__")
    )


def _unpack(x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
    """Return (x, y, weight) of what may be packed in a tuple."""
    if y is None and isinstance(x, (tuple, list)) and len(x) in (2, 3):
        y, weight = x[1], x[2] if len(x) == 3 else weight
        x = x[0]
    return x, y, weight


def train_on_batch(model: Any, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> dict[str, float]:
    """Make one update; see Module.train_on_batch."""
    trainer = model._need_trainer("train_on_batch")
    source = _Batches(trainer, [(x, y, sample_weight)], class_weight)
    hooks = CallbackList(None, model=model, verbose=0)
    model.stop_training = False
    return _epoch(model, trainer, source, 0, hooks, trainer.run_eagerly, True)


class Stepper:
    """Bare training steps on arrays, without callbacks: what fit() is measured against.

    Parameters
    ----------
    model : Module
        Compiled.
    x, y : array_like
    batch_size : int
    """

    def __init__(self, model: Any, x: Any, y: Any, batch_size: int = 32):
        self.trainer = model._need_trainer("steps")
        self.data = self.trainer.data(x, y)
        self.n = min(batch_size, len(self.data))
        self.whole = len(self.data) // self.n
        self.perm = permutation(self.trainer.seed, 0, len(self.data), True)
        self.at = 0

    def run(self, k: int) -> None:
        """Make k updates, going round the data."""
        trainer = self.trainer
        while k:
            if self.at == self.whole:
                self.at = 0
            trainer.slots.set(offset=self.at * self.n)
            count = min(k, self.whole - self.at, STEPS_PER_CALL)
            trainer.slots.set(rate=trainer.optimizer.rates(int(trainer.slots.step.view()[0]), count))
            trainer.run_steps(self.data, self.perm, self.n, count, False, True)
            self.at += count
            k -= count


def steps(model: Any, x: Any, y: Any, batch_size: int = 32) -> Stepper:
    """Return an object whose run(k) makes k compiled training steps in as few native calls as possible."""
    return Stepper(model, x, y, batch_size)
