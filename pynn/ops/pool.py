"""Pooling over windows of images, [N, H, W, C]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import number, pair
from pynn.core.card import Card, Fan, Grad, Lowered, Sample, Spec, composite, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, need_float
from pynn.ops.walk import Walk
from pynn.ops.window import PLAIN, Pair, Window, check_window, need_images, output_size, resolve_padding


def _check(place: str, x: Tensor, kernel: Pair, window: Window) -> Pair:
    need_float(place, x)
    need_images(place, x)
    check_window(place, window)
    out = output_size(place, x.shape, kernel, window)
    for axis in (0, 1):
        before = window.padding[2 * axis]
        start = (out[axis] - 1) * window.strides[axis]
        if before >= kernel[axis] or start >= before + x.shape[axis + 1]:
            raise ShapeError(
                f"[{place}] a window would lie in the padding altogether. "
                f"Received: padding={window.padding}, window={kernel}. help: pad less than the window's size."
            )
    return out


def _index_dtype(kernel: Pair) -> np.dtype:
    return np.dtype("uint8") if kernel[0] * kernel[1] <= 256 else np.dtype("int32")


def _dims(shape: tuple[int, ...], kernel: Pair, window: Window, out: Pair) -> tuple[int, ...]:
    """Return the dims of the pooling kernels (see csrc/kernels/pooling.h)."""
    top, _, left, _ = window.padding
    return (*shape, *kernel, *window.strides, top, left, *out, _index_dtype(kernel).itemsize)


def _windows(x: np.ndarray, kernel: Pair, window: Window) -> Iterator[tuple[int, int, np.ndarray, int, int]]:
    """Yield (i, j, pixels [N, rows, columns, C], first row, first column) of every window, clipped to the image."""
    (sh, sw), _, (top, _, left, _) = window
    oh, ow = output_size("", x.shape, kernel, window)
    for i in range(oh):
        for j in range(ow):
            r, s = i * sh - top, j * sw - left
            yield i, j, x[:, max(r, 0) : r + kernel[0], max(s, 0) : s + kernel[1]], max(-r, 0), max(-s, 0)


def _walks(r: Rng) -> Iterator[Sample]:
    def x(*shape: int) -> np.ndarray:  # all values distinct: the maximum stays where it is under small changes
        n = int(np.prod(shape))
        return (r.generator.permutation(n) / max(n, 1) - 0.5).reshape(shape)

    yield Sample((x(2, 6, 4, 3),), {"kernel": (2, 2), "window": Window((2, 2))})
    yield Sample((x(2, 7, 6, 17),), {"kernel": (3, 3), "window": Window((2, 2))})
    yield Sample((x(1, 6, 7, 2),), {"kernel": (3, 3), "window": Window((2, 2), padding=(1, 1, 1, 0))})
    yield Sample((x(2, 5, 8, 4),), {"kernel": (2, 3), "window": Window((3, 1), padding=(0, 1, 1, 2))})
    yield Sample((x(1, 5, 5, 1),), {"kernel": (2, 2), "window": Window((3, 3))})
    yield Sample((x(1, 18, 17, 2),), {"kernel": (17, 16), "window": Window((1, 1))})
    yield Sample((x(2, 4, 3, 5),), {"kernel": (4, 3), "window": Window()})
    yield Sample((x(1, 1, 1, 1),), {"kernel": (1, 1), "window": Window()})
    yield Sample((x(2, 7, 13, 6),), {"kernel": (2, 2), "window": Window((2, 2))})
    yield Sample((x(1, 4, 37, 1),), {"kernel": (2, 2), "window": Window((2, 2))})
    yield Sample((x(2, 7, 23, 5),), {"kernel": (3, 3), "window": Window((2, 2), padding=(1, 1, 1, 1))})
    yield Sample((x(2, 5, 7, 3),), {"kernel": (2, 2), "window": Window((2, 2), padding=(0, 1, 0, 1))})
    yield Sample((x(1, 8, 21, 10),), {"kernel": (2, 3), "window": Window((3, 4), padding=(1, 0, 2, 2))})
    yield Sample((x(0, 4, 4, 2),), {"kernel": (2, 2), "window": Window((2, 2))})
    yield Sample((x(3, 30, 31, 40),), {"kernel": (3, 3), "window": Window((2, 2))}, smooth=False)


def _errors(name: str) -> Any:
    def errors(r: Rng) -> Iterator[Any]:
        x, two = r(1, 4, 5, 2), {"kernel": (2, 2)}
        yield (x,), {"kernel": (5, 2)}, ShapeError, rf"\[{name}\] the kernel does not fit.*5 rows.*image 4"
        yield (x,), {**two, "window": Window((0, 1))}, ValueError, r"strides of at least 1"
        yield (x,), {**two, "window": Window(padding=(2, 0, 0, 0))}, ShapeError, r"in the padding altogether"
        yield (x,), {**two, "window": Window(padding=(0, -1, 0, 0))}, ValueError, r"padding of at least 0"
        yield (r(4, 5, 2),), two, ShapeError, r"\[N, H, W, C\].*x\[\.\.\., None\]"

    return errors


def _fan(inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: Any) -> Fan:
    rows, columns = attrs["kernel"]
    return Fan(outs[0].size, outs[0].size * rows * columns, 0, pool=True)


@op("max_pool2d", "max_pool_fwd", hidden=(1,))
class _MaxPool:
    """y = the largest value of each window, and where in the window it was."""

    def infer(x: Tensor, kernel: Pair, window: Window = PLAIN) -> Lowered:
        out = _check("max_pool2d", x, kernel, window)
        shape = (x.shape[0], *out, x.shape[3])
        specs = (Spec(shape, x.dtype), Spec(shape, _index_dtype(kernel)))
        return Lowered(specs, _dims(x.shape, kernel, window, out))

    def vjp(g: Grad, dy: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        return execute(_MAX_GRAD, (dy, g.outs[1], g.inputs[0]), g.attrs, out=(g.dest[0],))

    def ref(x: np.ndarray, kernel: Pair, window: Window = PLAIN) -> tuple[np.ndarray, np.ndarray]:
        y = np.zeros((x.shape[0], *output_size("", x.shape, kernel, window), x.shape[3]), x.dtype)
        index = np.zeros(y.shape, _index_dtype(kernel))
        for i, j, seen, row, column in _windows(x, kernel, window):
            flat = seen.reshape(len(x), -1, x.shape[3]) if x.size else seen.reshape(0, 1, x.shape[3])
            y[:, i, j] = flat.max(1)
            at = flat.argmax(1)
            index[:, i, j] = (at // seen.shape[2] + row) * kernel[1] + at % seen.shape[2] + column
        return y, index

    fan = _fan
    samples = _walks
    errors = _errors("max_pool2d")


def _max_grad_infer(dy: Tensor, index: Tensor, x: Tensor, kernel: Pair, window: Window = PLAIN) -> Lowered:
    dims = _dims(x.shape, kernel, window, dy.shape[1:3])  # type: ignore[arg-type]
    return Lowered((Spec(x.shape, x.dtype),), dims, args=(dy, index))


_MAX_GRAD = register(Card("max_pool2d.grad", _max_grad_infer, "max_pool_bwd"))


@op("avg_pool2d", "avg_pool_fwd")
class _AvgPool:
    """y = the mean of each window, of the part of it that lies in the image."""

    def infer(x: Tensor, kernel: Pair, window: Window = PLAIN) -> Lowered:
        out = _check("avg_pool2d", x, kernel, window)
        shape = (x.shape[0], *out, x.shape[3])
        return Lowered((Spec(shape, x.dtype),), _dims(x.shape, kernel, window, out))

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return execute(_AVG_GRAD, (dy, g.inputs[0]), g.attrs, out=(g.dest[0],))

    def ref(x: np.ndarray, kernel: Pair, window: Window = PLAIN) -> np.ndarray:
        y = np.zeros((x.shape[0], *output_size("", x.shape, kernel, window), x.shape[3]), x.dtype)
        for i, j, seen, _, _ in _windows(x, kernel, window):
            y[:, i, j] = seen.mean((1, 2))
        return y

    fan = _fan
    samples = _walks
    errors = _errors("avg_pool2d")


def _avg_grad_infer(dy: Tensor, x: Tensor, kernel: Pair, window: Window = PLAIN) -> Lowered:
    dims = _dims(x.shape, kernel, window, dy.shape[1:3])  # type: ignore[arg-type]
    return Lowered((Spec(x.shape, x.dtype),), dims, args=(dy,))


def _avg_grad_vjp(g: Grad, dz: Tensor) -> tuple[Tensor | None, ...]:
    return (execute(_AvgPool, (dz,), g.attrs)[0], None)  # type: ignore[arg-type]


_AVG_GRAD = register(Card("avg_pool2d.grad", _avg_grad_infer, "avg_pool_bwd", vjp=_avg_grad_vjp))


def _pool(card: Any, x: Any, pool_size: Any, strides: Any, padding: Any) -> Tensor:
    x = as_tensor(x)
    need_images(card.name, x)
    kernel = pair(card.name, "pool_size", pool_size)
    steps = kernel if strides is None else pair(card.name, "strides", strides)
    four = resolve_padding(card.name, padding, x.shape, kernel, steps, (1, 1))
    attrs = {"kernel": kernel, "window": Window(steps, padding=four)}
    if x.lengths is None:
        return execute(card, (x,), attrs)[0]
    walk = Walk(x, kernel[0], steps[0], *four[:2], same=padding == "same")  # rows are the steps of padded sequences
    pooled = walk.largest if card is _MaxPool else walk.average
    return pooled(lambda seen: execute(card, (seen,), attrs)[0])


def max_pool2d(
    x: Any, pool_size: int | Sequence[int] = 2, strides: int | Sequence[int] | None = None, padding: Any = "valid"
) -> Tensor:
    """Return the largest value of each window; windows may overlap.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    pool_size : int or (rows, columns), default 2
    strides : int or (rows, columns), optional
        By default the pool size.
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
        Padding never wins: it counts as smaller than every value.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.max_pool2d(np.arange(16.0).reshape(1, 4, 4, 1)).numpy()[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    return _pool(_MaxPool, x, pool_size, strides, padding)


def avg_pool2d(
    x: Any, pool_size: int | Sequence[int] = 2, strides: int | Sequence[int] | None = None, padding: Any = "valid"
) -> Tensor:
    """Return the mean of each window; padding is left out of the mean, as in Keras.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    pool_size : int or (rows, columns), default 2
    strides : int or (rows, columns), optional
        By default the pool size.
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.avg_pool2d(np.arange(16.0).reshape(1, 4, 4, 1)).numpy()[0, :, :, 0]
    array([[ 2.5,  4.5],
           [10.5, 12.5]])
    """
    return _pool(_AvgPool, x, pool_size, strides, padding)


def _l2_ref(
    x: np.ndarray, pool_size: Any = 2, strides: Any = None, padding: Any = "valid", epsilon: float = 1e-6
) -> np.ndarray:
    kernel = pair("l2_pool2d", "pool_size", pool_size)
    steps = kernel if strides is None else pair("l2_pool2d", "strides", strides)
    four = resolve_padding("l2_pool2d", padding, x.shape, kernel, steps, (1, 1))
    return np.sqrt(_AvgPool.ref(x * x, kernel, Window(steps, padding=four)) + epsilon)


def _l2_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(2, 6, 4, 3),))
    yield Sample((r(2, 7, 6, 5),), {"pool_size": 3, "strides": 2, "padding": "same", "epsilon": 1e-2})
    yield Sample((r(1, 5, 8, 2),), {"pool_size": (2, 3), "strides": (1, 2), "padding": (0, 1, 1, 2)})
    yield Sample((r(0, 4, 4, 2),))


