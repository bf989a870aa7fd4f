"""Layers that change images at random while training, each image anew in every step; else they pass them on.

They come first in a model: nothing below them is learnt. The numbers depend on the model's seed, the step, the place of
the layer and the place of the image in its batch, not on threads; a layer called alone with ``training=True`` draws
others at each call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pynn.checks import MOST_SIZE, integer, number, pair
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.nn.module import Module
from pynn.ops import augment

__all__ = [
    "ElasticDeformation", "RandomAffine", "RandomCrop", "RandomErasing", "RandomFlip", "RandomRotation", "RandomShear",
    "RandomShift", "RandomZoom",
]  # fmt: skip


class RandomAffine(Module):
    """Shift, turn, zoom and shear each image at random, in one bilinear pass.

    Parameters
    ----------
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
    name : str, optional
    seed : int, optional
        For a layer that is called alone.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    ShapeError
        When called with anything but images [N, H, W, C].

    Notes
    -----
    Input and output [N, H, W, C]. See :func:`pynn.ops.augment.affine` for the formula.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.RandomAffine(shift=0.1, rotation=10.0, zoom=0.1)
    >>> images = np.ones((2, 28, 28, 1), "float32")
    >>> bool((layer(images).numpy() == images).all()), bool((layer(images, training=True).numpy() == images).all())
    (True, False)
    """

    def __init__(
        self,
        *,
        shift: float | tuple[float, float] = 0.0,
        rotation: float = 0.0,
        zoom: float = 0.0,
        shear: float = 0.0,
        fill: str = "constant",
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        augment.affine_options(self.name, shift, rotation, zoom, shear)
        augment.fill_mode(self.name, fill)
        self.shift, self.rotation, self.zoom, self.shear, self.fill = shift, rotation, zoom, shear, fill

    def forward(self, x: Tensor) -> Tensor:
        if not state.training:
            return augment.checked(self.name, x)
        x = augment.as_images(self.name, x)
        return augment.affine(x, self.shift, self.rotation, self.zoom, self.shear, self.fill, *_random())

    def extra_repr(self) -> str:
        parts = {name: getattr(self, name) for name in ("shift", "rotation", "zoom", "shear")}
        return ", ".join(f"{name}={value}" for name, value in parts.items() if value != 0.0)


class RandomShift(RandomAffine):
    """Shift each image at random: :class:`RandomAffine` with `shift` alone.

    Parameters
    ----------
    shift : float or (float, float)
        Uniform within +- this share of height and width.
    fill : {"constant", "nearest"}, default "constant"
        What stands for pixels from outside of the image: 0, or the nearest one inside.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `shift` is not a number in [0, 1], or `fill` is not one of "constant", "nearest".
    ShapeError
        If the input is not images [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.RandomShift(0.2)
    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> layer(images, training=True).shape, np.array_equal(layer(images), images)
    ((2, 8, 8, 1), True)
    """

    def __init__(
        self,
        shift: float | tuple[float, float],
        *,
        fill: str = "constant",
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(shift=shift, fill=fill, name=name, seed=seed)


class RandomRotation(RandomAffine):
    """Turn each image at random: :class:`RandomAffine` with `rotation` (degrees) alone.

    Parameters
    ----------
    rotation : float
        Degrees; angles are uniform in [-rotation, rotation].
    fill : {"constant", "nearest"}, default "constant"
        What stands for pixels from outside of the image: 0, or the nearest one inside.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `rotation` is not a number in [0, 180], or `fill` is not one of "constant", "nearest".
    ShapeError
        If the input is not images [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.RandomRotation(rotation=10.0)
    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> layer(images, training=True).shape, np.array_equal(layer(images), images)
    ((2, 8, 8, 1), True)
    """

    def __init__(self, *, rotation: float, fill: str = "constant", name: str | None = None, seed: int | None = None):
        super().__init__(rotation=rotation, fill=fill, name=name, seed=seed)


class RandomZoom(RandomAffine):
    """Magnify each image at random, by 1 - zoom to 1 + zoom: :class:`RandomAffine` with `zoom` alone.

    Parameters
    ----------
    zoom : float
        Magnification uniform in [1 - zoom, 1 + zoom]. In [0, 1).
    fill : {"constant", "nearest"}, default "constant"
        What stands for pixels from outside of the image: 0, or the nearest one inside.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `zoom` is not a number in [0, 1), or `fill` is not one of "constant", "nearest".
    ShapeError
        If the input is not images [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.RandomZoom(zoom=0.1)
    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> layer(images, training=True).shape, np.array_equal(layer(images), images)
    ((2, 8, 8, 1), True)
    """

    def __init__(self, *, zoom: float, fill: str = "constant", name: str | None = None, seed: int | None = None):
        super().__init__(zoom=zoom, fill=fill, name=name, seed=seed)


class RandomShear(RandomAffine):
    """Slant each image at random: :class:`RandomAffine` with `shear` (degrees) alone.

    Parameters
    ----------
    shear : float
        Degrees; angles are uniform in [-shear, shear].
    fill : {"constant", "nearest"}, default "constant"
        What stands for pixels from outside of the image: 0, or the nearest one inside.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `shear` is not a number in [0, 89], or `fill` is not one of "constant", "nearest".
    ShapeError
        If the input is not images [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.RandomShear(shear=5.0)
    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> layer(images, training=True).shape, np.array_equal(layer(images), images)
    ((2, 8, 8, 1), True)
    """

    def __init__(self, *, shear: float, fill: str = "constant", name: str | None = None, seed: int | None = None):
        super().__init__(shear=shear, fill=fill, name=name, seed=seed)


class RandomFlip(Module):
    """Mirror each image left to right with probability p.

    Parameters
    ----------
    p : float, default 0.5
        In [0, 1].
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `p` is not a number in [0, 1].
    ShapeError
        If the input is not images [N, H, W, C].

    Notes
    -----
    Input and output [N, H, W, C]; other input raises ShapeError.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.RandomFlip()
    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> layer(images, training=True).shape, np.array_equal(layer(images), images)
    ((2, 8, 8, 1), True)
    """

    def __init__(self, p: float = 0.5, *, name: str | None = None, seed: int | None = None):
        super().__init__(name, seed)
        self.p = number(self.name, "p", p, 0.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        if not state.training:
            return augment.checked(self.name, x)
        return augment.flip(augment.as_images(self.name, x), self.p, *_random())

    def extra_repr(self) -> str:
        return str(self.p)


class RandomCrop(Module):
    """Cut a window out of each padded image, at a random place; when not training, out of the middle.

    Parameters
    ----------
    size : int or (int, int), optional
        Height and width of the window; by default those of the images.
    padding : int, default 0
        Pixels added on all four sides first.
    fill : {"constant", "nearest"}, default "constant"
        What is added: zeros, or the nearest pixel.
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If a parameter is out of range.
    ShapeError
        When called with anything but images, or if the window is larger than the padded image.

    Notes
    -----
    Input [N, H, W, C], output [N, height, width, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.RandomCrop((24, 24))(np.ones((2, 32, 32, 3), "float32")).shape
    (2, 24, 24, 3)
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        *,
        padding: int = 0,
        fill: str = "constant",
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        self.size = None if size is None else pair(self.name, "size", size)
        self.padding, self.fill = integer(self.name, "padding", padding, most=MOST_SIZE), fill
        augment.fill_mode(self.name, fill)

    def forward(self, x: Tensor) -> Tensor:
        if state.training:
            return augment.crop(augment.as_images(self.name, x), self.size, self.padding, self.fill, *_random())
        x = augment.checked(self.name, x)
        if self.size is None:
            return x
        (h, w), (height, width) = x.shape[1:3], self.size
        if height <= h and width <= w:  # what is cut out lies inside: a slice, which has a gradient
            top, left = (h - height + 1) // 2, (w - width + 1) // 2
            return x[:, top : top + height, left : left + width]
        middle = Tensor.state(np.full((x.shape[0], 2), 0.5, x.dtype))
        return augment.crop_at(augment.as_images(self.name, x), middle, self.size, self.padding, self.fill)

    def extra_repr(self) -> str:
        return f"{self.size}, padding={self.padding}"


class RandomErasing(Module):
    """Set a random rectangle of each image to a value, with probability p.

    Parameters
    ----------
    p : float, default 0.5
        In [0, 1].
    area : (float, float), default (0.02, 0.33)
        Least and largest share of the image.
    aspect : (float, float), default (0.3, 3.3)
        Least and largest height / width.
    value : float, default 0
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `p` or `area` is not a number in [0, 1], or `aspect` is not a number in [0.01, 100], or `value` is not a
        number in [-1e+30, 1e+30].
    ShapeError
        If the input is not images [N, H, W, C].

    Notes
    -----
    Input and output [N, H, W, C]; other input raises ShapeError, a parameter out of range ValueError.

    References
    ----------
    Z. Zhong, L. Zheng, G. Kang, S. Li and Y. Yang, "Random erasing data augmentation", AAAI 2020.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.RandomErasing()
    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> layer(images, training=True).shape, np.array_equal(layer(images), images)
    ((2, 8, 8, 1), True)
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        area: tuple[float, float] = (0.02, 0.33),
        aspect: tuple[float, float] = (0.3, 3.3),
        value: float = 0.0,
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        augment.erase_options(self.name, p, area, aspect, value)
        self.p, self.area, self.aspect, self.value = p, area, aspect, value

    def forward(self, x: Tensor) -> Tensor:
        if not state.training:
            return augment.checked(self.name, x)
        x = augment.as_images(self.name, x)
        return augment.erase(x, self.p, self.area, self.aspect, self.value, *_random())

    def extra_repr(self) -> str:
        return f"{self.p}, area={self.area}"


class ElasticDeformation(Module):
    """Deform each image elastically: every pixel is moved by a smooth random field.

    Parameters
    ----------
    alpha : float, default 34
        Strength. At sigma 4 the displacement has a standard deviation of alpha / 25 pixels.
    sigma : float, default 4
        Standard deviation, in pixels, of the Gaussian that smooths the field.
    fill : {"constant", "nearest"}, default "constant"
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `alpha` is not a number in [0, 1e+06], or `sigma` is not a number in [0, 1000], or `fill` is not one of
        "constant", "nearest".
    ShapeError
        If the input is not images [N, H, W, C].

    Notes
    -----
    Input and output [N, H, W, C]; other input raises ShapeError, a parameter out of range ValueError.

    References
    ----------
    P. Simard, D. Steinkraus and J. Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", ICDAR 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.ElasticDeformation()
    >>> images = np.random.default_rng(0).random((2, 8, 8, 1), "float32")
    >>> layer(images, training=True).shape, np.array_equal(layer(images), images)
    ((2, 8, 8, 1), True)
    """

    def __init__(
        self,
        alpha: float = 34.0,
        sigma: float = 4.0,
        *,
        fill: str = "constant",
        name: str | None = None,
        seed: int | None = None,
    ):
        super().__init__(name, seed)
        augment.elastic_options(self.name, alpha, sigma)
        augment.fill_mode(self.name, fill)
        self.alpha, self.sigma, self.fill = alpha, sigma, fill

    def forward(self, x: Tensor) -> Tensor:
        if not state.training:
            return augment.checked(self.name, x)
        return augment.elastic(augment.as_images(self.name, x), self.alpha, self.sigma, self.fill, *_random())

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, sigma={self.sigma}"


def _random() -> tuple[Tensor, Tensor, int]:
    """Return the seed and the step of this training step, and a salt of one's own."""
    return state.rng.seed, state.rng.step, state.rng.salt()
