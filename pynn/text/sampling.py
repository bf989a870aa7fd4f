"""What word2vec draws with: the table of negative words, the thinning of frequent ones, and Huffman's tree."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

__all__ = [
    "Tree", "alias_table", "huffman", "join", "keep_probability", "safe_batch", "thresholds", "word_loads",
]  # fmt: skip

ALL = 2**32 - 1
MOST_STEPS, MEAN_STEPS = 100.0, 16.0  # of one row in a batch; twice to four times as many were seen to go wrong


def keep_probability(counts: np.ndarray, sample: float) -> np.ndarray:
    """Return the share of each word that stays: min(1, sqrt(t / f) + t / f), with its frequency f and t = `sample`.

    Parameters
    ----------
    counts : ndarray [V]
    sample : float
        0 keeps all.

    References
    ----------
    T. Mikolov and others, "Distributed representations of words and phrases and their compositionality", 2013;
    the formula is that of the authors' program.

    Examples
    --------
    >>> keep_probability(np.array([980, 20]), 0.01).round(3)
    array([0.111, 1.   ])
    """
    if sample == 0:
        return np.ones(len(counts))
    ratio = sample * counts.sum() / np.maximum(counts, 1)
    return np.minimum(1.0, np.sqrt(ratio) + ratio)


def thresholds(probability: np.ndarray) -> np.ndarray:
    """Return uint32 [V]: a random uint32 is at most this with the given probability."""
    return np.minimum(np.round(probability * 2.0**32) - 1, ALL).clip(0).astype(np.uint32)


def alias_table(weights: np.ndarray) -> np.ndarray:
    """Return uint32 [V, 2] (threshold, other): draw i uniformly; it stands if 32 random bits are below its threshold.

    Otherwise it is `other`. So i comes out in proportion to ``weights[i]``, in constant time.

    References
    ----------
    A. J. Walker, "An efficient method for generating discrete random variables with general distributions", 1977.

    Examples
    --------
    >>> table = alias_table(np.array([3.0, 1.0]))
    >>> table[1].tolist() == [2**31, 0]
    True
    """
    n = len(weights)
    share = (weights * (n / weights.sum())).tolist()
    table = np.full((n, 2), ALL, np.uint32)
    table[:, 1] = np.arange(n)
    small = [i for i in range(n) if share[i] < 1]
    large = [i for i in range(n) if share[i] >= 1]
    while small and large:
        low, high = small.pop(), large[-1]
        table[low] = min(round(share[low] * 2**32), ALL), high
        share[high] -= 1 - share[low]
        if share[high] < 1:
            small.append(large.pop())
    return table


@dataclass
class Tree:
    """Binary codes of words.

    Attributes
    ----------
    path : ndarray of int32 [V + 1]
        The branches of word i are those from path[i] to path[i + 1].
    node : ndarray of int32
        The inner node of each branch.
    code : ndarray of uint8
        The side that is taken there, 0 or 1.
    """

    path: np.ndarray
    node: np.ndarray
    code: np.ndarray

    @property
    def longest(self) -> int:
        """Length of the longest code."""
        return int(np.diff(self.path).max(initial=0))

    def branches(self, word: int) -> list[tuple[int, int]]:
        """Return (node, side) from the root to a word."""
        part = slice(self.path[word], self.path[word + 1])
        return list(zip(self.node[part].tolist(), self.code[part].tolist(), strict=True))


def huffman(counts: np.ndarray, first_node: int = 0) -> Tree:
    """Return the codes of smallest mean length; the nodes are numbered from `first_node`, the root last.

    References
    ----------
    D. A. Huffman, "A method for the construction of minimum-redundancy codes", 1952.

    Examples
    --------
    >>> tree = huffman(np.array([5, 2, 1]))
    >>> np.diff(tree.path).tolist(), tree.branches(0), tree.branches(2)
    ([1, 2, 2], [(1, 1)], [(1, 0), (0, 0)])
    """
    n = len(counts)
    heap = [(int(count), -i, i) for i, count in enumerate(counts)]  # of equal ones the last comes first
    heapq.heapify(heap)
    parent, side = [0] * (2 * n), [0] * (2 * n)
    for made in range(n, 2 * n - 1):
        (a, _, low), (b, _, high) = heapq.heappop(heap), heapq.heappop(heap)
        parent[low] = parent[high] = made
        side[high] = 1
        heapq.heappush(heap, (a + b, made, made))
    branches = []
    for word in range(n):
        up, at = [], word
        while at != 2 * n - 2:
            up.append((parent[at] - n + first_node, side[at]))
            at = parent[at]
        branches.append(up[::-1])
    return _tree(branches)


def join(old: Tree, new: Tree, root: int) -> Tree:
    """Return one tree of two: a new root with the old one on side 0 and the new one on side 1."""
    sides = ((tree, side) for side, tree in enumerate((old, new)))
    return _tree([[(root, side), *tree.branches(i)] for tree, side in sides for i in range(len(tree.path) - 1)])


def _tree(branches: list[list[tuple[int, int]]]) -> Tree:
    flat = np.array([branch for word in branches for branch in word], np.int64).reshape(-1, 2)
    path = np.cumsum([0, *map(len, branches)])
    return Tree(path.astype(np.int32), flat[:, 0].astype(np.int32), flat[:, 1].astype(np.uint8))


def word_loads(counts: np.ndarray, sample: float, negative: int, exponent: float, tree: Tree | None) -> np.ndarray:
    """Return how often each row that is predicted changes, per word of the thinned text: words, then nodes.

    Examples
    --------
    >>> word_loads(np.array([3, 1]), 0, 2, 1.0, None).tolist()
    [2.25, 0.75]
    """
    share = counts * keep_probability(counts, sample)
    share = share / share.sum()
    loads = []
    if negative:
        weights = np.maximum(counts, 1).astype(float) ** exponent
        loads.append(share + negative * weights / weights.sum())
    if tree is not None:
        loads.append(np.bincount(tree.node, np.repeat(share, np.diff(tree.path)), len(share)))
    return np.concatenate(loads)


def safe_batch(loads: np.ndarray, eager: float, inputs: float) -> float:
    """Return how many words may learn from the same vectors.

    Changes of one row add up within a batch; where they are too many, learning swings and grows. So the most frequent
    row may be expected to change MOST_STEPS times, and the row of an average change MEAN_STEPS times.

    Parameters
    ----------
    loads : ndarray
        See :func:`word_loads`.
    eager : float
        By how much the learning rate is above the usual one.
    inputs : float
        Vectors from which a row is predicted at once.
    """
    total = float(loads.sum())
    most, mean = float(loads.max()) * inputs, float((loads**2).sum()) / (total or 1.0)
    return min(MOST_STEPS / (most or 1.0), MEAN_STEPS / (mean or 1.0)) / eager
