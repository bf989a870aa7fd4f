"""Optimizers: trajectories against NumPy and PyTorch, clipping, decay, state, learning rates, bad input."""

import numpy as np
import pytest

import pynn
from pynn import ops, optim, regularizers, schedules
from pynn.core import _core, config, program
from pynn.core._watch import Watch
from pynn.core.flat import Flat, Slots
from pynn.errors import DTypeError, ShapeError

STEPS = 20
SHAPES = ((7, 5), (5,), (33,), (1,))  # none fills whole vectors, so the flat buffer has gaps


def gradient(p, t):
    """A gradient that depends on the parameters, changes sign, and is zero here and there."""
    g = np.sin(3 * p + 0.7 * t) * (1 + 0.3 * np.arange(p.size).reshape(p.shape) % 3)
    return np.where(np.arange(p.size).reshape(p.shape) % 7 == 3, 0, g).astype(p.dtype)


# NumPy references: step(p, g, s, lr, t) updates in place


def sgd(momentum=0.0, nesterov=False):
    def step(p, g, s, lr, t):
        if momentum:
            v = s["v"] = momentum * s.get("v", 0) + g
            g = g + momentum * v if nesterov else v
        p -= lr * g

    return step


def adagrad(eps=1e-10, initial=0.0):
    def step(p, g, s, lr, t):
        s["s"] = s.get("s", initial) + g * g
        p -= lr * g / (np.sqrt(s["s"]) + eps)

    return step


def adadelta(rho=0.9, eps=1e-6):
    def step(p, g, s, lr, t):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g * g
        u = s.get("u", np.zeros_like(p))
        d = np.sqrt(u + eps) / np.sqrt(s["s"] + eps) * g
        s["u"] = rho * u + (1 - rho) * d * d
        p -= lr * d

    return step


def rmsprop(rho=0.9, eps=1e-7, momentum=0.0, centered=False):
    def step(p, g, s, lr, t):
        s["s"] = rho * s.get("s", 0) + (1 - rho) * g * g
        spread = s["s"]
        if centered:
            s["a"] = rho * s.get("a", 0) + (1 - rho) * g
            spread = np.maximum(spread - s["a"] ** 2, 0)
        u = g / (np.sqrt(spread) + eps)
        if momentum:
            u = s["v"] = momentum * s.get("v", 0) + u
        p -= lr * u

    return step


def adam(b1=0.9, b2=0.999, eps=1e-8, amsgrad=False):
    def step(p, g, s, lr, t):
        m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
        v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
        if amsgrad:
            v = s["top"] = np.maximum(s.get("top", 0), v)
        p -= lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)

    return step


def adamax(b1=0.9, b2=0.999, eps=1e-8):
    def step(p, g, s, lr, t):
        m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
        u = s["u"] = np.maximum(b2 * s.get("u", 0), np.abs(g) + eps)
        p -= lr * m / (1 - b1**t) / u

    return step


def nadam(b1=0.9, b2=0.999, eps=1e-8, psi=0.004):
    def step(p, g, s, lr, t):
        mu, after = b1 * (1 - 0.5 * 0.96 ** (t * psi)), b1 * (1 - 0.5 * 0.96 ** ((t + 1) * psi))
        product = s["product"] = s.get("product", 1.0) * mu
        m = s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
        v = s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
        top = (1 - mu) / (1 - product) * g + after / (1 - product * after) * m
        p -= lr * top / (np.sqrt(v / (1 - b2**t)) + eps)

    return step


