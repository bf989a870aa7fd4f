"""Predictions from several views of an image."""

import numpy as np
import pytest

from pynn import nn
from pynn.errors import ShapeError
from pynn.train import evaluate_views, predict_views

r = np.random.default_rng(0)
X = r.random((11, 8, 9, 2), np.float32)
Y = r.integers(0, 3, 11)
CORNERS = (1, 1), (0, 0), (0, 1), (2, 0), (2, 1)  # of crops of 6 x 8: middle first, rounded up


def small(shape, *first, head="softmax"):
    model = nn.Sequential([nn.Input(shape), *first, nn.Flatten(), nn.Dense(3, activation=head)], seed=1)
    model.compile("sgd", "cross_entropy", ["accuracy"], seed=0)
    return model


def by_hand(model, flips=True):
    views = [X[:, top : top + 6, left : left + 8] for top, left in CORNERS]
    views += [view[:, :, ::-1] for view in views] if flips else []
    return np.mean([model.predict(np.ascontiguousarray(view)) for view in views], axis=0)


@pytest.mark.parametrize("flips", [True, False])
def test_the_mean_is_that_of_the_crops_and_their_mirror_images(flips):
    model = small((6, 8, 2))
    found = predict_views(model, X, (6, 8), flips=flips, batch_size=4)
    np.testing.assert_allclose(found, by_hand(model, flips), rtol=1e-5)


def test_a_model_that_crops_gets_whole_images_and_sees_the_same_views():
    cropping, plain = small((8, 9, 2), nn.RandomCrop((6, 8))), small((6, 8, 2))
    plain.set_weights(cropping.get_weights())
    np.testing.assert_allclose(predict_views(cropping, X, (6, 8)), by_hand(plain), rtol=1e-5)


def test_without_a_size_there_is_the_image_and_its_mirror_image():
    model = small((8, 9, 2))
    expected = (model.predict(X) + model.predict(np.ascontiguousarray(X[:, :, ::-1]))) / 2
    np.testing.assert_allclose(predict_views(model, X), expected, rtol=1e-5)
    np.testing.assert_array_equal(predict_views(model, X, flips=False), model.predict(X))


@pytest.mark.parametrize("head", ["softmax", None])
def test_loss_and_metrics_are_those_of_the_mean(head):
    model = small((6, 8, 2), head=head)
    found = evaluate_views(model, X, Y, (6, 8), batch_size=4)
    mean = predict_views(model, X, (6, 8))
    p = mean if head else np.exp(mean) / np.exp(mean).sum(1, keepdims=True)
    assert found["loss"] == pytest.approx(-np.log(p[np.arange(11), Y]).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((mean.argmax(1) == Y).mean())
    w = np.arange(11) % 2
    assert evaluate_views(model, X, Y, (6, 8), sample_weight=w)["accuracy"] == pytest.approx(
        (mean.argmax(1) == Y)[w > 0].mean()
    )


def test_several_outputs():
    image = nn.Input((6, 8, 2))
    flat = nn.Flatten()(image)
    model = nn.Model(image, {"a": nn.Dense(3, activation="softmax")(flat), "b": nn.Dense(1)(flat)})
    model.compile("sgd", {"a": "cross_entropy", "b": "mse"})
    found = predict_views(model, X, (6, 8), batch_size=4)
    assert found["a"].shape == (11, 3)
    assert found["b"].shape == (11, 1)
    scores = evaluate_views(model, X, {"a": Y, "b": Y[:, None]}, (6, 8))
    assert scores["b_loss"] == pytest.approx(np.square(found["b"] - Y[:, None]).mean(), rel=1e-5)
    assert scores["a_loss"] == pytest.approx(-np.log(found["a"][np.arange(11), Y]).mean(), rel=1e-5)


def test_what_is_no_model_is_said():
    with pytest.raises(TypeError, match="compiled model"):
        evaluate_views(1, X, Y, (6, 8))


def test_bytes_are_scaled():
    model = small((8, 9, 2))
    x = (X * 255).astype(np.uint8)
    np.testing.assert_allclose(predict_views(model, x), predict_views(model, x / np.float32(255)), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: predict_views(m, X[..., 0]), r"\[predict_views\] expected images"),
        (lambda m: predict_views(m, X, 9), "crops of at most 8 x 9 pixels. Received: 9 x 9"),
        (lambda m: predict_views(m, X, 5), "a model of images of 8 x 9 or 5 x 5 pixels. Received: one of 6 x 8"),
        (lambda m: evaluate_views(m, X[..., 0], Y), r"\[evaluate_views\] expected images"),
        (lambda m: evaluate_views(m, X, Y[:3], (6, 8)), "11 samples and 3 targets"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ShapeError, match=message):
        call(small((6, 8, 2)))
