"""What is called in C for each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from pynn.export.c_kernels import ACTIVATIONS
from pynn.export.c_recurrent import scratch as recurrent_scratch
from pynn.export.steps import Step

__all__ = ["Caller", "call", "inplace", "scratch"]

KINDS = {"tanh": "'t'", "relu": "'r'", "sigmoid": "'s'", "linear": "'l'", "softmax": "'m'"}


@dataclass
class Caller:
    """What a call is written with.

    Attributes
    ----------
    step : Step
    xs : list of str
        The pointers to the inputs, and to the output.
    y : str
    number : function
        Writes a number as a literal.
    weight : function
        Returns the name of a weight, or NULL.
    work : str
        The pointer to the scratch.
    """

    step: Step
    xs: list[str]
    y: str
    number: Callable[[float], str]
    weight: Callable[[str], str]
    work: str = "work"

    def __getattr__(self, key: str) -> Any:
        if key not in self.step.settings:
            raise AttributeError(key)
        return self.step.settings[key]

    @property
    def count(self) -> int:
        """How many numbers go out."""
        return prod(self.step.output.shape) * self.step.output.repeat

    def rows(self, skip: int = 1) -> int:
        """How many rows the input has, without its last axes."""
        x = self.step.inputs[0]
        return prod(x.shape[: len(x.shape) - skip]) * x.repeat


def inplace(step: Step) -> bool:
    """Tell whether a step may write over its input."""
    return step.op in ACTIVATIONS or step.op in ("softmax", "log_softmax", "scale_shift", "layer_norm", "scale")


def scratch(step: Step) -> int:
    """Return how many numbers a step needs for itself."""
    if step.op == "jordan_rnn":
        w, w_out = step.weights["w"], step.weights["w_out"]
        return recurrent_scratch(step.op, w.shape[1], w_out.shape[1])  # type: ignore[union-attr]
    if step.op in ("simple_rnn", "lstm", "gru"):
        return recurrent_scratch(step.op, step.weights["u"].shape[0])  # type: ignore[union-attr]
    return 0


def call(c: Caller) -> tuple[list[str], list[str]]:
    """Return the functions that a step needs and its statements; ``{i}`` in them stands for one of many repeats."""
    op = c.step.op
    if op in ACTIVATIONS:
        parameters = "".join(f", {c.number(c.step.settings[p])}" for p in ACTIVATIONS[op][0])
        return [op], [f"apply_{op}({c.xs[0]}, {c.y}, {c.count}{parameters});"]
    return _CALLS[op](c)


def _last(c: Caller) -> int:
    return c.step.inputs[0].shape[-1]


def _dense(c: Caller) -> Any:
    arguments = f"{c.xs[0]}, {c.weight('w')}, {c.weight('b')}, {c.y}, {c.rows()}, {_last(c)}, {c.step.output.shape[-1]}"
    return ["dense"], [f"dense({arguments});"]


def _embedding(c: Caller) -> Any:
    vocabulary, size = c.step.weights["w"].shape  # type: ignore[union-attr]
    ids = c.rows(0)
    return ["embedding"], [
        f"if (embedding({c.xs[0]}, {c.weight('w')}, {c.y}, {ids}, {vocabulary}, {size}))",
        "    return 1;",
    ]


def _lengths(c: Caller) -> Any:
    name = f"length{c.which}"
    return ["sequence_length"], [
        f"const int {name} = sequence_length({c.xs[0]}, {c.step.inputs[0].shape[0]});",
        f"if ({name} < 0)",
        "    return 2;",
    ]


def _rows(c: Caller) -> Any:
    return [c.step.op], [f"{c.step.op}({c.xs[0]}, {c.y}, {c.rows()}, {_last(c)});"]


def _concat(c: Caller) -> Any:
    axis = c.axis - 1
    count = c.step.output.repeat * prod(c.step.output.shape[:axis])
    apart = prod(c.step.output.shape[axis:])
    lines, at = [], 0
    for pointer, x in zip(c.xs, c.step.inputs, strict=True):
        block = prod(x.shape[axis:])
        target = c.y if at == 0 else f"{c.y} + {at}"
        lines.append(f"copy_blocks({pointer}, {target}, {count}, {block}, {apart});")
        at += block
    return ["copy_blocks"], lines


def _repeat(c: Caller) -> Any:
    x, axis = c.step.inputs[0], c.axis - 1
    # On an axis of size 1 and on others alike: each block behind the axis stands times times.
    count, block = x.repeat * prod(x.shape[: axis + 1]), prod(x.shape[axis + 1 :])
    return ["repeat"], [f"repeat({c.xs[0]}, {c.y}, {count}, {block}, {c.times});"]


def _stretch(c: Caller) -> Any:
    x, axis = c.step.inputs[0], c.axis - 1
    outer, inner = x.repeat * prod(x.shape[:axis]), prod(x.shape[axis + 1 :])
    return ["stretch"], [f"stretch({c.xs[0]}, {c.y}, {outer}, {x.shape[axis]}, {inner}, {c.factor});"]


def _window(c: Caller, **more: int) -> str:
    (height, width, channels), y, s = c.step.inputs[0].shape, c.step.output.shape, c.step.settings
    fields: dict[str, int] = {"height": height, "width": width, "channels": channels}
    for names, key in (
        ("rows columns", "kernel"),
        ("stride_y stride_x", "strides"),
        ("dilation_y dilation_x", "dilation"),
    ):
        if key in s:
            fields.update(zip(names.split(), s[key], strict=True))
    if "padding" in s:
        fields["top"], fields["left"] = s["padding"][0], s["padding"][2]
    fields |= {"out_height": y[0], "out_width": y[1], **more}
    return f"&(const window){{{', '.join(f'.{k} = {v}' for k, v in fields.items() if v)}}}"


def _repeated(c: Caller, function: str, arguments: list[str]) -> Any:
    """Call a function that takes one sample, for each sample that there is."""
    n = c.step.output.repeat
    if n == 1:
        return [function], [f"{function}({', '.join(arguments)});"]
    x, y = prod(c.step.inputs[0].shape), prod(c.step.output.shape)
    moved = [f"{a} + i * {x}" if a is c.xs[0] else f"{a} + i * {y}" if a is c.y else a for a in arguments]
    return [function], [f"for (int i = 0; i < {n}; ++i)", f"    {function}({', '.join(moved)});"]


def _weighted(c: Caller) -> Any:
    w = c.step.weights["w"]
    assert w is not None
    more = {"filters": c.step.output.shape[2]}
    if c.step.op != "local2d":
        more |= {"rows": w.shape[0], "columns": w.shape[1]}
    if c.step.op == "conv2d":
        more["groups"] = c.groups
    return _repeated(c, c.step.op, [c.xs[0], c.weight("w"), c.weight("b"), c.y, _window(c, **more)])


def _windowed(c: Caller) -> Any:
    return _repeated(c, c.step.op, [c.xs[0], c.y, _window(c)])


def _crop(c: Caller) -> Any:  # padding of less than nothing
    x, y = c.step.inputs[0].shape, c.step.output.shape
    start = (c.top * x[1] + c.left) * x[2]
    arguments = [c.xs[0], c.y, str(y[0]), str(y[1] * x[2]), str(x[1] * x[2])]
    functions, lines = _repeated(c, "crop", arguments)
    return functions, [line.replace(f"crop({c.xs[0]}", f"crop({c.xs[0]} + {start}") for line in lines]


def _group_norm(c: Caller) -> Any:
    places, channels = c.rows() // c.step.output.repeat, _last(c)
    weights = [c.weight("gamma"), c.weight("beta")]
    numbers = [str(places), str(channels), str(c.groups), c.number(c.epsilon)]
    return _repeated(c, "group_norm", [c.xs[0], *weights, c.y, *numbers])


def _recurrent(c: Caller) -> Any:
    steps, inputs = c.step.inputs[0].shape
    op, s = c.step.op, c.step.settings
    length = str(steps) if s["lengths"] is None else f"length{s['lengths']}"
    weights = [c.weight(name) for name in c.step.weights]
    kind = {"simple_rnn": lambda: [KINDS[s["activation"]]], "gru": lambda: [str(int(s["reset_after"]))]}
    extra = kind.get(op, list)()
    units = c.step.weights["u"].shape[0]  # type: ignore[union-attr]
    flags = [str(int(s[name])) for name in ("sequences", "reverse", "turned")]
    arguments = [c.xs[0], *weights, *extra, c.y, str(steps), length, str(inputs), str(units), *flags, c.work]
    return _repeated(c, op, arguments)


def _pool_steps(c: Caller) -> Any:
    shape = c.step.inputs[0].shape
    numbers = [f"length{c.lengths}", str(prod(shape[1:-1])), str(shape[-1]), str(int(c.average))]
    return ["pool_steps"], [f"pool_steps({c.xs[0]}, {c.y}, {', '.join(numbers)});"]


def _jordan(c: Caller) -> Any:
    steps, inputs = c.step.inputs[0].shape
    s = c.step.settings
    length = str(steps) if s["lengths"] is None else f"length{s['lengths']}"
    weights = [c.weight(name) for name in c.step.weights]
    units, outputs = c.step.weights["w_out"].shape  # type: ignore[union-attr]
    kinds = [KINDS[s["activation"]], KINDS[s["out_activation"]]]
    sizes = [str(steps), length, str(inputs), str(units), str(outputs)]
    return _repeated(c, "jordan_rnn", [c.xs[0], *weights, *kinds, c.y, *sizes, c.work])


_CALLS: dict[str, Callable[[Caller], tuple[list[str], list[str]]]] = {
    "dense": _dense,
    "embedding": _embedding,
    "lengths": _lengths,
    "softmax": _rows,
    "log_softmax": _rows,
    "maxout": lambda c: (["maxout"], [f"maxout({c.xs[0]}, {c.y}, {c.count}, {c.pieces});"]),
    "add": lambda c: (["add"], [f"add({c.xs[0]}, {c.xs[1]}, {c.y}, {c.count});"]),
    "multiply": lambda c: (["multiply"], [f"multiply({c.xs[0]}, {c.xs[1]}, {c.y}, {c.count});"]),
    "scale": lambda c: (["scale"], [f"scale({c.xs[0]}, {c.y}, {c.count}, {c.number(c.factor)});"]),
    "concat": _concat,
    "repeat": _repeat,
    "stretch": _stretch,
    "pad2d": _windowed,
    "crop2d": _crop,
    "conv2d": _weighted,
    "conv2d_transpose": _weighted,
    "local2d": _weighted,
    "max_pool2d": _windowed,
    "avg_pool2d": _windowed,
    "pool_steps": _pool_steps,
    "scale_shift": lambda c: (
        ["scale_shift"],
        [f"scale_shift({c.xs[0]}, {c.weight('m')}, {c.weight('s')}, {c.weight('b')}, {c.y}, {c.rows()}, {_last(c)});"],
    ),
    "layer_norm": lambda c: (
        ["layer_norm"],
        [
            f"layer_norm({c.xs[0]}, {c.weight('gamma')}, {c.weight('beta')}, {c.y}, "
            f"{c.rows()}, {_last(c)}, {c.number(c.epsilon)});"
        ],
    ),
    "group_norm": _group_norm,
    "response_norm": lambda c: (
        ["response_norm"],
        [
            f"response_norm({c.xs[0]}, {c.y}, {c.rows()}, {_last(c)}, {c.radius}, "
            f"{c.number(c.bias)}, {c.number(c.alpha)}, {c.number(c.beta)});"
        ],
    ),
    "simple_rnn": _recurrent,
    "lstm": _recurrent,
    "gru": _recurrent,
    "jordan_rnn": _jordan,
}
