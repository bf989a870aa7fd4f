"""How PyTorch lays out the weights of each layer, and the features that a Flatten makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pynn import nn
from pynn.convert.foreign import first
from pynn.convert.walk import ENTER, EXIT, Call, walk
from pynn.errors import DataError
from pynn.export.runs import described
from pynn.nn.conv import Convolution

__all__ = ["Part", "Unit", "units_of"]

Order = np.ndarray | None | bool  # place in PyTorch's vector of each feature; None where it is the same, False: unknown
LINES = (nn.Conv1D, nn.MaxPool1D, nn.AvgPool1D)


@dataclass
class Part:
    """A weight and the tensors of a PyTorch module that it is made of."""

    path: str
    weight: Any
    suffixes: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    convert: Callable[..., np.ndarray] = first
    note: str = ""

    def __post_init__(self) -> None:
        self.path = self.path.lstrip(".")  # a model that is one layer has no path


@dataclass
class Unit:
    """A layer, or a part of one, that is one module in PyTorch."""

    path: str
    module: Any
    parts: list[Part]

    @property
    def signature(self) -> frozenset[tuple[str, tuple[int, ...]]]:
        """The suffixes and shapes of its tensors."""
        return frozenset(pair for part in self.parts for pair in zip(part.suffixes, part.shapes, strict=True))


def units_of(model: Any) -> list[Unit]:
    """Return the layers of a built model that have weights, in order, each once.

    Raises
    ------
    DataError
        If a layer has no counterpart in PyTorch, or the order of a layer's inputs cannot be known.
    """
    orders = _feature_orders(model)
    units = []
    for path, module in model.named_modules():
        inside = path.rpartition(".")[2] in ("forward_layer", "backward_layer")  # they belong to Bidirectional
        if (not module._weights or inside) and type(module) is not nn.Bidirectional:
            continue
        units += _units(path, module, *orders.get(id(module), (None, False)))
    return units


# Where features stand


def _feature_orders(model: Any) -> dict[int, tuple[Order, bool]]:
    """Return, by id of the layer, the order of its input's last axis, and whether sequences have channels first."""
    order: dict[int, Order] = {}
    lines: dict[int, bool] = {}  # values [T, C] that are [C, T] in PyTorch
    result: dict[int, tuple[Order, bool]] = {}
    for call in walk(model, "load_torch_weights"):
        xs, y = call.inputs, call.output.number
        before, line = order.get(xs[0].number), lines.get(xs[0].number, False)
        result.setdefault(id(call.module), (before, line))
        joins = isinstance(call.module, nn.Concatenate) and len(call.output.shape) == 2
        lines[y] = isinstance(call.module, LINES) or (line and (joins or _passes(call)))
        if isinstance(call.module, (nn.Flatten, nn.Reshape)) and not call.role:
            order[y] = _flattened(call, before, line)
        elif isinstance(call.module, nn.Concatenate):
            order[y] = _joined(call, [order.get(x.number) for x in xs])
        elif _passes(call):
            order[y] = before
        elif before is not None and not any(m._weights for m in call.module.modules()):
            order[y] = False  # who knows what it does with them
        elif type(call.module).__module__.split(".")[0] != "pynn" and any(
            isinstance(m, Convolution) for m in call.module.modules()
        ):
            raise DataError(
                f"[load_torch_weights] {described(call.module)}: the order of features behind its convolutions cannot "
                "be seen. help: write the network as nn.Sequential or nn.Model, and load the weights into that."
            )
    return result


def _passes(call: Call) -> bool:
    """Tell whether features come out as they went in."""
    norms = (nn.BatchNormalization, nn.LayerNormalization, nn.GroupNormalization)
    kinds = (nn.Dropout, nn.Activation, nn.Rescaling, nn.Add, nn.Multiply, *norms)
    return isinstance(call.module, kinds) and call.role not in (ENTER, EXIT)


