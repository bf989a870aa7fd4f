"""The guides are true: in a copy of the tree, what they say is added as they say it, and the tests find it there.

A block of a guide whose title is a path is a new file; ``PATH: below `LINE` `` puts the block below that line. Nothing
else is touched, so a guide that forgets a file fails here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest
from building import ROOT, needs_a_build

pytestmark = pytest.mark.timeout(1200)  # the first test builds the copy

GUIDES = ROOT / "docs" / "guide"
BLOCK = re.compile(r"""^```\w+ title=(["'])([^\n]+)\1\n(.*?)^```$""", re.MULTILINE | re.DOTALL)
TREE = ("csrc", "pynn", "tests", "docs", "setup.py", "pyproject.toml", "README.md", "CHANGELOG.md", "mkdocs.yml")
# guide: how many files of pynn/ and csrc/ it may touch
MOST_FILES = {"add-op": 2, "add-layer": 2, "add-optimizer": 2, "add-recipe": 2, "add-dataset": 2, "add-isa": 2}


def blocks(guide):
    """Return the (path, line or None, text) of a guide's titled blocks."""
    found = []
    for _, title, text in BLOCK.findall((GUIDES / f"{guide}.md").read_text(encoding="utf-8")):
        path, _, line = title.partition(": below ")
        found.append((path, line[1:-1] if line else None, text))
    return found


def follow(guide, tree):
    """Do in a tree what a guide says; return the files that were touched."""
    steps = blocks(guide)
    assert steps, f"{guide}.md has no block whose title is a path"
    for path, line, text in steps:
        target = tree / path
        if line is None:
            assert not target.exists(), f"{guide}.md: {path} exists"
            target.write_text(text, encoding="utf-8")
            continue
        content = target.read_text(encoding="utf-8").split("\n")
        assert content.count(line) == 1, f"{guide}.md: {path} has not one line {line!r}"
        at = content.index(line) + 1
        target.write_text("\n".join([*content[:at], *text.rstrip("\n").split("\n"), *content[at:]]), encoding="utf-8")
    return {path for path, _, _ in steps}


def test_blocks_are_found():
    assert BLOCK.findall("```c title='a.h: below `X(Y, \"y\")`'\nz\n```\n") == [("'", 'a.h: below `X(Y, "y")`', "z\n")]
    assert BLOCK.findall('```python title="a.py"\nx = 1\n```\n') == [('"', "a.py", "x = 1\n")]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the tree in which all guides were followed, built."""
    needs_a_build()
    folder = tmp_path_factory.mktemp("guides") / "pynn"
    folder.mkdir()
    leave_out = shutil.ignore_patterns("*.so", "__pycache__")
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
        else:
            shutil.copy(ROOT / name, folder / name)
    for guide, most in MOST_FILES.items():
        touched = follow(guide, folder)
        assert len(touched) <= most, f"{guide}.md touches {sorted(touched)}"
        assert not any(path.startswith("tests/") for path in touched)
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


def run(tree, *arguments):
    """Run Python on the copy."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "MPLBACKEND": "Agg"}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        [sys.executable, "-P", *arguments], cwd=tree, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def suite(tree, *arguments):
    """Run tests of the copy; at least one must have run."""
    said = run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments)
    assert re.search(r"[1-9]\d* passed", said), said[-2000:]


def test_a_data_set_is_there(tree):
    (tree / "leaves.txt").write_text("5.1 0.4 0\n4.9 0.2 0\n6.3 1.8 1\n")
    said = run(tree, "-c", "import pynn; x, y = pynn.datasets.leaves('.'); print(x.shape, y.tolist(), x.dtype)")
    assert said == "(3, 2) [0, 0, 1] float32\n"
    assert "leaves.txt" in run(
        tree, "-c", "import pynn\ntry: pynn.datasets.leaves('docs')\nexcept pynn.errors.DataError as e: print(e)"
    )


def test_an_instruction_set_is_there(tree):
    said = run(tree, "-c", "import pynn; print(pynn.config.info()['isa_available'])")
    assert "'plain'" in said
    suite(tree, "tests/test_ops.py", "-k", "relu or matmul or softmax")
    suite(tree, "tests/test_registry.py")


def test_a_function_of_one_element_is_there(tree):
    said = run(
        tree,
        "-c",
        "from pynn import ops; print(ops.hardtanh([-3.0, 0.5]).tolist(), 'hardtanh' in ops.elementwise.FUSED)",
    )
    assert said == "[-1.0, 0.5] True\n"
    suite(tree, "tests/test_elementwise.py")
    suite(tree, "tests/test_ops.py", "-k", "hardtanh or dense")
    suite(tree, "tests/test_onnx_export.py", "tests/test_export.py", "-k", "hardtanh or activations")
    suite(
        tree,
        "tests/test_gallery.py",
        "tests/test_registry.py",
        "tests/test_numerics.py",
        "-k",
        "activation or kernel or tails",
    )


def test_a_layer_is_there(tree):
    run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--doctest-modules", "pynn/nn/gain.py")
    run(tree, "-c", """
import numpy as np, pynn
from pynn import nn, testing
x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
model = nn.Sequential([nn.Input((3,)), nn.Gain(), nn.Dense(1)])
model.compile("adam", "mse", seed=0)
model.fit(x, x[:, :1], epochs=3, verbose=0)
model.save("gain.pynn")
assert (pynn.load("gain.pynn").predict(x) == model.predict(x)).all()
layer = nn.Gain().astype("float64")
layer(np.zeros((1, 3)))
testing.gradcheck(lambda x: layer(x).sum(), [np.random.default_rng(0).normal(size=(2, 3))])
""")  # fmt: skip
    suite(tree, "tests/test_io.py", "-k", "layer_that_people or Gain")
    suite(tree, "tests/test_lengths.py", "-k", "Gain")
    suite(tree, "tests/test_export_modules.py", "-k", "Gain")
    suite(tree, "tests/test_reference.py", "-k", "Gain")


def test_an_optimizer_is_there(tree):
    run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--doctest-modules", "pynn/optim/signs.py")
    subjects = "optim", "optim_rules", "shared_layers", "program", "capture", "embedding"
    suite(tree, *(f"tests/test_{subject}.py" for subject in subjects), "-k", "signsgd")
    suite(tree, "tests/test_reference.py", "-k", "SignSGD")


def test_a_recipe_is_there(tree):
    assert "ring" in run(tree, "-m", "pynn", "list")
    assert "expected" in run(tree, "-m", "pynn", "run", "ring", "--quiet", "--threads", "1")
    suite(tree, "tests/test_docs.py", "-k", "recipes")
