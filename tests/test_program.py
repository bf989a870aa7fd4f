"""What a program depends on, what changes inside it, and that it gives the bits of the eager ops."""

import gc
import re
import tracemalloc
import warnings

import numpy as np
import pytest
from classifiers import OPTIMIZERS, bits, blobs, mlp, programs

import pynn
from pynn import config, nn, ops, optim, regularizers
from pynn.core import _core
from pynn.core.program import plan, record
from pynn.core.state import no_grad
from pynn.core.tensor import Tensor
from pynn.ops.activation import NAMES, named


def addresses(model):
    """Return where every parameter and every slot of the optimizer lies."""
    trainer = model._trainer
    slots = [t for t in vars(trainer.optimizer).values() if isinstance(t, Tensor)]
    return [w.buffer.address for _, w in model.named_parameters()] + [t.buffer.address for t in slots]


# Rule 1: a program is keyed by all that it depends on


def test_partial_last_batch_is_a_second_program_in_the_same_arena():
    model = mlp()
    x, y = blobs(50)
    model.fit(x, y, batch_size=16, epochs=3, verbose=0)
    cache = model._trainer.cache
    assert cache.recordings == 2  # of 16 rows and of 2 rows, however many epochs
    assert len(programs(model)) == 2
    assert cache.arenas.idle[0].nbytes >= max(p.arena_bytes for p in programs(model))
    assert cache.arenas.idle[0].nbytes < sum(p.arena_bytes for p in programs(model))


def test_every_new_shape_is_recorded_anew_and_none_twice():
    model = mlp()
    cache = model._trainer.cache
    x, y = blobs(60)
    for n in (20, 30, 20, 30, 60):
        model.fit(x, y, batch_size=n, verbose=0)
    assert cache.recordings == 3
    model.predict(x)
    assert cache.recordings == 4
    model.predict(x)
    assert cache.recordings == 4


def test_other_rows_of_the_same_shape_replay_the_same_program():
    """The program must look at the data of this call, not at those it was recorded with."""
    model, other = mlp(), mlp()
    x, y = blobs(40)
    model.fit(x, y, batch_size=10, shuffle=False, verbose=0)
    model.fit(-x[::-1].copy(), y, batch_size=10, shuffle=False, verbose=0)
    assert model._trainer.cache.recordings == 1
    other.fit(x, y, batch_size=10, shuffle=False, run_eagerly=True, verbose=0)
    other.fit(-x[::-1].copy(), y, batch_size=10, shuffle=False, run_eagerly=True, verbose=0)
    assert bits(model) == bits(other)


def test_data_are_kept_alive_while_a_program_points_at_them():
    model, other = mlp(), mlp()
    model.fit(*blobs(40), batch_size=10, verbose=0)
    gc.collect()
    junk = [np.full((40, 6), np.nan, "float32") for _ in range(20)]  # where the freed data might have been
    model.fit(*blobs(40), batch_size=10, verbose=0)
    for _ in range(2):
        other.fit(*blobs(40), batch_size=10, run_eagerly=True, verbose=0)
    assert bits(model) == bits(other)
    assert len(junk) == 20


def test_training_and_inference_are_different_programs():
    model = mlp(nn.Dropout(0.9))
    x, y = blobs(16)
    model.fit(x, y, batch_size=16, verbose=0)
    one, two = model.predict(x, batch_size=16), model.predict(x, batch_size=16)
    assert np.array_equal(one, two)  # no dropout in predict


def test_weighted_batches_are_another_program():
    model, other = mlp(), mlp()
    x, y = blobs(32)
    w = np.linspace(0, 2, 32).astype("float32")
    for m, eager in ((model, False), (other, True)):
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
        m.fit(x, y, batch_size=16, sample_weight=w, verbose=0, run_eagerly=eager)
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
    assert bits(model) == bits(other)


