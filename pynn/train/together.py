"""What a training by several processes agrees on: that it is one training, when it stops, and what all predicted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.errors import DataError
from pynn.train.data import mapped
from pynn.train.network import Network
from pynn.train.resume import fingerprint

__all__ = ["EPOCH", "PIECE", "agree", "fill", "fill_states", "gathered", "need_same", "shared_rows"]


def need_same(trainer: Any, source: Any, hooks: Any, **settings: Any) -> None:
    """Raise DataError, on all processes, naming the first whose training is not that of rank 0."""
    gang, model = trainer.segments.gang, trainer.model
    if gang is None:
        return
    described = source.describe()
    weights = list(model.named_parameters())
    facts = {
        "seed": str(trainer.seed),
        "settings of fit": str({**settings, "segments": trainer.segments.count, "batches": source.batches}),
        "optimizer": f"{trainer.optimizer!r} at step {trainer.slots.get('step')}",
        "loss": repr(trainer.loss),
        "metrics": str(trainer.head.log_names()),
        "model": str([(path, w.shape, str(w.dtype)) for path, w in weights]),
        "weights": fingerprint(*(w.view() for _, w in weights)),
        **{f"data ({key})": str(value) for key, value in described.items()},
    }
    gang.need_same("fit", facts, max(gang.beginning, gang.deadline))
    trainer.shared_points = any(gang.tell(hooks.takes_safe_points, "the callbacks"))


PLACES = "before a step", "at the end of a batch or piece of data", "at the end of an epoch"
STEP, PIECE, EPOCH = range(3)


def agree(trainer: Any, model: Network, interrupts: Any, count: int, place: int = STEP) -> int:
    """Return how many steps all make next; sets `stop_training` everywhere if it is set anywhere.

    Raises
    ------
    DataError
        On all processes, if one is elsewhere: what gives its batches ended early, for instance.
    KeyboardInterrupt
        On all processes, if Ctrl-C was noted on one.
    """
    gang = trainer.segments.gang
    if gang is None:
        return count
    noted = interrupts is not None and interrupts.noted
    step = trainer.slots.get("step")
    table = gang.agree([count, int(model.stop_training), int(noted), place, step], "the next steps")
    odd = next((r for r in range(gang.ranks) if (table[r, 3:] != table[0, 3:]).any()), None)
    if odd is not None:
        at = [f"{PLACES[table[r, 3]]}, after step {table[r, 4]}" for r in (0, odd)]
        raise DataError(
            f"[fit] expected all ranks to make the same steps. Received: {gang.name(odd)} is {at[1]}, and "
            f"{gang.name(0)} {at[0]}. help: give the same batches on every rank, each takes its rows of them; one that "
            "ends early cannot be waited for."
        )
    if table[:, 2].any():
        raise KeyboardInterrupt
    if table[:, 1].any():
        model.stop_training = True
    return int(table[:, 0].min())


def fill(trainer: Any, predictions: Any, n: int) -> None:
    """Write to the rows of batches of n what other processes predicted."""
    gang = trainer.segments.gang
    if gang is not None and n:
        mapped(lambda room: gang.fill(room, n, trainer.segments), predictions)


def fill_states(trainer: Any) -> None:
    """Give all processes the states of stateful layers, of which each has those of its rows."""
    gang = trainer.segments.gang
    if gang is None:
        return
    for module in trainer.model.modules():
        if getattr(module, "stateful", False):
            for kept in getattr(module, "_kept", None) or ():
                gang.fill(kept.view(), len(kept.view()), trainer.segments)


def shared_rows(gang: Any, starts: list[int]) -> list[range]:
    """Return which passes each process makes, of those that begin at these rows; the last number is the end.

    Examples
    --------
    >>> class Two:
    ...     ranks = 2
    >>> shared_rows(Two, [0, 4, 8, 10])
    [range(0, 4), range(4, 10)]
    """
    passes = len(starts) - 1
    cuts = [starts[r * passes // gang.ranks] for r in range(gang.ranks + 1)]
    return [range(a, b) for a, b in itertools.pairwise(cuts)]


def gathered(gang: Any, found: list[np.ndarray], place: str) -> Iterator[np.ndarray]:
    """Yield arrays of the rows of all processes, one after the other."""
    for array in found:
        yield np.concatenate(gang.gather(array, f"the outputs of {place}"))
