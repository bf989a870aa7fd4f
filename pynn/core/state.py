"""What holds for the calling thread: recording, gradients, training, random numbers, the layer that computes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pynn._blocks import Held

__all__ = ["for_pages", "gathered_losses", "no_grad", "observed", "scope", "shapes_alone", "state", "trial"]


class _State(threading.local):
    """What holds for the calling thread."""

    recorder: Any = None  # a pynn.core.program.Recorder while a program is being recorded
    grad_enabled = True
    training = False
    rng: Any = None  # where random ops find seed, step and salt (pynn.core.context)
    carries = True  # whether ops hand the lengths of padded sequences on; not on the way back
    module: Any = None  # the layer that is being computed
    scope = ""  # the path of the layer that is being computed
    tape: Any = None  # a pynn.core.tape.Tape while the ops of a forward pass are noted
    pages = False  # whether a program is recorded for a page, which has fewer kernels
    trial = False  # whether a model is run on any data, to see shapes: state that outlives a call stays as it is
    lost: list[str] | None = None  # notes ops that lose lengths, or go by masks otherwise than by lengths
    shapes = False  # whether ops and weights have shapes alone, and no values: see shapes_alone()
    losses: list[Any] | None = None  # where add_loss() puts what a forward pass adds to the loss: see gathered_losses()
    rows: tuple[int, int, int] | None = None  # of a segment: its first row, its end, and the rows of the batch
    shared: Any = None  # a pynn.train.abreast.Abreast while segments are computed side by side
    observer: Any = None  # called with (module, output) after each module's forward pass: see observed()


state = _State()


def no_grad() -> Held:
    """Compute without building the graph, inside a ``with`` block.

    Examples
    --------
    >>> import pynn
    >>> x = pynn.tensor(2.0, requires_grad=True)
    >>> with pynn.no_grad():
    ...     (x * x).requires_grad
    False
    """
    return Held(state, grad_enabled=False)


def trial() -> Held:
    """Run a model for its shapes alone: layers neither use nor change state that outlives a call."""
    return Held(state, trial=True)


def for_pages() -> Held:
    """Record programs of what pages have kernels for."""
    return Held(state, pages=True)


def shapes_alone() -> Held:
    """Run a model for the shapes of all that it makes: ops infer theirs and compute nothing, weights are not drawn.

    What is made inside has no memory, and must not leave the ``with`` block.
    """
    return Held(state, shapes=True, trial=True)


def gathered_losses(into: list[Any]) -> Held:
    """Gather what modules add to the loss (add_loss) inside a ``with`` block."""
    return Held(state, losses=into)


def observed(look: Callable[[Any, Any], None]) -> Held:
    """Call look(module, output) after each module's forward pass."""
    return Held(state, observer=look)


def scope(name: str, module: Any = None) -> Held:
    """Name the layer in whose behalf ops are executed."""
    return Held(state, scope=f"{state.scope}/{name}" if state.scope else name, module=module)
