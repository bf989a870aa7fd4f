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
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn import _core
from pynn.errors import DTypeError, ShapeError
from pynn.graph import execute, state
from pynn.ops.card import Lowered, Sample, Spec, op
from pynn.ops.common import Rng, as_tensor, need_float
from pynn.ops.math import mul
from pynn.ops.random import uniform
from pynn.ops.shape import cast
from pynn.tensor import Tensor

__all__ = ["affine", "blur", "crop", "elastic", "erase", "flip", "warp"]

FILLS = ("constant", "nearest")
MAX_ANGLE = 89.0  # of shear, in degrees: at 90 an image has no height
TRUNCATE = 4.0  # the Gaussian ends after so many standard deviations, as in SciPy
ALIGN = 64


def _image_shape(name: str, x: Tensor) -> tuple[int, int, int, int]:
    """Return N, H, W, C, or raise."""
    if x.ndim != 4:
        hint = (
            "add the channel axis, x[..., None] or nn.Reshape((H, W, 1))."
            if x.ndim == 3
            else "images are [N, H, W, C]; one image is a batch of one, x[None]."
        )
        raise ShapeError(f"[{name}] expected images [N, H, W, C]. Received: x.shape={x.shape}. help: {hint}")
    need_float(name, x)
    n, h, w, c = x.shape
    if max(h, w) > 32766 or (h + 2) * (w + 2) >= 2**31:
        raise ShapeError(f"[{name}] expected images of at most 32766 by 32766. Received: x.shape={x.shape}.")
    return n, h, w, c


def _rows(name: str, u: Tensor, x: Tensor, shape: tuple[int, ...], what: str) -> None:
    if u.shape != shape:
        raise ShapeError(f"[{name}] expected {what} of shape {shape} for x.shape={x.shape}. Received: {u.shape}.")
    need_float(name, x, u)


def fill_mode(name: str, fill: str) -> int:
    """Return the number of a way to fill what lies outside, or raise ValueError."""
    if fill not in FILLS:
        raise ValueError(f"[{name}] expected fill to be one of {', '.join(map(repr, FILLS))}. Received: fill={fill!r}.")
    return FILLS.index(fill)


