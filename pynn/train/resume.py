"""Where a training stands, written into a file and found again, so that it goes on as if nothing had happened."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pynn.errors import DataError, warn
from pynn.train.network import Network

if TYPE_CHECKING:
    from pynn.train.callbacks import CallbackList

__all__ = ["CHECKPOINT", "Position", "Run", "SafePoint", "fingerprint", "latest", "read", "said_rate"]

CHECKPOINT = re.compile(r"step-(\d{10,})\.pynn")
SEEN = ("auto", "any")  # where an Embedding's padding stands: "any" once it was seen elsewhere than at the end
KEYS = {"epoch", "batch", "rate", "source", "passed", "permutation", "callbacks", "metrics", "arrays"}
LATER = {"order", "said"}  # what checkpoints of earlier versions lack


@dataclass
class Position:
    """What a checkpoint tells of a training under way.

    Attributes
    ----------
    path : str
    epoch, batch : int
        The epoch that is under way, and how many of its batches are done.
    passed : str or None
        A digest of the batches that an iterable gave so far in this epoch.
    metrics : list of dict
        States of the metrics that are computed from predictions.
    callbacks : list of (str, dict)
        Class names and states.
    arrays : dict of str to ndarray
        ``sums``, ``hits`` and ``predictions`` of the epoch so far.
    restore : callable
        Writes what was checked into the model; see `take`.
    """

    path: str
    epoch: int
    batch: int
    passed: str | None
    metrics: list[dict[str, Any]]
    callbacks: list[tuple[str, dict[str, Any]]]
    arrays: dict[str, np.ndarray]
    restore: Callable[[], None] = lambda: None

    def give_back(self, hooks: CallbackList) -> None:
        """Give the callbacks their states: the first of a class to the first of that class, and so on."""
        for callback, state in self._states_for(hooks.callbacks):
            callback.set_state(state)

    def take(self, hooks: CallbackList, model: Network) -> None:
        """Bring the model, its optimizer and its counters here, unless a callback could not take its state.

        Raises
        ------
        DataError
            If one could not; nothing was changed.
        """
        try:
            for callback, state in self._states_for(hooks.callbacks):
                callback.check_state(state, model)
        except DataError as error:
            raise DataError(f"{error} Checkpoint: {self.path!r}.") from error
        self.restore()

    def _states_for(self, callbacks: list[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
        left = list(self.callbacks)
        for callback in callbacks:
            for i, (name, state) in enumerate(left):
                if name == type(callback).__name__:
                    yield callback, state
                    del left[i]
                    break


def latest(path: str | os.PathLike[str]) -> Path | None:
    """Return the newest checkpoint of a folder, None if it has none; a file is returned as it is.

    Raises
    ------
    FileNotFoundError
        If there is neither.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(
                f"[fit] expected a checkpoint, or a folder of them, in resume. Received: {str(path)!r}."
            )
        return path
    found = [(int(match[1]), entry) for entry in path.iterdir() if (match := CHECKPOINT.fullmatch(entry.name))]
    return max(found)[1] if found else None


