"""Bad input changes nothing: what was built for it is let go of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from pynn._blocks import Leaving, context
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.train.network import Network

__all__ = ["named", "told_of", "told_of_inputs", "told_of_shape", "unbuilt_if_it_fails"]

_OF_ONE_ROW = re.compile(r"(?<=shape=\()1(?=[,)])")


def unbuilt_if_it_fails(model: Network) -> Leaving:
    """Let go of the weights that were built inside a ``with`` block that fails: bad input must change nothing.

    Ctrl-C is a failure too: half a build would change what the next one draws.
    """
    calls: list[tuple[Any, ...]] = []
    for module in model.modules():
        if not module.built:
            tables: tuple[Any, ...] = module._weights, module._regularizers, module._constraints, module._frozen
            calls += [(type(table).clear, table) for table in tables]
            calls.append((object.__setattr__, module, "built", False))
    return Leaving(*calls, failed=True)


@context
def told_of_shape(input_shape: tuple[int, ...]) -> Iterator[None]:
    """Let errors of a build say that the batch axis is missing, where one size was given."""
    try:
        yield
    except ShapeError as error:
        if len(input_shape) != 1 or input_shape[0] in (None, 1):
            raise
        raise ShapeError(
            f"[build] expected an input shape that includes the batch axis. Received: input_shape={input_shape}. "
            f"help: build((None, {input_shape[0]}))."
        ).with_traceback(error.__traceback__) from None


def told_of_inputs(error: ShapeError, built_for: tuple[int, ...], inputs: Sequence[Any]) -> ShapeError:
    """Return the error of a layer inside a model, with the shape of the model's input where that is the reason."""
    if len(inputs) != 1 or not built_for or getattr(inputs[0], "shape", ())[1:] == built_for[1:]:
        return error
    given, text = inputs[0].shape, str(error)
    if f"shape={given}" in text:
        return error
    wanted = "".join(f", {d}" for d in built_for[1:])
    told = ShapeError(f"{text} The model was built for inputs of shape (N{wanted}) and got x.shape={given}.")
    return told.with_traceback(error.__traceback__)


@context
def named(place: str) -> Iterator[None]:
    """Let errors of a ``with`` block begin with `place`, if it is that of other data than x and y."""
    try:
        yield
    except (ShapeError, DTypeError, DataError) as error:
        if ":" not in place or str(error).startswith(f"[{place}]"):
            raise
        raise type(error)(f"[{place}] {error}").with_traceback(error.__traceback__) from None


@context
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
