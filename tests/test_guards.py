"""Bounded runs of the programs of tests/reliability/ that look for what nobody thought of, and what they found."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from training import X, Y, bits, mlp

from pynn import metrics, nn
from pynn.errors import DataError
from pynn.io import container
from pynn.train import CSVLogger, LambdaCallback
from pynn.train.callbacks import CallbackList

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the programs need Linux")
@pytest.mark.parametrize(
    "command",
    [
        "interrupts.py --tries 24 --seed 3",
        "callbacks.py --pairs 24 --seed 2",
        "round_trips.py --models 8 --first 30",
        "soak.py --minutes 0 --every 4",
        "foreign_trips.py --models 6 --first 3",
    ],
    ids=lambda command: command.split(".")[0],
)
def test_a_bounded_run(command):
    program, *options = command.split()
    place = os.path.join(HERE, "reliability", program)
    result = subprocess.run([sys.executable, place, *options], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr


def test_profile_inside_a_callback_leaves_the_training_on_its_rows():
    """It set the place in the data back to 0, and the learning rates of the batches to come."""
    plain, watched = mlp(), mlp()
    plain.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    look = LambdaCallback(on_train_batch_end=lambda batch, logs: watched.profile(X, Y, batch_size=8, steps=2))
    watched.fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=[look])
    assert bits(watched) == bits(plain)
    assert np.isfinite(watched.predict(X)).all()


def test_a_metric_of_several_labels_is_refused_for_one_label_in_training_too():
    """fit showed the accuracy of one label each; evaluate refused the same data."""
    model = nn.Sequential([nn.Input((4,)), nn.Dense(3)])
    model.compile("sgd", "cross_entropy", [metrics.Accuracy(multilabel=True)])
    x, y = np.ones((6, 4), "float32"), np.arange(6) % 3
    for call in (model.fit, model.train_on_batch, model.evaluate):
        with pytest.raises(DataError, match=r"\[accuracy\] expected rows of several labels.*Received: one label"):
            call(x, y)
    model.set_weights([w * 0 for w in model.get_weights()])
    rows = np.eye(3)[y]
    for call in (model.evaluate, model.train_on_batch):
        assert call(x, rows)["accuracy"] == pytest.approx(2 / 3)  # each of three answers is no


def test_a_checkpoint_that_is_not_what_was_to_be_written_does_not_take_the_place(tmp_path, monkeypatch):
    path, true, calls = tmp_path / "c.pynn", container.digest, []

    def drifting(tensors, metadata):
        calls.append(1)
        return "0" * 64 if len(calls) == 3 else true(tensors, metadata)  # the second file's own

    def write():
        point = LambdaCallback()
        point.on_safe_point = lambda moment: moment.write(path)
        mlp().fit(X, Y, batch_size=len(X), epochs=1, verbose=0, callbacks=[point])

    monkeypatch.setattr(container, "digest", drifting)
    write()
    before = path.read_bytes()
    assert len(calls) % 2 == 0
    calls[:] = [1, 1]
    with pytest.raises(DataError, match="do not have the digest"):
        write()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["c.pynn"]


def test_callbacks_end_though_a_second_interrupt_comes_at_their_end(tmp_path, monkeypatch):
    """The file of a CSVLogger stayed open."""
    true, calls = CallbackList.on_train_end, []

    def cut_short(self, logs=None):
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return true(self, logs)

    monkeypatch.setattr(CallbackList, "on_train_end", cut_short)
    logger, told = CSVLogger(tmp_path / "log.csv"), []
    after = LambdaCallback(on_train_end=lambda logs: told.append(1))
    with pytest.raises(KeyboardInterrupt):
        mlp().fit(X, Y, verbose=0, callbacks=[logger, after])
    assert logger.file is None
    assert told == [1]
    mlp().fit(X, Y, verbose=0, callbacks=[logger, after])
    assert told == [1, 1]


def test_a_model_that_was_built_by_hand_is_shown_without_being_told_its_shape():
    """Sequences were taken for rows of numbers: an error in place of the table in a notebook."""
    model = nn.Sequential([nn.LSTM(2), nn.Dense(1)])
    model.build((None, 4, 3))
    text = io.StringIO()
    model.summary(file=text)
    assert "lstm (LSTM)" in text.getvalue()
    assert "LSTM" in model._repr_html_()
