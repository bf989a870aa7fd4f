"""MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor: beside scikit-learn's own, and in its company."""

import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, make_multilabel_classification, make_regression
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import pynn
from pynn import nn
from pynn.estimators import MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def iris():
    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), y


def cancer():
    x, y = load_breast_cancer(return_X_y=True)
    return StandardScaler().fit_transform(x[:200]), y[:200]


def labels():
    return make_multilabel_classification(random_state=0)


def values(targets=1):
    x, y = make_regression(100, 5, n_targets=targets, random_state=0)
    return x, y / 50


def network(input_shape, output_shape):
    return nn.Sequential([nn.Input(input_shape), nn.Dense(16, activation="tanh"), nn.Dense(output_shape[0])])


def with_softmax(input_shape, output_shape):
    return nn.Sequential([nn.Input(input_shape), nn.Dense(output_shape[0], activation="softmax")])


# Drop-in: the same steps as scikit-learn's, from the same weights


SGD = {"solver": "sgd", "batch_size": 50}


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (iris, SGD),
        (iris, {**SGD, "momentum": 0.5, "nesterovs_momentum": False, "activation": "tanh"}),
        (iris, {**SGD, "momentum": 0, "learning_rate": "invscaling", "learning_rate_init": 0.5, "power_t": 0.3}),
        (
            iris,
            {**SGD, "momentum": 0, "learning_rate": "adaptive", "learning_rate_init": 0.5, "tol": 1e-2,
             "n_iter_no_change": 3, "max_iter": 300},
        ),
        (iris, {**SGD, "activation": "logistic", "alpha": 0.5, "hidden_layer_sizes": (8, 5)}),
        (iris, {"solver": "lbfgs", "max_iter": 15, "activation": "tanh", "alpha": 0.1}),
        (iris, {"solver": "sgd", "hidden_layer_sizes": ()}),
        (cancer, SGD),
        (cancer, {**SGD, "early_stopping": True, "learning_rate_init": 0.1, "max_iter": 100, "alpha": 0.0}),
        (labels, {**SGD, "alpha": 0.1}),
    ],
)  # fmt: skip
def test_the_classifier_takes_scikit_learns_steps(data, options):
    x, y = data()
    options = {"max_iter": 20, "shuffle": False, "random_state": 3} | options
    ours, theirs = (module.MLPClassifier(**options).fit(x, y) for module in (pynn.estimators, neural_network))
    same_networks(ours, theirs)
    np.testing.assert_allclose(ours.loss_, theirs.loss_, rtol=1e-9)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), atol=1e-9)
    assert (ours.predict(x) == theirs.predict(x)).all()
    if options["solver"] == "sgd":
        np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
        assert ours.t_ == theirs.t_
        if options.get("early_stopping"):
            np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_)
            assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)


@pytest.mark.parametrize(
    ("targets", "options"),
    [
        (1, SGD),
        (3, SGD),
        (1, {**SGD, "early_stopping": True}),
        (3, {**SGD, "early_stopping": True}),
        (1, {"solver": "lbfgs", "max_iter": 15}),  # for several, scikit-learn's value and gradient are not of one loss
    ],
)
def test_the_regressor_takes_scikit_learns_steps(targets, options):
    x, y = values(targets)
    options = {"max_iter": 20, "shuffle": False, "random_state": 3, "alpha": 0.0} | options
    ours, theirs = (module.MLPRegressor(**options).fit(x, y) for module in (pynn.estimators, neural_network))
    same_networks(ours, theirs)
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x), atol=1e-7)
    assert ours.predict(x).shape == y.shape
    if options.get("early_stopping"):
        np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_, rtol=1e-7)


def same_networks(ours, theirs):
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.n_layers_ == theirs.n_layers_
    assert ours.n_outputs_ == theirs.n_outputs_
    for a, b in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


def test_adam_differs_by_the_place_of_epsilon_alone():
    """pynn adds it after the bias correction, as the paper does; with a tiny one the steps are the same."""
    x, y = iris()
    options = {"epsilon": 1e-300, "activation": "tanh", "max_iter": 20, "shuffle": False, "random_state": 3}
    ours, theirs = (module.MLPClassifier(**options).fit(x, y) for module in (pynn.estimators, neural_network))
    same_networks(ours, theirs)