def _scratch(values: int, dtype: np.dtype) -> int:
    """Return the bytes for so many values for each thread."""
    return -(-values * dtype.itemsize // ALIGN) * ALIGN * _core.get_threads()


def number(name: str, key: str, value: Any, low: float, high: float, open_high: bool = False) -> float:
    """Return a parameter as a float in [low, high] (or [low, high)), or raise ValueError."""
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not good or not (low <= value < high or (value == high and not open_high)):
        end = ")" if open_high else "]"
        raise ValueError(f"[{name}] expected {key} to be a number in [{low:g}, {high:g}{end}. Received: {value!r}.")
    return float(value)


def pair(name: str, key: str, value: Any, low: float, high: float) -> tuple[float, float]:
    """Return one number, or two, as two numbers in [low, high]."""
    both = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2:
        raise ValueError(f"[{name}] expected {key} to be a number or two. Received: {value!r}.")
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


@op("affine_draw", "affine_draw", differentiable=False)
class _AffineDraw:
    """A random matrix [2, 3] for each image from uniform u [N, 5]: shift down and across, rotation, zoom, shear."""

    def infer(
        u: Tensor, height: int, width: int, down: float, across: float, rotation: float, zoom: float, shear: float
    ) -> Lowered:
        need_float("affine_draw", u)
        if u.ndim != 2 or u.shape[1] != 5:
            raise ShapeError(f"[affine_draw] expected u [N, 5]. Received: {u.shape}.")
        pars = (down, across, rotation, zoom, shear)
        return Lowered((Spec((u.shape[0], 2, 3), u.dtype),), (u.shape[0], height, width), pars)

    def ref(u: np.ndarray, height: int, width: int, **pars: float) -> np.ndarray:
        s = (2 * u - 1) * [pars["down"], pars["across"], pars["rotation"], pars["zoom"], pars["shear"]]
        c, n, zoom = np.cos(s[:, 2]), np.sin(s[:, 2]), (1 / (1 + s[:, 3]))[:, None, None]
        rotation = np.stack([np.stack([c, n], -1), np.stack([-n, c], -1)], 1)
        shear = np.zeros((len(u), 2, 2)) + np.eye(2)
        shear[:, 1, 0] = np.tan(s[:, 4])
        m = rotation @ shear * zoom
        middle = np.array([(height - 1) / 2, (width - 1) / 2])
        to = middle + s[:, :2] * [height, width]
        return np.concatenate([m, (middle - (m @ to[:, :, None])[:, :, 0])[:, :, None]], axis=2)

    def samples(r: Rng) -> Iterator[Sample]:
        full = {"down": 0.1, "across": 0.2, "rotation": 0.5, "zoom": 0.3, "shear": 0.4}
        still = dict.fromkeys(full, 0.0)
        for n, attrs in ((7, full), (1, still), (3, {**still, "rotation": 3.0}), (0, full)):
            yield Sample((r(n, 5, low=0.0, high=1.0),), {"height": 28, "width": 20, **attrs})

    def errors(r: Rng) -> Iterator[Any]:
        attrs = {"down": 0.0, "across": 0.0, "rotation": 0.0, "zoom": 0.0, "shear": 0.0, "height": 2, "width": 2}
        yield (r(3, 4),), attrs, ShapeError, r"u \[N, 5\]. Received: \(3, 4\)"


@op("warp", "warp_fwd", differentiable=False)
class _Warp:
    """y(p) = x(M p + d(p)) by bilinear interpolation, p = (row, column); without M it is the identity, without d 0."""

    def infer(x: Tensor, matrices: Tensor | None, displacement: Tensor | None, fill: str = "constant") -> Lowered:
        n, h, w, c = _image_shape("warp", x)
        if matrices is not None:
            _rows("warp", matrices, x, (n, 2, 3), "matrices")
        if displacement is not None:
            _rows("warp", displacement, x, (n, h, w, 2), "a displacement")
        dims = (n, h, w, c, fill_mode("warp", fill))
        return Lowered((Spec(x.shape, x.dtype),), dims, scratch=_scratch((h + 2) * (w + 2) * c, x.dtype))

    def ref(
        x: np.ndarray, matrices: np.ndarray | None, displacement: np.ndarray | None, fill: str = "constant"
    ) -> np.ndarray:
        n, h, w, _ = x.shape
        grid = np.stack(np.meshgrid(np.arange(h), np.arange(w), indexing="ij"), -1).astype(float)
        where = np.broadcast_to(grid, (n, h, w, 2)).copy()
        if matrices is not None:
            where = np.einsum("nij,nhwj->nhwi", matrices[:, :, :2], where) + matrices[:, None, None, :, 2]
        if displacement is not None:
            where = where + displacement
        limit = np.array([h - 1, w - 1])
        where = np.clip(where, 0, limit) if fill == "nearest" else np.clip(where, -1, limit + 1)
        low = np.minimum(np.floor(where), limit).astype(int)
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        y = np.zeros(x.shape)
        for down in (0, 1):
            for across in (0, 1):
                share = 1 - np.abs(where - low - [down, across])
                pixel = padded[np.arange(n)[:, None, None], low[..., 0] + down + 1, low[..., 1] + across + 1]
                y += share.prod(axis=-1)[..., None] * pixel
        return y

    def samples(r: Rng) -> Iterator[Sample]:
        turn = np.array([[0.8, 0.6, -1.0], [-0.6, 0.8, 2.0]])
        for shape in ((2, 6, 7, 1), (3, 5, 9, 3), (2, 4, 3, 2), (1, 1, 1, 1), (0, 4, 4, 1), (1, 3, 70, 1)):
            m = turn + 0.1 * r(shape[0], 2, 3)
            d = 3 * r(*shape[:3], 2)
            for fill in FILLS:
                yield Sample((r(*shape), m, None), {"fill": fill})
                yield Sample((r(*shape), None, d), {"fill": fill})
                yield Sample((r(*shape), m, d), {"fill": fill})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 6, 6), None, None), {}, ShapeError, r"\[N, H, W, C\].*\(2, 6, 6\).*x\[\.\.\., None\]"
        yield (r(6, 6), None, None), {}, ShapeError, r"help: images are \[N, H, W, C\]"
        yield (r(2, 6, 6, 1), r(3, 2, 3), None), {}, ShapeError, r"matrices of shape \(2, 2, 3\).*\(3, 2, 3\)"
        yield (r(2, 6, 6, 1), None, r(2, 6, 6)), {}, ShapeError, r"displacement of shape \(2, 6, 6, 2\)"
        yield (r(2, 6, 6, 1), None, None), {"fill": "mirror"}, ValueError, r"'constant', 'nearest'.*'mirror'"
        yield (r.integers(5, 2, 6, 6, 1), None, None), {}, DTypeError, "float32 or float64"


