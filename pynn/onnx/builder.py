"""Writing an ONNX graph: nodes, weights, and values whose axes are moved only where an operator needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pynn import nn
from pynn.core.context import training
from pynn.core.state import no_grad, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.nn.module import Module
from pynn.nn.padding import traced
from pynn.onnx.extra import onnx_package

__all__ = ["Builder", "Wire", "channels_first", "converter"]

Perm = tuple[int, ...]
Converter = Callable[..., "Wire"]
CONVERTERS: dict[type, Converter] = {}
PADDED = (nn.GlobalAvgPool, nn.GlobalMaxPool, nn.SimpleRNN, nn.LSTM, nn.GRU)


def converter(*classes: type) -> Callable[[Converter], Converter]:
    """Say how layers of a class are exported, one's own classes too.

    Parameters
    ----------
    classes : subclasses of Module

    Returns
    -------
    callable
        Decorates a function (builder, layer, *wires) -> wire, see :class:`Builder` and :class:`Wire`.

    Examples
    --------
    >>> import pynn.onnx
    >>> from pynn import nn
    >>> class Doubled(nn.Module):
    ...     def forward(self, x):
    ...         return x * 2.0
    >>> @pynn.onnx.converter(Doubled)
    ... def doubled(builder, layer, x):
    ...     perm, name = x.at_hand
    ...     return x.like(perm, builder.node("Mul", [name, builder.number(2.0)]))
    """

    def enter(function: Converter) -> Converter:
        for cls in classes:
            CONVERTERS[cls] = function
        return function

    return enter


def channels_first(rank: int) -> Perm:
    """Return the order of axes that puts the channels, pynn's last axis, second."""
    return (0, rank - 1, *range(1, rank - 1))


class Wire:
    """The output of a layer in the graph.

    Form `p` is the name of the value with axes permuted, ``transpose(y, p)``; forms that nobody wants are never made.

    Attributes
    ----------
    shape : tuple
        As pynn has it; the batch axis is None.
    forms : dict of permutation to str
    lengths : str or None
        The value that holds the lengths of padded sequences, int32 [N].
    """

    def __init__(self, shape: Sequence[Any], forms: dict[Perm, str], lengths: str | None = None):
        self.shape, self.forms, self.lengths = (None, *shape[1:]), forms, lengths

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def plain_perm(self) -> Perm:
        """The order of axes of pynn."""
        return tuple(range(self.ndim))

    @property
    def at_hand(self) -> tuple[Perm, str]:
        """A form that exists."""
        return next(iter(self.forms.items()))

    def like(self, perm: Perm, name: str) -> Wire:
        """Return a wire of the same shape and lengths."""
        return Wire(self.shape, {perm: name}, self.lengths)


