"""Manners: quotas and affinity, other libraries in the process, several callers, workers of other programs, rest."""

import importlib.util
import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import pynn
from pynn import config, nn

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
N = 256


def python(code, *arguments, timeout=240, **env):
    """Run code in a fresh interpreter; what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True, text=True, timeout=timeout, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYNN_", "OMP_", "MKL_"))} | env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# Quotas and affinity


def quota(monkeypatch, folder, **files):
    """The quota of a control group whose files say this."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    read = config._first_line
    monkeypatch.setattr(config, "_first_line", lambda path: read(path.replace("/sys/fs/cgroup", str(folder))))
    return config._cgroup_quota()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200000 100000", 2), ("250000 100000\n", 2), ("50000 100000", 1), ("1600000 100000", 16), ("10000 10000", 1)],
)
def test_the_quota_of_a_second_version_group(text, expected, monkeypatch, tmp_path):
    assert quota(monkeypatch, tmp_path, cpu_dot_max=text) == expected


@pytest.mark.parametrize("text", ["max 100000", "", "100000", "100000 0", "x y", "-1 100000"])
def test_no_quota_of_a_second_version_group(text, monkeypatch, tmp_path):
    assert quota(monkeypatch, tmp_path, cpu_dot_max=text) > 1000


@pytest.mark.parametrize(
    ("us", "period", "expected"), [("300000", "100000", 3), ("50000", "100000", 1), ("-1", "100000", 1 << 20)]
)
def test_the_quota_of_a_first_version_group(us, period, expected, monkeypatch, tmp_path):
    files = {"cpu__cpu_dot_cfs_quota_us": us, "cpu__cpu_dot_cfs_period_us": period}
    assert quota(monkeypatch, tmp_path, **files) == expected


def test_without_groups_there_is_no_quota(monkeypatch, tmp_path):
    assert quota(monkeypatch, tmp_path) > 1000


def test_the_default_is_the_least_of_quota_and_cores(monkeypatch, tmp_path):
    monkeypatch.delenv("PYNN_NUM_THREADS", raising=False)
    alone = config._default_threads()
    quota(monkeypatch, tmp_path, cpu_dot_max="100000 100000")
    assert config._default_threads() == 1
    quota(monkeypatch, tmp_path, cpu_dot_max="99900000 100000")
    assert config._default_threads() == alone
    monkeypatch.setenv("PYNN_NUM_THREADS", "5")  # whoever asks gets them
    assert config._default_threads() == 5


AFFINITY = """
    import os, sys
    allowed = set(sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
    os.sched_setaffinity(0, allowed)
    import numpy as np
    import pynn
    assert pynn.get_num_threads() <= len(allowed), pynn.get_num_threads()
    pynn.set_num_threads(3)
    for _ in range(20):
        pynn.tensor(np.ones(2_000_000, np.float32)).exp()
    threads = os.listdir("/proc/self/task")
    assert len(threads) >= 3, threads
    for thread in threads:
        assert os.sched_getaffinity(int(thread)) <= allowed, thread
    assert os.sched_getaffinity(0) == allowed
"""


@linux
@pytest.mark.parametrize("cores", [1, 2])
def test_threads_stay_on_the_processors_that_the_process_may_use(cores):
    python(AFFINITY, str(cores), OPENBLAS_NUM_THREADS="1")


# Rest

REST = """
    import os, time
    import numpy as np
    import pynn

    def work():
        for _ in range(30):
            pynn.tensor(np.ones(2_000_000, np.float32)).exp()

    def workers():
        return {t for t in os.listdir("/proc/self/task") if int(t) != os.getpid()} - before

    def ticks():
        fields = [open(f"/proc/self/task/{t}/stat").read().rsplit(")", 1)[1].split() for t in workers()]
        return [f[0] for f in fields], [int(f[11]) + int(f[12]) for f in fields]

    before = set(os.listdir("/proc/self/task"))
    pynn.set_num_threads(4)
    work()
    assert len(workers()) == 3
    for _ in range(100):  # until they sleep, on a busy machine too
        time.sleep(0.02)
        states, spent = ticks()
        if set(states) == {"S"}:
            break
    time.sleep(0.5)
    assert ticks() == (["S"] * 3, spent), (spent, ticks())
    work()  # and they wake again
    assert sum(ticks()[1]) >= sum(spent)
"""


