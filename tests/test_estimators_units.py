"""Perceptron and Adaline: the rules by hand, convergence, what is kept when there is none."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedShuffleSplit
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


# Beside scikit-learn

IRIS = load_iris(return_X_y=True)
SETTINGS = {
    "plain": {},
    "l2": {"penalty": "l2", "alpha": 0.01},
    "l1": {"penalty": "l1", "alpha": 0.001},
    "both": {"penalty": "elasticnet", "alpha": 0.01, "l1_ratio": 0.3},
    "eta0": {"eta0": 0.3, "penalty": "l2", "alpha": 0.1},
    "large alpha": {"eta0": 0.1, "penalty": "l2", "alpha": 1e5},
    "balanced": {"class_weight": "balanced"},
    "classes": {"class_weight": {0: 0.2, 1: 3, 2: 1}, "fit_intercept": False},
}


def agree(unit, other, rtol=1e-9):
    for name in ("coef_", "intercept_"):
        np.testing.assert_allclose(getattr(unit, name), getattr(other, name), rtol=rtol, atol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_the_perceptron_takes_scikit_learns_steps(name, weighted, classes):
    """The same weights after some epochs in the order of the data, dense and sparse."""
    from sklearn.linear_model import Perceptron as Other

    x, y = (a[IRIS[1] < classes] for a in IRIS)
    settings = {key: dict(list(v.items())[:classes]) if key == "class_weight" and isinstance(v, dict) else v
                for key, v in SETTINGS[name].items()}  # fmt: skip
    weight = np.random.default_rng(0).random(len(x)) if weighted else None
    options = {"shuffle": False, "tol": None, "max_iter": 7, **settings}
    expected = Other(**options).fit(x, y, sample_weight=weight)
    agree(Perceptron(**options).fit(x, y, sample_weight=weight), expected)
    agree(Perceptron(**options).fit(sparse.csr_array(x), y, sample_weight=weight), expected)
    part = Perceptron(**options)
    if settings.get("class_weight") != "balanced" and settings.get("penalty") not in ("l1", "elasticnet"):
        for _ in range(7):
            part.partial_fit(x, y, classes=np.unique(y), sample_weight=weight)
        agree(part, expected)
        assert part.t_ == expected.t_ == 1 + 7 * len(x)


@pytest.mark.parametrize("name", ["plain", "l2", "l1", "both", "classes"])
def test_adaline_takes_the_steps_of_scikit_learns_squared_error(name):
    from sklearn.linear_model import SGDClassifier

    x, y = IRIS
    x = StandardScaler().fit_transform(x)
    weight = np.random.default_rng(0).random(len(x))
    settings = {"penalty": None, **SETTINGS[name]}
    expected = SGDClassifier(
        loss="squared_error", learning_rate="constant", eta0=0.02, shuffle=False, tol=None, max_iter=3, **settings
    ).fit(x, y, sample_weight=weight)
    with pytest.warns(ConvergenceWarning, match="still move"):
        unit = Adaline(eta0=0.02, shuffle=False, max_iter=3, tol=1e-12, **settings).fit(x, y, sample_weight=weight)
    agree(unit, expected)
    for given in (x, sparse.csr_array(x)):
        part = Adaline(eta0=0.02, shuffle=False, **(settings | {"penalty": None}))
        for _ in range(3):
            part.partial_fit(given, y, classes=[0, 1, 2], sample_weight=weight)
        assert part.t_ == 1 + 3 * len(x)
        if settings["penalty"] is None:
            agree(part, expected)


@pytest.mark.parametrize("kind", [Perceptron, Adaline])
@pytest.mark.parametrize("form", [sparse.csr_matrix, sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_samples_give_what_dense_ones_give(kind, form):
    x, y = IRIS
    x = np.where(x > 2, x, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        dense, thin = (kind(max_iter=20).fit(given, y) for given in (x, form(x)))
    agree(thin, dense, 1e-12)
    np.testing.assert_allclose(thin.decision_function(form(x)), dense.decision_function(x), rtol=1e-12)
    assert np.array_equal(dense.sparsify().predict(x), thin.predict(x))
    assert sparse.issparse(dense.coef_)
    assert isinstance(dense.densify().coef_, np.ndarray)
    written = sparse.csr_array(x)
    written.data, written.indices = np.append(written.data, 0.0), np.append(written.indices, 0)  # a 0 in the last row
    written.indptr[-1] += 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        penalty = {"penalty": "l1", "alpha": 1e-3, "max_iter": 20}
        agree(kind(**penalty).fit(written, y), kind(**penalty).fit(x, y), 1e-12)
    empty = sparse.csr_array(np.zeros((4, 4)))
    assert thin.decision_function(empty).tolist() == [thin.intercept_.tolist()] * 4


@pytest.mark.parametrize("kind", [Perceptron, Adaline])
def test_a_warm_start_goes_on_and_weights_may_be_given(kind):
    x, y = IRIS[0][:100], IRIS[1][:100]
    options = {"shuffle": False, "max_iter": 2, "eta0": 0.001}
    options |= {"tol": None} if kind is Perceptron else {"tol": 1e-12}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        long = kind(**options | {"max_iter": 4}).fit(x, y)
        warm = kind(**options, warm_start=True).fit(x, y).fit(x, y)
        first = kind(**options).fit(x, y)
        given = kind(**options).fit(x, y, coef_init=first.coef_, intercept_init=first.intercept_)
        agree(warm, long, 1e-12)
        agree(given, long, 1e-12)
        with pytest.raises(ValueError, match=r"expected the classes of the last fit.*Received: \[0, 2\]"):
            warm.fit(x, 2 * y)
        with pytest.raises(ValueError, match=r"coef_init does not match dataset: expected shape \(1, 4\)"):
            first.fit(x, y, coef_init=np.zeros((2, 4)))
        with pytest.raises(ValueError, match=r"intercept_init does not match"):
            first.fit(x, y, intercept_init=np.zeros(3))


def test_early_stopping_learns_from_the_others_alone():
    x, y = IRIS
    options = {"tol": None, "max_iter": 10, "shuffle": False, "random_state": 42}
    unit = Perceptron(early_stopping=True, validation_fraction=0.4, **options).fit(x, y)
    rows = np.sort(next(StratifiedShuffleSplit(test_size=0.4, random_state=42).split(x, y))[0])
    agree(unit, Perceptron(**options).fit(x[rows], y[rows]), 1e-12)
    assert unit.n_iter_ == 10
    short = Perceptron(early_stopping=True, n_iter_no_change=3).fit(x, y)
    assert 3 < short.n_iter_ < 1000
    assert short.converged_


def test_the_pocket_counts_weights_and_the_loss_ends_a_training():
    x, y = np.array([[1.0], [2.0], [3.0], [4.0]]), [0, 1, 0, 1]
    with pytest.warns(ConvergenceWarning):
        unit = Perceptron(max_iter=200).fit(x, y, sample_weight=[1, 1, 50, 1])
    assert unit.predict(x)[2] == 0
    x, y = IRIS
    counts = [Perceptron(tol=1e-4, n_iter_no_change=n).fit(x, y).n_iter_ for n in (2, 3, 10)]
    assert counts == sorted(counts)
    with pytest.warns(ConvergenceWarning, match=r"the loss still improves after max_iter=3"):
        Perceptron(tol=0.0, max_iter=3).fit(x, y)
    assert Perceptron(tol=None, max_iter=3).fit(x, y).n_iter_ == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x, y: Perceptron(penalty="l3").fit(x, y), "unknown penalty. Received: 'l3'. help: did you mean"),
        (lambda x, y: Adaline(penalty="elasticnet", l1_ratio=None).fit(x, y), "l1_ratio must be set when penalty"),
        (lambda x, y: Perceptron(penalty="elasticnet", l1_ratio=2).fit(x, y), r"l1_ratio to be a number in \[0, 1\]"),
        (lambda x, y: Perceptron(eta0=0).fit(x, y), "expected eta0 to be a finite number above 0"),
        (lambda x, y: Adaline(eta0=-1).fit(x, y), "expected eta0 to be a finite number above 0"),
        (lambda x, y: Perceptron(tol="loss").fit(x, y), "expected tol to be a number, None or 'auto'"),
        (lambda x, y: Perceptron(early_stopping=True).partial_fit(x, y, [0, 1, 2]), "early_stopping should be False"),
        (lambda x, y: Perceptron().partial_fit(x, y), "expected classes in the first call"),
        (lambda x, y: Adaline(class_weight="balanced").partial_fit(x, y, [0, 1, 2]), "class_weight to be a dict"),
        (lambda x, y: Adaline().partial_fit(x, y, [0, 1]), r"classes not in `self.classes_`. Received: \[2\]"),
        (lambda x, y: Perceptron().fit(x, y).partial_fit(x, y, [0, 1]), "expected the classes of the calls before"),
        (lambda x, y: Perceptron().fit(x, y, sample_weight=y[:7]), "sample_weight to be 150 finite numbers"),
        (lambda x, y: Adaline().fit(x, y, sample_weight=0 * y), "sample weights are all zero"),
        (lambda x, y: Perceptron(class_weight={5: 1}).fit(x, y), "class_weight"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bad_calls(call, message):
    with pytest.raises(ValueError, match=message):
        call(*IRIS)


def test_a_kernel_refuses_rows_that_are_not_there():
    from pynn.core._linear import Rows, Unit

    x, theta = np.ones((3, 2)), np.zeros(3)
    unit, rows = Unit(theta, "least_squares", True), Rows(x)
    for order in ([0, 3], [-1]):
        with pytest.raises(ValueError, match="order of 3 rows"):
            unit.run(rows, np.ones(3), None, np.array(order), 0, 0.1)
    with pytest.raises(ValueError, match=r"expected float64 .3,.. Received: float64 .2,"):
        unit.run(rows, np.ones(2), None, np.arange(3), 0, 0.1)
    with pytest.raises(ValueError, match="columns from 0 to 1"):
        Rows(None, np.ones(1), np.array([2], np.int32), np.array([0, 1]), 2)
    with pytest.raises(ValueError, match="starts of rows that rise"):
        Rows(None, np.ones(1), np.array([0], np.int32), np.array([1, 0, 1]), 2)
    assert rows.outputs(np.array([1.0, 2.0, 3.0])).tolist() == [6.0] * 3


def test_early_stopping_of_adaline():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 5))
    y = X[:, 0] + X[:, 1] + 0.8 * rng.normal(size=300) > 0
    unit = Adaline(early_stopping=True, validation_fraction=0.2, n_iter_no_change=3, max_iter=200, learning_rate=1e-3)
    unit.fit(X, y)
    scores = unit.validation_scores_
    assert len(scores) == unit.n_iter_ == len(unit.loss_curve_) < 200
    assert max(scores[-3:]) < max(scores[:-3]) + 1e-4  # the last three were no better
    assert all(max(scores[k + 1 : k + 4]) >= max(scores[: k + 1]) + 1e-4 for k in range(len(scores) - 4))
    assert all(60 * score == pytest.approx(round(60 * score)) for score in scores)  # of 60 that are held out
    assert unit.t_ == 1 + 240 * unit.n_iter_
    assert unit.learning_rate_ == 1e-3
    assert unit.score(X, y) > 0.7
    with pytest.warns(ConvergenceWarning, match="score still rises after max_iter=2"):
        unit.set_params(max_iter=2).fit(X, y)
    for name, value in (("validation_fraction", 1.5), ("n_iter_no_change", 0)):
        with pytest.raises(ValueError, match=name):
            Adaline(early_stopping=True, **{name: value}).fit(X, y)
    with pytest.raises(ValueError, match="early_stopping should be False with partial_fit"):
        unit.partial_fit(X, y, classes=[False, True])


def test_without_a_tolerance_adaline_runs_all_epochs():
    X, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1]
    unit = Adaline(tol=None, max_iter=40).fit(X, y)
    assert unit.n_iter_ == 40
    stopped = Adaline(tol=None, max_iter=40, early_stopping=True, validation_fraction=0.5, n_iter_no_change=1)
    assert stopped.fit(X * 3, y * 3).n_iter_ == 40
