"""Functions of tensors in Keras's names; they take symbols of a functional model as well as values."""

from __future__ import annotations

from typing import Any

from pynn.keras.missing import missing
from pynn.keras.ops import arithmetic, arrays, networks
from pynn.keras.ops.calls import FUNCTIONS

_names = {
    name: thing
    for module in (arithmetic, arrays, networks)
    for name, thing in vars(module).items()
    if not name.startswith("_")
    and (getattr(thing, "__module__", "").startswith("pynn.keras.ops") or thing in FUNCTIONS.values())
    and name not in ("both", "dtype_of", "op", "sizes", "tensor_of", "value", "slice_", "l2_loss", "mean_squared")
    and not name.startswith(("random_", "truncated_"))
}
globals().update(_names)
__all__ = sorted(_names)


def __getattr__(name: str) -> Any:
    missing(__name__, name, __all__)