@op("blur", "blur_fwd", differentiable=False)
class _Blur:
    """y = scale G * x with a Gaussian G of standard deviation sigma, in rows and columns; zeros lie outside."""

    def infer(x: Tensor, sigma: float, scale: float = 1.0) -> Lowered:
        n, h, w, c = _image_shape("blur", x)
        radius = int(TRUNCATE * sigma + 0.5)
        values = radius + 1 + (h + 2 * min(radius, h)) * w * c + (w + 2 * min(radius, w)) * c
        dims, pars = (n, h, w, c, radius), (sigma, scale)
        return Lowered((Spec(x.shape, x.dtype),), dims, pars, scratch=_scratch(values, x.dtype))

    def ref(x: np.ndarray, sigma: float, scale: float = 1.0) -> np.ndarray:
        radius = int(TRUNCATE * sigma + 0.5)
        w = np.exp(-0.5 * np.arange(-radius, radius + 1) ** 2 / sigma**2)
        w /= w.sum()
        y = x * scale
        for axis in (1, 2):
            if y.size:
                y = np.apply_along_axis(lambda line: np.convolve(line, w)[radius : radius + len(line)], axis, y)
        return y

    def samples(r: Rng) -> Iterator[Sample]:
        for shape, sigma in (((2, 6, 7, 1), 1.0), ((1, 28, 28, 2), 4.0), ((2, 3, 2, 3), 2.5), ((0, 3, 3, 1), 1.0)):
            yield Sample((r(*shape),), {"sigma": sigma, "scale": 1.5})
        yield Sample((r(1, 1, 1, 1),), {"sigma": 0.1})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 6, 6),), {"sigma": 1.0}, ShapeError, r"\[blur\] expected images"


@op("flip", "flip_fwd", differentiable=False)
class _Flip:
    """y_i = x_i mirrored left to right where u_i < p, for uniform u [N]."""

    def infer(x: Tensor, u: Tensor, p: float) -> Lowered:
        n, h, w, c = _image_shape("flip", x)
        _rows("flip", u, x, (n,), "u")
        return Lowered((Spec(x.shape, x.dtype),), (n, h, w, c), (p,))

    def ref(x: np.ndarray, u: np.ndarray, p: float) -> np.ndarray:
        return np.where((u < p)[:, None, None, None], x[:, :, ::-1], x)

    def samples(r: Rng) -> Iterator[Sample]:
        for shape in ((5, 4, 7, 3), (3, 5, 6, 1), (1, 1, 1, 1), (0, 3, 3, 1)):
            yield Sample((r(*shape), r(shape[0], low=0.0, high=1.0)), {"p": 0.5})

    def errors(r: Rng) -> Iterator[Any]:
        yield (r(2, 6, 6), r(2)), {"p": 0.5}, ShapeError, r"\[flip\] expected images"
        yield (r(2, 6, 6, 1), r(3)), {"p": 0.5}, ShapeError, r"u of shape \(2,\)"


@op("crop", "crop_fwd", differentiable=False)
class _Crop:
    """y = a window of the padded image, its upper left corner chosen by uniform u [N, 2]."""

    def infer(x: Tensor, u: Tensor, height: int, width: int, padding: int = 0, fill: str = "constant") -> Lowered:
        n, h, w, c = _image_shape("crop", x)
        _rows("crop", u, x, (n, 2), "u")
        if min(h, w, height, width) < 1:
            raise ShapeError(f"[crop] expected sizes of at least 1. Received: {height} x {width} of {x.shape}.")
        if padding < 0:
            raise ValueError(f"[crop] expected padding of 0 or more. Received: padding={padding}.")
        if height > h + 2 * padding or width > w + 2 * padding:
            raise ShapeError(
                f"[crop] expected a window of at most {h + 2 * padding} x {w + 2 * padding}, the padded image. "
                f"Received: {height} x {width}."
            )
        dims = (n, h, w, c, height, width, padding, fill_mode("crop", fill))
        return Lowered((Spec((n, height, width, c), x.dtype),), dims)

    def ref(
        x: np.ndarray, u: np.ndarray, height: int, width: int, padding: int = 0, fill: str = "constant"
    ) -> np.ndarray:
        mode: Any = "edge" if fill == "nearest" else "constant"
        padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)), mode=mode)
        room = np.array([padded.shape[1] - height, padded.shape[2] - width]) + 1
        y = np.zeros((len(x), height, width, x.shape[3]))
        for i, (top, left) in enumerate(np.minimum((u * room).astype(int), room - 1)):
            y[i] = padded[i, top : top + height, left : left + width]
        return y

    def samples(r: Rng) -> Iterator[Sample]:
        for shape, size, padding in (
            ((6, 5, 7, 3), (5, 7), 2),
            ((5, 6, 6, 1), (4, 3), 0),
            ((9, 3, 3, 1), (2, 2), 4),
            ((1, 1, 1, 1), (1, 1), 0),
            ((0, 4, 4, 2), (4, 4), 1),
        ):
            for fill in FILLS:
                u = r(shape[0], 2, low=0.0, high=1.0)
                yield Sample((r(*shape), u), {"height": size[0], "width": size[1], "padding": padding, "fill": fill})

    def errors(r: Rng) -> Iterator[Any]:
        good = {"height": 6, "width": 6}
        yield (r(2, 6, 6), r(2, 2)), good, ShapeError, r"\[crop\] expected images"
        yield (r(2, 6, 6, 1), r(2, 2)), {"height": 9, "width": 6, "padding": 1}, ShapeError, "at most 8 x 8.*9 x 6"
        yield (r(2, 6, 6, 1), r(2, 2)), {**good, "padding": -1}, ValueError, "padding of 0 or more.*-1"
        yield (r(2, 6, 6, 1), r(2, 2)), {"height": 0, "width": 6}, ShapeError, "at least 1"
        yield (r(2, 6, 6, 1), r(2, 2)), {**good, "fill": "wrap"}, ValueError, "fill='wrap'"


