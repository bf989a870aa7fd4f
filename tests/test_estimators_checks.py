"""scikit-learn's own checks of estimators: every one of them, on every estimator.

Two are expected to fail on the units that learn sample by sample, as scikit-learn expects of its own.
"""

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


def expected_to_fail(estimator):
    """A sample of weight 2 makes one update of twice the size, which is not what two samples of weight 1 do."""
    if not isinstance(estimator, (Perceptron, Adaline)):
        return {}
    kinds = ("dense", "sparse")
    return {f"check_sample_weight_equivalence_on_{kind}_data": "updates follow each other" for kind in kinds}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # some checks give noise to learn
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_to_fail)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
