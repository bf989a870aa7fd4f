"""Networks with the interface of scikit-learn: they go into pipelines, grid searches and ensembles.

=================================== ==================================================================
:class:`MLPClassifier`,             Multilayer perceptrons with the parameters of those in
:class:`MLPRegressor`               ``sklearn.neural_network``, and more.
:class:`NetworkClassifier`,         Any pynn model, made by a function of yours.
:class:`NetworkRegressor`
:class:`Perceptron`                 Rosenblatt's unit and its error-correcting rule, with a trace.
:class:`Adaline`                    The linear unit of Widrow and Hoff and its least-mean-squares rule.
:class:`BernoulliRBM`               The restricted Boltzmann machine, as a transformer.
:class:`KMeansFeatures`             Features of images from K-means on whitened patches: no labels.
:class:`PSD`                        Sparse codes that a layer predicts: predictive sparse decomposition.
:func:`ista`, :func:`fista`         Sparse codes by iterative shrinkage.
:class:`ZCA`                        Whitening that changes data least.
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
from pynn.estimators.kmeans_features import KMeansFeatures
from pynn.estimators.mlp import MLPClassifier, MLPRegressor
from pynn.estimators.network import NetworkClassifier, NetworkRegressor
from pynn.estimators.perceptron import Perceptron, Update
from pynn.estimators.psd import PSD
from pynn.estimators.rbm import BernoulliRBM
from pynn.estimators.sparse import fista, ista
from pynn.estimators.zca import ZCA

__all__ = [
    "PSD",
    "ZCA",
    "Adaline",
    "BernoulliRBM",
    "KMeansFeatures",
    "MLPClassifier",
    "MLPRegressor",
    "NetworkClassifier",
    "NetworkRegressor",
    "Perceptron",
    "Update",
    "fista",
    "ista",
]
