"""The classes and functions that a file may name: pynn's own, and those that a program registers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from pynn._blocks import Leaving
from pynn.errors import DataError, unknown_name

__all__ = ["announce", "enter", "find", "forget", "forgotten", "is_own", "name_of", "register", "registered"]

Any_ = TypeVar("Any_", bound=Callable[..., Any])

_CUSTOM = "custom."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_custom: dict[str, Any] = {}
_own: dict[str, type] = {}  # pynn's own layers, which enter themselves
_announced: dict[str, Callable[[], None]] = {}  # what registers a name as soon as a file asks for it


@overload
def register(item: Any_, name: str | None = None) -> Any_: ...
@overload
def register(item: None = None, name: str | None = None) -> Callable[[Any_], Any_]: ...
def register(item: Any = None, name: str | None = None) -> Any:
    """Let model files name a class or function of your own; usable as a decorator.

    A file that names it is loaded with whatever the running program registered under that name: no file can make pynn
    import, evaluate or unpickle anything.

    Parameters
    ----------
    item : class or function, optional
        A Module, Loss, Metric, Optimizer, Schedule, Initializer, regularizer or constraint, or a function (an
        activation for instance). Classes other than modules must keep their constructor's arguments as attributes of
        the same names.
    name : str, optional
        By default the item's own.

    Returns
    -------
    The item.

    Raises
    ------
    TypeError
        If it is neither a class nor a function.
    ValueError
        If the name is not one, or if something else has it already.

    Examples
    --------
    >>> import pynn
    >>> from pynn import nn
    >>> @pynn.register
    ... class Doubled(nn.Module):
    ...     def forward(self, x):
    ...         return x * 2.0
    >>> pynn.io.registered()["Doubled"] is Doubled
    True
    """
    if item is None:
        return functools.partial(register, name=name)
    if not callable(item):
        raise TypeError(f"[register] expected a class or a function. Received: {item!r}.")
    key = getattr(item, "__name__", None) if name is None else name
    if not isinstance(key, str) or not _NAME.fullmatch(key):
        raise ValueError(
            f"[register] expected a name of letters, digits and ._- (at most 100). Received: {key!r}. "
            "help: register(item, name='...')."
        )
    held = _custom.get(key, item)
    if held is not item and _origin(held) != _origin(item):  # a cell of a notebook that runs again may replace its own
        raise ValueError(f"[register] the name {key!r} is taken by {held!r}. help: register(item, name='...').")
    _custom[key] = item
    return item


def forget(name: str) -> None:
    """Take back what :func:`register` did."""
    _custom.pop(name, None)


def forgotten(names: Iterable[str]) -> Leaving:
    """Take back at the end of a ``with`` block, however it ends, what is registered under names."""
    return Leaving(*((_custom.pop, name, None) for name in names))


def registered() -> dict[str, Any]:
    """Return what the program registered, by name."""
    return dict(_custom)


def name_of(item: Any) -> str | None:
    """Return the name under which a file can hold a class or function; None if there is none."""
    for key, held in _custom.items():
        if held is item:
            return _CUSTOM + key
    return _names().get(item) if isinstance(item, type) else _activation_name(item)


def find(name: Any, kind: type | None, place: str) -> Any:
    """Return the class (a subclass of `kind`) or function (`kind` None) that a file names.

    Raises
    ------
    DataError
        If there is none, with the nearest known name, or if it is of another kind.
    """
    if not isinstance(name, str):
        raise DataError(f"[load] {place}: expected the name of a class. Received: {str(name)[:40]!r}.")
    if name.startswith(_CUSTOM):
        key = name.removeprefix(_CUSTOM)
        if key in _announced and key not in _custom:
            _announced[key]()
        if key not in _custom:
            known = f"Registered: {', '.join(sorted(_custom))}." if _custom else "Nothing is registered."
            raise DataError(
                f"[load] {place}: {key!r} is of the program that saved the model, and not registered here. {known} "
                f"help: define or import it, then pynn.register({key}), before loading."
            )
        item = _custom[key]
    elif kind is None:
        item = _activation(name)
    else:
        item = _classes().get(name)
    if item is None:
        what = "function" if kind is None else "class"
        known_names = ["relu"] if kind is None else [n for n, c in _classes().items() if issubclass(c, kind)]
        raise DataError(f"[load] {place}: {unknown_name(what, name[:80], known_names)}")
    if kind is not None and not (isinstance(item, type) and issubclass(item, kind)):
        raise DataError(f"[load] {place}: expected a {getattr(kind, 'called', kind.__name__)}. Received: {name!r}.")
    if kind is None and isinstance(item, type):
        raise DataError(f"[load] {place}: expected a function. Received: {name!r}, a class.")
    return item


def enter(prefix: str, cls: type) -> None:
    """Let files name a class of pynn's own, as ``prefix.ClassName``. For rooms above this one."""
    _own[f"{prefix}.{cls.__name__}"] = cls


def announce(name: str, load: Callable[[], None]) -> None:
    """Say what to call when a file names something that registers itself when loaded. For rooms above this one."""
    _announced[name] = load


def is_own(cls: type) -> bool:
    """Tell whether a class is pynn's own."""
    return cls in _classes().values()


def _classes() -> dict[str, type]:
    """Return the table of pynn's own classes."""
    return {**_own, **_below()}


@functools.cache
def _below() -> dict[str, type]:
    """Return the fixed part of the table: the classes of the rooms below this one."""
    from pynn import init, losses, metrics, optim, regularizers, schedules

    found: dict[str, type] = {}
    for prefix, module, base in (
        ("init", init, init.Initializer),
        ("losses", losses, losses.Loss),
        ("metrics", metrics, metrics.Metric),
        ("optim", optim, optim.Optimizer),
        ("schedules", schedules, schedules.Schedule),
        ("regularizers", regularizers, object),
    ):
        for name in module.__all__:
            item = getattr(module, name)
            if isinstance(item, type) and issubclass(item, base) and item is not base:
                found[f"{prefix}.{name}"] = item
    return found


def _names() -> dict[type, str]:
    return {cls: name for name, cls in _classes().items()}


def _activation(name: str) -> Any:
    from pynn.ops.activation import named

    try:
        return named(name)
    except ValueError as error:
        raise DataError(f"[load] {error}") from None


def _activation_name(item: Any) -> str | None:
    from pynn.ops.activation import named

    name = getattr(item, "__name__", "")
    try:
        return name if named(name) is item else None
    except ValueError:
        return None


def _origin(item: Any) -> tuple[Any, Any]:
    return getattr(item, "__module__", None), getattr(item, "__qualname__", None)
