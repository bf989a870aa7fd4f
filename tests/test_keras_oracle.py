"""pynn.keras beside Keras 3: signatures and defaults, shapes, numbers of weights, and what layers compute."""

from __future__ import annotations

import inspect
import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
pytest.importorskip("jax", reason="needs Keras: pip install 'pynn-dl[keras-check]'")
real = pytest.importorskip("keras", reason="needs Keras: pip install 'pynn-dl[keras-check]'")

from pynn import keras  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

IMAGE, LINE, VECTOR = (2, 9, 8, 3), (2, 7, 4), (3, 6)
# Layer: (arguments, options, shape of the input or of each)
LAYERS = {
    "Dense": ((5,), {"activation": "relu"}, VECTOR),
    "Dense-line": ((5,), {"activation": "tanh", "use_bias": False}, LINE),
    "Activation": (("softplus",), {}, VECTOR),
    "Flatten": ((), {}, IMAGE),
    "Reshape": (((3, -1),), {}, VECTOR),
    "Permute": (((2, 1),), {}, LINE),
    "RepeatVector": ((3,), {}, VECTOR),
    "Dropout": ((0.5,), {}, VECTOR),
    "Identity": ((), {}, VECTOR),
    "Conv1D": ((5, 3), {"padding": "causal", "dilation_rate": 2}, LINE),
    "Conv1D-same": ((5, 3), {"padding": "same", "strides": 2}, LINE),
    "Conv2D": ((5, 3), {"activation": "relu"}, IMAGE),
    "Conv2D-same": ((5, (3, 2)), {"padding": "same", "strides": 2}, IMAGE),
    "Conv2D-groups": ((6, 3), {"groups": 3}, IMAGE),
    "Conv2D-first": ((5, 3), {"data_format": "channels_first"}, (2, 3, 9, 8)),
    "Conv2DTranspose": ((5, 3), {"strides": 2, "padding": "same"}, IMAGE),
    "Conv1DTranspose": ((5, 3), {"strides": 2}, LINE),
    "DepthwiseConv2D": ((3,), {"depth_multiplier": 2}, IMAGE),
    "SeparableConv2D": ((5, 3), {"padding": "same"}, IMAGE),
    "SeparableConv1D": ((5, 3), {}, LINE),
    "MaxPooling1D": ((2,), {}, LINE),
    "MaxPooling2D": ((), {"padding": "same"}, IMAGE),
    "AveragePooling1D": ((3,), {"strides": 1, "padding": "same"}, LINE),
    "AveragePooling2D": (((2, 3),), {}, IMAGE),
    "GlobalAveragePooling1D": ((), {}, LINE),
    "GlobalAveragePooling2D": ((), {"keepdims": True}, IMAGE),
    "GlobalMaxPooling1D": ((), {}, LINE),
    "GlobalMaxPooling2D": ((), {}, IMAGE),
    "UpSampling1D": ((3,), {}, LINE),
    "UpSampling2D": ((), {"interpolation": "bilinear"}, IMAGE),
    "ZeroPadding1D": (((1, 2),), {}, LINE),
    "ZeroPadding2D": (((1, 2),), {}, IMAGE),
    "Cropping1D": ((), {}, LINE),
    "Cropping2D": ((((1, 0), (2, 1)),), {}, IMAGE),
    "BatchNormalization": ((), {}, IMAGE),
    "BatchNormalization-axis": ((), {"axis": 1}, IMAGE),
    "LayerNormalization": ((), {}, LINE),
    "GroupNormalization": ((3,), {}, IMAGE),
    "UnitNormalization": ((), {}, VECTOR),
    "RMSNormalization": ((), {}, VECTOR),
    "GaussianNoise": ((0.5,), {}, VECTOR),
    "GaussianDropout": ((0.5,), {}, VECTOR),
    "AlphaDropout": ((0.5,), {}, VECTOR),
    "SpatialDropout1D": ((0.5,), {}, LINE),
    "SpatialDropout2D": ((0.5,), {}, IMAGE),
    "LeakyReLU": ((), {}, VECTOR),
    "ELU": ((), {}, VECTOR),
    "ReLU": ((2.0,), {"negative_slope": 0.1, "threshold": 0.2}, VECTOR),
    "PReLU": ((), {"alpha_initializer": "glorot_uniform", "shared_axes": [1, 2]}, IMAGE),
    "Softmax": ((), {"axis": 1}, LINE),
    "SimpleRNN": ((5,), {"return_sequences": True}, LINE),
    "SimpleRNN-relu": ((5,), {"activation": "relu"}, LINE),
    "LSTM": ((5,), {}, LINE),
    "LSTM-backwards": ((5,), {"go_backwards": True, "return_sequences": True}, LINE),
    "LSTM-hard": ((5,), {"recurrent_activation": "hard_sigmoid", "activation": "relu"}, LINE),
    "GRU": ((5,), {}, LINE),
    "GRU-before": ((5,), {"reset_after": False, "activation": "relu"}, LINE),
    "GRU-hard": ((5,), {"recurrent_activation": "hard_sigmoid", "return_sequences": True}, LINE),
    "Add": ((), {}, [VECTOR, VECTOR]),
    "Subtract": ((), {}, [VECTOR, VECTOR]),
    "Multiply": ((), {}, [LINE, LINE]),
    "Average": ((), {}, [VECTOR, VECTOR, VECTOR]),
    "Maximum": ((), {}, [VECTOR, VECTOR]),
    "Minimum": ((), {}, [VECTOR, VECTOR]),
    "Concatenate": ((), {"axis": 1}, [LINE, LINE]),
    "Dot": (((2,)), {}, [LINE, (2, 5, 4)]),
    "Dot-normalized": ((1,), {"normalize": True}, [VECTOR, VECTOR]),
    "Attention": ((), {}, [LINE, (2, 5, 4)]),
    "Attention-concat": ((), {"score_mode": "concat", "use_scale": True}, [LINE, (2, 5, 4)]),
    "Conv3D": ((4, 3), {"padding": "same", "strides": 2}, (2, 5, 6, 7, 3)),
    "Conv3D-valid": ((4, (2, 3, 3)), {"activation": "relu"}, (2, 5, 6, 7, 3)),
    "MaxPooling3D": ((), {}, (2, 5, 6, 7, 3)),
    "AveragePooling3D": ((2,), {}, (2, 5, 6, 7, 3)),
    "GlobalAveragePooling3D": ((), {}, (2, 5, 6, 7, 3)),
    "GlobalMaxPooling3D": ((), {}, (2, 5, 6, 7, 3)),
    "UpSampling3D": ((), {}, (2, 2, 3, 4, 3)),
    "ConvLSTM2D": ((4, 3), {"return_sequences": True, "padding": "same"}, (2, 3, 6, 7, 3)),
    "Rescaling": ((0.5, -1.0), {}, IMAGE),
    "Resizing": ((5, 12), {}, IMAGE),
    "Resizing-nearest": ((5, 12), {"interpolation": "nearest"}, IMAGE),
    "CenterCrop": ((4, 5), {}, IMAGE),
    "AdditiveAttention": ((), {}, [LINE, (2, 5, 4)]),
}  # fmt: skip


