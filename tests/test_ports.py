"""The witness of the ports (tests/ports): its cases reach every kernel in C, and a difference needs a reason."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from pynn.core import _core

PORTS = Path(__file__).parent / "ports"


def loaded(name):
    loader = importlib.machinery.SourceFileLoader(f"ports_{Path(name).stem}", str(PORTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def ports(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # `run` has no suffix
    return loaded


def test_every_kernel_in_c_has_a_case(ports):
    record = ports("record.py")
    names = record.kernels()
    assert set(names) <= set(_core.kernel_names())
    assert {"relu_fwd", "relu_bwd", "matmul", "adam_step", "lookup", "floor_fwd"} <= set(names)
    with record.noting(record.Cases(set(names))) as cases:
        record.record(cases, stretches=False)
    assert set(names) - {name for name, _ in cases.found} == set()
    assert {dtype for name, dtype in cases.found if name == "sum_fwd"} >= {np.dtype("float32"), np.dtype("float64")}
    assert not cases.overlapping


def test_recording_leaves_nothing_behind(ports):
    record = ports("record.py")
    before = record.graph._run, record.testing.LARGE, record.config.get_num_threads()
    with pytest.raises(KeyError), record.noting(record.Cases(set())):
        raise KeyError
    assert (record.graph._run, record.testing.LARGE, record.config.get_num_threads()) == before


def test_a_difference_without_a_reason_fails(ports, capsys):
    run = ports("run")
    reference = {("copy", "float32", "1"): "a", ("copy", "float32", "2"): "b"}
    found = {("native", "avx512"): reference, ("arm", "neon"): {**reference, ("copy", "float32", "2"): "c"}}
    rows = run.compare(found, reference)
    assert run.report(rows, ("native", "avx512"), False) == 1
    assert "! copy float32: 1 of 2 differ" in capsys.readouterr().out
    assert run.report({("native", "avx512"): rows["native", "avx512"]}, ("native", "avx512"), False) == 0


def test_what_is_missing_is_named(ports, monkeypatch):
    run = ports("run")
    by_name = {port.name: port for port in run.PORTS}
    monkeypatch.setattr(run.shutil, "which", lambda name: None)
    assert run.missing(by_name["native"]) == "no C compiler"
    monkeypatch.setattr(run, "compiler_of", lambda port: ["cc"])
    assert run.missing(by_name["windows"]) == "no wine"
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(run, "ROOTS", ())
    assert "libc6-arm64-cross" in run.missing(by_name["aarch64-glibc"])
    assert run.missing(by_name["aarch64-musl"]) == ""
