"""Between a model's output and its loss and metrics: what is computed from which, and what targets are."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pynn import losses, metrics
from pynn.core.tape import Tape
from pynn.core.tensor import Tensor
from pynn.errors import warn
from pynn.losses.bounds import bounds
from pynn.losses.kinds import kind_of
from pynn.losses.logits import Scores, looks_linear, scores_of
from pynn.ops import steps

__all__ = ["Head"]

SUM_TO_ONE = 1e-4  # how far the sum of outputs that look like a softmax's may be from 1


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

    def __init__(self, loss: Any, wanted: Sequence[Any]):
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

    def scores(self, out: Tensor, tape: Tape) -> Scores:
        """Return what the loss is to be computed from, for the output of a forward pass and the tape of it."""
        return scores_of(self.loss, out, tape)

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

    # Targets

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

    # Counting

    @property
    def counted(self) -> Any:
        """The metric that the program itself counts: plain accuracy of one row of scores per sample."""
        kinds = (metrics.Accuracy, metrics.BinaryAccuracy) if self.loss.activation == "sigmoid" else (metrics.Accuracy,)
        plain = (m for m in self.running if type(m) in kinds and getattr(m, "threshold", 0.5) == 0.5)
        return next(plain, None) if self.rank <= 2 and not self.padded else None

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
