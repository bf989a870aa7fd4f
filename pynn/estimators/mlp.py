"""Multilayer perceptrons with the parameters of those in scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn import nn, optim
from pynn.checks import flag, integer, number, rate
from pynn.estimators.base import BaseNetwork
from pynn.estimators.parameters import keep
from pynn.estimators.tasks import Classification, Regression
from pynn.optim import Optimizer
from pynn.schedules import Schedule

__all__ = ["MLPClassifier", "MLPRegressor"]

ACTIVATIONS = {"identity": None, "logistic": "sigmoid"}  # scikit-learn's names


class _MLP(BaseNetwork):
    _sparse = True

    def _make(self, inputs: tuple[int, ...], dtype: np.dtype, rng: np.random.RandomState) -> nn.Module:
        place = type(self).__name__
        sizes = self._sizes(place)
        given = self.dropout
        rates = list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given] * len(sizes)
        if len(rates) != len(sizes):
            raise ValueError(
                f"[{place}] expected dropout to be one rate, or one for each of {len(sizes)} hidden layers. "
                f"Received: dropout={given!r}."
            )
        if any(rates) and isinstance(self.solver, str) and self.solver == "lbfgs":
            raise ValueError(f"[{place}] dropout needs a solver that takes many steps. Received: solver='lbfgs'.")
        activation = self.activation
        if isinstance(activation, str):
            activation = ACTIVATIONS.get(activation, activation)
        layers: list[Any] = [nn.Input(inputs)]
        for units, share in zip(sizes, rates, strict=True):
            layers.append(nn.Dense(units, activation=activation))
            if rate(place, "dropout", share):
                layers.append(nn.Dropout(float(share)))
        layers.append(nn.Dense(self._coding.outputs, activation=self._coding.activation))
        model = nn.Sequential(layers).astype(dtype)
        model.build((1, *inputs))
        # the distribution, and for a given random_state the very numbers, of scikit-learn
        factor = 2.0 if activation == "sigmoid" else 6.0
        weights = []
        for layer in _dense(model):
            n_in, n_out = layer.w.shape
            limit = math.sqrt(factor / (n_in + n_out))
            weights += [rng.uniform(-limit, limit, (n_in, n_out)), rng.uniform(-limit, limit, n_out)]
        model.set_weights(weights)
        self.n_layers_ = len(sizes) + 2
        return model

    def _sizes(self, place: str) -> list[int]:
        given = self.hidden_layer_sizes
        if isinstance(given, str) or not (np.ndim(given) <= 1):
            raise ValueError(f"[{place}] expected hidden_layer_sizes to be integers. Received: {given!r}.")
        return [integer(place, "hidden_layer_sizes", n, 1) for n in np.atleast_1d(np.asarray(given, object))]

    def _penalty(self) -> tuple[tuple[nn.Module, ...], float]:
        return tuple(_dense(self.model_)), number(type(self).__name__, "alpha", self.alpha, 0)

    def _optimizer(self, place: str, rate: float) -> Optimizer:
        rated = self.learning_rate if isinstance(self.learning_rate, Schedule) else rate
        if isinstance(self.solver, str) and self.solver == "sgd":
            nesterov = flag(place, "nesterovs_momentum", self.nesterovs_momentum) and self.momentum > 0
            return optim.SGD(rated, momentum=self.momentum, nesterov=nesterov)
        if isinstance(self.solver, str) and self.solver == "adam":
            return optim.Adam(rated, beta_1=self.beta_1, beta_2=self.beta_2, eps=self.epsilon)
        return super()._optimizer(place, rate)

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Copies of the weights of all layers, [inputs, outputs] each."""
        return [layer.w.numpy() for layer in _dense(self._need_model("coefs_"))]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Copies of the biases of all layers."""
        return [layer.b.numpy() for layer in _dense(self._need_model("intercepts_"))]


def _dense(model: Any) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, nn.Dense)]


class MLPClassifier(Classification, _MLP):
    """A multilayer perceptron for classes: p = softmax(W_L act(... act(W_1 x + b_1) ...) + b_L).

    The parameters of ``sklearn.neural_network.MLPClassifier`` mean here what they mean there, and for the same
    `random_state` training starts from the same weights and holds out the same samples: with ``shuffle=False`` weights,
    losses and epochs are the same to rounding, but for what the notes name. Beyond these parameters there are
    `dropout`, `loss`, `class_weight`, `dtype`, `callbacks`, the activations, optimizers and schedules of pynn, and
    `validation_data` in `fit`.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
        Units of the hidden layers; () is softmax regression.
    activation : str or callable, default "relu"
        "identity", "logistic", "tanh", "relu", or any other of pynn's.
    solver : str, pynn.optim.Optimizer or callable, default "adam"
        "lbfgs", "sgd", "adam" or another name in ``pynn.optim.NAMES``, with `learning_rate_init`; an optimizer, which
        is copied; or a class of them (a function), which is called with ``learning_rate``.
    alpha : float, default 1e-4
        Of the penalty alpha / 2 * sum(W**2), divided by the number of samples in the batch (the sum of their weights).
    batch_size : int or "auto", default "auto"
        "auto" is min(200, N).
    learning_rate : {"constant", "invscaling", "adaptive"} or pynn.schedules.Schedule, default "constant"
        The words count for "sgd" alone. "invscaling" sets learning_rate_init / (samples seen + 1)**power_t after every
        epoch; the first of a fit has learning_rate_init. "adaptive" divides by 5 whenever training would have ended.
        The velocity of momentum keeps the rates that it was gathered with. A schedule is asked at every step.
    learning_rate_init : float, default 0.001
    power_t : float, default 0.5
    max_iter : int, default 200
        The most epochs (iterations of "lbfgs").
    shuffle : bool, default True
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None, default None
        For the weights, the split of early stopping, the order and dropout.
    tol : float, default 1e-4
        Training ends after more than `n_iter_no_change` epochs that improve the loss (the score, with
        `early_stopping`) by less.
    verbose : bool, default False
        Whether to print a line for each epoch.
    warm_start : bool, default False
        Whether `fit` goes on from the weights of the last one, with a new optimizer; `y` must have all of its classes.
    momentum : float, default 0.9
        Of "sgd", in [0, 1).
    nesterovs_momentum : bool, default True
    early_stopping : bool, default False
        Whether to stop by the score on data that are held out, and to keep the weights of the best epoch. Two classes
        are held out in their proportions, more of them and values by chance.
    validation_fraction : float, default 0.1
        The share that is held out.
    beta_1 : float, default 0.9
        Of "adam".
    beta_2 : float, default 0.999
        Of "adam".
    epsilon : float, default 1e-8
        Of "adam".
    n_iter_no_change : int or inf, default 10
    max_fun : int, default 15000
        The most evaluations of "lbfgs".
    dropout : float or sequence of float, default 0.0
        The share of each hidden layer's outputs that is dropped in training; one for all layers or one for each.
    loss : str or pynn.losses.Loss, default "log_loss"
        "log_loss" is the cross-entropy of softmax, for two classes and for several labels of sigmoid. Others, for
        instance "hinge", give no probabilities.
    class_weight : dict, "balanced" or None, default None
        Class -> weight; "balanced" is N / (classes * count).
    dtype : {"float32", "float64"} or None, default None
        What is computed in; None is that of X. float32 is faster.
    callbacks : sequence of pynn.train.Callback, default None
        Copied for every fit.

    Attributes
    ----------
    classes_ : ndarray
    model_ : pynn.nn.Sequential
        The network itself.
    coefs_, intercepts_ : list of ndarray
    loss_, best_loss_ : float
    loss_curve_ : list of float
        The loss of every epoch, penalty included: the mean over its batches, in each of which it is
        sum(w l) / sum(w), w the weights of its samples. Several labels are a sum.
    validation_scores_ : list of float or None
        The accuracy on the held-out data after every epoch.
    best_validation_score_ : float or None
    history_ : dict of str to list of float
        What pynn's fit logged, for instance "loss", "val_loss", "val_score".
    n_iter_, t_ : int
        Epochs of the last fit, and samples seen in all.
    n_layers_, n_outputs_, out_activation_
    n_features_in_, feature_names_in_
        As in all estimators of scikit-learn.

    Raises
    ------
    ValueError
        If a parameter or the data are not what they should be.
    pynn.errors.NonFiniteError
        If the loss becomes NaN or infinite.

    Warns
    -----
    ConvergenceWarning
        If the loss still improves after `max_iter` epochs.

    Notes
    -----
    What is not as in scikit-learn 1.9:

    - With `shuffle` the order of the samples is another one.
    - "adam" adds `epsilon` after the bias correction, as the paper does; scikit-learn before it.
    - The loss is computed from logits; scikit-learn limits probabilities to [2.2e-16, 1 - 2.2e-16] in it.
    - `momentum` is below 1.
    - A batch whose samples all weigh 0 changes nothing but what momentum moves; scikit-learn raises ZeroDivisionError.
    - The first `partial_fit` needs no `classes` if `y` has them all, and with `warm_start` `y` may lack some.
    - ``early_stopping=True`` after a fit without it goes on where scikit-learn raises.

    Sparse matrices are made dense as a whole. pynn's own results do not depend on the number of threads.

    References
    ----------
    Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986. Glorot and Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MLPClassifier((16,), learning_rate_init=0.02, dtype="float32", random_state=0)
    >>> bool(make_pipeline(StandardScaler(), net).fit(X, y).score(X, y) > 0.95)
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        loss: Any = "log_loss",
        class_weight: Any = None,
        dtype: Any = None,
        callbacks: Any = None,
    ):
        keep(locals())