def test_changed_layer_is_never_replayed_silently():
    x, y = blobs(32)
    model, other = mlp(nn.Dropout(0.1)), mlp(nn.Dropout(0.1))
    for m, eager in ((model, False), (other, True)):
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
        m.layers[1].rate = 0.8
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
    assert bits(model) == bits(other)


def test_replaced_layer_is_never_replayed_silently():
    """Whatever the new layer is: numbers of changes may not cancel out."""

    class Swaps(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Activation("tanh")
            self.rows = [nn.Dropout(0.1), nn.Activation("relu")]
            self.out = nn.Dense(3)

        def forward(self, x):
            x = self.inner(x)
            for row in self.rows:
                x = row(x)
            return self.out(x)

    x, y = blobs(32)
    others = [nn.Activation("exp"), nn.Dropout(0.9), nn.Flatten(), nn.Activation("sigmoid"), nn.Reshape((6,))]
    for other in others:
        for how in ("attribute", "list"):
            model = Swaps()
            model.compile(optimizer="sgd", loss="cross_entropy", seed=0)
            model.fit(x, y, verbose=0)
            model.predict(x)
            if how == "attribute":
                model.inner = other
            else:
                model.rows[1] = other
            expected = model(x).numpy()
            for _ in range(2):
                assert np.array_equal(model.predict(x), expected), (other, how)


def test_changed_optimizer_setting_is_never_replayed_silently():
    x, y = blobs(32)
    models = [mlp(optimizer=optim.SGD(0.1, momentum=0.5)) for _ in range(2)]
    for m, eager in zip(models, (False, True), strict=True):
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
        m.optimizer.momentum = 0.95
        m.fit(x, y, batch_size=16, verbose=0, run_eagerly=eager)
    assert bits(models[0]) == bits(models[1])


def test_threads_changed_between_fits():
    x, y = blobs(64)
    model, other = mlp(), mlp()
    pynn.set_num_threads(2)
    model.fit(x, y, batch_size=16, verbose=0)
    pynn.set_num_threads(1)
    model.fit(x, y, batch_size=16, verbose=0)
    for _ in range(2):
        other.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) == bits(other)


def test_instruction_set_changed_between_calls():
    model = mlp(d=64, hidden=64)
    x = blobs(50, d=64)[0]
    for isa in [*_core.isa_available(), *_core.isa_available()]:
        with config.use_isa(isa):
            eager = model(x).numpy()
            for _ in range(2):
                assert model.predict(x).tobytes() == eager.tobytes(), isa


def test_model_that_records_without_end_warns_once():
    model = mlp()
    x, _ = blobs(100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(2, 60):
            model.predict(x[:n], batch_size=n)
    assert len(caught) == 1
    assert caught[0].category is RuntimeWarning
    assert re.search(r"recorded \d+ different programs.*help: pad or bucket", str(caught[0].message))


def test_ordinary_training_does_not_warn():
    model = mlp()
    x, y = blobs(50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(30):
            model.fit(x, y, batch_size=16, validation_data=(x, y), verbose=0)
    assert model._trainer.cache.recordings < 6


# Rule 2: what changes from step to step is a slot


def test_learning_rate_between_epochs_is_obeyed_without_recording():
    model = mlp(optimizer=optim.SGD(0.1))
    x, y = blobs(32)
    model.fit(x, y, batch_size=16, verbose=0)
    model.optimizer.learning_rate = 1e-30
    before = bits(model)
    model.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) == before
    model.optimizer.learning_rate = 0.1
    model.fit(x, y, batch_size=16, verbose=0)
    assert bits(model) != before
    assert model._trainer.cache.recordings == 1


def test_schedule_runs_inside_one_program():
    """Many steps are one native call: each must still get its own rate."""
    x, y = blobs(64)
    # From step 3 on, the rate is too small to change a weight.
    schedule = pynn.schedules.Piecewise([3], [0.1, 1e-30])
    model = mlp(optimizer=optim.SGD(schedule))
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)  # 16 steps
    assert model._trainer.cache.recordings == 1
    three = mlp(optimizer=optim.SGD(0.1))
    three.fit(x[:12], y[:12], batch_size=4, shuffle=False, verbose=0)
    assert bits(model) == bits(three)


