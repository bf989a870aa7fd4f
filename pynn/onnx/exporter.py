"""From a model to an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pynn._version import __version__
from pynn.checks import is_integer
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.files import write_whole
from pynn.nn.functional import Model
from pynn.nn.module import Module
from pynn.onnx import layers  # noqa: F401  (enters the converters)
from pynn.onnx.builder import Builder, Wire
from pynn.onnx.extra import onnx_package
from pynn.onnx.network import Network

__all__ = ["OLDEST", "export", "to_model"]

OLDEST = 13  # of 2020: what reads newer files reads this too


def export(
    model: Module, path: str | os.PathLike[str], input_shape: Any = None, opset: int = OLDEST, name: str | None = None
) -> None:
    """Write a model as an ONNX file, which other programs run.

    The number of samples is free; the other sizes are those that the model was built for. Axes of inputs and outputs
    are pynn's (images [N, H, W, C]). Dropout and augmentation do nothing, batch normalization takes its running
    statistics, as in predict().

    Parameters
    ----------
    model : Module
        Of pynn's layers, or of layers that :func:`pynn.onnx.converter` was told about.
    path : path-like
        Usually ``something.onnx``. The file is written whole or not at all.
    input_shape : tuple of int (or list of them), optional
        Of one sample; needed if the model does not know it.
    opset : int, default 13
        The operator set: low, so that many programs read the file. An imported network keeps its own.
    name : str, optional
        Of the graph, by default the model's.

    Raises
    ------
    DataError
        If ONNX cannot express a layer; the message names it.
    ImportError
        If the package onnx is missing.

    Examples
    --------
    >>> import tempfile
    >>> import pynn.onnx
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((4,)), nn.Dense(3, activation="tanh")])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pynn.onnx.export(model, f"{folder}/model.onnx")
    """
    proto = to_model(model, input_shape, opset, name)
    try:
        data = proto.SerializeToString()
    except ValueError as error:
        raise DataError(f"[onnx.export] the model is too large for one file: {error}.") from error
    write_whole(path, data)


def to_model(model: Module, input_shape: Any = None, opset: int = OLDEST, name: str | None = None) -> Any:
    """Return a model as an onnx.ModelProto, checked; see :func:`export`."""
    onnx = onnx_package("onnx.export")
    newest = onnx.defs.onnx_opset_version()
    if isinstance(model, Network) and model.opset is not None and opset == OLDEST:
        opset = model.opset
    least = 7 if isinstance(model, Network) else OLDEST
    if not is_integer(opset, least, newest):
        raise ValueError(f"[onnx.export] expected an opset of {least} to {newest}. Received: opset={opset!r}.")
    shapes = _input_shapes(model, input_shape)
    integers = _integers(model, len(shapes))
    helper, b = onnx.helper, Builder(opset, model.dtype)
    b.names |= {"N", "output"}
    inputs, wires = [], []
    for i, (shape, whole) in enumerate(zip(shapes, integers, strict=True)):
        given = b.name("input" if len(shapes) == 1 else f"input_{i}")
        kind = helper.np_dtype_to_tensor_dtype(np.dtype("int64") if whole else model.dtype)
        inputs.append(helper.make_tensor_value_info(given, kind, ["N", *shape]))
        wires.append(Wire((None, *shape), {tuple(range(len(shape) + 1)): given}))
    y = b.layer(model, *wires)
    b.nodes.append(helper.make_node("Identity", [b.plain(y)], ["output"], name=b.name("Identity_node")))
    kind = helper.np_dtype_to_tensor_dtype(model.dtype)
    output = helper.make_tensor_value_info("output", kind, ["N", *y.shape[1:]])
    graph = helper.make_graph(b.nodes, name or model.name, inputs, [output], b.initializers)
    sets = [helper.make_opsetid("", opset)]
    proto = helper.make_model(
        graph, opset_imports=sets, ir_version=helper.find_min_ir_version_for(sets), producer_name="pynn",
        producer_version=__version__,
    )  # fmt: skip
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _input_shapes(model: Any, given: Any) -> list[tuple[int, ...]]:
    """Return the shape of a sample of each input; builds the model if need be."""
    if isinstance(model, Network):
        return (
            model.input_shapes if given is None else [tuple(s) for s in (given if isinstance(given, list) else [given])]
        )
    if isinstance(model, Model):
        model.build()
        return model.input_shapes
    if given is not None:
        shape = tuple(given) if isinstance(given, Iterable) else (given,)
        if not model.built:
            model(Tensor.state(np.zeros((1, *shape), np.int32 if model.takes_integers else model.dtype)))
        return [shape]
    model._require_built("onnx.export") if hasattr(model, "_input") else None
    shape = getattr(model, "_input", None) or model._built_for[1:]
    if not shape:
        raise ShapeError(
            f"[onnx.export] the shape of an input of {model.name!r} is not known. help: export(..., input_shape=...)."
        )
    return [tuple(shape)]


def _integers(model: Any, count: int) -> Sequence[bool]:
    if isinstance(model, (Model, Network)):
        return [model._looked_up(i) for i in range(count)]
    return [model.takes_integers] * count
