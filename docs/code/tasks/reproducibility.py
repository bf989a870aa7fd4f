# %% seed
import numpy as np
import pynn
from pynn import nn

x, y = pynn.datasets.moons(600, seed=0)
x_test, y_test = pynn.datasets.moons(600, seed=1)


def trained(seed=0, epochs=4, **options):
    model = nn.Sequential([
        nn.Input((2,)),
        nn.Dense(32, "relu"),
        nn.Dropout(0.2),
        nn.Dense(1, "sigmoid"),
    ])
    model.compile(
        "adam", "binary_cross_entropy", metrics=["accuracy"], seed=seed, **options
    )
    model.fit(x, y, epochs=epochs, verbose=0)
    return model


def same(a, b):
    return all(
        np.array_equal(v, w)
        for v, w in zip(a.get_weights(), b.get_weights(), strict=True)
    )


first = trained()
print(
    "the same seed:",
    same(first, trained()),
    " another seed:",
    same(first, trained(seed=1)),
)

# %% threads
found = []
for threads in (1, 2):
    pynn.set_num_threads(threads)
    found.append(same(first, trained()))
pynn.set_num_threads(None)
print(
    "one thread, two threads:",
    found,
    " without recording:",
    same(first, trained(run_eagerly=True)),
)

# %% pieces
model = trained(epochs=2)
model.save("half.pynn")
rest = pynn.load("half.pynn")
rest.fit(x, y, epochs=2, verbose=0)
print("two epochs, a file, two epochs:", same(first, rest))


# %% layer
class Noise(nn.Module):
    def forward(self, x):
        return x + 0.1 * pynn.random.normal(x.shape)


def noisy(layer):
    model = nn.Sequential([nn.Input((2,)), layer, nn.Dense(1, activation="sigmoid")])
    model.compile("adam", "binary_cross_entropy", seed=0)
    model.fit(x, y, epochs=2, verbose=0)
    return model


print("noise of pynn.random:", same(noisy(Noise()), noisy(Noise())))


# %% numpy
class Frozen(nn.Module):
    def forward(self, x):
        return x + 0.1 * np.random.default_rng().normal(size=x.shape).astype("float32")


try:
    noisy(Frozen())
except pynn.errors.CaptureError as error:
    print(error)

# %% spread
scores = [
    trained(seed, epochs=10).evaluate(x_test, y_test)["accuracy"] for seed in range(5)
]
print(f"five seeds: {np.mean(scores):.3f}, from {min(scores):.3f} to {max(scores):.3f}")

# %% note
info = pynn.config.info()
print({key: info[key] for key in ("version", "python", "isa", "precision")})