# name -> (pynn, NumPy, PyTorch's class and arguments, learning rate)
RULES = {
    "sgd": (lambda lr: optim.SGD(lr), sgd(), ("SGD", {}), 0.1),
    "momentum": (lambda lr: optim.SGD(lr, 0.9), sgd(0.9), ("SGD", {"momentum": 0.9}), 0.05),
    "nesterov": (
        lambda lr: optim.SGD(lr, 0.9, nesterov=True),
        sgd(0.9, True),
        ("SGD", {"momentum": 0.9, "nesterov": True}),
        0.05,
    ),
    "adagrad": (lambda lr: optim.Adagrad(lr), adagrad(), ("Adagrad", {}), 0.1),
    "adagrad_initial": (
        lambda lr: optim.Adagrad(lr, initial_accumulator=0.5),
        adagrad(initial=0.5),
        ("Adagrad", {"initial_accumulator_value": 0.5}),
        0.1,
    ),
    "adadelta": (lambda lr: optim.Adadelta(lr), adadelta(), ("Adadelta", {}), 1.0),
    "rmsprop": (lambda lr: optim.RMSprop(lr), rmsprop(), ("RMSprop", {"alpha": 0.9, "eps": 1e-7}), 0.02),
    "rmsprop_momentum": (
        lambda lr: optim.RMSprop(lr, momentum=0.8),
        rmsprop(momentum=0.8),
        ("RMSprop", {"alpha": 0.9, "eps": 1e-7, "momentum": 0.8}),
        0.02,
    ),
    "rmsprop_centered": (
        lambda lr: optim.RMSprop(lr, rho=0.95, eps=1e-3, centered=True),
        rmsprop(0.95, 1e-3, centered=True),
        ("RMSprop", {"alpha": 0.95, "eps": 1e-3, "centered": True}),
        0.02,
    ),
    "rmsprop_both": (
        lambda lr: optim.RMSprop(lr, momentum=0.5, eps=1e-3, centered=True),
        rmsprop(eps=1e-3, momentum=0.5, centered=True),
        ("RMSprop", {"alpha": 0.9, "eps": 1e-3, "momentum": 0.5, "centered": True}),
        0.02,
    ),
    "adam": (lambda lr: optim.Adam(lr), adam(), ("Adam", {}), 0.05),
    "adam_betas": (
        lambda lr: optim.Adam(lr, 0.8, 0.9, 1e-3),
        adam(0.8, 0.9, 1e-3),
        ("Adam", {"betas": (0.8, 0.9), "eps": 1e-3}),
        0.05,
    ),
    "amsgrad": (lambda lr: optim.AMSGrad(lr, beta_1=0.9, beta_2=0.9), adam(b2=0.9, amsgrad=True),
                ("Adam", {"betas": (0.9, 0.9), "amsgrad": True}), 0.05),
    "adamax": (lambda lr: optim.AdaMax(lr), adamax(), ("Adamax", {}), 0.05),
    "nadam": (lambda lr: optim.Nadam(lr), nadam(), ("NAdam", {}), 0.05),
}  # fmt: skip


def start(dtype, seed=0):
    r = np.random.default_rng(seed)
    return [r.normal(size=s).astype(dtype) for s in SHAPES]


def run(make, lr, dtype, steps=STEPS, **common):
    """Return the parameters after every step."""
    optimizer = make(lr)
    for key, value in common.items():
        setattr(optimizer, key, value)
    tensors = [pynn.tensor(p) for p in start(dtype)]
    optimizer.bind(tensors)
    path = []
    for t in range(steps):
        for p in tensors:
            p.grad = pynn.tensor(gradient(p.numpy(), t))
        optimizer.step()
        path.append([p.numpy() for p in tensors])
    return path, optimizer, tensors


def run_numpy(rule, lr, steps=STEPS, decay=0.0):
    values = start("float64")
    states = [{} for _ in values]
    path = []
    for t in range(steps):
        for p, s in zip(values, states, strict=True):
            g = gradient(p, t)
            p *= 1 - lr * decay
            rule(p, g, s, lr, t + 1)
        path.append([p.copy() for p in values])
    return path


def assert_paths(got, want, tolerance):
    for t, (a, b) in enumerate(zip(got, want, strict=True)):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance, err_msg=f"step {t}")


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


# Clipping


