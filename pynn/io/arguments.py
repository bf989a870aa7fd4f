"""What a module was constructed with, remembered so that the module can be written to a file and made again.

It is taken from the constructor's signature, so no layer writes it down. An attribute of the same name that was changed
afterwards counts, as in ``dropout.rate = 0.1``.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

__all__ = ["UsedUp", "current_arguments", "is_plain", "parameters", "recorded"]

_MISSING = object()


class UsedUp:
    """Stands for an argument that cannot be kept: an iterator, which was read to its end."""

    def __init__(self, kind: str):
        self.kind = kind


def recorded(init: Callable[..., None]) -> Callable[..., None]:
    """Return a constructor that notes its arguments, if it is the outermost one of a construction."""

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if type(self).__init__ is __init__:
            cls: Any = type(self)
            bound = parameters(cls).bind(*args, **kwargs)
            bound.apply_defaults()
            given = {
                name: UsedUp(type(v).__name__) if isinstance(v, Iterator) else v for name, v in bound.arguments.items()
            }
            object.__setattr__(self, "_arguments", given)
            object.__setattr__(self, "_constructed", {name: _current(self, name) for name in given})

    return __init__


@functools.cache
def parameters(cls: Any) -> inspect.Signature:
    """Return the constructor's signature without self."""
    signature = inspect.signature(cls.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def current_arguments(module: Any) -> dict[str, Any]:
    """Return the arguments that make a module like this one, by name; those of ``**options`` among the others.

    Examples
    --------
    >>> from pynn import nn
    >>> layer = nn.Dropout(0.5, name="half")
    >>> layer.rate = 0.25
    >>> current_arguments(layer)
    {'rate': 0.25, 'name': 'half', 'seed': None}
    """
    found: dict[str, Any] = {}
    constructed = module.__dict__.get("_constructed", {})
    cls: Any = type(module)
    kinds = parameters(cls).parameters
    for name, given in module.__dict__.get("_arguments", {}).items():
        kind = kinds[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            found.update(given)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            found[f"*{name}"] = list(given)
        else:
            now = _current(module, name)
            changed = now is not _MISSING and name in constructed and not _same(now, constructed[name])
            found[name] = now if changed or name == "name" else given
    return found


def is_plain(value: Any) -> bool:
    """Tell whether a value is None, a number, a text, or a list, tuple or dict of such."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    return value is None or isinstance(value, (bool, int, float, str, np.integer, np.floating, np.bool_))


def _current(module: Any, name: str) -> Any:
    """Return the attribute of a parameter's name, if it holds plain data (or is the activation)."""
    if name == "activation" and callable(module.__dict__.get("_function")):
        return module.__dict__["_function"]
    if name in module.__dict__.get("_weights", ()):
        return _MISSING
    value = module.__dict__.get(name, _MISSING)
    return value if value is not _MISSING and is_plain(value) else _MISSING


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and is_plain(a) and bool(a == b))