@linux
def test_workers_sleep_between_calls():
    python(REST, OPENBLAS_NUM_THREADS="1")


# On one processor workers are interrupted inside their chunks, here long ones, and the caller has to wait for them:
# asleep, not spinning or yielding, which the system counts as no sleep.
WAITING = """
    import os, resource, threading
    import numpy as np
    import pynn

    pynn.set_num_threads(1)
    x = pynn.tensor(np.random.default_rng(0).standard_normal((1024, 1024), np.float32))
    expected = (x @ x).numpy().tobytes()

    def slept():
        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw

    def work(jobs):
        before = slept()
        for _ in range(jobs):
            assert (x @ x).numpy().tobytes() == expected
        return slept() - before

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pynn.set_num_threads(4)
"""

SLEEPS = """
    assert any(work(1) for _ in range(200))
"""

FORKS_WHILE_WAITING = """
    go_on = True

    def caller():
        while go_on:
            work(1)

    thread = threading.Thread(target=caller)
    thread.start()
    for _ in range(30):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                work(1)
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    go_on = False
    thread.join()
"""


@linux
@pytest.mark.timeout(240)
def test_the_caller_sleeps_while_workers_finish():
    python(WAITING + SLEEPS, OPENBLAS_NUM_THREADS="1")


@linux
@pytest.mark.timeout(240)
def test_a_child_works_that_was_forked_while_another_thread_waits_for_workers():
    python(WAITING + FORKS_WHILE_WAITING, OPENBLAS_NUM_THREADS="1")


# Several callers


def perceptron(seed):
    layers = [nn.Dense(N, activation="relu"), nn.Dropout(0.2), nn.Dense(10)]
    model = nn.Sequential([nn.Input((N,)), *layers], seed=seed)
    model.compile("adam", "cross_entropy", seed=seed)
    return model


def trained(seed):
    r = np.random.default_rng(0)
    x, y = r.standard_normal((512, N)).astype("float32"), r.integers(0, 10, 512)
    model = perceptron(seed)
    model.fit(x, y, batch_size=128, epochs=3, verbose=0)
    return b"".join(w.tobytes() for w in model.get_weights())


def native_threads(callers=()):
    """The threads of this process that Python did not start; one that is ending counts as Python's still."""
    started = {t.native_id for t in (*threading.enumerate(), *callers)}
    return {int(t) for t in os.listdir("/proc/self/task")} - started


def at_once(work, count):
    """work(0), work(1), ... at once: the results, and all threads meanwhile that Python did not start."""
    results, start = [None] * count, threading.Barrier(count)

    def one(k):
        start.wait()
        results[k] = work(k)

    callers = [threading.Thread(target=one, args=(k,)) for k in range(count)]
    for t in callers:
        t.start()
    seen = set()
    while any(t.is_alive() for t in callers):
        seen |= native_threads(callers)
        time.sleep(0.001)
    while {t.native_id for t in callers} & {int(t) for t in os.listdir("/proc/self/task")}:
        time.sleep(0.001)  # a thread that Python has done with may still be there for the system to end
    return results, seen


@linux
@pytest.mark.timeout(120)
def test_callers_share_the_threads():
    """Two that train and eight that predict get what one alone gets, and no threads of their own."""
    pynn.set_num_threads(3)
    alone = [trained(seed) for seed in range(2)]
    threads = native_threads()
    together, seen = at_once(trained, 2)
    assert together == alone
    assert seen == threads
    model, x = perceptron(0), np.random.default_rng(1).standard_normal((500, N)).astype("float32")
    model.build((1, N))
    f = model.predict_fn()
    expected = f(x)
    results, seen = at_once(lambda k: all(np.array_equal(f(x), expected) for _ in range(20)), 8)
    assert all(results)
    assert seen == threads


@linux
@pytest.mark.timeout(120)
def test_the_last_of_many_callers_ends_and_its_work_with_it():
    """Threads of the caller come and go; the workers stay as many as they are."""
    pynn.set_num_threads(3)
    expected = trained(4)
    threads = native_threads()
    for _ in range(5):
        results, seen = at_once(lambda k: trained(4), 3)
        assert set(results) == {expected}
        assert seen == threads


