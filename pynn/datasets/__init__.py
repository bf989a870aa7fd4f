"""Data sets: real images of digits, clothes and things, and small planes of points.

Images come as ``((x, y), (xt, yt))``, training part first; planes of points as ``(x, y)``.

>>> import pynn
>>> x, y = pynn.datasets.moons(n=100)
>>> x.shape, y.shape
((100, 2), (100,))
"""

from __future__ import annotations

from pynn.datasets.cifar import CIFAR10_LABELS, cifar10
from pynn.datasets.digits import digits
from pynn.datasets.images import FASHION_LABELS, fashion_mnist, mnist
from pynn.datasets.kaggle import kaggle_digits, write_submission
from pynn.datasets.planes import blobs, circles, moons, spirals, xor

__all__ = [
    "CIFAR10_LABELS",
    "FASHION_LABELS",
    "blobs",
    "cifar10",
    "circles",
    "digits",
    "fashion_mnist",
    "kaggle_digits",
    "mnist",
    "moons",
    "spirals",
    "write_submission",
    "xor",
]
