"""Perceptron and Adaline: the rules by hand, convergence, what is kept when there is none."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

import pynn
from pynn.estimators import Adaline, Perceptron

TABLE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)


def perceptron_by_hand(x, y, epochs):
    """theta_j += (y - g(theta . x)) x_j, as it is written."""
    theta, updates = np.zeros(x.shape[1] + 1), []
    for epoch in range(epochs):
        before = len(updates)
        for i, (row, target) in enumerate(zip(x, y, strict=True)):
            one = np.array([1.0, *row])
            error = int(target) - int(theta @ one > 0)
            if error:
                theta = theta + error * one
                updates.append((epoch, i, error, theta))
        if len(updates) == before:
            break
    return theta, updates, epoch + 1


@pytest.mark.parametrize("y", [[0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]], ids=["and", "or", "nand"])
def test_the_trace_is_that_of_the_rule(y):
    unit = Perceptron(shuffle=False).fit(TABLE, y)
    theta, updates, epochs = perceptron_by_hand(TABLE, y, 100)
    assert unit.predict(TABLE).tolist() == y
    assert unit.converged_
    assert unit.n_iter_ == epochs
    assert unit.errors_ == [[sum(u[0] == e for u in updates) for e in range(epochs)]]
    assert [(u.epoch, u.sample, u.error, u.theta.tolist()) for u in unit.trace_] == [
        (*u[:3], u[3].tolist()) for u in updates
    ]
    assert [unit.intercept_[0], *unit.coef_[0]] == theta.tolist()


def test_looking_ahead_changes_nothing():
    """Samples up to the next error are looked at together: on many samples the updates are still the rule's."""
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (300, 4)).astype(float)
    y = (x @ [1, -2, 3, 1] + 1 > 0).astype(int)
    unit = Perceptron(shuffle=False, max_iter=10_000).fit(x, y)
    theta, updates, epochs = perceptron_by_hand(x, y, 10_000)
    assert unit.n_iter_ == epochs
    assert sum(unit.errors_[0]) == len(updates)
    assert [unit.intercept_[0], *unit.coef_[0]] == theta.tolist()


def test_xnor_keeps_the_best_weights_and_says_so():
    with pytest.warns(
        ConvergenceWarning, match=r"\[Perceptron\] errors remain after max_iter=100 .*wrong 1 times on 4"
    ):
        unit = Perceptron(max_iter=100).fit(TABLE, [1, 0, 0, 1])
    assert not unit.converged_
    assert unit.n_iter_ == 100
    assert unit.score(TABLE, [1, 0, 0, 1]) == 0.75  # no line does better


def test_the_best_weights_are_better_than_the_last():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 2))
    y = ((x[:, 0] > 0) ^ (rng.random(200) < 0.05)).astype(int)
    with pytest.warns(ConvergenceWarning):
        unit = Perceptron(max_iter=30).fit(x, y)
    assert unit.score(x, y) > 0.93
    assert min(unit.errors_[0]) > 10  # each epoch of the rule itself makes more errors than the kept weights


def test_a_network_of_three_perceptrons_computes_xnor():
    both, neither = Perceptron().fit(TABLE, [0, 0, 0, 1]), Perceptron().fit(TABLE, [1, 0, 0, 0])
    hidden = np.stack([both.predict(TABLE), neither.predict(TABLE)], axis=1)
    either = Perceptron().fit(TABLE, [0, 1, 1, 1])
    assert either.predict(hidden).tolist() == [1, 0, 0, 1]


def test_the_trace_has_its_limit():
    unit = Perceptron(trace=2).fit(TABLE, [0, 0, 0, 1])
    assert len(unit.trace_) == 2
    assert Perceptron(trace=0).fit(TABLE, [0, 0, 0, 1]).trace_ == []


