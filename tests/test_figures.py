"""Every figure of pynn.viz, in both languages: its labels are there, can be read, and lie upon nothing."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest

import pynn
from pynn import language as words
from pynn import nn, viz
from pynn.spanish import TEXTS

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

RNG = np.random.default_rng(0)
SMALLEST = 8.0  # points
SLACK = 1.0  # pixels


def network():
    model = nn.Sequential([
        nn.Input((8, 8, 1)), nn.Conv2D(6, 3, activation="relu"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3, "softmax"),
    ])  # fmt: skip
    model.compile("adam", "cross_entropy", seed=0)
    return model


def words_near():
    x = RNG.normal(size=(20, 2))
    return viz.plot_embedding(x, np.arange(20) % 3, words=[f"word {i}" for i in range(20)])


def line(x):
    return np.tanh(2 * x[:, :1] - 1)


FIGURES = {
    "plot_attribution": lambda: viz.plot_attribution(network(), RNG.random((3, 8, 8, 1), "float32")),
    "plot_augmented": lambda: viz.plot_augmented(RNG.random((2, 8, 8)), nn.RandomAffine(rotation=20.0), times=4),
    "plot_confusion": lambda: viz.plot_confusion(RNG.integers(0, 90, (10, 10)), title="digits"),
    "plot_curves": lambda: viz.plot_curves({"loss": {"training": [3, 2, 1], "validation": [3, 2.5, 2]}}, y="loss"),
    "plot_curves of logarithms": lambda: viz.plot_curves(
        {"times": {"a": ([25, 50, 100, 200, 400, 800], [86, 413, 1346, 3620, 16026, 65279])}}, log_x=True, log_y=True
    ),
    "plot_embedding": words_near,
    "plot_feature_maps": lambda: viz.plot_feature_maps(network(), RNG.random((8, 8, 1), "float32")),
    "plot_filters": lambda: viz.plot_filters(RNG.normal(size=(3, 3, 1, 12))),
    "plot_frontier": lambda: viz.plot_frontier({"a": line, "b": line}, RNG.random((40, 2)), RNG.integers(0, 2, 40)),
    "plot_frontier of values": lambda: viz.plot_frontier(
        {"unit 1": line, "unit 2": lambda x: 0 * x[:, :1]}, RNG.random((40, 2)), RNG.integers(0, 2, 40),
        threshold=0.0, mistakes=False, values=True,
    ),
    "plot_history": lambda: viz.plot_history({"loss": [0.9, 0.4], "val_loss": [0.8, 0.5], "accuracy": [0.7, 0.9]}),
    "plot_images": lambda: viz.plot_images({f"picture {i}": RNG.random((8, 8)) for i in range(6)}, title="six"),
    "plot_layers": lambda: viz.plot_layers(network()),
    "plot_mistakes": lambda: viz.plot_mistakes(
        RNG.random((8, 8, 8)), np.arange(8), np.arange(8)[::-1], np.linspace(1, 0.5, 8)
    ),
    "plot_optimizer_paths": lambda: viz.plot_optimizer_paths(
        lambda x, y: x**2 + y**2, {"sgd": [[1, 1], [0.5, 0.5]], "adam": [[1, 1], [0, 0.5]]}, bounds=(-2, 2, -2, 2)
    ),
    "plot_rows": lambda: viz.plot_rows({"noise": RNG.random((5, 8, 8)), "nothing": np.zeros((5, 8, 8))}, title="rows"),
    "plot_sounds": lambda: viz.plot_sounds({f"s{i}": np.sin(np.arange(4000) * 0.1 * (i + 1)) for i in range(4)}, 8000),
    "plot_weights": lambda: viz.plot_weights(network(), title="weights"),
}  # fmt: skip
AXES = {"plot_confusion", "plot_curves", "plot_frontier", "plot_history", "plot_optimizer_paths", "plot_sounds"}


def sound():
    pytest.importorskip("kaldi_native_fbank")
    return viz.plot_sound(np.sin(np.arange(4000) * 0.3), 8000, title="a tone")


FIGURES["plot_sound"] = sound


@pytest.fixture(params=words.LANGUAGES)
def spoken(request):
    before = words.language()
    words.language(request.param)
    yield request.param
    words.language(before)


def drawn(figure):
    """Return the texts of a figure that are seen, with the boxes they cover."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    axes = [ax for ax in figure.findobj(lambda artist: hasattr(artist, "get_xticklabels"))]
    unseen = {id(text) for ax in axes if not ax.axison for text in (ax.xaxis.label, ax.yaxis.label)}
    for axis in (axis for ax in axes for axis in (ax.xaxis, ax.yaxis)):
        ticks = [*axis.majorTicks, *axis.minorTicks]
        unseen |= {id(text) for tick in ticks for text in (tick.label1, tick.label2)} | {id(axis.offsetText)}
        low, high = sorted(axis.get_view_interval())
        slack = 1e-6 * (high - low)
        for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()] if axis.axes.axison else ():
            if low - slack <= tick.get_loc() <= high + slack:
                unseen -= {id(tick.label1)}
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text, text.get_window_extent(renderer)) for text in texts if id(text) not in unseen]


