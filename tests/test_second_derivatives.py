"""Every op whose gradient is made of ops that have gradients has a second derivative: finite differences confirm it."""

import numpy as np
import pytest

import pynn
from pynn import testing
from pynn.core.tensor import Tensor

MOST = 400  # elements of a sample: finite differences take two calls for each


def small(op):
    """Return the smallest smooth samples with something to differentiate, one of each set of attributes."""
    found = {}
    for sample in testing.samples(op):
        sizes = [np.size(x) for x in sample.inputs if testing._is_float(x)]
        if sample.smooth and sizes and min(sizes) > 0 and sum(sizes) <= MOST and not sample.state:
            kept = found.setdefault(tuple(sorted(sample.attrs)), (sum(sizes), sample))
            if sum(sizes) < kept[0]:
                found[tuple(sorted(sample.attrs))] = sum(sizes), sample
    return [sample for _, sample in found.values()]


NAMES = sorted(name for name, op in testing.all_ops().items() if testing._differentiable(op))


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives(name):
    op, rng = testing.all_ops()[name], np.random.default_rng(3)
    for sample in small(op):
        places = [i for i, x in enumerate(sample.inputs) if testing._is_float(x)]
        shapes = [np.shape(sample.inputs[i]) for i in places]
        weights: dict[int, np.ndarray] = {}
        directions = [rng.normal(size=shape) for shape in shapes]

        def loss(*xs, sample=sample, places=places, weights=weights):
            inputs = [x if x is None or isinstance(x, Tensor) else pynn.tensor(x) for x in sample.inputs]
            for i, x in zip(places, xs, strict=True):
                inputs[i] = x
            total = pynn.tensor(np.float64(0))
            for i, y in enumerate(testing._visible(op, testing._call(op, inputs, sample.attrs))):
                if isinstance(y, Tensor) and y.requires_grad:
                    if i not in weights:
                        weights[i] = rng.normal(size=y.shape)
                    total = total + (y * y * weights[i]).sum()
            return total

        def along(*xs, loss=loss, directions=directions):
            slopes = pynn.grad(loss, tuple(range(len(xs))))(*xs)
            return sum((slope * d).sum() for slope, d in zip(slopes, directions, strict=True))

        xs = [np.asarray(sample.inputs[i], "float64") for i in places]
        try:
            pynn.grad(along)(*xs)
        except RuntimeError as error:
            if "has no derivative of its own" not in str(error):
                raise
            continue
        testing.gradcheck(along, xs, rtol=1e-4, atol=1e-6)
