"""Numbers of eight bits: floats made bytes, and exact products and convolutions of bytes, for quantized networks.

Weights are packed once, by :func:`packed`, into the order that the kernels read (csrc/byte_dots.h). Nothing here has a
gradient: such networks are run, not trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pynn.checks import written
from pynn.core import _core
from pynn.core.card import Fan, Lowered, Sample, Spec, op
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import Rng, need_held, size
from pynn.ops.rnn import expect
from pynn.ops.rnn_ref import sigmoid

__all__ = ["Packed", "byte_conv", "byte_lstm", "byte_matmul", "dynamic_bytes", "packed", "static_bytes"]

UINT8, INT32, SINGLE = np.dtype("uint8"), np.dtype("int32"), np.dtype("float32")
COLS, FOUR = 16, 4  # PN_BYTE_COLS of csrc, terms of a group
BLOCK, ROWS, PIXELS = 4096, 64, 400  # BYTE_BLOCK and BYTE_ROWS of csrc; of a band, about


class Packed(NamedTuple):
    """Weights [K, N] of bytes as the kernels take them.

    Attributes
    ----------
    panels : ndarray of uint8, [ceil(N / 16), ceil(K / 4), 16, 4]
    sums : ndarray of int32, [2, N]
        Sums of the columns, and what the signed bytes lack of the weights that they stand for.
    """

    panels: np.ndarray
    sums: np.ndarray


def packed(w: np.ndarray, zero: Any = 0) -> Packed | None:
    """Return weights w - zero [K, N], with a zero point for all or for each column, packed.

    Parameters
    ----------
    w : ndarray of integers
        Within -128 to 127, or within 0 to 255.
    zero : int or ndarray, default: 0

    Returns
    -------
    Packed, or None where values are no bytes, or sums of so many terms might leave 32 bits.
    """
    k, n = w.shape
    wide = w.astype(np.int64)
    centred = wide - np.asarray(zero, np.int64)
    low, high = wide.min(initial=0), wide.max(initial=0)
    if (
        not ((low >= -128 and high <= 127) or (low >= 0 and high <= 255))
        or k * 255 * np.abs(centred).max(initial=0) >= 2**31
    ):
        return None
    small = centred.min(initial=0) >= -128 and centred.max(initial=0) <= 127
    signed = centred if small else wide - (128 if high > 127 else 0)
    shift = np.zeros(n, np.int64) if small or not k else np.broadcast_to(centred[0] - signed[0], n)
    whole = np.zeros((-(-k // FOUR) * FOUR, -(-n // COLS) * COLS), np.int8)
    whole[:k, :n] = signed
    panels = whole.reshape(whole.shape[0] // FOUR, FOUR, whole.shape[1] // COLS, COLS).transpose(2, 0, 3, 1)
    sums = np.stack([signed.sum(0), shift])
    return Packed(np.ascontiguousarray(panels).view(np.uint8), sums.astype(np.int32))


def unpacked(panels: np.ndarray, sums: np.ndarray, k: int) -> np.ndarray:
    """Return the weights [K, N] that packed ones stand for, as int64."""
    whole = panels.view(np.int8).transpose(1, 3, 0, 2).reshape(panels.shape[1] * FOUR, panels.shape[0] * COLS)
    return whole[:k, : sums.shape[1]].astype(np.int64) + sums[1]


def _check(name: str, zero: Tensor | None, w: Tensor, sums: Tensor, k: int) -> int:
    """Return the number of columns; raise unless the packed weights have k terms."""
    if zero is not None:
        need_held(name, "a zero point", zero, UINT8, (1,))
    columns = sums.shape[1] if sums.ndim == 2 else -1
    need_held(name, "sums of the weights", sums, INT32, (2, columns))
    need_held(name, "packed weights", w, UINT8, (-(-columns // COLS), -(-k // FOUR), COLS, FOUR))
    return columns


def _ends(name: str, columns: int, scale: Tensor | None, bias: Tensor | None, relu: bool) -> tuple[np.dtype, int]:
    """Return the dtype of the results, and whether negative ones become 0."""
    if scale is None and (bias is not None or relu):
        raise ShapeError(f"[{name}] expected scales beside a bias or relu. Received: scale=None.")
    for what, value in (("scales", scale), ("a bias", bias)):
        if value is not None:
            need_held(name, what, value, SINGLE, (columns,))
    return INT32 if scale is None else SINGLE, int(relu)


def _ended(sums: np.ndarray, scale: Any, bias: Any, relu: bool, dtype: Any) -> np.ndarray:
    """Return exact sums as int32, or scaled in a dtype."""
    whole = sums.astype(INT32)
    if scale is None:
        return whole
    y = whole.astype(dtype) * scale
    y = y if bias is None else y + bias
    return np.where(y < 0, y.dtype.type(0), y) if relu else y


def _bytes(name: str, x: Tensor, rank: int) -> None:
    if x.dtype != UINT8 or x.ndim != rank:
        raise DTypeError(f"[{name}] expected bytes of rank {rank}. Received: {x.shape} of {x.dtype}.")


def _random(r: Rng, *shape: int) -> np.ndarray:
    return (np.abs(r(*shape)) * 1000 % 256).astype(UINT8)


def _weights(r: Rng, k: int, n: int, zero: Any = 0, signed: bool = True) -> tuple[np.ndarray, np.ndarray]:
    made = packed(_random(r, k, n).view(np.int8 if signed else np.uint8), zero)
    assert made is not None
    return made


@op("dynamic_bytes", "dynamic_bytes", differentiable=False)
class _Dynamic:
    """y = round(x / scale) + zero as bytes; scale and zero [1] fit the least and the largest value and 0."""

    def infer(x: Tensor) -> Lowered:
        need_held("dynamic_bytes", "x", x, SINGLE, x.shape)
        n = size(x.shape)
        outs = (Spec(x.shape, UINT8), Spec((1,), x.dtype), Spec((1,), UINT8))
        return Lowered(outs, (n,), scratch=(-(-n // BLOCK) + 1) * 2 * x.dtype.itemsize)

    def ref(x: np.ndarray) -> tuple[np.ndarray, ...]:
        low, high = min(x.min(initial=0), 0), max(x.max(initial=0), 0)
        scale = x.dtype.type((high - low) / x.dtype.type(255)) or x.dtype.type(1)
        zero = np.clip(np.rint(-low / scale), 0, 255)
        y = np.clip(np.rint(x / scale) + zero, 0, 255)
        return y.astype(UINT8), np.reshape(scale, 1), np.reshape(zero, 1).astype(UINT8)

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5,), (3, 37), (1, 1), (0, 4), (9001,)):
            yield Sample((r(*shape),))
        yield Sample((np.abs(r(70)),))
        yield Sample((r(70) * 0,))


@op("static_bytes", "static_bytes", differentiable=False)
class _Static:
    """y = round(x / scale) + zero within 0 ... 255 as bytes, with a given scale [1] and zero point [1]; NaN is zero."""

    def infer(x: Tensor, scale: Tensor, zero: Tensor | None) -> Lowered:
        need_held("static_bytes", "x", x, SINGLE, x.shape)
        need_held("static_bytes", "a scale", scale, SINGLE, (1,))
        if zero is not None:
            need_held("static_bytes", "a zero point", zero, UINT8, (1,))
        return Lowered((Spec(x.shape, UINT8),), (size(x.shape),))

    def ref(x: np.ndarray, scale: np.ndarray, zero: Any) -> np.ndarray:
        z = x.dtype.type(0 if zero is None else zero[0])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            y = np.rint(x / scale) + z
        return np.clip(np.where(np.isnan(y), z, y), 0, 255).astype(UINT8)

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5,), (3, 37), (0, 4), (9001,)):
            yield Sample((r(*shape), np.abs(r(1)) * 0.02 + 0.01, _random(r, 1)))
        yield Sample((np.abs(r(70)), np.abs(r(1)) * 0.02 + 0.01, None))

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(4), r(2), None), {}, ShapeError, "a scale"
        yield (r(4), r(1), r(1)), {}, DTypeError, "a zero point"


@op("byte_matmul", "byte_matmul", differentiable=False)
class _Matmul:
    """y = (a - zero) w as int32, of bytes a [M, K] and packed weights w [K, N]; or scale y + bias, and its relu."""

    def infer(
        a: Tensor, zero: Tensor | None, w: Tensor, sums: Tensor, scale: Tensor | None = None,
        bias: Tensor | None = None, relu: bool = False,
    ) -> Lowered:  # fmt: skip
        _bytes("byte_matmul", a, 2)
        m, k = a.shape
        n = _check("byte_matmul", zero, w, sums, k)
        dtype, act = _ends("byte_matmul", n, scale, bias, relu)
        return Lowered((Spec((m, n), dtype),), (m, n, k, act), dtype=SINGLE)

    def ref(
        a: np.ndarray, zero: Any, w: np.ndarray, sums: np.ndarray, scale: Any = None, bias: Any = None,
        relu: bool = False,
    ) -> np.ndarray:  # fmt: skip
        centred = a.astype(np.int64) - (0 if zero is None else int(zero[0]))
        return _ended(centred @ unpacked(w, sums, a.shape[1]), scale, bias, relu, SINGLE)

    def samples(r: Rng) -> Iterator[Sample]:
        for m, k, n in ((1, 1, 1), (3, 5, 7), (7, 64, 65), (50, 37, 130), (2, 300, 16), (0, 4, 3)):
            yield Sample((_random(r, m, k), _random(r, 1), *_weights(r, k, n)))
        yield Sample((_random(r, 5, 9), None, *_weights(r, 9, 20)))
        yield Sample((_random(r, 13, 30), _random(r, 1), *_weights(r, 30, 70, 100, False)))
        yield Sample((np.full((2, 4), 255, UINT8), None, *(packed(np.full((4, 3), -128, np.int8)) or ())))
        for n, bias, relu in ((70, True, True), (21, True, False), (5, False, True)):
            ends = np.abs(r(n)) * 1e-4, r(n) if bias else None
            yield Sample((_random(r, 13, 30), _random(r, 1), *_weights(r, 30, n), *ends), {"relu": relu}, smooth=False)

    def errors(r: Rng) -> Iterator[Any]:
        w, sums = _weights(r, 8, 3)
        yield (_random(r, 2, 9), None, w, sums), {}, ShapeError, "packed weights"
        yield (r(2, 8), None, w, sums), {}, DTypeError, "bytes of rank 2"
        yield (_random(r, 2, 8), None, w, sums[:1]), {}, ShapeError, "sums"
        yield (_random(r, 2, 8), None, w, sums, r(4)), {}, ShapeError, "scales"
        yield (_random(r, 2, 8), None, w, sums, None, r(3)), {}, ShapeError, "scales beside"

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        return Fan(outs[0].size, outs[0].size * inputs[0].shape[1])


@op("byte_conv", "byte_conv", differentiable=False)
class _Conv:
    """y = correlation of images [N, H, W, C] less zero with packed weights [KH KW C, O]; or scaled, as byte_matmul."""

    def infer(
        x: Tensor, zero: Tensor | None, w: Tensor, sums: Tensor, scale: Tensor | None = None,
        bias: Tensor | None = None, kernel: Any = (1, 1), strides: Any = (1, 1), pads: Any = (0, 0, 0, 0),
        dilations: Any = (1, 1), relu: bool = False,
    ) -> Lowered:  # fmt: skip
        _bytes("byte_conv", x, 4)
        n, h, wide, c = x.shape
        out = [
            (d + p + q - (k - 1) * gap - 1) // s + 1
            for d, p, q, k, gap, s in zip((h, wide), pads[::2], pads[1::2], kernel, dilations, strides, strict=True)
        ]
        if min(*kernel, *strides, *dilations, *out, c) < 1 or min(pads) < 0:
            raise ShapeError(
                f"[byte_conv] expected images that a kernel of {written(tuple(kernel))} fits into. Received: {x.shape}."
            )
        terms = kernel[0] * kernel[1] * c
        o = _check("byte_conv", zero, w, sums, terms)
        dtype, act = _ends("byte_conv", o, scale, bias, relu)
        across = wide + pads[2] + pads[3]
        band = min(out[0], max(8, -(-PIXELS // across)))
        room = max(ROWS * terms, (band + kernel[0] - 1) * across * c)  # patches, or a padded band
        dims = (n, h, wide, c, *out, o, *kernel, *strides, pads[0], pads[2], *dilations, act, band, room)
        return Lowered((Spec((n, *out, o), dtype),), dims, dtype=SINGLE, scratch=_core.get_threads() * room)

    def ref(
        x: np.ndarray, zero: Any, w: np.ndarray, sums: np.ndarray, scale: Any = None, bias: Any = None,
        kernel: Any = (1, 1), strides: Any = (1, 1), pads: Any = (0, 0, 0, 0), dilations: Any = (1, 1),
        relu: bool = False,
    ) -> np.ndarray:  # fmt: skip
        z = 0 if zero is None else int(zero[0])
        wide = np.pad(x.astype(np.int64) - z, ((0, 0), tuple(pads[:2]), tuple(pads[2:]), (0, 0)))
        taps = unpacked(w, sums, kernel[0] * kernel[1] * x.shape[3]).reshape(*kernel, x.shape[3], -1)
        out = [
            (d - (k - 1) * gap - 1) // s + 1
            for d, k, gap, s in zip(wide.shape[1:3], kernel, dilations, strides, strict=True)
        ]
        y = np.zeros((len(x), *out, taps.shape[3]), np.int64)
        for i in range(kernel[0]):
            for j in range(kernel[1]):
                top, left = i * dilations[0], j * dilations[1]
                rows = slice(top, top + (out[0] - 1) * strides[0] + 1, strides[0])
                cols = slice(left, left + (out[1] - 1) * strides[1] + 1, strides[1])
                y += wide[:, rows, cols] @ taps[i, j]
        return _ended(y, scale, bias, relu, SINGLE)

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample(
            (_random(r, 2, 9, 7, 3), _random(r, 1), *_weights(r, 27, 20)), {"kernel": (3, 3), "pads": (1,) * 4}
        )
        yield Sample((_random(r, 1, 8, 8, 5), None, *_weights(r, 20, 70)), {"kernel": (2, 2), "strides": (2, 1)})
        yield Sample(
            (_random(r, 1, 11, 10, 2), _random(r, 1), *_weights(r, 12, 5, 7, False)),
            {"kernel": (3, 2), "pads": (0, 2, 1, 0), "dilations": (2, 3)},
        )
        yield Sample((_random(r, 0, 4, 4, 1), None, *_weights(r, 1, 2)))
        for n, h, wide, c, o, kernel, pads, signed in (  # rows of images that are rows of a product as they lie
            (2, 19, 11, 32, 70, (3, 3), (1, 1, 1, 1), True), (1, 9, 23, 16, 17, (2, 5), (0, 0, 0, 0), True),
            (1, 12, 9, 20, 33, (3, 3), (2, 0, 0, 1), False), (2, 5, 40, 128, 16, (1, 1), (0, 0, 0, 0), True),
        ):  # fmt: skip
            table = _weights(r, kernel[0] * kernel[1] * c, o, 0 if signed else 90, signed)
            yield Sample((_random(r, n, h, wide, c), _random(r, 1), *table), {"kernel": kernel, "pads": pads})
        ends = np.abs(r(20)) * 1e-4, r(20)
        options = {"kernel": (3, 3), "pads": (1,) * 4, "relu": True}
        for c in (3, 8):
            images = _random(r, 2, 9, 7, c), _random(r, 1)
            yield Sample((*images, *_weights(r, 9 * c, 20), *ends), options, smooth=False)

    def errors(r: Rng) -> Iterator[Any]:
        yield (_random(r, 1, 2, 2, 1), None, *_weights(r, 9, 2)), {"kernel": (3, 3)}, ShapeError, "fits into"
        yield (_random(r, 1, 4, 4, 2), None, *_weights(r, 9, 2)), {"kernel": (3, 3)}, ShapeError, "packed weights"

    def fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
        rows, columns = attrs.get("kernel", (1, 1))
        return Fan(outs[0].size, outs[0].size * rows * columns * inputs[0].shape[3])


@op("byte_lstm", "byte_lstm", differentiable=False, hidden=())
class _Lstm:
    """An LSTM whose products are of bytes: the input as a whole, and the state of each step, are made bytes."""

    def infer(
        x: Tensor, w: Tensor, wsums: Tensor, wscale: Tensor, u: Tensor, usums: Tensor, uscale: Tensor,
        b: Tensor | None, h0: Tensor | None, c0: Tensor | None, peep: Tensor | None, reverse: bool = False,
    ) -> Lowered:  # fmt: skip
        for value in (x, wscale, uscale, b, h0, c0, peep):
            if value is not None:
                need_held("byte_lstm", "x, scales, biases and states", value, SINGLE, value.shape)
        if x.ndim != 3 or x.shape[1] < 1 or x.shape[2] < 1:
            raise ShapeError(f"[byte_lstm] expected sequences [N, T, features]. Received: x.shape={x.shape}.")
        n, t, d = x.shape
        columns = _check("byte_lstm", None, w, wsums, d)
        h = columns // 4
        if columns != 4 * h or h < 1 or _check("byte_lstm", None, u, usums, h) != columns:
            raise ShapeError(f"[byte_lstm] expected weights of 4 H columns. Received: {columns} columns.")
        for what, value, shape in (
            ("scales", wscale, (columns,)), ("scales", uscale, (columns,)), ("a bias", b, (columns,)),
            ("an initial state", h0, (n, h)), ("an initial cell state", c0, (n, h)), ("peephole weights", peep, (3, h)),
        ):  # fmt: skip
            expect("byte_lstm", what, value, shape)
        chunk = t if t * n <= ROWS else max(1, ROWS // n) if n else t
        scratch = chunk * n * columns * x.dtype.itemsize + n * t * d + n * h
        outs = (Spec((n, t, h), x.dtype), Spec((n, h), x.dtype), Spec((n, h), x.dtype))
        return Lowered(outs, (n, t, d, h, int(reverse)), scratch=scratch)

    def ref(
        x: np.ndarray, w: np.ndarray, wsums: np.ndarray, wscale: np.ndarray, u: np.ndarray, usums: np.ndarray,
        uscale: np.ndarray, b: Any, h0: Any, c0: Any, peep: Any, reverse: bool = False,
    ) -> tuple[np.ndarray, ...]:  # fmt: skip
        n, t, d = x.shape
        units = wscale.size // 4
        tables = unpacked(w, wsums, d), unpacked(u, usums, units)

        def product(a: np.ndarray, table: np.ndarray, scales: np.ndarray) -> np.ndarray:
            y, scale, zero = _Dynamic.ref(a)
            return ((y.astype(np.int64) - int(zero[0])) @ table).astype(x.dtype) * (scale[0] * scales)

        gates = product(x, tables[0], wscale) + (0 if b is None else b)
        h = np.zeros((n, units), x.dtype) if h0 is None else h0
        c = np.zeros((n, units), x.dtype) if c0 is None else c0
        p = np.zeros((3, units), x.dtype) if peep is None else peep
        y = np.zeros((n, t, units), x.dtype)
        for step in reversed(range(t)) if reverse else range(t):
            i, f, g, o = np.split(gates[:, step] + product(h, tables[1], uscale), 4, axis=1)
            c = sigmoid(f + p[1] * c) * c + sigmoid(i + p[0] * c) * np.tanh(g)
            h = sigmoid(o + p[2] * c) * np.tanh(c)
            y[:, step] = h
        return y, h, c

    def samples(r: Rng) -> Iterator[Sample]:
        for n, t, d, h, signed in ((1, 5, 3, 4, True), (3, 4, 7, 18, True), (2, 30, 5, 3, False), (50, 2, 4, 5, True)):
            zero = 0 if signed else 120
            parts = [(*_weights(r, k, 4 * h, zero, signed), np.abs(r(4 * h)) * 0.002) for k in (d, h)]
            options = {"reverse": t == 4}
            rest = (r(4 * h), r(n, h), r(n, h), r(3, h)) if n > 1 else (None,) * 4
            yield Sample((r(n, t, d), *parts[0], *parts[1], *rest), options, smooth=False)


def dynamic_bytes(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x as bytes, and the scale [1] and the zero point [1] that fit its least and its largest value and 0."""
    y, scale, zero = execute(_Dynamic, (x,), {})  # type: ignore[arg-type]
    return y, scale, zero


