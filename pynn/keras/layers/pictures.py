"""Layers that prepare data: scaling, normalization, random changes of images, numbers as one-hot rows."""

from __future__ import annotations

import numpy as np

from pynn import nn, ops, random
from pynn.core.context import training as training_mode
from pynn.core.tensor import Tensor
from pynn.keras.layer import Layer
from pynn.keras.names import refused
from pynn.ops import augment

__all__ = [
    "CategoryEncoding", "CenterCrop", "Normalization", "RandomBrightness", "RandomContrast", "RandomCrop", "RandomFlip",
    "RandomRotation", "RandomTranslation", "RandomZoom", "Rescaling", "Resizing",
]  # fmt: skip


class _Prepares(Layer):
    """A layer that is also called with single images, and with numbers that are no batch."""

    def _real(self, x):
        return x if x.dtype.kind == "f" else x.astype("float32")

    def _batch(self, function, x):
        """Return function(x) of a batch of images, or of one image."""
        x = self._real(x)
        return function(x) if x.ndim == 4 else function(ops.reshape(x, (1, *x.shape)))[0]


class Rescaling(_Prepares):
    """y = scale * x + offset."""

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs):
        """Scale."""
        scale, offset = (np.asarray(v, "float32") if np.ndim(v) else float(v) for v in (self.scale, self.offset))
        return self._real(inputs) * scale + offset


class Normalization(Layer, nn.Normalization):
    """y = (x - mean) / sqrt(variance), with statistics that are given or that adapt() finds."""

    call, build = nn.Normalization.forward, nn.Normalization.build

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        self._make(nn.Normalization, kwargs, axis, mean, variance, invert)

    def adapt(self, data, batch_size=None, steps=None):
        """Find mean and variance of data."""
        if hasattr(data, "numpy"):
            data = data.numpy()
        if isinstance(data, np.ndarray) and data.ndim == 1:
            data = data[:, None]
        nn.Normalization.adapt(self, data, batch_size, steps)

    def _kept_axes(self, rank, came):
        return nn.Normalization._kept_axes(self, rank, came)