class MLPRegressor(Regression, _MLP):
    """A multilayer perceptron for real targets: y = W_L act(... act(W_1 x + b_1) ...) + b_L.

    The parameters of ``sklearn.neural_network.MLPRegressor`` mean here what they mean there, as for
    :class:`MLPClassifier`, where those that are not described here are found, the attributes, and notes on differences.

    Parameters
    ----------
    loss : str or pynn.losses.Loss, default "squared_error"
        "squared_error" (half of it), "poisson" (half of the deviance; the outputs are exponentials, the targets >= 0),
        "absolute_error", "huber", or another of ``pynn.losses``. Of several targets `loss_` and `loss_curve_` are the
        mean and the gradient is that of the sum, as in scikit-learn; of "poisson" both are sums.
    hidden_layer_sizes : int or sequence of int, default (100,)
    activation : str or callable, default "relu"
    solver : str, pynn.optim.Optimizer or callable, default "adam"
    alpha : float, default 1e-4
    batch_size : int or "auto", default "auto"
    learning_rate : {"constant", "invscaling", "adaptive"} or pynn.schedules.Schedule, default "constant"
    learning_rate_init : float, default 0.001
    power_t : float, default 0.5
    max_iter : int, default 200
    shuffle : bool, default True
    random_state : int, RandomState or None, default None
    tol : float, default 1e-4
    verbose : bool, default False
    warm_start : bool, default False
    momentum : float, default 0.9
    nesterovs_momentum : bool, default True
    early_stopping : bool, default False
        It watches R**2.
    validation_fraction : float, default 0.1
    beta_1 : float, default 0.9
    beta_2 : float, default 0.999
    epsilon : float, default 1e-8
    n_iter_no_change : int or inf, default 10
    max_fun : int, default 15000
    dropout : float or sequence of float, default 0.0
    dtype : {"float32", "float64"} or None, default None
    callbacks : sequence of pynn.train.Callback, default None
        For what is not said here see :class:`MLPClassifier`.

    Raises
    ------
    ValueError
        If a parameter or the data are not what they should be.
    pynn.errors.NonFiniteError
        If the loss becomes NaN or infinite.

    Warns
    -----
    ConvergenceWarning
        If the loss still improves after `max_iter` epochs.

    Notes
    -----
    With ``solver="lbfgs"`` and several targets the sum is minimized, and `loss_` is the sum; scikit-learn hands the
    solver the value of the mean with the gradient of the sum.

    Examples
    --------
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> net = MLPRegressor(hidden_layer_sizes=(20,), activation="tanh", solver="lbfgs", random_state=0)
    >>> net = net.fit(X, np.sin(3 * X[:, 0]))
    >>> bool(net.score(X, np.sin(3 * X[:, 0])) > 0.999)
    True
    """

    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        dtype: Any = None,
        callbacks: Any = None,
    ):
        keep(locals())
