"""Recurrent layers of other kinds: output-to-hidden recurrence, LSTM with layer normalization."""

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core.gradients import gradients
from pynn.testing import gradcheck

N, T, D, H = 5, 7, 4, 6
LENGTHS = np.array([7, 3, 1, 5, 7], "int32")


def data(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def leaf(array):
    return pynn.tensor(array, dtype="float64", requires_grad=True)


def grads(y, dy, *leaves):
    found = gradients(y, pynn.tensor(dy, dtype="float64"))
    return [found[id(t)][1].numpy() for t in leaves]


def weights(layer):
    return [w for _, w in layer.named_parameters()]


# Output-to-hidden recurrence


def softmax(a):
    e = np.exp(a - a.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


OUTPUTS = {"linear": lambda a: a, "tanh": np.tanh, "sigmoid": lambda a: 1 / (1 + np.exp(-a)), "softmax": softmax,
           "relu": lambda a: np.maximum(a, 0)}  # fmt: skip


def jordan_reference(layer, x, targets=None, lengths=None):
    w, v, b, w_out, b_out = (a.numpy() for a in weights(layer))
    out, before = [], np.zeros((len(x), layer.outputs))
    for t in range(x.shape[1]):
        out.append(OUTPUTS[layer.output_activation](np.tanh(x[:, t] @ w + before @ v + b) @ w_out + b_out))
        before = out[-1] if targets is None else targets[:, t]
        if lengths is not None:
            out[-1] = np.where(t < lengths[:, None], out[-1], 0)
    return np.stack(out, 1)


def jordan(output_activation, dtype="float64"):
    layer = nn.JordanRNN(H, 3, output_activation=output_activation, seed=1).astype(dtype)
    layer(data(N, T, D).astype(dtype))
    layer.set_weights([data(*w.shape, seed=i) / 2 for i, w in enumerate(weights(layer))])
    return layer


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("output_activation", list(OUTPUTS))
def test_the_output_feeds_the_hidden_layer(output_activation, taught):
    layer, x = jordan(output_activation), data(N, T, D)
    inputs = (x, data(N, T, 3, seed=1)) if taught else (x,)
    np.testing.assert_allclose(layer(*inputs).numpy(), jordan_reference(layer, *inputs), rtol=1e-11, atol=1e-12)
    leaves, dy = [leaf(x), *weights(layer)], data(N, T, 3, seed=7)
    found = grads(layer(leaves[0], *inputs[1:]), dy, *leaves)
    for t, given in zip(leaves, found, strict=True):
        memory, slope = t.view(), np.random.default_rng(0).choice([-1.0, 1.0], t.shape)
        at, sides = memory.copy(), []
        for eps in (1e-6, -1e-6):
            memory[...] = at + eps * slope
            sides.append(np.sum(jordan_reference(layer, leaves[0].numpy(), *inputs[1:]) * dy))
        memory[...] = at
        np.testing.assert_allclose(np.sum(given * slope), (sides[0] - sides[1]) / 2e-6, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("output_activation", ["tanh", "softmax"])
def test_output_feedback_equals_pytorch_step_by_step(output_activation):
    torch = pytest.importorskip("torch")
    layer, x = jordan(output_activation), data(N, T, D)
    mine, dy = leaf(x), data(N, T, 3, seed=7)
    found = grads(layer(mine), dy, mine, *weights(layer))
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, *layer.get_weights())]
    tx, w, v, b, w_out, b_out = theirs
    act = torch.tanh if output_activation == "tanh" else lambda a: torch.softmax(a, 1)
    o, out = torch.zeros(N, 3, dtype=torch.float64), []
    for t in range(T):
        o = act(torch.tanh(tx[:, t] @ w + o @ v + b) @ w_out + b_out)
        out.append(o)
    torch.stack(out, 1).backward(torch.from_numpy(dy))
    for a, b in zip(found, theirs, strict=True):
        np.testing.assert_allclose(a, b.grad.numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("output_activation", ["tanh", "softmax"])
def test_output_feedback_stops_where_sequences_end(output_activation):
    layer, x, dy = jordan(output_activation), data(N, T, D), data(N, T, 3, seed=7)
    whole = leaf(x)
    whole.lengths = pynn.tensor(LENGTHS)
    y = layer(whole)
    np.testing.assert_allclose(y.numpy(), jordan_reference(layer, x, lengths=LENGTHS), rtol=1e-11, atol=1e-12)
    dx, *dws = grads(y, dy, whole, *weights(layer))
    sums = [np.zeros_like(a) for a in dws]
    for n, t in enumerate(LENGTHS):
        one = leaf(x[n : n + 1, :t])
        dx1, *dws1 = grads(layer(one), dy[n : n + 1, :t], one, *weights(layer))
        np.testing.assert_allclose(dx[n, :t], dx1[0], rtol=1e-10, atol=1e-12)
        assert not dx[n, t:].any()
        sums = [a + b for a, b in zip(sums, dws1, strict=True)]
    for a, b in zip(dws, sums, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# LSTM with layer normalization


def layer_norm_lstm_reference(layer, x, lengths=None, reverse=False, h=None, c=None):
    w, u, b, gamma_x, gamma_h, gamma_c, beta_c = layer.get_weights()

    def norm(a, gamma, beta=0.0):
        return gamma * (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + layer.epsilon) + beta

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    h, c = (np.zeros((len(x), layer.units)) if s is None else s for s in (h, c))
    y = np.zeros((*x.shape[:2], layer.units))
    for t in range(x.shape[1])[:: -1 if reverse else 1]:
        i, f, g, o = np.split(norm(x[:, t] @ w, gamma_x) + norm(h @ u, gamma_h) + b, 4, axis=1)
        c_new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h_new = sigmoid(o) * np.tanh(norm(c_new, gamma_c, beta_c))
        on = np.full((len(x), 1), True) if lengths is None else t < lengths[:, None]
        h, c, y[:, t] = np.where(on, h_new, h), np.where(on, c_new, c), np.where(on, h_new, 0)
    return y, h, c


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_layer_norm_lstm_computes_what_numpy_does(reverse, lengths):
    layer = nn.LayerNormLSTM(H, return_sequences=True, return_state=True, go_backwards=reverse).astype("float64")
    x, states = data(N, T, D), [data(N, H, seed=i) for i in (1, 2)]
    layer(x)
    layer.set_weights([data(*w.shape, seed=i) for i, w in enumerate(weights(layer))])
    y, h, c = layer(x, states, lengths=lengths)
    ey, eh, ec = layer_norm_lstm_reference(layer, x, lengths, reverse, *states)
    if reverse:  # real steps from the last to the first, padding still at the end
        for row, end in zip(ey, [T] * N if lengths is None else lengths, strict=True):
            row[:end] = row[:end][::-1].copy()
    np.testing.assert_allclose(y.numpy(), ey, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(h.numpy(), eh, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(c.numpy(), ec, rtol=1e-10, atol=1e-12)


def test_layer_norm_lstm_gradients():
    layer = nn.LayerNormLSTM(3, return_sequences=True).astype("float64")
    x, lengths = data(2, 5, 2), np.array([5, 3], "int32")
    layer(x)

    def run(x, *given):
        for name, t in zip(("w", "u", "b", "gamma_x", "gamma_h", "gamma_c", "beta_c"), given, strict=True):
            layer._weights[name] = t
        return layer(x, lengths=lengths)

    gradcheck(run, [x, *(data(*w.shape, seed=i) for i, w in enumerate(weights(layer)))])


def test_layer_norm_lstm_learns():
    x = np.random.default_rng(0).integers(1, 20, (256, 8))
    model = nn.Sequential([nn.Embedding(20, 8), nn.LayerNormLSTM(16), nn.Dense(2)])
    model.compile(pynn.optim.Adam(0.02), "cross_entropy", ["accuracy"], seed=0)
    history = model.fit(x, (x[:, 0] > 10).astype(int), batch_size=32, epochs=20, verbose=0)
    assert history.history["accuracy"][-1] > 0.95
