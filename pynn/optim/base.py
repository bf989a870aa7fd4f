"""What all optimizers share: the learning rate, clipping, weight decay, and the slots that a rule keeps."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from pynn import ops
from pynn.checks import number
from pynn.core.card import Card
from pynn.core.flat import Flat, Slots
from pynn.core.graph import execute
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DTypeError, ShapeError
from pynn.ops.embedding import TouchedRows, touched_rows
from pynn.schedules import Schedule

__all__ = ["Optimizer"]


def _window(t: Tensor, lo: int, hi: int) -> Tensor:
    """Return elements [lo, hi) of a flat tensor, on its own memory."""
    if hi - lo == t.size:
        return t
    item = t.dtype.itemsize
    return Tensor(t.buffer.view(lo * item, (hi - lo) * item), (hi - lo,), t.dtype)


class Optimizer:
    """A rule that updates all parameters at once, in one pass over their flat buffer.

    Parameters
    ----------
    learning_rate : float or Schedule
        Finite and > 0, or one of :mod:`pynn.schedules`.
    weight_decay : float, default 0.0
        Decoupled: every parameter is multiplied by 1 - learning_rate * weight_decay before the update.
    clip_value : float, optional
        Gradients are limited to [-clip_value, clip_value] first.
    clip_norm : float, optional
        Gradients are scaled so that their norm, over all parameters, is at most clip_norm (after clip_value).

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.

    References
    ----------
    Ruder, "An overview of gradient descent optimization algorithms", 2016. Loshchilov and Hutter, "Decoupled weight
    decay regularization", 2019. Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural
    networks", 2013 (clipping by norm).

    Examples
    --------
    On its own, without a model:

    >>> import pynn
    >>> w = pynn.tensor([4.0], requires_grad=True)
    >>> optimizer = pynn.optim.SGD(0.25).bind([w])
    >>> for _ in range(3):
    ...     (w * w).sum().backward()
    ...     optimizer.step()
    >>> w.item()
    0.5
    """

    name: ClassVar[str] = "optimizer"
    card: ClassVar[Card]

    def __init__(
        self,
        learning_rate: float | Schedule,
        *,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
    ):
        self._rate: float | Schedule = self._checked_rate(learning_rate)
        self.weight_decay = number(self.name, "weight_decay", weight_decay, 0)
        self.clip_value = None if clip_value is None else number(self.name, "clip_value", clip_value, 0, open_low=True)
        self.clip_norm = None if clip_norm is None else number(self.name, "clip_norm", clip_norm, 0, open_low=True)
        self._begin()

    def _begin(self) -> None:
        self.iterations = 0
        self._states: weakref.WeakKeyDictionary[Flat, dict[str, Tensor]] = weakref.WeakKeyDictionary()
        self._flat: Flat | None = None
        self._own: Slots | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings: a copy, or what a pickle holds, has no parameters yet and begins at step 0."""
        left = ("iterations", "_states", "_flat", "_own")
        return {name: value for name, value in self.__dict__.items() if name not in left}

    def __setstate__(self, settings: dict[str, Any]) -> None:
        """Take what ``__getstate__`` returned."""
        self.__dict__.update(settings)
        self._begin()

    # What a rule defines

    def hyper(self) -> dict[str, Any]:
        """Return the attributes of the rule's op."""
        raise NotImplementedError(f"[{type(self).__name__}] an optimizer must define hyper().")

    def slot_names(self) -> tuple[str | None, ...]:
        """Return the names of the rule's slots, in the order of its op's outputs; None where it has none."""
        return ()

    def new_slot(self, name: str, flat: Flat) -> Tensor:
        """Return a slot with its first value."""
        return flat.slot()

    # The learning rate

    def _checked_rate(self, rate: Any) -> float | Schedule:
        if isinstance(rate, Schedule):
            return rate
        if isinstance(rate, str):
            raise ValueError(
                f"[{self.name}] expected a learning_rate that is a number or a Schedule. Received: {rate!r}."
            )
        return number(self.name, "learning_rate", rate, 0)  # 0 holds the weights still, as a schedule may

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step. A number can be set; a schedule sets itself."""
        return self._rate(self.iterations) if isinstance(self._rate, Schedule) else self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(self._rate, Schedule) and not isinstance(value, Schedule):
            raise ValueError(
                f"[{self.name}] the learning rate follows {self._rate!r} and cannot be set to {value!r}. "
                "help: compile with a number to set it by hand or by a callback, or set another Schedule."
            )
        self._rate = self._checked_rate(value)

    def rates(self, step: int, count: int) -> np.ndarray:
        """Return the learning rates of `count` steps from number `step` on, which are about to be made; float64."""
        self.iterations = step + count
        if isinstance(self._rate, Schedule):
            return self._rate.values(step, count)
        return np.full(count, self._rate)

    # State

    def config(self) -> tuple[Any, ...]:
        """Return the hyper-parameters that a recorded program holds (not the learning rate), hashable."""
        return (self.name, self.weight_decay, self.clip_value, self.clip_norm, *sorted(self.hyper().items()))

    def build(self, flat: Flat) -> None:
        """Make the slots for flat parameters, once."""
        if flat not in self._states:
            self._states[flat] = {name: self.new_slot(name, flat) for name in self.slot_names() if name}
        self._flat = flat

    def state(self) -> dict[str, np.ndarray]:
        """Return copies of the slots by name, in the layout of the flat buffer; ``step`` too after bind().

        Examples
        --------
        >>> import pynn
        >>> sorted(pynn.optim.Adam().bind([pynn.tensor([1.0])]).state())
        ['m', 'step', 'v']
        """
        held = {} if self._flat is None else self._states[self._flat]
        found = {name: slot.view().copy() for name, slot in held.items()}
        if self._own is not None:
            found["step"] = self._own.step.view().copy()
        return found

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Write what `state` returned into the slots.

        Raises
        ------
        ValueError
            If names or shapes differ; nothing is written then.
        """
        if self._flat is None:
            raise ValueError(f"[{self.name}] expected parameters first. help: call compile and fit, or bind().")
        targets = dict(self._states[self._flat])
        if self._own is not None:
            targets["step"] = self._own.step
        if set(state) != set(targets):
            raise ValueError(
                f"[{self.name}] expected the slots {sorted(targets)}. Received: {sorted(state)}. "
                "help: load the state of an optimizer of the same kind and settings."
            )
        for name, slot in targets.items():
            if np.shape(state[name]) != slot.shape:
                raise ShapeError(
                    f"[{self.name}] expected {name} of shape {slot.shape}. Received: {np.shape(state[name])}."
                )
        for name, slot in targets.items():
            slot.view()[...] = state[name]

    # Updates

    def apply(self, flat: Flat, slots: Slots) -> None:
        """Clip the gradients and update the parameters; all of it through execute().

        Parameters
        ----------
        flat : Flat
            Parameters and gradients.
        slots : Slots
            Learning rate (rate[cursor]) and step, read by pointer.
        """
        self.build(flat)
        held = self._states[flat]
        if self.clip_value is not None:
            ops.clip_value(flat.grads, self.clip_value)
        if self.clip_norm is not None:
            ops.clip_norm(flat.grads, self.clip_norm)
        for k, (lo, hi, touched) in enumerate(self._parts(flat, slots)):
            execute(
                self.card,
                (_window(flat.grads, lo, hi), slots.rate, slots.cursor, slots.step,
                 *(() if touched is None else (touched.marked, touched.rows, touched.count))),
                {"decay": self.weight_decay, **self.hyper(), "later": k > 0, "lazy": bool(touched and touched.sparse)},
                out=tuple(
                    None if t is None else _window(t, lo, hi) if t.size == flat.params.size else t
                    for t in (flat.params, *(None if name is None else held[name] for name in self.slot_names()))
                ),
            )  # fmt: skip

    def _parts(self, flat: Flat, slots: Slots) -> list[tuple[int, int, TouchedRows | None]]:
        """Cut the flat buffer where an embedding's table says which of its rows have a gradient."""
        parts: list[tuple[int, int, TouchedRows | None]] = []
        done = 0
        for t in flat.tensors:
            touched = touched_rows(t)
            # Whoever calls step() by hand may have written other gradients, so a table is read as a whole then.
            if touched is None or not (touched.sparse or (touched.live and slots is not self._own)):
                continue
            at = (t.buffer.offset - flat.params.buffer.offset) // t.dtype.itemsize
            parts.append((done, at, None))
            if touched.live:
                parts.append((at, at + t.size, touched))
            touched.live = touched.live and slots is self._own
            done = at + t.size
        parts.append((done, flat.params.size, None))
        return [part for part in parts if part[0] < part[1]]

    def bind(self, parameters: Iterable[Tensor]) -> Optimizer:
        """Take tensors to optimize, for use without a model. Their values move to one flat buffer.

        Parameters
        ----------
        parameters : iterable of Tensor
            Leaves of one floating dtype; ``requires_grad`` is switched on.

        Returns
        -------
        Optimizer
            This one.

        Raises
        ------
        TypeError, DTypeError
            If they are not tensors of one floating dtype.
        ValueError
            If there are none, or one was computed by an op.
        """
        tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        if not tensors:
            raise ValueError(f"[{self.name}] expected parameters. Received: none.")
        for t in tensors:
            if not isinstance(t, Tensor):
                raise TypeError(f"[{self.name}] expected tensors. Received: {type(t).__name__}.")
            if t.node is not None:
                raise ValueError(
                    f"[{self.name}] expected leaves. Received: a tensor made by {t.node.card.name}. "
                    "help: make parameters with pynn.tensor(..., requires_grad=True)."
                )
        dtypes = sorted({str(t.dtype) for t in tensors})
        if len(dtypes) > 1 or tensors[0].dtype not in FLOATS:
            raise DTypeError(f"[{self.name}] expected parameters of one floating dtype. Received: {', '.join(dtypes)}.")
        self.build(Flat(tensors))
        self._own = Slots()
        return self

    def step(self) -> None:
        """Make one update with the gradients that backward() wrote. A parameter without one has gradient 0.

        Raises
        ------
        RuntimeError
            Without bind().
        """
        if self._flat is None or self._own is None:
            raise RuntimeError(f"[{self.name}] step() needs parameters. help: call optimizer.bind(parameters) first.")
        for t in self._flat.tensors:
            if t.grad is None:
                ops.zeros(t.shape, t.dtype, out=t._dest)
            elif t.grad.buffer is not t._dest.buffer:  # type: ignore[union-attr]
                ops.copy(t.grad, out=t._dest)
        now = self._own.step.view()
        self._own.set(rate=self.rates(int(now[0]), 1), cursor=0)
        self.apply(self._flat, self._own)
        now += 1

    def __repr__(self) -> str:
        own = {"learning_rate": self._rate, **self.hyper()}
        own |= {k: v for k in ("weight_decay", "clip_value", "clip_norm") if (v := getattr(self, k))}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in own.items())})"
