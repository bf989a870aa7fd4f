"""Programs on a CUDA device, through a driver that runs the device's kernels on this machine (cuda_fake.cpp)."""

import threading

import numpy as np
import pytest
from on_device import CASES, IMAGES, X, Y, compiled, same, trained, values

import pynn
from pynn import nn
from pynn.core import config
from pynn.core.tensor import Tensor
from pynn.errors import DeviceError
from pynn.ops.byte_products import byte_conv, byte_lstm, byte_matmul, dynamic_bytes, packed, static_bytes


@pytest.mark.parametrize("case", CASES)
def test_a_training_gives_the_bits_of_the_cpu(fake, direct, case):
    before = fake.count("cuGraphLaunch")
    validation = CASES[case][1][:9], CASES[case][2][:9]
    expected = trained(case, "cpu", validation_data=validation)
    assert fake.count("cuGraphLaunch") == before
    for order in (0, 1):
        fake.order(order)
        assert same(trained(case, "cuda", validation_data=validation), expected)
        pynn.set_device("cpu")
    assert fake.count("cuGraphLaunch") >= before + 2 * 2
    assert fake.count("bytes") == 0  # all memory was given back


def test_convolutions_that_leave_it_open_are_direct(fake):
    pynn.set_device("cuda")
    assert config.get_convolution() == "auto"
    model = compiled("cnn")
    model.fit(IMAGES, Y[:20], batch_size=10, verbose=0)
    layers = [nn.Input((16, 16, 16)), nn.Conv2D(16, 3, algorithm="winograd", padding="same"), nn.Flatten(), nn.Dense(4)]
    model = nn.Sequential(layers)
    model.compile(loss="cross_entropy")
    with pytest.raises(DeviceError, match=r"conv2d.*algorithm='direct'"):
        model.fit(np.ones((8, 16, 16, 16), np.float32), Y[:8], batch_size=2, verbose=0)


@pytest.mark.parametrize("layer", [lambda: nn.LSTM(5), lambda: nn.LSTM(70), lambda: nn.GRU(4)])
def test_one_padded_sequence_at_a_time(fake, layer):
    """The product of its gradient has as many terms as the sequence is long; with more, the sums have other blocks."""
    rng = np.random.default_rng(1)
    ids = np.where(np.arange(700) < np.array([[650], [700], [1]]), rng.integers(1, 9, (3, 700)), 0)
    found = []
    for device in ("cpu", "cuda"):
        pynn.set_device(device)
        model = nn.Sequential([nn.Input((700,)), nn.Embedding(9, 3, mask_zero=True), layer(), nn.Dense(2)])
        model.compile(optimizer="sgd", loss="cross_entropy", seed=0)
        model.fit(ids, np.array([0, 1, 0]), epochs=2, batch_size=1, verbose=0)
        found.append(values(model))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


class Bytes(nn.Module):
    """Dense, convolutional and recurrent layers of bytes, as in networks from ONNX files."""

    def __init__(self):
        super().__init__(None, None)
        rng = np.random.default_rng(0)

        def weights(terms, columns):
            made = packed(rng.integers(-128, 128, (terms, columns)).astype(np.int8))
            return [Tensor.state(part) for part in made]

        self.kernel, self.table, (w, u) = weights(27, 20), weights(9, 12), [weights(k, 12) for k in (9, 3)]
        scales = [Tensor.state(rng.random(12).astype(np.float32) * 1e-3) for _ in "wu"]
        self.ends = [Tensor.state(rng.normal(size=n).astype(np.float32) * 1e-3) for n in (20, 20, 12)]
        self.cells = [*w, scales[0], *u, scales[1], *4 * [None]]

    def forward(self, x):
        made, _, zero = dynamic_bytes(x)
        images = byte_conv(made, zero, *self.kernel, kernel=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2))
        numbers, scale, zero = dynamic_bytes(x.reshape((-1, 9)))
        y, h, _ = byte_lstm(x.reshape((-1, 8, 9)) * scale, *self.cells)
        whole = images, byte_matmul(numbers, zero, *self.table)
        again = static_bytes(x, scale, zero)
        scaled = [
            byte_conv(again, zero, *self.kernel, *self.ends[:2], kernel=(3, 3), pads=(1, 1, 1, 1), relu=True),
            byte_matmul(numbers, zero, *self.table, self.ends[2]),
        ]
        parts = [*(pynn.ops.cast(part, "float32") for part in whole), *scaled, y, h]
        return pynn.ops.concat([part.reshape((x.shape[0], -1)) for part in parts], axis=1)


