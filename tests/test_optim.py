"""Optimizers: trajectories against NumPy and PyTorch, state, learning rates, bad input."""

import numpy as np
import pytest
from trajectories import (
    RULES,
    STEPS,
    assert_paths,
    gradient,
    run,
    run_numpy,
    start,
)

import pynn
from pynn import optim, schedules
from pynn.core import _core, config
from pynn.core._watch import Watch
from pynn.core.flat import Flat, Slots
from pynn.errors import DTypeError, ShapeError


@pytest.mark.parametrize("name", RULES)
def test_trajectory_in_float64_is_that_of_numpy(name):
    make, rule, _, lr = RULES[name]
    assert_paths(run(make, lr, "float64")[0], run_numpy(rule, lr), 1e-11)


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("name", RULES)
def test_trajectory_in_float32_is_that_of_numpy(name, isa):
    make, rule, _, lr = RULES[name]
    with config.use_isa(isa):
        assert_paths(run(make, lr, "float32", 10)[0], run_numpy(rule, lr, 10), 2e-4)


@pytest.mark.parametrize("name", RULES)
def test_weight_decay_is_decoupled(name):
    make, rule, _, lr = RULES[name]
    path, _, _ = run(make, lr, "float64", weight_decay=0.3)
    assert_paths(path, run_numpy(rule, lr, decay=0.3), 1e-11)


def run_torch(name, kind, arguments, lr, dtype, steps=STEPS):
    torch = pytest.importorskip("torch")
    params = [torch.tensor(p, requires_grad=True) for p in start(dtype)]
    optimizer = getattr(torch.optim, kind)(params, lr=lr, **arguments)
    path = []
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))  # the dtype of its scalar state
    try:
        for t in range(steps):
            for p in params:
                p.grad = torch.tensor(gradient(p.detach().numpy(), t))
            optimizer.step()
            path.append([p.detach().numpy().copy() for p in params])
    finally:
        torch.set_default_dtype(before)
    return path


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-11), ("float32", 2e-4)])
@pytest.mark.parametrize("name", RULES)
def test_trajectory_is_that_of_pytorch(name, dtype, tolerance):
    make, _, (kind, arguments), lr = RULES[name]
    steps = STEPS if dtype == "float64" else 10
    assert_paths(run(make, lr, dtype, steps)[0], run_torch(name, kind, arguments, lr, dtype, steps), tolerance)


def test_adamw_is_that_of_pytorch():
    path, _, _ = run(lambda lr: optim.AdamW(lr), 0.05, "float64")
    assert_paths(path, run_torch("adamw", "AdamW", {}, 0.05, "float64"), 1e-11)


