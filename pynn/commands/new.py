"""``pynn new``: a small program to begin with, commented, that runs as it stands."""

from __future__ import annotations

from pathlib import Path

from pynn.errors import DataError
from pynn.language import language

__all__ = ["TEMPLATES", "run"]

# What differs between the kinds: how data are made up, the layers, loss and measure, and one prediction.
TEMPLATES = {
    "classify": (
        """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, 600)  # three classes
    x = rng.normal(size=(600, 4)) + np.eye(3, 4)[y] * 2  # four numbers for each sample
    return x.astype("float32"), y
""",
        """    nn.Input((4,)),
    nn.Dense(32, activation="relu"),
    nn.Dropout(0.2),
    nn.Dense(3, activation="softmax"),
""",
        ("cross_entropy", "accuracy"),
    ),
    "regress": (
        """
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (600, 2))  # two numbers for each sample
    y = np.sin(2 * x[:, :1]) + 0.5 * x[:, 1:] + rng.normal(0, 0.1, (600, 1))
    return x.astype("float32"), y.astype("float32")
""",
        """    nn.Input((2,)),
    nn.Dense(32, activation="tanh"),
    nn.Dense(32, activation="tanh"),
    nn.Dense(1),
""",
        ("mse", "mae"),
    ),
    "images": (
        """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 600)  # upright or lying bars
    x = rng.normal(0, 0.2, (600, 16, 16, 1))  # rows, columns, channels
    for image, label in zip(x, y, strict=True):
        at = rng.integers(2, 14)
        image[(slice(None), at) if label else at] += 1.0
    return x.astype("float32"), y
""",
        """    nn.Input((16, 16, 1)),
    nn.Conv2D(8, 3, activation="relu"),
    nn.MaxPool2D(2),
    nn.Flatten(),
    nn.Dense(2, activation="softmax"),
""",
        ("cross_entropy", "accuracy"),
    ),
    "text": (
        """
    rng = np.random.default_rng(seed)
    good, bad = ["great", "lovely", "fine"], ["dull", "awful", "poor"]
    y = rng.integers(0, 2, 600)
    texts = [f"a {rng.choice(good if label else bad)} film, says {rng.choice(['she', 'he'])}" for label in y]
    words = pynn.text.Tokenizer(num_words=50).fit(texts)  # a number for each word
    return pynn.text.pad_sequences([words.encode(text) for text in texts], 8), y
""",
        """    nn.Input((8,)),
    nn.Embedding(50, 8, mask_zero=True),
    nn.LSTM(16),
    nn.Dense(2, activation="softmax"),
""",
        ("cross_entropy", "accuracy"),
    ),
    "sound": (
        """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 400)  # a whistle that falls or rises
    t = np.arange(2000) / 8000  # a quarter of a second
    pitch = 800 + np.where(y[:, None] == 1, 1600, -1600) * (t - t.mean())
    sounds = np.sin(2 * np.pi * np.cumsum(pitch / 8000, axis=1)) + rng.normal(0, 0.2, (400, 2000))
    x = np.stack([pynn.audio.spectrogram(sound.astype("float32"), 8000)[:, :64] for sound in sounds])
    return ((x - x.mean()) / x.std()).astype("float32"), y
""",
        """    nn.Input(x.shape[1:]),
    nn.Flatten(),
    nn.Dense(32, activation="relu"),
    nn.Dense(2, activation="softmax"),
""",
        ("cross_entropy", "accuracy"),
    ),
}
WORDS = {
    "en": {
        "head": "Learn from data, test once, save the model and its card. Run: python train.py",
        "data": "Made up, so that the program runs; put your own data in their place.",
        "seed": "the same seed gives the same bits, on any number of threads",
        "apart": "a fifth is put apart for the test, which is looked at once",
        "stop": "stops when the held-out loss no longer falls, and keeps the best weights",
        "save": "model.pynn, and model.pynn.md, which tells what it is",
        "readme": "`python train.py` trains and tests the model and writes `model.pynn`, its card and the curves.\n"
        "`pynn summary model.pynn` shows what it holds, `pynn card model.pynn` its card.\n"
        "Put your own data into the function `data`.",
    },
    "es": {
        "head": "Aprende de datos, prueba una sola vez, guarda el modelo y su ficha. Se ejecuta con: python train.py",
        "data": "Inventados, para que el programa corra; pon aquí tus propios datos.",
        "seed": "la misma semilla da los mismos bits, con cualquier número de hilos",
        "apart": "una quinta parte se aparta para la prueba, que se mira una sola vez",
        "stop": "para cuando la pérdida apartada ya no baja; conserva los mejores pesos",
        "save": "model.pynn, y model.pynn.md, que dice qué es",
        "readme": "`python train.py` entrena y prueba el modelo y escribe `model.pynn`, su ficha y las curvas.\n"
        "`pynn summary model.pynn` muestra lo que contiene; `pynn card model.pynn`, su ficha.\n"
        "Pon tus propios datos en la función `data`.",
    },
}
PROGRAM = '''"""{head}"""

import numpy as np
import pynn
from pynn import nn
from pynn.train import EarlyStopping

SEED = 0  # {seed}


def data(seed=SEED):
    """{data}"""{made}

x, y = data()
test = len(x) // 5  # {apart}
xt, yt, x, y = x[:test], y[:test], x[test:], y[test:]

model = nn.Sequential([
{layers}])
model.compile("adam", "{loss}", ["{metric}"], seed=SEED)

stop = EarlyStopping("val_loss", patience=8)  # {stop}
history = model.fit(x, y, epochs=60, validation_split=0.1, callbacks=[stop])
found = model.evaluate(xt, yt)
print("test", {{name: round(float(value), 4) for name, value in found.items()}})
print("first answer", model.predict(xt[:1])[0].round(3), "truth", yt[0])

# {save}
told = {{"data": pynn.io.fingerprint(x, y, xt, yt), "test {metric}": round(float(found["{metric}"]), 4)}}
model.save("model.pynn", metadata=told, card=True)
try:
    history.plot("history.png")
except ImportError as error:
    print(error)
'''


def run(folder: Path, template: str) -> None:
    """Write a program of a kind into a folder that is not there yet, or is empty.

    Raises
    ------
    DataError
        If the folder holds something.
    OSError
        If it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"[new] expected a folder that is not there yet, or is empty. Received: {str(folder)!r}.")
    folder.mkdir(parents=True, exist_ok=True)
    made, layers, (loss, metric) = TEMPLATES[template]
    words = WORDS[language()]
    program = PROGRAM.format(**words, made=made, layers=layers, loss=loss, metric=metric)
    (folder / "train.py").write_text(program, encoding="utf-8")
    (folder / "README.md").write_text(f"# {folder.resolve().name}\n\n{words['readme']}\n", encoding="utf-8")
    print(f"{folder / 'train.py'}\n{folder / 'README.md'}")
