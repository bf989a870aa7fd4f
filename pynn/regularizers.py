"""Penalties that a layer adds to the loss, and constraints that hold after every update."""

from __future__ import annotations

from typing import Any

from pynn import ops
from pynn.checks import number
from pynn.core.tensor import Tensor
from pynn.keywords import Spelled
from pynn.names import Registry

__all__ = ["CONSTRAINTS", "L1", "L1L2", "L2", "NAMES", "MaxNorm", "constraint", "get"]


class L1L2(Spelled):
    """penalty = l1 * sum(|w|) + l2 * sum(w**2), summed in double precision.

    Parameters
    ----------
    l1 : float, default 0.0
        Factor of the first term, finite and >= 0.
    l2 : float, default 0.0
        Factor of the second term, finite and >= 0; its gradient is 2 * l2 * w.
        Factors, finite and >= 0. Note that the gradient of the second term is 2 * l2 * w.

    Raises
    ------
    ValueError
        If a factor is out of range.

    Examples
    --------
    >>> import pynn
    >>> L1L2(l1=0.1, l2=0.01)(pynn.tensor([[1.0, -2.0]])).item()
    0.3499999940395355
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0):
        self.l1, self.l2 = number("regularizer", "l1", l1, 0), number("regularizer", "l2", l2, 0)

    def __call__(self, w: Tensor) -> Tensor:
        """Return the penalty of weights, a scalar."""
        return ops.penalty(w, self.l1, self.l2)

    def __repr__(self) -> str:
        return f"L1L2(l1={self.l1!r}, l2={self.l2!r})"


class L1(L1L2):
    """penalty = l1 * sum(|w|), which drives weights to exactly 0 (lasso).

    Parameters
    ----------
    l1 : float, default 0.01
        Finite and >= 0.

    Examples
    --------
    >>> import pynn
    >>> L1(0.5)(pynn.tensor([1.0, -2.0])).item()
    1.5
    """

    def __init__(self, l1: float = 0.01):
        super().__init__(l1=l1)


class L2(L1L2):
    """penalty = l2 * sum(w**2), which keeps weights small (ridge).

    Parameters
    ----------
    l2 : float, default 0.01
        Finite and >= 0. The gradient is 2 * l2 * w.

    Examples
    --------
    >>> import pynn
    >>> L2(0.5)(pynn.tensor([1.0, -2.0])).item()
    2.5
    """

    def __init__(self, l2: float = 0.01):
        super().__init__(l2=l2)


class MaxNorm(Spelled):
    """w[:, j] = w[:, j] * min(1, limit / |w[:, j]|), after every update.

    The norm is over all axes but the last, so it is that of the incoming weights of a unit.

    Parameters
    ----------
    limit : float, default 2.0
        Finite and > 0.

    Raises
    ------
    ValueError
        If `limit` is out of range.

    References
    ----------
    Srebro, Rennie and Jaakkola, "Maximum-margin matrix factorization", 2005.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> w = pynn.tensor([[3.0, 0.3], [4.0, 0.4]])
    >>> MaxNorm(1.0).apply(w)
    >>> w.numpy().round(4).tolist() == np.float32([[0.6, 0.3], [0.8, 0.4]]).tolist()
    True
    """

    def __init__(self, limit: float = 2.0):
        self.limit = number("max_norm", "limit", limit, 0, open_low=True)

    def apply(self, w: Tensor) -> None:
        """Scale columns down in place."""
        ops.max_norm(w, self.limit)

    def __repr__(self) -> str:
        return f"MaxNorm({self.limit!r})"


def _penalty(given: Any) -> Any:
    return given if callable(given) else None


#: name -> what makes the regularizer
NAMES: Registry[Any] = Registry(
    "regularizer",
    (L1L2,),  # which can be made itself
    {"l1": L1, "l2": L2, "l1_l2": lambda: L1L2(0.01, 0.01)},
    {"l1l2": "l1_l2"},
    convert=_penalty,
    expected="a name or a function of a tensor",
)


def get(regularizer: Any) -> Any:
    """Return a regularizer of a name or a class, the object itself (any function of a tensor), or None.

    Raises
    ------
    ValueError
        If no regularizer has the name; the nearest known name is given.
    TypeError
        If it is neither a name nor a function.

    Examples
    --------
    >>> get("l2"), get(L1)
    (L1L2(l1=0.0, l2=0.01), L1L2(l1=0.01, l2=0.0))
    """
    return None if regularizer is None else NAMES.resolve(regularizer)


def _constraint(given: Any) -> Any:
    return given if not isinstance(given, type) and callable(getattr(given, "apply", None)) else None


#: name -> what makes the constraint
CONSTRAINTS: Registry[Any] = Registry(
    "constraint",
    (MaxNorm,),
    {"max_norm": MaxNorm},
    {"maxnorm": "max_norm"},
    convert=_constraint,
    expected="a name or an object with apply(w)",
)


def constraint(given: Any) -> Any:
    """Return a constraint of a name or a class, the object itself (anything with ``apply(w)``), or None.

    Raises
    ------
    ValueError
        If no constraint has the name; the nearest known name is given.
    TypeError
        If it is neither a name nor such an object.

    Examples
    --------
    >>> constraint("max_norm"), constraint(MaxNorm(1.0))
    (MaxNorm(2.0), MaxNorm(1.0))
    """
    return None if given is None else CONSTRAINTS.resolve(given)
