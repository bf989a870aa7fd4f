"""keras.applications: networks of the numbers of weights that Keras documents, weights from files, and bad input."""

import json

import numpy as np
import pytest

from pynn import keras
from pynn.errors import DataError, ShapeError
from pynn.keras import applications

# Numbers of weights without the classifier, as Keras documents them.
COUNTS = {
    "ResNet50": 23_587_712, "InceptionV3": 21_802_784, "Xception": 20_861_480, "MobileNet": 3_228_864,
    "MobileNetV2": 2_257_984, "DenseNet121": 7_037_504, "VGG16": 14_714_688,
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_networks_have_the_documented_numbers_of_weights(name):
    model = getattr(applications, name)(weights=None, include_top=False)
    assert model.count_params() == COUNTS[name]
    assert model.output_shape[:3] == (None, None, None)


def small(**options):
    return applications.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, **options)


def test_a_network_with_a_classifier_of_ones_own_learns():
    model = small(classes=3, classifier_activation=None)
    assert model.layers[-1].name == "predictions"
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = np.random.default_rng(0).random((12, 32, 32, 3), np.float32), np.arange(12) % 3
    losses = model.fit(x, y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_weights_come_from_keras_s_file(tmp_path, monkeypatch):
    pytest.importorskip("h5py")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("PYNN_DATA", raising=False)
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
    with pytest.raises(DataError, match=rf"\[MobileNetV2\] expected Keras's file {name}.*weights=None"):
        applications.MobileNetV2(alpha=0.35, include_top=False)
    given = small(include_top=False)
    given.save_weights(str(tmp_path / "x.weights.h5"))
    (tmp_path / "models").mkdir()
    (tmp_path / "x.weights.h5").rename(tmp_path / "models" / name)
    taken = applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False)
    for a, b in zip(given.get_weights(), taken.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_on_a_symbol_ends_in_means_or_maxima():
    image = keras.Input((80, 80, 3))
    halved = keras.layers.AveragePooling2D()(image)
    for pooling in ("avg", "max"):
        model = applications.MobileNet(
            input_tensor=halved, input_shape=(32, 32, 3), alpha=0.25, weights=None, include_top=False, pooling=pooling
        )
        assert model.input is image
        assert model.predict(np.ones((1, 80, 80, 3)), verbose=0).shape == (1, 256)


def test_pixels_as_networks_were_trained_on_them():
    x = np.array([[[[255, 0, 51]]]], np.uint8)
    np.testing.assert_allclose(applications.vgg16.preprocess_input(x)[0, 0, 0], [-52.939, -116.779, 131.32], rtol=1e-5)
    np.testing.assert_allclose(applications.xception.preprocess_input(x)[0, 0, 0], [1, -1, -0.6], rtol=1e-6)
    torch = applications.densenet.preprocess_input(x)[0, 0, 0]
    np.testing.assert_allclose(torch, [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225], rtol=1e-6)


def test_names_of_classes_come_from_keras_s_file(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("PYNN_DATA", raising=False)
    rows = np.zeros((1, 1000), np.float32)
    rows[0, [7, 3]] = 0.75, 0.25
    with pytest.raises(DataError, match=r"imagenet_class_index\.json"):
        applications.vgg16.decode_predictions(rows)
    (tmp_path / "models").mkdir()
    names = {str(i): [f"n{i}", f"thing {i}"] for i in range(1000)}
    (tmp_path / "models" / "imagenet_class_index.json").write_text(json.dumps(names))
    assert applications.vgg16.decode_predictions(rows, top=2) == [[("n7", "thing 7", 0.75), ("n3", "thing 3", 0.25)]]
    for text in ("{", "[]", '{"0": 3}', '{"0": ["n0"]}', "[" * 100_000):
        (tmp_path / "models" / "imagenet_class_index.json").write_text(text)
        with pytest.raises(DataError, match=r"expected Keras's list of 1,000 classes"):
            applications.vgg16.decode_predictions(rows)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"weights": "imagenet", "classes": 10}, ValueError, "expected classes=1000"),
        ({"input_shape": (20, 20, 3)}, ShapeError, "at least 32 x 32"),
        (
            {"weights": "imagenet", "input_shape": (64, 64, 3)},
            (ShapeError, DataError),
            "224 x 224|expected Keras's file",
        ),
        ({"include_top": False, "pooling": "sum"}, ValueError, "pooling None, 'avg' or 'max'"),
        ({"input_tensor": np.ones((1, 224, 224, 3))}, TypeError, "a symbol as input_tensor"),
    ],
)
def test_bad_input_is_named(options, kind, message):
    with pytest.raises(kind, match=message):
        applications.MobileNet(**{"weights": None, "alpha": 0.25, **options})


def test_predictions_of_other_shapes_are_no_classes():
    with pytest.raises(ShapeError, match=r"predictions \[N, 1000\]"):
        applications.vgg16.decode_predictions(np.zeros((2, 10)))
    with pytest.raises(ValueError, match="'caffe', 'tf' or 'torch'"):
        applications.imagenet_utils.preprocess_input(np.zeros((1, 2, 2, 3)), mode="other")