def arrays(shape, seed=0):
    """Return random inputs of a shape, or of each of several."""
    rng = np.random.default_rng(seed)
    if isinstance(shape, list):
        return [rng.standard_normal(s).astype("float32") for s in shape]
    return rng.standard_normal(shape).astype("float32")


def array(x):
    """Return an output of either library as an array."""
    return x.numpy() if hasattr(x, "numpy") and not hasattr(x, "devices") else np.asarray(x)


def agree(theirs, ours, x, *more, **options):
    """Copy weights, and compare shapes, numbers of weights and outputs."""
    theirs(x, *more, **options), ours(x, *more, **options)
    rng = np.random.default_rng(1)
    weights = [np.abs(rng.standard_normal(w.shape)).astype("float32") * 0.5 for w in theirs.get_weights()]
    assert [w.shape for w in weights] == [tuple(w.shape) for w in ours.get_weights()]
    theirs.set_weights(weights), ours.set_weights(weights)
    assert theirs.count_params() == ours.count_params()
    a, b = theirs(x, *more, **options), ours(x, *more, **options)
    both = (a, b) if isinstance(a, (list, tuple)) else ([a], [b])
    for one, two in zip(*both, strict=True):
        assert array(one).shape == array(two).shape
        np.testing.assert_allclose(array(two), array(one), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("case", LAYERS)
def test_layers_compute_the_same(case):
    args, options, shape = LAYERS[case]
    args = args if isinstance(args, tuple) else (args,)
    name = case.partition("-")[0]
    theirs, ours = getattr(real.layers, name)(*args, **options), getattr(keras.layers, name)(*args, **options)
    agree(theirs, ours, arrays(shape))
    symbols = [
        [k.Input(s[1:]) for s in shape] if isinstance(shape, list) else k.Input(shape[1:]) for k in (real, keras)
    ]
    one = getattr(real.layers, name)(*args, **options)(symbols[0])
    two = getattr(keras.layers, name)(*args, **options)(symbols[1])
    assert tuple(one.shape) == tuple(two.shape)


def test_normalization():
    x = arrays(IMAGE)
    for given in ({}, {"mean": [0.1, 0.2, 0.3], "variance": [1.0, 2.0, 3.0]}):
        one, two = (k.layers.Normalization(**given) for k in (real, keras))
        for layer in (one, two):
            if not given:
                layer.adapt(x)
        np.testing.assert_allclose(array(two(x)), array(one(x)), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_bidirectional(merge):
    made = [k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True), merge_mode=merge) for k in (real, keras)]
    agree(*made, arrays(LINE))


