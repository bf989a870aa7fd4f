"""A size of 0 anywhere, not only in the batch: an op gives empty arrays or sums of nothing, or refuses, and no more."""

import warnings

import numpy as np
import pytest

from pynn import ops, testing
from pynn.core.card import Sample
from pynn.errors import ShapeError
from pynn.testing import _Case, _convert

SMALL = 5000  # elements of a sample; larger ones are of the same shape, but for speed
BELIEVING = {"slice", "batch_rows", "batch_scaled"}  # indexing and the trainer give them places, which fit the shapes
NAMES = sorted(set(testing.all_ops()) - BELIEVING)


def emptied(arrays):
    """Yield inputs in which all sizes of one number became 0, and inputs in which one size of one input did."""
    for size in sorted({d for a in arrays if a is not None for d in a.shape if d}):
        yield [None if a is None else np.zeros([0 if d == size else d for d in a.shape], a.dtype) for a in arrays]
    for i, a in enumerate(arrays):
        for axis in range(0 if a is None else a.ndim):
            shape = [*a.shape[:axis], 0, *a.shape[axis + 1 :]]
            yield [np.zeros(shape, a.dtype) if j == i else b for j, b in enumerate(arrays)]


@pytest.mark.parametrize("name", NAMES)
def test_no_size_of_zero_does_harm(name):
    op = testing._find(name)
    for sample in testing.samples(name):
        if sample.state or sum(np.size(x) for x in sample.inputs if x is not None) > SMALL:
            continue
        for arrays in emptied([_convert(x, np.dtype("float32")) for x in sample.inputs]):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of means of nothing
                try:
                    found = _Case(op, Sample(tuple(arrays), sample.attrs), np.dtype("float32")).arrays()
                except (ValueError, TypeError, IndexError, RuntimeError):
                    continue
            assert all(isinstance(y, np.ndarray) for y in found.values())


@pytest.mark.parametrize("pool", [ops.max_pool2d, ops.avg_pool2d])
def test_pools_of_images_without_channels(pool):  # the process ended: a division by the number of channels
    assert pool(np.zeros((2, 6, 4, 0), "float32"), 2).shape == (2, 3, 2, 0)


@pytest.mark.parametrize("channels", [(0, 4), (3, 0), (0, 0)])
def test_convolutions_without_channels_are_refused(channels):  # the transpose ended the process too
    w, some = np.ones((3, 3, *channels), "float32"), "expected weights"
    with pytest.raises(ShapeError, match=some):
        ops.conv2d(np.ones((2, 5, 5, channels[0]), "float32"), w)
    with pytest.raises(ShapeError, match=some):
        ops.conv2d_transpose(np.ones((2, 5, 5, channels[1]), "float32"), w)
