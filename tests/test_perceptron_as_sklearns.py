"""scikit-learn's own tests of its Perceptron, and those of SGDClassifier that a perceptron can pass, with pynn's.

The modules are those of the installed scikit-learn; where a name is not there (another version), it is left out.
"""

import inspect
import types
from importlib import import_module
from itertools import chain

import pytest

pytest.importorskip("sklearn")
from sklearn import linear_model

from pynn.estimators import Perceptron

pytestmark = pytest.mark.filterwarnings("ignore")  # scikit-learn's tests have warnings of their own

PERCEPTRON = """perceptron_accuracy perceptron_correctness undefined_methods perceptron_l1_ratio"""
# Those that scikit-learn's Perceptron passes too in the place of SGDClassifier. The rest of test_sgd.py asks for other
# losses, rates that fall, averages of weights or probabilities, is about a hinge's weights, or replaces private parts.
STOCHASTIC = """warm_start input_format clone early_stopping validation_set_not_used_for_training n_iter_no_change
    not_enough_sample_for_early_stopping sgd_l1_ratio_not_used sgd_failing_penalty_validation provide_coef
    set_intercept_offset sgd_early_stopping_with_partial_fit set_intercept_offset_binary set_intercept_to_intercept
    sgd_at_least_two_labels partial_fit_weight_class_balanced sgd_multiclass sgd_multiclass_with_init_coef
    sgd_multiclass_njobs set_coef_multiclass sgd_l1 wrong_class_weight_label weights_multiplied wrong_sample_weights
    partial_fit_exception partial_fit_binary partial_fit_multiclass fit_then_partial_fit partial_fit_equal_fit_classif
    multiple_fit l1_ratio large_regularization tol_parameter SGDClassifier_fit_for_all_backends sgd_random_state
    sgd_error_on_zero_validation_weight sgd_verbose sgd_dtype_match sgd_numerical_consistency"""
RATES = ("optimal", "invscaling", "adaptive", "pa1", "pa2")  # SGDClassifier's; that of a perceptron is constant


def module(name):
    try:
        return import_module(f"sklearn.linear_model.tests.{name}")
    except (ImportError, pytest.fail.Exception):  # the latter where it has a mark that is unknown here
        return None


def of_perceptrons(values):
    """Whether one set of a test's parameters goes with a perceptron."""
    values = getattr(values, "values", values)
    values = values if isinstance(values, tuple | list) else [values]
    kinds = [v for v in values if callable(v) and ("SGD" in v.__name__)]
    return all(k.__name__ in ("SGDClassifier", "SparseSGDClassifier") for k in kinds) and not any(
        isinstance(v, str) and v in RATES for v in values
    )


def taken(test):
    """Return a copy of a test that has those of its parameters that go with a perceptron."""
    copy = types.FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    copy.__signature__ = inspect.signature(test)
    copy.pytestmark = [
        pytest.mark.parametrize(mark.args[0], [v for v in mark.args[1] if of_perceptrons(v)], **mark.kwargs).mark
        if mark.name == "parametrize"
        else mark
        for mark in getattr(test, "pytestmark", [])
    ]
    return copy


THEIRS = {name: module(name) for name in ("test_perceptron", "test_sgd")}
for name, wanted in zip(THEIRS, (PERCEPTRON, STOCHASTIC), strict=True):
    for test in wanted.split():
        if hasattr(THEIRS[name], f"test_{test}"):
            globals()[f"test_{test}"] = taken(getattr(THEIRS[name], f"test_{test}"))


class Sparse(Perceptron):
    """A perceptron that sees everything compressed by rows."""

    __init__ = Perceptron.__init__


for method in ("fit", "partial_fit", "decision_function"):

    def compressed(self, X, *args, method=method, **more):
        from scipy.sparse import csr_array

        return getattr(Perceptron, method)(self, csr_array(X), *args, **more)

    setattr(Sparse, method, compressed)


def instead(kind):
    """Return what makes a perceptron of SGDClassifier's arguments; a loss or a rate that it lacks is a TypeError."""

    def made(**arguments):
        for name, value in {"loss": "perceptron", "learning_rate": "constant", "average": False}.items():
            if arguments.get(name) == value:
                del arguments[name]
        return kind(**arguments)

    return made


@pytest.fixture(autouse=True)
def with_pynns(monkeypatch):
    """Put pynn's class where theirs is looked up; of errors and warnings the kind counts, not the wording."""
    perceptrons, stochastic = THEIRS.values()
    wordless = types.SimpleNamespace(
        mark=pytest.mark,
        raises=lambda kind, match=None, **more: pytest.raises(kind, **more),
        warns=lambda kind, match=None, **more: pytest.warns(kind, **more),
    )
    for theirs in filter(None, THEIRS.values()):
        monkeypatch.setattr(theirs, "pytest", wordless, raising=False)
    if perceptrons:
        monkeypatch.setattr(perceptrons, "Perceptron", Perceptron)
    if stochastic:
        public = {name: getattr(linear_model, name) for name in linear_model.__all__}
        monkeypatch.setattr(
            stochastic, "linear_model", types.SimpleNamespace(**public | {"SGDClassifier": instead(Perceptron)})
        )
        monkeypatch.setattr(stochastic, "_SparseSGDClassifier", instead(Sparse), raising=False)


@pytest.fixture
def global_random_seed():
    return 42


def test_the_tests_are_there():
    found = [name for name in chain(PERCEPTRON.split(), STOCHASTIC.split()) if f"test_{name}" in globals()]
    if not all(THEIRS.values()):
        pytest.skip("this scikit-learn was installed without its tests")
    assert len(found) > 35


@pytest.mark.parametrize("settings", [{"tol": 1e-3}, {"penalty": "l2"}, {"early_stopping": True, "tol": None}], ids=str)
@pytest.mark.parametrize("classes", [2, 3])
def test_shuffled_samples_come_in_scikit_learns_order(classes, settings):
    import numpy as np
    from sklearn.datasets import load_iris

    x, y = load_iris(return_X_y=True)
    x, y = x[y < classes], y[y < classes]
    options = {"max_iter": 30, "random_state": 5, **settings}
    ours, theirs = Perceptron(**options).fit(x, y), linear_model.Perceptron(**options).fit(x, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
    assert ours.n_iter_ == theirs.n_iter_
    ours.partial_fit(x, y) if not ours.early_stopping else None
    theirs.partial_fit(x, y) if not ours.early_stopping else None
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9)
