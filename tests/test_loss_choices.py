"""Label smoothing, plain functions as losses, and weights that balance classes."""

import numpy as np
import pytest
from training import ONE_HOT, C, D, X, Y, bits, linear, mlp, softmax

import pynn
from pynn import losses, nn, ops, optim
from pynn.errors import DataError, ShapeError
from pynn.io import dumps, loads

R = np.random.default_rng(5)
Z = R.normal(size=(6, 4)).astype("float32")
T = R.integers(0, 4, 6)
ROWS = np.eye(4, dtype="float32")[T]


def value_and_gradient(loss, y_pred, y_true):
    y = pynn.tensor(y_pred, requires_grad=True)
    found = loss(y, y_true)
    found.backward()
    return found.item(), y.grad.numpy()


# Label smoothing


@pytest.mark.parametrize("logits", [True, False])
def test_smoothed_labels_are_smoothed_rows(logits):
    loss = losses.CrossEntropy(from_logits=logits, label_smoothing=0.1)
    y = Z if logits else softmax(Z)
    value, slope = value_and_gradient(loss, y, T)
    rows = ROWS * 0.9 + 0.1 / 4
    assert value == pytest.approx(-(rows * np.log(softmax(Z))).sum(-1).mean(), rel=1e-5)
    for targets in (ROWS, rows):
        plain = losses.CrossEntropy(from_logits=logits, label_smoothing=0.1 if targets is ROWS else 0.0)
        other, same = value_and_gradient(plain, y, targets)
        assert value == pytest.approx(other, rel=1e-6)
        np.testing.assert_allclose(slope, same, rtol=1e-5, atol=1e-7)


def test_smoothing_of_a_question():
    y = R.normal(size=(5, 1)).astype("float32")
    t = np.array([0, 1, 1, 0, 1])
    p, soft = 1 / (1 + np.exp(-y[:, 0])), t * 0.8 + 0.1
    expected = -(soft * np.log(p) + (1 - soft) * np.log(1 - p)).mean()
    assert losses.BinaryCrossEntropy(label_smoothing=0.2)(y, t).item() == pytest.approx(expected, rel=1e-5)


def test_smoothing_of_labels_per_step():
    z, t = R.normal(size=(2, 3, 4)).astype("float32"), R.integers(0, 4, (2, 3))
    loss = losses.CrossEntropy(label_smoothing=0.3)
    assert loss(z, t).item() == pytest.approx(loss(z.reshape(6, 4), t.ravel()).item(), rel=1e-6)


def test_a_model_with_a_smoothed_loss(tmp_path):
    loss = losses.CrossEntropy(label_smoothing=0.1)
    one, two = (mlp(loss=loss, ending="softmax", optimizer=optim.SGD(0.1)) for _ in "ab")
    a = one.fit(X, Y, epochs=2, verbose=0).history
    b = two.fit(X, ONE_HOT, epochs=2, verbose=0).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    assert a["accuracy"] == b["accuracy"]
    again = loads(dumps(one))
    assert again.loss.label_smoothing == 0.1
    assert again.evaluate(X, Y) == one.evaluate(X, Y)


@pytest.mark.parametrize("bad", [1.0, -0.1, "0.1"])
def test_smoothing_out_of_range(bad):
    for kind in (losses.CrossEntropy, losses.BinaryCrossEntropy):
        with pytest.raises(ValueError, match=r"label_smoothing to be a number in \[0, 1\)"):
            kind(label_smoothing=bad)


# Functions


def squares(y_true, y_pred):
    return (2 * y_true - y_pred) ** 2  # not the same the other way round


def turned(y_pred, y_true):
    return squares(y_true, y_pred)


def as_in_torch(input, target):
    return squares(target, input).mean()


