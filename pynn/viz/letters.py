"""The page of an LSTM that reads letters: its gates over a typed text, and the letters that may follow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pynn import nn, optim
from pynn._version import __version__
from pynn.checks import choice
from pynn.core.card import CARDS
from pynn.core.context import training
from pynn.core.graph import execute
from pynn.core.program import record
from pynn.core.state import no_grad, trial
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.export.as_data import State, as_data
from pynn.export.web import web_data
from pynn.ops import steps
from pynn.viz.playground import LANGUAGES, Playground
from pynn.web import page

__all__ = ["TEXTS", "letters", "windows"]

EMBEDDING, UNITS, RATE = 12, 32, 0.01
LENGTH, STRIDE, BATCH, EPOCHS = 32, 4, 16, 100
LEAST, MOST, MOST_LETTERS, MOST_WINDOWS = 120, 5000, 80, 144
#: What the network reads: Lewis Carroll, Jabberwocky (1871); José de Espronceda, Canción del pirata (1835).
TEXTS = {
    "en": """'twas brillig, and the slithy toves
did gyre and gimble in the wabe:
all mimsy were the borogoves,
and the mome raths outgrabe.

"beware the jabberwock, my son!
the jaws that bite, the claws that catch!
beware the jubjub bird, and shun
the frumious bandersnatch!"

he took his vorpal sword in hand;
long time the manxome foe he sought--
so rested he by the tumtum tree
and stood awhile in thought.

and, as in uffish thought he stood,
the jabberwock, with eyes of flame,
came whiffling through the tulgey wood,
and burbled as it came!
""",
    "es": """con diez cañones por banda,
viento en popa, a toda vela,
no corta el mar, sino vuela
un velero bergantín.
bajel pirata que llaman,
por su bravura, el temido,
en todo mar conocido
del uno al otro confín.

la luna en el mar riela,
en la lona gime el viento,
y alza en blando movimiento
olas de plata y azul;
y va el capitán pirata,
cantando alegre en la popa,
asia a un lado, al otro europa,
y allá a su frente estambul:

navega, velero mío,
sin temor,
que ni enemigo navío,
ni tormenta, ni bonanza
tu rumbo a torcer alcanza,
ni a sujetar tu valor.
""",
}


def _stride(n: int) -> int:
    """Return the letters from one window to the next: few, but an epoch is to fit into a frame of the page."""
    return max(STRIDE, -(-(n - LENGTH) // MOST_WINDOWS))


def windows(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return windows of a text, and the same one letter on: what follows each letter. They fill whole batches.

    Parameters
    ----------
    ids : int32 [n]

    Returns
    -------
    x, y : int32 [windows, LENGTH]
    """
    starts = range(0, len(ids) - LENGTH, _stride(len(ids)))
    starts = starts[: max(1, len(starts) // BATCH) * BATCH]
    return np.stack([ids[i : i + LENGTH] for i in starts]), np.stack([ids[i + 1 : i + 1 + LENGTH] for i in starts])


def _step(model: Any, state: State, programs: dict[str, Any]) -> dict[str, Any]:
    """Record what one letter does: gates, then memory and output, with which the next begins, and what may follow."""
    embedding, lstm, dense = model.layers
    x = Tensor.state(np.zeros((1, 1), np.int32))
    rooms = {"h": (1, UNITS), "c": (1, UNITS), "gates": (1, 1, 4 * UNITS), "next": (1, 1, dense.units)}
    held = {name: Tensor.state(np.zeros(shape, np.float32)) for name, shape in rooms.items()}
    with no_grad(), training(False), trial(), record(x) as recorder:
        inputs = (embedding(x), lstm.w, lstm.u, lstm.b, held["h"], held["c"], None, None, None)
        y, h, c, gates, _ = execute(CARDS["lstm"], inputs)
        found = {"h": h, "c": c, "gates": gates, "next": dense(y)}
        for name, room in held.items():
            steps.assign(found[name], room)
    programs["letter"] = as_data(recorder, ["x"], state)
    return {"seen": [state.described(name, room) for name, room in held.items()]}


def letters(lang: str = "en", text: str | None = None) -> Playground:
    """Return the page of an LSTM that reads letters: gates over a typed text, and the next letters as bars.

    The network is trained here for a second, on a poem or a text of one's own; the page can begin anew and go on.

    Parameters
    ----------
    lang : {"en", "es"}, default "en"
    text : str, optional
        At least 120 letters; of the first 5,000 small letters are made.

    Raises
    ------
    DataError
        If the text is too short or has more than 80 different letters.
    ValueError
        If the language is not known.
    FileNotFoundError
        If this pynn was built without the kernels for pages.

    Returns
    -------
    Playground
    """
    choice("letters", "lang", lang, LANGUAGES)
    read = TEXTS[lang] if text is None else text[:MOST].lower()
    alphabet = sorted(set(read))
    if len(read) < LEAST or len(alphabet) > MOST_LETTERS:
        raise DataError(
            f"[letters] expected at least {LEAST} letters, and at most {MOST_LETTERS} different ones. Received: "
            f"{len(read)}, {len(alphabet)} different ones."
        )
    x, y = windows(np.array([alphabet.index(letter) for letter in read], np.int32))
    model = nn.Sequential(
        [
            nn.Input((LENGTH,)),
            nn.Embedding(len(alphabet), EMBEDDING, seed=1),
            nn.LSTM(UNITS, return_sequences=True, seed=2),
            nn.Dense(len(alphabet), activation="softmax", seed=3),
        ]
    )
    model.compile(optim.Adam(RATE), "sparse_categorical_crossentropy", seed=0)
    fresh = web_data(model, True, batch_size=BATCH, more=_step)["state"]
    history = model.fit(x, y, epochs=EPOCHS, batch_size=BATCH, verbose=0)
    bundle = {
        "version": __version__, "lang": lang, "alphabet": alphabet, "text": read, "length": LENGTH,
        "stride": _stride(len(read)), "windows": len(x), "fresh": fresh,
        "model": web_data(model, True, batch_size=BATCH, more=_step),
        "loss": history.history["loss"][-1], "epochs": EPOCHS, "own": text is not None,
    }  # fmt: skip
    return Playground(page("letters", json.dumps(bundle, ensure_ascii=False, separators=(",", ":"))))
