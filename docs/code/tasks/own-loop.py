# %% batch
import numpy as np
import pynn
from pynn import nn

x, y = pynn.datasets.moons(1000, seed=0)
model = nn.Sequential(
    [
        nn.Input((2,)),
        nn.Dense(32, activation="relu"),
        nn.Dense(1, activation="sigmoid"),
    ]
)
model.compile("adam", "binary_cross_entropy", metrics=["accuracy"], seed=0)

rng = np.random.default_rng(0)
for _epoch in range(20):
    for rows in np.array_split(rng.permutation(len(x)), 32):
        model.train_on_batch(x[rows], y[rows])
print(model.evaluate(x, y))

# %% tensors
model = nn.Sequential([nn.Input((2,)), nn.Dense(32, activation="relu"), nn.Dense(1)])
loss_of = pynn.losses.BinaryCrossEntropy()
model.build((1, 2))
optimizer = pynn.optim.Adam(0.01).bind(model.parameters())

for epoch in range(10):
    total = 0.0
    for rows in np.array_split(rng.permutation(len(x)), 32):
        loss = loss_of(model(x[rows], training=True), y[rows, None])
        loss.backward()
        optimizer.step()
        total += loss.item()
    if epoch % 3 == 0:
        print(f"epoch {epoch + 1}: {total / 32:.3f}")


# %% step
class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Dense(32, "relu"), nn.Dense(1)

    def forward(self, x):
        return self.out(self.hidden(x))

    def error(self, batch, training):
        x, y = batch
        return loss_of(self(x, training=training), y)

    def train_step(self, batch):
        loss = self.error(batch, training=True)
        weights = self.parameters()
        pairs = zip(pynn.grad(loss, weights), weights, strict=True)
        self.optimizer.apply_gradients(pairs)
        return {"loss": loss}

    def test_step(self, batch):
        return {"loss": self.error(batch, training=False)}


own = Line()
own.compile(pynn.optim.Adam(0.01), seed=0)
history = own.fit(x, y[:, None], epochs=10, validation_split=0.2, verbose=0)
print({name: round(values[-1], 3) for name, values in history.history.items()})


# %% inputs
def worst(rows, size=0.1):
    """Return the rows, each moved by `size` to where its loss grows most."""
    points = pynn.tensor(x[rows], requires_grad=True)
    loss_of(model(points), y[rows, None]).backward()
    return x[rows] + size * np.sign(points.grad.numpy())


def accuracy(points):
    with pynn.no_grad():
        return float(((model(points).numpy()[:, 0] > 0) == y).mean())


everything = np.arange(len(x))
print(f"accuracy {accuracy(x):.3f}, moved {accuracy(worst(everything)):.3f}")
for _epoch in range(10):
    for rows in np.array_split(rng.permutation(len(x)), 32):
        moved = worst(rows)
        loss_of(model(moved, training=True), y[rows, None]).backward()
        optimizer.step()
print(f"accuracy {accuracy(x):.3f}, moved {accuracy(worst(everything)):.3f}")

# %% wrong
reader = nn.Sequential([nn.Input((5, 2)), nn.LSTM(8), nn.Dense(1)])
reader.build((1, 5, 2))
slope = pynn.grad(lambda points: reader(points).sum())
try:
    pynn.grad(lambda points: (slope(points) ** 2).sum())(np.ones((1, 5, 2), "float32"))
except RuntimeError as error:
    print(error)
