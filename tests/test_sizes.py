"""Sizes beyond reason, negative ones, NumPy's integers: refused in a moment, or taken as what they say."""

import numpy as np
import pytest

from pynn import ops
from pynn.core.card import CARDS
from pynn.core.graph import execute
from pynn.core.tensor import Tensor
from pynn.ops import shape as shapes
from pynn.ops.window import Window

X = np.ones((2, 6, 6, 4), "float32")
W = np.ones((3, 3, 4, 4), "float32")
HUGE = (2**31, 2**61, 2**63, 2**80)


@pytest.mark.parametrize("size", HUGE)
@pytest.mark.parametrize("key", ["strides", "dilation", "padding"])
@pytest.mark.parametrize("op", [ops.conv2d, ops.conv2d_transpose])
def test_convolutions_refuse_what_leaves_64_bits(op, key, size):
    with pytest.raises(ValueError, match=r"Received"):
        op(X, W, **{key: size})


@pytest.mark.parametrize("size", HUGE)
@pytest.mark.parametrize("op", [ops.max_pool2d, ops.avg_pool2d])
def test_pools_refuse_what_leaves_64_bits(op, size):
    for key in ("strides", "padding"):
        with pytest.raises(ValueError, match=r"Received"):
            op(X, 2, **{key: size})
    with pytest.raises(ValueError, match=r"Received"):
        op(X, size)


def test_padding_beyond_memory_is_refused():
    with pytest.raises(ValueError, match="fit into memory"):
        ops.conv2d(X, W, padding=2**30)


@pytest.mark.parametrize("groups", [0, -1, 2, 3, 1000, 2**40])
def test_transposed_convolutions_check_groups(groups):
    with pytest.raises(ValueError, match=r"groups|expected weights"):
        ops.conv2d_transpose(X, np.ones((3, 3, 1, 7), "float32"), groups=groups)
    with pytest.raises(ValueError, match="groups that divide"):
        ops.conv2d_transpose(X, np.ones((3, 3, 2, 4), "float32"), groups=3)


def test_transposed_convolutions_have_pixels():
    for more in ({"padding": 64}, {"size": (0, 3)}, {"size": (-4, 8)}, {"size": (2**40, 8)}):
        with pytest.raises(ValueError, match="Received"):
            ops.conv2d_transpose(X, W, **more)


def test_a_stride_past_a_single_window_costs_nothing():
    """Kernels walk over the zeros between the windows: a stride of 10**9 took for ever."""
    x = Tensor.state(np.ones((1, 3, 3, 2), "float32"))
    w = Tensor.state(np.ones((3, 3, 2, 2), "float32"))
    x.requires_grad = w.requires_grad = True
    for stride in (1, 7, 10**9, 2**31 - 1):
        y = ops.conv2d(x, w, strides=stride)
        y.sum().backward()
        assert y.numpy().ravel().tolist() == [18, 18]
        assert x.grad.numpy().ravel().tolist() == [2.0] * 18
        assert w.grad.numpy().ravel().tolist() == [1.0] * 36
    one = Tensor.state(np.ones((1, 1, 1, 2), "float32"))
    assert ops.conv2d_transpose(one, w, strides=10**9).shape == (1, 3, 3, 2)


@pytest.mark.parametrize("shape", [(-1, 3), (-1, -3), (2, -1), (2**40, 2**40), (2**62, 4)])
def test_tensors_of_impossible_shapes_are_refused(shape):
    for make in (ops.zeros, lambda s: ops.uniform(s, 0), lambda s: ops.normal(s, 0)):
        with pytest.raises(ValueError, match="Received"):
            make(shape)
    with pytest.raises(ValueError, match=r"."):
        ops.ones(shape)


def test_numpy_integers_do_not_wrap_round():
    """uint8 paddings of 200 + 200 pixels, shapes of int16."""
    wide = ops.pad2d(np.ones((1, 1, 1, 1), "float32"), tuple(np.uint8([200, 200, 0, 0])))
    assert wide.shape == (1, 401, 1, 1)
    assert wide.numpy().sum() == 1
    assert ops.zeros(tuple(np.int16([300, 300]))).shape == (300, 300)
    assert ops.zeros((np.int8(100), np.int8(100))).size == 10_000
    window = Window(tuple(np.int8([1, 1])), tuple(np.int8([100, 100])), tuple(np.uint8([150, 150, 150, 150])))
    assert execute(ops.conv2d.__globals__["CONV"], (Tensor.state(X), Tensor.state(W), None), {"window": window})[
        0
    ].shape == (2, 106, 106, 4)
    assert ops.upsample2d(X, np.int8(100)).shape == (2, 600, 600, 4)


def test_results_are_not_written_where_there_is_no_room():
    x = Tensor.state(np.ones((4, 4), "float32"))
    for out in (Tensor.state(np.zeros((2, 2), "float32")), Tensor.state(np.zeros((4, 4)))):
        with pytest.raises(ValueError, match="expected memory of shape"):
            ops.add(x, x, out=out)
    with pytest.raises(ValueError, match="expected memory of shape"):
        shapes.zeros((4, 4), out=Tensor.state(np.zeros((1, 4), "float32")))


@pytest.mark.parametrize("wrong", [5, -6, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_gradients_by_hand_do_not_write_outside(dtype, wrong):
    x, dy = Tensor.state(np.ones((5, 3), "float32")), Tensor.state(np.ones((2, 3), "float32"))
    index = Tensor.state(np.array([0, wrong], dtype))
    with pytest.raises(IndexError):
        execute(CARDS["take.grad"], (dy, index, x), {"axis": 0})
    q, dl = Tensor.state(np.ones((2, 5), "float32")), Tensor.state(np.ones(2, "float32"))
    with pytest.raises((IndexError, ValueError)):
        execute(CARDS["cross_entropy_probs.grad"], (q, index, dl))
