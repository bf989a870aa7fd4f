"""The training loop: epochs of native calls, with callbacks in between."""

from __future__ import annotations

import time
from typing import Any

from pynn._blocks import Interrupts
from pynn.checks import integer
from pynn.core.flat import STEPS_PER_CALL
from pynn.errors import DataError, ShapeError
from pynn.train import columns
from pynn.train.batches import Arrays, Batches, Source
from pynn.train.callbacks import CallbackList
from pynn.train.data import mapped, split_last
from pynn.train.evaluate import Held, refuse_steps, refuse_targets
from pynn.train.feed import Feed, gives_batches, unpack
from pynn.train.gathered import cleared, result_of
from pynn.train.measuring import measure
from pynn.train.network import Network
from pynn.train.progress import say
from pynn.train.results import Results
from pynn.train.resume import Position, Run, read, said_rate
from pynn.train.segments import segments_of
from pynn.train.short import fitted, may_be_short
from pynn.train.together import EPOCH, PIECE, agree, fill, fill_states, need_same
from pynn.train.train_fn import TrainFunction
from pynn.train.trainer import Trainer
from pynn.train.turns import exclusive

__all__ = ["fit", "on_batch", "train_fn"]

SECONDS_PER_CALL = 0.05  # how long a native call may take, so that Ctrl-C and the progress bar answer promptly


