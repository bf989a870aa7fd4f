"""keras.ops and keras.backend beside NumPy, on values and on symbols."""

import numpy as np
import pytest

from pynn import keras
from pynn.keras import backend as K
from pynn.keras import ops

ONE = "abs exp expm1 square negative sin cos tan sinh cosh floor ceil sign isnan isfinite round logical_not"
POSITIVE = "log log1p log2 log10 sqrt reciprocal"
TWO = ("add subtract multiply divide maximum minimum equal not_equal less greater less_equal greater_equal mod "
       "floor_divide logical_and logical_or logical_xor outer")  # fmt: skip
REDUCE = "sum mean max min var std prod any all count_nonzero"


@pytest.fixture
def x(rng):
    return rng.normal(size=(3, 4)).astype("f")


@pytest.fixture
def a(rng):
    return rng.normal(size=(2, 3, 4, 5)).astype("f")


def same(found, wanted):
    found = np.asarray(found)
    assert found.shape == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", [*ONE.split(), *POSITIVE.split()])
def test_functions_of_one(name, x):
    x = np.abs(x) if name in POSITIVE.split() else x
    same(getattr(ops, name)(x), getattr(np, name)(x))


@pytest.mark.parametrize("name", TWO.split())
def test_functions_of_two(name, x, rng):
    y = rng.normal(size=(3, 4)).astype("f")
    same(getattr(ops, name)(x, y), getattr(np, name)(x, y))


@pytest.mark.parametrize("name", REDUCE.split())
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), [1, 2]])
def test_reductions(name, axis, a):
    a = np.where(a > 0.5, 0, a)
    axes = tuple(axis) if isinstance(axis, list) else axis
    same(getattr(ops, name)(a, axis), getattr(np, name)(a, axis=axes))
    same(getattr(ops, name)(a, axis, keepdims=True), getattr(np, name)(a, axis=axes, keepdims=True))


MOVES = {
    "moveaxis": [(1, -1), ((0, 1), (2, 0))],
    "flip": [(1,), ((1, 2),), ()],
    "tile": [((2, 1, 3),), (2,)],
    "pad": [([(0, 0), (1, 2), (0, 0), (3, 0)],)],
    "cumsum": [(1,), (-1,)],
    "sort": [(1,)],
    "argsort": [(-1,)],
    "swapaxes": [(0, 2)],
    "argmax": [(1,), ()],
    "argmin": [(-1,)],
    "expand_dims": [(1,), ((0, 2),)],
    "transpose": [((2, 0, 1, 3),), ()],
    "ravel": [()],
    "reshape": [((6, -1),)],
    "broadcast_to": [((2, 2, 3, 4, 5),)],
    "clip": [(-0.5, 0.5)],
    "tril": [(1,)],
    "triu": [()],
}


@pytest.mark.parametrize(("name", "args"), [(name, args) for name, several in MOVES.items() for args in several])
def test_moves(name, args, a):
    same(getattr(ops, name)(a, *args), getattr(np, name)(a, *args))


def test_choices_and_products(a, x, rng):
    index = np.argsort(a, 2)[:, :, :2]
    same(ops.take_along_axis(a, index, 2), np.take_along_axis(a, index, 2))
    same(ops.take(a, [0, 2], 1), np.take(a, [0, 2], 1))
    same(ops.repeat(a, 3, 1), np.repeat(a, 3, 1))
    same(ops.where(a > 0, a, 0.0), np.where(a > 0, a, 0))
    same(ops.stack([x, x], 1), np.stack([x, x], 1))
    same(ops.split(a, 2, 2)[1], np.split(a, 2, 2)[1])
    same(ops.split(a, [1, 3], 3)[2], np.split(a, [1, 3], 3)[2])
    b = rng.normal(size=(6, 4, 5, 7)).astype("f")
    same(ops.dot(a, b), np.dot(a, b))
    same(ops.matmul(a, b[0, 0]), a @ b[0, 0])
    same(ops.matmul(a[:1], b[:1, :3]), a[:1] @ b[:1, :3])
    c = rng.normal(size=(4, 5, 3)).astype("f")
    same(ops.tensordot(a, c, 2), np.tensordot(a, c, 2))
    same(ops.tensordot(a, c, ([3, 1], [1, 2])), np.tensordot(a, c, ([3, 1], [1, 2])))
    same(ops.norm(x, axis=1), np.linalg.norm(x, axis=1))
    same(ops.logsumexp(x, 1), np.log(np.exp(x).sum(1)))
    values, where = ops.top_k(x, 2)
    same(values, np.sort(x, 1)[:, :-3:-1])
    same(where, np.argsort(-x, 1)[:, :2])
    same(ops.one_hot([[1], [2]], 3), np.eye(3)[[[1], [2]]])
    same(ops.diag(ops.diag([1.0, 2.0])), [1, 2])
    assert ops.arange(3).dtype == np.int32
    assert ops.linspace(0, 1, 5).shape == (5,)


