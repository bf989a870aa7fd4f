"""What exported Python files are made of: the source of these functions is copied into them.

So they use NumPy and each other alone, and take the first axis as the batch.
"""

# ruff: noqa: D103
from __future__ import annotations

import math

import numpy as np


def dense(x, w, b):  # type: ignore[no-untyped-def]
    y = x @ w
    return y if b is None else y + b


def maxout(x, pieces):  # type: ignore[no-untyped-def]
    return x.reshape(*x.shape[:-1], -1, pieces).max(-1)


def embedding(ids, w):  # type: ignore[no-untyped-def]
    if ids.size and not 0 <= ids.min() <= ids.max() < len(w):
        raise ValueError(f"expected ids of 0 to {len(w) - 1}, received {ids.min()} to {ids.max()}")
    return w[ids]


def sequence_lengths(ids):  # type: ignore[no-untyped-def]
    """Return the number of ids before the padding, which is 0 and stands at the end."""
    lengths = (ids != 0).sum(1)
    if (ids[np.arange(ids.shape[1]) < lengths[:, None]] == 0).any():
        raise ValueError("expected padding (id 0) at the end of sequences alone")
    return lengths


def sigmoid(x):  # type: ignore[no-untyped-def]
    return 0.5 * (1 + np.tanh(0.5 * x))


def relu(x):  # type: ignore[no-untyped-def]
    return np.maximum(x, 0)


def leaky_relu(x, slope):  # type: ignore[no-untyped-def]
    return np.where(x > 0, x, slope * x)


def elu(x, alpha):  # type: ignore[no-untyped-def]
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def selu(x):  # type: ignore[no-untyped-def]
    return 1.0507009873554805 * elu(x, 1.6732632423543772)


def softplus(x):  # type: ignore[no-untyped-def]
    return np.logaddexp(x, x.dtype.type(0))


def silu(x):  # type: ignore[no-untyped-def]
    return x * sigmoid(x)


def gelu(x):  # type: ignore[no-untyped-def]
    erf = np.vectorize(math.erf, otypes=[x.dtype])
    return 0.5 * x * (1 + erf(x * 0.7071067811865476))


def gelu_tanh(x):  # type: ignore[no-untyped-def]
    return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


def step(x):  # type: ignore[no-untyped-def]
    return (x >= 0).astype(x.dtype)


def log_softmax(x):  # type: ignore[no-untyped-def]
    z = x - x.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def softmax(x):  # type: ignore[no-untyped-def]
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def padded(x, padding, value=0):  # type: ignore[no-untyped-def]
    top, bottom, left, right = padding
    return np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)


def taps(x, kernel, strides, dilation):  # type: ignore[no-untyped-def]
    """Yield (r, s, what the tap r, s of a kernel sees of padded images x, for every place of the kernel)."""
    (rows, columns), (sh, sw), (dh, dw) = kernel, strides, dilation
    oh = (x.shape[1] - (rows - 1) * dh - 1) // sh + 1
    ow = (x.shape[2] - (columns - 1) * dw - 1) // sw + 1
    for r in range(rows):
        for s in range(columns):
            yield r, s, x[:, r * dh : r * dh + (oh - 1) * sh + 1 : sh, s * dw : s * dw + (ow - 1) * sw + 1 : sw]


def conv2d(x, w, b, strides, dilation, padding, groups):  # type: ignore[no-untyped-def]
    """Images [N, H, W, C], kernels [rows, columns, C / groups, filters]."""
    inner, filters = w.shape[2:]
    y = np.zeros((), x.dtype)
    for r, s, seen in taps(padded(x, padding), w.shape[:2], strides, dilation):
        if groups == 1:
            y = y + seen @ w[r, s]
        else:
            parts = seen.reshape(*seen.shape[:3], groups, inner)
            y = y + np.einsum("nijgc,cgf->nijgf", parts, w[r, s].reshape(inner, groups, -1))
    y = y.reshape(*y.shape[:3], filters)
    return y if b is None else y + b


def conv2d_transpose(x, w, b, size, strides, dilation, padding):  # type: ignore[no-untyped-def]
    """Images [N, H, W, C], kernels [rows, columns, filters, C]; size is that of the output."""
    n, h, width, _ = x.shape
    rows, columns, filters, _ = w.shape
    top, bottom, left, right = padding
    y = np.zeros((n, size[0] + top + bottom, size[1] + left + right, filters), x.dtype)
    for r in range(rows):
        for s in range(columns):
            i, j = r * dilation[0], s * dilation[1]
            part = y[
                :, i : i + (h - 1) * strides[0] + 1 : strides[0], j : j + (width - 1) * strides[1] + 1 : strides[1]
            ]
            part += (x @ w[r, s].T)[:, : part.shape[1], : part.shape[2]]
    y = y[:, top : top + size[0], left : left + size[1]]
    return y if b is None else y + b


def local2d(x, w, b, kernel, strides, padding):  # type: ignore[no-untyped-def]
    """Apply a kernel for every place: w [places, rows * columns * C, filters]."""
    seen = np.stack([part for _, _, part in taps(padded(x, padding), kernel, strides, (1, 1))], axis=3)
    y = np.einsum("npk,pkf->npf", seen.reshape(len(x), len(w), w.shape[1]), w)
    y = y.reshape(*seen.shape[:3], w.shape[2])
    return y if b is None else y + b


def max_pool2d(x, kernel, strides, padding):  # type: ignore[no-untyped-def]
    return np.max([part for _, _, part in taps(padded(x, padding, -np.inf), kernel, strides, (1, 1))], axis=0)


