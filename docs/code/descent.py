# %% by_hand
import numpy as np
import pynn
from pynn import nn, optim

x = pynn.tensor(4.0, requires_grad=True)
for step in range(5):
    cost = (x - 1.0) ** 2
    cost.backward()
    print(
        f"step {step}: x = {x.item():.4f}, "
        f"cost {cost.item():.4f}, slope {x.grad.item():.4f}"
    )
    x = pynn.tensor(x.item() - 0.3 * x.grad.item(), requires_grad=True)

# %% batches
from sklearn.datasets import load_breast_cancer

x, y = load_breast_cancer(return_X_y=True)
x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype("float32")
curves = {}
for name, size in {"batch": len(x), "mini-batch of 32": 32, "stochastic": 1}.items():
    rate = min(1.0, 0.03 * size**0.5)
    model = nn.Sequential([nn.Input((30,)), nn.Dense(1, activation="sigmoid")])
    model.compile(optim.SGD(rate), "binary_cross_entropy", seed=0)  # the same start
    costs = [model.evaluate(x, y)["loss"]]
    for _ in range(15):
        model.fit(x, y, batch_size=size, epochs=1, verbose=0)
        costs.append(model.evaluate(x, y)["loss"])
    updates = np.arange(16) * -(-len(x) // size)
    curves[f"{name}, rate {rate:.2f}"] = (updates + 1, costs)
    print(f"{name:17}{updates[-1]:6,} updates, cost {costs[0]:.3f} -> {costs[-1]:.4f}")
pynn.viz.plot_curves(
    {"15 passes over 569 patients": curves},
    "batches.svg",
    x="updates + 1",
    y="cost of all patients",
    log_x=True,
    log_y=True,
)

# %% surface
from pynn.recipes.descents import beale

start, paths = (1.0, 1.5), {}
for optimizer in (
    optim.SGD(0.005),
    optim.SGD(0.002, momentum=0.9),
    optim.RMSprop(0.02),
    optim.Adam(0.05),
):
    u = pynn.tensor(start[0], dtype="float64", requires_grad=True)
    v = pynn.tensor(start[1], dtype="float64", requires_grad=True)
    optimizer.bind([u, v])
    path = [start]
    for _ in range(300):
        beale(u, v).backward()
        optimizer.step()
        path.append((u.item(), v.item()))
    name = type(optimizer).__name__ + (
        " with momentum" if getattr(optimizer, "momentum", 0) else ""
    )
    paths[name] = path
    print(
        f"{name:18} ends {np.hypot(path[-1][0] - 3, path[-1][1] - 0.5):.3f} "
        "from the minimum"
    )
pynn.viz.plot_optimizer_paths(
    beale, paths, "beale.png", bounds=(-0.5, 4.5, -1.5, 2.0), minimum=(3.0, 0.5)
)

# %% schedule
steps = np.arange(0, 1000, 250)
for schedule in (
    pynn.schedules.Exponential(0.1, rate=0.5, every=250),
    pynn.schedules.Cosine(0.1, steps=1000),
):
    rates = [round(float(schedule(step)), 4) for step in steps]
    print(f"{type(schedule).__name__:12}", rates)
