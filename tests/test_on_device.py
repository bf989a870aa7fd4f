"""Programs on a CUDA device, through a driver that runs the device's kernels on this machine (cuda_fake.cpp)."""

import ctypes
import os
import runpy
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import cuda_shim
import numpy as np
import pytest

import pynn
from pynn import nn
from pynn.core import config
from pynn.core.device import described
from pynn.errors import DeviceError, NonFiniteError

BUILT = 'VERSION, CUDA, ARCHITECTURES = {!r}, 13000, "sm_75 and newer"\n'


class Fake:
    """The driver of a GPU that there is not."""

    def __init__(self, path):
        self.path = path
        self.library = ctypes.CDLL(path)
        self.library.fake_count.restype = ctypes.c_longlong
        self.changed = {}

    def set(self, name, value):
        """Make it another machine, or a function fail with a status; 0 ends that."""
        usual = {"devices": 1, "driver": 13000, "memory": 1 << 32, "sm": 90}
        self.changed.setdefault(name, usual.get(name, 0))
        self.library.fake_set(name.encode(), ctypes.c_longlong(value))

    def count(self, name):
        """Return how often a function was called; "kernels", "sent" and "bytes" count those."""
        return self.library.fake_count(name.encode())

    def order(self, number):
        """Let threads run in another order."""
        ctypes.c_int.in_dll(self.library, "pn_shim_order").value = number


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    if cuda_shim.compiler() is None or sys.platform != "linux":
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("driver")
    return Fake(cuda_shim.build(Path(__file__).with_name("cuda_fake.cpp"), folder / "libcuda_fake.so"))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package pynn_dl_cuda as it is built, but for its kernels, on sys.path."""
    folder = tmp_path / "pynn_dl_cuda"
    shutil.copytree(cuda_shim.PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__", "built.py", "*.fatbin"))
    (folder / "built.py").write_text(BUILT.format(pynn.__version__))
    (folder / "kernels.fatbin").write_bytes(b"fake kernels")
    monkeypatch.syspath_prepend(tmp_path)
    forgotten()
    yield folder
    forgotten()


def forgotten():
    for name in [name for name in sys.modules if name.partition(".")[0] == "pynn_dl_cuda"]:
        del sys.modules[name]


@pytest.fixture
def fake(driver, package, monkeypatch):
    monkeypatch.setenv("PYNN_CUDA_DRIVER", driver.path)
    yield driver
    for name, value in driver.changed.items():
        driver.set(name, value)
    driver.order(0)
    pynn.set_device("cpu")


RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(50, 12)).astype(np.float32), RNG.integers(0, 4, 50)
IMAGES = RNG.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8)
IDS = RNG.integers(0, 30, (50, 7))


def mlp():
    return nn.Sequential([nn.Input((12,)), nn.Dense(9, activation="relu"), nn.Dropout(0.2), nn.Dense(4)])


def cnn():
    layers = nn.Conv2D(6, 3, activation="relu"), nn.MaxPool2D(2), nn.Conv2D(4, 3, padding="same")
    return nn.Sequential([nn.Input((8, 8, 3)), *layers, nn.BatchNormalization(), nn.Flatten(), nn.Dense(4)])


def moved():
    layers = nn.RandomFlip(), nn.RandomRotation(rotation=0.1), nn.Conv2D(4, 3, strides=2), nn.GlobalAvgPool()
    return nn.Sequential([nn.Input((8, 8, 3)), *layers, nn.LayerNormalization(), nn.Dense(4)])


def looked_up(sparse):
    return nn.Sequential([nn.Input((7,)), nn.Embedding(30, 8, sparse=sparse), nn.Flatten(), nn.Dense(4)])


def recurrent(*layers):
    return lambda: nn.Sequential([nn.Input((6, 2)), *(layer() for layer in layers), nn.Dense(4)])


SEQUENCES = X.reshape(50, 6, 2)
CASES = {
    "mlp": (mlp, X, Y, "adam", {}),
    "segments": (mlp, X, Y, "adam", {"accumulate": 2}),
    "clipped": (mlp, X, Y, lambda: pynn.optim.SGD(0.1, momentum=0.9, clip_norm=1.0), {}),
    "cnn": (cnn, IMAGES, Y[:20], "sgd", {}),
    "augmented": (moved, IMAGES, Y[:20], "rmsprop", {}),
    "table": (lambda: looked_up(False), IDS, Y, "adam", {}),
    "sparse": (lambda: looked_up(True), IDS, Y, "adam", {}),
    "lstm": (recurrent(lambda: nn.LSTM(5, peephole=True)), SEQUENCES, Y, "adam", {}),
    "gru": (recurrent(lambda: nn.GRU(5, recurrent_dropout=0.3)), SEQUENCES, Y, "adam", {}),
    "gru_before": (recurrent(lambda: nn.GRU(5, reset_after=False)), SEQUENCES, Y, "adam", {}),
    "both_ways": (recurrent(lambda: nn.Bidirectional(nn.SimpleRNN(5))), SEQUENCES, Y, "adam", {}),
    "deep": (recurrent(lambda: nn.LSTM(70, return_sequences=True), lambda: nn.LSTM(3)), SEQUENCES, Y, "adam", {}),
}


def compiled(case):
    make, _, _, optimizer, _ = CASES[case]
    model = make()
    optimizer = optimizer() if callable(optimizer) else optimizer
    model.compile(optimizer=optimizer, loss="cross_entropy", metrics=["accuracy"], seed=0)
    return model


def values(model):
    return [t.numpy() for module in model.modules() for t in module._weights.values()]


def trained(case, device, epochs=2, **more):
    """Return what a training on a device leaves behind: weights, history, predictions, loss and metrics."""
    _, x, y, _, options = CASES[case]
    pynn.set_device(device)
    model = compiled(case)
    history = model.fit(x, y, epochs=epochs, batch_size=16, verbose=0, **options, **more)
    return [*values(model), model.predict(x)], history.history, dict(model.evaluate(x, y))


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one[0], other[0], strict=True)) and one[1:] == other[1:]


@pytest.fixture
def direct():
    before = config.get_convolution()
    config.set_convolution("direct")
    yield
    config.set_convolution(before)


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
    with_data = fake.count("sent") - before
    assert with_data >= x.nbytes
    held = fake.count("sent")
    for _ in range(3):
        model.predict(X[:4])
    each = (fake.count("sent") - held) / 3
    assert each < 4096  # inputs and outputs, not weights


# What fails


def said(error):
    text = str(error.value)
    assert "\n" not in text
    assert "Received: " in text
    assert "help: " in text
    return text


def test_no_driver(package, monkeypatch):
    monkeypatch.setenv("PYNN_CUDA_DRIVER", "/nowhere/libcuda.so.1")
    with pytest.raises(DeviceError) as error:
        pynn.set_device("cuda")
    assert "NVIDIA's driver" in said(error)
    assert described() == "none: expected NVIDIA's driver. Received: no /nowhere/libcuda.so.1."
    assert pynn.get_device() == "cpu"
    with pytest.raises(ValueError, match="unknown device"):
        pynn.set_device("gpu")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("devices", 0, "expected a GPU"),
        ("cuInit", 999, "expected cuInit to succeed. Received: a failure \\(999\\)"),
        ("driver", 12080, "expected a driver for CUDA 13. Received: Fake GPU, sm_90, 4.3 GB, driver for CUDA 12.8"),
        ("sm", 52, "the code is for, sm_75 and newer. Received: Fake GPU, sm_52"),
        ("cuModuleLoadData", 222, "expected a GPU that the code is for"),
        ("cuModuleLoadData", 999, "expected cuModuleLoadData to succeed"),
        ("cuDevicePrimaryCtxRetain", 2, "out of memory"),
    ],
)
def test_what_keeps_a_device_from_starting(fake, name, value, words):
    fake.set(name, value)
    with pytest.raises(DeviceError, match=words) as error:
        pynn.set_device("cuda")
    said(error)
    assert pynn.get_device() == "cpu"
    assert compiled("mlp").predict(X).shape == (50, 4)
    fake.set(name, fake.changed[name])
    pynn.set_device("cuda")  # once the cause is gone
    assert pynn.get_device() == "cuda"


def test_no_code_or_that_of_another_version(fake, package):
    (package / "built.py").write_text(BUILT.format("0.0.1"))
    with pytest.raises(DeviceError, match=r"expected pynn-dl-cuda .* Received: 0.0.1") as error:
        pynn.set_device("cuda")
    said(error)
    package.rename(package.with_name("elsewhere"))
    forgotten()
    with pytest.raises(DeviceError, match=r"expected the package pynn-dl-cuda. Received: none") as error:
        pynn.set_device("cuda")
    said(error)


def twice(model, x):
    """Predict: the first time is the CPU's."""
    for _ in range(2):
        model.predict(x, batch_size=len(x))


