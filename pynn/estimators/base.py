"""What all network estimators share: from data to a trained pynn model, with the conventions of scikit-learn."""

from __future__ import annotations

import copy
import math
import warnings
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from pynn import nn, optim
from pynn.checks import choice, flag, integer, number
from pynn.errors import unknown_name
from pynn.estimators import lbfgs
from pynn.estimators.batch import BatchLoss
from pynn.estimators.data import Held, checked_weights, validated
from pynn.estimators.files import from_bytes, to_bytes
from pynn.estimators.watch import Rates, Watch
from pynn.keywords import Spelled
from pynn.ops.pixels import as_real
from pynn.optim import Optimizer
from pynn.schedules import Schedule

__all__ = ["BaseNetwork"]

SEEDS = np.iinfo(np.int32).max
ROWS = 256  # in one pass of a prediction
RATE_KINDS = ("constant", "invscaling", "adaptive")


class BaseNetwork(Spelled, BaseEstimator, ABC):
    """An estimator around a pynn model; the parameters are documented where users meet them."""

    model_: Any
    _coding: Any
    _rates: Rates | None = None  # of the optimizer that partial_fit goes on with
    _logits: bool  # whether the model's outputs still need the coding's activation
    _sparse = False
    _any_rank = False

    # What the estimators differ in

    @abstractmethod
    def _make(self, inputs: tuple[int, ...], dtype: np.dtype, rng: np.random.RandomState) -> nn.Module:
        """Return a new model for samples of a shape."""

    @abstractmethod
    def _code(self, y: Any, fresh: bool, classes: Any) -> np.ndarray:
        """Return targets as class numbers or values, after choosing `_coding` if this is the first fit."""

    def _check_classes(self, coded: np.ndarray) -> None:
        """Refuse targets that lack a class of the last fit."""

    def _targets(self, coded: np.ndarray, dtype: Any) -> np.ndarray:
        return coded.astype(dtype)

    def _penalty(self) -> tuple[tuple[nn.Module, ...], float]:
        """Return the layers whose weights are penalised, and alpha."""
        return (), 0.0

    def _class_weights(self, y: Any) -> np.ndarray | None:
        return None

    def _options(self, place: str) -> dict[str, Any]:
        """Return the parameters of the training, checked."""
        stop = self.n_iter_no_change
        return {
            "rate": number(place, "learning_rate_init", self.learning_rate_init, 0, open_low=True),
            "kind": "constant"
            if isinstance(self.learning_rate, Schedule)
            else choice(place, "learning_rate", self.learning_rate, RATE_KINDS),
            "power": number(place, "power_t", self.power_t, 0),
            "epochs": integer(place, "max_iter", self.max_iter, 1),
            "tol": number(place, "tol", self.tol, 0),
            "patience": stop if stop == np.inf else integer(place, "n_iter_no_change", stop, 1),
            "shuffle": flag(place, "shuffle", self.shuffle),
            "early": flag(place, "early_stopping", self.early_stopping),
            "share": number(place, "validation_fraction", self.validation_fraction, 0, 1, open_high=True),
            "warm": flag(place, "warm_start", self.warm_start),
        }

    def _optimizer(self, place: str, rate: float) -> Optimizer:
        """Return a new optimizer for the parameter `solver`."""
        rated = self.learning_rate if isinstance(self.learning_rate, Schedule) else rate
        if isinstance(self.solver, Optimizer):
            return copy.deepcopy(self.solver)
        if isinstance(self.solver, str):
            if self.solver not in optim.NAMES:
                raise ValueError(f"[{place}] {unknown_name('solver', self.solver, [*optim.NAMES, 'lbfgs'])}")
            return optim.NAMES[self.solver](learning_rate=rated)
        made = self.solver(learning_rate=rated) if callable(self.solver) else None
        if not isinstance(made, Optimizer):
            raise ValueError(
                f"[{place}] expected solver to be a name, a pynn.optim.Optimizer, or a class of them. "
                f"Received: solver={self.solver!r}."
            )
        return made

    # Fitting

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation_data: Any = None) -> Self:
        """Train.

        Parameters
        ----------
        X : array_like [N, features]
        y : array_like [N], [N, labels] or [N, targets]
            Classes of any kind, or rows of 0 and 1 for several labels per sample; numbers for a regressor.
        sample_weight : array_like [N], optional
            Finite and >= 0.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Measured after every epoch: `validation_scores_` and ``history_["val_loss"]``, in which there is no penalty.
            With `early_stopping` it is used instead of a part of the training data.

        Returns
        -------
        self
        """
        return self._fit(X, y, sample_weight, validation_data)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, validation_data: Any, partial: bool = False, classes: Any = None
    ) -> Any:
        place = type(self).__name__
        o = self._options(place)
        if partial and o["early"]:
            raise ValueError(f"[{place}] partial_fit does not go with early_stopping=True: it makes a single epoch.")
        fresh = not hasattr(self, "model_") or not (partial or o["warm"])
        X, y = validated(self, X, y, reset=fresh, multi_output=True, **self._input_checks(fresh))
        coded = self._code(y, fresh, classes)
        if not fresh and not partial:
            self._check_classes(coded)
        X = self._dense(X)
        weight = self._weights(sample_weight, y, len(X))
        going_on = partial and not fresh and self._rates is not None
        rng: Any = None if going_on else check_random_state(self.random_state)
        dtype = self._dtype(X) if fresh else self.model_.dtype
        if fresh:
            self._begin(X, dtype, rng)
        if not self.model_.takes_integers:
            X = as_real(X, dtype, self.model_.takes_bytes())
        held = None
        if validation_data is not None:
            held = self._held(validation_data)
        elif o["early"] and self.solver != "lbfgs":
            keep, out = self._split(place, coded, o["share"], rng)
            held = Held(X[out], coded[out], None if weight is None else weight[out], given=False)
            X, coded, weight = X[keep], coded[keep], None if weight is None else weight[keep]
        targets = self._targets(coded, dtype)
        weight = self._in_dtype(weight, dtype)
        seed = 0 if rng is None else int(rng.randint(SEEDS))
        if self.solver == "lbfgs":
            self._fit_lbfgs(place, o, X, targets, weight, seed)
        else:
            self._fit_epochs(place, o, X, targets, weight, seed, held, partial, going_on)
        return self

    def _in_dtype(self, weight: np.ndarray | None, dtype: np.dtype) -> np.ndarray | None:
        """Return the weights of the training samples as they go into the loss."""
        if weight is None:
            return None
        with np.errstate(over="ignore"):
            w = weight.astype(dtype)
            total = w.sum()
        if not 0 < total < np.inf:
            what = "are all zero" if not total else f"are too large for {dtype}"
            raise ValueError(f"[{type(self).__name__}] sample weights: the weights of the training samples {what}.")
        return w

    def _batch_loss(self, targets: np.ndarray, whole: bool) -> BatchLoss:
        """Return what makes the loss of a batch; `whole` means that its value, too, is the sum over the outputs."""
        coding = self._coding
        summed = coding.outputs > 1 and targets.ndim > 1 and coding.activation != "softmax"
        layers, alpha = self._penalty()
        return BatchLoss(layers, alpha, coding.outputs if summed else 1, whole or coding.summed)

    def _input_checks(self, fresh: bool) -> dict[str, Any]:
        dtype = "numeric" if self._any_rank else [np.float64, np.float32]
        return {"accept_sparse": "csr" if self._sparse else False, "dtype": dtype, "allow_nd": self._any_rank}

    @staticmethod
    def _dense(X: Any) -> np.ndarray:
        return np.ascontiguousarray(X.toarray() if hasattr(X, "toarray") else X)

    def _dtype(self, X: np.ndarray) -> np.dtype:
        if self.dtype is None:
            return X.dtype if X.dtype in (np.float32, np.float64) else np.dtype(np.float64)
        if self.dtype not in ("float32", "float64", np.float32, np.float64):
            raise ValueError(
                f"[{type(self).__name__}] expected dtype to be 'float32', 'float64', or None for that of X. "
                f"Received: dtype={self.dtype!r}."
            )
        return np.dtype(self.dtype)

    def _weights(self, given: Any, y: np.ndarray, n: int) -> np.ndarray | None:
        """Return the product of sample weights and class weights, or None."""
        by_class = self._class_weights(y)
        if given is None:
            return by_class
        w = checked_weights(type(self).__name__, given, n)
        return w if by_class is None else w * by_class

    def _begin(self, X: np.ndarray, dtype: np.dtype, rng: np.random.RandomState) -> None:
        self.n_outputs_, self.out_activation_ = self._coding.outputs, self._coding.activation or "identity"
        self.model_ = self._make(X.shape[1:], dtype, rng)
        self.t_, self._epochs, self._wait, self._rates = 0, 0, 0, None
        self.loss_curve_: list[float] = []
        self.best_loss_: float | None = np.inf
        self.validation_scores_: list[float] | None = None
        self.best_validation_score_: float | None = None

    def _held(self, data: Any) -> Held:
        place = type(self).__name__
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            raise ValueError(f"[{place}] expected validation_data to be (X, y) or (X, y, sample_weight).")
        X, y = validated(self, data[0], data[1], reset=False, multi_output=True, **self._input_checks(False))
        X = self._dense(X)
        weight = None if len(data) == 2 or data[2] is None else checked_weights(place, data[2], len(X))
        return Held(X, self._code(y, False, None), weight, given=True)

    def _split(self, place: str, coded: np.ndarray, share: float, rng: Any) -> tuple[np.ndarray, np.ndarray]:
        pair = coded.ndim == 1 and len(self.classes_) <= 2  # scikit-learn stratifies nothing else
        rows = np.arange(len(coded))
        held = math.ceil(share * len(rows))
        if held < 2:
            raise ValueError(
                f"[{place}] expected at least 2 samples for validation. Received: {held}. "
                "help: raise validation_fraction, or pass validation_data."
            )
        return train_test_split(rows, test_size=share, random_state=rng, stratify=coded if pair else None)

    def _batch_size(self, place: str, n: int) -> int:
        if isinstance(self.batch_size, str) and self.batch_size == "auto":
            return min(200, n)
        size = integer(place, "batch_size", self.batch_size, 1)
        if size > n:
            warnings.warn(f"[{place}] batch_size={size} is more than {n} samples; all are taken.", stacklevel=5)
        return min(size, n)

    def _fit_lbfgs(self, place: str, o: dict[str, Any], X: Any, y: Any, w: Any, seed: int) -> None:
        options = {"maxiter": o["epochs"], "gtol": o["tol"]}
        if hasattr(self, "max_fun"):
            options["maxfun"] = integer(place, "max_fun", self.max_fun, 1)
        self._rates = None
        self.loss_, self.n_iter_, complaint = lbfgs.minimize(
            self.model_, self._coding.loss, self._batch_loss(y, whole=True), X, y, w, seed, **options
        )
        self._logits = self.model_._trainer.head.gives_logits
        if not all(np.isfinite(a).all() for a in self.model_.get_weights()):
            raise ValueError(f"[{place}] lbfgs gave weights that are not finite. help: scale the inputs.")
        if complaint:
            warnings.warn(f"[{place}] lbfgs did not converge: {complaint}", ConvergenceWarning, stacklevel=4)

    def _fit_epochs(
        self,
        place: str,
        o: dict[str, Any],
        X: Any,
        y: Any,
        w: Any,
        seed: int,
        held: Held | None,
        partial: bool,
        going_on: bool,
    ) -> None:
        model = self.model_
        size = self._batch_size(place, len(X))
        if not going_on:  # else the optimizer, its rate and the seed stay
            model.compile(self._optimizer(place, o["rate"]), self._coding.loss, seed=seed)
            model._trainer.output_shape([X[:1]])  # finds the last activation, for scores in the first epoch
            self._logits = model._trainer.head.gives_logits
            self._rates = Rates(o["rate"], o["kind"] if self.solver == "sgd" else "constant", o["power"])
        batch_loss = self._batch_loss(y, whole=False)
        model._trainer.after_loss = [batch_loss]
        score = None
        if held is not None:
            self.validation_scores_ = self.validation_scores_ or []
            if self.best_validation_score_ is None:
                self.best_validation_score_ = -np.inf

            def score() -> float:
                return self._coding.score(self._outputs(held.x), held.coded, held.weight)

        by_score = o["early"] and held is not None
        if by_score:
            self.best_loss_ = None
        assert self._rates is not None
        watch = Watch(self, o["tol"], o["patience"], self._rates, len(X), score, by_score)
        watch.wait = self._wait if partial or o["warm"] else 0
        epochs = self._epochs + (1 if partial else o["epochs"])
        self.n_iter_ = 0
        callbacks = [copy.copy(c) for c in self._callbacks(place)]  # they keep the model, which is none of a parameter
        validation = self._validation(held, batch_loss) if held is not None and held.given else None
        history = model.fit(
            X, y, sample_weight=w, batch_size=size, initial_epoch=self._epochs, epochs=epochs, verbose=self._loud(),
            shuffle=o["shuffle"], callbacks=[watch, *callbacks], validation_data=validation,
        )  # fmt: skip
        self.history_ = history.history
        self._epochs, self._wait = self._epochs + self.n_iter_, watch.wait
        if history.interrupted:
            warnings.warn(f"[{place}] training was interrupted after {self.n_iter_} epochs.", stacklevel=4)
        elif not partial and not model.stop_training and not watch.converged:
            warnings.warn(
                f"[{place}] the loss still improves after max_iter={o['epochs']} epochs.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _validation(self, held: Held, batch_loss: BatchLoss) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return what pynn measures, weighted so that its mean is the loss of a batch without the penalty."""
        factor = float(batch_loss.outputs) if batch_loss.whole else 1.0
        weight = held.weight
        if weight is not None:
            weight = weight * (factor / weight.mean())
        elif factor > 1:
            weight = np.full(len(held.coded), factor)
        return held.x, self._targets(held.coded, self.model_.dtype), weight

    def _callbacks(self, place: str) -> list[Any]:
        given = self.callbacks
        if given is None:
            return []
        return list(given) if isinstance(given, (list, tuple)) else [given]

    def _loud(self) -> int:
        return 2 if self.verbose else 0

    # Predicting

    def _outputs(self, X: np.ndarray) -> np.ndarray:
        """Return what the network says, after its last activation.

        The last rows are filled up to a power of two, so that at most nine programs serve any number of rows.
        """
        model, n = self.model_, len(X)
        whole_passes = n - n % ROWS
        parts = [model.predict(X[:whole_passes], ROWS)] if whole_passes else []
        if rest := n - whole_passes:
            padded = np.zeros((1 << (rest - 1).bit_length(), *X.shape[1:]), X.dtype)
            padded[:rest] = X[whole_passes:]
            parts.append(model.predict(padded, ROWS)[:rest])
        out = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return self._coding.activated(out) if self._logits and hasattr(self._coding, "activated") else out

    def _checked_outputs(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = self._dense(validated(self, X, reset=False, **self._input_checks(False)))
        if X.dtype != self.model_.dtype and not self.model_.takes_integers:
            X = as_real(X, self.model_.dtype, self.model_.takes_bytes())
        return self._outputs(X)

    # What scikit-learn and pickle ask

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self._sparse
        tags.input_tags.three_d_array = self._any_rank
        tags.target_tags.multi_output = tags.target_tags.multi_output or tags.estimator_type == "regressor"
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["_model_file"] = to_bytes(state.pop("model_"))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        data = state.pop("_model_file", None)
        super().__setstate__(state)
        if data is not None:
            self.model_ = from_bytes(data)

    def _need_model(self, name: str) -> Any:
        if not hasattr(self, "model_"):
            raise NotFittedError(f"[{type(self).__name__}] {name} needs a fitted estimator. help: call fit first.")
        return self.model_