def test_networks_of_bytes(fake):
    x = np.random.default_rng(2).normal(size=(3, 6, 4, 3)).astype(np.float32)
    model = Bytes()
    model.build(x.shape)
    expected = model.predict_fn(len(x))(x)
    pynn.set_device("cuda")
    for order in (0, 1):
        fake.order(order)
        found = model.predict_fn(len(x))
        before = fake.count("cuGraphLaunch")
        assert np.array_equal(found(x), expected)
        assert np.array_equal(found(x), expected)
        assert fake.count("cuGraphLaunch") > before


@pytest.fixture
def precision():
    before = pynn.get_precision()
    yield pynn.set_precision
    pynn.set_precision(before)


#: By precision: the relative errors of products of normal numbers that docs/guide/precision.md promises.
ERRORS = {"high": (1e-6, 6e-6), "medium": (1e-3, 3e-3)}
CUBES = np.random.default_rng(3).normal(size=(9, 9, 9, 20)).astype(np.float32)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("layer", [lambda: nn.Dense(70), lambda: nn.Conv2D(70, 3), lambda: nn.Conv2D(5, 2, strides=2)])
def test_lower_precisions_have_their_errors(fake, direct, precision, layer, name):
    pynn.set_device("cpu")
    model, double = (nn.Sequential([nn.Input(CUBES.shape[1:]), layer()]) for _ in range(2))
    for one in (model, double.astype("float64")):
        one.build((1, *CUBES.shape[1:]))
    double.parameters()[0].view()[:] = model.parameters()[0].numpy()
    exact = double.predict(CUBES.astype(np.float64))
    pynn.set_device("cuda")
    precision(name)
    found = []
    for order in (0, 1):
        fake.order(order)
        model.predict(CUBES)  # the first may be the CPU's
        found.append(model.predict(CUBES))
        error = np.linalg.norm(found[-1] - exact) / np.linalg.norm(exact)
        assert ERRORS[name][0] < error < ERRORS[name][1]
    assert np.array_equal(*found)


@pytest.mark.parametrize("case", ["mlp", "cnn", "lstm", "gru"])
def test_trainings_at_lower_precisions(fake, direct, precision, case):
    expected = trained(case, "cpu")
    for name, bound in (("high", 1e-3), ("medium", 0.1)):
        precision(name)
        found = trained(case, "cuda")
        pairs = list(zip(found[0], expected[0], strict=True))
        assert not all(np.array_equal(a, b) for a, b in pairs)
        assert all(np.abs(a - b).max() <= bound * max(1, np.abs(b).max()) for a, b in pairs)
        pynn.set_device("cpu")
        precision("highest")


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_not_finite_shows_at_lower_precisions(fake, precision, name):
    pynn.set_device("cuda")
    precision(name)
    model = nn.Sequential([nn.Input((2,)), nn.Dense(20, use_bias=False)])
    model.build((1, 2))
    model.parameters()[0].view()[:] = 1
    x = np.tile(np.array([[np.inf, 1], [np.nan, 1], [3e38, 0], [-0.0, 0]], np.float32), (5, 1))
    model.predict(x)
    found = model.predict(x)[:4]
    assert not np.isfinite(found[:2]).any()
    assert np.allclose(found[2], 3e38, rtol=1e-5 if name == "high" else 4e-3)
    assert not found[3].any()