def test_kinds_of_numbers_go_together(x):
    assert ops.add(np.arange(4), x).dtype == np.float32, "whole numbers beside real ones become real"
    assert ops.multiply(np.arange(3), 2).dtype == np.int64
    assert ops.divide(np.arange(3), 2).dtype == np.float32
    assert ops.cast(x, "float16").dtype == np.float32, "there is no half precision"
    assert ops.cast(x, "int16").dtype == np.int32
    assert ops.sum(x.astype(np.float64)).dtype == np.float32
    with pytest.raises(TypeError, match="expected numbers"):
        ops.add(["a"], 1)


def test_cross_entropies(rng):
    p = rng.random((5, 4)).astype("f")
    p /= p.sum(1, keepdims=True)
    labels = np.array([0, 3, 1, 1, 2])
    wanted = -np.log(p[np.arange(5), labels])
    same(ops.categorical_crossentropy(np.eye(4)[labels], p), wanted)
    same(ops.sparse_categorical_crossentropy(labels, np.log(p), from_logits=True), wanted)
    same(K.sparse_categorical_crossentropy(labels[:, None], p), wanted)
    t = (p > 0.3).astype("f")
    same(ops.binary_crossentropy(t, p), -(t * np.log(p) + (1 - t) * np.log(1 - p)))
    z = np.log(p / (1 - p))
    same(ops.binary_crossentropy(t, z, from_logits=True), -(t * np.log(p) + (1 - t) * np.log(1 - p)))


def test_backend_of_old(a, x):
    same(K.batch_dot(a[:, 0], a[:, 0], axes=(1, 1)), np.einsum("nij,nik->njk", a[:, 0], a[:, 0]))
    same(K.batch_dot(x, x, 1), (x * x).sum(1, keepdims=True))
    same(K.permute_dimensions(x, (1, 0)), x.T)
    same(K.batch_flatten(a), a.reshape(2, -1))
    same(K.hard_sigmoid(x), np.clip(0.2 * x + 0.5, 0, 1))
    same(K.l2_normalize(x, axis=1), x / np.linalg.norm(x, axis=1, keepdims=True))
    same(K.temporal_padding(a[0], (1, 2)), np.pad(a[0], [(0, 0), (1, 2), (0, 0)]))
    same(K.resize_images(a, 2, 3, "channels_last"), a.repeat(2, 1).repeat(3, 2))
    v = K.variable(x)
    K.set_value(v, x * 2)
    same(K.get_value(K.update_add(v, x)), x * 3)
    assert (K.int_shape(x), K.ndim(x), K.count_params(v)) == ((3, 4), 2, 12)
    assert abs(float(K.mean(K.random_uniform((1000,)))) - 0.5) < 0.05
    assert K.image_dim_ordering() == "tf"
    same(K.gradients(K.sum(K.square(v)), v)[0], x * 6)


def test_function_of_symbols():
    inputs = keras.Input((4,))
    layer = keras.layers.Dense(3)
    out = layer(inputs)
    run = K.function([inputs, K.learning_phase()], [out, ops.relu(out)])
    x = np.ones((2, 4), "f")
    y, positive = run([x, 0])
    same(y, layer(x))
    same(positive, np.maximum(y, 0))


def test_symbols_have_the_shapes_of_values(a):
    inputs = keras.Input((3, 4, 5))
    for call in (
        lambda x: ops.mean(x, axis=(1, 2)),
        lambda x: ops.concatenate([x, x * 2], -1),
        lambda x: ops.transpose(x, (0, 2, 1, 3)),
        lambda x: K.softmax(K.sum(x, axis=-1, keepdims=True)),
        lambda x: K.batch_flatten(x),
        lambda x: ops.max(ops.square(x[:, 1:]), axis=1),
    ):
        symbol = call(inputs)
        model = keras.Model(inputs, symbol)
        assert symbol.shape == (None, *call(a).shape[1:])
        same(model(a), call(a))
    assert ops.shape(inputs) == (None, 3, 4, 5)


