"""A network as one Python file that needs NumPy alone."""

from __future__ import annotations

import base64
import functools
import inspect
import math
import os
import re
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._version import __version__
from pynn.export import numpy_kernels
from pynn.export.binary import BINARY
from pynn.export.constants import Constants
from pynn.export.plan import images, lower, scale_and_shift
from pynn.export.target import check_name
from pynn.export.trace import Op, Trace, Value
from pynn.files import write_whole
from pynn.ops.activation import ELEMENTWISE
from pynn.ops.window import Window

__all__ = ["numpy_source", "to_numpy"]

WIDTH = 116


def to_numpy(model: Any, path: str | os.PathLike[str], input_shape: Any = None) -> list[str]:
    """Write a model as one readable Python file that needs NumPy alone: ``predict(x)``, and the weights as text.

    Parameters
    ----------
    model : Module
        Built; any, one's own too: what it runs is recorded, see :func:`pynn.export.lower`.
    path : path-like
        Ends in ``.py``.
    input_shape : tuple of int, or list of them, optional
        Of one sample (of each input); needed if the model does not know it.

    Returns
    -------
    list of str
        The file written.

    Raises
    ------
    DataError
        If something cannot be exported (op and layer are named) or the path ends otherwise; nothing is written.
    OSError
        If it cannot be written; what was there stays.

    Examples
    --------
    >>> import runpy, tempfile
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="softmax")])
    >>> x = np.ones((2, 4), "float32")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = to_numpy(model, f"{folder}/model.py")
    ...     y = runpy.run_path(f"{folder}/model.py")["predict"](x)
    >>> bool(np.allclose(y, model.predict(x), atol=1e-6))
    True
    """
    target = os.fspath(path)
    check_name(target, ".py", "numpy")
    write_whole(target, numpy_source(model, input_shape).encode())
    return [target]


def numpy_source(model: Any, input_shape: Any = None) -> str:
    """Return the text of the file that :func:`to_numpy` writes.

    Parameters
    ----------
    model : Module
        Built, or its `input_shape` is given.
    input_shape : sequence of int, optional
        Of one sample, for a model that does not begin with nn.Input.
    """
    plan = lower(model, input_shape)
    writer = _Writer(plan)
    body = writer.body()
    needed = _needed(body)
    parts = [
        _head(plan),
        _imports(needed),
        *_predict(plan, images(model, plan), body),
        *needed.values(),
        _weights(writer.constants),
    ]
    return "\n\n\n".join(parts) + "\n"


def _head(plan: Trace) -> str:
    shapes, outs = (" and ".join(str([*x.shape[1:]]) for x in side) for side in (plan.inputs, plan.outputs))
    return (
        f'"""A neural network, written by pynn {__version__}; it needs NumPy alone.\n\n'
        f"predict() takes batches of samples of shape {shapes} and returns {outs} for each.\n"
        f'Images are [rows, columns, channels], sequences [steps, features].\n"""'
    )


def _imports(needed: dict[str, str]) -> str:
    standard = ["import base64"] + (["import math"] if any("math." in text for text in needed.values()) else [])
    return "\n".join([*standard, "", "import numpy as np"])


def _predict(plan: Trace, scaled: list[bool], body: list[str]) -> list[str]:
    names = _argument_names(plan)
    shapes = ", ".join(
        f"{name} [{', '.join(map(str, ('N', *x.shape[1:])))}]" for name, x in zip(names, plan.inputs, strict=True)
    )
    outs = " and ".join(f"[{', '.join(['N', *map(str, y.shape[1:])])}]" for y in plan.outputs)
    lines = [f"def predict({', '.join(names)}):", f'    """Return the outputs {outs} of a batch {shapes}."""']
    for name, x, image in zip(names, plan.inputs, scaled, strict=True):
        sample = x.shape[1:]
        if x.dtype.kind in "iu":
            lines += [
                f"    {name} = np.asarray({name})",
                f"    if not np.array_equal({name}, {name}.astype(np.int64)):",
                f'        raise ValueError("expected whole numbers as {name}")',
                f"    {name} = {name}.astype(np.int64)",
            ]
        elif image:
            lines += [
                f"    {name} = np.asarray({name})",
                f"    if {name}.dtype == np.uint8:  # images of bytes",
                f"        {name} = np.multiply({name}, np.{plan.dtype}(1 / 255), dtype=np.{plan.dtype})",
                f"    {name} = {name}.astype(np.{plan.dtype}, copy=False)",
            ]
        else:
            lines.append(f"    {name} = np.asarray({name}, np.{plan.dtype})")
        lines += [
            f"    if {name}.shape[1:] != {sample!r}:",
            f'        raise ValueError(f"expected {name} of shape (N, *{sample!r}), received {{{name}.shape}}")',
        ]
    return ["\n".join(lines + body)]