def test_gpus_without_units_compute_in_float32(fake, precision):
    fake.set("sm", 75)
    expected = trained("mlp", "cpu")
    for name in ERRORS:
        precision(name)
        assert same(trained("mlp", "cuda"), expected)
        pynn.set_device("cpu")
        precision("highest")


class Watching(pynn.train.Callback):
    """Reads a weight and the loss after each batch, and writes to a bias once."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_batch_end(self, batch, logs):
        weight, bias = values(self.model)[:2]
        self.seen.append((weight.tobytes(), bias.tobytes(), logs["loss"]))
        if batch == 1:
            next(self.model.modules())  # a model hands out its parts
            self.model.parameters()[1].view()[:] = 0.5


def test_callbacks_read_and_write_weights(fake):
    seen = []
    for device in ("cpu", "cuda"):
        watching = Watching()
        trained("mlp", device, callbacks=[watching])
        seen.append(watching.seen)
    assert len(seen[0]) == 8
    assert seen[0] == seen[1]


def test_training_goes_on_on_the_other_device(fake, tmp_path):
    expected = trained("mlp", "cpu", epochs=4)[0]
    for first, second in (("cpu", "cuda"), ("cuda", "cpu")):
        pynn.set_device(first)
        model = compiled("mlp")
        model.fit(X, Y, epochs=2, batch_size=16, verbose=0)
        pynn.set_device(second)
        model.fit(X, Y, epochs=4, initial_epoch=2, batch_size=16, verbose=0)
        assert all(np.array_equal(a, b) for a, b in zip(values(model), expected[:-1], strict=True))
        model.save(tmp_path / "model.pynn")
        pynn.set_device(first)
        assert np.array_equal(pynn.load(tmp_path / "model.pynn").predict(X), expected[-1])


def test_batches_and_single_updates(fake):
    found = []
    for device in ("cpu", "cuda"):
        pynn.set_device(device)
        model = compiled("mlp")
        losses = [model.train_on_batch(X[:8], Y[:8])["loss"] for _ in range(4)]
        update = model.train_fn()
        losses += [update(X[8:16], Y[8:16]) for _ in range(3)]
        model.fit([(X[:8], Y[:8]), (X[8:16], Y[8:16])] * 2, epochs=2, verbose=0)
        found.append(([*values(model), model.predict(X[:3]), model.predict_fn()(X[:3])], losses))
    assert same(*found)


def test_predictions_of_several_threads(fake):
    pynn.set_device("cpu")
    model = compiled("mlp")
    expected = model.predict(X)
    pynn.set_device("cuda")
    wrong = []

    def look(n):
        for _ in range(5):
            if not np.array_equal(model.predict(X[:n]), expected[:n]):
                wrong.append(n)

    threads = [threading.Thread(target=look, args=(n,)) for n in (5, 6, 7, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    before = fake.count("cuGraphLaunch")
    model.predict(X)
    assert fake.count("cuGraphLaunch") == before + 1


def test_what_the_device_has_is_not_sent_again(fake):
    pynn.set_device("cuda")
    model = compiled("mlp")
    x, y = np.tile(X, (40, 1)), np.tile(Y, 40)
    steps = pynn.train.steps(model, x, y, batch_size=20)
    steps.run(2)
    before = fake.count("sent")
    steps.run(3)
    assert fake.count("sent") - before < x.nbytes / 2  # parameters, slots, and the optimizer's state
    options = {"batch_size": 300, "validation_data": (X, Y), "verbose": 0}  # with a partial last batch
    model.fit(x, y, **options)
    sent = []
    for epochs in (1, 4):
        before = fake.count("sent")
        model.fit(x, y, epochs=epochs, **options)
        sent.append(fake.count("sent") - before)
    assert x.nbytes < sent[0]  # they may have changed between two calls
    assert sent[1] - sent[0] < 3 * x.nbytes
    held = fake.count("sent")
    for _ in range(3):
        model.predict(X[:4])
    each = (fake.count("sent") - held) / 3
    assert each < 4096  # inputs and outputs, not weights
