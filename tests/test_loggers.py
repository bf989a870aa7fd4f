"""What others read while a model trains: event files of TensorBoard, lines of JSON, a live curve."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.train import JSONLogger, LiveCurve, TensorBoard, events


def trained(*callbacks, epochs=3):
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 4), "float32"), rng.integers(0, 3, 40)
    model = nn.Sequential([nn.Input((4,)), nn.Dense(8, "relu"), nn.Dense(3, "softmax")])
    model.compile("adam", "cross_entropy", ["accuracy"], seed=0)
    history = model.fit(x, y, epochs=epochs, validation_split=0.2, callbacks=list(callbacks), verbose=0)
    return model, history


def records(path):
    """Return the data of an event file's records, after their checksums were compared."""
    data, found = path.read_bytes(), []
    while data:
        length, crc = struct.unpack("<QI", data[:12])
        assert crc == events.masked_crc(data[:8])
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == events.masked_crc(body)
        found.append(body)
        data = data[16 + length :]
    return found


def test_event_files_are_whole_records(tmp_path):
    trained(TensorBoard(tmp_path / "logs", histogram_freq=2))
    train, validation = sorted((tmp_path / "logs").rglob("events*"))
    assert (train.parent.name, validation.parent.name) == ("train", "validation")
    assert len(records(train)) == 1 + 2 + 3  # the version, graph and settings, epochs
    assert b"brain.Event:2" in records(train)[0]
    assert len(records(validation)) == 1 + 3


def test_tensorboard_reads_what_was_written(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pictures = np.linspace(0, 1, 12).reshape(3, 4)
    colours = np.zeros((2, 2, 3), np.uint8)
    model, history = trained(
        TensorBoard(tmp_path, histogram_freq=1, images=lambda epoch: {"grey": pictures, "colour": colours})
    )
    found = {}
    for side in ("train", "validation"):
        found[side] = accumulator.EventAccumulator(str(tmp_path / side), size_guidance={"histograms": 0, "images": 0})
        found[side].Reload()
    for name in ("loss", "accuracy"):
        for side, prefix in (("train", ""), ("validation", "val_")):
            read = found[side].Scalars(name)
            assert [event.step for event in read] == [1, 2, 3]
            np.testing.assert_allclose([event.value for event in read], history.history[prefix + name], rtol=1e-6)
    tags = found["train"].Tags()
    assert tags["graph"]
    assert set(tags["histograms"]) == {name for name, _ in model.named_parameters()}
    last = found["train"].Histograms("layers.0.w")[-1].histogram_value
    w = model.layers[0].w.numpy()
    assert last.num == w.size
    np.testing.assert_allclose([last.min, last.max, last.sum], [w.min(), w.max(), w.sum()], rtol=1e-5)
    one = found["train"].Images("grey")[0]
    assert (one.height, one.width) == (3, 4)
    image = pytest.importorskip("PIL.Image")
    import io

    read = np.array(image.open(io.BytesIO(one.encoded_image_string)))
    np.testing.assert_array_equal(read, (255 * pictures + 0.5).astype(np.uint8))
    assert found["train"].Tensors("settings")[0].tensor_proto.string_val[0].startswith(b"| name | value |")


def test_a_line_of_json_for_each_epoch(tmp_path):
    path = tmp_path / "log.jsonl"
    _, history = trained(JSONLogger(path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["val_loss"] for row in rows] == history.history["val_loss"]
    assert all(row["seconds"] >= 0 for row in rows)
    trained(JSONLogger(path, append=True), epochs=1)
    assert len(path.read_text().splitlines()) == 4
    trained(JSONLogger(path), epochs=1)
    assert len(path.read_text().splitlines()) == 1


def test_what_is_not_finite_is_null(tmp_path):
    logger = JSONLogger(tmp_path / "log.jsonl")
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": math.nan, "matrix": np.eye(2)})
    logger.on_train_end()
    row = json.loads((tmp_path / "log.jsonl").read_text())
    assert row["loss"] is None
    assert row["matrix"] == [[1.0, 0.0], [0.0, 1.0]]


def test_files_that_cannot_be_written_are_told_before_the_first_epoch(tmp_path):
    (tmp_path / "file").write_text("")
    for callback in (JSONLogger(tmp_path / "missing" / "log.jsonl"), TensorBoard(tmp_path / "file")):
        with pytest.raises(OSError, match=r"missing|file"):
            trained(callback)


def test_a_live_curve_is_drawn_anew_in_a_notebook_alone(monkeypatch):
    pytest.importorskip("matplotlib")
    display = pytest.importorskip("IPython.display")
    shown = []

    class Handle:
        def update(self, figure):
            shown.append(len(figure.axes))

    def first(figure, display_id):
        shown.append("first")
        return Handle()

    monkeypatch.setattr(display, "display", first)
    trained(LiveCurve())
    assert shown == []
    monkeypatch.setattr(pynn.train.cell, "in_notebook", lambda: True)
    trained(LiveCurve(every=2), epochs=6)
    assert shown == ["first", 2, 2]
