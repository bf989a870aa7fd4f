"""Gradient descent, with and without momentum."""

from __future__ import annotations

from typing import Any

from pynn.checks import rate
from pynn.core.tensor import Tensor
from pynn.optim.base import Optimizer
from pynn.optim.fused import Fused
from pynn.schedules import Schedule

__all__ = ["SGD"]


class SGD(Optimizer):
    """w -= lr g; with momentum mu: v = mu v + g, w -= lr v; Nesterov's: w -= lr (g + mu v).

    Full-batch gradient descent is ``fit(..., batch_size=None)``.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.01
    momentum : float, default 0.0
        mu, in [0, 1).
    nesterov : bool, default False
        Needs momentum.
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
    Robbins and Monro, "A stochastic approximation method", 1951. Sutskever and others, "On the importance of
    initialization and momentum in deep learning", 2013.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9, nesterov=True)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
    """

    name = "sgd"
    elementwise = True
    fused = Fused(
        "sgd_step", ("velocity",), ("momentum",), "nesterov",
        ({}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}),
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        self.momentum = rate(self.name, "momentum", momentum)
        self.nesterov = bool(nesterov)
        if self.nesterov and not self.momentum:
            raise ValueError("[sgd] expected momentum above 0 with nesterov=True. help: momentum=0.9 is usual.")

    def hyper(self) -> dict[str, Any]:
        """Return momentum and kind."""
        return {"momentum": self.momentum, "nesterov": self.nesterov}

    def slot_names(self) -> tuple[str, ...]:
        """Return the velocity, if there is momentum."""
        return ("velocity",) if self.momentum else ()

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, velocity: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new parameter and velocity."""
        if not self.momentum or velocity is None:
            return param - rate * grad, {}
        velocity = self.momentum * velocity + grad
        move = grad + self.momentum * velocity if self.nesterov else velocity
        return param - rate * move, {"velocity": velocity}
