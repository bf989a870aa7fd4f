"""Pictures: drawn without pyplot, written where asked, refused with a word."""

from __future__ import annotations

import contextlib
import inspect
import subprocess
import sys
import types

import numpy as np
import pytest

import pynn
from pynn import nn, viz
from pynn.figure import COLORS

matplotlib = pytest.importorskip("matplotlib")
PNG = b"\x89PNG"


@pytest.fixture
def history():
    return types.SimpleNamespace(
        epoch=[0, 1, 2],
        history={
            "loss": [1.0, 0.5, 0.4],
            "accuracy": [0.5, 0.8, 0.9],
            "val_loss": [0.9, 0.6, 0.7],
            "val_accuracy": [0.6, 0.7, 0.65],
        },
    )


def test_history_has_a_panel_for_each_measure_and_marks_the_best_epoch(history, tmp_path):
    figure = viz.plot_history(history, tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes().startswith(PNG)
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "accuracy"]
    legends = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in figure.axes]
    assert legends == [
        ["training", "validation", "best 0.6, epoch 2"],
        ["training", "validation", "best 70.00%, epoch 2"],
    ]


def test_history_takes_a_dict_and_a_later_first_epoch(history):
    assert len(viz.plot_history(history.history).axes) == 2
    history.epoch = [10, 11, 12]
    line = viz.plot_history(history).axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == [11, 12, 13]
    with pytest.raises(ValueError, match="at least one epoch"):
        viz.plot_history({"loss": []})


def test_history_with_gaps():
    nan = float("nan")
    figure = viz.plot_history({"loss": [nan, nan], "val_loss": [nan, 0.5], "learning_rate": [0.1, 0.01]})
    legends = [[text.get_text() for text in ax.get_legend().get_texts()] for ax in figure.axes]
    assert legends == [["training", "validation", "best 0.5, epoch 2"], ["training"]]
    assert len(viz.plot_history({"loss": [nan]}).axes) == 1


def test_confusion_shows_counts_and_shares(tmp_path):
    figure = viz.plot_confusion([[8, 2], [1, 1009]], ["cat", "dog"], tmp_path / "confusion.png")
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"8", "2", "1", "1,009", "80.0%", "99.9%"} <= texts
    assert figure.axes[0].get_title(loc="left") == "1,017 of 1,020 right (99.71%)"
    assert (tmp_path / "confusion.png").stat().st_size > 1000


def test_confusion_says_what_was_tested():
    title = viz.plot_confusion([[3, 1], [0, 4]], title="strangers").axes[0].get_title(loc="left")
    assert title == "strangers: 7 of 8 right (87.50%)"


def test_pictures_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    kept = tmp_path / "curve.png"
    kept.write_bytes(b"what was there")
    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", _half_written)
    with pytest.raises(OSError, match="disk is full"):
        viz.plot_curves({"one": {"a": [1, 2]}}, kept)
    assert kept.read_bytes() == b"what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]


def _half_written(self, target, **options):
    with contextlib.ExitStack() as stack:
        file = target if hasattr(target, "write") else stack.enter_context(open(target, "wb"))
        file.write(b"half of a")
        raise OSError("the disk is full")


def test_a_picture_without_an_ending_is_a_png(tmp_path):
    viz.plot_curves({"one": {"a": [1, 2]}}, tmp_path / "curve")
    assert (tmp_path / "curve.png").read_bytes().startswith(PNG)
    viz.plot_curves({"one": {"a": [1, 2]}}, tmp_path / "curve.svg")
    assert b"<svg" in (tmp_path / "curve.svg").read_bytes()


def test_a_moving_picture_grows_and_its_lines_keep_their_colours(tmp_path):
    from matplotlib.colors import to_rgb
    from PIL import Image

    steps = np.linspace(0, 1, 30)
    paths = {f"{i}": np.stack([steps * 2 - 1, np.full(30, i / 4 - 0.9)], axis=1) for i in range(7)}
    viz.animate_optimizer_paths(lambda x, y: x**2 + y**2, paths, tmp_path / "a.gif", bounds=(-1, 1, -1, 1))
    shown = []
    with Image.open(tmp_path / "a.gif") as file:
        assert file.n_frames == 30
        for frame in (2, 29):
            file.seek(frame)
            shown.append(np.asarray(file.convert("RGB")).reshape(-1, 3).astype(int))
    for color in COLORS:
        wanted = np.array(to_rgb(color)) * 255
        few, many = (int((np.abs(pixels - wanted).max(axis=1) < 4).sum()) for pixels in shown)
        assert many > few + 200, color


