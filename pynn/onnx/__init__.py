"""Models in the format of ONNX: :func:`export` writes them, :func:`load` reads them as networks that train.

:func:`quantize` makes networks of bytes of trained ones.

Needs the package onnx: ``pip install 'pynn-dl[onnx]'``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pynn.errors import no_such_name

if TYPE_CHECKING:  # editors and type checkers see what is loaded when first used
    from pynn.onnx.builder import converter
    from pynn.onnx.exporter import export, to_model
    from pynn.onnx.importer import load, loads
    from pynn.onnx.network import Network
    from pynn.onnx.quantizer import quantize

# Where each name lives; loaded when first used.
_HOMES = {
    "Network": "network",
    "converter": "builder",
    "export": "exporter",
    "load": "importer",
    "loads": "importer",
    "quantize": "quantizer",
    "to_model": "exporter",
}

__all__ = ["Network", "converter", "export", "load", "loads", "quantize", "to_model"]


if not TYPE_CHECKING:  # type checkers find slips in names

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            import importlib

            return getattr(importlib.import_module(f"pynn.onnx.{_HOMES[name]}"), name)
        raise no_such_name(__name__, name, __all__)
