"""Augmentation of images: each function returns changed copies of a batch, drawn anew for every image.

What happens to image i of a batch depends on (seed, step, salt, i) alone. All take images [N, H, W, C], as a tensor or
a NumPy array; uint8 arrays are scaled to 0..1. None has a gradient: they come before the first layer with weights.

Examples
--------
>>> import numpy as np
>>> from pynn.ops import augment
>>> images = np.zeros((2, 28, 28, 1), "float32")
>>> augment.affine(images, shift=0.1, rotation=10.0, seed=3).shape
(2, 28, 28, 1)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn.checks import number
from pynn.core.graph import execute
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops.augment_cards import AFFINE_DRAW, BLUR, CROP, ERASE, FLIP, WARP, fill_mode, image_shape
from pynn.ops.common import as_tensor
from pynn.ops.math import matmul
from pynn.ops.random import normal, uniform

__all__ = ["affine", "blur", "color", "crop", "elastic", "erase", "fill_mode", "flip", "warp"]

MAX_ANGLE = 89.0  # of shear, in degrees: at 90 an image has no height


def pair(name: str, key: str, value: Any, low: float, high: float) -> tuple[float, float]:
    """Return one number, or two, as two numbers in [low, high]."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2:
        raise ValueError(f"[{name}] expected {key} to be a number or two. Received: {key}={value!r}.")
    return number(name, key, both[0], low, high), number(name, key, both[1], low, high)


def _interval(name: str, key: str, value: Any, low: float, high: float) -> tuple[float, float]:
    a, b = pair(name, key, value, low, high)
    if a > b:
        raise ValueError(f"[{name}] expected {key} as (least, largest). Received: {value!r}.")
    return a, b


def affine_options(name: str, shift: Any, rotation: Any, zoom: Any, shear: Any) -> dict[str, float]:
    """Check the parameters of :func:`affine` and return the attributes of the op that draws its matrices."""
    down, across = pair(name, "shift", shift, 0.0, 1.0)
    return {
        "down": down,
        "across": across,
        "rotation": math.radians(number(name, "rotation", rotation, 0.0, 180.0)),
        "zoom": number(name, "zoom", zoom, 0.0, 1.0, open_high=True),
        "shear": math.radians(number(name, "shear", shear, 0.0, MAX_ANGLE)),
    }


def as_images(name: str, images: Any) -> Tensor:
    """Return a batch of images as a floating tensor; uint8 is scaled to 0..1."""
    x = as_tensor(images)
    if state.grad_enabled and x.requires_grad:
        raise ValueError(
            f"[{name}] expected images that nothing is learnt from below. Received: a tensor with requires_grad=True. "
            "help: augmentation has no gradient; put it before the first layer with weights, or pass x.detach()."
        )
    return checked(name, x)


def checked(name: str, x: Tensor) -> Tensor:
    """Return a batch of images as floats (uint8 is scaled to 0..1), or raise ShapeError."""
    x = as_tensor(x)
    if x.dtype == np.uint8:
        x = x.astype(np.float32) * (1 / 255)
    image_shape(name, x)
    return x


def _draw(x: Tensor, columns: tuple[int, ...], seed: Any, step: Any, salt: int) -> Tensor:
    return uniform((x.shape[0], *columns), 0.0, 1.0, seed, step, salt, x.dtype)


def warp(images: Any, matrices: Any = None, displacement: Any = None, fill: str = "constant") -> Tensor:
    """Return images resampled at other places, y(p) = x(M p + d(p)), by bilinear interpolation.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    matrices : array_like [N, 2, 3], optional
        Rows for (y, x), columns for (y, x, 1), in pixels; the identity by default.
    displacement : array_like [N, H, W, 2], optional
        (y, x) in pixels; 0 by default.
    fill : {"constant", "nearest"}, default "constant"
        What lies outside: zeros, or the nearest pixel.

    Returns
    -------
    Tensor [N, H, W, C]

    Raises
    ------
    ShapeError
        If the images do not have four axes, or the matrices or the displacement another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.ops import augment
    >>> image = np.arange(3.0).reshape(1, 1, 3, 1)
    >>> augment.warp(image, [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]]).numpy().ravel()
    array([0.5, 1.5, 1. ])
    """
    x = as_images("warp", images)
    given = [None if a is None else as_tensor(a) for a in (matrices, displacement)]
    given = [a if a is None or a.dtype == x.dtype else a.astype(x.dtype) for a in given]
    return execute(WARP, (x, *given), {"fill": fill})[0]


