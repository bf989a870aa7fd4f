"""What recipes make of their data before they train."""

import numpy as np

from pynn.recipes import tables


def test_tables_are_standardized_by_the_training_part_feature_by_feature(rng):
    scales = np.array([1.0, 100.0, 0.01])
    train, test = ((rng.normal(5, 1, (n, 3)) * scales, np.arange(n)) for n in (400, 100))
    (x, y), (xt, yt) = tables.standardized(train, test)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(x.std(0), 1, rtol=1e-9)
    np.testing.assert_allclose(xt, (test[0] - train[0].mean(0)) / train[0].std(0), rtol=1e-9)
    assert y is train[1]
    assert yt is test[1]
