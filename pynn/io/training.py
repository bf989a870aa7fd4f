"""How a model is trained, as JSON and tensors and back: loss, metrics, optimizer, its slots and the counters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn.errors import DataError
from pynn.io.config import construct, decode, encode, encode_object
from pynn.losses import Loss
from pynn.metrics import Metric
from pynn.optim import Optimizer

__all__ = ["checked_training", "compile_as", "describe_training", "matched_slots", "training_tensors"]

KEYS = {"optimizer", "loss", "metrics", "seed", "run_eagerly", "step"}
STEP = "step"
FLOAT64, INT64 = np.dtype("float64"), np.dtype("int64")
LATER = {"epochs": 0, "loss_weights": None}  # what not every file has, and what it is then


def describe_training(trainer: Any) -> dict[str, Any]:
    """Return what compile() was given, and the number of updates so far, as JSON."""
    return {
        "optimizer": encode_object(trainer.optimizer, "optimizer"),
        **{key: encode(value, key) for key, value in trainer.head.described().items()},
        "seed": trainer.seed,
        "run_eagerly": bool(trainer.run_eagerly),
        "step": int(trainer.slots.step.view()[0]),
        "epochs": trainer.epochs,
    }


def training_tensors(trainer: Any) -> dict[str, np.ndarray]:
    """Return the optimizer's slots as ``slot/parameter``, those of frozen parameters too; none before training.

    While all parameters were updated in every step, what is one number for a parameter is told once, as ``slot``, and
    the updates of each are the model's step; else ``step/parameter`` tells them.
    """
    table, step = trainer.optimizer.table, trainer.slots.get("step")
    weights = list(trainer.model.named_parameters())
    named = [(path, held) for path, weight in weights if (held := table.get(weight))]
    whole = table.whole([weight for _, weight in weights])
    together = all(held.count.view()[0] == step for _, held in named)
    found: dict[str, np.ndarray] = {}
    for path, held in named:
        found.update({f"{name}/{path}": whole.get(id(slot), slot.view()) for name, slot in held.slots.items()})
        found.update({name if together else f"{name}/{path}": one.view() for name, one in held.numbers.items()})
        if not together:
            found[f"{STEP}/{path}"] = held.count.view()
    return found


def checked_training(record: Any) -> dict[str, Any]:
    """Return a record as :func:`describe_training` makes it, or raise DataError."""
    if not isinstance(record, dict) or set(record) - set(LATER) != KEYS:
        raise DataError(f"[load] training: expected a table of {', '.join(sorted(KEYS))}.")
    record = {**LATER, **record}
    if not isinstance(record["metrics"], (list, dict)) or not isinstance(record["run_eagerly"], bool):
        raise DataError("[load] training: expected a list of metrics, and run_eagerly true or false.")
    for key in ("seed", "step", "epochs"):
        if type(record[key]) is not int or not 0 <= record[key] < 2**63:
            raise DataError(f"[load] training.{key}: expected an integer of at least 0. Received: {record[key]!r}.")
    return record


def compile_as(model: Any, record: Any) -> None:
    """Compile a model as a record says, after every field was checked."""
    record = checked_training(record)
    optimizer = construct(record["optimizer"], Optimizer, "training.optimizer")
    made = {
        "loss": _decoded(record["loss"], Loss, "training.loss"),
        "metrics": _decoded(record["metrics"], Metric, "training.metrics"),
        "loss_weights": decode(record["loss_weights"], "training.loss_weights"),
    }
    try:
        model.compile(optimizer=optimizer, **made, seed=record["seed"], run_eagerly=record["run_eagerly"])
    except (TypeError, ValueError) as error:
        raise DataError(f"[load] training: {error}") from error
    model._trainer.epochs = record["epochs"]


def _decoded(record: Any, kind: type, place: str) -> Any:
    """Return the object of a record, or a list or dict of such, for the outputs of a model."""
    if isinstance(record, list):
        return [_decoded(item, kind, f"{place}[{i}]") for i, item in enumerate(record)]
    if isinstance(record, dict) and set(record) == {"dict"} and isinstance(record["dict"], dict):
        return {key: _decoded(item, kind, f"{place}[{key!r}]") for key, item in record["dict"].items()}
    return None if record is None and "[" in place else construct(record, kind, place)


def matched_slots(trainer: Any, tensors: Mapping[str, np.ndarray], step: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (slot of the optimizer, its value) for all slots; raise if a tensor does not fit.

    Parameters
    ----------
    trainer : Trainer
    tensors : mapping of str to ndarray
        As :func:`training_tensors` returned them.
    step : int
        The model's updates so far.

    Raises
    ------
    DataError
        If a tensor is missing, is left over, or does not fit.
    """
    optimizer, named = trainer.optimizer, dict(trainer.model.named_parameters())
    slots, numbers = optimizer.kept_names(), optimizer.number_names()
    # A rule without slots leaves no trace in the file of which parameters it updated.
    told = any(name.startswith(f"{STEP}/") for name in tensors)
    signs = (STEP, *slots)
    kept = [path for path in named if any(f"{name}/{path}" in tensors for name in signs)]
    if not slots and not told and step:
        kept = [path for path, _ in trainer.model.named_parameters(trainable_only=True)]
    expected: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
    for path in kept:
        expected.update({f"{name}/{path}": (named[path].shape, named[path].dtype) for name in slots})
        expected.update({f"{name}/{path}" if told else name: ((1,), FLOAT64) for name in numbers})
        if told:
            expected[f"{STEP}/{path}"] = ((1,), INT64)
    odd = sorted(set(tensors) ^ set(expected))
    if odd:
        what = "has a tensor that its optimizer has not" if odd[0] in tensors else "lacks a tensor of its optimizer"
        raise DataError(f"[load] the file {what}: {odd[0]!r}.")
    for name, (shape, dtype) in expected.items():
        if tensors[name].shape != shape or tensors[name].dtype != dtype:
            raise DataError(
                f"[load] expected the optimizer's {name!r} of shape {shape}, {dtype}. "
                f"Received: {tensors[name].shape}, {tensors[name].dtype}."
            )
    if any(name.startswith(f"{STEP}/") and array[0] < 0 for name, array in tensors.items()):
        raise DataError("[load] expected the optimizer's steps to be at least 0.")
    optimizer.table.add([named[path] for path in kept], slots, numbers, optimizer.first_of)
    pairs = []
    for path, weight in named.items():
        held = optimizer.table.get(weight)
        for name, slot in {} if held is None else held.named().items():
            value = tensors.get(f"{name}/{path}", tensors.get(name))
            if value is None:  # one without slots in the file begins anew
                value = np.asarray((step if path in kept else 0) if name == STEP else optimizer.first_of(name))
            elif held is not None and held.share is not None and name in held.slots:
                value = value.ravel()[slice(*held.share)]
            pairs.append((slot.view(), value))
    optimizer.table.version += 1  # who was updated equally often may have changed
    optimizer.table.changes += 1
    return pairs