def test_states_of_recurrent_layers():
    made = [k.layers.LSTM(3, return_state=True, return_sequences=True) for k in (real, keras)]
    agree(*made, arrays(LINE))
    made = [k.layers.RNN([k.layers.LSTMCell(3), k.layers.GRUCell(2)], return_sequences=True) for k in (real, keras)]
    agree(*made, arrays(LINE))


def test_time_distributed():
    made = [k.layers.TimeDistributed(k.layers.Conv2D(2, 3)) for k in (real, keras)]
    agree(*made, arrays((2, 4, 5, 5, 3)))


@pytest.mark.parametrize("causal", [False, True])
def test_multi_head_attention(causal):
    x, y = arrays([(2, 7, 4), (2, 5, 4)])
    made = [k.layers.MultiHeadAttention(2, 3, value_dim=5) for k in (real, keras)]
    agree(*made, x, y, use_causal_mask=causal, return_attention_scores=True)
    mask = np.random.default_rng(0).random((2, 7, 5)) > 0.4
    made = [k.layers.MultiHeadAttention(2, 3) for k in (real, keras)]
    agree(*made, x, y, attention_mask=mask)


def test_masks_go_through_models():
    ids = np.array([[1, 2, 3, 0, 0], [4, 1, 0, 0, 0]])
    for make in (
        lambda k: [k.layers.LSTM(3)], lambda k: [k.layers.GRU(3), ], lambda k: [k.layers.GlobalAveragePooling1D()],
        lambda k: [k.layers.Dense(4), k.layers.SimpleRNN(2)],
        lambda k: [k.layers.Bidirectional(k.layers.LSTM(3))],
    ):  # fmt: skip
        models = [
            k.Sequential([k.Input((5,)), k.layers.Embedding(6, 4, mask_zero=True), *make(k)]) for k in (real, keras)
        ]
        weights = [np.random.default_rng(2).standard_normal(w.shape).astype("float32") for w in models[0].get_weights()]
        for m in models:
            m.set_weights(weights)
        one, two = (m.predict(ids, verbose=0) for m in models)
        np.testing.assert_allclose(two, one, rtol=2e-5, atol=1e-5)


