"""Writing an ONNX graph: nodes, weights, and values whose axes are moved only where an operator needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pynn.errors import DataError
from pynn.export.trace import Op, Value
from pynn.onnx.extra import onnx_package

__all__ = ["CONVERTERS", "Builder", "channels_first", "converter"]

Perm = tuple[int, ...]
Converter = Callable[["Builder", Op], None]
CONVERTERS: dict[str, Converter] = {}

# Attributes that may follow a size that is left open: converters read them off the values, or write what always holds.
FOLLOWED: dict[str, set[str]] = {
    "reshape": {"shape"}, "expand": {"shape"}, "sum": {"scale"}, "slice": {"starts", "sizes"},
    "walked_lengths": {"most"}, "conv2d": {"window"}, "max_pool2d": {"window"}, "avg_pool2d": {"window"},
    "conv2d_transpose": {"size"},
}  # fmt: skip


def converter(*names: str) -> Callable[[Converter], Converter]:
    """Say how an op is exported, an op card of one's own too; layers need nothing, as they are made of ops.

    Parameters
    ----------
    names : str
        Of op cards.

    Returns
    -------
    callable
        Decorates a function (builder, op), which adds nodes and puts the op's outputs, see :class:`Builder`.

    Examples
    --------
    >>> import pynn.onnx
    >>> @pynn.onnx.converter("my_relu")
    ... def my_relu(builder, op):
    ...     perm, name = builder.at_hand(op.x)
    ...     builder.put(op.y, perm, builder.node("Relu", [name]))
    """

    def enter(function: Converter) -> Converter:
        CONVERTERS.update(dict.fromkeys(names, function))
        return function

    return enter


def channels_first(rank: int) -> Perm:
    """Return the order of axes that puts the channels, pynn's last axis, second."""
    return (0, rank - 1, *range(1, rank - 1)) if rank > 1 else tuple(range(rank))


