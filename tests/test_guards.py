"""Bounded runs of the programs of tests/reliability/ that look for what nobody thought of, and what they found."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from training import X, Y, bits, mlp

from pynn import nn
from pynn.train import LambdaCallback

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the programs need Linux")
@pytest.mark.parametrize(
    "command",
    [
        "interrupts.py --tries 24 --seed 3",
        "callbacks.py --pairs 24 --seed 2",
        "round_trips.py --models 8 --first 30",
        "soak.py --minutes 0 --every 4",
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


def test_a_model_that_was_built_by_hand_is_shown_without_being_told_its_shape():
    """Sequences were taken for rows of numbers: an error in place of the table in a notebook."""
    model = nn.Sequential([nn.LSTM(2), nn.Dense(1)])
    model.build((None, 4, 3))
    text = io.StringIO()
    model.summary(file=text)
    assert "lstm (LSTM)" in text.getvalue()
    assert "LSTM" in model._repr_html_()