def _argument_names(plan: Trace) -> list[str]:
    return ["x"] if len(plan.inputs) == 1 else [f"x{i}" for i in range(len(plan.inputs))]


class _Writer:
    """Writes the ops of a plan as statements."""

    def __init__(self, plan: Trace):
        self.plan = plan
        self.constants = Constants()
        self.names = {x.number: name for x, name in zip(plan.inputs, _argument_names(plan), strict=True)}
        self.batch = f"len({next(iter(self.names.values()))})"

    def body(self) -> list[str]:
        lines: list[str] = []
        layer, count = None, len(self.names)
        for op in self.plan.ops:
            if op.layer != layer:
                layer = op.layer
                lines.append(f"    # {layer[:WIDTH]}")
            expression = self._expression(op)
            for y in op.outs:
                if y is not None:
                    self.names[y.number] = f"v{count}"
                    count += 1
            targets = [self.names[y.number] if y is not None else "_" for y in op.outs]
            start = f"    {', '.join(targets)} = "
            bare = op.name in CALLS or len(start + expression) <= WIDTH
            line = start + (expression if bare else f"({expression})")
            lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * 8, break_long_words=False)
        return [*lines, f"    return {self._returned()}"]

    def _returned(self) -> str:
        """Write what the model returns: an array, a list of them, or a dict."""
        outs = [self.name(y) for y in self.plan.outputs]
        if self.plan.form is not None:
            return "{" + ", ".join(f"{key!a}: {y}" for key, y in zip(self.plan.form, outs, strict=True)) + "}"
        return outs[0] if len(outs) == 1 else f"[{', '.join(outs)}]"

    def _expression(self, op: Op) -> str:
        if op.name in EXPRESSIONS:
            return EXPRESSIONS[op.name](self, op)
        if op.name not in CALLS:
            known = ", ".join(sorted({*EXPRESSIONS, *CALLS}))
            raise op.refused("is not written in Python", f"use other ops ({known}), or write ONNX.")
        return f"{op.name}({', '.join([*map(self.name, op.inputs), *_settings(op)])})"

    def name(self, value: Value | None) -> str:
        """Return the name of a value, of a weight, or a number."""
        if value is None:
            return "None"
        if not value.constant:
            return self.names[value.number]
        array = value.array
        assert array is not None
        if array.ndim == 0 and not value.owner:
            number = repr(array.item()) if array.dtype != np.float32 else f"{array.item():.9g}"
            number = number.replace("inf", "np.inf").replace("nan", "np.nan") if array.dtype.kind == "f" else number
            return (
                number if array.dtype == self.plan.dtype or array.dtype.kind != "f" else f"np.{array.dtype}({number})"
            )
        return f'W["{self.constants.name(value.owner or "constant", value.key or "values", array)}"]'

    def shape(self, value: Value, free: bool = False) -> str:
        """Return a shape, the size that follows the batch as -1 or by the number of samples."""
        sizes = [str(d) for d in value.shape]
        if value.axis is not None:
            rows = value.shape[value.axis]
            sizes[value.axis] = "-1" if free else self.batch if rows == 1 else f"{rows} * {self.batch}"
        return ", ".join(sizes)


Expression = Callable[[_Writer, Op], str]


def _binary(w: _Writer, op: Op) -> str:
    return BINARY[op.name].numpy.format(*map(w.name, op.inputs))


def _element(w: _Writer, op: Op) -> str:
    row, parameters = ELEMENTWISE[op.name].chosen(op.attrs)
    more = [f"{key}={value!r}" for key, value in parameters.items()]
    return f"{row.numpy_name or row.name}({', '.join([w.name(op.x), *more])})"


def _matmul(w: _Writer, op: Op) -> str:
    a, b = (
        f"{w.name(x)}.swapaxes(-1, -2)" if op.attrs.get(key) else w.name(x)
        for x, key in zip(op.inputs, ("ta", "tb"), strict=True)
    )
    return f"{a} @ {b}"


def _reduced(name: str) -> Expression:
    def write(w: _Writer, op: Op) -> str:
        start, stop, scale = op.attrs["axis"], op.attrs["stop"], op.attrs.get("scale", 1.0)
        axes = repr(start if stop == start + 1 else tuple(range(start, stop)))
        x = op.x
        if name == "sum" and scale == 1.0 / np.prod(x.shape[start:stop]):
            return f"{w.name(x)}.mean({axes})"
        return f"{w.name(x)}.{name}({axes})" + (f" * {scale!r}" if scale != 1.0 else "")

    return write


