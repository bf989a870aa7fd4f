"""Learning-rate schedules: the learning rate as a function of the optimizer's step, counted from 0.

A schedule is vectorised: the training program asks for the learning rates of its next k steps at once with `values`.
All schedules are immutable, and the value at a step does not depend on how the steps were grouped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pynn.checks import is_integer, is_number, plain_fields, written
from pynn.keywords import spelled
from pynn.names import Registry

__all__ = [
    "NAMES",
    "Constant",
    "Cosine",
    "Exponential",
    "InverseSqrt",
    "InverseTime",
    "OneCycle",
    "Piecewise",
    "Polynomial",
    "Schedule",
    "StepDecay",
    "WarmUp",
    "get",
]

Rates = NDArray[np.float64]


class Schedule:
    """Base class. A subclass defines `rates(steps)` for a float64 array of step numbers.

    Examples
    --------
    >>> class Halving(Schedule):
    ...     def rates(self, steps):
    ...         return 0.1 * 0.5 ** np.floor(steps / 1000)
    >>> Halving()(2500)
    0.025
    """

    def rates(self, steps: Rates) -> Rates:
        """Return the learning rate of every step in `steps`, float64 of the same shape."""
        raise NotImplementedError(f"[{type(self).__name__}] a schedule must define rates(steps).")

    def __call__(self, step: int | np.integer[Any]) -> float:
        """Return the learning rate of one step, counted from 0."""
        return float(self.values(int(step), 1)[0])

    def values(self, start: int, count: int) -> Rates:
        """Return the learning rates of `count` steps from step `start` on, float64 [count]."""
        if not is_integer(start, 0) or not is_integer(count, 0):
            raise ValueError(
                f"[{type(self).__name__}] expected start >= 0 and count >= 0. Received: start={start}, count={count}."
            )
        return self.rates(np.arange(start, start + count, dtype=np.float64))

    def _require(self, ok: object, wanted: str, **received: object) -> None:
        if not ok:
            came = ", ".join(f"{key}={written(value)}" for key, value in received.items())
            raise ValueError(f"[{type(self).__name__}] expected {wanted}. Received: {came}.")

    def _require_rate(self, name: str, value: Any, *, zero: bool = False) -> None:
        sign = ">= 0" if zero else "> 0"
        ok = is_number(value) and (value > 0 or (zero and value == 0))
        self._require(ok, f"{name}, a learning rate, to be finite and {sign}", **{name: value})

    def _require_count(self, name: str, value: Any, least: int = 1) -> None:
        ok = is_integer(value, least)
        self._require(ok, f"{name} to be a whole number of steps >= {least}", **{name: value})


@spelled
@dataclass(frozen=True)
class Constant(Schedule):
    """lr(t) = initial.

    Parameters
    ----------
    initial : float
        The learning rate, >= 0.

    Examples
    --------
    >>> Constant(0.1).values(0, 3).tolist()
    [0.1, 0.1, 0.1]
    """

    initial: float

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("initial", self.initial, zero=True)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        return np.full(steps.shape, float(self.initial))


@spelled
@dataclass(frozen=True)
class Exponential(Schedule):
    """lr(t) = initial * rate ** (t / every), with floor(t / every) if `staircase`.

    Parameters
    ----------
    initial : float
        The first learning rate, > 0.
    rate : float
        The factor per `every` steps, > 0.
    every : int
        Steps per factor, >= 1.
    staircase : bool, default False
        Decay in jumps.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The formula of Keras' ``ExponentialDecay``; ``every=1`` is PyTorch's ``ExponentialLR``.

    Examples
    --------
    >>> Exponential(1.0, rate=0.25, every=2).values(0, 5).tolist()
    [1.0, 0.5, 0.25, 0.125, 0.0625]
    """

    initial: float
    _: KW_ONLY
    rate: float
    every: int
    staircase: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("initial", self.initial)
        self._require(is_number(self.rate) and self.rate > 0, "rate to be finite and > 0", rate=self.rate)
        self._require_count("every", self.every)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        return self.initial * np.power(float(self.rate), _periods(steps, self.every, self.staircase))


@spelled
@dataclass(frozen=True)
class StepDecay(Schedule):
    """lr(t) = initial * drop ** floor(t / every).

    Parameters
    ----------
    initial : float
        The first learning rate, > 0.
    drop : float
        The factor of every jump, in (0, 1].
    every : int
        Steps between jumps, >= 1.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The formula of PyTorch's ``StepLR``.

    Examples
    --------
    >>> StepDecay(1.0, drop=0.5, every=2).values(0, 5).tolist()
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    initial: float
    drop: float
    every: int

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("initial", self.initial)
        self._require(is_number(self.drop) and 0 < self.drop <= 1, "0 < drop <= 1", drop=self.drop)
        self._require_count("every", self.every)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        return self.initial * np.power(float(self.drop), _periods(steps, self.every, staircase=True))


