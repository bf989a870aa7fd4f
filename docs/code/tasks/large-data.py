# %% generator
import numpy as np
import pynn
from pynn import nn


def measurements(seed, batches=50, rows=64):
    """Yield batches as they come: from a queue, a database, a simulation."""
    rng = np.random.default_rng(seed)
    for _ in range(batches):
        x = rng.normal(size=(rows, 20)).astype("float32")
        yield x, (x[:, :1] * x[:, 1:2] > 0).astype("float32")


def network():
    model = nn.Sequential([
        nn.Input((20,)),
        nn.Dense(32, activation="relu"),
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile(
        pynn.optim.Adam(0.01), "binary_cross_entropy", metrics=["accuracy"], seed=0
    )
    return model


model = network()
model.fit(measurements(0, batches=400), epochs=8, steps_per_epoch=50, verbose=0)
print(model.evaluate(measurements(1)))

# %% ends
try:
    network().fit(measurements(0), epochs=3, verbose=0)
except pynn.errors.DataError as error:
    print(error)


# %% again
class Measurements:
    """Something that can be gone through again: a new generator for each epoch."""

    def __iter__(self):
        return measurements(seed=0)


history = network().fit(
    Measurements(),
    epochs=8,
    validation_data=measurements(1, 10),
    validation_steps=1,
    verbose=0,
)
print([round(value, 3) for value in history.history["val_accuracy"]])

# %% mapped
rows = 50_000
big = np.lib.format.open_memmap("x.npy", "w+", "float32", (rows, 20))
target = np.lib.format.open_memmap("y.npy", "w+", "float32", (rows, 1))
for start, (x, y) in zip(
    range(0, rows, 500), measurements(2, rows // 500, 500), strict=True
):
    big[start : start + 500], target[start : start + 500] = x, y
big.flush()
target.flush()
del big, target

# %% sequence
import math


class Files:
    """Batches by index: `fit` asks for them in another order in every epoch."""

    def __init__(self, x, y, batch_size=256):
        self.x, self.y, self.batch_size = (
            np.load(x, mmap_mode="r"),
            np.load(y, mmap_mode="r"),
            batch_size,
        )

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, index):
        rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
        return self.x[rows], self.y[rows]


files = Files("x.npy", "y.npy")
model = network()
model.fit(files, epochs=4, verbose=0)
print(
    len(files), f"batches, accuracy {model.evaluate(measurements(1))['accuracy']:.3f}"
)
print(model.predict(files).shape)

# %% tables
import pandas as pd

pd.DataFrame(np.hstack([files.x[:5000], files.y[:5000]])).to_csv("big.csv", index=False)


class Table:
    def __iter__(self):
        for part in pd.read_csv("big.csv", chunksize=500, dtype="float32"):
            yield part.iloc[:, :20], part.iloc[:, 20:]


model = network()
model.fit(Table(), epochs=4, verbose=0)
print(model.evaluate(Table()))
