"""Adagrad, Adadelta and RMSprop: a step size of its own for every parameter."""

from __future__ import annotations

from typing import Any

from pynn import ops
from pynn.checks import number, rate
from pynn.core.tensor import Tensor
from pynn.optim.base import Optimizer
from pynn.optim.fused import Fused
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
    weight_decay : float, default 0.0
        Decoupled: parameters are first multiplied by 1 - learning_rate * weight_decay.
    clip_value : float, optional
        Limit gradients to [-clip_value, clip_value].
    clip_norm : float, optional
        Scale gradients so that their norm, over all parameters, is at most this.
    use_ema : bool, default False
        Keep the average a = mu a + (1 - mu) w of every parameter over the updates (Polyak and Juditsky 1992), and give
        the parameters its values when ``fit`` ends and while it validates.
    ema_momentum : float, default 0.99
        mu, in [0, 1).
    ema_overwrite_frequency : int, optional
        Give the parameters the values of their averages after every so many updates, too.

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
    elementwise = True
    fused = Fused("adagrad_step", ("squares",), ("eps",), variants=({"eps": 1e-3},))

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        initial_accumulator: float = 0.0,
        eps: float = 1e-10,
        *,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.initial_accumulator = number(self.name, "initial_accumulator", initial_accumulator, 0)
        self.eps = number(self.name, "eps", eps, 0, open_low=True)

    def hyper(self) -> dict[str, Any]:
        """Return eps."""
        return {"eps": self.eps}

    def slot_names(self) -> tuple[str, ...]:
        """Return the sum of squares."""
        return ("squares",)

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, squares: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new parameter and sum of squares."""
        squares = squares + grad * grad
        return param - rate * grad / (squares.sqrt() + self.eps), {"squares": squares}

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
    weight_decay : float, default 0.0
        Decoupled: parameters are first multiplied by 1 - learning_rate * weight_decay.
    clip_value : float, optional
        Limit gradients to [-clip_value, clip_value].
    clip_norm : float, optional
        Scale gradients so that their norm, over all parameters, is at most this.
    use_ema : bool, default False
        Keep the average a = mu a + (1 - mu) w of every parameter over the updates (Polyak and Juditsky 1992), and give
        the parameters its values when ``fit`` ends and while it validates.
    ema_momentum : float, default 0.99
        mu, in [0, 1).
    ema_overwrite_frequency : int, optional
        Give the parameters the values of their averages after every so many updates, too.

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
    elementwise = True
    fused = Fused("adadelta_step", ("squares", "updates"), ("rho", "eps"), variants=({"rho": 0.9, "eps": 1e-3},))

    def __init__(
        self,
        learning_rate: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        *,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.rho = rate(self.name, "rho", rho)
        self.eps = number(self.name, "eps", eps, 0, open_low=True)

    def hyper(self) -> dict[str, Any]:
        """Return rho and eps."""
        return {"rho": self.rho, "eps": self.eps}

    def slot_names(self) -> tuple[str, ...]:
        """Return the averages of squared gradients and of squared updates."""
        return ("squares", "updates")

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, squares: Tensor, updates: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new parameter and averages."""
        squares = self.rho * squares + (1.0 - self.rho) * grad * grad
        move = (updates + self.eps).sqrt() / (squares + self.eps).sqrt() * grad
        updates = self.rho * updates + (1.0 - self.rho) * move * move
        return param - rate * move, {"squares": squares, "updates": updates}


class RMSprop(Optimizer):
    """s = rho s + (1-rho) g**2; w -= lr g / (sqrt(s) + eps), or lr g / sqrt(s + eps).

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
    eps_in_sqrt : bool, default False
        Whether eps stands inside the root, as in TensorFlow and Keras 3.
    weight_decay : float, default 0.0
        Decoupled: parameters are first multiplied by 1 - learning_rate * weight_decay.
    clip_value : float, optional
        Limit gradients to [-clip_value, clip_value].
    clip_norm : float, optional
        Scale gradients so that their norm, over all parameters, is at most this.
    use_ema : bool, default False
        Keep the average a = mu a + (1 - mu) w of every parameter over the updates (Polyak and Juditsky 1992), and give
        the parameters its values when ``fit`` ends and while it validates.
    ema_momentum : float, default 0.99
        mu, in [0, 1).
    ema_overwrite_frequency : int, optional
        Give the parameters the values of their averages after every so many updates, too.

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
    RMSprop(learning_rate=0.001, rho=0.9, eps=1e-07, momentum=0.0, centered=False, eps_in_sqrt=False)
    """

    name = "rmsprop"
    elementwise = True
    fused = Fused(
        "rmsprop_step", ("squares", "velocity", "average"), ("rho", "eps", "momentum"), "eps_in_sqrt",
        variants=tuple(
            {"rho": 0.9, "eps": 1e-3, "momentum": momentum, "centered": centered, "eps_in_sqrt": inside}
            for centered, momentum, inside in
            ((False, 0.0, False), (False, 0.9, True), (True, 0.0, True), (True, 0.9, False), (False, 0.0, True))
        ),
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        eps: float = 1e-7,
        centered: bool = False,
        *,
        eps_in_sqrt: bool = False,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ):
        super().__init__(
            learning_rate,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.rho = rate(self.name, "rho", rho)
        self.momentum = rate(self.name, "momentum", momentum)
        self.eps = number(self.name, "eps", eps, 0, open_low=True)
        self.centered, self.eps_in_sqrt = bool(centered), bool(eps_in_sqrt)

    def hyper(self) -> dict[str, Any]:
        """Return rho, eps, momentum and kind."""
        return {key: getattr(self, key) for key in ("rho", "eps", "momentum", "centered", "eps_in_sqrt")}

    def slot_names(self) -> tuple[str, ...]:
        """Return the average of squares, the velocity and the average gradient."""
        return ("squares", *(["velocity"] if self.momentum else []), *(["average"] if self.centered else []))

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, squares: Tensor,
        velocity: Tensor | None = None, average: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
        """Return the new parameter, averages and velocity."""
        new = {"squares": self.rho * squares + (1.0 - self.rho) * grad * grad}
        spread = new["squares"]
        if self.centered and average is not None:
            new["average"] = average + (1.0 - self.rho) * (grad - average)
            spread = ops.maximum(spread - new["average"] * new["average"], 0.0)  # rounding may make it negative
        move = grad / (ops.sqrt(spread + self.eps) if self.eps_in_sqrt else spread.sqrt() + self.eps)
        if self.momentum and velocity is not None:
            move = new["velocity"] = self.momentum * velocity + move
        return param - rate * move, new
