"""A model run for its shapes alone: what its layers return, and how many units, connections and weights they have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pynn._blocks import context
from pynn.core.card import Fan
from pynn.core.context import training
from pynn.core.state import no_grad, observed, shapes_alone, state, trial
from pynn.core.tape import Entry, Tape, taped
from pynn.core.tensor import Tensor
from pynn.nn.field import Fields

__all__ = ["Row", "Survey", "Tally", "surveyed"]

REDUCTIONS = ("max", "sum")  # of a layer of pools, pools; elsewhere sums of some computation


class Tally(NamedTuple):
    """What the ops of a layer add up to, for one sample; see :class:`pynn.nn.LayerCount`."""

    units: int = 0
    connections: int = 0
    products: int = 0
    pools: int = 0
    pool_connections: int = 0
    flops: float = 0.0


@dataclass
class Row:
    """A call of a layer directly below a model.

    Attributes
    ----------
    name, kind : str
    output : tuple of int or None
        Shape for one sample.
    tally : Tally
    parameters, nbytes, frozen : int
        Of the weights that no row before has: how many numbers, their bytes, and how many no optimizer trains.
    shared : bool
        Whether a row before has all its weights.
    field : str
        The receptive field.
    """

    name: str
    kind: str
    output: tuple[int, ...] | None
    tally: Tally
    parameters: int = 0
    nbytes: int = 0
    frozen: int = 0
    shared: bool = False
    field: str = ""


@dataclass
class Survey:
    """A model's rows and sums.

    Attributes
    ----------
    inputs : list of tuple of int
        Shapes of the Inputs that the model begins with.
    rows : list of Row
    rest : Tally
        What the model computes itself, outside its layers.
    parameters, nbytes : int
        Of the whole model.
    fields : bool
        Whether receptive fields were asked for and some layer looks at windows.
    """

    inputs: list[tuple[int, ...]]
    parameters: int
    nbytes: int
    rest: Tally = field(default_factory=Tally)
    rows: list[Row] = field(default_factory=list)
    fields: bool = False

    @property
    def total(self) -> Tally:
        """The sums over the rows and the rest."""
        return _sum([*(row.tally for row in self.rows), self.rest])


def surveyed(
    model: Any, input_shape: Sequence[Any] | None, place: str, fields: bool = False, build: bool = False
) -> Survey:
    """Run a model for its shapes alone and return what there is to say of its layers.

    Parameters
    ----------
    model : Module
    input_shape : sequence of int, optional
        Of one sample; a list of shapes for several inputs.
    place : str
        Whose errors they are.
    fields : bool, default False
        Whether receptive fields are wanted.
    build : bool, default False
        Whether a model that is not built is to be built; else it stays as it is.

    Raises
    ------
    RuntimeError
        If the input's shape is not known.
    """
    declared, shapes = _input_shapes(model, input_shape, place)
    same = shapes == declared and hasattr(model, "examples")
    xs = model.examples() if same else [model.example((1, *shape)) for shape in shapes]
    if build and not model.built:
        with no_grad(), training(False), trial():
            if hasattr(model, "_layers"):
                model.build((1, *shapes[0]))
            else:
                model(*xs)
    with _unchanged(model), shapes_alone(), training(False):
        model(*xs)  # declares the weights of a model that is not built
        known: list[tuple[str, Fan]] = []

        def look(module: Any, out: Tensor) -> tuple[int, ...]:
            if hasattr(module, "fan"):
                known.append((f"{state.scope}/{module.name}".lstrip("/"), module.fan()))
            return out.shape

        with taped() as tape:
            calls = _watched(model, xs, look)
        parts = getattr(model, "parts", None)
        if parts is not None:  # of an imported network: what its nodes are
            calls = parts(calls[-1][1] if calls else None)
        weights = [w for _, w in model.named_parameters()]
        found = Survey(
            declared,
            sum(w.size for w in weights),
            sum(w.nbytes for w in weights),
        )
        tallies = _tallied(model, xs, tape, parts is not None)
        for scope, fan in known:
            _add(tallies, scope, parts is not None, Tally(*fan[:2]))
        found.rows = _rows(calls, tallies)
        found.rest = _sum(list(tallies.values()))
        if fields and _windowed(model):
            found.fields = True
            texts = _watched(model, xs, Fields(xs).note)
            for row, (_, text) in zip(found.rows, texts, strict=False):
                row.field = text
    return found


def _rows(calls: list[tuple[Any, Any]], tallies: dict[str, Tally]) -> list[Row]:
    rows = []
    counted: set[int] = set()
    for module, shape in calls:
        named = list(module.named_parameters())
        weights = [w for _, w in named if id(w) not in counted]
        counted.update(map(id, weights))
        trained = {id(w) for w in module.parameters()}
        rows.append(
            Row(
                module.name,
                getattr(module, "kind", type(module).__name__),
                None if shape is None else shape[1:],
                _sum([tallies.pop(key) for key in getattr(module, "scopes", (module.name,)) if key in tallies]),
                sum(w.size for w in weights),
                sum(w.nbytes for w in weights),
                sum(w.size for w in weights if id(w) not in trained),
                bool(named) and not weights,
            )
        )
    return rows


def _sum(tallies: list[Tally]) -> Tally:
    return Tally(*map(sum, zip(*tallies, strict=True))) if tallies else Tally()


def _input_shapes(
    model: Any, input_shape: Sequence[Any] | None, place: str
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Return the shapes of samples that Inputs declare, and those to run the model on."""
    first = getattr(model, "_input", None)
    declared = model.input_shapes if hasattr(model, "input_shapes") else [] if first is None else [first]
    shapes = declared
    if input_shape is not None:
        several = len(input_shape) > 0 and all(isinstance(d, (tuple, list)) for d in input_shape)
        shapes = [tuple(d) for d in input_shape] if several else [tuple(input_shape)]
    elif not shapes:
        model._require_built(place)
        seen_before = model._built_for[1:] if hasattr(model, "_layers") and not _windowed(model) else ()
        shapes = [tuple(seen_before) or _first_width(model, place)]
    return declared, shapes


