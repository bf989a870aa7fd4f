"""Writing model files: whole or not at all, and what was saved is loaded."""

import os
import re
import stat
import subprocess
import sys

import numpy as np
import pytest
from model_files import tiny, trained

import pynn
from pynn import files, nn
from pynn.errors import DataError
from pynn.io import container, read_metadata, write_whole

# Writing


def test_a_file_is_replaced_whole_and_its_mode_and_link_stay(tmp_path):
    path, link = tmp_path / "a", tmp_path / "link"
    write_whole(path, b"old")
    os.chmod(path, 0o640)
    link.symlink_to(path)
    write_whole(link, [b"ne", memoryview(b"w")])
    assert path.read_bytes() == b"new"
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(IsADirectoryError, match="a folder"):
        write_whole(tmp_path, b"")
    with pytest.raises(FileNotFoundError, match=r"could not write .*none/a.*no file was made"):
        write_whole(tmp_path / "none" / "a", b"")
    write_whole(tmp_path / ("ä" * 120), b"x")


def test_temporaries_of_dead_processes_are_swept_those_of_living_stay(tmp_path):
    left = tmp_path / ".model.pynn.0123456789abcdef.tmp"
    left.touch()
    (tmp_path / ".other.tmp").touch()
    with files.atomic(tmp_path / "mine") as file:
        file.write(b"x")
        assert not left.exists()
        left.touch()
        assert files.sweep(tmp_path) == 1  # not the one that is open
        assert len(list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))) >= 2
    assert sorted(os.listdir(tmp_path)) == [".other.tmp", "mine"]


def test_an_error_inside_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    write_whole(path, b"old")

    def parts():
        yield b"new"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_whole(path, parts())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


LIMITED = """
import os, resource, sys
import numpy as np, pynn
from pynn import nn
path, how = sys.argv[1:]
model = nn.Sequential([nn.Input((100,)), nn.Dense(100)])
model.save(path + ".first")
os.unlink(path + ".first")
if how == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
else:
    os.chmod(os.path.dirname(path), 0o555)
    os.setgid(65534)
    os.setuid(65534)
try:
    model.save(path)
except OSError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("how", ["limit", "read-only"])
def test_a_full_disk_or_a_read_only_folder_leaves_the_old_file(how, tmp_path):
    if how == "read-only" and os.getuid() != 0:
        pytest.skip("needs a user that can become another")
    folder = tmp_path / "folder"
    folder.mkdir()
    for parent in [tmp_path, *tmp_path.parents][:3]:
        if how == "read-only" and parent.stat().st_uid == os.getuid():
            os.chmod(parent, 0o755)
    path = folder / "model.pynn"
    tiny().save(path)
    before = path.read_bytes()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", LIMITED, str(path), how]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    os.chmod(folder, 0o755)
    reason = "OSError.*File too large" if how == "limit" else "PermissionError.*Permission denied"
    assert re.search(f"{reason}; the file is as it was before", ran.stdout), (ran.stdout, ran.stderr)
    assert path.read_bytes() == before
    assert os.listdir(folder) == ["model.pynn"]


def test_loading_never_imports_evaluates_or_unpickles(tmp_path):
    """An audit hook watches a process that loads a file."""
    path = tmp_path / "model.pynn"
    trained().save(path)
    code = """
import sys
import pynn, pynn.nn, pynn.optim, pynn.io.model_file
pynn.load(sys.argv[1])
seen = []
sys.addaudithook(lambda event, args: seen.append((event, args)) if event in WATCHED else None)
WATCHED = {"exec", "compile", "pickle.find_class", "import", "os.system", "subprocess.Popen", "marshal.loads"}
pynn.load(sys.argv[1])
print(seen)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=environment)
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_io_hands_on_the_writer_of_files():
    assert files.write_whole is write_whole


# What save accepts, load reads


