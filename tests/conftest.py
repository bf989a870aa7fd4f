"""Fixtures for all tests."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from on_device import direct, driver, fake, package  # noqa: F401  (fixtures)

import pynn

# Programs that run for minutes or on other machines, by hand; programs for type checkers alone.
collect_ignore = ["ports", "reliability", "typing"]

os.environ["MPLBACKEND"] = "Agg"  # pictures are drawn without a display
if sys.flags.safe_path:
    os.environ["PYTHONSAFEPATH"] = "1"  # processes that tests start import the installed package too


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets, which PYNN_DATA names."""
    folder = os.environ.get("PYNN_DATA")
    if not folder:
        pytest.skip("PYNN_DATA is unset: no real data here")
    return Path(folder)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20260101)


@pytest.fixture(autouse=True)
def _restore_threads():
    """Give the next test the number of threads that this one found."""
    before = pynn.get_num_threads()
    yield
    if pynn.get_num_threads() != before:
        pynn.set_num_threads(None)