def pool_steps(x, average, lengths):  # type: ignore[no-untyped-def]
    """Return the mean or the largest value over the real steps of sequences, 0 without any."""
    on = (np.arange(x.shape[1]) < lengths[:, None]).reshape(len(x), -1, *(1,) * (x.ndim - 2))
    axes = tuple(range(1, x.ndim - 1))
    if average:
        count = np.maximum(lengths, 1)[:, None] * np.prod(x.shape[2:-1], dtype=int)
        return np.where(on, x, 0).sum(axes) / count.astype(x.dtype)
    return np.where(lengths[:, None] > 0, np.where(on, x, -np.inf).max(axes), 0)


def avg_pool2d(x, kernel, strides, padding):  # type: ignore[no-untyped-def]
    """Return the mean of each window, of what lies in the image."""
    ones = padded(np.ones((1, *x.shape[1:3], 1), x.dtype), padding)
    total = sum(part for _, _, part in taps(padded(x, padding), kernel, strides, (1, 1)))
    return total / sum(part for _, _, part in taps(ones, kernel, strides, (1, 1)))


def stretch(x, axis, factor):  # type: ignore[no-untyped-def]
    """Enlarge an axis by linear interpolation between the centres of pixels, edges repeated."""
    size = x.shape[axis]
    at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    low = at.astype(int)
    share = (at - low).astype(x.dtype).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    high = np.minimum(low + 1, size - 1)
    return x.take(low, axis) * (1 - share) + x.take(high, axis) * share


def layer_norm(x, gamma, beta, epsilon):  # type: ignore[no-untyped-def]
    z = x - x.mean(-1, keepdims=True)
    y = z / np.sqrt((z * z).mean(-1, keepdims=True) + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def group_norm(x, gamma, beta, groups, epsilon):  # type: ignore[no-untyped-def]
    parts = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    z = parts - parts.mean((1, 3), keepdims=True)
    y = (z / np.sqrt((z * z).mean((1, 3), keepdims=True) + epsilon)).reshape(x.shape)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


def response_norm(x, radius, bias, alpha, beta):  # type: ignore[no-untyped-def]
    c = x.shape[-1]
    around = [(x[..., max(0, k - radius) : k + radius + 1] ** 2).sum(-1) for k in range(c)]
    return x / (bias + alpha * np.stack(around, axis=-1)) ** beta


def unrolled(x, cell, units, states, sequences, reverse, turned, lengths):  # type: ignore[no-untyped-def]
    """Run cell(x[:, t], states) -> states through time; the first state is the output."""
    n, steps = x.shape[:2]
    state = [np.zeros((n, units), x.dtype) for _ in range(states)]
    y = np.zeros((n, steps, units), x.dtype)
    for t in reversed(range(steps)) if reverse else range(steps):
        on = np.ones((n, 1), bool) if lengths is None else t < lengths[:, None]
        state = [np.where(on, new, old) for new, old in zip(cell(x[:, t], *state), state, strict=True)]
        y[:, t] = np.where(on, state[0], 0)
    if not sequences:
        return state[0]
    if turned and lengths is not None:  # padding stays at the end
        at, ends = np.arange(steps), lengths[:, None]
        return np.take_along_axis(y, np.where(at < ends, ends - 1 - at, at)[:, :, None], 1)
    return y[:, ::-1] if turned else y


def simple_rnn(x, w, u, b, activation, sequences, reverse, turned, lengths):  # type: ignore[no-untyped-def]
    """Compute h = activation(x w + h u + b) at every step."""

    def cell(xt, h):  # type: ignore[no-untyped-def]
        return (activation(dense(xt, w, b) + h @ u),)

    return unrolled(x, cell, len(u), 1, sequences, reverse, turned, lengths)


def lstm(x, w, u, b, p, sequences, reverse, turned, lengths):  # type: ignore[no-untyped-def]
    """Gates in the order i, f, g, o; p are peepholes or None."""
    peep = np.zeros((3, len(u)), x.dtype) if p is None else p

    def cell(xt, h, c):  # type: ignore[no-untyped-def]
        i, f, g, o = np.split(dense(xt, w, b) + h @ u, 4, axis=1)
        c = sigmoid(f + peep[1] * c) * c + sigmoid(i + peep[0] * c) * np.tanh(g)
        return sigmoid(o + peep[2] * c) * np.tanh(c), c

    return unrolled(x, cell, len(u), 2, sequences, reverse, turned, lengths)


def gru(x, w, u, b, reset_after, sequences, reverse, turned, lengths):  # type: ignore[no-untyped-def]
    """Gates in the order z, r, g; with reset_after b is [2, 3 units], of the input and of the state."""
    units = len(u)
    b_in, b_state = (b, None) if b is None or not reset_after else b

    def cell(xt, h):  # type: ignore[no-untyped-def]
        a, q = dense(xt, w, b_in), dense(h, u, b_state)
        z, r = np.split(sigmoid(a[:, : 2 * units] + q[:, : 2 * units]), 2, axis=1)
        inner = r * q[:, 2 * units :] if reset_after else (r * h) @ u[:, 2 * units :]
        return (z * h + (1 - z) * np.tanh(a[:, 2 * units :] + inner),)

    return unrolled(x, cell, units, 1, sequences, reverse, turned, lengths)


def jordan_rnn(x, w, v, b, w_out, b_out, activation, out_activation, lengths):  # type: ignore[no-untyped-def]
    """Feed the output of a step to the next one."""

    def cell(xt, o):  # type: ignore[no-untyped-def]
        return (out_activation(dense(activation(dense(xt, w, b) + o @ v), w_out, b_out)),)

    return unrolled(x, cell, w_out.shape[1], 1, True, False, False, lengths)
