"""What a model is made of, as JSON and back.

A record names a registered class and what makes one of it; every module writes its own (see :class:`Recorded`). A layer
that is used at several places has one record, and references to it. A second list tells, for every module of the tree,
with which input shape it was built, and what was changed since it was made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.core.context import training
from pynn.core.state import no_grad, trial
from pynn.errors import DataError
from pynn.io import registry
from pynn.io.arguments import UsedUp, current_arguments
from pynn.io.config import decode, encode
from pynn.io.fields import items, shape, table
from pynn.io.recorded import Recorded

__all__ = ["Assembler", "describe", "made_of", "record_of"]

DTYPES = ("float32", "float64")


def describe(model: Any) -> dict[str, Any]:
    """Return the description of a model, as JSON.

    Raises
    ------
    DataError
        If a layer, function or object in it has no name that a file can hold.

    Examples
    --------
    >>> from pynn import nn
    >>> found = describe(nn.Sequential([nn.Input((3,)), nn.Flatten()]))
    >>> found["root"]["input"], [layer["class"] for layer in found["root"]["layers"]]
    ([3], ['nn.Flatten'])
    """
    scribe = _Scribe()
    return {
        "root": scribe.record(model, model.name),
        "modules": [_state(p, m, id(m) in scribe.numbers) for p, m in model.named_modules()],
        "seed": int(model._seed[0]),
    }


def record_of(module: Recorded) -> dict[str, Any]:
    """Return the record of one module, as JSON: its class, and what makes one like it; no weights."""
    return _Scribe().record(module, getattr(module, "name", "model"))


def made_of(record: Any) -> Any:
    """Return the module of a record, with weights of its own that are still to be drawn.

    Raises
    ------
    DataError
        If it is no record, or names a class that is not registered.
    """
    return Assembler({"root": record, "modules": [], "seed": 0}).model


class _Scribe:
    """Writes records; remembers which modules have one."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}

    def record(self, module: Recorded, place: str) -> dict[str, Any]:
        if id(module) in self.numbers:
            return {"ref": self.numbers[id(module)]}
        number = self.numbers[id(module)] = len(self.numbers)
        head: dict[str, Any] = {"class": _class_name(module, place), "id": number}
        return head | module._record(self, place)

    def inner(self, value: Any, place: str) -> Any:
        """Return the record of a setting that is a module; None for other settings."""
        return self.record(value, place) if isinstance(value, Recorded) else None


def _class_name(module: Recorded, place: str) -> str:
    name = registry.name_of(type(module))
    if name is None:
        kind = type(module).__name__
        raise DataError(
            f"[save] {place}: the layer {kind} is not registered, so no file can name it. "
            f"help: decorate the class with @pynn.register, or call pynn.register({kind}), also before loading."
        )
    return name


def _state(path: str, module: Any, recorded: bool) -> dict[str, Any]:
    """Return what became of a module after it was made."""
    found: dict[str, Any] = {"path": path, "class": _class_name(module, path), "name": module.name}
    if module.built:
        found["built"] = [1, *module._built_for[1:]] if module._built_for else []
    if module.dtype != np.float32:
        found["dtype"] = str(module.dtype)
    if not module._trainable:
        found["trainable"] = False
    # A module inside one of the program's own classes comes from that class; what was set on it since is told here.
    found["config"] = {} if recorded else _settings(module)
    return found


def _settings(module: Any) -> dict[str, Any]:
    """Return those arguments that hold no modules."""
    found = {}
    for key, value in current_arguments(module).items():
        if key == "name" or isinstance(value, UsedUp):
            continue
        try:
            found[key] = encode(value, f"{module.name}.{key}", _refuse)
        except _Structure:
            pass
        except DataError:  # what a class of the program's own gives its layers, it gives them again
            if value is not module.__dict__["_arguments"].get(key):
                raise
    return found


class _Structure(Exception):
    pass


def _refuse(value: Any, place: str) -> None:
    if getattr(value, "structural", False):
        raise _Structure