def fingerprint(*arrays: np.ndarray | None) -> str:
    """Return a SHA-256 of arrays: their dtypes, shapes and values."""
    found = hashlib.sha256()
    for array in arrays:
        if array is None:
            found.update(b"none")
            continue
        found.update(f"{array.dtype.str}{array.shape}".encode())
        rows = max(1, (1 << 22) // max(1, array.nbytes // max(1, len(array))))
        for i in range(0, len(array), rows):
            found.update(np.ascontiguousarray(array[i : i + rows]).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


class Run:
    """A training under way, from which checkpoints can be made.

    Parameters
    ----------
    model, trainer, source, hooks
        Those of fit().
    """

    def __init__(self, model: Network, trainer: Any, source: Any, hooks: CallbackList):
        self.model, self.trainer, self.source, self.hooks = model, trainer, source, hooks

    def point(self, epoch: int, batch: int, predictions: Any = None, **more: Any) -> None:
        """Let the callbacks write checkpoints, if any of them may want to."""
        if self.hooks.takes_safe_points:
            self.hooks.on_safe_point(SafePoint(self, epoch, batch, predictions, **more))

    def limit(self) -> int:
        """Return how many steps may be made before the next safe point."""
        return self.hooks.steps_to_safe_point(self.trainer.slots.get("step"))


@dataclass
class SafePoint:
    """A moment between two steps, at which a checkpoint can be written.

    Attributes
    ----------
    epoch, batch : int
        The epoch that is under way, and how many of its batches are done. After an epoch these are the next one and 0.
    logs : dict or None
        After an epoch, its logs.
    last : bool
        Whether training ends here.
    """

    run: Run
    epoch: int
    batch: int
    predictions: Any = None
    logs: dict[str, float] | None = None
    last: bool = False

    @property
    def step(self) -> int:
        """The number of updates so far."""
        return self.run.trainer.slots.get("step")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint: a model file that also tells where training stands.

        Raises
        ------
        DataError
            If something in the model has no name that a file can hold.
        OSError
            If it cannot be written; what was there before is still there.
        """
        from pynn.files import write_whole
        from pynn.io import container
        from pynn.io.model_file import contents

        write_whole(path, container.pack(*contents(self.run.model, progress=self._progress())), container.verify)

    def _progress(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        from pynn.io.config import encode

        trainer, source = self.run.trainer, self.run.source
        tensors: dict[str, np.ndarray] = {}

        def inner(value: Any, place: str) -> Any:
            if not isinstance(value, np.ndarray):
                return None
            name = f"array-{len(tensors)}"
            tensors[name] = value
            return {"array": name}

        rate, said = trainer.optimizer._rate, trainer.rate_said
        arrays: dict[str, Any] = {"sums": trainer.sums.view(), "hits": trainer.hits.view()} if self.batch else {}
        if self.batch and trainer.ledger.parts:
            arrays["parts"] = [sums.view() for sums in trainer.ledger.parts]
        if self.batch and self.predictions is not None:
            arrays["predictions"] = self.predictions
        record = {
            "epoch": self.epoch,
            "batch": self.batch,
            "rate": rate if isinstance(rate, float) else None,
            "said": said if isinstance(said, float) else None,
            "source": source.describe(),
            "passed": source.passed() if self.batch else None,
            "permutation": source.permutation_digest(self.epoch),
            "order": self.epoch + source.shift,
            "callbacks": [
                {"class": type(callback).__name__, "state": encode(state, type(callback).__name__, inner)}
                for callback in self.run.hooks.callbacks
                if (state := callback.get_state())
            ],
            "metrics": [encode(_plain_state(m), m.name, inner) for m in trainer.logged] if self.batch else [],
            "arrays": encode(arrays, "arrays", inner),
        }
        return tensors, record


def _plain_state(metric: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(metric).items() if not callable(value)}


def read(path: str | os.PathLike[str], model: Network, source: Any) -> Position | None:
    """Read and check a checkpoint; :meth:`Position.take` brings the model there. Nothing changes if it does not fit.

    Parameters
    ----------
    path : path-like
        A checkpoint, or a folder of which the newest is taken.
    model : Module
        Compiled and built.
    source
        The batches of fit().

    Returns
    -------
    Position or None
        None if the folder has no checkpoint yet.

    Raises
    ------
    DataError
        If the file is none, is damaged, or is of another model, optimizer, data or batch size.
    """
    from pynn.io import container, model_file
    from pynn.io.architecture import describe
    from pynn.io.training import checked_training, describe_training, matched_slots

    file = latest(path)
    if file is None:
        return None
    found = container.read(file)
    texts = model_file.texts_of(found, str(file))
    if texts["progress"] is None or texts["training"] is None:
        raise DataError(
            f"[fit] expected resume to be a checkpoint. Received: {str(file)!r}, a model without the position of a "
            "training. help: pynn.load() reads it; ModelCheckpoint writes checkpoints."
        )
    model._require_built("fit")  # an iterable has not shown its shapes yet
    trainer = model._trainer
    trainer.flatten()  # now, as it moves the weights
    parts = model_file.split(found.tensors)
    try:
        _compare_weights(model, parts[model_file.WEIGHTS])
        _compare("model", texts["architecture"], describe(model))
        mine, theirs = describe_training(trainer), checked_training(texts["training"])
        _compare("training", *(_without_counters(record, trainer) for record in (theirs, mine)))
        record = _checked(texts["progress"])
        _compare("data", record["source"], source.describe())
        source.shift = record.get("order", record["epoch"]) - record["epoch"]
        _compare("order of the samples", record["permutation"], source.permutation_digest(record["epoch"]))
        weights = model_file.matched_weights(model, parts[model_file.WEIGHTS])
        states = model_file.matched_states(model, parts[model_file.STATE])
        position = _position(str(file), record, parts[model_file.TRAINING])
        if not source.shows:
            source.check_passed(position)
        _check_progress(position, trainer)
        _check_predictions(position, source.predictions_before(position.batch))
        slots = matched_slots(trainer, parts[model_file.OPTIMIZER], theirs["step"])
    except DataError as error:
        raise DataError(f"{error} Checkpoint: {str(file)!r}.") from error

    def take() -> None:
        model_file.restore([*weights, *slots], states)
        trainer.slots.set(step=theirs["step"])
        trainer.optimizer.iterations = theirs["step"]
        trainer.epochs = record["epoch"] + source.shift
        if record["rate"] is not None:
            trainer.optimizer.learning_rate = _rate(trainer.rate_said, record)

    position.restore = take
    return position


def _check_progress(position: Position, trainer: Any) -> None:
    """Raise unless the metrics can go on from what a checkpoint tells of an epoch under way."""
    if not position.batch:
        return
    if len(position.metrics) != len(trainer.logged):
        raise DataError(
            f"[load] metrics: expected the states of {len(trainer.logged)}. Received: {len(position.metrics)}."
        )
    for metric, state in zip(trainer.logged, position.metrics, strict=True):
        odd = [key for key, value in state.items() if not _alike(getattr(metric, key, None), value)]
        if odd:
            raise DataError(f"[load] metrics: expected the state of {metric.name}. Received: another {odd[0][:40]!r}.")
    parts: Any = position.arrays.get("parts", [])
    sums = isinstance(parts, list) and all(isinstance(p, np.ndarray) and p.shape == (2,) for p in parts)
    if not sums or len(parts) != len(trainer.head.loss_names):
        raise DataError("[load] arrays: expected two numbers for the loss of each output.")


def _check_predictions(position: Position, shapes: Any) -> None:
    """Raise unless the predictions of the epoch so far are there, as many as the metrics need."""
    if not _of_shape(position.arrays.get("predictions"), shapes):
        raise DataError(f"[load] arrays: expected floats of shape {shapes} as predictions.")


def _of_shape(found: Any, shape: Any) -> bool:
    """Tell whether floats of a shape are there, or those of a list of shapes; of None, anything may be."""
    if isinstance(shape, list):
        return isinstance(found, list) and len(found) == len(shape) and all(map(_of_shape, found, shape))
    return shape is None or (isinstance(found, np.ndarray) and found.shape == shape and found.dtype.kind == "f")


def _alike(now: Any, then: Any) -> bool:
    """Tell whether a value of a file may stand where one of the program does: numbers, arrays, texts, lists alike."""
    kinds = (bool, int, float, np.number), (np.ndarray,), (str,), (list, tuple), (dict,)
    held = next((kind for kind in kinds if isinstance(now, kind)), None)
    if now is None or callable(now):
        return now is None
    return then is None or (held is not None and isinstance(then, held))


def said_rate(trainer: Any) -> Any:
    """Return the learning rate that the program gave, not what callbacks of an earlier fit() made of it."""
    rate = trainer.optimizer._rate
    return rate if rate is not trainer.rate_left else trainer.rate_said


def _rate(said: Any, record: dict[str, Any]) -> float:
    """Return the constant rate to go on with: that of the checkpoint, or the program's if it says another one now."""
    then = record.get("said")
    if then is None or said == then:
        return float(record["rate"])
    if said != record["rate"]:
        warn(
            f"[fit] goes on with learning_rate={said:g}, which the optimizer was given now; that of the checkpoint "
            f"was given {then:g} and had come to {record['rate']:g}"
        )
    return float(said)


def _compare_weights(model: Network, tensors: Mapping[str, np.ndarray]) -> None:
    """Raise if the weights have other names or shapes, which is the clearest sign of another model."""
    mine = {path: (weight.shape, str(weight.dtype)) for path, weight in model.named_parameters()}
    theirs = {path: (array.shape, str(array.dtype)) for path, array in tensors.items()}
    for path in sorted({*mine, *theirs}):
        if mine.get(path) != theirs.get(path):
            here, there = (t.get(path, "no such weight") for t in (mine, theirs))
            raise DataError(
                f"[fit] cannot resume: the checkpoint is of another model. Weight {path!r}: "
                f"expected {there}, as in the checkpoint. Received: {here}."
            )


def _without_counters(record: dict[str, Any], trainer: Any) -> dict[str, Any]:
    """Return the settings of a training that must agree."""
    kept = {key: value for key, value in record.items() if key not in ("step", "epochs", "run_eagerly")}
    optimizer = kept.get("optimizer")
    if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
        config = dict(optimizer["config"])
        if isinstance(config.get("learning_rate"), float) and isinstance(trainer.optimizer._rate, float):
            del config["learning_rate"]  # a callback may have changed it
        if not config.get("use_ema"):  # files of earlier versions know no averages
            config = {key: value for key, value in config.items() if "ema" not in key}
        kept["optimizer"] = {**optimizer, "config": config}
    # the model says of its metrics whether scores are logits; files of earlier versions do not know multilabel
    kept["metrics"] = _settings_alone(kept.get("metrics", ()))
    return kept


def _settings_alone(metrics: Any) -> Any:
    """Return the records of metrics without what the model says of them."""
    if isinstance(metrics, (list, tuple)):
        return [_settings_alone(m) for m in metrics]
    if not isinstance(metrics, dict):
        return metrics
    if not isinstance(metrics.get("config"), dict):
        return {key: _settings_alone(value) for key, value in metrics.items()}
    told = {k: v for k, v in metrics["config"].items() if k != "from_logits" and (k, v) != ("multilabel", False)}
    return {**metrics, "config": told}


def _compare(what: str, theirs: Any, mine: Any) -> None:
    """Raise with the place of the first difference."""
    found = _difference(theirs, mine, what)
    if found is not None:
        place, there, here = found
        raise DataError(
            f"[fit] cannot resume: the checkpoint has another {what}. {place}: expected {str(there)[:80]}, as in the "
            f"checkpoint. Received: {str(here)[:80]}. help: fit as before, or without resume."
        )


def _difference(a: Any, b: Any, place: str) -> tuple[str, Any, Any] | None:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted({*a, *b}):
            named = key in ("name", "path") or (key == "seed" and place != "training")
            found_out = key == "padding" and a.get(key) in SEEN and b.get(key) in SEEN
            if not (named or found_out) and (found := _difference(a.get(key), b.get(key), f"{place}.{key}")):
                return found
        return None
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            if found := _difference(x, y, f"{place}[{i}]"):
                return found
        return None
    return None if a == b and type(a) is type(b) else (place, a, b)


def _checked(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict) or set(record) - LATER != KEYS:
        raise DataError("[fit] the checkpoint does not tell where training stands.")
    numbers = ("epoch", "batch", *({"order"} & set(record)))
    counts = all(type(record[key]) is int and 0 <= record[key] < 2**62 for key in numbers)
    rates = record["rate"], record.get("said")
    rate = all(value is None or (isinstance(value, float) and 0 <= value < np.inf) for value in rates)
    lists = isinstance(record["callbacks"], list) and isinstance(record["metrics"], list)
    if not counts or not rate or not lists:
        raise DataError("[fit] the checkpoint has an epoch, batch, rate or list out of range.")
    return record


def _position(path: str, record: dict[str, Any], tensors: Mapping[str, np.ndarray]) -> Position:
    from pynn.io.config import decode

    def inner(value: dict[str, Any], place: str) -> Any:
        if set(value) != {"array"}:
            return None
        if not isinstance(value["array"], str) or value["array"] not in tensors:
            raise DataError(f"[load] {place}: the file lacks its array.")
        return np.array(tensors[value["array"]])

    callbacks = []
    for i, item in enumerate(record["callbacks"]):
        if not isinstance(item, dict) or set(item) != {"class", "state"} or not isinstance(item["class"], str):
            raise DataError(f"[load] callbacks[{i}]: expected a class and its state.")
        state = decode(item["state"], f"callbacks[{i}]", inner)
        if not isinstance(state, dict):
            raise DataError(f"[load] callbacks[{i}]: expected a table as state.")
        callbacks.append((item["class"], state))
    metrics = [decode(item, f"metrics[{i}]", inner) for i, item in enumerate(record["metrics"])]
    arrays = decode(record["arrays"], "arrays", inner)
    if not isinstance(arrays, dict) or not all(isinstance(m, dict) for m in metrics):
        raise DataError("[load] expected tables of arrays and of the metrics' states.")
    for name in ("sums", "hits") if record["batch"] else ():
        array = arrays.get(name)
        if not isinstance(array, np.ndarray) or array.shape != (2,) or array.dtype != np.float64:
            raise DataError(f"[load] expected two numbers in {name!r}.")
    return Position(path, record["epoch"], record["batch"], record["passed"], metrics, callbacks, arrays)
