"""Layers that normalize, and dropout of whole feature maps."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from pynn import init, ops, regularizers
from pynn.checks import flag, integer, is_integer, number, positive
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.field import Field
from pynn.nn.layers import Dropout
from pynn.nn.module import Module
from pynn.ops.common import size
from pynn.ops.norm import track
from pynn.ops.norm_shared import shared_batch_norm

__all__ = [
    "BatchNormalization", "GroupNormalization", "LayerNormalization", "LocalContrastNormalization",
    "LocalResponseNormalization", "SpatialDropout2D",
]  # fmt: skip


_warned: weakref.WeakSet[Any] = weakref.WeakSet()  # layers that met a batch of one


class _Normalization(Module):
    """Scale and shift, which the normalizing layers share."""

    gamma: Tensor
    beta: Tensor

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: str | Callable[..., Any],
        gamma_initializer: str | Callable[..., Any],
        beta_regularizer: str | Callable[..., Any] | None,
        gamma_regularizer: str | Callable[..., Any] | None,
        name: str | None,
    ):
        super().__init__(name)
        self.epsilon = number(self.name, "epsilon", epsilon, 0)
        self.center, self.scale = flag(self.name, "center", center), flag(self.name, "scale", scale)
        self._initializers = init.get(gamma_initializer), init.get(beta_initializer)
        self._penalties = regularizers.get(gamma_regularizer), regularizers.get(beta_regularizer)

    def _add_affine(self, shape: tuple[int, ...]) -> None:
        if self.scale:
            self.add_weight("gamma", shape, self._initializers[0], regularizer=self._penalties[0])
        if self.center:
            self.add_weight("beta", shape, self._initializers[1], regularizer=self._penalties[1])

    @property
    def _affine(self) -> tuple[Tensor | None, Tensor | None]:
        return self.gamma if self.scale else None, self.beta if self.center else None

    def _channels(self, input_shape: tuple[int, ...]) -> int:
        if len(input_shape) < 2:
            raise ShapeError(f"[{self.name}] expected a batch [N, ..., C]. Received: x.shape={input_shape}.")
        return input_shape[-1]


def _only_last(place: str, axis: Any) -> None:
    """Raise ValueError for channels on another axis than the last, where pynn has them."""
    if axis != -1:
        raise ValueError(
            f"[{place}] expected channels on the last axis, axis=-1. Received: axis={axis!r}. "
            "help: images are [N, H, W, C]; a momentum or an epsilon is given by name."
        )


class BatchNormalization(_Normalization):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, per channel over the batch and all pixels.

    While training, the statistics are the batch's own, and running averages follow them; otherwise the running averages
    normalize.

    Parameters
    ----------
    axis : int, default -1
        Of the channels, which are the last axis.
    momentum : float, default 0.99
        running = momentum * running + (1 - momentum) * batch.
    epsilon : float, default 1e-3
    center : bool, default True
        Whether there is a ``beta``.
    scale : bool, default True
        Whether there is a ``gamma``.
    beta_initializer : str or initializer, default "zeros"
        First values of ``beta``.
    gamma_initializer : str or initializer, default "ones"
        First values of ``gamma``.
    moving_mean_initializer : str or initializer, default "zeros"
        First values of ``moving_mean``.
    moving_variance_initializer : str or initializer, default "ones"
        First values of ``moving_variance``.
    beta_regularizer : regularizer, optional
        Penalty on ``beta``.
    gamma_regularizer : regularizer, optional
        Penalty on ``gamma``.
    sync : bool, default True
        Of batches in segments (``fit(..., accumulate=k)``, several processes): whether the statistics are those of the
        whole batch, for which all segments are held in memory, or each segment's own. Of padded sequences they are
        each segment's own.
    name : str, optional

    Raises
    ------
    ValueError
        If `momentum` is not a number in [0, 1], or `epsilon` is not a finite number of at least 0, or the name of
        an initializer or regularizer is not known, or `axis` is not the last one.
    ShapeError
        If the input is not a batch [N, ..., C].

    Notes
    -----
    Weights ``gamma``, ``beta`` [C]; state ``moving_mean``, ``moving_variance`` [C], which get_weights() includes and no
    optimizer touches. A layer with ``trainable = False`` runs as in inference. The variance, also that which the moving
    one follows, is divided by the number of values N, as in Keras 3; PyTorch normalizes with N too, but follows a
    variance divided by N - 1. Padding of sequences does not count. A batch of one value per channel is warned of.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> layer = nn.BatchNormalization()
    >>> layer(np.ones((4, 8, 8, 3), "float32")).shape, len(layer.get_weights())
    ((4, 8, 8, 3), 4)
    """

    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        beta_initializer: str | Callable[..., Any] = "zeros",
        gamma_initializer: str | Callable[..., Any] = "ones",
        moving_mean_initializer: str | Callable[..., Any] = "zeros",
        moving_variance_initializer: str | Callable[..., Any] = "ones",
        beta_regularizer: str | Callable[..., Any] | None = None,
        gamma_regularizer: str | Callable[..., Any] | None = None,
        sync: bool = True,
        name: str | None = None,
    ):
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, name
        )
        _only_last(self.name, axis)
        self.sync = flag(self.name, "sync", sync)
        self.momentum = number(self.name, "momentum", momentum, 0, 1)
        self._moving = init.get(moving_mean_initializer), init.get(moving_variance_initializer)

    def build(self, input_shape: tuple[int, ...]) -> None:
        c = self._channels(input_shape)
        self._add_affine((c,))
        self.add_weight("moving_mean", (c,), self._moving[0], trainable=False)
        self.add_weight("moving_variance", (c,), self._moving[1], trainable=False)

    def forward(self, x: Tensor) -> Tensor:
        training = state.training and self.trainable
        if training and self.sync and state.shared is not None and (x.lengths is None or x.ndim == 2):

            def follow(m: Tensor, v: Tensor) -> None:
                track(m, v, self.moving_mean, self.moving_variance, self.momentum)

            return shared_batch_norm(x, *self._affine, self.epsilon, follow)
        if training and size(x.shape[:-1]) == 1 and self not in _warned:
            _warned.add(self)
            warnings.warn(
                f"[{self.name}] met a batch with one value per channel while training: its variance is 0, so the "
                f"output is beta alone, and the moving variance shrinks. Received: x.shape={x.shape}. help: choose a "
                "batch_size that leaves no single row over, leave that row out, or use nn.LayerNormalization.",
                RuntimeWarning,
                stacklevel=2,
            )
        return ops.batch_norm(
            x, *self._affine, self.moving_mean, self.moving_variance, training, self.momentum, self.epsilon
        )

    def extra_repr(self) -> str:
        return f"momentum={self.momentum}"


