"""Networks with the interface of scikit-learn: they go into pipelines, grid searches and ensembles.

=================================== ==================================================================
:class:`MLPClassifier`,             Multilayer perceptrons with the parameters of those in
:class:`MLPRegressor`               ``sklearn.neural_network``, and more.
:class:`NetworkClassifier`,         Any pynn model, made by a function of yours.
:class:`NetworkRegressor`
:class:`Perceptron`                 Rosenblatt's unit and its error-correcting rule, with a trace.
:class:`Adaline`                    The linear unit of Widrow and Hoff and its least-mean-squares rule.
:class:`BernoulliRBM`               The restricted Boltzmann machine, as a transformer.
=================================== ==================================================================

This package needs scikit-learn: ``pip install "pynn-dl[sklearn]"``.
"""

from __future__ import annotations

try:
    import sklearn
except ImportError as error:
    raise ImportError(
        "[pynn.estimators] expected scikit-learn. Received: no such package. "
        'help: pip install "pynn-dl[sklearn]", or pip install scikit-learn.'
    ) from error

from pynn.estimators.adaline import Adaline
from pynn.estimators.mlp import MLPClassifier, MLPRegressor
from pynn.estimators.network import NetworkClassifier, NetworkRegressor
from pynn.estimators.perceptron import Perceptron, Update
from pynn.estimators.rbm import BernoulliRBM

__all__ = [
    "Adaline",
    "BernoulliRBM",
    "MLPClassifier",
    "MLPRegressor",
    "NetworkClassifier",
    "NetworkRegressor",
    "Perceptron",
    "Update",
]
