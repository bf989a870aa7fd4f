"""The filters of image processing: two-dimensional correlation and convolution as in scipy.signal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import number
from pynn.core.card import Sample, composite
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError, unknown_name
from pynn.ops.common import Rng, as_tensor, need_float
from pynn.ops.conv import conv2d
from pynn.ops.image import pad2d
from pynn.ops.shape import gather

MODES = ("full", "same", "valid")
BOUNDARIES = {"fill": "constant", "symm": "symmetric", "wrap": "wrap"}


def _swapped(place: str, shape: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Tell whether the second operand is the larger one; raise if neither holds the other."""
    if all(a >= b for a, b in zip(shape, other, strict=True)):
        return False
    if all(a <= b for a, b in zip(shape, other, strict=True)):
        return True
    raise ShapeError(
        f"[{place}] mode 'valid' expected one operand at least as large as the other along both axes. "
        f"Received: {shape} and {other}."
    )


def _correlate(place: str, x: Any, kernel: Any, mode: str, boundary: str, fillvalue: float, turned: bool) -> Tensor:
    x = as_tensor(x)
    kernel = as_tensor(kernel, x)
    need_float(place, x, kernel)
    if x.ndim != 2 or kernel.ndim != 2 or 0 in (*x.shape, *kernel.shape):
        raise ShapeError(
            f"[{place}] expected an image [H, W] and a kernel [rows, columns]. Received: {x.shape} and {kernel.shape}. "
            "help: use ops.conv2d for batches and channels."
        )
    for name, value, known in (("mode", mode, MODES), ("boundary", boundary, tuple(BOUNDARIES))):
        if value not in known:
            raise ValueError(unknown_name(name, value, known))
    back = False
    if mode == "valid" and _swapped(place, x.shape, kernel.shape):
        x, kernel, back = kernel, x, not turned
    if turned:
        kernel = kernel[::-1, ::-1]
    (h, w), (kh, kw) = x.shape, kernel.shape
    most = (kh - 1, kw - 1)
    middle = tuple(m - m // 2 if turned else m // 2 for m in most)
    before = {"full": most, "same": middle, "valid": (0, 0)}[mode]
    after = {"full": most, "same": tuple(m - b for m, b in zip(most, middle, strict=True)), "valid": (0, 0)}[mode]
    if boundary == "fill" or mode == "valid":
        image = x.reshape((1, h, w, 1))
        if fillvalue and mode != "valid":
            beyond = number(place, "fillvalue", fillvalue)
            image = pad2d(image - beyond, (before[0], after[0], before[1], after[1])) + beyond
            padding = (0, 0, 0, 0)
        else:
            padding = (before[0], after[0], before[1], after[1])
    else:
        for axis, size in ((0, h), (1, w)):
            index = np.pad(np.arange(size), (before[axis], after[axis]), BOUNDARIES[boundary])  # type: ignore[call-overload]
            x = gather(x, index, axis=axis)
        image, padding = x.reshape((1, *x.shape, 1)), (0, 0, 0, 0)
    y = conv2d(image, kernel.reshape((kh, kw, 1, 1)), padding=padding)
    y = y.reshape(y.shape[1:3])
    return y[::-1, ::-1] if back else y


def _ref(name: str) -> Any:
    def ref(x: np.ndarray, kernel: np.ndarray, **options: Any) -> np.ndarray:
        from scipy import signal

        return getattr(signal, name)(x, kernel, **options)

    return ref


def _samples(r: Rng) -> Iterator[Sample]:
    for shape in ((3, 3), (2, 4), (1, 1), (5, 2)):
        for mode in MODES:
            yield Sample((r(6, 7), r(*shape)), {"mode": mode})
    for boundary in BOUNDARIES:
        yield Sample((r(5, 4), r(4, 3)), {"mode": "same", "boundary": boundary})
        yield Sample((r(5, 4), r(3, 3)), {"mode": "full", "boundary": boundary})
    yield Sample((r(5, 4), r(3, 2)), {"mode": "same", "fillvalue": 0.5})
    yield Sample((r(2, 3), r(4, 5)), {"mode": "valid"})


def _errors(name: str) -> Any:
    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 5, 5), r(3, 3)), {}, ShapeError, rf"\[{name}\].*\[H, W\].*conv2d"
        yield (r(5, 5), r(3, 3)), {"mode": "some"}, ValueError, r"same"
        yield (r(5, 5), r(3, 3)), {"boundary": "wrapped"}, ValueError, r"wrap"
        yield (r(5, 2), r(3, 3)), {"mode": "valid"}, ShapeError, r"'valid'.*\(5, 2\) and \(3, 3\)"

    return errors


