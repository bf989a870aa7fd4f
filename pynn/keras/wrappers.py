"""``keras.wrappers.scikit_learn``: a function that makes a model, as an estimator of scikit-learn."""

from __future__ import annotations

import inspect
import sys

import numpy as np

from pynn.errors import nearest
from pynn.keras.names import modern

__all__ = ["KerasClassifier", "KerasRegressor"]

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
except ImportError:  # they work without it, by themselves
    BaseEstimator = ClassifierMixin = RegressorMixin = object  # type: ignore[assignment,misc]


_FIT = ("batch_size", "callbacks", "class_weight", "epochs", "initial_epoch", "sample_weight", "shuffle",
        "steps_per_epoch", "validation_data", "validation_split", "validation_steps", "verbose")  # fmt: skip


class _Wrapper(BaseEstimator):
    """A function that returns a compiled model, with its arguments and those of fit."""

    def __init__(self, build_fn=None, **sk_params):
        self.build_fn = build_fn
        self.sk_params = modern(dict.fromkeys(_FIT), sk_params)
        known = {*inspect.signature(self._maker()).parameters, *_FIT}
        for name in self.sk_params:
            if name not in known:
                near = nearest(name, known)
                hint = f"help: did you mean {near}=? " if near else ""
                raise ValueError(f"[{type(self).__name__}] {name!r} is no argument of build_fn or fit. {hint}"
                                 f"Known: {', '.join(sorted(known))}.")  # fmt: skip

    def _maker(self):
        return self.build_fn if self.build_fn is not None else self.__call__

    def __call__(self):
        """Return the model, in classes of one's own that have no build_fn."""
        raise NotImplementedError(f"[{type(self).__name__}] expected build_fn, a function that returns a model.")

    def get_params(self, deep=True):
        """Return the arguments."""
        return {"build_fn": self.build_fn, **self.sk_params}

    def set_params(self, **params):
        """Set arguments."""
        self.build_fn = params.pop("build_fn", self.build_fn)
        self.sk_params.update(params)
        return self

    def __sklearn_clone__(self):
        return type(self)(self.build_fn, **self.sk_params)

    def _given(self, names, more=None):
        return {**{k: v for k, v in self.sk_params.items() if k in names}, **(more or {})}

    def fit(self, x, y, **kwargs):
        """Make a model, and train it; returns its History."""
        maker = self._maker()
        self.model = maker(**self._given(inspect.signature(maker).parameters))
        loss = self.model._need_trainer("fit").loss.name
        if loss == "cross_entropy" and self.model.output_shape[-1] > 1 and np.ndim(y) == 1 and self._one_hot():
            y = np.eye(self.model.output_shape[-1], dtype="float32")[np.asarray(y)]
        self.history = self.model.fit(x, y, **self._given(_FIT, kwargs))
        return self.history

    def _one_hot(self):
        return self.model._compiled_with["loss"] == "categorical_crossentropy"

    def _options(self, kwargs):
        return self._given(("batch_size", "verbose"), kwargs)


class KerasClassifier(ClassifierMixin, _Wrapper):
    """A classifier of a function that returns a compiled model."""

    def fit(self, x, y, **kwargs):
        """Make a model, and train it; returns its History."""
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_, y = np.unique(y, return_inverse=True)
        return super().fit(x, y, **kwargs)

    def predict(self, x, **kwargs):
        """Return the class of every row."""
        p = self.model.predict(x, **self._options(kwargs))
        return self.classes_[p.argmax(-1) if p.shape[-1] > 1 else (p[:, 0] > 0.5).astype(int)]

    def predict_proba(self, x, **kwargs):
        """Return the probability of every class."""
        p = self.model.predict(x, **self._options(kwargs))
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else p

    def score(self, x, y, **kwargs):
        """Return the share of rows that are right."""
        y = np.asarray(y)
        y = y.argmax(-1) if y.ndim == 2 and y.shape[1] > 1 else y
        return float((self.predict(x, **kwargs) == y.reshape(-1)).mean())


class KerasRegressor(RegressorMixin, _Wrapper):
    """A regressor of a function that returns a compiled model."""

    def predict(self, x, **kwargs):
        """Return the value of every row."""
        return np.squeeze(self.model.predict(x, **self._options(kwargs)))

    def score(self, x, y, **kwargs):
        """Return minus the loss."""
        loss = self.model.evaluate(x, y, verbose=0)
        return -float(loss[0] if isinstance(loss, list) else loss)


# It is its own module of this name.
scikit_learn = sys.modules[f"{__name__}.scikit_learn"] = sys.modules[__name__]