def test_settings_are_refused_where_there_is_no_such_thing():
    with pytest.raises(ValueError, match="did you mean 'channels_last'"):
        K.set_image_data_format("channel_last")
    with pytest.raises(ValueError, match="unknown value"):
        K.set_floatx("float16")
    with pytest.raises(AttributeError, match=r"not in pynn: keras\.backend\.sume; nearest: sum"):
        K.sume(1)


def test_losses_of_symbols_are_terms_of_a_model(rng):
    """As in a variational autoencoder: no loss in compile(), one that is computed from symbols."""
    x = rng.random((32, 6)).astype("f")
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(3, activation="tanh")(inputs)
    spread = keras.layers.Dense(3)(hidden)
    out = keras.layers.Dense(6)(hidden)
    model = keras.Model(inputs, out)
    term = K.mean(keras.losses.mean_squared_error(inputs, out) * 6 + K.sum(K.square(spread), axis=-1))
    model.add_loss(term)
    model.compile("adam")
    [first] = model.fit(x, batch_size=32, epochs=1, verbose=0).history["loss"]
    before = K.function([inputs], [term])([x])[0]
    assert model.fit(x, epochs=60, verbose=0).history["loss"][-1] < before < first * 1.01
    assert len(model.trainable_weights) == 6, "what the term needs is trained, too"
    assert model.predict(x, verbose=0).shape == (32, 6)


def test_merges_put_axes_where_there_are_fewer(rng):
    a, b = rng.random((4, 5)).astype("f"), rng.random((4, 3, 5)).astype("f")
    same(keras.layers.multiply([a, b]), a[:, None] * b)
    assert keras.layers.Add()([keras.Input((5,)), keras.Input((1, 5))]).shape == (None, 1, 5)


def test_rows_of_zeros_are_padding_to_a_cross_entropy(rng):
    x, y = rng.random((8, 3, 4)).astype("f"), np.zeros((8, 3, 5), "f")
    y[:, :2, 1] = 1
    model = keras.Sequential([keras.Input((3, 4)), keras.layers.Dense(5, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy")
    loss = model.evaluate(x, y, verbose=0)
    same(loss, -np.log(model.predict(x, verbose=0)[:, :2, 1]).sum() / 24)


def test_labels_of_a_binary_cross_entropy_may_be_noisy(rng):
    x, y = rng.random((8, 4)).astype("f"), np.linspace(-0.05, 1.1, 8).astype("f")[:, None]
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    p = model.predict(x, verbose=0)
    same(model.evaluate(x, y, verbose=0), np.mean(-(y * np.log(p) + (1 - y) * np.log(1 - p))))


def test_layers_use_symbols_that_stand_around_them():
    """As layers of losses did in Keras 2: what they compute with is not all given to them."""
    x = keras.Input((4,))
    mean, log_var = keras.layers.Dense(2)(x), keras.layers.Dense(2)(x)

    class Loss(keras.layers.Layer):
        def build(self, shapes):
            inner = keras.Input((3,))  # one that is made inside stays one
            self.inner = keras.Model(inner, inner * 2.0)
            assert self.inner.output_shape == (None, 3)

        def call(self, inputs):
            spread = K.mean(1.0 + log_var - K.square(mean) - K.exp(log_var), axis=-1)
            self.add_loss(K.mean(K.mean(K.square(inputs[0] - inputs[1]), -1) - 0.5 * spread))
            return inputs[0]

    decoded = keras.layers.Dense(4)(mean)
    model = keras.Model(x, Loss()([x, decoded]))
    model.compile("sgd", loss=None)
    rows = np.random.default_rng(0).normal(size=(9, 4)).astype("float32")
    w1, b1, w2, b2, w3, b3 = (w for layer in (mean, log_var, decoded) for w in layer.call.layer.get_weights())
    m, v = rows @ w1 + b1, rows @ w2 + b2
    wanted = ((rows - (m @ w3 + b3)) ** 2).mean(-1) - 0.5 * (1 + v - m**2 - np.exp(v)).mean(-1)
    assert model.evaluate(rows, verbose=0) == pytest.approx(wanted.mean(), rel=1e-5)
    scaled = keras.Model(x, keras.layers.Lambda(lambda t: t * mean)(log_var))
    np.testing.assert_allclose(scaled.predict(rows, verbose=0), v * m, rtol=1e-5)
    before = [w.copy() for w in log_var.call.layer.get_weights()]
    model.fit(rows, epochs=1, verbose=0)
    assert not np.array_equal(log_var.call.layer.get_weights()[0], before[0])
