"""Threads: the same bits for any number of them, and every way of setting that number."""

import os
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import pynn
from pynn import config, ops
from pynn.core import _core

threaded = pytest.mark.skipif(not _core.has_threads(), reason="built without threads")


def bits_per_thread_count(f):
    """The bytes of f()'s tensors for 1, 2 and 4 threads."""
    found = []
    for n in (1, 2, 4):
        pynn.set_num_threads(n)
        found.append([t.numpy().tobytes() for t in f()])
    return found


def same_bits(f):
    one, two, four = bits_per_thread_count(f)
    return one == two == four


ISAS = _core.isa_available()


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), [(128, 784, 512), (1000, 300, 10), (37, 1100, 530), (2048, 64, 64)])
def test_dense_and_its_gradients(isa, dtype, m, k, n, rng):
    x, w, b, dy = (pynn.tensor(rng.standard_normal(s), dtype) for s in [(m, k), (k, n), (n,), (m, n)])

    def step():
        leaves = [t.detach() for t in (x, w, b)]
        for t in leaves:
            t.requires_grad = True
        y = ops.dense(*leaves, activation="tanh")
        y.backward(dy)
        return [y, *(t.grad for t in leaves)]

    with config.use_isa(isa):
        assert same_bits(step)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("m", [11, 12, 30])
def test_few_rows_with_weights_that_no_cache_holds(isa, m, rng):
    """From 12 rows on they are packed, which changes no bit: rows are computed as they are alone."""
    k, n = 700, 4600
    x, w, b = (pynn.tensor(rng.standard_normal(s), "float32") for s in [(m, k), (k, n), (n,)])
    with config.use_isa(isa):
        assert same_bits(lambda: [ops.dense(x, w, b)])
        y = ops.dense(x, w, b).numpy()
        np.testing.assert_array_equal(ops.dense(x[3:7], w, b).numpy(), y[3:7])
    np.testing.assert_allclose(y, x.numpy().astype("float64") @ w.numpy() + b.numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("ta", "tb"), [(False, False), (True, False), (False, True), (True, True)])
def test_matmul(isa, ta, tb, rng):
    from pynn.core.card import CARDS
    from pynn.core.graph import execute

    a = pynn.tensor(rng.standard_normal((400, 260) if ta else (260, 400)), "float32")
    b = pynn.tensor(rng.standard_normal((530, 400) if tb else (400, 530)), "float32")
    with config.use_isa(isa):
        assert same_bits(lambda: execute(CARDS["matmul"], (a, b), {"ta": ta, "tb": tb}))


@pytest.mark.parametrize("shape", [(1_000_003,), (1000, 1001), (3, 100_000), (100_000, 3), (50, 70, 90)])
def test_reductions(shape, rng):
    x = pynn.tensor(rng.standard_normal(shape), "float32")
    axes = [None, *range(len(shape)), *([(0, len(shape) - 1)] if len(shape) > 2 else [])]
    for axis in axes:
        assert same_bits(lambda axis=axis: [x.sum(axis), x.mean(axis), x.max(axis), x.var(axis)]), axis


def test_elementwise_and_moving(rng):
    x, y = (pynn.tensor(rng.standard_normal((700, 900)), "float32") for _ in range(2))
    row, column = x[0], x[:, :1]
    index = pynn.tensor(rng.integers(0, 700, 5000))
    assert same_bits(
        lambda: [
            x + y, x * row, x / column, row - x, ops.maximum(x, y), x < y, ops.where(x < y, x, y), x.exp(), x.tanh(),
            ops.gelu(x), x**y.relu(), x.T, x[::-1, ::3], ops.expand(row, (700, 900)), x.astype("float64"), x[index],
            ops.concat([x, y], 1), x.argmax(0), x.argmax(1),
        ]
    )  # fmt: skip


def test_gradients_of_gathers_and_broadcasts(rng):
    data = rng.standard_normal((3000, 65)).astype(np.float32)
    index = pynn.tensor(rng.integers(0, 3000, 20_000))

    def step():
        x, row = pynn.tensor(data, requires_grad=True), pynn.tensor(data[0], requires_grad=True)
        ops.gather(x * row, index).square().sum().backward()
        return [x.grad, row.grad]

    assert same_bits(step)


@threaded
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts the threads in /proc")
def test_large_work_really_uses_threads_and_small_work_does_not():
    code = """
import os, numpy as np, pynn
def count(): return len(os.listdir("/proc/self/task"))
pynn.set_num_threads(3)
before = count()
x = pynn.tensor(np.ones((8, 8), np.float32))
(x @ x).exp().sum()
assert count() == before, "small work started threads"
y = pynn.tensor(np.ones(2_000_000, np.float32)).exp()
assert count() == before + 2, (before, count())
print("well")
"""
    assert python(code).stdout == "well\n"