class Assembler:
    """Makes a model from a description, checking every field; nothing else than registered classes is made.

    Parameters
    ----------
    description : dict
        See :func:`describe`; from a file, so not to be trusted.
    """

    def __init__(self, description: Any):
        self.modules: dict[int, Any] = {}
        given = table(description, {"root", "modules", "seed"}, "architecture")
        if type(given["seed"]) is not int or not 0 <= given["seed"] < 2**64:
            raise DataError("[load] architecture.seed: expected an integer of at least 0.")
        self.model = self.module(given["root"], "model")
        self.seed = given["seed"]
        self.states = self._checked_states(given["modules"])

    def module(self, record: Any, place: str) -> Any:
        """Return the module that a record, or a reference to one, stands for."""
        if isinstance(record, dict) and set(record) == {"ref"}:
            number = record["ref"]
            if type(number) is not int or number not in self.modules:
                raise DataError(f"[load] {place}: refers to a layer that does not come before it.")
            return self.modules[number]
        if not isinstance(record, dict) or type(record.get("id")) is not int or record["id"] in self.modules:
            raise DataError(f"[load] {place}: expected the record of a layer.")
        cls = registry.find(record.get("class"), Recorded, place)
        module = cls._of_record(self, record, place)
        self.modules[record["id"]] = module
        return module

    def inner(self, value: dict[str, Any], place: str) -> Any:
        """Return the module that a setting stands for; None for other settings."""
        if "ref" in value or "id" in value:
            return self.module(value, place)
        return None

    def made(self, cls: Any, place: str, *positional: Any, **settings: Any) -> Any:
        """Call a constructor; what it refuses is a fault of the file."""
        try:
            return cls(*positional, **settings)
        except Exception as error:
            raise DataError(f"[load] {place}: {cls.__name__} cannot be made: {error}") from error

    # What became of the modules

    def _checked_states(self, records: Any) -> list[dict[str, Any]]:
        found = []
        for i, record in enumerate(items(records, "modules")):
            place = f"modules[{i}]"
            if not isinstance(record, dict) or not {"path", "class", "name", "config"} <= set(record):
                raise DataError(f"[load] {place}: expected a table of path, class, name and config.")
            table(record, {"path", "class", "name", "config"} | (set(record) & {"built", "dtype", "trainable"}), place)
            if not isinstance(record["path"], str) or not isinstance(record["name"], str):
                raise DataError(f"[load] {place}: expected texts as path and name.")
            if record.get("dtype", "float32") not in DTYPES or record.get("trainable", False) is not False:
                raise DataError(f"[load] {place}: expected dtype {' or '.join(DTYPES)}, and trainable only if false.")
            if "built" in record:
                shape(record["built"], f"{place}.built", least=0)
            if not isinstance(record["config"], dict):
                raise DataError(f"[load] {place}.config: expected a table.")
            found.append(record)
        if len({record["path"] for record in found}) < len(found):
            raise DataError("[load] modules: a path is given twice.")
        return found

    def build(self) -> None:
        """Build every module for the shapes that it had, in the order of the tree; weights are declared, not drawn."""
        by_path = dict(self.model.named_modules())
        for record in self.states:
            path = record["path"]
            if path not in by_path:  # made when its parent was built
                by_path = dict(self.model.named_modules())
            module = by_path.get(path)
            if module is None or type(module) is not registry.find(record["class"], Recorded, path or "model"):
                raise DataError(
                    f"[load] {path or 'model'}: expected a {record['class']}. "
                    f"Received: {'nothing' if module is None else type(module).__name__}, from the registered classes. "
                    "help: the program's own classes must be those that the model was saved with."
                )
            self._restore(module, record)
        object.__setattr__(self.model, "_seed", [self.seed, *self.model._seed[1:]])
        extra = [p for p, _ in self.model.named_modules() if p not in {record["path"] for record in self.states}]
        if extra:
            raise DataError(f"[load] {extra[0]}: the model has this layer, the file does not tell of it.")
        self._check_fit()

    def _check_fit(self) -> None:
        """Refuse layers that do not fit together: every one is called, with no rows, which costs no memory.

        What the program's own classes take is theirs to know.
        """
        model = self.model
        if not model.built or not all(registry.is_own(type(m)) for m in model.modules()):
            return
        try:
            with no_grad(), training(False), trial():
                model(*model._no_rows())
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"[load] the layers do not fit together: {error}") from error

    def _restore(self, module: Any, record: dict[str, Any]) -> None:
        object.__setattr__(module, "name", record["name"])
        object.__setattr__(module, "dtype", np.dtype(record.get("dtype", "float32")))
        self._set_changed(module, record)
        if "built" in record and not module.built:
            built_for = tuple(record["built"])
            try:
                module._declare(built_for)
            except DataError:
                raise
            except Exception as error:
                raise DataError(f"[load] {record['path'] or 'model'}: cannot be built: {error}") from error
            object.__setattr__(module, "_built_for", built_for)
            object.__setattr__(module, "built", True)
        module._set_trainable(record.get("trainable", True))

    def _set_changed(self, module: Any, record: dict[str, Any]) -> None:
        """Set what was set on a module after a class of the program's own made it."""
        place = record["path"] or "model"
        if record["config"] and any(module is made for made in self.modules.values()):
            raise DataError(f"[load] {place}: expected its settings once.")
        have = _settings(module) if record["config"] else {}
        for key, item in record["config"].items():
            if key in have and have[key] != item:
                wanted = decode(item, f"{place}.{key}")
                try:
                    fresh = type(module)(**{**current_arguments(module), key: wanted})  # checks the value
                    setattr(module, key, wanted if callable(wanted) else getattr(fresh, key))
                except Exception as error:
                    raise DataError(f"[load] {place}: {key} cannot be set to {wanted!r}: {error}") from error