def _windowed(model: Any) -> bool:
    """Tell whether some layer looks at windows of its input."""
    return any(hasattr(module, "window") for module in model.modules())


def _first_width(model: Any, place: str) -> tuple[int, ...]:
    """Return the shape of a sample for a model whose first weight takes vectors."""
    first = next((module._weights["w"] for module in model.modules() if "w" in module._weights), None)
    if first is None or first.ndim != 2 or _windowed(model):
        raise RuntimeError(
            f"[{place}] the input's shape is not known. help: begin with nn.Input(shape), or pass input_shape."
        )
    return (first.shape[0],)


def _watched(model: Any, xs: list[Tensor], look: Any) -> list[tuple[Any, Any]]:
    """Run a model; return (module, what `look` says of its output) for each call of a module directly below.

    `look` is asked about the calls of all modules.
    """
    direct = {id(child) for _, child in model.children()} or {id(model)}
    seen: list[tuple[Any, Any]] = []

    def note(module: Any, out: Any) -> None:
        if isinstance(out, Tensor):
            said = look(module, out)
            if id(module) in direct:
                seen.append((module, said))

    with observed(note):
        model(*xs)
    return seen


def _tallied(model: Any, xs: list[Tensor], tape: Tape, nodes: bool) -> dict[str, Tally]:
    """Return what the ops of a forward pass compute, by the layer directly below the model (or the node) they serve."""
    given = {id(x.buffer) for x in xs}  # what depends on the inputs
    weights = {id(w.buffer) for module in model.modules() for w in module._weights.values()}  # and what on weights
    fans: dict[int, Fan] = {}
    found: dict[str, Tally] = {}
    for at, entry in enumerate(tape.entries):
        if entry.start >= 0:  # a composite stands for what it is made of
            for inner in range(entry.start, at):
                fans.pop(inner, None)
        else:
            _add(found, entry.scope, nodes, Tally(flops=entry.flops))
        operands = [id(x.buffer) for x in entry.inputs if isinstance(x, Tensor)]
        results = [id(y.buffer) for y in entry.outs if y is not None]
        if not any(b in given for b in operands):
            if any(b in weights for b in operands):
                weights.update(results)
            continue
        given.update(results)
        fan = _fan(entry)
        if fan is None:
            continue
        weighted = getattr(entry.module, "fixed_weights", False) or any(b in weights for b in operands)
        if not fan.pool and (not weighted or hasattr(entry.module, "fan")):  # a module may know its units itself
            fan = Fan(0, 0, _products(fan))
        if fan.after is not None:
            fan = _joined(fan, entry.inputs[fan.after], tape, fans)
        fans[at] = fan
    for at, fan in fans.items():
        one = Tally(0, 0, _products(fan), *fan[:2]) if fan.pool else Tally(*fan[:2], _products(fan))
        _add(found, tape.entries[at].scope, nodes, one)
    return found


def _add(found: dict[str, Tally], scope: str, nodes: bool, one: Tally) -> None:
    """Add what an op computes to the layer that it serves."""
    scopes = scope.split("/")
    key = "/".join(scopes[1:]) if nodes else scopes[1] if len(scopes) > 1 else scopes[0]
    found[key] = _sum([found.get(key, Tally()), one])


def _products(fan: Fan) -> int:
    return fan.connections if fan.products is None else fan.products


def _fan(entry: Entry) -> Fan | None:
    """Return the units of an op."""
    if entry.card.fan is not None:
        return entry.card.fan(entry.inputs, entry.outs, entry.attrs)
    if entry.card.name in REDUCTIONS and getattr(entry.module, "pools", False):
        return Fan(entry.outs[0].size, entry.inputs[0].size, 0, pool=True)
    return None


def _joined(fan: Fan, operand: Tensor, tape: Tape, fans: dict[int, Fan]) -> Fan:
    """Return an op's units with the connections that a product before it made for every one of its steps."""
    at = next((i for i in fans if any(y is not None and y.buffer is operand.buffer for y in tape.entries[i].outs)), -1)
    if at < 0:
        return fan
    before = fans[at]
    fans[at] = Fan(0, 0, _products(before))
    return fan._replace(connections=fan.connections + before.connections // fan.steps)


@context
def _unchanged(model: Any) -> Iterator[None]:
    """Bring every module back to what it was: weights without values must not stay."""
    tables = ("_weights", "_regularizers", "_constraints", "_frozen")
    kept = [
        (module, dict(vars(module)), {key: getattr(module, key).copy() for key in tables})
        for module in model.modules()
        if not module.built
    ]
    try:
        yield
    finally:
        for module, attributes, copies in kept:
            for key, table in copies.items():
                attributes[key].clear()
                attributes[key].update(table)
            vars(module).clear()
            vars(module).update(attributes)