class Builder:
    """The graph under construction.

    Every value exists in one or more forms: form `p` is the name of the value with its axes permuted,
    ``transpose(x, p)``. Forms that nobody wants are never made.

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
        self.forms: dict[int, dict[Perm, str]] = {}
        self.first_input: Value | None = None
        self.sources: dict[tuple[int, ...], tuple[Value, int]] = {}  # a size that is left open -> where it stands
        if parent is None:
            self.initializers: list[Any] = []
            self.names: set[str] = set()
            self.known: dict[Any, str] = {}
            self.domains: set[str] = set()  # of operators that are not ONNX's own
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

    def laid_out(self, x: Value, layout: Any, change: Callable[[np.ndarray], np.ndarray]) -> str:
        """Return the name of a constant as `change` makes it anew; one layout, one initializer."""
        array = np.asarray(x.array)
        array = change(array.astype(np.int64) if array.dtype.kind in "iu" else array)  # ONNX counts in 64 bits
        key = (x.number, layout) if x.owner or array.size >= 64 else None
        return self.constant(array, x.key or ("number" if array.size == 1 else "values"), key)

    def weight(self, op: Op, at: int, change: Callable[[np.ndarray], np.ndarray]) -> str:
        """Return the name of an input that is a constant, laid out anew for the op; "" if it is None.

        Raises
        ------
        DataError
            If it is computed.
        """
        value = op.inputs[at]
        if value is None:
            return ""
        if value.array is None:
            raise op.refused(
                "has weights that are computed, which ONNX cannot lay out anew", "write it with operators."
            )
        return self.laid_out(value, (op.name, at), change)

    def ints(self, values: Sequence[int]) -> str:
        """Return the name of a list of integers."""
        return self.constant(np.array(values, np.int64), "ints")

    def number(self, value: float) -> str:
        """Return the name of a single number of the model's dtype."""
        return self.constant(np.array(value, self.dtype), "number")

    # Nodes

    def node(self, op: str, inputs: Sequence[str], outputs: int = 1, hint: str | None = None, **attributes: Any) -> Any:
        """Add a node, also called `hint`; return the name of its output, or a list of them."""
        names = [self.name(hint or op.lower()) for _ in range(outputs)]
        self.nodes.append(
            self.helper.make_node(op, list(inputs), names, name=self.name(hint or f"{op}_node"), **attributes)
        )
        return names[0] if outputs == 1 else names

    def cast(self, name: str, dtype: Any) -> str:
        """Return a value in another dtype."""
        return self.node("Cast", [name], to=self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def reduce(self, op: str, name: str, axes: Sequence[int], keepdims: bool) -> str:
        """Add a reduction over axes, which became an input in operator set 18 (ReduceSum: 13)."""
        keep = int(keepdims)
        if op == "ReduceSum" or self.opset >= 18:
            return self.node(op, [name, self.ints(axes)], keepdims=keep)
        return self.node(op, [name], axes=list(axes), keepdims=keep)

    # Values

    def put(self, value: Value | None, perm: Perm, name: str) -> None:
        """Say that `name` is a value with its axes in the order `perm`."""
        if value is not None:
            self.forms.setdefault(value.number, {})[perm] = name
            for axis, size in value.open.items():
                if axis != value.axis:  # there the samples count too
                    self.sources.setdefault(size, (value, axis))

    def at_hand(self, x: Value) -> tuple[Perm, str]:
        """Return a form that exists."""
        if x.constant:
            return tuple(range(x.ndim)), self.plain(x)
        return next(iter(self.forms[x.number].items()))

    def form(self, x: Value, perm: Perm) -> str:
        """Return the name of a value with axes in the order `perm`, transposed if it does not exist."""
        if x.constant:
            return self.laid_out(x, perm, lambda array: array.transpose(perm))
        forms = self.forms[x.number]
        if perm not in forms:
            have, name = self.at_hand(x)
            forms[perm] = self.node("Transpose", [name], perm=[have.index(axis) for axis in perm])
        return forms[perm]

    def plain(self, x: Value) -> str:
        """Return the name of a value with axes as pynn has them."""
        return self.form(x, tuple(range(x.ndim)))

    def optional(self, x: Value | None) -> str:
        """Return the same, or "", which stands for an input that is not given."""
        return "" if x is None else self.plain(x)

    def first(self, x: Value) -> str:
        """Return the name of a value with channels second, as ONNX wants images and sequences."""
        return self.form(x, channels_first(x.ndim))

    def sizes(self, value: Value, perm: Perm | None = None) -> str:
        """Return a shape for Reshape: -1 is what follows the batch, or is left open."""
        order = perm or range(value.ndim)
        unknown = [a for a in order if a == value.axis or a in value.open]
        new = [a for a in unknown if a in value.open and value.open[a] not in self.sources]
        left = new[0] if new else value.axis if value.axis in unknown or not unknown else unknown[0]
        sizes = [-1 if a == left else value.extent(a) for a in order]
        if value.axis not in (None, left) and value.axis in unknown:
            sizes[list(order).index(value.axis)] = self.batch  # of which there is one row per sample then
        return self.shape(sizes)

    def shape(self, sizes: Sequence[Any]) -> str:
        """Return a list of sizes, of which some are names, and those left open are looked up, int64 [n]."""
        parts: list[str] = []
        run: list[int] = []
        for size in (*sizes, None):
            if isinstance(size, int):
                run.append(size)
                continue
            if run or (size is None and not parts):
                parts.append(self.ints(run))
                run = []
            if size is not None:
                parts.append(size if isinstance(size, str) else self.length(size))
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, axis=0)

    def length(self, size: Any) -> str:
        """Return a size, int64 [1]; one that is left open is taken from a value that has it."""
        if not isinstance(size, tuple):
            return self.ints([size])
        if size not in self.sources:
            raise DataError(f"[onnx.export] no value has the size that is left open: {size}. help: give the size.")
        x, axis = self.sources[size]
        perm, name = self.at_hand(x)
        at = perm.index(axis)
        return self.node("Slice", [self.node("Shape", [name]), self.ints([at]), self.ints([at + 1])])

    def steps(self, size: Any) -> str:
        """Return 0, 1, 2 ... up to a size, int64 [size]."""
        if not isinstance(size, tuple):
            return self.constant(np.arange(size), "steps")
        none, one = (self.constant(np.array(k, np.int64), "number") for k in (0, 1))
        return self.node("Range", [none, self.node("Squeeze", [self.length(size), self.ints([0])]), one])

    def rows(self, x: Value) -> str:
        """Return how many rows a value has on the axis that follows the batch, int64 [1]."""
        perm, name = self.at_hand(x)
        at = perm.index(x.axis)
        return self.node("Slice", [self.node("Shape", [name]), self.ints([at]), self.ints([at + 1])])

    @property
    def batch(self) -> str:
        """The number of samples, int64 [1]."""
        assert self.first_input is not None
        return self.rows(self.first_input)

    def zeros(self, x: Value, *sizes: int) -> str:
        """Return zeros [N, *sizes] for the batch of x."""
        shape = self.node("Concat", [self.rows(x), self.ints(sizes)], axis=0)
        zero = self.helper.make_tensor("zero", self.helper.np_dtype_to_tensor_dtype(self.dtype), [1], [0.0])
        return self.node("ConstantOfShape", [shape], value=zero)

    def write(self, op: Op) -> None:
        """Add the nodes of an op.

        Raises
        ------
        DataError
            If nothing says how; the message names op and layer.
        """
        if op.name not in CONVERTERS:
            raise op.refused(
                "is not written in ONNX: nothing says how",
                f"@pynn.onnx.converter({op.name!r}) on a function (builder, op).",
            )
        left = sorted(set(op.varied) - FOLLOWED.get(op.name, set()))
        if left:
            raise op.refused(
                f"has {', '.join(left)} that follow the size that is left open", "give the size in input_shape."
            )
        self.scope = op.path
        CONVERTERS[op.name](self, op)
        self.scope = ""
