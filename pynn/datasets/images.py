"""MNIST and Fashion-MNIST: 70,000 grey images of 28 x 28, in ten classes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pynn.datasets.fetch import FileSet, locate
from pynn.datasets.idx import read_idx
from pynn.errors import DataError

__all__ = ["FASHION_LABELS", "fashion_mnist", "mnist"]

Part = tuple[np.ndarray, np.ndarray]

CLASSES = 10
FASHION_LABELS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

MNIST = FileSet(
    "mnist",
    (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)

FASHION_MNIST = FileSet(
    "fashion-mnist",
    (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        # Amazon serves websites from buckets without TLS; the checksums guard the content.
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
)


def mnist(data: str | os.PathLike[str] | None = None, *, progress: bool = True) -> tuple[Part, Part]:
    """Return MNIST, handwritten digits: ``(x, y), (xt, yt)`` with 60,000 and 10,000 images.

    Parameters
    ----------
    data : path-like, optional
        Folder with the four files (in it or in its folder ``mnist``), packed by gzip or not. Default: the folder
        named by the environment variable ``PYNN_DATA``; without one, the files are downloaded once into the user's
        cache and their checksums verified.
    progress : bool, default True
        Show the progress of a download.

    Returns
    -------
    (x, y), (xt, yt) : tuples of ndarray
        Images uint8 [n, 28, 28], 0 is background; labels int64 [n], 0 to 9.

    Raises
    ------
    DataError
        If a file is missing, truncated or corrupt; the message names it.
    ImportError
        If a download is needed and pooch (extra ``data``) is not installed.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document recognition",
    Proceedings of the IEEE 86 (11), 1998.

    Examples
    --------
    >>> (x, y), (xt, yt) = mnist()  # doctest: +SKIP
    >>> x.shape, x.dtype  # doctest: +SKIP
    ((60000, 28, 28), dtype('uint8'))
    """
    return _load(MNIST, data, progress)


def fashion_mnist(data: str | os.PathLike[str] | None = None, *, progress: bool = True) -> tuple[Part, Part]:
    """Return Fashion-MNIST, clothes in ten classes (`FASHION_LABELS`): 60,000 and 10,000 images.

    Parameters, returns and errors are those of :func:`mnist`; the folder is ``fashion-mnist``.

    Parameters
    ----------
    data : path-like, optional
        Where the files are, or are put.
    progress : bool, default True
        Show a bar while data are fetched.

    References
    ----------
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", arXiv:1708.07747, 2017.

    Examples
    --------
    >>> (x, y), (xt, yt) = fashion_mnist()  # doctest: +SKIP
    >>> FASHION_LABELS[9]
    'Ankle boot'
    """
    return _load(FASHION_MNIST, data, progress)


def _load(files: FileSet, data: str | os.PathLike[str] | None, progress: bool) -> tuple[Part, Part]:
    paths = locate(files, data, progress)
    return _part(paths, "train"), _part(paths, "t10k")


def _part(paths: dict[str, Path], part: str) -> Part:
    image_path, label_path = paths[f"{part}-images-idx3-ubyte.gz"], paths[f"{part}-labels-idx1-ubyte.gz"]
    x, y = read_idx(image_path), read_idx(label_path)
    if x.dtype != np.uint8 or x.ndim != 3 or x.shape[1:] != (28, 28) or len(x) == 0:
        raise DataError(f"{image_path}: expected images uint8 [n, 28, 28]. Received: {x.dtype} {list(x.shape)}.")
    if y.dtype != np.uint8 or y.ndim != 1:
        raise DataError(f"{label_path}: expected labels uint8 [n]. Received: {y.dtype} {list(y.shape)}.")
    if len(x) != len(y):
        raise DataError(
            f"{label_path}: expected one label for each of the {len(x)} images in {image_path}. "
            f"Received: {len(y)} labels."
        )
    if y.max() >= CLASSES:
        at = int(np.argmax(y >= CLASSES))
        raise DataError(f"{label_path}: expected labels 0 to {CLASSES - 1}. Received: {y[at]} at index {at}.")
    return x, y.astype(np.int64)