@pytest.mark.parametrize("name", RULES)
def test_gaps_of_the_flat_buffer_stay_zero(name):
    make, _, _, lr = RULES[name]
    _, _, tensors = run(make, lr, "float32", 5)
    home = tensors[0].buffer.root()
    whole = home.array("float32", (home.nbytes // 4,))
    used = np.zeros(whole.size, bool)
    for t in tensors:
        assert t.buffer.root() is home
        at = t.buffer.offset // t.dtype.itemsize
        used[at : at + t.size] = True
    assert not used.all()
    assert (whole[~used] == 0).all()


@pytest.mark.parametrize("name", RULES)
def test_threads_do_not_change_the_bits(name):
    make, _, _, lr = RULES[name]
    n = 300_001
    p0 = np.random.default_rng(1).normal(size=n).astype("float32")
    results = []
    for threads in (1, 2, 4):
        pynn.set_num_threads(threads)
        p = pynn.tensor(p0)
        optimizer = make(lr)
        optimizer.clip_norm = 1.0
        optimizer.bind([p])
        for t in range(3):
            p.grad = pynn.tensor(gradient(p0, t))
            optimizer.step()
        results.append(p.numpy())
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    assert not np.array_equal(results[0], p0)


def test_hyper_parameters_of_classes_reach_the_update():
    for make in (lambda: optim.SGD(0.1, weight_decay=0.5), lambda: optim.Adam(0.1, weight_decay=0.5)):
        p = pynn.tensor([2.0])
        optimizer = make().bind([p])
        p.grad = pynn.tensor([0.0])
        optimizer.step()
        np.testing.assert_allclose(p.numpy(), [1.9], rtol=1e-6)


# Learning rates


def test_learning_rate_can_be_read_and_set():
    optimizer = optim.Adam(0.1)
    assert optimizer.learning_rate == 0.1
    optimizer.learning_rate = np.float32(0.5)
    assert optimizer.learning_rate == 0.5
    np.testing.assert_array_equal(optimizer.rates(7, 3), [0.5, 0.5, 0.5])
    assert optimizer.rates(0, 2).dtype == np.float64


def test_a_schedule_gives_the_rate_of_every_step_and_cannot_be_overwritten_by_a_number():
    schedule = schedules.Exponential(0.1, rate=0.5, every=1)
    optimizer = optim.SGD(schedule)
    assert optimizer.learning_rate == 0.1
    np.testing.assert_allclose(optimizer.rates(2, 3), [0.025, 0.0125, 0.00625])
    assert optimizer.learning_rate == pytest.approx(0.1 * 0.5**5)
    with pytest.raises(ValueError, match=r"follows Exponential.*cannot be set to 0\.3.*help:"):
        optimizer.learning_rate = 0.3
    optimizer.learning_rate = schedules.Constant(0.2)
    assert optimizer.learning_rate == 0.2


def test_a_schedule_drives_the_updates():
    p = pynn.tensor(np.array([0.0]))
    optimizer = optim.SGD(schedules.Exponential(1.0, rate=0.5, every=1)).bind([p])
    for _ in range(3):
        p.grad = pynn.tensor(np.array([1.0]))
        optimizer.step()
    assert p.item() == -1.75


def test_the_rate_is_read_by_pointer_at_the_cursor():
    w = pynn.tensor(np.array([1.0]))
    flat, slots = Flat([w]), Slots()
    flat.grads.view()[0] = 1
    slots.set(rate=[0.5, 0.25], cursor=1)
    optim.SGD(9.0).apply(flat, slots)
    assert w.item() == 0.75


# State


@pytest.mark.parametrize("name", RULES)
def test_state_can_be_saved_and_loaded(name):
    make, _, _, lr = RULES[name]
    whole, _, _ = run(make, lr, "float64", 6)
    _, first, tensors = run(make, lr, "float64", 3)
    saved = first.state()
    for slot in saved.values():
        slot.flags.writeable = False
    second = make(lr)
    copies = [pynn.tensor(t.numpy()) for t in tensors]
    second.bind(copies)
    second.load_state(saved)
    for t in range(3, 6):
        for p in copies:
            p.grad = pynn.tensor(gradient(p.numpy(), t))
        second.step()
    for a, b in zip(whole[-1], copies, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


def test_state_that_does_not_fit_is_refused_and_changes_nothing():
    adam_state = run(RULES["adam"][0], 0.1, "float64", 2)[1]
    before = adam_state.state()
    with pytest.raises(ValueError, match=r"expected the slots \['m', 'step', 'v'\]\. Received: \['m'\]"):
        adam_state.load_state({"m": before["m"]})
    with pytest.raises(ShapeError, match="expected v of shape"):
        adam_state.load_state({**before, "m": before["m"] * 0, "v": before["v"][:3]})
    after = adam_state.state()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    with pytest.raises(ValueError, match="help: call compile and fit, or bind"):
        optim.Adam().load_state({})


def test_one_optimizer_keeps_apart_what_belongs_to_two_models():
    optimizer = optim.SGD(1.0, momentum=0.5)
    many, few = pynn.tensor(np.zeros(100)), pynn.tensor(np.zeros(3))
    first, second = Flat([many]), Flat([few])
    slots = Slots()
    slots.set(rate=1.0)
    for flat in (first, second, first):
        flat.grads.view()[:] = 1
        optimizer.apply(flat, slots)
    np.testing.assert_array_equal(many.numpy(), np.full(100, -2.5))
    np.testing.assert_array_equal(few.numpy(), np.full(3, -1.0))


@pytest.mark.parametrize("name", optim.NAMES)
def test_programs_watch_every_setting_but_the_rate(name):
    optimizer = optim.get(name)
    watch = Watch(optimizer)
    optimizer.learning_rate = 0.123
    assert watch.unchanged()
    for setting, value in {"clip_norm": 1.0, "clip_value": 0.5, "weight_decay": 0.25}.items():
        setattr(optimizer, setting, value)
        assert not watch.unchanged(), setting
        watch = Watch(optimizer)


# On its own


def test_a_parameter_without_gradient_is_left_alone():
    a, b = pynn.tensor([1.0], requires_grad=True), pynn.tensor([1.0], requires_grad=True)
    optimizer = optim.SGD(0.1).bind([a, b])
    (a * 2.0).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (pytest.approx(0.8), 1.0)


@pytest.mark.parametrize("name", optim.NAMES)
def test_every_optimizer_by_name_finds_the_minimum_of_a_parabola(name):
    optimizer = optim.get(name)
    w = pynn.tensor([1.0, -1.0])
    if name == "adagrad":
        optimizer.learning_rate = 0.5
    optimizer.bind([w])
    first = None
    for _ in range(300):
        loss = (w * w).sum()
        first = first or loss.item()
        loss.backward()
        optimizer.step()
    assert loss.item() < first * 0.9


def test_step_needs_bind():
    with pytest.raises(RuntimeError, match=r"help: call optimizer.bind"):
        optim.Adam().step()


def test_bind_refuses_what_it_cannot_optimize():
    with pytest.raises(ValueError, match="Received: none"):
        optim.SGD().bind([])
    with pytest.raises(TypeError, match=r"expected tensors. Received: ndarray"):
        optim.SGD().bind([np.zeros(3)])
    with pytest.raises(DTypeError, match=r"one floating dtype. Received: float32, float64"):
        optim.SGD().bind([pynn.tensor([1.0]), pynn.tensor(np.array([1.0]))])
    with pytest.raises(DTypeError, match="Received: int64"):
        optim.SGD().bind([pynn.tensor([1])])
    with pytest.raises(ValueError, match="made by mul"):
        optim.SGD().bind([pynn.tensor([1.0], requires_grad=True) * 2.0])


# Bad settings


@pytest.mark.parametrize("rate", [-0.1, np.nan, np.inf, "fast", None, True])
def test_learning_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match=r"\[adam\] expected.*learning_rate.*Received: "):
        optim.Adam(rate)
    optimizer = optim.Adam(0.1)
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.learning_rate = rate
    assert optimizer.learning_rate == 0.1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.SGD(momentum=1.0), r"\[sgd\].*momentum to be a number in \[0, 1\).*momentum=1.0"),
        (lambda: optim.SGD(nesterov=True), "momentum above 0 with nesterov"),
        (lambda: optim.SGD(weight_decay=-1), "weight_decay to be a finite number of at least 0"),
        (lambda: optim.SGD(clip_norm=0), "clip_norm to be a finite number above 0"),
        (lambda: optim.SGD(clip_value=-1.0), "clip_value to be a finite number above 0"),
        (lambda: optim.Adam(beta_2=1.0), r"beta_2 to be a number in \[0, 1\)"),
        (lambda: optim.Adam(eps=0), "eps to be a finite number above 0"),
        (lambda: optim.RMSprop(rho=1.5), r"rho to be a number in \[0, 1\)"),
        (lambda: optim.Adagrad(initial_accumulator=-1), "initial_accumulator to be a finite number of at least 0"),
    ],
)
def test_hyper_parameters_out_of_range_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_names():
    assert isinstance(optim.get("nesterov"), optim.SGD)
    assert optim.get("nesterov").nesterov
    assert optim.get(optim.Adam).learning_rate == 0.001
    given = optim.Nadam()
    assert optim.get(given) is given
    with pytest.raises(ValueError, match=r"unknown optimizer. Received: 'adm'. help: did you mean 'adam'"):
        optim.get("adm")
    with pytest.raises(TypeError, match=r"name or a pynn.optim.Optimizer"):
        optim.get(3)


# In a model


@pytest.mark.parametrize("common", [{}, {"clip_value": 0.5, "clip_norm": 0.1, "weight_decay": 0.1}])
@pytest.mark.parametrize("name", RULES)
def test_a_program_gives_the_bits_of_eager(name, common):
    from pynn import nn

    make, _, _, _ = RULES[name]
    r = np.random.default_rng(0)
    x, y = r.normal(size=(70, 6)).astype("float32"), r.integers(0, 3, 70)
    weights = []
    for eagerly in (False, True):
        optimizer = make(schedules.Exponential(0.05, rate=0.9, every=1))
        for key, value in common.items():
            setattr(optimizer, key, value)
        model = nn.Sequential([nn.Input((6,)), nn.Dense(8, activation="tanh"), nn.Dense(3)], seed=1)
        before = [w.copy() for w in model.get_weights()]
        model.compile(optimizer=optimizer, loss="cross_entropy", metrics=[], seed=0, run_eagerly=eagerly)
        model.fit(x, y, batch_size=32, epochs=2, verbose=0)
        assert optimizer.iterations == 6
        weights.append(model.get_weights())
    for start_, a, b in zip(before, *weights, strict=True):
        assert a.tobytes() == b.tobytes()
        assert not np.array_equal(a, start_)
