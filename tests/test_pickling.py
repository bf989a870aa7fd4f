"""Optimizers, and estimators that hold one, can be copied and pickled; a copy has the settings and begins anew."""

import copy
import pickle

import numpy as np
import pytest

import pynn
from pynn import nn, optim
from pynn.optim.base import RUNNING
from pynn.schedules import Cosine

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X.sum(axis=1) > 0).astype(int)

OPTIMIZERS = {
    "adam": lambda: optim.Adam(0.02, beta_1=0.8, clip_norm=1.5, weight_decay=0.01),
    "schedule": lambda: optim.SGD(Cosine(0.1, steps=7), momentum=0.9, nesterov=True),
    "rmsprop": lambda: optim.RMSprop(0.003),
}
COPIES = {"pickle": lambda found: pickle.loads(pickle.dumps(found)), "deepcopy": copy.deepcopy, "copy": copy.copy}


def trained(optimizer, steps):
    """Return a parameter after some steps of an optimizer on its own."""
    w = pynn.tensor([4.0, -1.0], requires_grad=True)
    optimizer.bind([w])
    for _ in range(steps):
        (w * w).sum().backward()
        optimizer.step()
    return w.numpy()


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_copy_of_an_optimizer_has_its_settings_and_begins_anew(name, how):
    optimizer = OPTIMIZERS[name]()
    expected = trained(OPTIMIZERS[name](), 5)
    trained(optimizer, 3)
    again = COPIES[how](optimizer)
    assert type(again) is type(optimizer)
    assert repr(again) == repr(optimizer)
    settings = [{k: v for k, v in vars(o).items() if k not in RUNNING} for o in (again, optimizer)]
    assert settings[0] == settings[1]
    assert again.iterations == 0
    assert again.state() == {}
    assert np.array_equal(trained(again, 5), expected)


def test_a_copy_leaves_the_training_of_the_first_alone():
    one, two = optim.Adam(0.1), optim.Adam(0.1)
    w, v = (pynn.tensor([4.0], requires_grad=True) for _ in range(2))
    one.bind([w]), two.bind([v])
    for _ in range(4):
        for optimizer, t in ((one, w), (two, v)):
            (t * t).sum().backward()
            optimizer.step()
        trained(copy.copy(one), 2)
    assert np.array_equal(w.numpy(), v.numpy())
    assert one.iterations == two.iterations == 4


def estimator(optimizer):
    estimators = pytest.importorskip("pynn.estimators", reason="scikit-learn is not installed", exc_type=ImportError)
    return estimators.MLPClassifier((5,), solver=optimizer, max_iter=3, tol=0.0, random_state=1)


@pytest.mark.filterwarnings("ignore:.*still improves")
@pytest.mark.parametrize("how", [*COPIES, "clone"])
@pytest.mark.parametrize("fitted_before", [False, True])
def test_an_estimator_with_an_optimizer_can_be_copied(how, fitted_before):
    net = estimator(optim.Adam(0.01))
    expected = estimator(optim.Adam(0.01)).fit(X, Y).predict_proba(X)
    if fitted_before:
        net.fit(X, Y)
    again = __import__("sklearn.base").base.clone(net) if how == "clone" else COPIES[how](net)
    if fitted_before and how != "clone":
        assert np.array_equal(again.predict_proba(X), expected)
    assert np.array_equal(again.fit(X, Y).predict_proba(X), expected)


@pytest.mark.filterwarnings("ignore:.*still improves")
def test_an_estimator_with_an_optimizer_goes_to_other_processes():
    estimator(None)
    from joblib import Parallel, delayed
    from sklearn.base import clone

    def fitted(net, x, y):  # sent as code: the workers cannot import this file
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return net.fit(x, y)

    net = estimator(optim.Adam(0.01))
    expected = clone(net).fit(X, Y).predict_proba(X)
    with Parallel(n_jobs=2) as parallel:
        found = parallel(delayed(fitted)(clone(net), X, Y) for _ in range(3))
    for other in found:
        assert np.array_equal(other.predict_proba(X), expected)


class Two(nn.Module):
    def forward(self, x):
        return {"a": x, "b": 2.0 * x}


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_model_without_weights_has_several_outputs_too(how):
    model = Two()
    model.compile("sgd", {"a": "mse", "b": "mae"}, {"b": ["mae"]}, loss_weights={"b": 3.0}, seed=5)
    again = COPIES[how](model)
    x = np.ones((2, 3), "float32")
    expected = {"loss": 7.0, "a_loss": 1.0, "b_loss": 2.0, "b_mae": 2.0}
    assert dict(again.evaluate(x, {"a": 0 * x, "b": 0 * x}, verbose=0).items()) == expected
