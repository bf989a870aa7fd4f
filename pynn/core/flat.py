"""Parameters side by side, one buffer for their gradients, and the slots that change at every step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pynn.core import _core
from pynn.core.tensor import Tensor
from pynn.errors import DTypeError

__all__ = ["STEPS_PER_CALL", "Flat", "Slots", "aligned", "joined", "windows", "within"]

ALIGN = 64
STEPS_PER_CALL = 256  # at most so many steps in one native call


def aligned(nbytes: int) -> int:
    """Return a size rounded up to whole cache lines."""
    return -(-nbytes // ALIGN) * ALIGN


class Flat:
    """The parameters that are trained together, and one buffer for their gradients.

    A parameter moves once, to a buffer that it shares with those that were flattened with it, so that an optimizer is
    one pass. Another set that it belongs to, that of a second model or of the layers that are not frozen, finds it
    where it is: no set takes anything away from another, and nothing that was recorded on its memory goes stale.

    Parameters
    ----------
    tensors : sequence of Tensor
        Of one floating dtype. Each keeps its value and lies on a 64-byte border; the gaps are zero and stay zero under
        every optimizer.

    Attributes
    ----------
    tensors : tuple of Tensor
        Each once.
    grads : Tensor, shape [size]
    into : dict of int to Tensor
        id of a parameter -> its part of `grads`, where backward() is to write.

    Raises
    ------
    DTypeError
        If they have several dtypes.
    """

    def __init__(self, tensors: Sequence[Tensor]):
        self.tensors = tuple({id(t): t for t in tensors}.values())
        dtypes = sorted({str(t.dtype) for t in self.tensors})
        if len(dtypes) > 1:
            raise DTypeError(
                f"[flat] expected parameters of one floating dtype. Received: {', '.join(dtypes)}. "
                "help: give all layers one dtype, as model.astype('float32') does before they are built."
            )
        self.dtype = np.dtype(dtypes[0] if dtypes else "float32")
        homeless = [t for t in self.tensors if t.buffer.root() is t.buffer or t.buffer.root().kind != _core.STATE]
        homes = windows(homeless)
        for t, home in zip(homeless, homes, strict=True):
            home.view()[...] = t.view()
        places = windows(self.tensors)
        self.into = {id(t): place for t, place in zip(self.tensors, places, strict=True)}
        whole = places[0].buffer.root() if places else _core.Buffer.new(0, _core.STATE, True)
        self.grads = Tensor(whole, (whole.nbytes // self.dtype.itemsize,), self.dtype)
        for t, home in zip(homeless, homes, strict=True):  # all or, where memory runs out, none
            t.buffer = home.buffer
        for t in self.tensors:
            t.requires_grad = True


def windows(like: Sequence[Tensor]) -> list[Tensor]:
    """Return tensors of zeros of these shapes and dtypes, side by side in one new buffer, each on a 64-byte border."""
    whole = _core.Buffer.new(sum(aligned(t.nbytes) for t in like), _core.STATE, True)
    made, at = [], 0
    for t in like:
        made.append(Tensor(whole.view(at, t.nbytes), t.shape, t.dtype))
        at += aligned(t.nbytes)
    return made


def within(whole: Tensor, share: tuple[int, int] | None) -> Tensor:
    """Return elements first ... end - 1 of a tensor as a vector, on its memory; of None, the tensor."""
    if share is None:
        return whole
    first, end = share
    item = whole.dtype.itemsize
    return Tensor(whole.buffer.view(first * item, (end - first) * item), (end - first,), whole.dtype)


def joined(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return the memory of tensors as vectors, of those that lie side by side as one; none of what is empty."""
    found: list[Tensor] = []
    for t in tensors:
        if not t.size:
            continue
        root, first, dtype = t.buffer.root(), t.buffer.offset, t.dtype
        if found and (last := found[-1].buffer).root() is root and aligned(last.offset + last.nbytes) == first:
            first = found.pop().buffer.offset
        nbytes = t.buffer.offset + t.nbytes - first
        found.append(Tensor(root.view(first, nbytes), (nbytes // dtype.itemsize,), dtype))
    return found


class Slots:
    """What changes at every step. Kernels read these by pointer, so a recorded program never freezes them.

    Attributes
    ----------
    seed : Tensor, int64 [1]
        The seed of the random ops.
    step : Tensor, int64 [1]
        Updates done so far by a model; an optimizer counts those of each parameter itself.
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

    def beside(self) -> Slots:
        """Return slots for a run inside this one: with the same seed and step, and a place of its own in its data."""
        inner = Slots()
        inner.seed, inner.step = self.seed, self.step
        inner._views |= {"seed": self._views["seed"], "step": self._views["step"]}
        return inner

    def set(self, **values: Any) -> None:
        """Write slots by name; `rate` takes up to STEPS_PER_CALL values."""
        for name, value in values.items():
            self._views[name][: 1 if isinstance(value, (int, float, np.generic)) else len(value)] = value

    def get(self, name: str) -> int:
        """Return a slot that is one integer."""
        return int(self._views[name][0])