def test_step_number_goes_on_inside_one_program():
    """Adam's bias correction depends on the step; a frozen step would keep it at its first value."""
    x, y = blobs(40, dtype="float64")
    model = nn.Sequential([nn.Input((6,)), nn.Dense(1)]).astype("float64")
    model.compile(optimizer=optim.Adam(0.01), loss="mse", seed=0)
    w = [a.copy() for a in model.get_weights()]
    target = y[:, None].astype("float64")
    model.fit(x, target, batch_size=10, epochs=3, shuffle=False, verbose=0)
    m = [np.zeros_like(a) for a in w]
    v = [np.zeros_like(a) for a in w]
    t = 0
    for _ in range(3):
        for i in range(0, 40, 10):
            t += 1
            e = 2 * (x[i : i + 10] @ w[0] + w[1] - target[i : i + 10]) / 10
            for k, g in enumerate((x[i : i + 10].T @ e, e.sum(0))):
                m[k] = 0.9 * m[k] + 0.1 * g
                v[k] = 0.999 * v[k] + 0.001 * g * g
                w[k] -= 0.01 * (m[k] / (1 - 0.9**t)) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
    for a, b in zip(model.get_weights(), w, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert model._trainer.cache.recordings == 1


def test_dropout_differs_from_step_to_step_of_one_program():
    """With a vanishing learning rate and the same batch, only the mask can change the loss."""
    model = mlp(nn.Dropout(0.5), optimizer=optim.SGD(1e-30))
    x, y = blobs(16)
    seen = [model.train_on_batch(x, y)["loss"] for _ in range(8)]
    assert len(set(seen)) == 8
    assert model._trainer.cache.recordings == 1


def test_seed_is_a_slot_and_decides():
    x, y = blobs(32)
    runs = []
    for seed in (1, 1, 2):
        model = mlp(nn.Dropout(0.5), seed=0)
        model._trainer.slots.set(seed=seed)
        model.fit(x, y, batch_size=16, shuffle=False, verbose=0)
        runs.append(bits(model))
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_two_dropouts_of_one_step_have_different_masks():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Dropout(0.5), nn.Dropout(0.5)

        def forward(self, x):
            return self.first(x) - self.second(x)

    assert np.any(Two()(np.ones((1, 100), "float32"), training=True).numpy() != 0)


def test_offset_moves_through_the_epoch_inside_one_call():
    """Each of the batches of one native call must see its own rows: with SGD on a linear model this is exact."""
    x = np.eye(8, dtype="float32")
    model = nn.Sequential([nn.Input((8,)), nn.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile(optimizer=optim.SGD(0.5), loss="mse", seed=0)
    y = np.arange(8, dtype="float32")[:, None]
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0)  # w_i = 0.5 * 2 * y_i
    assert np.array_equal(model.get_weights()[0], y)


# Rule 6: eager and program agree bit for bit


class Residual(nn.Module):
    """Nested modules in a list, a shared layer, weights used twice, and plain ops in between."""

    def __init__(self):
        super().__init__()
        self.first = nn.Dense(8, activation="relu")
        self.blocks = [nn.Sequential([nn.Dense(8, activation="selu"), nn.Dropout(0.2)]) for _ in range(2)]
        self.shared = nn.Dense(8, activation="tanh")
        self.out = nn.Dense(3)

    def forward(self, x):
        h = self.first(x)
        for block in self.blocks:
            h = h + self.shared(block(h))
        h = ops.concat([h, self.shared(h)], -1)
        gate = ops.sigmoid(h[:, :8])
        return self.out(gate * h[:, 8:] + ops.mean(h, -1, True))


class Tied(nn.Module):
    """One weight as it is and transposed."""

    def build(self, input_shape):
        self.add_weight("w", (input_shape[-1], 4))
        self.add_weight("b", (3,), "zeros")

    def forward(self, x):
        code = ops.tanh(ops.matmul(x, self.w))
        return ops.matmul(code, self.w.T)[:, :3] + self.b + ops.mean(ops.square(self.w))


def sequential(*layers):
    return lambda: nn.Sequential([nn.Input((6,)), *(layer() for layer in layers), nn.Dense(3)])


def dense(activation, **options):
    return lambda: nn.Dense(7, activation=activation, **options)


ACTIVATIONS = [None, *(name for name in NAMES if getattr(named(name), "row", None) is None or named(name).row.saves)]

MODELS = {
    **{f"dense {name}": sequential(dense(name)) for name in ACTIVATIONS},
    **{
        f"activation {name}": sequential(dense(None), lambda name=name: nn.Activation(name))
        for name in ACTIVATIONS
        if name
    },
    "function": sequential(dense(lambda x: ops.tanh(x) * ops.sigmoid(x))),
    "no bias": sequential(dense("relu", use_bias=False)),
    "dropout": sequential(dense("relu"), lambda: nn.Dropout(0.4), dense("relu"), lambda: nn.Dropout(0.1)),
    "maxout": sequential(lambda: nn.Maxout(5, pieces=3)),
    "reshape": sequential(lambda: nn.Reshape((2, 3)), dense("tanh"), lambda: nn.Reshape((-1, 7)), nn.Flatten),
    "l1": sequential(dense("tanh", kernel_regularizer=regularizers.L1(0.01))),
    "l2": sequential(
        dense("tanh", kernel_regularizer=regularizers.L2(0.01), bias_regularizer=regularizers.L2(0.1)),
    ),
    "max norm": sequential(dense("tanh", kernel_constraint=regularizers.MaxNorm(0.7))),
    "deep": sequential(*[dense("relu")] * 6),
    "softmax end": lambda: nn.Sequential([nn.Input((6,)), nn.Dense(5), nn.Dense(3, activation="softmax")]),
    "softmax layer": lambda: nn.Sequential([nn.Input((6,)), nn.Dense(3), nn.Activation("softmax")]),
    "residual": Residual,
    "tied": Tied,
}


def assert_eager_is_program(make, optimizer="adam", loss="cross_entropy", x=None, y=None, metrics=("accuracy",), **fit):
    """Train the same model both ways, with a partial last batch, and compare weights, logs and predictions."""
    if x is None:
        x, y = blobs(38)
    results = []
    for eager in (False, True):
        model = make()
        model.compile(optimizer() if callable(optimizer) else optimizer, loss, metrics, seed=7, run_eagerly=eager)
        options = {"batch_size": 16, "epochs": 2, "verbose": 0, **fit}
        history = model.fit(x, y, **options).history
        logs = {key: np.array(values).tobytes() for key, values in history.items()}
        evaluated = model.evaluate(x, y, batch_size=16)
        results.append((bits(model), logs, evaluated, model.predict(x, batch_size=16).tobytes()))
        recordings = model._trainer.cache.recordings  # 16 and 6 rows: training, evaluation, and a softmax on top
        assert recordings == 0 if eager else recordings in (4, 6)
        assert all(np.isfinite(w).all() for w in model.get_weights())
    assert results[0] == results[1]


@pytest.mark.parametrize("name", MODELS)
def test_eager_is_program_for_every_layer(name):
    assert_eager_is_program(MODELS[name])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_eager_is_program_for_every_optimizer(name):
    assert_eager_is_program(sequential(dense("tanh"), lambda: nn.Dropout(0.2)), OPTIMIZERS[name])


@pytest.mark.parametrize("name", ["residual", "maxout", "dropout", "l2", "tied", "softmax end"])
def test_eager_is_program_in_float64(name):
    assert_eager_is_program(lambda: MODELS[name]().astype("float64"), x=blobs(38)[0].astype("float64"), y=blobs(38)[1])


def test_eager_is_program_with_weights_and_metrics():
    assert_eager_is_program(
        sequential(dense("relu")),
        sample_weight=np.linspace(0, 1, 38),
        class_weight={0: 1.0, 1: 2.0, 2: 0.5},
        metrics=["accuracy", pynn.metrics.TopK(k=2)],
    )


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "hinge", "binary_cross_entropy", "poisson"])
def test_eager_is_program_for_losses(loss):
    x, y = blobs(38)
    target = np.eye(3, dtype="float32")[y] * (2 if loss == "hinge" else 1) - (1 if loss == "hinge" else 0)
    ending = "softplus" if loss == "poisson" else None
    make = lambda: nn.Sequential([nn.Input((6,)), nn.Dense(5, activation="tanh"), nn.Dense(3, activation=ending)])  # noqa: E731
    assert_eager_is_program(make, loss=loss, x=x, y=target, metrics=["mae"])


