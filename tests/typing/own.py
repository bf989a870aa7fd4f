"""Layers, losses, metrics, callbacks and optimizers of one's own: complaints about slips, and none else."""

from typing import Any, assert_type

import numpy as np

import pynn
from pynn import losses, metrics, nn, ops, optim, train
from pynn.core.tensor import Tensor

x, y = np.ones((8, 4), "float32"), np.zeros(8, "int64")


@pynn.register
class Gated(nn.Module):
    """A layer with a gate for every unit."""

    v: pynn.Tensor

    def __init__(self, units: int, name: str | None = None) -> None:
        super().__init__(name)
        self.units = units

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.w = self.add_weight("w", (input_shape[-1], self.units), "glorot_uniform")
        self.add_weight("v", (input_shape[-1], self.units))

    def forward(self, x: Tensor) -> Tensor:
        print(self.kernel)  # error: kernel
        return (x @ self.w) * (x @ self.v).sigmoid()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Dense(3), nn.Dense(4)]
        self.gate = Gated(3)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.layers[0](a), self.gate(b)


gated = Gated(3)
assert_type(gated, Gated)
assert_type(gated(x), Tensor)
gated.unit  # error: unit
Gated(unit=3)  # error: unit
Gated("three")  # error: "Gated" | units
both = Two()
both.compile("adam", "mse", seed=0)
both.fit((x, x), y, epochs=2)
both.fit((x, x), y, epoch=2)  # error: epoch
both.fitt((x, x), y)  # error: fitt
one, two = both(x, x)
assert_type(one, Tensor)
both.gate.v.numpy()
both.gate.u.numpy()  # error: u


class Quartic(losses.Loss):
    def forward(self, y_pred: Tensor, y_true: Tensor) -> Tensor:
        return ops.mean((y_pred - y_true) ** 4)


class Late(train.Callback):
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 3 and self.model is not None:
            self.model.stop_training = True


class Sign(optim.Optimizer):
    def __init__(self, learning_rate: float = 0.01, **common: Any) -> None:
        super().__init__(learning_rate, **common)

    def update(
        self, param: Tensor, grad: Tensor, rate: Tensor, step: Tensor, *args: Any, **slots: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return param - rate * grad / ops.abs(grad), {}


def near(y_true: Any, y_pred: Any) -> float:
    return float(np.mean(np.abs(y_true - y_pred) < 0.1))


both.compile(Sign(0.1), Quartic(), [near, metrics.Mean(near, name="near")])
both.fit((x, x), y, callbacks=[Late()])
pynn.testing.gradcheck(lambda t: gated(t).sum(), [np.ones((2, 4))])
