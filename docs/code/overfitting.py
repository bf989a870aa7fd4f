# %% data
import numpy as np
import pynn
from pynn import nn, optim

(x, y), (xt, yt) = pynn.datasets.digits()
x, y, xv, yv = x[:200], y[:200].copy(), x[200:700], y[200:700]
rng = np.random.default_rng(0)
wrong = rng.permutation(200)[:40]
y[wrong] = rng.integers(0, 10, 40)  # a fifth of the labels is drawn by lot


def wide(units=256, l2=0.0, dropout=0.0):
    penalty = pynn.regularizers.L2(l2) if l2 else None
    hidden = [
        layer
        for _ in range(2)
        for layer in (
            nn.Dense(units, activation="relu", kernel_regularizer=penalty),
            nn.Dropout(dropout),
        )
    ]
    model = nn.Sequential([
        nn.Input((8, 8)),
        nn.Flatten(),
        *hidden,
        nn.Dense(10, activation="softmax"),
    ])
    model.compile(optim.Adam(1e-3), "cross_entropy", ["accuracy"], seed=0)
    return model


# %% remedies
from typing import Any

from pynn.train import EarlyStopping

curves: dict[str, dict[str, list[float]]] = {"training": {}, "validation": {}}
remedies: dict[str, dict[str, Any]] = {
    "nothing": {},
    "L2": {"l2": 3e-2},
    "dropout": {"dropout": 0.7},
    "fewer units": {"units": 16},
    "early stopping": {},
}
for name, settings in remedies.items():
    model = wide(**settings)
    stop = [EarlyStopping("val_loss", patience=8)] if name == "early stopping" else []
    history = model.fit(
        x,
        y,
        batch_size=16,
        epochs=60,
        validation_data=(xv, yv),
        callbacks=stop,
        verbose=0,
    ).history
    curves["training"][name], curves["validation"][name] = (
        history["accuracy"],
        history["val_accuracy"],
    )
    print(
        f"{name:15}{len(history['loss']):3} epochs: "
        f"{history['accuracy'][-1]:.2f} right on what it learnt, "
        f"{model.evaluate(xt, yt)['accuracy']:.3f} on the test part"
    )
pynn.viz.plot_curves(curves, "remedies.svg", y="accuracy")

# %% dropout
layer = nn.Dropout(0.5, seed=0)
ones = np.ones((2, 8), "float32")
print("learning:", layer(ones, training=True).numpy().tolist())
print("in use:  ", layer(ones, training=False).numpy().tolist())
