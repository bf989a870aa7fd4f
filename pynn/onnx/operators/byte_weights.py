"""Products of bytes with weights that are known: packed once, then run by the kernels of bytes.

Each function returns None where it does not apply: weights that are computed, zero points for rows, groups of channels;
and where a tape notes what runs, as exporters write what floats do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from pynn import ops
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.recurrent import ORDER, recurrent, runs_fused
from pynn.onnx.operators.registry import Node, floating, operator
from pynn.onnx.operators.window import walk
from pynn.onnx.value import Value, channels_last
from pynn.ops.byte_products import byte_conv, byte_matmul, packed
from pynn.ops.common import size

UINT8, SINGLE = np.dtype("uint8"), np.dtype("float32")


def _packed(node: Node, key: str, make: Callable[[], tuple[np.ndarray, Any]]) -> tuple[Tensor, Tensor] | None:
    """Return packed weights and their sums, made once of (weights [K, N], zero point)."""
    if key not in node.cache:
        made = packed(*make())
        node.cache[key] = None if made is None else tuple(Tensor.state(part) for part in made)
    return node.cache[key]


def _unsigned(x: Value, zero: Value | None) -> tuple[Value, Tensor | None] | None:
    """Return numbers of eight bits as unsigned bytes, and the zero point [1] of these; None if there are several."""
    if zero is not None and zero.size != 1:
        return None
    z = None if zero is None else ops.reshape(zero.plain, (1,))
    if x.dtype == UINT8:
        return (x, z if z is None or z.dtype == UINT8 else z.astype("uint8"))
    perm, tensor = x.at_hand  # signed ones, which int32 holds
    z = ops.zeros((1,), "int32") if z is None else z.astype("int32")
    return Value(x.shape, {perm: ops.add(tensor.astype("int32"), 128).astype("uint8")}), ops.add(z, 128).astype("uint8")


def has_bytes() -> bool:
    """Return whether kernels of bytes may run: exports write what floats do."""
    return state.tape is None and not state.pages


def _known(x: Value, w: Value, zw: Value | None) -> bool:
    return has_bytes() and x.constant is None and w.constant is not None and (zw is None or zw.constant is not None)


def _ends(ends: Sequence[Value], columns: int, behind: int) -> list[Tensor] | None:
    """Return factors and a bias of each column for a kernel, if it may take them; `behind` axes come after theirs.

    It has no gradient, which factors need while they are trained.
    """
    shape = (columns, *(1,) * behind)
    if not ends:
        return []
    if state.grad_enabled or not all(
        v.dtype == SINGLE and v.size == columns and v.shape[v.ndim - len(shape) :] == shape for v in ends
    ):
        return None
    return [ops.reshape(v.plain, (columns,)) for v in ends]


def matmul_of_bytes(
    node: Node, a: Value, b: Value, za: Value | None, zb: Value | None, ends: Sequence[Value] = ()
) -> Value | None:
    """Return (a - za)(b - zb) as int32; with ends, scaled and activated."""
    if not _known(a, b, zb) or b.ndim != 2 or a.ndim < 1 or a.shape[-1] != b.shape[0]:
        return None
    if zb is not None and zb.size not in (1, b.shape[1]):
        return None
    scales = _ends(ends, b.shape[1], 0)
    if scales is None or len(a.shape) < max((v.ndim for v in ends), default=0):
        return None
    weights = _packed(node, "b/bytes", lambda: (b.constant, 0 if zb is None else zb.constant.reshape(-1)))
    bytes_ = _unsigned(a, za)
    if weights is None or bytes_ is None:
        return None
    node.room((*a.shape[:-1], b.shape[1]), "int32")
    rows = ops.reshape(bytes_[0].plain, (size(a.shape[:-1]), a.shape[-1]))
    y = byte_matmul(rows, bytes_[1], *weights, *scales, relu=bool(ends) and node.then == "relu")
    return Value.of(ops.reshape(y, (*a.shape[:-1], b.shape[1])))


def conv_of_bytes(
    node: Node, x: Value, w: Value, zx: Value | None, zw: Value | None, ends: Sequence[Value] = ()
) -> Value | None:
    """Return the correlation of images of bytes, less their zero point, with a kernel of bytes, as int32 or scaled."""
    if not _known(x, w, zw) or x.ndim not in (3, 4) or w.ndim != x.ndim or node.integer("group", 1) != 1:
        return None
    if (
        x.shape[1] != w.shape[1]
        or min(*w.shape, *x.shape[1:]) < 1
        or (zw is not None and zw.size not in (1, w.shape[0]))
    ):
        return None
    shape = node.integers("kernel_shape")
    if shape is not None and tuple(shape) != w.shape[2:]:
        return None
    scales, relu = _ends(ends, w.shape[0], w.ndim - 2), bool(ends) and node.then == "relu"
    if scales is None or x.ndim < max((v.ndim for v in ends), default=0):
        return None
    taps = (*range(2, w.ndim), 1, 0)
    weights = _packed(
        node,
        "w/bytes",
        lambda: (w.constant.transpose(taps).reshape(-1, w.shape[0]), 0 if zw is None else zw.constant.reshape(-1)),
    )
    bytes_ = _unsigned(x, zx)
    if weights is None or bytes_ is None:
        return None
    way = walk(node, list(x.shape[2:]), list(w.shape[2:]))
    node.room((x.shape[0], w.shape[0], *way.out), "int32")
    images, line = bytes_[0].last, x.ndim == 3
    if way.out == list(x.shape[2:]) and max(w.shape[2:]) == 1 and max(way.strides) == 1:
        pixels = ops.reshape(images, (size(images.shape[:-1]), x.shape[1]))
        y = byte_matmul(pixels, bytes_[1], *weights, *scales, relu=relu)
        return Value.of(ops.reshape(y, (x.shape[0], *way.out, w.shape[0])), channels_last(x.ndim))
    if line:
        images = ops.reshape(images, (x.shape[0], 1, *images.shape[1:]))
    two = [[rest, *values] if line else list(values) for values, rest in (
        (w.shape[2:], 1), (way.strides, 1), (way.dilations, 1), (way.before, 0), (way.after, 0)
    )]  # fmt: skip
    pads = (two[3][0], two[4][0], two[3][1], two[4][1])
    y = byte_conv(
        images, bytes_[1], *weights, *scales, kernel=tuple(two[0]), strides=tuple(two[1]), pads=pads,
        dilations=tuple(two[2]), relu=relu,
    )  # fmt: skip
    return Value.of(ops.reshape(y, (x.shape[0], *way.out, w.shape[0])) if line else y, channels_last(x.ndim))


class _Weights(NamedTuple):
    """Weights [directions, terms, 4 H] of an LSTM: bytes and zero points, which are constants, and scales."""

    table: np.ndarray
    zeros: np.ndarray
    scale: Value

    @classmethod
    def of(cls, w: Value, scale: Value | None, zero: Value | None) -> _Weights:
        """Return them, checked."""
        if w.constant is None or zero is None or zero.constant is None or scale is None or w.ndim != 3:
            raise DataError("expected weights of rank 3 and zero points that are known beforehand, and scales.")
        count, _, columns = w.shape
        if scale.size not in (1, count, count * columns) or scale.size != zero.size or columns % 4:
            raise DataError(f"expected scales that fit the weights {w.shape}. Received: {scale.shape}, {zero.shape}.")
        zeros = np.broadcast_to(zero.constant.reshape(1 if zero.size == 1 else count, -1), (count, columns))
        return cls(w.constant, zeros, scale)

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the weights of LSTM, which has terms last."""
        return (self.table.shape[0], self.table.shape[2], self.table.shape[1])

    def scales(self) -> Tensor:
        """Return a scale for each column, [directions, 4 H]."""
        count, _, columns = self.table.shape
        scale = floating(self.scale.plain, "the scales")
        rows = 1 if scale.size == 1 else count
        return ops.expand(ops.reshape(scale, (rows, scale.size // rows)), (count, columns))

    def packed(self, node: Node, key: str) -> list[Any] | None:
        """Return packed bytes, their sums and scales of each direction, gates in pynn's order."""
        parts = [
            _packed(node, f"{key}/{d}", lambda d=d: (_in_order(self.table[d]), _in_order(self.zeros[d])))  # type: ignore[misc]
            for d in range(len(self.table))
        ]
        if None in parts:
            return None
        units = self.table.shape[2] // 4
        gates = ops.reshape(self.scales(), (len(parts), 4, units))
        scales = ops.reshape(ops.concat([gates[:, k : k + 1] for k in ORDER["LSTM"]], 1), (len(parts), 4 * units))
        return [(*part, scales[d]) for d, part in enumerate(parts)]  # type: ignore[misc]

    def floats(self) -> Value:
        """Return the floats that the bytes stand for."""
        centred = (self.table.astype(np.int64) - self.zeros[:, None]).astype(self.scale.dtype)
        count, columns = self.zeros.shape
        real = ops.mul(Tensor.state(centred), ops.reshape(self.scales(), (count, 1, columns)))
        return Value(self.shape, {(0, 2, 1): real})


def _in_order(table: np.ndarray) -> np.ndarray:
    """Return columns, blocks of gates in the order of ONNX, in pynn's order."""
    blocks = table.reshape(*table.shape[:-1], 4, -1)
    return blocks[..., list(ORDER["LSTM"]), :].reshape(table.shape)


@operator("com.microsoft::DynamicQuantizeLSTM", inputs=(3, 12))
def dynamic_lstm(node: Node, x: Value, w: Value, r: Value, *more: Value | None) -> tuple[Any, ...]:
    """Return all outputs, the last state and the last cell state of an LSTM whose weights are bytes.

    Inputs and states are made bytes too, as onnxruntime does it on one thread; but not for sequences with lengths, for
    other activations than the usual ones, and in C and NumPy exports: there the LSTM of the floats runs that the
    weights stand for.
    """
    *rest, ws, wz, rs, rz = [*more, *[None] * 9][:9]
    weights = {"w": _Weights.of(w, ws, wz), "r": _Weights.of(r, rs, rz)}
    if x.ndim != 3 or w.shape[1] != x.shape[2] or r.shape[2] != 4 * r.shape[1] or w.shape[::2] != r.shape[::2]:
        raise ShapeError(f"expected weights of four gates. Received: {w.shape} and {r.shape} for inputs of {x.shape}.")
    lstm = replace(node, op="LSTM", inputs=node.inputs[:8])
    as_bytes = has_bytes() and x.dtype == SINGLE and rest[1] is None and runs_fused(lstm)
    parts = [table.packed(node, key) if as_bytes else None for key, table in weights.items()]
    if None in parts:
        return recurrent(lstm, x, *(table.floats() for table in weights.values()), *rest)
    values = [Value(table.shape, {}) for table in weights.values()]
    for value, part in zip(values, parts, strict=True):
        value.bytes = part
    return recurrent(lstm, x, *values, *rest)
