"""What targets are, and what metrics and weights of classes mean for them."""

import numpy as np
import pytest
from ends import FIRST, RNG, TAGS, X, compiled

import pynn
from pynn import losses, metrics, nn
from pynn.errors import DataError, ShapeError
from pynn.losses.kinds import kind_of

# Kinds of targets


@pytest.mark.parametrize(
    ("loss", "y", "shape", "kind"),
    [
        ("cross_entropy", np.zeros((5,), "int32"), (5, 3), "labels"),
        ("cross_entropy", np.zeros((5, 2), "int32"), (5, 2, 3), "labels"),
        ("cross_entropy", np.eye(3), (3, 3), "rows"),
        ("kl_divergence", np.full((2, 2), 0.5), (2, 2), "rows"),
        ("binary_cross_entropy", np.zeros((5, 1)), (5, 1), "binary"),
        ("binary_cross_entropy", np.zeros(5), (5,), "binary"),
        ("binary_cross_entropy", np.eye(3), (3, 3), "multilabel"),
        ("binary_cross_entropy", np.zeros((5, 2, 1)), (5, 2, 1), "binary"),
        ("hinge", np.array([[-1.0], [1.0]]), (2, 1), "binary"),
        ("hinge", 2 * np.eye(3) - 1, (3, 3), "rows"),
        ("hinge", np.array([[1.0, 1.0, -1.0]]), (1, 3), "multilabel"),
        ("mse", np.array([[0.0], [1.0]]), (2, 1), "binary"),
        ("mse", np.array([[0.0], [0.3]]), (2, 1), "values"),
        ("mse", np.eye(3), (3, 3), "rows"),
        ("mse", np.array([[1.0, 1.0, 0.0]]), (1, 3), "multilabel"),
        ("mse", np.array([[0.2, 0.8]]), (1, 2), "rows"),
        ("mse", np.array([[0.2, 0.9]]), (1, 2), "values"),
        ("poisson", np.array([2.0, 0.0]), (2,), "values"),
    ],
)  # fmt: skip
def test_kinds(loss, y, shape, kind):
    assert kind_of(losses.get(loss), y, shape) == kind


# Metrics by kind


def several(names, loss="binary_crossentropy", activation="sigmoid"):
    x = RNG.normal(size=(40, 3)).astype("float32")
    y = RNG.integers(0, 2, (40, 4))
    return compiled([nn.Input((3,)), nn.Dense(4, activation=activation)], loss, metrics=names), x, y


@pytest.mark.parametrize(("loss", "activation"), [("binary_crossentropy", "sigmoid"), ("binary_cross_entropy", None)])
def test_metrics_of_several_labels(loss, activation):
    skl = pytest.importorskip("sklearn.metrics")
    names = [
        "accuracy",
        "precision",
        "recall",
        "f1",
        "auc",
        metrics.F1(average="macro", name="macro"),
        metrics.Accuracy(name="a"),
    ]
    model, x, y = several(names, loss, activation)
    p = model.predict(x)
    said = (p > (0.5 if activation else 0)).astype(int)
    expected = {
        "accuracy": (said == y).mean(),
        "a": (said == y).mean(),
        "precision": skl.precision_score(y, said, average="micro"),
        "recall": skl.recall_score(y, said, average="micro"),
        "f1": skl.f1_score(y, said, average="micro"),
        "macro": skl.f1_score(y, said, average="macro"),
        "auc": skl.roc_auc_score(y, p, average="macro"),
    }
    got = model.evaluate(x, y)
    assert {k: got[k] for k in expected} == pytest.approx(expected)
    history = model.fit(x, y, batch_size=40, verbose=0, validation_data=(x, y)).history
    assert {k: history[k][0] for k in expected} == pytest.approx(expected)
    assert set(history) == {*got.keys(), *(f"val_{k}" for k in got.keys())}  # noqa: SIM118


def test_several_labels_stand_alone():
    y, p = np.array([[1, 1, 0], [0, 1, 0]]), np.array([[0.9, 0.2, 0.8], [0.1, 0.7, 0.2]])
    assert metrics.precision(y, p, multilabel=True) == pytest.approx(2 / 3)
    assert metrics.recall(y, p, multilabel=True) == pytest.approx(2 / 3)
    assert metrics.precision(y, p, average="macro", multilabel=True) == pytest.approx(2 / 3)
    assert metrics.f1(y[:, None], p[:, None], multilabel=True) == pytest.approx(2 / 3)
    assert metrics.precision(y, p, sample_weight=[2, 1], multilabel=True) == pytest.approx(3 / 5)
    for metric in (metrics.precision, metrics.recall, metrics.f1, metrics.auc, metrics.accuracy):
        with pytest.raises(DataError, match="multilabel=True"):
            metric(y, p)


