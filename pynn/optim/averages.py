"""The average of the parameters over the updates: what an optimizer keeps beside them if it is asked to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pynn.checks import integer, rate
from pynn.optim.composed import EMA

if TYPE_CHECKING:
    from pynn.core.flat import Flat
    from pynn.core.tensor import Tensor
    from pynn.optim.slots import Table

__all__ = ["Averages"]


class Averages:
    """Settings and memory of the averages a = mu a + (1 - mu) w, made in the same pass as the update; a base."""

    name: ClassVar[str]
    table: Table
    slot_names: Callable[[], tuple[str, ...]]
    first: Callable[[str], float]
    _flat: Flat | None

    def _set_average(self, use_ema: Any, momentum: Any, frequency: Any) -> None:
        """Check the settings and keep them."""
        self.use_ema = bool(use_ema)
        self.ema_momentum = rate(self.name, "ema_momentum", momentum)
        self.ema_overwrite_frequency = (
            None if frequency is None else integer(self.name, "ema_overwrite_frequency", frequency, 1)
        )
        if self.ema_overwrite_frequency is not None and not self.use_ema:
            raise ValueError(
                f"[{self.name}] expected use_ema=True with ema_overwrite_frequency. Received: use_ema=False and "
                f"ema_overwrite_frequency={frequency!r}."
            )

    def kept_names(self) -> tuple[str, ...]:
        """Return the names of all that is kept beside a parameter in its shape: the rule's slots, and the average."""
        names: tuple[str, ...] = self.slot_names()
        if self.use_ema and EMA in names:
            raise ValueError(f"[{self.name}] expected slots of other names than {EMA!r}, that of the average.")
        return (*names, EMA) if self.use_ema else names

    def first_of(self, name: str) -> float:
        """Return the first value of a slot, a number or the average."""
        value: float = 0.0 if self.use_ema and name == EMA else self.first(name)
        return value

    def _has_average(self, parameter: Tensor) -> bool:
        held = self.table.get(parameter)
        return held is not None and EMA in held.slots

    @contextlib.contextmanager
    def _beginning(self, tensors: Sequence[Tensor]) -> Iterator[None]:
        """Let averages that are made inside a ``with`` begin as their parameters."""
        new = [t for t in tensors if self.use_ema and not self._has_average(t)]
        yield
        for t in new:
            self.table[t].slots[EMA].view()[...] = self.table.mine(t).view()

    def _updated(self) -> list[Tensor]:
        """Return those of the parameters that have averages, are trained and were updated."""
        tensors = () if self._flat is None or not self.use_ema else self._flat.tensors
        return [t for t in tensors if self._has_average(t) and self.table[t].count.view()[0]]

    def take_averages(self) -> None:
        """Give the parameters that are trained the values of their averages; nothing without ``use_ema=True``.

        ``fit`` does so at its end. Parameters that were never updated stay.

        Examples
        --------
        >>> import pynn
        >>> w = pynn.tensor([4.0], requires_grad=True)
        >>> optimizer = pynn.optim.SGD(0.25, use_ema=True, ema_momentum=0.5).bind([w])
        >>> for _ in range(2):
        ...     (w * w).sum().backward()
        ...     optimizer.step()
        >>> w.item()
        1.0
        >>> optimizer.take_averages()
        >>> w.item()
        1.5
        """
        updated = self._updated()
        for t in updated:
            self.table.mine(t).view()[...] = self.table[t].slots[EMA].view()
        self.table.tell(updated)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Let the parameters have the values of their averages inside a ``with``, as ``fit`` does when it validates.

        What is written to them meanwhile is gone afterwards. Nothing happens without ``use_ema=True``.

        Examples
        --------
        >>> import pynn
        >>> w = pynn.tensor([4.0], requires_grad=True)
        >>> optimizer = pynn.optim.SGD(0.25, use_ema=True, ema_momentum=0.5).bind([w])
        >>> for _ in range(2):
        ...     (w * w).sum().backward()
        ...     optimizer.step()
        >>> with optimizer.averaged():
        ...     inside = w.item()
        >>> inside, w.item()
        (1.5, 1.0)
        """
        before = [(t.view(), t.view().copy()) for t in self._updated()]
        try:
            self.take_averages()
            yield
        finally:
            for param, values in before:
                param[...] = values
