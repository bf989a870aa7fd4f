"""Copies and pickles of modules: what a model file holds, with the classes of the program that it names."""

from __future__ import annotations

import copyreg
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from pynn._blocks import context
from pynn.io import registry

__all__ = ["reduced", "restored"]


def reduced(module: Any) -> tuple[Any, ...]:
    """Return what ``copy`` and ``pickle`` make a module again of; see :meth:`object.__reduce__`.

    A module with weights goes through the bytes of its file: weights, states, and how it is trained. The program's own
    classes go beside them, so they need not be registered. One without weights keeps its attributes.
    """
    modules = list(module.modules())
    if not any(m._weights for m in modules):
        t = module._trainer
        how = (
            None
            if t is None
            else {"optimizer": t.optimizer, **t.head.described(), "seed": t.seed, "run_eagerly": t.run_eagerly}
        )
        kept = {name: value for name, value in vars(module).items() if name != "_slots"}
        return copyreg.__newobj__, (type(module),), (kept, how)  # type: ignore[attr-defined]
    classes = {_name(cls): cls for cls in {type(m): None for m in modules} if not registry.is_own(cls)}
    from pynn.io.model_file import dumps  # with all of training: only where something is copied

    with _named(classes):
        return _of_bytes, (dumps(module), classes)


def restored(module: Any, kept: dict[str, Any], how: dict[str, Any] | None) -> None:
    """Give a module without weights what :func:`reduced` told of it."""
    vars(module).update(kept)
    if how is not None:
        module.compile(**how)


def _of_bytes(data: bytes, classes: Mapping[str, type]) -> Any:
    from pynn.io import container
    from pynn.io.model_file import assemble

    with _named(classes):
        return assemble(container.unpack(data, "bytes"), "bytes")


def _name(cls: type) -> str:
    return (registry.name_of(cls) or f"copied-{uuid.uuid4().hex}").removeprefix("custom.")


@context
def _named(classes: Mapping[str, type]) -> Iterator[None]:
    """Let files name these classes inside a ``with`` block."""
    new = {name: cls for name, cls in classes.items() if name not in registry.registered()}
    with registry.forgotten(new):
        for name, cls in new.items():
            registry.register(cls, name)
        yield
