"""Where padding stands in what an exported network is given: the file is right about it, or stops."""

import importlib.util

import numpy as np
import onnx_chains
import pytest
from test_export_modules import in_c

import pynn
from pynn import nn
from pynn.errors import DataError

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
import pynn.onnx

TAIL = np.array([[3, 1, 4, 0, 0], [2, 5, 1, 1, 3], [6, 0, 0, 0, 0], [1, 2, 3, 4, 0]])
PLACES = {
    "at the end": TAIL,
    "in front": np.array([[0, 0, 3, 1, 4], [2, 5, 1, 1, 3], [0, 0, 0, 0, 6], [0, 1, 2, 3, 4]]),
    "in between": np.array([[3, 0, 1, 0, 4], [2, 5, 1, 1, 3], [0, 6, 0, 0, 0], [0, 1, 0, 3, 4]]),
}
AFTER = {
    "lstm": lambda: [nn.LSTM(4), nn.Dense(2)],
    "gru, all steps": lambda: [nn.GRU(3, return_sequences=True), nn.Dense(2)],
    "mean": lambda: [nn.Dense(3, "tanh"), nn.GlobalAvgPool()],
}


def load(proto, folder):
    path = folder / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    return pynn.onnx.load(path)


def seen_at_the_end(*layers, **options):
    """Return a model that was given sequences with padding at the end alone."""
    model = nn.Sequential([nn.Input((5,)), nn.Embedding(9, 4, mask_zero=True, seed=1, **options), *layers])
    model.predict(TAIL)
    return model


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("after", AFTER)
def test_padding_that_the_model_has_not_seen(after, place, tmp_path):
    model = seen_at_the_end(*AFTER[after]())
    proto = pynn.onnx.to_model(model)
    assert model.layers[0].padding == "auto"
    x = PLACES[place]
    read = load(proto, tmp_path)
    expected = model.predict(x)
    np.testing.assert_allclose(onnx_chains.in_onnxruntime(proto, [x]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(read.predict(x), expected, rtol=1e-5, atol=1e-6)


def test_a_network_that_was_read_is_exported_to_c_and_python(tmp_path):
    model = seen_at_the_end(nn.LSTM(4), nn.Dense(2))
    read = load(pynn.onnx.to_model(model), tmp_path)
    x = PLACES["in front"]
    expected = model.predict(x)
    np.testing.assert_allclose(in_c(read, [x], tmp_path), expected, rtol=1e-5, atol=1e-5)
    (path,) = pynn.export.to_numpy(read, tmp_path / "m.py")
    spec = importlib.util.spec_from_file_location("m", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    np.testing.assert_allclose(module.predict(x), expected, rtol=1e-5, atol=1e-5)


END = {
    "padding is said to stand at the end": ({"padding": "post"}, lambda: [nn.LSTM(3)]),
    "windows": ({}, lambda: [nn.MaxPool1D(2), nn.LSTM(3)]),
    "turned": ({}, lambda: [nn.LSTM(3, return_sequences=True, go_backwards=True), nn.GRU(3)]),
}


@pytest.mark.parametrize("name", END)
def test_where_padding_must_stand_at_the_end_other_sequences_stop_the_run(name, tmp_path):
    options, layers = END[name]
    model = seen_at_the_end(*layers(), **options)
    proto = pynn.onnx.to_model(model)
    read = load(proto, tmp_path)
    expected = model.predict(TAIL)
    np.testing.assert_allclose(onnx_chains.in_onnxruntime(proto, [TAIL]), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(read.predict(TAIL), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(in_c(read, [TAIL], tmp_path), expected, rtol=1e-5, atol=1e-5)
    for place in ("in front", "in between"):
        with pytest.raises(Exception, match="padding_must_stand_at_the_end"):
            onnx_chains.in_onnxruntime(proto, [PLACES[place]])
        with pytest.raises((DataError, IndexError), match="padding_must_stand_at_the_end"):
            read.predict(PLACES[place])
