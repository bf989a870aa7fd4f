"""What fails on a CUDA device, and what is said of it, through a driver that fails where a test asks for it."""

import ctypes.util
import os
import runpy
import subprocess
import sys
import zipfile

import cuda_shim
import numpy as np
import pytest
from on_device import (
    IDS,
    X,
    Y,
    compiled,
    forgotten,
    mlp,
    values,
)

import pynn
from pynn import nn
from pynn.core.device import described
from pynn.core.kernels.hook import add_hook
from pynn.core.tensor import Tensor
from pynn.errors import DeviceError, NonFiniteError
from pynn.ops.segments import call


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
    monkeypatch.setenv("PYNN_CUDA_DRIVER", str(package / "driver.py"))
    with pytest.raises(DeviceError, match=r"Received: .*driver\.py, which does not open\. help") as error:
        pynn.set_device("cuda")
    said(error)
    with pytest.raises(ValueError, match="unknown device"):
        pynn.set_device("gpu")


def test_a_driver_that_lacks_a_function(package, monkeypatch):
    monkeypatch.setenv("PYNN_CUDA_DRIVER", ctypes.util.find_library("c"))
    with pytest.raises(DeviceError, match=r"expected a newer driver\. Received: one without cuInit") as error:
        pynn.set_device("cuda")
    said(error)
    assert pynn.get_device() == "cpu"
    assert compiled("mlp").predict(X).shape == (50, 4)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("devices", 0, "expected a GPU"),
        ("cuInit", 999, "expected cuInit to succeed. Received: a failure \\(999\\)"),
        ("driver", 12080, "expected a driver for CUDA 13. Received: Fake GPU, sm_90, 4.3 GB, driver for CUDA 12.8"),
        ("cuInit", 803, "expected cuInit to succeed. Received: a failure \\(803\\)"),
        ("cuDeviceGetCount", 3, "expected cuDeviceGetCount to succeed"),
        ("driver", 11080, "expected a driver for CUDA 13. Received: Fake GPU, sm_90, 4.3 GB, driver for CUDA 11.8"),
        ("sm", 52, "the code is for, sm_75 and newer. Received: Fake GPU, sm_52"),
        ("cuModuleLoadData", 222, "expected a GPU that the code is for"),
        ("cuModuleLoadData", 999, "expected cuModuleLoadData to succeed"),
        ("cuModuleLoadData", 2, "expected cuModuleLoadData to succeed. Received: out of memory"),
        ("cuDevicePrimaryCtxRetain", 2, "out of memory"),
        ("cuDevicePrimaryCtxRetain", 46, "expected cuDevicePrimaryCtxRetain to succeed. Received: a failure"),
        ("cuCtxSetCurrent", 201, "expected cuCtxSetCurrent to succeed"),
    ],
)
def test_what_keeps_a_device_from_starting(fake, name, value, words):
    fake.set(name, value)
    with pytest.raises(DeviceError, match=words) as error:
        pynn.set_device("cuda")
    text = said(error)
    assert described() == "none: " + text.removeprefix("[cuda] ").partition(" help: ")[0]
    assert pynn.get_device() == "cpu"
    assert compiled("mlp").predict(X).shape == (50, 4)
    fake.set(name, fake.changed[name])
    pynn.set_device("cuda")  # once the cause is gone
    assert pynn.get_device() == "cuda"


def test_no_code_or_that_of_another_version(fake, package):
    (package / "built.py").write_text(cuda_shim.BUILT.format("0.0.1"))
    with pytest.raises(DeviceError, match=r"expected pynn-dl-cuda .* Received: 0.0.1") as error:
        pynn.set_device("cuda")
    said(error)
    assert described().startswith("none: expected pynn-dl-cuda ")
    (package / "built.py").write_text(cuda_shim.BUILT.format(pynn.__version__))
    (package / "kernels.fatbin").unlink()
    forgotten()
    with pytest.raises(DeviceError, match=r"expected the file of kernels. Received: .*No such file.*fatbin") as error:
        pynn.set_device("cuda")
    said(error)
    assert described().startswith("none: expected the file of kernels. ")
    (package / "built.py").unlink()
    forgotten()
    with pytest.raises(DeviceError, match=r"Received: one that does not load: cannot import name 'built'") as error:
        pynn.set_device("cuda")
    said(error)
    package.rename(package.with_name("elsewhere"))
    forgotten()
    with pytest.raises(DeviceError, match=r"expected the package pynn-dl-cuda. Received: none") as error:
        pynn.set_device("cuda")
    said(error)
    assert described() == "none: expected the package pynn-dl-cuda. Received: none."


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


NOTHING = add_hook(lambda: None)


class Waiting(nn.Dense):
    """Waits for a function of Python's, as a step of several processes does."""

    def forward(self, x):
        call(NOTHING, [Tensor.state(np.zeros(1, np.float32))])
        return super().forward(x)


def test_what_has_no_kernel_is_named_before_anything_changes(fake):
    pynn.set_device("cuda")
    model = nn.Sequential([nn.Input((12,)), nn.Dense(3), Waiting(4)])
    model.compile(loss="cross_entropy", seed=0)
    model.build((1, 12))
    before = values(model)
    with pytest.raises(DeviceError, match=r"waiting: \[call_hook\] has no version .* Received: a function") as error:
        model.fit(X, Y, verbose=0)
    said(error)
    assert all(np.array_equal(a, b) for a, b in zip(values(model), before, strict=True))
    double = mlp().astype("float64")
    double.compile(loss="cross_entropy", seed=0)
    with pytest.raises(DeviceError, match="float64") as error:
        double.fit(X, Y, verbose=0)
    said(error)
    pynn.set_device("cpu")
    model.fit(X, Y, verbose=0)
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
    assert told(PYNN_CUDA_DRIVER=driver.path, FAKE_CUDA="driver=12080 sm=75") == (
        "CUDA      none: expected a driver for CUDA 13. Received: Fake GPU, sm_75, 4.3 GB, driver for CUDA 12.8."
    )
    assert told(PYNN_CUDA_DRIVER=driver.path, FAKE_CUDA="sm=70") == (
        "CUDA      none: expected a GPU that the code is for, sm_75 and newer. "
        "Received: Fake GPU, sm_70, 4.3 GB, driver for CUDA 13.0."
    )
    assert told(PYNN_CUDA_DRIVER="/nowhere/libcuda.so") == (
        "CUDA      none: expected NVIDIA's driver. Received: no /nowhere/libcuda.so."
    )


def test_the_wheel_is_the_package(driver, tmp_path, monkeypatch):
    build = runpy.run_path(str(cuda_shim.CSRC / "cuda" / "build.py"))
    made = {"built.py": cuda_shim.BUILT.format(pynn.__version__).encode(), "kernels.fatbin": b"\x50\xed\x55\xba"}
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
