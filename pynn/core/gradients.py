"""Gradients: a cotangent is propagated back through the graph by executing more ops.

So a recorded training step holds its backward pass too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

import numpy as np

from pynn._blocks import Held
from pynn.checks import of_kind, written
from pynn.core.card import CARDS, Call, Card, Grad
from pynn.core.graph import Node, execute, reachable
from pynn.core.state import state
from pynn.core.tensor import FLOATS, FUNCTIONS, Tensor, tensor
from pynn.errors import DTypeError, ShapeError

__all__ = ["backward", "grad", "gradients", "jacobian", "pulled_back"]


Waiting = dict[Any, dict[Card, list[Call]]]  # by tensor and card: calls whose gradients are formed together


def _key(t: Tensor) -> Any:
    return (id(t.node), t.index) if t.node is not None else id(t)


def gradients(
    out: Tensor,
    cotangent: Tensor,
    targets: Sequence[Tensor] | None = None,
    create_graph: bool = False,
    watch: dict[tuple[int, int], Tensor] | None = None,
    into: Mapping[int, Tensor] | None = None,
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
        Filled with what flows back along every edge: (id of a node, place of its input) -> gradient. No ``.grad`` is
        written then.
    into : mapping of int to Tensor, optional
        id of a leaf -> memory for its gradient, by default new memory. It belongs to whoever asks, and not to the
        leaf: two models that share a layer keep two gradients of it.

    Returns
    -------
    dict
        key -> (target, gradient) for every target that `out` depends on; by default every leaf that requires one.
    """
    nodes = reachable(out)
    into = into or {}
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
    waiting: Waiting = {}
    with Held(state, grad_enabled=create_graph, carries=False, scope=state.scope):
        order = [node for node in reversed(nodes) if id(node) in relevant]
        late = set() if create_graph or watch is not None else {id(node) for node in order if _may_wait(node)}
        for node in sorted(order, key=lambda node: id(node) in late):
            state.scope = node.scope
            _node_backward(
                node, needs[id(node)], grads, waiting, coming, wanted, create_graph, watch, into, id(node) in late
            )
        result = {}
        for key, target in wanted.items():
            place = into.get(id(target))
            _settle(key, grads, waiting, place)
            found = grads.get(key)
            if found is None:
                continue
            if place is not None and found.buffer is not place.buffer:
                found = _copy(found, place)
            result[key] = (target, found)
        return result


def _may_wait(node: Node) -> bool:
    """Tell whether nothing but leaves waits for a node's gradient, and its card can add to what they have."""
    return node.card.late and all(x.node is None for x in node.inputs if isinstance(x, Tensor))


def _settle(key: Any, grads: dict[Any, Tensor], waiting: Waiting, place: Tensor | None) -> None:
    """Add to a tensor's gradient what waited until all of its parts had come."""
    cards = waiting.pop(key, {})
    for card, calls in cards.items():
        assert card.together is not None
        dx = card.together(calls, None if key in grads else place, key not in grads and len(cards) == 1)
        grads[key] = execute(CARDS["add"], (grads[key], dx), out=(place,))[0] if key in grads else dx


def _node_backward(
    node: Node,
    need: tuple[bool, ...],
    grads: dict[Any, Tensor],
    waiting: Waiting,
    coming: dict[Any, int],
    wanted: Any,
    create_graph: bool,
    watch: dict[tuple[int, int], Tensor] | None,
    into: Mapping[int, Tensor],
    adds: bool,
) -> None:
    for i in range(len(node.outs)):
        _settle((id(node), i), grads, waiting, None)
    dys = [grads.get((id(node), i)) for i in range(len(node.outs))]
    if all(dy is None for dy in dys):
        return
    for i, ref in node.retained.items():
        kept = ref()
        if watch is None and kept is not None and dys[i] is not None:
            kept.grad = dys[i].detach()  # type: ignore[union-attr]
    for i, dy in enumerate(dys):
        if dy is None and node.outs[i] is not None and i not in node.card.hidden:
            dys[i] = _zeros(node.outs[i])
        if (id(node), i) not in wanted:
            grads.pop((id(node), i), None)
    last = tuple(n and coming[_key(x)] == 1 and _key(x) not in waiting for x, n in zip(node.inputs, need, strict=True))
    dest = tuple(into.get(id(x)) if end else None for x, end in zip(node.inputs, last, strict=True))
    outs = node.outs
    if create_graph:  # outputs must be part of the graph again for a second derivative
        outs = tuple(_relink(node, i) for i in range(len(node.outs)))
    sofar = tuple(grads.get(_key(x)) if n else None for x, n in zip(node.inputs, need, strict=True))
    alone = tuple(end and before is None for end, before in zip(last, sofar, strict=True))
    grad_call = Grad(node.inputs, outs, node.attrs, need, dest, sofar, adds, alone)
    if node.card.together is not None and watch is None and not last[0]:
        key = _key(node.inputs[0])
        coming[key] -= 1
        waiting.setdefault(key, {}).setdefault(node.card, []).append((grad_call, dys[0]))
        return
    given = pulled_back(node.card, grad_call, dys, create_graph)
    for i, (x, n, dx) in enumerate(zip(node.inputs, need, given, strict=True)):
        if not n or dx is None:
            continue
        if watch is not None:
            watch[node.id, i] = dx
        key = _key(x)
        coming[key] -= 1
        if key in grads and not adds:
            place = into.get(id(x)) if coming[key] == 0 else None
            grads[key] = execute(CARDS["add"], (grads[key], dx), out=(place,))[0]
        else:
            grads[key] = dx


