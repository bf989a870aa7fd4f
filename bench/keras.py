"""Seconds per epoch of four Keras scripts as a user runs them: on pynn, and on Keras 3 with its backends.

    python -m bench.keras [--python FILE] [--rows PATTERN] [--epochs N] [--sides NAMES] [--threads N] [--out FILE]

The text of a script is the same for every side: `import keras`, a model, compile, fit. pynn runs it through the hook
of ``python -m pynn.keras``; the others in processes of the interpreter that --python names (default: this one), where
Keras and its backends are installed. Sides take turns, a fresh process each, and a side that is missing is skipped.
The first epoch, in which frameworks compile, stands apart; the figure is the median of the others. Data are MNIST and
the film reviews of PYNN_DATA, and Shakespeare's plays; rows are cut, so that a run takes minutes.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HEAD = """
import sys, time
import numpy as np
data = np.load(sys.argv[1])
epochs = int(sys.argv[2])
"""
TAIL = """
class Clock(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.seconds, self.last = [], time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now

clock = Clock()
history = model.fit(data["x"], data["y"], batch_size=batch, epochs=epochs, verbose=0, callbacks=[clock])
import json
print(json.dumps({"seconds": clock.seconds, "loss": [float(v) for v in history.history["loss"]],
                  "parameters": int(model.count_params())}))
"""
SCRIPTS = {
    "mnist_mlp": """
import keras
from keras import layers
model = keras.Sequential([
    keras.Input((784,)),
    layers.Dense(512, activation="relu"), layers.Dropout(0.2),
    layers.Dense(512, activation="relu"), layers.Dropout(0.2),
    layers.Dense(10, activation="softmax"),
])
model.compile(loss="categorical_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
batch = 128
""",
    "mnist_small": """
import keras
from keras import layers
model = keras.Sequential([
    keras.Input((784,)), layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax"),
])
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
batch = 32
""",
    "mnist_cnn": """
import keras
from keras import layers
model = keras.Sequential([
    keras.Input((784,)), layers.Reshape((28, 28, 1)),
    layers.Conv2D(32, (3, 3), activation="relu"), layers.Conv2D(64, (3, 3), activation="relu"),
    layers.MaxPooling2D((2, 2)), layers.Dropout(0.25), layers.Flatten(),
    layers.Dense(128, activation="relu"), layers.Dropout(0.5), layers.Dense(10, activation="softmax"),
])
model.compile(loss="categorical_crossentropy", optimizer="adadelta", metrics=["accuracy"])
batch = 128
""",
    "imdb_lstm": """
import keras
from keras import layers
model = keras.Sequential([
    layers.Embedding(20000, 128), layers.LSTM(128, dropout=0.2, recurrent_dropout=0.2),
    layers.Dense(1, activation="sigmoid"),
])
model.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
batch = 32
""",
    "lstm_text_generation": """
import keras
from keras import layers
model = keras.Sequential([
    keras.Input(data["x"].shape[1:]), layers.LSTM(128), layers.Dense(data["y"].shape[1], activation="softmax"),
])
model.compile(loss="categorical_crossentropy", optimizer=keras.optimizers.RMSprop(learning_rate=0.01))
batch = 128
""",
}
ROWS = {
    "mnist_mlp": 60_000,
    "mnist_small": 20_000,
    "mnist_cnn": 3_000,
    "imdb_lstm": 3_200,
    "lstm_text_generation": 6_400,
}
SIDES = ("pynn", "jax", "torch")


def arrays(name: str) -> dict[str, np.ndarray]:
    """The data of a script."""
    from pynn import datasets

    n = ROWS[name]
    if name.startswith("mnist"):
        (x, y), _ = datasets.mnist()
        return {"x": x[:n].reshape(-1, 784).astype("float32") / 255, "y": np.eye(10, dtype="float32")[y[:n]]}
    if name == "imdb_lstm":
        from pynn.keras.utils import pad_sequences

        (reviews, y), _ = datasets.imdb(num_words=20_000)
        return {"x": pad_sequences(reviews[:n], 80), "y": y[:n].astype("float32")}
    text = datasets.tiny_shakespeare().lower()[: 3 * n + 43]
    letters = sorted(set(text))
    ids = np.array([letters.index(c) for c in text])
    one = np.eye(len(letters), dtype="float32")
    starts = np.arange(0, len(ids) - 40, 3)[:n]
    return {"x": one[ids[starts[:, None] + np.arange(40)]], "y": one[ids[starts + 40]]}


def run(side: str, name: str, file: str, epochs: int, python: str, threads: int | None) -> dict[str, Any] | None:
    """What a process of a side says; None if it cannot run."""
    environment = dict(os.environ) | {"KERAS_BACKEND": side, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    if threads is not None:
        for key in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYNN_NUM_THREADS", "NPROC"):
            environment[key] = str(threads)
    hooked = "from pynn.keras import hook\nhook.install()\n" if side == "pynn" else ""
    code = f"{hooked}{HEAD}{SCRIPTS[name]}{TAIL}"
    done = subprocess.run(
        [sys.executable if side == "pynn" else python, "-P", "-c", code, file, str(epochs)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    if done.returncode:
        print(f"skipped {side} on {name}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def measured(name: str, sides: list[str], epochs: int, rounds: int, python: str, threads: int | None) -> dict[str, Any]:
    """A row: of each side the first epoch and the median of the others, over all rounds."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "data.npz")
        np.savez(file, **arrays(name))
        for _ in range(rounds):
            for side in sides:
                told = run(side, name, file, epochs, python, threads)
                if told is not None:
                    kept = found.setdefault(side, {"first": [], "epochs": [], "loss": [], "parameters": 0})
                    kept["first"].append(told["seconds"][0])
                    kept["epochs"] += told["seconds"][1:]
                    kept["loss"].append(told["loss"][-1])
                    kept["parameters"] = told["parameters"]
    return {
        side: {
            "first": float(np.median(kept["first"])), "epoch": float(np.median(kept["epochs"])),
            "loss": float(np.median(kept["loss"])), "parameters": kept["parameters"],
        }
        for side, kept in found.items()
    }  # fmt: skip


def table(rows: dict[str, Any], sides: list[str]) -> str:
    """The rows as Markdown."""
    others = [side for side in sides if side != "pynn"]
    head = ["script", "rows", *(f"{side} s/epoch" for side in sides), *(f"{side} / pynn" for side in others), "losses"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for name, row in rows.items():
        cells = [name, f"{ROWS[name]:,}"]
        cells += [f"{row[s]['epoch']:.3f} (first {row[s]['first']:.2f})" if s in row else "-" for s in sides]
        cells += [
            f"{row[s]['epoch'] / row['pynn']['epoch']:.1f}" if s in row and "pynn" in row else "-" for s in others
        ]
        cells.append(", ".join(f"{row[s]['loss']:.3f}" for s in sides if s in row))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.keras", description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has Keras 3 and its backends")
    parser.add_argument("--rows", default="*", help="pattern of the scripts' names")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(argv)
    sides = given.sides.split(",")
    rows = {}
    for name in SCRIPTS:
        if fnmatch.fnmatch(name, given.rows):
            rows[name] = measured(name, sides, max(given.epochs, 2), given.rounds, given.python, given.threads)
            print(table({name: rows[name]}, sides), flush=True)
    print(f"\n{table(rows, sides)}")
    if given.out is not None:
        given.out.write_text(json.dumps({"rows": rows, "threads": given.threads}, indent=2))


if __name__ == "__main__":
    main()
