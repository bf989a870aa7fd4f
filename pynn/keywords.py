"""Keyword arguments that nothing takes: the error gives the nearest name, also of what a base class takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from pynn.errors import nearest

__all__ = ["Spelled", "meant", "spelled"]

F = TypeVar("F", bound=Callable[..., Any])

# What other libraries call the same, where no slip of a typist leads from one to the other.
ELSEWHERE = {
    "act": "activation",
    "betas": "beta_1",
    "bias": "use_bias",
    "bs": "batch_size",
    "dim": "axis",
    "embedding_dim": "output_dim",
    "epsilon": "eps",
    "hidden_size": "units",
    "lr": "learning_rate",
    "n_units": "units",
    "neurons": "units",
    "num_embeddings": "input_dim",
    "out_channels": "filters",
    "out_features": "units",
    "p": "rate",
}
SHAPES = ("input_dim", "input_shape", "batch_input_shape", "in_features", "in_channels")
# Where the nearest name would not help: what does, by call and keyword.
ADVICE = {
    "Embedding.weights": "embeddings_initializer=pynn.init.Constant(matrix) gives it vectors. ",
    "compile.lr": "the optimizer takes it: optimizer=pynn.optim.Adam(learning_rate=0.001). ",
    "compile.learning_rate": "the optimizer takes it: optimizer=pynn.optim.Adam(learning_rate=0.001). ",
    "compile.epochs": "fit takes it: model.fit(x, y, epochs=10). ",
    "compile.batch_size": "fit takes it: model.fit(x, y, batch_size=32). ",
}


def meant(name: str, known: Collection[str]) -> str | None:
    """Return the known name that was meant: what other libraries call so, or else the nearest.

    Examples
    --------
    >>> meant("lr", ["rho", "learning_rate"]), meant("learning_rat", ["rho", "learning_rate"]), meant("x", ["rho"])
    ('learning_rate', 'learning_rate', None)
    """
    found = ELSEWHERE.get(name)
    return found if found in known else nearest(name, known)


def spelled(call: F) -> F:
    """Return a function or constructor whose error for an unknown keyword argument gives the nearest name.

    It costs nothing but a frame where all is well. Of a class it is the constructor, for those that are written by a
    decorator; others have :class:`Spelled` as a base.

    Examples
    --------
    >>> @spelled
    ... def fit(x, epochs=1, learning_rate=0.1):
    ...     return epochs
    >>> fit(0, epoch=3)
    Traceback (most recent call last):
    ...
    TypeError: [fit] unknown keyword argument. Received: epoch=3. help: did you mean epochs=? Known: ...
    """
    if isinstance(call, type):
        call.__init__ = spelled(call.__init__)  # type: ignore[misc]
        return call

    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except TypeError as error:
            # No frame below this one: the arguments do not fit the call itself.
            below = error.__traceback__.tb_next if error.__traceback__ is not None else None
            complaint = _complaint(call, args, kwargs) if below is None and kwargs else None
            if complaint is None:
                raise
        raise TypeError(complaint)

    return wrapped  # type: ignore[return-value]


class Spelled:
    """A base of classes whose constructors are :func:`spelled`."""

    __slots__ = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            cls.__init__ = spelled(cls.__init__)  # type: ignore[method-assign]


def _complaint(call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    made = type(args[0]) if call.__name__ == "__init__" and args else None
    known = _names_of(call) if made is None else _names_of_class(made)
    unknown = [] if known is None else [name for name in kwargs if name not in known]
    if known is None or not unknown:
        return None
    name = unknown[0]
    found = meant(name, known)
    value = repr(kwargs[name])
    place = call.__name__ if made is None else made.__name__
    hint = ADVICE.get(f"{place}.{name}") or (f"did you mean {found}=? " if found else "")
    if made is not None and name in SHAPES and found not in ("input_dim", "output_dim"):
        hint = "begin the model with nn.Input(shape); layers find the rest. "
    return (
        f"[{place}] unknown keyword argument. "
        f"Received: {name}={value if len(value) <= 40 else '...'}. help: {hint}Known: {', '.join(sorted(known))}."
    )


def _names_of_class(cls: type) -> set[str] | None:
    """Return what a constructor and those that it hands ``**options`` to take; None if that is anything."""
    known: set[str] = set()
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            names = _names_of(vars(base)["__init__"])
            kinds = {p.kind for p in inspect.signature(vars(base)["__init__"]).parameters.values()}
            known |= names or set()
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                return known
    return None


def _names_of(call: Callable[..., Any]) -> set[str]:
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return {p.name for p in inspect.signature(call).parameters.values() if p.kind in kinds and p.name != "self"}
