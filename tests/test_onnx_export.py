"""Models written as ONNX files give in onnxruntime what they give here, layer by layer."""

import numpy as np
import pytest

import pynn
import pynn.onnx
from pynn import nn
from pynn.errors import DataError, ShapeError
from pynn.ops.activation import NAMES

onnx = pytest.importorskip("onnx")  # an extra
onnxruntime = pytest.importorskip("onnxruntime")

NEWEST = 23  # what onnxruntime reads of operator sets, at least


def chain(shape, *layers):
    return nn.Sequential([nn.Input(shape), *layers], seed=3)


def ids(*layers):
    return chain((6,), nn.Embedding(9, 4, embeddings_initializer="normal", mask_zero=True), *layers)


LONG, IMAGE = (5, 4), (7, 6, 3)

CHAINS = {
    "dense": lambda: chain((5,), nn.Dense(4), nn.Dense(3, use_bias=False)),
    "dense on sequences": lambda: chain(LONG, nn.Dense(3, activation="tanh"), nn.Dense(2, use_bias=False)),
    **{f"activation {name}": lambda name=name: chain((5,), nn.Dense(4, activation=name)) for name in NAMES},
    "slope": lambda: chain((5,), nn.Activation("leaky_relu", slope=0.3)),
    "alpha": lambda: chain((5,), nn.Activation("elu", alpha=0.5)),
    "approximate gelu": lambda: chain((5,), nn.Activation("gelu", approximate=True)),
    "softmax of images": lambda: chain(IMAGE, nn.Conv2D(4, 2), nn.Activation("softmax"), nn.Conv2D(2, 1)),
    "maxout": lambda: chain((5,), nn.Maxout(4, 3)),
    "maxout on sequences": lambda: chain(LONG, nn.Maxout(4, 2)),
    "flatten, reshape": lambda: chain(IMAGE, nn.Flatten(), nn.Flatten(), nn.Reshape((6, -1)), nn.Reshape((3, 7, 6))),
    "dropout": lambda: chain(IMAGE, nn.Dropout(0.5), nn.SpatialDropout2D(0.5), nn.Flatten(), nn.Dense(2)),
    "augmentation": lambda: chain(
        IMAGE,
        nn.RandomFlip(),
        nn.RandomShift(1),
        nn.RandomRotation(rotation=9),
        nn.RandomZoom(zoom=0.1),
        nn.RandomShear(shear=9),
        nn.RandomErasing(),
        nn.ElasticDeformation(),
        nn.Flatten(),
        nn.Dense(2),
    ),
    "crop": lambda: chain(IMAGE, nn.RandomCrop((4, 3)), nn.RandomCrop(), nn.Conv2D(2, 2)),
    "crop, larger": lambda: chain(
        IMAGE, nn.RandomCrop((10, 5), padding=2), nn.RandomCrop((9, 8), padding=2, fill="nearest")
    ),
    "conv2d": lambda: chain(IMAGE, nn.Conv2D(4, 3, activation="relu"), nn.Conv2D(2, (2, 3), use_bias=False)),
    "conv2d same, strides": lambda: chain(IMAGE, nn.Conv2D(4, 3, strides=(2, 1), padding="same", activation="gelu")),
    "conv2d dilated": lambda: chain(IMAGE, nn.Conv2D(4, 2, dilation_rate=(3, 2), padding=(0, 1, 2, 0))),
    "conv2d groups": lambda: chain(IMAGE, nn.Conv2D(6, 3, groups=3)),
    "conv1d": lambda: chain((9, 4), nn.Conv1D(6, 3, padding="causal", dilation_rate=2), nn.Conv1D(4, 2, strides=2)),
    "conv1d same, groups": lambda: chain((9, 4), nn.Conv1D(6, 3, padding="same", groups=2, activation="tanh")),
    "depthwise": lambda: chain(IMAGE, nn.DepthwiseConv2D(3, depth_multiplier=2, activation="relu")),
    "separable": lambda: chain(IMAGE, nn.SeparableConv2D(5, 3, depth_multiplier=2, padding="same", activation="elu")),
    "transposed": lambda: chain(IMAGE, nn.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu")),
    "transposed valid": lambda: chain(IMAGE, nn.Conv2DTranspose(4, 2, strides=3)),
    "transposed padded": lambda: chain(IMAGE, nn.Conv2DTranspose(4, 3, strides=2, padding=1, output_padding=1)),
    "transposed dilated": lambda: chain(IMAGE, nn.Conv2DTranspose(4, 3, dilation_rate=2, use_bias=False)),
    "transposed, few taps": lambda: chain(IMAGE, nn.Conv2DTranspose(4, 1, strides=3, padding="same")),
    "locally connected": lambda: chain(IMAGE, nn.LocallyConnected2D(4, 3, strides=2, padding="same")),
    "pools": lambda: chain(IMAGE, nn.MaxPool2D(2), nn.AvgPool2D(2, strides=1)),
    "pools same": lambda: chain(IMAGE, nn.MaxPool2D(3, strides=2, padding="same"), nn.AvgPool2D(3, padding="same")),
    "pools 1d": lambda: chain((9, 4), nn.MaxPool1D(3, strides=2, padding="same"), nn.AvgPool1D(2, padding=1)),
    "global pools": lambda: chain(IMAGE, nn.Conv2D(4, 3), nn.GlobalAvgPool(keepdims=True), nn.GlobalMaxPool()),
    "global pools 1d": lambda: chain(LONG, nn.GlobalAvgPool()),
    "padding, cropping": lambda: chain(
        IMAGE, nn.ZeroPadding2D((1, 2, 3, 0)), nn.Conv2D(4, 2), nn.ZeroPadding2D(1), nn.Cropping2D((1, 0, 2, 1))
    ),
    "cropping": lambda: chain(IMAGE, nn.Cropping2D((1, 2))),
    "nearest": lambda: chain(IMAGE, nn.UpSampling2D((2, 3))),
    "bilinear": lambda: chain(IMAGE, nn.UpSampling2D((3, 2), interpolation="bilinear")),
    "batch norm": lambda: chain(IMAGE, nn.Conv2D(4, 3), nn.BatchNormalization(), nn.Activation("relu")),
    "batch norm, plain": lambda: chain((5,), nn.BatchNormalization(center=False, scale=False)),
    "batch norm on sequences": lambda: chain(LONG, nn.BatchNormalization()),
    "layer norm": lambda: chain(LONG, nn.LayerNormalization(), nn.LayerNormalization((1, 2), center=False)),
    "layer norm, plain": lambda: chain(IMAGE, nn.LayerNormalization((-2, -1), scale=False)),
    "group norm": lambda: chain((4, 3, 6), nn.GroupNormalization(3), nn.GroupNormalization(-1, scale=False)),
    "group norm of rows": lambda: chain((6,), nn.GroupNormalization(2)),
    "response norm": lambda: chain(IMAGE, nn.LocalResponseNormalization(1, alpha=0.3)),
    "response norm of sequences": lambda: chain(LONG, nn.LocalResponseNormalization(1, alpha=0.3)),
    "contrast norm": lambda: chain(IMAGE, nn.LocalContrastNormalization(3)),
    "time distributed": lambda: chain((4, 5, 5, 2), nn.TimeDistributed(nn.Conv2D(3, 2)), nn.Flatten()),
    "nested": lambda: chain((5,), nn.Sequential([nn.Dense(4, activation="tanh"), nn.Dense(3)]), nn.Dense(2)),
    **{
        f"{cell.__name__} {text}": lambda cell=cell, options=options: chain(LONG, cell(3, **options))
        for cell in (nn.SimpleRNN, nn.LSTM, nn.GRU, nn.LayerNormLSTM)
        for text, options in {
            "last": {},
            "sequences": {"return_sequences": True},
            "backwards": {"go_backwards": True},
            "backwards, sequences": {"go_backwards": True, "return_sequences": True, "use_bias": False},
        }.items()
    },
    **{
        f"SimpleRNN {name}": lambda name=name: chain(LONG, nn.SimpleRNN(3, activation=name))
        for name in ("relu", "sigmoid", "linear")
    },
    "peepholes": lambda: chain(LONG, nn.LSTM(3, peephole=True)),
    "reset before": lambda: chain(LONG, nn.GRU(3, reset_after=False)),
    **{
        f"bidirectional {mode}": lambda mode=mode: chain(
            LONG, nn.Bidirectional(nn.GRU(3, return_sequences=True), merge_mode=mode), nn.Bidirectional(nn.LSTM(2))
        )
        for mode in ("concat", "sum", "mul", "ave")
    },
    "jordan": lambda: chain(LONG, nn.JordanRNN(3, 2, output_activation="softmax")),
    "jordan linear": lambda: chain(LONG, nn.JordanRNN(3, 2, activation="relu")),
    "embedding": lambda: chain((6,), nn.Embedding(9, 4), nn.Flatten(), nn.Dense(2)),
    "padded LSTM": lambda: ids(nn.LSTM(3, return_sequences=True), nn.Dense(4), nn.LSTM(2)),
    "padded bidirectional": lambda: ids(nn.Bidirectional(nn.LSTM(3, return_sequences=True)), nn.GRU(2)),
    "padded backwards": lambda: ids(nn.SimpleRNN(3, go_backwards=True)),
    "padded backwards steps": lambda: ids(
        nn.GRU(3, go_backwards=True, return_sequences=True), nn.LayerNormalization(), nn.Maxout(4, 2), nn.LSTM(2)
    ),
    "padded mean": lambda: ids(nn.Conv1D(5, 3, padding="causal"), nn.GlobalAvgPool()),
    "padded largest": lambda: ids(nn.Dense(5), nn.GlobalMaxPool(keepdims=True)),
    "padded LayerNormLSTM": lambda: ids(nn.LayerNormLSTM(3, return_sequences=True), nn.LayerNormLSTM(2)),
    "padded jordan": lambda: ids(nn.JordanRNN(3, 2)),
}


def shaken(model, rng):
    """Give all weights values that differ, so that none can be left out unnoticed."""
    model.layers  # noqa: B018  (builds them)
    weights = []
    for path, w in model.named_parameters():
        new = w.numpy() + rng.normal(scale=0.2, size=w.shape)
        weights.append(np.abs(new) + 0.5 if path.endswith("moving_variance") else new)
    model.set_weights(weights)
    return model


def samples(model, n, rng):
    found = []
    for shape in getattr(model, "input_shapes", None) or [model._input]:
        if model.takes_integers:
            x = rng.integers(1, 9, (n, *shape))
            for row, length in zip(x, (3, 1, 6, 2), strict=False):
                row[length:] = 0
            found.append(x)
        else:
            found.append(rng.normal(size=(n, *shape)).astype("float32"))
    return found


def in_onnxruntime(proto, xs):
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, xs, strict=True)))[0]