def _flattened(call: Call, before: Order, line: bool) -> Order:
    shape, out = call.inputs[0].shape, call.output.shape
    if shape == out or before is False:
        return before
    if len(out) > 2 and not _one_way(out):  # PyTorch would make channels first of it
        return False
    if len(shape) == 1 or (len(shape) == 2 and not line):
        return before
    if _one_way(shape):
        return None
    if len(out) != 1 or len(shape) > 3:
        return False
    places = np.arange(int(np.prod(shape))).reshape(shape[-1], *shape[:-1])  # C, H, W or C, T
    return np.moveaxis(places, 0, -1).ravel()


def _one_way(shape: tuple[int, ...]) -> bool:
    """Tell whether channels first and channels last are the same order."""
    return shape[-1] == 1 or all(size == 1 for size in shape[:-1])


def _joined(call: Call, orders: list[Order]) -> Order:
    if all(order is None for order in orders):
        return None
    if any(order is False for order in orders) or len(call.output.shape) != 1:
        return False
    parts, at = [], 0
    for order, x in zip(orders, call.inputs, strict=True):
        parts.append(at + (np.arange(x.shape[0]) if order is None else np.asarray(order)))
        at += x.shape[0]
    return np.concatenate(parts)


# What PyTorch's modules hold


def _channels_last(array: np.ndarray, *_: Any) -> np.ndarray:
    return np.moveaxis(array, 0, -1)


def _picked(order: np.ndarray) -> Callable[..., np.ndarray]:
    return lambda array, *_: array[order]


def _transposed(*axes: int) -> Callable[..., np.ndarray]:
    return lambda array, *_: array.transpose(axes)


def _units(path: str, module: Any, order: Order, line: bool) -> list[Unit]:
    if order is False:
        raise DataError(
            f"[load_torch_weights] {described(module)}: the order of its inputs cannot be known, as images are "
            "reshaped before it, or features pass a layer that may move them. help: use nn.Flatten()."
        )
    if isinstance(module, nn.SeparableConv2D):
        return _separable(path, module)
    maker = next((make for kinds, make in _MAKERS if type(module) in kinds), None)
    if maker is None or (isinstance(module, nn.GRU) and not module.reset_after) or getattr(module, "peephole", False):
        raise DataError(f"[load_torch_weights] {described(module)} has no counterpart in PyTorch.")
    return [Unit(path, module, maker(path, module, order, line))]


def _bias(path: str, module: Any) -> list[Part]:
    return [Part(f"{path}.b", module.b, ("bias",), (module.b.shape,))] if module.use_bias else []


def _dense(path: str, module: Any, order: Order, line: bool) -> list[Part]:
    inputs, outputs = module.w.shape
    if order is None:
        w = Part(f"{path}.w", module.w, ("weight",), ((outputs, inputs),), _transposed(1, 0), "transposed")
    else:
        note = "transposed, inputs from channels first to last"
        w = Part(f"{path}.w", module.w, ("weight",), ((outputs, inputs),), lambda a: a.T[order], note)
    return [w, *_bias(path, module)]


def _embedding(path: str, module: Any, order: Order, line: bool) -> list[Part]:
    return [Part(f"{path}.w", module.w, ("weight",), (module.w.shape,))]


def _conv(path: str, module: Any, order: Order, line: bool) -> list[Part]:
    shape = module.w.shape[::-1] if module.w.ndim == 3 else tuple(module.w.shape[k] for k in (3, 2, 0, 1))
    axes, note = ((2, 1, 0), "OIT to TIO") if module.w.ndim == 3 else ((2, 3, 1, 0), "OIHW to HWIO")
    if isinstance(module, nn.Conv2DTranspose):
        note = "IOHW to HWOI"
    w = Part(f"{path}.w", module.w, ("weight",), (shape,), _transposed(*axes), note)
    return [w, *_bias(path, module)]


