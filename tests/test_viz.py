"""Pictures: drawn without pyplot, written where asked, refused with a word."""

from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import pytest

import pynn
from pynn import viz

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
