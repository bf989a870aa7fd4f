"""Optimizers, in Keras's names and with its defaults."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from pynn import ops, optim
from pynn.keras.layer import Spelling
from pynn.keras.names import Named, constructor, older, refuse, refused
from pynn.keras.optimizers import schedules
from pynn.schedules import Schedule

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lion", "Nadam", "Optimizer", "RMSprop",
           "deserialize", "get", "schedules", "serialize"]  # fmt: skip

COMMON = ("weight_decay", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum",
          "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps", "name", "decay", "lr",
          "jit_compile", "is_legacy_optimizer")  # fmt: skip


class Rate(float):
    """A learning rate that can also be assigned to, as the variable that it is in Keras."""

    owner: Any

    def assign(self, value):
        """Set the optimizer's learning rate."""
        self.owner.learning_rate = float(value)

    def numpy(self):
        """Return the number."""
        return np.float32(self)

    @property
    def value(self):
        """The number."""
        return float(self)


class Optimizer(metaclass=Spelling):
    """What all optimizers here share."""

    def _common(self, given):
        """Take what all optimizers take; returns it in pynn's names."""
        refuse(type(self).__name__, given, [*COMMON, *inspect.signature(type(self).__init__).parameters])
        if given.get("gradient_accumulation_steps") not in (None, 1) or given.get("loss_scale_factor") is not None:
            refused("gradient_accumulation_steps and loss_scale_factor", "leave them out")
        self.clipnorm, self.clipvalue = given.get("clipnorm"), given.get("clipvalue")
        self.global_clipnorm = given.get("global_clipnorm")
        label = given.get("name")
        if label is not None:
            object.__setattr__(self, "name", label)
        found = {"weight_decay": given.get("weight_decay") or 0.0, "clip_value": self.clipvalue,
                 "clip_norm": self.global_clipnorm}  # fmt: skip
        for key in ("use_ema", "ema_momentum", "ema_overwrite_frequency"):
            if key in given:
                found[key] = given[key]
        return found

    def __setattr__(self, name, value):
        if name == "lr":
            name = "learning_rate"
        object.__setattr__(self, name, value)

    @property
    def learning_rate(self):
        """The learning rate of the next step; a number can be set."""
        held = self._rate
        rate = Rate(held.rate if isinstance(held, schedules.Decayed) else super().learning_rate)
        rate.owner = self
        return rate

    @learning_rate.setter
    def learning_rate(self, value):
        held = self._rate
        if isinstance(value, Schedule):
            self._rate = value
        elif isinstance(held, schedules.Decayed):
            self._rate = schedules.Decayed(float(value), held.decay)
        else:
            optim.Optimizer.learning_rate.fset(self, float(value))

    @property
    def lr(self):
        """The learning rate, as it was called."""
        return self.learning_rate

    @property
    def reads_all(self):
        """Whether gradients are clipped by norms of their own."""
        return self.clipnorm is not None

    def _clip(self, flat, share):
        """Clip gradients, each by its own norm if clipnorm says so."""
        if self.clipnorm is not None:
            for t in flat.tensors:
                ops.clip_norm(flat.into[id(t)], float(self.clipnorm))
        super()._clip(flat, share)

    def get_config(self):
        """Return the settings."""
        found = {"name": self.name}
        for key in inspect.signature(type(self).__init__).parameters:
            if key in ("self", "kwargs", "name"):
                continue
            value = (
                self.learning_rate
                if key == "learning_rate"
                else getattr(self, "eps" if key == "epsilon" else key, None)
            )
            if key == "learning_rate" and isinstance(self._rate, schedules.LearningRateSchedule):
                found[key] = {"class_name": type(self._rate).__name__, "config": self._rate.get_config()}
            else:
                found[key] = float(value) if isinstance(value, Rate) else value
        return found

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the optimizer of these settings."""
        config = dict(config)
        rate = config.get("learning_rate")
        if isinstance(rate, dict):
            config["learning_rate"] = schedules.deserialize(rate)
        for key in ("jit_compile", "is_legacy_optimizer", "loss_scale_factor", "gradient_accumulation_steps"):
            config.pop(key, None)
        return cls(**config)


def _rate(rate, decay=None):
    if callable(rate) and not isinstance(rate, Schedule):
        rate = rate()
    if isinstance(rate, Schedule):
        return rate
    rate = float(rate)
    return schedules.Decayed(rate, decay) if decay else rate


def _optimizer(cls_name, base, doc, settings, translate, **common):
    """Return the class of an optimizer of pynn's with Keras's arguments and defaults."""
    tail = {"weight_decay": common.get("weight_decay"), "clipnorm": None, "clipvalue": None, "global_clipnorm": None,
            "use_ema": False, "ema_momentum": 0.99, "ema_overwrite_frequency": None, "loss_scale_factor": None,
            "gradient_accumulation_steps": None, "name": None}  # fmt: skip
    known = {**settings, **{key: value for key, value in tail.items() if key not in settings}}

    def make(self, given):
        rest = {k: v for k, v in given.items() if k not in settings or k == "weight_decay"}
        for key in settings:
            object.__setattr__(self, key, given[key]) if key != "learning_rate" else None
        taken = self._common(rest)
        given["epsilon"] = 1e-7 if given.get("epsilon") is None else given["epsilon"]
        rate = _rate(given["learning_rate"], rest.get("decay"))
        base.__init__(self, rate, **translate(given), **taken)

    __init__ = constructor(known, make, cls_name, more=True)
    return Spelling(cls_name, (Optimizer, base), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


def _moments(given):
    return {"beta_1": given["beta_1"], "beta_2": given["beta_2"], "eps": given["epsilon"]}


def _nesterov(given):
    return {**_moments(given), "momentum_decay": 0.004 if older() else 1.0}


_BETAS = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
SGD = _optimizer(
    "SGD", optim.SGD, "Gradient descent, with momentum if asked for.",
    {"learning_rate": 0.01, "momentum": 0.0, "nesterov": False},
    lambda g: {"momentum": g["momentum"], "nesterov": bool(g["nesterov"]) and g["momentum"] > 0},
)  # fmt: skip
RMSprop = _optimizer(
    "RMSprop", optim.RMSprop, "Gradients divided by the root of their running mean square.",
    {"learning_rate": 0.001, "rho": 0.9, "momentum": 0.0, "epsilon": 1e-7, "centered": False},
    lambda g: {"rho": g["rho"], "momentum": g["momentum"], "eps": g["epsilon"], "centered": g["centered"],
               "eps_in_sqrt": not older()},
)  # fmt: skip
Adam = _optimizer(
    "Adam", optim.Adam, "Adaptive moments (Kingma and Ba 2015).",
    {"learning_rate": 0.001, **_BETAS, "amsgrad": False}, lambda g: {**_moments(g), "amsgrad": g["amsgrad"]},
)  # fmt: skip
AdamW = _optimizer(
    "AdamW", optim.AdamW, "Adam with decoupled weight decay.",
    {"learning_rate": 0.001, "weight_decay": 0.004, **_BETAS, "amsgrad": False},
    lambda g: {**_moments(g), "amsgrad": g["amsgrad"]},
)  # fmt: skip
Adamax = _optimizer("Adamax", optim.AdaMax, "Adam with the largest gradient in the place of the mean square.",
                    {"learning_rate": 0.001, **_BETAS}, _moments)  # fmt: skip
Nadam = _optimizer("Nadam", optim.Nadam, "Adam with Nesterov's momentum.",
                   {"learning_rate": 0.001, **_BETAS}, _nesterov)  # fmt: skip
Adagrad = _optimizer(
    "Adagrad", optim.Adagrad, "Gradients divided by the root of the sum of their squares.",
    {"learning_rate": 0.001, "initial_accumulator_value": 0.1, "epsilon": 1e-7},
    lambda g: {"initial_accumulator": g["initial_accumulator_value"], "eps": g["epsilon"]},
)  # fmt: skip
Adadelta = _optimizer(
    "Adadelta", optim.Adadelta, "Steps as large as the last ones were.",
    {"learning_rate": 0.001, "rho": 0.95, "epsilon": 1e-7}, lambda g: {"rho": g["rho"], "eps": g["epsilon"]},
)  # fmt: skip


class Lion(Optimizer, optim.Optimizer):
    """The sign of a mean of gradients (Chen and others 2023)."""

    elementwise = True

    def __init__(self, learning_rate=0.001, beta_1=0.9, beta_2=0.99, weight_decay=None, clipnorm=None, clipvalue=None,
                 global_clipnorm=None, use_ema=False, ema_momentum=0.99, ema_overwrite_frequency=None,
                 loss_scale_factor=None, gradient_accumulation_steps=None, name=None, **kwargs):  # fmt: skip
        own = {k: v for k, v in locals().items() if k in COMMON}
        self.beta_1, self.beta_2 = beta_1, beta_2
        optim.Optimizer.__init__(self, _rate(learning_rate), **self._common({**own, **kwargs}))

    def hyper(self):
        """Return the settings of the rule."""
        return {"beta_1": self.beta_1, "beta_2": self.beta_2}

    def slot_names(self):
        """Return the name of the mean."""
        return ("m",)

    def update(self, param, grad, rate, step, m):
        """Return the new parameter and mean."""
        mean = m * self.beta_1 + grad * (1.0 - self.beta_1)
        sign = ops.where(ops.less(0.0, mean), 1.0, ops.where(ops.less(mean, 0.0), -1.0, 0.0))
        return param - rate * sign, {"m": m * self.beta_2 + grad * (1.0 - self.beta_2)}


class Ftrl(Optimizer, optim.Optimizer):
    """Not done."""

    def __init__(self, learning_rate=0.001, **kwargs):
        refused("the optimizer Ftrl", "Adagrad is the nearest")


_CLASSES = [SGD, RMSprop, Adam, AdamW, Adamax, Nadam, Adagrad, Adadelta, Lion, Ftrl]
_NAMES = Named("optimizer", optim.Optimizer, _CLASSES, {"rmsprop": RMSprop, "adamw": AdamW, "sgd": SGD})
adam, sgd, rmsprop, adagrad, adadelta, adamax, nadam = Adam, SGD, RMSprop, Adagrad, Adadelta, Adamax, Nadam


def get(identifier):
    """Return an optimizer of a name, a class, a config, or the object itself."""
    if isinstance(identifier, str):
        identifier = _NAMES.find(identifier)
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, type):
        return identifier()
    if isinstance(identifier, optim.Optimizer):
        return identifier
    raise TypeError(f"[optimizer] expected a name or an optimizer. Received: {identifier!r}.")


def serialize(optimizer):
    """Return the config of an optimizer."""
    return _NAMES.serialize(optimizer)


def deserialize(config, custom_objects=None):
    """Return the optimizer of a config."""
    return _NAMES.deserialize(config, custom_objects)


def __getattr__(name):
    if name in ("legacy", "experimental"):
        import sys

        return sys.modules[__name__]
    if name == "LossScaleOptimizer":
        refused("LossScaleOptimizer", "gradients are of float32; none is needed")
    from pynn.keras.names import missing

    missing(__name__, name, __all__)