@pytest.mark.parametrize("name", FIGURES)
def test_what_is_written_can_be_read_and_lies_upon_nothing(name, spoken):
    figure = FIGURES[name]()
    found = drawn(figure)
    assert found
    assert [text.get_text() for text, _ in found if text.get_fontsize() < SMALLEST] == []
    width, height = figure.bbox.width, figure.bbox.height
    out = [
        text.get_text() for text, box in found
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK
    ]  # fmt: skip
    assert out == [], "beyond the picture"
    over = [
        (one.get_text(), other.get_text())
        for (one, a), (other, b) in itertools.combinations(found, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > SLACK and min(a.y1, b.y1) - max(a.y0, b.y0) > SLACK
    ]
    assert over == []
    if spoken == "es":
        left = [text.get_text() for text, _ in found if TEXTS.get(text.get_text(), text.get_text()) != text.get_text()]
        assert left == [], "still in English"


@pytest.mark.parametrize("name", sorted(AXES))
def test_axes_are_named(name, spoken):
    outer = [ax for ax in FIGURES[name]().axes if ax.axison and ax.get_subplotspec() is not None]
    assert any(ax.get_xlabel() for ax in outer)


def test_every_function_that_draws_is_tried():
    drawing = {name for name in viz.__all__ if name.startswith("plot_") and inspect.isfunction(getattr(viz, name))}
    assert drawing == {name.split()[0] for name in FIGURES}


def test_spanish_is_asked_for_and_given(monkeypatch):
    before = words.language()
    try:
        assert viz.language("es") == "es"
        assert viz.plot_history({"loss": [1.0, 0.5]}).axes[0].get_xlabel() == "época"
        text = viz.trace(nn.Sequential([nn.Input((1,)), nn.Dense(1)], seed=0), [[1.0]], [[1.0]], loss="mse").text()
        assert "las cuatro ecuaciones de la retropropagación" in text
        assert viz.language("en") == "en"
        assert viz.plot_history({"loss": [1.0, 0.5]}).axes[0].get_xlabel() == "epoch"
        with pytest.raises(ValueError, match=r"expected one of en, es\. Received: 'fr'"):
            viz.language("fr")
        monkeypatch.setenv("PYNN_LANG", "es_MX.UTF-8")
        words._chosen.clear()
        assert viz.language() == "es"
    finally:
        words.language(before)


def test_the_catalogue_fills_the_same_places():
    for text, other in TEXTS.items():
        assert text.count("{}") == other.count("{}"), text
        assert other.strip(), text


def test_graphs_flow_down_where_they_would_be_too_wide():
    x = pynn.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(12):
        y = (y * 1.5).tanh()
    wide, tall = (viz.draw_graph(y, direction=way).svg for way in ("right", "down"))
    sizes = [tuple(map(float, s.split('width="')[1].split('" height="')[0:1])) for s in (wide, tall)]
    assert sizes[0][0] > 760 > sizes[1][0]
    assert viz.draw_graph(y).svg == tall
    with pytest.raises(ValueError, match="'right' or 'down'"):
        viz.draw_graph(y, direction="up")


def test_a_recipe_reports_in_spanish(capsys):
    from pynn.cli import main

    before = words.language()
    try:
        assert main(["run", "perceptron", "--lang", "es", "--epochs", "1"]) == 0
        out = capsys.readouterr().out
    finally:
        words.language(before)
    assert "esperado" in out
    assert "1 época en" in out
    assert "tras 100 épocas" in out
    assert "expected" not in out
