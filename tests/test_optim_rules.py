"""Optimizers whose rule is written in Python, beside the kernels."""

import numpy as np
import pytest
from trajectories import (
    RULES,
    SHAPES,
    STEPS,
    assert_paths,
    run,
    run_numpy,
)

import pynn
from pynn import ops, optim, schedules
from pynn.core import _core
from pynn.errors import DTypeError, ShapeError


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "name", ["nesterov", *(key for key in optim.NAMES if getattr(optim.NAMES[key], "fused", None))]
)
def test_slots_fade_to_zero_where_no_gradient_comes(name, dtype):
    """Numbers too small to be normal make later steps slow, and would stay: 0.9 of the least one is rounded to it."""
    w = pynn.tensor(np.ones(70, dtype), requires_grad=True)
    made = optim.NAMES[name]
    rule = (made(0.01, momentum=0.5) if name in ("sgd", "rmsprop") else made(0.01)).bind([w])
    least = np.finfo(dtype).smallest_normal
    g = np.resize([100 * least, np.sqrt(100 * least), 1.0], 70).astype(dtype)
    faded = 0
    for _ in range(100):
        w.grad = pynn.tensor(g)
        rule.step()
        g = np.zeros_like(g)
        for key, slot in rule.state().items():
            slot = np.asarray(slot)
            if slot.size >= 70:
                assert np.isfinite(slot).all()
                assert not np.any((slot != 0) & (np.abs(slot) < least)), key
                faded += np.count_nonzero(slot == 0)
    assert faded or not rule.slot_names() or name == "adagrad"  # whose sums only grow


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


@pytest.mark.parametrize("rule", [optim.Adam, optim.AdamW])
def test_roots_of_multiply_adds_have_the_same_bits(rule):
    """Gradients of every size, with zeros and what is not finite among them."""
    r = np.random.default_rng(0)
    exponents = r.uniform(-44, 38, (4, 100_003))
    grads = (r.normal(size=exponents.shape) * 10.0**exponents).astype("float32")
    grads[:, ::7] = 0
    grads[1, ::1001], grads[2, ::1003] = np.inf, np.nan
    found = []
    before = _core.set_roots_apart(True)
    try:
        for apart in (True, False):
            _core.set_roots_apart(apart)
            w = pynn.tensor(np.ones(grads.shape[1], "float32"), requires_grad=True)
            made = rule(0.01)
            for g in grads:
                made.apply_gradients([(pynn.tensor(g), w)])
            found.append(w.numpy().tobytes())
    finally:
        _core.set_roots_apart(before)
    assert found[0] == found[1]
