"""What a convolution is: the classic filters of image processing, equivariance, and the matrix behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pynn import ops, viz
from pynn.recipes import report
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude

__all__ = ["CLASSIC", "banded_matrix", "drawn_picture", "filters"]

SIZE = 64
ROUNDING = 1e-5
EDGE = 12


#: Filters by name, to correlate with: y[i, j] = sum over r, s of x[i + r - 1, j + s - 1] k[r, s] for those of 3 x 3.
CLASSIC: dict[str, np.ndarray] = {
    title: ops.image_filter(name, size).astype(np.float32)
    for title, name, size in (
        ("shift", "shift", 3),
        ("box blur", "box", 5),
        ("Gaussian", "gaussian", 9),
        ("edges", "edge", 3),
        ("Sobel, across", "sobel_x", 3),
        ("Sobel, down", "sobel_y", 3),
        ("sharpen", "sharpen", 3),
    )
}


def drawn_picture(size: int = SIZE) -> np.ndarray:
    """Return a grey picture [size, size], float32 from 0 to 1: a sky with a sun, a hill, a house with a window."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    picture = 0.85 - 0.4 * y
    picture[np.hypot(y - 0.22, x - 0.25) < 0.11] = 1.0
    picture[y > 0.62 + 0.12 * np.cos(5 * x)] = 0.25
    picture[(abs(x - 0.66) < 0.16) & (y > 0.48) & (y < 0.85)] = 0.7
    picture[(y > 0.3) & (y < 0.48) & (abs(x - 0.66) < (y - 0.3) * 1.2)] = 0.1
    window = (abs(x - 0.66) < 0.07) & (abs(y - 0.62) < 0.07)
    picture[window] = 0.05
    picture[window & ((abs(x - 0.66) < 0.012) | (abs(y - 0.62) < 0.012))] = 0.9
    return picture.astype(np.float32)


def banded_matrix(kernel: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the matrix A for which A x.ravel() is the correlation ("valid") of x [height, width] with a kernel.

    Row i holds the kernel's weights at the pixels that output i sees: the same numbers in every row, moved by one, so
    that A is banded and almost all zeros.

    Parameters
    ----------
    kernel : ndarray [rows, columns]
    height, width : int
        Of the image, at least as large as the kernel.

    Returns
    -------
    ndarray [(height - rows + 1) * (width - columns + 1), height * width]

    Examples
    --------
    >>> banded_matrix(np.array([[1.0, 2.0]]), 1, 4)
    array([[1., 2., 0., 0.],
           [0., 1., 2., 0.],
           [0., 0., 1., 2.]])
    """
    rows, columns = kernel.shape
    oh, ow = height - rows + 1, width - columns + 1
    matrix = np.zeros((oh, ow, height, width), kernel.dtype)
    for i, j in np.ndindex(oh, ow):
        matrix[i, j, i : i + rows, j : j + columns] = kernel
    return matrix.reshape(oh * ow, height * width)


@recipe(
    "filters",
    shows="what a convolution is: classic filters, equivariance, and the banded matrix behind it, in pictures",
    data="drawn on the spot",
    expected=1.0,
    epochs=1,
    batch_size=1,
    measure=Measure("accuracy", "statements that hold"),
)
def filters(recipe: Recipe, options: Options) -> Result:
    """Filter a picture and check three statements: "accuracy" is the share that holds, "loss" the largest error."""
    start = time.perf_counter()
    picture = drawn_picture()
    filtered = {name: _correlate(picture, kernel) for name, kernel in CLASSIC.items()}
    small, edges = np.ascontiguousarray(picture[::4, ::4]), CLASSIC["edges"]
    matrix = banded_matrix(edges, *small.shape)
    statements = {
        "a filter is a weighted sum of neighbours": max(
            _difference(filtered[name], _by_hand(picture, kernel)) for name, kernel in CLASSIC.items()
        ),
        "filtering a shifted picture shifts the filtered picture": max(
            _difference(_moved(filtered[name]), _correlate(_moved(picture), kernel), EDGE)
            for name, kernel in CLASSIC.items()
        ),
        "a convolution is a product with a banded matrix": _difference(
            (matrix @ small.ravel()).reshape(14, 14), ops.correlate2d(small, edges, "valid").numpy()
        ),
    }
    seconds = time.perf_counter() - start
    for text, error in statements.items():
        print(f"{'holds' if error < ROUNDING else 'FAILS'}: {text} (largest difference {error:.1e})")
    report.write_pictures(options, _pictures(picture, filtered, small, matrix))
    held = np.mean([error < ROUNDING for error in statements.values()])
    figures = {"loss": max(statements.values()), "accuracy": float(held)}
    details = {"statements": {text: float(error) for text, error in statements.items()}}
    return conclude(recipe, options, figures, epochs=1, seconds=seconds, details=details)


def _correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return ops.correlate2d(image, kernel, "same").numpy()


def _by_hand(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    r, s = kernel.shape[0] // 2, kernel.shape[1] // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, ((r, r), (s, s))), kernel.shape)
    return (windows * kernel).sum(axis=(2, 3))


def _moved(image: np.ndarray) -> np.ndarray:
    """Return the picture 3 rows down and 5 columns across; what leaves comes in again at the other side."""
    return np.roll(image, (3, 5), axis=(0, 1))


def _difference(a: np.ndarray, b: np.ndarray, edge: int = 0) -> float:
    """Return the largest difference, without the outer pixels, where zeros met the picture."""
    return float(np.abs(a - b)[edge : len(a) - edge, edge : len(a) - edge].max())


def _inside(image: np.ndarray) -> np.ndarray:
    """Return an image without its outer pixels, on a scale from 0 to 1: what is left of it is what a statement is of.

    At the rim zeros met the picture in one case, its other side in the other. A grey frame marks what is left out.
    """
    framed = np.full_like(image, 0.5)
    middle = slice(EDGE, len(image) - EDGE)
    framed[middle, middle] = image[middle, middle]
    framed[EDGE - 2, EDGE - 2] = 1.0  # the scale of the picture
    return framed


def _pictures(
    picture: np.ndarray, filtered: dict[str, np.ndarray], small: np.ndarray, matrix: np.ndarray
) -> dict[str, Callable[[Path], Any]]:
    sobel = np.hypot(filtered["Sobel, across"], filtered["Sobel, down"])
    classic = {"the picture": picture, **filtered, "Sobel, length": sobel}
    edges = filtered["edges"]
    moved = {
        "the picture": picture,
        "its edges": edges,
        "its edges, shifted": _moved(edges),
        "shifted": _moved(picture),
        "edges of the shifted picture": _correlate(_moved(picture), CLASSIC["edges"]),
        "their difference, inside": _inside(np.abs(_moved(edges) - _correlate(_moved(picture), CLASSIC["edges"]))),
    }
    product = (matrix @ small.ravel()).reshape(14, 14)
    shown = np.where(matrix == 0, 0.0, np.sign(matrix) * np.sqrt(np.abs(matrix)))
    banded = {
        "A, 196 x 256: the edge filter as a matrix": shown,
        "A, its first 48 rows and columns": shown[:48, :48],
        "x, 16 x 16": small,
        "A x, 14 x 14": product,
    }
    return {
        "filters.png": lambda path: viz.plot_images(classic, path, "The classic filters", columns=3),
        "equivariance.png": lambda path: viz.plot_images(moved, path, "Filter, then shift = shift, then filter", 3),
        "banded.png": lambda path: viz.plot_images(
            banded, path, "A convolution is a product with a banded matrix", 2, 3.0
        ),
    }