def test_sample_weights_are_scikit_learns():
    x, y = iris()
    w = np.random.default_rng(0).integers(0, 4, len(x))
    options = {"solver": "sgd", "max_iter": 20, "shuffle": False, "random_state": 3}
    ours, theirs = (m.MLPClassifier(**options).fit(x, y, sample_weight=w) for m in (pynn.estimators, neural_network))
    same_networks(ours, theirs)


def test_partial_fits_take_scikit_learns_steps():
    x, y = iris()
    options = {**SGD, "shuffle": False, "random_state": 3}
    ours, theirs = (module.MLPClassifier(**options) for module in (pynn.estimators, neural_network))
    for k in range(6):
        for model in (ours, theirs):
            model.partial_fit(x[k % 3 :: 3], y[k % 3 :: 3], classes=[0, 1, 2])
    same_networks(ours, theirs)
    assert ours.n_iter_ == 1
    assert ours.t_ == theirs.t_
    assert len(ours.loss_curve_) == 6


def test_all_parameters_of_scikit_learns_are_there_with_the_same_defaults():
    for name in ("MLPClassifier", "MLPRegressor"):
        ours, theirs = (getattr(module, name)().get_params() for module in (pynn.estimators, neural_network))
        assert {key: ours[key] for key in theirs} == theirs
        ours, theirs = (inspect.signature(getattr(m, name)).parameters for m in (pynn.estimators, neural_network))
        by_place = [p.name for p in theirs.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert [p.name for p in ours.values() if p.kind is p.POSITIONAL_OR_KEYWORD] == by_place


# More than scikit-learn's


@pytest.mark.parametrize(
    "solver",
    ["rmsprop", "nadam", pynn.optim.AMSGrad, pynn.optim.RMSprop(5e-3, clip_norm=1.0)],
)
def test_any_optimizer(solver):
    x, y = iris()
    net = MLPClassifier((16,), solver=solver, learning_rate_init=0.01, random_state=0).fit(x, y)
    assert net.score(x, y) > 0.95
    if isinstance(solver, pynn.optim.Optimizer):
        assert solver.iterations == 0  # a copy was used


def test_a_schedule_sets_the_rate_of_every_step():
    x, y = iris()
    rates = []

    class Look(pynn.train.Callback):
        def on_epoch_end(self, epoch, logs=None):
            rates.append(self.model.optimizer.learning_rate)  # of the next step; an epoch is one step here

    schedule = pynn.schedules.Exponential(0.01, rate=0.5, every=1)
    MLPClassifier((4,), learning_rate=schedule, max_iter=4, callbacks=[Look()], random_state=0).fit(x, y)
    np.testing.assert_allclose(rates, [0.01 * 0.5**k for k in range(1, 5)])


def test_dropout_layers_are_where_they_are_asked_for():
    x, y = iris()
    net = MLPClassifier((8, 8), dropout=(0.0, 0.3), max_iter=5, random_state=0).fit(x, y)
    assert [type(layer).__name__ for layer in net.model_.layers] == ["Dense", "Dense", "Dropout", "Dense"]
    plain = MLPClassifier((8, 8), max_iter=5, random_state=0).fit(x, y)
    assert net.loss_curve_ != plain.loss_curve_
    assert (net.predict_proba(x) == net.predict_proba(x)).all()


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "squared_error", pynn.losses.Huber(0.5)])
@pytest.mark.parametrize("data", [iris, cancer])
def test_losses_without_probabilities(loss, data):
    x, y = data()
    net = MLPClassifier((16,), loss=loss, learning_rate_init=0.01, random_state=0).fit(x, y)
    assert net.score(x, y) > 0.95
    assert not hasattr(net, "predict_proba")
    scores = net.decision_function(x)
    assert (net.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(1)] == net.predict(x)).all()


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "poisson", "mse"])
def test_losses_of_the_regressor(loss):
    x, y = values()
    y = np.exp(y / 4)
    net = MLPRegressor(loss, (32,), learning_rate_init=0.01, random_state=0, max_iter=300).fit(x, y)
    assert net.score(x, y) > 0.8
    if loss == "poisson":
        assert (net.predict(x) > 0).all()


