"""Numbers of NumPy's or Python's generators that a recording would freeze: they are seen, and refused."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn._blocks import Shared, context
from pynn.core._watch import Watch
from pynn.errors import CaptureError

__all__ = ["no_foreign_random"]


@context
def no_foreign_random(*roots: Any) -> Iterator[None]:
    """Raise CaptureError if a generator that is not pynn's was asked inside the ``with`` block.

    Looked at are those that can be reached from the roots (a model, or a loss) as a Watch reaches what they read, those
    that NumPy seeds anew inside, and NumPy's global one and Python's. These two belong to all threads: where the roots
    are pynn's own code alone, which asks neither, it was another thread.
    """
    watch = Watch(*roots)
    found = [(f"the generator {path!r}", g) for path, g in watch.generators]
    if watch.foreign:
        found += [("numpy.random", np.random.mtrand._rand), ("Python's random", random._inst)]
    before = [_position(g) for _, g in found]
    with _asked:
        seeds = _seeds.count
        yield
        anew = _seeds.count != seeds
    for (where, generator), position in zip(found, before, strict=True):
        if _position(generator) != position:
            raise _refusal(where)
    if anew:
        raise _refusal("a generator without a seed, made anew,")


def _refusal(where: str) -> CaptureError:
    return CaptureError(
        f"{where} was asked for numbers while a step was being recorded; every later step would repeat them. "
        "help: use pynn.random.normal, uniform, bernoulli or integers, or run_eagerly=True."
    )


class _Seeds(threading.local):
    count = 0  # how many NumPy took from the system, in this thread


_seeds = _Seeds()


def _counted(bits: int) -> int:
    _seeds.count += 1
    seed: int = _asked.before(bits)
    return seed


# What NumPy itself asks for a seed: a generator made without one has numbers of its own.
_asked = Shared(np.random.bit_generator, "randbits", _counted)


def _position(generator: Any) -> Any:
    """Return a copy of what a draw changes."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):  # it draws normal numbers in pairs, and holds the second
        return _plain(generator.get_state(legacy=False))
    bits = getattr(generator, "bit_generator", generator)
    return _plain(bits.state), getattr(getattr(bits, "seed_seq", None), "n_children_spawned", 0)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return tuple((key, _plain(value)) for key, value in state.items())
    return state.tobytes() if isinstance(state, np.ndarray) else state