def test_metrics_that_mean_nothing_for_several_labels_are_refused():
    for metric in (metrics.ConfusionMatrix(), metrics.TopK(k=2)):
        model, x, y = several([metric])
        weights = [w.copy() for w in (model.build((1, 3)), model.get_weights())[1]]
        with pytest.raises(DataError, match=r"one class per row.*several labels.*'f1'"):
            model.fit(x, y, verbose=0)
        for a, b in zip(weights, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "f1", "auc", "binary_accuracy", "top_k"])
@pytest.mark.parametrize("way", ["fit", "split", "evaluate", "batch", "generator"])
def test_classes_of_a_regression_are_refused(metric, way):
    x, v = RNG.normal(size=(40, 3)).astype("float32"), RNG.normal(size=40) * 5
    model = compiled([nn.Input((3,)), nn.Dense(1)], "mse", metrics=[metric])
    calls = {
        "fit": lambda: model.fit(x, v, verbose=0),
        "split": lambda: model.fit(x, v, verbose=0, validation_split=0.2),
        "evaluate": lambda: model.evaluate(x, v),
        "batch": lambda: model.train_on_batch(x, v),
        "generator": lambda: model.fit([(x, v)], verbose=0),
    }
    with pytest.raises(DataError, match=rf"\[{metric}\].*Received: numbers, y\[.*help: 'mae'"):
        calls[way]()


def test_regressions_on_labels_are_refused_before_training():
    model = compiled([nn.Input((6, 4)), nn.Dense(4)], "cross_entropy", metrics=["mse"])
    with pytest.raises(DataError, match=r"\[mse\].*Received: labels \(24, 6\).*one-hot"):
        model.fit(X, TAGS, verbose=0)
    model = compiled([nn.Input((6, 4)), nn.Dense(4)], "cross_entropy", metrics=["binary_accuracy"])
    with pytest.raises(DataError, match=r"\[binary_accuracy\].*Received: labels"):
        model.fit(X, TAGS, verbose=0)


def test_answers_and_rows_with_a_loss_of_values():
    x = RNG.normal(size=(40, 3)).astype("float32")
    one = compiled([nn.Input((3,)), nn.Dense(1)], "mse", metrics=["accuracy"])
    y = RNG.integers(0, 2, 40)
    got = one.evaluate(x, y)["accuracy"]
    assert got == pytest.approx(((one.predict(x)[:, 0] > 0.5) == y).mean())
    assert one.fit(x, y, batch_size=40, verbose=0).history["accuracy"][0] == pytest.approx(got)
    rows = np.eye(4, dtype="float32")[RNG.integers(0, 4, 40)]
    many = compiled([nn.Input((3,)), nn.Dense(4)], "mse", metrics=["accuracy"])
    got = many.evaluate(x, rows)["accuracy"]
    assert got == pytest.approx((many.predict(x).argmax(-1) == rows.argmax(-1)).mean())
    assert many.fit(x, rows, batch_size=40, verbose=0).history["accuracy"][0] == pytest.approx(got)
    labels = RNG.integers(0, 2, (40, 4)).astype("float32")  # the same shapes, another kind
    got = many.evaluate(x, labels)["accuracy"]
    assert got == pytest.approx(((many.predict(x) > 0.5) == labels).mean())
    assert many.fit(x, labels, batch_size=40, verbose=0).history["accuracy"][0] == pytest.approx(got)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("names", [["accuracy"], ["precision", "f1", "auc"], ["top_k"], ["accuracy", "recall"]])
def test_sequences_of_few_steps(steps, names):
    x, y = X[:, :steps].copy(), TAGS[:, :steps].copy()
    names = [metrics.TopK(k=2) if n == "top_k" else n for n in names]
    model = compiled([nn.Input((steps, 4)), nn.Dense(4)], "cross_entropy", metrics=names)
    history = model.fit(x, y, verbose=0, epochs=2, validation_data=(x, y)).history
    assert len(history["loss"]) == 2
    assert all(np.isfinite(v).all() for v in history.values())
    p = model.predict(x)
    right = (p.argmax(-1) == y).mean()
    assert model.evaluate(x, y).get("accuracy", right) == pytest.approx(right)


