"""Weights in PyTorch's layout: once loaded, layers compute what PyTorch's equations say, channels first."""

import numpy as np
import pytest
import torch_layers as torch

from pynn import nn
from pynn.convert.torch_weights import load_torch_weights
from pynn.errors import DataError

RNG = np.random.default_rng(5)


def loaded(model, path, shapes):
    """Return the model with random weights of these shapes, and the weights, by the names of PyTorch's modules."""
    from safetensors.numpy import save_file

    state = {name: RNG.normal(size=shape, scale=0.6).astype("f4") for name, shape in shapes.items()}
    for name in state:
        if name.endswith("var"):
            state[name] = np.abs(state[name]) + np.float32(0.3)
    save_file(state, path / "net.safetensors")
    load_torch_weights(model, path / "net.safetensors", verbose=False)
    parts = {}
    for name, value in state.items():
        module, _, suffix = name.rpartition(".")
        parts.setdefault(module, {})[suffix] = value.astype("f8")
    return model, parts


def last(images):
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))


def same(model, x, expected):
    np.testing.assert_allclose(model.predict(x), expected, rtol=2e-4, atol=2e-4)


NORM = ("weight", "bias", "running_mean", "running_var")


def test_images_channels_first_become_channels_last(tmp_path):
    model = nn.Sequential([
        nn.Input((6, 5, 2)), nn.Conv2D(4, (3, 2)), nn.BatchNormalization(epsilon=1e-5),
        nn.DepthwiseConv2D((2, 3), depth_multiplier=2, use_bias=False), nn.GroupNormalization(4, epsilon=1e-5),
        nn.Conv2DTranspose(3, (2, 3), strides=2), nn.Activation("tanh"),
        nn.Flatten(), nn.BatchNormalization(epsilon=1e-5), nn.Dense(3),
    ])  # fmt: skip
    wide = 3 * 6 * 5
    model, (conv, norm, depthwise, groups, up, flat, dense) = (lambda m, parts: (m, parts.values()))(*loaded(
        model, tmp_path,
        {"0.weight": (4, 2, 3, 2), "0.bias": 4} | {f"1.{part}": 4 for part in NORM} | {"2.weight": (8, 1, 2, 3)}
        | {"3.weight": 8, "3.bias": 8, "4.weight": (8, 3, 2, 3), "4.bias": 3} | {f"7.{part}": wide for part in NORM}
        | {"8.weight": (3, wide), "8.bias": 3},
    ))  # fmt: skip
    x = RNG.normal(size=(3, 2, 6, 5)).astype("f4")
    y = torch.batch_norm(torch.conv2d(x, **conv), **norm, epsilon=1e-5)
    y = torch.group_norm(torch.conv2d(y, **depthwise, groups=4), 4, **groups, epsilon=1e-5)
    y = np.tanh(torch.conv_transpose2d(y, **up, stride=2)).reshape(3, -1)
    same(model, last(x), torch.linear(torch.batch_norm(y, **flat, epsilon=1e-5), **dense))


def test_normalized_images_and_separable_convolutions(tmp_path):
    model = nn.Sequential([
        nn.Input((5, 4, 3)), nn.SeparableConv2D(4, (2, 3), depth_multiplier=2),
        nn.LayerNormalization((1, 2, 3), epsilon=1e-5),
    ])  # fmt: skip
    shapes = {"0.weight": (6, 1, 2, 3), "1.weight": (4, 6, 1, 1), "1.bias": 4}
    model, parts = loaded(model, tmp_path, shapes | {"2.weight": (4, 4, 2), "2.bias": (4, 4, 2)})
    x = RNG.normal(size=(2, 3, 5, 4)).astype("f4")
    y = torch.conv2d(torch.conv2d(x, **parts["0"], groups=3), **parts["1"])
    same(model, last(x), last(torch.layer_norm(y, **parts["2"], epsilon=1e-5)))


@pytest.mark.parametrize("norm", [False, True])
def test_lines_channels_first(norm, tmp_path):
    layers = [nn.Input((7, 3)), nn.Conv1D(4, 3), *[nn.LayerNormalization((1, 2), epsilon=1e-5)] * norm]
    model = nn.Sequential([*layers, nn.Flatten(), nn.Dense(2)])
    shapes = {"0.weight": (4, 3, 3), "0.bias": 4, "2.weight": (2, 20), "2.bias": 2}
    model, parts = loaded(model, tmp_path, shapes | ({"1.weight": (4, 5), "1.bias": (4, 5)} if norm else {}))
    x = RNG.normal(size=(2, 3, 7)).astype("f4")
    y = torch.conv2d(x[:, :, None], parts["0"]["weight"][:, :, None], parts["0"]["bias"])[:, :, 0]
    y = torch.layer_norm(y, **parts["1"], epsilon=1e-5) if norm else y
    same(model, last(x), torch.linear(y.reshape(2, -1), **parts["2"]))


@pytest.mark.parametrize(("layer", "gates", "compute"), [
    (nn.SimpleRNN, 1, torch.rnn), (nn.LSTM, 4, torch.lstm), (nn.GRU, 3, torch.gru),
])  # fmt: skip
@pytest.mark.parametrize("both", [False, True])
def test_gates(layer, gates, compute, both, tmp_path):
    inner = layer(5, return_sequences=True)
    model = nn.Sequential([nn.Input((4, 3)), nn.Bidirectional(inner) if both else inner])
    ends = ("_l0", "_l0_reverse") if both else ("_l0",)
    shapes = {}
    for end in ends:
        shapes |= {f"a.weight_ih{end}": (gates * 5, 3), f"a.weight_hh{end}": (gates * 5, 5)}
        shapes |= {f"a.bias_ih{end}": gates * 5, f"a.bias_hh{end}": gates * 5}
    model, parts = loaded(model, tmp_path, shapes)
    x = RNG.normal(size=(2, 4, 3)).astype("f4")
    expected = [compute(x, parts["a"])]
    if both:
        expected.append(compute(x[:, ::-1], parts["a"], "_reverse")[:, ::-1])
    same(model, x, np.concatenate(expected, axis=2))


