"""Recurrent layers: values and gradients against NumPy and PyTorch, padding, states."""

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core.gradients import gradients
from pynn.ops import rnn as cells

N, T, D, H = 5, 7, 4, 6
LENGTHS = np.array([7, 3, 1, 5, 7], "int32")
KINDS = {
    "lstm": lambda **o: nn.LSTM(H, **o),
    "lstm peephole": lambda **o: nn.LSTM(H, peephole=True, **o),
    "gru": lambda **o: nn.GRU(H, **o),
    "gru before": lambda **o: nn.GRU(H, reset_after=False, **o),
    "simple": lambda **o: nn.SimpleRNN(H, **o),
    "simple relu": lambda **o: nn.SimpleRNN(H, activation="relu", **o),
}
kinds = pytest.mark.parametrize("kind", list(KINDS))


def make(kind, seed=1, dtype="float64", shape=(N, T, D), **options):
    """A layer whose weights are all random, biases and peepholes too."""
    layer = KINDS[kind](seed=seed, **options).astype(dtype)
    layer.build(shape)
    object.__setattr__(layer, "built", True)
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(-0.5, 0.5, w.shape) for w in layer.get_weights()])
    return layer


def data(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def steps(x, lo, hi):
    return np.ascontiguousarray(x[:, lo:hi])


def leaf(array):
    return pynn.tensor(array, dtype="float64", requires_grad=True)


def grads(y, dy, *leaves):
    found = gradients(y, pynn.tensor(dy, dtype="float64"))
    return [found[id(t)][1].numpy() for t in leaves]


def weights(layer):
    return [w for _, w in layer.named_parameters()]


def reference(kind, layer, x, h0=None, c0=None, lengths=None, reverse=False):
    """All outputs and the last states, step by step in NumPy."""
    w, u, b, *p = [a.numpy() for a in weights(layer)]
    if kind.startswith("lstm"):
        return cells.lstm_ref(x, w, u, b, h0, c0, p[0] if p else None, lengths, None, reverse)
    if kind.startswith("gru"):
        return cells.gru_ref(x, w, u, b, h0, lengths, None, kind == "gru", reverse)
    activation = "relu" if kind.endswith("relu") else "tanh"
    return cells.simple_rnn_ref(x, w, u, b, h0, lengths, None, activation, reverse)


# Values


def turned(y, lengths):
    """The real steps of each sequence in reverse; padding stays at the end."""
    ends = [y.shape[1]] * len(y) if lengths is None else lengths
    return np.stack([np.concatenate([row[:end][::-1], row[end:]]) for row, end in zip(y, ends, strict=True)])


@kinds
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_layers_compute_what_numpy_does(kind, reverse, lengths):
    layer = make(kind, return_sequences=True, return_state=True, go_backwards=reverse)
    x, states = data(N, T, D), [data(N, H, seed=i) for i in range(layer.state_count)]
    y, *last = layer(x, states, lengths=lengths)
    expected, *ends = reference(kind, layer, x, *states, lengths=lengths, reverse=reverse)
    np.testing.assert_allclose(y.numpy(), turned(expected, lengths) if reverse else expected, rtol=1e-12, atol=1e-13)
    for a, b in zip(last, ends, strict=True):
        np.testing.assert_allclose(a.numpy(), b, rtol=1e-12, atol=1e-13)
    only = make(kind, go_backwards=reverse)(x, states, lengths=lengths)
    assert only.numpy().tobytes() == last[0].numpy().tobytes()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "gru", "simple", "simple relu"])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_layers_equal_pytorch(kind, bidirectional, lengths):
    torch = pytest.importorskip("torch")
    packing = torch.nn.utils.rnn
    name, options = {"lstm": ("LSTM", {}), "gru": ("GRU", {}), "simple": ("RNN", {}),
                     "simple relu": ("RNN", {"nonlinearity": "relu"})}[kind]  # fmt: skip
    theirs = getattr(torch.nn, name)(
        D, H, batch_first=True, bidirectional=bidirectional, dtype=torch.float64, **options
    )
    layer = make(kind, return_sequences=True)
    ours = [layer]
    if bidirectional:
        model = nn.Bidirectional(KINDS[kind](return_sequences=True)).astype("float64")
        model(data(N, T, D))
        ours = [model.forward_layer, model.backward_layer]
        for i, one in enumerate(ours):
            one.set_weights(make(kind, seed=i).get_weights())
    order = [1, 0, 2] if kind == "gru" else list(range(layer.blocks))  # z r g here, r z n there

    def turn(a):
        return np.concatenate([np.split(a, layer.blocks, -1)[k] for k in order], -1)

    for suffix, one in zip(("", "_reverse"), ours, strict=False):
        w, u, b = (a.numpy() for a in weights(one))
        b = turn(b) if kind == "gru" else np.stack([b, np.zeros_like(b)])
        for key, value in (("weight_ih", turn(w).T), ("weight_hh", turn(u).T), ("bias_ih", b[0]), ("bias_hh", b[1])):
            getattr(theirs, f"{key}_l0{suffix}").data[:] = torch.from_numpy(np.ascontiguousarray(value))
    x = data(N, T, D)
    tx, dy = torch.tensor(x, requires_grad=True), data(N, T, H * (1 + bidirectional), seed=9)
    if lengths is None:
        ty = theirs(tx)[0]
    else:
        packed = packing.pack_padded_sequence(
            tx, torch.from_numpy(lengths).long(), batch_first=True, enforce_sorted=False
        )
        ty = packing.pad_packed_sequence(theirs(packed)[0], batch_first=True, total_length=T)[0]
    ty.backward(torch.from_numpy(dy))
    mine = leaf(x)
    y = (model if bidirectional else layer)(mine, lengths=lengths)
    np.testing.assert_allclose(y.numpy(), ty.detach().numpy(), rtol=1e-10, atol=1e-10)
    found = gradients(y, pynn.tensor(dy))
    np.testing.assert_allclose(found[id(mine)][1].numpy(), tx.grad.numpy(), rtol=1e-10, atol=1e-10)
    for suffix, one in zip(("", "_reverse"), ours, strict=False):
        dw, du, db = (found[id(t)][1].numpy() for t in weights(one))
        expected = {key: getattr(theirs, f"{key}_l0{suffix}").grad.numpy() for key in
                    ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}  # fmt: skip
        db = turn(db) if kind == "gru" else np.stack([db, db])
        for a, key in ((turn(dw).T, "weight_ih"), (turn(du).T, "weight_hh"), (db[0], "bias_ih"), (db[1], "bias_hh")):
            np.testing.assert_allclose(a, expected[key], rtol=1e-10, atol=1e-10, err_msg=key + suffix)


