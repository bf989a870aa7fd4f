"""scikit-learn's own checks of estimators: every one of them, on every estimator, none expected to fail."""

import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from pynn import nn
from pynn.estimators import (
    Adaline,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    Perceptron,
)


def network(input_shape, output_shape):
    return nn.Sequential([nn.Input(input_shape), nn.Dense(100, activation="relu"), nn.Dense(output_shape[0])])


ESTIMATORS = [
    Perceptron(),
    Adaline(),
    MLPClassifier(),
    MLPRegressor(),
    NetworkClassifier(network),
    NetworkRegressor(network),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # some checks give noise to learn
@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
