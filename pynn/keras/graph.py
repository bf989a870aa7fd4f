"""The calls between symbols: in which order they are made, and which layers they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError, unknown_name
from pynn.keras.symbols import Call, KerasTensor
from pynn.keras.tree import flat, mapped

__all__ = ["Graph"]


class Graph:
    """What lies between inputs and outputs.

    Parameters
    ----------
    inputs : KerasTensor, or a list, tuple or dict of them
    outputs : the same

    Raises
    ------
    ValueError
        If an output needs an Input that is not among the inputs.
    """

    def __init__(self, inputs: Any, outputs: Any):
        self.given, self.structure = inputs, outputs
        self.inputs: list[Any] = list(flat(inputs))
        self.outputs: list[Any] = list(flat(outputs))
        for what, found in (("inputs", self.inputs), ("outputs", self.outputs)):
            for x in found:
                if not isinstance(x, KerasTensor):
                    raise TypeError(f"[model] expected {what} that are symbols. Received: {type(x).__name__}.")
        self.calls: list[Call] = []
        self._order()
        self.reads = [[c.layer for c in self.calls if any(x is p for p in c.parents)] for x in self.inputs]

    def _order(self) -> None:
        known = {id(x) for x in self.inputs}
        met: dict[int, int] = {}
        done: set[int] = set()
        stack: list[tuple[KerasTensor, bool]] = [(x, False) for x in reversed(self.outputs)]
        finished: list[Call] = []
        while stack:
            symbol, left = stack.pop()
            call = symbol.call
            if left:
                if id(call) not in done:
                    done.add(id(call))
                    finished.append(call)
                continue
            if id(call) in done:
                continue
            met.setdefault(id(call.layer), len(met))
            if id(symbol) in known:
                continue
            if not call.parents:
                raise ValueError(
                    f"[model] the outputs are not connected to the inputs alone: they need {symbol!r} too. "
                    "help: give every Input to Model(inputs=[...], outputs=...)."
                )
            stack.append((symbol, True))
            stack += [(p, False) for p in reversed(call.parents)]
        self.calls = finished
        depth: dict[int, int] = {}
        of_layer: dict[int, int] = {}
        layers: dict[int, Any] = {}
        for call in reversed(finished):
            key = id(call.layer)
            layers[key] = call.layer
            depth[id(call)] = of_layer[key] = max(depth.get(id(call), 0), of_layer.get(key, 0))
            for p in call.parents:
                at = id(p.call)
                depth[at] = max(depth.get(at, 0), depth[id(call)] + 1)
        for x in self.inputs:
            key = id(x.call.layer)
            if key not in layers:
                layers[key] = x.call.layer
                of_layer[key] = depth.get(id(x.call), 0)
                met.setdefault(key, -1)
        self.layers = sorted(layers.values(), key=lambda layer: (-of_layer[id(layer)], met[id(layer)]))

    @property
    def input_names(self) -> list[str]:
        """What inputs are called: keys of a dict, or the names of the Inputs."""
        return list(self.given) if isinstance(self.given, Mapping) else [x.call.layer.name for x in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """What outputs are called: keys of a dict, or the names of the layers that return them, each once."""
        if isinstance(self.structure, Mapping):
            return list(self.structure)
        found: list[str] = []
        for x in self.outputs:
            base, k = x.call.layer.name, 0
            name = base
            while name in found:
                k += 1
                name = f"{base}_{k}"
            found.append(name)
        return found

    def in_order(self, given: Any, place: str) -> list[Any]:
        """Return values for the inputs in their order, of a dict, a list or one value."""
        if isinstance(given, Mapping):
            names = self.input_names
            own = [x.call.layer.name for x in self.inputs]
            for key in given:
                if key not in names and key not in own:
                    raise DataError(f"[{place}] {unknown_name('input', key, names)}")
            found = [given.get(name, given.get(other)) for name, other in zip(names, own, strict=True)]
            for name, value in zip(names, found, strict=True):
                if value is None:
                    raise DataError(f"[{place}] expected an array for each of the inputs {', '.join(names)}. "
                                    f"Received: none for {name!r}.")  # fmt: skip
            return found
        values = list(flat(given)) if isinstance(given, (list, tuple)) else [given]
        if len(values) != len(self.inputs):
            raise ShapeError(f"[{place}] expected {len(self.inputs)} inputs. Received: {len(values)}.")
        return values

    def run(self, given: Any, name: str) -> Any:
        """Compute the outputs for tensors."""
        values = {}
        for i, (x, t) in enumerate(zip(self.inputs, self.in_order(given, name), strict=True)):
            values[id(x)] = self._fitted(i, x, t)
        for call in self.calls:
            args, kwargs = (mapped(lambda v: values.get(id(v), v), part) for part in (call.args, call.kwargs))
            out = call.layer(*args, **kwargs)
            values.update((id(s), t) for s, t in zip(call.outputs, flat(out), strict=True))
        return mapped(lambda x: values[id(x)], self.structure)

    def _fitted(self, i: int, x: KerasTensor, t: Any) -> Any:
        if not isinstance(t, Tensor):
            return t
        if t.ndim == len(x.shape) - 1 and x.shape[-1] == 1:
            t = ops.reshape(t, (*t.shape, 1))
        if t.ndim == len(x.shape) + 1 and t.shape[-1] == 1 and len(x.shape) > 1 and x.shape[-1] != 1:
            t = ops.reshape(t, t.shape[:-1])
        wanted = np.dtype(x.dtype).kind if x.dtype != "string" else "f"
        if t.dtype.kind == "f" and wanted == "i":
            return t.astype("int32")
        if t.dtype.kind in "iub" and wanted == "f" and not any(layer.takes_integers for layer in self.reads[i]):
            return t.astype(self.reads[i][0].dtype if self.reads[i] else "float32")
        return t

    def check(self, xs: list[np.ndarray], place: str) -> None:
        """Refuse arrays of other shapes than the inputs', or with ids that a layer cannot look up."""
        if len(xs) != len(self.inputs):
            raise ShapeError(f"[{place}] expected {len(self.inputs)} inputs. Received: {len(xs)}.")
        for i, (x, a) in enumerate(zip(self.inputs, xs, strict=True)):
            wanted = x.shape[1:]
            came = a.shape[1:]
            short = len(came) < len(wanted) and wanted[-1] == 1
            long = len(came) > len(wanted) and came[-1] == 1
            cut, fit = (came if not long else came[:-1]), (wanted if not short else wanted[:-1])
            if len(cut) != len(fit) or any(w is not None and w != d for w, d in zip(fit, cut, strict=True)):
                shown = ", ".join("?" if d is None else str(d) for d in wanted)
                raise ShapeError(
                    f"[{place}] expected input {self.input_names[i]!r} of shape (N, {shown}). Received: {a.shape}."
                )
            for layer in self.reads[i]:
                if hasattr(layer, "check_ids") and a.dtype.kind in "iu":
                    layer.check_ids(a, place)
