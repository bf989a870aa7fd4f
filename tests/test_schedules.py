"""Every schedule against its formula, written out step by step, and against PyTorch and optax where installed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pynn import schedules
from pynn.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseSqrt,
    InverseTime,
    OneCycle,
    Piecewise,
    Polynomial,
    Schedule,
    StepDecay,
    WarmUp,
)

STEPS = 130

ALL = {
    "constant": Constant(0.3),
    "step": StepDecay(0.3, 0.7, every=7),
    "exponential": Exponential(0.3, rate=0.9, every=10),
    "exponential staircase": Exponential(0.3, rate=0.9, every=10, staircase=True),
    "inverse": InverseTime(0.3, rate=0.4, every=10),
    "inverse staircase": InverseTime(0.3, rate=0.4, every=10, staircase=True),
    "cosine": Cosine(0.3, 100, final=0.01),
    "cosine warm-up": Cosine(0.3, 100, final=0.01, warmup=20),
    "one cycle": OneCycle(0.3, 100),
    "warm-up": WarmUp(Exponential(0.3, rate=0.9, every=10), 25, start=0.03),
    "piecewise": Piecewise([10, 50, 51], [0.3, 0.2, 0.1, 0.4]),
    "square root": InverseSqrt(0.3, every=10),
    "polynomial": Polynomial(0.3, 100, final=0.01, power=0.5),
    "polynomial cycles": Polynomial(0.3, 40, final=0.01, power=2.0, cycle=True),
}


def cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def one_cycle(t: int) -> float:
    top, last = 0.3 * 100 - 1, 100 - 1
    if t <= top:
        return cosine(0.3 / 25, 0.3, t / top)
    return cosine(0.3, 0.3 / 25 / 1e4, (min(t, last) - top) / (last - top))


FORMULAS = {
    "square root": lambda t: 0.3 / math.sqrt(1 + t / 10),
    "polynomial": lambda t: 0.01 + 0.29 * math.sqrt(1 - min(t, 100) / 100),
    "polynomial cycles": lambda t: 0.01 + 0.29 * (1 - t / (40 * max(1, math.ceil(t / 40)))) ** 2,
    "constant": lambda t: 0.3,
    "step": lambda t: 0.3 * 0.7 ** (t // 7),
    "exponential": lambda t: 0.3 * 0.9 ** (t / 10),
    "exponential staircase": lambda t: 0.3 * 0.9 ** (t // 10),
    "inverse": lambda t: 0.3 / (1 + 0.4 * t / 10),
    "inverse staircase": lambda t: 0.3 / (1 + 0.4 * (t // 10)),
    "cosine": lambda t: cosine(0.3, 0.01, min(t, 100) / 100),
    "cosine warm-up": lambda t: 0.3 * t / 20 if t < 20 else cosine(0.3, 0.01, min(t - 20, 80) / 80),
    "one cycle": one_cycle,
    "warm-up": lambda t: 0.03 + 0.27 * t / 25 if t < 25 else 0.3 * 0.9 ** ((t - 25) / 10),
    "piecewise": lambda t: 0.3 if t < 10 else 0.2 if t < 50 else 0.1 if t < 51 else 0.4,
}


@pytest.mark.parametrize("name", ALL)
def test_values_follow_the_formula(name: str) -> None:
    values = ALL[name].values(0, STEPS)
    assert values.dtype == np.float64
    assert values.shape == (STEPS,)
    expected = [FORMULAS[name](t) for t in range(STEPS)]
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ALL)
def test_grouping_of_steps_does_not_change_a_bit(name: str) -> None:
    schedule = ALL[name]
    whole = schedule.values(0, STEPS)
    parts = np.concatenate([schedule.values(0, 1), schedule.values(1, 16), schedule.values(17, STEPS - 17)])
    singles = np.array([schedule(t) for t in range(STEPS)])
    assert whole.tobytes() == parts.tobytes() == singles.tobytes()
    assert type(schedule(3)) is float
    assert schedule.values(5, 0).shape == (0,)


def torch_rates(make, initial: float) -> list[float]:
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=initial, momentum=0.9)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "make", "count"),
    [
        (StepDecay(0.3, 0.7, every=7), lambda m, o: m.StepLR(o, 7, gamma=0.7), 100),
        (Exponential(0.3, rate=0.97, every=1), lambda m, o: m.ExponentialLR(o, 0.97), 100),
        # PyTorch turns round at T_max and rises again; ours stays at the end.
        (Cosine(0.3, 80, final=0.01), lambda m, o: m.CosineAnnealingLR(o, 80, eta_min=0.01), 81),
        (OneCycle(0.3, 101), lambda m, o: m.OneCycleLR(o, 0.3, total_steps=101), 100),
        (
            OneCycle(0.3, 101, start_fraction=0.45, div=10, final_div=100),
            lambda m, o: m.OneCycleLR(o, 0.3, total_steps=101, pct_start=0.45, div_factor=10, final_div_factor=100),
            100,
        ),
        (
            Piecewise([10, 60], [0.3, 0.03, 0.003]),
            lambda m, o: m.MultiStepLR(o, [10, 60], gamma=0.1),
            100,
        ),
        (Polynomial(0.3, 80, final=0.0, power=0.5), lambda m, o: m.PolynomialLR(o, 80, power=0.5), 100),
        (
            WarmUp(0.3, 20, start=0.03),
            lambda m, o: m.LinearLR(o, start_factor=0.1, total_iters=20),
            100,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Schedule) else "",
)
def test_agrees_with_pytorch(ours: Schedule, make, count: int) -> None:
    expected = torch_rates(make, 0.3)[:count]
    np.testing.assert_allclose(ours.values(0, count), expected, rtol=1e-9, atol=1e-12)


def test_cosine_with_warmup_agrees_with_optax() -> None:
    optax = pytest.importorskip("optax")
    theirs = optax.warmup_cosine_decay_schedule(0.0, 0.3, warmup_steps=20, decay_steps=100, end_value=0.01)
    ours = Cosine(0.3, 100, final=0.01, warmup=20).values(0, STEPS)
    np.testing.assert_allclose(ours, [float(theirs(t)) for t in range(STEPS)], rtol=1e-4)


def test_one_cycle_meets_its_corners_even_when_short() -> None:
    for steps in (2, 3, 4, 10):
        values = OneCycle(1.0, steps).values(0, steps + 2)
        assert np.isfinite(values).all()
        assert values.max() <= 1.0
        np.testing.assert_allclose(values[steps - 1 :], 1 / 25 / 1e4, rtol=1e-9)


def test_a_schedule_can_follow_a_warm_up_as_a_number_or_an_object() -> None:
    assert WarmUp(0.5, 2) == WarmUp(Constant(0.5), 2)
    assert WarmUp(0.5, 2).values(0, 4).tolist() == [0.0, 0.25, 0.5, 0.5]


def test_get_takes_numbers_and_schedules_only() -> None:
    schedule = Cosine(0.1, 10)
    assert schedules.get(schedule) is schedule
    assert schedules.get(np.float32(0.5)) == Constant(0.5)
    for wrong in (True, None, [0.1], lambda step: 0.1):
        with pytest.raises(TypeError, match="expected a number or a Schedule"):
            schedules.get(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(-0.1), r"\[Constant\] expected initial.*>= 0. Received: initial=-0.1"),
        (lambda: Constant(math.nan), "finite"),
        (lambda: Constant("0.1"), "finite"),
        (lambda: schedules.get(-1), "initial=-1.0"),
        (lambda: StepDecay(0, 0.5, 10), "initial.*> 0"),
        (lambda: StepDecay(0.1, 1.5, 10), "0 < drop <= 1"),
        (lambda: StepDecay(0.1, 0, 10), "0 < drop <= 1"),
        (lambda: StepDecay(0.1, 0.5, 0), "every to be a whole number of steps >= 1. Received: every=0"),
        (lambda: StepDecay(0.1, 0.5, 2.5), "every to be a whole number"),
        (lambda: Exponential(0.1, rate=0.0, every=10), "rate to be finite and > 0"),
        (lambda: Exponential(math.inf, rate=0.5, every=10), "initial"),
        (lambda: InverseTime(0.1, rate=-1, every=10), "rate to be finite and >= 0"),
        (lambda: InverseSqrt(0, every=10), "initial.*> 0"),
        (lambda: InverseSqrt(0.1, every=0), "every to be a whole number"),
        (lambda: Polynomial(0.1, 0), "steps"),
        (lambda: Polynomial(0.1, 10, final=0.2), "final <= initial"),
        (lambda: Polynomial(0.1, 10, power=0), "power to be finite and > 0. Received: power=0"),
        (lambda: Cosine(0.1, 0), "steps"),
        (lambda: Cosine(0.1, 10, final=-1), "final"),
        (lambda: Cosine(0.1, 10, final=0.2), "final <= initial"),
        (lambda: Cosine(0.1, 10, warmup=10), "warmup < steps. Received: warmup=10, steps=10"),
        (lambda: Cosine(0.1, 10, warmup=-1), "warmup"),
        (lambda: OneCycle(-1, 10), "max_lr"),
        (lambda: OneCycle(1, 1), "steps to be a whole number of steps >= 2"),
        (lambda: OneCycle(1, 10, start_fraction=1.0), "0 < start_fraction < 1"),
        (lambda: OneCycle(1, 10, div=0.5), "div"),
        (lambda: OneCycle(1, 10, final_div=0), "final_div"),
        (lambda: WarmUp(0.1, 0), "steps"),
        (lambda: WarmUp(0.1, 5, start=-0.1), "start"),
        (lambda: Piecewise([5, 5], [1, 2, 3]), "rising boundaries"),
        (lambda: Piecewise([5], [1.0]), "one level more than boundaries"),
        (lambda: Piecewise([0], [1.0, 2.0]), "boundaries"),
        (lambda: Piecewise([5], [1.0, -2.0]), "levels"),
        (lambda: Constant(0.1).values(-1, 3), "start >= 0"),
    ],
)
def test_values_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_schedules_cannot_be_changed() -> None:
    schedule = Constant(0.1)
    with pytest.raises(AttributeError):
        schedule.initial = 0.2


def test_a_subclass_without_rates_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="must define rates"):
        type("Mine", (Schedule,), {})()(0)
