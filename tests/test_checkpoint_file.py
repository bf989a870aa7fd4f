"""Names of files: one checkpoint in a file of one's own, and names that promise another format."""

import os

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.errors import DataError
from pynn.train import ModelCheckpoint

R = np.random.default_rng(0)
X = R.normal(size=(60, 4)).astype("float32")
Y = R.integers(0, 3, 60)


def trained(*callbacks, epochs=3, **fit):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(8, activation="tanh"), nn.Dense(3)])
    model.compile("adam", "cross_entropy", ["accuracy"], seed=1)
    model.fit(X, Y, epochs=epochs, verbose=0, validation_split=0.2, callbacks=callbacks, **fit)
    return model


@pytest.mark.parametrize("name", ["best.keras", "best.pynn", "new/folders/best.safetensors"])
def test_a_name_of_a_file_makes_a_file(name, tmp_path):
    path = tmp_path / name
    model = trained(ModelCheckpoint(path))
    assert path.is_file()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert np.array_equal(pynn.load(path).predict(X), model.predict(X))


def test_a_file_holds_the_best_epoch(tmp_path):
    weights = []
    note = pynn.train.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(note.model.get_weights()[0]))
    checkpoint = ModelCheckpoint(tmp_path / "best.keras", monitor="val_accuracy", save_best_only=True)
    trained(note, checkpoint, epochs=6)
    assert 0 <= checkpoint.best_epoch < 6
    found = pynn.load(tmp_path / "best.keras").get_weights()[0]
    assert np.array_equal(found, weights[checkpoint.best_epoch])
    other = ModelCheckpoint(tmp_path / "other.keras", save_best_only=True)
    trained(other)
    assert other.monitor == "val_loss"
    assert sorted(os.listdir(tmp_path)) == ["best.keras", "other.keras"]


def test_a_file_is_replaced_and_training_goes_on_from_it(tmp_path):
    path = tmp_path / "last.pynn"
    whole = trained(ModelCheckpoint(path), epochs=4)
    trained(ModelCheckpoint(path), epochs=2)
    model = trained(epochs=4, resume=path)
    for one, two in zip(model.get_weights(), whole.get_weights(), strict=True):
        assert np.array_equal(one, two)


def test_a_name_may_have_places_for_the_epoch_and_values(tmp_path):
    trained(ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.0f}.keras"))
    assert [name[:3] for name in sorted(os.listdir(tmp_path))] == ["01-", "02-", "03-"]
    with pytest.raises(ValueError, match=r"places for epoch, loss, accuracy, val_loss, .*'\{epohc\}.keras'"):
        trained(ModelCheckpoint(tmp_path / "{epohc}.keras"))
    within = ModelCheckpoint(tmp_path / "steps-{epoch}.pynn", every_batches=1)
    trained(within, epochs=1)
    assert (tmp_path / "steps-1.pynn").is_file()


def test_a_folder_that_is_there_stays_one(tmp_path):
    folder = tmp_path / "run.keras"
    folder.mkdir()
    trained(ModelCheckpoint(folder, monitor="loss"))
    assert sorted(os.listdir(folder))[0] == "best.pynn"
    with pytest.raises(DataError, match=r"a folder. help: it has model files, such as '.*best.pynn'\.$"):
        pynn.load(folder)


@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5", "x.PT", "x.onnx", "x.pkl", "x.npz"])
def test_names_of_other_formats_are_refused(name, tmp_path):
    model = trained(epochs=1)
    with pytest.raises(
        ValueError, match=rf"^\[save\] expected a name for pynn's own format. .*{name}'. help: end it in"
    ):
        model.save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"^\[ModelCheckpoint\] expected a name for .*{name}'. help: end it in"):
        ModelCheckpoint(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model", "model.keras", "model.pynn", "model.safetensors", "v1.2"])
def test_other_names_are_free(name, tmp_path):
    model = trained(epochs=1)
    model.save(tmp_path / name)
    assert np.array_equal(pynn.load(tmp_path / name).predict(X), model.predict(X))
