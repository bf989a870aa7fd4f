# %% spread
import numpy as np
import pynn
from pynn import init, nn

(x, y), _ = pynn.datasets.digits()
panels = {}
for activation, good in (("tanh", "glorot_uniform"), ("relu", "he_normal")):
    curves = {}
    for name, start in (
        ("too small", init.Normal(std=0.01)),
        ("too large", init.Normal(std=1.0)),
        (good, good),
    ):
        a, spread = pynn.tensor(x.reshape(len(x), -1)), []
        for i in range(10):
            a = nn.Dense(64, activation=activation, kernel_initializer=start, seed=i)(a)
            spread.append(float(a.numpy().std()))
        curves[name] = spread
        print(
            f"{activation}, {name:15}spread in layer 1: "
            f"{spread[0]:.3g}, in layer 10: {spread[-1]:.3g}"
        )
    panels[activation] = curves
pynn.viz.plot_curves(
    panels, "spread.svg", x="layer", y="standard deviation", log_y=True
)

# %% glorot
n_in, n_out = 300, 100
w = np.asarray(init.get("glorot_uniform")((n_in, n_out)))
print(
    "limit by formula:",
    round(np.sqrt(6 / (n_in + n_out)), 4),
    "largest weight:",
    round(float(np.abs(w).max()), 4),
)
print(
    "variance:        ",
    round(2 / (n_in + n_out), 6),
    "of the weights:",
    round(float(w.var()), 6),
)