# Padding


@kinds
@pytest.mark.parametrize("reverse", [False, True])
def test_a_padded_batch_equals_its_sequences_one_by_one(kind, reverse):
    layer = make(kind, return_sequences=True, return_state=True, go_backwards=reverse)
    object.__setattr__(layer, "_aligned", True)
    x, dy, dh = data(N, T, D), data(N, T, H, seed=1), data(N, H, seed=2)
    whole = leaf(x)
    y, h, *_ = layer(whole, lengths=LENGTHS)
    total = (y * pynn.tensor(dy)).sum() + (h * pynn.tensor(dh)).sum()
    dx, *dws = grads(total, np.array(1.0), whole, *weights(layer))
    sums = [np.zeros_like(a) for a in dws]
    for n, t in enumerate(LENGTHS):
        one = leaf(x[n : n + 1, :t])
        y1, h1, *_ = layer(one)
        np.testing.assert_allclose(y.numpy()[n, :t], y1.numpy()[0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(h.numpy()[n], h1.numpy()[0], rtol=1e-12, atol=1e-14)
        loss = (y1 * pynn.tensor(dy[n : n + 1, :t])).sum() + (h1 * pynn.tensor(dh[n : n + 1])).sum()
        dx1, *dws1 = grads(loss, np.array(1.0), one, *weights(layer))
        np.testing.assert_allclose(dx[n, :t], dx1[0], rtol=1e-11, atol=1e-13)
        assert not dx[n, t:].any()
        assert not y.numpy()[n, t:].any()
        sums = [a + b for a, b in zip(sums, dws1, strict=True)]
    for a, b in zip(dws, sums, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@kinds
def test_what_stands_in_the_padding_does_not_matter(kind):
    layer = make(kind, return_sequences=True)
    x = data(N, T, D)
    other = x.copy()
    for n, t in enumerate(LENGTHS):
        other[n, t:] = 77.0
    assert layer(x, lengths=LENGTHS).numpy().tobytes() == layer(other, lengths=LENGTHS).numpy().tobytes()
    mask = np.arange(T) < LENGTHS[:, None]
    assert layer(x, mask=mask).numpy().tobytes() == layer(x, lengths=LENGTHS).numpy().tobytes()


# States


@kinds
def test_stateful_runs_equal_one_long_run(kind):
    whole, parts = make(kind, return_sequences=True), make(kind, return_sequences=True, stateful=True)
    x = data(N, 12, D)
    expected = whole(x).numpy()
    pieces = [parts(steps(x, i, i + 4)).numpy() for i in range(0, 12, 4)]
    np.testing.assert_allclose(np.concatenate(pieces, 1), expected, rtol=1e-12, atol=1e-14)
    again = parts(steps(x, 0, 4)).numpy()
    assert not np.array_equal(again, pieces[0])
    parts.reset_states()
    assert parts(steps(x, 0, 4)).numpy().tobytes() == pieces[0].tobytes()


@kinds
@pytest.mark.parametrize("eagerly", [True, False])
def test_predictions_of_another_batch_size_carry_states_of_their_own(kind, eagerly):
    """Trained on many sequences at once, asked for one, step by step."""
    x, y = data(12, 3, D).astype("float32"), data(12, 3, 2, seed=1).astype("float32")

    def made(stateful=True):
        model = nn.Sequential([KINDS[kind](return_sequences=True, stateful=stateful), nn.Dense(2)])
        model.compile(pynn.optim.SGD(0.01), "mse", seed=0, run_eagerly=eagerly)
        return model

    model = made()
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    kept = [t.numpy() for t in model.layers[0]._kept]
    free = made(stateful=False)
    free.build((1, 3, D))
    free.set_weights(model.get_weights())
    one = data(1, 9, D, seed=3).astype("float32")
    expected = free.predict(one)
    for _ in range(2):
        found = np.concatenate([model.predict(one[:, i : i + 3].copy()) for i in (0, 3, 6)], 1)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        assert all(np.array_equal(a, b.numpy()) for a, b in zip(kept, model.layers[0]._kept, strict=True))
        nn.reset_states(model)
        kept = [0 * t for t in kept]
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)  # and training goes on in its own size
    fresh = made()
    fresh.build((1, 3, D))
    fresh.predict(one[:, :3].copy())
    fresh.fit(x, y, batch_size=4, shuffle=False, verbose=0)  # a prediction binds no training
    model.predict(one[:, :3].copy())
    assert model.evaluate(x[:6], y[:6], batch_size=2)["loss"] > 0


def test_a_stateful_prediction_of_a_part_of_a_batch_is_refused():
    model = nn.Sequential([nn.Input((3, D)), nn.LSTM(3, stateful=True), nn.Dense(2)])
    model.compile("sgd", "mse", seed=0)
    x = data(5, 3, D).astype("float32")
    model.predict(x)
    with pytest.raises(pynn.errors.ShapeError, match=r"\[predict\] expected whole batches of 2.*5 samples.*divides"):
        model.predict(x, batch_size=2)
    with pytest.raises(pynn.errors.ShapeError, match=r"\[evaluate\] expected whole batches of 2"):
        model.evaluate(x, np.zeros((5, 2)), batch_size=2)


@pytest.mark.parametrize("kind", ["lstm", "gru", "simple"])
def test_a_stateful_model_carries_its_state_from_batch_to_batch_of_fit(kind):
    x, y = data(12, 3, D).astype("float32"), data(12, 3, 2, seed=1).astype("float32")  # 3 batches of 4

    def train(eagerly):
        model = nn.Sequential([KINDS[kind](return_sequences=True, stateful=True), nn.Dense(2)])
        model.compile(pynn.optim.SGD(0.0), "mse", seed=0)
        losses = []
        for _ in range(2):
            model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0, run_eagerly=eagerly)
            losses.append(model.predict(x, batch_size=4))
            nn.reset_states(model)
        return model, losses

    model, found = train(False)
    assert np.array_equal(found, train(True)[1])
    assert found[0].tobytes() == found[1].tobytes()
    long = KINDS[kind](return_sequences=True)
    long(x)
    long.set_weights(model.layers[0].get_weights())
    stretched = np.concatenate([x[:4], x[4:8], x[8:], x[:4], x[4:8], x[8:]], axis=1)
    h = long(stretched).numpy()[:, 9:]
    dense = model.layers[1]
    expected = h @ dense.w.numpy() + dense.b.numpy()
    np.testing.assert_allclose(found[0].reshape(3, 4, 3, 2), expected.reshape(4, 3, 3, 2).swapaxes(0, 1), rtol=1e-4,
                               atol=1e-5)  # fmt: skip


@kinds
def test_initial_states_are_the_last_states_of_the_steps_before(kind):
    layer = make(kind, return_sequences=True, return_state=True)
    x = data(N, T, D)
    y, *last = layer(x)
    first, *middle = layer(steps(x, 0, 3))
    second, *end = layer(steps(x, 3, T), middle)
    np.testing.assert_allclose(np.concatenate([first.numpy(), second.numpy()], 1), y.numpy(), rtol=1e-12, atol=1e-14)
    for a, b in zip(end, last, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)


def test_masks_of_dropout_keep_what_is_not_zero(rng):
    x, w, u = (rng.normal(size=shape).astype("f4") for shape in ((4, 3, 2), (2, 15), (5, 15)))
    ones = rng.integers(0, 2, (4, 5))
    want = pynn.ops.gru(x, w, u, mask=ones.astype("uint8"), keep=0.5)[0].numpy()
    for mask in (ones, ones * 65536, ones * 0.25, ones.astype(bool), (ones * 256).tolist()):
        np.testing.assert_array_equal(pynn.ops.gru(x, w, u, mask=mask, keep=0.5)[0].numpy(), want)
