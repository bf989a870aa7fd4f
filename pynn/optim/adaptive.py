"""Adagrad, Adadelta and RMSprop: a step size of its own for every parameter."""

from __future__ import annotations

from typing import Any

from pynn.checks import number, rate
from pynn.ops import optim as cards
from pynn.optim.base import Optimizer
from pynn.schedules import Schedule

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(Optimizer):
    """s += g**2; w -= lr g / (sqrt(s) + eps).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    initial_accumulator : float, default 0.0
        The first value of s, >= 0.
    eps : float, default 1e-10
        Above 0.
    **common
        weight_decay, clip_value, clip_norm; see :class:`Optimizer`.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.

    References
    ----------
    Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    Examples
    --------
    >>> Adagrad()
    Adagrad(learning_rate=0.01, eps=1e-10)
    """

    name = "adagrad"
    card = cards.ADAGRAD
    places = ("squares",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        initial_accumulator: float = 0.0,
        eps: float = 1e-10,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.initial_accumulator = number(self.name, "initial_accumulator", initial_accumulator, 0)
        self.eps = number(self.name, "eps", eps, 0, open_low=True)

    def hyper(self) -> dict[str, Any]:
        """Return eps."""
        return {"eps": self.eps}

    def slot_names(self) -> tuple[str, ...]:
        """Return the sum of squares."""
        return ("squares",)

    def first(self, name: str) -> float:
        """Return the first value of a slot or number."""
        return self.initial_accumulator


class Adadelta(Optimizer):
    """s = rho s + (1-rho) g**2; d = g sqrt(u + eps) / sqrt(s + eps); u = rho u + (1-rho) d**2; w -= lr d.

    Parameters
    ----------
    learning_rate : float or Schedule, default 1.0
    rho : float, default 0.9
        In [0, 1).
    eps : float, default 1e-6
        Above 0.
    **common
        weight_decay, clip_value, clip_norm; see :class:`Optimizer`.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.

    References
    ----------
    Zeiler, "ADADELTA: an adaptive learning rate method", 2012.

    Examples
    --------
    >>> Adadelta()
    Adadelta(learning_rate=1.0, rho=0.9, eps=1e-06)
    """

    name = "adadelta"
    card = cards.ADADELTA
    places = ("squares", "updates")

    def __init__(self, learning_rate: float | Schedule = 1.0, rho: float = 0.9, eps: float = 1e-6, **common: Any):
        super().__init__(learning_rate, **common)
        self.rho = rate(self.name, "rho", rho)
        self.eps = number(self.name, "eps", eps, 0, open_low=True)

    def hyper(self) -> dict[str, Any]:
        """Return rho and eps."""
        return {"rho": self.rho, "eps": self.eps}

    def slot_names(self) -> tuple[str, ...]:
        """Return the averages of squared gradients and of squared updates."""
        return ("squares", "updates")


class RMSprop(Optimizer):
    """s = rho s + (1-rho) g**2; w -= lr g / (sqrt(s) + eps).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    rho : float, default 0.9
        In [0, 1). (PyTorch calls it alpha, and its default is 0.99.)
    momentum : float, default 0.0
        With mu in (0, 1): v = mu v + g / (sqrt(s) + eps); w -= lr v.
    eps : float, default 1e-7
        Above 0, outside the root. (PyTorch's default is 1e-8.)
    centered : bool, default False
        Subtract the square of the average gradient from s.
    **common
        weight_decay, clip_value, clip_norm; see :class:`Optimizer`.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.

    References
    ----------
    Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012. Graves, "Generating sequences with recurrent neural networks",
    2013 (centered).

    Examples
    --------
    >>> RMSprop()
    RMSprop(learning_rate=0.001, rho=0.9, eps=1e-07, momentum=0.0, centered=False)
    """

    name = "rmsprop"
    card = cards.RMSPROP
    places = ("squares", "velocity", "average")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-7,
        centered: bool = False,
        **common: Any,
    ):
        super().__init__(learning_rate, **common)
        self.rho = rate(self.name, "rho", rho)
        self.momentum = rate(self.name, "momentum", momentum)
        self.eps = number(self.name, "eps", eps, 0, open_low=True)
        self.centered = bool(centered)

    def hyper(self) -> dict[str, Any]:
        """Return rho, eps, momentum and kind."""
        return {"rho": self.rho, "eps": self.eps, "momentum": self.momentum, "centered": self.centered}

    def slot_names(self) -> tuple[str, ...]:
        """Return the average of squares, the velocity and the average gradient."""
        return ("squares", *(["velocity"] if self.momentum else []), *(["average"] if self.centered else []))
