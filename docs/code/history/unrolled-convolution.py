# %% count
from pynn import nn, viz
from pynn.recipes.networks import unrolled_convolution

model = unrolled_convolution()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "unrolled-convolution.png")

# %% unrolled
import numpy as np
from pynn import ops

r = np.random.default_rng(0)
x, w = r.normal(size=(8, 13, 13, 5)), r.normal(size=(5, 5, 5, 50))
rows = ops.patches2d(x, 5, strides=2)  # a row of 125 numbers for every place
product = ops.matmul(rows.reshape((-1, 125)), w.reshape((125, 50))).reshape((
    8,
    5,
    5,
    50,
))
print(rows.shape, "times", (125, 50))
print(
    "largest difference from conv2d:",
    np.abs(product.numpy() - ops.conv2d(x, w, strides=2).numpy()).max().round(12),
)
print("numbers copied for one that is read:", rows.size / x.size)

# %% direct
from pynn.recipes.direct import SOURCE

print(SOURCE[SOURCE.index("/* y[i") : SOURCE.index("/* The grad")])