JOBLIB = """
    import hashlib, sys
    from joblib import Parallel, delayed

    def trained(seed):
        import hashlib
        import numpy as np
        import pynn
        from pynn import nn
        r = np.random.default_rng(0)
        x, y = r.standard_normal((256, 784)).astype("float32"), r.integers(0, 10, 256)
        model = nn.Sequential([nn.Input((784,)), nn.Dense(128, activation="relu"), nn.Dense(10)], seed=seed)
        model.compile("adam", "cross_entropy", seed=seed)
        model.fit(x, y, batch_size=128, verbose=0)
        return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest(), pynn.get_num_threads()

    here = [trained(seed)[0] for seed in range(3)]  # the parent's threads exist
    for backend in sys.argv[1:]:
        got = Parallel(n_jobs=2, backend=backend)(delayed(trained)(seed) for seed in range(3))
        assert [bits for bits, _ in got] == here, backend
        if backend == "loky":  # joblib divides the processors among its processes, by OpenMP's variable
            assert all(threads <= max(1, __import__("os").cpu_count() // 2) for _, threads in got), got
"""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib_s_workers(backend):
    pytest.importorskip("joblib")
    if backend == "multiprocessing" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    python(JOBLIB, backend)


# Other libraries

BESIDE = """
    import importlib, os, sys
    import numpy as np
    from threadpoolctl import threadpool_info

    counts, names = {}, sys.argv[1].split(",")

    def look(when):
        found = {lib["filepath"]: lib["num_threads"] for lib in threadpool_info()}
        if "torch" in sys.modules:
            found["torch"] = sys.modules["torch"].get_num_threads()
        for library, now in found.items():
            assert counts.setdefault(library, now) == now, (library, when, counts[library], now)

    def use_sklearn():
        from sklearn.ensemble import HistGradientBoostingClassifier
        x = np.random.default_rng(0).standard_normal((600, 8))
        HistGradientBoostingClassifier(max_iter=2).fit(x, x[:, 0] > 0)

    def use_numpy():
        np.ones((300, 300)) @ np.ones((300, 300))

    def use_torch():
        import torch
        x = torch.ones(400, 400, requires_grad=True)
        (x @ x).relu().sum().backward()

    def use_pynn():
        import pynn
        default = pynn.get_num_threads()
        x = np.random.default_rng(0).standard_normal((400, 400)).astype("float32")
        bits = set()
        for threads in (1, 3, None):
            pynn.set_num_threads(threads)
            look("after set_num_threads")
            bits |= {(pynn.tensor(x, dtype) @ pynn.tensor(x, dtype)).numpy().tobytes() for dtype in ("float32",)}
            pynn.tensor(x, "float64") @ pynn.tensor(x, "float64")
        assert len(bits) == 1
        assert pynn.get_num_threads() == default

    for name in names:
        importlib.import_module(name)
        look(f"after import {name}")
    uses = {"numpy": use_numpy, "sklearn": use_sklearn, "torch": use_torch, "pynn": use_pynn}
    for name in [*names, *reversed(names)]:
        uses[name]()
        look(f"after {name} was used")
    print(*sorted(f"{os.path.basename(k)}={v}" for k, v in counts.items()))
"""


def installed(*names):
    return [pytest.importorskip(name) for name in ("threadpoolctl", *names)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("order", [",".join(order) for order in itertools.permutations(["numpy", "pynn", "sklearn"])])
def test_beside_numpy_and_sklearn_in_every_order(order):
    installed("sklearn")
    python(BESIDE, order)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("order", ["pynn,torch,sklearn", "sklearn,torch,pynn"])
def test_beside_torch(order):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    installed("sklearn")
    found = dict(word.split("=") for word in python(BESIDE, order).split())
    alone = python("import torch; print(torch.get_num_threads())")
    assert found["torch"] == alone.strip()


def test_weights_of_a_model_that_begins_with_input_are_there_before_it_is_used():
    def made():
        return nn.Sequential([nn.Input((3,)), nn.Dense(4), nn.Dense(2)], seed=1)

    model, other = made(), made()
    assert [w.shape for w in model.parameters()] == [(3, 4), (4,), (4, 2), (2,)]
    assert [name for name, _ in made().named_parameters()] == ["layers.0.w", "layers.0.b", "layers.1.w", "layers.1.b"]
    other.build((1, 3))
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert nn.Sequential([nn.Dense(2)]).parameters() == []
