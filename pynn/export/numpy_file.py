"""A network as one Python file that needs NumPy alone."""

from __future__ import annotations

import base64
import functools
import inspect
import os
import re
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn._version import __version__
from pynn.export import numpy_kernels
from pynn.export.constants import Constants
from pynn.export.steps import Plan, Step, lower
from pynn.export.target import check_name
from pynn.files import write_whole

__all__ = ["numpy_source", "to_numpy"]

WIDTH = 116


def to_numpy(model: Any, path: str | os.PathLike[str]) -> list[str]:
    """Write a model as one readable Python file that needs NumPy alone: ``predict(x)``, and the weights as text.

    Parameters
    ----------
    model : Module
        Built; of layers that can be exported, see :func:`pynn.export.lower`.
    path : path-like
        Ends in ``.py``.

    Returns
    -------
    list of str
        The file written.

    Raises
    ------
    DataError
        If a layer cannot be exported (it is named) or the path ends otherwise; nothing is written.
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
    write_whole(target, numpy_source(model).encode())
    return [target]


def numpy_source(model: Any) -> str:
    """Return the text of the file that :func:`to_numpy` writes."""
    plan = lower(model)
    constants = Constants()
    body = _body(plan, constants)
    needed = _needed(body)
    parts = [_head(plan), _imports(needed), *_predict(plan, body), *needed.values(), _weights(constants)]
    return "\n\n\n".join(parts) + "\n"


def _head(plan: Plan) -> str:
    shapes = " and ".join(str([*x.shape]) for x in plan.inputs)
    return (
        f'"""A neural network, written by pynn {__version__}; it needs NumPy alone.\n\n'
        f"predict() takes batches of samples of shape {shapes} and returns {[*plan.output.shape]} for each sample.\n"
        f'Images are [rows, columns, channels], sequences [steps, features].\n"""'
    )


def _imports(needed: dict[str, str]) -> str:
    standard = ["import base64"] + (["import math"] if any("math." in text for text in needed.values()) else [])
    return "\n".join([*standard, "", "import numpy as np"])


def _predict(plan: Plan, body: list[str]) -> list[str]:
    names = _argument_names(plan)
    shapes = ", ".join(
        f"{name} [N, {', '.join(map(str, x.shape))}]" for name, x in zip(names, plan.inputs, strict=True)
    )
    outs = ", ".join(["N", *map(str, plan.output.shape)])
    lines = [f"def predict({', '.join(names)}):", f'    """Return the outputs [{outs}] of a batch {shapes}."""']
    for name, x in zip(names, plan.inputs, strict=True):
        kind = "np.int64" if x.integer else f"np.{plan.dtype}"
        check = f"{name}.shape[1:] != {x.shape!r}"
        if x.integer:
            lines += [
                f"    {name} = np.asarray({name})",
                f"    if not np.array_equal({name}, {name}.astype({kind})):",
                f'        raise ValueError("expected whole numbers as {name}")',
                f"    {name} = {name}.astype({kind})",
            ]
        else:
            lines.append(f"    {name} = np.asarray({name}, {kind})")
        lines += [
            f"    if {check}:",
            f'        raise ValueError(f"expected {name} of shape (N, *{x.shape!r}), received {{{name}.shape}}")',
        ]
    return ["\n".join(lines + body)]


def _argument_names(plan: Plan) -> list[str]:
    return ["x"] if len(plan.inputs) == 1 else [f"x{i}" for i in range(len(plan.inputs))]


def _body(plan: Plan, constants: Constants) -> list[str]:
    names = {x.number: name for x, name in zip(plan.inputs, _argument_names(plan), strict=True)}
    lines: list[str] = []
    layer = None
    for step in plan.steps:
        if step.layer != layer:
            layer = step.layer
            lines.append(f"    # {layer[:WIDTH]}")
        given = [names[x.number] for x in step.inputs]
        target = f"v{step.output.number}"
        if step.op == "lengths":
            lines.append(f"    lengths{step.settings['which']} = sequence_lengths({given[0]})")
            continue
        names[step.output.number] = target
        line = f"    {target} = {_expression(step, given, constants)}"
        lines += textwrap.wrap(line, WIDTH, subsequent_indent=" " * 8, break_long_words=False)
    result = names[plan.output.number]
    return [*lines, f"    return {result}"]


# What NumPy has by itself.
_PLAIN: dict[str, Callable[[list[str], Step], str]] = {
    "tanh": lambda x, s: f"np.tanh({x[0]})",
    "abs": lambda x, s: f"np.abs({x[0]})",
    "exp": lambda x, s: f"np.exp({x[0]})",
    "square": lambda x, s: f"np.square({x[0]})",
    "add": lambda x, s: f"{x[0]} + {x[1]}",
    "multiply": lambda x, s: f"{x[0]} * {x[1]}",
    "scale": lambda x, s: f"{x[0]} * {s.settings['factor']!r}",
    "concat": lambda x, s: f"np.concatenate([{', '.join(x)}], axis={s.settings['axis']})",
    "repeat": lambda x, s: f"np.repeat({x[0]}, {s.settings['times']}, axis={s.settings['axis']})",
    "pad2d": lambda x, s: f"padded({x[0]}, {s.settings['padding']!r})",
}


def _expression(step: Step, given: list[str], constants: Constants) -> str:
    if step.op == "reshape":
        y = step.output
        return f"{given[0]}.reshape({', '.join(map(str, (-1, *y.shape)))})"
    if step.op == "crop2d":
        top, left = step.settings["top"], step.settings["left"]
        height, width = step.output.shape[:2]
        return f"{given[0]}[:, {top} : {top + height}, {left} : {left + width}]"
    if step.op == "scale_shift":
        m, s, b = (f'W["{constants.name(step.name, k, w)}"]' for k, w in step.weights.items() if w is not None)
        return f"({given[0]} - {m}) * {s} + {b}"
    if step.op in _PLAIN:
        return _PLAIN[step.op](given, step)
    arguments = list(given)
    for name, w in step.weights.items():
        arguments.append(f"{name}=None" if w is None else f'{name}=W["{constants.name(step.name, name, w)}"]')
    for name, value in step.settings.items():
        if name == "lengths":
            value_text = "None" if value is None else f"lengths{value}"
        elif name in ("activation", "out_activation"):
            value_text = {"tanh": "np.tanh", "linear": "np.asarray"}.get(value, value)
        else:
            value_text = repr(value)
        arguments.append(f"{name}={value_text}")
    return f"{step.op}({', '.join(arguments)})"


@functools.cache
def _kernels() -> dict[str, str]:
    """Return the source of each function, without what only checkers of this project read."""
    found = {}
    for name, function in vars(numpy_kernels).items():
        if inspect.isfunction(function):
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