@composite(ref=_ref("correlate2d"), samples=_samples, errors=_errors("correlate2d"))
def correlate2d(x: Any, kernel: Any, mode: str = "full", boundary: str = "fill", fillvalue: float = 0.0) -> Tensor:
    """Return y[i,j] = sum over r,s of x[i + r, j + s] kernel[r,s], as scipy.signal.correlate2d does.

    Parameters
    ----------
    x : Tensor, shape [H, W]
    kernel : Tensor, shape [rows, columns]
    mode : {"full", "same", "valid"}, default "full"
        "same" keeps x's size; "valid" keeps what does not depend on the boundary.
    boundary : {"fill", "wrap", "symm"}, default "fill"
        What lies outside x: a constant, x again, or x mirrored.
    fillvalue : float, default 0.0

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.correlate2d(np.eye(3), np.ones((2, 2)), mode="valid").numpy()
    array([[2., 1.],
           [1., 2.]])
    """
    return _correlate("correlate2d", x, kernel, mode, boundary, fillvalue, turned=False)


@composite(ref=_ref("convolve2d"), samples=_samples, errors=_errors("convolve2d"))
def convolve2d(x: Any, kernel: Any, mode: str = "full", boundary: str = "fill", fillvalue: float = 0.0) -> Tensor:
    """Return y[i,j] = sum over r,s of x[i - r, j - s] kernel[r,s]: correlate2d with the kernel turned round.

    Parameters
    ----------
    x : array_like [H, W]
    kernel : array_like [rows, columns]
    mode : {"full", "same", "valid"}, default "full"
    boundary : {"fill", "wrap", "symm"}, default "fill"
    fillvalue : float, default 0.0

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import ops
    >>> ops.convolve2d(np.array([[0.0, 1.0, 0.0]]), np.array([[1.0, 2.0, 3.0]]), mode="same").numpy()
    array([[1., 2., 3.]])
    """
    return _correlate("convolve2d", x, kernel, mode, boundary, fillvalue, turned=True)


def image_filter(name: str, size: int = 3) -> np.ndarray:
    """Return a classic kernel for correlate2d, as a float64 array.

    Parameters
    ----------
    name : {"identity", "shift", "box", "gaussian", "edge", "sobel_x", "sobel_y", "sharpen"}
        "shift" moves the image one pixel to the right; "edge" is the Laplacian of eight neighbours; "sobel_x" answers
        to vertical edges, "sobel_y" to horizontal ones; "sharpen" is twice the image less its box blur.
    size : int, default 3
        Odd; of "identity", "shift", "box", "gaussian" (whose deviation is size / 6) and "sharpen".

    Examples
    --------
    >>> from pynn.ops import image_filter
    >>> image_filter("sobel_x")
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]])
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(f"[image_filter] expected an odd size. Received: size={size}.")
    middle = size // 2
    identity = np.zeros((size, size))
    identity[middle, middle] = 1.0
    line = np.exp(-0.5 * ((np.arange(size) - middle) / (size / 6)) ** 2)
    box = np.full((size, size), 1.0 / size**2)
    sobel = np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])
    known = {
        "identity": identity,
        "shift": np.roll(identity, -1, axis=1),
        "box": box,
        "gaussian": np.outer(line, line) / line.sum() ** 2,
        "edge": np.array([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]]),
        "sobel_x": sobel,
        "sobel_y": sobel.T.copy(),
        "sharpen": 2 * identity - box,
    }
    if name not in known:
        raise ValueError(unknown_name("filter", name, tuple(known)))
    return known[name]
