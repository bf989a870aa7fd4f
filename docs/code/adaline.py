# %% rule
import numpy as np
import pynn
from pynn.estimators import Adaline

rng = np.random.default_rng(0)
patterns = rng.choice([-1.0, 1.0], (12, 16))  # 12 pictures of 4 x 4 points
labels = rng.choice([-1, 1], 12)

unit = Adaline().fit(patterns, labels)
print("right:", unit.score(patterns, labels))
error = np.mean((unit.decision_function(patterns) - labels) ** 2)
print("mean squared error after", unit.n_iter_, "epochs:", float(error))

# %% least_squares
x = rng.normal(size=(200, 3))
y = np.where(x @ [1.0, -2.0, 0.5] + 0.3 + rng.normal(0, 0.5, 200) > 0, 1, -1)
unit = Adaline(tol=1e-8).fit(x, y)
exact = np.linalg.lstsq(np.column_stack([np.ones(200), x]), y, rcond=None)[0]
print("Widrow and Hoff:", np.append(unit.intercept_, unit.coef_).round(4))
print("least squares:  ", exact.round(4))

# %% constant_rate
from pynn.recipes.misadjustment import flipped, misadjustment

shares = [0.05, 0.2, 0.5, 1.0]
measured = [misadjustment("alpha-lms", share, flipped, seed=1) for share in shares]
predicted = [share / (2 - share) for share in shares]
for row in zip(shares, measured, predicted, strict=True):
    print("alpha {:4}: excess error measured {:7.2%}, predicted {:7.2%}".format(*row))
curves = {"measured": (shares, measured), "predicted": (shares, predicted)}
pynn.viz.plot_curves(
    {"Letters of 4 x 4 points": curves},
    "misadjustment.svg",
    x="alpha",
    y="excess error",
    dots=True,
)

# %% capacity
from pynn.recipes.neuron import separable

counts = range(8, 49, 5)
share = []
for count in counts:
    tries = [
        separable(rng.choice([-1.0, 1.0], (count, 16)), rng.choice([-1, 1], count))
        for _ in range(15)
    ]
    share.append(np.mean(tries))
    print(f"{count:2} patterns: {share[-1]:.0%} of the labellings can be separated")
pynn.viz.plot_curves(
    {"16 inputs and a bias": {"separable": (counts, share)}},
    "capacity.svg",
    x="patterns",
    y="share",
)