@pytest.mark.parametrize(
    "function",
    [squares, turned, as_in_torch, lambda a, b: squares(a, b).mean(axis=-1), lambda t, p: squares(t, p).mean()],
)
def test_a_function_is_a_loss(function):
    x = X.astype("float32")
    y = (x[:, :2] * 3).astype("float32")
    one, two = (linear(out=2, loss=loss) for loss in (function, "mse"))
    a = one.fit(x, y, epochs=3, verbose=0).history
    b = two.fit(x, 2 * y, epochs=3, verbose=0).history
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    for u, v in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(u, v, rtol=1e-4, atol=1e-6)
    assert one.evaluate(x, y)["loss"] == pytest.approx(((one.predict(x) - 2 * y) ** 2).mean(), rel=1e-5)


def test_sample_weights_of_a_function():
    y, w = X[:, :1] * 2, np.linspace(0, 2, len(X))
    model = linear(loss=lambda y_true, y_pred: ((y_true - y_pred) ** 2).mean(axis=-1))
    expected = (w * ((model.predict(X) - y) ** 2)[:, 0]).mean()
    assert model.evaluate(X, y, sample_weight=w)["loss"] == pytest.approx(expected, rel=1e-5)


def test_one_number_cannot_be_weighed():
    model = linear(loss=as_in_torch)
    with pytest.raises(ShapeError, match=r"a loss for each of 2 samples, which have weights.*one number.*axis=-1"):
        model.evaluate(X[:2], X[:2, 0], sample_weight=[1.0, 2.0])
    with pytest.raises(ShapeError, match="one number"):
        model.train_on_batch(X, X[:, 0], sample_weight=np.ones(len(X)))
    padded = ops.with_lengths(np.ones((2, 3, 1)), [[0, 1, 1], [1, 0, 0]])
    loss = losses.get(as_in_torch)
    with pytest.raises(ShapeError, match=r"for each of 6 samples.*padding"):
        loss(padded, np.zeros((2, 3, 1)))
    assert losses.get(lambda t, p: (abs(t - p)).mean(axis=-1))(padded, np.zeros((2, 3, 1))).item() == 1.0


def test_nothing_is_broadcast_by_a_vector_of_targets():
    one, two = linear(loss=squares), linear(loss=squares)
    one.fit(X, X[:, 0], verbose=0)
    two.fit(X, X[:, :1], verbose=0)
    assert bits(one) == bits(two)


def squared(y_true, y_pred):
    return (y_true - y_pred) ** 2


class Squared(losses.Loss):
    name = "squared"

    def each(self, y_pred, y_true):
        return ops.mean((y_pred - y_true) ** 2, axis=1)


def test_rows_of_targets_never_meet_columns_of_outputs():
    x, y = X[:4], X[:4, 0]
    model = nn.Sequential([nn.Input((D,)), nn.Dense(4)])  # as many outputs as rows
    model.compile("sgd", squared)
    for call in (
        lambda: model.fit(x, y, verbose=0),
        lambda: losses.get(squared)(model.predict(x), y),
        lambda: losses.get(squared)(model(x), pynn.tensor(y)),
    ):
        with pytest.raises(
            ShapeError, match=r"\[squared\] expected targets of the output's shape \(4, 4\).*\(4,\).*y\["
        ):
            call()
    for loss in (Squared(), losses.get("mse")):
        with pytest.raises(ShapeError, match=r"output's shape \(4, 4\).*\(4,\)"):
            loss(model(x), pynn.tensor(y))
    model.fit(x, y[:, None], verbose=0)  # each output meets its sample's number
    out = pynn.tensor(y)
    for form in (y[:, None], pynn.tensor(y[:, None])):
        assert losses.get(squared)(out, form).item() == 0  # (N, 1) is (N,)


def test_weights_of_a_loss_are_one_for_each_sample():
    rows = np.ones((4, 2), "float32")
    for loss in ("mse", squared):
        with pytest.raises(ShapeError, match=r"a weight for each of 4 samples.*\(2,\)"):
            losses.get(loss)(rows, 0 * rows, np.array([1.0, 5.0], "float32"))


def test_labels_come_to_a_function_as_labels():
    def own(y_true, y_pred):
        return ops.cross_entropy(y_pred, y_true)

    one, two = mlp(loss=own), mlp(loss="cross_entropy")
    a, b = (model.fit(X, Y, epochs=2, verbose=0).history for model in (one, two))
    assert bits(one) == bits(two)
    assert a == b  # with accuracy


