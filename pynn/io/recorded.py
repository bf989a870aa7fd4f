"""What a file can hold together with its parts: objects that write their own record, and are made of one again."""

from __future__ import annotations

from typing import Any

from pynn.errors import DataError
from pynn.io.arguments import UsedUp, current_arguments, parameters, recorded
from pynn.io.config import decode, encode
from pynn.io.fields import table
from pynn.keywords import spelled

__all__ = ["Recorded"]


class Recorded:
    """The base of what has a record: its class, and here its constructor's arguments, which are noted when it is made.

    A subclass that is better told otherwise, such as a chain of layers, writes :meth:`_record` and :meth:`_of_record`.
    """

    __slots__ = ()
    called = "Module"  # in messages
    structural = True  # part of how modules hang together, not a setting of one

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            cls.__init__ = recorded(spelled(cls.__init__))  # type: ignore[method-assign]

    def _record(self, scribe: Any, place: str) -> dict[str, Any]:
        """Return what makes one like this again, as JSON; `scribe` writes the records of inner modules."""
        config = {}
        for key, value in current_arguments(self).items():
            if isinstance(value, UsedUp):
                raise DataError(
                    f"[save] {place}: {type(self).__name__} was made with {key}, a {value.kind}, which is used up. "
                    "help: make it with a list."
                )
            config[key] = encode(value, f"{place}.{key}", scribe.inner)
        return {"config": config}

    @classmethod
    def _of_record(cls, assembler: Any, record: dict[str, Any], place: str) -> Any:
        """Return what a record from a file stands for, after every field was checked."""
        table(record, {"class", "id", "config"}, place)
        if not isinstance(record["config"], dict):
            raise DataError(f"[load] {place}.config: expected a table.")
        kind: Any = cls
        known = parameters(kind).parameters
        if "seed" not in known and record["config"].get("seed", 0) is None:
            record["config"].pop("seed")  # layers that draw nothing took one in earlier versions
        open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
        several = [f"*{name}" for name, p in known.items() if p.kind is p.VAR_POSITIONAL]
        for key in record["config"]:
            if key not in known and key not in several and (key.startswith("*") or not open_ended):
                raise DataError(f"[load] {place}: {record['class']} takes no {key[:40]!r}. Known: {', '.join(known)}.")
        settings = {key: decode(v, f"{place}.{key}", assembler.inner) for key, v in record["config"].items()}
        positional: list[Any] = []
        if several:  # what stands before *args can be given by position alone
            before = list(known)[: list(known).index(several[0][1:])]
            absent = {*before, several[0]} - set(settings)
            if absent or not isinstance(settings[several[0]], list):
                raise DataError(f"[load] {place}: expected {', '.join(before)}, and a list as {several[0]}.")
            positional = [settings.pop(key) for key in before] + settings.pop(several[0])
        return assembler.made(cls, place, *positional, **settings)
