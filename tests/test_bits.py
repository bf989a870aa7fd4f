"""The contract on bits: every instruction set, any number of threads (see docs/guide/bits.md)."""

import numpy as np
import pytest

import pynn
from pynn import config, nn, ops, testing
from pynn.core import _core

ISAS = _core.isa_available()
several = pytest.mark.skipif(len(ISAS) < 2, reason="this machine has one instruction set only")
# Round the widths of vectors, the 64 lanes of a sum and its pieces.
LENGTHS = (1, 15, 17, 63, 65, 130, 4097)


def on_every_isa(f):
    """The bytes of f()'s arrays on every instruction set."""
    found = []
    for isa in ISAS:
        with config.use_isa(isa):
            found.append([np.asarray(a).tobytes() for a in f()])
    return found


def agree(f):
    first, *others = on_every_isa(f)
    return all(other == first for other in others)


@several
@pytest.mark.parametrize("name", sorted(testing.all_ops()))
def test_every_op_has_the_same_bits_on_every_isa(name):
    testing.check_bits(name, LENGTHS)


@several
@pytest.mark.parametrize("n", [1, 2, 5, 16, 31, 64, 65, 200, 4095, 4096, 4097, 9000])
def test_sums_of_a_row(n, rng):
    x = pynn.tensor(rng.standard_normal((3, n)) * 1e3, "float32")
    assert agree(lambda: [ops.sum(x, 1).numpy(), ops.mean(x, 1).numpy(), ops.softmax(x).numpy(), ops.max(x, 1).numpy()])


@several
@pytest.mark.parametrize(
    ("m", "k", "n"), [(1, 7, 1), (33, 64, 1), (9, 65, 1), (1, 321, 40), (5, 1000, 1), (64, 700, 3)]
)
@pytest.mark.parametrize(("ta", "tb"), [(False, False), (True, False), (False, True), (True, True)])
def test_products_with_vectors_and_long_sums(m, k, n, ta, tb, rng):
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((k, m) if ta else (m, k), (n, k) if tb else (k, n)))
    x, w = pynn.tensor(a), pynn.tensor(b)
    found = on_every_isa(lambda: [((x.T if ta else x) @ (w.T if tb else w)).numpy()])
    assert all(other == found[0] for other in found[1:])
    exact = (a.T if ta else a).astype(np.float64) @ (b.T if tb else b)
    got = np.frombuffer(found[0][0], np.float32).reshape(m, n)
    np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [7, 13, 30, 200])
def test_products_of_rows_that_are_packed(isa, dtype, m, rng):
    """Rows a multiple of 4 KB apart are copied, in strips that may be taller than a vector is long."""
    a, b = rng.standard_normal((m, 1024)), rng.standard_normal((1024, 600))
    with config.use_isa(isa):
        got = ops.dense(pynn.tensor(a, dtype), pynn.tensor(b, dtype), pynn.tensor(np.zeros(600), dtype)).numpy()
    np.testing.assert_allclose(got, a @ b, rtol=1e-3, atol=2e-4 if dtype == "float32" else 1e-11)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("n", [1, 2, 17, 64, 100])
@pytest.mark.parametrize("first", [0.0, -0.0])
def test_the_extreme_of_zeros_of_either_sign_is_positive(isa, n, first):
    x = np.full((2, n), -first, np.float32)
    x[:, 0] = first
    with config.use_isa(isa):
        for extreme in (ops.max, ops.min):
            assert not np.signbit(extreme(pynn.tensor(x), 1).numpy()).any()


def mlp():
    layers = [nn.Dense(70, "gelu"), nn.LayerNormalization(), nn.Dropout(0.2), nn.Dense(33, "selu"), nn.Dense(1)]
    return nn.Sequential(layers), (19,), "mse"


def cnn():
    layers = [nn.Conv2D(17, 3, padding="same"), nn.BatchNormalization(), nn.ReLU(), nn.MaxPool2D(2),
              nn.Conv2D(20, 3, strides=2, activation="tanh"), nn.LocalResponseNormalization(), nn.Flatten(),
              nn.Dense(5)]  # fmt: skip
    return nn.Sequential(layers), (11, 12, 3), "cross_entropy"


def recurrent():
    return nn.Sequential([nn.LSTM(21, return_sequences=True), nn.GRU(18), nn.Dense(5)]), (9, 7), "cross_entropy"


@several
@pytest.mark.parametrize("make", [mlp, cnn, recurrent])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_training_gives_the_same_weights_on_every_isa(make, optimizer, rng):
    _, shape, loss = make()
    x = rng.standard_normal((50, *shape)).astype(np.float32)
    y = rng.integers(0, 5, 50) if loss == "cross_entropy" else rng.standard_normal((50, 1)).astype(np.float32)

    def train():
        model, *_ = make()
        model.compile(optimizer, loss, seed=3)
        history = model.fit(x, y, batch_size=16, epochs=2, verbose=0).history["loss"]
        return [*model.get_weights(), model.predict(x), np.array(history)]

    assert agree(train)
