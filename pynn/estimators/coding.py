"""Between the targets that users have and those that a network learns: outputs, activation, loss, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn import losses, ops
from pynn.core.tensor import Tensor
from pynn.errors import unknown_name

__all__ = ["ClassCoding", "ValueCoding"]

#: scikit-learn's names, beside those of pynn.losses
CLASS_LOSSES = ("log_loss", "hinge", "squared_hinge", "squared_error")
VALUE_LOSSES = {
    "squared_error": losses.MSEHalf,  # half of it, as in scikit-learn
    "absolute_error": losses.MAE,
    "poisson": lambda: losses.Poisson(deviance=True),
    "huber": losses.Huber,
}


@dataclass(frozen=True)
class ValueCoding:
    """Real targets: an output for each.

    Attributes
    ----------
    loss : pynn.losses.Loss
    outputs : int
    activation : str or None
        Of the last layer.
    """

    loss: losses.Loss
    outputs: int
    activation: str | None

    @classmethod
    def of(cls, place: str, loss: Any, outputs: int) -> ValueCoding:
        """Choose the coding for the parameter `loss`."""
        if isinstance(loss, str):
            known = {**losses.NAMES, **VALUE_LOSSES}
            if loss not in known:
                raise ValueError(f"[{place}] {unknown_name('loss', loss, known)}")
            loss = known[loss]()
        else:
            loss = losses.get(loss)
        return cls(loss, outputs, "exp" if isinstance(loss, losses.Poisson) else None)

    @property
    def summed(self) -> bool:
        """Whether the loss that is reported is a sum over the outputs; else it is their mean, as in scikit-learn."""
        return isinstance(self.loss, losses.Poisson)

    def decide(self, out: np.ndarray) -> np.ndarray:
        """Return predictions of the outputs."""
        return out

    def score(self, out: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> float:
        """Return R**2, the mean over the outputs; NaN if a prediction is not finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            residual = np.average((y - out) ** 2, axis=0, weights=weight)
        spread = np.average((y - np.average(y, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
        if not np.isfinite(residual).all():
            return float("nan")
        flat = spread == 0  # scikit-learn: a constant target scores 1 if it is met, else 0
        r2 = 1 - residual / np.where(flat, 1, spread)
        return float(np.where(flat, np.where(residual == 0, 1.0, 0.0), r2).mean())


@dataclass(frozen=True)
class ClassCoding:
    """Classes, or several labels for each sample.

    Attributes
    ----------
    loss : pynn.losses.Loss
    classes : int
    multilabel : bool
    outputs : int
        One for two classes, unless the loss needs an output for each.
    activation : str or None
        Of the last layer.
    threshold : float
        An output above it means yes.
    """

    loss: losses.Loss
    classes: int
    multilabel: bool
    outputs: int
    activation: str | None
    threshold: float

    @classmethod
    def of(cls, place: str, loss: Any, classes: int, multilabel: bool, pair: bool = False) -> ClassCoding:
        """Choose the coding for the parameter `loss`; with `pair`, "log_loss" has two outputs for two classes."""
        single = multilabel or (classes <= 2 and not pair)
        if isinstance(loss, str):
            if loss == "log_loss":
                loss = losses.BinaryCrossEntropy() if single else losses.CrossEntropy()
            elif loss == "squared_error":
                loss = losses.MSEHalf()
            elif loss in losses.NAMES:
                loss = losses.get(loss)
            else:
                raise ValueError(f"[{place}] {unknown_name('loss', loss, {*losses.NAMES, *CLASS_LOSSES})}")
        else:
            loss = losses.get(loss)
        softmax = loss.activation == "softmax" or isinstance(loss, (losses.CrossEntropy, losses.KLDivergence))
        if softmax and multilabel:
            raise ValueError(
                f"[{place}] expected a loss of independent outputs for several labels per sample. Received: "
                f"loss={loss!r}. help: loss='log_loss' is the binary cross-entropy there."
            )
        sigmoid = loss.activation == "sigmoid" or isinstance(loss, losses.BinaryCrossEntropy)
        wide = max(classes, 2) if softmax else classes
        outputs = 1 if classes <= 2 and not multilabel and not softmax else wide
        activation = "softmax" if softmax else "sigmoid" if sigmoid else None
        return cls(loss, classes, multilabel, outputs, activation, 0.0 if isinstance(loss, losses.Hinge) else 0.5)

    summed = True  # the loss is a sum over the outputs

    @property
    def probabilities(self) -> bool:
        """Whether the outputs are probabilities."""
        return self.activation is not None

    def encode(self, index: np.ndarray, dtype: Any) -> np.ndarray:
        """Return the network's targets for class numbers [N] (for several labels: rows of 0 and 1)."""
        if self.multilabel:
            return np.ascontiguousarray(index, dtype)
        if isinstance(self.loss, losses.CrossEntropy):
            return index.astype(np.int32)
        if self.outputs == 1:
            return index.astype(dtype).reshape(-1, 1)
        return np.eye(self.outputs, dtype=dtype)[index]

    def activated(self, out: np.ndarray) -> np.ndarray:
        """Return probabilities of the logits of a model that ends without an activation."""
        if self.activation is None:
            return out
        with np.errstate(all="ignore"):
            return getattr(ops, self.activation)(Tensor.state(out)).numpy()

    def decide(self, out: np.ndarray) -> np.ndarray:
        """Return class numbers [N] (for several labels: rows of 0 and 1) of the outputs."""
        if self.multilabel:
            return (out > self.threshold).astype(np.int64)
        if self.outputs == 1:
            return np.minimum(out[:, 0] > self.threshold, self.classes - 1).astype(np.int64)
        return out[:, : self.classes].argmax(axis=1)

    def proba(self, out: np.ndarray) -> np.ndarray:
        """Return the probability of every class [N, classes]."""
        if self.outputs > 1 and self.activation == "sigmoid" and not self.multilabel:
            return out / np.maximum(out.sum(axis=1, keepdims=True), np.finfo(out.dtype).tiny)
        if self.multilabel or self.outputs > 1:
            return out[:, : self.classes]
        return np.concatenate([1 - out, out], axis=1)[:, : self.classes]

    def score(self, out: np.ndarray, index: np.ndarray, weight: np.ndarray | None) -> float:
        """Return the share of samples (for several labels: of whole rows) that are right."""
        right = self.decide(out) == index
        return float(np.average(right.all(axis=1) if self.multilabel else right, weights=weight))
