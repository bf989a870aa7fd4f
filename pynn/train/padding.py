"""Padded steps in what is kept for losses and metrics.

Outputs for many batches lie in one array, in which padded steps hold the least number of the dtype: so what is kept,
cut, and written into checkpoints is one array, and it tells itself which steps are real.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor

__all__ = ["lengths_in", "marked", "real_steps"]


def marked(y: Tensor) -> Tensor:
    """Return outputs [N, T, ...] with marks at their padded steps."""
    return y if y.lengths is None else ops.mask_steps(y, float(np.finfo(y.dtype).min))


def _real(out: np.ndarray) -> np.ndarray:
    """Return which steps hold no mark, [N, T]."""
    rest = tuple(range(2, out.ndim))
    return ~(out == np.finfo(out.dtype).min).all(axis=rest)


def lengths_in(out: np.ndarray) -> np.ndarray:
    """Return the lengths of padded sequences that marks tell, or a mask if padding stands elsewhere; marks become 0."""
    real = _real(out)
    out[~real] = 0
    at_end = bool((real[:, :-1] >= real[:, 1:]).all())
    return real.sum(1).astype(np.int32) if at_end else real.astype(np.int32)


def real_steps(y: np.ndarray, predictions: np.ndarray, w: np.ndarray | None) -> tuple[Any, Any, Any]:
    """Return targets, predictions and weights of the steps that hold no mark, each as a sample.

    What has no target for each step is returned as it is.
    """
    if predictions.ndim < 2 or y.shape[:2] != predictions.shape[:2]:
        return y, predictions, w
    real = _real(predictions)
    if w is not None:
        w = np.broadcast_to(w[:, None] if w.ndim == 1 else w, real.shape)[real]
    return y[real], predictions[real], w
