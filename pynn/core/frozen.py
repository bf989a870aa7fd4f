"""Numbers of NumPy's or Python's generators that a recording would freeze: they are seen, and refused."""

from __future__ import annotations

import contextlib
import random
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from pynn.errors import CaptureError

__all__ = ["no_foreign_random"]

GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)


@contextlib.contextmanager
def no_foreign_random(holders: Iterable[Any], *methods: str) -> Iterator[None]:
    """Raise CaptureError if a generator that is not pynn's was asked inside the ``with`` block.

    Looked at are NumPy's global one and Python's, and those that the holders (modules, or a loss) have as attributes,
    or that these methods of theirs find among the names of their file. One that is made anew inside cannot be seen.
    """
    found = list(_generators(holders, methods))
    before = [_position(g) for _, g in found]
    yield
    for (where, generator), position in zip(found, before, strict=True):
        if _position(generator) != position:
            raise CaptureError(
                f"{where} was asked for numbers while a step was being recorded; every later step would repeat them. "
                "help: use pynn.random.normal, uniform, bernoulli or integers, or run_eagerly=True."
            )


def _generators(holders: Iterable[Any], methods: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    yield "numpy.random", np.random.mtrand._rand
    yield "Python's random", random._inst
    seen: set[int] = set()
    for holder in holders:
        held = vars(holder)
        functions = [getattr(type(holder), method, None) for method in methods]
        names = [named for f in (*functions, *held.values()) for named in _names(f)]
        for name, value in (*held.items(), *names):
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, GENERATORS) and id(item) not in seen:
                    seen.add(id(item))
                    yield f"[{getattr(holder, 'name', type(holder).__name__)}] the generator {name!r}", item


def _names(function: Any) -> list[tuple[str, Any]]:
    """Return what the names in a Python function stand for, in its file and in the functions round it."""
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    closed = [(name, cell.cell_contents) for name, cell in cells if cell != types.CellType()]
    return [*((name, function.__globals__.get(name)) for name in code.co_names), *closed]


def _position(generator: Any) -> Any:
    """Return a copy of what a draw changes."""
    if isinstance(generator, random.Random):
        return generator.getstate()
    bits = getattr(generator, "bit_generator", None) or getattr(generator, "_bit_generator", None) or generator
    return _plain(bits.state)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return tuple((key, _plain(value)) for key, value in state.items())
    return state.tobytes() if isinstance(state, np.ndarray) else state
