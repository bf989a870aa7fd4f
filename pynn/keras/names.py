"""What things are called: what is not there, spellings of the past, versions, and things by name."""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any, NoReturn

import pynn
from pynn.errors import nearest
from pynn.keywords import meant

_PACKAGE = os.path.dirname(pynn.__file__) + os.sep


class NotInPynn(NotImplementedError):
    """Something of Keras or TensorFlow that pynn does not do."""


def caller() -> FrameType | None:
    """Return the frame outside pynn, and outside the machinery of imports, that asks."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_PACKAGE) and not file.startswith("<frozen") and "importlib" not in file:
            return frame
        frame = frame.f_back
    return None


def used_by() -> str:
    """Return the line of the caller's program that asks, as text; empty if nobody's does."""
    frame = caller()
    if frame is None:
        return ""
    name = os.path.basename(frame.f_code.co_filename)
    return f"; used by: line {frame.f_lineno}" + ("" if name.startswith("<") else f" of {name}")


def told(name: str, known: Iterable[str]) -> str:
    """Return the message for a name that is not there."""
    tail, names = name.rpartition(".")[2], list(known)
    lower = {n.lower(): n for n in names}
    near = lower.get(tail.lower()) or nearest(tail, names)
    return f"not in pynn: {name}" + (f"; nearest: {near}" if near else "") + used_by()


def missing(module: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise for a name that a module does not have: ImportError in ``from module import name``, else AttributeError.

    Python looks for names such as ``__path__`` itself, which is nobody's slip.
    """
    if name.startswith("__") or _asked_by_import_system():
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    shown = module.replace("pynn.keras", "keras", 1)
    text = told(f"{shown}.{name}", known)
    frame = caller()
    if frame is not None and dis.opname[frame.f_code.co_code[frame.f_lasti]] == "IMPORT_FROM":
        raise ImportError(text, name=module)
    raise AttributeError(text)


def _asked_by_import_system():
    return sys._getframe(2).f_back is not None and sys._getframe(3).f_code.co_filename.startswith("<frozen")


def refused(name: str, why: str):
    """Raise NotInPynn for something that is known and not done, with the reason and the caller's line."""
    raise NotInPynn(f"not in pynn: {name}; {why}{used_by()}")


_uids = Counter()


def snake_case(name: str) -> str:
    """Return the name that Keras gives to things of a class.

    Examples
    --------
    >>> snake_case("MaxPooling2D"), snake_case("Conv2DTranspose"), snake_case("ReLU"), snake_case("LSTM")
    ('max_pooling2d', 'conv2d_transpose', 're_lu', 'lstm')
    """
    import re

    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def unique_name(base: str) -> str:
    """Return dense, dense_1, dense_2 and so on: a name that nothing has had yet."""
    _uids[base] += 1
    return base if _uids[base] == 1 else f"{base}_{_uids[base] - 1}"


def reset_uids():
    """Begin counting anew, as ``clear_session`` does."""
    _uids.clear()


