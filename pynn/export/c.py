"""A network as one C99 file and its header, without dependencies but libm and without allocation."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from math import isnan
from typing import Any

import numpy as np

from pynn._version import __version__
from pynn.checks import written
from pynn.errors import DataError
from pynn.export import c_layers  # noqa: F401  (its calls enter themselves)
from pynn.export.arena import Arena
from pynn.export.c_calls import CALLS, Caller, alias, inplace, scratch, takes_computed_ids, takes_ids
from pynn.export.c_kernels import ACTIVATIONS, KERNELS, activation
from pynn.export.c_main import main_source
from pynn.export.c_math import math_source
from pynn.export.c_products import in_blocks, lanes
from pynn.export.c_steps import check_steps, one_step
from pynn.export.c_windows import WINDOW
from pynn.export.constants import Constants
from pynn.export.plan import images, lower
from pynn.export.runs import examples
from pynn.export.target import check_name, identifier
from pynn.export.trace import Op, Trace, Value, plain
from pynn.files import write_whole

__all__ = ["c_source", "to_c"]

# What a function returns if it refuses its input, for the ops that may.
CODES = {
    "embedding": "1 if a token id is outside the vocabulary",
    "take": "1 if an index is outside the table",
    "sequence_lengths": "2 if padding (0) stands before a token",
    "check_lengths": "3 if a length is outside the sequence",
}


def to_c(
    model: Any, path: str | os.PathLike[str], main: bool = False, input_shape: Any = None, step: bool = False
) -> list[str]:
    """Write a model as a C99 file and a header beside it.

    They need no library but libm and allocate nothing: weights are const arrays, and whoever calls gives the memory to
    work in, so that several threads can predict at once. The function, named after the file, is ::

        int NAME_predict(const float *x, float *y, float *work);

    with the sizes NAME_INPUT_SIZE, NAME_OUTPUT_SIZE and NAME_WORK_SIZE as macros; it takes one sample and returns 0, or
    a number that the header explains if ids are out of range. Inputs are what ``model(x)`` takes: predict() divides
    images of bytes by 255 by itself, the exported function does not; a model that begins with nn.Rescaling takes them
    as numbers in both.

    Parameters
    ----------
    model : Module
        Built; any, one's own too: what it runs is recorded, see :func:`pynn.export.lower`.
    path : path-like
        Ends in ``.c``; the header's name ends in ``.h``.
    main : bool, default False
        Add a main() that reads samples as CSV, from the file that is its argument or from the standard input, and
        prints outputs.
    input_shape : tuple of int, or list of them, optional
        Of one sample (of each input); needed if the model does not know it.
    step : bool, default False
        Write a function of one time step of recurrent layers instead, which goes on from where its last call ended::

            int NAME_step(const float *x, float *y, float *state, float *work);

        The state, NAME_STATE_SIZE numbers, belongs to whoever calls; zeros begin a sequence. The outputs of step after
        step are those of the model for the sequence so far. With `main`, an empty line begins another sequence.

    Returns
    -------
    list of str
        The files written.

    Notes
    -----
    The file is C99 and C++11. Weights of products stand in blocks of 64 bytes, loops have fixed lengths, so that
    compilers make vectors of them at -O2 already; GNU compilers for x86-64 make some functions for AVX-512 and AVX2
    too, between which the program chooses as it starts. exp and tanh of floats are the file's own, at most 1.1 and 2.5
    units in the last place from the exact ones.

    Raises
    ------
    DataError
        If something cannot be exported (op and layer are named) or the path ends otherwise; nothing is written.
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
    source, header = c_source(model, identifier(target), os.path.basename(target[:-2]) + ".h", main, input_shape, step)
    write_whole(target[:-2] + ".h", header.encode())
    write_whole(target, source.encode())
    return [target, target[:-2] + ".h"]


def c_source(
    model: Any, name: str, header_name: str, main: bool = False, input_shape: Any = None, step: bool = False
) -> tuple[str, str]:
    """Return the texts of the C file and its header; parameters as for :func:`to_c`, `name` begins all public names.

    Parameters
    ----------
    model : Module
        Built, or its `input_shape` is given.
    name : str
        Prefix of the functions.
    header_name : str
        What the source includes.
    main : bool, default False
        Add a main() that reads inputs from a file.
    input_shape : sequence of int, optional
        Of one sample, for a model that does not begin with nn.Input.
    step : bool, default False
        Write a function of one time step.
    """
    if not (isinstance(name, str) and name.isidentifier() and name.isascii() and isinstance(header_name, str)):
        raise ValueError(f"[export] expected a name of C, and that of a header. Received: name={written(name)}.")
    plan = lower(model, one_step(examples(model, input_shape)) if step else input_shape)
    if plan.output.dtype.kind != "f":
        raise DataError(
            f"[export] expected a model that returns {plan.dtype}. Received: one that returns {plan.output.dtype}."
        )
    if step:
        check_steps(plan)
    writer = _Writer(plan, step)
    body = writer.body()
    sizes = _Sizes(name, plan, writer.arena.total, writer.states)
    kernels = "\n\n".join(writer.kernels())
    parts = [
        f"/* A neural network, by pynn {__version__}; see {plain(header_name)}. cc -std=c99 -O3 -c, link -lm. */",
        _includes(header_name, main),
        f"typedef {writer.ctype} real;\n" + _macros(kernels, plan.dtype) + (WINDOW if "window g" in kernels else ""),
        math_source(kernels, plan.dtype),
        kernels,
        "\n\n".join(writer.constants_text()),
        _function(sizes, plan, writer, body),
    ]
    if main:
        parts.append(main_source(sizes, plan, writer.ctype))
    return "\n\n".join(part.rstrip() for part in parts if part.strip()) + "\n", _header(
        sizes, plan, writer.ctype, images(model, plan)
    )


