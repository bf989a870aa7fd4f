"""Small classifiers, their data and their programs, for tests of programs."""

import numpy as np

import pynn
from pynn import nn, optim


def blobs(n=50, d=6, classes=3, seed=0, dtype="float32"):
    """Return points that a small network can tell apart."""
    r = np.random.default_rng(seed)
    y = r.integers(0, classes, n)
    x = r.standard_normal((n, d)) + 1.5 * r.standard_normal((classes, d))[y]
    return x.astype(dtype), y


def mlp(*inner, d=6, out=3, hidden=8, **settings):
    """Return a compiled classifier with `inner` layers after the first."""
    options = {"optimizer": "sgd", "loss": "cross_entropy", "seed": 3, **settings}
    model = nn.Sequential([nn.Input((d,)), nn.Dense(hidden, activation="tanh"), *inner, nn.Dense(out)])
    model.compile(**options)
    return model


def bits(model):
    """Return all weights as bytes, to be compared exactly."""
    return [w.tobytes() for w in model.get_weights()]


def programs(model):
    """Return the model's training programs."""
    return [r.program for r in model._trainer.cache if r.key[0] == "train"]


def assert_same_bits(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.tobytes() == b.tobytes()


OPTIMIZERS = {name: (lambda name=name: optim.get(name)) for name in optim.NAMES}
OPTIMIZERS["clip value"] = lambda: optim.SGD(0.5, clip_value=0.01)
OPTIMIZERS["clip norm"] = lambda: optim.Adam(0.01, clip_norm=0.1)
OPTIMIZERS["schedule"] = lambda: optim.Adam(pynn.schedules.Cosine(0.01, 9))
OPTIMIZERS["weight decay"] = lambda: optim.AdamW(0.01, weight_decay=0.1)