def test_class_weights():
    x, y = cancer()
    options = {"solver": "sgd", "max_iter": 10, "shuffle": False, "random_state": 0}
    given = MLPClassifier(**options, class_weight={0: 3.0, 1: 0.5}).fit(x, y)
    by_sample = MLPClassifier(**options).fit(x, y, sample_weight=np.where(y == 0, 3.0, 0.5))
    for a, b in zip(given.coefs_, by_sample.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    balanced = MLPClassifier(**options, class_weight="balanced").fit(x, y)
    assert balanced.predict(x).mean() != MLPClassifier(**options).fit(x, y).predict(x).mean()


@pytest.mark.parametrize("dtype", ["float32", np.float64, None])
def test_dtype(dtype):
    x, y = iris()
    net = MLPClassifier((4,), dtype=dtype, max_iter=3, random_state=0).fit(x, y)
    assert net.predict_proba(x).dtype == np.dtype(dtype or np.float64)
    single = MLPClassifier((4,), dtype=dtype, max_iter=3, random_state=0).fit(x.astype(np.float32), y)
    assert single.coefs_[0].dtype == np.dtype(dtype or np.float32)


def test_validation_data_and_callbacks():
    x, y = iris()
    stopping = pynn.train.EarlyStopping("val_loss", patience=3)
    net = MLPClassifier((16,), learning_rate_init=0.05, max_iter=500, callbacks=[stopping], random_state=0)
    net.fit(x[::2], y[::2], validation_data=(x[1::2], y[1::2]))
    assert net.n_iter_ < 500
    assert set(net.history_) == {"loss", "val_loss", "val_score"}
    assert len(net.validation_scores_) == net.n_iter_ == len(net.history_["val_loss"])
    assert net.history_["val_score"] == net.validation_scores_
    assert stopping.model is None  # parameters stay as they were: a copy was used
    log = -np.log(net.predict_proba(x[1::2])[np.arange(75), y[1::2]]).mean()
    assert min(net.history_["val_loss"]) == pytest.approx(log, rel=1e-3)  # the best weights, less the penalty


def test_early_stopping_by_given_data_keeps_the_best_weights():
    x, y = iris()
    net = MLPClassifier((16,), early_stopping=True, learning_rate_init=0.05, n_iter_no_change=5, random_state=0)
    net.fit(x[::2], y[::2], validation_data=(x[1::2], y[1::2]))
    assert net.t_ == 75 * net.n_iter_  # nothing was held out of the training data
    assert net.score(x[1::2], y[1::2]) == net.best_validation_score_ == max(net.validation_scores_)


def test_warm_start_goes_on():
    x, y = iris()
    net = MLPClassifier((8,), max_iter=5, warm_start=True, random_state=0)
    first = net.fit(x, y).loss_
    assert net.fit(x, y).loss_curve_[5] < first
    assert len(net.loss_curve_) == 10
    assert net.n_iter_ == 5
    assert net.set_params(warm_start=False).fit(x, y).loss_ == first


def test_partial_fits_shuffle_anew_each_time():
    x, y = iris()
    orders = []
    for _ in range(2):
        net = MLPClassifier((4,), batch_size=10, random_state=0)
        orders.append([net.partial_fit(x, y).loss_ for _ in range(3)])
    assert orders[0] == orders[1]
    resumed = MLPClassifier((4,), batch_size=10, random_state=0, max_iter=3, tol=0).fit(x, y)
    assert resumed.loss_curve_ == orders[0]  # three partial fits are a fit of three epochs


def test_a_class_that_comes_later():
    x, y = iris()
    net = MLPClassifier(random_state=0).partial_fit(x[:60], y[:60], classes=[0, 1, 2])
    assert net.predict_proba(x).shape == (150, 3)
    with pytest.raises(ValueError, match="not the same as on last call"):
        net.partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"classes not in `self.classes_`. Received: \[7\]"):
        net.partial_fit(x[:2], [0, 7])


