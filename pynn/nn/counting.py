"""How large a network is: its units, connections and multiply-adds, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pynn.checks import of_kind
from pynn.errors import printable
from pynn.nn.survey import Row, surveyed

__all__ = ["Count", "LayerCount", "count", "ratio", "short"]


@dataclass(frozen=True)
class LayerCount:
    """The size of a layer, or of a whole network.

    Attributes
    ----------
    name, kind : str
        The layer's name and class.
    output : tuple of int
        Shape of its output for one sample.
    units : int
    connections : int
    multiply_adds : int
        Products of a forward pass of one sample.
    pools, pool_connections : int
        Pools, and the values that they see.
    parameters : int
        Weights, biases and state; those of a layer that is called twice are counted once.

    Examples
    --------
    >>> from pynn import nn
    >>> nn.LayerCount("dense", "Dense", (10,), units=10, connections=7840).per_unit
    784.0
    """

    name: str
    kind: str
    output: tuple[int, ...]
    units: int = 0
    connections: int = 0
    multiply_adds: int = 0
    pools: int = 0
    pool_connections: int = 0
    parameters: int = 0

    @property
    def per_unit(self) -> float:
        """Connections per unit; 0 where there is no unit."""
        return self.connections / self.units if self.units else 0.0


class Count(Sequence[LayerCount]):
    """What :func:`count` returns: the layers in the order of their calls, and their sums.

    Printed it is a table; each sum is an attribute of its own name, as of :class:`LayerCount`.

    Parameters
    ----------
    layers : sequence of LayerCount
    name : str
        Of the network.
    kind : str
        Its class.

    Examples
    --------
    >>> from pynn import nn
    >>> found = nn.count(nn.Sequential([nn.Input((784,)), nn.Dense(100), nn.Dense(10)]))
    >>> [layer.connections for layer in found], found.connections
    ([78400, 1000], 79400)
    """

    def __init__(self, layers: Sequence[LayerCount], name: str, kind: str):
        self.layers = tuple(of_kind("Count", "layers", row, "of LayerCount", "output", "units") for row in layers)
        summed = [key for key in LayerCount.__dataclass_fields__ if key in _SUMMED]
        output = self.layers[-1].output if self.layers else ()
        self.total = LayerCount(name, kind, output, *(sum(getattr(row, key) for row in self.layers) for key in summed))

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, at: Any) -> Any:
        return self.layers[at]

    @property
    def units(self) -> int:
        """Units of the network."""
        return self.total.units

    @property
    def connections(self) -> int:
        """Connections of the network."""
        return self.total.connections

    @property
    def per_unit(self) -> float:
        """Connections per unit."""
        return self.total.per_unit

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a forward pass of one sample."""
        return self.total.multiply_adds

    @property
    def pools(self) -> int:
        """Pools of the network."""
        return self.total.pools

    @property
    def pool_connections(self) -> int:
        """Values that its pools see."""
        return self.total.pool_connections

    @property
    def parameters(self) -> int:
        """Weights, biases and state."""
        return self.total.parameters

    def __repr__(self) -> str:
        rows = [["layer", "output", "units", "connections", "per unit", "multiply-adds", "pools", "parameters"]]
        rows += [_cells(row, f"{printable(row.name)} ({printable(row.kind)})") for row in self.layers]
        rows.append(_cells(self.total, "total"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        rule = "-" * len(lines[0])
        return "\n".join(line.rstrip() for line in [lines[0], rule, *lines[1:-1], rule, lines[-1]])


_SUMMED = ("units", "connections", "multiply_adds", "pools", "pool_connections", "parameters")


def count(model: Any, input_shape: Sequence[Any] | None = None) -> Count:
    """Count units, connections, multiply-adds, pools and parameters: connections = sum over units of the fan-in.

    A unit is a sum of weighted inputs; its fan-in are the terms of the sum, the bias left out. Inputs are no units. A
    pool, which has no weights, is no unit either: pools stand in a column of their own. Normalizations, activations
    and what else changes values one by one have neither.

    The model is run for its shapes alone: nothing is computed, no weight is drawn, and a model that is not built yet
    stays so. A network whose weights fill no memory that there is can be counted.

    Parameters
    ----------
    model : Module
    input_shape : sequence of int, optional
        Of one sample, without the batch axis; needed unless the model begins with Input or is built. A list of shapes
        for a module with several inputs.

    Returns
    -------
    Count
        A sequence of :class:`LayerCount`, one for each call of a layer, with the sums as attributes: ``units``,
        ``connections``, ``per_unit``, ``multiply_adds``, ``pools``, ``pool_connections``, ``parameters``.

    Raises
    ------
    RuntimeError
        If the model is not built and the input's shape is not known.
    ShapeError
        If a layer does not take what comes to it.
    CaptureError
        If a module reads a value while it computes.

    Notes
    -----
    By layer, the rule gives, for outputs of ``n`` numbers:

    - Dense: n units with as many connections as inputs. On sequences, images and such it has units at every place.
    - Conv2D, Conv1D: n units of rows x columns x channels / groups connections, whatever strides and dilation;
      LocallyConnected2D the same. At borders the places in the padding count as others.
    - Conv2DTranspose: n units; every input reaches rows x columns x outputs / groups of them.
    - DepthwiseConv2D and SeparableConv2D: what their one or two convolutions give.
    - SimpleRNN, GRU, LSTM, LayerNormLSTM: `units` units, a cell with its gates being one, with the inputs and states
      that its gates sum; every step uses the same, so that multiply-adds are those of all steps. JordanRNN: hidden
      and output units.
    - Embedding: n units of one connection, as each is a number looked up, which takes no multiply-add.
    - SCells: n units of rows x columns x planes below; CCells: n units of rows x columns. The inhibition, one sum for
      each place, makes multiply-adds alone.
    - Max-, average and L2 pooling, over windows or whole images: n pools, that see the places of their windows.

    A sum of which the factors all come from the inputs, or of which none is a weight, such as the product of two
    branches or the blur in LocalContrastNormalization, makes multiply-adds but no units. A layer that is called twice
    has units at both places and parameters once.

    Examples
    --------
    >>> from pynn import nn
    >>> layers = [nn.Conv2D(2, 3), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3)]
    >>> found = nn.count(nn.Sequential([nn.Input((8, 8, 1)), *layers]))
    >>> found
    layer                  output     units  connections  per unit  multiply-adds  pools  parameters
    ------------------------------------------------------------------------------------------------
    conv2d (Conv2D)        (6, 6, 2)     72          648         9            648                 20
    maxpool2d (MaxPool2D)  (3, 3, 2)                                                  18
    flatten (Flatten)      (18)
    dense (Dense)          (3)            3           54        18             54                 57
    ------------------------------------------------------------------------------------------------
    total                  (3)           75          702       9.4            702     18          77
    >>> found.connections
    702
    """
    found = surveyed(model, input_shape, "count")
    rows = [_layer(row) for row in found.rows]
    own = found.parameters - sum(row.parameters for row in rows)
    if any(found.rest[:5]) or own > 0:  # what a module computes itself, outside its layers
        rows.append(LayerCount(model.name, "itself", rows[-1].output if rows else (), *found.rest[:5], own))
    return Count(rows, model.name, type(model).__name__)


def _layer(row: Row) -> LayerCount:
    return LayerCount(row.name, row.kind, row.output or (), *row.tally[:5], row.parameters)


def short(n: float, unit: str = "") -> str:
    """Return a number with at most five digits, in thousands, millions or billions."""
    for prefix, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if n >= 10 * scale:
            return f"{n / scale:.1f} {prefix}{unit}"
    return f"{n:.0f} {unit}".rstrip()


def ratio(n: float) -> str:
    """Return connections per unit as text; nothing for 0."""
    return "" if not n else f"{n:,.0f}" if n >= 100 or n == int(n) else f"{n:.1f}"


def _cells(row: LayerCount, name: str) -> list[str]:
    units, connections, products, pools, parameters = (
        f"{n:,}" if n else "" for n in (row.units, row.connections, row.multiply_adds, row.pools, row.parameters)
    )
    shape = f"({', '.join(map(str, row.output))})"
    return [name, shape, units, connections, ratio(row.per_unit), products, pools, parameters]
