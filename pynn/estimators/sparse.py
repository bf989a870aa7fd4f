"""Sparse codes by iterative shrinkage: ISTA and its accelerated form, FISTA."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn import ops
from pynn.checks import integer, number
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError

__all__ = ["fista", "ista", "shrink"]


def ista(
    x: Any, dictionary: Any, alpha: float = 1.0, *, max_iter: int = 1000, tol: float = 1e-6, start: Any = None
) -> np.ndarray:
    """Return codes z that minimize |x - z D|**2 / 2 + alpha |z|_1, by z <- shrink(z - (z D - x) D' / L, alpha / L).

    L is the largest eigenvalue of D D', and shrink(v, t) = sign(v) max(0, |v| - t). The excess falls as 1 / iterations;
    that of :func:`fista` as 1 / iterations**2.

    Parameters
    ----------
    x : array_like [N, features]
    dictionary : array_like [atoms, features]
        Its rows are the atoms.
    alpha : float, default 1.0
        More makes codes sparser; at least 0.
    max_iter : int, default 1000
    tol : float, default 1e-6
        The end comes when no code moves by more than this share of the largest code.
    start : array_like [N, atoms], optional
        First codes. Default: zeros.

    Returns
    -------
    ndarray [N, atoms]

    Raises
    ------
    ShapeError
        If features or atoms do not fit.
    ValueError
        If a number is out of range.

    References
    ----------
    Daubechies, Defrise, De Mol: An iterative thresholding algorithm for linear inverse problems (2004).

    Examples
    --------
    >>> ista([[3.0, 0.5]], np.eye(2), alpha=1.0).round(3).tolist()
    [[2.0, 0.0]]
    """
    return _code("ista", x, dictionary, alpha, max_iter, tol, start, False)


def fista(
    x: Any, dictionary: Any, alpha: float = 1.0, *, max_iter: int = 1000, tol: float = 1e-6, start: Any = None
) -> np.ndarray:
    """Return codes z that minimize |x - z D|**2 / 2 + alpha |z|_1, as :func:`ista` does, in far fewer iterations.

    Each step starts at z_t + (s_t - 1) / s_{t+1} (z_t - z_{t-1}), with s_{t+1} = (1 + sqrt(1 + 4 s_t**2)) / 2.

    Parameters
    ----------
    x : array_like [N, features]
    dictionary : array_like [atoms, features]
        Its rows are the atoms.
    alpha : float, default 1.0
    max_iter : int, default 1000
    tol : float, default 1e-6
    start : array_like [N, atoms], optional

    Returns
    -------
    ndarray [N, atoms]

    Raises
    ------
    ShapeError
        If features or atoms do not fit.
    ValueError
        If a number is out of range.

    References
    ----------
    Beck, Teboulle: A fast iterative shrinkage-thresholding algorithm for linear inverse problems (2009).

    Examples
    --------
    >>> fista([[3.0, 0.5], [-2.0, 1.5]], np.eye(2), alpha=1.0).round(3).tolist()
    [[2.0, 0.0], [-1.0, 0.5]]
    """
    return _code("fista", x, dictionary, alpha, max_iter, tol, start, True)


def _code(
    place: str, x: Any, dictionary: Any, alpha: float, max_iter: int, tol: float, start: Any, accelerated: bool
) -> np.ndarray:
    alpha, tol = number(place, "alpha", alpha, 0), number(place, "tol", tol, 0)
    max_iter = integer(place, "max_iter", max_iter, 1)
    x, d = np.asarray(x), np.asarray(dictionary)
    dtype = np.float32 if x.dtype == d.dtype == np.float32 else np.float64
    if x.ndim != 2 or d.ndim != 2 or x.shape[1] != d.shape[1]:
        raise ShapeError(
            f"[{place}] expected samples [N, features] and a dictionary [atoms, features]. "
            f"Received: {x.shape} and {d.shape}."
        )
    x, d = x.astype(dtype), d.astype(dtype)
    z = np.zeros((len(x), len(d)), dtype) if start is None else np.array(start, dtype)
    if z.shape != (len(x), len(d)):
        raise ShapeError(f"[{place}] expected start of shape {(len(x), len(d))}. Received: {z.shape}.")
    return shrink(d @ d.T, x @ d.T, alpha, z, max_iter, tol, accelerated)


def shrink(
    gram: np.ndarray,
    target: np.ndarray,
    alpha: float,
    z: np.ndarray,
    max_iter: int,
    tol: float = 0.0,
    accelerated: bool = True,
) -> np.ndarray:
    """Return z that minimize z G z' / 2 - z t' + alpha |z|_1 for each row t of `target`; G is symmetric.

    Parameters
    ----------
    gram : ndarray [atoms, atoms]
    target : ndarray [N, atoms]
    alpha : float
    z : ndarray [N, atoms]
        Where to begin.
    max_iter : int
    tol : float, default 0.0
    accelerated : bool, default True
    """
    steepest = float(np.linalg.eigvalsh(gram)[-1])
    if steepest <= 0:
        return np.zeros_like(z)
    # z - (z G - t) / L is one product: z (I - G / L) + t / L
    forward = Tensor.state(np.ascontiguousarray(np.eye(len(gram), dtype=z.dtype) - gram / z.dtype.type(steepest)))
    pull, least = Tensor.state(target / z.dtype.type(steepest)), alpha / steepest
    ahead, pace = Tensor.state(z), 1.0
    with no_grad():
        for _ in range(max_iter):
            v = ops.matmul(ahead, forward) + pull
            new = (ops.relu(v - least) - ops.relu(-v - least)).numpy()
            moved = new - z
            z = new
            if tol and np.abs(moved).max(initial=0) <= tol * np.abs(new).max(initial=0):
                break
            following = (1 + math.sqrt(1 + 4 * pace * pace)) / 2
            step = (pace - 1) / following if accelerated else 0.0
            pace = following
            ahead = Tensor.state(z + z.dtype.type(step) * moved if step else z)
    return z
