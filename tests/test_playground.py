"""The playground: its steps are those that Python records, and the page works in a real browser."""

from __future__ import annotations

import importlib.util
import itertools
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from browser import MISSING, Browser

from pynn.cli import main
from pynn.errors import DataError
from pynn.viz.playground import Playground, facts, playground, points, recorded
from pynn.viz.widget import _kind
from pynn.web import HERE, has_engine, joined

NODE = shutil.which("node")
SCRIPT = Path(__file__).with_name("playground_steps.js")
MUTATES = ("_step", "advance", "log_loss")
SPECS = [
    ([2, 4, 1], "tanh", "binary_crossentropy", "sgd", 10, 0, 0, 0),
    ([2, 4, 1], "sigmoid", "binary_crossentropy", "nesterov", 10, 0, 0.01, 0),
    ([3, 5, 4, 1], "relu", "mean_squared_error", "adam", 7, 0.001, 0.01, 0.2),
    ([2, 1], "relu", "mean_absolute_error", "momentum", 10, 0, 0, 0),
    ([1, 1, 1], "elu", "binary_crossentropy", "rmsprop", 1, 0.5, 0, 0),
    ([2, 1, 3, 1], "linear", "mean_squared_error", "adagrad", 5, 0, 0, 0.5),
    ([7, 64, 64, 1], "leaky_relu", "binary_crossentropy", "adam", 100, 0, 0, 0),
    ([2, 6, 6, 6, 6, 6, 1], "softsign", "binary_crossentropy", "sgd", 32, 0, 0, 0.1),
]
KEYS = ("sizes", "activation", "loss", "optimizer", "rows", "l1", "l2", "dropout")


def values(step):
    """Return a program with its values numbered in the order of their appearance, wherever they lie."""
    held, fresh, named, rows = {}, itertools.count(), {}, []
    for one in step["instrs"]:
        outs = one["outs"]
        read = one["args"][outs:]
        dims = one.get("dims", [])
        if one["kernel"] == "take_bwd":  # the rows that it adds to are a constant
            read = read[:1]
        if one["kernel"] == "batch_rows":  # the others are what is bound
            dims = dims[:2]
        if one["kernel"].endswith(MUTATES):
            read = read + one["args"][:outs]
        numbers = [a and held.setdefault(tuple(a), next(fresh)) for a in read]
        for a in one["args"][:outs]:
            if a is not None:
                held[tuple(a)] = next(fresh)
        numbers += [a and held[tuple(a)] for a in one["args"][:outs]]
        numbers = [None if n is None else named.setdefault(n, len(named)) for n in numbers]
        scratch = one.get("scratch", [0, 0])[1]
        rows.append([one["kernel"], one["dtype"], dims, one.get("pars", []), one.get("salt", 0), numbers, scratch])
    return rows


def test_the_page_builds_the_steps_that_python_records(tmp_path):
    if not NODE:
        pytest.skip("node is not installed")
    specs = [dict(zip(KEYS, spec, strict=True)) for spec in SPECS]
    scripts, cases = tmp_path / "step.js", tmp_path / "cases.json"
    scripts.write_text(joined(("step.js",), HERE / "js" / "playground"))
    cases.write_text(json.dumps({"facts": facts(), "specs": specs}))
    done = subprocess.run([NODE, SCRIPT, scripts, cases], capture_output=True, text=True, check=False, timeout=60)
    assert not done.stderr, done.stderr
    for spec, built in zip(specs, json.loads(done.stdout), strict=True):
        step = recorded(**spec)["programs"]["train"]
        assert built["slots"] == step["slots"]
        for mine, theirs in itertools.zip_longest(values(built), values(step)):
            assert mine == theirs, spec


@pytest.mark.parametrize(
    ("X", "y", "expected"),
    [
        (np.zeros((5, 3)), np.zeros(5), r"X of shape \[n, 2\].*\(5, 3\)"),
        (np.zeros((5, 2)), np.zeros(4), r"y\.shape=\(4,\)"),
        (np.full((5, 2), np.nan), np.zeros(5), "finite numbers"),
    ],
)
def test_points_are_checked(X, y, expected):
    with pytest.raises(DataError, match=expected):
        points(X, y)


def test_points_are_classes_or_numbers():
    x = np.arange(12.0).reshape(6, 2)
    assert points(x, list("abbaab"))[0][1] == [2.0, 3.0, 1.0]
    assert not points(x, [3, 7, 7, 3, 3, 7])[1]
    assert points(x, range(6))[1]
    assert len(points(np.zeros((3000, 2)), np.arange(3000) % 2)[0]) == 2000


