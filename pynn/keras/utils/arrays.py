"""Labels as rows of ones and zeros, rows of length 1, and data in two parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn.errors import DataError, ShapeError
from pynn.keras.preprocessing.sequence import pad_sequences

__all__ = ["normalize", "pad_sequences", "split_dataset", "to_categorical"]


def to_categorical(
    y: Any = None, num_classes: int | None = None, dtype: Any = "float32", x: Any = None, nb_classes: int | None = None
) -> np.ndarray:
    """Return a row for each label: 1 at its class, 0 elsewhere.

    Parameters
    ----------
    y : array_like of int, shape [...] or [..., 1]
    num_classes : int, optional
        The largest label and 1 by default.
    dtype : dtype, default "float32"
    x : array_like, optional
        What Keras 3 calls y.
    nb_classes : int, optional
        What Keras 1 calls num_classes.

    Raises
    ------
    DataError
        If a label is not in [0, num_classes).

    Examples
    --------
    >>> to_categorical([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(x if y is None else y)
    if labels.dtype.kind not in "iubf":
        raise DataError(f"[to_categorical] expected labels that are whole numbers. Received: dtype={labels.dtype}.")
    labels = labels.astype(np.int64)
    shape = labels.shape[:-1] if labels.ndim > 1 and labels.shape[-1] == 1 else labels.shape
    labels = labels.reshape(-1)
    given = nb_classes if num_classes is None else num_classes
    classes = int(labels.max(initial=-1)) + 1 if given is None else int(given)
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        at = int(np.argmax((labels < 0) | (labels >= classes)))
        raise DataError(f"[to_categorical] expected labels 0 to {classes - 1}. Received: {labels[at]} at index {at}.")
    out = np.zeros((labels.size, classes), dtype)
    out[np.arange(labels.size), labels] = 1
    return out.reshape((*shape, classes))


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray:
    """Return x / its norm along an axis; where the norm is 0, x.

    Parameters
    ----------
    x : array_like
    axis : int, default -1
    order : int, default 2
    """
    size = np.atleast_1d(np.linalg.norm(x, order, axis))
    size[size == 0] = 1
    return np.asarray(x) / np.expand_dims(size, axis)


def split_dataset(
    dataset: Any,
    left_size: Any = None,
    right_size: Any = None,
    shuffle: bool = False,
    seed: int | None = None,
    **_: Any,
) -> tuple[Any, Any]:
    """Return two data sets: the first rows, and the others.

    Parameters
    ----------
    dataset : array_like, tuple of array_like, or tf.data.Dataset
    left_size, right_size : int or float, optional
        Rows, or a part of them.
    shuffle : bool, default False
        Mix the rows before.
    seed : int, optional
        Of the mixing.
    """
    from pynn.keras.tensorflow.data import Dataset

    source = dataset if isinstance(dataset, Dataset) else Dataset.from_tensor_slices(dataset)
    elements = list(source._walk())
    if shuffle:
        elements = [elements[i] for i in np.random.default_rng(seed).permutation(len(elements))]
    n = len(elements)

    def rows(size: Any) -> int:
        return math.floor(size * n) if isinstance(size, float) else int(size)

    if left_size is None and right_size is None:
        raise ValueError("[split_dataset] expected left_size or right_size. Received: neither.")
    left = rows(left_size) if left_size is not None else n - rows(right_size)
    right = n - left if right_size is None else rows(right_size)
    if not 0 < left < n or left + right > n:
        raise ShapeError(f"[split_dataset] expected two parts of {n} rows. Received: {left} and {right}.")
    a, b = elements[:left], elements[left : left + right]
    return Dataset(lambda: iter(a), len(a)), Dataset(lambda: iter(b), len(b))
