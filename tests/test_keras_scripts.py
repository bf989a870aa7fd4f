"""Scripts in three dialects of Keras, of 2016, 2019 and 2024, as people write them."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import re

import numpy as np
import pytest
from building import ROOT

from pynn import keras

RNG = np.random.default_rng(0)
DIGITS = RNG.random((64, 12, 12, 1)).astype("float32")
LABELS = RNG.integers(0, 3, 64)
LEARNABLE = DIGITS * 0.1
LEARNABLE[np.arange(64), LABELS * 4] += 1.0  # a row of each image tells its class


@pytest.fixture(autouse=True)
def seeded():
    """First weights do not depend on what ran before."""
    keras.utils.set_random_seed(0)


def one_hot(labels):
    return np.eye(3, dtype="float32")[labels]


def test_2016(capsys):
    from pynn.keras.callbacks import EarlyStopping
    from pynn.keras.layers import Activation, Convolution2D, Dense, Dropout, Flatten, MaxPooling2D
    from pynn.keras.models import Sequential
    from pynn.keras.optimizers import SGD
    from pynn.keras.regularizers import l2

    model = Sequential()
    model.add(Convolution2D(8, 3, 3, border_mode="same", input_shape=(12, 12, 1), dim_ordering="tf"))
    model.add(Activation("relu"))
    model.add(MaxPooling2D(pool_size=(2, 2)))
    model.add(Flatten())
    model.add(Dense(output_dim=16, init="he_normal", W_regularizer=l2(1e-4), activation="relu"))
    model.add(Dropout(p=0.1))
    model.add(Dense(3, activation="softmax"))
    model.compile(loss="categorical_crossentropy", optimizer=SGD(lr=0.1, decay=1e-6, momentum=0.9, nesterov=True),
                  metrics=["accuracy"])  # fmt: skip
    history = model.fit(LEARNABLE, one_hot(LABELS), batch_size=16, nb_epoch=12, verbose=1, validation_split=0.25,
                        callbacks=[EarlyStopping(monitor="val_acc", patience=20)])  # fmt: skip
    assert history.history["acc"][-1] > 0.9
    assert len(history.history["val_acc"]) == 12
    score = model.evaluate(LEARNABLE, one_hot(LABELS), verbose=0)
    assert isinstance(score, list)
    assert score[1] > 0.9
    assert (model.predict_classes(LEARNABLE) == LABELS).mean() > 0.9
    assert model.optimizer.lr == pytest.approx(0.1)
    told = capsys.readouterr().out
    assert "Epoch 1/12" in told
    assert " - val_loss: " in told


def test_2019(tmp_path):
    layers = keras.layers
    ids = RNG.integers(1, 20, (60, 9))
    target = (ids[:, 0] > 10).astype("float32")
    words = layers.Input(shape=(None,), dtype="int32", name="words")
    other = layers.Input(shape=(4,), name="other")
    x = layers.Embedding(20, 8, mask_zero=True)(words)
    x = layers.Bidirectional(layers.LSTM(6))(x)
    x = layers.concatenate([x, other])
    main = layers.Dense(1, activation="sigmoid", name="main")(x)
    side = layers.Dense(2, name="side")(x)
    model = keras.models.Model(inputs=[words, other], outputs=[main, side])
    model.compile(
        optimizer=keras.optimizers.Adam(lr=0.02, clipnorm=1.0),
        loss={"main": "binary_crossentropy", "side": "mse"},
        loss_weights={"main": 1.0, "side": 0.2},
        metrics={"main": "acc"},
    )
    data = {"words": ids, "other": RNG.random((60, 4))}
    path = str(tmp_path / "best.h5")
    history = model.fit(
        data, {"main": target, "side": RNG.random((60, 2))}, epochs=25, batch_size=10, verbose=0, validation_split=0.1,
        callbacks=[
            keras.callbacks.ModelCheckpoint(path, monitor="val_loss", save_best_only=True),
            keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=3, factor=0.5),
            keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
        ],
    )  # fmt: skip
    assert {"loss", "main_loss", "side_loss", "main_acc", "val_loss", "lr"} <= {*history.history, "lr"}
    assert history.history["main_accuracy" if "main_accuracy" in history.history else "main_acc"][-1] > 0.8
    total, main_loss, side_loss, accuracy = model.evaluate(data, [target, np.zeros((60, 2))], verbose=0)
    assert total == pytest.approx(main_loss + 0.2 * side_loss, rel=1e-4)
    assert accuracy > 0.8
    again = keras.models.load_model(path)
    assert [p.shape for p in again.predict(data, verbose=0)] == [(60, 1), (60, 2)]
    assert (tmp_path / "log.csv").read_text().splitlines()[1].startswith("0,")


def test_2024(tmp_path):
    @keras.saving.register_keras_serializable(package="mine")
    class Gate(keras.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="w")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")

        def call(self, x):
            return keras.activations.sigmoid(x @ self.w + self.b)

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    x = inputs = keras.Input((12, 12, 1))
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.Activation("gelu")(x) + x
    x = keras.layers.Flatten()(x)
    x = Gate(12)(x) * 2.0 - 1.0
    model = keras.Model(inputs, keras.layers.Dense(3)(x), name="net")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(0.02, 2000)
    model.compile(optimizer=keras.optimizers.AdamW(learning_rate=rate), loss=loss,
                  metrics=[keras.metrics.SparseCategoricalAccuracy(name="right")])  # fmt: skip
    history = model.fit(LEARNABLE, LABELS, epochs=40, batch_size=16, verbose=0)
    assert history.history["right"][-1] > 0.9
    results = model.evaluate(LEARNABLE, LABELS, verbose=0, return_dict=True)
    assert list(results) == ["loss", "right"]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(LEARNABLE), model.predict(LEARNABLE), rtol=1e-5, atol=1e-6)
    assert again.evaluate(LEARNABLE, LABELS, verbose=0) == pytest.approx(list(results.values()))


def test_a_model_of_one_s_own_with_losses_of_its_layers():
    class Code(keras.layers.Layer):
        def call(self, inputs):
            mean, log_var = inputs
            self.add_loss(-0.05 * (1.0 + log_var - mean * mean - log_var.exp()).mean())
            return mean

    class Auto(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(8, activation="relu")
            self.mean, self.log_var = keras.layers.Dense(2), keras.layers.Dense(2)
            self.code, self.out = Code(), keras.layers.Dense(4)

        def call(self, x, training=None):
            h = self.inner(x)
            return self.out(self.code([self.mean(h), self.log_var(h)]))

    x = RNG.random((80, 4)).astype("float32")
    model = Auto()
    model.compile("adam", "mse")
    history = model.fit(x, x, epochs=3, verbose=0, validation_data=(x, x))
    plain = float(((model.predict(x) - x) ** 2).mean())
    assert model.evaluate(x, x, verbose=0) > plain
    assert history.history["loss"][0] > history.history["loss"][-1]
    assert len(model.layers) == 5


def test_what_was_trained_at_compile_is_trained():
    """As generative adversarial scripts have it: the judge is compiled, then frozen for the pair."""
    judge = keras.Sequential([keras.layers.Dense(1, activation="sigmoid", input_dim=2)])
    judge.compile("sgd", "binary_crossentropy")
    maker = keras.Sequential([keras.layers.Dense(2, input_dim=3)])
    judge.trainable = False
    z = keras.Input((3,))
    pair = keras.Model(z, judge(maker(z)))
    pair.compile("sgd", "binary_crossentropy")
    before = judge.get_weights()
    pair.train_on_batch(np.ones((4, 3)), np.ones(4))
    assert all((a == b).all() for a, b in zip(before, judge.get_weights(), strict=True))
    loss = judge.train_on_batch(np.ones((4, 2)), np.zeros(4))
    assert isinstance(loss, float)
    assert any((a != b).any() for a, b in zip(before, judge.get_weights(), strict=True))


def test_generators():
    def batches():
        while True:
            yield DIGITS[:8], one_hot(LABELS[:8])

    model = keras.Sequential(
        [keras.Input((12, 12, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    )
    model.compile("rmsprop", "categorical_crossentropy", ["acc"])
    history = model.fit_generator(batches(), steps_per_epoch=4, nb_epoch=2, verbose=0, validation_data=batches(),
                                  validation_steps=2)  # fmt: skip
    assert len(history.history["val_acc"]) == 2
    assert model.predict_generator(batches(), steps=2).shape == (16, 3)
    assert len(model.evaluate_generator(batches(), steps=2)) == 2


def test_early_stopping_keeps_the_last_weights_unless_asked():
    x, y = RNG.random((20, 3)), RNG.random((20, 1))
    for restore in (False, True):
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.9), "mse")
        seen = []
        keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(model.get_weights()))  # noqa: B023
        stop = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=restore, min_delta=10)
        model.fit(x, y, epochs=9, verbose=0, callbacks=[stop, keep])
        assert len(seen) == 3
        assert (model.get_weights()[0] == seen[0 if restore else 2][0]).all()


@pytest.mark.parametrize(("code", "error", "text"), [
    ("from pynn.keras.layers import Dens", ImportError, "layers.Dens; nearest: Dense; used by: line 1"),
    ("import pynn.keras as k\nk.layers.Conv4D", AttributeError, "nearest: Conv.*line 2"),
    ("import pynn.keras as k\nk.layers.Dense(3, activaton='relu')", TypeError, "activation=.*line 2"),
    ("import pynn.keras as k\nk.layers.Dense(3, activation='rellu')", ValueError, "nearest: relu.*line 2"),
    ("import pynn.keras as k\nk.applications.VGG18()", AttributeError, "nearest: VGG1.*line 2"),
    ("import pynn.keras as k\nk.layers.Dense(3, dtype='mixed_float16')", NotImplementedError, "float64.*line 2"),
    ("import pynn.keras as k\nk.Sequential([k.layers.Dense]) ", TypeError, "an instance"),
    ("import pynn.keras as k\nk.Sequential().fit(1, 2, epoch=3)", TypeError, "epochs="),
    ("import pynn.keras as k\nk.Sequential().compile(optimiser='sgd')", TypeError, "optimizer="),
    ("import pynn.keras as k\nk.Sequential().compile(loss='mean_square_error')", ValueError, "mean_squared_error"),
    ("import pynn.keras as k\nk.Input((3,), sparse=True)", NotImplementedError, "dense arrays"),
    ("import pynn.keras as k\nbool(k.Input((3,)) > 0)", TypeError, "no value yet"),
])  # fmt: skip
def test_slips_are_named(code, error, text):
    with pytest.raises(error, match=text):
        exec(compile(code, "<script>", "exec"), {})


def test_code_in_files_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    layers = [{"class_name": "Lambda", "config": {"name": "f"}}]
    config = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": layers}})
    path = tmp_path / "lambda.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = config, "2.3.1"
        file.create_group("model_weights").attrs["layer_names"] = np.zeros((0,), "S1")
    with pytest.raises(ValueError, match=r"is a Lambda.*never run"):
        keras.models.load_model(path)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2)])
    with pytest.raises(NotImplementedError, match="write a Layer"):
        model.save(tmp_path / "model.keras")


def test_symbols_tell_their_shapes():
    layers = keras.layers
    x = keras.Input((None, 8))
    assert layers.LSTM(4, return_sequences=True)(x).shape == (None, None, 4)
    assert layers.Conv1D(4, 3, padding="same")(x).shape == (None, None, 4)
    assert layers.GlobalMaxPooling1D()(x).shape == (None, 8)
    y, h, c = layers.LSTM(4, return_state=True)(x)
    assert (y.shape, h.shape, c.shape) == ((None, 4),) * 3
    image = keras.Input((28, 28, 3))
    first = layers.Conv2D(6, 5, strides=2)
    assert first(image).shape == (None, 12, 12, 6)
    assert first.output_shape == (None, 12, 12, 6)
    assert first.input_shape == (None, 28, 28, 3)
    assert first.kernel.shape == (5, 5, 3, 6)
    assert (image[:, 0] + 1).shape == (None, 28, 3)


def test_chains_grow_and_shrink():
    model = keras.Sequential()
    model.add(keras.layers.Dense(4, input_shape=(3,)))
    model.add(keras.layers.Dense(2))
    assert model.output_shape == (None, 2)
    model.pop()
    assert model.output_shape == (None, 4)
    assert [layer.name for layer in model.layers] == [model.layers[0].name]
    part = keras.Model(model.input, model.layers[0].output)
    assert part.predict(np.ones((2, 3))).shape == (2, 4)
    twin = keras.models.clone_model(model)
    assert twin.get_weights()[0].shape == (3, 4)


def test_models_are_copied():
    model = small()
    model.fit(RNG.random((10, 3)), RNG.random(10), verbose=0)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.predict(np.ones((2, 3))), model.predict(np.ones((2, 3))))
        twin.fit(RNG.random((10, 3)), RNG.random(10), verbose=0)
    assert (twin.get_weights()[0] != model.get_weights()[0]).any()


def test_estimators_of_keras_2():
    pytest.importorskip("sklearn")
    from sklearn.model_selection import GridSearchCV

    from pynn.keras.wrappers import KerasClassifier

    def make(units=4, loss="categorical_crossentropy"):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(units, "tanh"), keras.layers.Dense(2, "softmax")]
        )
        model.compile(keras.optimizers.Adam(0.03), loss, metrics=["accuracy"])
        return model

    keras.utils.set_random_seed(3)
    x = np.random.default_rng(3).standard_normal((60, 2))
    y = np.where(x[:, 0] > 0, "yes", "no")
    search = GridSearchCV(KerasClassifier(make, batch_size=10, verbose=0), {"units": [1, 5], "epochs": [1, 30]}, cv=2)
    search.fit(x, y)
    assert search.best_params_["epochs"] == 30
    assert search.best_estimator_.score(x, y) > 0.9
    with pytest.raises(ValueError, match="'unit' is no argument"):
        KerasClassifier(make, unit=3)


def test_summary_counts(capsys):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()])
    model.summary()
    told = capsys.readouterr().out
    assert "Total params: 27" in told
    assert "Non-trainable params: 6" in told


def test_summary_names_what_layers_of_two_models_are_connected_to_in_each(capsys):
    layers = keras.layers
    base = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="inner")], name="base")
    for name in ("old", "new"):
        x = keras.Input((4,), name=f"{name}_in")
        y = layers.Dense(4, name=f"{name}_first")(x)
        model = keras.Model(x, layers.Concatenate(name=f"{name}_both")([base(y), base(x)]))
        model.summary(expand_nested=True)
        rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
        assert rows["base"].endswith(f"{name}_first[0], {name}_in[0]")
        assert rows[f"{name}_both"].endswith("base[0], base[0]")
        assert rows[f"{name}_in"].endswith(" -")
        assert "inner" in rows


def test_layers_frozen_in_a_new_network_keep_their_weights_until_they_are_let_go():
    """As in Keras's guide on transfer learning."""
    layers = keras.layers
    x, y = RNG.normal(size=(64, 6, 6, 1)).astype("float32"), RNG.integers(0, 2, 64)
    base = keras.Sequential([
        keras.Input((6, 6, 1)), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(),
        layers.Conv2D(4, 3, activation="relu"),
    ])  # fmt: skip
    before = [w.copy() for w in base.get_weights()]
    base.trainable = False
    inputs = keras.Input((6, 6, 1))
    features = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(features)))
    assert len(model.trainable_weights) == 2
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, metrics=[keras.metrics.BinaryAccuracy()])
    model.fit(x, y, epochs=2, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, base.get_weights(), strict=True))
    base.trainable = True
    assert len(model.trainable_weights) == 8
    model.compile(keras.optimizers.Adam(1e-3), loss)
    model.fit(x, y, epochs=1, verbose=0)
    same = [np.array_equal(a, b) for a, b in zip(before, base.get_weights(), strict=True)]
    assert same == [False, False, False, False, True, True, False, False]  # statistics stay: training=False


