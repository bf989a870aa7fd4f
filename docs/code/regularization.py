# %% data
import numpy as np
import pynn
from pynn import nn, optim, regularizers

rng = np.random.default_rng(0)
truth = np.zeros(30)
truth[:4] = [2.0, -1.5, 1.0, 0.5]  # only four of thirty inputs matter
x = rng.normal(size=(60, 30)).astype("float32")
y = (x @ truth + rng.normal(0, 0.5, 60)).astype("float32")[:, None]
xt = rng.normal(size=(2000, 30)).astype("float32")
yt = (xt @ truth).astype("float32")[:, None]


def fitted(penalty):
    model = nn.Sequential([nn.Input((30,)), nn.Dense(1, kernel_regularizer=penalty)])
    rate = pynn.schedules.Cosine(0.05, 600)
    model.compile(optim.Adam(rate), "mse", seed=0)
    model.fit(x, y, batch_size=60, epochs=600, verbose=0)
    error = float(np.mean((model.predict(xt) - yt) ** 2))
    return model.layers[0].w.numpy().ravel(), error


# %% penalties
bars = {}
for name, penalty in (
    ("nothing", None),
    ("L2", regularizers.L2(0.03)),
    ("L1", regularizers.L1(0.1)),
):
    w, error = fitted(penalty)
    bars[name] = w
    small = int((np.abs(w) < 0.02).sum())
    print(f"{name:8} test error {error:.3f}, {small:2} of 30 weights below 0.02")
pynn.viz.plot_curves(
    {"Thirty weights, four of which matter": bars | {"truth": truth}},
    "penalties.svg",
    x="input",
    y="weight",
    dots=True,
)

# %% strength
strengths = [0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0]
for name, kind in (("L2", regularizers.L2), ("L1", regularizers.L1)):
    errors = [fitted(kind(s) if s else None)[1] for s in strengths]
    print(name, dict(zip(strengths, np.round(errors, 3).tolist(), strict=True)))

# %% dropout
layer = nn.Dropout(0.5, seed=0)
values = np.array([[1.0, 2.0, 3.0, 4.0]], "float32")
draws = np.concatenate([layer(values, training=True).numpy() for _ in range(4000)])
print("one draw:       ", draws[0])
print("mean of draws:  ", draws.mean(axis=0).round(2))
print("when in use:    ", layer(values, training=False).numpy()[0])

# %% more_data
(a, b), (at, bt) = pynn.datasets.digits()
a, b = a[:200], b[:200]
shown = a[:4] / a.max()
moves = nn.RandomAffine(rotation=12.0, shift=0.1)
pynn.viz.plot_augmented(shown, moves, "augmented.png", times=6)


def digits(epochs, *layers):
    model = nn.Sequential([
        nn.Input((8, 8, 1)),
        *layers,
        nn.Flatten(),
        nn.Dense(64, activation="relu"),
        nn.Dense(10, activation="softmax"),
    ])
    model.compile("adam", "cross_entropy", ["accuracy"], seed=0)
    model.fit(a[..., None], b, batch_size=32, epochs=epochs, verbose=0)
    return model.evaluate(at[..., None], bt)["accuracy"]


for epochs in (60, 200):
    plain, moved = digits(epochs), digits(epochs, moves)
    print(
        f"{epochs:3} epochs: {plain:.3f} right as they are, "
        f"{moved:.3f} moved every time"
    )
