"""Several processes that train together over MPI: the same bits for any number, and an end to all if one fails."""

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import pynn
from pynn.distributed.exchange import merged, total_of
from pynn.distributed.shards import Shards
from pynn.errors import DataError, ShapeError
from pynn.ops.segments import in_order

HERE = Path(__file__).parent
BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
HAS_MPI = MPIEXEC is not None and importlib.util.find_spec("mpi4py") is not None
needs_mpi = pytest.mark.skipif(not HAS_MPI, reason='needs mpi4py and mpiexec: pip install "pynn-dl[mpi]"')


def start(ranks, *arguments, **environment):
    """Start a job of tests/jobs.py; of 0 ranks, alone."""
    launcher = [MPIEXEC, "-n", str(ranks)] if ranks else []
    settings = {"PYNN_NUM_THREADS": "1", "PYNN_DEADLINE": "20", "ALONE": "0" if ranks else "1", **environment}
    return subprocess.Popen(
        [*launcher, sys.executable, "-P", str(HERE / "jobs.py"), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **settings},
    )  # fmt: skip


def run(ranks, *arguments, **environment):
    """Return what a job told."""
    job = start(ranks, *arguments, **environment)
    out, errors = job.communicate(timeout=120)
    assert job.returncode == 0, errors
    return json.loads(out)


def failed(ranks, *arguments, **environment):
    """Return what a job that has to fail wrote."""
    job = start(ranks, *arguments, **environment)
    out, errors = job.communicate(timeout=120)
    assert job.returncode != 0, out
    return errors


@pytest.fixture(scope="module")
def of_one():
    return run(1, "bits")


@needs_mpi
def test_one_rank_gives_the_bits_of_accumulate(of_one):
    alone = run(0, "bits")
    for name in alone.keys() - {"on batches"}:  # single batches are not cut without ranks
        assert of_one[name] == alone[name]


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_the_same_bits_for_any_number_of_ranks(ranks, of_one):
    assert run(ranks, "bits") == of_one


@needs_mpi
def test_a_checkpoint_goes_on_with_another_number_of_ranks_to_the_same_bits(tmp_path):
    assert run(4, "cut", tmp_path, 31) == "cut"
    shutil.copytree(tmp_path, tmp_path / "again")
    expected = run(0, "whole")
    assert run(2, "resumed", tmp_path) == expected
    assert run(0, "resumed", tmp_path / "again") == expected


@needs_mpi
def test_so_does_one_of_which_each_rank_keeps_a_share_of_the_slots(tmp_path):
    assert run(4, "cut", tmp_path, 31, "large") == "cut"
    shutil.copytree(tmp_path, tmp_path / "again")
    expected = run(0, "whole", "large")
    assert run(2, "resumed", tmp_path, "large") == expected
    assert run(0, "resumed", tmp_path / "again", "large") == expected


@needs_mpi
def test_each_rank_keeps_its_share_of_the_slots_and_the_bits_are_the_same():
    """With every kind of rule; one that reads the shape of a parameter keeps its slots whole."""
    expected, whole = run(0, "slots")
    for ranks in (1, 2, 4):
        found, taken = run(ranks, "slots")
        assert found == expected
        for rule, nbytes in taken.items():
            share = whole[rule] if rule == "normed" else whole[rule] / ranks
            assert abs(nbytes - share) <= (1 << 17 if rule == "clipped" else 256)  # of much, at a sum of squares


@needs_mpi
def test_rank_0_alone_saves_what_all_keep_a_share_of(tmp_path):
    told = []
    for ranks in (0, 2, 4):
        (tmp_path / str(ranks)).mkdir()
        told.append(run(ranks, "saving", tmp_path / str(ranks)))
    assert len({digest for _, digest in told[0]}) > 4
    assert told[1] == told[2] == told[0]


@needs_mpi
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("other", r"rank 1 \(.* waited 3 s for the slots of the optimizer from rank 0 .* predict and save"),
        ("changed", r"rank 0 \(.* asked for the slots of the optimizer, which rank 1 \(.* has changed since"),
    ],
)
def test_one_rank_alone_that_asks_for_slots_ends_all(what, said):
    assert re.search(said, failed(2, "lonely", what, PYNN_DEADLINE="3"))


@needs_mpi
def test_slots_that_differ_are_found_where_each_rank_keeps_a_share():
    assert re.search(r"the same slots of the optimizer on all ranks.* rank 1 \(host", failed(2, "given"))