class Resizing(_Prepares):
    """Images of another size."""

    def __init__(self, height, width, interpolation="bilinear", crop_to_aspect_ratio=False, pad_to_aspect_ratio=False,
                 fill_mode="constant", fill_value=0.0, antialias=False, data_format=None, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        if pad_to_aspect_ratio or antialias or data_format == "channels_first":
            refused("Resizing with pad_to_aspect_ratio, antialias or channels_first", "leave them out")
        if interpolation not in ("bilinear", "nearest"):
            refused(f"Resizing(interpolation={interpolation!r})", "there are 'bilinear' and 'nearest'")
        self.height, self.width, self.interpolation = int(height), int(width), interpolation
        self.crop_to_aspect_ratio = crop_to_aspect_ratio

    def call(self, inputs):
        """Resize."""
        return self._batch(self._resized, inputs)

    def _resized(self, x):
        if self.crop_to_aspect_ratio:
            rows = min(x.shape[1], int(x.shape[2] * self.height / self.width))
            columns = min(x.shape[2], int(x.shape[1] * self.width / self.height))
            x = _middle(x, rows, columns)
        for axis, size in ((1, self.height), (2, self.width)):
            m = Tensor.state(_weights(x.shape[axis], size, self.interpolation))
            order = (0, 3, 2, 1) if axis == 1 else (0, 1, 3, 2)
            x = ops.transpose(ops.matmul(ops.transpose(x, order), m), order)
        return x


def _weights(old, new, interpolation):
    """Return [old, new]: how much of each place each new place takes."""
    at = (np.arange(new) + 0.5) * old / new
    found = np.zeros((old, new), "float32")
    if interpolation == "nearest":
        found[np.minimum(at.astype(int), old - 1), np.arange(new)] = 1
        return found
    at = np.clip(at - 0.5, 0, old - 1)
    low = np.minimum(at.astype(int), old - 1)
    high, share = np.minimum(low + 1, old - 1), at - low
    found[low, np.arange(new)] += 1 - share
    found[high, np.arange(new)] += share
    return found


def _middle(x, rows, columns):
    top, left = (x.shape[1] - rows) // 2, (x.shape[2] - columns) // 2
    return x[:, top : top + rows, left : left + columns]


class CenterCrop(_Prepares):
    """The middle of images."""

    def __init__(self, height, width, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.height, self.width, self.data_format = height, width, data_format

    def call(self, inputs):
        """Cut."""
        return self._batch(lambda x: _middle(x, self.height, self.width), inputs)


class _Random(_Prepares):
    """A change that is made while training alone."""

    def call(self, inputs, training=True):
        """Change images while training."""
        if not training:
            return self._real(inputs)
        return self._batch(self.changed, inputs)

    def __call__(self, *args, **kwargs):
        """Change images; outside of a model too, where Keras takes training to be meant."""
        from pynn.core.state import state

        if kwargs.get("training") is None and not state.scope and not state.training and state.rng is None:
            kwargs["training"] = True
        return super().__call__(*args, **kwargs)


class RandomFlip(_Random):
    """Mirror images at random."""

    def __init__(self, mode="horizontal_and_vertical", seed=None, data_format=None, **kwargs):
        super().__init__(**kwargs)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ValueError(f"[random_flip] expected mode 'horizontal', 'vertical' or both. Received: {mode!r}.")
        self.mode, self.seed, self.data_format = mode, seed, data_format

    def changed(self, x):
        """Return images mirrored at random."""
        for name, axis in (("horizontal", 2), ("vertical", 1)):
            if name in self.mode:
                on = random.bernoulli((x.shape[0], 1, 1, 1), 0.5)
                key = (slice(None),) * axis + (slice(None, None, -1),)
                x = on * x[key] + (1.0 - on) * x
        return x


def _span(factor):
    low, high = (-factor, factor) if np.ndim(factor) == 0 else factor
    return float(low), float(high)


class _Warped(_Random):
    fill_mode = "reflect"

    def _fill(self, fill_mode, fill_value=0.0):
        if fill_mode not in ("reflect", "wrap", "constant", "nearest"):
            raise ValueError(f"[{self.name}] expected fill_mode 'reflect', 'wrap', 'constant' or 'nearest'. "
                             f"Received: {fill_mode!r}.")  # fmt: skip
        self.fill_mode, self.fill_value = fill_mode, fill_value

    def _warp(self, x, a, b, c, d, rows, columns):
        """Return images resampled at (row, column) @ [[a, b], [c, d]] about the middle, plus a shift."""
        n, h, w = x.shape[:3]
        mid_y, mid_x = (h - 1) / 2, (w - 1) / 2
        shift_y = rows + mid_y - (a * mid_y + b * mid_x)
        shift_x = columns + mid_x - (c * mid_y + d * mid_x)
        parts = [ops.reshape(v, (n, 1)) for v in (a, b, shift_y, c, d, shift_x)]
        matrices = ops.reshape(ops.concat(parts, 1), (n, 2, 3))
        # What lies outside is the nearest pixel: for small moves that is close to a reflection.
        return augment.warp(x.detach(), matrices, fill="constant" if self.fill_mode == "constant" else "nearest")


def _drawn(x, low, high):
    return random.uniform((x.shape[0],), low, high)


class RandomRotation(_Warped):
    """Turn images at random, by parts of a whole turn."""

    def __init__(self, factor, fill_mode="reflect", interpolation="bilinear", seed=None, fill_value=0.0,
                 data_format=None, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.factor, self.interpolation, self.seed, self.data_format = factor, interpolation, seed, data_format
        self._fill(fill_mode, fill_value)

    def changed(self, x):
        """Return images turned at random."""
        low, high = _span(self.factor)
        angle = _drawn(x, low * 2 * np.pi, high * 2 * np.pi)
        c, s, zero = ops.cos(angle), ops.sin(angle), ops.zeros((x.shape[0],))
        return self._warp(x, c, -s, s, c, zero, zero)


class RandomTranslation(_Warped):
    """Move images at random, by parts of their size."""

    def __init__(self, height_factor, width_factor, fill_mode="reflect", interpolation="bilinear", seed=None,
                 fill_value=0.0, data_format=None, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.height_factor, self.width_factor, self.interpolation = height_factor, width_factor, interpolation
        self.seed, self.data_format = seed, data_format
        self._fill(fill_mode, fill_value)

    def changed(self, x):
        """Return images moved at random."""
        (a, b), (c, d) = _span(self.height_factor), _span(self.width_factor)
        one, zero = ops.ones((x.shape[0],)), ops.zeros((x.shape[0],))
        return self._warp(x, one, zero, zero, one, -_drawn(x, a * x.shape[1], b * x.shape[1]),
                          -_drawn(x, c * x.shape[2], d * x.shape[2]))  # fmt: skip


class RandomZoom(_Warped):
    """Enlarge images at random, where factors are below 0, or make them smaller."""

    def __init__(self, height_factor, width_factor=None, fill_mode="reflect", interpolation="bilinear", seed=None,
                 fill_value=0.0, data_format=None, **kwargs):  # fmt: skip
        super().__init__(**kwargs)
        self.height_factor, self.width_factor, self.interpolation = height_factor, width_factor, interpolation
        self.seed, self.data_format = seed, data_format
        self._fill(fill_mode, fill_value)

    def changed(self, x):
        """Return images of random sizes."""
        tall = 1.0 + _drawn(x, *_span(self.height_factor))
        wide = tall if self.width_factor is None else 1.0 + _drawn(x, *_span(self.width_factor))
        zero = ops.zeros((x.shape[0],))
        return self._warp(x, tall, zero, zero, wide, zero, zero)


class RandomContrast(_Random):
    """Change the contrast of images at random, about their mean."""

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.value_range, self.seed = factor, value_range, seed

    def changed(self, x):
        """Return images of random contrast."""
        low, high = (self.factor,) * 2 if np.ndim(self.factor) == 0 else self.factor
        factor = ops.reshape(_drawn(x, 1.0 - low, 1.0 + high), (x.shape[0], 1, 1, 1))
        mean = ops.mean(x, axis=(1, 2), keepdims=True)
        return ops.clip((x - mean) * factor + mean, *map(float, self.value_range))


class RandomBrightness(_Random):
    """Add a random number to images."""

    def __init__(self, factor, value_range=(0, 255), seed=None, **kwargs):
        super().__init__(**kwargs)
        self.factor, self.value_range, self.seed = factor, value_range, seed

    def changed(self, x):
        """Return images of random brightness."""
        low, high = _span(self.factor)
        span = float(self.value_range[1] - self.value_range[0])
        more = ops.reshape(_drawn(x, low * span, high * span), (x.shape[0], 1, 1, 1))
        return ops.clip(x + more, *map(float, self.value_range))


class RandomCrop(_Random):
    """A random part of images while training, the middle else."""

    def __init__(self, height, width, seed=None, data_format=None, name=None, **kwargs):
        super().__init__(name=name, **kwargs)
        self.height, self.width, self.seed, self.data_format = height, width, seed, data_format
        self._crop = nn.RandomCrop((height, width))

    def call(self, inputs, training=True):
        """Cut."""

        def cut(x):
            with training_mode(bool(training)) if not training else _as_it_is():
                return self._crop(x.detach())

        return self._batch(cut, inputs)


def _as_it_is():
    import contextlib

    return contextlib.nullcontext()


class CategoryEncoding(_Prepares):
    """Numbers of classes as rows: one-hot, multi-hot, or counts."""

    def __init__(self, num_tokens=None, output_mode="multi_hot", sparse=False, **kwargs):
        super().__init__(**kwargs)
        if sparse:
            refused("CategoryEncoding(sparse=True)", "rows are dense")
        if output_mode not in ("one_hot", "multi_hot", "count"):
            raise ValueError(f"[category_encoding] expected output_mode 'one_hot', 'multi_hot' or 'count'. "
                             f"Received: {output_mode!r}.")  # fmt: skip
        self.num_tokens, self.output_mode = num_tokens, output_mode

    def call(self, inputs, count_weights=None):
        """Encode."""
        x = inputs.astype("int32") if inputs.dtype.kind == "f" else inputs
        hot = ops.eye_rows(ops.reshape(x, (x.size,)), self.num_tokens)
        if self.output_mode == "one_hot":
            lead = x.shape[:-1] if x.ndim > 1 and x.shape[-1] == 1 else x.shape
            return ops.reshape(hot, (*lead, self.num_tokens))
        rows = ops.reshape(hot, (*x.shape, self.num_tokens)) if x.ndim > 1 else hot
        if x.ndim < 2:
            return rows
        return ops.max(rows, axis=1) if self.output_mode == "multi_hot" else ops.sum(rows, axis=1)