def test_too_little_memory(fake):
    pynn.set_device("cuda")
    model = compiled("mlp")
    model.fit(X, Y, verbose=0)
    before = values(model)
    fake.set("memory", fake.count("bytes") + 1000)
    with pytest.raises(MemoryError, match=r"bytes of memory on Fake GPU. Received: [0-9]+ free") as error:
        twice(model, np.tile(X, (100, 1)))
    said(error)
    pynn.set_device("cpu")
    assert all(np.array_equal(a, b) for a, b in zip(values(model), before, strict=True))
    assert model.predict(np.tile(X, (100, 1))).shape == (5000, 4)


@pytest.mark.parametrize(
    "name", ["cuGraphLaunch", "cuGraphAddKernelNode", "cuGraphInstantiateWithFlags", "cuMemcpyHtoD_v2", "cuMemsetD8_v2"]
)
def test_a_failure_of_the_driver_leaves_the_weights(fake, name):
    pynn.set_device("cpu")
    expected = compiled("mlp")
    expected.fit(X[:32], Y[:32], batch_size=16, epochs=2, verbose=0)
    pynn.set_device("cuda")
    model = compiled("mlp")
    model.fit(X[:32], Y[:32], batch_size=16, verbose=0)
    before = values(model)
    fake.set(name, 700)
    if "Graph" in name and "Launch" not in name:
        pynn.set_device("cpu")  # so that a graph is built anew
        pynn.set_device("cuda")
    with pytest.raises(DeviceError, match=f"expected {name} to succeed. Received: an illegal memory access"):
        twice(model, X[:32])
    fake.set(name, 0)
    assert all(np.array_equal(a, b) for a, b in zip(values(model), before, strict=True))
    model.fit(X[:32], Y[:32], batch_size=16, epochs=2, initial_epoch=1, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(values(model), values(expected), strict=True))


