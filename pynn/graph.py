"""execute(), through which everything is computed, and the graph that it leaves behind.

Eager is a one-instruction program; a program is the list of instructions that eager just ran. Gradients are computed
by executing more ops, so a recorded training step holds its backward pass too.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from pynn import _core, config
from pynn.errors import DataError, DTypeError, NonFiniteError, ShapeError
from pynn.ops.card import Card, Grad
from pynn.tensor import DTYPE_INDEX, FLOATS, Tensor, tensor

__all__ = [
    "Node", "backward", "execute", "grad", "gradients", "graph", "jacobian", "no_grad", "scope", "state", "trial",
]  # fmt: skip


class _State(threading.local):
    """What holds for the calling thread."""

    recorder: Any = None  # a pynn.program.Recorder while a program is being recorded
    grad_enabled = True
    training = False
    rng: Any = None  # where random ops find seed, step and salt (pynn.nn.context)
    scope = ""  # the path of the layer that is being computed
    logits_of: Any = None  # the last layer, when the loss applies its activation itself
    trial = False  # whether a model is run on any data, to see shapes: state that outlives a call stays as it is
    observer: Any = None  # called with (module, output) after each module's forward pass, for summaries


state = _State()
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


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Compute without building the graph, inside a ``with`` block.

    Examples
    --------
    >>> import pynn
    >>> x = pynn.tensor(2.0, requires_grad=True)
    >>> with pynn.no_grad():
    ...     (x * x).requires_grad
    False
    """
    before, state.grad_enabled = state.grad_enabled, False
    try:
        yield
    finally:
        state.grad_enabled = before


@contextlib.contextmanager
def trial() -> Iterator[None]:
    """Run a model for its shapes alone: layers neither use nor change state that outlives a call."""
    before, state.trial = state.trial, True
    try:
        yield
    finally:
        state.trial = before


@contextlib.contextmanager
def scope(name: str) -> Iterator[None]:
    """Name the layer in whose behalf ops are executed."""
    before = state.scope
    state.scope = f"{before}/{name}" if before else name
    try:
        yield
    finally:
        state.scope = before