LOSSES = [
    "MeanSquaredError", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Huber",
    "LogCosh", "Poisson", "KLDivergence", "Hinge", "SquaredHinge", "CategoricalHinge", "CategoricalCrossentropy",
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalFocalCrossentropy", "CosineSimilarity",
]  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    rng = np.random.default_rng(0)
    p = rng.random((6, 4)).astype("float32")
    p /= p.sum(1, keepdims=True)
    y = np.eye(4, dtype="float32")[rng.integers(0, 4, 6)]
    one, two = getattr(real.losses, name)()(y, p), getattr(keras.losses, name)()(y, p)
    np.testing.assert_allclose(float(two), float(one), rtol=2e-5, atol=1e-6)
    w = rng.random(6).astype("float32")
    one, two = getattr(real.losses, name)()(y, p, w), getattr(keras.losses, name)()(y, p, w)
    np.testing.assert_allclose(float(two), float(one), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", [
    "BinaryAccuracy", "CategoricalAccuracy", "TopKCategoricalAccuracy", "MeanSquaredError", "RootMeanSquaredError",
    "Precision", "Recall", "TruePositives", "FalseNegatives", "KLDivergence", "CategoricalCrossentropy",
])  # fmt: skip
def test_metrics(name):
    rng = np.random.default_rng(0)
    y = np.eye(6, dtype="float32")[rng.integers(0, 6, 20)]
    p = rng.random((20, 6)).astype("float32")
    p /= p.sum(1, keepdims=True)
    one, two = getattr(real.metrics, name)(), getattr(keras.metrics, name)()
    for part in (slice(0, 8), slice(8, 20)):
        one.update_state(y[part], p[part])
        two.update_state(y[part], p[part])
    assert two.name == one.name
    np.testing.assert_allclose(float(two.result()), float(one.result()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", [
    "relu", "leaky_relu", "relu6", "softmax", "celu", "elu", "selu", "softplus", "softsign", "silu", "gelu", "glu",
    "tanh", "sigmoid", "exponential", "hard_sigmoid", "hard_silu", "hard_tanh", "hard_shrink", "linear", "mish",
    "log_softmax", "log_sigmoid", "soft_shrink", "sparse_plus", "squareplus", "tanh_shrink",
])  # fmt: skip
def test_activations(name):
    x = arrays((5, 6)) * 3
    one, two = getattr(real.activations, name)(x), getattr(keras.activations, name)(x)
    np.testing.assert_allclose(array(two), array(one), rtol=2e-5, atol=1e-5)


