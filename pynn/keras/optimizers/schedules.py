"""Learning rates that change from step to step, in Keras's names."""

from __future__ import annotations

import math

import numpy as np

from pynn.keras.names import Configured, Named
from pynn.schedules import Schedule

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "LearningRateSchedule",
    "PiecewiseConstantDecay", "PolynomialDecay",
]  # fmt: skip


class LearningRateSchedule(Configured, Schedule):
    """The base of schedules: write ``__call__(step)``."""

    def __call__(self, step):
        """Return the learning rate of a step."""
        raise NotImplementedError(f"[{type(self).__name__}] a schedule must define __call__(step).")

    def rates(self, steps):
        """Return the learning rate of every step."""
        return np.array([_number(self(_number(step))) for step in np.asarray(steps, "float64")], "float64")


def _number(value):
    return float(np.asarray(value.numpy() if hasattr(value, "numpy") else value))


class ExponentialDecay(LearningRateSchedule):
    """rate = initial * decay_rate**(step / decay_steps)."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="ExponentialDecay"):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name

    def __call__(self, step):
        p = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (math.floor(p) if self.staircase else p)


class InverseTimeDecay(LearningRateSchedule):
    """rate = initial / (1 + decay_rate * step / decay_steps)."""

    def __init__(self, initial_learning_rate, decay_steps, decay_rate, staircase=False, name="InverseTimeDecay"):
        self.initial_learning_rate, self.decay_steps, self.decay_rate = initial_learning_rate, decay_steps, decay_rate
        self.staircase, self.name = staircase, name

    def __call__(self, step):
        p = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (math.floor(p) if self.staircase else p))


class PiecewiseConstantDecay(LearningRateSchedule):
    """One rate up to each boundary."""

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "[PiecewiseConstantDecay] expected one boundary fewer than values. "
                f"Received: {len(boundaries)} and {len(values)}."
            )
        self.boundaries, self.values_, self.name = list(boundaries), list(values), name

    def __call__(self, step):
        return self.values_[sum(step > b for b in self.boundaries)]

    def get_config(self):
        return {"boundaries": self.boundaries, "values": self.values_, "name": self.name}


class PolynomialDecay(LearningRateSchedule):
    """rate = (initial - end) (1 - step / decay_steps)**power + end."""

    def __init__(self, initial_learning_rate, decay_steps, end_learning_rate=0.0001, power=1.0, cycle=False,
                 name="PolynomialDecay"):  # fmt: skip
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def __call__(self, step):
        steps = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        p = min(step, steps) / steps
        return (self.initial_learning_rate - self.end_learning_rate) * (1 - p) ** self.power + self.end_learning_rate


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate, after a warm-up if asked for, to alpha times it."""

    def __init__(self, initial_learning_rate, decay_steps, alpha=0.0, name="CosineDecay", warmup_target=None,
                 warmup_steps=0):  # fmt: skip
        self.initial_learning_rate, self.decay_steps, self.alpha, self.name = (
            initial_learning_rate, decay_steps, alpha, name)  # fmt: skip
        self.warmup_target, self.warmup_steps = warmup_target, warmup_steps

    def __call__(self, step):
        first = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return first + (self.warmup_target - first) * step / self.warmup_steps
            first, step = self.warmup_target, step - self.warmup_steps
        p = min(step, self.decay_steps) / self.decay_steps
        return first * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * p)) + self.alpha)


class CosineDecayRestarts(LearningRateSchedule):
    """Half cosines, each t_mul times as long as the one before and m_mul times as high."""

    def __init__(self, initial_learning_rate, first_decay_steps, t_mul=2.0, m_mul=1.0, alpha=0.0, name="SGDRDecay"):
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def __call__(self, step):
        p, i = step / self.first_decay_steps, 0
        if self.t_mul == 1.0:
            i, p = math.floor(p), p - math.floor(p)
        else:
            i = math.floor(math.log(1 - p * (1 - self.t_mul)) / math.log(self.t_mul))
            p = (p - (1 - self.t_mul**i) / (1 - self.t_mul)) / self.t_mul**i
        height = 0.5 * self.m_mul**i * (1 + math.cos(math.pi * p))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)


class Decayed(Schedule):
    """rate / (1 + decay * step): what ``decay=`` of the optimizers of Keras 2 means."""

    def __init__(self, rate, decay):
        self.rate, self.decay = float(rate), float(decay)

    def rates(self, steps):
        """Return the learning rate of every step."""
        return self.rate / (1.0 + self.decay * steps)


def deserialize(config, custom_objects=None):
    """Return the schedule of a config."""
    return Named("schedule", LearningRateSchedule, [globals()[name] for name in __all__]).deserialize(
        config, custom_objects
    )
