# %% bottleneck
import numpy as np
import pynn
from pynn import nn

(x, y), (xt, yt) = pynn.datasets.digits()
x, xt = x.reshape(len(x), 64), xt.reshape(len(xt), 64)
scale = x.max()
x, xt = x / scale, xt / scale


def autoencoder(size):
    encoder = nn.Sequential([
        nn.Input((64,)),
        nn.Dense(64, activation="relu"),
        nn.Dense(size),
    ])
    decoder = nn.Sequential([
        nn.Dense(64, activation="relu"),
        nn.Dense(64, activation="sigmoid"),
    ])
    model = nn.Sequential([nn.Input((64,)), encoder, decoder])
    model.compile(pynn.optim.Adam(3e-3), "mse", seed=0)
    return model, encoder


def linear(size):
    """The best that a linear code can do: principal components."""
    mean = x.mean(axis=0)
    v = np.linalg.svd(x - mean, full_matrices=False)[2][:size]
    return float(np.mean((((xt - mean) @ v.T) @ v + mean - xt) ** 2))


models, encoders = {}, {}
for size in (2, 8):
    models[size], encoder = autoencoder(size)
    models[size].fit(x, x, batch_size=32, epochs=40, verbose=0)
    error = models[size].evaluate(xt, xt)["loss"]
    print(
        f"bottleneck {size}: error {error:.4f}; principal components {linear(size):.4f}"
    )
    encoders[size] = encoder

# %% pictures
rows: dict[str, np.ndarray] = {}
for name, images in {
    "x": xt,
    "2": models[2].predict(xt),
    "8": models[8].predict(xt),
}.items():
    rows |= {f"{name}, {i + 1}": images[i].reshape(8, 8) for i in range(6)}
pynn.viz.plot_images(rows, "reconstructions.png", columns=6, size=1.1)

# %% map
pynn.viz.plot_embedding(encoders[2].predict(xt), yt, "codes.svg")

# %% denoising
rng = np.random.default_rng(0)


def noisy(images):
    return np.clip(images + rng.normal(0, 0.3, images.shape), 0, 1).astype("float32")


model, _ = autoencoder(16)
model.fit(noisy(x), x, batch_size=32, epochs=40, verbose=0)
given = noisy(xt)
print("error of the noisy pictures:", round(float(np.mean((given - xt) ** 2)), 4))
print(
    "error of the cleaned ones:  ",
    round(float(np.mean((model.predict(given) - xt) ** 2)), 4),
)