def test_several_labels():
    x, y = labels()
    net = MLPClassifier(max_iter=300, learning_rate_init=0.01, random_state=0).fit(x, y)
    assert net.score(x, y) > 0.9
    assert net.predict(x).shape == net.predict_proba(x).shape == y.shape
    assert net.n_outputs_ == y.shape[1]
    held = MLPClassifier(early_stopping=True, random_state=0).fit(x, y)
    assert held.best_validation_score_ == max(held.validation_scores_)


def test_text_classes_and_data_frames():
    pd = pytest.importorskip("pandas")
    x, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    net = MLPClassifier((16,), learning_rate_init=0.02, random_state=0).fit(x, pd.Series(names))
    assert net.feature_names_in_.tolist() == x.columns.tolist()
    assert net.predict(x)[0] == "setosa"
    with pytest.warns(UserWarning, match="valid feature names"):
        net.predict(x.to_numpy())
    with pytest.raises(ValueError, match="feature names"):
        net.predict(x.rename(columns={x.columns[0]: "other"}))


@pytest.mark.parametrize("threads", [2, 4])
def test_any_number_of_threads_gives_the_same_bits(threads):
    x, y = load_digits(return_X_y=True)
    found = []
    for n in (1, threads):
        pynn.set_num_threads(n)
        net = MLPClassifier((128, 64), dtype="float32", max_iter=3, dropout=0.1, random_state=0).fit(x / 16, y)
        found.append((b"".join(a.tobytes() for a in net.coefs_), net.predict_proba(x / 16).tobytes()))
    assert found[0] == found[1]


# Networks of one's own


@pytest.mark.parametrize("data", [iris, cancer, labels])
def test_network_classifier(data):
    x, y = data()
    net = NetworkClassifier(network, learning_rate_init=0.02, max_iter=300, random_state=0).fit(x, y)
    assert net.score(x, y) > 0.75
    p = net.predict_proba(x)
    assert p.min() >= 0
    if data is not labels:
        np.testing.assert_allclose(p.sum(axis=1), 1)
        assert p.shape == (len(x), len(net.classes_))
        assert net.score(x, y) > 0.97


def test_a_network_may_end_in_softmax_or_not():
    x, y = iris()
    options = {"solver": "sgd", "learning_rate_init": 0.1, "max_iter": 5, "random_state": 0}
    ended = NetworkClassifier(with_softmax, **options).fit(x, y)
    bare = NetworkClassifier(lambda i, o: nn.Sequential([nn.Input(i), nn.Dense(o[0])]), **options).fit(x, y)
    np.testing.assert_allclose(ended.predict_proba(x), bare.predict_proba(x), rtol=1e-12)


def test_images_and_token_ids():
    x, y = load_digits(return_X_y=True)
    images = x.reshape(-1, 8, 8, 1)[:400] / 16

    def convolutions(input_shape, output_shape):
        return nn.Sequential([
            nn.Input(input_shape), nn.Conv2D(8, 3, activation="relu"), nn.Flatten(), nn.Dense(*output_shape)
        ])  # fmt: skip

    net = NetworkClassifier(convolutions, learning_rate_init=0.01, max_iter=20, dtype="float32", random_state=0)
    assert net.fit(images, y[:400]).score(images, y[:400]) > 0.95
    with pytest.raises(ValueError, match="expected"):
        net.predict(images[:, :, :5])

    def bag(input_shape, output_shape):
        return nn.Sequential([
            nn.Input(input_shape), nn.Embedding(17, 4), nn.Flatten(), nn.Dense(*output_shape)
        ])  # fmt: skip

    tokens = x[:400].astype(int)
    net = NetworkClassifier(bag, learning_rate_init=0.02, max_iter=30, dtype="float32", random_state=0)
    assert net.fit(tokens, y[:400]).score(tokens, y[:400]) > 0.95