OPTIMIZERS = {
    "SGD": {}, "SGD-momentum": {"momentum": 0.9, "nesterov": True}, "Adam": {}, "Adam-amsgrad": {"amsgrad": True},
    "AdamW": {}, "Adamax": {}, "Adagrad": {}, "Adadelta": {"learning_rate": 1.0}, "Lion": {},
    "RMSprop": {"epsilon": 1e-10}, "SGD-clipped": {"clipnorm": 0.1}, "SGD-all": {"global_clipnorm": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizers_go_the_same_way(case):
    x, y = arrays([(32, 6), (32, 2)])
    models = []
    for k in (real, keras):
        m = k.Sequential([k.Input((6,)), k.layers.Dense(5, activation="tanh"), k.layers.Dense(2)])
        m.set_weights([arrays(w.shape, 3) for w in m.get_weights()])
        m.compile(getattr(k.optimizers, case.partition("-")[0])(**OPTIMIZERS[case]), "mse")
        m.fit(x, y, batch_size=32, epochs=10, verbose=0)
        models.append(m)
    for one, two in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("name", [
    "RandomNormal", "RandomUniform", "TruncatedNormal", "GlorotUniform", "GlorotNormal", "HeNormal", "HeUniform",
    "LecunNormal", "LecunUniform", "Orthogonal", "Zeros", "Ones", "Identity",
])  # fmt: skip
def test_initializers_draw_alike(name):
    one, two = (np.asarray(getattr(k.initializers, name)()((200, 200))) for k in (real, keras))
    assert abs(one.mean() - two.mean()) < 3e-3
    np.testing.assert_allclose(two.std(), one.std(), rtol=0.03, atol=1e-6)
    np.testing.assert_allclose(np.abs(two).max(), np.abs(one).max(), rtol=0.2, atol=1e-6)


SCHEDULES = {
    "ExponentialDecay": (0.1, 10, 0.5), "InverseTimeDecay": (0.1, 10, 0.5), "PolynomialDecay": (0.1, 30),
    "CosineDecay": (0.1, 30), "CosineDecayRestarts": (0.1, 8), "PiecewiseConstantDecay": ([5, 12], [0.3, 0.2, 0.1]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    made = [getattr(k.optimizers.schedules, name)(*SCHEDULES[name]) for k in (real, keras)]
    for step in (0, 1, 5, 6, 13, 29, 40):
        np.testing.assert_allclose(float(made[1](step)), float(made[0](step)), rtol=1e-5)


# Signatures

ABSENT = {"lora_rank", "lora_alpha", "quantization_config", "sliding_window", "flash_attention", "use_gate", "ragged",
          "optional", "renorm", "renorm_clipping", "renorm_momentum", "input_axes",
          "output_axes", "salt", "oov_method", "pad_to_max_tokens", "sparse", "encoding"}  # fmt: skip


def compared():
    """Yield (module, name) of all public names that both have."""
    for module in ("layers", "losses", "optimizers", "metrics", "callbacks", "initializers", "regularizers",
                   "constraints", "activations"):  # fmt: skip
        ours = getattr(keras, module)
        for name in ours.__all__:
            if name in ("Convolution2D", "Ftrl", "Optimizer"):
                continue  # of Keras 1; refused; a base that is made by its subclasses alone
            if hasattr(getattr(real, module), name) and not inspect.ismodule(getattr(ours, name)):
                yield module, name
    yield from ((None, "Input"), ("models", "load_model"), ("models", "clone_model"))
    yield from (("Model", name) for name in ("compile", "fit", "evaluate", "predict", "train_on_batch", "summary"))


def parameters(thing):
    """Return name -> default of what a call takes by position."""
    found = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing).parameters.values()
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return {p.name: p.default for p in found if p.kind in kinds and p.name not in {"self", *ABSENT}}


@pytest.mark.parametrize(("module", "name"), list(compared()))
def test_signatures_are_keras_s(module, name):
    places = [getattr(k, module) if module else k for k in (real, keras)]
    theirs, ours = (parameters(getattr(place, name)) for place in places)
    shared = [key for key in theirs if key in ours]
    assert set(theirs) <= set(ours), sorted(set(theirs) - set(ours))
    assert shared == [key for key in ours if key in theirs]
    for key in shared:
        same = ours[key] is theirs[key] or ours[key] == theirs[key]
        once = theirs[key] is inspect.Parameter.empty  # Keras 2 had a default
        assert same or once or (not ours[key] and not theirs[key]), (key, ours[key], theirs[key])


def test_so_many_names_are_compared():
    assert len(list(compared())) >= 150


# Training: losses, metrics and weights after three epochs, from the same weights and in the same order


def rule(name, **options):
    return lambda k: getattr(k.optimizers, name)(**{"learning_rate": 0.05, **options})


def decayed(name, *args, **options):
    return lambda k: k.optimizers.SGD(getattr(k.optimizers.schedules, name)(*args, **options))


RULES = {
    **{name: rule(name) for name in ("SGD", "RMSprop", "Adam", "AdamW", "Adamax", "Nadam", "Adagrad", "Adadelta")},
    "Lion": rule("Lion"),
    "momentum": rule("SGD", momentum=0.9), "nesterov": rule("SGD", momentum=0.9, nesterov=True),
    "clipnorm": rule("SGD", clipnorm=0.1), "clipvalue": rule("SGD", clipvalue=0.01),
    "global_clipnorm": rule("SGD", global_clipnorm=0.1), "weight_decay": rule("SGD", weight_decay=0.01),
    "amsgrad": rule("Adam", amsgrad=True), "centered": rule("RMSprop", centered=True, momentum=0.5),
    "ExponentialDecay": decayed("ExponentialDecay", 0.2, 4, 0.7), "CosineDecay": decayed("CosineDecay", 0.1, 12),
    "PolynomialDecay": decayed("PolynomialDecay", 0.3, 10, power=2.0),
}  # fmt: skip
WEIGHTS = np.random.default_rng(8).random(40).astype("float32")
NUMBERS, CLASSES = np.random.default_rng(9).normal(size=(40, 3)).astype("float32"), np.arange(40) % 3
HOT, YES = np.eye(3, dtype="float32")[CLASSES], (CLASSES[:, None] > 0).astype("float32")
WAYS = {
    "sample_weight": {"fit": {"sample_weight": WEIGHTS}},
    "weighted_metrics": {"fit": {"sample_weight": WEIGHTS}, "metrics": [], "weighted": ["accuracy"]},
    "class_weight": {"fit": {"class_weight": {0: 1.0, 1: 2.0, 2: 0.5}}},
    "validation_split": {"fit": {"validation_split": 0.3}},
    "binary": {"loss": "binary_crossentropy", "y": YES, "end": "sigmoid", "units": 1},
    "hinge": {"loss": "hinge", "y": YES, "end": "tanh", "units": 1, "metrics": []},
    **{loss: {"loss": loss, "y": HOT} for loss in (
        "categorical_crossentropy", "categorical_focal_crossentropy", "kl_divergence", "poisson")},
    **{loss: {"loss": loss, "y": NUMBERS, "end": "linear", "metrics": ["mae", "accuracy"]} for loss in (
        "mse", "mae", "huber", "log_cosh", "cosine_similarity")},
}  # fmt: skip


def trained(k, optimizer, loss="sparse_categorical_crossentropy", y=CLASSES, end="softmax", units=3,
            metrics=("accuracy",), weighted=None, fit=None):  # fmt: skip
    model = k.Sequential([k.Input((6,)), k.layers.Dense(8, activation="tanh"), k.layers.Dense(units, activation=end)])
    first = np.random.default_rng(5)
    model.set_weights([first.normal(size=w.shape).astype("float32") * 0.5 for w in model.get_weights()])
    model.compile(optimizer(k), loss=loss, metrics=list(metrics), weighted_metrics=weighted)
    x = np.random.default_rng(6).normal(size=(40, 6)).astype("float32")
    history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, **(fit or {})).history
    history["evaluated"] = model.evaluate(x, y, verbose=0)
    return history, np.concatenate([np.ravel(w) for w in model.get_weights()])


@pytest.mark.parametrize(("optimizer", "way"), [*((name, None) for name in RULES), *(("SGD", way) for way in WAYS)])
def test_training_goes_as_keras_s(optimizer, way):
    (theirs, wanted), (ours, found) = (trained(k, RULES[optimizer], **WAYS.get(way, {})) for k in (real, keras))
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=2e-3, atol=2e-4, err_msg=name)
    # Epsilon of Adam stands where its paper has it; Keras divides by the means before they are made unbiased.
    near = 2e-3 if optimizer in ("Adam", "AdamW", "amsgrad") else 5e-4
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=near)


