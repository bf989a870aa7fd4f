"""Layers of several inputs: those that bring branches together, and attention."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from pynn import nn, ops
from pynn.core.tensor import Tensor
from pynn.errors import ShapeError
from pynn.keras.layer import Layer, mask_of
from pynn.keras.names import refused

__all__ = [
    "Add", "AdditiveAttention", "Attention", "Average", "Concatenate", "Dot", "Maximum", "Minimum",
    "MultiHeadAttention", "Multiply", "Subtract", "add", "average", "concatenate", "dot", "maximum", "merge", "minimum",
    "multiply", "subtract",
]  # fmt: skip


def _of_one_rank(xs):
    """Return inputs with as many axes as the one that has most: [N, C] beside [N, T, C] stands for every step."""
    most = max(x.ndim for x in xs)
    return [x if x.ndim == most else x.reshape((x.shape[0], *(1,) * (most - x.ndim), *x.shape[1:])) for x in xs]


class Merge(Layer):
    """What merging layers share: a list of inputs."""

    _reads_lengths = True

    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs):
        """Merge."""
        if not isinstance(inputs, (list, tuple)) or not inputs:
            raise ValueError(f"[{self.name}] expected a list of inputs. Received: {type(inputs).__name__}.")
        return self.merged(list(inputs))

    def merged(self, xs):
        """Return what becomes of the inputs."""
        raise NotImplementedError


class Add(Merge):
    """y = a + b + ..."""

    def merged(self, xs):
        return reduce(ops.add, _of_one_rank(xs))


class Subtract(Merge):
    """y = a - b."""

    def merged(self, xs):
        if len(xs) != 2:
            raise ValueError(f"[{self.name}] expected two inputs. Received: {len(xs)}.")
        return ops.sub(*_of_one_rank(xs))


class Multiply(Merge):
    """y = a * b * ..."""

    def merged(self, xs):
        return reduce(ops.mul, _of_one_rank(xs))


class Average(Merge):
    """The mean of the inputs."""

    def merged(self, xs):
        return reduce(ops.add, _of_one_rank(xs)) * (1.0 / len(xs))


class Maximum(Merge):
    """The largest of the inputs, element by element."""

    def merged(self, xs):
        return reduce(ops.maximum, _of_one_rank(xs))


class Minimum(Merge):
    """The least of the inputs, element by element."""

    def merged(self, xs):
        return reduce(ops.minimum, _of_one_rank(xs))


class Concatenate(Merge):
    """The inputs one after the other along an axis."""

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def merged(self, xs):
        rank, axis = xs[0].ndim, self.axis % xs[0].ndim
        others = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}
        if len(others) > 1 or any(x.ndim != rank for x in xs):
            raise ShapeError(
                f"[{self.name}] expected inputs whose sizes agree on all axes but {self.axis}. "
                f"Received: shapes {[x.shape for x in xs]}."
            )
        return ops.concat(xs, axis)


class Dot(Merge):
    """The products of two inputs, summed over an axis of each."""

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def merged(self, xs):
        a, b = xs
        one, two = (self.axes,) * 2 if isinstance(self.axes, int) else self.axes
        one, two = one % a.ndim, two % b.ndim
        if self.normalize:
            a, b = (x / ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=k, keepdims=True), 1e-12))
                    for x, k in ((a, one), (b, two)))  # fmt: skip
        return batch_dot(a, b, one, two)


def batch_dot(a, b, one: int, two: int):
    """Return the products of the rows of two batches, summed over an axis of each."""
    n, size = a.shape[0], a.shape[one]
    rest_a = [i for i in range(1, a.ndim) if i != one]
    rest_b = [i for i in range(1, b.ndim) if i != two]
    left = ops.reshape(ops.transpose(a, (0, *rest_a, one)), (n, -1, size))
    right = ops.reshape(ops.transpose(b, (0, two, *rest_b)), (n, size, -1))
    shape = (n, *(a.shape[i] for i in rest_a), *(b.shape[i] for i in rest_b))
    return ops.reshape(ops.matmul(left, right), shape if len(shape) > 1 else (n, 1))


def _of_list(cls):
    def function(inputs, **kwargs):
        return cls(**kwargs)(inputs)

    function.__name__ = cls.__name__.lower()
    function.__doc__ = f"Return {cls.__name__}(...)(inputs)."
    return function


add, subtract, multiply, average = _of_list(Add), _of_list(Subtract), _of_list(Multiply), _of_list(Average)
maximum, minimum = _of_list(Maximum), _of_list(Minimum)


def concatenate(inputs, axis=-1, **kwargs):
    """Return Concatenate(axis)(inputs)."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs, axes=-1, **kwargs):
    """Return Dot(axes)(inputs)."""
    return Dot(axes=axes, **kwargs)(inputs)