def affine(
    images: Any, shift: Any = 0.0, rotation: float = 0.0, zoom: float = 0.0, shear: float = 0.0,
    fill: str = "constant", seed: Any = 0, step: Any = 0, salt: int = 0,
) -> Tensor:  # fmt: skip
    """Return images shifted, turned, zoomed and sheared at random, in one bilinear pass.

    y(p) = x(R K (p - c - s) / z + c) about the middle c, with a shift s, rotation R, shear K and zoom z for each image.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    shift : float or (float, float), default 0
        Uniform within +- this share of height and width; two numbers are vertical and horizontal. In [0, 1].
    rotation : float, default 0
        Uniform within +- this many degrees. In [0, 180].
    zoom : float, default 0
        Magnification uniform in [1 - zoom, 1 + zoom]. In [0, 1).
    shear : float, default 0
        Slant uniform within +- this many degrees. In [0, 89].
    fill : {"constant", "nearest"}, default "constant"
        What lies outside: zeros, or the nearest pixel.
    seed, step : int or Tensor of int64 [1], default 0
    salt : int, default 0
        Image i's numbers depend on (seed, step, salt, i) alone.

    Returns
    -------
    Tensor [N, H, W, C]

    Raises
    ------
    ShapeError
        If the images do not have four axes.
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.ops import augment
    >>> images = np.ones((4, 8, 8, 1), "float32")
    >>> a, b = (augment.affine(images, rotation=20.0, zoom=0.1, seed=1).numpy() for _ in range(2))
    >>> bool((a == b).all())
    True
    """
    x = as_images("affine", images)
    options = affine_options("affine", shift, rotation, zoom, shear)
    size = {"height": x.shape[1], "width": x.shape[2]}
    u = _draw(x, (5,), seed, step, salt)
    m = execute(AFFINE_DRAW, (u,), {**size, **options})[0]
    return execute(WARP, (x, m, None), {"fill": fill})[0]


def blur(images: Any, sigma: float, scale: float = 1.0) -> Tensor:
    """Return images convolved with a Gaussian, zeros outside: y = scale G_sigma * x.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    sigma : float
        Standard deviation in pixels, above 0; the Gaussian is cut off at 4 sigma.
    scale : float, default 1

    Returns
    -------
    Tensor [N, H, W, C]
    """
    x = as_images("blur", images)
    return execute(BLUR, (x,), {"sigma": _width("blur", sigma), "scale": number("blur", "scale", scale)})[0]


def _width(name: str, sigma: Any) -> float:
    """Return the standard deviation of a Gaussian, or raise ValueError."""
    if number(name, "sigma", sigma, 0.0, 1000.0) == 0:
        raise ValueError(f"[{name}] expected sigma above 0. Received: {sigma!r}.")
    return float(sigma)


def elastic_options(name: str, alpha: Any, sigma: Any) -> dict[str, float]:
    """Check the parameters of :func:`elastic` and return the attributes of the op that smooths its field."""
    return {"sigma": _width(name, sigma), "scale": number(name, "alpha", alpha, 0.0, 1e6)}


def elastic(
    images: Any, alpha: float = 34.0, sigma: float = 4.0, fill: str = "constant",
    seed: Any = 0, step: Any = 0, salt: int = 0,
) -> Tensor:  # fmt: skip
    """Return images deformed elastically: y(p) = x(p + alpha (G_sigma * r)(p)), r uniform in [-1, 1) at each pixel.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    alpha : float, default 34
        Strength, 0 or more. At sigma 4 the displacement has a standard deviation of alpha / 25 pixels.
    sigma : float, default 4
        Standard deviation of the Gaussian in pixels: how far neighbours move together.
    fill, seed, step, salt
        As for :func:`affine`.

    Returns
    -------
    Tensor [N, H, W, C]

    Raises
    ------
    ShapeError
        If the images do not have four axes.
    ValueError
        If a parameter is out of range.

    References
    ----------
    P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.ops import augment
    >>> augment.elastic(np.ones((2, 28, 28, 1), "float32"), seed=1).shape
    (2, 28, 28, 1)
    """
    x = as_images("elastic", images)
    attrs = elastic_options("elastic", alpha, sigma)
    noise = uniform((*x.shape[:3], 2), -1.0, 1.0, seed, step, salt, x.dtype)
    field = execute(BLUR, (noise,), attrs)[0]
    return execute(WARP, (x, None, field), {"fill": fill})[0]


def flip(images: Any, p: float = 0.5, seed: Any = 0, step: Any = 0, salt: int = 0) -> Tensor:
    """Return images of which each is mirrored left to right with probability p.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    p : float, default 0.5
        In [0, 1].
    seed, step, salt
        As for :func:`affine`.

    Returns
    -------
    Tensor [N, H, W, C]

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.ops import augment
    >>> augment.flip(np.arange(3.0).reshape(1, 1, 3, 1), p=1.0).numpy().ravel()
    array([2., 1., 0.])
    """
    x = as_images("flip", images)
    attrs = {"p": number("flip", "p", p, 0.0, 1.0)}
    return execute(FLIP, (x, _draw(x, (), seed, step, salt)), attrs)[0]


