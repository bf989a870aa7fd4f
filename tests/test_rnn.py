"""Recurrent layers and embeddings: against NumPy and PyTorch, padding, states, programs, threads, refusals."""

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.errors import DataError, DTypeError, ShapeError
from pynn.graph import gradients
from pynn.ops import rnn as cells
from pynn.tensor import Tensor

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


@kinds
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_layers_compute_what_numpy_does(kind, reverse, lengths):
    layer = make(kind, return_sequences=True, return_state=True, go_backwards=reverse)
    x, states = data(N, T, D), [data(N, H, seed=i) for i in range(layer.states)]
    y, *last = layer(x, states, lengths=lengths)
    expected, *ends = reference(kind, layer, x, *states, lengths=lengths, reverse=reverse)
    np.testing.assert_allclose(y.numpy(), expected[:, ::-1] if reverse else expected, rtol=1e-12, atol=1e-13)
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


def ids_of(lengths, seed=0, high=30):
    ids = np.random.default_rng(seed).integers(1, high, (len(lengths), T))
    return np.where(np.arange(T) < np.asarray(lengths)[:, None], ids, 0)


@pytest.mark.parametrize("between", [[], [nn.Dropout(0.5)], [nn.Dense(4)], [nn.TimeDistributed(nn.Dense(4))],
                                     [nn.GRU(4, return_sequences=True)], [nn.Activation("tanh")],
                                     [nn.Bidirectional(nn.GRU(2, return_sequences=True))]],
                         ids=lambda layers: "".join(type(x).__name__ for x in layers) or "nothing")  # fmt: skip
def test_mask_zero_reaches_the_recurrent_layer(between):
    ids = ids_of(LENGTHS)
    head = nn.Sequential([nn.Embedding(30, 4, mask_zero=True, seed=1), *between])
    layer = nn.LSTM(H, seed=2)
    x = head(ids)
    assert x.lengths.numpy().tolist() == LENGTHS.tolist()
    assert layer(x).numpy().tobytes() == layer(Tensor.state(x.numpy()), lengths=LENGTHS).numpy().tobytes()


def test_a_model_with_padding_trains_and_predicts_as_without_it():
    ids = ids_of([4] * 32, seed=5)
    y = (ids[:, 0] > 15).astype(int)
    found = []
    for x in (ids, ids[:, :4].copy()):
        model = nn.Sequential([nn.Embedding(30, 8, mask_zero=True), nn.LSTM(8), nn.Dense(2)])
        model.compile(pynn.optim.SGD(0.5), "cross_entropy", seed=0)
        history = model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        found.append((history.history["loss"], model.predict(x)))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4, atol=1e-5)


def test_lengths_are_read_anew_at_every_replay():
    x, y = ids_of(np.tile(LENGTHS, 4), seed=2), np.tile([0, 1, 1, 0, 1], 4)
    model = nn.Sequential([nn.Embedding(30, 8, mask_zero=True), nn.LSTM(8), nn.Dense(2)])
    model.compile("adam", "cross_entropy", seed=0)
    model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    each = np.concatenate([model.predict(steps(x[i : i + 1], 0, LENGTHS[i % 5])) for i in range(20)])
    np.testing.assert_allclose(model.predict(x, batch_size=4), each, rtol=1e-5, atol=1e-6)


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


# Wrappers


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("sequences", [False, True])
def test_bidirectional_merges_two_directions(mode, sequences):
    both = nn.Bidirectional(nn.GRU(H, return_sequences=sequences), merge_mode=mode)
    x = data(N, T, D).astype("float32")
    out = both(x, lengths=LENGTHS)
    a, b = both.forward_layer(x, lengths=LENGTHS).numpy(), both.backward_layer(x, lengths=LENGTHS).numpy()
    assert not np.array_equal(both.forward_layer.w.numpy(), both.backward_layer.w.numpy())
    if mode is None:
        assert np.array_equal(out[0].numpy(), a)
        assert np.array_equal(out[1].numpy(), b)
        return
    expected = {"concat": np.concatenate([a, b], -1), "sum": a + b, "mul": a * b, "ave": (a + b) / 2}[mode]
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)