def test_the_command_names_the_line_that_it_cannot_read(tmp_path, capsys):
    file = tmp_path / "points.csv"
    file.write_text("a,b,class\n1,2,yes\n3,4,no\nx,1,yes\n")
    assert main(["playground", "--data", str(file), "--out", str(tmp_path / "p.html")]) == 2
    assert "line 4: expected two numbers and a target. Received: 'x,1,yes'" in capsys.readouterr().err
    file.write_text("1,2,yes\n3,4,no\n5,6,perhaps\n7,8,no\n")
    assert main(["playground", "--data", str(file), "--out", str(tmp_path / "p.html")]) == 2
    assert "Received: 3 classes" in capsys.readouterr().err


def test_both_languages_have_all_texts(tmp_path):
    if not NODE:
        pytest.skip("node is not installed")
    check = tmp_path / "words.js"
    words = (HERE / "js" / "playground" / "words.js").read_text(encoding="utf-8").replace("export ", "")
    walk = "const keys = (o) => Object.entries(o).flatMap(([k, v]) => (typeof v === 'object' ? [k, keys(v)] : k));"
    check.write_text(f"{words}\n{walk}\nconsole.log(JSON.stringify([keys(WORDS.en), keys(WORDS.es)]))")
    done = subprocess.run([NODE, check], capture_output=True, text=True, check=True, timeout=60)
    english, spanish = json.loads(done.stdout)
    assert english == spanish


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a browser with the playground in it, and its address."""
    if MISSING:
        pytest.skip(MISSING)
    if not has_engine():
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    folder = tmp_path_factory.mktemp("browser")
    url = Path(playground(lang="es").save(folder / "playground.html")).as_uri()
    with Browser(folder) as browser:
        browser.resize(1300, 900)
        yield browser, url


def opened(page, end=""):
    browser, url = page
    browser.open("about:blank")
    browser.open(url + end)
    assert browser.run("return pynn_playground.ready.then(() => document.getElementById('note').textContent)") == ""
    return browser


def quiet(browser):
    """Hold the page to saying nothing on the console and asking for nothing but itself."""
    assert browser.messages() == []
    assert {url.split(":")[0] for url in browser.requests()} <= {"file", "about"}


def test_it_starts_from_the_disk_and_asks_for_nothing(page):
    browser = opened(page)
    assert browser.run("return document.documentElement.lang") == "es"
    assert browser.run("return document.title").startswith("Un campo de juego")
    assert browser.run(
        "return [...document.querySelectorAll('button, input, select')].every((one) => one.labels?.length || "
        "one.textContent.trim() || one.getAttribute('aria-label') || one.getAttribute('aria-labelledby'))"
    )
    quiet(browser)


def test_every_example_comes_to_what_it_states(page):
    browser = opened(page)
    reached = browser.run(
        """
        const found = {}, page = pynn_playground;
        return (async () => {
          for (const [name, { reaches }] of Object.entries(page.presets)) {
            await page.preset(name);
            page.net.run(reaches.epochs);
            const train = page.net.measure("train"), { sizes } = page.net.spec;
            const zero = (l, i) => page.net.values(`train.a${l}`).every((v, k) => k % sizes[l] !== i || v === 0);
            const dead = sizes.slice(1, -1).flatMap((n, l) => Array.from({ length: n }, (_, i) => zero(l + 1, i)))
              .filter(Boolean).length;
            found[name] = { ...reaches, now: train.loss, right: train.accuracy, zero: dead };
          }
          return found;
        })();
        """
    )
    assert set(reached) >= {"xnor", "lines", "vanishing", "overfit", "dead", "badinit"}
    for name, r in reached.items():
        assert r.get("accuracy", 0) <= (r["right"] or 0), (name, r)
        assert r["now"] <= r.get("loss", np.inf), (name, r)
        assert r["zero"] >= r.get("dead", 0), (name, r)
        assert (r["right"] or 0) < r.get("below", 2), (name, r)
        assert r["now"] > r.get("stays", -1), (name, r)
    quiet(browser)


def test_examples_on_other_pages_say_how_to_open_them(page):
    browser = opened(page)
    for name in ("descent", "convolution", "letters", "words"):
        browser.run(
            f"const s = document.getElementById('preset'); s.value = '{name}'; s.dispatchEvent(new Event('change'))"
        )
        said = browser.run("return document.getElementById('note').textContent")
        assert said.endswith(f"pynn playground --page {name}")
    quiet(browser)


def test_a_weight_that_is_edited_moves_the_frontier(page):
    browser = opened(page)
    picture = "pynn_playground.draw(); return document.getElementById('surface').toDataURL()"
    before = browser.run(picture)
    browser.run("document.querySelector('#lines .hit').dispatchEvent(new Event('click'))")
    browser.run("const v = document.getElementById('value'); v.value = '-3.5'; v.dispatchEvent(new Event('input'))")
    assert browser.run("return pynn_playground.net.parameter('kernel1')[0]") == -3.5
    assert browser.run(picture) != before
    browser.run("for (const value of [Infinity, NaN, '', 'x']) pynn_playground.edit(value)")
    assert browser.run("return pynn_playground.net.parameter('kernel1')[0]") == -3.5
    quiet(browser)


def test_an_address_brings_everything_back(page):
    browser = opened(page)
    browser.run("return pynn_playground.preset('spiral')")
    browser.run("document.querySelector('#lines .hit').dispatchEvent(new Event('click')); pynn_playground.edit(0.25)")
    end = browser.run("return location.hash")
    state = "const p = pynn_playground; return JSON.stringify([p.spec, p.net.weights()])"
    before = browser.run(state)
    opened((browser, page[1]), end)
    assert browser.run(state) == before
    browser.open("about:blank")
    browser.open(page[1] + "#v=99&layers=100,100,100,100,100,100,100,100,100,100&activation=nothing&rate=x")
    browser.run("return pynn_playground.ready")
    assert "otra versión" in browser.run("return document.getElementById('note').textContent")
    assert browser.run("return pynn_playground.spec.layers") == [64] * 8
    assert browser.run("return pynn_playground.spec.activation") == "tanh"
    quiet(browser)


@pytest.mark.parametrize(
    "end",
    [
        "#v=1&optimizer=adam&rate=0.02&layers=5,3&batch=20",
        "#v=1&activation=relu&dropout=0.2&l2=0.001&optimizer=momentum&batch=10&features=x1,x2,x1x2",
        "#v=1&set=hills&loss=mean_squared_error&batch=32&optimizer=rmsprop&rate=0.01",
    ],
)
def test_the_script_that_it_shows_reaches_its_weights(page, end, tmp_path):
    browser = opened(page, end)
    browser.run("pynn_playground.net.run(Math.ceil(100 / pynn_playground.net.batches))")
    script, weights, exact = browser.run(
        "const p = pynn_playground; return [p.script(), Object.entries(p.net.weights()), p.net.engine.fused]"
    )
    file = tmp_path / "same.py"
    file.write_text(script)
    model = runpy.run_path(str(file))["model"]
    for t, (name, mine) in zip(model.parameters(), weights, strict=True):
        theirs, mine = t.numpy().ravel(), np.array(mine, "float32")
        if exact:
            np.testing.assert_array_equal(theirs, mine, err_msg=name)
        else:
            np.testing.assert_allclose(theirs, mine, atol=1e-6, rtol=0, err_msg=name)


def test_the_numbers_of_a_backward_pass_are_those_of_python(page):
    browser = opened(page, "#v=1&layers=3")
    rows, weights = browser.run("const p = pynn_playground; return [p.net.trace([1, 2, 1]), p.net.weights()]")
    w1, b1, w2, b2 = (np.array(weights[key]) for key in ("kernel1", "bias1", "kernel2", "bias2"))
    z1 = np.array([1.0, 2.0]) @ w1.reshape(2, 3) + b1
    a1 = np.tanh(z1)
    z2 = a1 @ w2 + b2
    delta = 1 / (1 + np.exp(-z2)) - 1
    expected = [(z1, a1, delta * w2 * (1 - a1**2)), (z2, delta + 1, delta)]
    for row, (z, a, d) in zip(rows, expected, strict=True):
        np.testing.assert_allclose(row["z"], z, rtol=1e-5)
        np.testing.assert_allclose(row["a"], a, rtol=1e-5)
        np.testing.assert_allclose(row["delta"], d, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rows[1]["dW"], delta * a1, rtol=1e-4)


def test_tables_are_read_sampled_and_refused(page):
    browser = opened(page)
    read = (
        "return pynn_playground.give(pynn_playground.csv(arguments[0])).then(() => [pynn_playground.net.train.length + "
    )
    read += "pynn_playground.net.test.length, pynn_playground.net.spec.loss])"
    assert browser.run(read, "a,b,c\n" + "1,2,yes\n3,4,no\n" * 10) == [20, "binary_crossentropy"]
    assert browser.run(read, "".join(f"{i},{i},{i / 7}\n" for i in range(10)))[1] == "mean_squared_error"
    many = "".join(f"{i % 10},{i % 7},{i % 2}\n" for i in range(100_000))
    assert 1500 < browser.run(read, many)[0] < 2500
    for bad in ("one,two,three\nfour,five,six\n", "1,2\n3,4\n5,6\n7,8\n", ""):
        with pytest.raises(RuntimeError, match="CSV"):
            browser.run(read, bad)


def test_browsers_without_relaxed_simd_train_too_and_those_without_any_are_told(page):
    browser = opened(page)
    browser.run("globalThis.validate = WebAssembly.validate.bind(WebAssembly)")
    browser.run("let n = 0; WebAssembly.validate = (bytes) => n++ > 0 && validate(bytes)")
    run = "const p = pynn_playground; return p.make().then(() => { p.net.run(100);"
    run += "return [p.net.engine.fused, p.net.measure('train')] })"
    fused, measured = browser.run(run)
    assert not fused
    assert measured["accuracy"] > 0.95
    browser.run("WebAssembly.validate = () => false")
    assert "has no SIMD" in browser.run("return pynn_playground.make().catch((error) => error.message)")
    quiet(browser)


@pytest.mark.parametrize("width", [400, 800, 1300])
def test_nothing_is_wider_than_the_page(page, width):
    browser = opened(page)
    browser.resize(width, 900)
    browser.run(
        "for (const one of document.querySelectorAll('details')) one.open = true;"
        "pynn_playground.layout(); pynn_playground.draw()"
    )
    assert browser.run("return document.documentElement.scrollWidth") <= width
    quiet(browser)


def test_long_training_takes_no_more_memory(page):
    """`python -m bench.pages --seconds 600` watches the heap for ten minutes."""
    browser = opened(page)
    held = "pynn_playground.draw(); return [pynn_playground.net.engine.memory.buffer.byteLength,"
    held += "document.querySelectorAll('*').length]"
    before = browser.run(held)
    longest = browser.run(
        """
        const { net } = pynn_playground;
        let longest = 0;
        for (let i = 0; i < 1500; i++) {
          net.run(1);
          net.note();
          longest = Math.max(longest, net.history.train.length, net.history.test.length);
        }
        return longest;
        """
    )
    assert 300 <= longest <= 601
    assert browser.run(held) == before
    quiet(browser)


def test_a_notebook_shows_a_page_that_runs(page, tmp_path):
    browser, _ = page
    file = tmp_path / "notebook.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{playground(lang='es')._repr_html_()}", encoding="utf-8")
    browser.open(file.as_uri())
    said = browser.run(
        """
        globalThis.told = [];
        addEventListener("message", ({ data }) => told.push(data));
        return new Promise((go) => setTimeout(() => go(told.length && told.at(-1).pynn), 3000));
        """
    )
    assert said == "state"  # which it tells after its first picture
    assert browser.messages() == []


def test_a_notebook_is_told_what_becomes_of_the_network(page):
    """The widget's script as anywidget runs it, on a model that keeps what it is given."""
    browser, url = page
    esm = (HERE / "js" / "widget.js").read_text(encoding="utf-8")
    text = Path(unquote(urlsplit(url).path)).read_text(encoding="utf-8")
    browser.open("about:blank")
    browser.run(
        """
        const [esm, page] = arguments, traits = { page, title: "pynn", height: 700 };
        globalThis.told = { saved: 0 };
        const keep = (key, value) => { told[key] = value; };
        const model = { get: (key) => traits[key], set: keep, save_changes: () => { told.saved++; } };
        const script = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
        return import(script).then(async ({ default: { render } }) => {
          globalThis.leave = render({ model, el: document.body });
          while (!told.saved) await new Promise((go) => setTimeout(go, 20));
        });
        """,
        esm,
        text,
    )
    assert browser.run("return document.querySelector('iframe').style.height") == "700px"
    told = browser.run("return told")
    assert told["epoch"] == 0
    assert told["settings"]["layers"] == [4]
    assert [one["shape"] for one in told["parameters"]] == [[2, 4], [4], [4, 1], [1]]
    assert "model.fit" in told["script"]
    before = browser.run("leave(); postMessage({ pynn: 'state', epoch: 7 }, '*'); return told.saved")
    assert browser.run("return new Promise((go) => setTimeout(() => go(told.saved), 100))") == before
    assert browser.messages() == []


def test_widgets_need_anywidget_and_hold_what_the_page_says(monkeypatch):
    shown = Playground("<p>page</p>")
    if importlib.util.find_spec("anywidget"):
        made = shown.widget(height=500)
        assert (made.page, made.height, made.settings) == ("<p>page</p>", 500, {})
        made.set_state({"parameters": [{"name": "kernel1", "shape": [2, 1], "values": [1.0, 2.0]}], "epoch": 3})
        assert made.epoch == 3
        np.testing.assert_array_equal(made.arrays()[0], np.array([[1], [2]], "float32"))
        assert "srcdoc" in made._esm
    monkeypatch.setitem(sys.modules, "anywidget", None)
    _kind.cache_clear()
    with pytest.raises(ImportError, match=r'\[viz\] widgets need anywidget\. help: pip install "pynn-dl\[notebook\]"$'):
        shown.widget()
    _kind.cache_clear()