# Old name: new name. A name that the call takes itself is never translated.
OLD = {
    "nb_filter": "filters", "border_mode": "padding", "subsample": "strides", "subsample_length": "strides",
    "filter_length": "kernel_size", "pool_length": "pool_size", "stride": "strides", "atrous_rate": "dilation_rate",
    "dim_ordering": "data_format", "output_dim": "units", "init": "kernel_initializer",
    "inner_init": "recurrent_initializer", "inner_activation": "recurrent_activation",
    "forget_bias_init": "bias_initializer", "W_regularizer": "kernel_regularizer",
    "U_regularizer": "recurrent_regularizer", "b_regularizer": "bias_regularizer", "W_constraint": "kernel_constraint",
    "U_constraint": "recurrent_constraint", "b_constraint": "bias_constraint", "bias": "use_bias", "p": "rate",
    "dropout_W": "dropout", "dropout_U": "recurrent_dropout", "sigma": "stddev", "alpha": "negative_slope",
    "nb_epoch": "epochs", "samples_per_epoch": "steps_per_epoch", "nb_val_samples": "validation_steps",
    "nb_worker": "workers", "max_q_size": "max_queue_size", "val_samples": "steps", "input": "inputs",
    "output": "outputs", "lr": "learning_rate", "gamma_init": "gamma_initializer", "beta_init": "beta_initializer",
    "show_accuracy": "metrics", "length": "size", "ratio": "alpha", "cropping_length": "cropping",
    "nb_feature": "features", "depth_multiplier": "depth_multiplier", "m": "max_value", "c": "max_value",
    "init_normal": "kernel_initializer", "weights_init": "kernel_initializer", "merge_mode": "merge_mode",
    "input_layers": "inputs", "concat_axis": "axis", "filepath": "filepath", "scale": "gain",
}  # fmt: skip
_VALUES = {"dim_ordering": {"tf": "channels_last", "th": "channels_first"}}
_EMBEDDING = {"init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer",
              "W_constraint": "embeddings_constraint"}  # fmt: skip


def modern(known: Mapping[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return keyword arguments with today's names, for a call that takes those that are known."""
    found = {}
    for name, value in given.items():
        new = name
        if name not in known:
            new = OLD.get(name, name)
            if new not in known and _EMBEDDING.get(name) in known:
                new = _EMBEDDING[name]
            if new not in known:
                new = name
        found[new] = _VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value
    return found


@functools.cache
def known_to(call: Callable[..., Any]) -> Mapping[str, Any]:
    """Return the parameters of a call by name, without **options."""
    own = inspect.signature(call).parameters
    return {name: p for name, p in own.items() if p.kind is not p.VAR_KEYWORD}


def spelled_as_ever(call):
    """Return a function or constructor that takes the spellings of the past, and names what it does not take."""
    known = known_to(call)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(call).parameters.values())

    @functools.wraps(call)
    def wrapped(*args, **kwargs):
        if not kwargs.keys() <= known.keys():
            kwargs = modern(known, kwargs)
            if not open_ended:
                refuse(type(args[0]).__name__ if call.__name__ == "__init__" else call.__name__, kwargs, known)
        return call(*args, **kwargs)

    return wrapped


def refuse(place: str, given: Mapping[str, Any], known):
    """Raise TypeError for the first argument that a call does not take, with the nearest name."""
    for name, value in given.items():
        if name not in known:
            names = [k for k in known if k not in ("self", "args")]
            near = meant(name, names)
            shown = repr(value)
            raise TypeError(
                f"[{place}] unknown keyword argument. Received: {name}={shown if len(shown) < 40 else '...'}. help: "
                + (f"did you mean {near}=? " if near else "")
                + f"Known: {', '.join(names)}{used_by()}."
            )


def take(given: dict[str, Any], **defaults) -> list[Any]:
    """Take arguments out of a dict of options; returns their values, or the defaults."""
    return [given.pop(name, default) for name, default in defaults.items()]


VERSIONS = ("2.2", "2.3", "3")

_RATES = {"Adadelta": 1.0, "Adagrad": 0.01, "Adamax": 0.002, "Nadam": 0.002}  # up to 2.3; today 0.001
_OLD = {
    "3": {},
    "2.3": {name: {"learning_rate": rate} for name, rate in _RATES.items()} | {"GRU": {"reset_after": False}},
}
_HARD = {"recurrent_activation": "hard_sigmoid_2"}
_OLD["2.2"] = _OLD["2.3"] | {"LSTM": _HARD, "GRU": {"reset_after": False, **_HARD}, "ConvLSTM2D": _HARD}

# What is written as it was before Keras 3, and mostly before TensorFlow 2.
_MODULES = (
    "advanced_activations", "convolutional", "core", "embeddings", "local", "merge", "noise", "normalization",
    "np_utils", "pooling", "recurrent", "visualize_util", "wrappers",
)  # fmt: skip
_KEYWORDS = frozenset({
    "border_mode", "dim_ordering", "init", "input_dtype", "nb_col", "nb_epoch", "nb_filter", "nb_row", "nb_val_samples",
    "output_dim", "samples_per_epoch", "subsample", "W_regularizer",
})  # fmt: skip
_NAMES = frozenset({
    "Convolution1D", "Convolution2D", "fit_generator", "image_data_format", "image_dim_ordering", "np_utils",
    "print_function",
})  # fmt: skip
_version = "3"


def use(version: str) -> str:
    """Take the defaults of a version of Keras from now on; returns the one before."""
    global _version
    before, _version = _version, version
    return before


def defaults(name: str) -> dict[str, Any]:
    """Return the defaults of a class that were others in the version in use."""
    return _OLD[_version].get(name, {})


def older() -> bool:
    """Tell whether a version before 3 is in use."""
    return _version != "3"


def guess(tree: ast.AST) -> str:
    """Return the version whose defaults a script counts on: by the modules, names and arguments that it spells.

    Examples
    --------
    >>> guess(ast.parse("from keras.layers.core import Dense")), guess(ast.parse("import keras"))
    ('2.3', '3')
    """
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module)) if "keras" in module and module.split(".")[-1] in _MODULES:
                return "2.3"
            case ast.alias(name=name) | ast.Attribute(attr=name) if name.split(".")[-1] in _NAMES:
                return "2.3"
            case ast.keyword(arg=str(name)) if name in _KEYWORDS:
                return "2.3"
    return "3"


