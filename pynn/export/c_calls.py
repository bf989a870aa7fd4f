"""What is called in C for each op: one row of a table for each card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from pynn.export.binary import BINARY
from pynn.export.c_kernels import ACTIVATIONS
from pynn.export.c_products import lanes
from pynn.export.c_recurrent import STATES
from pynn.export.plan import moves_nothing
from pynn.export.trace import Op, Value
from pynn.ops.activation import ELEMENTWISE

__all__ = [
    "CALLS",
    "Caller",
    "alias",
    "calls",
    "dense",
    "in_tiles",
    "inplace",
    "scratch",
    "takes_computed_ids",
    "takes_ids",
]


@dataclass
class Caller:
    """What a call is written with.

    Attributes
    ----------
    op : Op
    place : function
        Returns the pointer to a value, or to a constant under its own name or another one; NULL for None.
    number : function
        Writes a number as a literal.
    work : str
        The pointer to the scratch.
    blocks : function
        Returns the pointer to constant weights, laid in blocks.
    state : function or None
        Returns the pointer to so many numbers that are kept from step to step; None where nothing is.
    functions, lines : list of str
        What is called, and the statements.
    """

    op: Op
    place: Callable[..., str]
    number: Callable[[float], str]
    work: str
    blocks: Callable[[Value], str]
    state: Callable[[int], str] | None = None
    functions: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def x(self) -> Value:
        """The first input."""
        return self.op.x

    @property
    def y(self) -> Value:
        """The first output."""
        return self.op.y

    def attr(self, key: str) -> Any:
        """Return an attribute."""
        return self.op.attrs[key]

    def inputs(self, *at: int) -> list[str]:
        """Return the pointers to inputs, all by default."""
        return [self.place(self.op.inputs[i]) for i in at or range(len(self.op.inputs))]

    def call(self, function: str, *arguments: Any) -> None:
        """Add a call."""
        self.functions.append(function)
        text = ", ".join(self.number(a) if isinstance(a, float) else str(a) for a in arguments)
        self.lines.append(f"{function}({text});")

    def checked(self, status: int, function: str, *arguments: Any) -> None:
        """Add a call that may fail; what the whole returns then."""
        self.call(function, *arguments)
        self.lines[-1:] = [f"if ({self.lines[-1][:-1]})", f"    return {status};"]


CALLS: dict[str, Callable[[Caller], None]] = {}


def calls(*names: str) -> Callable[[Any], Any]:
    """Enter the function that writes ops of some names."""

    def enter(function: Any) -> Any:
        CALLS.update(dict.fromkeys(names, function))
        return function

    return enter


def takes_ids(op: Op, at: int) -> bool:
    """Tell whether an input may be whole numbers as they come; others are made `real` first."""
    places = {"embedding": 1, "sequence_lengths": 0, "take": 1, "check_lengths": 0, "cast": 0}
    return places.get(op.name) == at or op.name == "reshape"


def takes_computed_ids(op: Op) -> bool:
    """Tell whether these may also be what was computed of ids, in numbers of the model's dtype."""
    return op.name in ("embedding", "take")


def alias(op: Op) -> bool:
    """Tell whether an op leaves the numbers where they are."""
    return moves_nothing(op) and not op.x.constant


def inplace(op: Op) -> bool:
    """Tell whether an op may write over its first input."""
    rows = ("softmax", "log_softmax", "norm_apply", "layer_norm", "mask_steps")
    same = op.x is not None and op.y is not None and op.x.size == op.y.size
    return same and op.name in (*ACTIVATIONS, *BINARY, *rows)


def scratch(op: Op) -> int:
    """Return how many numbers an op needs for itself."""
    if op.name == "conv2d":
        return bordered(op)
    if op.name not in STATES:
        return 0
    weights = op.inputs[2]
    return STATES[op.name] * weights.shape[0] + (weights.shape[1] if op.name == "jordan_rnn" else 0)


def in_tiles(op: Op) -> bool:
    """Tell whether a convolution is computed in tiles: one group, weights that are constant."""
    return op.attrs["groups"] == 1 and op.inputs[1].array is not None


def bordered(op: Op) -> int:
    """Return the size of the image with its border of zeros that a convolution in tiles walks over; 0 without one."""
    (_, height, width, channels), (_, down, along, _) = op.x.shape, op.y.shape
    rows, columns = op.inputs[1].shape[:2]
    g = op.attrs["window"]
    high = (down - 1) * g.strides[0] + (rows - 1) * g.dilation[0] + 1
    wide = (along - 1) * g.strides[1] + (columns - 1) * g.dilation[1] + 1
    inside = g.padding[0] <= 0 and g.padding[2] <= 0 and high <= height and wide <= width
    return 0 if inside or not in_tiles(op) else high * wide * channels