def test_clip_value():
    p = pynn.tensor(np.zeros(5))
    optimizer = optim.SGD(1.0, clip_value=0.5).bind([p])
    p.grad = pynn.tensor(np.array([-3.0, -0.5, 0.1, 0.6, 1e30]))
    optimizer.step()
    np.testing.assert_array_equal(p.numpy(), [0.5, 0.5, -0.1, -0.5, -0.5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_norm_is_over_all_parameters(dtype):
    r = np.random.default_rng(0)
    grads = [r.normal(size=s).astype(dtype) for s in ((3, 4), (50_000,))]
    total = np.sqrt(sum(np.square(g, dtype=np.float64).sum() for g in grads))
    for limit in (total / 3, total * 2):
        params = [pynn.tensor(np.zeros(g.shape, dtype)) for g in grads]
        optimizer = optim.SGD(1.0, clip_norm=float(limit)).bind(params)
        for p, g in zip(params, grads, strict=True):
            p.grad = pynn.tensor(g)
        optimizer.step()
        for p, g in zip(params, grads, strict=True):
            np.testing.assert_allclose(p.numpy(), -g * min(1.0, limit / total), rtol=1e-6, atol=0)


def test_clip_norm_leaves_gradients_with_nan_or_infinity():
    for bad in (np.nan, np.inf):
        g = pynn.tensor([1.0, bad, 3.0])
        ops.clip_norm(g, 0.1)
        np.testing.assert_array_equal(g.numpy(), np.float32([1.0, bad, 3.0]))


def test_clip_value_comes_before_clip_norm():
    p = pynn.tensor([0.0, 0.0])
    optimizer = optim.SGD(1.0, clip_value=1.0, clip_norm=1.0).bind([p])
    p.grad = pynn.tensor([100.0, 1.0])
    optimizer.step()
    np.testing.assert_allclose(p.numpy(), [-np.sqrt(0.5)] * 2, rtol=1e-6)


@pytest.mark.parametrize("isa", _core.isa_available())
@pytest.mark.parametrize("shape", [(3, 2), (7, 33), (2, 3, 5), (4, 100), (0, 3)])
def test_max_norm(shape, isa):
    w = np.random.default_rng(0).normal(size=shape).astype("float32") * 0.8
    norm = np.sqrt(np.square(w).sum(tuple(range(w.ndim - 1)), keepdims=True))
    t = pynn.tensor(w)
    with config.use_isa(isa):
        regularizers.MaxNorm(1.2).apply(t)
    np.testing.assert_allclose(t.numpy(), w * np.where(norm > 1.2, 1.2 / np.maximum(norm, 1e-30), 1), rtol=1e-6)


def test_max_norm_needs_columns():
    with pytest.raises(ShapeError, match=r"\[in, out\].*\(3,\)"):
        regularizers.MaxNorm(1.0).apply(pynn.tensor([1.0, 2.0, 3.0]))


# Regularizers


@pytest.mark.parametrize("regularizer", [regularizers.L1(0.3), regularizers.L2(0.2), regularizers.L1L2(0.3, 0.2)])
def test_penalty_and_its_gradient(regularizer):
    w = pynn.tensor(np.array([[1.0, -2.0], [0.0, 0.5]]), requires_grad=True)
    y = regularizer(w)
    y.backward()
    v = w.numpy()
    assert y.shape == ()
    np.testing.assert_allclose(y.item(), regularizer.l1 * np.abs(v).sum() + regularizer.l2 * (v * v).sum(), rtol=1e-12)
    np.testing.assert_allclose(w.grad.numpy(), regularizer.l1 * np.sign(v) + 2 * regularizer.l2 * v, rtol=1e-12)


def test_a_penalty_comes_last_and_adds_to_the_other_gradients():
    """One pass over the weights: no gradient of its own that is added afterwards."""
    w = pynn.tensor(np.array([[1.0, -2.0], [0.0, 0.5]]), requires_grad=True)
    with program.record() as recorder:
        loss = (w * w * w).sum() + regularizers.L2(0.2)(w) + regularizers.L1(0.3)(w)
        loss.backward()
    v = w.numpy()
    np.testing.assert_allclose(w.grad.numpy(), 3 * v * v + 0.4 * v + 0.3 * np.sign(v), rtol=1e-12)
    names = [instr.card.name for instr in recorder.instrs]
    assert names[-2:] == ["penalty.grad", "penalty.grad"]


def test_a_penalty_on_what_was_computed_flows_on():
    x = pynn.tensor(np.array([1.0, -2.0]), requires_grad=True)
    y = x * 3.0
    (y.sum() + regularizers.L2(0.5)(y)).backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * (1 + 3 * x.numpy()))


def test_regularizers_by_name():
    assert regularizers.get(None) is None
    assert regularizers.get("l1").l1 == 0.01
    assert (regularizers.get("l1_l2").l1, regularizers.get("l1_l2").l2) == (0.01, 0.01)
    with pytest.raises(ValueError, match=r"unknown regularizer.*did you mean 'l2'"):
        regularizers.get("l22")
    with pytest.raises(TypeError, match="name or a function"):
        regularizers.get(3)
    for bad in (-0.1, np.nan, np.inf, "0.1"):
        with pytest.raises(ValueError, match=r"l2 to be a finite number of at least 0"):
            regularizers.L2(bad)
    with pytest.raises(ValueError, match="limit to be a finite number above 0"):
        regularizers.MaxNorm(0)


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


# Rules written in Python


class Lion(optim.Optimizer):
    """A rule without a kernel, which looks at each parameter in its shape."""

    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.99, **common):
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def slot_names(self):
        return ("m",)

    def update(self, param, grad, rate, step, m):
        u = self.beta_1 * m + (1 - self.beta_1) * grad
        sign = (u > 0).astype(u.dtype) - (u < 0).astype(u.dtype)
        return param - rate * sign, {"m": self.beta_2 * m + (1 - self.beta_2) * grad}