def merge(inputs, mode="sum", dot_axes=-1, concat_axis=-1, output_shape=None, name=None, **kwargs):
    """Merge symbols as Keras 1 did."""
    if callable(mode):
        refused("merge with a function", "use a Lambda layer")
    if mode == "concat":
        return Concatenate(axis=concat_axis, name=name)(inputs)
    if mode in ("dot", "cos"):
        return Dot(axes=dot_axes, normalize=mode == "cos", name=name)(inputs)
    table = {"sum": Add, "mul": Multiply, "ave": Average, "max": Maximum}
    if mode not in table:
        raise ValueError(f"[merge] expected mode to be one of {[*table, 'concat', 'dot', 'cos']}. Received: {mode!r}.")
    return table[mode](name=name)(inputs)


FAR = -1e9


def _masked(scores, mask):
    """Return scores that are far below all others where a mask, of shapes that broadcast, is false."""
    return scores if mask is None else scores + (1.0 - mask.astype(scores.dtype)) * FAR


def causal_mask(rows: int, columns: int) -> Tensor:
    """Return [1, rows, columns]: which keys a query may see, those up to its own step."""
    return Tensor.state(np.tril(np.ones((1, rows, columns), bool)))


def _both(a, b):
    if a is None or b is None:
        return b if a is None else a
    return a.astype("float32") * b.astype("float32")


class Attention(Layer):
    """softmax(query key^T) value."""

    _reads_lengths = True

    def __init__(self, use_scale=False, score_mode="dot", dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if score_mode not in ("dot", "concat"):
            raise ValueError(f"[attention] expected score_mode 'dot' or 'concat'. Received: {score_mode!r}.")
        self.use_scale, self.score_mode, self.dropout, self.seed = use_scale, score_mode, dropout, seed

    def build(self, input_shape=None):
        """Declare the scale."""
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(name="concat_score_weight", shape=(), initializer="ones")

    def _scores(self, query, key):
        if self.score_mode == "dot":
            scores = batch_dot(query, key, 2, 2)
            return scores * self.scale if self.use_scale else scores
        q, k = ops.reshape(query, (*query.shape[:2], 1, -1)), ops.reshape(key, (key.shape[0], 1, *key.shape[1:]))
        both = q + k
        return ops.sum(ops.tanh(both * self.scale if self.use_scale else both), axis=-1) * self.concat_score_weight

    def call(self, inputs, mask=None, return_attention_scores=False, training=False, use_causal_mask=False):
        """Compute the weighted means of the values."""
        query, value, *rest = inputs
        key = rest[0] if rest else value
        q_mask, v_mask = [*mask, None][:2] if mask is not None else (mask_of(query), mask_of(value))
        scores = self._scores(ops.without_lengths(query), ops.without_lengths(key))
        allowed = None if v_mask is None else ops.reshape(v_mask, (v_mask.shape[0], 1, v_mask.shape[1]))
        if use_causal_mask:
            allowed = _both(allowed, causal_mask(*scores.shape[1:]))
        weights = ops.softmax(_masked(scores, allowed))
        if training and self.dropout:
            weights = nn.Dropout.forward(_Rate(self.dropout), weights)
        y = ops.matmul(weights, ops.without_lengths(value))
        if q_mask is not None:
            y = y * ops.reshape(q_mask, (*q_mask.shape, 1)).astype(y.dtype)
        return (y, weights) if return_attention_scores else y


class _Rate:
    def __init__(self, rate):
        self.rate = rate


class AdditiveAttention(Attention):
    """softmax(sum(scale tanh(query + key))) value (Bahdanau and others 2015)."""

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape=None):
        """Declare the scale."""
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform")

    def _scores(self, query, key):
        q, k = ops.reshape(query, (*query.shape[:2], 1, -1)), ops.reshape(key, (key.shape[0], 1, *key.shape[1:]))
        found = ops.tanh(q + k)
        return ops.sum(found * self.scale if self.use_scale else found, axis=-1)


