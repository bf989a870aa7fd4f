"""What surrounds recurrent layers: wrappers, dropout, defaults, programs, threads, options."""

import numpy as np
import pytest

import pynn
from pynn import nn, ops
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


@pytest.mark.parametrize("cls", [nn.LSTM, nn.GRU, nn.LayerNormLSTM, nn.SimpleRNN])
def test_activations_that_the_fused_steps_do_not_have_are_refused(cls):
    """An LSTM with another activation would be computed with tanh."""
    names = ["activation"] if cls is nn.SimpleRNN else ["activation", "recurrent_activation"]
    for name in names:
        if cls is not nn.SimpleRNN:
            with pytest.raises(ValueError, match=f" expected {name} .*which is the only one. Received: {name}='relu'"):
                cls(3, **{name: "relu"})
    assert cls(3, activation="tanh")(np.ones((1, 2, 2), "float32")).shape == (1, 3)


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


# Whole models


MODELS = {
    **{f"bidirectional {mode}": (lambda mode=mode: [nn.Bidirectional(nn.LSTM(4, return_sequences=True), mode),
                                                    nn.Bidirectional(nn.GRU(3), mode)])
       for mode in ("concat", "sum", "mul", "ave")},
    "time distributed": lambda: [nn.GRU(4, return_sequences=True), nn.TimeDistributed(nn.Dense(5, activation="relu")),
                                 nn.SimpleRNN(3)],
    "jordan": lambda: [nn.JordanRNN(6, 4, output_activation="softmax"), nn.LSTM(3)],
    "layer norm": lambda: [nn.LayerNormLSTM(4, recurrent_dropout=0.2, dropout=0.2)],
    "stacked backwards": lambda: [nn.GRU(4, return_sequences=True, go_backwards=True), nn.LSTM(3, peephole=True)],
}  # fmt: skip


@pytest.mark.parametrize("clip", [{"clip_norm": 0.5}, {"clip_value": 0.01}], ids=str)
@pytest.mark.parametrize("name", list(MODELS))
def test_models_give_the_same_bits_eagerly_as_programs_and_for_any_number_of_threads(name, clip):
    lengths = 1 + np.arange(40) % 9
    x = np.where(np.arange(9) < lengths[:, None], np.random.default_rng(3).integers(1, 30, (40, 9)), 0)
    found = []
    for threads, eagerly in ((1, False), (2, False), (4, False), (1, True)):
        pynn.set_num_threads(threads)
        padded = nn.Embedding(30, 6, mask_zero="backwards" not in name)  # after a turn padding would stand in front
        model = nn.Sequential([nn.Input((9,)), padded, *MODELS[name](), nn.Dense(3)])
        model.compile(pynn.optim.Adam(0.01, **clip), "cross_entropy", seed=4)
        model.fit(x, np.arange(40) % 3, batch_size=16, epochs=2, verbose=0, run_eagerly=eagerly)
        found.append(b"".join(w.tobytes() for w in model.get_weights()))
    assert len(set(found)) == 1


# Options of the ops against PyTorch's automatic differentiation


