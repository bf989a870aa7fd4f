# %% data
import time
import numpy as np
import pynn
from pynn import nn

rng = np.random.default_rng(0)
x = rng.normal(size=(20_000, 64)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype("float32")


def network():
    model = nn.Sequential([
        nn.Input((64,)),
        nn.Dense(64, activation="relu"),
        nn.Dense(1, activation="sigmoid"),
    ])
    model.compile("adam", "binary_cross_entropy", seed=0)
    return model


def timed(what, call):
    call()  # the first call records
    start = time.perf_counter()
    call()
    print(f"{what}: {1e3 * (time.perf_counter() - start):.1f} ms")


# %% batch
model = network()
for batch_size in (16, 64, 256):
    timed(
        f"an epoch in batches of {batch_size}",
        lambda size=batch_size: model.fit(x, y, batch_size=size, verbose=0),
    )

# %% eager
timed(
    "an epoch with run_eagerly",
    lambda: model.fit(x[:2000], y[:2000], verbose=0, run_eagerly=True),
)
timed("the same rows, recorded", lambda: model.fit(x[:2000], y[:2000], verbose=0))


class Watch(pynn.train.Callback):
    def on_batch_end(self, batch, logs=None):
        pass


timed(
    "with a hook for each batch",
    lambda: model.fit(x[:2000], y[:2000], verbose=0, callbacks=[Watch()]),
)

# %% profile
print(model.profile(x, y, batch_size=64))

# %% one
predict = model.predict_fn()
row = x[:1]
for what, call in (
    ("model(row)", model),
    ("predict", model.predict),
    ("predict_fn", predict),
):
    call(row)
    start = time.perf_counter()
    for _ in range(200):
        call(row)
    print(f"{what}: {1e6 * (time.perf_counter() - start) / 200:.1f} microseconds")

# %% lengths
from pynn.text import bucket_by_length

texts = [rng.integers(1, 100, n) for n in rng.integers(5, 100, 640)]
labels = np.array([text[0] > 50 for text in texts], "float32")
batches = bucket_by_length(texts, labels, batch_size=32, buckets=4)
print(sorted({x.shape for x, _ in batches}))

# %% info
info = pynn.config.info()
print({key: info[key] for key in ("threads", "isa", "blas", "openmp")})
