"""Things that people call by name: a name, a class and an object are resolved alike, for every kind of thing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pynn.checks import written
from pynn.errors import unknown_name

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Mapping[str, Callable[..., T]], Generic[T]):
    """The things of one kind, by name: a mapping from a name, or an alias, to what makes the thing.

    Parameters
    ----------
    kind : str
        What is named, for instance ``"optimizer"``; it stands in messages.
    base : type or tuple of types
        What an object of the kind is an instance of.
    makers : mapping of str to callable
        What makes the thing of each name, without arguments: a class, or a function.
    aliases : mapping of str to str, optional
        Further names for some of these.
    convert : callable, optional
        Makes a thing of an object that is none, for instance of a function; returns None where it cannot.
    expected : str
        What is accepted, for messages.
    remedy : str, optional
        What to do if something else came.
    place : str, optional
        What a message names in brackets; by default the kind.

    Examples
    --------
    >>> class Shape:
    ...     def __repr__(self):
    ...         return type(self).__name__ + "()"
    >>> class Circle(Shape): ...
    >>> class Square(Shape): ...
    >>> shapes = Registry("shape", Shape, {"circle": Circle, "square": Square}, {"disc": "circle"})
    >>> shapes.resolve("square"), shapes.resolve("disc"), shapes.resolve(Square), shapes.resolve(Circle())
    (Square(), Circle(), Square(), Circle())
    >>> shapes.resolve("cirlce")
    Traceback (most recent call last):
    ...
    ValueError: unknown shape. Received: 'cirlce'. help: did you mean 'circle'? Known: circle, disc, square.
    """

    def __init__(
        self,
        kind: str,
        base: Any,
        makers: Mapping[str, Callable[..., T]],
        aliases: Mapping[str, str] | None = None,
        *,
        convert: Callable[[Any], T | None] | None = None,
        expected: str = "",
        remedy: str = "",
        place: str = "",
    ):
        self.kind, self.place, self.base, self.aliases = kind, place or kind, base, dict(aliases or {})
        self._makers = dict(makers)
        self._convert = convert
        self._expected = expected or f"a name or {_with_article(kind)}"
        self._remedy = f" help: {remedy}" if remedy else ""

    def __getitem__(self, name: str) -> Callable[..., T]:
        return self._makers[self.aliases.get(name, name)]

    def __iter__(self) -> Iterator[str]:
        yield from self._makers
        yield from self.aliases

    def __len__(self) -> int:
        return len(self._makers) + len(self.aliases)

    def __repr__(self) -> str:
        return f"<Registry of {self.kind} names: {', '.join(self)}>"

    def add(self, name: str, make: Callable[..., T]) -> None:
        """Give a thing a name."""
        self._makers[name] = make

    def maker(self, name: str, place: str = "") -> Callable[..., T]:
        """Return what makes the thing of a name.

        Raises
        ------
        ValueError
            If nothing has the name; the message gives the nearest one.
        """
        if name not in self:
            raise ValueError((f"[{place}] " if place else "") + unknown_name(self.kind, name, self))
        return self[name]

    def resolve(self, given: Any) -> T:
        """Return the thing that a name, a class or an object stands for.

        Raises
        ------
        ValueError
            If nothing has the name; the message gives the nearest one.
        TypeError
            If it is something else, or a class that needs arguments.
        """
        if isinstance(given, str):
            make = self.maker(given)
            if isinstance(make, type):
                self._check_class(make, given)
            return make()
        if isinstance(given, type):
            if issubclass(given, self.base) and given is not self.base:
                self._check_class(given, given)
                return given()
            if (
                given is not self.base
                and self._convert is not None
                and any("__call__" in vars(c) for c in given.__mro__)
            ):
                self._check_class(given, given)
                return self.resolve(given())
        elif isinstance(given, self.base):
            return given
        elif self._convert is not None and (made := self._convert(given)) is not None:
            return made
        raise TypeError(f"[{self.place}] expected {self._expected}. Received: {written(given)}.{self._remedy}")

    def _check_class(self, cls: type, given: Any) -> None:
        """Refuse a class that cannot be made without arguments."""
        empty = inspect.Parameter.empty
        several = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        needed = [
            p.name for p in inspect.signature(cls).parameters.values() if p.default is empty and p.kind not in several
        ]
        if needed:
            raise TypeError(
                f"[{self.place}] expected an object, since {cls.__name__} has no default for {', '.join(needed)}. "
                f"Received: {given!r}. help: pass {cls.__name__}({', '.join(f'{n}=...' for n in needed)})."
            )


def _with_article(kind: str) -> str:
    return ("an " if kind[0] in "aeiou" else "a ") + kind
