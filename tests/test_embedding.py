"""Embedding: values, gradients, padding, the rows that optimizers update, ids out of range."""

import numpy as np
import pytest

import pynn
from pynn import nn, ops
from pynn.core.gradients import gradients
from pynn.core.tensor import Tensor
from pynn.errors import DataError, DTypeError

N, T, D, H = 5, 7, 4, 6
LENGTHS = np.array([7, 3, 1, 5, 7], "int32")


def data(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def steps(x, lo, hi):
    return np.ascontiguousarray(x[:, lo:hi])


def compiled(layers):
    model = nn.Sequential(layers)
    model.compile("sgd", "cross_entropy", seed=0)
    return model


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


# Padding


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


def test_padding_that_appears_later_stops_a_program():
    x = ids_of([T] * 20)
    x[17, 2] = 0
    model = compiled([nn.Embedding(30, 4, mask_zero=True, padding="post"), nn.LSTM(4), nn.Dense(2)])
    with pytest.raises(DataError, match=r"at the end of a sequence.*x\[2, 2\] = 0.*help.*any"):
        model.fit(x, np.zeros(20, int), batch_size=5, shuffle=False, verbose=0)


# Rows


OPTIMIZERS = {
    **{name: (lambda name=name, **o: pynn.optim.NAMES[name](learning_rate=0.05, **o)) for name in pynn.optim.NAMES},
    "rmsprop centered": lambda **o: pynn.optim.RMSprop(0.01, momentum=0.5, centered=True, **o),
}
optimizers = pytest.mark.parametrize("name", list(OPTIMIZERS))


class Gathered(nn.Embedding):
    """The same table, looked up by an op of which optimizers know nothing: its gradient is dense."""

    def forward(self, x):
        return ops.gather(self.w, x)


def train(layer, optimizer, vocabulary=50, width=12, epochs=3, eagerly=False, **options):
    x = np.random.default_rng(0).integers(0, vocabulary * 2 // 3, (22, 6))
    x[:, 0] = np.arange(22) % vocabulary
    model = nn.Sequential([layer(vocabulary, width, **options), nn.GRU(5), nn.Dense(2)])
    model.compile(optimizer, "cross_entropy", seed=3)
    model.fit(x, np.arange(22) % 2, batch_size=8, epochs=epochs, verbose=0, run_eagerly=eagerly)
    return model


@optimizers
@pytest.mark.parametrize("common", [{}, {"weight_decay": 0.1, "clip_norm": 0.05}, {"clip_value": 1e-3}], ids=str)
def test_a_table_is_updated_as_by_a_dense_gradient(name, common):
    """The same bits, although rows without a gradient are neither cleared nor read."""
    found = [train(layer, OPTIMIZERS[name](**common), eagerly=eagerly).get_weights()
             for layer, eagerly in ((Gathered, False), (nn.Embedding, False), (nn.Embedding, True))]  # fmt: skip
    for a, b, c in zip(*found, strict=True):
        assert a.tobytes() == b.tobytes() == c.tobytes()


@optimizers
def test_a_sparse_table_moves_only_where_it_was_looked_up(name):
    optimizer = OPTIMIZERS[name](weight_decay=0.1)
    model = train(nn.Embedding, optimizer, sparse=True)
    table, slots = model.layers[0].w, optimizer.state()
    start = train(nn.Embedding, pynn.optim.SGD(0.0)).layers[0].w.numpy()
    moved = (table.numpy() != start).any(1)
    assert moved[:33].all()
    assert not moved[33:].any()
    for slot in slots.values():
        if slot.size > 600:
            assert not slot[33 * 12 : 50 * 12].any()
    assert np.isfinite(table.numpy()).all()


def test_sparse_and_dense_are_the_same_bits_without_momentum():
    weights = [train(nn.Embedding, pynn.optim.SGD(0.5, clip_norm=0.1), sparse=s).get_weights() for s in (False, True)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*weights, strict=True))


class ByStep(nn.Embedding):
    """The same table, looked up step by step, in ids of two dtypes."""

    def forward(self, x):
        found = [
            super(ByStep, self).forward(x[:, t] if t % 2 else ops.cast(x[:, t], "int32")) for t in range(x.shape[1])
        ]
        return ops.concat([ops.reshape(y, (len(x), 1, y.shape[-1])) for y in found], 1)


@pytest.mark.parametrize("sparse", [False, True])
def test_a_table_that_is_looked_up_several_times_learns_as_from_one_lookup(sparse):
    one, eager, several = (
        train(layer, pynn.optim.Adam(0.05, weight_decay=0.1), sparse=sparse, eagerly=eagerly).get_weights()
        for layer, eagerly in ((nn.Embedding, False), (ByStep, True), (ByStep, False))
    )
    for a, b, c in zip(one, eager, several, strict=True):
        assert b.tobytes() == c.tobytes()
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_lookups_of_several_steps_write_the_gradient_once():
    model = nn.Sequential([ByStep(1000, 8), nn.SimpleRNN(4), nn.Dense(1)])
    model.compile("sgd", "mse", seed=0)
    profile = model.profile(np.arange(60).reshape(3, 20), np.ones((3, 1)), batch_size=3, steps=1)
    assert (
        profile.written < 2 * 1000 * 8 * 4
    )  # 40 times the table when each of the 20 lookups wrote and added all of it


def test_a_sparse_table_serves_lookups_alone():
    class Tied(nn.Embedding):
        def forward(self, x):
            return super().forward(x) @ ops.transpose(self.w)

    model = nn.Sequential([Tied(6, 4, sparse=True)])
    model.compile("sgd", "cross_entropy", seed=0)
    with pytest.raises(ValueError, match=r"lookups alone.*another use.*help"):
        model.fit(np.zeros((4, 3), int), np.zeros((4, 3), int), verbose=0)


@pytest.mark.parametrize("sparse", [False, True])
def test_the_gradient_that_training_leaves_is_the_dense_one(sparse):
    """Rows of the batch before are cleared; the last batch here is an incomplete one, which is another program."""
    model = train(nn.Embedding, pynn.optim.SGD(0.0), sparse=sparse)
    layer, x = model.layers[0], np.random.default_rng(0).integers(0, 33, (22, 6))
    x[:, 0] = np.arange(22)
    layer.w.grad = None
    for rows in (slice(0, 8), slice(8, 16)):
        model.train_on_batch(x[rows], np.arange(22)[rows] % 2)
        kept = model._trainer.flat.into[id(layer.w)].numpy()
        again = Gathered(50, 12)
        again(x[:1])
        again.set_weights([layer.w.numpy()])
        other = nn.Sequential([again, *model.layers[1:]])
        loss = pynn.losses.get("cross_entropy")(other(pynn.tensor(x[rows])), pynn.tensor(np.arange(22)[rows] % 2), None)
        expected = gradients(loss, pynn.tensor(1.0))[id(again.w)][1].numpy()
        np.testing.assert_allclose(kept, expected, rtol=1e-5, atol=1e-8)
        assert not kept[np.setdiff1d(np.arange(50), x[rows])].any()


def test_sparse_adam_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    start, targets = data(9, 5).astype("float32"), data(9, 5, seed=1).astype("float32")
    theirs = torch.nn.Embedding(9, 5, sparse=True, _weight=torch.tensor(start))
    their_optimizer = torch.optim.SparseAdam(theirs.parameters(), lr=0.05)
    table = pynn.tensor(start, requires_grad=True)
    optimizer = pynn.optim.Adam(0.05).bind([table])
    for step in range(12):
        ids = np.random.default_rng(step).integers(0, 7, 5)
        y = ops.embedding(pynn.tensor(ids), table, sparse=True)
        ((y - pynn.tensor(targets[ids])) ** 2).sum().backward()
        optimizer.step()
        their_optimizer.zero_grad()
        ((theirs(torch.tensor(ids)) - torch.tensor(targets[ids])) ** 2).sum().backward()
        their_optimizer.step()
    np.testing.assert_allclose(table.numpy(), theirs.weight.detach().numpy(), rtol=2e-5, atol=1e-6)
    assert np.array_equal(table.numpy()[7:], start[7:])


def test_gradients_changed_by_hand_reach_every_row():
    """Between backward() and step() anybody may write to w.grad, so rows without a lookup are read then."""
    w = pynn.tensor(np.zeros((4, 2), "float32"), requires_grad=True)
    optimizer = pynn.optim.SGD(1.0).bind([w])
    ops.embedding(pynn.tensor([1]), w).sum().backward()
    w.grad.view()[3] = 5.0
    optimizer.step()
    assert w.numpy().tolist() == [[0, 0], [-1, -1], [0, 0], [-5, -5]]


def test_threads_share_a_large_table_without_changing_bits():
    x = np.random.default_rng(0).integers(0, 6000, (64, 40))
    found = []
    for threads in (1, 2, 4):
        pynn.set_num_threads(threads)
        for sparse in (False, True):
            model = nn.Sequential([nn.Embedding(6000, 130, sparse=sparse), nn.Flatten(), nn.Dense(2)])
            model.compile(pynn.optim.Adam(0.01), "cross_entropy", seed=3)
            model.fit(x, np.arange(64) % 2, batch_size=16, epochs=2, verbose=0)
            found.append(model.get_weights()[0].tobytes())
    assert len(set(found)) == 2


def test_a_table_that_is_looked_up_twice_lists_its_rows():
    class Twice(nn.Module):
        def __init__(self, sparse):
            super().__init__()
            self.table = nn.Embedding(20, 4, sparse=sparse)
            self.out = nn.Dense(2)

        def forward(self, x):
            return self.out((self.table(x[:, :2]) + self.table(x[:, 2:])).reshape((-1, 8)))

    x = np.random.default_rng(0).integers(0, 20, (16, 4))
    for sparse in (False, True):
        model = Twice(sparse)
        model.compile(pynn.optim.Adam(0.01), "cross_entropy", seed=0)
        model.fit(x, np.zeros(16, int), batch_size=8, verbose=0)
        assert model._trainer.flat.into[id(model.table.w)].rows.sparse == sparse


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_penalty_reaches_the_rows_that_are_not_looked_up(eagerly):
    """Their gradient is that of the penalty alone: w is multiplied by 1 - 2 * rate * l2 at every step."""
    model = compiled([nn.Embedding(12, 3, embeddings_regularizer=pynn.regularizers.L2(0.1)), nn.Flatten(), nn.Dense(2)])
    model.compile(pynn.optim.SGD(0.5), "cross_entropy", seed=0)
    x, y = np.arange(16).reshape(8, 2) % 6, np.arange(8) % 2
    model.build((1, 2))
    before = model.get_weights()[0]
    model.fit(x, y, batch_size=4, epochs=3, verbose=0, run_eagerly=eagerly)
    np.testing.assert_allclose(model.get_weights()[0][6:], before[6:] * 0.9**6, rtol=1e-5)


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_table_that_also_gives_the_output(eagerly):
    """Tied weights: each row of the table has a gradient from the product, whether it was looked up or not."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, 3)

        def forward(self, x):
            return pynn.ops.matmul(pynn.ops.mean(self.table(x), 1), pynn.ops.transpose(self.table.w, (1, 0)))

    x, y = np.array([[0, 1], [1, 2], [0, 2], [2, 1]]), np.array([3, 4, 5, 6])
    model = Tied()
    model.compile(pynn.optim.SGD(0.5), "cross_entropy", seed=0)
    model(x)
    w = model.get_weights()[0].astype(np.float64)
    model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0, run_eagerly=eagerly)
    for rows in [slice(0, 2), slice(2, 4)] * 3:
        looked, right = np.eye(7)[x[rows]].mean(1), np.eye(7)[y[rows]]
        z = looked @ w @ w.T
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        dz = (p - right) / 2
        w = w - 0.5 * (looked.T @ (dz @ w) + dz.T @ (looked @ w))
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=2e-4, atol=1e-6)


# What is refused

BAD = {
    "ids too large": (lambda: nn.Embedding(5, 2)(np.array([[1, 2], [3, 5]])), DataError, r"x\[1, 1\] = 5.*input_dim=5"),
    "ids negative": (lambda: nn.Embedding(5, 2)(np.array([[1, -2]])), DataError, r"x\[0, 1\] = -2"),
    "ids in fit": (
        lambda: compiled([nn.Embedding(5, 2), nn.LSTM(2), nn.Dense(2)]).fit(np.full((4, 3), 7), np.zeros(4, int)),
        DataError, r"\[fit\].*x\[0, 0\] = 7",
    ),
    "float ids": (lambda: nn.Embedding(5, 2)(np.ones((2, 2), "float32")), DTypeError, "astype"),
    "left padding": (
        lambda: nn.Embedding(5, 2, mask_zero=True, padding="post")(np.array([[3, 1, 2], [0, 1, 2]])), DataError,
        r"at the end.*x\[1, 0\] = 0.*help.*any",
    ),
    "regularizer of a sparse table": (
        lambda: nn.Embedding(5, 2, "uniform", "l2", sparse=True), ValueError, "every row",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_is_refused(name):
    call, kind, pattern = BAD[name]
    with pytest.raises(kind, match=f"(?s){pattern}"):
        call()


class Own(nn.Module):
    """A model of one's own, whose data set nobody looks through before training."""

    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(30, 3), nn.Dense(2)

    def forward(self, x):
        return self.out(self.table(x).reshape((-1, 3 * T)))


@pytest.mark.parametrize("bad", [30, -1, -30, 2**31 - 1])
@pytest.mark.parametrize("eagerly", [False, True])
def test_a_bad_id_in_a_later_batch_is_named_and_never_wraps(bad, eagerly):
    x = np.random.default_rng(0).integers(0, 30, (20, T))
    x[13, 4] = bad
    model = Own()
    model.compile("sgd", "cross_entropy", seed=0)
    with pytest.raises(DataError, match=rf"ids from 0 to 29\. Received: x\[3, 4\] = {bad}\. help: .*input_dim=30"):
        model.fit(x, np.zeros(20, int), batch_size=5, shuffle=False, verbose=0, run_eagerly=eagerly)
    with pytest.raises(DataError, match=rf"x\[3, 4\] = {bad}"):
        model.predict(x, batch_size=5)


@pytest.mark.parametrize("value", [2**32 + 1, -(2**32) + 1, 2**31])
def test_ids_that_int32_cannot_hold_are_refused_and_do_not_wrap(value):
    model = nn.Sequential([nn.Input((2,)), nn.Embedding(5, 3), nn.Flatten(), nn.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2), np.int64)
    x[2, 1] = value
    with pytest.raises(DataError, match=rf"expected token ids below 2\*\*31. Received: x\[2, 1\] = {value}"):
        model.fit(x, np.zeros((4, 1)), verbose=0)
