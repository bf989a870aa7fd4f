"""The installed package: what its import costs, what it brings along, what it says of itself."""

import importlib.metadata
import json
import lzma
import subprocess
import sys
from pathlib import PurePath

import pytest
from building import ROOT

import pynn
from pynn.web import has_engine

HEAVY = ("IPython", "matplotlib", "pandas", "pooch", "scipy.linalg", "sklearn", "torch")
MEGABYTE = 1 << 20

MEASURE = """
import json, sys
import numpy
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))
before = resident() if sys.platform == "linux" else None
import pynn
grown = resident() - before if before else None
print(json.dumps({"grown": grown, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def fresh_import():
    """What `import pynn` does in a process that has NumPy only."""
    result = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def distribution():
    try:
        found = importlib.metadata.distribution("pynn-dl")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("pynn is built in place, not installed")
    if json.loads(found.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        pytest.skip("pynn is installed in place, without a wheel's content")
    return found


def test_import_leaves_heavy_modules_alone(fresh_import):
    loaded = set(fresh_import["modules"])
    assert not loaded & set(HEAVY)


def test_import_adds_at_most_10_megabytes(fresh_import):
    if fresh_import["grown"] is None:
        pytest.skip("resident memory is read from /proc, which is not here")
    assert fresh_import["grown"] <= 10 * MEGABYTE


def test_version_is_the_distributions(distribution):
    assert distribution.version == pynn.__version__


def test_command_is_installed(distribution):
    [command] = distribution.entry_points.select(group="console_scripts", name="pynn")
    assert command.value == "pynn.cli:main"


def test_wheel_holds_no_sources_and_is_small(distribution):
    files = distribution.files
    suffixes = {PurePath(file).suffix for file in files}
    assert not suffixes & {".c", ".cpp", ".cu", ".h", ".def", ".pyx", ".pxd", ".pxi"}
    names = {file.as_posix() for file in files}
    assert "pynn/py.typed" in names
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("pynn/web/js/**/*.*")}
    assert pages <= names
    installed = sum(file.locate().stat().st_size for file in files if file.locate().exists())
    # The aim is 12. Python's compiled files are half of it, and pynn.keras with them 1.9.
    assert installed <= 14.25 * MEGABYTE


def test_a_python_without_lzma_and_bz2_trains_and_says_so_where_a_file_is_packed(tmp_path):
    """As Python compiles itself where those libraries are not installed."""
    program = f"""
import sys
sys.modules["_lzma"] = sys.modules["_bz2"] = None
import pynn
model = pynn.nn.Sequential([pynn.nn.Input((64,)), pynn.nn.Dense(2)])
model.compile("sgd", "mse")
model.save({str(tmp_path / "m.pynn")!r})
pynn.load({str(tmp_path / "m.pynn")!r})
pynn.export.to_c(model, {str(tmp_path / "m.c")!r})
try:
    pynn.export.to_web(model, {str(tmp_path / "m.js")!r})
except OSError as error:  # or no kernels for pages here
    print(error)
try:
    pynn.datasets.text({str(tmp_path / "x.txt.xz")!r})
except pynn.errors.DataError as error:
    print(error)
"""
    with lzma.open(tmp_path / "x.txt.xz", "wt") as file:
        file.write("words")
    result = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.stdout.count("compiled without lzma") == 1 + has_engine()


@pytest.mark.parametrize(
    ("platform", "processors", "kinds"),
    [
        ("linux", "x86_64,aarch64", ["manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64"]),
        ("macos", "x86_64,arm64", ["macosx_x86_64", "macosx_arm64"]),
        ("windows", "AMD64,ARM64", ["win_amd64", "win_arm64"]),
    ],
)
def test_cibuildwheel_makes_a_wheel_for_every_python(platform, processors, kinds):
    pytest.importorskip("cibuildwheel")
    command = [sys.executable, "-m", "cibuildwheel", "--platform", platform, "--archs", processors]
    done = subprocess.run(
        [*command, "--print-build-identifiers", str(ROOT)], capture_output=True, text=True, check=True
    )
    pythons = ["cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t"]
    assert set(done.stdout.split()) == {f"{python}-{kind}" for python in pythons for kind in kinds}
