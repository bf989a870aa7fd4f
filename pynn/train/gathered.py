"""Metrics of a training or an evaluation under way: what they are given part by part, and what comes of it."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

__all__ = ["Part", "cleared", "result_of", "take", "twin"]

Part = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # targets, predictions, weights


PLAIN = {bool, int, float, str, type(None)}


def twin(metric: Any) -> Any:
    """Return a deep copy of a metric; of pynn's own ones in a fifth of the time that copy.deepcopy needs."""
    kind = type(metric)
    if not kind.__module__.startswith("pynn.metrics."):
        return copy.deepcopy(metric)
    made = object.__new__(kind)
    for key, value in vars(metric).items():
        vars(made)[key] = value if type(value) in PLAIN else copy.deepcopy(value)
    return made


def take(metric: Any, found: Part) -> None:
    """Hand a metric a part of the rows; one that wants all of them at once holds it, and a checkpoint has it so."""
    if not metric.weighted:
        found = (found[0], found[1], None)
    if metric.streams:
        metric.update(*found)
    else:
        vars(metric).setdefault("_held", []).append(found)


def cleared(metric: Any) -> None:
    """Make a metric forget all parts."""
    vars(metric).pop("_held", None)
    metric.reset()


def result_of(metric: Any) -> Any:
    """Return the result of all parts."""
    for found in _in_one(vars(metric).pop("_held", [])):
        metric.update(*found)
    return metric.result()


def _in_one(kept: list[Any]) -> list[Any]:
    """Return all parts as one, if their shapes and weights allow it."""
    kinds = {(y.shape[1:], p.shape[1:], w is None) for y, p, w in kept}
    if len(kept) < 2 or len(kinds) > 1:
        return kept
    ys, ps, ws = zip(*kept, strict=True)
    return [(np.concatenate(ys), np.concatenate(ps), None if ws[0] is None else np.concatenate(ws))]