def test_three_classes_have_a_unit_each():
    x = np.array([[0, 0], [0, 1], [4, 0], [4, 1], [0, 8], [1, 8]], float)
    y = ["a", "a", "b", "b", "c", "c"]
    unit = Perceptron().fit(x, y)
    assert unit.coef_.shape == (3, 2)
    assert unit.predict(x).tolist() == y
    assert {u.unit for u in unit.trace_} <= {0, 1, 2}
    assert len(unit.errors_) == 3


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (
            Perceptron(max_iter=0),
            r"\[Perceptron\] expected max_iter to be a positive integer. Received: max_iter=0",
        ),
        (Perceptron(trace=-1), r"\[Perceptron\] expected trace"),
        (Adaline(learning_rate=0), r"\[Adaline\] expected learning_rate to be a finite number above 0"),
        (Adaline(tol=float("nan")), r"\[Adaline\] expected tol to be a finite number"),
        (Adaline(halvings=1.5), r"\[Adaline\] expected halvings"),
    ],
)
def test_bad_parameters(estimator, message):
    with pytest.raises(ValueError, match=message):
        estimator.fit(TABLE, [0, 0, 0, 1])


@pytest.mark.parametrize("unit", [Perceptron(), Adaline()])
def test_one_class_is_refused(unit):
    with pytest.raises(ValueError, match=r"at least 2 classes. Received: 1 class"):
        unit.fit(TABLE, [1, 1, 1, 1])


def adaline_by_hand(x, y, rate, order, epochs):
    """theta_j += eta (y - theta . x) x_j, as it is written."""
    theta = np.zeros(x.shape[1] + 1)
    for _ in range(epochs):
        for i in order:
            one = np.array([1.0, *x[i]])
            theta = theta + rate * (y[i] - theta @ one) * one
    return theta


def test_adaline_takes_the_steps_of_the_rule():
    x, y = load_iris(return_X_y=True)
    x, y = StandardScaler().fit_transform(x), np.where(y > 0, 1.0, -1.0)
    with pytest.warns(ConvergenceWarning, match=r"\[Adaline\] the weights still move after max_iter=3"):
        unit = Adaline(learning_rate=0.01, max_iter=3, tol=1e-12, shuffle=False).fit(x, y)
    theta = adaline_by_hand(x, y, 0.01, range(len(x)), 3)
    np.testing.assert_allclose([unit.intercept_[0], *unit.coef_[0]], theta, rtol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_adaline_is_least_squares(classes):
    """The tolerance that the docstring states."""
    x, y = load_iris(return_X_y=True)
    x, y = StandardScaler().fit_transform(x[y < classes][:, :3]), y[y < classes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        unit = Adaline(max_iter=20_000, tol=1e-6, halvings=9).fit(x, y)
    ones = np.concatenate([np.ones((len(x), 1)), x], axis=1)
    signs = np.stack([np.where(y == c, 1.0, -1.0) for c in ([1] if classes == 2 else range(3))], axis=1)
    best = np.linalg.lstsq(ones, signs)[0]
    found = np.concatenate([unit.intercept_[None], unit.coef_.T])
    assert abs(found - best).max() < 1e-3 * abs(best).max()


def test_adaline_notes_its_errors():
    unit = Adaline(max_iter=10_000).fit(TABLE, [0, 0, 0, 1])
    assert len(unit.loss_curve_) == unit.n_iter_ > 10
    assert unit.loss_curve_[0] > unit.loss_curve_[-1] > 0
    assert unit.learning_rate_ == pytest.approx(0.5 / 3 / 2**6)


def test_a_rate_that_is_too_large_is_an_error():
    with pytest.raises(pynn.errors.NonFiniteError):
        Adaline(learning_rate=1e3).fit(TABLE, [0, 0, 0, 1])


@pytest.mark.parametrize("kind", [Perceptron, Adaline])
def test_without_a_bias(kind):
    x = np.array([[1.0, 2.0], [2.0, 1.0], [-1.0, -2.0], [-2.0, -1.0]])
    unit = kind(fit_intercept=False).fit(x, [1, 1, 0, 0])
    assert unit.intercept_.tolist() == [0.0]
    assert unit.predict(x).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("kind", [Perceptron, Adaline])
def test_any_number_of_threads_gives_the_same_bits(kind):
    x, y = load_iris(return_X_y=True)
    found = []
    for threads in (1, 2, 4):
        pynn.set_num_threads(threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            unit = kind(max_iter=20).fit(x, y)
        found.append((unit.coef_.tobytes(), unit.intercept_.tobytes()))
    pynn.set_num_threads(None)
    assert len(set(found)) == 1
