"""What every op does with the lengths that its inputs carry.

Ops that work step by step hand lengths on; those that walk over time count the steps of their walk; what mixes or moves
time otherwise loses them, with a warning. :data:`RULES` says which op does what; :func:`carry` is called by ``execute``
for every op with such an input. What reduces or contracts over time has masked its input before (pynn.ops.lengths).
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.core.card import Card
from pynn.core.graph import set_carrier
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.ops.activation import ELEMENTWISE
from pynn.ops.lengths import INT32, walk_lengths, without_lengths
from pynn.ops.masked import as_mask_of
from pynn.ops.masks import is_mask
from pynn.ops.math import minimum
from pynn.ops.parts import concat, slice
from pynn.ops.shape import gather

__all__ = ["RULES", "carry", "forget"]

LOST = object()  # what a rule returns where padding is no longer at the end of time
Rule = Callable[[tuple[Any, ...], dict[str, Any], Tensor], Any]  # inputs, attributes, output -> its lengths
_warned: weakref.WeakSet[Any] = weakref.WeakSet()


def _lost(name: str, x: Tensor) -> None:
    """Warn, once for a layer, that what follows takes padding for real steps."""
    if x.shape[1] <= 1:
        return
    if state.lost is not None:
        state.lost.append(name)
        return
    if state.module is not None:
        if state.module in _warned:
            return
        _warned.add(state.module)
    warnings.warn(
        f"[{state.scope or name}] {name} mixes or moves the time steps of padded sequences (shape {x.shape}):"
        " what follows takes padding for real steps. help: pool over time first (nn.GlobalAvgPool, nn.GlobalMaxPool, a "
        "recurrent layer without return_sequences), or say that it is meant with pynn.ops.without_lengths(x).",
        UserWarning,
        stacklevel=2,
    )


def forget(name: str, x: Tensor) -> Tensor:
    """Return x without lengths, with a warning if it has any: for what is made of ops that would keep them wrongly."""
    if x.lengths is None:
        return x
    _lost(name, x)
    return without_lengths(x)


def _carriers(inputs: tuple[Any, ...]) -> list[Tensor]:
    return [x for x in inputs if isinstance(x, Tensor) and x.lengths is not None]


def shortest(found: list[Any], steps: int) -> Tensor | None:
    """Return the lengths up to which all inputs are real, or the mask of what is real in all."""
    kept: Tensor | None = None
    if any(map(is_mask, found)):
        found = [as_mask_of(lengths, steps) for lengths in found]
    for lengths in found:
        kept = lengths if kept is None or kept is lengths else minimum(kept, lengths)
    return kept


def _stepwise(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    """Every step for itself: inputs of the output's N and T."""
    found = _carriers(inputs)
    fit = [x.lengths for x in found if x.ndim == y.ndim and x.shape[:2] == y.shape[:2]]
    return shortest(fit, y.shape[1]) if fit else LOST


