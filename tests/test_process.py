"""Other processes: fork after threads have run, spawn, Ctrl-C, and an import that does nothing else."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import pynn
from pynn import nn

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def data():
    r = np.random.default_rng(0)
    return r.standard_normal((256, 784)).astype("float32"), r.integers(0, 10, 256)


def model(dtype="float32"):
    layers = [nn.Input((784,)), nn.Dense(128, activation="relu"), nn.Dropout(0.2), nn.Dense(10)]
    made = nn.Sequential(layers).astype(dtype)
    made.compile("adam", "cross_entropy", seed=0)
    return made


def digest(trained):
    return b"".join(w.tobytes() for w in trained.get_weights())


def wait_for(pid, seconds):
    """Return the exit status of a child, or kill it and return None when it hangs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def in_child(work, seconds=20.0):
    """Fork, run work() in the child, and return the bytes that it returns."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            with os.fdopen(write, "wb") as pipe:
                pipe.write(work())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        os.set_blocking(read, False)
        received, end = b"", time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                piece = pipe.read()
            except BlockingIOError:
                piece = None
            if piece == b"":
                break
            received += piece or b""
            if piece is None:
                time.sleep(0.001)
    status = wait_for(pid, max(0.5, end - time.monotonic()))
    assert status is not None, "the child hangs"
    assert status == 0, f"the child ended with status {status}"
    return received


@needs_fork
@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(("dtype", "times"), [("float32", 200), ("float64", 20)])
def test_fork_after_training_many_times(dtype, times):
    """The parent's threads are not there in the child: it must train all the same, and to the same bits."""
    pynn.set_num_threads(2)
    x, y = data()
    trained = model(dtype)
    trained.fit(x, y, batch_size=128, verbose=0)
    if sys.platform == "linux" and pynn.config.info()["openmp"]:
        assert len(os.listdir("/proc/self/task")) > 1  # the threads exist now

    def go_on():
        trained.fit(x, y, batch_size=128, verbose=0)
        return digest(trained)

    digests = {in_child(go_on) for _ in range(times)}
    assert digests == {go_on()}


@needs_fork
@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_threads_can_be_set_in_a_child():
    pynn.set_num_threads(2)
    x, y = data()
    trained = model()
    trained.fit(x, y, batch_size=128, verbose=0)

    def set_and_go_on():
        for threads in (1, 2, 4):
            pynn.set_num_threads(threads)
            assert pynn.get_num_threads() == threads
            trained.fit(x, y, batch_size=128, verbose=0)
        return digest(trained)

    got = in_child(set_and_go_on)
    for _ in range(3):
        trained.fit(x, y, batch_size=128, verbose=0)
    assert got == digest(trained)


@needs_fork
@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_parent_trains_on_after_a_fork():
    pynn.set_num_threads(2)
    x, y = data()
    one, two = model(), model()
    one.fit(x, y, batch_size=128, epochs=2, verbose=0)
    two.fit(x, y, batch_size=128, epochs=1, verbose=0)
    in_child(lambda: b"nothing")
    two.fit(x, y, batch_size=128, epochs=2, initial_epoch=1, verbose=0)
    assert digest(one) == digest(two)


@needs_fork
@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_fork_of_a_fork():
    pynn.set_num_threads(2)
    x, y = data()
    trained = model()
    trained.fit(x, y, batch_size=128, verbose=0)

    def grandchild():
        trained.fit(x, y, batch_size=128, verbose=0)
        return digest(trained)

    assert in_child(lambda: in_child(grandchild)) == grandchild()


@needs_fork
@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_two_children_at_once():
    pynn.set_num_threads(2)
    x, y = data()
    trained = model()
    trained.fit(x, y, batch_size=128, verbose=0)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        got = pool.map_async(_predict_rows, [(trained.get_weights(), x[:64])] * 4).get(30)
    assert all(np.array_equal(g, got[0]) for g in got)
    np.testing.assert_array_equal(got[0], trained.predict(x[:64]))