def test_images_are_changed_while_training_alone():
    layers = keras.layers
    images = RNG.integers(0, 256, (8, 10, 10, 3)).astype("uint8")
    before = keras.Sequential([
        keras.Input((10, 10, 3)), layers.Rescaling(1 / 255), layers.RandomFlip("horizontal"),
        layers.RandomRotation(0.1), layers.RandomZoom(0.2), layers.RandomTranslation(0.1, 0.1),
        layers.RandomContrast(0.2, value_range=(0, 1)), layers.RandomBrightness(0.1, value_range=(0, 1)),
    ])  # fmt: skip
    np.testing.assert_allclose(before.predict(images), images / 255, atol=1e-6)
    moved = before(images, training=True).numpy()
    assert moved.shape == images.shape
    assert np.abs(moved - images / 255).mean() > 0.05
    flips = layers.RandomFlip("horizontal")(images[:1].repeat(64, 0)).numpy()
    kinds = {row.tobytes() for row in flips}
    assert kinds == {a.astype("float32").tobytes() for a in (images[0], images[0][:, ::-1])}


def test_volumes():
    model = keras.Sequential([
        keras.layers.ConvLSTM2D(3, 3, padding="same", return_sequences=True, input_shape=(None, 6, 6, 1)),
        keras.layers.BatchNormalization(),
        keras.layers.Conv3D(1, 3, padding="same", activation="sigmoid"),
    ])  # fmt: skip
    model.compile("adadelta", "binary_crossentropy")
    x = RNG.random((4, 5, 6, 6, 1))
    losses = model.fit(x, x, epochs=2, verbose=0).history["loss"]
    assert losses[1] < losses[0]
    assert model.predict(x[:2, :3]).shape == (2, 3, 6, 6, 1)


def test_a_training_step_of_one_s_own():
    class Twice(keras.Model):
        def train_step(self, data):
            x, y = data
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            loss.backward()
            self.optimizer.apply_gradients([(w.grad * 2.0, w) for w in self.trainable_weights])
            return {"loss": loss, "twice": loss * 2.0}

    x = RNG.random((40, 3)).astype("float32")
    y = x.sum(1, keepdims=True)
    inputs = keras.Input((3,))
    model = Twice(inputs, keras.layers.Dense(1)(inputs))
    model.compile(keras.optimizers.SGD(0.05), "mse")
    history = model.fit(x, y, epochs=4, batch_size=8, verbose=0, validation_data=(x, y)).history
    assert list(history) == ["loss", "twice", "val_loss"]
    assert history["val_loss"][-1] < history["val_loss"][0]
    assert history["twice"][0] == pytest.approx(2 * history["loss"][0])


def test_what_has_no_weights_is_measured():
    class Penalty(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(0.5 * keras.ops.mean(inputs))
            return inputs

    x = keras.Input((3,))
    model = keras.Model(x, Penalty()(x))
    model.compile("adam", "mse")
    history = model.fit(np.ones((4, 3)), np.zeros((4, 3)), epochs=2, verbose=0)
    assert history.history["loss"] == pytest.approx([1.5, 1.5])


def test_accuracy_beside_other_losses_goes_by_the_shapes():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse", metrics=["accuracy"])
    x, y = RNG.random((20, 3)), RNG.random((20, 3))
    wanted = (model.predict(x, verbose=0).argmax(1) == y.argmax(1)).mean()
    assert model.evaluate(x, y, verbose=0)[1] == pytest.approx(wanted)


def test_an_accuracy_of_another_name_is_the_accuracy():
    logs = keras.callbacks.History()
    logs.on_train_begin()
    logs.on_epoch_end(0, {"loss": 1.0, "binary_accuracy": 0.5, "val_binary_accuracy": 0.25})
    assert (logs.history["acc"], logs.history["val_acc"]) == ([0.5], [0.25])
    with pytest.raises(KeyError):
        logs.history["mae"]


def test_weights_of_samples_count_for_the_loss_alone():
    weights = np.repeat([1.0, 0.0], [5, 15])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, activation="softmax")])
    x, y = RNG.random((20, 3)), RNG.integers(0, 3, 20)
    right = model.predict(x, verbose=0).argmax(1) == y
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=["accuracy"],
                  weighted_metrics=[keras.metrics.SparseCategoricalAccuracy(name="weighed")])  # fmt: skip
    history = model.fit(x, y, sample_weight=weights, epochs=1, verbose=0).history
    _, plain, weighed = model.evaluate(x, y, sample_weight=weights, verbose=0)
    assert (history["accuracy"][0], plain) == pytest.approx((right.mean(), right.mean()))
    assert (history["weighed"][0], weighed) == pytest.approx((right[:5].mean(), right[:5].mean()))
    assert model.fit(x, y, class_weight={0: 5.0}, verbose=0).history["accuracy"][0] == pytest.approx(right.mean())