@spelled
@dataclass(frozen=True)
class InverseTime(Schedule):
    """lr(t) = initial / (1 + rate * t / every), with floor(t / every) if `staircase`.

    Parameters
    ----------
    initial : float
        The first learning rate, > 0.
    rate : float
        The decay, >= 0.
    every : int
        Steps per unit of decay, >= 1.
    staircase : bool, default False
        Decay in jumps.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The formula of Keras' ``InverseTimeDecay``.

    Examples
    --------
    >>> InverseTime(1.0, rate=1.0, every=10)(30)
    0.25
    """

    initial: float
    _: KW_ONLY
    rate: float
    every: int
    staircase: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("initial", self.initial)
        self._require(is_number(self.rate) and self.rate >= 0, "rate to be finite and >= 0", rate=self.rate)
        self._require_count("every", self.every)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        return self.initial / (1.0 + self.rate * _periods(steps, self.every, self.staircase))


@spelled
@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """lr(t) = initial / sqrt(1 + t / every).

    The square-root decay: slow enough for the sum of all rates to be infinite, so that an average of the weights
    (``use_ema=True`` of an optimizer) has something to average.

    Parameters
    ----------
    initial : float
        The first learning rate, > 0.
    every : int
        The number of steps, >= 1, of which three make half of the first rate.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> InverseSqrt(1.0, every=100).values(0, 301)[[0, 300]].tolist()
    [1.0, 0.5]
    """

    initial: float
    _: KW_ONLY
    every: int

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("initial", self.initial)
        self._require_count("every", self.every)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        return self.initial / np.sqrt(1.0 + steps / self.every)


@spelled
@dataclass(frozen=True)
class Polynomial(Schedule):
    """lr(t) = final + (initial - final) * (1 - min(t / steps, 1)) ** power.

    Parameters
    ----------
    initial : float
        The first learning rate, > 0.
    steps : int
        Steps until `final` is reached, >= 1. It stays at `final` from there on.
    final : float, default 1e-4
        The last learning rate, in [0, initial].
    power : float, default 1.0
        > 0; 1 is a straight line, 0.5 stays high and falls at the end.
    cycle : bool, default False
        Begin a slope that is one `steps` longer each time `final` is reached, as if `steps` were its next multiple.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The formula of Keras' ``PolynomialDecay``; with ``final=0`` that of PyTorch's ``PolynomialLR``, and of Caffe's
    ``"poly"``.

    Examples
    --------
    >>> Polynomial(1.0, steps=4, final=0.0, power=0.5).values(0, 6).round(3).tolist()
    [1.0, 0.866, 0.707, 0.5, 0.0, 0.0]
    """

    initial: float
    steps: int
    _: KW_ONLY
    final: float = 1e-4
    power: float = 1.0
    cycle: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("initial", self.initial)
        self._require_count("steps", self.steps)
        self._require_rate("final", self.final, zero=True)
        self._require(self.final <= self.initial, "final <= initial", final=self.final, initial=self.initial)
        self._require(is_number(self.power) and self.power > 0, "power to be finite and > 0", power=self.power)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        slope: Any = self.steps
        if self.cycle:
            slope = self.steps * np.maximum(1.0, np.ceil(steps / self.steps))
        left = 1.0 - np.minimum(steps / slope, 1.0)
        return self.final + (self.initial - self.final) * np.power(left, float(self.power))


