"""Numbers of NumPy's or Python's generators that a recording would freeze: they are seen, and refused."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn.errors import CaptureError

__all__ = ["no_foreign_random"]

GENERATORS = (np.random.Generator, np.random.RandomState, np.random.BitGenerator, random.Random)


@contextlib.contextmanager
def no_foreign_random(model: Any) -> Iterator[None]:
    """Raise CaptureError if a generator that is not pynn's was asked inside the ``with`` block.

    Looked at are NumPy's global one and Python's, and those that modules hold as attributes or their forward() finds
    among its module's names. One that is made anew inside forward() cannot be seen.
    """
    found = list(_generators(model))
    before = [_position(g) for _, g in found]
    yield
    for (where, generator), position in zip(found, before, strict=True):
        if _position(generator) != position:
            raise CaptureError(
                f"{where} was asked for numbers while a step was being recorded; every later step would repeat them. "
                "help: use pynn.random.normal, uniform, bernoulli or integers, or run_eagerly=True."
            )


def _generators(model: Any) -> Iterator[tuple[str, Any]]:
    yield "numpy.random", np.random.mtrand._rand
    yield "Python's random", random._inst
    seen: set[int] = set()
    for module in model.modules():
        function = getattr(type(module), "forward", None)
        code = getattr(function, "__code__", None)
        names = {} if code is None else {n: function.__globals__.get(n) for n in code.co_names}  # type: ignore[union-attr]
        held = vars(module)
        for name, value in (*held.items(), *names.items()):
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, GENERATORS) and id(item) not in seen:
                    seen.add(id(item))
                    yield f"[{module.name}] the generator {name!r}", item


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
