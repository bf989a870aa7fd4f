"""Small sets of points in a plane, for networks whose decision one can draw."""

from __future__ import annotations

import numpy as np

from pynn.checks import number, positive

__all__ = ["blobs", "circles", "moons", "spirals", "xor"]

Points = tuple[np.ndarray, np.ndarray]


def xor(n: int = 400, noise: float = 0.1, seed: int = 0) -> Points:
    """Return points around the four corners of the unit square, labelled ``x0 XOR x1``.

    ``x = corner + noise * N(0, 1)``; no straight line separates the classes.

    Parameters
    ----------
    n : int, default 400
        Number of points.
    noise : float, default 0.1
        Standard deviation around the corners.
    seed : int, default 0
        Seed of the points.

    Returns
    -------
    x : ndarray
        Points, float32 [n, 2].
    y : ndarray
        Labels, int64 [n], 0 or 1.

    Raises
    ------
    ValueError
        If `n` is below 1 or `noise` is negative.

    References
    ----------
    M. Minsky and S. Papert, "Perceptrons", MIT Press, 1969.

    Examples
    --------
    >>> x, y = xor(4, noise=0.0)
    >>> sorted(zip(x.tolist(), y.tolist()))
    [([0.0, 0.0], 0), ([0.0, 1.0], 1), ([1.0, 0.0], 1), ([1.0, 1.0], 0)]
    """
    random = _random("xor", n, noise, seed)
    corner = random.permutation(np.arange(n) % 4)
    bits = np.stack([corner // 2, corner % 2], axis=1)
    return _with_noise(random, bits, noise), (bits[:, 0] ^ bits[:, 1]).astype(np.int64)


def moons(n: int = 400, noise: float = 0.1, seed: int = 0) -> Points:
    """Return two half circles that reach into each other.

    ``(cos t, sin t)`` for class 0 and ``(1 - cos t, 1/2 - sin t)`` for class 1, t from 0 to pi.
    Parameters, returns and errors are those of :func:`xor`.

    Parameters
    ----------
    n : int, default 400
        How many points.
    noise : float, default 0.1
        Standard deviation of what is added to the points.
    seed : int, default 0

    Examples
    --------
    >>> x, y = moons(10)
    >>> int(y.sum())
    5
    """
    random = _random("moons", n, noise, seed)
    y = random.permutation(np.arange(n) % 2)
    t = random.uniform(0, np.pi, n)
    upper = np.stack([np.cos(t), np.sin(t)], axis=1)
    lower = np.stack([1 - np.cos(t), 0.5 - np.sin(t)], axis=1)
    return _with_noise(random, np.where(y[:, None] == 0, upper, lower), noise), y


def circles(n: int = 400, noise: float = 0.05, seed: int = 0, factor: float = 0.5) -> Points:
    """Return a circle of radius 1 (class 0) around one of radius `factor` (class 1).

    Other parameters, returns and errors are those of :func:`xor`.

    Parameters
    ----------
    n : int, default 400
        How many points.
    noise : float, default 0.05
        Standard deviation of what is added to the points.
    seed : int, default 0
    factor : float, default 0.5
        Radius of the inner circle to that of the outer one.

    Examples
    --------
    >>> x, y = circles(100, noise=0.0)
    >>> bool(np.allclose(np.hypot(*x[y == 1].T), 0.5))
    True
    """
    random = _random("circles", n, noise, seed)
    number("circles", "factor", factor, 0, 1, open_low=True, open_high=True)
    y = random.permutation(np.arange(n) % 2)
    t = random.uniform(0, 2 * np.pi, n)
    radius = np.where(y == 0, 1.0, factor)
    return _with_noise(random, np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1), noise), y


def spirals(n: int = 600, noise: float = 0.05, seed: int = 0, arms: int = 3, turns: float = 0.75) -> Points:
    """Return spiral arms around the origin, one class each.

    ``x = r (cos a, sin a)`` with ``a = 2 pi (turns r + class / arms)``, r from 0 to 1.
    Other parameters, returns and errors are those of :func:`xor`; `arms` is at least 1.

    Parameters
    ----------
    n : int, default 600
        How many points.
    noise : float, default 0.05
        Standard deviation of what is added to the points.
    seed : int, default 0
    arms : int, default 3
    turns : float, default 0.75
        How often each arm turns.

    Examples
    --------
    >>> x, y = spirals(arms=2)
    >>> np.unique(y).tolist()
    [0, 1]
    """
    random = _random("spirals", n, noise, seed)
    positive("spirals", "arms", arms)
    y = random.permutation(np.arange(n) % arms)
    r = np.sqrt(random.uniform(0, 1, n))  # the root spreads points evenly over the disc
    angle = 2 * np.pi * (turns * r + y / arms)
    return _with_noise(random, np.stack([r * np.cos(angle), r * np.sin(angle)], axis=1), noise), y


def blobs(n: int = 400, noise: float = 0.5, seed: int = 0, centers: int = 3) -> Points:
    """Return round clouds whose centres lie evenly on a circle of radius 2, one class each.

    Other parameters, returns and errors are those of :func:`xor`; `centers` is at least 1.

    Parameters
    ----------
    n : int, default 400
        How many points.
    noise : float, default 0.5
        Standard deviation of what is added to the points.
    seed : int, default 0
    centers : int, default 3
        How many clouds.

    Examples
    --------
    >>> x, y = blobs(centers=4)
    >>> np.bincount(y).tolist()
    [100, 100, 100, 100]
    """
    random = _random("blobs", n, noise, seed)
    positive("blobs", "centers", centers)
    y = random.permutation(np.arange(n) % centers)
    angle = 2 * np.pi * y / centers
    return _with_noise(random, np.stack([2 * np.cos(angle), 2 * np.sin(angle)], axis=1), noise), y


def _random(name: str, n: int, noise: float, seed: int) -> np.random.RandomState:
    positive(name, "n", n)
    number(name, "noise", noise, 0)
    return np.random.RandomState(seed)  # its stream is frozen: the same points under every version of NumPy


def _with_noise(random: np.random.RandomState, points: np.ndarray, noise: float) -> np.ndarray:
    return (points + noise * random.standard_normal(points.shape)).astype(np.float32)
