"""The operators of the domain ai.onnx.ml that tables and scikit-learn's networks need.

Texts are computed with as numbers: a label is the place of its name in a list, see :class:`pynn.onnx.value.Value`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.core.tensor import FLOATS, Tensor
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.onnx.operators.elementwise import mapped
from pynn.onnx.operators.registry import Node, operator
from pynn.onnx.value import Value

SINGLE = np.dtype("float32")
AFTER = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


def _floats(node: Node, key: str) -> np.ndarray | None:
    found = node.attributes.get(key)
    if found is None or len(found) == 0:
        return None
    if not isinstance(found, list) or not all(isinstance(v, (int, float)) for v in found):
        raise DataError(f"expected the attribute {key} to be a list of numbers.")
    return np.array(found, np.float32)


def _texts(node: Node, key: str) -> list[str] | None:
    found = node.attributes.get(key)
    if not found:
        return None
    if not isinstance(found, list) or not all(isinstance(v, str) for v in found):
        raise DataError(f"expected the attribute {key} to be a list of texts.")
    return found


def _single(x: Value) -> Tensor:
    return x.plain if x.dtype == SINGLE else x.plain.astype(SINGLE)


def _matrix(x: Value) -> Tensor:
    """Return x as rows of features; a single row may come as a vector."""
    if not 1 <= x.ndim <= 2:
        raise ShapeError(f"expected rows of features. Received: x.shape={x.shape}.")
    t = _single(x)
    return t if x.ndim == 2 else ops.reshape(t, (1, x.size))


def labelled(places: Tensor, names: list[str]) -> Value:
    """Return the numbers of texts."""
    y = Value.of(places)
    y.names = names
    return y


@operator("ai.onnx.ml::Scaler")
def scaler(node: Node, x: Value) -> Value:
    """Return (x - offset) scale."""
    y = _single(x)
    for key, function in (("offset", ops.sub), ("scale", ops.mul)):
        values = _floats(node, key)
        if values is None:
            continue
        if values.size not in (1, x.shape[-1] if x.ndim else 1):
            raise ShapeError(f"expected one {key} or one for each feature. Received: {values.size} for {x.shape}.")
        y = function(y, float(values[0]) if values.size == 1 else Tensor.state(values))
    return Value.of(y)


@operator("ai.onnx.ml::Binarizer")
def binarizer(node: Node, x: Value) -> Value:
    """Return 1 where x is above the threshold, else 0."""
    threshold = node.number("threshold", 0.0)
    return mapped(x, lambda t: ops.less(threshold, t).astype(t.dtype))


@operator("ai.onnx.ml::Imputer")
def imputer(node: Node, x: Value) -> Value:
    """Return x with other numbers where one that stands for gaps is."""
    whole = x.dtype not in FLOATS
    found = node.attributes.get("imputed_value_int64s" if whole else "imputed_value_floats")
    if not found or len(found) not in (1, x.shape[-1]):
        raise DataError(f"expected one value to fill in, or one for each feature. Received: {found}.")
    gap = node.attributes.get("replaced_value_int64" if whole else "replaced_value_float", 0)
    missing = ops.not_equal(x.plain, x.plain) if gap != gap else ops.equal(x.plain, gap)
    return Value.of(ops.where(missing, Tensor.state(np.array(found, x.dtype)), x.plain))


@operator("ai.onnx.ml::Normalizer")
def normalizer(node: Node, x: Value) -> Value:
    """Return rows divided by their largest value, the sum of their absolute values, or their length."""
    kind, t = node.text("norm", "MAX"), _single(x)
    if kind == "MAX":
        norm = ops.max(t, -1, True)
    elif kind == "L1":
        norm = ops.sum(ops.abs(t), -1, True)
    elif kind == "L2":
        norm = ops.sqrt(ops.sum(ops.square(t), -1, True))
    else:
        raise DataError(f"expected the norm MAX, L1 or L2. Received: {kind!r}.")
    return Value.of(ops.div(t, ops.where(ops.equal(norm, 0.0), 1.0, norm)))


@operator("ai.onnx.ml::FeatureVectorizer", inputs=(1, 2**31))
def feature_vectorizer(node: Node, *xs: Value) -> Value:
    """Return the columns of all inputs side by side."""
    return Value.of(ops.concat([_matrix(x) for x in xs], 1))


@operator("ai.onnx.ml::ArrayFeatureExtractor", inputs=(2, 2), texts=True)
def array_feature_extractor(node: Node, x: Value, index: Value) -> Value:
    """Return the columns of x that integers name."""
    at = ops.reshape(index.plain, (index.size,))
    if x.constant is not None and x.constant.dtype.kind == "U":
        return labelled(ops.reshape(at.astype("int64"), (1, index.size)), x.constant.reshape(-1).tolist())
    if x.names is not None:
        raise DataError("expected texts that are known beforehand.")
    if x.ndim == 0 or index.size == 0:
        raise ShapeError(f"expected at least one axis and one index. Received: {x.shape} and {index.shape}.")
    y = ops.gather(x.plain, at, x.ndim - 1)
    return Value.of(ops.reshape(y, (1, index.size)) if x.ndim == 1 else y)


@operator("ai.onnx.ml::ZipMap", texts=True)
def zip_map(node: Node, x: Value) -> Value:
    """Return x, whose columns belong to classes; Network.run() makes dicts of them."""
    names = _texts(node, "classlabels_strings") or node.integers("classlabels_int64s")
    if not names or x.ndim not in (1, 2) or x.shape[-1] != len(names):
        raise ShapeError(f"expected one column for each class. Received: {x.shape} for {names and len(names)} classes.")
    y = Value.of(x.plain)
    y.names = list(names)
    return y


def _after(node: Node, scores: Tensor) -> Tensor:
    kind = node.text("post_transform", "NONE")
    if kind == "NONE":
        return scores
    if kind == "LOGISTIC":
        return ops.sigmoid(scores)
    if kind == "SOFTMAX":
        return ops.softmax(scores)
    if kind == "SOFTMAX_ZERO":
        is_zero = ops.equal(scores, 0.0)
        e = ops.where(is_zero, 0.0, ops.exp(ops.sub(scores, ops.max(scores, -1, True))))
        return ops.div(e, ops.sum(e, -1, True))
    raise DataError(f"expected post_transform to be one of {AFTER[:-1]}. Received: {kind!r}.")


def _linear(node: Node, x: Value, key: str, outputs: int = 0) -> Tensor:
    table, t = _floats(node, key), _matrix(x)
    if table is not None and 0 < outputs * t.shape[1] < table.size:
        table = table[: outputs * t.shape[1]]  # what stands behind is not read
    if table is None or table.size % max(t.shape[1], 1):
        raise ShapeError(f"expected {key} for {t.shape[1]} features. Received: {0 if table is None else table.size}.")
    w = np.ascontiguousarray(table.reshape(-1, t.shape[1]).T)
    bias = _floats(node, "intercepts")
    if bias is not None and bias.size not in (1, w.shape[1]):
        raise ShapeError(f"expected {w.shape[1]} intercepts. Received: {bias.size}.")
    kept = node.cache.setdefault("w", Tensor.state(w))
    b = None if bias is None else node.cache.setdefault("b", Tensor.state(np.resize(bias, w.shape[1])))
    return ops.dense(t, kept, b)


@operator("ai.onnx.ml::LinearRegressor")
def linear_regressor(node: Node, x: Value) -> Value:
    """Return x w + b."""
    return Value.of(_after(node, _linear(node, x, "coefficients")))


def chosen(node: Node, label: Tensor, count: int, texts: str, numbers: str) -> Value:
    """Return the labels of classes that are given by their places."""
    names, whole = _texts(node, texts), node.integers(numbers)
    if names:
        return labelled(label, names)
    if whole and len(whole) == count and whole != list(range(count)):
        return Value.of(ops.gather(Tensor.state(np.array(whole, np.int64)), label))
    return Value.of(label)


@operator("ai.onnx.ml::LinearClassifier")
def linear_classifier(node: Node, x: Value) -> tuple[Value, Value]:
    """Return the label of the largest score, and the scores or what they are turned into."""
    names = _texts(node, "classlabels_strings") or node.integers("classlabels_ints") or []
    scores = _linear(node, x, "coefficients", len(names))
    if scores.shape[1] == 1 and len(names) == 2:  # one score for two classes
        kind = node.text("post_transform", "NONE")
        label = ops.reshape(ops.less(0.0, scores).astype("int64"), (scores.shape[0],))
        if kind == "LOGISTIC":
            one = ops.sigmoid(scores)
            y = ops.concat([ops.sub(1.0, one), one], 1)
        elif kind == "NONE":
            y = ops.concat([ops.neg(scores), scores], 1)
        else:
            y = _after(node, ops.concat([ops.neg(scores), scores], 1))
    else:
        label, y = ops.argmax(scores, 1), _after(node, scores)
    return chosen(node, label, y.shape[1], "classlabels_strings", "classlabels_ints"), Value.of(y)


@operator("ai.onnx.ml::LabelEncoder", texts=True)
def label_encoder(node: Node, x: Value) -> Value:
    """Return for each key the value that belongs to it."""
    keys, values = (_column(node, side) for side in ("keys", "values"))
    if keys is None or values is None or len(keys) != len(values):
        raise DataError("expected as many keys as values.")
    rest: Any = node.attributes.get(
        "default_string" if isinstance(values[0], str) else "default_int64" if isinstance(values[0], int)
        else "default_float", "_Unused" if isinstance(values[0], str) else -1 if isinstance(values[0], int) else -0.0
    )  # fmt: skip
    if isinstance(keys[0], str):
        if x.names is None:
            raise DTypeError("expected texts. Received: numbers.")
        table = dict(zip(keys, values, strict=True))
        found, at = [table.get(name, rest) for name in x.names], x.plain
    else:
        known = np.array(keys, x.dtype)
        same = ops.equal(ops.reshape(x.plain, (*x.shape, 1)), Tensor.state(known)).astype("int32")
        if any(k != k for k in keys):
            same = ops.maximum(
                same,
                ops.mul(
                    ops.not_equal(x.plain, x.plain).astype("int32").reshape((*x.shape, 1)),
                    Tensor.state(np.array([int(k != k) for k in keys], np.int32)),
                ),
            )
        hit = ops.max(same, -1)
        at = ops.where(ops.less(0, hit), ops.argmax(same, -1), len(keys))
        found = [*values, rest]
    if isinstance(values[0], str):
        return labelled(at, found)
    dtype = np.int64 if isinstance(values[0], int) else np.float32
    return Value.of(ops.gather(Tensor.state(np.array(found, dtype)), at))


def _column(node: Node, side: str) -> list[Any] | None:
    for kind in ("strings", "int64s", "floats"):
        if node.attributes.get(f"{side}_{kind}"):
            return list(node.attributes[f"{side}_{kind}"])
    found = node.attributes.get(f"{side}_tensor")
    return found.tolist() if isinstance(found, np.ndarray) and found.ndim == 1 and found.size else None


@operator("ai.onnx.ml::OneHotEncoder")
def one_hot_encoder(node: Node, x: Value) -> Value:
    """Return 1 where x is a category, along a new axis, elsewhere 0."""
    known = node.integers("cats_int64s")
    if not known:
        raise DataError("expected categories that are integers.")
    places = ops.reshape(x.plain, (*x.shape, 1))
    if places.dtype in FLOATS:
        places = places.astype("int64")
    same = ops.equal(places, Tensor.state(np.array(known, places.dtype)))
    return Value.of(same.astype(SINGLE))
