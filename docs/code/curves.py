# %% cases
import numpy as np
import pynn
from pynn import nn, optim

(x, y), (xt, yt) = pynn.datasets.digits()
few, held = (x[:300], y[:300]), (x[300:800], y[300:800])


def curve(units=32, rate=3e-3, batch=32, dropout=0.0, data=few, epochs=40):
    model = nn.Sequential([
        nn.Input((8, 8)),
        nn.Flatten(),
        nn.Dense(units, activation="relu"),
        nn.Dropout(dropout),
        nn.Dense(10, activation="softmax"),
    ])
    model.compile(optim.Adam(rate), "cross_entropy", seed=0)
    history = model.fit(
        *data, batch_size=batch, epochs=epochs, validation_data=held, verbose=0
    ).history
    return {"training": history["loss"], "held out": history["val_loss"]}


panels = {
    "it learns": curve(),
    "rate too small": curve(rate=3e-5),
    "rate too large": curve(rate=0.3),
    "too few units": curve(units=2),
    "overfitting": curve(units=256, rate=1e-2, data=(x[:80], y[:80])),
    "batches of 2, dropout 0.5": curve(rate=1e-2, batch=2, dropout=0.5, epochs=20),
}
pynn.viz.plot_curves(panels, "curves.svg", y="loss", log_y=True)

# %% numbers
for name, found in panels.items():
    train, other = found["training"], found["held out"]
    best = int(np.argmin(other))
    print(
        f"{name:26} end {train[-1]:7.3f} / {other[-1]:6.3f}, "
        f"best in epoch {best + 1}"
    )
print("guessing among 10 classes:", round(np.log(10), 3))
