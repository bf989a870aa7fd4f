"""csrc/cuda/check.py, as far as it goes without a GPU: through the driver of tests."""

import re
import runpy
import sys
import time

import cuda_shim
import numpy as np
import pytest
from digits_as_mnist import digits_as_mnist

import pynn
from pynn import recipes
from pynn.recipes import characters


@pytest.fixture
def check(direct):
    return runpy.run_path(str(cuda_shim.CSRC / "cuda" / "check.py"))


def test_it_finds_no_difference(fake, check, capsys):
    assert check["main"](["--quick"]) is False
    said = capsys.readouterr().out
    assert "CUDA: Fake GPU" in said
    assert " 0 differ" in said
    assert "training of dense: equal" in said


def test_it_compares_the_kernels_of_what_it_is_told(fake, check, capsys):
    ops = ["simple_rnn", "locally_connected2d", "jordan_rnn", "blur", "norm_part", "norm_shared_dx", "join_rows"]
    ops += ["dense_joined", "dynamic_bytes", "static_bytes", "byte_conv", "byte_lstm", "word2vec_block"]
    assert check["main"](["--ops", *ops]) is False
    said = capsys.readouterr().out
    assert re.search(r"kernels: [0-9]{3} runs of 1[4-9], 0 differ", said)
    assert "without a device version, in full or for some sizes: word2vec_block" in said


def test_a_difference_fails(fake, check, capsys, monkeypatch):
    same = check["_same"]
    monkeypatch.setitem(check["kernels"].__globals__, "_same", lambda t, array: same(t, array + 1))
    assert check["main"](["--ops", "relu"]) is True
    assert "! relu_fwd" in capsys.readouterr().out


def small_mnist(folder):
    digits_as_mnist(folder, 48, 20)
    return {"data": folder, "batch_size": 16}


def small_play(folder):
    words = np.random.default_rng(0).choice(("thou", "art", "more", "lovely"), 500)
    (folder / "play.txt").write_text(" ".join(words))
    return {"data": folder / "play.txt", "batch_size": 2}


@pytest.mark.parametrize(("name", "data"), [("mnist-cnn", small_mnist), ("char-rnn", small_play)])
def test_recipes_reach_the_figures_of_the_cpu(fake, check, monkeypatch, tmp_path, capsys, name, data):
    for setting, value in (("UNITS", 6), ("EMBEDDING", 4), ("STEPS", 16), ("LENGTH", 5)):
        monkeypatch.setattr(characters, setting, value)
    options = {**data(tmp_path), "epochs": 1}
    pynn.set_device("cpu")
    recipe = recipes.find(name)
    expected = recipe.measure.text(recipe.run(recipes.Options(quiet=True, **options)).test[recipe.measure.key])
    assert not check["figure"](name, **options)
    said = capsys.readouterr().out
    assert f"{name}: {expected}, expected {recipe.measure.text(recipe.expected)}: NOT REACHED" in said
    assert fake.count("cuGraphLaunch")


def test_what_takes_too_long_is_told(check, monkeypatch, capsys):
    run = check["started"]
    assert run([sys.executable, "-c", "raise SystemExit(3)"], 60) == 3
    assert run(["no-such-program"], 60) is None
    assert run([sys.executable, "-c", ""], 9) is None
    asked = []
    answers = {"memcheck": None, "racecheck": 1, "mnist-cnn": 0, "char-rnn": None, "bench.peers": 0}

    def started(command, seconds):
        asked.append((command, seconds))
        return answers[next(name for name in answers if name in command)]

    monkeypatch.setitem(check["others"].__globals__, "started", started)
    failed, left = check["others"](time.monotonic() + 480, 8)
    assert (failed, left) == (["racecheck"], ["memcheck", "char-rnn"])
    assert all(seconds <= 480 for _, seconds in asked)
    assert asked[0][1] == pytest.approx(72)
    assert {"lstm", "conv2d"} < set(asked[0][0]) & set(pynn.testing.all_ops())
