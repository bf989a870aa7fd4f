"""Device kernels (csrc/cuda) on the CPU, through their shim: the bits of the CPU's tables, in any order of threads."""

import re
import runpy
from pathlib import Path

import cuda_shim
import numpy as np
import pytest

from pynn import testing
from pynn.core import graph

ROOT = Path(__file__).parents[1]
bits = runpy.run_path(str(ROOT / "csrc" / "cuda" / "check.py"))["bits"]
QUICK = (
    "add", "where", "sum", "max", "argmax", "relu", "gelu", "tanh", "pow", "softmax", "log_softmax", "cross_entropy",
    "mse", "bce", "matmul", "dense", "dropout", "normal", "transpose", "concat", "take", "embedding",
)  # fmt: skip


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    if cuda_shim.compiler() is None:
        pytest.skip("no C++ compiler")
    return cuda_shim.Device(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def build():
    return runpy.run_path(str(ROOT / "csrc" / "cuda" / "build.py"))


class Beside:
    """Runs on the device what the CPU runs, and compares the operands afterwards."""

    def __init__(self, device, run):
        self.device, self.run = device, run
        self.compared, self.different = {}, []

    def __call__(self, card, low, outs, args, salt):
        tensors = (*outs, *args)
        dtype = low.dtype or next(x.dtype for x in (*args, *outs) if x is not None)
        if not self.device.has(card.kernel, dtype):
            self.run(card, low, outs, args, salt)
            return
        before = [None if t is None else np.array(t.view()) for t in tensors]
        first = {id(t.buffer): i for i, t in reversed(list(enumerate(tensors))) if t is not None}
        self.run(card, low, outs, args, salt)
        if any(t is not None and tensors[first[id(t.buffer)]].nbytes != t.nbytes for t in tensors):
            return  # views that overlap
        for order in (0, 1):
            own = [None if x is None else x.copy() for x in before]
            own = [None if t is None else own[first[id(t.buffer)]] for t in tensors]
            status = self.device.run(card.kernel, dtype, own, low.dims, low.pars, low.scratch, salt, order)
            if status == cuda_shim.NOWHERE:
                return
            self.compared[card.kernel] = self.compared.get(card.kernel, 0) + 1
            same = all(t is None or bits(t.view()) == bits(x.view(t.dtype)) for t, x in zip(tensors, own, strict=True))
            if status or not same:
                self.different.append(f"{card.kernel} {low.dims[:8]} in order {order}, status {status}")


def beside(monkeypatch, device, names):
    every = testing.all_ops()
    assert set(names) <= set(every)
    with monkeypatch.context() as patch:
        patch.setattr(graph, "_run", Beside(device, graph._run))
        for name in names:
            for sample in testing.samples(every[name]):
                testing._Case(every[name], sample, np.dtype("float32")).run()
        return graph._run


def test_the_bits_are_those_of_the_cpu(device, monkeypatch):
    found = beside(monkeypatch, device, QUICK)
    assert not found.different
    assert {"add_fwd", "sum_fwd", "softmax_bwd", "cross_entropy_fwd", "matmul", "dense_bwd"} <= set(found.compared)


def test_wrong_bits_are_noticed(device, monkeypatch):
    run = device.run

    def less(kernel, dtype, operands, *rest):
        status = run(kernel, dtype, operands, *rest)
        operands[0] += 1
        return status

    monkeypatch.setattr(device, "run", less)
    assert beside(monkeypatch, device, ["relu"]).different


def test_an_index_outside_stops_before_anything_is_written(device):
    z, t = np.ones((3, 4), np.float32), np.array([0, 4, 1], np.int32)
    loss, p = np.full(3, 7, np.float32), np.full((3, 4), 7, np.float32)
    assert device.run("cross_entropy_fwd", "float32", [loss, p, z, t], (3, 4, 4)) == 2
    assert (loss == 7).all()
    assert (p == 7).all()
    y, bad, w = np.full((3, 2), 7, np.float32), np.zeros(2, np.int64), np.ones((5, 2), np.float32)
    ids = np.array([1, 9, -3], np.int64)
    assert device.run("lookup", "float32", [y, bad, w, ids], (5, 3, 8, 0)) == 2
    assert (y == 7).all()
    assert bad.tolist() == [1, 9]


RACE = """
#include "shim_table.cpp"
extern "C" __global__ void race(const pn_instr I, int, int *) { ((float *)I.arg[0])[0] = (float)threadIdx.x; }
extern "C" __global__ void barrier(const pn_instr I, int, int *) {
    __shared__ float all[256];
    all[threadIdx.x] = (float)(threadIdx.x + I.dim[1]);
    if (!I.dim[0]) __syncthreads();
    ((float *)I.arg[0])[threadIdx.x] = all[255 - threadIdx.x];
}
extern "C" int run_one(const pn_instr *I, int which) {
    launched l = {which ? barrier : race, I, 0, 0};
    shim_launch(1, 256, which, pn_shim_order, run_thread, &l);
    return 0;
}
"""


def test_another_order_shows_races_and_missing_barriers(device, tmp_path):
    (tmp_path / "race.cpp").write_text(RACE)
    other = cuda_shim.Device(tmp_path, tmp_path / "race.cpp")

    def run(which, order, without=0, plus=0):
        y = np.full(256, -1, np.float32)
        instr = cuda_shim.Instr()
        instr.arg[0], instr.dim[0], instr.dim[1] = y.ctypes.data, without, plus
        cuda_shim.ctypes.c_int.in_dll(other.library, "pn_shim_order").value = order
        other.library.run_one(cuda_shim.ctypes.byref(instr), which)
        return y.tolist()

    assert run(0, 0) != run(0, 1)
    found = []
    for order in (0, 1):
        assert run(1, order, plus=1000) == list(range(1255, 999, -1))  # which shared memory holds afterwards
        found.append(run(1, order, without=1))
    assert found[0] != found[1]


def test_the_lists_come_from_the_sources(build):
    every, device = build["kernels"]()
    assert device < every
    assert {"relu_fwd", "matmul", "adam_step", "lookup"} <= device
    page = (ROOT / "docs" / "guide" / "cuda.md").read_text()
    without = re.search(r"<!-- without -->\n(.*?)\n<!-- end -->", page, re.DOTALL).group(1)
    assert set(re.findall(r"`(\w+)`", without)) == every - device


def test_both_lists_of_products_are_one():
    listed = re.search(r"PRODUCTS\(X\) (.*?)\n\n", (ROOT / "csrc/cuda/kernels.def").read_text(), re.DOTALL).group(1)
    programs = (cuda_shim.PACKAGE / "programs.py").read_text()
    used = re.search(r"^PRODUCTS = \{(.*?)\}", programs, re.DOTALL | re.MULTILINE).group(1)
    assert set(re.findall(r"X\((\w+)\)", listed)) == set(re.findall(r'b"(\w+)"', used))


def test_no_sum_is_atomic(build, monkeypatch, tmp_path):
    assert build["atomics"]() == []
    (tmp_path / "one.h").write_text("atomicAdd(&x, 1.0f); atomicMin(p, 1);")
    monkeypatch.setitem(build["atomics"].__globals__, "HERE", tmp_path)
    assert build["atomics"]() == ["one.h: atomicAdd"]


def test_each_gpu_has_code_of_the_newest_ptx_that_it_takes(build):
    assert build["targets"]([75, 80, 86, 121]) == {75: ["sm_75"], 80: ["sm_80", "sm_86", "sm_121", "compute_80"]}
    assert build["targets"]([75]) == {75: ["sm_75", "compute_75"]}


def test_forbidden_ptx_is_found(build, tmp_path):
    with pytest.raises(FileNotFoundError, match="no PTX"):
        build["forbidden"](tmp_path)
    (tmp_path / "kernels.compute_75.ptx").write_text("fma.rn.f32 %f1, %f2;\nred.shared.add.u32 [%r1], 1;")
    assert build["forbidden"](tmp_path) == []
    (tmp_path / "kernels.compute_80.ptx").write_text("ex2.approx.f32 %f1, %f2;\nadd.ftz.f32\natom.global.add.f32 %f1")
    assert len(build["forbidden"](tmp_path)) == 3


SAID = """ptxas info    : Compiling entry function 'matmul' for 'sm_80'
ptxas info    : Function properties for matmul
    8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 72 registers, used 1 barriers, 8704 bytes smem, 1088 bytes cmem[0]
ptxas info    : Compiling entry function 'copy' for 'sm_80'
ptxas info    : Function properties for copy
    0 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 20 registers, used 0 barriers, 1088 bytes cmem[0]
"""


def test_spills_of_a_large_kernel_fail(build, capsys):
    rows = build["table"](SAID)
    assert rows == {("matmul", 80): (72, 8, 8, 8704), ("copy", 80): (20, 0, 16, 0)}
    assert build["report"](rows) == ["matmul for sm_80 spills 8 bytes"]
    assert build["report"]({("matmul_high", 80): (72, 0, 8, 0)}) == ["matmul_high for sm_80 spills 8 bytes"]
    assert "72 (8 stack, 8 spilled, 8704 shared)" in capsys.readouterr().out
