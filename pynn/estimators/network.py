"""Any pynn model as an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import nn
from pynn.estimators.base import BaseNetwork
from pynn.estimators.parameters import keep
from pynn.estimators.tasks import Classification, Regression

__all__ = ["NetworkClassifier", "NetworkRegressor"]


class _Network(BaseNetwork):
    _any_rank = True
    power_t = 0.5  # of learning_rate="invscaling"

    def _make(self, inputs: tuple[int, ...], dtype: np.dtype, rng: np.random.RandomState) -> nn.Module:
        place = type(self).__name__
        if not callable(self.model) or isinstance(self.model, nn.Module):
            raise ValueError(
                f"[{place}] expected model to be a function (input_shape, output_shape) -> pynn model. "
                f"Received: {self.model!r}. help: every fit needs a new model, so wrap its making in a function."
            )
        outputs = (self._coding.outputs,)
        model = self.model(inputs, outputs)
        if not isinstance(model, nn.Module):
            raise TypeError(f"[{place}] expected model(...) to return a pynn model. Received: {type(model).__name__}.")
        if not any(module._weights for module in model.modules()):
            model.astype(dtype)
        model.assign_seeds(int(rng.randint(np.iinfo(np.int32).max)))
        return model


class NetworkClassifier(Classification, _Network):
    """A classifier around any pynn model, which a function makes.

    Parameters
    ----------
    model : callable
        ``model(input_shape, output_shape)`` returns a new, uncompiled model; shapes are those of one sample,
        without the batch axis. The output has an element for each class (for each label, if there are several per
        sample); for two classes one, unless the loss is a cross-entropy over classes, as "log_loss" is here. The
        model may end in softmax (sigmoid) or in logits.
        To pickle the estimator with the standard library, it must be a function of a module, not a lambda.
    solver : str, pynn.optim.Optimizer or callable, default "adam"
        "lbfgs", or a name in ``pynn.optim.NAMES``, with `learning_rate_init`; an optimizer, which is copied; or a
        class of them (a function), which is called with ``learning_rate``.
    loss : str or pynn.losses.Loss, default "log_loss"
        "log_loss" is the cross-entropy, for several labels the binary one.
    batch_size : int or "auto", default "auto"
        "auto" is min(200, N).
    learning_rate : {"constant", "invscaling", "adaptive"} or pynn.schedules.Schedule, default "constant"
        The words are as in :class:`MLPClassifier`, and count for "sgd" alone.
    learning_rate_init : float, default 0.001
    max_iter : int, default 200
        The most epochs.
    shuffle : bool, default True
    random_state : int, RandomState or None, default None
    tol : float, default 1e-4
    verbose : bool, default False
    warm_start : bool, default False
    early_stopping : bool, default False
    validation_fraction : float, default 0.1
    n_iter_no_change : int or inf, default 10
    class_weight : dict, "balanced" or None, default None
    dtype : {"float32", "float64"} or None, default None
    callbacks : sequence of pynn.train.Callback, default None
        For what is not said here see :class:`MLPClassifier`.

    Attributes
    ----------
    model_ : pynn.nn.Module
        The network itself.
    classes_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, history_, n_iter_, t_,
    n_outputs_, n_features_in_, feature_names_in_
        See :class:`MLPClassifier`.

    Raises
    ------
    ValueError, TypeError
        If a parameter, the model or the data are not what they should be.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> def lenet(input_shape, output_shape):
    ...     return nn.Sequential([
    ...         nn.Input(input_shape),
    ...         nn.Conv2D(8, 3, activation="relu"),
    ...         nn.MaxPool2D(2),
    ...         nn.Flatten(),
    ...         nn.Dense(output_shape[0]),
    ...     ])
    >>> net = NetworkClassifier(lenet, learning_rate_init=0.01, max_iter=10, tol=0, dtype="float32", random_state=0)
    >>> images = X.reshape(-1, 8, 8, 1) / 16
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     bool(net.fit(images, y).score(images, y) > 0.95)
    True
    """

    _pair = True

    def __init__(
        self,
        model: Any,
        *,
        solver: Any = "adam",
        loss: Any = "log_loss",
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        class_weight: Any = None,
        dtype: Any = None,
        callbacks: Any = None,
    ):
        keep(locals())


class NetworkRegressor(Regression, _Network):
    """A regressor around any pynn model, which a function makes.

    Parameters
    ----------
    model : callable
        ``model(input_shape, output_shape)`` returns a new, uncompiled model; shapes are those of one sample,
        without the batch axis. The output has an element for each target.
    loss : str or pynn.losses.Loss, default "squared_error"
        See :class:`MLPRegressor`; for "poisson" the model must end in an activation that is positive.
    solver : str, pynn.optim.Optimizer or callable, default "adam"
    batch_size : int or "auto", default "auto"
    learning_rate : {"constant", "invscaling", "adaptive"} or pynn.schedules.Schedule, default "constant"
    learning_rate_init : float, default 0.001
    max_iter : int, default 200
    shuffle : bool, default True
    random_state : int, RandomState or None, default None
    tol : float, default 1e-4
    verbose : bool, default False
    warm_start : bool, default False
    early_stopping : bool, default False
    validation_fraction : float, default 0.1
    n_iter_no_change : int or inf, default 10
    dtype : {"float32", "float64"} or None, default None
    callbacks : sequence of pynn.train.Callback, default None
        For what is not said here see :class:`NetworkClassifier`.

    Attributes
    ----------
    model_ : pynn.nn.Module
        The network itself.
    loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, history_, n_iter_, t_, n_outputs_,
    n_features_in_, feature_names_in_
        See :class:`MLPClassifier`.

    Raises
    ------
    ValueError, TypeError
        If a parameter, the model or the data are not what they should be.

    Examples
    --------
    >>> def line(input_shape, output_shape):
    ...     return nn.Sequential([nn.Input(input_shape), nn.Dense(output_shape[0])])
    >>> X = np.linspace(0, 1, 20).reshape(-1, 1)
    >>> net = NetworkRegressor(line, solver="lbfgs", random_state=0).fit(X, 2 * X[:, 0] + 1)
    >>> net.predict([[3.0]]).round(2).tolist()
    [7.0]
    """

    def __init__(
        self,
        model: Any,
        *,
        solver: Any = "adam",
        loss: Any = "squared_error",
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: float = 10,
        dtype: Any = None,
        callbacks: Any = None,
    ):
        keep(locals())
