"""The pictures of recipes, drawn while the site is built by running those that need no download and little time.

A recipe that wants MNIST is run for few epochs on scikit-learn's digits, enlarged to 28 x 28, and the gallery says so.
One that takes too long is drawn from what its recorded run found (recorded.py).
"""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import pynn
import recorded
from pynn import recipes

__all__ = ["ALL", "AS_MNIST", "OWN", "SHORT", "draw"]

#: Recipes whose data come with them, in the order in which their pictures are made: the longest first.
OWN = (
    "decision-frontiers", "activations", "decision-regions", "overfitting", "initialization", "adaline",
    "rnn-topologies", "basis-functions", "xor", "rosenblatt", "digits", "perceptron", "connections", "filters",
    "linear-regression", "gradient-descent", "outliers", "logistic-regression",
)  # fmt: skip
#: Of these, those that are run for fewer epochs than their own.
SHORT = {"rosenblatt": 2}
#: Recipes that are run on other digits than MNIST's, and for how many epochs.
AS_MNIST = {
    "optimizers": 2, "autoencoder": 12, "adaline-lms": 1, "mnist-cnn": 2, "denoising-conv-autoencoder": 4,
    "best-stimuli": 2, "lenet5": 4, "mnist-mlp": 8, "mnist-softmax": 4, "invariances": 20,
}  # fmt: skip
#: All recipes that the gallery has pictures of.
ALL = (*AS_MNIST, *OWN, *recorded.PICTURES)
TRAIN, TEST = 700, 200
WIDTH, COLORS = 760, 96  # of a picture in the gallery


def draw(name: str, language: str) -> dict[str, bytes]:
    """Return the pictures of a recipe by file name, in the order in which it draws them, small enough for a page.

    Parameters
    ----------
    name : str
        One of `ALL`.
    language : {"en", "es"}
        Of the labels.
    """
    pynn.viz.language(language)
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data", Path(folder) / "out"
        if name in recorded.PICTURES:
            recorded.draw(name, out)
        else:
            _run(name, data, out)
        files = sorted(out.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return {path.name: _small(path) for path in files if path.suffix in (".png", ".gif")}


def _run(name: str, data: Path, out: Path) -> None:
    if name in AS_MNIST:
        _write_digits(data / "mnist")
    options = recipes.Options(data=data, out=out, epochs=AS_MNIST.get(name, SHORT.get(name)), threads=1, quiet=True)
    with contextlib.redirect_stdout(io.StringIO()):
        recipes.find(name).run(options)


def _small(path: Path) -> bytes:
    if path.suffix == ".gif":
        return path.read_bytes()
    with Image.open(path) as picture:
        page = picture.convert("RGB")
    page.thumbnail((WIDTH, 4 * WIDTH), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    page.quantize(COLORS, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _write_digits(folder: Path) -> None:
    """Write scikit-learn's digits as the four files of MNIST."""
    folder.mkdir(parents=True)
    parts = zip(("train", "t10k"), pynn.datasets.digits(), (TRAIN, TEST), strict=True)
    for part, (x, y), count in parts:
        large = np.zeros((count, 28, 28), np.uint8)
        large[:, 2:26, 2:26] = np.round(x[:count].repeat(3, axis=1).repeat(3, axis=2) * 255)
        images = struct.pack(">IIII", 2051, *large.shape) + large.tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = struct.pack(">II", 2049, count) + y[:count].astype(np.uint8).tobytes()
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