def assert_same(model, rng, opset=13):
    shaken(model, rng)
    proto = pynn.onnx.to_model(model, opset=opset)
    for n in (1, 4):
        xs = samples(model, n, rng)
        with pynn.no_grad():
            expected = model(*xs).numpy()
        found = in_onnxruntime(proto, xs)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    return proto


@pytest.mark.parametrize("name", CHAINS)
def test_every_layer_gives_the_same_in_onnxruntime(name, rng):
    assert_same(CHAINS[name](), rng)


@pytest.mark.parametrize("name", ["layer norm", "group norm", "maxout", "contrast norm", "padded LayerNormLSTM"])
@pytest.mark.parametrize("opset", [17, 18, NEWEST])
def test_newer_operator_sets_too(name, opset, rng):
    assert_same(CHAINS[name](), rng, opset)


def branched():
    image, more = nn.Input((8, 8, 2)), nn.Input((5,))
    shared = nn.Conv2D(4, 3, padding="same", activation="relu")
    a = shared(image)
    b = nn.Conv2D(4, 1)(a)
    c = nn.Add()([a, b, nn.Multiply()([a, nn.GlobalAvgPool(keepdims=True)(b)])])
    d = nn.Concatenate()([c, nn.MaxPool2D(3, strides=1, padding="same")(b)])
    e = nn.Concatenate(axis=1)([nn.GlobalMaxPool()(d), nn.Dense(3)(more)])
    return nn.Model([image, more], nn.Dense(2)(e))