def execute(
    card: Card, inputs: tuple[Any, ...], attrs: dict[str, Any] | None = None, out: tuple[Any, ...] = (), salt: int = 0
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

    Returns
    -------
    tuple of Tensor
        The outputs; None where the op was told to leave one out.
    """
    attrs = attrs or {}
    low = card.infer(*inputs, **attrs)
    args = inputs if low.args is None else low.args
    if card.kernel:
        outs = tuple(
            None
            if spec is None
            else out[i]
            if i < len(out) and out[i] is not None
            else Tensor.empty(spec.shape, spec.dtype)
            for i, spec in enumerate(low.outs)
        )
        _run(card, low, outs, args, salt)
    else:  # an alias: another shape for the same memory
        shape, dtype = low.outs[0]  # type: ignore[misc]
        outs = (Tensor(args[0].buffer, shape, dtype),)
    if (
        state.grad_enabled
        and card.differentiable
        and any(x is not None and x.requires_grad for x in inputs if isinstance(x, Tensor))
    ):
        node = Node(card, inputs, tuple(None if y is None else y.detach() for y in outs), attrs)
        for i, y in enumerate(outs):
            if y is not None and y.dtype in FLOATS and i not in card.hidden:
                y.node, y.index, y.requires_grad = node, i, True
    return outs


def _run(card: Card, low: Any, outs: tuple[Any, ...], args: tuple[Any, ...], salt: int) -> None:
    dtype = low.dtype or next(x.dtype for x in (*args, *outs) if x is not None)
    if card.extra.get("blas") and not _core.blas_ready() and (config.isa() == 0 or dtype == np.float64):
        from pynn import _blas  # noqa: F401  (importing it hands BLAS to the kernels)
    kernel = _core.find_kernel(card.kernel, DTYPE_INDEX[dtype], config.isa())
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
    instr = _core.Instr(
        kernel,
        tuple(t if t is None else t.buffer for t in (*outs, *args)),
        len(outs),
        tuple(low.dims),
        tuple(low.pars),
        low.scratch,
        salt,
        DTYPE_INDEX[dtype],
        config.isa(),
        card,
        info,
    )
    status = instr.run()
    if not instr.drop_scratch():
        raise MemoryError(f"[{card.name}] wrote outside its scratch memory")
    if status:
        raise failure(status, instr)
    if state.recorder is not None:
        state.recorder.append(instr)
    if config.debug():
        _inspect(card, outs, args)


def failure(status: int, instr: Any) -> Exception:
    """Return the exception for a kernel's status."""
    where = f"{instr.info.scope}: " if instr.info.scope else ""
    if status == 1:
        return NonFiniteError(f"{where}[{instr.card.name}] met a NaN or an infinite value.")
    if "failure" in instr.card.extra:
        text = instr.card.extra["failure"]
        return DataError(f"{where}[{instr.card.name}] {text(instr) if callable(text) else text}.")
    return IndexError(f"{where}[{instr.card.name}] an index lies outside the table it points into.")


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


# Backward


def _key(t: Tensor) -> Any:
    return (id(t.node), t.index) if t.node is not None else id(t)


def _reachable(out: Tensor) -> list[Node]:
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


def gradients(
    out: Tensor,
    cotangent: Tensor,
    targets: Sequence[Tensor] | None = None,
    create_graph: bool = False,
    watch: dict[tuple[int, int], Tensor] | None = None,
) -> dict[Any, tuple[Tensor, Tensor]]:
    """Propagate a cotangent back through the graph.

    Parameters
    ----------
    out, cotangent : Tensor
    targets : sequence of Tensor, optional
        By default every leaf that requires a gradient.
    create_graph : bool, default False
        Whether the gradients may be differentiated again.
    watch : dict, optional
        Filled with what flows back along every edge: (id of a node, place of its input) -> gradient. Nothing else is
        written then: no ``.grad``, and no parameter's memory for its gradient.

    Returns
    -------
    dict
        key -> (target, gradient) for every target that `out` depends on; by default every leaf that requires one.
    """
    nodes = _reachable(out)
    wanted: dict[Any, Tensor] = {}
    if targets is None:
        for node in nodes:
            for x in node.inputs:
                if isinstance(x, Tensor) and x.requires_grad and x.node is None:
                    wanted[id(x)] = x
        if out.node is None and out.requires_grad:
            wanted[id(out)] = out
    else:
        wanted = {_key(t): t for t in targets}
    # Only nodes on a path from a target matter; count how many gradients each tensor will receive.
    relevant: set[int] = set()
    needs: dict[int, tuple[bool, ...]] = {}
    coming: dict[Any, int] = {}
    for node in nodes:
        need = tuple(
            isinstance(x, Tensor)
            and x.requires_grad
            and (_key(x) in wanted or (x.node is not None and id(x.node) in relevant))
            for x in node.inputs
        )
        if any(need):
            relevant.add(id(node))
            needs[id(node)] = need
            for x, n in zip(node.inputs, need, strict=True):
                if n:
                    coming[_key(x)] = coming.get(_key(x), 0) + 1
    grads: dict[Any, Tensor] = {_key(out): cotangent}
    before = state.grad_enabled, state.scope
    try:
        state.grad_enabled = create_graph
        for node in reversed(nodes):
            if id(node) in relevant:
                state.scope = node.scope
                _node_backward(node, needs[id(node)], grads, coming, wanted, create_graph, watch)
        result = {}
        for key, target in wanted.items():
            found = grads.get(key)
            if found is None:
                continue
            if watch is None and target._dest is not None and found.buffer is not target._dest.buffer:
                found = _copy(found, target._dest)
            result[key] = (target, found)
        return result
    finally:
        state.grad_enabled, state.scope = before


def _node_backward(
    node: Node,
    need: tuple[bool, ...],
    grads: dict[Any, Tensor],
    coming: dict[Any, int],
    wanted: Any,
    create_graph: bool,
    watch: dict[tuple[int, int], Tensor] | None,
) -> None:
    from pynn import ops

    dys = [grads.get((id(node), i)) for i in range(len(node.outs))]
    if all(dy is None for dy in dys):
        return
    for i, ref in node.retained.items():
        kept = ref()
        if watch is None and kept is not None and dys[i] is not None:
            kept.grad = dys[i].detach()  # type: ignore[union-attr]
    for i, dy in enumerate(dys):
        if dy is None and node.outs[i] is not None and i not in node.card.hidden:
            dys[i] = ops.zeros(node.outs[i].shape, node.outs[i].dtype)
        if (id(node), i) not in wanted:
            grads.pop((id(node), i), None)
    vjp = (create_graph and node.card.smooth_vjp) or node.card.vjp
    if vjp is None:
        raise _no_derivative(node)
    free = watch is None
    dest = tuple(
        x._dest if free and n and coming[_key(x)] == 1 else None for x, n in zip(node.inputs, need, strict=True)
    )
    outs = node.outs
    if create_graph:  # outputs must be part of the graph again for a second derivative
        outs = tuple(_relink(node, i) for i in range(len(node.outs)))
    given = vjp(Grad(node.inputs, outs, node.attrs, need, dest), *dys)
    for i, (x, n, dx) in enumerate(zip(node.inputs, need, given, strict=True)):
        if not n or dx is None:
            continue
        if watch is not None:
            watch[node.id, i] = dx
        key = _key(x)
        coming[key] -= 1
        if key in grads:
            last = x._dest if free and coming[key] == 0 else None
            grads[key] = ops.add(grads[key], dx, out=last)
        else:
            grads[key] = dx


def _relink(node: Node, i: int) -> Any:
    y = node.outs[i]
    if y is None:
        return None
    y = y.detach()
    y.node, y.index, y.requires_grad = node, i, True
    return y


def _no_derivative(node: Node) -> Exception:
    """Return the error for a missing derivative."""
    if node.card.name.endswith(".grad"):
        return RuntimeError(
            f"[{node.card.name}] is a fused gradient and has no derivative of its own, so a second derivative through "
            f"[{node.card.name.removesuffix('.grad')}] is not available. "
            "help: write the expression with elementary ops (exp, log, mul, ...)."
        )
    return RuntimeError(f"[{node.card.name}] has no derivative.")


def _copy(source: Tensor, dest: Tensor) -> Tensor:
    from pynn import ops

    return ops.copy(source, out=dest)


def _cotangent(out: Tensor, gradient: Any) -> Tensor:
    from pynn import ops

    if gradient is None:
        if out.size != 1:
            raise ShapeError(
                f"[backward] expected a tensor with one element. Received: shape={out.shape}. "
                "help: reduce it first (.sum() or .mean()), or pass gradient=."
            )
        return ops.ones(out.shape, out.dtype)
    given = gradient if isinstance(gradient, Tensor) else tensor(gradient, dtype=out.dtype)
    if given.shape != out.shape or given.dtype != out.dtype:
        raise ShapeError(
            f"[backward] expected a gradient like the tensor, {out.shape} {out.dtype}. "
            f"Received: {given.shape} {given.dtype}."
        )
    return given


def backward(out: Tensor, gradient: Any = None) -> None:
    """Write the gradient of `out` into ``.grad`` of every leaf that requires one (see Tensor.backward)."""
    if not out.requires_grad:
        raise RuntimeError(
            "[backward] this tensor does not depend on any tensor with requires_grad=True. "
            "help: make the parameters with pynn.tensor(..., requires_grad=True), outside pynn.no_grad()."
        )
    for target, found in gradients(out, _cotangent(out, gradient)).values():
        target.grad = found


def _variable(x: Any) -> Tensor:
    """Return an argument to differentiate by as a tensor."""
    x = x if isinstance(x, Tensor) else tensor(x)
    if x.dtype not in FLOATS:
        raise DTypeError(
            f"[grad] only floating-point arguments have gradients. Received: dtype={x.dtype}. help: pass 2.0, not 2."
        )
    return x


def grad(f: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Return the function that computes the gradient of a scalar function.

    Parameters
    ----------
    f : callable
        Takes tensors (or arrays) and returns a tensor with one element.
    argnums : int or tuple of int, default 0
        Which arguments to differentiate by.

    Returns
    -------
    callable
        Takes what `f` takes; returns a tensor, or a tuple of them. It may be differentiated again.

    Examples
    --------
    >>> import pynn
    >>> pynn.grad(lambda x: x * x * x)(2.0).item()
    12.0
    >>> pynn.grad(pynn.grad(lambda x: x * x * x))(2.0).item()
    12.0
    """
    many = isinstance(argnums, tuple)
    numbers: tuple[int, ...] = argnums if isinstance(argnums, tuple) else (argnums,)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        from pynn import ops

        full = list(args)
        fresh = set()
        for i in numbers:
            x = _variable(full[i])
            if state.grad_enabled and x.requires_grad:
                x = ops.reshape(x, x.shape)  # a variable of its own: f may also see x from outside, or twice
            else:
                x = x.detach()
                x.requires_grad = True
                fresh.add(id(x))
            full[i] = x
        before, state.grad_enabled = state.grad_enabled, True
        try:
            out = f(*full, **kwargs)
            if not isinstance(out, Tensor):
                raise TypeError(f"[grad] expected the function to return a tensor. Received: {type(out).__name__}.")
            # Whatever else the result depends on may be differentiated by later, in an enclosing grad().
            others = (x for node in _reachable(out) for x in node.inputs if isinstance(x, Tensor) and x.node is None)
            outer = before and any(x.requires_grad and id(x) not in fresh for x in others)
            found = gradients(out, _cotangent(out, None), [full[i] for i in numbers], create_graph=outer)
        finally:
            state.grad_enabled = before
        result = tuple(
            found[_key(full[i])][1] if _key(full[i]) in found else ops.zeros(full[i].shape, full[i].dtype)
            for i in numbers
        )
        return result if many else result[0]

    return gradient


def jacobian(f: Callable[[Tensor], Tensor], x: Any) -> Tensor:
    """Return J[i, j] = d f(x)[i] / d x[j], computed row by row.

    Parameters
    ----------
    f : callable
        Takes a tensor and returns a tensor.
    x : array_like
        Where to evaluate.

    Returns
    -------
    Tensor, shape f(x).shape + x.shape

    Examples
    --------
    >>> import pynn
    >>> pynn.jacobian(lambda x: x * x, [1.0, 2.0]).numpy()
    array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    at = _variable(x).detach()
    at.requires_grad = True
    y = f(at)
    rows = np.zeros((y.size, at.size), dtype=at.dtype)
    if y.requires_grad:
        for i in range(y.size):
            one = np.zeros(y.shape, dtype=y.dtype)
            one.flat[i] = 1
            found = gradients(y, tensor(one), [at])
            if found:
                rows[i] = found[_key(at)][1].view().ravel()
    return tensor(rows.reshape(y.shape + at.shape))


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
        for node in _reachable(out)
    ]