def test_lines_that_are_joined_stay_lines(tmp_path):
    x = nn.Input((6, 3))
    both = nn.Concatenate()([nn.Conv1D(n, 2, name=name, use_bias=False)(x) for n, name in ((2, "a"), (3, "b"))])
    both = nn.GroupNormalization(1, epsilon=1e-5, name="norm")(both)
    model = nn.Model(x, nn.Dense(2, name="top")(nn.Flatten()(both)))
    shapes = {"a.weight": (2, 3, 2), "b.weight": (3, 3, 2), "norm.weight": 5, "norm.bias": 5}
    model, parts = loaded(model, tmp_path, shapes | {"top.weight": (2, 25), "top.bias": 2})
    x = RNG.normal(size=(2, 3, 6)).astype("f4")
    y = np.concatenate([torch.conv2d(x[:, :, None], parts[name]["weight"][:, :, None]) for name in "ab"], axis=1)
    y = torch.group_norm(y, 1, **parts["norm"], epsilon=1e-5)
    same(model, last(x), torch.linear(y.reshape(2, -1), **parts["top"]))


@pytest.mark.parametrize("between", [nn.LayerNormalization(epsilon=1e-5), nn.Rescaling(0.5, 1.0), nn.Dropout(0.5)])
def test_what_stands_between_flatten_and_dense_keeps_the_places(between, tmp_path):
    model = nn.Sequential([nn.Input((3, 2, 2)), nn.Flatten(), between, nn.Dense(2)])
    norm = isinstance(between, nn.LayerNormalization)
    shapes = {"a.weight": 12, "a.bias": 12} if norm else {}
    model, parts = loaded(model, tmp_path, shapes | {"b.weight": (2, 12), "b.bias": 2})
    x = RNG.normal(size=(4, 2, 3, 2)).astype("f4")
    y = x.reshape(4, -1)
    y = torch.layer_norm(y, **parts["a"], epsilon=1e-5) if norm else y * 0.5 + 1 if "escal" in between.name else y
    same(model, last(x), torch.linear(y, **parts["b"]))


class Turned(nn.Module):
    def forward(self, x):
        return x[:, ::-1]


def test_what_a_module_of_ones_own_does_with_features_is_not_guessed(tmp_path):
    model = nn.Sequential([nn.Input((3, 2, 2)), nn.Flatten(), Turned(), nn.Dense(2)])
    with pytest.raises(DataError, match="the order of its inputs cannot be known"):
        loaded(model, tmp_path, {"b.weight": (2, 12), "b.bias": 2})


def test_features_that_are_joined_keep_their_places(tmp_path):
    image, numbers = nn.Input((3, 2, 2)), nn.Input((3,))
    flat = nn.Flatten()(nn.Dropout(0.5)(image))
    model = nn.Model([image, numbers], nn.Dense(2)(nn.Concatenate()([numbers, flat])))
    model, parts = loaded(model, tmp_path, {"top.weight": (2, 15), "top.bias": 2})
    x, more = RNG.normal(size=(4, 2, 3, 2)).astype("f4"), RNG.normal(size=(4, 3)).astype("f4")
    expected = torch.linear(np.concatenate([more, x.reshape(4, -1)], axis=1), **parts["top"])
    np.testing.assert_allclose(model.predict([last(x), more]), expected, rtol=2e-4, atol=2e-4)


def test_features_of_reshaped_images_are_not_guessed(tmp_path):
    line = nn.Sequential([nn.Input((3, 2, 1)), nn.Reshape((6,)), nn.Dense(2)])  # one channel: the same order
    line, parts = loaded(line, tmp_path, {"top.weight": (2, 6), "top.bias": 2})
    x = RNG.normal(size=(4, 1, 3, 2)).astype("f4")
    same(line, last(x), torch.linear(x.reshape(4, -1), **parts["top"]))
    for reshaped in (nn.Reshape((4, 3)), nn.Reshape((2, 2, 3))):
        model = nn.Sequential([nn.Input((3, 2, 2)), reshaped, nn.Flatten(), nn.Dense(2)])
        with pytest.raises(DataError, match=r"the order of its inputs cannot be known.*help: use nn\.Flatten"):
            loaded(model, tmp_path, {"top.weight": (2, 12), "top.bias": 2})


def test_a_vector_that_becomes_a_sequence_keeps_its_places(tmp_path):
    model = nn.Sequential([nn.Input((12,)), nn.Reshape((4, 3)), nn.SimpleRNN(2, return_sequences=True)])
    shapes = {"a.weight_ih_l0": (2, 3), "a.weight_hh_l0": (2, 2), "a.bias_ih_l0": 2, "a.bias_hh_l0": 2}
    model, parts = loaded(model, tmp_path, shapes)
    x = RNG.normal(size=(3, 12)).astype("f4")
    same(model, x, torch.rnn(x.reshape(3, 4, 3), parts["a"]))


@pytest.mark.parametrize("layer", [nn.GRU(4, reset_after=False), nn.Bidirectional(nn.GRU(4, reset_after=False)),
                                   nn.LSTM(4, peephole=True)])  # fmt: skip
def test_layers_that_pytorch_lacks_are_refused(layer, tmp_path):
    model = nn.Sequential([nn.Input((5, 3)), layer])
    with pytest.raises(DataError, match="has no counterpart in PyTorch"):
        loaded(model, tmp_path, {"a.weight_ih_l0": (12, 3)})
