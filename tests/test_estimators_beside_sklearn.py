"""MLPClassifier and MLPRegressor step for step beside scikit-learn's, and every difference that the notes name."""

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import _multilayer_perceptron

from pynn import estimators, nn
from pynn.errors import NonFiniteError
from pynn.estimators import MLPClassifier, MLPRegressor, NetworkClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SEEDS = range(120)
BOTH = estimators, neural_network
TASKS = ("binary", "classes", "labels", "value", "values", "counts")
SOLVERS = ("sgd", "sgd", "sgd", "adam", "lbfgs")
WAYS = ("fit", "fit", "warm", "partial", "fit and partial")


def configuration(seed):
    """Return a configuration: what kind of task, how it is fitted, whether weighted, and the parameters."""
    rng = np.random.default_rng(seed)

    def one(*choices):
        return choices[rng.integers(len(choices))]

    n = int(rng.integers(20, 60))
    task, solver, way = one(*TASKS), one(*SOLVERS), one(*WAYS)
    if solver == "lbfgs":
        way = one("fit", "warm")
        task = one("binary", "classes", "labels", "value", "counts")  # scikit-learn has no one loss of several values
    early = "partial" not in way and one(False, False, True)
    parameters = {
        "hidden_layer_sizes": one((), (3,), (5, 4)),
        "activation": one("identity", "logistic", "tanh", "relu"),
        "solver": solver,
        "alpha": one(0.0, 1e-3, 0.3, 2.0),
        "batch_size": one("auto", 1, 7, 8, n // 2, n),
        "learning_rate": one("constant", "invscaling", "adaptive"),
        "learning_rate_init": one(0.003, 0.03, 0.1) if solver == "sgd" else one(0.003, 0.03),
        "power_t": one(0.0, 0.3, 0.5, 1.0),
        "max_iter": int(rng.integers(1, 12)),
        "shuffle": False,
        "random_state": int(rng.integers(100)),
        "tol": one(0.0, 1e-4, 1e-2),
        "warm_start": way == "warm",
        "momentum": one(0.0, 0.5, 0.9),
        "nesterovs_momentum": one(False, True),
        "early_stopping": early,
        "validation_fraction": one(0.1, 0.3),
        "epsilon": 1e-200,  # with more pynn's Adam takes other steps
        "n_iter_no_change": one(1, 2, 10),
    }
    if task == "counts":  # exponentials, which large steps make infinite
        parameters |= {"loss": "poisson", "learning_rate_init": 0.003}
    return {"task": task, "way": way, "n": n, "weighted": one(False, False, True), "parameters": parameters}


def data(seed, task, n, weighted):
    """Return samples, targets and weights or None."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 4))
    score = x @ rng.standard_normal((4, 3)) + 0.5 * rng.standard_normal((n, 3))
    if task == "binary":
        y = (score[:, 0] > 0).astype(int)
    elif task == "classes":
        y = score.argmax(axis=1)
        y[:3] = 0, 1, 2
    elif task == "labels":
        y = (score > 0).astype(int)
    elif task == "counts":
        y = rng.poisson(np.exp(score[:, :2] / 4)).astype(float)
    else:
        y = score[:, 0] if task == "value" else score
    return x, y, rng.integers(1, 5, n) / 2 if weighted else None


def fitted(module, case, seed):
    """Return what one of both libraries makes of a configuration, after every call."""
    task, way = case["task"], case["way"]
    x, y, w = data(seed, task, case["n"], case["weighted"])
    classifies = task in ("binary", "classes", "labels")
    net = (module.MLPClassifier if classifies else module.MLPRegressor)(**case["parameters"])
    known = {"classes": np.arange(2 if task == "binary" else 3)} if classifies else {}
    thirds = [slice(k, None, 3) for k in range(3)]
    calls = {
        "fit": ["fit"],
        "warm": ["fit", "fit"],
        "partial": ["partial_fit"] * 4,
        "fit and partial": ["fit", "partial_fit", "partial_fit"],
    }[way]
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Got `batch_size`|.*batch_size=.* is more than")
        for k, call in enumerate(calls):
            part = thirds[k % 3] if call == "partial_fit" else slice(None)
            more = known if way == "partial" and k == 0 else {}
            getattr(net, call)(x[part], y[part], sample_weight=None if w is None else w[part], **more)
            found.append(state(net))
    return found


def state(net):
    """Return what has to be the same in both libraries."""
    stepped = net.solver != "lbfgs"
    return {
        "coefs": [c.copy() for c in net.coefs_],
        "intercepts": [c.copy() for c in net.intercepts_],
        "loss": net.loss_,
        "loss_curve": list(net.loss_curve_) if stepped else [],
        "best_loss": net.best_loss_ if stepped else None,
        "n_iter": net.n_iter_,
        "t": net.t_ if stepped else 0,
        "scores": net.validation_scores_ if stepped else None,
    }


def compare(seed):
    """Raise an AssertionError that names what differs."""
    case = configuration(seed)
    try:
        ours = fitted(estimators, case, seed)
    except NonFiniteError:
        with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
            fitted(neural_network, case, seed)
        return case
    theirs = fitted(neural_network, case, seed)
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        for name in ("n_iter", "t"):
            assert a[name] == b[name], (seed, k, name, a[name], b[name], case)
        for name in ("loss_curve", "loss", "best_loss", "scores", "coefs", "intercepts"):
            if a[name] is None or b[name] is None:
                assert a[name] is b[name], (seed, k, name, case)
                continue
            pairs = zip(a[name], b[name], strict=True) if name in ("coefs", "intercepts") else [(a[name], b[name])]
            for p, q in pairs:
                np.testing.assert_allclose(p, q, rtol=1e-7, atol=1e-8, err_msg=f"{(seed, k, name, case)}")
    return case


# Many configurations


@pytest.mark.parametrize("seed", SEEDS)
def test_any_configuration_takes_scikit_learns_steps(seed):
    compare(seed)


def test_the_configurations_are_of_all_kinds():
    cases = [configuration(seed) for seed in SEEDS]
    assert {c["task"] for c in cases} == set(TASKS)
    assert {c["way"] for c in cases} == set(WAYS)
    assert {c["parameters"]["solver"] for c in cases} == set(SOLVERS)
    falling = [
        c for c in cases if c["parameters"]["solver"] == "sgd" and c["parameters"]["learning_rate"] != "constant"
    ]
    assert sum(c["parameters"]["momentum"] > 0 for c in falling) > 10
    assert sum(c["weighted"] and c["parameters"]["batch_size"] in (7, 8) for c in cases) > 5
    assert sum(c["parameters"]["early_stopping"] for c in cases) > 10


# What no configuration shows


def samples(n=24, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, 3)), np.arange(n) % classes


def same(ours, theirs):
    for a, b in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)


def test_the_words_of_the_rate_are_those_of_the_first_partial_fit():
    x, y = samples()
    nets = [
        module.MLPClassifier((3,), solver="sgd", learning_rate="invscaling", shuffle=False, random_state=0)
        for module in BOTH
    ]
    for net in nets:
        net.partial_fit(x, y, classes=[0, 1])
        net.set_params(learning_rate="constant", learning_rate_init=10.0, momentum=0.1).partial_fit(x, y)
    same(*nets)


def test_alpha_and_the_batch_size_may_change_between_partial_fits():
    x, y = samples(classes=3)
    w = np.random.default_rng(0).integers(1, 5, len(x)).astype(float)
    nets = [module.MLPClassifier((3,), solver="sgd", batch_size=10, shuffle=False, random_state=0) for module in BOTH]
    for net in nets:
        net.partial_fit(x, y, classes=[0, 1, 2])
        net.set_params(alpha=5.0).partial_fit(x, y)
        net.set_params(alpha=0.0, batch_size=7).partial_fit(x, y)
        net.set_params(alpha=3.0).partial_fit(x, y, sample_weight=w).partial_fit(x[:11], y[:11])
    same(*nets)


def test_a_pickle_keeps_the_rate():
    x, y = samples()
    net = MLPClassifier((3,), solver="sgd", learning_rate="invscaling", shuffle=False, random_state=0).partial_fit(x, y)
    again = pickle.loads(pickle.dumps(net))
    for _ in range(2):
        same(net.partial_fit(x, y), again.partial_fit(x, y))
    theirs = neural_network.MLPClassifier(**{k: v for k, v in net.get_params().items() if k not in MORE})
    for _ in range(3):
        theirs.partial_fit(x, y, classes=[0, 1])
    same(again, theirs)


MORE = ("dropout", "loss", "class_weight", "dtype", "callbacks")  # parameters of pynn alone


def test_partial_fits_after_lbfgs_have_an_optimizer_of_their_own():
    x, y = samples()
    net = MLPClassifier((3,), solver="lbfgs", max_iter=3, shuffle=False, random_state=0).fit(x, y)
    before = net.coefs_[0]
    net.set_params(solver="sgd", momentum=0.0, learning_rate_init=0.1).partial_fit(x, y)
    assert (net.coefs_[0] != before).any()
    assert net.model_.optimizer.learning_rate == 0.1


# Classes


def test_small_sets_of_many_classes_are_held_out_by_chance():
    x, y = samples(n=20, classes=9)
    y[-1] = 9  # a class of one sample
    options = {"early_stopping": True, "max_iter": 3, "shuffle": False, "random_state": 1, "epsilon": 1e-200}
    same(*(module.MLPClassifier((3,), **options).fit(x, y) for module in BOTH))
    with pytest.raises(ValueError, match="least populated class"):  # two classes are stratified, there as here
        MLPClassifier((3,), **options).fit(x, y == 9)
    with pytest.raises(ValueError, match="least populated class"):
        neural_network.MLPClassifier((3,), **options).fit(x, y == 9)


def test_a_warm_start_needs_all_classes():
    x, y = samples(classes=3)
    ours, theirs = (
        module.MLPClassifier((3,), max_iter=2, warm_start=True, random_state=0).fit(x, y) for module in BOTH
    )
    before = ours.coefs_[0]
    with pytest.raises(ValueError, match=r"(?s)all classes of the last fit.*Received: \[0, 1\].*help: partial_fit"):
        ours.fit(x[y < 2], y[y < 2])
    with pytest.raises(ValueError, match="same classes"):
        theirs.fit(x[y < 2], y[y < 2])
    np.testing.assert_array_equal(ours.coefs_[0], before)


def test_a_partial_fit_takes_part_of_the_classes_with_a_warm_start_too():
    x, y = samples(classes=3)
    ours, theirs = (
        module.MLPClassifier((3,), max_iter=2, warm_start=True, random_state=0).fit(x, y) for module in BOTH
    )
    ours.partial_fit(x[y < 2], y[y < 2])
    with pytest.raises(ValueError, match="same classes"):
        theirs.partial_fit(x[y < 2], y[y < 2])


def test_a_first_partial_fit_knows_the_classes_of_y():
    x, y = samples(classes=3)
    assert MLPClassifier((3,)).partial_fit(x, y).classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="classes must be passed"):
        neural_network.MLPClassifier((3,)).partial_fit(x, y)


# Losses


def test_probabilities_are_not_limited_in_the_loss():
    x, y = samples()
    options = {"solver": "sgd", "max_iter": 1, "shuffle": False, "random_state": 0, "alpha": 0.0}
    ours, theirs = (module.MLPClassifier((3,), **options).fit(1e6 * x, y) for module in BOTH)
    same(ours, theirs)
    assert ours.loss_ > theirs.loss_ > 0
    limited = _multilayer_perceptron.LOSS_FUNCTIONS["log_loss"](np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert limited == pytest.approx(-np.log(np.finfo(np.float64).eps))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_batch_without_weight_changes_nothing(dtype):
    x, y = samples(n=20)
    w = np.ones(20)
    w[8:16] = 0
    options = {"solver": "sgd", "batch_size": 8, "alpha": 0.5, "max_iter": 3, "shuffle": False, "random_state": 0}
    net = MLPClassifier((3,), momentum=0.0, dtype=dtype, **options).fit(x, y, sample_weight=w)
    keep = w > 0
    without = MLPClassifier((3,), momentum=0.0, dtype=dtype, **options).fit(x[keep], y[keep], sample_weight=w[keep])
    for a, b in zip(net.coefs_, without.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ZeroDivisionError):
        neural_network.MLPClassifier((3,), momentum=0.0, **options).fit(x, y, sample_weight=w)


def test_weights_too_large_for_the_precision_are_refused():
    x, y = samples()
    with pytest.raises(ValueError, match=r"sample weights.* are too large for float32"):
        MLPClassifier((3,), dtype="float32").fit(x, y, sample_weight=np.full(len(x), 1e38))


def test_lbfgs_minimizes_the_sum_over_several_targets():
    x, _ = samples()
    y = x @ np.random.default_rng(1).standard_normal((3, 2)) + 0.1
    options = {"solver": "lbfgs", "alpha": 0.3, "random_state": 0}
    net = MLPRegressor(hidden_layer_sizes=(), max_iter=500, tol=1e-9, **options).fit(x, y)
    w, b = net.coefs_[0], net.intercepts_[0]
    value = ((x @ w + b - y) ** 2).sum() / 2 / len(x) + 0.15 * (w**2).sum() / len(x)
    assert net.loss_ == pytest.approx(value)
    slope = x.T @ (x @ w + b - y) / len(x) + 0.3 * w / len(x)
    assert abs(slope).max() < 1e-6


def test_the_loss_of_validation_data_is_that_of_training_without_the_penalty():
    x, y = samples(classes=3)
    w = np.random.default_rng(2).integers(1, 4, len(x)).astype(float)
    labels = np.stack([y == 0, y == 1], axis=1).astype(int)
    for targets in (y, labels):
        net = MLPClassifier((3,), alpha=0.0, learning_rate_init=1e-12, max_iter=1, random_state=0)
        net.fit(x, targets, sample_weight=w, validation_data=(x, targets, w))
        assert net.history_["val_loss"][0] == pytest.approx(net.loss_, rel=1e-6)
        penalised = MLPClassifier(**net.get_params() | {"alpha": 10.0})
        penalised.fit(x, targets, sample_weight=w, validation_data=(x, targets, w))
        assert penalised.history_["val_loss"] == pytest.approx(net.history_["val_loss"], rel=1e-6)
        assert penalised.loss_ > net.loss_ + 0.01
    for bad in (np.zeros(len(x)), -w, w[1:]):
        with pytest.raises(ValueError, match="weight"):
            net.fit(x, y, validation_data=(x, y, bad))


def test_networks_of_ones_own_weigh_batches_alike():
    def softmax_regression(inputs, outputs):
        return nn.Sequential([nn.Input(inputs), nn.Dense(*outputs)])

    x, y = samples(classes=3)
    w = np.random.default_rng(2).integers(1, 4, len(x)).astype(float)
    options = {"solver": "sgd", "batch_size": 7, "max_iter": 3, "shuffle": False, "random_state": 0}
    net = NetworkClassifier(softmax_regression, **options)
    theirs = neural_network.MLPClassifier((), momentum=0.0, alpha=0.0, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.partial_fit(x, y)
        net.model_.set_weights([np.zeros((3, 3)), np.zeros(3)])
        theirs.partial_fit(x, y, classes=[0, 1, 2])
        theirs.coefs_[0][:], theirs.intercepts_[0][:] = 0, 0
        for _ in range(3):
            net.partial_fit(x, y, sample_weight=w)
            theirs.partial_fit(x, y, sample_weight=w)
    np.testing.assert_allclose(net.model_.get_weights()[0], theirs.coefs_[0], rtol=1e-9)


# Parameters


def test_epsilon_is_added_after_the_bias_correction():
    x, y = samples()
    options = {"solver": "adam", "max_iter": 1, "shuffle": False, "random_state": 0, "learning_rate_init": 0.1}
    ours = MLPClassifier((3,), epsilon=0.1, **options).fit(x, y)
    same(ours, neural_network.MLPClassifier((3,), epsilon=0.1 * np.sqrt(1 - 0.999), **options).fit(x, y))
    theirs = neural_network.MLPClassifier((3,), epsilon=0.1, **options).fit(x, y)
    assert abs(ours.coefs_[0] - theirs.coefs_[0]).max() > 1e-3


def test_an_order_of_the_samples_is_another_one():
    x, y = samples()
    options = {"solver": "sgd", "batch_size": 5, "max_iter": 1, "random_state": 0}
    ours, theirs = (module.MLPClassifier((3,), **options).fit(x, y) for module in BOTH)
    assert (ours.coefs_[0] != theirs.coefs_[0]).any()
    whole = options | {"batch_size": len(x)}
    same(*(module.MLPClassifier((3,), **whole).fit(x, y) for module in BOTH))


def test_momentum_is_below_1():
    x, y = samples()
    neural_network.MLPClassifier((3,), solver="sgd", momentum=1.0, max_iter=1).fit(x, y)
    with pytest.raises(ValueError, match="momentum"):
        MLPClassifier((3,), solver="sgd", momentum=1.0, max_iter=1).fit(x, y)


def test_early_stopping_may_begin_with_a_warm_start():
    x, y = samples()
    ours, theirs = (
        module.MLPClassifier((3,), max_iter=2, warm_start=True, random_state=0).fit(x, y) for module in BOTH
    )
    ours.set_params(early_stopping=True).fit(x, y)
    assert len(ours.validation_scores_) == 2
    with pytest.raises((TypeError, AttributeError)):
        theirs.set_params(early_stopping=True).fit(x, y)
