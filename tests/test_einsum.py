"""Sums of products by letters: NumPy's answers, gradients, and what is refused."""

import numpy as np
import pytest

import pynn
from pynn import ops
from pynn.errors import ShapeError

CASES = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("nqd,nkd->nqk", (2, 3, 4), (2, 5, 4)),
    ("nhqd,nkhd->nqkh", (2, 3, 4, 5), (2, 6, 3, 5)),
    ("ij,ij->", (3, 4), (3, 4)),
    ("i,j->ij", (3,), (4,)),
    ("i,j->ji", (3,), (4,)),
    ("ijk->kji", (2, 3, 4)),
    ("ijk->j", (2, 3, 4)),
    ("ba", (2, 3)),
    ("ij->", (3, 4)),
    ("ijk,jl,kl->il", (2, 3, 4), (3, 5), (4, 5)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)),
    ("abc,bd->d", (2, 3, 4), (3, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
    ("...ij,jk->...ik", (6, 2, 3, 4), (4, 5)),
    ("...i,...i->...", (2, 1, 4), (3, 4)),
    ("i...,i", (4, 2, 3), (4,)),
    ("n i , n i -> n", (5, 3), (5, 3)),
    ("ij,kl->ijkl", (2, 3), (4, 5)),
    ("ij,jk->ik", (3, 0), (0, 5)),
    (",ij->ij", (), (2, 3)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("...ii->...i", (2, 3, 3)),
    ("iji,jkj->ik", (3, 4, 3), (4, 2, 4)),
]


@pytest.mark.parametrize(("equation", "shapes"), [(c[0], c[1:]) for c in CASES], ids=[c[0] for c in CASES])
def test_values_and_gradients(equation, shapes, rng):
    arrays = [rng.normal(size=s) for s in shapes]
    tensors = [pynn.tensor(a, requires_grad=True) for a in arrays]
    y = ops.einsum(equation, *tensors)
    expected = np.einsum(equation, *arrays)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)
    dy = rng.normal(size=y.shape)
    y.backward(dy)
    for i, a in enumerate(arrays):  # the sum is linear in each operand
        way = rng.normal(size=a.shape)
        moved = np.einsum(equation, *(way if k == i else b for k, b in enumerate(arrays)))
        np.testing.assert_allclose((tensors[i].grad.numpy() * way).sum(), (moved * dy).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("equation", "shapes", "error", "message"),
    [
        ("ii->i", [(3, 4)], ShapeError, r"one size for 'i'.*3 and 4"),
        ("ij,jk->ik", [(3, 4)], ValueError, r"2 operands for 'ij,jk->ik'. Received: 1"),
        ("ij,jk->ik", [(3, 4), (5, 6)], ShapeError, r"one size for 'j'.*4 and 5"),
        ("ij,jk->ik", [(3, 1), (5, 6)], ShapeError, r"one size for 'j'.*1 and 5"),
        ("ij->ik", [(3, 4)], ValueError, r"letters of the operands"),
        ("ij->ijj", [(3, 4)], ValueError, r"each once"),
        ("ijk->i", [(3, 4)], ShapeError, r"axes 'ijk'. Received: one of shape \(3, 4\)"),
        ("i1->i", [(3, 4)], ValueError, r"as in 'ij,jk->ik'"),
        ("ij->i->j", [(3, 4)], ValueError, r"one '->'"),
        ("....ij->i", [(3, 4)], ShapeError, r"axes '....ij'"),
        (3, [(3, 4)], ValueError, r"equation=3"),
    ],
)
def test_what_is_refused(equation, shapes, error, message):
    with pytest.raises(error, match=message):
        ops.einsum(equation, *(np.ones(s) for s in shapes))


def test_integers_are_refused():
    with pytest.raises(pynn.errors.DTypeError, match=r"\[einsum\]"):
        ops.einsum("ij->i", np.ones((2, 3), int))


def test_eager_equals_the_program(rng):
    from pynn import nn

    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k = nn.Dense(6), nn.Dense(6)

        def forward(self, x):
            return ops.einsum("nqd,nkd->nqk", self.q(x), self.k(x))

    x, y = rng.normal(size=(20, 4, 5)).astype("float32"), rng.normal(size=(20, 4, 4)).astype("float32")
    weights = []
    for eager in (False, True):
        model = Scores()
        model.compile("sgd", "mse", seed=0, run_eagerly=eager)
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        weights.append(b"".join(w.tobytes() for w in model.get_weights()))
    assert weights[0] == weights[1]
