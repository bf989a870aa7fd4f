"""Where the boxes of a graph stand: in columns from cause to effect, ordered so that few arrows cross.

The method is that of Sugiyama, Tagawa and Toda (1981): ranks by the longest path, vertices that stand in for long
edges, sweeps that order each rank by the mean place of its neighbours, and coordinates that pull them together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["layered"]

SWEEPS = 12


def layered(
    heights: Sequence[float], edges: Sequence[tuple[int, int]], gap: float
) -> tuple[list[int], list[float], list[list[tuple[int, float]]]]:
    """Place the vertices of a directed graph without cycles.

    Parameters
    ----------
    heights : sequence of float
        Of the boxes.
    edges : sequence of (start, end)
        A start has to come before its end in the order of the boxes, or be a source.
    gap : float
        Least distance between two boxes of a column.

    Returns
    -------
    ranks : list of int
        The column of every box.
    ys : list of float
        The height at which the middle of each box lies.
    bends : list of list of (rank, y)
        For each edge, the places between its ends through which it is led.

    Examples
    --------
    >>> ranks, ys, bends = layered([1.0, 1.0, 1.0], [(0, 1), (1, 2), (0, 2)], 1.0)
    >>> ranks, [len(places) for places in bends]
    ([0, 1, 2], [0, 0, 1])
    """
    n = len(heights)
    ranks = _ranks(n, edges)
    size, columns = list(heights), [[] for _ in range(max(ranks, default=0) + 1)]  # type: list[float], list[list[int]]
    for v in range(n):
        columns[ranks[v]].append(v)
    before: list[list[int]] = [[] for _ in range(n)]
    after: list[list[int]] = [[] for _ in range(n)]
    paths = []
    for start, end in edges:
        path = [start]
        for rank in range(ranks[start] + 1, ranks[end]):  # a vertex of its own in every column that an edge crosses
            path.append(len(size))
            columns[rank].append(len(size))
            size.append(0.0)
            before.append([])
            after.append([])
        path.append(end)
        for a, b in itertools.pairwise(path):
            after[a].append(b)
            before[b].append(a)
        paths.append(path)
    place = {v: float(i) for column in columns for i, v in enumerate(column)}
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        near = before if forward else after
        for column in columns if forward else reversed(columns):
            column.sort(key=lambda v: sum(place[w] for w in near[v]) / len(near[v]) if near[v] else place[v])
            for i, v in enumerate(column):
                place[v] = float(i)
    ys = _heights(columns, size, before, after, gap)
    rank_of = {v: rank for rank, column in enumerate(columns) for v in column}
    bends = [[(rank_of[v], ys[v]) for v in path[1:-1]] for path in paths]
    return ranks, ys[:n], bends


def _ranks(n: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    ranks = [0] * n
    changed = True
    while changed:
        changed = False
        for start, end in edges:
            if ranks[end] <= ranks[start]:
                ranks[end], changed = ranks[start] + 1, True
    for v in range(n):  # a source stands right before the first box that uses it
        uses = [ranks[end] for start, end in edges if start == v]
        if uses and not any(end == v for _, end in edges):
            ranks[v] = min(uses) - 1
    return ranks


def _heights(
    columns: list[list[int]], size: list[float], before: list[list[int]], after: list[list[int]], gap: float
) -> list[float]:
    """Return the height of every vertex: each drawn to the mean of its neighbours, none upon another."""
    ys = [0.0] * len(size)
    for column in columns:
        y = 0.0
        for v in column:
            ys[v] = y + size[v] / 2
            y += size[v] + gap
        for v in column:
            ys[v] -= (y - gap) / 2
    for sweep in range(2 * SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            near = before if forward else after
            wish = {v: sum(ys[w] for w in near[v]) / len(near[v]) if near[v] else ys[v] for v in column}
            _settle(column, wish, size, gap, ys)
    return ys


def _settle(column: list[int], wish: dict[int, float], size: list[float], gap: float, ys: list[float]) -> None:
    """Set heights nearest to the wished ones, in order and apart: blocks that touch move as one (least squares)."""
    blocks: list[tuple[float, int, list[int]]] = []  # the sum of wished tops, how many, which
    offsets, offset = {}, 0.0
    for i, v in enumerate(column):
        if i:
            offset += (size[column[i - 1]] + size[v]) / 2 + gap
        offsets[v] = offset
        total, count, members = wish[v] - offset, 1, [v]
        while blocks and blocks[-1][0] / blocks[-1][1] > total / count:
            last = blocks.pop()
            total, count, members = total + last[0], count + last[1], last[2] + members
        blocks.append((total, count, members))
    for total, count, members in blocks:
        for v in members:
            ys[v] = total / count + offsets[v]
