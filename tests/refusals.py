"""What a layer refuses, found by trying: settings of each kind that cannot be, and inputs of every rank."""

import inspect
import re

import numpy as np

from pynn import nn
from pynn.errors import ShapeError

# What constructors cannot do without.
NEEDED = {
    "units": 3, "outputs": 2, "filters": 4, "kernel_size": 3, "input_dim": 5, "output_dim": 3, "rate": 0.5, "groups": 2,
    "target_shape": (-1,), "activation": "relu", "scale": 0.5, "shift": 0.1, "rotation": 10.0, "zoom": 0.1,
    "shear": 5.0, "size": 2, "planes": 3, "hidden_units": [3, 2],
}  # fmt: skip
BAD = {"int": (-3, "three"), "float": (float("nan"), "half"), "str": ("no such",)}
NAMES = ("initializer", "regularizer", "constraint", "activation")
HARMLESS = {"name", "seed"}


def layers():
    """Return name -> class of all layers that stand in a model: no bases, and nothing that holds other layers."""
    holders = ("Module", "Model", "Sequential", "Input", "Bidirectional", "TimeDistributed")
    classes = {n: getattr(nn, n) for n in nn.__all__ if n not in holders}
    return {n: cls for n, cls in classes.items() if inspect.isclass(cls) and issubclass(cls, nn.Module)}


def made(cls, **given):
    """Return a layer with what it needs, and more."""
    parameters = inspect.signature(cls).parameters.values()
    needed = {p.name: NEEDED[p.name] for p in parameters if p.default is p.empty and p.name in NEEDED}
    return cls(**{**needed, **given})


def refused_settings(cls):
    """Return setting -> what the error of a wrong one says."""
    found = {}
    for p in inspect.signature(cls).parameters.values():
        if p.name in HARMLESS or p.kind is p.VAR_KEYWORD:
            continue
        annotated = str(p.annotation)
        bad = [v for kind, values in BAD.items() if re.search(rf"\b{kind}\b", annotated) for v in values]
        if p.name.endswith(NAMES) or annotated == "Any":
            bad.append("no such")
        for value in bad:
            try:
                made(cls, **{p.name: value})
            except (ValueError, TypeError) as error:
                found.setdefault(p.name, (type(error), str(error)))
    return found


def refused_inputs(cls):
    """Return what the errors say of inputs of ranks that the layer does not take."""
    found = []
    for rank in range(6):
        try:
            made(cls)(np.ones((4,) * rank, "float32"), training=True)
        except ShapeError as error:
            found.append(str(error))
        except (ValueError, TypeError):
            pass
    return found