def test_a_curve_that_cannot_be_drawn_is_named():
    figure = viz.plot_curves({"one": {"a": [1.0, 2.0], "b": [float("nan")] * 2}})
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b: not finite"]


def test_confusion_bad_input_and_classes_that_never_came():
    viz.plot_confusion(np.zeros((3, 3), int))
    with pytest.raises(ValueError, match=r"square.*\(2, 3\)"):
        viz.plot_confusion(np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"3 labels.*Received: 2"):
        viz.plot_confusion(np.eye(3), ["a", "b"])


@pytest.mark.parametrize("shape", [(7, 8, 8), (1, 28, 28), (3, 8, 8, 3)])
def test_mistakes_page(shape, tmp_path):
    n = shape[0]
    figure = viz.plot_mistakes(np.zeros(shape), [1] * n, [7] * n, [0.75] * n, tmp_path / "mistakes.png")
    assert len(figure.axes) == n
    assert figure.axes[0].get_title() == "is 1"
    assert figure.axes[0].get_xlabel() == "taken for 7\n75.0% sure"
    assert (tmp_path / "mistakes.png").exists()


def test_mistakes_page_without_mistakes_and_bad_input():
    figure = viz.plot_mistakes(np.zeros((0, 8, 8)), [], [], [])
    assert figure.texts[0].get_text() == "no mistakes"
    with pytest.raises(ValueError, match="one length"):
        viz.plot_mistakes(np.zeros((2, 8, 8)), [1], [1], [1])
    with pytest.raises(ValueError, match="images"):
        viz.plot_mistakes(np.zeros((2, 8)), [1, 1], [2, 2], [1, 1])


def one_column(points):
    return (points[:, :1] > 0.5).astype(float)


def columns(points):
    return np.stack([1 - points[:, 0], points[:, 0], points[:, 1] - 2], axis=1)


@pytest.mark.parametrize("predict", [one_column, columns, types.SimpleNamespace(predict=one_column)])
def test_frontier_of_a_function_or_a_model(predict, tmp_path):
    x, y = pynn.datasets.xor(40)
    figure = viz.plot_frontier(predict, x, y, tmp_path / "frontier.png", title="a half plane")
    ax = figure.axes[0]
    assert ax.get_title(loc="left") == "a half plane"
    assert len(ax.collections[-1].get_offsets()) == 20  # the rings around what is wrong


def test_frontiers_side_by_side_and_bad_input():
    x, y = pynn.datasets.blobs(60)
    figure = viz.plot_frontier({"first": one_column, "second": columns}, x, y)
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["first", "second"]
    with pytest.raises(ValueError, match=r"x \[n, 2\]"):
        viz.plot_frontier(columns, np.zeros((3, 4)), np.zeros(3))
    with pytest.raises(ValueError, match=r"x \[n, 2\]"):
        viz.plot_frontier(columns, x, y[1:])


def test_matplotlib_is_imported_on_use_and_pyplot_never():
    code = (
        "import sys, pynn.viz; assert 'matplotlib' not in sys.modules\n"
        "pynn.viz.plot_history({'loss': [1.0]})\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pynn-dl\[plot\]"):
        viz.plot_history({"loss": [1.0]})


def test_weights_are_drawn_as_maps_and_histograms(tmp_path):
    model = pynn.nn.Sequential([pynn.nn.Input((700,)), pynn.nn.Dense(3, "tanh"), pynn.nn.Dense(2)])
    model.build((1, 700))
    figure = viz.plot_weights(model, tmp_path / "weights.png", title="a model")
    assert (tmp_path / "weights.png").read_bytes().startswith(PNG)
    maps = [ax.get_images()[0].get_array().shape for ax in figure.axes if ax.get_images()]
    assert maps == [(234, 3), (1, 3), (3, 2), (1, 2)]
    assert len(viz.plot_weights({"w": np.ones((2, 2))}).axes) == 3  # its bar too
    with pytest.raises(ValueError, match="expected a built model with weights"):
        viz.plot_weights({})