class Builder:
    """The graph under construction.

    Attributes
    ----------
    opset : int
    dtype : numpy.dtype
        The model's floating dtype.
    """

    def __init__(self, opset: int, dtype: np.dtype, parent: Builder | None = None):
        self.opset, self.dtype = opset, dtype
        self.helper = onnx_package("onnx.export").helper
        self.numpy_helper = onnx_package("onnx.export").numpy_helper
        self.nodes: list[Any] = []
        self.root: Builder = parent.root if parent is not None else self
        if parent is None:
            self.initializers: list[Any] = []
            self.names: set[str] = set()
            self.known: dict[Any, str] = {}
            self.scope = ""

    # Names and constants

    def name(self, hint: str) -> str:
        """Return a name that is new in the graph."""
        root, base, k = self.root, f"{self.root.scope}/{hint}".strip("/"), 0
        found = base
        while found in root.names:
            k += 1
            found = f"{base}_{k}"
        root.names.add(found)
        return found

    def constant(self, array: Any, hint: str, key: Any = None) -> str:
        """Return the name of an initializer; one key, one initializer."""
        root = self.root
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes()) if key is None and array.size < 64 else key
        if key is not None and key in root.known:
            return root.known[key]
        name = self.name(hint)
        root.initializers.append(self.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name))
        if key is not None:
            root.known[key] = name
        return name

    def weight(self, tensor: Tensor, hint: str, change: Callable[[np.ndarray], np.ndarray] | None = None) -> str:
        """Return the name of a weight, laid out anew by `change`; a weight that several calls share is written once."""
        key = (id(tensor), getattr(change, "__name__", None), hint)
        array = tensor.numpy()
        return self.constant(array if change is None else change(array), hint, key)

    def ints(self, values: Sequence[int]) -> str:
        """Return the name of a list of integers."""
        return self.constant(np.array(values, np.int64), "ints")

    def number(self, value: float) -> str:
        """Return the name of a single number of the model's dtype."""
        return self.constant(np.array(value, self.dtype), "number")

    # Nodes

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, hint: str | None = None, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or a list of them."""
        names = [self.name(hint or op.lower()) for _ in range(outputs)]
        self.nodes.append(self.helper.make_node(op, list(inputs), names, name=self.name(f"{op}_node"), **attributes))
        return names[0] if outputs == 1 else names

    def form(self, x: Wire, perm: Perm) -> str:
        """Return the value with axes in the order `perm`, transposed if it does not exist."""
        if perm not in x.forms:
            have, name = x.at_hand
            moves = [have.index(axis) for axis in perm]
            x.forms[perm] = self.node("Transpose", [name], perm=moves)
        return x.forms[perm]

    def plain(self, x: Wire) -> str:
        """Return the value with axes as pynn has them."""
        return self.form(x, x.plain_perm)

    def first(self, x: Wire) -> str:
        """Return the value with channels second, as ONNX wants images and sequences."""
        return self.form(x, channels_first(x.ndim))

    def reduce(self, op: str, name: str, axes: Sequence[int], keepdims: bool) -> str:
        """Add a reduction over axes, which became an input in operator set 18 (ReduceSum: 13)."""
        keep = int(keepdims)
        if op == "ReduceSum" or self.opset >= 18:
            return self.node(op, [name, self.ints(axes)], keepdims=keep)
        return self.node(op, [name], axes=list(axes), keepdims=keep)

    def zeros(self, x: Wire, *sizes: int) -> str:
        """Return zeros [N, *sizes] for the batch of x."""
        perm, name = x.at_hand
        at = perm.index(0)
        n = self.node("Slice", [self.node("Shape", [name]), self.ints([at]), self.ints([at + 1])])
        shape = self.node("Concat", [n, self.ints(sizes)], axis=0)
        zero = self.helper.make_tensor("zero", self.helper.np_dtype_to_tensor_dtype(self.dtype), [1], [0.0])
        return self.node("ConstantOfShape", [shape], value=zero)

    # Layers

    def shape_of(self, layer: Module, *wires: Wire) -> tuple[Any, ...]:
        """Return the shape of a layer's output, from a run on zeros."""
        with no_grad(), training(False), trial():
            zeros = [
                Tensor.state(np.zeros((1, *x.shape[1:]), np.int32 if layer.takes_integers else layer.dtype))
                for x in wires
            ]
            y = layer(*zeros)
        if not isinstance(y, Tensor):
            raise DataError(f"{_place(layer)} returns several outputs, which a model cannot hand on.")
        return (None, *y.shape[1:])

    def layer(self, layer: Module, *wires: Wire) -> Wire:
        """Return the output of a layer.

        Raises
        ------
        DataError
            If there is no converter for its class; the message names it.
        """
        root, before = self.root, self.root.scope
        root.scope = f"{before}/{layer.name}".strip("/")
        try:
            y = _converter_of(layer)(self, layer, *wires)
        finally:
            root.scope = before
        if any(x.lengths for x in wires):
            y.lengths = self._lengths_after(layer, wires)
        return y

    def _lengths_after(self, layer: Module, wires: Sequence[Wire]) -> str | None:
        """Return the lengths of padded sequences that a layer's output has, from a run on zeros."""
        known = {x.lengths: Tensor.state(np.ones(1, np.int32)) for x in wires if x.lengths}
        zeros = [Tensor.state(np.zeros((1, *x.shape[1:]), layer.dtype)) for x in wires]
        for zero, x in zip(zeros, wires, strict=True):
            zero.lengths = known[x.lengths] if x.lengths else None
        y, reads = traced(layer, zeros)
        lengths = y.lengths if isinstance(y, Tensor) else None
        found = [name for name, one in known.items() if one is lengths]
        if (reads and not isinstance(layer, PADDED)) or (lengths is not None and not found):
            raise refuse(
                layer,
                "reads or changes the lengths of padded sequences, which is written for recurrent layers and pooling "
                "over all steps alone.",
                "pool before it, or leave out mask_zero=True.",
            )
        return found[0] if found else None


def _place(layer: Module) -> str:
    return f"[onnx.export] layer {layer.name!r} ({type(layer).__name__})"


def refuse(layer: Module, why: str, help: str = "") -> DataError:
    """Return the error for a layer that ONNX cannot express."""
    return DataError(f"{_place(layer)} {why}" + (f" help: {help}" if help else ""))


def _converter_of(layer: Module) -> Converter:
    for cls in type(layer).__mro__:
        if cls in CONVERTERS:
            if cls is not type(layer) and any(
                getattr(type(layer), part, None) is not getattr(cls, part, None) for part in ("forward", "_run")
            ):
                break  # it computes something else than its base
            return CONVERTERS[cls]
    raise refuse(
        layer,
        "cannot be written in ONNX: nothing says how.",
        f"@pynn.onnx.converter({type(layer).__name__}) on a function (builder, layer, *wires).",
    )
