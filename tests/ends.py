"""Data and models that end in all manners, for tests of losses and metrics."""

import numpy as np

import pynn
from pynn import nn, ops

RNG = np.random.default_rng(5)
X = RNG.normal(size=(24, 6, 4)).astype("float32")
TAGS = X.argmax(-1)
FIRST = X[:, 0].copy()
IMAGES = RNG.normal(size=(12, 4, 4, 3)).astype("float32")


class Own(nn.Module):
    """A forward pass of one's own, on what a layer gives."""

    def __init__(self, function, layer=None):
        super().__init__()
        self.layer = layer or nn.Dense(4)
        self._own = function

    def forward(self, x):
        return self._own(self.layer(x))


def reordered(z):
    """Softmax before axes are moved there and back, and steps are turned round."""
    return ops.transpose(ops.softmax(ops.transpose(z, (1, 0, 2))), (1, 0, 2))[:, ::-1]


def own_softmax(z):
    e = ops.exp(z - ops.max(z, -1, keepdims=True).detach())
    return e / e.sum(-1, keepdims=True)


def cross_entropy(p, y):
    return -np.log(np.take_along_axis(p, y[..., None], -1)).mean()


def binary(p, y):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()


def compiled(layers, loss, **options):
    model = nn.Sequential(layers) if isinstance(layers, list) else layers
    model.compile(options.pop("optimizer", pynn.optim.Adam(1e-2)), loss, seed=0, **options)
    return model
