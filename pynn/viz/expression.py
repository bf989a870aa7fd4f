"""The computational graph of a tensor as boxes and arrows: what viz.draw_graph lays out and draws."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pynn.checks import of_kind
from pynn.core.card import Grad
from pynn.core.gradients import gradients, pulled_back
from pynn.core.graph import Node, reachable
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.ops import ones

__all__ = ["Arrow", "Box", "collect", "shown"]

# ruff: noqa: RUF001, RUF002 (signs of arithmetic are meant)
SYMBOLS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "neg": "−", "matmul": "@", "square": "x²", "pow": "xⁿ"}
FEW = 4  # so many numbers of an array are written out
MANY = 2000  # a graph of more ops is refused before anything is computed


@dataclass
class Box:
    """A vertex: an op, a variable, a constant, or a layer into which ops were collapsed.

    Attributes
    ----------
    kind : {"op", "variable", "constant", "layer"}
    title, value : str
        What is written in it.
    derivative : str
        That of the drawn tensor by this box's value; empty where there is none.
    """

    kind: str
    title: str
    value: str
    derivative: str = ""
    count: int = 1


@dataclass
class Arrow:
    """An edge from box `start` to box `end`, with the derivative that flows back along it."""

    start: int
    end: int
    derivative: str = ""


@dataclass
class _Found:
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)


def shown(array: Any, shape: bool = True) -> str:
    """Return a value in few characters: a number, a short list, or the shape and the root of the mean square.

    Examples
    --------
    >>> shown(0.84147098), shown([1.0, 2.5]), shown(np.ones((32, 10)))
    ('0.8415', '[1, 2.5]', '32×10, rms 1')
    """
    a = np.asarray(array)
    if a.ndim == 0:
        return f"{a.item() or 0:.4g}"  # a zero without its sign
    if a.ndim == 1 and a.size <= FEW:
        return "[" + ", ".join(f"{v:.3g}" for v in a.tolist()) + "]"
    sizes = "×".join(map(str, a.shape))
    if not a.size:
        return sizes
    rms = f"rms {np.sqrt(np.mean(np.square(a.astype(np.float64)))):.3g}"
    return f"{sizes}, {rms}" if shape else rms


def collect(
    out: Tensor, names: dict[str, Tensor], local: bool, max_nodes: int, collapse: bool | None
) -> tuple[list[Box], list[Arrow]]:
    """Return the boxes and arrows of the graph below a tensor.

    Parameters
    ----------
    out : Tensor
    names : dict of str to Tensor
        Names for leaves and results.
    local : bool
        Label an arrow with the derivative of its own op alone, instead of that of `out`.
    max_nodes : int
    collapse : bool or None
        Whether the ops of one layer become one box; None does so if there are more than `max_nodes` boxes otherwise.

    Raises
    ------
    TypeError, ValueError
    """
    if not isinstance(out, Tensor):
        raise TypeError(f"[draw_graph] expected a tensor. Received: {type(out).__name__}.")
    if out.node is None:
        raise ValueError(
            "[draw_graph] expected a tensor that was computed from one with requires_grad=True. Received: "
            f"{'a leaf' if out.requires_grad else 'a detached tensor'}, which has no graph. "
            "help: make the inputs with pynn.tensor(..., requires_grad=True), outside pynn.no_grad()."
        )
    nodes = reachable(out)
    if len(nodes) > MANY:
        raise ValueError(
            f"[draw_graph] expected a graph of at most {MANY} ops. Received: {len(nodes)}. "
            "help: draw the loss of one layer or one step, or an inner tensor."
        )
    flows: dict[tuple[int, int], Tensor] = {}
    gradients(out, ones(out.shape, out.dtype), watch=flows)
    depth = 0 if collapse else None
    while True:
        found = _boxes(out, nodes, flows, names, local, depth)
        if len(found.boxes) <= max_nodes or collapse is False:
            break
        deeper = 0 if depth is None else depth + 1
        if deeper > max((node.scope.count("/") for node in nodes), default=0) or not any(n.scope for n in nodes):
            break
        depth = deeper
    if len(found.boxes) > max_nodes:
        raise ValueError(
            f"[draw_graph] expected at most max_nodes={max_nodes} boxes. Received: {len(found.boxes)}"
            f"{'' if collapse is False else ', with the ops of each layer collapsed'}. "
            "help: draw an inner tensor, or raise max_nodes."
        )
    return found.boxes, found.arrows


def _place(node: Node, depth: int | None) -> str:
    """Return the layer into which a node is collapsed: its path without the `depth` innermost parts."""
    if depth is None or not node.scope:
        return ""
    parts = node.scope.split("/")
    return "/".join(parts[: max(1, len(parts) - depth)])


def _boxes(
    out: Tensor,
    nodes: list[Node],
    flows: dict[tuple[int, int], Tensor],
    names: dict[str, Tensor],
    local: bool,
    depth: int | None,
) -> _Found:
    for t in names.values():
        of_kind("draw_graph", "names", t, "tensors by name", "node", "index")
    given = {(id(t.node), t.index) if t.node is not None else id(t): name for name, t in names.items()}
    found, box_of = _Found(), {}
    layers: dict[str, int] = {}
    leaves: dict[int, int] = {}
    totals = _totals(out, nodes, flows)
    for node in nodes:
        place = _place(node, depth)
        y = next(y for y in node.outs if y is not None)
        total = totals.get((id(node), 0))
        text = "" if total is None else shown(total)
        if place:
            at = layers.setdefault(place, len(found.boxes))
            if at == len(found.boxes):
                found.boxes.append(Box("layer", place, "", count=0))
            box = found.boxes[at]
            box.value, box.derivative, box.count = shown(y.view()), text, box.count + 1
        else:
            title = SYMBOLS.get(node.card.name, node.card.name)
            name = given.get((id(node), 0))
            at = len(found.boxes)
            found.boxes.append(Box("op", f"{name} = {title}" if name else title, shown(y.view()), text))
        box_of[id(node)] = at
        derivatives = _local(node) if local else {i: flows.get((node.id, i)) for i in range(len(node.inputs))}
        for i, x in enumerate(node.inputs):
            if not isinstance(x, Tensor):
                continue
            if x.node is not None:
                start = box_of[id(x.node)]
            elif place and x.name and id(x) not in given:
                continue  # a layer's weights stay inside it
            else:
                if id(x) not in leaves:
                    leaves[id(x)] = len(found.boxes)
                    found.boxes.append(_leaf(x, node, given.get(id(x), ""), totals))
                start = leaves[id(x)]
            flow = derivatives.get(i)
            if start != at:
                found.arrows.append(Arrow(start, at, "" if flow is None else shown(flow.view(), shape=False)))
    return found


def _leaf(x: Tensor, node: Node, name: str, totals: dict[Any, np.ndarray]) -> Box:
    if not name and x.name:
        name = f"{node.scope}.{x.name}" if node.scope else x.name
    total = totals.get(id(x))
    kind = "variable" if x.requires_grad else "constant"
    return Box(kind, name, shown(x.view()), "" if total is None else shown(total))


def _totals(out: Tensor, nodes: list[Node], flows: dict[tuple[int, int], Tensor]) -> dict[Any, np.ndarray]:
    """Return the derivative of `out` by every value: what flows back along all of its edges, added up."""
    totals: dict[Any, np.ndarray] = {(id(out.node), out.index): np.ones(out.shape, out.dtype)}
    for node in nodes:
        for i, x in enumerate(node.inputs):
            flow = flows.get((node.id, i))
            if flow is not None:
                key = (id(x.node), x.index) if x.node is not None else id(x)
                totals[key] = totals.get(key, 0) + flow.view()
    return totals


def _local(node: Node) -> dict[int, Tensor]:
    """Return the derivatives of one op: of the sum of its first output by each of its inputs."""
    if not node.card.has_gradient:
        return {}
    needs = tuple(isinstance(x, Tensor) and x.requires_grad for x in node.inputs)
    for y in node.outs:
        if y is None:
            raise ShapeError(f"[draw_graph] {node.card.name} has no derivative of its own to show.")
    dys = [ones(y.shape, y.dtype) for y in node.outs[:1]]
    dys += [ones(y.shape, y.dtype) - 1.0 for y in node.outs[1:]]
    g = Grad(node.inputs, node.outs, node.attrs, needs, (None,) * len(needs))
    given = pulled_back(node.card, g, dys)
    return {i: dx for i, (dx, need) in enumerate(zip(given, needs, strict=True)) if need and dx is not None}