@pytest.mark.parametrize("targets", [1, 3])
def test_network_regressor(targets):
    x, y = values(targets)
    net = NetworkRegressor(network, solver="lbfgs", random_state=0).fit(x, y)
    assert net.score(x, y) > 0.99
    assert net.predict(x).shape == y.shape
    stopped = NetworkRegressor(network, early_stopping=True, learning_rate_init=0.02, random_state=0).fit(x, y)
    assert stopped.best_validation_score_ == max(stopped.validation_scores_)


# In scikit-learn's company


def test_pipeline_grid_search_in_two_processes():
    x, y = load_iris(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), MLPClassifier(max_iter=30, random_state=0))
    grid = {"mlpclassifier__hidden_layer_sizes": [(4,), (16,)], "mlpclassifier__learning_rate_init": [1e-4, 0.03]}
    alone = GridSearchCV(pipe, grid, cv=3).fit(x, y)
    apart = GridSearchCV(pipe, grid, cv=3, n_jobs=2).fit(x, y)
    assert apart.best_params_["mlpclassifier__learning_rate_init"] == 0.03
    assert apart.best_score_ > 0.9
    np.testing.assert_array_equal(alone.cv_results_["mean_test_score"], apart.cv_results_["mean_test_score"])
    assert (alone.predict_proba(x) == apart.predict_proba(x)).all()


def test_cross_val_predict_and_voting():
    x, y = iris()
    net = MLPClassifier((16,), learning_rate_init=0.02, random_state=0)
    p = cross_val_predict(net, x, y, cv=3, method="predict_proba")
    assert (p.argmax(1) == y).mean() > 0.9

    def own(input_shape, output_shape):  # sent to the workers as code: they cannot import this file
        return nn.Sequential([nn.Input(input_shape), nn.Dense(16, activation="tanh"), nn.Dense(output_shape[0])])

    other = NetworkClassifier(own, learning_rate_init=0.02, random_state=1)
    vote = VotingClassifier([("a", net), ("b", other)], voting="soft", n_jobs=2).fit(x, y)
    assert vote.score(x, y) > 0.95


@pytest.mark.parametrize("make", [
    lambda: MLPClassifier((8,), max_iter=5, dropout=0.2, random_state=0),
    lambda: MLPClassifier((8,), solver="sgd", max_iter=5, random_state=0),
    lambda: MLPClassifier((8,), solver="lbfgs", max_iter=5, random_state=0),
    lambda: NetworkClassifier(network, max_iter=5, random_state=0),
])  # fmt: skip
def test_pickles_predict_and_go_on_alike(make, tmp_path):
    joblib = pytest.importorskip("joblib")
    x, y = iris()
    net = make().fit(x, y)
    joblib.dump(net, tmp_path / "net.joblib")
    for again in (pickle.loads(pickle.dumps(net)), joblib.load(tmp_path / "net.joblib")):
        assert (again.predict_proba(x) == net.predict_proba(x)).all()
        assert again.loss_curve_ == net.loss_curve_ if hasattr(net, "loss_curve_") else True
    if net.solver == "lbfgs":
        return
    again = pickle.loads(pickle.dumps(net))
    for _ in range(2):  # state of the optimizer, order of the samples and dropout included
        net.partial_fit(x, y)
        again.partial_fit(x, y)
    assert (again.predict_proba(x) == net.predict_proba(x)).all()


def test_the_weights_in_a_pickle_are_a_model_file():
    x, y = iris()
    net = MLPClassifier((8,), max_iter=5, random_state=0).fit(x, y)
    state = net.__getstate__()
    assert "model_" not in state
    model = pynn.io.loads(state["_model_file"])
    np.testing.assert_array_equal(model.predict(x), net.predict_proba(x))


