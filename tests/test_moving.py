"""Pictures that move with a training."""

from __future__ import annotations

import base64
import json
import re
import shutil
import time

import numpy as np
import pytest

import pynn
from pynn import nn, recipes, viz
from pynn.recipes import report
from pynn.recipes.runner import timed_fit
from pynn.viz.moving import Steady

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")


def moons():
    x, y = pynn.datasets.moons(60, seed=0)
    model = nn.Sequential([nn.Input((2,)), nn.Dense(8, "tanh"), nn.Dense(1, "sigmoid")])
    model.compile(pynn.optim.Adam(0.05), "binary_cross_entropy", seed=0)
    return model, x, y


def test_a_gif_has_a_picture_before_and_one_for_every_few_epochs(tmp_path):
    model, x, y = moons()
    history = viz.animate(model, x, y, tmp_path / "moons.gif", every=2, epochs=6)
    assert len(history.epoch) == 6
    with Image.open(tmp_path / "moons.gif") as gif:
        assert gif.n_frames == 4
        first = np.array(gif.convert("RGB"), int)
        gif.seek(3)
        assert np.abs(first - np.array(gif.convert("RGB"), int)).max() > 100


def test_a_page_with_a_slider_stands_alone(tmp_path):
    model, x, y = moons()
    viz.animate(model, x, y, tmp_path / "moons.html", draw="embedding", epochs=2)
    page = (tmp_path / "moons.html").read_text(encoding="utf-8")
    assert "http" not in page
    frames = json.loads(re.search(r"f=(\[.*?\])", page)[1].replace("'", '"'))
    assert len(frames) == 3
    assert base64.b64decode(frames[0]).startswith(b"\x89PNG")


def test_drawings_of_ones_own_and_pictures_of_several_sizes(tmp_path):
    model, x, y = moons()
    sizes = iter([(8, 8), (9, 12), (8, 8)])
    frames = viz.Frames(lambda model: viz.plot_images({"w": np.zeros(next(sizes))}, size=1.0))
    model.fit(x, y, epochs=2, callbacks=[frames], verbose=0)
    frames.save(tmp_path / "own.gif")
    assert frames.names == ["epoch 0", "epoch 1", "epoch 2"]
    for draw in ("weights", lambda model: viz.plot_weights(model)):
        viz.animate(model, x, y, tmp_path / "weights.gif", draw=draw, epochs=1)


def test_a_film(tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg")
    model, x, y = moons()
    viz.animate(model, x, y, tmp_path / "moons.webm", epochs=2)
    assert (tmp_path / "moons.webm").read_bytes().startswith(b"\x1aE\xdf\xa3")


def test_maps_of_vectors_turn_as_little_as_they_can(rng):
    steady, x = Steady(), rng.normal(size=(30, 6)) * [9, 8, 2, 1, 1, 1]
    first = steady(x)
    turned = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    np.testing.assert_allclose(steady(x @ turned + 5), first, atol=1e-9)  # the same points, seen from elsewhere
    np.testing.assert_allclose(steady(x * [8 / 9, 9 / 8, 1, 1, 1, 1]), first, atol=4)  # the axes change places
    assert steady(x[:5]).shape == (5, 2)


def test_the_time_of_a_training_is_not_that_of_its_pictures(tmp_path):
    def draw(model):
        time.sleep(0.3)
        return viz.plot_images({"w": np.zeros((8, 8))}, size=1.0)

    model, x, y = moons()
    options = recipes.Options(epochs=2, batch_size=32, quiet=True, out=tmp_path)
    frames, film = report.moving(options, "w.gif", draw)
    _, seconds = timed_fit(options, model, x, y, callbacks=frames)
    assert frames[0].spent >= 0.9
    assert seconds < 0.9
    film["w.gif"](tmp_path / "w.gif")
    assert (tmp_path / "w.gif").read_bytes().startswith(b"GIF89a")
    assert report.moving(recipes.Options(), "w.gif", draw) == ([], {})


def test_bad_words_are_refused_before_anything_is_learnt(tmp_path, monkeypatch):
    model, x, y = moons()
    with pytest.raises(ValueError, match=r"ends in \.gif"):
        viz.animate(model, x, y, tmp_path / "moons.mov")
    with pytest.raises(ValueError, match="frontier, weights"):
        viz.animate(model, x, y, tmp_path / "moons.gif", draw="nothing")
    with pytest.raises(ValueError, match="expected pictures"):
        viz.Frames(viz.plot_weights).save(tmp_path / "none.gif")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    frames = viz.Frames(viz.plot_weights)
    model.fit(x, y, epochs=1, callbacks=[frames], verbose=0)
    with pytest.raises(OSError, match="ffmpeg"):
        frames.save(tmp_path / "moons.webm")
