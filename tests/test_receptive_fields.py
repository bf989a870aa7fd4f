"""Receptive fields in summaries, and the summary of networks with convolutions."""

import io

import numpy as np
import pytest

import pynn
from pynn import nn, ops

IMAGES = np.random.default_rng(0).standard_normal((12, 8, 8, 2)).astype("float32")


def summary(model, shape=None):
    out = io.StringIO()
    model.summary(input_shape=shape, file=out)
    return out.getvalue()


def fields(text):
    """Return the receptive fields of a summary's rows by name."""
    lines = text.splitlines()
    start = lines[0].index("receptive field")
    rows = (line for line in lines[1:] if not line.startswith("-") and " (N, " in line)
    return {line.split()[0]: line[start : start + len("receptive field")].strip() for line in rows}


def residual():
    """A residual block between two convolutions."""
    image = nn.Input((8, 8, 2))
    h = nn.Conv2D(4, 3, padding="same", activation="relu")(image)
    inner = nn.BatchNormalization()(nn.Conv2D(4, 3, padding="same")(h))
    inner = nn.Conv2D(4, 3, padding="same")(nn.Activation("relu")(inner))
    h = nn.Activation("relu")(nn.Add()([h, inner]))
    return nn.Model(image, nn.Dense(3)(nn.GlobalAvgPool()(h)))


def extent(model, axes):
    """Return how many places along each axis the input of a model has that one place of its output depends on."""
    model(np.zeros((1, *model.layers_input), "float32"))
    for w in model.parameters():  # no dependence may cancel
        w.view()[...] = np.abs(w.view()) + 0.1
    x = np.random.default_rng(1).random((1, *model.layers_input)).astype("float32")
    most = [0] * len(axes)
    shape = model(x).shape
    for place in np.ndindex(*shape[1:-1]):
        given = pynn.tensor(x, requires_grad=True)
        y = model(given)
        dy = np.zeros(shape, "float32")
        dy[(0, *place)] = 1
        y.backward(dy)
        seen = given.grad.numpy()[0] != 0
        for i, axis in enumerate(axes):
            across = tuple(a for a in range(seen.ndim) if a != axis)
            where = np.flatnonzero(seen.any(across))
            most[i] = max(most[i], where[-1] - where[0] + 1)
    return most