@exclusive
def fit(
    model: Network,
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
    class_weight: dict[int, float] | str | None = None,
    sample_weight: Any = None,
    initial_epoch: int = 0,
    run_eagerly: bool | None = None,
    check_finite: bool = True,
    resume: Any = None,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    accumulate: int | None = None,
) -> Any:
    """Train a model; see Module.fit."""
    trainer = model._need_trainer("fit")
    short = type(epochs) is int and epochs == 1 and initial_epoch == 0 and verbose == 0 and check_finite is True
    short = short and validation_split == 0 and validation_data is None and validation_steps is None
    short = short and callbacks is None and class_weight is None and sample_weight is None and accumulate is None
    short = short and run_eagerly is None and resume is None and steps_per_epoch is None
    trainer.segments = segments_of(accumulate)
    short = short and trainer.segments.gang is None
    if short and type(batch_size) in (int, type(None)):
        done = fitted(model, trainer, x, y, batch_size, shuffle, verbose)
        if done is not None:
            return done
    epochs = integer("fit", "epochs", epochs, 1)
    initial_epoch = integer("fit", "initial_epoch", initial_epoch)
    if batch_size is not None:
        batch_size = integer("fit", "batch_size", batch_size, 1)
    if verbose not in ("auto", 0, 1, 2, True, False):
        raise ValueError(f"[fit] expected verbose to be 'auto', 0, 1 or 2. Received: verbose={verbose!r}.")
    eagerly = trainer.run_eagerly if run_eagerly is None else bool(run_eagerly)
    validation = None
    source: Source
    refuse_targets("fit", x, y)
    if y is None and gives_batches(x):
        if validation_split or sample_weight is not None:
            raise ValueError("[fit] validation_split and sample_weight need arrays. Received: an iterable of batches.")
        refuse_balanced("fit", class_weight)
        if steps_per_epoch is not None:
            steps_per_epoch = integer("fit", "steps_per_epoch", steps_per_epoch, 1)
        feed = Feed(x, "fit", steps_per_epoch, "steps_per_epoch")
        feed.refuse_passes(epochs - initial_epoch, "x")
        columns.remember(model, None)
        source = Batches(trainer, feed, class_weight, shuffle)
    else:
        refuse_steps("fit", "steps_per_epoch", steps_per_epoch)
        x, y, sample_weight = unpack(x, y, sample_weight)
        if validation_split and validation_data is None:
            (x, y, sample_weight), held = split_last((x, y, sample_weight), validation_split)
            validation_data = held
        before = columns.remember(model, x)
        try:
            data = trainer.data(x, y, sample_weight, class_weight, whole=True)
        except BaseException:
            object.__setattr__(model, "_columns", before)
            raise
        source = Arrays(trainer, data, len(data) if batch_size is None else batch_size, shuffle)
    if validation_data is not None:
        validation = Held(trainer, validation_data, "fit", validation_steps, "validation_steps")
        if validation.feed is not None:
            validation.feed.refuse_passes(epochs - initial_epoch, "validation_data")
    rows_of_states = _rows_of_states(model, source, validation)
    if validation is None and validation_steps is not None:
        raise ValueError(f"[fit] validation_steps={validation_steps!r} was given without validation_data.")
    position = None
    trainer.rate_said = said_rate(trainer)
    if resume is not None:
        if initial_epoch:
            raise ValueError(f"[fit] expected resume or initial_epoch. Received: both, initial_epoch={initial_epoch}.")
        position = read(resume, model, source)
        initial_epoch = initial_epoch if position is None else position.epoch
    if position is None:  # a resumed training has the order of its samples from the checkpoint
        source.shift = max(0, trainer.epochs - initial_epoch)
    if model.built:
        trainer.flatten()  # before any callback is told: there may be nothing to train
    source.begin(initial_epoch, position is not None)
    names = trainer.head.log_names()
    hooks = CallbackList(
        callbacks,
        model=model,
        params={
            "epochs": epochs,
            "initial_epoch": initial_epoch,
            "resumed": position is not None,
            "steps": source.batches,
            "batch_size": batch_size,
            "verbose": verbose,
            "metrics": names + ([f"val_{name}" for name in names] if validation is not None else []),
        },
        verbose=1 if verbose == "auto" else int(verbose),
    )
    if position is not None:
        position.take(hooks, model)
    run = Run(model, trainer, source, hooks)
    if trainer.segments.gang is not None:
        settings = {"epochs": epochs, "initial_epoch": initial_epoch, "shuffle": shuffle, "check_finite": check_finite}
        need_same(trainer, source, hooks, validates=validation is not None, **settings)
    if position is not None and hooks.verbose:
        say(f"goes on from {position.path}: epoch {position.epoch + 1}, batch {position.batch}")
    check = check_finite and not hooks.takes_nonfinite
    model.stop_training = False
    hooks.history.interrupted = False
    begun, step = trainer.epochs, trainer.slots.get("step")
    with Interrupts() as interrupts:
        try:
            hooks.on_train_begin()
            rate = trainer.optimizer._rate
            if position is not None and position.batch:
                hooks.on_epoch_begin(initial_epoch)
            if position is not None:
                trainer.optimizer._rate = rate  # the callbacks' hooks of the epoch's beginning came before
                position.give_back(hooks)
            for epoch in range(initial_epoch, epochs):
                if position is None or not position.batch:
                    hooks.on_epoch_begin(epoch)
                if model.stop_training:
                    break
                begun, step = trainer.epochs, trainer.slots.get("step")
                trainer.epochs = epoch + source.shift + 1
                try:
                    logs = _epoch(model, trainer, source, epoch, hooks, eagerly, check, interrupts, run, position)
                except Exception:
                    if trainer.slots.get("step") == step:  # it made no update: the next try is as the first
                        trainer.epochs = begun
                    raise
                position = None
                with trainer.averaged():
                    if validation is not None:
                        hooks.on_test_begin()
                        measured = measure(trainer, validation.pieces(), eagerly, rows_of_states, hooks)
                        logs.update({f"val_{key}": value for key, value in measured.items()})
                        hooks.on_test_end()
                    hooks.on_epoch_end(epoch, logs)
                agree(trainer, model, interrupts, 0, EPOCH)
                run.point(epoch + 1, 0, logs=logs, last=model.stop_training or epoch + 1 == epochs)
                if trainer.segments.gang is None:
                    interrupts.check()
                if bool(model.stop_training):  # a callback may have set it; type checkers take it for False here
                    break
            trainer.take_averages()
        except KeyboardInterrupt:
            trainer.take_averages()
            model.stop_training = True
            hooks.history.interrupted = True
        except MemoryError:
            if trainer.slots.get("step") == step:  # no step was made: the next try has the same order of samples
                trainer.epochs = begun
            raise
        finally:
            try:
                hooks.on_train_end()
            except BaseException:
                hooks.on_train_end()  # a second Ctrl-C came before all were told, and files of theirs closed
                raise
            finally:
                trainer.rate_left = trainer.optimizer._rate
    hooks.history.interrupted |= interrupts.noted  # also if it came when all was done
    if short and may_be_short(x, y, batch_size):
        trainer.shortcut.prepare(trainer, x, y)
    return hooks.history