def test_branches_and_shared_layers(rng):
    proto = assert_same(branched(), rng)
    assert [i.name for i in proto.graph.input] == ["input_0", "input_1"]


def test_a_shared_weight_is_written_once(rng):
    x, shared = nn.Input((4,)), nn.Dense(4, activation="tanh")
    proto = assert_same(nn.Model(x, shared(shared(x))), rng)
    assert len(proto.graph.initializer) == 2


def test_between_convolutions_nothing_is_transposed(rng):
    model = chain(
        (12, 12, 1), nn.Conv2D(4, 3, activation="relu"), nn.BatchNormalization(), nn.MaxPool2D(2), nn.Dropout(0.2),
        nn.Conv2D(4, 3, activation="silu"), nn.GlobalAvgPool(), nn.Dense(3),
    )  # fmt: skip
    ops = [node.op_type for node in assert_same(model, rng).graph.node]
    assert ops.count("Transpose") <= 1


def test_versions_are_low_and_the_batch_is_free():
    proto = pynn.onnx.to_model(chain((4,), nn.Dense(2)))
    assert (proto.opset_import[0].version, proto.ir_version) == (13, 7)
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_float64(rng):
    model = chain((4,), nn.Dense(3, activation="tanh")).astype("float64")
    proto = pynn.onnx.to_model(model)
    x = rng.normal(size=(2, 4))
    np.testing.assert_allclose(in_onnxruntime(proto, [x]), model(x).numpy(), rtol=1e-12)