class Projection(Layer):
    """A product that makes heads of features, or features of heads."""

    _aliases = {"kernel": "w", "bias": "b"}

    def __init__(self, inner, outer, use_bias, settings, **kwargs):
        super().__init__(**kwargs)
        self.inner, self.outer, self.use_bias, self._settings = tuple(inner), tuple(outer), use_bias, settings

    def build(self, input_shape=None):
        """Declare the weights."""
        given = {k: self._settings.get(f"kernel_{k}") for k in ("initializer", "regularizer", "constraint")}
        self.add_weight("w", (*self.inner, *self.outer), **given)
        if self.use_bias:
            given = {k: self._settings.get(f"bias_{k}") for k in ("initializer", "regularizer", "constraint")}
            self.add_weight("b", self.outer, **given)

    def call(self, x):
        """Compute the product."""
        size = math.prod(self.inner)
        lead = x.shape[: x.ndim - len(self.inner)]
        flat = ops.reshape(x, (math.prod(lead), size))
        w = ops.reshape(self.w, (size, math.prod(self.outer)))
        b = ops.reshape(self.b, (math.prod(self.outer),)) if self.use_bias else None
        return ops.reshape(ops.dense(flat, w, b), (*lead, *self.outer))


class MultiHeadAttention(Layer):
    """Several attentions side by side, each with projections of its own (Vaswani and others 2017)."""

    _reads_lengths = True

    def __init__(self, num_heads, key_dim, value_dim=None, dropout=0.0, use_bias=True, output_shape=None,
                 attention_axes=None, kernel_initializer="glorot_uniform", bias_initializer="zeros",
                 kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
                 bias_constraint=None, seed=None, **kwargs):  # fmt: skip
        for key in ("sliding_window", "flash_attention", "use_gate"):
            if kwargs.pop(key, None):
                refused(f"MultiHeadAttention({key}=)", "leave it out")
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        if attention_axes not in (None, 1, (1,), [1]):
            refused("MultiHeadAttention(attention_axes=)", "attention goes along axis 1")
        self.num_heads, self.key_dim, self.value_dim = num_heads, key_dim, value_dim or key_dim
        self.dropout, self.use_bias, self.seed = dropout, use_bias, seed
        self._settings = {"kernel_initializer": kernel_initializer, "bias_initializer": bias_initializer,
                          "kernel_regularizer": kernel_regularizer, "bias_regularizer": bias_regularizer,
                          "kernel_constraint": kernel_constraint, "bias_constraint": bias_constraint}  # fmt: skip
        self._output = output_shape

    def _project(self, query, value, key):
        heads, out = self.num_heads, self._output
        wide = (query.shape[-1],) if out is None else (out,) if isinstance(out, int) else tuple(out)
        plan = (("query", (query.shape[-1],), (heads, self.key_dim)), ("key", (key.shape[-1],), (heads, self.key_dim)),
                ("value", (value.shape[-1],), (heads, self.value_dim)),
                ("output", (heads, self.value_dim), wide))  # fmt: skip
        for name, inner, outer in plan:
            layer = Projection(inner, outer, self.use_bias, self._settings, name=f"{self.name}_{name}")
            for seeded in ("_seed", "_unseeded"):
                object.__setattr__(layer, seeded, [*self._seed, len(name)])
            object.__setattr__(self, f"{name}_dense", layer)

    def call(self, query, value, key=None, query_mask=None, value_mask=None, key_mask=None, attention_mask=None,
             return_attention_scores=False, training=False, use_causal_mask=False):  # fmt: skip
        """Compute the output, and the weights if asked for."""
        key = value if key is None else key
        if "query_dense" not in self.__dict__:
            self._project(query, value, key)
        v_mask = mask_of(value) if value_mask is None else value_mask
        k_mask = mask_of(key) if key_mask is None else key_mask
        q, k, v = (ops.transpose(layer(ops.without_lengths(x)), (0, 2, 1, 3)) for layer, x in (
            (self.query_dense, query), (self.key_dense, key), (self.value_dense, value)))  # fmt: skip
        scores = ops.matmul(q * (1.0 / math.sqrt(self.key_dim)), ops.transpose(k, (0, 1, 3, 2)))
        allowed = None if attention_mask is None else attention_mask
        for mask in (v_mask, None if k_mask is v_mask or key is value else k_mask):
            if mask is not None:
                allowed = _both(allowed, ops.reshape(mask, (mask.shape[0], 1, mask.shape[1])))
        if query_mask is not None or mask_of(query) is not None:
            q_mask = mask_of(query) if query_mask is None else query_mask
            allowed = _both(allowed, ops.reshape(q_mask, (*q_mask.shape, 1)))
        if use_causal_mask:
            allowed = _both(allowed, causal_mask(scores.shape[2], scores.shape[3]))
        if allowed is not None and allowed.ndim == 3:
            allowed = ops.reshape(allowed, (allowed.shape[0], 1, *allowed.shape[1:]))
        weights = ops.softmax(_masked(scores, allowed))
        kept = nn.Dropout.forward(_Rate(self.dropout), weights) if training and self.dropout else weights
        y = self.output_dense(ops.transpose(ops.matmul(kept, v), (0, 2, 1, 3)))
        y.lengths = query.lengths
        return (y, weights) if return_attention_scores else y