def test_binary_sequences_and_regressions_of_one_step():
    x, y = X[:, :1].copy(), (X[:, :1, 0] > 0).astype("float32")
    model = compiled([nn.Input((1, 4)), nn.Dense(1)], "binary_cross_entropy", metrics=["accuracy", "precision"])
    model.fit(x, y, verbose=0)
    assert model.evaluate(x, y)["accuracy"] == pytest.approx(((model.predict(x)[..., 0] > 0) == y).mean())
    model = compiled([nn.Input((1, 4)), nn.Dense(1)], "mse", metrics=["mae", "r2"])
    y = x[..., 0].copy()
    model.fit(x, y, verbose=0)
    assert model.evaluate(x, y)["mae"] == pytest.approx(np.abs(model.predict(x)[..., 0] - y).mean())


def test_mixed_kinds_of_batches_are_refused():
    model = compiled([nn.Input((3,)), nn.Dense(3)], "mse", metrics=["precision"])
    x = RNG.normal(size=(3, 3)).astype("float32")
    with pytest.raises(DataError, match="batches of one kind"):
        model.fit([(x, np.eye(3)), (x, np.ones((3, 3)))], verbose=0)


# Metrics that are no numbers


def test_a_matrix_as_a_metric(tmp_path):
    x, y = FIRST, TAGS[:, 0].copy()
    log = pynn.train.CSVLogger(tmp_path / "log.csv")
    model = compiled([nn.Input((4,)), nn.Dense(4)], "cross_entropy", metrics=[metrics.ConfusionMatrix(), "accuracy"])
    history = model.fit(x, y, verbose=2, epochs=2, validation_data=(x, y), callbacks=[log])
    for name in ("confusion_matrix", "val_confusion_matrix"):
        assert [m.shape for m in history.history[name]] == [(4, 4), (4, 4)]
        assert all(m.sum() == 24 for m in history.history[name])
    np.testing.assert_array_equal(history.history["val_confusion_matrix"][-1], model.evaluate(x, y)["confusion_matrix"])
    assert "accuracy=" in repr(history)
    assert "matrix" not in repr(history)
    assert "[[" in history._repr_html_()
    history.to_csv(tmp_path / "history.csv")
    for file in ("log.csv", "history.csv"):
        lines = (tmp_path / file).read_text().splitlines()
        assert len(lines) == 3
        assert "[[" in lines[1]
    stopping = pynn.train.EarlyStopping("confusion_matrix", mode="max")
    with pytest.raises(ValueError, match=r"'confusion_matrix' to be a number.*\(4, 4\)"):
        model.fit(x, y, verbose=0, callbacks=[stopping])


def test_a_matrix_as_a_metric_is_drawn_and_resumed(tmp_path):
    pytest.importorskip("matplotlib")
    x, y = FIRST, TAGS[:, 0].copy()

    def fit(epochs, **options):
        layers = [nn.Input((4,)), nn.Dense(4)]
        model = compiled(layers, "cross_entropy", metrics=[metrics.ConfusionMatrix()])
        keep = pynn.train.ModelCheckpoint(tmp_path, every_epochs=1)
        return model.fit(x, y, verbose=0, epochs=epochs, callbacks=[keep], **options)

    whole = fit(1)
    assert len(whole.plot().axes) == 1  # the loss alone
    again = fit(2, resume=tmp_path)
    assert len(again.history["confusion_matrix"]) == 2
    np.testing.assert_array_equal(again.history["confusion_matrix"][0], whole.history["confusion_matrix"][0])


# Weights by class


@pytest.mark.parametrize("one_hot", [False, True])
def test_class_weights_of_tags_are_weights_of_steps(one_hot):
    weights = {0: 3.0, 2: 0.5}
    y = np.eye(4, dtype="float32")[TAGS] if one_hot else TAGS
    by_step = np.array([3.0, 1.0, 0.5, 1.0])[TAGS].astype("float32")
    a, b = (compiled([nn.Input((6, 4)), nn.Dense(4)], "cross_entropy", metrics=["precision"]) for _ in range(2))
    one = a.fit(X, y, class_weight=weights, epochs=2, verbose=0).history
    two = b.fit(X, y, sample_weight=by_step, epochs=2, verbose=0).history
    assert one == two
    model = compiled([nn.Input((6, 4)), nn.Dense(4)], "cross_entropy", optimizer="sgd")
    z = model.predict(X)
    p = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    expected = (-np.log(np.take_along_axis(p, TAGS[..., None], -1)[..., 0]) * by_step).mean()
    assert model.fit(X, y, class_weight=weights, batch_size=24, verbose=0).history["loss"][0] == pytest.approx(
        expected, rel=1e-5
    )


