"""Two machines: the bits of one, and an end to all when nothing is heard of the other, or MPI does not end them."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
if not (HERE.parent / "bench").is_dir():
    pytest.skip("bench/ is part of the source tree", allow_module_level=True)
sys.path.append(str(HERE.parent))

from bench.hosts import CUTS, Hosts  # noqa: E402

BESIDE = Path(sys.executable).parent / "mpiexec"
HAS_MPI = importlib.util.find_spec("mpi4py") and (BESIDE.exists() or shutil.which("mpiexec"))
needs_mpi = pytest.mark.skipif(not HAS_MPI, reason='needs mpi4py and mpiexec: pip install "pynn-dl[mpi]"')
JOBS = [sys.executable, "-P", str(HERE / "jobs.py")]


@pytest.fixture(scope="module")
def possible():
    if not Hosts.possible():
        pytest.skip("needs root, iproute2 and network namespaces with veth and bridge")


@needs_mpi
def test_two_hosts_over_a_limited_link_give_the_bits_of_one_process(possible):
    environment = {**os.environ, "ALONE": "1", "PYNN_NUM_THREADS": "1"}
    alone = subprocess.run([*JOBS, "whole"], capture_output=True, text=True, check=True, env=environment)
    with Hosts() as hosts:
        hosts.limit("tbf", "rate", "1gbit", "burst", "128kb", "latency", "50ms")
        out, errors = hosts.mpiexec(2, *JOBS, "whole").communicate(timeout=120)
        assert "(host near, pid" in errors
        assert "(host far, pid" in errors
    assert json.loads(out) == json.loads(alone.stdout)


@needs_mpi
@pytest.mark.parametrize("where", CUTS)
def test_a_link_that_is_cut_ends_all(where, possible, tmp_path):
    path = tmp_path / "pids"
    with Hosts() as hosts:
        job = hosts.mpiexec(2, *JOBS, "endless", PIDS=str(path), PYNN_DEADLINE="3")
        while not (path.exists() and path.read_text().endswith("\n")) and job.poll() is None:
            time.sleep(0.05)
        hosts.cut(where)
        begun = time.monotonic()
        _, errors = job.communicate(timeout=60)
        while hosts.left() and time.monotonic() - begun < 30:
            time.sleep(0.1)
        assert hosts.left() == []
    assert time.monotonic() - begun < 30
    assert job.returncode != 0
    assert "waited 3 s for" in errors
    assert "from rank 1 (host far, pid" in errors


@needs_mpi
def test_a_rank_ends_though_mpi_does_not_come_back_from_ending_the_others():
    mpiexec = str(BESIDE) if BESIDE.exists() else "mpiexec"
    environment = {**os.environ, "PYNN_NUM_THREADS": "1", "PYNN_DEADLINE": "3", "BLOCKED": "1"}
    begun = time.monotonic()
    job = [mpiexec, "-n", "2", *JOBS, "endless", "raise"]
    done = subprocess.run(job, capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert time.monotonic() - begun < 30
    assert done.returncode != 0
    assert "trouble of one rank alone" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("trap", "status"), [("", -15), ("trap '' TERM", -9)])
def test_a_launcher_that_stays_is_ended(trap, status, tmp_path):
    """A stand-in of this name starts a rank and waits, also when that has ended; its shell is left alone."""
    rank = "from pynn.distributed.watching import outlive; outlive(0.5)"
    program = tmp_path / "mpiexec"
    program.write_text(f'#!/bin/sh\n{trap}\n"{sys.executable}" -c "{rank}"\necho ended\nwhile :; do sleep 1; done\n')
    program.chmod(0o755)
    command = ["/bin/sh", "-c", f"{program}; echo status $?"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["ended", "status", str(128 - status)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_is_no_launcher_stays(tmp_path):
    program = tmp_path / "something"
    rank = "from pynn.distributed.watching import outlive; outlive(0.2)"
    program.write_text(f'#!/bin/sh\n"{sys.executable}" -c "{rank}"\nsleep 2\necho well\n')
    program.chmod(0o755)
    assert subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout == "well\n"
