"""Defaults of the Keras that a script was written for."""

import ast

import numpy as np
import pytest

import pynn
from pynn import keras
from pynn.keras import names as dialect
from pynn.keras import runner


@pytest.fixture
def version():
    before = dialect.use("3")
    yield dialect.use
    dialect.use(before)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import keras\nkeras.layers.Dense(3)", "3"),
        ("import tensorflow as tf\ntf.keras.optimizers.Adadelta()", "3"),
        ("from keras.layers import Dense, Conv2D", "3"),
        ("from keras.layers.convolutional import Conv2D", "2.3"),
        ("from keras.utils import np_utils", "2.3"),
        ("from keras.layers import Convolution2D", "2.3"),
        ("from __future__ import print_function", "2.3"),
        ("from keras import backend as K\nK.image_data_format()", "2.3"),
        ("model.fit(x, y, nb_epoch=3)", "2.3"),
        ("model.fit_generator(rows)", "2.3"),
    ],
)
def test_a_scripts_spelling_tells_its_version(text, expected):
    assert dialect.guess(ast.parse(text)) == expected


def settings():
    return {
        "adadelta": keras.optimizers.Adadelta().get_config()["learning_rate"],
        "by name": keras.optimizers.get("adadelta").get_config()["learning_rate"],
        "nadam": keras.optimizers.Nadam().get_config()["learning_rate"],
        "adam": keras.optimizers.Adam().get_config()["learning_rate"],
        "lstm": keras.layers.LSTM(2).get_config()["recurrent_activation"],
        "gru": keras.layers.GRU(2).get_config()["recurrent_activation"],
        "after": keras.layers.GRU(2).get_config()["reset_after"],
    }


def test_defaults_are_those_of_the_version(version):
    today = {"adadelta": 0.001, "by name": 0.001, "nadam": 0.001, "adam": 0.001, "lstm": "sigmoid", "gru": "sigmoid"}
    today["after"] = True
    assert settings() == pytest.approx(today)
    version("2.3")
    then = {**today, "adadelta": 1.0, "by name": 1.0, "nadam": 0.002, "after": False}
    assert settings() == pytest.approx(then)
    version("2.2")
    assert settings() == pytest.approx({**then, "lstm": "hard_sigmoid_2", "gru": "hard_sigmoid_2"})


def test_what_is_given_counts(version):
    version("2.3")
    assert keras.optimizers.Adadelta(0.5).get_config()["learning_rate"] == 0.5
    assert keras.optimizers.Adadelta(lr=0.25).get_config()["learning_rate"] == 0.25
    assert keras.layers.GRU(2, reset_after=True).get_config()["reset_after"] is True


def test_the_runner_says_whose_defaults_hold(tmp_path, capsys):
    script = tmp_path / "old.py"
    text = "from keras.layers.core import Dense\nfrom keras.optimizers import Adadelta\nprint(float(Adadelta().lr))\n"
    script.write_text(text)
    for options, rate, told in (
        ([], "1.0", True),
        (["--keras", "3"], "0.001", False),
        (["--keras", "2.2"], "1.0", False),
    ):
        assert runner.main([*options, str(script)]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(rate)
        assert ("defaults are those of Keras 2.3" in err) is told
    with pytest.raises(SystemExit):
        runner.main(["--keras", "1", str(script)])
    assert dialect.defaults("Adadelta") == {}


@pytest.mark.parametrize(("of", "wanted"), [("3", 1e-4 / np.sqrt(0.1 * 1e-8 + 1e-7)), ("2.3", 1 / np.sqrt(0.1))])
def test_epsilon_of_rmsprop_stands_inside_the_root_since_keras_3(version, of, wanted):
    version(of)
    w = pynn.tensor([0.0], requires_grad=True)
    keras.optimizers.RMSprop(learning_rate=1.0).apply_gradients([(pynn.tensor([1e-4]), w)])
    assert -w.item() == pytest.approx(wanted, rel=1e-2)
    assert keras.optimizers.Nadam().momentum_decay == (1.0 if of == "3" else 0.004)


def test_as_many_rows_are_predicted_as_the_first_input_has(version):
    one, two = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([one, two], keras.layers.Concatenate()([one, two]))
    arrays = [np.ones((2, 2)), np.ones((5, 3))]
    with pytest.raises(ValueError, match="expected inputs of one length"):
        model.predict(arrays, verbose=0)
    version("2.3")
    assert model.predict(arrays, verbose=0).shape == (2, 5)
