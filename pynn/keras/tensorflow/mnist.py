"""MNIST in the form that the tutorials of TensorFlow 1 read it."""

from __future__ import annotations

import os
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np

from pynn import datasets

__all__ = ["DataSet", "Datasets", "read_data_sets"]

Datasets = namedtuple("Datasets", ["train", "validation", "test"])
VALIDATION = 5000


class DataSet:
    """Images and labels that are given out batch by batch, in another order in each pass.

    Parameters
    ----------
    images : ndarray, shape [n, 784] or [n, 28, 28, 1]
    labels : ndarray, shape [n] or [n, 10]
    seed : int, optional
        Of the orders.
    """

    def __init__(self, images, labels, seed=None):
        self.images, self.labels = images, labels
        self.num_examples, self.epochs_completed = len(images), 0
        self._at = 0
        self._random = np.random.default_rng(seed)
        self._order = None

    def next_batch(self, batch_size: int, fake_data: bool = False, shuffle: bool = True) -> tuple[np.ndarray,
                   np.ndarray]:  # fmt: skip
        """Return the next images and labels; at the end of a pass the next one begins.

        Parameters
        ----------
        batch_size : int
        fake_data : bool, default False
            Refused.
        shuffle : bool, default True
            Whether each pass has an order of its own.
        """
        if fake_data:
            raise ValueError("[next_batch] expected fake_data=False: the images are real here.")
        if self._order is None:
            self._order = self._ordered(shuffle)
        rows = self._order[self._at : self._at + batch_size]
        self._at += batch_size
        if self._at > self.num_examples:
            self.epochs_completed += 1
            self._order = self._ordered(shuffle)
            self._at = batch_size - len(rows)
            rows = np.concatenate([rows, self._order[: self._at]])
        return self.images[rows], self.labels[rows]

    def _ordered(self, shuffle):
        return self._random.permutation(self.num_examples) if shuffle else np.arange(self.num_examples)


def read_data_sets(train_dir: str | os.PathLike[str], fake_data: bool = False, one_hot: bool = False, dtype="float32",
                   reshape: bool = True, validation_size: int = VALIDATION, seed: int | None = None,
                   source_url: str = ""):  # fmt: skip
    """Return MNIST as three sets: 55,000 images for training, 5,000 for validation, 10,000 for the test.

    Parameters
    ----------
    train_dir : path-like
        The folder of the four files, if they are there; else they are found as :func:`pynn.datasets.mnist` finds them.
    fake_data : bool, default False
        Refused.
    one_hot : bool, default False
        Labels as rows of ten numbers.
    dtype : {"float32", "uint8"}, default "float32"
        Pixels from 0 to 1, or from 0 to 255.
    reshape : bool, default True
        Images as rows of 784 numbers.
    validation_size : int, default 5000
        So many of the first images are for validation.
    seed : int, optional
        Of the order in which batches are given out.
    source_url : str
        Not used.
    """
    if fake_data:
        raise ValueError("[read_data_sets] expected fake_data=False: the images are real here.")
    folder = Path(train_dir)
    given = folder if any(folder.glob("*train-images-idx3-ubyte*")) else None
    (x, y), (xt, yt) = datasets.mnist(given)
    whole = getattr(dtype, "name", dtype) == "uint8" or dtype is np.uint8

    def made(images, labels):
        pixels = images.reshape(len(images), 784) if reshape else images[..., None]
        if not whole:
            pixels = pixels.astype(np.float32) / np.float32(255)
        return DataSet(pixels, np.eye(10)[labels] if one_hot else labels.astype(np.uint8), seed)

    n = validation_size
    return Datasets(made(x[n:], y[n:]), made(x[:n], y[:n]), made(xt, yt))


# It is its own module of this name.
input_data = sys.modules[f"{__name__}.input_data"] = sys.modules[__name__]
