# %% optimizer
import pynn
from pynn.optim import Optimizer


@pynn.register
class Lion(Optimizer):
    """u = sign(b1 m + (1-b1) g); w -= lr u; m = b2 m + (1-b2) g."""

    def __init__(self, learning_rate=1e-3, beta_1=0.9, beta_2=0.99, **common):
        super().__init__(learning_rate, **common)
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def slot_names(self):
        return ("m",)

    def update(self, param, grad, rate, step, m):
        u = self.beta_1 * m + (1 - self.beta_1) * grad
        sign = (u > 0).astype(u.dtype) - (u < 0).astype(u.dtype)
        return param - rate * sign, {"m": self.beta_2 * m + (1 - self.beta_2) * grad}


# %% used
from pynn import nn

x, y = pynn.datasets.moons(200, seed=0)


def trained(optimizer, **options):
    model = nn.Sequential([
        nn.Input((2,)),
        nn.Dense(16, activation="relu"),
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile(optimizer, "binary_cross_entropy", ["accuracy"], seed=0, **options)
    model.fit(x, y, batch_size=32, epochs=60, verbose=0)
    return model


model = trained(Lion(0.01, weight_decay=0.01, clip_norm=1.0))
print(model.optimizer)
print("accuracy:", model.evaluate(x, y)["accuracy"])

# %% checked
import numpy as np

by_hand = trained(Lion(0.01, weight_decay=0.01, clip_norm=1.0), run_eagerly=True)
print(
    all(
        np.array_equal(a, b)
        for a, b in zip(model.get_weights(), by_hand.get_weights(), strict=True)
    )
)

w = pynn.tensor([4.0, -2.0, 0.0], requires_grad=True)
optimizer = Lion(0.5).bind([w])
(w * w).sum().backward()
optimizer.step()
print(w.numpy(), optimizer.state()["m"])

# %% saved
model.save("model.pynn")
again = pynn.load("model.pynn")
for one in (model, again):
    one.fit(x, y, batch_size=32, epochs=2, verbose=0)
print(
    all(
        np.array_equal(a, b)
        for a, b in zip(model.get_weights(), again.get_weights(), strict=True)
    )
)