# Element by element


def _apply(c: Caller) -> None:
    row, parameters = ELEMENTWISE[c.op.name].chosen(c.op.attrs)
    numbers, name = list(parameters.values()), row.name
    c.functions.append(name)
    text = ", ".join([*c.inputs(0), c.place(c.y), str(c.y.size), *map(c.number, numbers)])
    c.lines.append(f"apply_{name}({text});")


for _name in ACTIVATIONS:
    CALLS[_name] = _apply


@calls(*BINARY)
def _binary(c: Caller) -> None:
    name, xs = BINARY[c.op.name].name, c.op.inputs
    for at, other in ((1, 0), (0, 1)):
        number = xs[at]
        if number.constant and number.size == 1 and not number.owner and xs[other].size == c.y.size:
            x, value = c.place(xs[other]), float(number.array.item())
            if at == 1:
                c.call(f"{name}_number", x, value, c.place(c.y), c.y.size)
            else:
                c.call(f"number_{name}", value, x, c.place(c.y), c.y.size)
            return
    if all(x.size == c.y.size for x in xs):
        c.call(name, *c.inputs(), c.place(c.y), c.y.size)
    else:
        _spread(c, f"{name}_rows")


@calls("where")
def _where(c: Caller) -> None:
    _spread(c, "choose")


def _spread(c: Caller, function: str) -> None:
    """Call a function of operands that are repeated to the shape of the output."""
    _walk(c, function, c.inputs(), *(_repeating(x, c.y) for x in c.op.inputs))


# Products


def dense(c: Caller, inputs: int, outputs: int) -> None:
    """Write y = x w + b."""
    w, rows = c.op.inputs[1], prod(c.x.shape[:-1])
    tiled = w.array is not None and 2 * outputs >= lanes(w.dtype)  # fewer outputs would be blocks of zeros, mostly
    name, weights = ("dense_blocks", c.blocks(w)) if tiled else ("dense", c.place(w))
    c.call(name, *c.inputs(0), weights, *c.inputs(2), c.place(c.y), rows, inputs, outputs)


@calls("dense")
def _dense(c: Caller) -> None:
    dense(c, *c.op.inputs[1].shape)


@calls("matmul")
def _matmul(c: Caller) -> None:
    a, b = c.op.inputs
    ta, tb = int(c.attr("ta")), int(c.attr("tb"))
    *stack, m, n = c.y.shape
    inner = a.shape[-2 if ta else -1]
    apart = [prod(x.shape[-2:]) if x.ndim > 2 else 0 for x in (a, b)]
    c.call("matmul", *c.inputs(), c.place(c.y), prod(stack), m, inner, n, ta, tb, *apart)


@calls("softmax", "log_softmax")
def _rows(c: Caller) -> None:
    c.call(c.op.name, *c.inputs(0), c.place(c.y), prod(c.x.shape[:-1]), c.x.shape[-1])


@calls("sum", "max", "min", "argmax")
def _reduce(c: Caller) -> None:
    name = {"sum": "total", "max": "largest", "min": "smallest", "argmax": "place_of_largest"}[c.op.name]
    start, stop, shape = c.attr("axis"), c.attr("stop"), c.x.shape
    sizes = [prod(shape[:start]), prod(shape[start:stop]), prod(shape[stop:])]
    c.call(name, *c.inputs(0), c.place(c.y), *sizes, *([float(c.attr("scale"))] if name == "total" else []))


# Shapes


def _steps(shape: tuple[int, ...]) -> list[int]:
    return [prod(shape[i + 1 :]) for i in range(len(shape))]


def _repeating(x: Value, y: Value) -> list[int]:
    """Return how far apart the numbers of x are along the axes of y, to whose shape it is repeated."""
    shape = (1,) * (y.ndim - x.ndim) + x.shape
    return [0 if d == 1 else step for d, step in zip(shape, _steps(shape), strict=True)]


def _plus(pointer: str, offset: int) -> str:
    base, _, before = pointer.partition(" + ")
    offset += int(before or 0)
    return f"{base} + {offset}" if offset else base


