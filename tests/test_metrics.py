"""Metrics against scikit-learn and against counting by hand; batches against the whole; names and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pynn
from pynn import metrics, nn
from pynn.errors import DataError, DTypeError, ShapeError

NAMES = ["accuracy", "top_k", "binary_accuracy", "precision", "recall", "f1", "auc", "mse", "mae", "r2"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn.metrics")


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def multiclass(rng, rows: int = 300, classes: int = 6):
    y = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + 1.5 * np.eye(classes)[y]
    return y, logits, rng.uniform(0.1, 3.0, rows)


def binary(rng, rows: int = 300):
    y = rng.integers(0, 2, rows)
    logits = rng.normal(size=rows) + 1.2 * (y - 0.4)
    return y, logits, rng.uniform(0.1, 3.0, rows)


# Accuracy


def test_accuracy_reads_the_task_from_the_shapes(rng) -> None:
    y, logits, _ = multiclass(rng)
    expected = np.mean(logits.argmax(1) == y)
    assert 0.3 < expected < 0.9
    one_hot = np.eye(6)[y]
    for true in (
        y,
        y.astype(np.int32),
        y.astype(np.uint8),
        y.astype(np.float32),
        y[:, None],
        one_hot,
        0.9 * one_hot + 0.01,
    ):
        for pred in (logits, logits.astype(np.float32), softmax(logits)):
            assert metrics.accuracy(true, pred) == pytest.approx(expected, abs=1e-12)
    assert metrics.accuracy(y, logits.argmax(1)) == pytest.approx(expected, abs=1e-12)
    assert metrics.accuracy(y[:, None], logits.argmax(1)[:, None]) == pytest.approx(expected, abs=1e-12)


def test_accuracy_of_binary_heads_uses_half_or_zero(rng) -> None:
    y, logits, _ = binary(rng)
    expected = np.mean((logits > 0) == y)
    assert expected != np.mean((logits > 0.5) == y)
    probabilities = 1 / (1 + np.exp(-logits))
    for true in (y, y[:, None], 2 * y - 1, y.astype(bool)):
        assert metrics.accuracy(true, probabilities) == expected
        assert metrics.accuracy(true, probabilities[:, None]) == expected
        assert metrics.accuracy(true, logits[:, None], from_logits=True) == expected
        assert metrics.binary_accuracy(true, logits, from_logits=True) == expected


def test_a_model_can_switch_a_metric_to_logits(rng) -> None:
    y, logits, _ = binary(rng)
    for name in ("accuracy", "binary_accuracy", "precision", "recall", "f1"):
        switched, probable = metrics.get(name), metrics.get(name)
        switched.from_logits = True
        switched.update(y, logits)
        probable.update(y, 1 / (1 + np.exp(-logits)))
        assert switched.result() == probable.result()


def test_the_threshold_is_a_probability_also_for_logits() -> None:
    p = np.array([0.1, 0.29, 0.31, 0.9])
    assert metrics.binary_accuracy([0, 0, 1, 1], p, threshold=0.3) == 1.0
    assert metrics.binary_accuracy([0, 0, 1, 1], np.log(p / (1 - p)), threshold=0.3, from_logits=True) == 1.0
    assert metrics.binary_accuracy([0, 0, 0, 1], p, threshold=0.3) == 0.75


def test_binary_accuracy_counts_the_elements_of_multi_label_rows() -> None:
    assert metrics.binary_accuracy([[1, 0, 1], [0, 0, 1]], [[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]]) == pytest.approx(4 / 6)
    y, scores = [[1, 0, 1], [0, 0, 1]], [[0.9, 0.8, 0.7], [0.1, 0.4, 0.3]]
    assert metrics.accuracy(y, scores, multilabel=True) == pytest.approx(4 / 6)
    with pytest.raises(DataError, match=r"one-hot rows.*Received: 2 classes in row 0.*multilabel=True"):
        metrics.accuracy(y, scores)
    # As classes, the first row is right and the second one wrong.
    assert metrics.accuracy([[1, 0, 0], [0, 0, 1]], scores) == 0.5


def test_accuracy_of_sequences() -> None:
    y = np.array([[0, 1, 2], [2, 1, 0]])
    scores = np.eye(3)[[[0, 1, 1], [2, 2, 0]]]
    assert metrics.accuracy(y, scores) == pytest.approx(4 / 6)
    assert metrics.accuracy(y, scores, sample_weight=[3, 1]) == pytest.approx((3 * 2 + 2) / 12)
    assert metrics.accuracy(y, scores, sample_weight=[[1, 1, 0], [1, 0, 1]]) == 1.0


def test_accuracy_agrees_with_sklearn(rng, sklearn) -> None:
    y, logits, w = multiclass(rng)
    ours = metrics.accuracy(y, logits, sample_weight=w)
    assert ours == pytest.approx(sklearn.accuracy_score(y, logits.argmax(1), sample_weight=w), abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 6, 10])
def test_top_k_agrees_with_sklearn(rng, sklearn, k: int) -> None:
    y, logits, w = multiclass(rng)
    expected = sklearn.top_k_accuracy_score(y, logits, k=k, sample_weight=w, labels=range(6)) if k < 6 else 1.0
    assert metrics.top_k_accuracy(y, logits, sample_weight=w, k=k) == pytest.approx(expected, abs=1e-12)
    assert metrics.top_k_accuracy(np.eye(6)[y], logits, sample_weight=w, k=k) == pytest.approx(expected, abs=1e-12)


def test_top_k_of_equal_scores_and_nan() -> None:
    assert metrics.top_k_accuracy([2], [[0.5, 0.5, 0.5]], k=1) == 1.0
    assert metrics.top_k_accuracy([0], [[math.nan, 0.5, 0.2]], k=1) == 0.0


# Confusion matrix, precision, recall, F1


def test_confusion_matrix_agrees_with_sklearn(rng, sklearn) -> None:
    y, logits, w = multiclass(rng)
    pred = logits.argmax(1)
    expected = sklearn.confusion_matrix(y, pred)
    for true, scores in ((y, logits), (y, pred), (np.eye(6)[y], logits)):
        ours = metrics.confusion_matrix(true, scores)
        assert ours.dtype == np.int64
        assert (ours == expected).all()
    weighted = metrics.confusion_matrix(y, logits, sample_weight=w)
    np.testing.assert_allclose(weighted, sklearn.confusion_matrix(y, pred, sample_weight=w), rtol=1e-12)


def test_confusion_matrix_sizes() -> None:
    assert metrics.confusion_matrix([0, 1], [1, 1], classes=4).shape == (4, 4)
    assert metrics.confusion_matrix([0, 0], [[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]]).tolist() == [
        [2, 0, 0],
        [0] * 3,
        [0] * 3,
    ]
    assert metrics.confusion_matrix([0, 1, 1], [0.2, 0.7, 0.4]).tolist() == [[1, 0], [1, 1]]
    with pytest.raises(DataError, match="expected labels 0 to 2"):
        metrics.confusion_matrix([0, 3], [1, 1], classes=3)
    growing = metrics.ConfusionMatrix()
    growing.update([1], [0])
    growing.update([0], [3])
    assert growing.result().tolist() == [[0, 0, 0, 1], [1, 0, 0, 0], [0] * 4, [0] * 4]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_per_class_metrics_agree_with_sklearn(rng, sklearn, name: str, average: str, weighted: bool) -> None:
    y, logits, w = multiclass(rng)
    y = np.where(y == 4, 3, y)  # class 4 is predicted but never true
    logits[:, 5] = -9.0  # class 5 is true but never predicted
    weight = w if weighted else None
    theirs = getattr(sklearn, f"{name}_score")(
        y, logits.argmax(1), average=average, sample_weight=weight, zero_division=0
    )
    ours = getattr(metrics, name)(y, logits, sample_weight=weight, average=average)
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_a_class_that_does_not_occur_does_not_count(sklearn) -> None:
    y, pred = np.array([0, 2, 2, 0]), np.array([0, 2, 0, 2])
    scores = np.eye(4)[pred]
    assert metrics.f1(y, scores) == pytest.approx(sklearn.f1_score(y, pred, average="macro"), abs=1e-12) == 0.5


@pytest.mark.parametrize("name", ["precision", "recall", "f1"])
def test_binary_per_class_metrics_agree_with_sklearn(rng, sklearn, name: str) -> None:
    y, logits, w = binary(rng)
    pred = (logits > 0).astype(int)
    expected = getattr(sklearn, f"{name}_score")(y, pred, sample_weight=w)
    ours = getattr(metrics, name)
    assert ours(y, logits, sample_weight=w, from_logits=True) == pytest.approx(expected, abs=1e-12)
    assert ours(y, np.stack([-logits, logits], axis=1), sample_weight=w) == pytest.approx(expected, abs=1e-12)
    assert ours(y, pred, sample_weight=w) == pytest.approx(expected, abs=1e-12)
    macro = getattr(sklearn, f"{name}_score")(y, pred, sample_weight=w, average="macro")
    assert ours(y, pred, sample_weight=w, average="macro") == pytest.approx(macro, abs=1e-12)


def test_nothing_predicted_or_nothing_true_is_zero() -> None:
    assert metrics.precision([1, 0], [0.1, 0.2]) == 0.0
    assert metrics.recall([0, 0], [0.9, 0.2]) == 0.0
    assert metrics.f1([0, 0], [0.1, 0.2]) == 0.0
    with pytest.raises(ValueError, match=r"two classes for average='binary'. Received: 3 classes"):
        metrics.f1([0, 1, 2], np.eye(3), average="binary")


# AUC


@pytest.mark.parametrize("digits", [0, 1, 6])
def test_auc_agrees_with_sklearn_with_ties_and_weights(rng, sklearn, digits: int) -> None:
    y, logits, w = binary(rng)
    scores = np.round(logits, digits)
    assert metrics.auc(y, scores) == pytest.approx(sklearn.roc_auc_score(y, scores), abs=1e-12)
    expected = sklearn.roc_auc_score(y, scores, sample_weight=w)
    assert metrics.auc(y, scores, sample_weight=w) == pytest.approx(expected, abs=1e-12)
    assert metrics.auc(y[:, None], scores[:, None], sample_weight=w) == pytest.approx(expected, abs=1e-12)
    assert metrics.auc(2 * y - 1, scores, sample_weight=w) == pytest.approx(expected, abs=1e-12)


def test_auc_counts_pairs(rng) -> None:
    y = np.array([0, 1, 1, 0, 1])
    scores = np.array([2, 2, 5, 3, 1])
    pairs = [(p > n) + (p == n) / 2 for p in scores[y == 1] for n in scores[y == 0]]
    assert metrics.auc(y, scores) == pytest.approx(np.mean(pairs), abs=1e-15)
    assert metrics.auc(y, scores / 10) == pytest.approx(np.mean(pairs), abs=1e-15)


def test_auc_of_two_columns_is_that_of_the_probability(rng, sklearn) -> None:
    y, _, _ = binary(rng)
    logits = rng.normal(size=(len(y), 2)) + np.eye(2)[y]
    p = softmax(logits)
    expected = sklearn.roc_auc_score(y, p[:, 1])
    assert metrics.auc(y, logits) == pytest.approx(expected, abs=1e-12)
    assert metrics.auc(y, p) == pytest.approx(expected, abs=1e-3)
    assert metrics.auc(np.eye(2)[y], logits) == pytest.approx(expected, abs=1e-12)


def test_multi_class_auc_agrees_with_sklearn(rng, sklearn) -> None:
    y, logits, w = multiclass(rng)
    p = softmax(logits)
    columns = [sklearn.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(6)]
    assert metrics.auc(y, p, sample_weight=w) == pytest.approx(np.mean(columns), abs=1e-12)
    assert metrics.auc(y, logits, sample_weight=w, from_logits=True) == pytest.approx(np.mean(columns), abs=1e-12)
    assert metrics.auc(y, p) == pytest.approx(sklearn.roc_auc_score(y, p, multi_class="ovr"), abs=1e-12)


def test_auc_of_one_class_is_nan_and_of_nan_scores_an_error() -> None:
    assert math.isnan(metrics.auc([1, 1], [0.2, 0.3]))
    assert math.isnan(metrics.auc([0, 1], [0.2, 0.3], sample_weight=[1.0, 0.0]))
    with pytest.raises(DataError, match="NaN in y_pred"):
        metrics.auc([0, 1], [0.2, math.nan])


# Regression


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 3)])
def test_regression_agrees_with_sklearn(rng, sklearn, shape, weighted: bool) -> None:
    y = rng.normal(size=shape)
    pred = y + 0.5 * rng.normal(size=shape)
    w = rng.uniform(0, 2, 50) if weighted else None
    assert metrics.mse(y, pred, sample_weight=w) == pytest.approx(
        sklearn.mean_squared_error(y, pred, sample_weight=w), rel=1e-12
    )
    assert metrics.mae(y, pred, sample_weight=w) == pytest.approx(
        sklearn.mean_absolute_error(y, pred, sample_weight=w), rel=1e-12
    )
    assert metrics.r2(y, pred, sample_weight=w) == pytest.approx(sklearn.r2_score(y, pred, sample_weight=w), rel=1e-12)


def test_r2_of_targets_with_a_large_mean(rng, sklearn) -> None:
    y = 1e8 + rng.normal(size=1000)
    pred = y + 0.5 * rng.normal(size=1000)
    metric = metrics.R2()
    for part in np.array_split(np.arange(1000), 7):
        metric.update(y[part], pred[part])
    assert metric.result() == pytest.approx(sklearn.r2_score(y, pred), rel=1e-6)


def test_r2_of_constant_targets_and_of_one_sample() -> None:
    assert metrics.r2([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert metrics.r2([2.0, 2.0], [2.0, 3.0]) == 0.0
    assert math.isnan(metrics.r2([2.0], [2.0]))


def test_a_missing_last_dimension_of_one_does_not_broadcast() -> None:
    assert metrics.mse([1.0, 2.0, 3.0], [[1.0], [2.0], [3.0]]) == 0.0
    assert metrics.mae([[1.0], [2.0], [3.0]], [1.0, 2.0, 3.0]) == 0.0


def test_float32_and_uint8_do_not_overflow() -> None:
    assert metrics.mse(np.array([250, 0], np.uint8), np.array([0, 250], np.uint8)) == 62500.0
    assert metrics.mse(np.array([3e30], np.float32), np.array([0], np.float32)) == pytest.approx(9e60, rel=1e-6)


# Batches


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_give_the_result_of_the_whole(rng, name: str, weighted: bool) -> None:
    if name in ("mse", "mae", "r2"):
        y, pred, w = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)), rng.uniform(0.1, 3, 300)
    elif name == "binary_accuracy":
        y, pred, w = binary(rng)
    else:
        y, pred, w = multiclass(rng)
    order = np.argsort(y if y.ndim == 1 else y[:, 0])  # so that the batches differ
    y, pred, w = y[order], pred[order], w[order]
    whole, parts = metrics.get(name), metrics.get(name)
    whole.update(y, pred, w if weighted else None)
    for rows in np.array_split(np.arange(300), [1, 50, 51, 51, 200]):
        parts.update(y[rows], pred[rows], w[rows] if weighted else None)
    assert parts.result() == pytest.approx(whole.result(), rel=1e-12)
    assert isinstance(parts.result(), float)
    parts.reset()
    parts.update(y[::3], pred[::3])
    fresh = metrics.get(name)
    fresh.update(y[::3], pred[::3])
    assert parts.result() == fresh.result()


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(rng, name: str) -> None:
    y, pred, _ = multiclass(rng, 60) if name not in ("mse", "mae", "r2", "binary_accuracy") else binary(rng, 60)
    w = rng.integers(0, 3, 60)
    weighted, repeated = metrics.get(name), metrics.get(name)
    weighted.update(y, pred, w)
    repeated.update(np.repeat(y, w, axis=0), np.repeat(pred, w, axis=0))
    assert weighted.result() == pytest.approx(repeated.result(), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_no_samples_is_an_error(name: str) -> None:
    metric = metrics.get(name)
    with pytest.raises(DataError, match=rf"\[{name}\] expected at least one sample"):
        metric.result()
    metric.update(np.zeros((0,)), np.zeros((0, 3)))
    with pytest.raises(DataError, match="at least one sample"):
        metric.result()
    assert "no samples" in repr(metric)


# Names and functions


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    first, second = metrics.get(name), metrics.get(name)
    assert first.name == name
    assert first is not second
    assert metrics.get(first) is first
    assert metrics.higher_is_better(f"val_{name}") is (name not in ("mse", "mae"))
    function = getattr(metrics, "top_k_accuracy" if name == "top_k" else name)
    assert type(metrics.get(function)) is type(first)


def test_unknown_names_and_wrong_objects() -> None:
    with pytest.raises(ValueError, match=r"unknown metric. Received: 'acuracy'. help: did you mean 'accuracy'"):
        metrics.get("acuracy")
    for wrong in (3, None, metrics.Metric):
        with pytest.raises(TypeError, match="expected a name, a Metric or a function"):
            metrics.get(wrong)
    assert metrics.higher_is_better("speed") is None


def test_a_function_becomes_a_weighted_mean() -> None:
    def worst(y_true, y_pred):
        return np.abs(y_true - y_pred).max(axis=1)

    metric = metrics.get(worst)
    assert metric.name == "worst"
    metric.update(np.zeros((2, 2)), np.array([[1, 2], [3, 4]]))
    metric.update(np.zeros((1, 2)), np.array([[9, 0]]), sample_weight=[2.0])
    assert metric.result() == pytest.approx((2 + 4 + 2 * 9) / 4)
    scalar = metrics.get(lambda y_true, y_pred: float(y_pred.mean()))
    scalar.update(np.zeros(3), np.ones(3))
    scalar.update(np.zeros(1), np.full(1, 5.0))
    assert scalar.result() == 2.0
    wrong = metrics.Mean(lambda y_true, y_pred: np.zeros(3), name="wrong")
    with pytest.raises(ShapeError, match=r"\[wrong\] expected one value per row"):
        wrong.update(np.zeros(2), np.zeros(2))


def test_names_of_ones_own() -> None:
    assert metrics.TopK(k=3, name="top_3").name == "top_3"
    assert metrics.F1(average="micro", name="micro_f1").name == "micro_f1"
    assert metrics.TopK(k=3).name == "top_k"


# Refusals


SCORES = np.eye(3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: metrics.accuracy([0, 1], SCORES),
            ShapeError,
            r"same number of rows.*y_true.shape=\(2,\), y_pred.shape=\(3, 3\)",
        ),
        (lambda: metrics.accuracy(np.eye(4)[:3], SCORES), ShapeError, "labels .N. or of one-hot rows"),
        (
            lambda: metrics.accuracy(SCORES, [0.1, 0.2, 0.3]),
            ShapeError,
            "one-hot targets need an output of one unit per class",
        ),
        (
            lambda: metrics.accuracy([0, 1, 3], SCORES),
            DataError,
            r"\[accuracy\] expected labels 0 to 2. Received: labels from 0 to 3",
        ),
        (lambda: metrics.accuracy([0, -1, 2], SCORES), DataError, "labels from -1 to 2"),
        (lambda: metrics.accuracy([0, 0.5, 2], SCORES), DataError, "whole numbers"),
        (lambda: metrics.accuracy([0, math.nan, 2], SCORES), DataError, "whole numbers"),
        (lambda: metrics.accuracy([0, 1, 2], [0.1, 0.2, 0.3]), DataError, "binary targets.*from 0 to 2"),
        (lambda: metrics.accuracy([0, 1, math.nan], [0.1, 0.2, 0.3]), DataError, "binary targets"),
        (lambda: metrics.f1([0, 1, 5], SCORES), DataError, r"\[f1\] expected labels 0 to 2"),
        (lambda: metrics.top_k_accuracy([0, 1], [0.1, 0.2]), ShapeError, "scores .N, C. with C > 1"),
        (lambda: metrics.binary_accuracy([[0, 1]], [[0.1, 0.2, 0.3]]), ShapeError, "one shape"),
        (lambda: metrics.mse([0, 1, 2], SCORES), ShapeError, "labels need one-hot rows here"),
        (lambda: metrics.mse(1.0, [1.0]), ShapeError, "y_true to be an array of rows"),
        (lambda: metrics.mse(["a"], [1.0]), DTypeError, "y_true to hold numbers"),
        (lambda: metrics.mse([1.0], np.array([None])), DTypeError, "y_pred to hold numbers. Received: dtype=object"),
        (lambda: metrics.mse([1.0], [1.0], sample_weight=[-1.0]), DataError, "finite sample weights >= 0"),
        (lambda: metrics.mse([1.0], [1.0], sample_weight=[math.nan]), DataError, "finite sample weights >= 0"),
        (lambda: metrics.mse([1.0], [1.0], sample_weight=[1.0, 2.0]), ShapeError, "one sample_weight for every row"),
        (
            lambda: metrics.accuracy(SCORES, SCORES, sample_weight=np.ones((3, 3))),
            ShapeError,
            "expected weights for rows",
        ),
        (lambda: metrics.TopK(k=0), ValueError, "k to be a positive integer. Received: k=0"),
        (lambda: metrics.BinaryAccuracy(threshold=1.0), ValueError, "threshold to be a number"),
        (lambda: metrics.ConfusionMatrix(classes=0), ValueError, "classes to be a positive integer"),
        (lambda: metrics.F1(average="makro"), ValueError, "did you mean 'macro'"),
    ],
)
def test_bad_input_is_refused(call, error, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_a_refused_batch_changes_nothing() -> None:
    for name in ("accuracy", "f1", "auc"):
        metric = metrics.get(name)
        metric.update([0, 1, 2], SCORES)
        before = metric.result()
        with pytest.raises(DataError):
            metric.update([0, 1, 9], SCORES)
        assert metric.result() == before


class Rows(metrics.Metric):
    """How many rows came at once."""

    name = "rows"
    streams = False

    def reset(self):
        super().reset()
        self.most = 0

    def add(self, y_true, y_pred, weight):
        self.most = max(self.most, len(y_true))

    def value(self):
        return float(self.most)


@pytest.mark.parametrize("given", ["arrays", "batches"])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_gives_a_function_all_rows_of_an_epoch_at_once(given, weighted):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)).astype("float32"), rng.normal(size=(50, 1)).astype("float32")
    weight = rng.random(50) if weighted else None

    def largest(y_true, y_pred):
        return float(y_pred.max())

    model = nn.Sequential([nn.Input((3,)), nn.Dense(1)], seed=0)
    model.compile(pynn.optim.SGD(0.0), "mse", [largest, Rows()])
    cuts = [slice(i, i + 16) for i in range(0, 50, 16)]
    data = (x, y, weight) if weighted else (x, y)
    if given == "arrays":
        history = model.fit(*data[:2], sample_weight=weight, batch_size=16, epochs=2, verbose=0).history
    else:
        history = model.fit([tuple(a[cut] for a in data) for cut in cuts], epochs=2, verbose=0).history
    assert history["rows"] == [50, 50]
    np.testing.assert_allclose(history["largest"], [model.predict(x).max()] * 2, rtol=1e-6)
