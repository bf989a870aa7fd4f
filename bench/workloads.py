"""The training steps that are compared, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEARNING_RATE = {"sgd": 0.05, "adam": 1e-3}
ELEMENTS = 1 << 23  # of x, at most
MOST_STEPS = 128


@dataclass(frozen=True)
class Workload:
    """A multilayer perceptron with softmax cross-entropy, trained in float32.

    `target` is the least ratio (best peer / pynn) that pynn promises for one training step.
    """

    name: str
    sizes: tuple[int, ...]
    activation: str
    batch: int
    optimizer: str
    target: float

    @property
    def learning_rate(self) -> float:
        return LEARNING_RATE[self.optimizer]

    @property
    def steps(self) -> int:
        """The steps of one pass over the data."""
        return min(MOST_STEPS, ELEMENTS // (self.batch * self.sizes[0]))

    def flops(self) -> int:
        """Multiply-adds of one step count two: forward, dw, and dx of all layers but the first."""
        layers = [2 * self.batch * a * b for a, b in zip(self.sizes, self.sizes[1:], strict=False)]
        return 3 * sum(layers) - layers[0]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of noise labelled by a random linear teacher: x float32 [n, in], y int64 [n]."""
        rng = np.random.default_rng(0)
        n, inputs, classes = self.steps * self.batch, self.sizes[0], self.sizes[-1]
        x = rng.standard_normal((n, inputs), dtype=np.float32)
        teacher = rng.standard_normal((inputs, classes), dtype=np.float32)
        return x, (x @ teacher).argmax(axis=1).astype(np.int64)

    def batches(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The same data cut in batches."""
        x, y = self.data()
        cuts = range(0, len(x), self.batch)
        return [(x[i : i + self.batch].copy(), y[i : i + self.batch].copy()) for i in cuts]


WORKLOADS = (
    Workload("MLP 4-16-16-3 tanh, batch 32, SGD", (4, 16, 16, 3), "tanh", 32, "sgd", 8.0),
    Workload("MLP 64-64-10 relu, batch 32, Adam", (64, 64, 10), "relu", 32, "adam", 5.0),
    Workload("MLP 784-128-10 relu, batch 32, Adam", (784, 128, 10), "relu", 32, "adam", 2.5),
    Workload("MLP 784-512-512-10 relu, batch 128, Adam", (784, 512, 512, 10), "relu", 128, "adam", 1.3),
    Workload("MLP 1024-1024x4-10 relu, batch 256, SGD", (1024, 1024, 1024, 1024, 1024, 10), "relu", 256, "sgd", 1.2),
)