def _l2_errors(r: Rng) -> Iterator[Any]:
    yield (r(1, 4, 5, 2),), {"pool_size": (5, 2)}, ShapeError, r"the kernel does not fit.*5 rows.*image 4"
    yield (r(1, 4, 5, 2),), {"epsilon": 0.0}, ValueError, r"\[l2_pool2d\] expected epsilon.*above 0"
    yield (r(4, 5, 2),), {}, ShapeError, r"\[l2_pool2d\].*\[N, H, W, C\]"


@composite(ref=_l2_ref, samples=_l2_samples, errors=_l2_errors)
def l2_pool2d(
    x: Any,
    pool_size: int | Sequence[int] = 2,
    strides: int | Sequence[int] | None = None,
    padding: Any = "valid",
    epsilon: float = 1e-6,
) -> Tensor:
    """Return sqrt(epsilon + mean of x**2) of each window, per channel; padding is left out of the mean.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    pool_size : int or (rows, columns), default 2
    strides : int or (rows, columns), optional
        By default the pool size.
    padding : {"valid", "same"}, int, (rows, columns) or (top, bottom, left, right), default "valid"
    epsilon : float, default 1e-6
        Above 0: the root has no derivative at 0.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.l2_pool2d(np.array([[3.0, 4.0], [0.0, 0.0]]).reshape(1, 2, 2, 1)).numpy().round(4).item()
    2.5
    """
    x = as_tensor(x)
    need_images("l2_pool2d", x)
    need_float("l2_pool2d", x)
    epsilon = number("l2_pool2d", "epsilon", epsilon, 0, open_low=True)
    return (avg_pool2d(x.square(), pool_size, strides, padding) + epsilon).sqrt()
