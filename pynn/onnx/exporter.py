"""From a model to an ONNX file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn._blocks import Held
from pynn._version import __version__
from pynn.checks import is_integer, of_kind
from pynn.core.context import training
from pynn.core.state import no_grad, state, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.export.open_axes import is_open, lower_open
from pynn.export.plan import lower
from pynn.export.trace import Trace, Value
from pynn.files import write_whole
from pynn.nn.embedding import Embedding
from pynn.nn.module import Module
from pynn.onnx import emit  # noqa: F401  (enters the converters)
from pynn.onnx.builder import Builder
from pynn.onnx.extra import need_memory, onnx_package
from pynn.onnx.network import Network
from pynn.onnx.rewrite import rewritten

__all__ = ["OLDEST", "export", "to_model"]

TRIED = (32, 224, 1024, 16)  # for sizes that a file leaves open
DOMAINS = {"ai.onnx.ml": 2}  # the versions of other sets of operators that are written
OLDEST = 13  # of 2020: what reads newer files reads this too


def export(
    model: Module, path: str | os.PathLike[str], input_shape: Any = None, opset: int = OLDEST, name: str | None = None
) -> None:
    """Write a model as an ONNX file, which other programs run.

    A model of several outputs has them by its `output_names`, or the keys of the dict that it returns; a single one
    is named ``output``. The number of samples is free; the other sizes are those that the model was built for, but
    for those that `input_shape` leaves open. Axes of inputs and outputs are pynn's (images [N, H, W, C]). Dropout
    and augmentation do nothing, batch normalization takes its running statistics, as in predict(). Inputs are
    floats: predict() divides images of bytes by 255 by itself, the file does not, unless the model begins with
    :class:`pynn.nn.Rescaling`, which is a part of it. Padding of :class:`pynn.nn.Embedding` with ``mask_zero`` may
    stand anywhere in what the file is given, also where the model has seen it at the end alone. With
    ``padding="post"``, and where lengths are kept but masks are not (strided windows), it must stand at the end:
    other ids stop the run at a node named ``padding_must_stand_at_the_end``.

    Parameters
    ----------
    model : Module
        Any, one's own too: what it runs is recorded and written op by op. Ops of one's own need a
        :func:`pynn.onnx.converter`.
    path : path-like
        Usually ``something.onnx``. The file is written whole or not at all.
    input_shape : tuple of int (or list of them), optional
        Of one sample; needed if the model does not know it. None stands for a size that is left open, such as the
        number of steps of a sequence, ``(None, 4)``, or the height and width of images.
    opset : int, default 13
        The operator set: low, so that many programs read the file. An imported network keeps its own.
    name : str, optional
        Of the graph, by default the model's.

    Raises
    ------
    DataError
        If samples are not computed each by itself, or ONNX cannot express an op; layer and op are named.
    ImportError
        If the package onnx is missing.
    MemoryError
        If there is no room for several copies of the weights; protobuf would end the process.

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
    except Exception as error:  # protobuf's own, of a class that is not the same in all versions
        raise DataError(f"[onnx.export] the model is too large for one file: {error}.") from error
    write_whole(path, data)