class Normed(Lion):
    """A rule that needs the shape: every parameter's step has a length of its own; and it keeps a number of each."""

    def number_names(self):
        return ("longest",)

    def update(self, param, grad, rate, step, m, longest):
        norm = (grad * grad).sum().sqrt() + 1e-6
        longest = ops.maximum(longest, norm.astype("float64"))
        return param - rate / step.astype(rate.dtype) * grad / norm, {"longest": longest}


def fitted(optimizer, eagerly=False, dtype="float32", layers=None, epochs=3):
    from pynn import nn

    r = np.random.default_rng(0)
    x, y = r.normal(size=(70, 6)).astype(dtype), r.integers(0, 3, 70)
    model = nn.Sequential(layers or [nn.Input((6,)), nn.Dense(9, activation="tanh"), nn.Dense(3)], seed=1).astype(dtype)
    model.compile(optimizer, "cross_entropy", seed=0, run_eagerly=eagerly)
    model.fit(x, y, batch_size=32, epochs=epochs, verbose=0)
    return model


def lion(b1=0.9, b2=0.99):
    def step(p, g, s, lr, t):
        m = s.get("m", 0)
        p -= lr * np.sign(b1 * m + (1 - b1) * g)
        s["m"] = b2 * m + (1 - b2) * g

    return step


@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_a_rule_in_python_is_that_of_numpy(decay):
    path, optimizer, _ = run(Lion, 0.05, "float64", weight_decay=decay)
    assert_paths(path, run_numpy(lion(), 0.05, decay=decay), 1e-12)
    assert (optimizer.name, repr(optimizer)[:41]) == ("lion", "Lion(learning_rate=0.05, beta_1=0.9, beta")
    assert optimizer.state()["step"].tolist() == [STEPS] * len(SHAPES)