def _walk(c: Caller, function: str, operands: list[str], *steps: list[int]) -> None:
    """Call a function for rows of numbers, in loops over the axes of the output beyond these two.

    The steps say how far apart the numbers of each operand are along the axes; neighbours that make one axis are one.
    """
    axes: list[tuple[int, ...]] = []  # the size of one, and the step of each operand
    for n, *apart in zip(c.y.shape, *steps, strict=True):
        if axes and axes[-1][1:] == tuple(n * step for step in apart):
            axes[-1] = (axes[-1][0] * n, *apart)
        elif n != 1:
            axes.append((n, *apart))
    while len(axes) < 2:
        axes.insert(0, (1,) * (1 + len(operands)))
    *outer, (rows, *down), (n, *along) = axes
    pointers, loops, size = [*operands, c.place(c.y)], [], c.y.size
    for i, (count, *apart) in zip("ijklmn", outer, strict=False):
        size //= count
        pointers = [f"{p} + {i} * {step}" if step else p for p, step in zip(pointers, [*apart, size], strict=True)]
        loops.append(f"for (int {i} = 0; {i} < {count}; ++{i})")
    c.call(function, *pointers, rows, n, *(step for pair in zip(down, along, strict=True) for step in pair))
    c.lines[-1:] = [f"{' ' * 4 * depth}{line}" for depth, line in enumerate([*loops, c.lines[-1]])]


@calls("reshape", "expand", "transpose", "slice", "copy")
def _shape(c: Caller) -> None:
    own, start = _steps(c.x.shape), 0
    if c.op.name == "transpose":
        steps = [own[a] for a in c.attr("axes")]
    elif c.op.name == "slice":
        start = sum(s * o for s, o in zip(c.attr("starts"), own, strict=True))
        steps = [s * o for s, o in zip(c.attr("steps"), own, strict=True)]
    elif c.op.name == "expand":
        steps = _repeating(c.x, c.y)
    else:
        steps = _steps(c.y.shape)
    _walk(c, "strided", [_plus(c.inputs()[0], start)], steps)


@calls("concat")
def _concat(c: Caller) -> None:
    axis, at = c.attr("axis"), 0
    count, apart = prod(c.y.shape[:axis]), prod(c.y.shape[axis:])
    for x in c.op.inputs:
        block = prod(x.shape[axis:])
        c.call("copy_blocks", c.place(x), _plus(c.place(c.y), at), count, block, apart)
        at += block


@calls("cast")
def _cast(c: Caller) -> None:
    if c.y.dtype == np.dtype("bool"):
        raise c.op.refused("makes truth values of numbers", "compare them instead, for instance x != 0.")
    if c.x.dtype.kind in "iu" and c.y.dtype.kind == "f" and not c.op.attrs.get("computed"):
        c.call("to_real", *c.inputs(0), c.place(c.y), c.y.size)
    elif c.x.dtype.kind == "f" and c.y.dtype.kind == "i":
        c.call("whole", *c.inputs(0), c.place(c.y), c.y.size)
    elif c.y.dtype == np.dtype("uint8"):
        raise c.op.refused("makes bytes")
    else:
        _walk(c, "strided", c.inputs(), _steps(c.y.shape))


def _looking_up(op: Op) -> str:
    return f"{op.name}_computed" if op.attrs.get("computed") else op.name


@calls("take")
def _take(c: Caller) -> None:
    axis, shape = c.attr("axis"), c.x.shape
    count = c.op.inputs[1].size
    sizes = [prod(shape[:axis]), shape[axis], count, prod(shape[axis + 1 :])]
    c.checked(1, _looking_up(c.op), *c.inputs(), c.place(c.y), *sizes)


@calls("embedding")
def _embedding(c: Caller) -> None:
    w, ids = c.op.inputs
    c.checked(1, _looking_up(c.op), *c.inputs(1, 0), c.place(c.y), ids.size, *w.shape)


@calls("sequence_lengths")
def _lengths(c: Caller) -> None:
    samples, steps = c.x.shape
    c.checked(2, "sequence_lengths", *c.inputs(0), c.place(c.op.y), samples, steps)


@calls("check_lengths")
def _check_lengths(c: Caller) -> None:
    steps = c.op.inputs[1].shape[1]
    c.checked(3, "check_lengths", *c.inputs(0), c.place(c.y), c.y.size, steps)


@calls("walked_lengths")
def _walked_lengths(c: Caller) -> None:
    c.call("walked_lengths", *c.inputs(0), c.place(c.y), c.y.size, *(c.attr(k) for k in ("mul", "add", "step", "most")))


@calls("step_order")
def _order(c: Caller) -> None:
    c.call("step_order", *c.inputs(0), *map(c.place, c.op.outs), *c.x.shape)


@calls("mask_steps", "permute_steps", "reverse_steps")
def _steps_of_samples(c: Caller) -> None:
    samples, steps, *rest = c.x.shape
    more: list[Any] = []
    if c.op.name == "mask_steps":
        more = [float(c.attr("value")), c.attr("scale")]
    c.call(c.op.name, *c.inputs(0, 1), c.place(c.y), samples, steps, prod(rest), *more)
