"""``K.gradients``: derivatives of symbols, which are computed when a model runs, and of tensors, which are there."""

from __future__ import annotations

from typing import Any

import pynn
from pynn.core.state import no_grad, state
from pynn.core.tensor import Tensor
from pynn.keras.ops.arrays import value
from pynn.keras.symbols import Graph, KerasTensor, Untracked, resolved


def gradients(loss, variables) -> list[Any]:
    """Return the derivative of the sum of `loss` by each of the variables it was computed from.

    Of symbols they are symbols: for ``K.function``, for a model's outputs, or for a loss.

    Parameters
    ----------
    loss : symbol or Tensor
    variables : the same, or a list of them

    Raises
    ------
    TypeError
        If one of them is neither.
    ValueError
        If a symbol does not depend on one of the variables.

    Examples
    --------
    >>> from pynn.keras import backend as K
    >>> x = K.placeholder((None, 2))
    >>> [slope] = K.gradients(K.sum(x * x), x)
    >>> K.function([x], [slope])([[[1.0, 3.0]]])[0].tolist()
    [[2.0, 6.0]]
    """
    loss = resolved(value(loss))
    wanted = [resolved(value(x)) for x in (variables if isinstance(variables, (list, tuple)) else [variables])]
    if not all(isinstance(x, (KerasTensor, Tensor)) for x in (loss, *wanted)):
        kinds = ", ".join(type(x).__name__ for x in (loss, *wanted))
        raise TypeError(f"[gradients] expected symbols or tensors. Received: {kinds}.")
    symbols = [isinstance(x, KerasTensor) for x in wanted]
    if isinstance(loss, KerasTensor) and all(symbols):
        return _of_symbols(loss, wanted)
    if isinstance(loss, KerasTensor) or any(symbols):
        kinds = "tensors" if isinstance(loss, KerasTensor) else "symbols"
        raise TypeError(f"[gradients] expected symbols, or tensors, throughout. Received: {kinds} too.")
    return _of_tensors(loss, wanted)


def _of_symbols(loss, wanted):
    others = _other_inputs(loss, wanted)
    graph = Graph([*wanted, *others], loss)
    count = len(wanted)

    def gradients(*values):
        if state.trial:  # which asks for shapes alone
            return [0 * x for x in values[:count]]

        def total(*moved):
            y = graph.run([*moved, *values[count:]], "gradients")
            return y if y.shape == () else y.sum()

        return list(pynn.grad(total, tuple(range(count)))(*values[:count]))

    return list(KerasTensor.lifted(gradients, *wanted, *others))


def _other_inputs(loss, wanted) -> list[Any]:
    """Return the inputs that a symbol needs beside those that it is differentiated by, and see that it needs these."""
    known, seen, others, todo = {id(x) for x in wanted}, set(), [], [loss]
    while todo:
        x = todo.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if id(x) in known:
            continue
        if not x.call.parents and getattr(x.call.layer, "fixed", None) is None:
            others.append(x)
        todo += x.call.parents
    for x in wanted:
        if id(x) not in seen:
            raise ValueError(f"[gradients] expected variables that the loss depends on. Received: {x!r}.")
    return others


def _of_tensors(loss, wanted):
    if loss.node is None or not all(x.requires_grad for x in wanted):
        if state.trial:  # where a layer is tried with any tensors, to see shapes
            return [0 * x for x in wanted]
        if not state.grad_enabled:
            raise Untracked("[gradients] expected tensors of a computation that is tracked. help: outside no_grad().")
    found = pynn.grad(loss if loss.shape == () else loss.sum(), wanted)
    with no_grad():  # as constants: pooling has no second derivative that would be missed
        return [Tensor.detach(x) for x in found]
