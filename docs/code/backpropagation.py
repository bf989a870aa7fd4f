# %% trace
import numpy as np
from pynn import nn, viz

model = nn.Sequential([
    nn.Input((2,)),
    nn.Dense(2, activation="tanh"),
    nn.Dense(1, activation="sigmoid"),
])
model.set_weights([[[0.4, -0.3], [-0.7, 0.2]], [0.05, 0.0], [[1.3], [-0.5]], [-0.2]])
x, y = [[0.6, -1.1], [0.2, 0.9]], [[1.0], [0.0]]
found = viz.trace(model, x, y, loss="mse")
print(found)

# %% equations
one, two = found.layers
n = len(x)
delta2 = 2 * (two.a - y) / n * two.a * (1 - two.a)  # 1: the last layer
delta1 = delta2 @ two.weights["w"].T * (1 - one.a**2)  # 2: a hidden layer
db = delta1.sum(axis=0)  # 3: biases
dw = np.transpose(x) @ delta1  # 4: weights
for name, by_hand, computed in (
    ("delta of layer 2", delta2, two.delta),
    ("delta of layer 1", delta1, one.delta),
    ("dC/db of layer 1", db, one.gradients["b"]),
    ("dC/dW of layer 1", dw, one.gradients["w"]),
):
    print(f"{name}: largest difference {np.abs(by_hand - computed).max():.1e}")

# %% differences
from pynn import losses


def cost(w):
    """The cost as a function of one weight of the first layer, in double precision."""
    weights = [np.asarray(value, float).copy() for value in model.get_weights()]
    weights[0][0, 0] = w
    a1 = np.tanh(np.array(x) @ weights[0] + weights[1])
    a2 = 1 / (1 + np.exp(-(a1 @ weights[2] + weights[3])))
    return np.mean((a2 - y) ** 2)


w, step = 0.4, 1e-5
print(
    "(C(w + h) - C(w - h)) / 2h =",
    round((cost(w + step) - cost(w - step)) / (2 * step), 6),
)
print("backpropagation            =", round(float(one.gradients["w"][0, 0]), 6))

# %% step
rate = 0.5
before = found.loss
moved = [
    layer.weights[name] - rate * layer.gradients[name]
    for layer in found.layers
    for name in ("w", "b")
]
model.set_weights(moved)
print("cost", before, "->", viz.trace(model, x, y, loss=losses.MSE()).loss)
