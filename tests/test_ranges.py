"""Numbers with a range: an end that is not in it is refused by the name of the setting, one that is in it is taken."""

import numpy as np
import pytest

import pynn
from pynn import estimators, metrics, nn, ops, optim, train

X, Y = np.linspace(-1, 1, 24, dtype="float32").reshape(12, 2), np.arange(12) % 2
IMAGES = np.zeros((2, 4, 4, 1), "float32")


def fitted(cls, **settings):
    return cls(**settings).fit(X, Y)


def gru(keep):
    return ops.gru(np.ones((1, 2, 3)), np.ones((3, 6)), np.ones((2, 6)), keep=keep)


def classifier(**settings):
    return fitted(estimators.MLPClassifier, hidden_layer_sizes=(2,), max_iter=1, early_stopping=True, **settings)


def split(share):
    model = nn.Sequential([nn.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(X, X[:, :1], validation_split=share, verbose=0)


def rates(cls):
    return lambda v: cls(eps=v)


# setting: (what takes it, the name in the message, values that are refused, values that are taken)
RANGES = {
    "clip_value": (lambda v: optim.SGD(clip_value=v), "clip_value", [0, -1], [1e-6]),
    "clip_norm": (lambda v: optim.SGD(clip_norm=v), "clip_norm", [0, -1], [1e-6]),
    **{
        f"eps of {cls.__name__}": (rates(cls), "eps", [0, -1e-9], [1e-12])
        for cls in (optim.Adam, optim.RMSprop, optim.Adagrad, optim.Adadelta)
    },
    "max_norm": (pynn.regularizers.MaxNorm, "limit", [0], [1e-6]),
    "huber": (lambda v: pynn.losses.Huber(v), "delta", [0], [1e-3]),
    "huber of tensors": (lambda v: ops.huber(X, X, v), "delta", [0], [1e-3]),
    "dropout": (lambda v: nn.Dropout(v)(X), "rate", [1, -0.1], [0, 0.999]),
    "keep": (gru, "keep", [0, 1.01], [0.01, 1]),
    "zoom": (lambda v: nn.RandomZoom(zoom=v), "zoom", [1, -0.1], [0, 0.999]),
    "aspect": (lambda v: nn.RandomErasing(1.0, aspect=(v, 2.0)), "aspect", [0, -1], [0.01]),
    "bias": (lambda v: nn.LocalResponseNormalization(bias=v)(IMAGES), "bias", [0], [0.1]),
    "epsilon": (lambda v: nn.LayerNormLSTM(2, epsilon=v), "epsilon", [0], [1e-9]),
    "threshold": (lambda v: metrics.BinaryAccuracy(threshold=v), "threshold", [0, 1], [0.001, 0.999]),
    "test_size": (lambda v: pynn.datasets.digits(test_size=v), "test_size", [0, 1], [0.01, 0.99]),
    "factor of circles": (lambda v: pynn.datasets.circles(9, factor=v), "factor", [0, 1], [0.01, 0.99]),
    "share of a text": (lambda v: pynn.datasets.split_text("ab" * 999, v), "share", [0, 1], [0.01, 0.99]),
    "factor of a plateau": (lambda v: train.ReduceLROnPlateau(factor=v), "factor", [0, 1], [0.01, 0.99]),
    "validation_split": (split, "validation_split", [1, -0.1], [0.1, 0.9]),
    "learning_rate_init": (lambda v: classifier(learning_rate_init=v), "learning_rate_init", [0], [1e-6]),
    "validation_fraction": (lambda v: classifier(validation_fraction=v), "validation_fraction", [1, -0.1], [0.2]),
    "validation_fraction of a perceptron": (
        lambda v: fitted(estimators.Perceptron, early_stopping=True, validation_fraction=v),
        "validation_fraction", [0, 1], [0.2],
    ),
    "eta0 of a perceptron": (lambda v: fitted(estimators.Perceptron, eta0=v), "eta0", [0], [1e-3]),
    "eta0 of adaline": (lambda v: fitted(estimators.Adaline, eta0=v), "eta0", [0], [1e-3]),
    "tol of adaline": (lambda v: fitted(estimators.Adaline, tol=v), "tol", [0], [1e-3]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # one step does not converge
@pytest.mark.parametrize("setting", RANGES)
def test_the_ends_of_a_range(setting):
    make, name, refused, taken = RANGES[setting]
    for value in (*refused, float("nan"), float("inf"), "1"):
        with pytest.raises((ValueError, TypeError), match=name):
            make(value)
    for value in taken:
        make(value)