# Files


def network(k):
    """Return a model with a bit of everything."""
    x = k.Input((8, 8, 3), name="image")
    y = k.layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = k.layers.BatchNormalization()(y)
    z = k.layers.SeparableConv2D(4, 3, padding="same")(y)
    y = k.layers.Add()([y, z])
    y = k.layers.Reshape((8, 32))(y)
    y = k.layers.Bidirectional(k.layers.LSTM(3, return_sequences=True))(y)
    y = k.layers.MultiHeadAttention(2, 3)(y, y)
    y = k.layers.TimeDistributed(k.layers.Dense(4))(y)
    y = k.layers.GRU(5)(y) * 2 + 1
    inner = k.Sequential([k.Input((5,)), k.layers.Dense(4, activation="relu"), k.layers.Dropout(0.2)], name="inner")
    y = inner(y)
    return k.Model(x, [k.layers.Dense(3, activation="softmax", name="kind")(y), k.layers.Dense(1, name="size")(y)])


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("way", ["out", "in"])
def test_files_are_read_by_either(tmp_path, ending, way):
    writer, reader = (keras, real) if way == "out" else (real, keras)
    model = network(writer)
    model.compile("adam", loss={"kind": "categorical_crossentropy", "size": "mse"})
    x = arrays((4, 8, 8, 3))
    path = str(tmp_path / f"model{ending}")
    model.save(path)
    other = reader.models.load_model(path)
    for one, two in zip(model.predict(x, verbose=0), other.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(two, one, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("way", ["out", "in"])
def test_files_of_weights(tmp_path, way):
    writer, reader = (keras, real) if way == "out" else (real, keras)
    one, two = network(writer), network(reader)
    path = str(tmp_path / "model.weights.h5")
    one.save_weights(path)
    two.load_weights(path)
    x = arrays((4, 8, 8, 3))
    for a, b in zip(one.predict(x, verbose=0), two.predict(x, verbose=0), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=1e-5)


def test_order_of_layers_and_weights():
    one, two = network(real), network(keras)
    kinds = [[type(layer).__name__ for layer in m.layers if layer.weights] for m in (one, two)]
    assert kinds[0] == kinds[1]
    assert [tuple(w.shape) for w in one.get_weights()] == [w.shape for w in two.get_weights()]


NETWORKS = ("VGG16", "VGG19", "ResNet50", "InceptionV3", "Xception", "MobileNet", "MobileNetV2", "DenseNet121")


@pytest.mark.parametrize("name", NETWORKS)
def test_applications_are_the_same_networks(name):
    """Layer after layer, with the names that Keras gives, and the same maps of the same weights."""
    shape = (96, 80, 3)
    ours, theirs = (
        getattr(k.applications, name)(weights=None, include_top=False, input_shape=shape, pooling="avg")
        for k in (keras, real)
    )
    assert [type(layer).__name__ for layer in ours.layers] == [type(layer).__name__ for layer in theirs.layers]
    given = {layer.name for layer in theirs.layers if not layer.name.rstrip("_0123456789").endswith(AUTOMATIC)}
    assert given <= {layer.name for layer in ours.layers}
    weights = [2 * w if w.ndim > 1 else w for w in theirs.get_weights()]  # lest a deep network's maps vanish
    for model in (ours, theirs):
        model.set_weights(weights)
    x = np.random.default_rng(0).random((2, *shape), np.float32)
    expected = np.asarray(theirs.predict(x, verbose=0))
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


AUTOMATIC = ("conv2d", "batch_normalization", "activation", "max_pooling2d", "average_pooling2d", "concatenate", "add",
             "input_layer", "zero_padding2d", "global_average_pooling2d")  # fmt: skip


@pytest.mark.parametrize("name", ["vgg16", "xception", "densenet"])
def test_preprocessing_of_applications(name):
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3)).astype(np.float32)
    ours, theirs = (getattr(k.applications, name).preprocess_input(x.copy()) for k in (keras, real))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
