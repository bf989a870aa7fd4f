"""execute(), through which everything is computed, and the graph that it leaves behind.

Eager is a one-instruction program; a program is the list of instructions that eager just ran.
"""

from __future__ import annotations

import itertools
import math
import weakref
from typing import Any, NamedTuple

import numpy as np

from pynn.checks import of_kind, written
from pynn.core import _core, config
from pynn.core.card import Card
from pynn.core.state import state
from pynn.core.status import failure
from pynn.core.tensor import DTYPE_INDEX, FLOATS, Tensor
from pynn.errors import DTypeError, NonFiniteError, ShapeError

__all__ = ["Node", "execute", "graph", "reachable", "set_carrier"]


_ids = itertools.count()


class Node:
    """One op of the computational graph.

    Attributes
    ----------
    card : Card
    inputs : tuple of Tensor or None
    outs : tuple of Tensor
        The results, detached.
    attrs : dict
    id : int
        Grows in the order of execution.
    scope : str
        The path of the layer that computed it.
    """

    __slots__ = ("attrs", "card", "id", "inputs", "outs", "retained", "scope")

    def __init__(self, card: Card, inputs: tuple[Any, ...], outs: tuple[Any, ...], attrs: dict[str, Any]):
        self.card = card
        self.inputs = inputs
        self.outs = outs
        self.attrs = attrs
        self.id = next(_ids)
        self.scope = state.scope
        self.retained: dict[int, weakref.ref[Tensor]] = {}

    def __repr__(self) -> str:
        return f"<{self.card.name} #{self.id}>"


class InstrInfo(NamedTuple):
    """What a profile and an error message say of an instruction."""

    scope: str
    outs: tuple[Any, ...]
    inputs: tuple[Any, ...]
    flops: float


def execute(
    card: Card,
    inputs: tuple[Any, ...],
    attrs: dict[str, Any] | None = None,
    out: tuple[Any, ...] = (),
    salt: int = 0,
    carries: bool = True,
) -> tuple[Any, ...]:
    """Compute an op: infer, allocate, run one instruction, record it, link it into the graph.

    Parameters
    ----------
    card : Card
    inputs : tuple of Tensor or None
    attrs : dict
        The op's attributes, as keyword arguments of `card.infer`.
    out : tuple of Tensor or None
        Memory for the outputs; what is missing or None is allocated. A card that mutates state gets the state here.
    salt : int
        Distinguishes random streams.
    carries : bool
        Whether the outputs of padded sequences are padded sequences (see pynn.ops.lengths).

    Returns
    -------
    tuple of Tensor
        The outputs; None where the op was told to leave one out.
    """
    attrs = {key: _plain(value) for key, value in attrs.items()} if attrs else {}
    for i in card.needed:
        if inputs[i] is None:
            raise DTypeError(f"[{card.name}] expected a tensor as operand {i + 1}. Received: None.")
    try:
        low = card.infer(*inputs, **attrs)
    except (AttributeError, KeyError, OverflowError, RecursionError) as error:  # of an attribute that it cannot read
        came = ", ".join(f"{key}={written(value)}" for key, value in attrs.items())
        raise DTypeError(f"[{card.name}] expected attributes of the kinds that it takes. Received: {came}.") from error
    args = inputs if low.args is None else low.args
    if card.kernel:
        outs = tuple(
            None if spec is None else _memory(card, spec, out[i] if i < len(out) else None)
            for i, spec in enumerate(low.outs)
        )
        if not state.shapes:
            for i, k in card.places:
                _need_place(card, inputs[i], (*outs, *args)[k])
            _run(card, low, outs, args, salt)
    else:  # aliases of the first operands: other shapes for the same memory
        pairs = zip(low.outs, args, strict=False)
        outs = tuple(None if spec is None else Tensor(t.buffer, *spec) for spec, t in pairs)
    if (
        state.grad_enabled
        and card.differentiable
        and any(x is not None and x.requires_grad for x in inputs if isinstance(x, Tensor))
    ):
        node = Node(card, inputs, tuple(None if y is None else y.detach() for y in outs), attrs)
        for i, y in enumerate(outs):
            if y is not None and y.dtype in FLOATS and i not in card.hidden:
                y.node, y.index, y.requires_grad = node, i, True
    if carries and state.carries and any(isinstance(x, Tensor) and x.lengths is not None for x in inputs):
        _carry(card, inputs, attrs, outs)
    if state.tape is not None:
        state.tape.note(card, inputs, outs, attrs, low)
    return outs


def _plain(value: Any) -> Any:
    """Return an attribute with Python's integers for NumPy's, whose arithmetic wraps round."""
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.complexfloating):
        return complex(value)  # float() of it is an error, of NumPy's a warning
    if isinstance(value, tuple) and any(isinstance(v, (np.integer, tuple)) for v in value):
        parts = [_plain(v) for v in value]
        return value._make(parts) if hasattr(value, "_make") else tuple(parts)  # a NamedTuple stays one
    return value


