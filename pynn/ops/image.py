"""Images larger and smaller: padding, cropping, enlarging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn.checks import pair
from pynn.core.card import Grad, Lowered, Sample, Spec, composite, op
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.common import Rng, as_tensor, contiguous_strides, need_float
from pynn.ops.parts import concat
from pynn.ops.reduce import expand
from pynn.ops.shape import strided
from pynn.ops.window import Four, Pair, need_images


@op("pad2d", "strided_place")
class _Pad:
    """y = x with rows and columns of zeros round it."""

    def infer(x: Tensor, padding: Four) -> Lowered:
        if x.ndim != 4 or min(padding) < 0:
            raise ShapeError(
                f"[pad2d] expected images [N, H, W, C] and padding of at least 0. "
                f"Received: x.shape={x.shape}, padding={padding}."
            )
        top, bottom, left, right = padding
        n, h, w, c = x.shape
        shape = (n, h + top + bottom, w + left + right, c)
        own = contiguous_strides(shape)
        dims = strided(x.dtype, x.shape, own, top * own[1] + left * own[2], int(np.prod(shape)))
        return Lowered((Spec(shape, x.dtype),), dims)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return (crop2d(dy, g.attrs["padding"]),)

    def ref(x: np.ndarray, padding: Four) -> np.ndarray:
        return np.pad(x, ((0, 0), padding[:2], padding[2:], (0, 0)))

    def samples(r: Rng) -> Iterator[Sample]:
        yield Sample((r(2, 3, 4, 2),), {"padding": (1, 0, 2, 3)})
        yield Sample((r(1, 1, 1, 1),), {"padding": (0, 0, 0, 0)})
        yield Sample((r(0, 2, 2, 3),), {"padding": (1, 1, 1, 1)})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(1, 2, 2, 1),), {"padding": (0, -1, 0, 0)}, ShapeError, "padding of at least 0"
        yield (r(2, 2, 1),), {"padding": (0, 1, 0, 0)}, ShapeError, r"\[N, H, W, C\]"


def pad2d(x: Any, padding: Four) -> Tensor:
    """Return images with zeros round them; padding is (top, bottom, left, right)."""
    return execute(_Pad, (as_tensor(x),), {"padding": tuple(padding)})[0]  # type: ignore[arg-type]


def crop2d(x: Any, cropping: Four) -> Tensor:
    """Return images without their outer rows and columns; cropping is (top, bottom, left, right)."""
    x = as_tensor(x)
    top, bottom, left, right = cropping
    if x.ndim != 4 or min(cropping) < 0 or top + bottom >= x.shape[1] or left + right >= x.shape[2]:
        raise ShapeError(
            f"[crop2d] expected images [N, H, W, C] that are larger than the cropping, which is at least 0. "
            f"Received: x.shape={x.shape}, cropping={tuple(cropping)}."
        )
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]


def _bilinear(size: int, factor: int) -> np.ndarray:
    """Return the matrix [size * factor, size] of linear interpolation between pixel centres, edges repeated."""
    at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    low = np.minimum(at.astype(int), max(size - 2, 0))
    matrix = np.zeros((size * factor, size))
    rows = np.arange(size * factor)
    matrix[rows, low] = 1 - (at - low)
    matrix[rows, np.minimum(low + 1, size - 1)] += at - low
    return matrix


def _lines_between(x: Tensor, factor: int) -> Tensor:
    """Return x [N, L, D] enlarged to [N, L * factor, D]: each line mixes with the one before it and the one after."""
    n, size, d = x.shape
    if factor == 1:
        return x
    middle = x.reshape((n, size, 1, d))
    before = concat([x[:, :1], x[:, :-1]], axis=1).reshape(middle.shape)  # edges repeated
    after = concat([x[:, 1:], x[:, -1:]], axis=1).reshape(middle.shape)
    at = (np.arange(factor) + 0.5) / factor - 0.5  # from the centre of a line
    first = int((at < 0).sum())
    parts = []
    for other, share in ((before, -at[:first]), (after, at[first:])):
        weights = (Tensor.state(w.reshape((1, 1, -1, 1)).astype(x.dtype)) for w in (1 - share, share))
        ours, theirs = (t * w for t, w in zip((middle, other), weights, strict=True))
        parts.append(ours + theirs)
    return concat(parts, axis=2).reshape((n, size * factor, d))


def _resize_ref(x: np.ndarray, size: Pair, interpolation: str = "nearest") -> np.ndarray:
    if interpolation == "nearest":
        return x.repeat(size[0], 1).repeat(size[1], 2)
    rows, columns = (_bilinear(x.shape[i + 1], size[i]).astype(x.dtype) for i in (0, 1))
    return np.einsum("ih,nhwc,jw->nijc", rows, x, columns)


def _resize_samples(r: Rng) -> Iterator[Sample]:
    for interpolation in ("nearest", "bilinear"):
        yield Sample((r(2, 3, 4, 3),), {"size": (2, 3), "interpolation": interpolation})
        yield Sample((r(1, 1, 5, 2),), {"size": (3, 1), "interpolation": interpolation})


def _resize_errors(r: Rng) -> Iterator[Any]:
    yield (r(2, 3, 4),), {"size": (2, 2)}, ShapeError, r"\[upsample2d\].*\[N, H, W, C\]"
    yield (r(1, 3, 4, 1),), {"size": (2, 0)}, ValueError, r"size.*positive"
    yield (r(1, 3, 4, 1),), {"size": (2, 2), "interpolation": "cubic"}, ValueError, r"'nearest' or 'bilinear'"


def _resize_operands(x: Any, size: int | Sequence[int], interpolation: str) -> Any:
    return (as_tensor(x),), {"size": pair("upsample2d", "size", size), "interpolation": interpolation}


@composite(ref=_resize_ref, samples=_resize_samples, errors=_resize_errors, operands=_resize_operands)
def upsample2d(x: Any, size: int | Sequence[int] = 2, interpolation: str = "nearest") -> Tensor:
    """Return images enlarged by whole factors.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    size : int or (rows, columns), default 2
    interpolation : {"nearest", "bilinear"}, default "nearest"
        Bilinear goes by the centres of pixels, as Keras does.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.upsample2d(np.array([[[[1.0], [2.0]]]]), (1, 2), "bilinear").numpy().ravel()
    array([1.  , 1.25, 1.75, 2.  ])
    """
    x = as_tensor(x)
    need_images("upsample2d", x)
    fy, fx = pair("upsample2d", "size", size)
    n, h, w, c = x.shape
    if interpolation == "nearest":
        y = expand(x.reshape((n, h, 1, w, 1, c)), (n, h, fy, w, fx, c))
        return y.reshape((n, h * fy, w * fx, c))
    if interpolation != "bilinear":
        raise ValueError(
            f"[upsample2d] expected interpolation 'nearest' or 'bilinear'. Received: interpolation={interpolation!r}."
        )
    need_float("upsample2d", x)
    y = _lines_between(x.reshape((n, h, w * c)), fy)
    y = _lines_between(y.reshape((n * h * fy, w, c)), fx)
    return y.reshape((n, h * fy, w * fx, c))