def test_bidirectional_returns_states_and_takes_them():
    both = nn.Bidirectional(nn.LSTM(3, return_state=True))
    x = data(N, T, D).astype("float32")
    y, *states = both(x)
    assert y.shape == (N, 6)
    assert len(states) == 4
    assert not np.array_equal(both(x, states)[0].numpy(), y.numpy())


def test_time_distributed_is_the_layer_at_every_step():
    layer = nn.TimeDistributed(nn.Dense(3, activation="tanh"))
    x = data(N, T, D).astype("float32")
    y = layer(x).numpy()
    for t in range(T):
        np.testing.assert_allclose(y[:, t], layer.layer(np.ascontiguousarray(x[:, t])).numpy(), rtol=1e-6)


def jordan_reference(layer, x, targets=None):
    w, v, b, w_out, b_out = (a.numpy() for a in weights(layer))
    out, before = [], np.zeros((len(x), layer.outputs))
    for t in range(x.shape[1]):
        out.append(np.tanh(x[:, t] @ w + before @ v + b) @ w_out + b_out)
        before = out[-1] if targets is None else targets[:, t]
    return np.stack(out, 1)


@pytest.mark.parametrize("taught", [False, True])
def test_the_output_feeds_the_hidden_layer(taught):
    layer = nn.JordanRNN(H, 3, seed=1).astype("float64")
    x, targets = data(N, T, D), data(N, T, 3, seed=1) if taught else None
    inputs = (x,) if targets is None else (x, targets)
    layer(*inputs)
    layer.set_weights([data(*w.shape, seed=i) / 2 for i, w in enumerate(weights(layer))])
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


def test_teacher_forcing_is_a_second_input_of_fit():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 6, 2)).astype("float32")
    y = np.cumsum(x[..., :1], axis=1) * 0.3  # o_t = o_(t-1) + 0.3 x_t
    model = nn.JordanRNN(16, 1, activation="linear")
    model.compile(pynn.optim.Adam(0.02), "mse", seed=0)
    history = model.fit((x, y), y, batch_size=16, epochs=60, verbose=0)
    assert history.history["loss"][-1] < 1e-3
    assert np.mean((model.predict(x) - y) ** 2) < 0.02


# Dropout


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru before", "simple"])
def test_dropout_is_the_same_at_all_steps_and_only_while_training(kind):
    layer = make(kind, dtype="float32", dropout=0.5, recurrent_dropout=0.5, return_sequences=True)
    x = data(N, T, D).astype("float32")
    plain = layer(x).numpy()
    np.testing.assert_allclose(plain, reference(kind, layer, x)[0], rtol=1e-4, atol=1e-5)
    first, second = layer(x, training=True).numpy(), layer(x, training=True).numpy()
    assert not np.array_equal(first, plain)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("options", [{}, {"dropout": 0.3, "recurrent_dropout": 0.3}, {"go_backwards": True}], ids=str)
def test_eager_equals_program_and_threads_do_not_matter(kind, options):
    x, y = data(40, 9, 5).astype("float32"), np.arange(40) % 3
    found = []
    before = pynn.get_num_threads()
    try:
        for threads, eagerly in ((1, False), (2, False), (4, False), (1, True), (2, True)):
            pynn.set_num_threads(threads)
            layers = [KINDS[kind](return_sequences=True, **options), KINDS[kind](**options)]
            model = nn.Sequential([nn.Input((9, 5)), *layers, nn.Dense(3)])
            model.compile(pynn.optim.Adam(0.01, clip_norm=1.0), "cross_entropy", seed=4)
            model.fit(x, y, batch_size=16, epochs=2, verbose=0, run_eagerly=eagerly)
            found.append(b"".join(w.tobytes() for w in model.get_weights()))
    finally:
        pynn.set_num_threads(before)
    assert len(set(found)) == 1


@pytest.mark.parametrize("op", ["lstm", "gru", "simple_rnn"])
def test_threads_share_large_batches_without_changing_bits(op):
    blocks = {"lstm": 4, "gru": 3, "simple_rnn": 1}[op]
    x, w, u = (data(*s).astype("float32") for s in ((130, 6, 40), (40, blocks * 48), (48, blocks * 48)))
    found = []
    before = pynn.get_num_threads()
    try:
        for threads in (1, 2, 3, 4):
            pynn.set_num_threads(threads)
            leaves = [pynn.tensor(a * 0.1, requires_grad=True) for a in (x, w, u)]
            y = getattr(ops, op)(*leaves)[0]
            given = gradients(y, pynn.tensor(np.ones(y.shape, "float32")))
            found.append(y.numpy().tobytes() + b"".join(given[id(t)][1].numpy().tobytes() for t in leaves))
    finally:
        pynn.set_num_threads(before)
    assert len(set(found)) == 1