def _relink(node: Node, i: int) -> Any:
    y = node.outs[i]
    if y is None:
        return None
    y = y.detach()
    y.node, y.index, y.requires_grad = node, i, True
    return y


def pulled_back(card: Card, g: Grad, dys: Sequence[Any], smooth: bool = False) -> tuple[Tensor | None, ...]:
    """Return what flows back to the inputs of a call: the card's vjp, or its gradient kernel, applied to dys.

    Parameters
    ----------
    card : Card
    g : Grad
        The call.
    dys : sequence of Tensor or None
        What came back to each of its outputs.
    smooth : bool, default False
        Whether the result must be differentiable.

    Raises
    ------
    RuntimeError
        If the op has no derivative.
    """
    if smooth and card.smooth_vjp is not None:
        return card.smooth_vjp(g, *dys)
    if card.vjp is not None:
        return card.vjp(g, *dys)
    if card.bwd is None:
        raise _no_derivative(card)
    saved = g.outs[0] if card.saves == "out" else g.inputs[0]
    return execute(card.bwd, (dys[0], saved), g.attrs, out=(g.dest[0],))


def _no_derivative(card: Card) -> Exception:
    """Return the error for a missing derivative."""
    if card.name.endswith(".grad"):
        return RuntimeError(
            f"[{card.name}] is a fused gradient and has no derivative of its own, so a second derivative through "
            f"[{card.name.removesuffix('.grad')}] is not available. "
            "help: write the expression with elementary ops (exp, log, mul, ...)."
        )
    return RuntimeError(f"[{card.name}] has no derivative.")


def _copy(source: Tensor, dest: Tensor) -> Tensor:
    return execute(CARDS["copy"], (source,), out=(dest,))[0]


def _zeros(like: Tensor) -> Tensor:
    return execute(CARDS["zeros"], (), {"shape": like.shape, "dtype": like.dtype})[0]


def _cotangent(out: Tensor, gradient: Any) -> Tensor:
    if gradient is None:
        if out.size != 1:
            raise ShapeError(
                f"[backward] expected a tensor with one element. Received: shape={out.shape}. "
                "help: reduce it first (.sum() or .mean()), or pass gradient=."
            )
        return Tensor.state(np.ones(out.shape, out.dtype))
    given = gradient if isinstance(gradient, Tensor) else tensor(gradient, dtype=out.dtype)
    if given.shape != out.shape or given.dtype != out.dtype:
        raise ShapeError(
            f"[backward] expected a gradient like the tensor, {out.shape} {out.dtype}. "
            f"Received: {given.shape} {given.dtype}."
        )
    return given


def backward(
    out: Tensor, gradient: Any = None, targets: Sequence[Tensor] | None = None, into: Mapping[int, Tensor] | None = None
) -> None:
    """Write the gradient of `out` into ``.grad`` of every leaf that requires one (see Tensor.backward).

    Of `targets` alone, where they are given, and with memory from `into`, as in :func:`gradients`.
    """
    if not out.requires_grad:
        raise RuntimeError(
            "[backward] this tensor does not depend on any tensor with requires_grad=True. "
            "help: make the parameters with pynn.tensor(..., requires_grad=True), outside pynn.no_grad()."
        )
    for target, found in gradients(out, _cotangent(out, gradient), targets, into=into).values():
        target.grad = found


FUNCTIONS.backward = backward


def _variable(x: Any) -> Tensor:
    """Return an argument to differentiate by as a tensor."""
    x = x if isinstance(x, Tensor) else tensor(x)
    if x.dtype not in FLOATS:
        raise DTypeError(
            f"[grad] only floating-point arguments have gradients. Received: dtype={x.dtype}. help: pass 2.0, not 2."
        )
    return x


@overload
def grad(f: Callable[..., Tensor], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]: ...


@overload
def grad(f: Tensor, argnums: Tensor, *, create_graph: bool = False) -> Tensor: ...


@overload
def grad(f: Tensor, argnums: Sequence[Tensor], *, create_graph: bool = False) -> tuple[Tensor, ...]: ...


