"""The search for settings, with engines that exist: joblib's backends and Optuna."""

import sys
import types

import numpy as np
import pytest

from pynn import nn
from pynn.train import OptunaPruning

R = np.random.default_rng(3)
X, Y = R.standard_normal((60, 4)).astype("float32"), R.integers(0, 3, 60)


class Trial:
    """What the callback asks of a trial: it is to be pruned after its third report."""

    def __init__(self):
        self.reports = []

    def report(self, value, step):
        self.reports.append((step, value))

    def should_prune(self):
        return len(self.reports) == 3


def fitted(trial, **fit):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    model.compile("sgd", "cross_entropy", seed=0)
    pruning = OptunaPruning(trial, **{"monitor": "val_loss", **fit})
    return model.fit(X, Y, validation_split=0.2, epochs=6, verbose=0, callbacks=[pruning])


def test_a_trial_is_told_of_every_epoch_and_ended_where_it_is_pruned(monkeypatch):
    class Pruned(Exception):
        pass

    monkeypatch.setitem(sys.modules, "optuna", types.SimpleNamespace(TrialPruned=Pruned))
    trial = Trial()
    with pytest.raises(Pruned, match=r"epoch 3: val_loss"):
        fitted(trial)
    assert [step for step, _ in trial.reports] == [0, 1, 2]
    assert all(np.isfinite(value) for _, value in trial.reports)


def test_what_is_no_trial_or_no_value_is_refused():
    with pytest.raises(TypeError, match="a trial of Optuna"):
        OptunaPruning(None)
    with pytest.raises(ValueError, match=r"auc.*val_loss"):
        fitted(Trial(), monitor="auc")


def test_a_study_of_optuna():
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        model = nn.Sequential([nn.Input((4,)), nn.Dense(trial.suggest_int("units", 2, 8)), nn.Dense(3)])
        model.compile("adam", "cross_entropy", seed=0)
        pruning = OptunaPruning(trial)
        history = model.fit(X, Y, validation_split=0.2, epochs=4, verbose=0, callbacks=[pruning])
        return history.history["val_loss"][-1]

    study = optuna.create_study(pruner=optuna.pruners.ThresholdPruner(upper=0.0, n_warmup_steps=1))
    study.optimize(objective, n_trials=4, n_jobs=2)
    assert len(study.trials) == 4
    assert {t.state.name for t in study.trials} == {"PRUNED"}  # no loss is below 0


@pytest.mark.filterwarnings("ignore")  # too few epochs; and what the engines warn of
@pytest.mark.parametrize("backend", ["loky", "threading", "dask"])
def test_grid_search_with_the_backends_of_joblib(backend, monkeypatch):
    pytest.importorskip("sklearn")
    joblib = pytest.importorskip("joblib")
    from sklearn.model_selection import GridSearchCV

    from pynn.estimators import MLPClassifier

    estimator = MLPClassifier((8,), max_iter=5, random_state=0)
    search = GridSearchCV(estimator, {"alpha": [1e-4, 1e-2]}, cv=2)
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")  # in processes that engines start
    search.fit(X, Y)
    again = GridSearchCV(search.estimator, search.param_grid, cv=2, n_jobs=2)
    if backend == "dask":
        distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        with cluster, distributed.Client(cluster), joblib.parallel_backend("dask"):
            again.fit(X, Y)
    else:
        with joblib.parallel_backend(backend):
            again.fit(X, Y)
    assert again.best_params_ == search.best_params_
    assert np.array_equal(again.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])
