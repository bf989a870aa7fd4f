"""Boltzmann machines: gradients, likelihoods and partition functions beside sums over all states of tiny ones."""

import itertools

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import DataError, NonFiniteError, ShapeError

PATTERNS = np.array([[0, 0, 1, 1], [1, 1, 0, 0], [1, 0, 1, 0]], float)


def states(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def machine(cls, sizes, seed=0, scale=1.0):
    """A float64 machine on 4 units with weights by chance."""
    rng = np.random.default_rng(seed)
    made = cls(sizes, seed=seed).astype("float64")
    made._build_now((pynn.tensor(np.zeros((0, 4))),))
    made.set_weights([rng.normal(0, scale, w.shape) for w in made.get_weights()])
    return made


def joint(m):
    """All states of every layer, and -E of all combinations, with an axis for each layer."""
    w, b = m._parameters64()
    layers = [states(len(bias)) for bias in b]
    total = 0.0
    for i, (s, bias) in enumerate(zip(layers, b, strict=True)):
        total = total + (s @ bias).reshape([-1 if k == i else 1 for k in range(len(b))])
    for i, weights in enumerate(w):
        pair = layers[i] @ weights @ layers[i + 1].T
        total = total + pair.reshape([pair.shape[k - i] if k in (i, i + 1) else 1 for k in range(len(b))])
    return layers, total


def log_sum(a):
    return np.logaddexp.reduce(a.ravel())


def log_p(m, x):
    """log P(v) of rows, and log Z."""
    layers, minus_e = joint(m)
    z = log_sum(minus_e)
    by_v = {tuple(v): log_sum(e) - z for v, e in zip(layers[0], minus_e, strict=True)}
    return np.array([by_v[tuple(v)] for v in x]), z


def moments(m, given=None):
    """<s_(l-1) s_l> and <s_l> of the machine, or of its hidden layers given one state of the visible one."""
    layers, minus_e = joint(m)
    if given is not None:
        same = (layers[0] == given).all(1).reshape([-1] + [1] * (minus_e.ndim - 1))
        minus_e = np.where(same, minus_e, -np.inf)
    p = np.exp(minus_e - log_sum(minus_e))
    singles, pairs = [], []
    axes = range(p.ndim)
    for i, s in enumerate(layers):
        singles.append(p.sum(tuple(k for k in axes if k != i)) @ s)
    for i in range(len(layers) - 1):
        both = p.sum(tuple(k for k in axes if k not in (i, i + 1)))
        pairs.append(layers[i].T @ both @ layers[i + 1])
    return pairs, singles


def step(m, x, **fit):
    """The change of weights and biases in one step of rate 1."""
    before = m._parameters64()
    m.fit(x, epochs=1, batch_size=len(x), learning_rate=1.0, momentum=0.0, verbose=0, **fit)
    after = m._parameters64()
    return [[b - a for a, b in zip(*both, strict=True)] for both in zip(before, after, strict=True)]


def test_free_energy_sums_over_hidden_units():
    rbm = machine(nn.RBM, 3)
    _, minus_e = joint(rbm)
    assert np.allclose(-rbm.free_energy(states(4)), np.logaddexp.reduce(minus_e, axis=1))
    exact, z = log_p(rbm, PATTERNS)
    assert np.allclose(rbm.log_likelihood(PATTERNS, z), exact)
    assert np.allclose(rbm.transform(PATTERNS), sigmoid(PATTERNS @ rbm.w.numpy() + rbm.b.numpy()))


def test_one_step_of_contrastive_divergence_is_its_expectation():
    """Over the noise of 15,000 samples: <v h> of data less that after one round of sampling, summed over all states."""
    rbm = machine(nn.RBM, 3)
    (w,), (c, b) = rbm._parameters64()
    hidden, visible = states(3), states(4)
    told = sigmoid(PATTERNS @ w + b)
    p_h = np.prod(np.where(hidden[None] == 1, told[:, None], 1 - told[:, None]), 2).mean(0)
    back = sigmoid(hidden @ w.T + c)
    p_v = p_h @ np.prod(np.where(visible[None] == 1, back[:, None], 1 - back[:, None]), 2)
    free = visible.T @ (p_v[:, None] * sigmoid(visible @ w + b))
    wanted = PATTERNS.T @ told / 3 - free
    x = np.tile(PATTERNS, (5_000, 1))
    (dw,), (dc, db) = step(rbm, x)
    assert np.allclose(dw, wanted, atol=0.015)
    assert np.allclose(dc, PATTERNS.mean(0) - p_v @ visible, atol=0.015)
    assert np.allclose(db, told.mean(0) - p_v @ sigmoid(visible @ w + b), atol=0.015)
    assert not np.allclose(wanted, 0, atol=0.02)


@pytest.mark.parametrize("chains", [0, 5_000], ids=["contrastive", "persistent"])
def test_many_rounds_of_sampling_give_the_gradient_of_the_likelihood(chains):
    rbm = machine(nn.RBM, 3, scale=0.7)
    given = [moments(rbm, v) for v in PATTERNS]
    free, alone = moments(rbm)
    (dw,), (dc, db) = step(rbm, np.tile(PATTERNS, (1_700, 1)), k=25, persistent=chains)
    assert np.allclose(dw, sum(g[0][0] for g in given) / 3 - free[0], atol=0.025)
    assert np.allclose(dc, PATTERNS.mean(0) - alone[0], atol=0.025)
    assert np.allclose(db, sum(g[1][1] for g in given) / 3 - alone[1], atol=0.025)


@pytest.mark.parametrize("sizes", [[3, 2], [3, 2, 2]])
def test_chains_of_a_deep_machine_reach_its_distribution(sizes):
    """The positive part is by mean field, which is read off; what is left is the part of the chains."""
    dbm = machine(nn.DBM, sizes, scale=0.5)
    told = [PATTERNS, *dbm.mean_field(PATTERNS, 30)]
    free, alone = moments(dbm)
    dw, db = step(dbm, np.tile(PATTERNS, (10, 1)), k=25, chains=5_000, updates=30)
    for i, change in enumerate(dw):
        assert np.allclose(change, told[i].T @ told[i + 1] / 3 - free[i], atol=0.025)
    for i, change in enumerate(db):
        assert np.allclose(change, told[i].mean(0) - alone[i], atol=0.025)


def test_chains_begin_at_data():
    """Two states, all on and all off, between which chains never go: begun at data they agree with it at once."""
    rbm = nn.RBM(1, seed=0).astype("float64")
    rbm._build_now((pynn.tensor(np.zeros((0, 4))),))
    rbm.set_weights([np.full((4, 1), 20.0), np.full(1, -40.0), np.full(4, -10.0)])
    (dw,), (dc, db) = step(rbm, np.ones((10, 4)), persistent=40)
    assert max(np.abs(dw).max(), np.abs(dc).max(), np.abs(db).max()) < 0.01


@pytest.mark.parametrize("decay", [0.0, 0.3], ids=["", "decay"])
@pytest.mark.parametrize(("cls", "sizes"), [(nn.RBM, 3), (nn.DBM, [3, 2]), (nn.DBM, [3, 2, 2])])
def test_a_centered_step_is_that_of_units_less_their_means(cls, sizes, decay):
    """The numbers drawn are those of the plain step, from which the means of data and chains are known."""
    x, chains = np.tile(PATTERNS, (4, 1)), {"persistent" if cls is nn.RBM else "chains": 12}
    m = machine(cls, sizes)
    told = [x, m.transform(x)] if cls is nn.RBM else [x, *m.mean_field(x)]
    w, _ = m._parameters64()
    dw, db = step(m, x, **chains)
    means = [layer.mean(0) - change / 2 for layer, change in zip(told, db, strict=True)]
    dw = [change - np.outer(db[i], means[i + 1]) - np.outer(means[i], db[i + 1]) for i, change in enumerate(dw)]
    for i, change in enumerate(dw):
        db[i] = db[i] - change @ means[i + 1]
        db[i + 1] = db[i + 1] - means[i] @ change
    found_w, found_b = step(machine(cls, sizes), x, centered=True, weight_decay=decay, **chains)
    for found, change, before in zip(found_w, dw, w, strict=True):
        assert np.allclose(found, change - decay * before, atol=1e-12)
    for found, change in zip(found_b, db, strict=True):
        assert np.allclose(found, change, atol=1e-12)


def test_mean_field_is_a_fixed_point_and_its_bound_is_below_the_likelihood():
    dbm = machine(nn.DBM, [3, 2], scale=0.8)
    w, b = dbm._parameters64()
    h1, h2 = dbm.mean_field(PATTERNS, 200)
    assert np.allclose(h1, sigmoid(PATTERNS @ w[0] + h2 @ w[1].T + b[1]), atol=1e-8)
    assert np.allclose(h2, sigmoid(h1 @ w[1] + b[2]), atol=1e-8)
    exact, z = log_p(dbm, PATTERNS)
    bound = dbm.bound(PATTERNS, z, updates=200)
    assert (bound <= exact + 1e-9).all()
    assert np.abs(bound - exact).max() < 0.2
    assert (dbm.bound(PATTERNS, z, updates=0) <= bound + 1e-9).all()
    assert np.allclose(dbm.predict(PATTERNS), dbm.transform(PATTERNS))


@pytest.mark.parametrize(("cls", "sizes"), [(nn.RBM, 5), (nn.DBM, [5, 3]), (nn.DBM, [3, 3, 2])])
@pytest.mark.parametrize("data", [None, PATTERNS], ids=["uniform", "rates"])
def test_annealing_finds_the_partition_function_within_its_error(cls, sizes, data):
    m = machine(cls, sizes, seed=3)
    _, z = log_p(m, PATTERNS)
    found = m.ais(200, 200, data=data, seed=1)
    assert abs(found.value - z) < 4 * found.error
    assert found.error < 0.1
    assert found.low < found.value < found.high
    assert found == m.ais(200, 200, data=data, seed=1)


@pytest.mark.parametrize(("cls", "sizes"), [(nn.RBM, 5), (nn.DBM, [5, 3])])
def test_annealing_finds_the_same_backwards(cls, sizes):
    m = machine(cls, sizes, seed=3)
    _, z = log_p(m, PATTERNS)
    found = m.ais(400, 200, data=PATTERNS, backwards=200, seed=1)
    assert found == m.ais(400, 200, data=PATTERNS, backwards=200, seed=1)
    assert abs(found.value - z) < 4 * found.error
    assert found.error < 0.1
    assert found.low < found.value < found.high
    with pytest.raises(ValueError, match=r"expected data with backwards"):
        m.ais(10, 10, backwards=5)


def test_annealing_that_does_not_converge_says_its_error_bar():
    m = machine(nn.RBM, 40, scale=4.0)
    with pytest.warns(RuntimeWarning, match=r"\[RBM\].*not converged: log Z = .* between .* chains count.*help"):
        found = m.ais(20, 3)
    assert found.effective < 5
    with pytest.raises(ValueError, match=r"rise from 0 to 1"):
        m.ais(10, [0.0, 0.7, 0.5, 1.0])


def test_learning_raises_the_likelihood():
    x = np.repeat(PATTERNS, 40, axis=0)
    rbm = nn.RBM(6, seed=0).astype("float64")
    rbm.fit(x, epochs=1, batch_size=20, verbose=0)
    before = log_p(rbm, PATTERNS)[0].mean()
    history = rbm.fit(x, epochs=150, batch_size=20, learning_rate=0.05, persistent=200, verbose=0)
    after = log_p(rbm, PATTERNS)[0].mean()
    assert after > before + 0.8, (before, after)  # of a difference of 1.67 to the best there is, -log 3
    assert len(history.history["error"]) == 150
    dbm = nn.DBM([4, 3], seed=0).astype("float64")
    dbm.pretrain(x, epochs=60, batch_size=20, learning_rate=0.3, verbose=0)
    dbm.fit(x, epochs=100, batch_size=20, learning_rate=0.05, verbose=0)
    assert log_p(dbm, PATTERNS)[0].mean() > -1.8
    seen = {tuple(v) for v in dbm.sample(60, 200).round()}
    assert {tuple(v) for v in PATTERNS} <= seen
    assert np.abs(dbm.reconstruct(PATTERNS) - PATTERNS).max() < 0.5


def test_decay_and_sparsity_move_what_they_should():
    plain, decayed, sparse = (machine(nn.RBM, 3) for _ in range(3))
    x = np.tile(PATTERNS, (200, 1))
    (dw,), db = step(plain, x)
    w = machine(nn.RBM, 3).w.numpy()
    (decayed_dw,), decayed_db = step(decayed, x, weight_decay=0.1)
    assert np.allclose(decayed_dw, dw - 0.1 * w)
    assert np.allclose(decayed_db[1], db[1])
    (_,), sparse_db = step(sparse, x, sparsity=0.1, sparsity_cost=0.5)
    told = sigmoid(PATTERNS @ w + machine(nn.RBM, 3).b.numpy()).mean(0)
    assert np.allclose(sparse_db[1], db[1] - 0.5 * 0.1 * (told - 0.1))  # a tenth of the way from 0.1, where it begins
    assert np.allclose(sparse_db[0], db[0])


def test_threads_and_seeds_decide_nothing_and_all(rng):
    x = rng.random((90, 4))
    found = []
    before = pynn.get_num_threads()
    try:
        for threads, seed in ((1, 0), (2, 0), (1, 1)):
            pynn.set_num_threads(threads)
            m = machine(nn.DBM, [30, 20])
            m.fit(x, epochs=3, batch_size=40, seed=seed, binarize=True, verbose=0)
            found.append(m.w1.numpy())
    finally:
        pynn.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_stack_becomes_a_deep_machine():
    dbm = nn.DBM([3, 4, 2], seed=0)
    machines = dbm.stack()
    assert [(m.units, m.bottom_up, m.top_down) for m in machines] == [(3, 2, 1), (4, 1, 1), (2, 1, 2)]
    with pytest.raises(ShapeError, match=r"\[DBM\].*trained"):
        dbm.from_stack(machines)
    x = PATTERNS
    for m in machines:
        m.fit(x, epochs=2, verbose=0)
        x = m.transform(x)
    dbm.from_stack(machines)
    assert np.allclose(dbm.w1.numpy(), machines[0].w.numpy())
    assert np.allclose(dbm.w2.numpy(), machines[1].w.numpy() / 2)
    assert np.allclose(dbm.w3.numpy(), machines[2].w.numpy())
    assert np.allclose(dbm.b1.numpy(), (machines[0].b.numpy() + machines[1].c.numpy()) / 2)
    assert np.allclose(dbm.b3.numpy(), machines[2].b.numpy())
    with pytest.raises(ValueError, match="bottom_up and top_down of 1"):
        machines[0].free_energy(PATTERNS)


def test_the_classifier_begins_as_mean_field():
    dbm = machine(nn.DBM, [3, 2])
    x = dbm.augmented(PATTERNS)
    assert x.shape == (3, 6)
    net = dbm.classifier(5, seed=0)
    inner = nn.Sequential([nn.Input((6,)), *net.layers[:2]])
    w, b = dbm._parameters64()
    h1 = sigmoid(PATTERNS @ w[0] + x[:, 4:] @ w[1].T + b[1])
    assert np.allclose(inner.predict(x), sigmoid(h1 @ w[1] + b[2]), atol=1e-5)
    assert net.predict(x).shape == (3, 5)
    net.layers[0].w.view()[:] = 0
    assert np.abs(dbm.w1.numpy()).max() > 0


def test_dropout_of_the_classifier():
    dbm = machine(nn.DBM, [3, 2])

    def shares(dropout):
        return [layer.rate for layer in dbm.classifier(5, dropout=dropout).layers if isinstance(layer, nn.Dropout)]

    assert shares(0.0) == []
    assert shares(0.25) == [0.25] * 3
    assert shares((0.2, 0, 0.5)) == [0.2, 0.5]
    for wrong in ((0.2, 0.5), 1.0, (0.1, -0.1, 0.1)):
        with pytest.raises(ValueError, match=r"\[DBM\].*dropout"):
            dbm.classifier(5, dropout=wrong)


@pytest.mark.parametrize(("cls", "sizes"), [(nn.RBM, 3), (nn.DBM, [3, 2])])
def test_files_keep_machines(cls, sizes, tmp_path):
    m = machine(cls, sizes)
    m.save(tmp_path / "machine.pynn")
    again = pynn.load(tmp_path / "machine.pynn")
    assert repr(again) == repr(m)
    assert np.array_equal(again.transform(PATTERNS), m.transform(PATTERNS))
    again.fit(PATTERNS, epochs=1, verbose=0)
    layer = nn.Sequential([nn.Input((4,)), cls(sizes), nn.Dense(2)])
    layer.compile("sgd", "mse")
    layer.fit(PATTERNS, np.zeros((3, 2)), verbose=0)


@pytest.mark.parametrize(("cls", "sizes"), [(nn.RBM, 3), (nn.DBM, [3, 2])])
def test_bad_data_are_refused(cls, sizes):
    m = cls(sizes)
    for x, error, text in (
        (np.array([[0.0, 1.5]]), DataError, r"0\.\.1.*Received: values from 0 to 1\.5.*divide pixels"),
        (np.array([[-0.1, 0.5]]), DataError, r"values from -0\.1"),
        (np.array([[0.5, np.nan]]), DataError, "nan"),
        (np.zeros((0, 3)), DataError, "at least one sample"),
        (np.zeros((2, 28, 28)), ShapeError, r"\[N, features\].*reshape"),
        (np.array([[200, 3]], np.uint8), DataError, "divide pixels"),
    ):
        with pytest.raises(error, match=text):
            m.fit(x, verbose=0)
    with pytest.raises(ValueError, match="learning_rate"):
        m.fit(PATTERNS, learning_rate=-1.0, verbose=0)
    m.fit(PATTERNS, epochs=1, verbose=0)
    with pytest.raises(ShapeError, match="expected 4 features"):
        m.fit(np.zeros((2, 3)), verbose=0)


def test_weights_that_overflow_are_told():
    m = machine(nn.RBM, 3)
    m.w.view()[:] = np.nan
    with pytest.raises(NonFiniteError, match="smaller learning_rate"):
        m.fit(PATTERNS, verbose=0)


def test_a_callback_ends_the_training_and_ctrl_c_too(monkeypatch):
    stop = pynn.train.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(m, "stop_training", epoch == 1))
    m = nn.RBM(3, seed=0)
    history = m.fit(PATTERNS, epochs=9, verbose=0, callbacks=stop)
    assert len(history.epoch) == 2

    def interrupt(epoch, logs):
        raise KeyboardInterrupt

    history = m.fit(PATTERNS, epochs=9, verbose=0, callbacks=pynn.train.LambdaCallback(on_epoch_end=interrupt))
    assert history.interrupted
    assert np.isfinite(m.w.numpy()).all()