@pytest.mark.parametrize("common", [{}, {"clip_value": 0.5, "clip_norm": 0.1, "weight_decay": 0.1}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", [Lion, Normed])
def test_a_rule_in_python_gives_the_same_bits_recorded_and_by_hand(rule, dtype, common):
    models = [fitted(rule(0.01, **common), eagerly, dtype) for eagerly in (False, True)]
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        assert a.tobytes() == b.tobytes()
    assert models[0]._trainer.cache.recordings == 2  # the last batch is a smaller one


def test_elements_side_by_side_give_the_same_bits_as_each_parameter_alone():
    class Together(Lion):
        elementwise = True

    models = [fitted(rule(0.01, weight_decay=0.1)) for rule in (Lion, Together)]
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RULES)
def test_a_kernel_does_what_its_rule_says(name, dtype):
    make, _, _, _ = RULES[name]
    models = []
    for fused in (True, False):
        optimizer = make(schedules.Exponential(0.02, rate=0.9, every=1))
        optimizer.weight_decay = 0.1
        if not fused:
            optimizer.fused = None
        models.append(fitted(optimizer, dtype=dtype))
        ran = {instr.card.name for recording in models[-1]._trainer.cache for instr in recording.program.instrs}
        assert ("assign" in ran) != fused
    tolerance = 2e-4 if dtype == "float32" else 1e-10
    for a, b in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("elementwise", [False, True])
def test_rows_of_a_table_by_a_rule_in_python(sparse, elementwise):
    """As by the kernel: with sparse=True the rows that were not looked up stay, slots and all."""
    from pynn import nn

    ids = np.random.default_rng(0).integers(0, 20, (40, 5))
    found = []
    for fused in (True, False):
        optimizer = optim.Adam(0.01, weight_decay=0.1)
        if not fused:
            optimizer.fused, optimizer.elementwise = None, elementwise
        model = nn.Sequential([nn.Embedding(30, 4, sparse=sparse), nn.Flatten(), nn.Dense(2)], seed=0)
        model.compile(optimizer, "cross_entropy", seed=0)
        model.fit(ids, np.arange(40) % 2, batch_size=8, epochs=3, verbose=0)
        found.append([*model.get_weights(), *optimizer.state().values()])
        assert (optimizer.table[model.layers[0].w].slots["m"].numpy()[20:] == 0).all()
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def test_old_values_are_read_before_new_ones_are_written():
    class Swap(optim.Optimizer):
        def slot_names(self):
            return ("before",)

        def update(self, param, grad, rate, step, before):
            return param - rate * grad + before * 0.0, {"before": param}

    p = pynn.tensor([1.0])
    optimizer = Swap(0.5).bind([p])
    for _ in range(2):
        p.grad = pynn.tensor([1.0])
        optimizer.step()
    assert (p.item(), optimizer.state()["before"].tolist()) == (0.0, [0.5])


@pytest.mark.parametrize(
    ("update", "error", "words"),
    [
        (None, NotImplementedError, r"\[bad\] write update\(self, param, grad, rate, step.*class Bad"),
        (
            lambda self, param, grad, rate, step: param,
            TypeError,
            "new parameter and a dict of new slots.*Received: Tensor",
        ),
        (lambda self, param, grad, rate, step: (param, {"m": grad}), TypeError, "slots \\(none\\).*'m'"),
        (lambda self, param, grad, rate, step: (param.sum(), {}), ShapeError, r"param of shape \(2,\). Received: \(\)"),
        (lambda self, param, grad, rate, step: (param.astype("float64") * step, {}), DTypeError, "float32.*astype"),
    ],
)
def test_rules_that_are_wrong_are_told_so_and_nothing_is_written(update, error, words):
    Bad = type("Bad", (optim.Optimizer,), {} if update is None else {"update": update})
    p = pynn.tensor([1.0, 2.0])
    optimizer = Bad(0.1).bind([p])
    p.grad = pynn.tensor([1.0, 1.0])
    with pytest.raises(error, match=words):
        optimizer.step()
    assert p.tolist() == [1.0, 2.0]


def test_all_parameters_are_updated_or_none():
    class Narrow(optim.Optimizer):
        def slot_names(self):
            return ("m",)

        def update(self, param, grad, rate, step, m):
            if param.ndim > 1:
                raise MemoryError
            return param - rate * grad, {"m": grad}

    tensors = [pynn.tensor([1.0, 2.0]), pynn.tensor([[1.0]])]
    optimizer = Narrow(0.5).bind(tensors)
    for p in tensors:
        p.grad = pynn.tensor(np.ones(p.shape, "float32"))
    with pytest.raises(MemoryError):
        optimizer.step()
    assert [p.tolist() for p in tensors] == [[1.0, 2.0], [[1.0]]]
    assert not any(slot.any() for slot in optimizer.state().values())


def test_a_setting_that_the_constructor_does_not_keep_is_named():
    class Forgetful(optim.Optimizer):
        def __init__(self, learning_rate=0.1, beta=0.5):
            super().__init__(learning_rate)

    with pytest.raises(AttributeError, match=r"the attribute 'beta'.*help: keep it, self.beta = beta"):
        repr(Forgetful())


def test_a_subclass_with_an_update_of_its_own_does_not_run_the_inherited_kernel():
    class Slow(optim.Adam):
        def update(self, param, grad, rate, step, m, v):
            return param - 0.5 * rate * grad, {}

    p = pynn.tensor([1.0])
    optimizer = Slow(1.0).bind([p])
    p.grad = pynn.tensor([1.0])
    optimizer.step()
    assert p.item() == 0.5


def test_whatever_a_rule_reads_of_itself_is_seen():
    """A private attribute, an array changed in place: a program that was recorded with it is not run again."""

    class Scaled(optim.Optimizer):
        def update(self, param, grad, rate, step):
            return param - rate * self._factors[0] * grad, {}

    optimizer = Scaled(1.0)
    optimizer._factors = np.array([0.0])
    model = fitted(optimizer)
    before = model.get_weights()
    r = np.random.default_rng(0)
    x, y = r.normal(size=(32, 6)).astype("float32"), r.integers(0, 3, 32)
    model.train_on_batch(x, y)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    optimizer._factors[0] = 1.0
    model.train_on_batch(x, y)
    assert not any(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_settings_that_ask_for_another_slot_get_it():
    p = pynn.tensor([1.0, 2.0])
    optimizer = optim.SGD(0.1).bind([p])
    for momentum, expected in ((0.0, 0.9), (0.5, 0.8), (0.5, 0.65)):
        optimizer.momentum = momentum
        p.grad = pynn.tensor([1.0, 1.0])
        optimizer.step()
        assert p.tolist()[0] == pytest.approx(expected)