class Shifted(nn.Embedding):
    """Looks ids up that nobody has checked."""

    def forward(self, x):
        return super().forward(x + 25)


def test_what_kernels_refuse_is_said_as_on_the_cpu(fake):
    bad = X.copy()
    bad[40:] = 3e38
    words = []
    for device in ("cpu", "cuda"):
        pynn.set_device(device)
        model = compiled("mlp")
        model.fit(X, Y, batch_size=10, verbose=0)
        with pytest.raises(NonFiniteError) as error:
            model.fit(bad, Y, batch_size=10, shuffle=False, verbose=0)
        words.append((str(error.value), *[v.tobytes() for v in values(model)]))
        table = nn.Sequential([nn.Input((7,)), Shifted(60, 8), nn.Flatten(), nn.Dense(4)])
        table.predict(IDS)
        table.predict(IDS)
        with pytest.raises(Exception, match=r"shifted.*embedding") as outside:
            table.predict(IDS + 25)
        words.append((type(outside.value), str(outside.value)))
    assert words[:2] == words[2:]


def test_what_has_no_kernel_is_named_before_anything_changes(fake):
    pynn.set_device("cuda")
    model = nn.Sequential([nn.Input((6, 2)), nn.Masking(), nn.LSTM(5), nn.Dense(4)])
    model.compile(loss="cross_entropy", seed=0)
    model.build((1, 6, 2))
    before = values(model)
    with pytest.raises(DeviceError, match=r"lstm: \[step_order\] has no version for a CUDA device. Received: int32"):
        model.fit(SEQUENCES, Y, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(values(model), before, strict=True))
    double = mlp().astype("float64")
    double.compile(loss="cross_entropy", seed=0)
    with pytest.raises(DeviceError, match="float64"):
        double.fit(X, Y, verbose=0)
    pynn.set_device("cpu")
    model.fit(SEQUENCES, Y, verbose=0)
    double.fit(X, Y, verbose=0)


def test_info_tells_of_the_device(driver, package):
    def told(**more):
        command = [sys.executable, "-P", "-m", "pynn", "info"]
        path = os.pathsep.join([str(package.parent), *filter(None, sys.path)])
        made = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": path} | more, capture_output=True, text=True, check=True
        )
        return next(line for line in made.stdout.splitlines() if line.startswith("CUDA"))

    assert told(PYNN_CUDA_DRIVER=driver.path) == "CUDA      Fake GPU, sm_90, 4.3 GB, driver for CUDA 13.0"
    assert told(PYNN_CUDA_DRIVER=driver.path, FAKE_CUDA="devices=0") == (
        "CUDA      none: expected a GPU. Received: none that the driver knows."
    )
    assert told(PYNN_CUDA_DRIVER="/nowhere/libcuda.so") == (
        "CUDA      none: expected NVIDIA's driver. Received: no /nowhere/libcuda.so."
    )


def test_the_wheel_is_the_package(driver, tmp_path, monkeypatch):
    build = runpy.run_path(str(cuda_shim.CSRC / "cuda" / "build.py"))
    made = {"built.py": BUILT.format(pynn.__version__).encode(), "kernels.fatbin": b"fake kernels"}
    path = build["wheel"](tmp_path / "dist", made)
    assert path.name == f"pynn_dl_cuda-{pynn.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
        names = archive.namelist()
    [record] = [name for name in names if name.endswith("RECORD")]
    rows = [line.rsplit(",", 2) for line in (tmp_path / record).read_text().splitlines()]
    assert sorted(row[0] for row in rows) == sorted(names)
    assert all(int(row[2]) == (tmp_path / row[0]).stat().st_size for row in rows if row[0] != record)
    assert f"Requires-Dist: pynn-dl=={pynn.__version__}" in (tmp_path / record).with_name("METADATA").read_text()
    monkeypatch.setenv("PYNN_CUDA_DRIVER", driver.path)
    monkeypatch.syspath_prepend(tmp_path)
    forgotten()
    assert described().startswith("Fake GPU, sm_90")
    forgotten()
