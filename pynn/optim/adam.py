"""Adam and its relatives."""

from __future__ import annotations

from typing import Any

from pynn import ops
from pynn.checks import number, rate
from pynn.core.tensor import Tensor
from pynn.optim.base import Optimizer
from pynn.optim.fused import Fused
from pynn.schedules import Schedule

__all__ = ["AMSGrad", "AdaMax", "Adam", "AdamW", "Nadam"]


class _Moments(Optimizer):
    """Two moving averages: m of gradients, v of their squares (or the like)."""

    elementwise = True

    def __init__(self, learning_rate: float | Schedule, beta_1: float, beta_2: float, eps: float, **common: Any):
        super().__init__(learning_rate, **common)
        self.beta_1 = rate(self.name, "beta_1", beta_1)
        self.beta_2 = rate(self.name, "beta_2", beta_2)
        self.eps = number(self.name, "eps", eps, 0, open_low=True)

    def hyper(self) -> dict[str, Any]:
        """Return the decay rates and eps."""
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "eps": self.eps}

    def slot_names(self) -> tuple[str, ...]:
        """Return both averages."""
        return ("m", "v")


def _unbiased(beta: float, step: Tensor, x: Tensor) -> Tensor:
    """Return x / (1 - beta**step)."""
    return x / (1.0 - beta**step).astype(x.dtype)


