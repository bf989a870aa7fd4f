"""Layers that bring branches together."""

from __future__ import annotations

from functools import reduce
from typing import Any

from pynn import ops
from pynn.checks import is_integer
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.nn.module import Module
from pynn.nn.symbol import spread

__all__ = ["Add", "Concatenate", "Multiply"]


class _Merge(Module):
    """What merging layers share: several inputs, or one list of them."""

    place = "merge"

    def __init__(self, *, name: str | None = None, seed: int | None = None):
        super().__init__(name, seed)

    def __call__(self, *inputs: Any, training: bool | None = None) -> Any:
        """Compute the output for several inputs, or for one list of them.

        Raises
        ------
        ValueError
            If there are fewer than two.
        """
        xs = spread(inputs)
        if len(xs) < 2:
            raise ValueError(
                f"[{self.place}] expected at least two inputs. Received: {len(xs)}. "
                f"help: call the layer with {type(self).__name__}()([a, b]) or {type(self).__name__}()(a, b)."
            )
        return super().__call__(*xs, training=training)


class Concatenate(_Merge):
    """Branches side by side: the inputs one after the other along an axis.

    Parameters
    ----------
    axis : int, default -1
        The batch axis, 0, cannot be concatenated.
    name : str, optional

    Raises
    ------
    ValueError
        If `axis` is not an integer other than 0, which is the batch.

    Notes
    -----
    Called with several inputs or one list of them. All sizes but that of the axis must agree.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> a, b = np.ones((2, 8, 8, 3), "float32"), np.ones((2, 8, 8, 5), "float32")
    >>> nn.Concatenate()([a, b]).shape
    (2, 8, 8, 8)
    """

    place = "concatenate"

    def __init__(self, axis: int = -1, *, name: str | None = None):
        super().__init__(name=name)
        if not is_integer(axis) or axis == 0:
            raise ValueError(
                f"[concatenate] expected axis to be an integer other than 0, which is the batch. "
                f"Received: axis={axis!r}."
            )
        self.axis = axis

    def forward(self, *xs: Tensor) -> Tensor:
        shapes = [x.shape for x in xs]
        rank = len(shapes[0])
        if not -rank < self.axis < rank:
            raise ShapeError(
                f"[concatenate] expected inputs that have axis {self.axis} beside the batch. Received: shapes {shapes}."
            )
        axis = self.axis % rank
        others = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
        if len(others) > 1 or any(len(s) != rank for s in shapes):
            raise ShapeError(
                f"[concatenate] expected inputs whose sizes agree on all axes but {self.axis}. "
                f"Received: shapes {shapes}."
            )
        return ops.concat(xs, axis)

    def extra_repr(self) -> str:
        return "" if self.axis == -1 else f"axis={self.axis}"


class _Elementwise(_Merge):
    """A merge of element with element; sizes of 1 are broadcast, on axes that all inputs have."""

    def _check(self, xs: tuple[Tensor, ...]) -> None:
        shapes = [x.shape for x in xs]
        fits = len({len(s) for s in shapes}) == 1 and all(
            len({d for d in sizes if d != 1}) < 2 for sizes in zip(*shapes, strict=True)
        )
        if not fits:
            raise ShapeError(
                f"[{self.place}] expected inputs of one shape (sizes of 1 are broadcast). Received: shapes {shapes}."
            )


class Add(_Elementwise):
    """y = a + b + ..., element by element: the shortcut of a residual network.

    Parameters
    ----------
    name : str, optional
    seed : int, optional

    Notes
    -----
    Called with several inputs or one list of them, of one shape; sizes of 1 are broadcast.

    References
    ----------
    He, Zhang, Ren, Sun: Deep residual learning for image recognition (CVPR 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Add()(np.ones((1, 2), "float32"), np.ones((1, 2), "float32")).numpy()
    array([[2., 2.]], dtype=float32)
    """

    place = "add"

    def forward(self, *xs: Tensor) -> Tensor:
        self._check(xs)
        return reduce(ops.add, xs)


class Multiply(_Elementwise):
    """y = a * b * ..., element by element: a gate.

    Parameters
    ----------
    name : str, optional
    seed : int, optional

    Notes
    -----
    Called with several inputs or one list of them, of one shape; sizes of 1 are broadcast, so that [N, 1, 1, C] weighs
    the channels of [N, H, W, C].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> image, gate = np.ones((2, 8, 8, 3), "float32"), np.zeros((2, 1, 1, 3), "float32")
    >>> nn.Multiply()(image, gate).shape
    (2, 8, 8, 3)
    """

    place = "multiply"

    def forward(self, *xs: Tensor) -> Tensor:
        self._check(xs)
        return reduce(ops.mul, xs)
