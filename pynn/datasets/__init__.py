"""Data sets: real images of digits and clothes, and small planes of points.

Images come as ``((x, y), (xt, yt))``, training part first; planes of points as ``(x, y)``.

>>> import pynn
>>> x, y = pynn.datasets.moons(n=100)
>>> x.shape, y.shape
((100, 2), (100,))
"""

from __future__ import annotations

from pynn.datasets.digits import digits
from pynn.datasets.images import FASHION_LABELS, fashion_mnist, mnist
from pynn.datasets.planes import blobs, circles, moons, spirals, xor

__all__ = ["FASHION_LABELS", "blobs", "circles", "digits", "fashion_mnist", "mnist", "moons", "spirals", "xor"]
