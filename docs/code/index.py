# %% first
import pynn
from pynn import nn

(x, y), (xt, yt) = pynn.datasets.digits()
model = nn.Sequential([
    nn.Input((8, 8)),
    nn.Flatten(),
    nn.Dense(64, activation="relu"),
    nn.Dropout(0.2),
    nn.Dense(10, activation="softmax"),
])
model.compile(optimizer="adam", loss="cross_entropy", metrics=["accuracy"], seed=0)
history = model.fit(x, y, batch_size=32, epochs=30, validation_split=0.1, verbose=0)
print("test accuracy:", round(model.evaluate(xt, yt)["accuracy"], 4))

# %% picture
found = history.history
panels = {
    name: {"training": found[name], "held out": found[f"val_{name}"]}
    for name in ("loss", "accuracy")
}
pynn.viz.plot_curves(panels, "learning.png")