MEASURED = {
    "strides": ((15, 17, 1), [lambda: nn.Conv2D(2, 3, strides=(2, 1)), lambda: nn.Conv2D(2, (2, 3))]),
    "dilation": ((15, 17, 1), [lambda: nn.Conv2D(2, 3, dilation_rate=(2, 1)), lambda: nn.AvgPool2D(2)]),
    "nearest": ((9, 8, 1), [lambda: nn.Conv2D(2, 2), lambda: nn.UpSampling2D((2, 3)), lambda: nn.Conv2D(2, 3)]),
    "bilinear": ((7, 7, 1), [lambda: nn.UpSampling2D(2, interpolation="bilinear"), lambda: nn.AvgPool2D(3, 1)]),
    "transposed": ((6, 6, 1), [lambda: nn.Conv2DTranspose(2, (3, 4), 2), lambda: nn.Conv2D(1, (2, 3))]),
    "depthwise": ((9, 9, 2), [lambda: nn.SeparableConv2D(2, 3), lambda: nn.DepthwiseConv2D((1, 3))]),
    "unshared": ((8, 8, 1), [lambda: nn.LocallyConnected2D(2, 3), lambda: nn.AvgPool2D(2)]),
    "sequence": (
        (30, 2),
        [lambda: nn.Conv1D(2, 3, dilation_rate=2), lambda: nn.AvgPool1D(3, 2), lambda: nn.Conv1D(1, 2)],
    ),
    "causal": ((20, 2), [lambda: nn.Conv1D(2, 3, padding="causal"), lambda: nn.AvgPool1D(2)]),
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_field_is_what_gradients_reach(name):
    shape, layers = MEASURED[name]
    model = nn.Sequential([nn.Input(shape), *(make() for make in layers)])
    model.layers_input = shape
    found = list(fields(summary(model)).values())[-1]
    assert found == " x ".join(map(str, extent(model, range(len(shape) - 1))))


def test_receptive_fields_of_sequences():
    model = nn.Sequential(
        [
            nn.Input((20, 3)),
            nn.Conv1D(2, 3, dilation_rate=2),
            nn.MaxPool1D(2),
            nn.Conv1D(2, 3),
            nn.LSTM(4, return_sequences=True),
            nn.Dense(2),
            nn.GlobalAvgPool(),
        ]
    )
    assert list(fields(summary(model)).values()) == ["1", "5", "6", "10", "all", "all", ""]


def test_what_follows_a_dense_layer_sees_everything():
    model = nn.Sequential(
        [nn.Input((6, 6)), nn.Reshape((6, 6, 1)), nn.Conv2D(2, 3), nn.Flatten(), nn.Dense(9), nn.Reshape((3, 3, 1))]
    )
    assert list(fields(summary(model)).values()) == ["1", "1 x 1", "3 x 3", "", "", "all"]


def test_receptive_field_of_branches_is_the_largest():
    image = nn.Input((8, 8, 2))
    wide = nn.MaxPool2D(2)(nn.Conv2D(4, 5, padding="same")(image))
    fine = nn.AvgPool2D(2)(nn.Conv2D(3, 3, padding="same")(image))
    found = fields(summary(nn.Model(image, nn.Concatenate()([wide, fine]))))
    assert (found["conv2d"], found["maxpool2d"], found["conv2d_1"], found["avgpool2d"]) == (
        "5 x 5", "6 x 6", "3 x 3", "4 x 4",
    )  # fmt: skip
    assert found["concatenate"] == "6 x 6"
    blocks = fields(summary(residual()))
    assert (blocks["conv2d"], blocks["add"]) == ("3 x 3", "7 x 7")


def test_receptive_fields_of_lenet5():
    model = nn.Sequential(
        [
            nn.Input((32, 32, 1)),
            nn.Conv2D(6, 5, activation="tanh"),
            nn.BatchNormalization(),
            nn.AvgPool2D(2),
            nn.Dropout(0.1),
            nn.Conv2D(16, 5, activation="tanh"),
            nn.AvgPool2D(2),
            nn.Conv2D(120, 5, activation="tanh"),
            nn.Flatten(),
            nn.Dense(10),
        ]
    )
    text = summary(model)
    assert text.splitlines()[0].split()[:7] == [
        "layer", "output", "receptive", "field", "parameters", "bytes", "flops",
    ]  # fmt: skip
    assert fields(text) == {
        "input": "1 x 1",
        "conv2d": "5 x 5",
        "batchnormalization": "5 x 5",
        "avgpool2d": "6 x 6",
        "dropout": "6 x 6",
        "conv2d_1": "14 x 14",
        "avgpool2d_1": "16 x 16",
        "conv2d_2": "32 x 32",
        "flatten": "",
        "dense": "",
    }


def test_receptive_fields_of_strides_dilation_and_oblong_windows():
    model = nn.Sequential(
        [
            nn.Input((40, 40, 2)),
            nn.Conv2D(4, (3, 1), strides=(2, 1)),
            nn.Conv2D(4, 3, dilation_rate=2),
            nn.MaxPool2D(3, strides=2),
            nn.DepthwiseConv2D(3),
            nn.Conv2D(2, 1),
        ]
    )
    # rows 3 (jump 2), +4*2 = 11, +2*2 = 15 (jump 4), +2*4 = 23; columns 1 (jump 1), +4 = 5, +2 = 7 (jump 2), +4 = 11
    assert list(fields(summary(model)).values()) == ["1 x 1", "3 x 1", "11 x 5", "15 x 7", "23 x 11", "23 x 11"]


def test_receptive_fields_in_modules_go_through_ops():
    class Gate(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2D(2, 3, padding="same"), nn.Conv2D(2, 5, padding="same")
            self.all = nn.GlobalAvgPool(keepdims=True)
            self.times = nn.Multiply()

        def forward(self, x):
            y = self.two(ops.relu(self.one(x)) + x)
            return self.times(y, self.all(y))

    model = Gate()
    text = summary(model, (8, 8, 2))
    rows = text.splitlines()
    start = rows[0].index("receptive field")
    assert [row[start : start + 15].strip() for row in rows[2:6]] == ["3 x 3", "7 x 7", "all", "all"]


def test_summary_of_several_inputs():
    class Sum(nn.Module):
        def forward(self, a, b):
            return ops.sum(a, -1) + ops.sum(b, -1)

    a, b = nn.Input((4,)), nn.Input((5,))
    model = nn.Model([a, b], nn.Dense(1)(nn.Concatenate()([nn.Dense(6)(a), b])))
    lines = summary(model).splitlines()
    assert [line.split()[:3] for line in lines[2:4]] == [["input_1", "(N,", "4)"], ["input_2", "(N,", "5)"]]
    assert "receptive" not in lines[0]
    assert "0 parameters" in summary(Sum(), [(4,), (5,)])


def test_summary_does_not_guess_the_size_of_images():
    for layers in ([nn.Conv2D(4, 3), nn.Flatten(), nn.Dense(2)], [nn.MaxPool2D(2), nn.Flatten(), nn.Dense(2)]):
        model = nn.Sequential(layers)
        model(IMAGES)
        with pytest.raises(RuntimeError, match=r"\[summary\] the input's shape is not known. help:.*input_shape"):
            model.summary()
        assert "(N, 2)" in summary(model, (8, 8, 2))


def test_summary_leaves_a_convolutional_model_as_it_was():
    model = residual()
    before = model.get_weights()
    summary(model)
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before, strict=True))
    assert all(w.grad is None for w in model.parameters())
