"""What recipes make of their data before they train."""

import numpy as np
import pytest

from pynn.recipes import runner, tables
from pynn.recipes.registry import known


def test_tables_are_standardized_by_the_training_part_feature_by_feature(rng):
    scales = np.array([1.0, 100.0, 0.01])
    train, test = ((rng.normal(5, 1, (n, 3)) * scales, np.arange(n)) for n in (400, 100))
    (x, y), (xt, yt) = tables.standardized(train, test)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(x.std(0), 1, rtol=1e-9)
    np.testing.assert_allclose(xt, (test[0] - train[0].mean(0)) / train[0].std(0), rtol=1e-9)
    assert y is train[1]
    assert yt is test[1]


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_the_report_says_what_precision_it_was_where_it_is_not_the_highest(precision):
    recipe = known()[0]
    found = {"recipe": recipe.name, "test": {recipe.measure.key: 0.5}, "expected": recipe.expected, "epochs": 1}
    found |= {"batch_size": 8, "train_seconds": 1.0, "parameters": 12, "seed": 0, "threads": 1, "version": "1"}
    said = runner._sentence(recipe, runner.Result(**found, precision=precision, details={}), False)
    assert ("precision" in said) == (precision != "highest")
    assert "1 epoch in 1.00 s" in said
