"""Normalization, and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from pynn import ops
from pynn.core.state import state
from pynn.core.tensor import Tensor
from pynn.errors import DataError, ShapeError
from pynn.onnx.operators.registry import Node, floating, full, operator
from pynn.onnx.operators.shapes import axis_of, padded
from pynn.onnx.value import Value, channels_last
from pynn.ops.steps import assign


def _channels(x: Value, *parameters: Value | None) -> None:
    if x.ndim < 2:
        raise ShapeError(f"expected a batch with channels, [N, C, ...]. Received: x.shape={x.shape}.")
    for p in parameters:
        if p is not None and p.shape != (x.shape[1],):
            raise ShapeError(f"expected parameters of shape ({x.shape[1]},). Received: {p.shape}.")


@operator("BatchNormalization", inputs=(5, 5), weights={1: None, 2: None}, states=(3, 4))
def batch_norm(node: Node, x: Value, scale: Value, bias: Value, mean: Value, variance: Value) -> Any:
    """Return (x - mean) / sqrt(variance + epsilon) * scale + bias, per channel.

    While the network is trained, or with training_mode, by the statistics of the batch.
    """
    _channels(x, scale, bias, mean, variance)
    if node.version < 9 and not node.integer("spatial", 1):
        raise DataError("statistics of every pixel by itself (spatial=0) are not supported.")
    epsilon, momentum = node.number("epsilon", 1e-5), node.number("momentum", 0.9)
    perm, tensor = channels_last(x.ndim), floating(x.last)
    affine = (scale.plain, bias.plain)
    wants = [name for name in node.outputs[1:] if name]
    if node.integer("training_mode", 0) or (node.version < 7 and not node.integer("is_test", 1)):
        axes = tuple(range(x.ndim - 1))
        y = ops.batch_norm(tensor, *affine, training=True, epsilon=epsilon)
        running = [
            ops.add(ops.mul(before.plain, momentum), ops.mul(now, 1 - momentum))
            for before, now in ((mean, ops.mean(tensor, axes)), (variance, ops.var(tensor, axes)))
        ]
        if state.training and not state.trial:
            for new, kept in zip(running, (mean, variance), strict=True):
                if kept.constant is None:
                    assign(new.detach(), kept.plain)
        return (Value.of(y, perm), *(running if wants else ()))
    training = state.training and mean.constant is None and variance.constant is None
    y = ops.batch_norm(tensor, *affine, mean.plain, variance.plain, training, momentum, epsilon)
    return (Value.of(y, perm), *((mean, variance, mean, variance)[: len(node.outputs) - 1] if wants else ()))


@operator("InstanceNormalization", inputs=(3, 3), weights={1: None, 2: None})
def instance_norm(node: Node, x: Value, scale: Value, bias: Value) -> Value:
    """Return x normalized by the statistics of each channel of each sample."""
    _channels(x, scale, bias)
    y = ops.group_norm(floating(x.last), x.shape[1], scale.plain, bias.plain, node.number("epsilon", 1e-5))
    return Value.of(y, channels_last(x.ndim))


@operator("GroupNormalization", inputs=(3, 3), weights={1: None, 2: None})
def group_norm(node: Node, x: Value, scale: Value, bias: Value) -> Value:
    """Return x normalized by the statistics of groups of channels; parameters are of channels, before 21 of groups."""
    groups, epsilon = node.integer("num_groups", 0), node.number("epsilon", 1e-5)
    if groups < 1 or x.ndim < 2 or x.shape[1] % groups:
        raise ShapeError(f"expected a number of groups that parts the channels. Received: {groups} for {x.shape}.")
    if node.version < 21:
        each = Tensor.state(np.repeat(np.arange(groups, dtype=np.int64), x.shape[1] // groups))
        _groups(groups, scale, bias)
        gamma, beta = (ops.gather(p.plain, each, 0) for p in (scale, bias))
    else:
        _channels(x, scale, bias)
        gamma, beta = scale.plain, bias.plain
    return Value.of(ops.group_norm(floating(x.last), groups, gamma, beta, epsilon), channels_last(x.ndim))


def _groups(groups: int, *parameters: Value) -> None:
    for p in parameters:
        if p.shape != (groups,):
            raise ShapeError(f"expected parameters of shape ({groups},). Received: {p.shape}.")


@operator("RMSNormalization", "SimplifiedLayerNormalization", inputs=(2, 2), weights={1: None})
def rms_norm(node: Node, x: Value, scale: Value) -> Value:
    """Return x / sqrt(mean(x**2) + epsilon) * scale, the mean over its axes from `axis` on."""
    axis = axis_of(node, node.integer("axis", -1), x.ndim)
    inner = x.shape[axis:]
    t = floating(x.plain)
    mean = ops.mean(ops.square(t), tuple(range(axis, x.ndim)), True)
    y = ops.div(t, ops.sqrt(ops.add(mean, node.number("epsilon", 1e-5))))
    return Value.of(ops.mul(y, ops.reshape(_spread(scale, inner), inner)))


@operator("LpNormalization")
def lp_norm(node: Node, x: Value) -> Value:
    """Return x / (sum |x|**p along an axis) ** (1 / p), with p of 1 or 2; zeros stay."""
    p, axis = node.integer("p", 2), axis_of(node, node.integer("axis", -1), x.ndim)
    if p not in (1, 2):
        raise DataError(f"expected p of 1 or 2. Received: p={p}.")
    t = floating(x.plain)
    size = ops.sum(ops.abs(t), axis, True) if p == 1 else ops.sqrt(ops.sum(ops.square(t), axis, True))
    return Value.of(ops.div(t, ops.where(ops.equal(size, 0.0), 1.0, size)))


@operator("MeanVarianceNormalization")
def mean_variance_norm(node: Node, x: Value) -> Value:
    """Return (x - mean) / (deviation + 1e-9), by the statistics over axes, by default all but the channels'."""
    axes = tuple(axis_of(node, a, x.ndim) for a in node.integers("axes") or [0, 2, 3])
    t = floating(x.plain)
    y = ops.sub(t, ops.mean(t, axes, True))
    return Value.of(ops.div(y, ops.add(ops.sqrt(ops.mean(ops.square(y), axes, True)), 1e-9)))


