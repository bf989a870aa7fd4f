"""Bad input changes nothing: what was built for it is let go of."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from pynn.errors import ShapeError
from pynn.train.network import Network

__all__ = ["told_of", "unbuilt_if_it_fails"]

_OF_ONE_ROW = re.compile(r"(?<=shape=\()1(?=[,)])")


@contextlib.contextmanager
def unbuilt_if_it_fails(model: Network) -> Iterator[None]:
    """Let go of the weights that were built inside a ``with`` block that fails: bad input must change nothing."""
    fresh = [module for module in model.modules() if not module.built]
    try:
        yield
    except BaseException:  # Ctrl-C too: half a build would change what the next one draws
        for module in fresh:
            module._unbuild()
        raise


@contextlib.contextmanager
def told_of(n: int, place: str) -> Iterator[None]:
    """Let errors of a ``with`` block, in which one row is tried, speak of all `n`, and of `place` if it is not x."""
    try:
        yield
    except ShapeError as error:
        prefix = f"[{place}] " if ":" in place else ""
        told = ShapeError(prefix + _OF_ONE_ROW.sub(str(n), str(error)))
        for note in getattr(error, "__notes__", ()):
            told.add_note(note)
        raise told.with_traceback(error.__traceback__) from None
