"""The cards of augmentation: what is drawn, and what is done with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.checks import number
from pynn.core import _core
from pynn.core.card import Card, Lowered, Sample, Spec, op
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.common import Rng, need_float

FILLS = ("constant", "nearest")
TRUNCATE = 4.0  # the Gaussian ends after so many standard deviations, as in SciPy
ALIGN = 64


def image_shape(name: str, x: Tensor) -> tuple[int, int, int, int]:
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
        n, h, w, c = image_shape("warp", x)
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
        n, h, w, c = image_shape("blur", x)
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
        n, h, w, c = image_shape("flip", x)
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
        n, h, w, c = image_shape("crop", x)
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
        n, h, w, c = image_shape("erase", x)
        _rows("erase", u, x, (n, 5), "u")
        small, large = (number("erase", "area", v, 0) for v in area)
        low, high = (number("erase", "aspect", v, 0, open_low=True) for v in aspect)
        return Lowered((Spec(x.shape, x.dtype),), (n, h, w, c), (p, small, large, low, high, value))

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


AFFINE_DRAW: Card = _AffineDraw  # type: ignore[assignment]
WARP: Card = _Warp  # type: ignore[assignment]
BLUR: Card = _Blur  # type: ignore[assignment]
FLIP: Card = _Flip  # type: ignore[assignment]
CROP: Card = _Crop  # type: ignore[assignment]
ERASE: Card = _Erase  # type: ignore[assignment]
