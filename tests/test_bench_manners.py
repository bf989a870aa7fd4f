"""bench.manners: the arithmetic, and its processes; nothing is timed."""

import copy
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "bench").is_dir():
    pytest.skip("the measurements are not part of an installation", allow_module_level=True)
sys.path.append(str(ROOT))

from bench import manners  # noqa: E402
from bench.training import Neighbours, Training  # noqa: E402

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

GOOD = {
    "threads": [{"workload": "w", "others_busy": 0.0, "pynn": {"one_us": 4.0, "default_us": 4.1, "ratio": 1.02}}],
    "busy": [{"workload": "w", "others_busy": 0.0, "pynn": {"quiet_us": 4.0, "busy_us": 8.0, "ratio": 2.0}}],
    "rest": {
        "pynn": {
            "idle": {"first": 0.1, "second": 0.0},
            "forks": {"tried": 9, "finished": 9, "hangs": 0, "same_bits": True},
            "callers": {"trainings_as_alone": True, "predictions_as_alone": True, "threads_alone": 1,
                        "threads_of_two_trainings": 1, "threads_of_eight_predictors": 1},
            "children": {"spawned": True, "joblib_loky": True},
            "growth": {"predict_fn": {"calls": 1000, "kilobytes": 12.0}, "fit": {"calls": 1, "kilobytes": 0.0}},
        },
        "torch": {name: {"failed": "hangs for 300 s"} for name in ("idle", "forks", "callers", "children", "growth")},
    },
    "imports": {"names": ["numpy", "pynn"], "orders": {"numpy,pynn": {"changed": {}, "bits": "a"}}, "good": 1,
                "same_bits": True},
}  # fmt: skip


def test_what_misses_its_target_is_named():
    machine = {"cpu": "a", "cores": 2, "system": "Linux"}
    text = manners.markdown(machine, GOOD)
    assert "Targets missed: none." in text
    assert "| w | 4.0 | 4.1 | 1.02 |" in text
    assert "| forked children that trained on, of those tried | 9 of 9 | failed: hangs for 300 s |" in text
    assert "1 of 1 orders of importing numpy, pynn" in text
    bad = copy.deepcopy(GOOD)
    bad["threads"][0]["pynn"]["ratio"], bad["busy"][0]["pynn"]["ratio"] = 1.06, 2.6
    mine = bad["rest"]["pynn"]
    mine["idle"]["first"], mine["forks"]["finished"], mine["children"]["spawned"] = 300.0, 8, False
    mine["callers"]["threads_of_eight_predictors"], mine["growth"]["fit"]["kilobytes"] = 8, 2000.0
    bad["imports"] |= {"good": 0, "orders": {"numpy,pynn": {"changed": {"torch": [2, 1]}, "bits": "a"}}}
    found = manners.misses(bad)
    assert [word.split(":")[0] for word in found] == [
        "threads", "busy", "idle", "forks", "callers", "children", "growth", "imports"
    ]  # fmt: skip
    assert "numpy,pynn: {'torch': [2, 1]}" in manners.markdown(machine, bad)


@linux
@pytest.mark.timeout(240)
def test_the_probes_run():
    assert manners.probe("forks", "pynn", 4) == {"tried": 4, "finished": 4, "hangs": 0, "same_bits": True}
    got = manners.probe("callers", "pynn")
    assert got["trainings_as_alone"]
    assert got["predictions_as_alone"]
    assert got["threads_of_two_trainings"] == got["threads_of_eight_predictors"] == got["threads_alone"]
    assert manners.probe("growth", "pynn", 10)["fit"]["calls"] == 1
    assert "failed" in manners.probe("forks", "none", 1)


def until(holds, seconds=60):
    """Wait for what is bound to happen."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@linux
@pytest.mark.timeout(120)
def test_a_training_process_answers_and_neighbours_rest():
    with Training("pynn", manners.WORKLOADS[0].name, 1) as one, Neighbours() as neighbours:
        assert one.threads == 1
        assert one.microseconds(0.01) > 0
        with neighbours.busy():
            assert one.microseconds(0.01) > 0
        for child in neighbours.children:  # a stop signal arrives when the system finds the time
            until(lambda child=child: Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")
    assert one.child.returncode == 0
    assert all(child.returncode is not None for child in neighbours.children)
