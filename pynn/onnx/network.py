"""A graph of ONNX operators as a module: it runs, trains and is saved like any other."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from pynn.core.context import training
from pynn.core.state import scope, state
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import CaptureError, DataError, ShapeError
from pynn.io.registry import register
from pynn.nn.module import Module
from pynn.onnx.operators.recurrent import laid, laid_shape
from pynn.onnx.operators.run import run_node
from pynn.onnx.plan import Plan, dtype_of, part_names
from pynn.onnx.tensors import held, held_dtype
from pynn.onnx.value import Value
from pynn.train.predictor import Preparing

__all__ = ["Network"]


class Network(Module):
    """A network that was read from an ONNX file; made by :func:`pynn.onnx.load`.

    Images are [N, C, H, W] and sequences as the file has them: its axes are not changed. While it is trained,
    dropout and batch normalization work as in pynn's own layers, whatever the file says of training.

    Parameters
    ----------
    graph : dict
        What load() made of the file; plain data, so that the network can be saved by :meth:`save` too.
    name : str, optional

    Notes
    -----
    Weights have the names of the file; those of a recurrent operator are kept as pynn's layers keep them, and those of
    one that goes both ways as two, name/forward and name/backward. Which constants are weights: those that
    convolutions, products of matrices, recurrent and normalizing operators and PRelu take as such, and initializers of
    more than one number that are added or multiplied. Running means and variances are state.
    """

    _unwatched = frozenset({"_plan", "_initial", "_runs", "_by_values"})  # large and never changed, or made by runs

    def __init__(self, graph: dict[str, Any], name: str | None = None):
        super().__init__(name)
        self._plan = Plan(graph)
        self._initial: Any = None
        self._runs: Any = None  # what run() has prepared
        self._by_values = False  # whether shapes depend on values, so that nothing can be recorded
        self.dtype = dtype_of(graph["dtype"])

    @property
    def input_names(self) -> list[str]:
        """The names of the inputs, in the order of a call."""
        return [name for name, _, _ in self._plan.inputs]

    @property
    def output_names(self) -> list[str]:
        """The names of the outputs."""
        return [name for name, _ in self._plan.outputs]

    @property
    def opset(self) -> int | None:
        """The operator set of the nodes; None if there are none."""
        return self._plan.nodes[0].version if self._plan.nodes else None

    @property
    def input_shapes(self) -> list[tuple[int, ...]]:
        """The shape of a sample of each input.

        Raises
        ------
        DataError
            If the file leaves a size open.
        """
        for name, _, sizes in self._plan.inputs:
            if sizes is None or not all(isinstance(d, int) for d in sizes[1:]):
                raise DataError(f"[onnx] the file leaves sizes of the input {name!r} open. Received: {sizes}.")
        return [tuple(sizes[1:]) for _, _, sizes in self._plan.inputs]

    @property
    def takes_integers(self) -> bool:
        """Whether an input is of integers."""
        return any(dtype not in FLOATS for _, dtype, _ in self._plan.inputs)

    def build(self, input_shape: Any = ()) -> None:
        """Make the weights, with the values of the file."""
        if self.built or self._weights:
            return
        for weight in self._plan.weights:
            if "laid" in weight:
                self._build_parts(weight)
                continue
            perm, shape = weight["perm"], tuple(weight["shape"])
            kept = shape if perm is None else tuple(shape[a] for a in perm)

            def values(*_: Any, record: dict[str, Any] = weight) -> np.ndarray:
                if self._initial is None:
                    raise DataError(f"[onnx] the weight {record['name']!r} has no values.")
                array = self._initial.pop(record["name"])
                return array if record["perm"] is None else array.transpose(record["perm"])

            self.add_weight(weight["name"], kept, values, trainable=bool(weight["trainable"]))
        self._initial = None

    def _build_parts(self, weight: dict[str, Any]) -> None:
        """Make the weights of a recurrent operator, one for each direction."""
        shape = laid_shape(weight["laid"], weight["shape"])
        parts: list[np.ndarray] = []

        def values(*_: Any) -> np.ndarray:
            if self._initial is None:
                raise DataError(f"[onnx] the weight {weight['name']!r} has no values.")
            if not parts:
                parts.extend(laid(weight["laid"], self._initial.pop(weight["name"])))
            return parts.pop(0)

        for name in part_names(weight):
            self.add_weight(name, shape, values, trainable=bool(weight["trainable"]))

    def start(self, values: Any) -> None:
        """Build with values, a dict that is emptied."""
        self._initial = _Hidden(values)
        self.build()
        object.__setattr__(self, "built", True)

    def _looked_up(self, i: int) -> bool:
        return self._plan.inputs[i][1] not in FLOATS

    def check_inputs(self, xs: list[np.ndarray], place: str) -> None:
        """Refuse data of other shapes than the file declares; the number of samples is free."""
        inputs = self._plan.inputs
        if len(xs) != len(inputs):
            raise ShapeError(
                f"[{place}] expected {len(inputs)} inputs, {', '.join(n for n, _, _ in inputs)}. Received: {len(xs)}."
            )
        for x, (name, _, sizes) in zip(xs, inputs, strict=True):
            if sizes is None:
                continue
            fits = len(sizes) == x.ndim and all(
                not isinstance(d, int) or d == n for d, n in zip(sizes[1:], x.shape[1:], strict=True)
            )
            if not fits:
                hint = ""
                if x.ndim == 4 and len(sizes) == 4 and x.shape[3] == sizes[1]:
                    hint = " help: images are [N, C, H, W] here, np.moveaxis(x, -1, 1)."
                raise ShapeError(
                    f"[{place}] expected the input {name!r} of shape {tuple(sizes)}. Received: {x.shape}.{hint}"
                )

    def forward(self, *inputs: Tensor) -> Any:
        """Compute the output, or a tuple of them."""
        self.check_inputs([_Shape(x) for x in inputs], self.name)  # type: ignore[misc]
        with training(False) if state.training and not self._trainable else contextlib.nullcontext():
            return self._forward(inputs)

    def _forward(self, inputs: tuple[Tensor, ...]) -> Any:
        plan = self._plan
        values: dict[str, Value | None] = {"": None}
        for name, array in plan.constants.items():
            forms = {tuple(range(array.ndim)): plan.tensors[name]} if name in plan.tensors else None
            values[name] = Value(array.shape, forms, array)
        for weight in plan.weights:
            if "laid" in weight:
                value = values[weight["name"]] = Value(weight["shape"])
                value.parts = [self._weights[name] for name in part_names(weight)]
                continue
            tensor, perm = self._weights[weight["name"]], weight["perm"]
            values[weight["name"]] = Value.of(tensor, None if perm is None else tuple(perm))
        for (name, dtype, _), x in zip(plan.inputs, inputs, strict=True):
            wanted = held_dtype(dtype)
            values[name] = Value.of(x if x.dtype == wanted else x.astype(wanted))
        for at, node in enumerate(plan.nodes):
            with scope(node.name or node.op):
                given = [values[name] for name in node.inputs]
                outs = (
                    [given[plan.fused[at]]]
                    if at in plan.fused
                    else run_node(node, given, [values[n] for n in node.ends])
                )
            plan.shapes[node.outputs[0]] = outs[0].shape  # type: ignore[union-attr]
            values.update((name, value) for name, value in zip(node.outputs, outs, strict=False) if name)
            for name in plan.done[at]:
                values.pop(name, None)
        for name, _ in plan.outputs:
            if values[name].names is not None:  # type: ignore[union-attr]
                plan.names[name] = values[name].names  # type: ignore[union-attr]
        found = tuple(values[name].plain for name, _ in plan.outputs)  # type: ignore[union-attr]
        return found[0] if len(found) == 1 else found

    def run(self, *inputs: Any) -> list[np.ndarray]:
        """Return all outputs for arrays, of the dtypes that the file declares.

        The inputs are taken as they are, in one pass, whatever their axes mean. The first call for each shape of inputs
        prepares it; from then on a call is one native call, from any number of threads. A network of which shapes
        depend on values is run op by op each time.

        Parameters
        ----------
        inputs : array_like
            In the order of `input_names`.

        Returns
        -------
        list
            Arrays; of ZipMap, lists of dicts. In ``predict`` and in a call, labels that are texts are the places of
            their names, and what ZipMap gives is an array of a column for each class.
        """
        if self._runs is not None and not self._by_values:
            quick = self._runs.quick(inputs if len(inputs) != 1 else inputs[0])
            if quick is not None:
                return self._declared([quick] if isinstance(quick, np.ndarray) else quick)
        given = [np.require(held(np.asarray(x), f"input {i}"), requirements=("C", "A")) for i, x in enumerate(inputs)]
        if self._runs is None:
            object.__setattr__(self, "_runs", Preparing(self, 1, "run", raw=True))
        try:
            found, _ = self._runs.one_pass(given, eagerly=self._by_values)
        except (CaptureError, DataError):
            if state.recorder is not None or self._by_values:
                raise
            found, _ = self._runs.one_pass(given, eagerly=True)  # which raises too, if the data are bad
            object.__setattr__(self, "_by_values", True)
        return self._declared(found)

    def _declared(self, found: Any) -> list[Any]:
        """Return outputs as the file declares them."""
        plan = self._plan
        if plan.dtypes == [a.dtype for a in found] and not plan.names:
            return list(found)
        return [self._as_declared(a, *port) for a, port in zip(found, plan.outputs, strict=True)]

    def _as_declared(self, array: np.ndarray, name: str, dtype: np.dtype) -> Any:
        """Return an output as the file declares it."""
        names = self._plan.names.get(name)
        if names is None:
            return array if dtype.kind == "V" else array.astype(dtype, copy=False)
        if dtype.kind == "O":  # of ZipMap
            return [dict(zip(names, row, strict=True)) for row in np.atleast_2d(array).tolist()]
        if array.size and not 0 <= array.min() <= array.max() < len(names):
            raise DataError(f"[onnx] output {name!r}: expected numbers of {len(names)} texts. Received: {array.max()}.")
        return np.array(names, object)[array]

    def parts(self, shape: tuple[int, ...] | None) -> list[tuple[Part, Any]]:
        """Return what summary() shows: the nodes that have weights, and how many others there are.

        Parameters
        ----------
        shape : tuple of int
            Of the output.
        """
        found: list[tuple[Part, Any]] = []
        rest = Part("", "", [], [])
        for node in self._plan.nodes:
            names = [part for name in node.inputs for part in self._plan.parts.get(name, [name])]
            held = [(name, self._weights[name]) for name in names if name in self._weights]
            scope = node.name or node.op
            if held:
                found.append((Part(scope, node.op, held, [scope]), self._plan.shapes.get(node.outputs[0])))
            else:
                rest.scopes.append(scope)
        rest.name, rest.kind = f"{len(rest.scopes)} others", "without weights"
        return [*found, (rest, shape)] if rest.scopes else found

    def extra_repr(self) -> str:
        """Return the settings to show in repr()."""
        return f"{len(self._plan.nodes)} nodes, {', '.join(self.input_names)} -> {', '.join(self.output_names)}"


register(Network, "onnx.Network")


class Part:
    """A node of a network, as a row of summary()."""

    def __init__(self, name: str, kind: str, weights: list[tuple[str, Tensor]], scopes: list[str]):
        self.name, self.kind, self.scopes, self._held = name, kind, scopes, weights

    def named_parameters(self) -> list[tuple[str, Tensor]]:
        """Return the weights with their names."""
        return self._held

    def parameters(self) -> list[Tensor]:
        """Return the weights that are trained."""
        return [w for _, w in self._held if w.requires_grad]


class _Hidden:
    """A dict that walks over modules do not look into."""

    def __init__(self, values: dict[str, np.ndarray]):
        self.values = values

    def pop(self, name: str) -> np.ndarray:
        return self.values.pop(name)


class _Shape:
    """What check_inputs() needs of a tensor."""

    def __init__(self, x: Tensor):
        self.shape, self.ndim = x.shape, x.ndim