def test_what_a_function_reads_is_watched():
    factor = 1.0

    def own(y_true, y_pred):
        return factor * (y_true - y_pred) ** 2

    model = linear(loss=own, optimizer=optim.SGD(1e-30))
    first = model.fit(X, X[:, 0], verbose=0).history["loss"][0]
    factor = 3.0
    assert model.fit(X, X[:, 0], verbose=0).history["loss"][0] == pytest.approx(3 * first, rel=1e-5)


def test_a_registered_function_is_saved():
    before = dict(pynn.io.registry._custom)
    try:
        model = linear(loss=squares)
        with pytest.raises(DataError, match=r"register"):
            dumps(model)
        pynn.register(squares)
        again = loads(dumps(model))
        assert again.loss.function is squares
        assert again.evaluate(X, X[:, 0]) == model.evaluate(X, X[:, 0])
    finally:
        pynn.io.registry._custom.clear()
        pynn.io.registry._custom.update(before)


@pytest.mark.parametrize(
    ("function", "error", "pattern"),
    [
        (lambda y: y, TypeError, r"\(y_true, y_pred\).*takes \(y\)"),
        (lambda y_true, y_pred: 1.0, TypeError, "return a tensor of real numbers. Received: float"),
        (lambda y_true, y_pred: ((y_true - y_pred) ** 2).sum(axis=0), ShapeError, r"one loss per sample.*shape \(1,\)"),
        (3, TypeError, "a name, a pynn.losses.Loss or a function"),
    ],
)
def test_functions_that_are_no_losses(function, error, pattern):
    with pytest.raises(error, match=pattern):
        linear(loss=function).fit(X, X[:, 0], verbose=0)


# Balanced classes


def test_balanced_weights_are_scikit_learns():
    from_sklearn = pytest.importorskip("sklearn.utils.class_weight").compute_sample_weight
    for y in (Y, np.r_[Y, [0] * 50], [5, 5, 9]):
        found = losses.class_weights_to_sample_weights(y, "balanced")
        np.testing.assert_allclose(found, from_sklearn("balanced", y), rtol=1e-6)
    steps = R.integers(0, 3, (4, 5))
    found = losses.class_weights_to_sample_weights(steps, "balanced", "labels")
    np.testing.assert_allclose(found.ravel(), from_sklearn("balanced", steps.ravel()), rtol=1e-6)


@pytest.mark.parametrize("form", [lambda y: y, lambda y: np.eye(C)[y]])
def test_fit_with_balanced_classes(form):
    y = np.where(R.random(len(Y)) < 0.8, 0, Y)
    one, two = mlp(), mlp()
    weight = {int(c): len(y) / (len(set(y)) * (y == c).sum()) for c in set(y)}
    a = one.fit(X, form(y), class_weight="balanced", epochs=2, verbose=0).history
    b = two.fit(X, form(y), class_weight=weight, epochs=2, verbose=0).history
    assert a == b
    assert bits(one) == bits(two)


def test_balanced_questions_and_what_is_no_class():
    y = (R.random(len(X)) < 0.2).astype("float32")
    model = nn.Sequential([nn.Input((D,)), nn.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_cross_entropy", seed=0)
    model.fit(X, y, class_weight="balanced", verbose=0)
    with pytest.raises(ShapeError, match="targets that are classes"):
        linear().fit(X, X[:, 0], class_weight="balanced", verbose=0)
    with pytest.raises(TypeError, match=r"a dict of class -> weight, or 'balanced'\. Received: 'balance'"):
        mlp().fit(X, Y, class_weight="balance", verbose=0)
    for call in (
        lambda: mlp().fit([(X, Y), (X, Y)], class_weight="balanced", verbose=0),
        lambda: mlp().train_on_batch(X, Y, class_weight="balanced"),
    ):
        with pytest.raises(ValueError, match=r"how often each class is.*n / \(classes \* count\)"):
            call()
