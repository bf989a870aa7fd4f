"""Which rows of a table a step touches: no call of anything pays for the others, and nothing stale is left in them."""

import ctypes

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core.card import CARDS
from pynn.core.graph import execute


def unseen(tensor):
    """Return the memory of a tensor as an array of which the library does not know."""
    memory = (ctypes.c_float * tensor.size).from_address(tensor.buffer.address)
    return np.ctypeslib.as_array(memory).reshape(tensor.shape)


SMALL = {
    "sparse sgd": (True, lambda: pynn.optim.SGD(0.1)), "dense sgd": (False, lambda: pynn.optim.SGD(0.1)),
    "sparse adam": (True, lambda: pynn.optim.Adam(0.1)), "sparse momentum": (True, lambda: pynn.optim.SGD(0.1, 0.9)),
}  # fmt: skip


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("name", list(SMALL))
def test_no_call_touches_the_rows_that_are_not_looked_up(name, eagerly):
    """Neither their gradient nor their weights, whichever call trains: what is hidden there is still there."""
    sparse, optimizer = SMALL[name]
    model = nn.Sequential([nn.Embedding(500, 6, sparse=sparse), nn.Flatten(), nn.Dense(2)])
    model.compile(optimizer(), "cross_entropy", seed=0, run_eagerly=eagerly)
    x, y = np.arange(40).reshape(10, 4), np.arange(10) % 2
    model.fit(x, y, batch_size=4, verbose=0)
    table, gradient = model.layers[0].w, model._trainer.flat.into[id(model.layers[0].w)]
    hidden = unseen(gradient)
    hidden[100:] = 3.0
    before = table.numpy()
    step = model.train_fn()
    for _ in range(3):
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
        model.train_on_batch(x[:4], y[:4])
        step(x[:4], y[:4])
        pynn.train.steps(model, x, y, 4).run(2)
    assert (hidden[100:] == 3.0).all()
    assert not hidden[40:100].any()
    assert np.array_equal(table.numpy()[40:], before[40:])


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("call", ["fit", "train_on_batch"])
def test_what_others_write_to_a_gradient_is_cleared(call, eagerly):
    """While an array on its memory is there, and after it, nobody knows which rows it has."""
    model = nn.Sequential([nn.Embedding(50, 6, sparse=True), nn.Flatten(), nn.Dense(2)])
    model.compile(pynn.optim.SGD(0.1, clip_norm=1.0), "cross_entropy", seed=0, run_eagerly=eagerly)
    x, y = np.arange(16).reshape(4, 4), np.arange(4) % 2

    def train():
        if call == "fit":
            model.fit(x, y, batch_size=4, verbose=0)
        else:
            model.train_on_batch(x, y)

    train()
    gradient = model._trainer.flat.into[id(model.layers[0].w)]
    for kept in (True, False):
        held = gradient.view()
        held[20:] = 5.0
        if not kept:
            del held
        for _ in range(3):
            train()
            assert not unseen(gradient)[20:].any()


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_hook_may_write_to_every_row(eagerly):
    """As one that adds up the gradients of several processes does: rows that were looked up elsewhere move too."""

    one = pynn.tensor(np.ones(1, "float32"))

    def everywhere(grads):
        execute(CARDS["add"], (grads, one), out=(grads,))

    model = nn.Sequential([nn.Embedding(10, 2), nn.Flatten(), nn.Dense(2)])
    model.compile(pynn.optim.SGD(0.5), "cross_entropy", seed=0, run_eagerly=eagerly)
    model.build((1, 2))
    model._trainer.before_update.append(everywhere)
    before = model.layers[0].w.numpy()
    x = np.array([[0, 1], [1, 2]])
    model.fit(np.tile(x, (3, 1)), np.arange(6) % 2, batch_size=2, verbose=0)
    assert np.allclose(model.layers[0].w.numpy()[3:], before[3:] - 1.5)
