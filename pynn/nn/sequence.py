"""Layers around layers for sequences: Bidirectional, TimeDistributed."""

from __future__ import annotations

import copy
from typing import Any

from pynn import ops
from pynn.core.tensor import Tensor, tensor
from pynn.errors import ShapeError, unknown_name
from pynn.nn.module import Module
from pynn.nn.rnn import _Recurrent
from pynn.nn.symbol import Symbol

__all__ = ["Bidirectional", "TimeDistributed"]

MERGES = ("concat", "sum", "mul", "ave", None)


class Bidirectional(Module):
    """Run a recurrent layer forwards and another backwards, and merge what they put out at each time step.

    Parameters
    ----------
    layer : SimpleRNN, LSTM or GRU
        Runs forwards; it must not be built yet, unless backward_layer is given.
    merge_mode : {"concat", "sum", "mul", "ave", None}, default "concat"
        None returns both outputs.
    backward_layer : SimpleRNN, LSTM or GRU, optional
        With go_backwards=True; by default one like `layer`.
    name : str, optional

    Raises
    ------
    TypeError
        If `layer` is not a recurrent one.
    ValueError
        If `merge_mode` is not known, or the two layers do not fit each other.
    ShapeError
        If the input is not sequences [N, T, D], or there are not two initial states for each one of `layer`.

    Notes
    -----
    Input [N, T, D]; output [N, T, 2 units] with return_sequences (each direction at its own time step), else
    [N, 2 units]; with return_state the states follow, forwards first.

    References
    ----------
    Schuster, Paliwal: Bidirectional recurrent neural networks (1997).

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.Bidirectional(nn.LSTM(5))(np.ones((2, 3, 4), "float32")).shape
    (2, 10)
    """

    _options: tuple[Any, Any, Any]

    def __init__(
        self, layer: Any, merge_mode: str | None = "concat", *, backward_layer: Any = None, name: str | None = None
    ):
        super().__init__(name)
        for given in (layer, backward_layer):
            if given is not None and not isinstance(given, _Recurrent):
                raise TypeError(f"[bidirectional] expected a recurrent layer. Received: {given!r}.")
        if merge_mode not in MERGES:
            raise ValueError("[bidirectional] " + unknown_name("merge_mode", merge_mode, [m for m in MERGES if m]))
        if layer.go_backwards:
            raise ValueError("[bidirectional] expected a layer that runs forwards. Received: go_backwards=True.")
        if backward_layer is None:
            if layer.built:
                raise ValueError(
                    "[bidirectional] expected a layer that is not built. help: pass a new one, or backward_layer=."
                )
            backward_layer = copy.deepcopy(layer)
            object.__setattr__(backward_layer, "name", f"{layer.name}_backward")
            object.__setattr__(backward_layer, "_seed", [*layer._seed, 1])
            backward_layer.go_backwards = True
        elif not backward_layer.go_backwards:
            raise ValueError("[bidirectional] expected backward_layer to have go_backwards=True.")
        for setting in ("return_sequences", "return_state"):
            if getattr(layer, setting) != getattr(backward_layer, setting):
                raise ValueError(f"[bidirectional] expected both layers to have the same {setting}.")
        self.merge_mode = merge_mode
        self.forward_layer, self.backward_layer = layer, backward_layer
        backward_layer._aligned = True

    def __call__(  # type: ignore[override]
        self, x: Any, initial_state: Any = None, mask: Any = None, training: bool | None = None, *, lengths: Any = None
    ) -> Any:
        """Compute the output; arguments as for the layers, initial_state forwards first."""
        x = x if isinstance(x, (Tensor, Symbol)) else tensor(x, dtype=self.dtype)
        object.__setattr__(self, "_options", (initial_state, mask, lengths))
        try:
            return super().__call__(x, training=training)
        finally:
            object.__setattr__(self, "_options", (None, None, None))

    def forward(self, x: Tensor) -> Any:
        initial, mask, lengths = self._options
        layers = (self.forward_layer, self.backward_layer)
        half = self.forward_layer.state_count
        if initial is not None and len(initial) != 2 * half:
            raise ShapeError(f"[bidirectional] expected {2 * half} initial states. Received: {len(initial)}.")
        starts = (None, None) if initial is None else (initial[:half], initial[half:])
        outs = [layer(x, start, mask, lengths=lengths) for layer, start in zip(layers, starts, strict=True)]
        states: list[Tensor] = []
        if self.forward_layer.return_state:
            states = [t for out in outs for t in out[1:]]
            outs = [out[0] for out in outs]
        merged = self._merge(*outs)
        return (merged, *states) if states else merged

    def _merge(self, a: Tensor, b: Tensor) -> Any:
        if self.merge_mode == "concat":
            return ops.concat([a, b], axis=-1)
        if self.merge_mode == "mul":
            return a * b
        if self.merge_mode is None:
            return a, b
        return a + b if self.merge_mode == "sum" else (a + b) * 0.5

    def extra_repr(self) -> str:
        return f"merge_mode={self.merge_mode!r}, "


class TimeDistributed(Module):
    """Apply a layer to every time step: [N, T, ...] goes through it as a batch of N T samples.

    Parameters
    ----------
    layer : Module
    name : str, optional

    Raises
    ------
    TypeError
        If `layer` is not a layer.
    ShapeError
        If the input is not sequences [N, T, ...].

    Examples
    --------
    >>> import numpy as np
    >>> from pynn import nn
    >>> nn.TimeDistributed(nn.Dense(5))(np.ones((2, 3, 4), "float32")).shape
    (2, 3, 5)
    """

    def __init__(self, layer: Module, *, name: str | None = None):
        super().__init__(name)
        if not isinstance(layer, Module):
            raise TypeError(f"[time_distributed] expected a layer. Received: {layer!r}.")
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 3:
            raise ShapeError(f"[time_distributed] expected sequences [N, T, ...]. Received: x.shape={x.shape}.")
        n, t = x.shape[:2]
        y = self.layer(ops.reshape(ops.without_lengths(x), (n * t, *x.shape[2:])))
        y = ops.reshape(y, (n, t, *y.shape[1:]))
        y.lengths = x.lengths
        return y
