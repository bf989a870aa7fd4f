"""A layer that moves the colours of images at random, along the directions in which those of the data vary."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import init
from pynn.checks import number
from pynn.core.state import no_grad, state, trial
from pynn.core.tensor import Tensor, to_array
from pynn.errors import DataError, ShapeError
from pynn.nn.module import Module
from pynn.nn.normalization import rows_of
from pynn.ops import augment
from pynn.train.data import check_finite

__all__ = ["RandomPCAColor"]

ROWS = 256  # images that are looked at in one go


class RandomPCAColor(Module):
    """y = x + sum_i a_i P_i, a_i ~ N(0, scale): each image's colours, moved along their principal components.

    P_i is as long as the standard deviation of the data's colours along it, so that `scale` is a share of that.
    :meth:`adapt` finds them; before that they are the axes, of length 1. Active in training alone.

    Parameters
    ----------
    scale : float, default 0.1
        Standard deviation of the random factors, 0 or more.
    components : array_like [C, C], optional
        Known ones, P_i in row i. Then there is nothing to adapt.
    name : str, optional
    seed : int, optional
        For a layer that is called alone.

    Raises
    ------
    ValueError
        If `scale` is below 0.
    ShapeError
        If `components` are not a square, or not of as many channels as the images, or when called with anything but
        images [N, H, W, C].
    DTypeError
        If `components` are no numbers.
    DataError
        If they are not finite.

    Notes
    -----
    Input and output [N, H, W, C]; bytes become 0 to 1 first. Weight ``components`` [C, C], which is not trained. The
    paper's formula has the eigenvalue of the covariance where the length of P_i is its root: with pixels of 0 to 255
    the two differ, and only the root moves colours alike whatever their unit.

    References
    ----------
    A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet classification with deep convolutional neural networks", 2012,
    section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> images = np.random.default_rng(0).random((8, 6, 6, 1), "float32") * [1.0, 1.0, 0.5]
    >>> layer = nn.RandomPCAColor()
    >>> layer.adapt(images)
    >>> bool(abs(layer.components.numpy()[0] / layer.components.numpy()[0, 0] - [1.0, 1.0, 0.5]).max() < 1e-5)
    True
    >>> np.allclose(layer(images), images), np.allclose(layer(images, training=True), images)
    (True, False)
    """

    components: Tensor

    def __init__(self, scale: float = 0.1, components: Any = None, *, name: str | None = None, seed: int | None = None):
        super().__init__(name, seed)
        self.scale = number(self.name, "scale", scale, 0.0)
        self._known = None
        if components is not None:
            known = to_array(components, self.name)
            check_finite(known, "components", self.name)
            if known.ndim != 2 or known.shape[0] != known.shape[1]:
                raise ShapeError(f"[{self.name}] expected components [C, C]. Received: {known.shape}.")
            self._known = known

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Declare the components: those that were given, or the axes."""
        if len(input_shape) != 4:
            raise ShapeError(f"[{self.name}] expected images [N, H, W, C]. Received: x.shape={input_shape}.")
        channels = input_shape[3]
        if self._known is not None and len(self._known) != channels:
            raise ShapeError(
                f"[{self.name}] expected images of {len(self._known)} channels, as there are components. "
                f"Received: x.shape={input_shape}."
            )
        first = np.eye(channels) if self._known is None else self._known
        self.add_weight("components", (channels, channels), init.Constant(first), trainable=False)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Set the components to those of the colours of images; what was learned from others before is forgotten.

        Parameters
        ----------
        data : array_like [N, H, W, C], or what gives batches
            As :meth:`pynn.nn.Module.predict` takes it: of batches (x, y) only x counts. Bytes become 0 to 1.
        batch_size : int, optional
            Images that are looked at in one go.
        steps : int, optional
            How many batches to take of an iterable.

        Raises
        ------
        DataError
            If there are no pixels, or if a value is NaN or infinite.
        ShapeError
            If they are not images, or not of the channels that the layer was built for.
        RuntimeError
            If components were given to the layer.
        """
        if self._known is not None:
            raise RuntimeError(f"[{self.name}] components were given: there is nothing to adapt.")
        place = "randompcacolor.adapt"
        count = 0
        total: Any = 0.0
        squares: Any = 0.0
        for images in rows_of(data, batch_size or ROWS, steps, place):
            check_finite(images, "x", place)
            if images.ndim != 4:
                raise ShapeError(f"[{place}] expected images [N, H, W, C]. Received: x.shape={images.shape}.")
            if not self.built:
                with no_grad(), trial():
                    self(Tensor.state(np.zeros((1, 1, 1, images.shape[3]), self.dtype)))
            if images.shape[3] != len(self.components):
                raise ShapeError(
                    f"[{place}] expected images of {len(self.components)} channels, as the layer was built for. "
                    f"Received: x.shape={images.shape}."
                )
            colors = images.reshape(-1, images.shape[3]).astype(np.float64)
            if images.dtype == np.uint8:
                colors /= 255
            count, total, squares = count + len(colors), total + colors.sum(0), squares + colors.T @ colors
        if not count:
            raise DataError(f"[{place}] expected at least one pixel. Received: none.")
        mean = total / count
        values, vectors = np.linalg.eigh(squares / count - np.outer(mean, mean))
        lengths = np.sqrt(np.maximum(values, 0.0))[::-1]  # the longest first
        self._write("components", lengths[:, None] * vectors.T[::-1])

    def forward(self, x: Tensor) -> Tensor:
        if not state.training:
            return augment.checked(self.name, x)
        x = augment.as_images(self.name, x)
        return augment.color(x, self.components, self.scale, state.rng.seed, state.rng.step, state.rng.salt())

    def _record(self, scribe: Any, place: str) -> dict[str, Any]:
        if self._arguments["components"] is not None:  # a file has lists of numbers
            self._arguments["components"] = np.asarray(self._arguments["components"]).tolist()
        return super()._record(scribe, place)

    def extra_repr(self) -> str:
        return f"scale={self.scale}"