@op("erase", "erase_fwd", differentiable=False, inplace=True)
class _Erase:
    """y = x with a rectangle set to a value where u_0 < p; u [N, 5] decides on area, aspect and place."""

    def infer(
        x: Tensor, u: Tensor, p: float, area: tuple[float, float], aspect: tuple[float, float], value: float = 0.0
    ) -> Lowered:
        n, h, w, c = _image_shape("erase", x)
        _rows("erase", u, x, (n, 5), "u")
        return Lowered((Spec(x.shape, x.dtype),), (n, h, w, c), (p, *area, *aspect, value))

    def ref(
        x: np.ndarray, u: np.ndarray, p: float, area: tuple[float, float], aspect: tuple[float, float],
        value: float = 0.0,
    ) -> np.ndarray:  # fmt: skip
        y, (height, width) = x.copy(), x.shape[1:3]
        for i, draw in enumerate(u):
            size = height * width * (area[0] + draw[1] * (area[1] - area[0]))
            tall = np.exp(np.log(aspect[0]) + draw[2] * (np.log(aspect[1]) - np.log(aspect[0])))
            h, w = min(int(np.sqrt(size * tall) + 0.5), height), min(int(np.sqrt(size / tall) + 0.5), width)
            top, left = int(draw[3] * (height - h + 1)), int(draw[4] * (width - w + 1))
            if draw[0] < p:
                y[i, top : top + h, left : left + w] = value
        return y

    def samples(r: Rng) -> Iterator[Sample]:
        attrs = {"p": 0.5, "area": (0.02, 0.33), "aspect": (0.3, 3.3), "value": 0.25}
        for shape in ((8, 9, 7, 3), (8, 6, 12, 1), (2, 1, 1, 1), (0, 4, 4, 1)):
            yield Sample((r(*shape), r(shape[0], 5, low=0.0, high=1.0)), attrs)
        whole = {"p": 1.0, "area": (1.0, 1.0), "aspect": (0.1, 10.0)}
        yield Sample((r(5, 6, 8, 2), r(5, 5, low=0.0, high=1.0)), whole)

    def errors(r: Rng) -> Iterator[Any]:
        attrs = {"p": 0.5, "area": (0.1, 0.2), "aspect": (0.5, 2.0)}
        yield (r(2, 6, 6), r(2, 5)), attrs, ShapeError, r"\[erase\] expected images"
        yield (r(2, 6, 6, 1), r(2, 4)), attrs, ShapeError, r"u of shape \(2, 5\)"


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
    if x.dtype == np.uint8:
        x = mul(cast(x, np.float32), 1 / 255)
    _image_shape(name, x)
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
    given = [a if a is None or a.dtype == x.dtype else cast(a, x.dtype) for a in given]
    return execute(_Warp, (x, *given), {"fill": fill})[0]  # type: ignore[arg-type]


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
    m = execute(_AffineDraw, (u,), {**size, **options})[0]  # type: ignore[arg-type]
    return execute(_Warp, (x, m, None), {"fill": fill})[0]  # type: ignore[arg-type]


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
    return execute(_Blur, (x,), {"sigma": _width("blur", sigma), "scale": float(scale)})[0]  # type: ignore[arg-type]


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
    field = execute(_Blur, (noise,), attrs)[0]  # type: ignore[arg-type]
    return execute(_Warp, (x, None, field), {"fill": fill})[0]  # type: ignore[arg-type]


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
    return execute(_Flip, (x, _draw(x, (), seed, step, salt)), attrs)[0]  # type: ignore[arg-type]


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
    return execute(_Crop, (x, u), attrs)[0]  # type: ignore[arg-type]


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
    return execute(_Erase, (x, _draw(x, (5,), seed, step, salt)), attrs)[0]  # type: ignore[arg-type]
