# %% regression
import numpy as np
import pynn
from pynn import losses

predicted, target = (
    np.array([[2.5], [0.0], [9.0]], "float32"),
    np.array([[3.0], [-0.5], [2.0]], "float32"),
)
for name in ("mse", "mse_half", "mae", "huber"):
    print(f"{name:9}{losses.get(name)(pynn.tensor(predicted), target).item():.4f}")

# %% classes
logits = pynn.tensor([[2.0, 1.0, -1.0], [0.5, 0.5, 3.0]], requires_grad=True)
labels = np.array([0, 1])
loss = losses.CrossEntropy()(logits, labels)
loss.backward()
p = pynn.ops.softmax(logits.detach()).numpy()
print(
    "loss",
    round(loss.item(), 4),
    "by hand",
    round(float(-np.log(p[[0, 1], labels]).mean()), 4),
)
print("derivative", logits.grad.numpy().round(4), sep="\n")
print("(p - target) / n", ((p - np.eye(3)[labels]) / 2).round(4), sep="\n")

# %% stable
huge = pynn.tensor([[1000.0, 0.0]])
print(
    losses.CrossEntropy()(huge, np.array([1])).item(),
    losses.CrossEntropy()(huge, np.array([0])).item(),
)

# %% curves
z = np.linspace(-4, 4, 201)
ones = np.ones((1, 1))
curves = {}
for name in ("binary_cross_entropy", "hinge", "mse"):
    cost = losses.get(name)
    curves[name] = (
        z,
        [cost(pynn.tensor([[v]]), ones.astype("float32")).item() for v in z],
    )
pynn.viz.plot_curves(
    {"the cost of an answer z where 1 is right": curves}, "losses.svg", x="z", y="loss"
)
