"""The recipe of the deep Boltzmann machine on few digits: that every stage runs, and what it leaves."""

import numpy as np
import pytest
from digits_as_mnist import digits_as_mnist

import pynn
from pynn import recipes
from pynn.recipes import boltzmann


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return digits_as_mnist(tmp_path_factory.mktemp("data"), 600, 100)


@pytest.mark.filterwarnings("ignore:.*annealed importance sampling:RuntimeWarning")  # of few temperatures
def test_every_stage_runs_and_leaves_what_it_should(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(boltzmann, "UNITS", (20, 16))
    monkeypatch.setattr(boltzmann, "LABELS", (100, 50))
    monkeypatch.setattr(boltzmann, "LABEL_ITERATIONS", 15)
    monkeypatch.setattr(
        boltzmann.Size, "of", lambda options: boltzmann.Size(12, 15, (0.2, 0.1, 0.1), 200, 3, 1, 100, 0.01)
    )
    result = recipes.find("dbm").run(recipes.Options(data=data, out=tmp_path, epochs=3, batch_size=20, threads=1))
    assert result.test["accuracy"] > 0.3  # chance is 0.1
    assert -700 < result.test["bound"] < -100  # of 784 coins it is -543
    assert set(result.details["few_labels"]) == {"pre-trained", "random"}
    assert set(result.details["few_labels"]["random"]) == {"100", "50"}
    log_z = result.details["log_z"]
    assert log_z["low"] is None or log_z["low"] < log_z["value"]
    assert log_z["value"] < log_z["high"]
    told = capsys.readouterr().out
    for word in ("machine 2", "together", "log Z", "labels", "15 epochs with labels", "bound on test images"):
        assert word in told
    for name in ("filters.png", "samples.png", "reconstructions.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    machine, net = pynn.load(tmp_path / "machine.pynn"), pynn.load(tmp_path / "model.pynn")
    (_, _), (xt, yt) = pynn.datasets.mnist(data)
    inputs = machine.augmented(xt.reshape(-1, 784) / np.float32(255))
    assert np.mean(net.predict(inputs).argmax(1) == yt) == pytest.approx(result.test["accuracy"])


def test_the_stages_go_with_the_epochs():
    usual, full = (
        boltzmann.Size.of(recipes.Options(epochs=4)),
        boltzmann.Size.of(recipes.Options(epochs=100, full=True)),
    )
    assert usual == (3, 8, (0.2, 0.2, 0.2), 800, 3, 1, 100, 0.01)
    assert full == (60, 180, (0.2, 0.4, 0.4), 20_000, 10, 5, 500, 0.006)
    recipe = recipes.find("dbm")
    assert recipe.complete(recipes.Options(full=True)).epochs == 150
    assert recipe.complete(recipes.Options(full=True, epochs=7)).epochs == 7
    assert recipe.complete(recipes.Options()).epochs == recipe.epochs
    with pytest.raises(ValueError, match=r"\[xor\] has one size alone.*--full"):
        recipes.find("xor").run(recipes.Options(full=True))
