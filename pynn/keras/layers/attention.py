"""Attention: products of queries and keys decide how much of each value counts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pynn import nn, ops
from pynn.core.tensor import Tensor
from pynn.keras.layer import Layer, mask_of
from pynn.keras.layers.merging import batch_dot
from pynn.keras.missing import refused

__all__ = ["AdditiveAttention", "Attention", "MultiHeadAttention"]

FAR = -1e9


def _masked(scores: Any, mask: Any) -> Any:
    """Return scores that are far below all others where a mask, of shapes that broadcast, is false."""
    return scores if mask is None else scores + (1.0 - mask.astype(scores.dtype)) * FAR


def causal_mask(rows: int, columns: int) -> Tensor:
    """Return [1, rows, columns]: which keys a query may see, those up to its own step."""
    return Tensor.state(np.tril(np.ones((1, rows, columns), bool)))


def _both(a: Any, b: Any) -> Any:
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

    def _scores(self, query: Any, key: Any) -> Any:
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
    def __init__(self, rate: float):
        self.rate = rate


class AdditiveAttention(Attention):
    """softmax(sum(scale tanh(query + key))) value (Bahdanau and others 2015)."""

    def __init__(self, use_scale=True, dropout=0.0, **kwargs):
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape=None):
        """Declare the scale."""
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform")

    def _scores(self, query: Any, key: Any) -> Any:
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

    def _project(self, query: Any, value: Any, key: Any) -> None:
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

    def get_config(self):
        """Return the settings."""
        return super().get_config()
