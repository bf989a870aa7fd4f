"""``pynn summary`` and ``pynn predict``."""

import csv
import io

import numpy as np
import pytest

import pynn
from pynn import cli, nn


@pytest.fixture
def command(capsys):
    """Run a command; return its status, standard output and standard error."""

    def run(*arguments):
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def saved(tmp_path):
    """A model of three classes on four numbers, and its file."""
    model = nn.Sequential([nn.Input((4,)), nn.Dense(5, activation="tanh"), nn.Dense(3, activation="softmax")])
    model.compile("adam", "cross_entropy", seed=0)
    path = tmp_path / "model.pynn"
    model.save(path, metadata={"classes": ["a", "b", "c"], "long": "x" * 100})
    return model, path


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_summary(command, saved):
    _, path = saved
    status, out, _ = command("summary", path)
    assert status == 0
    assert "4 tensors, 43 numbers" in out
    assert f"pynn {pynn.__version__}, format version 1" in out
    assert "0 updates with Adam(" in out
    assert 'classes=["a", "b", "c"]' in out
    assert "43 parameters" in out
    assert "x" * 60 not in out


def test_summary_of_models_without_an_input_and_of_checkpoints(command, tmp_path):
    model = nn.Sequential([nn.Embedding(7, 2), nn.GRU(3), nn.Dense(2)])
    model.compile("adam", "mse", seed=0)
    saver = pynn.train.ModelCheckpoint(tmp_path / "all", every_batches=1)
    model.fit(np.ones((40, 5), "int32"), np.ones((40, 2)), epochs=2, verbose=0, callbacks=[saver])
    model.save(tmp_path / "small.pynn", include_optimizer=False)
    status, out, _ = command("summary", tmp_path / "small.pynn")
    assert (status, "for predictions alone" in out) == (0, True)
    status, out, _ = command("summary", *(tmp_path / "all").glob("step-*"))
    assert status == 0
    assert "4 updates" in out
    assert "a checkpoint in epoch 3, batch 0" in out