def _periods(steps: Rates, every: int, staircase: bool) -> Rates:
    return np.floor_divide(steps, every) if staircase else steps / every


def _half_cosine(start: float, end: float, progress: Rates) -> Rates:
    """Go from `start` to `end` along half a cosine while `progress` goes from 0 to 1."""
    return end + (start - end) * 0.5 * (1.0 + np.cos(np.pi * progress))


@spelled
@dataclass(frozen=True)
class Cosine(Schedule):
    """lr(t) = final + (initial - final) * (1 + cos(pi * min(t / steps, 1))) / 2.

    Parameters
    ----------
    initial : float
        The highest learning rate, > 0.
    steps : int
        Steps until `final` is reached, the warm-up included, >= 1. It stays at `final` from there on.
    final : float, default 0.0
        The last learning rate, in [0, initial].
    warmup : int, default 0
        Rise linearly from 0 to `initial` over so many steps first, and spend the others on the cosine.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017. Without warm-up it is PyTorch's
    ``CosineAnnealingLR``.

    Examples
    --------
    >>> np.round(Cosine(1.0, steps=4).values(0, 6), 3).tolist()
    [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    >>> Cosine(1.0, steps=8, warmup=4).values(0, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    initial: float
    steps: int
    _: KW_ONLY
    final: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("initial", self.initial)
        self._require_count("steps", self.steps)
        self._require_rate("final", self.final, zero=True)
        self._require(self.final <= self.initial, "final <= initial", final=self.final, initial=self.initial)
        self._require_count("warmup", self.warmup, least=0)
        self._require(self.warmup < self.steps, "warmup < steps", warmup=self.warmup, steps=self.steps)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        if self.warmup:
            return WarmUp(Cosine(self.initial, self.steps - self.warmup, final=self.final), self.warmup).rates(steps)
        return _half_cosine(self.initial, self.final, np.minimum(steps / self.steps, 1.0))


@spelled
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine up from max_lr / div to max_lr, then half a cosine down to max_lr / (div * final_div).

    The top is at step ``start_fraction * steps - 1``, the end at step ``steps - 1``; it stays there afterwards.

    Parameters
    ----------
    max_lr : float
        The highest learning rate, > 0.
    steps : int
        Length of the cycle, >= 2.
    start_fraction : float, default 0.3
        Part of the cycle spent rising, in (0, 1).
    div : float, default 25
        max_lr over the first learning rate, >= 1.
    final_div : float, default 1e4
        The first learning rate over the last one, > 0.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    Smith and Topin, Super-Convergence, 2018. The formula of PyTorch's ``OneCycleLR`` with cosine annealing.

    Examples
    --------
    >>> schedule = OneCycle(1.0, steps=100)
    >>> [round(schedule(t), 6) for t in (0, 29, 99)]
    [0.04, 1.0, 4e-06]
    """

    max_lr: float
    steps: int
    _: KW_ONLY
    start_fraction: float = 0.3
    div: float = 25.0
    final_div: float = 1e4

    def __post_init__(self) -> None:
        plain_fields(self)
        self._require_rate("max_lr", self.max_lr)
        self._require_count("steps", self.steps, least=2)
        fraction = self.start_fraction
        self._require(is_number(fraction) and 0 < fraction < 1, "0 < start_fraction < 1", start_fraction=fraction)
        self._require(is_number(self.div) and self.div >= 1, "div to be finite and >= 1", div=self.div)
        ratio = self.final_div
        self._require(is_number(ratio) and ratio > 0, "final_div to be finite and > 0", final_div=ratio)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        first = self.max_lr / self.div
        last = self.steps - 1.0
        top = self.start_fraction * self.steps - 1.0
        up = steps / max(top, 1.0)
        down = (np.minimum(steps, last) - top) / (last - top)
        rising = _half_cosine(first, self.max_lr, up)
        falling = _half_cosine(self.max_lr, first / self.final_div, down)
        return np.where(steps < top, rising, falling)