def test_eager_is_program_for_uint8():
    r = np.random.default_rng(0)
    x = r.integers(0, 256, (38, 3, 2)).astype("uint8")
    make = lambda: nn.Sequential([nn.Input((3, 2)), nn.Flatten(), nn.Dense(5, activation="relu"), nn.Dense(3)])  # noqa: E731
    assert_eager_is_program(make, x=x, y=r.integers(0, 3, 38).astype("uint8"))


@pytest.mark.parametrize("isa", _core.isa_available())
def test_eager_is_program_on_every_instruction_set(isa):
    with config.use_isa(isa):
        assert_eager_is_program(sequential(dense("gelu"), lambda: nn.Dropout(0.2)))


# Memory


def peak_of(function):
    """Return the most bytes of tensors that there were at once while a function ran, and what it returns."""
    tracemalloc.start()
    try:
        found = function()
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


def test_recording_takes_no_more_memory_than_running():
    """What a recording keeps of its temporaries is their sizes: sixty of a megabyte are never there together."""
    x, out = (Tensor.state(np.full(1 << 18, value, np.float32)) for value in (1, 0))
    part = Tensor.state(np.zeros((2, 8), np.float32))

    def compute():
        with no_grad():
            y = x
            for _ in range(60):
                y = ops.add(ops.reshape(y, (1 << 10, 1 << 8)), ops.reshape(x, (1 << 10, 1 << 8)))
            ops.copy(ops.reshape(y, (1 << 18,)), out=out)
            ops.copy(y[3:5, :8], out=part)

    def recorded():
        with record() as recorder:
            compute()
        return recorder

    running, _ = peak_of(compute)
    recording, recorder = peak_of(recorded)
    assert recording < running + (1 << 19) < 1 << 23
    run = plan(recorder).start()
    out.view()[...] = part.view()[...] = 0
    assert run.run(1) == (1, 0)
    assert (out.view() == 61).all()
    assert (part.view() == 61).all()


def test_temporaries_from_before_a_recording_stay_where_they_are():
    """Of one that another recording made, too: a program reads it anew at each run."""
    x, out = (Tensor.state(np.full(8, value, np.float32)) for value in (3, 0))
    with no_grad():
        with record():
            before = ops.mul(x, x)
        with record() as recorder:
            ops.copy(ops.add(before, x), out=out)
        run = plan(recorder).start()
        before.view()[...] = 1
        assert run.run(1) == (1, 0)
        np.testing.assert_array_equal(out.view(), 4)


def test_a_recording_can_hold_the_memory_it_ran_in():
    x = Tensor.state(np.arange(4, dtype=np.float32))
    with record(holds=True) as recorder, no_grad():
        ops.add(ops.mul(x, x), x)
    np.testing.assert_array_equal(recorder.instrs[-1].buffers[0].array(np.dtype("f4"), (4,)), [0, 2, 6, 12])