def test_class_weights_times_sample_weights():
    w = RNG.uniform(0.5, 2, 24).astype("float32")
    by_step = np.array([3.0, 1.0, 1.0, 1.0], "float32")[TAGS] * w[:, None]
    a, b = (compiled([nn.Input((6, 4)), nn.Dense(4)], "cross_entropy") for _ in range(2))
    one = a.fit(X, TAGS, class_weight={0: 3.0}, sample_weight=w, verbose=0).history
    assert one == b.fit(X, TAGS, sample_weight=by_step, verbose=0).history


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "binary_cross_entropy", "hinge", "cross_entropy"])
def test_weights_of_steps_in_every_loss(loss):
    z = RNG.normal(size=(5, 3, 2)).astype("float32")
    y = RNG.integers(0, 2, (5, 3, 2)).astype("float32")
    y = RNG.integers(0, 2, (5, 3)) if loss == "cross_entropy" else 2 * y - 1 if loss == "hinge" else y
    w = RNG.uniform(size=(5, 3)).astype("float32")
    cost = losses.get(loss)
    each = np.array([[cost(z[i : i + 1, t], y[i : i + 1, t]).item() for t in range(3)] for i in range(5)])
    assert cost(z, y, w).item() == pytest.approx((each * w).mean(), rel=1e-5)


def test_class_weights_of_a_question_for_each_step():
    y = (X[..., :1] > 0).astype("float32")
    by_step = np.where(y[..., 0] == 1, 5.0, 1.0).astype("float32")
    a, b = (compiled([nn.Input((6, 4)), nn.Dense(1)], "binary_cross_entropy") for _ in range(2))
    one = a.fit(X, y, class_weight={1: 5.0}, verbose=0).history
    assert one == b.fit(X, y, sample_weight=by_step, verbose=0).history


@pytest.mark.parametrize(
    ("loss", "units", "y", "weights", "error", "says"),
    [
        ("mse", 1, RNG.normal(size=24), {1: 50.0}, ShapeError, "targets that are classes.*numbers"),
        ("poisson", 1, np.arange(24.0), {1: 50.0}, ShapeError, "targets that are classes.*numbers"),
        ("cross_entropy", 3, np.arange(24) % 3, {7: 2.0}, ValueError, "from 0 to 2. Received: 7"),
        ("cross_entropy", 3, np.eye(3)[np.arange(24) % 3], {3: 2.0}, ValueError, "from 0 to 2. Received: 3"),
        ("binary_cross_entropy", 1, np.arange(24) % 2, {2: 2.0}, ValueError, "from 0 to 1. Received: 2"),
        ("binary_cross_entropy", 3, np.ones((24, 3)), {0: 2.0}, ShapeError, "several labels.*sample_weight"),
        ("binary_cross_entropy", 1, np.full(24, 0.3), {0: 2.0}, ShapeError, "one class per sample"),
        ("hinge", 3, np.ones((24, 3)), {0: 2.0}, ShapeError, "several labels.*sample_weight"),
    ],
)  # fmt: skip
def test_class_weights_that_mean_nothing_are_refused(loss, units, y, weights, error, says):
    model = compiled([nn.Input((4,)), nn.Dense(units)], loss)
    with pytest.raises(error, match=says):
        model.fit(FIRST, y, class_weight=weights, verbose=0)
    with pytest.raises(error, match=says):
        model.train_on_batch(FIRST, y, class_weight=weights)


@pytest.mark.parametrize(
    ("loss", "y", "expected"),
    [
        ("mse", [0, 1, 1], [2, 3, 3]),
        ("hinge", [-1, 1, 1], [2, 3, 3]),
        ("binary_cross_entropy", [[0], [1], [1]], [2, 3, 3]),
    ],
)
def test_class_weights_of_answers(loss, y, expected):
    x = FIRST[:3]
    a, b = (compiled([nn.Input((4,)), nn.Dense(1)], loss) for _ in range(2))
    one = a.fit(x, np.array(y), class_weight={0: 2.0, 1: 3.0}, verbose=0).history
    assert one == b.fit(x, np.array(y), sample_weight=expected, verbose=0).history


def test_class_weights_of_one_hot_rows_with_questions():
    y = np.eye(3)[np.arange(24) % 3]
    a, b = (compiled([nn.Input((4,)), nn.Dense(3)], "binary_cross_entropy") for _ in range(2))
    one = a.fit(FIRST, y, class_weight={1: 4.0}, verbose=0).history
    assert one == b.fit(FIRST, y, sample_weight=np.where(y[:, 1] == 1, 4.0, 1.0), verbose=0).history
