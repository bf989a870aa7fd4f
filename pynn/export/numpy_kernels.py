"""What exported Python files are made of: the source of these functions is copied into them.

So they use NumPy, each other and the functions of one element (pynn.ops.activation, whose sources are copied likewise)
alone, and take the first axis as the batch.
"""

# ruff: noqa: D103
from __future__ import annotations

import numpy as np

from pynn.ops.activation import sigmoid


def dense(x, w, b):  # type: ignore[no-untyped-def]
    y = x @ w
    return y if b is None else y + b


def embedding(w, ids):  # type: ignore[no-untyped-def]
    if ids.size and not 0 <= ids.min() <= ids.max() < len(w):
        raise ValueError(f"expected ids of 0 to {len(w) - 1}, received {ids.min()} to {ids.max()}")
    return w[ids]


def sequence_lengths(ids):  # type: ignore[no-untyped-def]
    """Return the number of ids before the padding, which is 0 and stands at the end."""
    lengths = (ids != 0).sum(1)
    if (ids[np.arange(ids.shape[1]) < lengths[:, None]] == 0).any():
        raise ValueError("expected padding (id 0) at the end of sequences alone")
    return lengths


def check_lengths(lengths, x):  # type: ignore[no-untyped-def]
    if lengths.size and not 1 <= lengths.min() <= lengths.max() <= x.shape[1]:
        raise ValueError(f"expected lengths of 1 to {x.shape[1]}, received {lengths.min()} to {lengths.max()}")
    return lengths


def walked_lengths(lengths, mul, add, step, most):  # type: ignore[no-untyped-def]
    return np.clip((lengths * mul + add) // step + 1, 0, most)


def mask_steps(x, lengths, value, scale=0):  # type: ignore[no-untyped-def]
    """Put a value at padded steps; with scale the sum over all steps is their number times the mean of real ones."""
    n, steps, *rest = x.shape
    ends = lengths.reshape(n, *(1,) * (x.ndim - 1))
    real = np.arange(steps).reshape(1, steps, *(1 for _ in rest)) < ends
    x = x * (steps / np.maximum(ends, 1)).astype(x.dtype) if scale else x
    return np.where(real, x, x.dtype.type(value))


def reverse_steps(x, lengths):  # type: ignore[no-untyped-def]
    """Turn the real steps round; padding stays at the end."""
    at, ends = np.arange(x.shape[1]), lengths[:, None]
    return x[np.arange(len(x))[:, None], np.where(at < ends, ends - 1 - at, at)]


def step_order(mask):  # type: ignore[no-untyped-def]
    """Return the real steps of each row first, then the others; the inverse of that order; how many are real."""
    order = np.argsort(mask == 0, axis=1, kind="stable")
    return order, np.argsort(order, axis=1), (mask != 0).sum(1)


def permute_steps(x, order, back):  # type: ignore[no-untyped-def]
    return x[np.arange(len(x))[:, None], order]


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


def conv2d(x, w, b, strides=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1), groups=1):  # type: ignore[no-untyped-def]
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


def conv2d_transpose(x, w, b, size, strides=(1, 1), padding=(0, 0, 0, 0), dilation=(1, 1)):  # type: ignore[no-untyped-def]
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


def locally_connected2d(x, w, b, kernel, strides=(1, 1), padding=(0, 0, 0, 0)):  # type: ignore[no-untyped-def]
    """Apply a kernel for every place: w [places, rows * columns * C, filters]."""
    seen = np.stack([part for _, _, part in taps(padded(x, padding), kernel, strides, (1, 1))], axis=3)
    y = np.einsum("npk,pkf->npf", seen.reshape(len(x), len(w), w.shape[1]), w)
    y = y.reshape(*seen.shape[:3], w.shape[2])
    return y if b is None else y + b


def locally_connected2d_transpose(x, w, size, kernel, strides=(1, 1), padding=(0, 0, 0, 0)):  # type: ignore[no-untyped-def]
    """Spread every place over its window: w [places, rows * columns * C, filters]; size is that of the output."""
    (n, h, width, filters), (top, bottom, left, right) = x.shape, padding
    rows = np.einsum("npf,pkf->npk", x.reshape(n, h * width, filters), w).reshape(n, h, width, *kernel, -1)
    y = np.zeros((n, size[0] + top + bottom, size[1] + left + right, rows.shape[-1]), x.dtype)
    for r, s in np.ndindex(*kernel):
        seen = y[:, r : r + (h - 1) * strides[0] + 1 : strides[0], s : s + (width - 1) * strides[1] + 1 : strides[1]]
        seen += rows[:, :, :, r, s]
    return y[:, top : top + size[0], left : left + size[1]]


def max_pool2d(x, kernel, strides=(1, 1), padding=(0, 0, 0, 0)):  # type: ignore[no-untyped-def]
    return np.max([part for _, _, part in taps(padded(x, padding, -np.inf), kernel, strides, (1, 1))], axis=0)


def avg_pool2d(x, kernel, strides=(1, 1), padding=(0, 0, 0, 0)):  # type: ignore[no-untyped-def]
    """Return the mean of each window, of what lies in the image."""
    ones = padded(np.ones((1, *x.shape[1:3], 1), x.dtype), padding)
    total = sum(part for _, _, part in taps(padded(x, padding), kernel, strides, (1, 1)))
    return total / sum(part for _, _, part in taps(ones, kernel, strides, (1, 1)))


