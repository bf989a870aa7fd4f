"""Pooling of squares, and the decoder that is tied to a convolution of unshared weights."""

import numpy as np
import pytest
from onnx_chains import Tied

import pynn
from pynn import nn, ops, testing
from pynn.errors import ShapeError


def test_l2_pooling_ignores_signs_and_keeps_scale(rng):
    x = rng.standard_normal((2, 9, 7, 3)).astype("float32")
    signs = np.sign(rng.standard_normal(x.shape)).astype("float32")
    layer = nn.L2Pool2D((3, 2), strides=1)
    y = layer(x).numpy()
    np.testing.assert_array_equal(layer(x * signs).numpy(), y)
    np.testing.assert_allclose(layer(3 * x).numpy(), 3 * y, rtol=1e-4)
    window = x[0, 2:5, 4:6, 1]
    np.testing.assert_allclose(y[0, 2, 4, 1], np.sqrt((window**2).mean() + 1e-6), rtol=1e-6)


def test_l2_pooling_of_nothing_has_a_slope():
    x = pynn.tensor(np.zeros((1, 4, 4, 1), "float32"), requires_grad=True)
    ops.l2_pool2d(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 0)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((2, 6, 5, 3), {"kernel_size": (3, 2)}),
        ((2, 7, 6, 2), {"kernel_size": 3, "strides": (2, 1), "padding": "same"}),
        ((1, 8, 8, 1), {"kernel_size": 2, "strides": 3}),
        ((40, 5, 5, 2), {"kernel_size": 3, "padding": 1}),
    ],
)
def test_the_transpose_is_the_adjoint(shape, settings, rng):
    layer = nn.LocallyConnected2D(4, use_bias=False, **settings).astype("float64")
    x = rng.standard_normal(shape)
    y = layer(x).numpy()
    z = rng.standard_normal(y.shape)
    np.testing.assert_allclose((layer.transpose(z).numpy() * x).sum(), (z * y).sum(), rtol=1e-10)


def test_tied_weights_get_both_gradients(rng):
    x = rng.standard_normal((2, 5, 4, 2))
    w = rng.standard_normal((12, 8, 3))

    def loss(w, x):
        y = ops.locally_connected2d(x, w, None, 2)
        return (ops.locally_connected2d_transpose(y, w, (5, 4), 2) - x).square().sum()

    testing.gradcheck(loss, [w, x])


def test_second_derivative_of_the_transpose(rng):
    w = rng.standard_normal((12, 8, 3))

    def loss(x):
        y = ops.locally_connected2d_transpose(x, w, (5, 4), 2)
        return (y * y * y).sum()

    x = rng.standard_normal((2, 4, 3, 3))
    v = rng.standard_normal(x.shape)
    testing.gradcheck(lambda x: (pynn.grad(loss)(x) * v).sum(), [x])


def test_a_tied_autoencoder_learns(rng):
    x = rng.standard_normal((32, 2)).astype("float32") @ rng.standard_normal((2, 6 * 6)).astype("float32")
    x = x.reshape(32, 6, 6, 1)

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.LocallyConnected2D(2, 3, use_bias=False)

        def forward(self, x):
            return self.layer.transpose(self.layer(x))

    model = Linear()
    model.compile(pynn.optim.Adam(0.01), "mse", seed=0)
    history = model.fit(x, x, batch_size=8, epochs=60, verbose=0)
    assert history.history["loss"][-1] < 0.05 * history.history["loss"][0]


def test_a_transpose_before_its_layer_is_refused(rng):
    with pytest.raises(ShapeError, match=r"\[locally_connected2d\] expected a layer that has seen images"):
        nn.LocallyConnected2D(2, 3).transpose(np.ones((1, 4, 4, 2), "float32"))
    tied = Tied(nn.LocallyConnected2D(2, 3))
    tied(np.ones((1, 6, 6, 1), "float32"))
    with pytest.raises(ShapeError, match=r"weights \(9, 9 \* channels, 2\)"):
        tied.layer.transpose(np.ones((1, 3, 3, 2), "float32"))