class LayerNormalization(_Normalization):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics of each sample's last axes.

    Parameters
    ----------
    axis : int or tuple of int, default -1
        The last axis, or several last axes.
    epsilon : float, default 1e-3
    center : bool, default True
        Whether there is a ``beta``.
    scale : bool, default True
        Whether there is a ``gamma``.
    beta_initializer : str or initializer, default "zeros"
        First values of ``beta``.
    gamma_initializer : str or initializer, default "ones"
        First values of ``gamma``.
    beta_regularizer : regularizer, optional
        Penalty on ``beta``.
    gamma_regularizer : regularizer, optional
        Penalty on ``gamma``.
    name : str, optional

    Raises
    ------
    ValueError
        If `axis` is not an integer or several, or `epsilon` is not a finite number of at least 0, or the name of an
        initializer or regularizer is not known.
    ShapeError
        If the input is not a batch [N, ..., C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.LayerNormalization()(np.ones((2, 5, 4), "float32")).shape
    (2, 5, 4)
    """

    def __init__(
        self,
        axis: int | tuple[int, ...] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        beta_initializer: str | Callable[..., Any] = "zeros",
        gamma_initializer: str | Callable[..., Any] = "ones",
        beta_regularizer: str | Callable[..., Any] | None = None,
        gamma_regularizer: str | Callable[..., Any] | None = None,
        name: str | None = None,
    ):
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, name
        )
        axes = tuple(axis) if isinstance(axis, Iterable) else (axis,)
        if not all(is_integer(a) for a in axes):
            raise ValueError(f"[{self.name}] expected axis to be an integer or several. Received: axis={axis!r}.")
        self.axis = tuple(int(a) for a in axes)

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._channels(input_shape)
        ndim, count = len(input_shape), len(self.axis)
        if sorted(a % ndim for a in self.axis) != list(range(ndim - count, ndim)) or count >= ndim:
            raise ShapeError(
                f"[{self.name}] expected the last axes. Received: axis={self.axis} for x.shape={input_shape}."
            )
        self._add_affine(input_shape[ndim - count :])

    def forward(self, x: Tensor) -> Tensor:
        count = len(self.axis)
        flat = (*x.shape[: x.ndim - count], size(x.shape[x.ndim - count :]))
        gamma, beta = (None if p is None else ops.reshape(p, (flat[-1],)) for p in self._affine)
        return ops.reshape(ops.layer_norm(ops.reshape(x, flat), gamma, beta, self.epsilon), x.shape)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class GroupNormalization(_Normalization):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, with the statistics of a group of channels of one sample.

    Parameters
    ----------
    groups : int, default 32
        -1 is one channel per group (instance normalization).
    axis : int, default -1
        Of the channels, which are the last axis.
    epsilon : float, default 1e-3
    center : bool, default True
        Whether there is a ``beta``.
    scale : bool, default True
        Whether there is a ``gamma``.
    beta_initializer : str or initializer, default "zeros"
        First values of ``beta``.
    gamma_initializer : str or initializer, default "ones"
        First values of ``gamma``.
    beta_regularizer : regularizer, optional
        Penalty on ``beta``.
    gamma_regularizer : regularizer, optional
        Penalty on ``gamma``.
    name : str, optional

    Raises
    ------
    ValueError
        If `groups` is not a positive integer, or `epsilon` is not a finite number of at least 0, or the name of an
        initializer or regularizer is not known, or `axis` is not the last one.
    ShapeError
        If the input is not a batch [N, ..., C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.GroupNormalization(2)(np.ones((2, 5, 5, 4), "float32")).shape
    (2, 5, 5, 4)
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        *,
        beta_initializer: str | Callable[..., Any] = "zeros",
        gamma_initializer: str | Callable[..., Any] = "ones",
        beta_regularizer: str | Callable[..., Any] | None = None,
        gamma_regularizer: str | Callable[..., Any] | None = None,
        name: str | None = None,
    ):
        super().__init__(
            epsilon, center, scale, beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, name
        )
        _only_last(self.name, axis)
        self.groups = groups if groups == -1 else positive("group_normalization", "groups", groups)

    def build(self, input_shape: tuple[int, ...]) -> None:
        c = self._channels(input_shape)
        if self.groups != -1 and c % self.groups:
            raise ShapeError(
                f"[{self.name}] expected groups that divide the channels. "
                f"Received: groups={self.groups}, x.shape={input_shape}."
            )
        self._add_affine((c,))

    def forward(self, x: Tensor) -> Tensor:
        groups = x.shape[-1] if self.groups == -1 else self.groups
        return ops.group_norm(x, groups, *self._affine, self.epsilon)

    def extra_repr(self) -> str:
        return str(self.groups)


class LocalResponseNormalization(Module):
    """y = x / (bias + alpha * sum of x**2 over neighbouring channels) ** beta, as in AlexNet.

    Parameters
    ----------
    depth_radius : int, default 2
        Neighbours on each side.
    bias : float, default 2.0
        The constant of the sum.
    alpha : float, default 0.0001
        Factor of the sum of squares.
    beta : float, default 0.75
        The exponent.
    name : str, optional

    Raises
    ------
    ValueError
        If `depth_radius` is not an integer of at least 0, or `bias` is not a finite number above 0, or `alpha` or
        `beta` is not a finite number.
    ShapeError
        If the input is not a batch with channels last, [N, ..., C].

    References
    ----------
    Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks (NeurIPS 2012).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.LocalResponseNormalization()(np.ones((1, 8, 8, 3), "float32")).shape
    (1, 8, 8, 3)
    """

    def __init__(
        self,
        depth_radius: int = 2,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        *,
        name: str | None = None,
    ):
        super().__init__(name)
        place = "local_response_normalization"
        self.depth_radius = integer(place, "depth_radius", depth_radius)
        self.bias, self.alpha = number(place, "bias", bias, 0, open_low=True), number(place, "alpha", alpha)
        self.beta = number(place, "beta", beta)

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_response_norm(x, self.depth_radius, self.bias, self.alpha, self.beta)

    def extra_repr(self) -> str:
        return f"{self.depth_radius}, bias={self.bias}, alpha={self.alpha}, beta={self.beta}"


class LocalContrastNormalization(Module):
    """Each pixel less the local mean, divided by the local deviation (see ops.local_contrast_norm).

    Parameters
    ----------
    window : int, default 9
        Odd.
    epsilon : float, default 1e-6
    name : str, optional

    Raises
    ------
    ValueError
        If `window` is not a positive integer, or `epsilon` is not a finite number of at least 0.
    ShapeError
        If the input is not images of shape [N, H, W, C].

    References
    ----------
    Jarrett, Kavukcuoglu, Ranzato, LeCun: What is the best multi-stage architecture for object recognition? (ICCV 2009).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.LocalContrastNormalization(5)(np.ones((1, 8, 8, 3), "float32")).shape
    (1, 8, 8, 3)
    """

    def __init__(self, window: int = 9, epsilon: float = 1e-6, *, name: str | None = None):
        super().__init__(name)
        self.window_size = positive("local_contrast_normalization", "window", window)
        self.epsilon = number("local_contrast_normalization", "epsilon", epsilon, 0)
        if window % 2 == 0:
            raise ValueError(f"[local_contrast_normalization] expected an odd window. Received: window={window}.")

    def window(self) -> Field:
        """Return how many pixels an output sees: those in the windows of what lies in its window."""
        return (2 * self.window_size - 1,) * 2, (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return ops.local_contrast_norm(x, self.window_size, self.epsilon)

    def extra_repr(self) -> str:
        return str(self.window_size)


class SpatialDropout2D(Dropout):
    """Dropout of whole feature maps: neighbouring pixels are so alike that single ones would not be missed.

    Parameters
    ----------
    rate : float
        In [0, 1).
    name : str, optional
    seed : int, optional

    Raises
    ------
    ValueError
        If `rate` is not a number in [0, 1).
    ShapeError
        If the input is not images [N, H, W, C].

    References
    ----------
    Tompson, Goroshin, Jain, LeCun, Bregler: Efficient object localization using convolutional networks (CVPR 2015).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.SpatialDropout2D(0.5)(np.ones((1, 4, 4, 3), "float32")).shape
    (1, 4, 4, 3)
    """

    def forward(self, x: Tensor) -> Tensor:
        if not state.training or self.rate == 0:
            return x
        if x.ndim != 4:
            raise ShapeError(f"[spatial_dropout2d] expected images [N, H, W, C]. Received: x.shape={x.shape}.")
        kept = super().forward(ops.ones((x.shape[0], 1, 1, x.shape[3]), x.dtype))
        return x * kept
