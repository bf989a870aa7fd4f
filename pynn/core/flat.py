"""One flat buffer for all parameters, a second for their gradients, and the slots that change at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn.core import _core
from pynn.core.tensor import Tensor

__all__ = ["STEPS_PER_CALL", "Flat", "Slots"]

ALIGN = 64
STEPS_PER_CALL = 256  # at most so many steps in one native call


class Flat:
    """Parameters moved into one buffer, so that an optimizer is one pass and a checkpoint one copy.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one floating dtype. Each becomes a window on the flat buffer, on a 64-byte border, with its value kept;
        the gaps are zero and stay zero under every optimizer.

    Attributes
    ----------
    params, grads : Tensor, shape [size]
    tensors : tuple of Tensor
    """

    def __init__(self, tensors: Sequence[Tensor]):
        unique = {id(t): t for t in tensors}
        self.tensors = tuple(unique.values())
        dtype = self.tensors[0].dtype if self.tensors else np.dtype("float32")
        offsets, end = [], 0
        for t in self.tensors:
            offsets.append(end)
            end += -(-t.nbytes // ALIGN) * ALIGN
        self.dtype = dtype
        shape = (end // dtype.itemsize,)
        self.params = Tensor(_core.Buffer.new(end, _core.STATE, True), shape, dtype)
        self.grads = Tensor(_core.Buffer.new(end, _core.STATE, True), shape, dtype)
        made = []
        for t, offset in zip(self.tensors, offsets, strict=True):
            values, grads = (flat.buffer.view(offset, t.nbytes) for flat in (self.params, self.grads))
            values.array(dtype, t.shape)[...] = t.view()
            made.append((values, Tensor(grads, t.shape, dtype)))
        for t, (values, dest) in zip(self.tensors, made, strict=True):  # all or, where memory runs out, none
            t.buffer, t._dest, t.requires_grad = values, dest, True

    def intact(self) -> bool:
        """Tell whether all the tensors still live here: another Flat may have taken some over."""
        home = self.params.buffer
        return all(t.buffer.root() is home for t in self.tensors)

    def slot(self, value: float = 0.0) -> Tensor:
        """Return a state tensor of the parameters' layout, filled with a value."""
        return Tensor.state(np.full(self.params.shape, value, self.dtype))


class Slots:
    """What changes at every step. Kernels read these by pointer, so a recorded program never freezes them.

    Attributes
    ----------
    seed : Tensor, int64 [1]
        The seed of the random ops.
    step : Tensor, int64 [1]
        Updates done so far; Adam's t is step + 1.
    cursor : Tensor, int64 [1]
        The number of this step within one native call.
    offset : Tensor, int64 [1]
        Where this batch begins in the permutation.
    rate : Tensor, float64 [STEPS_PER_CALL]
        The learning rates of the steps of one native call; step number `cursor` uses rate[cursor].
    """

    def __init__(self, seed: int = 0):
        self.seed = Tensor.state(np.array([seed], np.int64))
        self.step = Tensor.state(np.zeros(1, np.int64))
        self.cursor = Tensor.state(np.zeros(1, np.int64))
        self.offset = Tensor.state(np.zeros(1, np.int64))
        self.rate = Tensor.state(np.zeros(STEPS_PER_CALL, np.float64))
        self._views = {name: slot.view() for name, slot in vars(self).items()}

    def set(self, **values: Any) -> None:
        """Write slots by name; `rate` takes up to STEPS_PER_CALL values."""
        for name, value in values.items():
            self._views[name][: 1 if isinstance(value, (int, float, np.generic)) else len(value)] = value

    def get(self, name: str) -> int:
        """Return a slot that is one integer."""
        return int(self._views[name][0])
