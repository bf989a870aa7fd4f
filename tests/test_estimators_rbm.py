"""BernoulliRBM beside scikit-learn's."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from pynn.estimators import BernoulliRBM

SETTINGS = {"n_components": 24, "learning_rate": 0.05, "n_iter": 8, "random_state": 0}


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x[:800] > 7).astype(float), y[:800]


def test_pseudo_likelihood_is_that_of_scikit_learn(digits):
    x, _ = digits
    ours, theirs = (cls(**SETTINGS).fit(x) for cls in (BernoulliRBM, neural_network.BernoulliRBM))
    begun = BernoulliRBM(**{**SETTINGS, "n_iter": 0}).fit(x).score_samples(x).mean()
    mine, other = ours.score_samples(x).mean(), theirs.score_samples(x).mean()
    assert mine > begun + 15
    assert mine == pytest.approx(other, abs=1.5)
    assert ours.components_.shape == theirs.components_.shape == (24, 64)
    assert ours.h_samples_.shape == theirs.h_samples_.shape
    assert ours.transform(x).dtype == x.dtype


def test_first_weights_and_what_is_computed_of_them_are_scikit_learns(digits):
    x, _ = digits
    ours, theirs = (cls(**{**SETTINGS, "n_iter": 0}).fit(x) for cls in (BernoulliRBM, neural_network.BernoulliRBM))
    assert np.array_equal(ours.components_, theirs.components_)
    trained = neural_network.BernoulliRBM(**SETTINGS).fit(x)
    weights = trained.components_.T, trained.intercept_hidden_, trained.intercept_visible_
    ours.model_.set_weights(weights)
    assert np.allclose(ours.transform(x), trained.transform(x))
    assert np.allclose(ours.score_samples(x), trained.score_samples(x))
    assert ours.gibbs(x).dtype == bool
    assert ours.gibbs(x).mean() == pytest.approx(trained.gibbs(x).mean(), abs=0.01)


def test_one_update_is_scikit_learns_but_for_the_numbers_drawn(digits):
    """Chains begin at 0, so that the visible units are drawn with probability 1/2: in the mean, the same."""
    x, _ = digits
    settings = {**SETTINGS, "batch_size": len(x), "learning_rate": 1.0}
    ours, theirs = (cls(**settings) for cls in (BernoulliRBM, neural_network.BernoulliRBM))
    for one in (ours, theirs):
        one.partial_fit(x)
    assert np.allclose(ours.intercept_visible_, x.mean(0) - 0.5, atol=0.09)  # five deviations of 800 coins
    assert np.allclose(ours.intercept_visible_, theirs.intercept_visible_, atol=0.12)
    assert np.allclose(ours.intercept_hidden_, theirs.intercept_hidden_, atol=0.02)
    assert np.allclose(ours.components_, theirs.components_, atol=0.1)


def test_it_goes_into_pipelines_and_through_pickle(digits, capsys):
    x, y = digits
    pipe = make_pipeline(
        BernoulliRBM(**{**SETTINGS, "n_components": 60, "verbose": True}), LogisticRegression(max_iter=1000)
    )
    assert pipe.fit(x, y).score(x, y) > 0.75
    assert "[BernoulliRBM] Iteration 8, pseudo-likelihood = " in capsys.readouterr().out
    rbm = pipe[0]
    again = pickle.loads(pickle.dumps(rbm))
    assert np.array_equal(again.transform(x), rbm.transform(x))
    assert np.array_equal(again.h_samples_, rbm.h_samples_)
    assert list(rbm.get_feature_names_out()[:2]) == ["bernoullirbm0", "bernoullirbm1"]
    again.partial_fit(x[:7])


def test_data_that_are_no_probabilities_are_told():
    with pytest.warns(UserWarning, match=r"expected X in 0\.\.1\. Received: values from 0 to 16"):
        BernoulliRBM(3, n_iter=1).fit([[0.0, 16.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="n_components"):
        BernoulliRBM(0).fit([[0.0, 1.0]])
    with pytest.raises(ValueError, match="learning_rate"):
        BernoulliRBM(2, learning_rate=0).fit([[0.0, 1.0]])