def static_bytes(x: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
    """Return round(x / scale) + zero within 0 ... 255, with a scale [1] and a zero point [1]."""
    return execute(_Static, (x, scale, zero), {})[0]  # type: ignore[arg-type]


def byte_matmul(a: Tensor, zero: Tensor | None, w: Tensor, sums: Tensor, *ends: Tensor | None, **attrs: Any) -> Tensor:
    """Return (a - zero) w as int32, of bytes [M, K] and packed weights; with scale [N] and bias [N], scaled floats."""
    return execute(_Matmul, (a, zero, w, sums, *ends), attrs)[0]  # type: ignore[arg-type]


def byte_conv(x: Tensor, zero: Tensor | None, w: Tensor, sums: Tensor, *ends: Tensor | None, **attrs: Any) -> Tensor:
    """Return the correlation of images of bytes [N, H, W, C], less zero, with packed weights; ends as byte_matmul's."""
    return execute(_Conv, (x, zero, w, sums, *ends), attrs)[0]  # type: ignore[arg-type]


def byte_lstm(x: Tensor, *operands: Tensor | None, **attrs: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return all outputs, the last state and the last cell state of an LSTM whose products are of bytes."""
    y, h, c = execute(_Lstm, (x, *operands), attrs)  # type: ignore[arg-type]
    return y, h, c
