"""Classification and regression: targets, predictions, probabilities, partial fits."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from pynn.estimators.coding import ClassCoding, ValueCoding

__all__ = ["Classification", "Regression"]


def _takes_epochs(estimator: Any) -> bool:
    if isinstance(estimator.solver, str) and estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is a single epoch, which solver='lbfgs' does not have.")
    return True


def _gives(probabilities: bool) -> Any:
    def check(estimator: Any) -> bool:
        coding = getattr(estimator, "_coding", None)
        if coding is not None:
            return coding.probabilities == probabilities
        loss = estimator.loss if isinstance(estimator.loss, str) else getattr(estimator.loss, "name", "")
        return (loss == "log_loss" or "entropy" in loss or "kl" in loss) == probabilities

    return check


class Classification(ClassifierMixin):
    """The part of an estimator that knows classes."""

    _pair = False  # whether two classes have an output each
    classes_: np.ndarray

    def _code(self: Any, y: Any, fresh: bool, classes: Any) -> np.ndarray:
        place = type(self).__name__
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if y.ndim > 1 or y.dtype.kind not in "iub":  # whole numbers are classes, which is known without a look at all
            check_classification_targets(y)
        multilabel = y.ndim == 2
        if multilabel and type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                f"[{place}] expected one class per sample, or rows of 0 and 1 for several labels. "
                "Received: several columns of classes. help: sklearn.multioutput.MultiOutputClassifier fits one "
                "estimator per column."
            )
        if fresh:
            if multilabel:
                self.classes_ = np.arange(y.shape[1])
            else:
                self.classes_ = np.unique(y if classes is None else classes)
            self._coding = ClassCoding.of(place, self.loss, len(self.classes_), multilabel, self._pair)
        if multilabel != self._coding.multilabel or (multilabel and y.shape[1] != len(self.classes_)):
            raise ValueError(f"[{place}] expected targets of the kind that the first fit had.")
        if multilabel:
            return y.astype(np.int64)
        index = np.searchsorted(self.classes_, y)
        strange = self.classes_[np.minimum(index, len(self.classes_) - 1)] != y
        if strange.any():
            raise ValueError(
                f"[{place}] `y` has classes not in `self.classes_`. Received: {np.unique(y[strange]).tolist()}, "
                f"known are {self.classes_.tolist()}."
            )
        return index

    def _check_classes(self: Any, coded: np.ndarray) -> None:
        if coded.ndim == 1 and len(found := np.unique(coded)) < len(self.classes_):
            raise ValueError(
                f"[{type(self).__name__}] expected y to have all classes of the last fit, with which warm_start=True "
                f"goes on. Received: {self.classes_[found].tolist()}, known are {self.classes_.tolist()}. "
                "help: partial_fit takes some of them."
            )

    def _targets(self: Any, coded: np.ndarray, dtype: Any) -> np.ndarray:
        return self._coding.encode(coded, dtype)

    def _class_weights(self: Any, y: Any) -> np.ndarray | None:
        if self.class_weight is None:
            return None
        return compute_sample_weight(self.class_weight, y)

    def predict(self: Any, X: Any) -> np.ndarray:
        """Return the class of every sample (for several labels: rows of 0 and 1).

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N] or [N, labels]
        """
        index = self._coding_of().decide(self._checked_outputs(X))
        return index if self._coding.multilabel else self.classes_[index]

    @available_if(_gives(True))
    def predict_proba(self: Any, X: Any) -> np.ndarray:
        """Return the probability of every class, in the order of `classes_`.

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N, classes]
        """
        return self._coding_of().proba(self._checked_outputs(X))

    @available_if(_gives(True))
    def predict_log_proba(self: Any, X: Any) -> np.ndarray:
        """Return the logarithm of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    @available_if(_gives(False))
    def decision_function(self: Any, X: Any) -> np.ndarray:
        """Return the scores of a loss without probabilities: margins for "hinge", above 0 for ``classes_[1]``.

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N] for two classes, else [N, classes]
        """
        coding = self._coding_of()
        out = self._checked_outputs(X) - coding.threshold
        return out[:, 0] if coding.outputs == 1 and not coding.multilabel else out

    def _coding_of(self: Any) -> ClassCoding:
        self._need_model("a prediction")
        return self._coding

    @available_if(_takes_epochs)
    def partial_fit(self: Any, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Any:
        """Train for one epoch on these data, going on from what is there.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        classes : array_like, optional
            All classes that will ever come; needed in the first call unless `y` holds them all.

        Returns
        -------
        self
        """
        if classes is not None and hasattr(self, "classes_") and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"[{type(self).__name__}] `classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}."
            )
        return self._fit(X, y, sample_weight, None, partial=True, classes=classes)


class Regression(RegressorMixin):
    """The part of an estimator that knows real targets."""

    def _code(self: Any, y: Any, fresh: bool, classes: Any) -> np.ndarray:
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        y = np.asarray(y, np.float64).reshape(len(y), -1)
        if fresh:
            self._coding = ValueCoding.of(type(self).__name__, self.loss, y.shape[1])
        elif y.shape[1] != self._coding.outputs:
            raise ValueError(
                f"[{type(self).__name__}] expected {self._coding.outputs} targets, as in the first fit. "
                f"Received: {y.shape[1]}."
            )
        return y

    def predict(self: Any, X: Any) -> np.ndarray:
        """Return the predicted values.

        Parameters
        ----------
        X : array_like [N, features]

        Returns
        -------
        ndarray [N], or [N, targets] for several
        """
        self._need_model("a prediction")
        out = self._checked_outputs(X)
        return out[:, 0] if out.shape[1] == 1 else out

    @available_if(_takes_epochs)
    def partial_fit(self: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Train for one epoch on these data, going on from what is there.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, None, partial=True)