# Layers in general


def test_defaults_and_layouts_are_those_of_keras():
    lstm, gru, simple = nn.LSTM(H), nn.GRU(H), nn.SimpleRNN(H)
    shapes = {}
    for layer in (lstm, gru, simple, nn.GRU(H, reset_after=False)):
        layer(data(N, T, D).astype("float32"))
        shapes[repr(layer), layer.b.shape] = [w.shape for w in weights(layer)]
    assert list(shapes.values()) == [
        [(D, 4 * H), (H, 4 * H), (4 * H,)], [(D, 3 * H), (H, 3 * H), (2, 3 * H)], [(D, H), (H, H), (H,)],
        [(D, 3 * H), (H, 3 * H), (3 * H,)],
    ]  # fmt: skip
    bias = lstm.b.numpy()
    assert np.array_equal(bias[H : 2 * H], np.ones(H))
    assert not bias[:H].any()
    assert not bias[2 * H :].any()
    u = simple.u.numpy()
    np.testing.assert_allclose(u @ u.T, np.eye(H), atol=1e-5)
    assert nn.LSTM(H, unit_forget_bias=False, seed=1)(data(N, T, D).astype("float32")).shape == (N, H)


def test_summary_and_repr_know_recurrent_models(capsys):
    model = nn.Sequential([nn.Input((T,)), nn.Embedding(30, 8, mask_zero=True), nn.LSTM(16, return_sequences=True),
                           nn.Bidirectional(nn.GRU(4)), nn.Dense(2)])  # fmt: skip
    model.summary()
    text = capsys.readouterr().out
    assert "(N, 7, 16)" in text
    assert "(N, 8)" in text
    assert "Embedding(30, 8, mask_zero=True)" in repr(model)
    assert "LSTM(16, return_sequences=True)" in repr(model)


def test_a_small_lstm_learns_the_first_token():
    x = np.random.default_rng(0).integers(1, 20, (256, 10))
    y = (x[:, 0] > 10).astype(int)
    model = nn.Sequential([nn.Embedding(20, 8), nn.LSTM(16), nn.Dense(2)])
    model.compile(pynn.optim.Adam(0.02), "cross_entropy", ["accuracy"], seed=0)
    history = model.fit(x, y, batch_size=32, epochs=25, verbose=0)
    assert history.history["accuracy"][-1] > 0.95


# Embedding


def test_embedding_looks_up_and_adds_up_gradients():
    layer = nn.Embedding(10, 3, seed=1)
    ids = np.array([[1, 2, 1], [9, 0, 1]])
    y = layer(ids)
    w = layer.w
    assert np.array_equal(y.numpy(), w.numpy()[ids])
    dy = data(2, 3, 3).astype("float32")
    found = gradients(y, pynn.tensor(dy))[id(w)][1].numpy()
    expected = np.zeros((10, 3), "float32")
    np.add.at(expected, ids, dy)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.abs(w.numpy()).max() <= 0.05


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_token_ids_stay_integers_on_their_way_into_a_model(dtype):
    model = nn.Sequential([nn.Embedding(30, 4), nn.Flatten(), nn.Dense(2)])
    x = ids_of([T] * 10).astype(dtype)
    model.compile("sgd", "cross_entropy", seed=0)
    model.fit(x, np.arange(10) % 2, batch_size=5, verbose=0)
    head, _, dense = model.layers
    expected = head.w.numpy()[x].reshape(10, -1) @ dense.w.numpy() + dense.b.numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=1e-5, atol=1e-6)


# What is refused

