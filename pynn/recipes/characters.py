"""A network that writes: characters of Shakespeare's plays, one after another."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import pynn
from pynn import nn, text, viz
from pynn.files import write_whole
from pynn.recipes import report
from pynn.recipes.pace import fit_sequences
from pynn.recipes.registry import Measure, Options, Recipe, Result, recipe
from pynn.recipes.runner import conclude
from pynn.text.generation import generate, load_language_model
from pynn.train import Callback
from pynn.viz.moving import Steady

__all__ = ["build", "char_rnn"]

EMBEDDING, UNITS, STEPS = 64, 256, 64
DROPOUT = 0.25
RATE = 2e-3
PROMPT, LENGTH = "ROMEO:\n", 400
TEMPERATURES = (0.0, 0.5, 0.8, 1.0)


class _Validate(Callback):
    """Read the validation part after each epoch, from states of zero, and leave such to the next epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int):
        super().__init__()
        self.x, self.y, self.batch_size = x, y, batch_size

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        nn.reset_states(self.model)
        logs["val_loss"] = self.model.evaluate(self.x, self.y, batch_size=self.batch_size)["loss"]
        nn.reset_states(self.model)  # here and not when an epoch begins: a resumed one begins in the states it had


def build(tokens: int) -> nn.Sequential:
    """Return the network: an embedding, two LSTM that keep their states from window to window, scores of all tokens."""
    return nn.Sequential(
        [
            nn.Embedding(tokens, EMBEDDING),
            nn.LSTM(UNITS, return_sequences=True, stateful=True),
            nn.Dropout(DROPOUT),
            nn.LSTM(UNITS, return_sequences=True, stateful=True),
            nn.Dropout(DROPOUT),
            nn.Dense(tokens, activation="softmax"),
        ]
    )


@recipe(
    "char-rnn",
    shows="a network that writes: two LSTM learn Shakespeare's plays character by character",
    data="Tiny Shakespeare (1.1 MB: --data, PYNN_DATA, or a download)",
    expected=1.50,
    epochs=10,
    batch_size=32,
    measure=Measure("nats", "validation loss", "nats", higher=False),
)
def char_rnn(recipe: Recipe, options: Options) -> Result:
    """Learn the first 90 % of the text, measure the loss on the rest, write, save, reload, and write the same again.

    The text runs through in 32 parallel streams, in windows of 64 characters: states go on from window to window,
    gradients end at their borders. The validation part is read in the same way, from states of zero.
    """
    batch_size = options.batch_size or recipe.batch_size
    learnt, held = pynn.datasets.split_text(
        pynn.datasets.tiny_shakespeare(options.data, progress=not options.quiet), 0.9
    )
    tokenizer = text.Tokenizer("char").fit(learnt + held)  # the alphabet alone: a new letter would have no loss
    x, y = text.bptt_windows(tokenizer.encode(learnt), batch_size, STEPS)
    xv, yv = text.bptt_windows(tokenizer.encode(held), batch_size, STEPS)
    epochs = options.epochs or recipe.epochs
    schedule = pynn.schedules.Cosine(RATE, steps=epochs * (len(x) // batch_size))
    model = build(len(tokenizer))
    model.compile(optimizer=pynn.optim.Adam(schedule, clip_norm=1.0), loss="cross_entropy", seed=options.seed)
    model.build((batch_size, STEPS))
    if not options.quiet:
        model.summary(input_shape=(STEPS,))
        print(f"\n{x.size:,} characters to learn from, {xv.size:,} to validate on")
    validation = _Validate(xv, yv, batch_size)
    frames, film = report.moving(options, "characters.gif", _map_of(tokenizer.vocabulary))
    history, seconds, speed = fit_sequences(
        options, model, x, y, tokens=x.size, shuffle=False, callbacks=[validation, *frames]
    )
    prompt = PROMPT if set(PROMPT) <= set(tokenizer.vocabulary) else learnt[: len(PROMPT)]
    samples = {value: generate(model, tokenizer, prompt, LENGTH, temperature=value) for value in TEMPERATURES}
    if not options.quiet:
        for value, sample in samples.items():
            print(f"\n--- temperature {value} ---\n{prompt}{sample}")
    details = {
        "tokens_per_second": speed,
        **_saved(model, tokenizer, prompt, options),
        "samples": {str(value): sample for value, sample in samples.items()},
    }
    if not options.quiet:
        print(f"\n{speed:,} characters learnt per second, {details['generated_per_second']:,} written per second")
    result = conclude(
        recipe,
        options,
        {"nats": history.history["val_loss"][-1]},
        epochs=len(history.epoch),
        seconds=seconds,
        parameters=model.count_parameters(),
        details=details,
    )
    report.write_pictures(options, {"history.png": lambda path: viz.plot_history(history, path), **film})
    if history.interrupted:
        raise KeyboardInterrupt
    return result


def _map_of(vocabulary: Sequence[str]) -> Callable[[Any], Any]:
    """Return a drawing of the characters by their vectors, those of the network's embedding."""
    rows = [i for i, token in enumerate(vocabulary) if len(token) == 1 and not token.isspace()]
    tokens = [vocabulary[i] for i in rows]
    kinds = [_kind(token) for token in tokens]
    steady = Steady()

    def draw(model: Any) -> Any:
        points = steady(model.layers[0].w.numpy()[rows])
        return viz.plot_embedding(points, kinds, words=tokens, title="characters by their vectors")

    return draw


def _kind(token: str) -> str:
    if token.isalpha():
        return "capital" if token.isupper() else "vowel" if token in "aeiou" else "consonant"
    return "mark"


def _saved(model: nn.Sequential, tokenizer: text.Tokenizer, prompt: str, options: Options) -> dict[str, Any]:
    """Write the model into ``--out``, else for a moment, and compare what it writes before and after reloading."""
    metadata = {"tokenizer": tokenizer.to_config()}
    with tempfile.TemporaryDirectory() as folder:
        path = (options.out or Path(folder)) / "model.pynn"
        model.save(path, metadata=metadata)
        again = load_language_model(path)
    start = time.perf_counter()
    before = generate(model, tokenizer, prompt, 1000, seed=options.seed)
    seconds = time.perf_counter() - start
    same = generate(*again, prompt, 1000, seed=options.seed) == before
    if not options.quiet:
        print(f"\nsaved, reloaded: {'writes the same' if same else 'WRITES SOMETHING ELSE'}")
    if options.out is not None:
        write_whole(options.out / "sample.txt", (prompt + before).encode())
        if not options.quiet:
            print(f"wrote to {options.out}: model.pynn, sample.txt")
    return {"reloaded_writes_the_same": same, "generated_per_second": round(1000 / seconds)}