def _memory(card: Card, spec: Any, given: Tensor | None) -> Tensor:
    """Return where an output goes: a new tensor, or the one that the caller gave, which must have the room.

    State of which a kernel writes a part may be larger.
    """
    if given is None:
        if card.mutates:
            raise DTypeError(
                f"[{card.name}] expected the state that it updates, {spec.dtype} {spec.shape}. Received: None."
            )
        if not isinstance(spec.dtype, np.dtype):
            raise DTypeError(f"[{card.name}] expected a dtype. Received: {written(spec.dtype)}.")
        try:
            return Tensor.empty(spec.shape, spec.dtype)
        except ShapeError as error:
            raise ShapeError(f"[{card.name}] {error}") from None
    if not isinstance(given, Tensor):
        raise DTypeError(f"[{card.name}] expected a tensor for the result. Received: {type(given).__name__}.")
    fits = given.shape == spec.shape or (card.mutates and given.size >= math.prod(spec.shape))
    if not fits or given.dtype != spec.dtype:
        raise ShapeError(
            f"[{card.name}] expected memory of shape {spec.shape} and dtype {spec.dtype} for the result. "
            f"Received: shape={given.shape}, dtype={given.dtype}."
        )
    return given


def _need_place(card: Card, place: Tensor, indexed: Tensor) -> None:
    """Raise IndexError unless the number that a kernel finds in `place` is one of the places of `indexed`."""
    if not 0 <= place.view().flat[0] < indexed.size:
        raise IndexError(
            f"[{card.name}] expected a place below {indexed.size}, the size of what it is one of. "
            f"Received: {place.view().flat[0]}."
        )


_carry: Any = None


def set_carrier(function: Any) -> None:
    """Say what gives outputs the lengths of their inputs."""
    global _carry
    _carry = function


def _run(card: Card, low: Any, outs: tuple[Any, ...], args: tuple[Any, ...], salt: int) -> None:
    dtype = low.dtype or next(x.dtype for x in (*args, *outs) if x is not None)
    if card.extra.get("blas") and not _core.blas_ready() and (config.isa() == 0 or dtype == np.float64):
        from pynn.core import _blas  # noqa: F401  (importing it hands BLAS to the kernels)
    kernel = dtype in DTYPE_INDEX and _core.find_kernel(card.kernel, DTYPE_INDEX[dtype], config.target())
    if not kernel:
        raise DTypeError(
            f"[{card.name}] is not defined for {dtype}. help: convert it first, for instance x.astype('float32')."
        )
    info = InstrInfo(
        state.scope,
        tuple(None if y is None else (y.shape, y.dtype) for y in outs),
        tuple(None if x is None else (x.shape, x.dtype) for x in args),
        card.flops(low) if card.flops else 0.0,
    )
    try:
        instr = _core.Instr(
            kernel,
            tuple(t if t is None else t.buffer for t in (*outs, *args)),
            len(outs),
            tuple(low.dims),
            tuple(low.pars),
            low.scratch,
            salt,
            DTYPE_INDEX[dtype],
            config.target(),
            card,
            info,
            low.laid,
        )
    except AttributeError as error:
        kinds = ", ".join(type(x).__name__ for x in args)
        raise DTypeError(f"[{card.name}] expected tensors. Received: {kinds}.") from error
    except OverflowError:
        raise ShapeError(
            f"[{card.name}] expected sizes and settings of 64 bits. Received: {written(low.dims)}."
        ) from None
    status = instr.run()
    if not instr.drop_scratch():
        raise MemoryError(f"[{card.name}] wrote outside its scratch memory")
    if status:
        raise failure(status, instr)
    if state.recorder is not None:
        state.recorder.append(instr)
    if config.debug():
        _inspect(card, outs, args)


def _inspect(card: Card, outs: tuple[Any, ...], args: tuple[Any, ...]) -> None:
    """Check guard bytes, and that a kernel does not make NaN of finite inputs (debugging only)."""
    for t in (*outs, *args):
        if t is not None and not t.buffer.guards_intact():
            raise MemoryError(f"[{card.name}] wrote outside a buffer")
    clean = all(np.isfinite(x.view()).all() for x in args if x is not None and x.dtype in FLOATS)
    for y in outs:
        if clean and y is not None and y.dtype in FLOATS and np.isnan(y.view()).any():
            where = f"{state.scope}: " if state.scope else ""
            raise NonFiniteError(f"{where}[{card.name}] made NaN of finite inputs (debugging is on)")


def reachable(out: Tensor) -> list[Node]:
    """Return the nodes below a tensor, in order of execution."""
    found: dict[int, Node] = {}
    stack = [out.node] if out.node is not None else []
    while stack:
        node = stack.pop()
        if node.id in found:
            continue
        found[node.id] = node
        stack += [x.node for x in node.inputs if isinstance(x, Tensor) and x.node is not None]
    return [found[i] for i in sorted(found)]


def graph(out: Tensor) -> list[dict[str, Any]]:
    """List the ops that made a tensor, in order of execution.

    Returns
    -------
    list of dict
        With keys id, op, layer, inputs (ids of nodes, or "leaf"), shape, dtype, attrs and value (an array).

    Examples
    --------
    >>> import pynn
    >>> x = pynn.tensor(3.0, requires_grad=True)
    >>> [row["op"] for row in pynn.graph((x * x).exp())]
    ['mul', 'exp']
    """
    return [
        {
            "id": node.id,
            "op": node.card.name,
            "layer": node.scope,
            "inputs": [("leaf" if x.node is None else x.node.id) for x in node.inputs if isinstance(x, Tensor)],
            "shape": next(y.shape for y in node.outs if y is not None),
            "dtype": str(next(y for y in node.outs if y is not None).dtype),
            "attrs": dict(node.attrs),
            "value": next(y for y in node.outs if y is not None).numpy(),
        }
        for node in reachable(of_kind("graph", "out", out, "a tensor", "node"))
    ]
