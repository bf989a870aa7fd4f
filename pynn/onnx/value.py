"""A value that flows through an imported graph, with its axes in whichever order is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor

__all__ = ["Value", "channels_last"]

Perm = tuple[int, ...]


def channels_last(rank: int) -> Perm:
    """Return the order of axes that puts the channels, axis 1, last."""
    return (0, *range(2, rank), 1)


class Value:
    """What ONNX calls a tensor: its form is computed when somebody asks for it, so that transposes cancel.

    Form `p` is the tensor with axes permuted, ``transpose(value, p)``. pynn's kernels want channels last, ONNX has
    them second: between two convolutions only the form with channels last ever exists.

    Parameters
    ----------
    shape : tuple of int
        In the order of ONNX.
    forms : dict of permutation to Tensor, optional
    constant : ndarray, optional
        The values, where they depend on no data: shapes, axes and the like are read from here.
    names : list, optional
        Texts, of which the elements are the numbers: so the label of a class is computed with. For what ZipMap
        gives, the classes to which the columns belong.
    parts : list of Tensor, optional
        Of a weight of a recurrent operator, what its loops take, instead of forms.
    bytes : list, optional
        Of one that is quantized, the packed bytes and scales of each direction, instead of forms.
    """

    __slots__ = ("bytes", "constant", "forms", "names", "parts", "shape")

    def __init__(self, shape: Sequence[int], forms: dict[Perm, Tensor] | None = None, constant: Any = None):
        self.shape = tuple(shape)
        self.forms = {} if forms is None else forms
        self.constant = constant
        self.names: list[Any] | None = None
        self.parts: list[Tensor] | None = None
        self.bytes: list[Any] | None = None

    @classmethod
    def of(cls, tensor: Tensor, perm: Perm | None = None) -> Value:
        """Return the value of which a tensor is the form `perm`; by default the tensor itself."""
        if perm is None:
            return cls(tensor.shape, {tuple(range(tensor.ndim)): tensor})
        shape = [0] * tensor.ndim
        for at, axis in enumerate(perm):
            shape[axis] = tensor.shape[at]
        return cls(shape, {perm: tensor})

    @classmethod
    def known(cls, array: np.ndarray) -> Value:
        """Return a value that is known beforehand."""
        return cls(array.shape, constant=array)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the elements."""
        if self.parts:
            return self.parts[0].dtype
        return self.constant.dtype if self.constant is not None else next(iter(self.forms.values())).dtype

    @property
    def plain_perm(self) -> Perm:
        """The order of axes of ONNX."""
        return tuple(range(self.ndim))

    def form(self, perm: Perm) -> Tensor:
        """Return the tensor with axes in the order `perm`."""
        if perm not in self.forms:
            if not self.forms:
                self.forms[self.plain_perm] = Tensor.state(self.constant)
                return self.form(perm)
            have, tensor = next(iter(self.forms.items()))
            moves = tuple(have.index(axis) for axis in perm)
            long = [at for at in moves if tensor.shape[at] != 1]
            if long == sorted(long):  # only axes of size 1 move: the same memory
                self.forms[perm] = ops.reshape(tensor, tuple(tensor.shape[at] for at in moves))
            else:
                self.forms[perm] = ops.transpose(tensor, moves)
        return self.forms[perm]

    @property
    def plain(self) -> Tensor:
        """The tensor with axes as ONNX has them."""
        return self.form(self.plain_perm)

    @property
    def last(self) -> Tensor:
        """The tensor with channels last."""
        return self.form(channels_last(self.ndim))

    @property
    def at_hand(self) -> tuple[Perm, Tensor]:
        """A form that needs no work."""
        if not self.forms:
            return self.plain_perm, self.plain
        return next(iter(self.forms.items()))

    def transposed(self, perm: Perm) -> Value:
        """Return the value with permuted axes; nothing moves until a form is asked for."""
        if self.constant is not None:
            return Value.known(np.ascontiguousarray(self.constant.transpose(perm)))
        forms = {tuple(perm.index(axis) for axis in have): tensor for have, tensor in self.forms.items()}
        return Value(tuple(self.shape[axis] for axis in perm), forms)

    def __repr__(self) -> str:
        return f"<value of shape {self.shape}>"