@pynn.register
class Namesakes(nn.Module):
    """Two layers whose attributes differ by an underscore alone."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(4)
        self._dense = nn.Dense(4)

    def forward(self, x):
        return self._dense(self.dense(x))


@pynn.register
class Dotted(nn.Module):
    """Keys of dicts that give two layers one path."""

    def __init__(self, other="a"):
        super().__init__()
        self.parts = {"a.b": nn.Dense(4), other: {"b": nn.Dense(4)}}

    def forward(self, x):
        for part in self.parts.values():
            x = (part if isinstance(part, nn.Module) else part["b"])(x)
        return x


def test_layers_whose_names_differ_by_an_underscore_are_two(tmp_path):
    model = Namesakes()
    model(np.ones((1, 4), "float32"))
    assert [path for path, _ in model.named_parameters()] == ["dense.w", "dense.b", "_dense.w", "_dense.b"]
    model.save(tmp_path / "m.pynn")
    again = pynn.load(tmp_path / "m.pynn")
    assert all((a == b).all() for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def refused_and_kept(model, tmp_path, message, **more):
    """Check that save() refuses, and that the file which was there is as it was."""
    path = tmp_path / "f.pynn"
    nn.Sequential([nn.Input((4,)), nn.Dense(2)]).save(path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        model.save(path, **more)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["f.pynn"]


def test_two_layers_of_one_path_are_refused(tmp_path):
    model = Dotted()
    model(np.ones((1, 4), "float32"))
    refused_and_kept(model, tmp_path, r"different paths\. Received: 'parts\.a\.b' twice, a Dense and a Dense")
    other = Dotted("c")
    other(np.ones((1, 4), "float32"))
    other.save(tmp_path / "f.pynn")
    assert len(pynn.load(tmp_path / "f.pynn").get_weights()) == 4


def test_a_vocabulary_of_many_words_is_metadata(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    words = [f"word{i}" for i in range(400_000)]
    model.save(tmp_path / "m.pynn", metadata={"words": words})
    assert read_metadata(tmp_path / "m.pynn") == {"words": words}


def test_what_a_reader_would_refuse_is_refused_before_the_old_file_goes(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    deep = []
    for _ in range(250):
        deep = [deep]
    refused_and_kept(model, tmp_path, "metadata is nested more than 200 deep", metadata={"x": deep})
    refused_and_kept(model, tmp_path, "metadata has more than 2,000,000 items", metadata={"x": [0] * 2_100_000})
    refused_and_kept(model, tmp_path, "bytes, and at most", metadata={"x": "y" * (1 << 24)})
    nested = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    for _ in range(100):
        nested = nn.Sequential([nn.Input((4,)), nested])
    refused_and_kept(nested, tmp_path, "architecture is nested more than 200 deep")


def test_nested_sequentials_that_are_saved_are_loaded(tmp_path):
    nested = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    for _ in range(40):
        nested = nn.Sequential([nn.Input((4,)), nested])
    nested.save(tmp_path / "m.pynn")
    x = np.ones((3, 4), "float32")
    assert (pynn.load(tmp_path / "m.pynn").predict(x) == nested.predict(x)).all()


def test_long_schedules_are_read(tmp_path):
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    steps = list(range(1, 150_000))
    rate = pynn.schedules.Piecewise(steps, [0.1] * 150_000)
    model.compile(pynn.optim.SGD(rate), "mse")
    model.save(tmp_path / "m.pynn")
    again = pynn.load(tmp_path / "m.pynn")
    assert list(again._trainer.optimizer._rate.boundaries) == steps


def test_what_was_written_is_read_again_before_it_takes_the_place(tmp_path, monkeypatch):
    path = tmp_path / "m.pynn"
    model = nn.Sequential([nn.Input((4,)), nn.Dense(2)])
    model.save(path)
    before = path.read_bytes()
    true = container.digest
    calls = []

    def drifting(tensors, metadata):
        calls.append(1)
        return true(tensors, metadata) if len(calls) > 1 else "0" * 64  # as if the memory had changed meanwhile

    monkeypatch.setattr(container, "digest", drifting)
    with pytest.raises(DataError, match="do not have the digest"):
        model.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["m.pynn"]
