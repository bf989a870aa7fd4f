"""Tables of real measurements for the small recipes, from scikit-learn's package: no download."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Part", "breast_cancer", "diabetes", "split", "standardized"]

Part = tuple[np.ndarray, np.ndarray]
TEST_SHARE = 5  # one row of so many is tested on


def _sklearn_data() -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError('this recipe\'s data come with scikit-learn. help: pip install "pynn-dl[demo]"') from error
    return datasets


def breast_cancer() -> tuple[Part, Part]:
    """Return 569 tumours: 30 measurements each, and whether it is benign (1); a fifth is for testing."""
    return split(*_sklearn_data().load_breast_cancer(return_X_y=True))


def diabetes() -> tuple[Part, Part]:
    """Return 442 patients: 10 measurements each, and how their diabetes advanced in a year; a fifth is for testing."""
    return split(*_sklearn_data().load_diabetes(return_X_y=True))


def split(x: np.ndarray, y: np.ndarray, seed: int = 0) -> tuple[Part, Part]:
    """Return rows in a random order, cut into a training and a test part; y becomes float32 [n, 1]."""
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order].astype(np.float32).reshape(-1, 1)
    test = np.arange(len(x)) % TEST_SHARE == 0
    return (x[~test], y[~test]), (x[test], y[test])


def standardized(train: Part, test: Part) -> tuple[Part, Part]:
    """Return the parts with inputs of mean 0 and variance 1 in the training part."""
    mean, deviation = train[0].mean(axis=0), train[0].std(axis=0)
    return ((train[0] - mean) / deviation, train[1]), ((test[0] - mean) / deviation, test[1])
