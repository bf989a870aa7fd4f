"""Things by name: of one kind, by the names of their classes, by those of Keras's functions, or by a config."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pynn.errors import nearest
from pynn.keras.missing import used_by
from pynn.keras.tree import snake_case

__all__ = ["Named", "custom"]

custom: dict[str, Any] = {}  # what the program has registered, or named in a custom_object_scope


class Named:
    """The things of one kind.

    Parameters
    ----------
    kind : str
    base : type or None
        None: functions.
    makers : iterable of type or function
    aliases : mapping of str to type or function
    """

    def __init__(self, kind: str, base: Any, makers: Iterable[Any], aliases: Mapping[str, Any] | None = None):
        self.kind, self.base = kind, base
        self.table: dict[str, Any] = {}
        for maker in makers:
            self.table[maker.__name__] = self.table[snake_case(maker.__name__)] = maker
        self.table.update(aliases or {})

    def find(self, name: str, more: Mapping[str, Any] | None = None) -> Any:
        """Return what has a name.

        Raises
        ------
        ValueError
            If nothing has; the message gives the nearest one.
        """
        key = name.rpartition(">")[2]
        for table in (more or {}, custom, self.table):
            if key in table:
                return table[key]
        found = {k.lower(): v for k, v in self.table.items()}.get(key.lower())
        if found is not None:
            return found
        names = sorted(k for k in self.table if k.islower() or self.base is None)
        near = nearest(key.lower(), names)
        raise ValueError(
            f"[{self.kind}] not in pynn: {name!r}"
            + (f"; nearest: {near}" if near else "")
            + f"{used_by()}. Known: {', '.join(names)}."
        )

    def get(self, identifier: Any) -> Any:
        """Return the thing that a name, a class, a config or an object stands for; None for None."""
        if identifier is None:
            return None
        if isinstance(identifier, dict):
            return self.deserialize(identifier)
        if isinstance(identifier, str):
            identifier = self.find(identifier)
        if isinstance(identifier, type):
            return identifier()
        if callable(identifier) or (self.base is not None and isinstance(identifier, self.base)):
            return identifier
        raise TypeError(f"[{self.kind}] expected a name, a function or an object. Received: {identifier!r}{used_by()}.")

    def serialize(self, thing: Any) -> Any:
        """Return a config: class and settings of an object, the name of a function."""
        if thing is None or isinstance(thing, str):
            return thing
        if hasattr(thing, "get_config"):
            own = type(thing).__module__.startswith("pynn.")
            return {
                "module": f"keras.{self.kind}s" if own else None,
                "class_name": type(thing).__name__,
                "config": thing.get_config(),
                "registered_name": None if own else type(thing).__name__,
            }
        return getattr(thing, "__name__", str(thing))

    def deserialize(self, config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
        """Return the thing of a config."""
        if not isinstance(config, dict):
            return None if config is None else self.get(self.find(config, custom_objects))
        if config.get("class_name") == "function" and isinstance(config.get("config"), str):
            return self.find(config["config"], custom_objects)
        maker = self.find(config["class_name"], custom_objects)
        settings: Callable[..., Any] = getattr(maker, "from_config", lambda c: maker(**c))
        return settings(dict(config.get("config") or {}))