# The number


def test_set_and_get():
    for n in (1, 2, 3, 7):
        pynn.set_num_threads(n)
        assert pynn.get_num_threads() == (n if _core.has_threads() else 1)
    pynn.set_num_threads(None)
    default = pynn.get_num_threads()
    assert 1 <= default <= (os.cpu_count() or 1)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True, False, np.array([2]), float("nan")])
def test_bad_numbers_are_refused(n):
    before = pynn.get_num_threads()
    with pytest.raises(ValueError, match=r"\[set_num_threads\] expected a positive integer.* or None\. Received: "):
        pynn.set_num_threads(n)
    assert pynn.get_num_threads() == before


@threaded
def test_more_threads_than_work():
    pynn.set_num_threads(64)
    x = np.arange(100_001, dtype=np.float32)
    assert np.array_equal(pynn.tensor(x).square().numpy(), x * x)


def python(code, **env):
    """Run code in a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYNN_", "OMP_"))} | env,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


SHOW = "import pynn; print(pynn.get_num_threads(), pynn.config.info()['isa'])"


@threaded
@pytest.mark.parametrize("n", [1, 2, 4])
def test_the_environment_sets_the_number(n):
    assert python(SHOW, PYNN_NUM_THREADS=str(n)).stdout.split()[0] == str(n)


@pytest.mark.parametrize("n", ["0", "-1", "two", "1.5"])
def test_a_bad_number_in_the_environment(n):
    done = python(SHOW, PYNN_NUM_THREADS=n)
    assert done.returncode != 0
    assert f"PYNN_NUM_THREADS must be a positive integer. Received: {n!r}." in done.stderr


@threaded
def test_openmp_s_own_setting_is_a_default():
    assert python(SHOW, OMP_NUM_THREADS="1").stdout.split()[0] == "1"


def test_the_default_is_of_cores_made_for_heavy_work(monkeypatch):
    """Where the system tells them (macOS, Windows); what limits the process goes on top."""
    monkeypatch.delenv("PYNN_NUM_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(config.os, "sched_getaffinity", lambda pid: range(8), raising=False)
    monkeypatch.setattr(config, "_first_line", lambda path: "")  # no /sys, no /proc
    assert config._default_threads() == 8
    monkeypatch.setattr(config._core, "performance_cores", lambda: 6)
    assert config._default_threads() == 6
    monkeypatch.setattr(config._core, "has_openmp", lambda: False)
    for limit, expected in (("2", 2), ("3,2", 3), ("64", 6), ("", 6), ("0", 6), ("many", 6)):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert config._default_threads() == expected
    monkeypatch.setattr(config, "_first_line", lambda path: "150000 100000" if path.endswith("cpu.max") else "")
    assert config._default_threads() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity on this system")
def test_affinity_is_obeyed():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + SHOW
    assert python(code).stdout.split()[0] == "1"


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_sets_the_instruction_set(isa):
    assert python(SHOW, PYNN_ISA=isa).stdout.split()[1] == isa


def test_a_bad_instruction_set_in_the_environment():
    done = python(SHOW, PYNN_ISA="avx3")
    assert done.returncode != 0
    assert "unknown instruction set. Received: 'avx3'. help: did you mean 'avx2'?" in done.stderr


def test_an_instruction_set_of_another_processor():
    away = "avx2" if "neon" in ISAS else "neon"
    said = f"expected an instruction set that this machine and this build have. Received: '{away}'. help: available are"
    done = python(SHOW, PYNN_ISA=away)
    assert done.returncode != 0
    assert f"PYNN_ISA: {said}" in done.stderr
    before = config.info()
    with pytest.raises(ValueError, match=re.escape(f"[use_isa] {said}")), config.use_isa(away):
        pass
    assert config.info() == before


def test_use_isa():
    before = config.isa()
    with config.use_isa("generic"):
        assert config.isa() == 0
    assert config.isa() == before
    with pytest.raises(ValueError, match="unknown instruction set"), config.use_isa("sse"):
        pass
    assert config.isa() == before


@pytest.mark.skipif(not _core.has_openmp(), reason="built without OpenMP")
def test_threadpoolctl_is_obeyed():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    pynn.set_num_threads(2)
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert pynn.get_num_threads() == 1
        assert ops.exp(np.zeros(200_000, np.float32)).numpy().min() == 1
    assert pynn.get_num_threads() == 2


def test_several_python_threads_compute_at_once(rng):
    """Kernels run without the interpreter lock and share nothing."""
    x = rng.standard_normal((300, 400)).astype(np.float32)
    expected = ops.dense(x, x.T.copy(), activation="tanh").numpy()
    wrong = []

    def work():
        for _ in range(20):
            if not np.array_equal(ops.dense(x, x.T.copy(), activation="tanh").numpy(), expected):
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong
