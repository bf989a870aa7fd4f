"""Texts, sequences, images, folders, tf.data, and what else stands round Keras's models."""

import json
import zipfile

import numpy as np
import pytest

from pynn.keras import tensorflow as tf
from pynn.keras import utils
from pynn.keras.datasets import california_housing, reuters
from pynn.keras.layers.text import IntegerLookup, StringLookup, TextVectorization
from pynn.keras.preprocessing import image, sequence, text

TEXTS = ["The cat sat on the mat.", "The dog sat, the cat ran!", "A bird"]


def test_tokenizer():
    tokenizer = text.Tokenizer(num_words=4, oov_token="<oov>")
    tokenizer.fit_on_texts(TEXTS)
    assert list(tokenizer.word_index)[:4] == ["<oov>", "the", "cat", "sat"]
    assert tokenizer.texts_to_sequences(["the cat sat", "a fox"]) == [[2, 3, 1], [1, 1]]
    assert tokenizer.sequences_to_texts([[2, 3, 9]]) == ["the cat <oov>"]
    assert (tokenizer.document_count, tokenizer.word_docs["the"]) == (3, 2)
    again = text.tokenizer_from_json(tokenizer.to_json())
    assert again.get_config() == tokenizer.get_config()
    assert again.texts_to_sequences(TEXTS) == tokenizer.texts_to_sequences(TEXTS)


def test_tokenizer_matrices():
    tokenizer = text.Tokenizer()
    tokenizer.fit_on_texts(TEXTS)
    count = tokenizer.texts_to_matrix(TEXTS, "count")
    assert count.shape == (3, len(tokenizer.word_index) + 1)
    assert count[0, tokenizer.word_index["the"]] == 2
    np.testing.assert_array_equal(tokenizer.texts_to_matrix(TEXTS), count > 0)
    np.testing.assert_allclose(tokenizer.texts_to_matrix(TEXTS, "freq"), count / count.sum(1, keepdims=True))
    weight = (1 + np.log(2)) * np.log(1 + 3 / (1 + 2))
    np.testing.assert_allclose(tokenizer.texts_to_matrix(TEXTS, "tfidf")[0, tokenizer.word_index["the"]], weight)
    with pytest.raises(ValueError, match="did you mean 'tfidf'"):
        tokenizer.texts_to_matrix(TEXTS, "tfidff")


def test_characters_and_hashes():
    tokenizer = text.Tokenizer(char_level=True)
    tokenizer.fit_on_texts(["abba"])
    assert tokenizer.texts_to_sequences(["cab"]) == [[1, 2]]
    ids = text.hashing_trick("the cat the", 50, "md5")
    assert ids[0] == ids[2] != ids[1]
    assert all(0 < i < 50 for i in text.one_hot("a b c d", 50))


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
def test_pad_sequences(padding, truncating):
    x = sequence.pad_sequences([[1, 2, 3, 4, 5], [6, 7]], 4, padding=padding, truncating=truncating, value=9)
    np.testing.assert_array_equal(x[0], [2, 3, 4, 5] if truncating == "pre" else [1, 2, 3, 4])
    np.testing.assert_array_equal(x[1], [9, 9, 6, 7] if padding == "pre" else [6, 7, 9, 9])
    rows = sequence.pad_sequences([np.ones((2, 3)), np.ones((1, 3))], dtype="float32")
    assert rows.shape == (2, 2, 3)
    assert rows[1, 0].sum() == 0


def test_series_and_pairs():
    series = np.arange(20)
    flow = sequence.TimeseriesGenerator(series, series, length=4, sampling_rate=2, batch_size=6)
    x, y = flow[0]
    np.testing.assert_array_equal(x[:2], [[0, 2], [1, 3]])
    np.testing.assert_array_equal(y[:2], [4, 5])
    assert sum(len(flow[i][1]) for i in range(len(flow))) == 16
    windows = utils.timeseries_dataset_from_array(series, series[4:], 4, batch_size=None)
    np.testing.assert_array_equal([x for x, _ in windows][1], [1, 2, 3, 4])
    assert [int(y) for _, y in windows][:3] == [4, 5, 6]
    couples, labels = sequence.skipgrams([1, 2, 3, 4], 10, window_size=1, negative_samples=1.0, seed=0)
    assert sorted(tuple(c) for c, label in zip(couples, labels, strict=True) if label) == [
        (1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (4, 3)]  # fmt: skip
    assert labels.count(0) == 6
    assert sequence.make_sampling_table(5).shape == (5,)


def test_labels():
    np.testing.assert_array_equal(utils.to_categorical([[1], [0]], 3), [[0, 1, 0], [1, 0, 0]])
    assert utils.to_categorical(np.zeros((2, 4), int), 2).shape == (2, 4, 2)
    with pytest.raises(ValueError, match=r"expected labels 0 to 1\. Received: 2 at index 1"):
        utils.to_categorical([0, 2], 2)
    np.testing.assert_allclose(np.linalg.norm(utils.normalize(np.arange(12.0).reshape(3, 4)), axis=1), 1)


def test_words_of_vectorization():
    layer = TextVectorization(max_tokens=5, output_sequence_length=4)
    layer.adapt(np.array(TEXTS))
    assert layer.get_vocabulary() == ["", "[UNK]", "the", "sat", "cat"]
    np.testing.assert_array_equal(layer([["THE dog sat!"]]), [[2, 1, 3, 0]])
    assert layer("the").shape == (4,)
    count = TextVectorization(output_mode="count", vocabulary=["a", "b"])
    np.testing.assert_array_equal(count(["b b c"]), [[1, 0, 2]])
    runs = TextVectorization(ngrams=2, split="whitespace", standardize=None)
    runs.adapt(["a b"])
    assert set(runs.get_vocabulary()[2:]) == {"a", "b", "a b"}
    with pytest.raises(RuntimeError, match="call adapt"):
        TextVectorization()(["a"])
    with pytest.raises(TypeError, match="did you mean max_tokens"):
        TextVectorization(max_token=3)


def test_lookups_go_both_ways():
    layer = StringLookup(mask_token="")
    layer.adapt(["b", "a", "b", ""])
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a"]
    ids = layer([["a", "b"], ["", "z"]])
    np.testing.assert_array_equal(ids, [[3, 2], [0, 1]])
    back = StringLookup(vocabulary=["b", "a"], mask_token="", invert=True)
    np.testing.assert_array_equal(back(ids), [["a", "b"], ["", "[UNK]"]])
    np.testing.assert_array_equal(IntegerLookup(vocabulary=[7, 9], output_mode="one_hot")([9]), [[0, 0, 1]])
    with pytest.raises(ValueError, match=r"expected tokens of the vocabulary\. Received: 'z'"):
        StringLookup(vocabulary=["a"], num_oov_indices=0)(["z"])


# Images


def test_a_generator_changes_images_and_scales_them(rng):
    x = rng.random((20, 8, 6, 3)).astype("float32")
    plain = image.ImageDataGenerator(rescale=2.0).flow(x, np.arange(20), batch_size=8, shuffle=False)
    np.testing.assert_allclose(plain[0][0], 2 * x[:8], rtol=1e-6)
    assert [len(plain[i][1]) for i in range(len(plain))] == [8, 8, 4]
    seen = np.concatenate([next(plain)[1] for _ in range(6)])
    np.testing.assert_array_equal(seen, np.tile(np.arange(20), 2))
    flipped = image.ImageDataGenerator(horizontal_flip=True).flow(x, batch_size=20, shuffle=False, seed=1)[0]
    same, turned = (np.abs(flipped - other).max((1, 2, 3)) == 0 for other in (x, x[:, :, ::-1]))
    assert (same ^ turned).all()
    assert same.any()
    assert turned.any()
    moved = image.ImageDataGenerator(rotation_range=20, zoom_range=0.1, shear_range=5.0, brightness_range=(0.5, 1.5))
    assert moved.flow(x, batch_size=20)[0].shape == x.shape
    held = image.ImageDataGenerator(validation_split=0.25)
    assert [held.flow(x, subset=part).n for part in ("validation", "training")] == [5, 15]


def test_fit_reads_as_many_batches_of_a_generator_as_one_pass_has(rng):
    from pynn import keras

    x, y = rng.random((20, 4, 4, 1)).astype("float32"), np.eye(2)[np.arange(20) % 2]
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    generator = image.ImageDataGenerator(horizontal_flip=True)
    flow = generator.flow(x, y, batch_size=6)
    seen = []
    flow._made = lambda rows: (seen.extend(rows), (x[rows], y[rows]))[1]
    history = model.fit(flow, epochs=3, verbose=0, validation_data=generator.flow(x, y))
    assert len(history.history["val_loss"]) == 3
    assert len(seen) == 60
    np.testing.assert_array_equal(np.sort(seen[:20]), np.arange(20))
    assert seen[:20] != seen[20:40], "another order in each pass"
    model.fit_generator(generator.flow(x, y, batch_size=4), steps_per_epoch=2, epochs=2, verbose=0)


def test_a_shift_is_one_of_pixels(rng):
    x = rng.random((7, 7, 1))
    np.testing.assert_allclose(image.apply_affine_transform(x, tx=2, fill_mode="constant")[:5], x[2:], atol=1e-12)
    np.testing.assert_allclose(image.apply_affine_transform(x, theta=90), np.rot90(x, -1), atol=1e-9)
    np.testing.assert_allclose(image.apply_affine_transform(x, theta=180), x[::-1, ::-1], atol=1e-9)


def test_statistics_of_a_data_set(rng):
    x = rng.normal(3, 2, (200, 4, 4, 1))
    generator = image.ImageDataGenerator(featurewise_center=True, featurewise_std_normalization=True)
    generator.fit(x)
    out = generator.flow(x, batch_size=200)[0]
    np.testing.assert_allclose([out.mean(), out.std()], [0, 1], atol=1e-3)
    white = image.ImageDataGenerator(featurewise_center=True, zca_whitening=True)
    white.fit(x)
    flat = white.flow(x, batch_size=200)[0].reshape(200, -1)
    np.testing.assert_allclose(flat.T @ flat / 200, np.eye(16), atol=1e-3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of two classes, the first dark, the second bright; and texts."""
    pytest.importorskip("PIL")
    root = tmp_path_factory.mktemp("classes")
    for k, name in enumerate(("dark", "light")):
        (root / name).mkdir()
        for i in range(4):
            image.save_img(root / name / f"{i}.png", np.full((10, 12, 3), 200 * k + i, "float32"), scale=False)
            (root / name / f"{i}.txt").write_text(f"{name} {i}")
    return root


def test_folders_of_images(folder):
    flow = image.ImageDataGenerator().flow_from_directory(
        folder, target_size=(5, 6), batch_size=3, class_mode="binary", shuffle=False
    )
    assert (flow.class_indices, flow.n, len(flow)) == ({"dark": 0, "light": 1}, 8, 3)
    x, y = flow[1]
    assert x.shape == (3, 5, 6, 3)
    np.testing.assert_array_equal(x[:, 0, 0, 0] > 100, y)
    data = utils.image_dataset_from_directory(
        folder, image_size=(5, 6), batch_size=4, validation_split=0.25, subset="training", seed=1
    )
    assert (data.class_names, len(data)) == (["dark", "light"], 2)
    for x, y in data:
        np.testing.assert_array_equal(x.numpy()[:, 0, 0, 0] > 100, y.numpy())
    both = [
        set(utils.image_dataset_from_directory(folder, validation_split=0.5, subset=part, seed=3).file_paths)
        for part in ("training", "validation")
    ]
    assert not both[0] & both[1]
    assert len(both[0] | both[1]) == 8


def test_folders_of_texts(folder):
    data = utils.text_dataset_from_directory(folder, batch_size=8, shuffle=False, label_mode="categorical")
    [(x, y)] = data
    assert x.tolist()[:2] == ["dark 0", "dark 1"]
    np.testing.assert_array_equal(y.numpy().argmax(1), np.repeat([0, 1], 4))
    with pytest.raises(ValueError, match="expected a folder"):
        utils.text_dataset_from_directory(folder / "none")


def test_images_and_arrays(folder):
    img = image.load_img(folder / "light" / "3.png", target_size=(4, 3))
    x = image.img_to_array(img)
    assert (x.shape, x.dtype, x.max()) == ((4, 3, 3), np.float32, 203)
    assert image.load_img(folder / "light" / "3.png", color_mode="grayscale").mode == "L"
    assert image.array_to_img(x, scale=False).size == (3, 4)
    assert image.smart_resize(np.ones((8, 4, 1)), (3, 3)).shape == (3, 3, 1)


# tf.data


def test_a_chain_of_steps():
    x = np.arange(10)
    data = tf.data.Dataset.from_tensor_slices((x, x * 2)).map(lambda a, b: (a + 1, {"double": b}))
    data = data.filter(lambda a, b: a % 2 == 0).repeat(2).batch(4).prefetch(tf.data.AUTOTUNE)
    found = [(a.numpy().tolist(), b["double"].numpy().tolist()) for a, b in data]
    assert found[0] == ([2, 4, 6, 8], [2, 6, 10, 14])
    assert [len(a) for a, _ in found] == [4, 4, 2]
    assert [int(v) for v in tf.data.Dataset.range(6).skip(1).take(3)] == [1, 2, 3]
    assert tf.data.Dataset.range(5).reduce(0, lambda total, v: total + int(v)) == 10
    pairs = tf.data.Dataset.zip((tf.data.Dataset.range(3), tf.data.Dataset.range(3, 9)))
    assert [(int(a), int(b)) for a, b in pairs] == [(0, 3), (1, 4), (2, 5)]
    assert len(tf.data.Dataset.range(10).batch(3)) == 4
    assert len(tf.data.Dataset.range(10).batch(3, drop_remainder=True)) == 3


def test_mixing_keeps_every_element_and_rows_together():
    x = np.arange(100)
    for size in (100, 7):
        data = tf.data.Dataset.from_tensor_slices((x, x + 1)).shuffle(size, seed=3).batch(9)
        one, two = ([(a.numpy(), b.numpy()) for a, b in data] for _ in range(2))
        flat = [np.concatenate([a for a, _ in part]) for part in (one, two)]
        assert not np.array_equal(flat[0], x)
        assert not np.array_equal(*flat), "another order in each pass"
        for part, order in zip((one, two), flat, strict=True):
            np.testing.assert_array_equal(np.sort(order), x)
            np.testing.assert_array_equal(np.concatenate([b for _, b in part]), order + 1)
    fixed = tf.data.Dataset.range(20).shuffle(20, seed=1, reshuffle_each_iteration=False)
    assert [int(v) for v in fixed] == [int(v) for v in fixed]


def test_a_data_set_refuses_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="equally many rows"):
        tf.data.Dataset.from_tensor_slices((np.zeros(3), np.zeros(4)))
    with pytest.raises(ValueError, match=r"different lengths.*pad_sequences"):
        tf.data.Dataset.from_tensor_slices(([[1], [2, 3]], [0, 1]))
    with pytest.raises(AttributeError, match=r"not in pynn: tensorflow\.data\.Dataset\.shufle; nearest: shuffle"):
        tf.data.Dataset.range(3).shufle(3)
    ragged = tf.data.Dataset.from_generator(lambda: iter([np.ones(2), np.ones(3)]))
    with pytest.raises(ValueError, match="padded_batch"):
        list(ragged.batch(2))
    assert next(iter(ragged.padded_batch(2))).shape == (2, 3)


# Files


def test_get_file_finds_what_is_here_and_downloads_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("PYNN_DATA", str(tmp_path))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("words")
    assert utils.get_file("a.txt", "https://host/a.txt") == str(tmp_path / "texts" / "a.txt")
    with pytest.raises(ValueError, match="expected md5"):
        utils.get_file("a.txt", "https://host/a.txt", md5_hash="0" * 32)
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as file:
        file.writestr("pack/b.txt", "more")
    inside = utils.get_file("pack.zip", "https://host/pack.zip", extract=True)
    assert json.dumps(inside).endswith('keras/datasets/pack"')
    with pytest.raises(ValueError, match="fetch https://host/none and put it there"):
        utils.get_file(origin="https://host/none")


def test_housing_is_read_from_a_table(tmp_path, monkeypatch):
    monkeypatch.setenv("PYNN_DATA", str(tmp_path))
    names = ",".join(california_housing.COLUMNS)
    rows = "\n".join(f"{i},1,2,3,{'' if i == 3 else 4},5,6,7,{100 * i},NEAR" for i in range(11))
    (tmp_path / "california_housing.csv").write_text(f"{names},ocean\n{rows}\n")
    (x, y), (xt, _) = california_housing.load_data()
    assert (x.shape, xt.shape, x.dtype) == ((8, 8), (2, 8), np.float32)
    np.testing.assert_allclose(y, 100 * x[:, 0])
    with pytest.raises(ValueError, match=r"\[reuters\] expected one of the files"):
        reuters.load_data()


def test_news_are_read_without_running_what_a_file_holds(tmp_path, monkeypatch):
    monkeypatch.setenv("PYNN_DATA", str(tmp_path))
    news = np.empty(10, object)
    for i in range(10):
        news[i] = [i + 1, 30, 2]
    np.savez(tmp_path / "reuters.npz", x=news, y=np.arange(10))
    (x, y), (xt, yt) = reuters.load_data(num_words=25, test_split=0.3)
    assert (len(x), len(xt)) == (7, 3)
    assert sorted([*y.tolist(), *yt.tolist()]) == list(range(10))
    assert all(ids == [1, label + 4, 2, 5] for ids, label in zip([*x, *xt], [*y, *yt], strict=True))


def test_structures_are_walked_through():
    assert tf.nest.flatten({"a": [1, 2], "b": (3,)}) == [1, 2, 3]
    assert tf.nest.map_structure(lambda a, b: a + b, (1, [2]), (10, [20])) == (11, [22])


def test_a_bar_of_progress(capsys):
    bar = utils.Progbar(3, stateful_metrics=["last"])
    for i in range(3):
        bar.add(1, [("loss", float(i)), ("last", i)])
    assert "3/3 [====================] - 0s - loss: 1.0000 - last: 2.0000" in capsys.readouterr().out


def test_models_are_estimators_of_scikit_learn(rng):
    selection = pytest.importorskip("sklearn.model_selection")
    from pynn import keras
    from pynn.keras.wrappers import KerasClassifier, KerasRegressor

    x = rng.normal(size=(90, 3)).astype("float32")
    y = np.where(x[:, 0] > 0, "up", "down")

    keras.utils.set_random_seed(1)

    def make(units=4, end=1):
        model = keras.Sequential(
            [keras.Input((3,)), keras.layers.Dense(units, "tanh"), keras.layers.Dense(end, "sigmoid")]
        )
        model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
        return model

    search = selection.GridSearchCV(
        KerasClassifier(make, epochs=3, verbose=0), {"units": [4, 20], "epochs": [1, 80]}, cv=2, scoring="accuracy"
    )
    search.fit(x, y)
    assert search.best_params_["epochs"] == 80
    assert search.best_estimator_.score(x, y) > 0.9
    assert set(search.predict(x)) <= {"up", "down"}
    np.testing.assert_allclose(search.best_estimator_.predict_proba(x).sum(1), 1, rtol=1e-5)
    regressor = KerasRegressor(make, epochs=1, verbose=0)
    regressor.fit(x, x[:, 0] > 0)
    assert regressor.predict(x).shape == (90,)
    with pytest.raises(ValueError, match=r"did you mean units="):
        KerasClassifier(make, unit=3)


def test_images_and_texts_of_tensorflow(rng, folder):
    x = rng.random((6, 8, 3)).astype("float32")
    assert tf.image.resize(x, (3, 4)).shape == (3, 4, 3)
    np.testing.assert_allclose(tf.image.resize(x, (12, 16), method="nearest")[::2, ::2], x)
    np.testing.assert_array_equal(tf.image.flip_left_right(x), x[:, ::-1])
    assert tf.image.central_crop(x, 0.5).shape == (4, 4, 3)
    assert tf.image.convert_image_dtype(np.array([255], np.uint8), tf.float32) == 1
    read = tf.io.decode_png(tf.io.read_file(str(folder / "light" / "2.png")), channels=3)
    assert (read.shape, read.dtype, read.max()) == ((10, 12, 3), np.uint8, 202)
    texts = tf.strings.regex_replace(tf.strings.lower(np.array(["A<br />B", "C"])), "<br />", " ")
    assert texts.tolist() == ["a b", "c"]
    np.testing.assert_allclose(tf.einsum("ij,kj->ik", x[0], x[1]).numpy(), x[0] @ x[1].T, rtol=1e-5)
    with pytest.raises(AttributeError, match=r"not in pynn: tensorflow\.image\.rezise; nearest: resize"):
        tf.image.rezise(x, (2, 2))
