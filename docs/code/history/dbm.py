# %% count
from pynn import nn, viz
from pynn.recipes.networks import dbm

model = dbm()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "dbm.png")

# %% learning
import numpy as np
import pynn
from pynn import schedules

(x, y), (xt, yt) = pynn.datasets.digits()
x, xt = x.reshape(-1, 64) / x.max(), xt.reshape(-1, 64) / x.max()
# pixels that are on or off
drawn = (np.random.default_rng(0).random(xt.shape) < xt).astype("float32")

machine = nn.DBM([60, 40], seed=0)
first, second = machine.stack()
first.fit(
    x,
    epochs=60,
    batch_size=50,
    momentum=0.9,
    weight_decay=1e-3,
    binarize=True,
    verbose=0,
)
second.fit(
    first.transform(x),
    epochs=60,
    batch_size=50,
    momentum=0.9,
    weight_decay=1e-3,
    binarize=True,
    verbose=0,
)
machine.from_stack([first, second])

log_z = machine.ais(temperatures=2000, data=x)
print(
    f"stacked:  log Z {log_z.value:.2f} +- {log_z.error:.2f}, "
    f"bound {machine.bound(drawn, log_z).mean():.2f} nats"
)
rate = schedules.Cosine(0.003, 60 * 29)
machine.fit(
    x,
    epochs=60,
    batch_size=50,
    k=2,
    momentum=0.9,
    learning_rate=rate,
    binarize=True,
    verbose=0,
)
log_z = machine.ais(temperatures=2000, data=x)
print(
    f"together: log Z {log_z.value:.2f} +- {log_z.error:.2f}, "
    f"bound {machine.bound(drawn, log_z).mean():.2f} nats"
)

# %% exact
small = nn.DBM([4, 3], seed=0)
small.pretrain(x[:, 16:24], epochs=20, binarize=True, learning_rate=0.2, verbose=0)
states = [(np.arange(2**n)[:, None] >> np.arange(n)) % 2 for n in (8, 4, 3)]
w1, w2, b0, b1, b2 = (w.astype(float) for w in small.get_weights())
v, h1, h2 = states
minus_e = (
    (v @ b0)[:, None, None]
    + (h1 @ b1)[:, None]
    + h2 @ b2
    + (v @ w1 @ h1.T)[:, :, None]
    + h1 @ w2 @ h2.T
)
exact = np.log(np.exp(minus_e).sum())
found = small.ais(chains=500, temperatures=500)
print(
    f"all {2**15:,} states: log Z {exact:.4f}; annealed: "
    f"{found.value:.4f}, {found.low:.4f} to {found.high:.4f}"
)

# %% dreams
pynn.random.seed(0)
rows = {"begun at": xt[:12].reshape(-1, 8, 8)}
for n in (1, 10, 1000):
    name = f"after {n} round{'s' if n > 1 else ''}"
    rows[name] = machine.sample(rounds=n, start=xt[:12]).reshape(-1, 8, 8)
viz.plot_rows(rows, "dreams.png")

# %% labels
from pynn.recipes.pretraining import balanced

for labels in (50, 100):
    few = balanced(y, labels, seed=0)
    tuned = machine.classifier(10, seed=0)
    random = nn.Sequential([
        nn.Input((64,)),
        nn.Dense(60, "sigmoid"),
        nn.Dense(40, "sigmoid"),
        nn.Dense(10, "softmax"),
    ])
    for name, net, inputs in (
        ("pre-trained", tuned, machine.augmented),
        ("random", random, lambda x: x),
    ):
        net.compile("sgd", "cross_entropy", ["accuracy"], seed=0)
        pynn.train.minimize(net, inputs(x[few]), y[few], method="cg", iterations=60)
        print(
            f"{labels} labels, {name:11}: "
            f"{net.evaluate(inputs(xt), yt)['accuracy']:.1%} right"
        )
