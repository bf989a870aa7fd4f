"""Feed damaged and made-up model files to the loader, guided by coverage.

    pip install atheris
    python tests/reliability/fuzz_model_file.py -max_total_time=1200 -rss_limit_mb=2048 -timeout=20 CORPUS

A file either loads or gives a DataError; anything else, a hang or a blow-up of memory included, is a finding. Most
inputs skip the digest, which no mutation would ever get right, so that the code behind it is reached. CORPUS is filled
with small files first, if it is empty.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["pynn.io"]):
    from pynn.io import architecture, config, container, detect, model_file, registry, training  # noqa: F401

import pynn
from pynn import nn
from pynn.errors import DataError

KEPT_DIGEST = container.digest


def any_digest(tensors: dict, texts: dict) -> str | None:
    """Return the digest that the file claims to have."""
    return texts.get(container.DIGEST)


def one(data: bytes) -> None:
    """Load one input; its first byte says how.

    Below 64 it is a file. Below 128 it is a file whose digest does not count. Else it is the JSON of an architecture
    and of a training, with a zero byte between, which join the tensors of a seed.
    """
    kind, rest = data[:1] or b"\0", data[1:]
    container.digest = KEPT_DIGEST if kind < b"\x40" else any_digest
    try:
        if kind >= b"\x80":
            tensors, texts = PARTS[kind[0] % len(PARTS)]
            found, _, trained = rest.decode("utf-8", "replace").partition("\0")
            texts = {**texts, "architecture": found, **({"training": trained} if trained else {})}
            model_file._assemble(container.Contents(tensors, texts), "parts")
        else:
            pynn.io.loads(rest)
    except DataError:
        pass
    finally:
        container.digest = KEPT_DIGEST


def models() -> list[nn.Module]:
    """Return small models of many kinds of layers."""
    x = np.ones((2, 3), "float32")
    dense = nn.Sequential([nn.Input((3,)), nn.Dense(2, activation="tanh", kernel_regularizer="l2"), nn.Dropout(0.5)])
    dense.compile(pynn.optim.Adam(pynn.schedules.Cosine(0.1, steps=5)), "mse", ["mae"])
    dense.fit(x, np.ones((2, 2)), verbose=0)
    a = nn.Input((2, 3))
    shared = nn.Dense(3)
    branches = nn.Model(a, nn.Flatten()(nn.Add()([shared(a), shared(shared(a))])))
    sequence = nn.Sequential([nn.Embedding(4, 2), nn.Bidirectional(nn.GRU(2)), nn.BatchNormalization()])
    sequence(np.ones((1, 3), "int32"))
    kept = nn.Sequential([nn.LSTM(1, stateful=True)])
    kept(np.ones((1, 2, 1), "float32"))
    image = nn.Sequential([nn.Input((4, 4, 1)), nn.Conv2D(1, 2), nn.MaxPool2D(2), nn.Reshape((-1,))])
    return [dense, branches, sequence, kept, image]


PARTS = [model_file.contents(model) for model in models()]


def seeds() -> list[bytes]:
    """Return inputs to begin with."""
    files = [b"\x40" + b"".join(container.pack(*parts)) for parts in PARTS]
    texts = [f"{t['architecture']}\0{t.get('training', '')}".encode() for _, t in PARTS]
    start = 256 - 256 % len(PARTS) - len(PARTS)
    return files + [bytes([start + i]) + text for i, text in enumerate(texts)]


def main() -> None:
    """Fuzz with the arguments of libFuzzer."""
    for folder in (Path(word) for word in sys.argv[1:] if not word.startswith("-")):
        folder.mkdir(parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            for i, data in enumerate(seeds()):
                (folder / f"seed-{i}").write_bytes(data)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
