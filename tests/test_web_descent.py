"""The page of optimizers on Beale's valley in a browser: each goes the way that Python's goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, Browser

from pynn.commands.descent_page import SHOWN, descent, recorded
from pynn.io.registry import registered
from pynn.recipes.descents import beale
from pynn.web import has_engine


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a browser, and the address of the page in Spanish."""
    if MISSING:
        pytest.skip(MISSING)
    if not has_engine():
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    folder = tmp_path_factory.mktemp("browser")
    url = Path(descent("es").save(folder / "descent.html")).as_uri()
    with Browser(folder) as browser:
        yield browser, url


def opened(page):
    browser, url = page
    browser.resize(1300, 900)
    browser.open("about:blank")
    browser.open(url)
    assert browser.run("return pynn_descent.ready.then(() => document.getElementById('note').textContent)") == ""
    return browser


def quiet(browser):
    assert browser.messages() == []
    assert {url.split(":")[0] for url in browser.requests()} <= {"file", "about"}


def test_each_goes_the_way_of_python(page):
    browser = opened(page)
    paths, exact = browser.run(
        "const p = pynn_descent; p.walk(40); return [p.ways.map((way) => way.path), p.ways[0].model.exact]"
    )
    x, y = np.zeros((1, 1), "float32"), np.zeros((1, 1), "float32")
    for name, path in zip(SHOWN, paths, strict=True):
        model, _ = recorded(name)
        model.set_weights([np.array(path[0], "float32")])
        for place in path[1:]:
            loss = model.fit(x, y, batch_size=1, verbose=0).history["loss"][0]
            np.testing.assert_allclose(place, model.get_weights()[0], atol=0 if exact else 1e-5, err_msg=name)
        before = model.predict(x)[0, 0]
        assert before == pytest.approx(beale(*(float(v) for v in path[-1])), rel=1e-4)
        assert before < loss
    assert "Valley" not in registered()
    quiet(browser)


def test_rates_places_and_the_lost(page):
    browser = opened(page)
    browser.run("pynn_descent.reset([4, 1.9]); pynn_descent.walk(5); pynn_descent.draw()")
    lost = browser.run("return pynn_descent.ways.filter((way) => way.lost).map((way) => way.name)")
    assert lost == ["sgd", "momentum", "nesterov"]
    assert "perdido" in browser.run("return document.getElementById('rules').textContent")
    browser.run("const f = pynn_descent.ways[0].field; f.value = 1e-4; f.dispatchEvent(new Event('input'))")
    far = "const p = pynn_descent; p.reset([4, 1.9]); p.walk(50); return [p.ways[0].lost, p.ways[0].path.at(-1)[1]]"
    assert browser.run(far)[0] is False
    browser.run("const x = document.getElementById('x'); x.value = 2; x.dispatchEvent(new Event('change'))")
    assert browser.run("return pynn_descent.ways.map((way) => way.path)") == [[[2, 1.9]]] * len(SHOWN)
    assert browser.run(
        "return [...document.querySelectorAll('button, input, select, canvas')].every((one) => one.labels?.length || "
        "one.textContent.trim() || one.getAttribute('aria-label'))"
    )
    quiet(browser)


@pytest.mark.parametrize("width", [400, 800, 1300])
def test_nothing_is_wider_than_the_page(page, width):
    browser = opened(page)
    browser.resize(width, 900)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    browser.run("document.getElementById('lang').click()")
    assert browser.run("return document.title") == "Optimizers on Beale's valley"
    quiet(browser)