X = data(N, T, D).astype("float32")
LSTM = nn.LSTM(H)
BAD = {
    "ids too large": (lambda: nn.Embedding(5, 2)(np.array([[1, 2], [3, 5]])), DataError, r"x\[1, 1\] = 5.*input_dim=5"),
    "ids negative": (lambda: nn.Embedding(5, 2)(np.array([[1, -2]])), DataError, r"x\[0, 1\] = -2"),
    "ids in fit": (
        lambda: compiled([nn.Embedding(5, 2), nn.LSTM(2), nn.Dense(2)]).fit(np.full((4, 3), 7), np.zeros(4, int)),
        DataError, r"\[fit\].*x\[0, 0\] = 7",
    ),
    "float ids": (lambda: nn.Embedding(5, 2)(np.ones((2, 2), "float32")), DTypeError, "astype"),
    "left padding": (
        lambda: nn.Embedding(5, 2, mask_zero=True)(np.array([[0, 1, 2]])), DataError, "at the end",
    ),
    "length zero": (lambda: LSTM(X, lengths=[1, 2, 0, 1, 1]), DataError, r"from 1 to 7.*lengths\[2\]=0"),
    "length too large": (lambda: LSTM(X, lengths=[1, 2, 8, 1, 1]), DataError, r"lengths\[2\]=8"),
    "float lengths": (lambda: LSTM(X, lengths=[1.0] * 5), DTypeError, "whole numbers"),
    "number of lengths": (lambda: LSTM(X, lengths=[1, 2]), ShapeError, r"lengths of shape \(5,\)"),
    "mask shape": (lambda: LSTM(X, mask=np.ones((5, 6), bool)), ShapeError, r"mask of shape \(5, 7\)"),
    "mask with left padding": (
        lambda: LSTM(X, mask=np.array([[1, 1, 0, 1, 0, 0, 0]] * 5, bool)), DataError, r"mask\[0, 2\].*post",
    ),
    "mask and lengths": (lambda: LSTM(X, mask=np.ones((5, 7), bool), lengths=LENGTHS), ValueError, "both"),
    "state shape": (lambda: LSTM(X, [np.ones((5, 3), "float32")] * 2), ShapeError, r"initial state of shape \(5, 6\)"),
    "number of states": (lambda: LSTM(X, np.ones((5, H), "float32")), ShapeError, "expected 2 initial states"),
    "no features": (lambda: nn.LSTM(3)(np.ones((2, 3), "float32")), ShapeError, "nn.Embedding"),
    "units": (lambda: nn.LSTM(0), ValueError, "units"),
    "dropout": (lambda: nn.GRU(3, recurrent_dropout=1.0), ValueError, r"recurrent_dropout in \[0, 1\)"),
    "activation": (lambda: nn.SimpleRNN(3, activation="tahn"), ValueError, "tanh"),
    "merge mode": (lambda: nn.Bidirectional(nn.LSTM(3), merge_mode="cat"), ValueError, "concat"),
    "bidirectional dense": (lambda: nn.Bidirectional(nn.Dense(3)), TypeError, "recurrent layer"),
    "bidirectional backwards": (
        lambda: nn.Bidirectional(nn.LSTM(3, go_backwards=True)), ValueError, "go_backwards=True",
    ),
    "jordan targets": (lambda: nn.JordanRNN(3, 2)(X, X), ShapeError, r"targets of shape \(5, 7, 2\)"),
    "time distributed": (lambda: nn.TimeDistributed(nn.Dense(3))(X[0]), ShapeError, r"\[N, T, ...\]"),
}  # fmt: skip


def compiled(layers):
    model = nn.Sequential(layers)
    model.compile("sgd", "cross_entropy", seed=0)
    return model


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_refused(name):
    call, kind, pattern = BAD[name]
    with pytest.raises(kind, match=f"(?s){pattern}"):
        call()


def test_a_stateful_layer_refuses_another_batch_size():
    layer = nn.LSTM(H, stateful=True)
    layer(X)
    with pytest.raises(ShapeError, match=r"batches of 5 sequences.*Received: 3.*reset_states"):
        layer(X[:3])
    layer.reset_states()
    assert layer(X[:3]).shape == (3, H)


def test_padding_that_appears_later_stops_a_program():
    x = ids_of([T] * 20)
    x[17, 2] = 0
    model = compiled([nn.Embedding(30, 4, mask_zero=True), nn.LSTM(4), nn.Dense(2)])
    with pytest.raises(DataError, match="at the end of a sequence"):
        model.fit(x, np.zeros(20, int), batch_size=5, shuffle=False, verbose=0)
