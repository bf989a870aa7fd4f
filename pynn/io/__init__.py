"""Models as files.

A model file is one safetensors file: the weights and states as tensors, what the model is as JSON among its metadata.
Nothing is imported, evaluated or unpickled because a file says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynn.errors import no_such_name

if TYPE_CHECKING:  # editors and type checkers see what is loaded when first used
    from pynn.convert.keras_weights import load_keras_weights
    from pynn.convert.torch_weights import load_torch_weights
    from pynn.files import write_whole
    from pynn.io.card import fingerprint, model_card
    from pynn.io.model_file import dumps, read_info, read_metadata, read_preprocessing, save
    from pynn.io.preprocessing import Preprocessing
    from pynn.io.registry import register, registered
    from pynn.models import load, loads

# Where each name lives; loaded when first used, as the writer of files is wanted by modules that models are made of.
_HOMES = {
    "Preprocessing": "io.preprocessing",
    "write_whole": "files",
    "read_preprocessing": "io.model_file",
    "register": "io.registry",
    "registered": "io.registry",
    "dumps": "io.model_file",
    "fingerprint": "io.card",
    "load": "models",
    "load_keras_weights": "convert.keras_weights",
    "load_torch_weights": "convert.torch_weights",
    "loads": "models",
    "model_card": "io.card",
    "read_info": "io.model_file",
    "read_metadata": "io.model_file",
    "save": "io.model_file",
}

__all__ = [
    "Preprocessing",
    "dumps",
    "fingerprint",
    "load",
    "load_keras_weights",
    "load_torch_weights",
    "loads",
    "model_card",
    "read_info",
    "read_metadata",
    "read_preprocessing",
    "register",
    "registered",
    "save",
    "write_whole",
]


if not TYPE_CHECKING:  # type checkers find slips in names

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            import importlib

            return getattr(importlib.import_module(f"pynn.{_HOMES[name]}"), name)
        raise no_such_name(__name__, name, __all__)
