"""bench.manners: the arithmetic, and its processes; nothing is timed."""

import copy
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if not (ROOT / "bench").is_dir():
    pytest.skip("the measurements are not part of an installation", allow_module_level=True)
sys.path.append(str(ROOT))

from bench import machine, manners  # noqa: E402
from bench.training import Neighbours, TimeUp, Training  # noqa: E402

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

MACHINE = {"cpu": "a", "cores": 2, "system": "Linux", "autogroup": False}
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
    text = manners.markdown(MACHINE, GOOD)
    assert text.startswith("a, 2 cores, Linux; autogroup off (")
    assert text.count("Targets missed in") == text.count(": none.") == 4
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
    text = manners.markdown(MACHINE, bad)
    assert "numpy,pynn: {'torch': [2, 1]}" in text
    assert "Targets missed in busy: busy: w: 2.60, at most 2.5." in text


def test_figures_of_fewer_rounds_and_bounds_are_marked():
    row = copy.deepcopy(GOOD["busy"][0])
    row["pynn"]["cut"] = True
    row["torch"] = {"quiet_us": 5.0, "busy_us": 15e6, "ratio": 3e6, "cut": True, "at_least": True}
    text = manners.part_text("busy", [row])
    assert "| w | 4.0 | 8.0 ^ | 2.00 | 5.0 | > 15,000,000.0 ^ | > 3000000.00 |" in text
    assert "fewer rounds" in text
    assert "fewer rounds" not in manners.part_text("busy", GOOD["busy"])
    text = manners.part_text("threads", [{"workload": "w", "pynn": {"failed": "no answer within 120 s"}}])
    assert "| w | - | no answer within 120 s | - |" in text
    assert "missed in threads: threads: w: no answer within 120 s." in text


def test_rounds_end_when_time_is_up():
    calls = []

    def side():
        calls.append(1)
        return float(len(calls))

    assert manners.alternating([side, side], 3, 60.0) == ([4.0, 3.0], 3)
    assert manners.alternating([side], 3, -1.0) == ([7.0], 1)  # one round there always is


def test_each_part_is_printed_and_written_when_it_is_measured(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(manners, "header", lambda cores: dict(MACHINE))
    printed = []

    def measured(part, sides, effort):
        printed.append(capsys.readouterr().out)
        return GOOD[part]

    monkeypatch.setattr(manners, "measured", measured)
    manners.main(["--only", "rest", "threads", "imports", "--out", str(tmp_path / "found.md")])
    assert "2 cores" in printed[0]
    assert "Targets missed in threads" in printed[1]
    assert "Targets missed in rest" in printed[2]
    text = (tmp_path / "found.md").read_text()
    assert [f"missed in {part}" in text for part in manners.PARTS] == [True, False, True, True]
    assert set(json.loads((tmp_path / "found.json").read_text())) == {"machine", "threads", "rest", "imports"}


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
    with Training("pynn", 1) as one, Neighbours() as neighbours:
        one.load(manners.WORKLOADS[1].name)
        one.load(manners.WORKLOADS[0].name)
        assert one.threads == 1
        assert one.microseconds(0.01) > 0
        with neighbours.busy():
            assert one.microseconds(0.01) > 0
        for child in neighbours.children:  # a stop signal arrives when the system finds the time
            until(lambda child=child: Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T")
        child = one.child
    assert child.returncode == 0
    assert all(child.returncode is not None for child in neighbours.children)


@linux
@pytest.mark.timeout(120)
def test_a_training_process_that_takes_too_long_is_ended_and_starts_again():
    with Training("pynn", 1) as one:
        one.load(manners.WORKLOADS[0].name)
        child = one.child
        with pytest.raises(TimeUp):
            one.microseconds(60.0, patience=0.05)
        assert child.returncode < 0
        one.load(manners.WORKLOADS[0].name)
        assert one.microseconds(0.01) > 0


@linux
def test_children_are_no_others():
    code = "import sys, time\nwhile time.process_time() < 0.3: pass\nsys.stdin.read()"
    before = machine.own_seconds()
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        until(lambda: machine.own_seconds() - before > 0.1)
        child.stdin.close()
    assert machine.own_seconds() - before > 0.2  # and when it has ended
