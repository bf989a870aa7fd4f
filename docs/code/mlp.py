# %% forward
import numpy as np
import pynn
from pynn import nn, optim

model = nn.Sequential([
    nn.Input((2,)),
    nn.Dense(3, activation="tanh"),
    nn.Dense(1, activation="sigmoid"),
])
model.build((1, 2))
x = np.array([[0.5, -1.0]], "float32")
(w1, b1), (w2, b2) = ((layer.w.numpy(), layer.b.numpy()) for layer in model.layers)
h = np.tanh(x @ w1 + b1)
y = 1 / (1 + np.exp(-(h @ w2 + b2)))
print("by hand:", y.item(), "by the model:", model.predict(x).item())
model.summary()

# %% xnor
corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
xnor = np.array([1, 0, 0, 1])
model = nn.Sequential([
    nn.Input((2,)),
    nn.Dense(4, activation="tanh"),
    nn.Dense(1, activation="sigmoid"),
])
model.compile(optim.Adam(0.1), "binary_cross_entropy", ["accuracy"], seed=0)
model.fit(corners, xnor, batch_size=4, epochs=200, verbose=0)
print("P(1 | x) =", model.predict(corners).ravel().round(3))

# %% frontier
pynn.viz.plot_frontier(model, corners, xnor, "xnor.svg")

# %% widths
x, y = pynn.datasets.spirals(seed=1)
models = {}
for width in (1, 4, 16):
    model = nn.Sequential([
        nn.Input((2,)),
        nn.Dense(width, activation="tanh"),
        nn.Dense(3, activation="softmax"),
    ])
    model.compile(optim.Adam(0.03), "cross_entropy", ["accuracy"], seed=0)
    model.fit(x, y, batch_size=32, epochs=150, verbose=0)
    name = f"{width} hidden unit{'s' if width > 1 else ''}"
    print(f"{name:15} accuracy {model.evaluate(x, y)['accuracy']:.3f}")
    models[name] = model
pynn.viz.plot_frontier(models, x, y, "widths.svg")

# %% regions
from pynn.recipes.regions import built

rng = np.random.default_rng(0)
network, x = built(), rng.uniform(-1, 1, (300, 2)).astype("float32")
inside = network(x).ravel().astype(int)
second = built(steps=False)
layers = {
    "first layer: a half-plane": lambda p: (p[:, 1:] > -0.6) * 1.0,
    "second layer: a triangle": lambda p: second(p)[:, :1],
    "third layer: or a square": network,
}
pynn.viz.plot_frontier(layers, x, inside, "regions.png", mistakes=False)
print("points inside:", inside.sum(), "of", len(x))