def upsample2d(x, size, interpolation="nearest"):  # type: ignore[no-untyped-def]
    """Enlarge images; bilinear goes by the centres of pixels, edges repeated."""
    for axis, factor in ((1, size[0]), (2, size[1])):
        if interpolation == "nearest":
            x = np.repeat(x, factor, axis)
            continue
        n = x.shape[axis]
        at = np.clip((np.arange(n * factor) + 0.5) / factor - 0.5, 0, n - 1)
        low = at.astype(int)
        share = (at - low).astype(x.dtype).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        x = x.take(low, axis) * (1 - share) + x.take(np.minimum(low + 1, n - 1), axis) * share
    return x


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


def local_response_norm(x, radius, bias, alpha, beta):  # type: ignore[no-untyped-def]
    c = x.shape[-1]
    around = [(x[..., max(0, k - radius) : k + radius + 1] ** 2).sum(-1) for k in range(c)]
    return x / (bias + alpha * np.stack(around, axis=-1)) ** beta


def unrolled(x, cell, states, reverse, lengths):  # type: ignore[no-untyped-def]
    """Run cell(x[:, t], *states) -> states through time; return all first states and the last ones."""
    n, steps = x.shape[:2]
    y = np.zeros((n, steps, states[0].shape[1]), x.dtype)
    for t in reversed(range(steps)) if reverse else range(steps):
        on = np.ones((n, 1), bool) if lengths is None else t < lengths[:, None]
        states = [np.where(on, new, old) for new, old in zip(cell(x[:, t], *states), states, strict=True)]
        y[:, t] = np.where(on, states[0], 0)
    return y, *states


def begun(x, units, *states):  # type: ignore[no-untyped-def]
    return [np.zeros((len(x), units), x.dtype) if s is None else s for s in states]


def simple_rnn(x, w, u, b, h0, lengths, activation=np.tanh, reverse=False):  # type: ignore[no-untyped-def]
    """Compute h = activation(x w + h u + b) at every step."""

    def cell(xt, h):  # type: ignore[no-untyped-def]
        return (activation(dense(xt, w, b) + h @ u),)

    return unrolled(x, cell, begun(x, len(u), h0), reverse, lengths)


def lstm(x, w, u, b, h0, c0, p, lengths, reverse=False):  # type: ignore[no-untyped-def]
    """Gates in the order i, f, g, o; p are peepholes or None."""
    peep = np.zeros((3, len(u)), x.dtype) if p is None else p

    def cell(xt, h, c):  # type: ignore[no-untyped-def]
        i, f, g, o = np.split(dense(xt, w, b) + h @ u, 4, axis=1)
        c = sigmoid(f + peep[1] * c) * c + sigmoid(i + peep[0] * c) * np.tanh(g)
        return sigmoid(o + peep[2] * c) * np.tanh(c), c

    return unrolled(x, cell, begun(x, len(u), h0, c0), reverse, lengths)


def layer_norm_lstm(x, w, u, b, h0, c0, gamma_x, gamma_h, gamma_c, beta_c, lengths, epsilon, reverse=False):  # type: ignore[no-untyped-def]
    """As lstm, with sums and cells that are normalized at every step."""

    def cell(xt, h, c):  # type: ignore[no-untyped-def]
        i, f, g, o = np.split(xt + layer_norm(h @ u, gamma_h, b, epsilon), 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(layer_norm(c, gamma_c, beta_c, epsilon)), c

    return unrolled(layer_norm(x @ w, gamma_x, None, epsilon), cell, begun(x, len(u), h0, c0), reverse, lengths)


def gru(x, w, u, b, h0, lengths, reset_after=True, reverse=False):  # type: ignore[no-untyped-def]
    """Gates in the order z, r, g; with reset_after b is [2, 3 units], of the input and of the state."""
    units = len(u)
    b_in, b_state = (b, None) if b is None or not reset_after else b

    def cell(xt, h):  # type: ignore[no-untyped-def]
        a, q = dense(xt, w, b_in), dense(h, u, b_state)
        z, r = np.split(sigmoid(a[:, : 2 * units] + q[:, : 2 * units]), 2, axis=1)
        inner = r * q[:, 2 * units :] if reset_after else (r * h) @ u[:, 2 * units :]
        return (z * h + (1 - z) * np.tanh(a[:, 2 * units :] + inner),)

    return unrolled(x, cell, begun(x, units, h0), reverse, lengths)


def jordan_rnn(z, v, w_out, b_out, lengths, activation=np.tanh, output_activation=np.asarray):  # type: ignore[no-untyped-def]
    """Feed the output of a step to the next one; z and the result begin with time."""

    def cell(zt, o):  # type: ignore[no-untyped-def]
        return (output_activation(dense(activation(zt + o @ v), w_out, b_out)),)

    z = z.transpose(1, 0, 2)
    return unrolled(z, cell, begun(z, len(b_out), None), False, lengths)[0].transpose(1, 0, 2)
