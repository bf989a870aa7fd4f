"""What a model is made of, as JSON and back.

A record names a registered class and its constructor's arguments; Sequential and Model list their layers and calls
instead. A layer that is used at several places has one record, and references to it. A second list tells, for every
module of the tree, with which input shape it was built, and what was changed since it was made.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn.core.context import training
from pynn.core.state import no_grad, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.io import registry
from pynn.io.config import decode, encode
from pynn.nn.arguments import Gone, current_arguments, parameters
from pynn.nn.functional import Model
from pynn.nn.layers import Input
from pynn.nn.module import Module
from pynn.nn.sequential import Sequential
from pynn.nn.symbol import Symbol

__all__ = ["Assembler", "describe"]

DTYPES = ("float32", "float64")
SIZE_LIMIT = 2**31


def describe(model: Module) -> dict[str, Any]:
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


class _Scribe:
    """Writes records; remembers which modules have one."""

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}

    def record(self, module: Module, place: str) -> dict[str, Any]:
        if id(module) in self.numbers:
            return {"ref": self.numbers[id(module)]}
        number = self.numbers[id(module)] = len(self.numbers)
        head: dict[str, Any] = {"class": _class_name(module, place), "id": number}
        if type(module) is Sequential:
            shape = module._input
            return head | {
                "name": module.name,
                "seed": encode(module._given_seed, place),
                "input": None if shape is None else list(shape),
                "layers": [self.record(layer, f"{place}.layers[{i}]") for i, layer in enumerate(module._layers)],
            }
        if type(module) is Model:
            return head | {
                "name": module.name,
                "seed": encode(module._given_seed, place),
                "inputs": [list(shape) for shape in module.input_shapes],
                "calls": [
                    {"layer": self.record(step.module, f"{place}.{step.module.name}"), "inputs": list(step.inputs)}
                    for step in module._plan
                ],
            }
        config = {}
        for key, value in current_arguments(module).items():
            if isinstance(value, Gone):
                raise DataError(
                    f"[save] {place}: {type(module).__name__} was made with {key}, a {value.kind}, which is used up. "
                    "help: make it with a list."
                )
            config[key] = encode(value, f"{place}.{key}", self._inner)
        return head | {"config": config}

    def _inner(self, value: Any, place: str) -> Any:
        return self.record(value, place) if isinstance(value, Module) else None


def _class_name(module: Module, place: str) -> str:
    name = registry.name_of(type(module))
    if name is None:
        kind = type(module).__name__
        raise DataError(
            f"[save] {place}: the layer {kind} is not registered, so no file can name it. "
            f"help: decorate the class with @pynn.register, or call pynn.register({kind}), also before loading."
        )
    return name


def _state(path: str, module: Module, recorded: bool) -> dict[str, Any]:
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


def _settings(module: Module) -> dict[str, Any]:
    """Return those arguments that hold no modules."""
    found = {}
    for key, value in current_arguments(module).items():
        if key == "name" or isinstance(value, Gone):
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
    if isinstance(value, (Module, Symbol)):
        raise _Structure


class Assembler:
    """Makes a model from a description, checking every field; nothing else than registered classes is made.

    Parameters
    ----------
    description : dict
        See :func:`describe`; from a file, so not to be trusted.
    """

    def __init__(self, description: Any):
        self.modules: dict[int, Module] = {}
        table = _table(description, {"root", "modules", "seed"}, "architecture")
        if type(table["seed"]) is not int or not 0 <= table["seed"] < 2**64:
            raise DataError("[load] architecture.seed: expected an integer of at least 0.")
        self.model = self._module(table["root"], "model")
        self.seed = table["seed"]
        self.states = self._checked_states(table["modules"])

    def _module(self, record: Any, place: str) -> Module:
        if isinstance(record, dict) and set(record) == {"ref"}:
            number = record["ref"]
            if type(number) is not int or number not in self.modules:
                raise DataError(f"[load] {place}: refers to a layer that does not come before it.")
            return self.modules[number]
        if not isinstance(record, dict) or type(record.get("id")) is not int or record["id"] in self.modules:
            raise DataError(f"[load] {place}: expected the record of a layer.")
        cls = registry.find(record.get("class"), Module, place)
        if cls is Sequential:
            module = self._sequential(_table(record, {"class", "id", "name", "seed", "input", "layers"}, place), place)
        elif cls is Model:
            module = self._functional(_table(record, {"class", "id", "name", "seed", "inputs", "calls"}, place), place)
        else:
            module = self._layer(cls, _table(record, {"class", "id", "config"}, place), place)
        self.modules[record["id"]] = module
        return module

    def _sequential(self, record: dict[str, Any], place: str) -> Module:
        layers: list[Any] = [] if record["input"] is None else [Input(_shape(record["input"], f"{place}.input"))]
        for i, item in enumerate(_list(record["layers"], f"{place}.layers")):
            layers.append(self._module(item, f"{place}.layers[{i}]"))
        return self._made(Sequential, place, layers=layers, name=record["name"], seed=record["seed"])

    def _functional(self, record: dict[str, Any], place: str) -> Module:
        shapes = _list(record["inputs"], f"{place}.inputs")
        inputs = [Input(_shape(shape, f"{place}.inputs[{i}]")) for i, shape in enumerate(shapes)]
        values: list[Symbol] = list(inputs)
        for i, item in enumerate(_list(record["calls"], f"{place}.calls")):
            here = f"{place}.calls[{i}]"
            call = _table(item, {"layer", "inputs"}, here)
            layer = self._module(call["layer"], here)
            slots = _list(call["inputs"], f"{here}.inputs")
            if not slots or not all(s is None or (type(s) is int and 0 <= s < len(values)) for s in slots):
                raise DataError(f"[load] {here}: expected inputs that come before it. Received: {str(slots)[:60]}.")
            values.append(Symbol(layer, [None if s is None else values[s] for s in slots]))
        model = self._made(Model, place, inputs=inputs, outputs=values[-1], name=record["name"], seed=record["seed"])
        if len(model._plan) != len(values) - len(inputs):
            raise DataError(f"[load] {place}.calls: expected that the output needs every call.")
        return model

    def _layer(self, cls: type, record: dict[str, Any], place: str) -> Module:
        if not isinstance(record["config"], dict):
            raise DataError(f"[load] {place}.config: expected a table.")
        known = parameters(cls).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in known.values())
        several = [f"*{name}" for name, p in known.items() if p.kind is p.VAR_POSITIONAL]
        for key in record["config"]:
            if key not in known and key not in several and (key.startswith("*") or not open_ended):
                raise DataError(f"[load] {place}: {record['class']} takes no {key[:40]!r}. Known: {', '.join(known)}.")
        settings = {key: decode(v, f"{place}.{key}", self._inner) for key, v in record["config"].items()}
        positional: list[Any] = []
        if several:  # what stands before *args can be given by position alone
            before = list(known)[: list(known).index(several[0][1:])]
            absent = {*before, several[0]} - set(settings)
            if absent or not isinstance(settings[several[0]], list):
                raise DataError(f"[load] {place}: expected {', '.join(before)}, and a list as {several[0]}.")
            positional = [settings.pop(key) for key in before] + settings.pop(several[0])
        return self._made(cls, place, *positional, **settings)

    def _inner(self, value: dict[str, Any], place: str) -> Any:
        if "ref" in value or "id" in value:
            return self._module(value, place)
        return None

    def _made(self, cls: Any, place: str, *positional: Any, **settings: Any) -> Any:
        try:
            return cls(*positional, **settings)
        except Exception as error:
            raise DataError(f"[load] {place}: {cls.__name__} cannot be made: {error}") from error

    # What became of the modules

    def _checked_states(self, records: Any) -> list[dict[str, Any]]:
        found = []
        for i, record in enumerate(_list(records, "modules")):
            place = f"modules[{i}]"
            if not isinstance(record, dict) or not {"path", "class", "name", "config"} <= set(record):
                raise DataError(f"[load] {place}: expected a table of path, class, name and config.")
            _table(record, {"path", "class", "name", "config"} | (set(record) & {"built", "dtype", "trainable"}), place)
            if not isinstance(record["path"], str) or not isinstance(record["name"], str):
                raise DataError(f"[load] {place}: expected texts as path and name.")
            if record.get("dtype", "float32") not in DTYPES or record.get("trainable", False) is not False:
                raise DataError(f"[load] {place}: expected dtype {' or '.join(DTYPES)}, and trainable only if false.")
            if "built" in record:
                _shape(record["built"], f"{place}.built", least=0)
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
            if module is None or type(module) is not registry.find(record["class"], Module, path or "model"):
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
        if not model.built or not all(type(m).__module__.startswith("pynn.nn.") for m in model.modules()):
            return
        shapes = model.input_shapes if isinstance(model, Model) else [model._built_for[1:]]
        if isinstance(model, Sequential) and model._input is not None:
            shapes = [model._input]
        try:
            with no_grad(), training(False), trial():
                model(*(_no_rows(model, i, shape) for i, shape in enumerate(shapes)))
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"[load] the layers do not fit together: {error}") from error

    def _restore(self, module: Module, record: dict[str, Any]) -> None:
        object.__setattr__(module, "name", record["name"])
        object.__setattr__(module, "dtype", np.dtype(record.get("dtype", "float32")))
        self._set_changed(module, record)
        if "built" in record and not module.built:
            shape = tuple(record["built"])
            if not isinstance(module, (Sequential, Model)):
                try:
                    module.build(shape)
                except DataError:
                    raise
                except Exception as error:
                    raise DataError(f"[load] {record['path'] or 'model'}: cannot be built: {error}") from error
            object.__setattr__(module, "_built_for", shape)
            object.__setattr__(module, "built", True)
        object.__setattr__(module, "_trainable", record.get("trainable", True))

    def _set_changed(self, module: Module, record: dict[str, Any]) -> None:
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


def _no_rows(model: Module, i: int, shape: tuple[int, ...]) -> Tensor:
    looked_up = model._looked_up(i) if isinstance(model, Model) else model.takes_integers
    return Tensor.state(np.zeros((0, *shape), np.int32 if looked_up else model.dtype))


def _table(value: Any, keys: set[str], place: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != keys:
        came = sorted(value)[:8] if isinstance(value, dict) else type(value).__name__
        raise DataError(f"[load] {place}: expected a table of {', '.join(sorted(keys))}. Received: {came}.")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"[load] {place}: expected a list. Received: {type(value).__name__}.")
    return value


def _shape(value: Any, place: str, least: int = 1) -> tuple[int, ...]:
    dims = _list(value, place)
    if len(dims) > 8 or not all(type(d) is int and least <= d < SIZE_LIMIT for d in dims):
        raise DataError(f"[load] {place}: expected a shape. Received: {str(value)[:60]}.")
    return tuple(dims)