def crop(
    images: Any, size: Sequence[int] | None = None, padding: int = 0, fill: str = "constant",
    seed: Any = 0, step: Any = 0, salt: int = 0,
) -> Tensor:  # fmt: skip
    """Return a window of each image, at a random place within the image and its padding.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    size : (int, int), optional
        Height and width of the window; by default those of the images.
    padding : int, default 0
        Pixels added on all four sides first.
    fill, seed, step, salt
        As for :func:`affine`.

    Returns
    -------
    Tensor [N, height, width, C]

    Raises
    ------
    ShapeError
        If the window is larger than the padded image, or the images do not have four axes.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.ops import augment
    >>> augment.crop(np.ones((2, 32, 32, 3), "float32"), padding=4).shape
    (2, 32, 32, 3)
    """
    x = as_images("crop", images)
    return crop_at(x, _draw(x, (2,), seed, step, salt), size, padding, fill)


def crop_at(x: Tensor, u: Tensor, size: Sequence[int] | None, padding: int, fill: str) -> Tensor:
    """Return windows at the places that u [N, 2] in [0, 1) gives."""
    height, width = x.shape[1:3] if size is None else size
    attrs = {"height": height, "width": width, "padding": padding, "fill": fill}
    return execute(CROP, (x, u), attrs)[0]


def color(
    images: Any, components: Any, scale: float = 0.1, seed: Any = 0, step: Any = 0, salt: int = 0
) -> Tensor:  # fmt: skip
    """Return images whose colours are moved along their principal components: y = x + sum_i a_i P_i, a_i ~ N(0, scale).

    All pixels of an image move alike, each image by numbers of its own.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    components : array_like [C, C]
        Row i is P_i, a principal component of the colours as long as their standard deviation along it.
    scale : float, default 0.1
        Standard deviation of the random factors, 0 or more.
    seed, step, salt
        As for :func:`affine`.

    Returns
    -------
    Tensor [N, H, W, C]

    Raises
    ------
    ShapeError
        If the images do not have four axes, or the components are not [C, C].
    ValueError
        If scale is out of range.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 4.1, whose formula has the eigenvalues themselves where P_i has their roots.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.ops import augment
    >>> y = augment.color(np.zeros((2, 4, 4, 3)), [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], seed=1).numpy()
    >>> bool((y == y[:, :1, :1, :1]).all()), bool(y[0, 0, 0, 0] == y[1, 0, 0, 0])
    (True, False)
    """
    x = as_images("color", images)
    channels = x.shape[3]
    p = as_tensor(components)
    if p.shape != (channels, channels):
        raise ShapeError(
            f"[color] expected components of shape {(channels, channels)} for x.shape={x.shape}. Received: {p.shape}."
        )
    p = p if p.dtype == x.dtype else p.astype(x.dtype)
    factors = normal((x.shape[0], channels), 0.0, number("color", "scale", scale, 0.0), seed, step, salt, x.dtype)
    return x + matmul(factors, p).reshape((x.shape[0], 1, 1, channels))


def erase_options(name: str, p: Any, area: Any, aspect: Any, value: Any) -> dict[str, Any]:
    """Check the parameters of :func:`erase` and return the attributes of its op."""
    low, high = _interval(name, "aspect", aspect, 0.01, 100.0)
    return {
        "p": number(name, "p", p, 0.0, 1.0),
        "area": _interval(name, "area", area, 0.0, 1.0),
        "aspect": (low, high),
        "value": number(name, "value", value, -1e30, 1e30),
    }


def erase(
    images: Any, p: float = 0.5, area: Any = (0.02, 0.33), aspect: Any = (0.3, 3.3), value: float = 0.0,
    seed: Any = 0, step: Any = 0, salt: int = 0,
) -> Tensor:  # fmt: skip
    """Return images in each of which, with probability p, a random rectangle is set to a value.

    Parameters
    ----------
    images : array_like [N, H, W, C]
    p : float, default 0.5
        In [0, 1].
    area : (float, float), default (0.02, 0.33)
        Least and largest share of the image.
    aspect : (float, float), default (0.3, 3.3)
        Least and largest height / width, chosen on a logarithmic scale. In [0.01, 100].
    value : float, default 0
    seed, step, salt
        As for :func:`affine`.

    Returns
    -------
    Tensor [N, H, W, C]

    References
    ----------
    Z. Zhong, L. Zheng, G. Kang, S. Li and Y. Yang, "Random erasing data augmentation", AAAI 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn.ops import augment
    >>> y = augment.erase(np.ones((8, 16, 16, 1), "float32"), p=1.0, area=(0.25, 0.25)).numpy()
    >>> bool((abs(y.mean(axis=(1, 2, 3)) - 0.75) < 0.1).all())
    True
    """
    x = as_images("erase", images)
    attrs = erase_options("erase", p, area, aspect, value)
    return execute(ERASE, (x, _draw(x, (5,), seed, step, salt)), attrs)[0]
