"""Functions of tensors in Keras's names; they take symbols of a functional model as well as values."""

from __future__ import annotations

from typing import Any

from pynn.keras.names import absent
from pynn.keras.ops import arithmetic, arrays
from pynn.keras.ops.arrays import FUNCTIONS

_names = {
    name: thing
    for module in (arithmetic, arrays)
    for name, thing in vars(module).items()
    if not name.startswith("_")
    and (getattr(thing, "__module__", "").startswith("pynn.keras.ops") or thing in FUNCTIONS.values())
    and name
    not in (
        "F",
        "both",
        "dtype_of",
        "op",
        "replaced",
        "sizes",
        "tensor_of",
        "value",
        "slice_",
        "l2_loss",
        "mean_squared",
    )
    and not name.startswith(("random_", "truncated_"))
}
globals().update(_names)
__all__ = sorted(_names)

__getattr__ = absent(__name__, __all__)
