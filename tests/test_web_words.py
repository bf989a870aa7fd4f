"""The page of word vectors in a browser: analogies, neighbours, a map that moves while it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, Browser

from pynn.viz.small_language import LANGUAGE
from pynn.viz.word_map import company, word_map
from pynn.web import has_engine


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a browser, and the addresses of the page by language."""
    if MISSING:
        pytest.skip(MISSING)
    if not has_engine():
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    folder = tmp_path_factory.mktemp("browser")
    urls = {lang: Path(word_map(lang).save(folder / f"{lang}.html")).as_uri() for lang in ("en", "es")}
    with Browser(folder) as browser:
        yield browser, urls


def opened(page, lang):
    browser, urls = page
    browser.resize(1300, 900)
    browser.open("about:blank")
    browser.open(urls[lang])
    assert browser.run("return pynn_words.ready.then(() => document.getElementById('note').textContent)") == ""
    return browser


def quiet(browser):
    assert browser.messages() == []
    assert {url.split(":")[0] for url in browser.requests()} <= {"file", "about"}


def test_company_is_counted_on_both_sides():
    words, counts = company(["a b c d", "a b"], window=2)
    assert words == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(counts, [[0, 2, 1, 0], [2, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 0]])


def test_a_language_says_of_each_pair_what_it_says_of_others():
    for language in LANGUAGE.values():
        sentences, groups = language.sentences(), language.groups.values()
        assert len(set(sentences)) == len(sentences)
        assert all(len(words.split()) == len(frames) for _, rows, frames in groups for words in rows)
        assert len(language.analogies()) == sum(len(rows) * (len(rows) - 1) for _, rows, _ in groups)


@pytest.mark.parametrize(
    ("lang", "three", "answer"),
    [("en", ["man", "woman", "king"], "queen"), ("es", ["francia", "par\u00eds", "jap\u00f3n"], "tokio")],
)
def test_analogies_come_out_and_are_those_of_the_vectors(page, lang, three, answer):
    browser = opened(page, lang)
    words, vectors = browser.run("return [pynn_words.words, pynn_words.vectors]")
    vectors = np.array(vectors)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    a, b, c = (units[words.index(word)] for word in three)
    cosines = units @ (b - a + c) / np.linalg.norm(b - a + c)
    found = browser.run("return pynn_words.answers(...arguments)", *three)
    assert found[0][0] == answer
    for word, cosine in found:
        assert cosine == pytest.approx(cosines[words.index(word)], abs=1e-5)
    assert not set(three) & {word for word, _ in found}
    assert browser.run("return pynn_words.right()") > 0.9 * len(LANGUAGE[lang].analogies())
    quiet(browser)


def test_it_forgets_and_learns_again(page):
    browser = opened(page, "en")
    place = "[...document.querySelectorAll('#map text')].map((one) => one.getAttribute('x') + one.getAttribute('y'))"
    before, few = browser.run(f"pynn_words.fresh(); return [{place}, pynn_words.right()]")
    assert few < 10
    after, loss = browser.run(f"pynn_words.epochs(150); pynn_words.show(); return [{place}, pynn_words.loss]")
    assert after != before
    assert loss < 2
    assert browser.run("return pynn_words.right()") > 45
    quiet(browser)


def test_a_word_is_chosen_by_mouse_and_keyboard(page):
    browser = opened(page, "es")
    label = "[...document.querySelectorAll('#map text')].find((one) => one.textContent === 'madre')"
    browser.run(f"{label}.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter' }}))")
    assert (
        browser.run("return document.getElementById('h-near').textContent") == "Lo m\u00e1s cercano a \u00abmadre\u00bb"
    )
    told = browser.run("return [...document.querySelectorAll('#sentences li')].map((one) => one.textContent)")
    assert "la madre cuenta cuentos de noche" in told
    browser.run("const s = document.getElementById('of'); s.value = 'four'; s.dispatchEvent(new Event('change'))")
    assert (
        browser.run(
            "return [...document.querySelectorAll('#map text')].filter((one) => one.style.display !== 'none').length"
        )
        == 4
    )
    browser.run("document.getElementById('lang').click()")
    assert browser.run("return document.title") == "Word vectors"
    assert browser.run(
        "return [...document.querySelectorAll('button, select')].every((one) => one.labels?.length || "
        "one.textContent.trim())"
    )
    quiet(browser)


@pytest.mark.parametrize("width", [400, 800, 1300])
def test_nothing_is_wider_than_the_page(page, width):
    browser = opened(page, "es")
    browser.resize(width, 900)
    assert browser.run("return document.documentElement.scrollWidth") <= width
    quiet(browser)
