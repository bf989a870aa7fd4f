"""A layer that says which steps of sequences are padding."""

from __future__ import annotations

from pynn import ops
from pynn.checks import number
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import ShapeError
from pynn.nn.module import Module
from pynn.ops.masked import as_mask_of

__all__ = ["Masking"]


class Masking(Module):
    """Steps all of whose features are mask_value are padding: what follows passes them over.

    Padding may stand at the end, in front (as ``pynn.text.pad_sequences(..., padding="pre")`` and Keras's default have
    it) or in between. Recurrent layers keep their state over it and put out 0 there; reductions over time, losses and
    metrics of targets per step take real steps alone.

    Parameters
    ----------
    mask_value : float, default 0.0
    name : str, optional

    Raises
    ------
    ValueError
        If mask_value is not a finite number.
    ShapeError
        If the input has no axis of features.

    Notes
    -----
    Input [N, T, ...]; output the same, with 0 in the place of padding.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> x = np.array([[[-1.0], [2.0], [4.0]]], "float32")
    >>> nn.GlobalAvgPool()(nn.Masking(-1.0)(x)).numpy()
    array([[3.]], dtype=float32)
    """

    def __init__(self, mask_value: float = 0.0, *, name: str | None = None):
        super().__init__(name)
        self.mask_value = number("masking", "mask_value", mask_value)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 3:
            raise ShapeError(
                f"[masking] expected sequences [N, T, features]. Received: x.shape={x.shape}. "
                "help: x[..., None] for one feature, nn.Embedding(mask_zero=True) for token ids."
            )
        if x.dtype not in FLOATS:
            x = x.astype(self.dtype)
        plain = ops.without_lengths(x.detach())
        differs = ops.not_equal(plain, self.mask_value).astype(self.dtype)
        real = ops.max(differs, axis=tuple(range(2, x.ndim))).astype("int32")
        if x.lengths is not None:
            real = ops.minimum(real, as_mask_of(x.lengths, x.shape[1]))
        y = ops.mask_steps(x, 0.0, real)
        y.lengths = real
        return y

    def extra_repr(self) -> str:
        return str(self.mask_value)