def unrolled(torch, kind, x, w, u, b, h, c, peephole, lengths, reverse, mask, keep):
    """All outputs and the last h, one elementary operation of PyTorch after the other."""
    sig, size = torch.sigmoid, u.shape[0]
    m = mask / keep
    y = [None] * x.shape[1]
    for t in range(x.shape[1])[:: -1 if reverse else 1]:
        hm, a = h * m, x[:, t] @ w
        if kind == "lstm":
            i, f, g, o = (a + hm @ u + b).split(size, 1)
            c_new = sig(f + peephole[1] * c) * c + sig(i + peephole[0] * c) * torch.tanh(g)
            new = sig(o + peephole[2] * c_new) * torch.tanh(c_new)
        elif kind.startswith("gru"):
            b_in, b_rec = (b[0], b[1]) if kind == "gru" else (b, torch.zeros_like(b))
            q = hm @ u + b_rec
            z, r = (sig(v) for v in (a + b_in + q)[:, : 2 * size].split(size, 1))
            inner = r * q[:, 2 * size :] if kind == "gru" else (r * hm) @ u[:, 2 * size :]
            new = z * h + (1 - z) * torch.tanh((a + b_in)[:, 2 * size :] + inner)
        else:
            new = torch.tanh(a + hm @ u + b)
        on = (t < lengths)[:, None]
        h = torch.where(on, new, h)
        if kind == "lstm":
            c = torch.where(on, c_new, c)
        y[t] = torch.where(on, new, torch.zeros_like(new))
    return torch.stack(y, 1), h, c


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "gru", "gru before", "simple_rnn"])
def test_every_option_of_the_ops_equals_pytorch_step_by_step(kind, reverse):
    torch = pytest.importorskip("torch")
    blocks = {"lstm": 4, "gru": 3, "gru before": 3, "simple_rnn": 1}[kind]
    shapes = {"x": (N, T, D), "w": (D, blocks * H), "u": (H, blocks * H),
              "b": (2, 3 * H) if kind == "gru" else (blocks * H,), "h": (N, H), "c": (N, H), "p": (3, H)}  # fmt: skip
    arrays = {k: data(*s, seed=i) / 2 for i, (k, s) in enumerate(shapes.items())}
    mask = np.random.default_rng(0).integers(0, 2, (N, H)).astype("uint8")
    dy, dh, dc = data(N, T, H, seed=20), data(N, H, seed=21), data(N, H, seed=22)
    mine = {k: leaf(a) for k, a in arrays.items()}
    theirs = {k: torch.tensor(a, requires_grad=True) for k, a in arrays.items()}
    options = {"lengths": LENGTHS, "reverse": reverse, "mask": mask, "keep": 0.7, "h0": mine["h"]}
    weights_ = (mine[k] for k in ("x", "w", "u", "b"))
    used = ["x", "w", "u", "b", "h"]
    if kind == "lstm":
        used += ["c", "p"]
        y, h, c = ops.lstm(*weights_, c0=mine["c"], peephole=mine["p"], **options)
    elif kind == "simple_rnn":
        y, h = ops.simple_rnn(*weights_, **options)
    else:
        y, h = ops.gru(*weights_, reset_after=kind == "gru", **options)
    fixed = (torch.from_numpy(LENGTHS), reverse, torch.from_numpy(mask * 1.0), 0.7)
    ty, th, tc = unrolled(torch, kind, *theirs.values(), *fixed)
    total = (y * pynn.tensor(dy)).sum() + (h * pynn.tensor(dh)).sum()
    t_total = (ty * torch.from_numpy(dy)).sum() + (th * torch.from_numpy(dh)).sum()
    if kind == "lstm":
        total, t_total = total + (c * pynn.tensor(dc)).sum(), t_total + (tc * torch.from_numpy(dc)).sum()
    np.testing.assert_allclose(y.numpy(), ty.detach().numpy(), rtol=1e-10, atol=1e-10)
    t_total.backward()
    for key, given in zip(used, grads(total, np.array(1.0), *(mine[k] for k in used)), strict=True):
        np.testing.assert_allclose(given, theirs[key].grad.numpy(), rtol=1e-10, atol=1e-10, err_msg=key)


def test_resetting_states_records_nothing_anew_and_frees_the_batch_size():
    model = nn.Sequential([nn.Input((4, 3)), nn.LSTM(5, stateful=True), nn.Dense(1)])
    model.compile("sgd", "mse", seed=0)
    x, y = np.random.default_rng(0).normal(size=(8, 4, 3)).astype("float32"), np.zeros((8, 1), "float32")

    def epoch(batch_size):
        nn.reset_states(model)
        model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0)
        return model._trainer.cache.recordings

    first = epoch(4)
    assert [epoch(4) for _ in range(4)] == [first] * 4
    assert epoch(2) > first
