"""Normalizing layers against PyTorch, and the state of batch normalization."""

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core.context import training


def _compare(torch, ours, theirs, x, parameters, rng):
    """Compare values and gradients of ours(x, *parameters) [N, H, W, C] with theirs on [N, C, H, W]."""
    leaves = [torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)]
    leaves += [torch.tensor(p, requires_grad=True) for p in parameters]
    given = [pynn.tensor(a, requires_grad=True) for a in (x, *parameters)]
    expected, y = theirs(*leaves), ours(*given)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-10, atol=1e-10)
    dy = rng.standard_normal(y.shape)
    y.backward(dy)
    expected.backward(torch.tensor(dy.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(
        given[0].grad.numpy(), leaves[0].grad.numpy().transpose(0, 2, 3, 1), rtol=1e-9, atol=1e-10
    )
    for mine, other in zip(given[1:], leaves[1:], strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), other.grad.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (2, 1, 1, 6), (40, 9, 9, 6)])
def test_normalization_equals_torch(shape, rng):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, gamma, beta = 3 + rng.standard_normal(shape), rng.standard_normal(shape[3]), rng.standard_normal(shape[3])
    _compare(
        torch,
        lambda x, g, b: ops.batch_norm(x, g, b, training=True, epsilon=1e-3),
        lambda x, g, b: functional.batch_norm(x, None, None, g, b, True, 0.1, 1e-3),
        x,
        (gamma, beta),
        rng,
    )
    _compare(
        torch,
        lambda x, g, b: ops.group_norm(x, 3, g, b, epsilon=1e-3),
        lambda x, g, b: functional.group_norm(x, 3, g, b, 1e-3),
        x,
        (gamma, beta),
        rng,
    )
    _compare(
        torch,
        lambda x, g, b: ops.layer_norm(x, g, b, epsilon=1e-3),
        lambda x, g, b: functional.layer_norm(x.permute(0, 2, 3, 1), g.shape, g, b, 1e-3).permute(0, 3, 1, 2),
        x,
        (gamma, beta),
        rng,
    )
    _compare(
        torch,
        lambda x: ops.local_response_norm(x, 2, 2.0, 0.1, 0.75),
        lambda x: functional.local_response_norm(x, 5, 0.1 * 5, 0.75, 2.0),
        x,
        (),
        rng,
    )


def test_statistics_do_not_cancel():
    x = (1e4 + np.random.default_rng(0).standard_normal((4000, 3))).astype("float32")
    y = ops.batch_norm(x, training=True, epsilon=0.0).numpy()
    assert np.abs(y.mean(0)).max() < 3e-3
    assert np.abs(y.std(0) - 1).max() < 1e-3


def test_running_statistics_follow_the_batch(rng):
    layer = nn.BatchNormalization(momentum=0.9)
    x = (2 + 3 * rng.standard_normal((16, 4, 4, 5))).astype("float32")
    before = layer(x).numpy()
    np.testing.assert_allclose(before, x / np.sqrt(1 + 1e-3), rtol=1e-5)
    assert layer.moving_mean.numpy().tolist() == [0] * 5
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean.numpy(), 0.1 * x.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-4)
    assert not layer.moving_mean.requires_grad
    assert len(layer.parameters()) == 2
    assert len(layer.get_weights()) == 4


def test_batch_norm_state_is_the_same_eager_and_as_a_program_and_survives_a_copy(rng):
    x, y = rng.standard_normal((50, 6, 6, 2)).astype("float32"), rng.integers(0, 3, 50)
    weights = []
    for eager in (True, False):
        model = _small()
        model.compile("adam", "cross_entropy", seed=5, run_eagerly=eager)
        model.fit(x, y, batch_size=16, epochs=3, verbose=0)
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        assert a.tobytes() == b.tobytes()
    other = _small()
    other.set_weights(weights[0])
    np.testing.assert_array_equal(other.predict(x), model.predict(x))


def _small():
    return nn.Sequential(
        [
            nn.Input((6, 6, 2)),
            nn.Conv2D(4, 3),
            nn.BatchNormalization(),
            nn.Activation("relu"),
            nn.Flatten(),
            nn.Dense(3),
        ]
    )


def test_a_frozen_batch_norm_normalizes_by_its_running_statistics(rng):
    layer = nn.BatchNormalization()
    x = rng.standard_normal((8, 3)).astype("float32")
    layer(x)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True).numpy(), layer(x).numpy())
    assert layer.moving_mean.numpy().tolist() == [0, 0, 0]