def _predict_rows(job):
    weights, x = job
    made = model()
    made.set_weights(weights)
    return made.predict(x)


# Processes of their own


def python(code, *arguments, check=True, env=None, timeout=60):
    """Run code in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


TRAIN = """
    import hashlib, sys
    import numpy as np
    import pynn
    from pynn import nn
    r = np.random.default_rng(0)
    x, y = r.standard_normal((256, 784)).astype("float32"), r.integers(0, 10, 256)
    model = nn.Sequential([nn.Input((784,)), nn.Dense(128, activation="relu"), nn.Dropout(0.2), nn.Dense(10)])
    model.compile("adam", "cross_entropy", seed=0)
    model.fit(x, y, batch_size=128, epochs=2, verbose=0)
    print(pynn.get_num_threads(), hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""


@pytest.mark.timeout(100)
def test_another_process_gets_the_same_bits():
    """Neither the process nor the number of threads, hash seed or environment decides; the seed does."""
    trained = model()
    trained.fit(*data(), batch_size=128, epochs=2, verbose=0)
    import hashlib

    here = hashlib.sha256(digest(trained)).hexdigest()
    for threads, hashing in ((1, "0"), (2, "1")):
        out = python(TRAIN, env={"PYNN_NUM_THREADS": str(threads), "PYTHONHASHSEED": hashing}).stdout.split()
        assert out == [str(threads), here]


SPAWNED = """
import numpy as np
from pynn import nn

r = np.random.default_rng(0)
x, y = r.standard_normal((256, 784)).astype("float32"), r.integers(0, 10, 256)
model = nn.Sequential([nn.Input((784,)), nn.Dense(128, activation="relu"), nn.Dropout(0.2), nn.Dense(10)])
model.compile("adam", "cross_entropy", seed=0)
model.fit(x, y, batch_size=128, verbose=0)
open(PATH, "wb").write(b"".join(w.tobytes() for w in model.get_weights()))
"""


@pytest.mark.timeout(120)
def test_a_spawned_process_gets_the_same_bits(tmp_path):
    made = model()
    made.fit(*data(), batch_size=128, verbose=0)
    path = tmp_path / "weights"
    # A function of this module could not be imported by the child, whatever the import mode of the tests.
    child = multiprocessing.get_context("spawn").Process(target=exec, args=(SPAWNED, {"PATH": str(path)}))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert path.read_bytes() == digest(made)


CHILD = """
    import json, sys, time
    import numpy as np
    import pynn
    from pynn import nn
    from pynn.train import Callback, EarlyStopping, LambdaCallback

    r = np.random.default_rng(0)
    x = r.standard_normal((4000, 64)).astype("float32")
    y = r.integers(0, 3, 4000)
    model = nn.Sequential([nn.Input((64,)), nn.Dense(64, activation="relu"), nn.Dense(3)])
    model.compile("adam", "cross_entropy", ["accuracy"], seed=0)

    def ready(epoch, logs):
        if epoch == 2:
            print("ready", flush=True)

    stopper = EarlyStopping(monitor="loss", patience=10**9)
    history = model.fit(x, y, batch_size=8, epochs=10**6, verbose=0,
                        callbacks=[LambdaCallback(on_epoch_end=ready), stopper])
    report = {
        "interrupted": history.interrupted,
        "epochs": len(history.epoch),
        "lengths": sorted({len(v) for v in history.history.values()}),
        "loss": history.history["loss"],
        "finite": all(bool(np.isfinite(w).all()) for w in model.get_weights()),
    }
    now = model.evaluate(x, y)["loss"]
    again = model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    report |= {
        "evaluate": now,
        "predict": model.predict(x[:2]).shape,
        "after": len(again.epoch),
        "after_interrupted": again.interrupted,
    }
    print(json.dumps(report), flush=True)
"""


@pytest.mark.timeout(90)
@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent to one process here")
@pytest.mark.parametrize("delay", [0.0, 0.013, 0.11])
def test_ctrl_c_during_fit_leaves_a_usable_model(delay):
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
        time.sleep(delay)
        child.send_signal(signal.SIGINT)
        start = time.monotonic()
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, err
    report = json.loads(out)
    assert report["interrupted"] is True
    assert report["epochs"] >= 2  # the third was about to be written down
    assert report["lengths"] == [report["epochs"]]
    assert report["loss"][-1] < report["loss"][0]
    assert report["finite"]
    assert np.isfinite(report["evaluate"])
    assert report["predict"] == [2, 3]
    assert report["after"] == 1
    assert report["after_interrupted"] is False
    assert "Traceback" not in err
    assert time.monotonic() - start < 60


@pytest.mark.timeout(60)
def test_import_has_no_side_effects(tmp_path):
    code = """
        import os, sys, threading, signal, logging, warnings, random
        import numpy as np
        np_state = np.random.get_state()[1].copy()
        state = random.getstate()
        handler = signal.getsignal(signal.SIGINT)
        environment = dict(os.environ)
        filters = list(warnings.filters)
        errors = np.geterr()
        print("-- before", flush=True)
        import pynn
        print("-- after", flush=True)
        assert (np.random.get_state()[1] == np_state).all()
        assert random.getstate() == state
        assert signal.getsignal(signal.SIGINT) is handler
        assert dict(os.environ) == environment
        assert list(warnings.filters) == filters
        assert np.geterr() == errors
        assert threading.active_count() == 1
        if os.path.isdir("/proc/self/task"):
            threads = os.listdir("/proc/self/task")
            print("threads", len(threads))
        heavy = {"scipy.linalg", "matplotlib", "sklearn", "pooch", "tqdm", "torch", "pandas", "multiprocessing"}
        print("heavy", sorted(heavy & set(sys.modules)))
        print("files", os.listdir("."))
    """
    done = python("import os, sys; os.chdir(sys.argv[1])\n" + textwrap.dedent(code), str(tmp_path), env={
        "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})  # fmt: skip
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[:2] == ["-- before", "-- after"]
    assert "heavy []" in lines
    assert "files []" in lines
    if sys.platform == "linux":
        assert "threads 1" in lines


@pytest.mark.timeout(60)
@pytest.mark.parametrize("value", ["0", "-2", "many"])
def test_bad_number_of_threads_in_the_environment(value):
    done = python("import pynn", env={"PYNN_NUM_THREADS": value}, check=False)
    assert done.returncode != 0
    assert f"PYNN_NUM_THREADS must be a positive integer. Received: '{value}'" in done.stderr


@pytest.mark.timeout(60)
def test_unknown_instruction_set_in_the_environment():
    done = python("import pynn", env={"PYNN_ISA": "avx3"}, check=False)
    assert done.returncode != 0
    assert "PYNN_ISA: unknown instruction set. Received: 'avx3'" in done.stderr


@pytest.mark.timeout(60)
def test_threads_of_python_have_a_state_of_their_own():
    """A recording or no_grad() in one thread is none in another."""
    import threading

    from pynn.core.program import record

    found = {}

    def look():
        t = pynn.tensor([1.0], requires_grad=True)
        found["grad"] = (t * 2).requires_grad
        found["value"] = (t * 2).numpy().tolist()

    with pynn.no_grad(), record() as recorder:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert found == {"grad": True, "value": [2.0]}
    assert recorder.instrs == []


@pytest.mark.timeout(60)
def test_models_train_in_two_python_threads():
    """Steps run without the GIL: two models in two threads give what they give one after the other."""
    from concurrent.futures import ThreadPoolExecutor

    x, y = data()

    def train(seed):
        made = nn.Sequential([nn.Input((784,)), nn.Dense(64, activation="relu"), nn.Dropout(0.2), nn.Dense(10)])
        made.compile("adam", "cross_entropy", seed=seed)
        made.fit(x, y, batch_size=64, epochs=3, verbose=0)
        return digest(made)

    alone = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(train, range(4))) == alone
