"""``keras.wrappers.scikit_learn``: functions that make models, as estimators; grids and pipelines take them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from pynn.errors import nearest
from pynn.keras.missing import missing
from pynn.keras.utils.arrays import to_categorical

__all__ = ["BaseWrapper", "KerasClassifier", "KerasRegressor"]

OF_FIT = ("batch_size", "epochs", "nb_epoch", "verbose", "callbacks", "validation_split", "validation_data", "shuffle",
          "class_weight", "sample_weight", "initial_epoch", "steps_per_epoch", "validation_steps")  # fmt: skip
OF_PREDICT = ("batch_size", "verbose", "steps", "callbacks")


class BaseWrapper:
    """What classifier and regressor share.

    Parameters
    ----------
    build_fn : callable, optional
        Returns a compiled model; a class of one's own may have ``__call__`` instead.
    **sk_params
        Arguments of `build_fn`, of fit and of predict.

    Raises
    ------
    TypeError
        If an argument is none of these.
    """

    def __init__(self, build_fn: Callable[..., Any] | None = None, model: Any = None, **sk_params: Any):
        self.build_fn = model if build_fn is None else build_fn
        self.sk_params = sk_params
        self._check(sk_params)

    def _makes(self) -> Any:
        return self.__call__ if self.build_fn is None else self.build_fn  # type: ignore[operator]

    def _known(self) -> set[str]:
        found = inspect.signature(self._makes()).parameters
        if any(p.kind is p.VAR_KEYWORD for p in found.values()):
            return set()
        return {*found, *OF_FIT, *OF_PREDICT}

    def _check(self, given: dict[str, Any]) -> None:
        known = self._known()
        for name in given:
            if known and name not in known:
                near = nearest(name, sorted(known))
                hint = f" help: did you mean {near}=?" if near else ""
                raise TypeError(f"[{type(self).__name__}] unknown keyword argument. Received: {name}=.{hint}")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings.

        Parameters
        ----------
        deep : bool, default True
            Copies of them.
        """
        found = copy.deepcopy(self.sk_params) if deep else dict(self.sk_params)
        return {**found, "build_fn": self.build_fn}

    def set_params(self, **params: Any) -> Any:
        """Change settings. Returns self."""
        self.build_fn = params.pop("build_fn", self.build_fn)
        self._check(params)
        self.sk_params.update(params)
        return self

    def _of(self, names: Any, given: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in {**self.sk_params, **given}.items() if k in names}

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Make a model and train it; returns its History.

        Parameters
        ----------
        x, y : array_like
        **kwargs
            For fit.
        """
        makes = self._makes()
        self.model = makes(**self._of(inspect.signature(makes).parameters, {}))
        loss = (self.model.__dict__.get("_compiled_with") or {}).get("loss")
        if getattr(loss, "name", loss) == "categorical_crossentropy" and np.ndim(y) != 2:
            y = to_categorical(y)
        self.history = self.model.fit(x, y, **self._of(OF_FIT, kwargs))
        return self.history

    def __sklearn_tags__(self) -> Any:
        """Say to scikit-learn of what kind this is."""
        from sklearn.utils import ClassifierTags, RegressorTags, Tags, TargetTags

        classes = isinstance(self, KerasClassifier)
        return Tags(
            estimator_type="classifier" if classes else "regressor",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags() if classes else None,
            regressor_tags=None if classes else RegressorTags(),
        )


class KerasClassifier(BaseWrapper):
    """A function that makes a classifier, as an estimator.

    Parameters
    ----------
    build_fn : callable
    **sk_params
        Arguments of `build_fn`, of fit and of predict.
    """

    _estimator_type = "classifier"

    def fit(self, x: Any, y: Any, **kwargs: Any) -> Any:
        """Make a model and train it; y are labels of any kind, or rows of ones and zeros."""
        y = np.asarray(y)
        if y.ndim == 2 and y.shape[1] > 1:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_, y = np.unique(y.reshape(-1), return_inverse=True)
        self.n_classes_ = len(self.classes_)
        return super().fit(x, y, **kwargs)

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return the label of each row.

        Parameters
        ----------
        x : array_like
        **kwargs
            For predict.
        """
        p = self.model.predict(x, **self._of(OF_PREDICT, kwargs))
        return self.classes_[p.argmax(-1) if p.shape[-1] > 1 else (p > 0.5).astype(int).reshape(-1)]

    def predict_proba(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        x : array_like
        **kwargs
            For predict.
        """
        p = self.model.predict(x, **self._of(OF_PREDICT, kwargs))
        return np.hstack([1 - p, p]) if p.shape[1] == 1 else p

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Return the share of rows whose label is right.

        Parameters
        ----------
        x, y : array_like
        **kwargs
            For predict.
        """
        y = np.asarray(y)
        y = y.argmax(1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
        return float((self.predict(x, **kwargs) == y).mean())


class KerasRegressor(BaseWrapper):
    """A function that makes a regression, as an estimator.

    Parameters
    ----------
    build_fn : callable
    **sk_params
        Arguments of `build_fn`, of fit and of predict.
    """

    _estimator_type = "regressor"

    def predict(self, x: Any, **kwargs: Any) -> np.ndarray:
        """Return the value of each row.

        Parameters
        ----------
        x : array_like
        **kwargs
            For predict.
        """
        return np.squeeze(self.model.predict(x, **self._of(OF_PREDICT, kwargs)), -1)

    def score(self, x: Any, y: Any, **kwargs: Any) -> float:
        """Return minus the loss, so that more is better.

        Parameters
        ----------
        x, y : array_like
        **kwargs
            For evaluate.
        """
        loss = self.model.evaluate(x, y, **{k: v for k, v in self._of(OF_PREDICT, kwargs).items() if k != "callbacks"})
        return -float(loss[0] if isinstance(loss, list) else loss)


def __getattr__(name: str) -> Any:
    missing("pynn.keras.wrappers.scikit_learn", name, __all__)
