"""One thread unless PYNN_NUM_THREADS says otherwise; the measured peaks of the machine in pytest-benchmark's JSON."""

import os

import pytest

import pynn

from . import machine


@pytest.fixture(autouse=True)
def _threads():
    pynn.set_num_threads(int(os.environ.get("PYNN_NUM_THREADS", "1")))
    yield
    pynn.set_num_threads(None)


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["pynn"] = {"fma_gflops": machine.fma_peak(), "copy_gbytes": machine.copy_bandwidth()}