def _depthwise_weight(path: str, module: Any) -> Part:
    rows, columns, channels, multiplier = module.w.shape
    return Part(
        f"{path}.w", module.w, ("weight",), ((channels * multiplier, 1, rows, columns),),
        lambda a: a.transpose(2, 3, 1, 0).reshape(rows, columns, channels, multiplier), "OIHW to HWIO",
    )  # fmt: skip


def _depthwise(path: str, module: Any, order: Order, line: bool) -> list[Part]:
    return [_depthwise_weight(path, module), *_bias(path, module)]


def _separable(path: str, module: Any) -> list[Unit]:
    w = module.pointwise
    part = Part(
        f"{path}.pointwise", w, ("weight",), ((w.shape[3], w.shape[2], 1, 1),), _transposed(2, 3, 1, 0), "OIHW to HWIO"
    )
    return [
        Unit(path, module, [_depthwise_weight(path, module)]),
        Unit(f"{path}.pointwise", module, [part, *_bias(path, module)]),
    ]


def _norm(path: str, module: Any, order: Order, line: bool) -> list[Part]:
    pairs = [("gamma", "weight"), ("beta", "bias"), ("moving_mean", "running_mean"), ("moving_variance", "running_var")]
    parts = []
    for name, suffix in pairs:
        if name not in module._weights:
            continue
        weight = module._weights[name]
        shape, note = weight.shape, ""
        convert: Callable[..., np.ndarray] = first
        if len(shape) == 3 or (len(shape) == 2 and line):
            shape = (shape[-1], *shape[:-1])
            convert, note = _channels_last, "channels first to last"
        elif isinstance(order, np.ndarray) and shape == order.shape:
            convert, note = _picked(order), "channels first to last"
        parts.append(Part(f"{path}.{name}", weight, (suffix,), (shape,), convert, note))
    return parts


def _recurrent(path: str, module: Any, order: Order, line: bool, back: str = "") -> list[Part]:
    inputs, wide = module.w.shape
    gru = isinstance(module, nn.GRU)

    def gates(array: np.ndarray) -> np.ndarray:  # r, z, n to z, r, n
        if not gru:
            return array
        r, z, n = np.split(array, 3)
        return np.concatenate([z, r, n])

    note = "transposed, gates to z, r, n" if gru else "transposed"
    parts = [
        Part(f"{path}.w", module.w, (f"weight_ih{back}",), ((wide, inputs),), lambda a: gates(a).T, note),
        Part(f"{path}.u", module.u, (f"weight_hh{back}",), ((wide, module.units),), lambda a: gates(a).T, note),
    ]
    if module.use_bias:

        def both(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.stack([gates(a), gates(b)]) if gru else a + b

        note = "gates to z, r, n" if gru else "added"
        parts.append(Part(f"{path}.b", module.b, (f"bias_ih{back}", f"bias_hh{back}"), ((wide,), (wide,)), both, note))
    return parts


def _bidirectional(path: str, module: Any, order: Order, line: bool) -> list[Part]:
    parts = []
    for name, back in (("forward_layer", ""), ("backward_layer", "_reverse")):
        layer = getattr(module, name)
        if type(layer) not in (nn.SimpleRNN, nn.LSTM, nn.GRU) or not getattr(layer, "reset_after", True):
            raise DataError(f"[load_torch_weights] {described(module)} has no counterpart in PyTorch.")
        parts += _recurrent(f"{path}.{name}" if path else name, layer, order, line, back)
    return parts


_MAKERS: list[tuple[tuple[type, ...], Callable[..., list[Part]]]] = [
    ((nn.Dense,), _dense),
    ((nn.Embedding,), _embedding),
    ((nn.Conv1D, nn.Conv2D, nn.Conv2DTranspose), _conv),
    ((nn.DepthwiseConv2D,), _depthwise),
    ((nn.BatchNormalization, nn.LayerNormalization, nn.GroupNormalization), _norm),
    ((nn.SimpleRNN, nn.LSTM, nn.GRU), _recurrent),
    ((nn.Bidirectional,), _bidirectional),
]
