"""A tape of all ops that a forward pass executes, whether or not a gradient is wanted."""

from __future__ import annotations

from typing import Any, NamedTuple

from pynn._blocks import Held
from pynn.core.card import Card, Composite
from pynn.core.state import state
from pynn.core.tensor import Tensor

__all__ = ["Entry", "Tape", "taped"]


class Entry(NamedTuple):
    """One op that ran: its card, operands, results and attributes.

    Attributes
    ----------
    card : Card or Composite
    inputs, outs : tuple of Tensor or None
    attrs : dict
    scope : str
        The names of the layers round it.
    module : Module or None
        The innermost of them.
    start : int
        Of a composite, which follows the ops that it is made of: the place of the first of them; else -1.
    flops : float
        Of a card; as many as outputs where it does not say.
    """

    card: Any
    inputs: tuple[Any, ...]
    outs: tuple[Any, ...]
    attrs: dict[str, Any]
    scope: str = ""
    module: Any = None
    start: int = -1
    flops: float = 0.0


class Tape:
    """The ops that ran, in order, and found by the tensors that they made; it keeps those alive.

    Attributes
    ----------
    entries : list of Entry
        Composites that have operands too.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._makers: dict[tuple[Any, ...], Entry] = {}
        self._known: set[tuple[Any, ...]] = set()

    def note(self, card: Card, inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: dict[str, Any], low: Any) -> None:
        """Take in an op that was just run, and how."""
        flops = 0.0
        if card.kernel:
            flops = card.flops(low) if card.flops else 0.0
            flops = flops or float(sum(y.size for y in outs if y is not None))
        entry = Entry(card, inputs, outs, attrs, state.scope, state.module, flops=flops)
        self.entries.append(entry)
        self._known.update(_key(x) for x in inputs if isinstance(x, Tensor))
        for y in outs:
            # a reshape that is undone, outside the graph, gives what was there before
            if y is not None and (card.kernel or _key(y) not in self._known):
                self._makers[_key(y)] = entry
                self._known.add(_key(y))

    def composed(self, card: Composite, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run a composite, and note it behind the ops that it is made of."""
        start = len(self.entries)
        out = card.function(*args, **options)
        inputs, attrs = card.called(*args, **options)
        outs = out if isinstance(out, tuple) else (out,)
        self.entries.append(Entry(card, inputs, outs, attrs, state.scope, state.module, start))
        return out

    def maker(self, t: Tensor) -> Entry | None:
        """Return the op that made a tensor, or None if it was there before."""
        return self._makers.get(_key(t))


def _key(t: Tensor) -> tuple[Any, ...]:
    """Return what a tensor shares with others that are the same result: not its identity, and not its lengths."""
    return id(t.buffer), t.shape, None if t.node is None else id(t.node), t.index


def taped() -> Held:
    """Note every op that is executed inside a ``with`` block."""
    tape = Tape()
    return Held(state, tape, tape=tape)
