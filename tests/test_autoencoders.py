"""The autoencoder recipes: what they learn on a few digits, what they compare with, and what they leave."""

import numpy as np
import pytest
from digits_as_mnist import digits_as_mnist
from PIL import Image

import pynn
from pynn import recipes, viz
from pynn.recipes import autoencoders, pretraining


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return digits_as_mnist(tmp_path_factory.mktemp("data"), 1000, 250)


def options(data, out, epochs, **more):
    return recipes.Options(data=data, out=out, epochs=epochs, threads=1, **more)


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_principal_components_are_the_best_linear_autoencoder(rng):
    x = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 12)) + 5).astype("float32")
    assert autoencoders.principal_error(x, x, 3) == pytest.approx(0, abs=1e-6)
    _, values, _ = np.linalg.svd(x - x.mean(axis=0))
    assert autoencoders.principal_error(x, x, 2) == pytest.approx(values[2] ** 2 / x.size, rel=1e-3)


def test_noise_is_clipped_and_the_same_for_the_same_seed():
    grey = np.full((5000, 4, 4), 128, np.uint8)  # more than one piece of 4,096
    x = autoencoders.noisy(grey, 3)
    assert (x.shape, x.dtype) == ((5000, 4, 4, 1), np.uint8)
    assert (x == autoencoders.noisy(grey, 3)).all()
    assert not (x == autoencoders.noisy(grey, 4)).all()
    assert x.min() == 0
    assert x.max() == 255
    between = (x > 0) & (x < 255)
    assert between.mean() == pytest.approx(0.683, abs=0.02)  # within one deviation of 0.5
    assert not (x[:904] == x[4096:]).all()


def test_the_autoencoder_learns_and_draws(data, tmp_path, capsys):
    result = recipes.find("autoencoder").run(options(data, tmp_path, 15, batch_size=32))
    (x, _), (xt, _) = pynn.datasets.mnist(data)
    nothing = autoencoders.principal_error(x.reshape(-1, 784) / 255, xt.reshape(-1, 784) / 255, 0)
    assert result.test["mse"] < result.test["mse_2"] < 0.9 * nothing
    assert result.details["principal_components"]["32"] < result.details["principal_components"]["2"] < nothing
    assert "as many principal components" in capsys.readouterr().out
    for name in ("reconstructions.png", "map.png", "plane.png", "history.png"):
        assert is_png(tmp_path / name)
    with Image.open(tmp_path / "map.gif") as gif:
        assert gif.n_frames == 16  # before, and after each epoch
    model = pynn.load(tmp_path / "model.pynn")
    flat = xt.reshape(-1, 784) / np.float32(255)
    assert np.mean((model.predict(flat) - flat) ** 2) == pytest.approx(result.test["mse"], rel=1e-4)
    assert (tmp_path / "map.pynn").is_file()


def test_denoising_takes_most_of_the_noise_away(data, tmp_path, capsys):
    result = recipes.find("denoising-conv-autoencoder").run(options(data, tmp_path, 8, batch_size=16))
    before = result.details["errors_before"]
    assert result.test["mse"] < before["median filter"] < before["noisy"]
    assert is_png(tmp_path / "denoised.png")
    assert (tmp_path / "history.csv").read_text().count("\n") == 9
    assert "of a median filter" in capsys.readouterr().out


def test_pretraining_compares_both_over_five_seeds(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pretraining, "LABELS", (100, 50))
    monkeypatch.setattr(pretraining, "UPDATES", 20)
    monkeypatch.setattr(pretraining, "UNITS", (30, 20))
    result = recipes.find("pretraining").run(options(data, tmp_path, 2))
    for name in ("pre-trained", "random"):
        for labels in ("100", "50"):
            told = result.details[name][labels]
            assert len(set(told["all"])) > 1
            assert told["mean"] == pytest.approx(np.mean(told["all"]))
            assert told["deviation"] == pytest.approx(np.std(told["all"], ddof=1))
    assert result.test["accuracy"] == result.details["pre-trained"]["100"]["mean"]
    for name in ("pretraining.png", "filters-random.png", "filters-pre-trained.png"):
        assert is_png(tmp_path / name)
    assert "100 labels, 5 seeds" in capsys.readouterr().out


def test_the_encoder_starts_where_the_autoencoder_ended(data):
    (x, y), _ = pynn.datasets.mnist(data)
    flat = x.reshape(-1, 784) / np.float32(255)
    weights, losses = pretraining._learn_without_labels(recipes.Options(epochs=2, batch_size=100, quiet=True), flat, 0)
    assert losses[1] < losses[0]
    model = pretraining._classifier(0, weights)
    assert all((a == b).all() for a, b in zip(model.get_weights(), weights, strict=False))
    plain = pretraining._classifier(0, None)
    assert (model.get_weights()[-2] == plain.get_weights()[-2]).all()  # the last layer starts alike
    assert not (model.get_weights()[0] == plain.get_weights()[0]).all()
    chosen = pretraining.balanced(y, 100, 1)
    assert np.bincount(y[chosen]).tolist() == [10] * 10
    assert len(set(chosen)) == 100
    assert set(chosen) != set(pretraining.balanced(y, 100, 2))


def test_rows_of_images(tmp_path):
    figure = viz.plot_rows({"a": np.zeros((4, 6, 6)), "b": np.ones((4, 6, 6))}, tmp_path / "rows.png", title="both")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b"]
    assert is_png(tmp_path / "rows.png")
    for rows in ({}, {"a": np.zeros((4, 6))}, {"a": np.zeros((4, 6, 6)), "b": np.zeros((5, 6, 6))}):
        with pytest.raises(ValueError, match="expected rows of images"):
            viz.plot_rows(rows)
