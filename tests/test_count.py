"""Units, connections, multiply-adds and pools of every kind of layer, counted by hand; nothing is allocated."""

import io
import tracemalloc

import numpy as np
import pytest
from layers_by_class import made

import pynn
from pynn import nn
from pynn.core.tensor import Tensor
from pynn.errors import CaptureError, ShapeError

RNN = (7, 3)  # steps, features
# layer, shape of a sample, units, connections, multiply-adds, pools, what pools see
BY_HAND = {
    "dense": (lambda: nn.Dense(5), (3,), 5, 5 * 3, 15, 0, 0),
    "dense on a sequence": (lambda: nn.Dense(5), RNN, 7 * 5, 7 * 5 * 3, 105, 0, 0),
    "maxout": (lambda: nn.Maxout(4, 2), (6,), 8, 8 * 6, 48, 0, 0),
    "conv": (lambda: nn.Conv2D(4, 3), (8, 8, 2), 6 * 6 * 4, 6 * 6 * 4 * 18, 2592, 0, 0),
    "conv, same": (lambda: nn.Conv2D(4, 3, padding="same"), (8, 8, 2), 256, 256 * 18, 4608, 0, 0),
    "conv, strides": (lambda: nn.Conv2D(4, 3, strides=2), (9, 9, 2), 64, 64 * 18, 1152, 0, 0),
    "conv, dilation": (lambda: nn.Conv2D(4, 3, dilation_rate=2), (9, 9, 2), 100, 100 * 18, 1800, 0, 0),
    "conv, groups": (lambda: nn.Conv2D(4, 3, groups=2), (8, 8, 2), 144, 144 * 9, 1296, 0, 0),
    "conv, 1 x 1": (lambda: nn.Conv2D(4, 1), (8, 8, 2), 256, 256 * 2, 512, 0, 0),
    "conv, whole image": (lambda: nn.Conv2D(4, 8), (8, 8, 2), 4, 4 * 128, 512, 0, 0),
    "conv, winograd": (lambda: nn.Conv2D(16, 3, algorithm="winograd"), (8, 8, 16), 576, 576 * 144, 82944, 0, 0),
    "conv1d": (lambda: nn.Conv1D(4, 3, padding="causal"), (9, 2), 36, 36 * 6, 216, 0, 0),
    "depthwise": (lambda: nn.DepthwiseConv2D(3), (8, 8, 2), 72, 72 * 9, 648, 0, 0),
    "separable": (lambda: nn.SeparableConv2D(4, 3), (5, 5, 2), 18 + 36, 18 * 9 + 36 * 2, 234, 0, 0),
    "transposed": (lambda: nn.Conv2DTranspose(4, 3, strides=2), (5, 5, 2), 11 * 11 * 4, 50 * 36, 1800, 0, 0),
    "local": (lambda: nn.LocallyConnected2D(4, 3), (8, 8, 2), 144, 144 * 18, 2592, 0, 0),
    "simple rnn": (lambda: nn.SimpleRNN(5), RNN, 5, 5 * (3 + 5), 7 * 40, 0, 0),
    "gru": (lambda: nn.GRU(5), RNN, 5, 3 * 5 * (3 + 5), 7 * 120, 0, 0),
    "lstm": (lambda: nn.LSTM(5, return_sequences=True), RNN, 5, 4 * 5 * (3 + 5), 7 * 160, 0, 0),
    "lstm, peepholes": (lambda: nn.LSTM(5, peephole=True), RNN, 5, 160 + 15, 7 * 160, 0, 0),
    "lstm, normalized": (lambda: nn.LayerNormLSTM(5), RNN, 5, 160, 7 * 160, 0, 0),
    "jordan": (lambda: nn.JordanRNN(5, 2), RNN, 5 + 2, 5 * (3 + 2) + 2 * 5, 7 * 35, 0, 0),
    "embedding": (lambda: nn.Embedding(9, 4, mask_zero=True), (6,), 24, 24, 0, 0, 0),
    "max pool": (lambda: nn.MaxPool2D(3, strides=2), (7, 7, 2), 0, 0, 0, 18, 18 * 9),
    "average pool": (lambda: nn.AvgPool2D(2), (8, 8, 2), 0, 0, 0, 32, 32 * 4),
    "max pool 1d": (lambda: nn.MaxPool1D(2), (8, 3), 0, 0, 0, 12, 24),
    "global average": (lambda: nn.GlobalAvgPool(), (4, 4, 3), 0, 0, 0, 3, 48),
    "global max": (lambda: nn.GlobalMaxPool(), RNN, 0, 0, 0, 3, 21),
    "batch norm": (lambda: nn.BatchNormalization(), (6,), 0, 0, 0, 0, 0),
    "prelu": (lambda: nn.PReLU(), (6,), 0, 0, 0, 0, 0),
    "local response": (lambda: nn.LocalResponseNormalization(), (4, 4, 8), 0, 0, 0, 0, 0),
    "rbm": (lambda: nn.RBM(5), (8,), 5, 40, 40, 0, 0),
    # a sum for the inhibition of each place, whose factors are no weights
    "s-cells": (lambda: nn.SCells(4, 3), (8, 8, 2), 144, 144 * 18, 144 * 18 + 36 * 18, 0, 0),
    "c-cells": (lambda: nn.CCells(3, 2, "same"), (8, 8, 4), 64, 64 * 9, 576, 0, 0),
    "l2 pool": (lambda: nn.L2Pool2D(2), (8, 8, 2), 0, 0, 0, 32, 32 * 4),
    # two blurs with a window of 5 x 5 over 2 channels, whose taps are no weights
    "local contrast": (lambda: nn.LocalContrastNormalization(5), (9, 9, 2), 0, 0, 2 * 81 * 50, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_layers_are_counted_as_by_hand(name):
    make, shape, units, connections, products, pools, seen = BY_HAND[name]
    for model in (make(), nn.Sequential([nn.Input(shape), make()])):
        found = nn.count(model, shape)
        assert (found.units, found.connections, found.multiply_adds) == (units, connections, products)
        assert (found.pools, found.pool_connections) == (pools, seen)
        assert not model.built
        assert not any(module._weights for module in model.modules())
    assert found.parameters == nn.Sequential([nn.Input(shape), make()]).count_parameters()


def test_both_ways_of_a_bidirectional_layer_count():
    found = nn.count(nn.Sequential([nn.Input(RNN), nn.Bidirectional(nn.LSTM(5)), nn.Dense(2)]))
    assert [(row.units, row.connections) for row in found] == [(10, 320), (2, 20)]
    assert found.units == 12
    assert found.per_unit == pytest.approx(340 / 12)


def test_every_layer_can_be_counted():
    """What can be computed for some shape can be counted for it, to the same before and after it is built."""
    own = {
        "Activation": lambda: nn.Activation("relu"),
        "Bidirectional": lambda: nn.Bidirectional(nn.GRU(2)),
        "GroupNormalization": lambda: nn.GroupNormalization(2),
        "Reshape": lambda: nn.Reshape((2, 16)),
        **{name: lambda name=name: getattr(nn, name)(0.5) for name in ("Dropout", "SpatialDropout2D", "RandomZoom")},
    }
    counted = []
    for name in nn.__all__:
        cls = getattr(nn, name)
        if not isinstance(cls, type) or not issubclass(cls, nn.Module) or cls in (nn.Module, nn.Model, nn.Sequential):
            continue
        for shape in ((4, 4, 2), RNN, (2,), [(2,), (2,)]):
            try:
                layer = own.get(name, lambda cls=cls: made(cls))()
                xs = [np.zeros((1, *one), "float32") for one in (shape if isinstance(shape, list) else [shape])]
                layer(*(x.astype("int32") if layer.takes_integers else x for x in xs))
            except (ShapeError, ValueError, TypeError):
                continue
            before = nn.count(own.get(name, lambda cls=cls: made(cls))(), shape)
            after = nn.count(layer, shape)
            assert [(row.units, row.connections, row.parameters) for row in before] == [
                (row.units, row.connections, row.parameters) for row in after
            ], name
            counted.append(name)
            break
    assert len(counted) > 50


def test_units_of_a_deep_boltzmann_machine_count_once():
    """Whose mean field is ten updates of the same units."""
    found = nn.count(nn.Sequential([nn.Input((8,)), nn.DBM([5, 4])]))
    assert (found.units, found.connections) == (9, 8 * 5 + 5 * 4)
    assert found.multiply_adds == 8 * 5 + 5 * 4 + 10 * 2 * 5 * 4
    assert nn.count(nn.DBM([500, 1000]), (784,)).connections == 892_000


def branches():
    image = nn.Input((8, 8, 2))
    wide = nn.Conv2D(4, 5, padding="same")(image)
    fine = nn.MaxPool2D(3, strides=1, padding="same")(nn.Conv2D(3, 3, padding="same")(image))
    shared = nn.Conv2D(2, 1)
    both = nn.Concatenate()([wide, fine])
    return nn.Model(image, nn.Dense(3)(nn.GlobalAvgPool()(nn.Add()([shared(both), shared(both)]))))


def test_branches_and_shared_layers():
    found = nn.count(branches())
    rows = {row.name: row for row in found}
    assert rows["conv2d"].connections == 64 * 4 * 50
    assert rows["conv2d_1"].connections == 64 * 3 * 18
    assert found.connections == 64 * (4 * 50 + 3 * 18 + 2 * 2 * 7) + 3 * 2  # the shared one at both its places
    assert found.units == 64 * (4 + 3 + 2 * 2) + 3
    assert (found.pools, found.pool_connections) == (64 * 3 + 2, 64 * 3 * 9 + 2 * 64)
    assert found.parameters == branches().count_parameters()


class Attention(nn.Module):
    """Products of what is computed with what is computed, and weights of its own."""

    def build(self, input_shape):
        self.add_weight("w", (input_shape[-1], 4))

    def forward(self, x):
        y = x @ (self.w * 2)
        return pynn.ops.matmul(y, y.transpose((0, 2, 1)))


def test_a_module_of_ones_own():
    found = nn.count(Attention(), (5, 3))
    assert (found.units, found.connections) == (20, 60)  # x @ w; w is doubled first
    assert found.multiply_adds == 60 + 5 * 5 * 4
    outer = nn.Sequential([nn.Input((5, 3)), Attention(), nn.Dense(2)])
    assert nn.count(outer).connections == 60 + 5 * 2 * 5


class Own(nn.Module):
    """A module with a layer, and with a weight beside it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Dense(4)
        self.add_weight("v", (4, 2))

    def forward(self, x):
        return self.layer(x) @ self.v


def test_what_a_module_computes_beside_its_layers_has_a_row():
    model = Own()
    before = model.v.numpy()
    found = nn.count(model, (3,))
    assert [(row.name, row.kind, row.connections, row.parameters) for row in found] == [
        ("dense", "Dense", 12, 16), ("own", "itself", 8, 8),
    ]  # fmt: skip
    np.testing.assert_array_equal(model.v.numpy(), before)
    assert model(np.ones((2, 3), "float32")).shape == (2, 2)


def test_a_built_model_stays_as_it_is():
    model = nn.Sequential([nn.Input(RNN), nn.LSTM(4, stateful=True), nn.Dense(2)])
    y = model.predict(np.ones((2, *RNN), "float32"))
    weights = model.get_weights()
    assert nn.count(model).parameters == sum(w.size for w in weights)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    assert model.predict(np.ones((2, *RNN), "float32")).shape == y.shape


def test_the_same_weights_are_drawn_after_a_count():
    one, other = branches(), branches()
    nn.count(one)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_allocated(monkeypatch):
    """Of a network of 45 GB."""
    model = nn.Sequential([nn.Input((200, 200, 3)), *(nn.LocallyConnected2D(26, 18) for _ in range(3))])
    asked = []
    empty, kept = Tensor.empty.__func__, Tensor.state.__func__

    def noted(make):
        def made(*args):
            tensor = make(*args)
            asked.append(tensor.buffer.nbytes)
            return tensor

        return classmethod(made)

    monkeypatch.setattr(Tensor, "empty", noted(empty))
    monkeypatch.setattr(Tensor, "state", noted(kept))
    tracemalloc.start()
    try:
        found = nn.count(model)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.parameters > 11e9
    assert len(asked) > 5
    assert sum(asked) < 1 << 20  # the input is 480,000 bytes
    assert peak < 1 << 23
    assert not model.built


def test_bad_input():
    with pytest.raises(RuntimeError, match=r"\[count\] the model is not built.*nn\.Input"):
        nn.count(nn.Sequential([nn.Dense(3)]))
    layer = nn.Conv2D(2, 3)
    layer(np.ones((1, 8, 8, 2), "float32"))
    with pytest.raises(RuntimeError, match=r"\[count\] the input's shape is not known.*input_shape"):
        nn.count(layer)
    with pytest.raises(ShapeError, match="does not fit"):
        nn.count(nn.Conv2D(2, 5), (3, 3, 1))

    class Reading(nn.Module):
        def forward(self, x):
            return x * float(x.sum())

    with pytest.raises(CaptureError, match="for its shapes alone"):
        nn.count(Reading(), (3,))


def test_the_summary_shows_the_same_numbers():
    out = io.StringIO()
    model = branches()
    model.summary(file=out)
    head, *lines = out.getvalue().splitlines()
    assert head.split()[-6:] == ["units", "connections", "per", "unit", "mult-adds", "pools"]
    found = nn.count(model)
    tail = lines[-1]
    assert f"{found.units:,} units, {found.connections:,} connections" in tail
    assert f"{found.pools:,} pools, {found.multiply_adds:,} multiply-adds" in tail
    row = next(line for line in lines if line.startswith("conv2d (Conv2D)")).split()
    assert row[-6:] == ["256", "12.8", "k", "50", "12.8", "k"]


def test_the_summary_speaks_spanish():
    before = pynn.viz.language()
    out = io.StringIO()
    try:
        pynn.viz.language("es")
        branches().summary(file=out)
    finally:
        pynn.viz.language(before)
    head, *lines = out.getvalue().splitlines()
    assert head.split()[:2] == ["capa", "salida"]
    assert head.split()[-6:] == ["unidades", "conexiones", "por", "unidad", "mult-sumas", "pools"]
    assert "entrenables" in lines[-2]
    assert not [word for word in ("parameters", "units", "connections", "of one sample") if word in out.getvalue()]


def test_the_table_of_a_count():
    lines = repr(nn.count(branches())).splitlines()
    assert lines[0].split() == [
        "layer", "output", "units", "connections", "per", "unit", "multiply-adds", "pools", "parameters",
    ]  # fmt: skip
    assert lines[-1].startswith("total")
    assert len(lines) == 4 + 9
