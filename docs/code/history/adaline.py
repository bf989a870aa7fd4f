# %% count
from pynn import nn, viz
from pynn.recipes.networks import adaline

model = adaline()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "adaline.png")

# %% letters
import numpy as np
from pynn.estimators import Adaline
from pynn.recipes.misadjustment import LETTERS, flipped, least_squares

rng = np.random.default_rng(0)
x, y = flipped(2000, rng)  # T, G and F with a tenth of their points flipped
unit = Adaline(rule="alpha-lms", learning_rate=0.1, shuffle=False).partial_fit(
    x, y, classes=[0, 1, 2]
)
exact = least_squares(x, y, 3)[0]
xt, yt = flipped(2000, rng)
wrong = np.mean((xt @ exact[1:] + exact[0]).argmax(axis=1) != yt)
print(
    f"new letters {', '.join(LETTERS)}: "
    f"{1 - unit.score(xt, yt):.1%} wrong by LMS, {wrong:.1%} by least squares"
)
print(f"largest weight by least squares {abs(exact).max():.2f}, ", end="")
print(f"largest difference {abs(unit.coef_.T - exact[1:]).max():.2f}")
