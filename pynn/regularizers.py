"""Penalties that a layer adds to the loss, and constraints that hold after every update."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import Tensor
from pynn.errors import unknown_name

__all__ = ["L1", "L1L2", "L2", "NAMES", "MaxNorm", "get"]


def _factor(name: str, value: Any) -> float:
    if not (isinstance(value, (int, float, np.integer, np.floating)) and 0 <= value < np.inf):
        raise ValueError(f"[{name}] expected a finite factor >= 0. Received: {value!r}.")
    return float(value)


class L1L2:
    """penalty = l1 * sum(|w|) + l2 * sum(w**2), summed in double precision.

    Parameters
    ----------
    l1, l2 : float, default 0.0
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
        self.l1, self.l2 = _factor("regularizer", l1), _factor("regularizer", l2)

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


class MaxNorm:
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
    >>> import pynn
    >>> w = pynn.tensor([[3.0, 0.3], [4.0, 0.4]])
    >>> MaxNorm(1.0).apply(w)
    >>> w.numpy().round(4).tolist() == np.float32([[0.6, 0.3], [0.8, 0.4]]).tolist()
    True
    """

    def __init__(self, limit: float = 2.0):
        if not (isinstance(limit, (int, float, np.integer, np.floating)) and 0 < limit < np.inf):
            raise ValueError(f"[max_norm] expected a finite limit above 0. Received: {limit!r}.")
        self.limit = float(limit)

    def apply(self, w: Tensor) -> None:
        """Scale columns down in place."""
        ops.max_norm(w, self.limit)

    def __repr__(self) -> str:
        return f"MaxNorm({self.limit!r})"


#: name -> regularizer class
NAMES: dict[str, type[L1L2]] = {"l1": L1, "l2": L2, "l1_l2": L1L2, "l1l2": L1L2}


def get(regularizer: Any) -> Any:
    """Return a regularizer of a name, the object itself (any function of a tensor), or None.

    Raises
    ------
    ValueError
        If no regularizer has the name; the nearest known name is given.

    Examples
    --------
    >>> get("l2")
    L1L2(l1=0.0, l2=0.01)
    """
    if isinstance(regularizer, str):
        if regularizer not in NAMES:
            raise ValueError(unknown_name("regularizer", regularizer, NAMES))
        return NAMES[regularizer]() if NAMES[regularizer] is not L1L2 else L1L2(0.01, 0.01)
    if regularizer is not None and not callable(regularizer):
        raise TypeError(f"[regularizer] expected a name or a function of a tensor. Received: {regularizer!r}.")
    return regularizer
