"""Learning without a teacher and without gradients: the neocognitron's rule, by representatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pynn.checks import number, positive, reals, written
from pynn.core.context import training
from pynn.core.state import no_grad
from pynn.core.tensor import tensor
from pynn.errors import ShapeError
from pynn.nn.neocognitron import SCells
from pynn.nn.sequential import Sequential

__all__ = ["representatives", "self_organize"]


def representatives(responses: np.ndarray, column: int) -> dict[int, tuple[int, int]]:
    """Return the S-cells that stand for their planes: of each plane the strongest among those that lead their column.

    A column holds the cells of all planes within column x column places; columns begin at every place, so they
    overlap. The strongest cell of each is a candidate. Of a plane's candidates the strongest represents it; a plane
    without any has none, nor has one whose cells are silent.

    Parameters
    ----------
    responses : ndarray [H, W, planes]
    column : int
        At most H and W count.

    Returns
    -------
    dict of int to (int, int)
        Plane to row and column.

    Examples
    --------
    >>> responses = np.zeros((3, 3, 2))
    >>> responses[0, 0, 0], responses[2, 2, 0], responses[2, 1, 1] = 0.5, 0.7, 0.6
    >>> representatives(responses, 2)
    {0: (2, 2), 1: (2, 1)}
    """
    height, width, _ = responses.shape
    size = min(column, height), min(column, width)
    plane, best = responses.argmax(axis=2), responses.max(axis=2)
    windows = np.lib.stride_tricks.sliding_window_view(best, size)
    flat = windows.reshape(*windows.shape[:2], -1).argmax(axis=2)
    corners = np.indices(flat.shape)
    places = np.stack([corners[0] + flat // size[1], corners[1] + flat % size[1]], axis=-1).reshape(-1, 2)
    found: dict[int, tuple[int, int]] = {}
    for i, j in np.unique(places, axis=0).tolist():
        k = int(plane[i, j])
        if best[i, j] > 0 and (k not in found or best[i, j] > best[found[k]]):
            found[k] = i, j
    return dict(sorted(found.items()))


def self_organize(
    model: Sequential,
    images: Any,
    *,
    rates: float | Sequence[float] = 16.0,
    columns: int | Sequence[int] = 5,
    passes: int = 1,
    together: bool = True,
) -> list[np.ndarray]:
    """Let the S-cells of a chain of layers find features by themselves: a += q c x, b += q / 2 v, of representatives.

    Every image goes through the chain. In each layer of S-cells :func:`representatives` are chosen, and all cells of
    a representative's plane take over a little of what it sees: x and v are the input and the inhibition at its place,
    q is the layer's rate. Features that no plane answers to yet are left to planes that have learnt nothing, whose
    first weights let them answer weakly to all; what a plane knows it keeps for itself. Labels are not needed.

    Parameters
    ----------
    model : Sequential
        Its layers of :class:`SCells`, directly in the chain, learn; all others stay as they are.
    images : array_like [N, H, W, C]
        As the model takes them, of at least 0; they are shown in their order.
    rates : float or sequence of float, default 16.0
        q, one for all layers of S-cells or one for each.
    columns : int or sequence of int, default 5
        Side of the columns in which S-cells compete, one for all or one for each.
    passes : int, default 1
        How often the images are shown.
    together : bool, default True
        Whether all layers learn from each image, as in the paper. False lets one learn from all images before the
        next begins, so that it learns from features that stay.

    Returns
    -------
    list of ndarray of int [planes]
        Of each layer of S-cells, how often each plane was reinforced.

    Raises
    ------
    ValueError
        If the model has no S-cells, if there is not a rate and a column for each layer of them, or if an image has
        numbers below 0 or that are not finite.
    ShapeError
        If these are no images that the model takes.
    TypeError
        If the model is no Sequential.

    References
    ----------
    Fukushima, "Neocognitron: a self-organizing neural network model for a mechanism of pattern recognition unaffected
    by shift in position", Biological Cybernetics 36, 1980: equations 7 and 8.

    Examples
    --------
    >>> from pynn import nn
    >>> model = nn.Sequential([nn.Input((5, 5, 1)), nn.SCells(4, 3), nn.CCells(3)])
    >>> bar = np.zeros((1, 5, 5, 1), "float32")
    >>> bar[:, :, 2] = 1
    >>> [int(counts.sum()) for counts in self_organize(model, bar, passes=3)]
    [3]
    """
    place = "self_organize"
    if not isinstance(model, Sequential):
        raise TypeError(f"[{place}] expected model to be a chain of layers, nn.Sequential. Received: {written(model)}.")
    x = reals(place, "images", images).astype(model.dtype)
    if x.ndim != 4:
        raise ShapeError(f"[{place}] expected images [N, H, W, C]. Received: shape {x.shape}.")
    if not np.isfinite(x).all() or (x.size and x.min() < 0):
        raise ValueError(f"[{place}] expected finite numbers of at least 0. help: scale images to 0..1.")
    if not model.built:
        model.build(x.shape)
    chain = list(model.layers)
    cells = [layer for layer in chain if isinstance(layer, SCells)]
    if not cells:
        raise ValueError(f"[{place}] expected a chain with layers of nn.SCells. Received: none among its layers.")
    speed = [number(place, "rates", q, 0, open_low=True) for q in _each(place, "rates", rates, len(cells))]
    sides = [positive(place, "columns", side) for side in _each(place, "columns", columns, len(cells))]
    counts = [np.zeros(layer.planes, int) for layer in cells]
    stages: list[Sequence[int]] = [range(len(cells))] if together else [[i] for i in range(len(cells))]
    with no_grad(), training(False):
        for stage in stages:
            last = chain.index(cells[stage[-1]])
            for _ in range(positive(place, "passes", passes)):
                for image in x:
                    _show(image, chain[: last + 1], {id(cells[i]): (speed[i], sides[i], counts[i]) for i in stage})
    return counts


def _each(place: str, name: str, given: Any, layers: int) -> list[Any]:
    values = list(given) if np.ndim(given) else [given] * layers
    if len(values) != layers:
        raise ValueError(
            f"[{place}] expected {name} to be one number, or one for each of {layers} layers of S-cells. "
            f"Received: {given!r}."
        )
    return values


def _show(image: np.ndarray, chain: list[Any], learning: dict[int, tuple[float, int, np.ndarray]]) -> None:
    """Let an image through; the cells that learn are reinforced once all have answered."""
    x, changes = tensor(image[None]), []
    for layer in chain:
        y = layer(x)
        if id(layer) in learning:
            rate, side, counts = learning[id(layer)]
            changes.append((layer, x.numpy()[0], representatives(y.numpy()[0], side), rate, counts))
        x = y
    for layer, seen, chosen, rate, counts in changes:
        _reinforce(layer, seen, chosen, rate)
        counts[list(chosen)] += 1


def _reinforce(layer: SCells, x: np.ndarray, chosen: dict[int, tuple[int, int]], rate: float) -> None:
    if not chosen:
        return
    top, bottom, left, right = layer.sides((1, *x.shape))
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)))
    rows, columns = layer.kernel_size
    a, b, c = layer.a.numpy(), layer.b.numpy(), layer.inhibition(x.shape[2])
    for plane, (i, j) in chosen.items():
        seen = padded[i : i + rows, j : j + columns]
        a[:, :, :, plane] += rate * c * seen
        b[plane] += rate / 2 * np.sqrt((c * seen * seen).sum())
    layer.a, layer.b = a, b  # type: ignore[assignment]