def to_model(model: Module, input_shape: Any = None, opset: int = OLDEST, name: str | None = None) -> Any:
    """Return a model as an onnx.ModelProto, checked; see :func:`export`.

    Parameters
    ----------
    model : Module
    input_shape : sequence of int, optional
        Of one sample.
    opset : int, default 13
        The version of ONNX's operators.
    name : str, optional
        Of the graph.
    """
    onnx = onnx_package("onnx.export")
    of_kind("onnx.export", "model", model, "a model of pynn.nn", "named_parameters", "modules")
    need_memory("onnx.export", sum(weight.nbytes for _, weight in model.named_parameters()))
    newest = onnx.defs.onnx_opset_version()
    network = model if isinstance(model, Network) else None
    if network is not None and network.opset is not None and opset == OLDEST:
        opset = network.opset
    least = OLDEST if network is None else 7
    if not is_integer(opset, least, newest):
        raise ValueError(f"[onnx.export] expected an opset of {least} to {newest}. Received: opset={opset!r}.")
    b = Builder(opset, model.dtype)
    b.names |= {"N", "output"}  # the latter is the only output's name
    written = _recorded(b, model, input_shape) if network is None else _imported(b, network, input_shape)
    helper, outputs = onnx.helper, []
    for one, named in zip(written.outputs, written.names, strict=True):
        b.nodes.append(helper.make_node("Identity", [one.value], [named], name=b.name("Identity_node")))
        kind = onnx.TensorProto.STRING if one.dtype.kind == "U" else helper.np_dtype_to_tensor_dtype(one.dtype)
        outputs.append(helper.make_tensor_value_info(named, kind, ["N", *one.sizes]))
    graph = helper.make_graph(b.nodes, name or model.name, written.inputs, outputs, b.initializers)
    sets = [helper.make_opsetid("", opset)]
    version = max(helper.find_min_ir_version_for(sets), 4)  # before 4, weights had to be inputs too
    sets += [helper.make_opsetid(domain, DOMAINS.get(domain, 1)) for domain in sorted(b.domains)]
    proto = helper.make_model(
        graph, opset_imports=sets, ir_version=version, producer_name="pynn", producer_version=__version__
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


class Output(NamedTuple):
    """A value that is returned: its name in the graph, its sizes without the batch, its dtype."""

    value: str
    sizes: Sequence[Any]
    dtype: np.dtype


class Written(NamedTuple):
    """What a graph takes and returns; `names` are what readers see of the outputs."""

    inputs: list[Any]
    outputs: list[Output]
    names: list[str]


def _inputs(b: Builder, shapes: Sequence[Sequence[Any]], whole: list[bool]) -> tuple[list[Any], list[str]]:
    made, names = [], []
    for i, (shape, ids) in enumerate(zip(shapes, whole, strict=True)):
        names.append(b.name("input" if len(shapes) == 1 else f"input_{i}"))
        kind = b.helper.np_dtype_to_tensor_dtype(np.dtype("int64") if ids else b.dtype)
        made.append(b.helper.make_tensor_value_info(names[-1], kind, ["N", *shape]))
    return made, names


def _recorded(b: Builder, model: Module, input_shape: Any) -> Written:
    """Write the ops that the model runs."""
    plan = _lowered(model, input_shape)
    shapes, whole = [_named(x, plan.inputs[0]) for x in plan.inputs], [x.dtype.kind in "iu" for x in plan.inputs]
    made, names = _inputs(b, shapes, whole)
    outputs = _output_names(b, model, len(plan.outputs), plan.form)
    for x, name in zip(plan.inputs, names, strict=True):
        b.put(x, tuple(range(x.ndim)), name)
    b.first_input = plan.inputs[0]
    for op in plan.ops:
        b.write(op)
    outs = [
        Output(b.plain(y), _named(y, plan.inputs[0]), np.dtype("int64") if y.dtype.kind in "iu" else y.dtype)
        for y in plan.outputs
    ]
    return Written(made, outs, outputs)


def _output_names(b: Builder, model: Module, count: int, form: list[str] | None = None) -> list[str]:
    """Return "output", or names of several outputs: the model's own, or output_0, output_1 ..."""
    if count == 1:
        return ["output"]
    own = form or getattr(model, "output_names", None) or [f"output_{i}" for i in range(count)]
    return [b.name(name) for name in own]


def _lowered(model: Module, input_shape: Any) -> Trace:
    """Return the ops that the model runs, with padding anywhere where it has not been said where padding stands.

    The file cannot look at its input, as layers do, and then choose. Where masks are lost, or mean something else than
    lengths, padding must stand at the end, which the file checks.
    """
    low = lower_open if is_open(input_shape) else lower
    layers = [m for m in model.modules() if isinstance(m, Embedding) and m.mask_zero and m.padding == "auto"]
    if layers:
        lost: list[str] = []
        try:
            for layer in layers:
                layer.padding = "any"
            with contextlib.suppress(DataError), Held(state, lost=lost):
                plan = low(model, input_shape)
                if not lost:
                    return plan
        finally:
            for layer in layers:
                layer.padding = "auto"
    return low(model, input_shape)


def _named(value: Value, first: Value) -> list[Any]:
    """Return the sizes of a sample; "T" is the one that is left open, and None what is computed from it."""
    whole = next(iter(first.open.values()), None)
    sizes = [value.extent(axis) for axis in range(1, value.ndim)]
    return [("T" if d == whole else None) if isinstance(d, tuple) else d for d in sizes]


def _imported(b: Builder, network: Network, input_shape: Any) -> Written:
    """Write the nodes of a network that was read from a file."""
    given = input_shape if isinstance(input_shape, list) else [input_shape]
    shapes: list[Any] = [tuple(s) for s in given] if input_shape is not None else _declared(network)
    whole = [network._looked_up(i) for i in range(len(shapes))]
    made, names = _inputs(b, shapes, whole)
    outputs = _output_names(b, network, len(network.output_names))
    results = rewritten(b, network, names)
    fixed = all(is_integer(d) for shape in shapes for d in shape)
    outs = [
        Output(
            result, y.shape[1:] if fixed else (None,) * (y.ndim - 1), declared if declared.kind in "iubU" else y.dtype
        )
        for result, y, (_, declared) in zip(results, _tried(network, shapes, whole), network._plan.outputs, strict=True)
    ]
    return Written(made, outs, outputs)


def _tried(network: Network, shapes: list[Any], whole: list[bool]) -> list[Tensor]:
    """Return the outputs for a sample of zeros; sizes that are open are tried in turn."""
    for size in TRIED:
        made = [(1, *(d if is_integer(d) else size for d in shape)) for shape in shapes]
        zeros = [
            Tensor.state(np.zeros(s, np.int32 if ids else network.dtype)) for s, ids in zip(made, whole, strict=True)
        ]
        try:
            with no_grad(), training(False), trial():
                found = network(*zeros)
                return list(found) if isinstance(found, (tuple, list)) else [found]
        except (DataError, ShapeError):
            if size == TRIED[-1] or all(is_integer(d) for shape in shapes for d in shape):
                raise
    raise AssertionError


def _declared(network: Network) -> list[tuple[Any, ...]]:
    """Return the sizes of a sample of each input; names or None stand where the file leaves them open."""
    found = []
    for name, _, sizes in network._plan.inputs:
        if sizes is None:
            raise DataError(
                f"[onnx.export] the file does not say of which rank the input {name!r} is. help: input_shape."
            )
        found.append(tuple(sizes[1:]))
    return found
