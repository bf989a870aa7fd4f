"""Backpropagation with every number written out: z, a, delta, dW, db, layer by layer or op by op."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from pynn import losses
from pynn.core.context import training
from pynn.core.gradients import gradients
from pynn.core.graph import reachable
from pynn.core.tape import taped
from pynn.core.tensor import Tensor, tensor
from pynn.keywords import spelled
from pynn.language import said
from pynn.losses.logits import scores_of
from pynn.nn.layers import Activated
from pynn.nn.module import Module
from pynn.nn.sequential import Sequential
from pynn.ops import ones

__all__ = ["LayerTrace", "Trace", "trace"]

# ruff: noqa: RUF001 (signs of arithmetic are meant)
EQUATIONS = (
    ("delta of the last layer", "δᴸ = ∂C/∂aᴸ ⊙ f′(zᴸ)", "(aᴸ − y)/N where softmax or sigmoid meets its cross-entropy"),
    ("delta of a hidden layer", "δˡ = (δˡ⁺¹ (Wˡ⁺¹)ᵀ) ⊙ f′(zˡ)", "rows are samples, so W stands on the right"),
    ("gradient of the biases", "∂C/∂bˡ = Σₙ δˡ", "summed over the samples"),
    ("gradient of the weights", "∂C/∂Wˡ = (aˡ⁻¹)ᵀ δˡ", "a⁰ is x"),
)
MEANING = {"a": "a = f(z)", "z": "z = a⁻ W + b", "delta": "δ = ∂C/∂z"}


@dataclass
class LayerTrace:
    """The numbers of one layer.

    Attributes
    ----------
    name, activation : str
        The activation is "linear" where the layer has none.
    z, a : ndarray [N, ...]
        Before and after the activation.
    delta : ndarray [N, ...]
        dC/dz.
    weights, gradients : dict of str to ndarray
        By the names of the layer's weights, "w" and "b" for a dense layer.
    """

    name: str
    activation: str
    z: np.ndarray
    a: np.ndarray
    delta: np.ndarray
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    gradients: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Trace:
    """What :func:`trace` found; prints as text, and notebooks show it as tables.

    Attributes
    ----------
    x, y : ndarray
    loss : float
    layers : list of LayerTrace
    steps : list of (str, ndarray)
        The single operations, forward and then backward, if they were asked for.
    """

    x: np.ndarray
    y: np.ndarray
    loss: float
    loss_name: str
    layers: list[LayerTrace]
    steps: list[tuple[str, np.ndarray]] = field(default_factory=list)

    def _sections(self) -> list[tuple[str, list[tuple[str, np.ndarray | float]]]]:
        sections: list[tuple[str, list[tuple[str, np.ndarray | float]]]] = [
            (said("input"), [("x", self.x), ("y", self.y)]),
        ]
        for layer in self.layers:
            rows: list[tuple[str, np.ndarray | float]] = list(layer.weights.items())
            rows += [(MEANING["z"] if layer.weights else "z", layer.z), (MEANING["a"], layer.a)]
            sections.append((f"{said('forward')}: {layer.name} ({layer.activation})", rows))
        sections.append((said("cost"), [(f"C, {self.loss_name}", self.loss)]))
        for layer in reversed(self.layers):
            rows = [(MEANING["delta"], layer.delta)]
            rows += [(f"∂C/∂{name}", gradient) for name, gradient in layer.gradients.items()]
            sections.append((f"{said('backward')}: {layer.name}", rows))
        if self.steps:
            sections.append((said("one operation at a time"), list(self.steps)))
        return sections

    def text(self) -> str:
        """Return the trace as plain text."""
        parts = [said("the four equations of backpropagation")]
        width = max(len(formula) for _, formula, _ in EQUATIONS)
        for name, formula, note in EQUATIONS:
            parts += [f"  {formula:{width}}  {said(name)}:", f"  {'':{width}}  {said(note)}"]
        for title, rows in self._sections():
            parts += ["", title]
            for name, value in rows:
                head = f"  {name} = "
                parts.append(head + _numbers(value).replace("\n", "\n" + " " * len(head)))
        return "\n".join(parts)

    def markdown(self) -> str:
        """Return the trace as Markdown."""
        parts = [f"| {said('equation')} | | |", "|---|---|---|"]
        parts += [f"| {said(name)} | {formula} | {said(note)} |" for name, formula, note in EQUATIONS]
        for title, rows in self._sections():
            parts += ["", f"**{title}**", ""]
            for name, value in rows:
                parts += [f"{name} =", "", "```", _numbers(value), "```", ""]
        return "\n".join(parts)

    def html(self) -> str:
        """Return the trace as HTML, without style sheets or scripts from elsewhere."""
        cell = "padding:2px 10px;text-align:left;vertical-align:top"
        head = "".join(
            f'<tr><td style="{cell}">{escape(said(name))}</td><td style="{cell}"><b>{escape(formula)}</b></td>'
            f'<td style="{cell}">{escape(said(note))}</td></tr>'
            for name, formula, note in EQUATIONS
        )
        parts = [f"<table>{head}</table>"]
        for title, rows in self._sections():
            lines = "".join(
                f'<tr><td style="{cell}">{escape(name)}</td>'
                f'<td style="{cell}"><pre style="margin:0">{escape(_numbers(value))}</pre></td></tr>'
                for name, value in rows
            )
            parts.append(f"<h4>{escape(title)}</h4><table>{lines}</table>")
        return "<div>" + "\n".join(parts) + "</div>"

    def _repr_html_(self) -> str:
        return self.html()

    def __str__(self) -> str:
        return self.text()


@spelled
def trace(model: Sequential, x: Any, y: Any, loss: Any = None, steps: bool = False, train: bool = False) -> Trace:
    """Run one forward and backward pass and return every number of it.

    ``delta = dC/dz``, where z = a_before W + b is what a layer computes before its activation; from it follow
    ``dC/db = sum over samples of delta`` and ``dC/dW = a_before^T delta``.

    Parameters
    ----------
    model : Sequential
        Built, or with an Input.
    x : array_like [N, ...]
        A small batch; every number of it is kept.
    y : array_like [N, ...]
        Targets, as for ``fit``.
    loss : str or Loss, optional
        Default: what the model was compiled with. Penalties on weights are left out, as they come from no layer.
    steps : bool, default False
        Also list the single operations, forward in their order and backward in reverse.
    train : bool, default False
        Run layers such as Dropout as in training.

    Returns
    -------
    Trace
        Prints as text; ``markdown()`` and ``html()`` give it for pages and notebooks.

    Raises
    ------
    TypeError
        If the model is no chain of layers. help: draw_graph draws any.
    RuntimeError
        If there is no loss.

    Examples
    --------
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((2,)), nn.Dense(1, "sigmoid", kernel_initializer="ones")])
    >>> found = trace(model, [[1.0, -1.0]], [[1.0]], loss="binary_cross_entropy")
    >>> found.layers[0].a, found.layers[0].delta
    (array([[0.5]], dtype=float32), array([[-0.5]], dtype=float32))
    >>> found.layers[0].gradients["w"].ravel()
    array([-0.5,  0.5], dtype=float32)
    """
    if not isinstance(model, Sequential):
        raise TypeError(
            f"[trace] expected a Sequential, a chain of layers. Received: {type(model).__name__}. "
            "help: pynn.viz.draw_graph(loss) shows the derivatives of any model."
        )
    cost = losses.get(loss) if loss is not None else model.loss
    xs = tensor(x, dtype=model.dtype)
    if not model.built:
        model.build(xs.shape)
    found: list[tuple[Any, Tensor, Tensor]] = []
    with training(train), taped() as tape:
        a = xs
        for layer in model.layers:
            z = _before(layer, a)
            a = layer._function(z, **getattr(layer, "_options", {})) if _activated(layer) else z
            found.append((layer, z, a))
    if not found:
        raise ValueError("[trace] expected a model with layers. Received: an empty one.")
    out = found[-1][2]
    targets = cost.check_targets(np.asarray(y), out.shape)
    if targets.dtype.kind == "f":
        targets = targets.astype(model.dtype)
    loss_value = scores_of(cost, out, tape).loss(cost, Tensor.state(targets), None)
    weights = {(layer, name): w for layer, *_ in found for name, w in layer._weights.items() if w.requires_grad}
    reached = [z for _, z, _ in found if z.requires_grad]
    targets_of = [*reached, *weights.values()]
    flows: dict[tuple[int, int], Tensor] = {}
    derivative = gradients(loss_value, ones((), loss_value.dtype), targets_of, watch=flows)
    layers = []
    for layer, z, a in found:
        key = (id(z.node), z.index) if z.node is not None else id(z)
        delta = derivative[key][1].numpy() if key in derivative else np.zeros(z.shape, z.dtype)
        own = {name: w for (owner, name), w in weights.items() if owner is layer}
        layers.append(
            LayerTrace(
                layer.name,
                str(layer.activation) if _activated(layer) else "linear",
                z.numpy(),
                a.numpy(),
                delta,
                {name: w.numpy() for name, w in own.items()},
                {name: derivative[id(w)][1].numpy() for name, w in own.items() if id(w) in derivative},
            )
        )
    made = _operations(loss_value, flows, xs) if steps else []
    return Trace(xs.numpy(), targets, loss_value.item(), cost.name, layers, made)


def _activated(layer: Module) -> bool:
    return isinstance(layer, Activated)


def _before(layer: Module, x: Tensor) -> Tensor:
    """Return what a layer computes before its activation."""
    return (layer.without_activation() if isinstance(layer, Activated) else layer)(x)


def _operations(out: Tensor, flows: dict[tuple[int, int], Tensor], x: Tensor) -> list[tuple[str, np.ndarray]]:
    """Return the ops of a graph with their values, then the derivatives that flow back, in reverse."""
    nodes = reachable(out)
    names: dict[int, str] = {}
    rows = []
    for i, node in enumerate(nodes):
        names[id(node)] = f"v{i + 1}"
        given = ", ".join(_name(t, node, names, x) for t in node.inputs if isinstance(t, Tensor))
        y = next(y for y in node.outs if y is not None)
        rows.append((f"v{i + 1} = {node.card.name}({given})", y.numpy()))
    for node in reversed(nodes):
        for i, t in enumerate(node.inputs):
            if (node.id, i) in flows and isinstance(t, Tensor):
                place = f"∂C/∂{_name(t, node, names, x)}"
                rows.append((f"{place} through {names[id(node)]}", flows[node.id, i].numpy()))
    return rows


def _name(t: Tensor, node: Any, names: dict[int, str], x: Tensor) -> str:
    if t.node is not None:
        return names[id(t.node)]
    if t is x:
        return "x"
    return f"{node.scope}.{t.name}" if t.name else "y"


def _numbers(value: Any) -> str:
    return np.array2string(np.asarray(value), precision=5, suppress_small=True, max_line_width=74, threshold=200)
