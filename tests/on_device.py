"""A driver without a GPU (cuda_fake.cpp), and networks to train through it."""

import ctypes
import sys
from pathlib import Path

import cuda_shim
import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core import config


class Fake:
    """The driver of a GPU that there is not."""

    def __init__(self, path):
        self.path = path
        self.library = ctypes.CDLL(path)
        self.library.fake_count.restype = ctypes.c_longlong
        self.changed = {}

    def set(self, name, value):
        """Make it another machine, or a function fail with a status; 0 ends that."""
        usual = {"devices": 1, "driver": 13000, "memory": 1 << 32, "sm": 90}
        self.changed.setdefault(name, usual.get(name, 0))
        self.library.fake_set(name.encode(), ctypes.c_longlong(value))

    def count(self, name):
        """Return how often a function was called; "kernels", "sent" and "bytes" count those."""
        return self.library.fake_count(name.encode())

    def order(self, number):
        """Let threads run in another order."""
        self.library.fake_set(b"order", ctypes.c_longlong(number))


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    if cuda_shim.compiler() is None or sys.platform != "linux":
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("driver")
    return Fake(cuda_shim.build(Path(__file__).with_name("cuda_fake.cpp"), folder / "libcuda_fake.so"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package pynn_dl_cuda as it is built, but for its kernels, on sys.path."""
    folder = cuda_shim.packaged(tmp_path, pynn.__version__)
    monkeypatch.syspath_prepend(tmp_path)
    forgotten()
    yield folder
    forgotten()


def forgotten():
    for name in [name for name in sys.modules if name.partition(".")[0] == "pynn_dl_cuda"]:
        del sys.modules[name]


@pytest.fixture
def fake(driver, package, monkeypatch):
    monkeypatch.setenv("PYNN_CUDA_DRIVER", driver.path)
    yield driver
    for name, value in driver.changed.items():
        driver.set(name, value)
    driver.order(0)
    pynn.set_device("cpu")


RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 12)).astype(np.float32), RNG.integers(0, 4, 50)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
IDS = RNG.integers(0, 30, (50, 7))


def mlp():
    return nn.Sequential([nn.Input((12,)), nn.Dense(9, activation="relu"), nn.Dropout(0.2), nn.Dense(4)])


def cnn():
    layers = nn.Conv2D(6, 3, activation="relu"), nn.MaxPool2D(2), nn.Conv2D(4, 3, padding="same")
    return nn.Sequential([nn.Input((8, 8, 3)), *layers, nn.BatchNormalization(), nn.Flatten(), nn.Dense(4)])


def moved():
    layers = nn.RandomFlip(), nn.RandomRotation(rotation=0.1), nn.Conv2D(4, 3, strides=2), nn.GlobalAvgPool()
    return nn.Sequential([nn.Input((8, 8, 3)), *layers, nn.LayerNormalization(), nn.Dense(4)])


def looked_up(sparse):
    return nn.Sequential([nn.Input((7,)), nn.Embedding(30, 8, sparse=sparse), nn.Flatten(), nn.Dense(4)])


def recurrent(*layers):
    return lambda: nn.Sequential([nn.Input((6, 2)), *(layer() for layer in layers), nn.Dense(4)])


def own_weights():
    layers = nn.LocallyConnected2D(5, 3, strides=2, padding="same"), nn.LocallyConnected2D(3, 2), nn.Flatten()
    return nn.Sequential([nn.Input((8, 8, 3)), nn.ElasticDeformation(4, 2), *layers, nn.Dense(4)])


def normalized():
    layers = nn.Conv2D(6, 3), nn.BatchNormalization(), nn.GlobalAvgPool(), nn.Dense(9), nn.BatchNormalization()
    return nn.Sequential([nn.Input((8, 8, 3)), *layers, nn.Dense(4)])


def output_to_hidden(*, softmax):
    last = {"output_activation": "softmax"} if softmax else {}
    return lambda: nn.Sequential(
        [nn.Input((6, 2)), nn.Masking(), nn.JordanRNN(5, 3, **last), nn.GlobalMaxPool(), nn.Dense(4)]
    )


SEQUENCES = X.reshape(50, 6, 2)
PADDED = np.where(np.arange(7) < RNG.integers(1, 8, 50)[:, None], IDS + 1, 0)
GAPS = np.where(RNG.random((50, 6, 1)) < 0.3, 0, SEQUENCES).astype(np.float32)


def padded(*layers):
    return lambda: nn.Sequential(
        [nn.Input((7,)), nn.Embedding(31, 6, mask_zero=True), *(layer() for layer in layers), nn.Dense(4)]
    )


def gru_of_masked():
    layers = nn.Masking(), nn.GRU(5, return_sequences=True), nn.GlobalMaxPool()
    return nn.Sequential([nn.Input((6, 2)), *layers, nn.Dense(4)])


CASES = {
    "mlp": (mlp, X, Y, "adam", {}),
    "segments": (mlp, X, Y, "adam", {"accumulate": 2}),
    "clipped": (mlp, X, Y, lambda: pynn.optim.SGD(0.1, momentum=0.9, clip_norm=1.0), {}),
    "cnn": (cnn, IMAGES, Y[:20], "sgd", {}),
    "augmented": (moved, IMAGES, Y[:20], "rmsprop", {}),
    "table": (lambda: looked_up(False), IDS, Y, "adam", {}),
    "sparse": (lambda: looked_up(True), IDS, Y, "adam", {}),
    "lstm": (recurrent(lambda: nn.LSTM(5, peephole=True)), SEQUENCES, Y, "adam", {}),
    "gru": (recurrent(lambda: nn.GRU(5, recurrent_dropout=0.3)), SEQUENCES, Y, "adam", {}),
    "gru_before": (recurrent(lambda: nn.GRU(5, reset_after=False)), SEQUENCES, Y, "adam", {}),
    "both_ways": (recurrent(lambda: nn.Bidirectional(nn.SimpleRNN(5))), SEQUENCES, Y, "adam", {}),
    "lengths": (padded(lambda: nn.Bidirectional(nn.LSTM(5, peephole=True))), PADDED, Y, "adam", {}),
    "lengths_gru": (
        padded(lambda: nn.GRU(5, reset_after=False, return_sequences=True), lambda: nn.SimpleRNN(4)),
        PADDED,
        Y,
        "adam",
        {},
    ),
    "masks": (gru_of_masked, GAPS, Y, "adam", {}),
    "own_weights": (own_weights, IMAGES, Y[:20], "adam", {}),
    "normalized_segments": (normalized, IMAGES, Y[:20], "sgd", {"accumulate": 4}),
    "sparse_segments": (lambda: looked_up(True), IDS, Y, "adam", {"accumulate": 2}),
    "jordan": (output_to_hidden(softmax=False), GAPS, Y, "adam", {}),
    "jordan_softmax": (output_to_hidden(softmax=True), SEQUENCES, Y, "adam", {}),
    "deep": (recurrent(lambda: nn.LSTM(70, return_sequences=True), lambda: nn.LSTM(3)), SEQUENCES, Y, "adam", {}),
}


def compiled(case):
    make, _, _, optimizer, _ = CASES[case]
    model = make()
    optimizer = optimizer() if callable(optimizer) else optimizer
    model.compile(optimizer=optimizer, loss="cross_entropy", metrics=["accuracy"], seed=0)
    return model


def values(model):
    return [t.numpy() for module in model.modules() for t in module._weights.values()]


def trained(case, device, epochs=2, **more):
    """Return what a training on a device leaves behind: weights, history, predictions, loss and metrics."""
    _, x, y, _, options = CASES[case]
    pynn.set_device(device)
    model = compiled(case)
    history = model.fit(x, y, epochs=epochs, batch_size=16, verbose=0, **options, **more)
    return [*values(model), model.predict(x)], history.history, dict(model.evaluate(x, y))


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one[0], other[0], strict=True)) and one[1:] == other[1:]


@pytest.fixture
def direct():
    before = config.get_convolution()
    config.set_convolution("direct")
    yield
    config.set_convolution(before)
