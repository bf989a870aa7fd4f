"""Models of every layer that ONNX files are written of, and what runs them elsewhere."""

import numpy as np

from pynn import nn
from pynn.ops.activation import NAMES


def chain(shape, *layers):
    return nn.Sequential([nn.Input(shape), *layers], seed=3)


def ids(*layers):
    return chain((6,), nn.Embedding(9, 4, embeddings_initializer="normal", mask_zero=True), *layers)


class Tied(nn.Module):
    """An unshared convolution, squared, and back through its transpose."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        y = self.layer(x)
        return self.layer.transpose(y * y)


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
        nn.RandomPCAColor(),
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
    "tied": lambda: chain(IMAGE, Tied(nn.LocallyConnected2D(4, (3, 2), strides=2, padding="same"))),
    "pools l2": lambda: chain(IMAGE, nn.L2Pool2D(3, strides=2), nn.L2Pool2D(2, padding="same")),
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


def samples(model, n, rng, shapes=None):
    found = []
    for shape in shapes or getattr(model, "input_shapes", None) or [model._input]:
        if model.takes_integers:
            x = rng.integers(1, 9, (n, *shape))
            for row, length in zip(x, (3, 1, 6, 2), strict=False):
                row[length:] = 0
            found.append(x)
        else:
            found.append(rng.normal(size=(n, *shape)).astype("float32"))
    return found


def in_onnxruntime(proto, xs):
    import onnxruntime

    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return session.run(None, dict(zip(names, xs, strict=True)))[0]


# Chains whose weights or numbers depend on the size of images or sequences.
TIED = {
    "flatten, reshape", "dropout", "augmentation", "crop", "crop, larger", "locally connected", "tied", "layer norm",
    "contrast norm", "embedding",
}  # fmt: skip


def open_shapes(name):
    """Return the shapes of a sample, None for what can be left open: steps, or height and width."""
    model = CHAINS[name]()
    shape = model._input
    if name in TIED or (len(shape) == 1 and not model.takes_integers):
        return []
    return [(None, None, *shape[2:]) if len(shape) == 3 and name != "layer norm, plain" else (None, *shape[1:])]
