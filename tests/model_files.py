"""Small models, and files of them that were changed, for tests of model files."""

from pathlib import Path

import numpy as np

import pynn
from pynn import nn
from pynn.io import container

GOLDEN = Path(__file__).parent / "golden"


def small(seed=0):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5, activation="tanh"), nn.Dense(3, activation="softmax")])
    model.compile(pynn.optim.Adam(0.01), "cross_entropy", ["accuracy"], seed=seed)
    return model


def trained():
    model = small()
    rng = np.random.default_rng(0)
    model.fit(rng.normal(size=(32, 4)).astype("float32"), np.arange(32) % 3, epochs=2, verbose=0)
    return model


def remade(model, change=None, **texts):
    """Return a file with a right digest, in which things were changed."""
    from pynn.io.model_file import contents

    tensors, metadata = contents(model)
    tensors = {name: array.copy() for name, array in tensors.items()}
    if change is not None:
        change(tensors, metadata)
    metadata.update(texts)
    return b"".join(container.pack(tensors, metadata))


def tiny():
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    model.layers[0].set_weights([[[0.5]], [0.25]])
    return model
