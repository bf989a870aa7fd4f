"""Normalization of each place by its neighbours: across channels, and of local contrast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import number
from pynn.core import _core
from pynn.core.card import Card, Grad, Lowered, Sample, Spec, composite, op, register
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.carry import forget
from pynn.ops.common import Rng, as_tensor, need_float, size
from pynn.ops.conv import conv2d
from pynn.ops.math import maximum
from pynn.ops.norm import check_channels
from pynn.ops.window import need_images

LRN_ROWS = 16  # as in csrc/kernels/lrn.h


def _response_lower(x: Tensor, radius: int, bias: float, alpha: float, beta: float) -> Lowered:
    c = x.shape[-1]
    room = (c + 2 * radius + 32 + 15) // 16 * 16
    scratch = _core.get_threads() * 2 * LRN_ROWS * room * x.dtype.itemsize
    return Lowered((Spec(x.shape, x.dtype),), (size(x.shape[:-1]), c, radius), (bias, alpha, beta), x.dtype, scratch)


@op("local_response_norm", "lrn_fwd")
class _ResponseNorm:
    """y = x / (bias + alpha * sum of x**2 over neighbouring channels) ** beta."""

    def infer(x: Tensor, radius: int, bias: float, alpha: float, beta: float) -> Lowered:
        check_channels("local_response_norm", x)
        if radius < 0 or bias <= 0:
            raise ValueError(
                "[local_response_norm] expected depth_radius of at least 0 and bias above 0. "
                f"Received: depth_radius={radius}, bias={bias}."
            )
        return _response_lower(x, radius, bias, alpha, beta)

    def vjp(g: Grad, dy: Tensor) -> tuple[Tensor | None, ...]:
        return execute(_RESPONSE_GRAD, (dy, g.inputs[0]), g.attrs, out=(g.dest[0],))

    def ref(x: np.ndarray, radius: int, bias: float, alpha: float, beta: float) -> np.ndarray:
        d = np.zeros_like(x)
        for c in range(x.shape[-1]):
            d[..., c] = (x[..., max(0, c - radius) : c + radius + 1] ** 2).sum(-1)
        return x / (bias + alpha * d) ** beta

    def samples(r: Rng) -> Iterator[Sample]:
        attrs = {"radius": 2, "bias": 2.0, "alpha": 0.3, "beta": 0.75}
        for shape in ((2, 3, 3, 7), (5, 33), (1, 1), (0, 2, 4)):
            yield Sample((r(*shape),), attrs)
        yield Sample((r(3, 20),), {"radius": 0, "bias": 1.0, "alpha": 1.0, "beta": 0.5})
        yield Sample((r(37, 9),), {"radius": 1, "bias": 1.5, "alpha": 0.2, "beta": 0.6})
        yield Sample((r(3, 4),), {"radius": 5, "bias": 1.0, "alpha": 0.1, "beta": 1.0})
        for beta in (0.25, 1.5, 1.75, 2.0):  # beside the exponents that are roots, too
            yield Sample((r(2, 5),), {"radius": 1, "bias": 1.5, "alpha": 0.3, "beta": beta})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 3),), {"radius": -1, "bias": 1.0, "alpha": 1.0, "beta": 0.5}, ValueError, r"depth_radius=-1"
        yield (r(2, 3),), {"radius": 1, "bias": 0.0, "alpha": 1.0, "beta": 0.5}, ValueError, r"bias above 0"


def _response_grad_infer(dy: Tensor, x: Tensor, radius: int, bias: float, alpha: float, beta: float) -> Lowered:
    return _response_lower(x, radius, bias, alpha, beta)


_RESPONSE_GRAD = register(Card("local_response_norm.grad", _response_grad_infer, "lrn_bwd"))


def local_response_norm(
    x: Any, depth_radius: int = 2, bias: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Tensor:
    """Return x / (bias + alpha * sum of x**2 over the channels within depth_radius) ** beta.

    The defaults are those of Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural
    networks (NeurIPS 2012): n = 5 channels, k = 2.

    Parameters
    ----------
    x : array_like
    depth_radius : int, default 2
        Neighbouring channels on each side.
    bias : float, default 2.0
        The constant of the sum.
    alpha : float, default 0.0001
        Factor of the sum of squares.
    beta : float, default 0.75
        The exponent.
    """
    attrs = {
        "radius": depth_radius,
        **{
            name: number("local_response_norm", name, value)
            for name, value in (("bias", bias), ("alpha", alpha), ("beta", beta))
        },
    }
    return execute(_ResponseNorm, (as_tensor(x),), attrs)[0]  # type: ignore[arg-type]


def _line(window: int, size: int) -> np.ndarray:
    """Return the middle of a Gaussian line of a window, as far as it can meet an image; its deviation is window / 4."""
    half = min(window // 2, size - 1) if size else 0
    line = np.exp(-0.5 * (np.arange(-half, half + 1) / (window / 4)) ** 2)
    return line / line.sum()


def _coverage(line: np.ndarray, size: int) -> np.ndarray:
    """Return how much of a line round each pixel lies in the image."""
    sums, half, at = np.concatenate([[0.0], line.cumsum()]), len(line) // 2, np.arange(size)
    return sums[np.minimum(half + size - at, len(line))] - sums[np.maximum(half - at, 0)]


def _blurred_ref(x: np.ndarray, window: int) -> np.ndarray:
    lines = [_line(window, size) for size in x.shape[1:3]]
    over = np.outer(*(_coverage(line, size) for line, size in zip(lines, x.shape[1:3], strict=True)))
    kernel = np.outer(*lines)
    half = [len(line) // 2 for line in lines]
    padded = np.pad(x.mean(3), ((0, 0), (half[0], half[0]), (half[1], half[1])))
    h, w = x.shape[1:3]
    mean = sum(padded[:, r : r + h, s : s + w] * kernel[r, s] for r, s in np.ndindex(*kernel.shape))
    return (mean / over)[..., None]


def _contrast_ref(x: np.ndarray, window: int = 9, epsilon: float = 1e-6) -> np.ndarray:
    v = x - _blurred_ref(x, window)
    sigma = np.sqrt(_blurred_ref(v * v, window) + epsilon)
    return v / np.maximum(sigma, sigma.mean((1, 2, 3), keepdims=True))


def _contrast_samples(r: Rng) -> Iterator[Sample]:
    yield Sample((r(2, 6, 5, 2),), {"window": 3})
    yield Sample((r(1, 5, 7, 1),), {"window": 5, "epsilon": 1e-2})


def _contrast_errors(r: Rng) -> Iterator[Any]:
    yield (r(4, 4, 1),), {}, ShapeError, r"\[local_contrast_norm\].*\[N, H, W, C\]"
    yield (r(1, 4, 4, 1),), {"window": 4}, ValueError, r"odd"


@composite(ref=_contrast_ref, samples=_contrast_samples, errors=_contrast_errors)
def local_contrast_norm(x: Any, window: int = 9, epsilon: float = 1e-6) -> Tensor:
    """Return v / max(sigma, mean(sigma)), v = x - G x, sigma = sqrt(G v**2 + epsilon), with a Gaussian window G.

    Subtractive, then divisive: each pixel loses the local mean (over all channels) and is divided by the local
    deviation, or by the image's mean deviation where that is larger. At the borders G counts only the image.

    Parameters
    ----------
    x : Tensor, shape [N, H, W, C]
    window : int, default 9
        Odd; the Gaussian's deviation is a quarter of it.
    epsilon : float, default 1e-6
        Keeps flat images finite.

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun: What is the best multi-stage architecture for object recognition? (ICCV 2009).
    """
    x = forget("local_contrast_norm", as_tensor(x))
    need_images("local_contrast_norm", x)
    need_float("local_contrast_norm", x)
    if window < 1 or window % 2 == 0:
        raise ValueError(f"[local_contrast_norm] expected an odd window. Received: window={window}.")
    _, h, w, c = x.shape
    down, across = _line(window, h), _line(window, w)
    kernel = np.repeat(np.outer(down, across)[:, :, None, None] / c, c, 2)
    rows, columns = _coverage(down, h)[:, None, None], _coverage(across, w)[:, None]
    taps, above, beside = (Tensor.state(a.astype(x.dtype)) for a in (kernel, rows, columns))

    def blurred(z: Tensor) -> Tensor:
        return conv2d(z, taps, padding="same") / above / beside

    v = x - blurred(x)
    sigma = (blurred(v.square()) + epsilon).sqrt()
    least = sigma.mean((1, 2, 3)).reshape((x.shape[0], 1, 1, 1))
    return v / maximum(sigma, least)
