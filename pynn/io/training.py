"""How a model is trained, as JSON and tensors and back: loss, metrics, optimizer, its slots and the counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.io.config import construct, encode_object
from pynn.losses import Loss
from pynn.metrics import Metric
from pynn.optim import Optimizer

__all__ = ["compile_as", "describe_training", "matched_slots", "training_tensors"]

KEYS = {"optimizer", "loss", "metrics", "seed", "run_eagerly", "step"}
LATER = {"epochs": 0}  # what files of earlier versions lack, and what it is then


def describe_training(trainer: Any) -> dict[str, Any]:
    """Return what compile() was given, and the number of updates so far, as JSON."""
    return {
        "optimizer": encode_object(trainer.optimizer, "optimizer"),
        "loss": encode_object(trainer.loss, "loss"),
        "metrics": [encode_object(metric, "metrics") for metric in trainer.metrics],
        "seed": trainer.seed,
        "run_eagerly": bool(trainer.run_eagerly),
        "step": int(trainer.slots.step.view()[0]),
        "epochs": trainer.epochs,
    }


def training_tensors(trainer: Any) -> dict[str, np.ndarray]:
    """Return the optimizer's slots, ``slot/parameter``, or ``slot`` where it is one for all; none before training."""
    found: dict[str, np.ndarray] = {}
    for name, slot, parts in _slots(trainer):
        for path, part in parts.items():
            found[f"{name}/{path}" if path else name] = slot.view().reshape(-1)[part] if path else slot.view()
    shapes = {path: weight.shape for path, weight in trainer.model.named_parameters()}
    return {k: a.reshape(shapes[k.partition("/")[2]]) if "/" in k else a for k, a in found.items()}


def _slots(trainer: Any) -> list[tuple[str, Tensor, dict[str, slice]]]:
    """Return (name, slot, {path of a parameter: its part of the slot}); {"": all} for a slot that is one for all."""
    flat = trainer.flat
    parameters = trainer.model.parameters()
    if flat is None or [id(t) for t in parameters] != [id(t) for t in flat.tensors] or not flat.intact():
        return []  # the next fit() begins with new slots
    paths = {id(weight): path for path, weight in trainer.model.named_parameters()}
    home, itemsize = flat.params.buffer.address, flat.dtype.itemsize
    parts = {}
    for t in flat.tensors:
        start = (t.buffer.address - home) // itemsize
        parts[paths[id(t)]] = slice(start, start + t.size)
    held = trainer.optimizer._states.get(flat, {})
    return [
        (name, slot, parts if slot.shape == flat.params.shape else {"": slice(None)}) for name, slot in held.items()
    ]


def compile_as(model: Any, record: Any) -> None:
    """Compile a model as a record says, after every field was checked."""
    if not isinstance(record, dict) or set(record) - set(LATER) != KEYS:
        raise DataError(f"[load] training: expected a table of {', '.join(sorted(KEYS))}.")
    record = {**LATER, **record}
    if not isinstance(record["metrics"], list) or not isinstance(record["run_eagerly"], bool):
        raise DataError("[load] training: expected a list of metrics, and run_eagerly true or false.")
    for key in ("seed", "step", "epochs"):
        if type(record[key]) is not int or not 0 <= record[key] < 2**63:
            raise DataError(f"[load] training.{key}: expected an integer of at least 0. Received: {record[key]!r}.")
    model.compile(
        optimizer=construct(record["optimizer"], Optimizer, "training.optimizer"),
        loss=construct(record["loss"], Loss, "training.loss"),
        metrics=[construct(item, Metric, f"training.metrics[{i}]") for i, item in enumerate(record["metrics"])],
        seed=record["seed"],
        run_eagerly=record["run_eagerly"],
    )
    model._trainer.epochs = record["epochs"]


def matched_slots(trainer: Any, tensors: Mapping[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (slot of the optimizer, its value in the file) for all; raise if a tensor does not fit."""
    if not tensors:  # it was saved before any training
        return []
    trainer.flatten()
    targets = training_tensors(trainer)
    if set(tensors) != set(targets):
        odd = sorted(set(tensors) ^ set(targets))[0]
        what = "has a tensor that its optimizer has not" if odd in tensors else "lacks a tensor of its optimizer"
        raise DataError(f"[load] the file {what}: {odd!r}.")
    for name, target in targets.items():
        if tensors[name].shape != target.shape or tensors[name].dtype != target.dtype:
            raise DataError(
                f"[load] expected the optimizer's {name!r} of shape {target.shape}, {target.dtype}. "
                f"Received: {tensors[name].shape}, {tensors[name].dtype}."
            )
    return [(target, tensors[name]) for name, target in targets.items()]
