"""Several outputs of a model, with a loss, a weight and metrics each: one Head for each, under one roof."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pynn import losses, metrics, ops
from pynn.checks import number
from pynn.core.foreign import is_array
from pynn.core.tape import Tape
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError, ShapeError, unknown_name
from pynn.train.head import Head, alone_of
from pynn.train.scores import Losses, SeveralScores, by_name

__all__ = ["Heads", "head_for", "looked_at"]

PLACE = "compile"


def asks_for_several(loss: Any, wanted: Any, weights: Any) -> bool:
    """Tell whether what compile() is given is for a model with several outputs."""
    per_output = isinstance(wanted, Mapping) or _is_nested(wanted)
    return isinstance(loss, (Mapping, list, tuple)) or per_output or weights is not None


def head_for(model: Any, loss: Any, wanted: Any, weights: Any) -> Head | Heads:
    """Return what a model does with its outputs, as far as that is known before it is run."""
    names = getattr(model, "output_names", None)
    single = names is None or len(names) == 1
    if single and isinstance(loss, (list, tuple)) and len(loss) == 1 and not isinstance(wanted, Mapping):
        loss = loss[0]  # as Keras's scripts have it, of one output
        wanted = wanted[0] or () if _is_nested(wanted) and len(wanted) == 1 else wanted
        weights = weights[0] if isinstance(weights, (list, tuple)) and len(weights) == 1 else weights
    if not single or asks_for_several(loss, wanted, weights):
        return Heads(loss, wanted, weights, names)
    return Head(loss, wanted)


def looked_at(head: Head | Heads, out: Any, tape: Tape, model: Any) -> tuple[Head | Heads, Any]:
    """Take in a forward pass on trial; returns the Head or Heads that fits, and the shape of the output or of each."""
    alone = alone_of(out)
    if isinstance(alone, Tensor) and isinstance(head, Head):
        head.look(alone, tape)
        return head, alone.shape
    if not isinstance(out, (Tensor, Mapping, tuple, list)):
        raise TypeError(
            "[fit] expected forward() to return a tensor, or a tuple, list or dict of tensors. "
            f"Received: {type(out).__name__}."
        )
    found = head if isinstance(head, Heads) else Heads(*head.asked_for, None)
    table = found.bind(out, model)
    found.look(table, tape)
    return found, [table[name].shape for name in found.names]


def _is_nested(wanted: Any) -> bool:
    return isinstance(wanted, (list, tuple)) and any(m is None or isinstance(m, (list, tuple)) for m in wanted)


class Heads:
    """What a compiled model does with several outputs; it answers what a Head answers, with lists.

    Parameters
    ----------
    loss : a loss for all outputs, a dict of output name to loss, or a list with a loss for each (None: not trained)
    wanted : metrics for all outputs, a dict of output name to metrics, or a list with a list (or None) for each
    weights : dict, list or None
        What the losses are multiplied with in the sum.

    Notes
    -----
    Names of outputs that are not told by dicts come with the first forward pass, or from the model.
    """

    several = True
    gives_logits = False
    counted = None  # every metric is given predictions

    def __init__(self, loss: Any, wanted: Any, weights: Any, names: Sequence[str] | None = None):
        self.given = loss, wanted, weights
        self.names: list[str] = []  # of outputs with a loss
        self._heads: list[Head] = []
        self._weights: list[float] = []
        self._all: list[str] | None = None  # names of all outputs
        self.loss = Losses({}, {})
        if isinstance(loss, Mapping):
            known = list(map(str, loss)) if names is None else list(names)
            for what, given in (("loss", loss), ("metrics", wanted), ("loss_weights", weights)):
                self._check_dict(what, given, known)
            self._make([key for key in known if loss.get(key) is not None], known)
        elif names is not None:
            self._bind_list(list(names))
        elif isinstance(loss, (list, tuple)) and not isinstance(wanted, Mapping) and not isinstance(weights, Mapping):
            self._bind_list([f"output_{i + 1}" for i in range(len(loss))])  # until a dict says otherwise
        else:  # what is wrong with a loss is said before there are data
            for item in loss if isinstance(loss, (list, tuple)) else [loss]:
                if item is not None:
                    losses.get(item)

    # Names

    def bind(self, out: Any, model: Any) -> dict[str, Tensor]:
        """Learn the names of outputs from what a forward pass returned; returns the outputs by name.

        Raises
        ------
        ValueError
            If there are other outputs than losses, metrics and weights were given for.
        """
        told = getattr(model, "output_names", None)
        if not isinstance(out, (Mapping, tuple, list)) and len(self._heads) == 1:
            told = self.names
        table = by_name(out, told)
        if self._all == list(table):
            return table
        given = self.given[0]
        if isinstance(given, Mapping):
            missing = [key for key in map(str, given) if key not in table]
            if missing and not isinstance(out, Mapping) and told is None and len(given) == len(table):
                table = dict(zip(map(str, given), table.values(), strict=True))  # a tuple: in the order of the dict
            elif missing:
                raise ValueError(f"[{PLACE}] loss: {unknown_name('output', missing[0], list(table))}")
            order = [name for name in table if name in self.names]
            if order != self.names:
                self._make(order, list(table))
        else:
            self._bind_list(list(table))
        self._all = list(table)
        return table

    def _bind_list(self, names: list[str]) -> None:
        loss = self.given[0]
        if isinstance(loss, (list, tuple)) and len(loss) != len(names):
            raise ValueError(
                f"[{PLACE}] expected a loss for each of {len(names)} outputs ({', '.join(names)}), or one for all. "
                f"Received: {len(loss)}. help: None is for an output that is not trained."
            )
        chosen = dict(zip(names, loss, strict=True)) if isinstance(loss, (list, tuple)) else dict.fromkeys(names, loss)
        self._make([name for name in names if chosen[name] is not None], names)

    def _make(self, names: list[str], every: list[str]) -> None:
        """Make a Head for each output of these names, of `every` output that there is."""
        loss, wanted, weights = self.given
        if not names:
            raise ValueError(f"[{PLACE}] expected a loss for at least one output. Received: {loss!r}.")
        of_losses = _per_output("loss", loss, every, PLACE)
        of_metrics = _per_output("metrics", wanted, every, PLACE, nested=True)
        of_weights = _per_output("loss_weights", 1.0 if weights is None else weights, every, PLACE)
        old = dict(zip(self.names, self._heads, strict=True))
        self.names, self._heads = names, []
        for name in names:
            found = of_metrics.get(name)
            listed = [] if found is None else list(found) if isinstance(found, (list, tuple)) else [found]
            head = old.get(name) or Head(losses.get(of_losses[name]), [copy.deepcopy(m) for m in listed])
            head.counts = False
            if name not in old:
                for metric in (*head.metrics, *head.running):
                    metric.name = f"{name}_{metric.name}"
            self._heads.append(head)
        self._weights = [number(PLACE, f"loss_weights[{name!r}]", of_weights.get(name, 1.0)) for name in names]
        self.loss = Losses(
            {name: head.loss for name, head in zip(names, self._heads, strict=True)},
            dict(zip(names, self._weights, strict=True)),
        )

    @staticmethod
    def _check_dict(what: str, given: Any, names: list[str]) -> None:
        for key in given if isinstance(given, Mapping) else ():
            if key not in names:
                raise ValueError(f"[{PLACE}] {what}: {unknown_name('output', key, names)}")

    # What a Head answers, for all of them

    def each(self) -> list[Head]:
        """Return the Head of each output that has a loss."""
        return self._heads

    @property
    def loss_names(self) -> list[str]:
        """What the losses of the outputs are called in logs."""
        return [f"{name}_loss" for name in self.names]

    def log_names(self) -> list[str]:
        """Return the names of what is logged."""
        return ["loss", *self.loss_names, *(metric.name for metric in self.metrics)]

    @property
    def metrics(self) -> list[Any]:
        """The metrics of all outputs, named after them."""
        return [metric for head in self._heads for metric in head.metrics]

    @property
    def running(self) -> list[list[Any]]:
        """The metrics of the epoch under way, of each output."""
        return [head.running for head in self._heads]

    @running.setter
    def running(self, value: list[list[Any]]) -> None:
        for head, found in zip(self._heads, value, strict=True):
            head.running = found

    @property
    def logged(self) -> list[Any]:
        """The metrics that are computed from predictions: all."""
        return [metric for head in self._heads for metric in head.running]

    def _of_heads(self, key: str) -> tuple[Any, ...]:
        return tuple(getattr(head, key) for head in self._heads)

    @property
    def form(self) -> tuple[str, ...]:
        """What each loss is computed from."""
        return self._of_heads("form")

    @property
    def kind(self) -> tuple[str | None, ...]:
        """What the targets of each output are."""
        return self._of_heads("kind")

    @property
    def rank(self) -> tuple[int, ...]:
        """The rank of each output."""
        return self._of_heads("rank")

    @property
    def padded(self) -> tuple[bool, ...]:
        """Whether each output is one of padded sequences."""
        return self._of_heads("padded")

    def total(self, parts: Sequence[Any]) -> Any:
        """Return the weighted sum of the losses, tensors or numbers."""
        if not isinstance(parts[0], Tensor):
            return sum(weight * part for weight, part in zip(self._weights, parts, strict=True))
        total: Tensor | None = None
        for weight, part in zip(self._weights, parts, strict=True):
            term = part if weight == 1 else ops.mul(part, weight)
            total = term if total is None else ops.add(total, term)
        return total

    def row_size(self, shapes: list[tuple[int, ...]]) -> int:
        """Return how many numbers the outputs with a loss have for a row."""
        return sum(head.row_size(shape) for head, shape in zip(self._heads, shapes, strict=True))

    def look(self, out: dict[str, Tensor], tape: Tape) -> None:
        """Take in a forward pass that was made on trial."""
        for name, head in zip(self.names, self._heads, strict=True):
            head.look(out[name], tape)

    def scores(self, out: Any, tape: Tape) -> SeveralScores:
        """Return what the losses are to be computed from."""
        table = by_name(out, self._all)
        each = [head.scores(table[name], tape) for name, head in zip(self.names, self._heads, strict=True)]
        return SeveralScores(self._heads, each, self.total)

    def rows(self, y: Any, n: int, dtype: np.dtype, place: str) -> list[np.ndarray]:
        """Return the targets of each output, in order."""
        if y is None:
            raise DataError(
                f"[{place}] expected targets for the outputs {', '.join(self.names)}. Received: y=None. "
                f"help: call {place}(x, y)."
            )
        table = _per_output("y", y, self._all or self.names, place, trained=self.names)
        found = []
        for name, head in zip(self.names, self._heads, strict=True):
            if table.get(name) is None:
                raise DataError(
                    f"[{place}] expected targets for the outputs {', '.join(self.names)}. Received: none for {name!r}."
                )
            with _of_output(name):
                found.append(head.rows(table[name], n, dtype, place))
        return found

    def targets(
        self,
        y: list[np.ndarray],
        weight: Any,
        class_weight: Any,
        shape: list[tuple[int, ...]],
        dtype: np.dtype,
        place: str,
    ) -> tuple[list[np.ndarray], list[np.ndarray | None] | None]:
        """Return the targets as the losses take them, and their weights."""
        if class_weight is not None:
            raise ValueError(
                f"[{place}] expected class_weight for a model with one output. Received: outputs "
                f"{', '.join(self.names)}. help: pass sample_weight={{name: weights}}."
            )
        if weight is None or is_array(weight):
            weights: dict[str, Any] = dict.fromkeys(self.names, weight)
        else:
            weights = _per_output("sample_weight", weight, self._all or self.names, place, trained=self.names)
        ys, ws = [], []
        for name, head, t, size in zip(self.names, self._heads, y, shape, strict=True):
            with _of_output(name):
                found = head.targets(t, weights.get(name), None, size, dtype, place)
            ys.append(found[0])
            ws.append(found[1])
        return ys, None if all(w is None for w in ws) else ws

    def room(self, shape: list[tuple[int, ...]], rows: int, dtype: np.dtype) -> list[np.ndarray | None] | None:
        """Return room for predictions, of the outputs that have metrics."""
        found = [
            np.zeros((rows, *size[1:]), dtype) if head.running else None
            for head, size in zip(self._heads, shape, strict=True)
        ]
        return None if all(a is None for a in found) else found

    def gather(self, y: Any, predictions: Any, w: Any) -> None:
        """Give the metrics of the epoch a part of its rows."""
        if predictions is not None:
            for head, t, p, v in zip(self._heads, y, predictions, w or [None] * len(y), strict=True):
                head.gather(t, p, v)

    # For files

    def described(self) -> dict[str, Any]:
        """Return what compile() was given, with losses and metrics as objects."""
        loss, wanted, weights = self.given
        found = {"loss": mapped_spec(loss, losses.get), "metrics": mapped_spec(wanted, metrics.get)}
        return found if weights is None else {**found, "loss_weights": weights}


def mapped_spec(given: Any, get: Any) -> Any:
    """Return a dict or list of names and objects with objects alone, in the same form."""
    if isinstance(given, Mapping):
        return {str(key): mapped_spec(value, get) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [mapped_spec(value, get) for value in given]
    return None if given is None else get(given)


def _per_output(
    what: str, given: Any, names: Sequence[str], place: str, nested: bool = False, trained: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return what was given for each output by name: from a dict, from a list in their order, or the same for all."""
    if isinstance(given, Mapping):
        table = {str(key): value for key, value in given.items()}
        for key in table:
            if key not in names:
                raise ValueError(f"[{place}] {what}: {unknown_name('output', key, list(names))}")
        return table
    listed = isinstance(given, (list, tuple))
    if nested and not (listed and _is_nested(given)):
        return dict.fromkeys(names, given)
    if not listed and what != "y":
        return dict.fromkeys(names, given)
    for order in (names, trained or ()):
        if listed and len(given) == len(order):
            return dict(zip(order, given, strict=True))
    wanted = f"an entry for each of the outputs {', '.join(names)}, in a dict or a list"
    came = f"a {type(given).__name__}" + (f" of {len(given)}" if listed else "")
    if what == "y" and len(trained or ()) == 1 and not listed:
        assert trained is not None
        return {trained[0]: given}
    raise ValueError(f"[{place}] expected {what} with {wanted}. Received: {came}.")


@contextlib.contextmanager
def _of_output(name: str) -> Iterator[None]:
    """Let errors of a ``with`` block name the output."""
    try:
        yield
    except (DataError, ShapeError, DTypeError, ValueError, TypeError) as error:
        told = type(error)(f"output {name!r}: {error}")
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told.with_traceback(error.__traceback__) from None
