"""Between a model's output and its loss and metrics: what is computed from which, and what targets are."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pynn import losses, metrics
from pynn.core.foreign import is_array
from pynn.core.tape import Tape
from pynn.core.tensor import Tensor, to_array
from pynn.errors import DataError, ShapeError, warn
from pynn.losses.bounds import bounds
from pynn.losses.kinds import kind_of
from pynn.losses.logits import Scores, looks_linear, scores_of
from pynn.ops import steps
from pynn.train.data import by_entry, check_finite, sample_weights, to_dtype
from pynn.train.gathered import take
from pynn.train.padding import real_steps

__all__ = ["Head", "alone_of"]

SUM_TO_ONE = 1e-4  # how far the sum of outputs that look like a softmax's may be from 1


def alone_of(out: Any) -> Any:
    """Return what stands alone in a list or tuple that a model returns; anything else as it is."""
    return out[0] if isinstance(out, (list, tuple)) and len(out) == 1 else out


class Head:
    """What a compiled model does with its output.

    Attributes
    ----------
    loss : Loss
    metrics, running : list of Metric
        Those of evaluate(), and those of the epoch under way, in which a callback may call evaluate().
    form : {"logits", "probabilities", "outputs"}
        What the loss is computed from; see :class:`pynn.losses.logits.Scores`.
    kind : {"labels", "rows", "binary", "multilabel", "values"} or None
        What targets are; see :mod:`pynn.losses.kinds`. None as long as nobody needs to know.
    """

    several = False  # outputs
    counts = True  # whether the program may count what is right
    loss_names: tuple[str, ...] = ()  # of losses beside the total

    def __init__(self, loss: Any, wanted: Sequence[Any]):
        self.asked_for = loss, wanted
        self.loss = losses.get(loss)
        binary = self.loss.activation == "sigmoid"  # each output is a question of its own
        self.metrics = [
            metrics.BinaryAccuracy(name=m) if m == "accuracy" and binary else metrics.get(m) for m in wanted
        ]
        self.running = copy.deepcopy(self.metrics)
        self.form = "outputs"
        self.kind: str | None = None
        self.rank = 0  # of the output
        self.padded = False  # whether it is one of padded sequences
        self._warned = False

    def each(self) -> list[Head]:
        """Return what each output with a loss has: here, this one."""
        return [self]

    def log_names(self) -> list[str]:
        """Return the names of what is logged."""
        return ["loss", *(metric.name for metric in self.metrics)]

    def total(self, losses: Sequence[Any]) -> Any:
        """Return what is minimized, of the loss of each output."""
        return losses[0]

    def row_size(self, shape: tuple[int, ...]) -> int:
        """Return how many numbers the model puts out for a row."""
        return math.prod(shape[1:])

    def scores(self, out: Any, tape: Tape) -> Scores:
        """Return what the loss is to be computed from, for the output of a forward pass and the tape of it."""
        return scores_of(self.loss, alone_of(out), tape)

    def look(self, out: Tensor, tape: Tape) -> None:
        """Take in a forward pass that was made on trial."""
        self.form, self.rank, self.padded = self.scores(out, tape).form, out.ndim, out.lengths is not None
        for m in (*self.metrics, *self.running):
            if hasattr(m, "from_logits"):
                m.from_logits = self.form == "outputs" and self.loss.from_logits
        doubt = None if self._warned else self._doubt(out, tape)
        if doubt is not None:
            self._warned = True
            warn(doubt)

    def _doubt(self, out: Tensor, tape: Tape) -> str | None:
        """Return what speaks against outputs being what the loss takes them for."""
        loss = self.loss
        if self.form != "outputs" or loss.task == "values" or not out.size:
            return None
        if loss.from_logits:
            least, largest = bounds(out, tape)
            return self._doubt_of_logits(out, least >= 0 and largest <= 1)
        values = out.view()
        inside = bool((values >= 0).all() and (values <= 1).all())
        if inside and not looks_linear(out, tape):
            return None
        activation = "softmax" if loss.task == "classes" else "sigmoid"
        return (
            f"[{loss.name}] this loss takes probabilities, but the model's outputs do not come from {activation}. "
            f"help: end the model in activation={activation!r}, or pass a loss with from_logits=True, as "
            "'cross_entropy' and 'binary_cross_entropy' are."
        )

    def _doubt_of_logits(self, out: Tensor, known: bool) -> str | None:
        loss, values = self.loss, out.view()
        if loss.activation is None:
            margins = (
                f"[{loss.name}] the outputs lie between 0 and 1 like probabilities, but this loss takes margins, below "
                "and above 0. help: end the model without an activation."
            )
            return margins if known else None
        wide = out.ndim > 1 and out.shape[-1] > 1 and bool((values >= 0).all())
        distributions = wide and bool((np.abs(values.sum(-1) - 1) < SUM_TO_ONE).all())
        if not (distributions or known):
            return None
        found = "each row sums to 1" if distributions else "they lie between 0 and 1"
        return (
            f"[{loss.name}] the outputs look like probabilities, {found}, but this loss takes logits: it applies "
            f"{loss.activation} to them. help: end the model without an activation or in activation="
            f"{loss.activation!r}, which is taken off, or pass the loss with from_logits=False."
        )

    # For files

    def described(self) -> dict[str, Any]:
        """Return what compile() was given, as objects."""
        return {"loss": self.loss, "metrics": self.metrics}

    # Targets

    def rows(self, y: Any, n: int, dtype: np.dtype, place: str) -> np.ndarray:
        """Return targets as an array of n rows, checked as far as that goes without the output's shape."""
        if y is None:
            raise DataError(f"[{place}] expected targets. Received: y=None. help: call {place}(x, y).")
        alone = alone_of(y)
        array = to_array(alone if n > 1 and is_array(alone) else y, place)
        if array.ndim == 0 or len(array) != n:
            length = "a single number" if array.ndim == 0 else f"{len(array)} targets"
            raise ShapeError(f"[{place}] expected as many targets as samples. Received: {n} samples and {length}.")
        if array.dtype.kind == "f":
            array = to_dtype(array, dtype)
        check_finite(array, "y", place)
        return array

    def targets(
        self, y: np.ndarray, weight: Any, class_weight: Any, shape: tuple[int, ...], dtype: np.dtype, place: str
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return targets as the loss takes them, and weights or None, for outputs of a shape."""
        y = np.ascontiguousarray(self.loss.check_targets(y, shape))
        if y.dtype.kind == "f":
            y = to_dtype(y, dtype)
        elif y.dtype == np.uint8:  # bytes are inputs
            y = y.astype(np.int32)
        w = sample_weights(weight, shape, dtype, place)
        by_class = self.expect(y, shape, class_weight)
        return y, w if by_class is None else by_entry(w, by_class.astype(dtype))

    def expect(self, y: np.ndarray, shape: tuple[int, ...], class_weight: Any = None) -> np.ndarray | None:
        """Find of what kind targets are, tell the metrics, and return weights by class.

        Parameters
        ----------
        y : ndarray
            As the loss's check_targets() returned them.
        shape : tuple of int
            Of the output for them.
        class_weight : dict, optional

        Returns
        -------
        ndarray [N] or [N, T], or None

        Raises
        ------
        DataError, ShapeError, ValueError
            If a metric or the weights of classes mean nothing for such targets.
        """
        both = (*self.metrics, *self.running)
        if isinstance(class_weight, str) and self.padded and y.shape[:2] == shape[:2]:
            raise ValueError(
                "[fit] expected class_weight as a dict where each step of padded sequences has a target: those of "
                f"padding would count. Received: {class_weight!r}. help: n / (classes * count), of real steps."
            )
        if class_weight is None and not any(_asks(m) for m in both):
            return None
        kind = kind_of(self.loss, y, shape)
        if kind == "rows" and self.kind == "multilabel" and self.loss.task != "classes":
            kind = self.kind  # rows that happen to name one label each
        for metric in both:
            metric.expect(kind, y, shape)
        self.kind = kind
        if class_weight is None:
            return None
        classes = 2 if kind == "binary" else shape[-1] if len(shape) > 1 else None
        if isinstance(class_weight, Mapping) and kind == "values":
            classes = None  # what is wrong is not the number of the class
        return losses.class_weights_to_sample_weights(y, class_weight, kind, classes)

    @property
    def gives_logits(self) -> bool:
        """Whether outputs, as predict() gives them, are logits."""
        return self.form == "outputs" and self.loss.from_logits and self.loss.activation is not None

    # Metrics of an epoch

    def room(self, shape: tuple[int, ...], rows: int, dtype: np.dtype) -> np.ndarray | None:
        """Return room for the predictions of so many rows, None if no metric asks for them."""
        return np.zeros((rows, *shape[1:]), dtype) if self.logged else None

    def gather(self, y: np.ndarray, predictions: np.ndarray | None, w: np.ndarray | None) -> None:
        """Give the metrics of the epoch a part of its rows."""
        if predictions is None:
            return
        found = y, predictions, w
        if self.padded:
            found = real_steps(*found)
        for metric in self.logged:
            take(metric, found)

    # Counting

    @property
    def counted(self) -> Any:
        """The metric that the program itself counts: plain accuracy of one row of scores per sample."""
        kinds = (metrics.Accuracy, metrics.BinaryAccuracy) if self.loss.activation == "sigmoid" else (metrics.Accuracy,)
        plain = (
            m for m in self.running
            if isinstance(m, metrics.Accuracy) and type(m) in kinds
            and m.threshold == 0.5 and (not m.multilabel or self.loss.activation == "sigmoid")
        )  # fmt: skip
        return next(plain, None) if self.counts and self.rank <= 2 and not self.padded else None

    @property
    def logged(self) -> list[Any]:
        """The metrics that are computed from all predictions at the end of an epoch."""
        counted = self.counted
        return [m for m in self.running if m is not counted]

    def counting(self, scores: Scores, y: Tensor) -> tuple[int, float]:
        """Return how the program counts what is right, and the border between yes and no."""
        z, metric = scores.values, self.counted
        if y.dtype.kind == "i":
            return steps.ARGMAX_LABELS, 0.0
        if z.ndim > 1 and z.shape[-1] > 1 and type(metric) is metrics.Accuracy and not metric.several:
            return steps.ARGMAX_ROWS, 0.0
        return steps.THRESHOLD, scores.border(self.loss)


def _asks(metric: metrics.Metric) -> bool:
    """Tell whether a metric wants to know of what kind targets are."""
    return type(metric).expect is not metrics.Metric.expect
