"""What a freshly installed pynn must do anywhere: train, predict, save, load, export; prints hashes of its numbers.

    python -P smoke.py

The hashes are of weights and predictions. That of float32 is the same wherever bits are promised to be
(docs/guide/bits.md); products of float64 are SciPy's, whose bits are the machine's.
"""

import hashlib
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np

import pynn
from pynn import nn


def data(n, *shape):
    """Return numbers that any machine gives alike: none of NumPy's generators, whose bits could differ."""
    k = np.arange(n * int(np.prod(shape)), dtype=np.int64)
    return ((k * 7919 % 1009 - 504) / 512.0).reshape(n, *shape)


def trained(dtype, threads):
    """Return the weights and predictions of a network with convolutions, gates, dropout and norms."""
    pynn.set_num_threads(threads)
    x, y = data(48, 8, 8, 2).astype(dtype), np.arange(48) % 3
    layers = [nn.Input((8, 8, 2)), nn.Conv2D(6, 3, padding="same", activation="relu"), nn.BatchNormalization()]
    layers += [nn.MaxPool2D(2), nn.Reshape((4, 24)), nn.LSTM(9), nn.Dropout(0.2), nn.Dense(3)]
    model = nn.Sequential(layers).astype(dtype)
    model.compile("adam", "cross_entropy", seed=4)
    model.fit(x, y, epochs=3, batch_size=16, verbose=0)
    return model, x, [*model.get_weights(), model.predict(x)]


def main():
    """Train, compare, save and load."""
    hashes = []
    for dtype in ("float32", "float64"):
        model, x, found = trained(dtype, 1)
        digest = hashlib.sha256()
        for array in found:
            digest.update(np.ascontiguousarray(array).tobytes())
        hashes.append(f"{dtype} {digest.hexdigest()[:16]}")
        _, _, again = trained(dtype, 2)
        assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True)), "threads change bits"
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder, "model.pynn"))
            assert np.array_equal(pynn.load(Path(folder, "model.pynn")).predict(x), found[-1])
            assert pynn.export.to_c(model, Path(folder, "model.c"))
    system = f"{platform.machine()} {platform.libc_ver()[0] or platform.system()}"
    print(f"pynn {pynn.__version__}, Python {sys.version.split()[0]}, {system}: {', '.join(hashes)}")


main()
