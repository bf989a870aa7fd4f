"""The ops of a network as exporters write them: the same for every target, and less what changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import isfinite
from typing import Any

import numpy as np

from pynn.export.trace import Op, Trace, Value, trace
from pynn.ops.elementwise import FUSED
from pynn.ops.pixels import IMAGE_AXES

__all__ = ["LOOPS", "images", "lower", "moves_nothing", "scale_and_shift"]

IDS = (np.dtype("int32"), np.dtype("int64"))
# Loops over time: operands x, w, u, b, states, weights and lengths; results are all first states, and the last ones.
LOOPS = ("simple_rnn", "lstm", "gru", "layer_norm_lstm")


def lower(model: Any, input_shape: Any = None) -> Trace:
    """Return the ops of a model's forward pass, to be written in another language.

    Any module can be lowered, one's own too. Fused activations are ops of their own, a product and what is added to it
    are one ``dense``, and what nobody reads is left out.

    Parameters
    ----------
    model : Module
        Built, or input_shape says for what.
    input_shape : tuple of int, or list of them, optional
        Of one sample (of each input); needed if the model does not know it.

    Raises
    ------
    DataError
        If the forward pass cannot be exported; the layer is named.

    Examples
    --------
    >>> from pynn import nn
    >>> plan = lower(nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="tanh"), nn.Dropout(0.5)]))
    >>> [op.name for op in plan.ops], plan.output.shape
    (['dense', 'tanh'], (1, 3))
    """
    found = trace(model, input_shape)
    ops = [one for op in found.ops for one in _plain(op)]
    same: dict[int, Value] = {}
    _narrow_ids(ops)
    ops = [op for op in ops if not _changes_nothing(op, same)]
    found.outputs = [same.get(y.number, y) for y in found.outputs]
    read = {y.number for y in found.outputs}
    found.ops = _used(_biased(ops, read), read)
    return found


def _plain(op: Op) -> Iterator[Op]:
    """Take apart what targets have no single op for; refuse what none has."""
    for attr, value in op.attrs.items():
        if isinstance(value, float) and not isfinite(value) and op.name != "mask_steps":
            raise op.refused(f"has {attr}={value}", f"a finite {attr}.")
    if op.name == "norm_apply" and not all(p is None or p.constant for p in op.inputs[1:]):
        raise op.refused("has statistics that are computed", "write it with operators.")
    if op.name == "conv2d_transpose" and op.attrs["groups"] != 1:
        raise op.refused("has groups", "join the convolutions of the groups.")
    if op.name in ("dense", "conv2d") and op.attrs["activation"] != "linear":
        name, par, y = op.attrs["activation"], op.attrs["par"], op.y
        key, default = FUSED[name][1:]
        z = Value(y.shape, y.axis, y.dtype)
        yield op.like(op.name, op.inputs, (z,), **{**op.attrs, "activation": "linear"})
        yield op.like(name, (z,), (y,), **({key: default if par is None else par} if key else {}))
    elif op.name in LOOPS:
        if op.inputs[-1] is not None:
            raise op.refused("drops states", "set recurrent_dropout=0, or run it while training alone.")
        yield op.like(op.name, op.inputs[:-1], op.outs, **op.attrs)
    elif op.name == "crop":
        yield from _cropped(op)
    elif op.name == "conv2d_transpose":
        yield op.like(op.name, (*op.inputs, None), op.outs, **op.attrs)  # a bias may follow
    elif op.name == "matmul" and not (op.attrs["ta"] or op.attrs["tb"]) and op.inputs[1].ndim == 2:
        yield op.like("dense", (*op.inputs, None), op.outs)
    else:
        yield op


def _cropped(op: Op) -> Iterator[Op]:
    """Write a window of padded images, whose place is a constant, as ops of a line each."""
    x, at = op.inputs
    if not at.constant:
        raise op.refused("cuts images at places that are computed", "use ops.crop2d, or a slice.")
    height, width, padding = (op.attrs[key] for key in ("height", "width", "padding"))
    tops = []
    for u, size, room in zip(at.array.ravel(), (height, width), x.shape[1:3], strict=False):
        places = room + 2 * padding - size + 1
        tops.append(min(int(u * places), places - 1) - padding)
    if op.attrs["fill"] == "nearest":
        for axis, top, size in ((1, tops[0], height), (2, tops[1], width)):
            index = np.clip(np.arange(top, top + size), 0, x.shape[axis] - 1).astype(np.int32)
            shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
            y = Value(shape, x.axis, x.dtype) if axis == 1 else op.y
            yield op.like("take", (x, Value(index.shape, None, index.dtype, index)), (y,), axis=axis)
            x = y
        return
    bottoms = [top + size - room for top, size, room in zip(tops, (height, width), x.shape[1:3], strict=True)]
    pads = [max(n, 0) for n in (-tops[0], bottoms[0], -tops[1], bottoms[1])]
    shape = (x.shape[0], x.shape[1] + pads[0] + pads[1], x.shape[2] + pads[2] + pads[3], x.shape[3])
    wide = Value(shape, x.axis, x.dtype)
    yield op.like("pad2d", (x,), (wide,), padding=tuple(pads))
    starts = (0, tops[0] + pads[0], tops[1] + pads[2], 0)
    yield op.like("slice", (wide,), op.outs, starts=starts, steps=(1,) * 4, sizes=op.y.shape)


def moves_nothing(op: Op) -> bool:
    """Tell whether an op leaves all numbers as they are and in their order: the output may be the input's memory."""
    x, y = op.x, op.y
    if x is None or y is None or x.size != y.size or len(op.inputs) > 1:
        return False
    if op.name == "transpose":  # axes of one element may go anywhere
        kept = [a for a in op.attrs["axes"] if x.shape[a] != 1]
        return kept == sorted(kept)
    if op.name == "slice":
        return all(n == 1 or step == 1 for n, step in zip(y.shape, op.attrs["steps"], strict=True))
    if op.name == "cast":
        return x.dtype.kind == y.dtype.kind
    return op.name in ("copy", "reshape", "expand", "pad2d", "concat")


