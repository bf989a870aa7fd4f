# %% machine
import time

import numpy as np
import pynn
from pynn import nn, ops

pynn.set_num_threads(1)  # so that one core is compared with itself
found = pynn.config.info()
print(f"instruction set {found['isa']}, {found['threads']} thread")
print(f"BLAS {found['blas']}")


def seconds(f, least=0.02):
    """The shortest of several runs of f, in seconds."""
    f()
    best, spent, runs = float("inf"), 0.0, 0
    for _ in range(10_000):
        start = time.perf_counter()
        f()
        one = time.perf_counter() - start
        best, spent, runs = min(best, one), spent + one, runs + 1
        if spent > least and runs > 4:
            break
    return best


# %% program
rng = np.random.default_rng(0)
x, y = rng.random((32, 20), "float32"), rng.integers(0, 3, 32)


def network():
    model = nn.Sequential([
        nn.Input((20,)),
        nn.Dense(16, "relu"),
        nn.Dense(3, "softmax"),
    ])
    model.compile("adam", "cross_entropy", seed=0)
    return model


model, optimizer = network(), pynn.optim.Adam()
optimizer.bind(list(model.parameters()))
loss = pynn.losses.CrossEntropy()


def by_hand():
    hidden, last = model.layers
    logits = ops.matmul(hidden(x), last.w) + last.b
    loss(logits, y).backward()
    optimizer.step()


update = network().train_fn()
called, recorded = seconds(by_hand), seconds(lambda: update(x, y))
print(f"each operation called from Python: {1e6 * called:7.1f} µs a step")
print(f"the recorded program:              {1e6 * recorded:7.1f} µs a step")

# %% instructions
table = network().profile(x, y, batch_size=32, steps=200)
for row in table.rows:
    if row.flops:
        place = row.layer.removeprefix("sequential/")
        print(f"{row.op:16}{place:10}{1e6 * row.seconds:6.2f} µs")

# %% caches
sizes, rates = [2**k for k in range(9, 24)], []
for n in sizes:
    a = np.ones(n, "float32")
    out = np.empty_like(a)
    rates.append(8 * n / seconds(lambda a=a, out=out: np.add(a, 1.0, out=out)) / 1e9)
pynn.viz.plot_curves(
    {"Reading, adding 1, writing": {"GB/s": ([4 * n / 1024 for n in sizes], rates)}},
    "caches.svg",
    x="KiB of numbers",
    y="GB/s",
    log_x=True,
)

# %% simd
z = rng.random(1 << 16, "float32")
t = pynn.tensor(z)
values = z.tolist()
import math

for name, f in (
    ("one at a time, in Python", lambda: [math.tanh(v) for v in values]),
    ("NumPy", lambda: np.tanh(z)),
    ("pynn", lambda: ops.tanh(t)),
):
    print(f"{1e9 * seconds(f) / len(z):7.2f} ns for each tanh: {name}")
