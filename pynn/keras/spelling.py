"""Spellings of the past: what arguments were called in Keras 1 and 2, and what they are called now."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pynn.keras.missing import used_by
from pynn.keywords import meant

__all__ = ["OLD", "modern", "spelled_as_ever", "take"]

# Old name: new name. A name that the call takes itself is never translated.
OLD: dict[str, str] = {
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


def spelled_as_ever(call: Any) -> Any:
    """Return a function or constructor that takes the spellings of the past, and names what it does not take."""
    known = known_to(call)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(call).parameters.values())

    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys() <= known.keys():
            kwargs = modern(known, kwargs)
            if not open_ended:
                refuse(type(args[0]).__name__ if call.__name__ == "__init__" else call.__name__, kwargs, known)
        return call(*args, **kwargs)

    return wrapped


def refuse(place: str, given: Mapping[str, Any], known: Any) -> None:
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


def take(given: dict[str, Any], **defaults: Any) -> list[Any]:
    """Take arguments out of a dict of options; returns their values, or the defaults."""
    return [given.pop(name, default) for name, default in defaults.items()]
