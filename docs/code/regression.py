# %% linear
import numpy as np
import pynn
from pynn import nn, optim
from sklearn.datasets import load_diabetes

x, y = map(np.asarray, load_diabetes(return_X_y=True))
x, y = (
    (x / x.std(axis=0)).astype("float32"),
    ((y - y.mean()) / y.std()).astype("float32")[:, None],
)

model = nn.Sequential([nn.Input((10,)), nn.Dense(1)])
rate = pynn.schedules.Cosine(0.05, steps=200 * 14)
model.compile(optim.SGD(rate, momentum=0.9), "mse", seed=0)
model.fit(x, y, batch_size=32, epochs=200, verbose=0)

exact = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
print("by descent:      ", model.layers[0].w.numpy().ravel().round(2))
print("by least squares:", exact[:10].ravel().round(2))

# %% logistic
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

x, y = load_breast_cancer(return_X_y=True)
x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
x, xt, y, yt = train_test_split(x, y, test_size=0.2, random_state=0, stratify=y)

model = nn.Sequential([nn.Input((30,)), nn.Dense(1, activation="sigmoid")])
model.compile(optim.Adam(0.01), "binary_cross_entropy", ["accuracy"], seed=0)
model.fit(x, y, batch_size=32, epochs=40, verbose=0)
p = model.predict(xt[:3]).ravel().round(3)
print("three patients, probability of a benign tumour:", p, "truth:", yt[:3])
print("test accuracy:", round(model.evaluate(xt, yt)["accuracy"], 4))

# %% softmax
(x, y), (xt, yt) = pynn.datasets.digits()
model = nn.Sequential([
    nn.Input((8, 8)),
    nn.Flatten(),
    nn.Dense(10, activation="softmax"),
])
model.compile(optim.Adam(0.01), "cross_entropy", ["accuracy"], seed=0)
model.fit(x, y, batch_size=32, epochs=20, verbose=0)
p = model.predict(xt[:1])[0]
print("P(class | x) =", p.round(3), "sum", p.sum().round(6), "truth", yt[0])
print("test accuracy:", round(model.evaluate(xt, yt)["accuracy"], 4))

# %% templates
templates = {
    f"w of class {k}": model.layers[1].w.numpy()[:, k].reshape(8, 8) for k in range(10)
}
pynn.viz.plot_images(templates, "templates.png", columns=5, size=1.4)

# %% bases
from math import comb
from pynn.recipes.linear import gaussians

print("products of two of n inputs:", {n: comb(n, 2) for n in (2, 10, 100)})
x, y = pynn.datasets.moons(300, noise=0.2, seed=1)
grid = np.stack(
    np.meshgrid(np.linspace(-1.2, 2.2, 5), np.linspace(-0.8, 1.2, 5)), axis=-1
).reshape(-1, 2)
models = {}
for name, basis in {
    "x itself": lambda p: p,
    "25 Gaussians": lambda p: gaussians(p, grid, 0.5),
}.items():
    model = nn.Sequential([
        nn.Input((basis(x[:1]).shape[1],)),
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile(optim.Adam(0.03), "binary_cross_entropy", ["accuracy"], seed=0)
    model.fit(basis(x), y, batch_size=32, epochs=60, verbose=0)
    print(f"{name}: accuracy {model.evaluate(basis(x), y)['accuracy']:.3f}")
    models[name] = lambda p, model=model, basis=basis: model.predict(basis(p))
pynn.viz.plot_frontier(models, x, y, "bases.svg")

# %% outliers
from pynn.recipes.robust import with_outliers

# 54 points about y = 0.8 x + 0.3, and 6 that are read too low
x, y = with_outliers(60, 6, seed=0)
losses = {
    "squared": pynn.losses.MSE(),
    "absolute": pynn.losses.MAE(),
    "Huber": pynn.losses.Huber(delta=0.5),
}
for name, loss in losses.items():
    model = nn.Sequential([nn.Input((1,)), nn.Dense(1)])
    model.compile(optim.Adam(pynn.schedules.Cosine(0.05, 300 * 4)), loss, seed=0)
    model.fit(x, y, batch_size=16, epochs=300, verbose=0)
    slope, offset = model.layers[0].w.numpy().item(), model.layers[0].b.numpy().item()
    print(f"{name:8} error: y = {slope:.2f} x + {offset:.2f}")

# %% collinear
from pynn.recipes.robust import collinear

for seed in range(4):
    # y = x1 + x2 and some noise; the columns of x are almost the same
    x, y = collinear(50, seed)
    plain = np.linalg.lstsq(x, y, rcond=None)[0].ravel()
    ridge = np.linalg.solve(x.T @ x / 50 + 0.1 * np.eye(2), x.T @ y / 50).ravel()
    print(
        f"least squares {plain.round(2)}, sum {plain.sum():.2f},"
        f" with a penalty of 0.1 {ridge.round(2)}"
    )
