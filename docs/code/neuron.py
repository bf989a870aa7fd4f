# %% neuron
import numpy as np
import pynn
from pynn import nn

x = np.array([[0.5, -1.0, 2.0]], "float32")
neuron = nn.Sequential([nn.Input((3,)), nn.Dense(1, activation="sigmoid")])
neuron.set_weights([[[0.4], [0.3], [-0.2]], [0.1]])  # w [3, 1] and b [1]

z = x @ neuron.layers[0].w.numpy() + neuron.layers[0].b.numpy()
print("z = w . x + b =", z.item())
print("f(z)          =", neuron.predict(x).item())

# %% rule
from pynn.estimators import Perceptron

corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
unit = Perceptron(shuffle=False).fit(corners, [0, 0, 0, 1])  # AND
for update in unit.trace_:
    print(
        f"epoch {update.epoch}, x = {corners[update.sample]}, "
        f"error {update.error:+d}: theta = {update.theta}"
    )
print("answers", unit.predict(corners), "converged", unit.converged_)

# %% xnor
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # says that it did not converge
    alone = Perceptron(max_iter=50, shuffle=False).fit(corners, [1, 0, 0, 1])
print("XNOR by one neuron:", alone.score(corners, [1, 0, 0, 1]))

nor = Perceptron(shuffle=False).fit(corners, [1, 0, 0, 0])
either = Perceptron(shuffle=False).fit(corners, [0, 1, 1, 1])  # OR


def network(x):
    hidden = np.stack([unit.predict(x), nor.predict(x)], axis=1)
    return either.predict(hidden)


print("XNOR by three:     ", network(corners))


# %% frontiers
def column(predict):
    return lambda points: predict(points).reshape(-1, 1).astype(float)


models = {"one neuron": column(alone.predict), "three neurons": column(network)}
pynn.viz.plot_frontier(models, corners, np.array([1, 0, 0, 1]), "frontiers.svg")

# %% photocells
from pynn.recipes.rosenblatt import association, shapes

(x, y), (xt, yt) = shapes(600, seed=1), shapes(300, seed=2)  # 20 x 20 cells, lit or not
names = ["square", "disc", "triangle", "cross"]
shown = {name: x[y == k][0].reshape(20, 20) for k, name in enumerate(names)}
pynn.viz.plot_images(shown, "shapes.png", size=1.4)

# %% association
for units in (0, 100, 1000):
    w, threshold = association(units, seed=0)  # random wires, never learnt
    seen, asked = ((a @ w > threshold) * 1.0 if units else a for a in (x, xt))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unit = Perceptron(max_iter=20).fit(seen, y)
    print(
        f"{units or 400:4} {'units' if units else 'cells'}: "
        f"{unit.score(asked, yt):.2f} of new shapes right"
    )