@operator("LayerNormalization", inputs=(2, 3), weights={1: None, 2: None})
def layer_norm(node: Node, x: Value, scale: Value, bias: Value | None = None) -> Any:
    """Return x normalized by the statistics of its axes from `axis` on; mean and 1 / deviation too, if wanted."""
    axis = axis_of(node, node.integer("axis", -1), x.ndim)
    inner, epsilon = x.shape[axis:], node.number("epsilon", 1e-5)
    rows, columns = int(np.prod(x.shape[:axis], dtype=np.int64)), int(np.prod(inner, dtype=np.int64))
    flat = ops.reshape(floating(x.plain), (rows, columns))
    gamma, beta = (None if p is None else _spread(p, inner) for p in (scale, bias))
    y = ops.reshape(ops.layer_norm(flat, gamma, beta, epsilon), x.shape)
    if len(node.outputs) == 1:
        return Value.of(y)
    kept = (*x.shape[:axis], *(1,) * len(inner))
    mean, variance = ops.mean(flat, 1, keepdims=True), ops.var(flat, 1, keepdims=True)
    deviation = ops.div(1.0, ops.sqrt(ops.add(variance, epsilon)))
    return (y, ops.reshape(mean, kept), ops.reshape(deviation, kept))[: len(node.outputs)]


def _spread(p: Value, inner: tuple[int, ...]) -> Tensor:
    """Return a parameter as a row of as many values as are normalized together."""
    if p.shape != inner:
        try:
            fits = np.broadcast_shapes(p.shape, inner) == inner
        except ValueError:
            fits = False
        if not fits:
            raise ShapeError(f"expected parameters that broadcast to {inner}. Received: {p.shape}.")
    tensor = p.plain if p.shape == inner else ops.expand(p.plain, inner)
    return ops.reshape(tensor, (int(np.prod(inner, dtype=np.int64)),))


@operator("LRN")
def lrn(node: Node, x: Value) -> Value:
    """Return x / (bias + alpha / size * sum of x**2 over neighbouring channels) ** beta."""
    n = node.integer("size", 0)
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    if n < 1:
        raise DataError(f"expected a size of at least 1. Received: size={n}.")
    _channels(x)
    tensor = floating(x.last)
    if n % 2 and bias > 0:
        y = ops.local_response_norm(tensor, min(n // 2, x.shape[1]), bias, alpha / n, beta)
        return Value.of(y, channels_last(x.ndim))
    before, after = min((n - 1) // 2, x.shape[1]), min(n // 2, x.shape[1])  # no channel is further away
    wide = padded(ops.square(tensor), [0] * (x.ndim - 1) + [before], [0] * (x.ndim - 1) + [after])
    total = wide[..., : x.shape[1]]
    for i in range(1, before + after + 1):
        total = ops.add(total, wide[..., i : i + x.shape[1]])
    scale = ops.pow(ops.add(ops.mul(total, alpha / n), bias), beta)
    return Value.of(ops.div(tensor, scale), channels_last(x.ndim))


@operator("Dropout", inputs=(1, 3))
def dropout(node: Node, x: Value, ratio: Value | None = None, training_mode: Value | None = None) -> Any:
    """Return x; while the network is trained, with a share of the values dropped (whatever training_mode says)."""
    share = node.number("ratio", 0.5) if ratio is None else float(node.static(ratio, "the ratio").reshape(()))  # type: ignore[union-attr]
    if not 0 <= share < 1:
        raise DataError(f"expected a ratio in [0, 1). Received: {share}.")
    y = x
    if state.training and share > 0:
        rng = state.rng
        y = Value.of(ops.dropout(floating(x.plain), share, rng.seed, rng.step, rng.salt()))
    if len(node.outputs) == 1:
        return y
    return y, full(x.shape, True, np.dtype("bool"))