@spelled
@dataclass(frozen=True)
class WarmUp(Schedule):
    """lr(t) = start + (schedule(0) - start) * t / steps while t < steps, then schedule(t - steps).

    Parameters
    ----------
    schedule : Schedule or float
        What follows; its own step 0 is step `steps` of the whole.
    steps : int
        Length of the linear rise, >= 1.
    start : float, default 0.0
        The learning rate of step 0, >= 0.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> WarmUp(StepDecay(0.5, drop=0.5, every=2), steps=2).values(0, 6).tolist()
    [0.0, 0.25, 0.5, 0.5, 0.25, 0.25]
    """

    schedule: Schedule | float
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        plain_fields(self)
        object.__setattr__(self, "schedule", get(self.schedule))
        self._require_count("steps", self.steps)
        self._require_rate("start", self.start, zero=True)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        schedule = get(self.schedule)
        rising = self.start + (schedule(0) - self.start) * (steps / self.steps)
        return np.where(steps < self.steps, rising, schedule.rates(np.maximum(steps - self.steps, 0.0)))


@spelled
@dataclass(frozen=True)
class Piecewise(Schedule):
    """lr(t) = values[i] for boundaries[i - 1] <= t < boundaries[i].

    Parameters
    ----------
    boundaries : sequence of int
        Steps, rising, >= 1, at which the next value begins.
    levels : sequence of float
        Learning rates, each >= 0, one more than there are boundaries.

    Raises
    ------
    ValueError
        If the boundaries do not rise or the numbers of boundaries and levels do not fit.

    Notes
    -----
    A boundary belongs to the piece it begins, as in PyTorch's ``MultiStepLR``; Keras' ``PiecewiseConstantDecay``
    changes one step later.

    Examples
    --------
    >>> Piecewise([2, 3], [0.5, 0.25, 0.125]).values(0, 5).tolist()
    [0.5, 0.5, 0.25, 0.125, 0.125]
    """

    boundaries: Sequence[int]
    levels: Sequence[float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "boundaries", tuple(self.boundaries))
        object.__setattr__(self, "levels", tuple(self.levels))
        plain_fields(self)
        for boundary in self.boundaries:
            self._require_count("boundaries", boundary)
        for level in self.levels:
            self._require_rate("levels", level, zero=True)
        rising = all(a < b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False))
        self._require(rising, "rising boundaries", boundaries=self.boundaries)
        fits = len(self.levels) == len(self.boundaries) + 1
        self._require(fits, "one level more than boundaries", boundaries=self.boundaries, levels=self.levels)

    def rates(self, steps: Rates) -> Rates:
        """Evaluate the formula."""
        return np.asarray(self.levels, np.float64)[np.searchsorted(self.boundaries, steps, side="right")]


def _of_number(rate: Any) -> Schedule | None:
    if isinstance(rate, bool) or not isinstance(rate, Real):
        return None
    return Constant(float(rate) if is_number(rate) else rate)  # type: ignore[arg-type]  # which is refused there


NAMES: Registry[Schedule] = Registry(
    "schedule",
    Schedule,
    {
        "constant": Constant,
        "exponential": Exponential,
        "step_decay": StepDecay,
        "inverse_time": InverseTime,
        "inverse_sqrt": InverseSqrt,
        "polynomial": Polynomial,
        "cosine": Cosine,
        "one_cycle": OneCycle,
        "warm_up": WarmUp,
        "piecewise": Piecewise,
    },
    convert=_of_number,
    expected="a number or a Schedule",
    place="schedules",
    remedy="for a rule of your own, subclass pynn.schedules.Schedule and define rates(steps).",
)


def get(rate: Any) -> Schedule:
    """Return `rate` if it is a schedule, and `Constant(rate)` if it is a number.

    A class, or the name of one ("cosine"), is made without arguments, if it needs none; pynn's all need some.

    Raises
    ------
    ValueError
        If no schedule has the name; the nearest known name is given.
    TypeError
        If it is something else, or a class that needs arguments.

    Examples
    --------
    >>> get(0.5)
    Constant(initial=0.5)
    """
    return NAMES.resolve(rate)