custom = {}  # what the program has registered, or named in a custom_object_scope


def absent(module, known):
    """Return a module's __getattr__, which names the nearest of the names that there are."""

    def __getattr__(name):
        missing(module, name, known)

    return __getattr__


class Configured:
    """Something whose settings are its attributes."""

    def get_config(self):
        """Return the settings."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}

    @classmethod
    def from_config(cls, config):
        """Return the object of these settings."""
        return cls(**config)


def constructor(known, make, place, more=False):
    """Return an __init__ that takes these arguments, with their defaults, and calls make(self, given).

    Parameters
    ----------
    known : mapping of str to object
        ``inspect.Parameter.empty`` for those without a default.
    make : callable
    place : str
        What an error calls it.
    more : bool, default False
        Whether it takes others, too.
    """

    def __init__(self, *args, **kwargs):
        if len(args) > len(known):
            raise TypeError(f"[{place}] expected at most {len(known)} arguments. Received: {len(args)}.")
        if not more:
            refuse(place, kwargs, known)
        given = {**known, **dict(zip(known, args, strict=False)), **kwargs}
        for key, value in given.items():
            if value is inspect.Parameter.empty:
                raise TypeError(f"[{place}] expected {key}=. Received: none.")
        make(self, given)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("self", kind), *(inspect.Parameter(k, kind, default=v) for k, v in known.items())]
    if more:
        parameters.append(inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD))
    __init__.__signature__ = inspect.Signature(parameters)
    return __init__


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

    def __init__(self, kind, base, makers, aliases=None):
        self.kind, self.base = kind, base
        self.table = {}
        for maker in makers:
            self.table[maker.__name__] = self.table[snake_case(maker.__name__)] = maker
        self.table.update(aliases or {})

    def find(self, name: str, more: Mapping[str, Any] | None = None):
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

    def get(self, identifier):
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

    def serialize(self, thing):
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

    def deserialize(self, config, custom_objects: Mapping[str, Any] | None = None):
        """Return the thing of a config."""
        if not isinstance(config, dict):
            return None if config is None else self.get(self.find(config, custom_objects))
        if config.get("class_name") == "function" and isinstance(config.get("config"), str):
            return self.find(config["config"], custom_objects)
        maker = self.find(config["class_name"], custom_objects)
        settings = getattr(maker, "from_config", lambda c: maker(**c))
        return settings(dict(config.get("config") or {}))
