"""The neocognitron: five digits recognized wherever they stand, and features of MNIST found without a teacher."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude, hold_out

__all__ = ["five_digits", "neocognitron", "of_1980", "recognized", "shifted", "shrunk", "strongest"]

SIZE = 16
#: Strokes of one pixel, 9 rows of 7, "#" is 1.
DIGITS = (
    "..###.. .#...#. #.....# #.....# #.....# #.....# #.....# .#...#. ..###..",
    "...#... ..##... ...#... ...#... ...#... ...#... ...#... ...#... ..###..",
    "..###.. .#...#. #.....# ......# .....#. ...##.. ..#.... .#..... #######",
    ".#####. ......# .....#. ....#.. ..###.. .....#. ......# .....#. .####..",
    ".....#. ....##. ...#.#. ..#..#. .#...#. ####### .....#. .....#. .....#.",
)
ROWS, COLUMNS = 9, 7
MIDDLE, REACH = (3, 4), 3  # of the digit's corner, and the moves by which it is tested
PRESENTATIONS, ORDERS = 20, 4
STRONGEST = 8  # planes of each layer that are drawn
LEARNT_FROM, ORGANIZED_BY, REFERENCES = 20_000, 200, 5_000  # images of MNIST
MOVES = (0, 1, 2, 3, 4)


def five_digits(row: int = MIDDLE[0], column: int = MIDDLE[1]) -> np.ndarray:
    """Return the digits 0 to 4 as images [5, 16, 16, 1] with their upper left corner at a place.

    Parameters
    ----------
    row : int, default 3
        From 0 to 7.
    column : int, default 4
        From 0 to 9.

    Examples
    --------
    >>> x = five_digits()
    >>> x.shape, x.sum(axis=(1, 2, 3)).astype(int).tolist()
    ((5, 16, 16, 1), [20, 12, 20, 18, 19])
    """
    images = np.zeros((len(DIGITS), SIZE, SIZE, 1), np.float32)
    for image, digit in zip(images, DIGITS, strict=True):
        points = np.array([[point == "#" for point in line] for line in digit.split()])
        image[row : row + ROWS, column : column + COLUMNS, 0] = points
    return images


def of_1980(planes: int = 24) -> nn.Sequential:
    """Return the network of the paper, not yet organized: 16 x 16 - 16, 10 - 8, 6 - 2, 1 cells a side of each plane.

    Parameters
    ----------
    planes : int, default 24
        In every layer.

    Notes
    -----
    The sizes of all layers, the areas of their cells, r and alpha are the paper's. It says that cells lie less densely
    in higher layers, but not how: here C-cells of the first two stages lie two S-cells apart. Nor does it print c and
    d; here c fades by 0.8 with every place, and so does d.
    """
    edge = ((3, 4), (3, 4))
    return nn.Sequential(
        [
            nn.Input((SIZE, SIZE, 1)),
            nn.SCells(planes, 5, "same", selectivity=4.0, decay=0.8, name="S1"),
            nn.CCells(5, 2, edge, name="C1"),
            nn.SCells(planes, 5, 1, selectivity=1.5, decay=0.8, name="S2"),
            nn.CCells(5, 2, edge, name="C2"),
            nn.SCells(planes, 5, selectivity=1.5, decay=0.8, name="S3"),
            nn.CCells(2, name="C3"),
        ]
    )


def recognized(model: nn.Sequential, reach: int | None = REACH) -> tuple[list[int], float]:
    """Return the last cell of each digit, and the share of places where it, and no other cell, answers to its digit.

    Parameters
    ----------
    model : Sequential
        Its last layer has one cell a plane.
    reach : int or None, default 3
        Rows and columns from the middle by which digits are moved; None stands for all places at which they fit.

    Returns
    -------
    cells : list of int
        Of each digit the cell that answers to it most often.
    share : float
        0 where two digits have one cell.
    """
    rows, columns = range(SIZE - ROWS + 1), range(SIZE - COLUMNS + 1)
    places = [(i, j) for i in rows for j in columns]
    if reach is not None:
        places = [(i, j) for i, j in places if abs(i - MIDDLE[0]) <= reach and abs(j - MIDDLE[1]) <= reach]
    images = np.concatenate([five_digits(i, j) for i, j in places])
    answers = model.predict(images).reshape(len(places), len(DIGITS), -1)
    cells = [int(np.bincount(own.argmax(axis=1)).argmax()) for own in answers.swapaxes(0, 1)]
    if len(set(cells)) < len(cells):
        return cells, 0.0
    alone = (answers > 0).sum(axis=2) == 1
    return cells, float(np.mean(alone & (answers.argmax(axis=2) == cells)))


def shrunk(images: np.ndarray) -> np.ndarray:
    """Return images of 28 x 28 bytes as 16 x 16 numbers from 0 to 1: each the mean of 2 x 2 pixels, with an edge of 0.

    Parameters
    ----------
    images : ndarray of uint8 [N, 28, 28]

    Examples
    --------
    >>> float(shrunk(np.full((1, 28, 28), 255, np.uint8)).sum())
    196.0
    """
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2))).astype(np.float32) / 255
    return padded.reshape(len(images), SIZE, 2, SIZE, 2).mean(axis=(2, 4))[..., None]


def shifted(images: np.ndarray, by: int, seed: int = 0) -> np.ndarray:
    """Return images moved by some pixels along one axis or both, each in one of eight directions; 0 follows.

    Parameters
    ----------
    images : ndarray [N, H, W, C]
    by : int
    seed : int, default 0
        For the directions.

    Examples
    --------
    >>> x = np.zeros((8, 5, 5, 1))
    >>> x[:, 2, 2] = 1
    >>> int(shifted(x, 1)[:, 2, 2].sum()), int(shifted(x, 1).sum())
    (0, 8)
    """
    ways = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
    chosen = np.random.default_rng(seed).integers(0, len(ways), len(images))
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (by, by), (by, by), (0, 0)))
    moved = np.empty_like(images)
    for k, (i, j) in enumerate(by * ways):
        rows, columns = slice(by - i, by - i + height), slice(by - j, by - j + width)
        moved[chosen == k] = padded[chosen == k, rows, columns]
    return moved


@recipe(
    "neocognitron",
    shows="cells that organize themselves: five digits recognized wherever they stand, and a reader of MNIST on top",
    data="digits drawn on the spot; MNIST (11 MB: --data, PYNN_DATA, or a download)",
    expected=0.92,
    epochs=10,
    batch_size=128,
    measure=Measure("accuracy", "test accuracy of a reader on self-organized features"),
)
def neocognitron(recipe: Recipe, options: Options) -> Result:
    """Repeat the simulation of 1980; then organize two stages on 200 images of MNIST and read them by softmax.

    The features are found without labels; only the reader on top learns from them, 18,000 of them, and so do a
    multilayer perceptron and a convolutional network, which are tested on shifted images beside it. None of the three
    has seen a shift.
    """
    start = time.perf_counter()
    simulation = _simulated(options.seed)
    cells, share = recognized(simulation)
    orders = [share, *(recognized(_simulated(options.seed + other))[1] for other in range(1, ORDERS))]
    everywhere = recognized(simulation, reach=None)[1]
    if not options.quiet:
        print(f"0 to 4, {PRESENTATIONS} presentations each, lead to the cells {cells} of the last layer.")
        print(f"Each of these cells alone answers, and to its digit alone, at {share:.1%} of the places within")
        print(f"{REACH} pixels of the middle, and at {everywhere:.1%} of all places at which the digit fits.")
        print("Presented in other orders:", ", ".join(f"{other:.1%}" for other in orders[1:]))
    models, found = _digits(options)
    seconds = time.perf_counter() - start
    curves = {name: (MOVES, values) for name, values in found["shifted"].items()}
    four = five_digits()[4]
    report.write_pictures(
        options,
        {
            "planes-1980.png": lambda path: viz.plot_images(_planes(simulation), path, "Planes of S1, 1980", 8, 1.0),
            "planes-mnist.png": lambda path: viz.plot_images(_planes(models), path, "Planes of S1, MNIST", 6, 1.0),
            "responses.png": lambda path: viz.plot_images(
                strongest(simulation, four), path, columns=STRONGEST, size=1.0
            ),
            "shift.png": lambda path: _draw_shifts(curves, path),
        },
    )
    return conclude(
        recipe,
        options,
        {"accuracy": found["shifted"]["neocognitron"][0], "recognized": share, "everywhere": everywhere},
        epochs=options.epochs or recipe.epochs,
        seconds=seconds,
        parameters=found["parameters"],
        details={"cells": cells, "orders": orders, "everywhere": everywhere, "moves": list(MOVES), **found},
    )


def _simulated(seed: int) -> nn.Sequential:
    """Return the network of 1980 after 20 presentations of every digit in the middle, in an order of its own."""
    order, model = np.random.default_rng(seed), of_1980()
    stimuli = np.concatenate([five_digits()[order.permutation(len(DIGITS))] for _ in range(PRESENTATIONS)])
    nn.self_organize(model, stimuli, rates=(1.0, 16.0, 16.0), columns=(5, 5, 2))
    return model


def _two_stages() -> list[nn.Module]:
    """Return layers for digits 10 pixels high: smaller areas than those of 1980, chosen on held-out images."""
    return [
        nn.SCells(12, 3, "same", selectivity=2.5, name="S1"),
        nn.CCells(3, 2, "same", decay=0.6, name="C1"),
        nn.SCells(64, 3, "same", selectivity=1.5, name="S2"),
        nn.CCells(3, 2, "same", decay=0.6, name="C2"),
    ]


def _digits(options: Options) -> tuple[nn.Sequential, dict[str, Any]]:
    """Organize two stages on MNIST; train and test a reader of them and two other networks."""
    (images, labels), (xt, yt) = pynn.datasets.mnist(options.data, progress=not options.quiet)
    chosen = np.random.default_rng(options.seed).permutation(len(images))[:LEARNT_FROM]
    (x, y), validation = hold_out(shrunk(images[chosen]), labels[chosen])
    xt = shrunk(xt)
    cells = nn.Sequential([nn.Input((SIZE, SIZE, 1)), *_two_stages(), nn.Flatten()])
    counts = nn.self_organize(cells, x[:ORGANIZED_BY], together=False, columns=3)
    read, width = cells.predict(x), int(np.prod(cells.predict(x[:1]).shape))
    networks: dict[str, list[Any]] = {
        "neocognitron": [nn.Input((width,))],
        "MLP": [nn.Input((SIZE, SIZE, 1)), nn.Flatten(), nn.Dense(128, activation="relu")],
        "CNN": [
            nn.Input((SIZE, SIZE, 1)),
            nn.Conv2D(16, 3, padding="same", activation="relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(32, 3, padding="same", activation="relu"),
            nn.MaxPool2D(2),
            nn.Flatten(),
        ],
    }
    accuracies: dict[str, list[float]] = {}
    found: dict[str, Any] = {"planes": [int((count > 0).sum()) for count in counts], "shifted": accuracies}
    for name, layers in networks.items():
        model = nn.Sequential([*layers, nn.Dense(10, activation="softmax")])
        model.compile(pynn.optim.Adam(2e-3), "cross_entropy", ["accuracy"], seed=options.seed)
        seen = (read, cells.predict) if name == "neocognitron" else (x, np.asarray)
        model.fit(seen[0], y, batch_size=options.batch_size, epochs=options.epochs or 1, verbose=0)
        held = model.evaluate(seen[1](validation[0]), validation[1])["accuracy"]
        accuracies[name] = [float(model.evaluate(seen[1](shifted(xt, by)), yt)["accuracy"]) for by in MOVES]
        if name == "neocognitron":
            found |= {"parameters": model.count_parameters(), "held_out": float(held)}
        if not options.quiet:
            shown = ", ".join(f"{by}: {a:.2%}" for by, a in zip(MOVES, accuracies[name], strict=True))
            print(f"{name:12} held out {held:.2%}; test images moved by {shown}")
    found["nearest"] = _nearest(read[:REFERENCES], y[:REFERENCES], cells.predict(xt), yt)
    if not options.quiet:
        print(f"class of the nearest of {REFERENCES:,} references, by the cosine: {found['nearest']:.2%}")
    return cells, found


def _nearest(references: np.ndarray, labels: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
    """Return the share of rows whose nearest reference, by the cosine, has their class."""
    unit = references / np.maximum(np.linalg.norm(references, axis=1, keepdims=True), 1e-9)
    right = 0
    for at in range(0, len(x), 1000):
        nearest = (x[at : at + 1000] @ unit.T).argmax(axis=1)
        right += int(np.sum(labels[nearest] == y[at : at + 1000]))
    return right / len(x)


def strongest(model: nn.Sequential, image: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the eight planes of each layer that answer most make of an image, by layer and number of the plane.

    Parameters
    ----------
    model : Sequential
        Of S- and C-cells.
    image : ndarray [H, W, C]
    """
    layers = [layer.name for layer in model.layers if isinstance(layer, (nn.SCells, nn.CCells))]
    found = {}
    for name, y in viz.feature_maps(model, image, layers=layers).items():
        if y.shape[:2] == (1, 1):
            continue  # a single cell is no picture
        for plane in np.argsort(-y.max(axis=(0, 1)), kind="stable")[:STRONGEST]:
            found[f"{name}, {plane}"] = y[:, :, plane]
    return found


def _planes(model: nn.Sequential) -> dict[str, np.ndarray]:
    """Return what the planes of the first S-cells look for."""
    weights = model.layers[0].a.numpy()[:, :, 0]
    return {str(k + 1): weights[:, :, k] for k in range(weights.shape[2])}


def _draw_shifts(curves: dict[str, Any], path: Path) -> Any:
    return viz.plot_curves({"Test images moved": curves}, path, x="pixels", y="accuracy", dots=True)
