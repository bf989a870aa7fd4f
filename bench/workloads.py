"""The training steps that are compared, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

LEARNING_RATE = {"sgd": 0.05, "adam": 1e-3}
EPSILON = 1e-8  # of Adam
ELEMENTS = 1 << 23  # of x, at most


class Embedding(NamedTuple):
    """A row of a table of `words` for each number; of a sparse one, only rows that were looked up are moved."""

    words: int
    size: int
    sparse: bool = False


class LSTM(NamedTuple):
    """A recurrent layer: what it gives at every step, or at the last one."""

    units: int
    every_step: bool


class Conv(NamedTuple):
    """`filters` square filters, then the workload's activation; of sequences, filters of `size` steps."""

    filters: int
    size: int
    padding: str = "valid"
    stride: int = 1
    groups: int = 1


class LayerNorm(NamedTuple):
    """Each sample with mean 0 and variance 1, over its last axis, times a weight, plus another."""


class Pool(NamedTuple):
    """The maxima of square windows, without padding."""

    size: int
    stride: int


class Flatten(NamedTuple):
    """An image as one row."""


class Dense(NamedTuple):
    """All inputs to `units` sums, then, but in the last layer, the workload's activation."""

    units: int


Layer = Embedding | LSTM | Conv | LayerNorm | Pool | Flatten | Dense
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Workload:
    """A chain of layers with softmax cross-entropy.

    `shape` is that of one sample: (inputs,), (rows, columns, channels), or (steps,) where numbers are looked up.

    `target` is the least ratio (best peer / pynn) that pynn promises for one training step. One pass over the data
    takes `most_steps` steps, or fewer where these would be much data.

    `precision` is that of pynn.set_precision; with "medium" PyTorch runs under bfloat16 autocast, and the other peers,
    which have nothing like it, are left out. `algorithm` is that of pynn's convolutions; the peers choose their own.
    With `a_call` each step is a call with arrays that returns the loss as a number. `learns` says whether one pass over
    the data makes the loss of the first batch less; a few steps on large images of noise need not.
    """

    name: str
    shape: Shape
    layers: tuple[Layer, ...]
    activation: str
    batch: int
    optimizer: str
    target: float
    most_steps: int = 128
    precision: str = "highest"
    algorithm: str = "auto"
    a_call: bool = False
    learns: bool = True

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATE[self.optimizer]

    @property
    def steps(self) -> int:
        """The steps of one pass over the data."""
        return min(self.most_steps, ELEMENTS // (self.batch * math.prod(self.shape)))

    @property
    def words(self) -> int:
        """The size of the vocabulary; 0 where nothing is looked up."""
        first = self.layers[0]
        return first.words if isinstance(first, Embedding) else 0

    @property
    def tokens(self) -> int:
        """The tokens of one batch; 0 where there are none."""
        return self.batch * self.shape[0] if self.words else 0

    @property
    def output(self) -> Shape:
        """The shape of what comes out for one sample."""
        return self.shaped_layers()[-1][2]

    @property
    def classes(self) -> int:
        return self.output[-1]

    def shaped_layers(self) -> list[tuple[Layer, Shape, Shape]]:
        """Every layer with the shapes of what it takes and gives, both without the batch."""
        found, shape = [], self.shape
        for layer in self.layers:
            match layer:
                case Embedding(_, size):
                    out: Shape = (*shape, size)
                case LSTM(units, every_step):
                    out = (shape[0], units) if every_step else (units,)
                case Conv(filters, size, padding, stride):
                    lost = size - 1 if padding == "valid" else 0
                    out = (*((n - lost - 1) // stride + 1 for n in shape[:-1]), filters)
                case Pool(size, stride):
                    out = ((shape[0] - size) // stride + 1, (shape[1] - size) // stride + 1, shape[2])
                case LayerNorm():
                    out = shape
                case Flatten():
                    out = (math.prod(shape),)
                case Dense(units):
                    out = (*shape[:-1], units)
            found.append((layer, shape, out))
            shape = out
        return found

    def flops(self) -> int:
        """Multiply-adds of one step count two: forward, dw, and dx of all layers but the first that has weights."""
        forward = []
        for layer, shape, out in self.shaped_layers():
            match layer:
                case Conv(_, size, _, _, groups):
                    forward.append(2 * self.batch * math.prod(out) * size ** (len(shape) - 1) * shape[-1] // groups)
                case Dense(units):
                    forward.append(2 * self.batch * math.prod(shape) * units)
                case LSTM(units, _):
                    forward.append(2 * self.batch * shape[0] * 4 * units * (shape[1] + units))
        return 3 * sum(forward) - (0 if self.words else forward[0])

    def weights(self) -> list[tuple[np.ndarray, ...]]:
        """The weights that every side starts from, for each layer: (w, b), (table,) or (w, u, b); () where it has none.

        Dense w is [in, out], convolution w [rows, columns, in, out], and those of an LSTM are [in, 4 units] and
        [units, 4 units], gates in the order input, forget, candidate, output.
        """
        rng = np.random.default_rng(1)

        def uniform(limit: float, *shape: int) -> np.ndarray:
            return rng.uniform(-limit, limit, shape).astype(np.float32)

        def glorot(*shape: int) -> np.ndarray:
            return uniform(math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1]))), *shape)

        found: list[tuple[np.ndarray, ...]] = []
        for layer, shape, _ in self.shaped_layers():
            match layer:
                case Embedding(words, size):
                    found.append((uniform(0.5, words, size),))
                case LSTM(units, _):
                    bias = np.repeat(np.float32([0, 1, 0, 0]), units)
                    found.append((glorot(shape[-1], 4 * units), glorot(units, 4 * units), bias))
                case Conv(filters, size, _, _, groups):
                    window = (size,) * (len(shape) - 1)
                    found.append((glorot(*window, shape[-1] // groups, filters), np.zeros(filters, np.float32)))
                case LayerNorm():
                    found.append((np.ones(shape[-1], np.float32), np.zeros(shape[-1], np.float32)))
                case Dense(units):
                    found.append((glorot(shape[-1], units), np.zeros(units, np.float32)))
                case _:
                    found.append(())
        return found

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Noise labelled by a random teacher: x float32 or int32 [n, *shape], y int64 [n] or, for every step, [n, T].

        The teacher is linear, or a table of the last token's (each token's) class.
        """
        rng = np.random.default_rng(0)
        n, inputs = self.steps * self.batch, math.prod(self.shape)
        if self.words:
            ids = rng.integers(0, self.words, (n, inputs), dtype=np.int32)
            table = rng.integers(0, self.classes, self.words)
            return ids, table[ids if len(self.output) == 2 else ids[:, -1]]
        x = rng.standard_normal((n, inputs), dtype=np.float32)
        teacher = rng.standard_normal((inputs, self.classes), dtype=np.float32)
        return x.reshape(n, *self.shape), (x @ teacher).argmax(axis=1).astype(np.int64)

    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The same data cut in batches."""
        x, y = self.data()
        cuts = range(0, len(x), self.batch)
        return [(x[i : i + self.batch].copy(), y[i : i + self.batch].copy()) for i in cuts]


def perceptron(name: str, sizes: Shape, activation: str, batch: int, optimizer: str, target: float) -> Workload:
    return Workload(name, sizes[:1], tuple(map(Dense, sizes[1:])), activation, batch, optimizer, target)


WORKLOADS = (
    perceptron("MLP 4-16-16-3 tanh, batch 32, SGD", (4, 16, 16, 3), "tanh", 32, "sgd", 8.0),
    perceptron("MLP 64-64-10 relu, batch 32, Adam", (64, 64, 10), "relu", 32, "adam", 5.0),
    perceptron("MLP 784-128-10 relu, batch 32, Adam", (784, 128, 10), "relu", 32, "adam", 2.5),
    perceptron("MLP 784-512-512-10 relu, batch 128, Adam", (784, 512, 512, 10), "relu", 128, "adam", 1.3),
    perceptron("MLP 1024-1024x4-10 relu, batch 256, SGD", (1024, 1024, 1024, 1024, 1024, 10), "relu", 256, "sgd", 1.2),
    Workload(
        "LeNet-5 tanh, 28x28, batch 64, Adam",
        (28, 28, 1),
        (Conv(6, 5, "same"), Pool(2, 2), Conv(16, 5), Pool(2, 2), Flatten(), Dense(120), Dense(84), Dense(10)),
        "tanh",
        64,
        "adam",
        3.0,
        most_steps=8,
    ),
    Workload(
        "Conv 32-64-pool-128-10 relu, 28x28, batch 128, Adam",
        (28, 28, 1),
        (Conv(32, 3), Conv(64, 3), Pool(2, 2), Flatten(), Dense(128), Dense(10)),
        "relu",
        128,
        "adam",
        2.0,
        most_steps=8,
    ),
    Workload(
        "Conv 64-64-pool-128-128-pool-256-10 relu, 32x32x3, batch 64, SGD",
        (32, 32, 3),
        (Conv(64, 3, "same"), Conv(64, 3, "same"), Pool(3, 2), Conv(128, 3, "same"), Conv(128, 3, "same"), Pool(3, 2),
         Flatten(), Dense(256), Dense(10)),
        "relu",
        64,
        "sgd",
        1.5,
        most_steps=4,
    ),
    Workload(
        "Embedding 20000x128, LSTM 128, last step, T 80, batch 32, Adam",
        (80,), (Embedding(20000, 128), LSTM(128, False), Dense(2)), "linear", 32, "adam", 1.6, most_steps=8,
    ),
    Workload(
        "Embedding 65x64, 2x LSTM 256, every step, T 64, batch 32, Adam",
        (64,), (Embedding(65, 64), LSTM(256, True), LSTM(256, True), Dense(65)), "linear", 32, "adam", 1.3,
        most_steps=4,
    ),
    Workload(
        "Embedding 1000x650, 2x LSTM 650, every step, T 35, batch 20, SGD",
        (35,), (Embedding(1000, 650), LSTM(650, True), LSTM(650, True), Dense(1000)), "linear", 20, "sgd", 1.4,
        most_steps=4,
    ),
    Workload(
        "Embedding 100x8, LSTM 32, every step, T 16, batch 16, SGD",
        (16,), (Embedding(100, 8), LSTM(32, True), Dense(100)), "linear", 16, "sgd", 4.0, most_steps=64,
    ),
)  # fmt: skip

# What low precision aims at, on the rows whose products are large enough for it.
LOW_PRECISION = {
    "high": {"MLP 1024": 2.0, "Conv 64": 2.0, "Embedding 65x64": 2.0, "Embedding 1000x650": 2.0},
    "medium": {
        "MLP 1024": 1.5, "Conv 32": 1.5, "Conv 64": 1.5, "Embedding 20000": 1.5, "Embedding 65x64": 1.5,
        "Embedding 1000x650": 1.5,
    },
}  # fmt: skip


def one_a_call() -> tuple[Workload, ...]:
    """The small networks, whose steps are called one by one, as people do who learn on line or by reinforcement."""
    small = [w for w in WORKLOADS if w.name.startswith(("MLP 4-", "MLP 64-", "MLP 784-128", "Embedding 100x8"))]
    return tuple(replace(w, name=f"{w.name}, one step a call", a_call=True, target=3.0) for w in small)


def at_precision(precision: str) -> tuple[Workload, ...]:
    """The workloads that a precision is compared on, with its targets."""
    if precision == "highest":
        return WORKLOADS
    aims = LOW_PRECISION[precision]
    return tuple(
        replace(w, precision=precision, target=aim)
        for w in WORKLOADS
        for name, aim in aims.items()
        if w.name.startswith(name)
    )


def by_algorithm(algorithm: str) -> tuple[Workload, ...]:
    """The workloads whose convolutions are to be computed by an algorithm; with another than "auto" it is named."""
    if algorithm == "auto":
        return WORKLOADS
    return tuple(
        replace(w, name=f"{w.name} ({algorithm})", algorithm=algorithm) for w in WORKLOADS if w.name.startswith("Conv")
    )
