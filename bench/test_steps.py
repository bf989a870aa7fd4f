"""Whole training steps: their cost, what Python adds, what fit adds; a single prediction; the import."""

import subprocess
import sys
import time

import numpy as np
import pytest

import pynn
from pynn import nn, regularizers
from pynn.core.card import CARDS

from .kernels import Timed
from .side_pynn import build
from .workloads import WORKLOADS


def stepper(workload):
    return pynn.train.steps(build(workload), *workload.data(), batch_size=workload.batch)


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_step(benchmark, workload):
    steps = stepper(workload)
    steps.run(workload.steps)
    benchmark(steps.run, 1)
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["GFLOP/s"] = workload.flops() / benchmark.stats.stats.min / 1e9


@pytest.mark.parametrize("late", [True, False], ids=["late", "in order"])
@pytest.mark.parametrize("sizes", [(64, 64, 10), (784, 512, 512, 10)], ids=str)
def test_penalty_gradients(benchmark, sizes, late, monkeypatch):
    """Gradients of penalties that come last and add to the others in one pass, and those that are added afterwards."""
    benchmark.group = f"a step of 8 samples with penalties, {sizes}"
    monkeypatch.setattr(CARDS["penalty"], "late", late)
    layers = [nn.Dense(units, "relu", kernel_regularizer=regularizers.L2(1e-4)) for units in sizes[1:]]
    model = nn.Sequential([nn.Input(sizes[:1]), *layers], seed=0)
    model.compile("sgd", "cross_entropy")
    r = np.random.default_rng(0)
    x, y = r.normal(size=(8, sizes[0])).astype("float32"), r.integers(0, sizes[-1], 8)
    steps = pynn.train.steps(model, x, y, batch_size=8)
    steps.run(20)
    benchmark(steps.run, 1)


@pytest.mark.parametrize("calls", [1, 16], ids=lambda calls: f"{calls}-calls")
def test_python_per_call(benchmark, calls):
    """The same 16 steps of the smallest network by one call and by 16: the difference is the cost of 15 calls."""
    benchmark.group = "16 steps of the smallest network"
    steps = stepper(WORKLOADS[0])
    steps.run(WORKLOADS[0].steps)

    def run():
        for _ in range(calls):
            steps.run(16 // calls)

    benchmark(run)


@pytest.mark.parametrize("workload", WORKLOADS[:4], ids=lambda workload: workload.name)
def test_fit_over_bare_steps(benchmark, workload):
    """Three epochs through fit, without progress or metrics, in turn with as many bare steps."""
    model, (x, y), steps = build(workload), workload.data(), stepper(workload)
    bare = []

    def fit():
        model.fit(x, y, batch_size=workload.batch, epochs=3, verbose=0)

    def take_bare_steps():
        started = time.perf_counter()
        steps.run(3 * workload.steps)
        bare.append(time.perf_counter() - started)

    benchmark.pedantic(fit, setup=take_bare_steps, rounds=9, warmup_rounds=1)
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["% over bare steps"] = 100 * (benchmark.stats.stats.min / min(bare) - 1)


@pytest.mark.parametrize("call", ["predict_fn", "predict"])
def test_predict_one_row(benchmark, call):
    benchmark.group = "one row of a small perceptron"
    model = nn.Sequential([nn.Input((20,)), *(nn.Dense(64, activation="relu") for _ in range(2)), nn.Dense(2)])
    model.compile(optimizer="sgd", loss="cross_entropy", seed=0)
    model.build((1, 20))
    x = np.ones((1, 20), np.float32)
    function = model.predict_fn() if call == "predict_fn" else model.predict
    function(x)
    benchmark(function, x)


def test_instruction(benchmark):
    """A program of 1,000 instructions on one number each: what an instruction costs beyond its arithmetic."""
    x = pynn.tensor([1.0])

    def thousand():
        y = x
        for _ in range(1000):
            y = pynn.ops.relu(y)
        return y

    timed = Timed(thousand)
    assert len(timed) == 1000
    benchmark(timed.run)
    if benchmark.stats:  # absent with --benchmark-disable
        benchmark.extra_info["ns per instruction"] = benchmark.stats.stats.min * 1e6


@pytest.mark.parametrize("module", ["numpy", "pynn"])
def test_import(benchmark, module):
    benchmark.group = "a process that imports"
    command = [sys.executable, "-c", f"import numpy, {module}"]
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=10, warmup_rounds=1)
