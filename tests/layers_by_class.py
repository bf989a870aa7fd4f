"""A layer of each class, for tests that ask something of every one."""

import inspect

from pynn import nn

ARGUMENTS = {"layer": lambda: nn.Dense(2), "hidden_units": lambda: [3, 2]}  # 2 for all others


def made(cls):
    """Return a layer with the least arguments: those that have no default."""
    needed = [
        p.name
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    return cls(**{name: ARGUMENTS.get(name, lambda: 2)() for name in needed})
