"""The command pynn, run as its users run it, and the recipes behind it."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn import recipes
from pynn.recipes import files

ROOT = Path(pynn.__file__).parents[1]
FILES = {"model.pynn", "history.csv", "history.png", "confusion.png", "mistakes.png"}


def environment(**more):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {name: value for name, value in os.environ.items() if name not in ("PYNN_DATA", "PYNN_DEBUG")}
    return {**kept, "PYTHONPATH": path, **more}


@pytest.fixture
def command(tmp_path):
    """Return a function that runs ``pynn`` in an empty folder."""
    folder = tmp_path / "cwd"
    folder.mkdir()

    def command(*arguments, **env):
        return subprocess.run(
            [sys.executable, "-m", "pynn", *map(str, arguments)],
            cwd=folder,
            env=environment(**env),
            capture_output=True,
            text=True,
            timeout=120,
        )

    return command


def test_version_list_and_info(command):
    assert command("--version").stdout == f"pynn {pynn.__version__}\n"
    listed = command("list")
    assert listed.returncode == 0
    for recipe in recipes.known():
        line = next(line for line in listed.stdout.splitlines() if line.startswith(f"{recipe.name} "))
        assert line.endswith(recipe.measure.text(recipe.expected))
    assert max(map(len, listed.stdout.splitlines())) <= 130
    info = command("info", PYNN_NUM_THREADS="1", PYNN_ISA="generic").stdout
    for pattern in (f"pynn +{pynn.__version__}", f"NumPy +{np.__version__}", "ISA +generic", "threads +1 ", "BLAS +."):
        assert re.search(pattern, info)


def test_help_names_every_command_and_option(command):
    assert all(word in command("--help").stdout for word in ("run", "list", "info"))
    text = command("run", "--help").stdout
    options = ("RECIPE", "--data", "--epochs", "--batch-size", "--threads", "--seed", "--out", "--json", "--quiet")
    assert all(option in text for option in options)


def test_list_imports_nothing_heavy():
    heavy = ("sklearn", "matplotlib", "pooch", "scipy.linalg", "safetensors")
    code = (
        "import sys; from pynn.cli import main; main(['list'])\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]; assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], env=environment(), check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["rnu"], "invalid choice: 'rnu'"),
        (["run", "digist"], "unknown recipe. Received: 'digist'. help: did you mean 'digits'?"),
        (["run", "digits", "--epochs", "0"], "--epochs: expected an integer of 1 or more. Received: '0'."),
        (["run", "digits", "--epochs", "two"], "Received: 'two'."),
        (["run", "digits", "--epochs", "1e3"], "Received: '1e3'."),
        (["run", "digits", "--epochs", "99999999999"], "less than 2147483648"),
        (["run", "digits", "--batch-size", "-1"], "--batch-size: expected an integer of 1 or more. Received: '-1'."),
        (["run", "digits", "--threads", "0"], "--threads: expected an integer of 1 or more. Received: '0'."),
        (["run", "digits", "--seed", "-1"], "--seed: expected an integer of 0 or more. Received: '-1'."),
        (["run", "digits", "--colour", "red"], "unrecognized arguments: --colour red"),
        (["run", "mnist-mlp", "--data", "nowhere"], "there is no such folder"),
        (["run", "mnist-softmax", "--data", "."], "train-images-idx3-ubyte.gz"),
    ],
)
def test_bad_usage_is_one_message_and_status_2(command, arguments, message):
    done = command(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert "Traceback" not in done.stderr


@pytest.fixture(params=["module", "script"])
def started(request, tmp_path):
    """The two ways to start the command."""
    if request.param == "module":
        return [sys.executable, "-m", "pynn"]
    script = tmp_path / "pynn"  # as an installer writes it
    script.write_text("import sys\nfrom pynn.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    return [sys.executable, str(script)]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("PYNN_NUM_THREADS", "many", "PYNN_NUM_THREADS must be a positive integer. Received: 'many'."),
        ("PYNN_ISA", "avx3", "PYNN_ISA: unknown instruction set. Received: 'avx3'"),
        ("PYNN_PRECISION", "low", "PYNN_PRECISION: unknown precision. Received: 'low'"),
    ],
)
def test_a_bad_environment_is_one_message_and_status_2(started, variable, value, message, tmp_path):
    options = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 60}
    done = subprocess.run([*started, "list"], env=environment(**{variable: value}), **options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"pynn: error: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert not done.stdout
    debugged = subprocess.run([*started, "list"], env=environment(**{variable: value, "PYNN_DEBUG": "1"}), **options)
    assert debugged.returncode == 1
    assert "Traceback" in debugged.stderr
    # Somebody's program, or another module, is no command: it gets the exception, to catch or not.
    code = "try:\n    import pynn\nexcept ValueError as error:\n    print(error)"
    caught = subprocess.run([sys.executable, "-c", code, "pynn"], env=environment(**{variable: value}), **options)
    assert caught.stdout.startswith(message)


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_results_that_cannot_be_written_are_refused_before_the_data_are_read(command, option, tmp_path):
    (tmp_path / "file").write_text("kept")
    done = command("run", "mnist-mlp", "--data", "nowhere", option, tmp_path / "file" / "below")
    assert done.returncode == 2
    assert f"{option} to be a folder" in done.stderr
    assert "a part of it is a file" in done.stderr
    assert "nowhere" not in done.stderr
    assert (tmp_path / "file").read_text() == "kept"


def test_json_into_a_folder_is_refused(command, tmp_path):
    done = command("run", "digits", "--json", tmp_path)
    assert done.returncode == 2
    assert "expected --json to be a file" in done.stderr


def test_debug_keeps_the_traceback(command):
    done = command("run", "digist", PYNN_DEBUG="1")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_digits_from_end_to_end(command, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    out, result_file = tmp_path / "a" / "out", tmp_path / "b" / "result.json"
    done = command("run", "digits", "--epochs", 2, "--seed", 5, "--threads", 1, "--out", out, "--json", result_file)
    assert done.returncode == 0, done.stderr
    for part in ("Dense", "test accuracy", "expected 97% after 60 epochs", "2 epochs", "wrote to"):
        assert part in done.stdout
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in result_file.parent.iterdir()] == ["result.json"]
    result = json.loads(result_file.read_text())
    assert result["recipe"] == "digits"
    assert 0.3 < result["test"]["accuracy"] <= 1
    assert result["test"]["loss"] > 0
    assert (result["epochs"], result["seed"], result["threads"]) == (2, 5, 1)
    assert (result["version"], result["parameters"]) == (pynn.__version__, 64 * 64 + 64 + 64 * 10 + 10)
    assert result["train_seconds"] > 0
    rows = list(csv.DictReader((out / "history.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert 0 < float(rows[1]["val_accuracy"]) <= 1
    for name, values in result["details"]["curves"].items():
        assert values == [round(float(row[name]), 5) for row in rows], name
    assert {"loss", "val_accuracy"} <= set(result["details"]["curves"])
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in FILES if name.endswith(".png"))
    weights = load(out)
    assert sum(weight.size for weight in weights.values()) == result["parameters"]
    assert all(re.fullmatch(r"layers\.\d+\.[wb]", name) for name in weights)


def load(folder):
    from safetensors.numpy import load_file

    return load_file(folder / "model.pynn")


def test_the_same_seed_gives_the_same_bits_for_any_number_of_threads(command, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    for folder, seed, threads in (("one", 0, 1), ("two", 0, 2), ("other", 1, 1)):
        arguments = ("--epochs", 1, "--seed", seed, "--threads", threads, "--out", tmp_path / folder)
        assert command("run", "digits", "--quiet", *arguments).returncode == 0
    one, two, other = (load(tmp_path / folder) for folder in ("one", "two", "other"))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)


def test_xor_shows_the_failure_and_the_success(command, tmp_path):
    pytest.importorskip("matplotlib")
    done = command("run", "xor", "--out", tmp_path / "out", "--json", tmp_path / "result.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["test"]["accuracy"] >= 0.99
    assert 0.2 <= result["details"]["perceptron"]["accuracy"] <= 0.8
    assert "perceptron: test accuracy" in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*FILES, "frontier.png"}


def test_quiet_prints_one_line_and_writes_nothing_unasked(command, tmp_path):
    done = command("run", "xor", "--quiet", "--epochs", 1, "--batch-size", 100)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert done.stdout.startswith("xor: test accuracy")
    assert done.stderr == ""
    assert list((tmp_path / "cwd").iterdir()) == []


@pytest.fixture
def small_mnist(tmp_path):
    """Return a folder with a small made-up MNIST: one bright row for each class."""
    (tmp_path / "mnist").mkdir()
    for part, n in (("train", 200), ("t10k", 50)):
        y = np.arange(n, dtype=np.uint8) % 10
        x = np.zeros((n, 28, 28), np.uint8)
        x[np.arange(n), 2 * y] = 255
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            (tmp_path / "mnist" / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes()))
    return tmp_path


@pytest.mark.parametrize(("recipe", "parameters"), [("mnist-softmax", 7850), ("mnist-mlp", 669706)])
def test_mnist_recipes_on_a_small_set(command, small_mnist, recipe, parameters):
    pytest.importorskip("matplotlib")
    out, result = small_mnist / "out", small_mnist / "result.json"
    arguments = ("--epochs", 3, "--batch-size", 10, "--data", small_mnist, "--out", out, "--json", result)
    done = command("run", recipe, *arguments)
    assert done.returncode == 0, done.stderr
    got = json.loads(result.read_text())
    assert got["parameters"] == parameters
    assert got["test"]["accuracy"] > 0.9
    assert {path.name for path in out.iterdir()} == FILES


def test_one_epoch_of_the_real_mnist(command, data_dir, tmp_path):
    result = tmp_path / "result.json"
    done = command("run", "mnist-softmax", "--epochs", 1, "--quiet", "--json", result, PYNN_DATA=str(data_dir))
    assert done.returncode == 0, done.stderr
    assert json.loads(result.read_text())["test"]["accuracy"] > 0.85


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("recipe", ["xor", "mnist-mlp"])
def test_ctrl_c_ends_with_130_and_no_traceback(small_mnist, recipe):
    pytest.importorskip("matplotlib")
    out, result = small_mnist / "out", small_mnist / "result.json"
    arguments = [sys.executable, "-u", "-m", "pynn", "run", recipe, "--data", small_mnist, "--epochs", "1000000"]
    arguments += ["--out", out, "--json", result]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = {"xor": "xor:", "mnist-mlp": "epoch +2/"}[recipe]  # by then the first epoch is in the history
    with subprocess.Popen(arguments, env=environment(), cwd=small_mnist, **options) as process:
        while not re.match(line, process.stdout.readline()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not result.exists()
    if recipe == "mnist-mlp":  # what the finished epochs learnt is kept
        assert {path.name for path in out.iterdir()} == FILES


def test_a_reader_that_leaves_is_no_error():
    line = f'"{sys.executable}" -m pynn list | "{sys.executable}" -c "pass"'
    done = subprocess.run(line, shell=True, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_every_recipe_has_a_complete_record():
    for recipe in recipes.known():
        assert recipes.find(recipe.name) is recipe
        assert recipe.shows
        assert recipe.data
        assert recipe.measure.unit != "%" or 0.1 <= recipe.expected <= 1
        assert recipe.epochs > 0
        assert recipe.batch_size > 0


def test_recipes_run_from_python_and_leave_the_threads_alone(capsys):
    threads = pynn.get_num_threads()
    result = recipes.find("xor").run(recipes.Options(epochs=1, threads=1, quiet=True))
    assert (result.recipe, result.epochs, result.threads) == ("xor", 1, 1)
    assert pynn.get_num_threads() == threads
    assert capsys.readouterr().out.startswith("xor: test accuracy")
    with pytest.raises(ValueError, match=r"\[xor\] expected batch_size of 1 or more. Received: 0"):
        recipes.find("xor").run(recipes.Options(batch_size=0))


def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    files.write_json(path, {"a": 1})
    files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}

    def fail(descriptor):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="full"):
        files.write_json(path, {"a": 3})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
