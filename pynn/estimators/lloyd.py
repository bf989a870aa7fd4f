"""K-means by Lloyd's algorithm, with the distances as products of matrices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse

from pynn import ops
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor

__all__ = ["Clusters", "lloyd", "nearest"]

SCORES = 1 << 20  # numbers in a block of scores: they are looked at while they lie in the cache
SHORT = 0.015  # the length of the first centroids beside that of samples


class Clusters(NamedTuple):
    """What K-means found.

    Attributes
    ----------
    centroids : ndarray [k, features]
    inertia : list of float
        The mean squared distance from a sample to its centroid, before each update.
    reseeded : int
        How often an empty cluster was begun anew at a sample.
    empty : int
        Clusters that are empty in the end.
    converged : bool
    """

    centroids: np.ndarray
    inertia: list[float]
    reseeded: int
    empty: int
    converged: bool


def nearest(x: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each sample the number of its centroid and the squared distance to it.

    |x - c|**2 = |x|**2 - 2 (x c - |c|**2 / 2): the nearest centroid has the largest bracket, which is one product.

    Parameters
    ----------
    x : ndarray of float32 [n, features]
    centroids : ndarray of float32 [k, features]

    Returns
    -------
    labels : ndarray of int64 [n]
    distances : ndarray of float32 [n]
    """
    labels, best = np.empty(len(x), np.int64), np.empty(len(x), x.dtype)
    weights = Tensor.state(np.ascontiguousarray(centroids.T))
    bias = Tensor.state(-0.5 * (centroids * centroids).sum(1))
    rows = max(SCORES // len(centroids), 1)
    with no_grad():
        for at in range(0, len(x), rows):
            scores = ops.dense(Tensor.state(x[at : at + rows]), weights, bias).numpy()
            found = scores.argmax(1)
            labels[at : at + rows] = found
            best[at : at + rows] = scores[np.arange(len(found)), found]
    return labels, np.maximum(np.einsum("ij,ij->i", x, x) - 2 * best, 0)


def _short(x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return vectors in the directions of chosen samples, SHORT times as long as samples are."""
    usual = np.sqrt(np.einsum("ij,ij->", x, x, dtype=np.float64) / len(x))
    lengths = np.linalg.norm(x[chosen], axis=1, keepdims=True)
    return x[chosen] * (SHORT * usual / np.maximum(lengths, 1e-30)).astype(x.dtype)


def lloyd(x: np.ndarray, k: int, max_iter: int, tol: float, rng: np.random.RandomState) -> Clusters:
    """Return k centroids: samples go to the nearest, which then becomes their mean, until little changes.

    It begins at short vectors in the directions of k samples by chance, so that the first round sorts by direction.
    Were they the samples themselves, each of those that lie far out would keep a cluster of its own among many
    features, and few clusters near the middle the rest: of 1,600 for whitened patches a twentieth had one or two
    samples. A cluster without samples begins anew at a sample that is far from its centroid, drawn with a probability
    proportional to the squared distance.

    Parameters
    ----------
    x : ndarray of float32 [n, features]
        At least k samples.
    k : int
    max_iter : int
    tol : float
        The end comes when the mean squared distance falls by less than this share of itself.
    rng : RandomState
    """
    centroids = _short(x, rng.choice(len(x), k, replace=False))
    inertia: list[float] = []
    reseeded = empty = 0
    for _ in range(max_iter):
        labels, distances = nearest(x, centroids)
        inertia.append(float(distances.mean(dtype=np.float64)))
        counts = np.bincount(labels, minlength=k)
        members = scipy.sparse.csr_matrix((np.ones(len(x), x.dtype), labels, np.arange(len(x) + 1)), shape=(len(x), k))
        centroids = np.asarray(members.T @ x) / np.maximum(counts, 1)[:, None].astype(x.dtype)
        vacant = np.flatnonzero(counts == 0)
        empty = len(vacant)
        total = distances.sum(dtype=np.float64)
        if empty and total > 0:
            far = np.flatnonzero(distances)
            share = distances[far].astype(np.float64)
            chosen = rng.choice(far, min(empty, len(far)), replace=False, p=share / share.sum())
            centroids[vacant[: len(chosen)]] = x[chosen]
            reseeded += len(chosen)
        elif empty:  # every sample lies on a centroid: there are fewer different samples than clusters
            centroids[vacant] = x[labels[0]]
        if total == 0 or (not empty and len(inertia) > 1 and inertia[-2] - inertia[-1] <= tol * inertia[-2]):
            return Clusters(centroids, inertia, reseeded, empty, True)
    return Clusters(centroids, inertia, reseeded, empty, False)
