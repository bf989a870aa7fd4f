"""A layer that brings features to mean 0 and variance 1, with numbers taken from data before training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pynn import init, ops
from pynn.checks import is_integer
from pynn.core.foreign import is_array
from pynn.core.state import no_grad, trial
from pynn.core.tensor import FLOATS, Tensor, to_array
from pynn.errors import DataError, ShapeError
from pynn.nn.module import Module
from pynn.train.data import check_finite
from pynn.train.feed import Feed, gives_batches, inputs_of

__all__ = ["ROWS", "Normalization", "rows_of"]

LEAST = 1e-7  # the least standard deviation that is divided by
ROWS = 4096  # of data that are converted at a time


class Normalization(Module):
    """y = (x - mean) / sqrt(variance), with mean and variance of each feature as :meth:`adapt` found them in data.

    A model that begins with it takes numbers as they are measured, in every call, in its file and in its exports, also
    uint8 arrays, whose bytes are numbers of 0 to 255 then.

    Parameters
    ----------
    axis : int, sequence of int or None, default -1
        The axes that each have numbers of their own; the batch is none of them. None: one mean and variance for all.
    mean : float or array_like, optional
        Known ones, both or neither, of the shape of the kept axes or what can be expanded to it. Then there is nothing
        to adapt.
    variance : float or array_like, optional
        Given with `mean`.
        Known ones, both or neither, of the shape of the kept axes or what can be expanded to it. Then there is nothing
        to adapt.
    invert : bool, default False
        Turn it round: y = mean + sqrt(variance) x.
    name : str, optional

    Raises
    ------
    ValueError
        If axis is no axis of a sample, if one of mean and variance is given alone, or if a variance is negative.
    ShapeError
        If the input is not a batch of samples, [N, ...], or of other sizes than the layer was built for.

    Notes
    -----
    Weights ``mean`` and ``variance`` [sizes of the kept axes]; they are not trained. A feature that never varies is
    only shifted: at least 1e-7 is divided by.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> x = np.array([[1.0, 200.0], [3.0, 600.0]], "float32")
    >>> layer = nn.Normalization()
    >>> layer.adapt(x)
    >>> layer(x).numpy()
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        *,
        name: str | None = None,
    ):
        super().__init__(name)
        axes = () if axis is None else (axis,) if is_integer(axis) else tuple(axis)  # type: ignore[arg-type]
        if not all(is_integer(a) and a != 0 for a in axes) or (axis is not None and not axes):
            raise ValueError(f"[normalization] expected axes other than 0, the batch. Received: axis={axis!r}.")
        if (mean is None) != (variance is None):
            raise ValueError(
                f"[normalization] expected both mean and variance, or neither. Received: mean={mean!r}, "
                f"variance={variance!r}."
            )
        known = None
        if mean is not None:
            known = to_array(mean, "normalization"), to_array(variance, "normalization")
            for key, array in zip(("mean", "variance"), known, strict=True):
                check_finite(array, key, "normalization")
            if (known[1] < 0).any():
                raise ValueError(f"[normalization] expected a variance of at least 0. Received: {variance!r}.")
        self.axis = None if axis is None else tuple(int(a) for a in axes)
        self.invert = bool(invert)
        self._known = known

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Declare mean 0 and variance 1 for each place of the kept axes, or those that were given."""
        kept = self._kept_axes(len(input_shape), f"x.shape={input_shape}")
        shape = tuple(input_shape[a] for a in kept)
        for i, key in enumerate(("mean", "variance")):
            value: Any = float(i)
            if self._known is not None:
                try:
                    value = np.broadcast_to(self._known[i], shape)
                except ValueError:
                    raise ShapeError(
                        f"[normalization] expected a {key} for {shape}, the kept axes of x.shape={input_shape}. "
                        f"Received: {self._known[i].shape}."
                    ) from None
            constant = init.Constant(value.item() if isinstance(value, np.ndarray) and not value.ndim else value)
            self.add_weight(key, shape, constant, trainable=False)

    def _kept_axes(self, rank: int, came: str) -> list[int]:
        """Return the kept axes in order, counted from the batch."""
        if rank < 2:
            raise ShapeError(
                f"[normalization] expected a batch of samples, [N, ...]. Received: {came}. "
                "help: x[:, None] for one feature."
            )
        for axis in self.axis or ():
            if not -rank < axis < rank or axis % rank == 0:
                raise ShapeError(f"[normalization] expected axes beside the batch. Received: axis={axis} and {came}.")
        return sorted({axis % rank for axis in self.axis or ()})

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Set mean and variance to those of data; what the layer learned from other data before is forgotten.

        Parameters
        ----------
        data : array_like [N, ...], or what gives batches
            As :meth:`pynn.nn.Module.predict` takes it: of batches (x, y) only x counts.
        batch_size : int, optional
            Rows that are looked at in one go; the result does not depend on it.
        steps : int, optional
            How many batches to take of an iterable.

        Raises
        ------
        DataError
            If there are no samples, or if a value is NaN or infinite.
        ShapeError
            If the samples are not those that the layer was built for.
        RuntimeError
            If mean and variance were given to the layer.
        """
        if self._known is not None:
            raise RuntimeError("[normalization] mean and variance were given: there is nothing to adapt.")
        moments = None
        for rows in rows_of(data, batch_size or ROWS, steps, "normalization.adapt"):
            check_finite(rows, "x", "normalization.adapt")
            kept = self._kept_axes(rows.ndim, f"x.shape={rows.shape}")
            if not self.built:
                with no_grad(), trial():
                    self(Tensor.state(np.zeros((1, *rows.shape[1:]), self.dtype)))
            self._check(rows.shape)
            shape = tuple(rows.shape[a] for a in kept)
            if moments is None:
                moments = _Moments(shape)
            rest = tuple(a for a in range(rows.ndim) if a not in kept)
            moments.add(rows.astype(np.float64), rest)
        if moments is None or not moments.count:
            raise DataError("[normalization.adapt] expected at least one sample. Received: none.")
        self._write("mean", moments.mean)
        self._write("variance", moments.squares / moments.count)

    def _check(self, shape: tuple[int, ...]) -> None:
        sizes = tuple(shape[a] for a in self._kept_axes(len(shape), f"x.shape={shape}"))
        if sizes != self.mean.shape:
            raise ShapeError(
                f"[normalization] expected {self.mean.shape} as sizes of the axes {self.axis}, as the layer was built "
                f"for. Received: x.shape={shape}."
            )

    def takes_bytes(self, i: int = 0) -> bool:
        """Tell that bytes are numbers here."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype not in FLOATS:
            x = x.astype(self.dtype)
        self._check(x.shape)
        kept = self._kept_axes(x.ndim, f"x.shape={x.shape}")
        shape = tuple(x.shape[a] if a in kept else 1 for a in range(1, x.ndim))
        mean = ops.reshape(self.mean, shape)
        spread = ops.maximum(ops.sqrt(ops.reshape(self.variance, shape)), LEAST)
        if self.invert:
            return ops.add(mean, ops.mul(x, spread))
        return ops.div(ops.sub(x, mean), spread)

    def _record(self, scribe: Any, place: str) -> dict[str, Any]:
        for key in ("mean", "variance"):  # a file has lists of numbers
            if self._arguments[key] is not None:
                self._arguments[key] = np.asarray(self._arguments[key]).tolist()
        return super()._record(scribe, place)

    def extra_repr(self) -> str:
        axis = self.axis[0] if self.axis is not None and len(self.axis) == 1 else self.axis
        return f"axis={axis}" + (", invert=True" if self.invert else "")


class _Moments:
    """Mean and sum of squared deviations, of parts of the data one after the other (Chan and others 1979)."""

    def __init__(self, shape: tuple[int, ...]):
        self.count = 0
        self.mean, self.squares = np.zeros(shape), np.zeros(shape)

    def add(self, rows: np.ndarray, axes: tuple[int, ...]) -> None:
        count = math.prod(rows.shape[a] for a in axes)
        if not count:
            return
        mean = rows.mean(axes)
        squares = ((rows - rows.mean(axes, keepdims=True)) ** 2).sum(axes)
        total, apart = self.count + count, mean - self.mean
        self.squares = self.squares + squares + apart**2 * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total


def _of_batches(data: list[Any]) -> bool:
    """Tell whether the items of a list are batches, rather than samples."""
    return len(data) > 0 and all(isinstance(item, tuple) or (is_array(item) and len(item.shape) > 1) for item in data)


def rows_of(data: Any, size: int, steps: int | None, place: str) -> Iterator[np.ndarray]:
    """Yield arrays of some rows of what a layer's adapt() was given."""
    if _of_batches(data) if isinstance(data, list) else gives_batches(data):
        for batch in Feed(data, place, steps).read():
            yield to_array(inputs_of(batch, 1), place)
        return
    if steps is not None:
        raise ValueError(f"[{place}] expected steps with an iterable of batches. Received: steps={steps!r} and arrays.")
    rows = to_array(data, place)
    if rows.ndim == 0:
        raise ShapeError(f"[{place}] expected a batch of samples, [N, ...]. Received: a single number.")
    for i in range(0, max(1, len(rows)), size):
        yield rows[i : i + size]
