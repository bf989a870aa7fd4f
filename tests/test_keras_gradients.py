"""K.gradients: of symbols, which K.function and models compute, and of tensors inside a Lambda."""

import numpy as np
import pytest

from pynn import keras
from pynn.keras import backend as K
from pynn.keras import layers


def network():
    image = keras.Input((8, 8, 3))
    maps = layers.Conv2D(4, 3, activation="tanh")(image)
    return image, maps, layers.MaxPooling2D(2)(maps)


def test_derivatives_by_an_input_are_those_of_differences():
    image, maps, _ = network()
    loss = K.mean(maps[:, :, :, 1])
    compute = K.function([image], [loss, K.gradients(loss, image)[0]])
    at = np.random.default_rng(0).random((1, 8, 8, 3), np.float32)
    _, slope = compute([at])
    assert slope.shape == at.shape
    for k in np.random.default_rng(1).integers(0, at.size, 12):
        step = np.zeros(at.size, np.float32)
        step[k] = 0.02
        step = step.reshape(at.shape)
        difference = (compute([at + step])[0] - compute([at - step])[0]) / 0.04
        assert slope.flat[k] == pytest.approx(difference, abs=2e-4)


def test_derivatives_by_what_lies_between_and_further_arithmetic():
    image, maps, pooled = network()
    [slope] = K.gradients(K.sum(pooled), maps)
    assert slope.shape == (None, 6, 6, 4)
    found = K.function([image], slope / K.sqrt(K.sum(K.square(slope))))([np.random.rand(2, 8, 8, 3)])
    assert np.square(found).sum() == pytest.approx(1)
    assert len(np.unique(found)) == 2  # one place of each window


def test_where_pooling_found_its_largest_is_a_layer_that_trains_and_predicts():
    """As networks do that unpool at the places which pooling chose."""
    image, maps, pooled = network()
    where = layers.Lambda(lambda both: K.gradients(K.sum(both[1]), both[0])[0])([maps, pooled])
    unpooled = layers.Multiply()([where, layers.UpSampling2D(2)(pooled)])
    model = keras.Model(image, layers.Dense(1)(layers.Flatten()(unpooled)))
    model.compile("adam", "mse")
    x, y = np.random.default_rng(2).random((32, 8, 8, 3), np.float32), np.zeros((32, 1), np.float32)
    losses = model.fit(x, y, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    chosen = keras.Model(image, where).predict(x[:2], verbose=0)
    assert set(np.unique(chosen)) == {0.0, 1.0}
    assert chosen.sum() == 2 * 3 * 3 * 4


def test_variables_and_losses_that_have_nothing_to_do_with_each_other_are_named():
    image, maps, _ = network()
    with pytest.raises(ValueError, match=r"\[gradients\] expected variables that the loss depends on"):
        K.gradients(K.sum(image), maps)
    with pytest.raises(TypeError, match=r"\[gradients\] expected symbols, or tensors, throughout"):
        K.gradients(K.sum(maps), K.variable([1.0]))
    with pytest.raises(TypeError, match=r"\[gradients\] expected symbols or tensors. Received: int, int"):
        K.gradients(1, 2)


def test_sizes_that_are_open_are_symbols():
    _, maps, _ = network()
    rows = K.placeholder((None, 5))
    size = K.prod(K.cast(K.shape(rows), "float32"))
    assert K.function([rows], [size])([np.zeros((3, 5))])[0] == 15
    assert K.shape(maps)[1:] == (6, 6, 4)
    assert K.int_shape(maps) == (None, 6, 6, 4)


def test_variables_take_part_in_arithmetic_of_symbols():
    x = K.placeholder((None,))
    start = K.variable(2.0)
    for symbol, expected in (
        (start + x, 5), (start - x, -1), (start * x, 6), (start / x, 2 / 3), (start**x, 8), (start < x, True)
    ):  # fmt: skip
        assert K.function([x], [symbol])([np.array([3.0])])[0] == pytest.approx(expected)


def test_an_input_of_fixed_values_needs_none():
    given, masks = keras.Input((3,)), keras.Input(tensor=K.variable([[1.0, 0.0, 2.0]]))
    assert masks.shape == (1, 3)
    weighted = layers.Multiply()([given, masks])
    found = K.function([given], [weighted, K.gradients(K.sum(weighted), given)[0]])([np.full((1, 3), 5.0)])
    np.testing.assert_array_equal(found, [[[5, 0, 10]], [[1, 0, 2]]])
    alone = keras.Model(masks, layers.ReLU()(masks))  # a model is given them again
    np.testing.assert_array_equal(alone.predict(-np.ones((1, 3)), verbose=0), np.zeros((1, 3)))


def test_an_input_on_a_symbol_is_where_a_model_begins():
    x = keras.Input((4,))
    doubled = keras.Input(tensor=x * 2)
    model = keras.Model(doubled, layers.Activation("tanh", name="squashed")(doubled))
    assert len(model.layers) == 2
    found = K.function([x], [model.output])([np.full((1, 4), 0.5)])
    np.testing.assert_allclose(found[0], np.tanh(np.ones((1, 4))), rtol=1e-6)


def test_functions_see_what_variables_hold_now():
    x, scale = K.placeholder((None, 2)), K.variable(2.0)
    compute = K.function([x], [x * scale, K.sum(x)])
    rows = np.arange(80.0).reshape(40, 2)  # all at once: the sum is over more than a batch of 32
    for value in (2.0, 5.0, -1.0):
        K.set_value(scale, value)
        scaled, total = compute([rows])
        np.testing.assert_array_equal(scaled, value * rows)
        assert total == rows.sum()


def test_functions_draw_anew_at_each_call():
    x = K.placeholder((None, 3))
    compute = K.function([x], layers.Lambda(lambda rows: rows + K.random_normal((1, 3)))(x))
    first, second = (compute([np.zeros((2, 3))]) for _ in range(2))
    assert np.ptp(first, axis=0).max() == 0
    assert not np.array_equal(first, second)