def test_layers_are_drawn_with_shapes_and_connections(tmp_path):
    layers = [nn.Conv2D(6, 5), nn.ReLU(), nn.MaxPool2D(2), nn.Dropout(0.5), nn.Flatten(), nn.Dense(10)]
    model = nn.Sequential([nn.Input((28, 28, 1)), *layers])
    figure = viz.plot_layers(model, tmp_path / "layers.png", columns=3)
    assert (tmp_path / "layers.png").stat().st_size > 5000
    texts = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    assert texts == [
        "28 x 28 x 1", "input", "24 x 24 x 6", "Conv2D\n86.4 k", "12 x 12 x 6", "MaxPool2D\n3.46 k", "864", "Flatten",
        "10", "Dense\n8.64 k",
    ]  # fmt: skip
    assert not model.built
    few = viz.plot_layers(model, kinds=["Dense"]).axes[0].texts
    assert [text.get_text() for text in few if text.get_text()] == ["28 x 28 x 1", "input", "10", "Dense\n8.64 k"]
    with pytest.raises(ValueError, match=r"\[plot_layers\] expected layers .*Nothing"):
        viz.plot_layers(model, kinds=["Nothing"])
    with pytest.raises(ValueError, match=r"\[plot_layers\] expected columns .*columns=0"):
        viz.plot_layers(model, columns=0)
    with pytest.raises(RuntimeError, match="the model is not built"):
        viz.plot_layers(nn.Sequential([nn.Dense(2)]))


def test_principal_components_find_the_directions_of_variance():
    rng = np.random.default_rng(0)
    along, across = rng.normal(size=300) * 5, rng.normal(size=300) * 0.1
    points = np.outer(along, [0.6, 0.0, 0.8]) + np.outer(across, [0.8, 0.0, -0.6]) + 7
    found = viz.principal_components(points, 2)
    np.testing.assert_allclose(found[:, 0], along - along.mean(), atol=0.2)
    assert abs(np.corrcoef(found.T)[0, 1]) < 1e-10


def test_embeddings_with_classes_words_and_tsne(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 8)) + 9 * (np.arange(40) % 2)[:, None], np.arange(40) % 2
    figure = viz.plot_embedding(x, y, tmp_path / "map.png", title="two classes")
    assert (tmp_path / "map.png").read_bytes().startswith(PNG)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["0", "1"]
    words = viz.plot_embedding(x[:3], words=["king", "queen", "man"])
    assert [text.get_text() for text in words.axes[0].texts] == ["king", "queen", "man"]
    pytest.importorskip("sklearn")
    left = viz.plot_embedding(x, y, method="tsne").axes[0].collections
    centres = [np.asarray(dots.get_offsets()).mean(axis=0) for dots in left]
    assert np.linalg.norm(centres[0] - centres[1]) > 5
    for bad, message in (((np.ones(3),), "shape"), ((x, y[:2]), "expected 40 labels. Received: 2")):
        with pytest.raises(ValueError, match=message):
            viz.plot_embedding(*bad)
    with pytest.raises(ValueError, match="'pca' or 'tsne'"):
        viz.plot_embedding(x, method="umap")


def test_words_of_a_map_do_not_cover_each_other(rng):
    from pynn.viz.embedding import _apart

    size = np.stack([rng.uniform(10, 50, 60), np.full(60, 8.5)], axis=1)
    centre = _apart(rng.uniform(0, 60, (60, 2)), size)
    overlap = (size[:, None] + size) / 2 - np.abs(centre[:, None] - centre)
    assert not ((overlap > 0.5).all(axis=2) & ~np.eye(60, dtype=bool)).any()
    alone = np.array([[0.0, 0.0], [100.0, 0.0]])
    np.testing.assert_allclose(_apart(alone, size[:2]), alone, atol=0.01)


def test_a_map_of_many_points_and_classes_warns_of_nothing(rng):
    x, y = rng.normal(size=(20_000, 2)), np.arange(20_000) % 10
    figure = viz.plot_embedding(x, y)
    colours = {tuple(np.round(c.get_facecolor()[0], 3)) for c in figure.axes[0].collections}
    assert len(colours) == 10
    figure.canvas.draw()


def test_attribution_is_the_gradient_of_the_chosen_output(tmp_path):
    model = pynn.nn.Sequential([pynn.nn.Input((4, 4)), pynn.nn.Flatten(), pynn.nn.Dense(3)])
    x = np.random.default_rng(0).normal(size=(2, 4, 4)).astype("float32")
    w = model.layers[1].w.numpy()
    found = viz.attribution(model, x, [2, 0])
    np.testing.assert_array_equal(found.reshape(2, 16), w[:, [2, 0]].T)
    np.testing.assert_array_equal(viz.attribution(model, x), viz.attribution(model, x, model.predict(x).argmax(1)))
    figure = viz.plot_attribution(model, x, tmp_path / "why.png", classes=[2, 0])
    assert (tmp_path / "why.png").read_bytes().startswith(PNG)
    assert [ax.get_title() for ax in figure.axes if ax.get_title()] == ["class 2", "class 0"]
    with pytest.raises(ValueError, match=r"expected 2 classes below 3. Received: \[0, 3\]"):
        viz.attribution(model, x, [0, 3])
    with pytest.raises(ValueError, match="expected images"):
        viz.plot_attribution(model, x[0])