def test_cells_of_several_inputs():
    """Inputs, states and outputs of a cell may be pairs."""

    class Pair(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.state_size = [2, (2, 3)]

        def build(self, shapes):
            self.w = self.add_weight(shape=(shapes[0][-1], 2), name="w")

        def call(self, inputs, states):
            a, b = states[0] + keras.ops.matmul(inputs[0], self.w), states[1] + inputs[1]
            return (a, b), (a, b)

    one, two = keras.Input((None, 4)), keras.Input((None, 2, 3))
    model = keras.Model([one, two], keras.layers.RNN(Pair())((one, two)))
    x, z = RNG.random((5, 6, 4)).astype("float32"), RNG.random((5, 6, 2, 3)).astype("float32")
    a, b = model.predict([x, z], verbose=0)
    np.testing.assert_allclose(a, (x @ model.get_weights()[0]).sum(1), rtol=1e-4)
    np.testing.assert_allclose(b, z.sum(1), rtol=1e-5)
    steps = keras.layers.RNN(Pair(), return_sequences=True)((x, z))
    np.testing.assert_allclose(steps[1].numpy(), z.cumsum(1), rtol=1e-5)
    model.compile("adam", "mse")
    before = model.evaluate([x, z], [a + 1, b], verbose=0)[0]
    model.fit([x, z], [a + 1, b], epochs=20, verbose=0)
    assert model.evaluate([x, z], [a + 1, b], verbose=0)[0] < before


def test_states_and_masks_are_told():
    layer = keras.layers.LSTM(3, stateful=True)
    assert layer.states is None
    y = layer(np.ones((2, 4, 5), "float32"))
    np.testing.assert_array_equal(layer.states[0].numpy(), y.numpy())
    x = keras.Input((None,), dtype="int32")
    embedded = keras.layers.Embedding(9, 2, mask_zero=True)
    assert embedded(x)._keras_mask.shape == (None, None)
    assert embedded(np.array([[1, 0]]))._keras_mask.numpy().tolist() == [[True, False]]
    assert keras.layers.Dense(1)(np.ones((2, 3)))._keras_mask is None


def test_variables_are_assigned_to():
    class Total(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.total = self.add_weight(shape=(2,), initializer="zeros", trainable=False)
            self.calls = keras.Variable(0.0, trainable=False)

        def call(self, x):
            self.total.assign_add(x.sum(0))
            self.calls.assign_add(1.0)
            return x * 1.0

    layer = Total()
    layer(np.ones((3, 2), "float32"))
    assert layer.total.numpy().tolist() == [3.0, 3.0]
    assert len(layer.non_trainable_weights) == 2
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 2)), np.ones(8), batch_size=4, epochs=2, verbose=0)
    assert layer.total.numpy().tolist() == [3.0 + 16.0] * 2
    assert float(layer.calls) == 1 + 4


