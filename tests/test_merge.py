"""Layers that bring branches together: concatenation, sums, products."""

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.errors import ShapeError

RNG = np.random.default_rng(0)
A = RNG.standard_normal((9, 4)).astype("float32")
B = RNG.standard_normal((9, 5)).astype("float32")

MERGES = {
    "concatenate": (nn.Concatenate, [(2, 3, 4), (2, 3, 5)], lambda a, b: np.concatenate([a, b], -1)),
    "concatenate axis 1": (lambda: nn.Concatenate(1), [(2, 3, 4), (2, 5, 4)], lambda a, b: np.concatenate([a, b], 1)),
    "concatenate three": (nn.Concatenate, [(2, 3), (2, 1), (2, 4)], lambda *xs: np.concatenate(xs, -1)),
    "add": (nn.Add, [(2, 3), (2, 3)], lambda a, b: a + b),
    "add three": (nn.Add, [(2, 3), (2, 3), (2, 3)], lambda a, b, c: a + b + c),
    "multiply": (nn.Multiply, [(2, 3), (2, 3)], lambda a, b: a * b),
    "multiply by gates": (nn.Multiply, [(2, 4, 4, 3), (2, 1, 1, 3)], lambda a, b: a * b),
}


@pytest.mark.parametrize("as_list", [True, False])
@pytest.mark.parametrize("name", MERGES)
def test_merge(name, as_list, rng):
    make, shapes, reference = MERGES[name]
    xs = [rng.standard_normal(s).astype("float32") for s in shapes]
    y = make()(xs) if as_list else make()(*xs)
    np.testing.assert_array_equal(y.numpy(), reference(*xs))


@pytest.mark.parametrize("name", MERGES)
def test_merge_has_gradients(name, rng):
    make, shapes, _ = MERGES[name]
    xs = [pynn.tensor(rng.standard_normal(s), requires_grad=True) for s in shapes]
    layer = make()
    cotangent = rng.standard_normal(layer(xs).shape)
    ops.sum(layer(xs) * pynn.tensor(cotangent)).backward()
    step = 1e-6
    for i, x in enumerate(xs):
        moved = [t.numpy() for t in xs]
        moved[i] = moved[i] + step
        change = ((layer(*map(pynn.tensor, moved)).numpy() - layer(xs).numpy()) * cotangent).sum() / step
        np.testing.assert_allclose(x.grad.numpy().sum(), change, rtol=1e-4, atol=1e-6)


BAD_MERGES = [
    (lambda: nn.Concatenate(0), ValueError, r"\[concatenate\] expected axis.*Received: axis=0"),
    (lambda: nn.Concatenate(1.5), ValueError, r"axis=1\.5"),
    (lambda: nn.Concatenate()([A]), ValueError, r"(?s)\[concatenate\] expected at least two.*Received: 1.*help:"),
    (lambda: nn.Add()([]), ValueError, r"\[add\] expected at least two inputs. Received: 0"),
    (lambda: nn.Add()(A), ValueError, r"\[add\] expected at least two inputs. Received: 1"),
    (lambda: nn.Add()(A, B), ShapeError, r"\[add\] expected inputs of one shape.*\(9, 4\), \(9, 5\)"),
    (lambda: nn.Multiply()(A, A[None].copy()), ShapeError, r"\[multiply\] expected inputs of one shape"),
    (lambda: nn.Concatenate(2)([A, B]), ShapeError, r"\[concatenate\] expected inputs that have axis 2"),
    (lambda: nn.Concatenate(1)([A, B[:4].copy()]), ShapeError, r"sizes agree on all axes but 1.*\(9, 4\), \(4, 5\)"),
    (lambda: nn.Concatenate()([A, A[None].copy()]), ShapeError, r"sizes agree on all axes"),
]


@pytest.mark.parametrize("case", range(len(BAD_MERGES)))
def test_bad_merge_is_refused(case):
    make, error, message = BAD_MERGES[case]
    with pytest.raises(error, match=message):
        make()
