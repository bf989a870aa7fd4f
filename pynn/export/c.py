"""A network as one C99 file and its header, without dependencies but libm and without allocation."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from math import isnan, prod
from typing import Any

import numpy as np

from pynn._version import __version__
from pynn.errors import DataError
from pynn.export.arena import Arena
from pynn.export.c_calls import Caller, call, inplace, scratch
from pynn.export.c_kernels import ACTIVATIONS, KERNELS
from pynn.export.c_main import main_source
from pynn.export.c_windows import WINDOW
from pynn.export.constants import Constants
from pynn.export.steps import Plan, Step, lower
from pynn.export.target import check_name, identifier
from pynn.export.walk import Value
from pynn.files import write_whole

__all__ = ["c_source", "to_c"]

MATH = ("EXP", "EXPM1", "TANH", "LOG", "LOG1P", "ERF", "FABS", "SQRT", "POW")


def to_c(model: Any, path: str | os.PathLike[str], main: bool = False) -> list[str]:
    """Write a model as a C99 file and a header beside it.

    They need no library but libm and allocate nothing: weights are const arrays, and whoever calls gives the memory to
    work in, so that several threads can predict at once. The function, named after the file, is ::

        int NAME_predict(const float *x, float *y, float *work);

    with the sizes NAME_INPUT_SIZE, NAME_OUTPUT_SIZE and NAME_WORK_SIZE as macros; it takes one sample and returns 0, or
    a number that the header explains if ids are out of range. Inputs are what ``model(x)`` takes: predict() divides
    images of bytes by 255 by itself, the exported function does not.

    Parameters
    ----------
    model : Module
        Built; of layers that can be exported, see :func:`pynn.export.lower`.
    path : path-like
        Ends in ``.c``; the header's name ends in ``.h``.
    main : bool, default False
        Add a main() that reads samples as CSV from the standard input and prints outputs.

    Returns
    -------
    list of str
        The files written.

    Raises
    ------
    DataError
        If a layer cannot be exported (it is named) or the path ends otherwise; nothing is written.
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="softmax")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(os.path.basename(file) for file in to_c(model, f"{folder}/iris.c"))
    ['iris.c', 'iris.h']
    """
    target = os.fspath(path)
    check_name(target, ".c", "c")
    source, header = c_source(model, identifier(target), os.path.basename(target[:-2]) + ".h", main)
    write_whole(target[:-2] + ".h", header.encode())
    write_whole(target, source.encode())
    return [target, target[:-2] + ".h"]


def c_source(model: Any, name: str, header_name: str, main: bool = False) -> tuple[str, str]:
    """Return the texts of the C file and its header; parameters as for :func:`to_c`, `name` begins all public names."""
    plan = lower(model)
    if plan.output.integer:
        raise DataError("[export] expected a model that computes something. Received: one that returns token ids.")
    writer = _Writer(plan)
    body = writer.body()
    sizes = _Sizes(name, plan, writer.arena.total)
    kernels = "\n\n".join(writer.kernels())
    parts = [
        f"/* A neural network, written by pynn {__version__}; see {header_name}. cc -std=c99 -O3 -c, link -lm. */",
        _includes(header_name, plan.dtype, kernels, main),
        f"typedef {writer.ctype} real;\n" + (WINDOW.rstrip() if "window *" in kernels else ""),
        kernels,
        "\n\n".join(writer.constants_text()),
        _function(sizes, plan, writer, body),
    ]
    if main:
        parts.append(main_source(sizes, plan, writer.ctype))
    return "\n\n".join(part.rstrip() for part in parts if part.strip()) + "\n", _header(sizes, plan, writer.ctype)


class _Sizes:
    """The names of the sizes."""

    def __init__(self, name: str, plan: Plan, work: int):
        self.name, self.upper = name, name.upper()
        many = len(plan.inputs) > 1
        self.inputs = [f"{self.upper}_INPUT{i if many else ''}_SIZE" for i in range(len(plan.inputs))]
        self.output, self.work = f"{self.upper}_OUTPUT_SIZE", f"{self.upper}_WORK_SIZE"
        self.arguments = [f"x{i}" if many else "x" for i in range(len(plan.inputs))]
        self.values = [*(prod(x.shape) for x in plan.inputs), prod(plan.output.shape), max(work, 1)]

    def prototype(self, plan: Plan, ctype: str) -> str:
        kinds = ["int32_t" if x.integer else ctype for x in plan.inputs]
        xs = ", ".join(f"const {kind} *{x}" for kind, x in zip(kinds, self.arguments, strict=True))
        return f"int {self.name}_predict({xs}, {ctype} *y, {ctype} *work)"


def _header(sizes: _Sizes, plan: Plan, ctype: str) -> str:
    guard = f"{sizes.upper}_H"
    lines = []
    for name, x in zip(sizes.arguments, plan.inputs, strict=True):
        what = "token ids" if x.integer else f"{ctype}s"
        lines.append(f"   {name}: {what} of shape {[*x.shape]}")
    ids = any(step.op == "embedding" for step in plan.steps)
    codes = "; 1 if a token id is outside the vocabulary, 2 if padding (0) stands before a token" if ids else ""
    macros = zip([*sizes.inputs, sizes.output, sizes.work], sizes.values, strict=True)
    return "\n".join(
        [
            f"/* A neural network, written by pynn {__version__}.",
            "",
            *lines,
            f"   y: {ctype}s of shape {[*plan.output.shape]}",
            "   work: memory to work in; what it holds before and after does not matter. Calls with different memory",
            "   can run at the same time.",
            "",
            "   All are one sample, the last axis first in memory (C order); images are [rows, columns, channels],",
            f"   sequences [steps, features]. Returns 0{codes}. */",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <stdint.h>",
            "",
            *(f"#define {name} {value}" for name, value in macros),
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            f"{sizes.prototype(plan, ctype)};",
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "",
            "#endif",
            "",
        ]
    )


def _includes(header_name: str, dtype: np.dtype, kernels: str, main: bool) -> str:
    suffix = "f" if dtype == np.float32 else ""
    macros = [f"#define {m} {m.lower()}{suffix}" for m in MATH if f"{m}(" in kernels]
    more = ["#include <stdio.h>", "#include <stdlib.h>"] if main else []
    lines = [f'#include "{header_name}"', "", "#include <math.h>", *more, "#include <string.h>"]
    return "\n".join([*lines, *(["", *macros] if macros else [])])


def _function(sizes: _Sizes, plan: Plan, writer: _Writer, body: list[str]) -> str:
    unused = [] if any("work" in line for line in body) else ["    (void)work;"]
    lines = [sizes.prototype(plan, writer.ctype), "{", *unused, *(f"    {line}" if line else "" for line in body)]
    return "\n".join([*lines, "    return 0;", "}"])


class _Writer:
    """Writes the steps of a plan."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.ctype = "float" if plan.dtype == np.float32 else "double"
        self.constants = Constants()
        self.arena = Arena(plan, inplace, scratch)
        many = len(plan.inputs) > 1
        self.inputs = {x.number: f"x{i}" if many else "x" for i, x in enumerate(plan.inputs)}
        self.used: list[str] = []

    def body(self) -> list[str]:
        lines: list[str] = []
        layer = None
        for i, step in enumerate(self.plan.steps):
            if step.layer != layer:
                layer = step.layer
                lines += ["", f"/* {layer[:110]} */"] if lines else [f"/* {layer[:110]} */"]
            if step.op != "reshape":
                for line in self._statements(i, step):
                    indent = " " * (len(line) - len(line.lstrip()) + 4)
                    lines += textwrap.wrap(line, 112, subsequent_indent=indent, break_long_words=False)
        if self.arena.owner[self.plan.output.number] in self.inputs:  # a model that changes nothing
            lines.append(f"memcpy(y, {self._pointer(self.plan.output)}, {prod(self.plan.output.shape)} * sizeof *y);")
        return lines

    def _statements(self, i: int, step: Step) -> list[str]:
        def weight(name: str) -> str:
            array = step.weights[name]
            return "NULL" if array is None else self.constants.name(step.name, name, array)

        y = "" if step.op == "lengths" else self._pointer(step.output)
        work = self._at(self.arena.scratch_offset(i)) if scratch(step) else ""
        functions, lines = call(Caller(step, [self._pointer(x) for x in step.inputs], y, self._literal, weight, work))
        self.used += functions
        return lines

    def _pointer(self, value: Value) -> str:
        owner = self.arena.owner[value.number]
        if owner in self.inputs:
            return self.inputs[owner]
        return "y" if self.arena.is_result(value) else self._at(self.arena.offset(value))

    @staticmethod
    def _at(offset: int) -> str:
        return f"work + {offset}" if offset else "work"

    def _literal(self, value: float) -> str:
        return literal(value, self.ctype)

    def kernels(self) -> Iterator[str]:
        """Yield the functions that are called, each after those that it calls."""
        done: set[str] = set()

        def needed(name: str) -> Iterator[str]:
            if name in done:
                return
            done.add(name)
            if name in ACTIVATIONS:
                yield _activation(name)
                return
            needs, text = KERNELS[name]
            for other in needs:
                yield from needed(other)
            yield text

        for name in self.used:
            yield from needed(name)

    def constants_text(self) -> Iterator[str]:
        """Yield the weights as const arrays."""
        for name, array in self.constants.items():
            numbers = [literal(v, self.ctype) for v in array.ravel().tolist()]
            rows = [", ".join(numbers[k : k + 8]) for k in range(0, len(numbers), 8)]
            shape = "".join(f"[{d}]" for d in array.shape)
            yield "\n".join(
                [f"static const real {name}[{array.size}] = {{ /* {shape} */", *(f"    {r}," for r in rows), "};"]
            )


def literal(value: float, ctype: str) -> str:
    """Return a number as C writes it, so that it is read as the same bits.

    Examples
    --------
    >>> literal(0.5, "float"), literal(3.0, "double"), literal(1e-30, "float")
    ('0.5f', '3.0', '1e-30f')
    """
    if isnan(value):
        return "NAN"
    if value in (float("inf"), float("-inf")):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.9g}" if ctype == "float" else repr(value)
    if not any(mark in text for mark in ".e"):
        text += ".0"
    return text + ("f" if ctype == "float" else "")


def _activation(name: str) -> str:
    parameters, expression = ACTIVATIONS[name]
    more = "".join(f", real {p}" for p in parameters)
    return (
        f"static void apply_{name}(const real *x, real *y, int n{more})\n{{\n"
        "    for (int i = 0; i < n; ++i) {\n        const real v = x[i];\n"
        f"        y[i] = {expression};\n    }}\n}}"
    )