def _sliced(w: _Writer, op: Op) -> str:
    keys = []
    for start, step, size, room in zip(*(op.attrs[k] for k in ("starts", "steps", "sizes")), op.x.shape, strict=True):
        if (start, step, size) == (0, 1, room):
            keys.append(":")
            continue
        stop = start + (size - 1) * step + (1 if step > 0 else -1)
        keys.append(f"{start}:{stop if stop >= 0 else ''}" + (f":{step}" if step != 1 else ""))
    while keys and keys[-1] == ":":
        keys.pop()
    return f"{w.name(op.x)}[{', '.join(keys) or '...'}]"


def _scaled(w: _Writer, op: Op) -> str:
    scale, shift = scale_and_shift(op)
    return f"({w.name(op.x)} - {w.name(op.inputs[1])}) * {w.name(scale)} + {w.name(shift)}"


EXPRESSIONS: dict[str, Expression] = {
    **dict.fromkeys(BINARY, _binary),
    "where": lambda w, op: f"np.where({', '.join(map(w.name, op.inputs))})",
    **dict.fromkeys(ELEMENTWISE, _element),
    **{name: _reduced(name) for name in ("sum", "max", "min", "argmax")},
    "matmul": _matmul,
    "reshape": lambda w, op: f"{w.name(op.x)}.reshape({w.shape(op.y, True)})",
    "transpose": lambda w, op: f"{w.name(op.x)}.transpose{op.attrs['axes']!r}",
    "expand": lambda w, op: f"np.broadcast_to({w.name(op.x)}, ({w.shape(op.y)},))",
    "slice": _sliced,
    "concat": lambda w, op: f"np.concatenate([{', '.join(map(w.name, op.inputs))}], axis={op.attrs['axis']})",
    "cast": lambda w, op: f"{w.name(op.x)}.astype(\"{np.dtype(op.attrs['dtype'])}\")",
    "take": lambda w, op: f"np.take({w.name(op.x)}, {w.name(op.inputs[1])}, axis={op.attrs['axis']})",
    "copy": lambda w, op: w.name(op.x),
    "pad2d": lambda w, op: f"padded({w.name(op.x)}, {op.attrs['padding']!r})",
    "norm_apply": _scaled,
}  # fmt: skip

# Ops that are functions of numpy_kernels of the same name: inputs first, then attributes by their names.
CALLS = {name: f for name, f in vars(numpy_kernels).items() if getattr(f, "__module__", "") == numpy_kernels.__name__}
_CODE = {"tanh": "np.tanh", "linear": "np.asarray", np.tanh: "np.tanh", np.asarray: "np.asarray"}


def _settings(op: Op) -> list[str]:
    """Return the attributes that differ from what the function takes by default."""
    given = {**op.attrs, **op.attrs.get("window", Window())._asdict()}
    texts = []
    for parameter in list(inspect.signature(CALLS[op.name]).parameters.values())[len(op.inputs) :]:
        key, default = parameter.name, parameter.default
        value = given.get(key, default)
        if key.endswith("activation"):
            default, value = _CODE.get(default, default), _CODE.get(value, value)
        elif key == "value":
            value = "-np.inf" if value == -math.inf else repr(value)
        if value != default:
            texts.append(f"{key}={value if isinstance(value, str) and key != 'interpolation' else repr(value)}")
    return texts


@functools.cache
def _kernels() -> dict[str, str]:
    """Return the source of each function, without what only checkers of this project read."""
    found = {name: row.numpy_source() for name, row in ELEMENTWISE.items()}
    for name, function in vars(numpy_kernels).items():
        if inspect.isfunction(function) and name not in found:
            found[name] = inspect.getsource(function).replace("  # type: ignore[no-untyped-def]", "").strip()
    return found


def _needed(body: list[str]) -> dict[str, str]:
    """Return the functions that a text calls, and those that they call, in the order of the module."""
    kernels = _kernels()
    wanted: set[str] = set()
    texts = ["\n".join(line for line in body if not line.lstrip().startswith("#"))]
    while texts:
        words = set(re.findall(r"(?<![.\w\"])[a-z_][a-z_0-9]*", texts.pop()))
        fresh = (words & set(kernels)) - wanted
        wanted |= fresh
        texts += [kernels[name] for name in fresh]
    return {name: text for name, text in kernels.items() if name in wanted}


def _weights(constants: Constants) -> str:
    lines = [
        "def _array(dtype, shape, text):",
        "    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape)",
        "",
        "",
        "W = {",
    ]
    for name, array in constants.items():
        little = array.astype(array.dtype.newbyteorder("<"))
        text = base64.b64encode(np.ascontiguousarray(little).tobytes()).decode()
        rows = [text[i : i + WIDTH] for i in range(0, len(text), WIDTH)]
        lines.append(f'    "{name}": _array("{little.dtype.str}", {array.shape!r}, """')
        lines += [*rows, '"""),']
    return "\n".join([*lines, "}"])
