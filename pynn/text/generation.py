"""Text out of a language model, one token after another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from pynn._blocks import Leaving, context
from pynn.checks import integer, is_number, of_kind, positive
from pynn.core.context import training
from pynn.core.program import plan, record
from pynn.core.state import no_grad
from pynn.core.status import failure
from pynn.core.tensor import Tensor
from pynn.errors import DataError
from pynn.keywords import spelled
from pynn.nn.module import Module
from pynn.nn.rnn import _Recurrent, reset_states
from pynn.ops.shape import reshape
from pynn.ops.steps import assign
from pynn.text.tokenizer import SPECIALS, Tokenizer

__all__ = ["generate", "load_language_model"]

PLACE = "generate"
PROBE = 8  # tokens on which a model must say the same step by step as all at once
AGREEMENT = 1e-3


@spelled
def generate(
    model: Module,
    tokenizer: Tokenizer,
    prompt: str = "",
    length: int = 200,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> str:
    """Return the text with which a language model goes on after a prompt: each token is drawn from softmax(z / T).

    z are the model's logits for the next token (or the logarithms of its probabilities) and T is the temperature: the
    lower, the more the likely tokens are preferred. The model reads one token at a time and recurrent layers keep
    their states in between, so that a step costs the same however long the text is. Those states, and what stateful
    layers had kept before, are put back at the end.

    Parameters
    ----------
    model : Module
        Token ids [N, T] to scores [N, T, tokens] or, of the last step alone, [N, tokens]; logits or probabilities.
    tokenizer : Tokenizer
        Of as many tokens as the model has scores.
    prompt : str, default ""
        What the text begins with; it is not part of the result. An empty one stands for the start of a line, or the
        start token if the tokenizer has it.
    length : int, default 200
        Tokens to generate.
    temperature : float, default 1.0
        0 is greedy: always the likeliest token.
    seed : int, default 0
        The same seed gives the same text.

    Returns
    -------
    str
        `length` tokens: never padding, start or unknown.

    Raises
    ------
    DataError
        If the prompt has a character or word that the tokenizer does not know (it is named, unless the tokenizer reads
        such as unknown), if the prompt is empty and nothing stands for the start, or if the model is no language model
        for these tokens.
    ValueError
        If length, temperature or seed is out of range.

    References
    ----------
    A. Graves, "Generating sequences with recurrent neural networks", 2013.

    Examples
    --------
    >>> from pynn import nn
    >>> tokenizer = Tokenizer("char").fit("hello")
    >>> model = nn.Sequential([nn.Embedding(4, 4), nn.LSTM(8, return_sequences=True), nn.Dense(4)])
    >>> model.assign_seeds(0)
    >>> text = generate(model, tokenizer, "he", 20)
    >>> len(text), text == generate(model, tokenizer, "he", 20)
    (20, True)
    """
    length = positive(PLACE, "length", length)
    temperature = _checked_temperature(temperature)
    seed = integer(PLACE, "seed", seed)
    ids = _start(tokenizer, prompt)
    rng, specials = np.random.default_rng(seed), len(SPECIALS) if tokenizer.specials else 0
    out = np.empty(length, np.int32)
    with _step_by_step(model):
        probabilities = _check_model(model, len(tokenizer), specials)
        step = _Step(model, len(tokenizer))
        for token in ids[:-1]:
            step(token)
        last = int(ids[-1])
        for i in range(length):
            last = out[i] = _draw(step(last), temperature, rng, probabilities, specials)
    return tokenizer.decode(out)


def load_language_model(path: str | os.PathLike[str]) -> tuple[Any, Tokenizer]:
    """Return the model and the tokenizer of a file written with ``metadata={"tokenizer": tokenizer.to_config()}``.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    DataError
        If it is no model file, is damaged, or was saved without a tokenizer.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pynn import nn
    >>> tokenizer = Tokenizer("char").fit("hello")
    >>> model = nn.Sequential([nn.Embedding(4, 4), nn.LSTM(8, return_sequences=True), nn.Dense(4)])
    >>> model.build((1, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.pynn", metadata={"tokenizer": tokenizer.to_config()})
    ...     model, tokenizer = load_language_model(f"{folder}/model.pynn")
    >>> tokenizer.vocabulary
    ('l', 'e', 'h', 'o')
    """
    from pynn.io.model_file import read_metadata
    from pynn.models import load

    config = read_metadata(path).get("tokenizer")
    if config is None:
        raise DataError(
            f"[{PLACE}] expected a language model with its tokenizer. Received: {os.fspath(path)!r}, a model without "
            'one. help: model.save(path, metadata={"tokenizer": tokenizer.to_config()}).'
        )
    try:
        tokenizer = Tokenizer.from_config(config)
    except DataError as error:
        raise DataError(f"{error} File: {os.fspath(path)!r}.") from error
    return load(path), tokenizer


# What is asked for


def _checked_temperature(temperature: Any) -> float:
    if not is_number(temperature) or temperature < 0:
        raise ValueError(
            f"[{PLACE}] expected a temperature of 0 or more. Received: {temperature!r}. help: 0 always takes the "
            "likeliest token, 1 draws as the model says."
        )
    return float(temperature)


def _start(tokenizer: Tokenizer, prompt: str) -> np.ndarray:
    """Return the ids of the prompt, at least one."""
    ids = of_kind("generate", "tokenizer", tokenizer, "a Tokenizer", "encode").encode(prompt)
    if len(ids):
        return ids
    if tokenizer.level == "char" and "\n" in tokenizer.vocabulary:
        return tokenizer.encode("\n")
    raise DataError(f"[{PLACE}] expected a prompt of one {tokenizer.level} or more. Received: {prompt!r}.")


# The model, step by step


@context
def _step_by_step(model: Module) -> Iterator[None]:
    """Let recurrent layers keep their states from call to call, from zeros on, inside a ``with`` block."""
    layers = [module for module in model.modules() if isinstance(module, _Recurrent)]
    before = [
        (object.__setattr__, layer, name, getattr(layer, name)) for layer in layers for name in ("stateful", "_kept")
    ]
    with Leaving(*before):
        for layer in layers:
            object.__setattr__(layer, "_kept", None)  # those of before wait untouched
            layer.stateful = True
        yield


def _check_model(model: Module, tokens: int, specials: int) -> bool:
    """Raise unless the model scores the tokens in order; return whether it puts out probabilities."""
    if not model.takes_integers:
        raise DataError(
            f"[{PLACE}] expected a language model: token ids in, scores of the next token out. "
            f"Received: {model.name!r}, which takes no token ids."
        )
    ids = specials + np.arange(PROBE, dtype=np.int32)[None] % (tokens - specials)
    whole = _forward(model, ids)
    reset_states(model)
    if whole.shape not in ((1, tokens), (1, PROBE, tokens)):
        raise DataError(
            f"[{PLACE}] expected scores for {tokens} tokens, as many as the tokenizer has: an output of shape "
            f"{(1, PROBE, tokens)}. Received: {whole.shape}."
        )
    if not np.isfinite(whole).all():
        raise DataError(f"[{PLACE}] expected finite scores. Received: NaN or infinity from {model.name!r}.")
    steps = [_forward(model, ids[:, t : t + 1]).reshape(-1, tokens)[-1] for t in range(PROBE)]
    reset_states(model)
    last = whole.reshape(-1, tokens)
    if not np.allclose(last, np.array(steps)[-len(last) :], rtol=AGREEMENT, atol=AGREEMENT):
        raise DataError(
            f"[{PLACE}] expected a model that reads from left to right, so that it can run token by token. "
            f"Received: {model.name!r}, whose scores depend on later tokens, or on earlier ones by other means than "
            "recurrent layers."
        )
    return bool(last.min() >= 0 and np.allclose(last.sum(axis=1), 1, atol=AGREEMENT))


def _forward(model: Module, ids: np.ndarray) -> np.ndarray:
    with no_grad(), training(False):
        out = model(ids)
    if not isinstance(out, Tensor):
        raise DataError(f"[{PLACE}] expected a model with one output. Received: {type(out).__name__}.")
    return out.numpy()


class _Step:
    """One token through the model: recorded at the first, then a native call each."""

    def __init__(self, model: Module, tokens: int):
        self.model = model
        self.token = Tensor.state(np.zeros((1, 1), np.int32))
        self.scores = Tensor.state(np.zeros((1, tokens), model.dtype))
        self.program: Any = None
        self.run: Any = None

    def __call__(self, token: int) -> np.ndarray:
        """Return the scores of the next token, float64 [tokens]."""
        self.token.view()[:] = token
        if self.program is None:
            with record() as recorder, no_grad(), training(False):
                assign(reshape(self.model(self.token), self.scores.shape), self.scores)
            self.program = plan(recorder)  # not the trainer's: what is recorded here ends with the text
            self.run = self.program.start()
        else:
            _, status = self.run.run()
            if status:
                raise failure(status, self.program.instrs[self.run.failed_at])
        return self.scores.view()[0].astype(np.float64)


def _draw(scores: np.ndarray, temperature: float, rng: np.random.Generator, probabilities: bool, specials: int) -> int:
    """Return a token drawn from softmax(scores / temperature)."""
    if probabilities:
        with np.errstate(divide="ignore"):
            scores = np.log(scores)
    scores[:specials] = -np.inf
    if temperature == 0:
        return int(scores.argmax())
    with np.errstate(over="ignore"):  # of a tiny temperature
        weights = np.exp((scores - scores.max()) / temperature)
    edges = weights.cumsum()
    return int(edges.searchsorted(rng.random() * edges[-1], side="right"))