class Adam(_Moments):
    """m = b1 m + (1-b1) g; v = b2 v + (1-b2) g**2; w -= lr m' / (sqrt(v') + eps).

    m' = m / (1 - b1**t) and v' = v / (1 - b2**t) correct the bias of the first steps t = 1, 2, ...

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1 : float, default 0.9
        b1, in [0, 1).
    beta_2 : float, default 0.999
        b2, in [0, 1).
    eps : float, default 1e-8
        Above 0, outside the root.
    amsgrad : bool, default False
        Divide by the largest v so far instead.
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
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015. Reddi, Kale and Kumar, "On the convergence of
    Adam and beyond", 2018 (amsgrad).

    Examples
    --------
    >>> Adam(weight_decay=0.01)
    Adam(learning_rate=0.001, beta_1=0.9, beta_2=0.999, eps=1e-08, amsgrad=False, weight_decay=0.01)
    """

    name = "adam"
    fused = Fused(
        "adam_step", ("m", "v", "v_max"), ("beta_1", "beta_2", "eps"),
        variants=tuple({"beta_2": 0.99, "eps": 1e-3, "amsgrad": amsgrad} for amsgrad in (False, True)),
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        eps: float = 1e-8,
        amsgrad: bool = False,
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
            beta_1,
            beta_2,
            eps,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.amsgrad = bool(amsgrad)

    def hyper(self) -> dict[str, Any]:
        """Return the decay rates, eps and kind."""
        return {**super().hyper(), "amsgrad": self.amsgrad}

    def slot_names(self) -> tuple[str, ...]:
        """Return both averages, and the largest v with amsgrad."""
        return ("m", "v", "v_max") if self.amsgrad else ("m", "v")

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, m: Tensor, v: Tensor, v_max: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new parameter and averages."""
        new = {"m": m + (1.0 - self.beta_1) * (grad - m), "v": self.beta_2 * v + (1.0 - self.beta_2) * grad * grad}
        m, v = new["m"], new["v"]
        if self.amsgrad and v_max is not None:
            v = new["v_max"] = ops.maximum(v_max, v)
        length, spread = _unbiased(self.beta_1, step, rate), _unbiased(self.beta_2, step, v).sqrt()
        return param - length * m / (spread + self.eps), new


class AMSGrad(Adam):
    """Adam that divides by the largest v so far: ``Adam(amsgrad=True)``.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1 : float, default 0.9
        b1, in [0, 1).
    beta_2 : float, default 0.999
        b2, in [0, 1).
    eps : float, default 1e-8
        Above 0, outside the root.
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

    Examples
    --------
    >>> AMSGrad(0.01).amsgrad
    True
    """

    name = "amsgrad"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        eps: float = 1e-8,
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
            beta_1,
            beta_2,
            eps,
            amsgrad=True,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )


class AdamW(Adam):
    """Adam with decoupled weight decay: w is multiplied by 1 - lr * weight_decay first.

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.001
    beta_1 : float, default 0.9
        b1, in [0, 1).
    beta_2 : float, default 0.999
        b2, in [0, 1).
    eps : float, default 1e-8
        Above 0, outside the root.
    amsgrad : bool, default False
        Divide by the largest v so far instead.
    weight_decay : float, default 0.01
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

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.

    Examples
    --------
    >>> AdamW().weight_decay
    0.01
    """

    name = "adamw"

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        eps: float = 1e-8,
        amsgrad: bool = False,
        weight_decay: float = 0.01,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ):
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            eps,
            amsgrad,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )


class AdaMax(_Moments):
    """m = b1 m + (1-b1) g; u = max(b2 u, |g| + eps); w -= lr m / (u (1 - b1**t)).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.002
    beta_1 : float, default 0.9
        b1, in [0, 1).
    beta_2 : float, default 0.999
        b2, in [0, 1).
    eps : float, default 1e-8
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
    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, section 7.1.

    Examples
    --------
    >>> AdaMax()
    AdaMax(learning_rate=0.002, beta_1=0.9, beta_2=0.999, eps=1e-08)
    """

    name = "adamax"
    fused = Fused(
        "adamax_step", ("m", "u"), ("beta_1", "beta_2", "eps"), variants=({"beta_2": 0.99, "eps": 1e-3},)
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: float | Schedule = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        eps: float = 1e-8,
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
            beta_1,
            beta_2,
            eps,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )

    def slot_names(self) -> tuple[str, ...]:
        """Return the average gradient and the running maximum."""
        return ("m", "u")

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, m: Tensor, u: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new parameter, average and maximum."""
        m = m + (1.0 - self.beta_1) * (grad - m)
        u = ops.maximum(self.beta_2 * u, ops.abs(grad) + self.eps)
        return param - _unbiased(self.beta_1, step, rate) * m / u, {"m": m, "u": u}


class Nadam(_Moments):
    """Adam with Nesterov's momentum: w -= lr (c g + d m) / (sqrt(v') + eps).

    With mu_t = b1 (1 - 0.96**(t * momentum_decay) / 2): c = (1 - mu_t) / (1 - mu_1 ... mu_t) and
    d = mu_(t+1) / (1 - mu_1 ... mu_(t+1)).

    Parameters
    ----------
    learning_rate : float or Schedule, default 0.002
    beta_1 : float, default 0.9
        b1, in [0, 1).
    beta_2 : float, default 0.999
        b2, in [0, 1).
    eps : float, default 1e-8
        Above 0, outside the root.
    momentum_decay : float, default 0.004
        At least 0.
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
    Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    Examples
    --------
    >>> Nadam()
    Nadam(learning_rate=0.002, beta_1=0.9, beta_2=0.999, eps=1e-08, momentum_decay=0.004)
    """

    name = "nadam"
    fused = Fused(
        "nadam_step", ("m", "v"), ("beta_1", "beta_2", "eps", "momentum_decay"),
        variants=({"beta_2": 0.99, "eps": 1e-3},),
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: float | Schedule = 0.002,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        eps: float = 1e-8,
        *,
        momentum_decay: float = 0.004,
        weight_decay: float = 0.0,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
    ):
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            eps,
            weight_decay=weight_decay,
            clip_value=clip_value,
            clip_norm=clip_norm,
            use_ema=use_ema,
            ema_momentum=ema_momentum,
            ema_overwrite_frequency=ema_overwrite_frequency,
        )
        self.momentum_decay = number(self.name, "momentum_decay", momentum_decay, 0)

    def hyper(self) -> dict[str, Any]:
        """Return the decay rates and eps."""
        return {**super().hyper(), "momentum_decay": self.momentum_decay}

    def slot_names(self) -> tuple[str, ...]:
        """Return both averages."""
        return ("m", "v")

    def number_names(self) -> tuple[str, ...]:
        """Return the product of the mu so far."""
        return ("mu_product",)

    def first(self, name: str) -> float:
        """Return the first value of a slot or number."""
        return 1.0 if name == "mu_product" else 0.0

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, m: Tensor, v: Tensor, mu_product: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the new parameter, averages and product."""
        mu, after = (self.beta_1 * (1.0 - 0.5 * 0.96 ** (t * self.momentum_decay)) for t in (step, step + 1.0))
        product = mu_product * mu
        m = m + (1.0 - self.beta_1) * (grad - m)
        v = self.beta_2 * v + (1.0 - self.beta_2) * grad * grad
        shares = (
            ((1.0 - mu) / (1.0 - product)).astype(param.dtype),
            (after / (1.0 - product * after)).astype(param.dtype),
        )
        move = (shares[0] * grad + shares[1] * m) / (_unbiased(self.beta_2, step, v).sqrt() + self.eps)
        return param - rate * move, {"m": m, "v": v, "mu_product": product}