def test_optimizer_paths_still_and_moving(tmp_path):
    paths = {"sgd": [[1, 1], [0.5, 0.4], [0.1, 0.2]], "adam": [[1, 1], [0.2, 0.9]]}

    def bowl(x, y):
        return x**2 + y**2

    settings = {"bounds": (-2, 2, -2, 2), "minimum": (0, 0), "title": "a bowl"}
    figure = viz.plot_optimizer_paths(bowl, paths, tmp_path / "paths.png", **settings)
    assert (tmp_path / "paths.png").read_bytes().startswith(PNG)
    lines = {line.get_label(): line.get_xydata() for line in figure.axes[0].get_lines()}
    np.testing.assert_array_equal(lines["sgd"], paths["sgd"])
    viz.animate_optimizer_paths(bowl, paths, tmp_path / "paths.gif", **settings)
    from PIL import Image

    with Image.open(tmp_path / "paths.gif") as moving:
        assert moving.n_frames == 3
    with pytest.raises(ValueError, match=r"paths \[steps, 2\]. Received: 'sgd' of shape \(3,\)"):
        viz.plot_optimizer_paths(bowl, {"sgd": [1, 2, 3]}, bounds=(0, 1, 0, 1))
    with pytest.raises(ValueError, match="at least one path"):
        viz.plot_optimizer_paths(bowl, {}, bounds=(0, 1, 0, 1))


def drawings():
    """Calls of every function that takes a heading, by its name."""
    rng = np.random.default_rng(0)
    tone, points = np.sin(np.arange(4000) / 9), rng.normal(size=(12, 2))
    images = rng.random((4, 6, 6))
    model = nn.Sequential([nn.Input((6, 6, 1)), nn.Conv2D(3, 3)])
    model.build((None, 6, 6, 1))
    plane = {"bounds": (-1, 1, -1, 1)}
    return {
        "plot_confusion": lambda **k: viz.plot_confusion(np.eye(3, dtype=int), **k),
        "plot_curves": lambda **k: viz.plot_curves({"one": {"a": [1, 2]}}, **k),
        "plot_embedding": lambda **k: viz.plot_embedding(points, **k),
        "plot_filters": lambda **k: viz.plot_filters(model.layers[0], **k),
        "plot_frontier": lambda **k: viz.plot_frontier(lambda x: x[:, 0], points, np.arange(12) % 2, **k),
        "plot_images": lambda **k: viz.plot_images({"one": images[0]}, **k),
        "plot_layers": lambda **k: viz.plot_layers(model, **k, input_shape=(6, 6, 1)),
        "plot_optimizer_paths": lambda **k: viz.plot_optimizer_paths(
            lambda x, y: x**2 + y**2, {"sgd": [(1, 1), (0, 0)]}, **plane, **k
        ),
        "plot_rows": lambda **k: viz.plot_rows({"one": images}, **k),
        "plot_sound": lambda **k: viz.plot_sound(tone, 8000, **k),
        "plot_sounds": lambda **k: viz.plot_sounds({"a": tone}, 8000, **k),
        "plot_weights": lambda **k: viz.plot_weights({"w": np.ones((2, 2))}, **k),
    }


def shown(figure):
    texts = [ax.get_title(loc=loc) for ax in figure.axes for loc in ("left", "center", "right")]
    return "\n".join([*texts, *(text.get_text() for text in figure.texts), figure.get_suptitle()])


@pytest.mark.parametrize("name", drawings())
def test_headings_are_shown_where_they_are_given(name):
    draw = drawings()[name]
    if name == "plot_sound":
        pytest.importorskip("kaldi_native_fbank")
    assert "what it is about" in shown(draw(title="what it is about"))
    assert "None" not in shown(draw())


def test_every_function_with_a_heading_is_tried():
    found = {name for name in viz.__all__ if name.startswith("plot_")}
    found = {name for name in found if "title" in inspect.signature(getattr(viz, name)).parameters}
    assert found - set(drawings()) <= {"plot_history", "plot_mistakes", "plot_attribution"}


def test_notebooks_show_a_png_whatever_matplotlib_saves_by_default():
    with matplotlib.rc_context({"savefig.format": "svg"}):
        assert viz.plot_curves({"one": {"a": [1, 2]}})._repr_png_().startswith(PNG)
