# %% count
from pynn import nn, viz
from pynn.recipes.networks import alexnet

model = alexnet()
print(nn.count(model))

# %% picture
viz.plot_layers(model, "alexnet.png")

# %% colours
import numpy as np
import pynn
from pynn.recipes.filters import drawn_picture

grey = drawn_picture()
photograph = np.stack([grey, 0.7 * grey + 0.1, 0.4 * grey[::-1]], -1)[None].astype(
    "float32"
)
layer = nn.RandomPCAColor(0.3, seed=0)
layer.adapt(photograph)
print("components, as long as the colours' deviation along them:")
print(layer.components.numpy().round(3))
viz.plot_augmented(
    photograph, [nn.RandomCrop(48), nn.RandomFlip(), layer], "colours.png"
)

# %% views
layers = [
    nn.Input((32, 32, 3)),
    nn.RandomCrop(24),
    nn.Flatten(),
    nn.Dense(10, activation="softmax"),
]
views = nn.Sequential(layers, seed=0)
x = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
print("one view: ", views.predict(x)[0, :4].round(3))
print("ten views:", pynn.train.predict_views(views, x, 24)[0, :4].round(3))

# %% lrn
from pynn.recipes.lrn import krizhevsky

for name, options in {"one column": {}, "two columns": {"columns": True}}.items():
    print(f"{name}: {nn.count(krizhevsky(**options)).parameters:,} parameters")
