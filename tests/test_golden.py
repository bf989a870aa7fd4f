"""Ten-step losses that may not change: data and first weights come from formulas, so no generator is involved."""

import numpy as np
import pytest

from pynn import config, nn, optim
from pynn.core import _core

N, D, H, C, STEPS = 16, 8, 12, 4, 10

# Without dropout: computed with plain NumPy in float64, by the code in `by_numpy` below.
PLAIN = [
    1.7980539735571168,
    1.540220978422363,
    1.336726635177797,
    1.1732816357512938,
    1.037868333397581,
    0.9204099416546314,
    0.8163306343333014,
    0.7307397564340001,
    0.652637525046952,
    0.5794433210082992,
]
# With dropout 0.25 after each hidden layer, seed 7: they pin the random stream too.
DROPOUT = [
    1.994940715382541,
    1.5719492276760216,
    1.6201751550282992,
    1.4018106054901898,
    1.3098766888363298,
    1.05304884600866,
    1.1025884852023415,
    1.03283213524657,
    0.900467256026271,
    0.7706932453288309,
]


def waves(*shape, step):
    """Return numbers between -1 and 1 that look random enough."""
    return np.sin(step * np.arange(1, np.prod(shape) + 1) ** 1.5).reshape(shape)


def data():
    x = waves(N, D, step=0.7)
    return x, np.argmax(x[:, :C] + 0.3 * x[:, C:], 1)


def first_weights():
    return [
        waves(D, H, step=0.31) * 0.6,
        waves(H, step=0.17) * 0.1,
        waves(H, H, step=0.53) * 0.5,
        waves(H, step=0.19) * 0.1,
        waves(H, C, step=0.77) * 0.6,
        waves(C, step=0.23) * 0.1,
    ]


def losses(dtype, rate, eager=False):
    layers = [nn.Input((D,)), nn.Dense(H, activation="tanh"), nn.Dense(H, activation="relu"), nn.Dense(C)]
    if rate:
        layers[3:3] = [nn.Dropout(rate)]
        layers[2:2] = [nn.Dropout(rate)]
    model = nn.Sequential(layers).astype(dtype)
    model.compile(optim.Adam(0.02), "cross_entropy", seed=7, run_eagerly=eager)
    model.set_weights(first_weights())
    x, y = data()
    return model.fit(x, y, batch_size=N, epochs=STEPS, shuffle=False, verbose=0).history["loss"]


def by_numpy():
    x, y = data()
    w = first_weights()
    m, v = [np.zeros_like(a) for a in w], [np.zeros_like(a) for a in w]
    found = []
    for t in range(1, STEPS + 1):
        h1 = np.tanh(x @ w[0] + w[1])
        h2 = np.maximum(h1 @ w[2] + w[3], 0)
        z = h2 @ w[4] + w[5]
        z = z - z.max(1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
        found.append(float(-log_p[np.arange(N), y].mean()))
        dz = (np.exp(log_p) - np.eye(C)[y]) / N
        d2 = dz @ w[4].T * (h2 > 0)
        d1 = d2 @ w[2].T * (1 - h1 * h1)
        gradients = [x.T @ d1, d1.sum(0), h1.T @ d2, d2.sum(0), h2.T @ dz, dz.sum(0)]
        for i, g in enumerate(gradients):
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            w[i] = w[i] - 0.02 * (m[i] / (1 - 0.9**t)) / (np.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
    return found


def test_numpy_gives_the_golden_losses():
    np.testing.assert_allclose(by_numpy(), PLAIN, rtol=1e-12)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(("rate", "golden"), [(0.0, PLAIN), (0.25, DROPOUT)])
def test_golden_losses_in_float64(rate, golden, eager):
    with config.use_isa("generic"):
        np.testing.assert_allclose(losses("float64", rate, eager), golden, rtol=1e-12)


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize(("rate", "golden"), [(0.0, PLAIN), (0.25, DROPOUT)])
def test_golden_losses_in_float32(rate, golden, isa):
    with config.use_isa(isa):
        np.testing.assert_allclose(losses("float32", rate), golden, rtol=1e-5)


def test_dropout_changes_the_losses():
    assert not np.allclose(PLAIN, DROPOUT, rtol=1e-2)
    assert PLAIN[-1] < 0.6 * PLAIN[0]
