"""Damaged and crafted files for every reader, and hostile names for every writer: runs of tests/reliability/."""

import importlib.util
import random
import shutil
import sys
import threading
from pathlib import Path

import pytest

import pynn

FOLDER = Path(__file__).parent / "reliability"
NEEDS = {
    "Keras, HDF5": "h5py",
    "Keras, model": "h5py",
    "Keras, zip": "h5py",
    "ONNX": "onnx",
    "image": "PIL",
    "sound, packed": "soundfile",
}
FILES, CRAFTED, LARGEST = 60, 12, 1 << 18  # crafted ones that are larger take seconds, and are tried by hand

# Crafted files that something was wrong with once; they are among the tried ones.
FOUND = {
    "zero.pynn", "esc.pynn", "script.png", "rf64.wav", "map.tar", "negative.tar", "header.csv", "digits.csv",
    "names.onnx", "heap.weights.h5", "named.weights.h5", "lzma.keras", "record 10.keras", "record 42.keras",
    "directory.keras", "name.keras", "record 20.zip", "record 10.zip", "lzma.zip", "deep.npz", "utf16.csv", "short.png",
    "huge.bmp", "version.keras", "commas.csv", "newlines.csv",
}  # fmt: skip

if sys.platform.startswith("linux"):
    sys.path.insert(0, str(FOLDER))
    import crafted
    import fuzz_files
    import names
    import places
    import readers

    sys.path.remove(str(FOLDER))
    NAMES = [reader.name for reader in readers.READERS]
else:
    NAMES = []

pytestmark = pytest.mark.skipif(not NAMES, reason="limits of memory and processes of their own are Linux's")


def reader_of(name):
    module = NEEDS.get(name)
    if module is not None and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    return next(reader for reader in readers.READERS if reader.name == name)


@pytest.fixture(scope="module", autouse=True)
def small_sizes():
    with pytest.MonkeyPatch.context() as patch:
        readers.small_sizes(patch.setattr)
        yield


def test_every_place_that_reads_files_is_listed():
    """A new reader needs a line in PLACES, and mostly one in READERS, so that damaged files are tried on it, too."""
    assert places.places() == set(places.PLACES)
    assert {name for name in places.PLACES.values() if not name.startswith(("own: ", "untried: "))} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_readers_reach_their_places_and_read_whole_files(name, tmp_path):
    reader = reader_of(name)
    files = reader.files()  # before anything is watched: to make them is no reading
    root, met = str(Path(pynn.__file__).parent), set()

    def call(frame, event, argument):
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(root):
            module = code.co_filename[len(root) + 1 : -3].replace("/", ".").removesuffix(".__init__")
            met.add(f"{module}:{code.co_qualname}")

    for i, (file, data) in enumerate(files.items()):
        folder = tmp_path / str(i)
        folder.mkdir()
        (folder / file).write_bytes(data)
        threading.setprofile(call)
        sys.setprofile(call)
        try:
            reader.read(folder / file)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)
    assert {place for place, by in places.PLACES.items() if by == name} <= met


@pytest.mark.parametrize("name", NAMES)
def test_damaged_and_crafted_files_are_read_or_refused(name):
    reader, seed = reader_of(name), 5
    made = [(file, data) for file, data in crafted.files(name) if len(data) <= LARGEST]
    again = [(file, data) for file, data in made if file in FOUND]
    made = again + random.Random(seed).sample(made, min(CRAFTED, len(made)))
    result = fuzz_files.tried(reader, seed, FILES, made)
    assert not result["findings"], (
        f"python tests/reliability/fuzz_files.py --reader {name!r} --seed {seed} --files {FILES}", result["findings"]
    )  # fmt: skip
    assert result["files"] == FILES


@pytest.mark.parametrize("writer", sorted(names.WRITERS) if NAMES else [])
@pytest.mark.filterwarnings("ignore")
def test_hostile_names_are_written_so_that_strict_tools_read_them(writer, tmp_path):
    """A bounded run of tests/reliability/names.py."""
    if writer == "ONNX":
        pytest.importorskip("onnx")
    if writer == "C" and shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    for i in range(3 if writer == "C" else 6):
        folder = tmp_path / str(i)
        folder.mkdir()
        chance = random.Random(f"3/{i}/{writer}")
        names.WRITERS[writer](names.model(chance), folder, chance)