def small(seed=0):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])
    rng = np.random.default_rng(seed)
    model.set_weights([rng.standard_normal(w.shape) for w in model.get_weights()])
    model.compile(keras.optimizers.Adam(0.05), "mse")
    return model


def test_a_backup_goes_on_where_it_stopped(tmp_path):
    x, y = RNG.random((20, 3)), RNG.random((20, 1))

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise RuntimeError("power is gone")

    whole = small()
    whole.fit(x, y, epochs=5, verbose=0, shuffle=False)
    part = small()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(RuntimeError, match="power"):
        part.fit(x, y, epochs=5, verbose=0, shuffle=False, callbacks=[backup, Stop()])
    again = small(1)
    history = again.fit(x, y, epochs=5, verbose=0, shuffle=False,
                        callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")])  # fmt: skip
    assert history.epoch == [2, 3, 4]
    for a, b in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert not list((tmp_path / "backup").iterdir())


def test_callbacks_write_files(tmp_path, capsys):
    from pynn.keras.callbacks import _checksum

    x, y = RNG.random((20, 3)), RNG.random((20, 1))
    model = small()
    calls = keras.callbacks
    model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[
        calls.ModelCheckpoint(str(tmp_path / "w{epoch:02d}-{val_loss:.1f}.weights.h5"), save_weights_only=True),
        calls.TensorBoard(tmp_path / "logs"),
        calls.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1), verbose=1),
    ])  # fmt: skip
    names = sorted(p.name[:4] for p in tmp_path.glob("*.h5"))
    assert names == ["w01-", "w02-"]
    assert "setting learning rate to 0.05" in capsys.readouterr().out
    assert float(model.optimizer.learning_rate) == 0.05
    crc = 0xE3069283  # of the nine digits, as the standard says
    assert _checksum(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert {p.parent.name for p in (tmp_path / "logs").glob("*/events*")} == {"train", "validation"}
    model.optimizer.lr.assign(0.25)
    assert float(model.optimizer.lr) == 0.25


def test_weights_of_layers_by_keras_s_names():
    model = keras.Sequential([
        keras.layers.Embedding(9, 4, input_length=5, weights=[np.full((9, 4), 0.5)], trainable=False),
        keras.layers.LSTM(3, kernel_constraint="max_norm", recurrent_regularizer="l2"),
        keras.layers.Dense(2, kernel_constraint="non_neg", bias_regularizer=keras.regularizers.l1(0.1)),
    ])  # fmt: skip
    assert (model.layers[0].embeddings.numpy() == 0.5).all()
    assert model.layers[1].recurrent_kernel.shape == (3, 12)
    assert model.layers[1].bias.numpy().tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6
    assert len(model.trainable_weights) == 5
    assert len(model.losses) == 2
    model.compile("sgd", "mse")
    model.fit(RNG.integers(0, 9, (30, 5)), -RNG.random((30, 2)), epochs=3, verbose=0)
    assert (model.layers[2].kernel.numpy() >= 0).all()
    assert (model.layers[0].embeddings.numpy() == 0.5).all()


def test_the_page_lists_every_name():
    page = ROOT / "docs/reference/keras.md"
    if not page.exists():
        pytest.skip("the documentation is not here")
    text = page.read_text(encoding="utf-8")
    for module in ("activations", "callbacks", "constraints", "initializers", "layers", "losses", "metrics", "models",
                   "optimizers", "regularizers", "saving"):  # fmt: skip
        section = text.partition(f"### keras.{module} ")[2].partition("\n## ")[0].partition("\n### ")[0]
        there = getattr(keras, module)
        wanted = {name for name in there.__all__ if not inspect.ismodule(getattr(there, name))}
        assert wanted == set(re.findall(r"`(\w+)`", section)), module


def test_a_seed_draws_the_same_weights_whatever_was_made_before():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner, self.out = keras.layers.Dense(5), keras.layers.Dense(2)

        def call(self, x):
            return self.out(self.inner(x))

    def drawn():
        keras.utils.set_random_seed(3)
        x = np.ones((2, 4), np.float32)
        own, functional = Own(), keras.Input((4,))
        functional = keras.Model(functional, keras.layers.Dense(3)(keras.layers.Dense(6)(functional)))
        return np.concatenate([model.predict(x, verbose=0) for model in (own, functional)], axis=1)

    first = drawn()
    keras.layers.Dense(7)
    np.testing.assert_array_equal(drawn(), first)
