"""Evaluations and trainings of one batch, in little more than the time of its pass: prepared at the second such call.

What they return is, to the bit, what the long way returns; they see every change that it sees, and hand over to it what
is new or must be converted, measured apart or refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pynn import ops
from pynn._blocks import Interrupts
from pynn.core._predict import PreparedLoss
from pynn.core._watch import Watch
from pynn.core.program import record
from pynn.core.state import no_grad, state
from pynn.losses import FunctionLoss
from pynn.losses.logits import Scores
from pynn.metrics.base import Metric
from pynn.metrics.regression import Regression
from pynn.train import columns
from pynn.train.batches import permutation
from pynn.train.data import external
from pynn.train.gathered import cleared, result_of, take, twin
from pynn.train.history import History
from pynn.train.measuring import PART
from pynn.train.predictor import ROWS, logits
from pynn.train.resume import said_rate
from pynn.train.train_fn import MOST_PREPARED, plain_batch, shapes_of, update

if TYPE_CHECKING:
    from pynn.train.network import Network
    from pynn.train.trainer import Trainer

__all__ = ["evaluated", "fitted", "may_be_short", "prepare_evaluation"]

MOST_BYTES = 1 << 20  # of a batch that is copied to where its program looks for it
MOST_TRIES = 4  # to prepare what does not hold for long


# Evaluations


def evaluated(trainer: Trainer, x: Any, y: Any) -> dict[str, Any] | None:
    """Return loss and metrics of a batch, if its evaluation is prepared."""
    if type(y) is not np.ndarray or state.recorder is not None:
        return None
    found = trainer.shortcut.measured.get((shapes_of(x), y.shape))
    if found is None:
        return None
    prepared, under, _ = found
    if prepared is None or under != _settings(trainer) or not prepared.fits(x, y):
        return None
    arrays = prepared.run(x, y) if prepared.holds() else None
    if arrays is None:
        return None
    logs = {"loss": float(arrays[1])}
    if len(arrays) == 2:
        return logs
    for metric in map(twin, trainer.head.metrics):
        cleared(metric)
        take(metric, (arrays[0], arrays[2], None))
        logs[metric.name] = result_of(metric)
    return logs


def prepare_evaluation(trainer: Trainer, x: Any, y: Any) -> None:
    """Record the evaluation of a batch at the second call for one of its shape, if it can be taken as it is."""
    if type(y) is not np.ndarray or not 0 < len(y) <= ROWS or state.recorder is not None:
        return
    measured, key, under = trainer.shortcut.measured, (shapes_of(x), y.shape), _settings(trainer)
    before, known, tries = measured.get(key, (None, None, 0))
    if known is None and len(measured) >= MOST_PREPARED:
        measured.clear()
    if known != under:
        measured[key] = None, under, 0
        return
    if tries >= MOST_TRIES:
        return
    measured[key] = before, under, tries + 1
    passes, head = logits(trainer), trainer.head
    if trainer.model.dtype != np.float32 or passes.keeps_state or head.padded or trainer.adds_losses:
        return
    asking = (m for m in head.metrics if type(m).expect not in (Metric.expect, Regression.expect))
    if head.loss.task != "classes" and any(asking):
        return  # the targets themselves tell it of what kind they are
    if isinstance(head.loss, FunctionLoss):  # which may read what nothing watches
        return
    plain = plain_batch(trainer, x, y, trainer.shortcut, "evaluate")
    if plain is None:
        return
    watch = Watch(trainer.model, trainer.loss)
    tensors = [external(a) for a in plain.data.arrays()]
    with record(*tensors) as recorder, no_grad():
        outputs, form = passes._computed(tensors[:-1])
        if not form.single or outputs[0].nbytes > PART:
            return
        scores = Scores(outputs[0], head.form)
        results = [trainer.penalties(scores.loss(head.loss, tensors[-1], None))]
        if head.metrics:
            results.append(scores.activated(head.loss))
        targets = [external(np.empty(t.shape, t.dtype)) for t in results]
        for t, target in zip(results, targets, strict=True):
            ops.copy(t, out=target)
    recorder.inputs = (*tensors, *targets)
    if any(instr.card.mutates for instr in recorder.instrs) or not watch.settled():
        return
    recording = trainer.cache.add(("evaluation", *key), recorder, watch, counts=False)
    measured[key] = PreparedLoss(recording, *plain.specs, [(t.shape, t.dtype) for t in targets]), under, tries + 1


def _settings(trainer: Trainer) -> tuple[Any, ...]:
    """Return what the recording of an evaluation depends on without watching it."""
    head = trainer.head
    return head, head.form, head.kind, head.rank, head.padded, trainer.run_eagerly, trainer.adds_losses, *head.metrics


# Trainings


def fitted(
    model: Network, trainer: Trainer, x: Any, y: Any, batch_size: int | None, shuffle: bool, verbose: Any
) -> History | None:
    """Make one epoch of one step, if it is prepared; returns its history."""
    if batch_size is not None and (type(y) is not np.ndarray or len(y) > batch_size):
        return None
    prepared = trainer.shortcut.ready(trainer, x, y) if type(x) in (np.ndarray, tuple) else None
    if prepared is None or trainer.optimizer.use_ema:
        return None
    epoch, n = trainer.epochs, len(y)
    with Interrupts() as interrupts:
        found = update(trainer, prepared, x, y, permutation(trainer.seed, epoch, n, shuffle))
    if found is None:  # the long way says why
        return None
    columns.remember(model, x)
    trainer.rate_said = said_rate(trainer)
    trainer.rate_left = trainer.optimizer._rate
    trainer.epochs = epoch + 1
    names = trainer.head.log_names()
    history = History()
    history.set_model(model)
    history.set_params(
        {"epochs": 1, "initial_epoch": 0, "resumed": False, "steps": 1, "batch_size": batch_size, "verbose": verbose,
         "metrics": names}
    )  # fmt: skip
    total, rows, right, count = found
    logs = {"loss": total / rows}
    if trainer.counted is not None:
        logs[trainer.counted.name] = right / count if count else float("nan")
    if not interrupts.noted:
        history.history, history.epoch = {name: [logs[name]] for name in names}, [0]
    model.stop_training = history.interrupted = bool(interrupts.noted)
    return history


def may_be_short(x: Any, y: Any, batch_size: int | None) -> bool:
    """Tell whether a training of such data is one step, of a batch that is worth copying."""
    if type(y) is not np.ndarray or type(x) not in (np.ndarray, tuple) or not len(y):
        return False
    arrays = x if type(x) is tuple else (x,)
    small = all(type(a) is np.ndarray for a in arrays) and sum(a.nbytes for a in arrays) <= MOST_BYTES
    return small and (batch_size is None or len(y) <= batch_size)
