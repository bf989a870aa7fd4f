"""What the loss of a batch is: weighted, penalised and summed over the outputs as in scikit-learn."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pynn import ops
from pynn.core.tensor import Tensor

__all__ = ["BatchLoss"]


@dataclass(frozen=True)
class BatchLoss:
    """L = k sum(w l) / s + alpha / 2 sum(W**2) / s, with s = sum(w) over the batch.

    It is called in every training step with pynn's own mean, sum(w l) / n. Without weights s = n; where nothing weighs
    anything L = 0.

    Attributes
    ----------
    layers : tuple of Module
        Whose weights W are penalised.
    alpha : float
    outputs : int
        k, what the gradient is multiplied with: pynn's losses are means over the outputs.
    whole : bool
        Whether the value is multiplied with k as well; else it stays the mean over the outputs.
    """

    layers: tuple[Any, ...]
    alpha: float
    outputs: int
    whole: bool

    def __call__(self, loss: Tensor, weight: Tensor | None, n: int) -> Tensor:
        """Return the loss of a batch of n samples, of the mean of its weighted losses."""
        share = None
        if weight is not None:
            total = weight.sum()
            share = 1.0 / ops.where(total > 0.0, total, math.inf)
            loss = loss * (share * float(n))
        if self.outputs > 1 and self.whole:
            loss = loss * float(self.outputs)
        elif self.outputs > 1:  # 0 is added, of which the gradient is not 0
            loss = loss + (loss - loss.detach()) * float(self.outputs - 1)
        for layer in self.layers if self.alpha else ():
            penalty = ops.penalty(layer.w, 0.0, 0.5 * self.alpha / (n if share is None else 1))
            loss = ops.add(loss, penalty if share is None else penalty * share)
        return loss
