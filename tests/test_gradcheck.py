"""gradcheck itself: what is right passes, what is wrong is named, and functions that read numbers are called again."""

import numpy as np
import pytest

from pynn import ops
from pynn.testing import gradcheck

X = np.linspace(-1.0, 1.0, 6).reshape(2, 3) + 0.05


@pytest.mark.parametrize("rows", [2, 40])  # element by element, and along random directions
def test_a_gradient_that_leaves_something_out_is_named(rows):
    x = np.resize(X, (rows, 3))
    gradcheck(lambda x, w: (x @ w).tanh(), [x, X.T])
    with pytest.raises(AssertionError, match=r"\[gradcheck\] gradient by input 0"):
        gradcheck(lambda x, w: (x * x.detach() + x @ w @ w.T).sum(), [x, X.T])


def test_a_function_that_decides_by_what_it_reads_is_called_for_each_value():
    calls = []

    def larger(x):
        calls.append(float(x.numpy()[0, 0]))
        return x * (2.0 if calls[-1] > 0 else 3.0)

    gradcheck(larger, [X])
    assert len(set(calls)) == 3  # as given, and that element a little more and less


def test_a_function_without_decisions_is_called_twice():
    calls = []

    def square(x):
        calls.append(1)
        return ops.sum(x * x)

    gradcheck(square, [X])
    assert len(calls) == 2
