"""A folder like MNIST's that is made on the spot, for recipes that want one."""

import gzip
import struct

import numpy as np
import pytest

import pynn


def digits_as_mnist(root, train, test):
    """Write scikit-learn's digits, enlarged to 28 x 28, as the files of MNIST below `root`; returns it."""
    pytest.importorskip("sklearn")
    (x, y), (xt, yt) = pynn.datasets.digits()
    folder = root / "mnist"
    folder.mkdir()
    for part, images, labels in (("train", x[:train], y[:train]), ("t10k", xt[:test], yt[:test])):
        large = np.zeros((len(images), 28, 28), np.uint8)
        large[:, 2:26, 2:26] = np.round(images.repeat(3, axis=1).repeat(3, axis=2) * 255)
        header = struct.pack(">IIII", 2051, len(large), 28, 28)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + large.tobytes()))
        header = struct.pack(">II", 2049, len(labels))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels.astype(np.uint8).tobytes()))
    return root