def refuse_balanced(place: str, class_weight: Any) -> None:
    """Raise if weights are to be found in targets of which only a part is known."""
    if isinstance(class_weight, str):
        raise ValueError(
            f"[{place}] expected class_weight as a dict where batches are given: a batch does not tell how often each "
            f"class is in all of them. Received: {class_weight!r}. help: pass arrays, or the weights themselves, n / "
            "(classes * count) for each class."
        )


def _rows_of_states(model: Network, source: Source, validation: Held | None) -> int | None:
    """Return the rows of a pass that validates a model which carries states from batch to batch; None for others."""
    rows = source.n if isinstance(source, Arrays) else None
    if validation is None or rows is None or not any(getattr(m, "stateful", False) for m in model.modules()):
        return None
    if validation.feed is None and len(validation.data) % rows:
        raise ShapeError(
            f"[fit] expected validation data of whole batches of {rows} rows, as stateful layers carry states from one "
            f"to the next. Received: {len(validation.data)} rows. help: leave the last "
            f"{len(validation.data) % rows} out, or choose a batch_size that divides both."
        )
    return rows


def _epoch(
    model: Network,
    trainer: Trainer,
    source: Source,
    epoch: int,
    hooks: CallbackList,
    eagerly: bool,
    check: bool,
    interrupts: Interrupts | None = None,
    run: Run | None = None,
    position: Position | None = None,
) -> dict[str, float]:
    """Run one epoch, or what is left of it after a position; returns its mean loss and metrics."""
    trainer.ledger.widen(len(trainer.head.loss_names))
    trainer.ledger.clear()
    for metric in trainer.logged:
        cleared(metric)
    skip = 0 if position is None else position.batch
    if position is not None and skip:
        _give_back_sums(trainer, position)
    done = 0
    source.watched = hooks.takes_safe_points or bool(skip)
    for data, perm, n, available in source.pieces(epoch):
        trainer.batches_before = done
        whole = available
        skipped = min(skip, whole)
        skip, done, available = skip - skipped, done + skipped, available - skipped
        if position is not None and skipped and not skip:
            source.check_passed(position)
        if skipped == whole:
            continue
        trainer.slots.set(offset=skipped * n)
        if position is not None and skipped and data.predictions is not None:
            mapped(lambda room, held: _fill(room, held), data.predictions, position.arrays["predictions"])
        again = False
        gang = trainer.segments.gang
        while available and (gang is not None or not model.stop_training):
            count = 1 if hooks.needs_batches else min(source.steps_per_call, available, STEPS_PER_CALL)
            if run is not None:
                count = min(count, run.limit())
            count = agree(trainer, model, interrupts, count, rows=n)
            if model.stop_training:
                break
            if hooks.needs_batches:
                hooks.on_train_batch_begin(done)
            start = time.perf_counter()
            step = trainer.slots.get("step")
            trainer.slots.set(rate=trainer.optimizer.rates(step, count))
            looked = hooks.needs_batches or count == available  # by callbacks, or after the epoch
            trainer.run_steps(data, perm, n, count, eagerly, check, again, looked)
            again = not hooks.needs_batches  # no callback that may change settings runs before the next call
            seconds = time.perf_counter() - start
            if count == source.steps_per_call:  # aim at SECONDS_PER_CALL, in steps of at most 8 times as many
                source.steps_per_call = max(1, min(8 * count, int(count * SECONDS_PER_CALL / max(seconds, 1e-6))))
            done += count
            available -= count
            if hooks.needs_batches:
                hooks.on_train_batch_end(done - 1, _running(trainer))
            if hooks.takes_progress:
                hooks.on_progress(done, source.batches, _running(trainer))
            if run is not None and available:
                rows = (whole - available) * n
                if trainer.shared_points:
                    fill_states(trainer)
                    fill(trainer, mapped(lambda room: room[:rows], data.predictions), n)  # noqa: B023
                run.point(epoch, done, mapped(lambda room: room[:rows], data.predictions))  # noqa: B023  (called at once)
            if interrupts is not None and gang is None:
                interrupts.check()
        agree(trainer, model, interrupts, 0, PIECE)
        fill_states(trainer)
        done_rows = (whole - available) * n
        fill(trainer, mapped(lambda room: room[:done_rows], data.predictions), n)  # noqa: B023
        source.finish(data, perm[: (whole - available) * n])
        if model.stop_training:
            break
        if run is not None and done != source.batches:
            run.point(epoch, done)
    if skip:
        raise DataError(
            f"[fit] cannot resume: the iterable ended after {done} batches, {skip} before the checkpoint's."
        )
    if not done:
        raise DataError("[fit] the iterable of batches is empty.")
    logs = _running(trainer)
    for metric in trainer.logged:
        logs[metric.name] = result_of(metric)
    return {name: logs[name] for name in trainer.head.log_names()}


