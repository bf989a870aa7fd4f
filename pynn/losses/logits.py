"""The one place that knows that a loss applies the last activation: it is found in the ops that ran, and taken off.

Softmax and a cross-entropy (sigmoid and a binary one) are computed stably as one, from the logits below the activation.
Where the activation stands is read off the tape of the forward pass, through ops that only move values, so it does not
matter which layer applied it. What then nobody reads is dropped when the program is planned.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pynn import ops
from pynn.core.graph import execute
from pynn.core.tape import Entry, Tape
from pynn.core.tensor import FLOATS, Tensor
from pynn.losses.bounds import bounds, descends_from
from pynn.ops.activation import named

if TYPE_CHECKING:
    from pynn.losses.base import Loss

__all__ = ["EPS", "Scores", "below", "looks_linear", "scores_of"]

EPS = 1e-7  # the least probability whose logarithm is taken, as in ops.loss
FUSING = ("dense", "conv2d")  # ops that can be computed again without the activation that is fused into them

LINEAR = (*FUSING, "matmul", "conv2d_transpose", "locally_connected2d", "add")


class Scores(NamedTuple):
    """What a model hands to a loss.

    Attributes
    ----------
    values : Tensor
        Logits, where the activation that belongs to the loss could be taken off; else the outputs.
    form : {"logits", "probabilities", "outputs"}
        "probabilities" are outputs from which no activation can be taken, but which are known to be probabilities.
        "outputs" are what the loss takes them for.
    """

    values: Tensor
    form: str

    @property
    def parts(self) -> list[Tensor]:
        """The losses of several outputs; here there is one."""
        return []

    def loss(self, loss: Loss, y: Tensor, weight: Tensor | None) -> Tensor:
        """Return the mean loss."""
        if self.form == "logits":
            return loss.of_logits()(self.values, y, weight)
        if self.form == "probabilities" and loss.from_logits:
            return loss(_logits(self.values, loss.activation), y, weight)
        return loss(self.values, y, weight)

    def activated(self, loss: Loss) -> Tensor:
        """Return the outputs."""
        return named(loss.activation)(self.values) if self.form == "logits" else self.values  # type: ignore[arg-type]

    def border(self, loss: Loss) -> float:
        """Return the value at which both answers to a question are equally likely."""
        return 0.0 if self.form == "logits" or (self.form == "outputs" and loss.from_logits) else 0.5


def scores_of(loss: Loss, out: Tensor, tape: Tape) -> Scores:
    """Return what a loss is to be computed from, for the output of a forward pass and the tape of it."""
    activation = loss.activation
    if activation is None or out.ndim == 0:
        return Scores(out, "outputs")
    z = below(out, tape, activation)
    if z is not None:
        return Scores(z, "logits")
    least, largest = bounds(out, tape)
    known = least >= 0 and largest <= 1 and (activation == "sigmoid" or descends_from(out, tape, activation))
    return Scores(out, "probabilities" if known else "outputs")


def below(out: Tensor, tape: Tape, activation: str) -> Tensor | None:
    """Return z, moved as `out` was, with activation(z) = out.

    Parameters
    ----------
    out : Tensor
    tape : Tape
        Of the pass that made it.
    activation : {"softmax", "sigmoid"}
        Softmax is over the last axis of `out`.

    Returns
    -------
    Tensor or None
        None if something other than moving values stands between, or if a move tears the classes of softmax apart.
    """
    z = _below(out, out.ndim - 1, tape, activation)
    if z is not None and z.lengths is not out.lengths:  # a layer may have said something else of the output
        z = ops.without_lengths(z)
        z.lengths = out.lengths
    return z


def _below(t: Tensor, axis: int, tape: Tape, activation: str) -> Tensor | None:
    entry = tape.maker(t)
    if entry is None:
        return None
    if entry.card.name == activation:
        return entry.inputs[0] if activation == "sigmoid" or axis == t.ndim - 1 else None
    if entry.attrs.get("activation") == activation and entry.card.name in FUSING:
        return execute(entry.card, entry.inputs, {**entry.attrs, "activation": "linear"})[0]
    if entry.card.name not in _MOVES or t.dtype not in FLOATS:
        return None
    if entry.card.name == "reshape":  # what several of them tear apart and join again is whole
        entry = entry._replace(inputs=(_before_reshapes(t, tape),), attrs={"shape": t.shape})
    before = _MOVES[entry.card.name](entry, axis)
    if before is None and activation == "softmax":
        return None
    moved = entry.inputs if entry.card.name == "concat" else entry.inputs[:1]
    found = [_below(x, -1 if before is None else before, tape, activation) for x in moved]
    if any(z is None for z in found):
        return None
    return execute(entry.card, (*found, *entry.inputs[len(moved) :]), entry.attrs)[0]


def _before_reshapes(t: Tensor, tape: Tape) -> Tensor:
    entry = tape.maker(t)
    while entry is not None and entry.card.name == "reshape":
        t = entry.inputs[0]
        entry = tape.maker(t)
    return t


def looks_linear(out: Tensor, tape: Tape) -> bool:
    """Tell whether an output is a weighted sum to which no activation was applied."""
    entry = tape.maker(out)
    while entry is not None and entry.card.name in _MOVES:
        entry = tape.maker(entry.inputs[0])
    if entry is None:
        return False
    return entry.card.name in LINEAR and entry.attrs.get("activation", "linear") == "linear"


# Each returns the axis of the input on which the classes were that stand on an axis of the output; None if they do not
# stand on one whole axis.


def _reshaped(entry: Entry, axis: int) -> int | None:
    old, new = entry.inputs[0].shape, entry.outs[0].shape
    inner = _size(new[axis + 1 :])
    for at, width in enumerate(old):
        if width == new[axis] and _size(old[at + 1 :]) == inner:
            return at
    return None


def _expanded(entry: Entry, axis: int) -> int | None:
    x, y = entry.inputs[0], entry.outs[0]
    at = axis - (y.ndim - x.ndim)
    return at if at >= 0 and x.shape[at] == y.shape[axis] else None


def _sliced(entry: Entry, axis: int) -> int | None:
    return axis if entry.inputs[0].shape[axis] == entry.outs[0].shape[axis] else None


def _taken(entry: Entry, axis: int) -> int | None:
    index, at = entry.inputs[1], entry.attrs["axis"]
    if at <= axis < at + index.ndim:
        return None
    return axis if axis < at else axis - index.ndim + 1


_MOVES = {
    "reshape": _reshaped,
    "transpose": lambda entry, axis: entry.attrs["axes"][axis],
    "expand": _expanded,
    "slice": _sliced,
    "take": _taken,
    "concat": lambda entry, axis: None if axis == entry.attrs["axis"] else axis,
    "copy": lambda entry, axis: axis,
    "permute_steps": lambda entry, axis: None if axis == 1 else axis,
    "reverse_steps": lambda entry, axis: None if axis == 1 else axis,
    "cast": lambda entry, axis: axis if entry.inputs[0].dtype in FLOATS else None,
}


def _size(shape: tuple[int, ...]) -> int:
    n = 1
    for d in shape:
        n *= d
    return n


def _logits(p: Tensor, activation: str | None) -> Tensor:
    """Return logits that the activation turns into probabilities p (of softmax: into p / sum(p))."""
    if activation == "softmax":
        return ops.log(ops.clip(p, EPS, math.inf))  # dropout may have scaled p beyond 1
    q = ops.clip(p, EPS, 1.0 - EPS)
    return ops.sub(ops.log(q), ops.log(ops.sub(1.0, q)))
