"""Text out of language models: what is drawn, what is kept, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import DataError
from pynn.text import Tokenizer, bptt_windows
from pynn.text.generation import generate, load_language_model

TEXT = "the cat sat on the mat,\nand the dog sat on the log.\n"
ROOT = Path(pynn.__file__).parents[1]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer("char").fit(TEXT)


def language_model(tokens, *layers, activation=None, seed=0):
    layers = layers or (nn.LSTM(12, return_sequences=True), nn.LSTM(12, return_sequences=True))
    model = nn.Sequential([nn.Embedding(tokens, 6), *layers, nn.Dense(tokens, activation=activation)])
    model.assign_seeds(seed)
    model.build((1, 4))
    for _, weight in model.named_parameters():  # scores that differ enough for the text not to be noise
        weight.view()[...] *= 3
    return model


def test_a_seed_gives_the_same_text_and_another_seed_another(tokenizer):
    model = language_model(len(tokenizer))
    first = generate(model, tokenizer, "the ", 80, seed=3)
    assert len(first) == 80
    assert generate(model, tokenizer, "the ", 80, seed=3) == first
    assert generate(model, tokenizer, "the ", 80, seed=4) != first
    assert generate(model, tokenizer, "the ", 20, seed=3) == first[:20]
    pynn.set_num_threads(2)
    assert generate(model, tokenizer, "the ", 80, seed=3) == first


@pytest.mark.parametrize(
    "layers",
    [
        lambda: (nn.LSTM(12, return_sequences=True), nn.LSTM(12, return_sequences=True)),
        lambda: (nn.LSTM(12, return_sequences=True, peephole=True, stateful=True), nn.Dropout(0.5)),
        lambda: (nn.GRU(12, return_sequences=True), nn.GRU(12, return_sequences=True, reset_after=False)),
        lambda: (nn.SimpleRNN(12, return_sequences=True), nn.LSTM(12)),
    ],
)
def test_step_by_step_is_greedy_on_the_whole_text(tokenizer, layers):
    model = language_model(len(tokenizer), *layers())
    got = generate(model, tokenizer, "the dog", 40, temperature=0)
    ids = list(tokenizer.encode("the dog"))
    for _ in range(40):  # all that was written so far, from the start, at every step
        nn.reset_states(model)
        scores = model(np.array([ids], np.int32)).numpy().reshape(-1, len(tokenizer))[-1]
        ids.append(int(scores.argmax()))
    assert tokenizer.decode(ids[7:]) == got
    assert generate(model, tokenizer, "the dog", 40, temperature=0, seed=9) == got
    assert generate(model, tokenizer, "the dog", 40, temperature=1e-300) == got


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_the_softmax_says(temperature):
    tokenizer = Tokenizer("char").fit("aaaabbbccd")
    z = np.array([1.0, 0.2, -0.5, -2.0])
    model = nn.Sequential([nn.Embedding(4, 2), nn.Dense(4)])
    model.build((1, 1))
    model.set_weights([np.zeros((4, 2)), np.zeros((2, 4)), z])
    drawn = tokenizer.encode(generate(model, tokenizer, "a", 6000, temperature=temperature, seed=1))
    expected = np.exp(z / temperature) / np.exp(z / temperature).sum()
    share = np.bincount(drawn, minlength=4) / 6000
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / 6000)


def test_probabilities_and_logits_of_the_same_model_write_the_same(tokenizer):
    logits = language_model(len(tokenizer))
    probabilities = language_model(len(tokenizer), activation="softmax")
    probabilities.set_weights(logits.get_weights())
    texts = {generate(model, tokenizer, "a", 60, temperature=0.7, seed=2) for model in (logits, probabilities)}
    assert len(texts) == 1


def test_training_goes_on_as_if_nothing_had_been_written(tokenizer):
    x, y = bptt_windows(tokenizer.encode(TEXT * 4), batch_size=3, steps=5)
    trained = []
    for writes in (False, True):
        layers = nn.LSTM(8, return_sequences=True, stateful=True), nn.LSTM(8, return_sequences=True)
        model = language_model(len(tokenizer), *layers)
        model.compile(optimizer="adam", loss="cross_entropy", seed=1)
        if writes:
            for text in ("", "the cat"):
                generate(model, tokenizer, text, 5)
        model.fit(x, y, batch_size=3, shuffle=False, verbose=0)
        if writes:
            generate(model, tokenizer, "the", 5)
            with pytest.raises(DataError, match="vocabulary"):
                generate(model, tokenizer, "#", 5)
        model.fit(x, y, batch_size=3, shuffle=False, verbose=0)
        assert [layer.stateful for layer in layers] == [True, False]
        trained.append(model.get_weights())
    for a, b in zip(*trained, strict=True):
        assert (a == b).all()


def test_a_model_that_fails_keeps_its_settings_and_states(tokenizer):
    layer = nn.LSTM(8, return_sequences=True, stateful=True)
    model = language_model(len(tokenizer) + 1, layer)
    model(np.zeros((2, 3), np.int32))
    kept = [t.numpy() for t in layer._kept]
    with pytest.raises(DataError, match=f"scores for {len(tokenizer)} tokens"):
        generate(model, tokenizer, "a", 5)
    assert layer.stateful
    assert all((a == t.view()).all() and a.any() for a, t in zip(kept, layer._kept, strict=True))


def test_the_start_of_an_empty_prompt(tokenizer):
    model = language_model(len(tokenizer))
    assert generate(model, tokenizer, "", 30) == generate(model, tokenizer, "\n", 30)
    lineless = Tokenizer("char").fit("abc")
    with pytest.raises(DataError, match=r"\[generate\] expected a prompt of one char or more. Received: ''"):
        generate(language_model(3), lineless, "", 5)
    begun = Tokenizer("char", specials=True, start=True).fit("abc")
    assert len(generate(language_model(len(begun)), begun, "", 5)) == 5


def test_words_are_written_without_special_tokens():
    tokenizer = Tokenizer().fit([TEXT])
    model = language_model(len(tokenizer))
    written = generate(model, tokenizer, "the unicorn sat", 300, temperature=5.0, seed=1)
    assert len(written.split(" ")) == 300
    assert set(written.split(" ")) <= set(tokenizer.vocabulary[4:])


def test_an_embedding_that_masks_padding():
    tokenizer = Tokenizer().fit([TEXT])
    layers = nn.Embedding(len(tokenizer), 6, mask_zero=True), nn.LSTM(8, return_sequences=True)
    model = nn.Sequential([*layers, nn.Dense(len(tokenizer))])
    model.assign_seeds(0)
    plain = nn.Sequential(
        [nn.Embedding(len(tokenizer), 6), nn.LSTM(8, return_sequences=True), nn.Dense(len(tokenizer))]
    )
    for m in (model, plain):
        m.build((1, 4))
    plain.set_weights(model.get_weights())
    assert generate(model, tokenizer, "the cat", 30) == generate(plain, tokenizer, "the cat", 30)


def test_weights_that_are_not_finite(tokenizer):
    model = language_model(len(tokenizer))
    model.parameters()[-1].view()[3] = np.nan
    with pytest.raises(DataError, match="expected finite scores"):
        generate(model, tokenizer, "the", 5)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prompt": "the caté"}, DataError, "'é' at position 7"),
        ({"prompt": 3}, TypeError, "expected a text|expected .* string"),
        ({"length": 0}, ValueError, r"\[generate\] expected length to be a positive integer. Received: length=0"),
        ({"length": 2.5}, ValueError, "Received: length=2.5"),
        ({"temperature": -0.1}, ValueError, "temperature of 0 or more. Received: -0.1. help: 0 always"),
        ({"temperature": float("nan")}, ValueError, "Received: nan"),
        ({"temperature": float("inf")}, ValueError, "Received: inf"),
        ({"temperature": "hot"}, ValueError, "Received: 'hot'"),
        ({"seed": -1}, ValueError, "seed to be an integer of at least 0. Received: seed=-1"),
    ],
)
def test_bad_wishes(tokenizer, arguments, error, message):
    settings = {"prompt": "the", "length": 5, **arguments}
    with pytest.raises(error, match=message):
        generate(language_model(len(tokenizer)), tokenizer, **settings)


def test_models_that_are_no_language_models(tokenizer):
    n = len(tokenizer)
    for layer in (
        nn.Bidirectional(nn.LSTM(8, return_sequences=True)),
        nn.LSTM(8, return_sequences=True, go_backwards=True),
        nn.JordanRNN(8, 8),
    ):
        with pytest.raises(DataError, match="reads from left to right"):
            generate(language_model(n, layer), tokenizer, "the", 5)
    pixels = nn.Sequential([nn.Input((4,)), nn.Dense(n)])
    with pytest.raises(DataError, match="takes no token ids"):
        generate(pixels, tokenizer, "the", 5)
    several = nn.Sequential([nn.Embedding(n, 4), nn.LSTM(n, return_sequences=True, return_state=True)])
    with pytest.raises(DataError, match=r"expected a model with one output\. Received: tuple"):
        generate(several, tokenizer, "the", 5)


# Files and the command


@pytest.fixture
def saved(tokenizer, tmp_path):
    model = language_model(len(tokenizer))
    model.save(tmp_path / "model.pynn", metadata={"tokenizer": tokenizer.to_config()})
    return model, tmp_path / "model.pynn"


def test_a_reloaded_model_writes_the_same(saved, tokenizer):
    model, path = saved
    again, its_tokenizer = load_language_model(path)
    assert its_tokenizer.vocabulary == tokenizer.vocabulary
    for temperature in (0, 0.8):
        written = {generate(m, its_tokenizer, "the", 50, temperature=temperature, seed=5) for m in (model, again)}
        assert len(written) == 1


def test_files_that_hold_no_language_model(saved, tmp_path):
    model, _ = saved
    model.save(tmp_path / "bare.pynn")
    with pytest.raises(DataError, match=r"bare.pynn', a model without one. help: model.save\(path, metadata="):
        load_language_model(tmp_path / "bare.pynn")
    for config in ({}, [1], "abc", {"format": "pynn.tokenizer", "version": 1}):
        model.save(tmp_path / "bad.pynn", metadata={"tokenizer": config})
        with pytest.raises(DataError, match=r"\[tokenizer\] expected .*bad.pynn"):
            load_language_model(tmp_path / "bad.pynn")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"notes.txt"):
        load_language_model(tmp_path / "notes.txt")
    with pytest.raises(OSError, match="nowhere"):
        load_language_model(tmp_path / "nowhere")


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pynn", "generate", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_writes_what_the_function_does(saved, tokenizer):
    model, path = saved
    done = command(path, "--prompt", "the cat", "--length", 40, "--temperature", 0.5, "--seed", 7)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"the cat{generate(model, tokenizer, 'the cat', 40, temperature=0.5, seed=7)}\n"
    greedy = command(path, "--length", 20, "--temperature", 0)
    assert greedy.stdout == f"{generate(model, tokenizer, '', 20, temperature=0)}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "the caté"], "'é' at position 7"),
        (["--length", "0"], "--length: expected an integer of 1 or more. Received: '0'."),
        (["--temperature", "-1"], "--temperature: expected a number of 0 or more. Received: '-1'."),
        (["--temperature", "nan"], "Received: 'nan'."),
        (["--temperature", "warm"], "Received: 'warm'."),
        (["--seed", "-1"], "--seed: expected an integer of 0 or more."),
    ],
)
def test_bad_usage_is_one_message_and_status_2(saved, arguments, message):
    done = command(saved[1], *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert not done.stdout


def test_a_file_that_is_no_model_is_refused_by_the_command(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    for path in (tmp_path / "notes.txt", tmp_path / "nowhere"):
        done = command(path)
        assert done.returncode == 2
        assert done.stderr.startswith("pynn: error: ")
        assert len(done.stderr.splitlines()) == 1
