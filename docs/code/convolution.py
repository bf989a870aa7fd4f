# %% sum
import numpy as np
import pynn
from pynn import nn, ops

image = np.array([[40, 42, 46], [46, 50, 55], [52, 56, 58]], "float32")
kernel = np.array([[0, 1, 0], [0, 0, 0], [0, 0, 0]], "float32")
found = ops.correlate2d(image, kernel, "valid").numpy()
print("one pixel:", found, "=", (image * kernel).sum())

# %% filters
from pynn.recipes.filters import CLASSIC, drawn_picture

picture = drawn_picture()
shown = {"picture": picture}
for name in ("box blur", "edges", "Sobel, across", "sharpen"):
    shown[name] = ops.correlate2d(picture, CLASSIC[name], "same").numpy()
pynn.viz.plot_images(shown, "filters.png", columns=5)

# %% matrix
from pynn.recipes.filters import banded_matrix

signal = np.array([[1.0, 4.0, 9.0, 16.0, 25.0]], "float32")
difference = np.array([[-1.0, 1.0]], "float32")
print(banded_matrix(difference, 1, 5))
found = ops.correlate2d(signal, difference, "valid").numpy()
print(banded_matrix(difference, 1, 5) @ signal.ravel(), "=", found)

# %% equivariance
moved = np.roll(picture, (3, 5), axis=(0, 1))
edges = CLASSIC["edges"]
one = np.roll(ops.correlate2d(picture, edges, "same").numpy(), (3, 5), axis=(0, 1))
other = ops.correlate2d(moved, edges, "same").numpy()
print("largest difference inside:", np.abs(one - other)[8:-8, 8:-8].max())

# %% pooling
x = np.array([[1, 3, 2, 0], [4, 2, 1, 1], [0, 1, 7, 2], [2, 1, 3, 5]], "float32")
x = x.reshape(1, 4, 4, 1)
print(nn.MaxPool2D(2)(x).numpy()[0, :, :, 0])
print(nn.MaxPool2D(3, strides=1)(x).numpy()[0, :, :, 0])

# %% translation
from pynn.recipes.invariance import changed_by_shift

moves = [0, 1, 2, 3, 4]
curves = {
    f"pool {p} x {p}": (moves, [changed_by_shift(p, by) for by in moves])
    for p in (1, 2, 4, 8)
}
for name, (_, change) in curves.items():
    print(f"{name}: moved by 2 pixels, the edges change by {change[2]:.0%}")
pynn.viz.plot_curves(
    {"Edges of a moving picture": curves},
    "translation.svg",
    x="pixels",
    y="change",
    dots=True,
)

# %% network
(x, y), (xt, yt) = pynn.datasets.digits()
x, xt = x[..., None], xt[..., None]  # [N, 8, 8, 1]: NHWC
model = nn.Sequential([
    nn.Input((8, 8, 1)),
    nn.Conv2D(16, 3, padding="same", activation="relu"),
    nn.MaxPool2D(2),
    nn.Conv2D(32, 3, activation="relu"),
    nn.Flatten(),
    nn.Dense(10, activation="softmax"),
])
model.compile("adam", "cross_entropy", ["accuracy"], seed=0)
model.fit(x, y, batch_size=32, epochs=12, verbose=0)
accuracy = model.evaluate(xt, yt)["accuracy"]
print(f"test accuracy {accuracy:.4f} with {model.count_parameters()} numbers")

# %% maps
pynn.viz.plot_filters(model.layers[0], "learnt.png")
pynn.viz.plot_feature_maps(model, xt[0], "maps.png")

# %% stimuli
stimuli = {
    f"map {k}": pynn.viz.best_stimulus(model, 2, k, steps=60)[:, :, 0]
    for k in range(10)
}
pynn.viz.plot_images(stimuli, "stimuli.png", columns=5, size=1.1)
