"""Bad input changes nothing: what was built for it is let go of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pynn.train.network import Network

__all__ = ["unbuilt_if_it_fails"]


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
