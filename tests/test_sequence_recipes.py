"""The recurrent recipes: their tasks, what they reach, and what they leave."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import pynn
from pynn import nn, recipes
from pynn.recipes import characters, memory, topologies, unrolled
from pynn.text.generation import generate, load_language_model


def test_binary_addition_is_addition():
    x, y = topologies.binary_addition(50, 16, seed=3)
    a, b, total = (bits.astype(int) @ (1 << np.arange(16)) for bits in (x[..., 0], x[..., 1], y[..., 0]))
    assert (a + b == total).all()
    assert len(set(total)) > 40


def test_running_parity_counts_the_ones():
    x, y = topologies.running_parity(20, 30, seed=3)
    for row, parity in zip(x[..., 0], y[..., 0], strict=True):
        odd = [sum(row[: t + 1] > 0) % 2 for t in range(30)]
        assert (parity == np.where(odd, 1, -1)).all()


def test_symbol_order_has_each_mark_once():
    x, y = topologies.symbol_order(200, 16, seed=3)
    assert (x.sum(axis=2) == 1).all()
    assert (x[..., :2].sum(axis=1) == 1).all()
    first, second = x[..., 0].argmax(axis=1), x[..., 1].argmax(axis=1)
    assert (y == (first < second)).all()
    assert 0.3 < y.mean() < 0.7


def test_the_adding_problem_sums_two_marked_numbers():
    x, y = memory.adding_problem(4000, 100, seed=3)
    assert (x[:, :50, 1].sum(axis=1) == 1).all()
    assert (x[:, 50:, 1].sum(axis=1) == 1).all()
    np.testing.assert_allclose((x[..., 0] * x[..., 1]).sum(axis=1, keepdims=True), y, rtol=1e-6)
    assert abs(np.mean((y - 1) ** 2) - memory.VARIANCE) < 0.01


def test_every_topology_solves_its_task(tmp_path, capsys):
    result = recipes.find("rnn-topologies").run(recipes.Options(threads=1, seed=1, out=tmp_path))
    assert result.test["accuracy"] >= result.expected
    assert set(result.details) == set(unrolled.TOPOLOGIES)
    for name, told in result.details.items():
        assert told["accuracy"] >= result.expected, name
        assert told["tokens_per_second"] > 0
        assert (tmp_path / f"unrolled-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert result.details["output"]["tested_steps"] > 4 * topologies.STEPS
    printed = capsys.readouterr().out
    assert printed.count("tokens/s") == 3
    assert "lowest test accuracy" in printed


@pytest.mark.parametrize(("topology", "columns"), [("hidden", 5), ("output", 9), ("last", 5)])
def test_the_unrolled_graphs(topology, columns):
    figure = unrolled.plot_unrolled(topology)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    hidden = [text for text in texts if text.startswith(r"$\mathbf{h}")]
    outputs = [text for text in texts if text.startswith(r"$\mathbf{o}")]
    assert len(hidden) == columns
    assert len(outputs) == (2 if topology == "last" else columns)
    recurrent = "$v$" if topology == "output" else "$u$"
    assert texts.count(recurrent) == columns - len(figure.axes) + 1  # one less than steps, and that of the loop


def test_an_unknown_topology():
    with pytest.raises(ValueError, match=r"unknown topology\. Received: 'hiden'\. help: did you mean 'hidden'\?"):
        unrolled.plot_unrolled("hiden")


def test_lstm_memory_trains_both_and_draws_their_curves(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(memory, "ITEMS", 200)
    monkeypatch.setattr(memory, "TESTED", 100)
    options = recipes.Options(epochs=2, threads=1, out=tmp_path, json=tmp_path / "result.json")
    result = recipes.find("lstm-memory").run(options)
    told = json.loads((tmp_path / "result.json").read_text())["details"]
    assert told["baseline"] == pytest.approx(1 / 6)
    for name in ("simple_rnn", "lstm"):
        assert len(told[name]["curve"]) == 2
        assert told[name]["tokens_per_second"] > 0
    assert result.test["mse"] == told["lstm"]["mse"]
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "answering 1 always: 0.1667" in printed
    assert "expected 0.01" in printed


def test_an_lstm_remembers_over_a_short_distance_what_a_simple_network_forgets_over_a_long_one():
    errors = {}
    for name, layer, steps in (("LSTM", nn.LSTM(32), 20), ("simple RNN", nn.SimpleRNN(32), 100)):
        model = nn.Sequential([nn.Input((steps, 2)), layer, nn.Dense(1)])
        model.compile(optimizer=pynn.optim.Adam(5e-3, clip_norm=1.0), loss="mse", seed=0)
        model.fit(*memory.adding_problem(3000, steps, seed=0), batch_size=50, epochs=8, verbose=0)
        errors[name] = model.evaluate(*memory.adding_problem(500, steps, seed=1))["loss"]
    assert errors["LSTM"] < 0.03
    assert errors["simple RNN"] > 0.12


# The network that writes


@pytest.fixture
def play(tmp_path):
    """Return a file of some 6,000 characters."""
    rng = np.random.default_rng(0)
    words = ("thou", "art", "more", "lovely", "and", "temperate", "shall", "I", "compare", "thee")
    lines = [" ".join(rng.choice(words, 6)) for _ in range(200)]
    path = tmp_path / "play.txt"
    path.write_text("ROMEO:\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture
def small(monkeypatch):
    for name, value in (("UNITS", 24), ("EMBEDDING", 8), ("STEPS", 16), ("LENGTH", 30), ("RATE", 1e-2)):
        monkeypatch.setattr(characters, name, value)


@pytest.mark.usefixtures("small")
def test_char_rnn_learns_saves_reloads_and_writes(play, tmp_path, capsys):
    out = tmp_path / "out"
    options = recipes.Options(data=play, epochs=3, batch_size=4, threads=1, out=out, json=tmp_path / "result.json")
    result = recipes.find("char-rnn").run(options)
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["details"]["reloaded_writes_the_same"] is True
    assert told["details"]["tokens_per_second"] > 0
    assert set(told["details"]["samples"]) == {"0.0", "0.5", "0.8", "1.0"}
    assert all(len(sample) == 30 for sample in told["details"]["samples"].values())
    printed = capsys.readouterr().out
    assert "--- temperature 0.5 ---\nROMEO:\n" in printed
    assert "saved, reloaded: writes the same" in printed
    assert "validation loss  " in printed
    assert {path.name for path in out.iterdir()} == {"model.pynn", "sample.txt", "history.png", "characters.gif"}
    model, tokenizer = load_language_model(out / "model.pynn")
    assert (out / "sample.txt").read_text() == "ROMEO:\n" + generate(model, tokenizer, "ROMEO:\n", 1000, seed=0)
    assert result.test["nats"] < 2.2  # 28 characters in all: knowing nothing is 3.3

    # the validation loss is that of the network reading each stream of the last tenth from end to end
    _, held = pynn.datasets.split_text(play.read_text(), 0.9)
    ids = tokenizer.encode(held)
    length = (len(ids) - 1) // (4 * 16) * 16
    streams = ids[: 4 * length].reshape(4, length)
    targets = ids[1 : 4 * length + 1].reshape(4, length)
    nn.reset_states(model)
    probabilities = model(streams).numpy().astype(np.float64)
    loss = -np.log(np.take_along_axis(probabilities, targets[..., None], axis=2)).mean()
    assert result.test["nats"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.usefixtures("small")
def test_char_rnn_is_the_same_for_a_seed_and_another_for_another(play):
    def run(seed, threads=1):
        options = recipes.Options(data=play, epochs=1, batch_size=4, threads=threads, seed=seed, quiet=True)
        result = recipes.find("char-rnn").run(options)
        return result.test["nats"], result.details["samples"]

    first = run(0)
    assert run(0, threads=2) == first
    assert run(1)[0] != first[0]


@pytest.mark.usefixtures("small")
def test_char_rnn_goes_on_from_a_checkpoint_as_if_it_had_not_ended(play, tmp_path):
    def run(epochs, checkpoint=None):
        schedule = pynn.schedules.Cosine
        options = recipes.Options(
            data=play, epochs=epochs, batch_size=4, threads=1, checkpoint=checkpoint, quiet=True, out=tmp_path / "out"
        )
        with pytest.MonkeyPatch.context() as patch:  # the same schedule for both numbers of epochs
            patch.setattr(pynn.schedules, "Cosine", lambda rate, steps: schedule(rate, steps=100))
            result = recipes.find("char-rnn").run(options)
        return result.test["nats"], (tmp_path / "out" / "sample.txt").read_text()

    whole = run(3)
    run(1, tmp_path / "kept")
    assert run(3, tmp_path / "kept") == whole


@pytest.mark.usefixtures("small")
def test_char_rnn_begins_with_the_text_itself_where_there_is_no_romeo(tmp_path, capsys):
    (tmp_path / "other.txt").write_text("down the river, up the hill, " * 40)
    options = recipes.Options(data=tmp_path / "other.txt", epochs=1, batch_size=4, threads=1)
    recipes.find("char-rnn").run(options)
    assert "--- temperature 0.8 ---\ndown th" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_char_rnn_refuses_a_text_that_is_too_short(tmp_path):
    (tmp_path / "short.txt").write_text("To be, or not to be: that is the question. " * 9)
    with pytest.raises(ValueError, match=r"\[bptt_windows\] expected at least \d+ tokens"):
        recipes.find("char-rnn").run(recipes.Options(data=tmp_path / "short.txt", quiet=True))


def test_char_rnn_warns_of_nothing_in_its_own_number_of_epochs(play, monkeypatch):
    for name, value in (("UNITS", 4), ("EMBEDDING", 4), ("STEPS", 8), ("LENGTH", 3)):
        monkeypatch.setattr(characters, name, value)
    recipe = recipes.find("char-rnn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = recipe.run(recipes.Options(data=play, batch_size=4, threads=1, quiet=True))
    assert result.epochs == recipe.epochs
