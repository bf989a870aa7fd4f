"""Clipping, and penalties and constraints on weights."""

import numpy as np
import pytest

import pynn
from pynn import ops, optim, regularizers
from pynn.core import _core, config, program
from pynn.errors import ShapeError

# Clipping


def test_clip_value():
    p = pynn.tensor(np.zeros(5))
    optimizer = optim.SGD(1.0, clip_value=0.5).bind([p])
    p.grad = pynn.tensor(np.array([-3.0, -0.5, 0.1, 0.6, 1e30]))
    optimizer.step()
    np.testing.assert_array_equal(p.numpy(), [0.5, 0.5, -0.1, -0.5, -0.5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_norm_is_over_all_parameters(dtype):
    r = np.random.default_rng(0)
    grads = [r.normal(size=s).astype(dtype) for s in ((3, 4), (50_000,))]
    total = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in grads))
    for limit in (total / 3, total * 2):
        params = [pynn.tensor(np.zeros(g.shape, dtype)) for g in grads]
        optimizer = optim.SGD(1.0, clip_norm=float(limit)).bind(params)
        for p, g in zip(params, grads, strict=True):
            p.grad = pynn.tensor(g)
        optimizer.step()
        for p, g in zip(params, grads, strict=True):
            np.testing.assert_allclose(p.numpy(), -g * min(1.0, limit / total), rtol=1e-6, atol=0)


def test_clip_norm_leaves_gradients_with_nan_or_infinity():
    for bad in (np.nan, np.inf):
        g = pynn.tensor([1.0, bad, 3.0])
        ops.clip_norm(g, 0.1)
        np.testing.assert_array_equal(g.numpy(), np.float32([1.0, bad, 3.0]))


def test_clip_value_comes_before_clip_norm():
    p = pynn.tensor([0.0, 0.0])
    optimizer = optim.SGD(1.0, clip_value=1.0, clip_norm=1.0).bind([p])
    p.grad = pynn.tensor([100.0, 1.0])
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [-np.sqrt(0.5)] * 2, rtol=1e-6)


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("shape", [(3, 2), (7, 33), (2, 3, 5), (4, 100), (0, 3)])
def test_max_norm(shape, isa):
    w = np.random.default_rng(0).normal(size=shape).astype("float32") * 0.8
    norm = np.sqrt(np.square(w).sum(tuple(range(w.ndim - 1)), keepdims=True))
    t = pynn.tensor(w)
    with config.use_isa(isa):
        regularizers.MaxNorm(1.2).apply(t)
    np.testing.assert_allclose(t.numpy(), w * np.where(norm > 1.2, 1.2 / np.maximum(norm, 1e-30), 1), rtol=1e-6)


def test_max_norm_needs_columns():
    with pytest.raises(ShapeError, match=r"\[in, out\].*\(3,\)"):
        regularizers.MaxNorm(1.0).apply(pynn.tensor([1.0, 2.0, 3.0]))


# Regularizers


@pytest.mark.parametrize("regularizer", [regularizers.L1(0.3), regularizers.L2(0.2), regularizers.L1L2(0.3, 0.2)])
def test_penalty_and_its_gradient(regularizer):
    w = pynn.tensor(np.array([[1.0, -2.0], [0.0, 0.5]]), requires_grad=True)
    y = regularizer(w)
    y.backward()
    v = w.numpy()
    assert y.shape == ()
    np.testing.assert_allclose(y.item(), regularizer.l1 * np.abs(v).sum() + regularizer.l2 * (v * v).sum(), rtol=1e-12)
    np.testing.assert_allclose(w.grad.numpy(), regularizer.l1 * np.sign(v) + 2 * regularizer.l2 * v, rtol=1e-12)


def test_a_penalty_comes_last_and_adds_to_the_other_gradients():
    """One pass over the weights: no gradient of its own that is added afterwards."""
    w = pynn.tensor(np.array([[1.0, -2.0], [0.0, 0.5]]), requires_grad=True)
    with program.record() as recorder:
        loss = (w * w * w).sum() + regularizers.L2(0.2)(w) + regularizers.L1(0.3)(w)
        loss.backward()
    v = w.numpy()
    np.testing.assert_allclose(w.grad.numpy(), 3 * v * v + 0.4 * v + 0.3 * np.sign(v), rtol=1e-12)
    names = [instr.card.name for instr in recorder.instrs]
    assert names[-2:] == ["penalty.grad", "penalty.grad"]


def test_a_penalty_on_what_was_computed_flows_on():
    x = pynn.tensor(np.array([1.0, -2.0]), requires_grad=True)
    y = x * 3.0
    (y.sum() + regularizers.L2(0.5)(y)).backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * (1 + 3 * x.numpy()))


def test_regularizers_by_name():
    assert regularizers.get(None) is None
    assert regularizers.get("l1").l1 == 0.01
    assert (regularizers.get("l1_l2").l1, regularizers.get("l1_l2").l2) == (0.01, 0.01)
    with pytest.raises(ValueError, match=r"unknown regularizer.*did you mean 'l2'"):
        regularizers.get("l22")
    with pytest.raises(TypeError, match="name or a function"):
        regularizers.get(3)
    for bad in (-0.1, np.nan, np.inf, "0.1"):
        with pytest.raises(ValueError, match=r"l2 to be a finite number of at least 0"):
            regularizers.L2(bad)
    with pytest.raises(ValueError, match="limit to be a finite number above 0"):
        regularizers.MaxNorm(0)
