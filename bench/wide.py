"""What people train and run besides the twelve rows: the set "wide" of bench.peers, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from . import imported
from .networks import Augmented, Network
from .predictions import calling
from .side import Side
from .workloads import LSTM, Conv, Dense, Embedding, Flatten, LayerNorm, Pool, Workload, perceptron


@dataclass(frozen=True)
class Imported:
    """An ONNX file of bench.imported, predicted at a batch of `n`, sequences of `t` steps."""

    network: str
    n: int
    t: int = 0
    target: float = 1.0

    @property
    def name(self) -> str:
        return f"ONNX {self.network}, batch {self.n}{f', T {self.t}' if self.t else ''}"

    def sides(self, threads: int, skipped: Callable[[str, Exception], None]) -> Iterator[Side]:
        import pynn

        try:
            import onnxruntime

            network = imported.NETWORKS[self.network][0]()
        except ImportError as error:
            skipped("onnxruntime", error)
            return
        pynn.set_num_threads(threads)
        file = imported.as_file(network)
        shape = [{"n": self.n, "t": self.t}.get(d, d) for d in network[2]]
        x = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        model = pynn.onnx.loads(file)
        yield calling("pynn", lambda x: model.run(x)[0], x)
        yield calling("onnxruntime", lambda x: session.run(None, {"x": x})[0], x)


@dataclass(frozen=True)
class Words:
    """One pass of word2vec (CBOW) over random sentences; what is learnt differs with the order of random numbers."""

    name: str
    sentences: int
    target: float = 1.0
    kind: str = "pass over a text"

    def sides(self, threads: int, skipped: Callable[[str, Exception], None]) -> Iterator[Side]:
        import pynn

        pynn.set_num_threads(threads)
        rng = np.random.default_rng(3)
        text = [[f"w{i}" for i in row] for row in (rng.zipf(1.3, (self.sentences, 50)) % 20000)]
        settings = {"vector_size": 100, "window": 5, "min_count": 5, "negative": 5, "sample": 1e-3}
        ours = pynn.text.Word2Vec(**settings, seed=0)
        yield Side("pynn", lambda k: [ours.fit(text, 1, verbose=0) for _ in range(k)] and None, lambda: 0.0)
        try:
            from gensim.models import Word2Vec
        except ImportError as error:
            skipped("gensim", error)
            return
        theirs = Word2Vec(**settings, sg=0, workers=threads, seed=0)
        theirs.build_vocab(text)

        def train(times: int) -> None:
            theirs.train(text, total_examples=len(text), epochs=times)

        yield Side("gensim", train, lambda: 0.0)


def chain(name: str, shape: tuple[int, ...], layers: tuple, batch: int, optimizer: str, steps: int, **more) -> Workload:
    options = {"activation": "relu", "target": 1.0, **more}
    return Workload(name, shape, layers, batch=batch, optimizer=optimizer, most_steps=steps, **options)


# The five convolutions of AlexNet, without its normalization and with products a quarter as wide.
ALEXNET = (
    Conv(96, 11, "valid", 4), Pool(3, 2), Conv(256, 5, "same", groups=2), Pool(3, 2), Conv(384, 3, "same"),
    Conv(384, 3, "same", groups=2), Conv(256, 3, "same", groups=2), Pool(3, 2), Flatten(), Dense(1024), Dense(1000),
)  # fmt: skip
PLAIN = (
    Conv(32, 3, "same"), Conv(32, 3, "same"), Pool(2, 2), Conv(64, 3, "same"), Conv(64, 3, "same"), Pool(2, 2),
    Conv(128, 3, "same"), Conv(128, 3, "same"), Pool(2, 2), Flatten(), Dense(64), Dense(10),
)  # fmt: skip
SEPARABLE = (
    Conv(32, 3, "same"), Conv(32, 3, "same", groups=32), Conv(64, 1), Conv(64, 3, "same", groups=64), Conv(128, 1),
    Pool(2, 2), Conv(128, 3, "same", groups=128), Conv(128, 1), Pool(2, 2), Flatten(), Dense(10),
)  # fmt: skip
GROUPED = (
    Conv(64, 3, "same"), Conv(128, 3, "same", groups=8), Conv(128, 3, "same", groups=8), Pool(2, 2), Flatten(),
    Dense(10),
)  # fmt: skip

WIDE = (
    perceptron("MLP 64-64-10 relu, batch 1, SGD", (64, 64, 10), "relu", 1, "sgd", 1.0),
    perceptron("MLP 784-128-10 relu, batch 1, Adam", (784, 128, 10), "relu", 1, "adam", 1.0),
    perceptron("MLP 256-256-10 relu, batch 1024, Adam", (256, 256, 10), "relu", 1024, "adam", 1.0),
    perceptron("MLP 128-128-50000 relu, batch 32, SGD", (128, 128, 50000), "relu", 32, "sgd", 1.0),
    chain(
        "Layer norm and gelu, 256-1024-256-10, batch 64, Adam", (256,),
        (LayerNorm(), Dense(1024), Dense(256), LayerNorm(), Dense(10)), 64, "adam", 32, activation="gelu",
    ),
    chain("Conv1D 64-64 of 5, T 128, 16 channels, batch 32, Adam", (128, 16),
          (Conv(64, 5, "same"), Conv(64, 5, "same"), Flatten(), Dense(10)), 32, "adam", 16),
    chain("Depthwise and 1x1, 32x32x3, batch 32, SGD", (32, 32, 3), SEPARABLE, 32, "sgd", 8, learns=False),
    chain("Conv 64-128-128 in 8 groups, 32x32x3, batch 32, SGD", (32, 32, 3), GROUPED, 32, "sgd", 8, learns=False),
    Network("Conv 32-32-64-64 with batch norm, 32x32x3, batch 32, Adam", "batch norm", (32, 32, 3), 32, "adam", 10, 8),
    chain("Conv 32-64-128 in pairs, 96x96x3, batch 8, SGD", (96, 96, 3), PLAIN, 8, "sgd", 2, learns=False),
    chain("AlexNet's layers, 227x227x3, batch 8, SGD", (227, 227, 3), ALEXNET, 8, "sgd", 2, learns=False),
    Network("ResNet-18, 224x224x3, batch 8, SGD", "ResNet-18", (224, 224, 3), 8, "sgd", 1000),
    Network("Strided autoencoder 16-32-16, 28x28, batch 64, Adam", "autoencoder", (28, 28, 1), 64, "adam", steps=8),
    Network("Embedding 5000x64, GRU 128, T 80, batch 32, Adam", "GRU", (80,), 32, "adam", 2, 8),
    Network("Embedding 5000x64, 2-way LSTM 64, T 80, batch 32, Adam", "two-way LSTM", (80,), 32, "adam", 2, 8),
    chain("Embedding 5000x64, LSTM 64, T 400, batch 16, Adam", (400,), (Embedding(5000, 64), LSTM(64, False), Dense(2)),
          16, "adam", 4, activation="linear"),
    chain("Embedding 1000000x64 of touched rows, T 8, batch 32, SGD", (8,),
          (Embedding(1000000, 64, True), Flatten(), Dense(2)), 32, "sgd", 64, activation="linear"),
    Augmented("Turned, shifted and zoomed, 128 images of 32x32x3", "affine", (32, 32, 3), 128),
    Augmented("Deformed elastically, 128 images of 28x28", "elastic", (28, 28, 1), 128),
    Words("word2vec, CBOW 100, 5 negatives, 20,000 words", 2000),
    *(Imported(name, n) for name in ("MLP 784-512-512-10", "Conv 16-32-64, 28x28", "Conv 64-128-256-512, 32x32")
      for n in (1, 32)),
    *(Imported(name, n, 40) for name in ("2-way LSTM 128", "2-way GRU 256") for n in (1, 32)),
)  # fmt: skip