def _last_axis(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    """Over features, which are the last axis; over time if there is no other."""
    x = _carriers(inputs)[0]
    if x is not inputs[0] or x.ndim < 3 or x.shape[:2] != y.shape[:2]:
        return LOST
    return x.lengths


def _reduced(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    if attrs["axis"] >= 2:
        return inputs[0].lengths
    return LOST  # over the batch: those over time have masked x


def _reshaped(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    x = inputs[0]
    if x.shape[:2] == y.shape[:2]:
        return x.lengths
    return LOST


def _transposed(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    if tuple(attrs["axes"][:2]) == (0, 1):
        return inputs[0].lengths
    return LOST


def _sliced(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    x, starts, steps, sizes = inputs[0], attrs["starts"], attrs["steps"], attrs["sizes"]
    lengths = x.lengths
    if steps[1] < 0 and sizes[1] > 1 and not is_mask(lengths):
        return LOST
    if (starts[0], steps[0], sizes[0]) != (0, 1, x.shape[0]):
        stop = starts[0] + steps[0] * sizes[0]
        lengths = slice(lengths, np.s_[starts[0] : stop if stop >= 0 else None : steps[0]])
    if (starts[1], steps[1], sizes[1]) != (0, 1, x.shape[1]) and is_mask(lengths):
        stop = starts[1] + steps[1] * sizes[1]
        lengths = slice(lengths, np.s_[:, starts[1] : stop if stop >= 0 else None : steps[1]])
    elif (starts[1], steps[1], sizes[1]) != (0, 1, x.shape[1]):
        lengths = walk_lengths(lengths, 1, -starts[1] - 1, abs(steps[1]), sizes[1])
    return lengths


def _joined(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    axis, found = attrs["axis"], _carriers(inputs)
    if axis >= 2:
        return shortest([x.lengths for x in found], y.shape[1])
    if any(is_mask(x.lengths) for x in found):
        return concat([_mask_of(x) for x in inputs], axis)
    if axis == 1:
        lengths = found[0].lengths
        if len(found) == 1 and lengths is not None and found[0] is inputs[-1]:  # padding stays at the end
            return walk_lengths(lengths, 1, sum(x.shape[1] for x in inputs[:-1]) - 1)
        return LOST
    parts = [Tensor.state(np.full(x.shape[0], x.shape[1], INT32)) if x.lengths is None else x.lengths for x in inputs]
    return concat(parts)


def _mask_of(x: Tensor) -> Tensor:
    """Return the mask of what is real: all, if x carries nothing."""
    if x.lengths is None:
        return Tensor.state(np.ones(x.shape[:2], INT32))
    return as_mask_of(x.lengths, x.shape[1])


def _taken(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    x, index = inputs[0], inputs[1]
    if x.lengths is None:  # each step looks up something
        return index.lengths if attrs["axis"] == 0 else None
    if attrs["axis"] >= 2:
        return x.lengths
    if attrs["axis"] == 0 and index.ndim == 1:
        return gather(x.lengths, index)
    return LOST


def _looked_up(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    return inputs[0].lengths


def _loses(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    return LOST


def _silent(inputs: tuple[Any, ...], attrs: dict[str, Any], y: Tensor) -> Any:
    return None


def _table(*rows: tuple[Rule, str]) -> dict[str, Rule]:
    return {name: rule for rule, names in rows for name in names.split()}


RULES: dict[str, Rule] = _table(
    (_stepwise, " ".join(ELEMENTWISE)),
    (_stepwise, "add bernoulli cast copy div dropout equal expand less less_equal maximum minimum mul norm_apply "
                "norm_shared not_equal pow sub where"),
    (_last_axis, "dense layer_norm local_response_norm log_softmax matmul max_share softmax"),
    (_reduced, "argmax max min sum"),
    (_reshaped, "reshape"),
    (_transposed, "transpose"),
    (_sliced, "slice"),
    (_joined, "concat"),
    (_taken, "take"),
    (_looked_up, "embedding"),
    # Layers, pooling and losses handle lengths before they come here.
    (_silent, "check_lengths gru jordan_rnn lstm mask_steps permute_steps reverse_steps sequence_lengths simple_rnn "
              "step_order walked_lengths"),
    (_silent, "bce bce_probs cross_entropy cross_entropy_probs hinge huber mae mse mse_half poisson "
              "soft_cross_entropy soft_cross_entropy_probs squared_hinge weighted_mean"),
    (_loses, "affine_draw avg_pool2d blur conv2d conv2d_transpose crop erase flip group_norm locally_connected2d "
             "locally_connected2d_transpose max_pool2d pad2d warp"),
)  # fmt: skip


def carry(card: Card, inputs: tuple[Any, ...], attrs: dict[str, Any], outs: tuple[Any, ...]) -> None:
    """Give an op's output the lengths that it has after the op."""
    y = outs[0]
    if y is not None and y.lengths is None:
        found = RULES.get(card.name, _loses)(inputs, attrs, y)
        if found is not LOST:
            y.lengths = found
        elif not card.mutates:
            _lost(card.name, _carriers(inputs)[0])


set_carrier(carry)
