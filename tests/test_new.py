"""``pynn new`` writes programs that run; cards of models tell what they hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import pynn
from pynn import language as words
from pynn import nn
from pynn.cli import main
from pynn.commands.new import TEMPLATES


@pytest.fixture(autouse=True)
def _english():
    before = words.language()
    yield
    words.language(before)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_new_program_runs_as_it_stands(template, tmp_path, capsys):
    folder = tmp_path / "first"
    assert main(["new", str(folder), "--template", template, "--lang", "es" if template == "regress" else "en"]) == 0
    assert "train.py" in capsys.readouterr().out
    text = (folder / "train.py").read_text(encoding="utf-8")
    assert ("Aprende de datos" in text) == (template == "regress")
    assert len(text.splitlines()) < 60
    assert max(map(len, text.splitlines())) <= 120
    short = text if template == "regress" else text.replace("epochs=60", "epochs=12")
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYNN_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", short], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    measure = "mae" if template == "regress" else "accuracy"
    value = float(re.search(rf"'{measure}': ([\d.]+)", done.stdout)[1])
    assert value < 0.35 if template == "regress" else value > 0.75
    card = (folder / "model.pynn.md").read_text(encoding="utf-8")
    assert card.startswith("# model.pynn\n")
    assert f"| test {measure} | {value:.4g}" in card


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["new", str(tmp_path)]) != 0
    assert "not there yet, or is empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_card_tells_what_the_file_holds(tmp_path, capsys):
    x, y = np.random.default_rng(0).random((20, 4), "float32"), np.arange(20) % 3
    model = nn.Sequential([nn.Input((4,)), nn.Dense(8, "relu"), nn.Dense(3, "softmax")])
    model.compile("adam", "cross_entropy", seed=7)
    model.fit(x, y, epochs=2, batch_size=5, verbose=0)
    path = tmp_path / "model.pynn"
    model.save(path, card=True, metadata={"data": pynn.io.fingerprint(x, y), "classes": ["a", "b"]})
    card = (tmp_path / "model.pynn.md").read_text(encoding="utf-8")
    digest = pynn.io.fingerprint(*model.get_weights())
    for part in (digest, pynn.io.fingerprint(x, y), '["a", "b"]', "| seed | 7 |", "| updates | 8 |", "dense_1 (Dense)"):
        assert part in card, part
    assert main(["card", str(path)]) == 0
    printed = capsys.readouterr().out
    assert digest in printed
    assert "| machine |" not in printed
    assert main(["card", str(path), "--out", str(tmp_path / "card.md")]) == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == printed


def test_a_fingerprint_is_of_kind_shape_and_numbers():
    one = np.arange(6.0)
    assert pynn.io.fingerprint(one) == pynn.io.fingerprint(one.copy())
    others = [one.reshape(2, 3), one.astype("float32"), one + 1]
    assert len({pynn.io.fingerprint(a) for a in [one, *others]}) == 4
