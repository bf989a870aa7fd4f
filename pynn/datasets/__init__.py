"""Data sets: real images of digits, clothes and things, real texts, and small planes of points.

Images and reviews come as ``((x, y), (xt, yt))``, training part first; planes of points as ``(x, y)``; texts as str.

>>> import pynn
>>> x, y = pynn.datasets.moons(n=100)
>>> x.shape, y.shape
((100, 2), (100,))
"""

from __future__ import annotations

from pynn.datasets.cifar import CIFAR10_LABELS, cifar10
from pynn.datasets.digits import digits
from pynn.datasets.images import FASHION_LABELS, fashion_mnist, mnist
from pynn.datasets.imdb import imdb, imdb_texts, imdb_tokenizer
from pynn.datasets.kaggle import kaggle_digits, write_submission
from pynn.datasets.planes import blobs, circles, moons, spirals, xor
from pynn.datasets.shakespeare import split_text, tiny_shakespeare
from pynn.datasets.spoken_digits import SpokenDigits, spoken_digits
from pynn.datasets.text import text

__all__ = [
    "CIFAR10_LABELS",
    "FASHION_LABELS",
    "SpokenDigits",
    "blobs",
    "cifar10",
    "circles",
    "digits",
    "fashion_mnist",
    "imdb",
    "imdb_texts",
    "imdb_tokenizer",
    "kaggle_digits",
    "mnist",
    "moons",
    "spirals",
    "split_text",
    "spoken_digits",
    "text",
    "tiny_shakespeare",
    "write_submission",
    "xor",
]