def _fill(room: Any, held: Any) -> None:
    room[: len(held)] = held


def _running(trainer: Trainer) -> dict[str, float]:
    """Return the mean loss and accuracy of the epoch so far."""
    total, n = trainer.sums.view()
    logs = {"loss": float(total / n) if n else float("nan")}
    for name, sums in zip(trainer.head.loss_names, trainer.ledger.parts, strict=False):
        part, n = sums.view()
        logs[name] = float(part / n) if n else float("nan")
    if trainer.counted is not None:
        right, count = trainer.hits.view()
        logs[trainer.counted.name] = float(right / count) if count else float("nan")
    return logs


def _give_back_sums(trainer: Trainer, position: Position) -> None:
    """Take the sums and metrics of an epoch from a checkpoint in its middle."""
    trainer.sums.view()[:] = position.arrays["sums"]
    trainer.hits.view()[:] = position.arrays["hits"]
    for sums, held in zip(trainer.ledger.parts, position.arrays.get("parts", ()), strict=True):
        sums.view()[:] = held
    for metric, state in zip(trainer.logged, position.metrics, strict=True):
        vars(metric).update(state)


def on_batch(model: Network, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Results:
    """Make one update, the short way if it is prepared; see Module.train_on_batch."""
    trainer = model._need_trainer("train_on_batch")
    plain = sample_weight is None and class_weight is None
    found = trainer.shortcut.quick(trainer, x, y) if plain else None
    if found is None:
        results = train_on_batch(model, x, y, sample_weight, class_weight)
        if plain:
            trainer.shortcut.prepare(trainer, x, y)
        return results
    model.stop_training = False
    total, n, right, count = found
    results = Results(loss=total / n)
    if trainer.counted is not None:
        results[trainer.counted.name] = right / count if count else float("nan")
    return results


def train_fn(model: Network) -> TrainFunction:
    """Return a function that makes one update per call; see Module.train_fn."""
    model._need_trainer("train_fn")
    return TrainFunction(model, lambda x, y: on_batch(model, x, y, None, None))


@exclusive
def train_on_batch(model: Network, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Results:
    """Make one update of any batch: check, convert, and record what is new."""
    trainer = model._need_trainer("train_on_batch")
    trainer.segments = segments_of(None)
    refuse_balanced("train_on_batch", class_weight)
    source = Batches(trainer, Feed([(x, y, sample_weight)], "train_on_batch"), class_weight)
    hooks = CallbackList(None, model=model, verbose=0)
    model.stop_training = False
    return Results(_epoch(model, trainer, source, 0, hooks, trainer.run_eagerly, True))
