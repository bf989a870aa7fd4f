# %% count
from pynn import nn, viz
from pynn.recipes.networks import perceptron

model = perceptron()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "big-mlp.png")

# %% deformed
import numpy as np
import pynn
from pynn.recipes.big_mlp import deforming

(x, _), _ = pynn.datasets.digits()
# 8 x 8 points as 24 x 24
digits = np.kron(x[:6], np.ones((3, 3), "float32"))[..., None]
viz.plot_augmented(digits, deforming(), "deformed.png")