def _narrow_ids(ops: list[Op]) -> None:
    """Look ids up as they come, in 32 bits, where they were made wider before."""
    narrow = {op.y.number: op.x for op in ops if op.name == "cast" and (op.x.dtype, op.y.dtype) == IDS}
    for op in ops:
        if op.name in ("take", "embedding") and op.inputs[1].number in narrow:
            op.inputs = (op.inputs[0], narrow[op.inputs[1].number], *op.inputs[2:])


def _changes_nothing(op: Op, same: dict[int, Value]) -> bool:
    """Replace the inputs by what they equal; tell whether the output equals the input."""
    op.inputs = tuple(None if x is None else same.get(x.number, x) for x in op.inputs)
    x, y = op.x, op.y
    if not moves_nothing(op) or (x.shape, x.axis, x.dtype) != (y.shape, y.axis, y.dtype):
        return False
    same[y.number] = x
    return True


def _biased(ops: list[Op], read: set[int]) -> list[Op]:
    """Make one op of a product and the constant per channel that is added to it."""
    uses = Counter(x.number for op in ops for x in op.inputs if x is not None)
    uses.update(read)
    maker = {y.number: op for op in ops for y in op.outs if y is not None}
    gone: set[int] = set()
    for op in ops:
        if op.name != "add":
            continue
        for x, b in (op.inputs, op.inputs[::-1]):
            made = maker.get(x.number)
            if made is None or made.name not in ("dense", "conv2d_transpose") or uses[x.number] != 1:
                continue
            each = b.array is not None and b.ndim > 0 and b.size == b.shape[-1] == x.shape[-1]
            if made.inputs[2] is None and each and op.y.shape == x.shape:
                flat = Value(b.shape[-1:], None, b.dtype, b.array.reshape(-1), b.owner, b.key)
                op.name, op.inputs, op.attrs = made.name, (*made.inputs[:2], flat), made.attrs
                gone.add(id(made))
                break
    return [op for op in ops if id(op) not in gone]


def _used(ops: list[Op], read: set[int]) -> list[Op]:
    """Leave out what nobody reads; the check of padding stays."""
    kept = []
    for op in reversed(ops):
        op.outs = tuple(y if y is not None and y.number in read else None for y in op.outs)
        if any(op.outs) or op.name == "sequence_lengths":
            kept.append(op)
            read = read | {x.number for x in op.inputs if x is not None}
    return kept[::-1]


def images(model: Any, plan: Trace) -> list[bool]:
    """Return which inputs are divided by 255 by predict() if they come as bytes."""
    return [
        x.dtype.kind == "f" and len(x.shape) >= IMAGE_AXES and not model.takes_bytes(i)
        for i, x in enumerate(plan.inputs)
    ]


def scale_and_shift(op: Op) -> tuple[Value, Value]:
    """Return what multiplies x - mean, and what is added, in a normalization by known statistics."""
    _, m, v, gamma, beta = op.inputs
    scale = 1 / np.sqrt(v.array.astype(np.float64) + op.attrs["epsilon"])
    if gamma is not None:
        scale = scale * gamma.array
    scale = scale.astype(m.dtype)
    shift = np.zeros_like(scale) if beta is None else beta.array
    owner = m.owner
    made = [Value(a.shape, None, a.dtype, a, owner, k) for a, k in ((scale, "scale"), (shift, "shift"))]
    return made[0], made[1]
