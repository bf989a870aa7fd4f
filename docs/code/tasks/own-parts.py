# %% layer
import numpy as np
import pynn
from pynn import nn, ops


@pynn.register
class Scaled(nn.Module):
    """y = x * g, with a factor for each feature."""

    def build(self, input_shape):
        self.g = self.add_weight("g", (input_shape[-1],), initializer="ones")

    def forward(self, x):
        return x * self.g


# %% network
@pynn.register
class Residual(nn.Module):
    """y = x + dense(relu(dense(x)))"""

    def __init__(self, units):
        super().__init__()
        self.units = units
        self.wide = nn.Dense(2 * units, activation="relu")
        self.back = nn.Dense(units)

    def forward(self, x):
        return x + self.back(self.wide(x))


# %% loss
def quantile(y_true, y_pred):
    """Too low costs nine times as much as too high: 90 % stay below the answer."""
    error = y_true - y_pred
    return ops.maximum(0.9 * error, -0.1 * error)


# %% metric
class Covered(pynn.metrics.Metric):
    """The part of the targets that is not above the prediction."""

    name = "covered"

    def reset(self):
        super().reset()
        self.below, self.count = 0, 0

    def add(self, y_true, y_pred, weight):
        self.below += int((y_true <= y_pred).sum())
        self.count += y_true.size

    def value(self):
        return self.below / self.count


# %% callback
class Tell(pynn.train.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % 10 == 0:
            print(
                f"epoch {epoch + 1}: loss {logs['loss']:.3f}, "
                f"covered {logs['covered']:.1%}"
            )
        if logs["loss"] < 0.01:
            self.model.stop_training = True


# %% fit
rng = np.random.default_rng(0)
x = rng.uniform(-2, 2, (2000, 1)).astype("float32")
y = (np.sin(2 * x) + rng.normal(0, 0.3, x.shape)).astype("float32")

model = nn.Sequential([
    nn.Input((1,)),
    Scaled(),
    nn.Dense(16),
    Residual(16),
    nn.Dense(1),
])
model.compile(pynn.optim.Adam(0.01), loss=quantile, metrics=[Covered()], seed=0)
history = model.fit(x, y, epochs=30, callbacks=[Tell()], verbose=0)

# %% check
from pynn import testing

layer = Residual(3).astype("float64")
layer(np.zeros((1, 3)))
testing.gradcheck(
    lambda x: layer(x).sum(), [np.random.default_rng(0).normal(size=(4, 3))]
)
print("derivatives agree with differences")

# %% save
pynn.register(quantile)
pynn.register(Covered)
model.save("upper.pynn")
again = pynn.load("upper.pynn")
print(again.evaluate(x, y) == model.evaluate(x, y))


# %% wrong
class Prints(nn.Module):
    def forward(self, x):
        return x / float(x.max())


model = nn.Sequential([nn.Input((1,)), Prints(), nn.Dense(1)])
model.compile("sgd", "mse", seed=0)
try:
    model.fit(x, y, verbose=0)
except pynn.errors.CaptureError as error:
    print(error)
model.compile("sgd", "mse", seed=0, run_eagerly=True)
print(f"{model.fit(x, y, verbose=0).history['loss'][0]:.2f}")
