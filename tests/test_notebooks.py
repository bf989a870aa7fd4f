"""Notebooks: one is executed by a kernel and exported, as a reader of the page sees it."""

import re

import numpy as np
import pytest

import pynn
from pynn import nn

X = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
CELLS = [
    """
import numpy as np, pynn
from pynn import nn
x = np.random.default_rng(0).normal(size=(2000, 4)).astype("float32")
model = nn.Sequential([nn.Dense(8, activation="tanh"), nn.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
history = model.fit(x, x[:, :1], epochs=6, validation_split=0.2)
""",
    "pynn.viz.plot_history(history)",
    "pynn.viz.plot_weights(model)",
]


def test_a_figure_shows_itself_wherever_it_was_drawn():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    import pickle

    model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    for figure in (pynn.viz.plot_history({"loss": [2.0, 1.0]}), pynn.viz.plot_weights(model)):
        png = figure._repr_png_()
        assert png.startswith(b"\x89PNG")
        again = pickle.loads(pickle.dumps(figure))
        assert again._repr_png_().startswith(b"\x89PNG")


@pytest.mark.timeout(300)
def test_an_exported_notebook(monkeypatch):
    """Needs nbconvert and ipykernel, which no extra brings."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)  # a kernel drops the first folder of its path
    form = pytest.importorskip("nbformat").v4
    notebook = form.new_notebook(cells=[form.new_code_cell(source) for source in CELLS])
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
    training, *figures = (cell.outputs for cell in notebook.cells)
    assert [output.output_type for output in training] == ["display_data"]
    lines = training[0].data["text/plain"].splitlines()
    assert len(lines) == 6
    assert all(re.match(rf"epoch {i}/6  \d.* s  loss .*mae", line) for i, line in enumerate(lines, 1))
    assert max(map(len, lines)) <= 80
    for outputs in figures:
        assert [set(output.data) for output in outputs] == [{"text/plain", "image/png"}]
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    body = page[page.index("<body") :]
    assert body.count("epoch 3/6") == 1
    assert body.count("<img") == 2
    assert "stderr" not in body
