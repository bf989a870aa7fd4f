"""Models for pages: recorded steps as data of C kernels, and the same steps under node with kernels as WebAssembly."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core import _core
from pynn.core.program import placed
from pynn.errors import DataError
from pynn.export import composed, to_web
from pynn.export.web import web_data
from pynn.train.stepping import record_step
from pynn.web import has_engine

ROOT = Path(__file__).parents[1]
NODE = shutil.which("node")
BUILT = has_engine()


def mlp():
    hidden = nn.Dense(4, activation="relu", kernel_regularizer=pynn.regularizers.L2(0.01))
    model = nn.Sequential([nn.Dense(8, activation="tanh"), hidden, nn.Dropout(0.2), nn.Dense(1, activation="sigmoid")])
    return model, "adam", "binary_crossentropy", (2,), 2


def softmax():
    model = nn.Sequential([nn.Dense(8, activation="sigmoid"), nn.Dense(3, activation="softmax")])
    return model, pynn.optim.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy", (2,), 3


def linear():
    return nn.Sequential([nn.Dense(8, activation="elu"), nn.Dense(1)]), "sgd", "mse", (2,), 0


def cnn():
    layers = [nn.Conv2D(4, 3, activation="relu"), nn.MaxPool2D(2), nn.Flatten(), nn.Dense(3, activation="softmax")]
    return nn.Sequential(layers), "adam", "sparse_categorical_crossentropy", (12, 12, 1), 3


def recurrent(*layers, optimizer="adam"):
    def case():
        made = [*(layer() for layer in layers), nn.Dense(3, activation="softmax")]
        return nn.Sequential(made), optimizer, "sparse_categorical_crossentropy", (5, 3), 3

    return case


def soft():
    model = nn.Sequential([nn.Dense(8, activation="tanh"), nn.Dense(3, activation="softmax")])
    return model, "adam", "categorical_crossentropy", (2,), "shares"


PLAIN = {"mlp": mlp, "softmax": softmax, "linear": linear, "cnn": cnn, "soft": soft}
#: Their compositions have kernels that Python has not: node alone runs them.
RECURRENT = {
    "lstm": recurrent(lambda: nn.LSTM(6, return_sequences=True), lambda: nn.LSTM(5, go_backwards=True)),
    "gru": recurrent(lambda: nn.GRU(6, return_sequences=True), lambda: nn.GRU(5)),
    "gru before": recurrent(
        lambda: nn.GRU(6, reset_after=False, return_sequences=True, use_bias=False),
        lambda: nn.GRU(5, reset_after=False, go_backwards=True),
    ),
    "rnn": recurrent(lambda: nn.SimpleRNN(6, return_sequences=True), lambda: nn.SimpleRNN(1, activation="relu")),
    "both ways": recurrent(lambda: nn.Bidirectional(nn.LSTM(4, return_sequences=True)), lambda: nn.GRU(17)),
    "peepholes": recurrent(
        lambda: nn.LSTM(6, peephole=True, return_sequences=True),
        lambda: nn.LSTM(5, peephole=True, go_backwards=True),
    ),
    "dropped lstm": recurrent(lambda: nn.LSTM(6, recurrent_dropout=0.3, dropout=0.2), optimizer="sgd"),
    "dropped gru": recurrent(
        lambda: nn.GRU(6, recurrent_dropout=0.3, return_sequences=True),
        lambda: nn.GRU(5, recurrent_dropout=0.3, reset_after=False),
        optimizer="sgd",
    ),
    "dropped rnn": recurrent(lambda: nn.SimpleRNN(6, recurrent_dropout=0.3), optimizer="sgd"),
    "one unit": recurrent(lambda: nn.LSTM(1, return_sequences=True), lambda: nn.GRU(1)),
    # gradients of large weights are products of their own
    "wide": recurrent(lambda: nn.SimpleRNN(512), optimizer="sgd"),
}
CASES = PLAIN | RECURRENT
#: Case, samples and samples of a batch: sums over many rows go by blocks, and one row has its own products.
RUNS = [(name, 100, 10) for name in CASES] + [(name, *n) for name in RECURRENT for n in ((140, 70), (12, 1))]


def made(name, rows=100):
    """Return a compiled model, and data for it."""
    model, optimizer, loss, shape, classes = CASES[name]()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, *shape)).astype("float32")
    if classes == "shares":
        y = rng.dirichlet(np.ones(3), size=rows)
    else:
        y = rng.integers(classes, size=rows).astype("int32") if classes else rng.normal(size=rows)
    model.compile(optimizer, loss, metrics=["accuracy"] if classes else [], seed=3)
    model.build((None, *shape))
    return model, x, y if classes == 3 else np.asarray(y, "float32")


@pytest.mark.parametrize("name", PLAIN)
def test_compositions_give_the_bits_of_the_kernels_that_they_stand_for(name):
    ends = []
    for change in (lambda recorder: recorder, composed.in_c):
        model, x, y = made(name)
        trainer = model._trainer
        data, order = trainer.data(x, y), np.arange(len(x))
        found = placed(change(record_step(trainer, data, order, 10)))
        kernels = {instr.card.kernel for instr in found.instrs}
        assert bool(kernels & set(composed.COMPOSED)) == (not ends)
        run = _core.Program(*found).start()
        run.bind_all([*data.arrays(), order, *trainer.ledger.buffers])
        assert run.run(8) == (8, 0)
        ends.append([w.numpy() for w in model.parameters()])
    for a, b in zip(*ends, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_kernel_is_one_of_a_page_or_composed_or_left_out():
    kernels = ROOT / "csrc" / "kernels.def"
    if not kernels.exists():
        pytest.skip("needs the source tree")
    text = kernels.read_text()
    parts = [re.search(rf"#define PN_{part}_KERNELS.*?\n\n", text, re.DOTALL)[0] for part in ("HOST", "SINGLE")]
    host = set(re.findall(r"X\((\w+)\)", "".join(parts))) - {"X"}
    rows = set(re.findall(r"^ +X\((\w+)\)", text, re.MULTILINE)) - host
    functions = {f"{name}_{way}" for name in _core.functions() for way in ("fwd", "bwd")}
    for name in _core.kernel_names():
        if name.startswith("mock_"):  # of another test
            continue
        assert (name in rows | functions) != (name in composed.LEFT_OUT or name in composed.COMPOSED), name


def test_data_are_plain_and_the_model_stays_as_it_is():
    model, *_ = made("mlp")
    before = pynn.io.model_file.dumps(model)
    data = web_data(model, train=True, batch_size=10)
    assert pynn.io.model_file.dumps(model) == before
    assert json.loads(json.dumps(data)) == data
    assert data["input"] == {"shape": [2], "dtype": "float32"}
    assert [w["name"] for w in data["weights"]] == [path for path, _ in model.named_parameters()]
    step = data["programs"]["train"]
    assert step["slots"] == ["x", "y", "order", "cursor", "offset", "rate", "sums", "losses", "hits"]
    kernels = [one["kernel"] for one in step["instrs"]]
    assert kernels[:5] == ["batch_rows", "batch_rows", "matmul", "add_fwd", "tanh_fwd"]
    assert kernels[-2:] == ["adam_step", "advance"]
    assert set(web_data(model)["programs"]) == {"predict"}


@pytest.mark.parametrize(
    ("layers", "dtype", "expected"),
    [
        ([nn.Masking(), nn.LSTM(3)], "float32", r"kernels in C.*step_order \(layer"),
        ([nn.Flatten(), nn.Dense(2)], "float64", "expected a model of float32"),
    ],
)
def test_what_no_page_can_run_is_named(layers, dtype, expected):
    model = nn.Sequential([nn.Input((4, 2)), *layers]).astype(dtype)
    with pytest.raises(DataError, match=expected):
        web_data(model)


def test_a_step_needs_a_compiled_model():
    with pytest.raises(DataError, match=r"compiled model.*help: model\.compile"):
        web_data(nn.Sequential([nn.Input((3,)), nn.Dense(2)]), train=True)


def test_a_build_without_kernels_for_pages_says_how_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr("pynn.web.HERE", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"engines\.xz.*help: pip install ziglang.*csrc/web/build\.py"):
        to_web(made("linear")[0], tmp_path / "model.js")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flags", [(), ("--experimental-wasm-relaxed-simd",)])
@pytest.mark.parametrize(("name", "rows", "batch"), RUNS)
def test_node_reaches_the_weights_of_python(name, rows, batch, flags, tmp_path):
    if not NODE:
        pytest.skip("node is not installed")
    if not BUILT:
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    model, x, y = made(name, rows)
    script, types, page = to_web(model, tmp_path / "model.js", train=True, batch_size=batch)
    assert "predict(x" in Path(types).read_text()
    assert 'src="model.js"' in Path(page).read_text()
    case = tmp_path / "case.json"
    case.write_text(json.dumps({"x": x.ravel().tolist(), "y": y.ravel().tolist(), "epochs": 5}))
    history = model.fit(x, y, epochs=5, batch_size=batch, verbose=0).history
    command = [NODE, *flags, ROOT / "tests" / "web.js", script, case]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert not done.stderr, done.stderr
    found = json.loads(done.stdout)
    exact = found["exact"]
    for path, t in model.named_parameters():
        values = np.array(found["weights"][path], "float32").reshape(t.shape)
        if exact:
            np.testing.assert_array_equal(values, t.numpy(), err_msg=path)
        else:
            np.testing.assert_allclose(values, t.numpy(), atol=1e-6, rtol=0, err_msg=path)
    predicted = np.array(found["predicted"]).reshape(model.predict(x).shape)
    np.testing.assert_allclose(predicted, model.predict(x), atol=1e-6, rtol=0)
    np.testing.assert_allclose(found["history"]["loss"], history["loss"], rtol=1e-6)


def test_the_command_writes_a_script_that_predicts(tmp_path, capsys):
    if not BUILT:
        pytest.skip("this build has no kernels for pages: python csrc/web/build.py")
    from pynn.cli import main

    model, *_ = made("softmax")
    model.save(tmp_path / "model.pynn")
    out = tmp_path / "reader.js"
    assert main(["export", str(tmp_path / "model.pynn"), "--to", "web", "--out", str(out), "--train"]) == 0
    assert [line.split(" ")[0] for line in capsys.readouterr().out.splitlines()] == [
        str(tmp_path / f"reader{ending}") for ending in (".js", ".d.ts", ".html")
    ]
    assert main(["export", str(tmp_path / "model.pynn"), "--to", "c", "--out", "a.c", "--train"]) == 2
    assert "--train with --to web alone" in capsys.readouterr().err