@needs_mpi
def test_files_of_which_each_rank_reads_its_rows(tmp_path):
    import jobs

    for i, rows in enumerate((range(200), range(200, 210), range(210, 603))):
        np.save(tmp_path / f"x-{i}.npy", jobs.X[rows])
        np.save(tmp_path / f"y-{i}.npy", jobs.Y[rows])
    assert run(2, "shards", tmp_path) == run(0, "shards", tmp_path)


@needs_mpi
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_rank_that_is_killed_or_stopped_ends_all(number, tmp_path):
    path = tmp_path / "pids"
    job = start(2, "endless", PIDS=str(path), PYNN_DEADLINE="3")
    while not (path.exists() and path.read_text().endswith("\n")) and job.poll() is None:
        time.sleep(0.05)
    pid = path.read_text().split()[1]
    begun = time.monotonic()
    os.kill(int(pid), number)
    _, errors = job.communicate(timeout=60)
    assert time.monotonic() - begun < 30
    assert job.returncode != 0
    assert f"pid {pid})" in errors  # the rank was named at the beginning
    named = f"rank 1 (host {os.uname().nodename}, pid {pid})"
    assert f"from {named}" in errors or re.search(rf"{re.escape(named)}.* has ended before the job did", errors)


@needs_mpi
@pytest.mark.parametrize(
    ("where", "said"),
    [("before", "wait_until_all_ranks_have_begun"), ("after", "was stopped at the end; all ranks end")],
)
def test_a_rank_that_is_stopped_outside_of_training_ends_all(where, said):
    begun = time.monotonic()
    errors = failed(2, "stopping", where, PYNN_DEADLINE="2", PYNN_BEGINNING="4")
    assert time.monotonic() - begun < 30
    assert said in errors
    assert where == "before" or "pynn: rank 1 (host" in errors


@needs_mpi
def test_recipes_by_ranks_write_once_and_name_a_rank_that_was_killed(tmp_path):
    def command(ranks, epochs):
        options = ["--ranks", str(ranks), "--epochs", str(epochs), "--json", str(tmp_path / f"{ranks}.json")]
        return [sys.executable, "-P", "-m", "pynn", "run", "digits", *options]

    environment = {**os.environ, "PYNN_NUM_THREADS": "1"}
    results = []
    for ranks in (1, 2):
        done = subprocess.run(command(ranks, 1), capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("test accuracy") == 1
        results.append(json.loads((tmp_path / f"{ranks}.json").read_text())["test"])
    assert results[0] == results[1]
    job = subprocess.Popen(
        command(2, 1_000_000), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    pid = re.search(r"rank 1 \(host [^,]+, pid (\d+)\)", job.stderr.readline())[1]
    while "epoch" not in job.stdout.readline():
        pass
    os.kill(int(pid), signal.SIGKILL)
    _, errors = job.communicate(timeout=60)
    assert job.returncode != 0
    assert f"rank 1 (host {os.uname().nodename}, pid {pid}) has ended before the job did" in errors
    refused = subprocess.run(command(3, 1), capture_output=True, text=True, env=environment, check=False)
    assert refused.returncode == 2
    assert "help: --segments 6" in refused.stderr


@needs_mpi
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raise", "trouble of one rank alone"),
        ("leave", r"rank 1 \(.* gives the end of the script, and rank 0"),
    ],
)
def test_an_error_or_the_end_of_one_rank_ends_all(how, said):
    assert re.search(said, failed(2, "endless", how, PYNN_DEADLINE="3"))


@needs_mpi
def test_a_rank_that_runs_something_else_is_named():
    told = run(2, "different")
    expected = {
        "data": "the same data (digest)", "columns": "the same weights (layers.0.w)", "seed": "the same seed",
        "rows": "the same settings of fit (batches)", "batch size": "the same settings of fit (batches)",
        "weights": "the same weights on", "slots": "the same slots of the optimizer",
        "layers": "the same settings of layers.0",
        "predicted": "as many rows, and as many at a time,",
    }  # fmt: skip
    assert told.keys() == expected.keys()
    for what, error in told.items():
        assert f"expected {expected[what]}" in error
        assert "on rank 1 (host" in error


@needs_mpi
def test_scripts_that_go_different_ways_are_named():
    begun = time.monotonic()
    errors = failed(2, "apart")
    assert time.monotonic() - begun < 30
    assert "expected all ranks at one place" in errors
    assert re.search(r"rank 1 \(host .* gives the rows of predict, and rank 0 \(.* the facts of fit", errors)


