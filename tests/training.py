"""Data and models whose training NumPy can follow, for tests of what training means."""

import numpy as np

from pynn import nn, optim

R = np.random.default_rng(12)
N, D, C = 60, 6, 3
Y = R.integers(0, C, N)
X = (R.standard_normal((N, D)) + 2 * R.standard_normal((C, D))[Y]).astype("float32")
ONE_HOT = np.eye(C, dtype="float32")[Y]


def mlp(**settings):
    options = {"optimizer": optim.SGD(0.1), "loss": "cross_entropy", "metrics": ["accuracy"], "seed": 1, **settings}
    ending = options.pop("ending", None)
    dtype = options.pop("dtype", "float32")
    model = nn.Sequential([nn.Input((D,)), nn.Dense(8, activation="tanh"), nn.Dense(C, activation=ending)])
    model.astype(dtype)
    model.compile(**options)
    return model


def linear(dtype="float64", out=1, d=D, **settings):
    model = nn.Sequential([nn.Input((d,)), nn.Dense(out)]).astype(dtype)
    model.compile(**{"optimizer": optim.SGD(0.1), "loss": "mse", "seed": 1, **settings})
    return model


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def forward(weights, x):
    w1, b1, w2, b2 = (w.astype("float64") for w in weights)
    return np.tanh(x @ w1 + b1) @ w2 + b2


def cross_entropy(z, y):
    return -np.log(softmax(z)[np.arange(len(y)), y])


def programs_of(model):
    return {r.key[1] for r in model._trainer.cache if r.key[0] == "train"}
