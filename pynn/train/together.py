"""What a training by several processes agrees on: that it is one training, when it stops, and what all predicted."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.errors import DataError
from pynn.train.data import mapped
from pynn.train.network import Network
from pynn.train.resume import fingerprint

__all__ = ["EPOCH", "PIECE", "agree", "fill", "fill_states", "gathered", "need_same", "same_rows", "shared_rows"]


def need_same(trainer: Any, source: Any, hooks: Any, **settings: Any) -> None:
    """Raise DataError, on all processes, naming the first whose training is not that of rank 0."""
    gang, model = trainer.segments.gang, trainer.model
    if gang is None:
        return
    described = source.describe()
    weights = list(model.named_parameters())
    settings |= {"segments": trainer.segments.count, "batches": source.batches}
    step, table = trainer.slots.get("step"), trainer.optimizer.table
    kept = [held for _, w in weights if (held := table.get(w))]
    slots = [one.view() for held in kept for one in held.alike()]
    facts = {
        "seed": str(trainer.seed),
        **{f"settings of fit ({key})": str(value) for key, value in settings.items()},
        "optimizer": _nameless(f"{trainer.optimizer!r} at step {step}"),
        "loss": _nameless(repr(trainer.loss)),
        "metrics": str(trainer.head.log_names()),
        **{f"weights ({path})": f"{w.shape} {w.dtype}" for path, w in weights},
        "weights": fingerprint(*(w.view() for _, w in weights)),
        "slots of the optimizer": fingerprint(*slots) + table.given if step else "",
        "places of the weights": str([(w.buffer.root().nbytes, w.buffer.offset) for _, w in weights]),
        **{f"settings of {path or 'the model'}": text for path, text in _settings(model)},
        **{f"data ({key})": str(value) for key, value in described.items()},
    }
    gang.need_same("fit", facts, max(gang.beginning, gang.deadline))
    trainer.shared_points = any(gang.tell(hooks.takes_safe_points, "the callbacks"))


def _settings(model: Any) -> Iterator[tuple[str, str]]:
    """Yield (path, settings) of a model's modules, those of the layers before those of what holds them."""
    for path, module in reversed(list(model.named_modules())):
        try:
            yield path, json.dumps(module.get_config(), sort_keys=True)
        except DataError:  # of a class that data cannot name
            yield path, type(module).__name__


def _nameless(text: str) -> str:
    """Leave out where in memory an object is, which is another place in every process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


PLACES = "before a step", "at the end of a batch or piece of data", "at the end of an epoch"
STEP, PIECE, EPOCH = range(3)


def agree(trainer: Any, model: Network, interrupts: Any, count: int, place: int = STEP, rows: int = 0) -> int:
    """Return how many steps of batches of so many rows all make next; one sets `stop_training` for all.

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
    table = gang.agree([count, int(model.stop_training), int(noted), place, step, rows], "the next steps")
    odd = next((r for r in range(gang.ranks) if (table[r, 3:] != table[0, 3:]).any()), None)
    if odd is not None:
        at = [f"{PLACES[table[r, 3]]}, after step {table[r, 4]}" for r in (0, odd)]
        if (table[odd, 3:5] == table[0, 3:5]).all():
            at = [f"{text}, at a batch of {table[r, 5]} rows" for r, text in zip((0, odd), at, strict=True)]
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


def same_rows(gang: Any, n: int, rows: int, place: str) -> None:
    """Raise DataError, on all processes, if they do not compute as many rows, as many at a time."""
    table = gang.agree([n, rows], f"the rows of {place}").tolist()
    odd = next((r for r in range(gang.ranks) if table[r] != table[0]), None)
    if odd is not None:
        raise DataError(
            f"[{place}] expected as many rows, and as many at a time, on all ranks. Received: {table[odd][0]} by "
            f"{table[odd][1]} on {gang.name(odd)}, and {table[0][0]} by {table[0][1]} on {gang.name(0)}. "
            "help: give the same data to every rank."
        )


def gathered(gang: Any, found: list[np.ndarray], place: str) -> Iterator[np.ndarray]:
    """Yield arrays of the rows of all processes, one after the other."""
    for array in found:
        yield np.concatenate(gang.gather(array, f"the outputs of {place}"))