def test_predict_tables_and_arrays(command, saved, tmp_path, rng):
    model, path = saved
    x = rng.normal(size=(5, 4))
    expected = model.predict(x)
    np.savetxt(tmp_path / "plain.csv", x, delimiter=",", fmt="%.17g")
    np.savetxt(tmp_path / "named.csv", x, delimiter=";", fmt="%.17g", header="p;q;r;s", comments="")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "one.npy", x[0])
    for name in ("plain.csv", "named.csv", "x.npy"):
        status, out, _ = command("predict", path, "--input", tmp_path / name)
        assert status == 0
        found = rows(out)
        assert [row["class"] for row in found] == ["abc"[i] for i in expected.argmax(axis=1)]
        assert (np.array([[float(row[c]) for c in "abc"] for row in found], "float32") == expected).all()
    assert len(rows(command("predict", path, "--input", tmp_path / "one.npy")[1])) == 1
    assert command("predict", path, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.csv")[:2] == (0, "")
    assert len(rows((tmp_path / "y.csv").read_text())) == 5
    assert command("predict", path, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy")[0] == 0
    assert (np.load(tmp_path / "y.npy") == expected).all()


def test_classes_have_their_names_and_probabilities(command, tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n-3,4\n")
    x = np.array([[1, 2], [-3, 4]], "float32")
    two = nn.Sequential([nn.Input((2,)), nn.Dense(1, activation="sigmoid")])
    two.save(tmp_path / "two.pynn", metadata={"classes": ["no", "yes"]})
    found = rows(command("predict", tmp_path / "two.pynn", "--input", tmp_path / "x.csv")[1])
    assert [(row["class"], float(row["yes"])) for row in found] == [
        ("yes" if p > 0.5 else "no", float(f"{p:.9g}")) for p in two.predict(x)[:, 0]
    ]
    assert all(abs(float(row["no"]) + float(row["yes"]) - 1) < 1e-6 for row in found)
    three = nn.Sequential([nn.Input((2,)), nn.Dense(3, activation="softmax")])
    three.save(tmp_path / "three.pynn", metadata={"classes": [3, 5, 7]})
    found = rows(command("predict", tmp_path / "three.pynn", "--input", tmp_path / "x.csv")[1])
    assert [row["class"] for row in found] == [str((3, 5, 7)[i]) for i in three.predict(x).argmax(axis=1)]


@pytest.mark.parametrize(
    ("units", "loss", "activation"),
    [(3, "cross_entropy", "softmax"), (1, "binary_cross_entropy", "sigmoid"), (3, "binary_cross_entropy", "sigmoid")],
)
def test_logits_are_shown_as_the_probabilities_that_they_stand_for(units, loss, activation, command, tmp_path):
    (tmp_path / "x.csv").write_text("1,2\n-3,4\n")
    texts = []
    for last in (None, activation):
        model = nn.Sequential([nn.Input((2,)), nn.Dense(units, activation=last, seed=3)])
        model.compile("adam", loss)
        model.save(tmp_path / "m.pynn", metadata={"classes": ["a", "b", "c"][: max(units, 2)]})
        texts.append(command("predict", tmp_path / "m.pynn", "--input", tmp_path / "x.csv")[1])
    of_logits, of_probabilities = ([list(row.values()) for row in rows(text)] for text in texts)
    assert [row[0] for row in of_logits] == [row[0] for row in of_probabilities]
    numbers = [np.array([row[1:] for row in found], float) for found in (of_logits, of_probabilities)]
    np.testing.assert_allclose(*numbers, rtol=1e-6)


def test_logits_of_one_output_of_several(command, tmp_path):
    x = nn.Input((2,))
    model = nn.Model(x, {"kind": nn.Dense(3, name="kind")(x), "size": nn.Dense(1, name="size")(x)})
    model.compile("adam", {"kind": "cross_entropy", "size": "mse"})
    model.save(tmp_path / "m.pynn")
    (tmp_path / "x.csv").write_text("1,2\n-3,4\n")
    (found, _) = rows(command("predict", tmp_path / "m.pynn", "--input", tmp_path / "x.csv")[1])
    out = model.predict(np.array([[1, 2]], "float32"))
    assert sum(float(found[f"kind_{i}"]) for i in range(3)) == pytest.approx(1)
    assert float(found["size"]) == pytest.approx(out["size"].item())


def test_predict_images_and_ids(command, tmp_path, rng):
    image = pytest.importorskip("PIL.Image")
    model = nn.Sequential([nn.Input((6, 5, 1)), nn.Flatten(), nn.Dense(2)])
    model.save(tmp_path / "images.pynn")
    pixels = rng.integers(0, 256, (6, 5)).astype("uint8")
    image.fromarray(pixels).save(tmp_path / "a.png")
    image.fromarray(pixels).resize((10, 12)).convert("RGB").save(tmp_path / "b.png")
    status, out, err = command("predict", tmp_path / "images.pynn", "--input", tmp_path / "a.png", tmp_path / "b.png")
    assert (status, "b.png: resized from 10x12 to 5x6" in err) == (0, True)
    found = np.array([[float(row[f"output_{i}"]) for i in range(2)] for row in rows(out)], "float32")
    assert (found[0] == model.predict(pixels[None, ..., None])[0]).all()
    words = nn.Sequential([nn.Embedding(5, 2), nn.GRU(2), nn.Dense(1)])
    words(np.ones((1, 3), "int32"))
    words.save(tmp_path / "words.pynn")
    (tmp_path / "ids.csv").write_text("1,2,3\n4,0,0\n")
    status, out, _ = command("predict", tmp_path / "words.pynn", "--input", tmp_path / "ids.csv")
    assert (status, out.splitlines()[0], len(rows(out))) == (0, "output", 2)
    (tmp_path / "ids.csv").write_text("1,2.5,3\n")
    assert "whole numbers" in command("predict", tmp_path / "words.pynn", "--input", tmp_path / "ids.csv")[2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1,2,3\n", "expected samples of 4 values"),
        ("1,2,3,4,5\n", "to take out the column of targets"),
        ("1,2,3,4\n1,2,3\n", "line 2: expected 4 values. Received: 3"),
        ("1,2,3,4\n1,2,x,4\n", "line 2, column 3: expected a number. Received: 'x'"),
        ("", "expected at least one row"),
        ("a,b,c,d\n", "expected at least one row"),
        ("1,,3,4\n5,6,7,8\n", "line 1, column 2: expected a number. Received: ''. help: --header"),
        ("1,?,3,4\n5,6,7,8\n", "line 1, column 2: expected a number. Received: '?'"),
        ("NA,2,3,4\n5,6,7,8\n", "line 1, column 1: expected a number. Received: 'NA'"),
        ('1,"2,000",3,4\n5,6,7,8\n', "line 1, column 2: expected a number. Received: '2,000', which may be 2.000"),
        ("a,,c,d\n1,2,3,4\n", "line 1, column 1: expected a number"),
        ("1,2,3,4\n5,nan,7,8\n", "line 2, column 2: expected a finite number. Received: 'nan'"),
        ("1,2,3,4\n5,6,7,inf\n", "line 2, column 4: expected a finite number"),
        ("1,5;2,5;3,5;4.5\n", "line 1, column 4: expected a number"),
    ],
)
def test_tables_that_do_not_fit(command, saved, tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_text(content)
    status, out, err = command("predict", saved[1], "--input", path)
    assert (status, out) == (2, "")
    assert message in err


def test_the_first_line_is_what_the_caller_says(command, saved, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("0,1,2,3\n1,2,3,4\n5,6,7,8\n")  # as pandas names columns
    for flag, count in ((), 3), (("--header",), 2), (("--no-header",), 3):
        status, out, _ = command("predict", saved[1], "--input", path, *flag)
        assert (status, len(rows(out))) == (0, count)


def test_what_is_no_model_or_no_input(command, saved, tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(4))
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    (tmp_path / "bad.png").write_text("no image")
    for arguments, message in (
        (("summary", tmp_path / "x.npz"), "a NumPy archive (.npz)"),
        (("summary", tmp_path / "none.pynn"), "No such file"),
        (("predict", saved[1], "--input", tmp_path / "x.npz"), "expected a .csv or .npy file, or images"),
        (("predict", saved[1], "--input", tmp_path / "objects.npy"), "expected an array of numbers"),
        (("predict", saved[1], "--input", tmp_path / "bad.png"), "takes no images"),
        (("predict", saved[1], "--input", "a.csv", "b.csv"), "expected one table or array"),
    ):
        status, out, err = command(*arguments)
        assert (status, out) == (2, "")
        assert message in err
