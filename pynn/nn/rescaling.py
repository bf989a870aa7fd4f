"""A layer that brings numbers to another range, as a part of the model, of its file and of its exports."""

from __future__ import annotations

from pynn import ops
from pynn.checks import number
from pynn.core.tensor import FLOATS, Tensor
from pynn.nn.module import Module

__all__ = ["Rescaling"]


class Rescaling(Module):
    """y = scale * x + offset.

    A model that begins with it takes uint8 arrays as the numbers that they are, of 0 to 255, in every call, in its file
    and in its exports. Without it, uint8 arrays of three axes and more are images and are divided by 255 on the way in.

    Parameters
    ----------
    scale : float
        For instance ``1 / 255``.
    offset : float, default 0.0
    name : str, optional
    seed : int, optional
        As for every layer; there is nothing random.

    Raises
    ------
    ValueError
        If scale or offset is not a finite number.

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((2,)), nn.Rescaling(1 / 127.5, offset=-1.0)])
    >>> model.predict(np.array([[0, 255]], "uint8"))
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, scale: float, offset: float = 0.0, *, name: str | None = None, seed: int | None = None):
        super().__init__(name, seed)
        self.scale = number("rescaling", "scale", scale)
        self.offset = number("rescaling", "offset", offset)

    def takes_bytes(self, i: int = 0) -> bool:
        """Tell that bytes are numbers here."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift; whole numbers become real ones."""
        if x.dtype not in FLOATS:
            x = x.astype(self.dtype)
        y = ops.mul(x, self.scale)
        return ops.add(y, self.offset) if self.offset else y

    def extra_repr(self) -> str:
        """Return the settings to show in repr()."""
        return f"{self.scale}, offset={self.offset}" if self.offset else f"{self.scale}"