def grad(f: Any, argnums: Any = 0, *, create_graph: bool = False) -> Any:
    """Return the function that computes the gradient of a scalar function; of a tensor, its gradient by other tensors.

    Parameters
    ----------
    f : callable or Tensor
        A function takes tensors (or arrays) and returns a tensor with one element. Of a tensor with one element, such
        as a loss, gradients are computed through the graph that made it; nothing is written into ``.grad``.
    argnums : int or tuple of int, default 0
        Which arguments to differentiate by. For a tensor: the tensor, or a list or tuple of tensors.
    create_graph : bool, default False
        Of a tensor: whether the gradients may be differentiated again, for instance as a penalty in a loss. Those of a
        function always may.

    Returns
    -------
    callable, Tensor or tuple of Tensor
        Of a function, one that takes what `f` takes and returns a tensor, or a tuple of them. Of a tensor, the
        gradient, or a tuple with one for each.

    Raises
    ------
    TypeError
        If `f` is neither a function nor a tensor, or its result is not a tensor.
    RuntimeError
        If the tensor does not depend on one of the others, or a fused op has no second derivative; the op is named.

    Examples
    --------
    >>> import pynn
    >>> pynn.grad(lambda x: x * x * x)(2.0).item()
    12.0
    >>> pynn.grad(pynn.grad(lambda x: x * x * x))(2.0).item()
    12.0

    >>> x = pynn.tensor(3.0, requires_grad=True)
    >>> slope = pynn.grad(x * x * x, x, create_graph=True)
    >>> slope.item(), pynn.grad(slope, x).item()
    (27.0, 18.0)
    """
    if isinstance(f, Tensor):
        return _gradients_by(f, argnums, create_graph)
    if not callable(f) or create_graph:
        what = f"{type(f).__name__} with create_graph=True" if callable(f) else written(f)
        raise TypeError(
            f"[grad] expected a function, or a tensor and the tensors to differentiate by. Received: {what}. "
            "help: pynn.grad(f)(x) may be differentiated again as it is; create_graph=True is for tensors, "
            "pynn.grad(loss, [x], create_graph=True)."
        )
    many = isinstance(argnums, tuple)
    numbers: tuple[int, ...] = argnums if isinstance(argnums, tuple) else (argnums,)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        full = list(args)
        fresh = set()
        for i in numbers:
            x = _variable(full[i])
            if state.grad_enabled and x.requires_grad:
                x = x.reshape(x.shape)  # a variable of its own: f may also see x from outside, or twice
            else:
                x = x.detach()
                x.requires_grad = True
                fresh.add(id(x))
            full[i] = x
        before = state.grad_enabled
        with Held(state, grad_enabled=True):
            out = f(*full, **kwargs)
            if not isinstance(out, Tensor):
                raise TypeError(f"[grad] expected the function to return a tensor. Received: {type(out).__name__}.")
            # Whatever else the result depends on may be differentiated by later, in an enclosing grad().
            others = (x for node in reachable(out) for x in node.inputs if isinstance(x, Tensor) and x.node is None)
            outer = before and any(x.requires_grad and id(x) not in fresh for x in others)
            found = gradients(out, _cotangent(out, None), [full[i] for i in numbers], create_graph=outer)
        result = tuple(found[_key(full[i])][1] if _key(full[i]) in found else _zeros(full[i]) for i in numbers)
        return result if many else result[0]

    return gradient


def _gradients_by(out: Tensor, by: Any, create_graph: bool) -> Any:
    """Return the gradients of a tensor by one or several that it depends on."""
    wanted = list(by) if isinstance(by, (list, tuple)) else [by]
    for x in wanted:
        if not isinstance(x, Tensor):
            raise TypeError(
                f"[grad] expected the tensors to differentiate by. Received: {written(x)}. help: pynn.grad(loss, [x])."
            )
    with Held(state, grad_enabled=True):
        found = gradients(out, _cotangent(out, None), wanted, create_graph) if out.requires_grad else {}
    for i, x in enumerate(wanted):
        if _key(x) not in found:
            raise RuntimeError(
                f"[grad] the tensor does not depend on tensor {i}, of shape {x.shape}. help: make it with "
                "requires_grad=True, before the tensor is computed of it, outside pynn.no_grad()."
            )
    result = tuple(found[_key(x)][1] for x in wanted)
    return result if isinstance(by, (list, tuple)) else result[0]


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
    y = of_kind("jacobian", "f's result", f(at), "a tensor", "requires_grad")
    rows = np.zeros((y.size, at.size), dtype=at.dtype)
    if y.requires_grad:
        for i in range(y.size):
            one = np.zeros(y.shape, dtype=y.dtype)
            one.flat[i] = 1
            found = gradients(y, tensor(one), [at])
            if found:
                rows[i] = found[_key(at)][1].view().ravel()
    return tensor(rows.reshape(y.shape + at.shape))
