# %% model
import numpy as np
import pynn
from pynn import nn
from pynn.train import EarlyStopping, ModelCheckpoint

(x, y), (x_test, y_test) = pynn.datasets.digits()


def network(learning_rate=0.001):
    model = nn.Sequential([
        nn.Input((8, 8)),
        nn.Flatten(),
        nn.Dense(64, activation="relu"),
        nn.Dropout(0.2),
        nn.Dense(10, activation="softmax"),
    ])
    model.compile(
        pynn.optim.Adam(learning_rate), "cross_entropy", metrics=["accuracy"], seed=0
    )
    return model


# %% best
model = network(0.01)
keep = ModelCheckpoint("best.pynn", monitor="val_loss")
history = model.fit(x, y, epochs=60, validation_split=0.2, callbacks=[keep], verbose=0)
best = pynn.load("best.pynn")
print(f"best epoch {(keep.best_epoch or 0) + 1}, val_loss {keep.best:.3f}")
print(f"test accuracy {best.evaluate(x_test, y_test)['accuracy']:.3f}")

# %% stopping
model = network(0.01)
stop = EarlyStopping(patience=3)
history = model.fit(x, y, epochs=200, validation_split=0.2, callbacks=[stop], verbose=0)
print(
    len(history.epoch),
    "epochs;",
    f"val_loss {history.history['val_loss'][-1]:.3f} at the end,"
    f" {min(history.history['val_loss']):.3f} in the model",
)

# %% killed
import subprocess
import sys

program = """
import os, pynn
from pynn import nn

x, y = pynn.datasets.moons(1000, seed=0)
model = nn.Sequential([
    nn.Input((2,)),
    nn.Dense(32, "relu"),
    nn.Dropout(0.2),
    nn.Dense(1, "sigmoid"),
])
model.compile("adam", "binary_cross_entropy", metrics=["accuracy"], seed=0)

class PowerCut(pynn.train.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 3:
            os._exit(9)

keep = pynn.train.ModelCheckpoint("run", every_batches=50)
model.fit(x, y, epochs=6, callbacks=[keep, PowerCut()], verbose=0)
"""
print("exit status", subprocess.run([sys.executable, "-c", program]).returncode)

# %% resume
import os

print(os.listdir("run"))
x, y = pynn.datasets.moons(1000, seed=0)


def small():
    model = nn.Sequential([
        nn.Input((2,)),
        nn.Dense(32, "relu"),
        nn.Dropout(0.2),
        nn.Dense(1, "sigmoid"),
    ])
    model.compile("adam", "binary_cross_entropy", metrics=["accuracy"], seed=0)
    return model


model, whole = small(), small()
history = model.fit(
    x,
    y,
    epochs=6,
    resume="run",
    callbacks=[ModelCheckpoint("run", every_batches=50)],
    verbose=0,
)
whole.fit(x, y, epochs=6, verbose=0)
print(len(history.epoch), "epochs in the history")
print(
    "same bits:",
    all(
        np.array_equal(a, b)
        for a, b in zip(model.get_weights(), whole.get_weights(), strict=True)
    ),
)

# %% again
try:
    small().fit(x, y, callbacks=[ModelCheckpoint("run")], verbose=0)
except FileExistsError as error:
    print(error)
