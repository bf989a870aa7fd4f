"""What tests need that build pynn anew: what pyproject.toml asks of a build, and a compiler."""

import importlib.metadata
import os
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NEEDED = {"setuptools": 77, "Cython": 3}


def needs_a_build(compiler=True):
    """Skip the test, saying why, where nothing can be built."""
    if not (ROOT / "setup.py").exists():
        pytest.skip("the source is not here")
    for name, least in NEEDED.items():
        try:
            major = int(importlib.metadata.version(name).split(".")[0])
        except importlib.metadata.PackageNotFoundError:
            major = 0
        if major < least:
            pytest.skip(f"building needs {name} of version {least}: pip install '.[dev]'")
    if compiler and shutil.which(os.environ.get("CC", "cc").split()[0]) is None:
        pytest.skip("no compiler here")
