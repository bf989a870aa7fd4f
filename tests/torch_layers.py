"""PyTorch's layers in NumPy, by the equations of its documentation: channels first, its weights, its order of gates."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def linear(x, weight, bias=0.0):
    return x @ weight.T + bias


def conv2d(x, weight, bias=None, groups=1):
    """Cross-correlation of x [N, C, H, W] with weight [O, C / groups, R, S], stride 1, no padding."""
    outputs, inputs, rows, columns = weight.shape
    per = outputs // groups
    y = np.zeros((len(x), outputs, x.shape[2] - rows + 1, x.shape[3] - columns + 1))
    for o in range(outputs):
        seen = x[:, o // per * inputs : (o // per + 1) * inputs]
        for i, j in np.ndindex(y.shape[2:]):
            y[:, o, i, j] = (seen[:, :, i : i + rows, j : j + columns] * weight[o]).sum((1, 2, 3))
    return y if bias is None else y + bias[:, None, None]


def conv_transpose2d(x, weight, bias, stride):
    """Every pixel of x [N, C, H, W] puts a multiple of weight [C, O, R, S] into the result."""
    rows, columns = weight.shape[2:]
    size = [(n - 1) * stride + k for n, k in zip(x.shape[2:], (rows, columns), strict=True)]
    y = np.zeros((len(x), weight.shape[1], *size))
    for i, j in np.ndindex(x.shape[2:]):
        at = np.s_[:, :, i * stride : i * stride + rows, j * stride : j * stride + columns]
        y[at] += np.einsum("nc,cors->nors", x[:, :, i, j], weight)
    return y + bias[:, None, None]


def batch_norm(x, weight, bias, running_mean, running_var, epsilon):
    axes = (slice(None), *(None,) * (x.ndim - 2))
    return (x - running_mean[axes]) / np.sqrt(running_var[axes] + epsilon) * weight[axes] + bias[axes]


def layer_norm(x, weight, bias, epsilon):
    axes = tuple(range(x.ndim - weight.ndim, x.ndim))
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon) * weight + bias


def group_norm(x, groups, weight, bias, epsilon):
    parts = x.reshape(len(x), groups, -1)
    parts = (parts - parts.mean(2, keepdims=True)) / np.sqrt(parts.var(2, keepdims=True) + epsilon)
    return parts.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def rnn(x, state, suffix=""):
    """h = tanh(W x + b + U h + c) over x [N, T, C]."""
    w, u, b, c = (state[f"{name}_l0{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h, ys = np.zeros((len(x), u.shape[1])), []
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ w.T + b + h @ u.T + c)
        ys.append(h)
    return np.stack(ys, 1)


def lstm(x, state, suffix=""):
    """Gates i, f, g, o: c = f c + i g, h = o tanh(c)."""
    w, u, b, more = (state[f"{name}_l0{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h = c = np.zeros((len(x), u.shape[1]))
    ys = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w.T + b + h @ u.T + more, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        ys.append(h)
    return np.stack(ys, 1)


def gru(x, state, suffix=""):
    """Gates r, z, n: n = tanh(W x + b + r (U h + c)), h = (1 - z) n + z h."""
    w, u, b, c = (state[f"{name}_l0{suffix}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    h, ys = np.zeros((len(x), u.shape[1])), []
    for t in range(x.shape[1]):
        (r, z, n), (hr, hz, hn) = np.split(x[:, t] @ w.T + b, 3, axis=1), np.split(h @ u.T + c, 3, axis=1)
        r, z = sigmoid(r + hr), sigmoid(z + hz)
        h = (1 - z) * np.tanh(n + r * hn) + z * h
        ys.append(h)
    return np.stack(ys, 1)
