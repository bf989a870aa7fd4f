"""Adaline's first rule and what it costs; the recipes of the oldest networks."""

import numpy as np
import pytest

pytest.importorskip("sklearn")

from scipy import sparse

from pynn.estimators import Adaline
from pynn.recipes import misadjustment


def alpha_lms_by_hand(x, y, alpha, bias):
    """theta_j += alpha (y - theta . x) x_j / |x|**2, as it is written."""
    theta = np.zeros(x.shape[1] + 1)
    for row, target in zip(x, y, strict=True):
        one = np.array([float(bias), *row])
        if one @ one:
            theta = theta + alpha * (target - theta @ one) * one / (one @ one)
    return theta


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_alpha_lms_takes_the_steps_of_the_rule(rng, bias, form):
    x = np.where(rng.random((60, 5)) < 0.4, rng.normal(0, 1, (60, 5)), 0)
    x[7] = 0  # without a bias it has no length, and teaches nothing
    y = np.where(rng.random(60) < 0.5, 1, -1)
    unit = Adaline(rule="alpha-lms", learning_rate=0.7, shuffle=False, fit_intercept=bias)
    unit.partial_fit(form(x), y, classes=[-1, 1])
    found = [unit.intercept_[0], *unit.coef_[0]]
    np.testing.assert_allclose(found, alpha_lms_by_hand(x, y, 0.7, bias), rtol=1e-10, atol=1e-12)


def test_an_alpha_of_one_answers_each_sample_exactly(rng):
    x, y = rng.normal(0, 100, (30, 4)), np.arange(30) % 2
    unit = Adaline(rule="alpha-lms", learning_rate=1.0, shuffle=False).partial_fit(x, y, classes=[0, 1])
    assert unit.decision_function(x[-1:])[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rule": "beta"}, r"\[Adaline\] .*rule.*Received: 'beta'"),
        (
            {"rule": "alpha-lms", "learning_rate": 2.0},
            r"\[Adaline\] expected learning_rate .*Received: learning_rate=2",
        ),
        ({"rule": "alpha-lms", "eta0": -1}, r"\[Adaline\] expected eta0 .*Received: eta0=-1"),
    ],
)
def test_rules_and_rates_that_are_none(settings, message):
    with pytest.raises(ValueError, match=message):
        Adaline(**settings).fit([[0.0], [1.0]], [0, 1])


@pytest.mark.parametrize(("rule", "make"), [("alpha-lms", "flipped"), ("mu-lms", "greyed")])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_the_excess_error_is_the_predicted_one(rule, make, share):
    found = misadjustment.misadjustment(rule, share, getattr(misadjustment, make), seed=3)
    assert found == pytest.approx(share / (2 - share), rel=0.1)


def test_samples_too_large_for_a_rate_are_named():
    with pytest.raises(ValueError, match=r"\[Adaline\] expected samples whose squared length is finite.*scale"):
        Adaline().fit(np.full((4, 3), 1e200), [0, 1, 0, 1])
