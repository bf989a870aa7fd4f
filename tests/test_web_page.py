"""The page beside an exported model, in a browser: a sign is drawn, every layer is shown, and the model is taught."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, Browser

from pynn import nn
from pynn.export import to_web
from pynn.web import has_engine

#: Lines of a pad of 280 x 280, like the digits of the data below.
ONE, SEVEN = [[140, 40], [140, 240]], [[70, 50], [210, 50], [110, 240]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if MISSING:
        pytest.skip(MISSING)
    if not has_engine():
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


def strokes(rng, label, n):
    """Return n pictures of 14 x 14: a vertical line (0), a horizontal line (1), or an angle (2)."""
    x = np.zeros((n, 14, 14, 1), "float32")
    for picture in x:
        at = rng.integers(5, 9)
        if label in (0, 2):
            picture[2:12, at : at + 2] = 1
        if label in (1, 2):
            picture[2 if label else at : 4, 2:12] = 1
    return x


def test_a_digit_is_drawn_read_and_taught(browser, tmp_path):
    rng = np.random.default_rng(0)
    x = np.concatenate([strokes(rng, label, 40) for label in range(3)])
    y = np.repeat(np.arange(3, dtype="int32"), 40)
    layers = [nn.Conv2D(4, 3, activation="relu"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3, activation="softmax")]
    model = nn.Sequential([nn.Input((14, 14, 1)), *layers])
    model.compile("adam", "sparse_categorical_crossentropy", seed=0)
    model.fit(x, y, epochs=20, verbose=0)
    page = to_web(model, tmp_path / "strokes.js", train=True, batch_size=16)[2]
    browser.resize(800, 900)
    browser.open(Path(page).as_uri())
    seen, found = browser.run(
        "return pynn_page.then((page) => {"
        "page.stroke(arguments[0]); return [Array.from(page.x), Array.from(page.y)] })",
        ONE,
    )
    drawn = np.array(seen, "float32").reshape(1, 14, 14, 1)
    assert drawn.max() > 0.5
    np.testing.assert_allclose(found, model.predict(drawn)[0], atol=1e-5)
    titles = browser.run("return [...document.querySelectorAll('#layers h2')].map((one) => one.textContent)")
    assert [title.split("(")[-1] for title in titles][-4:] == [
        "12 \u00d7 12 \u00d7 4)",
        "6 \u00d7 6 \u00d7 4)",
        "144)",
        "3)",
    ]
    fall = browser.run("return pynn_page.then((page) => Array.from(page.matters()))")
    assert np.argmax(np.abs(fall)) % 14 in range(2, 12)
    losses = browser.run(
        "return pynn_page.then((page) => { document.getElementById('clear').click(); page.stroke(arguments[0]);"
        "return [0, 1, 2, 3].map(() => page.teach(1)) })",
        SEVEN,
    )
    assert losses[-1] < losses[0]
    assert browser.run("return pynn_page.then((page) => page.show(page.seen()))") == 1
    assert browser.run("return document.documentElement.scrollWidth") <= 800
    assert browser.messages() == []
    assert {url.split(":")[0] for url in browser.requests()} <= {"file"}


def test_numbers_are_typed_and_checked(browser, tmp_path):
    model = nn.Sequential([nn.Input((3,)), nn.Dense(2)])
    browser.open(Path(to_web(model, tmp_path / "two words.js")[2]).as_uri())
    said = "document.getElementById('go').click(); return [document.getElementById('say').textContent, page.y]"
    ask = "return pynn_page.then((page) => { document.getElementById('x').value = arguments[0]; " + said + " })"
    assert browser.run(ask, "1, 2")[0] == "expected 3 numbers"
    message, y = browser.run(ask, "1; 2 3.5")
    assert message == ""
    values = [y[key] for key in sorted(y)] if isinstance(y, dict) else y
    np.testing.assert_allclose(values, model.predict(np.array([[1, 2, 3.5]], "float32"))[0], rtol=1e-5)
    assert browser.messages() == []
