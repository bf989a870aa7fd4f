"""The table of operators that pynn runs, and what their functions share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from pynn import ops
from pynn.core.state import state
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DataError, DTypeError
from pynn.onnx.value import Value

__all__ = ["FUSED", "OPERATORS", "Body", "Node", "Operator", "floating", "operator"]


FUSED = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}  # what comes with Conv and Gemm in one pass


@dataclass
class Body:
    """A graph inside a node; what it takes from around it are inputs of the node."""

    inputs: list[str]
    outputs: list[str]
    nodes: list[Node]


@dataclass
class Node:
    """A node of an imported graph.

    Attributes
    ----------
    op, name : str
    inputs, outputs : list of str
        Empty where an optional one is left out.
    attributes : dict
        Integers, floats, texts, lists of them, arrays.
    version : int
        Of the operator set.
    limit : int
        The most bytes that one result may have.
    cache : dict
        Tensors, and packed weights, that are made of constants once.
    then : str
        An activation that is computed with the node, as nothing else takes what it gives: see FUSED.
    ends : list of str
        Of a product of bytes, the names of the factors and of the bias that are computed with it, likewise.
    """

    op: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)
    version: int = 13
    limit: int = 2**31
    cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    then: str = "linear"
    ends: list[str] = field(default_factory=list)

    def kept(self, key: str, x: Value, make: Callable[[np.ndarray], np.ndarray]) -> Tensor | None:
        """Return a constant in another shape or dtype, made once; None if the value is no constant."""
        if x.constant is None:
            return None
        if key not in self.cache:
            self.cache[key] = Tensor.state(np.ascontiguousarray(make(x.constant)))
        return self.cache[key]

    @property
    def own(self) -> int:
        """How many inputs are the node's own; further ones are those of its bodies."""
        return self.attributes.get("own", len(self.inputs))

    @property
    def bodies(self) -> list[Body]:
        """The graphs inside the node."""
        return [value for value in self.attributes.values() if isinstance(value, Body)]

    @property
    def label(self) -> str:
        """How messages name the node."""
        return f"{self.op} {self.name!r}" if self.name else f"{self.op} (which gives {self.outputs[0]!r})"

    def integer(self, key: str, default: int) -> int:
        """Return an integer attribute."""
        return self._of(key, default, int, "an integer")

    def number(self, key: str, default: float) -> float:
        """Return a real attribute."""
        return float(self._of(key, default, (float, int), "a number"))

    def text(self, key: str, default: str) -> str:
        """Return a text attribute."""
        return self._of(key, default, str, "a text")

    def integers(self, key: str, default: Any = None) -> Any:
        """Return an attribute that is a list of integers."""
        found = self.attributes.get(key, default)
        if found is default:
            return found
        if not isinstance(found, list) or not all(isinstance(i, int) for i in found):
            raise DataError(f"expected the attribute {key} to be a list of integers. Received: {_short(found)}.")
        return found

    def _of(self, key: str, default: Any, kind: Any, what: str) -> Any:
        found = self.attributes.get(key, default)
        if not isinstance(found, kind):
            raise DataError(f"expected the attribute {key} to be {what}. Received: {_short(found)}.")
        return found

    def static(self, value: Value | None, what: str) -> np.ndarray | None:
        """Return an operand (a shape, axes, paddings) as an array.

        Raises
        ------
        DataError
            If it depends on data while a step is recorded: it would be frozen.
        """
        if value is None:
            return None
        if value.constant is not None:
            return value.constant
        if state.recorder is not None:
            raise DataError(
                f"{what} depends on the data, so that no step can be recorded. "
                "help: call the model, model(x), which records nothing, or compile(..., run_eagerly=True) it first."
            )
        return value.plain.view().copy()

    def read(self, value: Value, what: str) -> np.ndarray:
        """Return the same of an operand that is given."""
        found = self.static(value, what)
        assert found is not None
        return found

    def static_ints(self, value: Value | None, what: str) -> list[int] | None:
        """Return an operand that is a list of integers."""
        found = self.static(value, what)
        if found is None:
            return None
        if found.dtype.kind not in "iu":
            raise DataError(f"expected {what} of integers. Received: dtype={found.dtype}.")
        if found.ndim > 1 or found.size > 64:
            raise DataError(f"expected {what} to be a short list. Received: shape={found.shape}.")
        return [int(i) for i in found.reshape(-1)]

    def room(self, shape: Sequence[int], dtype: Any) -> None:
        """Raise DataError if a result would be larger than the limit; to be called before it is allocated."""
        n = np.dtype(dtype).itemsize
        for d in shape:
            if d < 0:
                raise DataError(f"a result would have the shape {tuple(shape)}.")
            n *= max(int(d), 1)  # an empty batch makes no size harmless: loops and tables run over the others
        if n > self.limit:
            raise DataError(
                f"a result of shape {tuple(int(d) for d in shape)} would take {n:,} bytes, more than max_bytes, "
                f"{self.limit:,}. help: load(..., max_bytes=...) if the file is to be trusted."
            )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


Slot = Callable[[Node, int], "tuple[int, ...] | None"]  # (node, rank) -> the order of axes in which a weight is kept


class Operator(NamedTuple):
    """A function (node, *values) -> value, tensor or a tuple of them, and which of its inputs are weights."""

    run: Callable[..., Any]
    least: int  # inputs that must be there
    most: int
    weights: dict[int, Slot | None]  # input -> the order of axes to keep it in, None as ONNX has it
    states: tuple[int, ...]  # inputs that are state: kept, but not trained
    varies: bool = False  # gives something else each time: not computed beforehand
    typed: bool = False  # needs to know its inputs' types in the file: the attribute "types"
    texts: bool = False  # takes texts, and what names them


OPERATORS: dict[str, Operator] = {}


def operator(
    *names: str,
    inputs: tuple[int, int] = (1, 1),
    weights: Any = None,
    states: tuple[int, ...] = (),
    varies: bool = False,
    typed: bool = False,
    texts: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function into the table.

    Parameters
    ----------
    names : of the operators
    inputs : (least, most)
    weights : dict of int to (node, rank -> permutation) or None
        Inputs that are weights: constants there are trained.
    states : tuple of int
        Inputs that are running statistics.
    varies, typed, texts : bool
        See :class:`Operator`.
    """

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            OPERATORS[name] = Operator(function, *inputs, weights or {}, states, varies, typed, texts)
        return function

    return enter


def floating(x: Tensor, what: str = "the input") -> Tensor:
    """Return x; raise DTypeError unless it is of a floating dtype."""
    if x.dtype not in FLOATS:
        raise DTypeError(f"expected {what} of dtype float32 or float64. Received: {x.dtype}.")
    return x


def full(shape: Sequence[int], value: Any, dtype: Any) -> Tensor:
    """Return a tensor of one value."""
    if not value:
        return ops.zeros(shape, dtype)
    return ops.expand(Tensor.state(np.full((1,) * len(shape), value, dtype)), tuple(shape))