def test_clones_are_unfitted():
    x, y = iris()
    net = MLPClassifier((8,), solver=pynn.optim.Adam(0.02), max_iter=5, random_state=0).fit(x, y)
    fresh = clone(net)
    with pytest.raises(NotFittedError):
        fresh.predict(x)
    assert fresh.fit(x, y).loss_ == net.loss_


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "adamm"}, r"\[MLPClassifier\] unknown solver. Received: 'adamm'. help: did you mean 'adam'"),
        ({"solver": 3}, r"\[MLPClassifier\] expected solver to be a name.*Received: solver=3"),
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"loss": "logloss"}, "did you mean 'log_loss'"),
        ({"hidden_layer_sizes": (4, 0)}, r"hidden_layer_sizes to be a positive integer. Received: .*=0"),
        ({"alpha": -1}, "expected alpha to be a finite number of at least 0"),
        ({"max_iter": 0}, "expected max_iter"),
        ({"batch_size": 0}, "expected batch_size"),
        ({"learning_rate": "konstant"}, "did you mean 'constant'"),
        ({"learning_rate_init": 0}, "learning_rate_init to be a finite number above 0"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"validation_fraction": 1.0}, r"validation_fraction to be a number in \[0, 1\)"),
        ({"dropout": 1.0}, r"dropout to be a number in \[0, 1\)"),
        ({"dropout": (0.1, 0.2)}, "one for each of 1 hidden layers"),
        ({"dropout": 0.1, "solver": "lbfgs"}, "dropout needs a solver"),
        ({"dtype": "float16"}, "expected dtype to be 'float32', 'float64'"),
        ({"early_stopping": "yes"}, "early_stopping to be True or False"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "validation"),
    ],
)
def test_bad_parameters(options, message):
    x, y = iris()
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**{"max_iter": 2, "hidden_layer_sizes": 4, **options}).fit(x, y)


def test_bad_models_of_ones_own():
    x, y = iris()
    with pytest.raises(ValueError, match=r"(?s)expected model to be a function .*help: every fit needs a new model"):
        NetworkClassifier(network((4,), (3,))).fit(x, y)
    with pytest.raises(TypeError, match=r"expected model\(...\) to return a pynn model. Received: int"):
        NetworkClassifier(lambda i, o: 3).fit(x, y)


def test_other_bad_input():
    x, y = iris()
    with pytest.raises(ValueError, match="partial_fit does not go with early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(x, y)
    with pytest.raises(AttributeError, match="partial_fit"):
        MLPClassifier(solver="lbfgs").partial_fit(x, y)
    with pytest.raises(ValueError, match=r"expected validation_data to be \(X, y\)"):
        MLPClassifier().fit(x, y, validation_data=x)
    with pytest.raises(NotFittedError, match=r"\[MLPClassifier\] coefs_ needs a fitted estimator"):
        _ = MLPClassifier().coefs_
    with pytest.raises(ValueError, match="sample_weight to be 150 finite numbers of at least 0"):
        MLPClassifier().fit(x, y, sample_weight=-np.ones(150))
    with pytest.warns(UserWarning, match="batch_size=1000 is more than 150 samples"):
        MLPClassifier(batch_size=1000, max_iter=1).fit(x, y)
    with pytest.raises(pynn.errors.NonFiniteError):
        MLPRegressor(solver="sgd", learning_rate_init=1e6).fit(*values())


def test_too_few_epochs_are_said():
    x, y = iris()
    with pytest.warns(ConvergenceWarning, match=r"\[MLPClassifier\] the loss still improves after max_iter=2 epochs"):
        MLPClassifier(max_iter=2).fit(x, y)
    with pytest.warns(ConvergenceWarning, match=r"\[MLPClassifier\] lbfgs did not converge"):
        MLPClassifier(max_iter=2, solver="lbfgs").fit(x, y)


def test_predictions_of_any_number_of_rows_need_few_programs():
    x, y = iris()
    net = MLPClassifier((8,), max_iter=2, random_state=0).fit(x, y)
    whole = net.predict_proba(np.repeat(x, 4, axis=0))[::4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pynn warns of a model that records without end
        for n in range(1, 150):
            np.testing.assert_allclose(net.predict_proba(x[:n]), whole[:n], rtol=1e-12)


def test_without_scikit_learn_the_extra_is_named():
    code = "import sys; sys.modules['sklearn'] = None; import pynn; import pynn.estimators"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert 'pip install "pynn-dl[sklearn]"' in done.stderr


def test_pynn_does_not_import_scikit_learn_by_itself():
    code = "import sys, pynn, pynn.train, pynn.nn; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
