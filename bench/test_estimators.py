"""Training steps of pynn.estimators beside those of sklearn.neural_network: same data, parameters and weights.

The two sides take turns within one run. What counts is the ratio of their CPU times in one thread, in the column
"sklearn / pynn" of the JSON (`python -P -m pytest bench/test_estimators.py --benchmark-json FILE`).

Both sides compute in the dtype of X: "float64" is what users get who change nothing, as most readers of data return it;
"float32" what they get for X.astype("float32"). "float64-in-float32" is the same X as the first with pynn's parameter
dtype="float32", for which scikit-learn has no counterpart: it goes on in float64. The column "dtypes" says so.
"""

import os
import time
import warnings
from statistics import median

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn import neural_network
from threadpoolctl import threadpool_limits

from pynn import estimators

from .workloads import WORKLOADS, Dense

MULTILAYER = [w for w in WORKLOADS if all(isinstance(layer, Dense) for layer in w.layers)][:4]
EPOCHS = 3  # of one fit
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
DTYPES = {  # of X, and further parameters of pynn's estimators
    "float64": ("float64", {}),
    "float32": ("float32", {}),
    "float64-in-float32": ("float64", {"dtype": "float32"}),
}


def classifier(module, workload, **more):
    return module.MLPClassifier(
        [layer.units for layer in workload.layers[:-1]],
        activation=workload.activation,
        solver=workload.optimizer,
        batch_size=workload.batch,
        learning_rate_init=workload.learning_rate,
        random_state=0,
        **more,
    )


def seconds(work):
    started = time.thread_time()
    work()
    return time.thread_time() - started


def partial_fits(module, workload, x, y, **more):
    """One epoch of an estimator that exists already."""
    model, classes = classifier(module, workload, **more), np.arange(workload.classes)
    model.partial_fit(x, y, classes=classes)
    return lambda: model.partial_fit(x, y)


def fits(module, workload, x, y, **more):
    """A few epochs from the beginning: checks, weights and the recording of the step included."""
    return lambda: classifier(module, workload, max_iter=EPOCHS, tol=0.0, **more).fit(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [partial_fits, fits], ids=["partial_fit", "fit"])
@pytest.mark.parametrize("workload", MULTILAYER, ids=lambda workload: workload.name)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_step_beside_scikit_learn(benchmark, workload, kind, dtype):
    given, more = DTYPES[dtype]
    x, y = workload.data()
    x = x.astype(given)
    ours, theirs = kind(estimators, workload, x, y, **more), kind(neural_network, workload, x, y)
    times = {"pynn": [], "scikit-learn": []}
    steps = workload.steps * (EPOCHS if kind is fits else 1)

    def take_turns():
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            times["scikit-learn"].append(seconds(theirs))
            times["pynn"].append(seconds(ours))

    benchmark.pedantic(ours, setup=take_turns, rounds=ROUNDS, warmup_rounds=1)
    if benchmark.stats:  # absent with --benchmark-disable
        for side, taken in times.items():
            benchmark.extra_info[f"{side} us/step"] = median(taken) / steps * 1e6
        benchmark.extra_info["dtypes"] = f"X {given}; pynn {more.get('dtype', given)}, scikit-learn {given}"
        pairs = zip(times["scikit-learn"], times["pynn"], strict=True)
        benchmark.extra_info["sklearn / pynn"] = median(a / b for a, b in pairs)


@pytest.mark.parametrize("rows", [1, 1000])
def test_predict_proba_beside_scikit_learn(benchmark, rows):
    """The network 64-64-10 on few rows and on many."""
    workload = MULTILAYER[1]
    x, y = workload.data()
    ours, theirs = (classifier(module, workload).partial_fit(x, y) if module is estimators else
                    classifier(module, workload).partial_fit(x, y, classes=np.arange(workload.classes))
                    for module in (estimators, neural_network))  # fmt: skip
    times = []

    def take_turns():
        with threadpool_limits(1):
            times.append(seconds(lambda: theirs.predict_proba(x[:rows])))

    benchmark.pedantic(ours.predict_proba, (x[:rows],), setup=take_turns, rounds=50, warmup_rounds=5)
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["scikit-learn us"] = median(times) * 1e6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rbm_beside_scikit_learn(benchmark, dtype):
    """Three passes of BernoulliRBM over 2,000 images, 784-500, in batches of 100: 60 steps."""
    passes, steps, batch = 3, 20, 100
    x = np.random.default_rng(0).random((steps * batch, 784)).astype(dtype)
    settings = {"n_components": 500, "batch_size": batch, "learning_rate": 0.01, "n_iter": passes, "random_state": 0}
    ours, theirs = (
        lambda module=module: module.BernoulliRBM(**settings).fit(x) for module in (estimators, neural_network)
    )
    times = {"pynn": [], "scikit-learn": []}

    def take_turns():
        with threadpool_limits(1):
            times["scikit-learn"].append(seconds(theirs))
            times["pynn"].append(seconds(ours))

    benchmark.pedantic(ours, setup=take_turns, rounds=ROUNDS, warmup_rounds=1)
    if benchmark.stats:  # absent with --benchmark-disable
        for side, taken in times.items():
            benchmark.extra_info[f"{side} us/step"] = median(taken) / (passes * steps) * 1e6
        pairs = zip(times["scikit-learn"], times["pynn"], strict=True)
        benchmark.extra_info["sklearn / pynn"] = median(a / b for a, b in pairs)