@needs_mpi
def test_functions_are_the_same_wherever_they_lie_in_memory():
    assert run(2, "functions") == "trained"


@needs_mpi
def test_batches_of_other_sizes_on_one_rank_are_named():
    assert re.search(r"rank 1 \(.* at a batch of 26 rows, and rank 0 .* at a batch of 25 rows", failed(2, "uneven"))


@needs_mpi
def test_ranks_of_two_instruction_sets_give_the_same_bits_or_are_refused(of_one):
    both = {"avx2", "avx512"}
    if not both <= set(pynn.config.info()["isa_available"]):
        pytest.skip("needs a processor with AVX2 and AVX-512")
    job = [sys.executable, "-P", str(HERE / "jobs.py"), "bits"]
    one, other = (["-n", "1", "-env", "PYNN_ISA", isa, *job] for isa in sorted(both))
    environment = {**os.environ, "PYNN_NUM_THREADS": "1", "PYNN_DEADLINE": "20", "ALONE": "0"}
    done = subprocess.run([MPIEXEC, *one, ":", *other], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == of_one


@needs_mpi
def test_batches_that_end_early_on_one_rank_are_named():
    errors = failed(2, "early")
    assert "is at the end of an epoch, after step 7" in errors
    assert "Received: rank 1 (host" in errors


@needs_mpi
def test_a_loss_that_is_not_finite_stops_all_and_names_the_rank():
    errors = failed(4, "nonfinite")
    assert "batch 1, segment 6 (rank 3)" in errors


@needs_mpi
@pytest.mark.parametrize(
    ("ranks", "job", "said"),
    [
        (3, "bits", "a number of ranks that divides 8 segments. Received: 3"),
        (1, "twice", "start() was called before"),
        (1, "late", "after something was trained"),
    ],
)
def test_beginnings_that_are_refused(ranks, job, said):
    assert said in failed(ranks, job)


def test_without_mpi4py_one_line_names_the_extra(tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError('none here')")
    code = "import pynn, sys; assert 'mpi4py' not in sys.modules; pynn.distributed.start()"
    path = filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")])  # an empty part is the folder we are in
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "ImportError: [distributed]" in done.stderr
    assert 'pip install "pynn-dl[mpi]"' in done.stderr.splitlines()[-1]


def test_rank_0_alone_calls_what_writes():
    written = {pynn.train.ModelCheckpoint, pynn.train.CSVLogger, pynn.train.ProgressBar}
    written |= {pynn.train.JSONLogger, pynn.train.TensorBoard, pynn.train.LiveCurve}
    assert all(kind.writes for kind in written)
    callbacks = [pynn.train.CSVLogger("nowhere.csv"), pynn.train.EarlyStopping()]
    try:
        pynn.files.set_writing(False)
        called = pynn.train.CallbackList(callbacks, model=None, verbose=1).callbacks
    finally:
        pynn.files.set_writing(True)
    assert [type(c).__name__ for c in called] == ["EarlyStopping", "History"]


def test_alone_there_is_one_rank():
    info = pynn.distributed.info()
    assert (info.rank, info.ranks, info.segments) == (0, 1, 1)
    pynn.distributed.barrier()


@pytest.mark.parametrize("segments", range(1, 14))
def test_ranks_add_in_the_order_of_segments(segments):
    """Sums of any share of segments, added up across shares, are those of all segments in their order."""
    values = [None if s % 5 == 3 else f"{s}" for s in range(segments)]
    plus = "({}+{})".format

    class Text(str):
        def __add__(self, other):
            return Text(plus(self, other))

    expected = in_order([None if v is None else Text(v) for v in values])
    for ranks in (r for r in range(1, segments + 1) if segments % r == 0):
        share = segments // ranks
        held = []
        for r in range(ranks):
            held += merged(((s, 0, values[s]) for s in range(r * share, (r + 1) * share)), plus)
        assert total_of(held, plus) == expected


def test_shards_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(DataError, match="Received: none"):
        Shards(tmp_path, 8)
    np.save(tmp_path / "x-0.npy", np.zeros((4, 2), "float32"))
    np.save(tmp_path / "y-0.npy", np.zeros(3))
    with pytest.raises(ShapeError, match="as many rows"):
        Shards(tmp_path, 8)
    np.save(tmp_path / "y-0.npy", np.zeros(4))
    np.save(tmp_path / "x-1.npy", np.zeros((4, 3), "float32"))
    with pytest.raises(ShapeError, match="one dtype and shape"):
        Shards(tmp_path, 8)
