"""The page of letters in a browser: its gates and probabilities are Python's, and it learns what is to follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from browser import MISSING, Browser

from pynn import nn, ops, optim
from pynn.cli import main
from pynn.errors import DataError
from pynn.viz import letters as source
from pynn.viz.letters import TEXTS, letters, windows
from pynn.web import has_engine


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a browser, and the address of the page in Spanish."""
    if MISSING:
        pytest.skip(MISSING)
    if not has_engine():
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    folder = tmp_path_factory.mktemp("browser")
    url = Path(letters("es").save(folder / "letters.html")).as_uri()
    with Browser(folder) as browser:
        yield browser, url


def opened(page):
    browser, url = page
    browser.resize(1300, 900)
    browser.open("about:blank")
    browser.open(url)
    note = browser.run("return pynn_letters.ready.then(() => document.getElementById('note').textContent)")
    assert note == ""
    return browser


def quiet(browser):
    assert browser.messages() == []
    assert {url.split(":")[0] for url in browser.requests()} <= {"file", "about"}


def weights_of(browser):
    found = browser.run(
        "return Object.values(pynn_letters.model.weights()).map((w) => [w.shape, Array.from(w.values)])"
    )
    return [np.array(values, "float32").reshape(shape) for shape, values in found]


def gates_of(weights, ids):
    """Return gates, memory, output and probabilities of each letter, as NumPy has them."""
    table, w, u, b, kernel, bias = weights
    h, c, rows = np.zeros(len(u)), np.zeros(len(u)), []
    for letter in ids:
        i, f, g, o = np.split(table[letter] @ w + h @ u + b, 4)
        i, f, o, g = *(1 / (1 + np.exp(-z)) for z in (i, f, o)), np.tanh(g)
        c = f * c + i * g
        h = o * np.tanh(c)
        p = np.exp(h @ kernel + bias)
        rows.append({"i": i, "f": f, "g": g, "o": o, "c": c, "h": h, "next": p / p.sum()})
    return rows


def test_gates_and_probabilities_are_those_of_the_network(page):
    browser = opened(page)
    alphabet = browser.run("return pynn_letters.alphabet")
    assert alphabet == sorted(set(TEXTS["es"]))
    text = "con diez ca\u00f1ones"
    found = browser.run("return pynn_letters.read(Array.from(arguments[0]))", text)
    ids = [alphabet.index(letter) for letter in text]
    weights = weights_of(browser)
    for mine, theirs in zip(found, gates_of(weights, ids), strict=True):
        for name, expected in theirs.items():
            np.testing.assert_allclose(mine[name], expected, atol=2e-5, err_msg=name)
    table, w, u, b, *_ = weights
    y, *_ = ops.lstm(table[ids][None], w, u, b)
    np.testing.assert_allclose([one["h"] for one in found], y.numpy()[0], atol=1e-6)
    assert alphabet[int(np.argmax(found[-1]["next"]))] == " "
    quiet(browser)


def test_it_writes_the_poem_on_and_learns_it_anew_as_python_does(page):
    browser = opened(page)
    field = "document.getElementById('text').value"
    browser.run(f"{field} = 'con diez ca'; document.getElementById('text').dispatchEvent(new Event('input'))")
    assert browser.run(f"pynn_letters.write(12); return {field}") == "con diez ca\u00f1ones por ba"
    losses = browser.run(
        "const p = pynn_letters; p.fresh(); return [10, 10].map((n) => { p.epochs(n); return p.loss })"
    )
    assert losses[1] < losses[0] < 3
    weights, exact = weights_of(browser), browser.run("return pynn_letters.model.exact")
    read, n = TEXTS["es"], len(set(TEXTS["es"]))
    x, y = windows(np.array([sorted(set(read)).index(letter) for letter in read], np.int32))
    layers = [nn.Embedding(n, source.EMBEDDING, seed=1), nn.LSTM(source.UNITS, return_sequences=True, seed=2)]
    model = nn.Sequential([nn.Input((source.LENGTH,)), *layers, nn.Dense(n, activation="softmax", seed=3)])
    model.compile(optim.Adam(source.RATE), "sparse_categorical_crossentropy", seed=0)
    model.fit(x, y, epochs=20, batch_size=source.BATCH, verbose=0)
    for mine, theirs in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=0 if exact else 1e-2, rtol=0)
    quiet(browser)


def test_unknown_letters_and_keys(page):
    browser = opened(page)
    browser.run(
        "const t = document.getElementById('text'); t.value = 'MAR \u00c0 $ 7'; t.dispatchEvent(new Event('input'))"
    )
    assert "$ 7" in browser.run("return document.getElementById('note').textContent")
    assert browser.run("return pynn_letters.letters.join('')") == "mar a  "
    press = "document.getElementById('letters').dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0] }));"
    assert browser.run(f"{press} return pynn_letters.at", "Home") == 0
    assert browser.run(f"{press} return pynn_letters.at", "ArrowRight") == 1
    assert browser.run("return document.activeElement.getAttribute('aria-label')") == "letra 2: a"
    assert "f\u00b7c\u208b + i\u00b7g" in browser.run("return document.getElementById('sums').textContent")
    browser.run("const t = document.getElementById('text'); t.value = ''; t.dispatchEvent(new Event('input'))")
    browser.run("document.getElementById('lang').click()")
    assert browser.run("return document.title") == "An LSTM reads letters"
    assert browser.run(
        "return [...document.querySelectorAll('button, input, select, canvas')].every((one) => one.labels?.length || "
        "one.textContent.trim() || one.getAttribute('aria-label'))"
    )
    quiet(browser)


@pytest.mark.parametrize("width", [400, 800, 1300])
def test_nothing_is_wider_than_the_page(page, width):
    browser = opened(page)
    browser.resize(width, 900)
    browser.run("const t = document.getElementById('text'); t.value = 'viento en popa, a toda vela '.repeat(3)")
    browser.run("document.getElementById('text').dispatchEvent(new Event('input'))")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    quiet(browser)


def test_texts_of_ones_own(tmp_path, capsys):
    with pytest.raises(DataError, match=r"at least 120 letters.*Received: 5,"):
        letters(text="short")
    with pytest.raises(DataError, match="at most 80 different"):
        letters(text="".join(chr(1000 + i) for i in range(200)))
    assert main(["playground", "--page", "words", "--data", "x.csv"]) == 2
    assert "--data with --page network or letters" in capsys.readouterr().err
    for n in (120, 500, 5000):
        x, y = windows(np.arange(n, dtype=np.int32))
        assert len(x) % source.BATCH == 0 < len(x) <= source.MOST_WINDOWS
        np.testing.assert_array_equal(y[:, 0], x[:, 1])
        assert n - x[-1, -1] < 0.3 * n  # it reads nearly all
    if not has_engine():
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    file, out = tmp_path / "own.txt", tmp_path / "own.html"
    file.write_text("Tick tock, goes the clock. " * 6, encoding="utf-8")
    assert main(["playground", "--page", "letters", "--data", str(file), "--out", str(out)]) == 0
    assert "tick tock, goes the clock. tick" in out.read_text(encoding="utf-8")
