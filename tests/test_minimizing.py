"""train.minimize: conjugate gradients and L-BFGS on whole batches, and what is left of a model however it ends."""

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import NonFiniteError
from pynn.train import minimize

X = np.linspace(-1, 1, 40).reshape(-1, 1)


def net(seed=0):
    model = nn.Sequential([nn.Input((1,)), nn.Dense(12, "tanh", seed=seed), nn.Dense(1, seed=seed + 1)])
    return model


def line():
    return nn.Sequential([nn.Input((3,)), nn.Dense(1)]).astype("float64")


@pytest.mark.parametrize("method", ["cg", "l-bfgs"])
def test_least_squares_are_found(method, rng):
    x, y = rng.normal(size=(50, 3)), rng.normal(size=(50, 1))
    model = line()
    found = minimize(model, x, y, loss="mse", method=method)
    best = np.linalg.lstsq(np.c_[x, np.ones(50)], y, rcond=None)[0]
    assert np.allclose(np.concatenate([model.layers[0].w.numpy(), [model.layers[0].b.numpy()]]), best, atol=1e-4)
    assert found.value == pytest.approx(np.mean((np.c_[x, np.ones(50)] @ best - y) ** 2))
    assert found.complaint == ""
    assert not found.interrupted
    assert found.evaluations >= found.iterations > 0


@pytest.mark.parametrize("method", ["cg", "l-bfgs"])
def test_a_network_is_fitted_and_its_compilation_stays(method):
    model = net()
    model.compile("adam", "mse", ["mae"])
    optimizer = model.optimizer
    before = model.evaluate(X, np.sin(3 * X))["loss"]
    found = minimize(model, X, np.sin(3 * X), method=method, iterations=60)
    assert model.optimizer is optimizer
    assert model.evaluate(X, np.sin(3 * X))["loss"] == pytest.approx(found.value, rel=1e-3)
    assert found.value < before / 50
    assert "iterations" in found.complaint.lower() or found.complaint == ""


def test_parts_are_gone_through_one_after_the_other():
    told = []
    model = net()
    found = minimize(
        model, X, np.sin(3 * X), loss="mse", method="cg", batch_size=20, epochs=3, iterations=2,
        callback=lambda i, value: told.append((i, value)),
    )  # fmt: skip
    assert [i for i, _ in told] == list(range(1, 13))  # 2 parts, 3 passes, 2 iterations
    assert found.iterations == 12
    again = net()
    assert found == minimize(again, X, np.sin(3 * X), loss="mse", method="cg", batch_size=20, epochs=3, iterations=2)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def test_a_callback_ends_it_with_the_best_weights():
    model = net()
    found = minimize(model, X, np.sin(3 * X), loss="mse", callback=lambda i, value: i == 3)
    assert found.iterations == 3
    assert found.complaint == ""
    model.compile("sgd", "mse")
    assert model.evaluate(X, np.sin(3 * X))["loss"] == pytest.approx(found.value, rel=1e-4)


def test_ctrl_c_leaves_the_best_so_far_and_errors_too():
    def interrupt(i, value):
        if i == 4:
            raise KeyboardInterrupt

    def fail(i, value):
        raise OSError("disk full")

    model = net()
    found = minimize(model, X, np.sin(3 * X), loss="mse", method="cg", callback=interrupt)
    assert found.interrupted
    model.compile("sgd", "mse")
    assert model.evaluate(X, np.sin(3 * X))["loss"] == pytest.approx(found.value, rel=1e-4)
    other = net()
    other.compile("sgd", "mse")
    before = other.evaluate(X, np.sin(3 * X))["loss"]
    with pytest.raises(OSError, match="disk full"):
        minimize(other, X, np.sin(3 * X), callback=fail)
    assert other.evaluate(X, np.sin(3 * X))["loss"] < before


def test_what_is_refused():
    with pytest.raises(RuntimeError, match="not compiled"):
        minimize(net(), X, X)
    with pytest.raises(ValueError, match=r"\[minimize\].*method"):
        minimize(net(), X, X, loss="mse", method="newton")
    with pytest.raises(ValueError, match="expected batch_size with epochs"):
        minimize(net(), X, X, loss="mse", epochs=2)
    with pytest.raises(pynn.errors.DataError, match="nan"):
        minimize(net(), X * np.nan, X, loss="mse")
    model = net()
    model.layers[0].w.view()[:] = np.nan
    weights = model.get_weights()
    with pytest.raises(NonFiniteError, match="not finite at the weights"), np.errstate(all="ignore"):
        minimize(model, X, X, loss="mse")
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(model.get_weights(), weights, strict=True))
