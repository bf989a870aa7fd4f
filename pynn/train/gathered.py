"""Metrics of a training or an evaluation under way: what they are given part by part, and what comes of it."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Part", "cleared", "result_of", "take"]

Part = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # targets, predictions, weights


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