def test_layer_normalization_over_several_axes(rng):
    x = rng.standard_normal((3, 4, 5, 2)).astype("float32")
    layer = nn.LayerNormalization(axis=(1, 2, 3), epsilon=1e-6)
    y = layer(x).numpy()
    assert layer.gamma.shape == (4, 5, 2)
    np.testing.assert_allclose(y.mean((1, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(y.std((1, 2, 3)), 1, rtol=1e-4)


def test_local_contrast_of_a_flat_image_is_zero():
    assert np.abs(ops.local_contrast_norm(np.full((1, 12, 9, 3), 0.7), 5).numpy()).max() < 1e-10


def test_spatial_dropout_drops_whole_maps(rng):
    x = np.ones((4, 5, 5, 8), "float32")
    y = nn.SpatialDropout2D(0.5, seed=1)(x, training=True).numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    assert set(np.unique(y)) == {0.0, 2.0}


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda x: nn.GroupNormalization(4)(x), r"groups that divide the channels.*groups=4"),
        (lambda x: nn.LayerNormalization(axis=1)(x), r"the last axes"),
        (lambda x: nn.BatchNormalization(momentum=2.0), r"momentum to be a number in \[0, 1\]"),
        (lambda x: nn.LocalContrastNormalization(4), r"odd window"),
        (lambda x: nn.SpatialDropout2D(0.5)(x[0], training=True), r"\[N, H, W, C\]"),
        (lambda x: ops.batch_norm(x), r"running_mean and running_var"),
    ],
    ids=range(6),
)
def test_errors(call, pattern):
    with pytest.raises(ValueError, match=pattern):
        call(np.ones((2, 5, 5, 6), "float32"))


def test_a_batch_of_one_value_per_channel_is_warned_of_once():
    model = nn.Sequential([nn.Input((3,)), nn.BatchNormalization(), nn.Dense(2)], seed=0)
    model.compile("sgd", "cross_entropy")
    x, y = np.random.default_rng(0).normal(size=(9, 3)).astype("float32"), np.zeros(9, int)
    with pytest.warns(RuntimeWarning, match=r"\[batchnormalization\] met a batch with one value.*help: ") as seen:
        model.fit(x, y, batch_size=4, epochs=2, verbose=0)
    assert len(seen) == 1
    layer = nn.BatchNormalization()
    layer(np.ones((1, 4, 4, 3), "float32"), training=True)  # 16 values per channel
    layer(np.ones((1, 3), "float32"))  # not training
    layer.trainable = False
    layer(np.ones((1, 3), "float32"), training=True)


def test_the_moving_variance_is_divided_by_the_number_of_values(rng):
    layer = nn.BatchNormalization(momentum=0.0)
    x = rng.normal(size=(5, 3)).astype("float32")
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_variance.numpy(), x.var(0), rtol=1e-5)


@pytest.mark.parametrize(("shape", "groups"), [((5000, 3), None), ((90, 9, 8, 41), None), ((3, 60, 50, 8), 2)])
def test_gradients_of_many_rows_are_those_of_the_equations(shape, groups, rng):
    """Statistics and gradients are joined from parts of the rows: each row counts once."""
    layer = nn.BatchNormalization() if groups is None else nn.GroupNormalization(groups)
    slope = np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1)) / shape[0]  # rows that can be told apart
    x, dy = ((rng.standard_normal(shape) * k + slope).astype("float32") for k in (2, 1))
    given = pynn.tensor(x, requires_grad=True)
    with training(True):
        layer(given).backward(dy)

    def parts(a):  # [what is normalized by itself, its numbers, channels or 1]
        a = a.astype("float64")
        if groups is None:
            return a.reshape(1, -1, shape[-1])
        return np.moveaxis(a.reshape(shape[0], -1, groups, shape[-1] // groups), 2, 1).reshape(shape[0] * groups, -1, 1)

    x, dy, dx = parts(x), parts(dy), parts(given.grad.numpy())
    spread = np.sqrt(x.var(1, keepdims=True) + layer.epsilon)
    hat = (x - x.mean(1, keepdims=True)) / spread
    expected = (dy - dy.mean(1, keepdims=True) - hat * (dy * hat).mean(1, keepdims=True)) / spread
    np.testing.assert_allclose(dx, expected, rtol=1e-3, atol=1e-5)