def test_the_file_is_written_whole(tmp_path):
    path = tmp_path / "model.onnx"
    pynn.onnx.export(chain((4,), nn.Dense(2)), path)
    onnx.checker.check_model(str(path), full_check=True)
    before = path.read_bytes()
    with pytest.raises(DataError, match="stateful"):
        pynn.onnx.export(chain(LONG, nn.LSTM(2, stateful=True)), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Bidirectional(nn.LSTM(2), merge_mode=None), r"one tensor. Received: 2 from layer 'bidirectional'"),
        (nn.LSTM(2, return_state=True), r"one tensor. Received: 3 from layer 'lstm'"),
    ],
)
def test_what_cannot_be_expressed_is_named(layer, message):
    model = nn.Sequential([nn.TimeDistributed(nn.Dense(4)), layer])
    with pytest.raises(DataError, match=message):
        pynn.onnx.to_model(model, input_shape=LONG)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"opset of 13 to .*Received: opset=9"):
        pynn.onnx.to_model(chain((4,), nn.Dense(2)), opset=9)
    with pytest.raises((ShapeError, RuntimeError), match="input"):
        pynn.onnx.to_model(nn.Dense(2))


def test_a_saved_imported_network_loads_in_a_fresh_process(tmp_path):
    import subprocess
    import sys

    model = nn.Sequential([nn.Input((3,)), nn.Dense(2, "tanh")])
    model.build((1, 3))
    pynn.onnx.export(model, tmp_path / "m.onnx")
    network = pynn.onnx.load(tmp_path / "m.onnx")
    x = np.ones((1, 3), "float32")
    expected = network.predict(x)
    network.save(tmp_path / "m.pynn")
    code = "import sys, numpy as np, pynn; print(pynn.load(sys.argv[1]).predict(np.ones((1, 3), 'float32')).tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.pynn"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(expected.tolist())