class _Sizes:
    """The names of the sizes."""

    def __init__(self, name: str, plan: Trace, work: int, states: int):
        self.name, self.upper = name, name.upper()
        self.function = f"{name}_{'step' if states else 'predict'}"
        many = len(plan.inputs) > 1
        self.inputs = [f"{self.upper}_INPUT{i if many else ''}_SIZE" for i in range(len(plan.inputs))]
        self.output, self.work = f"{self.upper}_OUTPUT_SIZE", f"{self.upper}_WORK_SIZE"
        self.arguments = [f"x{i}" if many else "x" for i in range(len(plan.inputs))]
        self.values = [*(x.size for x in plan.inputs), plan.output.size, max(work, 1)]
        self.state = f"{self.upper}_STATE_SIZE" if states else ""
        self.states = states

    def prototype(self, plan: Trace, ctype: str) -> str:
        kinds = ["int32_t" if x.dtype.kind in "iu" else ctype for x in plan.inputs]
        xs = ", ".join(f"const {kind} *{x}" for kind, x in zip(kinds, self.arguments, strict=True))
        state = f"{ctype} *state, " if self.states else ""
        return f"int {self.function}({xs}, {ctype} *y, {state}{ctype} *work)"


def _header(sizes: _Sizes, plan: Trace, ctype: str, scaled: list[bool]) -> str:
    guard = f"{sizes.upper}_H"
    lines = []
    for name, x, image in zip(sizes.arguments, plan.inputs, scaled, strict=True):
        what = "token ids" if x.dtype.kind in "iu" else f"{ctype}s"
        note = "; images of bytes divided by 255" if image else ""
        lines.append(f"   {name}: {what} of shape {[*x.shape[1:]]}{note}")
    names = {op.name for op in plan.ops}
    codes = "".join(f"; {text}" for name, text in CODES.items() if name in names)
    macros = [*zip([*sizes.inputs, sizes.output, sizes.work], sizes.values, strict=True)]
    if sizes.states:
        macros.append((sizes.state, sizes.states))
        lines.append("   state: what recurrent layers keep from step to step; zeros begin a sequence")
    return "\n".join(
        [
            f"/* A neural network, written by pynn {__version__}.",
            "",
            *lines,
            f"   y: {ctype}s of shape {[*plan.output.shape[1:]]}",
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


def _includes(header_name: str, main: bool) -> str:
    more = ["#include <stdio.h>", "#include <stdlib.h>"] if main else []
    return "\n".join([f'#include "{header_name}"', "", "#include <math.h>", *more, "#include <string.h>"])


_CLONES = """
/* Functions that GNU compilers make for several processors; the first call finds out which one runs. */
#if defined(__x86_64__) && defined(__GLIBC__) && (defined(__clang__) ? __clang_major__ >= 14 : __GNUC__ >= 8)
#define CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define CLONES
#endif
"""


def _macros(kernels: str, dtype: np.dtype) -> str:
    """Return what the functions need of macros."""
    parts = []
    if "LANES" in kernels:
        parts.append(f"\n#define LANES {lanes(dtype)} /* numbers that are computed side by side */\n")
    if "CLONES" in kernels:
        parts.append(_CLONES)
    if "RESTRICT" in kernels:
        parts.append("\n#ifdef __cplusplus\n#define RESTRICT __restrict\n#else\n#define RESTRICT restrict\n#endif\n")
    return "".join(parts)


def _function(sizes: _Sizes, plan: Trace, writer: _Writer, body: list[str]) -> str:
    unused = [] if any("work" in line for line in body) else ["    (void)work;"]
    lines = [sizes.prototype(plan, writer.ctype), "{", *unused, *(f"    {line}" if line else "" for line in body)]
    return "\n".join([*lines, "    return 0;", "}"])


class _Writer:
    """Writes the ops of a plan."""

    def __init__(self, plan: Trace, step: bool = False):
        self.plan = plan
        self.step, self.states = step, 0
        self.ctype = "float" if plan.dtype == np.float32 else "double"
        self.constants = Constants({*KERNELS, *(f"apply_{name}" for name in ACTIVATIONS)})
        _made_real(plan)
        self.arena = Arena(plan, alias, inplace, scratch)
        many = len(plan.inputs) > 1
        self.inputs = {x.number: f"x{i}" if many else "x" for i, x in enumerate(plan.inputs)}
        self.used: list[str] = []

    def body(self) -> list[str]:
        lines: list[str] = []
        layer = None
        for i, op in enumerate(self.plan.ops):
            if op.layer != layer:
                layer = op.layer
                lines += ["", f"/* {layer[:110]} */"] if lines else [f"/* {layer[:110]} */"]
            if not alias(op):
                for line in self._statements(i, op):
                    indent = " " * (len(line) - len(line.lstrip()) + 4)
                    lines += textwrap.wrap(line, 112, subsequent_indent=indent, break_long_words=False)
        if self.arena.owner[self.plan.output.number] in self.inputs:  # a model that changes nothing
            lines.append(f"memcpy(y, {self._pointer(self.plan.output)}, {self.plan.output.size} * sizeof *y);")
        return lines

    def _statements(self, i: int, op: Op) -> list[str]:
        if op.name not in CALLS:
            raise op.refused("is not written in C", f"use other ops ({', '.join(sorted(CALLS))}), or write ONNX.")
        work = self._at(self.arena.scratch_offset(i)) if scratch(op) else "work"
        place = lambda value: self._pointer(value, takes_ids(op, _index(op, value)))  # noqa: E731
        caller = Caller(op, place, self._literal, work, self._blocks, self._state if self.step else None)
        CALLS[op.name](caller)
        self.used += caller.functions
        return caller.lines

    def _pointer(self, value: Value | None, whole: bool = False) -> str:
        if value is None:
            return "NULL"
        if value.array is not None:
            kept = value.array.astype(np.int32 if whole else self.plan.dtype)
            return self.constants.name(value.owner or "constant", value.key or "values", kept)
        owner = self.arena.owner[value.number]
        if owner in self.inputs:
            return self.inputs[owner]
        return "y" if self.arena.is_result(value) else self._at(self.arena.offset(value))

    def _state(self, size: int) -> str:
        """Return the pointer to numbers that are kept from call to call."""
        at, self.states = self.states, self.states + size
        return f"state + {at}" if at else "state"

    def _blocks(self, value: Value) -> str:
        """Return the pointer to weights [..., outputs], laid in blocks."""
        assert value.array is not None
        blocks = in_blocks(value.array.reshape(-1, value.array.shape[-1]).astype(self.plan.dtype))
        return self.constants.name(value.owner or "constant", value.key or "values", blocks)

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
                yield activation(name)
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
            whole = array.dtype == np.int32
            numbers = [str(v) if whole else literal(v, self.ctype) for v in array.ravel().tolist()]
            rows = [", ".join(numbers[k : k + 8]) for k in range(0, len(numbers), 8)]
            shape = "".join(f"[{d}]" for d in array.shape)
            yield "\n".join(
                [
                    f"static const {'int32_t' if whole else 'real'} {name}[{array.size}] = {{ /* {shape} */",
                    *(f"    {r}," for r in rows),
                    "};",
                ]
            )


def _index(op: Op, value: Value | None) -> int:
    return next((i for i, x in enumerate(op.inputs) if x is value), -1)


def _made_real(plan: Trace) -> None:
    """Turn token ids into numbers of the model's dtype where something else than a table's rows is made of them.

    What is computed of them is kept in such numbers too, truth values as 0 and 1.
    """
    whole = {x.number for x in plan.inputs if x.dtype.kind in "iu"}
    real: dict[int, Value] = {}
    ops: list[Op] = []
    for op in plan.ops:
        wider = op.name == "cast" and op.y.dtype.kind in "iu"  # in C, whole numbers have 32 bits
        if (op.name == "reshape" or wider) and op.x.number in whole:
            whole.add(op.y.number)
        inputs = list(op.inputs)
        for i, x in enumerate(inputs):
            if x is None or x.constant:
                continue
            if x.number in whole and not takes_ids(op, i):
                if x.number not in real:
                    real[x.number] = Value(x.shape, x.axis, plan.dtype)
                    ops.append(op.like("cast", (x,), (real[x.number],), dtype=plan.dtype))
                inputs[i] = real[x.number]
            elif x.number not in whole and takes_ids(op, i) and op.name not in ("cast", "reshape"):
                if not takes_computed_ids(op):
                    raise op.refused("takes ids that are computed", "give them to the model as an input.")
                op.attrs = {**op.attrs, "computed": True}
        if op.name == "cast" and inputs[0].number not in whole:
            op.attrs = {**op.attrs, "computed": True}
        op.inputs = tuple(inputs)
        ops.append(op)
    plan.ops = ops


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
